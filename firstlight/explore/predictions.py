"""`explore.predictions`: a confusion matrix that opens the very images, and the mistakes first."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from firstlight.explore.evaluation import (
    are_probabilities,
    evaluating,
    first_line,
    home,
    is_images_and_labels,
    percent,
    require_model,
)
from firstlight.explore.frame import Explorer

BATCH = 500
MOST_CLASSES = 20
PER_CELL = 24  # images behind one number of the matrix
MISTAKES = 200  # the most confident ones, kept whatever cell they are in
ROOM = 320 * 28 * 28  # bytes of images in one explorer
LARGEST = 64  # pixels a side


def predictions(
    model: object, dataset: object, *, classes: Sequence[str] | None = None
) -> Explorer:
    """Show what your network says to a data set: the confusion matrix, the images, the mistakes.

    The network runs in eval mode and without gradients; afterwards it is as it was.

    Args:
        model: a network from a batch of images to one number for each class.
        dataset: pairs (image, label): a `Dataset`, a list, or a tuple (images, labels) of tensors.
            Images are grey: (H, W), (1, H, W), or flat with H = W. They are given to the network as
            they are and shown between the darkest and the brightest value of the data set.
        classes: the names of the classes; their numbers without.

    Raises:
        TypeError: for what is no network or no data set, or where the two do not fit.
    """
    network = require_model(model, "explore.predictions")
    with evaluating(network):  # a data set may draw random numbers too
        images, labels = _images_and_labels(dataset)
        outputs = _outputs(network, images)
    names = _class_names(classes, outputs.shape[1])
    _check_labels(labels, len(names))
    answers = _Answers.of(outputs, labels.long())
    pictures = _pictures(images)
    room = ROOM // (pictures.shape[1] * pictures.shape[2])
    kept = _select(answers, room)
    data = {
        "classes": names,
        "counts": answers.counts.tolist(),
        "height": pictures.shape[1],
        "width": pictures.shape[2],
        "pixels": base64.b64encode(_bytes(pictures, kept)).decode(),
        "kept": [answers.facts(index) for index in kept],
    }
    return Explorer("predictions", "Your network's predictions", data, _text(answers, names))


@dataclass(frozen=True)
class _Answers:
    """Per image its label, the class said, the probability of each; (true, said) counts."""

    labels: Tensor
    said: Tensor
    confidences: Tensor
    of_truth: Tensor
    counts: Tensor

    @classmethod
    def of(cls, outputs: Tensor, labels: Tensor) -> _Answers:
        probabilities = outputs if are_probabilities(outputs) else outputs.softmax(1)
        confidences, said = probabilities.max(1)
        classes = outputs.shape[1]
        return cls(
            labels=labels,
            said=said,
            confidences=confidences,
            of_truth=probabilities.gather(1, labels[:, None])[:, 0],
            counts=torch.bincount(labels * classes + said, minlength=classes**2).view(-1, classes),
        )

    @property
    def mistakes(self) -> list[int]:
        """Where the network is wrong, the most confident first."""
        order = self.confidences.argsort(descending=True, stable=True)
        return order[(self.said != self.labels)[order]].tolist()

    @property
    def hits(self) -> list[int]:
        """Where the network is right, the least sure first."""
        order = self.confidences.argsort(stable=True)
        return order[(self.said == self.labels)[order]].tolist()

    @property
    def right(self) -> int:
        return int(self.counts.diagonal().sum())

    @property
    def recalls(self) -> list[float]:
        """Of the images of a class, the share that was recognised (NaN where there are none)."""
        return cast(list[float], (self.counts.diagonal() / self.counts.sum(1)).tolist())

    @property
    def precisions(self) -> list[float]:
        """Of the images called a class, the share that are (NaN where there are none)."""
        return cast(list[float], (self.counts.diagonal() / self.counts.sum(0)).tolist())

    def facts(self, index: int) -> list[float]:
        """Index, label, class said, its probability and the true class's."""
        return [
            index,
            int(self.labels[index]),
            int(self.said[index]),
            round(float(self.confidences[index]), 6),
            round(float(self.of_truth[index]), 6),
        ]


# Reading the data set and asking the network ---------------------------------------------------


