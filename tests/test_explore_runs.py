"""`explore.runs`: facts with their spread, runs of one name together, and clear refusals."""

from __future__ import annotations

import base64
import copy
import json
import math
from typing import Any

import numpy as np
import pytest
import torch

from firstlight import explore

A: list[dict[str, Any]] = [
    {"name": "A", "seed": seed, "accuracy": value, "config": {"lr": 0.1, "hidden": 64}}
    for seed, value in enumerate((0.880, 0.882, 0.879))
]
B: dict[str, Any] = {
    "name": "B",
    "seed": 0,
    "accuracy": 0.8883,
    "config": {"lr": 0.2, "dropout": 0.5},
}


def group(explorer: Any, name: str) -> dict[str, Any]:
    found = [each for each in explorer.data["groups"] if each["name"] == name]
    assert len(found) == 1
    return dict(found[0])


def fact(explorer: Any, name: str) -> str:
    return str(group(explorer, name)["fact"])


# Facts -----------------------------------------------------------------------------------------


def test_a_difference_stands_beside_the_span_of_the_seeds() -> None:
    explorer = explore.runs([*A, B])
    assert fact(explorer, "B") == (
        "B is 0.8 points above A: 88.83 % against 88.03 %. B ran once, so its span is unknown; "
        "the 3 seeds of A span 0.3 points."
    )
    assert fact(explorer, "A").startswith("A is 0.8 points below B: 88.03 % against 88.83 %.")
    assert explorer.text.startswith(fact(explorer, "B"))


def test_a_difference_smaller_than_a_span_is_said_to_be() -> None:
    explorer = explore.runs([*A, {"name": "C", "accuracy": 0.8815}])
    assert fact(explorer, "C").endswith("The difference is smaller than the span of A.")


def test_a_difference_is_compared_to_both_spans() -> None:
    near = [{"name": "C", "accuracy": value, "seed": value} for value in (0.880, 0.883)]
    far = [{"name": "C", "accuracy": value, "seed": value} for value in (0.920, 0.921)]
    assert fact(explore.runs([*A, *near]), "C").endswith(
        "The difference is smaller than either span."
    )
    assert fact(explore.runs([*A, *far]), "C").endswith(
        "The difference is larger than either span."
    )


def test_equal_accuracies_are_said_to_be_equal() -> None:
    explorer = explore.runs([{"name": "A", "accuracy": 0.3}, {"name": "B", "accuracy": 0.1 + 0.2}])
    assert fact(explorer, "B").startswith("B and A have the same accuracy: 30.00 % against 30.00 %")


def test_runs_that_ran_once_have_no_span() -> None:
    explorer = explore.runs([{"name": "A", "accuracy": 0.5}, B])
    assert fact(explorer, "B").endswith("Each ran once, so their spans are unknown.")


def test_one_experiment_says_its_own_span() -> None:
    assert fact(explore.runs(A), "A") == "A: 88.03 % in the mean of 3 seeds, which span 0.3 points."


def test_a_small_difference_is_not_called_none() -> None:
    explorer = explore.runs([{"name": "A", "accuracy": 0.5}, {"name": "B", "accuracy": 0.50001}])
    assert fact(explorer, "B").startswith("B is less than 0.01 points above A")


def test_another_baseline_can_be_named() -> None:
    explorer = explore.runs([*A, B], baseline="B")
    assert explorer.data["baseline"] == 1
    assert fact(explorer, "A").startswith("A is 0.8 points below B")


# Groups ----------------------------------------------------------------------------------------


def test_runs_of_one_name_are_their_mean_the_lowest_and_the_highest() -> None:
    explorer = explore.runs([*A, B])
    values = [run["accuracy"] for run in A]
    due = [np.mean(values), min(values), max(values), 3]
    assert group(explorer, "A")["accuracy"] == pytest.approx(due)
    assert explorer.title == "2 experiments side by side, 4 runs in all"


def test_the_classes_of_a_group_are_averaged() -> None:
    runs = [{"name": "A", "per_class": row} for row in ([0.5, 1.0], [0.7, 0.8])]
    classes = group(explore.runs(runs, classes=["coat", "shirt"]), "A")["classes"]
    assert classes == [pytest.approx([0.6, 0.5, 0.7, 2]), pytest.approx([0.9, 0.8, 1.0, 2])]


