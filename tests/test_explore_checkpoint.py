"""`explore.checkpoint`: it tells what a file holds and what torch.load does with it, and runs nothing."""

from __future__ import annotations

import collections
import io
import os
import pickle
import random
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from firstlight import explore
from firstlight.explore.checkpoint_pickle import Call, Items, Table, read_pickle
from firstlight.explore.checkpoint_tree import DEEPEST, MOST_ROWS
from firstlight.explore.frame import Explorer

Make = Callable[[Path], Any]


def trained(steps: int = 3, seed: int = 0) -> dict[str, Any]:
    """A checkpoint as a training script writes it, after some steps on its own batches."""
    generator = torch.Generator().manual_seed(seed)
    model = nn.Sequential(nn.Linear(6, 20), nn.BatchNorm1d(20), nn.Linear(20, 3))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    optimizer = torch.optim.Adam(model.parameters())
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2)
    for _ in range(steps):
        model(torch.randn(8, 6, generator=generator)).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    return {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
        "epoch": steps,
        "rng": generator.get_state(),
    }


def saved(folder: Path, value: Any, name: str = "it.pt", **options: Any) -> Path:
    torch.save(value, folder / name, **options)
    return folder / name


def row(explorer: Explorer, path: str) -> dict[str, Any]:
    found = [row for row in explorer.data["rows"] if row["path"] == path]
    assert len(found) == 1, path
    return dict(found[0])


def leaves(value: Any, path: str = "checkpoint") -> dict[str, Any]:
    """Every value of plain nested dicts and lists by its Python expression: the oracle."""
    if isinstance(value, dict):
        found = {}
        for key, item in value.items():
            text = f'"{key}"' if isinstance(key, str) else repr(key)
            found.update(leaves(item, f"{path}[{text}]"))
        return found
    if isinstance(value, list) and not all(isinstance(item, (int, float)) for item in value):
        return {
            name: item
            for at, each in enumerate(value)
            for name, item in leaves(each, f"{path}[{at}]").items()
        }
    return {path: value}


class Evil:
    """Runs a program when it is unpickled, as anybody's file may."""

    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> Any:
        return self.call[0], self.call[1:]


class Stateful:
    """An object of the student's own class."""

    def __init__(self) -> None:
        self.tensor = torch.arange(3.0)
        self.name = "mine"


# What it holds ---------------------------------------------------------------------------------


@pytest.mark.parametrize("old", [False, True])
def test_every_value_of_a_checkpoint_is_there(tmp_path: Path, old: bool) -> None:
    checkpoint = trained()
    path = saved(tmp_path, checkpoint, _use_new_zipfile_serialization=not old)
    explorer = explore.checkpoint(path)
    for name, value in leaves(checkpoint).items():
        found = row(explorer, name)
        if isinstance(value, Tensor):
            assert found["shape"] == f"{str(value.dtype)[6:]} {tuple(value.shape)}"
            assert ["numbers", f"{value.numel():,}"] in found["facts"]
            assert ["stride", f"{value.stride()}"] in found["facts"]
            if value.numel() > 12 and value.is_floating_point():
                low, high, mean = value.min(), value.max(), value.double().mean()
                assert found["told"] == f"from {low:.4g} to {high:.4g}, mean {mean:.4g}"
        else:
            assert found["what"] == repr(value)


def test_small_tensors_are_written_out(tmp_path: Path) -> None:
    path = saved(tmp_path, {"few": torch.tensor([1.5, -2.0]), "yes": torch.tensor([True, False])})
    explorer = explore.checkpoint(path)
    assert row(explorer, 'checkpoint["few"]')["told"] == "1.5, -2.0"
    assert row(explorer, 'checkpoint["yes"]')["told"] == "True, False"


