"""One transfer over HTTP: a URL in, bytes out, and for whatever goes wrong a sentence of its own."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import string
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from ipaddress import ip_address
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

#: A connection over which nothing comes for this long is given up, in seconds.
STALL = 30.0
#: Less than this many bytes a second counts as nothing.
SLOWEST = 1024
MAX_REDIRECTS = 5

_PIECE = 2**18
_BUSY = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)


@dataclass(kw_only=True, eq=False)
class Failure(Exception):  # noqa: N818 (never leaves the store: `fetch` makes an error of it)
    """Why bytes did not come."""

    #: One sentence that names the URL.
    message: str
    #: What to do; empty where the file should be had by other means.
    hint: str = ""
    #: Whether another try may help, and how long the server wants to be left alone first, in seconds.
    retry: bool = False
    wait: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a server sends."""

    #: The place in the file at which the bytes begin.
    start: int
    #: Bytes of the whole file; None where the server does not say.
    total: int | None
    #: As If-Range takes it: a strong ETag or a date; empty where there is none.
    validator: str
    #: Raises Failure on the way.
    pieces: Iterator[bytes]
    #: The file is still the one that the caller has; nothing is sent.
    unchanged: bool = False


@contextlib.contextmanager
def get(
    url: str, *, start: int = 0, total: int | None = None, validator: str = "", unless: str = ""
) -> Iterator[Answer]:
    """Ask for the bytes at a URL.

    They begin at `start` where the server still has the file of this length and validator, and else at 0.
    `unless` is the validator of a whole file that the caller has: it is not sent again. Raises Failure.
    """
    if start:
        resume = {"Range": f"bytes={start}-", "If-Range": validator}
        with _follow(url, resume) as response:
            answer = _answer(response, url)
            if answer and answer.start in (0, start) and _is_same(answer, total, validator):
                yield answer
                return
    condition = "If-None-Match" if unless.startswith('"') else "If-Modified-Since"
    with _follow(url, {condition: unless} if unless else {}) as response:
        if response.status == HTTPStatus.NOT_MODIFIED:
            yield Answer(start=0, total=None, validator=unless, pieces=iter(()), unchanged=True)
            return
        answer = _answer(response, url)
        if answer is None or answer.start:
            raise Failure(message=f"The server of {public(url)!r} sends a part that nobody asked for.")
        yield answer


def public(url: str) -> str:
    """Return a URL without the user name and the password that it may hold."""
    return re.sub(r"(?<=//)[^/?#]*@", "", url, count=1)


def _answer(response: HTTPResponse, url: str) -> Answer | None:
    """Read the head of an answer; None where it does not fit the range that was asked for."""
    if response.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        return None
    start, length, total = 0, response.length, response.length
    if response.status == HTTPStatus.PARTIAL_CONTENT:
        match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", response.headers.get("Content-Range", ""))
        if not match:
            return None
        start, length = int(match[1]), int(match[2]) + 1 - int(match[1])
        total = None if match[3] == "*" else int(match[3])
    etag = response.headers.get("ETag", "")
    validator = response.headers.get("Last-Modified", "") if etag.startswith("W/") or not etag else etag
    pieces = _pieces(response, url, done=start, end=None if length is None else start + length)
    return Answer(start=start, total=total, validator=validator, pieces=pieces)


def _is_same(answer: Answer, total: int | None, validator: str) -> bool:
    """Tell whether an answer goes on with what is known of a file; a part may come without validator."""
    if not answer.start:
        return True
    return (None in (total, answer.total) or answer.total == total) and answer.validator in (validator, "")


def _pieces(response: HTTPResponse, url: str, *, done: int, end: int | None) -> Iterator[bytes]:
    """Yield what comes; raise Failure where it is cut, stalls, or drips."""
    came, spent = 0, 0.0
    while True:
        began = time.monotonic()
        try:
            piece = response.read1(_PIECE)
        except TimeoutError:
            raise _stalled(url, done, end) from None
        except (OSError, HTTPException, ValueError):
            raise _cut(url, done, end) from None
        if not piece:
            break
        done += len(piece)
        came += len(piece)
        spent += time.monotonic() - began
        if spent >= STALL:
            if came < SLOWEST * spent:
                raise _stalled(url, done, end)
            came, spent = 0, 0.0
        yield piece
    if end is not None and done < end:
        raise _cut(url, done, end)


