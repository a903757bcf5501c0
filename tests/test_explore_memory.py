"""`explore.memory` agrees with PyTorch: on addresses, on who shares a cell, and on every value."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from firstlight import explore
from firstlight.explore.storage import find_storages
from firstlight.explore.tensors import cell_texts

X = torch.arange(24.0).reshape(2, 3, 4)
VIEWS = {
    "whole": X,
    "transposed": X.transpose(0, 2),
    "permuted": X.permute(1, 2, 0),
    "sliced": X[1:, ::2, 1:3],
    "one row": X[1, 2],
    "one element": X[1, 2, 3],
    "expanded": X[0, :1].expand(3, 4),
    "expanded in the middle": X[:, :1].expand(2, 5, 4),
    "overlapping windows": X.flatten().unfold(0, 5, 2),
    "diagonal": X[0].diagonal(),
    "with an axis of one": X[:, :1, :],
    "empty": X[:, 3:],
    "reshaped in place": X.view(4, 6),
}


def storages(*tensors):
    labels = [f"t{number}" for number in range(len(tensors))]
    return find_storages(list(tensors), labels, labels)


def indices(view):
    return product(*map(range, view.shape))


def views(explorer):
    return {
        view["label"]: view for storage in explorer.data["storages"] for view in storage["views"]
    }


def element(tensor, index):
    return tensor[tuple(index)]


@pytest.mark.parametrize("name", VIEWS)
def test_an_elements_address_is_where_its_data_pointer_points(name):
    (storage,) = storages(X, VIEWS[name])
    view = storage.views[1]
    for index in indices(view):
        pointed = element(view.values, index).data_ptr() - X.data_ptr()
        assert view.address(index) * storage.cell_bytes == pointed
    assert view.offset == VIEWS[name].storage_offset()
    assert view.steps == VIEWS[name].stride()


@pytest.mark.parametrize("name", VIEWS)
def test_the_readers_of_a_cell_are_the_elements_at_its_address(name):
    (storage,) = storages(X, VIEWS[name])
    view = storage.views[1]
    for cell in range(storage.cells):
        expected = {index for index in indices(view) if view.address(index) == cell}
        found = {index for pattern in view.readers(cell) for index in spelled_out(pattern, view)}
        assert found == expected


def spelled_out(pattern, view):
    choices = zip(pattern, view.shape, strict=True)
    return product(*(range(size) if at == ":" else [at] for at, size in choices))


@pytest.mark.parametrize("name", VIEWS)
def test_the_footprint_is_what_a_write_through_the_tensor_changes(name):
    (storage,) = storages(X, VIEWS[name])
    view = storage.views[1]
    addresses = {view.address(index) for index in indices(view)}
    assert set(view.footprint(storage.cells).nonzero().flatten().tolist()) == addresses


@pytest.mark.parametrize("name", VIEWS)
def test_the_picture_holds_pytorchs_values_and_facts(name):
    tensor = VIEWS[name]
    (storage,) = explore.memory(X, tensor).data["storages"]
    view = storage["views"][1]
    assert storage["values"] == cell_texts(X)
    assert view["elements"] == cell_texts(tensor[tuple(slice(count) for count in view["shown"])])
    assert view["shape"] == tuple(tensor.shape)
    assert view["stride"] == tensor.stride()
    assert view["storage_offset"] == tensor.storage_offset()
    assert view["contiguous"] == tensor.is_contiguous()
    verdict = "it is contiguous" if tensor.is_contiguous() else "it is not contiguous"
    assert verdict in " ".join(view["notes"])


def test_views_share_a_storage_and_copies_have_their_own():
    x = torch.arange(6).reshape(2, 3)
    groups = storages(x, x.clone(), x.T, x.flatten(), x.T.reshape(-1), x.detach(), x[[0, 1]])
    assert [[view.label for view in group.views] for group in groups] == [
        ["t0", "t2", "t3", "t5"],
        ["t1"],
        ["t4"],
        ["t6"],
    ]


def test_empty_tensors_share_nothing():
    assert len(storages(torch.empty(0), torch.empty(0), torch.zeros(1))) == 3


def test_arrays_and_tensors_on_the_same_bytes_share_cells():
    array = np.arange(6.0)
    end = torch.from_numpy(array[2:])
    explorer = explore.memory(array, torch.from_numpy(array), end, torch.tensor(array))
    shared, copied = explorer.data["storages"]
    assert [view["label"] for view in shared["views"]] == ["array", "tensor 2", "end"]
    assert [view["storage_offset"] for view in shared["views"]] == [0, 0, 2]
    assert shared["values"] == cell_texts(torch.arange(6.0))
    assert [view["label"] for view in copied["views"]] == ["torch.tensor(array)"]


def test_a_read_only_array_is_read_without_a_warning():
    array = np.arange(3.0)
    array.flags.writeable = False
    assert explore.memory(array).data["storages"][0]["values"] == ["0.0", "1.0", "2.0"]


def test_elements_of_several_sizes_are_counted_in_the_smallest():
    z = torch.tensor([1 + 2j, 3 - 1j])
    (storage,) = explore.memory(z, z.real, z.imag).data["storages"]
    assert storage["values"] == ["1.0", "2.0", "3.0", "-1.0"]
    assert [view["steps"] for view in storage["views"]] == [(2,), (2,), (2,)]
    assert [view["offset"] for view in storage["views"]] == [0, 0, 1]
    assert storage["views"][0]["readers"] == [[[0]], [[0]], [[1]], [[1]]]
    assert "One element of it is 2 cells long." in storage["views"][0]["notes"]


def test_bytes_seen_through_another_dtype_share_cells():
    x = torch.tensor([1.0, 2.0])
    (storage,) = explore.memory(x, x.view(torch.uint8)).data["storages"]
    assert storage["cells"] == 8
    assert storage["values"] == cell_texts(x.view(torch.uint8))


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        (torch.tensor([float("nan"), -float("inf")]), ["nan", "-inf"]),
        (torch.tensor([True, False]), ["True", "False"]),
        (torch.tensor([-128], dtype=torch.int8), ["-128"]),
        (torch.tensor([1.5], dtype=torch.bfloat16), ["1.5"]),
        (torch.tensor([0.5], requires_grad=True), ["0.5"]),
        (torch.nn.Parameter(torch.tensor([2.0])), ["2.0"]),
        (torch.tensor(3), ["3"]),
        (torch.empty(0), []),
    ],
)
def test_values_of_every_kind_are_shown(values, texts):
    (storage,) = explore.memory(values).data["storages"]
    assert storage["values"] == storage["views"][0]["elements"] == texts


def test_a_slice_says_that_it_keeps_the_whole_storage():
    images = torch.zeros(100, 28, 28, dtype=torch.uint8)
    first = images[0]
    assert (
        "It reads 784 of the storage's 78,400 cells, and keeps the others in memory too."
        in repr(explore.memory(first))
    )


def test_a_large_storage_is_abbreviated_and_counted():
    images = torch.zeros(1000, 784)
    flipped = images.T
    (storage,) = explore.memory(images, flipped).data["storages"]
    gaps = [entry["gap"] for entry in storage["row"] if "gap" in entry]
    assert sum(gaps) + len(storage["values"]) == 784_000
    assert "784,000 cells are read by more than one" in storage["sentence"]
    assert len(explore.memory(images, flipped)._repr_html_()) < 60_000


def test_two_slices_of_one_storage_need_not_share_a_cell():
    x = torch.zeros(2, 3)
    top, bottom = x[0], x[1]
    sentence = explore.memory(top, bottom).data["storages"][0]["sentence"]
    assert "No cell is read by two of them" in sentence


def test_an_expanded_tensor_shows_one_cell_to_many_elements():
    row = torch.tensor([1, 2, 3])
    stretched = row.expand(1000, 3)
    view = views(explore.memory(row, stretched))["stretched"]
    assert view["readers"] == [[[":", 0]], [[":", 1]], [[":", 2]]]
    assert "3 cells serve 3,000 elements: a write to one shows in others." in view["notes"]


def test_names_are_those_of_the_call():
    x = torch.zeros(2, 3)
    assert explore.memory(x, x.T, x[1:]).title == "The memory of x, x.T and x[1:]"


def test_long_expressions_are_numbered_and_shown():
    x = torch.zeros(2, 3)
    explorer = explore.memory(x, x.transpose(0, 1).contiguous())
    assert explorer.title == "The memory of x and tensor 2"
    assert "tensor 2 = x.transpose(0, 1).contiguous(): shape (3, 2)" in repr(explorer)


def test_tensors_nobody_names_are_numbered():
    pair = [torch.zeros(1), torch.ones(1)]
    assert explore.memory(*pair).title == "The memory of tensor 1 and tensor 2"


def test_the_text_lists_every_cell_with_its_readers():
    x = torch.tensor([[1, 2], [3, 4]])
    assert (
        "cell  value  x       x.T\n"
        "0     1      [0, 0]  [0, 0]\n"
        "1     2      [0, 1]  [1, 0]\n"
        "2     3      [1, 0]  [0, 1]\n"
        "3     4      [1, 1]  [1, 1]"
    ) in repr(explore.memory(x, x.T))


def test_the_text_gives_the_rule_with_its_numbers():
    x = torch.arange(12).reshape(3, 4)
    assert "Element [i, j] is cell 4 + i·1 + j·4." in repr(explore.memory(x[1:].T))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "needs at least one tensor"),
        (([1, 2],), "takes tensors, but one argument is of type list"),
        ((torch.zeros(2).to_sparse(),), "layout is torch.sparse_coo"),
        ((torch.zeros(2, device="meta"),), "'meta' device has none"),
        ((np.arange(3)[::-1],), "cannot read this NumPy array"),
        ((np.array(["a"]),), "cannot read this NumPy array"),
    ],
)
def test_a_wrong_argument_gets_a_clear_type_error(arguments, message):
    with pytest.raises(TypeError, match=message):
        explore.memory(*arguments)


def test_tensors_and_random_numbers_come_back_unchanged():
    x = torch.arange(6.0).reshape(2, 3).requires_grad_()
    before = (x.detach().clone(), torch.get_rng_state())
    explore.memory(x, x.T, x.expand(4, 2, 3))._repr_html_()
    assert torch.equal(x.detach(), before[0])
    assert torch.equal(torch.get_rng_state(), before[1])
    assert (x._version, x.requires_grad, x.grad, x.stride()) == (0, True, None, (3, 1))


def test_another_default_device_does_not_matter():
    x = torch.arange(4.0)
    with torch.device("meta"):
        (storage,) = explore.memory(x).data["storages"]
    assert storage["values"] == ["0.0", "1.0", "2.0", "3.0"]


def test_the_same_tensors_give_the_same_html():
    pages = {explore.memory(x, x.T)._repr_html_() for x in (torch.zeros(2, 3), torch.zeros(2, 3))}
    assert len(pages) == 1
