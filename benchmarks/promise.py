"""A promise about speed or size, what was measured of it, and the record that is kept."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RECORD = Path(__file__).with_name("results.json")


class Unmeasured(Exception):
    """A row that cannot be measured here and now; the message says why."""


@dataclass(frozen=True)
class Measured:
    """What the runs gave. `value` is what the promise is held against: the median, if not said."""

    runs: tuple[float, ...]
    note: str = ""
    value: float | None = None

    @property
    def result(self) -> float:
        """The number in the table."""
        return statistics.median(self.runs) if self.value is None else self.value


@dataclass(frozen=True)
class Promise:
    """A row of the table: what is promised, at most how much, and how to measure it.

    With `at_least` the limit is a floor, as for an accuracy.
    """

    name: str
    what: str
    limit: float
    unit: str
    measure: Callable[[], Measured]
    at_least: bool = False

    def kept(self, measured: Measured) -> bool:
        """Whether the measurement keeps the promise."""
        if self.at_least:
            return measured.result >= self.limit
        return measured.result <= self.limit


@dataclass(frozen=True)
class Entry:
    """One row as `results.json` keeps it."""

    name: str
    what: str
    limit: float
    unit: str
    result: float | None
    kept: bool | None
    runs: tuple[float, ...]
    note: str
    provenance: dict[str, Any]


def measure(promise: Promise) -> Entry:
    """Measure one promise; what cannot be measured is said in the note."""
    about = (promise.name, promise.what, promise.limit, promise.unit)
    try:
        measured = promise.measure()
    except Exception as error:  # one broken row must not cost the others
        expected = isinstance(error, Unmeasured)
        reason = str(error) if expected else f"{type(error).__name__}: {error}"
        return Entry(*about, None, None, (), f"not measured: {reason}", provenance())
    runs = tuple(round(run, 4) for run in measured.runs)
    kept = promise.kept(measured)
    return Entry(*about, round(measured.result, 4), kept, runs, measured.note, provenance())


def provenance() -> dict[str, Any]:
    """Say when, on which machine and with which versions a number was measured."""
    names = ("torch", "numpy", "jupyterlab", "sphinx")
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": _commit(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": _memory_gb(),
        "system": f"{platform.system()} {platform.release()}",
        "load_before": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in names},
        },
    }


def save(entries: Sequence[Entry]) -> None:
    """Write the rows into `results.json`; rows that were not asked for keep their last numbers."""
    kept: dict[str, Any] = {}
    if RECORD.is_file():
        kept = {row["name"]: row for row in json.loads(RECORD.read_text(encoding="utf-8"))}
    kept |= {entry.name: asdict(entry) for entry in entries}
    text = json.dumps(list(kept.values()), indent=2, ensure_ascii=False) + "\n"
    RECORD.write_text(text, encoding="utf-8")


def _commit() -> str:
    def git(*arguments: str) -> str:
        command = ["git", "-C", str(ROOT), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        changed = " with changes" if git("status", "--porcelain", "--untracked-files=no") else ""
        return git("rev-parse", "--short", "HEAD") + changed
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory_gb() -> float | None:
    try:
        return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)
    except (AttributeError, ValueError, OSError):  # Windows
        return None
