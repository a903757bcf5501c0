"""The student's own code, in later lessons: `from firstlight.mine import fit`.

A name is an exercise's. What comes is the student's answer, as it last passed its check on this
machine. Where there is none, or where it needs something that only its notebook had, what comes is
the course's reference, and a line says so. To make an answer available, nothing is to be done: every
check that passes keeps its answer (`firstlight/own_code.py`).
"""

from __future__ import annotations

from typing import Any

from firstlight import own_code
from firstlight.checking import Exercise, all_exercises, check_object, find_exercise
from firstlight.checking.source import compiled, namespace, outside_names

_loaded: dict[str, Any] = {}


def __getattr__(name: str) -> Any:
    """Load the student's answer to the exercise `name`, or the course's."""
    if name.startswith("__"):
        raise AttributeError(name)
    try:
        exercise = find_exercise(name)
    except KeyError as unknown:
        raise AttributeError(unknown.args[0]) from None
    text = own_code.kept(name) or ""
    if _loaded.get(name, (None,))[0] != text:
        _loaded[name] = (text, _load(exercise, text))
    return _loaded[name][1]


def _load(exercise: Exercise, text: str) -> Any:
    """Make an object of a student's text and say whose it is; the reference if it won't do."""
    lesson = f"lesson {exercise.lesson.position}, {exercise.lesson.title}"
    if not text:
        print(f"{exercise.name}: the course's, because none of yours has passed here. ({lesson})")
        return _reference(exercise)
    try:
        answer = _made_of(exercise, text)
        trouble = check_object(exercise, answer).outcome
    except Exception as error:  # whatever a text of the student's may do
        trouble = f"{type(error).__name__}: {error}"
    if trouble != "passed":
        print(
            f"{exercise.name}: the course's, because yours does not work outside its notebook "
            f"({trouble}). It stays in {own_code.folder() / (exercise.name + '.py')}."
        )
        return _reference(exercise)
    print(f"{exercise.name}: yours, as it passed. ({lesson})")
    return answer


def _made_of(exercise: Exercise, text: str) -> Any:
    """Run a text among its lesson's imports; other exercises it calls are the student's, too."""
    names = {
        name: value
        for name, value in namespace(exercise.reference).items()
        if not isinstance(value, Exercise)
    }
    return _joined(exercise, compiled(text, exercise.name, names))


def _reference(exercise: Exercise) -> Any:
    return _made_of(exercise, exercise.reference_source)


def _joined(exercise: Exercise, answer: Any) -> Any:
    """Give a definition the answers to those other exercises that it calls by name."""
    scope = namespace(answer)
    others = all_exercises().keys() - scope.keys() - {exercise.name}
    for name in outside_names(answer):
        if name in others:
            scope[name] = __getattr__(name)
    return answer
