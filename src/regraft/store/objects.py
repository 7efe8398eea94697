"""Object storage as a place for a store: S3, and whatever speaks its language.

Endpoint, region and credentials are those of the environment, as AWS's own tools read them
(`AWS_ENDPOINT_URL`, `AWS_REGION`, `AWS_ACCESS_KEY_ID` ...).

A write may be done and its answer lost on the way; whether it is tried again or not, somebody then has to
find out. Equal bytes would not tell our write from that of another with the same content, and an append that
takes its own version for one of somebody else is done twice. So whoever publishes writes a number of chance
beside the bytes, as metadata, and who is told of a conflict reads whose number is there.

An object's time cannot be set. A touch is an empty object beside it, whose time counts where it is the later
one: a pack of 64 MiB does not travel to be kept. Times are whole seconds, by the clock of the storage.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from datetime import datetime

from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
from obstore.store import S3Store

from regraft import durable
from regraft.errors import ConflictError, InvalidError, RegraftError, StorageError, UnknownOutcomeError
from regraft.store.bucket import connect, is_refusal, no_bucket, problem
from regraft.store.storage import Found

#: The name of the metadata that says who published an object.
_WRITER = "regraft-writer"
#: What the name of the object that stands for a touch ends with; no name of a store ends like this.
_TOUCHED = ".touched"
#: So many bytes are sent or fetched within the time of a small request.
_SMALL = 2**20
#: So often a write is tried whose name is taken and given back at the same moment.
_TURNS = 5

#: The threads of obstore live in the process that imported it; in a fork of it, a request would never end.
_PROCESS = os.getpid()
_ADDRESS = re.compile(r"s3://([\w.-]+)((?:/(?!\.{0,2}(?:/|$))[^/?#]+)*)/?", re.ASCII)
_TAKEN = (AlreadyExistsError, PreconditionError)
#: Nothing else is raised for what a storage answers: not there, and everything that obstore has a class for.
_FAILED = (FileNotFoundError, BaseError)


class Objects:
    """The objects below a prefix of a bucket as a storage; it may be pickled, and shared between threads."""

    def __init__(self, url: str) -> None:
        """Take the address `s3://BUCKET/PREFIX`; nothing is sent yet."""
        parts = _ADDRESS.fullmatch(url)
        if not parts:
            raise InvalidError(
                f"{url!r} is not the address of a bucket.", hint="Write s3://BUCKET/PREFIX.", where=url
            )
        self.url = url.rstrip("/")
        self._small = connect(parts[1], parts[2].strip("/"), seconds=30)
        self._large = connect(parts[1], parts[2].strip("/"), seconds=600)

    def put(self, name: str, *chunks: durable.Bytes, point: str) -> None:
        """Publish a new object by a conditional write; raises ConflictError where the name exists.

        Where the answer is lost, the storage is asked who wrote what is there. UnknownOutcomeError where it
        cannot be known.
        """
        writer = secrets.token_hex(16)
        durable.failpoint(f"{point}.publish")
        for _ in range(_TURNS):
            lost: Exception | None = None
            try:
                self._send(name, chunks, writer)
                found: str | None = writer
            except _TAKEN as error:
                found = self._settle(name, error)
            except _FAILED as error:
                if is_refusal(error):
                    raise problem(error, self.url) from error
                lost, found = error, self._settle(name, error)
            if found == writer:
                durable.failpoint(f"{point}.published")
                return
            if found is not None:
                raise ConflictError(f"{f'{self.url}/{name}'!r} exists already.")
            if lost is not None:
                raise self._unknown(name) from lost
        raise StorageError(f"{f'{self.url}/{name}'!r} is written by others.", hint="Run the command again.")

    def swap(self, name: str, *chunks: durable.Bytes, point: str) -> None:
        """Replace an object, or make it; raises UnknownOutcomeError where the answer is lost."""
        durable.failpoint(f"{point}.publish")
        try:
            self._send(name, chunks)
        except _FAILED as error:
            raise (problem(error, self.url) if is_refusal(error) else self._unknown(name)) from error
        durable.failpoint(f"{point}.published")

    def confirm(self, name: str, *, point: str) -> None:
        """Do nothing: what an object storage shows, it keeps."""
        durable.failpoint(f"{point}.published")

    def renew(self, name: str) -> bool:
        """Write the object that stands for a touch, and then tell whether the file is there.

        In this order: a file that is taken away before the touch shows is known to be gone. The touch
        of such a file stays, as it may be that of another writer; it counts for nothing without its file.
        """
        if self._facts(name) is None:
            return False
        try:
            self._send(f"{name}{_TOUCHED}", ())
        except _FAILED as error:
            raise problem(error, self.url) from error
        return self._facts(name) is not None

    def read(self, name: str, *, offset: int = 0, length: int | None = None) -> bytes | None:
        """Fetch the object, or a range of it."""
        if length == 0:
            return None if self._facts(name) is None else b""
        try:
            if length is None:
                whole = self._client(_SMALL + 1).get(
                    name, options={"range": {"offset": offset}} if offset else None
                )
                return bytes(whole.bytes())
            return bytes(self._client(length).get_range(name, start=offset, length=length))
        except _FAILED as error:
            if isinstance(error, FileNotFoundError) and not no_bucket(error):
                return None
            if "416 Range Not Satisfiable" in str(error):  # it ends before the range begins
                return b""
            raise problem(error, self.url) from error

    def find(self, name: str) -> Found | None:
        """Ask for the object's facts, and for those of its touch."""
        facts = self._facts(name)
        if facts is None:
            return None
        size, modified = facts
        _, touched = self._facts(f"{name}{_TOUCHED}") or facts
        return Found(name=name, size=size, modified=max(modified, touched))

    def list(self, folder: str) -> Iterator[Found]:
        """List the objects below a folder, all of them for an empty name; drafts stay unseen."""
        files, touches = {}, {}
        try:
            for page in self._client().list(folder or None, chunk_size=1000):
                for facts in page:
                    modified = facts["last_modified"].timestamp()
                    if facts["path"].endswith(_TOUCHED):
                        touches[facts["path"].removesuffix(_TOUCHED)] = modified
                    elif not facts["path"].rpartition("/")[2].startswith(durable.DRAFT):
                        files[facts["path"]] = (facts["size"], modified)
        except _FAILED as error:
            raise problem(error, self.url) from error
        for name, (size, modified) in files.items():
            yield Found(name=name, size=size, modified=max(modified, touches.get(name, modified)))

    def remove(self, name: str) -> None:
        """Delete the object and its touch."""
        try:
            self._client().delete([name, f"{name}{_TOUCHED}"])
        except FileNotFoundError:
            return
        except BaseError as error:
            raise problem(error, self.url) from error

    def probe(self) -> None:
        """Try whether the storage tells one of two writers of a name; raises StorageError."""
        name = f"{durable.DRAFT}{secrets.token_hex(8)}"
        self.put(name, b"first", point="probe")
        try:
            self.put(name, b"second", point="probe")
            safe = False
        except ConflictError:
            safe = bool(self._writer(name))  # metadata have to be kept, too
        finally:
            self.remove(name)
        if not safe:
            raise StorageError(
                f"The storage at {self.url!r} keeps no versions safe: two may write one name.",
                hint="Use a storage that knows conditional writes (If-None-Match), or a folder.",
            )

    def _client(self, size: int = 0) -> S3Store:
        if os.getpid() != _PROCESS:
            raise StorageError(
                f"A forked process cannot use the storage at {self.url!r}.",
                hint="Start processes by spawn, and open the workspace in them.",
            )
        return self._small if size <= _SMALL else self._large

    def _send(self, name: str, chunks: tuple[durable.Bytes, ...], writer: str = "") -> None:
        """Write an object in one request; with a writer, only where there is none of that name."""
        body = b"".join(chunks)
        self._client(len(body)).put(
            name,
            body,
            mode="create" if writer else "overwrite",
            attributes={_WRITER: writer} if writer else None,
            use_multipart=False,  # in parts it would not be conditional
        )

    def _settle(self, name: str, error: Exception) -> str | None:
        """Find out who wrote what is there, after a write without a clear answer."""
        try:
            return self._writer(name)
        except RegraftError:
            raise self._unknown(name) from error

    def _writer(self, name: str) -> str | None:
        """Return what the writer of an object wrote beside it; None where there is no such object."""
        try:
            return self._client().get(name, options={"head": True}).attributes.get(_WRITER, "")
        except FileNotFoundError:
            return None
        except BaseError as error:
            raise problem(error, self.url) from error

    def _facts(self, name: str) -> tuple[int, float] | None:
        """Return size and time of an object."""
        try:
            facts = self._client().head(name)
        except FileNotFoundError:
            return None
        except BaseError as error:
            raise problem(error, self.url) from error
        modified: datetime = facts["last_modified"]
        return facts["size"], modified.timestamp()

    def _unknown(self, name: str) -> UnknownOutcomeError:
        return UnknownOutcomeError(
            f"{f'{self.url}/{name}'!r} may be written or not: the storage's answer was lost.",
            hint="Check the connection, and whether the new version is listed, before you try again.",
        )
