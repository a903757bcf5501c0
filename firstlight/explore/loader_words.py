"""What must be said about a loader's epochs, mistakes first, and the whole picture in words."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import (
    RandomSampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

from firstlight.explore.loader_story import SHOWN, Story
from firstlight.explore.tensors import counted, listed

TEXT_BATCHES = (12, 3)  # of a long epoch, the first and the last in words
TEXT_WHOLE = 40  # batches that are told whole
FEW = 0.6  # of the classes that chance would bring: below it the order is no accident


# What must be said -----------------------------------------------------------------------------


def notes_on(story: Story) -> Iterator[tuple[bool, str]]:
    """Say what goes wrong (loudly), and what one must know to read the picture; code in backticks."""
    for loud, texts in ((True, _mistakes(story)), (False, _remarks(story))):
        for text in texts:
            yield loud, text


def _mistakes(story: Story) -> Iterator[str]:
    yield from _empty(story)
    if story.strangers:
        epoch, at, index = story.strangers[0]
        count = len(story.strangers)
        others = f", and {count - 1:,} more like it" if count > 1 else ""
        yield (
            f"The sampler gives index {index:,} in batch {at:,} of epoch {epoch}{others}. The data set "
            f"has {counted(story.size or 0, 'example')}, so reading it fails."
        )
    if story.labels.fault:
        yield story.labels.words
    yield from _few_classes(story)
    yield from _same_dropped(story)


def _empty(story: Story) -> Iterator[str]:
    first, *others = story.epochs
    if not any(epoch.batches for epoch in story.epochs):
        if first.dropped:
            yield (
                f"There is no batch at all: {counted(len(first.dropped), 'example')} do not fill one "
                f"of {story.batch_size:,}, and `drop_last=True` drops what is left over. A loop over "
                "this loader does nothing, without an error."
            )
        else:
            yield "There is no batch at all: the sampler gives no index."
        return
    empty = [str(number) for number, epoch in enumerate(others, 2) if not epoch.batches]
    if first.batches and empty:
        yield (
            f"Epoch {listed(empty)} is empty: the sampler gives its indices once, as an iterator "
            "does. Give the loader a list or a Sampler, which can begin anew."
        )


def _few_classes(story: Story) -> Iterator[str]:
    """Say where batches hold far fewer classes than examples drawn by chance would bring."""
    counts = story.full_counts(0)
    if len(story.shares) < 2 or len(counts) < 2:
        return
    found = counts.count_nonzero(1)
    due = sum(1 - (1 - share) ** story.full for share in story.shares)
    if float(found.double().mean()) > FEW * due:
        return
    low, high = int(found.min()), int(found.max())
    held = f"{counted(low, 'class')}" if low == high else f"{low} to {high} classes"
    advice = "Is that what the sampler is for?"
    if type(story.sampler) is SequentialSampler:
        advice = (
            "Neighbours in the data set belong to the same class, and nothing mixes them: to train, set "
            "`shuffle=True`. To evaluate, the order does not matter."
        )
    yield (
        f"A batch of epoch 1 holds {held.replace('classs', 'classes')}; drawn by chance it would hold "
        f"about {due:.1f} of the {len(story.shares)}. {advice}"
    )


def _same_dropped(story: Story) -> Iterator[str]:
    first, *others = story.epochs
    if first.batches and first.dropped and others:
        same = all(sorted(epoch.dropped) == sorted(first.dropped) for epoch in others)
        if same and story.never_at_all:
            yield (
                f"`drop_last=True` drops the same {counted(len(first.dropped), 'example')} in every "
                "epoch, because the order never changes: they are never used."
            )


def _remarks(story: Story) -> Iterator[str]:
    yield f"{_order(story)} {_promise(story)}"
    yield "Batches and places are counted from 1, examples from 0, as in `dataset[0]`."
    yield from _terms(story)
    if len(story.kept) < story.total:
        yield _kept(story)
    widest = max((len(batch) for epoch in story.epochs for batch in epoch.batches), default=0)
    if widest > SHOWN:
        yield f"Of a batch the first {SHOWN} examples are on show; its class balance counts all."
    if story.labels.words and not story.labels.fault:
        yield story.labels.words
    if any(index < 0 for epoch in story.epochs for batch in epoch.batches for index in batch):
        yield "Indices below 0 count from the end, where the data set lets them."
    yield from _balance(story)


def _order(story: Story) -> str:
    loader = story.loader
    sampler = story.sampler
    if sampler is None:
        return f"The batches come from your batch_sampler, {_a(loader.batch_sampler)}."
    alone = ""
    if loader.batch_sampler is None:
        alone = (
            " `batch_size=None` makes no batches: whatever the sampler gives goes straight to "
            "`dataset[...]`."
        )
    if type(sampler) is SequentialSampler:
        order = "Every epoch comes in the order of the data set, as `shuffle=False` leaves it."
    elif type(sampler) is RandomSampler and not sampler.replacement:
        order = "Every epoch is a new order of the data set, as `shuffle=True` gives."
        if sampler.num_samples != story.size:
            order = f"A RandomSampler draws {sampler.num_samples:,} examples an epoch."
    elif isinstance(sampler, (RandomSampler, WeightedRandomSampler)) and sampler.replacement:
        order = (
            f"Your {type(sampler).__name__} draws with replacement: in one epoch an example may come "
            "several times, or never."
        )
    else:
        order = f"The order comes from your sampler, {_a(sampler)}."
    same = len(story.epochs) > 1 and all(
        epoch.batches == story.epochs[0].batches for epoch in story.epochs
    )
    if same and type(sampler) is not SequentialSampler and story.epochs[0].batches:
        order += " It gives the same order in every epoch."
    return order + alone


def _promise(story: Story) -> str:
    """Say what the epochs on show are, and what they depend on."""
    count = len(story.epochs)
    loops = (
        "the epoch that your next loop"
        if count == 1
        else f"the epochs that your next {count} loops"
    )
    gets = f"{'This is' if count == 1 else 'These are'} {loops} over the loader {'gets' if count == 1 else 'get'}"
    sampler = story.sampler
    source = story.loader.batch_sampler if sampler is None else sampler
    if isinstance(source, (SequentialSampler, Tensor, list, tuple, range)):
        return f"{gets}."
    known = (RandomSampler, SubsetRandomSampler, WeightedRandomSampler)
    if type(sampler) in known:
        if getattr(sampler, "generator", None) is not None:
            return (
                f"{gets}, run to {'its' if count == 1 else 'their'} end. The order is drawn from a generator of its own, so no "
                "other random draw changes it. Looking did not advance it."
            )
        made = type(sampler) is RandomSampler and story.loader.generator is None
        owner = "loader" if made else "sampler"
        return (
            f"{gets}, if nothing else draws from PyTorch's global random state before or "
            f"between them: a new layer, dropout and random transforms do. With `generator=` the {owner} has a state of its own. "
            "Looking changed neither."
        )
    return f"{gets}, if no other random draw comes before them."


def _terms(story: Story) -> Iterator[str]:
    """Say what the last columns of the table count, where they hold more than noughts."""
    numbers = range(len(story.epochs))
    if story.size is not None and any(map(story.never, numbers)):
        yield f"Left out: examples that no batch of the epoch holds{_fate(story)}."
    if any(map(story.often, numbers)):
        yield "Repeated: examples that come more than once in the epoch."


def _fate(story: Story) -> str:
    """Say whether the examples that one epoch leaves out come in another."""
    if len(story.epochs) == 1 or not any(epoch.batches for epoch in story.epochs):
        return ""
    if not story.never_at_all:
        return "; each of them comes in another epoch"
    return f"; {story.never_at_all:,} of them come in none of the epochs on show"


def _kept(story: Story) -> str:
    kept = len(story.kept)
    return (
        f"Of {story.total:,} batches in an epoch {kept:,} are kept in this picture: the first, the "
        "last, and some from all over between them. Every number in the table counts all of them."
    )


def _balance(story: Story) -> Iterator[str]:
    """Say how far the classes of a full batch are from their share."""
    if not story.shares or story.full < 2:
        return
    counts = torch.cat([story.full_counts(number) for number in range(len(story.epochs))])
    if len(counts) < 2 or len(story.shares) < 2:
        return
    low, high = int(counts.min()), int(counts.max())
    fair = [share * story.full for share in story.shares]
    usual = (
        f"{min(fair):.1f}" if max(fair) - min(fair) < 0.1 else f"{min(fair):.1f} to {max(fair):.1f}"
    )
    yield (
        f"In a batch of {story.full} a class comes {low} to {high} times; by its share in the data "
        f"set it would be {usual}."
    )


def _a(value: object) -> str:
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


# The numbers of each epoch ---------------------------------------------------------------------


def columns(story: Story) -> list[str]:
    """The headings of the table with a row for each epoch."""
    parts = ["batches", "examples", "last batch"]
    if any(epoch.dropped for epoch in story.epochs):
        parts.append("dropped")
    if story.size is not None:
        parts.append("left out")
    if any(map(story.often, range(len(story.epochs)))):
        parts.append("repeated")
    return parts


def row_of(story: Story, number: int) -> list[str]:
    """The numbers of one epoch, for `columns`."""
    epoch = story.epochs[number]
    last = len(epoch.batches[-1]) if epoch.batches else 0
    row = [f"{len(epoch.batches):,}", f"{sum(map(len, epoch.batches)):,}"]
    row.append(_last(story, last))
    names = columns(story)
    if "dropped" in names:
        row.append(f"{len(epoch.dropped):,}")
    if story.size is not None:
        row.append(f"{story.never(number):,}")
    if "repeated" in names:
        row.append(f"{story.often(number):,}")
    return row


def _last(story: Story, last: int) -> str:
    batch_size = story.batch_size
    if not last:
        return "none"
    if batch_size is None:
        return f"{last:,}"
    return f"{last:,} of {batch_size:,}" if last < batch_size else "full"


# The same in words -----------------------------------------------------------------------------


def story_text(story: Story) -> str:
    """The whole picture in words."""
    size = "of unknown length" if story.size is None else f"of {counted(story.size, 'example')}"
    lines = [f"A DataLoader over a data set {size}.", ""]
    lines += [text.replace("`", "") for _, text in notes_on(story)]
    if story.class_runs:
        names = [(start, story.labels.classes[place]) for start, place in story.class_runs]
        runs = listed([f"class {label} from example {start:,}" for start, label in names])
        lines.append(f"In the data set lie {runs}.")
    for number in range(len(story.epochs)):
        lines += ["", *_epoch_text(story, number)]
    return "\n".join(lines)


def _epoch_text(story: Story, number: int) -> Iterator[str]:
    epoch = story.epochs[number]
    facts = zip(columns(story), row_of(story, number), strict=True)
    yield f"Epoch {number + 1}: {', '.join(f'{name} {value}' for name, value in facts)}"
    first, last = TEXT_BATCHES
    total = len(epoch.batches)
    for at, batch in enumerate(epoch.batches):
        if total <= TEXT_WHOLE or at < first or at >= total - last:
            yield f"  batch {at + 1:,}: {_indices(batch)}{_classes(story, number, at)}"
        elif at == first:
            yield f"  … {counted(total - first - last, 'batch').replace('batchs', 'batches')} …"
    if epoch.dropped:
        yield f"  dropped: {_indices(epoch.dropped)}"


def _indices(batch: list[int]) -> str:
    more = f", and {len(batch) - SHOWN:,} more" if len(batch) > SHOWN else ""
    return ", ".join(map(str, batch[:SHOWN])) + more


def _classes(story: Story, number: int, at: int) -> str:
    counts = story.counts(number, at)
    if counts is None:
        return ""
    named = zip(story.labels.classes, counts, strict=True)
    return f" (class {', '.join(f'{label}: {count}' for label, count in named if count)})"
