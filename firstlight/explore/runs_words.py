"""What runs side by side say in words: facts with their spread, what is left out, all numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from firstlight.explore.runs_read import Group, Run, Spread
from firstlight.explore.tensors import counted, listed

MOST_NAMED = 5  # in a sentence about several runs
_ROUNDING = 1e-9  # of sums of decimal fractions


def percent(fraction: float) -> str:
    return f"{100 * fraction:.2f} %"


def points(difference: float) -> str:
    """Write a difference of two accuracies in points, which are percentage points."""
    size = 100 * abs(difference)
    if 0 < size < 0.005:
        return "less than 0.01 points"
    text = f"{size:.2f}".rstrip("0").rstrip(".")
    return f"{text} {'point' if text == '1' else 'points'}"


def number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return f"{value:#.4g}".rstrip(".") if math.isfinite(value) else str(value)


def seconds(value: float) -> str:
    return f"{value:,.1f} s"


# Facts -----------------------------------------------------------------------------------------


def fact(groups: Sequence[Group], place: int, baseline: int) -> str:
    """Say where a group stands: against the baseline, or the baseline against the best other."""
    own = groups[place]
    if own.accuracy is None:
        return f"{own.name} has no accuracy."
    others = [group for group in groups if group is not own and group.accuracy]
    if not others:
        return _alone(own, own.accuracy)
    if place != baseline and groups[baseline].accuracy:
        return compare(own, groups[baseline])
    return compare(own, max(others, key=_mean))


def best(groups: Sequence[Group]) -> int:
    """Return the place of the highest mean accuracy; the first without any."""
    return max(range(len(groups)), key=lambda place: _mean(groups[place]))


def _mean(group: Group) -> float:
    return group.accuracy.mean if group.accuracy else -1.0


def _alone(group: Group, accuracy: Spread) -> str:
    if accuracy.count == 1:
        return f"{group.name}: {percent(accuracy.mean)}, from one run, so its span is unknown."
    return (
        f"{group.name}: {percent(accuracy.mean)} in the mean of "
        f"{counted(accuracy.count, group.word)}, which span {points(accuracy.span)}."
    )


def compare(one: Group, other: Group) -> str:
    """State the difference of two groups' accuracies beside the spans of their runs."""
    mine, theirs = one.accuracy, other.accuracy
    assert mine is not None
    assert theirs is not None
    difference = mine.mean - theirs.mean
    numbers = f"{percent(mine.mean)} against {percent(theirs.mean)}"
    if abs(difference) < _ROUNDING:
        claim = f"{one.name} and {other.name} have the same accuracy: {numbers}"
    else:
        side = "above" if difference > 0 else "below"
        claim = f"{one.name} is {points(difference)} {side} {other.name}: {numbers}"
    spans = [_span(group, accuracy) for group, accuracy in ((one, mine), (other, theirs))]
    if mine.count == theirs.count == 1:
        spans = ["Each ran once, so their spans are unknown"]
    said = "; ".join(spans)
    if said.startswith("the "):
        said = f"T{said[1:]}"
    return f"{claim}. {said}.{_verdict(one, other, difference)}"


def _span(group: Group, accuracy: Spread) -> str:
    if accuracy.count == 1:
        return f"{group.name} ran once, so its span is unknown"
    return f"the {counted(accuracy.count, group.word)} of {group.name} span {points(accuracy.span)}"


def _verdict(one: Group, other: Group, difference: float) -> str:
    """Say how the difference compares to the spans, where there are some."""
    spreads = [(group, group.accuracy) for group in (one, other) if group.accuracy]
    known = [(group, spread.span) for group, spread in spreads if spread.count > 1]
    if not known or abs(difference) < _ROUNDING:
        return ""
    smaller = [group.name for group, span in known if abs(difference) < span - _ROUNDING]
    if len(smaller) == 2:
        return " The difference is smaller than either span."
    if smaller:
        return f" The difference is smaller than the span of {smaller[0]}."
    if len(known) == 2 and all(abs(difference) > span + _ROUNDING for _, span in known):
        return " The difference is larger than either span."
    return ""


# Settings --------------------------------------------------------------------------------------


def settings(group: Group, baseline: Group) -> str:
    """Say what a group's config has that the baseline's has not; of the baseline, all of it."""
    if group is baseline:
        return ", ".join(f"{key} {value}" for key, value in group.config.items())
    if not group.config:
        return ""
    parts = []
    for key in dict.fromkeys([*baseline.config, *group.config]):
        ours, theirs = group.config.get(key), baseline.config.get(key)
        if ours == theirs:
            continue
        if ours is None:
            parts.append(f"without {key}")
        else:
            parts.append(f"{key} {ours}" if theirs is None else f"{key} {theirs} → {ours}")
    return ", ".join(parts) or "no difference"


# Notes -----------------------------------------------------------------------------------------


