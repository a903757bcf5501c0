"""`explore.training` shows PyTorch's own numbers, names what went wrong, and leaves the model alone."""

from __future__ import annotations

import base64
import copy
import json
import math
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from firstlight import explore
from firstlight.explore.frame import Explorer, module_source
from firstlight.explore.training_history import Run, bands, choose_frames
from firstlight.explore.training_model import SIDE

Step = tuple[float, dict[str, Tensor]]
MSE = nn.MSELoss()
LINE = {"weight": torch.zeros(1, 1), "bias": torch.zeros(1)}
OPTIMIZERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "SGD": lambda parameters: torch.optim.SGD(parameters, lr=0.05),
    "momentum": lambda parameters: torch.optim.SGD(parameters, lr=0.05, momentum=0.9),
    "Adam": lambda parameters: torch.optim.Adam(parameters, lr=0.15),
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def line_data(count: int = 40, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(0)
    inputs = torch.rand(count, 1, generator=g, dtype=dtype) * 4 - 1
    return inputs, 1.7 * inputs + 0.6 + 0.3 * torch.randn(count, 1, generator=g, dtype=dtype)


def new_line(dtype: torch.dtype = torch.float32) -> nn.Linear:
    model = nn.Linear(1, 1, dtype=dtype)
    with torch.no_grad():
        model.weight.fill_(-1.2)
        model.bias.fill_(2.6)
    return model


def new_mlp() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1))


def train(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    steps: int = 12,
    make: Callable[[Any], torch.optim.Optimizer] = OPTIMIZERS["SGD"],
    after: bool = False,
    loss_fn: Callable[[Tensor, Tensor], Tensor] = MSE,
    take: Callable[[nn.Module], Any] = lambda model: copy.deepcopy(model.state_dict()),
) -> list[Step]:
    """A student's loop, which records the parameters before the update, or after it."""
    optimizer = make(model.parameters())
    history = []
    for _ in range(steps):
        loss = loss_fn(model(inputs), targets)
        record = None if after else take(model)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append((loss.item(), take(model) if after else record))
    return history


def lines(steps: int = 12, **options: Any) -> dict[str, list[Step]]:
    inputs, targets = line_data()
    return {
        label: train(new_line(), inputs, targets, steps, make, **options)
        for label, make in OPTIMIZERS.items()
    }


def numbers(packed: str, width: int) -> np.ndarray:
    return np.frombuffer(base64.b64decode(packed), "<f4").reshape(-1, width)


def plain(values: list[Any]) -> list[float]:
    return [math.nan if value is None else float(value) for value in values]


def loud(explorer: Explorer) -> list[str]:
    return [note["text"] for note in explorer.data["notes"] if note["loud"]]


def quiet(explorer: Explorer) -> str:
    return " ".join(note["text"] for note in explorer.data["notes"] if not note["loud"])


def loaded(model: nn.Module, record: dict[str, Tensor]) -> nn.Module:
    """A copy of the model with recorded parameters, put there as PyTorch does it."""
    twin = copy.deepcopy(model).eval()
    twin.load_state_dict(record)
    return twin


# Forms of a history ----------------------------------------------------------------------------


def test_every_form_of_a_list_of_losses_gives_the_same() -> None:
    losses = [3.0, 1.5, 0.75, 0.5]
    forms = (
        losses,
        tuple(losses),
        [torch.tensor(loss) for loss in losses],
        [torch.tensor([loss], dtype=torch.float64) for loss in losses],
        [np.float32(loss) for loss in losses],
        torch.tensor(losses),
        np.array(losses),
    )
    pages = {explore.training(form)._repr_html_() for form in forms}
    assert len(pages) == 1


def test_every_form_of_recorded_parameters_gives_the_same() -> None:
    inputs, targets = line_data()
    forms = (
        lambda model: copy.deepcopy(model.state_dict()),
        lambda model: {name: p.detach().clone() for name, p in model.named_parameters()},
        lambda model: copy.deepcopy(dict(model.named_parameters())),
        lambda model: {name: value.clone() for name, value in model.state_dict().items()},
    )
    model = new_line()
    pages = {
        explore.training(
            train(new_line(), inputs, targets, take=take), model, MSE, inputs, targets
        )._repr_html_()
        for take in forms
    }
    assert len(pages) == 1


def test_losses_are_shown_as_they_were_recorded() -> None:
    histories = lines()
    explorer = explore.training(histories)
    for run, (label, history) in zip(explorer.data["runs"], histories.items(), strict=True):
        assert run["label"] == label
        assert run["loss"] == pytest.approx([loss for loss, _ in history], rel=1e-6)


