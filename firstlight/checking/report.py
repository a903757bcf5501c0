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
from firstlight.checking.facts import (
    PLAIN,
    change,
    describe,
    elements,
    error_line,
    facts,
    shape_words,
    subject,
)
from firstlight.checking.judge import Finding, judge, take_last_step
from firstlight.checking.observe import INPUTS_AFTER, Seen, see

Section = tuple[str, str]  # a heading and its text, in which `code` stands in backticks

WIDTH = 88
PRINTED = 10  # lines of the student's own output that are shown
MISTAKE = "The mistake"
CODE_STYLE = (
    "margin:.3em 0;padding:0;background:none;color:inherit;white-space:pre-wrap;line-height:1.45"
)
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


def _html_paragraphs(text: str) -> str:
    """Set paragraphs; indented ones are code, and an address makes the one before it a link."""
    parts: list[str] = []
    words = ""
    for paragraph in text.split("\n\n"):
        if paragraph.startswith("    "):
            code = html.escape(textwrap.dedent(paragraph))
            parts.append(f"<pre style='{CODE_STYLE}'>{code}</pre>")
        elif paragraph.startswith("http") and words:
            parts[-1] = f"<p style='margin:0 0 .3em'><a href='{paragraph}'>{words}</a></p>"
        else:
            words = _inline(paragraph)
            parts.append(f"<p style='margin:0 0 .3em'>{words}</p>")
    return "".join(parts)


def _html_section(heading: str, text: str) -> str:
    """Set a section: its heading on the left where there is room, above where there is none."""
    weight = ";font-weight:600" if heading == MISTAKE else ""
    body = f"<div style='flex:1 1 22em;min-width:0{weight}'>{_html_paragraphs(text)}</div>"
    title = f"<p style='flex:0 0 7em;margin:0;opacity:.8'>{_inline(heading)}</p>" if heading else ""
    return f"<div style='display:flex;flex-wrap:wrap;gap:0 1em;margin-top:.5em'>{title}{body}</div>"


def card(headline: str, sections: tuple[Section, ...], *, good: bool = False) -> str:
    """Set a headline and sections as HTML that needs no style sheet and suits light and dark."""
    edge = "solid #2f8f5b" if good else "double #c9781a"
    body = "".join(_html_section(*section) for section in sections)
    return (
        f"<div role='status' class='firstlight-card' style='border-left:.4em {edge};"
        f"padding:.1em 0 .1em 1em;margin:.5em 0;max-width:52em;line-height:1.5'>"
        f"<p style='margin:0;font-weight:600;font-size:1.05em'>{_inline(headline)}</p>{body}</div>"
    )


# The parts of a message -------------------------------------------------------------------------


def _names(finding: Finding) -> tuple[str, ...]:
    """Name the inputs as the driver does; where it takes all that come, as the docstring does."""
    exercise = finding.exercise
    handed = list(inspect.signature(exercise.driver).parameters.values())[1:]
    if exercise.kind == "class" or all(p.kind is not p.VAR_POSITIONAL for p in handed):
        return tuple(p.name for p in handed)
    return tuple(inspect.signature(exercise.reference).parameters)


def _row(name: str, seen: Seen) -> tuple[str, str, str] | None:
    """Set one value as name, elements, shape; None for what cannot be shown in a line."""
    if seen.kind in ("tensor", "array"):
        return name, elements(seen), shape_words(seen)
    if seen.kind in PLAIN:
        return name, describe(seen), ""
    return None


def _table(rows: list[tuple[str, str, str]]) -> str:
    """Align names, values and shapes; a value too wide for its column has its shape below."""
    first = max(len(name) for name, _, _ in rows)
    second = max((len(v) for _, v, _ in rows if len(v) <= 36), default=0)
    lines = []
    for name, value, shape in rows:
        if len(value) > 36:
            lines.append(f"    {name:<{first}}  {value}")
            name, value = "", ""
        value = f"{value:<{second}}  " if second and (value or shape) else value
        lines.append(f"    {name:<{first}}  {value}{shape}".rstrip())
    return "\n".join(lines)


def _given(finding: Finding) -> list[tuple[str, str, str]]:
    """Set the probe's inputs in rows, each by its name."""
    if finding.exercise.kind == "class":
        return []
    pairs = zip(_names(finding), finding.inputs, strict=False)
    rows = (_row(name, see(value)) for name, value in pairs)
    return [row for row in rows if row]


def _sentence(text: str) -> str:
    text = text.strip()
    text = text[0].upper() + text[1:] if text[0].islower() else text
    return text if text.endswith((".", "?", "!", "…")) else text + "."


def _is_claim(difference: Difference) -> bool:
    """Whether the observation's name is a sentence that holds or does not."""
    return difference.seen.kind == difference.due.kind == "bool" and (
        difference.observation != "result"
    )


def _is_wording(difference: Difference) -> bool:
    """Whether the observation was put into words by the check."""
    return difference.seen.kind == difference.due.kind == "text" and (
        difference.observation != "result"
    )


