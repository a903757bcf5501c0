"""What is said about a module: which part is registered, which is not, and what that means."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.dropout import _DropoutNd

from firstlight.explore.module_registry import Held, Part, distinct, numbers
from firstlight.explore.module_run import Run, Step
from firstlight.explore.tensors import counted, dtype_name, listed

HOLDERS = (nn.ModuleList, nn.ModuleDict, nn.ParameterList, nn.ParameterDict)  # never called
_MODAL = (_DropoutNd, _NormBase, nn.RReLU)  # what train() and eval() change
_CURES = {"dict": "Dict", "list": "List", "tuple": "List", "set": "List", "deque": "List"}
_MOST_NAMED = 4


@dataclass(frozen=True)
class Findings:
    """A model's parts and one run of it, and what the two say about each other."""

    parts: tuple[Part, ...]
    run: Run
    calls: dict[int, list[Step]] = field(default_factory=dict)  # by the module's id
    children: dict[int, list[Part]] = field(default_factory=dict)

    @classmethod
    def of(cls, parts: tuple[Part, ...], run: Run) -> Findings:
        findings = cls(parts, run)
        for step in run.steps:
            if step.module is not None:
                findings.calls.setdefault(id(step.module), []).append(step)
        for part in parts:
            if part.parent is not None:
                findings.children.setdefault(part.parent, []).append(part)
        return findings

    @property
    def model(self) -> nn.Module:
        """The module that was given."""
        model: nn.Module = self.parts[0].value
        return model

    @property
    def by_id(self) -> dict[int, Part]:
        """The part under which each module stands first."""
        modules = [p for p in self.parts if p.kind == "module" and p.same is None]
        return {id(part.value): part for part in modules}

    def called(self, part: Part) -> list[Step]:
        """Return the calls of a module in the run."""
        return self.calls.get(id(part.value), []) if part.kind == "module" else []

    def parameters(self, part: Part) -> list[Tensor]:
        """Return the parameters of a part and of all below it, each once."""
        if part.kind == "module":
            return list(part.value.parameters())
        if part.kind == "tensor":
            return [part.value] if part.holds[0].kind == "parameter" else []
        found = [self.parameters(child) for child in self.children.get(part.number, [])]
        return distinct(tensor for tensors in found for tensor in tensors)

    def unregistered(self) -> list[Tensor]:
        """Return the tensors that the model holds and does not know of, each once."""
        return distinct(h.value for p in self.parts if not p.registered for h in p.holds)

    def reads(self, part: Part) -> bool:
        """Tell whether an operation read a parameter or another tensor of this very part."""
        return any(self.run.reads(held.value) for held in part.holds)

    def called_below(self, part: Part) -> bool:
        """Tell whether something that stands below the part was called."""
        below = self.children.get(part.number, [])
        return any(self.called(child) or self.called_below(child) for child in below)

    def strangers(self) -> list[nn.Module]:
        """Return the modules that were called and that the model does not hold, in order."""
        held = self.by_id
        called = [step.module for step in self.run.steps if step.module is not None]
        modules = {id(module): module for module in called}
        return [module for number, module in modules.items() if number not in held]


# What is not registered ---------------------------------------------------------------------------


def unregistered_sentences(findings: Findings) -> Iterator[tuple[int | None, str]]:
    """Return, for each thing that is not registered, the part's number and what it means."""
    for part in findings.parts:
        if part.hidden:
            yield part.number, hidden_sentence(part, findings)
    strangers = findings.strangers()
    known = set(map(id, strangers))
    for module in strangers:
        caller = findings.calls[id(module)][0].parent
        sentence = stranger_sentence(module, findings)
        if sentence and (caller is None or id(caller.module) not in known):
            yield None, sentence


def hidden_sentence(part: Part, findings: Findings) -> str:
    """Say that an attribute is not registered, what follows, and what would register it."""
    things = findings.children.get(part.number, []) if part.kind == "holder" else [part]
    start = f"{_why(part, things, findings)}: {_consequences(part, things, findings)}."
    return " ".join(filter(None, [start, _use(things, findings), _cure(part, things)]))


