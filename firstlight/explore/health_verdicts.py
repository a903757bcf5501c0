"""What stands out in a recorded training: facts with their numbers, and none in a healthy one.

The thresholds lie far from what sound trainings show, so that a verdict is worth a look. The band
around an update ratio of 1e-3 is a rule of thumb: A. Karpathy, CS231n lecture notes, "Neural
Networks Part 3: Learning and Evaluation" ("this ratio should be somewhere around 1e-3").
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from firstlight.explore.health_history import Flags, Floats, Health, Series
from firstlight.explore.health_record import INPUT
from firstlight.explore.tensors import counted, listed

RATIO = 1e-3
BAND = (1e-4, 1e-2)  # ten times to either side of the rule of thumb
LARGE_UPDATE, SMALL_UPDATE = 0.1, 1e-5  # of the weight's norm, in one step
LARGE_AT_FIRST = 0.5  # the first steps of a sound training may be large
_SETTLED = 50  # steps, after which they are not
VANISHED, EXPLODED = 1e-4, 1e4  # between the first and the last layer
NEGLIGIBLE = 1e-6  # of the largest gradient in the same step
GROWN = 1000  # times the gradient of the first steps
DIVERGED = 10  # times the first loss
DEAD_SHARE = 0.5
_FEW = 16  # values for each unit, below which a unit may well give nothing but zeros
_LASTING = 5  # steps, or a tenth of all
_SILENT = 15  # steps, before units of a layer that gives something are called dead
_MOST_NAMED = 4
_MODAL = ("Dropout", "BatchNorm", "AlphaDropout", "FeatureAlphaDropout", "SyncBatchNorm")
_RECTIFIERS = ("ReLU", "Threshold", "Hardtanh", "relu", "clamp", "clip", "threshold", "hardtanh")


@dataclass(frozen=True)
class Verdict:
    """One thing that stands out, and where to look: a view of the picture, a row, a step."""

    title: str
    text: str
    step: int
    view: str  # "activations", "gradients" or "updates"
    what: str  # the number that the view then shows
    row: str


def verdicts_on(health: Health) -> list[Verdict]:
    """Return what stands out, what came first first."""
    birth = _birth(health)
    sound = birth.step if birth else health.length  # what follows a NaN is its consequence
    return [
        *_growth(health, sound),
        *([birth] if birth else []),
        *_dead(health, sound),
        *_without_gradient(health, sound),
        *_zero_gradient(health, sound),
        *_unmoved(health, sound),
        *_by_depth(health, sound),
        *_updates(health, sound),
        *_modes(health),
        *_inputs(health),
    ]


def short(value: float) -> str:
    """Write a number with three digits."""
    return f"{value:.3g}"


def percent(share: float) -> str:
    """Write a share with three digits, half up as the picture does."""
    return f"{100 * share * (1 + 1e-12):.3g} %"


def named(series: Sequence[Series]) -> str:
    """Name up to four rows, and count the others."""
    names = [f"`{each.name}`" for each in series[:_MOST_NAMED]]
    more = len(series) - len(names)
    return listed([*names, f"{more} more"] if more else names)


def since(step: int) -> str:
    return "from the first step on" if step == 0 else f"from step {step:,} on"


# Not a number -----------------------------------------------------------------------------------


def _birth(health: Health) -> Verdict | None:
    """Find the first NaN or infinity: in an output, the loss, a gradient or an update."""
    for step in range(health.length):
        for look in (_output_birth, _loss_birth, _gradient_birth, _update_birth):
            found = look(health, step)
            if found:
                return found
    return None


_BORN = "The first NaN or inf"


def _output_birth(health: Health, step: int) -> Verdict | None:
    row = next((row for row in health.layers if row["nonfinite"][step] > 0), None)
    if row is None:
        return None
    amount = f"{int(row['nonfinite'][step]):,} of {int(row['values'][step]):,} values"
    at = f"step {step:,}"
    if row.name == INPUT:
        text = f"stands in the input at {at}, before the model has touched it: {amount}."
    else:
        before = health.layers[: health.layers.index(row)]
        called = [each.name for each in before if each.there[step]]
        finite = f"; all that `{called[-1]}` gives is still finite" if called else ""
        text = f"appears at {at} in the output of `{row.name}` ({row.kind}): {amount}{finite}."
    return Verdict(_BORN, text, step, "activations", "largest", row.name)


def _loss_birth(health: Health, step: int) -> Verdict | None:
    if not health.has_loss[step] or math.isfinite(health.losses[step]):
        return None
    loss = "NaN" if math.isnan(health.losses[step]) else str(health.losses[step])
    row = health.layers[-1].name if health.layers else ""
    text = (
        f"the loss of step {step:,} is {loss}. Every layer's output is finite there, so it is born "
        "between the model's output and the loss."
    )
    return Verdict(_BORN, text, step, "activations", "largest", row)


def _gradient_birth(health: Health, step: int) -> Verdict | None:
    rows = [row for row in health.parameters if row["nonfinite"][step] > 0]
    if not rows:
        return None
    row = rows[-1]  # backward comes to the last layer first
    after = health.parameters[health.parameters.index(row) + 1 :]
    sound = [each.name for each in after if each.there[step]]
    finite = f"; that of `{sound[0]}`, nearer to the loss, is still finite" if sound else ""
    text = (
        f"appears at step {step:,} on the way back, in the gradient of `{row.name}`: "
        f"{int(row['nonfinite'][step]):,} values{finite}. Outputs and loss are finite there."
    )
    return Verdict(_BORN, text, step, "gradients", "gradient", row.name)


def _update_birth(health: Health, step: int) -> Verdict | None:
    row = next((row for row in health.parameters if not math.isfinite(row["update"][step])), None)
    if row is None:
        return None
    text = (
        f"appears at step {step:,} in `{row.name}`, when the optimizer changed it: outputs, loss and "
        "gradients are finite there."
    )
    return Verdict(_BORN, text, step, "updates", "ratio", row.name)


# Too large, too small ---------------------------------------------------------------------------


def _growth(health: Health, sound: int) -> Iterator[Verdict]:
    """See the gradients or the loss grow out of all proportion."""
    squares = [np.nan_to_num(row["gradient"][:sound]) ** 2 for row in health.parameters]
    total = np.sqrt(np.sum(squares, axis=0)) if squares else np.zeros(sound)
    begin = [value for value in total[:_LASTING] if value > 0]
    if begin:
        high, usual = float(total.max()), begin[0]
        step = int(total.argmax())
        if high > GROWN * usual:
            row = max(health.parameters, key=lambda each: np.nan_to_num(each["gradient"][step]))
            text = (
                f"the norm of all gradients together goes from {short(usual)} at the first step to "
                f"{short(high)} at step {step:,}; most of it stands in `{row.name}`."
            )
            yield Verdict("Exploding gradients", text, step, "gradients", "gradient", row.name)
            return
    losses = health.losses[:sound][health.has_loss[:sound]]
    if len(losses) > 1 and losses[0] > 0 and _median(losses[-_LASTING:]) > DIVERGED * losses[0]:
        text = f"the loss begins at {short(losses[0])} and ends at {short(losses[-1])}."
        row = health.parameters[0]
        yield Verdict("The loss grows", text, sound - 1, "updates", "ratio", row.name)


def _by_depth(health: Health, sound: int) -> Iterator[Verdict]:
    """Compare the first layer with the last: gradients on the way back, outputs on the way there."""
    weights = [row for row in health.weights if row.there[:sound].any()]
    if len(weights) >= 3:
        yield from _gradient_by_depth(weights[0], weights[-1], sound)
    owners = {row.name.rpartition(".")[0] for row in health.parameters}
    layers = [row for row in health.layers if row.name in owners and sound and row.there[0]]
    if len(layers) >= 3:
        yield from _output_by_depth(layers)


def _gradient_by_depth(first: Series, last: Series, sound: int) -> Iterator[Verdict]:
    near, far = last["gradient"][:sound], first["gradient"][:sound]
    steps = np.flatnonzero((near > 0) & (far > 0))
    if not steps.size:
        return
    ratios = far[steps] / near[steps]
    for title, side, limit, flags in (
        ("Vanishing gradients", "below", VANISHED, ratios < VANISHED),
        ("Exploding gradients by depth", "above", EXPLODED, ratios > EXPLODED),
    ):
        if flags.mean() < 0.5:
            continue
        at = int(flags.argmax())
        step = int(steps[at])
        text = (
            f"at step {step:,} the gradient of the first layer's `{first.name}` has norm "
            f"{short(far[step])}, that of the last one's `{last.name}` {short(near[step])}. The ratio "
            f"of the two is {short(ratios[at])}; it lies {side} {limit:g} in {int(flags.sum()):,} of "
            f"{counted(len(ratios), 'step')}."
        )
        yield Verdict(title, text, step, "gradients", "gradient", first.name)


def _output_by_depth(layers: Sequence[Series]) -> Iterator[Verdict]:
    first = layers[0]
    begin = float(first["std"][0])
    spreads = {row.name: float(row["std"][0]) for row in layers}
    spreads = {name: std for name, std in spreads.items() if std > 0 and math.isfinite(std)}
    if not begin > 0 or not spreads:
        return
    most, least = (pick(spreads, key=spreads.__getitem__) for pick in (max, min))
    for title, name, is_far in (
        ("Activations grow by depth", most, spreads[most] > GROWN * begin),
        ("Activations shrink by depth", least, spreads[least] < VANISHED * begin),
    ):
        if is_far:
            text = (
                f"at step 0 the outputs of `{first.name}` have a standard deviation of {short(begin)}, "
                f"those of `{name}` {short(spreads[name])}."
            )
            yield Verdict(title, text, 0, "activations", "std", name)


def _updates(health: Health, sound: int) -> Iterator[Verdict]:
    """Find weights that change by far too much or too little in a step."""
    large, small = [], []
    early = max(1, sound // 4)
    limit = LARGE_UPDATE if sound >= _SETTLED else LARGE_AT_FIRST
    for row in health.weights:
        moving = row["ratio"][:sound]
        moving = moving[moving > 0]
        if moving.size and _median(moving) > limit:
            large.append((row, _median(moving)))
        begin = row["ratio"][:early]
        begin = begin[begin > 0]
        if begin.size and _median(begin) < SMALL_UPDATE:
            small.append((row, _median(begin)))
    if large:
        row, ratio = max(large, key=lambda pair: pair[1])
        text = (
            f"a step changes `{row.name}` by {_part(ratio)} its norm (median){_others(large, limit)}. "
            f"The rule of thumb is {percent(RATIO)}, an update ratio of about {RATIO:g}."
        )
        step = int((row["ratio"][:sound] > limit).argmax())
        yield Verdict("Large updates", text, step, "updates", "ratio", row.name)
    if small and len(small) == len(health.weights):
        row, ratio = max(small, key=lambda pair: pair[1])
        text = (
            f"in the first {counted(early, 'step')} no weight changes by more than {short(ratio)} of "
            f"its norm in a step (median; `{row.name}`). The rule of thumb is about {RATIO:g}."
        )
        yield Verdict("Tiny updates", text, 0, "updates", "ratio", row.name)


def _part(ratio: float) -> str:
    return f"{percent(ratio)} of" if ratio < 10 else f"{float(short(ratio)):,.0f} times"


def _others(found: Sequence[tuple[Series, float]], limit: float) -> str:
    more = len(found) - 1
    return f", and {counted(more, 'more weight')} by more than {percent(limit)}" if more else ""


# Dead, cut off, forgotten -----------------------------------------------------------------------


def _dead(health: Health, sound: int) -> Iterator[Verdict]:
    for row in health.layers:
        if not sound or not row.there[:sound][-1]:
            continue
        share = np.where(row.there[:sound], row["dead"][:sound], 0.0)
        rectifies = any(word in row.kind for word in _RECTIFIERS) and "Leaky" not in row.kind
        if row.name == INPUT or not (rectifies or share[-1] == 1):
            continue
        step = _lasting_from(share, DEAD_SHARE)
        if step is None:
            continue
        units = int(row["units"][step])
        tail = share[step:]
        least = round(float(tail.min()) * units)
        looked = row["values"][step:sound] / row["units"][step:sound]
        if least < units and (len(tail) < _SILENT or np.nanmedian(looked) < _FEW):
            continue
        who = f"all {units:,}" if least == units else f"{least:,} of {units:,}"
        more = "" if least == units or tail.max() == tail.min() else "at least "
        text = f"{since(step)}, {more}{who} units of `{row.name}` give 0 for every example of the batch."
        if least == units and rectifies:
            text += " No gradient passes a ReLU where it gives 0."
        yield Verdict("Dead units", text, step, "activations", "dead", row.name)


def _lasting_from(share: Floats, least: float) -> int | None:
    """Return since when a share has been as high as it lately is; None if it is not high."""
    if len(share) < _LASTING:
        return None
    level = float(share[-max(_LASTING, len(share) // 10) :].min())
    if level < least:
        return None
    below = np.flatnonzero(share < level)
    return int(below[-1]) + 1 if below.size else 0


def _since_flags(flags: Flags) -> int | None:
    """Return since when something has been so, without a break, for long enough."""
    return _lasting_from(flags.astype(np.float64), 1.0)


def _grouped(
    rows: Sequence[Series], begin: Callable[[Series], int | None]
) -> list[tuple[int, list[Series]]]:
    """Group rows by the step from which something is so."""
    groups: dict[int, list[Series]] = {}
    for row in rows:
        step = begin(row)
        if step is not None:
            groups.setdefault(step, []).append(row)
    return sorted(groups.items(), key=lambda group: group[0])


def _without_gradient(health: Health, sound: int) -> Iterator[Verdict]:
    rows = [row for row in health.parameters if row.last["trains"]]
    never = [row for row in rows if not row.there.any()]
    if rows and len(never) == len(rows):
        text = (
            f"no parameter has a gradient in any of {counted(health.length, 'step')}: backward() was "
            "not called, or the loss is cut off from the parameters."
        )
        yield Verdict("No gradient", text, 0, "gradients", "gradient", rows[0].name)
    elif never:
        verb, them = ("have", "them") if len(never) > 1 else ("has", "it")
        text = (
            f"{named(never)} {verb} None as gradient in every step: no way leads from the loss back "
            f"to {them}."
        )
        yield Verdict("No gradient", text, 0, "gradients", "gradient", never[0].name)


def _zero_gradient(health: Health, sound: int) -> Iterator[Verdict]:
    rows = [row for row in health.parameters if row.last["trains"]]

    def begin(row: Series) -> int | None:
        return _since_flags(row.there[:sound] & (row["gradient"][:sound] == 0))

    for step, group in _grouped(rows, begin):
        which = "all parameters" if len(group) == len(rows) else named(group)
        text = (
            f"{since(step)}, the gradient of {which} is exactly 0: it is there, and nothing of the "
            "loss comes through."
        )
        yield Verdict("Gradient exactly 0", text, step, "gradients", "gradient", group[0].name)


def _unmoved(health: Health, sound: int) -> Iterator[Verdict]:
    """Find parameters that stay as they are although they have a gradient."""
    rows = [row for row in health.parameters if row.last["trains"] and row.there.any()]
    steps = np.flatnonzero(np.array(health.updates[:sound]) > 0)  # between updates nothing moves
    if not steps.size:
        steps = np.arange(sound)
    highest = np.max([np.nan_to_num(row["gradient"]) for row in rows], axis=0) if rows else 0

    def begin(row: Series) -> int | None:
        # A bias before batch normalisation has a gradient of rounding errors, too small to move it.
        least = NEGLIGIBLE * highest if row.last["held"] else 0
        still = (row["update"] == 0) & row.there & (row["gradient"] > least)
        place = _since_flags(still[steps])
        return None if place is None else int(steps[place]) if place else 0

    for step, group in _grouped(rows, begin):
        one = len(group) == 1
        which = "all parameters" if len(group) == len(rows) > 1 else named(group)
        does = "has a gradient and never changes" if one else "have a gradient and never change"
        text = f"{since(step)}, {which} {does}. {_why_unmoved(health, group)}"
        yield Verdict("Not updated", text, step, "updates", "ratio", group[0].name)


def _why_unmoved(health: Health, group: Sequence[Series]) -> str:
    them = "it" if len(group) == 1 else "them"
    if not any(health.updates):
        return "No optimizer of this model stepped."
    if not any(row.last["held"] for row in group):
        return f"No optimizer that stepped holds {them}."
    return (
        f"The optimizer holds {them}: its learning rate is 0, or the change too small to be held."
    )


# Around the training ----------------------------------------------------------------------------


def _modes(health: Health) -> Iterator[Verdict]:
    """Find dropout and batch normalisation that turn to eval mode in the middle of training."""
    turned: dict[int, list[Series]] = {}
    for row in health.layers:
        if not row.kind.startswith(_MODAL):
            continue
        modes = [entry["training"] for entry in row.entries if entry is not None]
        if True in modes and False in modes:
            turned.setdefault(modes.index(False), []).append(row)
    for step, rows in turned.items():
        later = sum(entry is not None and not entry["training"] for entry in rows[0].entries)
        text = (
            f"{named(rows)} ({listed(sorted({row.kind for row in rows}))}) ran in eval mode in "
            f"{counted(later, 'training step')}, first at step {step:,}."
        )
        yield Verdict("Trained in eval mode", text, step, "activations", "std", rows[0].name)


def _inputs(health: Health) -> Iterator[Verdict]:
    row = next((row for row in health.layers if row.name == INPUT), None)
    if row is None or "Embedding" in {each.kind for each in health.layers}:
        return
    mean, std = _median(row["mean"]), _median(row["std"])
    if abs(mean) > 10 or std > 10:
        text = (
            f"their mean is {short(mean)}, their standard deviation {short(std)} (medians over the "
            "steps); layers are initialised for inputs of about mean 0 and standard deviation 1."
        )
        yield Verdict("Inputs not scaled", text, 0, "activations", "std", row.name)


def _median(values: Floats) -> float:
    kept = values[~np.isnan(values)]
    return float(np.median(kept)) if kept.size else math.nan
