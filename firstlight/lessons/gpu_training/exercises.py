"""What the student writes in lesson 9, GPU Training, and every known way to get it wrong."""

# mypy does not see what a decorator makes of a function: an exercise.
# mypy: disable-error-code="arg-type,attr-defined,type-arg,no-untyped-def,operator,no-any-return,return-value"

import math
import sys
import time
import warnings
from contextlib import ExitStack
from types import SimpleNamespace
from unittest import mock

import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode

from firstlight.checking import Extra, exercise

# Placement, noted -----------------------------------------------------------------------------


class OnTwoDevicesError(RuntimeError):
    """An operation was given tensors that an answer had put in different places."""


def device_type(device):
    return torch.device(device).type


READS = ("item", "tolist", "numpy", "__float__", "__bool__", "__int__", "__index__", "__repr__")


class Placing(TorchFunctionMode):
    """Note for every tensor where the code puts it; the arithmetic itself stays on the CPU.

    No device is imitated: a move is answered by a copy with a new note, `x.device` by the note, and
    an operation on tensors with different notes is refused, as PyTorch refuses it. A tensor that is
    unknown is on the CPU. Exempt are what PyTorch exempts: a CPU tensor without axes, `copy_`, an index.
    """

    def __init__(self):
        super().__init__()
        self.notes = {}
        self.reads = 0

    def put(self, tensor, device):
        """Note a place, and keep the tensor, so that its id stays its own."""
        if device_type(device) == "mps" and tensor.dtype == torch.float64:
            raise TypeError("MPS has no float64: a tensor there cannot have this dtype")
        self.notes[id(tensor)] = (tensor, device_type(device))
        return tensor

    def of(self, tensor):
        """Give the noted place of a tensor."""
        return self.notes.get(id(tensor), (tensor, "cpu"))[1]

    def copied(self, tensor, device):
        """Answer a move: the same tensor if it is there already, else a copy."""
        here = device_type(device) == self.of(tensor)
        return tensor if here else self.put(tensor.clone(), device)

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        if name == "_parse_to":  # how a module reads the arguments of its own `.to`
            return func(*args, **kwargs)
        if func == torch.Tensor.device.__get__:
            return torch.device(self.of(args[0]))
        if func == torch.Tensor.data.__set__:
            self.put(args[0], self.of(args[1]))
            return func(*args, **kwargs)
        if name in READS:
            self.reads += self.of(args[0]) != "cpu"
        if name in ("to", "cuda", "cpu"):
            return self.moved(name, func, args, kwargs)
        device = kwargs.pop("device", None)
        tensors = [t for t in spread((args, kwargs)) if isinstance(t, torch.Tensor)]
        places = {self.of(t) for t in tensors if t.dim() > 0 or self.of(t) != "cpu"}
        result = func(*args, **kwargs)
        for made in spread(result):
            if isinstance(made, torch.Tensor) and not any(made is t for t in tensors):
                if len(places) > 1 and device is None and name not in ("__getitem__",):
                    raise OnTwoDevicesError(
                        f"two devices in `{name}`: {' and '.join(sorted(places))}"
                    )
                self.put(made, device or next(iter(places), "cpu"))
        if name.endswith("_") and not name.startswith("__") and name != "copy_" and len(places) > 1:
            raise OnTwoDevicesError(f"two devices in `{name}`: {' and '.join(sorted(places))}")
        return result

    def moved(self, name, func, args, kwargs):
        """Answer `.to`, `.cuda` and `.cpu`: copy, and note the new place."""
        tensor, *rest = args
        if name in ("cuda", "cpu"):
            self.reads += name == "cpu" != self.of(tensor)
            return self.copied(tensor, name)
        rest = [*rest, *kwargs.values()]
        device = next((r for r in rest if isinstance(r, str | torch.device)), None)
        like = next((r for r in rest if isinstance(r, torch.Tensor)), None)
        dtype = next((r for r in rest if isinstance(r, torch.dtype)), tensor.dtype)
        if like is not None:
            device, dtype = self.of(like), like.dtype
        self.reads += device is not None and device_type(device) == "cpu" != self.of(tensor)
        moved = tensor if device is None else self.copied(tensor, device)
        return moved if dtype == tensor.dtype else self.put(moved.to(dtype), self.of(moved))


def spread(value):
    """Yield what stands in nested tuples, lists and dictionaries."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for part in value:
            yield from spread(part)
    else:
        yield value


def fill(model, g, scale=0.5):
    """Draw every parameter from `g`, so that a model is the same on every run."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(scale * torch.randn(parameter.shape, generator=g))
    return model


def numbers(g, *shape):
    return torch.randn(*shape, generator=g)


# Picking a device -----------------------------------------------------------------------------


@exercise(
    level="guided",
    minutes=6,
    why="One question for new versions, two for old ones, and the CPU when every answer is no.",
    hints=(
        '`hasattr(torch, "accelerator")` tells a new PyTorch from an old one.',
        "`torch.accelerator.is_available()` asks the machine; `torch.accelerator.current_accelerator()` names what "
        "this PyTorch was built for.",
        "Without `torch.accelerator`, ask `torch.cuda.is_available()` and `torch.backends.mps.is_available()`.",
    ),
)
def pick_device() -> torch.device:
    """Choose the device to train on: the machine's accelerator, or the CPU if there is none.

    Returns a torch.device of type "cuda", "mps" or "cpu". With several GPUs: without a number, or number 0.
    Where PyTorch has `torch.accelerator`, it knows the answer. PyTorch 2.4 and 2.5 do not have it:
    ask for CUDA and MPS there. Ask only: put no tensor anywhere to try, and change no setting. Ask at
    every call, and by full names such as `torch.cuda.is_available()`, because the check plays several
    machines one after the other: it decides what those questions answer.
    """
    # solution:
    if hasattr(torch, "accelerator"):
        if torch.accelerator.is_available():
            return torch.accelerator.current_accelerator()
    elif torch.cuda.is_available():
        return torch.device("cuda")
    elif torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")
    # end solution


@pick_device.drive
def on_several_machines(answer, machines):
    seen = {}
    for name, (built, present, new) in machines.items():
        before = torch.get_default_device()
        with playing(built, int(present), new):
            try:
                result = answer()
            except Exception as error:
                seen[f"the answer on {name}"] = f"{type(error).__name__}: {error}"
                continue
        if torch.get_default_device() != before:
            torch.set_default_device(None)
            seen[f"the answer on {name}"] = (
                "a changed setting: the device where new tensors are made"
            )
            continue
        if isinstance(result, torch.device):
            index = f", number {result.index}" if result.index else ""
            seen[f"the answer on {name}"] = f"the device {result.type}{index}"
        else:
            seen[f"the answer on {name}"] = f"{type(result).__name__}, no device: {result}"
    return seen


def playing(built, present, new):
    """Let PyTorch's questions be answered as on another machine, with `present` accelerators."""
    device = torch.device(built) if built else None
    played = ExitStack()
    for kind, module in (("cuda", torch.cuda), ("mps", torch.backends.mps)):
        there = bool(present and built == kind)
        played.enter_context(mock.patch.object(module, "is_available", lambda there=there: there))
    played.enter_context(
        mock.patch.object(torch.cuda, "device_count", return_value=present * (built == "cuda"))
    )
    played.enter_context(
        mock.patch.object(torch.backends.mps, "is_built", return_value=built == "mps")
    )
    played.enter_context(mock.patch.object(torch.cuda, "current_device", return_value=0))
    played.enter_context(
        mock.patch.object(torch.mps, "device_count", return_value=present * (built == "mps"))
    )
    fake = SimpleNamespace(
        is_available=lambda: present > 0,
        device_count=lambda: present,
        current_accelerator=lambda check_available=False: (
            device if present or not check_available else None
        ),
    )
    version = torch.torch_version.TorchVersion("2.13.0" if new else "2.4.1")
    played.enter_context(mock.patch.object(torch, "__version__", version))
    played.enter_context(mock.patch.object(torch, "accelerator", fake, create=True))
    played.enter_context(mock.patch.dict(sys.modules, {"torch.accelerator": fake if new else None}))
    if not new:
        del torch.accelerator
        played.callback(lambda: setattr(torch, "accelerator", fake))
    return played


NEW = {
    "a machine with CUDA": ("cuda", True, True),
    "a Mac with MPS": ("mps", True, True),
    "a machine with three GPUs": ("cuda", 3, True),
    "a machine without a GPU": (None, False, True),
    "a machine without a GPU, PyTorch built for CUDA": ("cuda", False, True),
}
OLD = {
    "PyTorch 2.4 with CUDA": ("cuda", True, False),
    "PyTorch 2.4 on a Mac": ("mps", True, False),
    "PyTorch 2.4 on a Mac whose MPS cannot be used": ("mps", False, False),
    "PyTorch 2.4 without a GPU": (None, False, False),
}


@pick_device.probe
def new_versions(g):
    return (dict(NEW),)


@pick_device.probe
def old_versions(g):
    return (dict(OLD),)


@pick_device.probe
def all_machines(g):
    return ({**OLD, **NEW},)


@pick_device.alternative("The two old questions work in new versions as well.")
def old_questions(*_):
    for module, name in ((torch.cuda, "cuda"), (torch.backends.mps, "mps")):
        if module.is_available():
            return torch.device(name)
    return torch.device("cpu")


@pick_device.alternative("Try the new question, and fall back when it does not exist.")
def try_the_new():
    try:
        there = torch.accelerator.is_available()
    except AttributeError:
        name = "cuda" if torch.cuda.is_available() else "cpu"
        return torch.device("mps" if torch.backends.mps.is_available() else name)
    return torch.accelerator.current_accelerator() if there else torch.device("cpu")


@pick_device.alternative("The index 0 names the first of several GPUs.")
def with_an_index():
    if torch.cuda.device_count():
        return torch.device("cuda:0")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


@pick_device.misconception(
    title="CUDA is taken for granted",
    why="The name of a device is only a name: `torch.device` makes it anywhere. The first tensor that is put there ends the "
    "program on every machine without CUDA.",
    next="Ask what the machine has.",
    link="one-script-for-every-machine",
)
def always_cuda():
    return torch.device("cuda")


@pick_device.misconception(
    title="A Mac's GPU is never asked for",
    why="The program runs on a Mac, on its CPU. Nothing says that a GPU stood beside it.",
    next="Ask for MPS too, or let `torch.accelerator` name whatever there is.",
    link="one-script-for-every-machine",
)
def cuda_or_cpu():
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("cpu")


@pick_device.misconception(
    title="No accelerator, no device",
    why="`current_accelerator()` is None where PyTorch knows of none. It takes the CPU for no accelerator, and leaves it to you "
    "to go on there.",
    next="Return the CPU when the answer is no.",
    link="one-script-for-every-machine",
)
def none_without_one():
    if hasattr(torch, "accelerator"):
        if torch.accelerator.is_available():
            return torch.accelerator.current_accelerator()
        return None
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return None


@pick_device.misconception(
    title="A name instead of a device",
    why="Most functions take a string where they want a device. But a string has no `.type`, and it is unequal to the device of "
    "any tensor, so code that asks such things goes another way.",
    next="Make a `torch.device` of the name.",
    link="one-script-for-every-machine",
)
def only_a_name():
    if torch.cuda.is_available():
        return "cuda"
    if torch.backends.mps.is_available():
        return "mps"
    return "cpu"


@pick_device.misconception(
    title="`torch.accelerator` is used without asking whether it exists",
    why="It came with PyTorch 2.6. On an older one the attribute does not exist, and the script ends in its first line.",
    next="Ask with `hasattr`, and have another way for older versions.",
    link="one-script-for-every-machine",
)
def no_way_back():
    if torch.accelerator.is_available():
        return torch.accelerator.current_accelerator()
    return torch.device("cpu")


@pick_device.misconception(
    title="Asked what PyTorch was built for, not what is there",
    why="A PyTorch that was built for CUDA is often installed on a machine that has no GPU, such as a login node. "
    "`current_accelerator()` names CUDA there all the same.",
    next="Ask `torch.accelerator.is_available()` first.",
    link="one-script-for-every-machine",
)
def built_for():
    if hasattr(torch, "accelerator"):
        return torch.accelerator.current_accelerator() or torch.device("cpu")
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


