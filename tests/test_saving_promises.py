"""What the course promises of saving: a resumed run is the same to the last bit, and an export computes the same."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from firstlight import load_mnist
from firstlight.checking import find_exercise

EPOCHS = 4


def network() -> nn.Module:
    return nn.Sequential(
        *(nn.Flatten(), nn.Linear(784, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.3)),
        nn.Linear(32, 10),
    )


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor]:
    images, labels = load_mnist(train=True)
    return images[:512, None] / 255, labels[:512]


class Training:
    """A run with all that has a state: momentum, a schedule, dropout, shuffling, BatchNorm."""

    def __init__(self, data: tuple[Tensor, Tensor], seed: int) -> None:
        torch.manual_seed(seed)
        self.images, self.labels = data
        self.model = network()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=0.01)
        steps = EPOCHS * len(self.images.split(64))
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(self.optimizer, 0.01, steps)
        self.parts = (self.model, self.optimizer, self.schedule)

    def epochs(self, count: int) -> list[float]:
        losses = []
        for _ in range(count):
            self.model.train()
            for rows in torch.randperm(len(self.images)).split(64):
                loss = F.cross_entropy(self.model(self.images[rows]), self.labels[rows])
                self.optimizer.zero_grad()
                loss.backward()
                self.optimizer.step()
                self.schedule.step()
                losses.append(loss.item())
        return losses


def same(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return torch.equal(one, other) if isinstance(one, Tensor) else bool(one == other)


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_a_resumed_run_is_the_run_that_never_stopped(
    tmp_path: Path, digits: tuple[Tensor, Tensor], stop: int
) -> None:
    straight = Training(digits, seed=0)
    losses = straight.epochs(EPOCHS)

    first = Training(digits, seed=0)
    told = first.epochs(stop)
    find_exercise("save_checkpoint").reference(tmp_path / "run.pt", *first.parts, stop)
    second = Training(digits, seed=99)  # other weights, other random numbers
    torch.rand(7)
    done = find_exercise("load_checkpoint").reference(tmp_path / "run.pt", *second.parts)
    told += second.epochs(EPOCHS - done)

    assert told == losses
    for resumed, whole in zip(second.parts, straight.parts, strict=True):
        assert same(resumed.state_dict(), whole.state_dict())


def test_without_the_optimizer_the_run_is_another(
    tmp_path: Path, digits: tuple[Tensor, Tensor]
) -> None:
    straight, cut = Training(digits, seed=0), Training(digits, seed=0)
    losses = straight.epochs(EPOCHS)
    cut.epochs(2)
    fresh = Training(digits, seed=0)
    cut.optimizer, cut.schedule = fresh.optimizer, fresh.schedule
    find_exercise("save_checkpoint").reference(tmp_path / "run.pt", *cut.parts, 2)
    resumed = Training(digits, seed=99)
    find_exercise("load_checkpoint").reference(tmp_path / "run.pt", *resumed.parts)
    assert resumed.epochs(2) != losses[len(losses) // 2 :]


def test_an_exported_network_computes_the_same(
    tmp_path: Path, digits: tuple[Tensor, Tensor]
) -> None:
    run = Training(digits, seed=0)
    run.epochs(1)
    model, images = run.model.eval(), digits[0]
    free = {"dynamic_shapes": ({0: torch.export.Dim("batch")},)}
    with torch.no_grad():
        due = model(images)

    torch.export.save(
        torch.export.export(model, (images[:4].clone(),), **free), tmp_path / "net.pt2"
    )
    with torch.no_grad():
        loaded = torch.export.load(tmp_path / "net.pt2").module()(images)
    torch.testing.assert_close(loaded, due, rtol=1e-5, atol=1e-5)

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        written = torch.onnx.export(
            model, (images[:4].clone(),), **free, dynamo=True, verbose=False
        )
    assert written is not None
    written.save(tmp_path / "net.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    (given,) = session.get_inputs()
    (answer,) = session.run(None, {given.name: images.numpy()})
    np.testing.assert_allclose(answer, due.numpy(), rtol=1e-5, atol=1e-5)
