"""`explore.memory(*tensors)`: storages as rows of cells, and which tensor reads which cell."""

from __future__ import annotations

import string
import sys
import warnings
from collections.abc import Sequence
from itertools import islice, product
from typing import Any

import numpy as np
import torch
from torch import Tensor

from firstlight.explore.frame import Explorer
from firstlight.explore.storage import Index, Storage, View, find_storages
from firstlight.explore.tensors import (
    ROUNDED,
    bytes_text,
    call_names,
    cell_texts,
    corner,
    counted,
    dtype_name,
    listed,
    require_dense,
    rounded,
)

MOST_SHOWN = 36  # cells: a storage up to this long is shown whole
MOST_COUNTED = 2**26  # cells: in a longer storage, who reads how many is not counted (64 MB a mask)
LONGEST_LABEL = 20  # characters
WALK = 8  # cells named in "row by row it visits the cells ..."


def memory(*tensors: Tensor) -> Explorer:
    """Show the storages behind tensors, cell by cell, with strides, offsets and who shares what.

    NumPy arrays may stand among the tensors. Names are those of the call: `explore.memory(x, x.T)`.
    Raises `TypeError` for no argument, and for one that is no dense tensor and no NumPy array.
    """
    if not tensors:
        raise TypeError("explore.memory needs at least one tensor: explore.memory(x, x.T)")
    values = [_as_tensor(value) for value in tensors]
    sources = call_names("memory", tensors, sys._getframe(1))
    labels = [_label(source, number) for number, source in enumerate(sources, start=1)]
    storages = find_storages(values, labels, sources)
    company = len(storages) > 1
    data = {"storages": [_storage_data(s, n, company) for n, s in enumerate(storages, start=1)]}
    return Explorer("memory", f"The memory of {listed(labels)}", data, _text(data))


def _as_tensor(value: object) -> Tensor:
    """Return the tensor, or a NumPy array as a tensor on the same memory."""
    if isinstance(value, np.ndarray):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # a read-only array is only read here
                return torch.from_numpy(value)
        except (TypeError, ValueError) as error:
            raise TypeError(f"explore.memory cannot read this NumPy array: {error}") from error
    return require_dense(value, "explore.memory(*tensors)").detach()


def _label(source: str | None, number: int) -> str:
    return source if source and len(source) <= LONGEST_LABEL else f"tensor {number}"


def _storage_data(storage: Storage, number: int, company: bool) -> dict[str, Any]:
    """Describe a storage: the cells on show, and each of its tensors."""
    corners = [_corner(storage, view) for view in storage.views]
    cells = _cells_on_show(storage, corners)
    counts, shared = _reading(storage)
    return {
        "number": number,
        "cells": storage.cells,
        "sentence": _storage_sentence(storage, number, shared, company),
        "row": [*_with_gaps(cells, storage.cells)],
        "values": _cell_values(storage, cells),
        "views": [
            _view_data(storage, view, shown, cells, count)
            for view, shown, count in zip(storage.views, corners, counts, strict=True)
        ],
    }


def _view_data(
    storage: Storage, view: View, shown: tuple[int, ...], cells: Sequence[int], count: int | None
) -> dict[str, Any]:
    readers = [view.readers(cell) for cell in cells]
    elements = view.values[tuple(slice(count) for count in shown)]
    return {
        "label": view.label,
        "source": None if view.source == view.label else view.source,
        "shape": view.shape,
        "stride": tuple(view.values.stride()),
        "dtype": dtype_name(view.values),
        "device": str(view.values.device),
        "contiguous": view.values.is_contiguous(),
        "storage_offset": view.offset // view.width,
        "offset": view.offset,
        "steps": view.steps,
        "width": view.width,
        "formula": _formula(view),
        "notes": _notes(storage, view, count) + ([ROUNDED] if rounded(elements) else []),
        "shown": shown,
        "elements": cell_texts(elements),
        "readers": [[list(index) for index in indices] for indices in readers],
    }