def test_a_config_is_told_by_what_differs() -> None:
    explorer = explore.runs([*A, B, {"name": "C"}])
    assert group(explorer, "A")["settings"] == "lr 0.1, hidden 64"
    assert group(explorer, "B")["settings"] == "lr 0.1 → 0.2, without hidden, dropout 0.5"
    assert group(explorer, "C")["settings"] == ""


def test_the_seed_of_a_config_is_a_seed_and_no_difference() -> None:
    runs = [{"name": "A", "config": {"lr": 1, "seed": seed}} for seed in (0, 1)]
    explorer = explore.runs(runs)
    assert group(explorer, "A")["word"] == "seed"
    assert "differ in their config" not in explorer.text


def test_a_spread_that_is_not_of_the_seed_alone_is_said() -> None:
    runs = [{"name": "A", "config": {"lr": lr}, "seed": lr} for lr in (1, 2)]
    assert "where runs of one name differ in their config: A (lr)." in explore.runs(runs).text
    again = explore.runs([{"name": "A", "seed": 0}, {"name": "A", "seed": 0}]).text
    assert "the same seed more than once: A." in again


# What is there and what is not -----------------------------------------------------------------


def test_a_name_is_enough() -> None:
    explorer = explore.runs([{"name": "A"}])
    assert "No run has history, accuracy, per_class, seconds and parameters" in explorer.text
    explorer._repr_html_()


def test_what_some_lack_is_said_by_name() -> None:
    assert "Without accuracy in every run, so left out where it is needed: C." in (
        explore.runs([*A, {"name": "C"}]).text
    )


def test_unknown_keys_are_ignored() -> None:
    assert explore.runs([{**B, "when": "today", 3: 4}]).data == explore.runs([B]).data


def test_tensors_and_arrays_are_numbers_too() -> None:
    plain = {"name": "A", "history": [(1.0, 2.0)], "accuracy": [0.5, 0.75], "per_class": [0.5]}
    other = {
        "name": "A",
        "history": torch.tensor([[1.0, 2.0]]),
        "accuracy": [torch.tensor(0.5), np.float32(0.75)],
        "per_class": np.array([0.5]),
    }
    assert explore.runs([other]).data == explore.runs([plain]).data


def test_the_accuracy_of_the_last_epoch_counts() -> None:
    explorer = explore.runs([{"name": "A", "accuracy": [0.5, 0.9, 0.8]}])
    assert group(explorer, "A")["accuracy"] == [0.8, 0.8, 0.8, 1]


def test_a_loss_that_is_no_number_is_said_and_kept_out_of_json() -> None:
    history = [(1.0, 1.0), (2.0, math.inf), (math.nan, math.nan)]
    explorer = explore.runs([{"name": "A", "history": history}])
    assert "and its curve stops: A from epoch 2." in explorer.text
    assert group(explorer, "A")["loss"][0] == "NaN"
    explorer._repr_html_()


def test_a_loss_that_was_not_measured_is_no_fault() -> None:
    explorer = explore.runs([{"name": "A", "history": [(1.0, None), (0.5, None)]}])
    assert "its curve stops" not in explorer.text
    assert group(explorer, "A")["loss"] is None


def curves(explorer: Any, name: str, run: int = 0) -> Any:
    packed = group(explorer, name)["runs"][run]["curves"]
    return np.frombuffer(base64.b64decode(packed), dtype="<f4")


def test_every_epoch_is_drawn_where_there_is_room() -> None:
    history = [(0.5 / (1 + epoch), 0.7 / (1 + epoch)) for epoch in range(20)]
    accuracy = [epoch / 20 for epoch in range(20)]
    found = curves(explore.runs([{"name": "A", "history": history, "accuracy": accuracy}]), "A")
    due = [*(one for one, _ in history), *(other for _, other in history), *accuracy]
    np.testing.assert_array_equal(found, np.array(due, dtype="<f4"))


