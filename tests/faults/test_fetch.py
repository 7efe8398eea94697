"""Downloads over a network that cuts, stalls, lies, and is not there; and processes that are killed."""

import os
import shutil
import signal
import socket
import subprocess
from hashlib import sha256
from random import Random

import pytest

from regraft.errors import FetchError, IntegrityError, StorageError
from regraft.progress import silent
from regraft.records import RemoteFile
from regraft.store import fetch, transfer
from regraft.store.fetch import Downloads, remote

pytest_plugins = ["tests.faults.web"]

BODY = Random(0).randbytes(200_000)
DIGEST = sha256(BODY).hexdigest()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(fetch, "BACKOFF", 0.01)
    monkeypatch.setattr(transfer, "STALL", 0.3)


@pytest.fixture
def fails(tmp_path):
    """Fetch a file that cannot be had; return the error's words, and check that nothing is published."""

    def words(file, kind=FetchError):
        with pytest.raises(kind) as caught:
            Downloads(tmp_path).fetch(file, silent)
        assert type(caught.value) is kind
        assert not any(path.name == file.name for path in tmp_path.rglob("*"))
        return str(caught.value), caught.value.hint

    return words


def by_hand(tmp_path, url):
    return f"Take data.bin (sha256 {DIGEST}) from {url} and put it at {tmp_path / 'data.bin'}."


def parts(root):
    return sorted(path.name for path in root.rglob("*") if ".part" in path.name)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_a_transfer_that_is_cut_is_resumed_where_it_broke_off(tmp_path, web, share):
    place = int(len(BODY) * share)
    url = web.serve("/data.bin", BODY, web.cut(place), etag='"one"')

    path = Downloads(tmp_path).fetch(remote(url, sha256=DIGEST), silent)

    assert path.read_bytes() == BODY
    assert web.requests == [("/data.bin", "", ""), ("/data.bin", f"bytes={place}-", '"one"')]
    assert parts(tmp_path) == []


def test_a_download_that_was_given_up_is_resumed_by_the_next_one(tmp_path, web, fails):
    url = web.serve("/data.bin", BODY, web.cut(1000), web.cut(1000), web.cut(1000), etag='"one"')
    file = remote(url, sha256=DIGEST)

    said = fails(file)
    kept = parts(tmp_path)
    path = Downloads(tmp_path).fetch(file, silent)

    assert said == (
        f"The transfer from {url!r} was cut after 3,000 of 200,000 bytes.",
        by_hand(tmp_path, url),
    )
    assert kept == ["data.bin.part", "data.bin.part.json"]
    assert path.read_bytes() == BODY
    assert [asked for _, asked, _ in web.requests] == ["", "bytes=1000-", "bytes=2000-", "bytes=3000-"]


def test_without_an_etag_the_date_says_whether_the_file_is_the_same(tmp_path, web):
    date = "Wed, 21 Oct 2015 07:28:00 GMT"
    url = web.serve("/data.bin", BODY, web.cut(1000), etag='W/"weak"', modified=date)

    path = Downloads(tmp_path).fetch(remote(url), silent)

    assert path.read_bytes() == BODY
    assert web.requests[1] == ("/data.bin", "bytes=1000-", date)


def test_without_etag_and_date_a_transfer_begins_again(tmp_path, web):
    url = web.serve("/data.bin", BODY, web.cut(1000), etag="")

    path = Downloads(tmp_path).fetch(remote(url), silent)

    assert path.read_bytes() == BODY
    assert web.requests == [("/data.bin", "", "")] * 2


@pytest.mark.parametrize("answer", [{"whole": True}, {"blind": True}, {"code": 416}, {}])
def test_a_file_that_changed_meanwhile_is_fetched_from_its_beginning(tmp_path, web, answer):
    url = web.serve("/data.bin", BODY, *[web.cut(1000)] * 3, etag='"one"')
    file = remote(url)
    with pytest.raises(FetchError):
        Downloads(tmp_path).fetch(file, silent)
    changed = BODY[::-1] + b"more"
    web.serve("/data.bin", changed, web.other(**answer), etag='"two"')

    path = Downloads(tmp_path).fetch(file, silent)

    assert path.read_bytes() == changed


