"""Find a sound copy of a data file: embedded in a clone, in the cache, or from the network.

Every copy is verified each time it is read, wherever it lies: decompressing has to happen anyway,
and SHA-256 adds 25 ms to it for the largest file (47 MB, on a CPU with SHA instructions).
"""

from __future__ import annotations

import hashlib
import os
import time
import uuid
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from firstlight.datasets.idx import DataError, gunzip
from firstlight.datasets.sources import IdxFile, Source

EMBEDDED = Path(__file__).parents[2] / "data"  # only a clone has it
TIMEOUT = 15.0  # seconds a source may stay silent: to connect, and between two pieces
CHUNK = 2**16  # bytes
ONE_DAY = 86_400.0  # seconds; no download takes as long, so an older part is a dead process's


class DownloadError(OSError):
    """No source gave a sound copy; the message lists what each of them said."""


def sound_copy(source: Source, file: IdxFile) -> tuple[Path, bytes]:
    """Return where a verified copy of the file lies, and its uncompressed bytes.

    A damaged copy is passed over with a warning, and the next place is tried; the last is the
    network.

    Raises:
        DownloadError: if there is no sound copy here and no source gives one.
    """
    for path in _places(source, file):
        try:
            return path, verify(path.read_bytes(), file)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (DataError, OSError) as error:
            warnings.warn(f"{path} is not used: {error}", stacklevel=5)
    return path, download(source, file, path)


def _places(source: Source, file: IdxFile) -> Iterator[Path]:
    """Where a copy may lie; the last is where a download goes."""
    yield EMBEDDED / source.name / file.name
    yield cache_folder() / source.name / file.name


def cache_folder() -> Path:
    """Where downloads are kept: `data` in `FIRSTLIGHT_HOME`, else the platform's cache folder."""
    if home := os.environ.get("FIRSTLIGHT_HOME"):
        return Path(home).expanduser() / "data"
    import pooch  # kept off the path of `import firstlight`

    return Path(pooch.os_cache("firstlight"))


def verify(data: bytes, file: IdxFile) -> bytes:
    """Decompress `data` and return the content if it is exactly the file's.

    Raises:
        DataError: if it is not; the message says why.
    """
    content = gunzip(data)
    if len(content) != file.size:
        raise DataError(f"it unpacks to {len(content)} bytes, {file.size} are due")
    found = hashlib.sha256(content).hexdigest()
    if found != file.sha256:
        raise DataError(f"its content has SHA-256 {found[:12]}…, {file.sha256[:12]}… is due")
    return content


def download(source: Source, file: IdxFile, target: Path) -> bytes:
    """Place a verified copy at `target` and return its content; a failure moves to the next source.

    Several processes may do so at once: each works on a part file of its own, and the last to
    finish replaces one sound copy by another.

    Raises:
        DownloadError: if the folder can't be written or no source gives a sound copy.
    """
    _prepare(target.parent)
    failures = []
    for address in source.addresses(file):
        try:
            return _fetch(address, file, target)
        except (OSError, ValueError) as error:  # what requests raises is an OSError
            failures.append(f"  {address}\n      {_reason(error)}")
    raise DownloadError(
        f"No source gave {file.name} of {source.name}:\n"
        + "\n".join(failures)
        + f"\nCheck the network and call again, or put the file at {target} yourself."
    )


def _prepare(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DownloadError(
            f"Downloads can't be kept in {folder}: {error}\n"
            "Set the environment variable FIRSTLIGHT_HOME to a folder you may write to."
        ) from error
    for part in folder.glob("*.part"):
        _sweep(part)


def _sweep(part: Path) -> None:
    """Remove what a process killed in mid-download left behind."""
    with suppress(OSError):  # another process may have removed it first
        if time.time() - part.stat().st_mtime > ONE_DAY:
            part.unlink()


def _fetch(address: str, file: IdxFile, target: Path) -> bytes:
    """Download to a part file; only what is verified gets the target's name."""
    part = target.with_name(f"{target.name}.{uuid.uuid4().hex}.part")
    try:
        _stream(address, part, file)
        content = verify(part.read_bytes(), file)
        try:
            part.replace(target)
        except PermissionError:  # on Windows, when another process is reading the copy it placed
            verify(target.read_bytes(), file)
        return content
    finally:
        part.unlink(missing_ok=True)


def _stream(address: str, part: Path, file: IdxFile) -> None:
    import pooch  # kept off the path of `import firstlight`
    from tqdm import tqdm

    # Pooch puts the true total in, but asks for bool(bar) first, an error where there is none.
    label = f"{part.parent.name}/{file.name}"
    with tqdm(desc=label, total=file.size, unit="B", unit_scale=True, leave=False) as bar:
        fetch = pooch.HTTPDownloader(progressbar=bar, chunk_size=CHUNK, timeout=TIMEOUT)
        fetch(address, str(part), None)


def _reason(error: Exception) -> str:
    """Say in one line why a source failed; requests and urllib3 each wrap the cause once."""
    wrapped = error.args[0] if error.args else None
    return str(getattr(wrapped, "reason", error)) or type(error).__name__
