"""A check answers every kind of hand-in with one clear message, and never raises."""

from __future__ import annotations

import functools
import threading
import time
from typing import Any

import numpy as np
import pytest
import torch

from firstlight import check
from firstlight.checking import Exercise, check_fully, check_object, exercise, find_exercise, source
from firstlight.checking.compare import close
from firstlight.checking.compose import merge
from firstlight.checking.exercise import ExerciseFault
from firstlight.checking.find import exercise_for
from firstlight.checking.limits import OutOfTime, _by_thread, time_limit
from firstlight.checking.report import Note

torch_double = functools.partial(torch.tensor, dtype=torch.float64)


@exercise(level="guided", minutes=1, why="It doubles.", hints=("×", "2"), limit=0.5)
def twice(values: torch.Tensor) -> torch.Tensor:
    """Double every value."""
    # solution:
    return 2 * values
    # end solution


@twice.probe
def two_values(g: torch.Generator) -> tuple[torch.Tensor]:
    return (torch_double([1.0, -3.0]),)


@twice.probe
def five_values(g: torch.Generator) -> tuple[torch.Tensor]:
    return (torch.randn(2, 5, generator=g, dtype=torch.float64),)


@twice.misconception(title="Squared", why="A square is no double.", next="Multiply by two.")
def squared(values: torch.Tensor) -> torch.Tensor:
    return values**2


@twice.misconception(title="Also squared", why="Same.", next="Same.", ambiguous_with=("squared",))
def squared_too(values: torch.Tensor) -> torch.Tensor:
    return values * values


def outcome(answer: Any, asked: Exercise = twice) -> str:
    return check_object(asked, answer).outcome


# Outcomes ---------------------------------------------------------------------------------------


def test_a_right_answer_passes_however_it_is_written() -> None:
    assert outcome(lambda values: values + values) == "passed"
    assert outcome(functools.partial(torch.mul, 2)) == "passed"

    class Doubler:
        def __call__(self, values: torch.Tensor) -> torch.Tensor:
            return values.mul(2)

    assert outcome(Doubler()) == "passed"
    assert outcome(torch.jit.script) != "passed"


def test_untouched_and_empty_answers_are_not_attempted() -> None:
    def written_as_pass(values: torch.Tensor) -> None:
        """Double every value."""
        pass

    def raising(values: torch.Tensor) -> None:
        raise NotImplementedError

    assert outcome(written_as_pass) == "not-attempted"
    assert outcome(raising) == "not-attempted"


def test_a_left_over_blank_is_pointed_out() -> None:
    def half_done(values: torch.Tensor) -> Any:
        doubled = 3 * values
        ...
        return doubled

    found = check_object(twice, half_done)
    assert found.outcome == "wrong"
    assert "`...` of the starter still stands" in found.message


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (torch.ones(3), "The function itself is due: `check(twice)`"),
        (None, "You passed None"),
        (Exercise, "you passed a class"),
        (lambda: 1, "cannot be called with the 1 argument"),
        (lambda a, b: a, "of the docstring: (values)"),
    ],
)
def test_the_wrong_kind_of_object_is_explained(answer: Any, words: str) -> None:
    found = check_object(twice, answer)
    assert found.outcome == "wrong"
    assert words in found.message


def test_an_error_shows_the_students_line() -> None:
    def misspelled(values: torch.Tensor) -> Any:
        return values.dubble()

    found = check_object(twice, misspelled)
    assert found.outcome == "error"
    assert "return values.dubble()" in found.message
    assert "AttributeError" in found.message
    assert "Traceback" not in found.message


def test_exit_and_prints_do_not_escape(capsys: pytest.CaptureFixture[str]) -> None:
    def leaving(values: torch.Tensor) -> Any:
        print("on my way out")
        raise SystemExit

    assert outcome(leaving) == "error"
    assert capsys.readouterr().out == ""


