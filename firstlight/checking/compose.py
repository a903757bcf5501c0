"""Combine two misconceptions into one wrong answer that makes both mistakes at once."""

from __future__ import annotations

import ast
import contextlib
import functools
from collections.abc import Sequence
from difflib import SequenceMatcher
from itertools import combinations

from firstlight.checking import source
from firstlight.checking.exercise import Answer, Exercise, Misconception

Lines = Sequence[str]
Edit = tuple[int, int, list[str]]  # lines [begin, end) of the base become these
Composition = tuple[tuple[Misconception, ...], Answer]


@functools.cache
def _body(text: str) -> tuple[str, ...]:
    """Return the lines of a definition without blank lines, comments and docstring."""
    node = ast.parse(text).body[0]
    assert isinstance(node, ast.FunctionDef | ast.ClassDef)
    if ast.get_docstring(node) is not None and len(node.body) > 1:
        node.body = node.body[1:]
    return tuple(ast.unparse(node).splitlines()[1:])


def _edits(base: Lines, changed: Lines) -> list[Edit]:
    codes = SequenceMatcher(a=base, b=changed, autojunk=False).get_opcodes()
    return [(i, j, list(changed[k:m])) for tag, i, j, k, m in codes if tag != "equal"]


def _overlap(one: Edit, other: Edit) -> bool:
    return one[0] <= other[1] and other[0] <= one[1] and one[:2] != (one[1], one[1] - 1)


def merge(base: Lines, one: Lines, other: Lines) -> list[str] | None:
    """Apply both changes to the base; None if they touch the same lines or change nothing."""
    first, second = _edits(base, one), _edits(base, other)
    if not first or not second:
        return None
    if any(_overlap(a, b) for a in first for b in second):
        return None
    lines = list(base)
    for begin, end, new in sorted(first + second, reverse=True):
        lines[begin:end] = new
    return lines


def compositions(exercise: Exercise) -> tuple[Composition, ...]:
    """List every pair of misconceptions that can be made at once, with the answer that does.

    Both are read as edits of the reference's lines; pairs that edit the same lines are left out.
    """
    return _compositions(exercise.reference, tuple(exercise.misconceptions))


@functools.cache
def _compositions(
    reference: Answer, mistakes: tuple[Misconception, ...]
) -> tuple[Composition, ...]:
    text = source.solved(source.plain(reference))
    head = text.splitlines()[0]
    if not head.endswith(":"):
        return ()
    base = _body(text)
    bodies = {mistake: _body(mistake.source) for mistake in mistakes}
    namespace = source.namespace(reference)
    found = []
    for one, other in combinations(mistakes, 2):
        merged = merge(base, bodies[one], bodies[other])
        if merged:
            both = "\n".join([head, *merged]) + "\n"
            with contextlib.suppress(SyntaxError):
                answer = source.compiled(both, reference.__name__, namespace)
                found.append(((one, other), answer))
    return tuple(found)
