"""Make small mechanical changes to a reference: a good check rejects every one that matters."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from firstlight.checking import Exercise, source

OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.MatMult: ast.Mult,
    ast.Pow: ast.Mult,
    ast.Mod: ast.Mult,
}
COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.GtE,
    ast.GtE: ast.Lt,
    ast.Gt: ast.LtE,
    ast.LtE: ast.Gt,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}


@dataclass(frozen=True)
class Mutant:
    """A changed reference: the line as it reads now, and the answer made of it."""

    line: str
    answer: Any


def _changes(node: ast.AST) -> Iterator[tuple[str, Any]]:
    """Propose new values for one field of a node."""
    if isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in OPERATORS:
        yield "op", OPERATORS[type(node.op)]()
    elif isinstance(node, ast.Compare) and type(node.ops[0]) in COMPARISONS:
        yield "ops", [COMPARISONS[type(node.ops[0])](), *node.ops[1:]]
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield "value", not node.value
    elif isinstance(node, ast.Constant) and isinstance(node.value, int):
        yield "value", node.value + 1
        yield "value", node.value - 1
    elif isinstance(node, ast.Constant) and isinstance(node.value, float):
        yield "value", node.value * 2
    elif isinstance(node, ast.Call) and node.keywords:
        for i in range(len(node.keywords)):
            yield "keywords", node.keywords[:i] + node.keywords[i + 1 :]
    elif isinstance(node, ast.If):
        yield "test", ast.UnaryOp(ast.Not(), node.test)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield "op", ast.UAdd()


def _unwrapped(node: ast.AST) -> ast.expr | None:
    """Drop a method call without arguments: `x.float()` becomes `x`."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and not node.args:
        return node.func.value
    return None


def _statement(tree: ast.AST, target: ast.AST) -> str:
    """Write the innermost statement that holds a node, on one line."""
    best = ""
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt) and any(child is target for child in ast.walk(node)):
            best = ast.unparse(node).splitlines()[0]
    return best


def _by_field(tree: ast.Module) -> Iterator[tuple[str, ast.Module]]:
    for position, node in enumerate(ast.walk(tree)):
        for field, value in _changes(node):
            mutated = copy.deepcopy(tree)
            target = list(ast.walk(mutated))[position]
            setattr(target, field, value)
            yield _statement(mutated, target), mutated


def _by_unwrapping(tree: ast.Module) -> Iterator[tuple[str, ast.Module]]:
    for position, node in enumerate(ast.walk(tree)):
        for field, value in ast.iter_fields(node):
            inner = _unwrapped(value) if isinstance(value, ast.AST) else None
            if inner is not None and not isinstance(node, ast.Expr):
                mutated = copy.deepcopy(tree)
                target = list(ast.walk(mutated))[position]
                setattr(target, field, copy.deepcopy(inner))
                yield _statement(mutated, target), mutated


def _by_removal(tree: ast.Module) -> Iterator[tuple[str, ast.Module]]:
    for position, node in enumerate(ast.walk(tree)):
        body = getattr(node, "body", None)
        if not isinstance(body, list) or not isinstance(node, ast.stmt) or len(body) < 2:
            continue
        for i, statement in enumerate(body):
            text = ast.unparse(statement).splitlines()[0]
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                continue  # a docstring
            if isinstance(statement, ast.Import | ast.ImportFrom):
                continue
            mutated = copy.deepcopy(tree)
            del list(ast.walk(mutated))[position].body[i]  # type: ignore[attr-defined]
            yield f"without {text}", mutated


def mutants(exercise: Exercise) -> Iterator[Mutant]:
    """Yield every mechanical mutant of an exercise's reference that compiles.

    Changed are operators, comparisons, constants (±1), truth values and conditions; dropped are
    keyword arguments, method calls without arguments and whole statements.
    """
    text = exercise.reference_source
    tree = ast.parse(text)
    namespace = source.namespace(exercise.reference)
    seen = {ast.unparse(tree)}
    for make in (_by_field, _by_unwrapping, _by_removal):
        for line, mutated in make(tree):
            changed = ast.unparse(ast.fix_missing_locations(mutated))
            if changed not in seen:
                seen.add(changed)
                yield Mutant(line, source.compiled(changed, exercise.name, namespace))