@pytest.mark.parametrize(
    "dtype",
    [
        *(torch.float64, torch.float16, torch.bfloat16, torch.int8, torch.int64, torch.uint8),
        *(torch.complex64, torch.float8_e4m3fn, torch.uint16),
    ],
)
def test_every_dtype_is_read(tmp_path: Path, dtype: torch.dtype) -> None:
    value = torch.tensor([3.0, 1.0, 2.0]).to(dtype)
    explorer = explore.checkpoint(saved(tmp_path, {"it": value, "part": value[1:]}))
    assert row(explorer, 'checkpoint["it"]')["shape"] == f"{str(dtype)[6:]} (3,)"
    told = row(explorer, 'checkpoint["part"]')["told"].split(", ")
    assert [complex(text) for text in told] == [1, 2]


def test_views_are_read_through_their_strides(tmp_path: Path) -> None:
    grid = torch.arange(12.0).reshape(3, 4)
    path = saved(tmp_path, {"t": grid.T, "column": grid[:, 1], "wide": grid[0:1].expand(2, 4)})
    explorer = explore.checkpoint(path)
    for key, value in (("t", grid.T), ("column", grid[:, 1]), ("wide", grid[0:1].expand(2, 4))):
        told = row(explorer, f'checkpoint["{key}"]')["told"]
        assert [float(text) for text in told.split(", ")] == value.flatten().tolist()
    notes = " ".join(note["text"] for note in explorer.data["notes"])
    assert "read one storage of 48 bytes: it is saved once" in notes


def test_a_view_that_keeps_a_large_storage_is_told(tmp_path: Path) -> None:
    explorer = explore.checkpoint(saved(tmp_path, {"rows": torch.rand(1000, 10)[:3]}))
    (note,) = explorer.data["notes"]
    assert note["loud"]
    assert note["text"].startswith('`checkpoint["rows"]` uses 120 bytes of a storage of 40 kB')


def test_numbers_that_are_not_finite_are_told(tmp_path: Path) -> None:
    value = torch.ones(50)
    value[3], value[7] = float("nan"), float("inf")
    explorer = explore.checkpoint(saved(tmp_path, {"it": value}))
    assert 'Not finite, nan or inf: `checkpoint["it"]` (2 numbers).' in explorer.text
    assert row(explorer, 'checkpoint["it"]')["loud"]


def test_parts_add_up(tmp_path: Path) -> None:
    checkpoint = trained()
    path = saved(tmp_path, checkpoint)
    explorer = explore.checkpoint(path)
    parts = {part["cells"][0]: part["cells"][1:] for part in explorer.data["parts"]}
    tensors = list(checkpoint["model"].values())
    assert parts["model"][:2] == [
        str(len(tensors)),
        f"{sum(value.numel() for value in tensors):,}",
    ]
    assert list(parts) == ["model", "optimizer", "rng"]
    assert sum(part["share"] for part in explorer.data["parts"]) == pytest.approx(1, abs=1e-3)


def test_a_whole_model_is_shown_as_an_object(tmp_path: Path) -> None:
    explorer = explore.checkpoint(saved(tmp_path, nn.Sequential(nn.Linear(2, 3))))
    assert explorer.data["verdict"]["state"] == "refuses"
    weight = row(explorer, 'checkpoint._modules["0"]._parameters["weight"]')
    assert weight["shape"] == "float32 (3, 2)"
    assert ["kind", "nn.Parameter"] in weight["facts"]


def test_numpy_values_are_told_from_their_bytes(tmp_path: Path) -> None:
    value = {
        "state": np.random.get_state(),
        "best": np.float64(0.25),
        "grid": np.eye(2, dtype="f4"),
    }
    explorer = explore.checkpoint(saved(tmp_path, value))
    assert row(explorer, 'checkpoint["state"][1]')["what"] == "NumPy array of shape (624,), uint32"
    assert row(explorer, 'checkpoint["best"]')["what"] == "0.25, a NumPy float64"
    assert "(2, 2), float32" in row(explorer, 'checkpoint["grid"]')["what"]