def _why(part: Part, things: Sequence[Part], findings: Findings) -> str:
    path = f"`{part.path}`"
    if part.kind == "holder":
        kind = type(part.value).__name__
        what = f"a plain {kind}" if kind in _CURES else f"an object of class `{kind}`, no nn.Module"
        inside = listed([counted(len(group), word) for word, group in _kinds(things)])
        inside = inside.removeprefix("1 ") if len(things) == 1 else inside
        amount = numbers(_parameters(things, findings))
        of = f" ({counted(amount, 'number')})" if amount else ""
        return f"{path} is {what}, so the {inside} in it{of} {_are(things)} not registered"
    if part.kind == "module" or part.holds[0].kind == "parameter":
        return (
            f"{path} was stored past the module's own assignment (by `object.__setattr__` or in "
            "`__dict__`), so it is not registered"
        )
    return f"{path} is a plain tensor, so it is not registered"


def _kinds(things: Sequence[Part]) -> list[tuple[str, list[Part]]]:
    groups: dict[str, list[Part]] = {}
    for thing in things:
        word = "module" if thing.kind == "module" else thing.holds[0].kind
        groups.setdefault(word, []).append(thing)
    return [(word, groups[word]) for word in ("module", "parameter", "tensor") if word in groups]


def _parameters(things: Sequence[Part], findings: Findings) -> list[Tensor]:
    return distinct(tensor for thing in things for tensor in findings.parameters(thing))


def _consequences(part: Part, things: Sequence[Part], findings: Findings) -> str:
    held = [held for below in _below(part, findings) for held in below.holds]
    trained = _parameters(things, findings) or any(thing.kind == "tensor" for thing in things)
    they = "it" if len(things) == 1 else "they"
    learns = any(h.value.requires_grad for h in held if h.kind == "tensor")
    even = ", although it requires a gradient" if learns else ""
    ends = [f"not in `parameters()`, so {they} will not train{even}"] if trained else []
    ends += ["not in `state_dict()`", "not moved by `.to()`"] if held else []
    modules = any(thing.kind == "module" for thing in things)
    ends += ["not reached by `train()` and `eval()`"] if modules else []
    return "; ".join(ends)


def _below(part: Part, findings: Findings) -> Iterator[Part]:
    yield part
    for child in findings.children.get(part.number, []):
        yield from _below(child, findings)


def _use(things: Sequence[Part], findings: Findings) -> str:
    if findings.run.failed is not None:
        return ""
    used = [
        t for t in things if findings.called(t) or findings.reads(t) or findings.called_below(t)
    ]
    verb = "call" if things[0].kind == "module" else "read"
    them = "it" if len(things) == 1 else "them"
    if not used:
        return f"This forward does not {verb} {them}."
    which = them if len(used) == len(things) else f"{len(used)} of them"
    return f"The forward {verb}s {which} all the same."


def _cure(part: Part, things: Sequence[Part]) -> str:
    kinds = {word for word, _ in _kinds(things)}
    them = "them" if len(things) > 1 else "it"
    if part.kind == "holder":
        kind = type(part.value).__name__
        if kind not in _CURES:
            return f"`class {kind}(nn.Module)` would register {them}."
        if kinds == {"tensor"}:
            return (
                f"`register_buffer` would register {'each of them' if len(things) > 1 else 'it'}."
            )
        family = "Module" if "module" in kinds else "Parameter"
        return f"`nn.{family}{_CURES[kind]}` would register {them}."
    if kinds == {"tensor"} and part.value.grad_fn is not None:
        return "It has a `grad_fn`: it is the result of a computation, whose graph it keeps alive."
    if kinds == {"tensor"}:
        return "`nn.Parameter` would register it to train, `register_buffer` as a constant."
    return ""


