"""The clinic's patients as they came in, so that a lesson's cell can show a symptom before the repair."""

from __future__ import annotations

from typing import Any

from firstlight.checking import find_exercise


def broken(name: str) -> Any:
    """Return the function or class that a bug clinic starts from.

    Args:
        name: a clinic's name, such as `digit_loss`.

    Raises:
        KeyError: if there is no such exercise.
        ValueError: if the exercise is no clinic, so that nothing about it is broken.
    """
    for mistake in find_exercise(name).misconceptions:
        if mistake.starter:
            return mistake.answer
    raise ValueError(f"{name} is no bug clinic: it starts from nothing, not from a bug.")
