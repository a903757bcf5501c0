"""What an exercise is: an order, a reference, other right answers, known wrong ones, and probes.

A lesson's `exercises.py` is written with the decorators of this module, every exercise in the
same rhythm::

    @exercise(level="guided", minutes=3, why="…", hints=("…", "…"))
    def total(scores: Tensor) -> Tensor:
        \"\"\"The order: what is given, what is due, with shapes.\"\"\"
        # solution:
        return scores.sum()
        # end solution

    @total.probe
    def three_scores(g: torch.Generator) -> tuple[Tensor]:
        return (torch.randn(3, generator=g),)

    @total.alternative("`@` with ones adds everything up, too.")
    def dot_with_ones(scores): ...

    @total.misconception(title="Took the mean", why="…", next="…")
    def mean_instead(scores): ...

A misconception is a *runnable* wrong answer: the check recognises a mistake because the student's
code behaves like it, not because it is spelled like it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from firstlight.checking import source

if TYPE_CHECKING:
    from firstlight.course import Lesson

Answer = Callable[..., Any]
Probe = Callable[[torch.Generator], tuple[Any, ...]]
Drive = Callable[..., Mapping[str, Any]]

LEVELS = ("guided", "supported", "independent", "clinic", "milestone")


class ExerciseFault(Exception):
    """A fault in a lesson's `exercises.py`; the message says file, line and what to do."""


@dataclass(frozen=True)
class Alternative:
    """Another right answer; `note` says what is interesting about it."""

    name: str
    answer: Answer
    note: str

    @property
    def source(self) -> str:
        """The answer's source text."""
        return source.plain(self.answer)


@dataclass(frozen=True)
class Misconception:
    """A runnable wrong answer with a name and a refutation.

    `shows` names the observation that serves as evidence (else the first that differs), `link` the
    section of the lesson to read again, `ambiguous_with` the ids that no probe can tell from this one.
    `evidence` is called with the smallest probe's inputs and adds a sentence in their own numbers.
    """

    id: str
    answer: Answer
    title: str
    why: str
    next: str
    link: str = ""
    shows: str = ""
    ambiguous_with: tuple[str, ...] = ()
    starter: bool = False
    evidence: Callable[..., str] | None = None

    @property
    def source(self) -> str:
        """The wrong answer's source text."""
        return source.plain(self.answer)


@dataclass(frozen=True)
class Finale:
    """The last step of a milestone: the student's answer on the real data.

    `run(answer)` gives whether it is good enough and one sentence with the numbers. It may take
    minutes, so it runs only for answers that have passed everything else.
    """

    claim: str
    run: Callable[[Answer], tuple[bool, str]]
    limit: float


def call(answer: Answer, *inputs: Any) -> dict[str, Any]:
    """Drive a function in the plainest way: call it and observe what it returns."""
    return {"result": answer(*inputs)}


