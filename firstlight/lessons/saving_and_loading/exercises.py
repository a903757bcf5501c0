"""What the student writes in lesson 8, Saving, Loading, and Checkpoints, and every known way to get it wrong."""

# mypy does not see what a decorator makes of a function: an exercise.
# mypy: disable-error-code="arg-type,attr-defined,type-arg,no-untyped-def,operator,no-any-return"

import contextlib
import copy
import errno
import math
import os
import pickle
import shutil
import signal
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from unittest import mock

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from firstlight.checking import Extra, exercise

# Networks and files to work with ------------------------------------------------------------------


def fill(model, g):
    """Draw every parameter and running statistic from `g`, in float64."""
    model.double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.7 * numbers(g, *parameter.shape))
        for name, buffer in model.named_buffers():
            if name.endswith("running_mean"):
                buffer.copy_(numbers(g, *buffer.shape))
            elif name.endswith("running_var"):
                buffer.copy_(1 + numbers(g, *buffer.shape).abs())
            elif name.endswith("num_batches_tracked"):
                buffer.fill_(17)
    return model


def numbers(g, *shape):
    return torch.randn(shape, generator=g, dtype=torch.float64)


def network(width=4, outputs=2):
    """Build a network with running statistics and dropout, which a mode changes."""
    layers = nn.Linear(3, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(0.4)
    return nn.Sequential(*layers, nn.Linear(width, outputs)).double()


def values_of(model):
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def in_order(found):
    """Sort a dictionary by its keys, so that the order in which it was filled does not count."""
    if not isinstance(found, dict):
        return found
    return {key: found[key] for key in sorted(found, key=str)}


@contextlib.contextmanager
def a_folder():
    """Make a folder for the files of one run, work in it, and remove it with all that is in it."""
    here = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="firstlight-", ignore_cleanup_errors=True) as name:
        root = Path(name).resolve()
        (root / "checkpoints").mkdir()
        with mock.patch.object(tempfile, "tempdir", str(root)):
            os.chdir(root)
            try:
                yield root / "checkpoints"
            finally:
                os.chdir(here)


class Tied(nn.Module):
    """Two layers that share a weight, and a mask that belongs to the code: it is not persistent."""

    def __init__(self, width=3):
        super().__init__()
        self.there = nn.Linear(width, width)
        self.back = nn.Linear(width, width, bias=False)
        self.back.weight = self.there.weight
        self.register_buffer("mask", torch.ones(width), persistent=False)


WHAT_ELSE = "what must stay as it was"


class Witness:
    """Notes what an answer has no business to change: a model, the working folder, other files."""

    def __init__(self, model=None, folders=(), written=None):
        self.model, self.folders, self.written = model, folders, written
        self.before = self.look()

    def look(self):
        parameters = list(self.model.parameters()) if self.model else []
        grads = [None if p.grad is None else p.grad.tolist() for p in parameters]
        modes = [m.training for m in self.model.modules()] if self.model else []
        files = (entry for folder in self.folders for entry in os.scandir(folder))
        files = {e.path: stamp(e.path) for e in files if e.path != str(self.written)}
        return {
            "the model's mode has changed": modes,
            "the model's gradients have changed": grads,
            "other parameters of the model are trained": [p.requires_grad for p in parameters],
            "the model has other parameters, which no optimizer knows": Same(parameters),
            "the working folder is another": os.getcwd(),  # noqa: PTH109  (a plain text)
            "files": {path: s for path, s in files.items() if not Path(path).is_dir()},
        }

    def told(self):
        """Say in words what is another than before."""
        now = self.look()
        old, new = self.before.pop("files"), now.pop("files")
        found = [words for words, was in self.before.items() if now[words] != was]
        if set(new) - set(old):
            found.append("a file is left behind")
        if any(new.get(path) != was for path, was in old.items()):
            found.append("a file that was there is changed or gone")
        return "; ".join(found) or "all is as it was"


class Same(list):
    """A list that equals another one only if it holds the same objects."""

    __hash__ = None

    def __eq__(self, other):
        return len(self) == len(other) and all(a is b for a, b in zip(self, other, strict=True))

    def __ne__(self, other):
        return not self == other


def stamp(path):
    """Say which file lies at a path: another one, or a changed one, gives another stamp."""
    try:
        found = os.stat(path)  # noqa: PTH116  (called thousands of times)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


RUN = Path("run.pt")  # in the folder that a run gets
FAR_AWAY = "cuda:7"  # no machine of a student's has it, so a file from there needs a map_location


def save_from(device, data, path):
    """Write a file as a program on that device would: every tensor is marked with it."""
    with mock.patch.object(torch.serialization, "location_tag", return_value=device):
        torch.save(data, path)


rung: list[int] = []  # filled by code in a file, when somebody lets it run


def ring():
    """Stand for whatever a hostile file might run."""
    rung.append(1)
    return torch.zeros(1)


class Trap:
    """An object that, once saved, runs `ring` in whoever loads it carelessly."""

    def __reduce__(self):
        return ring, ()


CODE_RAN = "code that a file holds is run by loading it"


def springs(load, data, path):
    """Put a trap into a file, and say whether loading the file springs it."""
    rung.clear()
    torch.save(data | {"a note": Trap()}, path)
    with contextlib.suppress(Exception):  # the student's code, which may refuse in any way
        load(path)
    return bool(rung)


def refuses(load, data, path):
    """Say whether loading a file that does not fit ends in an error."""
    torch.save(data, path)
    try:
        load(path)
    except Exception:  # the student's code, whatever it raises
        return True
    return False


LACKS = "a file that lacks a name raises an error"
TOO_MANY = "a file with a name too many raises an error"
PREFIXED = "a file whose names have a prefix raises an error"
OTHER_NAMES = "a file with other names raises an error"
OTHER_SHAPE = "a file with another shape raises an error"


def misfits(state):
    """Make state dicts that do not fit the model of this one, and say what is due of each."""
    (first, value), *rest = state.items()
    return {
        LACKS: dict(rest),
        TOO_MANY: {**state, "7.scale": value},
        PREFIXED: {f"module.{name}": value for name, value in state.items()},
        OTHER_NAMES: {f"{name}.other": value for name, value in state.items()},
        OTHER_SHAPE: {first: value[:, :1], **dict(rest)},
    }


# Values in a file ---------------------------------------------------------------------------------


@exercise(
    level="guided",
    minutes=4,
    why="The state dict has every parameter and every buffer under its name, and nothing else goes into the file.",
    hints=(
        "Which method of a module gives all its values by name, buffers included?",
        "`torch.save` takes what to save first and where to second.",
    ),
)
def save_weights(model: nn.Module, path: Path) -> None:
    """Write a model's values to a file, and nothing but its values.

    model: any module.
    path: the file to write, of type `pathlib.Path`.

    Afterwards `torch.load(path, weights_only=True)` gives a dictionary from names to tensors: every
    parameter and every persistent buffer, exactly those that a model of the same architecture expects.
    An older file at `path` is replaced. The model stays as it was, and no other file is left.
    """
    # solution:
    torch.save(model.state_dict(), path)
    # end solution


def saved_kind(path):
    """Name the type of what a file holds, if anything but weights is in it."""
    try:
        return type(torch.load(path, weights_only=False)).__name__
    except Exception:  # the student's file may hold anything
        return "nothing that `torch.load` can read"


def fate_of_the_older(path, before, size):
    """Say what has become of the file that lay at a path; `size` is that of a new one."""
    if stamp(path) == before:
        return "it is as it was"
    longer = abs(path.stat().st_size - size) > 100
    return "it has another length than a new one" if longer else "it is replaced"


def told_of(found):
    """Name what a dictionary holds; of one that wraps another, under whatever name, say that."""
    inside = next(iter(found.values()), None)
    if len(found) == 1 and isinstance(inside, dict):
        return f"one entry, which is a dictionary with {', '.join(sorted(map(str, inside)))}"
    return ", ".join(sorted(map(str, found)))


@save_weights.drive
def save_and_read(answer, model):
    with a_folder() as folder:
        path, again = folder / "weights.pt", folder / "another.pt"
        due = set(model.state_dict())
        witness = Witness(model, (folder.parent, folder), path)
        answer(model, path)
        seen = {WHAT_ELSE: witness.told(), "there is a file at `path`": path.is_file()}
        if not path.is_file():
            return seen
        torch.save({"an older": torch.zeros(1)}, again)
        before = stamp(again)
        answer(model, again)
        seen["what becomes of an older file at `path`"] = fate_of_the_older(
            again, before, path.stat().st_size
        )
        try:
            found = torch.load(path, weights_only=True)
        except Exception:  # the student's file may hold anything
            told = {"what was saved instead": saved_kind(path)}
            return seen | {"`weights_only=True` can load it": False} | told
        seen["`weights_only=True` can load it"] = True
        if not isinstance(found, dict):
            return seen | {"what the file holds": f"a {type(found).__name__}"}
        seen["what the file holds"] = told_of(found)
        if set(found) == due:  # values under other names are compared with nothing
            seen["the values in the file"] = in_order(found)
        return seen


@save_weights.probe
def a_line(g):
    return (fill(nn.Linear(2, 1), g),)


@save_weights.probe
def with_statistics(g):
    return (fill(network(), g),)


@save_weights.probe
def a_frozen_layer(g):
    model = fill(nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 5)), g)
    model[0].requires_grad_(False)
    model(numbers(g, 1, 3)).sum().backward()  # gradients are no values of the model
    return (model.eval(),)


@save_weights.probe
def tied_layers(g):
    return (fill(Tied(), g),)


@save_weights.alternative("An open file will do instead of a path.")
def into_an_open_file(model, path):
    with path.open("wb") as file:
        torch.save(model.state_dict(), file)


@save_weights.alternative("On the CPU every machine can read the values.")
def from_the_cpu(model, path):
    torch.save({name: value.cpu().clone() for name, value in model.state_dict().items()}, path)


@save_weights.alternative(
    "Parameters and buffers by hand, under the names that the state dict has."
)
def by_hand(model, path):
    named = dict(model.named_parameters(remove_duplicate=False)) | dict(model.named_buffers())
    torch.save({name: named[name].detach() for name in model.state_dict()}, str(path))


@save_weights.misconception(
    title="Saved the whole model",
    why="The object goes into the file with the name of its class and whatever else hangs on it. To load it, Python must import "
    "that class and run code that the file names, which `torch.load` refuses since PyTorch 2.6. Move or rename the class and "
    "nobody can load the file at all.",
    next="Save what the model *knows*, not what it *is*: its state dict.",
    link="architecture-in-code-values-in-a-file",
)
def saved_the_object(model, path):
    torch.save(model, path)


@save_weights.misconception(
    title="Saved the method instead of what it gives",
    why="Without brackets `model.state_dict` is the method, bound to its model. Saving it saves the whole model with it, and no "
    "dictionary.",
    next="Call the method.",
    link="a-dictionary-of-tensors",
)
def saved_the_method(model, path):
    torch.save(model.state_dict, path)


@save_weights.misconception(
    title="Saved the parameters without the buffers",
    why="BatchNorm's running statistics are buffers, not parameters: no gradient, but needed for every prediction in eval mode. "
    "Without them the network that comes back answers otherwise.",
    next="The state dict has both.",
    link="a-dictionary-of-tensors",
    shows="what the file holds",
)
def parameters_only(model, path):
    torch.save(dict(model.named_parameters()), path)


@save_weights.misconception(
    title="Put together by hand from parameters and buffers",
    why="`named_parameters` gives a tensor that two layers share under the first of its names only, and `named_buffers` gives the "
    "buffers that are not persistent as well. Whoever loads the file finds a name missing, and another unexpected.",
    next="A module has a method that knows which names belong in the file.",
    link="a-dictionary-of-tensors",
    shows="what the file holds",
)
def put_together_by_hand(model, path):
    parts = [*model.named_parameters(), *model.named_buffers()]
    torch.save({name: value.detach() for name, value in parts}, path)


@save_weights.misconception(
    title="Kept the older file",
    why="With this condition the file is written once. Every later save does nothing, and what is loaded is the model of long ago.",
    next="Write in any case.",
    link="a-dictionary-of-tensors",
    shows="what becomes of an older file at `path`",
)
def kept_the_older_file(model, path):
    if not path.exists():
        torch.save(model.state_dict(), path)


@save_weights.misconception(
    title="Left the model in eval mode",
    why="Saving needs no mode. A training that saves and goes on then trains without dropout, and BatchNorm's statistics stand still.",
    next="Leave the mode alone.",
    link="loading-it-back",
    shows=WHAT_ELSE,
)
def left_in_eval_mode(model, path):
    torch.save(model.eval().state_dict(), path)


@save_weights.misconception(
    title="Saved a list without names",
    why="`parameters()` gives the tensors in order and drops their names. Whoever loads the list has to guess which is which, and "
    "the buffers are not in it.",
    next="Save a dictionary from names to tensors.",
    link="a-dictionary-of-tensors",
)
def a_list_of_parameters(model, path):
    torch.save(list(model.parameters()), path)


