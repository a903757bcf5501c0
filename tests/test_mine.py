"""What passes a check is kept, and comes back in later lessons as the student's own code."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from IPython.core.interactiveshell import InteractiveShell

from firstlight import check, own_code

FLATTEN = '''
def flatten_images(images):
    """My own way."""
    return torch.stack([image.ravel() for image in images])
'''


@pytest.fixture
def mine() -> ModuleType:
    """The module as a new notebook finds it."""
    sys.modules.pop("firstlight.mine", None)
    return importlib.import_module("firstlight.mine")


def in_a_notebook(*cells: str) -> None:
    """Run cells in a shell as a notebook does, with the course's verbs imported."""
    shell = InteractiveShell()
    try:
        for cell in ("import torch\nfrom torch import nn\nfrom firstlight import check", *cells):
            shell.run_cell(cell, store_history=True).raise_error()
    finally:
        shell.history_manager.end_session()


def test_an_answer_that_passed_in_a_notebook_comes_back(
    mine: ModuleType, capsys: pytest.CaptureFixture[str]
):
    in_a_notebook(FLATTEN, "check(flatten_images)")
    capsys.readouterr()
    assert mine.flatten_images.__doc__ == "My own way."
    assert mine.flatten_images(torch.zeros(3, 2, 5)).shape == (3, 10)
    assert capsys.readouterr().out == "flatten_images: yours, as it passed. (lesson 1, Tensors)\n"


def test_without_an_answer_comes_the_courses(mine: ModuleType, capsys: pytest.CaptureFixture[str]):
    assert mine.flatten_images(torch.zeros(3, 2, 5)).shape == (3, 10)
    said = capsys.readouterr().out
    assert said.startswith("flatten_images: the course's, because none of yours has passed here.")


def test_a_wrong_answer_is_not_kept():
    in_a_notebook(
        "def flatten_images(images):\n    return images.flatten()", "check(flatten_images)"
    )
    assert own_code.kept("flatten_images") is None


def test_a_later_answer_takes_the_place_of_the_first(mine: ModuleType):
    in_a_notebook(FLATTEN, "check(flatten_images)")
    first = mine.flatten_images
    in_a_notebook(
        "def flatten_images(images):\n    '''Shorter.'''\n    return images.flatten(1)",
        "check(flatten_images)",
    )
    assert (first.__doc__, mine.flatten_images.__doc__) == ("My own way.", "Shorter.")


def test_an_answer_that_leans_on_its_notebook_gives_way(
    mine: ModuleType, capsys: pytest.CaptureFixture[str]
):
    in_a_notebook(
        "def rows(images):\n    return images.flatten(1)",
        "def flatten_images(images):\n    return rows(images)",
        "check(flatten_images)",
    )
    capsys.readouterr()
    assert mine.flatten_images(torch.zeros(3, 2, 5)).shape == (3, 10)
    said = capsys.readouterr().out
    assert "the course's, because yours does not work outside its notebook" in said
    assert own_code.kept("flatten_images") is not None, "nothing of the student's is deleted"


def test_a_class_of_a_notebook_comes_back(mine: ModuleType, capsys: pytest.CaptureFixture[str]):
    source = importlib.import_module("firstlight.checking").find_exercise("DigitNet")
    in_a_notebook("import torch.nn.functional as F", source.reference_source, "check(DigitNet)")
    assert "class DigitNet" in (own_code.kept("DigitNet") or "")
    capsys.readouterr()
    network = mine.DigitNet()
    assert "DigitNet: yours" in capsys.readouterr().out
    assert network(torch.zeros(2, 1, 28, 28)).shape == (2, 10)


def test_an_unknown_name_is_an_import_error_that_suggests_the_nearest(mine: ModuleType):
    with pytest.raises(AttributeError, match="flatten_images"):
        _ = mine.flaten_images


def test_a_full_or_forbidden_disk_never_stops_a_check(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    blocked = tmp_path / "a file where a folder should be"
    blocked.write_text("")
    monkeypatch.setenv("FIRSTLIGHT_HOME", str(blocked))

    def flatten_images(images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1)

    check(flatten_images)
    assert "✓ flatten_images: passed" in capsys.readouterr().out
