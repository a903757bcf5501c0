"""Read the blocks of a lesson: questions, error entries, review cards and boxes, from plain text.

One parser serves the notebooks, the pages, the author's `check` and the student's `predict`. It is
pure and needs nothing but Python. What is wrong with a text is returned as faults, never raised, so
that an author sees all of them at once::

    parts, faults = split_blocks(text)
    question, faults = parse_question("int_mean", block.body, block.body_line)

Every `line` counts from 1 in the file that the text was taken from.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MIN_OPTIONS = 3

_BLOCK = re.compile(r"(?P<colons>:{3,})\s*\{(?P<name>[^}]*)\}[ \t]*(?P<argument>.*?)\s*")
_CLOSING = re.compile(r"(?P<colons>:{3,})\s*")
_CODE_FENCE = re.compile(r"\s*(?P<ticks>`{3,}|~{3,})(?P<info>[^`]*)")
_BLOCK_OPTION = re.compile(r":(?P<key>[\w-]+):\s*(?P<value>.*?)\s*")
_LETTER = re.compile(r"(?P<letter>[a-z])\)\s+(?P<text>.*)")
_FIELD = re.compile(r"\s+(?P<field>when|reply):\s*(?P<text>.*)")
_PYTHON = re.compile(r"`{3,}(python|py)\s*")


@dataclass(frozen=True)
class Fault:
    """Something wrong in a text: where, and in a full sentence what and what to do."""

    line: int
    sentence: str


@dataclass(frozen=True)
class Prose:
    """Markdown between blocks."""

    text: str
    line: int


@dataclass(frozen=True)
class Block:
    """A colon fence: `:::{name} argument`, options, body and a closing `:::`."""

    name: str
    argument: str
    options: tuple[tuple[str, str], ...]
    body: str
    text: str
    line: int
    body_line: int

    def option(self, key: str) -> str:
        """Return the value of `:key: value`, or an empty string."""
        return dict(self.options).get(key, "")


@dataclass(frozen=True)
class Option:
    """One answer to a question: the condition that makes it right, and the reply to it."""

    letter: str
    text: str
    when: str
    reply: str
    line: int


@dataclass(frozen=True)
class Question:
    """A multiple-choice question about what a piece of code gives."""

    name: str
    question: str
    code: str
    options: tuple[Option, ...]
    line: int


@dataclass(frozen=True)
class Entry:
    """One row of *When it goes wrong*: code that fails, why, and what to do."""

    snippet: str
    cause: str
    cure: str
    line: int


@dataclass(frozen=True)
class Card:
    """A review card."""

    question: str
    answer: str
    line: int


# Prose and blocks -------------------------------------------------------------------------------


def split_blocks(text: str, line: int = 1) -> tuple[tuple[Prose | Block, ...], tuple[Fault, ...]]:
    """Split Markdown into prose and colon-fenced blocks, in order.

    A block ends, as in MyST, at the first line of at least as many colons as opened it; a block
    that holds another therefore opens with more. Fences inside code are left alone.
    """
    lines = text.splitlines()
    parts: list[Prose | Block] = []
    faults: list[Fault] = []
    prose_from = position = 0
    while position < len(lines):
        opening = _BLOCK.fullmatch(lines[position])
        if opening:
            _add_prose(parts, lines, prose_from, position, line)
            end = _block_end(lines, position, opening["colons"], line, faults)
            parts.append(_read_block(lines[position:end], opening, line + position))
            prose_from = position = end
        elif ticks := _opens_code(lines[position]):
            position = _code_end(lines, position, ticks, line, faults)
        else:
            if _CLOSING.fullmatch(lines[position]):
                faults.append(Fault(line + position, "This `:::` closes nothing; delete it."))
            position += 1
    _add_prose(parts, lines, prose_from, len(lines), line)
    return tuple(parts), tuple(faults)


def _add_prose(
    parts: list[Prose | Block], lines: Sequence[str], start: int, end: int, line: int
) -> None:
    while start < end and not lines[start].strip():
        start += 1
    text = "\n".join(lines[start:end]).rstrip()
    if text:
        parts.append(Prose(text, line + start))


def _block_end(
    lines: Sequence[str], start: int, colons: str, line: int, faults: list[Fault]
) -> int:
    """Return the position after the block's closing fence."""
    end = len(lines)
    for position in range(start + 1, len(lines)):
        closing = _CLOSING.fullmatch(lines[position])
        if closing and len(closing["colons"]) >= len(colons):
            return position + 1
        inner = _BLOCK.fullmatch(lines[position])
        if inner and len(inner["colons"]) >= len(colons):
            end = position  # or the next block's end would silently close this one
            break
    sentence = f"The block `{lines[start].strip()}` is never closed; end it with `{colons}`."
    faults.append(Fault(line + start, sentence))
    return end