def test_labels_may_be_numbers() -> None:
    explorer = explore.training({0.1: [2.0, 1.0], 0.01: [2.0, 1.9]})
    assert [run["label"] for run in explorer.data["runs"]] == ["0.1", "0.01"]
    assert explorer.title == "Training, step by step: 0.1 and 0.01"


def test_plain_numbers_count_as_parameters() -> None:
    history = [(4.0, {"w": 1.0, "b": np.float32(0.5)}), (1.0, {"w": 1.5, "b": np.array(0.25)})]
    (run,) = explore.training(history).data["runs"]
    assert run["columns"] == [[1.0, 1.5], [0.5, 0.25]]


def test_runs_may_have_different_lengths() -> None:
    explorer = explore.training({"long": [3.0, 2.0, 1.0, 0.5], "short": [3.0, 2.5]})
    assert explorer.data["frames"] == [0, 1, 2, 3]
    assert [run["length"] for run in explorer.data["runs"]] == [4, 2]
    assert [len(run["loss"]) for run in explorer.data["runs"]] == [4, 2]


def test_an_entry_may_stand_for_an_epoch() -> None:
    explorer = explore.training([2.0, 1.0], unit="epoch")
    assert explorer.data["unit"] == "epoch"
    assert "epoch   loss\n    0  2.000\n    1  1.000" in explorer.text


# The numbers -----------------------------------------------------------------------------------


def test_the_curve_of_every_step_is_the_models_own() -> None:
    inputs, targets = line_data()
    model = new_mlp()
    history = train(model, inputs, targets, 10, OPTIMIZERS["Adam"])
    explorer = explore.training(history, model, MSE, inputs, targets)
    grid = torch.tensor(numbers(explorer.data["fit"]["grid"], 1))
    curves = numbers(explorer.data["runs"][0]["curves"], len(grid))
    assert (len(curves), len(grid)) == (10, 121)
    assert grid.min() < inputs.min() < inputs.max() < grid.max()
    for curve, (_, record) in zip(curves, history, strict=True):
        expected = loaded(model, record)(grid).detach().flatten()
        assert torch.allclose(torch.tensor(curve), expected, atol=1e-6)


