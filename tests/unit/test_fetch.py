"""Downloads without accidents: what is kept, what is verified, and what a person is told."""

import json
import os
import subprocess
import sys
from hashlib import md5, sha1, sha256

import pytest

from regraft.errors import FetchError, IntegrityError, InvalidError
from regraft.progress import silent
from regraft.records import RemoteFile, canonical, digest
from regraft.store import fetch
from regraft.store.fetch import Downloads, remote

pytest_plugins = ["tests.faults.web"]

BODY = b"picture " * 1000
SUMS = {"sha256": sha256(BODY).hexdigest(), "sha1": sha1(BODY).hexdigest(), "md5": md5(BODY).hexdigest()}
AWAY = "https://example.invalid/data.bin"

#: Fetch a file while every use of a socket ends the process.
WATCHED = """
import os, sys
sys.addaudithook(lambda event, words: os._exit(7) if event.startswith("socket.") else None)
exec(os.environ["FETCHER"])
"""


@pytest.fixture
def offline_error(tmp_path):
    """Ask for a file that is not there without a network; return what is said."""

    def words(file):
        with pytest.raises(FetchError) as caught:
            Downloads(tmp_path, offline=True).fetch(file, silent)
        return str(caught.value), caught.value.hint

    return words


def key(*urls, **sums):
    return digest(canonical({"urls": list(urls), **sums}))


def files(root):
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


@pytest.mark.parametrize("kinds", [["sha256"], ["sha1"], ["md5"], ["sha256", "sha1", "md5"]])
def test_a_file_is_fetched_once_and_verified_with_whatever_is_known(tmp_path, web, kinds):
    url = web.serve("/data.bin", BODY)
    sums = {kind: SUMS[kind] for kind in kinds}
    told = []

    path = Downloads(tmp_path).fetch(remote(url, size=8000, **sums), lambda *words: told.append(words))
    again = Downloads(tmp_path).fetch(remote(url, size=8000, **sums), silent)

    assert path == again == tmp_path / key(url, **sums) / "data.bin"
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (BODY, 0o444)
    assert files(path.parent) == [".lock", "data.bin"]
    assert (told[0], told[-1]) == (("Fetching data.bin", 0, 8000), ("Fetching data.bin", 8000, 8000))
    assert len(web.requests) == 1


@pytest.mark.parametrize("kind", ["sha256", "sha1", "md5"])
def test_each_checksum_is_looked_at(tmp_path, web, kind):
    url = web.serve("/data.bin", BODY)
    wrong = SUMS[kind][::-1]

    with pytest.raises(IntegrityError) as caught:
        Downloads(tmp_path).fetch(remote(url, **{**SUMS, kind: wrong}), silent)

    problem = f"it has {kind} {SUMS[kind]} instead of {wrong}."
    assert str(caught.value) == f"What {url!r} gives is not 'data.bin': {problem}"
    assert files(next(tmp_path.iterdir())) == [".lock"]


def test_checksums_in_capitals_are_the_same(tmp_path, web):
    file = RemoteFile(
        name="data.bin", urls=(web.serve("/data.bin", BODY),), sha256=SUMS["sha256"].upper(), size=8000
    )

    path = Downloads(tmp_path).fetch(file, silent)

    assert path.read_bytes() == BODY


@pytest.mark.parametrize("sums", [SUMS, {}], ids=["known", "remembered"])
@pytest.mark.parametrize("damage", [BODY[:-1] + b"x", BODY[:-1], b""])
def test_a_cached_file_that_was_damaged_is_fetched_anew(tmp_path, web, sums, damage, caplog):
    file = remote(web.serve("/data.bin", BODY), **sums)
    path = Downloads(tmp_path).fetch(file, silent)
    path.chmod(0o644)
    path.write_bytes(damage)

    again = Downloads(tmp_path).fetch(file, silent)

    assert again == path
    assert path.read_bytes() == BODY
    assert len(web.requests) == 2
    problem = f"sha256 {sha256(damage).hexdigest()} instead of {SUMS['sha256']}"
    assert caplog.messages == [f"{str(path)!r} has {problem}."]


def test_where_no_checksum_is_known_the_one_that_was_found_is_kept(tmp_path, web, caplog):
    caplog.set_level("INFO")
    url = web.serve("/data.bin", BODY)

    path = Downloads(tmp_path).fetch(remote(url), silent)

    assert files(path.parent) == [".lock", "data.bin", "data.bin.json", "data.bin.sha256"]
    assert (path.parent / "data.bin.sha256").read_text() == f"{SUMS['sha256']}  data.bin\n"
    assert caplog.messages == [f"The sha256 of {url} is {SUMS['sha256']}."]


