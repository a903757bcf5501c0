"""What the student writes in lesson 7, Debugging and Visualization, and every known way to get it wrong."""

# mypy does not see what a decorator makes of a function: an exercise.
# mypy: disable-error-code="arg-type,attr-defined,type-arg,no-untyped-def,operator,no-any-return"

import math
from collections import OrderedDict
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from firstlight.checking import Extra, exercise

# Networks to look into ----------------------------------------------------------------------------


def fill(model, g, scale=0.7):
    """Draw every parameter from `g`, in float64, so that a model is the same on every run."""
    model.double()
    with torch.no_grad():
        for parameter in model.parameters():
            values = torch.randn(parameter.shape, generator=g, dtype=parameter.dtype)
            parameter.copy_(scale * values)
    return model


def numbers(g, *shape):
    return torch.randn(*shape, generator=g, dtype=torch.float64)


def digits(g, count, classes=3):
    """Draw class numbers; each class appears."""
    return torch.arange(count)[torch.randperm(count, generator=g)] % classes


def named(*layers):
    """Make a Sequential whose layers have names of their own."""
    return nn.Sequential(OrderedDict(layers))


def parameters_of(model):
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def gradients_of(model):
    """Copy every gradient; an empty tensor stands for none."""
    none = torch.empty(0)
    return {
        name: none if p.grad is None else p.grad.detach().clone()
        for name, p in model.named_parameters()
    }


def buffers_of(model):
    return {name: b.detach().clone() for name, b in model.named_buffers()}


def modes_of(model):
    return [module.training for module in model.modules()]


def hooks_of(model):
    """Count the forward hooks of every layer."""
    return {name: len(module._forward_hooks) for name, module in model.named_modules()}


def in_order(result):
    """Sort a dictionary by its keys, so that the order in which it was filled does not count."""
    if not isinstance(result, dict):
        return result
    return {key: result[key] for key in sorted(result, key=str)}


# Shapes -------------------------------------------------------------------------------------------


@exercise(
    level="guided",
    minutes=6,
    why="Each layer gets what the one before gave, and the first layer that refuses ends the trace.",
    hints=(
        "`model.named_children()` gives the layers with their names, in order.",
        "Keep one variable for what flows through the network, and let every layer replace it.",
        "A `try:` around the call of one layer, and `except RuntimeError:` to leave the loop.",
    ),
)
def shape_trace(model: nn.Sequential, x: torch.Tensor) -> list:
    """Say layer by layer what shape comes out, up to the layer that fails.

    model: its layers are the modules that stand directly in it, a block counts as one, and none
    stands in it twice. They run one after the other, each on what the one before gave.
    x: a batch for the first layer.
    Returns a list of pairs, one for each layer: its name in the model (as `named_children()` tells
    it), and the shape of its output as a tuple. If a layer raises a RuntimeError, the list ends before that layer, and your function
    raises nothing. Afterwards the model has the hooks and the mode that it had.
    """
    # solution:
    trace = []
    for name, layer in model.named_children():
        try:
            x = layer(x)
        except RuntimeError:
            break
        trace.append((name, tuple(x.shape)))
    return trace
    # end solution


@shape_trace.drive
def read_the_trace(answer, model, x):
    """Put the list into words: two lists of different lengths are hard to compare by eye."""
    hooks, modes = hooks_of(model), modes_of(model)
    result = answer(model, x)
    kept = {
        "no hook of yours is left": hooks_of(model) == hooks,
        "the mode is as it was": modes_of(model) == modes,
    }
    try:
        pairs = [(name, tuple(shape)) for name, shape in result]
        plain = all(isinstance(n, str) and all(type(s) is int for s in shape) for n, shape in pairs)
    except (TypeError, ValueError):
        plain = False
    if not plain or not isinstance(result, list | tuple):
        return {"the trace": "no list of pairs of a name and a shape", "result": Extra(result)}
    trace = "; ".join(f"{name} {shape}" for name, shape in pairs) or "an empty list"
    return {"the trace": trace, **kept}


@shape_trace.probe
def a_layer_too_narrow(g):
    layers = ("flat", nn.Flatten()), ("first", nn.Linear(6, 4)), ("bend", nn.ReLU())
    model = fill(named(*layers, ("last", nn.Linear(5, 2)), ("squash", nn.Sigmoid())), g)
    return model, numbers(g, 3, 2, 3)


@shape_trace.probe
def all_fits(g):
    return fill(named(("wide", nn.Linear(3, 7)), ("out", nn.Linear(7, 2))), g), numbers(g, 5, 3)


@shape_trace.probe
def fails_at_once(g):
    return fill(named(("head", nn.Linear(4, 4)), ("tail", nn.ReLU())), g), numbers(g, 2, 3)


@shape_trace.probe
def a_block_inside(g):
    block = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 4))
    return fill(named(("block", block), ("end", nn.Linear(4, 3))), g), numbers(g, 2, 4)


@shape_trace.alternative("The private dictionary of layers holds the same pairs.")
def through_the_dictionary(model, x):
    trace = []
    try:
        for name, layer in model._modules.items():
            x = layer(x)
            trace.append((name, x.shape))
    except RuntimeError:
        pass
    return trace


@shape_trace.alternative("A Sequential can be sliced: longer and longer beginnings of the network.")
def by_slices(model, x):
    trace = []
    for i, (name, _) in enumerate(model.named_children()):
        try:
            trace.append([name, list(model[: i + 1](x).shape)])
        except RuntimeError:
            return trace
    return trace


@shape_trace.alternative("Hooks note the shapes while the whole model runs.")
def with_hooks(model, x):
    trace, handles = [], []
    for name, layer in model.named_children():
        handles.append(
            layer.register_forward_hook(
                lambda _, __, output, name=name: trace.append((name, tuple(output.shape)))
            )
        )
    try:
        model(x)
    except RuntimeError:
        pass
    finally:
        for handle in handles:
            handle.remove()
    return trace


@shape_trace.misconception(
    title="Every layer got the batch itself",
    why="In a network each layer gets what the one before gave. The second layer never sees the images, so its shapes "
    "say nothing, and it may fail where the network does not.",
    next="Let each layer's output be the next one's input.",
    link="shapes-first",
)
def every_layer_from_x(model, x):
    trace = []
    for name, layer in model.named_children():
        try:
            output = layer(x)
        except RuntimeError:
            break
        trace.append((name, tuple(output.shape)))
    return trace


@shape_trace.misconception(
    title="Noted what goes in instead of what comes out",
    why="The shape is taken before the layer has run, so each name stands beside its input, and the layer that fails is "
    "in the list as well.",
    next="Run the layer first, then note the shape.",
    link="shapes-first",
)
def shapes_going_in(model, x):
    trace = []
    for name, layer in model.named_children():
        trace.append((name, tuple(x.shape)))
        try:
            x = layer(x)
        except RuntimeError:
            break
    return trace


@shape_trace.misconception(
    title="Went on after the layer that failed",
    why="The layers after it get what was meant for the one that failed. Some of them, such as an activation, take any "
    "shape, and so the list names layers that the network never reaches.",
    next="The first layer that fails ends the trace.",
    link="shapes-first",
)
def went_on(model, x):
    trace = []
    for name, layer in model.named_children():
        try:
            x = layer(x)
        except RuntimeError:
            continue
        trace.append((name, tuple(x.shape)))
    return trace


@shape_trace.misconception(
    title="The error was not caught",
    why="A shape that does not fit raises a RuntimeError in the layer. It ends your function too, and with it goes the "
    "list that would have said where.",
    next="Put the one call that may fail into a `try:`.",
    link="shapes-first",
)
def not_caught(model, x):
    trace = []
    for name, layer in model.named_children():
        x = layer(x)
        trace.append((name, tuple(x.shape)))
    return trace


@shape_trace.misconception(
    title="The layers are named by their class",
    why="Two layers of one class then carry the same name. The name in the model is the one that error messages, "
    "`named_parameters` and `torchinfo` use.",
    next="Take the names from `named_children()`.",
    link="shapes-first",
)
def named_by_class(model, x):
    trace = []
    for layer in model.children():
        try:
            x = layer(x)
        except RuntimeError:
            break
        trace.append((type(layer).__name__, tuple(x.shape)))
    return trace


@shape_trace.misconception(
    title="The batch axis was left out",
    why="Axis 0 belongs to the shape, too. It is the one to watch: a flatten over the wrong axis shows there first.",
    next="Keep the whole shape.",
    link="shapes-first",
)
def without_the_batch(model, x):
    trace = []
    for name, layer in model.named_children():
        try:
            x = layer(x)
        except RuntimeError:
            break
        trace.append((name, tuple(x.shape[1:])))
    return trace


@shape_trace.misconception(
    title="Looked at every module inside every module",
    why="`named_modules` gives the model itself and then all that is inside, at every depth. The model is run whole, and "
    "its parts once more on what came out of it.",
    next="Only the model's own layers run one after the other.",
    link="shapes-first",
)
def all_modules(model, x):
    trace = []
    for name, layer in model.named_modules():
        try:
            x = layer(x)
        except RuntimeError:
            break
        trace.append((name, tuple(x.shape)))
    return trace


@shape_trace.misconception(
    title="The layers are numbered, not named",
    why="A Sequential may give its layers names of their own. A number finds the layer only as long as nobody did.",
    next="Ask the model for the names.",
    link="shapes-first",
)
def numbered(model, x):
    trace = []
    for i, layer in enumerate(model):
        try:
            x = layer(x)
        except RuntimeError:
            break
        trace.append((str(i), tuple(x.shape)))
    return trace


@shape_trace.misconception(
    title="The hooks were left in the model",
    why="The list is right. But a hook stays until its handle removes it: every later run of the model does this work again, and "
    "a second call of your function adds as many hooks once more.",
    next="Keep the handles and remove them at the end, also after an error.",
    link="shapes-first",
    shows="no hook of yours is left",
)
def trace_hooks_left(model, x):
    trace = []
    for name, layer in model.named_children():
        layer.register_forward_hook(
            lambda _, __, output, name=name: trace.append((name, tuple(output.shape)))
        )
    try:
        model(x)
    except RuntimeError:
        return trace
    return trace


@shape_trace.misconception(
    title="Went into the block as well",
    why="`named_modules` lists what is inside at every depth: first the block, then each part of it once more. In the network the "
    "parts have run when the block has. Here they run again, on what the block gave.",
    next="Ask for the model's own layers: a block counts as one.",
    link="shapes-first",
)
def inside_the_block_as_well(model, x):
    trace = []
    for name, layer in model.named_modules():
        if layer is model:
            continue
        try:
            x = layer(x)
        except RuntimeError:
            break
        trace.append((name, tuple(x.shape)))
    return trace


# Gradient checking --------------------------------------------------------------------------------


@exercise(
    level="supported",
    minutes=10,
    why="Every number of the parameter is moved a little up and down; if the loss answers as the gradient says, the "
    "gradient is right.",
    hints=(
        "`torch.autograd.grad(loss, [parameter])` returns what autograd computes and leaves `.grad` alone.",
        "`parameter.detach().view(-1)` is one row of numbers in the parameter's own memory: write there and the model "
        "has changed.",
        "For each number: keep it, write it plus eps and compute the loss, write it minus eps and compute the loss, "
        "put it back.",
    ),
    equivalent_mutants=("above = loss_of()", "below = loss_of()"),
)
def gradient_error(loss_of, parameter: torch.Tensor, eps: float) -> float:
    """Compare autograd's gradient of a parameter with one measured by hand.

    loss_of: called without arguments, computes a model's loss anew, a tensor without axes, from what
    the parameters hold at that moment.
    parameter: one of the model's, float64, contiguous. Its `.grad` may hold an older gradient.
    eps: how far to move one number, up and down: its measured slope is the loss above minus the loss
    below, divided by 2 * eps.
    Returns the relative error, a float: the norm of (autograd's - measured), divided by the sum of
    the two norms, which are not both 0. Afterwards the parameter holds the numbers that it held
    before, up to rounding. What stands in its `.grad` then does not matter.
    """
    # solution:
    (exact,) = torch.autograd.grad(loss_of(), [parameter])
    measured = torch.zeros_like(exact)
    row, slopes = parameter.detach().view(-1), measured.view(-1)
    for i, kept in enumerate(row.tolist()):
        row[i] = kept + eps
        above = loss_of().item()
        row[i] = kept - eps
        below = loss_of().item()
        row[i] = kept
        slopes[i] = (above - below) / (2 * eps)
    return ((exact - measured).norm() / (exact.norm() + measured.norm())).item()
    # end solution


@gradient_error.drive
def check_one_parameter(answer, loss_of, parameter, eps):
    before = parameter.detach().clone()
    old = None if parameter.grad is None else parameter.grad.clone()
    result = answer(loss_of, parameter, eps)
    same = torch.allclose(parameter.detach(), before, rtol=1e-12, atol=1e-12)
    kept = parameter.grad is old or (old is not None and torch.equal(parameter.grad, old))
    return {
        "result": result,
        "the parameter holds its numbers again": same,
        "its old gradient is untouched": Extra(kept),
    }


@gradient_error.probe
def a_bent_line(g):  # a large eps, so that the error is one of measuring and not of rounding
    model = fill(nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 1)), g)
    inputs, targets = numbers(g, 5, 2), numbers(g, 5, 1)
    model[0].weight.grad = numbers(g, 2, 2)
    return lambda: F.mse_loss(model(inputs), targets), model[0].weight, 0.2


@gradient_error.probe
def a_bias(g):
    model = fill(nn.Sequential(nn.Linear(3, 4), nn.Sigmoid(), nn.Linear(4, 3)), g)
    inputs, targets = numbers(g, 6, 3), digits(g, 6)
    return lambda: F.cross_entropy(model(inputs), targets), model[2].bias, 0.3


@gradient_error.probe
def half_of_the_way_is_cut(g):  # autograd's gradient is wrong: a detach hides one of two ways
    model = fill(nn.Linear(3, 2), g)
    inputs = numbers(g, 4, 3)

    def loss_of():
        outputs = model(inputs)
        return (outputs * outputs.detach().sigmoid()).mean()

    return loss_of, model.weight, 0.1


@gradient_error.alternative("`backward` works as well, if the old gradient is put aside.")
def with_backward(loss_of, parameter, eps):
    old, parameter.grad = parameter.grad, None
    loss_of().backward()
    exact, parameter.grad = parameter.grad, old
    measured = []
    with torch.no_grad():
        for index in torch.cartesian_prod(*map(torch.arange, parameter.shape)).view(
            -1, parameter.dim()
        ):
            place = tuple(index)
            kept = parameter[place].item()
            parameter[place] = kept + eps
            above = loss_of()
            parameter[place] = kept - eps
            below = loss_of()
            parameter[place] = kept
            measured.append((above - below) / (2 * eps))
    measured = torch.stack(measured).view_as(parameter)
    return float((exact - measured).norm() / (exact.norm() + measured.norm()))


@gradient_error.alternative("The parameter can be moved as a whole, by eps times one unit vector.")
def with_unit_vectors(loss_of, parameter, eps):
    exact = torch.autograd.grad(loss_of(), parameter)[0].flatten()
    begin, slopes = parameter.detach().clone(), []
    for direction in torch.eye(parameter.numel(), dtype=parameter.dtype):
        move = eps * direction.view_as(begin)
        with torch.no_grad():
            above = loss_of() if parameter.copy_(begin + move) is not None else None
            below = loss_of() if parameter.copy_(begin - move) is not None else None
        slopes.append((above - below) / 2 / eps)
    parameter.data.copy_(begin)
    slopes = torch.stack(slopes)
    return (torch.dist(exact, slopes) / (exact.norm() + slopes.norm())).item()


@gradient_error.alternative("`.data` reaches the numbers without autograd, too.")
def with_data(loss_of, parameter, eps):
    exact = torch.autograd.grad(loss_of(), parameter)[0].reshape(-1)
    row = parameter.data.reshape(-1)
    slopes = torch.empty_like(row)
    for i in range(row.numel()):
        row[i] += eps
        slopes[i] = loss_of().detach()
        row[i] -= 2 * eps
        slopes[i] -= loss_of().detach()
        row[i] += eps
    slopes /= 2 * eps
    return torch.linalg.vector_norm(exact - slopes).item() / (
        exact.norm().item() + slopes.norm().item()
    )


@gradient_error.misconception(
    title="Measured to one side only",
    why="(above - here) / eps bends with the loss: its error shrinks like eps. From both sides it shrinks like eps "
    "squared, because the bend cancels. With a one-sided slope a right gradient looks slightly wrong.",
    next="Measure above and below, and divide by the whole distance.",
    link="gradients-right-and-alive",
)
def one_sided(loss_of, parameter, eps):
    (exact,) = torch.autograd.grad(loss_of(), [parameter])
    measured = torch.zeros_like(exact)
    row, slopes = parameter.detach().view(-1), measured.view(-1)
    here = loss_of().item()
    for i, kept in enumerate(row.tolist()):
        row[i] = kept + eps
        above = loss_of().item()
        row[i] = kept
        slopes[i] = (above - here) / eps
    return ((exact - measured).norm() / (exact.norm() + measured.norm())).item()


@gradient_error.misconception(
    title="Divided by eps instead of 2 eps",
    why="From eps below to eps above the way is 2 eps long. Divided by eps, every slope comes out twice too steep, and "
    "the relative error of a right gradient is one third.",
    next="Divide by the distance between the two places.",
    link="gradients-right-and-alive",
)
def divided_by_eps(loss_of, parameter, eps):
    (exact,) = torch.autograd.grad(loss_of(), [parameter])
    measured = torch.zeros_like(exact)
    row, slopes = parameter.detach().view(-1), measured.view(-1)
    for i, kept in enumerate(row.tolist()):
        row[i] = kept + eps
        above = loss_of().item()
        row[i] = kept - eps
        below = loss_of().item()
        row[i] = kept
        slopes[i] = (above - below) / eps
    return ((exact - measured).norm() / (exact.norm() + measured.norm())).item()


@gradient_error.misconception(
    title="The parameter was not put back",
    why="Each number stays where the last measurement left it. The later slopes are measured at another place than the "
    "gradient, and the model is another model afterwards.",
    next="After the two losses, write the old number back.",
    link="gradients-right-and-alive",
    shows="the parameter holds its numbers again",
)
def not_put_back(loss_of, parameter, eps):
    (exact,) = torch.autograd.grad(loss_of(), [parameter])
    measured = torch.zeros_like(exact)
    row, slopes = parameter.detach().view(-1), measured.view(-1)
    for i, kept in enumerate(row.tolist()):
        row[i] = kept + eps
        above = loss_of().item()
        row[i] = kept - eps
        below = loss_of().item()
        slopes[i] = (above - below) / (2 * eps)
    return ((exact - measured).norm() / (exact.norm() + measured.norm())).item()


