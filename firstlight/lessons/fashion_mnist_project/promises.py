"""Hold a repaired repository of the closing challenge against what its README promises.

`look` imports the files of a folder afresh, without a trace in `sys.modules`, and calls what the README
names on small data. To add a promise, write a function that says whether it holds, and name it in
`PROMISES`.
"""

from __future__ import annotations

import contextlib
import copy
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import io
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType, SimpleNamespace
from typing import Any
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FILES = {
    "settings.py": ("Settings",),
    "data.py": ("split", "standardise", "mirror_some", "batches"),
    "model.py": ("ClothesNet",),
    "evaluate.py": ("evaluate",),
    "checkpoint.py": ("save", "load"),
    "train.py": ("train_epoch", "fit"),
}
FILES_READ = "the files in the folder"
SOUND = "they can be imported, and have what the README names"
CALLS = "the calls of the README"
COUNT = "how many of the ten promises hold"

Seen = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """What one look is made of: a seed for the data, sizes, and the network's settings."""

    seed: int
    count: int
    hidden: int
    dropout: float

    def generator(self, turn: int) -> torch.Generator:
        """Start a generator of its own for each promise, so that none depends on another."""
        return torch.Generator().manual_seed(100 * self.seed + turn)


class Unusable(Exception):
    """A repository that cannot be looked at; the message is a sentence for the student."""


# Importing ----------------------------------------------------------------------------------------


class _Loader(importlib.machinery.SourceFileLoader):
    """Compile what stands in the file now, and leave no compiled file behind."""

    def get_code(self, fullname: str) -> CodeType:
        return compile(Path(self.path).read_bytes(), self.path, "exec", dont_inherit=True)


class _Finder(importlib.abc.MetaPathFinder):
    """Find the modules of one folder, before any others of the same name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Look in the folder for a file, or in its own packages."""
        places = [self.folder] if path is None else [Path(place) for place in path]
        name = fullname.rpartition(".")[2]
        for place in places:
            if place != self.folder and self.folder not in place.parents:
                continue
            for file, inside in (
                (place / name / "__init__.py", [str(place / name)]),
                (place / f"{name}.py", None),
            ):
                if file.is_file():
                    return importlib.util.spec_from_file_location(
                        fullname,
                        file,
                        loader=_Loader(fullname, str(file)),
                        submodule_search_locations=inside,
                    )
        return None


def _own_names(folder: Path) -> set[str]:
    """Name what the folder's code imports from itself."""
    found = {file.stem for file in folder.glob("*.py")}
    found |= {file.parent.name for file in folder.glob("*/*.py")}
    return found - set(sys.stdlib_module_names) - {"torch", "numpy", "firstlight"}


@contextlib.contextmanager
def _imports_from(folder: Path) -> Iterator[None]:
    """Let the folder's own modules be imported, and put everything back afterwards."""
    names, path, finder = _own_names(folder), list(sys.path), _Finder(folder)

    def take_out() -> dict[str, ModuleType]:
        found = [name for name in sys.modules if name.partition(".")[0] in names]
        return {name: sys.modules.pop(name) for name in found}

    before = take_out()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        if finder in sys.meta_path:
            sys.meta_path.remove(finder)
        take_out()
        sys.modules.update(before)
        sys.path[:] = path


def _parts(folder: Path) -> SimpleNamespace:
    """Import every file that the README names, and hand out what it promises."""
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise Unusable(f"{' and '.join(missing)} cannot be found in the folder")
    parts = SimpleNamespace()
    for file, names in FILES.items():
        try:
            module = importlib.import_module(file.removesuffix(".py"))
        except Exception as error:
            raise Unusable(told(error, folder)) from error
        for name in names:
            if not callable(getattr(module, name, None)):
                raise Unusable(f"{file} has no `{name}`, which the README names")
            setattr(parts, name, getattr(module, name))
    return parts


def told(error: BaseException, folder: Path) -> str:
    """Say where in the student's files an error rose, and which."""
    what = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"
    if isinstance(error, SyntaxError) and error.filename and Path(error.filename).is_file():
        return f"{Path(error.filename).name}, line {error.lineno} is no Python: {error.msg}"
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        file = Path(frame.filename)
        if folder in file.parents:
            line = _line(file, frame.lineno)
            return f"{file.relative_to(folder).as_posix()}, line {frame.lineno}, `{line}` raises {what}"
    return f"using it as the README says raises {what}"


def _line(file: Path, number: int | None) -> str:
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    return lines[number - 1].strip() if number and number <= len(lines) else ""


# The promises: each says whether it holds, and may note more that tells mistakes apart --------------


