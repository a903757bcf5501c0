"""Record when a GPU matters: seconds for a matrix product and for a training step, over their sizes.

Run it on a machine with a GPU; without one only the CPU's curves are recorded::

    python -m benchmarks.crossover            # writes crossover.json beside lesson 9, which draws it
    python -m benchmarks.crossover other.json

The file says which devices were measured, with which version of PyTorch and on which day. Nothing
in it is typed by hand.
"""

from __future__ import annotations

import datetime
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

LESSON = Path(__file__).parent.parent / "firstlight" / "lessons" / "gpu_training"
RECORD = LESSON / "crossover.json"
SIDES = (8, 16, 32, 64, 128, 256, 512, 1024, 2048)  # of two square matrices
WIDTHS = (8, 16, 32, 64, 128, 256, 512, 1024, 2048)  # hidden units of an MLP with two hidden layers
BATCH = 128
ROUNDS = 8  # through all measurements, so that a busy minute does not spoil a point
BLOCKS = 5  # of runs in each round; the fastest of all counts, the one disturbed least
ENOUGH = 0.01  # seconds that a block of runs should take

Work = Callable[[], Any]


def devices() -> list[torch.device]:
    """Name the CPU, and the accelerator if there is one that can be used."""
    found = [torch.device("cpu")]
    if torch.cuda.is_available():
        found.append(torch.device("cuda"))
    elif torch.backends.mps.is_available():
        found.append(torch.device("mps"))
    return found


def synchronize(device: torch.device) -> None:
    """Wait until a device has done everything in its queue; the CPU has none."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    elif device.type == "mps":
        torch.mps.synchronize()


def hardware(device: torch.device) -> str:
    """Say what a device is: the GPU's name, or how many cores the CPU lends to this process."""
    if device.type == "cuda":
        return torch.cuda.get_device_name()
    if device.type == "mps":
        return "the GPU of a Mac"
    usable = getattr(os, "sched_getaffinity", None)
    return f"{len(usable(0)) if usable else os.cpu_count()} CPU cores"


def seconds(work: Work, device: torch.device) -> float:
    """Measure one run: warmed up, nothing left in the queue at either reading of the clock."""
    once = block(work, device, 1)  # the warm-up, which does not count
    once = block(work, device, 1)
    repeats = max(1, int(ENOUGH / max(once, 1e-6)))
    return min(block(work, device, repeats) for _ in range(BLOCKS))


def block(work: Work, device: torch.device, repeats: int) -> float:
    """Measure the mean seconds of some runs, one directly after the other."""
    synchronize(device)
    start = time.perf_counter()
    for _ in range(repeats):
        work()
    synchronize(device)
    return (time.perf_counter() - start) / repeats


def matrix_product(side: int, device: torch.device) -> Work:
    """Make the product of two (side, side) matrices in float32."""
    a, b = torch.randn(2, side, side, device=device)
    return lambda: a @ b


def training_step(width: int, device: torch.device, dtype: torch.dtype | None = None) -> Work:
    """Make one step of Adam for an MLP on a batch of images that is already on the device."""
    layers = nn.Linear(784, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()
    model = nn.Sequential(*layers, nn.Linear(width, 10)).to(device)
    optimizer = torch.optim.Adam(model.parameters())
    images = torch.randn(BATCH, 784, device=device)
    labels = torch.randint(0, 10, (BATCH,), device=device)

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast(device.type, dtype=dtype or torch.bfloat16, enabled=dtype is not None):
            loss = nn.functional.cross_entropy(model(images), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def training_step_bfloat16(width: int, device: torch.device) -> Work:
    """Make the same step with the forward under autocast."""
    return training_step(width, device, torch.bfloat16)


CURVES: dict[str, tuple[tuple[int, ...], Callable[[int, torch.device], Work]]] = {
    "matrix product": (SIDES, matrix_product),
    "training step": (WIDTHS, training_step),
    "training step, bfloat16": (WIDTHS, training_step_bfloat16),
}


def measure() -> dict[str, Any]:
    """Measure every curve on every device of this machine, and keep each point's fastest block."""
    found = devices()
    fastest: dict[str, dict[str, dict[int, float]]] = {}
    for _ in range(ROUNDS):
        for curve, (sizes, make) in CURVES.items():
            for device in found:
                points = fastest.setdefault(curve, {}).setdefault(device.type, {})
                for size in sizes:
                    now = seconds(make(size, device), device)
                    points[size] = min(now, points.get(size, now))
    return {
        "date": datetime.date.today().isoformat(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "batch": BATCH,
        "devices": {device.type: hardware(device) for device in found},
        "seconds": fastest,
    }


def main() -> int:
    """Measure, print and write the record."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else RECORD
    text = json.dumps(measure(), indent=1)
    path.write_text(text + "\n", encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
