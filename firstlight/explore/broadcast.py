"""`explore.broadcast(a, b)`: how two shapes line up, what is stretched, which cell meets which."""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor

from firstlight.explore.frame import Explorer
from firstlight.explore.tensors import (
    ROUNDED,
    bytes_text,
    call_names,
    cell_texts,
    corner,
    counted,
    dtype_name,
    require_dense,
    rounded,
    rows_text,
)

OPERATORS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "-": operator.sub,
    "+": operator.add,
    "*": operator.mul,
    "==": operator.eq,
}
LONGEST_LABEL = 12  # characters: with longer ones `a[2, 0] - b[3]` is hard to read

Shape = tuple[int, ...]
Pair = tuple[str, str]


@dataclass(frozen=True)
class Axis:
    """One axis of the aligned shapes, counted from the right: -1 is the last.

    `sizes` holds None where an operand has no such axis; `result` is None where the sizes clash;
    `stretched` says for each operand whether it is used again along this axis.
    """

    axis: int
    sizes: tuple[int | None, int | None]
    result: int | None
    stretched: tuple[bool, bool]
    verdict: str
    sentence: str


def broadcast(a: Tensor, b: Tensor) -> Explorer:
    """Show how `a` and `b` are broadcast: axis by axis from the right, and cell by cell.

    Shapes that do not fit are shown with the axis that breaks them and with PyTorch's own message.
    Raises `TypeError` for anything but two dense tensors.
    """
    for value in (a, b):
        require_dense(value, "explore.broadcast(a, b)")
    sources = call_names("broadcast", (a, b), sys._getframe(1))
    labels = _labels(sources)
    axes = align(tuple(a.shape), tuple(b.shape), labels)
    fits = all(axis.result is not None for axis in axes)
    result = _result(a, b, axes) if fits else None
    data: dict[str, Any] = {
        "operands": [
            _operand(value, label, source, result)
            for value, label, source in zip((a, b), labels, sources, strict=True)
        ],
        "axes": [asdict(axis) for axis in axes],
        "result": result,
        "error": None if fits else error_message(a.shape, b.shape),
        "notes": _growth_notes(a, b, axes, labels) if fits else _clash_notes(a, b, axes, labels),
    }
    title = f"Broadcasting {tuple(a.shape)} with {tuple(b.shape)}"
    return Explorer("broadcast", title, data, _text(data))


def align(first: Shape, second: Shape, labels: Pair) -> tuple[Axis, ...]:
    """Line two shapes up from the right and judge each axis; the leftmost comes first."""
    depth = max(len(first), len(second))
    padded = [(None,) * (depth - len(shape)) + shape for shape in (first, second)]
    return tuple(
        _axis(number, (left, right), labels)
        for number, left, right in zip(range(-depth, 0), *padded, strict=True)
    )


def _axis(number: int, sizes: tuple[int | None, int | None], labels: Pair) -> Axis:
    left, right = (1 if size is None else size for size in sizes)
    if left != right and 1 not in (left, right):
        sentence = (
            f"Axis {number}: {labels[0]} has {left} and {labels[1]} has {right}. "
            "They differ and neither is 1, so the shapes do not fit."
        )
        return Axis(number, sizes, None, (False, False), "clash", sentence)
    size = right if left == 1 else left
    stretched = (left != size, right != size)
    if any(stretched):
        which = stretched.index(True)
        verdict = f"stretch {labels[which]}"
        used = "all of it" if sizes[which] is None else "index 0"
        end = f"{labels[which]} is stretched: {used} is used {counted(size, 'time')}."
    else:
        verdict = "equal" if sizes[0] == sizes[1] else "fit"
        end = "Index meets index, and nothing is stretched."
    facts = f"both have {size}" if sizes[0] == sizes[1] else _sizes_text(sizes, labels)
    return Axis(number, sizes, size, stretched, verdict, f"Axis {number}: {facts}. {end}")


def _sizes_text(sizes: tuple[int | None, int | None], labels: Pair) -> str:
    return ", ".join(
        f"{label} has no such axis, which counts as 1" if size is None else f"{label} has {size}"
        for label, size in zip(labels, sizes, strict=True)
    )


def error_message(first: Sequence[int], second: Sequence[int]) -> str:
    """Return what PyTorch raises for two shapes that clash, by adding two that take no memory."""
    point = torch.zeros((), device="cpu")
    try:
        point.expand(tuple(first)) + point.expand(tuple(second))
    except RuntimeError as error:
        return f"RuntimeError: {error}"
    raise ValueError(f"{tuple(first)} and {tuple(second)} do not clash.")


def _labels(sources: Sequence[str | None]) -> Pair:
    """Return the student's own names if both are short and differ, else `a` and `b`."""
    first, second = sources
    if first and second and first != second and max(len(first), len(second)) <= LONGEST_LABEL:
        return first, second
    return "a", "b"


def _result(a: Tensor, b: Tensor, axes: Sequence[Axis]) -> dict[str, Any]:
    """Describe the result, with the values of its corner computed from the corners of a and b."""
    shape = tuple(axis.result or 0 for axis in axes)
    shown = corner(shape)
    corners = (_cut(a, shown), _cut(b, shown))
    return {
        "shape": shape,
        "shown": shown,
        "numel": prod(shape),
        "rounded": ROUNDED if rounded(*corners) else None,
        "operators": [_outcome(sign, *corners, prod(shape)) for sign in OPERATORS],
    }