@save_weights.misconception(
    title="Wrapped the state dict in another dictionary",
    why="A dictionary around it makes sense where other things, such as an optimizer's state, lie beside it. This file holds the values "
    "alone. Whoever gives it to `load_state_dict` hears that every name is missing, and that the outer one is unexpected.",
    next="Write the state dict itself.",
    link="a-dictionary-of-tensors",
    shows="what the file holds",
)
def wrapped_it(model, path):
    torch.save({"model_state_dict": model.state_dict()}, path)


@save_weights.misconception(
    title="Pickled it without PyTorch's container",
    why="`pickle.dump` writes a pickle alone. `torch.load` expects the archive that `torch.save` makes, in which the numbers lie "
    "beside the pickle.",
    next="Use `torch.save`.",
    link="a-dictionary-of-tensors",
)
def plain_pickle(model, path):
    with path.open("wb") as file:
        pickle.dump(model.state_dict(), file)


@save_weights.misconception(
    title="The arguments of torch.save are swapped",
    why="`torch.save(what, where)`. The other way round PyTorch is asked to write a path into a dictionary.",
    next="First the object, then the path.",
    link="a-dictionary-of-tensors",
)
def swapped_arguments(model, path):
    torch.save(path, model.state_dict())


@exercise(
    level="guided",
    minutes=6,
    why="Code builds the network, the file fills it, and `eval` makes it predict as it should.",
    hints=(
        "Three steps: build a model, read the file, let the model take what was read.",
        "`model.load_state_dict(...)` changes the model in place. What it *returns* is a note about the names.",
        "`weights_only=True` says aloud that no code of the file may run; `model.eval()` switches dropout off.",
    ),
    equivalent_mutants=(
        "model.load_state_dict(torch.load(path))",
    ),  # the default since PyTorch 2.6
)
def load_weights(build, path: Path) -> nn.Module:
    """Build a model, fill it with the values of a file, and make it ready to predict.

    build: a function without arguments that makes a new, untrained model.
    path: a file with a state dict, written by `torch.save` on a machine without a GPU. Nobody knows
    who wrote it: if it holds code, that code must not run. If a name is missing in it, or one too
    many, or a shape does not fit the model, an error must rise. The file stays as it is.
    Returns the model, in eval mode, with the dtype that `build` gave it.
    """
    # solution:
    model = build()
    model.load_state_dict(torch.load(path, weights_only=True))
    return model.eval()
    # end solution


@load_weights.drive
def load_and_look(answer, build, trained):
    with a_folder() as folder:
        path = folder / "weights.pt"
        torch.save(trained.state_dict(), path)
        witness = Witness(None, (folder.parent, folder))
        model = answer(build, path)
        changed = witness.told()
        if not isinstance(model, nn.Module):
            return {"what comes back": f"an object of type {type(model).__name__}"}
        values = values_of(model)
        modes = {module.training for module in model.modules()}
        wrong = misfits(trained.state_dict())

        def load(path):
            answer(build, path)

        return {
            "what comes back": "a model",
            "the values of the model": values,
            "all of it is in eval mode": modes == {False},
            **{due: refuses(load, state, folder / "wrong.pt") for due, state in wrong.items()},
            CODE_RAN: springs(load, trained.state_dict(), folder / "trap.pt"),
            WHAT_ELSE: changed,
        }


@load_weights.probe
def a_small_one(g):
    return lambda: nn.Linear(2, 1), fill(nn.Linear(2, 1), g).float()


@load_weights.probe
def one_with_dropout(g):
    return network, fill(network(), g)


@load_weights.probe
def a_wider_one(g):
    return lambda: network(5, 3), fill(network(5, 3), g)


@load_weights.alternative("`strict=True` is the default, and said aloud it does no harm.")
def one_step_at_a_time(build, path):
    with path.open("rb") as file:
        values = torch.load(file, map_location="cpu", weights_only=True)
    model = build()
    model.eval()
    model.load_state_dict(values, strict=True)
    return model


@load_weights.alternative("With `assign=True` the tensors of the file become the model's own.")
def assigned(build, path):
    model = build()
    model.load_state_dict(torch.load(path, weights_only=True), assign=True)
    model.train(False)
    return model


@load_weights.alternative("Read the notes with `strict=False`, and raise yourself.")
def looked_at_the_notes(build, path):
    model = build()
    notes = model.load_state_dict(torch.load(path, weights_only=True), strict=False)
    if notes.missing_keys or notes.unexpected_keys:
        raise KeyError(str(notes))
    return model.eval()


@load_weights.misconception(
    title="Took what load_state_dict returns for the model",
    why="`load_state_dict` fills the model in place and returns a note: which names were missing, which were not expected. The "
    "name `model` now stands for the note.",
    next="Call it on a line of its own, and go on with the model.",
    link="loading-it-back",
)
def returned_the_note(build, path):
    model = build()
    model = model.load_state_dict(torch.load(path, weights_only=True))
    return model  # noqa: RET504


@load_weights.misconception(
    title="Gave load_state_dict the path",
    why="`load_state_dict` takes a dictionary that is in memory. Reading a file is another step, and another function.",
    next="Read the file first.",
    link="loading-it-back",
)
def gave_the_path(build, path):
    model = build()
    model.load_state_dict(path)
    return model.eval()


@load_weights.misconception(
    title="Still in training mode",
    why="A model is built in training mode, and a state dict has no entry for modes. Dropout would drop, and BatchNorm would use "
    "the batch's statistics and go on learning.",
    next="Switch the mode before you return it.",
    link="loading-it-back",
)
def still_training(build, path):
    model = build()
    model.load_state_dict(torch.load(path, weights_only=True))
    return model


@load_weights.misconception(
    title="The file may run code",
    why="`weights_only=False` unpickles whatever the file says, and a pickle can name any function and its arguments. The file "
    "with a trap ran its code before your function had a chance to look at it.",
    next="Allow weights only: it is the default since PyTorch 2.6.",
    link="a-file-that-runs-code",
    shows=CODE_RAN,
)
def let_code_run(build, path):
    model = build()
    model.load_state_dict(torch.load(path, weights_only=False))
    return model.eval()


@load_weights.misconception(
    title="Ignored names that do not fit",
    why="With `strict=False` names that are missing in the file keep the random values that they were built with. One wrong "
    "prefix, and nothing at all is loaded, without an error.",
    next="Let the names be checked.",
    link="names-that-do-not-fit",
)
def ignored_the_names(build, path):
    model = build()
    model.load_state_dict(torch.load(path, weights_only=True), strict=False)
    return model.eval()


@load_weights.misconception(
    title="Looked at missing names only",
    why="A name too many is a warning, too: the file comes from a model with another architecture, and a part of it was thrown away.",
    next="Both kinds of misfit are an error. `load_state_dict` says so by itself, if you let it.",
    link="names-that-do-not-fit",
    shows=TOO_MANY,
)
def missing_names_only(build, path):
    model = build()
    notes = model.load_state_dict(torch.load(path, weights_only=True), strict=False)
    if notes.missing_keys:
        raise KeyError(str(notes.missing_keys))
    return model.eval()


@load_weights.misconception(
    title="Looked at unexpected names only",
    why="A name that the file lacks is the worse case: that part of the model keeps the random values that it was built with.",
    next="Both kinds of misfit are an error. `load_state_dict` says so by itself, if you let it.",
    link="names-that-do-not-fit",
    shows=LACKS,
)
def unexpected_names_only(build, path):
    model = build()
    notes = model.load_state_dict(torch.load(path, weights_only=True), strict=False)
    if notes.unexpected_keys:
        raise KeyError(str(notes.unexpected_keys))
    return model.eval()


@load_weights.misconception(
    title="Went by position, not by name",
    why="The first tensor of the file goes into the first of the model, whatever they are called. A file of another model with the same "
    "shapes is loaded without a word.",
    next="Let the names decide.",
    link="names-that-do-not-fit",
    shows=OTHER_NAMES,
)
def by_position(build, path):
    model = build()
    values = torch.load(path, weights_only=True).values()
    own = model.state_dict()
    model.load_state_dict(dict(zip(own, values, strict=True)))
    return model.eval()


@load_weights.misconception(
    title="Took a prefix off without being asked",
    why="Names with `module.` in front do not fit this model, and whoever calls you wants to hear that. A function that guesses what was "
    "meant also guesses wrong one day.",
    next="Leave the names as they are.",
    link="names-that-do-not-fit",
    shows=PREFIXED,
)
def took_off_a_prefix(build, path):
    model = build()
    values = torch.load(path, weights_only=True)
    model.load_state_dict({name.removeprefix("module."): v for name, v in values.items()})
    return model.eval()


@load_weights.misconception(
    title="Read the file, and never gave it to the model",
    why="The values are in memory, and the model still has those that it was built with.",
    next="Let the model take them.",
    link="loading-it-back",
    shows="the values of the model",
)
def never_filled(build, path):
    model = build()
    values = torch.load(path, weights_only=True)
    model.state_dict().update(values)
    return model.eval()


@load_weights.misconception(
    title="Expected a model in the file",
    why="The file holds a dictionary of tensors. There is no network in it, so there is nothing to call and no mode to set.",
    next="Build the model first, then fill it.",
    link="architecture-in-code-values-in-a-file",
)
def expected_a_model(build, path):
    model = torch.load(path, weights_only=True)
    return model.eval()


@exercise(
    level="guided",
    minutes=3,
    why="`map_location` decides where tensors go while they are read, before any GPU is asked for.",
    hints=(
        "Which argument of `torch.load` says where the tensors should go?",
        "Moving them afterwards comes too late: reading them is what fails.",
    ),
    equivalent_mutants=("return torch.load(path, map_location='cpu')",),  # since PyTorch 2.6
)
def load_on_cpu(path: Path):
    """Read a file that may come from a machine with a GPU, on a machine without one.

    path: written by `torch.save`; any tensors in lists and dictionaries, from any device: a GPU of
    any number, a Mac's, another kind.
    Returns what the file holds, every tensor of it on the CPU and nothing else changed: the same
    lists, dictionaries and keys. Code in the file must not run, and the file stays as it is.
    """
    # solution:
    return torch.load(path, map_location="cpu", weights_only=True)
    # end solution


def places_of(found):
    """List the devices of all tensors in lists and dictionaries."""
    if isinstance(found, torch.Tensor):
        return {found.device.type}
    parts = found.values() if isinstance(found, dict) else found
    if not isinstance(found, dict | list | tuple):
        return set()
    return set().union(*map(places_of, parts)) if parts else set()


@load_on_cpu.drive
def read_what_a_gpu_wrote(answer, path, data, device):
    with a_folder() as folder:
        path = folder / path
        save_from(device, data, path)
        witness = Witness(None, (folder.parent, folder))
        found = answer(path)
        changed = witness.told()
        places = ", ".join(sorted(places_of(found))) or "nowhere"
        return {
            "result": found,
            "what it is made of": made_of(found),
            "where the tensors are": places,
            CODE_RAN: springs(answer, {"weight": torch.ones(2)}, folder / "trap.pt"),
            WHAT_ELSE: changed,
        }


def made_of(found):
    """Name the types of a structure, from the outside to the inside."""
    if isinstance(found, dict):
        return "a dict of " + ", ".join(f"{k!r}: {made_of(v)}" for k, v in found.items())
    if isinstance(found, list | tuple):
        return f"a {type(found).__name__} of " + ", ".join(map(made_of, found))
    return type(found).__name__


@load_on_cpu.probe
def a_dictionary(g):
    return RUN, {"weight": numbers(g, 2, 3), "bias": numbers(g, 3)}, "cuda:0"


@load_on_cpu.probe
def with_an_epoch(g):
    model, state = {"0.weight": numbers(g, 4)}, {0: {"step": 5, "mean": numbers(g, 4)}}
    return RUN, {"epoch": 3, "model": model, "state": state, "losses": [0.5, 0.25]}, FAR_AWAY


@load_on_cpu.probe
def from_a_cpu(g):
    model, state = {"scale": numbers(g, 1)}, torch.arange(5, dtype=torch.uint8)
    return RUN, {"model": model, "rng": state}, "cpu"


@load_on_cpu.probe
def a_list_from_a_mac(g):
    return RUN, [numbers(g, 2).float(), {"scale": numbers(g, 3).float()}, 7], "mps"


@load_on_cpu.alternative("A device object says the same.")
def with_a_device(path):
    return torch.load(path, map_location=torch.device("cpu"), weights_only=True)


@load_on_cpu.alternative("A function gets each storage, and gives the one to use.")
def with_a_function(path):
    with path.open("rb") as file:
        return torch.load(file, lambda storage, location: storage, weights_only=True)


@load_on_cpu.alternative("The storage itself can be asked to move.")
def with_storage_cpu(path):
    return torch.load(str(path), map_location=lambda storage, _: storage.cpu(), weights_only=True)