@dataclass
class Exercise:
    """One function or class that the student writes, and every known way to get it wrong."""

    reference: Answer
    level: str
    minutes: int
    why: str
    hints: tuple[str, ...]
    ignore: frozenset[str]
    also: frozenset[str]
    limit: float
    equivalent_mutants: tuple[str, ...]
    probes: list[Probe] = field(default_factory=list)
    driver: Drive = call
    alternatives: tuple[Alternative, ...] = ()
    misconceptions: tuple[Misconception, ...] = ()
    last_step: Finale | None = None

    # What the exercise says of itself ---------------------------------------------------------

    @property
    def name(self) -> str:
        """The name that the student defines; unique over the course."""
        return self.reference.__name__

    @property
    def kind(self) -> str:
        """`function` or `class`."""
        return "class" if inspect.isclass(self.reference) else "function"

    @property
    def order(self) -> str:
        """The docstring: what the student is asked to write."""
        return inspect.getdoc(self.reference) or ""

    @property
    def path(self) -> Path:
        """The `exercises.py` that holds it."""
        return Path(inspect.getsourcefile(self.reference) or "")

    @property
    def line(self) -> int:
        """Where in that file it begins."""
        return inspect.getsourcelines(self.reference)[1]

    @property
    def reference_source(self) -> str:
        """The reference without its decorators and solution markers."""
        return source.solved(source.plain(self.reference))

    @property
    def starter(self) -> str:
        """What stands in the student's notebook.

        The reference with every marked solution replaced by `...`, or, in a bug clinic, the
        misconception that is marked as the starter, under the exercise's name.
        """
        for mistake in self.misconceptions:
            if mistake.starter:
                return source.as_starter(mistake.source, mistake.id, self.name, self.order)
        return source.starter(source.plain(self.reference))

    @property
    def lesson(self) -> Lesson:
        """The lesson of the plan that holds it."""
        from firstlight.course import load_course

        folder = self.reference.__module__.split(".")[-2]
        return load_course().lesson(folder.replace("_", "-"))

    # The decorators ---------------------------------------------------------------------------

    def probe(self, make: Probe) -> Probe:
        """Register a function that makes inputs from a seeded generator; the first is the smallest."""
        self.probes.append(make)
        return make

    def drive(self, driver: Drive) -> Drive:
        """Register how an answer is run: `driver(answer, *inputs)` gives named observations.

        The names are read by students ("the weights after step 2"). Wrap a value in `Extra` if it
        only helps to tell misconceptions apart and is no ground to reject an answer.
        """
        self.driver = driver
        return driver

    def alternative(self, note: str) -> Callable[[Answer], Answer]:
        """Register another right answer."""

        def register(answer: Answer) -> Answer:
            self.alternatives += (Alternative(answer.__name__, answer, note),)
            return answer

        return register

    def misconception(
        self,
        *,
        title: str,
        why: str,
        next: str,
        link: str = "",
        shows: str = "",
        ambiguous_with: tuple[str, ...] = (),
        starter: bool = False,
        evidence: Callable[..., str] | None = None,
    ) -> Callable[[Answer], Answer]:
        """Register a wrong answer; its id is the function's name. See `Misconception`."""

        def register(answer: Answer) -> Answer:
            made = Misconception(
                answer.__name__,
                answer,
                title,
                why,
                next,
                link,
                shows,
                ambiguous_with,
                starter,
                evidence,
            )
            self.misconceptions += (made,)
            return answer

        return register

    def finale(
        self, claim: str, limit: float = 900.0
    ) -> Callable[[Callable[[Answer], tuple[bool, str]]], Callable[[Answer], tuple[bool, str]]]:
        """Register a milestone's last step, such as training on the real data. See `Finale`.

        Args:
            claim: what the answer is to reach, in words.
            limit: seconds that the step may take.
        """

        def register(
            run: Callable[[Answer], tuple[bool, str]],
        ) -> Callable[[Answer], tuple[bool, str]]:
            self.last_step = Finale(claim, run, limit)
            return run

        return register

    def mistake(self, name: str) -> Misconception:
        """Find one of the misconceptions by its id.

        Raises:
            KeyError: if the exercise has no such misconception.
        """
        for misconception in self.misconceptions:
            if misconception.id == name:
                return misconception
        raise KeyError(f"{self.name} has no misconception {name!r}")


def exercise(
    *,
    level: str,
    minutes: int,
    why: str,
    hints: tuple[str, ...],
    ignore: tuple[str, ...] = (),
    also: tuple[str, ...] = (),
    limit: float = 10.0,
    equivalent_mutants: tuple[str, ...] = (),
) -> Callable[[Answer], Exercise]:
    """Make the decorated function or class the reference of a new exercise.

    Args:
        level: one of `LEVELS`.
        minutes: how long a student needs.
        why: one sentence on why the reference works.
        hints: the ladder, from a nudge to nearly there.
        ignore: fields of a result that may differ (`dtype`, `shape`, …; see `compare.FIELDS`).
        also: further fields that must agree, such as `requires_grad` or `shares`.
        limit: seconds that all probes together may take.
        equivalent_mutants: changed lines that behave like the reference, as `ast.unparse` writes them.

    Raises:
        ExerciseFault: if the level is unknown or a solution marker is missing or left open.
    """
    if level not in LEVELS:
        raise ExerciseFault(f"the level {level!r} is unknown; use one of {', '.join(LEVELS)}")

    def make(reference: Answer) -> Exercise:
        made = Exercise(
            reference, level, minutes, why, hints, frozenset(ignore), frozenset(also), limit,
            equivalent_mutants,
        )  # fmt: skip
        try:
            if level != "clinic":
                source.starter(source.plain(reference))
        except source.MarkerFault as fault:
            line = made.line + source.decorator_lines(reference) + fault.line - 1
            raise ExerciseFault(f"{made.path}:{line}: {reference.__name__} {fault}") from None
        return made

    return make