def _opens_code(line: str) -> str:
    """Return the fence that opens code on this line, or an empty string."""
    opening = _CODE_FENCE.fullmatch(line)
    return opening["ticks"] if opening else ""


def _code_end(lines: Sequence[str], start: int, ticks: str, line: int, faults: list[Fault]) -> int:
    """Return the position after the fence that closes the code."""
    for position in range(start + 1, len(lines)):
        stripped = lines[position].strip()
        if len(stripped) >= len(ticks) and set(stripped) == {ticks[0]}:
            return position + 1
    faults.append(Fault(line + start, f"The code is never closed; end it with `{ticks}`."))
    return len(lines)


def _read_block(lines: Sequence[str], opening: re.Match[str], line: int) -> Block:
    closing = _CLOSING.fullmatch(lines[-1]) if len(lines) > 1 else None
    body = list(lines[1:-1] if closing else lines[1:])
    body_line = line + 1
    options = []
    while body and (option := _BLOCK_OPTION.fullmatch(body[0])):
        options.append((option["key"], option["value"]))
        del body[0]
        body_line += 1
    while body and not body[0].strip():
        del body[0]
        body_line += 1
    return Block(
        name=opening["name"].strip(),
        argument=opening["argument"],
        options=tuple(options),
        body="\n".join(body).rstrip(),
        text="\n".join(lines),
        line=line,
        body_line=body_line,
    )


# Questions --------------------------------------------------------------------------------------


def parse_question(name: str, body: str, line: int) -> tuple[Question, tuple[Fault, ...]]:
    """Read the body of a `predict` block, which begins on `line`.

    The order is: the question, its code in one ```` ```python ```` fence, then the options from
    `a)` on, each with a `when:` and a `reply:` on indented lines below it.
    """
    lines = body.splitlines()
    first = next((n for n, text in enumerate(lines) if _LETTER.fullmatch(text)), len(lines))
    question, code, faults = _question_and_code(name, lines[:first], line)
    options = tuple(_options(lines[first:], line + first))
    faults += _option_faults(name, options, line)
    return Question(name, question, code, options, line), tuple(faults)


def _question_and_code(name: str, lines: Sequence[str], line: int) -> tuple[str, str, list[Fault]]:
    """Split what stands before the first option into the question and its code."""
    faults: list[Fault] = []
    start = next((n for n, text in enumerate(lines) if _PYTHON.fullmatch(text)), None)
    if start is None:
        sentence = (
            f"The prediction `{name}` has no ```python code to run; add it below the question."
        )
        return "\n".join(lines).strip(), "", [Fault(line, sentence)]
    question = "\n".join(lines[:start]).strip()
    if not question:
        faults.append(Fault(line, f"The prediction `{name}` asks nothing; put a question first."))
    end = _code_end(lines, start, _opens_code(lines[start]), line, faults)
    stray = next((n for n, text in enumerate(lines) if n >= end and text.strip()), None)
    if stray is not None:
        sentence = f"The prediction `{name}` has text between code and options; put it above."
        faults.append(Fault(line + stray, sentence))
    return question, "\n".join(lines[start + 1 : end - 1]), faults


def _options(lines: Sequence[str], line: int) -> Iterator[Option]:
    """Yield the options; whatever follows an option's letter belongs to it."""
    starts = [n for n, text in enumerate(lines) if _LETTER.fullmatch(text)]
    for start, end in _spans(starts, len(lines)):
        opening = _LETTER.fullmatch(lines[start])
        assert opening
        fields = {"text": [opening["text"]], "when": [], "reply": []}
        current = "text"
        for text in lines[start + 1 : end]:
            field = _FIELD.fullmatch(text)
            # A reply may hold the word "when:"; a condition may not follow it.
            if field and not fields[field["field"]] and current != "reply":
                current = field["field"]
                fields[current].append(field["text"])
            else:
                fields[current].append(text)
        yield Option(
            letter=opening["letter"],
            text=_unindented(fields["text"]),
            when=" ".join(part.strip() for part in fields["when"]).strip(),
            reply=_unindented(fields["reply"]),
            line=line + start,
        )


