"""What a student calls: check, hint, solution, expected_error."""

from __future__ import annotations

import contextlib
import textwrap
from collections.abc import Iterator
from typing import Any

from firstlight import own_code, progress
from firstlight.checking.find import exercise_for, find_exercise
from firstlight.checking.judge import PASSED
from firstlight.checking.report import Note, Section, check_fully, show
from firstlight.checking.source import own_text


def check(answer: Any, exercise: str | None = None) -> None:
    """Check what you wrote, and say what is right, what is wrong, and why.

    Args:
        answer: the function or class itself, such as `check(flatten_images)`.
        exercise: the exercise's name, if your function goes by another one.
    """
    try:
        asked = find_exercise(exercise) if exercise else exercise_for(answer)
    except KeyError as unknown:
        show(Note(f"✗ {unknown.args[0]}"))
        return
    if isinstance(answer, str):
        kind = asked.kind
        show(
            Note(f"✗ Pass the {kind} itself, not its name: `check({asked.name})`, without quotes.")
        )
        return
    found = check_fully(asked, answer)
    progress.record_check(asked.name, found.outcome, found.misconceptions)
    if found.outcome == PASSED and (text := own_text(answer, asked.name)):
        own_code.keep(asked.name, text)  # for `firstlight.mine`
    show(found, exercise=found.exercise, outcome=found.outcome)


def hint(answer: Any) -> None:
    """Show the next hint of an exercise, one rung at a time.

    Args:
        answer: your function or class, or the exercise's name.
    """
    try:
        asked = exercise_for(answer)
    except KeyError as unknown:
        show(Note(f"✗ {unknown.args[0]}"))
        return
    total = len(asked.hints)
    shown = progress.take_hint(asked.name, total)
    sections: list[Section] = [
        (f"Hint {number} of {total}", text)
        for number, text in enumerate(asked.hints[:shown], start=1)
    ]
    if shown == total:
        sections.append(("", f"That was the last hint. `solution({asked.name})` shows the answer."))
    show(Note(f"Hints for {asked.name}", tuple(sections)))


def solution(answer: Any) -> None:
    """Show the reference solution, why it works, and other right answers.

    Args:
        answer: your function or class, or the exercise's name.
    """
    try:
        asked = exercise_for(answer)
    except KeyError as unknown:
        show(Note(f"✗ {unknown.args[0]}"))
        return
    sections: list[Section] = [("", textwrap.indent(asked.reference_source.rstrip(), "    "))]
    sections.append(("Why it works", asked.why))
    for other in asked.alternatives:
        code = textwrap.indent(other.source.rstrip(), "    ")
        sections.append(("Another way", f"{other.note}\n\n{code}"))
    show(Note(f"A solution of {asked.name}", tuple(sections)))


@contextlib.contextmanager
def expected_error() -> Iterator[None]:
    """Run the lines below, and print the error they raise as PyTorch words it.

    The lesson uses it to show what a mistake looks like while *Run all* goes on.
    """
    try:
        yield
    except Exception as error:
        told = str(error)
        print(f"{type(error).__name__}: {told}" if told else type(error).__name__)
    else:
        print("No error was raised.")
