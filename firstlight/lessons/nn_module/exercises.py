"""What the student writes in lesson 3, nn.Module, and every known way to get it wrong."""

# mypy does not see what a decorator makes of a class, nor what stands in an nn.Sequential.
# mypy: disable-error-code="attr-defined,operator,type-arg,no-untyped-def"
# A student zips a list with its own tail:
# ruff: noqa: RUF007

import math
import operator
from collections import Counter
from contextlib import contextmanager
from copy import deepcopy
from itertools import permutations
from numbers import Integral, Number, Real

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.modules.module import (
    register_module_forward_pre_hook,
    register_module_parameter_registration_hook,
)

from firstlight.checking import Extra, exercise
from firstlight.checking.source import does_nothing

# Networks to look at ------------------------------------------------------------------------------


@contextmanager
def unfilled_memory_is_nan():
    """Let `torch.empty` give NaN inside, so that weights nobody has filled can be seen."""
    was = torch.are_deterministic_algorithms_enabled()
    warned = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(was, warn_only=warned)


def module_of(thing):
    """Return a module, or say that it is none."""
    if not isinstance(thing, nn.Module):
        raise TypeError("the class is not derived from nn.Module")
    if "_modules" not in vars(thing):
        raise TypeError("nn.Module's own `__init__` has not run: call `super().__init__()`")
    return thing


def shapes(tensors):
    """List shapes, in an order that does not depend on names: `(2,), (2, 3)`."""
    return ", ".join(sorted(str(tuple(t.shape)) for t in tensors)) or "none"


def modules_called(network, *inputs):
    """Run a network once and list the modules that ran inside, registered or not, in their order."""
    called = []

    def note(module, _inputs):
        if not any(module is known for known in called):
            called.append(module)

    handle = register_module_forward_pre_hook(note)
    try:
        network(*inputs)
    finally:
        handle.remove()
    return called


def tensors_of(module):
    """List what a module holds itself: parameters, buffers, and tensors that are plain attributes."""
    plain = (value for value in vars(module).values() if isinstance(value, torch.Tensor))
    return [*module.parameters(recurse=False), *module.buffers(recurse=False), *plain]


def fill(called, network):
    """Give every weight values that follow from its shape and its turn, whatever it is called.

    The turn is the order in which the layers ran, so neither names nor the order in which
    layers were made or drawn matter. Layers that ran without being registered are filled, too.
    """
    turns, filled = Counter(), []
    with torch.no_grad():
        for tensor in (t for module in [*called, *network.modules()] for t in tensors_of(module)):
            if tensor.is_floating_point() and not any(tensor is known for known in filled):
                filled.append(tensor)
                shape = tuple(tensor.shape)
                turns[shape] += 1
                place = sum(31**i * length for i, length in enumerate(shape, start=1))
                g = torch.Generator().manual_seed(1009 * place + turns[shape])
                tensor.copy_(0.6 * torch.randn(shape, generator=g))


def fill_as(wanted, orders, network, inputs):
    """Fill a network in the first of several orders in which it computes what is wanted.

    Layers that never ran, or ran in a turn of their own, cannot be told apart by their turn. A
    network that agrees in one of the orders is the same network; if none agrees, the first counts.
    """
    fill(modules_called(wanted, *inputs), wanted)
    with torch.no_grad():
        due = wanted(*inputs)
        for order in orders:
            fill(order, network)
            output = network(*inputs)
            if not isinstance(output, torch.Tensor) or output.shape != due.shape:
                break
            if torch.allclose(output, due, rtol=1e-4, atol=1e-4 * float(due.abs().max())):
                return
    fill(orders[0], network)


def registered(called, network):
    """Say which of the layers that ran belong to a network: all, or how many and which do not."""
    own = set(network.modules())
    layers = [m for m in called if list(m.parameters(recurse=False))]
    names = [type(m).__name__ for m in layers if m not in own]
    found = f"{len(layers) - len(names)} of the {len(layers)} that run"
    return f"{found} ({', '.join(names)} missing)" if names else "all that run"


def memory(called, network):
    """Say where in memory the numbers of a network lie."""
    tensors = [t for module in [*called, *network.modules()] for t in tensors_of(module)]
    return {t.untyped_storage().data_ptr() for t in tensors}


def dtype_in_float64(network, *inputs):
    """Move a network to float64 and say in which dtype it then answers, or which error it raises."""
    try:
        output = network.double()(*(x.double() for x in inputs))
    except RuntimeError as error:
        return f"an error: {error}"
    return str(getattr(output, "dtype", None)).removeprefix("torch.")


def after_eval(network, *inputs):
    """Run a network in eval mode, and leave its modules in the modes they were in."""
    modes = [(module, module.training) for module in network.modules()]
    try:
        return network.eval()(*inputs)
    finally:
        for module, training in modes:
            module.training = training


def alike_but_for_rounding(one, other):
    """Whether two outputs are tensors of one shape and the same numbers."""
    if not all(isinstance(output, torch.Tensor) for output in (one, other)):
        return False
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    one, other = one.detach(), other.detach()
    size = float(one.nan_to_num().abs().max()) if one.numel() else 0.0
    return torch.allclose(one, other, rtol=1e-4, atol=1e-5 * size, equal_nan=True)


def given_back(network, *inputs):
    """Run a network in both modes; give its output, and in words what kind of thing it is."""

    def fresh():  # no leaves, so that writing into them is seen instead of refused
        return [x.clone() for x in inputs]

    output, again = network(*fresh()), network(*fresh())
    if output is None:
        written = not does_nothing(type(network).forward)
        return None, "None" if written else "nothing yet: the `...` still stands there"
    if not isinstance(output, torch.Tensor):
        return None, f"an object of type {type(output).__name__}"
    if not torch.equal(output, again):
        return None, "another tensor at each call"
    if not alike_but_for_rounding(output, after_eval(network, *fresh())):
        return output, "a tensor, and another one after `.eval()`"
    return output, "a tensor, the same at every call"


def left_alone(network, *inputs):
    """Whether a network only reads its inputs, and does not write into them."""
    copies = [x.clone() for x in inputs]
    network(*copies)
    return not any(copy._version for copy in copies)


def examine(network, *inputs, of, another=None, wanted=None, orders=None):
    """Observe what a network owns and what it computes, whatever its parts are called.

    `of` names it, `another` was made by the same call. `orders` lists the orders in which its layers
    may stand for those of `wanted`; without it they are known by their turn.
    """
    called = modules_called(module_of(network), *inputs)
    if another is not None:
        others = modules_called(module_of(another), *inputs)
        apart = not memory(called, network) & memory(others, another)
    if orders is None:
        fill(called, network)
    else:
        fill_as(wanted, orders(called, network), network, inputs)
    parameters = list(network.parameters())
    seen = {
        "the layers that are registered": registered(called, network),
        "the shapes of the parameters": shapes(parameters),
    }
    inputs = tuple(x.detach().clone().requires_grad_() for x in inputs)
    output, words = given_back(network, *inputs)
    seen["what `forward` gives"] = words
    seen["what comes in is only read"] = left_alone(network, *inputs)
    if output is None:
        return seen
    if output.requires_grad:
        output.square().sum().backward()
    return {
        **seen,
        f"the output of {of} for known weights": output,
        **({} if another is None else {"each new one has memory of its own": apart}),
        "the gradient at the input": inputs[0].grad,
        "every registered parameter requires gradients": all(p.requires_grad for p in parameters),
        "a gradient reaches every registered parameter": bool(parameters)
        and all(p.grad is not None for p in parameters if p.requires_grad),
        "the dtype after `.double()`": dtype_in_float64(network, *inputs),
    }


def form(value):
    """Describe what a function gives back, in a few words."""
    if isinstance(value, nn.Module):
        kind = "an nn.Sequential" if isinstance(value, nn.Sequential) else "another module"
        return kind if value.training else f"{kind} in eval mode"
    if isinstance(value, tuple | list):
        whole = all(isinstance(part, Integral) for part in value)
        plain = all(isinstance(part, Number) for part in value)
        return f"{len(value)} {'ints' if whole else 'numbers' if plain else 'values'}"
    return "None" if value is None else f"one {type(value).__name__}"


# A layer of your own ------------------------------------------------------------------------------


@exercise(
    level="guided",
    minutes=7,
    why="Assigned as attributes, the two Parameters are registered, and `x @ weight.T` works on the last axis whatever "
    "stands in front of it.",
    hints=(
        "First of all `super().__init__()`: it makes the place where parameters are registered.",
        "`nn.Parameter(torch.empty(rows, columns))` makes a parameter of that shape. It is registered when it becomes an "
        "attribute: `self.weight = …`.",
        "`nn.init.uniform_(self.weight, low, high)` fills it. In `forward`, multiply `x` by the transposed weights and add "
        "the bias.",
    ),
)
class Linear(nn.Module):
    """Write a linear layer of your own, out of two parameters.

    `Linear(in_features, out_features)` has a parameter `weight` of shape
    (out_features, in_features), one row for each output, and a parameter `bias` of shape
    (out_features,).

    The weights start as random numbers, uniform between -1/√in_features and
    1/√in_features. The bias starts anywhere in that range, at 0 if you like.

    `layer(x)`: x (…, in_features) -> (…, out_features), what nn.Linear with this weight and
    this bias computes. nn.Linear itself is not used.
    """

    def __init__(self, in_features, out_features):
        # solution:
        super().__init__()
        bound = 1 / math.sqrt(in_features)
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.bias = nn.Parameter(torch.zeros(out_features))
        nn.init.uniform_(self.weight, -bound, bound)
        # end solution

    def forward(self, x):
        # solution:
        return x @ self.weight.T + self.bias
        # end solution


def beginning(weight, another, bound):
    """Say in words how a layer's initial weights lie in the range from -bound to bound."""
    if not isinstance(weight, torch.Tensor):
        return "no tensor called `weight`"
    values = weight.detach().flatten()
    largest, spread = float(values.abs().max()), float(values.std())
    inner = float((values.abs() < largest / 2).float().mean())
    if not bool(values.isfinite().all()):
        return "memory that nobody has filled"
    if len(values.unique()) == 1:
        return "one number for all weights"
    if len(weight.unique(dim=0)) < len(weight):
        return "rows of weights that are equal"
    if float(values.min()) >= 0:
        return "weights of which none is negative"
    if largest > 1.001 * bound and largest > 2.2 * spread:
        known = "with standard deviation 1" if 0.9 < spread < 1.1 else "beyond the range"
        return f"normal numbers {known}"
    if largest > 1.001 * bound:
        return "a range that is too wide"
    if not 0.4 < inner < 0.6:
        return "numbers that are not spread evenly"
    if largest < 0.97 * bound:
        return narrower(largest, *weight.shape)
    if torch.equal(weight, another):
        return "the same numbers in every new layer"
    return "numbers spread evenly over the range"


def narrower(largest, outputs, inputs):
    """Say which range too narrow has been filled, if it is one of those that people take."""
    rules = {"1/√out_features": outputs**-0.5, "1/in_features": 1 / inputs}
    for words, end in rules.items():
        if 0.97 * end < largest < 1.001 * end:
            return f"a range that ends at {words}"
    return "a range that is too narrow"


def biases_at_the_start(bias, bound):
    """Say in words where a layer's initial biases lie."""
    if not isinstance(bias, torch.Tensor):
        return "no tensor called `bias`"
    if not bool(bias.isfinite().all()):
        return "memory that nobody has filled"
    outside = float(bias.detach().abs().max()) > 1.001 * bound
    return "numbers outside the range" if outside else "numbers in the range"


@contextmanager
def ready_made_layers():
    """List the modules of type nn.Linear that are made inside."""
    made = []

    def note(module, name, parameter):
        if isinstance(module, nn.Linear):
            made.append(module)

    handle = register_module_parameter_registration_hook(note)
    try:
        yield made
    finally:
        handle.remove()


def by_name(network):
    """List shapes by name, the weight first: `weight (2, 3), bias (2,)`."""
    named = sorted(network.named_parameters(), key=lambda pair: -pair[1].dim())
    return ", ".join(f"{name} {tuple(p.shape)}" for name, p in named) or "none"


def start_of(answer):
    """Make two layers of one shape, and say in words how their numbers start."""
    with unfilled_memory_is_nan():
        untouched = torch.get_rng_state()
        one, after_one = answer(16, 40), torch.get_rng_state()
        another, after_two = answer(16, 40), torch.get_rng_state()
    weight, bias = getattr(one, "weight", None), getattr(one, "bias", None)
    set_back = torch.equal(after_one, after_two) and not torch.equal(untouched, after_one)
    return {
        "the weights at the start": beginning(weight, getattr(another, "weight", None), 1 / 4),
        "the biases at the start": biases_at_the_start(bias, 1 / 4),
        "the program's generator is set back": Extra(set_back),
        "each new layer has memory of its own": not memory([], one) & memory([], another),
    }


@Linear.drive
def build_a_layer(answer, x, out_features):
    with ready_made_layers() as made:
        layer = module_of(answer(x.shape[-1], out_features))
    start = start_of(answer)
    names = {name for name, _ in layer.named_parameters()}
    of = f"Linear({x.shape[-1]}, {out_features})"
    named = by_name(layer)
    vector = x.flatten(0, -2)[0].clone()
    found = [str(tuple(getattr(layer(some), "shape", ()))) for some in (vector, vector[None])]
    with ready_made_layers() as made_later:
        seen = examine(layer, x, of=of)
    seen.pop("the layers that are registered")
    seen.pop("the shapes of the parameters")
    return {
        "the parameters": named,
        "they are called `weight` and `bias`": names == {"weight", "bias"},
        **start,
        "no nn.Linear is made": not made and not made_later,
        "the layer is itself an nn.Linear": Extra(isinstance(layer, nn.Linear)),
        **seen,
        "the shape of the output for one vector": found[0],
        "the shape of the output for a batch of one": found[1],
        "the vector keeps its shape": vector.dim() == 1,
    }


@Linear.probe
def three_features(g):
    return torch.randn(4, 3, generator=g), 2


@Linear.probe
def a_batch_of_sequences(g):
    return torch.randn(2, 5, 4, generator=g), 3


@Linear.probe
def all_lengths_equal(g):  # where a missing transpose keeps the shape
    return torch.randn(3, 3, generator=g), 3