def test_a_straight_line_is_given_by_two_points() -> None:
    inputs, targets = line_data()
    histories = lines()
    explorer = explore.training(histories, new_line(), MSE, inputs, targets)
    grid = torch.tensor(numbers(explorer.data["fit"]["grid"], 1))
    assert len(grid) == 2
    for run, history in zip(explorer.data["runs"], histories.values(), strict=True):
        for curve, (_, record) in zip(numbers(run["curves"], 2), history, strict=True):
            expected = record["weight"].item() * grid.flatten() + record["bias"].item()
            assert torch.allclose(torch.tensor(curve), expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
def test_inputs_and_targets_may_have_one_axis_or_two(shape: tuple[int, ...]) -> None:
    class Line(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.tensor(0.5))
            self.b = nn.Parameter(torch.tensor(-1.0))

        def forward(self, x: Tensor) -> Tensor:
            return x * self.w + self.b

    inputs, targets = (part.reshape(shape) for part in line_data())
    history = train(Line(), inputs, targets, 4)
    explorer = explore.training(history, Line(), MSE, inputs, targets)
    assert explorer.data["fit"]["points"][0] == pytest.approx(inputs.flatten().tolist())
    assert explorer.data["fit"]["points"][1] == pytest.approx(targets.flatten().tolist())
    assert explorer.data["surface"]["names"] == ["w", "b"]


def test_the_surface_is_the_loss_of_the_students_model_at_every_point() -> None:
    inputs, targets = line_data()
    loss_fn = nn.HuberLoss()
    explorer = explore.training(lines(), new_line(), loss_fn, inputs, targets)
    surface = explorer.data["surface"]
    values = numbers(surface["values"], SIDE)
    weights, biases = (np.linspace(*surface[axis], SIDE) for axis in ("x", "y"))
    assert surface["names"] == ["weight", "bias"]
    for row in range(0, SIDE, 8):
        for column in range(0, SIDE, 8):
            model = new_line()
            with torch.no_grad():
                model.weight.fill_(weights[column])
                model.bias.fill_(biases[row])
                expected = loss_fn(model(inputs), targets).item()
            assert values[row, column] == pytest.approx(expected, rel=1e-5)


def test_the_surface_holds_every_path_that_stays_finite() -> None:
    inputs, targets = line_data()
    histories = lines(40)
    explorer = explore.training(histories, new_line(), MSE, inputs, targets)
    surface = explorer.data["surface"]
    for run, history in zip(explorer.data["runs"], histories.values(), strict=True):
        for (weight, bias), (_, record) in zip(run["path"], history, strict=True):
            assert weight == pytest.approx(record["weight"].item(), rel=1e-6)
            assert bias == pytest.approx(record["bias"].item(), rel=1e-6)
            assert surface["x"][0] < weight < surface["x"][1]
            assert surface["y"][0] < bias < surface["y"][1]


def test_a_path_that_runs_away_leaves_the_picture_to_the_others() -> None:
    inputs, targets = line_data()
    make = OPTIMIZERS["SGD"]
    histories = {
        "good": train(new_line(), inputs, targets, 30, make),
        "wild": train(new_line(), inputs, targets, 30, lambda p: torch.optim.SGD(p, lr=0.9)),
    }
    explorer = explore.training(histories, new_line(), MSE, inputs, targets)
    width = explorer.data["surface"]["x"][1] - explorer.data["surface"]["x"][0]
    assert 0 < width < 20
    assert max(abs(weight) for weight, _ in explorer.data["runs"][1]["path"]) > 1e9
    assert "wild leaves the picture of the loss surface at step 2" in quiet(explorer)


def test_parameters_that_never_move_still_get_a_surface_around_them() -> None:
    inputs, targets = line_data()
    record = {"weight": torch.tensor([[1.0]]), "bias": torch.tensor([0.0])}
    explorer = explore.training([(1.0, record)], new_line(), MSE, inputs, targets)
    assert explorer.data["surface"]["x"] == [0.5, 1.5]
    assert explorer.data["surface"]["y"] == [-0.5, 0.5]


def test_two_numbers_in_one_tensor_are_named_by_their_index() -> None:
    g = torch.Generator().manual_seed(0)
    inputs, targets = torch.randn(20, 2, generator=g), torch.randn(20, 1, generator=g)
    model = nn.Linear(2, 1, bias=False)
    explorer = explore.training(
        train(model, inputs, targets, 5), model, nn.L1Loss(), inputs, targets
    )
    assert explorer.data["surface"]["names"] == ["weight[0, 0]", "weight[0, 1]"]
    assert explorer.data["fit"] is None
    assert "one number in and one out; an input here has shape (2,)" in quiet(explorer)


def test_norms_and_updates_are_those_of_the_recorded_tensors() -> None:
    inputs, targets = line_data()
    model = new_mlp()
    history = train(model, inputs, targets, 8)
    explorer = explore.training(history)
    names = [tensor["name"] for tensor in explorer.data["tensors"]]
    assert names == ["0.weight", "0.bias", "2.weight", "2.bias", "all parameters"]
    sizes, updates = (numbers(part, 5) for part in explorer.data["runs"][0]["sizes"])
    for step, (_, record) in enumerate(history):
        before = history[max(0, step - 1)][1]
        for column, name in enumerate(names[:3]):
            assert sizes[step, column] == pytest.approx(record[name].norm().item(), rel=1e-5)
            change = (record[name] - before[name]).norm().item()
            assert updates[step, column] == pytest.approx(change, rel=1e-4)
        assert sizes[step, 3] == pytest.approx(record["2.bias"].item(), rel=1e-5)  # one number
        whole = torch.cat([value.flatten() for value in record.values()]).norm().item()
        assert sizes[step, 4] == pytest.approx(whole, rel=1e-5)
    assert explorer.data["columns"] == ["norm", "update"]
    (norm, update) = explorer.data["runs"][0]["columns"]
    assert norm == pytest.approx(sizes[:, 4], rel=1e-6)
    assert update[0] is None
    assert update[1:] == pytest.approx(updates[1:, 4], rel=1e-6)


def test_many_tensors_are_counted_and_the_first_shown() -> None:
    record = {f"{number}.weight": torch.ones(2, 2) for number in range(20)}
    explorer = explore.training([(1.0, record), (0.5, record)])
    assert len(explorer.data["tensors"]) == 9
    assert "Of 20 parameters the first 8 have curves of their own" in quiet(explorer)


def test_a_single_tensor_needs_no_curve_of_all_together() -> None:
    explorer = explore.training([(1.0, {"w": torch.ones(3)}), (0.5, {"w": torch.zeros(3)})])
    assert [tensor["name"] for tensor in explorer.data["tensors"]] == ["w"]
    norms, updates = (numbers(part, 1).flatten() for part in explorer.data["runs"][0]["sizes"])
    assert norms == pytest.approx([math.sqrt(3), 0.0])
    assert updates == pytest.approx([0.0, math.sqrt(3)])


def test_data_that_are_no_numbers_are_left_out_of_the_picture() -> None:
    inputs, targets = line_data(6)
    inputs[2], targets[4] = math.nan, math.inf
    explorer = explore.training([(1.0, LINE)], new_line(), None, inputs, targets)
    kept = [0, 1, 3, 5]
    assert explorer.data["fit"]["points"][0] == pytest.approx(inputs[kept, 0].tolist())
    assert explorer.data["fit"]["points"][1] == pytest.approx(targets[kept, 0].tolist())


def test_data_points_are_thinned_and_counted() -> None:
    inputs, targets = line_data(1000)
    explorer = explore.training(
        train(new_line(), inputs, targets, 3), new_line(), MSE, inputs, targets
    )
    assert len(explorer.data["fit"]["points"][0]) == 400
    assert "Of 1,000 examples 400 are drawn, evenly chosen." in quiet(explorer)


# Which loss belongs to which parameters --------------------------------------------------------


def test_recorded_before_the_update_the_loss_is_that_of_the_parameters() -> None:
    inputs, targets = line_data()
    explorer = explore.training(lines(), new_line(), MSE, inputs, targets)
    assert explorer.data["columns"] == ["weight", "bias"]
    assert quiet(explorer) == ""


def test_recorded_after_the_update_both_losses_are_shown_and_explained() -> None:
    inputs, targets = line_data()
    histories = lines(after=True)
    explorer = explore.training(histories, new_line(), MSE, inputs, targets)
    assert explorer.data["columns"] == ["loss of the fit", "weight", "bias"]
    assert "their loss stands in the next entry" in quiet(explorer)
    for run, history in zip(explorer.data["runs"], histories.values(), strict=True):
        for loss, (_, record) in zip(run["columns"][0], history, strict=True):
            expected = MSE(loaded(new_line(), record)(inputs), targets).item()
            assert loss == pytest.approx(expected, rel=1e-5)


def test_the_loss_of_batches_is_shown_beside_the_loss_on_all_the_data() -> None:
    inputs, targets = line_data()
    model = new_line()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    history = []
    for step in range(12):
        batch = slice(8 * (step % 5), 8 * (step % 5) + 8)
        loss = MSE(model(inputs[batch]), targets[batch])
        history.append((loss.item(), copy.deepcopy(model.state_dict())))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    explorer = explore.training(history, model, MSE, inputs, targets)
    assert explorer.data["columns"][0] == "loss of the fit"
    assert "next entry" not in quiet(explorer)


# Mistakes that are named -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "take",
    [
        lambda model: model.state_dict(),
        lambda model: dict(model.state_dict()),
        lambda model: dict(model.named_parameters()),
        lambda model: {name: p.detach() for name, p in model.named_parameters()},
        lambda model: {name: p.data for name, p in model.named_parameters()},
    ],
)
def test_references_in_place_of_copies_are_told_so(take: Callable[[nn.Module], Any]) -> None:
    inputs, targets = line_data()
    model = new_line()
    history = train(model, inputs, targets, take=take)
    explorer = explore.training(history, model, MSE, inputs, targets)
    (told,) = loud(explorer)
    assert told.startswith("Every entry shows the last step's parameters, because `state_dict()`")
    assert "copy.deepcopy(model.state_dict())" in told
    assert told in explorer.text


