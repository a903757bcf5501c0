"""A pickle read without running it: its instructions become inert values, and calls stay calls.

`pickle.load` is a small machine that calls whatever the file names. The machine here knows the same
instructions, and where the other would call something it writes down a `Call`. It imports nothing,
and its only effects are lists that grow.
"""

from __future__ import annotations

import pickletools
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, BinaryIO

MOST_INSTRUCTIONS = 1_000_000  # a checkpoint of 10,000 tensors takes about 400,000
UNREADABLE = (ValueError, IndexError, TypeError, KeyError, EOFError, OverflowError, MemoryError)


def printable(text: str) -> str:
    """Return text as it is, or escaped where it holds what can't be shown: line ends, surrogates."""
    return text if text.isprintable() else ascii(text)[1:-1]


@dataclass(frozen=True)
class Name:
    """What a file asks to import, such as `torch._utils._rebuild_tensor_v2`."""

    module: str
    name: str

    def __str__(self) -> str:
        return printable(f"{self.module}.{self.name}")


@dataclass(eq=False)
class Items:
    """A list, tuple, set or frozenset."""

    kind: str
    values: list[Any] = field(default_factory=list)


@dataclass(eq=False)
class Table:
    """A dict: pairs, because an inert key need not be hashable."""

    pairs: list[tuple[Any, Any]] = field(default_factory=list)


@dataclass(eq=False)
class Call:
    """A call that loading would make, with what is done to its result afterwards."""

    callee: Any
    arguments: Any
    pairs: list[tuple[Any, Any]] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    state: Any = None

    @property
    def name(self) -> str:
        """Return the name that is called, or "" where it is none: what a call gave may be called."""
        return str(self.callee) if isinstance(self.callee, Name) else ""


@dataclass(eq=False)
class Stored:
    """A reference to data outside the pickle: for PyTorch, one storage."""

    identity: Any


@dataclass(frozen=True)
class Pickle:
    """What a pickle says: its value, the names it imports, and the calls it makes, in order."""

    root: Any
    names: tuple[Name, ...]
    calls: tuple[Call, ...]
    stored: tuple[Stored, ...]
    strange: tuple[str, ...]  # what torch.load's reader of weights does not know, in its order
    broken: str  # why the reading ended early, or ""


def read_pickle(stream: BinaryIO, most: int = MOST_INSTRUCTIONS) -> Pickle:
    """Read one pickle from where the stream stands. Nothing in it is imported or called."""
    machine = _Machine()
    broken = ""
    try:
        for number, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
            if number == most:
                broken = f"it has more than {most:,} instructions, and the rest was not read"
                break
            machine.step(opcode.name, argument)
    except UNREADABLE as error:
        broken = (
            f"its instructions break off ({type(error).__name__}: {printable(str(error))[:80]})"
        )
    return Pickle(
        machine.result(),
        tuple(dict.fromkeys(machine.names)),
        tuple(machine.calls),
        tuple(machine.stored),
        tuple(dict.fromkeys(machine.strange)),
        broken,
    )


class _Mark:
    pass


