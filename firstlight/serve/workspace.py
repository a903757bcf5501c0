"""The student's own copies of the notebooks, which nothing here ever overwrites."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

REMOTE_PICTURE = re.compile(rb'!\[([^\]"\\]*)\]\(https?://[^)"\\]*\)')


def without_remote_pictures(notebook: bytes) -> bytes:
    """Put words in the place of pictures from other hosts, such as the Colab badge.

    Here the course asks nobody: a picture's description stays, and so does the link around it.
    """
    return REMOTE_PICTURE.sub(rb"\1", notebook)


def write_once(target: Path, data: bytes) -> bool:
    """Put `data` at `target` unless something is there already: the whole file or nothing.

    Returns:
        Whether the file was written. A file that was there stays as it was.
    """
    with _temporary_beside(target, data) as temporary:
        try:
            if os.name == "nt":
                temporary.rename(target)  # fails there if the target exists, and is atomic
            else:
                os.link(temporary, target)  # a POSIX rename would overwrite
        except FileExistsError:
            return False
        except OSError:  # a file system without hard links
            return _write_new(target, data)
        return True


def replace_file(target: Path, data: bytes) -> None:
    """Write `data` to `target` in one step; a reader sees the old file or the new, never a part."""
    with _temporary_beside(target, data) as temporary:
        temporary.replace(target)


@contextmanager
def _temporary_beside(target: Path, data: bytes) -> Iterator[Path]:
    """Give a finished file beside `target`, on the same file system; remove it if it is left."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _write_new(target: Path, data: bytes) -> bool:
    try:
        with target.open("xb") as stream:
            stream.write(data)
    except FileExistsError:
        return False
    except OSError:
        target.unlink(missing_ok=True)  # made by this call, and incomplete
        raise
    return True


@dataclass(frozen=True)
class Opened:
    """A notebook of the student, and whether the course now has another version of it."""

    path: Path
    newer: bool


@dataclass(frozen=True)
class Choice:
    """What the student works in: a file of the workspace, and the original it was measured by."""

    file: str
    version: str


@dataclass(frozen=True)
class Workspace:
    """The folder that holds the student's copies, and the course's originals they come from.

    A copy is made when a notebook is first opened. From then on the file is the student's. For each
    notebook the workspace remembers which version of the original the student has settled on, so
    that a newer one can be offered, once, under a name of its own.
    """

    folder: Path
    originals: Path

    @property
    def private(self) -> Path:
        """The hidden folder for what the student need not see."""
        return self.folder / ".firstlight"

    def open(self, name: str) -> Opened:
        """Find the student's copy of the notebook `name`, making it if there is none.

        Raises:
            FileNotFoundError: if the course has no notebook of that name.
        """
        original = self._original(name)
        choice = self._choices().get(name)
        if choice is not None and (self.folder / choice.file).is_file():
            return Opened(self.folder / choice.file, newer=choice.version != _digest(original))
        copy = self.folder / f"{name}.ipynb"
        write_once(
            copy, without_remote_pictures(original)
        )  # a file that is there already is the student's, whatever it is
        self._choose(name, Choice(copy.name, _digest(original)))
        return Opened(copy, newer=False)

    def keep_mine(self, name: str) -> Path:
        """Go on with the student's copy, and stop offering the newer version."""
        mine = self.open(name).path
        self._choose(name, Choice(mine.name, _digest(self._original(name))))
        return mine

    def add_newer(self, name: str) -> Path:
        """Put the course's newer version beside the student's copy, under the first free name."""
        original = self._original(name)
        copy = without_remote_pictures(original)
        number = 2
        while not write_once(self.folder / f"{name}-version-{number}.ipynb", copy):
            number += 1
        newer = self.folder / f"{name}-version-{number}.ipynb"
        self._choose(name, Choice(newer.name, _digest(original)))
        return newer

    def _original(self, name: str) -> bytes:
        return (self.originals / f"{name}.ipynb").read_bytes()

    def _choices(self) -> dict[str, Choice]:
        """Notebook names, each with what the student works in; empty if the record is lost."""
        try:
            record = json.loads((self.private / "copies.json").read_text(encoding="utf-8"))
            return {name: Choice(**entry) for name, entry in record.items()}
        except (OSError, ValueError, TypeError, AttributeError):  # no record, or a damaged one
            return {}

    def _choose(self, name: str, choice: Choice) -> None:
        choices = {**self._choices(), name: choice}
        record = {known: asdict(entry) for known, entry in choices.items()}
        text = json.dumps(record, indent=2, sort_keys=True) + "\n"
        replace_file(self.private / "copies.json", text.encode())


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
