"""`authoring new`: a lesson that checks and builds from the first minute, and overwrites nothing."""

from __future__ import annotations

import pytest
from fixtures.small_course import SmallCourse

from authoring import __main__ as command
from authoring.check import check_lessons
from authoring.lesson_file import read_lesson
from authoring.new import LessonExists, make_lesson
from authoring.notebooks import Measured, student_notebook
from firstlight.checking import check_object, lesson_exercises
from firstlight.course import load_course
from firstlight.predictions import lesson_predictions

pytest_plugins = ["fixtures.plugin"]

COMING = ["autograd", "mnist-project"]  # a lesson and a project


@pytest.mark.usefixtures("small_course")
@pytest.mark.parametrize("slug", COMING)
def test_a_new_lesson_has_no_faults_but_what_is_left_to_write(slug: str):
    lesson = load_course().lesson(slug)
    make_lesson(lesson)
    faults = check_lessons([lesson]).faults
    assert len(faults) >= 15
    assert [f for f in faults if not f.sentence.startswith("Still to do: ")] == []
    for fault in faults:
        line = fault.path.read_text(encoding="utf-8").splitlines()[fault.line - 1]
        assert "TODO" in line


@pytest.mark.usefixtures("small_course")
@pytest.mark.parametrize("slug", COMING)
def test_a_new_lesson_can_be_built(slug: str):
    lesson = load_course().lesson(slug)
    make_lesson(lesson)
    assert student_notebook(read_lesson(lesson), Measured()).cells
    (prediction,) = lesson_predictions(lesson).values()
    assert prediction.right() == "b"
    exercises = lesson_exercises(lesson)
    assert len(exercises) == 2
    for exercise in exercises.values():
        assert check_object(exercise, exercise.reference).outcome == "passed"


def test_work_is_never_overwritten(small_course: SmallCourse):
    before = small_course.text.read_bytes()
    small_course.exercises.unlink()
    with pytest.raises(LessonExists, match=r"lesson\.md exists already; nothing was written"):
        make_lesson(small_course.lesson)
    assert small_course.text.read_bytes() == before
    assert not small_course.exercises.exists()


@pytest.mark.usefixtures("small_course")
def test_the_command_says_what_it_wrote_and_what_comes_next(capsys: pytest.CaptureFixture[str]):
    assert command.main(["new", "autograd"]) == 0
    *written, last = capsys.readouterr().out.splitlines()
    assert "wrote firstlight/lessons/autograd/lesson.md" in written
    assert last.endswith("python -m authoring check autograd")
    with pytest.raises(SystemExit, match="exists already"):
        command.main(["new", "autograd"])
