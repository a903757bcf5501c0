"""`explore.predictions` counts as PyTorch counts, keeps a few images, and leaves the model alone."""

import base64
import copy
import json
import re
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset

from firstlight import explore
from firstlight.datasets import load_fashion_mnist, load_mnist
from firstlight.explore.frame import Explorer
from firstlight.explore.predictions import MISTAKES, PER_CELL, predictions


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def data() -> tuple[Tensor, Tensor]:
    """2,000 test images in 0..1, (2000, 1, 28, 28), and their labels."""
    images, labels = load_mnist(train=False)
    return images[:2000, None].float() / 255, labels[:2000]


@pytest.fixture
def model(data: tuple[Tensor, Tensor]) -> nn.Module:
    """A network that is right about eight times in ten: every class's mean image, and noise."""
    images, labels = data
    torch.manual_seed(0)
    linear = nn.Linear(784, 10)
    with torch.no_grad():
        means = torch.stack([images[labels == digit].mean(0).flatten() for digit in range(10)])
        linear.weight.copy_(means)
        linear.bias.copy_(-0.5 * means.square().sum(1))
    return nn.Sequential(nn.Flatten(), linear, nn.Dropout(0.5), nn.BatchNorm1d(10))


class Pairs(Dataset[tuple[Tensor, int]]):
    """What a student writes in lesson 5 or 6."""

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.images[index], int(self.labels[index])


def counted(model: nn.Module, images: Tensor, labels: Tensor) -> list[list[int]]:
    with torch.no_grad():
        said = model.eval()(images).argmax(1)
    pairs = list(zip(labels.tolist(), said.tolist(), strict=True))
    return [[pairs.count((label, answer)) for answer in range(10)] for label in range(10)]


# What it says ----------------------------------------------------------------------------------


def test_the_matrix_counts_every_image_once(model: nn.Module, data: tuple[Tensor, Tensor]) -> None:
    explorer = explore.predictions(model.train(), data)
    assert isinstance(explorer, Explorer)
    assert explorer.data["counts"] == counted(model, *data)
    assert sum(map(sum, explorer.data["counts"])) == 2000


def test_every_kind_of_data_set_gives_the_same(
    model: nn.Module, data: tuple[Tensor, Tensor]
) -> None:
    images, labels = data[0][:300], data[1][:300]
    kinds: Sequence[object] = (
        (images, labels),
        [images, labels.byte()],
        TensorDataset(images, labels),
        Pairs(images, labels),
        Subset(Pairs(*data), range(300)),
        list(zip(images, labels, strict=True)),
        [(image.numpy(), np.int64(label)) for image, label in zip(images, labels, strict=True)],
    )
    pages = {predictions(model, kind)._repr_html_() for kind in kinds}
    assert len(pages) == 1


def test_facts_of_a_kept_image_are_the_networks(
    model: nn.Module, data: tuple[Tensor, Tensor]
) -> None:
    images, labels = data
    explorer = predictions(model, data)
    with torch.no_grad():
        chances = model.eval()(images).double().softmax(1)
    for index, label, said, confidence, of_truth in explorer.data["kept"][::17]:
        assert label == labels[index]
        assert said == chances[index].argmax()
        assert confidence == pytest.approx(float(chances[index].max()), abs=1e-6)
        assert of_truth == pytest.approx(float(chances[index, label]), abs=1e-6)


def test_mistakes_come_first_and_the_most_confident_before_all(
    model: nn.Module, data: tuple[Tensor, Tensor]
) -> None:
    images, labels = data
    kept = predictions(model, data).data["kept"]
    with torch.no_grad():
        confidences, said = model.eval()(images).double().softmax(1).max(1)
    wrong = [fact for fact in kept if fact[1] != fact[2]]
    assert kept[: len(wrong)] == wrong
    assert [fact[3] for fact in wrong] == sorted((fact[3] for fact in wrong), reverse=True)
    due = sorted(confidences[said != labels].tolist(), reverse=True)
    assert [fact[3] for fact in wrong[:MISTAKES]] == pytest.approx(due[:MISTAKES], abs=1e-6)
    right = [fact[3] for fact in kept[len(wrong) :]]
    assert right == sorted(right)


def test_every_number_of_the_matrix_has_images(
    model: nn.Module, data: tuple[Tensor, Tensor]
) -> None:
    explorer = predictions(model, data)
    kept = [(fact[1], fact[2]) for fact in explorer.data["kept"]]
    for label, row in enumerate(explorer.data["counts"]):
        for said, count in enumerate(row):
            assert (kept.count((label, said)) > 0) == (count > 0)
            if label == said:
                assert kept.count((label, said)) <= PER_CELL


