"""Small mistakes, made on purpose: every way in which one line of a function can be a little wrong.

A statement dropped, a sign flipped, a factor or a term lost, a constant swapped, `=` in place of `+=`, an option forgotten.
What speaks to the reader (raise, assert, docstrings) is left alone.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from typing import Any, NamedTuple

Path = tuple[tuple[str, int | None], ...]  # of a node inside a function: (field, index in its list) ...

SWAPPED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
}
INVERTED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Gt: ast.LtE,
    ast.Lt: ast.GtE,
    ast.GtE: ast.Lt,
    ast.LtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}


SIMILAR: dict[float, tuple[int, ...]] = {0: (1,), 1: (0, 2), 2: (1,)}  # constants that are taken for each other


class Mutant(NamedTuple):
    """A function with one mistake, and what the mistake is: "the statement -> the statement it became"."""

    mistake: str
    function: ast.FunctionDef


def mutants(function: ast.FunctionDef) -> Iterator[Mutant]:
    """Every mutant of a function, each a different one."""
    seen = {ast.unparse(function)}
    for path, node in list(_nodes(function)):
        for changed in _mistakes(node):
            mutant = copy.deepcopy(function)
            _put(mutant, path, changed)
            ast.fix_missing_locations(mutant)
            text = ast.unparse(mutant)
            if text not in seen:
                seen.add(text)
                yield Mutant(f"{_statement(function, path)}  ->  {_statement(mutant, path)}", mutant)


def _nodes(function: ast.FunctionDef) -> Iterator[tuple[Path, Any]]:
    """Every statement and expression of the body with its path, docstring and error messages left out."""
    body = function.body
    starts_with_text = isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)
    for i, statement in enumerate(body):
        if not (i == 0 and starts_with_text):
            yield from _below(statement, (("body", i),))


def _below(node: ast.AST, path: Path) -> Iterator[tuple[Path, Any]]:
    if isinstance(node, ast.Raise | ast.Assert | ast.JoinedStr | ast.arguments | ast.expr_context):
        return
    if isinstance(node, ast.If) and any(isinstance(part, ast.Raise) for part in node.body):
        return  # a guard
    yield path, node
    if isinstance(node, ast.UnaryOp) and isinstance(node.operand, ast.Constant):
        return  # -1 is one constant
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "type_params"):
            continue
        if isinstance(value, list):
            for i, part in enumerate(value):
                if isinstance(part, ast.AST):
                    yield from _below(part, (*path, (name, i)))
        elif isinstance(value, ast.AST):
            yield from _below(value, (*path, (name, None)))


def _put(function: ast.AST, path: Path, new: ast.AST) -> None:
    *way, (name, i) = path
    for field, index in way:
        value = getattr(function, field)
        function = value if index is None else value[index]
    if i is None:
        setattr(function, name, new)
    else:
        getattr(function, name)[i] = new


def _statement(function: ast.AST, path: Path) -> str:
    """The innermost statement on the path as text; of a compound one, its head."""
    found: ast.AST = function
    for field, index in path:
        value = getattr(function, field)
        function = value if index is None else value[index]
        if isinstance(function, ast.stmt):
            found = function
    text = ast.unparse(found)
    return text.splitlines()[0] if isinstance(found, ast.If | ast.For | ast.While | ast.With | ast.FunctionDef) else text


def _mistakes(node: Any) -> Iterator[ast.AST]:
    """What may stand in place of a node by mistake."""
    match node:
        case ast.Expr() | ast.If(orelse=[]):
            yield ast.Pass()
        case ast.AugAssign(target=target, op=op, value=value):
            yield ast.Pass()
            yield ast.Assign([target], value)
            if type(op) in SWAPPED:
                yield ast.AugAssign(target, SWAPPED[type(op)](), value)
        case ast.Return(value=ast.Tuple(elts=parts)):
            for i, part in enumerate(parts):
                if not _is_none(part):
                    negated = [*parts[:i], _minus(part), *parts[i + 1 :]]
                    yield ast.Return(ast.Tuple(negated, ast.Load()))
        case ast.Return(value=value) if value is not None and not _is_none(value) and not isinstance(value, ast.IfExp):
            yield ast.Return(_minus(value))
        case ast.BinOp(left=left, op=op, right=right):
            yield left
            if not isinstance(op, ast.Pow):
                yield right
            if type(op) in SWAPPED:
                yield ast.BinOp(left, SWAPPED[type(op)](), right)
        case ast.UnaryOp(op=ast.USub() | ast.Not(), operand=operand):
            yield operand
        case ast.IfExp(body=body, orelse=orelse):
            yield body
            yield orelse
            if not _is_none(body):
                yield ast.IfExp(node.test, _minus(body), orelse)
        case ast.BoolOp(op=op, values=values):
            for i in range(len(values)):
                rest = values[:i] + values[i + 1 :]
                yield rest[0] if len(rest) == 1 else ast.BoolOp(op, rest)
        case ast.Compare(left=left, ops=[op], comparators=comparators):
            yield ast.Compare(left, [INVERTED[type(op)]()], comparators)
        case ast.Call(func=func, args=args, keywords=keywords):
            for i in range(len(keywords)):
                yield ast.Call(func, args, keywords[:i] + keywords[i + 1 :])
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=int() | float() as number):
            yield from (ast.Constant(other) for other in SIMILAR.get(number, (1,)))
        case _:
            pass
    if isinstance(node, ast.If):
        yield ast.If(ast.UnaryOp(ast.Not(), node.test), node.body, node.orelse)


def _is_none(node: ast.AST) -> bool:
    """What has no negative: None, a text, zero, and *parts."""
    return isinstance(node, ast.Starred) or (
        isinstance(node, ast.Constant) and not (isinstance(node.value, int | float) and node.value)
    )


def _minus(node: Any) -> ast.UnaryOp:
    return ast.UnaryOp(ast.USub(), node)