@pick_device.misconception(
    title="`is_built` was taken for `is_available`",
    why="`is_built` says that this PyTorch contains the code for MPS. On a Mac whose system or chip cannot use it, the answer "
    "is still yes.",
    next="Ask `torch.backends.mps.is_available()`.",
    link="one-script-for-every-machine",
)
def is_it_built():
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_built():
        return torch.device("mps")
    return torch.device("cpu")


# Placing a batch ------------------------------------------------------------------------------


@exercise(
    level="supported",
    minutes=8,
    why="A container has no `.to`, so the function takes it apart, places each part, and builds the same kind again.",
    hints=(
        "There are three cases: a tensor, a container, and everything else.",
        "The parts of a container are batches themselves: the function can call itself.",
        "`isinstance(batch, dict)`: build a new dict from its items. For a list or tuple, `type(batch)(…)` builds the same kind.",
    ),
)
def place(batch, device: torch.device):
    """Put every tensor of a batch onto a device, however deep it stands.

    batch: a tensor, or a dict, list or tuple of such batches, one in another. Whatever else stands in
    it, such as text, numbers or None, stays what it is. What requires a gradient still does.
    device: where to. Use `.to(device)`: the check notes every move.
    Returns the same kinds of containers with the same keys, newly built at every depth, also when they
    hold nothing; the given ones stay as they are.
    """

    # solution:
    def moved(part):
        if isinstance(part, torch.Tensor):
            return part.to(device)
        if isinstance(part, dict):
            return {key: moved(inner) for key, inner in part.items()}
        if isinstance(part, list | tuple):
            return type(part)(moved(inner) for inner in part)
        return part

    return moved(batch)
    # end solution


def told(value, placing):
    """Describe a batch in words: its containers, its tensors and where they are."""
    if isinstance(value, torch.Tensor):
        graph = ", requires a gradient" if value.requires_grad else ""
        return f"{value.flatten().tolist()} on {placing.of(value)}{graph}"
    if isinstance(value, dict):
        items = sorted(value.items(), key=lambda item: repr(item[0]))
        inside = ", ".join(f"{k!r}: {told(v, placing)}" for k, v in items)
        return f"dict({inside})"
    if isinstance(value, list | tuple):
        inside = ", ".join(told(part, placing) for part in value)
        return f"{type(value).__name__}({inside})"
    return repr(value)


@place.drive
def note_the_moves(answer, batch, device):
    parts, containers = list(spread(batch)), list(changeable(batch))  # held: no id is given twice
    before, given = [id(part) for part in parts], {id(part) for part in containers}
    with Placing() as placing:
        result = answer(batch, device)
        described = told(result, placing)
    kept = before == [id(part) for part in spread(batch)]
    return {
        "the placed batch": described,
        "the given batch afterwards": "as it was" if kept else "changed",
        "lists and dicts given back": sum(id(part) in given for part in changeable(result)),
    }


def changeable(value):
    """Yield the lists and dictionaries of a batch, at every depth."""
    if isinstance(value, dict | list):
        yield value
    if isinstance(value, dict | list | tuple):
        for part in value.values() if isinstance(value, dict) else value:
            yield from changeable(part)


def whole(g, *shape):
    return torch.randint(0, 90, shape, generator=g)


@place.probe
def a_pair(g):
    return [whole(g, 3), whole(g, 2)], torch.device("cuda")


@place.probe
def named_parts(g):
    label = whole(g, 2)
    batch = {"image": whole(g, 2, 2).float(), "label": label, "file": "a.png", "weight": None}
    return batch | {"next": label + 1}, torch.device("mps")


@place.probe
def one_in_another(g):
    inner = {"pair": (whole(g, 2), [whole(g, 3), 7]), "name": "x"}
    return (inner, whole(g, 1), 0.5), torch.device("cuda")


@place.probe
def odd_parts(g):
    weight = nn.Parameter(whole(g, 2).float())
    inner = {3: [whole(g, 2)], "none": [], "names": {"a": ["x", 1]}}
    return {"one": (whole(g, 1)[0],), "inner": inner, "weight": weight}, torch.device("cuda")


@place.probe
def a_tensor_alone(g):
    return whole(g, 4), torch.device("mps")


@place.alternative("PyTorch's own walk through containers does the same.")
def with_pytree(batch, device):
    from torch.utils._pytree import tree_map

    return tree_map(lambda x: x.to(device) if isinstance(x, torch.Tensor) else x, batch)


@place.alternative("Whatever has a `.to` can be moved.")
def whoever_has_to(batch, device):
    if hasattr(batch, "to"):
        return batch.to(device=device, non_blocking=True)
    if isinstance(batch, tuple):
        return tuple([whoever_has_to(b, device) for b in batch])
    if isinstance(batch, list):
        return [whoever_has_to(b, device) for b in batch]
    if type(batch) is dict:
        return dict(zip(batch, [whoever_has_to(b, device) for b in batch.values()], strict=True))
    return batch


@place.alternative("A copy of the container, refilled.")
def copied_and_refilled(batch, device):
    if torch.is_tensor(batch):
        return batch.to(device)
    if isinstance(batch, dict):
        new = batch.copy()
        for key in new:
            new[key] = copied_and_refilled(batch[key], device)
        return new
    if isinstance(batch, (list, tuple)):
        parts = list(batch)
        for i, part in enumerate(parts):
            parts[i] = copied_and_refilled(part, device)
        return parts if isinstance(batch, list) else tuple(parts)
    return batch


@place.misconception(
    title="The tensors stayed where they were",
    why="No tensor of the result is on the device. Either none was sent there, or what `.to` returned was dropped: a tensor's `.to` "
    "returns a tensor and leaves the one that it was called on where it is. Only a module moves itself.",
    next="Call `.to` with the given device, and return what it returns.",
    link="two-kinds-of-to",
)
def not_assigned(batch, device):
    if isinstance(batch, torch.Tensor):
        batch.to(device)
        return batch
    if isinstance(batch, dict):
        return {key: not_assigned(part, device) for key, part in batch.items()}
    if isinstance(batch, list | tuple):
        return type(batch)(not_assigned(part, device) for part in batch)
    return batch


@place.misconception(
    title="Only the first level was placed",
    why="A container in a container is handed on untouched, with its tensors still on the CPU.",
    next="Let the function call itself for every part.",
    link="two-kinds-of-to",
)
def first_level(batch, device):
    def move(part):
        return part.to(device) if isinstance(part, torch.Tensor) else part

    if isinstance(batch, dict):
        return {key: move(part) for key, part in batch.items()}
    if isinstance(batch, list | tuple):
        return type(batch)(move(part) for part in batch)
    return move(batch)


@place.misconception(
    title="Tuples became lists",
    why="The tensors are in the right place, in another kind of container. Code that asks for the kind, such as "
    "`isinstance(batch, tuple)`, goes another way.",
    next="Build the kind that was given.",
    link="two-kinds-of-to",
)
def all_lists(batch, device):
    if isinstance(batch, torch.Tensor):
        return batch.to(device)
    if isinstance(batch, dict):
        return {key: all_lists(part, device) for key, part in batch.items()}
    if isinstance(batch, list | tuple):
        return [all_lists(part, device) for part in batch]
    return batch


@place.misconception(
    title="The given batch was changed",
    why="The caller's own dict or list now holds tensors on the device. If it belongs to a data set, every batch that was used "
    "stays in the GPU's memory until that is full.",
    next="Build a new container.",
    link="two-kinds-of-to",
    shows="the given batch afterwards",
)
def in_place(batch, device):
    if isinstance(batch, torch.Tensor):
        return batch.to(device)
    if isinstance(batch, dict):
        for key in batch:
            batch[key] = in_place(batch[key], device)
        return batch
    if isinstance(batch, list):
        batch[:] = [in_place(part, device) for part in batch]
        return batch
    if isinstance(batch, tuple):
        return tuple(in_place(part, device) for part in batch)
    return batch


@place.misconception(
    title="A given dict was changed",
    why="Lists and tuples are built anew. The caller's own dict now holds tensors on the device. If it belongs to a data set, every "
    "batch that was used stays in the GPU's memory until that is full.",
    next="Build a new dict, as you do with the other containers.",
    link="two-kinds-of-to",
    shows="the given batch afterwards",
)
def dicts_in_place(batch, device):
    if isinstance(batch, torch.Tensor):
        return batch.to(device)
    if isinstance(batch, dict):
        for key in batch:
            batch[key] = dicts_in_place(batch[key], device)
        return batch
    if isinstance(batch, list | tuple):
        return type(batch)(dicts_in_place(part, device) for part in batch)
    return batch


@place.misconception(
    title="Everything is expected to have `.to`",
    why="Text, numbers and None have no `.to`, and real batches hold some: a file name, an index.",
    next="Return whatever is neither tensor nor container as it is.",
    link="two-kinds-of-to",
)
def everything_moves(batch, device):
    if isinstance(batch, dict):
        return {key: everything_moves(part, device) for key, part in batch.items()}
    if isinstance(batch, list | tuple):
        return type(batch)(everything_moves(part, device) for part in batch)
    return batch.to(device)


@place.misconception(
    title="`.cuda()` instead of the given device",
    why="The function is handed a device and does not look at it. On a Mac it ends in an error, with two GPUs all goes to the "
    "first.",
    next="Use the argument.",
    link="two-kinds-of-to",
)
def to_cuda(batch, device):
    if isinstance(batch, torch.Tensor):
        return batch.cuda()
    if isinstance(batch, dict):
        return {key: to_cuda(part, device) for key, part in batch.items()}
    if isinstance(batch, list | tuple):
        return type(batch)(to_cuda(part, device) for part in batch)
    return batch


# A module that makes a tensor -------------------------------------------------------------------


