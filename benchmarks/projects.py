"""How fast and how well the projects' reference networks train, over several seeds."""

from __future__ import annotations

import contextlib
import io
import time
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from benchmarks.promise import Measured, Unmeasured
from firstlight import load_mnist
from firstlight.checking import find_exercise
from firstlight.course import load_course

SEEDS = 5


@dataclass(frozen=True)
class Training:
    """One training from one seed."""

    seconds: float
    accuracy: float  # per cent of the test images


def mnist_time() -> Measured:
    """Time the training of the MNIST project's reference, data in memory."""
    accuracies = ", ".join(f"{run.accuracy:.2f}" for run in _mnist())
    threads = f"{torch.get_num_threads()} threads"
    return Measured(
        tuple(run.seconds for run in _mnist()), f"{threads}; {accuracies} % of the test"
    )


def mnist_accuracy() -> Measured:
    """Take the test accuracy of the MNIST project's reference."""
    return Measured(tuple(run.accuracy for run in _mnist()), f"seeds 0 to {SEEDS - 1}")


def fashion_time() -> Measured:
    """Time the training of the Fashion-MNIST project's reference."""
    if not load_course().lesson("fashion-mnist-project").exists:
        raise Unmeasured("the lesson is not written yet")
    raise Unmeasured("the lesson is there, and this row does not know how to train its reference")


@cache
def _mnist() -> tuple[Training, ...]:
    """Train the reference of the project's last milestone on all training images."""
    try:
        milestone = find_exercise("train_digit_classifier")
    except KeyError as unknown:
        raise Unmeasured("the lesson is not written yet") from unknown
    images, labels = load_mnist(train=True)
    tests, answers = load_mnist(train=False)
    mean, std = (images / 255).mean(), (images / 255).std()

    def standardised(pixels: Tensor) -> Tensor:
        return torch.sub(pixels / 255, mean).div(std).unsqueeze(1)

    inputs, test_inputs = standardised(images), standardised(tests)
    runs = []
    for seed in range(SEEDS):
        torch.manual_seed(seed)
        began = time.perf_counter()
        with contextlib.redirect_stderr(io.StringIO()):  # its progress bar
            network = milestone.reference(inputs, labels)
        seconds = time.perf_counter() - began
        with torch.no_grad():
            right = (network(test_inputs).argmax(1) == answers).float().mean().item()
        runs.append(Training(seconds, 100 * right))
    return tuple(runs)
