"""What `torch.load` lets through by default, and what it refuses, told from a pickle's names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from firstlight.explore.checkpoint_pickle import Call, Name, Pickle

_BLOCKED = {"sys", "os", "posix", "nt"}  # modules that torch.load allows nobody to allow
_RUNS = {  # whole modules whose functions start programs, import, or change files
    *("os", "posix", "nt", "sys", "subprocess", "shutil", "socket", "importlib", "runpy", "ctypes"),
    *("pickle", "_pickle", "webbrowser", "pty", "code", "multiprocessing", "urllib", "http"),
    *("asyncio", "threading", "signal", "tempfile", "pathlib", "timeit", "pdb", "bdb", "pip"),
    *("commands", "platform", "marshal", "types", "inspect"),
}
_RUNS_ALONE = {
    *("builtins.eval", "builtins.exec", "builtins.compile", "builtins.__import__"),
    *("builtins.getattr", "builtins.setattr", "builtins.open", "builtins.input"),
    *("operator.attrgetter", "operator.methodcaller", "torch.load", "torch.hub.load", "numpy.load"),
}


@dataclass(frozen=True)
class Verdict:
    """Whether `torch.load(path)` accepts a pickle, by default `weights_only=True`.

    `refused` are the names off its list, in order; `strange` is what its reader cannot follow;
    `known` says whether this PyTorch told its list.
    """

    refused: tuple[Name, ...]
    strange: tuple[str, ...]
    known: bool = True

    @property
    def accepts(self) -> bool:
        """Say whether nothing is refused."""
        return self.known and not self.refused and not self.strange


def judge(pickle: Pickle) -> Verdict:
    """Compare the names that a pickle imports with PyTorch's own list of what it allows."""
    allowed = _allowed()
    if allowed is None:
        return Verdict((), (), known=False)
    refused = [name for name in pickle.names if name.module in _BLOCKED or str(name) not in allowed]
    return Verdict(tuple(refused), pickle.strange)


def _allowed() -> frozenset[str] | None:
    """Return the names that `torch.load` allows: its own, and those the student has added."""
    try:
        from torch._weights_only_unpickler import _get_allowed_globals, _get_user_allowed_globals
    except ImportError:  # a later PyTorch keeps its list elsewhere
        return None
    users: Callable[[], dict[str, Any]] = _get_user_allowed_globals
    return frozenset([*_get_allowed_globals(), *users()])


def danger(name: Name) -> str:
    """Say in a few words what a refused name is: a class, a function that runs things, NumPy's."""
    top = name.module.split(".")[0]
    if top in ("posix", "nt"):
        return f"can run any program or code: it is os.{name.name}"
    if str(name) in _RUNS_ALONE or top in _RUNS:
        return "can run any program or code"
    if top == "numpy":
        return "NumPy's, not PyTorch's"
    if name.name[:1].isupper():
        return "a class: the file holds a whole object and not only values"
    return "a function that is not on PyTorch's list"


def dangerous(name: Name) -> bool:
    """Say whether a name is known to run programs or code."""
    return danger(name).startswith("can run")


def calls_of(name: Name, pickle: Pickle) -> list[Call]:
    """Return the calls that loading would make of a name."""
    return [call for call in pickle.calls if call.callee == name]