def test_sets_sizes_and_bytes_are_plain(tmp_path: Path) -> None:
    value = {"set": {3}, "size": torch.Size([2, 3]), "bytes": b"ab", "z": 1 + 2j, "d": {}}
    explorer = explore.checkpoint(saved(tmp_path, value))
    texts = [row(explorer, f'checkpoint["{key}"]')["what"] for key in value]
    assert texts == ["{3}", "(2, 3)", "b'ab'", "(1+2j)", "dict, 0 keys"]


def test_safetensors_is_read_by_its_header(tmp_path: Path) -> None:
    state = trained()["model"] | {"half": torch.ones(2, 2, dtype=torch.bfloat16)}
    save_file(state, tmp_path / "it.safetensors", metadata={"made": "here"})
    explorer = explore.checkpoint(str(tmp_path / "it.safetensors"))
    assert explorer.data["verdict"]["state"] == "safe"
    for key, value in state.items():
        found = row(explorer, f'checkpoint["{key}"]')
        assert found["shape"] == f"{str(value.dtype)[6:]} {tuple(value.shape)}"
    assert row(explorer, 'checkpoint["half"]')["told"] == "1.0, 1.0, 1.0, 1.0"
    assert '{"made": "here"}' in explorer.text


def test_the_device_it_was_saved_from_is_told(tmp_path: Path) -> None:
    path = saved(tmp_path, {"it": torch.ones(3)})
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data.replace(b"X\x03\0\0\0cpu", b"X\x06\0\0\0cuda:1"))
    explorer = explore.checkpoint(path)
    assert ["saved from", "cuda:1"] in row(explorer, 'checkpoint["it"]')["facts"]
    assert 'map_location="cpu"' in explorer.text


# What torch.load does --------------------------------------------------------------------------

FILES: dict[str, Make] = {
    "checkpoint": lambda folder: saved(folder, trained()),
    "old": lambda folder: saved(folder, trained(), _use_new_zipfile_serialization=False),
    "parameter": lambda folder: saved(folder, nn.Parameter(torch.ones(2))),
    "parameter with state": lambda folder: saved(
        folder, {"a": torch.ones(2), "b": torch.Size([2])}
    ),
    "set": lambda folder: saved(folder, {1, 2}),
    "counter": lambda folder: saved(folder, collections.Counter("aab")),
    "defaultdict": lambda folder: saved(folder, collections.defaultdict(list)),
    "bytes": lambda folder: saved(folder, [b"ab", bytearray(b"c"), 2j, 10**30]),
    "dtype": lambda folder: saved(folder, [torch.float32, torch.device("cpu")]),
    "sparse": lambda folder: saved(folder, torch.eye(3).to_sparse()),
    "numpy": lambda folder: saved(folder, {"best": np.float64(0.5)}),
    "numpy array": lambda folder: saved(folder, np.ones(3)),
    "path": lambda folder: saved(folder, {"folder": Path("runs")}),
    "python random": lambda folder: saved(folder, random.getstate()),
    "whole model": lambda folder: saved(folder, nn.Linear(2, 2)),
    "own class": lambda folder: saved(folder, Stateful()),
    "evil": lambda folder: saved(folder, Evil(os.system, "exit 3")),
    "eval": lambda folder: saved(folder, [Evil(eval, "1")]),
    "getattr": lambda folder: saved(folder, Evil(getattr, "a", "upper")),
    "protocol 4": lambda folder: saved(folder, {"a": [1.0] * 3}, pickle_protocol=4),
    "protocol 5": lambda folder: saved(folder, {"a": torch.ones(2)}, pickle_protocol=5),
    "optimizer": lambda folder: saved(folder, torch.optim.SGD([nn.Parameter(torch.ones(1))], 0.1)),
    "deep": lambda folder: saved(folder, nested(30)),
    "meta": lambda folder: saved(folder, torch.ones(2, device="meta")),
    "nothing": lambda folder: saved(folder, None),
}


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value, None]
    return value


