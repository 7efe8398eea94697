"""The words that name a version."""

import unicodedata

import pytest

from regraft.errors import InvalidRef
from regraft.refs import Ref, check_name, make_name, parse

NAME_HINT = "Use letters, digits, '.', '_' and '-', a letter or digit first, 100 at most."
VERSION_HINT = "A version is v1, v2, ...; a tag is a word."
DIGEST = "0123456789abcdef" * 4
URL_HINT = "Write https://HOST/FILE#sha256=DIGEST, or without what follows the #."


@pytest.mark.parametrize(
    ("text", "ref", "short", "number"),
    [
        ("hotdog", Ref(name="hotdog"), "hotdog", None),
        ("hotdog:v3", Ref(name="hotdog", version="v3"), "hotdog:v3", 3),
        ("hotdog/version/v3", Ref(name="hotdog", version="v3"), "hotdog:v3", 3),
        ("hotdog:latest", Ref(name="hotdog"), "hotdog", None),
        ("hotdog/version/latest", Ref(name="hotdog"), "hotdog", None),
        ("hotdog:best", Ref(name="hotdog", version="best"), "hotdog:best", None),
        ("hotdog:v0", Ref(name="hotdog", version="v0"), "hotdog:v0", None),
        ("hotdog:v01", Ref(name="hotdog", version="v01"), "hotdog:v01", None),
        ("2.0_final-x", Ref(name="2.0_final-x"), "2.0_final-x", None),
        ("timm:resnet18.a1_in1k", Ref(name="resnet18.a1_in1k", source="timm"), "timm:resnet18.a1_in1k", None),
        ("embedded:lite0", Ref(name="lite0", source="embedded"), "embedded:lite0", None),
        ("timm", Ref(name="timm"), "timm", None),
        ("犬と猫", Ref(name="犬と猫"), "犬と猫", None),
        (unicodedata.normalize("NFD", "crêpe"), Ref(name="crêpe"), "crêpe", None),
    ],
)
def test_words_are_parsed_and_written_in_their_short_form(text, ref, short, number):
    parsed = parse(text)

    assert (parsed, str(parsed), parsed.number) == (ref, short, number)
    assert parse(str(parsed)) == parsed


@pytest.mark.parametrize(
    ("text", "ref", "name"),
    [
        ("embedded:lite0", Ref(source="embedded", name="lite0"), "lite0"),
        ("timm:resnet18.a1_in1k", Ref(source="timm", name="resnet18.a1_in1k"), "resnet18.a1_in1k"),
        ("torchvision:resnet50", Ref(source="torchvision", name="resnet50"), "resnet50"),
        (
            "torchvision:resnet50/IMAGENET1K_V1",
            Ref(source="torchvision", name="resnet50", version="IMAGENET1K_V1"),
            "resnet50",
        ),
        ("regraft:cifar_resnet20", Ref(source="regraft", name="cifar_resnet20"), "cifar_resnet20"),
        ("hf:timm/resnet18.a1_in1k", Ref(source="hf", name="timm/resnet18.a1_in1k"), "resnet18.a1_in1k"),
        ("hf:me/net@refs/pr/1", Ref(source="hf", name="me/net", version="refs/pr/1"), "net"),
        ("file:~/my nets/net v2.pth.tar", Ref(source="file", name="~/my nets/net v2.pth.tar"), "net-v2"),
        (
            "file:/nets/resnet18.a1_in1k",
            Ref(source="file", name="/nets/resnet18.a1_in1k"),
            "resnet18.a1_in1k",
        ),
        ("file:.pth", Ref(source="file", name=".pth"), "model"),
        (
            f"https://example.org/a/net.safetensors?x=1#sha256={DIGEST}",
            Ref(source="https", name="//example.org/a/net.safetensors?x=1", version=DIGEST),
            "net",
        ),
        ("http://127.0.0.1:80/net.bin", Ref(source="http", name="//127.0.0.1:80/net.bin"), "net"),
    ],
)
def test_a_pretrained_source_is_parsed_and_written_as_it_was_and_has_a_name_to_be_stored_by(text, ref, name):
    parsed = parse(text)

    assert (parsed, str(parsed), parsed.number) == (ref, text, None)
    assert check_name(parsed.stored_name) == name