def test_a_few_hundred_images_are_kept_as_bytes(
    model: nn.Module, data: tuple[Tensor, Tensor]
) -> None:
    explorer = predictions(model, data)
    pixels = base64.b64decode(explorer.data["pixels"])
    assert len(pixels) == len(explorer.data["kept"]) * 784 <= 400 * 784
    first = torch.frombuffer(bytearray(pixels[:784]), dtype=torch.uint8).view(28, 28)
    assert torch.equal(first, (data[0][explorer.data["kept"][0][0], 0] * 255).round().byte())


def shown(explorer: Explorer) -> dict[int, np.ndarray]:
    """The pictures of an explorer, by the number of the image."""
    pixels = np.frombuffer(base64.b64decode(explorer.data["pixels"]), np.uint8).astype(int)
    numbers = [fact[0] for fact in explorer.data["kept"]]
    return dict(zip(numbers, pixels.reshape(len(numbers), -1), strict=True))


@pytest.mark.parametrize("shape", [(28, 28), (1, 28, 28), (784,)])
def test_normalised_images_of_any_shape_are_shown_from_black_to_white(
    shape: tuple[int, ...], model: nn.Module, data: tuple[Tensor, Tensor]
) -> None:
    class Rescale(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images.flatten(1) * 0.3081 + 0.1307

    images, labels = data
    normalised = ((images - 0.1307) / 0.3081).reshape(-1, *shape)
    plain = shown(predictions(model, data))
    found = shown(predictions(nn.Sequential(Rescale(), model), (normalised, labels)))
    both = plain.keys() & found.keys()
    assert len(both) > 200
    assert all(np.abs(plain[number] - found[number]).max() <= 1 for number in both)


def test_probabilities_are_not_squeezed_twice(
    model: nn.Module, data: tuple[Tensor, Tensor]
) -> None:
    images, labels = data[0][:100], data[1][:100]
    logits = predictions(model, (images, labels)).data["kept"]
    chances = predictions(nn.Sequential(model, nn.Softmax(1)), (images, labels)).data["kept"]
    for one, other in zip(sorted(logits), sorted(chances), strict=True):
        assert one == pytest.approx(other, abs=1e-5)


def test_text_gives_accuracy_recall_precision_and_the_worst_mistake(
    model: nn.Module, data: tuple[Tensor, Tensor]
) -> None:
    explorer = predictions(model, data)
    counts = np.array(explorer.data["counts"])
    right = counts.trace()
    assert f"{right:,} of 2,000 right: accuracy {right / 20:.2f} %." in repr(explorer)
    recall, precision = (
        100 * counts[4, 4] / counts[4].sum(),
        100 * counts[4, 4] / counts[:, 4].sum(),
    )
    assert f"4: recall {recall:.1f} %, precision {precision:.1f} %" in explorer.text
    assert f"{2000 - right:,} mistakes; the most confident:\n  image " in explorer.text


def test_classes_have_names_for_fashion_mnist() -> None:
    images, labels = load_fashion_mnist(train=False)
    names = ["T-shirt", "Trouser", "Pullover", "Dress", "Coat"]
    names += ["Sandal", "Shirt", "Sneaker", "Bag", "Boot"]
    network = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    explorer = predictions(network, (images[:200].float() / 255, labels[:200]), classes=names)
    assert explorer.data["classes"] == names
    assert "Pullover: recall" in explorer.text


def test_a_class_without_images_has_no_recall() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 3, bias=False))
    nn.init.zeros_(network[1].weight)
    text = predictions(network, (torch.rand(5, 2, 2), torch.tensor([0, 0, 1, 1, 1]))).text
    assert "0: recall 100 %, precision 40.0 %" in text
    assert "2: recall –, precision –" in text


def test_a_network_without_mistakes_says_so() -> None:
    images = torch.eye(3).reshape(3, 1, 1, 3)
    network = nn.Sequential(nn.Flatten(), nn.Identity())
    assert "No mistakes." in predictions(network, (images, torch.arange(3))).text


def test_an_explorer_of_ten_thousand_images_stays_small() -> None:
    images, labels = load_mnist(train=False)
    network = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))  # untrained: 9,000 mistakes
    html = predictions(network, (images.float() / 255, labels))._repr_html_()
    assert len(html) < 450_000


def test_the_same_data_give_the_same_html(model: nn.Module, data: tuple[Tensor, Tensor]) -> None:
    assert predictions(model, data)._repr_html_() == predictions(model, data)._repr_html_()


def test_code_and_style_beside_the_data_stay_under_60_kb(
    model: nn.Module, data: tuple[Tensor, Tensor]
) -> None:
    explorer = predictions(model, data)
    facts = json.dumps({"title": explorer.title, **explorer.data}, ensure_ascii=False)
    html = explorer._repr_html_()
    assert len(html.encode()) - len(facts.encode()) - len(explorer.text.encode()) <= 60_000


