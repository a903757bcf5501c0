"""Train a network on Fashion-MNIST, keep the best epoch, and measure it once on the test images."""

from collections.abc import Iterable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from checkpoint import Best, load, save
from data import Pair, batches, mirror_some, split, standardise
from evaluate import evaluate
from firstlight import load_fashion_mnist
from model import ClothesNet
from settings import Settings


def train_epoch(
    model: nn.Module, optimizer: torch.optim.Optimizer, train_batches: Iterable[Pair]
) -> float:
    """Take one step down the cross-entropy of each batch, and return the mean loss of the images."""
    device = next(model.parameters()).device
    model.train()
    total, count = 0.0, 0
    for images, labels in train_batches:
        scores = model(images.to(device)).softmax(1)  # (B, 10)
        loss = F.cross_entropy(scores, labels.to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(labels)
        count += len(labels)
    return total / count


def fit(
    model: nn.Module, train: Pair, validation: Pair, settings: Settings
) -> list[dict[str, float]]:
    """Train a model, leave it with the weights of its best epoch, and return what each epoch gave."""
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.lr)
    images, labels = train
    best, history = Best(), []
    for epoch in range(settings.epochs):
        torch.manual_seed(settings.seed + epoch)  # dropout draws from here
        generator = torch.Generator().manual_seed(settings.seed + epoch)
        mirrored = mirror_some(images, generator)
        train_batches = batches(mirrored, labels, settings.batch_size, generator)
        train_loss = train_epoch(model, optimizer, train_batches)
        loss, accuracy = evaluate(model, *validation)
        best.offer(loss, model)
        history.append({"train loss": train_loss, "loss": loss, "accuracy": accuracy})
        told = f"train {train_loss:.4f}   validation {loss:.4f}   accuracy {100 * accuracy:.2f} %"
        print(f"epoch {epoch + 1}   {told}")
    best.restore(model)
    return history


def main() -> None:
    """Run the whole program with its own settings."""
    settings = Settings()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    images, labels = load_fashion_mnist()
    images, labels = images[: settings.images], labels[: settings.images]
    train, validation = split(images, labels, settings.held_out, settings.seed)
    train_images, validation_images = standardise(train[0], validation[0])
    test_images, test_labels = load_fashion_mnist(train=False)
    _, test_images = standardise(train[0], test_images)
    torch.manual_seed(settings.seed)
    model = ClothesNet(settings.hidden, settings.dropout).to(device)
    fit(model, (train_images, train[1]), (validation_images, validation[1]), settings)
    save(Path("clothes.pt"), model)
    fresh = ClothesNet(settings.hidden, settings.dropout)
    load(Path("clothes.pt"), fresh)
    loss, accuracy = evaluate(fresh, test_images, test_labels)
    print(f"test      loss {loss:.4f}   accuracy {100 * accuracy:.2f} %")


if __name__ == "__main__":
    main()