_MARK = _Mark()
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY: dict[str, Callable[[], Any]] = {
    "EMPTY_DICT": Table,
    "EMPTY_LIST": lambda: Items("list"),
    "EMPTY_TUPLE": lambda: Items("tuple"),
    "EMPTY_SET": lambda: Items("set"),
}
_PLAIN = {"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINSTRING"}
_OTHER_PLAIN = {
    *("INT", "LONG", "LONG4", "FLOAT", "STRING", "BINSTRING", "UNICODE", "SHORT_BINUNICODE"),
    *("BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}
_WRAPS = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
# What torch.load(..., weights_only=True) reads; it stops at any other instruction.
_KNOWN = {
    *_CONSTANTS,
    *_EMPTY,
    *_PLAIN,
    *_WRAPS,
    *("PROTO", "STOP", "MARK", "TUPLE", "GLOBAL", "REDUCE", "NEWOBJ", "BUILD", "APPEND", "APPENDS"),
    *("SETITEM", "SETITEMS", "BINPERSID", "BINGET", "LONG_BINGET", "BINPUT", "LONG_BINPUT"),
}


class _Machine:
    """The stack and memo of a pickle, and what came up."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.protocol = 0
        self.names: list[Name] = []
        self.calls: list[Call] = []
        self.stored: list[Stored] = []
        self.strange: list[str] = []

    def step(self, name: str, argument: Any) -> None:
        """Do one instruction, named as in `pickletools`."""
        if name not in _KNOWN:
            self.strange.append(f"the instruction {name}")
        if name in _PLAIN or name in _OTHER_PLAIN:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name])
        elif name in _EMPTY:
            self.stack.append(_EMPTY[name]())
        elif name in _WRAPS:
            self.stack.append(Items("tuple", self._take(_WRAPS[name])))
        else:
            getattr(self, f"_{name.lower()}")(argument)

    def result(self) -> Any:
        """Return the value of the pickle; of one that broke off, what was begun first."""
        return next((value for value in self.stack if value is not _MARK), None)

    def _take(self, count: int) -> list[Any]:
        if len(self.stack) < count or any(value is _MARK for value in self.stack[-count:]):
            raise IndexError("an instruction takes more values than there are")
        values = self.stack[-count:]
        del self.stack[-count:]
        return values

    def _take_to_mark(self) -> list[Any]:
        for place in range(len(self.stack) - 1, -1, -1):
            if self.stack[place] is _MARK:
                values = self.stack[place + 1 :]
                del self.stack[place:]
                return values
        raise IndexError("an instruction asks for a mark that is not there")

    def _top(self) -> Any:
        if not self.stack or self.stack[-1] is _MARK:
            raise IndexError("an instruction takes a value where there is none")
        return self.stack[-1]

    # Instructions without a value.

    def _proto(self, argument: Any) -> None:
        self.protocol = argument

    def _frame(self, argument: Any) -> None: ...

    def _stop(self, argument: Any) -> None:
        self.stack = self._take(1)

    def _mark(self, argument: Any) -> None:
        self.stack.append(_MARK)

    def _pop(self, argument: Any) -> None:
        self.stack.pop()

    def _pop_mark(self, argument: Any) -> None:
        self._take_to_mark()

    def _dup(self, argument: Any) -> None:
        self.stack.append(self._top())

    # The memo.

    def _put(self, argument: Any) -> None:
        self.memo[argument] = self._top()

    _binput = _long_binput = _put

    def _memoize(self, argument: Any) -> None:
        self.memo[len(self.memo)] = self._top()

    def _get(self, argument: Any) -> None:
        self.stack.append(self.memo[argument])

    _binget = _long_binget = _get

    # Containers.

    def _tuple(self, argument: Any) -> None:
        self.stack.append(Items("tuple", self._take_to_mark()))

    def _list(self, argument: Any) -> None:
        self.stack.append(Items("list", self._take_to_mark()))

    def _dict(self, argument: Any) -> None:
        self.stack.append(Table(_paired(self._take_to_mark())))

    def _frozenset(self, argument: Any) -> None:
        self.stack.append(Items("frozenset", self._take_to_mark()))

    def _append(self, argument: Any) -> None:
        self._extend(self._take(1), "list")

    def _appends(self, argument: Any) -> None:
        self._extend(self._take_to_mark(), "list")

    def _additems(self, argument: Any) -> None:
        self._extend(self._take_to_mark(), "set")

    def _extend(self, values: list[Any], kind: str) -> None:
        target = self._top()
        if not isinstance(target, (Items, Call)):
            raise TypeError(f"it appends to a {type(target).__name__}")
        if not (isinstance(target, Items) and target.kind == kind):
            self.strange.append("appending to what is no list")
        target.values.extend(values)

    def _setitem(self, argument: Any) -> None:
        self._set(self._take(2))

    def _setitems(self, argument: Any) -> None:
        self._set(self._take_to_mark())

    def _set(self, values: list[Any]) -> None:
        target = self._top()
        if not isinstance(target, (Table, Call)):
            raise TypeError(f"it sets items of a {type(target).__name__}")
        dicts = ("collections.OrderedDict", "collections.Counter")
        if isinstance(target, Call) and target.name not in dicts:
            self.strange.append("setting items of what is no dict")
        target.pairs.extend(_paired(values))

    # What would import, call, or look elsewhere.

    def _name(self, module: Any, name: Any) -> Name:
        if not isinstance(module, str) or not isinstance(name, str):
            raise TypeError("it imports by something that is no name")
        named = Name(module, name)
        self.names.append(named)
        return named

    def _global(self, argument: Any) -> None:
        module, _, name = argument.partition(" ")
        if self.protocol < 3:  # such a pickle uses the names of Python 2
            module, name = NAME_MAPPING.get(
                (module, name), (IMPORT_MAPPING.get(module, module), name)
            )
        self.stack.append(self._name(module, name))

    def _stack_global(self, argument: Any) -> None:
        self.stack.append(self._name(*self._take(2)))

    def _called(self, callee: Any, arguments: Any) -> None:
        call = Call(callee, arguments)
        self.calls.append(call)
        if not isinstance(callee, Name):
            self.strange.append("a call of what a call gave")
        self.stack.append(call)

    def _reduce(self, argument: Any) -> None:
        self._called(*self._take(2))

    _newobj = _reduce

    def _newobj_ex(self, argument: Any) -> None:
        callee, positional, named = self._take(3)
        self._called(callee, Items("tuple", [positional, named]))

    def _inst(self, argument: Any) -> None:
        values = self._take_to_mark()
        self._global(argument)
        self._called(self.stack.pop(), Items("tuple", values))

    def _obj(self, argument: Any) -> None:
        callee, *values = self._take_to_mark()
        self._called(callee, Items("tuple", values))

    def _build(self, argument: Any) -> None:
        (state,) = self._take(1)
        target = self._top()
        if isinstance(target, Call):
            target.state = state
        else:
            self.strange.append("setting the state of a plain value")

    def _binpersid(self, argument: Any) -> None:
        (identity,) = self._take(1)
        first = identity.values[0] if isinstance(identity, Items) and identity.values else None
        if first != "storage":
            self.strange.append("a reference to something that is no storage")
        self.stored.append(Stored(identity))
        self.stack.append(self.stored[-1])

    def _persid(self, argument: Any) -> None:
        self.stored.append(Stored(argument))
        self.stack.append(self.stored[-1])

    def _ext1(self, argument: Any) -> None:
        self.stack.append(self._name("extension registry", str(argument)))

    _ext2 = _ext4 = _ext1

    def _next_buffer(self, argument: Any) -> None:
        self.stack.append(Stored("a buffer outside the file"))

    def _readonly_buffer(self, argument: Any) -> None: ...


def _paired(values: list[Any]) -> list[tuple[Any, Any]]:
    if len(values) % 2:
        raise ValueError("a key of a dict has no value")
    return list(zip(values[::2], values[1::2], strict=True))