def splits(parts: SimpleNamespace, case: Case, note: Seen) -> bool:
    n, out = case.count + 20, 13
    labels = torch.randint(10, (n,), generator=case.generator(1))
    images = torch.arange(n, dtype=torch.uint8)[:, None, None].repeat(1, 3, 2)
    held = []
    for seed in (case.seed, case.seed, case.seed + 1):
        (kept, kept_labels), (others, other_labels) = parts.split(images, labels, out, seed)
        if len(kept) != n - out or len(others) != out:
            return False
        rows = torch.cat((kept, others))[:, 0, 0].long()
        if sorted(rows.tolist()) != list(range(n)):
            return False
        if not torch.equal(labels[rows], torch.cat((kept_labels, other_labels))):
            return False
        held.append(set(others[:, 0, 0].tolist()))
    return held[0] == held[1] != held[2] and held[0] != set(range(out))


def standardises(parts: SimpleNamespace, case: Case, note: Seen) -> bool:
    g = case.generator(2)
    train = torch.randint(0, 150, (9, 28, 28), generator=g).to(torch.uint8)
    mean, std = train.float().mean(), train.float().std()
    for size, low in ((4, 100), (1, 60)):
        others = torch.randint(low, 256, (size, 28, 28), generator=g).to(torch.uint8)
        found = parts.standardise(train, others)
        due = [(images.float() - mean) / std for images in (train, others)]
        if not all(
            torch.allclose(a.float(), b, atol=2e-3) for a, b in zip(found, due, strict=True)
        ):
            return False
    return True


def mirrors(parts: SimpleNamespace, case: Case, note: Seen) -> bool:
    g = case.generator(3)
    kinds = {"as it was": (), "mirrored": (2,), "upside down": (1,), "turned round": (1, 2)}
    met, counts = set(), []
    for turn in range(40):
        images = torch.randn(20, 28, 28, generator=g)
        given = images.clone()
        found = parts.mirror_some(given, torch.Generator().manual_seed(case.seed + turn))
        if found.shape != images.shape or not torch.equal(images, given):
            note["what `mirror_some` gives back"] = "the given images themselves, changed"
            return False
        which = {
            kind: (found == (images.flip(axes) if axes else images)).flatten(1).all(1)
            for kind, axes in kinds.items()
        }
        met |= {kind for kind, rows in which.items() if rows.any()}
        if not torch.stack(list(which.values())).any(0).all():
            met.add("something else")
        counts.append(int(which["mirrored"].sum()))
    if not all(0 < count < 20 for count in counts):
        met.add("never both at once")
    if len(set(counts)) == 1:
        met.add("the same number of them every time")
    if not 320 < sum(counts) < 480:  # of 800: 5 or 6 standard deviations from half of them
        met.add(f"mirrored {sum(counts)} of 800")
    note["what `mirror_some` gives back"] = ", ".join(sorted(met))
    return met == {"as it was", "mirrored"}


def batches_are_whole(parts: SimpleNamespace, case: Case, note: Seen) -> bool:
    n, size = case.count + 8, 5
    labels = torch.randint(10, (n,), generator=case.generator(4))
    images = torch.arange(n).float()[:, None, None].repeat(1, 28, 28)
    generator = torch.Generator().manual_seed(case.seed)
    pairs = list(parts.batches(images, labels, size, generator))
    rows = torch.cat([x[:, 0, 0] for x, _ in pairs]).long()
    same = torch.equal(torch.cat([y for _, y in pairs]), labels[rows])
    sizes = [len(y) for _, y in pairs]
    whole = sizes == [size] * (n // size) + [n % size] * (n % size > 0)
    return same and whole and sorted(rows.tolist()) == list(range(n)) != rows.tolist()


def drops_out_while_it_trains(parts: SimpleNamespace, case: Case, note: Seen) -> bool:
    g = case.generator(5)
    model = parts.ClothesNet(case.hidden, case.dropout)
    plain = parts.ClothesNet(case.hidden, 0.0)
    plain.load_state_dict(model.state_dict())
    images = torch.randn(7, 28, 28, generator=g)
    model.eval(), plain.eval()
    with torch.no_grad():
        scores = model(images)
        steady = torch.allclose(scores, plain(images), atol=1e-6)
        steady = steady and torch.equal(scores, model(images))
        logits = scores.shape == (7, 10) and not torch.allclose(scores.sum(1), torch.ones(7))
        model.train()
        for parameter in model.parameters():
            parameter.fill_(0.01 if parameter.dim() > 1 else 0.0)
        found = model(torch.ones(800, 28, 28))[:, 0].double()
    one = case.dropout / (1 - case.dropout) / case.hidden  # what one dropout adds to the variance
    layers = float(found.var() / found.mean().square()) / one
    both = 1.5 < layers < 2.9
    told = "both" if both else "none" if layers < 0.5 else "one" if layers <= 1.5 else "more"
    note["what the network gives"] = (
        f"{'steady' if steady else 'changing'} {'logits' if logits else 'probabilities'} in eval mode, "
        f"and dropout after {told} of the hidden layers in training mode"
    )
    return bool(steady and logits and both)


def small_model(g: torch.Generator, inputs: int, *before: nn.Module) -> nn.Sequential:
    """Build a linear network in float64, with weights of its own."""
    model = nn.Sequential(nn.Flatten(), *before, nn.Linear(inputs, 4)).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.6 * torch.randn(parameter.shape, generator=g, dtype=torch.float64))
    return model


