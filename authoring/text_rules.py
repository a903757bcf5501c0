"""The rules for a `lesson.md`, each a function that yields what breaks it.

To add a rule, write such a function and name it in `TEXT_RULES`.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Callable, Iterator

from authoring.figures import stale_bitmaps
from authoring.lesson_file import CodeCell, LessonFile, read_lesson
from authoring.links import Link, links
from authoring.markdown import without_code, without_fences
from firstlight.blocks import (
    Block,
    Fault,
    Prose,
    Question,
    parse_cards,
    parse_entries,
    split_blocks,
)
from firstlight.course import Lesson, load_course
from firstlight.predictions import PRELOADED

Rule = Callable[[LessonFile], Iterator[Fault]]

OBJECTIVES = "What you will be able to do"
BOXES = ("from-foundations", "note", "tip", "warning", "figure", "summary")
BLOCKS = (*BOXES, "predict", "exercise", "goes-wrong", "cards")
FIGURES = (".svg", ".png")  # what pages and notebooks can show
LONGEST_CELL = 16  # lines of code; a cell is one thought, at most about 12
BANNED = ("simply", "just", "obviously", "easy", "easily", "trivial", "trivially")

_BANNED = re.compile(rf"\b({'|'.join(BANNED)})\b", re.IGNORECASE)
_ROLE = re.compile(r"(?<!`)\{[\w:-]+\}`[^`\n]+`")
_LABEL = re.compile(r"^\([\w-]+\)=\s*$", re.MULTILINE)
_IMAGE = re.compile(r"!\[[^\]]*\]\(")
_FENCED_DIRECTIVE = re.compile(r"^\s*`{3,}\{(?P<name>[^}]+)\}", re.MULTILINE)
_WHEN_NAMES = frozenset(("result", "error", "message", "same", *PRELOADED, *dir(builtins)))


def is_project(lesson: Lesson) -> bool:
    """Whether a lesson has milestones where others have a bug clinic."""
    return lesson.slug.endswith("-project")


# Blocks -----------------------------------------------------------------------------------------


def blocks_are_well_formed(file: LessonFile) -> Iterator[Fault]:
    """Every block is closed, has a known name, and holds what its name promises."""
    yield from file.faults
    for block in file.all_blocks:
        yield from _block_faults(block)
    for _, faults in file.questions():
        yield from faults


def _block_faults(block: Block) -> Iterator[Fault]:
    if block.name not in BLOCKS:
        known = ", ".join(BLOCKS)
        yield Fault(block.line, f"No block is called `{block.name}`; there are {known}.")
    elif block.name in ("predict", "exercise") and not block.argument.isidentifier():
        sentence = f"The block `{block.name}` needs a name after it, such as `int_mean`."
        yield Fault(block.line, sentence)
    elif block.name == "goes-wrong":
        yield from parse_entries(block.body, block.body_line)[1]
    elif block.name == "cards":
        yield from parse_cards(block.body, block.body_line)[1]
    elif block.name in BOXES:
        inside, faults = split_blocks(block.body, block.body_line)
        yield from faults
        for part in inside:
            if isinstance(part, Block):
                yield from _block_faults(part)


def predictions_can_be_decided(file: LessonFile) -> Iterator[Fault]:
    """A prediction's code and conditions are Python, and the conditions use names that exist."""
    for question, _ in file.questions():
        try:
            bound = _bound_names(ast.parse(question.code))
        except SyntaxError as error:
            sentence = f"The code of the prediction `{question.name}` is no Python: {error}."
            yield Fault(question.line, sentence)
            continue
        yield from _condition_faults(question, bound)


def snippets_are_python(file: LessonFile) -> Iterator[Fault]:
    """What goes wrong goes wrong when it runs: a snippet is Python all the same."""
    for entries in file.entries():
        for entry in entries:
            try:
                ast.parse(entry.snippet)
            except SyntaxError as error:
                yield Fault(entry.line, f"The snippet is no Python: {error.msg}.")


def _condition_faults(question: Question, bound: set[str]) -> Iterator[Fault]:
    for option in question.options:
        of = f"Option {option.letter}) of the prediction `{question.name}`"
        try:
            condition = ast.parse(option.when or "None", mode="eval")
        except SyntaxError:
            yield Fault(option.line, f"{of} has a `when:` that is no Python: `{option.when}`.")
            continue
        known = bound | _bound_names(condition) | _WHEN_NAMES
        for name in sorted(_read_names(condition) - known):
            yield Fault(option.line, f"{of} uses `{name}`, which its code does not define.")


def _bound_names(tree: ast.AST) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.alias):
            names.add((node.asname or node.name).partition(".")[0])
    return names


def _read_names(tree: ast.AST) -> set[str]:
    nodes = (node for node in ast.walk(tree) if isinstance(node, ast.Name))
    return {node.id for node in nodes if isinstance(node.ctx, ast.Load)}