@pytest.mark.parametrize(
    "named", [{"etag": '"one"'}, {"etag": "", "modified": "Wed, 21 Oct 2015 07:28:00 GMT"}]
)
def test_without_a_checksum_the_server_is_asked_whether_the_file_is_the_same(tmp_path, web, named, caplog):
    file = remote(web.serve("/data.bin", BODY, **named))
    path = Downloads(tmp_path).fetch(file, silent)
    told = []

    same = Downloads(tmp_path).fetch(file, lambda task, *_: told.append(task))
    web.serve("/data.bin", b"other", etag='"two"')
    changed = Downloads(tmp_path).fetch(file, silent)

    assert same == changed == path
    assert set(told) == {"Checking data.bin"}
    assert path.read_bytes() == b"other"
    assert [bool({"If-None-Match", "If-Modified-Since"} & {*sent}) for sent in web.headers] == [
        False,
        True,
        True,
    ]
    assert (path.parent / "data.bin.sha256").read_text() == f"{sha256(b'other').hexdigest()}  data.bin\n"
    assert caplog.messages == []


def test_without_a_checksum_and_a_validator_the_file_is_fetched_anew(tmp_path, web):
    file = remote(web.serve("/data.bin", BODY, etag=""))
    path = Downloads(tmp_path).fetch(file, silent)
    web.serve("/data.bin", b"other", etag="")

    again = Downloads(tmp_path).fetch(file, silent)

    assert again == path
    assert path.read_bytes() == b"other"
    assert files(path.parent) == [".lock", "data.bin", "data.bin.sha256"]


@pytest.mark.parametrize("etag", ["", '"one"'])
def test_without_a_checksum_and_a_server_the_copy_is_used_and_that_is_said_once(tmp_path, web, etag, caplog):
    url = web.serve("/data.bin", BODY, etag=etag)
    path = Downloads(tmp_path).fetch(remote(url), silent)
    web.serve("/data.bin", b"", web.status(403), etag=etag)

    again = Downloads(tmp_path).fetch(remote(url), silent)
    offline = Downloads(tmp_path, offline=True).fetch(remote(url), silent)

    assert again == offline == path
    assert path.read_bytes() == BODY
    said = f"The server does not let you have {url!r} (403 Forbidden). The copy that came earlier is used."
    assert caplog.messages == [said]


def test_a_copy_that_was_removed_by_hand_is_fetched_anew(tmp_path, web):
    file = remote(web.serve("/data.bin", BODY, etag='"one"'))
    path = Downloads(tmp_path).fetch(file, silent)
    path.unlink()

    again = Downloads(tmp_path).fetch(file, silent)

    assert again.read_bytes() == BODY


def test_an_error_is_raised_and_not_told_besides(tmp_path, web, caplog):
    url = web.serve("/data.bin", BODY, web.status(404))

    with pytest.raises(FetchError):
        Downloads(tmp_path).fetch(remote(url), silent)

    assert caplog.messages == []


def test_an_empty_file_is_a_file(tmp_path, web):
    file = remote(web.serve("/nothing", b""), size=0)

    path = Downloads(tmp_path).fetch(file, silent)

    assert path.read_bytes() == b""


def test_what_is_known_of_a_part_lies_beside_it(tmp_path, web, monkeypatch):
    monkeypatch.setattr(fetch, "TRIES", 1)
    url = web.serve("/data.bin", BODY, web.cut(5000), etag='"one"').replace("//", "//me:secret@")

    with pytest.raises(FetchError):
        Downloads(tmp_path).fetch(remote(url), silent)

    (note,) = tmp_path.rglob("data.bin.part.json")
    assert json.loads(note.read_bytes()) == {
        "url": f"{web.address}/data.bin",
        "validator": '"one"',
        "size": 8000,
        "done": 5000,
    }
    assert (note.parent / "data.bin.part").read_bytes() == BODY[:5000]


def test_name_and_password_are_sent_to_the_server_and_kept_nowhere(tmp_path, web, caplog):
    caplog.set_level("INFO")
    there = web.serve("/there", BODY)
    url = web.serve("/data.bin", b"", web.redirect(there)).replace("//", "//me:s%40cret@")

    path = Downloads(tmp_path).fetch(remote(url), silent)

    assert path == tmp_path / key(f"{web.address}/data.bin") / "data.bin"
    assert [headers.get("Authorization") for headers in web.headers] == ["Basic bWU6c0BjcmV0", None]
    assert not any(b"cret" in file.read_bytes() for file in path.parent.iterdir())
    assert "cret" not in caplog.text


