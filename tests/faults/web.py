"""A web server on this machine that does to downloads what the internet does to them.

A test module says `pytest_plugins = ["tests.faults.web"]` and takes the fixture `web`, or `secure_web` for
TLS:

    url = web.serve("/photos.zip", body, web.cut(100), web.status(503, Retry_After="0"))

The first request gets the first fault, the second one the second, and all later ones the whole file.
`web.requests` lists what was asked: (path, Range, If-Range).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")

#: Fetch the file that the arguments describe, and print where it lies or what went wrong.
FETCHER = """
import sys
from pathlib import Path
from regraft.errors import RegraftError
from regraft.records import RemoteFile
from regraft.store import fetch
fetch.BACKOFF, fetch.FLUSH = 0.01, int(sys.argv[3])
def say(task, done, total):
    print(task, flush=True)
try:
    path = fetch.Downloads(Path(sys.argv[1])).fetch(RemoteFile.model_validate_json(sys.argv[2]), say)
    print("at", path)
except RegraftError as error:
    print("error", error, error.hint)
"""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What is wrong with one answer."""

    #: Instead of the file.
    code: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    #: The connection is closed after this many bytes.
    cut: int | None = None
    #: Nothing more comes after this many bytes.
    stall: int | None = None
    #: One bit of this byte is wrong.
    flip: int | None = None
    #: Seconds between two bytes.
    drip: float = 0.0
    #: Range is not looked at.
    whole: bool = False
    #: Range is obeyed although If-Range says otherwise.
    blind: bool = False
    #: `length`, `chunked`, or `close`: how the end of the body is told.
    end: str = "length"
    #: The connection is closed before an answer.
    silent: bool = False
    #: Answered before anything is sent.
    before: Callable[[], object] | None = None


class Web:
    """Files, what is wrong with the answers, and the requests that came."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.requests: list[tuple[str, str, str]] = []
        self.headers: list[dict[str, str]] = []
        self.closing = threading.Event()
        self.files: dict[str, tuple[bytes, dict[str, str], list[Fault]]] = {}

    def serve(self, path: str, body: bytes, *faults: Fault, **validators: str) -> str:
        """Put a file at a path and return its URL; `etag` and `modified` may be given, or both be empty."""
        tags = {"ETag": validators.get("etag", f'"{md5(body).hexdigest()}"')}
        tags["Last-Modified"] = validators.get("modified", "")
        self.files[path] = body, {name: tag for name, tag in tags.items() if tag}, list(faults)
        return f"{self.address}{path}"

    def cut(self, after: int, **more: object) -> Fault:
        return Fault(cut=after, **more)

    def stall(self, after: int) -> Fault:
        return Fault(stall=after)

    def flip(self, at: int) -> Fault:
        return Fault(flip=at)

    def drip(self, seconds: float) -> Fault:
        return Fault(drip=seconds)

    def status(self, code: int, **headers: str) -> Fault:
        return Fault(code=code, headers={name.replace("_", "-"): text for name, text in headers.items()})

    def redirect(self, to: str, code: int = 302) -> Fault:
        return Fault(code=code, headers={"Location": to})

    def other(self, **facts: object) -> Fault:
        return Fault(**facts)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    web: ClassVar[Web]

    def do_GET(self):
        self.close_connection = True
        with contextlib.suppress(OSError):  # who asked has gone
            self._answer()

    def _answer(self):
        asked, condition = self.headers.get("Range", ""), self.headers.get("If-Range", "")
        self.web.requests.append((self.path, asked, condition))
        self.web.headers.append(dict(self.headers))
        body, tags, faults = self.web.files.get(self.path, (b"", {}, [Fault(code=404)]))
        fault = (faults if self.path not in self.web.files else faults[:1] and [faults.pop(0)]) or [Fault()]
        self._send(fault[0], body, tags, asked, condition)

    def _send(self, fault, body, tags, asked, condition):
        if fault.before:
            fault.before()
        if fault.silent:
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and not fault.whole else 0
        wanted = {self.headers.get("If-None-Match"), self.headers.get("If-Modified-Since")} - {None}
        if wanted & {*tags.values()} and not fault.code:
            fault = Fault(code=304)
        if not fault.blind and condition and condition not in tags.values():
            start = 0
        code = fault.code or (206 if start else 200)
        if start >= len(body) and start:
            code = 416
        text = b"" if code not in (200, 206) else body[start:]
        self.send_response(code)
        for name, value in {**tags, **fault.headers}.items():
            self.send_header(name, value)
        if code == 206:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        if fault.end == "chunked":
            self.send_header("Transfer-Encoding", "chunked")
        if fault.end == "length":
            self.send_header("Content-Length", str(len(text)))
        self.send_header("Connection", "close")
        self.end_headers()
        self._send_body(fault, bytearray(text))

    def _send_body(self, fault, text):
        if fault.flip is not None:
            text[fault.flip] ^= 1
        last = next((place for place in (fault.cut, fault.stall) if place is not None), len(text))
        step = 1 if fault.drip else 2**16
        for place in range(0, min(last, len(text)), step):
            piece = text[place : min(place + step, last)]
            if fault.end == "chunked":
                piece = b"%x\r\n%b\r\n" % (len(piece), piece)
            self.wfile.write(piece)
            self.wfile.flush()
            if fault.drip and self.web.closing.wait(fault.drip):
                return
        if fault.stall is not None:
            self.web.closing.wait(30)
        if fault.end == "chunked" and fault.cut is None:
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *words):
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


@contextlib.contextmanager
def _running(scheme: str, context: ssl.SSLContext | None = None) -> Iterator[Web]:
    handler = type("Handler", (_Handler,), {})
    with _Server(("127.0.0.1", 0), handler) as server:
        if context:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        handler.web = Web(f"{scheme}://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield handler.web
        handler.web.closing.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def no_proxies(monkeypatch) -> None:
    for name in _PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.delenv("REGRAFT_OFFLINE", raising=False)


@pytest.fixture
def web(no_proxies) -> Iterator[Web]:
    with _running("http") as server:
        yield server


@pytest.fixture(scope="session")
def certificate(tmp_path_factory) -> Path:
    """A key and a certificate of 127.0.0.1 that nobody has signed."""
    if not shutil.which("openssl"):
        pytest.skip("there is no openssl to make a certificate")
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=127.0.0.1"
    subject = ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(
        ["openssl", *words.split(), *subject, "-keyout", path, "-out", path.with_name("certificate.pem")],
        check=True,
        capture_output=True,
    )
    path.write_bytes(path.read_bytes() + path.with_name("certificate.pem").read_bytes())
    return path


@pytest.fixture
def secure_web(certificate, no_proxies) -> Iterator[Web]:
    """A server that speaks TLS, with a certificate that is trusted where SSL_CERT_FILE names it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with _running("https", context) as server:
        yield server


@pytest.fixture
def fetcher() -> Callable[..., subprocess.Popen]:
    """Start a process that fetches a file below a root; it prints its tasks, then `at PATH` or an error."""

    def start(root, file, *, flush=2**25, prefix=(), **environment):
        return subprocess.Popen(
            [*prefix, sys.executable, "-c", FETCHER, root, file.model_dump_json(), str(flush)],
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            text=True,
        )

    return start