def _compared(difference: Difference, name: str) -> list[tuple[str, str, str]]:
    """Set what was seen above what was due; of an input that was changed, what it holds now."""
    seen, due = difference.seen, difference.due
    if seen.kind == due.kind == "bool" or _is_wording(difference):
        return []  # the sentence says it
    if difference.observation == INPUTS_AFTER:
        row = _row(f"{name} afterwards", seen)
        return [row] if row else []
    rows = (_row("yours", seen), _row("due", due))
    return [row for row in rows if row]


def _chosen(finding: Finding) -> Difference:
    """Pick the difference that shows the mistake best."""
    wanted = {mistake.shows for mistake in finding.mistakes} - {""} or {INPUTS_AFTER}
    for difference in finding.differing:
        if difference.observation in wanted:
            return difference
    present = (d for d in finding.differing if d.seen.type != "missing")
    return next(present, finding.differing[0])


def _error_evidence(finding: Finding, error: Seen) -> str:
    if error.own:
        told = f"Line {error.line} of your code raises an error:"
        code = f"    {error.keys[0]}\n\n" if error.keys and error.keys[0] else ""
    else:
        told = "Your code ran, but using what it gives, as the docstring says, raises an error:"
        code = ""
    given = _given(finding)
    table = f"{_table(given)}\n\n" if given else ""
    return f"{table}{told}\n\n{code}    {error_line(error)}"


def _fact(finding: Finding, shown: Difference) -> str:
    """Say in a sentence or two what is plainly different."""
    who = subject(shown, _names(finding))
    if _is_claim(shown):
        hold = "should hold and does not" if shown.due.value else "should not hold and does"
        return f"This {hold}: {who}."
    if shown.observation == INPUTS_AFTER:
        return f"Your code has changed {who}, which it was only to read: {change(shown)}."
    if _is_wording(shown):
        return f"Look at {who}. Yours: {shown.seen.value}. Due: {shown.due.value}."
    told = facts(shown)
    if who == "the result":
        return " ".join(_sentence(fact) for fact in told)
    return f"Look at {who}: " + "; ".join(told) + "."


def _own_numbers(finding: Finding) -> str:
    """Ask the misconception for a sentence of evidence in the probe's own numbers."""
    told = (m.evidence(*finding.inputs) for m in finding.mistakes if m.evidence)
    return " ".join(told)


def _evidence(finding: Finding) -> str:
    """Show the smallest probe, in the student's own numbers."""
    assert finding.seen is not None
    if finding.seen.error:
        return _error_evidence(finding, finding.seen.error)
    shown = _chosen(finding)
    rows = _given(finding) + _compared(shown, subject(shown, _names(finding)).strip("`"))
    table = f"{_table(rows)}\n\n" if rows else ""
    return f"{table}{_fact(finding, shown)} {_own_numbers(finding)}".rstrip()


def _listed(words: tuple[str, ...]) -> str:
    if len(words) == 1:
        return words[0]
    return ", ".join(words[:-1]) + " and " + words[-1]


def _mistake_sections(finding: Finding) -> list[Section]:
    found = finding.mistakes
    if len(found) == 1:
        return [(MISTAKE, found[0].title), ("Evidence", _evidence(finding)),
                ("Why it fails", found[0].why), ("Try next", found[0].next)]  # fmt: skip
    if finding.together:
        title = "Two mistakes at once: " + _listed(tuple(m.title for m in found))
    else:
        title = "Either of these: " + "; or: ".join(m.title for m in found)
    sections = [(MISTAKE, title), ("Evidence", _evidence(finding))]
    for mistake in found:
        sections.append((mistake.title, f"{mistake.why}\n\nTry next: {mistake.next}"))
    return sections


def _right(finding: Finding) -> str:
    """Tell what is right so far: first what comes back, then the claims that hold."""
    assert finding.due is not None
    known = finding.due.observations
    words = [w for w in finding.right if w not in known]  # such as "of the right shape"
    claims = [w for w in finding.right if w in known and known[w].kind == "bool"]
    claims = [w for w in claims if w != "result" and known[w].value]
    values = [w for w in finding.right if w in known and known[w].kind != "bool"]
    told = list(map(_sentence, words))
    if "result" in finding.right:
        told.append("The result is right.")
        values = [w for w in values if w != "result"]
    if values:
        told.append(_sentence(f"{_listed(tuple(values))}: as due"))
    if claims:
        told.append(_sentence("; ".join(claims)))
    return " ".join(told)


