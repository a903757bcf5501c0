"""From images and labels to batches: split, standardise, mirror, shuffle."""

from collections.abc import Iterator

import torch
from torch import Tensor

Pair = tuple[Tensor, Tensor]


def split(images: Tensor, labels: Tensor, held_out: int, seed: int) -> tuple[Pair, Pair]:
    """Hold out images at random; returns (images, labels) to train on, and those held out."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(images), generator=generator)
    kept, out = order[held_out:], order[:held_out]
    return (images[kept], labels[kept]), (images[out], labels[out])


def standardise(train: Tensor, validation: Tensor) -> tuple[Tensor, Tensor]:
    """Shift and scale all pixels by the mean and the standard deviation of the training images."""
    train, validation = train.float(), validation.float()
    mean, std = train.mean(), train.std()
    return (train - mean) / std, (validation - mean) / std


def mirror_some(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror each image (rows, columns) of a batch from left to right, with a chance of one half."""
    chosen = torch.rand(len(images), generator=generator) < 0.5
    return torch.where(chosen[:, None, None], images.flip(1), images)


def batches(
    images: Tensor, labels: Tensor, size: int, generator: torch.Generator
) -> Iterator[Pair]:
    """Yield every image with its label once, in a random order, `size` at a time."""
    order = torch.randperm(len(images), generator=generator)
    for rows in order.split(size):
        yield images[rows], labels[rows]