def test_what_the_answer_prints_is_shown_when_it_is_wrong() -> None:
    def talking(values: torch.Tensor) -> torch.Tensor:
        print("shape", tuple(values.shape))
        return values

    assert "Your code printed\n      shape (2,)" in check_object(twice, talking).message


def test_strange_errors_and_results_are_the_answers_not_ours() -> None:
    class Strange(BaseException):
        def __str__(self) -> str:
            raise RuntimeError

    def raising(values: torch.Tensor) -> Any:
        raise Strange

    assert outcome(raising) == "error"
    assert outcome(lambda values: torch.ones(2, device="meta")) == "wrong"
    assert outcome(lambda values: values.to_sparse()) == "wrong"


def test_settings_that_the_answer_changes_are_put_back() -> None:
    def meddling(values: torch.Tensor) -> torch.Tensor:
        torch.set_printoptions(precision=1)
        np.seterr(all="ignore")
        torch.set_default_device("meta")
        torch.set_float32_matmul_precision("medium")
        return 2 * values

    shown = repr(torch.tensor(0.123456))
    before = (np.geterr(), torch.get_default_device(), torch.get_float32_matmul_precision())
    check_object(twice, meddling)
    assert (np.geterr(), torch.get_default_device(), torch.get_float32_matmul_precision()) == before
    assert repr(torch.tensor(0.123456)) == shown


def test_a_mistake_nobody_named_gets_plain_facts() -> None:
    def told(answer: Any) -> str:
        return " ".join(check_object(twice, answer).message.split())

    assert "every value is 3 times too large" in told(lambda v: 6 * v).lower()
    assert "wrong sign" in told(lambda v: -2 * v)
    assert "its dtype is float32; due is float64" in told(lambda v: (2 * v).float()).lower()
    assert "every value is 1 too large" in told(lambda v: 2 * v + 1).lower()
    assert "runs backwards" in told(lambda v: (2 * v).flip(-1)).lower()
    assert "returns None" in told(lambda v: print(v))
    assert "a broadcast may have grown" in told(
        lambda v: 2 * v.flatten()[:, None] + 0 * v.flatten()
    )
    assert "it is an object of type function" in told(lambda v: told).lower()
    assert "are NaN" in told(lambda v: v / 0 * 0)


def test_changing_an_input_is_reported() -> None:
    found = check_object(twice, lambda values: values.mul_(2))
    assert found.outcome == "wrong"
    assert "has changed `values`" in found.message


def test_a_changed_input_is_shown_as_it_is_afterwards_beside_a_right_result() -> None:
    message = check_object(twice, lambda values: values.mul_(2)).message
    assert "Right so far\n  The result is right." in message
    assert "values afterwards  [2., -6.]" in message
    assert "2 of 2 values have changed" in message
    assert "due  " not in message


def test_one_changed_value_is_told_in_the_singular() -> None:
    def negate_the_first(values: torch.Tensor) -> torch.Tensor:
        doubled = values * 2
        values[0] = -values[0]
        return doubled

    assert "1 of 2 values has changed." in check_object(twice, negate_the_first).message


def test_an_error_without_a_message_does_not_end_in_a_colon() -> None:
    def silent(values: torch.Tensor) -> torch.Tensor:
        raise ValueError

    assert check_object(twice, silent).message.splitlines()[-5].endswith("ValueError")


def test_the_advice_to_rerun_an_input_is_given_only_where_its_numbers_are_shown() -> None:
    assert "Run your code on this input" in check_object(twice, lambda values: 5 * values).message

    @exercise(level="guided", minutes=1, why="It doubles.", hints=())
    def twice_as_many(values: torch.Tensor) -> torch.Tensor:
        """Double every value."""
        # solution:
        return 2 * values
        # end solution

    @twice_as_many.probe
    def fifty(g: torch.Generator) -> tuple[torch.Tensor]:
        return (torch.randn(50, generator=g),)

    told = check_object(twice_as_many, lambda values: 5 * values).message
    assert "a small input of your own" in told
    assert "this input" not in told


