"""Every exercise of the course keeps the promises that its checks make."""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from authoring import proofs
from firstlight.checking import Exercise, Misconception, all_exercises
from firstlight.checking.judge import NOT_ATTEMPTED, PASSED, Finding, judge, remembering
from firstlight.checking.report import verdict

EXERCISES = all_exercises()
QUICK = {name: e for name, e in EXERCISES.items() if e.level != "milestone"}


def every(exercises: dict[str, Exercise]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("exercise", exercises.values(), ids=exercises)


def test_the_course_has_exercises() -> None:
    assert len(EXERCISES) >= 11


@every(EXERCISES)
def test_starter_is_not_attempted(exercise: Exercise) -> None:
    assert list(proofs.starter_faults(exercise)) == []


@every(EXERCISES)
def test_reference_and_alternatives_pass(exercise: Exercise) -> None:
    assert list(proofs.right_faults(exercise, proofs.seeds(exercise))) == []


@every(EXERCISES)
def test_misconceptions_are_rejected_under_their_own_name(exercise: Exercise) -> None:
    assert exercise.misconceptions
    assert list(proofs.mistake_faults(exercise, proofs.seeds(exercise))) == []


@every(EXERCISES)
def test_mutants_are_rejected_or_listed(exercise: Exercise) -> None:
    assert list(proofs.mutant_faults(exercise)) == []


@every(QUICK)
def test_every_pair_of_misconceptions_is_told_apart_or_declared(exercise: Exercise) -> None:
    for (one, other), told_by in proofs.pairwise(exercise).items():
        declared = other in exercise.mistake(one).ambiguous_with
        declared = declared or one in exercise.mistake(other).ambiguous_with
        assert bool(told_by) != declared, f"{one} and {other}: {told_by or 'nothing'} tells them"


@every(EXERCISES)
def test_no_two_mistakes_together_pass_for_one_alone(exercise: Exercise) -> None:
    assert list(proofs.composition_faults(exercise)) == []


def _session() -> dict[str, object]:
    return {
        "torch": torch.get_rng_state().tolist(),
        "numpy": np.random.get_state()[1].tolist(),  # type: ignore[index, union-attr, unused-ignore]
        "python": random.getstate(),
        "dtype": torch.get_default_dtype(),
        "grad": torch.is_grad_enabled(),
        "threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "anomaly": torch.is_anomaly_enabled(),
    }


@every(QUICK)
def test_a_check_leaves_the_session_as_it_was(exercise: Exercise) -> None:
    answers = [exercise.reference, *(m.answer for m in exercise.misconceptions)]
    before = _session()
    with remembering():
        for answer in answers:
            judge(exercise, answer)
            assert _session() == before
    with torch.no_grad():
        torch.set_default_dtype(torch.float64)
        try:
            assert judge(exercise, exercise.reference).outcome == PASSED
            assert torch.get_default_dtype() == torch.float64
            assert not torch.is_grad_enabled()
        finally:
            torch.set_default_dtype(torch.float32)


def _verdicts(exercise: Exercise) -> Iterator[tuple[Misconception, Finding]]:
    with remembering(answers=True):
        for mistake in exercise.misconceptions:
            yield mistake, judge(exercise, proofs.misconception_answer(exercise, mistake))


@every(QUICK)
def test_every_answer_gets_words(exercise: Exercise) -> None:
    for mistake, found in _verdicts(exercise):
        told = verdict(found)
        assert mistake.title in told.message
        assert mistake.why.split()[0] in told.message
        assert "Evidence" in told.message
        assert "Traceback" not in told.message
        html = told._repr_html_()
        assert "http" not in html.replace("https://", "", 1) or mistake.link
        assert html.count("<p ") == html.count("</p>")


@every(EXERCISES)
def test_no_message_shows_the_answer(exercise: Exercise) -> None:
    from firstlight.checking import source

    answers = source.solution_lines(source.plain(exercise.reference))
    for line in answers:
        if len(line) > 20:
            for hint in exercise.hints:
                assert line not in hint, f"a hint of {exercise.name} is the answer"
            for mistake in exercise.misconceptions:
                assert line not in mistake.why + mistake.next


def test_the_proofs_notice_a_misconception_that_passes() -> None:
    exercise = _exercise_with_a_right_misconception()
    assert any("is passed" in fault for fault in proofs.mistake_faults(exercise, range(1)))


def test_the_proofs_notice_a_starter_that_is_an_answer() -> None:
    exercise = _exercise_with_a_right_misconception()
    assert judge(exercise, proofs.starter_answer(exercise)).outcome == NOT_ATTEMPTED


def _exercise_with_a_right_misconception() -> Exercise:
    from dataclasses import replace

    exercise = replace(EXERCISES["affine"])
    wrong = replace(exercise.misconceptions[0], answer=exercise.reference)
    exercise.misconceptions = (wrong,)
    return exercise


def test_evidence_calls_each_input_by_its_own_name() -> None:
    exercise = EXERCISES["run_experiment"]  # its driver is handed no `build`: it makes one
    mistake = exercise.mistake("seeded_too_late")
    told = verdict(judge(exercise, mistake.answer)).text
    assert "      name  'wide'\n      seed  3\n" in told.replace("   'wide'", "  'wide'")
