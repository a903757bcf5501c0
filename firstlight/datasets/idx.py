"""Turn the bytes of the data files into tensors: gzip, then IDX. Nothing here touches a disk."""

from __future__ import annotations

import math
import struct
import zlib

import numpy as np
import torch
from torch import Tensor

UNSIGNED_BYTE = 0x08  # the type code of every file the course uses
GZIP_LIMIT = 2**28  # 256 MiB, five times the largest file: a gzip bomb stops here


class DataError(ValueError):
    """Bytes that are not what they have to be; the message says what was found and what was due."""


def gunzip(data: bytes) -> bytes:
    """Decompress one complete gzip member, checked against the CRC-32 at its end.

    Raises:
        DataError: if the bytes are not gzip, end too early, are damaged or go on after the end.
    """
    if data[:2] != b"\x1f\x8b":
        raise DataError(f"this is not gzip data: it starts with {data[:16]!r}, 1f 8b is due")
    stream = zlib.decompressobj(wbits=31)  # 31: a gzip header and the largest window
    try:
        content = stream.decompress(data, GZIP_LIMIT + 1)
    except zlib.error as error:
        raise DataError(f"the gzip data is damaged ({error})") from error
    if len(content) > GZIP_LIMIT:
        raise DataError(f"the gzip data unpacks to more than {GZIP_LIMIT} bytes")
    if not stream.eof:
        raise DataError(f"the gzip data is cut off: its {len(data)} bytes stop before its end")
    if stream.unused_data:
        raise DataError(f"{len(stream.unused_data)} bytes follow the end of the gzip data")
    return content


def read_idx(data: bytes) -> Tensor:
    """Turn the bytes of an uncompressed IDX file into a `uint8` tensor of the shape it declares.

    An IDX file is a magic number of four bytes (two zeros, the type of the values, the number of
    axes), then a big-endian 32-bit size for each axis, then the values with the last axis fastest.
    The tensor has its own memory. Only unsigned bytes (type 08) are read: no data set of the course
    has another type.

    Raises:
        DataError: if the magic number or the number of values is wrong.
    """
    shape = _read_shape(data)
    header, due = 4 + 4 * len(shape), math.prod(shape)
    found = len(data) - header
    if found != due:
        sizes = " × ".join(map(str, shape))
        raise DataError(f"the header promises {sizes} = {due} values, but {found} follow it")
    values = np.frombuffer(data, np.uint8, count=due, offset=header)
    return torch.from_numpy(values.reshape(shape).copy())


def _read_shape(data: bytes) -> tuple[int, ...]:
    magic = data[:4]
    if len(magic) < 4 or magic[:3] != bytes([0, 0, UNSIGNED_BYTE]):
        advice = "; 1f 8b is gzip: decompress it first" if magic[:2] == b"\x1f\x8b" else ""
        raise DataError(
            f"this is not an IDX file of unsigned bytes: its magic number is "
            f"{magic.hex(' ') or 'missing'}, 00 00 08 and the number of axes are due{advice}"
        )
    axes = magic[3]
    due = 4 + 4 * axes
    if len(data) < due:
        raise DataError(f"the IDX header is cut off: {axes} axes need {due} bytes, not {len(data)}")
    return struct.unpack_from(f">{axes}I", data, 4)