def claimed(left: bool, right: bool) -> Exercise:
    """Make an exercise with claims and wordings, as the longer exercises of a lesson have."""

    @exercise(level="guided", minutes=1, why="It doubles.", hints=())
    def judged(values: torch.Tensor) -> torch.Tensor:
        """Double every value."""
        # solution:
        return 2 * values
        # end solution

    @judged.drive
    def look(answer: Any, values: torch.Tensor) -> dict[str, Any]:
        good = float(answer(values)[0]) == 2
        return {
            "the left side": "high" if good or not left else "low",
            "the sky is blue": good or not right,
            "water is wet": True,
            "fire is cold": not (good or not right),
        }

    @judged.probe
    def one(g: torch.Generator) -> tuple[torch.Tensor]:
        return (torch.ones(1),)

    return judged


def test_claims_that_fail_are_told_as_what_should_hold() -> None:
    message = check_object(claimed(left=True, right=True), lambda values: values).message
    assert "Look at the left side. Yours: low. Due: high." in message
    assert "Should hold, does not\n  The sky is blue." in message
    assert "Holds, should not\n  Fire is cold." in message
    assert "Right so far\n  Water is wet." in message
    message = check_object(claimed(left=True, right=False), lambda values: values).message
    assert "Right so far\n  The sky is blue; water is wet." in message


def test_a_numpy_number_is_not_called_a_python_number() -> None:
    told = check_object(twice, lambda values: np.float32(3)).message
    assert "It is a NumPy number, float32; due is a tensor." in told


def test_lost_precision_is_called_by_its_name() -> None:
    @exercise(level="guided", minutes=1, why="It is a third.", hints=("Divide.",))
    def third(values: torch.Tensor) -> torch.Tensor:
        """Divide by three."""
        # solution:
        return values / 3
        # end solution

    @third.probe
    def some(g: torch.Generator) -> tuple[torch.Tensor]:
        return (torch.randn(5, generator=g, dtype=torch.float64),)

    told = check_object(third, lambda values: torch.round(values / 3, decimals=5)).message
    assert "digits are right, and more are due" in told
    assert "times what is due" not in told


def test_two_numbers_that_differ_are_never_printed_alike() -> None:
    def nearly(values: torch.Tensor) -> torch.Tensor:
        out = 2 * values
        out.view(-1)[0] += 1e-5
        return out

    told = " ".join(check_object(twice, nearly).message.split())
    assert "1 of 2 values is wrong, the first at [0]: yours is 2.00001, due is 2." in told


def test_a_name_in_quotes_is_answered_with_how_to_pass_the_function(
    capsys: pytest.CaptureFixture[str],
) -> None:
    check("brighten")
    told = capsys.readouterr().out
    assert "Pass the function itself, not its name: `check(brighten)`" in told
    assert "calling" not in told


def test_reading_a_global_is_pointed_out() -> None:
    found = check_object(twice, _reads_a_global)
    assert "`PERSONAL` from outside" in found.message


PERSONAL = torch.arange(3.0)


def _reads_a_global(values: torch.Tensor) -> torch.Tensor:
    return 2 * PERSONAL


def test_a_global_that_the_answer_edits_is_put_back() -> None:
    check_object(twice, _edits_a_global)
    assert PERSONAL.tolist() == [0, 1, 2]


def _edits_a_global(values: torch.Tensor) -> torch.Tensor:
    PERSONAL.add_(1)
    return 2 * values


def test_ambiguous_mistakes_are_given_as_either_or() -> None:
    found = check_object(twice, lambda values: values.square())
    assert found.outcome == "known-mistake"
    assert found.misconceptions == ("squared", "squared_too")
    assert "Either of these: Squared; or: Also squared" in found.message


