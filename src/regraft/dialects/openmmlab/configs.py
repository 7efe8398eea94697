"""Read a config with all that it inherits from: its statements are looked at, and never executed."""

from __future__ import annotations

import ast
import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from regraft import durable
from regraft.data.sources.readers import expand
from regraft.dialects.openmmlab.expressions import DEEPEST, evaluate
from regraft.dialects.openmmlab.scope import ALLOWED, Scope
from regraft.dialects.openmmlab.tables import Place, Table, copied, invalid, merge
from regraft.errors import InvalidRecipe, NotFoundError, did_you_mean

#: The `_base_` files that come with Regraft.
SHIPPED = Path(__file__).resolve().parent / "configs" / "_base_"
#: Longer files are no configs, in bytes.
_LONGEST = 2**20
#: So many files may inherit from each other in a row.
_CHAIN = 16

_STATEMENTS = {
    ast.Import: "imports a module",
    ast.ImportFrom: "imports from a module",
    ast.FunctionDef: "defines a function",
    ast.ClassDef: "defines a class",
    ast.If: "asks for a condition",
    ast.For: "has a loop",
    ast.While: "has a loop",
    ast.With: "has a with block",
    ast.Try: "has a try block",
    ast.Expr: "only computes something",
}


@dataclass(frozen=True, kw_only=True)
class Config:
    """A config and what it inherits, in one table that needs no other file."""

    path: Path
    table: Table
    #: Names that other values are made of: a pipeline, the numbers of a normalisation.
    used: frozenset[str]
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Read:
    table: Table
    used: frozenset[str]
    #: Bases that come with Regraft.
    shipped: tuple[str, ...]


def read(path: str | Path) -> Config:
    """Read a config of OpenMMLab, `.py` or `.json`.

    A file of `_base_` that is not there is looked for among those that come with Regraft. Raises
    NotFoundError, or InvalidRecipe, with file and line, for whatever is no plain value.
    """
    file = expand(path)
    found = _read(file, str(path), (), own=True)
    notes = (
        [f"Not there, so that those of Regraft are taken: {', '.join(found.shipped)}."]
        if found.shipped
        else []
    )
    return Config(path=file, table=merge(found.table, Table()), used=found.used, notes=tuple(notes))


def _read(file: Path, name: str, chain: tuple[tuple[Path, str], ...], *, own: bool) -> _Read:
    here = file.resolve()
    if here in [above for above, _ in chain]:
        names = " -> ".join([*(above for _, above in chain), name])
        raise InvalidRecipe(
            f"{name!r} inherits from itself: {names}.", hint="Take one of them out of _base_.", where=name
        )
    if len(chain) > _CHAIN:
        raise InvalidRecipe(
            f"More than {_CHAIN} files inherit from each other.", hint="Join some.", where=name
        )
    chain = (*chain, (here, name))
    scope = Scope(name, own=own, known=_predefined(here))
    if file.suffix == ".json":
        own_table, bases = _parsed_json(file, name, own=own)
        listed, place = bases, Place(file=name, own=own)
        inherited = _inherit(listed, file, place, chain)
    else:
        module = _parsed(file, name)
        listed, place = _bases(module, scope)
        inherited = _inherit(listed, file, place, chain)
        scope.names["_base_"] = inherited.table
        own_table = _executed(module, scope)
    return _Read(
        table=merge(inherited.table, own_table),
        used=inherited.used | scope.used,
        shipped=inherited.shipped,
    )


