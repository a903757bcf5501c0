"""A saved file, opened and told apart: what kind it is, what it holds, where its storages lie.

Of a torch.save file the pickle is read by `checkpoint_pickle`; of safetensors the JSON header. The
storages stay on the disk until somebody asks for a few of their bytes.
"""

from __future__ import annotations

import io
import json
import os
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

from firstlight.explore.checkpoint_dtypes import SAFETENSORS, STORAGES, bytes_each
from firstlight.explore.checkpoint_pickle import (
    UNREADABLE,
    Call,
    Items,
    Name,
    Pickle,
    Stored,
    Table,
    printable,
    read_pickle,
)

MOST_PICKLE = 200_000_000  # bytes of the pickle inside the file, without its tensors
DAMAGED = (zipfile.BadZipFile, zlib.error, OSError, RuntimeError, NotImplementedError)
_MAGIC = 0x1950A86A20F9469CFC6C  # begins a file of torch.save before 1.6
_OTHERS = (
    (b"\x93NUMPY", "is a NumPy array: np.load reads it"),
    (b"\x89HDF", "is an HDF5 file, such as Keras writes: h5py reads it"),
    (b"GGUF", "is a GGUF file of llama.cpp"),
    (b"\x1f\x8b", "is packed with gzip: unpack it first"),
    (b"\x89PNG", "is a picture"),
    (b"%PDF", "is a PDF document"),
)


@dataclass(frozen=True)
class Content:
    """An open file: its bytes, its kind in words, its pickle, its storages.

    Of safetensors the pickle is one made of its header.

    `read(key, start, count)` returns that many bytes of a storage, fewer where it ends; `sizes` are
    the storages' bytes in the file.
    """

    name: str
    length: int
    kind: str
    pickle: Pickle
    sizes: dict[str, int]
    read: Callable[[str, int, int], bytes]
    safe: bool = False  # nothing in a file of this kind can run
    notes: tuple[str, ...] = ()
    swapped: bool = False  # written by a machine with the other byte order


@contextmanager
def opened(path: Path) -> Iterator[Content]:
    """Open a file for the time of a `with`. Raises FileNotFoundError or ValueError in a sentence."""
    _require_file(path)
    with path.open("rb") as stream:
        yield _content(path, stream)


def _require_file(path: Path) -> None:
    if path.is_dir():
        inside = sorted(entry.name for entry in path.iterdir())[:4]
        held = f" It holds {', '.join(inside)}." if inside else ""
        raise ValueError(f"{str(path)!r} is a folder, and explore.checkpoint reads a file.{held}")
    if not path.exists():
        where = "" if path.is_absolute() else f" in {str(Path.cwd())!r}"
        raise FileNotFoundError(f"There is no file {str(path)!r}{where}.")
    if path.stat().st_size == 0:
        raise ValueError(
            f"{path.name!r} is empty, 0 bytes long: whatever wrote it stopped before the first."
        )


def _content(path: Path, stream: BinaryIO) -> Content:
    head = stream.read(4096)
    stream.seek(0)
    if head.startswith(b"PK\x03\x04"):
        return _zipped(path, stream)
    for magic, words in _OTHERS:
        if head.startswith(magic):
            raise ValueError(f"{path.name!r} {words}; explore.checkpoint reads torch.save's files.")
    if path.suffix == ".safetensors" or _is_safetensors(head):
        return _safetensors(path, stream)
    if path.suffix == ".onnx" or (head[:1] == b"\x08" and head[2:3] in (b"\x12", b"\x1a", b":")):
        raise ValueError(
            f"{path.name!r} is an ONNX model, a graph of operations for other programs: open it "
            "with onnx.load or run it with onnxruntime."
        )
    if head[:1] == b"\x80":
        return _pickled(path, stream)
    raise ValueError(
        f"{path.name!r} is no checkpoint: it begins with the bytes {head[:8]!r}, and torch.save's "
        "files begin with b'PK', older ones and other pickles with b'\\x80'."
    )


# torch.save since 1.6: a zip of one pickle and the storages, uncompressed.


