"""How long a check takes, over everything a student may plausibly hand in."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any

from benchmarks.promise import Measured, Unmeasured
from firstlight.checking import Exercise, all_exercises, check_object


def answers(exercise: Exercise) -> Iterator[tuple[str, Any]]:
    """Give every answer the exercise knows, each with a name."""
    yield exercise.name, exercise.reference
    for right in exercise.alternatives:
        yield f"{exercise.name} / {right.name}", right.answer
    for wrong in exercise.misconceptions:
        yield f"{exercise.name} / {wrong.id}", wrong.answer


def check_time() -> Measured:
    """Time a check of every reference, alternative and misconception; the 95th percentile counts."""
    timed = []
    for exercise in all_exercises().values():
        check_object(exercise, exercise.reference)  # the first run pays for what torch loads
        for name, answer in answers(exercise):
            began = time.perf_counter()
            check_object(exercise, answer)
            timed.append(((time.perf_counter() - began) * 1000, name))
    if not timed:
        raise Unmeasured("the course has no exercise yet")
    timed.sort()
    milliseconds = [each for each, _ in timed]
    at_95 = milliseconds[math.ceil(0.95 * len(timed)) - 1]
    median = milliseconds[len(timed) // 2]
    slowest, name = timed[-1]
    note = f"{len(timed)} answers, median {median:.0f} ms; slowest {name}, {slowest:.0f} ms"
    return Measured(tuple(milliseconds), note, at_95)