def test_nothing_in_the_page_asks_for_a_network(
    model: nn.Module, data: tuple[Tensor, Tensor]
) -> None:
    html = predictions(model, data)._repr_html_()
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", html)


# What comes back unchanged ---------------------------------------------------------------------


def test_the_model_and_the_data_come_back_unchanged(
    model: nn.Module, data: tuple[Tensor, Tensor]
) -> None:
    model.train()
    model[2].eval()  # type: ignore[index]
    before, images, labels = copy.deepcopy(model.state_dict()), data[0].clone(), data[1].clone()
    predictions(model, data)
    assert [module.training for module in model.modules()] == [True, True, True, False, True]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert torch.equal(images, data[0])
    assert torch.equal(labels, data[1])


def test_a_data_set_that_draws_random_numbers_leaves_the_generator(
    model: nn.Module, data: tuple[Tensor, Tensor]
) -> None:
    class Shaken(Pairs):
        def __getitem__(self, index: int) -> tuple[Tensor, int]:
            image, label = super().__getitem__(index)
            return image + 0.1 * torch.rand_like(image), label

    state = torch.get_rng_state()
    predictions(model, Shaken(data[0][:50], data[1][:50]))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.is_grad_enabled()


# What it refuses -------------------------------------------------------------------------------

IMAGES, LABELS = torch.rand(6, 1, 4, 4), torch.tensor([0, 1, 2, 0, 1, 2])
SMALL = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))


@pytest.mark.parametrize(
    ("model", "dataset", "message"),
    [
        (5, (IMAGES, LABELS), "needs your network, an nn.Module; it got an int"),
        (SMALL, 5, r"needs a data set of \(image, label\) pairs.*it got int"),
        (SMALL, DataLoader(TensorDataset(IMAGES, LABELS)), r"pass `loader\.dataset`"),
        (SMALL, (IMAGES[:0], LABELS[:0]), "the data set is empty"),
        (SMALL, [], "the data set is empty"),
        (SMALL, list(IMAGES), "item 0 is Tensor"),
        (SMALL, (IMAGES, LABELS[:5]), r"as many labels \(N,\); it got \(6, 1, 4, 4\) and \(5,\)"),
        (SMALL, (IMAGES, LABELS[:, None]), r"labels \(N,\); it got .* and \(6, 1\)"),
        (SMALL, [("no image", 1)], "item 0 is tuple"),
        (SMALL, [(IMAGES[0], 1), (IMAGES[0, :, 1:], 1)], r"one shape; image 0 has \(1, 4, 4\)"),
        (SMALL, (IMAGES, LABELS.float()), r"whole numbers as labels, not torch\.float32"),
        (SMALL, (IMAGES, LABELS + 1), "go from 1 to 3, and the network returns 3 numbers"),
        (SMALL, (IMAGES, LABELS - 1), "labels have to lie between 0 and 2"),
        (SMALL, (torch.rand(6, 5, 5), LABELS), r"batch of shape \(6, 5, 5\).*RuntimeError: mat1"),
        (SMALL, ((IMAGES * 255).byte(), LABELS), "raw pixels.*`images / 255`"),
        (nn.Flatten(0), (IMAGES, LABELS), r"one row of numbers for each image.*returned \(96,\)"),
        (nn.LSTM(4, 3), (IMAGES[:, 0], LABELS), "returned tuple"),
        (nn.Flatten(), (torch.rand(6, 1, 5, 5), LABELS), "shows 2 to 20 classes.*returns 25"),
        (
            nn.Sequential(nn.Flatten(), nn.Linear(12, 3)),
            (torch.rand(6, 3, 2, 2), LABELS),
            r"grey images.*these are \(3, 2, 2\)",
        ),
    ],
)
def test_what_does_not_fit_gets_a_full_sentence(
    model: object, dataset: object, message: str
) -> None:
    with pytest.raises(TypeError, match=re.compile(message, re.DOTALL)):
        predictions(model, dataset)


def test_a_diverged_network_is_told_so() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    nn.init.constant_(network[1].bias, float("nan"))
    with pytest.raises(TypeError, match="answers NaN for 6 of 6 images"):
        predictions(network, (IMAGES, LABELS))


@pytest.mark.parametrize(
    ("classes", "message"),
    [(["a", "b"], "got 2 class names"), ("abc", "list of names"), ([0, 1, 2], "list of names")],
)
def test_wrong_class_names_get_a_full_sentence(classes: list[str], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        predictions(SMALL, (IMAGES, LABELS), classes=classes)


def test_images_too_large_to_show_are_refused() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(65 * 65, 3))
    with pytest.raises(TypeError, match="up to 64 × 64 pixels; these are 65 × 65"):
        predictions(network, (torch.rand(3, 65, 65), torch.arange(3)))
