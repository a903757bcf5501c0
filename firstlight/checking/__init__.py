"""Judge an answer and say in plain words what is wrong with it."""

from firstlight.checking.exercise import (
    Alternative,
    Exercise,
    ExerciseFault,
    Misconception,
    exercise,
)
from firstlight.checking.find import all_exercises, find_exercise, lesson_exercises
from firstlight.checking.observe import Extra
from firstlight.checking.report import Verdict, check_fully, check_object

__all__ = [
    "Alternative",
    "Exercise",
    "ExerciseFault",
    "Extra",
    "Misconception",
    "Verdict",
    "all_exercises",
    "check_fully",
    "check_object",
    "exercise",
    "find_exercise",
    "lesson_exercises",
]
