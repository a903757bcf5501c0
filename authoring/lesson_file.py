"""Read a `lesson.md`: its prose, blocks and code cells in order, each with its line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jupytext.myst import MystMetadataParsingError, myst_to_notebook
from nbformat import NotebookNode, ValidationError

from authoring.markdown import Heading, headings
from firstlight.blocks import (
    Block,
    Card,
    Entry,
    Fault,
    Prose,
    Question,
    parse_cards,
    parse_entries,
    parse_question,
    split_blocks,
)
from firstlight.course import Lesson


@dataclass(frozen=True)
class CodeCell:
    """A cell that runs; `line` is where its first line of code stands."""

    source: str
    tags: tuple[str, ...]
    line: int


Part = Prose | Block | CodeCell


@dataclass(frozen=True)
class LessonFile:
    """A lesson's text, taken apart."""

    lesson: Lesson
    path: Path
    text: str
    parts: tuple[Part, ...]
    faults: tuple[Fault, ...]

    def blocks(self, name: str) -> tuple[Block, ...]:
        """List the blocks of one name, in order."""
        return tuple(part for part in self.all_blocks if part.name == name)

    @property
    def all_blocks(self) -> tuple[Block, ...]:
        """Every block at the top level."""
        return tuple(part for part in self.parts if isinstance(part, Block))

    @property
    def code_cells(self) -> tuple[CodeCell, ...]:
        """The cells an author wrote."""
        return tuple(part for part in self.parts if isinstance(part, CodeCell))

    @property
    def headings(self) -> tuple[Heading, ...]:
        """Every heading of the prose."""
        prose = (part for part in self.parts if isinstance(part, Prose))
        return tuple(heading for part in prose for heading in headings(part.text, part.line))

    def questions(self) -> Iterator[tuple[Question, tuple[Fault, ...]]]:
        """Yield every prediction with what is wrong with it."""
        for block in self.blocks("predict"):
            yield parse_question(block.argument, block.body, block.body_line)

    def entries(self) -> Iterator[tuple[Entry, ...]]:
        """Yield the entries of every goes-wrong block."""
        for block in self.blocks("goes-wrong"):
            yield parse_entries(block.body, block.body_line)[0]

    def cards(self) -> tuple[Card, ...]:
        """List the review cards."""
        blocks = self.blocks("cards")
        return tuple(card for b in blocks for card in parse_cards(b.body, b.body_line)[0])


def read_lesson(lesson: Lesson) -> LessonFile:
    """Read the lesson's `lesson.md`."""
    path = lesson.folder / "lesson.md"
    return parse_lesson(lesson, path, path.read_text(encoding="utf-8"))


def parse_lesson(lesson: Lesson, path: Path, text: str) -> LessonFile:
    """Take a lesson's text apart; what cannot be read is among the faults."""
    parts: list[Part] = []
    faults: list[Fault] = []
    try:
        notebook = myst_to_notebook(text, add_source_map=True)
    except (MystMetadataParsingError, ValidationError) as error:
        return LessonFile(lesson, path, text, (), (_unreadable(error),))
    lines = text.splitlines()
    for cell, start in zip(notebook.cells, notebook.metadata["source_map"], strict=True):
        if cell.cell_type == "code":
            code = _code_cell(cell, lines, start)
            parts.append(code)
            faults += _cell_faults(code)
        else:
            found, wrong = split_blocks(cell.source, _first_written(lines, start) + 1)
            parts += found
            faults += wrong
    return LessonFile(lesson, path, text, tuple(parts), tuple(faults))


def _unreadable(error: Exception) -> Fault:
    """Say where jupytext gave up."""
    where = re.search(r"at line (\d+)", str(error))
    return Fault(
        int(where[1]) if where else 1, f"jupytext cannot read the file: {str(error).strip()}"
    )


def _first_written(lines: list[str], start: int) -> int:
    """Return the index of the first line from `start` on that is not empty."""
    while start < len(lines) and not lines[start]:
        start += 1
    return start


def _code_cell(cell: NotebookNode, lines: list[str], start: int) -> CodeCell:
    """Make a code cell; its options stand between the fence and the code."""
    length = len(cell.source.splitlines())
    position = start
    while lines[position : position + length] != cell.source.splitlines():
        position += 1
    return CodeCell(cell.source, tuple(cell.metadata.get("tags", ())), position + 1)


def _cell_faults(cell: CodeCell) -> list[Fault]:
    """A cell that swallowed a fence was never closed."""
    for number, text in enumerate(cell.source.splitlines()):
        if text.startswith("```"):
            sentence = f"The code cell above was never closed: this line, `{text}`, is inside it."
            return [Fault(cell.line + number, sentence)]
    return []
