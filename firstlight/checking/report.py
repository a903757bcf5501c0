"""Turn a finding into the words a student reads: plain text, and HTML that says the same."""

from __future__ import annotations

import html
import inspect
import re
import textwrap
from dataclasses import dataclass
from typing import Any

from firstlight.checking import judge as outcomes
from firstlight.checking.compare import Difference
from firstlight.checking.exercise import Exercise, Misconception
from firstlight.checking.facts import describe, facts, subject
from firstlight.checking.judge import Finding, judge
from firstlight.checking.observe import INPUTS_AFTER, Seen, see

Section = tuple[str, str]  # a heading and its text, in which `code` stands in backticks

WIDTH = 88
MARKS = {
    outcomes.PASSED: ("✓", "passed"),
    outcomes.KNOWN_MISTAKE: ("✗", "a known mistake"),
    outcomes.WRONG: ("✗", "not right yet"),
    outcomes.ERROR: ("✗", "stopped with an error"),
    outcomes.NOT_ATTEMPTED: ("○", "not attempted yet"),
    outcomes.TIMEOUT: ("✗", "took too long"),
    outcomes.OUR_FAULT: ("!", "our fault"),
}


@dataclass(frozen=True)
class Verdict:
    """The answer of a check, ready to be shown.

    `outcome` is one of passed, known-mistake, wrong, error, not-attempted, timeout and our-fault;
    `misconceptions` holds ids; `sections` the parts of the message.
    """

    exercise: str
    outcome: str
    misconceptions: tuple[str, ...]
    sections: tuple[Section, ...]
    seconds: float = 0.0

    @property
    def headline(self) -> str:
        """One line: a sign, the exercise, the outcome in words."""
        sign, words = MARKS[self.outcome]
        return f"{sign} {self.exercise}: {words}"

    @property
    def message(self) -> str:
        """The whole answer as plain text."""
        return "\n\n".join([self.headline, *(_text_section(*s) for s in self.sections)])

    text = message

    def __str__(self) -> str:
        return self.message

    def _repr_html_(self) -> str:
        return card(self.headline, self.sections, good=self.outcome == outcomes.PASSED)


# Plain text and HTML ----------------------------------------------------------------------------


def _text_section(heading: str, text: str) -> str:
    """Set a section in plain text: paragraphs are filled, indented lines are kept."""
    parts = []
    for paragraph in text.split("\n\n"):
        if paragraph.startswith(("    ", "http")):
            parts.append(paragraph)
        else:
            parts.append(textwrap.fill(paragraph, WIDTH, break_long_words=False))
    body = textwrap.indent("\n\n".join(parts), "  ")
    return f"{heading}\n{body}" if heading else body


def _inline(text: str) -> str:
    """Escape text for HTML and set what stands in backticks as code."""
    escaped = html.escape(text, quote=False)
    escaped = re.sub(r"`([^`]+)`", r"<code>\1</code>", escaped)
    return re.sub(r"(https?://[^\s<]+)", r'<a href="\1">\1</a>', escaped)


def _html_section(heading: str, text: str) -> str:
    parts = [
        f"<pre style='margin:.3em 0;white-space:pre-wrap'>{html.escape(textwrap.dedent(paragraph))}</pre>"
        if paragraph.startswith("    ")
        else f"<p style='margin:.3em 0'>{_inline(paragraph)}</p>"
        for paragraph in text.split("\n\n")
    ]
    title = f"<p style='margin:.8em 0 0;font-weight:600'>{_inline(heading)}</p>" if heading else ""
    return title + "".join(parts)


def card(headline: str, sections: tuple[Section, ...], *, good: bool = False) -> str:
    """Set a headline and sections as HTML that needs no style sheet and suits light and dark."""
    edge = "solid" if good else "double"
    body = "".join(_html_section(*section) for section in sections)
    return (
        f"<div role='status' class='firstlight-card' style='border-left:.35em {edge} currentColor;"
        f"padding:.2em 0 .2em 1em;margin:.5em 0;max-width:44em;line-height:1.5'>"
        f"<p style='margin:0;font-weight:600'>{_inline(headline)}</p>{body}</div>"
    )