def test_references_are_told_for_the_run_that_holds_them() -> None:
    inputs, targets = line_data()
    histories = {
        "copied": train(new_line(), inputs, targets),
        "live": train(new_line(), inputs, targets, take=lambda model: model.state_dict()),
    }
    (told,) = loud(explore.training(histories))
    assert told.startswith("Every entry of live shows the last step's parameters")


def test_parameters_that_never_change_are_told_so() -> None:
    inputs, targets = line_data()
    other = new_line()
    history = train(new_line(), inputs, targets, take=lambda _: copy.deepcopy(other.state_dict()))
    (told,) = loud(explore.training(history, other, MSE, inputs, targets))
    assert told.startswith("The parameters are the same at every step: nothing was trained.")


@pytest.mark.parametrize("after", [False, True])
def test_a_second_run_with_the_same_model_is_told_so(after: bool) -> None:
    inputs, targets = line_data()
    model = new_line()
    histories = {"SGD": train(model, inputs, targets, after=after)}
    last = copy.deepcopy(model.state_dict())
    histories["again"] = train(model, inputs, targets, after=after)
    if not after:  # then the last entry is one update older
        histories["SGD"].append((MSE(loaded(model, last)(inputs), targets).item(), last))
    (told,) = loud(explore.training(histories, model, MSE, inputs, targets))
    assert told.startswith("again begins where SGD ended: both trained the same model.")


def test_losses_that_hold_their_graph_are_told_so() -> None:
    inputs, targets = line_data()
    losses = [MSE(new_line()(inputs), targets) for _ in range(3)]
    (told,) = loud(explore.training(losses))
    assert told.endswith("Record `loss.item()`.")
    assert loud(explore.training([loss.detach() for loss in losses])) == []


