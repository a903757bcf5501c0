"""Keep what a student wrote, as it passed: plain Python files on this machine, one for each answer."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from firstlight.progress import database_path


def folder() -> Path:
    """Where the files lie: `mine`, beside the progress file."""
    return database_path().parent / "mine"


def keep(name: str, text: str) -> None:
    """Keep the text of an answer that has passed; an earlier one by that name gives way.

    Where the disk refuses, nothing is kept and nothing is said: the check has answered.
    """
    with contextlib.suppress(OSError, ValueError):
        folder().mkdir(parents=True, exist_ok=True)
        handle, half = tempfile.mkstemp(dir=folder(), prefix=f".{name}-")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            Path(half).replace(folder() / f"{name}.py")  # whole, or not at all
        except OSError:
            Path(half).unlink(missing_ok=True)


def kept(name: str) -> str | None:
    """Return the text that was kept under a name; None if there is none that can be read."""
    try:
        return (folder() / f"{name}.py").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None
