"""Judge an answer: right, a known mistake, wrong, or not yet an answer."""

from __future__ import annotations

import contextlib
import inspect
import io
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from firstlight.checking import source
from firstlight.checking.compare import ACCEPTED, FIELDS, Difference, agree, differences
from firstlight.checking.compose import compositions
from firstlight.checking.exercise import Answer, Exercise, Misconception
from firstlight.checking.limits import OutOfTime, time_limit
from firstlight.checking.observe import INPUTS_AFTER, Seen, Signature, make_inputs, run, see_error
from firstlight.checking.undisturbed import ANOMALY_ON, undisturbed

RUNS = 3  # every answer is run at least this often
SUSPECT_LIMIT = 5.0  # seconds for one run of a known wrong answer

PASSED = "passed"
KNOWN_MISTAKE = "known-mistake"
WRONG = "wrong"
ERROR = "error"
NOT_ATTEMPTED = "not-attempted"
TIMEOUT = "timeout"
OUR_FAULT = "our-fault"


@dataclass(frozen=True)
class Finding:
    """What the judge found out; `report` turns it into words.

    `seen` and `due` are the signatures on the smallest probe that tells them apart, `inputs` that
    probe's inputs. `together` is true if the misconceptions were made at once, false if the answer
    is either one or the other.
    """

    exercise: Exercise
    outcome: str
    reason: str = ""
    mistakes: tuple[Misconception, ...] = ()
    together: bool = False
    seen: Signature | None = None
    due: Signature | None = None
    differing: tuple[Difference, ...] = ()
    right: tuple[str, ...] = ()
    inputs: tuple[Any, ...] = ()
    outside: tuple[str, ...] = ()
    seconds: float = 0.0
    blank: int | None = None
    printed: str = ""


@dataclass
class Trial:
    """One probe with one seed, and what the reference does there."""

    exercise: Exercise
    index: int
    seed: int
    due: Signature = field(init=False)

    def __post_init__(self) -> None:
        self.due = self.remembered(self.exercise.reference)

    def run(self, answer: Answer) -> Signature:
        return run(self.exercise, answer, self.exercise.probes[self.index], self.seed)

    def remembered(self, answer: Answer) -> Signature:
        """Run one of the course's own answers; while `remembering`, only once."""
        key = (self.exercise.probes[self.index], self.seed, answer)
        if _remembered is not None and key in _remembered:
            return _remembered[key]
        seen = self.run(answer)
        if _remembered is not None:
            _remembered[key] = seen
        return seen


_remembered: dict[Any, Signature] | None = None
_answers_too = False


@contextlib.contextmanager
def remembering(*, answers: bool = False) -> Iterator[None]:
    """Run the reference and every known mistake once for each probe and seed, however often needed.

    For proofs, which judge one exercise many hundred times. With `answers`, an answer that is one of the
    exercise's own mistakes is not run a second time either.
    """
    global _remembered, _answers_too
    before = _remembered, _answers_too
    _remembered, _answers_too = {}, answers
    try:
        yield
    finally:
        _remembered, _answers_too = before


class BrokenCheck(Exception):
    """The reference or a probe failed: the check itself is broken."""


def accepted_fields(exercise: Exercise) -> frozenset[str]:
    """The fields in which an answer must agree with the reference."""
    return (ACCEPTED | exercise.also) - exercise.ignore


