"""The explorers: interactive pictures of the student's own objects, each loaded on first use."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from firstlight.explore.broadcast import broadcast
    from firstlight.explore.checkpoint import checkpoint
    from firstlight.explore.draw import draw
    from firstlight.explore.floats import floats
    from firstlight.explore.graph import graph
    from firstlight.explore.health import health
    from firstlight.explore.health_record import record as record
    from firstlight.explore.loader import loader
    from firstlight.explore.memory import memory
    from firstlight.explore.module import module
    from firstlight.explore.predictions import predictions
    from firstlight.explore.runs import runs
    from firstlight.explore.training import training

__all__ = [
    "broadcast",
    "checkpoint",
    "draw",
    "floats",
    "graph",
    "health",
    "loader",
    "memory",
    "module",
    "predictions",
    "runs",
    "training",
]
_OTHERS = {"record": "health_record"}  # what is no picture, by its module


class _Explorers(ModuleType):
    """This package, where an explorer's name means the function and never its module."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in __all__ or not isinstance(value, ModuleType):
            super().__setattr__(name, value)


def __getattr__(name: str) -> Any:
    """Load the explorer `name` from the module of the same name."""
    if name not in __dir__():
        raise AttributeError(f"firstlight.explore has no {name!r}; it has {', '.join(__dir__())}")
    explorer = getattr(import_module(f"{__name__}.{_OTHERS.get(name, name)}"), name)
    globals()[name] = explorer
    return explorer


def __dir__() -> list[str]:
    return [*__all__, *_OTHERS]


sys.modules[__name__].__class__ = _Explorers
