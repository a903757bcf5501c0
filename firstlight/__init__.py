"""Firstlight: a hands-on PyTorch course whose checks name the mistake.

The names below are a student's whole vocabulary.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

__all__ = [
    "check",
    "expected_error",
    "explore",
    "hint",
    "load_fashion_mnist",
    "load_mnist",
    "predict",
    "solution",
]

_HOME = {
    "check": "firstlight.checking.verbs",
    "expected_error": "firstlight.checking.verbs",
    "hint": "firstlight.checking.verbs",
    "load_fashion_mnist": "firstlight.datasets",
    "load_mnist": "firstlight.datasets",
    "predict": "firstlight.predictions",
    "solution": "firstlight.checking.verbs",
}


def __getattr__(name: str) -> Any:
    """Load a name on first use, so that importing the course costs nothing."""
    if name == "explore":
        return importlib.import_module("firstlight.explore")
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'firstlight' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