def test_a_server_that_ignores_ranges_gives_the_file_nevertheless(tmp_path, web):
    url = web.serve("/data.bin", BODY, web.cut(1000), web.other(whole=True))

    path = Downloads(tmp_path).fetch(remote(url, sha256=DIGEST), silent)

    assert path.read_bytes() == BODY


def test_a_kept_part_that_is_damaged_costs_another_transfer_and_no_more(tmp_path, web, fails):
    url = web.serve("/data.bin", BODY, *[web.cut(1000)] * 3)
    file = remote(url, sha256=DIGEST)
    fails(file)
    (part,) = tmp_path.rglob("data.bin.part")
    part.write_bytes(b"x" * 3000)

    path = Downloads(tmp_path).fetch(file, silent)

    assert path.read_bytes() == BODY
    assert [asked for _, asked, _ in web.requests][3:] == ["bytes=3000-", ""]


def test_a_kept_part_that_is_shorter_than_it_was_is_resumed_at_its_end(tmp_path, web, fails):
    url = web.serve("/data.bin", BODY, *[web.cut(1000)] * 3)
    file = remote(url, sha256=DIGEST)
    fails(file)
    (part,) = tmp_path.rglob("data.bin.part")
    part.write_bytes(BODY[:500])

    path = Downloads(tmp_path).fetch(file, silent)

    assert path.read_bytes() == BODY
    assert [asked for _, asked, _ in web.requests][3:] == ["bytes=500-"]


def test_a_stall_is_named_and_tried_again(tmp_path, web, fails):
    url = web.serve("/data.bin", BODY, *[web.stall(1000)] * 3, etag="")

    said = fails(remote(url, sha256=DIGEST))

    assert said == (
        f"The transfer from {url!r} stalled for 0.3 s after 1,000 of 200,000 bytes.",
        by_hand(tmp_path, url),
    )
    assert len(web.requests) == 3


def test_bytes_that_drip_are_a_stall(web, fails):
    url = web.serve("/data.bin", BODY[:50], *[web.drip(0.02)] * 3)

    message, _ = fails(remote(url, sha256=DIGEST))

    assert message.startswith(f"The transfer from {url!r} stalled for 0.3 s after ")


@pytest.mark.parametrize("end", ["chunked", "close"])
def test_a_file_of_unknown_length_is_fetched(tmp_path, web, end):
    url = web.serve("/data.bin", BODY, web.other(end=end))
    told = []

    path = Downloads(tmp_path).fetch(remote(url), lambda *words: told.append(words))

    assert path.read_bytes() == BODY
    assert told == [("Fetching data.bin", 0, 1), ("Fetching data.bin", 1, 1)]


def test_a_chunked_transfer_that_is_cut_is_not_taken_for_whole(tmp_path, web):
    url = web.serve("/data.bin", BODY, web.cut(1000, end="chunked"))

    path = Downloads(tmp_path).fetch(remote(url), silent)

    assert path.read_bytes() == BODY
    assert len(web.requests) == 2


def test_one_wrong_bit_is_found_and_nothing_is_kept(tmp_path, web, fails):
    url = web.serve("/data.bin", BODY, web.flip(123_456))
    wrong = bytearray(BODY)
    wrong[123_456] ^= 1

    said = fails(remote(url, sha256=DIGEST, size=len(BODY)), IntegrityError)

    assert said == (
        f"What {url!r} gives is not 'data.bin': it has sha256 {sha256(wrong).hexdigest()} "
        f"instead of {DIGEST}.",
        "It was changed at its source or on the way. Compare the checksum with its publisher's.",
    )
    assert parts(tmp_path) == []


