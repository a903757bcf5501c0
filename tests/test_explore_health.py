"""`explore.record` and `explore.health`: PyTorch's own numbers, no trace left, facts and no false alarm."""

from __future__ import annotations

import copy
import gc
import itertools
import json
import math
import pickle
import re
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from firstlight import explore
from firstlight.explore import health_measure, health_record
from firstlight.explore.frame import Explorer
from firstlight.explore.health_record import MOST_CALLS, Recorder

Make = Callable[[Any], torch.optim.Optimizer]
SGD: Make = lambda parameters: torch.optim.SGD(parameters, lr=0.1)  # noqa: E731
ADAM: Make = lambda parameters: torch.optim.Adam(parameters, lr=1e-3)  # noqa: E731


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Net(nn.Module):
    """Layers by name, and activations of both kinds."""

    def __init__(self, hidden: int = 16) -> None:
        super().__init__()
        self.fc1 = nn.Linear(12, hidden)
        self.relu1 = nn.ReLU()
        self.fc2 = nn.Linear(hidden, hidden)
        self.fc3 = nn.Linear(hidden, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc3(F.relu(self.fc2(self.relu1(self.fc1(x)))))


def seeded(make: Callable[..., Any], *args: Any) -> Any:
    torch.manual_seed(0)
    return make(*args)


def batches(count: int, size: int = 32) -> list[tuple[Tensor, Tensor]]:
    g = torch.Generator().manual_seed(1)
    centres = 1.5 * torch.randn(3, 12, generator=g)
    found = []
    for _ in range(count):
        targets = torch.randint(3, (size,), generator=g)
        found.append((centres[targets] + torch.randn(size, 12, generator=g), targets))
    return found


def train(
    model: nn.Module, steps: int = 8, make: Make = SGD, size: int = 32, parameters: Any = None
) -> Recorder:
    optimizer = make(parameters if parameters is not None else model.parameters())
    with explore.record(model) as record:
        for inputs, targets in batches(steps, size):
            loss = F.cross_entropy(model(inputs), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            record.step(loss)
    return record


def titles(explorer: Explorer) -> list[str]:
    return [verdict["title"] for verdict in explorer.data["verdicts"]]


def verdict(explorer: Explorer, title: str) -> dict[str, Any]:
    (found,) = [each for each in explorer.data["verdicts"] if each["title"] == title]
    return {**found, "text": found["text"].replace("`", "")}


def hooks_of(model: nn.Module) -> int:
    return sum(
        len(hooks)
        for module in model.modules()
        for hooks in (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks)
    )


# The numbers -----------------------------------------------------------------------------------


def test_every_number_is_pytorchs_own() -> None:
    model, twin = seeded(Net), seeded(Net)
    optimizer = torch.optim.SGD(twin.parameters(), lr=0.1, momentum=0.9)
    record = train(model, 6, lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9))
    for step, (inputs, targets) in zip(record.history, batches(6), strict=True):
        with torch.no_grad():
            first = twin.fc1(inputs)
            second = twin.fc2(first.relu())
            outputs = {
                "input": inputs,
                "fc1": first,
                "relu1": first.relu(),
                "fc2": second,
                "F.relu after fc2": second.relu(),
                "fc3": twin.fc3(second.relu()),
            }
        before = copy.deepcopy(twin.state_dict())
        loss = F.cross_entropy(twin(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        assert step["loss"] == loss.item()
        assert list(step["layers"]) == list(outputs)
        for name, output in outputs.items():
            seen = step["layers"][name]
            wide = output.double()
            assert seen["mean"] == pytest.approx(wide.mean().item(), rel=1e-9, abs=1e-12)
            assert seen["std"] == pytest.approx(wide.std(correction=0).item(), rel=1e-9)
            assert seen["largest"] == output.abs().max().item()
            assert seen["zero"] == (output == 0).double().mean().item()
            assert seen["dead"] == (output == 0).all(0).double().mean().item()
            assert (seen["values"], seen["units"]) == (output.numel(), output.shape[1])
            assert seen["nonfinite"] == 0
        for name, parameter in twin.named_parameters():
            seen = step["parameters"][name]
            assert parameter.grad is not None
            assert seen["shape"] == tuple(parameter.shape)
            assert seen["gradient"] == pytest.approx(parameter.grad.norm().item(), rel=1e-5)
            assert seen["largest"] == parameter.grad.abs().max().item()
            assert seen["weight"] == pytest.approx(before[name].norm().item(), rel=1e-5)
            change = (parameter.detach() - before[name]).norm().item()
            assert seen["update"] == pytest.approx(change, rel=1e-5)
            assert seen["ratio"] == pytest.approx(seen["update"] / seen["weight"], rel=1e-9)
            assert (seen["trains"], seen["held"]) == (True, True)


def test_a_small_spread_around_a_large_mean_is_told() -> None:
    class Shifted(Net):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(self.shift(x))

        def __init__(self) -> None:
            super().__init__()
            self.shift = nn.Identity()

    model = seeded(Shifted)
    inputs = 1000 + 1e-2 * torch.randn(64, 12, generator=torch.Generator().manual_seed(0))
    with explore.record(model) as record:
        model(inputs).sum().backward()
        record.step()
    expected = inputs.double().std(correction=0).item()
    assert record.history[0]["layers"]["shift"]["std"] == pytest.approx(expected, rel=1e-4)


def test_a_unit_is_a_channel_of_images_and_a_column_of_the_rest() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 5, 3)
            self.relu = nn.ReLU()
            self.pool = nn.AdaptiveAvgPool2d(1)
            self.fc = nn.Linear(5, 4)
            self.norm = nn.LayerNorm(4)

        def forward(self, x: Tensor) -> Tensor:
            images = self.pool(self.relu(self.conv(x))).flatten(1)
            tokens = self.fc(images).unsqueeze(1).repeat(1, 7, 1)  # (N, 7, 4)
            return self.norm(F.relu(tokens))

    model = seeded(Both)
    with torch.no_grad():
        model.conv.bias.copy_(torch.tensor([100.0, 100.0, -100.0, 100.0, 100.0]))
        model.fc.bias.copy_(torch.tensor([1e4, -1e4, 1e4, 1e4]))
    with explore.record(model) as record:
        model(torch.rand(6, 1, 8, 8)).sum().backward()
        record.step()
    layers = record.history[0]["layers"]
    assert (layers["relu"]["units"], layers["relu"]["dead"]) == (5, 0.2)
    assert (layers["F.relu after fc"]["units"], layers["F.relu after fc"]["dead"]) == (4, 0.25)
    assert layers["norm"]["units"] == 4


def test_mixed_dtypes_are_measured() -> None:
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.small = nn.Linear(12, 8, dtype=torch.bfloat16)
            self.wide = nn.Linear(8, 3, dtype=torch.float64)

        def forward(self, x: Tensor) -> Tensor:
            return self.wide(self.small(x.bfloat16()).relu().double())

    record = train(seeded(Mixed), 3)
    step = record.history[-1]
    assert 0.2 < step["layers"]["small"]["std"] < 3
    assert 0.3 < step["layers"][".relu() after small"]["zero"] < 0.7
    assert all(0 < each["gradient"] < 100 for each in step["parameters"].values())


def test_gradients_are_those_the_optimizer_found_however_they_are_cleared() -> None:
    expected = train(seeded(Net), 4).history
    model = seeded(Net)
    optimizer = SGD(model.parameters())
    with explore.record(model) as record:
        for number, (inputs, targets) in enumerate(batches(4)):
            loss = F.cross_entropy(model(inputs), targets)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=number % 2 == 0)
            record.step(loss)
    assert record.history == expected


def test_clipped_gradients_are_shown_clipped() -> None:
    model = seeded(Net)
    optimizer = SGD(model.parameters())
    with explore.record(model) as record:
        inputs, targets = batches(1)[0]
        F.cross_entropy(model(inputs), targets).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.01)
        optimizer.step()
        record.step()
    seen = record.history[0]["parameters"].values()
    assert math.hypot(*(each["gradient"] for each in seen)) == pytest.approx(0.01, rel=1e-3)