@gradient_error.misconception(
    title="The error is absolute",
    why="Whether 0.001 is much depends on the gradient: beside 1000 it is nothing, beside 0.002 it is half. Only the "
    "ratio can be judged without knowing the model.",
    next="Divide by the sum of the two norms.",
    link="gradients-right-and-alive",
)
def absolute_error(loss_of, parameter, eps):
    (exact,) = torch.autograd.grad(loss_of(), [parameter])
    measured = torch.zeros_like(exact)
    row, slopes = parameter.detach().view(-1), measured.view(-1)
    for i, kept in enumerate(row.tolist()):
        row[i] = kept + eps
        above = loss_of().item()
        row[i] = kept - eps
        below = loss_of().item()
        row[i] = kept
        slopes[i] = (above - below) / (2 * eps)
    return (exact - measured).norm().item()


@gradient_error.misconception(
    title="An older gradient was counted in",
    why="`backward` adds to what `.grad` holds already. What is then compared is the sum of this gradient and an older "
    "one, which may look like a broken backward and is a broken test.",
    next="`torch.autograd.grad` returns the gradient and adds to nothing.",
    link="gradients-right-and-alive",
)
def older_gradient_added(loss_of, parameter, eps):
    loss_of().backward()
    exact = parameter.grad
    measured = torch.zeros_like(exact)
    row, slopes = parameter.detach().view(-1), measured.view(-1)
    for i, kept in enumerate(row.tolist()):
        row[i] = kept + eps
        above = loss_of().item()
        row[i] = kept - eps
        below = loss_of().item()
        row[i] = kept
        slopes[i] = (above - below) / (2 * eps)
    return ((exact - measured).norm() / (exact.norm() + measured.norm())).item()


@gradient_error.misconception(
    title="Moved a copy of the parameter",
    why="`clone` copies the numbers. The model goes on with the old ones, so its loss never answers, every measured "
    "slope is 0, and the relative error is 1.",
    next="Write into the parameter's own memory: `detach` alone shares it.",
    link="gradients-right-and-alive",
)
def moved_a_copy(loss_of, parameter, eps):
    (exact,) = torch.autograd.grad(loss_of(), [parameter])
    measured = torch.zeros_like(exact)
    row, slopes = parameter.detach().clone().view(-1), measured.view(-1)
    for i, kept in enumerate(row.tolist()):
        row[i] = kept + eps
        above = loss_of().item()
        row[i] = kept - eps
        below = loss_of().item()
        row[i] = kept
        slopes[i] = (above - below) / (2 * eps)
    return ((exact - measured).norm() / (exact.norm() + measured.norm())).item()


@gradient_error.misconception(
    title="Wrote into a parameter that autograd is watching",
    why="A parameter is a leaf that needs its gradient, and autograd refuses to have it changed in place while it "
    "records.",
    next="Write through `parameter.detach()`, or under `torch.no_grad()`.",
    link="gradients-right-and-alive",
)
def watched_by_autograd(loss_of, parameter, eps):
    (exact,) = torch.autograd.grad(loss_of(), [parameter])
    measured = torch.zeros_like(exact)
    row, slopes = parameter.view(-1), measured.view(-1)
    for i, kept in enumerate(row.tolist()):
        row[i] = kept + eps
        above = loss_of().item()
        row[i] = kept - eps
        below = loss_of().item()
        row[i] = kept
        slopes[i] = (above - below) / (2 * eps)
    return ((exact - measured).norm() / (exact.norm() + measured.norm())).item()


@gradient_error.misconception(
    title="The lower loss was measured at the starting place",
    why="From eps above, one step of eps back ends where it began, not below. That happens with `-= eps` after `+= eps`, and also when "
    "what was kept is a view such as `row[i]`: it changes along with the parameter. Each measured slope is about half of the true one.",
    next="Keep the number itself, and count both moves from it.",
    link="gradients-right-and-alive",
)
def back_to_the_middle(loss_of, parameter, eps):
    (exact,) = torch.autograd.grad(loss_of(), [parameter])
    measured = torch.zeros_like(exact)
    row, slopes = parameter.detach().view(-1), measured.view(-1)
    for i, kept in enumerate(row.tolist()):
        row[i] = kept + eps
        above = loss_of().item()
        row[i] = kept
        below = loss_of().item()
        slopes[i] = (above - below) / (2 * eps)
    return ((exact - measured).norm() / (exact.norm() + measured.norm())).item()


# Gradient norms -----------------------------------------------------------------------------------


@exercise(
    level="guided",
    minutes=4,
    why="One number per parameter; `None` says that no gradient ever came, and 0 says that one came and was zero.",
    hints=(
        "`model.named_parameters()` gives every parameter with its name.",
        "Where nothing has come in, `p.grad` is None and has no norm.",
    ),
)
def gradient_norms(model: nn.Module) -> dict:
    """Give the length of every parameter's gradient, after a `backward()`.

    model: any module. Some parameters may have no gradient.
    Returns a dictionary: the parameter's name -> the norm of its gradient as a float, or None for a
    parameter that has no gradient.
    """
    # solution:
    norms = {}
    for name, parameter in model.named_parameters():
        gradient = parameter.grad
        norms[name] = None if gradient is None else gradient.norm().item()
    return norms
    # end solution


@gradient_norms.drive
def read_the_gradients(answer, model):
    before, parameters = gradients_of(model), parameters_of(model)
    result = in_order(answer(model))
    after = gradients_of(model)
    return {
        "result": result,
        "the gradients are as they were": all(torch.equal(before[n], after[n]) for n in before),
        "the parameters are as they were": all(
            torch.equal(parameters[n], p) for n, p in parameters_of(model).items()
        ),
    }


@gradient_norms.probe
def an_unused_layer(g):
    model = fill(named(("first", nn.Linear(2, 3)), ("spare", nn.Linear(3, 2))), g)
    model.first(numbers(g, 4, 2)).square().sum().backward()
    return (model,)


@gradient_norms.probe
def a_frozen_layer(g):
    model = fill(nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 1)), g)
    model[0].weight.requires_grad_(False)
    model(numbers(g, 6, 3)).square().mean().backward()
    return (model,)


@gradient_norms.probe
def a_dead_layer(g):  # every ReLU is off: the gradient is there, and it is 0
    model = fill(nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 2)), g)
    with torch.no_grad():
        model[0].bias.fill_(-50.0)
    model(numbers(g, 5, 2)).square().sum().backward()
    return (model,)


@gradient_norms.alternative("The root of the sum of squares is the same length.")
def root_of_squares(model):
    return {
        name: p.grad.square().sum().sqrt().item() if p.grad is not None else None
        for name, p in model.named_parameters()
    }


@gradient_norms.alternative("`vector_norm` is the newer name; `get_parameter` finds by name.")
def with_vector_norm(model):
    norms = dict.fromkeys(name for name, _ in model.named_parameters())
    for name in norms:
        if (gradient := model.get_parameter(name).grad) is not None:
            norms[name] = float(torch.linalg.vector_norm(gradient))
    return norms


@gradient_norms.alternative("`clip_grad_norm_` returns the length, and clips nothing at infinity.")
def with_the_clipper(model):
    return {
        name: None
        if p.grad is None
        else nn.utils.clip_grad_norm_([p], float("inf"), foreach=False).item()
        for name, p in model.named_parameters()
    }


@gradient_norms.misconception(
    title="The length of the weights, not of their gradient",
    why="`parameter.norm()` says how large the weights are. A layer with healthy weights may have a gradient of zero.",
    next="Look at `.grad`.",
    link="gradient-norms-by-layer",
)
def norms_of_weights(model):
    norms = {}
    for name, parameter in model.named_parameters():
        gradient = parameter.grad
        norms[name] = None if gradient is None else parameter.norm().item()
    return norms


@gradient_norms.misconception(
    title="A missing gradient counts as 0",
    why="None and 0 are two diagnoses. None: no path leads from the loss to this parameter, so it was unused, or cut off. "
    "0: the path is there, and something on it, such as a dead ReLU, lets nothing through.",
    next="Keep None where there is no gradient.",
    link="gradient-norms-by-layer",
)
def none_as_zero(model):
    norms = {}
    for name, parameter in model.named_parameters():
        gradient = parameter.grad
        norms[name] = 0.0 if gradient is None else gradient.norm().item()
    return norms


@gradient_norms.misconception(
    title="The parameters without a gradient were left out",
    why="They are the ones you are looking for: what is missing in the table cannot be seen in it.",
    next="Give them an entry, with None.",
    link="gradient-norms-by-layer",
)
def left_out(model):
    norms = {}
    for name, parameter in model.named_parameters():
        gradient = parameter.grad
        if gradient is not None:
            norms[name] = gradient.norm().item()
    return norms


@gradient_norms.misconception(
    title="Asked a missing gradient for its norm",
    why="A parameter that no loss depends on has `.grad` None, and None has no methods.",
    next="Ask first whether there is a gradient.",
    link="gradient-norms-by-layer",
)
def asked_none(model):
    norms = {}
    for name, parameter in model.named_parameters():
        norms[name] = parameter.grad.norm().item()
    return norms


@gradient_norms.misconception(
    title="The mean of the gradient instead of its length",
    why="Positive and negative entries cancel: a large gradient can have a mean near 0. A length has no sign to lose.",
    next="Take the norm.",
    link="gradient-norms-by-layer",
)
def means(model):
    norms = {}
    for name, parameter in model.named_parameters():
        gradient = parameter.grad
        norms[name] = None if gradient is None else gradient.mean().item()
    return norms


@gradient_norms.misconception(
    title="The square of the length",
    why="The sum of squares is the length squared. Gradients that differ by a factor of a thousand then differ by a million.",
    next="Take the root, or let `norm` do it.",
    link="gradient-norms-by-layer",
)
def squared_norms(model):
    norms = {}
    for name, parameter in model.named_parameters():
        gradient = parameter.grad
        norms[name] = None if gradient is None else gradient.square().sum().item()
    return norms


@gradient_norms.misconception(
    title="The values are tensors",
    why="A table of tensors prints badly and cannot be logged as it is.",
    next="`.item()` gives the number.",
    link="gradient-norms-by-layer",
)
def norms_as_tensors(model):
    norms = {}
    for name, parameter in model.named_parameters():
        gradient = parameter.grad
        norms[name] = None if gradient is None else gradient.norm()
    return norms


# Activations --------------------------------------------------------------------------------------


@exercise(
    level="independent",
    minutes=12,
    why="Each hook notes three numbers and returns nothing, and each is removed when the model has run.",
    hints=(
        "`module.register_forward_hook(hook)` calls `hook(module, inputs, output)` whenever the module has run, and "
        "returns a handle. `handle.remove()` takes the hook away.",
        "A layer is a module without children: `list(module.children())` is empty.",
        "A hook that is made in a loop sees the loop's variables as they are in the end. Make it in a function that "
        "takes the name.",
    ),
)
def activation_stats(model: nn.Module, x: torch.Tensor) -> dict:
    """Run a model once, and say of every layer what came out.

    model: any module. It runs in whatever mode it is. It may have hooks of somebody else's. A layer
    is a module that has no modules inside it; the model itself may be one, under the name "". Each
    layer runs once and gives one tensor, and a later layer may overwrite that tensor in place.
    x: a batch.
    Returns a dictionary: the layer's name, as in `named_modules()` -> three floats, the mean of its
    output, the standard deviation (as `.std()` gives it), and the fraction that is exactly 0, as they
    are when the layer has run.
    Afterwards the model has the hooks that it had before.
    """
    # solution:
    stats, handles = {}, []

    def note_as(name):
        def hook(module, inputs, output):
            zeros = (output == 0).double().mean()
            stats[name] = (output.mean().item(), output.std().item(), zeros.item())

        return hook

    for name, module in model.named_modules():
        if not list(module.children()):
            handles.append(module.register_forward_hook(note_as(name)))
    model(x)
    for handle in handles:
        handle.remove()
    return stats
    # end solution


@activation_stats.drive
def look_inside(answer, model, x):
    runs, theirs = [], []
    model.register_forward_hook(lambda *_: runs.append(modes_of(model)))
    layers = [m for m in model.modules() if not list(m.children())]
    layers[-1].register_forward_hook(lambda *_: theirs.append(1))
    before, modes = hooks_of(model), modes_of(model)
    result = in_order(answer(model, x))
    ran = len(runs)
    after = hooks_of(model)
    theirs.clear()
    model(x)
    return {
        "result": result,
        "the model ran once": ran == 1,
        "it ran in the mode in which it came": all(mode == modes for mode in runs[:ran]),
        "no hook of yours is left": all(after[name] <= before[name] for name in before),
        "hooks of others are still there": len(theirs) == 1
        and all(after[n] >= before[n] for n in before),
        "the mode is as it was": modes_of(model) == modes,
    }


@activation_stats.probe
def a_small_network(g):
    model = fill(nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2)), g)
    return model, numbers(g, 4, 2)


