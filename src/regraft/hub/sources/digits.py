"""Files whose names end in the first digits of their sha256, as torchvision and OpenMMLab publish them."""

from __future__ import annotations

import re
from hashlib import file_digest
from pathlib import Path

from regraft import durable
from regraft.errors import IntegrityError

_DIGITS = re.compile(r"-([0-9a-f]{8,})\.pth$")


def compared(path: Path, url: str) -> Path:
    """Return a file that came from an address, if it is the one that the address says.

    Raises IntegrityError where it is not, and removes it.
    """
    digits = _DIGITS.search(url)
    with path.open("rb") as file:
        found = file_digest(file, "sha256").hexdigest()
    if digits and not found.startswith(digits[1]):
        durable.remove(path)  # nothing else would ever doubt it
        raise IntegrityError(
            f"The file {path.name!r} that came has sha256 {found}, and its name says that it begins with "
            f"{digits[1]}.",
            hint="It was changed on the way or on this machine, and has been removed. Try again, or look at "
            "REGRAFT_MIRROR.",
        )
    return path
