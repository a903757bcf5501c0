"""Show in the terminal how far the student is, and which mistakes the checks have named."""

from __future__ import annotations

from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from firstlight import progress
from firstlight.checking import Exercise, lesson_exercises
from firstlight.course import Lesson, load_course
from firstlight.predictions import lesson_predictions
from firstlight.progress import ExerciseState, PredictionState


@dataclass(frozen=True)
class Row:
    """What was done in one lesson, and how much there is to do."""

    lesson: Lesson
    exercises: int = 0
    passed: int = 0
    attempted: int = 0
    predictions: int = 0
    right: int = 0
    mistakes: int = 0


@dataclass(frozen=True)
class Mistake:
    """A mistake that a check has named to the student."""

    exercise: str
    title: str
    overcome: bool


def print_status() -> None:
    """Print a table of the lessons, then the mistakes met."""
    done, answers = progress.exercise_states(), progress.prediction_states()
    console = Console()
    console.print(lesson_table([row(lesson, done, answers) for lesson in load_course().lessons]))
    mistakes = [
        mistake
        for lesson in load_course().lessons
        for mistake in mistakes_met(lesson_exercises(lesson), done)
    ]
    if mistakes:
        console.print(mistake_table(mistakes))
    console.print(f"Kept on this machine alone, in {progress.database_path()}", soft_wrap=True)


def row(lesson: Lesson, done: dict[str, ExerciseState], answers: dict[str, PredictionState]) -> Row:
    """Count what was done in one lesson."""
    exercises = lesson_exercises(lesson)
    predictions = lesson_predictions(lesson) if lesson.exists else {}
    states = [done[name] for name in exercises if name in done]
    told = [answers[name] for name in predictions if name in answers]
    return Row(
        lesson,
        exercises=len(exercises),
        passed=sum(state.passed for state in states),
        attempted=sum(state.attempts > 0 for state in states),
        predictions=len(predictions),
        right=sum(state.right_at_first for state in told),
        mistakes=len(mistakes_met(exercises, done)),
    )


def mistakes_met(exercises: dict[str, Exercise], done: dict[str, ExerciseState]) -> list[Mistake]:
    """List the mistakes that checks have named, in the order of the exercises."""
    titles = {
        (name, known.id): known.title
        for name, ex in exercises.items()
        for known in ex.misconceptions
    }
    return [
        Mistake(name, titles.get((name, met), met), done[name].passed)
        for name in exercises
        if name in done
        for met in done[name].misconceptions
    ]


def lesson_table(rows: list[Row]) -> Table:
    """Draw one line for each lesson, and their sum, in 80 columns."""
    names = ("exercises", "passed", "attempted", "predictions", "right", "mistakes")
    total = {name: sum(getattr(one, name) for one in rows) for name in names}
    table = _table("Your way through the course", footer=True)
    table.add_column("", justify="right")
    table.add_column("Lesson", "All lessons", no_wrap=True)
    table.add_column("Passed", f"{total['passed']} of {total['exercises']}", justify="right")
    table.add_column("Tried", str(total["attempted"]), justify="right")
    table.add_column("Predicted", f"{total['right']} of {total['predictions']}", justify="right")
    table.add_column("Mistakes", str(total["mistakes"]), justify="right")
    for one in rows:
        number, title = str(one.lesson.position), one.lesson.title
        if one.lesson.exists:
            passed = f"{one.passed} of {one.exercises}"
            right = f"{one.right} of {one.predictions}"
            table.add_row(number, title, passed, str(one.attempted), right, str(one.mistakes))
        else:
            table.add_row(number, title, "to come", style="dim")
    return table


def mistake_table(mistakes: list[Mistake]) -> Table:
    """Draw one line for each mistake met."""
    table = _table("Mistakes that the checks have named")
    table.add_column("Exercise", no_wrap=True)
    table.add_column("Mistake")
    table.add_column("Since then", no_wrap=True)
    for one in mistakes:
        table.add_row(one.exercise, one.title, "passed" if one.overcome else "still open")
    return table


def _table(title: str, *, footer: bool = False) -> Table:
    return Table(
        title=title,
        title_justify="left",
        box=SIMPLE_HEAD,
        show_footer=footer,
        pad_edge=False,
        collapse_padding=True,  # ten lessons fit into 80 columns
    )