class Blocks(nn.Module):
    """A network with a block inside, whose parts run in another order than they were made."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(4, 2)
        self.body = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Dropout(0.5))

    def forward(self, x):
        return self.head(self.body(x))


@activation_stats.probe
def a_block_and_dropout(g):
    return fill(Blocks(), g), numbers(g, 6, 3)


@activation_stats.probe
def a_norm_in_eval_mode(g):
    layers = nn.Linear(3, 5), nn.BatchNorm1d(5), nn.LeakyReLU(0.1), nn.Dropout(0.4)
    return fill(nn.Sequential(*layers, nn.Linear(5, 2)), g).eval(), numbers(g, 7, 3)


@activation_stats.probe
def overwritten_in_place(g):
    layers = nn.Linear(3, 4), nn.ReLU(inplace=True), nn.Linear(4, 2)
    return fill(nn.Sequential(*layers), g), numbers(g, 5, 3)


@activation_stats.probe
def a_model_of_one_layer(g):
    return fill(nn.Linear(2, 4), g), numbers(g, 3, 2)


@activation_stats.alternative("A default argument keeps the name, and `no_grad` saves the record.")
def with_default_arguments(model, x):
    kept = {}
    handles = [
        m.register_forward_hook(lambda m, i, o, n=n: kept.__setitem__(n, o.clone()))
        for n, m in model.named_modules()
        if len(list(m.modules())) == 1
    ]
    try:
        with torch.no_grad():
            model(x)
    finally:
        for handle in handles:
            handle.remove()
    return {
        n: [o.mean().item(), o.std().item(), (o == 0).sum().item() / o.numel()]
        for n, o in kept.items()
    }


@activation_stats.alternative("One hook for all, which looks the name up.")
def one_hook(model, x):
    names = {module: name for name, module in model.named_modules()}
    stats = {}

    def hook(module, inputs, output):
        output = output.detach()
        stats[names[module]] = (
            float(output.mean()),
            float(output.std()),
            float((output == 0).double().mean()),
        )

    handles = [m.register_forward_hook(hook) for m in names if not any(True for _ in m.children())]
    model(x)
    _ = [handle.remove() for handle in handles]
    return stats


@activation_stats.alternative("A hook for every module of the process, filtered by name.")
def with_a_global_hook(model, x):
    names = {module: name for name, module in model.named_modules()}
    stats = {}

    def hook(module, inputs, output):
        if module in names and not list(module.children()):
            zeros = 1 - output.count_nonzero().item() / output.numel()
            stats[names[module]] = (output.mean().item(), output.std().item(), zeros)

    with nn.modules.module.register_module_forward_hook(hook):
        model(x)
    return stats


@activation_stats.misconception(
    title="The hooks were left in the model",
    why="A hook stays until its handle removes it. From now on every run of the model does this work again and fills a "
    "dictionary that nobody reads; call the function twice, and it is done twice.",
    next="Keep every handle, and `remove()` it when the model has run.",
    link="activations-and-hooks",
    shows="no hook of yours is left",
)
def hooks_left(model, x):
    stats, handles = {}, []

    def note_as(name):
        def hook(module, inputs, output):
            zeros = (output == 0).double().mean()
            stats[name] = (output.mean().item(), output.std().item(), zeros.item())

        return hook

    for name, module in model.named_modules():
        if not list(module.children()):
            handles.append(module.register_forward_hook(note_as(name)))
    model(x)
    return stats


@activation_stats.misconception(
    title="Every hook wrote under the last layer's name",
    why="A function that is made in a loop looks the loop's variable up when it is *called*. By then the loop is over, and "
    "`name` is the last one for all of them.",
    next="Give the name to the hook when it is made, for example as an argument of a function that makes it.",
    link="activations-and-hooks",
)
def last_name_for_all(model, x):
    stats, handles = {}, []
    for name, module in model.named_modules():
        if not list(module.children()):

            def hook(module, inputs, output):
                zeros = (output == 0).double().mean()
                stats[name] = (output.mean().item(), output.std().item(), zeros.item())  # noqa: B023

            handles.append(module.register_forward_hook(hook))
    model(x)
    for handle in handles:
        handle.remove()
    return stats


@activation_stats.misconception(
    title="The hook returned something, and that became the output",
    why="What a forward hook returns *replaces* the layer's output, unless it is None. The next layer got your notes instead of "
    "numbers to compute with. `setdefault` returns a value, and so does a lambda around it.",
    next="Let the hook end without `return`.",
    link="activations-and-hooks",
)
def returned_the_notes(model, x):
    stats, handles = {}, []

    def note_as(name):
        def hook(module, inputs, output):
            zeros = (output == 0).double().mean()
            stats[name] = (output.mean().item(), output.std().item(), zeros.item())
            return stats[name]

        return hook

    for name, module in model.named_modules():
        if not list(module.children()):
            handles.append(module.register_forward_hook(note_as(name)))
    model(x)
    for handle in handles:
        handle.remove()
    return stats


@activation_stats.misconception(
    title="Only the outermost modules were watched",
    why="`named_children` gives the model's own parts, one level deep. A block among them is reported as one, and the layers "
    "inside it not at all.",
    next="`named_modules()` goes all the way down; keep those without children.",
    link="activations-and-hooks",
)
def one_level_only(model, x):
    stats, handles = {}, []

    def note_as(name):
        def hook(module, inputs, output):
            zeros = (output == 0).double().mean()
            stats[name] = (output.mean().item(), output.std().item(), zeros.item())

        return hook

    for name, module in model.named_children():
        handles.append(module.register_forward_hook(note_as(name)))
    model(x)
    for handle in handles:
        handle.remove()
    return stats


@activation_stats.misconception(
    title="Blocks and the model itself are in the table",
    why="`named_modules` also gives the model, under the empty name, and every block. Their outputs are those of their last "
    "layers, so these numbers stand in the table twice.",
    next="Leave out modules that have children.",
    link="activations-and-hooks",
)
def containers_too(model, x):
    stats, handles = {}, []

    def note_as(name):
        def hook(module, inputs, output):
            zeros = (output == 0).double().mean()
            stats[name] = (output.mean().item(), output.std().item(), zeros.item())

        return hook

    for name, module in model.named_modules():
        handles.append(module.register_forward_hook(note_as(name)))
    model(x)
    for handle in handles:
        handle.remove()
    return stats


@activation_stats.misconception(
    title="The model was put into eval mode",
    why="Dropout and BatchNorm act otherwise in eval mode, so these are not the activations that training sees. Which mode "
    "it is, the caller has decided.",
    next="Leave the mode alone.",
    link="activations-and-hooks",
    shows="it ran in the mode in which it came",
)
def in_eval_mode(model, x):
    stats, handles = {}, []

    def note_as(name):
        def hook(module, inputs, output):
            zeros = (output == 0).double().mean()
            stats[name] = (output.mean().item(), output.std().item(), zeros.item())

        return hook

    for name, module in model.named_modules():
        if not list(module.children()):
            handles.append(module.register_forward_hook(note_as(name)))
    model.eval()
    model(x)
    for handle in handles:
        handle.remove()
    return stats


@activation_stats.misconception(
    title="Everybody's hooks were removed",
    why="Clearing the dictionary of hooks takes away those of others, too: a recorder or a logger that was watching the same "
    "model goes silent without a word.",
    next="Remove your own, each by its handle.",
    link="activations-and-hooks",
    shows="hooks of others are still there",
)
def cleared_all_hooks(model, x):
    stats = {}

    def note_as(name):
        def hook(module, inputs, output):
            zeros = (output == 0).double().mean()
            stats[name] = (output.mean().item(), output.std().item(), zeros.item())

        return hook

    for name, module in model.named_modules():
        if not list(module.children()):
            module.register_forward_hook(note_as(name))
    model(x)
    for module in model.modules():
        module._forward_hooks.clear()
    return stats


@activation_stats.misconception(
    title="Noted what goes in, not what comes out",
    why="A hook gets the module, a tuple of its inputs, and its output. The inputs of one layer are the outputs of the one "
    "before, so every number stands one line too low.",
    next="The third argument is the output.",
    link="activations-and-hooks",
)
def noted_the_inputs(model, x):
    stats, handles = {}, []

    def note_as(name):
        def hook(module, inputs, output):
            output = inputs[0]
            zeros = (output == 0).double().mean()
            stats[name] = (output.mean().item(), output.std().item(), zeros.item())

        return hook

    for name, module in model.named_modules():
        if not list(module.children()):
            handles.append(module.register_forward_hook(note_as(name)))
    model(x)
    for handle in handles:
        handle.remove()
    return stats


@activation_stats.misconception(
    title="The numbers were computed after the run",
    why="What the hook kept is the output's own memory. An activation with `inplace=True` writes its result there, so by the end of the "
    "run the layer before it seems to have given what the activation made of it.",
    next="Compute the three numbers inside the hook.",
    link="activations-and-hooks",
)
def computed_afterwards(model, x):
    kept, handles = {}, []

    def keep_as(name):
        def hook(module, inputs, output):
            kept[name] = output.detach()

        return hook

    for name, module in model.named_modules():
        if not list(module.children()):
            handles.append(module.register_forward_hook(keep_as(name)))
    model(x)
    for handle in handles:
        handle.remove()
    return {
        name: (o.mean().item(), o.std().item(), (o == 0).double().mean().item())
        for name, o in kept.items()
    }


@activation_stats.misconception(
    title="A model that is one layer was left out",
    why="The empty name belongs to the model itself. Most models hold others, but a single linear layer is a model, too, and then it is the "
    "one layer that there is.",
    next="Ask for the modules inside, not for the name.",
    link="activations-and-hooks",
)
def root_left_out(model, x):
    stats, handles = {}, []

    def note_as(name):
        def hook(module, inputs, output):
            zeros = (output == 0).double().mean()
            stats[name] = (output.mean().item(), output.std().item(), zeros.item())

        return hook

    for name, module in model.named_modules():
        if name and not list(module.children()):
            handles.append(module.register_forward_hook(note_as(name)))
    model(x)
    for handle in handles:
        handle.remove()
    return stats


# Update ratios ------------------------------------------------------------------------------------


@exercise(
    level="supported",
    minutes=6,
    why="A copy from before, the optimizer's own step, and the length of the difference beside the length of what it "
    "changed.",
    hints=(
        "How far a parameter moved is what it is after the step minus what it was before. So something must be kept.",
        "The optimizer writes into the parameter itself. Whatever shares its memory changes along with it.",
        "`.detach().clone()` is a copy that autograd does not follow.",
    ),
    equivalent_mutants=(
        "before = {name: p.clone() for name, p in model.named_parameters()}",
        "change = after - before[name]",
    ),
)
def update_ratios(model: nn.Module, optimizer) -> dict:
    """Take the optimizer's step, and say how far it moved each parameter, relative to its length.

    model: its gradients are there; no parameter is all zeros.
    optimizer: any optimizer over the model's parameters.
    Returns a dictionary: the parameter's name -> the norm of its change, divided by the norm that it
    had before the step; a float. The step is taken once, and the gradients stay as they are.
    """
    # solution:
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer.step()
    ratios = {}
    for name, after in model.named_parameters():
        change = after.detach() - before[name]
        ratios[name] = (change.norm() / before[name].norm()).item()
    return ratios
    # end solution


@update_ratios.drive
def take_a_step(answer, model, optimizer):
    gradients, steps = gradients_of(model), []
    optimizer.register_step_post_hook(lambda *_: steps.append(1))
    result = in_order(answer(model, optimizer))
    after = gradients_of(model)
    return {
        "result": result,
        "the parameters afterwards": parameters_of(model),
        "the optimizer stepped once": len(steps) == 1,
        "the gradients are as they were": all(torch.equal(gradients[n], after[n]) for n in after),
    }


@update_ratios.probe
def plain_sgd(g):
    model = fill(nn.Linear(2, 3), g)
    model(numbers(g, 4, 2)).square().mean().backward()
    return model, torch.optim.SGD(model.parameters(), lr=0.1)


@update_ratios.probe
def with_adam(g):
    model = fill(nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)), g)
    model(numbers(g, 5, 3)).square().mean().backward()
    return model, torch.optim.Adam(model.parameters(), lr=0.3)


@update_ratios.probe
def one_layer_left_out(g):
    model = fill(named(("body", nn.Linear(2, 4)), ("head", nn.Linear(4, 2))), g)
    model(numbers(g, 5, 2)).square().sum().backward()
    groups = [{"params": model.head.weight}, {"params": [model.head.bias], "lr": 0.02}]
    return model, torch.optim.SGD(groups, lr=0.1, momentum=0.9, weight_decay=0.5)


@update_ratios.alternative("A state dict works, once every tensor in it is cloned.")
def from_the_state_dict(model, optimizer):
    old = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer.step()
    return {
        name: float(torch.dist(value, old[name]) / old[name].norm())
        for name, value in model.state_dict().items()
    }


@update_ratios.alternative("A deep copy of the model keeps everything as it was.")
def with_a_deep_copy(model, optimizer):
    import copy

    old = copy.deepcopy(model)
    optimizer.step()
    pairs = zip(model.named_parameters(), old.parameters())
    return {name: ((p - q).norm().item() / q.norm().item()) for (name, p), q in pairs}


@update_ratios.alternative("The norms can be taken first, and the changes added up in lists.")
def by_lists(model, optimizer):
    names = [name for name, _ in model.named_parameters()]
    with torch.no_grad():
        old = [p * 1 for p in model.parameters()]
        optimizer.step()
        return {
            name: ((p - q).square().sum() / q.square().sum()).sqrt().item()
            for name, p, q in zip(names, model.parameters(), old)
        }


@update_ratios.misconception(
    title="What was kept is the parameter itself",
    why="`detach` and `state_dict` share the parameter's memory. The step writes there, so before and after are one and the "
    "same tensor, and every ratio is 0: the picture of a model that does not learn.",
    next="Copy the numbers before the step.",
    link="update-to-weight-ratios",
)
def kept_an_alias(model, optimizer):
    before = {name: p.detach() for name, p in model.named_parameters()}
    optimizer.step()
    ratios = {}
    for name, after in model.named_parameters():
        change = after.detach() - before[name]
        ratios[name] = (change.norm() / before[name].norm()).item()
    return ratios


@update_ratios.misconception(
    title="Learning rate times gradient, whatever the optimizer does",
    why="That is the step of plain SGD. Momentum adds what it remembers, Adam divides by the gradient's usual size, weight decay "
    "pulls as well, and a group may have a rate of its own.",
    next="Let the optimizer step, and measure what it did.",
    link="update-to-weight-ratios",
)
def rate_times_gradient(model, optimizer):
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer.step()
    ratios = {}
    for name, after in model.named_parameters():
        change = optimizer.param_groups[0]["lr"] * after.grad
        ratios[name] = (change.norm() / before[name].norm()).item()
    return ratios


@update_ratios.misconception(
    title="Divided by the length after the step",
    why="The question is how much of what was there has changed. After a step that is far too long, the weights are long, "
    "too, and the ratio looks harmless.",
    next="Divide by the norm from before.",
    link="update-to-weight-ratios",
)
def divided_by_after(model, optimizer):
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer.step()
    ratios = {}
    for name, after in model.named_parameters():
        change = after.detach() - before[name]
        ratios[name] = (change.norm() / after.norm()).item()
    return ratios


@update_ratios.misconception(
    title="The change of the length instead of the length of the change",
    why="A vector can turn without growing. Weights that have moved far and ended as long as they began would count as "
    "unmoved.",
    next="Subtract first, then take the norm.",
    link="update-to-weight-ratios",
)
def change_of_length(model, optimizer):
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer.step()
    ratios = {}
    for name, after in model.named_parameters():
        change = after.detach().norm() - before[name].norm()
        ratios[name] = (change.abs() / before[name].norm()).item()
    return ratios


@update_ratios.misconception(
    title="The step was never taken",
    why="Without the optimizer's step nothing moves, and every ratio is 0.",
    next="Between the copy and the comparison, let the optimizer step.",
    link="update-to-weight-ratios",
)
def never_stepped(model, optimizer):
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    ratios = {}
    for name, after in model.named_parameters():
        change = after.detach() - before[name]
        ratios[name] = (change.norm() / before[name].norm()).item()
    return ratios


@update_ratios.misconception(
    title="Cleared the gradients before the step",
    why="The step follows what is in `.grad`. After `zero_grad` there is nothing to follow, and every ratio is 0.",
    next="Leave the gradients to whoever computed them.",
    link="update-to-weight-ratios",
)
def cleared_first(model, optimizer):
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer.zero_grad()
    optimizer.step()
    ratios = {}
    for name, after in model.named_parameters():
        change = after.detach() - before[name]
        ratios[name] = (change.norm() / before[name].norm()).item()
    return ratios


# Logging a run ------------------------------------------------------------------------------------


class Notebook:
    """A stand-in for a SummaryWriter that keeps what is written, and the step it is written at."""

    def __init__(self):
        self.scalars, self.histograms, self.closed = {}, {}, False

    def add_scalar(
        self,
        tag,
        scalar_value,
        global_step=None,
        walltime=None,
        new_style=False,
        double_precision=False,
    ):
        self.scalars.setdefault(tag, []).append((global_step, float(scalar_value)))

    def add_scalars(self, main_tag, tag_scalar_dict, global_step=None, walltime=None):
        for (
            tag,
            value,
        ) in tag_scalar_dict.items():  # a run of its own for each, as the real one does
            self.add_scalar(f"the run {main_tag}_{tag}: {main_tag}", value, global_step)

    def add_histogram(
        self, tag, values, global_step=None, bins="tensorflow", walltime=None, max_bins=None
    ):
        row = torch.as_tensor(values).detach().clone().flatten().sort().values
        self.histograms.setdefault(tag, []).append((global_step, row))

    def close(self):
        self.closed = True

    def __getattr__(self, name):
        if name == "flush" or name.startswith("add_"):  # what nobody asked for does no harm
            return lambda *arguments, **options: None
        raise AttributeError(name)


@exercise(
    level="supported",
    minutes=6,
    why="One tag for one curve, the epoch as its step, and the weights' distribution at the end.",
    hints=(
        "`writer.add_scalar(tag, value, step)` adds one point to the curve that is called `tag`.",
        "`enumerate(history)` counts the epochs from 0.",
        "`writer.add_histogram(name, parameter, step)` for each parameter, after the loop over the epochs.",
    ),
)
def log_run(writer, model: nn.Module, history: list) -> None:
    """Write a training into TensorBoard: two curves, and the weights at the end.

    The training losses go as scalars under the tag "loss/train" and the validation losses under
    "loss/validation". The step of each is the number of its epoch, counted from 0. Then every
    parameter, also a frozen one, gets a histogram of its values under its name, with the last
    epoch's number as the step. No other scalars and histograms are written.

    writer: an open SummaryWriter. Whoever opened it closes it.
    model: the trained model.
    history: a pair (training loss, validation loss) for each epoch, as `fit` returns it; not empty.
    """
    # solution:
    for epoch, (train_loss, validation_loss) in enumerate(history):
        writer.add_scalar("loss/train", train_loss, epoch)
        writer.add_scalar("loss/validation", validation_loss, epoch)
    for name, parameter in model.named_parameters():
        writer.add_histogram(name, parameter, epoch)
    # end solution


@log_run.drive
def read_what_was_written(answer, writer, model, history):
    answer(writer, model, history)
    curves = {tag: in_words(points) for tag, points in writer.scalars.items()}
    due = ("loss/train", "loss/validation")
    others = sorted(tag for tag in curves if tag not in due)
    histograms = {
        f"{tag} at step {step}": values
        for tag, kept in writer.histograms.items()
        for step, values in kept
    }
    return {
        **{f"the curve {tag}": curves.get(tag, "missing") for tag in due},
        "the other curves": ", ".join(others) or "none",
        "the histograms": in_order(histograms),
        "how many histograms": sum(map(len, writer.histograms.values())),
        "the writer is still open": not writer.closed,
    }


def in_words(points):
    """Say which values a curve has, in the order of their steps."""
    ordered = sorted(points, key=lambda point: (str(point[0]), point[1]))
    return ", ".join(f"{value:.4g} at step {step}" for step, value in ordered)


@log_run.probe
def two_epochs(g):
    history = torch.rand(2, 2, generator=g, dtype=torch.float64).tolist()
    return Notebook(), fill(nn.Linear(2, 1), g), [tuple(pair) for pair in history]


@log_run.probe
def five_epochs(g):
    model = fill(nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2)), g)
    model(numbers(g, 3, 2)).sum().backward()
    model[0].requires_grad_(False)
    history = torch.rand(5, 2, generator=g, dtype=torch.float64).tolist()
    return Notebook(), model, [tuple(pair) for pair in history]


@log_run.probe
def one_epoch(g):
    history = torch.rand(1, 2, generator=g, dtype=torch.float64).tolist()
    model = fill(named(("body", nn.Linear(3, 2)), ("norm", nn.BatchNorm1d(2))), g)
    return Notebook(), model, [tuple(pair) for pair in history]


@log_run.alternative("By name, and with the two curves one after the other.")
def by_keyword(writer, model, history):
    for column, tag in enumerate(("loss/train", "loss/validation")):
        for step in range(len(history)):
            writer.add_scalar(tag=tag, scalar_value=history[step][column], global_step=step)
    for name, values in model.state_dict().items():
        if name in dict(model.named_parameters()):
            writer.add_histogram(tag=name, values=values, global_step=len(history) - 1)


@log_run.alternative("Values as NumPy arrays are the same histogram.")
def with_arrays(writer, model, history):
    trains, validations = zip(*history)
    for epoch in range(len(trains)):
        writer.add_scalar("loss/validation", validations[epoch], epoch)
        writer.add_scalar("loss/train", torch.tensor(trains[epoch], dtype=torch.float64), epoch)
    for name, p in model.named_parameters():
        writer.add_histogram(name, p.detach().cpu().numpy().copy(), len(trains) - 1)
    writer.flush()


@log_run.alternative("The histograms may come first.")
def histograms_first(writer, model, history):
    for name, p in model.named_parameters():
        writer.add_histogram(name, p.data, len(history) - 1)
    epoch = 0
    while epoch < len(history):
        for part, loss in zip(("train", "validation"), history[epoch]):
            writer.add_scalar("loss/" + part, loss, epoch)
        epoch += 1


@log_run.misconception(
    title="The points have no step",
    why="Without a step the writer cannot place a point on the curve: they all stand at step 0, one above the other.",
    next="Give the epoch as the third argument.",
    link="curves-tensorboard",
)
def without_steps(writer, model, history):
    for epoch, (train_loss, validation_loss) in enumerate(history):  # noqa: B007
        writer.add_scalar("loss/train", train_loss)
        writer.add_scalar("loss/validation", validation_loss)
    for name, parameter in model.named_parameters():
        writer.add_histogram(name, parameter, epoch)


@log_run.misconception(
    title="Both losses went under one tag",
    why="A tag is one curve. With training and validation under the same one, TensorBoard draws a saw: up to one, down to "
    "the other, at every epoch.",
    next="A tag of its own for each curve.",
    link="curves-tensorboard",
)
def one_tag_for_both(writer, model, history):
    for epoch, (train_loss, validation_loss) in enumerate(history):
        writer.add_scalar("loss/train", train_loss, epoch)
        writer.add_scalar("loss/train", validation_loss, epoch)
    for name, parameter in model.named_parameters():
        writer.add_histogram(name, parameter, epoch)


@log_run.misconception(
    title="A new tag for every epoch",
    why="With the epoch in its name, every point is a curve of its own. TensorBoard shows one card for each, with one dot.",
    next="The tag stays the same; the epoch is the step.",
    link="curves-tensorboard",
)
def epoch_in_the_tag(writer, model, history):
    for epoch, (train_loss, validation_loss) in enumerate(history):
        writer.add_scalar(f"loss/train {epoch}", train_loss, epoch)
        writer.add_scalar(f"loss/validation {epoch}", validation_loss, epoch)
    for name, parameter in model.named_parameters():
        writer.add_histogram(name, parameter, epoch)


@log_run.misconception(
    title="Wrote them with `add_scalars`",
    why="`add_scalars` makes a run of its own for every curve, in a folder of its own. When two trainings are compared, the "
    "list of runs then has six entries instead of two, and the tags that were asked for are missing.",
    next="`add_scalar`, once for each curve; tags with the same beginning stand together anyway.",
    link="curves-tensorboard",
)
def with_add_scalars(writer, model, history):
    for epoch, (train_loss, validation_loss) in enumerate(history):
        writer.add_scalars("loss", {"train": train_loss, "validation": validation_loss}, epoch)
    for name, parameter in model.named_parameters():
        writer.add_histogram(name, parameter, epoch)


@log_run.misconception(
    title="The epochs are counted from 1",
    why="Everything else in the course counts from 0, and two runs that count differently lie one step apart in the plot.",
    next="`enumerate` begins at 0 by itself.",
    link="curves-tensorboard",
)
def counted_from_one(writer, model, history):
    for epoch, (train_loss, validation_loss) in enumerate(history, start=1):
        writer.add_scalar("loss/train", train_loss, epoch)
        writer.add_scalar("loss/validation", validation_loss, epoch)
    for name, parameter in model.named_parameters():
        writer.add_histogram(name, parameter, epoch)


@log_run.misconception(
    title="The same weights at every epoch",
    why="The model is the trained one, whatever the epoch's number. Written once per epoch, its histogram pretends that the "
    "weights never changed.",
    next="Write the histograms once, after the loop.",
    link="curves-tensorboard",
    shows="the histograms",
)
def histograms_every_epoch(writer, model, history):
    for epoch, (train_loss, validation_loss) in enumerate(history):
        writer.add_scalar("loss/train", train_loss, epoch)
        writer.add_scalar("loss/validation", validation_loss, epoch)
        for name, parameter in model.named_parameters():
            writer.add_histogram(name, parameter, epoch)


@log_run.misconception(
    title="Training and validation are exchanged",
    why="`fit` gives the training loss first. Exchanged, overfitting looks like its opposite.",
    next="The first of each pair is the training loss.",
    link="curves-tensorboard",
)
def exchanged(writer, model, history):
    for epoch, (validation_loss, train_loss) in enumerate(history):
        writer.add_scalar("loss/train", train_loss, epoch)
        writer.add_scalar("loss/validation", validation_loss, epoch)
    for name, parameter in model.named_parameters():
        writer.add_histogram(name, parameter, epoch)


@log_run.misconception(
    title="Closed a writer that belongs to somebody else",
    why="The caller may have more to write into the same run, such as the accuracy on the validation set.",
    next="Leave closing to whoever opened it.",
    link="curves-tensorboard",
    shows="the writer is still open",
)
def closed_the_writer(writer, model, history):
    for epoch, (train_loss, validation_loss) in enumerate(history):
        writer.add_scalar("loss/train", train_loss, epoch)
        writer.add_scalar("loss/validation", validation_loss, epoch)
    for name, parameter in model.named_parameters():
        writer.add_histogram(name, parameter, epoch)
    writer.close()


@log_run.misconception(
    title="The frozen parameters were left out",
    why="A parameter that is not trained is a part of the model all the same. Its histogram shows what the other layers have to work with, "
    "and that it really has not moved.",
    next="Write every parameter, whether it learns or not.",
    link="curves-tensorboard",
    shows="the histograms",
)
def frozen_left_out(writer, model, history):
    for epoch, (train_loss, validation_loss) in enumerate(history):
        writer.add_scalar("loss/train", train_loss, epoch)
        writer.add_scalar("loss/validation", validation_loss, epoch)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            writer.add_histogram(name, parameter, epoch)


@log_run.misconception(
    title="Buffers were written as if they were parameters",
    why="`state_dict` holds the parameters and the buffers, such as what a BatchNorm has gathered and how many batches it has counted. They "
    "are not weights.",
    next="Go through the parameters alone.",
    link="curves-tensorboard",
    shows="the histograms",
)
def buffers_too(writer, model, history):
    for epoch, (train_loss, validation_loss) in enumerate(history):
        writer.add_scalar("loss/train", train_loss, epoch)
        writer.add_scalar("loss/validation", validation_loss, epoch)
    for name, values in model.state_dict().items():
        writer.add_histogram(name, values, epoch)


# The clinic: data ---------------------------------------------------------------------------------


@exercise(
    level="clinic",
    minutes=4,
    why="`permute` brings the axis of the images to the front and moves every number with it; `reshape` only regroups.",
    hints=(
        "Show one of the images that come out. Is it a picture?",
        "`reshape` reads all numbers in their order and cuts them anew. Which numbers lie next to each other in `scans`?",
        "An axis has to move. Lesson 1 has the method that reorders axes.",
    ),
)
def unpack_scans(scans: torch.Tensor) -> torch.Tensor:
    """Turn a scanner's block of numbers into a batch of images.

    scans: (rows, columns, images), any dtype: number [r, c, i] is row r, column c of image i.
    Returns (images, 1, rows, columns), same dtype: image i stands upright in row i of the batch.
    """
    rows, columns, count = scans.shape
    images = scans.permute(2, 0, 1)  # (images, rows, columns)
    return images.reshape(count, 1, rows, columns)


@unpack_scans.probe
def two_small_scans(g):
    return (torch.randint(0, 256, (3, 2, 2), generator=g, dtype=torch.uint8),)


@unpack_scans.probe
def as_many_images_as_rows(g):  # where exchanging two axes has the right shape
    return (numbers(g, 4, 4, 4),)


@unpack_scans.probe
def five_square_scans(g):
    return (torch.randint(0, 256, (4, 4, 5), generator=g, dtype=torch.uint8),)


@unpack_scans.alternative("`movedim` moves one axis and leaves the others in their order.")
def moved_one_axis(scans):
    return scans.movedim(-1, 0).unsqueeze(1)


@unpack_scans.alternative("Image by image, stacked.")
def stacked(scans):
    return torch.stack([scans[:, :, i][None] for i in range(scans.shape[2])])


@unpack_scans.alternative(
    "Regrouping is right where neither of the regrouped axes is the one that moves."
)
def regrouped_and_turned(scans):
    rows, columns, count = scans.shape
    return scans.reshape(rows * columns, count).T.reshape(count, 1, rows, columns)


@unpack_scans.misconception(
    title="`reshape` has cut the block anew, and mixed the images",
    why="The numbers of one image do not lie side by side in `scans`: next to each other lie the same pixel of all the "
    "images. `reshape` keeps that order and cuts it into pieces of the new shape, so each piece has a few pixels of "
    "every image. The shape is right, and no error tells.",
    next="Move the axis of the images to the front first, then give the shape.",
    link="the-first-three-data",
    starter=True,
)
def mixed_the_images(scans):
    rows, columns, count = scans.shape
    images = scans  # (images, rows, columns)
    return images.reshape(count, 1, rows, columns)


@unpack_scans.misconception(
    title="The images are whole now, with rows and columns exchanged",
    why="Exchanging the first and the last axis, or reversing all three, brings the images to the front, but it exchanges rows "
    "and columns, too: every picture is mirrored along its diagonal. A network learns such digits as well as upright ones, so "
    "nothing shows until it meets an upright one.",
    next="Rows must come before columns, as they did: name all three axes in their new order.",
    link="the-first-three-data",
)
def on_their_side(scans):
    rows, columns, count = scans.shape
    images = scans.permute(2, 1, 0)  # (images, rows, columns)
    return images.reshape(count, 1, rows, columns)


@unpack_scans.misconception(
    title="All three axes were reversed",
    why="Reversing the axes, as `.T` does, brings the images to the front and exchanges their rows and columns: every picture is "
    "mirrored along its diagonal. With square images the shape does not tell.",
    next="Only the axis of the images has to move; rows stay before columns.",
    link="the-first-three-data",
)
def reversed_all_axes(scans):
    return scans.permute(2, 1, 0)[:, None]


@unpack_scans.misconception(
    title="The axis of colours is missing",
    why="(images, rows, columns) is right as a picture book, but a network for images expects an axis of channels after the "
    "batch, here of length 1.",
    next="Give the shape that the docstring asks for.",
    link="the-first-three-data",
)
def without_channel(scans):
    return scans.permute(2, 0, 1)  # (images, rows, columns)


@unpack_scans.misconception(
    title="Only one axis was moved, by exchanging it with its neighbour",
    why="`transpose(1, 2)` brings the images between rows and columns, and `reshape` cuts from there: each piece mixes rows "
    "of several images.",
    next="The axis of the images has to pass both others.",
    link="the-first-three-data",
)
def moved_halfway(scans):
    rows, columns, count = scans.shape
    images = scans.transpose(1, 2)  # (images, rows, columns)
    return images.reshape(count, 1, rows, columns)


@unpack_scans.misconception(
    title="The numbers were scaled as well",
    why="The axes are right, and every number is another one: divided by 255, and a float. Whoever scales the images later, as "
    "training code does, would do it twice.",
    next="Move the axes, and leave the numbers and their dtype alone.",
    link="the-first-three-data",
)
def scaled_the_scans(scans):
    rows, columns, count = scans.shape
    images = scans.permute(2, 0, 1).float() / 255  # (images, rows, columns)
    return images.reshape(count, 1, rows, columns)


@exercise(
    level="clinic",
    minutes=4,
    why="Dividing by 255 brings the inputs to where the network's weights and the learning rate were made for.",
    hints=(
        "What is the first loss, and what should it be with ten classes?",
        "Print `images.min()` and `images.max()`. What does a network with small random weights make of such numbers?",
        "The learning rate is the one that worked before. Leave it, and look at the line with the pixels.",
    ),
    equivalent_mutants=("images = pixels[:, None] / 255",),  # dividing bytes gives float32
)
def set_up(pixels: torch.Tensor, model: nn.Module) -> tuple:
    """Prepare the images and the optimizer of a training.

    pixels: (N, 28, 28), uint8.
    model: the network to train.
    Returns two things. The images: (N, 1, 28, 28), float32, from 0.0 for black to 1.0 for the byte
    255. And plain SGD over all the model's parameters, at the rate 0.1, which suits such images.
    """
    images = pixels[:, None].float() / 255
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return images, optimizer


@set_up.drive
def look_at_both(answer, pixels, model):
    images, optimizer = answer(pixels, model)
    groups = optimizer.param_groups
    held = {id(p) for group in groups for p in group["params"]}
    rates = {float(group["lr"]) for group in groups}
    plain = ("momentum", "weight_decay", "dampening", "nesterov", "maximize")
    return {
        "the images": images,
        "the rate is 0.1": all(math.isclose(rate, 0.1, rel_tol=1e-6) for rate in rates),
        "the optimizer is plain SGD": isinstance(optimizer, torch.optim.SGD)
        and not any(group[key] for group in groups for key in plain),
        "it has all the parameters": held == {id(p) for p in model.parameters()},
        "the rate is lower than it was": Extra(max(rates) < 0.1),
    }


def bytes_of(g, count):
    """Draw images of which each has another brightest pixel, and none is at 255."""
    images = torch.randint(0, 256, (count, 28, 28), generator=g)
    tops = 250 - 30 * torch.arange(count)
    return (images * tops[:, None, None] // 256).to(torch.uint8)


@set_up.probe
def two_images(g):
    return bytes_of(g, 2), nn.Linear(2, 3)


@set_up.probe
def five_images(g):
    return bytes_of(g, 5), nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 2))


@set_up.probe
def three_bright_images(g):  # none is quite white
    return 253 - bytes_of(g, 3), nn.Linear(3, 4, bias=False)


@set_up.alternative("Dividing bytes by a number gives float32 at once.")
def divided_the_bytes(pixels, model):
    return pixels.unsqueeze(1) / 255, torch.optim.SGD(model.parameters(), 0.1)


@set_up.alternative("Multiplying by 1/255 is the same, up to rounding.")
def multiplied(pixels, model):
    images = pixels.to(torch.float32).reshape(-1, 1, 28, 28).mul_(1 / 255)
    groups = [{"params": [p], "lr": 0.1} for p in model.parameters()]
    return [images, torch.optim.SGD(groups, lr=5.0)]


@set_up.misconception(
    title="The inputs are not scaled",
    why="Pixels up to 255 make logits in the tens and hundreds: the network begins by being very sure and wrong, with a loss far "
    "above ln 10, and the gradients are as much too large as the inputs. The rate that suits numbers up to 1 then throws the "
    "weights away.",
    next="Bring the pixels to where the docstring wants them.",
    link="the-first-three-data",
    shows="the images",
    starter=True,
)
def never_scaled(pixels, model):
    images = pixels[:, None].float()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return images, optimizer


@set_up.misconception(
    title="Lowered the learning rate, and left the inputs as they are",
    why="With a small enough rate the loss stops exploding, and the cause is still there: the first loss is as far above ln 10 as "
    "before, and every other rate, initialisation and weight decay in this training assumes inputs of size 1. The symptom is "
    "treated, the next one waits.",
    next="Put the rate back, and mend the line that makes the images.",
    link="the-first-three-data",
    shows="the images",
)
def lowered_the_rate(pixels, model):
    images = pixels[:, None].float()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0001)
    return images, optimizer


@set_up.misconception(
    title="Scaled the inputs, and lowered the rate as well",
    why="Two changes at once. The first mends the training, the second slows it down, and nobody knows which one helped.",
    next="One change at a time. The rate was right.",
    link="the-first-three-data",
    shows="the rate is 0.1",
)
def changed_both(pixels, model):
    images = pixels[:, None].float() / 255
    optimizer = torch.optim.SGD(model.parameters(), lr=0.001)
    return images, optimizer


@set_up.misconception(
    title="Divided without fractions",
    why="`//` keeps whole numbers: every byte below 255 becomes 0, and the images are black.",
    next="`/` keeps the fractions.",
    link="the-first-three-data",
)
def whole_numbers(pixels, model):
    images = (pixels[:, None] // 255).float()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return images, optimizer


@set_up.misconception(
    title="Divided by the brightest pixel that happened to come",
    why="The brightest byte of these images need not be 255. Another set, or another batch, is then scaled by another number, and "
    "the same grey means two things.",
    next="Divide by what a byte can hold at most.",
    link="the-first-three-data",
)
def by_the_brightest(pixels, model):
    images = pixels[:, None].float() / pixels.max()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return images, optimizer


@set_up.misconception(
    title="The images were standardised",
    why="Mean 0 and standard deviation 1 is a good scale, too, and the network would train. It is not the one that was ordered: whoever uses "
    "this network afterwards gives it numbers from 0 to 1.",
    next="From 0 for black to 1 for the byte 255.",
    link="the-first-three-data",
    shows="the images",
)
def standardised_instead(pixels, model):
    images = pixels[:, None].float()
    images = (images - images.mean()) / images.std()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return images, optimizer


@set_up.misconception(
    title="Scaled the inputs, and took another optimizer as well",
    why="Two changes at once. The first mends the training; what the second does, nobody can tell apart from it.",
    next="One change at a time. The optimizer was right.",
    link="the-first-three-data",
    shows="the optimizer is plain SGD",
)
def adam_as_well(pixels, model):
    images = pixels[:, None].float() / 255
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
    return images, optimizer


@exercise(
    level="clinic",
    minutes=5,
    why="One permutation, drawn anew for every epoch, picks images and labels alike.",
    hints=(
        "Print the labels of the first few batches.",
        "Each batch pulls the network to the digit that it is full of. What should a batch be like?",
        "`torch.randperm(n)` is a new order of 0 … n - 1. Images and labels must follow the same one.",
    ),
)
def epoch_batches(images: torch.Tensor, labels: torch.Tensor, size: int) -> list:
    """Cut one epoch into batches.

    images: (N, …), in whatever order the file had, perhaps sorted.
    labels: (N,), in the same order.
    Returns a list of pairs (images, labels) with `size` examples each, the last perhaps fewer. Every
    example comes once, with its own label. The order is random and new at every call. It is drawn
    from torch's shared generator: after the same `torch.manual_seed` it is the same again.
    """
    order = torch.randperm(len(labels))
    images, labels = images[order], labels[order]
    return list(zip(images.split(size), labels.split(size)))


@epoch_batches.drive
def two_epochs_of_batches(answer, images, labels, size):
    epochs, together, listed, start = [], True, True, torch.get_rng_state()
    for number in range(3):
        if number == 2:  # the third epoch starts from where the first one did
            torch.set_rng_state(start)
        batches = answer(images, labels, size)
        listed = listed and isinstance(batches, list | tuple)
        batches = [(i, t) for i, t in batches]
        ids = torch.cat([i.flatten(1)[:, 0] for i, _ in batches]).long()
        together = together and bool(torch.equal(torch.cat([t for _, t in batches]), labels[ids]))
        epochs.append((ids, [len(t) for _, t in batches], batches))
    (first, sizes, batches), (second, _, _), (again, _, _) = epochs
    kinds = [len(t.unique()) for _, t in batches if len(t) == size]
    everything = torch.arange(len(labels))
    return {
        "every image keeps its own label": together,
        "every image comes once": bool(torch.equal(first.sort().values, everything)),
        "the sizes of the batches": sizes,
        "the batches mix the classes": sum(kinds) / len(kinds) > 2.5,
        "the order is new in the second epoch": not torch.equal(first, second),
        "what comes back is a list": listed,
        "the same seed gives the same order": torch.equal(first, again),
        "the order is another than the file's": Extra(not torch.equal(first, everything)),
        "the batches come in the file's order": Extra(
            [int(t.min()) for _, t in batches] == sorted(int(t.min()) for _, t in batches)
        ),
        "the same order at every call": Extra(bool(torch.equal(first, second))),
    }


def sorted_digits(count, per_class):
    """Make images that carry their own index in every pixel, sorted by label."""
    images = torch.arange(count, dtype=torch.float32)[:, None, None, None].expand(-1, 1, 2, 2)
    return images.clone(), torch.arange(count) // per_class


@epoch_batches.probe
def sixty_sorted(g):
    return *sorted_digits(60, 6), 6


@epoch_batches.probe
def a_short_last_batch(g):
    return *sorted_digits(110, 11), 11 - 3


@epoch_batches.probe
def ninety_in_nines(g):
    return *sorted_digits(90, 9), 9


@epoch_batches.alternative("A DataLoader does the same: shuffle, cut, keep the pairs together.")
def with_a_loader(images, labels, size):
    from torch.utils.data import DataLoader, TensorDataset

    return list(DataLoader(TensorDataset(images, labels), batch_size=size, shuffle=True))


@epoch_batches.alternative("The order can be cut instead of the examples.")
def cut_the_order(images, labels, size):
    batches = []
    for rows in torch.randperm(len(images)).split(size):
        batches.append([images[rows], labels[rows]])
    return batches


@epoch_batches.alternative("Sorting random numbers gives a random order, too.")
def by_random_numbers(images, labels, size):
    order = torch.rand(len(labels)).argsort().tolist()
    starts = range(0, len(order), size)
    return [(images[order[s : s + size]], labels[order[s : s + size]]) for s in starts]


@epoch_batches.misconception(
    title="The batches come sorted, one digit at a time",
    why="A batch of zeros says: answer 0, whatever you see. The next one says: answer 1. The network forgets each digit while it "
    "learns the next, and ends with the last one on its mind. The training loss looks excellent all along, because every "
    "batch asks for one answer only.",
    next="Let every batch be a sample of the whole set.",
    link="the-first-three-data",
    shows="the batches mix the classes",
    starter=True,
    evidence=lambda images, labels, size: (
        f"The labels of the file's first two batches: {labels[:size].tolist()}, "
        f"{labels[size : 2 * size].tolist()}."
    ),
)
def in_the_files_order(images, labels, size):
    order = torch.arange(len(labels))
    images, labels = images[order], labels[order]
    return list(zip(images.split(size), labels.split(size)))


@epoch_batches.misconception(
    title="Images and labels were shuffled apart",
    why="Each call of `randperm` draws another order. The batches are mixed now, and no image has its own label any more: there is "
    "nothing left to learn, and no error says so.",
    next="Draw one order, and use it for both.",
    link="the-first-three-data",
    shows="every image keeps its own label",
)
def shuffled_apart(images, labels, size):
    images, labels = images[torch.randperm(len(images))], labels[torch.randperm(len(labels))]
    return list(zip(images.split(size), labels.split(size)))


@epoch_batches.misconception(
    title="The batches are shuffled, their contents are not",
    why="Each batch is still full of one digit. Only the order in which the digits come is random now.",
    next="Mix the examples before you cut.",
    link="the-first-three-data",
    shows="the batches mix the classes",
)
def shuffled_the_batches(images, labels, size):
    batches = list(zip(images.split(size), labels.split(size)))
    return [batches[i] for i in torch.randperm(len(batches)).tolist()]


@epoch_batches.misconception(
    title="The same order in every epoch",
    why="The batches are mixed, and always in the same way, so the same examples meet in every epoch. Where `torch.manual_seed` in the "
    "function is to blame, it resets everybody else's random numbers, too, such as those of dropout.",
    next="Draw a new order at every call; seed once, at the top of the program.",
    link="the-first-three-data",
    shows="the order is new in the second epoch",
)
def seeded_every_time(images, labels, size):
    torch.manual_seed(0)
    order = torch.randperm(len(labels))
    images, labels = images[order], labels[order]
    return list(zip(images.split(size), labels.split(size)))


@epoch_batches.misconception(
    title="Drawn with replacement",
    why="`randint` may draw an example twice and another not at all: about a third of the images are missing in every epoch.",
    next="A permutation has every number once.",
    link="the-first-three-data",
    shows="every image comes once",
)
def with_replacement(images, labels, size):
    order = torch.randint(len(labels), (len(labels),))
    images, labels = images[order], labels[order]
    return list(zip(images.split(size), labels.split(size)))


@epoch_batches.misconception(
    title="Mixed inside the batches only",
    why="Each batch was cut first and mixed then. It still holds the same examples, nearly all of one digit; only their order inside the "
    "batch is random, and the mean loss of a batch has no order.",
    next="Mix the examples before you cut.",
    link="the-first-three-data",
    shows="the batches mix the classes",
)
def mixed_inside(images, labels, size):
    batches = []
    for i, t in zip(images.split(size), labels.split(size)):
        order = torch.randperm(len(t))
        batches.append((i[order], t[order]))
    return batches


@epoch_batches.misconception(
    title="The order does not follow torch's seed",
    why="The batches are right. But Python's and NumPy's generators do not listen to `torch.manual_seed`, and a seed from the clock listens "
    "to nothing: this training cannot be run a second time.",
    next="Draw the order from torch's shared generator, and leave its seed alone.",
    link="the-first-three-data",
    shows="the same seed gives the same order",
)
def another_generator(images, labels, size):
    import random

    order = list(range(len(labels)))
    random.shuffle(order)
    images, labels = images[order], labels[order]
    return list(zip(images.split(size), labels.split(size)))


# The clinic: loss and step ------------------------------------------------------------------------


@exercise(
    level="clinic",
    minutes=4,
    why="`F.cross_entropy` contains the softmax: it takes logits.",
    hints=(
        "Where does the loss stop when the network is right and sure about every image of one batch?",
        "What does `F.cross_entropy` do with its first argument before it takes the logarithm?",
        "Something is done twice.",
    ),
)
def digit_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Compute the mean cross-entropy of a batch: minus the log of the probability of the right class.

    logits: (B, C), floats, any size, as the network gives them; gradients flow back to them.
    labels: (B,), int64.
    Returns a tensor without axes.
    """
    return F.cross_entropy(logits, labels)