def test_a_home_made_update_is_seen() -> None:
    model = seeded(Net)
    with explore.record(model) as record:
        for inputs, targets in batches(3):
            F.cross_entropy(model(inputs), targets).backward()
            with torch.no_grad():
                for parameter in model.parameters():
                    assert parameter.grad is not None
                    parameter -= 0.1 * parameter.grad
            record.step()
            model.zero_grad()
    for expected, seen in zip(train(seeded(Net), 3).history, record.history, strict=True):
        for name, each in seen["parameters"].items():
            assert each["update"] == pytest.approx(expected["parameters"][name]["update"], rel=1e-5)
            assert each["held"] is False


def test_an_optimizer_with_a_closure_is_seen() -> None:
    model = seeded(Net)
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=3)
    inputs, targets = batches(1)[0]

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(inputs), targets)
        loss.backward()
        return loss

    with explore.record(model) as record:
        for _ in range(3):
            record.step(optimizer.step(closure))
    for step in record.history:
        assert step["forwards"] == 3
        assert all(each["gradient"] > 0 < each["update"] for each in step["parameters"].values())


@pytest.mark.parametrize("mixed", [False, True])
def test_numbers_that_a_gpu_gives_later_are_the_same(
    mixed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = train(seeded(Net), 3).history
    turn = itertools.cycle([True, False] if mixed else [True])

    def later(scalar: Tensor) -> float | Tensor:
        return scalar if next(turn) else scalar.item()

    monkeypatch.setattr(health_measure, "ask", later)
    monkeypatch.setattr(health_record, "ask", later)
    assert train(seeded(Net), 3).history == expected


# What counts as a step -------------------------------------------------------------------------


@pytest.mark.parametrize("without_gradients", [True, False])
def test_a_validation_inside_the_block_is_not_mixed_in(without_gradients: bool) -> None:
    expected = train(seeded(Net), 4).history
    model = seeded(Net)
    optimizer = SGD(model.parameters())
    with explore.record(model) as record:
        for inputs, targets in batches(4):
            loss = F.cross_entropy(model(inputs), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            model.eval()
            with torch.set_grad_enabled(not without_gradients):
                for _ in range(3):
                    model(1000 * inputs)
            model.train()
            record.step(loss)
            with torch.set_grad_enabled(not without_gradients):
                model(1000 * inputs)
    assert record.history == expected


def test_several_forwards_before_an_update_count_together() -> None:
    model = seeded(Net)
    optimizer = SGD(model.parameters())
    parts = batches(2, 8)
    with explore.record(model) as record:
        for inputs, targets in parts:
            F.cross_entropy(model(inputs), targets).backward()
        optimizer.step()
        record.step()
    (step,) = record.history
    twin = seeded(Net)
    together = twin.fc1(torch.cat([inputs for inputs, _ in parts])).detach().double()
    seen = step["layers"]["relu1"]
    assert step["forwards"] == 2
    assert seen["values"] == together.numel()
    assert seen["std"] == pytest.approx(together.relu().std(correction=0).item(), rel=1e-6)
    assert seen["dead"] == (together <= 0).all(0).double().mean().item()
    assert "2 forwards stand in one step" in str(explore.health(record))


def test_a_layer_called_twice_has_a_row_for_each_call() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc1, self.fc2 = nn.Linear(12, 6), nn.Linear(6, 3)
            self.act = nn.ReLU(inplace=True)

        def forward(self, x: Tensor) -> Tensor:
            return self.act(self.fc2(self.act(self.fc1(x))))

    layers = train(seeded(Shared), 1).history[0]["layers"]
    assert list(layers) == ["input", "fc1", "act", "fc2", "act, call 2"]
    assert [layers[name]["units"] for name in ("act", "act, call 2")] == [6, 3]
    assert layers["fc1"]["zero"] == 0  # read before the ReLU wrote over it


def test_an_unrolled_loop_keeps_its_first_calls() -> None:
    class Loop(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell, self.fc = nn.Linear(12, 12), nn.Linear(12, 3)

        def forward(self, x: Tensor) -> Tensor:
            for _ in range(30):
                x = torch.tanh(self.cell(x))
            return self.fc(x)

    assert len(train(seeded(Loop), 1).history[0]["layers"]) == 2 * MOST_CALLS + 2


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (F.relu, "F.relu"),
        (torch.relu, "torch.relu"),
        (lambda x: x.relu(), ".relu()"),
        (lambda x: x.clamp(min=0), ".clamp(min=0)"),
        (torch.tanh, "torch.tanh"),
        (F.gelu, "F.gelu"),
    ],
)
def test_a_function_called_by_the_students_forward_is_a_row(function: Any, name: str) -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(12, 3)

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = function(self.fc(x))
            return y

    layers = train(seeded(Own), 1).history[0]["layers"]
    assert list(layers) == ["input", "fc", f"{name} after fc"]


def test_a_model_of_bare_parameters_is_seen() -> None:
    class Bare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.W1 = nn.Parameter(0.3 * torch.randn(12, 8))
            self.W2 = nn.Parameter(0.3 * torch.randn(8, 3))

        def forward(self, x: Tensor) -> Tensor:
            return F.relu(x @ self.W1) @ self.W2

    record = train(seeded(Bare), 3)
    assert list(record.history[0]["layers"]) == ["input", "F.relu", "Bare"]
    assert list(record.history[0]["parameters"]) == ["W1", "W2"]


@pytest.mark.parametrize(
    ("make", "inputs", "names"),
    [
        (lambda: nn.LSTM(12, 5), torch.randn(4, 3, 12), ["input", "LSTM"]),
        (lambda: nn.Linear(12, 5), torch.randn(12), ["input", "Linear"]),
        (lambda: nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 2)), torch.arange(6), ["0", "1"]),
        (lambda: nn.Linear(12, 2, dtype=torch.complex64), torch.randn(3, 12) + 1j, []),
        (lambda: nn.Linear(12, 2), torch.randn(0, 12), []),
        (
            lambda: nn.Sequential(
                nn.utils.parametrizations.weight_norm(nn.Linear(12, 5)), nn.ReLU()
            ),
            torch.randn(3, 12),
            ["input", "0", "1"],
        ),
    ],
)
def test_unusual_layers_are_recorded_without_an_error(
    make: Callable[[], nn.Module], inputs: Tensor, names: list[str]
) -> None:
    model = seeded(make)
    optimizer = SGD(model.parameters())
    with explore.record(model) as record:
        for _ in range(2):
            outputs = model(inputs)
            outputs = outputs[0] if isinstance(outputs, tuple) else outputs
            loss = outputs.abs().sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            record.step(loss)
    assert list(record.history[0]["layers"]) == names
    assert explore.health(record)._repr_html_()


