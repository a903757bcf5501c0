"""`explore.draw` writes any student's network down, leaves it alone, and refuses in full sentences."""

import base64
import copy
import json
import random
import re
import sys
from collections.abc import Iterator

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from firstlight import explore
from firstlight.datasets import DownloadError, load_mnist
from firstlight.explore.draw import draw
from firstlight.explore.frame import Explorer, module_source
from firstlight.explore.network import Network, write_down


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def pictures() -> Tensor:
    """Eight real test images with values in 0..1, (8, 28, 28)."""
    return load_mnist(train=False)[0][:8].float() / 255


def mlp() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, 16),
        nn.BatchNorm1d(16),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(16, 10),
    )


class Skip(nn.Module):
    """Functional calls, a skip connection, a constant made in `forward`, Python control flow."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(784, 12)
        self.hidden = nn.Linear(12, 12)
        self.last = nn.Linear(12, 10)

    def forward(self, images: Tensor) -> Tensor:
        assert images.min() >= -10, "a guard must not count as a decision"
        x = images.reshape(len(images), -1)
        x = (x - torch.tensor(0.1307)) / 0.3081
        x = F.relu(self.first(x))
        for _ in range(2):
            x = x + F.dropout(F.relu(self.hidden(x)), 0.3, training=self.training)
        return self.last(x)


class OneLinear(nn.Module):
    """A base for the odd ones below."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(784, 10)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.linear(images.flatten(1))
        return logits


def operations(network: Network) -> list[str]:
    return [step["op"] for step in network.steps]


# What is written down --------------------------------------------------------------------------


def test_a_network_becomes_plain_operations_and_float32_numbers(pictures: Tensor) -> None:
    model = mlp()
    network = write_down(model, pictures)
    assert operations(network) == ["view", "linear", "batch_norm", "relu", "linear"]
    assert network.steps[1]["layer"] == "1 (Linear)"
    assert network.steps[-1]["shape"] == (1, 10)
    weights = np.frombuffer(network.weights, "<f4")
    assert len(weights) == sum(int(np.prod(shape)) for shape in network.constants)
    assert torch.equal(
        torch.tensor(weights[: 784 * 16]).view(784, 16), model[1].weight.detach().T.contiguous()
    )


def test_layer_function_and_matrix_product_are_the_same_operation(pictures: Tensor) -> None:
    class Functional(OneLinear):
        def forward(self, images: Tensor) -> Tensor:
            return F.linear(images.flatten(1), self.linear.weight, self.linear.bias)

    class Product(OneLinear):
        def forward(self, images: Tensor) -> Tensor:
            return images.flatten(1) @ self.linear.weight.T + self.linear.bias

    torch.manual_seed(0)
    written = [write_down(kind(), pictures) for kind in (OneLinear, Functional, Product)]
    assert [operations(network) for network in written] == [
        ["view", "linear"],
        ["view", "linear"],
        ["view", "linear", "add"],
    ]


def test_a_subclass_with_a_skip_connection_and_control_flow_is_written_down(
    pictures: Tensor,
) -> None:
    network = write_down(Skip(), pictures)
    assert operations(network).count("add") == 2
    assert operations(network)[:3] == ["view", "sub", "div"]


def test_a_weight_read_twice_is_carried_once(pictures: Tensor) -> None:
    network = write_down(Skip(), pictures)
    assert network.constants.count((12, 12)) == 1


def test_answers_are_those_of_eval_mode(pictures: Tensor) -> None:
    model = mlp().train()
    answers = write_down(model, pictures).answers
    with torch.no_grad():
        assert torch.allclose(answers, model.eval()(pictures[:, None]))


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (nn.Sequential(nn.Conv2d(1, 2, 28), nn.Flatten(), nn.Linear(2, 10)), (1, 1, 28, 28)),
        (nn.Sequential(nn.Linear(784, 10)), (1, 784)),
        (nn.Sequential(nn.Linear(28, 1), nn.Flatten(), nn.Linear(28, 10)), (1, 1, 28, 28)),
        (nn.Sequential(nn.Unflatten(0, (1, 1)), nn.Conv2d(1, 10, 28), nn.Flatten()), (1, 28, 28)),
    ],
)
def test_the_input_shape_is_found_by_trying(
    model: nn.Module, shape: tuple[int, ...], pictures: Tensor
) -> None:
    assert write_down(model, pictures).input_shape == shape


