"""`explore.draw`: draw a digit, and the student's own trained network answers in the browser."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from firstlight.datasets import DownloadError, load_mnist
from firstlight.explore.evaluation import is_images_and_labels, percent
from firstlight.explore.frame import Explorer
from firstlight.explore.network import Network, write_down

EXAMPLES_PER_CLASS = 2
MOST_EXAMPLES = 60
TITLE = "Draw a digit: your network answers"


def draw(
    model: object,
    *,
    mean: float = 0.0,
    std: float = 1.0,
    examples: tuple[Tensor, Tensor] | None = None,
) -> Explorer:
    """Draw a digit; your trained network answers while you draw.

    The network runs in the browser, in eval mode, so the picture also works without Python. The
    drawing is prepared as MNIST was: scaled into a box of 20 × 20 pixels, then placed into 28 × 28
    with its centre of mass in the middle.

    Args:
        model: a network from one picture, (1, 1, 28, 28), (1, 28, 28) or (1, 784), to ten logits.
        mean: what you subtracted from the pixels in 0..1 before training.
        std: what you then divided them by. The network gets `(pixel / 255 - mean) / std`, and
            without both the pixels in 0..1. If it divides by 255 itself, pass `std=1 / 255`.
        examples: pictures to choose from, (images `uint8` (N, 28, 28), labels (N,)); without them,
            two test images of MNIST for each digit.

    Raises:
        TypeError: for a network that the browser can't run; the message names the layer.
    """
    mean, std = _normalisation(mean, std)
    chosen = _some_test_images() if examples is None else _checked(examples)
    pictures = (torch.cat([chosen.images, _extremes()]).float() / 255 - mean) / std
    network = write_down(model, pictures)
    data = {
        "network": network.data,
        "mean": mean,
        "std": std,
        "examples": {
            "pixels": base64.b64encode(chosen.images.numpy().tobytes()).decode(),
            "labels": chosen.labels.tolist(),
            "numbers": chosen.numbers,
        },
    }
    return Explorer("draw", TITLE, data, _text(network, chosen, mean, std))


@dataclass(frozen=True)
class _Examples:
    """Pictures (N, 28, 28) as bytes, their labels (N,) and their places in their data set."""

    images: Tensor
    labels: Tensor
    numbers: list[int]


def _normalisation(mean: object, std: object) -> tuple[float, float]:
    for name, value in (("mean", mean), ("std", std)):
        number = value.item() if isinstance(value, Tensor) and value.numel() == 1 else value
        if isinstance(number, bool) or not isinstance(number, (int, float)):
            raise TypeError(f"explore.draw needs one number as {name}; it got {value!r:.60}.")
        if not math.isfinite(number) or (name == "std" and number <= 0):
            raise TypeError(f"explore.draw can't normalise with {name}={number}.")
    return float(mean), float(std)  # type: ignore[arg-type]


def _some_test_images() -> _Examples:
    """The first test images of each digit; none where MNIST can't be had."""
    try:
        images, labels = load_mnist(train=False)
    except DownloadError:
        return _Examples(torch.zeros(0, 28, 28, dtype=torch.uint8), torch.zeros(0), [])
    places = [(labels == digit).nonzero()[:EXAMPLES_PER_CLASS, 0] for digit in range(10)]
    numbers = torch.stack(places, dim=1).flatten()  # 0 to 9, and 0 to 9 again
    return _Examples(images[numbers], labels[numbers], numbers.tolist())


def _checked(examples: object) -> _Examples:
    if not is_images_and_labels(examples):
        raise TypeError("explore.draw needs examples=(images, labels), two tensors of one length.")
    images, labels = examples
    if images.dtype != torch.uint8 or images.shape[1:] not in ((28, 28), (1, 28, 28)):
        raise TypeError(
            "explore.draw needs example images of dtype uint8 and shape (N, 28, 28), as load_mnist "
            f"gives them; it got {images.dtype} and {tuple(images.shape)}."
        )
    if len(images) > MOST_EXAMPLES:
        raise TypeError(
            f"explore.draw shows at most {MOST_EXAMPLES} examples; it got {len(images):,}. "
            f"Try images[:{MOST_EXAMPLES}], labels[:{MOST_EXAMPLES}]."
        )
    images = images.detach().cpu().reshape(-1, 28, 28).contiguous()
    return _Examples(images, labels.detach().cpu(), list(range(len(images))))


def _extremes() -> Tensor:
    """Pictures unlike any digit, on which the network in the browser is proved as well."""
    noise = torch.randint(0, 256, (2, 28, 28), generator=torch.Generator().manual_seed(0))
    flat = torch.tensor([0, 255]).reshape(2, 1, 1).expand(2, 28, 28)
    return torch.cat([noise, flat]).to(torch.uint8)


def _text(network: Network, examples: _Examples, mean: float, std: float) -> str:
    numbers = len(network.weights) // 4
    prepared = f"(pixel / 255 - {mean:g}) / {std:g}" if (mean, std) != (0, 1) else "pixel / 255"
    return "\n".join(
        [
            "Here you draw a digit with mouse, finger, pen or keyboard, and your network answers.",
            "It runs in the browser, in eval mode. What it gets is a picture of 28 × 28 pixels,",
            "prepared as MNIST was: scaled into 20 × 20, its centre of mass in the middle.",
            f"Each value is {prepared}, and the shape is {network.input_shape}.",
            "",
            f"It is {len(network.steps)} operations with {numbers:,} numbers:",
            *(f"  {_step_text(step)}" for step in network.steps),
            *_answers_text(network, examples),
        ]
    )


def _step_text(step: dict[str, Any]) -> str:
    return f"{step['op']:<12} gives {tuple(step['shape'])!s:<18} {step['layer']}"


def _answers_text(network: Network, examples: _Examples) -> Iterator[str]:
    if not examples.numbers:
        return
    answers = network.answers[: len(examples.numbers)].float()
    probabilities = answers if network.ends_in_softmax else answers.softmax(1)
    confidences, said = probabilities.max(1)
    yield ""
    yield "What it says to the example images:"
    for number, label, answer, confidence in zip(
        examples.numbers, examples.labels.tolist(), said.tolist(), confidences.tolist(), strict=True
    ):
        verdict = "right" if label == answer else "wrong"
        yield f"  image {number}: a {label}, answered {answer} ({percent(confidence)}), {verdict}"