def _images_and_labels(dataset: object) -> tuple[Tensor, Tensor]:
    """Return images (N, ...) and labels (N,) on the CPU."""
    if isinstance(dataset, DataLoader):
        raise TypeError(
            "explore.predictions takes a data set, and this is a DataLoader: "
            "pass `loader.dataset`, so that every image keeps its number."
        )
    if isinstance(dataset, TensorDataset) and is_images_and_labels(dataset.tensors):
        images, labels = dataset.tensors
    elif is_images_and_labels(dataset):
        images, labels = dataset
    elif isinstance(dataset, (tuple, list)) and [type(part) for part in dataset] == [
        Tensor,
        Tensor,
    ]:
        raise TypeError(
            "explore.predictions needs images (N, ...) and as many labels (N,); "
            f"it got {tuple(dataset[0].shape)} and {tuple(dataset[1].shape)}."
        )
    else:
        images, labels = _stacked(dataset)
    if len(labels) == 0:
        raise TypeError("explore.predictions needs at least one image; the data set is empty.")
    return images.detach().cpu(), labels.detach().cpu()


def _stacked(dataset: object) -> tuple[Tensor, Tensor]:
    if not hasattr(dataset, "__getitem__") or not hasattr(dataset, "__len__"):
        raise TypeError(
            "explore.predictions needs a data set of (image, label) pairs, with `len(dataset)` and "
            f"`dataset[i]`, or a tuple (images, labels); it got {type(dataset).__name__}."
        )
    images, labels = [], []
    for index in range(len(dataset)):
        image, label = _pair(dataset[index], index)
        images.append(image)
        labels.append(label)
        if image.shape != images[0].shape:
            raise TypeError(
                "explore.predictions needs images of one shape; image 0 has "
                f"{tuple(images[0].shape)} and image {index} has {tuple(image.shape)}."
            )
    if not images:
        return torch.zeros(0, 1), torch.zeros(0)
    return torch.stack(images), torch.stack(labels)


def _pair(item: object, index: int) -> tuple[Tensor, Tensor]:
    try:
        image, label = cast(tuple[Any, Any], item)
        return torch.as_tensor(image), torch.as_tensor(label).reshape(())
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(
            "explore.predictions needs (image, label) pairs, a tensor and a whole number; "
            f"item {index} is {type(item).__name__}: {error}"
        ) from error


def _outputs(model: nn.Module, images: Tensor) -> Tensor:
    """Return the network's outputs (N, classes) as float64 on the CPU."""
    device, _ = home(model)
    outputs = []
    for batch in torch.split(images, BATCH):
        try:
            output = model(batch.to(device))
        except Exception as error:  # whatever the student's own code may raise
            raise TypeError(_misfit(batch, error)) from error
        if not isinstance(output, Tensor) or output.dim() != 2 or len(output) != len(batch):
            shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
            raise TypeError(
                f"explore.predictions needs one row of numbers for each image, ({len(batch)}, "
                f"classes); the network returned {shape}."
            )
        outputs.append(output.double().cpu())
    everything = torch.cat(outputs)
    _check_outputs(everything)
    return everything


def _misfit(batch: Tensor, error: Exception) -> str:
    advice = ""
    if not batch.is_floating_point():
        advice = " These are the raw pixels: give what you trained on, such as `images / 255`."
    return (
        f"The network can't take a batch of shape {tuple(batch.shape)} and dtype {batch.dtype}. "
        f"It raised {first_line(error)}.{advice}"
    )


def _check_outputs(outputs: Tensor) -> None:
    if not 2 <= outputs.shape[1] <= MOST_CLASSES:
        raise TypeError(
            f"explore.predictions shows 2 to {MOST_CLASSES} classes; "
            f"the network returns {outputs.shape[1]} numbers for each image."
        )
    lost = int(outputs.isnan().any(1).sum())
    if lost:
        raise TypeError(
            f"The network answers NaN for {lost:,} of {len(outputs):,} images, so there is nothing "
            "to show: its weights hold NaN or infinity, as after a training that diverged."
        )


def _check_labels(labels: Tensor, classes: int) -> None:
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise TypeError(f"explore.predictions needs whole numbers as labels, not {labels.dtype}.")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise TypeError(
            f"The labels go from {low} to {high}, and the network returns {classes} numbers for "
            f"each image: labels have to lie between 0 and {classes - 1}."
        )


def _class_names(classes: Sequence[str] | None, count: int) -> list[str]:
    if classes is None:
        return [str(number) for number in range(count)]
    names = list(classes)
    if isinstance(classes, str) or not all(isinstance(name, str) for name in names):
        raise TypeError("explore.predictions needs classes as a list of names.")
    if len(names) != count:
        raise TypeError(
            f"explore.predictions got {len(names)} class names, and the network returns {count} "
            "numbers for each image."
        )
    return names


