"""`explore.floats(value)`: the bits of float32, bfloat16 and float16, and what a number becomes there."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, isinf, isnan
from numbers import Real

import torch
from torch import Tensor

from firstlight.explore.frame import Explorer
from firstlight.explore.tensors import require_dense

MOST_NUMBERS = 16


@dataclass(frozen=True)
class Format:
    """A format of floating-point numbers: a sign bit, then exponent bits, then mantissa bits."""

    name: str
    dtype: torch.dtype
    whole: torch.dtype  # the integers of as many bits
    exponent: int
    mantissa: int

    @property
    def size(self) -> int:
        """Return how many bits a number has."""
        return 1 + self.exponent + self.mantissa


FORMATS = (  # float32 and bfloat16 first: one is the other's first half
    Format("float32", torch.float32, torch.int32, 8, 23),
    Format("bfloat16", torch.bfloat16, torch.int16, 8, 7),
    Format("float16", torch.float16, torch.int16, 5, 10),
)


@dataclass(frozen=True)
class Held:
    """What a format makes of a number: its bits, the value it holds, and the gap to the next one."""

    bits: str
    value: float
    gap: float
    kind: str  # "normal", "subnormal", "zero", "inf" or "nan"


def floats(value: float | Tensor) -> Explorer:
    """Show the bits of float32, bfloat16 and float16 for a number, and change it in the picture.

    `value` is a number, or a tensor of up to 16 numbers. Raises `TypeError` for anything else.
    """
    numbers = _numbers(value)
    data = {"numbers": [_written(number) for number in numbers]}
    title = (
        f"{_written(numbers[0])} in three formats"
        if len(numbers) == 1
        else f"{len(numbers)} numbers in three formats"
    )
    return Explorer("floats", title, data, "\n\n".join(map(_number_text, numbers)))


def _numbers(value: object) -> list[float]:
    if isinstance(value, Tensor):
        return _tensor_numbers(require_dense(value, "explore.floats(value)"))
    if isinstance(value, Real) and not isinstance(value, bool):
        try:
            return [float(value)]
        except OverflowError as error:
            message = "explore.floats takes numbers up to 1.8e308, and this one is larger."
            raise TypeError(message) from error
    seen = " ".join(repr(value).split())
    raise TypeError(
        "explore.floats takes a number or a tensor of numbers, and this is of type "
        f"{type(value).__name__}: {seen:.60}"
    )


def _tensor_numbers(tensor: Tensor) -> list[float]:
    if tensor.dtype == torch.bool or tensor.is_complex():
        raise TypeError(f"explore.floats takes real numbers, and this tensor is of {tensor.dtype}.")
    if not 1 <= tensor.numel() <= MOST_NUMBERS:
        raise TypeError(
            f"explore.floats shows 1 to {MOST_NUMBERS} numbers, and this tensor has "
            f"{tensor.numel():,}: give a few of them, such as it.flatten()[:4]."
        )
    return [float(number) for number in tensor.detach().cpu().flatten().tolist()]


def hold(number: float, form: Format) -> Held:
    """Return what PyTorch makes of a number in a format."""
    held = torch.tensor([number], dtype=form.dtype, device="cpu")
    bits = int(held.view(form.whole).item()) % 2**form.size
    value = float(held.item())
    magnitude = bits % 2 ** (form.size - 1)
    return Held(f"{bits:0{form.size}b}", value, _gap(magnitude, form), _kind(magnitude, form))


def _gap(magnitude: int, form: Format) -> float:
    """Return the distance from a number to the next one away from zero; nan where there is none."""
    infinite = (2**form.exponent - 1) << form.mantissa
    if magnitude >= infinite:
        return float("nan")
    last = (
        2 ** (form.exponent - 1) - 1 + form.mantissa
    )  # the exponent of 2 that divides every number
    return float(2.0 ** (max(magnitude >> form.mantissa, 1) - last))


def _kind(magnitude: int, form: Format) -> str:
    exponent, mantissa = divmod(magnitude, 2**form.mantissa)
    if exponent == 2**form.exponent - 1:
        return "nan" if mantissa else "inf"
    if exponent:
        return "normal"
    return "subnormal" if mantissa else "zero"


# In words.


def _written(number: float) -> str:
    """Write a number so that it is read back the same, short where it is whole."""
    if isfinite(number) and number == int(number) and abs(number) < 1e15 and str(number)[0] != "-":
        return str(int(number))
    return repr(number)


def _number_text(number: float) -> str:
    lines = [f"{_written(number)}:"]
    for form in FORMATS:
        held = hold(number, form)
        sign, rest = held.bits[0], held.bits[1:]
        groups = f"{sign} {rest[: form.exponent]} {rest[form.exponent :]}"
        bits = f"{form.exponent} bits of exponent, {form.mantissa} of mantissa"
        lines.append(f"  {form.name} (1 bit of sign, {bits}): {groups}")
        lines.append(f"    {_becomes(number, held, form)}")
        if isfinite(held.value):
            lines.append(f"    The gap to the next number is {held.gap:.4g}.")
    return "\n".join(lines)


def _becomes(number: float, held: Held, form: Format) -> str:
    """Say what a number becomes: exactly itself, rounded, inf, zero, or a subnormal one."""
    if isnan(number):
        return "nan, not a number: every bit of the exponent is 1, and the mantissa is not 0."
    if isinf(number):
        return "inf stays inf: every bit of the exponent is 1, and the mantissa is 0."
    if isinf(held.value):
        largest = torch.finfo(form.dtype).max
        return f"overflows to {held.value}: the largest number of {form.name} is {largest:.6g}."
    if held.value == 0 and number != 0:
        return "underflows to 0: it is at most half of the smallest number there is."
    small = "a subnormal number, with fewer digits, " if held.kind == "subnormal" else ""
    if held.value == number:
        return f"holds {small or 'exactly this number'}{'exactly' if small else ''}."
    error = held.value - number
    return (
        f"holds {small}{held.value!r}: off by {error:.3g}, {abs(100 * error / number):.2g} % of it."
    )
