"""The words that name a version."""

import unicodedata

import pytest

from regraft.errors import InvalidRef
from regraft.refs import Ref, check_name, make_name, parse

NAME_HINT = "Use letters, digits, '.', '_' and '-', a letter or digit first, 100 at most."
VERSION_HINT = "A version is v1, v2, ...; a tag is a word."


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
        ("timm:", "'timm:' names no model.", "Write timm:NAME."),
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