def test_a_softmax_at_the_end_is_noticed(pictures: Tensor) -> None:
    assert write_down(nn.Sequential(mlp(), nn.Softmax(1)), pictures).ends_in_softmax
    assert not write_down(nn.Sequential(mlp(), nn.LogSoftmax(1)), pictures).ends_in_softmax


def test_a_float64_network_is_written_down(pictures: Tensor) -> None:
    network = write_down(mlp().double(), pictures)
    assert network.answers.dtype == torch.float64
    assert len(network.weights) == 4 * sum(int(np.prod(shape)) for shape in network.constants)


def test_a_compiled_network_is_unwrapped(pictures: Tensor) -> None:
    class Wrapped(nn.Module):  # as torch.compile does, without its compiler
        def __init__(self, model: nn.Module) -> None:
            super().__init__()
            self._orig_mod = model

    assert operations(write_down(Wrapped(mlp()), pictures))[0] == "view"


# What draw makes of it -------------------------------------------------------------------------


def test_draw_is_an_explorer_whose_data_are_the_network_and_test_images() -> None:
    explorer = explore.draw(mlp())
    assert isinstance(explorer, Explorer)
    images, labels = load_mnist(train=False)
    examples = explorer.data["examples"]
    assert examples["labels"] == [*range(10), *range(10)]
    assert labels[examples["numbers"]].tolist() == examples["labels"]
    assert base64.b64decode(examples["pixels"]) == images[examples["numbers"]].numpy().tobytes()


def test_the_text_says_what_the_network_answers() -> None:
    model = mlp().eval()
    images, labels = load_mnist(train=False)
    with torch.no_grad():
        said = model(images[:3].float()[:, None] / 255).argmax(1)
    text = draw(model, examples=(images[:3], labels[:3])).text
    for number in range(3):
        assert f"image {number}: a {labels[number]}, answered {said[number]} (" in text
    assert "batch_norm" in text


def test_the_normalisation_reaches_the_network() -> None:
    images, labels = load_mnist(train=False)
    model = mlp().eval()
    explorer = draw(model, mean=0.1307, std=0.3081, examples=(images[:2], labels[:2]))
    assert (explorer.data["mean"], explorer.data["std"]) == (0.1307, 0.3081)
    with torch.no_grad():
        said = model((images[:2, None].float() / 255 - 0.1307) / 0.3081).argmax(1)
    assert f"image 1: a {labels[1]}, answered {said[1]} (" in explorer.text


def test_the_same_network_gives_the_same_html() -> None:
    assert draw(mlp())._repr_html_() == draw(mlp())._repr_html_()


def test_code_and_style_beside_the_data_stay_under_60_kb() -> None:
    explorer = draw(mlp())
    data = json.dumps({"title": explorer.title, **explorer.data}, ensure_ascii=False)
    beside = len(explorer._repr_html_().encode()) - len(data.encode()) - len(explorer.text.encode())
    assert beside <= 60_000
    assert len(module_source("draw").encode()) < beside


def test_without_mnist_there_are_no_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(train: bool) -> None:
        raise DownloadError("no network")

    monkeypatch.setattr(sys.modules["firstlight.explore.draw"], "load_mnist", nothing)
    explorer = draw(mlp())
    assert explorer.data["examples"] == {"pixels": "", "labels": [], "numbers": []}
    assert "example images" not in explorer.text


def test_nothing_in_the_page_asks_for_a_network() -> None:
    html = draw(mlp())._repr_html_()
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", html)


# What comes back unchanged ---------------------------------------------------------------------


def test_the_model_comes_back_unchanged() -> None:
    model = mlp().train()
    model[2].eval()  # a frozen batch norm
    model[1].weight.requires_grad_(False)
    model(torch.rand(4, 1, 28, 28)).sum().backward()
    seen: list[int] = []
    model[3].register_forward_hook(lambda module, inputs, output: seen.append(1))
    before = copy.deepcopy(model.state_dict())
    gradient = model[5].weight.grad.clone()
    draw(model)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert [module.training for module in model.modules()] == [True, True, True, False, *[True] * 3]
    assert [p.requires_grad for p in model.parameters()] == [False, *[True] * 5]
    assert torch.equal(model[5].weight.grad, gradient)
    assert [len(module._forward_hooks) for module in model] == [0, 0, 0, 1, 0, 0]
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_modes_come_back_after_a_refusal() -> None:
    model = nn.Sequential(mlp(), nn.Linear(10, 3)).train()
    with pytest.raises(TypeError):
        draw(model)
    assert all(module.training for module in model.modules())
    assert not nn.modules.module._global_forward_hooks


