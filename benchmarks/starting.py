"""How long a student waits: for `make learn`, and for `import firstlight`."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from benchmarks.copies import environment, fresh_copy
from benchmarks.promise import Measured, Unmeasured

IMPORT = """
import time, numpy, torch
began = time.perf_counter()
{statement}
print((time.perf_counter() - began) * 1000)
"""


def first_learn(times: int = 3) -> Measured:
    """Time `make learn` in a clone whose packages are installed and whose site is not built."""
    _needs_make()
    runs = []
    for _ in range(times):
        with fresh_copy() as copy:
            runs.append(_learn(copy))
    return Measured(tuple(runs), "site built, then served")


def later_learn(times: int = 5) -> Measured:
    """Time `make learn` when nothing has changed."""
    _needs_make()
    with fresh_copy() as copy:
        _learn(copy)
        return Measured(tuple(_learn(copy) for _ in range(times)))


def import_beyond_torch(times: int = 7) -> Measured:
    """Time `import firstlight` where torch is imported, and the line every notebook begins with."""
    plain = _import_times("import firstlight", times)
    line = "from firstlight import check, hint, predict, solution"
    verbs = sorted(_import_times(line, times))[times // 2]
    return Measured(tuple(plain), f"`{line}`: {verbs:.0f} ms")


def _import_times(statement: str, times: int) -> list[float]:
    command = [sys.executable, "-c", IMPORT.format(statement=statement)]
    return [
        float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        for _ in range(times)
    ]


def _needs_make() -> None:
    if shutil.which("make") is None:
        raise Unmeasured("there is no make on this machine")


def _learn(copy: Path) -> float:
    """Run `make learn` until the page it prints has come; return the seconds."""
    began = time.perf_counter()
    said: list[str] = []
    with subprocess.Popen(
        # -o: the environment is as it should be, and a copy must not install itself into it
        ["make", "learn", "-o", ".venv/.learn", "ARGS=--no-browser --port 8990"],
        cwd=copy,
        env=environment(copy),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            for line in process.stdout or ():
                said.append(line)
                if found := re.search(r"http://127\.0\.0\.1:\S+", line):
                    with urllib.request.urlopen(found[0]) as answer:
                        answer.read()
                    return time.perf_counter() - began
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGINT)
            process.communicate()
    raise Unmeasured(f"make learn printed no address: {''.join(said[-3:]).strip()}")