@load_on_cpu.misconception(
    title="The tensors still go back to where they came from",
    why="Each tensor in the file is marked with the device it came from, and `torch.load` brings it back there, unless a `map_location` "
    "says otherwise for this very device. On a machine without that device it can't.",
    next="Give `torch.load` a `map_location` that holds for every device.",
    link="from-another-device",
)
def without_map_location(path):
    return torch.load(path, weights_only=True)


@load_on_cpu.misconception(
    title="Named some of the devices only",
    why="A dictionary as `map_location` moves the devices that stand in it. Tensors of any other still go back to where they came "
    "from. The files of the check come from `cuda:0`, `cuda:7` and `mps`.",
    next="`map_location` also takes one place for all of them.",
    link="from-another-device",
)
def some_devices_only(path):
    return torch.load(path, map_location={"cuda:0": "cpu"}, weights_only=True)


@load_on_cpu.misconception(
    title="Thought of CUDA only",
    why="There are other devices, such as a Mac's `mps`. For them this function returns None, and None means: back to where it came from.",
    next="Give the CPU for every location, without asking for its name.",
    link="from-another-device",
)
def cuda_only(path):
    def place(storage, location):
        return storage if location.startswith("cuda") else None

    return torch.load(path, map_location=place, weights_only=True)


@load_on_cpu.misconception(
    title="Moved the tensors after loading",
    why="By then `torch.load` has already tried to put them on the GPU. On a machine without one, the line that would move them is "
    "never reached.",
    next="Say where they go while the file is read.",
    link="from-another-device",
)
def moved_afterwards(path):
    data = torch.load(path, weights_only=True)
    return {name: value.cpu() for name, value in data.items()}


@load_on_cpu.misconception(
    title="Sent them all to the GPU",
    why="`map_location` is where the tensors *go*, not where they come from.",
    next="Name the place where you want them.",
    link="from-another-device",
)
def mapped_to_cuda(path):
    return torch.load(path, map_location="cuda", weights_only=True)


@load_on_cpu.misconception(
    title="The file may run code",
    why="`weights_only=False` runs whatever function the file names. Where the tensors go has nothing to do with it, so there is no "
    "reason to allow more than weights here.",
    next="Allow weights only.",
    link="a-file-that-runs-code",
    shows=CODE_RAN,
)
def code_may_run(path):
    return torch.load(path, map_location="cpu", weights_only=False)


# Names --------------------------------------------------------------------------------------------


@exercise(
    level="supported",
    minutes=6,
    why="Only a beginning is taken off, only where it is there, and the given dictionary stays as it was.",
    hints=(
        "Make a new dictionary; go through the names and values of the old one.",
        "`name.removeprefix(prefix)` takes a beginning off, and leaves a name alone that begins otherwise.",
    ),
)
def without_prefix(state: dict, prefix: str) -> dict:
    """Take a prefix off the names of a state dict.

    state: names to tensors.
    prefix: such as "module.", not empty. All the names may begin with it, some, or none.
    Returns a new dictionary with the very same tensors, no copies. Names that begin with the prefix
    lose it, once; all other names, and whatever else a name contains, stay. No two names become the
    same by it. `state` itself is not changed.
    """
    # solution:
    return {name.removeprefix(prefix): value for name, value in state.items()}
    # end solution


@without_prefix.drive
def rename(answer, state, prefix):
    given, notes = list(state.values()), copy.deepcopy(getattr(state, "_metadata", None))
    found = answer(state, prefix)
    if not isinstance(found, dict):
        return {"result": found}
    names = ", ".join(sorted(map(str, found))) or "no names"
    return {
        "the names": names,
        "the tensors by name": in_order(found),
        "it is a dictionary of its own": found is not state,
        "the tensors are those of `state`, no copies": all(
            any(value is own for own in given) for value in found.values()
        ),
        "`state._metadata` is as it was": getattr(state, "_metadata", None) == notes,
    }


@without_prefix.probe
def from_data_parallel(g):
    return {"module.0.weight": numbers(g, 2, 3), "module.0.bias": numbers(g, 2)}, "module."


@without_prefix.probe
def inside_as_well(g):
    names = "module.dome.weight", "encoder.module.bias", "modules.bias", "module.module.scale"
    return {name: numbers(g, i) for i, name in enumerate(names, start=2)}, "module."


@without_prefix.probe
def another_prefix(g):
    names = "_orig_mod.1.running_mean", "_orig_mod.original.weight", "extra", "3.weight"
    return {name: numbers(g, i) for i, name in enumerate(names, start=1)}, "_orig_mod."


@without_prefix.probe
def another_name_first(g):
    names = "head.weight", "Module.scale", "module.body.bias"
    return {name: numbers(g, i) for i, name in enumerate(names, start=2)}, "module."


@without_prefix.probe
def nothing_to_take_off(g):
    return {"0.weight": numbers(g, 2, 1), "0.bias": numbers(g, 2)}, "_orig_mod."


@without_prefix.probe
def with_metadata(g):
    return nn.Sequential(nn.Linear(2, 1)).state_dict(prefix="module."), "module."


@without_prefix.alternative("`startswith`, and a slice.")
def with_a_slice(state, prefix):
    renamed = type(state)()
    for name, value in state.items():
        renamed[name[len(prefix) :] if name.startswith(prefix) else name] = value
    return renamed


@without_prefix.alternative("PyTorch has a function that does it in place: give it a copy.")
def with_torchs_own(state, prefix):
    renamed = dict(state)
    nn.modules.utils.consume_prefix_in_state_dict_if_present(renamed, prefix)
    return renamed


@without_prefix.alternative("A copy, and `pop`.")
def popped_from_a_copy(state, prefix):
    renamed = copy.copy(state)
    for name in list(renamed):
        if name.startswith(prefix):
            renamed[name[len(prefix) :]] = renamed.pop(name)
    return renamed


@without_prefix.misconception(
    title="Replaced it everywhere in the name",
    why="`replace` takes out every occurrence. A layer that is called so deeper inside loses its name, too.",
    next="Take off the beginning only, and once.",
    link="names-that-do-not-fit",
)
def replaced_everywhere(state, prefix):
    return {name.replace(prefix, ""): value for name, value in state.items()}


@without_prefix.misconception(
    title="Stripped letters instead of a prefix",
    why="`lstrip` takes a *set of characters* and removes them from the left as long as it finds any: after `module.` it goes on "
    "with every name that begins with one of its letters.",
    next="There is a string method for a whole prefix.",
    link="names-that-do-not-fit",
)
def stripped_letters(state, prefix):
    return {name.lstrip(prefix): value for name, value in state.items()}


@without_prefix.misconception(
    title="Cut every name, with or without the prefix",
    why="Some names do not begin with the prefix. Cutting off as many letters all the same leaves half a name.",
    next="Cut only where the prefix is.",
    link="names-that-do-not-fit",
)
def cut_every_name(state, prefix):
    return {name[len(prefix) :]: value for name, value in state.items()}


@without_prefix.misconception(
    title="Dropped the names without the prefix",
    why="They belong to the model as well. Left out, they are missing when it is loaded.",
    next="Keep them as they are.",
    link="names-that-do-not-fit",
)
def dropped_the_others(state, prefix):
    return {
        name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)
    }


@without_prefix.misconception(
    title="Put the prefix in front",
    why="That is the way into a wrapper. Here the names come out of one.",
    next="Take it off.",
    link="names-that-do-not-fit",
)
def put_in_front(state, prefix):
    return {prefix + name: value for name, value in state.items()}


@without_prefix.misconception(
    title="Changed the given dictionary",
    why="Whoever called you still holds the old dictionary, and now finds other names in it.",
    next="Fill a new one.",
    link="names-that-do-not-fit",
)
def changed_the_given_one(state, prefix):
    for name in list(state):
        state[name.removeprefix(prefix)] = state.pop(name)
    return state


@without_prefix.misconception(
    title="Renamed in the given dictionary itself",
    why="The old names are taken out of `state`, and the new ones put into it. Whoever called you still holds this dictionary, and now "
    "finds other names in it.",
    next="Fill a new dictionary, and read only from the given one.",
    link="names-that-do-not-fit",
)
def renamed_in_place(state, prefix):
    for name in list(state):
        if name.startswith(prefix):
            state[name[len(prefix) :]] = state.pop(name)
    return state


@without_prefix.misconception(
    title="Looked at the first name only",
    why="What holds for the first name need not hold for the others: here some have the prefix and some have not.",
    next="Ask each name on its own.",
    link="names-that-do-not-fit",
)
def asked_the_first_name(state, prefix):
    if next(iter(state), "").startswith(prefix):
        return {name.removeprefix(prefix): value for name, value in state.items()}
    return dict(state)


@without_prefix.misconception(
    title="Copied the tensors",
    why="New names need no new numbers. With a copy of every tensor a large model takes its memory twice.",
    next="Put the tensors themselves under the new names.",
    link="names-that-do-not-fit",
)
def copied_the_tensors(state, prefix):
    return {name.removeprefix(prefix): value.clone() for name, value in state.items()}


@without_prefix.misconception(
    title="Took off the prefix as often as it stands there",
    why="A module named like the prefix may stand right inside the wrapper. Its name has to stay.",
    next="Once is enough.",
    link="names-that-do-not-fit",
)
def took_off_every_one(state, prefix):
    renamed = {}
    for name, value in state.items():
        while name.startswith(prefix):
            name = name.removeprefix(prefix)
        renamed[name] = value
    return renamed


@exercise(
    level="supported",
    minutes=12,
    why="A value is taken over only if name and shape agree, and whatever is not taken over is named.",
    hints=(
        "`model.state_dict()` says what the model has: compare its names, and then the shapes, with the given ones.",
        "Collect the fitting ones in a dictionary of their own. The model can take an incomplete dictionary, if you tell it "
        "not to be strict.",
        "Missing: in the model only. Unexpected: in `state` only. Mismatched: in both, with different shapes.",
    ),
)
def load_matching(model: nn.Module, state: dict) -> dict:
    """Load whatever fits, and report what does not.

    model: any module.
    state: names to tensors, perhaps of a similar model. It is not changed.

    Every entry of the model's state dict, frozen or not, whose name is in `state` with exactly the same
    shape gets that value, in the model's own dtype; all others keep theirs. Nothing else changes: not
    the mode, not which parameters are trained (`requires_grad`). The values are copied: no tensor of
    `state` becomes a part of the model.

    Returns a dictionary of three sorted lists of names: "missing", which only the model has,
    "unexpected", which only `state` has, and "mismatched", which both have with different shapes.
    """
    # solution:
    own = model.state_dict()
    needed, given = set(own), set(state)
    shared = needed & given
    fitting = {name: state[name] for name in shared if own[name].shape == state[name].shape}
    model.load_state_dict(fitting, strict=False)
    return {
        "missing": sorted(needed - given),
        "unexpected": sorted(given - needed),
        "mismatched": sorted(shared - set(fitting)),
    }
    # end solution


@load_matching.drive
def load_what_fits(answer, model, state):
    witness = Witness(model)
    report = answer(model, state)
    own = {value.data_ptr() for value in model.state_dict().values()}
    after = {
        "the values of the model": values_of(model),
        "the model and `state` share memory": any(v.data_ptr() in own for v in state.values()),
        WHAT_ELSE: witness.told(),
    }
    if not isinstance(report, dict):
        return {"the report": f"an object of type {type(report).__name__}"} | after
    kinds = ("missing", "unexpected", "mismatched")
    lists = {kind: report.get(kind) for kind in kinds}
    plain = {k: list(v) if isinstance(v, tuple) else v for k, v in lists.items()}
    told = {
        k: ", ".join(map(str, v)) or "none" if isinstance(v, list) else v for k, v in plain.items()
    }
    return {f'"{kind}"': told[kind] for kind in kinds} | after


def like(model, g, without=(), **others):
    """Make a state dict with the model's names and shapes, without some, and with others."""
    own = {k: v for k, v in model.state_dict().items() if k not in without}
    state = {k: numbers(g, *v.shape) if v.is_floating_point() else v + 5 for k, v in own.items()}
    return state | {name.replace("_", "."): numbers(g, *shape) for name, shape in others.items()}


@load_matching.probe
def another_head(g):
    model = fill(nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)), g)
    return model, like(model, g, **{"1_weight": (5, 4), "1_bias": (5,)})


@load_matching.probe
def all_three(g):
    model = fill(network(), g)
    changed = {"0_weight": (4, 2), "4_bias": (1,), "7_weight": (2, 2), "6_bias": (3,)}
    return model, like(model, g, ("1.weight", "1.running_var", "4.weight"), **changed)


@load_matching.probe
def a_buffer_of_another_size(g):
    model = fill(network(5, 3), g)
    changed = {"0_bias": (), "extra_scale": (1,), "4_weight": (5, 3)}  # the weight lies on its side
    state = like(model, g, ("0.weight", "1.num_batches_tracked"), **changed)
    return model, state | {"1.running_mean": numbers(g, 1)}


