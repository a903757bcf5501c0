"""`authoring check`: each fault is found, said in a full sentence, and placed on its line."""

from __future__ import annotations

import re
import time

import pytest
from fixtures.small_course import SmallCourse

from authoring import __main__ as command
from authoring.check import Report, check_lessons
from firstlight.course import load_course

pytest_plugins = ["fixtures.plugin"]

EXISTING = [lesson for lesson in load_course().lessons if lesson.exists]
LAST_LINE = re.compile(r"\d+ lessons?, \d+ exercises?, \d+ misconceptions?, \d+ faults?")


def report(small_course: SmallCourse) -> Report:
    return check_lessons([small_course.lesson])


def test_a_good_lesson_has_no_faults(small_course: SmallCourse):
    found = report(small_course)
    assert str(found) == "1 lesson, 2 exercises, 2 misconceptions, 0 faults"


# Each row: a text of lesson.md, what it is changed to, the line of the fault given by a text that
# stands there afterwards ("" for line 1), and words of the sentence.
TEXT_FAULTS = {
    "unclosed block": (
        "Write it in one line.\n:::",
        "Write it in one line.",
        ":::{exercise} tiny_total",
        "is never closed",
    ),
    "stray closing": (
        "## Summary\n",
        "## Summary\n\n:::\n",
        ":::\n\n:::{summary}",
        "closes nothing",
    ),
    "unclosed code": (
        "It keeps them.\n::::",
        "It keeps them.\n::::\n\n```text\n",
        "```text\n",
        "never closed",
    ),
    "unknown block": (":::{note}", ":::{notes}", ":::{notes}", "No block is called `notes`"),
    "block without a name": (
        "{exercise} tiny_total",
        "{exercise}",
        ":::{exercise}\n",
        "needs a name after it",
    ),
    "fenced directive": (
        "## Summary\n",
        "```{note}\nx\n```\n\n## Summary\n",
        "```{note}",
        "colons",
    ),
    "role": ("whole numbers", "{math}`x` numbers", "A mean divides", "is a MyST role"),
    "label": ("## Summary\n", "(here)=\n## Summary\n", "(here)=", "by its heading"),
    "entry without cure": ("Cure. Use", "Use", "```python\ntorch.zeros(2, 3)", "no `Cure. …`"),
    "card without answer": ("A. It keeps them.", "", "Q. What does a sum", "no `A. …`"),
    "two options": (
        "c) The number 6, as `tensor(6.)`\n   when: same(result, torch.tensor(6.0))\n"
        "   reply: That is what `scores.float().mean()` gives.\n",
        "",
        "What does the last line",
        "has 2 options",
    ),
    "letter twice": ("b) A `Run", "a) A `Run", "a) A `Run", "an option `a)` where `b)` is due"),
    "no when": ("   when: error is RuntimeError\n", "", "b) A", "has no `when:`"),
    "no reply": (
        "   reply: That is what `scores.float().mean()` gives.\n",
        "",
        "c) The",
        "has no `reply:`",
    ),
    "when is no Python": ("error is RuntimeError", "error is", "b) A", "that is no Python"),
    "when of unknown names": ("error is Run", "eror is Run", "b) A", "uses `eror`, which"),
    "prediction of no Python": (
        "scores.mean()\n```\n\na)",
        "scores.mean(\n```\n\na)",
        "What does the last line",
        "is no Python",
    ),
    "wrong title": ("# Tensors\n", "# Tensor\n", "# Tensor", "must be `# Tensors`"),
    "no objectives": (
        "## What you will be able to do",
        "## Aims",
        "",
        "no heading “What you will be able to do”",
    ),
    "no summary": (":::{summary}", ":::{note}", "", "has no summary"),
    "no cards": ("::::{cards}", "::::{note}", "", "has no cards"),
    "no goes-wrong": ("::::{goes-wrong}", "::::{note}", "", "has no goes-wrong block"),
    "out of order": (
        "## Exercises\n",
        ":::{summary}\nToo early.\n:::\n\n## Exercises\n",
        ":::{summary}\nToo early.",
        "The summary stands before the goes-wrong block",
    ),
    "other foundations": (
        "foundations} 1.3.4",
        "foundations} 1.3.6",
        ":::{from-",
        "builds on 1.3.4",
    ),
    "long cell": (
        "scores.sum()\n```",
        "\n".join(f"x{n} = {n}" for n in range(17)) + "\n```",
        "x0 = 0",
        "17 lines of code",
    ),
    "magic": ("scores.sum()\n```", "scores.sum()\n%time 1\n```", "%time 1", "no plain Python"),
    "check not imported": (
        "import check, ",
        "import ",
        ":::{exercise} tiny_total",
        "calls `check`",
    ),
    "predict not imported": (", predict", "", ":::{predict}", "calls `predict`"),
    "hint not imported": ("hint, ", "", ":::{exercise} tiny_total", "calls `hint`"),
    "snippet of no Python": (
        ".mean()\n```\n\nCause",
        ".mean(\n```\n\nCause",
        "```python\ntorch.tensor([1, 2])",
        "snippet is no Python",
    ),
    "belittling word": ("A mean divides", "A mean simply divides", "A mean", "“simply”"),
    "belittling word in a reply": ("Right. Py", "Right. Just so. Py", "Right. Just", "“Just”"),
    "skipped level": ("## Summary", "### Deeper\n\n##### Down", "##### Down", "skips a level"),
    "two headings alike": ("## Summary", "## Exercises", "## Exercises\n\n:::{summary}", "Two"),
    "unknown lesson": (
        "(lesson:autograd)",
        "(lesson:autogrd)",
        "A mini-batch",
        "no lesson `autogrd`",
    ),
    "unknown foundation": ("(foundation:1.3.4)", "(foundation:9.9)", "A mini-batch", "`9.9`"),
    "unwritten refresher": (
        "(foundation:1.3.4)",
        "(foundation:1.3.7)",
        "A mini-batch",
        "not written yet",
    ),
    "unknown section": ("(#sums-and-means)", "(#sums)", "Three numbers", "no section `#sums`"),
    "unknown section elsewhere": (
        "(lesson:tensors)",
        "(lesson:tensors#sums)",
        "     Read [the section]",
        "The lesson tensors has no section `#sums`",
    ),
    "missing figure": ("figures/sum.svg", "figures/no.svg", ":::{figure}", "does not exist"),
    "figure of another kind": ("figures/sum.svg", "figures/sum.jpg", ":::{figure}", "must end in"),
    "figure without alt": (
        ":alt: Three boxes, and an arrow to one.\n",
        "",
        ":::{figure}",
        "`:alt:`",
    ),
    "picture in prose": ("A mean divides", "![x](figures/sum.svg)", "![x]", "`:::{figure}`"),
    "exercise not defined": (
        "} tiny_total",
        "} tiny_totel",
        ":::{exercise} tiny_totel",
        "not defined",
    ),
    "exercise placed twice": (
        "## Summary\n",
        ":::{exercise} tiny_clinic\n:::\n\n## Summary\n",
        ":::{exercise} tiny_clinic",
        "placed more than once",
    ),
}