@pytest.mark.parametrize("name", FILES)
@pytest.mark.filterwarnings("ignore")
def test_the_verdict_is_torch_load_s_own(tmp_path: Path, name: str) -> None:
    path = FILES[name](tmp_path)
    try:
        torch.load(path, weights_only=True)
        loads = "accepts"
    except pickle.UnpicklingError:
        loads = "refuses"
    assert explore.checkpoint(path).data["verdict"]["state"] == loads


def test_a_class_that_the_student_allowed_is_accepted(tmp_path: Path) -> None:
    path = saved(tmp_path, Stateful())
    with torch.serialization.safe_globals([Stateful]):
        assert explore.checkpoint(path).data["verdict"]["state"] == "accepts"
    assert explore.checkpoint(path).data["verdict"]["state"] == "refuses"


@pytest.mark.parametrize("name", ["numpy array", "path", "own class", "evil", "whole model"])
@pytest.mark.filterwarnings("ignore")
def test_the_names_refused_are_those_that_torch_finds(tmp_path: Path, name: str) -> None:
    path = FILES[name](tmp_path)
    due = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    refusals = explore.checkpoint(path).data["verdict"]["refusals"]
    assert {refusal["name"] for refusal in refusals} == set(due)


# Hostile files ---------------------------------------------------------------------------------


def plain_pickle(folder: Path, data: bytes) -> Path:
    path = folder / "bare.pkl"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("bare", [False, True])
@pytest.mark.parametrize("protocol", [2, 4])
def test_a_hostile_file_is_described_and_not_run(tmp_path: Path, bare: bool, protocol: int) -> None:
    sign = tmp_path / "sign"
    evil = {"epoch": 3, "it": Evil(os.system, f"touch {sign}"), "e": Evil(eval, "1 + 1")}
    if bare:
        path = plain_pickle(tmp_path, pickle.dumps(evil, protocol))
    else:
        path = saved(tmp_path, evil, pickle_protocol=protocol)
    explorer = explore.checkpoint(path)
    assert not sign.exists()
    refusals = {each["name"]: each for each in explorer.data["verdict"]["refusals"]}
    system = f"{os.system.__module__}.system"
    assert refusals[system]["calls"] == [f"{system}('touch {sign}')"]
    assert refusals[system]["loud"]
    assert refusals[system]["why"] == "can run any program or code: it is os.system"
    assert refusals["builtins.eval"]["calls"] == ["builtins.eval('1 + 1')"]
    assert "never load a file of unknown origin that way" in explorer.text
    assert row(explorer, 'checkpoint["epoch"]')["what"] == "3"


