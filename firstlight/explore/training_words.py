"""What must be said about a training, mistakes first, and the whole picture in words."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from firstlight.explore.tensors import counted, listed
from firstlight.explore.training_history import COPY, Run
from firstlight.explore.training_model import FARTHEST
from firstlight.explore.training_story import Story, near

MOST_POINTS = 400  # of the data, drawn
TEXT_STEPS = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000)


# What must be said -----------------------------------------------------------------------------


def notes_on(story: Story) -> Iterator[tuple[bool, str]]:
    """Say what went wrong (loudly), and what the pictures leave out; code stands in backticks."""
    for loud, texts in ((True, _mistakes(story)), (False, _remarks(story))):
        for text in texts:
            yield loud, text


def _mistakes(story: Story) -> Iterator[str]:
    live = [run for run in story.runs if story.names and run.is_live]
    if live:
        yield _live_text(live, story.unit)
    for run, records in zip(story.runs, story.records, strict=True):
        if len(records) > 1 and run not in live and _frozen(records, story.names):
            yield (
                f"The parameters{_of(run)} are the same at every {story.unit}: nothing was trained. "
                "Does the optimizer hold this model's parameters, and is `optimizer.step()` called?"
            )
    for (before, run), (records, own), again in zip(
        pairwise(story.runs), pairwise(story.records), story.losses_again, strict=False
    ):
        if run not in live and _goes_on(before, run, records, own, again, story.names):
            yield (
                f"{run.label} begins where {before.label} ended: both trained the same model. For a "
                "fair comparison, give each run a model of its own with the same first parameters."
            )
    if any(run.holds_graph for run in story.runs):
        yield (
            "The recorded losses still hold their graphs, so the memory of every step is kept. "
            "Record `loss.item()`."
        )
    yield from _broadcast(story)
    yield from (_divergence(run, story.unit) for run in story.runs if run.diverged is not None)


def _live_text(live: Sequence[Run], unit: str) -> str:
    labels = listed([run.label for run in live if run.label])
    return (
        f"Every entry{' of ' if labels else ''}{labels} shows the last {unit}'s parameters, because "
        "`state_dict()` and `named_parameters()` return references to the tensors that training goes "
        f"on changing. Record a copy at each step: `{COPY}`."
    )


def _of(run: Run) -> str:
    return f" of {run.label}" if run.label else ""


def _frozen(records: Sequence[Mapping[str, Tensor]], names: Sequence[str]) -> bool:
    first, *others = records
    return all(torch.equal(first[name], other[name]) for other in others for name in names)


def _goes_on(
    before: Run,
    run: Run,
    records: Sequence[Mapping[str, Tensor]],
    own: Sequence[Mapping[str, Tensor]],
    again: Sequence[float],
    names: Sequence[str],
) -> bool:
    """Tell whether a run began with the parameters that the one before it left behind."""
    if not records or not own or near(before.losses[0], run.losses[0]):
        return False
    ends = again[-1] if again else math.nan
    same = all(torch.equal(records[-1][name], own[0][name]) for name in names)
    return same or (math.isfinite(ends) and near(ends, run.losses[0]))


def _broadcast(story: Story) -> Iterator[str]:
    trained = story.trained
    shapes = trained.mixed(story.records[0][0]) if trained and story.names else None
    if shapes:
        yield (
            f"The outputs have shape {shapes[0]} and the targets {shapes[1]}. In loss_fn they are "
            "broadcast, so that every output meets every target and not its own."
        )


def _divergence(run: Run, unit: str) -> str:
    """Say where the loss stops being finite, and how it goes on."""
    at = run.diverged
    assert at is not None
    rest = run.losses[at:]
    name = f"{run.label}: the" if run.label else "The"
    found = f"{name} loss is {number_text(rest[0])} at {unit} {at:,}"
    if len(rest) > 1 and not any(map(math.isfinite, rest)):
        nan = next((step for step, loss in enumerate(rest) if math.isnan(loss)), 0)
        found += f", NaN from {unit} {at + nan:,} on" if nan else ", and never finite again"
    return f"{found}. The training diverged: try a smaller learning rate."


def _remarks(story: Story) -> Iterator[str]:
    if "after" in story.pairings:
        yield (
            "In this history an entry's loss was computed before the update, and its parameters were "
            "recorded after it: their loss stands in the next entry."
        )
    if story.frames.sentence:
        yield story.frames.sentence
    yield from _left_out(story)
    yield from _leavers(story)


def _left_out(story: Story) -> Iterator[str]:
    """Say why a picture that one might expect is not there, and what is thinned in those that are."""
    trained = story.trained
    if trained and not any(run.records for run in story.runs):
        yield (
            "The history holds losses alone. To see what the model did at each step, record its "
            f"parameters too: `(loss.item(), {COPY})`."
        )
    elif not story.names and any(run.records for run in story.runs):
        yield "The runs recorded different parameters, so only their losses stand side by side."
    elif trained and story.names and not story.fit:
        here = f"an input here has shape {tuple(trained.inputs.shape[1:])}"
        if trained.has_one_input:
            here = "this one has no such curve on these inputs"
        yield f"The fit is drawn for a model with one number in and one out; {here}."
    if trained and story.names:
        unknown = trained.unrecorded_buffers(story.records[0][0])
        if unknown:
            yield f"Not recorded, so read from the model as it is now: {listed(unknown)}."
    if trained and story.fit and trained.loss_fn and _takes_logits(trained.loss_fn):
        yield "The curve shows logits, as the model gives them: 0 stands for a probability of 0.5."
    if trained and story.fit and len(trained.inputs) > MOST_POINTS:
        yield f"Of {len(trained.inputs):,} examples {MOST_POINTS} are drawn, evenly chosen."
    if len(story.names) > len(story.tensors) > 0:
        yield (
            f"Of {len(story.names)} parameters the first {len(story.tensors)} have curves of their "
            "own; all together are in the last."
        )


def _takes_logits(loss_fn: object) -> bool:
    known = (F.binary_cross_entropy_with_logits, F.soft_margin_loss)
    return isinstance(loss_fn, (nn.BCEWithLogitsLoss, nn.SoftMarginLoss)) or loss_fn in known


def _leavers(story: Story) -> Iterator[str]:
    """Say which paths leave the picture of the surface, and when."""
    if not story.surface:
        return
    box = [(float(axis[0]), float(axis[-1])) for axis in (story.surface.x, story.surface.y)]
    for run, path in zip(story.runs, story.paths, strict=True):
        inside = [
            all(low <= value <= high for value, (low, high) in zip(point, box, strict=True))
            for point in path.tolist()
        ]
        if not all(inside):
            step = story.frames.steps[inside.index(False)]
            yield (
                f"{run.label or 'The path'} leaves the picture of the loss surface at {story.unit} {step:,}: "
                f"there its loss is more than {FARTHEST} times that at the start."
            )


# The same in words -----------------------------------------------------------------------------


def number_text(value: float) -> str:
    """Write a number with four digits, as the picture does."""
    if math.isnan(value):
        return "NaN"
    return f"{value:#.4g}".rstrip(".") if math.isfinite(value) else str(value)


def text_of(story: Story, data: Mapping[str, Any]) -> str:
    parts = [_summary(story), *(note["text"] for note in data["notes"]), ""]
    for number, run in enumerate(story.runs):
        parts += [*_table(story, data, number, run), ""]
    parts += [*_fit_text(story), *_surface_text(story)]
    return "\n".join(parts).rstrip()


def _summary(story: Story) -> str:
    runs = [
        f"{run.label + ': ' if run.label else ''}{_entries(run)}, loss from "
        f"{number_text(run.losses[0])} to {number_text(run.losses[-1])}."
        for run in story.runs
    ]
    learns = (
        [f"The model learns {counted(story.numbers, 'number')}: {', '.join(story.names[:8])}."]
        if story.names
        else []
    )
    return "\n".join([*runs, *learns])


def _entries(run: Run) -> str:
    return "1 entry" if len(run.losses) == 1 else f"{len(run.losses):,} entries"


def _table(story: Story, data: Mapping[str, Any], number: int, run: Run) -> Iterator[str]:
    """Write the numbers of a few steps of one run."""
    steps = story.frames.of(run)
    marks = [bisect_left(steps, step) for step in TEXT_STEPS if step < steps[-1]]
    few = sorted({*(steps[mark] for mark in marks), run.diverged or 0, steps[-1]})
    rows = [[story.unit, "loss", *data["columns"]]]
    for step in few:
        at = steps.index(step)
        values = [column[at] for column in data["runs"][number]["columns"]]
        texts = ["–" if value is None else number_text(float(value)) for value in values]
        rows.append([f"{step:,}", number_text(run.losses[step]), *texts])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    if run.label:
        yield run.label
    for row in rows:
        yield "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))


def _fit_text(story: Story) -> Iterator[str]:
    if not story.fit:
        return
    grid = story.fit.grid
    places = sorted({0, len(grid) // 2, len(grid) - 1})
    for run, curves in zip(story.runs, story.fit.curves, strict=True):
        values = ", ".join(
            f"{number_text(float(curves[-1, place]))} for {number_text(float(grid[place]))}"
            for place in places
        )
        yield f"At the last {story.unit} the model{_of(run)} gives {values}."


def _surface_text(story: Story) -> Iterator[str]:
    surface = story.surface
    if not surface:
        return
    first, second = (coordinate.name for coordinate in story.coordinates)
    values = surface.values.nan_to_num(nan=math.inf)
    row, column = divmod(int(values.argmin()), len(surface.x))
    ends = [number_text(float(axis[end])) for axis in (surface.x, surface.y) for end in (0, -1)]
    yield (
        f"The loss surface is computed for {first} from {ends[0]} to {ends[1]} and {second} from "
        f"{ends[2]} to {ends[3]}. Of its {values.numel():,} points the lowest has loss "
        f"{number_text(float(values.min()))}, at {first} {number_text(float(surface.x[column]))} and "
        f"{second} {number_text(float(surface.y[row]))}."
    )