def _zipped(path: Path, stream: BinaryIO) -> Content:
    try:
        archive = zipfile.ZipFile(stream)
    except (*DAMAGED, *UNREADABLE) as error:
        raise ValueError(
            f"{path.name!r} breaks off: it begins like a file of torch.save, but after "
            f"{path.stat().st_size:,} bytes the list of contents that ends such a file is missing. "
            "It was cut off while it was written or copied."
        ) from error
    members = {info.filename.partition("/")[2]: info for info in archive.infolist()}
    _require_pickle(path, members)
    info = members["data.pkl"]
    if info.file_size > MOST_PICKLE:
        raise ValueError(
            f"{path.name!r} holds a pickle of {info.file_size:,} bytes beside its tensors, and "
            f"explore.checkpoint reads up to {MOST_PICKLE:,}."
        )
    try:
        with archive.open(info) as member:
            data = member.read(MOST_PICKLE + 1)
        order = b"little"
        if "byteorder" in members:
            with archive.open(members["byteorder"]) as member:
                order = member.read(6)
    except (*DAMAGED, *UNREADABLE) as error:
        raise ValueError(
            f"{path.name!r} is damaged: its pickle can't be read ({error})."
        ) from error
    stored = {key[5:]: info for key, info in members.items() if key.startswith("data/")}

    def read(key: str, start: int, count: int) -> bytes:
        return _zip_bytes(archive, stream, stored[key], start, count)

    return Content(
        printable(path.name),
        path.stat().st_size,
        "torch.save's zip format: one pickle, and each storage as a file of its own",
        read_pickle(io.BytesIO(data)),
        {key: info.file_size for key, info in stored.items()},
        read,
        swapped=order != (b"little" if _little() else b"big"),
    )


def _require_pickle(path: Path, members: dict[str, zipfile.ZipInfo]) -> None:
    name = repr(path.name)
    if any(key.startswith("code/") for key in members) or "constants.pkl" in members:
        raise ValueError(
            f"{name} is a TorchScript archive, a compiled model with its code: torch.jit.load reads "
            "it. explore.checkpoint reads what torch.save wrote."
        )
    if "archive_format" in members or any("models/" in key for key in members):
        raise ValueError(
            f"{name} is an exported program (.pt2), a graph with its weights: torch.export.load reads "
            "it. explore.checkpoint reads what torch.save wrote."
        )
    if any(key.endswith("serialized_exported_program.json") for key in members):
        raise ValueError(f"{name} is an exported program (.pt2): torch.export.load reads it.")
    if "data.pkl" not in members:
        held = ", ".join(repr(info.filename) for info in list(members.values())[:3])
        raise ValueError(
            f"{name} is a zip file without 'data.pkl', which torch.save writes first; it holds "
            f"{held or 'nothing'}."
        )


def _zip_bytes(
    archive: zipfile.ZipFile, stream: BinaryIO, info: zipfile.ZipInfo, start: int, count: int
) -> bytes:
    """Return a part of a member; an uncompressed one, as torch.save writes, is read where it is."""
    count = min(count, max(0, info.file_size - start))
    if info.compress_type != zipfile.ZIP_STORED:
        try:
            with archive.open(info) as member:
                member.seek(start)
                return member.read(count)
        except (*DAMAGED, EOFError):
            return b""
    stream.seek(info.header_offset)
    header = stream.read(30)
    if header[:4] != b"PK\x03\x04":
        return b""
    names = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
    stream.seek(info.header_offset + 30 + names + start)
    return stream.read(count)


# A bare pickle, and torch.save before 1.6: pickles one after the other, then the storages.


def _pickled(path: Path, stream: BinaryIO) -> Content:
    first = read_pickle(stream)
    if first.root != _MAGIC:
        note = (
            "The file is a bare pickle, as pickle.dump writes it: torch.load refuses such a file."
        )
        return Content(
            printable(path.name),
            path.stat().st_size,
            "a bare pickle",
            first,
            {},
            _nothing,
            notes=(note,),
        )
    read_pickle(stream)  # a number of the format
    read_pickle(stream)  # facts on the machine
    pickle = read_pickle(stream)
    places = {} if pickle.broken else _legacy_places(stream, pickle)

    def read(key: str, start: int, count: int) -> bytes:
        begin, size = places[key]
        stream.seek(begin + start)
        return stream.read(min(count, max(0, size - start)))

    return Content(
        printable(path.name),
        path.stat().st_size,
        "torch.save's format from before PyTorch 1.6: pickles and storages in one row",
        pickle,
        {key: size for key, (_, size) in places.items()},
        read,
        swapped=not _little(),
    )


