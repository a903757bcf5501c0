"""Run code and leave the student's session as it was: random numbers, modes, and their objects."""

from __future__ import annotations

import contextlib
import copy
import io
import os
import random
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from firstlight.checking import source

Settings = dict[str, Any]

# It slows down whatever comes after, and explains no wrong value.
ANOMALY_ON = (
    "Your code leaves anomaly detection switched on for all code that runs after it, and makes it slow: "
    "`with torch.autograd.detect_anomaly():` switches it on and off again by itself."
)


def _settings() -> Settings:
    """Note what a student's code might set for the whole session."""
    return {
        "grad": torch.is_grad_enabled(),
        "dtype": torch.get_default_dtype(),
        "threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "anomaly": torch.is_anomaly_enabled(),
        "device": torch.get_default_device(),
        "matmul": torch.get_float32_matmul_precision(),
        "torch print": copy.copy(torch._tensor_str.PRINT_OPTS),
        "numpy print": np.get_printoptions(),
        "numpy errors": np.geterr(),
        "recursion": sys.getrecursionlimit(),
        "folder": Path.cwd(),
    }


def _restore_settings(kept: Settings) -> None:
    """Set back whatever has changed."""
    torch.set_grad_enabled(kept["grad"])
    torch.set_default_dtype(kept["dtype"])
    if torch.get_num_threads() != kept["threads"]:
        torch.set_num_threads(kept["threads"])
    if torch.are_deterministic_algorithms_enabled() != kept["deterministic"]:
        torch.use_deterministic_algorithms(kept["deterministic"])
    torch.autograd.set_detect_anomaly(kept["anomaly"])
    if torch.get_default_device() != kept["device"]:
        torch.set_default_device(kept["device"])
    torch.set_float32_matmul_precision(kept["matmul"])
    torch._tensor_str.PRINT_OPTS = kept["torch print"]
    np.set_printoptions(**kept["numpy print"])
    np.seterr(**kept["numpy errors"])
    sys.setrecursionlimit(kept["recursion"])
    if Path.cwd() != kept["folder"]:
        os.chdir(kept["folder"])


def _left_behind(kept: Settings) -> str:
    """Say which default that other code relies on has changed; empty if none has."""
    if kept["grad"] and not torch.is_grad_enabled():
        return (
            "Your code leaves gradients switched off for all code that runs after it: "
            "`with torch.no_grad():` switches them off and on again by itself."
        )
    if torch.get_default_dtype() != kept["dtype"]:
        name = str(torch.get_default_dtype()).removeprefix("torch.")
        return (
            f"Your code leaves the default dtype at {name} for all code that runs after it: "
            "give a dtype to the tensors that need it, and leave the default alone."
        )
    if torch.get_default_device() != kept["device"]:
        return (
            f"Your code leaves the default device at {torch.get_default_device()} for all code that "
            "runs after it: give a device to the tensors that need it, and leave the default alone."
        )
    if torch.is_anomaly_enabled() and not kept["anomaly"]:
        return ANOMALY_ON
    return ""


class KeepingSettings:
    """Put back what the code inside sets for the whole session; `left` says in a sentence what it was."""

    def __init__(self) -> None:
        self.left = ""

    def __enter__(self) -> KeepingSettings:
        self._kept = _settings()
        return self

    def __exit__(self, *_: object) -> None:
        self.left = _left_behind(self._kept)
        _restore_settings(self._kept)


@contextlib.contextmanager
def _silent(caught: io.StringIO) -> Iterator[None]:
    """Catch what is printed, and ignore warnings."""
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(caught),
        contextlib.redirect_stderr(caught),
    ):
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def _default_device_cpu() -> Iterator[None]:
    """Make new tensors on the CPU, at no cost where nobody has chosen another default."""
    chosen = torch.get_default_device()
    if chosen.type == "cpu":
        yield
        return
    with torch.device("cpu"):
        yield


@contextlib.contextmanager
def undisturbed(*, silent: bool = True) -> Iterator[io.StringIO]:
    """Give the code inside plain defaults and put everything global back afterwards.

    Inside: gradients on, default dtype float32, default device CPU and, if `silent`, output caught
    in the yielded buffer and warnings ignored. Restored: the random state of torch (CPU and CUDA), NumPy and Python,
    default dtype and device, grad mode, thread count, deterministic and anomaly modes.
    """
    caught = io.StringIO()
    python_state, numpy_state = random.getstate(), np.random.get_state()
    settings = _settings()
    cuda = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call, unused-ignore]
    with (
        torch.random.fork_rng(devices=cuda),
        torch.inference_mode(False),
        torch.enable_grad(),
        _default_device_cpu(),
        _silent(caught) if silent else contextlib.nullcontext(),
    ):
        torch.set_default_dtype(torch.float32)
        try:
            yield caught
        finally:
            _restore_settings(settings)
            random.setstate(python_state)
            np.random.set_state(numpy_state)


def _snapshot(value: Any) -> Any:
    """Copy what a student's function may change from outside; None for what needs no copy."""
    if isinstance(value, torch.Tensor):
        return value.detach().clone()
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, torch.nn.Module):
        return copy.deepcopy(value.state_dict()), [m.training for m in value.modules()]
    if isinstance(value, list | dict | set):
        return copy.copy(value)
    return None


def _restore(value: Any, kept: Any) -> None:
    """Put a snapshot back into the very object it was taken from."""
    if isinstance(value, torch.Tensor):
        if value.shape == kept.shape and not torch.equal(value.detach(), kept):
            with torch.no_grad():
                value.copy_(kept)
    elif isinstance(value, np.ndarray):
        value[...] = kept
    elif isinstance(value, torch.nn.Module):
        state, modes = kept
        value.load_state_dict(state)
        for module, mode in zip(value.modules(), modes, strict=False):
            module.training = mode
    elif isinstance(value, list):
        value[:] = kept
    else:
        value.clear()
        value.update(kept)


@contextlib.contextmanager
def keeping_globals(answer: Any) -> Iterator[None]:
    """Put back the tensors, arrays, modules and containers that the answer reads from outside."""
    scope = getattr(answer, "__globals__", None)
    if scope is None:
        module = getattr(answer, "__init__", None)
        scope = getattr(module, "__globals__", {})
    kept = []
    for name in source.outside_names(answer):
        value = scope.get(name)
        snapshot = _snapshot(value)
        if snapshot is not None:
            kept.append((value, snapshot))
    try:
        yield
    finally:
        for value, snapshot in kept:
            with contextlib.suppress(RuntimeError, ValueError):
                _restore(value, snapshot)
