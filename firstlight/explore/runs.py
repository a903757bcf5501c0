"""`explore.runs(runs)`: experiments side by side: curves, classes, cost, with the spread of seeds."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from firstlight.explore.frame import Explorer
from firstlight.explore.runs_read import (
    Group,
    Run,
    Spread,
    find_baseline,
    read_classes,
    read_runs,
)
from firstlight.explore.runs_words import best, fact, notes, settings, text_of
from firstlight.explore.tensors import counted

MOST_NUMBERS = 60_000  # in all curves together: 320 kB


def runs(runs: object, *, classes: object = None, baseline: object = None) -> Explorer:
    """Show experiments side by side: what each reached, how surely, and at what cost.

    Args:
        runs: a list with one dict for each run. Only `"name"` is needed; what else there is, is shown:
            `"config"`, a dict of settings; `"history"`, a pair (training loss, validation loss) for
            each epoch, as `fit` returns it; `"accuracy"`, from 0 to 1, or a list with one for each
            epoch; `"per_class"`, the accuracy of each class; `"seconds"`; `"parameters"`, how many the
            model has; `"seed"`. Other keys are not read. Runs with one name are one experiment,
            repeated: it is shown as their mean, the lowest and the highest.
        classes: the names of the classes, in the order of `"per_class"`.
        baseline: the name that the others are compared to, if not that of the first run.

    Raises:
        TypeError: for what is no list of such dicts.
        ValueError: for an accuracy outside 0 to 1, a negative cost, an unknown baseline.
    """
    groups = read_runs(runs)
    names = read_classes(classes, groups)
    base = find_baseline(baseline, groups)
    stride = _stride(groups)
    said = list(notes(groups, names if classes is not None else [], stride))
    data = {
        "baseline": base,
        "best": best(groups),
        "stride": stride,
        "classes": names if any(group.per_class for group in groups) else [],
        "groups": [_group_data(groups, place, base, stride) for place in range(len(groups))],
        "notes": [{"loud": loud, "text": text} for loud, text in said],
    }
    return Explorer("runs", _title(groups), data, text_of(groups, base, names, said))


def _title(groups: Sequence[Group]) -> str:
    count = sum(len(group.runs) for group in groups)
    if count == 1:
        return "One run"
    if count == len(groups):
        return f"{counted(count, 'run')} side by side"
    return f"{counted(len(groups), 'experiment')} side by side, {counted(count, 'run')} in all"


def _group_data(groups: Sequence[Group], place: int, baseline: int, stride: int) -> dict[str, Any]:
    group = groups[place]
    return {
        "name": group.name,
        "word": group.word,
        "accuracy": _spread(group.accuracy),
        "loss": _spread(group.last_loss),
        "seconds": _spread(group.seconds),
        "parameters": _spread(group.parameters),
        "settings": settings(group, groups[baseline]),
        "fact": fact(groups, place, baseline),
        "classes": [_spread(spread) for spread in group.per_class],
        "runs": [_run_data(run, stride) for run in group.runs],
    }


def _spread(spread: Spread | None) -> list[float | str] | None:
    """Return mean, lowest, highest and how many."""
    if spread is None:
        return None
    return [*map(_plain, (spread.mean, spread.low, spread.high)), spread.count]


def _run_data(run: Run, stride: int) -> dict[str, Any]:
    curves = _curves(run)
    kept = [value for curve in curves for value in _thinned(curve, stride)]
    numbers = [math.nan if value is None else value for value in kept]
    with np.errstate(over="ignore"):  # a loss beyond float32 is drawn as one that is infinite
        packed = np.array(numbers, dtype="<f4").tobytes()
    return {
        "seed": run.seed,
        "lengths": [len(curve) for curve in curves],
        "curves": base64.b64encode(packed).decode(),
    }


def _curves(run: Run) -> list[Sequence[float | None]]:
    """Return what has a curve: training loss, validation loss, accuracy; empty if all is unknown."""
    accuracies = run.accuracies if len(run.accuracies) > 1 or len(run.training) == 1 else []
    curves: list[Sequence[float | None]] = [run.training, run.validation, accuracies]
    return [curve if any(value is not None for value in curve) else [] for curve in curves]


def _stride(groups: Sequence[Group]) -> int:
    """Return 1 to draw every epoch, 2 for every other, and so on, as there is room."""
    total = sum(len(curve) for group in groups for run in group.runs for curve in _curves(run))
    return max(1, math.ceil(total / MOST_NUMBERS))


def _thinned(curve: Sequence[float | None], stride: int) -> list[float | None]:
    """Keep every `stride`th number, and the last."""
    kept = list(curve[::stride])
    if curve and (len(curve) - 1) % stride:
        kept.append(curve[-1])
    return kept


def _plain(value: float) -> float | str:
    """Return the number; JSON has no word for NaN and infinity, so those are text."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else f"{'-' if value < 0 else ''}Infinity"