def small_data(g: torch.Generator, n: int, *shape: int) -> tuple[Tensor, Tensor]:
    images = torch.randn(n, *shape, generator=g, dtype=torch.float64)
    return images, torch.randint(4, (n,), generator=g)


def steps_down_its_own_gradient(parts: SimpleNamespace, case: Case, note: Seen) -> bool:
    g = case.generator(6)
    theirs = small_model(g, 6)
    ours = copy.deepcopy(theirs)
    images, labels = small_data(g, case.count, 2, 3)
    pairs = list(zip(images.split(4), labels.split(4), strict=True))
    modes: list[bool] = []
    hook = theirs.register_forward_hook(lambda model, *_: modes.append(model.training))
    theirs.eval()
    optimizers = [torch.optim.SGD(m.parameters(), lr=0.3, momentum=0.5) for m in (theirs, ours)]
    loss = float(parts.train_epoch(theirs, optimizers[0], pairs))
    hook.remove()
    due = 0.0
    for x, y in pairs:
        step = F.cross_entropy(ours(x), y)
        optimizers[1].zero_grad()
        step.backward()
        optimizers[1].step()
        due += step.item() * len(y) / len(labels)
    weights = [torch.cat([p.detach().flatten() for p in m.parameters()]) for m in (theirs, ours)]
    note["the weights after `train_epoch`"] = weights[0].float()
    note["the loss of `train_epoch`"] = torch.tensor(loss)
    return (
        all(modes) and torch.allclose(weights[0], weights[1], atol=1e-7) and abs(loss - due) < 1e-6
    )


def measures_every_image_alike(parts: SimpleNamespace, case: Case, note: Seen) -> bool:
    g = case.generator(7)
    model = small_model(g, 6, nn.Dropout(0.5))
    images, labels = small_data(g, case.count, 2, 3)
    with torch.no_grad():
        logits = model[2](images.flatten(1))
        due = F.cross_entropy(logits, labels).item(), (logits.argmax(1) == labels).double().mean()
    found: list[float] = []
    measured: list[float] = []
    for size in (case.count, 4, case.count - 1):
        model.train()
        loss, accuracy = parts.evaluate(model, images, labels, size)
        measured += [float(loss), float(accuracy)]
        found += [float(loss) - due[0], float(accuracy) - float(due[1])]
    note["loss and accuracy, measured with batches of three sizes"] = torch.tensor(measured)
    return all(abs(difference) < 1e-6 for difference in found)


def keeps_the_best_epoch(parts: SimpleNamespace, case: Case, note: Seen) -> bool:
    g = case.generator(8)
    images = torch.zeros(3, 4, 4)  # a mirror changes none of them, and one step tells them apart
    bright = 1 + torch.rand(3, generator=g)
    images[0, ::3, ::3], images[1, 1:3, 1:3], images[2, ::3, 1:3] = bright
    images, labels = images.repeat(6, 1, 1), torch.arange(3).repeat(6)
    settings = parts.Settings(epochs=4, batch_size=18, lr=0.05, seed=case.seed)
    held, notes = [], []
    # Labels that the training contradicts, so that the loss rises; then its own, with which the
    # accuracy is 1 from the first epoch on while the loss goes on falling.
    for shift in (1, 0):
        linear = nn.Linear(16, 3)
        nn.init.zeros_(linear.weight), nn.init.zeros_(linear.bias)
        model = nn.Sequential(nn.Flatten(), linear)
        targets = (labels + shift) % 3
        history = parts.fit(model, (images, labels), (images, targets), settings)
        losses = [float(epoch["loss"]) for epoch in history]
        model.eval()
        with torch.no_grad():
            loss = F.cross_entropy(model(images), targets).item()
        near = [abs(loss - other) < 1e-4 * (1 + loss) for other in losses]
        notes.append(f"epoch {near.index(True) + 1 if any(near) else 'none'} of {len(losses)}")
        held.append(len(losses) == 4 and near[losses.index(min(losses))])
    note["what `fit` ends with, once as the loss rises and once as it falls"] = ", ".join(notes)
    return all(held)


