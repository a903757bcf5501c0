"""Keep weights: the best ones of a run in memory, and those of a network in a file."""

import math
from pathlib import Path

import torch
from torch import Tensor, nn


class Best:
    """The weights with the lowest validation loss so far."""

    def __init__(self) -> None:
        self.loss = math.inf
        self.weights: dict[str, Tensor] = {}

    def offer(self, loss: float, model: nn.Module) -> None:
        """Keep the weights of the model if this loss is the lowest yet."""
        if loss < self.loss:
            self.loss = loss
            self.weights = model.state_dict()

    def restore(self, model: nn.Module) -> None:
        """Give the model the weights that were kept."""
        model.load_state_dict(self.weights)


def save(path: Path, model: nn.Module) -> None:
    """Write the weights of a model into a file."""
    torch.save(model.state_dict(), path)


def load(path: Path, model: nn.Module) -> None:
    """Give a model the weights that stand in a file."""
    model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