@exercise(
    level="supported",
    minutes=10,
    why="A buffer moves with its module; what is made during the forward is made where the input is.",
    hints=(
        "`self.register_buffer(name, tensor)` makes a tensor part of the module without making it a parameter.",
        "Every function that makes a tensor takes `device=…`, and the input knows where it is.",
        "A mask of shape (B, T): positions (T,) compared with `lengths[:, None]` (B, 1).",
    ),
)
class MaskedRamp(nn.Module):
    """Weigh the positions of padded sequences by a ramp, and set the padding to 0.

    MaskedRamp(size): the weights of the `size` positions are `torch.linspace(0, 1, size)`, the same for
    all rows; size is at least 2. They are fixed: not trained.
    forward(x, lengths): x is (B, size), float32, all finite; lengths (B,), int64: how many positions of
    each row are real. Returns (B, size): x times the weights, and 0 from position `lengths[b]` on. As
    part of a network it lets gradients through to x.
    It works wherever the module and its inputs are moved together, also after it was moved again, and
    when it is moved as part of another module.
    """

    # solution:
    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("ramp", torch.linspace(0, 1, size))

    def forward(self, x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        positions = torch.arange(x.shape[1], device=x.device)
        mask = positions < lengths[:, None]  # (size,) < (B, 1) -> (B, size)
        return x * self.ramp * mask

    # end solution


@MaskedRamp.drive
def moved_about(answer, x, lengths):
    module = answer(x.shape[1])
    seen = {"the result on the CPU": module(x, lengths)}
    seen["the count of numbers to train"] = sum(
        p.numel() for p in module.parameters() if p.requires_grad
    )
    seen["a gradient reaches x"] = bool(module(x.clone().requires_grad_(), lengths).requires_grad)
    around = nn.ModuleList([module])
    with Placing() as placing:
        for device in ("cuda", "cpu", "mps"):
            (around if device == "mps" else module).to(device)
            try:
                outcome = f"a result on {placing.of(module(x.to(device), lengths.to(device)))}"
            except OnTwoDevicesError as error:
                outcome = f"no result, because of {error}"
            seen[f"the outcome when all was moved to {device}"] = outcome
    seen["buffers"] = Extra(len(list(module.buffers())))
    return seen


def lengths_of(g, count, size):
    return torch.randint(0, size + 1, (count,), generator=g)


@MaskedRamp.probe
def two_rows(g):
    return numbers(g, 2, 3), torch.tensor([3, 1])


@MaskedRamp.probe
def four_rows(g):
    return numbers(g, 4, 6), torch.tensor([2, 6, 0, 5])


@MaskedRamp.probe
def drawn_lengths(g):
    return numbers(g, 5, 4), lengths_of(g, 5, 4)


@MaskedRamp.alternative("Both tensors can be buffers: then nothing is made in the forward.")
class TwoBuffers(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.register_buffer("ramp", torch.arange(size) / max(size - 1, 1), persistent=False)
        self.register_buffer("positions", torch.arange(size))

    def forward(self, x, lengths):
        return torch.where(self.positions < lengths.unsqueeze(1), x * self.ramp, 0.0)


@MaskedRamp.alternative("Everything made anew in the forward, from the input's device.")
class AllInForward(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.size = size

    def forward(self, x, lengths):
        ramp = torch.linspace(0, 1, self.size).to(x)
        positions = torch.ones_like(x).cumsum(1)
        return (x * ramp).masked_fill(positions > lengths[:, None], 0)


@MaskedRamp.alternative("The buffer knows where the module is.")
class WhereTheBufferIs(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.register_buffer("weights", torch.linspace(0, 1, size))

    def forward(self, x, lengths):
        positions = torch.arange(len(self.weights)).to(self.weights.device)
        return x * self.weights * (positions[None] < lengths[:, None]).float()


@MaskedRamp.misconception(
    title="The weights are a plain attribute",
    why="`module.to(device)` moves parameters and buffers. A tensor that is an attribute and no more is neither, and stays on the CPU.",
    next="Register it as a buffer.",
    link="tensors-that-a-module-makes",
)
class PlainAttribute(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.ramp = torch.linspace(0, 1, size)

    def forward(self, x, lengths):
        positions = torch.arange(x.shape[1], device=x.device)
        mask = positions < lengths[:, None]
        return x * self.ramp * mask


@MaskedRamp.misconception(
    title="The weights are a parameter",
    why="A parameter moves with the module, and an optimizer changes it: after one step the ramp is none any more.",
    next="What is fixed and must move is a buffer.",
    link="tensors-that-a-module-makes",
    shows="the count of numbers to train",
)
class TrainedRamp(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.ramp = nn.Parameter(torch.linspace(0, 1, size))

    def forward(self, x, lengths):
        positions = torch.arange(x.shape[1], device=x.device)
        mask = positions < lengths[:, None]
        return x * self.ramp * mask


@MaskedRamp.misconception(
    title="The positions are made on the CPU",
    why="Without `device=` a new tensor is on the CPU, wherever the module is. On a machine without a GPU nothing shows.",
    next="Make it where the input is.",
    link="tensors-that-a-module-makes",
)
class PositionsOnTheCpu(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.register_buffer("ramp", torch.linspace(0, 1, size))

    def forward(self, x, lengths):
        positions = torch.arange(x.shape[1])
        mask = positions < lengths[:, None]
        return x * self.ramp * mask


@MaskedRamp.misconception(
    title="The device was decided when the module was made",
    why="The module remembers where it was born. `.to(device)` moves it and knows nothing of that attribute.",
    next="Ask the input where it is, at every call.",
    link="tensors-that-a-module-makes",
)
class BornThere(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.register_buffer("ramp", torch.linspace(0, 1, size))
        self.place = self.ramp.device

    def forward(self, x, lengths):
        positions = torch.arange(x.shape[1], device=self.place)
        mask = positions.to(self.place) < lengths.to(self.place)[:, None]
        return x * self.ramp * mask


@MaskedRamp.misconception(
    title="One position too many",
    why="Positions count from 0: a row with 3 real values has the positions 0, 1 and 2. With `<=` the first of the padding is kept.",
    next="Compare with `<`.",
    link="tensors-that-a-module-makes",
)
class OneTooMany(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.register_buffer("ramp", torch.linspace(0, 1, size))

    def forward(self, x, lengths):
        positions = torch.arange(x.shape[1], device=x.device)
        mask = positions <= lengths[:, None]
        return x * self.ramp * mask


@MaskedRamp.misconception(
    title="The result was brought back to the CPU",
    why="Everything fits in here, and the next layer, which is on the device, gets a tensor from the CPU. It costs a transfer each time, too.",
    next="Work where the input is, and leave the result there.",
    link="tensors-that-a-module-makes",
)
class BackToTheCpu(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.ramp = torch.linspace(0, 1, size)

    def forward(self, x, lengths):
        positions = torch.arange(x.shape[1])
        mask = positions < lengths.cpu()[:, None]
        return x.cpu() * self.ramp * mask


# Honest timing --------------------------------------------------------------------------------


@exercise(
    level="supported",
    minutes=8,
    why="The clock is read when nothing is left in the queue: before the first run that counts, and after the last.",
    hints=(
        "Run the work once before you start the clock: the first run pays for what is set up once.",
        "The run before the clock may still be in the queue when you start it.",
        "Warm up, wait, read the clock, run `repeats` times, wait, read the clock.",
    ),
)
def timed(work, synchronize, repeats: int, clock) -> float:
    """Measure the seconds that one run of some work takes, on a device that works on its own time.

    work: called without arguments, puts one run of the work into the device's queue.
    synchronize: called without arguments, returns when the device's queue is empty.
    repeats: how many runs to measure, one directly after the other.
    clock: called without arguments, gives the seconds now, such as `time.perf_counter`.
    Returns the mean seconds of the `repeats` runs. Before them the work runs once, which does not count.
    The check hands in a device, a queue and a clock of its own.
    """
    # solution:
    work()
    synchronize()
    start = clock()
    for _ in range(repeats):
        work()
    synchronize()
    return (clock() - start) / repeats
    # end solution


class Queue:
    """A device that works on its own time: `work` costs the caller little and the device much."""

    def __init__(self, ask, run, first):
        self.now = self.free = 0.0
        self.ask, self.run, self.first = ask, run, first
        self.runs = self.readings = 0

    def work(self):
        self.now += self.ask
        cost = self.run if self.runs else self.first
        self.free = max(self.free, self.now) + cost
        self.runs += 1

    def synchronize(self):
        self.now = max(self.free, self.now)

    def clock(self):
        self.readings += 1
        return self.now


def as_arguments(queue, repeats):
    return queue.work, queue.synchronize, repeats, queue.clock


def costs_in_words(work, synchronize, repeats, clock):
    queue = work.__self__
    return (
        f"Here to ask for a run took {queue.ask:g} s, a run {queue.run:g} s, and the first run of all {queue.first:g} s; "
        f"{repeats} {'run was' if repeats == 1 else 'runs were'} to be measured."
    )


@timed.drive
def on_a_slow_device(answer, work, synchronize, repeats, clock):
    queue = work.__self__
    result = answer(work, synchronize, repeats, clock)
    other = Queue(2 * queue.ask, queue.run, queue.first)
    again = answer(*as_arguments(other, repeats))
    seen = {"the clock that was given": "read" if queue.readings else "never read"}
    if queue.readings or not isinstance(result, float):  # no two readings of a real clock agree
        seen["the seconds for one run"] = result
        seen["the seconds where asking takes twice as long"] = again
    return seen | {"the number of runs": queue.runs}


@timed.probe
def four_runs(g):
    return as_arguments(Queue(0.25, 8.0, 40.0), 4)


@timed.probe
def many_runs(g):
    return as_arguments(Queue(0.5, 3.0, 90.0), 37)


@timed.probe
def one_run(g):
    return as_arguments(Queue(0.125, 5.0, 25.0), 1)


@timed.alternative("The time can be summed up from its two ends.")
def from_both_ends(work, synchronize, repeats, clock):
    work()
    synchronize()
    total = -clock()
    i = 0
    while i < repeats:
        work()
        i += 1
    synchronize()
    total += clock()
    return total / repeats


@timed.alternative("Waiting twice does no harm: an empty queue is empty at once.")
def waits_twice(work, synchronize, repeats, clock):
    synchronize()
    for _ in range(1):
        work()
    synchronize()
    synchronize()
    begin = clock()
    [work() for _ in range(repeats)]
    synchronize()
    end = clock()
    return (end - begin) / float(repeats)


@timed.alternative("A recorded end, then the division.")
def ends_recorded(work, synchronize, repeats, clock):
    times = []
    for count in (1, repeats):
        times.append(clock())
        for _ in range(count):
            work()
        synchronize()
    times.append(clock())
    return (times[2] - times[1]) / repeats


@timed.misconception(
    title="The clock was read while the device was still working",
    why="What was measured is the time to put the work into the queue. It hardly depends on how much work it is, which is why a GPU "
    "then looks a thousand times faster than it is.",
    next="Wait for the device before you read the clock at the end.",
    link="work-in-a-queue",
    evidence=costs_in_words,
)
def no_wait_at_the_end(work, synchronize, repeats, clock):
    work()
    synchronize()
    start = clock()
    for _ in range(repeats):
        work()
    return (clock() - start) / repeats


@timed.misconception(
    title="The run before was still in the queue",
    why="The clock starts while the device is busy with the warm-up, and the time for the rest of it is counted.",
    next="Wait for the device before you start the clock, too.",
    link="work-in-a-queue",
    evidence=costs_in_words,
)
def no_wait_at_the_start(work, synchronize, repeats, clock):
    work()
    start = clock()
    for _ in range(repeats):
        work()
    synchronize()
    return (clock() - start) / repeats


@timed.misconception(
    title="The first run counts",
    why="The first run loads libraries, chooses algorithms and gets memory. It may take many times as long as the others, and says "
    "nothing about them.",
    next="Run the work once before the clock starts.",
    link="work-in-a-queue",
    evidence=costs_in_words,
)
def no_warm_up(work, synchronize, repeats, clock):
    synchronize()
    start = clock()
    for _ in range(repeats):
        work()
    synchronize()
    return (clock() - start) / repeats


@timed.misconception(
    title="Waited after every run",
    why="Then the device stands still while the next run is prepared, and that is measured, too. In a training the queue is never "
    "emptied between two steps, unless you ask for a number.",
    next="Put all runs into the queue, then wait once.",
    link="work-in-a-queue",
    evidence=costs_in_words,
)
def waits_every_time(work, synchronize, repeats, clock):
    work()
    synchronize()
    start = clock()
    for _ in range(repeats):
        work()
        synchronize()
    return (clock() - start) / repeats


@timed.misconception(
    title="The time of all the runs",
    why="Ten runs take ten times as long as one. The question was how long one takes.",
    next="Divide by the number of runs.",
    link="work-in-a-queue",
    evidence=costs_in_words,
)
def all_together(work, synchronize, repeats, clock):
    work()
    synchronize()
    start = clock()
    for _ in range(repeats):
        work()
    synchronize()
    return clock() - start


@timed.misconception(
    title="The clock started before the warm-up",
    why="The warm-up is there so that its time is not counted. Between the two readings of the clock it is.",
    next="Start the clock after the warm-up and after waiting for it.",
    link="work-in-a-queue",
    evidence=costs_in_words,
)
def clock_before_warm_up(work, synchronize, repeats, clock):
    start = clock()
    work()
    synchronize()
    for _ in range(repeats):
        work()
    synchronize()
    return (clock() - start) / repeats


@timed.misconception(
    title="Another clock was read",
    why="The function is handed a clock and does not read it. Whoever calls it decides which clock counts: here that of the "
    "check's device, where a run takes seconds that no clock of your computer sees.",
    next="Call the `clock` that you are given, at both ends.",
    link="work-in-a-queue",
    evidence=costs_in_words,
)
def another_clock(work, synchronize, repeats, clock):
    work()
    synchronize()
    start = time.perf_counter()
    for _ in range(repeats):
        work()
    synchronize()
    return (time.perf_counter() - start) / repeats


# The range of a number --------------------------------------------------------------------------


@exercise(
    level="guided",
    minutes=6,
    why="The conversion itself is asked: infinite, zero, the same or another number.",
    hints=(
        "`torch.tensor` takes a `dtype`, and rounds to what that format holds.",
        "`.item()` gives back the Python number that the format holds.",
        "Look for infinity first, then for a 0 that was none, then compare.",
    ),
)
def how_held(value: float, dtype: torch.dtype) -> str:
    """Say what becomes of a number in a floating-point format.

    value: any finite Python float, also negative.
    dtype: torch.float32, torch.float16 or torch.bfloat16.
    Returns "overflows" if it becomes infinite, "underflows" if it becomes 0 and was not 0, "exact" if
    the format holds this very number, and otherwise "rounded".
    """
    # solution:
    held = torch.tensor(value, dtype=dtype).item()
    if math.isinf(held):
        return "overflows"
    if held == 0 and value != 0:
        return "underflows"
    return "exact" if held == value else "rounded"
    # end solution


@how_held.drive
def several_numbers(answer, values, dtype):
    name = str(dtype).removeprefix("torch.")
    return {f"{value:.11g} in {name}": answer(value, dtype) for value in values}


LARGE = [70000.0, 65519.0, -70000.0, 3.4e38, 3.5e38, 1e39, -1e39, 65504.0]
SMALL = [1e-8, -1e-8, 3e-8, 1e-6, 2.0**-24, 1e-40, 1e-46, -1e-46, 0.0]
NEAR = [0.1, 1.001, 2049.0, 2048.0, 0.5, -0.1, 1 + 2.0**-7, 1 + 2.0**-9, 1.0000001, 1 + 1e-10]


@how_held.probe
def large_in_half(g):
    return list(LARGE), torch.float16


@how_held.probe
def all_in_half(g):
    return SMALL + NEAR, torch.float16


@how_held.probe
def all_in_bfloat(g):
    return LARGE + SMALL + NEAR, torch.bfloat16


@how_held.probe
def all_in_float(g):
    return LARGE + SMALL + NEAR, torch.float32


@how_held.alternative("The questions can be asked of the tensor.")
def made_at_once(value, dtype):
    there = torch.tensor(value, dtype=dtype)
    if there.isinf():
        return "overflows"
    if there.double().item() == value:
        return "exact"
    return "rounded" if there.double().abs().item() > 0 else "underflows"


@how_held.alternative("The smallest and the largest can be asked for by their strings.")
def by_its_text(value, dtype):
    text = str(torch.tensor([value], dtype=torch.float64).to(dtype).tolist()[0])
    if "inf" in text:
        return "overflows"
    if float(text) == value:
        return "exact"
    return "underflows" if float(text) == 0 else "rounded"


@how_held.alternative("Every value of a 16-bit format is also one of float32 and float64.")
def by_difference(value, dtype):
    error = torch.tensor(value, dtype=dtype).to(torch.float64) - value
    if not torch.isfinite(error):
        return "overflows"
    if error == 0:
        return "exact"
    return "underflows" if error == -value else "rounded"


@how_held.misconception(
    title="Compared with the largest number of the format",
    why="Numbers a little above the largest are rounded down to it: 65519 becomes 65504 in float16. Infinity begins half a gap further on.",
    next="Convert, and ask whether the result is infinite.",
    link="three-formats",
)
def above_the_largest(value, dtype):
    held = torch.tensor(value, dtype=dtype).item()
    if abs(value) > torch.finfo(dtype).max:
        return "overflows"
    if held == 0 and value != 0:
        return "underflows"
    return "exact" if held == value else "rounded"


@how_held.misconception(
    title="Below `finfo.tiny` nothing is left",
    why="`tiny` is the smallest number with full precision. Below it are the subnormal numbers, down to 6e-8 in float16, "
    "with fewer and fewer digits.",
    next="Convert, and ask whether the result is 0.",
    link="three-formats",
)
def below_tiny(value, dtype):
    held = torch.tensor(value, dtype=dtype).item()
    if math.isinf(held):
        return "overflows"
    if 0 < abs(value) < torch.finfo(dtype).tiny:
        return "underflows"
    return "exact" if held == value else "rounded"


@how_held.misconception(
    title="Negative numbers do not overflow",
    why="A large negative number becomes minus infinity. Equal to `inf` is only the positive one.",
    next="`math.isinf` knows both.",
    link="three-formats",
)
def only_plus_infinity(value, dtype):
    held = torch.tensor(value, dtype=dtype).item()
    if held == math.inf:
        return "overflows"
    if held == 0 and value != 0:
        return "underflows"
    return "exact" if held == value else "rounded"


@how_held.misconception(
    title="Compared with the number in float32",
    why="A tensor made of a Python float is float32: it has been rounded before you compare. 0.1 then looks exact, and a number that "
    "float32 cannot hold is lost before it is asked about.",
    next="Compare with the Python number that was given.",
    link="three-formats",
)
def compared_in_float32(value, dtype):
    start = torch.tensor(value)
    held = start.to(dtype).float()
    if held.isinf():
        return "overflows"
    if held == 0 and start != 0:
        return "underflows"
    return "exact" if held == start else "rounded"


@how_held.misconception(
    title="Compared with a tensor that had been rounded before",
    why="`torch.tensor(value)` is float32: a Python float has more digits, and what float32 drops is gone before you compare. "
    "Two rounded numbers can be equal where the given one is not.",
    next="Compare with the Python number that was given.",
    link="three-formats",
)
def compared_with_a_tensor(value, dtype):
    start = torch.tensor(value)
    held = start.to(dtype)
    if held.isinf():
        return "overflows"
    if held == 0 and value != 0:
        return "underflows"
    return "exact" if held == start else "rounded"


@how_held.misconception(
    title="Close was taken for exact",
    why="`math.isclose` was made to overlook rounding. Whether there is rounding is the question.",
    next="Compare with `==`.",
    link="three-formats",
)
def close_is_exact(value, dtype):
    held = torch.tensor(value, dtype=dtype).item()
    if math.isinf(held):
        return "overflows"
    if held == 0 and value != 0:
        return "underflows"
    return "exact" if math.isclose(held, value, rel_tol=1e-2) else "rounded"


@how_held.misconception(
    title="bfloat16 was taken for float16",
    why="Both have 16 bits and share them out differently. bfloat16 has the exponent of float32, so it holds 70000, roughly; float16 has "
    "three more digits after the point, in binary, and a small range.",
    next="Convert to the dtype that was given.",
    link="three-formats",
)
def always_half(value, dtype):
    dtype = torch.float32 if dtype == torch.float32 else torch.float16
    held = torch.tensor(value, dtype=dtype).item()
    if math.isinf(held):
        return "overflows"
    if held == 0 and value != 0:
        return "underflows"
    return "exact" if held == value else "rounded"


@how_held.misconception(
    title="Zero underflows",
    why="0 is a number of every format, and stays what it is. Only a number that was something can be lost.",
    next="Ask whether the value was 0 before.",
    link="three-formats",
)
def zero_underflows(value, dtype):
    held = torch.tensor(value, dtype=dtype).item()
    if math.isinf(held):
        return "overflows"
    if held == 0:
        return "underflows"
    return "exact" if held == value else "rounded"


# A training step in mixed precision ---------------------------------------------------------------


@exercise(
    level="independent",
    minutes=12,
    why="Forward and loss under autocast; scale, backward, unscale, clip, and let the scaler step and adapt.",
    hints=(
        "`torch.autocast` is a block that takes the type of the device and the dtype. It stands around the model and the loss, and around nothing else.",
        "The order with a scaler: `scale(loss)` and its `backward`, `unscale_(optimizer)`, clip, `scaler.step`, `scaler.update`.",
        "`nn.utils.clip_grad_norm_(parameters, max_norm)` clips by the norm of all gradients together.",
    ),
)
def train_step_amp(
    model: nn.Module,
    loss_fn,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    inputs: torch.Tensor,
    targets: torch.Tensor,
    dtype: torch.dtype,
    max_norm: float,
) -> float:
    """Train on one batch in mixed precision, with clipped gradients.

    model, loss_fn, optimizer: as in `train_step`; the model is in training mode and stays in it. The
    parameters are float32 and on the inputs' device. Their `.grad` may hold older gradients, which do
    not count.
    scaler: a GradScaler, which may be switched off (`enabled=False`); then its methods pass everything
    through, and the same lines are right.
    dtype: what autocast is to compute in; it covers the model and the loss, and not the backward.
    max_norm: the greatest norm of the true gradients (of all parameters together); longer ones are
    shortened to it, and shorter ones stay as they are. A scaler that is switched on leaves out a step
    whose gradients are infinite or NaN; leave that to it.
    Returns the loss as a float, not scaled. Let the scaler adapt its scale at the end.
    """
    # solution:
    optimizer.zero_grad()
    with torch.autocast(inputs.device.type, dtype=dtype):
        loss = loss_fn(model(inputs), targets)
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    scaler.step(optimizer)
    scaler.update()
    return loss.item()
    # end solution


@train_step_amp.drive
def three_batches(answer, model, criterion, optimizer, scaler, inputs, targets, dtype, max_norm):
    seen, notes = {}, []
    modes, covers = [], set()
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 0.25 * scaler.get_scale())

    def loss_fn(outputs, targets):
        if outputs.requires_grad:
            outputs.register_hook(lambda _: notes.append(torch.is_autocast_enabled("cpu")))
        modes.append(model.training)
        covers.update(kind for kind in KINDS if torch.is_autocast_enabled(kind))
        seen.setdefault("the model's output", outputs.dtype)
        loss = criterion(outputs, targets)
        seen.setdefault("the loss", loss.dtype)
        return loss

    outdated = left_on = False
    for turn, batch in enumerate(zip(inputs, targets, strict=True), start=1):
        with warnings.catch_warnings(record=True) as told_off:
            warnings.simplefilter("always")
            loss = answer(model, loss_fn, optimizer, scaler, *batch, dtype, max_norm)
        left_on = left_on or torch.is_autocast_enabled("cpu")
        torch.set_autocast_enabled("cpu", False)
        outdated |= any(issubclass(w.category, FutureWarning) for w in told_off)
        if any("Disabling autocast" in str(w.message) for w in told_off):
            covers.add("cuda")  # asked for, and PyTorch has none
        seen[f"what step {turn} returns"] = loss
        for name, parameter in model.named_parameters():
            seen[f"{name} after step {turn}"] = parameter.detach().clone()
        seen[f"the scale after step {turn}"] = scaler.get_scale()
    seen["autocast during the backward"] = any(notes)
    seen["autocast left on afterwards"] = left_on
    seen["always in training mode"] = all(modes) and model.training
    seen["a warning that a function is outdated"] = Extra(outdated)
    seen["the devices that autocast was for"] = Extra(
        "another" if covers - {"cpu"} else "the inputs'" if covers else "none"
    )
    return seen


KINDS = ("cpu", "cuda", "mps") if torch.backends.mps.is_available() else ("cpu", "cuda")


def in_training(model, scale, batches, dtype, max_norm):
    """Put a model's optimizer and scaler beside it, in the order of the answer's arguments."""
    scaler = torch.amp.GradScaler("cpu", init_scale=scale or 2.0, enabled=bool(scale))
    named = dict(model.named_parameters())
    kinds = [[p for name, p in named.items() if name.endswith(kind)] for kind in ("weight", "bias")]
    optimizer = torch.optim.SGD([{"params": kind} for kind in kinds], lr=0.5)
    inputs, targets = (list(column) for column in zip(*batches, strict=True))
    return model, F.cross_entropy, optimizer, scaler, inputs, targets, dtype, max_norm


def training_in_words(model, loss_fn, optimizer, scaler, inputs, targets, dtype, max_norm):
    count, rows = len(inputs), len(inputs[0])
    scale = f"began at {scaler.get_scale():g}" if scaler.is_enabled() else "was switched off"
    return (
        f"These were {count} steps on the {inputs[0].device.type}, with {rows} examples each and {optimizer!s:.3}; the scale {scale}, and "
        f"every `.grad` held {0.25 * scaler.get_scale():g} before the first."
    )


def batches_of(g, sizes, rows, broken=()):
    """Draw batches; in those that are broken the inputs are infinite."""
    made = []
    for turn in range(3):
        inputs = numbers(g, rows, sizes[0])
        targets = torch.randint(0, sizes[1], (rows,), generator=g)
        made.append((inputs / 0 if turn in broken else 3 * inputs, targets))
    return made


@train_step_amp.probe
def one_layer(g):
    model = fill(nn.Linear(3, 2), g)
    return in_training(model, 1024.0, batches_of(g, (3, 2), 4, {1}), torch.bfloat16, 0.75)


@train_step_amp.probe
def two_layers(g):
    model = fill(nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)), g)
    return in_training(model, 4096.0, batches_of(g, (4, 3), 6), torch.bfloat16, 0.5)


@train_step_amp.probe
def scaler_off(g):
    model = fill(nn.Linear(5, 4), g)
    return in_training(model, 0.0, batches_of(g, (5, 4), 3), torch.bfloat16, 0.6)


@train_step_amp.probe
def short_gradients(g):
    model = fill(nn.Linear(4, 3), g)
    return in_training(model, 256.0, batches_of(g, (4, 3), 5), torch.bfloat16, 60.0)


@train_step_amp.probe
def in_float16(g):
    model = fill(nn.Linear(6, 3), g)
    return in_training(model, 64.0, batches_of(g, (6, 3), 5, {0}), torch.float16, 0.4)


@train_step_amp.alternative("Old gradients may be cleared at any time before the backward.")
def cleared_later(model, loss_fn, optimizer, scaler, inputs, targets, dtype, max_norm):
    with torch.autocast(device_type=inputs.device.type, dtype=dtype, enabled=True):
        outputs = model(inputs)
        loss = loss_fn(outputs, targets)
    model.zero_grad(set_to_none=True)
    scaled = scaler.scale(loss)
    scaled.backward()
    scaler.unscale_(optimizer)
    torch.nn.utils.clip_grad_norm_(list(model.parameters()), max_norm=max_norm)
    scaler.step(optimizer)
    scaler.update()
    return float(loss)


@train_step_amp.alternative("Clipping by hand.")
def clipped_by_hand(model, loss_fn, optimizer, scaler, inputs, targets, dtype, max_norm):
    with torch.amp.autocast(inputs.device.type, dtype):
        loss = loss_fn(model(inputs), targets)
    optimizer.zero_grad(set_to_none=False)
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    norm = torch.stack([p.grad.norm() for p in model.parameters()]).norm()
    for p in model.parameters():
        p.grad *= (max_norm / (norm + 1e-6)).clamp(max=1.0)
    scaler.step(optimizer)
    scaler.update()
    return loss.detach().cpu().item()


@train_step_amp.alternative("The gradients can be cleared at the end, if also at the beginning.")
def cleared_twice(model, loss_fn, optimizer, scaler, inputs, targets, dtype, max_norm):
    optimizer.zero_grad()
    autocast = torch.autocast(inputs.device.type, dtype=dtype)
    autocast.__enter__()
    try:
        loss = loss_fn(model(inputs), targets)
    finally:
        autocast.__exit__(None, None, None)
    torch.autograd.backward(scaler.scale(loss))
    scaler.unscale_(optimizer)
    nn.utils.clip_grad_norm_([p for g in optimizer.param_groups for p in g["params"]], max_norm)
    scaler.step(optimizer)
    scaler.update()
    optimizer.zero_grad()
    return loss.item()


@train_step_amp.misconception(
    title="Clipped while the gradients were still scaled",
    why="The gradients were larger than they are by the scale, often 65536. Clipped to `max_norm` and then divided by the scale, hardly anything is left of the step, and no message says so.",
    next="Divide the gradients by the scale first: `unscale_`.",
    link="the-order-with-a-scaler",
    evidence=training_in_words,
)
def clipped_while_scaled(model, loss_fn, optimizer, scaler, inputs, targets, dtype, max_norm):
    optimizer.zero_grad()
    with torch.autocast(inputs.device.type, dtype=dtype):
        loss = loss_fn(model(inputs), targets)
    scaler.scale(loss).backward()
    nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    scaler.update()
    return loss.item()


@train_step_amp.misconception(
    title="The step was taken with gradients that were not clipped",
    why="Clipping writes into the gradients. If it is missing, or comes after the step, the parameters move by the whole gradient.",
    next="Clip between `unscale_` and the step.",
    link="the-order-with-a-scaler",
    evidence=training_in_words,
)
def clipped_after_the_step(model, loss_fn, optimizer, scaler, inputs, targets, dtype, max_norm):
    optimizer.zero_grad()
    with torch.autocast(inputs.device.type, dtype=dtype):
        loss = loss_fn(model(inputs), targets)
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    scaler.update()
    return loss.item()


@train_step_amp.misconception(
    title="The loss was not scaled",
    why="Its gradients are then divided by a scale that they were never multiplied by, and the step is that much too short.",
    next="Go backward from `scaler.scale(loss)`.",
    link="the-order-with-a-scaler",
    evidence=training_in_words,
)
def loss_not_scaled(model, loss_fn, optimizer, scaler, inputs, targets, dtype, max_norm):
    optimizer.zero_grad()
    with torch.autocast(inputs.device.type, dtype=dtype):
        loss = loss_fn(model(inputs), targets)
    scaler.scale(loss)
    loss.backward()
    scaler.unscale_(optimizer)
    nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    scaler.step(optimizer)
    scaler.update()
    return loss.item()


@train_step_amp.misconception(
    title="The optimizer steps without asking the scaler",
    why="The scaler leaves a step out when a gradient is infinite or NaN. Without it, one such batch makes every parameter NaN.",
    next="Let the scaler take the step.",
    link="the-order-with-a-scaler",
    evidence=training_in_words,
)
def optimizer_steps_itself(model, loss_fn, optimizer, scaler, inputs, targets, dtype, max_norm):
    optimizer.zero_grad()
    with torch.autocast(inputs.device.type, dtype=dtype):
        loss = loss_fn(model(inputs), targets)
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    scaler.update()
    return loss.item()


@train_step_amp.misconception(
    title="`scaler.update()` is missing",
    why="The scale stays as it is after an overflow, and the scaler does not learn that a new step has begun.",
    next="End the step with `scaler.update()`.",
    link="the-order-with-a-scaler",
    evidence=training_in_words,
)
def scale_never_adapts(model, loss_fn, optimizer, scaler, inputs, targets, dtype, max_norm):
    optimizer.zero_grad()
    with torch.autocast(inputs.device.type, dtype=dtype):
        loss = loss_fn(model(inputs), targets)
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    scaler.step(optimizer)
    return loss.item()


@train_step_amp.misconception(
    title="The model runs outside autocast",
    why="Autocast acts while the operations run. Here only the loss is left for it, and the layers compute in float32 as before.",
    next="Put the call of the model into the `with` block.",
    link="autocast",
    evidence=training_in_words,
)
def forward_in_float32(model, loss_fn, optimizer, scaler, inputs, targets, dtype, max_norm):
    optimizer.zero_grad()
    outputs = model(inputs)
    with torch.autocast(inputs.device.type, dtype=dtype):
        loss = loss_fn(outputs, targets)
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    scaler.step(optimizer)
    scaler.update()
    return loss.item()


@train_step_amp.misconception(
    title="The loss is computed outside autocast",
    why="Autocast computes losses in float32, because they sum up. Outside of it the loss takes what the model gave, here 16 bits.",
    next="Put the loss into the `with` block as well.",
    link="autocast",
    evidence=training_in_words,
)
def loss_in_low_precision(model, loss_fn, optimizer, scaler, inputs, targets, dtype, max_norm):
    optimizer.zero_grad()
    with torch.autocast(inputs.device.type, dtype=dtype):
        outputs = model(inputs)
    loss = loss_fn(outputs, targets)
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    scaler.step(optimizer)
    scaler.update()
    return loss.item()


@train_step_amp.misconception(
    title="The backward runs under autocast, too",
    why="Each operation goes backward in the precision that it had going forward. Autocast in the backward adds casts that nobody chose; PyTorch advises against it.",
    next="End the `with` block after the loss.",
    link="autocast",
    evidence=training_in_words,
)
def backward_in_autocast(model, loss_fn, optimizer, scaler, inputs, targets, dtype, max_norm):
    optimizer.zero_grad()
    with torch.autocast(inputs.device.type, dtype=dtype):
        loss = loss_fn(model(inputs), targets)
        scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    scaler.step(optimizer)
    scaler.update()
    return loss.item()


@train_step_amp.misconception(
    title="The old gradients were not cleared",
    why="The new gradients are added to the old ones, as in every training step.",
    next="Clear them before the backward.",
    link="the-order-with-a-scaler",
    evidence=training_in_words,
)
def older_gradients_kept(model, loss_fn, optimizer, scaler, inputs, targets, dtype, max_norm):
    with torch.autocast(inputs.device.type, dtype=dtype):
        loss = loss_fn(model(inputs), targets)
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    scaler.step(optimizer)
    scaler.update()
    return loss.item()


@train_step_amp.misconception(
    title="The scaled loss was returned",
    why="The number is the loss times the scale: it jumps whenever the scale adapts.",
    next="Return the loss itself.",
    link="the-order-with-a-scaler",
    evidence=training_in_words,
)
def scaled_loss_returned(model, loss_fn, optimizer, scaler, inputs, targets, dtype, max_norm):
    optimizer.zero_grad()
    with torch.autocast(inputs.device.type, dtype=dtype):
        loss = loss_fn(model(inputs), targets)
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    scaler.step(optimizer)
    scaler.update()
    return scaler.scale(loss).item()


@train_step_amp.misconception(
    title="Autocast is told another device than the inputs'",
    why="Autocast covers the operations of the one kind of device that it is told. The inputs of the check are on the CPU: an autocast for "
    "another device covers nothing there, and the layers compute in float32.",
    next="Ask the inputs where they are, and tell autocast the type of that device.",
    link="autocast",
    evidence=training_in_words,
)
def autocast_for_cuda(model, loss_fn, optimizer, scaler, inputs, targets, dtype, max_norm):
    optimizer.zero_grad()
    with torch.autocast("cuda", dtype=dtype):
        loss = loss_fn(model(inputs), targets)
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    scaler.step(optimizer)
    scaler.update()
    return loss.item()


@train_step_amp.misconception(
    title="Nothing runs under autocast",
    why="The scaler alone changes no format: it multiplies the loss, and divides the gradients. What runs in 16 bits, autocast decides, and it "
    "is off when the loss is computed.",
    next="Put the model and the loss under `torch.autocast`.",
    link="autocast",
    evidence=training_in_words,
)
def without_autocast(model, loss_fn, optimizer, scaler, inputs, targets, dtype, max_norm):
    optimizer.zero_grad()
    loss = loss_fn(model(inputs), targets)
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    scaler.step(optimizer)
    scaler.update()
    return loss.item()


@train_step_amp.misconception(
    title="CUDA's autocast, by its old name",
    why="`torch.cuda.amp.autocast` is for CUDA alone, whatever device you train on: elsewhere it covers nothing, and the layers compute "
    "in float32. PyTorch has given it up, and says so in a warning.",
    next="Use `torch.autocast`, and tell it the type of the inputs' device.",
    link="autocast",
    evidence=training_in_words,
)
def autocast_by_its_old_name(model, loss_fn, optimizer, scaler, inputs, targets, dtype, max_norm):
    optimizer.zero_grad()
    with torch.cuda.amp.autocast(dtype=dtype):
        loss = loss_fn(model(inputs), targets)
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    scaler.step(optimizer)
    scaler.update()
    return loss.item()


@train_step_amp.misconception(
    title="A new scaler for every step",
    why="A scaler learns from step to step how large the scale may be. A new one has learned nothing: after each overflow it begins "
    "with the scale that overflowed, and the caller's scaler never hears of it.",
    next="Use the scaler that you are given.",
    link="the-order-with-a-scaler",
    evidence=training_in_words,
)
def new_scaler_every_step(model, loss_fn, optimizer, scaler, inputs, targets, dtype, max_norm):
    scaler = torch.amp.GradScaler(inputs.device.type)
    optimizer.zero_grad()
    with torch.autocast(inputs.device.type, dtype=dtype):
        loss = loss_fn(model(inputs), targets)
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    scaler.step(optimizer)
    scaler.update()
    return loss.item()


# Memory by hand ---------------------------------------------------------------------------------


@exercise(
    level="supported",
    minutes=10,
    why="Each number takes its format's bytes: gradients for what is trained, two moments each, and every layer's output.",
    hints=(
        "`tensor.numel() * tensor.element_size()` is the number of bytes of a tensor.",
        "A parameter with `requires_grad=False` gets no gradient and no moments.",
        "A forward hook on every module without children sees each output; remove the hooks at the end.",
    ),
)
def training_memory(model: nn.Module, batch: torch.Tensor) -> dict:
    """Compute by hand how many bytes a training step with Adam needs, by what they are for.

    model: any module whose layers (the modules without modules inside) each return one tensor; some of
    its parameters may be frozen (`requires_grad=False`).
    batch: its input.
    Returns a dict of whole numbers (int) of bytes:
    "parameters": all parameters; one that several layers share is there once. "gradients": as many bytes as the parameters that are trained.
    "moments": Adam's two numbers for each trained one, in the same format. "activations": the outputs of
    all layers when the model runs once on the batch; a layer that runs twice counts twice.
    Afterwards the model has the hooks that it had and no others, the same mode, and no new gradients.
    What a layer notes of a run by itself, such as BatchNorm's running statistics, may change.
    """

    # solution:
    def size(tensor):
        return tensor.numel() * tensor.element_size()

    outputs = []
    layers = [module for module in model.modules() if not list(module.children())]
    hooks = [
        layer.register_forward_hook(lambda _, __, output: outputs.append(size(output)))
        for layer in layers
    ]
    model(batch)
    for hook in hooks:
        hook.remove()
    trained = sum(size(p) for p in model.parameters() if p.requires_grad)
    return {
        "parameters": sum(size(p) for p in model.parameters()),
        "gradients": trained,
        "moments": 2 * trained,
        "activations": sum(outputs),
    }
    # end solution


@training_memory.drive
def add_up(answer, model, batch):
    for module in model.modules():
        module.register_forward_hook(lambda *_: None)  # somebody else's
    before, modes = hooks_of(model), [module.training for module in model.modules()]
    result = answer(model, batch)
    whole_numbers = isinstance(result, dict) and all(type(n) is int for n in result.values())
    if isinstance(result, dict):
        result = {key: result[key] for key in sorted(result, key=str)}
    after, everywhere = hooks_of(model), nn.modules.module._global_forward_hooks
    fewer, more = len(before - after), len(after - before) + len(everywhere)
    everywhere.clear()
    changed = modes != [module.training for module in model.modules()]
    return {
        "result": result,
        "all of them whole numbers": whole_numbers,
        "hooks": f"{more} new, {fewer} removed" if more or fewer else "as before",
        "the model's mode": "changed" if changed else "as before",
        "new gradients": sum(p.grad is not None for p in model.parameters()),
    }


def hooks_of(model):
    """Collect all forward hooks of a model, each with its module."""
    return {(id(module), key) for module in model.modules() for key in module._forward_hooks}


def layers_in_words(model, batch):
    layers = [
        f"`{layer}`" + " (frozen)" * any(not p.requires_grad for p in layer.parameters())
        for _, layer in model.named_modules(remove_duplicate=False)
        if not list(layer.children())
    ]
    kind = str(batch.dtype).removeprefix("torch.")
    return f"The model's layers, in {kind}: {', '.join(layers)}."


class FirstTwo(nn.Module):
    """A layer whose output is a part of its input, in the same memory."""

    def forward(self, x):
        return x[:, :2]


@training_memory.probe
def half_frozen(g):
    model = fill(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)), g)
    model[0].requires_grad_(False)
    return model, numbers(g, 5, 3)


@training_memory.probe
def in_double(g):
    block = nn.Sequential(nn.Linear(6, 2), nn.Tanh())
    model = nn.Sequential(nn.Linear(4, 6, bias=False), block, nn.Linear(2, 3)).double()
    return model, numbers(g, 7, 4).double()


@training_memory.probe
def twice_the_same(g):
    layer = nn.Linear(4, 4)
    return nn.Sequential(layer, nn.ReLU(), layer, nn.Linear(4, 9)), numbers(g, 3, 4)


@training_memory.probe
def a_layer_alone(g):
    return nn.Linear(5, 3), numbers(g, 4, 5)


@training_memory.probe
def shared_weight(g):
    first, second = nn.Linear(4, 4), nn.Linear(4, 4)
    second.weight = first.weight
    return nn.Sequential(first, second, FirstTwo(), nn.Dropout(0.5)).eval(), numbers(g, 3, 4)


@training_memory.alternative("`nbytes` is the same product.")
def with_nbytes(model, batch):
    seen = []

    def note(module, inputs, output):
        seen.append(output.nbytes)

    handles = [m.register_forward_hook(note) for m in model.modules() if len(m._modules) == 0]
    try:
        with torch.no_grad():
            model(batch)
    finally:
        for handle in handles:
            handle.remove()
    trained = sum(p.nbytes for p in filter(lambda p: p.requires_grad, model.parameters()))
    everything = sum(p.nbytes for p in model.parameters())
    return dict(
        activations=sum(seen), moments=trained * 2, gradients=trained, parameters=everything
    )


@training_memory.alternative("A hook for all modules of the program.")
def with_a_global_hook(model, batch):
    counts = {"parameters": 0, "gradients": 0, "moments": 0, "activations": 0}

    def note(module, inputs, output):
        if next(module.children(), None) is None:
            counts["activations"] += output.numel() * output.dtype.itemsize

    with torch.nn.modules.module.register_module_forward_hook(note):
        model(batch)
    for p in model.parameters():
        counts["parameters"] += p.numel() * p.dtype.itemsize
        if p.requires_grad:
            counts["gradients"] += p.numel() * p.dtype.itemsize
    counts["moments"] = counts["gradients"] + counts["gradients"]
    return counts


@training_memory.alternative("The hooks can be removed by a closing `with`.")
def with_an_exit_stack(model, batch):
    sizes = []
    with ExitStack() as stack:
        for module in set(model.modules()):
            if not [*module.children()]:
                stack.enter_context(
                    module.register_forward_hook(
                        lambda m, i, o: sizes.append(o.nelement() * o.element_size())
                    )
                )
        model(batch)
    all_bytes = [(p.requires_grad, p.numel() * p.element_size()) for p in model.parameters()]
    trained = sum(size for needed, size in all_bytes if needed)
    return {
        "activations": sum(sizes),
        "gradients": trained,
        "moments": trained * 2,
        "parameters": sum(size for _, size in all_bytes),
    }


@training_memory.misconception(
    title="Numbers were counted, not bytes",
    why="A float32 takes four bytes, a float16 two, a float64 eight.",
    next="Multiply by `element_size()`.",
    link="where-the-memory-goes",
    evidence=layers_in_words,
)
def numbers_not_bytes(model, batch):
    def size(tensor):
        return tensor.numel()

    outputs = []
    layers = [module for module in model.modules() if not list(module.children())]
    hooks = [
        layer.register_forward_hook(lambda _, __, output: outputs.append(size(output)))
        for layer in layers
    ]
    model(batch)
    for hook in hooks:
        hook.remove()
    trained = sum(size(p) for p in model.parameters() if p.requires_grad)
    return {
        "parameters": sum(size(p) for p in model.parameters()),
        "gradients": trained,
        "moments": 2 * trained,
        "activations": sum(outputs),
    }


@training_memory.misconception(
    title="Every number was given four bytes",
    why="That is float32. A model in float64 takes twice as much, one in bfloat16 half.",
    next="Ask the tensor for its `element_size()`.",
    link="where-the-memory-goes",
    evidence=layers_in_words,
)
def always_four_bytes(model, batch):
    def size(tensor):
        return 4 * tensor.numel()

    outputs = []
    layers = [module for module in model.modules() if not list(module.children())]
    hooks = [
        layer.register_forward_hook(lambda _, __, output: outputs.append(size(output)))
        for layer in layers
    ]
    model(batch)
    for hook in hooks:
        hook.remove()
    trained = sum(size(p) for p in model.parameters() if p.requires_grad)
    return {
        "parameters": sum(size(p) for p in model.parameters()),
        "gradients": trained,
        "moments": 2 * trained,
        "activations": sum(outputs),
    }


@training_memory.misconception(
    title="Frozen parameters were given gradients",
    why="Autograd keeps no gradient for a parameter with `requires_grad=False`, and the optimizer no moments. That is half of what freezing is for.",
    next="Count only parameters that are trained.",
    link="where-the-memory-goes",
    evidence=layers_in_words,
)
def frozen_ones_too(model, batch):
    def size(tensor):
        return tensor.numel() * tensor.element_size()

    outputs = []
    layers = [module for module in model.modules() if not list(module.children())]
    hooks = [
        layer.register_forward_hook(lambda _, __, output: outputs.append(size(output)))
        for layer in layers
    ]
    model(batch)
    for hook in hooks:
        hook.remove()
    trained = sum(size(p) for p in model.parameters())
    return {
        "parameters": sum(size(p) for p in model.parameters()),
        "gradients": trained,
        "moments": 2 * trained,
        "activations": sum(outputs),
    }


@training_memory.misconception(
    title="Adam was given one number for each parameter",
    why="Adam keeps two: the mean of the gradients and the mean of their squares. Momentum keeps one.",
    next="Count two.",
    link="where-the-memory-goes",
    evidence=layers_in_words,
)
def one_moment(model, batch):
    def size(tensor):
        return tensor.numel() * tensor.element_size()

    outputs = []
    layers = [module for module in model.modules() if not list(module.children())]
    hooks = [
        layer.register_forward_hook(lambda _, __, output: outputs.append(size(output)))
        for layer in layers
    ]
    model(batch)
    for hook in hooks:
        hook.remove()
    trained = sum(size(p) for p in model.parameters() if p.requires_grad)
    return {
        "parameters": sum(size(p) for p in model.parameters()),
        "gradients": trained,
        "moments": trained,
        "activations": sum(outputs),
    }


@training_memory.misconception(
    title="Blocks were counted beside their layers",
    why="A Sequential returns what its last layer returned: the same tensor, counted again for every level around it.",
    next="Hook only modules without children.",
    link="where-the-memory-goes",
    evidence=layers_in_words,
)
def containers_too(model, batch):
    def size(tensor):
        return tensor.numel() * tensor.element_size()

    outputs = []
    layers = list(model.modules())
    hooks = [
        layer.register_forward_hook(lambda _, __, output: outputs.append(size(output)))
        for layer in layers
    ]
    model(batch)
    for hook in hooks:
        hook.remove()
    trained = sum(size(p) for p in model.parameters() if p.requires_grad)
    return {
        "parameters": sum(size(p) for p in model.parameters()),
        "gradients": trained,
        "moments": 2 * trained,
        "activations": sum(outputs),
    }


@training_memory.misconception(
    title="Only the outermost blocks were counted",
    why="The outputs of the layers inside a block are kept for the backward as well.",
    next="Go through all modules, at every depth.",
    link="where-the-memory-goes",
    evidence=layers_in_words,
)
def top_level_only(model, batch):
    def size(tensor):
        return tensor.numel() * tensor.element_size()

    outputs = []
    layers = list(model.children())
    hooks = [
        layer.register_forward_hook(lambda _, __, output: outputs.append(size(output)))
        for layer in layers
    ]
    model(batch)
    for hook in hooks:
        hook.remove()
    trained = sum(size(p) for p in model.parameters() if p.requires_grad)
    return {
        "parameters": sum(size(p) for p in model.parameters()),
        "gradients": trained,
        "moments": 2 * trained,
        "activations": sum(outputs),
    }


@training_memory.misconception(
    title="The activations of one example",
    why="Each example of a batch has activations of its own. They are what grows with the batch, and the reason that a smaller batch fits.",
    next="Run the model on the whole batch.",
    link="where-the-memory-goes",
    evidence=layers_in_words,
)
def for_one_example(model, batch):
    def size(tensor):
        return tensor.numel() * tensor.element_size()

    outputs = []
    layers = [module for module in model.modules() if not list(module.children())]
    hooks = [
        layer.register_forward_hook(lambda _, __, output: outputs.append(size(output)))
        for layer in layers
    ]
    model(batch[:1])
    for hook in hooks:
        hook.remove()
    trained = sum(size(p) for p in model.parameters() if p.requires_grad)
    return {
        "parameters": sum(size(p) for p in model.parameters()),
        "gradients": trained,
        "moments": 2 * trained,
        "activations": sum(outputs),
    }


@training_memory.misconception(
    title="The hooks were left in the model",
    why="The numbers are right. At each later run the hooks go on adding to a list that nobody reads.",
    next="Remove them after the run.",
    link="where-the-memory-goes",
    shows="hooks",
    evidence=layers_in_words,
)
def hooks_stay(model, batch):
    def size(tensor):
        return tensor.numel() * tensor.element_size()

    outputs = []
    layers = [module for module in model.modules() if not list(module.children())]
    for layer in layers:
        layer.register_forward_hook(lambda _, __, output: outputs.append(size(output)))
    model(batch)
    trained = sum(size(p) for p in model.parameters() if p.requires_grad)
    return {
        "parameters": sum(size(p) for p in model.parameters()),
        "gradients": trained,
        "moments": 2 * trained,
        "activations": sum(outputs),
    }


# Memory, read from the device ---------------------------------------------------------------------


@exercise(
    level="supported",
    minutes=7,
    why="The device that was handed in decides what is asked; the CPU is asked nothing.",
    hints=(
        "`device.type` is the text by which to choose. Whether the machine *has* a GPU is another question.",
        "The functions of `torch.cuda` that read memory take the device as an argument; without it they "
        "speak of the current GPU.",
        "`torch.cuda.get_device_properties(device)` describes a GPU. On a machine that has one, "
        "`dir(…)` lists what it knows; the documentation does so on any machine.",
    ),
)
def memory_report(device: torch.device) -> dict:
    """Read how many bytes of a device's memory are taken.

    device: where a training runs: of type "cuda", with or without a number, "mps" or "cpu". The machine
    has it, and may have more devices, of this type and of others.
    Returns a dict of whole numbers of bytes.
    On CUDA: "now", what tensors take at the moment; "most", the most that they took at one time so far;
    "total", how much memory this GPU has. All three are about the given GPU.
    On MPS: "now" alone. On the CPU: an empty dict.
    The check plays several machines: it decides what `torch.cuda` and `torch.mps` answer.
    """
    # solution:
    kind = device.type
    if kind == "cuda":
        return {
            "now": torch.cuda.memory_allocated(device),
            "most": torch.cuda.max_memory_allocated(device),
            "total": torch.cuda.get_device_properties(device).total_memory,
        }
    if kind == "mps":
        return {"now": torch.mps.current_allocated_memory()}
    return {}
    # end solution


GPUS = (
    {"now": 7_340_032, "most": 9_437_184, "reserved": 23_068_672, "total": 8_589_934_592},
    {"now": 3_145_728, "most": 5_242_880, "reserved": 12_582_912, "total": 17_179_869_184},
)
ON_THE_MAC = {"now": 1_572_864, "reserved": 4_194_304, "total": 11_453_251_584}


class PlayedGpus:
    """What `torch.cuda` answers about memory on a machine with some GPUs, or with none."""

    def __init__(self, count):
        self.count = count
        self.current = 0

    def gpu(self, device=None):
        """Find the GPU that is meant, as `torch.cuda` does: none named is the current one."""
        if not self.count:
            raise AssertionError("Torch not compiled with CUDA enabled")
        if not isinstance(device, int | None):
            device = torch.device(device)
            if device.type != "cuda":
                raise ValueError(f"Expected a cuda device, but got: {device}")
            device = device.index
        index = self.current if device is None else device
        if not 0 <= index < self.count:
            raise AssertionError("Invalid device id")
        return GPUS[index]

    def number(self, name):
        """Make the function that reads one number; without a GPU the real ones answer 0."""
        return lambda device=None: self.gpu(device)[name] if self.count else 0

    def properties(self, device=None):
        """Describe a GPU under the names that the real description has, and no others."""
        gpu = self.gpu(device)
        known = {"name": "a played GPU", "major": 8, "minor": 0, "multi_processor_count": 40}
        return type("_CudaDeviceProperties", (), known | {"total_memory": gpu["total"]})()

    def info(self, device=None):
        """Give the free and the whole memory."""
        gpu = self.gpu(device)
        return gpu["total"] - gpu["reserved"] - 4_194_304, gpu["total"]

    def stats(self, device=None):
        """Give the dictionary that the single numbers come from."""
        if not self.count:
            return {}
        gpu = self.gpu(device)
        return {
            "allocated_bytes.all.current": gpu["now"],
            "allocated_bytes.all.peak": gpu["most"],
            "reserved_bytes.all.current": gpu["reserved"],
            "reserved_bytes.all.peak": gpu["reserved"],
        }

    def device(self, device):
        """Make another GPU the current one for the length of a `with` block."""
        stack = ExitStack()
        stack.callback(setattr, self, "current", self.current)
        self.set(device)
        return stack

    def set(self, device):
        """Make another GPU the current one."""
        self.current = GPUS.index(self.gpu(device))


def playing_memory(gpus, mac):
    """Let PyTorch's questions about memory be answered as on another machine."""
    played, cuda = ExitStack(), PlayedGpus(gpus)

    def mps(name):
        if not mac:
            raise RuntimeError("Cannot execute this without MPS backend.")
        return ON_THE_MAC[name]

    answers = {
        torch.cuda: {
            "is_available": lambda: gpus > 0,
            "device_count": lambda: gpus,
            "current_device": lambda: GPUS.index(cuda.gpu()),
            "memory_allocated": cuda.number("now"),
            "max_memory_allocated": cuda.number("most"),
            "memory_reserved": cuda.number("reserved"),
            "max_memory_reserved": cuda.number("reserved"),
            "get_device_properties": cuda.properties,
            "mem_get_info": cuda.info,
            "memory_stats": cuda.stats,
            "device": cuda.device,
            "set_device": cuda.set,
            "synchronize": cuda.gpu,
        },
        torch.mps: {
            "current_allocated_memory": lambda: mps("now"),
            "driver_allocated_memory": lambda: mps("reserved"),
            "recommended_max_memory": lambda: mps("total"),
        },
        torch.backends.mps: {"is_available": lambda: mac},
    }
    answers[torch.cuda.memory] = {
        name: answers[torch.cuda][name] for name in answers[torch.cuda] if "mem" in name
    }
    if hasattr(torch, "accelerator"):
        answers[torch.accelerator] = {
            "is_available": lambda: mac or gpus > 0,
            "memory_allocated": lambda device=None: mps("now") if mac else cuda.gpu(device)["now"],
            "max_memory_allocated": lambda device=None: cuda.gpu(device)["most"],
            "get_memory_info": cuda.info,
        }
    for module, functions in answers.items():
        for name, function in functions.items():
            played.enter_context(mock.patch.object(module, name, function, create=True))
    return played


@memory_report.drive
def read_on_several_machines(answer, machines):
    seen = {}
    for name, (device, gpus, mac) in machines.items():
        with playing_memory(gpus, mac):
            try:
                result = answer(torch.device(device))
            except Exception as error:
                result = f"{type(error).__name__}: {error}"
        if isinstance(result, dict):
            result = ", ".join(f"{key}: {result[key]!r}" for key in sorted(result, key=str))
            result = f"dict({result})"
        seen[f"the report for {device} on {name}"] = (
            result if isinstance(result, str) else repr(result)
        )
    return seen


ONE = {"a machine with one GPU": ("cuda", 1, False)}
NONE = {"a machine without a GPU": ("cpu", 0, False)}
TWO = {"a machine with two GPUs": ("cuda:1", 2, False)}
MAC = {"a Mac": ("mps", 0, True)}
UNUSED = {"a machine whose GPU is not used": ("cpu", 1, False)}


@memory_report.probe
def the_usual_two(g):
    return (ONE | NONE,)


@memory_report.probe
def the_unusual_ones(g):
    return (TWO | UNUSED,)


@memory_report.probe
def with_a_mac(g):
    return (MAC | ONE | UNUSED,)


@memory_report.probe
def every_machine(g):
    return (NONE | ONE | TWO | MAC | UNUSED,)


@memory_report.alternative("All of it stands in the statistics, too.")
def from_the_statistics(device):
    kind = torch.device(device).type
    if kind == "cpu":
        return {}
    if kind == "mps":
        return dict(now=torch.mps.current_allocated_memory())
    stats = torch.cuda.memory_stats(device)
    _, total = torch.cuda.mem_get_info(device)
    now, most = (stats[f"allocated_bytes.all.{what}"] for what in ("current", "peak"))
    return dict(total=total, most=most, now=now)


@memory_report.alternative("The GPU can be made the current one, and is then meant without a name.")
def as_the_current_one(device):
    report = {}
    if device.type == "mps":
        report["now"] = torch.mps.current_allocated_memory()
    elif device.type == "cuda":
        with torch.cuda.device(device):
            report["now"] = torch.cuda.memory_allocated()
            report["most"] = torch.cuda.max_memory_allocated()
        report["total"] = torch.cuda.mem_get_info(device)[1]
    return report


@memory_report.alternative("The number of the GPU does as well as the device.")
def by_its_number(device):
    if str(device).startswith("cuda"):
        i = device.index if device.index is not None else torch.cuda.current_device()
        gpu = torch.cuda.get_device_properties(i)
        now, most = torch.cuda.memory_allocated(i), torch.cuda.max_memory_allocated(i)
        return {"now": now, "most": most, "total": gpu.total_memory}
    return {"now": torch.mps.current_allocated_memory()} if device.type == "mps" else {}


@memory_report.misconception(
    title="`total_mem` is no property of a GPU",
    why="It is called `total_memory`. Python looks up a name when its line runs, and this line runs where there is CUDA and "
    "nowhere else: on your own machine and in tests without a GPU it looks right for ever.",
    next="Look the name up. What your tests never run has to be checked in another way.",
    link="where-the-memory-goes",
)
def a_name_never_tried(device):
    if device.type == "cuda":
        return {
            "now": torch.cuda.memory_allocated(device),
            "most": torch.cuda.max_memory_allocated(device),
            "total": torch.cuda.get_device_properties(device).total_mem,
        }
    if device.type == "mps":
        return {"now": torch.mps.current_allocated_memory()}
    return {}


@memory_report.misconception(
    title="CUDA is asked on every machine",
    why="Without CUDA there is no GPU whose properties could be read. Some of these functions answer 0 there and some end in an "
    "error, so the one kind hides the other.",
    next="Look at `device.type` first.",
    link="where-the-memory-goes",
)
def asked_everywhere(device):
    return {
        "now": torch.cuda.memory_allocated(device if device.type == "cuda" else None),
        "most": torch.cuda.max_memory_allocated(device if device.type == "cuda" else None),
        "total": torch.cuda.get_device_properties(
            device if device.type == "cuda" else 0
        ).total_memory,
    }


@memory_report.misconception(
    title="The machine was asked, not the device",
    why="`torch.cuda.is_available()` says that there is a GPU. Whether this training runs on it, the device says.",
    next="Choose by `device.type`.",
    link="where-the-memory-goes",
)
def by_what_there_is(device):
    if torch.cuda.is_available():
        if device.type != "cuda":
            device = torch.device("cuda")
        return {
            "now": torch.cuda.memory_allocated(device),
            "most": torch.cuda.max_memory_allocated(device),
            "total": torch.cuda.get_device_properties(device).total_memory,
        }
    if torch.backends.mps.is_available():
        return {"now": torch.mps.current_allocated_memory()}
    return {}


@memory_report.misconception(
    title="`torch.cuda` is asked about another kind of device",
    why="`torch.cuda.is_available()` says that the machine has a GPU. The training may run on the CPU all the same. Its device is then "
    "handed to functions that know CUDA's devices only.",
    next="Choose by `device.type`.",
    link="where-the-memory-goes",
)
def asked_about_the_cpu(device):
    if torch.cuda.is_available():
        return {
            "now": torch.cuda.memory_allocated(device),
            "most": torch.cuda.max_memory_allocated(device),
            "total": torch.cuda.get_device_properties(device).total_memory,
        }
    if torch.backends.mps.is_available():
        return {"now": torch.mps.current_allocated_memory()}
    return {}


@memory_report.misconception(
    title="All that is not free was taken for tensors",
    why="`mem_get_info` speaks of the whole GPU. What is not free there holds also what PyTorch has reserved beyond its tensors, and what "
    "other programs use.",
    next="Ask PyTorch what its tensors take: what is allocated.",
    link="where-the-memory-goes",
)
def all_that_is_not_free(device):
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        most = torch.cuda.max_memory_allocated(device)
        return {"now": total - free, "most": most, "total": total}
    if device.type == "mps":
        return {"now": torch.mps.current_allocated_memory()}
    return {}


@memory_report.misconception(
    title="Reserved was taken for allocated",
    why="PyTorch keeps memory that tensors have given back, to be quick with the next one. `memory_reserved` counts that too: it is what "
    "other programs cannot have, and not what your tensors take.",
    next="Read what is allocated.",
    link="where-the-memory-goes",
)
def what_is_reserved(device):
    if device.type == "cuda":
        return {
            "now": torch.cuda.memory_reserved(device),
            "most": torch.cuda.max_memory_reserved(device),
            "total": torch.cuda.get_device_properties(device).total_memory,
        }
    if device.type == "mps":
        return {"now": torch.mps.driver_allocated_memory()}
    return {}


@memory_report.misconception(
    title="Always the first GPU",
    why="Without an argument these functions speak of the current GPU, which is number 0 until you say otherwise. Your "
    "tensors are on another.",
    next="Hand the device on.",
    link="where-the-memory-goes",
)
def always_the_first(device):
    if device.type == "cuda":
        return {
            "now": torch.cuda.memory_allocated(),
            "most": torch.cuda.max_memory_allocated(),
            "total": torch.cuda.get_device_properties(0).total_memory,
        }
    if device.type == "mps":
        return {"now": torch.mps.current_allocated_memory()}
    return {}


@memory_report.misconception(
    title="What is free was taken for the total",
    why="`mem_get_info` returns two numbers, first what is free, then what there is. The first shrinks as programs use the GPU.",
    next="Take the second number, or ask for the GPU's properties.",
    link="where-the-memory-goes",
)
def what_is_free(device):
    if device.type == "cuda":
        return {
            "now": torch.cuda.memory_allocated(device),
            "most": torch.cuda.max_memory_allocated(device),
            "total": torch.cuda.mem_get_info(device)[0],
        }
    if device.type == "mps":
        return {"now": torch.mps.current_allocated_memory()}
    return {}


@memory_report.misconception(
    title="A Mac's GPU was forgotten",
    why="Not every GPU is CUDA's. On a Mac the report is empty, as if nothing were taken.",
    next="Give MPS a branch of its own.",
    link="where-the-memory-goes",
)
def only_cuda_reports(device):
    if device.type != "cuda":
        return {}
    return {
        "now": torch.cuda.memory_allocated(device),
        "most": torch.cuda.max_memory_allocated(device),
        "total": torch.cuda.get_device_properties(device).total_memory,
    }


# The clinic -------------------------------------------------------------------------------------


@exercise(
    level="clinic",
    minutes=8,
    why="Model, inputs and targets are where the computing is, no graph is kept, and one number is read, at the end.",
    hints=(
        "Which of the three, model, inputs and targets, is really on the device when the loss is computed?",
        "A tensor that was moved has to be given a name again.",
        "A sum can stay a tensor on the device; only its last value is a number for you.",
    ),
)
def mean_loss_on(model: nn.Module, loss_fn, batches, device: torch.device) -> float:
    """Compute the mean loss over all examples on a device.

    model: on any device, in the mode that the caller has set, which stays. It is on `device` afterwards.
    batches: pairs (inputs, targets) on the CPU, of different sizes, targets (B,); a list or a loader, which stays as
    it is. The loss of each batch is a mean; every *example* counts the same. No graph is recorded.
    device: of any type. MPS has no float64: no tensor there can be one, a sum neither.
    Returns a float. Only one number is read from the device, at the end; printing a tensor reads it.
    """
    model.to(device)
    total, count = 0.0, 0
    with torch.no_grad():
        for inputs, targets in batches:
            inputs, targets = inputs.to(device), targets.to(device)
            outputs = model(inputs)
            loss = loss_fn(outputs, targets)
            total += loss * len(inputs)
            count += len(inputs)
    return (total / count).item()


@mean_loss_on.drive
def evaluate_there(answer, model, criterion, batches, device):
    graphs, modes = [], []
    before = [module.training for module in model.modules()]
    given = [(id(inputs), id(targets)) for inputs, targets in batches]

    def loss_fn(outputs, targets):
        graphs.append(outputs.requires_grad)
        modes.append([module.training for module in model.modules()])
        return criterion(outputs, targets)

    seen = {"how the run ends": "with what is returned"}
    with Placing() as placing:
        try:
            seen["result"] = answer(model, loss_fn, batches, device)
        except OnTwoDevicesError as error:
            seen["how the run ends"] = f"it stops at {error}"
        reads = placing.reads
        places = {placing.of(p) for p in model.parameters()}
        moved = any(placing.of(t) != "cpu" for pair in batches for t in pair)
    modes.append([module.training for module in model.modules()])
    moved = moved or given != [(id(inputs), id(targets)) for inputs, targets in batches]
    return seen | {
        "where the model is afterwards": ", ".join(sorted(places)),
        "the model's mode": "as set" if all(mode == before for mode in modes) else "changed",
        "the given batches": "changed" if moved else "as before",
        "the number of graphs recorded": sum(graphs),
        "the count of numbers read from the device": reads,
    }


def pairs(g, sizes, features, classes):
    made = []
    for size in sizes:
        made.append((numbers(g, size, features), torch.randint(0, classes, (size,), generator=g)))
    return made


@mean_loss_on.probe
def two_batches(g):
    model = fill(nn.Linear(3, 4), g, 1.5)
    return model, F.cross_entropy, pairs(g, (3, 1), 3, 4), torch.device("cuda")


@mean_loss_on.probe
def on_a_mac(g):
    model = fill(nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3)), g, 1.5)
    return model, F.cross_entropy, pairs(g, (4, 4, 1), 4, 3), torch.device("mps")


@mean_loss_on.probe
def four_batches(g):
    model = fill(nn.Linear(2, 5), g, 1.5).eval()
    return model, F.cross_entropy, pairs(g, (2, 5, 3, 1), 2, 5), torch.device("cuda")


def batch_sizes_in_words(model, loss_fn, batches, device):
    counts = [len(inputs) for inputs, _ in batches]
    told = ", ".join(map(str, counts[:-1]))
    return f"The batches held {told} and {counts[-1]} examples."


@mean_loss_on.alternative("A list of losses that stay on the device, weighed at the end.")
def weighed_at_the_end(model, loss_fn, batches, device):
    model = model.to(device)
    sums, sizes = [], []
    with torch.inference_mode():
        for inputs, targets in batches:
            loss = loss_fn(model(inputs.to(device)), targets.to(device))
            sums.append(loss * inputs.shape[0])
            sizes.append(inputs.shape[0])
    return torch.stack(sums).sum().item() / sum(sizes)


@mean_loss_on.alternative("The running total can be made on the device.")
def total_on_the_device(model, loss_fn, batches, device):
    model.to(device)
    total = torch.zeros((), device=device)
    count = 0
    for inputs, targets in batches:
        with torch.no_grad():
            inputs = inputs.to(device, non_blocking=True)
            targets = targets.to(device, non_blocking=True)
            total += len(targets) * loss_fn(model(inputs), targets)
        count += len(targets)
    return float(total / count)


@mean_loss_on.alternative("All the sums become a number by `sum` and one read.")
def with_sum(model, loss_fn, batches, device):
    model.to(device)
    with torch.no_grad():
        moved = [(x.to(device), y.to(device)) for x, y in batches]
        total = sum(loss_fn(model(x), y) * len(x) for x, y in moved)
    return total.item() / sum(len(x) for x, _ in moved)


@mean_loss_on.misconception(
    title="The inputs are not where the model is",
    why="The model is on the device, because a module moves itself. A tensor does not: `inputs.to(device)` returns another one, and if nobody keeps it, `inputs` is still the one on the CPU.",
    next="Let the name `inputs` stand for a tensor on the given device.",
    link="two-kinds-of-to",
    starter=True,
    evidence=batch_sizes_in_words,
)
def moved_and_dropped(model, loss_fn, batches, device):
    model.to(device)
    total, count = 0.0, 0
    with torch.no_grad():
        for inputs, targets in batches:
            inputs.to(device)
            targets.to(device)
            outputs = model(inputs)
            loss = loss_fn(outputs, targets)
            total += loss * len(inputs)
            count += len(inputs)
    return (total / count).item()


@mean_loss_on.misconception(
    title="The targets stayed on the CPU",
    why="The model runs, and the loss meets outputs on the device and targets that are not there.",
    next="Move the targets, too.",
    link="two-kinds-of-to",
    evidence=batch_sizes_in_words,
)
def targets_left(model, loss_fn, batches, device):
    model.to(device)
    total, count = 0.0, 0
    with torch.no_grad():
        for inputs, targets in batches:
            inputs = inputs.to(device)
            outputs = model(inputs)
            loss = loss_fn(outputs, targets)
            total += loss * len(inputs)
            count += len(inputs)
    return (total / count).item()


@mean_loss_on.misconception(
    title="The model stayed where it was",
    why="The first layer meets inputs on the device with weights on the CPU.",
    next="Move the model before the first batch.",
    link="two-kinds-of-to",
    evidence=batch_sizes_in_words,
)
def model_left(model, loss_fn, batches, device):
    total, count = 0.0, 0
    with torch.no_grad():
        for inputs, targets in batches:
            inputs, targets = inputs.to(device), targets.to(device)
            outputs = model(inputs)
            loss = loss_fn(outputs, targets)
            total += loss * len(inputs)
            count += len(inputs)
    return (total / count).item()


@mean_loss_on.misconception(
    title="A number was read for every batch",
    why="Each `.item()` waits until the device has done everything in its queue, and meanwhile nothing new is put there.",
    next="Sum up tensors, and read one number at the end.",
    link="work-in-a-queue",
    evidence=batch_sizes_in_words,
)
def number_every_batch(model, loss_fn, batches, device):
    model.to(device)
    total, count = 0.0, 0
    with torch.no_grad():
        for inputs, targets in batches:
            inputs, targets = inputs.to(device), targets.to(device)
            outputs = model(inputs)
            loss = loss_fn(outputs, targets)
            total += loss.item() * len(inputs)
            count += len(inputs)
    return total / count


@mean_loss_on.misconception(
    title="The graph of every batch was kept",
    why="The total depends on every batch's loss, so the activations of all of them stay in memory until the end. That is how an evaluation runs out of memory that the training had enough of.",
    next="Compute under `torch.no_grad()`.",
    link="where-the-memory-goes",
    shows="the number of graphs recorded",
    evidence=batch_sizes_in_words,
)
def graph_kept(model, loss_fn, batches, device):
    model.to(device)
    total, count = 0.0, 0
    with torch.enable_grad():
        for inputs, targets in batches:
            inputs, targets = inputs.to(device), targets.to(device)
            outputs = model(inputs)
            loss = loss_fn(outputs, targets)
            total += loss * len(inputs)
            count += len(inputs)
    return (total / count).item()


@mean_loss_on.misconception(
    title="The model was put into evaluation mode",
    why="The mode belongs to the caller, who has set it. With dropout or batch normalisation another mode gives another loss; and where it "
    "stays, the training after this goes on in evaluation mode.",
    next="Leave the mode alone.",
    link="two-kinds-of-to",
    shows="the model's mode",
    evidence=batch_sizes_in_words,
)
def put_into_eval(model, loss_fn, batches, device):
    model.to(device)
    model.eval()
    total, count = 0.0, 0
    with torch.no_grad():
        for inputs, targets in batches:
            inputs, targets = inputs.to(device), targets.to(device)
            outputs = model(inputs)
            loss = loss_fn(outputs, targets)
            total += loss * len(inputs)
            count += len(inputs)
    return (total / count).item()


@mean_loss_on.misconception(
    title="A mean of means",
    why="A batch with one example counts as much as one with five.",
    next="Weigh each loss by the size of its batch.",
    link="two-kinds-of-to",
    evidence=batch_sizes_in_words,
)
def mean_of_means(model, loss_fn, batches, device):
    model.to(device)
    total, count = 0.0, 0
    with torch.no_grad():
        for inputs, targets in batches:
            inputs, targets = inputs.to(device), targets.to(device)
            outputs = model(inputs)
            loss = loss_fn(outputs, targets)
            total += loss
            count += 1
    return (total / count).item()