def stranger_sentence(module: nn.Module, findings: Findings) -> str | None:
    """Say what follows where forward calls a module that the model does not hold."""
    kind = type(module).__name__
    own = [*module.parameters(), *module.buffers()]
    if not own and not any(isinstance(part, _MODAL) for part in module.modules()):
        return None  # a ReLU made on the spot does no harm
    start = f"The forward calls a module that the model does not hold, of class `{kind}`"
    if any(findings.run.makes(tensor) for tensor in own):
        return (
            f"{start}: it was made during this very forward. Every call makes new random numbers; "
            "`parameters()` lists none of them, and nothing in it can train. Make it in `__init__`."
        )
    reach = "`parameters()`, `state_dict()`, `.to()`, " if own else ""
    return (
        f"{start}: it was made in the forward, or comes from outside the model. {reach}`train()` "
        "and `eval()` do not reach it. Make it an attribute in `__init__`."
    )


# One part -----------------------------------------------------------------------------------------


def tags(part: Part, findings: Findings) -> list[tuple[str, bool]]:
    """Return the few words that stand beside a part's name; True marks what deserves a look."""
    found: list[tuple[str, bool]] = []
    if part.hidden:
        found.append(("not registered", True))
    if part.same is not None:
        found.append((f"same as {part.same or 'the whole'}", False))
    parameters = findings.parameters(part)
    frozen = [p for p in parameters if not p.requires_grad]
    if frozen:
        found.append(("frozen" if len(frozen) == len(parameters) else "partly frozen", False))
    shared = [held.same for held in part.holds if held.same is not None]
    if shared and part.kind == "module":
        what = shared[0] if len(shared) == 1 else f"{len(shared)} tensors"
        found.append((f"shares {what}", False))
    if part.kind == "module" and part.same is None:
        found += _calling_tags(part, findings)
        if part.value.training != findings.model.training:
            found.append(("training mode" if part.value.training else "eval mode", False))
    return found


def _calling_tags(part: Part, findings: Findings) -> Iterator[tuple[str, bool]]:
    calls = findings.called(part)
    if findings.run.failed in calls:
        yield "the error", True
    elif len(calls) > 1:
        yield f"called {len(calls)} times", False
    if calls or isinstance(part.value, HOLDERS):
        return
    if findings.reads(part):
        yield "used, not called", False
    elif findings.run.failed is not None:
        yield "not reached", False
    elif not findings.called_below(part):
        yield "not called", bool(findings.parameters(part))


def notes(part: Part, findings: Findings) -> Iterator[str]:
    """Say what is special about a part, in sentences."""
    if part.hidden:
        yield hidden_sentence(part, findings)
    if part.same is not None:
        yield from _shared_notes(part, findings)
        return
    if part.kind == "module":
        yield from _calling_notes(part, findings)
        yield from _tensor_notes(part, findings)


def _shared_notes(part: Part, findings: Findings) -> Iterator[str]:
    first = f"`{part.same}`" if part.same else "the whole model"
    if part.kind == "tensor":
        yield f"This is the same tensor as {first}."
        return
    yield f"This is the same module as {first}, under a second name: its numbers count once."
    calls = findings.called(part)
    if len(calls) > 1:
        yield f"The forward called it {len(calls)} times, by one name or the other."


def _calling_notes(part: Part, findings: Findings) -> Iterator[str]:
    calls, name = findings.called(part), part.name
    if part.number == 0 or isinstance(part.value, HOLDERS):
        return
    if len(calls) > 1:
        own = " with the same parameters" if findings.parameters(part) else ""
        yield f"The forward called it {len(calls)} times{own}."
    elif not calls and findings.reads(part):
        yield (
            f"The forward read its parameters without calling it, as `self.{name}.forward(x)` or "
            f"`F.linear(x, self.{name}.weight)` does: hooks do not run then."
        )
    elif not calls and findings.run.failed is not None:
        yield "The run stopped before it was called."
    elif not calls and findings.called_below(part):
        yield "The forward did not call it, but called what is in it."
    elif not calls:
        owns = bool(findings.parameters(part))
        end = " `backward()` would leave the `.grad` of its parameters as it is." if owns else ""
        yield f"This forward never called it.{end}"


