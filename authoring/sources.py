"""Know whether what a lesson executes has changed: a hash over its code, and none of its prose."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any

from authoring.lesson_file import CodeCell, LessonFile
from authoring.notebooks import INSTALL
from firstlight import course
from firstlight.blocks import Block, parse_entries, parse_question

# Raise it when the builder changes so that every solution must be executed again.
BUILDER = 1

_EXPLORER = re.compile(r"\bexplore\.([a-z_]\w*)\(")
# In Python `from firstlight.explore.frame import`, in an ES module `from "./grid.js"`.
_IMPORTED = re.compile(r"""firstlight\.explore\.(\w+)|["']\./(\w+)\.js["']""")


def source_hash(file: LessonFile) -> str:
    """Hash what is executed, in its order: cells, exercises, predictions, snippets, explorers.

    Prose, hints to the reader, replies and tags are left out, so that mending a sentence of the
    lesson executes nothing.
    """
    executed = [BUILDER, INSTALL, *_executed(file), _exercises(file), *_explorers(file)]
    return hashlib.sha256(json.dumps(executed).encode()).hexdigest()


def _executed(file: LessonFile) -> Iterator[Any]:
    for part in file.parts:
        if isinstance(part, CodeCell):
            yield "code", part.source
        elif isinstance(part, Block):
            yield part.name, *_in_block(part)


def _in_block(block: Block) -> Iterator[Any]:
    if block.name == "exercise":
        yield block.argument
    elif block.name == "predict":
        question, _ = parse_question(block.argument, block.body, block.body_line)
        yield question.name
        yield question.code
        yield [(option.letter, option.when) for option in question.options]
    elif block.name == "goes-wrong":
        entries, _ = parse_entries(block.body, block.body_line)
        yield [entry.snippet for entry in entries]


def _exercises(file: LessonFile) -> str:
    """The exercises, and whatever modules stand beside them, in the order of their names."""
    paths = sorted(file.lesson.folder.glob("*.py"))
    return "".join(path.read_text(encoding="utf-8") for path in paths)


def _explorers(file: LessonFile) -> Iterator[tuple[str, str]]:
    """Yield the sources of the explorers that the lesson's cells call, and of what those import."""
    waiting = {name for cell in file.code_cells for name in _EXPLORER.findall(cell.source)}
    folder = course.PACKAGE / "explore"
    seen: set[str] = set()
    while waiting:
        name = min(waiting)
        seen.add(name)
        for path in sorted(folder.glob(f"{name}.*")):
            text = path.read_text(encoding="utf-8")
            waiting |= {module or script for module, script in _IMPORTED.findall(text)}
            yield path.name, text
        waiting -= seen
