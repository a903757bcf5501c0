"""What an answer sets for the whole session is put back at once, and the answer is told about it."""

from __future__ import annotations

from collections.abc import Iterator
from types import FunctionType
from typing import Any

import pytest
import torch

from firstlight.checking import Exercise, all_exercises, check_object, exercise

WORDS = {
    "grad": "leaves gradients switched off for all code that runs after it",
    "dtype": "leaves the default dtype at float64 for all code that runs after it",
    "device": "leaves the default device at meta for all code that runs after it",
}


def leave(what: str) -> None:
    """Change one default of the session and leave it so."""
    if what == "grad":
        torch.set_grad_enabled(False)
    elif what == "dtype":
        torch.set_default_dtype(torch.float64)
    else:
        torch.set_default_device("meta")


def leaving(what: str, answer: Any) -> Any:
    """Give the right answer, and leave a default changed when it is done."""
    change = leave

    def changed(*args: Any, **named: Any) -> Any:
        result = answer(*args, **named)
        change(what)
        return result

    # Among the names of the answer's own file, where some drivers put what it may call.
    return FunctionType(
        changed.__code__, answer.__globals__, answer.__name__, None, changed.__closure__
    )


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    """The check leaves the session's own defaults alone."""
    yield
    assert torch.is_grad_enabled()
    assert torch.get_default_dtype() == torch.float32
    assert torch.get_default_device() == torch.device("cpu")


FUNCTIONS = [e for e in all_exercises().values() if e.kind == "function"]


@pytest.mark.parametrize("asked", FUNCTIONS, ids=lambda e: e.name)
def test_every_exercise_tells_who_leaves_gradients_off(asked: Exercise) -> None:
    found = check_object(asked, leaving("grad", asked.reference))
    assert found.outcome in ("wrong", "known-mistake"), found.message
    if found.outcome == "wrong":
        assert WORDS["grad"] in " ".join(found.message.split())


@exercise(level="guided", minutes=1, why="The slope of x² is 2x.", hints=("2", "x"))
def slope(x: torch.Tensor) -> torch.Tensor:
    """Give the slope of x² at x."""
    # solution:
    wide = x.detach().clone().requires_grad_()
    (wide**2).sum().backward()  # type: ignore[no-untyped-call]
    return wide.grad  # type: ignore[return-value]
    # end solution


@slope.probe
def three_places(g: torch.Generator) -> tuple[torch.Tensor]:
    return (torch.randn(3, generator=g),)


@slope.misconception(title="The square", why="A slope is no value.", next="Differentiate.")
def squared(x: torch.Tensor) -> torch.Tensor:
    return x**2


@pytest.mark.parametrize("what", WORDS)
def test_a_right_answer_that_leaves_a_default_changed_is_told_so(what: str) -> None:
    found = check_object(slope, leaving(what, slope.reference))
    assert found.outcome == "wrong"
    assert WORDS[what] in " ".join(found.message.split())


def test_a_mistake_keeps_its_name_whatever_it_leaves_behind() -> None:
    found = check_object(slope, leaving("grad", squared))
    assert found.misconceptions == ("squared",)


def test_a_default_left_changed_does_not_reach_the_next_run() -> None:
    calls = []

    def first_time_only(x: torch.Tensor) -> torch.Tensor:
        calls.append(torch.is_grad_enabled())
        result = slope.reference(x)
        torch.set_grad_enabled(False)
        return result  # type: ignore[no-any-return]

    assert check_object(slope, first_time_only).outcome == "wrong"
    assert len(calls) >= 3
    assert all(calls)


def test_an_error_of_ones_own_comes_before_what_it_left_behind() -> None:
    def stopped_halfway(x: torch.Tensor) -> torch.Tensor:
        torch.set_grad_enabled(False)
        return x.reshape(7)

    found = check_object(slope, stopped_halfway)
    assert found.outcome == "error"
    assert "reshape(7)" in found.message


def test_a_default_set_and_put_back_is_nobodys_business() -> None:
    def careful(x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            assert not torch.is_grad_enabled()
        return slope.reference(x)  # type: ignore[no-any-return]

    assert check_object(slope, careful).outcome == "passed"