def _corner(storage: Storage, view: View) -> tuple[int, ...]:
    if storage.cells <= MOST_SHOWN:
        return corner(view.shape, most=256)
    return corner(view.shape, whole=4, part=3, most=36)


def _cells_on_show(storage: Storage, corners: Sequence[tuple[int, ...]]) -> list[int]:
    """Return all cells of a short storage, of a long one those of the elements on show."""
    if storage.cells <= MOST_SHOWN:
        return list(range(storage.cells))
    cells: set[int] = set()
    for view, shown in zip(storage.views, corners, strict=True):
        for index in product(*map(range, shown)):
            cells.update(range(view.address(index), view.address(index) + view.width))
    return sorted(cells)


def _with_gaps(cells: Sequence[int], total: int) -> list[dict[str, int]]:
    """Return the cells in order, and between them how many are left out."""
    row: list[dict[str, int]] = []
    after = 0  # the cell after the last one written
    for cell in (*cells, total):
        if cell > after:
            row.append({"gap": cell - after})
        if cell < total:
            row.append({"cell": cell})
        after = cell + 1
    return row


def _cell_values(storage: Storage, cells: Sequence[int]) -> list[str]:
    """Return what the cells hold, read with the dtype of a tensor whose elements are one cell long."""
    texts: dict[int, str] = {}
    for view in storage.views:
        first = view.offset - view.values.storage_offset() * view.width
        own = range(first, first + view.values.untyped_storage().nbytes() // storage.cell_bytes)
        due = [cell for cell in cells if view.width == 1 and cell in own and cell not in texts]
        row = view.values.as_strided((len(own) // view.width,), (1,), 0)
        places = torch.tensor([cell - first for cell in due], dtype=torch.int64, device=row.device)
        texts.update(zip(due, cell_texts(row[places]), strict=True))
    return [texts.get(cell, "?") for cell in cells]


def _reading(storage: Storage) -> tuple[list[int | None], int | None]:
    """Return how many cells each tensor reads, and how many cells more than one reads.

    None stands for counts that would take too long.
    """
    if storage.cells > MOST_COUNTED:
        return [None] * len(storage.views), None
    counts: list[int | None] = []
    seen = torch.zeros(storage.cells, dtype=torch.bool, device="cpu")
    shared = seen.clone()
    for view in storage.views:
        mask = view.footprint(storage.cells)
        counts.append(int(mask.sum()))
        shared |= seen & mask
        seen |= mask
    return counts, int(shared.sum())


# What the picture shows, in words.


def _storage_sentence(storage: Storage, number: int, shared: int | None, company: bool) -> str:
    """Say how large a storage is, who reads it, and whom a write reaches.

    `shared` counts the cells that more than one tensor reads; `company` says whether there are
    tensors on other storages.
    """
    size = bytes_text(storage.cells * storage.cell_bytes)
    cells = f"{counted(storage.cells, 'cell')} of {counted(storage.cell_bytes, 'byte')}, {size}"
    sentence = f"Storage {number}: {cells}, read by {listed([v.label for v in storage.views])}"
    if len(storage.views) == 1:
        alone = " A write to it changes no other tensor here." if company and storage.cells else ""
        return f"{sentence} alone.{alone}"
    if shared is None:
        return f"{sentence}."
    if shared == 0:
        return (
            f"{sentence}. No cell is read by two of them: a write to one leaves the others alone."
        )
    return (
        f"{sentence}. {counted(shared, 'cell')} {'is' if shared == 1 else 'are'} read by more than "
        "one of them: a write there shows in all that read it."
    )


def _notes(storage: Storage, view: View, distinct: int | None) -> list[str]:
    """Say in which order a tensor visits its cells, how many it reads, and what is special."""
    notes = [_walk(view)]
    if view.width > 1:
        notes.append(f"One element of it is {view.width} cells long.")
    for axis, (size, step) in enumerate(zip(view.shape, view.steps, strict=True)):
        if step == 0 and size > 1:
            notes.append(f"Stride 0: every index along axis {axis} reads the same cells.")
    if distinct is None:
        return notes
    if distinct < view.values.numel() * view.width:
        elements = counted(view.values.numel(), "element")
        serve = "serves" if distinct == 1 else "serve"
        notes.append(
            f"{counted(distinct, 'cell')} {serve} {elements}: a write to one shows in others."
        )
    if 0 < distinct < storage.cells:
        keeps = ", and keeps the others in memory too" if len(storage.views) == 1 else ""
        notes.append(f"It reads {distinct:,} of the storage's {storage.cells:,} cells{keeps}.")
    return notes


def _walk(view: View) -> str:
    """Say which cells a tensor visits in the order of its indices, and whether it is contiguous."""
    verdict = "it is contiguous" if view.values.is_contiguous() else "it is not contiguous"
    count = view.values.numel()
    if count < 2:
        return f"It has {'no element' if count == 0 else 'one element'}, so {verdict}."
    indices = islice(product(*map(range, view.shape)), WALK)
    cells = ", ".join(f"{view.address(index)}" for index in indices)
    order = ", one after the other" if view.values.is_contiguous() else ""
    return f"It visits the cells {cells}{', …' if count > WALK else ''}{order}: {verdict}."


def _formula(view: View) -> str:
    """Say at which cell an element lies, such as `Element [i, j] is cell 0 + i·4 + j·1.`"""
    letters = string.ascii_lowercase[string.ascii_lowercase.index("i") :]
    names = [
        letters[axis] if axis < len(letters) else f"i{axis}" for axis in range(view.values.dim())
    ]
    terms = (f"{name}·{step}" for name, step in zip(names, view.steps, strict=True))
    element = f"Element [{', '.join(names)}]" if names else "Its element"
    verb = "is" if view.width == 1 else "begins at"
    return f"{element} {verb} cell {' + '.join([str(view.offset), *terms])}."


def _text(data: dict[str, Any]) -> str:
    """Say everything the picture shows: each storage, its tensors, and a table of its cells."""
    return "\n\n".join(
        "\n".join(
            [
                storage["sentence"],
                *(_view_text(view) for view in storage["views"]),
                "",
                *_cell_table(storage),
            ]
        )
        for storage in data["storages"]
    )


def _view_text(view: dict[str, Any]) -> str:
    source = f" = {view['source']}" if view["source"] else ""
    device = "" if view["device"] == "cpu" else f", on {view['device']}"
    facts = f"shape {view['shape']}, stride {view['stride']}, offset {view['storage_offset']}"
    lines = [
        f"{view['label']}{source}: {facts}, {view['dtype']}{device}.",
        view["formula"],
        *view["notes"],
    ]
    return "\n".join(["", lines[0], *(f"  {line}" for line in lines[1:])])


def _cell_table(storage: dict[str, Any]) -> list[str]:
    """Write one line for each cell on show: its number, its value, and which elements read it."""
    columns = [["cell"], ["value"], *([view["label"]] for view in storage["views"])]
    position = 0
    for entry in storage["row"]:
        if "gap" in entry:
            entries = ["…", f"{entry['gap']:,} more", *("" for _ in storage["views"])]
        else:
            readers = [view["readers"][position] for view in storage["views"]]
            entries = [
                str(entry["cell"]),
                storage["values"][position],
                *map(_readers_text, readers),
            ]
            position += 1
        for column, text in zip(columns, entries, strict=True):
            column.append(text)
    widths = [max(map(len, column)) for column in columns]
    lines = [map(str.ljust, line, widths) for line in zip(*columns, strict=True)]
    return ["  ".join(line).rstrip() for line in lines]


def _readers_text(indices: Sequence[Index]) -> str:
    return " ".join(f"[{', '.join(map(str, index))}]" for index in indices)