def _tensor_notes(part: Part, findings: Findings) -> Iterator[str]:
    frozen = [h for h in part.holds if h.kind == "parameter" and not h.value.requires_grad]
    if frozen:
        yield f"Frozen: `requires_grad` is False for {_named(frozen)}, so `backward()` computes no gradient."
    for held in part.holds:
        if held.same is not None:
            yield f"`{held.name}` is the same tensor as `{held.same}`: the model counts it once."
    unread = [h for h in part.holds if h.kind == "parameter" and not findings.run.reads(h.value)]
    if unread and findings.run.failed is None and findings.called(part):
        verb = "its" if len(unread) == 1 else "their"
        yield (
            f"No operation of this run read {_named(unread)}: `backward()` would leave {verb} "
            "`.grad` as it is."
        )


def tensor_words(held: Held, registered: bool) -> str:
    """Say what a tensor is: a parameter that trains, a buffer that state_dict leaves out, ..."""
    if not registered and held.kind != "tensor":
        words = [held.kind, "not registered"]
    elif held.kind == "parameter":
        words = ["parameter", "trains" if held.value.requires_grad else "frozen"]
    elif held.kind == "buffer":
        words = ["buffer", *([] if held.persistent else ["not in state_dict"])]
    else:
        words = ["plain tensor"]
    if held.same is not None:
        words.append(f"same as {held.same}")
    return ", ".join(words)


# The whole ----------------------------------------------------------------------------------------


def counts(findings: Findings) -> list[tuple[str, str, str, bool]]:
    """Return the model's sums: a word, a number, what it is made of, and whether to look at it."""
    parameters: list[Tensor] = list(findings.model.parameters())
    frozen = [p for p in parameters if not p.requires_grad]
    trainable = [p for p in parameters if p.requires_grad]
    buffers = list(findings.model.buffers())
    hidden = findings.unregistered()
    rows = [
        ("parameters", parameters, False),
        ("trainable", trainable, False),
        ("frozen", frozen, False),
        ("in buffers", buffers, False),
        ("not registered", hidden, bool(hidden)),
    ]
    return [
        (word, f"{numbers(found):,}", f"in {counted(len(found), 'tensor')}" if found else "", loud)
        for word, found, loud in rows
    ]


def mode_sentence(findings: Findings) -> str:
    """Say in which mode the model ran, and to whom that matters."""
    mode = "training" if findings.model.training else "eval"
    modal = {type(m).__name__: None for m in findings.model.modules() if isinstance(m, _MODAL)}
    matters = f" The mode matters to {listed(list(modal))}." if modal else ""
    return f"It is in {mode} mode and ran in it, without recording gradients.{matters}"


def change_sentence(findings: Findings) -> str:
    """Say what the forward wrote into the model."""
    changed = findings.run.changed
    if not changed:
        return "The forward wrote nothing into the model."
    return f"The forward wrote into {_several(changed)}; all of it was put back."


def usual_dtype(findings: Findings) -> str:
    """Return the dtype that is left unsaid: that of the model's numbers."""
    tensors = [*findings.model.parameters(), *findings.model.buffers()]
    return next((dtype_name(t) for t in tensors if t.is_floating_point()), "float32")


def _named(held: Sequence[Held]) -> str:
    return _several([one.name for one in held])


def _several(names: Sequence[str]) -> str:
    shown = [f"`{name}`" for name in names[:_MOST_NAMED]]
    if len(names) > _MOST_NAMED:
        shown = [*shown[:-1], f"{len(names) - _MOST_NAMED + 1} more"]
    return listed(shown)


def _are(things: Sequence[Part]) -> str:
    return "is" if len(things) == 1 else "are"
