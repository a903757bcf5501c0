"""MNIST and Fashion-MNIST as tensors: offline in a clone, downloaded once anywhere else."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from firstlight.datasets.copies import DownloadError, sound_copy
from firstlight.datasets.idx import DataError, gunzip, read_idx
from firstlight.datasets.sources import SOURCES, Source

__all__ = [
    "DataError",
    "DownloadError",
    "files",
    "gunzip",
    "load_fashion_mnist",
    "load_mnist",
    "read_idx",
]


def load_mnist(train: bool = True) -> tuple[Tensor, Tensor]:
    """Load MNIST: images `uint8 (N, 28, 28)` and labels `int64 (N,)`.

    N is 60,000 for the training set and 10,000 for the test set (`train=False`).
    """
    return _load("mnist", train)


def load_fashion_mnist(train: bool = True) -> tuple[Tensor, Tensor]:
    """Load Fashion-MNIST: images `uint8 (N, 28, 28)` and labels `int64 (N,)`.

    N is 60,000 for the training set and 10,000 for the test set (`train=False`).
    """
    return _load("fashion-mnist", train)


def files(name: str, train: bool = True) -> tuple[Path, Path]:
    """Return the verified gzipped IDX files of a data set: its images and its labels.

    Raises:
        ValueError: if there is no data set of that name.
        DownloadError: if a file is not here and no source gives it.
    """
    (images, _), (labels, _) = _copies(name, train)
    return images, labels


def _load(name: str, train: bool) -> tuple[Tensor, Tensor]:
    (_, images), (_, labels) = _copies(name, train)
    return read_idx(images), read_idx(labels).long()


def _copies(name: str, train: bool) -> tuple[tuple[Path, bytes], tuple[Path, bytes]]:
    source = _find(name)
    images, labels = source.train if train else source.test
    return sound_copy(source, images), sound_copy(source, labels)


def _find(name: str) -> Source:
    if name not in SOURCES:
        raise ValueError(f"there is no data set {name!r}; there are {', '.join(SOURCES)}")
    return SOURCES[name]