def _stalled(url: str, done: int, end: int | None) -> Failure:
    return Failure(
        message=f"The transfer from {public(url)!r} stalled for {STALL:g} s after {_so_far(done, end)}.",
        retry=True,
    )


def _cut(url: str, done: int, end: int | None) -> Failure:
    return Failure(
        message=f"The transfer from {public(url)!r} was cut after {_so_far(done, end)}.", retry=True
    )


def _so_far(done: int, end: int | None) -> str:
    return f"{done:,} bytes" if end is None else f"{done:,} of {end:,} bytes"


@contextlib.contextmanager
def _follow(url: str, headers: Mapping[str, str]) -> Iterator[HTTPResponse]:
    """Send a request wherever it is redirected to."""
    place, inside = url, False
    for hop in range(1 + MAX_REDIRECTS):
        here = urlsplit(place)
        with contextlib.ExitStack() as stack:
            try:
                connection = stack.enter_context(contextlib.closing(_connect(here)))
                reached = _is_inside(connection, here)
                inside = reached if hop == 0 else inside
                if reached and not inside:  # who is out there has no say in what is asked of this network
                    raise Failure(
                        message=f"{public(url)!r} redirects to {_netloc(here)!r}, inside this network.",
                        hint="If you trust that address, give it instead.",
                    )
                response = _request(connection, here, headers)
            except (OSError, HTTPException, UnicodeError) as error:
                raise _unreachable(error, url, place) from error
            stack.callback(response.close)
            if response.status not in (301, 302, 303, 307, 308):
                asked = not {"If-None-Match", "If-Modified-Since"}.isdisjoint(headers)
                _check_status(response, url, conditional=asked)
                yield response
                return
            place = _redirected(response, url, place)
    raise Failure(
        message=f"{public(url)!r} redirects more than {MAX_REDIRECTS} times.",
        hint="Open it in a browser, and give the address at which the file is.",
    )


def _connect(url: SplitResult) -> HTTPConnection:
    """Connect to the host of a URL, or to the proxy that the environment names for it."""
    host, port, proxy = url.hostname or "", url.port, _proxy(url)
    connection: HTTPConnection
    first, door = (proxy.hostname or "", proxy.port or 80) if proxy else (host, port)
    if url.scheme == "http":
        connection = HTTPConnection(first, door, timeout=STALL)
    else:
        connection = HTTPSConnection(first, door, timeout=STALL, context=ssl.create_default_context())
        if proxy:
            connection.set_tunnel(host, port, headers=_credentials(proxy, "Proxy-Authorization"))
    try:
        connection.connect()
    except BaseException:
        connection.close()
        raise
    return connection


def _proxy(url: SplitResult) -> SplitResult | None:
    proxy = getproxies().get(url.scheme)
    if not proxy or proxy_bypass(_netloc(url)):
        return None
    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    if parts.scheme not in ("http", "https") or not parts.hostname:  # both are spoken to without TLS
        raise Failure(
            message=f"The proxy {public(proxy)!r} is of a kind that is not supported.",
            hint=f"Let {url.scheme}_proxy name an HTTP proxy, or no_proxy the host {url.hostname!r}.",
        )
    return parts


def _netloc(url: SplitResult) -> str:
    return url.netloc.rpartition("@")[2]


def _credentials(url: SplitResult, header: str) -> dict[str, str]:
    if url.username is None:
        return {}
    pair = f"{unquote(url.username)}:{unquote(url.password or '')}"
    return {header: f"Basic {b64encode(pair.encode()).decode()}"}


def _is_inside(connection: HTTPConnection, url: SplitResult) -> bool:
    """Tell whether a connection leads to an address that the internet does not have; a proxy leads out."""
    if _proxy(url) or connection.sock is None:
        return False
    address = ip_address(connection.sock.getpeername()[0].partition("%")[0])
    return not (getattr(address, "ipv4_mapped", None) or address).is_global


def _request(connection: HTTPConnection, url: SplitResult, headers: Mapping[str, str]) -> HTTPResponse:
    proxy = _proxy(url) if url.scheme == "http" else None
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    if proxy:
        target = f"{url.scheme}://{_netloc(url)}{target}"
    connection.request(
        "GET",
        quote(target, safe=string.punctuation),
        headers={
            "Accept-Encoding": "identity",  # a digest is of the file, not of how it travels
            "User-Agent": "regraft",
            **_credentials(url, "Authorization"),
            **(_credentials(proxy, "Proxy-Authorization") if proxy else {}),
            **headers,
        },
    )
    return connection.getresponse()


