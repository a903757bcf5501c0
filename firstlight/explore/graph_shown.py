"""What is shown of a tensor: a corner of it as texts, in a table or in one line."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from firstlight.explore.tensors import cell_texts, rounded

MOST_ROWS = 6  # of more, one less is shown
MOST_COLUMNS = 4

Part = dict[str, Any]  # a tensor's shape, how much of its last two axes is shown, and those cells


def one_line(tensor: Tensor) -> str:
    """Write the corner of a tensor in one line: `3.0`, `[1.0, 2.0, …]`, `[[1.0, …], …]`."""
    return in_brackets(shown_part(tensor))


def shown_part(tensor: Tensor) -> Part:
    """Return what is shown of a tensor: a corner of its last two axes, at index 0 of all others."""
    values = tensor.detach()
    shape = list(values.shape)
    if values.layout != torch.strided:
        values = values.to_dense()
    if values.numel() == 0:
        return {"shape": shape, "shown": [0], "cells": []}
    values = values[(0,) * (values.dim() - 2)]
    if values.dim():
        values = values[..., : _shown(shape[-1], MOST_COLUMNS)]
    if values.dim() > 1:
        values = values[: _shown(shape[-2], MOST_ROWS)]
    return {"shape": shape, "shown": list(values.shape), "cells": cell_texts(values)}


def _shown(size: int, most: int) -> int:
    return size if size <= most else most - 1


def in_brackets(part: Mapping[str, Any]) -> str:
    """Write what is shown of a tensor as Python writes lists, with `…` for what is left out."""
    cells, shown, shape = part["cells"], part["shown"], part["shape"]
    if not shape:
        return str(cells[0])
    if not cells:
        return "[]"
    width = shown[-1]
    rows = [cells[at : at + width] for at in range(0, len(cells), width)]
    lines = [_list(row, whole=width == shape[-1]) for row in rows]
    if len(shape) == 1:
        return lines[0]
    text = _list(lines, whole=shown[0] == shape[-2])
    for size in reversed(shape[:-2]):
        text = _list([text], whole=size == 1)
    return text


def _list(parts: Sequence[str], whole: bool) -> str:
    more = [] if whole else ["…"]
    return f"[{', '.join([*parts, *more])}]"


@dataclass
class Pool:
    """The tensors and sentences on show, each different one once: elsewhere they are numbers."""

    parts: list[Part] = field(default_factory=list)
    sentences: list[str | None] = field(default_factory=list)
    rounded: bool = False
    _numbers: dict[str, int] = field(default_factory=dict)

    def add(self, tensor: Tensor | None) -> int | None:
        """Return the number of a tensor; None has none."""
        if tensor is None:
            return None
        part = shown_part(tensor)
        key = json.dumps(part)
        if key not in self._numbers:
            self._numbers[key] = len(self.parts)
            self.parts.append(part)
            if not self.rounded and tensor.layout == torch.strided:
                self.rounded = rounded(tensor.detach().flatten()[:64])
        return self._numbers[key]

    def say(self, sentence: str | None) -> int:
        """Return the number of a sentence."""
        if sentence not in self.sentences:
            self.sentences.append(sentence)
        return self.sentences.index(sentence)

    def text(self, number: int | None) -> str:
        """Write the tensor of this number in one line."""
        return "None" if number is None else in_brackets(self.parts[number])
