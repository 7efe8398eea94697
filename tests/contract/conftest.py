"""An object storage for the session, and a bucket for each test."""

from __future__ import annotations

import secrets
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

_SERVER = Path(__file__).with_name("bucket_server.py")


@pytest.fixture(scope="session")
def bucket_server() -> Iterator[str]:
    """Run an object storage in a process of its own; return its address."""
    with subprocess.Popen([sys.executable, _SERVER], stdout=subprocess.PIPE, text=True) as child:
        try:
            yield f"http://127.0.0.1:{int(child.stdout.readline())}"
        finally:
            child.terminate()


@pytest.fixture
def cloud(bucket_server, monkeypatch, tmp_path) -> str:
    """Let the environment name the object storage; return its address."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", bucket_server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT", "AWS_ALLOW_HTTP", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return bucket_server


@pytest.fixture
def make_bucket(cloud) -> Callable[..., str]:
    """Make a bucket of a name, by default of a new one; return its address."""

    def make(name: str | None = None) -> str:
        name = name or f"bucket-{secrets.token_hex(4)}"
        request = urllib.request.Request(f"{cloud}/{name}", method="PUT")
        with urllib.request.urlopen(request) as answer:
            assert answer.status == 200
        return f"s3://{name}"

    return make
