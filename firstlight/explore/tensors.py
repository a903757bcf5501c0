"""What the explorers read from a student's tensors: a name, a corner, and values as short text."""

from __future__ import annotations

import ast
import linecache
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from math import prod
from types import FrameType

import torch
from torch import Tensor

WHOLE = 8  # an axis up to this long is shown whole
CORNER = 5  # of a longer one, this many: three grids then still fit beside or below each other
ROUNDED = "Values are written with four digits; they hold more."
MOST_CELLS = 1024  # in one picture, over all its slices


def require_dense(value: object, call: str) -> Tensor:
    """Return `value`, which must be a tensor that has a value in every cell.

    Raises `TypeError`, in a sentence that begins with `call`, for anything else: no tensor, a sparse
    one, one on the "meta" device.
    """
    if not isinstance(value, Tensor):
        seen = " ".join(repr(value).split())
        kind = type(value).__name__
        raise TypeError(f"{call} takes tensors, but one argument is of type {kind}: {seen:.60}")
    if value.layout != torch.strided:
        raise TypeError(f"{call} shows dense tensors, and this one's layout is {value.layout}.")
    if value.is_meta:
        raise TypeError(f"{call} shows values, and a tensor on the 'meta' device has none.")
    return value


def corner(
    shape: Sequence[int], whole: int = WHOLE, part: int = CORNER, most: int = MOST_CELLS
) -> tuple[int, ...]:
    """Return how many indices of each axis to show: all up to `whole`, else `part`.

    The leading axes, of which a picture shows one slice at a time, give way until `most` cells are
    left.
    """
    shown = [size if size <= whole else part for size in shape]
    for axis in range(len(shown)):
        while shown[axis] > 1 and prod(shown) > most:
            shown[axis] -= 1
    return tuple(shown)


def cell_texts(values: Tensor) -> list[str]:
    """Return every element, row by row, as text: `True`, `-3`, `0.3333`, `nan`, `1.0-2.0j`."""
    return [_text(value) for value in values.detach().cpu().flatten().tolist()]


def rounded(*tensors: Tensor) -> bool:
    """Say whether the short texts of some values leave out digits that their dtype holds."""
    return any(_rounded(tensor) for tensor in tensors)


def _rounded(values: Tensor) -> bool:
    if not (values.is_floating_point() or values.is_complex()):
        return False
    exact = values.detach().cpu().flatten()
    read = torch.tensor(
        [complex(text) for text in cell_texts(exact)], dtype=torch.complex128, device="cpu"
    )
    if not values.is_complex():
        read = read.real
    wide = read.dtype
    close = read.to(exact.dtype).to(wide) == exact.to(wide)
    return not bool((close | (read != read)).all())


def rows_text(cells: Sequence[str], shape: Sequence[int]) -> list[str]:
    """Return the rows of a tensor as lines of text, each with its place: `[0, 2, :]  1.0  2.0`."""
    if not cells:
        return ["  no cells"]
    *leading, columns = shape or (1,)
    places = [f"[{', '.join(map(str, (*at, ':')))}]" for at in product(*map(range, leading))]
    width = max(map(len, cells))
    rows = []
    for number, place in enumerate(places):
        row = cells[number * columns : (number + 1) * columns]
        rows.append("  ".join(["", place, *(cell.rjust(width) for cell in row)]))
    return rows


def _text(value: complex) -> str:
    if isinstance(value, complex):
        imaginary = _text(value.imag)
        return f"{_text(value.real)}{'' if imaginary.startswith('-') else '+'}{imaginary}j"
    return _float_text(value) if isinstance(value, float) else str(value)


def _float_text(value: float) -> str:
    """Write a float with about four digits, and always so that it is seen to be a float."""
    size = abs(value)
    if value != value or size == float("inf"):
        return str(value)
    if size < 1e6 and value == int(value):
        return f"{value:.1f}"
    if 1e3 <= size < 1e6:
        return f"{value:.1f}"
    text = f"{value:.4g}"
    return text if set(text) & set(".en") else f"{text}.0"


def dtype_name(values: Tensor) -> str:
    """Return `float32` for `torch.float32`."""
    return str(values.dtype).removeprefix("torch.")


def counted(number: int, thing: str) -> str:
    """Return `1 cell`, `12 cells`, `60,000 cells`."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def listed(things: Sequence[str]) -> str:
    """Return `a`, `a and b`, `a, b and c`."""
    return " and ".join(filter(None, (", ".join(things[:-1]), *things[-1:])))


def bytes_text(number: int) -> str:
    """Return a size in bytes, kB, MB, GB or TB (powers of 1000)."""
    for power, unit in ((4, "TB"), (3, "GB"), (2, "MB"), (1, "kB")):
        if number >= 1000**power:
            return f"{number / 1000**power:.3g} {unit}"
    return counted(number, "byte")


def call_names(
    function: str, arguments: Sequence[object], caller: FrameType
) -> tuple[str | None, ...]:
    """Return what the caller wrote for each argument of its call `function(...)`.

    The source is asked first (`x.T`), then the caller's variables; None where neither tells.
    """
    sources = _sources(function, len(arguments), caller)
    variables = (_variable(argument, caller) for argument in arguments)
    return tuple(source or variable for source, variable in zip(sources, variables, strict=True))


def _sources(function: str, count: int, caller: FrameType) -> Sequence[str | None]:
    """Return the source of each argument, if the caller's line holds exactly one such call."""
    lines = linecache.getlines(caller.f_code.co_filename, caller.f_globals)
    try:
        tree = ast.parse("".join(lines))
    except SyntaxError:  # a notebook cell with magics, a file changed since it was imported
        return [None] * count
    calls = [call for call in _calls(tree, function, caller.f_lineno) if len(call.args) == count]
    if len(calls) != 1 or any(isinstance(argument, ast.Starred) for argument in calls[0].args):
        return [None] * count
    return [_indexable(argument) for argument in calls[0].args]


def _calls(tree: ast.AST, function: str, line: int) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.lineno <= line <= (node.end_lineno or line):
            callee = node.func
            name = callee.attr if isinstance(callee, ast.Attribute) else getattr(callee, "id", "")
            if name == function:
                yield node


def _indexable(node: ast.expr) -> str:
    """Return the expression's source, so that an index can be written behind it."""
    plain = isinstance(node, (ast.Name, ast.Attribute, ast.Subscript, ast.Call))
    return ast.unparse(node) if plain else f"({ast.unparse(node)})"


def _variable(value: object, caller: FrameType) -> str | None:
    scopes: tuple[Mapping[str, object], ...] = (caller.f_locals, caller.f_globals)
    names = (name for scope in scopes for name, held in scope.items() if held is value)
    return next((name for name in names if not name.startswith("_")), None)