@load_matching.probe
def of_another_dtype(g):
    model = fill(network(3), g).float()
    model[0].requires_grad_(False)
    return model, like(model, g) | {"1.num_batches_tracked": torch.tensor([3])}


@load_matching.probe
def a_tied_model(g):
    model = fill(Tied(), g)
    state = like(model, g)
    return model, state | {"back.weight": state["there.weight"], "mask": numbers(g, 3)}


@load_matching.alternative("By hand, with `copy_` under `no_grad`.")
def copied_by_hand(model, state):
    own = model.state_dict()
    report = {"missing": [], "unexpected": [], "mismatched": []}
    for name in sorted({*own, *state}):
        if name not in state:
            report["missing"].append(name)
        elif name not in own:
            report["unexpected"].append(name)
        elif own[name].shape != state[name].shape:
            report["mismatched"].append(name)
        else:
            with torch.no_grad():
                own[name].copy_(state[name])
    return report


@load_matching.alternative(
    "A full state dict with the fitting values put in: strict loading then checks it."
)
def filled_up(model, state):
    own = dict(model.state_dict())
    wrong = sorted(n for n in own if n in state and own[n].shape != state[n].shape)
    new = {n: state[n] if n in state and n not in wrong else own[n] for n in own}
    model.load_state_dict(new)
    return {
        "mismatched": wrong,
        "missing": sorted(set(own) - set(state)),
        "unexpected": sorted(set(state) - set(own)),
    }


@load_matching.alternative("The notes of `load_state_dict` give two of the three lists.")
def from_the_notes(model, state):
    own = model.state_dict()
    wrong = [n for n, v in state.items() if n in own and own[n].shape != v.shape]
    rest = {n: v for n, v in state.items() if n not in wrong}
    notes = model.load_state_dict(rest, strict=False)
    missing = sorted(n for n in notes.missing_keys if n not in wrong)
    counters = {n for n in own if n.endswith("num_batches_tracked") and n not in state}
    return {
        "missing": sorted({*missing, *counters}),
        "unexpected": sorted(notes.unexpected_keys),
        "mismatched": sorted(wrong),
    }


@load_matching.misconception(
    title="Relied on strict=False alone",
    why="`strict=False` forgives names, not shapes: a tensor of another size under a known name raises an error all the same.",
    next="Sort out the wrong shapes before you load.",
    link="names-that-do-not-fit",
)
def strict_false_alone(model, state):
    notes = model.load_state_dict(state, strict=False)
    return {
        "missing": sorted(notes.missing_keys),
        "unexpected": sorted(notes.unexpected_keys),
        "mismatched": [],
    }


@load_matching.misconception(
    title="What does not fit in shape is reported as missing",
    why="The name is in both, so it is neither missing nor unexpected. Whoever reads the report must see that the shape is what "
    "differs.",
    next="Compare the names of the whole `state` with those of the model.",
    link="names-that-do-not-fit",
)
def mismatched_as_missing(model, state):
    own = model.state_dict()
    needed, given = set(own), set(state)
    shared = needed & given
    fitting = {name: state[name] for name in shared if own[name].shape == state[name].shape}
    model.load_state_dict(fitting, strict=False)
    return {
        "missing": sorted(needed - set(fitting)),
        "unexpected": sorted(given - needed),
        "mismatched": sorted(shared - set(fitting)),
    }


@load_matching.misconception(
    title="Missing and unexpected are swapped",
    why="Seen from the model: missing is what it needs and does not get, unexpected is what it gets and has no place for.",
    next="Turn the two differences round.",
    link="names-that-do-not-fit",
)
def swapped_lists(model, state):
    own = model.state_dict()
    needed, given = set(own), set(state)
    shared = needed & given
    fitting = {name: state[name] for name in shared if own[name].shape == state[name].shape}
    model.load_state_dict(fitting, strict=False)
    return {
        "missing": sorted(given - needed),
        "unexpected": sorted(needed - given),
        "mismatched": sorted(shared - set(fitting)),
    }


@load_matching.misconception(
    title="Compared the number of elements",
    why="Four rows of three and three rows of four are twelve numbers both, and mean different things. Reshaping one into the other "
    "mixes up the weights without an error.",
    next="Compare the whole shapes.",
    link="names-that-do-not-fit",
)
def compared_sizes(model, state):
    own = model.state_dict()
    needed, given = set(own), set(state)
    shared = needed & given
    fitting = {
        name: state[name].reshape(own[name].shape)
        for name in shared
        if own[name].numel() == state[name].numel()
    }
    model.load_state_dict(fitting, strict=False)
    return {
        "missing": sorted(needed - given),
        "unexpected": sorted(given - needed),
        "mismatched": sorted(shared - set(fitting)),
    }


@load_matching.misconception(
    title="Looked at the parameters only",
    why="Buffers, such as BatchNorm's running statistics, are values of the model, too. Here they are neither loaded nor known: the "
    "file's come out as unexpected.",
    next="`model.state_dict()` has parameters and buffers.",
    link="a-dictionary-of-tensors",
)
def without_buffers(model, state):
    own = dict(model.named_parameters())
    needed, given = set(own), set(state)
    shared = needed & given
    fitting = {name: state[name] for name in shared if own[name].shape == state[name].shape}
    model.load_state_dict(fitting, strict=False)
    return {
        "missing": sorted(needed - given),
        "unexpected": sorted(given - needed),
        "mismatched": sorted(shared - set(fitting)),
    }


@load_matching.misconception(
    title="Relied on the notes for what is missing",
    why="For a dictionary without version numbers, `load_state_dict` takes a missing `num_batches_tracked` for that of an older PyTorch, "
    "and does not mention it. It is in the model's state dict, and not in `state`.",
    next="Compare the names yourself.",
    link="names-that-do-not-fit",
)
def relied_on_the_notes(model, state):
    own = model.state_dict()
    wrong = [n for n, v in state.items() if n in own and own[n].shape != v.shape]
    rest = {n: v for n, v in state.items() if n not in wrong}
    notes = model.load_state_dict(rest, strict=False)
    return {
        "missing": sorted(n for n in notes.missing_keys if n not in wrong),
        "unexpected": sorted(notes.unexpected_keys),
        "mismatched": sorted(wrong),
    }


@load_matching.misconception(
    title="The model lives in the tensors of state now",
    why="With `assign=True` the given tensors become the model's own parameters. Training then changes `state` as well, and an optimizer "
    "that was made before trains parameters that the model no longer has.",
    next="Let the values be copied.",
    link="names-that-do-not-fit",
    shows="the model and `state` share memory",
)
def assigned_the_tensors(model, state):
    own = model.state_dict()
    needed, given = set(own), set(state)
    shared = needed & given
    fitting = {name: state[name] for name in shared if own[name].shape == state[name].shape}
    model.load_state_dict(fitting, strict=False, assign=True)
    return {
        "missing": sorted(needed - given),
        "unexpected": sorted(given - needed),
        "mismatched": sorted(shared - set(fitting)),
    }


@load_matching.misconception(
    title="Asked for the same dtype as well",
    why="Another dtype is no other shape: the values are converted while they are copied. Here they are neither loaded nor reported.",
    next="Compare names and shapes only.",
    link="names-that-do-not-fit",
)
def asked_for_the_dtype(model, state):
    own = model.state_dict()
    needed, given = set(own), set(state)
    shared = needed & given
    wrong = {name for name in shared if own[name].shape != state[name].shape}
    fitting = {n: state[n] for n in shared - wrong if own[n].dtype == state[n].dtype}
    model.load_state_dict(fitting, strict=False)
    return {
        "missing": sorted(needed - given),
        "unexpected": sorted(given - needed),
        "mismatched": sorted(wrong),
    }


@load_matching.misconception(
    title="The report is right, and nothing was loaded",
    why="A dictionary is not the model, not even the one that `state_dict()` gives: it is a new one on every call. Another tensor put "
    "into it, or set as the `.data` of its entries, does not get into the model.",
    next="Let the model take them.",
    link="names-that-do-not-fit",
)
def loaded_nothing(model, state):
    own = model.state_dict()
    needed, given = set(own), set(state)
    shared = needed & given
    fitting = {name: state[name] for name in shared if own[name].shape == state[name].shape}
    own.update(fitting)
    return {
        "missing": sorted(needed - given),
        "unexpected": sorted(given - needed),
        "mismatched": sorted(shared - set(fitting)),
    }


@load_matching.misconception(
    title="Let copy_ broadcast",
    why="`copy_` stretches a smaller tensor over a larger one, as every operation does: a bias of one number fills all of them. The "
    "shapes have to be compared first.",
    next="Compare the shapes; what differs goes into the report.",
    link="names-that-do-not-fit",
)
def let_it_broadcast(model, state):
    own = model.state_dict()
    needed, given = set(own), set(state)
    wrong = []
    for name in needed & given:
        try:
            own[name].copy_(state[name])
        except RuntimeError:
            wrong.append(name)
    return {
        "missing": sorted(needed - given),
        "unexpected": sorted(given - needed),
        "mismatched": sorted(wrong),
    }


# Checkpoints --------------------------------------------------------------------------------------


