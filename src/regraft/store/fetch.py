"""Downloads: files from the network, kept below one folder, resumed where they broke off, verified always."""

from __future__ import annotations

import logging
import os
import re
import time
from itertools import count
from pathlib import Path
from urllib.parse import unquote, urlsplit

from regraft import durable
from regraft.errors import FetchError, IntegrityError, InvalidError, OfflineError
from regraft.progress import Progress
from regraft.records import RemoteFile
from regraft.store import transfer
from regraft.store.slot import DIGITS, Part, Slot, Sums, sums_of
from regraft.store.transfer import Answer, Failure, public

log = logging.getLogger(__name__)

#: How often a URL is tried, and the seconds before the second time; they double.
TRIES = 3
BACKOFF = 1.0
#: A server that wants to be left alone for longer is not waited for, in seconds.
LONGEST_WAIT = 30.0
#: After this many bytes the disk is asked to confirm them; only what it has confirmed is resumed.
FLUSH = 32 * 2**20


def remote(
    url: str, *, sha256: str = "", sha1: str = "", md5: str = "", size: int | None = None
) -> RemoteFile:
    """Describe the file at a URL, with what is known of it; its name is taken from the URL.

    Raises InvalidError where the URL or a checksum cannot be one.
    """
    url = url.strip()
    _check_url(url)
    last = unquote(urlsplit(url).path).rstrip("/").rpartition("/")[2]
    name = re.sub(r"[^\w.+-]+", "-", last).encode()[-100:].decode(errors="ignore")  # the end tells the kind
    sums = {"sha256": sha256.strip().lower(), "sha1": sha1.strip().lower(), "md5": md5.strip().lower()}
    file = RemoteFile(name=name.lstrip(".-") or "download", urls=(url,), size=size, **sums)
    _check(file)
    return file


def is_offline() -> bool:
    """Tell whether a person wants nothing to be fetched."""
    return os.environ.get("REGRAFT_OFFLINE", "0") not in ("", "0")


class Downloads:
    """A folder of downloaded files."""

    def __init__(self, root: Path, *, offline: bool = False) -> None:
        self._root = root
        self._offline = offline

    def fetch(self, file: RemoteFile, progress: Progress) -> Path:
        """Return where a file lies on this machine; download it where it is not there yet.

        Its bytes are verified every time. Where no checksum is known the server is asked each time whether
        it has another file by now. Of several processes that want the same file one downloads it.
        Raises FetchError where it cannot be had, IntegrityError where something else comes in its place,
        InvalidError where it is described wrongly.
        """
        _check(file)
        slot = Slot(self._root, file)
        # a name alone proves nothing: two sets may both have a train.zip
        places = [slot.path, slot.own] if sums_of(file) else [slot.path]
        problems = [slot.problem(place, progress) for place in places]
        offline = self._offline or is_offline()
        if "" in problems and (offline or sums_of(file)):
            return places[problems.index("")]
        wrong = [f"{str(place)!r} has {said}" for place, said in zip(places, problems, strict=True) if said]
        if offline and problems[0] is None:
            raise _missing(slot, wrong)
        for words in wrong:
            log.warning("%s.", words)
        waiting = f"Waiting for another process to fetch {file.name}"
        with durable.hold(slot.lock, busy=lambda: progress(waiting, 0, 1)):
            if slot.problem(slot.path, progress) == "":
                if not sums_of(file):
                    _renew(slot, progress)
                return slot.path
            slot.drop()
            if offline:
                raise _missing(slot, wrong)
            _download(slot, progress)
        return slot.path


def _renew(slot: Slot, progress: Progress) -> None:
    """Take what the server has by now in place of a copy that nothing proves; without a server it stays."""
    try:
        _download(slot, progress)
    except FetchError as error:
        log.warning("%s The copy that came earlier is used.", error)


def _download(slot: Slot, progress: Progress) -> None:
    """Take a file from the first of its URLs that gives it."""
    errors: list[FetchError | IntegrityError] = []
    for url in slot.file.urls:
        try:
            _try_often(slot, url, progress)
        except (FetchError, IntegrityError) as error:
            errors.append(error)
        else:
            for passed in errors:  # where all fail they are raised
                log.warning("%s", passed)
            return
    if len(errors) == 1:
        raise errors[0]
    kind = IntegrityError if all(isinstance(error, IntegrityError) for error in errors) else FetchError
    said = " ".join(map(str, errors))
    raise kind(f"None of the {len(errors)} URLs of {slot.file.name!r} gives it: {said}", hint=_by_hand(slot))


def _try_often(slot: Slot, url: str, progress: Progress) -> None:
    for attempt in count():
        try:
            _try(slot, url, progress)
        except Failure as failure:
            pause = BACKOFF * 2**attempt if failure.wait is None else failure.wait
            if attempt + 1 == TRIES or not failure.retry or pause > LONGEST_WAIT:
                raise FetchError(failure.message, hint=failure.hint or _by_hand(slot)) from None
            log.info("%s Trying again in %.0f s.", failure.message, pause)
            time.sleep(pause)
        else:
            return