def _spans(starts: Sequence[int], end: int) -> Iterator[tuple[int, int]]:
    """Yield where each piece begins and ends: at the next one's beginning, the last at the end."""
    for number, start in enumerate(starts):
        yield start, starts[number + 1] if number + 1 < len(starts) else end


def _unindented(lines: Sequence[str]) -> str:
    """Join a first line and the indented lines below it, without their common indentation."""
    rest = [text for text in lines[1:] if text.strip()]
    indent = min((len(text) - len(text.lstrip()) for text in rest), default=0)
    return "\n".join([*lines[:1], *(text[indent:] for text in lines[1:])]).strip()


def _option_faults(name: str, options: Sequence[Option], line: int) -> list[Fault]:
    faults = []
    if len(options) < MIN_OPTIONS:
        sentence = (
            f"The prediction `{name}` has {len(options)} options; give it at least {MIN_OPTIONS}."
        )
        faults.append(Fault(line, sentence))
    for position, option in enumerate(options):
        due = chr(ord("a") + position)
        if option.letter != due:
            sentence = (
                f"The prediction `{name}` has an option `{option.letter})` where `{due})` is due."
            )
            faults.append(Fault(option.line, sentence))
        for field in ("when", "reply"):
            if not getattr(option, field):
                sentence = f"Option {option.letter}) of the prediction `{name}` has no `{field}:`."
                faults.append(Fault(option.line, sentence))
    return faults


# Entries and cards ------------------------------------------------------------------------------


def parse_entries(body: str, line: int) -> tuple[tuple[Entry, ...], tuple[Fault, ...]]:
    """Read the body of a `goes-wrong` block: Python snippets, each with its cause and cure.

    A ```` ```python ```` fence opens an entry; `Cause. …` and `Cure. …` follow it. Code inside a
    cure is inline.
    """
    lines = body.splitlines()
    entries: list[Entry] = []
    faults: list[Fault] = []
    starts = _snippet_starts(lines)
    if not starts or any(text.strip() for text in lines[: starts[0]]):
        faults.append(Fault(line, "A goes-wrong block begins with a ```python snippet; add one."))
    for start, end in _spans(starts, len(lines)):
        code_end = _code_end(lines, start, _opens_code(lines[start]), line, faults)
        snippet = "\n".join(lines[start + 1 : code_end - 1])
        texts = _labelled(lines[code_end:end], ("Cause", "Cure"))
        for label in ("Cause", "Cure"):
            if not texts[label]:
                sentence = f"This goes-wrong entry has no `{label}. …` paragraph."
                faults.append(Fault(line + start, sentence))
        entries.append(Entry(snippet, texts["Cause"], texts["Cure"], line + start))
    return tuple(entries), tuple(faults)


def _snippet_starts(lines: Sequence[str]) -> list[int]:
    return [n for n, text in enumerate(lines) if _PYTHON.fullmatch(text)]


def _labelled(lines: Sequence[str], labels: Sequence[str]) -> dict[str, str]:
    """Gather the paragraphs that begin with `Label. `, each up to the next label."""
    texts: dict[str, list[str]] = {label: [] for label in labels}
    current = ""
    for text in lines:
        for label in labels:
            if text.startswith(f"{label}. "):
                current, text = label, text[len(label) + 2 :]
        if current:
            texts[current].append(text)
    return {label: "\n".join(found).strip() for label, found in texts.items()}


def parse_cards(body: str, line: int) -> tuple[tuple[Card, ...], tuple[Fault, ...]]:
    """Read the body of a `cards` block: `Q. …` and `A. …` paragraphs in turn."""
    lines = body.splitlines()
    starts = [n for n, text in enumerate(lines) if text.startswith("Q. ")]
    cards = []
    faults = []
    if not starts or any(text.strip() for text in lines[: starts[0]]):
        faults.append(Fault(line, "A cards block begins with a `Q. …` paragraph; add one."))
    for start, end in _spans(starts, len(lines)):
        texts = _labelled(lines[start:end], ("Q", "A"))
        if not texts["A"]:
            faults.append(Fault(line + start, "This card has no `A. …` paragraph."))
        cards.append(Card(texts["Q"], texts["A"], line + start))
    return tuple(cards), tuple(faults)