@pytest.mark.parametrize(
    ("size", "end", "problem"),
    [
        (199_999, "length", "200,000 bytes instead of 199,999"),
        (200_001, "length", "200,000 bytes instead of 200,001"),
        (200_001, "close", "200,000 bytes of 200,001"),
    ],
)
def test_a_file_of_another_size_is_refused(tmp_path, web, fails, size, end, problem):
    url = web.serve("/data.bin", BODY, web.other(end=end))

    message, _ = fails(remote(url, size=size), IntegrityError)

    assert message == f"What {url!r} gives is not 'data.bin': it has {problem}."
    assert (len(web.requests), parts(tmp_path)) == (1, [])


def test_a_server_that_never_ends_does_not_fill_the_disk(tmp_path, web, fails):
    url = web.serve("/data.bin", BODY, web.other(end="chunked", stall=100_000))

    message, _ = fails(remote(url, size=1000), IntegrityError)

    assert message == f"What {url!r} gives is not 'data.bin': it has more than 1,000 bytes."
    assert parts(tmp_path) == []


HAND = "{by_hand}"
ELSEWHERE = "Check the address, in a browser for instance."


@pytest.mark.parametrize(
    ("code", "requests", "message", "hint"),
    [
        (400, 1, "The server gives no file for {url!r} (400 Bad Request).", ELSEWHERE),
        (401, 1, "The server does not let you have {url!r} (401 Unauthorized).", HAND),
        (403, 1, "The server does not let you have {url!r} (403 Forbidden).", HAND),
        (404, 1, "There is nothing at {url!r} (404 Not Found).", ELSEWHERE),
        (410, 1, "There is nothing at {url!r} (410 Gone).", ELSEWHERE),
        (429, 3, "The server of {url!r} is too busy (429 Too Many Requests).", "Try again later."),
        (503, 3, "The server of {url!r} is too busy (503 Service Unavailable).", "Try again later."),
        (500, 3, "The server of {url!r} failed (500 Internal Server Error).", "Try again later."),
        (204, 1, "The server gives no file for {url!r} (204 No Content).", ELSEWHERE),
    ],
)
def test_what_a_server_refuses_is_said_with_its_own_words(
    tmp_path, web, fails, code, requests, message, hint
):
    url = web.serve("/data.bin", BODY, *[web.status(code)] * 3)

    said = fails(remote(url, sha256=DIGEST))

    assert said == (message.format(url=url), hint.format(by_hand=by_hand(tmp_path, url)))
    assert len(web.requests) == requests


def test_a_server_that_was_busy_is_asked_again_when_it_says(tmp_path, web, monkeypatch):
    monkeypatch.setattr(fetch, "BACKOFF", 60.0)
    busy = [web.status(429, Retry_After="0"), web.status(503, Retry_After="Wed, 21 Oct 2015 07:28:00 GMT")]
    url = web.serve("/data.bin", BODY, *busy)

    path = Downloads(tmp_path).fetch(remote(url, sha256=DIGEST), silent)

    assert path.read_bytes() == BODY
    assert len(web.requests) == 3


def test_a_server_that_wants_half_a_minute_and_more_is_not_waited_for(web, fails):
    url = web.serve("/data.bin", BODY, web.status(429, Retry_After="31"))

    said = fails(remote(url))

    assert said == (
        f"The server of {url!r} is too busy (429 Too Many Requests).",
        "Try again in 31 s.",
    )


def test_redirects_are_followed_to_the_file(tmp_path, web):
    web.serve("/there/data.bin", BODY)
    url = web.serve("/data.bin", b"", web.redirect("/a b", 307))
    web.serve("/a%20b", b"", web.redirect(f"{web.address}/there/data.bin", 301))

    path = Downloads(tmp_path).fetch(remote(url, sha256=DIGEST), silent)

    assert path.read_bytes() == BODY
    assert [place for place, _, _ in web.requests] == ["/data.bin", "/a%20b", "/there/data.bin"]