@pytest.mark.parametrize(
    ("old", "new", "at", "words"), TEXT_FAULTS.values(), ids=TEXT_FAULTS.keys()
)
def test_a_fault_of_the_text_is_found(
    small_course: SmallCourse, old: str, new: str, at: str, words: str
):
    small_course.edit(small_course.text, old, new)
    text = small_course.text.read_text(encoding="utf-8")
    line = text.count("\n", 0, text.index(at)) + 1 if at else 1
    faults = report(small_course).faults
    expected = [f for f in faults if f.line == line and words in f.sentence]
    assert expected, "\n".join(map(str, faults))
    for fault in faults:
        assert fault.sentence[0].isupper() or fault.sentence[0] in "`{", fault.sentence
        assert fault.sentence.endswith("."), fault.sentence


EXERCISE_FAULTS = {
    "unclosed solution": ("    # end solution\n", "", "    # solution:", "never closed"),
    "no opening": ("    # solution:\n", "", "    # end solution", "`# end solution` without"),
    "syntax error": (
        "return every_score.sum()",
        "return = every_score.sum()",
        "    return = every",
        "SyntaxError",
    ),
    "unknown level": ('level="guided"', 'level="gentle"', "@exercise(", "gentle"),
    "import fails": ("import torch\n", "import torch\nimport no_such\n", "import no_such", "no_such"),
    "one hint": (', "It has a method for it."', ",", "@exercise(", "has 1 hints"),
    "no docstring": (
        '    """Add up all elements.\n\n    scores: any shape. Returns a 0-d tensor.\n    """\n',
        "",
        "@exercise(",
        "no docstring",
    ),
    "misconception without why": (
        'why="A mean divides by the number of elements. A sum does not."',
        'why=""',
        "@tiny_total.misconception",
        "`mean_instead` has no `why`",
    ),
    "misconception without next": (
        'next="Add, and do not divide."',
        'next=" "',
        "@tiny_total.misconception",
        "`mean_instead` has no `next`",
    ),
    "misconception with a dead link": (
        'link="sums-and-means"',
        'link="sums"',
        "@tiny_total.misconception",
        "links to `sums`",
    ),
    "clinic without a bug": (
        "    starter=True,\n",
        "",
        '@exercise(\n    level="clinic"',
        "`starter=True`",
    ),
    "belittling hint": ("A tensor can", "A tensor can simply", "@exercise(", "“simply”"),
    "solution given away": (
        "    # solution:\n    every_score = scores.flatten()\n    return",
        "    every_score = scores.flatten()\n    # solution:\n    every_score = scores.flatten()\n"
        "    return",
        "@exercise(",
        "given away",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "at", "words"), EXERCISE_FAULTS.values(), ids=EXERCISE_FAULTS.keys()
)
def test_a_fault_of_the_exercises_is_found(
    small_course: SmallCourse, old: str, new: str, at: str, words: str
):
    small_course.edit(small_course.exercises, old, new)
    text = small_course.exercises.read_text(encoding="utf-8")
    faults = [fault for fault in report(small_course).faults if fault.path.name == "exercises.py"]
    line = text.count("\n", 0, text.index(at)) + 1
    expected = [f for f in faults if f.line == line and words in f.sentence]
    assert expected, "\n".join(map(str, report(small_course).faults))


