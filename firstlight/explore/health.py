"""`explore.health(history)`: activations, gradients and updates by layer and step; what died and when."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from firstlight.explore.frame import Explorer
from firstlight.explore.health_history import Floats, Health, Series, read_health
from firstlight.explore.health_record import Recorder
from firstlight.explore.health_verdicts import BAND, RATIO, Verdict, verdicts_on
from firstlight.explore.health_words import facts_on, notes_on, text_of
from firstlight.explore.training_history import Frames, Run, bands, choose_frames

FRAMES = (101, 201)  # steps on show: the fewer the more rows there are
FIRST_FRAMES = 20  # in a row: much happens at the start
MOST_NUMBERS = 30_000  # in the whole picture, about
MOST_ROWS = 60  # layers, and as many parameters
_LARGEST = 3e38  # float32 holds no larger number


def health(history: Recorder | Sequence[dict[str, Any]]) -> Explorer:
    """Show how healthy a training was: activations, gradients and updates by layer and step.

    Above the picture stands what is out of the ordinary, with its numbers: units that give nothing
    but 0, gradients that vanish or explode on their way back, the first NaN or infinity, parameters
    that get no gradient or are never updated, updates far from the usual size. The band around an
    update ratio of 1e-3 is a rule of thumb (A. Karpathy, CS231n lecture notes, "Neural Networks
    Part 3"); networks train well outside of it, too.

    Args:
        history: what `explore.record(model)` gave: the recorder, or its `history`.

    Raises:
        TypeError: for anything else, and for a history without a step.
    """
    seen = read_health(history)
    verdicts = verdicts_on(seen)
    frames = _frames(seen, verdicts)
    layers, parameters = (_few(rows, verdicts) for rows in (seen.layers, seen.parameters))
    notes = notes_on(seen, len(layers), len(parameters), frames.sentence)
    facts = [] if verdicts else facts_on(seen)
    data = {
        "unit": "step",
        "length": seen.length,
        "frames": frames.steps,
        "loss": _loss(seen, frames),
        "layers": [_layer(row, frames.steps) for row in layers],
        "parameters": [_parameter(row, frames.steps) for row in parameters],
        "verdicts": [vars(verdict) for verdict in verdicts],
        "facts": facts,
        "notes": notes,
        "band": BAND,
        "ratio": RATIO,
    }
    text = text_of(seen, verdicts, facts, notes)
    steps = "1 step" if seen.length == 1 else f"{seen.length:,} steps"
    return Explorer("health", f"The health of your training, {steps}", data, text)


def _frames(seen: Health, verdicts: Sequence[Verdict]) -> Frames:
    """Choose the steps on show; those that a verdict names are among them."""
    run = Run("", seen.losses.tolist(), [], False)
    if not seen.has_loss.all():
        run = Run("", [0.0] * seen.length, [], False)
    rows = min(MOST_ROWS, len(seen.layers)) + min(MOST_ROWS, len(seen.parameters))
    most = max(FRAMES[0], min(FRAMES[1], MOST_NUMBERS // (6 * rows + 1)))
    chosen = choose_frames([run], most, FIRST_FRAMES)
    if chosen.sentence is None:
        return chosen
    marked = {step for verdict in verdicts for step in (verdict.step - 1, verdict.step)}
    steps = sorted({*chosen.steps, *(step for step in marked if step >= 0)})
    stride = math.ceil((seen.length - FIRST_FRAMES) / (most - FIRST_FRAMES))
    events = ", and where something happens" if verdicts else ""
    sentence = (
        f"Of {seen.length:,} steps {len(steps)} are drawn: the first {FIRST_FRAMES}, then one in "
        f"{stride:,}, and the last{events}. What is said above was read from all of them."
    )
    return Frames(steps, sentence)


def _few(rows: Sequence[Series], verdicts: Sequence[Verdict]) -> list[Series]:
    """Return the first rows, and those that a verdict names."""
    named = {verdict.row for verdict in verdicts}
    return [row for place, row in enumerate(rows) if place < MOST_ROWS or row.name in named]


def _loss(seen: Health, frames: Frames) -> dict[str, Any] | None:
    if not seen.has_loss.all():
        return None
    run = Run("", seen.losses.tolist(), [], False)
    pairs = None if frames.sentence is None else bands(run, frames.steps)
    return {
        "label": "",
        "length": seen.length,
        "loss": [_plain(run.losses[step]) for step in frames.steps],
        "bands": pairs and [[_plain(low), _plain(high)] for low, high in pairs],
        "diverged": run.diverged,
    }


def _layer(row: Series, steps: list[int]) -> dict[str, Any]:
    keys = ("mean", "std", "largest", "zero", "dead", "nonfinite")
    return {
        "name": row.name,
        "kind": row.kind,
        "units": row.last["units"],
        "columns": {key: _packed(row[key], row.there, steps) for key in keys},
    }


def _parameter(row: Series, steps: list[int]) -> dict[str, Any]:
    held = np.array([entry is not None for entry in row.entries])
    columns = {key: _packed(row[key], row.there, steps) for key in ("gradient", "largest")}
    columns |= {key: _packed(row[key], held, steps) for key in ("weight", "update")}
    columns["ratio"] = _packed(row["ratio"], held & (row["weight"] != 0), steps)
    return {
        "name": row.name,
        "shape": list(row.last["shape"]),
        "trains": row.last["trains"],
        "columns": columns,
    }


def _packed(values: Floats, there: Any, steps: list[int]) -> str | float | None:
    """Return the values at some steps; one that is always the same as a number, None as -inf."""
    clipped = np.where(np.isfinite(values), np.clip(values, -_LARGEST, _LARGEST), values)
    shown = np.where(there, clipped, -np.inf)[steps].astype("<f4")
    if (shown == shown[0]).all():
        first = float(shown[0])
        return None if math.isinf(first) and first < 0 else _constant(first, shown)
    return base64.b64encode(shown.tobytes()).decode()


def _constant(value: float, shown: Any) -> str | float:
    return value if math.isfinite(value) else base64.b64encode(shown.tobytes()).decode()


def _plain(value: float) -> float | str:
    """Return seven digits of a number; JSON has no word for the others, so those are text."""
    if math.isfinite(value):
        return float(f"{value:.7g}")
    return "NaN" if math.isnan(value) else f"{'-' if value < 0 else ''}Infinity"