@pytest.mark.filterwarnings("ignore:Using a target size")
def test_outputs_broadcast_against_targets_are_told_so() -> None:
    inputs, targets = line_data()
    history = train(new_line(), inputs, targets[:, 0])
    (told,) = loud(explore.training(history, new_line(), MSE, inputs, targets[:, 0]))
    assert told.startswith("The outputs have shape (40, 1) and the targets (40,).")


def test_a_loss_that_brings_the_shapes_together_is_not_blamed() -> None:
    inputs, targets = line_data()

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs.flatten() - targets).square().mean()

    history = train(new_line(), inputs, targets[:, 0], loss_fn=loss_fn)
    assert loud(explore.training(history, new_line(), loss_fn, inputs, targets[:, 0])) == []


def test_divergence_is_told_with_the_step_where_it_happens() -> None:
    losses = [1.0, 10.0, math.inf, math.inf, math.nan, math.nan]
    explorer = explore.training({"fine": [1.0] * 6, "wild": losses})
    (told,) = loud(explorer)
    assert told == (
        "wild: the loss is inf at step 2, NaN from step 4 on. "
        "The training diverged: try a smaller learning rate."
    )
    assert explorer.data["runs"][1]["diverged"] == 2
    assert explorer.data["runs"][1]["loss"] == [1.0, 10.0, "Infinity", "Infinity", "NaN", "NaN"]


@pytest.mark.parametrize(
    ("losses", "told"),
    [
        ([1.0, math.nan, math.nan], "The loss is NaN at step 1, and never finite again."),
        ([1.0, math.nan, 0.5], "The loss is NaN at step 1. The training"),
        ([1.0, -math.inf], "The loss is -inf at step 1. The training"),
    ],
)
def test_divergence_is_told_as_it_is(losses: list[float], told: str) -> None:
    assert loud(explore.training(losses))[0].startswith(told)


def test_a_diverged_training_has_a_picture_of_its_finite_part() -> None:
    inputs, targets = line_data()
    history = train(new_line(), inputs, targets, 300, lambda p: torch.optim.SGD(p, lr=0.9))
    explorer = explore.training(history, new_line(), MSE, inputs, targets)
    assert not math.isfinite(history[-1][0])
    assert explorer.data["surface"] is not None
    assert json.loads(json.dumps(dict(explorer.data), allow_nan=False))
    assert math.isnan(numbers(explorer.data["runs"][0]["curves"], 2)[-1, 0])
    assert "NaN" in explorer.text


# Long histories --------------------------------------------------------------------------------


def test_a_short_history_is_shown_whole() -> None:
    explorer = explore.training([1.0] * 200)
    assert explorer.data["frames"] == list(range(200))
    assert explorer.data["runs"][0]["bands"] is None
    assert quiet(explorer) == ""


def test_a_long_history_is_thinned_and_says_how() -> None:
    losses = [2.0 + math.sin(step) for step in range(100_000)]
    explorer = explore.training(losses)
    frames = explorer.data["frames"]
    assert frames == [*range(0, 100_000, 500), 99_999]
    assert "Of 100,000 entries 201 are shown: one in 500, and the last." in quiet(explorer)
    assert len(explorer._repr_html_()) < 80_000


def test_with_parameters_the_first_steps_are_shown_one_by_one() -> None:
    inputs, targets = line_data()
    history = train(new_line(), inputs, targets, 500)
    explorer = explore.training(history, new_line(), MSE, inputs, targets)
    frames = explorer.data["frames"]
    assert frames[:66] == list(range(66))
    assert frames[66:-1] == list(range(66, 499, 4))
    assert frames[-1] == 499
    assert "the first 66, then one in 4, and the last" in quiet(explorer)


def test_ends_and_breaks_are_among_the_steps_shown() -> None:
    runs = [
        Run("long", [1.0] * 5000, [], False),
        Run("short", [1.0] * 777, [], False),
        Run("broken", [1.0] * 1234 + [math.nan] * 9, [], False),
    ]
    frames = choose_frames(runs, 100, first=0)
    assert {776, 1233, 1234, 1242, 4999} <= set(frames.steps)
    assert frames.of(runs[1])[-1] == 776
    assert frames.sentence is not None
    assert "and where a loss stops being finite" in frames.sentence


def test_a_band_holds_every_loss_between_the_steps_shown() -> None:
    g = torch.Generator().manual_seed(0)
    run = Run("", torch.rand(1000, generator=g).tolist(), [], False)
    steps = choose_frames([run], 50, first=0).steps
    found = bands(run, steps)
    for (low, high), before, step in zip(found, [-1, *steps], steps, strict=False):
        between = run.losses[before + 1 : step + 1]
        assert (low, high) == (min(between), max(between))


