"""Compare what was seen with what was due, field by field."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from firstlight.checking.observe import Seen, Signature

# The fields of one observation, in the order in which they are told to a student.
FIELDS = ("kind", "keys", "shape", "dtype", "device", "value", "requires_grad", "shares", "strides")
ACCEPTED = frozenset({"kind", "keys", "shape", "dtype", "device", "value"})

# Relative to the largest value due: rounding of a different but right order of operations.
TOLERANCE = {
    "float64": 1e-7,
    "complex128": 1e-7,
    "float32": 2e-5,
    "complex64": 2e-5,
    "float16": 4e-3,
    "bfloat16": 3e-2,
}


@dataclass(frozen=True)
class Difference:
    """The first field in which an observation differs; `path` leads into sequences."""

    observation: str
    field: str
    seen: Seen
    due: Seen
    path: tuple[str, ...] = ()


def _as_tensor(seen: Seen) -> torch.Tensor:
    if isinstance(seen.value, np.ndarray):
        return torch.from_numpy(np.ascontiguousarray(seen.value))
    assert isinstance(seen.value, torch.Tensor)
    return seen.value


def close(seen: torch.Tensor, due: torch.Tensor, tolerance: float) -> bool:
    """Whether two tensors of one shape agree; NaN agrees with NaN, infinity with infinity.

    The tolerance is relative to the largest finite magnitude that is due.
    """
    if tolerance == 0:
        return bool(torch.equal(seen, due)) or bool(
            ((seen == due) | ((seen != seen) & (due != due))).all()
        )
    wide = torch.complex128 if due.is_complex() or seen.is_complex() else torch.float64
    seen, due = seen.to(wide), due.to(wide)
    finite = due[torch.isfinite(due)]
    scale = float(finite.abs().max()) if finite.numel() else 0.0
    return torch.allclose(seen, due, rtol=tolerance, atol=tolerance * scale, equal_nan=True)


def _numbers_agree(seen: Seen, due: Seen) -> bool:
    one, other = float(seen.value), float(due.value)
    return math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-9) or (
        math.isnan(one) and math.isnan(other)
    )


def _values_agree(seen: Seen, due: Seen) -> bool:
    if due.kind in ("tensor", "array"):
        if seen.shape != due.shape:
            return False
        tolerance = max(TOLERANCE.get(s.dtype or "", 0.0) for s in (seen, due))
        return close(_as_tensor(seen), _as_tensor(due), tolerance)
    if due.kind == "number":
        return _numbers_agree(seen, due)
    return bool(seen.value == due.value)


def _kinds_agree(seen: Seen, due: Seen) -> bool:
    return seen.kind == due.kind and (due.kind not in ("error", "other") or seen.type == due.type)


def _field_agrees(name: str, seen: Seen, due: Seen) -> bool:
    if name == "kind":
        return _kinds_agree(seen, due)
    if name == "value":
        return _values_agree(seen, due)
    return bool(getattr(seen, name) == getattr(due, name))


def difference(
    name: str, seen: Seen, due: Seen, fields: frozenset[str], path: tuple[str, ...] = ()
) -> Difference | None:
    """Find the first of `fields` in which two observations differ."""
    nested = due.kind in ("sequence", "mapping")
    for field in FIELDS:
        if field not in fields or (nested and field == "value"):
            continue
        if field != "kind" and seen.kind != due.kind and field not in ("shape", "dtype", "value"):
            continue
        if not _field_agrees(field, seen, due):
            return Difference(name, field, seen, due, path)
    if nested and "value" in fields and seen.kind == due.kind:
        keys = due.keys or tuple(range(len(due.value)))
        for key, one, other in zip(keys, seen.value, due.value, strict=True):
            inner = difference(name, one, other, fields, (*path, str(key)))
            if inner:
                return inner
    return None


def _missing(name: str) -> Seen:
    return Seen("none", None, type="missing")


def differences(
    seen: Signature, due: Signature, fields: frozenset[str], *, extras: bool = False
) -> Iterator[Difference]:
    """Yield one difference for each observation that differs.

    With `extras`, the observations marked `Extra` count, too.
    """
    if seen.error and not due.error:
        yield Difference("error", "kind", seen.error, _missing("error"))
        return
    for name, expected in due.observations.items():
        if expected.extra and not extras:
            continue
        found = difference(name, seen.observations.get(name, _missing(name)), expected, fields)
        if found:
            yield found


def agree(seen: Signature, due: Signature, fields: frozenset[str], *, extras: bool = False) -> bool:
    """Whether every observation agrees in `fields`."""
    if (seen.error is None) != (due.error is None):
        return False
    return next(differences(seen, due, fields, extras=extras), None) is None
