"""Measure a network on images that it does not learn from."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@torch.no_grad()
def evaluate(
    model: nn.Module, images: Tensor, labels: Tensor, batch_size: int = 512
) -> tuple[float, float]:
    """Return the mean cross-entropy over the images, and the fraction that is classified rightly."""
    model.eval()
    device = next(model.parameters()).device
    losses, rights = [], []
    for x, y in zip(images.split(batch_size), labels.split(batch_size), strict=True):
        logits, y = model(x.to(device)), y.to(device)
        losses.append(F.cross_entropy(logits, y).item())
        rights.append((logits.argmax(1) == y).float().mean().item())
    return sum(losses) / len(losses), sum(rights) / len(rights)