def _try(slot: Slot, url: str, progress: Progress) -> None:
    """Go on with what has come, or begin, and publish the file when it is whole and right."""
    file, known = slot.file, sums_of(slot.file)
    part, sums = slot.read_note(url), Sums(slot.file, known)
    unless = "" if known else slot.read_validator(url)
    with transfer.get(
        url, start=part.done, total=part.size, validator=part.validator, unless=unless
    ) as answer:
        if answer.unchanged:
            return
        if file.size is not None and answer.total not in (None, file.size):
            slot.drop_part()
            raise _not_the_file(slot, url, f"{answer.total:,} bytes instead of {file.size:,}")
        if answer.start:
            try:
                sums.read(slot.part, answer.start, progress)
            except OSError as error:
                raise durable.unreadable(error, slot.part) from error
        _receive(slot, url, answer, sums, progress)
    if wrong := sums.problem():
        slot.drop_part()
        if not answer.start:
            raise _not_the_file(slot, url, wrong)
        _try(slot, url, progress)  # from the beginning: what came earlier may be what is wrong
        return
    if not known:
        durable.remove(slot.origin)
        slot.remember(sums.hex("sha256"))
    durable.publish(slot.part, slot.path, point="fetch")
    if not known and answer.validator:
        slot.write_origin(Part(url=public(url), validator=answer.validator, size=sums.size, done=sums.size))
    durable.remove(slot.note)


def _receive(slot: Slot, url: str, answer: Answer, sums: Sums, progress: Progress) -> None:
    """Write what comes behind what is there; where no end is known it counts as one unit of work."""
    task, size = f"Fetching {slot.file.name}", slot.file.size
    total = answer.total if size is None else size
    part = Part(url=public(url), validator=answer.validator, size=answer.total, done=0)
    with durable.grow(slot.part, keep=answer.start, point="fetch") as grown:
        slot.write_note(part, answer.start)
        progress(task, *((0, 1) if total is None else (sums.size, total)))
        try:
            for piece in answer.pieces:
                grown.write(piece)
                sums.update(piece)
                if size is not None and sums.size > size:
                    return  # a server that never ends shall not fill the disk
                if sums.size - grown.kept >= FLUSH:
                    grown.flush()
                    slot.write_note(part, grown.kept)
                if total is not None:
                    progress(task, sums.size, total)
        except BaseException:
            grown.flush()
            slot.write_note(part, grown.kept)
            raise
    if total is None:
        progress(task, 1, 1)


def _not_the_file(slot: Slot, url: str, problem: str) -> IntegrityError:
    return IntegrityError(
        f"What {public(url)!r} gives is not {slot.file.name!r}: it has {problem}.",
        hint="It was changed at its source or on the way. Compare the checksum with its publisher's.",
    )


def _missing(slot: Slot, wrong: list[str]) -> OfflineError:
    said = f" ({'; '.join(wrong)})" if wrong else ""
    return OfflineError(
        f"{slot.file.name!r} is not on this machine{said}, and Regraft works offline.", hint=_by_hand(slot)
    )


def _by_hand(slot: Slot) -> str:
    """Say which file a person should put where."""
    file, sums = slot.file, sums_of(slot.file)
    facts = [f"{file.size:,} bytes"] if file.size is not None else []
    facts += [f"{kind} {known}" for kind, known in sums.items()]
    what = f"{file.name} ({', '.join(facts)})" if facts else file.name
    return f"Take {what} from {public(file.urls[0])} and put it at {slot.own if sums else slot.path}."


def _check(file: RemoteFile) -> None:
    """Raise InvalidError where a file is described wrongly."""
    name = file.name
    if not re.fullmatch(r"[^./\\\0-\x1f][^/\\\0-\x1f]*", name) or len(name.encode()) > 200:
        raise InvalidError(f"{name!r} cannot be the name of a file.", hint="Give a plain one.", where="name")
    if not file.urls:
        raise InvalidError(f"{name!r} has no URL.", hint="Say where it can be had.", where="urls")
    for url in file.urls:
        _check_url(url)
    if file.size is not None and file.size < 0:
        raise InvalidError(f"{name!r} cannot have {file.size} bytes.", hint="Leave it out.", where="size")
    for kind, value in sums_of(file).items():
        _check_sum(kind, value)


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or re.search(r"[\0-\x20\x7f]", url):
        raise InvalidError(
            f"{public(url)!r} is no URL that can be fetched.",
            hint="Give one such as https://example.org/pictures.zip; http and https are understood.",
            where="urls",
        )


def _check_sum(kind: str, value: str) -> None:
    if re.fullmatch(f"[0-9a-f]{{{DIGITS[kind]}}}", value):
        return
    other = next((name for name, digits in DIGITS.items() if len(value) == digits and name != kind), None)
    raise InvalidError(
        f"{value!r} is no {kind}: that has {DIGITS[kind]} hexadecimal digits.",
        hint=f"It is as long as a {other}: give it as one." if other else "Copy the checksum again.",
        where=kind,
    )