def test_layers_called_without_their_model_are_seen() -> None:
    model = seeded(Net)
    with explore.record(model) as record:
        inputs, targets = batches(1)[0]
        F.cross_entropy(model.fc3(model.fc2(model.relu1(model.fc1(inputs)))), targets).backward()
        record.step()
    assert list(record.history[0]["layers"]) == ["fc1", "relu1", "fc2", "fc3"]


def test_a_model_may_return_anything() -> None:
    class Result:
        def __init__(self, logits: Tensor) -> None:
            self.logits = logits

    class Odd(Net):
        def forward(self, x: Tensor) -> Any:
            return Result(super().forward(x))

    model = seeded(Odd)
    with explore.record(model) as record:
        inputs, targets = batches(1)[0]
        F.cross_entropy(model(x=inputs).logits, targets).backward()
        record.step()
    assert "fc3" in record.history[0]["layers"]


# No trace --------------------------------------------------------------------------------------


class Noisy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.norm, self.drop = nn.Linear(12, 8), nn.BatchNorm1d(8), nn.Dropout(0.5)
        self.fc2 = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.drop(F.relu(self.norm(self.fc1(x)))))


def bare_loop(model: nn.Module, steps: int, make: Make) -> list[float]:
    optimizer = make(model.parameters())
    losses = []
    for inputs, targets in batches(steps):
        loss = F.cross_entropy(model(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_the_training_is_the_same_to_the_last_bit() -> None:
    model, twin = seeded(Noisy), seeded(Noisy)
    torch.manual_seed(5)
    losses = bare_loop(twin, 10, ADAM)
    state = torch.get_rng_state()
    torch.manual_seed(5)
    record = train(model, 10, ADAM)
    assert [step["loss"] for step in record.history] == losses
    assert torch.equal(torch.get_rng_state(), state)
    for one, other in zip(model.state_dict().values(), twin.state_dict().values(), strict=True):
        assert torch.equal(one, other)
    assert all(module.training for module in model.modules())


def test_hooks_are_gone_after_the_block_and_after_an_exception_in_it() -> None:
    model = seeded(Net)
    mine = model.fc1.register_forward_hook(lambda *_: None)
    seen = hooks_of(model)
    train(model, 2)
    assert hooks_of(model) == seen
    with pytest.raises(RuntimeError, match="mat1"), explore.record(model):
        model(torch.zeros(2, 5))
    assert hooks_of(model) == seen
    model.fc2.register_forward_pre_hook(_interrupt)
    with pytest.raises(KeyboardInterrupt), explore.record(model):
        model(torch.zeros(2, 12))
    assert hooks_of(model) == seen + 1
    assert torch.overrides._len_torch_function_stack() == 0  # type: ignore[attr-defined]
    mine.remove()


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_caught_error_in_forward_does_not_stop_the_recording() -> None:
    model = seeded(Net)
    with explore.record(model) as record:
        with pytest.raises(RuntimeError):
            model(torch.zeros(2, 5))
        inputs, targets = batches(1)[0]
        F.cross_entropy(model(inputs), targets).backward()
        record.step()
    assert record.history[0]["forwards"] == 1
    assert record.history[0]["layers"]["input"]["values"] == inputs.numel()


def test_no_tensor_of_a_step_is_kept_alive() -> None:
    model = seeded(Net)
    with explore.record(model) as record:
        inputs, targets = batches(1)[0]
        outputs = model(inputs)
        alive = weakref.ref(outputs)
        loss = F.cross_entropy(outputs, targets)
        loss.backward()
        record.step(loss)
        del outputs, loss
        gc.collect()
        assert alive() is None


def test_modes_of_the_student_stay_on() -> None:
    class Counting(TorchFunctionMode):
        calls = 0

        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            Counting.calls += 1
            return func(*args, **(kwargs or {}))

    model = seeded(Net)
    with Counting(), explore.record(model) as record:
        inputs, targets = batches(1)[0]
        F.cross_entropy(model(inputs), targets).backward()
        before = Counting.calls
        record.step(0.5)
        assert Counting.calls == before
    assert before > 5


def test_a_copy_of_the_model_made_inside_the_block_is_not_recorded() -> None:
    model = seeded(Net)
    with explore.record(model) as record:
        inputs, targets = batches(1)[0]
        F.cross_entropy(model(inputs), targets).backward()
        best = copy.deepcopy(model)
        best(1000 * inputs).sum().backward()
        saved = pickle.loads(pickle.dumps(model))
        saved(1000 * inputs).sum().backward()
        record.step()
    assert record.history[0]["forwards"] == 1
    assert record.history[0]["layers"]["input"]["largest"] < 100
    best(inputs)
    saved(inputs)


def test_under_functional_transforms_the_model_still_runs() -> None:
    model = seeded(Net)
    inputs = batches(1)[0][0]
    expected = torch.func.vmap(model)(inputs)
    with explore.record(model):
        assert torch.equal(torch.func.vmap(model)(inputs), expected)


def test_the_history_is_plain_and_can_be_pickled() -> None:
    record = train(seeded(Net), 3)
    assert type(record.history) is list
    assert pickle.loads(pickle.dumps(record.history)) == record.history
    assert json.loads(json.dumps(record.history[0]))["loss"] == record.history[0]["loss"]
    assert pickle.loads(pickle.dumps(record)).history == record.history
    assert explore.health(record)._repr_html_() == explore.health(record.history)._repr_html_()
    assert repr(record) == "<record of Net: 3 steps>"


def test_two_models_are_recorded_side_by_side() -> None:
    one, other = seeded(Net), seeded(Net)
    with explore.record(one) as first, explore.record(other) as second:
        for model, record in ((one, first), (other, second)):
            optimizer = SGD(model.parameters())
            for inputs, targets in batches(2):
                F.cross_entropy(model(inputs), targets).backward()
                optimizer.step()
                record.step()
                optimizer.zero_grad()
    assert first.history == second.history


# Misuse ----------------------------------------------------------------------------------------


def test_a_step_outside_the_block_is_refused() -> None:
    record = explore.record(seeded(Net))
    with pytest.raises(RuntimeError, match="this block has not begun"):
        record.step(1.0)
    with record:
        pass
    with pytest.raises(RuntimeError, match="this block has ended"):
        record.step(1.0)
    with pytest.raises(RuntimeError, match="serves one `with` block"), record:
        pass


def test_a_block_in_a_block_is_refused() -> None:
    model = seeded(Net)
    with (
        explore.record(model),
        pytest.raises(RuntimeError, match="recorded by another"),
        explore.record(model),
    ):
        pass
    assert hooks_of(model) == 0
    train(model, 1)


def test_a_call_before_the_optimizers_is_refused_at_the_second_step() -> None:
    model = seeded(Net)
    optimizer = SGD(model.parameters())

    def loop() -> None:
        with explore.record(model) as record:
            for inputs, targets in batches(2):
                loss = F.cross_entropy(model(inputs), targets)
                optimizer.zero_grad()
                loss.backward()
                record.step(loss)
                optimizer.step()

    with pytest.raises(RuntimeError, match=r"after optimizer\.step\(\), not before it"):
        loop()


def test_a_step_without_a_forward_is_refused() -> None:
    model, other = seeded(Net), seeded(Net)
    with explore.record(model) as record:
        other(torch.zeros(1, 12)).sum().backward()
        with pytest.raises(RuntimeError, match="no forward of the recorded model"):
            record.step()


def test_another_layer_in_the_block_is_refused() -> None:
    model = seeded(Net)
    with explore.record(model) as record:
        model.fc3 = nn.Linear(16, 3)
        model(torch.zeros(1, 12)).sum().backward()
        with pytest.raises(
            RuntimeError, match=r"fc3\.weight and fc3\.bias of the model is another"
        ):
            record.step()


@pytest.mark.parametrize("loss", [torch.ones(2), "1.0", [1.0], True])
def test_a_loss_that_is_not_one_number_is_refused(loss: object) -> None:
    model = seeded(Net)
    with explore.record(model) as record, pytest.raises(TypeError, match="as one number"):
        record.step(loss)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (Net, "Net is its class"),
        (None, "it got a NoneType"),
        ([nn.Linear(2, 2)], "it got a list"),
        (nn.LazyLinear(3), "a lazy layer"),
    ],
)
def test_what_is_no_network_is_refused(model: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        explore.record(model)


@pytest.mark.parametrize(
    ("history", "words"),
    [
        (None, "it got None"),
        ("record", "it got a str"),
        ([], "at least one recorded step"),
        ([1.0, 0.5], r"history\[0\] is no recorded step but of type float. explore.training shows"),
        ([{"loss": 1.0}], r"history\[0\] is no recorded step but of type dict"),
        ([{"layers": {"a": 1}, "parameters": {}}], r"history\[0\]"),
        ({"SGD": []}, "it got a dict"),
    ],
)
def test_what_is_no_history_is_refused(history: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        explore.health(history)


def test_the_model_and_an_unused_recorder_are_refused_as_history() -> None:
    model = seeded(Net)
    with pytest.raises(TypeError, match="it got the model itself"):
        explore.health(model)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=re.escape("call record.step(loss) after each")):
        explore.health(explore.record(model))


# Verdicts: none in a healthy training ----------------------------------------------------------


def wide(*extras: Callable[[], nn.Module]) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(784, 64), *(make() for make in extras), nn.ReLU(),
        nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10),
    )  # fmt: skip


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor]:
    from firstlight import load_mnist

    images, labels = load_mnist()[:2]
    inputs = (images[:4096].reshape(-1, 784) / 255 - 0.1307) / 0.3081
    return inputs, labels[:4096]