def whole(path):
    """Say whether a file is complete: one that torch wrote to its end."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (OSError, zipfile.BadZipFile, EOFError):
        pass
    try:
        torch.load(path, weights_only=True)
    except Exception:  # a half-written file may raise anything
        return False
    return True


class Watch:
    """Looks at a file whenever a call of the code inside returns, and notes what a kill would leave."""

    def __init__(self, path):
        self.path, self.last = path, stamp(path)
        self.states = []

    def __call__(self, frame, event, argument):
        if event in ("c_return", "c_exception", "return"):
            now = stamp(self.path)
            if now != self.last:
                self.states.append(self.told(now))
                self.last = now

    def told(self, now):
        """Say what is wrong with the file as it lies there now; empty if nothing is.

        A file that was put in the place of the old one has another number on the disk. One with the
        same number was written into: between two looks it was neither the old nor the new one.
        """
        if now is None:
            return "no file"
        written_into = self.last is not None and now[0] and now[0] == self.last[0]
        return "cut off" if written_into or not whole(self.path) else ""

    def __enter__(self):
        self.before = sys.getprofile()
        sys.setprofile(self)
        return self

    def __exit__(self, *_):
        sys.setprofile(self.before)
        self(None, "return", None)  # what another thread or program has done

    def worst(self):
        """Say what a kill at the worst moment would have left at the path."""
        return next((state for state in self.states if state), "a complete checkpoint")


class Killed(BaseException):
    """Stands for a kill where processes cannot be forked."""


def killer(folder, kill):
    """Make a watcher that kills as soon as anything in the folder has changed."""

    def state():
        return [(entry.name, entry.stat().st_size) for entry in os.scandir(folder)]

    before = state()

    def watch(frame, event, argument):
        if event in ("c_return", "return") and state() != before:
            sys.setprofile(None)
            kill()

    return watch


def kill_this_process():
    os.kill(os.getpid(), signal.SIGKILL)


def stop_this_call():
    raise Killed


def save_and_be_killed(answer, path, *parts):
    """Let an answer save in a process of its own, and `kill -9` that as soon as it has begun to write.

    Where processes cannot be forked, an exception ends the answer at that point instead.
    """
    if not hasattr(os, "fork"):
        sys.setprofile(killer(path.parent, stop_this_call))
        with contextlib.suppress(Killed):
            answer(path, *parts)
        sys.setprofile(None)
        return
    child = os.fork()
    if not child:
        try:
            sys.setprofile(killer(path.parent, kill_this_process))
            answer(path, *parts)
        finally:
            os._exit(0)
    deadline = time.monotonic() + 2
    while not os.waitpid(child, os.WNOHANG)[0]:
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.001)


@contextlib.contextmanager
def elsewhere_is_another_disk(folder):
    """Let files move within a folder only, as if the rest lay on another file system."""

    tried = []

    def guarded(move):
        def within(source, target, **settings):
            if folder not in Path(source).resolve().parents:
                tried.append(source)
                told = f"{os.strerror(errno.EXDEV)}: this file is not in the folder of `path`"
                raise OSError(errno.EXDEV, told)
            return move(source, target, **settings)

        return within

    with (
        mock.patch.object(os, "replace", guarded(os.replace)),
        mock.patch.object(os, "rename", guarded(os.rename)),
    ):
        yield tried


def next_of_the_world():
    """Draw what the global generator would draw next, and leave it where it is."""
    state = torch.get_rng_state()
    drawn = torch.rand(1, dtype=torch.float64).item()
    torch.set_rng_state(state)
    return drawn


def train_on(model, optimizer, schedule, batches):
    """Take a step for each batch, with dropout, and one of the schedule."""
    for inputs, targets in batches:
        loss = F.mse_loss(model(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()


def batches_of(g, count, outputs=2):
    return [(numbers(g, 5, 3), numbers(g, 5, outputs)) for _ in range(count)]


PARTS = ("model", "optimizer", "schedule", "epoch", "rng")
WHAT_A_KILL_LEAVES = "what a kill at the worst moment leaves at `path`"


@exercise(
    level="independent",
    minutes=15,
    why="Everything that the rest of the run depends on is in the file, and the file gets its name only when it is complete.",
    hints=(
        "Model, optimizer and schedule each have a `state_dict()`; `torch.get_rng_state()` is the random state.",
        'Write into another file in the same folder first: `path.with_name(path.name + ".tmp")`. As long as you write there, the old '
        "checkpoint lies untouched.",
        "When it is written, the `replace` method of its path puts it in the old one's place, in one step.",
    ),
)
def save_checkpoint(path: Path, model: nn.Module, optimizer, schedule, epoch: int) -> None:
    """Save all that is needed to go on with a training, so that a kill at any moment does no harm.

    path: a `pathlib.Path`. Its folder exists, and an older checkpoint may lie there under this name.
    model: any module. optimizer and schedule: each has a method `state_dict()`, as the model has.
    epoch: how many epochs are done.

    The file is a dictionary with the keys "model", "optimizer" and "schedule" (their state dicts),
    "epoch" (the number) and "rng" (PyTorch's random state on the CPU). `weights_only=True` loads it.

    Until the new checkpoint is complete, the old one lies at `path`; at every moment there is one or
    the other. A rename cannot reach another disk, so write in the folder of `path`. When a save is
    done, it leaves no other file. One that an earlier save left, killed before its end, may stay, and
    must not keep later saves from working. The run goes on as if nothing had been saved: no random
    number is drawn, and mode, gradients and working folder stay as they were.
    """
    # solution:
    parts = {"model": model, "optimizer": optimizer, "schedule": schedule}
    checkpoint = {name: part.state_dict() for name, part in parts.items()}
    checkpoint |= {"epoch": epoch, "rng": torch.get_rng_state()}
    temporary = path.with_name(path.name + ".tmp")
    torch.save(checkpoint, temporary)
    temporary.replace(path)
    # end solution


def read_checkpoint(path):
    """Observe what a checkpoint holds, part by part."""
    try:
        found = torch.load(path, weights_only=True)
    except Exception:  # the student's file may hold anything
        return {
            "`weights_only=True` can load it": False,
            "what was saved as an object": saved_parts(path),
        }
    seen = {"`weights_only=True` can load it": True}
    if not isinstance(found, dict):
        return seen | {"what the file holds": f"a {type(found).__name__}"}
    held = [part for part in PARTS if part in found]
    seen["what the file holds"] = ", ".join(held) or "none of the five keys"
    for part in held:
        value = found[part]
        seen[f'"{part}"'] = in_order(value) if part == "model" else value
    return seen


def saved_parts(path):
    """Say which parts of a checkpoint were saved as objects."""
    try:
        found = torch.load(path, weights_only=False)
        return ", ".join(sorted(part for part in found if not isinstance(found[part], dict)))
    except Exception:  # the student's file may hold anything
        return "unreadable"


@save_checkpoint.drive
def save_under_watch(answer, path, model, optimizer, schedule, epoch, killed):
    torch.rand(epoch + 3)  # the run has drawn some numbers
    with a_folder() as folder, elsewhere_is_another_disk(folder) as tried:
        path = folder / path
        torch.save({"epoch": "an older checkpoint"}, path)
        due = next_of_the_world()
        witness = Witness(model, (folder.parent,))
        with Watch(path) as watch:
            answer(path, model, optimizer, schedule, epoch)
        left = sorted(entry.name for entry in folder.iterdir() if entry != path)
        seen = {
            WHAT_A_KILL_LEAVES: watch.worst(),
            "other files left in the folder": len(left),
            "the random numbers that follow are others": next_of_the_world() != due,
            WHAT_ELSE: witness.told(),
            "a rename from another folder was tried": Extra(bool(tried)),
        }
        if not path.is_file():
            return seen | {"what the file holds": "there is no file"}
        seen |= read_checkpoint(path)
        if killed:
            old = folder / "killed.pt"
            torch.save({"epoch": "an older checkpoint"}, old)
            save_and_be_killed(answer, old, model, optimizer, schedule, epoch)
            seen["after a real `kill -9` a complete checkpoint is there"] = whole(old)
            seen["after that kill the next save works"] = saves(
                answer, old, model, optimizer, schedule
            )
        return seen


def saves(answer, path, *parts):
    """Say whether an answer saves a checkpoint, whatever an earlier one has left in the folder."""
    try:
        answer(path, *parts, 41)
        return torch.load(path, weights_only=True)["epoch"] == 41
    except Exception:  # the student's code, and the student's file
        return False


def a_run(g, build, optimizer, schedule, steps=3, outputs=2):
    """Train for a few steps, so that everything in a checkpoint has something to say."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(5)
        model = fill(build(), g)
        optimizer = optimizer(model.parameters())
        schedule = schedule(optimizer)
        train_on(model, optimizer, schedule, batches_of(g, steps, outputs))
    return model, optimizer, schedule


def adam(parameters):
    return torch.optim.Adam(parameters, lr=0.05)


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.1, momentum=0.9)


def halving(optimizer):
    return torch.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)


def two_rates(parameters):
    """Give the first two parameters, and all the others, a learning rate of their own."""
    first, second, *others = parameters
    return torch.optim.Adam([{"params": [first, second]}, {"params": others, "lr": 0.2}], lr=0.05)


def warm_up_then_halving(optimizer):
    """Two schedules, one after the other: each counts its own steps."""
    warm_up = torch.optim.lr_scheduler.LinearLR(optimizer, 0.2, total_iters=2)
    both = [warm_up, halving(optimizer)]
    return torch.optim.lr_scheduler.SequentialLR(optimizer, both, milestones=[2])


def one_cycle(optimizer):
    return torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.2, total_steps=12)


@save_checkpoint.probe
def sgd_and_steps(g):
    return RUN, *a_run(g, lambda: nn.Linear(3, 2), sgd, halving), 3, True


@save_checkpoint.probe
def adam_and_one_cycle(g):
    return Path("second.pt"), *a_run(g, network, adam, one_cycle, 4), 2, False


@save_checkpoint.probe
def before_the_first_epoch(g):
    return RUN, *a_run(g, lambda: network(5, 1), adam, halving, 1, 1), 0, False