def _others(finding: Finding) -> list[Section]:
    """Tell what else differs: values by name, broken claims as what should hold.

    What could not be observed, such as the mean of a result that is no tensor, is left out.
    """
    if finding.seen is None or finding.seen.error:
        return []
    shown = _chosen(finding)
    others = [d for d in finding.differing if d is not shown and d.seen.type != "missing"]
    values = [d.observation for d in others if not _is_claim(d)]
    values = ["what comes back" if name == "result" else name for name in values]
    sections = [("Also different", _sentence(_listed(tuple(values))))] if values else []
    due = [d.observation for d in others if _is_claim(d) and d.due.value]
    undue = [d.observation for d in others if _is_claim(d) and not d.due.value]
    if due:
        sections.append(("Should hold, does not", _sentence("; ".join(due))))
    if undue:
        sections.append(("Holds, should not", _sentence("; ".join(undue))))
    return sections


def _in_numbers(finding: Finding) -> bool:
    """Whether every input is shown in numbers, so that the student can type it in."""
    given = [see(value) for value in finding.inputs]
    plain = all(s.kind in PLAIN or (s.kind in ("tensor", "array") and elements(s)) for s in given)
    return plain and finding.exercise.kind != "class"


def _plain_sections(finding: Finding) -> list[Section]:
    """The sections of an answer that is wrong in a way nobody has named yet."""
    sections: list[Section] = [("Evidence", _evidence(finding)), *_others(finding)]
    if finding.blank:
        sections.append(
            ("Try next", "The `...` of the starter still stands in your code: replace it.")
        )
    elif finding.outside:
        names = _listed(tuple(f"`{name}`" for name in finding.outside))
        sections.append(("Try next", f"Your code reads {names} from outside. A function reads only "
                         "its arguments: the check calls it with other inputs than yours."))  # fmt: skip
    else:
        run = (
            "Run your code on this input, line by line,"
            if _in_numbers(finding)
            else "Run your code, line by line, on a small input of your own,"
        )
        sections.append(("Try next", f"{run} and compare each step with the docstring. "
                         f"`hint({finding.exercise.name})` gives a nudge."))  # fmt: skip
    return sections


def _link(finding: Finding, mistakes: tuple[Misconception, ...]) -> list[Section]:
    links = [m.link for m in mistakes if m.link]
    if not links:
        return []
    lesson = finding.exercise.lesson
    user, repo = lesson.repository.split("/")
    address = f"https://{user}.github.io/{repo}/{lesson.name}.html#{links[0]}"
    return [
        ("Read again", f"{lesson.title}, section “{lesson.section_title(links[0])}”\n\n{address}")
    ]


def _failed(finding: Finding) -> list[Section]:
    if finding.reason:
        return [("", finding.reason)]
    sections: list[Section] = []
    if right := _right(finding) if finding.right else "":
        sections.append(("Right so far", right))
    if finding.mistakes:
        told = _mistake_sections(finding) + _link(finding, finding.mistakes)
    else:
        told = _plain_sections(finding)
    return sections + told + _printed(finding)


def _printed(finding: Finding) -> list[Section]:
    """Show what the student's own code printed on the probe that is shown."""
    lines = [line[:200] for line in finding.printed.splitlines() if line.strip()]
    if not lines:
        return []
    more = [f"… and {len(lines) - PRINTED} more lines"] if len(lines) > PRINTED else []
    text = "\n".join(f"    {line}" for line in [*lines[:PRINTED], *more])
    return [("Your code printed", text)]


TIMED_OUT = (
    "Your code ran for more than {limit:g} seconds on a small input and was stopped. Is there a loop "
    "that never ends, or a loop where one tensor operation would do?"
)
BROKEN = (
    "The check itself is broken, not your code. Nothing is counted against you. "
    "Please report this to the course:"
)
UNTOUCHED = "Replace the `...` with your code, run the cell, then run this one again."
UNTOUCHED_CLINIC = "The code is as you found it. Find the bug, mend it, then run this cell again."


def _sections(finding: Finding) -> list[Section]:
    exercise = finding.exercise
    if finding.outcome == outcomes.PASSED:
        told: list[Section] = [("Your result", finding.reason)] if finding.reason else []
        return [*told, ("One way", exercise.why)]
    if finding.outcome == outcomes.NOT_ATTEMPTED:
        text = UNTOUCHED_CLINIC if exercise.level == "clinic" else UNTOUCHED
        return [("", f"{text} Stuck? `hint({exercise.name})`.")]
    if finding.outcome == outcomes.TIMEOUT:
        return [("", finding.reason or TIMED_OUT.format(limit=exercise.limit))]
    if finding.outcome == outcomes.OUR_FAULT:
        return [("", BROKEN), ("", textwrap.indent(finding.reason, "    "))]
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


def check_fully(exercise: Exercise, answer: Any) -> Verdict:
    """Judge an answer and, in a milestone that it passes so far, run the last step as well."""
    found = check_object(exercise, answer)
    if found.outcome != outcomes.PASSED or exercise.last_step is None:
        return found
    show(Note(f"… {exercise.name}: right so far. Now the real data: {exercise.last_step.claim}."))
    return verdict(take_last_step(exercise, answer))


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
    display(bundle, raw=True, metadata={"firstlight": about})  # type: ignore[no-untyped-call]