HOSTILE = {
    "deeply nested": b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".",
    "deep tuples": b"\x80\x02N" + b"\x85" * 100_000 + b".",
    "memo bomb": b"\x80\x02]q\x00"
    + b"".join(b"](" + b"h\x00" * 50 + b"eq\x00" for _ in range(500))
    + b".",
    "tuple bomb": b"\x80\x02N" + b"2\x86" * 200 + b".",
    "dict bomb": b"\x80\x02K\x01" + b"q\x00}h\x00h\x00s" * 300 + b".",
    "itself": b"\x80\x02]q\x00h\x00a.",
    "itself as a dict": b"\x80\x02}q\x00K\x01h\x00s.",
    "many": b"\x80\x02](" + b"K\x01" * 2_500_000 + b"e.",
    "huge number": b"\x80\x02\x8b" + struct.pack("<i", 200_000) + b"\x7f" * 200_000 + b".",
    "huge length": b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b"abc.",
    "no stop": b"\x80\x02}q\x00",
    "no stack": b"\x80\x02R.",
    "unknown instruction": b"\x80\x02\xff.",
    "mark alone": b"\x80\x02(.",
    "missing memo": b"\x80\x02h\x07.",
    "odd items": b"\x80\x02}(K\x01u.",
    "set of a number": b"\x80\x02K\x01K\x02K\x03s.",
    "built number": b"\x80\x02K\x01}b.",
    "name of numbers": b"\x80\x04K\x01K\x02\x93.",
    "call of a number": b"\x80\x02K\x01)R.",
    "call of a call": b"\x80\x02cos\ngetcwd\n)R)R.",
    "own storage": b"\x80\x02K\x01Q.",
    "old instance": b"(S'ls'\nios\nsystem\n.",
    "tensor of nonsense": b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(K\x01K\x02K\x03tR.",
    "extension": b"\x80\x02\x82\x01.",
    "unhashable key": b"\x80\x02}]K\x01s.",
    "bytearray key": b"\x80\x05}\x96" + struct.pack("<Q", 2) + b"abK\x01s.",
    "surrogate key": b"\x80\x02}X\x03\0\0\0\xed\xa0\x80K\x01s.",
    "surrogate name": b"\x80\x04\x8c\x03\xed\xa0\x80\x8c\x03\xed\xa0\x80\x93)R.",
    "lines in a key": b"\x80\x02}X\x03\0\0\0a\nbK\x01s.",
    "call of a bomb": b"\x80\x02]q\x00"
    + b"".join(b"](" + b"h\x00" * 9 + b"eq\x00" for _ in range(60))
    + b")R)R}b.",
    "dtype of a module": b"\x80\x02ctorch._utils\n_rebuild_tensor_v3\n((X\x07\0\0\0storagectorch\n_dynamo\n"
    b"X\x01\0\0\x000X\x03\0\0\0cpuK\x01tQK\x00)))N}ctorch\n_dynamo\ntR.",
    "complex of text": b"\x80\x02c__builtin__\ncomplex\nX\x01\0\0\0aK\x01\x86R.",
    "array of nothing": b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n)R(K\x01K\x02K\x03K\x04K\x05tb.",
    "scalar of nothing": b"\x80\x02cnumpy.core.multiarray\nscalar\ncnumpy\ndtype\n)RK\x01\x86R.",
    "surrogates": b"\x80\x02X\x03\0\0\0\xed\xa0\x80.",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_malformed_pickle_is_described(tmp_path: Path, name: str) -> None:
    bare = HOSTILE[name]
    if bare[:1] == b"\x80":
        explorer = explore.checkpoint(plain_pickle(tmp_path, bare))
        assert explorer._repr_html_()
    inside = tmp_path / "inside.pt"
    with zipfile.ZipFile(inside, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inside/data.pkl", bare)
        archive.writestr("inside/byteorder", "little")
    explorer = explore.checkpoint(inside)
    assert len(explorer.data["rows"]) <= MOST_ROWS + DEEPEST
    assert len(explorer._repr_html_()) < 2_000_000
    try:
        torch.load(inside, weights_only=True)
    except Exception:  # how it fails is torch's own matter
        loads = False
    else:
        loads = True
    if loads:
        assert explorer.data["verdict"]["state"] == "accepts"


def test_two_hostile_files_are_compared(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for data in (data for data in HOSTILE.values() if len(data) < 50_000):
        one.write_bytes(b"\x80\x02" + data.removeprefix(b"\x80\x02"))
        other.write_bytes(pickle.dumps({"a": 1}))
        explore.checkpoint(one, other)._repr_html_()
        assert "Different" not in explore.checkpoint(one, one).text


def test_the_pickle_is_read_as_python_reads_it() -> None:
    shared = [1, "two"]
    value = {"a": (shared, shared, 3.5, None, True), 4: {"b": -(2**70), "c": b"x", "d": {5}}}
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        found = read_pickle(io.BytesIO(pickle.dumps(value, protocol)))
        assert found.broken == ""
        assert rebuilt(found.root) == value


def rebuilt(value: Any) -> Any:
    """Python's value for an inert one."""
    from firstlight.explore.checkpoint_values import plain

    value = plain(value)
    if isinstance(value, Table):
        return {rebuilt(key): rebuilt(item) for key, item in value.pairs}
    if isinstance(value, Items):
        make = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}[value.kind]
        return make(rebuilt(item) for item in value.values)
    assert not isinstance(value, Call)
    return value


def test_a_storage_that_is_too_short_is_told(tmp_path: Path) -> None:
    path = saved(tmp_path, {"it": torch.ones(30)})
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    for short, says in ((b"\0" * 40, "a storage that has 40"), (None, "is missing in the file")):
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in members.items():
                if not name.endswith("data/0"):
                    archive.writestr(name, data)
                elif short is not None:
                    archive.writestr(name, short)
        assert says in row(explore.checkpoint(path), 'checkpoint["it"]')["unread"]


# Two files -------------------------------------------------------------------------------------


def states(explorer: Explorer) -> dict[str, str]:
    return {row["path"]: row["state"] for row in explorer.data["rows"] if "state" in row}


def test_equal_checkpoints_are_told_equal(tmp_path: Path) -> None:
    explorer = explore.checkpoint(
        saved(tmp_path, trained(), "a.pt"), saved(tmp_path, trained(), "b.pt")
    )
    assert set(states(explorer).values()) == {"equal"}
    assert explorer.data["state"] == "equal"
    assert "Equal bit by bit: 28 tensors and" in explorer.text


def test_every_difference_is_found_and_measured(tmp_path: Path) -> None:
    one, other = trained(3), trained(4)
    explorer = explore.checkpoint(saved(tmp_path, one, "a.pt"), saved(tmp_path, other, "b.pt"))
    ours, theirs, found = leaves(one), leaves(other), states(explorer)
    for name, value in ours.items():
        same = (
            torch.equal(value, theirs[name]) if isinstance(value, Tensor) else value == theirs[name]
        )
        assert found[name] == ("equal" if same else "differs"), name
        if isinstance(value, Tensor) and not same and value.dtype != torch.uint8:
            gap = (value.double() - theirs[name].double()).abs().max()
            count = int((value != theirs[name]).sum())
            sign = row(explorer, name)["sign"]
            assert sign.startswith(f"differs by up to {gap:.3g} in {count:,} of {value.numel():,} ")
    largest = max(
        float((value - theirs[name]).abs().max())
        for name, value in ours.items()
        if isinstance(value, Tensor) and value.is_floating_point()
    )
    assert explorer.data["sentences"][0].startswith(
        f"28 of 28 tensors differ, by up to {largest:.3g} in `checkpoint["
    )


def test_one_bit_is_a_difference(tmp_path: Path) -> None:
    value = torch.ones(3_000_000)
    value[5:] = float("nan")
    bit = value.clone()
    bit[2_500_000] = 7.0
    paths = saved(tmp_path, {"a": value}, "a.pt"), saved(tmp_path, {"a": bit}, "b.pt")
    assert (
        "beyond any number in 1 of 3,000,000"
        in row(explore.checkpoint(*paths), 'checkpoint["a"]')["sign"]
    )
    assert explore.checkpoint(paths[0], paths[0]).data["state"] == "equal"
    zeros = saved(tmp_path, torch.tensor([0.0, 1.0]), "c.pt")
    signed = saved(tmp_path, torch.tensor([-0.0, 1.0]), "d.pt")
    assert "equal values" in row(explore.checkpoint(zeros, signed), "checkpoint")["sign"]


def test_keys_shapes_and_dtypes_that_differ_are_named(tmp_path: Path) -> None:
    one = {"a": torch.ones(2, 3), "b": torch.ones(2), "c": torch.ones(1), "n": 1, "old": {"x": 1}}
    other = {"new": 2, "a": torch.ones(3, 2), "b": torch.ones(2).half(), "c": 1.0, "n": 1}
    explorer = explore.checkpoint(saved(tmp_path, one, "a.pt"), saved(tmp_path, other, "b.pt"))
    found = states(explorer)
    assert found['checkpoint["new"]'] == "second"
    assert found['checkpoint["old"]'] == found['checkpoint["old"]["x"]'] == "first"
    assert row(explorer, 'checkpoint["a"]')["sign"] == "shape (2, 3) | (3, 2)"
    assert row(explorer, 'checkpoint["b"]')["sign"] == "float32 | float16"
    assert found['checkpoint["c"]'] == "differs"
    assert found['checkpoint["n"]'] == "equal"
    assert 'Only in the first: `checkpoint["old"]`.' in explorer.data["sentences"]
    assert 'Only in the second: `checkpoint["new"]`.' in explorer.data["sentences"]


def test_the_layout_in_memory_is_no_difference(tmp_path: Path) -> None:
    grid = torch.rand(40, 50)
    one = saved(tmp_path, {"a": grid.T, "b": grid[:, 3]}, "a.pt")
    other = saved(tmp_path, {"a": grid.T.contiguous(), "b": grid[:, 3].clone()}, "b.pt")
    assert explore.checkpoint(one, other).data["state"] == "equal"


def test_safetensors_and_torch_save_are_compared(tmp_path: Path) -> None:
    state = dict(trained()["model"])
    save_file(state, tmp_path / "it.safetensors")
    explorer = explore.checkpoint(saved(tmp_path, state), tmp_path / "it.safetensors")
    assert explorer.data["state"] == "equal"


def test_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        saved(tmp_path / folder, {"a": 1})
    explorer = explore.checkpoint(tmp_path / "one" / "it.pt", tmp_path / "two" / "it.pt")
    assert explorer.title == "one/it.pt and two/it.pt compared"


# Arguments -------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [None, 3, {"a": 1}, nn.Linear(1, 1), b"it.pt", torch.ones(2)])
def test_what_is_no_path_is_a_type_error(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"explore\.checkpoint takes the path of a saved file"):
        explore.checkpoint(wrong)
    if wrong is not None:
        with pytest.raises(TypeError, match="path of a saved file"):
            explore.checkpoint(__file__, wrong)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"There is no file '.*none.pt'"):
        explore.checkpoint(tmp_path / "none.pt")


def exported(path: Path) -> None:
    torch.export.save(torch.export.export(nn.Linear(2, 2), (torch.ones(1, 2),)), path)


def traced(path: Path) -> None:
    torch.jit.trace(nn.Linear(2, 2), torch.ones(1, 2)).save(path)  # type: ignore[no-untyped-call]


def zipped(path: Path) -> None:
    np.savez(path.with_suffix(".npz"), a=np.ones(2))
    path.with_suffix(".npz").rename(path)


WRONG: dict[str, tuple[Callable[[Path], Any], str]] = {
    "folder": (lambda path: path.mkdir(), "is a folder, and explore.checkpoint reads a file"),
    "empty": (lambda path: path.write_bytes(b""), "is empty, 0 bytes long"),
    "text": (lambda path: path.write_text("epoch 3"), "is no checkpoint: it begins with the bytes"),
    "npz": (zipped, "is a zip file without 'data.pkl'"),
    "npy": (lambda path: np.save(path.open("wb"), np.ones(2)), "is a NumPy array"),
    "onnx": (lambda path: path.write_bytes(b"\x08\x08\x12\x07pytorch"), "is an ONNX model"),
    "program": (exported, "is an exported program"),
    "script": (traced, "is a TorchScript archive"),
    "gzip": (lambda path: path.write_bytes(b"\x1f\x8b\x08\0"), "is packed with gzip"),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.filterwarnings("ignore")
def test_a_file_of_another_kind_is_named(tmp_path: Path, name: str) -> None:
    make, says = WRONG[name]
    make(tmp_path / "it")
    with pytest.raises(ValueError, match=says):
        explore.checkpoint(tmp_path / "it")


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9, 0.999])
def test_a_file_that_was_cut_off_is_told(tmp_path: Path, share: float) -> None:
    path = saved(tmp_path, trained())
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ValueError, match=r"'it.pt' breaks off: .* It was cut off"):
        explore.checkpoint(path)