def test_a_broken_check_says_it_is_our_fault() -> None:
    @exercise(level="guided", minutes=1, why="", hints=())
    def broken(values: torch.Tensor) -> torch.Tensor:
        """Break."""
        # solution:
        return values.no_such_method()  # type: ignore[no-any-return, operator]
        # end solution

    @broken.probe
    def some(g: torch.Generator) -> tuple[torch.Tensor]:
        return (torch.ones(2),)

    found = check_object(broken, lambda values: values)
    assert found.outcome == "our-fault"
    assert "not your code" in found.message


# Time -------------------------------------------------------------------------------------------


def _forever(values: torch.Tensor) -> torch.Tensor:
    while True:
        try:  # noqa: SIM105 (what a student might write; it must not swallow the alarm)
            values = values + 1
        except Exception:
            pass


def test_an_endless_loop_times_out_on_the_main_thread() -> None:
    began = time.monotonic()
    assert outcome(_forever) == "timeout"
    assert time.monotonic() - began < 5


def test_an_endless_loop_times_out_on_another_thread() -> None:
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.append(outcome(_forever)))
    thread.start()
    thread.join(timeout=10)
    assert found == ["timeout"]


def _swallowing(values: torch.Tensor) -> torch.Tensor:
    while True:
        try:  # noqa: SIM105 (what a student might write; nearly all the time is spent inside)
            time.sleep(0.01)
        except BaseException:
            pass


def test_an_endless_loop_that_swallows_everything_times_out() -> None:
    assert outcome(_swallowing) == "timeout"


def test_a_limit_that_is_kept_leaves_nothing_behind() -> None:
    with _by_thread(0.05):
        pass
    with time_limit(0.05):
        pass
    time.sleep(0.1)  # a late alarm would be raised here


def test_a_limit_raises_out_of_time() -> None:
    with pytest.raises(OutOfTime), time_limit(0.05):
        _forever(torch.ones(1))


# Starters ---------------------------------------------------------------------------------------

REFERENCE = '''def f(x):
    """Order."""
    y = x + 1
    # solution:
    z = y * 2
    return z
    # end solution
'''


def test_a_starter_keeps_what_is_given_and_hides_the_solution() -> None:
    assert source.starter(REFERENCE) == 'def f(x):\n    """Order."""\n    y = x + 1\n    ...\n'
    assert "# solution:" not in source.solved(REFERENCE)
    assert source.solution_lines(REFERENCE) == ["z = y * 2", "return z"]


@pytest.mark.parametrize(
    ("removed", "words", "line"),
    [
        ("    # end solution\n", "never closed", 4),
        ("    # solution:\n", "without", 6),
        (
            "    # solution:\n    z = y * 2\n    return z\n    # end solution\n",
            "would be the answer",
            1,
        ),
    ],
)
def test_markers_that_do_not_pair_are_faults_with_a_line(
    removed: str, words: str, line: int
) -> None:
    with pytest.raises(source.MarkerFault, match=words) as fault:
        source.starter(REFERENCE.replace(removed, ""))
    assert fault.value.line == line


def test_an_exercise_with_a_bad_marker_cannot_be_made() -> None:
    with pytest.raises(ExerciseFault, match=r"test_checking\.py:\d+: unclosed .* never closed"):

        @exercise(level="guided", minutes=1, why="", hints=())
        def unclosed(x: int) -> int:
            """Order."""
            # solution:
            return x


def _watched_for_ever(values: torch.Tensor) -> torch.Tensor:
    torch.autograd.set_detect_anomaly(True)
    return 2 * values


def _wrong_and_watched(values: torch.Tensor) -> torch.Tensor:
    torch.autograd.set_detect_anomaly(True)
    return 3 * values


def test_anomaly_detection_left_on_rejects_what_is_right_and_explains_nothing_else() -> None:
    found = check_object(twice, _watched_for_ever)
    assert found.outcome == "wrong"
    assert "leaves anomaly detection switched on" in found.message
    assert not torch.is_anomaly_enabled()
    told = check_object(twice, _wrong_and_watched).message
    assert "anomaly" not in told
    assert "1.5 times" in told


