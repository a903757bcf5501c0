"""Hand out the repository of the closing challenge, and run the program that a student has repaired."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SOURCE = Path(__file__).parent / "challenge"
PACKAGES = Path(__file__).parents[3]  # where the course itself is imported from


def names() -> list[str]:
    """Name the files of the repository."""
    return sorted(path.name for path in SOURCE.iterdir() if path.is_file())


def unpack(folder: str | Path = "challenge") -> Path:
    """Copy the repository as it came into a folder of yours; what is there already stays untouched.

    Args:
        folder: a name that is still free, or an empty folder.
    """
    place = Path(folder)
    print(_unpacked(place))
    return place


def _unpacked(place: Path) -> str:
    """Copy, or leave everything alone; say in one sentence which of the two it was."""
    if place.is_dir() and any(place.iterdir()):
        lacking = [name for name in names() if not (place / name).is_file()]
        if not lacking:
            return f"The folder {place} is here already, and your work in it was left as it is."
        return (
            f"The folder {place} is here already, without {', '.join(lacking)}, and was left as it is: "
            'for a fresh copy give another name, such as `unpack("challenge_2")`.'
        )
    if place.exists() and not place.is_dir():
        return f"{place} is a file, and was left as it is: give the name of a folder."
    try:
        _copy(place)
    except OSError as error:
        return (
            f"No folder could be made at {place} ({error.strerror or error}): choose another place."
        )
    return f"{len(names())} files are in the folder {place}. Begin with its README.md."


def _copy(place: Path) -> None:
    """Copy into a folder beside it first, so that a copy that stops half-way takes no name."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=".unpack-") as beside:
        made = Path(beside) / "copy"
        made.mkdir()
        for name in names():
            shutil.copyfile(SOURCE / name, made / name)
        if place.is_dir():
            place.rmdir()  # it is empty, or this raises
        made.replace(place)


def is_untouched(folder: Path) -> bool:
    """Say whether a folder holds the repository as it came, byte for byte."""
    return all(
        (folder / name).is_file() and (folder / name).read_bytes() == (SOURCE / name).read_bytes()
        for name in names()
    )


def run(folder: str | Path = "challenge") -> None:
    """Run `python train.py` in a folder, as a terminal would, and print what it prints.

    Args:
        folder: where the repository is.
    """
    place = Path(folder)
    if not (place / "train.py").is_file():
        print(f"There is no train.py in the folder {place}: `unpack` makes one.")
        return
    path = os.pathsep.join(filter(None, (str(PACKAGES), os.environ.get("PYTHONPATH"))))
    settings = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    settings["PYTHONIOENCODING"] = "utf-8"
    command = [sys.executable, "-u", "train.py"]
    with subprocess.Popen(
        command,
        cwd=place,
        env=settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