@save_checkpoint.alternative(
    "Written into memory first, then into a temporary file, and forced onto the disk."
)
def forced_onto_the_disk(path, model, optimizer, schedule, epoch):
    states = [part.state_dict() for part in (model, optimizer, schedule)]
    checkpoint = dict(zip(PARTS, [*states, epoch, torch.get_rng_state()], strict=True))
    temporary = path.parent / f".{path.name}.part"
    with temporary.open("wb") as file:
        torch.save(checkpoint, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


@save_checkpoint.alternative(
    "`tempfile` invents a name that nobody else has, in the folder that it is told."
)
def with_tempfile(path, model, optimizer, schedule, epoch):
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        torch.save(
            {
                "epoch": epoch,
                "rng": torch.random.get_rng_state(),
                "schedule": schedule.state_dict(),
                "optimizer": optimizer.state_dict(),
                "model": model.state_dict(),
                "note": "anything else may be in it, too",
            },
            file.name,
        )
    os.rename(file.name, path)  # noqa: PTH104  (as people write it on Linux)


@save_checkpoint.alternative("A folder of one's own beside it, and `shutil.move`.")
def by_way_of_a_folder(path, model, optimizer, schedule, epoch):
    checkpoint = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
    checkpoint.update(schedule=schedule.state_dict(), epoch=epoch)
    checkpoint["rng"] = torch.default_generator.get_state()
    with tempfile.TemporaryDirectory(dir=path.parent) as inside:
        torch.save(checkpoint, Path(inside) / "new.pt")
        shutil.move(Path(inside) / "new.pt", path)


@save_checkpoint.misconception(
    title="Wrote straight over the old checkpoint",
    why="`torch.save` empties the file first and fills it then. Killed in between, and long runs are killed, you have neither the "
    "new checkpoint nor the old one. The check killed it there.",
    next="Write another file, and give it the name when it is complete.",
    link="killed-while-writing",
    shows=WHAT_A_KILL_LEAVES,
)
def straight_over_it(path, model, optimizer, schedule, epoch):
    parts = {"model": model, "optimizer": optimizer, "schedule": schedule}
    checkpoint = {name: part.state_dict() for name, part in parts.items()}
    checkpoint |= {"epoch": epoch, "rng": torch.get_rng_state()}
    torch.save(checkpoint, path)


@save_checkpoint.misconception(
    title="Removed the old one before the new one had its name",
    why="Between the two lines there is no checkpoint at all under this name. It is a short moment; of a thousand kills one falls into "
    "it.",
    next="`os.replace` puts the new file in the old one's place, without removing that first.",
    link="killed-while-writing",
    shows=WHAT_A_KILL_LEAVES,
)
def removed_the_old_one(path, model, optimizer, schedule, epoch):
    parts = {"model": model, "optimizer": optimizer, "schedule": schedule}
    checkpoint = {name: part.state_dict() for name, part in parts.items()}
    checkpoint |= {"epoch": epoch, "rng": torch.get_rng_state()}
    temporary = path.with_name(path.name + ".tmp")
    torch.save(checkpoint, temporary)
    path.unlink(missing_ok=True)
    temporary.rename(path)


@save_checkpoint.misconception(
    title="Copied the finished file over the old one",
    why="A copy is written piece by piece, as `torch.save` writes: the old file is emptied first. The temporary file has gained you "
    "nothing, and it is left behind.",
    next="Move it instead: within one folder that is a single step.",
    link="killed-while-writing",
    shows=WHAT_A_KILL_LEAVES,
)
def copied_over_it(path, model, optimizer, schedule, epoch):
    parts = {"model": model, "optimizer": optimizer, "schedule": schedule}
    checkpoint = {name: part.state_dict() for name, part in parts.items()}
    checkpoint |= {"epoch": epoch, "rng": torch.get_rng_state()}
    temporary = path.with_name(path.name + ".tmp")
    torch.save(checkpoint, temporary)
    shutil.copyfile(temporary, path)


@save_checkpoint.misconception(
    title="The temporary file lies in another folder",
    why="A rename reaches no further than one file system, and another folder, such as the system's for temporary files, may lie on "
    "another one. The check treats every other folder so, and there `os.replace` raises an error.",
    next="Make the temporary file in `path.parent`.",
    link="killed-while-writing",
)
def temporary_elsewhere(path, model, optimizer, schedule, epoch):
    parts = {"model": model, "optimizer": optimizer, "schedule": schedule}
    checkpoint = {name: part.state_dict() for name, part in parts.items()}
    checkpoint |= {"epoch": epoch, "rng": torch.get_rng_state()}
    temporary = Path(tempfile.gettempdir()) / "checkpoint.tmp"
    torch.save(checkpoint, temporary)
    temporary.replace(path)


@save_checkpoint.misconception(
    title="Moved it here from another folder",
    why="Where a rename is not possible, `shutil.move` copies: piece by piece over the old checkpoint, which is emptied first. The check "
    "treats every other folder as another disk, as the system's for temporary files often is.",
    next="Make the temporary file in `path.parent`.",
    link="killed-while-writing",
    shows=WHAT_A_KILL_LEAVES,
)
def moved_from_elsewhere(path, model, optimizer, schedule, epoch):
    parts = {"model": model, "optimizer": optimizer, "schedule": schedule}
    checkpoint = {name: part.state_dict() for name, part in parts.items()}
    checkpoint |= {"epoch": epoch, "rng": torch.get_rng_state()}
    temporary = Path(tempfile.gettempdir()) / "checkpoint.tmp"
    torch.save(checkpoint, temporary)
    shutil.move(temporary, path)


@save_checkpoint.misconception(
    title="A leftover of a kill stops every later save",
    why='The mode "xb" makes a new file, and raises an error where there is one. A save that was killed has left its temporary file, under '
    "this very name.",
    next='Write over whatever lies there: mode "wb", or the path itself.',
    link="killed-while-writing",
    shows="after that kill the next save works",
)
def stopped_by_a_leftover(path, model, optimizer, schedule, epoch):
    parts = {"model": model, "optimizer": optimizer, "schedule": schedule}
    checkpoint = {name: part.state_dict() for name, part in parts.items()}
    checkpoint |= {"epoch": epoch, "rng": torch.get_rng_state()}
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("xb") as file:
        torch.save(checkpoint, file)
    temporary.replace(path)


@save_checkpoint.misconception(
    title="Left the model in eval mode",
    why="A checkpoint needs no mode. The training that goes on after it runs without dropout, and BatchNorm's statistics stand still.",
    next="Leave the mode alone.",
    link="loading-it-back",
    shows=WHAT_ELSE,
)
def eval_mode_is_left(path, model, optimizer, schedule, epoch):
    model.eval()
    parts = {"model": model, "optimizer": optimizer, "schedule": schedule}
    checkpoint = {name: part.state_dict() for name, part in parts.items()}
    checkpoint |= {"epoch": epoch, "rng": torch.get_rng_state()}
    temporary = path.with_name(path.name + ".tmp")
    torch.save(checkpoint, temporary)
    temporary.replace(path)


@save_checkpoint.misconception(
    title="The optimizer is not in it",
    why="Adam's averages and SGD's velocity are the memory of the run. A new optimizer begins with none, and takes other steps.",
    next="Save the optimizer's state dict, too.",
    link="the-full-checkpoint",
    shows="what the file holds",
)
def without_the_optimizer(path, model, optimizer, schedule, epoch):
    parts = {"model": model, "schedule": schedule}
    checkpoint = {name: part.state_dict() for name, part in parts.items()}
    checkpoint |= {"epoch": epoch, "rng": torch.get_rng_state()}
    temporary = path.with_name(path.name + ".tmp")
    torch.save(checkpoint, temporary)
    temporary.replace(path)


@save_checkpoint.misconception(
    title="The schedule is not in it",
    why="A schedule counts its steps. A new one begins at 0: the learning rate warms up again, or falls too late.",
    next="Save the schedule's state dict, too.",
    link="the-full-checkpoint",
    shows="what the file holds",
)
def without_the_schedule(path, model, optimizer, schedule, epoch):
    parts = {"model": model, "optimizer": optimizer}
    checkpoint = {name: part.state_dict() for name, part in parts.items()}
    checkpoint |= {"epoch": epoch, "rng": torch.get_rng_state()}
    temporary = path.with_name(path.name + ".tmp")
    torch.save(checkpoint, temporary)
    temporary.replace(path)


@save_checkpoint.misconception(
    title="The random state is not in it",
    why="Shuffling, dropout and augmentation draw random numbers. Without the state, a run that goes on draws others than the run that "
    "was never stopped.",
    next="Save `torch.get_rng_state()`.",
    link="the-full-checkpoint",
    shows="what the file holds",
)
def without_the_random_state(path, model, optimizer, schedule, epoch):
    parts = {"model": model, "optimizer": optimizer, "schedule": schedule}
    checkpoint = {name: part.state_dict() for name, part in parts.items()}
    checkpoint["epoch"] = epoch
    temporary = path.with_name(path.name + ".tmp")
    torch.save(checkpoint, temporary)
    temporary.replace(path)


@save_checkpoint.misconception(
    title="Saved the seed instead of the state",
    why="The seed says where the random numbers began. The run has drawn from them since, and the state says how far it has come.",
    next="`torch.get_rng_state()` is the state.",
    link="the-full-checkpoint",
    shows='"rng"',
)
def the_seed(path, model, optimizer, schedule, epoch):
    parts = {"model": model, "optimizer": optimizer, "schedule": schedule}
    checkpoint = {name: part.state_dict() for name, part in parts.items()}
    checkpoint |= {"epoch": epoch, "rng": torch.initial_seed()}
    temporary = path.with_name(path.name + ".tmp")
    torch.save(checkpoint, temporary)
    temporary.replace(path)


@save_checkpoint.misconception(
    title="Saved the objects themselves",
    why="Model, optimizer and schedule go into the file as Python objects. Loading them means running code that the file names, which "
    "`weights_only=True` refuses.",
    next="Save the state dict of each.",
    link="architecture-in-code-values-in-a-file",
    shows="`weights_only=True` can load it",
)
def the_objects(path, model, optimizer, schedule, epoch):
    checkpoint = {"model": model, "optimizer": optimizer, "schedule": schedule}
    checkpoint |= {"epoch": epoch, "rng": torch.get_rng_state()}
    temporary = path.with_name(path.name + ".tmp")
    torch.save(checkpoint, temporary)
    temporary.replace(path)


@save_checkpoint.misconception(
    title="The parameters without the buffers",
    why="BatchNorm's running statistics are not among the parameters, but belong to the model. Without them it predicts otherwise.",
    next="`model.state_dict()` has both.",
    link="a-dictionary-of-tensors",
    shows='"model"',
)
def without_the_buffers(path, model, optimizer, schedule, epoch):
    parts = {"optimizer": optimizer, "schedule": schedule}
    checkpoint = {name: part.state_dict() for name, part in parts.items()}
    checkpoint |= {"epoch": epoch, "rng": torch.get_rng_state()}
    checkpoint["model"] = dict(model.named_parameters())
    temporary = path.with_name(path.name + ".tmp")
    torch.save(checkpoint, temporary)
    temporary.replace(path)


@exercise(
    level="independent",
    minutes=12,
    why="Every part gets its state back, in place, and the random state comes last, when nothing draws from it any more.",
    hints=(
        "Read the file as you did in `load_on_cpu`, then let each of the three parts take its own state dict.",
        '`torch.set_rng_state` puts the random state back. It has to be a tensor on the CPU, which `map_location="cpu"` sees to.',
    ),
    equivalent_mutants=("checkpoint = torch.load(path, map_location='cpu')",),  # since PyTorch 2.6
)
def load_checkpoint(path: Path, model: nn.Module, optimizer, schedule) -> int:
    """Bring a training back to where it was when a checkpoint was saved.

    path: a checkpoint as `save_checkpoint` writes it: a dictionary with "model", "optimizer",
    "schedule", "epoch" and "rng". It may come from a machine with a GPU that is not here, and code in
    it must not run. If one of the model's names is missing in it, or one too many, or a shape does not
    fit, an error must rise; what the model holds after an error does not matter. The file stays as
    it is.
    model: built as the one that was saved. optimizer and schedule likewise, perhaps with other rates.
    All three are changed in place; what the file holds counts. The model's mode stays as it is.
    Returns how many epochs are done. Whoever trains on from there gets exactly what the run would have
    got that was never stopped: parameters, optimizer, learning rate, random numbers.
    """
    # solution:
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    model.load_state_dict(checkpoint["model"])
    optimizer.load_state_dict(checkpoint["optimizer"])
    schedule.load_state_dict(checkpoint["schedule"])
    torch.set_rng_state(checkpoint["rng"])
    return checkpoint["epoch"]
    # end solution


def checkpoint_of(model, optimizer, schedule, epoch):
    states = [part.state_dict() for part in (model, optimizer, schedule)]
    return dict(zip(PARTS, [*states, epoch, torch.get_rng_state()], strict=True))


def write_checkpoint(data, path, from_gpu):
    """Write a checkpoint whose tensors, the random state aside, come from a GPU."""
    if not from_gpu:
        torch.save(data, path)
        return
    on_cpu = data["rng"].untyped_storage().nbytes()

    def tag(storage):
        return "cpu" if storage.nbytes() == on_cpu else FAR_AWAY

    with mock.patch.object(torch.serialization, "location_tag", tag):
        torch.save(data, path)


@load_checkpoint.drive
def stop_and_go_on(answer, path, model, optimizer, schedule, begun, batches, epoch, from_gpu):
    fresh = model, optimizer, schedule
    torch.rand(epoch + 1)  # the run has drawn some numbers
    with a_folder() as folder:
        path = folder / path
        data = checkpoint_of(*begun, epoch)
        write_checkpoint(data, path, from_gpu)
        torch.rand(7)  # another program draws others
        witness = Witness(model, (folder.parent, folder))
        done = answer(path, *fresh)
        seen = {
            "the epochs done": done,
            WHAT_ELSE: witness.told(),
            "the parameters and buffers after loading": values_of(model),
        }
        train_on(model.train(), optimizer, schedule, batches)
        trap = folder / "trap.pt"
        wrong = {} if from_gpu else misfits(data["model"])  # once is enough: it takes its time
        drawn = next_of_the_world()
        spare = copy.deepcopy(fresh)

        def load(path):
            answer(path, *spare)

        return seen | {
            "the next random number": drawn,
            "the learning rates after more steps": [g["lr"] for g in optimizer.param_groups],
            "the parameters and buffers after more steps": values_of(model),
            "the optimizer's state after more steps": optimizer.state_dict()["state"],
            "how many steps the schedule counts": schedule.state_dict()["last_epoch"],
            CODE_RAN: springs(load, data, trap),
            **{
                due: refuses(load, data | {"model": state}, folder / "wrong.pt")
                for due, state in wrong.items()
            },
        }


@load_checkpoint.probe
def resumed_sgd(g):
    begun = a_run(g, lambda: nn.Linear(3, 2), sgd, halving)
    fresh = a_run(g, lambda: nn.Linear(3, 2), sgd, halving, 0)
    return RUN, *fresh, begun, batches_of(g, 3), 2, False


@load_checkpoint.probe
def resumed_adam_from_a_gpu(g):  # dropout draws, and the schedule counts steps, not epochs
    begun = a_run(g, network, adam, one_cycle, 5)
    fresh = a_run(g, network, lambda p: torch.optim.Adam(p, lr=0.3), one_cycle, 0)
    return RUN, *fresh, begun, batches_of(g, 4), 3, True


@load_checkpoint.probe
def resumed_late(g):
    begun = a_run(g, lambda: network(6), two_rates, warm_up_then_halving, 3)
    fresh = a_run(g, lambda: network(6), two_rates, warm_up_then_halving, 0)
    fresh[0].eval()
    return RUN, *fresh, begun, batches_of(g, 3), 7, True


@load_checkpoint.alternative("In another order: each part is on its own.")
def the_other_way_round(path, model, optimizer, schedule):
    with path.open("rb") as file:
        found = torch.load(file, map_location=torch.device("cpu"), weights_only=True)
    torch.random.set_rng_state(found["rng"])
    schedule.load_state_dict(found.pop("schedule"))
    optimizer.load_state_dict(found.pop("optimizer"))
    model.load_state_dict(found.pop("model"))
    return int(found["epoch"])


@load_checkpoint.alternative("One loop for the three parts.")
def in_a_loop(path, model, optimizer, schedule):
    found = torch.load(str(path), lambda storage, location: storage, weights_only=True)
    parts = {"model": model, "optimizer": optimizer, "schedule": schedule}
    for name, part in parts.items():
        part.load_state_dict(found[name])
    torch.default_generator.set_state(found["rng"])
    return found["epoch"]


@load_checkpoint.alternative("The state of the generator can be put back byte by byte, too.")
def state_made_sure(path, model, optimizer, schedule):
    found = torch.load(path, map_location="cpu", weights_only=True)
    torch.set_rng_state(found["rng"].to("cpu", torch.uint8).clone())
    model.load_state_dict(copy.deepcopy(found["model"]), strict=True)
    optimizer.load_state_dict(found["optimizer"])
    schedule.load_state_dict(found["schedule"])
    return found["epoch"]


@load_checkpoint.misconception(
    title="The optimizer begins anew",
    why="Its averages are all zero, and Adam takes its first steps as if the run had begun now. Sometimes the curve even "
    "looks better. It is not the same run.",
    next="Give the optimizer its state back.",
    link="resuming",
)
def optimizer_anew(path, model, optimizer, schedule):
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    model.load_state_dict(checkpoint["model"])
    schedule.load_state_dict(checkpoint["schedule"])
    torch.set_rng_state(checkpoint["rng"])
    return checkpoint["epoch"]


@load_checkpoint.misconception(
    title="The schedule begins anew",
    why="It counts its steps from 0 again, so the learning rate takes another way from here.",
    next="Give the schedule its state back.",
    link="resuming",
)
def schedule_anew(path, model, optimizer, schedule):
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    model.load_state_dict(checkpoint["model"])
    optimizer.load_state_dict(checkpoint["optimizer"])
    torch.set_rng_state(checkpoint["rng"])
    return checkpoint["epoch"]


@load_checkpoint.misconception(
    title="Set the schedule to the epoch",
    why="A schedule counts its own steps. There may be several in an epoch, and then the number of epochs is not where it was.",
    next="Its state dict knows where it was.",
    link="resuming",
)
def schedule_by_the_epoch(path, model, optimizer, schedule):
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    model.load_state_dict(checkpoint["model"])
    optimizer.load_state_dict(checkpoint["optimizer"])
    schedule.last_epoch = checkpoint["epoch"]
    torch.set_rng_state(checkpoint["rng"])
    return checkpoint["epoch"]


@load_checkpoint.misconception(
    title="Restored the schedule's counter only",
    why="A schedule may hold more than its count: one that is made of two counts the steps of each. The rate takes another way from here.",
    next="Give it the whole of its state.",
    link="resuming",
)
def counter_of_the_schedule(path, model, optimizer, schedule):
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    model.load_state_dict(checkpoint["model"])
    optimizer.load_state_dict(checkpoint["optimizer"])
    schedule.last_epoch = checkpoint["schedule"]["last_epoch"]
    torch.set_rng_state(checkpoint["rng"])
    return checkpoint["epoch"]


@load_checkpoint.misconception(
    title="The random numbers go on from somewhere else",
    why="Dropout, shuffling and augmentation draw from the state that this process happens to have. The run goes on, and not as it "
    "would have.",
    next="Put the random state back.",
    link="resuming",
    shows="the next random number",
)
def other_random_numbers(path, model, optimizer, schedule):
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    model.load_state_dict(checkpoint["model"])
    optimizer.load_state_dict(checkpoint["optimizer"])
    schedule.load_state_dict(checkpoint["schedule"])
    return checkpoint["epoch"]


@load_checkpoint.misconception(
    title="Seeded instead of restored",
    why="A seed begins a stream of random numbers. The run was in the middle of one.",
    next="`torch.set_rng_state` takes the state that was saved.",
    link="resuming",
    shows="the next random number",
)
def seeded_anew(path, model, optimizer, schedule):
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    model.load_state_dict(checkpoint["model"])
    optimizer.load_state_dict(checkpoint["optimizer"])
    schedule.load_state_dict(checkpoint["schedule"])
    torch.default_generator.manual_seed(0)
    return checkpoint["epoch"]


@load_checkpoint.misconception(
    title="Counted one epoch too many",
    why='"epoch" is the number of epochs that are done. Counting from 0, it is also the number of the next one: adding 1 skips it.',
    next="Return the number as it is.",
    link="resuming",
    shows="the epochs done",
)
def one_epoch_too_many(path, model, optimizer, schedule):
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    model.load_state_dict(checkpoint["model"])
    optimizer.load_state_dict(checkpoint["optimizer"])
    schedule.load_state_dict(checkpoint["schedule"])
    torch.set_rng_state(checkpoint["rng"])
    return checkpoint["epoch"] + 1


@load_checkpoint.misconception(
    title="The file may run code",
    why="A checkpoint as it is described here holds tensors, numbers, strings, lists and dictionaries. `weights_only=True` lets all of "
    "them through, so there is no reason to allow more.",
    next="Allow weights only.",
    link="a-file-that-runs-code",
    shows=CODE_RAN,
)
def anything_may_run(path, model, optimizer, schedule):
    checkpoint = torch.load(path, map_location="cpu", weights_only=False)
    model.load_state_dict(checkpoint["model"])
    optimizer.load_state_dict(checkpoint["optimizer"])
    schedule.load_state_dict(checkpoint["schedule"])
    torch.set_rng_state(checkpoint["rng"])
    return checkpoint["epoch"]


@load_checkpoint.misconception(
    title="Only on the machine that wrote it",
    why="Without `map_location`, `torch.load` brings every tensor back to the device that it came from. On a machine without that "
    "device it can't.",
    next="Read everything to the CPU; `load_state_dict` copies it to where the model is.",
    link="from-another-device",
)
def on_the_same_machine(path, model, optimizer, schedule):
    checkpoint = torch.load(path, weights_only=True)
    model.load_state_dict(checkpoint["model"])
    optimizer.load_state_dict(checkpoint["optimizer"])
    schedule.load_state_dict(checkpoint["schedule"])
    torch.set_rng_state(checkpoint["rng"])
    return checkpoint["epoch"]


@load_checkpoint.misconception(
    title="Looked at missing names only",
    why="A name too many is a warning, too: the checkpoint comes from another architecture, and a part of what was trained was thrown away.",
    next="Both kinds of misfit are an error. `load_state_dict` says so by itself, if you let it.",
    link="names-that-do-not-fit",
    shows=TOO_MANY,
)
def only_missing_names(path, model, optimizer, schedule):
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    notes = model.load_state_dict(checkpoint["model"], strict=False)
    if notes.missing_keys:
        raise KeyError(str(notes.missing_keys))
    optimizer.load_state_dict(checkpoint["optimizer"])
    schedule.load_state_dict(checkpoint["schedule"])
    torch.set_rng_state(checkpoint["rng"])
    return checkpoint["epoch"]


@load_checkpoint.misconception(
    title="Left the model in eval mode",
    why="A run that goes on trains, and a training without dropout, with BatchNorm's statistics standing still, is another run.",
    next="Leave the mode alone.",
    link="loading-it-back",
    shows=WHAT_ELSE,
)
def resumed_in_eval_mode(path, model, optimizer, schedule):
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    model.load_state_dict(checkpoint["model"])
    model.eval()
    optimizer.load_state_dict(checkpoint["optimizer"])
    schedule.load_state_dict(checkpoint["schedule"])
    torch.set_rng_state(checkpoint["rng"])
    return checkpoint["epoch"]


@load_checkpoint.misconception(
    title="Forgave names that do not fit",
    why="With `strict=False` a layer that is missing in the file keeps its random values, and the run goes on with it as if it had been "
    "trained.",
    next="Resume from a checkpoint of the same model, and let PyTorch check that.",
    link="names-that-do-not-fit",
)
def forgave_the_names(path, model, optimizer, schedule):
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    model.load_state_dict(checkpoint["model"], strict=False)
    optimizer.load_state_dict(checkpoint["optimizer"])
    schedule.load_state_dict(checkpoint["schedule"])
    torch.set_rng_state(checkpoint["rng"])
    return checkpoint["epoch"]


# When to stop -------------------------------------------------------------------------------------


@exercise(
    level="supported",
    minutes=8,
    why="The count begins at 0 with every new best, so only bad epochs in a row add up.",
    hints=(
        "Keep two things between the calls: the best loss so far, and how many epochs have passed since.",
        "A new best sets the count to 0; anything else adds 1. NaN is never smaller than anything.",
        "`math.inf` is a good best loss to begin with: the first real loss is lower.",
    ),
)
class EarlyStopping:
    """Say when to stop: when the validation loss has not improved for too long.

    EarlyStopping(patience) is made once per run; patience is at least 1. Its method `stop` is called
    after every epoch with the epoch's validation loss, a float, and returns True if the last
    `patience` epochs in a row brought no new best, else False. An epoch brings a new best if its loss
    is lower than `best`, however little. Its attribute `best` is infinity in the beginning, and each
    new best takes its place. A NaN never does, whenever it comes; the first loss is never infinite.
    """

    def __init__(self, patience: int):
        # solution:
        self.patience = patience
        self.best = math.inf
        self.waited = 0
        # end solution

    def stop(self, loss: float) -> bool:
        # solution:
        if loss < self.best:
            self.best = loss
            self.waited = 0
        else:
            self.waited += 1
        return self.waited >= self.patience
        # end solution


@EarlyStopping.drive
def tell_it_losses(answer, patience, losses):
    stopper = answer(patience)
    began = getattr(stopper, "best", "no attribute `best`")
    said = [stopper.stop(loss) for loss in losses]
    odd = [s for s in said if not isinstance(s, bool | np.bool_)]
    if odd:
        return {"the type of what `stop` returns": type(odd[0]).__name__}
    other = answer(patience)  # a run of its own
    return {
        "the type of what `stop` returns": "bool",
        "the epochs after which it says stop": ", ".join(str(i) for i, s in enumerate(said, 1) if s)
        or "never",
        "`best` before the first epoch": began,
        "`best` in the end": getattr(stopper, "best", "no attribute `best`"),
        "a second one begins anew": getattr(other, "best", None) == math.inf
        and not other.stop(math.nan),  # every patience here is 2 or more
    }


def near(g, *losses):
    """Move losses a little, each by less than they differ."""
    return [
        loss + 0.01 * shift
        for loss, shift in zip(losses, torch.rand(len(losses), generator=g).tolist())
    ]


@EarlyStopping.probe
def down_and_up(g):
    return 2, near(g, 0.9, 0.5, 0.7, 0.6, 0.8, 1.0)


@EarlyStopping.probe
def with_setbacks(
    g,
):  # bad epochs, but never three in a row before the end; each is better than the last
    return 3, near(g, 1.0, 1.3, 1.2, 0.8, 1.1, 1.0, 0.7, 0.95, 0.9, 0.85, 0.8, 0.75)


@EarlyStopping.probe
def equal_losses(g):
    low = near(g, 0.4)[0]
    return 2, [*near(g, 0.6), low, low, low, low]


@EarlyStopping.probe
def with_a_nan(g):
    first, *rest = near(g, 0.6, 0.5, 0.3, 0.4)
    return 2, [first, math.nan, rest[0], math.nan, math.nan, *rest[1:]]


@EarlyStopping.probe
def nothing_but_nan(g):
    return 2, [math.nan, math.nan, *near(g, 0.5), math.nan]


@EarlyStopping.probe
def gains_that_are_small(g):
    low = near(g, 0.1)[0]
    return 2, [low - 1e-10 * gain for gain in (0, 1, 2, 0, 3, 4, 3, 2)]


@EarlyStopping.probe
def below_zero(g):
    return 2, near(g, 0.3, -0.5, -0.2, -0.9, -0.6, -0.7)


@EarlyStopping.probe
def large_losses_at_first(g):
    return 2, [*near(g, 4000.0, 3000.0), math.nan, math.inf]


@EarlyStopping.alternative("The whole history, and where its minimum lies.")
class FromTheHistory:
    def __init__(self, patience):
        self.patience, self.losses = patience, []

    @property
    def best(self):
        return min((loss for loss in self.losses if not math.isnan(loss)), default=math.inf)

    def stop(self, loss):
        self.losses.append(float(loss))
        if self.best == math.inf:
            return len(self.losses) >= self.patience
        return len(self.losses) - 1 - self.losses.index(self.best) >= self.patience


@EarlyStopping.alternative("Patience that runs out, and is filled up again.")
class PatienceThatRunsOut:
    def __init__(self, patience):
        self.full = self.left = patience
        self.best = float("inf")

    def stop(self, loss):
        better = loss < self.best
        self.best = loss if better else self.best
        self.left = self.full if better else self.left - 1
        return self.left <= 0


@EarlyStopping.alternative("Numbers of epochs instead of a count.")
class ByTheEpoch:
    def __init__(self, patience):
        self.patience, self.best, self.epoch, self.best_epoch = patience, math.inf, 0, 0

    def stop(self, loss):
        self.epoch += 1
        if self.best > loss:
            self.best, self.best_epoch = loss, self.epoch
        return not self.epoch - self.best_epoch < self.patience


def patience_and_losses(patience, losses):
    told = ", ".join(f"{loss:.3f}" for loss in losses)
    return f"The patience was {patience}, the losses were {told}."


@EarlyStopping.misconception(
    title="The count never goes back to 0",
    why="It adds up all epochs without a new best since the beginning. A run that improves every other epoch is stopped all the same.",
    next="A new best is a new beginning for the count.",
    link="the-best-model-and-when-to-stop",
    evidence=patience_and_losses,
)
class NeverReset:
    def __init__(self, patience):
        self.patience = patience
        self.best = math.inf
        self.waited = 0

    def stop(self, loss):
        if loss < self.best:
            self.best = loss
        else:
            self.waited += 1
        return self.waited >= self.patience


@EarlyStopping.misconception(
    title="Compared with the epoch before",
    why="After a setback, a loss that comes down again is lower than the one before, and still higher than the best. The run would never "
    "stop as long as it goes up and down.",
    next="Compare with the best of all.",
    link="the-best-model-and-when-to-stop",
    evidence=patience_and_losses,
)
class ComparedWithTheLast:
    def __init__(self, patience):
        self.patience = patience
        self.best = math.inf
        self.waited = 0
        self.last = math.inf

    def stop(self, loss):
        if loss < self.last:
            self.best = min(loss, self.best)
            self.waited = 0
        else:
            self.waited += 1
        self.last = loss
        return self.waited >= self.patience


@EarlyStopping.misconception(
    title="Stops one epoch too late",
    why="With `>` the run goes on until patience + 1 epochs have brought nothing.",
    next="Stop when the count *reaches* the patience.",
    link="the-best-model-and-when-to-stop",
    evidence=patience_and_losses,
)
class OneTooLate:
    def __init__(self, patience):
        self.patience = patience
        self.best = math.inf
        self.waited = 0

    def stop(self, loss):
        if loss < self.best:
            self.best = loss
            self.waited = 0
        else:
            self.waited += 1
        return self.waited > self.patience


@EarlyStopping.misconception(
    title="An equal loss counts as better",
    why="A run that has come to a standstill brings the same loss again and again. With `<=` each of them is a new best, and the run is "
    "never stopped.",
    next="Better means lower.",
    link="the-best-model-and-when-to-stop",
    evidence=patience_and_losses,
)
class EqualIsBetter:
    def __init__(self, patience):
        self.patience = patience
        self.best = math.inf
        self.waited = 0

    def stop(self, loss):
        if loss <= self.best:
            self.best = loss
            self.waited = 0
        else:
            self.waited += 1
        return self.waited >= self.patience


@EarlyStopping.misconception(
    title="Waits for higher losses",
    why="For an accuracy, higher is better. This is a loss.",
    next="Turn the comparison round, and begin at infinity.",
    link="the-best-model-and-when-to-stop",
    evidence=patience_and_losses,
)
class HigherIsBetter:
    def __init__(self, patience):
        self.patience = patience
        self.best = -math.inf
        self.waited = 0

    def stop(self, loss):
        if loss > self.best:
            self.best = loss
            self.waited = 0
        else:
            self.waited += 1
        return self.waited >= self.patience


@EarlyStopping.misconception(
    title="Counts only losses that got worse, so a NaN is never counted",
    why="Every comparison with NaN is false: it is not higher than the best, and not lower. Here it is counted as no bad epoch, and a run "
    "that has broken down goes on for ever.",
    next="Ask whether it is *better*; everything else is a bad epoch.",
    link="the-best-model-and-when-to-stop",
    evidence=patience_and_losses,
)
class NanIsFine:
    def __init__(self, patience):
        self.patience = patience
        self.best = math.inf
        self.waited = 0

    def stop(self, loss):
        if loss < self.best:
            self.best = loss
            self.waited = 0
        elif loss >= self.best:
            self.waited += 1
        return self.waited >= self.patience


@EarlyStopping.misconception(
    title="A small gain does not count",
    why="Some libraries ask for a least improvement, often called `min_delta`. This order has none: lower is lower.",
    next="Compare with the best itself.",
    link="the-best-model-and-when-to-stop",
)
class LeastGain:
    def __init__(self, patience):
        self.patience = patience
        self.best = math.inf
        self.waited = 0

    def stop(self, loss):
        if loss < self.best - 1e-4:
            self.best = loss
            self.waited = 0
        else:
            self.waited += 1
        return self.waited >= self.patience


@EarlyStopping.misconception(
    title="Stops at the first bad epoch",
    why="Validation losses go up and down by chance. One epoch that is not the best says little; that is what the patience is for.",
    next="Count before you stop.",
    link="the-best-model-and-when-to-stop",
    evidence=patience_and_losses,
)
class NoPatience:
    def __init__(self, patience):
        self.patience = patience
        self.best = math.inf

    def stop(self, loss):
        if loss < self.best:
            self.best = loss
            return False
        return True


# Bug clinic ---------------------------------------------------------------------------------------


@exercise(
    level="clinic",
    minutes=8,
    why="A deep copy has tensors of its own, which no later epoch can change.",
    hints=(
        "Compare the model in the end with what it was after its best epoch, and with what it was after the last one.",
        "Keep `model.state_dict()` in a variable, take one optimizer step, and look at a number in it before and after.",
        "The dictionary is new, its tensors are the model's own. `copy.deepcopy` copies all of it.",
    ),
)
def keep_best(model: nn.Module, train_one_epoch, validate, epochs: int) -> float:
    """Train, and leave the model as it was after its best epoch.

    train_one_epoch: trains the given model for one epoch, in place.
    validate: gives its validation loss, a finite float; lower is better, however little, and of equal
        ones the first counts.
    epochs: how many to train, at least one; after each of them the model is validated once.
    Returns the lowest loss. Afterwards every parameter and buffer in the state dict of `model` itself
    has the value that it had then. Nothing else changes: an optimizer that was made before still knows
    the parameters, the mode is left to `train_one_epoch` and `validate`, and no file stays behind.
    """
    best_loss, best = math.inf, {}
    for _ in range(epochs):
        train_one_epoch(model)
        loss = validate(model)
        if loss < best_loss:
            best_loss, best = loss, copy.deepcopy(model.state_dict())
    model.load_state_dict(best)
    return best_loss


class Course:
    """A training whose losses are fixed in advance; every epoch changes every value of the model."""

    def __init__(self, losses):
        self.losses, self.epochs, self.validated = losses, 0, 0

    def train(self, model):
        self.epochs += 1
        with torch.no_grad():
            for value in model.state_dict().values():
                value += 1

    def validate(self, model):
        self.validated += 1
        return self.losses[self.epochs - 1] if self.epochs else 0.0  # untrained is no epoch


def by_plan(model, losses):
    """Put a training into words: what an epoch does, and the loss after each."""
    told = ", then ".join(f"{loss:.7g}" for loss in losses)
    return model, "adds 1 to every value", told, len(losses)


@keep_best.drive
def train_by_plan(answer, model, training, losses, epochs):
    course = Course([float(loss) for loss in losses.split(", then ")])
    first = next(iter(model.state_dict().values())).flatten()[0].item()
    loads: list[int] = []
    model.register_load_state_dict_post_hook(lambda *_: loads.append(1))
    with a_folder() as folder:
        witness = Witness(model, (folder.parent, folder))
        best_loss = answer(model, course.train, course.validate, epochs)
        changed = witness.told()
    ends = next(iter(model.state_dict().values())).flatten()[0].item()
    return {
        "the loss returned": best_loss,
        WHAT_ELSE: changed,
        "the epoch whose model is left in the end": round(ends - first),
        "its parameters and buffers": values_of(model),
        "epochs trained": course.epochs,
        "how often it was validated": Extra(course.validated),
        "values are loaded into it": Extra(bool(loads)),
    }


@keep_best.probe
def best_in_the_middle(g):
    return by_plan(fill(nn.Linear(2, 1), g), near(g, 0.9, 0.4, 0.6, 0.7))


@keep_best.probe
def best_at_the_first(g):
    return by_plan(fill(network(), g), near(g, 0.2, 0.5, 0.8, 0.3))


@keep_best.probe
def two_are_best(g):
    low = near(g, 0.2)[0]
    return by_plan(fill(network(3), g), [*near(g, 0.5), low, *near(g, 0.8), low, *near(g, 0.6)])


@keep_best.probe
def small_gains(g):
    first = near(g, 0.4)[0]
    return by_plan(fill(network(2), g), [first - 1e-5 * gain for gain in (0, 2, 5, 1)])


@keep_best.probe
def large_losses(g):
    return by_plan(fill(nn.Linear(3, 1), g), near(g, 7000.0, 5000.0, 6000.0))


@keep_best.probe
def best_at_the_last(g):
    return by_plan(fill(network(5, 1), g), near(g, 0.9, 0.6, 0.7, 0.3))


@keep_best.probe
def up_and_down(g):
    return by_plan(fill(network(2, 3), g), near(g, 0.8, 0.5, 0.9, 0.3, 0.7, 0.4))


@keep_best.alternative("A dictionary of clones.")
def with_clones(model, train_one_epoch, validate, epochs):
    losses, states = [], []
    for _ in range(epochs):
        train_one_epoch(model)
        losses.append(validate(model))
        states.append({name: value.clone() for name, value in model.state_dict().items()})
    best = min(range(epochs), key=losses.__getitem__)
    model.load_state_dict(states[best])
    return losses[best]


@keep_best.alternative("A copy of the whole model, whose values are copied back.")
def with_a_copied_model(model, train_one_epoch, validate, epochs):
    best_loss, best = float("inf"), None
    for _epoch in range(epochs):
        train_one_epoch(model)
        if (loss := validate(model)) < best_loss:
            best_loss, best = loss, copy.deepcopy(model)
    model.load_state_dict(best.state_dict())
    return best_loss


@keep_best.alternative("A file is a copy, too.")
def by_way_of_a_file(model, train_one_epoch, validate, epochs):
    best_loss = None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "best.pt"
        for _ in range(epochs):
            train_one_epoch(model)
            loss = validate(model)
            if best_loss is None or loss < best_loss:
                best_loss = loss
                torch.save(model.state_dict(), path)
        model.load_state_dict(torch.load(path, weights_only=True))
    return best_loss


@keep_best.misconception(
    title="Kept the model's own tensors, not a copy",
    why="`state_dict()` makes a new dictionary around the *same* tensors. The next epoch changes them in place, and so what was kept as "
    "the best is always the present. Loading it back copies the model onto itself.",
    next="Keep a copy that later epochs cannot reach.",
    link="a-dictionary-of-tensors",
    shows="the epoch whose model is left in the end",
    starter=True,
)
def kept_no_copy(model, train_one_epoch, validate, epochs):
    best_loss, best = math.inf, {}
    for _ in range(epochs):
        train_one_epoch(model)
        loss = validate(model)
        if loss < best_loss:
            best_loss, best = loss, model.state_dict()
    model.load_state_dict(best)
    return best_loss


@keep_best.misconception(
    title="Never went back to the best",
    why="The best values were copied, and stay in a variable. The model that is used afterwards is that of the last epoch.",
    next="Load them back in the end.",
    link="the-best-model-and-when-to-stop",
    shows="the epoch whose model is left in the end",
)
def never_went_back(model, train_one_epoch, validate, epochs):
    best_loss, best = math.inf, {}
    for _ in range(epochs):
        train_one_epoch(model)
        loss = validate(model)
        if loss < best_loss:
            best_loss, best = loss, copy.deepcopy(model.state_dict())
    best.clear()
    return best_loss


@keep_best.misconception(
    title="Copied the parameters without the buffers",
    why="BatchNorm's running statistics stay those of the last epoch, and belong to other weights.",
    next="The state dict has both; copy all of it.",
    link="a-dictionary-of-tensors",
    shows="its parameters and buffers",
)
def buffers_of_the_last(model, train_one_epoch, validate, epochs):
    best_loss, best = math.inf, {}
    for _ in range(epochs):
        train_one_epoch(model)
        loss = validate(model)
        if loss < best_loss:
            best_loss, best = loss, {n: p.detach().clone() for n, p in model.named_parameters()}
    model.load_state_dict(best, strict=False)
    return best_loss


@keep_best.misconception(
    title="Kept the last of equally good epochs",
    why="With `<=` an equal loss replaces the one before. The order says the first: less training for the same loss.",
    next="Replace it only by a lower one.",
    link="the-best-model-and-when-to-stop",
)
def last_of_equals(model, train_one_epoch, validate, epochs):
    best_loss, best = math.inf, {}
    for _ in range(epochs):
        train_one_epoch(model)
        loss = validate(model)
        if loss <= best_loss:
            best_loss, best = loss, copy.deepcopy(model.state_dict())
    model.load_state_dict(best)
    return best_loss


@keep_best.misconception(
    title="The model has other parameters now",
    why="With `assign=True` the copied tensors become the model's parameters. The optimizer still holds the old ones, and whatever it "
    "trains from now on is no part of the model.",
    next="Let the values be copied into the parameters that are there.",
    link="loading-it-back",
    shows=WHAT_ELSE,
)
def other_parameters(model, train_one_epoch, validate, epochs):
    best_loss, best = math.inf, {}
    for _ in range(epochs):
        train_one_epoch(model)
        loss = validate(model)
        if loss < best_loss:
            best_loss, best = loss, copy.deepcopy(model.state_dict())
    model.load_state_dict(best, assign=True)
    return best_loss


@keep_best.misconception(
    title="Left the file of the best model behind",
    why="A file is a good place for the best values. This one stays in the working folder when all is done, and writes over one of that name.",
    next="Keep a copy in memory, or use a temporary folder.",
    link="the-best-model-and-when-to-stop",
    shows=WHAT_ELSE,
)
def left_a_file(model, train_one_epoch, validate, epochs):
    best_loss, path = math.inf, "best.pt"
    for _ in range(epochs):
        train_one_epoch(model)
        loss = validate(model)
        if loss < best_loss:
            best_loss = loss
            torch.save(model.state_dict(), path)
    model.load_state_dict(torch.load(path, weights_only=True))
    return best_loss


@keep_best.misconception(
    title="Kept the worst",
    why="A loss is better the lower it is. `>` is for accuracies.",
    next="Turn the comparison round.",
    link="the-best-model-and-when-to-stop",
)
def kept_the_worst(model, train_one_epoch, validate, epochs):
    best_loss, best = -math.inf, {}
    for _ in range(epochs):
        train_one_epoch(model)
        loss = validate(model)
        if loss > best_loss:
            best_loss, best = loss, copy.deepcopy(model.state_dict())
    model.load_state_dict(best)
    return best_loss


@keep_best.misconception(
    title="Stopped looking after the first setback",
    why="A higher loss can be followed by a lower one than ever. Breaking off at the first setback misses it, and trains fewer epochs than were ordered.",
    next="Train all the epochs.",
    link="the-best-model-and-when-to-stop",
)
def broke_off(model, train_one_epoch, validate, epochs):
    best_loss, best = math.inf, {}
    for _ in range(epochs):
        train_one_epoch(model)
        loss = validate(model)
        if loss >= best_loss:
            break
        best_loss, best = loss, copy.deepcopy(model.state_dict())
    model.load_state_dict(best)
    return best_loss


@keep_best.misconception(
    title="Copied before the epoch instead of after it",
    why="The loss is that of the model after the epoch. A copy that was made before it is the model of another loss.",
    next="Copy what you have measured.",
    link="the-best-model-and-when-to-stop",
    shows="the epoch whose model is left in the end",
)
def copied_too_early(model, train_one_epoch, validate, epochs):
    best_loss, best = math.inf, {}
    for _ in range(epochs):
        before = copy.deepcopy(model.state_dict())
        train_one_epoch(model)
        loss = validate(model)
        if loss < best_loss:
            best_loss, best = loss, before
    model.load_state_dict(best)
    return best_loss
