"""Find exercises: by lesson, by name, or by the object that a student hands in."""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Iterable, Sequence
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
    near = _nearest(name, known)
    raise KeyError(f"No exercise is named `{name}`." + (f" Did you mean {near}?" if near else ""))


def _nearest(name: str, known: Iterable[str]) -> str:
    """List the exercises whose names are like this one, as a student reads them."""
    return " or ".join(f"`{n}`" for n in difflib.get_close_matches(name, list(known), n=3))


def _first(near: str) -> str:
    """Return the likest of the names that `_nearest` lists, or what stands for one."""
    return near.split("`")[1] if near else "name_of_the_exercise"


def _told_unknown(name: str, known: Iterable[str]) -> str:
    """Say of a function or class that no exercise has its name, and how to check it all the same."""
    near = _nearest(name, known)
    meant = f" Did you mean {near}?" if near else ""
    return (
        f"No exercise is named `{name}`.{meant} To check an answer that goes by another name, say "
        f'which exercise it is for: `check({name}, "{_first(near)}")`.'
    )


def _told_unnamed(answer: Any, names: Sequence[str], known: Iterable[str]) -> str:
    """Say of a lambda, a partial or another object that can be called that it has no name."""
    near = "".join(_nearest(name, known) for name in names)
    kind = type(answer).__name__
    what = "A lambda" if kind == "function" else f"An object of type `{kind}`"
    return (
        f"{what} has no name of its own, so nothing says which exercise it answers. Write a function "
        f'with `def`, or name the exercise: `check(it, "{_first(near)}")`.'
    )


def _own_name(answer: Any, part: str = "") -> str:
    """Return the name that an object, or a part of it, was defined under; empty if it has none."""
    try:
        name = getattr(getattr(answer, part) if part else answer, "__name__", None)
    except Exception:  # an object of the student's that cannot be asked
        return ""
    return name if isinstance(name, str) else ""


def _names_of(answer: Any, frame: FrameType | None) -> list[str]:
    """List the names an object may go by: its own, its class's, and the caller's variables."""
    own, inner = _own_name(answer), _own_name(answer, "func")  # `func` of a functools.partial
    names = [name for name in (own, inner) if name]
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
    own = _own_name(answer)
    if own and own != "<lambda>":
        raise KeyError(_told_unknown(own, known))
    if callable(answer):
        raise KeyError(_told_unnamed(answer, names, known))
    raise KeyError(
        f"This is an object of type `{type(answer).__name__}`, and no exercise goes by its name. "
        "Pass the function or class that you wrote, without calling it."
    )
