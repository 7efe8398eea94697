"""The connection to a bucket: where it is, how long a request may take, and what its errors mean."""

from __future__ import annotations

import os
import re
from datetime import timedelta
from ipaddress import ip_address
from urllib.parse import urlsplit

from obstore.exceptions import PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store

from regraft.errors import NotAllowedError, RegraftError, StorageError


def connect(bucket: str, prefix: str, *, seconds: int) -> S3Store:
    """Prepare the connection to a bucket; each request may take so many seconds.

    Raises NotAllowedError where the bytes would travel unencrypted to another machine.
    """
    found = endpoint()
    if found.startswith("http://") and not _plain_allowed(found):
        raise NotAllowedError(
            f"The storage at {found!r} is not encrypted.",
            hint="Use https, or set AWS_ALLOW_HTTP=true where the network is your own.",
        )
    return S3Store(
        bucket,
        prefix=prefix or None,
        client_options={
            "allow_http": found.startswith("http://"),
            "connect_timeout": timedelta(seconds=5),
            "timeout": timedelta(seconds=seconds),
        },
        # by itself it would go on for three minutes before it says a word
        retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=10)},
    )


def endpoint() -> str:
    """Return where the environment says that the storage is; empty for that of AWS."""
    names = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
    return next((os.environ[name] for name in names if os.environ.get(name)), "")


def is_refusal(error: Exception) -> bool:
    """Tell whether a storage has plainly answered that it did nothing."""
    plain = FileNotFoundError | PermissionDeniedError | UnauthenticatedError
    return isinstance(error, plain) or " status code: 4" in str(error)


def no_bucket(error: Exception) -> bool:
    """Tell whether what is missing is the bucket itself."""
    return "NoSuchBucket" in str(error)


def problem(error: Exception, url: str) -> RegraftError:
    """Say what a storage's refusal means to a person."""
    words = str(error)
    if "/latest/api/token" in words or "/latest/meta-data" in words:  # asked where nothing else was given
        return NotAllowedError(
            f"There are no credentials for {url!r}.", hint="Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
        )
    if isinstance(error, PermissionDeniedError | UnauthenticatedError):
        return NotAllowedError(
            f"{url!r} may not be used with these credentials ({_reason(words)}).",
            hint="Check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and what the bucket allows them.",
        )
    if no_bucket(error):
        return StorageError(
            f"There is no bucket for {url!r}.", hint="Make it, or check AWS_ENDPOINT_URL and AWS_REGION."
        )
    if "incorrectly configured region" in words:
        return StorageError(
            f"The bucket of {url!r} is in another region.", hint="Set AWS_REGION to its region."
        )
    if "HTTP error:" in words:
        place = endpoint() or "AWS"
        return StorageError(
            f"The storage at {place!r} cannot be reached ({_reason(words)}).",
            hint="Check the connection, AWS_ENDPOINT_URL and AWS_REGION.",
        )
    return StorageError(f"The storage of {url!r} refuses ({_reason(words)}).", hint="Try again in a moment.")


def _reason(words: str) -> str:
    """Return the shortest words of an error that say something."""
    patterns = (
        r"<Code>(\w+)</Code>",
        r"status code: (\d+ [A-Z][\w ]*)",
        r'message: "([^"]+)"',
        r"HTTP error: (.+)",
    )
    found = (re.search(pattern, words) for pattern in patterns)
    return next((match[1].strip() for match in found if match), words.partition("\n")[0])


def _plain_allowed(found: str) -> bool:
    if os.environ.get("AWS_ALLOW_HTTP", "").lower() in ("1", "true", "yes"):
        return True
    host = urlsplit(found).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
