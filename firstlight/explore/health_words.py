"""The health of a training in words: what was sound, what the picture leaves out, and its numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from firstlight.explore.health_history import Health, Series
from firstlight.explore.health_record import INPUT
from firstlight.explore.health_verdicts import BAND, RATIO, Verdict, named, percent, short
from firstlight.explore.tensors import counted

TEXT_STEPS = (0, 1, 3, 10, 30, 100, 300, 1000, 3000, 10_000)
VIEWS = (
    ("Activations: standard deviation of each layer's output", "layers", "std"),
    ("Activations: share of units that give 0 for every example", "layers", "dead"),
    ("Gradients: norm by parameter", "parameters", "gradient"),
    (
        f"Updates: norm of the change in this step / norm of the parameter (rule of thumb: {RATIO:g})",
        "parameters",
        "ratio",
    ),
)


def facts_on(health: Health) -> list[str]:
    """Say what a training without findings looks like, in its own numbers."""
    return [
        text for text in (*_complete(health), *_depth(health), *_ratios(health), *_silent(health))
    ]


def _complete(health: Health) -> Iterator[str]:
    trained = [row for row in health.parameters if row.last["trains"]]
    still = [row for row in trained if not np.nansum(row["update"]) > 0]
    if trained and not still:
        yield f"All {counted(len(trained), 'parameter tensor')} got gradients and were updated."
    elif trained and health.length > 1:
        highest = max(float(np.nanmax(row["gradient"], initial=0)) for row in still)
        yield (
            f"{len(trained) - len(still)} of {len(trained)} parameter tensors were updated; the "
            f"gradient of {named(still)} has a norm of {short(highest)} at most."
        )
    yield "No output, loss, gradient or update was NaN or infinite."


def _depth(health: Health) -> Iterator[str]:
    weights = health.weights
    if len(weights) < 2:
        return
    first, last = weights[0], weights[-1]
    both = first.there & last.there & (last["gradient"] > 0)
    if both.any():
        ratio = float(np.median(first["gradient"][both] / last["gradient"][both]))
        yield (
            f"The gradient of `{first.name}` is {short(ratio)} times as large as that of `{last.name}` "
            "(median of the ratio of their norms)."
        )


def _ratios(health: Health) -> Iterator[str]:
    medians = {row.name: _median(row, "ratio") for row in health.weights}
    medians = {name: ratio for name, ratio in medians.items() if ratio > 0}
    if medians:
        low, high = (pick(medians, key=medians.__getitem__) for pick in (min, max))
        span = f"from {short(medians[low])} (`{low}`) to {short(medians[high])} (`{high}`)"
        if low == high:
            span = f"{short(medians[low])} (`{low}`)"
        yield f"Median update ratio of a weight: {span}; the rule of thumb is about {RATIO:g}."


def _silent(health: Health) -> Iterator[str]:
    rows = [row for row in health.layers if row.name != INPUT and "elu" in row.kind.lower()]
    if rows:
        row = max(rows, key=lambda each: float(np.nanmax(each["dead"])))
        step = int(np.nanargmax(row["dead"]))
        units = round(float(row["dead"][step] * row["units"][step]))
        if not units:
            yield "In no batch was a unit silent: each gave other than 0 for some example."
            return
        yield (
            f"Most units silent in one batch: {units:,} of {int(row['units'][step]):,} in `{row.name}`, "
            f"at step {step:,}."
        )


def notes_on(health: Health, layers: int, parameters: int, sampling: str | None) -> list[str]:
    """Say what the picture rests on, and what it leaves out."""
    return [
        note
        for note in (
            sampling,
            *_frozen(health),
            *_always_eval(health),
            *_together(health),
            *_uncalled(health),
            *_left_out(health, layers, parameters),
        )
        if note
    ]


def _frozen(health: Health) -> Iterator[str]:
    frozen = [row for row in health.parameters if not row.last["trains"]]
    if frozen:
        yield f"Frozen (requires_grad=False): {named(frozen)}."


def _always_eval(health: Health) -> Iterator[str]:
    rows = [
        row
        for row in health.layers
        if row.kind.startswith(("Dropout", "BatchNorm"))
        and all(entry is None or not entry["training"] for entry in row.entries)
    ]
    if rows:
        yield f"In eval mode in every step: {named(rows)}."


def _together(health: Health) -> Iterator[str]:
    if max(health.forwards) > 1:
        yield (
            f"Up to {max(health.forwards)} forwards stand in one step; their outputs count together."
        )
    if max(health.updates) > 1:
        yield (
            f"Up to {max(health.updates)} calls of optimizer.step() stand in one step; an update is "
            "what all of them changed."
        )
    if not health.has_loss.all():
        yield "record.step() was called without a loss, so none is drawn."


def _uncalled(health: Health) -> Iterator[str]:
    without = [step for step, forwards in enumerate(health.forwards) if not forwards]
    if without:
        yield f"In {counted(len(without), 'step')} no output was seen, first at step {without[0]:,}."


def _left_out(health: Health, layers: int, parameters: int) -> Iterator[str]:
    for shown, rows, word in (
        (layers, health.layers, "layers"),
        (parameters, health.parameters, "parameters"),
    ):
        if shown < len(rows):
            yield f"Of {len(rows):,} {word} {shown} are drawn: the first, and those named above."


# Everything, for whoever does not see the picture ------------------------------------------------


def text_of(
    health: Health, verdicts: Sequence[Verdict], facts: Sequence[str], notes: Sequence[str]
) -> str:
    """Say what the picture shows."""
    parts = [_summary(health), ""]
    parts += [f"{verdict.title}: {verdict.text}" for verdict in verdicts]
    parts += ["Nothing stands out.", *facts] if not verdicts else []
    parts += ["", *notes] if notes else []
    steps = _text_steps(health, verdicts)
    for title, part, key in VIEWS:
        rows = health.layers if part == "layers" else health.parameters
        if rows:
            parts += ["", title, *_table(rows, key, steps)]
    parts += ["", f"A ratio between {BAND[0]:g} and {BAND[1]:g} lies within ten times of the rule."]
    return "\n".join(parts)


def _summary(health: Health) -> str:
    known = health.losses[health.has_loss]
    loss = ""
    if known.size:
        loss = f", loss from {number_text(known[0])} to {number_text(known[-1])}"
    return (
        f"{counted(health.length, 'step')}{loss}; {counted(len(health.layers), 'output')} and "
        f"{counted(len(health.parameters), 'parameter')} recorded."
    )


def _text_steps(health: Health, verdicts: Sequence[Verdict]) -> list[int]:
    last = health.length - 1
    few = {*(step for step in TEXT_STEPS if step < last), last}
    return sorted(few | {verdict.step for verdict in verdicts})


def _table(rows: Sequence[Series], key: str, steps: Sequence[int]) -> list[str]:
    share = key in ("dead", "zero")
    cells = [["step", *(f"{step:,}" for step in steps)]]
    for row in rows:
        cells.append([row.name, *(_cell(row, key, step, share) for step in steps)])
    first = max(len(line[0]) for line in cells)
    width = max(len(cell) for line in cells for cell in line[1:])
    return [
        "  ".join([line[0].ljust(first), *(c.rjust(width) for c in line[1:])]) for line in cells
    ]


def _cell(row: Series, key: str, step: int, share: bool) -> str:
    if row.entries[step] is None:
        return "–"
    if key in ("gradient", "ratio") and row.entries[step][key] is None:  # type: ignore[index]
        return "None" if key == "gradient" else "–"
    value = float(row[key][step])
    return percent(value) if share else number_text(value)


def number_text(value: float) -> str:
    """Write a number with four digits, as the picture does."""
    if math.isnan(value):
        return "NaN"
    return f"{value:#.4g}".rstrip(".") if math.isfinite(value) else str(value)


def _median(row: Series, key: str) -> float:
    values = row[key][np.isfinite(row[key])]
    return float(np.median(values)) if values.size else math.nan
