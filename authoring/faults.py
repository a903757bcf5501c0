"""A fault of a lesson: where it is, and in a full sentence what it is and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from authoring import places


@dataclass(frozen=True, order=True)
class FileFault:
    """Something an author must mend."""

    path: Path
    line: int
    sentence: str

    def __str__(self) -> str:
        return f"{places.shown(self.path)}:{self.line}: {self.sentence}"
