"""The tensors a file describes: what they are, what their numbers say, how two of them differ."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, prod
from typing import Any

import torch
from torch import Tensor

from firstlight.explore.checkpoint_dtypes import DTYPE, STORAGES, bytes_each, known_dtype
from firstlight.explore.checkpoint_file import Content
from firstlight.explore.checkpoint_pickle import Call, Name, printable
from firstlight.explore.checkpoint_values import arguments, plain
from firstlight.explore.tensors import cell_texts

CHUNK = 2**20  # numbers compared at a time
MOST_GATHERED = 2**24  # numbers of a tensor that is not contiguous and is still compared
WHOLE = 12  # numbers of a tensor that are all written out


@dataclass(frozen=True)
class Saved:
    """A tensor as its file describes it. Sizes and strides count numbers, not bytes."""

    storage: str
    dtype: str
    device: str
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    parameter: bool = False

    @property
    def numbers(self) -> int:
        """Return how many numbers the tensor has."""
        return prod(self.shape)

    @property
    def wide(self) -> int:
        """Return the bytes of one number; 0 for a dtype this PyTorch does not know."""
        return bytes_each(self.dtype) or 0

    @property
    def span(self) -> int:
        """Return how many numbers of the storage lie between its first and its last, both in it."""
        if not self.numbers:
            return 0
        return 1 + sum(
            (size - 1) * step for size, step in zip(self.shape, self.stride, strict=True)
        )

    @property
    def contiguous(self) -> bool:
        """Say whether its numbers lie one after the other, in the order of their indices."""
        due = 1
        for size, step in zip(reversed(self.shape), reversed(self.stride), strict=True):
            if size != 1 and step != due:
                return False
            due *= size
        return True


def saved_tensor(value: Any) -> Saved | None:
    """Return the tensor that a call of PyTorch's rebuilds, or None for anything else."""
    if not isinstance(value, Call):
        return None
    try:
        return _rebuilt(value.name, arguments(value))
    except (ValueError, TypeError, IndexError, AttributeError):
        return None  # not as PyTorch writes it


def _rebuilt(name: str, given: list[Any]) -> Saved | None:
    if name in ("torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state"):
        inner = saved_tensor(given[0])
        return inner and Saved(**{**vars(inner), "parameter": True})
    if name == "torch._tensor._rebuild_from_type_v2":
        return saved_tensor(Call(given[0], given[2]))
    if name == "torch._utils._rebuild_meta_tensor_no_storage":
        return Saved("", _dtype(given[0].name), "meta", 0, _whole(given[1]), _whole(given[2]))
    if name in ("torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2"):
        return _strided(given, None)
    if name == "torch._utils._rebuild_tensor_v3":
        return _strided(given, given[6].name)
    return None


def _strided(given: list[Any], dtype: str | None) -> Saved:
    stored, offset, shape, stride = given[:4]
    _, kind, key, device = stored.identity.values[:4]
    if not isinstance(kind, Name) or not isinstance(key, str) or not isinstance(device, str):
        raise TypeError("a storage is not named as PyTorch names it")
    named = STORAGES.get(kind.name, kind.name)
    sizes, steps = _whole(shape), _whole(stride)
    if len(sizes) != len(steps) or not isinstance(offset, int) or offset < 0:
        raise ValueError("no shape that fits its strides")
    return Saved(key, _dtype(dtype or named), printable(device)[:40], offset, sizes, steps)


def _dtype(name: str) -> str:
    if not DTYPE.fullmatch(name):
        raise ValueError("no name of a dtype")
    return name


def _whole(value: Any) -> tuple[int, ...]:
    numbers = tuple(plain(value).values)
    if not all(isinstance(number, int) and 0 <= number < 2**60 for number in numbers):
        raise ValueError("a size or stride is no whole number")
    return numbers


def fault(content: Content, tensor: Saved) -> str:
    """Say why a tensor's numbers can't be read, or ""."""
    if tensor.device == "meta":
        return "On the meta device: it has a shape and no numbers."
    if not tensor.wide:
        return f"This PyTorch has no dtype {tensor.dtype}, so its numbers can't be read."
    if content.swapped:
        return (
            "The file was written by a machine with another byte order; its numbers are not read."
        )
    if not tensor.numbers:
        return ""
    held = content.sizes.get(tensor.storage)
    if held is None:
        return f"Its storage {tensor.storage[:40]!r} is missing in the file."
    if (tensor.offset + tensor.span) * tensor.wide > held:
        return (
            f"It reaches to byte {(tensor.offset + tensor.span) * tensor.wide:,} of a storage that "
            f"has {held:,}: torch.load can't read it."
        )
    return ""


def _row(content: Content, tensor: Saved, start: int, count: int) -> Tensor:
    """Return `count` numbers of the storage, from `start` behind the tensor's first."""
    begin = (tensor.offset + start) * tensor.wide
    data = bytearray(content.read(tensor.storage, begin, count * tensor.wide))
    if len(data) < count * tensor.wide:
        raise EOFError("a storage is shorter than the file says")
    if not data:
        return torch.empty(0, dtype=torch.float32, device="cpu")
    if tensor.dtype == "bool":
        return torch.frombuffer(data, dtype=torch.uint8) != 0
    return torch.frombuffer(data, dtype=known_dtype(tensor.dtype) or torch.uint8)


