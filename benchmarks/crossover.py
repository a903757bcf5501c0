"""Record when a GPU matters: seconds for a matrix product and for a training step, over their sizes.

Run it on a machine with a GPU; without one only the CPU's column is filled::

    python -m benchmarks.crossover            # writes crossover.json beside lesson 9
    python -m benchmarks.crossover other.json

The file says which GPU, which version of PyTorch and which day. Nothing in it is typed by hand.
"""

from __future__ import annotations

import datetime
import json
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

LESSON = Path(__file__).parent.parent / "firstlight" / "lessons" / "gpu_training"
RECORD = LESSON / "crossover.json"
SIDES = (64, 128, 256, 512, 1024, 2048)  # of two square matrices
WIDTHS = (64, 256, 1024, 2048)  # hidden units of an MLP with two hidden layers
BATCH = 128
ENOUGH = 0.2  # seconds that one measurement should take


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
    """Name the device as its maker does, where PyTorch knows the name."""
    if device.type == "cuda":
        return torch.cuda.get_device_name()
    return platform.processor() or platform.machine()


def seconds(work: Callable[[], Any], device: torch.device) -> float:
    """Measure one run: warmed up, nothing left in the queue at either reading of the clock."""
    work()
    synchronize(device)
    start = time.perf_counter()
    work()
    synchronize(device)
    repeats = max(3, int(ENOUGH / max(time.perf_counter() - start, 1e-6)))
    start = time.perf_counter()
    for _ in range(repeats):
        work()
    synchronize(device)
    return (time.perf_counter() - start) / repeats


def matrix_product(side: int, device: torch.device) -> Callable[[], Any]:
    """Make the product of two (side, side) matrices in float32."""
    a, b = torch.randn(2, side, side, device=device)
    return lambda: a @ b


def training_step(width: int, device: torch.device) -> Callable[[], Any]:
    """Make one step of Adam for an MLP on a batch of images that is already on the device."""
    layers = nn.Linear(784, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()
    model = nn.Sequential(*layers, nn.Linear(width, 10)).to(device)
    optimizer = torch.optim.Adam(model.parameters())
    images = torch.randn(BATCH, 784, device=device)
    labels = torch.randint(0, 10, (BATCH,), device=device)

    def step() -> None:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(images), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def measure() -> dict[str, Any]:
    """Measure both curves on every device of this machine."""
    record: dict[str, Any] = {
        "date": datetime.date.today().isoformat(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "devices": {device.type: hardware(device) for device in devices()},
        "batch": BATCH,
        "matrix product": {},
        "training step": {},
    }
    for device in devices():
        for name, sizes, make in (
            ("matrix product", SIDES, matrix_product),
            ("training step", WIDTHS, training_step),
        ):
            record[name][device.type] = {n: seconds(make(n, device), device) for n in sizes}
    return record


def main() -> int:
    """Measure, print and write the record."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else RECORD
    record = measure()
    text = json.dumps(record, indent=1)
    path.write_text(text + "\n", encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
