"""Find exercises: by lesson, by name, or by the object that a student hands in."""

from __future__ import annotations

import difflib
import importlib
import sys
from functools import cache
from types import FrameType
from typing import Any

from firstlight.checking.exercise import Exercise
from firstlight.course import Lesson, load_course


@cache
def _exercises(package: str) -> dict[str, Exercise]:
    module = importlib.import_module(f"{package}.exercises")
    return {e.name: e for e in vars(module).values() if isinstance(e, Exercise)}


def lesson_exercises(lesson: Lesson) -> dict[str, Exercise]:
    """Return a lesson's exercises by name, in the order of its file; none if it is unwritten."""
    if not (lesson.folder / "exercises.py").is_file():
        return {}
    return _exercises(lesson.package)


def all_exercises() -> dict[str, Exercise]:
    """Return every exercise of the course by name."""
    found: dict[str, Exercise] = {}
    for lesson in load_course().lessons:
        found |= lesson_exercises(lesson)
    return found


def find_exercise(name: str) -> Exercise:
    """Find an exercise by its name.

    Raises:
        KeyError: if there is none; the message suggests the nearest names.
    """
    known = all_exercises()
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=3)
    if not near:
        raise KeyError(f"No exercise is named `{name}`. Pass your function under its own name.")
    raise KeyError(
        f"No exercise is named `{name}`. Did you mean {' or '.join(map('`{}`'.format, near))}?"
    )


def _names_of(answer: Any, frame: FrameType | None) -> list[str]:
    """List the names an object may go by: its own, its class's, and the caller's variables."""
    names: list[str] = []
    try:
        own = getattr(answer, "__name__", None)
        inner = getattr(answer, "func", None)  # functools.partial
        inner = getattr(inner, "__name__", None)
    except Exception:  # an object of the student's that cannot be asked
        own = inner = None
    if isinstance(own, str):
        names.append(own)
    if isinstance(inner, str):
        names.append(inner)
    if frame is not None and answer is not None and answer is not ...:
        for scope in (frame.f_locals, frame.f_globals):
            names += [name for name, value in list(scope.items()) if value is answer]
    names.append(type(answer).__name__)
    return names


def exercise_for(answer: Any, depth: int = 1) -> Exercise:
    """Find the exercise that an object answers, by its name or the caller's variable.

    Args:
        answer: a function, a class, or an exercise's name.
        depth: how many frames up the caller stands.

    Raises:
        KeyError: if no exercise fits; the message says what to pass.
    """
    if isinstance(answer, Exercise):
        return answer
    if isinstance(answer, str):
        return find_exercise(answer)
    known = all_exercises()
    names = _names_of(answer, sys._getframe(depth + 1))
    for name in names:
        if name in known:
            return known[name]
    if names[0] != "<lambda>" and callable(answer):
        return find_exercise(names[0])
    raise KeyError(
        f"This is an object of type `{type(answer).__name__}`, and no exercise goes by its name. "
        "Pass the function or class that you wrote, without calling it."
    )