def test_global_state_comes_back() -> None:
    torch.manual_seed(5)
    random.seed(5)
    states = torch.get_rng_state(), random.getstate(), torch.get_default_dtype()
    draw(mlp_without_seeding())
    after = torch.get_rng_state(), random.getstate(), torch.get_default_dtype()
    assert torch.equal(states[0], after[0])
    assert states[1:] == after[1:]
    assert torch.is_grad_enabled()


def mlp_without_seeding() -> nn.Module:
    with torch.random.fork_rng():
        return mlp()


# What it refuses -------------------------------------------------------------------------------


class Branch(OneLinear):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(-images if images.mean() > 0.3 else images)


class Noisy(OneLinear):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(F.dropout(images, 0.2))


class Overwriting(OneLinear):
    def forward(self, images: Tensor) -> Tensor:
        x = images.flatten(1) * 2
        x[:, :300].mul_(0)
        logits: Tensor = self.linear(x)
        return logits


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rows = nn.LSTM(28, 8, batch_first=True)
        self.linear = nn.Linear(8, 10)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.linear(self.rows(images.reshape(-1, 28, 28))[0][:, -1])
        return logits


class Pair(OneLinear):
    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        return super().forward(images), images


class Indifferent(OneLinear):
    def forward(self, images: Tensor) -> Tensor:
        return self.linear.bias[None] * 2


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (3, "needs your network, an nn.Module; it got an int"),
        (OneLinear, r"OneLinear is its class: make one first, as in `model = OneLinear\(\)`"),
        (nn.Sequential(nn.Flatten(), nn.LazyLinear(10)), "lazy layer"),
        (nn.Linear(784, 9), r"into 10 numbers.*\(1, 784\): it returned the shape \(1, 9\)"),
        (nn.Linear(3, 10), r"\(1, 784\): RuntimeError: mat1 and mat2 shapes"),
        (Pair(), "returned a tuple"),
        (Indifferent(), "does not depend on the picture"),
        (Branch(), "change with the values in the picture"),
        (Overwriting(), "overwrites a tensor that it still needs"),
        (Noisy(), r"random numbers in eval mode, in forward of Noisy.*training=self\.training"),
        (Recurrent(), r"used in rows \(LSTM\)\. The browser knows Linear, Conv2d"),
        (
            nn.Sequential(nn.Flatten(), nn.Linear(784, 2600), nn.Linear(2600, 10)),
            "2,067,010 numbers into the page, 8.3 MB; 2,000,000 numbers is the most",
        ),
    ],
)
def test_a_network_that_does_not_fit_gets_a_full_sentence(model: object, message: str) -> None:
    with pytest.raises(TypeError, match=re.compile(message, re.DOTALL)):
        draw(model)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"std": 0}, "can't normalise with std=0"),
        ({"std": -0.3}, "can't normalise with std=-0.3"),
        ({"mean": "a"}, "needs one number as mean"),
        ({"mean": float("nan")}, "can't normalise with mean=nan"),
        ({"examples": torch.zeros(3)}, "two tensors of one length"),
        (
            {"examples": (torch.zeros(2, 28, 28), torch.zeros(2))},
            r"dtype uint8.*it got torch\.float32",
        ),
        (
            {"examples": (torch.zeros(99, 28, 28, dtype=torch.uint8), torch.zeros(99))},
            r"at most 60 examples; it got 99\. Try images\[:60\]",
        ),
    ],
)
def test_a_wrong_argument_gets_a_full_sentence(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(TypeError, match=re.compile(message, re.DOTALL)):
        draw(mlp(), **arguments)  # type: ignore[arg-type]


def test_an_untrained_network_with_nan_is_still_drawn(pictures: Tensor) -> None:
    model = mlp()
    nn.init.constant_(model[5].bias, float("nan"))
    assert "answered 0 (NaN)" in draw(model).text