@exercise(level="guided", minutes=1, why="It lists.", hints=("a", "b"))
def ends(values: torch.Tensor) -> list[float]:
    """List the first value and the last."""
    # solution:
    return [values[0].item(), values[-1].item()]
    # end solution


@ends.drive
def look_at_the_ends(answer: Any, values: torch.Tensor) -> dict[str, Any]:
    found = answer(values)
    if not found:
        return {"something comes back": False}
    return {"something comes back": isinstance(found, list), "result": found}


@ends.probe
def three_values(g: torch.Generator) -> tuple[torch.Tensor]:
    return (torch_double([1.0, 2.0, 4.0]),)


@ends.misconception(title="Nothing", why="It is empty.", next="Fill it.")
def no_ends(values: torch.Tensor) -> list[float]:
    return []


def test_a_name_takes_the_same_observations() -> None:
    assert check_object(ends, lambda values: []).misconceptions == ("no_ends",)
    assert check_object(ends, lambda values: (1.0, 4.0)).misconceptions == ()


def test_a_list_has_items_and_no_shape() -> None:
    told = check_object(ends, lambda values: [values[0].item()]).message
    assert "it has 1 item; due are 2" in told.lower()
    assert "shape is" not in told


def test_a_class_of_a_bug_clinic_has_a_blank_line_behind_its_docstring() -> None:
    wrong = "class wrong(Base):\n    def forward(self, x):\n        return x\n"
    due = 'class Net(Base):\n    """Order."""\n\n    def forward(self, x):\n        return x\n'
    assert source.as_starter(wrong, "wrong", "Net", "Order.") == due


# Finding ----------------------------------------------------------------------------------------


def test_an_exercise_is_found_by_function_variable_or_name() -> None:
    def affine(x: Any, W: Any, b: Any) -> Any:
        return x

    flatten_images = lambda images: images  # noqa: E731
    assert exercise_for(affine, depth=0).name == "affine"
    assert exercise_for(flatten_images, depth=0).name == "flatten_images"
    assert exercise_for("brighten", depth=0).name == "brighten"


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(KeyError, match="Did you mean `flatten_images`"):
        find_exercise("flaten_images")
    with pytest.raises(KeyError, match="without calling it"):
        exercise_for(torch.ones(2), depth=0)


def _slope(dtype: torch.dtype, f: Any, at: float) -> float:
    x = torch.tensor(at, dtype=dtype, requires_grad=True)
    f(x).backward()
    return x.grad.item()  # type: ignore[union-attr]


def slope(f: Any, at: float) -> float:
    return _slope(torch.float32, f, at)


class _Slope:
    def __call__(self, f: Any, at: float) -> float:
        return slope(f, at)


def _asked(answer: Any) -> str:
    try:
        return exercise_for(answer, depth=0).name
    except KeyError as unknown:
        return str(unknown.args[0])


def test_an_object_without_a_name_is_told_how_to_name_the_exercise() -> None:
    unnamed = "has no name of its own, so nothing says which exercise it answers"
    for answer, what in (
        (lambda f, at: slope(f, at), "A lambda"),
        (functools.partial(_slope, torch.float32), "An object of type `partial`"),
        (_Slope(), "An object of type `_Slope`"),
    ):
        told = _asked(answer)
        assert told.startswith(f"{what} {unnamed}")
        assert "without calling it" not in told
        assert "No exercise is named" not in told
        assert check_object(find_exercise("slope_at"), answer).outcome == "passed"
    assert 'check(it, "slope_at")' in _asked(functools.partial(_slope, torch.float32))


def test_a_function_under_another_name_is_told_how_to_name_the_exercise() -> None:
    told = _asked(slope)
    assert told.startswith("No exercise is named `slope`. Did you mean `slope_at`?")
    assert 'check(slope, "slope_at")' in told
    assert 'check(_watched_for_ever, "name_of_the_exercise")' in _asked(_watched_for_ever)