def learn(
    model: nn.Module, digits: tuple[Tensor, Tensor], make: Make, steps: int, size: int = 64
) -> Recorder:
    inputs, labels = digits
    optimizer = make(model.parameters())
    g = torch.Generator().manual_seed(0)
    with explore.record(model) as record:
        for _ in range(steps):
            rows = torch.randint(len(inputs), (size,), generator=g)
            loss = F.cross_entropy(model(inputs[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            record.step(loss)
    return record


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "make",
    [
        SGD,
        lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9),
        ADAM,
        lambda p: torch.optim.AdamW(p, lr=3e-3),
        lambda p: torch.optim.SGD(p, lr=1e-3),
    ],
)
@pytest.mark.parametrize(
    "extras",
    [(), (lambda: nn.BatchNorm1d(64), lambda: nn.Dropout(0.5))],
)
def test_a_healthy_training_of_mnist_gets_no_verdict(
    extras: Any, make: Make, seed: int, digits: tuple[Tensor, Tensor]
) -> None:
    torch.manual_seed(seed)
    for steps, size in ((15, 16), (80, 64)):
        explorer = explore.health(learn(wide(*extras), digits, make, steps, size))
        assert explorer.data["verdicts"] == []
        assert any("parameter tensors" in fact for fact in explorer.data["facts"])


def test_training_until_nothing_is_left_to_learn_gets_no_verdict(
    digits: tuple[Tensor, Tensor],
) -> None:
    few = (digits[0][:64], digits[1][:64])
    record = learn(seeded(wide), few, ADAM, 300)
    assert record.history[-1]["loss"] < 0.01
    assert titles(explore.health(record)) == []


def test_a_convolution_gets_no_verdict(digits: tuple[Tensor, Tensor]) -> None:
    images = (digits[0].reshape(-1, 1, 28, 28), digits[1])
    model = seeded(
        lambda: nn.Sequential(
            nn.Conv2d(1, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3), nn.ReLU(),
            nn.MaxPool2d(2), nn.Flatten(), nn.Linear(400, 10),
        )
    )  # fmt: skip
    assert titles(explore.health(learn(model, images, ADAM, 40))) == []


# Verdicts: what stands out ---------------------------------------------------------------------


def test_dead_units_are_counted_with_their_step() -> None:
    model = seeded(Net)
    optimizer = SGD(model.parameters())
    with explore.record(model) as record:
        for number, (inputs, targets) in enumerate(batches(40)):
            if number == 12:
                with torch.no_grad():
                    model.fc1.bias[:13] = -1000.0
            loss = F.cross_entropy(model(inputs), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            record.step(loss)
    found = verdict(explore.health(record), "Dead units")
    assert found["text"].startswith("from step 12 on, 13 of 16 units of relu1 give 0 for every")
    assert (found["step"], found["row"], found["what"]) == (12, "relu1", "dead")


def test_a_layer_that_is_all_dead_stops_every_gradient_before_it() -> None:
    model = seeded(Net)
    with torch.no_grad():
        model.fc2.bias.fill_(-1000.0)
    explorer = explore.health(train(model, 20))
    assert titles(explorer) == ["Dead units", "Gradient exactly 0"]
    assert "all 16 units of F.relu after fc2" in verdict(explorer, "Dead units")["text"]
    text = verdict(explorer, "Gradient exactly 0")["text"]
    assert text.startswith(
        "from the first step on, the gradient of fc1.weight, fc1.bias, fc2.weight"
    )


def sigmoids(depth: int = 10) -> nn.Sequential:
    layers: list[nn.Module] = []
    for number in range(depth - 1):
        layers += [nn.Linear(12 if number == 0 else 16, 16), nn.Sigmoid()]
    return nn.Sequential(*layers, nn.Linear(16, 3))


def test_gradients_that_vanish_are_told_with_both_norms() -> None:
    record = train(seeded(sigmoids), 20)
    found = verdict(explore.health(record), "Vanishing gradients")
    first, last = (record.history[0]["parameters"][name] for name in ("0.weight", "18.weight"))
    ratio = first["gradient"] / last["gradient"]
    assert ratio < 1e-4
    assert f"has norm {first['gradient']:.3g}" in found["text"]
    assert (
        f"18.weight {last['gradient']:.3g}. The ratio of the two is {ratio:.3g};" in found["text"]
    )
    assert "below 0.0001 in 20 of 20 steps" in found["text"]
    assert titles(explore.health(train(seeded(sigmoids, 3), 20))) == []


def test_an_explosion_is_told_with_its_numbers_and_the_first_nan_with_its_layer() -> None:
    record = train(seeded(Net), 40, lambda p: torch.optim.SGD(p, lr=1e4))
    explorer = explore.health(record)
    assert titles(explorer)[:2] == ["Exploding gradients", "The first NaN or inf"]
    born = verdict(explorer, "The first NaN or inf")
    history = record.history
    step = born["step"]
    assert not any(each["nonfinite"] for s in history[:step] for each in s["layers"].values())
    names = [name for name, each in history[step]["layers"].items() if each["nonfinite"]]
    assert names[:1] == [born["row"]]
    assert f"appears at step {step} in the output of {names[0]}" in born["text"]


def growing(factor: float, depth: int = 8) -> nn.Sequential:
    layers: list[nn.Module] = []
    for number in range(depth):
        layers += [nn.Linear(12 if number == 0 else 16, 16), nn.ReLU()]
    model = nn.Sequential(*layers, nn.Linear(16, 3))
    with torch.no_grad():
        for layer in model:
            if isinstance(layer, nn.Linear):
                layer.weight.mul_(factor)
                layer.bias.zero_()
    return model


def test_outputs_that_grow_or_shrink_with_the_depth_are_told() -> None:
    tiny: Make = lambda p: torch.optim.SGD(p, lr=1e-12)  # noqa: E731
    grown = explore.health(train(seeded(growing, 8.0), 3, tiny))
    assert "Activations grow by depth" in titles(grown)
    shrunk = explore.health(train(seeded(growing, 0.3), 3, SGD))
    assert "Activations shrink by depth" in titles(shrunk)


def test_a_loss_that_is_born_infinite_is_told_apart_from_outputs() -> None:
    model = seeded(Net)
    with explore.record(model) as record:
        for inputs, _ in batches(2):
            loss = (
                torch.log(0 * model(inputs).sum()) if len(record.history) else model(inputs).sum()
            )
            loss.backward()
            record.step(loss)
    found = verdict(explore.health(record), "The first NaN or inf")
    assert found["text"].startswith("the loss of step 1 is -inf. Every layer's output is finite")


def test_a_nan_that_is_born_on_the_way_back_is_told_with_its_parameter() -> None:
    class Root(Net):
        def forward(self, x: Tensor) -> Tensor:
            return self.fc3(torch.sqrt(0 * self.fc2(self.fc1(x))))

    found = verdict(explore.health(train(seeded(Root), 3)), "The first NaN or inf")
    assert found["text"].startswith(
        "appears at step 0 on the way back, in the gradient of fc2.bias"
    )
    assert "that of fc3.weight, nearer to the loss, is still finite" in found["text"]


def test_a_nan_in_the_data_is_told_as_such() -> None:
    model = seeded(Net)
    with explore.record(model) as record:
        for number, (inputs, targets) in enumerate(batches(3)):
            if number == 2:
                inputs[4, 1] = math.nan
            F.cross_entropy(model(inputs), targets).backward()
            record.step()
    found = verdict(explore.health(record), "The first NaN or inf")
    assert found["text"] == (
        "stands in the input at step 2, before the model has touched it: 1 of 384 values."
    )


def test_a_forgotten_backward_and_a_forgotten_step_are_told() -> None:
    model = seeded(Net)
    optimizer = SGD(model.parameters())
    with explore.record(model) as record:
        for inputs, targets in batches(8):
            record.step(F.cross_entropy(model(inputs), targets))
    explorer = explore.health(record)
    assert titles(explorer) == ["No gradient"]
    assert "no parameter has a gradient in any of 8 steps" in explorer.text
    with explore.record(model) as record:
        for inputs, targets in batches(8):
            optimizer.zero_grad()
            F.cross_entropy(model(inputs), targets).backward()
            record.step()
    explorer = explore.health(record)
    assert titles(explorer) == ["Not updated"]
    assert "all parameters have a gradient and never change. No optimizer" in explorer.text


def test_a_layer_outside_the_loss_and_one_outside_the_optimizer_are_told_apart() -> None:
    model = seeded(Net)
    model.spare = nn.Linear(2, 2)
    model.fc1.requires_grad_(False)
    held = [*model.fc3.parameters(), *model.spare.parameters()]
    explorer = explore.health(train(model, 12, parameters=held))
    assert titles(explorer) == ["No gradient", "Not updated"]
    assert "spare.weight and spare.bias have None" in verdict(explorer, "No gradient")["text"]
    text = verdict(explorer, "Not updated")["text"]
    assert text.startswith(
        "from the first step on, fc2.weight and fc2.bias have a gradient and never"
    )
    assert text.endswith("No optimizer that stepped holds them.")
    assert "Frozen (requires_grad=False): `fc1.weight` and `fc1.bias`." in explorer.data["notes"]


def test_a_learning_rate_of_zero_is_told_apart_from_a_forgotten_parameter() -> None:
    explorer = explore.health(train(seeded(Net), 8, lambda p: torch.optim.SGD(p, lr=0.0)))
    assert (
        "The optimizer holds them: its learning rate is 0"
        in verdict(explorer, "Not updated")["text"]
    )


def test_steps_recorded_between_updates_are_no_forgotten_parameters() -> None:
    model = seeded(Net)
    optimizer = SGD(model.parameters())
    with explore.record(model) as record:
        for number, (inputs, targets) in enumerate(batches(24)):
            F.cross_entropy(model(inputs), targets).backward()
            if number % 8 == 7 and number < 20:
                optimizer.step()
                optimizer.zero_grad()
            record.step()
    assert "Not updated" not in titles(explore.health(record))


def test_updates_far_from_the_usual_are_told() -> None:
    large = explore.health(train(seeded(Net), 20, lambda p: torch.optim.SGD(p, lr=20.0)))
    assert "Large updates" in titles(large)
    tiny = explore.health(train(seeded(Net), 20, lambda p: torch.optim.SGD(p, lr=1e-6)))
    assert titles(tiny) == ["Tiny updates"]


def test_a_training_that_goes_on_in_eval_mode_is_told() -> None:
    model = seeded(Noisy)
    optimizer = SGD(model.parameters())
    with explore.record(model) as record:
        for number, (inputs, targets) in enumerate(batches(20)):
            if number == 7:
                model.eval()
            loss = F.cross_entropy(model(inputs), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            record.step(loss)
    found = verdict(explore.health(record), "Trained in eval mode")
    assert found["text"] == (
        "norm and drop (BatchNorm1d and Dropout) ran in eval mode in 13 training steps, first at step 7."
    )


def test_inputs_from_0_to_255_are_told() -> None:
    model = seeded(Net)
    with explore.record(model) as record:
        for inputs, targets in batches(5):
            F.cross_entropy(model(100 + 50 * inputs), targets).backward()
            record.step()
    assert "Inputs not scaled" in titles(explore.health(record))


# What the picture gets -------------------------------------------------------------------------


def unpacked(column: Any, length: int) -> list[float | None]:
    import base64

    if not isinstance(column, str):
        return [column] * length
    values = np.frombuffer(base64.b64decode(column), "<f4").tolist()
    return [None if value == -math.inf else value for value in values]


def test_the_picture_gets_the_recorded_numbers() -> None:
    record = train(seeded(Net), 30)
    data = explore.health(record).data
    assert data["frames"] == list(range(30))
    assert data["loss"]["loss"] == pytest.approx(
        [step["loss"] for step in record.history], rel=1e-6
    )
    for part in ("layers", "parameters"):
        assert [row["name"] for row in data[part]] == list(record.history[0][part])
        for row in data[part]:
            for key, column in row["columns"].items():
                expected = [step[part][row["name"]][key] for step in record.history]
                assert unpacked(column, 30) == pytest.approx(expected, rel=1e-6)


def test_parameters_stand_in_the_order_of_the_forward() -> None:
    class Backward(Net):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(12, 12)  # registered last, called first

        def forward(self, x: Tensor) -> Tensor:
            return super().forward(self.first(x))

    names = [row["name"] for row in explore.health(train(seeded(Backward), 2)).data["parameters"]]
    assert names[:3] == ["first.weight", "first.bias", "fc1.weight"]


def test_a_long_history_is_thinned_with_a_sentence_and_read_whole() -> None:
    layer = {
        "type": "Linear", "training": True, "values": 640, "units": 10, "mean": 0.1, "std": 1.0,
        "largest": 3.0, "zero": 0.0, "dead": 0.0, "nonfinite": 0,
    }  # fmt: skip
    parameter = {
        "shape": (10, 10), "trains": True, "held": True, "gradient": 0.1, "largest": 0.01,
        "nonfinite": 0, "weight": 3.0, "update": 0.003, "ratio": 0.001,
    }  # fmt: skip
    random = np.random.default_rng(0).random
    history = [
        {
            "step": step, "loss": 1 / (1 + step), "forwards": 1, "updates": 1,
            "layers": {f"{n}": {**layer, "std": random()} for n in range(20)},
            "parameters": {f"{n}.weight": {**parameter, "gradient": random()} for n in range(20)},
        }
        for step in range(10_000)
    ]  # fmt: skip
    history[7654]["parameters"]["3.weight"] |= {"gradient": math.inf, "nonfinite": 4}
    explorer = explore.health(history)
    assert verdict(explorer, "The first NaN or inf")["step"] == 7654
    assert {7653, 7654, 9999} <= set(explorer.data["frames"])
    assert len(explorer.data["frames"]) < 210
    assert f"Of 10,000 steps {len(explorer.data['frames'])} are drawn" in explorer.data["notes"][0]
    assert len(explorer._repr_html_()) < 300_000


def test_the_text_says_what_the_picture_shows() -> None:
    record = train(seeded(Net), 12)
    text = explore.health(record).text
    first, last = record.history[0], record.history[-1]
    assert f"12 steps, loss from {first['loss']:.4g} to {last['loss']:.4g}" in text
    for part, key in (("layers", "std"), ("parameters", "gradient"), ("parameters", "ratio")):
        for name, entry in last[part].items():
            assert re.search(rf"^{re.escape(name)} .*{entry[key]:#.4g}$", text, re.MULTILINE)
    assert "Nothing stands out." in text


def test_none_and_zero_are_told_apart_in_words() -> None:
    model = seeded(Net)
    model.spare = nn.Linear(2, 2)
    with torch.no_grad():
        model.fc2.bias.fill_(-1000.0)
    text = explore.health(train(model, 12)).text
    gradients = text.split("Gradients: norm by parameter")[1].split("Updates:")[0]
    assert re.search(r"^spare.weight +None", gradients, re.MULTILINE)
    assert re.search(r"^fc1.weight +0\.000", gradients, re.MULTILINE)


def test_one_step_without_a_loss_is_shown() -> None:
    model = seeded(Net)
    with explore.record(model) as record:
        model(torch.ones(4, 12)).sum().backward()
        record.step()
    explorer = explore.health(record)
    assert explorer.title == "The health of your training, 1 step"
    assert explorer.data["loss"] is None
    assert "record.step() was called without a loss, so none is drawn." in explorer.data["notes"]