def _parsed(file: Path, name: str) -> ast.Module:
    if file.suffix != ".py":
        raise InvalidRecipe(
            f"{name!r} is no config that Regraft reads.",
            hint="Give a .py or .json file; a native recipe (.toml) goes with --recipe.",
            where=name,
        )
    text = _text(file, name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            return ast.parse(text, filename=name)
    except SyntaxError as error:
        place = Place(file=name, line=error.lineno or 0)
        raise invalid(place, f"This is not Python: {error.msg}.", where=str(place)) from None
    except (ValueError, RecursionError, MemoryError):
        raise InvalidRecipe(f"{name!r} is not Python, or nested too deep.", where=name) from None


def _text(file: Path, name: str) -> str:
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        near = [str(Path(name).with_name(other.name)) for other in file.absolute().parent.glob("*.py")]
        raise NotFoundError(f"There is no config {name!r}.", hint=did_you_mean(name, near)) from None
    except OSError as error:
        raise durable.unreadable(error, file) from error
    if len(data) > _LONGEST:
        raise InvalidRecipe(f"{name!r} is too long for a config: {len(data):,} bytes.", where=name)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidRecipe(f"{name!r} is not text in UTF-8.", where=name) from None


def _parsed_json(file: Path, name: str, *, own: bool) -> tuple[Table, list[str]]:
    place = Place(file=name, own=own)

    def table(value: object, depth: int = 0) -> object:
        if depth > DEEPEST:
            raise ValueError(f"values lie more than {DEEPEST} deep in each other")
        if isinstance(value, dict):
            made = Table()
            for key, item in value.items():
                made.put(key, table(item, depth + 1), place)
            return made
        return [table(item, depth + 1) for item in value] if isinstance(value, list) else value

    def refuse(word: str) -> NoReturn:
        raise ValueError(f"{word} is not finite")

    text = _text(file, name)
    try:
        made = table(json.loads(text, parse_constant=refuse))
    except (ValueError, RecursionError) as error:
        raise invalid(place, f"This is not JSON that can be read: {error}.", where=name) from None
    if not isinstance(made, Table):
        raise invalid(place, "This is no JSON object.", where=name)
    return made, _as_names(made.pop("_base_", []), place)


def _bases(module: ast.Module, scope: Scope) -> tuple[list[str], Place]:
    """Find what a file inherits from before anything else of it is looked at."""
    for node in module.body:
        if isinstance(node, ast.Assign) and [getattr(t, "id", "") for t in node.targets] == ["_base_"]:
            return _as_names(evaluate(node.value, scope), scope.place(node)), scope.place(node)
    return [], Place(file=scope.file, own=scope.own)


def _as_names(value: object, place: Place) -> list[str]:
    names = [value] if isinstance(value, str) else value
    if isinstance(names, list | tuple) and all(isinstance(name, str) for name in names):
        return [str(name) for name in names]
    raise invalid(
        place, f"_base_ cannot be {value!r}.", hint="Name a file, or a list of files.", where="_base_"
    )


def _inherit(names: list[str], file: Path, place: Place, chain: tuple[tuple[Path, str], ...]) -> _Read:
    """Read the bases of a file; no two of them may say the same key."""
    table, used, shipped = Table(), frozenset[str](), list[str]()
    for name in names:
        path, shown = _locate(name, file, place)
        read = _read(path, shown, chain, own=False)
        for key, value in read.table.items():
            if key in table:
                raise invalid(
                    place,
                    f"Two bases say {key!r}: {table.places[key]} and {read.table.places[key]}.",
                    hint=f"Keep {key!r} in one of them, or let one inherit from the other.",
                    where=key,
                )
            table.put(key, value, read.table.places[key])
        used |= read.used
        ours = path.is_relative_to(SHIPPED) and not file.resolve().is_relative_to(SHIPPED)
        shipped += [*([name] if ours else []), *read.shipped]
    return _Read(table=table, used=used, shipped=tuple(shipped))


def _locate(name: str, file: Path, place: Place) -> tuple[Path, str]:
    """Return where a base is, and what to call it."""
    if "::" in name or "://" in name:
        raise invalid(
            place,
            f"{name!r} lies in another package or on the network.",
            hint="Copy the file, and name the copy.",
            where="_base_",
        )
    beside = (file.parent / Path(name).expanduser()).resolve()
    if beside.is_file():
        return beside, _shown(beside)
    within = name.rpartition("_base_/")[2]
    known = {path.relative_to(SHIPPED).as_posix(): path for path in sorted(SHIPPED.rglob("*.py"))}
    if within in known:
        return known[within], _shown(known[within])
    near = did_you_mean(within, known, otherwise=f"Regraft brings along: {', '.join(known)}.")
    raise NotFoundError(f"{place}: There is no file {name!r} to inherit from.", hint=near)


def _shown(path: Path) -> str:
    """Return what to call a file: from the working folder, or as one of those that come along."""
    if path.is_relative_to(SHIPPED):
        return f"_base_/{path.relative_to(SHIPPED).as_posix()}"
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _predefined(file: Path) -> dict[str, object]:
    return {
        "fileDirname": str(file.parent),
        "fileBasename": file.name,
        "fileBasenameNoExtension": file.stem,
        "fileExtname": file.suffix,
    }


def _executed(module: ast.Module, scope: Scope) -> Table:
    """Go through the statements of a file; return its names, in their order."""
    table = Table()
    for node in module.body:
        match node:
            case ast.Expr(value=ast.Constant(value=str())):
                continue  # a docstring
            case ast.Pass():
                continue
            case ast.Assign(targets=targets, value=value) if all(isinstance(t, ast.Name) for t in targets):
                worth = evaluate(value, scope)
                for target in targets:
                    _define(str(getattr(target, "id", "")), worth, node, scope, table)
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                _define(name, evaluate(value, scope), node, scope, table)
            case ast.AugAssign(target=ast.Name(id=name) as target, op=sign, value=value):
                whole = ast.BinOp(left=ast.Name(id=name, ctx=ast.Load()), op=sign, right=value)
                _define(name, evaluate(ast.copy_location(whole, target), scope), node, scope, table)
            case ast.Delete(targets=[ast.Name(id=name)]):
                scope.find(name, node)
                del scope.names[name]
                table.pop(name, None)
            case _:
                _refuse(node, scope)
    return table


def _define(name: str, value: object, node: ast.stmt, scope: Scope, table: Table) -> None:
    if name == "_base_":
        return
    scope.names[name] = value
    if not name.startswith("__"):
        table.put(name, copied(value), scope.place(node))


def _refuse(node: ast.stmt, scope: Scope) -> NoReturn:
    words = next((said for kind, said in _STATEMENTS.items() if isinstance(node, kind)), "cannot be read")
    hint = ALLOWED
    if isinstance(node, ast.With | ast.ImportFrom) and "read_base" in ast.unparse(node):
        hint = "Configs in the pure Python style are programs. Write the bases as _base_ = ['FILE', ...]."
    if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign | ast.Delete):
        words = "changes a part of a value"
        hint = "Write the whole value, or dict(**NAME, key=value)."
    raise scope.refuse(node, f"The line {words}.", hint)