def test_an_exercise_without_misconceptions_is_a_fault(small_course: SmallCourse):
    text = small_course.exercises.read_text(encoding="utf-8")
    start = text.index("@tiny_total.misconception")
    small_course.edit(small_course.exercises, text[start : text.index("@exercise", start)], "")
    assert "`tiny_total` has no misconception" in str(report(small_course))


def test_an_exercise_that_is_placed_nowhere_is_a_fault(small_course: SmallCourse):
    small_course.edit(small_course.text, ":::{exercise} tiny_clinic\n:::\n", "")
    assert "add `:::{exercise} tiny_clinic`" in str(report(small_course))


def test_a_lesson_without_a_prediction_is_a_fault(small_course: SmallCourse):
    text = small_course.text.read_text(encoding="utf-8")
    start = text.index(":::{predict}")
    small_course.edit(small_course.text, text[start : text.index("```{code-cell}", start)], "")
    assert "The lesson has no prediction" in str(report(small_course))


def test_a_prediction_that_shares_its_name_is_a_fault(small_course: SmallCourse):
    text = small_course.text.read_text(encoding="utf-8")
    start = text.index(":::{predict}")
    block = text[start : text.index("```{code-cell}", start)]
    small_course.edit(small_course.text, "## Exercises\n", f"{block}\n## Exercises\n")
    assert "The name `small_int_mean` is taken at " in str(report(small_course))


def test_a_figure_that_no_block_shows_is_a_fault(small_course: SmallCourse):
    figure = small_course.lesson.folder / "figures" / "left-over.png"
    figure.write_bytes(b"")
    assert "No figure block shows figures/left-over.png" in str(report(small_course))


def test_a_drawing_newer_than_its_bitmap_is_a_fault(small_course: SmallCourse):
    small_course.edit(small_course.lesson.folder / "figures" / "sum.svg", "#333", "#444")
    assert "The drawing figures/sum.svg has changed" in str(report(small_course))


def test_a_folder_that_the_plan_does_not_know_is_a_fault(small_course: SmallCourse):
    (small_course.lesson.folder.parent / "knitting").mkdir()
    assert "No lesson in course.toml has this folder" in str(report(small_course))


def test_code_may_use_any_word(small_course: SmallCourse):
    small_course.edit(small_course.text, "scores.sum()\n", "just = simply = scores.sum()\n")
    small_course.edit(small_course.text, "A mean divides", "A `just` mean divides")
    assert report(small_course).faults == ()


# The command ------------------------------------------------------------------------------------


def test_the_command_ends_in_one_line_and_fails_with_faults(
    small_course: SmallCourse, capsys: pytest.CaptureFixture[str]
):
    assert command.main(["check", "tensors"]) == 0
    assert capsys.readouterr().out == "1 lesson, 2 exercises, 2 misconceptions, 0 faults\n"
    small_course.edit(small_course.text, "A mean divides", "A mean simply divides")
    assert command.main(["check"]) == 1
    first, last = capsys.readouterr().out.splitlines()
    assert re.match(r"firstlight/lessons/tensors/lesson\.md:\d+: The word “simply”", first)
    assert last == "1 lesson, 2 exercises, 2 misconceptions, 1 fault"


def test_an_unknown_lesson_is_answered_with_the_known_ones(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        command.main(["check", "tensor"])
    assert "it has tensors, autograd" in capsys.readouterr().err


def test_an_unwritten_lesson_is_answered_with_how_to_begin(small_course: SmallCourse):
    assert small_course.lesson.exists
    with pytest.raises(SystemExit, match="python -m authoring new autograd"):
        command.main(["check", "autograd"])


def test_the_course_has_no_faults():
    assert EXISTING
    began = time.perf_counter()
    found = check_lessons(EXISTING)
    assert found.faults == (), str(found)
    assert LAST_LINE.fullmatch(str(found))
    assert time.perf_counter() - began < 60  # it is quick; the benchmarks say how quick
