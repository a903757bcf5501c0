"""Measure a tensor in a few numbers: an output by its units, a gradient, a parameter's change."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Number = float | Tensor  # a tensor where asking it now would stop a GPU

_CHANNELS_FIRST = ("Conv", "BatchNorm", "InstanceNorm", "GroupNorm", "MaxPool", "AvgPool")
_FEATURES_LAST = ("Linear", "Bilinear", "LayerNorm", "RMSNorm", "Embedding", "LSTM", "GRU", "RNN")


@dataclass(frozen=True)
class Output:
    """What one call of a layer gave: sums over its values, and which units gave other than zero."""

    kind: str
    training: bool | None
    values: int
    total: Number
    norm: Number
    low: Number
    high: Number
    zeros: Number
    unusual: Number  # how many values are NaN or infinite
    alive: Tensor  # (units,) of bool

    @classmethod
    def of(cls, tensor: Tensor, kind: str, training: bool | None, units_first: bool) -> Output:
        """Measure a tensor with at least one value; a unit is a column, or a channel of images."""
        axis = 1 if units_first and tensor.dim() > 2 else -1
        columns = tensor.unsqueeze(-1) if tensor.dim() < 2 else tensor.movedim(axis, -1)
        low, high = (ask(end) for end in tensor.aminmax())
        total, norm = _sums(tensor)
        unusual = _unusual(tensor, low, high)
        filled = _filled(columns, plain=isinstance(unusual, float) and unusual == 0)
        zeros = ask(tensor.numel() - filled.long().sum())
        return cls(
            kind, training, tensor.numel(), total, norm, low, high, zeros, unusual, filled > 0
        )  # fmt: skip


def _filled(columns: Tensor, plain: bool) -> Tensor:
    """Count for each column (the last axis) the values that are not 0, NaN among them."""
    rest = tuple(range(columns.dim() - 1))
    if plain and columns.numel() < 2**24:  # on the CPU five times as fast as comparing, and exact
        return columns.abs().sign().sum(rest, dtype=torch.float32)
    return (columns != 0).sum(rest)


def _is_on_cpu(tensor: Tensor) -> bool:
    return tensor.device.type == "cpu"


def channels_first(kind: str, dims: int, before: bool | None) -> bool | None:
    """Tell whether axis 1 holds the units, from the kind of layer; else as it was `before`."""
    if kind.startswith(_CHANNELS_FIRST) or "Pool" in kind:
        return True
    if kind.startswith(_FEATURES_LAST):
        return False
    return dims > 3 if before is None else before


@dataclass(frozen=True)
class Gradient:
    """The size of a parameter's gradient."""

    norm: Number
    low: Number
    high: Number
    unusual: Number

    @classmethod
    def of(cls, gradient: Tensor) -> Gradient:
        values = gradient.coalesce().values() if gradient.is_sparse else gradient
        if not values.numel():
            return cls(0.0, 0.0, 0.0, 0.0)
        values = values.abs() if values.is_complex() else values
        low, high = (ask(end) for end in values.aminmax())
        return cls(norm_of(values), low, high, _unusual(values, low, high))


def norm_of(values: Tensor) -> Number:
    """Return the Euclidean norm; in float64 where float32 can't hold the squares."""
    wide = torch.float32 if values.dtype in (torch.float16, torch.bfloat16) else None
    if values.is_cuda:  # there the answer comes too late to ask again
        wide = torch.float64
    norm = ask(torch.linalg.vector_norm(values, dtype=wide))
    if isinstance(norm, float) and math.isinf(norm):
        return ask(torch.linalg.vector_norm(values, dtype=torch.float64))
    return norm


def ask(scalar: Tensor) -> Number:
    """Return a number now where that is cheap, on the CPU; elsewhere later, with all the others."""
    return float(scalar.item()) if _is_on_cpu(scalar) else scalar


def answers(numbers: Sequence[Number]) -> list[float]:
    """Return all numbers as floats, with one question to each device."""
    found = [number if isinstance(number, float) else math.nan for number in numbers]
    waiting: dict[torch.device, list[int]] = {}
    for place, number in enumerate(numbers):
        if isinstance(number, Tensor):
            waiting.setdefault(number.device, []).append(place)
        else:
            found[place] = float(number)
    for device, places in waiting.items():
        asked: list[Any] = [numbers[place] for place in places]
        for place, value in zip(places, _together(asked, device), strict=True):
            found[place] = value
    return found


def first_tensor(value: object) -> Tensor | None:
    """Return the first tensor of real numbers in nested tuples, lists and dicts."""
    if isinstance(value, Tensor):
        fits = value.is_floating_point() and value.layout == torch.strided and value.numel() > 0
        return value.detach() if fits and not value.is_meta else None
    inner: Iterable[object] = ()
    if isinstance(value, dict):
        inner = value.values()
    elif isinstance(value, (tuple, list)):
        inner = value
    return next((found for found in map(first_tensor, inner) if found is not None), None)


def _sums(tensor: Tensor) -> tuple[Number, Number]:
    """Return the sum and the norm, in float64: their difference must tell a small spread."""
    wide = torch.float32 if tensor.device.type == "mps" else torch.float64
    return ask(tensor.sum(dtype=wide)), ask(torch.linalg.vector_norm(tensor, dtype=wide))


def _unusual(values: Tensor, low: Number, high: Number) -> Number:
    """Count the values that are NaN or infinite; none if both ends are finite."""
    if isinstance(low, float) and isinstance(high, float) and math.isfinite(low + high):
        return 0.0
    return ask(values.numel() - values.isfinite().sum())


def _together(numbers: Sequence[Tensor], device: torch.device) -> list[float]:
    wide = torch.float32 if device.type == "mps" else torch.float64
    values: list[float] = torch.stack([number.to(wide) for number in numbers]).tolist()
    return values