# Choosing images -------------------------------------------------------------------------------


def _select(answers: _Answers, room: int) -> list[int]:
    """Return the images to keep: the most confident mistakes, then every cell in its turn.

    The order is the one in which they are shown: mistakes by falling confidence, then right answers
    by rising confidence.
    """
    mistakes, hits = answers.mistakes, answers.hits
    cells: dict[tuple[int, int], list[int]] = {}
    labels, said = answers.labels.tolist(), answers.said.tolist()
    for index in (*mistakes, *hits):
        cell = cells.setdefault((labels[index], said[index]), [])
        if len(cell) < PER_CELL:
            cell.append(index)
    turns = (cell[turn] for turn in range(PER_CELL) for cell in cells.values() if turn < len(cell))
    chosen = list(dict.fromkeys((*mistakes[: min(MISTAKES, 2 * room // 3)], *turns)))[:room]
    rank = {index: place for place, index in enumerate((*mistakes, *hits))}
    return sorted(chosen, key=rank.__getitem__)


def _pictures(images: Tensor) -> Tensor:
    """Return the images as (N, H, W), whatever their values."""
    shape = tuple(images.shape[1:])
    side = math.isqrt(shape[0]) if len(shape) == 1 else 0
    if len(shape) == 3 and shape[0] == 1:
        images = images[:, 0]
    elif side * side == math.prod(shape) and len(shape) == 1:
        images = images.reshape(-1, side, side)
    elif len(shape) != 2:
        raise TypeError(
            "explore.predictions shows grey images of shape (H, W), (1, H, W) or flat with H = W; "
            f"these are {shape}."
        )
    if max(images.shape[1:]) > LARGEST:
        raise TypeError(
            f"explore.predictions shows images of up to {LARGEST} × {LARGEST} pixels; "
            f"these are {images.shape[1]} × {images.shape[2]}."
        )
    return images


def _bytes(pictures: Tensor, kept: list[int]) -> bytes:
    """Return the kept pictures as bytes, black where the data set is darkest, white at its most."""
    darkest, brightest = (float(edge) for edge in pictures.aminmax())
    spread = (brightest - darkest) or 1.0
    shades = (pictures[kept].double() - darkest) * (255 / spread)
    return shades.round().to(torch.uint8).numpy().tobytes()


# The same in words -----------------------------------------------------------------------------


def _text(answers: _Answers, names: list[str]) -> str:
    total = len(answers.labels)
    return "\n".join(
        [
            f"{answers.right:,} of {total:,} right: accuracy {100 * answers.right / total:.2f} %.",
            "",
            "Confusion matrix: a row for each true class, a column for each answer.",
            *_matrix_text(answers.counts.tolist(), names),
            "",
            *_classes_text(answers, names),
            "",
            *_mistakes_text(answers, names),
        ]
    )


def _matrix_text(counts: list[list[int]], names: list[str]) -> Iterator[str]:
    first = max(map(len, names))
    width = max(*map(len, names), *(len(str(count)) for row in counts for count in row))
    yield " ".join([" " * first, *(name.rjust(width) for name in names)])
    for name, row in zip(names, counts, strict=True):
        yield " ".join([name.rjust(first), *(str(count).rjust(width) for count in row)])


def _classes_text(answers: _Answers, names: list[str]) -> Iterator[str]:
    yield "Recall: of the images of a class, those recognised. Precision: of those called so, right."
    for name, recall, precision in zip(names, answers.recalls, answers.precisions, strict=True):
        yield f"  {name}: recall {_share(recall)}, precision {_share(precision)}"


def _mistakes_text(answers: _Answers, names: list[str]) -> Iterator[str]:
    mistakes = answers.mistakes
    if not mistakes:
        yield "No mistakes."
        return
    yield f"{len(mistakes):,} mistakes; the most confident:"
    for index in mistakes[:10]:
        _, label, said, confidence, of_truth = answers.facts(index)
        yield (
            f"  image {index}: {names[int(label)]}, answered {names[int(said)]} with "
            f"{percent(confidence)}; the true class got {percent(of_truth)}"
        )


def _share(value: float) -> str:
    if value in (0, 1):
        return f"{value:.0%}".replace("%", " %")
    return "–" if math.isnan(value) else percent(value)