@digit_loss.drive
def loss_and_its_gradient(answer, logits, labels):
    leaf = logits.clone().requires_grad_()
    loss = answer(leaf, labels)
    seen = {"result": loss}
    if isinstance(loss, torch.Tensor) and loss.dim() == 0 and loss.requires_grad:
        seen["the gradient at the logits"] = torch.autograd.grad(loss, leaf)[0]
    return seen


@digit_loss.probe
def three_images(g):
    return 3 * numbers(g, 3, 4), digits(g, 3)


@digit_loss.probe
def very_sure(g):  # where a probability is rounded to 0
    return 900 * numbers(g, 5, 3).sign() + numbers(g, 5, 3), digits(g, 5)


@digit_loss.probe
def as_many_classes_as_images(g):
    return 2 * numbers(g, 4, 4), digits(g, 4)


@digit_loss.alternative(
    "`log_softmax` first changes nothing: the softmax of log-probabilities gives the probabilities back."
)
def log_softmax_first(logits, labels):
    return F.cross_entropy(logits.log_softmax(1), labels)


@digit_loss.alternative("The same in two steps.")
def in_two_steps(logits, labels):
    return F.nll_loss(F.log_softmax(logits, dim=1), labels)


@digit_loss.alternative("And by hand, with a safe logarithm of the sum.")
def by_hand(logits, labels):
    picked = logits[torch.arange(len(labels)), labels]
    return (logits.logsumexp(1) - picked).mean()


