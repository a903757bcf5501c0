"""The network: two hidden layers, each with ReLU and dropout, and one score for each class."""

import torch.nn.functional as F
from torch import Tensor, nn


class ClothesNet(nn.Module):
    """Give ten scores, logits, for each image of 28 × 28 pixels."""

    def __init__(self, hidden: int = 256, dropout: float = 0.3) -> None:
        super().__init__()
        self.first = nn.Linear(28 * 28, hidden)
        self.second = nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden, 10)
        self.dropout = dropout

    def forward(self, images: Tensor) -> Tensor:
        x = images.flatten(1)  # (B, 28, 28) -> (B, 784)
        x = F.dropout(F.relu(self.first(x)), self.dropout)  # (B, hidden)
        x = F.dropout(F.relu(self.second(x)), self.dropout)  # (B, hidden)
        return self.last(x)  # (B, 10)
