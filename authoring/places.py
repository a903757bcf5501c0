"""Where the generated files of a lesson lie in the repository."""

from __future__ import annotations

from pathlib import Path

from firstlight.course import Lesson

ROOT = Path(__file__).resolve().parent.parent


def student_notebook(lesson: Lesson) -> Path:
    """The notebook a student opens."""
    return ROOT / "notebooks" / f"{lesson.name}.ipynb"


def solution_notebook(lesson: Lesson) -> Path:
    """The executed notebook with every exercise solved."""
    return ROOT / "solutions" / f"{lesson.name}.ipynb"


def site_source() -> Path:
    """The folder that Sphinx reads."""
    return ROOT / "build" / "site-src"


def shown(path: Path) -> str:
    """The path as messages name it: relative to the repository where it lies inside."""
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else str(path)