def test_a_digest_is_the_same_in_capitals():
    ref = parse(f"https://example.org/net.pth#sha256={DIGEST.upper()}")

    assert ref.version == DIGEST


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("", "'' cannot be a name.", NAME_HINT),
        ("my photos", "'my photos' cannot be a name.", NAME_HINT),
        ("-x", "'-x' cannot be a name.", NAME_HINT),
        ("_x", "'_x' cannot be a name.", NAME_HINT),
        (".hidden", "'.hidden' cannot be a name.", NAME_HINT),
        ("../x", "'../x' cannot be a name.", NAME_HINT),
        ("x\n", "'x\\n' cannot be a name.", NAME_HINT),
        ("x" * 101, f"{'x' * 101!r} cannot be a name.", NAME_HINT),
        ("/version/v1", "'' cannot be a name.", NAME_HINT),
        ("hotdog:", "'hotdog:' ends where a version should stand.", "Write hotdog:v1, or hotdog."),
        (
            "hotdog/version/",
            "'hotdog/version/' ends where a version should stand.",
            "Write hotdog:v1, or hotdog.",
        ),
        ("hotdog:v3:x", "'v3:x' is no version and no tag.", VERSION_HINT),
        ("hotdog:../x", "'../x' is no version and no tag.", VERSION_HINT),
        ("hotdog:_x", "'_x' is no version and no tag.", VERSION_HINT),
        ("timm:", "'timm:' names no model.", "Write timm:NAME or timm:NAME.TAG."),
        (
            "torchvision:a/b/c",
            "'torchvision:a/b/c' names no model.",
            "Write torchvision:NAME or torchvision:NAME/WEIGHTS.",
        ),
        ("regraft:a/b", "'regraft:a/b' names no model.", "Write regraft:NAME."),
        ("hf:name", "'hf:name' names no model.", "Write hf:OWNER/NAME or hf:OWNER/NAME@REVISION."),
        ("hf:a/../b", "'hf:a/../b' names no model.", "Write hf:OWNER/NAME or hf:OWNER/NAME@REVISION."),
        ("hf:a/b@../c", "'hf:a/b@../c' names no model.", "Write hf:OWNER/NAME or hf:OWNER/NAME@REVISION."),
        ("file: ", "'file: ' names no model.", "Write file:PATH."),
        ("https://example.org", "'https://example.org' names no model.", URL_HINT),
        ("https://example.org/x#md5=1", "'https://example.org/x#md5=1' names no model.", URL_HINT),
        (
            "https://example.org/x#sha256=" + DIGEST[1:],
            f"'https://example.org/x#sha256={DIGEST[1:]}' names no model.",
            URL_HINT,
        ),
        (
            "https://me:secret@example.org/x.pth",
            "The address of a model cannot hold a user name and a password: it is stored with the model.",
            "Fetch the file by other means, and name it: file:PATH.",
        ),
        ("embedded:a/b", "'embedded:a/b' names no model.", "Write embedded:NAME."),
    ],
)
def test_words_that_name_nothing_are_refused(text, message, hint):
    with pytest.raises(InvalidRef) as caught:
        parse(text)

    assert (str(caught.value), caught.value.hint, caught.value.exit_code) == (message, hint, 5)


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("photos", "photos"),
        ("My Photos (2024)!", "My-Photos-2024"),
        ("  .hidden_ ", "hidden"),
        ("...", "pictures"),
        ("", "pictures"),
        ("a/b", "a-b"),
        (unicodedata.normalize("NFD", "Crêpes"), "Crêpes"),
        ("x" * 300, "x" * 100),
        ("\u0301odd", "odd"),
    ],
)
def test_any_words_give_a_name(words, name):
    made = make_name(words)

    assert made == name
    assert check_name(made) == made