@pytest.mark.parametrize("code", [403, 404, 500, 418])
def test_name_and_password_are_in_no_message(tmp_path, web, code, monkeypatch, caplog):
    monkeypatch.setattr(fetch, "TRIES", 1)
    url = web.serve("/data.bin", BODY, web.status(code)).replace("//", "//me:secret@")

    with pytest.raises(FetchError) as caught:
        Downloads(tmp_path).fetch(remote(url, sha256=SUMS["sha256"]), silent)

    assert f"'{web.address}/data.bin'" in str(caught.value)
    assert "secret" not in f"{caught.value} {caught.value.hint} {caplog.text}"


@pytest.mark.parametrize("how", ["argument", "environment"])
def test_offline_a_person_is_told_which_file_to_put_where(tmp_path, monkeypatch, how):
    monkeypatch.setenv("REGRAFT_OFFLINE", "1" if how == "environment" else "0")
    file = RemoteFile(name="data.bin", urls=(AWAY, "https://mirror.invalid/x"), size=8000, **SUMS)

    with pytest.raises(FetchError) as caught:
        Downloads(tmp_path / "root", offline=how == "argument").fetch(file, silent)

    assert (str(caught.value), caught.value.hint) == (
        "'data.bin' is not on this machine, and Regraft works offline.",
        f"Take data.bin (8,000 bytes, sha256 {SUMS['sha256']}, sha1 {SUMS['sha1']}, md5 {SUMS['md5']}) "
        f"from {AWAY} and put it at {tmp_path / 'root' / 'data.bin'}.",
    )
    assert list(tmp_path.iterdir()) == []


def test_offline_without_a_checksum_the_place_is_one_that_no_other_file_has(tmp_path, offline_error):
    _, hint = offline_error(remote(AWAY))

    assert hint == f"Take data.bin from {AWAY} and put it at {tmp_path / key(AWAY) / 'data.bin'}."


@pytest.mark.parametrize("place", ["", key(AWAY, sha1=SUMS["sha1"])])
def test_a_file_that_a_person_put_there_is_used(tmp_path, place):
    path = tmp_path / place / "data.bin"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(BODY)

    found = Downloads(tmp_path, offline=True).fetch(remote(AWAY, sha1=SUMS["sha1"]), silent)

    assert found == path


def test_a_file_without_a_checksum_that_a_person_put_there_is_used_and_remembered(tmp_path, offline_error):
    path = tmp_path / key(AWAY) / "data.bin"
    path.parent.mkdir()
    path.write_bytes(BODY)

    found = Downloads(tmp_path, offline=True).fetch(remote(AWAY), silent)
    path.write_bytes(b"other")
    message, _ = offline_error(remote(AWAY))

    problem = f"sha256 {sha256(b'other').hexdigest()} instead of {SUMS['sha256']}"
    assert found == path
    assert message == (
        f"'data.bin' is not on this machine ({str(path)!r} has {problem}), and Regraft works offline."
    )
    assert files(path.parent) == [".lock"]


def test_a_wrong_file_that_a_person_put_there_is_named_and_stays(tmp_path, offline_error):
    path = tmp_path / "data.bin"
    path.write_bytes(b"other")

    message, hint = offline_error(remote(AWAY, sha256=SUMS["sha256"]))

    problem = f"sha256 {sha256(b'other').hexdigest()} instead of {SUMS['sha256']}"
    assert message == (
        f"'data.bin' is not on this machine ({str(path)!r} has {problem}), and Regraft works offline."
    )
    assert hint == f"Take data.bin (sha256 {SUMS['sha256']}) from {AWAY} and put it at {path}."
    assert path.read_bytes() == b"other"


def test_a_wrong_file_that_a_person_put_there_is_passed_over_with_a_network(tmp_path, web):
    (tmp_path / "data.bin").write_bytes(b"other")

    path = Downloads(tmp_path).fetch(remote(web.serve("/data.bin", BODY), sha256=SUMS["sha256"]), silent)

    assert path.read_bytes() == BODY
    assert (tmp_path / "data.bin").read_bytes() == b"other"


def test_a_folder_that_is_called_like_the_file_is_passed_over(tmp_path, web):
    (tmp_path / "data.bin").mkdir()

    path = Downloads(tmp_path).fetch(remote(web.serve("/data.bin", BODY), md5=SUMS["md5"]), silent)

    assert path.read_bytes() == BODY