@digit_loss.misconception(
    title="Softmax stands before the cross-entropy, which has its own",
    why="The probabilities, between 0 and 1, are taken for logits, and as logits they are close together. Even a network that is "
    "always right and sure cannot get below 1.46 with ten classes, and its gradients are small on the way there. The first "
    "loss looks right, and the accuracy creeps up.",
    next="Hand over the logits as they are.",
    link="loss-and-step",
    starter=True,
)
def softmax_twice(logits, labels):
    probabilities = logits.softmax(1)
    return F.cross_entropy(probabilities, labels)


@digit_loss.misconception(
    title="Negative log-likelihood of probabilities",
    why="`nll_loss` takes log-probabilities and only picks and averages. Of probabilities it makes minus their mean: a loss below 0 "
    "whose gradient hardly punishes a sure mistake.",
    next="Let one function do softmax and logarithm together.",
    link="loss-and-step",
)
def nll_of_probabilities(logits, labels):
    probabilities = logits.softmax(1)
    return F.nll_loss(probabilities, labels)


@digit_loss.misconception(
    title="The logarithm of a probability that was rounded to 0",
    why="On paper this is the cross-entropy. In floating point a small probability becomes exactly 0, its logarithm is minus "
    "infinity, and the gradient is NaN: the training dies at the first sure mistake.",
    next="Let one function do softmax and logarithm together.",
    link="nan-at-its-birth",
)
def log_of_softmax(logits, labels):
    probabilities = logits.softmax(1)
    return F.nll_loss(probabilities.log(), labels)


@digit_loss.misconception(
    title="The softmax became a sigmoid",
    why="Between 0 and 1 again: as logits they are as close together as before. It is not the kind of squashing that was wrong, "
    "but that there is any.",
    next="Hand over the logits as they are.",
    link="loss-and-step",
)
def sigmoid_instead(logits, labels):
    probabilities = logits.sigmoid()
    return F.cross_entropy(probabilities, labels)


@digit_loss.misconception(
    title="The softmax was sharpened",
    why="Multiplied by ten, the probabilities are further apart, so the floor is lower. It is a floor still, and the gradient is "
    "another one than that of the cross-entropy.",
    next="Take the softmax away instead of making up for it.",
    link="loss-and-step",
)
def made_up_for_it(logits, labels):
    probabilities = logits.softmax(1)
    return F.cross_entropy(10 * probabilities, labels)


@digit_loss.misconception(
    title="A small number was added inside the logarithm",
    why="The infinity is gone, and a cap has come: with 1e-8 no mistake can cost more than 18.4, and where a probability is rounded to 0 hardly "
    "any gradient is left to mend it.",
    next="Let one function do softmax and logarithm together.",
    link="nan-at-its-birth",
)
def small_number_added(logits, labels):
    probabilities = logits.softmax(1)
    return F.nll_loss((probabilities + 1e-8).log(), labels)


@digit_loss.misconception(
    title="The exponentials overflow",
    why="On paper this is the cross-entropy. In floating point the exponential of a large logit is infinite, and so is the logarithm of a sum "
    "with it in.",
    next="Something that you know computes the logarithm of such a sum safely.",
    link="nan-at-its-birth",
)
def exponentials_by_hand(logits, labels):
    picked = logits[torch.arange(len(labels)), labels]
    return (logits.exp().sum(1).log() - picked).mean()


@exercise(
    level="clinic",
    minutes=5,
    why="The gradient of the mean does not grow with the batch, so the learning rate means the same for every batch size.",
    hints=(
        "How large are the update-to-weight ratios in the first step?",
        "The returned number is a mean. Is the number that goes backward one?",
        "Compare the gradient of a sum of 64 losses with that of their mean.",
    ),
)
def train_on_batch(
    model: nn.Module, optimizer, images: torch.Tensor, labels: torch.Tensor
) -> float:
    """Take one step along the gradient of the batch's mean cross-entropy.

    model: gives logits (B, C). It stays in the mode in which it comes. What its parameters hold in
    `.grad` from before does not count.
    optimizer: over the model's parameters, at a learning rate that was chosen for a mean loss.
    Returns the mean loss before the step, a float.
    """
    loss = F.cross_entropy(model(images), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


@train_on_batch.drive
def two_batches(answer, model, optimizer, images, labels):
    rates, modes = [group["lr"] for group in optimizer.param_groups], modes_of(model)
    seen, cut = {}, len(images) // 3
    for number, rows in enumerate((slice(None, cut), slice(cut, None)), start=1):
        loss = answer(model, optimizer, images[rows], labels[rows])
        seen[f"the parameters after step {number}"] = parameters_of(model)
        seen[f"the loss of step {number}"] = loss
    seen["the optimizer's learning rate is as it was"] = rates == [
        group["lr"] for group in optimizer.param_groups
    ]
    seen["the model is in its mode"] = modes_of(model) == modes
    return seen


@train_on_batch.probe
def nine_points(g):  # with a gradient that somebody left behind
    model = fill(nn.Linear(2, 3), g)
    model.weight.grad = numbers(g, 3, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return model, optimizer, 2 * numbers(g, 9, 2), digits(g, 9)


@train_on_batch.probe
def with_momentum(g):
    model = fill(nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)), g)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.9)
    return model, optimizer, numbers(g, 12, 3), digits(g, 12, 2)


@train_on_batch.probe
def steep_places(g):  # where clipping to length 1 would show
    model = fill(nn.Linear(3, 3), g)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    return model, optimizer, 8 * numbers(g, 15, 3), digits(g, 15)


