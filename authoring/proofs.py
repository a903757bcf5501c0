"""Prove an exercise: what must pass passes, what must fail fails under its own name."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

from authoring.mutants import mutants
from firstlight.checking import Exercise, Misconception, source
from firstlight.checking.compare import FIELDS, differences
from firstlight.checking.compose import compositions
from firstlight.checking.judge import (
    KNOWN_MISTAKE,
    NOT_ATTEMPTED,
    OUR_FAULT,
    PASSED,
    Finding,
    judge,
    remembering,
    trials,
)
from firstlight.checking.observe import Signature
from firstlight.checking.undisturbed import undisturbed

SEEDS = range(20)
SLOW_SEEDS = range(1)  # for a milestone, which trains a network


def seeds(exercise: Exercise) -> range:
    """Choose over how many seeds an exercise is proved."""
    return SLOW_SEEDS if exercise.level == "milestone" else SEEDS


def starter_answer(exercise: Exercise) -> Any:
    """Make the function or class that stands in the student's notebook."""
    namespace = source.namespace(exercise.reference)
    return source.compiled(exercise.starter, exercise.name, namespace)


def _told(found: Finding) -> str:
    ids = ", ".join(m.id for m in found.mistakes)
    extra = f" ({ids})" if ids else f" ({found.reason})" if found.reason else ""
    return f"{found.outcome}{extra}"


def starter_faults(exercise: Exercise) -> Iterator[str]:
    """The starter must be not attempted."""
    found = judge(exercise, starter_answer(exercise))
    if found.outcome != NOT_ATTEMPTED:
        yield f"{exercise.name}: the starter is {_told(found)}"


def right_faults(exercise: Exercise, seeds: range = SEEDS) -> Iterator[str]:
    """The reference and every alternative must pass."""
    answers = {"the reference": exercise.reference}
    answers |= {f"the alternative {a.name}": a.answer for a in exercise.alternatives}
    with remembering():  # what is due; each answer itself runs anew
        for name, answer in answers.items():
            for seed in seeds:
                found = judge(exercise, answer, seed)
                if found.outcome != PASSED:
                    yield f"{exercise.name}: {name} is {_told(found)} with seed {seed}"
                    break


def mistake_faults(exercise: Exercise, seeds: range = SEEDS) -> Iterator[str]:
    """Every misconception must be rejected under its own name and no other undeclared one.

    With the first seed every answer runs anew, so that one which does not repeat itself shows; with the
    others its signature as a misconception is its signature as an answer.
    """
    told: set[str] = set()
    for turn, seed in enumerate(seeds):
        with remembering(answers=turn > 0):
            for mistake in exercise.misconceptions:
                fault = "" if mistake.id in told else _mistake_fault(exercise, mistake, seed)
                if fault:
                    told.add(mistake.id)
                    yield fault


def _mistake_fault(exercise: Exercise, mistake: Misconception, seed: int) -> str:
    found = judge(exercise, misconception_answer(exercise, mistake), seed)
    named = {m.id for m in found.mistakes}
    if found.outcome != KNOWN_MISTAKE or mistake.id not in named or found.together:
        return f"{exercise.name}: {mistake.id} is {_told(found)} with seed {seed}"
    declared = {mistake.id, *mistake.ambiguous_with}
    declared |= {m.id for m in exercise.misconceptions if mistake.id in m.ambiguous_with}
    if named <= declared:
        return ""
    others = ", ".join(sorted(named - declared))
    return f"{exercise.name}: {mistake.id} cannot be told from {others} with seed {seed}"


def misconception_answer(exercise: Exercise, mistake: Misconception) -> Any:
    """Give the wrong answer as a student would hand it in: a clinic's starter counts as untouched."""
    return _changed_clinic(exercise) if mistake.starter else mistake.answer


def _changed_clinic(exercise: Exercise) -> Any:
    """Make the clinic's starter with a change that changes nothing, so that it counts as tried."""
    lines = exercise.starter.splitlines()
    last = len(lines) - 1
    indent = lines[last][: len(lines[last]) - len(lines[last].lstrip())]
    lines.insert(last, f"{indent}touched = True")
    namespace = source.namespace(exercise.reference)
    return source.compiled("\n".join(lines) + "\n", exercise.name, namespace)


def mutant_faults(exercise: Exercise) -> Iterator[str]:
    """Every mutant must be rejected or be listed as equivalent, and every listed one must exist."""
    with remembering():
        survived: set[str] = set()
        for mutant in mutants(exercise):
            found = judge(exercise, mutant.answer)
            if found.outcome == OUR_FAULT:
                yield f"{exercise.name}: the mutant `{mutant.line}` broke the check: {found.reason}"
            if found.outcome == PASSED:
                survived.add(mutant.line)
        listed = set(exercise.equivalent_mutants)
        for line in sorted(survived - listed):
            yield f"{exercise.name}: the mutant `{line}` passes; add a probe or list it as equivalent"
        for line in sorted(listed - survived):
            yield f"{exercise.name}: `{line}` is listed as equivalent but no such mutant passes"


def composition_faults(exercise: Exercise) -> Iterator[str]:
    """Two mistakes made at once must never pass, and be named as one of the two or as both."""
    with remembering():
        for pair, answer in compositions(exercise):
            ids = {m.id for m in pair}
            found = judge(exercise, answer)
            if found.outcome == PASSED:
                yield f"{exercise.name}: {' with '.join(sorted(ids))} passes"
            elif found.outcome == OUR_FAULT:
                yield f"{exercise.name}: {' with '.join(sorted(ids))} broke the check: {found.reason}"
            elif found.together and {m.id for m in found.mistakes} != ids:
                yield f"{exercise.name}: {' with '.join(sorted(ids))} is {_told(found)}"


def faults(exercise: Exercise, seeds: range = SEEDS) -> Iterator[str]:
    """Yield every broken promise of one exercise, as sentences."""
    yield from starter_faults(exercise)
    yield from right_faults(exercise, seeds)
    yield from mistake_faults(exercise, seeds)
    yield from mutant_faults(exercise)
    yield from composition_faults(exercise)


def _told_by(one: list[Signature], other: list[Signature], fields: frozenset[str]) -> str:
    """Name the first observation, and its probe, in which two wrong answers differ."""
    for turn, (seen, theirs) in enumerate(zip(one, other, strict=True), start=1):
        if seen.error and theirs.error:
            if (seen.error.type, seen.error.value) != (theirs.error.type, theirs.error.value):
                return f"the error, run {turn}"
        elif seen.error or theirs.error:
            return f"the error, run {turn}"
        else:
            found = next(differences(seen, theirs, fields, extras=True), None)
            if found:
                return f"{found.observation} ({found.field}), run {turn}"
    return ""


def pairwise(exercise: Exercise) -> dict[tuple[str, str], str]:
    """Say for every pair of misconceptions what tells them apart; empty if nothing does."""
    runs = list(trials(exercise, 0))
    with undisturbed():
        seen = {m.id: [trial.run(m.answer) for trial in runs] for m in exercise.misconceptions}
    fields = frozenset(
        FIELDS
    )  # the judge, too, tells mistakes apart by more than it asks of an answer
    return {
        (one, other): _told_by(seen[one], seen[other], fields)
        for one, other in combinations(seen, 2)
    }
