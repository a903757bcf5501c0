"""Say in plain words what a value is, and how it differs from what was due."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from firstlight.checking.compare import TOLERANCE, Difference, _as_tensor, close
from firstlight.checking.observe import INPUTS_AFTER, Seen

SHOWN = 24  # elements that are printed; a longer tensor is described by its shape
KIND_WORDS = {
    "tensor": "a tensor",
    "array": "a NumPy array",
    "number": "a Python number",
    "bool": "True or False",
    "text": "text",
}
PLAIN = ("number", "text", "bool", "none")


def _shape(shape: tuple[int, ...] | None) -> str:
    if shape is None:
        return "no shape"
    return "(" + ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "") + ")"


def _number(value: float | int) -> str:
    if isinstance(value, int):
        return str(value)
    return f"{value:.4g}" if math.isfinite(value) else str(value)


def _literal(value: float | int) -> str:
    """Write a number as Python reads it back: a whole float keeps its point."""
    text = _number(value)
    whole = isinstance(value, float) and text.lstrip("-").isdigit()
    return f"{text}." if whole else text


def _elements(value: torch.Tensor) -> str:
    """Print the elements as nested lists, four significant digits each."""
    if value.dim() == 0:
        item = value.item()
        return str(item) if isinstance(item, bool | complex) else _literal(item)
    return "[" + ", ".join(_elements(part) for part in value) + "]"


def shape_words(seen: Seen) -> str:
    """Give shape and dtype of a tensor or array, in a few words."""
    array = "NumPy array, " if seen.kind == "array" else ""
    return f"{array}shape {_shape(seen.shape)}, {seen.dtype}"


def elements(seen: Seen) -> str:
    """Print a tensor's elements if they are few; empty if they are many or none."""
    values = _as_tensor(seen)
    return _elements(values) if 0 < values.numel() <= SHOWN else ""


def _describe_sequence(seen: Seen) -> str:
    word = {"tuple": "a tuple", "list": "a list"}.get(seen.type, f"a {seen.type}")
    if len(seen.value) <= 4 and all(part.kind in PLAIN for part in seen.value):
        return f"{word} of " + ", ".join(describe(part) for part in seen.value)
    return f"{word} of {len(seen.value)}"


def error_line(seen: Seen) -> str:
    """Write an error as Python does: its type, and its message if it has one."""
    return f"{seen.type}: {seen.value}" if seen.value else seen.type


def describe(seen: Seen) -> str:
    """Describe a value in a few words: its elements if they are few, else its shape."""
    if seen.kind in ("tensor", "array"):
        word = "a tensor" if seen.kind == "tensor" else "a NumPy array"
        facts = f"{word} of shape {_shape(seen.shape)} and dtype {seen.dtype}"
        values = elements(seen)
        return f"{values} ({facts})" if values else facts
    if seen.kind == "number":
        return _number(seen.value if isinstance(seen.value, int) else float(seen.value))
    if seen.kind == "none":
        return "nothing" if seen.type == "missing" else "None"
    if seen.kind == "text":
        return f"{seen.value!r}" if seen.type == "str" else str(seen.value)
    if seen.kind == "sequence":
        return _describe_sequence(seen)
    if seen.kind == "mapping":
        return f"a {seen.type} with the keys {', '.join(map(repr, seen.keys[:6]))}"
    if seen.kind == "error":
        return error_line(seen)
    if seen.kind == "other":
        return f"an object of type {seen.type}"
    return str(seen.value)


# How two tensors of the same shape differ ------------------------------------------------------


def _constant_ratio(seen: torch.Tensor, due: torch.Tensor, tolerance: float) -> float | None:
    """Find the one factor that turns what was due into what was seen."""
    big = due.abs() > 1e-6 * (float(due.abs().max()) or 1.0)
    if not bool(big.any()):
        return None
    ratio = float((seen[big] / due[big]).median())
    if math.isfinite(ratio) and ratio not in (0.0, 1.0) and close(seen, due * ratio, tolerance):
        return ratio
    return None


def _factor_words(ratio: float, every: str) -> str:
    if ratio == -1:
        return f"{every} has the wrong sign"
    for whole in range(2, 1001):
        if math.isclose(ratio, whole, rel_tol=1e-4):
            return f"{every} is {whole} times too large"
        if math.isclose(ratio, 1 / whole, rel_tol=1e-4):
            return f"{every} is {whole} times too small"
    return f"{every} is {_number(ratio)} times what is due"