@pytest.mark.parametrize("share", [0.001, 0.02, 0.5, 0.99])
def test_a_safetensors_file_that_was_cut_off_is_told(tmp_path: Path, share: float) -> None:
    path = tmp_path / "it.safetensors"
    save_file(trained()["model"], path)
    data = path.read_bytes()
    path.write_bytes(data[: max(3, int(len(data) * share))])
    with pytest.raises(ValueError, match="breaks off"):
        explore.checkpoint(path)


@pytest.mark.parametrize(
    "header",
    [
        b"[]",
        b"{",
        b'{"a": 3}',
        b'{"a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 4]}}',
        b'{"a": {"dtype": "F32", "shape": [-1], "data_offsets": [4, 0]}}',
        b'{"a":' * 5000,
    ],
)
def test_a_damaged_safetensors_header_is_told(tmp_path: Path, header: bytes) -> None:
    path = tmp_path / "it.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 64)
    with pytest.raises(ValueError, match="is damaged"):
        explore.checkpoint(path)


# The frame -------------------------------------------------------------------------------------


def test_thousands_of_keys_stay_small(tmp_path: Path) -> None:
    path = saved(tmp_path, {f"layers.{at}.weight": torch.ones(2) for at in range(MOST_ROWS + 500)})
    explorer = explore.checkpoint(path)
    assert len(explorer.data["rows"]) == MOST_ROWS
    assert "the tree stops after 4,000 lines" in explorer.text
    assert explorer.data["parts"][0]["cells"][1] == f"{MOST_ROWS + 500:,}"
    assert len(explorer._repr_html_()) < 2_000_000


