"""Inert values as short text, and what a plain reader sees in common calls: sets, sizes, NumPy."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from firstlight.explore.checkpoint_pickle import Call, Items, Name, Stored, Table

LONGEST = 90  # characters of one value
_TABLES = {"collections.OrderedDict": "OrderedDict", "collections.Counter": "Counter"}
_BRACKETS = {"list": "[]", "tuple": "()", "set": "{}", "frozenset": "{}"}
_NUMPY = re.compile(r"numpy\.(_core|core)\.(multiarray|numeric)\.(_reconstruct|scalar|_frombuffer)")


def table_of(value: Any) -> tuple[str, list[tuple[Any, Any]]] | None:
    """Return the kind and the pairs of a dict or of a class of dicts, or None."""
    if isinstance(value, Table):
        return "dict", _last_of_each(value.pairs)
    if isinstance(value, Call):
        name = value.name
        if name in _TABLES:
            return _TABLES[name], _last_of_each([*_given_pairs(value), *value.pairs])
        if name == "collections.defaultdict":
            return "defaultdict", _last_of_each(value.pairs)
    return None


def _given_pairs(call: Call) -> list[tuple[Any, Any]]:
    first = arguments(call)[0] if arguments(call) else None
    if isinstance(first, Table):
        return first.pairs
    rows = first.values if isinstance(first, Items) else []
    return [tuple(row.values) for row in rows if isinstance(row, Items) and len(row.values) == 2]


def _last_of_each(pairs: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """Keep, as a dict does, the last value of a key at the place of the first."""
    found: dict[Any, tuple[Any, Any]] = {}
    for key, value in pairs:
        plain_key = is_scalar(key) and not isinstance(key, bytearray)
        found[(type(key), key) if plain_key else id(key)] = (key, value)
    return list(found.values())


def arguments(call: Call) -> list[Any]:
    """Return what a call is given."""
    return call.arguments.values if isinstance(call.arguments, Items) else [call.arguments]


def is_scalar(value: Any) -> bool:
    """Say whether a value is a number, a string, bytes, a bool or None."""
    return value is None or isinstance(value, (bool, int, float, complex, str, bytes, bytearray))


def plain(value: Any) -> Any:
    """Return what a common harmless call gives, such as `{1, 2}` or `torch.Size([3])`, or the value.

    Numbers and bytes come as Python's; sets as `Items`; what is no such call comes back unchanged.
    """
    if not isinstance(value, Call):
        return value
    name, given = value.name, arguments(value)
    if name in ("builtins.set", "builtins.frozenset") and len(given) <= 1:
        values = given[0].values if given and isinstance(given[0], Items) else []
        return Items(name.partition(".")[2], values)
    if name == "torch.Size" and given and isinstance(given[0], Items):
        return given[0]
    if name == "builtins.complex" and [type(each) for each in given] == [float, float]:
        return complex(*given)
    if name == "_codecs.encode" and given and isinstance(given[0], str):
        return given[0].encode("latin-1", "replace")
    if name in ("builtins.bytearray", "builtins.bytes"):
        inner = plain(given[0]) if given else b""
        return inner if isinstance(inner, bytes) else value
    return value


def numpy_of(value: Any) -> np.ndarray[Any, Any] | None:
    """Return a NumPy array or number that a file describes, made from its bytes alone, or None."""
    if not isinstance(value, Call) or not _NUMPY.fullmatch(value.name):
        return None
    parts = value.state.values if isinstance(value.state, Items) else arguments(value)
    try:
        if value.name.endswith("_reconstruct"):
            _, shape, kind, fortran, data = parts
            dimensions, order = [int(size) for size in shape.values], "F" if fortran else "C"
        elif value.name.endswith("scalar"):
            (kind, data), dimensions, order = parts, [], "C"
        else:
            data, kind, shape, order = parts
            dimensions = [int(size) for size in shape.values]
        found = np.frombuffer(plain(data), _numpy_dtype(kind))
        return found.reshape(dimensions, order="F" if order == "F" else "C")
    except (ValueError, TypeError, AttributeError, IndexError, OverflowError):
        return None


def _numpy_dtype(kind: Any) -> np.dtype[Any]:
    code = arguments(kind)[0]
    state = kind.state.values if isinstance(kind.state, Items) else ()
    order = plain(state[1]) if len(state) > 1 else "<"
    order = order.decode("latin-1") if isinstance(order, bytes) else order
    if not isinstance(code, str) or not re.fullmatch(r"[fiub][1-9]", code):
        raise ValueError("no plain dtype")
    return np.dtype((order if order in ("<", ">") else "") + code)


def flat_values(value: Any) -> list[Any] | None:
    """Return the scalars of a list, tuple or set that holds nothing else, tuples in it flattened."""
    if not isinstance(value, Items):
        return None
    found: list[Any] = []
    for each in value.values:
        inner = plain(each)
        if isinstance(inner, Items) and inner.kind == "tuple" and all(map(is_scalar, inner.values)):
            found.extend(inner.values)
        elif is_scalar(inner):
            found.append(inner)
        else:
            return None
    return found


def short(value: Any, most: int = LONGEST, depth: int = 3) -> str:
    """Write an inert value in at most about `most` characters."""
    text = _short(plain(value), most, depth)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _short(value: Any, most: int, depth: int) -> str:
    if isinstance(value, (str, bytes, bytearray)):
        return repr(value[: most + 1])
    if isinstance(value, int) and value.bit_length() > 200:
        return f"a whole number of {value.bit_length():,} bits"
    if isinstance(value, Name):
        return str(value)[: most + 1]
    if isinstance(value, Stored):
        return "a storage"
    if (array := numpy_of(value)) is not None:
        return _array_text(array)
    if isinstance(value, (Items, Table, Call)) and depth == 0:
        return "…"
    if isinstance(value, Items):
        return _items_text(value, most, depth)
    if (table := table_of(value)) is not None:
        pairs = [f"{short(k, 30, 0)}: {short(v, 40, depth - 1)}" for k, v in table[1][:5]]
        more = ["…"] if len(table[1]) > 5 else []
        return "{" + ", ".join([*pairs, *more]) + "}"
    if isinstance(value, Call):
        given = [short(each, most, depth - 1) for each in arguments(value)[:5]]
        callee = short(value.callee, most, depth - 1)
        return f"{callee}({', '.join(given)})"
    return repr(value)


def _items_text(value: Items, most: int, depth: int) -> str:
    brackets = _BRACKETS[value.kind]
    texts = [short(each, most, depth - 1) for each in value.values[:8]]
    more = len(value.values) - len(texts)
    if more:
        texts.append(f"… {more:,} more")
    comma = "," if value.kind == "tuple" and len(value.values) == 1 else ""
    return f"{brackets[0]}{', '.join(texts)}{comma}{brackets[1]}"


def _array_text(array: np.ndarray[Any, Any]) -> str:
    if array.ndim == 0:
        return f"{array.item()!r}, a NumPy {array.dtype}"
    return f"NumPy array of shape {array.shape}, {array.dtype}"


def same(one: Any, other: Any) -> bool:
    """Say whether two leaves hold the same, floats bit by bit as far as Python's text tells."""
    first, second = numpy_of(one), numpy_of(other)
    if first is not None and second is not None:
        return (first.dtype, first.shape) == (second.dtype, second.shape) and (
            first.tobytes() == second.tobytes()
        )
    one, other = plain(one), plain(other)
    if is_scalar(one) or is_scalar(other):
        return type(one) is type(other) and (one == other or repr(one) == repr(other))
    first_flat, second_flat = flat_values(one), flat_values(other)
    if first_flat is None or second_flat is None:
        return short(one, 2000, 6) == short(other, 2000, 6)
    return len(first_flat) == len(second_flat) and all(map(same, first_flat, second_flat))