def notes(
    groups: Sequence[Group], classes: Sequence[str], stride: int
) -> Iterator[tuple[bool, str]]:
    """Yield sentences on what is left out or can't be compared, loud ones first."""
    yield from ((True, text) for text in _diverged(groups))
    yield from ((True, text) for text in _unfair(groups))
    yield from ((False, text) for text in _missing(groups))
    if classes and not any(group.per_class for group in groups):
        yield False, "The names in classes are not used: no run has per_class."
    if stride > 1:
        yield False, f"Of the curves every {stride}th epoch is drawn, and the last one."
    if any(group.accuracy for group in groups):
        words = "A point is a percentage point. "
        if any(len(group.runs) > 1 for group in groups):
            words += "A span reaches from the lowest of the runs with one name to the highest. "
        yield False, words + "An accuracy given for each epoch counts as that of its last."


def named(names: Sequence[str]) -> str:
    """List some names, not too many."""
    shown = list(names[:MOST_NAMED])
    more = len(names) - len(shown)
    return listed([*shown, f"{more} more"] if more else shown)


def _diverged(groups: Sequence[Group]) -> Iterator[str]:
    found = []
    for group in groups:
        for run in group.runs:
            if run.diverged is not None:
                which = (
                    f" (seed {run.seed})" if run.seed is not None and len(group.runs) > 1 else ""
                )
                found.append(f"{group.name}{which} from epoch {run.diverged}")
    if found:
        yield f"A loss is NaN or infinite, and its curve stops: {named(found)}."


def _unfair(groups: Sequence[Group]) -> Iterator[str]:
    varied = [f"{group.name} ({', '.join(group.varied)})" for group in groups if group.varied]
    if varied:
        yield f"The spread is not of the seed alone where runs of one name differ in their config: {named(varied)}."
    repeated = [group.name for group in groups if group.repeated_seeds]
    if repeated:
        yield f"One name has the same seed more than once: {named(repeated)}."


_PARTS = ("history", "accuracy", "per_class", "seconds", "parameters")


def _missing(groups: Sequence[Group]) -> Iterator[str]:
    runs = [run for group in groups for run in group.runs]
    nowhere = [part for part in _PARTS if not any(_has(run, part) for run in runs)]
    if nowhere:
        yield f"No run has {listed(nowhere)}: what needs {'it' if len(nowhere) == 1 else 'them'} is left out."
    for part in _PARTS:
        lacking = [group.name for group in groups if not all(_has(run, part) for run in group.runs)]
        if lacking and part not in nowhere:
            yield f"Without {part} in every run, so left out where it is needed: {named(lacking)}."


def _has(run: Run, part: str) -> bool:
    if part in ("seconds", "parameters"):
        return getattr(run, part) is not None
    return bool(getattr(run, {"history": "training", "accuracy": "accuracies"}.get(part, part)))


# All numbers -----------------------------------------------------------------------------------


def text_of(
    groups: Sequence[Group],
    baseline: int,
    classes: Sequence[str],
    said: Sequence[tuple[bool, str]],
) -> str:
    facts = [fact(groups, place, baseline) for place in range(len(groups))]
    parts = [*dict.fromkeys(facts[place] for place in (best(groups), *range(len(groups))))]
    parts += [text for _, text in said]
    for group in groups:
        parts += ["", f"{group.name}, {counted(len(group.runs), group.word)}"]
        parts += [f"  {line}" for line in _lines(group, groups[baseline], classes)]
    return "\n".join(parts)


def _lines(group: Group, baseline: Group, classes: Sequence[str]) -> Iterator[str]:
    config = settings(group, baseline)
    if config:
        yield f"{'config' if group is baseline else 'config against ' + baseline.name}: {config}"
    if group.accuracy:
        yield f"accuracy {_with_range(group.accuracy, percent)}"
    if group.seconds:
        yield f"time {_with_range(group.seconds, seconds)}"
    if group.parameters:
        yield f"parameters {_with_range(group.parameters, lambda value: f'{value:,.0f}')}"
    for run in group.runs:
        yield from _losses(run.training, "training", run.seed, len(group.runs))
        yield from _losses(run.validation, "validation", run.seed, len(group.runs))
    if group.per_class:
        pairs = zip(classes, group.per_class, strict=True)
        yield "by class: " + ", ".join(f"{name} {percent(each.mean)}" for name, each in pairs)


def _with_range(spread: Spread, write: object) -> str:
    assert callable(write)
    if spread.count == 1 or spread.span == 0:
        return str(write(spread.mean))
    return f"{write(spread.mean)}, from {write(spread.low)} to {write(spread.high)}"


def _losses(
    losses: Sequence[float | None], kind: str, seed: str | None, several: int
) -> Iterator[str]:
    known = [(epoch, loss) for epoch, loss in enumerate(losses, 1) if loss is not None]
    finite = [(loss, epoch) for epoch, loss in known if math.isfinite(loss)]
    if not known or not finite:
        return
    which = f" (seed {seed})" if seed is not None and several > 1 else ""
    low, at = min(finite)
    yield (
        f"{kind} loss{which} from {number(known[0][1])} to {number(known[-1][1])} in "
        f"{counted(len(losses), 'epoch')}, lowest {number(low)} after epoch {at}"
    )