def _legacy_places(stream: BinaryIO, pickle: Pickle) -> dict[str, tuple[int, int]]:
    """Return where each storage of an old file begins, and its bytes."""
    keys = read_pickle(stream).root
    wide = {}
    for stored in pickle.stored:
        if isinstance(stored.identity, Items) and len(stored.identity.values) > 2:
            kind, key = stored.identity.values[1:3]
            if isinstance(kind, Name) and isinstance(key, str):
                wide[key] = bytes_each(STORAGES.get(kind.name, "")) or 0
    places: dict[str, tuple[int, int]] = {}
    for key in filter(wide.__contains__, keys.values if isinstance(keys, Items) else []):
        count = int.from_bytes(stream.read(8), "little", signed=True)
        size = max(0, count) * wide[key]
        places[key] = (stream.tell(), size)
        stream.seek(size, os.SEEK_CUR)
    return places


def _nothing(key: str, start: int, count: int) -> bytes:
    return b""


# safetensors: eight bytes of length, a JSON header, then the tensors' bytes.


def _is_safetensors(head: bytes) -> bool:
    return head[8:10] == b'{"' and 0 < int.from_bytes(head[:8], "little") < 100_000_000


def _safetensors(path: Path, stream: BinaryIO) -> Content:
    name, size = repr(path.name), path.stat().st_size
    length = int.from_bytes(stream.read(8), "little")
    if size < 8 or length > min(100_000_000, size - 8):
        raise ValueError(
            f"{name} breaks off: its header should be {length:,} bytes long, and the whole file has "
            f"{size:,}. It was cut off, or it is no safetensors file."
        )
    try:
        header = json.loads(stream.read(length))
        extra = header.pop("__metadata__", None)
        entries = {key: _entry(facts) for key, facts in header.items()}
    except (*UNREADABLE, AttributeError, RecursionError) as error:
        raise ValueError(f"{name} is damaged: its header is not safetensors' JSON.") from error
    ends = max((end for *_, end in entries.values()), default=0)
    if 8 + length + ends > size:
        raise ValueError(
            f"{name} breaks off: its tensors need {8 + length + ends:,} bytes, and the file has "
            f"{size:,}. It was cut off while it was written or copied."
        )

    def read(key: str, start: int, count: int) -> bytes:
        *_, begin, end = entries[key]
        stream.seek(8 + length + begin + start)
        return stream.read(min(count, max(0, end - begin - start)))

    root = Table([(key, _as_call(key, entry)) for key, entry in entries.items()])
    notes = [] if not extra else [f"Its header also says: {json.dumps(extra)[:200]}."]
    return Content(
        printable(path.name),
        size,
        "safetensors: a header that names each tensor, then their bytes",
        Pickle(root, (), (), (), (), ""),
        {key: end - begin for key, (*_, begin, end) in entries.items()},
        read,
        safe=True,
        notes=tuple(notes),
        swapped=not _little(),
    )


Entry = tuple[str, tuple[int, ...], int, int]


def _entry(facts: Any) -> Entry:
    """Return dtype, shape, begin and end of one tensor, checked against each other."""
    dtype = SAFETENSORS.get(facts["dtype"], facts["dtype"])
    shape = tuple(facts["shape"])
    begin, end = facts["data_offsets"]
    numbers = (*shape, begin, end)
    if not all(isinstance(number, int) and number >= 0 for number in numbers) or begin > end:
        raise ValueError("a size or place is no whole number")
    wide = bytes_each(dtype)
    if wide is not None and prod(shape) * wide != end - begin:
        raise ValueError("a shape and its bytes disagree")
    return dtype, shape, begin, end


def _as_call(key: str, entry: Entry) -> Call:
    """Write a tensor of safetensors as the call that torch.save would have written."""
    dtype, shape, *_ = entry
    strides = [prod(shape[axis + 1 :]) for axis in range(len(shape))]
    identity = Items("tuple", ["storage", Name("torch", dtype), key, "", prod(shape)])
    arguments = [Stored(identity), 0, Items("tuple", list(shape)), Items("tuple", strides)]
    return Call(
        Name("torch._utils", "_rebuild_tensor_v2"), Items("tuple", [*arguments, False, None])
    )


def _little() -> bool:
    return sys.byteorder == "little"