def comes_back_from_a_file(parts: SimpleNamespace, case: Case, note: Seen) -> bool:
    images = torch.randn(3, 28, 28, generator=case.generator(9))
    saved, loaded = (parts.ClothesNet(case.hidden, case.dropout) for _ in range(2))
    with tempfile.TemporaryDirectory(prefix="firstlight-", ignore_cleanup_errors=True) as folder:
        file = Path(folder) / "clothes.pt"
        parts.save(file, saved)
        parts.load(file, loaded)
    saved.eval(), loaded.eval()
    with torch.no_grad():
        scores = []
        for model in (saved, loaded):
            torch.manual_seed(case.seed)
            scores.append(model(images))
    return torch.equal(*scores)


def follows_its_seed(parts: SimpleNamespace, case: Case, note: Seen) -> bool:
    g = case.generator(10)
    images = torch.randn(8, 28, 28, generator=g)
    data = images, torch.randint(10, (8,), generator=g)
    first = parts.ClothesNet(case.hidden, case.dropout)
    runs = []
    for seed in (case.seed, case.seed, case.seed + 1):
        torch.rand(3)  # what was drawn before must not matter
        model = copy.deepcopy(first)
        settings = parts.Settings(epochs=1, batch_size=4, lr=0.01, seed=seed)
        history = parts.fit(model, data, (images[:5], data[1][:5]), settings)
        runs.append([float(epoch["train loss"]) for epoch in history])
    return runs[0] == runs[1] != runs[2]


Promise = Callable[[SimpleNamespace, Case, Seen], bool]
PROMISES: dict[str, Promise] = {
    "promise 1, `split`: every image is in one of the two parts, with its own label": splits,
    "promise 2, `standardise`: all pixels go by the training images' mean and deviation": standardises,
    "promise 3, `mirror_some`: some images come back as they were, and all others as in a mirror": (
        mirrors
    ),
    "promise 4, `batches`: every image comes once, with its own label, in a random order": (
        batches_are_whole
    ),
    "promise 5, `ClothesNet`: dropout acts in training mode, and leaves the logits of eval mode alone": (
        drops_out_while_it_trains
    ),
    "promise 6, `train_epoch`: a step follows the gradient of its batch's cross-entropy, and the mean "
    "loss comes back": steps_down_its_own_gradient,
    "promise 7, `evaluate`: loss and accuracy do not depend on the size of the batches": (
        measures_every_image_alike
    ),
    "promise 8, `fit`: the model ends with the weights of the epoch whose validation loss is lowest": (
        keeps_the_best_epoch
    ),
    "promise 9, `save` and `load`: the loaded network gives the scores of the saved one": (
        comes_back_from_a_file
    ),
    "promise 10, the seed: the same seed gives the same run, another seed another": follows_its_seed,
}


def promise(number: int) -> str:
    """Return the words of one promise, as the check says them."""
    return list(PROMISES)[number - 1]


# Looking --------------------------------------------------------------------------------------------

_looked: dict[Any, Seen] = {}  # by the text of the files: the course's own answers come many times


def look(folder: Path, case: Case) -> Seen:
    """Say of a folder which of the promises hold, as observations of a check."""
    folder = folder.resolve()
    texts = tuple((file, file.read_bytes()) for file in sorted(folder.rglob("*.py")))
    key = case, tuple((file.relative_to(folder).as_posix(), text) for file, text in texts)
    if key not in _looked:
        if len(_looked) > 300:
            _looked.clear()
        _looked[key] = _look(folder, case)
    return dict(_looked[key])


def _seed(seed: int) -> torch.Generator:
    """Stand for `torch.manual_seed`, which notes the whole stack for devices that are not used here."""
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call, unused-ignore]
        torch.cuda.manual_seed_all(seed)
    return torch.default_generator.manual_seed(seed)


def _look(folder: Path, case: Case) -> Seen:
    quiet = io.StringIO()
    with (
        mock.patch.object(torch, "manual_seed", _seed),
        contextlib.redirect_stdout(quiet),
        contextlib.redirect_stderr(quiet),
        _imports_from(folder),
    ):
        try:
            parts = _parts(folder)
        except Unusable as reason:
            return {FILES_READ: str(reason)}
        held: dict[str, bool] = {}
        note: Seen = {}
        stops = ""
        for words, holds in PROMISES.items():
            torch.manual_seed(case.seed)
            try:
                held[words] = holds(parts, case, note)
            except Exception as error:
                held[words] = False
                stops = stops or f"{words.partition(':')[0]}: {told(error, folder)}"
    return {
        FILES_READ: SOUND,
        CALLS: stops or "no error",
        COUNT: sum(held.values()),
        **held,
        **note,
    }