def trials(exercise: Exercise, seed: int) -> Iterator[Trial]:
    """Make the runs of one check: every probe, at least `RUNS` in all, the smallest first.

    Raises:
        BrokenCheck: if a probe or the reference fails.
    """
    if not exercise.probes:
        raise BrokenCheck(f"{exercise.name} has no probe")
    rounds = -(-RUNS // len(exercise.probes))
    for turn in range(rounds):
        for index in range(len(exercise.probes)):
            try:
                trial = Trial(exercise, index, seed + 1000 * turn)
            except Exception as error:
                raise BrokenCheck(f"the probe of {exercise.name} failed: {error!r}") from error
            if trial.due.error:
                told = f"{trial.due.error.type}: {trial.due.error.value}"
                raise BrokenCheck(f"the reference of {exercise.name} failed: {told}")
            yield trial


# Before anything is run -------------------------------------------------------------------------


def _starter(exercise: Exercise) -> Any:
    scope = source.namespace(exercise.reference)
    return source.compiled(exercise.starter, exercise.name, scope)


def _kind_reason(exercise: Exercise, answer: Any) -> str:
    """Say what is wrong with the kind of object that was handed in; empty if nothing is."""
    name, wanted = exercise.name, exercise.kind
    if wanted == "class" and not inspect.isclass(answer):
        if type(answer).__name__ == name:
            return f"You passed an instance; pass the class itself: `check({name})`."
        return f"A class named `{name}` is due; you passed {_object_words(answer)}."
    if wanted == "function" and inspect.isclass(answer):
        return f"A function named `{name}` is due; you passed a class."
    if not callable(answer):
        return (
            f"The function itself is due: `check({name})`, without calling it. "
            f"You passed {_object_words(answer)}."
        )
    return ""


def _object_words(answer: Any) -> str:
    return "None" if answer is None else f"an object of type `{type(answer).__name__}`"


def _signature_reason(exercise: Exercise, answer: Any) -> str:
    """Say how the parameters differ from those of the docstring; empty if they fit."""
    try:
        ours, theirs = inspect.signature(answer), inspect.signature(exercise.reference)
    except (TypeError, ValueError):
        return ""
    wanted = [
        p for p in theirs.parameters.values() if p.default is p.empty and p.kind < p.VAR_POSITIONAL
    ]
    try:
        ours.bind(*wanted)
    except TypeError:
        due = ", ".join(p.name for p in wanted)
        return (
            f"`{exercise.name}{ours}` cannot be called with the {len(wanted)} "
            f"argument{'s' * (len(wanted) != 1)} of the docstring: ({due})."
        )
    return ""


def _not_attempted(exercise: Exercise, answer: Any) -> bool:
    return source.does_nothing(answer) or source.same_code(answer, _starter(exercise))


# Matching ---------------------------------------------------------------------------------------


def _behaves_like(
    answers: list[Signature], suspect: Answer, runs: list[Trial], *, extras: bool
) -> bool:
    """Whether a wrong answer shows the same behaviour as the student's on every run."""
    fields = accepted_fields(runs[0].exercise)
    if extras:
        fields = frozenset(FIELDS)
    for trial, seen in zip(runs, answers, strict=True):
        try:
            with time_limit(SUSPECT_LIMIT):
                theirs = trial.remembered(suspect)
        except OutOfTime:
            return False
        if theirs.error and seen.error:
            if (theirs.error.type, theirs.error.value) != (seen.error.type, seen.error.value):
                return False
        elif _observed(seen) != _observed(theirs) or not agree(seen, theirs, fields, extras=extras):
            return False
    return True


def _observed(seen: Signature) -> set[str]:
    """Name what was observed; a driver may say less of one answer than of another."""
    return {name for name, value in seen.observations.items() if not value.extra}


def _named(answers: list[Signature], runs: list[Trial]) -> tuple[Misconception, ...]:
    """Find the misconceptions that explain the answer on every run."""
    known = runs[0].exercise.misconceptions
    matching = [m for m in known if _behaves_like(answers, m.answer, runs, extras=False)]
    if len(matching) > 1:
        closer = [m for m in matching if _behaves_like(answers, m.answer, runs, extras=True)]
        matching = closer or matching
    return tuple(matching)


def _composed(answers: list[Signature], runs: list[Trial]) -> tuple[Misconception, ...]:
    """Find the one pair of misconceptions that, made together, explains the answer."""
    found = [
        pair
        for pair, answer in compositions(runs[0].exercise)
        if _behaves_like(answers, answer, runs, extras=False)
    ]
    return found[0] if len(found) == 1 else ()


def error_words(seen: Seen) -> str:
    """Tell an error that ended a last step: the student's line, then the message."""
    told = f"    {seen.type}: {seen.value}" if seen.value else f"    {seen.type}"
    if not seen.own:
        return f"Your code ran, but using what it gives raises an error:\n\n{told}"
    return f"Line {seen.line} of your code raises an error:\n\n    {seen.keys[0]}\n\n{told}"


# Judging ----------------------------------------------------------------------------------------


def _outside_data(answer: Any) -> tuple[str, ...]:
    """Name the tensors and arrays that the answer reads from outside instead of its arguments."""
    import numpy as np

    scope = getattr(answer, "__globals__", {})
    data = (torch.Tensor, np.ndarray, torch.nn.Module, torch.optim.Optimizer)
    return tuple(n for n in source.outside_names(answer) if isinstance(scope.get(n), data))


def _right_so_far(exercise: Exercise, seen: Signature, due: Signature) -> tuple[str, ...]:
    """List what the answer got right on the probe that shows its mistake."""
    if seen.error:
        return ()
    fields = accepted_fields(exercise)
    wrong = {d.observation: d for d in differences(seen, due, fields)}
    right = [
        name
        for name, value in due.observations.items()
        if not value.extra and name not in wrong and name != INPUTS_AFTER
    ]
    if "result" in wrong and not wrong["result"].path:
        words = _result_words(wrong["result"], fields)
        right = [words, *right] if words else right
    return tuple(right)


def _result_words(difference: Difference, fields: frozenset[str]) -> str:
    """Say which fields of a wrong result are right; they are compared in a fixed order."""
    due = difference.due
    if due.kind not in ("tensor", "array") or difference.field == "kind":
        return ""
    order = [field for field in ("shape", "dtype") if field in fields]
    if difference.field in order:
        order = order[: order.index(difference.field)]
    kind = "a tensor" if due.kind == "tensor" else "a NumPy array"
    return f"the result is {kind}" + (f" of the right {' and '.join(order)}" if order else "")


def _left_behind(runs: list[Trial], seen: list[Signature]) -> str:
    """Say what the answer leaves changed for all other code, if that explains why it is wrong.

    An error in the student's own lines comes first: what it prevented may have put things back.
    """
    for trial, signature in zip(runs, seen, strict=True):
        error = signature.error
        cause = not error or not error.own or "does not require grad" in str(error.value)
        if signature.left and signature.left != trial.due.left and cause:
            return signature.left
    return ""


def _wrong(
    exercise: Exercise, answer: Any, runs: list[Trial], seen: list[Signature], prints: list[str]
) -> Finding:
    """Explain an answer that differs from the reference."""
    fields = accepted_fields(exercise)
    shown = next(i for i, s in enumerate(seen) if not agree(s, runs[i].due, fields))
    trial, signature = runs[shown], seen[shown]
    mistakes = _named(seen, runs)
    together = False
    if not mistakes:
        mistakes = _composed(seen, runs)
        together = bool(mistakes)
    if not mistakes and (left := _left_behind(runs, seen)) not in ("", ANOMALY_ON):
        return Finding(exercise, WRONG, reason=left)
    error = signature.error
    outcome = KNOWN_MISTAKE if mistakes else ERROR if error and error.own else WRONG
    return Finding(
        exercise,
        outcome,
        mistakes=mistakes,
        together=together,
        seen=signature,
        due=trial.due,
        differing=tuple(differences(signature, trial.due, fields)),
        right=_right_so_far(exercise, signature, trial.due),
        inputs=make_inputs(exercise.probes[trial.index], trial.seed),
        outside=_outside_data(answer),
        blank=None if mistakes else source.blank_line(answer),
        printed=prints[shown],
    )


def _judge(exercise: Exercise, answer: Any, seed: int, caught: io.StringIO) -> Finding:
    reason = _kind_reason(exercise, answer)
    if reason:
        return Finding(exercise, WRONG, reason=reason)
    if _not_attempted(exercise, answer):
        return Finding(exercise, NOT_ATTEMPTED)
    reason = _signature_reason(exercise, answer)
    if reason:
        return Finding(exercise, WRONG, reason=reason)
    fields = accepted_fields(exercise)
    runs, seen, prints, right = [], [], [], True
    for trial in trials(exercise, seed):
        before = caught.tell()
        try:
            with time_limit(exercise.limit):
                signature = trial.remembered(answer) if _answers_too else trial.run(answer)
        except OutOfTime:
            return Finding(exercise, TIMEOUT)
        runs.append(trial)
        seen.append(signature)
        prints.append(caught.getvalue()[before:])
        right = right and agree(signature, trial.due, fields)
    if right and (left := _left_behind(runs, seen)):
        return Finding(exercise, WRONG, reason=f"What comes back is right. {left}")
    if right:
        return Finding(exercise, PASSED)
    return _wrong(exercise, answer, runs, seen, prints)


def take_last_step(exercise: Exercise, answer: Any) -> Finding:
    """Run a milestone's last step on an answer that has passed everything else.

    What the student's code prints, such as a progress bar, is shown. Never raises, but an
    interrupt of the student's passes through.
    """
    assert exercise.last_step is not None
    step, began = exercise.last_step, time.monotonic()
    with undisturbed(silent=False):
        try:
            with time_limit(step.limit):
                good, told = step.run(answer)
        except OutOfTime:
            return Finding(exercise, TIMEOUT, reason=f"It took more than {step.limit:g} seconds.")
        except Exception as error:
            seen = see_error(error, answer)
            return Finding(exercise, ERROR if seen.own else WRONG, reason=error_words(seen))
    seconds = time.monotonic() - began
    return Finding(exercise, PASSED if good else WRONG, reason=told, seconds=seconds)


def judge(exercise: Exercise, answer: Any, seed: int = 0) -> Finding:
    """Judge an answer; never raises, and leaves the session as it was.

    Args:
        exercise: what was asked.
        answer: the function or class that the student wrote.
        seed: makes the probes; students always meet the same ones.
    """
    began = time.monotonic()
    with undisturbed() as caught:
        try:
            found = _judge(exercise, answer, seed, caught)
        except BrokenCheck as fault:
            found = Finding(exercise, OUR_FAULT, reason=str(fault))
        except OutOfTime:
            found = Finding(exercise, TIMEOUT)
        except Exception:
            found = Finding(exercise, OUR_FAULT, reason=traceback.format_exc(limit=-3))
    return replace(found, seconds=time.monotonic() - began)
