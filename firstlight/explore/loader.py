"""`explore.loader`: which index lands in which batch, epoch after epoch."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np

from firstlight.explore.frame import Explorer
from firstlight.explore.loader_draws import (
    CALL,
    Epoch,
    record_epochs,
    require_loader,
    size_of,
)
from firstlight.explore.loader_labels import Labels, evenly, read_labels
from firstlight.explore.loader_story import SHOWN, Story, choose_batches
from firstlight.explore.loader_words import columns, notes_on, row_of, story_text

MOST_EPOCHS = 4
TRACED = 90  # examples from all over the data set, whose ways are drawn
MOST_PLACES = 6  # of one example in one epoch


def loader(loader: object, *, epochs: int = 2) -> Explorer:
    """Show which example lands in which batch, in the next epochs that your loader would give.

    The batches are drawn by PyTorch's own code on a copy of the loader's samplers. Your loader, its
    generator, the global random state and the data set stay as they are, and no worker starts.

    Args:
        loader: a `DataLoader` over a data set with `dataset[i]`. Where the second part of an item
            is a class number, each batch shows how many of every class it holds.
        epochs: how many epochs to show, 1 to 4.

    Raises:
        TypeError: for what is no such loader, or where its sampler fails or would be used up.
    """
    if type(epochs) is not int or not 1 <= epochs <= MOST_EPOCHS:
        raise TypeError(f"{CALL} shows 1 to {MOST_EPOCHS} epochs; it got epochs={epochs!r:.40}.")
    own = require_loader(loader)
    size = size_of(own.dataset)
    recorded = record_epochs(own, epochs)
    kept = choose_batches([list(map(len, epoch.batches)) for epoch in recorded])
    story = Story(own, size, recorded, kept, _labels(own.dataset, size, recorded, kept))
    return Explorer("loader", "Your DataLoader, batch by batch", _data(story), story_text(story))


def _labels(dataset: Any, size: int | None, epochs: list[Epoch], kept: list[int]) -> Labels:
    if size is None:
        return Labels.none(0, "The data set has no length, so there is no class balance.")
    shown = (
        index
        for number in kept
        for epoch in epochs
        for batch in epoch.batches[number : number + 1]
        for index in batch
    )
    return read_labels(dataset, size, list(shown))


# What is drawn ---------------------------------------------------------------------------------


def _data(story: Story) -> dict[str, Any]:
    ids = _examples(story)
    return {
        "extent": story.extent,
        "notes": [{"text": text, "loud": loud} for loud, text in notes_on(story)],
        "columns": columns(story),
        "facts": [row_of(story, number) for number in range(len(story.epochs))],
        "classes": list(map(str, story.labels.classes)),
        "runs": story.class_runs,
        "shares": [round(share, 6) for share in story.shares],
        "tallest": story.tallest,
        "kept": story.kept,
        "ids": _packed(ids),
        "ranks": _packed([story.rank(index) + 1 for index in ids]) if story.shares else None,
        "traced": _traced(story),
        "epochs": [_epoch_data(story, number, ids) for number in range(len(story.epochs))],
    }


def _epoch_data(story: Story, number: int, ids: Sequence[int]) -> dict[str, Any]:
    epoch = story.epochs[number]
    kept = [epoch.batches[at] for at in story.kept if at < len(epoch.batches)]
    where = story.places(number, set(ids))
    places = [where.get(index, [])[:MOST_PLACES] for index in ids]
    return {
        "sizes": _runs([len(batch) for batch in epoch.batches]),
        "rows": _packed([index for batch in kept for index in batch[:SHOWN]]),
        "counts": [story.counts(number, at) for at in story.kept[: len(kept)]],
        "often": _packed([len(where.get(index, [])) for index in ids]),
        "draws": _packed([draw for found in places for draw in found]),
        "dropped": epoch.dropped[:SHOWN],
        "droppedCount": len(epoch.dropped),
    }


def _examples(story: Story) -> list[int]:
    """The examples that the picture can tell about: all on show, and those whose ways are drawn."""
    found = {*_traced(story)}
    for epoch in story.epochs:
        found.update(epoch.dropped[:SHOWN])
        for at in story.kept:
            for batch in epoch.batches[at : at + 1]:
                found.update(batch[:SHOWN])
    return sorted(found)


def _traced(story: Story) -> list[int]:
    return evenly(0, story.extent - 1, TRACED)


def _runs(sizes: Sequence[int]) -> list[list[int]]:
    """Return sizes as [size, how many times in a row]."""
    runs: list[list[int]] = []
    for size in sizes:
        if runs and runs[-1][0] == size:
            runs[-1][1] += 1
        else:
            runs.append([size, 1])
    return runs


def _packed(values: Sequence[int]) -> dict[str, Any]:
    """Return whole numbers as base64, in the fewest bytes that hold them all."""
    low, high = min(values, default=0), max(values, default=0)
    kinds = (("u1", 0, 2**8), ("u2", 0, 2**16), ("i4", -(2**31), 2**31))
    kind = next((name for name, least, end in kinds if least <= low and high < end), "f8")
    return {
        "kind": kind,
        "bytes": base64.b64encode(np.array(values, f"<{kind}").tobytes()).decode(),
    }