def _outcome(sign: str, a: Tensor, b: Tensor, numel: int) -> dict[str, Any]:
    """Return the values `a sign b`, or the error where PyTorch refuses these dtypes."""
    try:
        values = OPERATORS[sign](a, b)
    except (RuntimeError, TypeError) as error:
        return {"sign": sign, "error": f"{type(error).__name__}: {error}"}
    return {
        "sign": sign,
        "cells": cell_texts(values),
        "dtype": dtype_name(values),
        "bytes": bytes_text(numel * values.element_size()),
    }


def _operand(
    value: Tensor, label: str, source: str | None, result: dict[str, Any] | None
) -> dict[str, Any]:
    return {
        "label": label,
        "source": None if source == label else source,
        "shape": tuple(value.shape),
        "numel": value.numel(),
        "dtype": dtype_name(value),
        "cells": cell_texts(_cut(value, result["shown"])) if result else [],
    }


def _cut(value: Tensor, shown: Sequence[int]) -> Tensor:
    """Return the corner of an operand that the shown corner of the result reads, on the CPU."""
    own = shown[len(shown) - value.dim() :]
    return value.detach()[tuple(slice(count) for count in own)].cpu()


def _growth_notes(a: Tensor, b: Tensor, axes: Sequence[Axis], labels: Pair) -> list[str]:
    """Say how many cells went in and came out, and what to think of when both were stretched."""
    cells = prod(axis.result or 0 for axis in axes)
    went_in = f"{counted(a.numel(), 'cell')} and {counted(b.numel(), 'cell')} go in"
    notes = [f"{went_in}, {counted(cells, 'cell')} come{'s' if cells == 1 else ''} out."]
    if cells > max(a.numel(), b.numel()):
        notes.append(
            f"Both {labels[0]} and {labels[1]} are stretched, so the result is larger than either. "
            "For entry to meet entry at the same place, both need the same shape."
        )
    if a.device != b.device and 0 not in (a.dim(), b.dim()):
        notes.append(
            f"{labels[0]} is on {a.device} and {labels[1]} on {b.device}: PyTorch combines them "
            "only when both are on one device. Here both were read on the CPU."
        )
    return notes


def _clash_notes(a: Tensor, b: Tensor, axes: Sequence[Axis], labels: Pair) -> list[str]:
    """Say where the shapes clash, and where one new axis of size 1 would make them fit."""
    clash = max(axis.axis for axis in axes if axis.result is None)
    notes = [
        f"PyTorch compares the axes from the right and stops at axis {clash}, "
        f"which it calls dimension {len(axes) + clash}, counted from the left."
    ]
    for value, other, label in ((a, b, labels[0]), (b, a, labels[1])):
        notes += [
            f"{label}.unsqueeze({position}) has shape {shape} and would fit: "
            f"the result has shape {tuple(other.shape)}."
            for position, shape in _cures(tuple(value.shape), tuple(other.shape))
        ]
    return notes


def _cures(shape: Shape, other: Shape) -> list[tuple[int, Shape]]:
    """Return where one axis of size 1 lets `shape` be broadcast to `other`."""
    cures = []
    for position in range(1, len(shape) + 1):
        unsqueezed = (*shape[:position], 1, *shape[position:])
        axes = align(unsqueezed, other, ("", ""))
        if tuple(axis.result for axis in axes) == other:
            cures.append((position, unsqueezed))
    return cures


def _text(data: dict[str, Any]) -> str:
    """Say everything the picture shows."""
    first, second = (
        f"{operand['label']}{' = ' + operand['source'] if operand['source'] else ''} "
        f"has shape {operand['shape']} and dtype {operand['dtype']}."
        for operand in data["operands"]
    )
    rule = "Axes are compared from the right. Equal sizes fit, and so does 1 or a missing axis."
    axes = [axis["sentence"] for axis in reversed(data["axes"])]
    if not axes:
        axes = ["Neither has an axis: one value meets one value."]
    if data["error"]:
        return "\n".join([first, second, "", rule, *axes, "", data["error"], *data["notes"]])
    tables = [_table(data, outcome) for outcome in data["result"]["operators"]]
    shape = f"The result has shape {data['result']['shape']}."
    notes = [*data["notes"], *filter(None, [data["result"]["rounded"]])]
    return "\n".join([first, second, "", rule, *axes, "", shape, *notes, *tables])


def _table(data: dict[str, Any], outcome: dict[str, Any]) -> str:
    """Write the values of one operation, a line for each row of the result's last axis."""
    result = data["result"]
    heading = f"\n{data['operands'][0]['label']} {outcome['sign']} {data['operands'][1]['label']}"
    if "error" in outcome:
        return f"{heading}\n  {outcome['error']}"
    heading += f" ({outcome['dtype']}, {outcome['bytes']})"
    if result["shown"] != result["shape"]:
        heading += f", the first {result['shown']} of {result['shape']}"
    return "\n".join([heading, *rows_text(outcome["cells"], result["shown"])])
