"""Ask the student to predict, and prove the right option by running the code, never by assertion.

A prediction is a `predict` block of a `lesson.md`; `blocks.py` says how it is written. Its code
runs in a fresh namespace, each option's `when:` is a Python expression over what came out, and the
right option is the one whose condition holds.
"""

from __future__ import annotations

import ast
import difflib
import random
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from firstlight import progress
from firstlight.blocks import Block, Option, Question, parse_question, split_blocks
from firstlight.checking.report import Note, Section, show
from firstlight.checking.undisturbed import undisturbed
from firstlight.course import Lesson, load_course

# Names that a prediction's code and its conditions may use without an import.
PRELOADED: Mapping[str, Any] = {
    "torch": torch,
    "np": np,
    "nn": torch.nn,
    "F": torch.nn.functional,
}
SEED = 0


class PredictionFault(Exception):
    """A prediction whose options do not fit what its code does."""


# What a piece of code does ----------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """What running a piece of code gave: its names, its last value, its error, its warnings."""

    names: Mapping[str, Any]
    result: Any
    error: type[BaseException] | None
    message: str
    warnings: tuple[str, ...]
    printed: str


def run_code(code: str) -> Outcome:
    """Run code in a fresh namespace, seeded, and leave the session as it was.

    `result` is the value of the last line if that is an expression. An exception ends the code and
    becomes part of the outcome.

    Raises:
        SyntaxError: if this is no Python.
    """
    body, last = _compiled(code)
    names: dict[str, Any] = {**PRELOADED, "__name__": "__prediction__"}
    result, error, message = None, None, ""
    with undisturbed() as printed, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warned_always = torch.is_warn_always_enabled()
        torch.set_warn_always(True)
        _seed()
        try:
            exec(body, names)  # the course's own text
            result = eval(last, names) if last else None
        except Exception as raised:
            error, message = type(raised), str(raised)
        finally:
            torch.set_warn_always(warned_always)
    said = tuple(f"{warning.category.__name__}: {warning.message}" for warning in caught)
    return Outcome(names, result, error, message, said, printed.getvalue())


def _compiled(code: str) -> tuple[Any, Any]:
    """Compile all but the last line, and the last one apart if it has a value."""
    tree = ast.parse(code)
    last = None
    if tree.body and isinstance(tree.body[-1], ast.Expr):
        expression = ast.Expression(tree.body.pop().value)  # type: ignore[attr-defined]
        last = compile(expression, "<prediction>", "eval")
    return compile(tree, "<prediction>", "exec"), last


def _seed() -> None:
    torch.manual_seed(SEED)
    np.random.seed(SEED)
    random.seed(SEED)


def same(one: Any, other: Any) -> bool:
    """Whether two values agree in type, dtype, shape and every element (NaN equals NaN)."""
    if type(one) is not type(other):
        return False
    if isinstance(one, torch.Tensor):
        alike = one.dtype == other.dtype and one.shape == other.shape
        return alike and torch.allclose(one, other, rtol=0, atol=0, equal_nan=True)
    if isinstance(one, np.ndarray):
        alike = one.dtype == other.dtype and one.shape == other.shape
        return alike and bool(np.array_equal(one, other))
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


# Predictions ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Prediction(Question):
    """A question of a lesson, able to find its right option."""

    lesson: Lesson

    def right(self) -> str:
        """Run the code and return the letter of the one option that holds.

        Raises:
            PredictionFault: if no option holds, or more than one.
        """
        outcome = run_code(self.code)
        letters = [option.letter for option in self.options if _holds(option, outcome)]
        if len(letters) == 1:
            return letters[0]
        found = f"options {' and '.join(letters)} hold" if letters else "no option holds"
        raise PredictionFault(
            f"{found}, and exactly one must: the code of `{self.name}` gave {_told(outcome)}"
        )

    def option(self, letter: str) -> Option | None:
        """Return the option of a letter, or None."""
        return next((option for option in self.options if option.letter == letter), None)


def _holds(option: Option, outcome: Outcome) -> bool:
    """Whether an option's condition is true; one that cannot be evaluated is not."""
    names = {
        **outcome.names,
        "result": outcome.result,
        "error": outcome.error,
        "message": outcome.message,
        "same": same,
    }
    with undisturbed():
        try:
            return bool(eval(option.when, names))  # the course's own text
        except Exception:  # such as `result.shape` where the code raised and there is no result
            return False


def _told(outcome: Outcome) -> str:
    if outcome.error:
        return f"{outcome.error.__name__}: {outcome.message}"
    return repr(outcome.result)