def test_redirects_in_a_circle_end_after_five(web, fails):
    url = web.serve("/data.bin", b"", *[web.redirect("/data.bin")] * 9)

    said = fails(remote(url))

    assert said == (
        f"{url!r} redirects more than 5 times.",
        "Open it in a browser, and give the address at which the file is.",
    )
    assert len(web.requests) == 6


@pytest.mark.parametrize(
    ("to", "kind"),
    [
        ("file:///etc/passwd", "file"),
        ("ftp://example.org/x", "ftp"),
        ("data:,x", "data"),
    ],
)
def test_a_redirect_to_another_kind_of_address_is_refused(web, fails, to, kind):
    url = web.serve("/data.bin", b"", web.redirect(to))

    said = fails(remote(url))

    assert said == (
        f"{url!r} redirects to an address of the kind {kind!r}.",
        "Only http and https are followed. Check the address with whoever gave it to you.",
    )


@pytest.mark.parametrize("headers", [{}, {"Location": "http://[bad"}])
def test_a_redirect_to_nowhere_is_named(web, fails, headers):
    url = web.serve("/data.bin", b"", web.status(302, **headers))

    assert fails(remote(url)) == (f"{url!r} redirects to nowhere.", ELSEWHERE)


def test_a_redirect_from_https_to_http_is_refused(web, secure_web, certificate, fails, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    plain = web.serve("/data.bin", BODY)
    url = secure_web.serve("/data.bin", b"", secure_web.redirect(plain))

    said = fails(remote(url))

    assert said == (
        f"{url!r} redirects from https to http, which anybody on the way can change.",
        "If that does not matter to you, give the http address itself, with a checksum.",
    )
    assert web.requests == []


def test_a_redirect_from_outside_into_this_network_is_refused(web, fails, monkeypatch):
    inside = web.serve("/secret", BODY)
    monkeypatch.setenv("http_proxy", web.address)  # for a name out there; this machine is asked directly
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    url = web.serve("http://example.invalid/data.bin", b"", web.redirect(inside))
    url = url.removeprefix(web.address)

    said = fails(remote(url))

    assert said == (
        f"{url!r} redirects to {web.address.removeprefix('http://')!r}, inside this network.",
        "If you trust that address, give it instead.",
    )
    assert [place for place, _, _ in web.requests] == [url]


def test_a_proxy_of_the_environment_is_used_with_its_password(tmp_path, web, monkeypatch):
    monkeypatch.setenv("http_proxy", web.address.replace("//", "//me:secret@"))
    url = web.serve("http://example.invalid/data.bin", BODY).removeprefix(web.address)

    path = Downloads(tmp_path).fetch(remote(url, sha256=DIGEST), silent)

    assert path.read_bytes() == BODY
    assert web.headers[0]["Proxy-Authorization"] == "Basic bWU6c2VjcmV0"
    assert web.headers[0]["Host"] == "example.invalid"


def test_a_proxy_that_makes_no_tunnel_is_named(web, fails, monkeypatch):
    monkeypatch.setenv("https_proxy", web.address.replace("//", "//me:secret@"))

    message, _ = fails(remote("https://example.invalid/data.bin"))

    assert message == (
        "The proxy '127.0.0.1' cannot be reached (Tunnel connection failed: 501 Unsupported method "
        "('CONNECT'); 'https://example.invalid/data.bin')."
    )


def test_a_proxy_of_another_kind_is_named(fails, no_proxies, monkeypatch):
    monkeypatch.setenv("http_proxy", "socks5://me:secret@127.0.0.1:1")

    said = fails(remote("http://example.invalid/data.bin"))

    assert said == (
        "The proxy 'socks5://127.0.0.1:1' is of a kind that is not supported.",
        "Let http_proxy name an HTTP proxy, or no_proxy the host 'example.invalid'.",
    )


def test_a_trusted_certificate_is_enough(tmp_path, secure_web, certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    url = secure_web.serve("/data.bin", BODY, secure_web.cut(1000))

    path = Downloads(tmp_path).fetch(remote(url, sha256=DIGEST), silent)

    assert path.read_bytes() == BODY


def test_a_certificate_that_nobody_vouches_for_is_refused(secure_web, fails):
    url = secure_web.serve("/data.bin", BODY)

    message, hint = fails(remote(url))

    assert message.startswith("The certificate of '127.0.0.1' is not trusted (self")
    assert hint.startswith("Check the clock of this machine.")
    assert secure_web.requests == []


def test_a_server_that_does_not_speak_tls_is_named(tmp_path, web, fails):
    url = web.address.replace("http:", "https:") + "/data.bin"

    message, hint = fails(remote(url, sha256=DIGEST))

    assert message.startswith("The host '127.0.0.1' does not speak TLS as it should (")
    assert hint == by_hand(tmp_path, url)


def test_a_connection_that_is_refused_says_how_to_go_on_by_hand(tmp_path, fails, no_proxies):
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/data.bin"

    said = fails(remote(url, sha256=DIGEST))

    assert said == (f"The host '127.0.0.1' refuses the connection ({url!r}).", by_hand(tmp_path, url))


def test_a_server_that_accepts_and_says_nothing_is_named(tmp_path, fails, no_proxies):
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/data.bin"

        said = fails(remote(url, sha256=DIGEST))

    assert said == (
        f"The host '127.0.0.1' does not answer within 0.3 s ({url!r}).",
        by_hand(tmp_path, url),
    )


def test_a_server_that_hangs_up_is_named(tmp_path, web, fails):
    url = web.serve("/data.bin", BODY, *[web.other(silent=True)] * 3)

    said = fails(remote(url, sha256=DIGEST))

    assert said == (
        f"The host '127.0.0.1' closed the connection without an answer ({url!r}).",
        by_hand(tmp_path, url),
    )


@pytest.mark.parametrize("host", ["example.invalid", "x" * 80 + ".invalid"])
def test_a_name_that_is_not_known_says_how_to_go_on_by_hand(tmp_path, fails, no_proxies, host):
    url = f"http://{host}/data.bin"

    said = fails(remote(url, sha256=DIGEST))

    assert said == (f"The host {host!r} is not known on this network ({url!r}).", by_hand(tmp_path, url))


@pytest.mark.skipif(
    not shutil.which("unshare") or subprocess.run(["unshare", "-rn", "true"], check=False).returncode != 0,
    reason="a process cannot be put into a network of its own here",
)
def test_a_machine_without_a_network_uses_what_it_has_and_says_what_is_missing(tmp_path, web, fetcher):
    there = remote(web.serve("/there.bin", BODY), sha256=DIGEST)
    path = Downloads(tmp_path).fetch(there, silent)
    missing = remote("http://example.invalid/data.bin", sha256=DIGEST)

    said = [
        fetcher(tmp_path, file, prefix=["unshare", "-rn"]).communicate(timeout=60)[0].splitlines()[-1]
        for file in (there, missing)
    ]

    assert said == [
        f"at {path}",
        "error The host 'example.invalid' is not known on this network ('http://example.invalid/data.bin'). "
        + by_hand(tmp_path, missing.urls[0]),
    ]


def test_mirrors_are_tried_in_turn(tmp_path, web):
    gone = web.serve("/gone", b"", web.status(404))
    wrong = web.serve("/wrong", b"other")
    file = RemoteFile(name="data.bin", urls=(gone, wrong, web.serve("/good", BODY)), sha256=DIGEST)

    path = Downloads(tmp_path).fetch(file, silent)

    assert path.read_bytes() == BODY
    assert [place for place, _, _ in web.requests] == ["/gone", "/wrong", "/good"]


def test_when_all_mirrors_fail_each_is_named(tmp_path, web, fails):
    gone = web.serve("/gone", b"", web.status(404))
    empty = web.serve("/empty", b"")
    file = RemoteFile(name="data.bin", urls=(gone, empty), sha256=DIGEST)

    said = fails(file)

    assert said == (
        f"None of the 2 URLs of 'data.bin' gives it: There is nothing at {gone!r} (404 Not Found). "
        f"What {empty!r} gives is not 'data.bin': it has sha256 {sha256().hexdigest()} instead of {DIGEST}.",
        by_hand(tmp_path, gone),
    )


def test_a_full_disk_is_said_and_the_download_goes_on_later(tmp_path, web, monkeypatch):
    file = remote(web.serve("/data.bin", BODY, web.cut(1000)), sha256=DIGEST)
    monkeypatch.setenv("REGRAFT_FAILPOINTS", "fetch.write=ENOSPC@2")
    monkeypatch.setattr(fetch.durable, "_passages", fetch.durable.Counter())

    with pytest.raises(StorageError) as caught:
        Downloads(tmp_path).fetch(file, silent)
    monkeypatch.delenv("REGRAFT_FAILPOINTS")
    path = Downloads(tmp_path).fetch(file, silent)

    assert str(caught.value).startswith("The disk has no room for ")
    assert path.read_bytes() == BODY
    assert [asked for _, asked, _ in web.requests] == ["", "bytes=1000-", "bytes=1000-"]


def test_two_processes_make_one_download(tmp_path, web, fetcher):
    second = []
    file = remote("http://127.0.0.1/x", sha256=DIGEST)

    def begin():
        second.append(fetcher(tmp_path, file))
        second.append(second[0].stdout.readline())

    file = remote(web.serve("/data.bin", BODY, web.other(before=begin)), sha256=DIGEST)

    with fetcher(tmp_path, file) as first:
        said = first.communicate(timeout=60)[0].splitlines()
    with second[0]:
        said_later = second[0].communicate(timeout=60)[0].splitlines()

    assert second[1] == "Waiting for another process to fetch data.bin\n"
    assert said[-1] == said_later[-1]
    assert said[-1].startswith("at ")
    assert "Fetching data.bin" not in said_later
    assert len(web.requests) == 1


def test_a_process_that_is_killed_is_followed_by_the_one_that_waits(tmp_path, web, fetcher):
    file = remote(web.serve("/data.bin", BODY, web.stall(100_000), etag='"one"'), sha256=DIGEST)

    with fetcher(tmp_path, file, flush=1000) as first:
        while (
            not (notes := list(tmp_path.rglob("*.part.json")))
            or b'"done": 100000' not in notes[0].read_bytes()
        ):
            assert first.poll() is None
        with fetcher(tmp_path, file) as second:
            waited = second.stdout.readline()
            os.kill(first.pid, signal.SIGKILL)
            said = second.communicate(timeout=60)[0].splitlines()

    assert waited == "Waiting for another process to fetch data.bin\n"
    assert said[-1].startswith("at ")
    assert (first.returncode, second.returncode) == (-signal.SIGKILL, 0)
    assert [asked for _, asked, _ in web.requests] == ["", "bytes=100000-"]
    assert Downloads(tmp_path, offline=True).fetch(file, silent).read_bytes() == BODY


@pytest.mark.parametrize(
    "point",
    ["write", "flush", "note.publish", "memory.publish", "publish", "published", "note.publish@2"],
)
def test_a_download_that_is_killed_anywhere_is_whole_after_the_next(tmp_path, web, fetcher, point):
    file = remote(web.serve("/data.bin", BODY))
    name, _, time = point.partition("@")

    with fetcher(tmp_path, file, REGRAFT_FAILPOINTS=f"fetch.{name}=kill@{time or 1}") as killed:
        killed.communicate(timeout=60)
    path = Downloads(tmp_path).fetch(file, silent)

    assert killed.returncode == -signal.SIGKILL
    assert path.read_bytes() == BODY
    assert not list(tmp_path.rglob("*.part"))
    assert (path.parent / "data.bin.sha256").read_text() == f"{DIGEST}  data.bin\n"