def _redirected(response: HTTPResponse, url: str, place: str) -> str:
    """Return where an answer leads; raises Failure where nobody should go."""
    # servers send other letters than ASCII as they are, and http.client reads them as Latin-1
    location = quote(response.headers.get("Location", ""), encoding="latin-1", safe=string.punctuation)
    try:
        parts = urlsplit(urljoin(place, location))
        _ = parts.port
    except ValueError:
        location = ""
    if not location or not parts.scheme:
        raise Failure(message=f"{public(url)!r} redirects to nowhere.", hint=_ELSEWHERE)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Failure(
            message=f"{public(url)!r} redirects to an address of the kind {parts.scheme!r}.",
            hint="Only http and https are followed. Check the address with whoever gave it to you.",
        )
    if parts.scheme == "http" and urlsplit(place).scheme == "https":
        raise Failure(
            message=f"{public(url)!r} redirects from https to http, which anybody on the way can change.",
            hint="If that does not matter to you, give the http address itself, with a checksum.",
        )
    return parts.geturl()


def _check_status(response: HTTPResponse, url: str, *, conditional: bool) -> None:
    status, name = response.status, public(url)
    words = f"({status} {response.reason})" if response.reason else f"({status})"
    if status in (200, 206, 416) or (status == HTTPStatus.NOT_MODIFIED and conditional):
        return
    if status in _BUSY:
        raise _busy(response, f"The server of {name!r} is too busy {words}")
    if status in (401, 403, 407):
        raise Failure(message=f"The server does not let you have {name!r} {words}.")
    if status in (404, 410):
        raise Failure(message=f"There is nothing at {name!r} {words}.", hint=_ELSEWHERE)
    if status >= 500:
        raise Failure(message=f"The server of {name!r} failed {words}.", hint="Try again later.", retry=True)
    raise Failure(message=f"The server gives no file for {name!r} {words}.", hint=_ELSEWHERE)


def _busy(response: HTTPResponse, message: str) -> Failure:
    asked = response.headers.get("Retry-After", "").strip()
    wait = None
    with contextlib.suppress(ValueError):
        wait = float(asked) if asked.isdecimal() else parsedate_to_datetime(asked).timestamp() - time.time()
    if wait is None:
        return Failure(message=f"{message}.", hint="Try again later.", retry=True)
    hint = f"Try again in {max(wait, 1):,.0f} s."
    return Failure(message=f"{message}.", hint=hint, retry=True, wait=max(wait, 0.0))


def _unreachable(error: Exception, url: str, place: str) -> Failure:
    """Say why there was no answer."""
    name, host, proxy = public(url), urlsplit(place).hostname, _proxy(urlsplit(place))
    who = f"The proxy {proxy.hostname!r}" if proxy else f"The host {host!r}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return Failure(
            message=f"The certificate of {host!r} is not trusted ({error.verify_message}).",
            hint="Check the clock of this machine. Behind a company's proxy, let SSL_CERT_FILE name its "
            "certificates.",
        )
    if isinstance(error, ssl.SSLError):
        return Failure(message=f"{who} does not speak TLS as it should ({error.reason or error}).")
    if isinstance(error, TimeoutError):
        return Failure(message=f"{who} does not answer within {STALL:g} s ({name!r}).", retry=True)
    if isinstance(error, (socket.gaierror, UnicodeError)):
        again = isinstance(error, OSError) and error.errno == socket.EAI_AGAIN
        return Failure(message=f"{who} is not known on this network ({name!r}).", retry=again)
    if isinstance(error, ConnectionRefusedError):
        return Failure(message=f"{who} refuses the connection ({name!r}).", retry=True)
    if isinstance(error, (ConnectionResetError, BrokenPipeError)):
        return Failure(message=f"{who} closed the connection without an answer ({name!r}).", retry=True)
    if isinstance(error, HTTPException):
        return Failure(message=f"{who} does not speak HTTP as it should ({name!r}).", retry=True)
    reason = getattr(error, "strerror", None) or error
    return Failure(message=f"{who} cannot be reached ({reason}; {name!r}).", retry=True)


_ELSEWHERE = "Check the address, in a browser for instance."