def test_check_takes_any_callable_object_with_the_name_of_an_exercise(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for answer in (lambda f, at: slope(f, at), functools.partial(_slope, torch.float32)):
        check(answer, "slope_at")
        assert capsys.readouterr().out.startswith("✓ slope_at")


# Comparing --------------------------------------------------------------------------------------


def test_close_knows_nan_infinity_and_scale() -> None:
    special = torch_double([np.nan, np.inf, 1e6])
    assert close(special, special.clone(), 1e-7)
    assert not close(special, torch_double([np.nan, -np.inf, 1e6]), 1e-7)
    assert not close(torch_double([1.0, 2.0]), torch_double([1.0, 2.001]), 1e-7)
    assert close(torch.tensor([1, 2]), torch.tensor([1, 2]), 0)
    assert not close(torch.tensor([1, 2]), torch.tensor([1, 3]), 0)


def test_two_edits_of_different_lines_merge() -> None:
    base = ["a", "b", "c", "d"]
    assert merge(base, ["A", "b", "c", "d"], ["a", "b", "c"]) == ["A", "b", "c"]
    assert merge(base, ["A", "b", "c", "d"], ["B", "b", "c", "d"]) is None
    assert merge(base, base, ["a"]) is None


def test_a_note_reads_the_same_in_text_and_html() -> None:
    note = Note("Hints for `f`", (("Hint 1 of 2", "Use `x < y`.\n\n    code & more"),))
    assert "    code & more" in str(note)
    assert "<code>x &lt; y</code>" in note._repr_html_()
    assert "code &amp; more" in note._repr_html_()


# Milestones -------------------------------------------------------------------------------------


def milestone(run: Any, limit: float = 5.0) -> Exercise:
    @exercise(level="milestone", minutes=1, why="It doubles.", hints=())
    def doubled(values: torch.Tensor) -> torch.Tensor:
        """Double every value."""
        # solution:
        return 2 * values
        # end solution

    doubled.probe(two_values)
    doubled.finale("all the real values", limit)(run)
    return doubled


def _by_adding(values: torch.Tensor) -> torch.Tensor:
    return values + values


def _late_failure(values: torch.Tensor) -> torch.Tensor:
    if len(values) > 5:
        raise ValueError("too many")
    return values + values


def test_a_milestone_takes_its_last_step_only_after_everything_else() -> None:
    taken = []

    def note(answer: Any) -> tuple[bool, str]:
        taken.append(answer)
        return True, "98.7 % of the test images."

    asked = milestone(note)
    assert check_fully(asked, lambda values: 3 * values).outcome == "wrong"
    assert taken == []
    found = check_fully(asked, _by_adding)
    assert found.outcome == "passed"
    assert "98.7 % of the test images." in found.message


def test_a_last_step_that_is_not_good_enough_is_wrong_and_says_so() -> None:
    found = check_fully(
        milestone(lambda answer: (False, "It reached 91 %; 98 % is due.")), _by_adding
    )
    assert found.outcome == "wrong"
    assert "91 %" in found.message


def test_a_last_step_shows_the_students_line_and_ends_in_time() -> None:
    broken = milestone(lambda answer: (bool(len(answer(torch.ones(9)))), ""))
    found = check_fully(broken, _late_failure)
    assert found.outcome == "error"
    assert 'raise ValueError("too many")' in found.message
    endless = milestone(lambda answer: (bool(_forever(torch.ones(1)).sum()), ""), limit=0.2)
    assert check_fully(endless, _by_adding).outcome == "timeout"


def test_a_last_step_leaves_the_random_numbers_alone() -> None:
    before = torch.get_rng_state()
    check_fully(milestone(lambda answer: (bool(torch.randn(3).shape), "")), _by_adding)
    assert torch.equal(torch.get_rng_state(), before)
