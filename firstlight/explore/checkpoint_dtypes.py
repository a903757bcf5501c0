"""The dtypes a file may name, and how many bytes a number of each takes."""

from __future__ import annotations

import re

import torch

# A file may write any name where a dtype is due; only such are looked up in torch.
DTYPE = re.compile(r"bool|b?float\d{1,2}\w{0,12}|complex\d{1,3}|q?u?int\d{1,2}\w{0,4}")
STORAGES = {  # the names in torch.save's pickles
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128",
    "QInt8Storage": "qint8",
    "QUInt8Storage": "quint8",
    "QInt32Storage": "qint32",
    "UntypedStorage": "uint8",
}
SAFETENSORS = {  # those in a header of safetensors
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U64": "uint64",
    "U32": "uint32",
    "U16": "uint16",
    "U8": "uint8",
    "BOOL": "bool",
    "C64": "complex64",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
}


def known_dtype(name: str) -> torch.dtype | None:
    """Return PyTorch's dtype of that name, or None where it has none."""
    found = getattr(torch, name, None) if DTYPE.fullmatch(name) else None
    return found if isinstance(found, torch.dtype) else None


def bytes_each(name: str) -> int | None:
    """Return how many bytes a number of this dtype takes, or None for an unknown one."""
    dtype = known_dtype(name)
    return None if dtype is None else dtype.itemsize
