"""IDX and gzip, in memory: what is read is what was written, and what is wrong is said."""

from __future__ import annotations

import gzip
import struct

import pytest
import torch

from firstlight.datasets import DataError, gunzip, read_idx

VALUES = bytes(range(200, 224))


def idx(*shape: int, values: bytes = VALUES, magic: bytes = b"\0\0\x08") -> bytes:
    return magic + bytes([len(shape)]) + struct.pack(f">{len(shape)}I", *shape) + values


def test_values_stand_in_the_shape_the_header_declares() -> None:
    images = read_idx(idx(2, 3, 4))
    assert images.dtype == torch.uint8
    assert images.shape == (2, 3, 4)
    assert images[0, 0, 1] == 201
    assert images[0, 1, 0] == 204
    assert images[1, 0, 0] == 212
    assert images.flatten().tolist() == list(VALUES)


def test_sizes_are_big_endian_and_of_32_bits() -> None:
    count = 0x00012345
    labels = read_idx(b"\0\0\x08\x01" + bytes.fromhex("00012345") + bytes(count))
    assert labels.shape == (count,)


def test_a_file_without_images_is_an_empty_tensor() -> None:
    assert read_idx(idx(0, 28, 28, values=b"")).shape == (0, 28, 28)


def test_the_tensor_has_its_own_memory() -> None:
    data = idx(24)
    labels = read_idx(data)
    labels.zero_()
    assert data == idx(24)
    assert read_idx(data).tolist() == list(VALUES)


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "magic number is missing"),
        (b"\0\0\x08", "magic number is 00 00 08"),
        (idx(24, magic=b"\0\0\x0d"), "magic number is 00 00 0d 01, 00 00 08 .* due"),
        (idx(24, magic=b"\1\0\x08"), "magic number is 01 00 08 01"),
        (b"<!DOCTYPE html>", "magic number is 3c 21 44 4f"),
        (gzip.compress(idx(24)), "gzip: decompress it first"),
    ],
    ids=["empty", "short", "another type", "no zero", "a page", "gzip"],
)
def test_a_wrong_magic_number_is_named(data: bytes, complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        read_idx(data)


@pytest.mark.parametrize("length", range(4, 16))
def test_a_header_cut_off_is_named(length: int) -> None:
    with pytest.raises(DataError, match=f"3 axes need 16 bytes, not {length}"):
        read_idx(idx(2, 3, 4)[:length])


@pytest.mark.parametrize(
    ("values", "found"),
    [(VALUES[:-1], 23), (b"", 0), (VALUES + b"\0", 25)],
    ids=["fewer", "none", "more"],
)
def test_a_wrong_number_of_values_is_named(values: bytes, found: int) -> None:
    with pytest.raises(DataError, match=f"promises 2 × 3 × 4 = 24 values, but {found} follow"):
        read_idx(idx(2, 3, 4, values=values))


def test_an_absurd_size_is_refused_before_any_memory_is_asked_for() -> None:
    with pytest.raises(DataError, match="but 24 follow"):
        read_idx(idx(*[2**32 - 1] * 5))


def test_gunzip_gives_back_what_was_compressed() -> None:
    assert gunzip(gzip.compress(VALUES)) == VALUES


@pytest.mark.parametrize("missing", range(1, len(gzip.compress(VALUES)) - 1))
def test_gzip_cut_off_anywhere_is_refused(missing: int) -> None:
    with pytest.raises(DataError, match="cut off"):
        gunzip(gzip.compress(VALUES)[:-missing])


@pytest.mark.parametrize("position", range(10, len(gzip.compress(VALUES))))
def test_gzip_with_one_changed_byte_is_refused(position: int) -> None:
    data = bytearray(gzip.compress(VALUES))
    data[position] ^= 0x55
    with pytest.raises(DataError, match=r"damaged|cut off|follow the end"):
        gunzip(bytes(data))


@pytest.mark.parametrize(
    "data", [b"", b"\x1f", b"<!DOCTYPE html>", idx(24)], ids=["empty", "short", "a page", "IDX"]
)
def test_other_bytes_than_gzip_are_named(data: bytes) -> None:
    with pytest.raises(DataError, match="not gzip data"):
        gunzip(data)


def test_bytes_after_the_end_of_gzip_are_refused() -> None:
    with pytest.raises(DataError, match="5 bytes follow the end"):
        gunzip(gzip.compress(VALUES) + b"extra")


def test_a_gzip_bomb_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firstlight.datasets.idx.GZIP_LIMIT", 2**20)
    assert len(gunzip(gzip.compress(bytes(2**20)))) == 2**20
    with pytest.raises(DataError, match="more than 1048576 bytes"):
        gunzip(gzip.compress(bytes(2**20 + 1)))