def test_of_many_parts_the_least_equal_are_told(tmp_path: Path) -> None:
    one = {f"m{at}.weight": torch.ones(2) for at in range(40)} | {"m7.bias": torch.ones(1)}
    other = one | {"m7.weight": torch.zeros(2), "m9.weight": torch.full((2,), 1.5)}
    paths = saved(tmp_path, one, "a.pt"), saved(tmp_path, other, "b.pt")
    parts = [part["cells"] for part in explore.checkpoint(*paths).data["parts"]]
    assert ["m7", "1 of 2", "1"] in parts
    assert ["m9", "0 of 1", "0.5"] in parts
    assert parts[-1] == ["29 others", "29 of 29", "0"]


def test_a_large_file_is_hardly_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path, {"big": torch.zeros(25_000_000)})
    read = 0

    def counting(data: Any, *arguments: Any, **options: Any) -> Tensor:
        nonlocal read
        read += len(data)
        return original(data, *arguments, **options)

    original = torch.frombuffer
    monkeypatch.setattr(torch, "frombuffer", counting)
    explorer = explore.checkpoint(path)
    assert 0 < read < 2_000_000
    told = row(explorer, 'checkpoint["big"]')["told"]
    assert told == "all are 0.0 (of the first 262,144 stored)" or told.startswith("all are 0 (of")


def test_the_text_says_what_the_picture_shows(tmp_path: Path) -> None:
    explorer = explore.checkpoint(saved(tmp_path, trained()))
    for line in explorer.data["rows"][:300]:
        assert line["key"] in explorer.text
        assert line.get("told", "") in explorer.text
    assert explorer.text.startswith("it.pt: ")


def test_random_states_and_default_device_stay(tmp_path: Path) -> None:
    path = saved(tmp_path, trained())
    before = torch.get_rng_state()
    torch.set_default_device("meta")
    torch.set_default_dtype(torch.float64)
    try:
        explorer = explore.checkpoint(path)
        assert explore.checkpoint(path, path).data["state"] == "equal"
    finally:
        torch.set_default_device(None)
        torch.set_default_dtype(torch.float32)
    assert torch.equal(before, torch.get_rng_state())
    assert explorer.text == explore.checkpoint(path).text