def _rearranged(seen: torch.Tensor, due: torch.Tensor, tolerance: float) -> str | None:
    """See whether the right numbers stand in the wrong places."""
    for axis in range(due.dim()):
        if due.shape[axis] > 1 and close(seen, due.flip(axis), tolerance):
            return f"the values are right, but axis {axis} runs backwards"
    for one in range(due.dim()):
        for other in range(one + 1, due.dim()):
            swapped = due.transpose(one, other)
            if swapped.shape == seen.shape and close(seen, swapped, tolerance):
                return f"axes {one} and {other} are swapped"
    ours, theirs = seen.flatten().sort().values, due.flatten().sort().values
    if due.numel() > 1 and close(ours, theirs, tolerance):
        return "all the values are there, but in other places"
    return None


def _told_apart(mine: float | int, theirs: float | int) -> tuple[str, str]:
    """Write two different numbers with as many digits as it takes to see the difference."""
    one, other = _number(mine), _number(theirs)
    for digits in range(5, 18):
        if one != other or isinstance(mine, int) or isinstance(theirs, int):
            break
        one, other = f"{mine:.{digits}g}", f"{theirs:.{digits}g}"
    return one, other


def _first_wrong(seen: torch.Tensor, due: torch.Tensor, tolerance: float) -> str:
    """Count the values that are wrong by the measure that judged them, and show the first."""
    finite = due[torch.isfinite(due)]
    scale = float(finite.abs().max()) if finite.numel() else 0.0
    wrong = ~torch.isclose(seen, due, rtol=tolerance, atol=tolerance * scale, equal_nan=True)
    if due.dim() == 0 or not bool(wrong.any()):
        return "the value is another one"
    place = wrong.nonzero()[0].tolist()
    mine, theirs = _told_apart(seen[tuple(place)].item(), due[tuple(place)].item())
    where = ", ".join(map(str, place))
    return (
        f"{int(wrong.sum())} of {due.numel()} values {'is' if wrong.sum() == 1 else 'are'} wrong, "
        f"the first at [{where}]: yours is {mine}, due is {theirs}"
    )


def _precision_words(seen: torch.Tensor, due: torch.Tensor) -> str:
    """Say how many digits are right, if the first four are: then the rule is right, too."""
    scale = float(due.abs().max()) if due.numel() else 0.0
    gap = float((seen - due).abs().max()) / scale if scale and math.isfinite(scale) else 1.0
    if not 0 < gap < 1e-4 or 2 * int((seen != due).sum()) <= due.numel():
        return ""
    digits = int(-math.log10(gap))
    return (
        f"the first {digits} digits are right, and more are due: something on the way was computed, "
        "kept or given too coarsely"
    )


def _value_facts(difference: Difference) -> Iterator[str]:
    """Name the simplest rule that explains a wrong value."""
    seen, due = _as_tensor(difference.seen), _as_tensor(difference.due)
    seen, due = seen.to(torch.float64), due.to(torch.float64)
    tolerance = max(TOLERANCE.get(difference.due.dtype or "", 0.0), 1e-6)
    if bool(torch.isnan(seen).any()) and not bool(torch.isnan(due).any()):
        lost = int(torch.isnan(seen).sum())
        yield f"{lost} of {seen.numel()} values {'is' if lost == 1 else 'are'} NaN"
        return
    if words := _precision_words(seen, due):
        yield words
        return
    every = "the value" if due.numel() == 1 else "every value"
    ratio = _constant_ratio(seen, due, tolerance)
    shift = float((seen - due).flatten().median()) if due.numel() else 0.0
    if seen.numel() and not bool(seen.any()):
        yield f"{every} is 0"
    elif ratio is not None:
        yield _factor_words(ratio, every)
    elif due.numel() > 1 and close(seen, due + shift, tolerance) and math.isfinite(shift):
        yield f"every value is {_number(abs(shift))} too {'large' if shift > 0 else 'small'}"
    elif places := _rearranged(seen, due, tolerance):
        yield places
    elif close(seen.abs(), due.abs(), tolerance):
        yield "the sizes are right, but some signs are not"
    else:
        yield _first_wrong(seen, due, tolerance)


def _items(count: int) -> str:
    return f"{count} item{'s' * (count != 1)}"