# The way through a lesson -----------------------------------------------------------------------


def parts_stand_in_order(file: LessonFile) -> Iterator[Fault]:
    """No part of a lesson's way is missing, and they come in the order every lesson has."""
    latest, latest_line = "", 0
    for part, line in _way(file):
        if not line:
            yield Fault(1, f"The lesson has no {part}; add it.")
        elif line < latest_line:
            yield Fault(line, f"The {part} stands before the {latest}; it comes after.")
        else:
            latest, latest_line = part, line


def _way(file: LessonFile) -> Iterator[tuple[str, int]]:
    """Yield the parts in their order, each with the line of its first appearance, or 0."""

    def first(name: str) -> int:
        return next((block.line for block in file.blocks(name)), 0)

    yield f"heading “{OBJECTIVES}”", _heading_line(file, OBJECTIVES)
    yield "from-foundations box", first("from-foundations")
    yield "section with a heading `## …` of its own", _first_section(file)
    yield "exercise", first("exercise")
    yield "goes-wrong block", first("goes-wrong")
    yield "summary", first("summary")
    yield "cards", first("cards")


def _heading_line(file: LessonFile, title: str) -> int:
    return next((h.line for h in file.headings if h.level == 2 and h.title == title), 0)


def _first_section(file: LessonFile) -> int:
    """The line of the first section after the objectives."""
    start = _heading_line(file, OBJECTIVES)
    return next((h.line for h in file.headings if h.level == 2 and h.line > start), 0)


def a_section_begins_with_a_prediction(file: LessonFile) -> Iterator[Fault]:
    """The way is predict, run, explain, do: a lesson asks before it shows; a project need not."""
    if not file.blocks("predict") and not is_project(file.lesson):
        yield Fault(1, "The lesson has no prediction; put one before a cell that answers it.")


def title_is_the_plans(file: LessonFile) -> Iterator[Fault]:
    """The lesson begins with the one title that the plan gives it."""
    titles = [heading for heading in file.headings if heading.level == 1]
    due = file.lesson.title
    if [heading.title for heading in titles] != [due]:
        line = titles[-1].line if titles else 1
        yield Fault(line, f"The lesson's one title must be `# {due}`, as in course.toml.")


def foundations_are_the_plans(file: LessonFile) -> Iterator[Fault]:
    """Each Foundations lesson that the plan names has its box, and no other has."""
    planned = file.lesson.foundations
    boxes = file.blocks("from-foundations")
    for block in boxes:
        if block.argument not in planned:
            sentence = (
                f"The box is about Foundations `{block.argument}`; course.toml says that this "
                f"lesson builds on {', '.join(planned)}."
            )
            yield Fault(block.line, sentence)
    for number in planned:
        if boxes and number not in [block.argument for block in boxes]:
            sentence = f"The lesson builds on Foundations {number}, says course.toml; add its box."
            yield Fault(boxes[0].line, sentence)


# Code -------------------------------------------------------------------------------------------


def cells_are_short(file: LessonFile) -> Iterator[Fault]:
    """A cell is one thought."""
    for cell in file.code_cells:
        length = sum(1 for line in cell.source.splitlines() if line.strip())
        if length > LONGEST_CELL:
            sentence = f"The cell has {length} lines of code; split it, 12 are a good length."
            yield Fault(cell.line, sentence)


def cells_are_python(file: LessonFile) -> Iterator[Fault]:
    """Every cell can be read as plain Python: no magics, which work in notebooks alone."""
    for cell in file.code_cells:
        try:
            ast.parse(cell.source)
        except SyntaxError as error:
            line = cell.line + (error.lineno or 1) - 1
            yield Fault(line, f"The cell is no plain Python: {error.msg}.")


def verbs_are_imported(file: LessonFile) -> Iterator[Fault]:
    """The `check` and `predict` that the notebook calls were imported by a cell above."""
    missing = {"exercise": ["check", "hint"], "predict": ["predict"]}
    for part in file.parts:
        if isinstance(part, CodeCell):
            found = _imported_names(part)
            missing = {
                name: [v for v in verbs if v not in found] for name, verbs in missing.items()
            }
        elif isinstance(part, Block):
            for verb in missing.pop(part.name, ()):
                sentence = f"The notebook calls `{verb}` here; a cell above must import it."
                yield Fault(part.line, sentence)


def _imported_names(cell: CodeCell) -> set[str]:
    try:
        tree = ast.parse(cell.source)
    except SyntaxError:
        return set()
    imports = (node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom | ast.Import))
    return {alias.asname or alias.name for node in imports for alias in node.names}


# Prose ------------------------------------------------------------------------------------------


def _found(
    pattern: re.Pattern[str], file: LessonFile, blank: Callable[[str], str] = without_code
) -> Iterator[tuple[re.Match[str], int]]:
    """Find a pattern in what a reader reads as text, each time with its line."""
    for part in file.parts:
        if isinstance(part, Prose | Block):
            text = blank(part.text)
            for match in pattern.finditer(text):
                yield match, part.line + text.count("\n", 0, match.start())


