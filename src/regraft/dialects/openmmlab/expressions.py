"""What the expressions of a config are worth: a reading of the syntax tree, in which nothing is called."""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence

from regraft.dialects.openmmlab import formatting
from regraft.dialects.openmmlab.scope import Scope
from regraft.dialects.openmmlab.tables import Table, copied
from regraft.errors import did_you_mean

#: Names and characters that one value of a config may hold in all.
MOST = 200_000
#: Greater numbers are refused, and so are powers with greater exponents.
_LARGEST, _EXPONENT = 2**63, 64
#: How deep dicts and lists may lie in each other.
DEEPEST = 60

_OPERATORS: Mapping[type[ast.operator], Callable[[object, object], object]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_SIGNS: Mapping[type[ast.unaryop], Callable[[float], float]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
_QUOTED = re.compile(r"\{\{\s*([\w$:.]+)\s*\}\}")


def evaluate(node: ast.expr, scope: Scope) -> object:
    """Return what an expression is worth; raises InvalidRecipe, with the line, for all that is none of it."""
    value = _value(node, scope, 0)
    if _weight(value, MOST, 0) > MOST:
        raise scope.refuse(node, "The value is too large for a config.", "Leave out what is not needed.")
    return value


def _value(node: ast.expr, scope: Scope, depth: int) -> object:
    if depth > DEEPEST:
        raise scope.refuse(node, f"Values lie more than {DEEPEST} deep in each other.", "Name some above.")
    match node:
        case ast.Constant(value=str() as text):
            return _placeholders(text, node, scope)
        case ast.Constant(value=bool() | int() | float() | None as value):
            return _checked(value, node, scope)
        case ast.Dict():
            return _dict(node, scope, depth)
        case ast.List(elts=items):
            return _items(items, scope, depth)
        case ast.Tuple(elts=items):
            return tuple(_items(items, scope, depth))
        case ast.Set(elts=[ast.Set(elts=[inner])]):
            return _braced(ast.unparse(inner), node, scope)  # {{_base_.model}}, without quotes
        case ast.Name(id=name):
            return scope.find(name, node)
        case ast.JoinedStr(values=parts):
            return _checked("".join(_part(part, scope, depth) for part in parts), node, scope)
        case ast.Call():
            return _call(node, scope, depth)
    return _computed(node, scope, depth)


def _computed(node: ast.expr, scope: Scope, depth: int) -> object:
    """Return what follows from other values: a part of one, or a result of arithmetic."""
    match node:
        case ast.Attribute(value=inner, attr=name):
            return _attribute(_value(inner, scope, depth + 1), name, node, scope)
        case ast.Subscript(value=inner, slice=index):
            return _item(_value(inner, scope, depth + 1), index, node, scope, depth)
        case ast.UnaryOp(op=sign, operand=inner) if type(sign) in _SIGNS:
            number = _value(inner, scope, depth + 1)
            if isinstance(number, int | float):
                return _SIGNS[type(sign)](number)
        case ast.UnaryOp(op=ast.Not(), operand=inner):
            return not _value(inner, scope, depth + 1)
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _OPERATORS:
            values = _value(left, scope, depth + 1), _value(right, scope, depth + 1)
            return _binary(values[0], sign, values[1], node, scope)
    raise scope.refuse(node, f"{_shown(node)} cannot be read.")


def _dict(node: ast.Dict, scope: Scope, depth: int) -> Table:
    table = Table()
    for key, value in zip(node.keys, node.values, strict=True):
        if key is None:  # **name
            _unpack(table, _value(value, scope, depth + 1), value, scope)
            continue
        name = _value(key, scope, depth + 1)
        if not isinstance(name, str):
            raise scope.refuse(key, f"{name!r} is a key, and no string.", "Write keys as strings.")
        table.put(name, _value(value, scope, depth + 1), scope.place(key))
    return table


def _call(node: ast.Call, scope: Scope, depth: int) -> object:
    match node.func:
        case ast.Name(id="dict") if "dict" not in scope.names:
            table = Table()
            for argument in node.args:
                _unpack(table, _value(argument, scope, depth + 1), argument, scope)
            for word in node.keywords:
                value = _value(word.value, scope, depth + 1)
                if word.arg is None:
                    _unpack(table, value, word, scope)
                else:
                    table.put(word.arg, value, scope.place(word))
            return table
        case ast.Name(id="list" | "tuple" as kind) if len(node.args) < 2 and not node.keywords:
            items = _items([ast.Starred(value=item) for item in node.args], scope, depth)
            return items if kind == "list" else tuple(items)
        case ast.Attribute(value=inner, attr="format") if not any(word.arg is None for word in node.keywords):
            text = _value(inner, scope, depth + 1)
            if isinstance(text, str):
                words = {str(word.arg): _value(word.value, scope, depth + 1) for word in node.keywords}
                items = _items(node.args, scope, depth)
                return _formatted(lambda: formatting.with_fields(text, items, words), node, scope)
    raise scope.refuse(node, f"{_shown(node.func)} would be called here.")


def _unpack(table: Table, value: object, node: ast.AST, scope: Scope) -> None:
    if not isinstance(value, Table):
        raise scope.refuse(node, f"{_shown(node)} is no dict, and is unpacked as one.")
    for key, item in value.items():
        table.put(key, item, value.places[key])


def _items(nodes: Sequence[ast.expr], scope: Scope, depth: int) -> list[object]:
    items: list[object] = []
    for node in nodes:
        if isinstance(node, ast.Starred):
            value = _value(node.value, scope, depth + 1)
            if not isinstance(value, list | tuple):
                raise scope.refuse(node.value, f"{_shown(node.value)} is no list, and is unpacked as one.")
            items += value
        else:
            items.append(_value(node, scope, depth + 1))
        if len(items) > MOST:
            raise scope.refuse(node, "The value is too large for a config.", "Leave out what is not needed.")
    return items


def _attribute(value: object, name: str, node: ast.expr, scope: Scope) -> object:
    if isinstance(value, Table) and name in value:
        return value[name]
    if isinstance(value, Table):
        near = did_you_mean(name, value, otherwise=f"There is {', '.join(value) or 'nothing'}.")
        raise scope.refuse(node, f"{_shown(node)} is not there.", near)
    raise scope.refuse(node, f"{_shown(node)} cannot be read.")


def _item(value: object, index: ast.expr, node: ast.expr, scope: Scope, depth: int) -> object:
    try:
        if isinstance(index, ast.Slice) and isinstance(value, list | tuple | str):
            parts = (index.lower, index.upper, index.step)
            ends = [None if part is None else _value(part, scope, depth + 1) for part in parts]
            whole = [end for end in ends if isinstance(end, int) or end is None]
            if len(whole) == len(ends):
                return value[slice(*whole)]
        elif isinstance(value, Table):
            return value[str(_value(index, scope, depth + 1))]
        elif isinstance(value, list | tuple | str):
            number = _value(index, scope, depth + 1)
            if isinstance(number, int):
                return value[number]
    except (KeyError, IndexError, ValueError):
        raise scope.refuse(node, f"{_shown(node)} is not there.") from None
    raise scope.refuse(node, f"{_shown(node)} cannot be read.")


def _binary(left: object, sign: ast.operator, right: object, node: ast.expr, scope: Scope) -> object:
    numbers = isinstance(left, int | float) and isinstance(right, int | float)
    if isinstance(left, str) and isinstance(sign, ast.Mod):
        return _formatted(lambda: formatting.by_percent(left, right), node, scope)
    kinds = [kind for kind in (str, list, tuple) if isinstance(left, kind) and isinstance(right, kind)]
    joined = isinstance(sign, ast.Add) and bool(kinds)
    repeated = isinstance(sign, ast.Mult) and isinstance(left, str | list | tuple) and isinstance(right, int)
    if repeated and isinstance(left, str | list | tuple) and isinstance(right, int):
        if len(left) * right > MOST:
            raise scope.refuse(node, "The value is too large for a config.", "Write less of it.")
    elif isinstance(sign, ast.Pow) and numbers and isinstance(right, int | float) and abs(right) > _EXPONENT:
        raise scope.refuse(node, f"{right!r} is too large for an exponent.", "Write the number itself.")
    if not (numbers or joined or repeated):
        raise scope.refuse(node, f"{_shown(node)} cannot be computed.")
    try:
        return _checked(_OPERATORS[type(sign)](left, right), node, scope)
    except (ArithmeticError, ValueError, TypeError) as error:
        raise scope.refuse(node, f"{_shown(node)} cannot be computed: {error}.") from None


def _part(part: ast.expr, scope: Scope, depth: int) -> str:
    """Return a piece of an f-string."""
    if isinstance(part, ast.FormattedValue) and part.conversion == -1:
        spec = part.format_spec
        plain = spec.values[0] if isinstance(spec, ast.JoinedStr) and len(spec.values) == 1 else None
        words = plain.value if isinstance(plain, ast.Constant) else ""
        if spec is None or words:
            value = _value(part.value, scope, depth + 1)
            return _formatted(lambda: formatting.written(value, str(words)), part, scope)
    elif isinstance(part, ast.Constant) and isinstance(part.value, str):
        return part.value
    raise scope.refuse(part, f"{_shown(part)} cannot be read.")


def _formatted(make: Callable[[], str], node: ast.expr, scope: Scope) -> str:
    try:
        text = make()
    except ValueError:
        raise scope.refuse(node, f"{_shown(node)} cannot be formatted.") from None
    _checked(text, node, scope)
    return text


def _inserted(name: str, node: ast.expr, scope: Scope) -> str:
    value = _braced(name, node, scope)
    return _formatted(lambda: formatting.written(value), node, scope)


def _placeholders(text: str, node: ast.expr, scope: Scope) -> object:
    """Put values for what a string names in double braces; one that is nothing else becomes the value."""
    if whole := _QUOTED.fullmatch(text.strip()):
        return _braced(whole[1], node, scope)
    return _checked(
        _QUOTED.sub(lambda found: _inserted(found[1], node, scope), text),
        node,
        scope,
    )


def _braced(name: str, node: ast.expr, scope: Scope) -> object:
    if name in scope.known:
        return scope.known[name]
    if name.startswith("_base_."):
        value: object = scope.names.get("_base_", Table())
        scope.used.add(name.split(".")[1])
        for word in name.split(".")[1:]:
            if isinstance(value, list | tuple) and word.isdigit() and int(word) < len(value):
                value = value[int(word)]
            elif isinstance(value, Table) and word in value:
                value = value[word]
            else:
                known = list(value) if isinstance(value, Table) else []
                near = did_you_mean(word, known, otherwise="It has to be in a file of _base_.")
                raise scope.refuse(node, f"There is no {word!r} for '{{{{{name}}}}}'.", near)
        return copied(value)
    hint = f"There is {', '.join(f'{{{{{known}}}}}' for known in scope.known)}, and {{{{_base_.NAME}}}}."
    raise scope.refuse(node, f"'{{{{{name}}}}}' cannot be read.", hint)


def _checked(value: object, node: ast.expr, scope: Scope) -> object:
    """Return a value if it is one that a config may hold."""
    if isinstance(value, float) and not math.isfinite(value):
        raise scope.refuse(node, f"{_shown(node)} is not finite.", "Write a finite number.")
    if isinstance(value, complex) or (isinstance(value, int | float) and abs(value) > _LARGEST):
        raise scope.refuse(node, f"{_shown(node)} is too large a number.", "Write a smaller one.")
    if isinstance(value, str | list | tuple) and len(value) > MOST:
        raise scope.refuse(node, "The value is too large for a config.", "Write less of it.")
    return value


def _weight(value: object, most: int, depth: int) -> int:
    """Count the names and characters in a value, not much further than `most`; too deep is too many."""
    if isinstance(value, str):
        return 1 + len(value)
    if depth > DEEPEST:
        return most + 1
    weight = 1
    items = value.values() if isinstance(value, Table) else value if isinstance(value, list | tuple) else ()
    for item in items:
        weight += _weight(item, most - weight, depth + 1)
        if weight > most:
            break
    return weight


def _shown(node: ast.AST) -> str:
    """Quote source, as far as a message has room for it."""
    try:
        text = " ".join(ast.unparse(node).split())
    except RecursionError:
        text = "..."
    return repr(text if len(text) <= 60 else f"{text[:57]}...")