@Linear.alternative(
    "The random numbers first, the Parameter around them; `F.linear` for the product."
)
class FilledBeforehand(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        bound = in_features**-0.5
        self.weight = nn.Parameter(bound * (2 * torch.rand(out_features, in_features) - 1))
        self.bias = nn.Parameter(bound * (2 * torch.rand(out_features) - 1))

    def forward(self, x):
        return F.linear(x, self.weight, self.bias)


@Linear.alternative(
    "This is how nn.Linear does it: `kaiming_uniform_` with a = √5 comes to the same range."
)
class AsInPyTorch(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        self.in_features = in_features
        self.weight = nn.Parameter(torch.empty((out_features, in_features)))
        self.bias = nn.Parameter(torch.empty(out_features))
        self.reset_parameters()

    def reset_parameters(self):
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        nn.init.uniform_(self.bias, -1 / math.sqrt(self.in_features), 0)

    def forward(self, x):
        return torch.matmul(x, self.weight.t()).add(self.bias)


@Linear.alternative("`register_parameter` is what the assignment does behind the scenes.")
class RegisteredByHand(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        weight = torch.empty(out_features, in_features)
        weight.uniform_(-1, 1).div_(in_features**0.5)
        self.register_parameter("weight", nn.Parameter(weight))
        self.register_parameter("bias", nn.Parameter(torch.zeros(out_features)))

    def forward(self, x):
        return torch.einsum("...i,oi->...o", x, self.weight) + self.bias


@Linear.misconception(
    title="The weights are tensors, not Parameters",
    why="`requires_grad=True` makes a tensor collect gradients. It does not register it: only an `nn.Parameter` is. So "
    "`parameters()` is empty, `state_dict()` saves nothing, and `.to()` and `.double()` leave the weights where they are.",
    next="Wrap both tensors in `nn.Parameter`.",
    link="what-registration-is",
    shows="the parameters",
)
class PlainTensors(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        bound = 1 / math.sqrt(in_features)
        self.weight = torch.empty(out_features, in_features, requires_grad=True)
        self.bias = torch.zeros(out_features, requires_grad=True)
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, x):
        return x @ self.weight.T + self.bias


@Linear.misconception(
    title="The weights are buffers",
    why="A buffer is saved and moved with the module, and never trained: it is missing from `parameters()` and does not "
    "require gradients. Buffers are for numbers that are measured, not learned.",
    next="What is learned is an `nn.Parameter`.",
    link="what-registration-is",
    shows="the parameters",
)
class WeightsAsBuffers(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        bound = 1 / math.sqrt(in_features)
        self.register_buffer("weight", torch.empty(out_features, in_features))
        self.register_buffer("bias", torch.zeros(out_features))
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, x):
        return x @ self.weight.T + self.bias


@Linear.misconception(
    title="The weight lies the other way round",
    why="Foundations kept one *column* of weights per output, (in, out). PyTorch keeps one *row* per output, (out, in). The "
    "product comes out right either way, but no weights saved by an nn.Linear fit into this layer.",
    next="Exchange the two lengths, and transpose in `forward`.",
    link="what-a-linear-layer-computes",
    shows="the parameters",
)
class InByOut(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        bound = 1 / math.sqrt(in_features)
        self.weight = nn.Parameter(torch.empty(in_features, out_features))
        self.bias = nn.Parameter(torch.zeros(out_features))
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, x):
        return x @ self.weight + self.bias


@Linear.misconception(
    title="New weights at every call",
    why="What is made in `forward` is made again each time it runs: the same input gives another output, nothing is "
    "registered, and whatever a step has learned is thrown away with the next call.",
    next="Make the parameters once, in `__init__`.",
    link="what-happens-at-a-call",
    shows="what `forward` gives",
)
class MadeInForward(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        self.in_features, self.out_features = in_features, out_features

    def forward(self, x):
        bound = 1 / math.sqrt(self.in_features)
        weight = nn.Parameter(torch.empty(self.out_features, self.in_features))
        bias = nn.Parameter(torch.zeros(self.out_features))
        nn.init.uniform_(weight, -bound, bound)
        return x @ weight.T + bias


@Linear.misconception(
    title="`super().__init__()` was not called",
    why="nn.Module's own `__init__` makes the place where parameters and layers are registered. Until it has run, the "
    "first assignment of a parameter has nowhere to go.",
    next="Make `super().__init__()` the first line of `__init__`.",
    link="what-registration-is",
)
class WithoutSuper(nn.Module):
    def __init__(self, in_features, out_features):
        bound = 1 / math.sqrt(in_features)
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.bias = nn.Parameter(torch.zeros(out_features))
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, x):
        return x @ self.weight.T + self.bias


@Linear.misconception(
    title="The weights were never filled",
    why="`torch.empty` reserves memory and leaves in it what happens to be there: often zeros, sometimes numbers of 10³⁸ or "
    "NaN. A network built on it works today and fails tomorrow.",
    next="Fill the weights, with `nn.init.uniform_` for instance.",
    link="what-a-linear-layer-computes",
    shows="the weights at the start",
)
class NeverFilled(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.bias = nn.Parameter(torch.zeros(out_features))

    def forward(self, x):
        return x @ self.weight.T + self.bias


@Linear.misconception(
    title="The biases were never filled",
    why="`torch.empty` reserves memory and leaves in it what happens to be there: often zeros, sometimes numbers of 10³⁸ or "
    "NaN. One such bias spoils its output for every input.",
    next="Fill the biases as well, with zeros for instance.",
    link="what-a-linear-layer-computes",
    shows="the biases at the start",
)
class BiasNeverFilled(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        bound = 1 / math.sqrt(in_features)
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.bias = nn.Parameter(torch.empty(out_features))
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, x):
        return x @ self.weight.T + self.bias


@Linear.misconception(
    title="Nothing was filled, neither weights nor biases",
    why="`torch.empty` reserves memory and leaves in it what happens to be there: often zeros, sometimes numbers of 10³⁸ or "
    "NaN. A network built on it works today and fails tomorrow.",
    next="Fill the weights, with `nn.init.uniform_` for instance, and the biases, with zeros for instance.",
    link="what-a-linear-layer-computes",
    shows="the weights at the start",
)
class NothingFilled(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.bias = nn.Parameter(torch.empty(out_features))

    def forward(self, x):
        return x @ self.weight.T + self.bias


@Linear.misconception(
    title="The biases start outside the range",
    why="A bias moves its output from the start, before anything is known that would ask for it. The docstring lets it start "
    "between -1/√in_features and 1/√in_features, and 0 is the plainest choice.",
    next="Start the biases in the range, at 0 if you like.",
    link="what-a-linear-layer-computes",
    shows="the biases at the start",
)
class BiasFromRandn(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        bound = 1 / math.sqrt(in_features)
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.bias = nn.Parameter(torch.randn(out_features))
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, x):
        return x @ self.weight.T + self.bias


@Linear.misconception(
    title="The bias has an axis too many",
    why="A bias of shape (1, out_features) is a row, as in Foundations. It gives a single vector an axis that it never had, and "
    "no bias saved by an nn.Linear fits into it.",
    next="The bias is (out_features,): one axis.",
    link="what-a-linear-layer-computes",
    shows="the parameters",
)
class BiasAsARow(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        bound = 1 / math.sqrt(in_features)
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.bias = nn.Parameter(torch.zeros(1, out_features))
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, x):
        return x @ self.weight.T + self.bias


@Linear.misconception(
    title="All weights start equal",
    why="If all the rows are equal, all outputs are, and so are their gradients. Every step moves them alike: a hidden layer "
    "of 100 units then does the work of one.",
    next="Start with random numbers.",
    link="what-a-linear-layer-computes",
    shows="the weights at the start",
)
class StartsAtZero(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(out_features, in_features))
        self.bias = nn.Parameter(torch.zeros(out_features))

    def forward(self, x):
        return x @ self.weight.T + self.bias


@Linear.misconception(
    title="Normal numbers, not scaled",
    why="`randn` has standard deviation 1, however many inputs are added up. With 784 inputs the outputs are about 28 "
    "times as large as the inputs, and each further layer multiplies again.",
    next="Keep to the range: it shrinks with the square root of `in_features`.",
    link="what-a-linear-layer-computes",
    shows="the weights at the start",
)
class UnscaledNormal(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_features, in_features))
        self.bias = nn.Parameter(torch.zeros(out_features))

    def forward(self, x):
        return x @ self.weight.T + self.bias


@Linear.misconception(
    title="No weight is negative at the start",
    why="`torch.rand` draws between 0 and 1. With positive weights alone, every output is large where the inputs are large: "
    "all units begin by seeing nearly the same.",
    next="The range is symmetric: from -1/√in_features to 1/√in_features.",
    link="what-a-linear-layer-computes",
    shows="the weights at the start",
)
class OnlyPositive(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        bound = 1 / math.sqrt(in_features)
        self.weight = nn.Parameter(bound * torch.rand(out_features, in_features))
        self.bias = nn.Parameter(torch.zeros(out_features))

    def forward(self, x):
        return x @ self.weight.T + self.bias


@Linear.misconception(
    title="`forward` takes the weights out of the graph",
    why="`.data` and `.detach()` give the numbers without their history. The output is right and knows nothing of the "
    "weights, so no gradient ever reaches them.",
    next="Use the parameters themselves.",
    link="what-a-linear-layer-computes",
    shows="a gradient reaches every registered parameter",
)
class DetachedWeights(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        bound = 1 / math.sqrt(in_features)
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.bias = nn.Parameter(torch.zeros(out_features))
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, x):
        return x @ self.weight.data.T + self.bias.data


@Linear.misconception(
    title="nn.Linear does the work",
    why="The layer inside is right, and it is registered under its own name: the parameters are called `layer.weight` and "
    "`layer.bias`. Here the two parameters are to be your own.",
    next="Make `self.weight` and `self.bias` yourself, each an `nn.Parameter`.",
    link="what-a-linear-layer-computes",
    shows="no nn.Linear is made",
)
class WrappedLinear(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        self.layer = nn.Linear(in_features, out_features)

    def forward(self, x):
        return self.layer(x)


@Linear.misconception(
    title="nn.Linear does the work, and lends its parameters",
    why="The names are right, because `weight` and `bias` are second names for the parameters of the nn.Linear inside. In `state_dict()` everything "
    "stands twice. Here the two parameters are to be your own.",
    next="Make `self.weight` and `self.bias` yourself, each an `nn.Parameter`.",
    link="what-a-linear-layer-computes",
    shows="no nn.Linear is made",
)
class BorrowedParameters(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        self.inner = nn.Linear(in_features, out_features)
        self.weight, self.bias = self.inner.weight, self.inner.bias

    def forward(self, x):
        return self.inner(x)


@Linear.misconception(
    title="The bias is not registered",
    why="The weight is an `nn.Parameter`, the bias is a plain tensor. It takes part in every output, and it is never trained, saved or moved.",
    next="Make the bias a Parameter, too.",
    link="what-registration-is",
    shows="the parameters",
)
class BiasAsTensor(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        bound = 1 / math.sqrt(in_features)
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.bias = torch.zeros(out_features)
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, x):
        return x @ self.weight.T + self.bias


@Linear.misconception(
    title="The Parameters stand in a list",
    why="A module registers what is assigned to an attribute, and the attribute here is a list. It does not look inside, even if what it would find are Parameters.",
    next="One attribute for each: `self.weight` and `self.bias`.",
    link="what-registration-is",
    shows="the parameters",
)
class ParametersInAList(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        bound = 1 / math.sqrt(in_features)
        weight = torch.empty(out_features, in_features).uniform_(-bound, bound)
        self.params = [nn.Parameter(weight), nn.Parameter(torch.zeros(out_features))]

    def forward(self, x):
        return x @ self.params[0].T + self.params[1]


@Linear.misconception(
    title="The Parameter was turned back into a tensor",
    why="Whatever is computed from a Parameter is an ordinary tensor: `nn.Parameter(…) * bound` is one, with a history. It is not registered, and it is no leaf.",
    next="Compute first, and wrap the result in `nn.Parameter` last.",
    link="what-registration-is",
    shows="the parameters",
)
class ComputedAfterwards(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        bound = 1 / math.sqrt(in_features)
        self.weight = nn.Parameter(2 * torch.rand(out_features, in_features) - 1) * bound
        self.bias = nn.Parameter(torch.zeros(out_features))

    def forward(self, x):
        return x @ self.weight.T + self.bias


@Linear.misconception(
    title="The parameters have other names",
    why="The layer is right, and whoever looks for `layer.weight` does not find it: weights saved by an nn.Linear cannot be loaded by name.",
    next="Call them `weight` and `bias`.",
    link="what-a-linear-layer-computes",
    shows="they are called `weight` and `bias`",
)
class OtherNames(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        bound = 1 / math.sqrt(in_features)
        self.W = nn.Parameter(torch.empty(out_features, in_features))
        self.b = nn.Parameter(torch.zeros(out_features))
        nn.init.uniform_(self.W, -bound, bound)

    def forward(self, x):
        return x @ self.W.T + self.b


@Linear.misconception(
    title="The bias is not added",
    why="Without its bias every output is 0 where the input is 0. The bias is registered, and as it takes no part in the output, no gradient reaches it.",
    next="Add it to the product.",
    link="what-a-linear-layer-computes",
)
class BiasNotAdded(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        bound = 1 / math.sqrt(in_features)
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.bias = nn.Parameter(torch.zeros(out_features))
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, x):
        return x @ self.weight.T


@Linear.misconception(
    title="`forward` returns nothing",
    why="The product is computed and thrown away: a function without `return` gives None.",
    next="Return the result.",
    link="what-happens-at-a-call",
)
class ReturnsNothing(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        bound = 1 / math.sqrt(in_features)
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.bias = nn.Parameter(torch.zeros(out_features))
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, x):
        x @ self.weight.T + self.bias


@Linear.misconception(
    title="There is an activation in the layer",
    why="A linear layer is the product and the bias. The activation is another layer, so that each can be put where it is wanted.",
    next="Leave the activation out.",
    link="what-a-linear-layer-computes",
)
class WithActivation(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        bound = 1 / math.sqrt(in_features)
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.bias = nn.Parameter(torch.zeros(out_features))
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, x):
        return F.relu(x @ self.weight.T + self.bias)


@Linear.misconception(
    title="Filled while autograd is watching",
    why="`self.weight` is a leaf that requires gradients, and PyTorch lets nobody write into it while it records. The functions of `nn.init` record nothing.",
    next="Use `nn.init.uniform_`, or fill the tensor before you wrap it.",
    link="what-a-linear-layer-computes",
)
class FilledWhileRecording(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        bound = 1 / math.sqrt(in_features)
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.bias = nn.Parameter(torch.zeros(out_features))
        self.weight.uniform_(-bound, bound)

    def forward(self, x):
        return x @ self.weight.T + self.bias


@Linear.misconception(
    title="The range is too narrow",
    why="The numbers are spread evenly, and they end before they reach 1/√in_features. Too small weights make small outputs, in every layer again.",
    next="The two ends are -1/√in_features and 1/√in_features.",
    link="what-a-linear-layer-computes",
    shows="the weights at the start",
)
class NarrowRange(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        bound = 0.5 / math.sqrt(in_features)
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.bias = nn.Parameter(torch.zeros(out_features))
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, x):
        return x @ self.weight.T + self.bias


@Linear.misconception(
    title="The range comes from `out_features`",
    why="An output is a sum over the *inputs*, so their number decides how large the weights may be. How many outputs there are does not change a single one of them.",
    next="The two ends are -1/√in_features and 1/√in_features.",
    link="what-a-linear-layer-computes",
    shows="the weights at the start",
)
class RangeFromOutputs(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        bound = 1 / math.sqrt(out_features)
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.bias = nn.Parameter(torch.zeros(out_features))
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, x):
        return x @ self.weight.T + self.bias


@Linear.misconception(
    title="The root is missing",
    why="1/in_features is far smaller than 1/√in_features: with 784 inputs by a factor of 28. The signal dies out within a few layers.",
    next="Take the square root of `in_features` first.",
    link="what-a-linear-layer-computes",
    shows="the weights at the start",
)
class RootMissing(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        bound = 1 / in_features
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.bias = nn.Parameter(torch.zeros(out_features))
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, x):
        return x @ self.weight.T + self.bias


@Linear.misconception(
    title="It is an nn.Linear under another name",
    why="Derived from nn.Linear, the class has everything already. The exercise is to write what it does.",
    next="Derive from `nn.Module`, and make the two Parameters.",
    link="what-a-linear-layer-computes",
    shows="no nn.Linear is made",
)
class DerivedFromLinear(nn.Linear):
    def __init__(self, in_features, out_features):
        super().__init__(in_features, out_features)

    def forward(self, x):
        return super().forward(x)


@Linear.misconception(
    title="Every layer starts with the same numbers",
    why="`torch.manual_seed` inside `__init__` sets the generator of the whole program back, each time a layer is made. Two layers of one shape begin as twins, and everybody else's random numbers repeat.",
    next="Seed once, at the start of a program, outside of the layer.",
    link="what-a-linear-layer-computes",
    shows="the weights at the start",
)
class SeededInside(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        torch.manual_seed(0)
        bound = 1 / math.sqrt(in_features)
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.bias = nn.Parameter(torch.zeros(out_features))
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, x):
        return x @ self.weight.T + self.bias


@Linear.misconception(
    title="Every layer starts with the same numbers",
    why="A generator of your own that is seeded inside `__init__` starts anew each time a layer is made. Two layers of one shape begin as twins.",
    next="Draw without a generator of your own. Whoever wants the same numbers again seeds the program once, at its start.",
    link="what-a-linear-layer-computes",
    shows="the weights at the start",
)
class OwnGeneratorInside(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        bound = 1 / math.sqrt(in_features)
        generator = torch.Generator().manual_seed(0)
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.bias = nn.Parameter(torch.zeros(out_features))
        nn.init.uniform_(self.weight, -bound, bound, generator=generator)

    def forward(self, x):
        return x @ self.weight.T + self.bias


@Linear.misconception(
    title="One bias for all outputs",
    why="A bias of shape (1,) is stretched over the outputs: all of them are moved by the same number.",
    next="There is one bias for each output.",
    link="what-a-linear-layer-computes",
    shows="the parameters",
)
class OneBiasForAll(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        bound = 1 / math.sqrt(in_features)
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.bias = nn.Parameter(torch.zeros(1))
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, x):
        return x @ self.weight.T + self.bias


@Linear.misconception(
    title="The weights were not transposed",
    why="The weight has one row for each output, (out, in), and the last axis of x has length in. So `x @ weight` does not fit, unless the two lengths are equal: then it runs and mixes up which weight belongs to which output.",
    next="Look at the two shapes: which axis of the weight is to meet the last one of x?",
    link="what-a-linear-layer-computes",
)
class WithoutTranspose(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        bound = 1 / math.sqrt(in_features)
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.bias = nn.Parameter(torch.zeros(out_features))
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, x):
        return x @ self.weight + self.bias


@Linear.misconception(
    title="The layer has no bias",
    why="The product alone gives 0 wherever the input is 0. The bias, one number for each output, moves the outputs away from there, and it is learned like the weight.",
    next="Make a second Parameter, and add it in `forward`.",
    link="what-a-linear-layer-computes",
    shows="the parameters",
)
class WithoutBias(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        bound = 1 / math.sqrt(in_features)
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, x):
        return x @ self.weight.T


@Linear.misconception(
    title="There is no method `forward`",
    why="A call runs `forward`, by that very name. Written in another way, it is a method that nobody calls.",
    next="Look at the spelling.",
    link="what-happens-at-a-call",
)
class MisspelledLinear(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        bound = 1 / math.sqrt(in_features)
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.bias = nn.Parameter(torch.zeros(out_features))
        nn.init.uniform_(self.weight, -bound, bound)

    def foward(self, x):
        return x @ self.weight.T + self.bias


MisspelledLinear.__name__ = "Linear"  # the message names the class


@Linear.misconception(
    title="Written for inputs with two axes",
    why="The formula names a batch axis and a feature axis, and nothing else. A batch of sequences has three axes, a single vector has one, and the layer is to work on the last axis of any of them.",
    next="Use a product that leaves the leading axes alone.",
    link="what-a-linear-layer-computes",
)
class OnlyTwoAxes(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        bound = 1 / math.sqrt(in_features)
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.bias = nn.Parameter(torch.zeros(out_features))
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, x):
        return torch.einsum("bi,oi->bo", x, self.weight) + self.bias


@Linear.misconception(
    title="The batch was turned round, and turned back",
    why="W @ x.T is how a book writes it, for a table of columns. `.T` turns *all* axes round: that is right for two of them, and for a batch of sequences, with three, it brings the wrong ones together.",
    next="Turn the weight instead. It always has two axes.",
    link="what-a-linear-layer-computes",
)
class TurnedTheBatch(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        bound = 1 / math.sqrt(in_features)
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.bias = nn.Parameter(torch.zeros(out_features))
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, x):
        return (self.weight @ x.T).T + self.bias


@Linear.misconception(
    title="The range is too wide",
    why="The numbers are spread evenly, and some lie beyond 1/√in_features. An output is a sum over all inputs, so the more inputs there are, the smaller each weight has to be.",
    next="The two ends are -1/√in_features and 1/√in_features.",
    link="what-a-linear-layer-computes",
    shows="the weights at the start",
)
class RangeTooWide(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.bias = nn.Parameter(torch.zeros(out_features))
        nn.init.uniform_(self.weight, -1, 1)

    def forward(self, x):
        return x @ self.weight.T + self.bias


@Linear.misconception(
    title="Normal numbers instead of uniform ones",
    why="The spread shrinks with the number of inputs, as it should. But normal numbers have no ends: about a third of them lie beyond one standard deviation. The docstring asks for a range that is filled evenly.",
    next="Draw uniform numbers between the two ends.",
    link="what-a-linear-layer-computes",
    shows="the weights at the start",
)
class ScaledNormal(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_features, in_features) / math.sqrt(in_features))
        self.bias = nn.Parameter(torch.zeros(out_features))

    def forward(self, x):
        return x @ self.weight.T + self.bias


# Buffers ------------------------------------------------------------------------------------------


@exercise(
    level="supported",
    minutes=5,
    why="Buffers are saved and moved with the module like parameters, and nobody trains them.",
    hints=(
        "The statistics are measured once, when the layer is made. Where do numbers live that are saved but not trained?",
        '`self.register_buffer("mean", …)` makes the attribute `self.mean`.',
        "Two buffers in `__init__`, from `x.mean(0)` and `x.std(0)`. `forward` uses them and computes no statistics.",
    ),
)
class Standardiser(nn.Module):
    """Standardise features by statistics that were measured once.

    `Standardiser(x)`: x is (N, D), the training data. The layer keeps the mean and the standard
    deviation of each column, `x.mean(0)` and `x.std(0)`, each (D,), as `mean` and `std`.

    `layer(z)`: z (B, D) -> (z - mean) / std, by the statistics of x, whatever z is. No column of x
    is constant, so no std is 0.

    Nothing here is trained: the layer has no parameters. But a gradient goes back through it to z,
    for layers that may stand before it. `state_dict()` saves the two statistics under their names,
    and nothing else. They go along with `.to()` and `.double()`.
    """

    def __init__(self, x):
        super().__init__()
        # solution:
        self.register_buffer("mean", x.mean(0))
        self.register_buffer("std", x.std(0))
        # end solution

    def forward(self, z):
        # solution:
        return (z - self.mean) / self.std
        # end solution


def state_of(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


def same_state(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def loaded_elsewhere(answer, layer, x, z):
    """Load a layer's state into one that was made from other data, and use that."""
    other = answer(3 * x + 1)
    try:
        other.load_state_dict(layer.state_dict())
    except RuntimeError as error:
        return f"an error: {error}"
    return other(z)


def gradient_at(layer, z):
    """Send a gradient back through a layer and give what arrives at z, if any does."""
    z = z.clone().requires_grad_()
    output = layer(z.clone())
    if isinstance(output, torch.Tensor) and output.requires_grad:
        (output * torch.arange(1, output.numel() + 1).view(output.shape)).sum().backward()
    return z.grad


def to_six_digits(output):
    """Give an output in float32, so that a tiny number added to a divisor does not count."""
    return output.float() if isinstance(output, torch.Tensor) else output


@Standardiser.drive
def measure_and_use(answer, x, z):
    layer = module_of(answer(x))
    output = layer(z)
    kept = layer.state_dict()
    before = state_of(layer)
    one_row = layer(z[:1])
    same = alike_but_for_rounding(output, after_eval(layer, z.clone()))
    seen = {
        "the output": to_six_digits(output),
        "the output for the first row alone": to_six_digits(one_row),
        "what `forward` gives": "the same at every call"
        if same
        else "other numbers after `.eval()`",
        "the gradient at z": to_six_digits(gradient_at(layer, z)),
        "the statistics stay as they were measured": same_state(before, state_of(layer)),
        "the number of parameters": len(list(layer.parameters())),
        "the tensors in `state_dict`": ", ".join(sorted(kept)) or "none",
        "`mean`": kept["mean"].clone() if "mean" in kept else None,
        "`std`": kept["std"].clone() if "std" in kept else None,
        "the dtype of the output for float64 data": getattr(output, "dtype", None),
        "the output of a copy that has loaded its state": to_six_digits(
            loaded_elsewhere(answer, layer, x, z)
        ),
    }
    small = layer.float()(z.float())
    return {**seen, "the dtype for float32 data after `.float()`": getattr(small, "dtype", None)}


def two_tables(g, rows, columns, others):
    x = torch.randn(rows, columns, generator=g, dtype=torch.float64)
    scale = torch.arange(1, columns + 1, dtype=torch.float64)
    scale[-1] /= 100 * columns  # a column that hardly scatters, where a number added to std tells
    z = 2 * torch.randn(others, columns, generator=g, dtype=torch.float64) - 3
    return 5 + scale + scale * x, z


@Standardiser.probe
def two_features(g):
    return two_tables(g, 5, 2, 3)


@Standardiser.probe
def four_features(g):
    return two_tables(g, 7, 4, 6)


@Standardiser.probe
def as_many_rows_as_features(g):  # where statistics of rows have the right shape
    return two_tables(g, 3, 3, 3)


@Standardiser.alternative("The statistics by their formulas, the quotient by methods.")
class ByFormula(nn.Module):
    def __init__(self, x):
        super().__init__()
        mean = x.sum(0) / len(x)
        self.register_buffer("std", ((x - mean) ** 2).sum(0).div(len(x) - 1).sqrt())
        self.register_buffer("mean", mean)

    def forward(self, z):
        return z.sub(self.mean).div(self.std)


@Standardiser.alternative("A buffer may be declared first and given its value later.")
class DeclaredFirst(nn.Module):
    def __init__(self, x):
        super().__init__()
        self.register_buffer("mean", None)
        self.register_buffer("std", None)
        self.std, self.mean = torch.std_mean(x, dim=0)

    def forward(self, z):
        return (z - self.mean) / self.std


@Standardiser.alternative("`F.batch_norm` computes the same, given statistics and no epsilon.")
class WithBatchNormsFormula(nn.Module):
    def __init__(self, x):
        super().__init__()
        self.register_buffer("mean", torch.mean(x, 0))
        self.register_buffer("std", torch.var(x, 0).sqrt())

    def forward(self, z):
        return F.batch_norm(z, self.mean, self.std**2, eps=0.0)


@Standardiser.misconception(
    title="The statistics are plain attributes",
    why="A tensor that is a plain attribute works, until the module is saved or moved: `state_dict()` does not hold it, so "
    "whoever loads the network gets other statistics, and `.to()` and `.double()` leave it behind.",
    next="Register both as buffers.",
    link="buffers-numbers-that-are-kept-and-not-trained",
    shows="the tensors in `state_dict`",
)
class StatisticsAsAttributes(nn.Module):
    def __init__(self, x):
        super().__init__()
        self.mean = x.mean(0)
        self.std = x.std(0)

    def forward(self, z):
        return (z - self.mean) / self.std


@Standardiser.misconception(
    title="The statistics are parameters",
    why="A Parameter is what training moves. These two numbers would drift away from what was measured with every step.",
    next="What is kept and not trained is a buffer.",
    link="buffers-numbers-that-are-kept-and-not-trained",
    shows="the number of parameters",
)
class StatisticsAsParameters(nn.Module):
    def __init__(self, x):
        super().__init__()
        self.mean = nn.Parameter(x.mean(0))
        self.std = nn.Parameter(x.std(0))

    def forward(self, z):
        return (z - self.mean) / self.std


@Standardiser.misconception(
    title="The statistics of the batch that comes in",
    why="Standardised by its own mean, every batch looks alike, and the same row comes out differently in other company. A "
    "batch of one row has no standard deviation at all: NaN.",
    next="`forward` uses what `__init__` has measured.",
    link="buffers-numbers-that-are-kept-and-not-trained",
    shows="the output",
)
class OfTheBatch(nn.Module):
    def __init__(self, x):
        super().__init__()
        self.register_buffer("mean", x.mean(0))
        self.register_buffer("std", x.std(0))

    def forward(self, z):
        return (z - z.mean(0)) / z.std(0)


@Standardiser.misconception(
    title="The buffers are not saved",
    why="`persistent=False` keeps a buffer out of `state_dict()`. That is meant for what can be worked out again, such as "
    "a mask. The statistics cannot: the training data is not there when the network is loaded.",
    next="Leave `persistent` at its default.",
    link="buffers-numbers-that-are-kept-and-not-trained",
    shows="the tensors in `state_dict`",
)
class NotPersistent(nn.Module):
    def __init__(self, x):
        super().__init__()
        self.register_buffer("mean", x.mean(0), persistent=False)
        self.register_buffer("std", x.std(0), persistent=False)

    def forward(self, z):
        return (z - self.mean) / self.std


@Standardiser.misconception(
    title="One mean and one deviation for all columns",
    why="Without an axis, `mean()` reduces the whole table. Columns in different units then keep different scales, and that "
    "is what standardising is to remove.",
    next="Each column has its own statistics: reduce axis 0.",
    link="buffers-numbers-that-are-kept-and-not-trained",
    shows="the output",
)
class OneForAllColumns(nn.Module):
    def __init__(self, x):
        super().__init__()
        self.register_buffer("mean", x.mean())
        self.register_buffer("std", x.std())

    def forward(self, z):
        return (z - self.mean) / self.std


@Standardiser.misconception(
    title="Divided by the variance",
    why="The variance is the square of the standard deviation, in squared units. Divided by it, wide columns become narrow and narrow "
    "ones wide.",
    next="Divide by the standard deviation.",
    link="buffers-numbers-that-are-kept-and-not-trained",
    shows="the output",
)
class ByTheVariance(nn.Module):
    def __init__(self, x):
        super().__init__()
        self.register_buffer("mean", x.mean(0))
        self.register_buffer("std", x.var(0))

    def forward(self, z):
        return (z - self.mean) / self.std


@Standardiser.misconception(
    title="The statistics are frozen parameters",
    why="With `requires_grad=False` no step moves them, today. They still count as parameters: they are handed to the "
    "optimizer, and the first loop that thaws a network by `requires_grad_(True)` thaws them, too.",
    next="What is never to be trained is a buffer, not a parameter.",
    link="buffers-numbers-that-are-kept-and-not-trained",
    shows="the number of parameters",
)
class FrozenParameters(nn.Module):
    def __init__(self, x):
        super().__init__()
        self.mean = nn.Parameter(x.mean(0), requires_grad=False)
        self.std = nn.Parameter(x.std(0), requires_grad=False)

    def forward(self, z):
        return (z - self.mean) / self.std


@Standardiser.misconception(
    title="Only one of the two is a buffer",
    why="The other one is a plain attribute: it is neither saved nor moved. Loaded elsewhere, the layer mixes one data set's mean with another one's deviation.",
    next="Register both.",
    link="buffers-numbers-that-are-kept-and-not-trained",
    shows="the tensors in `state_dict`",
)
class OnlyTheMean(nn.Module):
    def __init__(self, x):
        super().__init__()
        self.register_buffer("mean", x.mean(0))
        self.std = x.std(0)

    def forward(self, z):
        return (z - self.mean) / self.std


@Standardiser.misconception(
    title="The buffers have other names",
    why="The layer works, and its state is saved under names that nobody expects. A buffer's name is the first argument of `register_buffer`.",
    next="Call them `mean` and `std`.",
    link="buffers-numbers-that-are-kept-and-not-trained",
    shows="the tensors in `state_dict`",
)
class OtherBufferNames(nn.Module):
    def __init__(self, x):
        super().__init__()
        self.register_buffer("mu", x.mean(0))
        self.register_buffer("sigma", x.std(0))

    def forward(self, z):
        return (z - self.mu) / self.sigma


@Standardiser.misconception(
    title="Divided by N instead of N - 1",
    why="The docstring gives the standard deviation as `x.std(0)`, which divides by N - 1. NumPy's default, and `correction=0`, divide by N.",
    next="Leave `std` at its default.",
    link="buffers-numbers-that-are-kept-and-not-trained",
    shows="the output",
)
class DividedByN(nn.Module):
    def __init__(self, x):
        super().__init__()
        self.register_buffer("mean", x.mean(0))
        self.register_buffer("std", x.std(0, correction=0))

    def forward(self, z):
        return (z - self.mean) / self.std


@Standardiser.misconception(
    title="Wrote into the batch that came in",
    why="`-=` and `/=` change the very tensor that was passed in. Whoever owns the batch finds other numbers in it afterwards, and standardises them a second time.",
    next="Compute a new tensor: `(z - mean) / std`.",
    link="buffers-numbers-that-are-kept-and-not-trained",
)
class WroteIntoTheBatch(nn.Module):
    def __init__(self, x):
        super().__init__()
        self.register_buffer("mean", x.mean(0))
        self.register_buffer("std", x.std(0))

    def forward(self, z):
        z -= self.mean
        z /= self.std
        return z


@Standardiser.misconception(
    title="The division came before the subtraction",
    why="Without parentheses the mean is divided by the deviation first, and z is only shifted.",
    next="Put the difference in parentheses.",
    link="buffers-numbers-that-are-kept-and-not-trained",
    shows="the output",
)
class WithoutParentheses(nn.Module):
    def __init__(self, x):
        super().__init__()
        self.register_buffer("mean", x.mean(0))
        self.register_buffer("std", x.std(0))

    def forward(self, z):
        return z - self.mean / self.std


@Standardiser.misconception(
    title="Only centred, not scaled",
    why="The mean is taken off, and each column keeps its own spread.",
    next="Divide by the standard deviation.",
    link="buffers-numbers-that-are-kept-and-not-trained",
    shows="the output",
)
class OnlyCentred(nn.Module):
    def __init__(self, x):
        super().__init__()
        self.register_buffer("mean", x.mean(0))
        self.register_buffer("std", x.std(0))

    def forward(self, z):
        return z - self.mean


@Standardiser.misconception(
    title="The statistics follow the batches",
    why="Each call in training mode replaces what was measured by the batch's own mean. That is how BatchNorm works; here the statistics are measured once, and stay.",
    next="`forward` reads the buffers and writes nothing.",
    link="buffers-numbers-that-are-kept-and-not-trained",
    shows="the statistics stay as they were measured",
)
class FollowsTheBatches(nn.Module):
    def __init__(self, x):
        super().__init__()
        self.register_buffer("mean", x.mean(0))
        self.register_buffer("std", x.std(0))

    def forward(self, z):
        if self.training:
            self.mean = z.mean(0)
        return (z - self.mean) / self.std


@Standardiser.misconception(
    title="`super().__init__()` was not called",
    why="nn.Module's own `__init__` makes the place where buffers are registered. Until it has run, the first buffer has nowhere to go.",
    next="Make `super().__init__()` the first line of `__init__`.",
    link="what-registration-is",
)
class StandardiserWithoutSuper(nn.Module):
    def __init__(self, x):
        self.register_buffer("mean", x.mean(0))
        self.register_buffer("std", x.std(0))

    def forward(self, z):
        return (z - self.mean) / self.std


@Standardiser.misconception(
    title="The statistics of the rows",
    why="Reduced over axis 1, there is one number for each row, that is for each example of the training data. A column is a feature, and each feature has a unit and a spread of its own.",
    next="Which axis has to vanish so that one number for each column is left?",
    link="buffers-numbers-that-are-kept-and-not-trained",
)
class StatisticsOfRows(nn.Module):
    def __init__(self, x):
        super().__init__()
        self.register_buffer("mean", x.mean(1))
        self.register_buffer("std", x.std(1))

    def forward(self, z):
        return (z - self.mean) / self.std


@Standardiser.misconception(
    title="The name was taken before it was registered",
    why="`self.mean = …` makes a plain attribute of that name. `register_buffer` makes the attribute itself, and refuses a name that exists already.",
    next="Leave the plain assignment out, or give the tensor to `register_buffer` at once.",
    link="buffers-numbers-that-are-kept-and-not-trained",
)
class NameAlreadyTaken(nn.Module):
    def __init__(self, x):
        super().__init__()
        self.mean = x.mean(0)
        self.std = x.std(0)
        self.register_buffer("mean", self.mean)
        self.register_buffer("std", self.std)

    def forward(self, z):
        return (z - self.mean) / self.std


@Standardiser.misconception(
    title="One of the two is a parameter",
    why="A parameter is what training moves. Measured numbers would drift away with every step, one of the two here.",
    next="Register both as buffers.",
    link="buffers-numbers-that-are-kept-and-not-trained",
    shows="the number of parameters",
)
class OneIsAParameter(nn.Module):
    def __init__(self, x):
        super().__init__()
        self.mean = nn.Parameter(x.mean(0))
        self.register_buffer("std", x.std(0))

    def forward(self, z):
        return (z - self.mean) / self.std


@Standardiser.misconception(
    title="One of the buffers is not saved",
    why="`persistent=False` keeps this buffer out of `state_dict()`. Whoever loads the layer elsewhere mixes the saved statistic of one data set with the other one of another.",
    next="Leave `persistent` at its default for both.",
    link="buffers-numbers-that-are-kept-and-not-trained",
    shows="the tensors in `state_dict`",
)
class OneNotPersistent(nn.Module):
    def __init__(self, x):
        super().__init__()
        self.register_buffer("mean", x.mean(0))
        self.register_buffer("std", x.std(0), persistent=False)

    def forward(self, z):
        return (z - self.mean) / self.std


@Standardiser.misconception(
    title="After `.eval()` the layer does something else",
    why="`.eval()` sets `self.training` to False, for layers that are made to behave in two ways. BatchNorm is one of them: it takes "
    "the batch's statistics in one mode and its own in the other. Here there is one computation, with the statistics that were measured once.",
    next="`forward` computes the same whatever `self.training` says.",
    link="buffers-numbers-that-are-kept-and-not-trained",
    shows="what `forward` gives",
)
class OfTheBatchInEvalMode(nn.Module):
    def __init__(self, x):
        super().__init__()
        self.register_buffer("mean", x.mean(0))
        self.register_buffer("std", x.std(0))

    def forward(self, z):
        if self.training:
            return (z - self.mean) / self.std
        return (z - z.mean(0)) / z.std(0)


@Standardiser.misconception(
    title="No gradient goes back through the layer",
    why="Nothing in this layer is trained, but what stands before it may be. `detach()`, `.data` and `torch.no_grad()` cut the way back: the "
    "layers in front get no gradient and never learn, and no error says so. Buffers need no such protection: nothing trains them.",
    next="Compute with z as it came in.",
    link="buffers-numbers-that-are-kept-and-not-trained",
    shows="the gradient at z",
)
class RecordsNothing(nn.Module):
    def __init__(self, x):
        super().__init__()
        self.register_buffer("mean", x.mean(0))
        self.register_buffer("std", x.std(0))

    def forward(self, z):
        with torch.no_grad():
            return (z - self.mean) / self.std


@Standardiser.misconception(
    title="A number computed in `__init__` is left behind",
    why="The buffers are right. But `forward` uses a plain attribute that was computed from them when the layer was made. A state that is "
    "loaded, or a move by `.double()`, changes the buffers, and the attribute stays what it was.",
    next="Compute in `forward`, from the buffers themselves.",
    link="buffers-numbers-that-are-kept-and-not-trained",
    shows="the output of a copy that has loaded its state",
)
class ScaleKeptAside(nn.Module):
    def __init__(self, x):
        super().__init__()
        self.register_buffer("mean", x.mean(0))
        self.register_buffer("std", x.std(0))
        self.scale = 1 / self.std

    def forward(self, z):
        return (z - self.mean) * self.scale


@Standardiser.misconception(
    title="Divided before the mean was taken off",
    why="z / std - mean takes the mean off a number that has already been divided. The mean is in the units of z, so it has to be taken off "
    "z itself.",
    next="Put the difference in parentheses.",
    link="buffers-numbers-that-are-kept-and-not-trained",
    shows="the output",
)
class DividedFirst(nn.Module):
    def __init__(self, x):
        super().__init__()
        self.register_buffer("mean", x.mean(0))
        self.register_buffer("std", x.std(0))

    def forward(self, z):
        return z / self.std - self.mean


@Standardiser.misconception(
    title="The statistics were measured in float32",
    why="The data are float64, and `.float()` keeps seven digits of sixteen. A layer that is to follow `.double()` does not choose a dtype "
    "of its own.",
    next="Measure the statistics in the dtype that x has.",
    link="what-registration-is",
    shows="`mean`",
)
class StatisticsInFloat32(nn.Module):
    def __init__(self, x):
        super().__init__()
        self.register_buffer("mean", x.float().mean(0))
        self.register_buffer("std", x.float().std(0))

    def forward(self, z):
        return (z - self.mean) / self.std


@Standardiser.misconception(
    title="A small number was added to the variance",
    why="It guards against a division by 0, and BatchNorm does the same. A column that hardly scatters then comes out too small. The docstring divides by the deviation itself.",
    next="Divide by `std` as it is.",
    link="buffers-numbers-that-are-kept-and-not-trained",
    shows="the output",
)
class EpsilonUnderTheRoot(nn.Module):
    def __init__(self, x):
        super().__init__()
        self.register_buffer("mean", x.mean(0))
        self.register_buffer("std", x.std(0))

    def forward(self, z):
        return (z - self.mean) / torch.sqrt(self.std**2 + 1e-5)


@Standardiser.misconception(
    title="The two names are exchanged",
    why="The output is right, since `forward` exchanges them back. What is saved under `mean` is the deviation, so whoever reads the state, or loads it into another class, gets nonsense.",
    next="Under each name, keep what it says.",
    link="buffers-numbers-that-are-kept-and-not-trained",
    shows="`mean`",
)
class NamesExchanged(nn.Module):
    def __init__(self, x):
        super().__init__()
        self.register_buffer("std", x.mean(0))
        self.register_buffer("mean", x.std(0))

    def forward(self, z):
        return (z - self.std) / self.mean


@Standardiser.misconception(
    title="The statistics have an axis too many",
    why="With `keepdim=True` they are a table of one row, (1, D). The output is the same, because a row is stretched over the batch. But the docstring asks for (D,), and a state of another shape cannot be loaded.",
    next="Leave the reduced axis out.",
    link="buffers-numbers-that-are-kept-and-not-trained",
    shows="`mean`",
)
class AxisKept(nn.Module):
    def __init__(self, x):
        super().__init__()
        self.register_buffer("mean", x.mean(0, keepdim=True))
        self.register_buffer("std", x.std(0, keepdim=True))

    def forward(self, z):
        return (z - self.mean) / self.std


@Standardiser.misconception(
    title="Something else is saved as well",
    why="Every buffer goes into `state_dict()` and has to be there when it is loaded. The docstring asks for the two statistics and nothing else: the training data in particular does not belong into a saved network.",
    next="Register the two that `forward` needs.",
    link="buffers-numbers-that-are-kept-and-not-trained",
    shows="the tensors in `state_dict`",
)
class SomethingElseSaved(nn.Module):
    def __init__(self, x):
        super().__init__()
        self.register_buffer("x", x)
        self.register_buffer("mean", x.mean(0))
        self.register_buffer("std", x.std(0))

    def forward(self, z):
        return (z - self.mean) / self.std


@Standardiser.misconception(
    title="A small number was added to the deviation",
    why="It guards against a division by 0, and BatchNorm does the same. A column that hardly scatters then comes out too small. The docstring divides by the deviation itself.",
    next="Divide by `std` as it is.",
    link="buffers-numbers-that-are-kept-and-not-trained",
    shows="the output",
)
class EpsilonAdded(nn.Module):
    def __init__(self, x):
        super().__init__()
        self.register_buffer("mean", x.mean(0))
        self.register_buffer("std", x.std(0))

    def forward(self, z):
        return (z - self.mean) / (self.std + 1e-5)


# One network, three ways --------------------------------------------------------------------------


@exercise(
    level="supported",
    minutes=6,
    why="The layers are made with the right sizes, and `copy_` under `no_grad` writes the numbers into the parameters that are "
    "registered already.",
    hints=(
        "Three layers. A parameter of nn.Linear is (out, in); here the weights are (in, out).",
        "`network[0].weight` is the first layer's parameter. A method that ends in an underscore writes into it.",
        "A leaf that requires gradients may be written into only under `torch.no_grad()`.",
    ),
)
def to_sequential(W1, b1, W2, b2) -> nn.Sequential:
    """Turn a network of raw tensors into an nn.Sequential that computes the same.

    The raw network is relu(x @ W1 + b1) @ W2 + b2, as at the start of this lesson, with
    W1 (in, hidden), b1 (hidden,), W2 (hidden, out), b2 (out,), all float32.
    Returns nn.Sequential of nn.Linear, nn.ReLU and nn.Linear, ready to be trained. Its parameters
    have memory of their own: training the network leaves the four tensors as they are. Making it
    leaves them, too: their numbers, their gradients and whether they require gradients.
    """
    # solution:
    network = nn.Sequential(nn.Linear(*W1.shape), nn.ReLU(), nn.Linear(*W2.shape))
    with torch.no_grad():  # written into, not recorded
        network[0].weight.copy_(W1.T)
        network[0].bias.copy_(b1)
        network[2].weight.copy_(W2.T)
        network[2].bias.copy_(b2)
    return network
    # end solution


def trained_of(parameters):
    """Say how many of some parameters are leaves with gradients: `all`, `none`, `2 of 4`."""
    trained = sum(p.requires_grad and p.is_leaf for p in parameters)
    if trained == len(parameters):
        return "all"
    return f"{trained} of {len(parameters)}" if trained else "none"


@to_sequential.drive
def convert_and_train(answer, W1, b1, W2, b2):
    x = 10 * torch.randn(5, len(W1), generator=torch.Generator().manual_seed(3))
    for tensor in (t for t in (W1, b1, W2, b2) if t.requires_grad):
        tensor.grad = torch.ones_like(tensor)
    due = {"W1": W1.T, "b1": b1, "W2": W2.T, "b2": b2}
    due = {name: value.detach().clone() for name, value in due.items()}
    given = [W1, b1, W2, b2]
    flags = [tensor.requires_grad for tensor in given]
    network = answer(W1, b1, W2, b2)
    another = answer(W1, b1, W2, b2)
    if not isinstance(network, nn.Sequential):
        return {"what comes back": form(network)}
    gradients = [tensor.grad is not None and bool(tensor.grad.eq(1).all()) for tensor in given]
    output = network(x)
    parameters = list(network.parameters())
    found = [name for name, value in due.items() if any(torch.equal(p, value) for p in parameters)]
    strangers = [p for p in parameters if not any(map(p.equal, [*due.values(), W1, W2]))]
    seen = {
        "what comes back": form(network),
        "the shapes of the parameters": shapes(parameters),
        "the given numbers that it holds": ", ".join(found) or "none",
        "the parameters that can be trained": trained_of(parameters),
        **({} if strangers else {"the output for five rows": output.detach().clone()}),
    }
    before = [tensor.detach().clone() for tensor in given]
    if output.requires_grad:
        output.square().mean().backward()
    with torch.no_grad():
        for p in parameters:
            p -= 0.1 * (torch.ones_like(p) if p.grad is None else p.grad + 0.01)
        kept = all(map(torch.equal, given, before))
        for tensor, value in zip(given, before):
            tensor.copy_(value)  # put back: the line below reports it in better words
    apart = isinstance(another, nn.Module) and not memory([], network) & memory([], another)
    return {
        **seen,
        "the four tensors stay when the network is trained": kept,
        "the four tensors require gradients as before": flags == [t.requires_grad for t in given],
        "the four tensors keep their gradients": gradients == flags,
        "each call makes a new network": apart,
    }


def raw_network(g, inputs, hidden, outputs):
    sizes = (inputs, hidden), (hidden,), (hidden, outputs), (outputs,)
    return tuple(torch.randn(size, generator=g) for size in sizes)


@to_sequential.probe
def a_small_network(g):
    return raw_network(g, 2, 3, 1)


@to_sequential.probe
def a_wider_network(g):
    return tuple(t.requires_grad_() for t in raw_network(g, 3, 5, 4))


@to_sequential.probe
def a_square_network(g):  # where a missing transpose raises no error
    W1, b1, W2, b2 = raw_network(g, 4, 4, 4)
    return W1, b1, W2, torch.zeros_like(b2)


@to_sequential.alternative(
    "A state_dict under the layers' names, loaded; `load_state_dict` copies."
)
def with_load_state_dict(W1, b1, W2, b2):
    network = nn.Sequential(
        nn.Linear(W1.shape[0], W1.shape[1]), nn.ReLU(), nn.Linear(W2.shape[0], W2.shape[1])
    )
    state = {"0.weight": W1.T, "0.bias": b1, "2.weight": W2.T, "2.bias": b2}
    network.load_state_dict(state)
    return network


@to_sequential.alternative("New Parameters around copies, in a loop over the layers.")
def with_new_parameters(W1, b1, W2, b2):
    layers = []
    for W, b in ((W1, b1), (W2, b2)):
        layer = nn.Linear(*W.shape)
        layer.weight = nn.Parameter(W.T.clone())
        layer.bias = nn.Parameter(b.clone())
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


@to_sequential.alternative("A slice assignment writes into the parameter, too.")
def with_slices(W1, b1, W2, b2):
    first, last = nn.Linear(*W1.shape), nn.Linear(*W2.shape)
    with torch.no_grad():
        first.weight[:], first.bias[:] = W1.t(), b1
        last.weight[:], last.bias[:] = W2.t(), b2
    return nn.Sequential(first, nn.ReLU(), last)


@to_sequential.misconception(
    title="The weights were not transposed",
    why="Foundations kept one column of weights per output, nn.Linear keeps one row. When the lengths differ, `copy_` complains. "
    "When they are equal, nothing does, and the network computes something else.",
    next="(in, out) becomes (out, in): transpose both.",
    link="what-a-linear-layer-computes",
)
def weights_not_transposed(W1, b1, W2, b2):
    network = nn.Sequential(nn.Linear(*W1.shape), nn.ReLU(), nn.Linear(*W2.shape))
    with torch.no_grad():
        network[0].weight.copy_(W1)
        network[0].bias.copy_(b1)
        network[2].weight.copy_(W2)
        network[2].bias.copy_(b2)
    return network


@to_sequential.misconception(
    title="A plain tensor was assigned to a parameter",
    why="`layer.weight` is registered as a Parameter, and the module lets nothing else take its place: a plain tensor would "
    "silently stop being trained.",
    next="Write the numbers into the parameter that is there, or wrap them in a new `nn.Parameter`.",
    link="one-network-three-ways",
)
def assigned_a_tensor(W1, b1, W2, b2):
    network = nn.Sequential(nn.Linear(*W1.shape), nn.ReLU(), nn.Linear(*W2.shape))
    network[0].weight = W1.T
    network[0].bias = b1
    network[2].weight = W2.T
    network[2].bias = b2
    return network


@to_sequential.misconception(
    title="Wrote into a parameter while its graph is recorded",
    why="A parameter is a leaf that requires gradients. Writing into it would change it behind autograd's back, so PyTorch "
    "refuses unless you say that nothing is to be recorded.",
    next="Do the copying under `torch.no_grad()`.",
    link="one-network-three-ways",
)
def without_no_grad(W1, b1, W2, b2):
    network = nn.Sequential(nn.Linear(*W1.shape), nn.ReLU(), nn.Linear(*W2.shape))
    network[0].weight.copy_(W1.T)
    network[0].bias.copy_(b1)
    network[2].weight.copy_(W2.T)
    network[2].bias.copy_(b2)
    return network


@to_sequential.misconception(
    title="The network shares the tensors' memory",
    why="`nn.Parameter(W)` wraps a tensor and copies nothing, nor does an assignment to `.data`, and `.T` is a view. So each training "
    "step writes through the parameter into the tensors that were passed in.",
    next="Copy the numbers: `copy_`, or `clone()` before wrapping.",
    link="one-network-three-ways",
    shows="the four tensors stay when the network is trained",
)
def shares_memory(W1, b1, W2, b2):
    network = nn.Sequential(nn.Linear(*W1.shape), nn.ReLU(), nn.Linear(*W2.shape))
    network[0].weight = nn.Parameter(W1.T)
    network[0].bias = nn.Parameter(b1)
    network[2].weight = nn.Parameter(W2.T)
    network[2].bias = nn.Parameter(b2)
    return network


@to_sequential.misconception(
    title="The layers have the right sizes and random weights",
    why="nn.Linear fills its parameters with random numbers when it is made. The shapes fit, the network runs, and it is "
    "another one.",
    next="Copy the four tensors into the layers' parameters.",
    link="one-network-three-ways",
)
def never_copied(W1, b1, W2, b2):
    return nn.Sequential(nn.Linear(*W1.shape), nn.ReLU(), nn.Linear(*W2.shape))


@to_sequential.misconception(
    title="The biases were left at random",
    why="Each nn.Linear has a bias that starts at random. With the weights alone, every output is off by a little.",
    next="Copy `b1` and `b2`, too.",
    link="what-a-linear-layer-computes",
)
def weights_only(W1, b1, W2, b2):
    network = nn.Sequential(nn.Linear(*W1.shape), nn.ReLU(), nn.Linear(*W2.shape))
    with torch.no_grad():
        network[0].weight.copy_(W1.T)
        network[2].weight.copy_(W2.T)
    return network


@to_sequential.misconception(
    title="The activation is missing",
    why="Linear after Linear is one Linear. The ReLU stands between them in the raw network, as a function; here it is a "
    "layer of its own.",
    next="Put `nn.ReLU()` between the two layers.",
    link="why-stacked-linears-need-an-activation",
)
def without_relu(W1, b1, W2, b2):
    network = nn.Sequential(nn.Linear(*W1.shape), nn.Linear(*W2.shape))
    with torch.no_grad():
        network[0].weight.copy_(W1.T)
        network[0].bias.copy_(b1)
        network[1].weight.copy_(W2.T)
        network[1].bias.copy_(b2)
    return network


@to_sequential.misconception(
    title="Reshaped instead of transposed",
    why="`reshape` and `view` cut the same line of numbers into other rows. The shape is the right one, and the weights stand in the wrong places.",
    next="`.T` exchanges the axes.",
    link="one-network-three-ways",
)
def reshaped_weights(W1, b1, W2, b2):
    network = nn.Sequential(nn.Linear(*W1.shape), nn.ReLU(), nn.Linear(*W2.shape))
    with torch.no_grad():
        network[0].weight.copy_(W1.reshape(W1.shape[1], W1.shape[0]))
        network[0].bias.copy_(b1)
        network[2].weight.copy_(W2.reshape(W2.shape[1], W2.shape[0]))
        network[2].bias.copy_(b2)
    return network


@to_sequential.misconception(
    title="A state_dict with weights that were not transposed",
    why="`load_state_dict` compares shapes: (in, out) does not fit into (out, in), unless the two lengths are equal. Then it loads without a word, and the network computes something else.",
    next="Transpose both weights.",
    link="one-network-three-ways",
)
def state_not_transposed(W1, b1, W2, b2):
    network = nn.Sequential(nn.Linear(*W1.shape), nn.ReLU(), nn.Linear(*W2.shape))
    state = {"0.weight": W1, "0.bias": b1, "2.weight": W2, "2.bias": b2}
    network.load_state_dict(state)
    return network


@to_sequential.misconception(
    title="A ReLU after the last layer",
    why="The raw network ends in a sum, which may be negative. A last ReLU cuts every negative output to 0.",
    next="Three layers: Linear, ReLU, Linear.",
    link="why-stacked-linears-need-an-activation",
)
def relu_at_the_end(W1, b1, W2, b2):
    network = nn.Sequential(nn.Linear(*W1.shape), nn.ReLU(), nn.Linear(*W2.shape), nn.ReLU())
    with torch.no_grad():
        network[0].weight.copy_(W1.T)
        network[0].bias.copy_(b1)
        network[2].weight.copy_(W2.T)
        network[2].bias.copy_(b2)
    return network


@to_sequential.misconception(
    title="The function returns nothing",
    why="The network was made and filled, and then forgotten: without `return` a function gives None.",
    next="Return the network.",
    link="one-network-three-ways",
)
def returns_no_network(W1, b1, W2, b2):
    network = nn.Sequential(nn.Linear(*W1.shape), nn.ReLU(), nn.Linear(*W2.shape))
    with torch.no_grad():
        network[0].weight.copy_(W1.T)
        network[0].bias.copy_(b1)
        network[2].weight.copy_(W2.T)
        network[2].bias.copy_(b2)


@to_sequential.misconception(
    title="The parameters are frozen",
    why="The numbers are right, and none of the parameters requires gradients: the network computes and cannot be trained.",
    next="Leave `requires_grad` as nn.Linear sets it.",
    link="counting-parameters",
    shows="the parameters that can be trained",
)
def frozen_parameters(W1, b1, W2, b2):
    network = nn.Sequential(nn.Linear(*W1.shape), nn.ReLU(), nn.Linear(*W2.shape))
    with torch.no_grad():
        network[0].weight.copy_(W1.T)
        network[0].bias.copy_(b1)
        network[2].weight.copy_(W2.T)
        network[2].bias.copy_(b2)
    return network.requires_grad_(False)


@to_sequential.misconception(
    title="`contiguous()` did not copy",
    why="`contiguous()` copies only if the numbers do not already lie in a row. The transpose of a tensor with one column does: then "
    "it gives back the same memory, and training writes into the tensor that was passed in.",
    next="`clone()` copies always.",
    link="one-network-three-ways",
    shows="the four tensors stay when the network is trained",
)
def contiguous_is_no_copy(W1, b1, W2, b2):
    network = nn.Sequential(nn.Linear(*W1.shape), nn.ReLU(), nn.Linear(*W2.shape))
    network[0].weight = nn.Parameter(W1.detach().T.contiguous())
    network[0].bias = nn.Parameter(b1.detach().clone())
    network[2].weight = nn.Parameter(W2.detach().T.contiguous())
    network[2].bias = nn.Parameter(b2.detach().clone())
    return network


@to_sequential.misconception(
    title="The gradients of the four tensors were thrown away",
    why="The gradients of the raw network belong to whoever computed them. A function that reads the numbers leaves `.grad` alone. A "
    "new parameter has no gradient anyway, so there is nothing to clear.",
    next="Read the four tensors, and change nothing about them.",
    link="one-network-three-ways",
    shows="the four tensors keep their gradients",
)
def cleared_their_gradients(W1, b1, W2, b2):
    network = nn.Sequential(nn.Linear(*W1.shape), nn.ReLU(), nn.Linear(*W2.shape))
    with torch.no_grad():
        network[0].weight.copy_(W1.T)
        network[0].bias.copy_(b1)
        network[2].weight.copy_(W2.T)
        network[2].bias.copy_(b2)
    for tensor in (W1, b1, W2, b2):
        tensor.grad = None
    return network


@to_sequential.misconception(
    title="The network was left in eval mode",
    why="`.eval()` is for a network that is used and not trained: layers such as Dropout and BatchNorm then behave in another way. What is due "
    "is ready to be trained, and a new network is so by itself.",
    next="Leave the mode as nn.Sequential sets it.",
    link="one-network-three-ways",
    shows="what comes back",
)
def left_in_eval_mode(W1, b1, W2, b2):
    network = nn.Sequential(nn.Linear(*W1.shape), nn.ReLU(), nn.Linear(*W2.shape))
    with torch.no_grad():
        network[0].weight.copy_(W1.T)
        network[0].bias.copy_(b1)
        network[2].weight.copy_(W2.T)
        network[2].bias.copy_(b2)
    return network.eval()


@to_sequential.misconception(
    title="`requires_grad` was taken over from the four tensors",
    why="The four tensors may be plain numbers that require no gradients. A network is due that can be trained, wherever its numbers come from.",
    next="Leave `requires_grad` as nn.Linear sets it.",
    link="one-network-three-ways",
    shows="the parameters that can be trained",
)
def took_over_requires_grad(W1, b1, W2, b2):
    network = nn.Sequential(nn.Linear(*W1.shape), nn.ReLU(), nn.Linear(*W2.shape))
    for layer, W, b in ((network[0], W1, b1), (network[2], W2, b2)):
        layer.weight = nn.Parameter(W.detach().T.clone(), requires_grad=W.requires_grad)
        layer.bias = nn.Parameter(b.detach().clone(), requires_grad=b.requires_grad)
    return network


@to_sequential.misconception(
    title="ReLU6 instead of ReLU",
    why="ReLU6 cuts everything above 6 off as well. Small numbers pass it unchanged, so it shows only when a hidden unit gets large.",
    next="The raw network uses relu: what is its layer called?",
    link="one-network-three-ways",
)
def with_relu6(W1, b1, W2, b2):
    network = nn.Sequential(nn.Linear(*W1.shape), nn.ReLU6(), nn.Linear(*W2.shape))
    with torch.no_grad():
        network[0].weight.copy_(W1.T)
        network[0].bias.copy_(b1)
        network[2].weight.copy_(W2.T)
        network[2].bias.copy_(b2)
    return network


@to_sequential.misconception(
    title="The layers were made with their sizes exchanged",
    why="`nn.Linear` is made with the number of inputs first; only its weight has the outputs first. With both exchanged the weights fit as they are, and the biases do not.",
    next="`nn.Linear(in, out)`, and the transposed weights.",
    link="what-a-linear-layer-computes",
)
def sizes_exchanged(W1, b1, W2, b2):
    network = nn.Sequential(nn.Linear(*W1.T.shape), nn.ReLU(), nn.Linear(*W2.T.shape))
    with torch.no_grad():
        network[0].weight.copy_(W1)
        network[0].bias.copy_(b1)
        network[2].weight.copy_(W2)
        network[2].bias.copy_(b2)
    return network


@to_sequential.misconception(
    title="New Parameters, and not transposed",
    why="A new Parameter may have any shape, so the assignment works. `nn.Linear` computes x @ weight.T, and with (in, out) in the place of (out, in) the product fails in the call, or mixes the weights up where the lengths are equal.",
    next="Transpose before you wrap.",
    link="what-a-linear-layer-computes",
)
def parameters_not_transposed(W1, b1, W2, b2):
    network = nn.Sequential(nn.Linear(*W1.shape), nn.ReLU(), nn.Linear(*W2.shape))
    network[0].weight = nn.Parameter(W1.detach().clone())
    network[0].bias = nn.Parameter(b1.detach().clone())
    network[2].weight = nn.Parameter(W2.detach().clone())
    network[2].bias = nn.Parameter(b2.detach().clone())
    return network


@to_sequential.misconception(
    title="Only the first weight was transposed",
    why="Both tensors have the layout (in, out), and both layers want (out, in). One was turned round, the other was not.",
    next="Treat the second layer as you treated the first.",
    link="what-a-linear-layer-computes",
)
def only_one_transposed(W1, b1, W2, b2):
    network = nn.Sequential(nn.Linear(*W1.shape), nn.ReLU(), nn.Linear(*W2.shape))
    with torch.no_grad():
        network[0].weight.copy_(W1.T)
        network[0].bias.copy_(b1)
        network[2].weight.copy_(W2)
        network[2].bias.copy_(b2)
    return network


@to_sequential.misconception(
    title="The sizes are those of one network",
    why="1, 16 and 1 are the sizes of the network that draws the wave. The function is called with other tensors as well, and `copy_` into a layer of the wrong size fails.",
    next="Read the sizes from the shapes of W1 and W2.",
    link="one-network-three-ways",
)
def sizes_of_the_wave(W1, b1, W2, b2):
    network = nn.Sequential(nn.Linear(1, 16), nn.ReLU(), nn.Linear(16, 1))
    with torch.no_grad():
        network[0].weight.copy_(W1.T)
        network[0].bias.copy_(b1)
        network[2].weight.copy_(W2.T)
        network[2].bias.copy_(b2)
    return network


# Counting -----------------------------------------------------------------------------------------


@exercise(
    level="guided",
    minutes=3,
    why="A layer from `inputs` to `outputs` has one weight for each pair and one bias for each output.",
    hints=(
        "How many numbers does nn.Linear(3, 5) hold? Count the weights, then the biases.",
        "The layers lie between neighbours of the list: `zip(widths, widths[1:])` gives the pairs.",
        "Add up `inputs * outputs + outputs` over all pairs.",
    ),
)
def parameters_by_hand(widths: list[int]) -> int:
    """Count the parameters of a fully connected network without building it.

    widths: the number of inputs, then of the units in each layer, such as [784, 256, 10].
    Between each width and the next lies one nn.Linear with its bias; activations hold nothing.
    Returns how many numbers all weights and biases are together, exactly, as an int of Python's or
    NumPy's.
    """
    # solution:
    return sum(inputs * outputs + outputs for inputs, outputs in zip(widths, widths[1:]))
    # end solution


def in_digits(count):
    """Write a count with all its digits, since large numbers that differ by 1 are nearly the same."""
    if not isinstance(count, Real):
        return form(count)
    whole = isinstance(count, Integral) or float(count).is_integer()
    return str(int(count)) if whole else str(count)


@parameters_by_hand.drive
def count_by_hand(answer, widths):
    given = list(widths)
    with ready_made_layers() as made:
        count = answer(widths)
    seen = {f"the count for {given}": in_digits(count)}
    if isinstance(count, Number):
        seen["the count is an int"] = isinstance(count, Integral)
    return {**seen, "no layer is built": not made}


@parameters_by_hand.probe
def one_hidden_layer(g):
    return ([2, 3, 1],)


@parameters_by_hand.probe
def digits(g):
    return ([784, 256, 10],)


@parameters_by_hand.probe
def three_layers(g):
    return ([4, 7, 6, 3],)


@parameters_by_hand.probe
def a_single_layer(g):
    return ([5, 2],)


@parameters_by_hand.probe
def equal_widths(g):
    return ([4, 8, 8, 8, 2],)


@parameters_by_hand.probe
def more_than_float32_can_count(g):  # 17 million numbers, of which float32 keeps 7 digits
    return ([3, 4097, 4099, 1],)


@parameters_by_hand.alternative("A bias is one more row of weights, whose input is always 1.")
def with_one_more_input(widths):
    total = 0
    for i in range(len(widths) - 1):
        total += (widths[i] + 1) * widths[i + 1]
    return total


@parameters_by_hand.alternative("All weights, and one bias for each unit but the inputs.")
def weights_then_biases(widths):
    weights = sum(a * b for a, b in zip(widths[:-1], widths[1:]))
    return weights + sum(widths[1:])


@parameters_by_hand.alternative("With NumPy: one product for the weights, one sum for the biases.")
def with_numpy(widths):
    sizes = np.array(widths, dtype=np.int64)
    return sizes[:-1] @ sizes[1:] + sizes[1:].sum()


@parameters_by_hand.misconception(
    title="The biases were not counted",
    why="A linear layer is x @ W.T + b: besides its weights it has one bias for each output.",
    next="Add `outputs` numbers for each layer.",
    link="counting-parameters",
)
def no_biases(widths):
    return sum(inputs * outputs for inputs, outputs in zip(widths, widths[1:]))


@parameters_by_hand.misconception(
    title="One bias for each input",
    why="The bias is added to the outputs, so there are as many as outputs. nn.Linear(784, 10) has 10 biases, not 784.",
    next="Which end of the layer does the bias belong to?",
    link="counting-parameters",
)
def bias_per_input(widths):
    return sum(inputs * outputs + inputs for inputs, outputs in zip(widths, widths[1:]))


@parameters_by_hand.misconception(
    title="One bias for the whole layer",
    why="A layer's bias is a row of numbers, one for each output, not a single number for all of them.",
    next="Look at the shape of `nn.Linear(3, 5).bias`.",
    link="counting-parameters",
)
def one_bias_per_layer(widths):
    return sum(inputs * outputs + 1 for inputs, outputs in zip(widths, widths[1:]))


@parameters_by_hand.misconception(
    title="The inputs have biases, too",
    why="The first width is the data. Nothing is computed there, so nothing is added there: biases begin with the first layer.",
    next="One bias for each unit, but none for the inputs.",
    link="counting-parameters",
)
def biases_for_the_inputs(widths):
    return sum(a * b for a, b in zip(widths, widths[1:])) + sum(widths)


@parameters_by_hand.misconception(
    title="Multiplied all the widths",
    why="Each layer connects neighbours only, so the layers' weights are added up. Multiplied, they would count a weight for "
    "every path from the inputs to the outputs.",
    next="One product for each pair of neighbours, then the sum.",
    link="counting-parameters",
)
def multiplied_everything(widths):
    return math.prod(widths) + sum(widths[1:])


@parameters_by_hand.misconception(
    title="Only the last layer was counted",
    why="Each turn of the loop puts its own number in place of the one before. What is returned is the last layer's.",
    next="Add each layer's number to a total: `+=`.",
    link="counting-parameters",
)
def last_layer_only(widths):
    for inputs, outputs in zip(widths, widths[1:]):
        total = inputs * outputs + outputs
    return total


@parameters_by_hand.misconception(
    title="One hidden layer, whatever `widths` says",
    why="The first three widths are used, as if there were always one hidden layer. More layers are not counted, and with fewer there is no third width.",
    next="Let a loop go over all pairs of neighbours.",
    link="counting-parameters",
)
def three_widths(widths):
    first = widths[0] * widths[1] + widths[1]
    return first + widths[1] * widths[2] + widths[2]


@parameters_by_hand.misconception(
    title="The last layer was not counted",
    why="The loop ends one pair too early. n widths have n - 1 layers between them.",
    next="Count the layers of [2, 3, 1] on your fingers, then the turns of the loop.",
    link="counting-parameters",
)
def without_the_last_layer(widths):
    widths = widths[:-1]
    return sum(inputs * outputs + outputs for inputs, outputs in zip(widths, widths[1:]))


@parameters_by_hand.misconception(
    title="Counted units, not connections",
    why="The sum of the widths is the number of units. A parameter belongs to a connection between two units, or is a unit's bias.",
    next="Multiply neighbours: each unit is connected with each of the layer before.",
    link="counting-parameters",
)
def counted_units(widths):
    return sum(widths)


@parameters_by_hand.misconception(
    title="The caller's list was used up",
    why="`pop` takes elements out of the list that was passed in. The count is right, and whoever wants to build the network afterwards finds no widths.",
    next="Go through the list without changing it.",
    link="counting-parameters",
)
def popped_the_widths(widths):
    total = 0
    while len(widths) > 1:
        inputs = widths.pop(0)
        total += inputs * widths[0] + widths[0]
    return total


@parameters_by_hand.misconception(
    title="Printed instead of returned",
    why="`print` shows the number and gives None back, so nobody can go on computing with it.",
    next="Return the number.",
    link="counting-parameters",
)
def printed_the_count(widths):
    print(sum(inputs * outputs + outputs for inputs, outputs in zip(widths, widths[1:])))


@parameters_by_hand.misconception(
    title="Looked a width up by its value",
    why="`widths.index(width)` gives the first place where that number stands. When a width occurs twice, the second layer gets the neighbour of the first.",
    next="Go by position, or by pairs of neighbours.",
    link="counting-parameters",
)
def looked_up_by_width(widths):
    total = 0
    for inputs in widths[:-1]:
        outputs = widths[widths.index(inputs) + 1]
        total += inputs * outputs + outputs
    return total


@parameters_by_hand.misconception(
    title="Equal layers were counted once",
    why="A set, and the keys of a dict, hold each value once. Two layers of the same size are two layers, each with its own numbers.",
    next="Keep the pairs in a list.",
    link="counting-parameters",
)
def equal_layers_once(widths):
    pairs = set(zip(widths, widths[1:]))
    return sum(inputs * outputs + outputs for inputs, outputs in pairs)


@parameters_by_hand.misconception(
    title="The count is a float",
    why="A number of parameters is a whole number. A float is printed with a point, and above 2⁵³ it cannot hold every whole number.",
    next="Begin with 0, not 0.0, and divide by nothing.",
    link="counting-parameters",
)
def count_as_float(widths):
    total = 0.0
    for inputs, outputs in zip(widths, widths[1:]):
        total += inputs * outputs + outputs
    return total


@parameters_by_hand.misconception(
    title="The network was built and counted",
    why="The number is right, and building is what the next exercise is for. The widths alone tell it: of a network that does not fit into "
    "memory as well.",
    next="How many weights lie between two neighbouring widths, and how many biases?",
    link="counting-parameters",
    shows="no layer is built",
)
def built_and_counted(widths):
    layers = [nn.Linear(a, b) for a, b in zip(widths, widths[1:])]
    return sum(p.numel() for layer in layers for p in layer.parameters())


@parameters_by_hand.misconception(
    title="Counted in float32",
    why="float32 keeps about seven digits. Whole numbers above 2²⁴, some 17 million, are rounded, and networks of that size are nothing rare.",
    next="Count with Python's whole numbers, which have no end.",
    link="counting-parameters",
)
def counted_in_float32(widths):
    sizes = torch.tensor(widths, dtype=torch.float32)
    return int((sizes[:-1] * sizes[1:] + sizes[1:]).sum())


@parameters_by_hand.misconception(
    title="The biases of the last layer were left out",
    why="The outputs are computed like every other layer: a sum over the inputs, and a bias. Only the inputs of the network have none.",
    next="One bias for each output of each nn.Linear.",
    link="counting-parameters",
)
def hidden_biases_only(widths):
    return sum(a * b for a, b in zip(widths, widths[1:])) + sum(widths[1:-1])


@parameters_by_hand.misconception(
    title="The count is a tensor",
    why="A tensor with one number in it prints like a number, and is none: it cannot be used as a dictionary's key or written to a file as a number.",
    next="Count with Python's numbers, or take the number out with `.item()`.",
    link="counting-parameters",
)
def count_as_tensor(widths):
    sizes = torch.tensor(widths)
    return (sizes[:-1] * sizes[1:] + sizes[1:]).sum()


@exercise(
    level="supported",
    minutes=5,
    why="`parameters()` visits every parameter of the whole tree once. As a list it can be gone through twice.",
    hints=(
        "`model.parameters()` gives every Parameter of the module and of all modules inside it, shared ones once.",
        "`p.numel()` is how many numbers a tensor holds; `p.requires_grad` says whether it is trained.",
        "`parameters()` is a generator: after one loop it is used up. Call it again for the second sum, or make a list.",
    ),
)
def count_parameters(model: nn.Module) -> tuple[int, int]:
    """Count the numbers in a model's parameters.

    model: any module, with modules inside it to any depth. It is left as it is.
    Returns a pair of ints, (total, trained): how many numbers its parameters hold, and how many of
    these belong to parameters that require gradients. A parameter that is used in several places
    counts once. Buffers do not count.
    """
    # solution:
    parameters = list(model.parameters())
    total = sum(p.numel() for p in parameters)
    trained = sum(p.numel() for p in parameters if p.requires_grad)
    return total, trained
    # end solution


def parts(model):
    """Describe what a model holds: `Linear 4×3 + 4 (frozen), Linear 2×4 + 2`."""
    words, known = [], set()
    for module in model.modules():
        own = []
        for p in module.parameters(recurse=False):
            size = "×".join(map(str, p.shape)) or "1"
            mark = " (again)" if id(p) in known else "" if p.requires_grad else " (frozen)"
            own.append(size + mark)
            known.add(id(p))
        if own:
            words.append(f"{type(module).__name__} {' + '.join(own)}")
    return ", ".join(words) or "no parameters"


def noted(model):
    """Note what a function that only looks at a model leaves alone."""
    tensors = [*model.parameters(), *model.buffers()]
    hooks = [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()]
    return {
        "what requires gradients": [p.requires_grad for p in model.parameters()],
        "the numbers": [tensor.detach().clone() for tensor in tensors],
        "the gradients": [p.grad for p in model.parameters()],
        "the mode of a module": [module.training for module in model.modules()],
        "a hook": hooks + [len(p._backward_hooks or ()) for p in model.parameters()],
    }


def same(one, other):
    """Whether two notes are the same, where tensors have to hold the same numbers."""
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return torch.equal(one, other)
    return type(one) is type(other) and one == other


def changed_since(before, model):
    """Say in words what has changed in a model."""
    after = noted(model)
    changed = [words for words, value in before.items() if not same(value, after[words])]
    return f"changed: {', '.join(changed)}" if changed else "as it was"


@count_parameters.drive
def count_and_look(answer, model):
    holds = parts(model)
    for first in [p for p in model.parameters() if p.requires_grad][:1]:
        first.grad = torch.zeros_like(first)  # a gradient here or there says nothing about the rest
    before = noted(model)
    result = answer(model)
    afterwards = changed_since(before, model)
    seen = {"what comes back": form(result)}
    if seen["what comes back"] not in ("2 ints", "2 numbers"):
        return {**seen, f"the answer for a model with {holds}": result}
    return {
        **seen,
        f"the total of a model with {holds}": result[0],
        f"the number that is trained of {holds}": result[1],
        "the model afterwards": afterwards,
        "asked again, the same answer": form(again := answer(model)) == seen["what comes back"]
        and tuple(again) == tuple(result),
    }


@count_parameters.probe
def the_first_layer_is_frozen(g):
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    model[0].requires_grad_(False)
    return (model,)


class WithScale(nn.Module):
    """A module that holds a parameter itself, beside a nested network."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.shift = nn.Parameter(torch.zeros(4))
        self.inner = nn.Sequential(
            nn.Sequential(nn.Linear(2, 6), nn.BatchNorm1d(6)), nn.ReLU(), nn.BatchNorm1d(6)
        )
        self.last = nn.Linear(6, 5, bias=False)


@count_parameters.probe
def nested_with_buffers(g):
    model = WithScale()
    model.inner[0][1].requires_grad_(False)
    return (model,)


@count_parameters.probe
def a_shared_layer(g):
    layer = nn.Linear(5, 5)
    model = nn.Sequential(nn.Linear(3, 5), layer, nn.ReLU(), layer, nn.Linear(5, 1))
    model[4].bias.requires_grad_(False)
    return (model,)


@count_parameters.probe
def a_tied_weight(g):
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3))
    model[2].weight = model[0].weight
    return (model,)


@count_parameters.probe
def a_tied_weight_that_is_frozen(g):
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3))
    model[2].weight = model[0].weight
    model[0].weight.requires_grad_(False)
    return (model.eval(),)


@count_parameters.probe
def everything_is_frozen(g):
    return (nn.Linear(4, 2).requires_grad_(False),)


@count_parameters.probe
def nothing_to_count(g):
    return (nn.ReLU(),)


@count_parameters.alternative("One loop, two sums.")
def in_one_loop(model):
    total, trained = 0, 0
    for _name, parameter in model.named_parameters():
        total += parameter.numel()
        if parameter.requires_grad:
            trained += parameter.numel()
    return total, trained


@count_parameters.alternative("Two generators, each used once.")
def two_generators(model):
    total = sum(math.prod(p.shape) for p in model.parameters())
    trained = sum(math.prod(p.shape) for p in model.parameters() if p.requires_grad)
    return (total, trained)


@count_parameters.alternative(
    "Module by module, each with its own parameters alone; a set keeps shared ones single."
)
def module_by_module(model):
    own = {p for module in model.modules() for p in module.parameters(recurse=False)}
    return sum(p.nelement() for p in own), sum(p.nelement() for p in own if p.requires_grad)


@count_parameters.misconception(
    title="The generator was used up",
    why="`parameters()` is a generator: it goes through the parameters once. The first sum uses it up, the second finds "
    "nothing and gives 0, without an error.",
    next="Make a list of it first.",
    link="counting-parameters",
)
def used_up(model):
    parameters = model.parameters()
    total = sum(p.numel() for p in parameters)
    trained = sum(p.numel() for p in parameters if p.requires_grad)
    return total, trained


@count_parameters.misconception(
    title="Counted tensors instead of numbers",
    why="A layer has two parameters, a weight and a bias, and thousands of numbers in them. What takes memory and learns are "
    "the numbers.",
    next="`numel()` says how many a tensor holds.",
    link="counting-parameters",
)
def counted_tensors(model):
    parameters = list(model.parameters())
    total = len(parameters)
    trained = len([p for p in parameters if p.requires_grad])
    return total, trained


@count_parameters.misconception(
    title="Frozen parameters were counted as trained",
    why="A parameter whose `requires_grad` is False gets no gradient, and no step moves it. That it is registered does not "
    "mean that it is trained.",
    next="For the second number, look at `requires_grad`.",
    link="counting-parameters",
)
def all_of_them_trained(model):
    parameters = list(model.parameters())
    total = sum(p.numel() for p in parameters)
    return total, total


@count_parameters.misconception(
    title="Counted what `state_dict()` holds",
    why="A state_dict holds buffers, too, such as BatchNorm's running statistics, which no gradient reaches. A shared layer "
    "stands in it once for each of its names. And its tensors are detached, so none of them requires gradients.",
    next="Go through `parameters()`.",
    link="counting-parameters",
)
def counted_the_state(model):
    state = model.state_dict().values()
    total = sum(value.numel() for value in state)
    trained = sum(value.numel() for value in state if value.requires_grad)
    return total, trained


@count_parameters.misconception(
    title="Shared and nested parameters were counted again and again",
    why="`modules()` visits the whole tree, and `parameters()` of each module again visits everything below it. Whatever lies "
    "deep is counted once for each level.",
    next="`model.parameters()` alone already reaches every level.",
    link="counting-parameters",
)
def counted_at_every_level(model):
    parameters = [p for module in model.modules() for p in module.parameters()]
    total = sum(p.numel() for p in parameters)
    trained = sum(p.numel() for p in parameters if p.requires_grad)
    return total, trained


@count_parameters.misconception(
    title="A shared layer was counted in every place",
    why="The layer stands in two places and is one layer: one set of numbers, one gradient. It takes memory once.",
    next="`parameters()` gives each Parameter once; `remove_duplicate=False` turns that off.",
    link="counting-parameters",
)
def shared_counted_twice(model):
    parameters = [p for _, p in model.named_parameters(remove_duplicate=False)]
    total = sum(p.numel() for p in parameters)
    trained = sum(p.numel() for p in parameters if p.requires_grad)
    return total, trained


@count_parameters.misconception(
    title="The biases were left out",
    why="A bias is a parameter like a weight: it is trained and saved. So are other parameters with one axis or none.",
    next="Count every parameter, whatever its shape.",
    link="counting-parameters",
)
def matrices_only(model):
    parameters = [p for p in model.parameters() if p.dim() > 1]
    total = sum(p.numel() for p in parameters)
    trained = sum(p.numel() for p in parameters if p.requires_grad)
    return total, trained


@count_parameters.misconception(
    title="The frozen parameters are missing from the total",
    why="A frozen parameter is still there: it takes memory, it is saved, it shapes every output. It is only not trained.",
    next="The total counts all parameters, the second number those that require gradients.",
    link="counting-parameters",
)
def frozen_left_out(model):
    parameters = [p for p in model.parameters() if p.requires_grad]
    total = sum(p.numel() for p in parameters)
    trained = sum(p.numel() for p in parameters if p.requires_grad)
    return total, trained


@count_parameters.misconception(
    title="One number came back",
    why="The total alone does not say what is trained. Two numbers are due, as a pair.",
    next="The two numbers that you counted belong behind a `return`, the total first.",
    link="counting-parameters",
)
def only_the_total(model):
    return sum(p.numel() for p in model.parameters())


@count_parameters.misconception(
    title="The two numbers are in the wrong order",
    why="The number that is trained comes first here. The docstring names the total first.",
    next="Two things with a comma between them are a tuple.",
    link="counting-parameters",
)
def trained_first(model):
    parameters = list(model.parameters())
    total = sum(p.numel() for p in parameters)
    trained = sum(p.numel() for p in parameters if p.requires_grad)
    return trained, total


@count_parameters.misconception(
    title="Counted the frozen ones",
    why="The second number is what does *not* require gradients. What is due is the rest.",
    next="Turn the condition round.",
    link="counting-parameters",
)
def counted_frozen(model):
    parameters = list(model.parameters())
    total = sum(p.numel() for p in parameters)
    trained = sum(p.numel() for p in parameters if not p.requires_grad)
    return total, trained


@count_parameters.misconception(
    title="The buffers were counted, too",
    why="Running statistics and other buffers are part of the state, not of what is learned. They are no parameters.",
    next="Leave the buffers out.",
    link="counting-parameters",
)
def buffers_counted(model):
    parameters = list(model.parameters())
    total = sum(p.numel() for p in parameters) + sum(b.numel() for b in model.buffers())
    trained = sum(p.numel() for p in parameters if p.requires_grad)
    return total, trained


@count_parameters.misconception(
    title="Looked at the gradients that happen to be there",
    why="`p.grad` is None before the first backward pass and after each clearing. Whether a parameter is trained says `p.requires_grad`.",
    next="Ask `requires_grad`.",
    link="counting-parameters",
)
def looked_at_grad(model):
    parameters = list(model.parameters())
    total = sum(p.numel() for p in parameters)
    trained = sum(p.numel() for p in parameters if p.grad is not None)
    return total, trained


@count_parameters.misconception(
    title="Only the Linear layers were counted",
    why="Other layers have parameters as well: BatchNorm a scale and a shift, a module of your own whatever it registers.",
    next="Count parameters, not layers of one kind.",
    link="counting-parameters",
)
def linears_only(model):
    layers = [module for module in model.modules() if isinstance(module, nn.Linear)]
    parameters = [p for layer in layers for p in layer.parameters()]
    total = sum(p.numel() for p in parameters)
    trained = sum(p.numel() for p in parameters if p.requires_grad)
    return total, trained


@count_parameters.misconception(
    title="The model was thawed while counting",
    why="Setting `requires_grad` changes what is trained from now on. A function that counts leaves the model as it is.",
    next="Read `requires_grad`, and do not write it.",
    link="counting-parameters",
    shows="the model afterwards",
)
def thawed_the_model(model):
    for parameter in model.parameters():
        parameter.requires_grad = True
    total = sum(p.numel() for p in model.parameters())
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return total, trained


@count_parameters.misconception(
    title="The total is that of `state_dict()`",
    why="A state_dict holds the buffers as well, and a shared layer once for each of its names.",
    next="Add up over `parameters()`.",
    link="counting-parameters",
)
def total_of_the_state(model):
    parameters = list(model.parameters())
    total = sum(value.numel() for value in model.state_dict().values())
    trained = sum(p.numel() for p in parameters if p.requires_grad)
    return total, trained


@count_parameters.misconception(
    title="The model's own parameters are missing",
    why="`children()` gives the modules inside. A parameter that is an attribute of the model itself belongs to none of them, and a model that is a single layer has no children at all.",
    next="`model.parameters()` begins with the model itself.",
    link="counting-parameters",
)
def of_the_children(model):
    parameters = [p for child in model.children() for p in child.parameters()]
    total = sum(p.numel() for p in parameters)
    trained = sum(p.numel() for p in parameters if p.requires_grad)
    return total, trained


@count_parameters.misconception(
    title="Only the first level was counted",
    why="`children()` goes one level down, and `recurse=False` stops there. What lies deeper, and what the model holds itself, is not counted.",
    next="`model.parameters()` reaches every level.",
    link="counting-parameters",
)
def one_level_down(model):
    parameters = [p for child in model.children() for p in child.parameters(recurse=False)]
    total = sum(p.numel() for p in parameters)
    trained = sum(p.numel() for p in parameters if p.requires_grad)
    return total, trained


@count_parameters.misconception(
    title="Counted rows instead of numbers",
    why="`len(p)` is the length of the first axis: of a (10, 784) weight, 10. A tensor without axes has no length at all.",
    next="`numel()` says how many numbers a tensor holds.",
    link="counting-parameters",
)
def counted_rows(model):
    parameters = list(model.parameters())
    total = sum(len(p) for p in parameters)
    trained = sum(len(p) for p in parameters if p.requires_grad)
    return total, trained


@count_parameters.misconception(
    title="Only what is called `weight` or `bias`",
    why="Most layers use these two names, and a module may register a Parameter under any. What has another name was not counted.",
    next="Ask the model for its parameters, whatever they are called.",
    link="counting-parameters",
)
def only_weight_and_bias(model):
    found = {}
    for module in model.modules():
        for name in ("weight", "bias"):
            parameter = getattr(module, name, None)
            if parameter is not None:
                found[id(parameter)] = parameter
    total = sum(p.numel() for p in found.values())
    trained = sum(p.numel() for p in found.values() if p.requires_grad)
    return total, trained


@count_parameters.misconception(
    title="A tied weight was counted in both layers",
    why="`modules()` gives each module once. But two modules may share one Parameter, as after `b.weight = a.weight`: it takes memory once, and a step moves it once.",
    next="`model.parameters()` gives each Parameter once.",
    link="counting-parameters",
)
def tied_counted_twice(model):
    parameters = [p for module in model.modules() for p in module.parameters(recurse=False)]
    total = sum(p.numel() for p in parameters)
    trained = sum(p.numel() for p in parameters if p.requires_grad)
    return total, trained


@count_parameters.misconception(
    title="A frozen parameter was taken off twice",
    why="The trained number is worked out as the total without the frozen ones. But a frozen weight that stands in two places was "
    "counted once in the total and twice among the frozen: more is taken off than was there.",
    next="Add up what requires gradients, over the same list as the total.",
    link="shared-layers",
)
def frozen_taken_off_twice(model):
    total = sum(p.numel() for p in model.parameters())
    every = [p for _, p in model.named_parameters(remove_duplicate=False)]
    return total, total - sum(p.numel() for p in every if not p.requires_grad)


@count_parameters.misconception(
    title="A layer was judged by its weight",
    why="What is frozen is a parameter, not a layer. A layer may have a trained weight and a frozen bias, or the other way round.",
    next="Ask each parameter for itself.",
    link="counting-parameters",
)
def judged_by_the_weight(model):
    total = sum(p.numel() for p in model.parameters())
    trained = {}
    for module in model.modules():
        own = list(module.parameters(recurse=False))
        if own and own[0].requires_grad:
            trained |= {id(p): p.numel() for p in own}
    return total, sum(trained.values())


@count_parameters.misconception(
    title="The counts are floats",
    why="A number of parameters is a whole number. A float is printed with a point, and above 2⁵³ it cannot hold every whole number. "
    "NumPy's `prod` is a common way into this: of an empty shape it gives 1.0.",
    next="`numel()` gives an int.",
    link="counting-parameters",
    shows="what comes back",
)
def counts_as_floats(model):
    total, trained = 0.0, 0.0
    for parameter in model.parameters():
        total += parameter.numel()
        trained += parameter.numel() if parameter.requires_grad else 0.0
    return total, trained


@count_parameters.misconception(
    title="The model was put into eval mode",
    why="The counts are right. But in eval mode layers such as Dropout and BatchNorm behave in another way, and they stay so until somebody "
    "calls `.train()`. What is counted does not depend on the mode.",
    next="Read, and change nothing.",
    link="counting-parameters",
    shows="the model afterwards",
)
def put_into_eval_mode(model):
    model.eval()
    parameters = list(model.parameters())
    total = sum(p.numel() for p in parameters)
    trained = sum(p.numel() for p in parameters if p.requires_grad)
    return total, trained


@count_parameters.misconception(
    title="The gradients were thrown away",
    why="The counts are right. But a gradient that somebody has computed, and not used yet, is gone after `zero_grad()`.",
    next="Read, and change nothing.",
    link="counting-parameters",
    shows="the model afterwards",
)
def cleared_the_gradients(model):
    model.zero_grad()
    parameters = list(model.parameters())
    total = sum(p.numel() for p in parameters)
    trained = sum(p.numel() for p in parameters if p.requires_grad)
    return total, trained


# Building a network -------------------------------------------------------------------------------


@exercise(
    level="independent",
    minutes=8,
    why="The layers are collected in a list and handed to nn.Sequential, which registers each of them; a ReLU goes in "
    "after every Linear, and the last ReLU is left off.",
    hints=(
        "One nn.Linear for each pair of neighbours in `widths`, and a ReLU between two layers. After the last layer there is "
        "none.",
        "Build a Python list in a loop, then register it: `nn.Sequential(*layers)`, or an `nn.ModuleList` that `forward` "
        "goes through.",
        "If the loop puts a ReLU after every Linear, `layers[:-1]` is the list without the last one.",
    ),
)
class MLP(nn.Module):
    """Build a fully connected network of any depth.

    `MLP(widths)`: widths is a list such as [784, 256, 64, 10]: first the number of inputs, then how
    many units each hidden layer has, last the number of outputs. The list stays as it is.
    From each width to the next leads one nn.Linear, and behind each nn.Linear but the last stands a
    ReLU. Without a hidden layer, as in [3, 2], there is one nn.Linear and no ReLU.

    `network(x)`: x (B, widths[0]) -> (B, widths[-1]). All layers are trained, and their weights
    start as random numbers: those that nn.Linear draws will do.
    """

    def __init__(self, widths):
        super().__init__()
        # solution:
        layers = []
        for inputs, outputs in zip(widths, widths[1:]):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        self.layers = nn.Sequential(*layers[:-1])
        # end solution

    def forward(self, x):
        # solution:
        return self.layers(x)
        # end solution


@MLP.drive
def build_an_mlp(answer, x, widths):
    given = list(widths)
    network, another = answer(given), answer(list(widths))
    weights = [p for p in module_of(network).parameters() if p.dim() == 2]
    random = all(len(weight.unique(dim=0)) == len(weight) for weight in weights)

    def chains(called, network):
        """List the orders of the layers whose sizes fit together."""
        held = [m for m in network.modules() if getattr(getattr(m, "weight", 0), "ndim", 0) == 2]
        due = [(b, a) for a, b in zip(widths, widths[1:])]
        fits = [
            list(order)
            for order in (permutations(held) if len(held) < 6 else [])
            if [tuple(m.weight.shape) for m in order] == due
        ]
        return [called, *fits]

    seen = examine(
        network,
        x,
        of=f"MLP({widths})",
        another=another,
        wanted=MLP.reference(widths),
        orders=chains,
    )
    return {
        **seen,
        "the weights start as random numbers": random,
        "`widths` afterwards": str(given),
    }


@MLP.probe
def two_layers(g):
    return torch.randn(4, 3, generator=g), [3, 5, 2]


@MLP.probe
def four_layers(g):
    return 20 * torch.randn(6, 4, generator=g), [4, 7, 3, 5, 3]


@MLP.probe
def equal_hidden_layers(g):
    return torch.randn(5, 2, generator=g), [2, 6, 6, 6, 1]


@MLP.probe
def no_hidden_layer(g):
    return torch.randn(1, 3, generator=g), [3, 2]


@MLP.alternative("A ModuleList registers the layers and leaves the way through them to `forward`.")
class WithModuleList(nn.Module):
    def __init__(self, widths):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(widths[:-1], widths[1:]))

    def forward(self, x):
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        return self.layers[-1](x)


@MLP.alternative("A Sequential is a module as well: it can be subclassed.")
class SubclassOfSequential(nn.Sequential):
    def __init__(self, widths):
        super().__init__()
        for i in range(len(widths) - 1):
            if i > 0:
                self.append(nn.ReLU())
            self.append(nn.Linear(widths[i], widths[i + 1]))


@MLP.alternative("`setattr` registers like any assignment, if each layer gets a name of its own.")
class NamedOneByOne(nn.Module):
    def __init__(self, widths):
        super().__init__()
        self.depth = len(widths) - 1
        for i in reversed(range(self.depth)):
            setattr(self, f"layer{i}", nn.Linear(widths[i], widths[i + 1]))

    def forward(self, x):
        for i in range(self.depth):
            x = getattr(self, f"layer{i}")(x)
            x = x.clamp(min=0) if i < self.depth - 1 else x
        return x


@MLP.misconception(
    title="The layers stand in a plain list or dict",
    why="A module finds its layers among its attributes, and looks into no Python list or dict. The network computes what it should, "
    "and owns nothing: `parameters()` is empty, `state_dict()` saves nothing, `.double()` moves nothing.",
    next="Register them: `nn.Sequential(*layers)` or `nn.ModuleList(layers)`.",
    link="containers",
    shows="the layers that are registered",
)
class LayersInAPlainList(nn.Module):
    def __init__(self, widths):
        super().__init__()
        layers = []
        for inputs, outputs in zip(widths, widths[1:]):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        self.layers = layers[:-1]

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


@MLP.misconception(
    title="A ReLU after the last layer",
    why="The outputs are then never negative, and where all of a row's are cut to 0 no gradient comes back. The last layer "
    "stays bare: what its numbers mean is the loss's business.",
    next="Leave the last ReLU off.",
    link="why-stacked-linears-need-an-activation",
)
class ReluAfterTheLast(nn.Module):
    def __init__(self, widths):
        super().__init__()
        layers = []
        for inputs, outputs in zip(widths, widths[1:]):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        return self.layers(x)


@MLP.misconception(
    title="No activation between the layers",
    why="A Linear of a Linear is a Linear. However many are stacked, the network computes one matrix product and one bias.",
    next="Put a ReLU between each two layers.",
    link="why-stacked-linears-need-an-activation",
)
class OnlyLinears(nn.Module):
    def __init__(self, widths):
        super().__init__()
        layers = []
        for inputs, outputs in zip(widths, widths[1:]):
            layers += [nn.Linear(inputs, outputs)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        return self.layers(x)


@MLP.misconception(
    title="One ReLU for the whole network",
    why="The activation stands after the first layer only. The layers behind it collapse into one, whatever their number.",
    next="Each hidden layer is followed by its own ReLU.",
    link="why-stacked-linears-need-an-activation",
)
class ReluAfterTheFirst(nn.Module):
    def __init__(self, widths):
        super().__init__()
        layers = [nn.Linear(a, b) for a, b in zip(widths, widths[1:])]
        if len(layers) > 1:
            layers.insert(1, nn.ReLU())
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        return self.layers(x)


@MLP.misconception(
    title="All the layers got the same name",
    why="Each turn of the loop assigns to the same attribute, and the new layer takes the old one's place. Only the last "
    "layer is left.",
    next="Collect the layers in a list first, and register the list.",
    link="containers",
)
class OverwrittenInTheLoop(nn.Module):
    def __init__(self, widths):
        super().__init__()
        for inputs, outputs in zip(widths, widths[1:]):
            self.layer = nn.Linear(inputs, outputs)

    def forward(self, x):
        return self.layer(x)


@MLP.misconception(
    title="Two layers, whatever `widths` says",
    why="The network has one hidden layer of the first hidden width, and ignores the others. That is right for one length of "
    "`widths` only.",
    next="Let a loop over neighbours make as many layers as there are.",
    link="containers",
)
class AlwaysTwoLayers(nn.Module):
    def __init__(self, widths):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(widths[0], widths[1]), nn.ReLU(), nn.Linear(widths[1], widths[-1])
        )

    def forward(self, x):
        return self.layers(x)


@MLP.misconception(
    title="`super().__init__()` was not called",
    why="nn.Module's own `__init__` makes the place where layers are registered. Without it the first layer has nowhere to go.",
    next="Make `super().__init__()` the first line of `__init__`.",
    link="what-registration-is",
)
class MLPWithoutSuper(nn.Module):
    def __init__(self, widths):
        layers = []
        for inputs, outputs in zip(widths, widths[1:]):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, x):
        return self.layers(x)


@MLP.misconception(
    title="`forward` returns nothing",
    why="The layers run, and their result is thrown away: a function without `return` gives None. Whoever uses the output next "
    "gets an error about None.",
    next="Return what the last layer gives.",
    link="what-happens-at-a-call",
)
class ForwardWithoutReturn(nn.Module):
    def __init__(self, widths):
        super().__init__()
        layers = []
        for inputs, outputs in zip(widths, widths[1:]):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, x):
        self.layers(x)


@MLP.misconception(
    title="The layers are made in `forward`",
    why="Each call makes new layers with new random weights, uses them once and forgets them. Nothing is registered, and "
    "nothing can be learned.",
    next="Make the layers in `__init__`; `forward` uses them.",
    link="what-happens-at-a-call",
    shows="what `forward` gives",
)
class LayersMadeInForward(nn.Module):
    def __init__(self, widths):
        super().__init__()
        self.widths = list(widths)

    def forward(self, x):
        layers = []
        for inputs, outputs in zip(self.widths, self.widths[1:]):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        return nn.Sequential(*layers[:-1])(x)


@MLP.misconception(
    title="A ModuleList was called",
    why="`nn.ModuleList` registers its layers and does not run them. It has no `forward` of its own.",
    next="Go through it in your `forward`, or take `nn.Sequential`.",
    link="containers",
)
class CalledAModuleList(nn.Module):
    def __init__(self, widths):
        super().__init__()
        layers = []
        for inputs, outputs in zip(widths, widths[1:]):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        self.layers = nn.ModuleList(layers[:-1])

    def forward(self, x):
        return self.layers(x)


@MLP.misconception(
    title="A list was handed to nn.Sequential",
    why="`nn.Sequential` takes layers one by one: `nn.Sequential(a, b, c)`. A list is one argument, and no module.",
    next="Unpack the list with a star.",
    link="containers",
)
class ListIntoSequential(nn.Module):
    def __init__(self, widths):
        super().__init__()
        layers = []
        for inputs, outputs in zip(widths, widths[1:]):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        self.layers = nn.Sequential(layers[:-1])

    def forward(self, x):
        return self.layers(x)


@MLP.misconception(
    title="A function was handed to nn.Sequential",
    why="`F.relu` is a function. `nn.Sequential` holds modules, and the module that applies it is `nn.ReLU()`.",
    next="Use `nn.ReLU()` in containers, `F.relu` in `forward`.",
    link="containers",
)
class FunctionIntoSequential(nn.Module):
    def __init__(self, widths):
        super().__init__()
        layers = []
        for inputs, outputs in zip(widths, widths[1:]):
            layers += [nn.Linear(inputs, outputs), F.relu]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, x):
        return self.layers(x)


@MLP.misconception(
    title="The layers have no biases",
    why="`bias=False` leaves the bias out. Every unit's line or edge then goes through 0.",
    next="Leave `bias` at its default.",
    link="what-a-linear-layer-computes",
    shows="the shapes of the parameters",
)
class WithoutBiases(nn.Module):
    def __init__(self, widths):
        super().__init__()
        layers = []
        for inputs, outputs in zip(widths, widths[1:]):
            layers += [nn.Linear(inputs, outputs, bias=False), nn.ReLU()]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, x):
        return self.layers(x)


@MLP.misconception(
    title="A softmax at the end",
    why="The docstring ends with the last Linear. Losses for classification take its raw outputs and apply the softmax themselves.",
    next="Return what the last layer gives.",
    link="why-stacked-linears-need-an-activation",
)
class SoftmaxAtTheEnd(nn.Module):
    def __init__(self, widths):
        super().__init__()
        layers = []
        for inputs, outputs in zip(widths, widths[1:]):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, x):
        return F.softmax(self.layers(x), dim=1)


@MLP.misconception(
    title="ReLU came before each layer",
    why="The first ReLU is applied to the inputs and cuts off everything negative in the data, before any layer has seen it.",
    next="Linear first, then ReLU.",
    link="why-stacked-linears-need-an-activation",
)
class ReluFirst(nn.Module):
    def __init__(self, widths):
        super().__init__()
        layers = []
        for inputs, outputs in zip(widths, widths[1:]):
            layers += [nn.ReLU(), nn.Linear(inputs, outputs)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        return self.layers(x)


@MLP.misconception(
    title="The last layer is missing",
    why="n widths have n - 1 layers between them. A loop that ends one pair too early never makes the last Linear, and a slice such as `layers[:-2]` "
    "drops it together with its ReLU.",
    next="Print the network for [3, 5, 2]: it has two Linears, and ends in the second.",
    link="containers",
    shows="the shapes of the parameters",
)
class CutTooMuch(nn.Module):
    def __init__(self, widths):
        super().__init__()
        layers = []
        for inputs, outputs in zip(widths, widths[1:]):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        self.layers = nn.Sequential(*layers[:-2])

    def forward(self, x):
        return self.layers(x)


@MLP.misconception(
    title="Inputs and outputs are exchanged",
    why="`nn.Linear` is made with the number of inputs first. Its weight has the outputs first; that is a different thing.",
    next="`nn.Linear(inputs, outputs)`.",
    link="what-a-linear-layer-computes",
)
class ExchangedSizes(nn.Module):
    def __init__(self, widths):
        super().__init__()
        layers = []
        for inputs, outputs in zip(widths, widths[1:]):
            layers += [nn.Linear(outputs, inputs), nn.ReLU()]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, x):
        return self.layers(x)


@MLP.misconception(
    title="`forward` records nothing",
    why="Under `torch.no_grad()` the output has no history, and `backward` finds no way back to the weights. It belongs around an evaluation, not into the network.",
    next="Leave `no_grad` to those who call the network.",
    link="what-happens-at-a-call",
    shows="a gradient reaches every registered parameter",
)
class ForwardWithoutGradients(nn.Module):
    def __init__(self, widths):
        super().__init__()
        layers = []
        for inputs, outputs in zip(widths, widths[1:]):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, x):
        with torch.no_grad():
            return self.layers(x)


@MLP.misconception(
    title="Sigmoid instead of ReLU",
    why="Both bend the line, and they are different functions: sigmoid squeezes everything between 0 and 1.",
    next="The docstring asks for ReLU.",
    link="why-stacked-linears-need-an-activation",
)
class SigmoidInstead(nn.Module):
    def __init__(self, widths):
        super().__init__()
        layers = []
        for inputs, outputs in zip(widths, widths[1:]):
            layers += [nn.Linear(inputs, outputs), nn.Sigmoid()]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, x):
        return self.layers(x)


@MLP.misconception(
    title="There is no method `forward`",
    why="A call runs `forward`, by that very name. Written in another way, it is a method that nobody calls.",
    next="Look at the spelling.",
    link="what-happens-at-a-call",
)
class MisspelledForward(nn.Module):
    def __init__(self, widths):
        super().__init__()
        layers = []
        for inputs, outputs in zip(widths, widths[1:]):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        self.layers = nn.Sequential(*layers[:-1])

    def foward(self, x):
        return self.layers(x)


MisspelledForward.__name__ = "MLP"  # the message names the class


@MLP.misconception(
    title="The hidden layers stand in a plain list",
    why="The last layer is an attribute and is registered. The others stand in a list, which the module does not look into. The loss goes down, because the last layer learns, and the hidden ones stay random for ever.",
    next="Put the hidden layers into a container that registers them.",
    link="containers",
    shows="the layers that are registered",
)
class ListAndHead(nn.Module):
    def __init__(self, widths):
        super().__init__()
        self.layers = [nn.Linear(a, b) for a, b in zip(widths[:-1], widths[1:-1])]
        self.head = nn.Linear(widths[-2], widths[-1])

    def forward(self, x):
        for layer in self.layers:
            x = F.relu(layer(x))
        return self.head(x)


@MLP.misconception(
    title="Written for three widths",
    why="There is one hidden layer, from the first three widths. With more of them the others are ignored, and with two there is no third.",
    next="Let a loop over neighbours make as many layers as there are.",
    link="containers",
)
class ThreeWidthsOnly(nn.Module):
    def __init__(self, widths):
        super().__init__()
        self.hidden = nn.Linear(widths[0], widths[1])
        self.output = nn.Linear(widths[1], widths[2])

    def forward(self, x):
        return self.output(F.relu(self.hidden(x)))


@MLP.misconception(
    title="`nn.ReLU` without parentheses",
    why="`nn.ReLU` is a class, and `nn.Sequential` wants modules, that is objects. The parentheses make one.",
    next="`nn.ReLU()` makes the module.",
    link="containers",
)
class ClassOfRelu(nn.Module):
    def __init__(self, widths):
        super().__init__()
        layers = []
        for inputs, outputs in zip(widths, widths[1:]):
            layers += [nn.Linear(inputs, outputs), nn.ReLU]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, x):
        return self.layers(x)


@MLP.misconception(
    title="Tanh instead of ReLU",
    why="Both bend the line, and they are different functions: tanh squeezes everything between -1 and 1.",
    next="The docstring asks for ReLU.",
    link="why-stacked-linears-need-an-activation",
)
class TanhInstead(nn.Module):
    def __init__(self, widths):
        super().__init__()
        layers = []
        for inputs, outputs in zip(widths, widths[1:]):
            layers += [nn.Linear(inputs, outputs), nn.Tanh()]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, x):
        return self.layers(x)


@MLP.misconception(
    title="The caller's list was changed",
    why="`pop` takes a number out of the list that was passed in. The network is right, and whoever builds a second one from the same list gets another.",
    next="Read `widths[-1]` and slices instead.",
    link="containers",
    shows="`widths` afterwards",
)
class PoppedTheWidths(nn.Module):
    def __init__(self, widths):
        super().__init__()
        last = widths.pop()
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in zip(widths, widths[1:]))
        self.last = nn.Linear(widths[-1], last)

    def forward(self, x):
        for layer in self.hidden:
            x = F.relu(layer(x))
        return self.last(x)


@MLP.misconception(
    title="The last layer is known by its width",
    why="A hidden layer may be as wide as the output. By its width alone it is taken for the last one, and loses its ReLU.",
    next="Go by position: which pair of neighbours is the last one?",
    link="why-stacked-linears-need-an-activation",
)
class LastByItsWidth(nn.Module):
    def __init__(self, widths):
        super().__init__()
        layers = []
        for inputs, outputs in zip(widths, widths[1:]):
            layers += [nn.Linear(inputs, outputs)]
            if outputs != widths[-1]:
                layers += [nn.ReLU()]
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        return self.layers(x)


@MLP.misconception(
    title="After `.eval()` the network does something else",
    why="`.eval()` sets `self.training` to False, for layers that are made to behave in two ways, such as Dropout. Here there is one "
    "computation. A softmax that appears in one mode only is such a second one: the loss takes the raw outputs in both.",
    next="`forward` computes the same whatever `self.training` says. Who wants probabilities applies a softmax outside.",
    link="why-stacked-linears-need-an-activation",
    shows="what `forward` gives",
)
class SoftmaxInEvalMode(nn.Module):
    def __init__(self, widths):
        super().__init__()
        layers = []
        for inputs, outputs in zip(widths, widths[1:]):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, x):
        x = self.layers(x)
        return x if self.training else x.softmax(dim=1)


@MLP.misconception(
    title="Something random happens in `forward`",
    why="The layers are registered, and yet the same input gives another output at each call. A Dropout does that in training mode, and noise of your own. It "
    "is a means against overfitting; the docstring knows none.",
    next="Linear and ReLU alone, in turn.",
    link="what-happens-at-a-call",
    shows="what `forward` gives",
)
class WithDropout(nn.Module):
    def __init__(self, widths):
        super().__init__()
        layers = []
        for inputs, outputs in zip(widths, widths[1:]):
            layers += [nn.Linear(inputs, outputs), nn.ReLU(), nn.Dropout(0.5)]
        self.layers = nn.Sequential(*(layers[:-2] or layers))

    def forward(self, x):
        return self.layers(x)


@MLP.misconception(
    title="All weights start equal",
    why="Units with equal weights compute the same and get the same gradient, at every step: the layer does the work of one unit. If all "
    "weights are 0, nothing but the last bias ever moves.",
    next="Leave the random numbers that nn.Linear draws.",
    link="initialisation",
    shows="the weights start as random numbers",
)
class WeightsStartAtZero(nn.Module):
    def __init__(self, widths):
        super().__init__()
        layers = []
        for inputs, outputs in zip(widths, widths[1:]):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        self.layers = nn.Sequential(*layers[:-1])
        for parameter in self.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x):
        return self.layers(x)


@MLP.misconception(
    title="The last hidden layer has no ReLU",
    why="The loop leaves ReLU off one layer too early. The last two Linears have nothing between them, so they are one.",
    next="Of n layers, n - 1 are followed by a ReLU: all but the last.",
    link="why-stacked-linears-need-an-activation",
)
class LastHiddenWithoutRelu(nn.Module):
    def __init__(self, widths):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(widths, widths[1:]))

    def forward(self, x):
        for i, layer in enumerate(self.layers):
            x = layer(x)
            if i < len(self.layers) - 2:
                x = F.relu(x)
        return x


@MLP.misconception(
    title="The first layer has no ReLU",
    why="The first two Linears have nothing between them, so they are one, whatever their widths.",
    next="Every layer but the last is followed by a ReLU, the first one as well.",
    link="why-stacked-linears-need-an-activation",
)
class FirstWithoutRelu(nn.Module):
    def __init__(self, widths):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(widths, widths[1:]))

    def forward(self, x):
        for i, layer in enumerate(self.layers):
            x = layer(x)
            if 0 < i < len(self.layers) - 1:
                x = F.relu(x)
        return x


@MLP.misconception(
    title="Axes of length 1 were squeezed away",
    why="`squeeze()` drops every axis of length 1: the output axis if there is one output, the batch axis if there is one row. The shape then depends "
    "on the data, and (B,) against (B, 1) broadcasts to (B, B) in a loss.",
    next="Return (B, outputs) as it is, one output or not.",
    link="why-stacked-linears-need-an-activation",
)
class SqueezedOutput(nn.Module):
    def __init__(self, widths):
        super().__init__()
        layers = []
        for inputs, outputs in zip(widths, widths[1:]):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, x):
        return self.layers(x).squeeze()


@MLP.misconception(
    title="Leaky ReLU instead of ReLU",
    why="Where its input is negative, a leaky ReLU gives a hundredth of it instead of 0. It is a good activation, and another function.",
    next="The docstring asks for ReLU.",
    link="why-stacked-linears-need-an-activation",
)
class LeakyInstead(nn.Module):
    def __init__(self, widths):
        super().__init__()
        layers = []
        for inputs, outputs in zip(widths, widths[1:]):
            layers += [nn.Linear(inputs, outputs), nn.LeakyReLU()]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, x):
        return self.layers(x)


@MLP.misconception(
    title="The inner layers are one layer",
    why="`[layer] * n` names one object n times. It is registered and trained, but there is one set of weights where there should be several, all of the first hidden width.",
    next="Make a new nn.Linear for each pair of neighbours.",
    link="shared-layers",
)
class HiddenLayersShared(nn.Module):
    def __init__(self, widths):
        super().__init__()
        hidden, inner = widths[1], len(widths) - 3
        layers = [nn.Linear(widths[0], hidden)]
        layers += [nn.ReLU(), nn.Linear(hidden, hidden)] * inner
        if inner >= 0:
            layers += [nn.ReLU(), nn.Linear(hidden, widths[-1])]
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        return self.layers(x)


@MLP.misconception(
    title="An only layer runs twice",
    why="`forward` treats the first and the last layer apart. Without a hidden layer, as in [3, 2], there is one layer, and it is "
    "both: first it runs with a ReLU behind it, then once more on its own outputs, which it was not made for.",
    next="Which layers have a ReLU behind them? All but the last, and of one layer that is none.",
    link="containers",
)
class OnlyLayerTwice(nn.Module):
    def __init__(self, widths):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(widths, widths[1:]))

    def forward(self, x):
        x = F.relu(self.layers[0](x))
        for layer in self.layers[1:-1]:
            x = F.relu(layer(x))
        return self.layers[-1](x)


# Initialisation -----------------------------------------------------------------------------------


@exercise(
    level="supported",
    minutes=7,
    why="`modules()` visits every level, and `nn.init` writes in place without recording, so the parameters stay the objects "
    "that they were.",
    hints=(
        "`model.modules()` gives the model and every module inside it, to any depth. Which of them are nn.Linear?",
        "`nn.init.normal_(tensor, mean, std)` fills a parameter in place. `module.in_features` is how many inputs it has.",
        "The standard deviation is a square root: (2 / in_features) ** 0.5. A layer without a bias has None there.",
    ),
)
def initialise(model: nn.Module) -> None:
    """Give every nn.Linear in a model new initial weights, in place.

    model: any module, with modules inside it to any depth.

    The weights of each nn.Linear, also of a class that is derived from it, become independent normal
    random numbers with mean 0 and standard deviation √(2 / in_features), its biases 0. It may have
    no bias. A frozen one gets new weights like the others, and is still frozen afterwards.
    Nothing else in the model changes: all other modules keep what they hold.

    In place means that the parameters remain the same objects and keep their memory: an optimizer,
    or a state_dict that was taken before, may know them already.
    """
    # solution:
    for module in model.modules():
        if isinstance(module, nn.Linear):
            std = (2 / module.in_features) ** 0.5
            nn.init.normal_(module.weight, 0.0, std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    # end solution


def spread(layers):
    """Say by which rule the weights scatter, layer by layer."""
    words = []
    for layer in layers:
        rows, columns = layer.out_features, layer.in_features
        rules = {
            "√(2 / in)": (2 / columns) ** 0.5,
            "√(1 / in)": (1 / columns) ** 0.5,
            "√(2 / out)": (2 / rows) ** 0.5,
            "√(2 / (in + out))": (2 / (rows + columns)) ** 0.5,
            "2 / in": 2 / columns,
            "√2 / in": 2**0.5 / columns,
            "2 / √in": 2 / columns**0.5,
            "nn.Linear's own √(1 / (3 in))": (3 * columns) ** -0.5,
            "1": 1.0,
            "0.01": 0.01,
        }
        std = float(layer.weight.detach().std())
        fits = (rule for rule, due in rules.items() if abs(std / due - 1) < 0.05)
        rule = next(fits, "0" if std < 1e-6 else f"{std:.3f}")
        words.append(f"{rule} in Linear({columns}, {rows})")
    return ", ".join(words)


def dependence(rows):
    """Say in words how the rows of a matrix depend on each other; empty if they do not."""
    z = F.normalize(rows - rows.mean(1, keepdim=True))
    angles = (z @ z.T)[~torch.eye(len(z), dtype=torch.bool)]
    if float(angles.abs().max()) > 0.95:  # two rows are the same but for a factor
        return "numbers that repeat from row to row"
    if float(angles.square().mean()) < 0.4 / rows.shape[1]:  # 1 / length is due
        return "rows at right angles to each other"
    return ""


def scatter(layers):
    """Say in words what kind of random numbers the weights of some layers are.

    The bounds lie five standard errors and more from what is due, with 6,000 numbers in a layer.
    """
    weights = [layer.weight.detach() for layer in layers]
    for weight, other in permutations(weights, 2):
        if weight.shape == other.shape and torch.equal(weight, other):
            return "the same numbers in two layers"
    for weight in weights:
        z = weight / weight.std().clamp(min=1e-9)
        tails = float((z.abs() > 2).float().mean())  # 0.0455 is due
        peaked = float(z.pow(4).mean())  # 3 is due, with a standard error of 0.06
        distinct = len(weight.flatten()[:1000].unique())
        if distinct == 1:
            return "one number for all weights"
        if abs(float(z.mean())) > 0.1:
            return f"numbers with mean {float(weight.mean()):.2f}"
        if together := dependence(weight) or dependence(weight.T):
            return together
        if distinct < 100:
            return f"only {distinct} different numbers"
        if float(z.abs().max()) < 1.8:
            return "uniform numbers"
        if abs(float(z.mean())) > 0.075 or not 0.03 < tails < 0.062 or abs(peaked - 3) > 0.5:
            return "other numbers than normal ones"
    return "independent normal numbers around 0"


def tensors_by_name(module):
    """Copy what a module holds itself, parameters and buffers; of an nn.Linear nothing."""
    if isinstance(module, nn.Linear):
        return {}
    named = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
    return {name: tensor.detach().clone() for name, tensor in named}


def held_elsewhere(model):
    """Note for every module what it holds beside an nn.Linear's numbers, its mode and its hooks."""
    return {
        module: (tensors_by_name(module), module.training, len(module._forward_hooks))
        for module in model.modules()
    }


def changed_elsewhere(before, model):
    """Say in words what has changed beside the nn.Linear: `changed: BatchNorm1d's weight, bias`."""
    after, changed = held_elsewhere(model), []
    if list(after) != list(before):
        return "other modules"
    for module, (tensors, *_) in before.items():
        names = [name for name, was in tensors.items() if not same(was, after[module][0].get(name))]
        if names:
            changed.append(f"{type(module).__name__}'s {', '.join(names)}")
    for place, words in ((1, "the mode of a module"), (2, "a hook of a module")):
        if any(held[place] != after[module][place] for module, held in before.items()):
            changed.append(words)
    return f"changed: {'; '.join(changed)}" if changed else "as it was"


def biases_of(layers, before):
    """Say in words what became of the biases."""
    for layer in layers:
        was, bias = before[layer], layer.bias
        if was is None and bias is None:
            continue
        if bias is None:
            return "gone"
        if was is None or bias.shape != was.shape:
            return "of another shape"
        if torch.equal(bias, was):
            return "as they were"
        if bool(bias.any()):
            return "other numbers than 0"
    return "0"


@initialise.drive
def initialise_and_look(answer, model):
    layers = [m for m in model.modules() if isinstance(m, nn.Linear)]
    rest = held_elsewhere(model)
    biases = {m: None if m.bias is None else m.bias.detach().clone() for m in layers}
    weights = [layer.weight.detach().clone() for layer in layers]
    objects = list(model.parameters())
    places = [p.data_ptr() for p in objects]
    trained = [p.requires_grad for p in objects]
    twin = deepcopy(model)
    answer(model)
    answer(twin)
    after = list(model.parameters())
    kept = len(objects) == len(after) and all(map(operator.is_, objects, after))
    first, again = (
        next(m for m in one.modules() if isinstance(m, nn.Linear)) for one in (model, twin)
    )
    return {
        "the weights are new": not any(
            torch.equal(layer.weight, was) for layer, was in zip(layers, weights)
        ),
        "the standard deviation of the weights": spread(layers),
        "the kind of the weights": scatter(layers),
        "the biases": biases_of(layers, biases),
        "the rest of the model": changed_elsewhere(rest, model),
        "the parameters are the same objects": kept,
        "the parameters keep their memory": not kept or places == [p.data_ptr() for p in after],
        "the parameters require gradients as before": [p.requires_grad for p in after] == trained
        and all(p.is_leaf for p in after),
        "each call draws other numbers": not torch.equal(first.weight, again.weight),
    }


@initialise.probe
def a_single_linear(g):
    return (nn.Linear(50, 130),)


@initialise.probe
def a_network_and_its_norm(g):
    model = nn.Sequential(nn.Linear(60, 160), nn.BatchNorm1d(160), nn.ReLU(), nn.Linear(160, 50))
    with torch.no_grad():
        for tensor in (model[1].weight, model[1].bias, model[1].running_mean, model[1].running_var):
            tensor.copy_(1 + torch.rand(160, generator=g))
    model[1].eval()  # a norm whose statistics are to stay
    return (model,)


@initialise.probe
def networks_in_a_network(g):
    inner = nn.Sequential(nn.Linear(80, 100), nn.ReLU(), nn.Sequential(nn.Linear(100, 70)))
    twin = nn.Linear(80, 100).requires_grad_(False)
    return (nn.ModuleDict({"body": inner, "twin": twin, "head": nn.Linear(70, 90)}),)


class Projection(nn.Linear):
    """A module derived from nn.Linear: it is one, too."""


class Gate(nn.Module):
    """No nn.Linear, although it has a weight and counts its inputs."""

    def __init__(self, in_features):
        super().__init__()
        self.in_features, self.bias = in_features, None
        self.weight = nn.Parameter(torch.ones(3, in_features))


@initialise.probe
def a_layer_without_bias(g):
    convolution = nn.Conv2d(2, 4, 3).requires_grad_(False)
    wide, narrow = nn.Linear(40, 150, bias=False), Projection(150, 40)
    return (nn.Sequential(convolution, nn.Embedding(9, 40), wide, Gate(150), narrow),)


@initialise.alternative("`kaiming_normal_` works the deviation out itself.")
def with_kaiming(model):
    for _name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                module.bias.detach().zero_()


@initialise.alternative("`apply` calls a function on every module, from the inside out.")
def with_apply(model):
    @torch.no_grad()
    def fill_linear(module):
        if isinstance(module, nn.Linear):
            std = math.sqrt(2.0 / module.weight.shape[1])
            module.weight.copy_(std * torch.randn_like(module.weight))
            if module.bias is not None:
                module.bias.fill_(0)

    return model.apply(fill_linear)


@initialise.alternative("In place under `no_grad`, as in a training step.")
def under_no_grad(model):
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Linear):
                module.weight.normal_(std=(2 / module.in_features) ** 0.5)
                if module.bias is not None:
                    module.bias *= 0


@initialise.misconception(
    title="Written into while autograd is watching",
    why="A parameter is a leaf that requires gradients, and PyTorch lets nobody change it in place while it records.",
    next="The functions of `nn.init` take care of that, or do it under `torch.no_grad()`.",
    link="initialisation",
)
def recorded_writing(model):
    for module in model.modules():
        if isinstance(module, nn.Linear):
            std = (2 / module.in_features) ** 0.5
            module.weight.normal_(0.0, std)
            if module.bias is not None:
                module.bias.zero_()


@initialise.misconception(
    title="A plain tensor was assigned to a parameter",
    why="The name `weight` is registered as a Parameter, and the module accepts nothing else under it: a plain tensor would "
    "silently stop being trained.",
    next="Fill the parameter that is there.",
    link="one-network-three-ways",
)
def assigned_plain_tensors(model):
    for module in model.modules():
        if isinstance(module, nn.Linear):
            std = (2 / module.in_features) ** 0.5
            module.weight = std * torch.randn(module.weight.shape)
            if module.bias is not None:
                module.bias = torch.zeros(module.bias.shape)


@initialise.misconception(
    title="New Parameters took the place of the old ones",
    why="The numbers are right, but the objects are others. An optimizer that was given the old parameters goes on updating "
    "those, which nobody uses any more: the network never learns, and no error says so.",
    next="Fill the parameters in place.",
    link="initialisation",
    shows="the parameters are the same objects",
)
def replaced_parameters(model):
    for module in model.modules():
        if isinstance(module, nn.Linear):
            std = (2 / module.in_features) ** 0.5
            module.weight = nn.Parameter(std * torch.randn(module.weight.shape))
            if module.bias is not None:
                module.bias = nn.Parameter(torch.zeros(module.bias.shape))


@initialise.misconception(
    title="Only the layers at the top were reached",
    why="`children()` gives the modules directly inside, one level deep. A Linear inside a Sequential inside the model keeps "
    "its old weights, and a model that is a Linear itself has no children at all.",
    next="`modules()` goes through the whole tree.",
    link="containers",
)
def only_the_top_level(model):
    for module in model.children():
        if isinstance(module, nn.Linear):
            std = (2 / module.in_features) ** 0.5
            nn.init.normal_(module.weight, 0.0, std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


@initialise.misconception(
    title="The variance was taken for the standard deviation",
    why="2 / in_features is the variance. With hundreds of inputs it is far smaller than its root, and the signal dies out layer "
    "by layer.",
    next="Take the square root.",
    link="initialisation",
    shows="the standard deviation of the weights",
)
def variance_as_deviation(model):
    for module in model.modules():
        if isinstance(module, nn.Linear):
            std = 2 / module.in_features
            nn.init.normal_(module.weight, 0.0, std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


@initialise.misconception(
    title="Scaled by the number of outputs",
    why="An output is a sum over the *inputs*, so their number decides how far it scatters. A weight's shape is (out, in): "
    "`shape[0]` counts the outputs.",
    next="`in_features` is the second length of the weight.",
    link="initialisation",
    shows="the standard deviation of the weights",
)
def scaled_by_outputs(model):
    for module in model.modules():
        if isinstance(module, nn.Linear):
            std = (2 / module.weight.shape[0]) ** 0.5
            nn.init.normal_(module.weight, 0.0, std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


@initialise.misconception(
    title="Every parameter was filled, whatever layer it belongs to",
    why="A parameter alone does not tell which module it belongs to. BatchNorm's weight is a scale that starts at 1: set to 0 "
    "like a bias, or to random numbers around 0, it spoils whatever comes through. A convolution counts its inputs in another way.",
    next="Go through the modules and pick the Linear ones.",
    link="initialisation",
    shows="the rest of the model",
)
def filled_everything(model):
    for parameter in model.parameters():
        if parameter.dim() > 1:
            nn.init.normal_(parameter, 0.0, (2 / parameter.shape[1]) ** 0.5)
        else:
            nn.init.zeros_(parameter)


@initialise.misconception(
    title="Every weight is the same number",
    why="With equal weights all units of a layer compute the same, get the same gradient and stay equal for ever.",
    next="The weights are random numbers with that standard deviation.",
    link="initialisation",
    shows="the kind of the weights",
)
def one_number_for_all(model):
    for module in model.modules():
        if isinstance(module, nn.Linear):
            std = (2 / module.in_features) ** 0.5
            nn.init.constant_(module.weight, std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


@initialise.misconception(
    title="The biases keep their random start",
    why="nn.Linear draws its biases at random when it is made. Nothing has set them to 0 since.",
    next="Fill the biases, too, where there are any.",
    link="initialisation",
    shows="the biases",
)
def forgot_the_biases(model):
    for module in model.modules():
        if isinstance(module, nn.Linear):
            std = (2 / module.in_features) ** 0.5
            nn.init.normal_(module.weight, 0.0, std)


@initialise.misconception(
    title="A layer without bias was not expected",
    why="`nn.Linear(…, bias=False)` has None where the bias would be, and None cannot be filled.",
    next="Fill the bias only where there is one.",
    link="initialisation",
)
def expects_a_bias(model):
    for module in model.modules():
        if isinstance(module, nn.Linear):
            std = (2 / module.in_features) ** 0.5
            nn.init.normal_(module.weight, 0.0, std)
            nn.init.zeros_(module.bias)


@initialise.misconception(
    title="Uniform instead of normal",
    why="The spread is right, and the numbers end sharply at its edges: a uniform distribution. Both work in practice. The docstring asks for normal numbers.",
    next="`nn.init.normal_`, or the Kaiming function that ends in `normal_`.",
    link="initialisation",
    shows="the kind of the weights",
)
def uniform_numbers(model):
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.kaiming_uniform_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


@initialise.misconception(
    title="Half the variance that is due",
    why="1 / in keeps the size of a signal through linear layers. ReLU throws half of it away, which is what the 2 makes up for.",
    next="The variance is 2 / in.",
    link="initialisation",
    shows="the standard deviation of the weights",
)
def without_the_two(model):
    for module in model.modules():
        if isinstance(module, nn.Linear):
            std = (1 / module.in_features) ** 0.5
            nn.init.normal_(module.weight, 0.0, std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


@initialise.misconception(
    title="The rule for layers without ReLU",
    why="Xavier initialisation takes the mean of inputs and outputs and does not know of ReLU. It is a good rule for tanh.",
    next="The variance is 2 / in, whatever the number of outputs.",
    link="initialisation",
    shows="the standard deviation of the weights",
)
def by_xavier(model):
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_normal_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


@initialise.misconception(
    title="The standard deviation is 1, whatever the layer",
    why="`normal_` without further arguments draws with mean 0 and standard deviation 1. Through each layer the signal grows by a factor of about √(in / 2).",
    next="Hand over a standard deviation that depends on `in_features`.",
    link="initialisation",
    shows="the standard deviation of the weights",
)
def unscaled_numbers(model):
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


@initialise.misconception(
    title="The 2 stands outside the root",
    why="2 / √in is √2 times too large: in every layer, so that twenty of them multiply by about a thousand.",
    next="The root is over the whole fraction.",
    link="initialisation",
    shows="the standard deviation of the weights",
)
def two_outside_the_root(model):
    for module in model.modules():
        if isinstance(module, nn.Linear):
            std = 2 / module.in_features**0.5
            nn.init.normal_(module.weight, 0.0, std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


@initialise.misconception(
    title="The weights are still those that nn.Linear drew",
    why="Random numbers were drawn and never reached the parameters: a name in your function got another tensor, or a copy was filled.",
    next="Write into `module.weight` itself, in place.",
    link="initialisation",
    shows="the standard deviation of the weights",
)
def thrown_away(model):
    for module in model.modules():
        if isinstance(module, nn.Linear):
            std = (2 / module.in_features) ** 0.5
            weight = std * torch.randn(module.weight.shape)
            weight.requires_grad_()


@initialise.misconception(
    title="The layers came back frozen",
    why="Without `requires_grad` the writing is allowed, and from then on nothing in these layers is trained.",
    next="Write under `torch.no_grad()`, or with `nn.init`, and leave `requires_grad` alone.",
    link="initialisation",
    shows="the parameters require gradients as before",
)
def frozen_for_good(model):
    for module in model.modules():
        if isinstance(module, nn.Linear):
            std = (2 / module.in_features) ** 0.5
            module.requires_grad_(False)
            module.weight.normal_(0.0, std)
            if module.bias is not None:
                module.bias.zero_()


@initialise.misconception(
    title="Told layers apart by the name `weight`",
    why="BatchNorm has a parameter called weight as well, with one axis: it has no second length, and it is no matrix of weights.",
    next="Go through the modules and ask for their type.",
    link="initialisation",
)
def by_the_name(model):
    for name, parameter in model.named_parameters():
        if name.endswith("weight"):
            nn.init.normal_(parameter, 0.0, (2 / parameter.shape[1]) ** 0.5)
        else:
            nn.init.zeros_(parameter)


@initialise.misconception(
    title="Only the 2 is under the root",
    why="√2 / in is not √(2 / in). With 60 inputs it is nearly eight times too small, and the signal dies out within a few layers.",
    next="The root is over the whole fraction.",
    link="initialisation",
    shows="the standard deviation of the weights",
)
def root_over_two(model):
    for module in model.modules():
        if isinstance(module, nn.Linear):
            std = 2**0.5 / module.in_features
            nn.init.normal_(module.weight, 0.0, std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


@initialise.misconception(
    title="The standard deviation was passed as the mean",
    why="`nn.init.normal_(tensor, mean, std)`: the second argument is the mean. With one number it becomes the mean, and the standard deviation stays 1.",
    next="Name the argument: `std=…`.",
    link="initialisation",
    shows="the kind of the weights",
)
def deviation_as_mean(model):
    for module in model.modules():
        if isinstance(module, nn.Linear):
            std = (2 / module.in_features) ** 0.5
            nn.init.normal_(module.weight, std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


@initialise.misconception(
    title="Asked whether the bias is true",
    why="`if bias:` asks for one truth value of many numbers, which a tensor refuses to give. Whether there is a bias at all is another question.",
    next="Compare with None.",
    link="initialisation",
)
def asked_the_bias(model):
    for module in model.modules():
        if isinstance(module, nn.Linear):
            std = (2 / module.in_features) ** 0.5
            nn.init.normal_(module.weight, 0.0, std)
            if module.bias:
                nn.init.zeros_(module.bias)


@initialise.misconception(
    title="The model itself was left out",
    why="`children()` gives the modules inside, and the recursion goes on from there to any depth. The model itself is never looked at, and it may be a Linear.",
    next="`model.modules()` begins with the model itself.",
    link="containers",
)
def never_the_root(model):
    for module in model.children():
        if isinstance(module, nn.Linear):
            std = (2 / module.in_features) ** 0.5
            nn.init.normal_(module.weight, 0.0, std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        never_the_root(module)


@initialise.misconception(
    title="A loop over the model itself",
    why="Only containers can be gone through like a list, and it is one level deep. A ModuleDict gives its names, and a Linear cannot be iterated at all.",
    next="`model.modules()` works for every module.",
    link="containers",
)
def looped_over_the_model(model):
    for module in model:
        if isinstance(module, nn.Linear):
            std = (2 / module.in_features) ** 0.5
            nn.init.normal_(module.weight, 0.0, std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


@initialise.misconception(
    title="Every call draws the same numbers",
    why="A generator that is seeded inside the function starts anew at every call, so every model begins alike. `torch.manual_seed` does so to the whole program, and everybody else's random numbers repeat as well.",
    next="Seed once, at the start of a program, outside of the function.",
    link="initialisation",
    shows="each call draws other numbers",
)
def seeded_inside(model):
    torch.manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.Linear):
            std = (2 / module.in_features) ** 0.5
            nn.init.normal_(module.weight, 0.0, std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


@initialise.misconception(
    title="The biases are not 0",
    why="A bias moves its unit from the start, before anything is known that would ask for it. A loop over `module.parameters()` is a common way into this: it gives weight and bias alike.",
    next="Fill the biases with 0.",
    link="initialisation",
    shows="the biases",
)
def drew_the_biases(model):
    for module in model.modules():
        if isinstance(module, nn.Linear):
            std = (2 / module.in_features) ** 0.5
            for parameter in module.parameters():
                nn.init.normal_(parameter, 0.0, std)


@initialise.misconception(
    title="The layers were reset to where they started",
    why="`reset_parameters()` draws new numbers by nn.Linear's own rule: uniform, and with a smaller spread than √(2 / in). The biases are drawn as well.",
    next="Fill the weights with normal numbers yourself.",
    link="initialisation",
    shows="the standard deviation of the weights",
)
def reset_the_layers(model):
    for module in model.modules():
        if isinstance(module, nn.Linear):
            module.reset_parameters()


@initialise.misconception(
    title="The old weights were stretched",
    why="Multiplied by a number, they have the spread that is due. They are still the uniform numbers that nn.Linear drew, and no new ones.",
    next="Draw new numbers, from a normal distribution.",
    link="initialisation",
    shows="the kind of the weights",
)
def stretched_old_weights(model):
    for module in model.modules():
        if isinstance(module, nn.Linear):
            with torch.no_grad():
                module.weight *= 6**0.5
                if module.bias is not None:
                    module.bias.zero_()


@initialise.misconception(
    title="Derived classes were passed over",
    why="The type of a module, and the name of its class, are nn.Linear's for nn.Linear itself only. A class derived from it is a Linear as well, and kept its old weights.",
    next="`isinstance` asks the question that is meant.",
    link="initialisation",
)
def exact_type_only(model):
    for module in model.modules():
        if type(module) is nn.Linear:
            std = (2 / module.in_features) ** 0.5
            nn.init.normal_(module.weight, 0.0, std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


@initialise.misconception(
    title="Frozen layers came back trained",
    why="At the end every nn.Linear requires gradients, those too that somebody had frozen on purpose. To freeze a layer, fill it and thaw it "
    "again is a common way into this.",
    next="Write under `torch.no_grad()`, or with `nn.init`, and leave `requires_grad` alone.",
    link="initialisation",
    shows="the parameters require gradients as before",
)
def thawed_afterwards(model):
    for module in model.modules():
        if isinstance(module, nn.Linear):
            std = (2 / module.in_features) ** 0.5
            module.requires_grad_(False)
            module.weight.normal_(0.0, std)
            if module.bias is not None:
                module.bias.zero_()
            module.requires_grad_(True)


@initialise.misconception(
    title="New memory was put behind `.data`",
    why="The parameters are the same objects, but the numbers lie elsewhere. A state_dict that was taken before, or a second name for the same "
    "weights, still holds the old memory, and no longer follows the model.",
    next="Fill the memory that is there: a function of `nn.init`, or `copy_` under `torch.no_grad()`.",
    link="one-network-three-ways",
    shows="the parameters keep their memory",
)
def new_memory_behind_data(model):
    for module in model.modules():
        if isinstance(module, nn.Linear):
            std = (2 / module.in_features) ** 0.5
            module.weight.data = std * torch.randn(module.weight.shape)
            if module.bias is not None:
                module.bias.data = torch.zeros(module.bias.shape)


@initialise.misconception(
    title="Every bias was set to 0, whatever module it belongs to",
    why="The weights are right. But BatchNorm and convolutions have a bias, too, which may have been trained or loaded: it was not to be touched.",
    next="Fill a bias only where you fill the weight.",
    link="initialisation",
    shows="the rest of the model",
)
def every_bias_to_zero(model):
    for module in model.modules():
        if isinstance(module, nn.Linear):
            std = (2 / module.in_features) ** 0.5
            nn.init.normal_(module.weight, 0.0, std)
        if getattr(module, "bias", None) is not None:
            nn.init.zeros_(module.bias)


@initialise.misconception(
    title="The other modules were reset",
    why="`reset_parameters()` of every module that has it throws away what the others hold: BatchNorm's scale and running statistics, a "
    "convolution's weights, an embedding's table.",
    next="Touch the nn.Linear modules alone.",
    link="initialisation",
    shows="the rest of the model",
)
def reset_every_module(model):
    for module in model.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
        if isinstance(module, nn.Linear):
            std = (2 / module.in_features) ** 0.5
            nn.init.normal_(module.weight, 0.0, std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


@initialise.misconception(
    title="BatchNorm's running statistics were reset",
    why="They are buffers: no parameters, and yet part of what the module holds. A network that was trained needs them.",
    next="Touch the nn.Linear modules alone.",
    link="buffers-numbers-that-are-kept-and-not-trained",
    shows="the rest of the model",
)
def reset_the_statistics(model):
    for module in model.modules():
        if isinstance(module, nn.Linear):
            std = (2 / module.in_features) ** 0.5
            nn.init.normal_(module.weight, 0.0, std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif hasattr(module, "reset_running_stats"):
            module.reset_running_stats()


@initialise.misconception(
    title="BatchNorm was initialised as well",
    why="A weight of 1 and a bias of 0 is how BatchNorm starts, and many programs set them so. Here all other modules keep what they hold, and "
    "this one held something else.",
    next="Touch the nn.Linear modules alone.",
    link="initialisation",
    shows="the rest of the model",
)
def norms_as_well(model):
    for module in model.modules():
        if isinstance(module, nn.Linear):
            std = (2 / module.in_features) ** 0.5
            nn.init.normal_(module.weight, 0.0, std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm1d):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)


@initialise.misconception(
    title="Convolutions were filled as well",
    why="He initialisation suits a convolution, too, with another count of inputs. The docstring asks for the nn.Linear modules, and all others "
    "keep what they hold.",
    next="Touch the nn.Linear modules alone.",
    link="initialisation",
    shows="the rest of the model",
)
def convolutions_as_well(model):
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


@initialise.misconception(
    title="Embeddings were filled as well",
    why="An nn.Embedding is a table from which rows are picked. It multiplies nothing, so no number of inputs is added up, and the rule for "
    "nn.Linear does not suit it. All other modules keep what they hold.",
    next="Touch the nn.Linear modules alone.",
    link="initialisation",
    shows="the rest of the model",
)
def embeddings_as_well(model):
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            std = (2 / module.weight.shape[1]) ** 0.5
            nn.init.normal_(module.weight, 0.0, std)
            if getattr(module, "bias", None) is not None:
                nn.init.zeros_(module.bias)


@initialise.misconception(
    title="A module was taken for a Linear by its attributes",
    why="Other modules may have an attribute of that name as well, and mean something else by it. What a module is says its type.",
    next="Ask for the type: nn.Linear, or derived from it.",
    link="initialisation",
    shows="the rest of the model",
)
def known_by_in_features(model):
    for module in model.modules():
        if hasattr(module, "in_features"):
            std = (2 / module.in_features) ** 0.5
            nn.init.normal_(module.weight, 0.0, std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


@initialise.misconception(
    title="Whatever has a matrix of weights was filled",
    why="Convolutions, embeddings and modules of people's own have weights, too, and count their inputs in other ways, if they have any. "
    "What a module is says its type, not the attributes that it happens to have.",
    next="Ask for the type: nn.Linear, or derived from it.",
    link="initialisation",
    shows="the rest of the model",
)
def whatever_has_a_weight(model):
    for module in model.modules():
        weight = getattr(module, "weight", None)
        if weight is not None and weight.dim() > 1:
            nn.init.kaiming_normal_(weight, nonlinearity="relu")
            if getattr(module, "bias", None) is not None:
                nn.init.zeros_(module.bias)


@initialise.misconception(
    title="The model was put into eval mode",
    why="The weights are right. But in eval mode layers such as Dropout and BatchNorm behave in another way, and they stay so until somebody calls `.train()`. A "
    "model that gets its initial weights is about to be trained.",
    next="Leave the mode alone: writing weights does not depend on it.",
    link="initialisation",
    shows="the rest of the model",
)
def put_the_model_into_eval(model):
    model.eval()
    for module in model.modules():
        if isinstance(module, nn.Linear):
            std = (2 / module.in_features) ** 0.5
            nn.init.normal_(module.weight, 0.0, std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


@initialise.misconception(
    title="Every layer of one shape gets the same numbers",
    why="Seeded before each layer, the generator starts anew for each: two layers of one shape begin as twins. The weights are to be independent.",
    next="Seed once, at the start of a program, outside of the function.",
    link="initialisation",
    shows="the kind of the weights",
)
def seeded_in_the_loop(model):
    for module in model.modules():
        if isinstance(module, nn.Linear):
            torch.manual_seed(0)
            std = (2 / module.in_features) ** 0.5
            nn.init.normal_(module.weight, 0.0, std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


@initialise.misconception(
    title="One row of numbers for all units",
    why="A row of `in_features` numbers was drawn once and stretched over all units. Units with equal weights compute the same, get the same gradient "
    "and stay equal for ever.",
    next="Draw as many numbers as the weight has, rows and columns.",
    link="initialisation",
    shows="the kind of the weights",
)
def one_row_for_all(model):
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Linear):
                std = (2 / module.in_features) ** 0.5
                module.weight.copy_(std * torch.randn(module.in_features))
                if module.bias is not None:
                    module.bias.zero_()


@initialise.misconception(
    title="The rows were made orthogonal",
    why="`orthogonal_` is an initialisation of its own: it turns the rows, or the columns, until they stand at right angles. Their numbers then depend on each other. "
    "The docstring asks for independent ones.",
    next="Draw normal numbers, and leave them as they are.",
    link="initialisation",
    shows="the kind of the weights",
)
def made_orthogonal(model):
    for module in model.modules():
        if isinstance(module, nn.Linear):
            rows, columns = module.weight.shape
            nn.init.orthogonal_(module.weight, (2 * max(rows, columns) / columns) ** 0.5)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


@initialise.misconception(
    title="The same small number for every layer",
    why="0.01 is a popular choice, and it knows nothing of the layer. With 256 inputs it makes every output about nine times too small, and "
    "a few layers later nothing is left of the signal.",
    next="The standard deviation depends on `in_features`.",
    link="initialisation",
    shows="the standard deviation of the weights",
)
def one_hundredth(model):
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0.0, 0.01)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


# A skip connection --------------------------------------------------------------------------------


@exercise(
    level="independent",
    minutes=6,
    why="`h + …` makes a new tensor, so the h that autograd has saved stays as it was, and the gradient reaches it by both ways.",
    hints=(
        "Three layers in `__init__`, under the names of the docstring. `second` has as many outputs as inputs: why must it?",
        "Compute h first. Then the correction, ReLU of `second` of h. Then add the two.",
        "`h = h + …` makes a new tensor. `h += …` writes into one that autograd still needs.",
    ),
)
class SkipMLP(nn.Module):
    """Build a small network with a skip connection.

    `SkipMLP(inputs, hidden, outputs)` has three nn.Linear: `first` from inputs to hidden, `second`
    from hidden to hidden, `last` from hidden to outputs.

    `network(x)`: x (B, inputs) -> (B, outputs), in three steps:
    h is ReLU of first(x); then ReLU of second(h) is added to h; last is applied to the sum.

    `backward()` on a loss of the output must work: it gives all three layers their gradients.
    """

    def __init__(self, inputs, hidden, outputs):
        # solution:
        super().__init__()
        self.first = nn.Linear(inputs, hidden)
        self.second = nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden, outputs)
        # end solution

    def forward(self, x):
        # solution:
        h = F.relu(self.first(x))
        h = h + F.relu(self.second(h))
        return self.last(h)
        # end solution


@SkipMLP.drive
def build_a_skip(answer, x, hidden, outputs):
    sizes = x.shape[-1], hidden, outputs
    network, another = module_of(answer(*sizes)), answer(*sizes)
    named = [getattr(network, name, None) for name in ("first", "second", "last")]
    known = all(isinstance(layer, nn.Module) for layer in named)

    def orders(called, network):
        return [[network, *named] if known else called]

    seen = examine(
        network, x, of=f"SkipMLP{sizes}", another=another,
        wanted=SkipMLP.reference(*sizes), orders=orders,
    )  # fmt: skip
    return {"the layers are called `first`, `second` and `last`": known, **seen}


@SkipMLP.probe
def a_small_one(g):
    return torch.randn(4, 2, generator=g), 5, 3


@SkipMLP.probe
def a_wider_one(g):
    return torch.randn(6, 3, generator=g), 8, 1


@SkipMLP.probe
def as_many_inputs_as_units(g):  # where x could be added as well
    return torch.randn(1, 4, generator=g), 4, 4


@SkipMLP.alternative("The sum in one line; `relu` as a method.")
class InOneLine(nn.Module):
    def __init__(self, inputs, hidden, outputs):
        super().__init__()
        self.last = nn.Linear(hidden, outputs)
        self.second = nn.Linear(hidden, hidden)
        self.first = nn.Linear(inputs, hidden)

    def forward(self, x):
        h = self.first(x).relu()
        return self.last(self.second(h).relu() + h)


@SkipMLP.alternative("One nn.ReLU may serve twice: it holds nothing.")
class OneRelu(nn.Module):
    def __init__(self, inputs, hidden, outputs):
        super().__init__()
        self.first, self.second = nn.Linear(inputs, hidden), nn.Linear(hidden, hidden)
        self.relu = nn.ReLU()
        self.last = nn.Linear(hidden, outputs)

    def forward(self, x):
        skip = self.relu(self.first(x))
        return self.last(torch.add(skip, self.relu(self.second(skip))))


@SkipMLP.alternative(
    "Writing into the correction is harmless where nobody has saved it: a copy is."
)
class InPlaceOnACopy(nn.Module):
    def __init__(self, inputs, hidden, outputs):
        super().__init__()
        self.first = nn.Linear(inputs, hidden)
        self.second = nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden, outputs)

    def forward(self, x):
        h = F.relu(self.first(x))
        total = h.clone()
        total += torch.clamp(self.second(h), min=0)
        return self.last(total)


@SkipMLP.misconception(
    title="There is no skip",
    why="The second layer's result takes the place of h instead of being added to it. What the first layer found is gone "
    "unless the second passes it on.",
    next="Add the correction to h.",
    link="a-skip-connection",
)
class NoSkip(nn.Module):
    def __init__(self, inputs, hidden, outputs):
        super().__init__()
        self.first = nn.Linear(inputs, hidden)
        self.second = nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden, outputs)

    def forward(self, x):
        h = F.relu(self.first(x))
        h = F.relu(self.second(h))
        return self.last(h)


@SkipMLP.misconception(
    title="Written into a tensor that autograd still needs",
    why="`h += …` changes h in place, and so does `h.add_(…)`. ReLU has kept its output for the way back, and so has the second layer its input; both "
    "are that very h. The forward pass is right, and `backward` refuses to compute with changed numbers.",
    next="`h = h + …` makes a new tensor.",
    link="a-skip-connection",
)
class AddedInPlace(nn.Module):
    def __init__(self, inputs, hidden, outputs):
        super().__init__()
        self.first = nn.Linear(inputs, hidden)
        self.second = nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden, outputs)

    def forward(self, x):
        h = F.relu(self.first(x))
        h += F.relu(self.second(h))
        return self.last(h)


@SkipMLP.misconception(
    title="The input was added instead of h",
    why="The skip goes around the second layer and starts at h. The input x has another width, unless inputs and hidden happen "
    "to be equal, and then nothing warns you.",
    next="Which tensor goes *into* the second layer? That one is added.",
    link="a-skip-connection",
)
class AddedTheInput(nn.Module):
    def __init__(self, inputs, hidden, outputs):
        super().__init__()
        self.first = nn.Linear(inputs, hidden)
        self.second = nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden, outputs)

    def forward(self, x):
        h = F.relu(self.first(x))
        h = x + F.relu(self.second(h))
        return self.last(h)


@SkipMLP.misconception(
    title="ReLU came after the sum",
    why="Both orders are in use. Here the correction goes through ReLU first and is added then, so h passes unchanged "
    "wherever the correction is 0.",
    next="ReLU of the second layer's result, then the sum.",
    link="a-skip-connection",
)
class ReluOfTheSum(nn.Module):
    def __init__(self, inputs, hidden, outputs):
        super().__init__()
        self.first = nn.Linear(inputs, hidden)
        self.second = nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden, outputs)

    def forward(self, x):
        h = F.relu(self.first(x))
        h = F.relu(h + self.second(h))
        return self.last(h)


@SkipMLP.misconception(
    title="The correction goes through no activation",
    why="h + second(h) is a linear function of h, and `last` is another: the two collapse into one layer, and the skip with "
    "them.",
    next="ReLU of the second layer's result, then the sum.",
    link="why-stacked-linears-need-an-activation",
)
class LinearCorrection(nn.Module):
    def __init__(self, inputs, hidden, outputs):
        super().__init__()
        self.first = nn.Linear(inputs, hidden)
        self.second = nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden, outputs)

    def forward(self, x):
        h = F.relu(self.first(x))
        h = h + self.second(h)
        return self.last(h)


@SkipMLP.misconception(
    title="The first layer has no activation",
    why="Without ReLU after `first`, the way around the second layer is linear from the input to the output.",
    next="h is ReLU of first(x).",
    link="a-skip-connection",
)
class LinearFirst(nn.Module):
    def __init__(self, inputs, hidden, outputs):
        super().__init__()
        self.first = nn.Linear(inputs, hidden)
        self.second = nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden, outputs)

    def forward(self, x):
        h = self.first(x)
        h = h + F.relu(self.second(h))
        return self.last(h)


@SkipMLP.misconception(
    title="Put side by side instead of added",
    why="`cat` makes a tensor of twice the width, and `last` needs twice the inputs. Both are used in real networks; a skip "
    "that adds keeps the width.",
    next="Add the two, element by element.",
    link="a-skip-connection",
    shows="the shapes of the parameters",
)
class SideBySide(nn.Module):
    def __init__(self, inputs, hidden, outputs):
        super().__init__()
        self.first = nn.Linear(inputs, hidden)
        self.second = nn.Linear(hidden, hidden)
        self.last = nn.Linear(2 * hidden, outputs)

    def forward(self, x):
        h = F.relu(self.first(x))
        h = torch.cat([h, F.relu(self.second(h))], dim=1)
        return self.last(h)


@SkipMLP.misconception(
    title="The first layer was made twice and the second never",
    why="`second` is another name for the first layer's object. It is one layer with one set of weights, used in two places.",
    next="`second` is an nn.Linear of its own, from hidden to hidden.",
    link="shared-layers",
    shows="the shapes of the parameters",
)
class SecondIsTheFirst(nn.Module):
    def __init__(self, inputs, hidden, outputs):
        super().__init__()
        self.first = nn.Linear(inputs, hidden)
        self.second = self.first
        self.last = nn.Linear(hidden, outputs)

    def forward(self, x):
        h = F.relu(self.first(x))
        h = h + F.relu(self.second(h))
        return self.last(h)


@SkipMLP.misconception(
    title="Written into the correction, which autograd still needs",
    why="ReLU keeps its output for the way back. `+=` changes that output in place, and `backward` refuses to compute with changed numbers.",
    next="`correction + h` makes a new tensor.",
    link="a-skip-connection",
)
class AddedToTheCorrection(nn.Module):
    def __init__(self, inputs, hidden, outputs):
        super().__init__()
        self.first = nn.Linear(inputs, hidden)
        self.second = nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden, outputs)

    def forward(self, x):
        h = F.relu(self.first(x))
        correction = F.relu(self.second(h))
        correction += h
        return self.last(correction)


@SkipMLP.misconception(
    title="What goes around has not passed ReLU",
    why="h is the first layer's result *after* ReLU. Added before it, the negative parts come through as well.",
    next="Compute h once, with its ReLU, and use it in both places.",
    link="a-skip-connection",
)
class SkippedBeforeRelu(nn.Module):
    def __init__(self, inputs, hidden, outputs):
        super().__init__()
        self.first = nn.Linear(inputs, hidden)
        self.second = nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden, outputs)

    def forward(self, x):
        z = self.first(x)
        h = z + F.relu(self.second(F.relu(z)))
        return self.last(h)


@SkipMLP.misconception(
    title="The skip passes no gradient",
    why="`detach` lets the values through and stops the gradient. The way around is there for the gradient most of all.",
    next="Add h itself.",
    link="a-skip-connection",
    shows="the gradient at the input",
)
class DetachedSkip(nn.Module):
    def __init__(self, inputs, hidden, outputs):
        super().__init__()
        self.first = nn.Linear(inputs, hidden)
        self.second = nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden, outputs)

    def forward(self, x):
        h = F.relu(self.first(x))
        h = h.detach() + F.relu(self.second(h))
        return self.last(h)


@SkipMLP.misconception(
    title="The correction passes no gradient",
    why="`second` gets h cut off from its history: it is trained, and nothing of what it learns goes back to `first`.",
    next="Hand h itself to `second`.",
    link="a-skip-connection",
    shows="the gradient at the input",
)
class DetachedCorrection(nn.Module):
    def __init__(self, inputs, hidden, outputs):
        super().__init__()
        self.first = nn.Linear(inputs, hidden)
        self.second = nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden, outputs)

    def forward(self, x):
        h = F.relu(self.first(x))
        h = h + F.relu(self.second(h.detach()))
        return self.last(h)


@SkipMLP.misconception(
    title="Multiplied instead of added",
    why="A product passes nothing where one of the two is 0. A sum passes h whatever the correction is.",
    next="The skip adds.",
    link="a-skip-connection",
)
class Multiplied(nn.Module):
    def __init__(self, inputs, hidden, outputs):
        super().__init__()
        self.first = nn.Linear(inputs, hidden)
        self.second = nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden, outputs)

    def forward(self, x):
        h = F.relu(self.first(x))
        h = h * F.relu(self.second(h))
        return self.last(h)


@SkipMLP.misconception(
    title="A ReLU at the end",
    why="The output is to be any number, also a negative one. After ReLU it cannot be.",
    next="`last` is applied to the sum, and nothing to its result.",
    link="a-skip-connection",
)
class ReluAtTheEnd(nn.Module):
    def __init__(self, inputs, hidden, outputs):
        super().__init__()
        self.first = nn.Linear(inputs, hidden)
        self.second = nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden, outputs)

    def forward(self, x):
        h = F.relu(self.first(x))
        h = h + F.relu(self.second(h))
        return F.relu(self.last(h))


@SkipMLP.misconception(
    title="`forward` returns nothing",
    why="The result of the last layer is thrown away: without `return` a function gives None.",
    next="Return it.",
    link="what-happens-at-a-call",
)
class SkipReturnsNothing(nn.Module):
    def __init__(self, inputs, hidden, outputs):
        super().__init__()
        self.first = nn.Linear(inputs, hidden)
        self.second = nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden, outputs)

    def forward(self, x):
        h = F.relu(self.first(x))
        h = h + F.relu(self.second(h))
        self.last(h)


@SkipMLP.misconception(
    title="`nn.ReLU(…)` makes a layer and applies nothing",
    why="nn.ReLU is a class. Called with a tensor it makes a layer, which the next layer cannot multiply.",
    next="`nn.ReLU()(z)`, or `F.relu(z)`.",
    link="when-it-goes-wrong",
)
class ReluMadeNotApplied(nn.Module):
    def __init__(self, inputs, hidden, outputs):
        super().__init__()
        self.first = nn.Linear(inputs, hidden)
        self.second = nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden, outputs)

    def forward(self, x):
        h = nn.ReLU(self.first(x))
        h = h + nn.ReLU(self.second(h))
        return self.last(h)


@SkipMLP.misconception(
    title="`second` was applied to the input",
    why="The correction is computed from h, what the first layer has found. x has another width, unless inputs and hidden happen to be equal.",
    next="`second` gets h.",
    link="a-skip-connection",
)
class SecondOfTheInput(nn.Module):
    def __init__(self, inputs, hidden, outputs):
        super().__init__()
        self.first = nn.Linear(inputs, hidden)
        self.second = nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden, outputs)

    def forward(self, x):
        h = F.relu(self.first(x))
        h = h + F.relu(self.second(x))
        return self.last(h)


@SkipMLP.misconception(
    title="The layers have other names",
    why="The network is right, and its parameters are saved under names that the docstring does not give.",
    next="`first`, `second` and `last`.",
    link="a-skip-connection",
    shows="the layers are called `first`, `second` and `last`",
)
class OtherLayerNames(nn.Module):
    def __init__(self, inputs, hidden, outputs):
        super().__init__()
        self.fc1 = nn.Linear(inputs, hidden)
        self.fc2 = nn.Linear(hidden, hidden)
        self.fc3 = nn.Linear(hidden, outputs)

    def forward(self, x):
        h = F.relu(self.fc1(x))
        h = h + F.relu(self.fc2(h))
        return self.fc3(h)


@SkipMLP.misconception(
    title="`super().__init__()` was not called",
    why="nn.Module's own `__init__` makes the place where layers are registered. Without it the first layer has nowhere to go.",
    next="Make `super().__init__()` the first line of `__init__`.",
    link="what-registration-is",
)
class SkipWithoutSuper(nn.Module):
    def __init__(self, inputs, hidden, outputs):
        self.first = nn.Linear(inputs, hidden)
        self.second = nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden, outputs)

    def forward(self, x):
        h = F.relu(self.first(x))
        h = h + F.relu(self.second(h))
        return self.last(h)


@SkipMLP.misconception(
    title="`second` got what has not passed ReLU",
    why="h is the first layer's result *after* ReLU, and both ways start from it. Here the way around has passed ReLU, and the way through `second` has not.",
    next="Compute h once, with its ReLU, and use it in both places.",
    link="a-skip-connection",
)
class SecondBeforeRelu(nn.Module):
    def __init__(self, inputs, hidden, outputs):
        super().__init__()
        self.first = nn.Linear(inputs, hidden)
        self.second = nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden, outputs)

    def forward(self, x):
        z = self.first(x)
        h = F.relu(z) + F.relu(self.second(z))
        return self.last(h)


@SkipMLP.misconception(
    title="The correction was scaled by 0.1",
    why="Twenty corrections grow too large together, so the deep network of this section makes each of them small. Here there is one, and it is added as it is.",
    next="Add ReLU of second(h) to h, without a factor.",
    link="a-skip-connection",
)
class ScaledCorrection(nn.Module):
    def __init__(self, inputs, hidden, outputs):
        super().__init__()
        self.first = nn.Linear(inputs, hidden)
        self.second = nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden, outputs)

    def forward(self, x):
        h = F.relu(self.first(x))
        h = h + 0.1 * F.relu(self.second(h))
        return self.last(h)


@SkipMLP.misconception(
    title="After `.eval()` the network does something else",
    why="`.eval()` sets `self.training` to False, for layers that are made to behave in two ways, such as Dropout. Here there is one computation: the skip "
    "is part of the network, in training and in use.",
    next="`forward` computes the same whatever `self.training` says.",
    link="a-skip-connection",
    shows="what `forward` gives",
)
class SkipInTrainingOnly(nn.Module):
    def __init__(self, inputs, hidden, outputs):
        super().__init__()
        self.first = nn.Linear(inputs, hidden)
        self.second = nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden, outputs)

    def forward(self, x):
        h = F.relu(self.first(x))
        correction = F.relu(self.second(h))
        return self.last(h + correction if self.training else correction)


@SkipMLP.misconception(
    title="The layers stand in a plain dict",
    why="A module registers what is assigned to an attribute, and the attribute here is a dict. It does not look inside: nothing is trained, saved or moved.",
    next="One attribute for each layer.",
    link="what-registration-is",
    shows="the layers that are registered",
)
class LayersInADict(nn.Module):
    def __init__(self, inputs, hidden, outputs):
        super().__init__()
        self.layers = {
            "first": nn.Linear(inputs, hidden),
            "second": nn.Linear(hidden, hidden),
            "last": nn.Linear(hidden, outputs),
        }

    def forward(self, x):
        h = F.relu(self.layers["first"](x))
        h = h + F.relu(self.layers["second"](h))
        return self.layers["last"](h)


@SkipMLP.misconception(
    title="`second` starts at the input",
    why="The second layer computes a correction of h, from h. Made for the inputs and applied to x, it is a second first layer: the network is wider and no deeper.",
    next="`second` goes from hidden to hidden, and gets h.",
    link="a-skip-connection",
    shows="the shapes of the parameters",
)
class SecondFromInputs(nn.Module):
    def __init__(self, inputs, hidden, outputs):
        super().__init__()
        self.first = nn.Linear(inputs, hidden)
        self.second = nn.Linear(inputs, hidden)
        self.last = nn.Linear(hidden, outputs)

    def forward(self, x):
        h = F.relu(self.first(x))
        h = h + F.relu(self.second(x))
        return self.last(h)


# The bug clinic -----------------------------------------------------------------------------------


@exercise(
    level="clinic",
    minutes=8,
    why="`nn.ModuleList` registers the blocks and `nn.Parameter` the scale. Nothing else had to change.",
    hints=(
        "Print the names in `Tower(3, 8, 4).state_dict()`. Which parts of the network are missing?",
        "There are two bugs of one kind. One hides layers, the other hides a tensor.",
        "A module looks into no Python list, and `requires_grad=True` does not make a tensor a Parameter.",
    ),
)
class Tower(nn.Module):
    """A tower of blocks, each of which adds a correction to what comes in.

    `Tower(inputs, width, depth)`: x (B, inputs) -> (B, 1).

    The `stem`, an nn.Linear followed by ReLU, brings x to `width`. Each of the `depth` blocks is an
    nn.Linear of its own, from width to width; ReLU of its result, times the block's number in
    `scale`, is added to what came in. The `head` is an nn.Linear to one output.

    `scale` is one tensor of `depth` numbers, which start at 0.5. All of it is trained: the stem,
    the blocks, the scale and the head.
    """

    def __init__(self, inputs, width, depth):
        super().__init__()
        self.stem = nn.Linear(inputs, width)
        self.blocks = nn.ModuleList([nn.Linear(width, width) for _ in range(depth)])
        self.scale = nn.Parameter(torch.full((depth,), 0.5))
        self.head = nn.Linear(width, 1)

    def forward(self, x):
        h = F.relu(self.stem(x))  # (B, inputs) -> (B, width)
        for scale, block in zip(self.scale, self.blocks):
            h = h + scale * F.relu(block(h))
        return self.head(h)  # (B, width) -> (B, 1)


@Tower.drive
def build_a_tower(answer, x, width, depth):
    sizes = x.shape[-1], width, depth
    network, another = module_of(answer(*sizes)), answer(*sizes)
    scale = getattr(network, "scale", None)
    start = scale.detach().clone() if isinstance(scale, torch.Tensor) else scale
    kept = sum(value.numel() for value in network.state_dict().values())
    trained = sum(p.numel() for p in network.parameters() if p.requires_grad)

    def orders(called, network):
        """Put the stem first and the head last; the blocks may stand either way round."""
        ends = [getattr(network, name, None) for name in ("stem", "head")]
        if not all(isinstance(end, nn.Module) for end in ends):
            return [called]
        held = dict.fromkeys([*called, *network.modules()])
        blocks = [m for m in held if m is not network and m not in ends]
        return [[network, ends[0], *way, ends[1]] for way in (blocks, blocks[::-1])]

    seen = examine(
        network, x, of=f"Tower{sizes}", another=another,
        wanted=Tower.reference(*sizes), orders=orders,
    )  # fmt: skip
    return {
        "`scale` at the start": start,
        "`scale` is a leaf": Extra(isinstance(scale, torch.Tensor) and scale.is_leaf),
        "the count of trained numbers": trained,
        "the count of numbers in `state_dict`": kept,
        **seen,
    }


@Tower.probe
def two_blocks(g):
    return torch.randn(4, 3, generator=g), 5, 2


@Tower.probe
def three_blocks(g):
    return torch.randn(1, 2, generator=g), 4, 3


@Tower.probe
def one_block(g):
    return torch.randn(3, 4, generator=g), 7, 1


@Tower.alternative(
    "nn.Sequential registers the blocks as well, and can be gone through like a list."
)
class BlocksInASequential(nn.Module):
    def __init__(self, inputs, width, depth):
        super().__init__()
        self.stem = nn.Linear(inputs, width)
        self.blocks = nn.Sequential(*[nn.Linear(width, width) for _ in range(depth)])
        self.scale = nn.Parameter(0.5 * torch.ones(depth))
        self.head = nn.Linear(width, 1)

    def forward(self, x):
        h = F.relu(self.stem(x))
        for scale, block in zip(self.scale, self.blocks):
            h = h + scale * F.relu(block(h))
        return self.head(h)


@Tower.alternative("A list may stay, if each block is registered under a name as well.")
class RegisteredBesideTheList(nn.Module):
    def __init__(self, inputs, width, depth):
        super().__init__()
        self.stem = nn.Linear(inputs, width)
        self.blocks = [nn.Linear(width, width) for _ in range(depth)]
        for number, block in enumerate(self.blocks):
            self.add_module(f"block{number}", block)
        self.register_parameter("scale", nn.Parameter(torch.full((depth,), 0.5)))
        self.head = nn.Linear(width, 1)

    def forward(self, x):
        h = F.relu(self.stem(x))
        for i in range(len(self.blocks)):
            h = h + self.scale[i] * F.relu(self.blocks[i](h))
        return self.head(h)


@Tower.alternative("A ModuleDict, for blocks with names.")
class BlocksByName(nn.Module):
    def __init__(self, inputs, width, depth):
        super().__init__()
        self.scale = nn.Parameter(torch.full([depth], 0.5))
        self.blocks = nn.ModuleDict({str(i): nn.Linear(width, width) for i in range(depth)})
        self.head, self.stem = nn.Linear(width, 1), nn.Linear(inputs, width)

    def forward(self, x):
        h = F.relu(self.stem(x))
        for i, block in enumerate(self.blocks.values()):
            h = h + self.scale[i] * block(h).relu()
        return self.head(h)


@Tower.misconception(
    title="The blocks and the scale are not registered",
    why="The blocks stand in a Python list, which a module does not look into, and `scale` is a tensor, not a Parameter. "
    "Both collect gradients, and no loop over `parameters()` ever meets them: they stay as they were drawn, and are "
    "missing when the network is saved.",
    next="Which container registers layers, and what must a tensor be to be registered?",
    link="bug-clinic",
    shows="the count of trained numbers",
    starter=True,
)
class NothingButStemAndHead(nn.Module):
    def __init__(self, inputs, width, depth):
        super().__init__()
        self.stem = nn.Linear(inputs, width)
        self.blocks = [nn.Linear(width, width) for _ in range(depth)]
        self.scale = torch.full((depth,), 0.5, requires_grad=True)
        self.head = nn.Linear(width, 1)

    def forward(self, x):
        h = F.relu(self.stem(x))  # (B, inputs) -> (B, width)
        for scale, block in zip(self.scale, self.blocks):
            h = h + scale * F.relu(block(h))
        return self.head(h)  # (B, width) -> (B, 1)


@Tower.misconception(
    title="The scale is still not registered",
    why="A tensor that is a plain attribute may collect gradients. That does not tell the module about it: an attribute is registered "
    "as a parameter only if it is an `nn.Parameter`.",
    next="The blocks are found now. Make the scale a Parameter.",
    link="what-registration-is",
    shows="the count of trained numbers",
)
class ScaleLeftOut(nn.Module):
    def __init__(self, inputs, width, depth):
        super().__init__()
        self.stem = nn.Linear(inputs, width)
        self.blocks = nn.ModuleList([nn.Linear(width, width) for _ in range(depth)])
        self.scale = torch.full((depth,), 0.5, requires_grad=True)
        self.head = nn.Linear(width, 1)

    def forward(self, x):
        h = F.relu(self.stem(x))  # (B, inputs) -> (B, width)
        for scale, block in zip(self.scale, self.blocks):
            h = h + scale * F.relu(block(h))
        return self.head(h)  # (B, width) -> (B, 1)


@Tower.misconception(
    title="The blocks are still not registered",
    why="A list, a tuple or a dict of layers is a plain attribute to the module. The layers in it run, and belong to nobody.",
    next="The scale is found now. Put the blocks into a container that registers them.",
    link="containers",
    shows="the layers that are registered",
)
class BlocksLeftOut(nn.Module):
    def __init__(self, inputs, width, depth):
        super().__init__()
        self.stem = nn.Linear(inputs, width)
        self.blocks = [nn.Linear(width, width) for _ in range(depth)]
        self.scale = nn.Parameter(torch.full((depth,), 0.5))
        self.head = nn.Linear(width, 1)

    def forward(self, x):
        h = F.relu(self.stem(x))  # (B, inputs) -> (B, width)
        for scale, block in zip(self.scale, self.blocks):
            h = h + scale * F.relu(block(h))
        return self.head(h)  # (B, width) -> (B, 1)


@Tower.misconception(
    title="The scale became a buffer",
    why="A buffer is saved and moved, which mends half of it. It is not a parameter: `parameters()` does not give it, so no "
    "step moves it. The docstring says that the scale is trained.",
    next="What is trained is an `nn.Parameter`.",
    link="buffers-numbers-that-are-kept-and-not-trained",
    shows="the count of trained numbers",
)
class ScaleAsBuffer(nn.Module):
    def __init__(self, inputs, width, depth):
        super().__init__()
        self.stem = nn.Linear(inputs, width)
        self.blocks = nn.ModuleList([nn.Linear(width, width) for _ in range(depth)])
        self.register_buffer("scale", torch.full((depth,), 0.5))
        self.head = nn.Linear(width, 1)

    def forward(self, x):
        h = F.relu(self.stem(x))  # (B, inputs) -> (B, width)
        for scale, block in zip(self.scale, self.blocks):
            h = h + scale * F.relu(block(h))
        return self.head(h)  # (B, width) -> (B, 1)


@Tower.misconception(
    title="All the blocks are one block",
    why="`[layer] * depth` is a list that names one layer `depth` times. It is registered, and trained, but there is one set of "
    "weights where there should be several.",
    next="Make a new nn.Linear for each block, as the list comprehension did.",
    link="shared-layers",
    shows="the count of trained numbers",
)
class OneBlockRepeated(nn.Module):
    def __init__(self, inputs, width, depth):
        super().__init__()
        self.stem = nn.Linear(inputs, width)
        self.blocks = nn.ModuleList([nn.Linear(width, width)] * depth)
        self.scale = nn.Parameter(torch.full((depth,), 0.5))
        self.head = nn.Linear(width, 1)

    def forward(self, x):
        h = F.relu(self.stem(x))  # (B, inputs) -> (B, width)
        for scale, block in zip(self.scale, self.blocks):
            h = h + scale * F.relu(block(h))
        return self.head(h)  # (B, width) -> (B, 1)


@Tower.misconception(
    title="The blocks run without their skips",
    why="Called as a whole, a Sequential runs its layers one after the other. The ReLU, the scale and the sum that belong to each "
    "block are gone, and `scale` gets no gradient.",
    next="Register the blocks, and leave the loop in `forward` as it was.",
    link="a-skip-connection",
)
class BlocksCalledAtOnce(nn.Module):
    def __init__(self, inputs, width, depth):
        super().__init__()
        self.stem = nn.Linear(inputs, width)
        self.blocks = nn.Sequential(*[nn.Linear(width, width) for _ in range(depth)])
        self.scale = nn.Parameter(torch.full((depth,), 0.5))
        self.head = nn.Linear(width, 1)

    def forward(self, x):
        h = F.relu(self.stem(x))  # (B, inputs) -> (B, width)
        h = self.blocks(h)
        return self.head(h)  # (B, width) -> (B, 1)


@Tower.misconception(
    title="One number scales all the blocks",
    why="A single Parameter is registered and trained, and every block shares it. The docstring gives each block its own.",
    next="`scale` holds `depth` numbers.",
    link="bug-clinic",
    shows="`scale` at the start",
)
class OneScaleForAll(nn.Module):
    def __init__(self, inputs, width, depth):
        super().__init__()
        self.stem = nn.Linear(inputs, width)
        self.blocks = nn.ModuleList([nn.Linear(width, width) for _ in range(depth)])
        self.scale = nn.Parameter(torch.tensor(0.5))
        self.head = nn.Linear(width, 1)

    def forward(self, x):
        h = F.relu(self.stem(x))  # (B, inputs) -> (B, width)
        for block in self.blocks:
            h = h + self.scale * F.relu(block(h))
        return self.head(h)  # (B, width) -> (B, 1)


@Tower.misconception(
    title="The scale is a frozen Parameter",
    why="It is registered now, saved and moved. With `requires_grad=False` it is not trained.",
    next="Leave `requires_grad` at its default.",
    link="what-registration-is",
    shows="the count of trained numbers",
)
class FrozenScale(nn.Module):
    def __init__(self, inputs, width, depth):
        super().__init__()
        self.stem = nn.Linear(inputs, width)
        self.blocks = nn.ModuleList([nn.Linear(width, width) for _ in range(depth)])
        self.scale = nn.Parameter(torch.full((depth,), 0.5), requires_grad=False)
        self.head = nn.Linear(width, 1)

    def forward(self, x):
        h = F.relu(self.stem(x))  # (B, inputs) -> (B, width)
        for scale, block in zip(self.scale, self.blocks):
            h = h + scale * F.relu(block(h))
        return self.head(h)  # (B, width) -> (B, 1)


@Tower.misconception(
    title="The blocks were registered under one name",
    why="Each turn of the loop registers its block under the same name and so pushes out the one before. The last block is known to the module, the others run unregistered.",
    next="Give each block a name of its own, or use an `nn.ModuleList`.",
    link="containers",
    shows="the layers that are registered",
)
class OneNameForAll(nn.Module):
    def __init__(self, inputs, width, depth):
        super().__init__()
        self.stem = nn.Linear(inputs, width)
        self.blocks = [nn.Linear(width, width) for _ in range(depth)]
        for block in self.blocks:
            self.add_module("block", block)
        self.scale = nn.Parameter(torch.full((depth,), 0.5))
        self.head = nn.Linear(width, 1)

    def forward(self, x):
        h = F.relu(self.stem(x))  # (B, inputs) -> (B, width)
        for scale, block in zip(self.scale, self.blocks):
            h = h + scale * F.relu(block(h))
        return self.head(h)  # (B, width) -> (B, 1)


@Tower.misconception(
    title="The scale is a list of Parameters",
    why="Parameters in a Python list are hidden as layers in a list are. The module sees a list, and looks no further.",
    next="One `nn.Parameter` with `depth` numbers.",
    link="what-registration-is",
    shows="the count of trained numbers",
)
class ScaleInAList(nn.Module):
    def __init__(self, inputs, width, depth):
        super().__init__()
        self.stem = nn.Linear(inputs, width)
        self.blocks = nn.ModuleList([nn.Linear(width, width) for _ in range(depth)])
        self.scale = [nn.Parameter(torch.tensor(0.5)) for _ in range(depth)]
        self.head = nn.Linear(width, 1)

    def forward(self, x):
        h = F.relu(self.stem(x))  # (B, inputs) -> (B, width)
        for scale, block in zip(self.scale, self.blocks):
            h = h + scale * F.relu(block(h))
        return self.head(h)  # (B, width) -> (B, 1)


@Tower.misconception(
    title="The scale was computed from a Parameter",
    why="`0.5 * nn.Parameter(…)` is an ordinary tensor with a history, not a Parameter. The Parameter inside has no name, so nobody can update it.",
    next="Multiply first, wrap in `nn.Parameter` last.",
    link="what-registration-is",
    shows="the count of trained numbers",
)
class ScaledAfterwards(nn.Module):
    def __init__(self, inputs, width, depth):
        super().__init__()
        self.stem = nn.Linear(inputs, width)
        self.blocks = nn.ModuleList([nn.Linear(width, width) for _ in range(depth)])
        self.scale = 0.5 * nn.Parameter(torch.ones(depth))
        self.head = nn.Linear(width, 1)

    def forward(self, x):
        h = F.relu(self.stem(x))  # (B, inputs) -> (B, width)
        for scale, block in zip(self.scale, self.blocks):
            h = h + scale * F.relu(block(h))
        return self.head(h)  # (B, width) -> (B, 1)


@Tower.misconception(
    title="The skips are gone",
    why="The block's result takes the place of h instead of being added to it. That was right as you found it.",
    next="Leave `forward` as it was: both bugs are in `__init__`.",
    link="a-skip-connection",
)
class TowerWithoutSkips(nn.Module):
    def __init__(self, inputs, width, depth):
        super().__init__()
        self.stem = nn.Linear(inputs, width)
        self.blocks = nn.ModuleList([nn.Linear(width, width) for _ in range(depth)])
        self.scale = nn.Parameter(torch.full((depth,), 0.5))
        self.head = nn.Linear(width, 1)

    def forward(self, x):
        h = F.relu(self.stem(x))  # (B, inputs) -> (B, width)
        for scale, block in zip(self.scale, self.blocks):
            h = scale * F.relu(block(h))
        return self.head(h)  # (B, width) -> (B, 1)


@Tower.misconception(
    title="Written into a tensor that autograd still needs",
    why="`h += …` and `h.add_(…)` change h in place, and the backward pass needs the h that went into the block. It worked as you found it.",
    next="Leave `forward` as it was: both bugs are in `__init__`.",
    link="a-skip-connection",
)
class AddedInPlaceInTheTower(nn.Module):
    def __init__(self, inputs, width, depth):
        super().__init__()
        self.stem = nn.Linear(inputs, width)
        self.blocks = nn.ModuleList([nn.Linear(width, width) for _ in range(depth)])
        self.scale = nn.Parameter(torch.full((depth,), 0.5))
        self.head = nn.Linear(width, 1)

    def forward(self, x):
        h = F.relu(self.stem(x))  # (B, inputs) -> (B, width)
        for scale, block in zip(self.scale, self.blocks):
            h += scale * F.relu(block(h))
        return self.head(h)  # (B, width) -> (B, 1)


@Tower.misconception(
    title="The ReLU of the stem is gone",
    why="What enters the tower is then linear in the input. The ReLU was right as you found it.",
    next="Leave `forward` as it was: both bugs are in `__init__`.",
    link="why-stacked-linears-need-an-activation",
)
class StemWithoutRelu(nn.Module):
    def __init__(self, inputs, width, depth):
        super().__init__()
        self.stem = nn.Linear(inputs, width)
        self.blocks = nn.ModuleList([nn.Linear(width, width) for _ in range(depth)])
        self.scale = nn.Parameter(torch.full((depth,), 0.5))
        self.head = nn.Linear(width, 1)

    def forward(self, x):
        h = self.stem(x)  # (B, inputs) -> (B, width)
        for scale, block in zip(self.scale, self.blocks):
            h = h + scale * F.relu(block(h))
        return self.head(h)  # (B, width) -> (B, 1)


@Tower.misconception(
    title="The scale is many Parameters",
    why="An `nn.ParameterList` registers what it holds, so all of it is trained. The docstring asks for one tensor of `depth` numbers, and that is what a saved tower holds under `scale`.",
    next="One `nn.Parameter` with `depth` numbers.",
    link="what-registration-is",
)
class ScaleInAParameterList(nn.Module):
    def __init__(self, inputs, width, depth):
        super().__init__()
        self.stem = nn.Linear(inputs, width)
        self.blocks = nn.ModuleList([nn.Linear(width, width) for _ in range(depth)])
        self.scale = nn.ParameterList([nn.Parameter(torch.tensor(0.5)) for _ in range(depth)])
        self.head = nn.Linear(width, 1)

    def forward(self, x):
        h = F.relu(self.stem(x))  # (B, inputs) -> (B, width)
        for scale, block in zip(self.scale, self.blocks):
            h = h + scale * F.relu(block(h))
        return self.head(h)  # (B, width) -> (B, 1)


@Tower.misconception(
    title="The scale starts at 1",
    why="It is registered and trained now, and it starts from another number. Each correction is to begin at half its size: that was right as you found it.",
    next="The numbers in `scale` start at 0.5.",
    link="bug-clinic",
    shows="`scale` at the start",
)
class ScaleStartsAtOne(nn.Module):
    def __init__(self, inputs, width, depth):
        super().__init__()
        self.stem = nn.Linear(inputs, width)
        self.blocks = nn.ModuleList([nn.Linear(width, width) for _ in range(depth)])
        self.scale = nn.Parameter(torch.ones(depth))
        self.head = nn.Linear(width, 1)

    def forward(self, x):
        h = F.relu(self.stem(x))  # (B, inputs) -> (B, width)
        for scale, block in zip(self.scale, self.blocks):
            h = h + scale * F.relu(block(h))
        return self.head(h)  # (B, width) -> (B, 1)


@Tower.misconception(
    title="ReLU came after the sum",
    why="Both orders are in use. Here ReLU belongs to the correction, and the sum passes on as it is. That was right as you found it.",
    next="Leave `forward` as it was: both bugs are in `__init__`.",
    link="a-skip-connection",
)
class TowerReluOfTheSum(nn.Module):
    def __init__(self, inputs, width, depth):
        super().__init__()
        self.stem = nn.Linear(inputs, width)
        self.blocks = nn.ModuleList([nn.Linear(width, width) for _ in range(depth)])
        self.scale = nn.Parameter(torch.full((depth,), 0.5))
        self.head = nn.Linear(width, 1)

    def forward(self, x):
        h = F.relu(self.stem(x))  # (B, inputs) -> (B, width)
        for scale, block in zip(self.scale, self.blocks):
            h = F.relu(h + scale * block(h))
        return self.head(h)  # (B, width) -> (B, 1)


@Tower.misconception(
    title="The numbers of the scale were taken out of it",
    why="`tolist()`, `.data` and `.detach()` give numbers without a history. The Parameter is registered, no gradient reaches it, and no step moves it.",
    next="Leave `forward` as it was: it uses the Parameter itself.",
    link="what-registration-is",
    shows="a gradient reaches every registered parameter",
)
class ScaleTakenOut(nn.Module):
    def __init__(self, inputs, width, depth):
        super().__init__()
        self.stem = nn.Linear(inputs, width)
        self.blocks = nn.ModuleList([nn.Linear(width, width) for _ in range(depth)])
        self.scale = nn.Parameter(torch.full((depth,), 0.5))
        self.head = nn.Linear(width, 1)

    def forward(self, x):
        h = F.relu(self.stem(x))  # (B, inputs) -> (B, width)
        for scale, block in zip(self.scale.tolist(), self.blocks):
            h = h + scale * F.relu(block(h))
        return self.head(h)  # (B, width) -> (B, 1)
