"""The repository of the closing challenge: handed out whole, never written over, run, and judged."""

from pathlib import Path

import pytest

from firstlight.checking import check_object
from firstlight.lessons.fashion_mnist_project import challenge
from firstlight.lessons.fashion_mnist_project.exercises import repaired_challenge
from firstlight.lessons.fashion_mnist_project.promises import PROMISES


def judged(folder: Path) -> str:
    """Return what the check says of a folder."""

    def answer() -> Path:
        return folder

    answer.__name__ = "repaired_challenge"
    return check_object(repaired_challenge, answer).text


def test_unpacks_every_file_as_it_came(tmp_path: Path) -> None:
    place = challenge.unpack(tmp_path / "here" / "challenge")
    assert sorted(file.name for file in place.iterdir()) == challenge.names()
    assert challenge.is_untouched(place)
    assert [file.name for file in place.parent.iterdir()] == ["challenge"]


def test_never_writes_over_what_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = challenge.unpack(tmp_path / "challenge")
    (place / "data.py").write_text("mine = 1\n", "utf-8")
    (place / "train.py").unlink()
    challenge.unpack(place)
    assert (place / "data.py").read_text("utf-8") == "mine = 1\n"
    assert not (place / "train.py").exists()
    assert "without train.py, and was left as it is" in capsys.readouterr().out
    assert not challenge.is_untouched(place)

    taken = tmp_path / "file"
    taken.write_text("mine", "utf-8")
    challenge.unpack(taken)
    assert taken.read_text("utf-8") == "mine"
    assert "is a file, and was left as it is" in capsys.readouterr().out


def test_says_in_one_sentence_that_there_is_nothing_to_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    challenge.run(tmp_path)
    assert capsys.readouterr().out.startswith("There is no train.py in the folder")


def test_the_untouched_repository_runs_and_learns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    challenge.run(challenge.unpack(tmp_path / "challenge"))
    printed = capsys.readouterr().out
    assert "Traceback" not in printed
    assert "epoch" in printed


def test_does_not_say_of_the_untouched_repository_which_promises_are_kept(tmp_path: Path) -> None:
    place = challenge.unpack(tmp_path / "challenge")
    told = judged(place)
    assert "The repository is as it was when you unpacked it" in told
    assert not [words for words in PROMISES if words in told]

    file = place / "data.py"
    file.write_text(file.read_text("utf-8").replace("images.flip(1)", "images.flip(2)"), "utf-8")
    mended = judged(place)
    assert "promise 3, `mirror_some`" in mended.replace("\n", " ")
    assert "how many of the ten promises hold" in mended