def lesson_predictions(lesson: Lesson) -> dict[str, Prediction]:
    """Return a lesson's predictions by name, in the order of the text; none if it is unwritten."""
    if not lesson.exists:
        return {}
    parts, _ = split_blocks(_text(lesson.folder / "lesson.md"))
    blocks = [part for part in parts if isinstance(part, Block) and part.name == "predict"]
    return {block.argument: _prediction(block, lesson) for block in blocks}


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _prediction(block: Block, lesson: Lesson) -> Prediction:
    read, _ = parse_question(block.argument, block.body, block.body_line)
    return Prediction(read.name, read.question, read.code, read.options, block.line, lesson)


def all_predictions() -> dict[str, Prediction]:
    """Return every prediction of the course by name."""
    found: dict[str, Prediction] = {}
    for lesson in load_course().lessons:
        found |= lesson_predictions(lesson)
    return found


# What a student calls ---------------------------------------------------------------------------


def predict(name: str, option: str) -> None:
    """Answer a prediction with the letter of an option, and read the reply to it.

    Args:
        name: the prediction's name, as it stands in the notebook's cell.
        option: the letter you choose, such as `"b"`.
    """
    known = all_predictions()
    prediction = known.get(name) if isinstance(name, str) else None
    if prediction is None:
        show(Note(_unknown(name, known)))
        return
    letter = option.strip().strip("()").lower() if isinstance(option, str) else ""
    chosen = prediction.option(letter)
    if chosen is None:
        show(Note(_no_choice(prediction, letter)), prediction=name)
        return
    try:
        right = letter == prediction.right()
    except PredictionFault as fault:
        show(_our_fault(prediction, chosen, fault), prediction=name)
        return
    progress.record_prediction(name, letter, right)
    headline = (
        f"✓ {name}: {letter} is right" if right else f"✗ {name}: {letter} is not what happens"
    )
    show(Note(headline, _sections(chosen.reply)), prediction=name, option=letter, right=right)


def _unknown(name: object, known: Mapping[str, Prediction]) -> str:
    near = difflib.get_close_matches(str(name), known, n=1)
    suggestion = f" Did you mean `{near[0]}`?" if near else ""
    return f"○ No prediction is named `{name}`.{suggestion}"


def _no_choice(prediction: Prediction, given: str) -> str:
    """Say how to answer: nothing was chosen yet (`"?"`), or something that is no option."""
    letters = [option.letter for option in prediction.options]
    listed = f"{', '.join(letters[:-1])} or {letters[-1]}"
    found = "not answered yet" if given in ("", "?") else f"`{given}` is none of its options"
    return (
        f"○ {prediction.name}: {found}. Choose {listed}, such as "
        f'`predict("{prediction.name}", "{letters[0]}")`.'
    )


def _our_fault(prediction: Prediction, chosen: Option, fault: PredictionFault) -> Note:
    """Say that the question is broken here, and still give the reply."""
    apology = (
        "On this computer the question's code gives something that none of its options foresees, "
        "so nothing is counted. That is our fault, not yours; please report it:"
    )
    sections = [
        *_sections(chosen.reply),
        ("", f"{apology}\n\n    torch {torch.__version__}: {fault}"),
    ]
    return Note(f"! {prediction.name}: our fault", tuple(sections))


# Replies as plain words -------------------------------------------------------------------------

_LINK = re.compile(r"\[(?P<text>[^\]]+)\]\((?P<target>[^)\s]+)\)")
_STRONG = re.compile(r"(?<![\w*])(\*{1,2})(?=\S)(.+?)(?<=\S)\1(?![\w*])")
_FENCE = re.compile(r"^```\w*\n(?P<code>.*?)\n```$", re.MULTILINE | re.DOTALL)


def _sections(reply: str) -> tuple[Section, ...]:
    """Turn a reply's Markdown into the paragraphs that a `Note` shows as text and as HTML."""
    text = _FENCE.sub(lambda fence: _indented(fence["code"]), reply)
    text = _LINK.sub(lambda link: f"{link['text']} ({_address(link['target'])})", text)
    return (("", _STRONG.sub(r"\2", text)),)


def _indented(code: str) -> str:
    """Indent code as a `Note` wants it: one paragraph, however many blank lines it holds."""
    return "\n" + "\n".join(f"    {line}" for line in code.splitlines()) + "\n"


def _address(target: str) -> str:
    """The published address behind `lesson:autograd`, `foundation:1.3.4` or a plain link."""
    course = load_course()
    kind, _, name = target.partition(":")
    user, repository = course.repository.split("/")
    site = f"https://{user}.github.io/{repository}/"
    if kind == "lesson":
        return f"{site}{course.lesson(name.partition('#')[0]).name}.html"
    if kind == "foundation":
        return f"{site}foundations/{course.foundation(name).slug}.html"
    return target