def no_word_belittles(file: LessonFile) -> Iterator[Fault]:
    """What is easy for the author may not be for the reader."""
    for match, line in _found(_BANNED, file):
        yield Fault(line, f"The word “{match[0]}” tells the reader nothing; leave it out.")


def banned_word(text: str) -> str:
    """Return the first word of a text that a lesson should not use, or an empty string."""
    found = _BANNED.search(without_code(text))
    return found[0] if found else ""


def no_myst_beyond_blocks(file: LessonFile) -> Iterator[Fault]:
    """Roles, labels and fenced directives would stand in a notebook as they are written."""
    for match, line in _found(_ROLE, file, without_fences):
        yield Fault(line, f"{match[0]} is a MyST role, which notebooks do not show; avoid it.")
    for _, line in _found(_LABEL, file):
        yield Fault(line, "Link to a section by its heading, `[text](#its-slug)`, not by a label.")
    for match, line in _found(_FENCED_DIRECTIVE, file, str):
        name = match["name"]
        yield Fault(line, f"Write the block `{name}` with colons, `:::{{{name}}}`.")


def headings_step_down_one_by_one(file: LessonFile) -> Iterator[Fault]:
    """A heading is at most one level below the one before, and its link is its own."""
    level = 0
    seen: set[str] = set()
    for heading in file.headings:
        if heading.level > level + 1:
            marks = "#" * (level + 1)
            sentence = f"The heading “{heading.title}” skips a level; write it with `{marks}`."
            yield Fault(heading.line, sentence)
        if heading.slug in seen:
            sentence = f"Two headings are called “{heading.title}”; links cannot tell them apart."
            yield Fault(heading.line, sentence)
        level = heading.level
        seen.add(heading.slug)


# Links and figures ------------------------------------------------------------------------------


def links_lead_somewhere(file: LessonFile) -> Iterator[Fault]:
    """Links name lessons and refreshers of the plan, and sections that exist."""
    for part in file.parts:
        if isinstance(part, Prose | Block):
            for link in links(part.text, part.line):
                if problem := _dead(link, file):
                    yield Fault(link.line, problem)


def _dead(link: Link, file: LessonFile) -> str:
    """Say what is wrong with a link, or nothing."""
    course = load_course()
    if link.kind == "foundation":
        if link.target not in [foundation.number for foundation in course.foundations]:
            return f"The plan has no Foundations lesson `{link.target}`."
        if not course.foundation(link.target).exists:
            return f"The refresher of Foundations {link.target} is not written yet."
        return ""
    if link.kind == "lesson" and link.target not in [lesson.slug for lesson in course.lessons]:
        return f"The plan has no lesson `{link.target}`."
    target = course.lesson(link.target) if link.kind else file.lesson
    if not link.section or not target.exists:
        return ""
    there = read_lesson(target) if link.kind else file
    if link.section not in [heading.slug for heading in there.headings]:
        return f"The lesson {target.slug} has no section `#{link.section}`."
    return ""


def figures_exist_and_are_described(file: LessonFile) -> Iterator[Fault]:
    """Every figure is a file with a text equivalent, and every file is a figure."""
    used = set()
    for block in file.blocks("figure"):
        path = file.lesson.folder / block.argument
        used.add(path)
        if not path.is_file():
            yield Fault(block.line, f"The figure {block.argument} does not exist.")
        if path.suffix not in FIGURES:
            yield Fault(
                block.line, f"The figure {block.argument} must end in {' or '.join(FIGURES)}."
            )
        if not block.option("alt"):
            sentence = f"The figure {block.argument} has no `:alt:` that says what it shows."
            yield Fault(block.line, sentence)
    for path in sorted((file.lesson.folder / "figures").glob("*")):
        drawn_from = path.with_suffix(".svg")
        if path not in used and not (path.suffix == ".png" and drawn_from in used):
            yield Fault(1, f"No figure block shows figures/{path.name}; use it or delete it.")
    for path in stale_bitmaps(file.lesson):
        yield Fault(1, f"The drawing figures/{path.name} has changed; `build` draws its PNG anew.")
    for _, line in _found(_IMAGE, file):
        yield Fault(line, "Show a picture with a `:::{figure}` block, which has a text equivalent.")


TEXT_RULES: tuple[Rule, ...] = (
    blocks_are_well_formed,
    predictions_can_be_decided,
    snippets_are_python,
    title_is_the_plans,
    parts_stand_in_order,
    foundations_are_the_plans,
    a_section_begins_with_a_prediction,
    cells_are_short,
    cells_are_python,
    verbs_are_imported,
    no_word_belittles,
    no_myst_beyond_blocks,
    headings_step_down_one_by_one,
    links_lead_somewhere,
    figures_exist_and_are_described,
)