# The parts of a message -------------------------------------------------------------------------


def _names(finding: Finding) -> tuple[str, ...]:
    return tuple(inspect.signature(finding.exercise.reference).parameters)


def _given(finding: Finding) -> str:
    """Describe the probe's inputs by the names of the order's parameters."""
    if finding.exercise.kind == "class":
        return ""
    described = []
    for name, value in zip(_names(finding), finding.inputs, strict=False):
        seen = see(value)
        if seen.kind == "other":
            continue
        described.append(f"`{name}` is {describe(seen)}")
    return "; ".join(described)


def _sentence(text: str) -> str:
    text = text.strip()
    text = text[0].upper() + text[1:] if text[0].islower() else text
    return text if text.endswith((".", "?", "!", "…")) else text + "."


def _compared(finding: Finding, difference: Difference) -> str:
    """Set what was seen beside what was due, if a field of values differs."""
    seen, due = difference.seen, difference.due
    if difference.field not in ("value", "shape") or due.kind not in ("tensor", "array", "number"):
        return ""
    if due.kind == "number":
        return ""  # the facts have said both
    yours, ours = describe(seen), describe(due)
    return f"    yours  {yours}\n    due    {ours}" if yours != ours else ""


def _chosen(finding: Finding) -> Difference:
    """Pick the difference that shows the mistake best."""
    wanted = {mistake.shows for mistake in finding.mistakes} - {""}
    for difference in finding.differing:
        if difference.observation in wanted:
            return difference
    return finding.differing[0]


def _error_evidence(finding: Finding, error: Seen) -> str:
    given = _given(finding)
    lead = f"When {given}, " if given else ""
    if error.own:
        where = f"line {error.line} of your code raises"
        code = f"\n\n    {error.keys[0]}" if error.keys and error.keys[0] else ""
    else:
        where = "what your code gives cannot be used as the order says; using it raises"
        code = ""
    return _sentence(f"{lead}{where} this:") [:-1] + f"{code}\n\n    {error.type}: {error.value}"


def _evidence(finding: Finding) -> str:
    """Show the smallest probe, in the student's own numbers."""
    assert finding.seen is not None
    if finding.seen.error:
        return _error_evidence(finding, finding.seen.error)
    shown = _chosen(finding)
    given = _given(finding)
    lines = [_sentence(f"when {given}") ] if given else []
    told = facts(shown)
    who = subject(shown, _names(finding))
    if shown.observation == INPUTS_AFTER:
        lines.append(_sentence(f"{who} has changed: {told[0]}"))
    else:
        lines.append(_sentence(f"look at {who}: " + "; ".join(told)))
    text = " ".join(lines)
    beside = _compared(finding, shown)
    return f"{text}\n\n{beside}" if beside else text


def _listed(words: tuple[str, ...]) -> str:
    if len(words) == 1:
        return words[0]
    return ", ".join(words[:-1]) + " and " + words[-1]


def _mistake_sections(finding: Finding) -> list[Section]:
    found = finding.mistakes
    if len(found) == 1:
        return [("The mistake", found[0].title), ("Evidence", _evidence(finding)),
                ("Why it fails", found[0].why), ("Try next", found[0].next)]  # fmt: skip
    if finding.together:
        title = "Two mistakes at once: " + _listed(tuple(m.title for m in found))
    else:
        title = "Either " + " or ".join(m.title for m in found)
    sections = [("The mistake", title), ("Evidence", _evidence(finding))]
    for mistake in found:
        sections.append((mistake.title, f"{mistake.why}\n\nTry next: {mistake.next}"))
    return sections