@pytest.mark.parametrize("runs", [1, 3])
def test_data_of_usual_cases_stay_modest(runs: int) -> None:
    inputs, targets = line_data()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(1, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU())
    model.append(nn.Linear(32, 1))
    history = train(model, inputs, targets, 300)
    histories = {f"run {number}": history for number in range(runs)}
    explorer = explore.training(histories, model, MSE, inputs, targets)
    assert len(json.dumps(dict(explorer.data))) < 150_000


def test_code_and_style_beside_the_data_stay_under_60_kb() -> None:
    assert len(module_source("training").encode()) <= 60_000


# Networks of every kind ------------------------------------------------------------------------


def test_dropout_and_batch_norm_are_asked_in_eval_mode() -> None:
    inputs, targets = line_data()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(1, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.Linear(6, 1))
    history = train(model, inputs, targets, 5)
    explorer = explore.training(history, model, MSE, inputs, targets)
    grid = torch.tensor(numbers(explorer.data["fit"]["grid"], 1))
    curves = numbers(explorer.data["runs"][0]["curves"], len(grid))
    for curve, (_, record) in zip(curves, history, strict=True):
        expected = loaded(model, record)(grid).detach().flatten()
        assert torch.allclose(torch.tensor(curve)[[0, -1]], expected[[0, -1]], atol=1e-5)
    names = [tensor["name"] for tensor in explorer.data["tensors"]]
    parameters = [name for name, _ in model.named_parameters()]
    assert names == [*parameters, "all parameters"]