def numbers_of(content: Content, tensor: Saved, most: int) -> Tensor:
    """Return the tensor's numbers in a row, at most about `most`: of a longer one the first stored."""
    if tensor.numbers <= most and tensor.span <= 4 * most:
        row = _row(content, tensor, 0, tensor.span)
        return row.as_strided(tensor.shape, tensor.stride).reshape(-1) if tensor.numbers else row
    return _row(content, tensor, 0, min(most, tensor.span))


@dataclass(frozen=True)
class Told:
    """What a tensor's numbers say: all of a few, or their smallest, mean and largest."""

    line: str
    bad: int = 0  # of those read: nan or infinite


def told(content: Content, tensor: Saved, most: int) -> Told:
    """Read up to `most` numbers and say what they are."""
    try:
        return _told(tensor, numbers_of(content, tensor, most))
    except (EOFError, RuntimeError, OSError, ValueError, NotImplementedError) as error:
        return Told(f"Its numbers can't be read ({str(error).splitlines()[0][:80]}).")


def _told(tensor: Saved, row: Tensor) -> Told:
    if not tensor.numbers:
        return Told("It has no number.")
    if row.dtype.is_complex:
        return Told(_few(row) if tensor.numbers <= WHOLE else "complex numbers")
    if row.dtype in (torch.qint8, torch.quint8, torch.qint32):
        return Told("quantised numbers")
    wide = row.to(torch.float64)
    finite = wide[torch.isfinite(wide)]
    bad = wide.numel() - finite.numel()
    if tensor.numbers <= WHOLE:
        return Told(_few(row), bad)
    part = "" if row.numel() == tensor.numbers else f" (of the first {row.numel():,} stored)"
    if row.dtype == torch.bool:
        return Told(f"{int(row.sum()):,} of {row.numel():,} are True", 0)
    if not finite.numel():
        return Told(f"none is finite{part}", bad)
    small, mean, large = finite.min(), finite.mean(), finite.max()
    few = [_number(value, row.dtype) for value in (small, large)]
    if bool(small == large) and not bad:
        return Told(f"all are {few[0]}{part}")
    return Told(f"from {few[0]} to {few[1]}, mean {float(mean):.4g}{part}", bad)


def _few(row: Tensor) -> str:
    if row.dtype.itemsize == 1 and row.dtype.is_floating_point:
        row = row.to(torch.float32)
    return ", ".join(cell_texts(row))


def _number(value: Tensor, dtype: torch.dtype) -> str:
    return f"{float(value):.4g}" if dtype.is_floating_point else f"{int(value)}"


@dataclass(frozen=True)
class Difference:
    """How two tensors of one shape and dtype differ.

    `count` numbers have other bits; `largest` is the largest absolute difference (inf where only one
    of the two is finite), `unread` why they were not compared.
    """

    count: int = 0
    largest: float = 0.0
    unread: str = ""


def difference(one: tuple[Content, Saved], other: tuple[Content, Saved]) -> Difference:
    """Compare two tensors of one shape and dtype bit by bit, a part of them at a time."""
    unread = fault(*one) or fault(*other)
    if unread:
        return Difference(unread=unread)
    tensors = one[1], other[1]
    try:
        if all(tensor.contiguous for tensor in tensors):
            return _by_chunks(one, other, tensors[0].numbers)
        if tensors[0].stride == tensors[1].stride and tensors[0].span <= tensors[0].numbers:
            return _by_chunks(one, other, tensors[0].span)
        if any(max(tensor.numbers, tensor.span) > MOST_GATHERED for tensor in tensors):
            return Difference(unread="It is large and not contiguous, and was not compared.")
        rows = [numbers_of(content, tensor, MOST_GATHERED) for content, tensor in (one, other)]
        return _compared(rows[0], rows[1])
    except (EOFError, RuntimeError, OSError, ValueError, NotImplementedError) as error:
        return Difference(unread=f"It can't be compared ({str(error).splitlines()[0][:80]}).")


def _by_chunks(
    one: tuple[Content, Saved], other: tuple[Content, Saved], numbers: int
) -> Difference:
    count, largest = 0, 0.0
    for start in range(0, numbers, CHUNK):
        length = min(CHUNK, numbers - start)
        rows = [_row(content, tensor, start, length) for content, tensor in (one, other)]
        found = _compared(rows[0], rows[1])
        count, largest = count + found.count, max(largest, found.largest)
    return Difference(count, largest)


def _compared(one: Tensor, other: Tensor) -> Difference:
    if not one.numel():
        return Difference()
    wide = one.dtype.itemsize
    bits = [row.contiguous().view(torch.uint8).reshape(-1, wide) for row in (one, other)]
    unlike = (bits[0] != bits[1]).any(1)
    count = int(unlike.sum())
    if not count:
        return Difference()
    if one.dtype in (torch.qint8, torch.quint8, torch.qint32):
        return Difference(count, inf)
    kind = torch.complex128 if one.dtype.is_complex else torch.float64
    first, second = one[unlike].to(kind), other[unlike].to(kind)
    apart = torch.where(
        first == second, torch.zeros((), dtype=torch.float64), (first - second).abs()
    )
    both = first.isnan() & second.isnan()
    apart = torch.where(both, torch.zeros_like(apart), apart)
    return Difference(count, float(torch.nan_to_num(apart, nan=inf, posinf=inf).max()))
