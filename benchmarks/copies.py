"""A copy of the working tree, so that measuring changes nothing of the author's."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.promise import ROOT

LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv", "build", "workspace", "__pycache__", "*.egg-info", ".*_cache"
)


@contextmanager
def fresh_copy() -> Iterator[Path]:
    """Copy the repository without anything built; its environment is this one's, by a link."""
    with tempfile.TemporaryDirectory(prefix="firstlight-bench-") as folder:
        copy = Path(folder, "firstlight")
        shutil.copytree(ROOT, copy, ignore=LEFT_OUT)
        (copy / ".venv").symlink_to(ROOT / ".venv")
        yield copy


def environment(copy: Path) -> dict[str, str]:
    """Let commands use the copy's packages before the installed ones, and a progress of its own."""
    home = str(copy.parent / "home")
    return {**os.environ, "PYTHONPATH": str(copy), "FIRSTLIGHT_HOME": home, "PYTHONUNBUFFERED": "1"}
