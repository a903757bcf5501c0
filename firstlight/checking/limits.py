"""Stop a student's code that runs too long, in a notebook too."""

from __future__ import annotations

import contextlib
import ctypes
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any


class OutOfTime(BaseException):
    """Raised inside code that outran its limit; no `except Exception` of the student's stops it."""


def _raise_at_next_line(frame: FrameType, event: str, _argument: Any) -> Any:
    """Trace function: raise at every line from now on, also outside a `try` that swallows."""
    if event == "line":
        raise OutOfTime
    return _raise_at_next_line


def _insist(frame: FrameType | None) -> None:
    """Make every running function raise at its next line."""
    sys.settrace(_raise_at_next_line)
    while frame is not None:
        if "firstlight" not in frame.f_globals.get("__name__", ""):
            frame.f_trace = _raise_at_next_line
        frame = frame.f_back


class _Alarm:
    """Raise `OutOfTime`; if the code goes on all the same, make it raise at every line."""

    def __init__(self) -> None:
        self.rung = 0

    def __call__(self, _signal: int, frame: FrameType | None) -> None:
        self.rung += 1
        if self.rung > 5:
            _insist(frame)
        raise OutOfTime


@contextlib.contextmanager
def _by_signal(seconds: float) -> Iterator[None]:
    """Interrupt the main thread by SIGALRM, again and again in case a bare `except:` swallows it."""
    tracing = sys.gettrace()
    handler = signal.signal(signal.SIGALRM, _Alarm())
    left, interval = signal.setitimer(signal.ITIMER_REAL, seconds, 0.2)
    began = time.monotonic()
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.settrace(tracing)
        signal.signal(signal.SIGALRM, handler)
        if left:  # somebody else's alarm was running: give it back what remains
            rest = max(0.01, left - (time.monotonic() - began))
            signal.setitimer(signal.ITIMER_REAL, rest, interval)


@contextlib.contextmanager
def _by_thread(seconds: float) -> Iterator[None]:
    """Raise in this thread from a watchdog: for Windows, and for threads that get no signals."""
    target = ctypes.c_ulong(threading.get_ident())
    raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc
    done = threading.Event()
    guard = threading.Lock()

    def watch() -> None:
        wait = seconds
        while not done.wait(wait):
            with guard:
                if not done.is_set():
                    raise_in(target, ctypes.py_object(OutOfTime))
            wait = 0.2

    watchdog = threading.Thread(target=watch, daemon=True)
    watchdog.start()
    try:
        yield
    finally:
        with guard:
            done.set()
        watchdog.join()


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise `OutOfTime` in the code inside when it has run for `seconds`.

    A long call into compiled code is interrupted only when it returns.
    """
    on_main = threading.current_thread() is threading.main_thread()
    limit = _by_signal if on_main and hasattr(signal, "setitimer") else _by_thread
    with limit(seconds):
        yield