@train_on_batch.alternative("The sum may stay, if it is divided before it goes backward.")
def divided_in_time(model, optimizer, images, labels):
    loss = F.cross_entropy(model(images), labels, reduction="sum") / len(labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


@train_on_batch.alternative("Dividing the gradients of the sum is the same.")
def divided_the_gradients(model, optimizer, images, labels):
    total = F.cross_entropy(model(images), labels, reduction="sum")
    optimizer.zero_grad()
    total.backward()
    for parameter in model.parameters():
        parameter.grad /= len(labels)
    optimizer.step()
    return total.item() / len(labels)


@train_on_batch.alternative("One loss per example, and their mean.")
def mean_of_losses(model, optimizer, images, labels):
    optimizer.zero_grad()
    losses = F.cross_entropy(model(images), labels, reduction="none")  # (B,)
    losses.mean().backward()
    optimizer.step()
    return losses.mean().item()


@train_on_batch.misconception(
    title="The gradient is that of the sum over the batch",
    why="A sum of B losses has a gradient B times as long as their mean, and plain SGD takes a step B times as long: the learning "
    "rate is B times too high, and it changes with every batch size. The number that is returned was divided, so the log shows "
    "none of it.",
    next="Go backward from the mean.",
    link="loss-and-step",
    shows="the parameters after step 1",
    starter=True,
)
def summed_up(model, optimizer, images, labels):
    loss = F.cross_entropy(model(images), labels, reduction="sum")
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item() / len(labels)


@train_on_batch.misconception(
    title="Lowered the learning rate",
    why="The step is shorter, and it is still as many times too long as the batch has examples: the next batch size needs the next "
    "rate. The optimizer belongs to the caller, too, who set its rate for a mean loss and now has another.",
    next="Leave the rate alone, and look at what goes backward.",
    link="loss-and-step",
    shows="the parameters after step 1",
)
def lowered_in_the_step(model, optimizer, images, labels):
    for group in optimizer.param_groups:
        group["lr"] = 0.001
    loss = F.cross_entropy(model(images), labels, reduction="sum")
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item() / len(labels)


@train_on_batch.misconception(
    title="Clipped the gradient of the sum",
    why="Clipping stops the explosion: every gradient that is longer than 1 is cut to 1. Nearly all of them are, with a sum, so "
    "the step no longer depends on how wrong the batch was.",
    next="Mend what makes the gradient long. Clip afterwards, if it still has outliers.",
    link="loss-and-step",
    shows="the parameters after step 1",
)
def clipped_it(model, optimizer, images, labels):
    loss = F.cross_entropy(model(images), labels, reduction="sum")
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return loss.item() / len(labels)


@train_on_batch.misconception(
    title="The mean was divided once more",
    why="The step is right now. The number that is returned is a mean already, and divided by the batch's size again it flatters.",
    next="Return the mean as it is.",
    link="loss-and-step",
    shows="the loss of step 1",
)
def divided_twice(model, optimizer, images, labels):
    loss = F.cross_entropy(model(images), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item() / len(labels)


@train_on_batch.misconception(
    title="The sum was divided by a number that fits one batch size",
    why="64 is right for batches of 64. The last batch of an epoch is shorter, and other trainings have other sizes.",
    next="Divide by the size of this batch, or let the loss do it.",
    link="loss-and-step",
    shows="the parameters after step 1",
)
def divided_by_64(model, optimizer, images, labels):
    loss = F.cross_entropy(model(images), labels, reduction="sum") / 64
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item() * 64 / len(labels)


@train_on_batch.misconception(
    title="The rate was divided for the step, and put back",
    why="For plain SGD that is the same as dividing the gradient. Momentum remembers gradients: the long ones of a sum, and of a large batch longer "
    "ones than of a small. Adam divides their length away and would then step too short.",
    next="Leave the rate alone, and look at what goes backward.",
    link="loss-and-step",
)
def rate_divided(model, optimizer, images, labels):
    loss = F.cross_entropy(model(images), labels, reduction="sum")
    optimizer.zero_grad()
    loss.backward()
    for group in optimizer.param_groups:
        group["lr"] /= len(labels)
    optimizer.step()
    for group in optimizer.param_groups:
        group["lr"] *= len(labels)
    return loss.item() / len(labels)


@train_on_batch.misconception(
    title="The old gradients were cleared after the step only",
    why="What was in `.grad` before is added to this batch's gradient and goes into the step. It may come from anywhere: a look at "
    "`gradient_norms`, another loss, another loop.",
    next="Clear them between the last step and this `backward`.",
    link="loss-and-step",
    shows="the parameters after step 1",
)
def cleared_too_late(model, optimizer, images, labels):
    loss = F.cross_entropy(model(images), labels)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    return loss.item()


@train_on_batch.misconception(
    title="The rate was divided, and once more in every step",
    why="What is written into `param_groups` stays there. The second step divides the divided rate again, and after a few batches "
    "nothing moves any more.",
    next="Leave the rate alone, and look at what goes backward.",
    link="loss-and-step",
    shows="the optimizer's learning rate is as it was",
)
def rate_divided_for_good(model, optimizer, images, labels):
    loss = F.cross_entropy(model(images), labels, reduction="sum")
    for group in optimizer.param_groups:
        group["lr"] /= len(labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item() / len(labels)


@exercise(
    level="clinic",
    minutes=5,
    why="An optimizer moves the tensors that it was given. The new layer must be there when it is made.",
    hints=(
        "Look at the update-to-weight ratios, layer by layer.",
        "An optimizer keeps the parameters it was given, not the model. Which ones did it get?",
        "The two statements are right. Their order is not.",
    ),
)
def with_new_head(model: nn.Sequential, classes: int) -> tuple:
    """Give a trained network a new last layer for another task, and an optimizer to train all of it.

    model: a Sequential that ends in an nn.Linear. It is changed in place: the last layer is replaced
    by a new nn.Linear with as many inputs and `classes` outputs; the others keep their weights.
    Returns the model, and an SGD optimizer at the rate 0.1 that trains every parameter of it.
    """
    model[-1] = nn.Linear(model[-1].in_features, classes)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return model, optimizer


@with_new_head.drive
def train_with_the_new_head(answer, model, classes):
    body = {name: p.detach().clone() for name, p in model[:-1].named_parameters()}
    inputs, count, old = model[-1].in_features, len(model), model[-1]
    x = torch.ones(4, next(iter(body.values())).shape[1])
    mine, optimizer = answer(model, classes)
    held = [id(p) for group in optimizer.param_groups for p in group["params"]]
    shape = tuple(mine[-1].weight.shape)
    seen = {
        "the model is the one that was given": mine is model,
        "how many layers it has": len(mine),
        "the last layer is a new nn.Linear": isinstance(mine[-1], nn.Linear)
        and mine[-1] is not old,
        "the shape of the last layer's weight": shape,
        "the other layers keep their weights": all(
            torch.equal(p, body[n]) for n, p in mine[: count - 1].named_parameters()
        ),
        "the model's outputs fit the new task": mine(x).shape == (4, classes),
    }
    head, rest = mine[-1].weight.detach().clone(), parameters_of(mine[:-1])
    mine(x)[:, 0].square().sum().add(mine(x).sum()).backward()
    optimizer.step()
    return seen | {
        "the new layer moves": shape[1] == inputs and not torch.equal(mine[-1].weight, head),
        "the other layers move": not all(
            torch.equal(p, rest[n]) for n, p in mine[:-1].named_parameters()
        ),
        "the optimizer is SGD at 0.1": isinstance(optimizer, torch.optim.SGD)
        and all(g["lr"] == 0.1 for g in optimizer.param_groups),
        "how many parameters the optimizer holds": Extra(len(held)),
        "it has the new layer's parameters": Extra(id(mine[-1].weight) in held),
    }


def a_body(g, *sizes):
    layers = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.Tanh()]
    return fill(nn.Sequential(*layers[:-1]), g, 0.5).float()


@with_new_head.probe
def three_classes(g):
    return a_body(g, 2, 4, 5), 3


@with_new_head.probe
def two_classes_deeper(g):
    return a_body(g, 3, 4, 3, 4), 2


@with_new_head.probe
def as_many_classes_as_before(g):  # where the shapes cannot tell
    return a_body(g, 2, 6, 4), 4


@with_new_head.alternative("The optimizer can get the new layer's parameters afterwards.")
def added_a_group(model, classes):
    optimizer = torch.optim.SGD(model[:-1].parameters(), lr=0.1)
    model[-1] = nn.Linear(model[-1].in_features, classes)
    optimizer.add_param_group({"params": model[-1].parameters()})
    return model, optimizer


@with_new_head.alternative(
    "Replaced by its index; the old layer's parameters may stay in the optimizer, they never move."
)
def old_ones_stay(model, classes):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    head = nn.Linear(model[len(model) - 1].in_features, classes)
    optimizer.add_param_group({"params": list(head.parameters()), "lr": 0.1})
    model[len(model) - 1] = head
    return model, optimizer


@with_new_head.misconception(
    title="The optimizer was made before the layer was replaced",
    why="It holds the parameters of the layer that is gone. The new layer gets gradients in every step, and nobody moves it: it stays "
    "as random as it was. The rest of the network learns to live with it, so the loss still falls. "
    "Asking it for gradients once more, with `requires_grad_`, changes nothing: it has them.",
    next="Make the optimizer when the model is complete.",
    link="loss-and-step",
    shows="the new layer moves",
    starter=True,
)
def optimizer_too_early(model, classes):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model[-1] = nn.Linear(model[-1].in_features, classes)
    return model, optimizer


@with_new_head.misconception(
    title="Now only the new layer is trained",
    why="The optimizer has no other parameters than the new layer's, or the others were frozen. That is a choice that people make on "
    "purpose, to keep the rest as it is; here all of it is to be trained.",
    next="Hand over the parameters of the whole model.",
    link="loss-and-step",
    shows="the other layers move",
)
def head_only(model, classes):
    model[-1] = nn.Linear(model[-1].in_features, classes)
    optimizer = torch.optim.SGD(model[-1].parameters(), lr=0.1)
    return model, optimizer


@with_new_head.misconception(
    title="Raised the learning rate",
    why="The layer that does not move is not in the optimizer. No rate moves what it does not hold; the other layers are thrown about.",
    next="Put the rate back, and look at which parameters the optimizer has.",
    link="loss-and-step",
    shows="the new layer moves",
)
def raised_the_rate(model, classes):
    optimizer = torch.optim.SGD(model.parameters(), lr=10.0)
    model[-1] = nn.Linear(model[-1].in_features, classes)
    return model, optimizer


@with_new_head.misconception(
    title="Changed the number, not the layer",
    why="`out_features` is a note that the layer keeps for printing. Its weight has as many rows as before, and so have its outputs.",
    next="A layer with another number of outputs is a new layer.",
    link="loss-and-step",
)
def changed_the_number(model, classes):
    model[-1].out_features = classes
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return model, optimizer


@with_new_head.misconception(
    title="The new layer was put behind the old one",
    why="The old last layer is still there. All that the new one ever sees are its few outputs, made for another task, with nothing that bends "
    "between the two.",
    next="The new layer takes the old one's place.",
    link="loss-and-step",
    shows="how many layers it has",
)
def behind_the_old(model, classes):
    model.append(nn.Linear(model[-1].out_features, classes))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return model, optimizer


@with_new_head.misconception(
    title="The old layer was cut down",
    why="Its first rows were kept, so the new task starts with weights that were trained for another one: even and odd begin as the "
    "detectors of two digits. With more classes than before there are no rows to keep.",
    next="A new task gets a new layer.",
    link="loss-and-step",
    shows="the last layer is a new nn.Linear",
)
def cut_down(model, classes):
    old = model[-1]
    old.weight = nn.Parameter(old.weight[:classes].detach().clone())
    old.bias = nn.Parameter(old.bias[:classes].detach().clone())
    old.out_features = classes
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return model, optimizer


@with_new_head.misconception(
    title="A new network around the old layers",
    why="`nn.Sequential(…)` makes another object. It shares the old layers and has the new head, and `model` still has the old one: "
    "whoever goes on with `model` gets the answers of the old task.",
    next="Change `model` itself: a Sequential lets you assign to a place in it.",
    link="loss-and-step",
    shows="the model is the one that was given",
)
def a_new_network(model, classes):
    model = nn.Sequential(*model[:-1], nn.Linear(model[-1].in_features, classes))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return model, optimizer


# The clinic: gradients and activations ------------------------------------------------------------


@exercise(
    level="clinic",
    minutes=5,
    why="A ReLU lets a gradient through whole or not at all, so it does not shrink from layer to layer as behind a sigmoid.",
    hints=(
        "Print `gradient_norms` of the network after one `backward()`, and compare the first layer with the last.",
        "The slope of a sigmoid is at most 0.25. Each layer on the way back multiplies by it.",
        "Which activation has slope 1 where it lets anything through?",
    ),
)
class DeepNet(nn.Module):
    """A deep network for images: `depth` hidden layers of `width` units, then one layer of logits.

    Every hidden layer is an nn.Linear of its own with something that bends behind it. Gradients must
    reach the first layer: in a new network the norm of its weight's gradient is at least 0.00001
    times that of the last layer's. This is tried with ten hidden layers, 32 units or more in each,
    and 400 pixels or more. No hook changes a gradient on its way.

    pixels: numbers per image.
    forward takes images (B, …) with `pixels` numbers each and returns logits (B, classes);
    log-probabilities count as logits, probabilities do not.
    """

    def __init__(self, pixels: int, width: int, depth: int, classes: int) -> None:
        super().__init__()
        layers = []
        for _ in range(depth):
            layers += [nn.Linear(pixels, width), nn.ReLU()]
            pixels = width
        self.layers = nn.Sequential(*layers, nn.Linear(width, classes))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layers(images.flatten(1))


@DeepNet.drive
def build_and_send_back(answer, images, labels, width, depth, classes):
    pixels = images[0].numel()
    model = answer(pixels, width, depth, classes).train()
    linears = [m for m in model.modules() if isinstance(m, nn.Linear)]
    called, given, gave = [], [], []

    def keep(layer, x, y):
        called.append(layer)
        given.append(x[0].detach().clone())  # an activation may overwrite them in place
        gave.append(y.detach().clone())

    for linear in linears:
        linear.register_forward_hook(keep)
    logits = model(images)
    if not called:
        ran = f"{len(linears)}, and none of them runs"
        return {"the shape of the logits": tuple(logits.shape), "how many linear layers": ran}
    weights = [p for p in model.parameters() if p.dim() == 2]
    for weight in weights:
        weight._backward_hooks = None  # the gradient itself is asked for
    F.cross_entropy(logits, labels).backward()
    norms = [0.0 if p.grad is None else p.grad.norm().item() for p in weights]
    first = max((n for n, p in zip(norms, weights) if p.shape[1] == pixels), default=0.0)
    last = max((n for n, p in zip(norms, weights) if p.shape[0] == classes), default=0.0)
    arrives = "it arrives" if last and first > 1e-5 * last else sigmoids(gave, given[1:])
    nothing_between = [
        y.shape == x.shape and torch.equal(y, x) for y, x in zip(gave, given[1:])
    ].count(True)
    return {
        "the shape of the logits": tuple(logits.shape),
        "how many linear layers": in_layers(linears, called, depth),
        "`depth` of them give `width` numbers": [m.out_features for m in linears].count(width)
        == depth,
        "what the last layer gives": comes_out(model, called[-1], images),
        "what bends behind the hidden layers": bending(model, images, nothing_between),
        "every layer gets a gradient": all(norms),
        "the gradient at the first layer": arrives,
    }


def in_layers(linears, called, depth):
    """Say in words how many linear layers there are, and whether one of them is used again."""
    often = max(called.count(m) for m in called)
    if often > 1:
        return f"{len(linears)}, and one of them runs {often} times"
    return "two to four" if 2 <= len(linears) <= 4 < depth else str(len(linears))


def sigmoids(gave, handed_on):
    """Say in words that hardly a gradient arrives, and behind how many hidden layers a sigmoid stands."""
    pairs = [(y, x) for y, x in zip(gave, handed_on) if y.shape == x.shape]
    count = sum(torch.allclose(y.sigmoid(), x, atol=1e-5) for y, x in pairs)
    return f"too small; sigmoids behind hidden layers: {count}"


def bending(model, images, nothing_between):
    """Say in words whether something bends, given between how many layers nothing stands at all."""
    if not bends(model, images):
        return "nothing: the whole network is one straight map"
    if nothing_between:
        return f"nothing behind {nothing_between} of them"
    return "something behind every one"


def comes_out(model, last, images):
    """Say in words what becomes of the last layer's numbers."""
    as_it_is = "comes out as it is"
    if last.bias is None:
        return as_it_is
    kept = last.weight.detach().clone(), last.bias.detach().clone()
    due = torch.arange(len(last.bias)).mul(-1.0).log_softmax(0)  # below 0, and log-probabilities
    with torch.no_grad():
        last.weight.zero_()
        last.bias.copy_(due)
        outputs = model(images)
        last.weight.copy_(kept[0])
        last.bias.copy_(kept[1])
    if outputs.shape[-1:] == due.shape and torch.allclose(outputs, due.expand_as(outputs)):
        return as_it_is
    between = bool((outputs > 0).all() and (outputs < 1).all())
    return "is squashed to between 0 and 1" if between else "comes out changed"


def bends(model, images):
    """Whether a model is more than one straight map, told by what it makes of x, -x and 0."""
    model.eval()
    whole = sum(isinstance(m, nn.Linear) for m in model.modules()) > 1
    if whole:  # a layer in a plain list would stay float32
        model.double()
    large, limit = (100 * images.double(), 1e-6) if whole else (100 * images, 1e-3)
    with torch.no_grad():
        middle = model(0 * large)
        up, down = model(large) - middle, model(-large) - middle
    return bool((up + down).norm() > limit * (up.norm() + down.norm()))


@DeepNet.probe
def ten_layers(g):
    return numbers(g, 12, 1, 20, 20).float(), digits(g, 12), 48, 10, 3


@DeepNet.probe
def ten_wider_layers(g):
    return numbers(g, 13, 600).float(), digits(g, 13, 4), 40, 10, 4


@DeepNet.probe
def ten_layers_for_digits(g):
    return numbers(g, 10, 1, 28, 28).float(), digits(g, 10, 10), 32, 10, 10


@DeepNet.alternative("Other activations with slope 1 in places do as well.")
class WithGelu(nn.Module):
    def __init__(self, pixels, width, depth, classes):
        super().__init__()
        self.first = nn.Linear(pixels, width)
        self.hidden = nn.ModuleList(nn.Linear(width, width) for _ in range(depth - 1))
        self.last = nn.Linear(width, classes)

    def forward(self, images):
        x = F.gelu(self.first(images.flatten(1)))
        for layer in self.hidden:
            x = F.gelu(layer(x))
        return self.last(x)


@DeepNet.alternative("BatchNorm before each ReLU keeps the sizes as they are, in both directions.")
class WithNorms(nn.Module):
    def __init__(self, pixels, width, depth, classes):
        super().__init__()
        layers = []
        for _ in range(depth):
            layers += [nn.Linear(pixels, width), nn.BatchNorm1d(width), nn.ReLU()]
            pixels = width
        self.layers = nn.Sequential(*layers, nn.Linear(width, classes))

    def forward(self, images):
        return self.layers(images.flatten(1))


@DeepNet.alternative("A ReLU, with the initialisation that was made for it.")
class WithHe(nn.Module):
    def __init__(self, pixels, width, depth, classes):
        super().__init__()
        sizes = [pixels] + depth * [width]
        layers = []
        for inputs, outputs in pairwise(sizes):
            layer = nn.Linear(inputs, outputs)
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            layers += [layer, nn.LeakyReLU(0.01)]
        self.layers = nn.Sequential(nn.Flatten(), *layers, nn.Linear(width, classes))

    def forward(self, images):
        return self.layers(images)


@DeepNet.misconception(
    title="Squashed ten times in a row, no gradient gets through",
    why="The slope of a sigmoid is 0.25 at best, and other functions that squash are no better. On the way back every layer multiplies by such a number, and ten of them leave "
    "less than a millionth: the first layers stay as they were drawn. The last layer learns how often each digit comes, so "
    "the loss stays near ln 10.",
    next="Choose an activation whose slope is 1 somewhere.",
    link="vanishing-and-exploding",
    starter=True,
    evidence=lambda images, labels, width, depth, classes: (
        f"A sigmoid's slope is 0.25 at most, and 0.25 to the power of {depth} is {0.25**depth:.0e}."
    ),
)
class TenSigmoids(nn.Module):
    def __init__(self, pixels: int, width: int, depth: int, classes: int) -> None:
        super().__init__()
        layers = []
        for _ in range(depth):
            layers += [nn.Linear(pixels, width), nn.Sigmoid()]
            pixels = width
        self.layers = nn.Sequential(*layers, nn.Linear(width, classes))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layers(images.flatten(1))


@DeepNet.misconception(
    title="The network became shallow",
    why="With a hidden layer or two there is little way for a gradient to vanish on. That is another network, and the deep one is still broken.",
    next="Keep the depth, and ask what each layer does to the gradient.",
    link="vanishing-and-exploding",
    shows="how many linear layers",
)
class Shallow(nn.Module):
    def __init__(self, pixels, width, depth, classes):
        super().__init__()
        layers = []
        for _ in range(2):
            layers += [nn.Linear(pixels, width), nn.Sigmoid()]
            pixels = width
        self.layers = nn.Sequential(*layers, nn.Linear(width, classes))

    def forward(self, images):
        return self.layers(images.flatten(1))


@DeepNet.misconception(
    title="Nothing bends any more",
    why="Without an activation the gradient gets through, and eleven linear layers in a row are one linear layer: the network can "
    "learn no more than that.",
    next="Something must bend behind every hidden layer.",
    link="vanishing-and-exploding",
    shows="what bends behind the hidden layers",
)
class NothingBends(nn.Module):
    def __init__(self, pixels, width, depth, classes):
        super().__init__()
        layers = []
        for _ in range(depth):
            layers += [nn.Linear(pixels, width)]
            pixels = width
        self.layers = nn.Sequential(*layers, nn.Linear(width, classes))

    def forward(self, images):
        return self.layers(images.flatten(1))


@DeepNet.misconception(
    title="One sigmoid was exchanged, nine are left",
    why="Behind one hidden layer stands something else now, and the gradient gets past it in good health. On the rest of the way it still shrinks "
    "at every sigmoid.",
    next="Exchange the one that the loop makes for every layer.",
    link="vanishing-and-exploding",
    shows="the gradient at the first layer",
)
class OneExchanged(nn.Module):
    def __init__(self, pixels, width, depth, classes):
        super().__init__()
        layers = []
        for _ in range(depth):
            layers += [nn.Linear(pixels, width), nn.Sigmoid()]
            pixels = width
        layers[-1] = nn.ReLU()
        self.layers = nn.Sequential(*layers, nn.Linear(width, classes))

    def forward(self, images):
        return self.layers(images.flatten(1))


@DeepNet.misconception(
    title="The logits are squashed into probabilities",
    why="The deep part is sound now. But behind the last layer stands a softmax, and the cross-entropy that this network is trained with "
    "has one of its own: patient 4's illness in another place.",
    next="The last layer's numbers come out as they are.",
    link="vanishing-and-exploding",
    shows="what the last layer gives",
)
class Probabilities(nn.Module):
    def __init__(self, pixels, width, depth, classes):
        super().__init__()
        layers = []
        for _ in range(depth):
            layers += [nn.Linear(pixels, width), nn.ReLU()]
            pixels = width
        self.layers = nn.Sequential(*layers, nn.Linear(width, classes))

    def forward(self, images):
        return self.layers(images.flatten(1)).softmax(1)


@DeepNet.misconception(
    title="Wider layers with the same sigmoids",
    why="More units do not make the slope of a sigmoid steeper. The gradient shrinks from layer to layer as before, and the network has "
    "another size than was asked for.",
    next="Keep the sizes, and look at what stands between the layers.",
    link="vanishing-and-exploding",
    shows="the gradient at the first layer",
)
class Wider(nn.Module):
    def __init__(self, pixels, width, depth, classes):
        super().__init__()
        layers = []
        for _ in range(depth):
            layers += [nn.Linear(pixels, 4 * width), nn.Sigmoid()]
            pixels = 4 * width
        self.layers = nn.Sequential(*layers, nn.Linear(4 * width, classes))

    def forward(self, images):
        return self.layers(images.flatten(1))


@DeepNet.misconception(
    title="The hidden layers stand in a plain list",
    why="`nn.Module` finds layers that are its own attributes, or in a Sequential or a ModuleList. It does not look into a list: "
    "`parameters()` does not know these layers, so no optimizer trains them.",
    next="Put them where the module finds them.",
    link="vanishing-and-exploding",
    shows="how many linear layers",
)
class InAPlainList(nn.Module):
    def __init__(self, pixels, width, depth, classes):
        super().__init__()
        self.hidden = []
        for _ in range(depth):
            self.hidden.append(nn.Linear(pixels, width))
            pixels = width
        self.last = nn.Linear(width, classes)

    def forward(self, images):
        x = images.flatten(1)
        for layer in self.hidden:
            x = layer(x).relu()
        return self.last(x)


@DeepNet.misconception(
    title="One hidden layer, used again and again",
    why="The way is as long as asked, but the same weights stand at every step of it: it is one layer that runs many times, with the gradients of all "
    "its runs added up.",
    next="Each hidden layer needs weights of its own.",
    link="vanishing-and-exploding",
    shows="how many linear layers",
)
class OneLayerAgain(nn.Module):
    def __init__(self, pixels, width, depth, classes):
        super().__init__()
        self.first = nn.Linear(pixels, width)
        self.again = nn.Linear(width, width)
        self.last = nn.Linear(width, classes)
        self.depth = depth

    def forward(self, images):
        x = self.first(images.flatten(1)).relu()
        for _ in range(self.depth - 1):
            x = self.again(x).relu()
        return self.last(x)


@exercise(
    level="clinic",
    minutes=5,
    why="Random weights make every unit a different one; the root of 2 over the inputs keeps the size of what flows through.",
    hints=(
        "Look at the rows of the first layer's weight after training. How many different ones are there?",
        "Two units that start alike get the same gradient, and stay alike.",
        "`nn.init` has functions that draw. Which of them keeps the scale behind a ReLU?",
    ),
    equivalent_mutants=("nn.init.kaiming_normal_(module.weight)",),  # its default has the same gain
)
def start_weights(model: nn.Module) -> None:
    """Initialise the linear layers of a ReLU network, in place.

    Every weight is drawn anew around 0, with the standard deviation sqrt(2 / inputs of its layer).
    Every bias is 0. Two calls give two different starts. All other layers stay as they are.

    model: any module, with nn.Linear layers at any depth, each with a bias. Its parameters are the
    same objects afterwards, with new numbers in them.
    """
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            nn.init.zeros_(module.bias)


@start_weights.drive
def look_at_the_weights(answer, model):
    linears = [m for m in model.modules() if isinstance(m, nn.Linear)]
    before, owners = (
        dict(model.named_parameters()),
        {id(p) for m in linears for p in m.parameters()},
    )
    others = {n: p.detach().clone() for n, p in before.items() if id(p) not in owners}
    answer(model)
    drawn = [m.weight.detach().clone() for m in linears]
    answer(model)
    after = dict(model.named_parameters())
    rows = [len(m.weight.detach().unique(dim=0)) for m in linears]
    return {
        "no two units have the same weights": all(
            r == m.out_features for r, m in zip(rows, linears)
        ),
        "the weights lie around 0": all(map(around_0, linears)),
        "every weight is drawn for itself": all(
            len(m.weight.detach().unique()) > 0.95 * m.weight.numel() for m in linears
        ),
        "the standard deviation of the weights": spread(linears),
        "the biases are 0": all(not m.bias.any() for m in linears),
        "the parameters still learn": all(p.requires_grad for p in model.parameters()),
        "the parameters are the same objects": all(after.get(n) is p for n, p in before.items()),
        "the other layers are as they were": all(
            torch.equal(after[n], p) for n, p in others.items()
        ),
        "two calls give two starts": not all(
            torch.equal(m.weight, first) for m, first in zip(linears, drawn)
        ),
        "how many different rows": Extra(rows),
        "all weights are 0": Extra(not any(m.weight.any() for m in linears)),
    }


def around_0(linear):
    """Whether the weights' mean is 0, as far as so many different numbers can tell."""
    weight = linear.weight.detach()
    return abs(weight.mean()) <= max(0.1, 5 / len(weight.unique()) ** 0.5) * weight.std()


def spread(linears):
    """Say in words which rule the standard deviations of the weights follow."""
    rules = {
        "sqrt(2 / inputs)": lambda inputs, outputs: math.sqrt(2 / inputs),
        "sqrt(2 / outputs)": lambda inputs, outputs: math.sqrt(2 / outputs),
        "1 in every layer": lambda inputs, outputs: 1.0,
        "0.01 in every layer": lambda inputs, outputs: 0.01,
        "2 / inputs": lambda inputs, outputs: 2 / inputs,
        "sqrt(2 / (inputs + outputs))": lambda inputs, outputs: math.sqrt(2 / (inputs + outputs)),
        "0": lambda inputs, outputs: 0.0,
        "as for numbers drawn between 0 and 1": lambda inputs, outputs: math.sqrt(1 / 12),
    }
    for name, rule in rules.items():
        due = [rule(m.in_features, m.out_features) for m in linears]
        if all(0.9 * d <= m.weight.std().item() <= 1.1 * d + 1e-9 for m, d in zip(linears, due)):
            return name
    seen = [m.weight.std().item() * math.sqrt(m.in_features / 2) for m in linears]
    sizes = {"smaller than that": max(seen) < 1, "larger than that": min(seen) > 1}
    return next((words for words, holds in sizes.items() if holds), "another")


@start_weights.probe
def two_linears(g):
    return (fill(nn.Sequential(nn.Linear(80, 40), nn.ReLU(), nn.Linear(40, 50)), g),)


@start_weights.probe
def one_wide_layer(g):
    return (fill(nn.Sequential(nn.Linear(120, 40)), g, 0.1).float(),)


@start_weights.probe
def a_nested_network(g):  # with layers that are not to be touched
    others = nn.Conv1d(2, 3, 3), nn.LayerNorm(50), nn.Embedding(5, 4)
    block = nn.Sequential(nn.Linear(50, 50), *others, nn.ReLU())
    return (fill(nn.Sequential(block, nn.Sequential(nn.Linear(50, 80))), g),)


@start_weights.alternative("Drawn by hand, under `no_grad`.")
def drawn_by_hand(model):
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Linear):
                scale = (2 / module.in_features) ** 0.5
                module.weight.copy_(scale * torch.randn_like(module.weight))
                module.bias.zero_()


@start_weights.alternative("A uniform distribution of the same width does as well.")
def uniform_of_the_same_width(model):
    def start(module):
        if type(module) is nn.Linear:
            nn.init.kaiming_uniform_(module.weight, nonlinearity="relu")
            module.bias.data.fill_(0.0)

    model.apply(start)


@start_weights.misconception(
    title="All weights of a layer start with the same value",
    why="Units that start alike compute the same, get the same gradient, and move alike for ever: the layer has one unit, "
    "written down many times. The loss falls a little, as far as one unit can take it.",
    next="Draw the weights at random.",
    link="vanishing-and-exploding",
    shows="no two units have the same weights",
    starter=True,
)
def all_the_same(model):
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.constant_(module.weight, 0.01)
            nn.init.zeros_(module.bias)


@start_weights.misconception(
    title="All weights start at 0",
    why="Zeros are the most equal of equal values. What is more, no gradient passes through a layer of zeros, so only the last bias "
    "learns.",
    next="Draw the weights at random.",
    link="vanishing-and-exploding",
    shows="no two units have the same weights",
)
def all_zero(model):
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.weight)
            nn.init.zeros_(module.bias)


