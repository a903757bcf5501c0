"""Building a lesson: executed once, again only when code has changed, and stopped by what fails."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from fixtures.small_course import SmallCourse
from nbformat import NotebookNode
from rich.console import Console

from authoring import build, execution, places
from authoring.build import BuildFault, build_lesson, build_lessons, is_stale, message
from authoring.execution import FailedCell, execute, verify
from authoring.figures import FigureFault, refresh_bitmaps, stale_bitmaps
from authoring.lesson_file import read_lesson
from authoring.notebook_file import code_cell, new_notebook, read_notebook
from authoring.pages import StaleSolution, write_pages
from authoring.sources import source_hash
from firstlight import progress
from firstlight.predictions import run_code

pytest_plugins = ["fixtures.plugin"]


def both(small_course: SmallCourse) -> list[bytes]:
    paths = (
        places.student_notebook(small_course.lesson),
        places.solution_notebook(small_course.lesson),
    )
    return [path.read_bytes() for path in paths]


def solution(small_course: SmallCourse) -> NotebookNode:
    return read_notebook(places.solution_notebook(small_course.lesson))


def no_kernel(*_: object) -> execution.Run:
    raise AssertionError("a kernel was started")


# A whole build ----------------------------------------------------------------------------------


def test_a_lesson_is_executed_once_and_then_only_when_code_has_changed(
    small_course: SmallCourse, monkeypatch: pytest.MonkeyPatch
):
    lesson = small_course.lesson
    assert is_stale(lesson)
    steps: list[tuple[int, int]] = []
    told = build_lesson(lesson, advance=lambda done, total: steps.append((done, total)))
    assert told.startswith("executed in ")
    assert " MB at most" in told
    assert steps[-1] == (9, 9)
    assert not is_stale(lesson)

    cells = solution(small_course).cells
    assert all("execution" not in cell.metadata for cell in cells)
    shown = [str(cell.get("outputs")) for cell in cells]
    assert any("tensor(18)" in text for text in shown)
    assert any("RuntimeError: mean()" in text for text in shown)
    assert progress.exercise_states() == {}  # the author's own progress file was left alone
    kept = solution(small_course).metadata["firstlight"]
    assert kept["right"] == {"small_int_mean": "b"}
    assert all(text.startswith("RuntimeError: ") for text in kept["messages"].values())

    monkeypatch.setattr(build, "execute", no_kernel)
    before = both(small_course)
    assert build_lesson(lesson) == "up to date"
    small_course.edit(small_course.text, "have no halves", "have no halves at all")
    small_course.edit(small_course.text, "reply: Right.", "reply: Quite right.")
    assert is_stale(lesson)
    assert build_lesson(lesson) == "prose renewed, nothing to execute"
    assert not is_stale(lesson)
    after = both(small_course)
    assert b"at all" in after[0]
    assert [cell.get("outputs") for cell in solution(small_course).cells] == [
        cell.get("outputs") for cell in cells
    ]
    assert before[1] != after[1]

    small_course.edit(small_course.text, "scores.sum()", "scores.sum() + 1")
    assert is_stale(lesson)
    with pytest.raises(StaleSolution, match="made from other code cells"):
        write_pages()
    with pytest.raises(AssertionError, match="a kernel was started"):
        build_lesson(lesson)


def test_a_failing_cell_is_shown_with_file_and_line(small_course: SmallCourse):
    cell = "scores.sum()\n```\n\n:::{figure}"
    bad = "scores.sum()\n\nscores.no_such_thing()\n```"
    assert cell not in small_course.text.read_text(encoding="utf-8")
    small_course.edit(small_course.text, "scores.sum()\n```", bad)
    lines = small_course.text.read_text(encoding="utf-8").splitlines()
    line = lines.index("scores.no_such_thing()") + 1
    with pytest.raises(BuildFault) as raised:
        build_lesson(small_course.lesson)
    first, *_, last = str(raised.value).splitlines()
    assert first.endswith(f"lesson.md:{line}: This cell raised an error:")
    assert last.startswith("AttributeError: ")
    assert not places.solution_notebook(small_course.lesson).exists()


def test_a_failing_check_in_the_solution_fails_the_build(small_course: SmallCourse):
    text = small_course.exercises.read_text(encoding="utf-8")
    assert "every_score.sum()" in text
    stub = "\n```{code-cell} python\ndef check(answer):\n    print('no verdict')\n```\n"
    small_course.edit(small_course.text, "## Exercises\n", f"## Exercises\n{stub}")
    with pytest.raises(BuildFault, match=r"`check\(tiny_total\)` is not passed") as raised:
        build_lesson(small_course.lesson)
    assert "no verdict" in str(raised.value)


# Executing --------------------------------------------------------------------------------------


def test_outputs_are_stable_and_the_folder_is_neutral(small_course: SmallCourse):
    bar = (
        "import sys\n"
        "for n in range(3):\n"
        "    print(f'\\r{n} of 2', end='', file=sys.stderr, flush=True)\n"
    )
    where = "from pathlib import Path\nprint(list(Path.cwd().iterdir()))"
    which = "import firstlight, sys\nprint(firstlight.__file__, sys.executable)"
    notebook = new_notebook([code_cell(bar), code_cell(where), code_cell(which)], {})
    run = execute(notebook)
    first, second, third = (cell.outputs for cell in notebook.cells)
    assert [output["text"] for output in first] == ["2 of 2"]
    assert second[0]["text"] == "[]\n"
    assert str(small_course.root) in third[0]["text"]
    assert all("execution" not in cell.metadata for cell in notebook.cells)
    assert run.peak_bytes > 50e6
    assert run.seconds > 0
    assert run.torch[0].isdigit()


def shown(**told: object) -> NotebookNode:
    """A notebook with one check, whose output tells of itself what is given."""
    cell = code_cell("check(tiny_total)")
    cell.metadata["firstlight"] = {"role": "check", "exercise": "tiny_total"}
    data = {"text/plain": "tiny_total: wrong"}
    output = {"output_type": "display_data", "data": data, "metadata": {"firstlight": told}}
    cell["outputs"] = [NotebookNode(output)]
    return new_notebook([cell], {})


def test_only_a_passed_check_is_let_through():
    verify(shown(outcome="passed"))
    for told in ({"outcome": "wrong"}, {}):
        with pytest.raises(FailedCell, match="tiny_total: wrong"):
            verify(shown(**told))


# What can be decided without a kernel -----------------------------------------------------------


def fault(small_course: SmallCourse) -> str:
    with pytest.raises(BuildFault) as raised:
        build_lesson(small_course.lesson)
    return str(raised.value)


def line_of(small_course: SmallCourse, text: str) -> int:
    return small_course.text.read_text(encoding="utf-8").splitlines().index(text) + 1


def test_a_prediction_without_one_right_option_stops_the_build(small_course: SmallCourse):
    small_course.edit(small_course.text, "error is RuntimeError", "error is TypeError")
    line = line_of(small_course, ":::{predict} small_int_mean")
    assert f"lesson.md:{line}: The prediction `small_int_mean` cannot be" in fault(small_course)


def test_a_snippet_that_goes_well_stops_the_build(small_course: SmallCourse):
    small_course.edit(small_course.text, "torch.tensor([1, 2]).mean()", "x = 1")
    assert "neither raises, nor warns, nor prints" in fault(small_course)


def test_an_unclosed_block_stops_the_build(small_course: SmallCourse):
    small_course.edit(small_course.text, "Write it in one line.\n:::", "Write it in one line.")
    assert "is never closed" in fault(small_course)


def test_an_unclosed_solution_stops_the_build(small_course: SmallCourse):
    small_course.edit(small_course.exercises, "    # end solution\n", "")
    text = fault(small_course)
    assert "exercises.py:19: tiny_total has a `# solution:` that is never closed" in text
    assert "Traceback" not in text


def test_an_exercise_that_is_not_defined_stops_the_build(small_course: SmallCourse):
    small_course.edit(small_course.text, "{exercise} tiny_total", "{exercise} tiny_totel")
    assert "`tiny_totel` is not defined in exercises.py" in fault(small_course)


def test_all_lessons_are_tried_and_the_faults_come_last(small_course: SmallCourse):
    small_course.edit(small_course.text, "{exercise} tiny_total", "{exercise} tiny_totel")
    written = io.StringIO()
    console = Console(file=written, width=60)
    assert not build_lessons([small_course.lesson], force=False, console=console)
    text = written.getvalue()
    assert "2-1-1-tensors: failed" in text
    assert "`tiny_totel` is not defined" in text.splitlines()[-1]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("raise KeyError", "KeyError:"),
        ("import warnings; warnings.warn('old', FutureWarning)", "FutureWarning: old"),
        ("print('nan')", "nan"),
        ("torch.arange(3).T", "UserWarning: "),
        ("x = 1", ""),
    ],
)
def test_a_message_is_what_a_reader_would_see(code: str, said: str):
    told = message(run_code(code))
    assert told.startswith(said)
    assert bool(told) == bool(said)
    assert "Triggered internally" not in told


def test_a_warning_that_torch_gives_once_is_told_every_time():
    once = "torch.arange(3).T"
    assert message(run_code(once)) == message(run_code(once)) != ""


# The hash ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("halves", "quarters"),
        ("reply: Right.", "reply: Yes."),
        (":tags: [hide-input]\n\n", ""),
        ("Cause. The tensor", "Cause. It"),
        ("A. It keeps", "A. It always keeps"),
        ("Write it in one line.", "Write it."),
    ],
)
def test_prose_is_not_hashed(small_course: SmallCourse, old: str, new: str):
    before = source_hash(read_lesson(small_course.lesson))
    small_course.edit(small_course.text, old, new)
    assert source_hash(read_lesson(small_course.lesson)) == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("scores.sum()\n", "scores.sum() * 2\n"),
        ("scores.mean()\n```\n\na)", "scores.sum()\n```\n\na)"),
        ("when: error is RuntimeError", "when: error is not None"),
        ("torch.zeros(2, 3).T", "torch.zeros(6, 1).T"),
        (":::{exercise} tiny_clinic\n:::\n", ""),
    ],
)
def test_what_is_executed_is_hashed(small_course: SmallCourse, old: str, new: str):
    before = source_hash(read_lesson(small_course.lesson))
    small_course.edit(small_course.text, old, new)
    assert source_hash(read_lesson(small_course.lesson)) != before


def test_exercises_are_hashed(small_course: SmallCourse):
    before = source_hash(read_lesson(small_course.lesson))
    small_course.edit(small_course.exercises, "every_score.sum()", "1 * every_score.sum()")
    assert source_hash(read_lesson(small_course.lesson)) != before


def test_the_explorers_that_a_cell_calls_are_hashed_and_no_others(small_course: SmallCourse):
    def with_change(name: str) -> str:
        path = small_course.root / "firstlight" / "explore" / name
        text = path.read_text(encoding="utf-8")
        path.write_text(text + "\n", encoding="utf-8")
        changed = source_hash(read_lesson(small_course.lesson))
        path.write_text(text, encoding="utf-8")
        return changed

    call = "scores.sum()\nexplore.broadcast(scores, scores)\n"
    small_course.edit(small_course.text, "scores.sum()\n", call)
    before = source_hash(read_lesson(small_course.lesson))
    for name in ("broadcast.py", "broadcast.js", "frame.py", "frame.js", "tensors.py", "grid.js"):
        assert with_change(name) != before, name
    assert with_change("draw.py") == before


# Figures ----------------------------------------------------------------------------------------


def edit_figure(small_course: SmallCourse) -> None:
    figure = small_course.lesson.folder / "figures" / "sum.svg"
    small_course.edit(figure, "#333", "#444")


def test_a_changed_drawing_is_drawn_again(
    small_course: SmallCourse, monkeypatch: pytest.MonkeyPatch
):
    assert stale_bitmaps(small_course.lesson) == []
    edit_figure(small_course)
    (stale,) = stale_bitmaps(small_course.lesson)
    old = stale.with_suffix(".png").read_bytes()
    draw: Callable[..., list[bytes]] = lambda figures: [old]  # noqa: E731
    monkeypatch.setattr("authoring.figures._drawn", draw)
    refresh_bitmaps(small_course.lesson)
    assert stale_bitmaps(small_course.lesson) == []


@pytest.mark.browser
def test_a_browser_draws_it(small_course: SmallCourse):
    edit_figure(small_course)
    refresh_bitmaps(small_course.lesson)
    assert stale_bitmaps(small_course.lesson) == []


def test_without_a_browser_a_changed_drawing_stops_the_build(
    small_course: SmallCourse, monkeypatch: pytest.MonkeyPatch
):
    def none(figures: object) -> list[bytes]:
        raise FigureFault("To draw sum.svg, Chromium is needed.")

    monkeypatch.setattr("authoring.figures._drawn", none)
    edit_figure(small_course)
    assert "Chromium is needed" in fault(small_course)
