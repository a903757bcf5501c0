"""How fast and how well the projects' reference networks train, over several seeds."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn

from benchmarks.promise import Measured
from firstlight import load_fashion_mnist, load_mnist
from firstlight.checking import find_exercise

SEEDS = 5


@dataclass(frozen=True)
class Training:
    """One training from one seed."""

    seconds: float
    accuracy: float  # per cent of the test images


def mnist_time() -> Measured:
    """Time the training of the MNIST project's reference, data in memory."""
    return _times(_mnist())


def mnist_accuracy() -> Measured:
    """Take the test accuracy of the MNIST project's reference."""
    return _accuracies(_mnist())


def fashion_time() -> Measured:
    """Time the training of the Fashion-MNIST project's reference, a network without convolutions."""
    return _times(_fashion())


def fashion_accuracy() -> Measured:
    """Take the test accuracy of the Fashion-MNIST project's reference."""
    return _accuracies(_fashion())


def stretch_time() -> Measured:
    """Time the training of the Fashion-MNIST project's convolutional network."""
    return _times(_stretch())


def stretch_accuracy() -> Measured:
    """Take the test accuracy of the Fashion-MNIST project's convolutional network."""
    return _accuracies(_stretch())


def _times(runs: tuple[Training, ...]) -> Measured:
    accuracies = ", ".join(f"{run.accuracy:.2f}" for run in runs)
    threads = f"{torch.get_num_threads()} threads"
    return Measured(tuple(run.seconds for run in runs), f"{threads}; {accuracies} % of the test")


def _accuracies(runs: tuple[Training, ...]) -> Measured:
    return Measured(tuple(run.accuracy for run in runs), f"seeds 0 to {len(runs) - 1}")


@cache
def _mnist() -> tuple[Training, ...]:
    """Train the reference of lesson 6's last milestone."""
    return _trained(find_exercise("train_digit_classifier").reference, load_mnist)


@cache
def _fashion() -> tuple[Training, ...]:
    """Train the reference of lesson 10's milestone."""
    return _trained(find_exercise("train_clothes_classifier").reference, load_fashion_mnist)


@cache
def _stretch() -> tuple[Training, ...]:
    """Train that of lesson 10's right answers which goes for the stretch goal."""
    answers = find_exercise("train_clothes_classifier").alternatives
    [network] = [one.answer for one in answers if one.name == "stretch"]
    return _trained(network, load_fashion_mnist)


def _trained(
    train: Callable[[Tensor, Tensor], nn.Module], load: Callable[..., tuple[Tensor, Tensor]]
) -> tuple[Training, ...]:
    """Train on all training images, from several seeds, and measure on the test images."""
    images, labels = load(train=True)
    tests, answers = load(train=False)
    mean, std = (images / 255).mean(), (images / 255).std()

    def standardised(pixels: Tensor) -> Tensor:
        return torch.sub(pixels / 255, mean).div(std).unsqueeze(1)

    inputs, test_inputs = standardised(images), standardised(tests)
    runs = []
    for seed in range(SEEDS):
        torch.manual_seed(seed)
        began = time.perf_counter()
        with contextlib.redirect_stderr(io.StringIO()):  # its progress bar
            network = train(inputs, labels)
        seconds = time.perf_counter() - began
        with torch.no_grad():
            logits = torch.cat([network(some) for some in test_inputs.split(1000)])
        right = (logits.argmax(1) == answers).float().mean().item()
        runs.append(Training(seconds, 100 * right))
    return tuple(runs)
