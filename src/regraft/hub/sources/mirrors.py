"""Where the files of model hubs are asked for.

`HF_ENDPOINT` names another Hugging Face hub, as it does for that hub's own tools. `REGRAFT_MIRROR` names what
stands for the server of every hub: with `https://mirror.example/hubs` the file
`https://download.pytorch.org/models/x.pth` is asked for at `https://mirror.example/hubs/models/x.pth`.
Addresses that a person gives are asked as they are.
"""

from __future__ import annotations

import os
from urllib.parse import quote, urlsplit

from regraft.records import RemoteFile
from regraft.store.fetch import remote

_HUB = "https://huggingface.co"


def published(url: str) -> RemoteFile:
    """Describe a file at the address at which it is published."""
    mirror = os.environ.get("REGRAFT_MIRROR", "").rstrip("/")
    return remote(f"{mirror}{urlsplit(url).path}" if mirror else url)


def on_hub(repository: str, file: str, revision: str) -> RemoteFile:
    """Describe a file of a repository on the Hugging Face hub; an empty revision is the main branch."""
    endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/") or _HUB
    return published(f"{endpoint}/{repository}/resolve/{quote(revision or 'main', safe='')}/{file}")
