"""Predictions: the right option is found by running the code, and answering never raises."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from fixtures.small_course import SmallCourse

from firstlight import predictions, progress
from firstlight.course import load_course
from firstlight.predictions import (
    Prediction,
    PredictionFault,
    lesson_predictions,
    predict,
    run_code,
    same,
)

pytest_plugins = ["fixtures.plugin"]

EXISTING = [lesson for lesson in load_course().lessons if lesson.exists]


def prediction(small_course: SmallCourse) -> Prediction:
    return lesson_predictions(small_course.lesson)["small_int_mean"]


# Running code -----------------------------------------------------------------------------------


def test_the_result_is_the_value_of_the_last_line():
    assert run_code("x = 2\nx + 1").result == 3
    assert run_code("x = 2").result is None
    assert run_code("").result is None


def test_code_finds_torch_numpy_nn_and_functional():
    assert run_code("torch.tensor(np.ones(2)).sum() + F.relu(nn.Parameter(torch.zeros(1)))")


def test_an_error_ends_the_code_and_is_part_of_the_outcome():
    outcome = run_code("x = 1\ntorch.tensor([1, 2]).mean()\nx = 2")
    assert outcome.error is RuntimeError
    assert "dtype" in outcome.message
    assert outcome.names["x"] == 1


def test_each_run_has_a_fresh_namespace():
    run_code("left_over = 1")
    assert run_code("left_over").error is NameError


def test_code_is_seeded_and_the_students_random_numbers_go_on_as_they_were():
    torch.manual_seed(7), np.random.seed(7), random.seed(7)
    due = torch.rand(1), np.random.rand(), random.random()
    torch.manual_seed(7), np.random.seed(7), random.seed(7)
    first = run_code("torch.rand(3)").result
    second = run_code("torch.manual_seed(9); np.random.seed(9); torch.rand(3) * 0").result
    assert torch.equal(first, run_code("torch.rand(3)").result)
    assert torch.equal(second, torch.zeros(3))
    assert (torch.rand(1), np.random.rand(), random.random()) == due


def test_modes_are_left_as_they_were():
    with torch.no_grad():
        outcome = run_code(
            "torch.set_default_dtype(torch.float64); torch.set_grad_enabled(False)\n"
            "torch.ones(1, requires_grad=True).requires_grad"
        )
        assert outcome.result is True
        assert not torch.is_grad_enabled()
    assert torch.is_grad_enabled()
    assert torch.get_default_dtype() == torch.float32


def test_warnings_and_prints_are_kept_and_not_shown(capsys: pytest.CaptureFixture[str]):
    outcome = run_code("import warnings; warnings.warn('take care'); print('hello')")
    assert outcome.warnings == ("UserWarning: take care",)
    assert outcome.printed == "hello\n"
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        (torch.tensor(6), torch.tensor(6), True),
        (torch.tensor(6), torch.tensor(6.0), False),
        (torch.tensor([6]), torch.tensor(6), False),
        (torch.tensor(float("nan")), torch.tensor(float("nan")), True),
        (torch.tensor([True]), torch.tensor([True]), True),
        (torch.ones(2, requires_grad=True), torch.ones(2), True),
        (6, torch.tensor(6), False),
        (np.ones(2), np.ones(2), True),
        (np.ones(2, dtype=np.float32), np.ones(2), False),
        ((1, torch.ones(2)), (1, torch.ones(2)), True),
        ((1,), [1], False),
        (torch.Size([2]), torch.Size([2]), True),
        (1, True, False),
    ],
)
def test_same_means_type_dtype_shape_and_values(one: object, other: object, alike: bool):
    assert same(one, other) is alike


# The right option -------------------------------------------------------------------------------


def test_the_right_option_is_the_one_that_holds(small_course: SmallCourse):
    assert prediction(small_course).right() == "b"


def test_it_is_found_by_running_and_not_by_its_text(small_course: SmallCourse):
    small_course.edit(small_course.text, "scores.mean()\n```\n\na)", "scores.sum() // 3\n```\n\na)")
    assert prediction(small_course).right() == "a"


def test_no_option_or_two_that_hold_are_a_fault(small_course: SmallCourse):
    small_course.edit(small_course.text, "error is RuntimeError", "error is TypeError")
    with pytest.raises(PredictionFault, match=r"no option holds.*RuntimeError"):
        prediction(small_course).right()
    small_course.edit(small_course.text, "error is TypeError", "error is not None")
    small_course.edit(small_course.text, "same(result, torch.tensor(6.0))", "result is None")
    with pytest.raises(PredictionFault, match="options b and c hold"):
        prediction(small_course).right()


def test_a_prediction_knows_its_lesson_and_line(small_course: SmallCourse):
    found = prediction(small_course)
    lines = small_course.text.read_text(encoding="utf-8").splitlines()
    assert lines[found.line - 1] == ":::{predict} small_int_mean"
    assert found.lesson == small_course.lesson


def test_an_unwritten_lesson_has_no_predictions(small_course: SmallCourse):
    assert lesson_predictions(load_course().lesson("autograd")) == {}


# Answering --------------------------------------------------------------------------------------


@pytest.mark.usefixtures("small_course")
def test_each_option_gets_its_own_reply(capsys: pytest.CaptureFixture[str]):
    predict("small_int_mean", "c")
    wrong = capsys.readouterr().out
    predict("small_int_mean", "b")
    right = capsys.readouterr().out
    assert wrong.startswith("✗ small_int_mean: c is not what happens")
    assert "That is what `scores.float().mean()` gives." in wrong
    assert right.startswith("✓ small_int_mean: b is right")
    assert "PyTorch does not guess" in right


@pytest.mark.usefixtures("small_course")
@pytest.mark.parametrize("spelling", ["b", "B", " b ", "b)", "(b)"])
def test_a_letter_may_be_spelled_in_several_ways(spelling: str, capsys: pytest.CaptureFixture[str]):
    predict("small_int_mean", spelling)
    assert "b is right" in capsys.readouterr().out


@pytest.mark.usefixtures("small_course")
@pytest.mark.parametrize("option", ["?", "", None, 2, ["b"]])
def test_no_choice_gets_one_friendly_sentence(option: object, capsys: pytest.CaptureFixture[str]):
    predict("small_int_mean", option)  # type: ignore[arg-type]
    said = capsys.readouterr().out
    assert "not answered yet. Choose a, b or c" in said
    assert progress.prediction_states() == {}


@pytest.mark.usefixtures("small_course")
@pytest.mark.parametrize("option", ["z", "ab"])
def test_a_letter_that_is_no_option_is_told_so(option: str, capsys: pytest.CaptureFixture[str]):
    predict("small_int_mean", option)
    said = capsys.readouterr().out
    assert f"`{option}` is none of its options. Choose a, b or c" in said
    assert progress.prediction_states() == {}


@pytest.mark.usefixtures("small_course")
@pytest.mark.parametrize("name", ["small_int_meen", None, 3, ""])
def test_an_unknown_name_gets_one_friendly_sentence(
    name: object, capsys: pytest.CaptureFixture[str]
):
    predict(name, "a")  # type: ignore[arg-type]
    assert f"No prediction is named `{name}`." in capsys.readouterr().out


@pytest.mark.usefixtures("small_course")
def test_a_near_name_is_suggested(capsys: pytest.CaptureFixture[str]):
    predict("small_int_meen", "a")
    assert "Did you mean `small_int_mean`?" in capsys.readouterr().out


@pytest.mark.usefixtures("small_course")
def test_an_answer_is_recorded():
    predict("small_int_mean", "c")
    predict("small_int_mean", "b")
    state = progress.prediction_states()["small_int_mean"]
    assert state.options == ("c", "b")
    assert state.right


def test_a_question_that_nothing_answers_here_is_our_fault(
    small_course: SmallCourse, capsys: pytest.CaptureFixture[str]
):
    small_course.edit(small_course.text, "error is RuntimeError", "error is TypeError")
    predict("small_int_mean", "b")
    said = capsys.readouterr().out
    assert said.startswith("! small_int_mean: our fault")
    assert "PyTorch does not guess" in said
    assert progress.prediction_states() == {}


@pytest.mark.usefixtures("small_course")
def test_a_reply_is_shown_in_plain_words(capsys: pytest.CaptureFixture[str]):
    predict("small_int_mean", "a")
    said = capsys.readouterr().out
    assert "Convert first" in said
    assert "    scores.float().mean()" in said
    assert "the section (https://" in said
    assert "2-1-1-tensors.html)" in said
    assert "```" not in said
    assert "**" not in said


# Every prediction of the course -----------------------------------------------------------------


@pytest.mark.parametrize("lesson", EXISTING, ids=lambda lesson: lesson.slug)
def test_exactly_one_option_of_each_prediction_holds(lesson):
    found = lesson_predictions(lesson)
    assert found
    for name, asked in found.items():
        assert asked.right() in [option.letter for option in asked.options], name


def test_names_are_unique_over_the_course():
    names = [name for lesson in EXISTING for name in lesson_predictions(lesson)]
    assert len(names) == len(set(names)) == len(predictions.all_predictions())