def _shape_facts(seen: Seen, due: Seen) -> Iterator[str]:
    ours, theirs = seen.shape or (), due.shape or ()
    if seen.kind == due.kind == "sequence":
        yield f"it has {_items(ours[0])}; due {'is' if theirs == (1,) else 'are'} {theirs[0]}"
        return
    yield f"its shape is {_shape(ours)}; due is {_shape(theirs)}"
    size, expected = math.prod(ours), math.prod(theirs)
    if not theirs and size > 1:
        yield f"one number was due and {size} came: is a reduction missing?"
    elif ours == theirs[::-1] and len(ours) > 1:
        yield "the axes are in reverse order"
    elif sorted(ours) == sorted(theirs):
        yield "the axes are in another order"
    elif tuple(s for s in ours if s != 1) == tuple(s for s in theirs if s != 1):
        yield "the shapes differ by axes of length 1 only"
    elif expected and size > expected and size % expected == 0 and len(ours) >= len(theirs):
        yield f"{expected} values were due and {size} came: a broadcast may have grown the result"
    elif expected == size:
        yield "the number of elements is right, but they are grouped differently"


def _kind_words(seen: Seen) -> str:
    """Say what kind of object a value is; NumPy's numbers are not Python's."""
    if seen.kind == "number" and seen.type not in ("int", "float"):
        return f"a NumPy number, {seen.type}"
    return KIND_WORDS[seen.kind]


def _kind_fact(difference: Difference) -> str:
    seen, due = difference.seen, difference.due
    if seen.type == "missing":
        return "it is missing"
    if seen.kind == "none" and difference.observation == "result":
        return f"the function returns None; due is {describe(due)}. Is a `return` missing, or is None what it returns?"
    if seen.kind in KIND_WORDS and due.kind in KIND_WORDS:
        return f"it is {_kind_words(seen)}; due is {_kind_words(due)}"
    return f"it is {describe(seen)}; due is {describe(due)}"


def _memory_fact(seen: Seen, due: Seen) -> str:
    if due.shares and not seen.shares:
        return "it is a copy; due is a view that shares memory with the input"
    return "it shares memory with the input; due is a tensor of its own"


def facts(difference: Difference) -> list[str]:
    """List what is plainly wrong, most telling first."""
    seen, due = difference.seen, difference.due
    if difference.field == "kind":
        return [_kind_fact(difference)]
    if difference.field == "shape":
        return list(_shape_facts(seen, due))
    if difference.field == "dtype":
        return [f"its dtype is {seen.dtype}; due is {due.dtype}"]
    if difference.field == "device":
        return [f"it lies on {seen.device}; due is {due.device}"]
    if difference.field == "requires_grad":
        return [f"requires_grad is {seen.requires_grad}; due is {due.requires_grad}"]
    if difference.field == "shares":
        return [_memory_fact(seen, due)]
    if difference.field == "keys":
        return [f"its keys are {seen.keys}; due are {due.keys}"]
    if due.kind in ("tensor", "array"):
        return list(_value_facts(difference))
    if seen.kind == due.kind == "number":
        mine, theirs = _told_apart(seen.value, due.value)
        return [f"it is {mine}; due is {theirs}"]
    return [f"it is {describe(seen)}; due is {describe(due)}"]


def change(difference: Difference) -> str:
    """Say how an input differs from what it was before the call."""
    now, before = difference.seen, difference.due
    if difference.field == "shape" and now.kind == before.kind == "sequence":
        assert now.shape is not None
        assert before.shape is not None
        return f"it had {_items(before.shape[0])} and now has {now.shape[0]}"
    if difference.field == "shape":
        return f"its shape was {_shape(before.shape)} and is now {_shape(now.shape)}"
    if difference.field == "dtype":
        return f"its dtype was {before.dtype} and is now {now.dtype}"
    if difference.field == "value" and before.kind in ("tensor", "array"):
        same = torch.isclose(_as_tensor(now), _as_tensor(before), rtol=1e-6, equal_nan=True)
        changed, every = int((~same).sum()), same.numel()
        return f"{changed} of {every} values {'has' if changed == 1 else 'have'} changed"
    return f"it was {describe(before)} and is now {describe(now)}"


def subject(difference: Difference, names: tuple[str, ...]) -> str:
    """Name what the difference is about: the result, an input that was changed, a part of it."""
    if difference.observation == INPUTS_AFTER:
        index = int(difference.path[0]) if difference.path else 0
        name = names[index] if index < len(names) else f"input {index + 1}"
        return f"`{name}`"
    where = "".join(f"[{step}]" for step in difference.path)
    where = f", item {where}" if where else ""
    if difference.observation == "result":
        return f"the result{where}"
    return f"{difference.observation}{where}"
