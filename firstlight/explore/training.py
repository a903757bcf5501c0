"""`explore.training(history)`: scrub through a training: the fit, the loss, the parameters' path."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from firstlight.explore.frame import Explorer
from firstlight.explore.tensors import listed
from firstlight.explore.training_history import Frames, Run, bands, read_history
from firstlight.explore.training_model import Fit, Surface, Trained
from firstlight.explore.training_story import Story, shared_names
from firstlight.explore.training_words import MOST_POINTS, notes_on, text_of


def training(
    history: object,
    model: object = None,
    loss_fn: object = None,
    inputs: object = None,
    targets: object = None,
    *,
    unit: str = "step",
) -> Explorer:
    """Scrub through the steps of a training: the loss, the parameters, and what the model did.

    Args:
        history: a list with one entry for each step: the loss, or a pair (loss, parameters), where
            parameters is a dict from names to tensors, `copy.deepcopy(model.state_dict())`. Or a
            dict from labels to such lists, which are shown side by side.
        model: the network that was trained. With it, the data and recorded parameters the picture
            shows the curve of a model with one input at every step.
        loss_fn: with it too, a model with two parameters gets its loss surface.
        inputs: the data it was trained on, one entry for each example.
        targets: as many targets.
        unit: what an entry stands for, if not a step: `"epoch"`.

    The model is run in eval mode, with the recorded parameters in place of its own; afterwards it is
    as it was.

    Raises:
        TypeError: for a history that is no such list, or one of another model; for a model without
            data; for a loss_fn or a model that can't take them.
    """
    runs = read_history(history)
    if not isinstance(unit, str) or not unit:
        raise TypeError(f'explore.training needs unit as a word, such as "epoch"; it got {unit!r}.')
    trained = Trained.of(model, loss_fn, inputs, targets)
    story = Story(runs, trained, shared_names(runs, trained), unit)
    with trained.asked() if trained else nullcontext():
        data = _data(story)
    return Explorer("training", _title(runs), data, text_of(story, data))


def _title(runs: Sequence[Run]) -> str:
    labels = [run.label for run in runs if run.label]
    return f"Training, step by step: {listed(labels)}" if labels else "Your training, step by step"


# What the picture needs ------------------------------------------------------------------------


def _data(story: Story) -> dict[str, Any]:
    columns, values = _columns(story)
    fit, surface = story.fit, story.surface
    return {
        "unit": story.unit,
        "length": max(len(run.losses) for run in story.runs),
        "frames": story.frames.steps,
        "columns": columns,
        "runs": [
            {
                "label": run.label,
                "length": len(run.losses),
                "loss": [_plain(run.losses[step]) for step in story.frames.of(run)],
                "bands": _bands(run, story.frames),
                "diverged": run.diverged,
                "columns": own,
                "curves": _packed(fit.curves[number]) if fit else None,
                "path": [[*map(_plain, point)] for point in story.paths[number].tolist()]
                if surface
                else None,
                "sizes": [_packed(_kept(part, story)) for part in story.sizes[number]]
                if story.tensors
                else None,
            }
            for number, (run, own) in enumerate(zip(story.runs, values, strict=True))
        ],
        "fit": _fit_data(story, fit) if fit else None,
        "surface": _surface_data(story, surface) if surface else None,
        "tensors": _tensor_data(story),
        "notes": [{"loud": loud, "text": text} for loud, text in notes_on(story)],
    }


def _columns(story: Story) -> tuple[list[str], list[list[list[Any]]]]:
    """Name the numbers that stand beside the loss, and list them for each run and step."""
    names: list[str] = []
    values: list[list[list[float]]] = [[] for _ in story.runs]
    if any(story.losses_again) and set(story.pairings) != {"before"}:
        names.append("loss of the fit" if story.fit else "loss on the data")
        for own, again in zip(values, story.losses_again, strict=True):
            own.append(again)
    if story.coordinates:
        names += [coordinate.name for coordinate in story.coordinates]
        for own, path in zip(values, story.paths, strict=True):
            own.extend(path.T.tolist())
    elif story.names:
        names += ["norm", "update"]
        for own, parts in zip(values, story.sizes, strict=True):
            own.extend(part[:, -1].tolist() for part in parts)
    plain: list[list[list[Any]]] = [[[*map(_plain, column)] for column in own] for own in values]
    for columns in plain if "update" in names else ():
        columns[names.index("update")][0] = None  # no step before the first
    return names, plain


def _bands(run: Run, frames: Frames) -> list[list[Any]] | None:
    if frames.sentence is None:
        return None
    return [[_plain(low), _plain(high)] for low, high in bands(run, frames.of(run))]


def _kept(part: Tensor, story: Story) -> Tensor:
    """Keep the columns of the tensors that are shown, and of all together if there are several."""
    columns = [part[:, : len(story.tensors)], part[:, -1:]]
    return torch.cat(columns[: len(story.names)], dim=1).float()


def _tensor_data(story: Story) -> list[dict[str, Any]]:
    """Describe the curves of the parameters, all together last."""
    if not story.tensors:
        return []
    first = story.records[0][0]
    shapes = {name: first[name] for name in story.tensors}
    together = {"name": "all parameters", "shape": None, "numbers": story.numbers}
    return [
        *(
            {"name": name, "shape": tuple(value.shape), "numbers": value.numel()}
            for name, value in shapes.items()
        ),
        *([together] if len(story.names) > 1 else []),
    ]


def _fit_data(story: Story, fit: Fit) -> dict[str, Any]:
    assert story.trained is not None
    data = (story.trained.inputs, story.trained.targets)
    points = torch.stack([part.flatten().cpu().double() for part in data])
    points = points[:, _some(points.shape[1])]
    points = points[:, points.isfinite().all(0)]
    return {"grid": _packed(fit.grid), "points": [[*map(_plain, part)] for part in points.tolist()]}


def _some(count: int) -> Tensor:
    """The numbers of at most `MOST_POINTS` examples, evenly."""
    most = min(count, MOST_POINTS)
    return torch.linspace(0, count - 1, most, dtype=torch.float64, device="cpu").round().long()


def _surface_data(story: Story, surface: Surface) -> dict[str, Any]:
    return {
        "names": [coordinate.name for coordinate in story.coordinates],
        "x": [_plain(float(surface.x[end])) for end in (0, -1)],
        "y": [_plain(float(surface.y[end])) for end in (0, -1)],
        "values": _packed(surface.values),
    }


def _packed(values: Tensor) -> str:
    return base64.b64encode(values.numpy().astype("<f4").tobytes()).decode()


def _plain(value: float) -> float | str:
    """Return seven digits of a number; JSON has no word for the others, so those are text."""
    if math.isfinite(value):
        return float(f"{value:.7g}")
    return "NaN" if math.isnan(value) else f"{'-' if value < 0 else ''}Infinity"