def test_a_name_alone_is_not_taken_for_the_file(tmp_path, web):
    (tmp_path / "data.bin").write_bytes(b"the data.bin of somebody else")

    path = Downloads(tmp_path).fetch(remote(web.serve("/data.bin", BODY)), silent)

    assert path.read_bytes() == BODY


def test_offline_no_socket_is_opened(tmp_path):
    from tests.faults.web import FETCHER

    words = [sys.executable, "-c", WATCHED, tmp_path, remote(AWAY).model_dump_json(), "1"]

    ended = [
        subprocess.run(
            words,
            env={**os.environ, "FETCHER": FETCHER, "REGRAFT_OFFLINE": offline},
            capture_output=True,
            text=True,
            check=False,
        )
        for offline in ("1", "0")
    ]

    assert [child.returncode for child in ended] == [0, 7]
    assert ended[0].stdout.startswith("error 'data.bin' is not on this machine, and Regraft works offline.")


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://example.org/sets/hotdog.zip", "hotdog.zip"),
        (" https://example.org/a/hot%20dog.tar.gz?download=1#top ", "hot-dog.tar.gz"),
        ("https://example.org/sets/hotdog/", "hotdog"),
        ("https://example.org/..%2f..%2fetc%2fpasswd", "passwd"),
        ("https://example.org/.hidden", "hidden"),
        ("https://example.org/%00%0a", "download"),
        ("https://example.org", "download"),
        ("https://example.org/?file=x.zip", "download"),
        ("https://example.org/bücher.zip", "bücher.zip"),
        ("https://example.org/" + "x" * 300 + ".zip", "x" * 96 + ".zip"),
    ],
)
def test_the_name_of_a_remote_file_is_taken_from_its_url(url, name):
    file = remote(url, sha256=f" {SUMS['sha256'].upper()} ", size=3)

    assert file == RemoteFile(name=name, urls=(url.strip(),), size=3, sha256=SUMS["sha256"])


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hotdog.zip",
        "file:///etc/passwd",
        "ftp://example.org/x",
        "https://",
        "https://[::1/x",
        "https://example.org:port/x",
        "https://example.org/a b",
        "https://example.org/a\r\nHost: b",
    ],
)
def test_what_is_no_url_is_refused(url):
    with pytest.raises(InvalidError) as caught:
        remote(url)

    assert (str(caught.value), caught.value.where) == (f"{url!r} is no URL that can be fetched.", "urls")
    assert caught.value.hint == (
        "Give one such as https://example.org/pictures.zip; http and https are understood."
    )


@pytest.mark.parametrize(
    ("kind", "value", "digits", "hint"),
    [
        ("sha256", SUMS["sha1"], 64, "It is as long as a sha1: give it as one."),
        ("sha1", SUMS["md5"], 40, "It is as long as a md5: give it as one."),
        ("md5", SUMS["md5"][:-1], 32, "Copy the checksum again."),
        ("sha256", "x" * 64, 64, "Copy the checksum again."),
    ],
)
def test_what_is_no_checksum_is_refused(kind, value, digits, hint):
    with pytest.raises(InvalidError) as caught:
        remote(AWAY, **{kind: value})

    message = f"{value!r} is no {kind}: that has {digits} hexadecimal digits."
    assert (str(caught.value), caught.value.hint, caught.value.where) == (message, hint, kind)


@pytest.mark.parametrize(
    ("facts", "message", "where"),
    [
        ({"name": "../x"}, "'../x' cannot be the name of a file.", "name"),
        ({"name": ""}, "'' cannot be the name of a file.", "name"),
        ({"name": ".lock"}, "'.lock' cannot be the name of a file.", "name"),
        ({"name": "a/b"}, "'a/b' cannot be the name of a file.", "name"),
        ({"urls": ()}, "'data.bin' has no URL.", "urls"),
        ({"urls": (AWAY, "file:///x")}, "'file:///x' is no URL that can be fetched.", "urls"),
        ({"size": -1}, "'data.bin' cannot have -1 bytes.", "size"),
        ({"md5": "no"}, "'no' is no md5: that has 32 hexadecimal digits.", "md5"),
    ],
)
def test_a_file_that_is_described_wrongly_is_refused_before_anything_is_done(tmp_path, facts, message, where):
    file = RemoteFile(**{"name": "data.bin", "urls": (AWAY,), **facts})

    with pytest.raises(InvalidError) as caught:
        Downloads(tmp_path).fetch(file, silent)

    assert (str(caught.value), caught.value.where) == (message, where)
    assert list(tmp_path.iterdir()) == []
