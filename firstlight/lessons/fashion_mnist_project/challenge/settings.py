"""The numbers of a run, in one place."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """What a run is made of; the same settings give the same run."""

    images: int = 12_000  # of the 60,000: an epoch then takes a second or less
    held_out: int = 3_000
    epochs: int = 5
    batch_size: int = 128
    lr: float = 0.001
    hidden: int = 256
    dropout: float = 0.3
    seed: int = 0
