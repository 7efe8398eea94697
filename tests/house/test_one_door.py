"""Nobody but `durable.py` writes: a reading of every module's syntax tree."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import regraft

SOURCES = Path(regraft.__file__).parent
DOOR = SOURCES / "durable.py"

#: Modules that write, or that read what may carry code.
MODULES = {
    "shutil",
    "tempfile",
    "pickle",
    "cloudpickle",
    "joblib",
    "dill",
    "marshal",
    "shelve",
    "dbm",
    "sqlite3",
}
#: Names of modules that open files for writing, or change the tree of files.
NAMES = {
    f"{module}.{name}"
    for module, names in {
        "os": "rename renames replace link symlink unlink remove mkdir makedirs rmdir removedirs truncate "
        "ftruncate mkfifo mknod chmod write pwrite sendfile copy_file_range "
        "O_WRONLY O_RDWR O_CREAT O_APPEND O_TRUNC O_EXCL O_TMPFILE",
        "torch": "save",
        "numpy": "save savez savez_compressed savetxt memmap",
        "numpy.lib.format": "open_memmap",
        "logging": "FileHandler",
    }.items()
    for name in names.split()
}
#: Methods that write wherever they are found.
METHODS = {
    "write_text",
    "write_bytes",
    "touch",
    "unlink",
    "rename",
    "rmdir",
    "mkdir",
    "symlink_to",
    "hardlink_to",
    "chmod",
    "lchmod",
    "save_file",
    "tofile",
    "savefig",
    "FileHandler",
}
#: Functions that write to a path or to a buffer, and where they are told which.
TARGETS = {"save": 0, "write_table": 1}
BUFFERS = {"buffer", "sink"}
OPENERS = {"open", "fdopen", "ZipFile"}

_MODE = re.compile(r"[rwaxbtU+]{1,4}([:|](gz|bz2|xz|\*)?)?")


def writes(source: str) -> list[str]:
    """Name every place where a module might write, as `line: what`."""
    tree = ast.parse(source)
    homes = dict(_imports(tree))
    found = []
    for node in ast.walk(tree):
        found += [(node.lineno, what) for what in _found(node, homes)]
    return [f"{line}: {what}" for line, what in sorted(set(found))]


def _imports(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield the names that a module binds by importing, and what each stands for."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield (alias.asname, alias.name) if alias.asname else (alias.name.split(".")[0],) * 2
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"


def _found(node: ast.AST, homes: dict[str, str]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name.split(".")[0] in MODULES)
    if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in MODULES:
        yield str(node.module)
    if isinstance(node, ast.ImportFrom):
        full = [f"{node.module}.{alias.name}" for alias in node.names]
        yield from (name for name in full if name in NAMES or name.endswith(".save_file"))
    if isinstance(node, ast.Name | ast.Attribute) and (full_name := _resolve(node, homes)) in NAMES:
        yield full_name
    if isinstance(node, ast.Attribute) and node.attr in METHODS:
        yield f".{node.attr}"
    if isinstance(node, ast.Call):
        yield from _found_call(node)


def _found_call(call: ast.Call) -> Iterator[str]:
    name, method = _called(call)
    if name in OPENERS and _opens_for_writing(call, method=method):
        yield f"{name} for writing"
    if method and name in TARGETS and not _is_buffer(call, TARGETS[name]):
        yield f".{name}"
    if method and name == "replace" and len(call.args) == 1 and not call.keywords:  # text has two
        yield ".replace"


def _resolve(node: ast.AST, homes: dict[str, str]) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_resolve(node.value, homes)}.{node.attr}"
    return homes.get(node.id, node.id) if isinstance(node, ast.Name) else ""


def _called(call: ast.Call) -> tuple[str, bool]:
    """Return the last word of what is called, and whether it hangs on something."""
    if isinstance(call.func, ast.Attribute):
        return call.func.attr, True
    return (call.func.id, False) if isinstance(call.func, ast.Name) else ("", False)


def _opens_for_writing(call: ast.Call, *, method: bool) -> bool:
    named = [word.value for word in call.keywords if word.arg == "mode"]
    if named:
        return not _reads(named[0])
    if any(word.arg is None for word in call.keywords) or any(isinstance(a, ast.Starred) for a in call.args):
        return True  # nobody can tell
    if not method and len(call.args) > 1:
        return not _reads(call.args[1])
    return any(_is_mode(word) and not _reads(word) for word in call.args[:2])


def _is_mode(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and bool(_MODE.fullmatch(str(node.value)))


def _reads(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and not set("wax+") & set(str(node.value).partition(":")[0])


def _is_buffer(call: ast.Call, position: int) -> bool:
    target = call.args[position] if len(call.args) > position else None
    return isinstance(target, ast.Name) and target.id in BUFFERS


@pytest.mark.parametrize(
    "planted",
    [
        "open(path, 'w')",
        "open(path, 'ab')",
        "open(path, 'x')",
        "open(path, 'r+b')",
        "open(path, mode='wt')",
        "open(path, mode)",
        "open(path, mode=mode)",
        "open(*words)",
        "open(path, **words)",
        "path.open('w')",
        "path.open('rb+')",
        "path.open(mode='a')",
        "import os\nos.fdopen(handle, 'wb')",
        "import io\nio.open(path, 'w')",
        "import gzip\ngzip.open(path, 'wb')",
        "import tarfile\ntarfile.open(path, 'w:gz')",
        "from zipfile import ZipFile\nZipFile(path, 'w')",
        "import os\nos.open(path, os.O_WRONLY | os.O_CREAT)",
        "from os import O_RDWR",
        *(
            f"import os\nos.{name}(path)"
            for name in [
                "rename",
                "replace",
                "link",
                "unlink",
                "remove",
                "mkdir",
                "makedirs",
                "rmdir",
                "truncate",
                "symlink",
                "chmod",
            ]
        ),
        "import os as system\nsystem.rename(old, new)",
        "from os import rename as move\nmove(old, new)",
        "import os\nmove = os.replace",
        "import shutil",
        "from shutil import copytree",
        "import shutil as files",
        *(
            f"path.{name}(it)"
            for name in [
                "write_text",
                "write_bytes",
                "touch",
                "unlink",
                "rename",
                "mkdir",
                "rmdir",
                "symlink_to",
                "hardlink_to",
                "chmod",
            ]
        ),
        "path.replace(target)",
        "keep = path.write_bytes",
        "import torch\ntorch.save(state, path)",
        "from torch import save\nsave(state, path)",
        "import torch as t\nkeep = t.save",
        "import numpy as np\nnp.save(path, array)",
        "import numpy as np\nnp.savez(path, array)",
        "import numpy as np\nnp.savez_compressed(path, array)",
        "import numpy as np\nnp.savetxt(path, array)",
        "from numpy import savez",
        "array.tofile(path)",
        "image.save(path)",
        "image.save('thumbnail.png')",
        "image.save(fp=path)",
        "import pyarrow.parquet as pq\npq.write_table(table, path)",
        "from safetensors.torch import save_file",
        "import safetensors.torch\nsafetensors.torch.save_file(state, path)",
        "import logging\nlogging.FileHandler(path)",
        "import tempfile",
        "from tempfile import TemporaryDirectory",
        "import pickle",
        "from pickle import loads",
        "import joblib",
        "import dill",
        "import marshal",
        "import shelve",
        "def late():\n    import pickle",
    ],
)
def test_what_writes_is_found(planted):
    found = writes(f"first = 1\n{planted}\n")

    assert found


@pytest.mark.parametrize(
    "innocent",
    [
        "open(path)",
        "open(path, 'rb')",
        "open(path, mode='r', encoding='utf-8')",
        "path.open('rb')",
        "path.read_bytes()",
        "from PIL import Image\nImage.open(stream, formats=('PNG',))",
        "import webbrowser\nwebbrowser.open(page.as_uri())",
        "import regraft\nregraft.open(home)",
        "import os\nos.open(path, os.O_RDONLY)",
        "import os\nos.path.join(folder, 'w')",
        "'text'.replace('a', 'b')",
        "moment.replace(tzinfo=None)",
        "from dataclasses import replace\nreplace(item, data=b'')",
        "from safetensors.torch import save\nsave({'weight': tensor})",
        "image.save(buffer, format='PNG')",
        "import pyarrow.parquet as pq\npq.write_table(table, sink)",
        "import sys\nsys.stdout.buffer.write(body)",
        "from regraft import durable\ndurable.remove(path)\ndurable.put(path, body)",
    ],
)
def test_what_only_reads_is_let_through(innocent):
    found = writes(innocent)

    assert found == []


def test_the_place_is_named():
    source = "from pathlib import Path\n\n\ndef keep(path):\n    path.write_text('x')\n"

    found = writes(source)

    assert found == ["5: .write_text"]


def test_the_door_itself_would_be_found():
    found = writes(DOOR.read_text(encoding="utf-8"))

    words = {line.partition(": ")[2] for line in found}
    assert {"open for writing", "os.link", "os.replace", ".mkdir", ".unlink"} <= words


def test_nobody_but_the_door_writes():
    modules = sorted(path for path in SOURCES.rglob("*.py") if path != DOOR)

    found = {
        path.relative_to(SOURCES).as_posix(): places
        for path in modules
        if (places := writes(path.read_text(encoding="utf-8")))
    }

    assert len(modules) > 40
    assert found == {}