def test_long_curves_are_thinned_and_keep_their_end() -> None:
    history = [(float(epoch), float(-epoch)) for epoch in range(100_001)]
    explorer = explore.runs([{"name": "A", "history": history}])
    found = curves(explorer, "A")
    assert len(found) < 61_000
    assert found[-1] == -100_000
    assert "every 4th epoch is drawn" in explorer.text


def test_two_hundred_runs_of_a_hundred_epochs_are_shown() -> None:
    runs = [
        {"name": f"run {n}", "history": [(0.1, 0.2)] * 100, "accuracy": [0.5] * 100}
        for n in range(200)
    ]
    explorer = explore.runs(runs)
    assert explorer.data["stride"] == 1
    assert len(json.dumps(explorer.data)) < 600_000


# Refusals --------------------------------------------------------------------------------------

ONE = {"name": "A"}


@pytest.mark.parametrize(
    ("runs", "error", "says"),
    [
        (None, TypeError, "needs a list of runs, each a dict with at least a name, and got None"),
        ("runs", TypeError, "got the text 'runs'"),
        (ONE, TypeError, "got a dict: put one run in a list"),
        ([], ValueError, "the list is empty"),
        ([ONE, 3], TypeError, "runs[1] is of type int"),
        ([{}], ValueError, "runs[0] has none"),
        ([{"name": 3}], TypeError, "that of runs[0] is of type int"),
        ([{"name": " "}], TypeError, "runs[0]"),
        ([{**ONE, "accuracy": 88.3}], ValueError, "holds 88.3: divide a percentage by 100."),
        ([{**ONE, "accuracy": [0.5, -1]}], ValueError, "holds -1"),
        ([{**ONE, "accuracy": math.nan}], ValueError, "holds nan"),
        ([{**ONE, "accuracy": "88 %"}], TypeError, "is the text '88 %'"),
        ([{**ONE, "accuracy": True}], TypeError, "of type bool"),
        ([{**ONE, "per_class": 0.5}], TypeError, "the accuracy of each class in a list"),
        ([{**ONE, "per_class": [50]}], ValueError, "divide a percentage by 100"),
        ([{**ONE, "history": 0.5}], TypeError, "a list of pairs (training loss, validation loss)"),
        ([{**ONE, "history": [0.5]}], TypeError, 'runs[0]["history"][0] is of type float'),
        ([{**ONE, "history": [(1, 2, 3)]}], TypeError, "is of 3 parts"),
        ([{**ONE, "config": [1]}], TypeError, "a config as a dict"),
        ([{**ONE, "seconds": -1}], ValueError, "is -1"),
        ([{**ONE, "parameters": math.inf}], ValueError, "is inf"),
        ([{**ONE, "parameters": 10**400}], ValueError, "is larger"),
        (
            [{"name": "A", "per_class": [0.5]}, {"name": "B", "per_class": [0.5, 0.5]}],
            ValueError,
            "a run of 'A' has 1 where one of 'B' has 2",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_sentence(
    runs: Any, error: type[Exception], says: str
) -> None:
    with pytest.raises(error) as caught:
        explore.runs(runs)
    assert says in str(caught.value)
    assert str(caught.value).startswith("explore.runs")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("named", "error", "says"),
    [
        ({"classes": "coat"}, TypeError, "classes as a list of names"),
        ({"classes": [0, 1]}, TypeError, "classes as a list of names"),
        ({"classes": ["coat"]}, ValueError, "got 1 names for the 2 numbers"),
        ({"baseline": "Z"}, ValueError, "none is called 'Z': write 'A'"),
        ({"baseline": ["A"]}, ValueError, "none is called"),
    ],
)
def test_names_that_do_not_fit_are_refused(named: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error) as caught:
        explore.runs([{"name": "A", "per_class": [0.5, 0.25]}], **named)
    assert says in str(caught.value)


def test_names_without_classes_are_said_to_be_unused() -> None:
    assert "The names in classes are not used" in explore.runs([ONE], classes=["coat"]).text


def test_the_runs_stay_as_they_were() -> None:
    runs: list[Any] = [*A, {**B, "history": [(1.0, 0.5)], "per_class": [0.5]}]
    before = copy.deepcopy(runs)
    explore.runs(runs)._repr_html_()
    assert runs == before