def test_buffers_that_were_not_recorded_are_named() -> None:
    inputs, targets = line_data()
    model = nn.Sequential(nn.Linear(1, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    history = train(
        model,
        inputs,
        targets,
        3,
        take=lambda model: {name: p.detach().clone() for name, p in model.named_parameters()},
    )
    explorer = explore.training(history, model, MSE, inputs, targets)
    assert "1.running_mean, 1.running_var and 1.num_batches_tracked" in quiet(explorer)


def test_shared_layers_count_once() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(1, 1)
            self.second = self.first

        def forward(self, x: Tensor) -> Tensor:
            return self.second(self.first(x))

    inputs, targets = line_data()
    model = Tied()
    history = train(model, inputs, targets, 4)
    assert set(history[0][1]) == {"first.weight", "first.bias", "second.weight", "second.bias"}
    explorer = explore.training(history, model, MSE, inputs, targets)
    assert explorer.data["surface"]["names"] == ["first.weight", "first.bias"]


def test_a_float64_model_is_asked_in_float64() -> None:
    inputs, targets = line_data(dtype=torch.float64)
    model = new_line(torch.float64)
    history = train(model, inputs, targets, 4)
    explorer = explore.training(history, model, MSE, inputs, targets)
    assert explorer.data["fit"] is not None
    assert explorer.data["columns"] == ["weight", "bias"]


def test_several_inputs_give_curves_but_no_fit() -> None:
    g = torch.Generator().manual_seed(0)
    inputs, targets = torch.randn(30, 4, generator=g), torch.randint(0, 3, (30,), generator=g)
    model = nn.Linear(4, 3)
    loss_fn = nn.CrossEntropyLoss()
    history = train(model, inputs, targets, 4, loss_fn=loss_fn, after=True)
    explorer = explore.training(history, model, loss_fn, inputs, targets)
    assert explorer.data["fit"] is None
    assert explorer.data["columns"] == ["loss on the data", "norm", "update"]


def test_logits_are_called_so() -> None:
    inputs, targets = line_data()
    labels = (targets > 1).float()
    loss_fn = nn.BCEWithLogitsLoss()
    history = train(new_line(), inputs, labels, 4, loss_fn=loss_fn)
    explorer = explore.training(history, new_line(), loss_fn, inputs, labels)
    assert "0 stands for a probability of 0.5" in quiet(explorer)


def test_losses_alone_with_a_model_say_what_to_record() -> None:
    inputs, targets = line_data()
    explorer = explore.training([2.0, 1.0], new_line(), MSE, inputs, targets)
    assert "The history holds losses alone." in quiet(explorer)


def test_runs_of_different_models_show_their_losses() -> None:
    inputs, targets = line_data()
    histories = {
        "line": train(new_line(), inputs, targets, 4),
        "network": train(new_mlp(), inputs, targets, 4),
    }
    explorer = explore.training(histories)
    assert explorer.data["tensors"] == []
    assert "recorded different parameters" in quiet(explorer)


# In words --------------------------------------------------------------------------------------


def test_the_text_gives_loss_and_parameters_of_a_few_steps() -> None:
    inputs, targets = line_data()
    history = train(new_line(), inputs, targets, 30)
    text = explore.training(history, new_line(), MSE, inputs, targets).text
    for step in (0, 1, 2, 5, 10, 20, 29):
        loss, record = history[step]
        values = (loss, record["weight"].item(), record["bias"].item())
        row = rf"^ *{step} +" + " +".join(re.escape(f"{value:#.4g}") for value in values) + "$"
        assert re.search(row, text, re.MULTILINE), (step, values)
    assert "The model learns 2 numbers: weight, bias." in text
    assert "Of its 1,681 points the lowest has loss" in text


def test_the_same_history_gives_the_same_html() -> None:
    inputs, targets = line_data()
    pages = {
        explore.training(lines(), new_line(), MSE, inputs, targets)._repr_html_() for _ in range(2)
    }
    assert len(pages) == 1


# What comes back unchanged ---------------------------------------------------------------------


class Recorder(nn.Module):
    """A model that changes itself whenever it runs."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(1, 4)
        self.drop = nn.Dropout(0.5)
        self.last = nn.Linear(4, 1)
        self.register_buffer("calls", torch.zeros(1))
        self.seen: Tensor | None = None
        self.count = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.count += 1
        self.seen = self.linear(x)
        return self.last(self.drop(self.seen)) + 0 * torch.rand(())


def test_model_data_and_generator_come_back_unchanged() -> None:
    inputs, targets = line_data()
    model = Recorder()
    history = train(model, inputs, targets, 4)
    model.drop.eval()
    model.seen, model.count = None, 7
    model.linear.weight.grad = torch.full((4, 1), 3.0)
    before = (copy.deepcopy(model.state_dict()), copy.deepcopy(history), torch.get_rng_state())
    data = (inputs.clone(), targets.clone())
    explore.training(history, model, MSE, inputs, targets)._repr_html_()
    assert all(torch.equal(value, before[0][name]) for name, value in model.state_dict().items())
    for (_, record), (_, kept) in zip(history, before[1], strict=True):
        assert all(torch.equal(value, kept[name]) for name, value in record.items())
    assert torch.equal(torch.get_rng_state(), before[2])
    assert torch.equal(inputs, data[0])
    assert torch.equal(targets, data[1])
    assert (model.training, model.drop.training, model.count, model.seen) == (True, False, 7, None)
    assert torch.equal(model.linear.weight.grad, torch.full((4, 1), 3.0))
    assert all(p.requires_grad for p in model.parameters())
    assert torch.is_grad_enabled()


def test_an_error_leaves_the_model_as_it_was() -> None:
    inputs, targets = line_data()
    model = new_mlp()
    history = train(model, inputs, targets, 3)
    with pytest.raises(TypeError, match=r"The model can't take inputs of shape \(40, 2\)"):
        explore.training(history, model, MSE, inputs.expand(40, 2), targets)
    assert model.training
    assert torch.is_grad_enabled()


def test_another_default_device_and_dtype_do_not_matter() -> None:
    inputs, targets = line_data()
    histories = lines(6)
    model = new_line()
    expected = explore.training(histories, model, MSE, inputs, targets)._repr_html_()
    torch.set_default_dtype(torch.float64)
    try:
        with torch.device("meta"):
            found = explore.training(histories, model, MSE, inputs, targets)._repr_html_()
    finally:
        torch.set_default_dtype(torch.float32)
    assert found == expected


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_history_on_a_gpu_is_shown() -> None:
    inputs, targets = (part.cuda() for part in line_data())
    model = new_line().cuda()
    history = train(model, inputs, targets, 5)
    explorer = explore.training(history, model, MSE, inputs.cpu(), targets)
    assert explorer.data["columns"] == ["weight", "bias"]


# What it refuses -------------------------------------------------------------------------------

X, Y = line_data(5)


@pytest.mark.parametrize(
    ("history", "message"),
    [
        (None, r"history is None\. Does the function that trains return it yet\?"),
        ([], "needs at least one step; history is empty"),
        ({}, "needs at least one run; the dict is empty"),
        ({"SGD": []}, r"history\['SGD'\] is empty"),
        ({"SGD": None}, r"history\['SGD'\] is None"),
        ({"SGD": 0.5}, r"one entry for each step.*history\['SGD'\] is a float"),
        (5, "history is an int"),
        ("losses", "history is a str"),
        ([None, None], r"history\[0\] has None\. Does train_step return the loss yet\?"),
        ([1.0, "low"], r"needs a loss at every step; history\[1\] has a str"),
        ([True], r"history\[0\] has a bool"),
        ([torch.ones(4)], r"history\[0\] has a tensor of shape \(4,\).*loss\.mean\(\)"),
        ([torch.ones((), dtype=torch.complex64)], r"history\[0\] has a Tensor"),
        ([torch.ones((), device="meta")], r"history\[0\] has a Tensor"),
        ([(1.0, 2.0)], r"pair of numbers.*\"training\": \[a for a, b in history\]"),
        ([(1.0, None)], r"history\[0\] holds None"),
        ([(1.0, {})], r"history\[0\] holds an empty dict"),
        ([(1.0, nn.Linear(1, 1))], r"holds the model itself, which goes on changing"),
        ([(1.0, nn.Linear(1, 1).parameters())], r"pair \(loss, parameters\).*holds a generator"),
        ([(1.0, LINE, 3)], r"history\[0\] holds 3 values"),
        ([(None, LINE)], r"history\[0\] has None"),
        ([(1.0, {"w": "big"})], r"tensors as parameters; 'w' at step 0 is a str"),
        ([(1.0, LINE), 0.5], r"at every step or at none: history\[1\] and history\[0\] differ"),
        ([1.0, (0.5, LINE)], r"at every step or at none"),
        ({label: [1.0] for label in "abcdefg"}, "at most 6 runs side by side; it got 7"),
    ],
)
def test_a_history_that_is_none_gets_a_full_sentence(history: object, message: str) -> None:
    with pytest.raises(TypeError, match=re.compile(message, re.DOTALL)):
        explore.training(history)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((None, MSE, X, Y), "needs your model too"),
        ((None, None, X, Y), "needs your model too"),
        ((new_line(), MSE), "the data it was trained on: inputs and targets.*inputs is None"),
        ((new_line(), MSE, X), "targets is None"),
        ((new_line(), MSE, X.numpy(), Y), "inputs is ndarray"),
        ((new_line(), MSE, X, Y[:3]), "as many targets as inputs.*5 inputs and 3 targets"),
        ((new_line(), MSE, X[:0], Y[:0]), "one at least; it got 0 inputs"),
        ((new_line(), nn.MSELoss, X, Y), r"nn\.MSELoss\(\); it got MSELoss"),
        ((new_line(), 0.5, X, Y), r"function of \(outputs, targets\).*it got 0\.5"),
        ((nn.Linear, MSE, X, Y), "Linear is its class"),
        ((5, MSE, X, Y), "needs your network, an nn.Module; it got an int"),
        ((nn.LazyLinear(1), MSE, X, Y), "lazy layer"),
        ((new_line(), nn.MSELoss(reduction="none"), X, Y), r"one number.*shape \(5, 1\)"),
        ((new_line(), lambda outputs, targets: None, X, Y), "returns one number"),
        ((new_line(), nn.CrossEntropyLoss(), X, Y.long()), r"loss_fn can't take outputs of shape"),
        ((new_mlp(), MSE, X, Y), r"hold 'weight', 'bias', and this model has no such parameter"),
        (
            (nn.Linear(2, 1), MSE, X, Y),
            r"'weight' was recorded with shape \(1, 1\) and has \(1, 2\)",
        ),
        ((nn.Sequential(), MSE, X, Y), r"no such parameter\. It has none at all\."),
    ],
)
def test_a_model_or_data_that_do_not_fit_get_a_full_sentence(
    arguments: tuple[Any, ...], message: str
) -> None:
    with pytest.raises(TypeError, match=re.compile(message, re.DOTALL)):
        explore.training([(1.0, LINE), (0.5, LINE)], *arguments)


def test_parameters_that_were_not_recorded_are_named() -> None:
    history = [(1.0, {"weight": torch.zeros(1, 1)})]
    with pytest.raises(TypeError, match="do not hold 'bias', which this model has"):
        explore.training(history, new_line(), MSE, X, Y)


def test_a_step_that_lacks_a_parameter_is_named() -> None:
    history = [(1.0, LINE), (0.5, {"weight": torch.zeros(1, 1)}), (0.2, LINE)]
    with pytest.raises(TypeError, match="'bias' is missing or has another shape at step 1"):
        explore.training(history)


def test_a_run_of_another_model_is_named() -> None:
    histories = {"line": [(1.0, LINE)], "other": [(1.0, {"w": torch.zeros(1)})]}
    with pytest.raises(TypeError, match="the steps of other hold 'w'"):
        explore.training(histories, new_line(), MSE, X, Y)


@pytest.mark.parametrize("unit", ["", 3, None])
def test_a_unit_that_is_no_word_is_refused(unit: Any) -> None:
    with pytest.raises(TypeError, match="unit as a word"):
        explore.training([1.0], unit=unit)