def _plain_sections(finding: Finding) -> list[Section]:
    """The sections of an answer that is wrong in a way nobody has named yet."""
    sections: list[Section] = [("Evidence", _evidence(finding))]
    others = [d.observation for d in finding.differing if d is not finding.differing[0]]
    others = [name for name in others if name not in (INPUTS_AFTER, "result")]
    if others and finding.seen and not finding.seen.error:
        sections.append(("Also different", _sentence(_listed(tuple(others)))))
    if finding.blank:
        sections.append(("Try next", "The `...` of the starter still stands in your code: replace it."))
    elif finding.outside:
        names = _listed(tuple(f"`{name}`" for name in finding.outside))
        sections.append(("Try next", f"Your code reads {names} from outside. A function reads only "
                         "its arguments: the check calls it with other inputs than yours."))  # fmt: skip
    else:
        name = finding.exercise.name
        sections.append(("Try next", f"Run your code on an input as small as this one and compare "
                         f"each step with the order. `hint({name})` gives a nudge."))  # fmt: skip
    return sections


def _link(finding: Finding, mistakes: tuple[Misconception, ...]) -> list[Section]:
    links = [m.link for m in mistakes if m.link]
    if not links:
        return []
    lesson = finding.exercise.lesson
    user, repo = lesson.repository.split("/")
    address = f"https://{user}.github.io/{repo}/{lesson.name}.html#{links[0]}"
    return [("Read again", f"{lesson.title}, section “{links[0].replace('-', ' ')}”\n\n{address}")]


def _failed(finding: Finding) -> list[Section]:
    if finding.reason:
        return [("", finding.reason)]
    sections: list[Section] = []
    if finding.right:
        sections.append(("Right so far", _sentence(_listed(finding.right))))
    if finding.mistakes:
        return sections + _mistake_sections(finding) + _link(finding, finding.mistakes)
    return sections + _plain_sections(finding)


def _sections(finding: Finding) -> list[Section]:
    exercise = finding.exercise
    if finding.outcome == outcomes.PASSED:
        return [("", exercise.why)]
    if finding.outcome == outcomes.NOT_ATTEMPTED:
        if exercise.level == "clinic":
            text = f"The code is as you found it. Find the bug, mend it, then run `check({exercise.name})`."
        else:
            text = f"Replace the `...` with your code, run the cell, then run this one again. Stuck? `hint({exercise.name})`."
        return [("", text)]
    if finding.outcome == outcomes.TIMEOUT:
        return [("", f"Your code ran for more than {exercise.limit:g} seconds on a small input and was stopped. "
                 "Is there a loop that never ends, or a loop where one tensor operation would do?")]  # fmt: skip
    if finding.outcome == outcomes.OUR_FAULT:
        return [("", "The check itself is broken, not your code. Nothing is counted against you. "
                 "Please report this to the course:"), ("", textwrap.indent(finding.reason, "    "))]  # fmt: skip
    return _failed(finding)


def verdict(finding: Finding) -> Verdict:
    """Put a finding into words."""
    return Verdict(
        exercise=finding.exercise.name,
        outcome=finding.outcome,
        misconceptions=tuple(mistake.id for mistake in finding.mistakes),
        sections=tuple(_sections(finding)),
        seconds=finding.seconds,
    )


def check_object(exercise: Exercise, answer: Any, seed: int = 0) -> Verdict:
    """Judge an answer and put the finding into words; records nothing and shows nothing."""
    return verdict(judge(exercise, answer, seed))


@dataclass(frozen=True)
class Note:
    """A headline and sections that are no verdict: a hint, a solution, a friendly answer."""

    headline: str
    sections: tuple[Section, ...] = ()

    def __str__(self) -> str:
        return "\n\n".join([self.headline, *(_text_section(*s) for s in self.sections)])

    def _repr_html_(self) -> str:
        return card(self.headline, self.sections, good=True)


def show(thing: Verdict | Note, **about: Any) -> None:
    """Show in a notebook as HTML with a text equivalent, elsewhere as text.

    `about` goes into the output's metadata, where the builder of the solutions reads it.
    """
    try:
        from IPython import get_ipython
        from IPython.display import display
    except ImportError:
        get_ipython = None
    shell = get_ipython() if get_ipython else None
    if shell is None or not hasattr(shell, "kernel"):
        print(thing)
        return
    bundle = {"text/plain": str(thing), "text/html": thing._repr_html_()}
    display(bundle, raw=True, metadata={"firstlight": about})