@start_weights.misconception(
    title="Random, but the same row for every unit",
    why="One row was drawn and written into all of them. Each weight of a unit differs from the others, and the units are still copies "
    "of one another.",
    next="Every unit needs numbers of its own.",
    link="vanishing-and-exploding",
    shows="no two units have the same weights",
)
def one_row_for_all(model):
    for module in model.modules():
        if isinstance(module, nn.Linear):
            row = torch.randn(1, module.in_features) * (2 / module.in_features) ** 0.5
            module.weight.data.copy_(row.expand_as(module.weight))
            nn.init.zeros_(module.bias)


@start_weights.misconception(
    title="Random, and far too large",
    why="With standard deviation 1 every layer makes its inputs larger by the root of half their number. Logits in the hundreds, a first "
    "loss far above ln 10, and gradients to match.",
    next="The more inputs, the smaller the weights: divide by a root.",
    link="vanishing-and-exploding",
    shows="the standard deviation of the weights",
)
def standard_normal(model):
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight)
            nn.init.zeros_(module.bias)


@start_weights.misconception(
    title="The root is missing",
    why="Variances add up, deviations do not: a sum over n inputs needs weights of size 1 / root of n. With 1 / n every layer makes what flows "
    "through it smaller, and deep down nothing is left.",
    next="The standard deviation is a square root.",
    link="vanishing-and-exploding",
    shows="the standard deviation of the weights",
)
def root_forgotten(model):
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=2 / module.in_features)
            nn.init.zeros_(module.bias)


@start_weights.misconception(
    title="Random, but all positive",
    why="`rand` draws between 0 and 1. With positive inputs every unit of a ReLU network then says yes to everything, and the outputs "
    "grow from layer to layer.",
    next="Weights lie on both sides of 0.",
    link="vanishing-and-exploding",
    shows="the weights lie around 0",
)
def all_positive(model):
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.uniform_(module.weight)
            nn.init.zeros_(module.bias)


@start_weights.misconception(
    title="Random, but around a number that is not 0",
    why="The units differ now, and their weights still have a mean in common: each one adds up its inputs, and in that part it says the same as "
    "its neighbours. The larger the mean beside what was drawn, the more alike they are.",
    next="What is drawn has to lie on both sides of 0, with nothing added.",
    link="vanishing-and-exploding",
    shows="the weights lie around 0",
)
def noise_on_a_constant(model):
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0.01, 0.001)
            nn.init.zeros_(module.bias)


@start_weights.misconception(
    title="The rule for layers without a ReLU",
    why="Xavier's rule keeps the size of what flows where nothing cuts it, or with tanh. A ReLU lets half of it through, and ten layers of halves "
    "are a thousandth.",
    next="The order names the standard deviation: the outputs do not come into it.",
    link="vanishing-and-exploding",
    shows="the standard deviation of the weights",
)
def xavier(model):
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_normal_(module.weight)
            nn.init.zeros_(module.bias)


@start_weights.misconception(
    title="Other layers were initialised, too",
    why="Which layer a tensor belongs to cannot be seen by its number of axes or by the name `weight`. A norm's scale starts at 1; set to 0, it "
    "lets nothing through any more.",
    next="Ask each module for its kind.",
    link="vanishing-and-exploding",
    shows="the other layers are as they were",
)
def by_the_axes(model):
    for parameter in model.parameters():
        if parameter.dim() > 1:
            nn.init.kaiming_normal_(parameter, nonlinearity="relu")
        else:
            nn.init.zeros_(parameter)


@start_weights.misconception(
    title="New parameters instead of new numbers",
    why="An optimizer that was made before holds the old tensors, and goes on training those: patient 6's illness in another place.",
    next="Write into the parameters that are there.",
    link="vanishing-and-exploding",
    shows="the parameters are the same objects",
)
def new_parameters(model):
    for module in model.modules():
        if isinstance(module, nn.Linear):
            scale = (2 / module.in_features) ** 0.5
            module.weight = nn.Parameter(scale * torch.randn_like(module.weight))
            module.bias = nn.Parameter(torch.zeros_like(module.bias))


@start_weights.misconception(
    title="Counted the outputs instead of the inputs",
    why="The weight of an nn.Linear has the shape (outputs, inputs): `shape[0]`, or `fan_out`, is the number of outputs. But what a "
    "unit adds up are its inputs, and their number decides how large the sum becomes.",
    next="Which axis of the weight runs over the inputs?",
    link="vanishing-and-exploding",
    shows="the standard deviation of the weights",
)
def by_the_outputs(model):
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0, math.sqrt(2 / module.weight.shape[0]))
            nn.init.zeros_(module.bias)


@start_weights.misconception(
    title="0.01 in every layer, however many inputs it has",
    why="The units differ now. But the size that keeps what flows depends on the number of inputs: with 200 of them it is 0.1. With "
    "0.01 each such layer makes it ten times smaller, and deep down nothing is left.",
    next="The more inputs, the smaller the weights: compute the deviation for each layer.",
    link="vanishing-and-exploding",
    shows="the standard deviation of the weights",
)
def a_hundredth_everywhere(model):
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.01)
            nn.init.zeros_(module.bias)


@exercise(
    level="clinic",
    minutes=5,
    why="A forward hook that returns nothing leaves the output alone; what it notes is a bare number.",
    hints=(
        "Print `gradient_norms` with the hook in place, and without it.",
        "Which parameters have no gradient at all? Where do they stand, seen from the layer that is watched?",
        "What does PyTorch do with the value that a forward hook returns?",
    ),
    equivalent_mutants=("seen.append(output.abs().mean().item())",),
)
def watch_layer(layer: nn.Module, seen: list):
    """Note how large a layer's outputs are, at every run, while the training goes on undisturbed.

    layer: any layer of a network that is being trained, in any mode. It keeps its mode.
    seen: a list. Every time the layer has run, in training, in eval mode and without gradients, the
    mean of the outputs' magnitudes is appended, a float.
    Returns the handle that takes the watch away.
    """

    def note(module, given, output):
        seen.append(output.detach().abs().mean().item())

    return layer.register_forward_hook(note)


@watch_layer.drive
def train_while_watching(answer, case):
    model, place, inputs = case
    seen = []
    plain, modes = model(inputs).detach(), modes_of(model)
    handle = answer(model[place], seen)
    same_mode = modes_of(model) == modes
    outputs = model(inputs)
    untouched = torch.equal(outputs, plain)
    if outputs.requires_grad:
        outputs.square().sum().backward()
    model(2 * inputs)
    with torch.no_grad():
        model(3 * inputs)
    model.train(not model.training)
    model(4 * inputs)
    noted = list(seen)
    if hasattr(handle, "remove"):
        handle.remove()
    model(inputs)
    return {
        "what was noted": noted,
        "the kind of each note": kind_of(noted),
        "the layer keeps its mode": same_mode,
        "the outputs are as they were": untouched,
        "the gradients": {n: p.grad for n, p in model.named_parameters()},
        "the outputs can be differentiated": Extra(outputs.requires_grad),
        "after `handle.remove()` nothing is noted": len(seen) == len(noted),
    }


def kind_of(notes):
    """Say in words whether numbers were noted, or tensors with or without their graphs."""
    tensors = [note for note in notes if isinstance(note, torch.Tensor)]
    if not tensors:
        return "a number"
    return "a tensor with its graph" if any(t.requires_grad for t in tensors) else "a tensor"


@watch_layer.probe
def the_first_layer(g):
    model = fill(nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)), g)
    return ((model, 0, numbers(g, 4, 2)),)


@watch_layer.probe
def the_last_layer(g):
    model = fill(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)), g)
    return ((model, 2, numbers(g, 5, 3)),)


@watch_layer.probe
def the_middle_layer_in_eval_mode(g):
    model = fill(nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 3)), g)
    return ((model.eval(), 1, numbers(g, 6, 2)),)


@watch_layer.alternative("Returning the output itself, untouched, replaces it by itself.")
def returned_untouched(layer, seen):
    def note(module, given, output):
        with torch.no_grad():
            seen.append(float(output.abs().mean()))
        return output

    return layer.register_forward_hook(note)


@watch_layer.alternative("`append` returns None, so a lambda will do.")
def with_a_lambda(layer, seen):
    return layer.register_forward_hook(
        lambda module, inputs, output: seen.append(output.data.abs().mean().tolist())
    )


@watch_layer.alternative("`item()` leaves the graph behind by itself.")
def without_detach(layer, seen):
    def note(*arguments):
        seen.append(arguments[2].abs().mean().item())

    return layer.register_forward_hook(note)


@watch_layer.misconception(
    title="The hook returns a detached output, and that replaces the real one",
    why="What a forward hook returns takes the place of the layer's output. Detached, it has the same numbers and no past: the "
    "outputs look right, and nothing before this layer learns any more.",
    next="Note what you want, and return nothing.",
    link="activations-and-hooks",
    shows="the gradients",
    starter=True,
)
def returned_detached(layer, seen):
    def note(module, given, output):
        output = output.detach()
        seen.append(output.abs().mean().item())
        return output

    return layer.register_forward_hook(note)


@watch_layer.misconception(
    title="The detached output was asked to need gradients",
    why="Now the output is a leaf of its own that collects a gradient nobody reads. The way back to the layers before it is as cut as it "
    "was.",
    next="Do not put anything in the output's place.",
    link="activations-and-hooks",
    shows="the gradients",
)
def detached_with_gradients(layer, seen):
    def note(module, given, output):
        output = output.detach().requires_grad_()
        seen.append(output.abs().mean().item())
        return output

    return layer.register_forward_hook(note)


@watch_layer.misconception(
    title="The magnitudes were taken in place",
    why="`abs_` writes into the output itself, and `detach` shares its memory: the next layer gets magnitudes, without their signs.",
    next="`abs` without the underscore makes a new tensor.",
    link="activations-and-hooks",
    shows="the outputs are as they were",
)
def changed_in_place(layer, seen):
    def note(module, given, output):
        output = output.detach()
        seen.append(output.abs_().mean().item())

    return layer.register_forward_hook(note)


@watch_layer.misconception(
    title="What was noted still has its graph",
    why="A tensor in a list keeps the whole graph of its run alive. A watch over a thousand steps then holds a thousand graphs.",
    next="`.item()` takes the number out.",
    link="activations-and-hooks",
    shows="the kind of each note",
)
def noted_tensors(layer, seen):
    def note(module, given, output):
        seen.append(output.abs().mean())

    return layer.register_forward_hook(note)


@watch_layer.misconception(
    title="The handle was lost",
    why="Without the handle nobody can take the hook away, and it runs for as long as the model lives.",
    next="Return what `register_forward_hook` gives.",
    link="activations-and-hooks",
    shows="after `handle.remove()` nothing is noted",
)
def handle_lost(layer, seen):
    def note(module, given, output):
        seen.append(output.detach().abs().mean().item())

    layer.register_forward_hook(note)


@watch_layer.misconception(
    title="What was noted is a tensor",
    why="It has no graph, so it holds no memory of the run. But a list of tensors prints badly, lives on the device of the layer, and a log "
    "or a plot wants numbers.",
    next="`.item()` takes the number out.",
    link="activations-and-hooks",
    shows="the kind of each note",
)
def noted_without_a_graph(layer, seen):
    def note(module, given, output):
        seen.append(output.detach().abs().mean())

    return layer.register_forward_hook(note)


@watch_layer.misconception(
    title="Only the first run is noted",
    why="The hook takes itself away after one run. The training is undisturbed from then on, and unwatched: what goes wrong in its middle is "
    "in no list.",
    next="Leave removing to whoever gets the handle.",
    link="activations-and-hooks",
    shows="what was noted",
)
def only_the_first_run(layer, seen):
    def note(module, given, output):
        seen.append(output.detach().abs().mean().item())
        handle.remove()

    handle = layer.register_forward_hook(note)
    return handle


@watch_layer.misconception(
    title="The mean was taken before the magnitudes",
    why="In a mean, positive and negative outputs cancel: -3 and 3 give 0, and due is 3. What is left says where the middle lies, "
    "not how large the outputs are.",
    next="Take the signs away first, then average.",
    link="activations-and-hooks",
    shows="what was noted",
)
def magnitude_of_the_mean(layer, seen):
    def note(module, given, output):
        seen.append(output.detach().mean().abs().item())

    return layer.register_forward_hook(note)


# The clinic: NaN and errors -----------------------------------------------------------------------


@exercise(
    level="clinic",
    minutes=6,
    why="`log_softmax` never takes the logarithm of a rounded 0, neither forward nor backward.",
    hints=(
        "What is `0 * torch.log(torch.tensor(0.0))`? And where does a probability become exactly 0?",
        "Check the gradient as well as the value. A NaN that is replaced in the value is still there on the way back.",
        "The logarithm of a softmax has a function of its own, which does not go through the probability.",
    ),
)
def entropy(logits: torch.Tensor) -> torch.Tensor:
    """Compute how unsure a network is: the mean entropy of its answers, -sum of p log p.

    logits: (B, C), floats, of any size; p is their softmax over the classes. A class whose p is 0
    adds 0. Value and gradient must be finite and right, also where p is rounded to 0.
    Returns a tensor without axes, through which gradients flow back to the logits.
    """
    p = logits.softmax(1)
    return -(p * logits.log_softmax(1)).sum(1).mean()


@entropy.drive
def entropy_and_its_gradient(answer, logits):
    leaf = logits.clone().requires_grad_()
    result = answer(leaf)
    seen = {"result": result}
    if isinstance(result, torch.Tensor) and result.dim() == 0 and result.requires_grad:
        gradient = torch.autograd.grad(result, leaf)[0]
        seen["the gradient is finite"] = bool(gradient.isfinite().all())
        seen["the gradient at the logits"] = gradient
    return seen


@entropy.probe
def one_sure_answer(g):
    sure = torch.tensor([[900.0, 0.0, -30.0]], dtype=torch.float64)
    return (torch.cat([sure, numbers(g, 2, 3)]),)


@entropy.probe
def unsure_answers(g):
    return (2 * numbers(g, 5, 4),)


@entropy.probe
def several_sure_answers(g):
    rows = 2000 * F.one_hot(digits(g, 4), 3).double()
    return (torch.cat([rows, numbers(g, 3, 3)]),)


@entropy.probe
def one_far_below_the_others(g):  # its probability is 0, and the row is not sure
    row = torch.tensor([[0.0, 1.0, -900.0]], dtype=torch.float64)
    return (torch.cat([row, numbers(g, 2, 3)]),)


@entropy.probe
def two_large_ones_close_together(g):
    rows = torch.tensor([[900.0, 901.0, 0.0], [-2000.0, -2001.0, -4000.0]], dtype=torch.float64)
    return (torch.cat([rows, numbers(g, 2, 3)]),)


@entropy.alternative("Through the logarithm both times.")
def from_the_logs(logits):
    logs = F.log_softmax(logits, dim=-1)
    return (logs.exp() * logs).sum(-1).mean().neg()


@entropy.alternative("PyTorch's distributions keep logits for this very reason.")
def with_a_distribution(logits):
    return torch.distributions.Categorical(logits=logits).entropy().mean()


@entropy.alternative(
    "A floor under the logarithm works as well, when it is far below anything that counts."
)
def with_a_floor(logits):
    p = logits.softmax(1)
    return -(p * p.clamp_min(1e-30).log()).sum(1).mean()


@entropy.misconception(
    title="0 times the logarithm of 0",
    why="A softmax rounds a small probability to exactly 0. Its logarithm is minus infinity, and 0 times infinity is NaN: the first "
    "really sure answer turns the loss into NaN, and the step after it every weight.",
    next="Find a way to the logarithm that does not pass through the rounded probability.",
    link="nan-at-its-birth",
    starter=True,
)
def log_of_zero(logits):
    p = logits.softmax(1)
    return -(p * p.log()).sum(1).mean()


@entropy.misconception(
    title="The NaN was replaced in the value, and lives on in the gradient",
    why="`nan_to_num`, `nansum`, `xlogy` and `torch.where` all give the right value. On the way back the slope of the logarithm "
    "at 0 is infinite, it meets the 0 that selects it away, and 0 times infinity is NaN. The printed loss is fine and the weights "
    "are gone after one step.",
    next="Do not let the logarithm see a 0 at all.",
    link="nan-at-its-birth",
    shows="the gradient is finite",
)
def replaced_in_the_value(logits):
    p = logits.softmax(1)
    return -torch.xlogy(p, p).sum(1).mean()


@entropy.misconception(
    title="A large number was added inside the logarithm",
    why="p + 0.01 keeps the logarithm away from 0, and it is another function: every entropy comes out wrong, also where "
    "nothing was near 0.",
    next="What is added must not be seen in the result; better, add nothing.",
    link="nan-at-its-birth",
)
def added_too_much(logits):
    p = logits.softmax(1)
    return -(p * (p + 0.01).log()).sum(1).mean()


@entropy.misconception(
    title="The logits were clamped",
    why="Cut off at 50, logits of 900 and 901 are the same: an answer of 27 to 73 becomes one of half and half. No probability is 0 any "
    "more, so the NaN is gone, and no gradient passes where something was cut.",
    next="Leave the logits as they are.",
    link="nan-at-its-birth",
)
def clamped_the_logits(logits):
    p = logits.clamp(-50, 50).softmax(1)
    return -(p * p.log()).sum(1).mean()


@entropy.misconception(
    title="The probabilities were detached",
    why="The value is right and finite. But p depends on the logits as much as its logarithm does, and a detach hides that way: the gradient is "
    "another function's.",
    next="Both factors belong to the graph.",
    link="nan-at-its-birth",
    shows="the gradient at the logits",
)
def detached_p(logits):
    p = logits.detach().softmax(1)
    return -(p * logits.log_softmax(1)).sum(1).mean()


@entropy.misconception(
    title="The sign was lost",
    why="The logarithm of a probability is negative, and so is the sum. An entropy is minus that sum, 0 or more.",
    next="Keep the minus in front.",
    link="nan-at-its-birth",
)
def sign_lost(logits):
    p = logits.softmax(1)
    return (p * logits.log_softmax(1)).sum(1).mean()


@exercise(
    level="clinic",
    minutes=5,
    why="The penalty belongs to the weights as they are in this step, so its graph is made in this step.",
    hints=(
        "Read the message to its first full stop. Which graph was gone through before?",
        "What is computed once, and used in every step?",
        "The parameters change in every step. Whatever depends on them must be computed after that.",
    ),
)
def penalised_training(model: nn.Module, optimizer, batches: list, strength: float) -> list:
    """Train on every batch once, with a penalty on large weights.

    batches: pairs (images, labels). model gives logits.
    optimizer: over all the model's parameters or some of them. Its settings stay as they are.
    The loss of a step is the batch's mean cross-entropy, plus `strength` times the sum of the squares
    of all parameters as they are in that step. Its gradient goes through both parts.
    Returns these losses, penalty included, from before each update: floats.
    """
    losses = []
    for images, labels in batches:
        penalty = sum(p.square().sum() for p in model.parameters())
        loss = F.cross_entropy(model(images), labels) + strength * penalty
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@penalised_training.drive
def train_and_look(answer, model, optimizer, batches, strength):
    settings = settings_of(optimizer)
    losses = answer(model, optimizer, batches, strength)
    return {
        "the losses": losses,
        "the parameters afterwards": parameters_of(model),
        "the optimizer's settings are as they were": settings_of(optimizer) == settings,
    }


def settings_of(optimizer):
    return [{k: v for k, v in group.items() if k != "params"} for group in optimizer.param_groups]


def cut(images, labels, size):
    """Cut two tensors into a list of batches."""
    return list(zip(images.split(size), labels.split(size)))


@penalised_training.probe
def two_small_batches(g):
    model = fill(nn.Linear(2, 3), g)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return model, optimizer, cut(numbers(g, 6, 2), digits(g, 6), 3), 0.1


@penalised_training.probe
def three_batches_with_momentum(g):
    model = fill(nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)), g)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    return model, optimizer, cut(numbers(g, 8, 3), digits(g, 8, 2), 3), 0.05


@penalised_training.probe
def four_batches_with_adam(g):  # over a part of the model
    model = fill(nn.Linear(4, 3), g)
    optimizer = torch.optim.Adam([model.weight], lr=0.1)
    return model, optimizer, cut(numbers(g, 8, 4), digits(g, 8), 2), 0.3


@penalised_training.alternative("As a function that is called in every step.")
def with_a_function(model, optimizer, batches, strength):
    def penalty():
        return torch.stack([(p**2).sum() for p in model.parameters()]).sum()

    losses = []
    for images, labels in batches:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels) + penalty() * strength
        loss.backward()
        losses.append(float(loss))
        optimizer.step()
    return losses


@penalised_training.alternative(
    "The derivative of a square is known: it can be added to the gradients."
)
def penalty_in_the_gradients(model, optimizer, batches, strength):
    losses = []
    for images, labels in batches:
        loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        with torch.no_grad():
            squares = 0.0
            for p in model.parameters():
                squares += p.square().sum().item()
                p.grad += 2 * strength * p
        optimizer.step()
        losses.append(loss.item() + strength * squares)
    return losses


@penalised_training.misconception(
    title="The penalty was computed once, before the loop",
    why="It has one graph, and the first `backward` uses that graph up. The second step comes along with a new loss and the old "
    "penalty, and finds its graph gone. It would be the wrong penalty anyway: it belongs to the weights from before the training.",
    next="Compute it where the weights are the ones you mean.",
    link="nan-at-its-birth",
    starter=True,
)
def penalty_once(model, optimizer, batches, strength):
    losses = []
    penalty = sum(p.square().sum() for p in model.parameters())
    for images, labels in batches:
        loss = F.cross_entropy(model(images), labels) + strength * penalty
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@penalised_training.misconception(
    title="Kept the graph instead of making a new one",
    why="The message itself proposes `retain_graph=True`. With it the old graph is still there, and the weights that it saved are not: "
    "the optimizer has changed them in place, and autograd notices. The message was about a graph used twice; the question is why "
    "it is used twice.",
    next="Make the penalty anew in every step.",
    link="nan-at-its-birth",
)
def retained_the_graph(model, optimizer, batches, strength):
    losses = []
    penalty = sum(p.square().sum() for p in model.parameters())
    for images, labels in batches:
        loss = F.cross_entropy(model(images), labels) + strength * penalty
        optimizer.zero_grad()
        loss.backward(retain_graph=True)
        optimizer.step()
        losses.append(loss.item())
    return losses


@penalised_training.misconception(
    title="The penalty was detached, so it penalises nothing",
    why="A number without a graph can be added to any loss without an error, and has no gradient: the weights never hear of it.",
    next="The penalty needs its graph, a new one in every step.",
    link="nan-at-its-birth",
    shows="the parameters afterwards",
)
def detached_penalty(model, optimizer, batches, strength):
    losses = []
    for images, labels in batches:
        penalty = sum(p.square().sum() for p in model.parameters()).detach()
        loss = F.cross_entropy(model(images), labels) + strength * penalty
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@penalised_training.misconception(
    title="The penalty of the old weights, as a number",
    why="No error any more, and no penalty either: a constant that was computed before the training is added to the printed loss.",
    next="The penalty needs its graph, and the weights of this step.",
    link="nan-at-its-birth",
    shows="the losses",
)
def a_constant_penalty(model, optimizer, batches, strength):
    losses = []
    penalty = sum(p.square().sum() for p in model.parameters()).item()
    for images, labels in batches:
        loss = F.cross_entropy(model(images), labels) + strength * penalty
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@penalised_training.misconception(
    title="The returned losses leave the penalty out",
    why="The weights go where they should. What comes back is the cross-entropy alone, which is not what goes down.",
    next="Return the loss that the gradient was taken of.",
    link="nan-at-its-birth",
    shows="the losses",
)
def penalty_not_told(model, optimizer, batches, strength):
    losses = []
    for images, labels in batches:
        penalty = sum(p.square().sum() for p in model.parameters())
        loss = F.cross_entropy(model(images), labels) + strength * penalty
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item() - strength * penalty.item())
    return losses


@penalised_training.misconception(
    title="Weight decay was set in the caller's optimizer",
    why="For SGD and Adam a decay of 2 * strength pulls like this penalty, so the weights go where they should. But the optimizer keeps the decay "
    "for good, AdamW would take it otherwise, and the losses do not show the penalty.",
    next="Leave the optimizer alone, and put the penalty into the loss.",
    link="nan-at-its-birth",
    shows="the optimizer's settings are as they were",
)
def weight_decay_set(model, optimizer, batches, strength):
    for group in optimizer.param_groups:
        group["weight_decay"] = 2 * strength
    losses = []
    for images, labels in batches:
        loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@penalised_training.misconception(
    title="A penalty on copies of the first weights, kept for ever",
    why="Copies are not changed by the optimizer, so autograd has nothing to complain about. The penalty and its gradient are those of the weights "
    "before the training, in every step.",
    next="Make the penalty anew in every step.",
    link="nan-at-its-birth",
    shows="the losses",
)
def penalty_on_copies(model, optimizer, batches, strength):
    losses = []
    penalty = sum(p.clone().square().sum() for p in model.parameters())
    for images, labels in batches:
        loss = F.cross_entropy(model(images), labels) + strength * penalty
        optimizer.zero_grad()
        loss.backward(retain_graph=True)
        optimizer.step()
        losses.append(loss.item())
    return losses


@penalised_training.misconception(
    title="The biases were left out of the penalty",
    why="That is often done on purpose. Here the order says all parameters, and a bias is one: without it the loss is smaller, and "
    "the biases go where the penalty would have pulled them back.",
    next="Every parameter of the model counts, whatever its name and shape.",
    link="nan-at-its-birth",
    shows="the losses",
)
def weights_alone(model, optimizer, batches, strength):
    losses = []
    for images, labels in batches:
        penalty = sum(p.square().sum() for p in model.parameters() if p.dim() > 1)
        loss = F.cross_entropy(model(images), labels) + strength * penalty
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@exercise(
    level="clinic",
    minutes=5,
    why="A model that answers belongs in eval mode: BatchNorm then uses what it has gathered, and one image is enough.",
    hints=(
        "Which layer refuses, and what does it want to compute from one image?",
        "BatchNorm has gathered a mean and a variance during the training. When does it use them?",
        "Two switches and a memory: which mode was it in, switch to eval, and switch back afterwards.",
    ),
)
def classify(model: nn.Module, image: torch.Tensor) -> int:
    """Let a trained network read one image.

    model: gives logits (B, C). It may have BatchNorm and dropout, and comes in any mode, all of its
    modules in the same one.
    image: (1, rows, columns), one image without a batch axis. It keeps its shape.
    Returns the class with the largest logit, an int, as the network answers in eval mode. Afterwards
    the model is in the mode in which it came, and nothing else in it has changed: each parameter's
    `requires_grad` is what it was, too.
    """
    training = model.training
    model.eval()
    logits = model(image[None])  # (1, C)
    model.train(training)
    return logits.argmax(1).item()


@classify.drive
def read_several(answer, model, images):
    modes, before, settings = modes_of(model), buffers_of(model), flags_of(model)
    learning, given = [p.requires_grad for p in model.parameters()], list(images)
    answers = [answer(model, image) for image in given]
    after = buffers_of(model)
    return {
        "the answers": answers,
        "what BatchNorm has gathered is as it was": all(
            torch.equal(before[n], after[n]) for n in before
        ),
        "the model is in its old mode afterwards": modes_of(model) == modes,
        "the parameters learn as before": [p.requires_grad for p in model.parameters()] == learning,
        "the layers' settings are as they were": flags_of(model) == settings,
        "the image keeps its shape": all(image.shape == images.shape[1:] for image in given),
    }


def flags_of(model):
    """List what every module notes about itself in plain values; the mode stands elsewhere."""
    plain = bool, int, float
    return [
        {k: v for k, v in vars(m).items() if isinstance(v, plain) and k != "training"}
        for m in model.modules()
    ]


def reader(g, inputs, classes):
    """Make a network with BatchNorm that has seen some data, in training mode."""
    body = nn.Flatten(), nn.Linear(inputs, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.5)
    model = fill(nn.Sequential(*body, nn.Linear(6, classes)), g, 1.5)
    for _ in range(3):
        model(1 + 2 * numbers(g, 20, inputs))
    return model


@classify.probe
def several_images(g):  # an odd number, so that a mode flipped each time shows
    return reader(g, 4, 5), numbers(g, 5, 1, 2, 2) * 3


@classify.probe
def in_eval_already(g):
    return reader(g, 6, 4).eval(), numbers(g, 9, 1, 2, 3) * 3


@classify.probe
def eleven_images(g):
    return reader(g, 9, 6), numbers(g, 11, 1, 3, 3) * 3


@classify.alternative("A copy in eval mode leaves the original alone.")
def on_a_copy(model, image):
    import copy

    with torch.no_grad():
        return int(copy.deepcopy(model).eval()(image.unsqueeze(0))[0].argmax())


@classify.alternative("Every module gets its own mode back, whatever happens.")
def each_its_own(model, image):
    modes = {module: module.training for module in model.modules()}
    try:
        with torch.inference_mode():
            return model.eval()(image[None]).squeeze(0).argmax().item()
    finally:
        for module, mode in modes.items():
            module.training = mode


@classify.misconception(
    title="The model was asked in training mode",
    why="In training mode BatchNorm standardises by the batch's own mean and variance, and one image has no variance: it refuses. "
    "Dropout would have thrown a random part of the answer away. With more images there is no error, only answers that depend "
    "on the company. `no_grad` does not help: it concerns gradients, and these layers ask for the mode.",
    next="Switch to eval mode before you ask, and back afterwards.",
    link="nan-at-its-birth",
    starter=True,
)
def asked_in_training_mode(model, image):
    logits = model(image[None])  # (1, C)
    return logits.argmax(1).item()


@classify.misconception(
    title="The image was doubled so that BatchNorm stops complaining",
    why="Two copies of one image do not differ, so their variance is 0 and BatchNorm gives the same for every image. The error is gone, "
    "the answers are worthless, and the running statistics take the damage along.",
    next="The message asks for another mode, not for another batch.",
    link="nan-at-its-birth",
    shows="the answers",
)
def doubled_the_image(model, image):
    logits = model(torch.stack([image, image]))
    return logits[:1].argmax(1).item()


@classify.misconception(
    title="The model was left in eval mode",
    why="The answer is right. Whoever goes on training this model trains without dropout and with frozen statistics from here on.",
    next="Put the model back into the mode in which it came.",
    link="nan-at-its-birth",
    shows="the model is in its old mode afterwards",
)
def left_in_eval(model, image):
    model.eval()
    logits = model(image[None])  # (1, C)
    return logits.argmax(1).item()


@classify.misconception(
    title="Put into training mode afterwards, whatever it was",
    why="A model that came in eval mode leaves in training mode: the next answers are given with dropout.",
    next="Note the mode first, and put back that one.",
    link="nan-at-its-birth",
    shows="the model is in its old mode afterwards",
)
def always_training(model, image):
    model.eval()
    logits = model(image[None])  # (1, C)
    model.train()
    return logits.argmax(1).item()


@classify.misconception(
    title="Only BatchNorm was switched",
    why="The error is gone, since BatchNorm uses what it has gathered. Dropout still throws a random part of the hidden units away, and "
    "the same image gets another answer each time.",
    next="Switch the whole model.",
    link="nan-at-its-birth",
    shows="the answers",
)
def only_the_norm(model, image):
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm1d) and m.training]
    for norm in norms:
        norm.eval()
    logits = model(image[None])  # (1, C)
    for norm in norms:
        norm.train()
    return logits.argmax(1).item()


@classify.misconception(
    title="Doubled the image, and put the statistics back",
    why="The damage to the running statistics is undone, and the answer is as worthless as before: two copies of one image do not differ, so "
    "BatchNorm makes the same of every image, and dropout throws a part of that away.",
    next="The message asks for another mode, not for another batch.",
    link="nan-at-its-birth",
    shows="the answers",
)
def doubled_and_put_back(model, image):
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    logits = model(torch.stack([image, image]))
    model.load_state_dict(kept)
    return logits[:1].argmax(1).item()


@classify.misconception(
    title="The parameters were frozen for good",
    why="The answer is right. But `requires_grad_(False)` stays until somebody takes it back: whoever goes on training this model trains nothing.",
    next="To save the graph of one call there is `torch.no_grad()`; it ends with its block.",
    link="nan-at-its-birth",
    shows="the parameters learn as before",
)
def frozen_for_good(model, image):
    training = model.training
    model.eval()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    logits = model(image[None])  # (1, C)
    model.train(training)
    return logits.argmax(1).item()
