"""What the student writes in lesson 2, Autograd, and every known way to get it wrong."""

# A gradient may be None to mypy, and a student writes as if it were not.
# mypy: disable-error-code="union-attr,operator"

import contextlib
import io
import math

import numpy as np
import torch
import torch.nn.functional as F
from torch.autograd import forward_ad
from torch.overrides import TorchFunctionMode

from firstlight.checking import Extra, exercise

LEFT_OFF = "gradients stay switched off for all code that runs afterwards"
NOTHING_TO_DO = "autograd had nothing to do"
DATA_RECORDED = "the data require gradients afterwards"


def ask(answer, *inputs):
    """Call an answer; returns its result, and whether it leaves gradients switched off."""
    result = answer(*inputs)
    return result, not torch.is_grad_enabled()


def is_followed(x):
    """Whether autograd follows what is done with x, backward or forward."""
    return isinstance(x, torch.Tensor) and (
        x.requires_grad or forward_ad.unpack_dual(x).tangent is not None
    )


def has_hooks(*leaves):
    """Whether a hook stays registered on a leaf: it meets every gradient that arrives there."""
    kinds = ("_backward_hooks", "_post_accumulate_grad_hooks")
    return any(getattr(leaf, kind, None) for leaf in leaves for kind in kinds)


def memory(x):
    return x.untyped_storage().data_ptr()


class EveryResult(TorchFunctionMode):
    """Show every result of a PyTorch function, with what it was computed from, to `look`.

    Reading an attribute, such as `.grad`, computes nothing and is not shown. `start` is shown every
    tensor from which a backward pass starts, before it does.
    """

    def __init__(self, look, start=None):
        super().__init__()
        self.look, self.start = look, start

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if self.start and func in (torch.Tensor.backward, torch.autograd.grad):
            self.start(args[0])
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor) and func.__name__ != "__get__":
            self.look(result, args)
        return result


def is_recorded(result):
    """Whether autograd has recorded how a result was computed, backward or forward."""
    tangent = forward_ad.unpack_dual(result).tangent
    return tangent is not None or (result.requires_grad and not result.is_leaf)


def parameter(values, grad=None):
    """Make a leaf of float64 that requires a gradient, and give it one if it is to have one."""
    made = torch.as_tensor(values, dtype=torch.float64).clone().requires_grad_()
    if grad is not None:
        made.grad = torch.as_tensor(grad, dtype=torch.float64).clone()
    return made


def can_go_backward(loss):
    return isinstance(loss, torch.Tensor) and loss.requires_grad


# A first gradient ---------------------------------------------------------------------------------


@exercise(
    level="guided",
    minutes=5,
    why="`requires_grad=True` makes `x` a leaf of the graph that `f` records, and `backward` leaves the slope in "
    "`x.grad`.",
    hints=(
        "Autograd follows tensors, so the first step is a tensor that holds `at`.",
        "The tensor has to say that it wants a gradient, and only floats can: mind that `at` may be a whole number.",
        "Call `f`, call `backward()` on what comes out, and look at the `.grad` of what went in.",
    ),
)
def slope_at(f, at: float) -> float:
    """Compute the slope of a function at one point, with autograd.

    f: a function that takes a tensor without axes and returns one, computed from it.
    at: a Python number, an int or a float.
    Returns the derivative of f at that point as a Python float.
    """
    # solution:
    x = torch.tensor(float(at), requires_grad=True)
    f(x).backward()
    return x.grad.item()
    # end solution


FOLLOWED = "autograd follows the computation"
MEASURED = "the slope comes from several values, none of which autograd follows"
PYTHON_FLOAT = "the result is a Python float"


REMEMBERED = "asked again, about another function at the same point, the answer is wrong"


def slope_of(f, at):
    x = torch.tensor(float(at), requires_grad=True)
    return torch.autograd.grad(f(x), x)[0].item()


def answers_anew(answer, f, at, result):
    """Whether a right answer stays right when it is asked about another function."""

    def other(x):
        return x * f(x)

    with torch.enable_grad():
        due = slope_of(f, at)
    if not isinstance(result, float) or not math.isclose(result, due, rel_tol=1e-4):
        return True
    with torch.enable_grad():
        due = slope_of(other, at)
        return math.isclose(answer(other, at), due, rel_tol=1e-4)


@slope_at.drive
def watch_the_function(answer, f, at):
    calls, followed = 0, []

    def watched(x):
        nonlocal calls
        calls += 1
        followed.extend([x] if is_followed(x) else [])
        return f(x)

    result, _ = ask(answer, watched, at)
    if calls > 1 and not followed:
        return {FOLLOWED: False, MEASURED: True}
    return {
        FOLLOWED: bool(followed),
        MEASURED: False,
        "`f` is given a tensor with an axis": any(x.shape for x in followed),
        "result": result,
        PYTHON_FLOAT: isinstance(result, float),
        REMEMBERED: not answers_anew(answer, f, at, result),
        "a gradient has arrived": Extra(any(x.is_leaf and x.grad is not None for x in followed)),
    }


@slope_at.probe
def a_cubic(g):
    def f(x):
        """x**3 - 2*x"""
        return x**3 - 2 * x

    return f, 1.5


@slope_at.probe
def a_square_at_a_whole_number(g):
    def f(x):
        """(3*x - 1)**2"""
        return (3 * x - 1) ** 2

    return f, int(torch.randint(2, 9, (), generator=g))


@slope_at.probe
def a_choice(g):
    def f(x):
        """x*x where x is positive, else -x*x*x/7"""
        return x * x if x > 0 else -x * x * x / 7

    return f, -0.55


def function_in_words(f, at):
    return f"Here f(x) is {f.__doc__}."


@slope_at.alternative("`requires_grad_()` on a float tensor does the same.")
def asked_afterwards(f, at):
    x = torch.tensor(at).float().requires_grad_()
    y = f(x)
    y.backward()
    return float(x.grad)


@slope_at.alternative(
    "`torch.autograd.grad` returns the gradient instead of leaving it in `.grad`."
)
def with_autograd_grad(f, at):
    x = torch.tensor(at, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(f(x), x)
    return slope.item()


@slope_at.alternative("`torch.func.grad` turns a function into the function of its slopes.")
def with_func_grad(f, at):
    return torch.func.grad(f)(torch.tensor(float(at))).item()


@slope_at.alternative("Forward mode: a slope that travels along with the value.")
def forward_mode(f, at):
    return torch.func.jvp(f, (torch.tensor(float(at)),), (torch.ones(()),))[1].item()


@slope_at.misconception(
    title="A whole number cannot require a gradient",
    why="`torch.tensor` makes int64 of a Python int, and between two whole numbers there is nothing to step to. So "
    "`requires_grad` is refused for every dtype that is not a float. It worked as long as `at` had a decimal point.",
    next="Make the number a float, whatever comes in.",
    link="the-graph-recorded",
    evidence=function_in_words,
)
def whole_number_leaf(f, at):
    x = torch.tensor(at, requires_grad=True)
    f(x).backward()
    return x.grad.item()


@slope_at.misconception(
    title="Read a gradient that is not there",
    why="`.grad` is None. Gradients are computed when `backward()` runs, not while `f` does, and they land in the leaf "
    "that went in, not in the result that came out.",
    next="Call `backward()` on the result, then read `.grad` of the tensor you gave to `f`.",
    link="what-backward-leaves-behind",
    evidence=function_in_words,
)
def read_too_early(f, at):
    x = torch.tensor(float(at), requires_grad=True)
    f(x)
    return x.grad.item()


@slope_at.misconception(
    title="Returned the function's value",
    why="`f(x)` is how high the function is. The slope is what `backward()` leaves in `x.grad`.",
    next="Return what is in `x.grad`.",
    link="the-graph-recorded",
    evidence=function_in_words,
)
def value_instead(f, at):
    x = torch.tensor(float(at), requires_grad=True)
    y = f(x)
    y.backward()
    return y.item()


@slope_at.misconception(
    title="Returned a tensor",
    why="The number is right, and `x.grad` is a tensor that holds it. A Python float was asked for.",
    next="`.item()` takes the number out.",
    link="what-backward-leaves-behind",
    evidence=function_in_words,
)
def still_a_tensor(f, at):
    x = torch.tensor(float(at), requires_grad=True)
    f(x).backward()
    return x.grad


@slope_at.misconception(
    title="A number, but no Python float",
    why="The slope is right, and it is an int or one of NumPy's numbers. They print alike and do not behave alike: NumPy's "
    "float32 goes on computing with seven digits, and makes results of its own kind.",
    next="`.item()` of a float tensor is a Python float, whatever its value is.",
    link="what-backward-leaves-behind",
    shows=PYTHON_FLOAT,
    evidence=function_in_words,
)
def number_of_another_kind(f, at):
    x = torch.tensor(float(at), requires_grad=True)
    f(x).backward()
    return x.grad.numpy()[()]


@slope_at.misconception(
    title="Gave `f` a plain number",
    why="Autograd records what happens to *tensors* that require a gradient. `f` of a Python number is a Python number, "
    "and it knows nothing of where it came from.",
    next="Put the number into a tensor that requires a gradient, and give `f` that.",
    link="the-graph-recorded",
    evidence=function_in_words,
)
def plain_number(f, at):
    y = f(at)
    y.backward()
    return at.grad


@slope_at.misconception(
    title="Measured the slope instead of asking autograd",
    why="A difference quotient comes close, and later in this lesson it serves as a check. It runs `f` twice for every "
    "input and is only nearly right. Autograd runs `f` once, whatever the number of inputs, and follows the chain rule.",
    next="Give `f` a tensor that requires a gradient.",
    link="the-graph-recorded",
    shows=FOLLOWED,
    evidence=function_in_words,
)
def central_difference(f, at):
    return (f(at + 1e-4) - f(at - 1e-4)) / 2e-4


@slope_at.misconception(
    title="Nothing was recorded",
    why="The way back begins at a tensor that requires a gradient, and none went into `f`: `requires_grad=True` is missing, "
    "or misspelled (Python accepts any attribute), or `f` ran under `no_grad`.",
    next="Make `x` with `requires_grad=True`, and call `f` outside `no_grad`.",
    link="the-graph-recorded",
    evidence=function_in_words,
)
def nothing_recorded(f, at):
    x = torch.tensor(float(at))
    f(x).backward()
    return x.grad.item()


@slope_at.misconception(
    title="Gave `f` a tensor with an axis",
    why="`torch.tensor([at])` holds one number and has the shape (1,). `f` takes a tensor without axes: one that stacks "
    "or multiplies its input would fail here, or come to something else.",
    next="Leave out the brackets.",
    link="the-graph-recorded",
    shows="`f` is given a tensor with an axis",
    evidence=function_in_words,
)
def an_axis_too_many(f, at):
    x = torch.tensor([float(at)], requires_grad=True)
    f(x).sum().backward()
    return x.grad.item()


@slope_at.misconception(
    title="Nothing was handed back",
    why="`backward()` returns None, and so does a function without `return`. The gradient does not come back from the "
    "call: it lies in the `.grad` of the leaf.",
    next="First go backward, then return the number that is in the leaf's `.grad`.",
    link="what-backward-leaves-behind",
    evidence=function_in_words,
)
def returned_backward(f, at):
    x = torch.tensor(float(at), requires_grad=True)
    return f(x).backward()


@slope_at.misconception(
    title="Returned a `.grad` that is still None",
    why="There is a leaf, and nothing has gone backward to it: either `backward()` was never called, or `.grad` belongs to "
    "a tensor that the graph does not end in. A `.grad` that nothing has reached is None.",
    next="Call `backward()` on the result of `f`, and read `.grad` of the very tensor that `f` was given.",
    link="what-backward-leaves-behind",
    evidence=function_in_words,
)
def returned_none_for_a_gradient(f, at):
    x = torch.tensor(float(at), requires_grad=True)
    f(x)
    return x.grad


@slope_at.misconception(
    title="Returned the tuple",
    why="`torch.autograd.grad` returns a tuple with one gradient for each tensor you name, also when you name one.",
    next="Take the gradient out of the tuple, and the number out of the gradient.",
    link="asking-for-one-gradient",
    evidence=function_in_words,
)
def returned_a_tuple(f, at):
    x = torch.tensor(float(at), requires_grad=True)
    return torch.autograd.grad(f(x), x)


# Gradients that add up on purpose -----------------------------------------------------------------


@exercise(
    level="supported",
    minutes=8,
    why="`backward` adds to `w.grad`, so the parts of a sum can be differentiated one after the other; each part is "
    "divided by the number of *all* examples.",
    hints=(
        "The mean over all examples is a sum of parts, one for each batch. What is a batch's part?",
        "A part is the sum of the batch's squared errors, divided by the number of examples in all batches.",
        "`backward()` on each part adds its gradient to `w.grad`. What must `w.grad` be before the first one?",
    ),
)
def gradient_in_pieces(
    w: torch.Tensor,
    batches: list[tuple[torch.Tensor, torch.Tensor]],
) -> None:
    """Leave in `w.grad` the gradient of the mean squared error over all examples, batch by batch.

    w: (D,), a leaf that requires a gradient; `w.grad` may hold an old gradient, which must not count.
    batches: pairs (x, y) of shapes (n, D) and (n,); the number n may differ from batch to batch.

    The prediction for a batch is `x @ w`. Let autograd find the gradient, and go backward after
    each batch, so that no graph is larger than a batch. Afterwards `w.grad` is the gradient of one
    mean over the examples of all batches.
    """
    # solution:
    count = sum(len(y) for _, y in batches)
    w.grad = None
    for x, y in batches:
        part = ((x @ w - y) ** 2).sum() / count
        part.backward()
    # end solution


class SavedValue:
    """A value that a graph keeps for the way back; `alive` holds those that it has not let go."""

    def __init__(self, value, alive):
        self.value, self.alive, self.key = value, alive, id(self)
        alive[self.key] = value

    def __del__(self):
        self.alive.pop(self.key, None)


def graph_outgrows_a_batch(answer, w, batches):
    """Run an answer once more, and see whether the values that it keeps grow with the batches.

    Two batches at a time are borne: a graph that was kept without need is gone a round later.
    """
    if len(batches) < 3:
        return False
    places = {memory(part): i for i, batch in enumerate(batches) for part in batch}
    most = max(x.numel() for x, _ in batches)
    alive, found = {}, []

    def keep(value):
        kept = SavedValue(value, alive)
        owners = {places.get(memory(v)) for v in list(alive.values())} - {None}
        found.append(len(owners) > 2 or value.numel() > most)
        return kept

    hooks = torch.autograd.graph.saved_tensors_hooks(keep, lambda kept: kept.value)
    printed = contextlib.redirect_stdout(io.StringIO())
    with torch.enable_grad(), contextlib.suppress(Exception), printed, hooks:
        answer(w, batches)  # some right answers, such as `torch.func.grad`, allow no hooks
    return any(found)


TOO_LARGE = "values of all batches are kept at a time, for the way back"


@gradient_in_pieces.drive
def look_at_the_gradient(answer, w, batches):
    again = w.detach().clone().requires_grad_(), [(x.clone(), y.clone()) for x, y in batches]
    x, y = torch.cat([x for x, _ in batches]), torch.cat([y for _, y in batches])
    due = 2 / len(y) * x.T @ (x @ w.detach() - y)
    recorded = []
    with EveryResult(lambda result, _: recorded.append(is_recorded(result))):
        result, _ = ask(answer, w, batches)
    right = isinstance(w.grad, torch.Tensor) and torch.allclose(w.grad, due)
    return {
        "`w.grad` afterwards": w.grad,
        NOTHING_TO_DO: right and not any(recorded),
        TOO_LARGE: right and graph_outgrows_a_batch(answer, *again),
        DATA_RECORDED: any(part.requires_grad for batch in batches for part in batch),
        "the gradient comes back and is not in `w.grad`": not right and result is not None,
        "`w` no longer requires a gradient": not w.requires_grad,
    }


def random_batches(g, width, *sizes):
    return [
        (
            torch.randn(n, width, generator=g, dtype=torch.float64),
            torch.randn(n, generator=g, dtype=torch.float64),
        )
        for n in sizes
    ]


@gradient_in_pieces.probe
def two_batches(g):
    w = parameter([1.0, -2.0], grad=[10.0, 20.0])
    first = torch.tensor([[1.0, 0.0], [2.0, 1.0], [0.0, 3.0]], dtype=torch.float64)
    second = torch.tensor([[1.0, 1.0]], dtype=torch.float64)
    y = torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64)
    return w, [(first, y), (second, torch.tensor([4.0], dtype=torch.float64))]


@gradient_in_pieces.probe
def three_batches(g):
    w = parameter(torch.randn(3, generator=g))
    return w, random_batches(g, 3, 4, 2, 4)


@gradient_in_pieces.probe
def an_old_gradient(g):
    w = parameter(torch.randn(4, generator=g), grad=torch.randn(4, generator=g))
    return w, random_batches(g, 4, 2, 7, 3)


def sizes_in_words(w, batches):
    sizes = " and ".join(str(len(y)) for _, y in batches)
    old = "None" if w.grad is None else w.grad.tolist()
    return f"The batches hold {sizes} examples, and `w.grad` was {old} before."


@gradient_in_pieces.alternative("Weight each batch's mean by its share of the examples.")
def weighted_means(w, batches):
    count = sum(len(x) for x, _ in batches)
    if w.grad is not None:
        w.grad.zero_()
    for x, y in batches:
        (F.mse_loss(x @ w, y) * len(x) / count).backward()


@gradient_in_pieces.alternative(
    "Sums first, and one division at the end: it is the same for every part."
)
def divided_at_the_end(w, batches):
    w.grad = None
    count = 0
    for x, y in batches:
        ((x @ w - y) ** 2).sum().backward()
        count += len(y)
    w.grad /= count


@gradient_in_pieces.alternative("Add up by hand what `torch.autograd.grad` returns.")
def added_by_hand(w, batches):
    count = sum(len(y) for _, y in batches)
    total = torch.zeros_like(w)
    for x, y in batches:
        total += torch.autograd.grad(((x @ w - y) ** 2).sum(), w)[0] / count
    w.grad = total.detach()


@gradient_in_pieces.alternative("`torch.func.grad` makes the function that computes a gradient.")
def with_func_grad_of_a_part(w, batches):
    count = sum(len(y) for _, y in batches)
    part_of = torch.func.grad(lambda w, x, y: ((x @ w - y) ** 2).sum() / count)
    w.grad = sum(part_of(w.detach(), x, y) for x, y in batches)


@gradient_in_pieces.misconception(
    title="One graph for more than one batch",
    why="The gradient is right. But the batches were joined, or their losses added up or collected, before anything went "
    "backward. So the graph keeps values of several batches at once, and with data that do not fit into memory it would "
    "not fit either. A backward pass lets go of what it has used, unless `retain_graph` or `create_graph` forbids it.",
    next="Compute the part of one batch, go backward from it, and only then touch the next batch.",
    link="gradients-add-up",
    shows=TOO_LARGE,
    evidence=sizes_in_words,
)
def all_at_once(w, batches):
    w.grad = None
    x = torch.cat([x for x, _ in batches])
    y = torch.cat([y for _, y in batches])
    F.mse_loss(x @ w, y).backward()


@gradient_in_pieces.misconception(
    title="The gradient is your own, not autograd's",
    why="The numbers are right: you have derived the gradient of this loss on paper and written it down. With a network in "
    "place of `x @ w` that is the work that autograd takes off you.",
    next="Compute the part of each batch from `w`, and let `backward()` find its gradient.",
    link="gradients-add-up",
    shows=NOTHING_TO_DO,
    evidence=sizes_in_words,
)
def derived_on_paper(w, batches):
    count = sum(len(y) for _, y in batches)
    with torch.no_grad():
        w.grad = sum(2 / count * x.T @ (x @ w - y) for x, y in batches)


@gradient_in_pieces.misconception(
    title="Batches of the same size were counted once",
    why="A set holds every number once. Two batches of 4 examples add one 4 to the sum, not two.",
    next="Add up the sizes of all batches as they come: a sum needs no set.",
    link="gradients-add-up",
    evidence=sizes_in_words,
)
def equal_sizes_once(w, batches):
    w.grad = None
    count = sum({len(y) for _, y in batches})
    for x, y in batches:
        (((x @ w - y) ** 2).sum() / count).backward()


@gradient_in_pieces.misconception(
    title="The old gradient still counts",
    why="`backward` adds to whatever `w.grad` holds. What an earlier step has left there is added in, and no error tells "
    "you.",
    next="Clear `w.grad` once, before the first batch.",
    link="gradients-add-up",
    evidence=sizes_in_words,
)
def old_gradient_counts(w, batches):
    count = sum(len(y) for _, y in batches)
    for x, y in batches:
        part = ((x @ w - y) ** 2).sum() / count
        part.backward()


@gradient_in_pieces.misconception(
    title="Cleared the gradient in every round",
    why="The parts add up because `backward` adds. Clearing inside the loop throws away every batch but the last.",
    next="Clear once, before the loop.",
    link="gradients-add-up",
    evidence=sizes_in_words,
)
def cleared_every_round(w, batches):
    count = sum(len(y) for _, y in batches)
    for x, y in batches:
        w.grad = None
        part = ((x @ w - y) ** 2).sum() / count
        part.backward()


@gradient_in_pieces.misconception(
    title="Added up the means of the batches",
    why="Each batch's mean is divided by that batch's own size. Added up, k means give a gradient about k times too "
    "large: as if the learning rate grew with the number of batches.",
    next="Divide every part by the number of examples in all batches.",
    link="gradients-add-up",
    evidence=sizes_in_words,
)
def added_means(w, batches):
    w.grad = None
    for x, y in batches:
        ((x @ w - y) ** 2).mean().backward()


@gradient_in_pieces.misconception(
    title="A mean of means",
    why="Dividing each batch's mean by the number of batches is right only if all batches are equally long. Here a short "
    "batch counts as much as a long one, and each of its examples counts for more.",
    next="Divide every part by the number of examples in all batches.",
    link="gradients-add-up",
    evidence=sizes_in_words,
)
def mean_of_means(w, batches):
    w.grad = None
    for x, y in batches:
        (((x @ w - y) ** 2).mean() / len(batches)).backward()


@gradient_in_pieces.misconception(
    title="Summed where a mean was asked for",
    why="Without the division the gradient grows with the number of examples: twice the data, twice the step.",
    next="Divide by the number of examples in all batches.",
    link="gradients-add-up",
    evidence=sizes_in_words,
)
def never_divided(w, batches):
    w.grad = None
    for x, y in batches:
        ((x @ w - y) ** 2).sum().backward()


@gradient_in_pieces.misconception(
    title="Went backward once, after the loop",
    why="The loop computes a loss for each batch, and only the last one is still there when `backward()` runs.",
    next="Let `backward()` stand inside the loop.",
    link="gradients-add-up",
    evidence=sizes_in_words,
)
def backward_after_the_loop(w, batches):
    w.grad = None
    for x, y in batches:
        loss = ((x @ w - y) ** 2).mean()
    loss.backward()


@gradient_in_pieces.misconception(
    title="The gradient did not reach `w.grad`",
    why="It was returned, or it landed in a copy of `w`. The tensor that the caller holds has in `.grad` what it had before.",
    next="Let `backward()` write into `w.grad`, or assign to it; a new tensor called `w` is another one.",
    link="what-backward-leaves-behind",
    evidence=sizes_in_words,
)
def returned_instead(w, batches):
    count = sum(len(y) for _, y in batches)
    total = torch.zeros_like(w)
    for x, y in batches:
        total += torch.autograd.grad(((x @ w - y) ** 2).sum() / count, w)[0]
    return total


@gradient_in_pieces.misconception(
    title="A running total went backward in every round",
    why="The total of round two still contains the graph of round one, which was freed when you went back through it. "
    "Adding up is already done: by `.grad`.",
    next="Go backward from each part by itself.",
    link="the-graph-is-used-up",
)
def running_total(w, batches):
    w.grad = None
    total = 0
    for x, y in batches:
        total = total + ((x @ w - y) ** 2).sum()
        total.backward()


@gradient_in_pieces.misconception(
    title="There was nothing to fill with zeros",
    why="`w.grad` is None as long as nothing has gone backward, and None has no `zero_`.",
    next="Set it to None: that works in both cases.",
    link="gradients-add-up",
)
def zeroed_none(w, batches):
    w.grad.zero_()
    count = sum(len(y) for _, y in batches)
    for x, y in batches:
        part = ((x @ w - y) ** 2).sum() / count
        part.backward()


@gradient_in_pieces.misconception(
    title="The first batches count more than once",
    why="The running total of round two still contains the loss of round one, and `retain_graph=True` allows it to go "
    "backward again. So the first batch is added in every round.",
    next="Go backward from each part by itself; `.grad` does the adding up.",
    link="the-graph-is-used-up",
    evidence=sizes_in_words,
)
def running_total_retained(w, batches):
    count = sum(len(y) for _, y in batches)
    w.grad = None
    total = 0
    for x, y in batches:
        total = total + ((x @ w - y) ** 2).sum() / count
        total.backward(retain_graph=True)


@gradient_in_pieces.misconception(
    title="Divided by the number of batches",
    why="A sum over the examples becomes a mean by dividing by their number. There are more examples than batches.",
    next="Divide by the number of examples in all batches.",
    link="gradients-add-up",
    evidence=sizes_in_words,
)
def divided_by_the_batches(w, batches):
    w.grad = None
    for x, y in batches:
        (((x @ w - y) ** 2).sum() / len(batches)).backward()


@gradient_in_pieces.misconception(
    title="Divided by the length of the last batch",
    why="After the loop, `y` is still the last batch's. Its length is the number of examples in one batch, not in all.",
    next="Count the examples of all batches.",
    link="gradients-add-up",
    evidence=sizes_in_words,
)
def divided_by_the_last_batch(w, batches):
    w.grad = None
    for x, y in batches:
        ((x @ w - y) ** 2).sum().backward()
    w.grad /= len(y)


@gradient_in_pieces.misconception(
    title="A number in place of a gradient",
    why="`.grad` is a tensor of the shape of `w`, or None. PyTorch refuses to put a Python number there.",
    next="Clear it with None.",
    link="gradients-add-up",
)
def zero_for_a_gradient(w, batches):
    w.grad = 0
    count = sum(len(y) for _, y in batches)
    for x, y in batches:
        (((x @ w - y) ** 2).sum() / count).backward()


@gradient_in_pieces.misconception(
    title="A tensor has no `zero_grad`",
    why="`zero_grad` belongs to modules and optimizers, which hold many parameters. Here is one tensor, and you clear its "
    "`.grad` yourself.",
    next="Set `w.grad` to None.",
    link="gradients-add-up",
)
def asked_for_zero_grad(w, batches):
    w.zero_grad()
    count = sum(len(y) for _, y in batches)
    for x, y in batches:
        (((x @ w - y) ** 2).sum() / count).backward()


@gradient_in_pieces.misconception(
    title="Wrote into `w` itself",
    why="An edit in place, such as `w.zero_()`, changes the weights and not their gradient. Nobody asked for that, and "
    "PyTorch refuses it, because `w` is a leaf that requires a gradient.",
    next="Clear `w.grad`, and leave `w` as it is.",
    link="gradients-add-up",
)
def zeroed_the_weights(w, batches):
    w.zero_()
    count = sum(len(y) for _, y in batches)
    for x, y in batches:
        (((x @ w - y) ** 2).sum() / count).backward()


@gradient_in_pieces.misconception(
    title="Nothing has reached `w`",
    why="`w.grad` is what it was before the first batch. Either nothing has gone backward, or the gradients went into "
    "another leaf: `w.detach()` and `w.clone()` make new tensors, and a new tensor does not become the old one by being "
    "called `w`.",
    next="Compute the loss from the `w` that came in, and go backward from it.",
    link="what-backward-leaves-behind",
    evidence=sizes_in_words,
)
def another_leaf(w, batches):
    w = w.detach().requires_grad_()
    count = sum(len(y) for _, y in batches)
    for x, y in batches:
        (((x @ w - y) ** 2).sum() / count).backward()


@gradient_in_pieces.misconception(
    title="`w.grad` was cleared, and nothing has arrived since",
    why="`w.grad` is None. Either nothing has gone backward after it was cleared, or what did go backward led to another leaf "
    "than `w`, or to none.",
    next="Compute the part of each batch from `w` itself, and go backward from it.",
    link="what-backward-leaves-behind",
    evidence=sizes_in_words,
)
def cleared_and_never_filled(w, batches):
    w.grad = None
    count = sum(len(y) for _, y in batches)
    for x, y in batches:
        _ = ((x @ w - y) ** 2).sum() / count


@gradient_in_pieces.misconception(
    title="Froze the weights at the end",
    why="The gradient is right. But `requires_grad_(False)` lasts, and the next loss will not reach `w` any more. There is "
    "nothing to switch off: `backward` has let go of the graphs.",
    next="Leave `requires_grad` as it was.",
    link="who-stops-the-gradient",
    shows="`w` no longer requires a gradient",
    evidence=sizes_in_words,
)
def froze_the_weights(w, batches):
    w.grad = None
    count = sum(len(y) for _, y in batches)
    for x, y in batches:
        (((x @ w - y) ** 2).sum() / count).backward()
    w.requires_grad_(False)


@gradient_in_pieces.misconception(
    title="Nothing was recorded",
    why="The part has no history: `w` was detached, or the part was computed under `no_grad`. `backward` cannot start from "
    "it.",
    next="Compute each part from `w` itself, outside `no_grad`.",
    link="who-stops-the-gradient",
)
def detached_the_weights(w, batches):
    w.grad = None
    count = sum(len(y) for _, y in batches)
    for x, y in batches:
        (((x @ w.detach() - y) ** 2).sum() / count).backward()


@gradient_in_pieces.misconception(
    title="The part is not one number",
    why="There is one squared error for each example, and `backward` starts from a single number.",
    next="Sum the squared errors of the batch.",
    link="what-backward-leaves-behind",
)
def backward_from_a_vector(w, batches):
    w.grad = None
    count = sum(len(y) for _, y in batches)
    for x, y in batches:
        (((x @ w - y) ** 2) / count).backward()


# A step -------------------------------------------------------------------------------------------


@exercise(
    level="supported",
    minutes=7,
    why="Under `no_grad` the step is not recorded, and `-=` writes into the leaf itself instead of making a new tensor.",
    hints=(
        "Three things can go wrong: the step is recorded, a new tensor is made, an old gradient stays. Which line of "
        "yours takes care of which?",
        "`p -= …` writes into the tensor that the list holds. `p = p - …` gives the name `p` to a new one.",
        "A leaf that requires a gradient may be written into only under `torch.no_grad()`.",
        "A parameter that took no part in the loss has no gradient: `p.grad` is None, and there is nothing to subtract.",
    ),
)
def gradient_step(parameters: list[torch.Tensor], lr: float) -> None:
    """Take one step of gradient descent, in place, and clear the gradients.

    parameters: leaves that require gradients, after `backward()`. One that took no part in the loss
    has None in `.grad`, and stays as it is.
    lr: the learning rate.

    From every other parameter, lr times its gradient is subtracted. Nothing is remembered from one
    call to the next. Each parameter stays the same tensor in the same memory: a leaf that requires a
    gradient. Afterwards every `.grad` is None, or zero. Nothing else about the parameters has changed.
    """
    # solution:
    with torch.no_grad():  # a step is no part of any loss
        for p in parameters:
            if p.grad is not None:
                p -= lr * p.grad
                p.grad = None
    # end solution


@gradient_step.drive
def look_at_the_parameters(answer, parameters, lr):
    handed_over = list(parameters)
    before = [p.detach().clone() for p in parameters]
    grads = [None if p.grad is None else p.grad.clone() for p in parameters]
    places = [memory(p) for p in parameters]
    computed, lost = [None for _ in parameters], []  # the last that came from each parameter

    def follow(result, args):
        for i, place in enumerate(places):
            own = {place, *([] if computed[i] is None else [memory(computed[i])])}
            if not any(isinstance(a, torch.Tensor) and memory(a) in own for a in args):
                continue
            if result.shape == before[i].shape and memory(result) != place:
                computed[i] = result
                lost.append(not torch.equal(result.detach().to(before[i]), before[i]))

    with EveryResult(follow):
        _, left_off = ask(answer, handed_over, lr)
    unmoved = all(torch.equal(p.detach(), old) for p, old in zip(parameters, before, strict=True))
    moved_as_due = all(
        torch.allclose(p.detach(), old - (0 if grad is None else lr * grad))
        for p, old, grad in zip(parameters, before, grads, strict=True)
    )
    hooked = has_hooks(*parameters)
    seen = {f"`parameters[{i}]`": p.detach().clone() for i, p in enumerate(parameters)}
    seen |= {
        "the list holds the same tensors": len(handed_over) == len(parameters)
        and all(a is b for a, b in zip(handed_over, parameters, strict=True)),
        "each one is a leaf that requires a gradient": all(
            p.is_leaf and p.requires_grad for p in parameters
        ),
        "the gradients are cleared": all(
            p.grad is None or not p.grad.count_nonzero() for p in parameters
        ),
        "every parameter is where it was": unmoved,
        "a step was computed and went nowhere": unmoved and any(lost),
        "a parameter has been given other memory": [memory(p) for p in parameters] != places,
        LEFT_OFF: left_off,
        "a hook stays on a parameter": hooked,
    }
    seen["the next step does not go along its own gradient alone"] = (
        moved_as_due and all(p.requires_grad for p in parameters)
    ) and not steps_again(answer, parameters, lr)
    return seen


def steps_again(answer, parameters, lr):
    """Whether a second step, from where the first one led, goes along its own gradients."""
    before = [p.detach().clone() for p in parameters]
    for p in parameters:
        p.grad = 3 * p.detach() + 1
    with contextlib.suppress(Exception):
        ask(answer, list(parameters), lr)
    return all(
        torch.allclose(p.detach(), old - lr * (3 * old + 1))
        for p, old in zip(parameters, before, strict=True)
    )


@gradient_step.probe
def two_parameters(g):
    return (parameter(2.0, grad=4.0), parameter([1.0, -3.0], grad=[0.5, -2.0])), 0.1


@gradient_step.probe
def one_without_a_gradient(g):
    w = torch.randn(2, 3, generator=g)
    first = parameter(w, grad=torch.randn(2, 3, generator=g))
    pushed = torch.randn(3, generator=g)
    pushed[1] = 0.0  # as behind a relu that is flat there
    last = parameter(torch.randn(3, generator=g), grad=pushed)
    return (first, parameter([5.0, 6.0]), last), 0.25


@gradient_step.probe
def three_parameters(g):
    shapes = ((4,), (3, 2), (1, 5))
    made = [torch.randn(2, *shape, generator=g) for shape in shapes]
    made[1] = made[1].mT  # (2, 2, 3), and not contiguous
    return tuple(parameter(value, grad=grad) for value, grad in made), 0.5


def first_parameter_in_words(parameters, lr):
    p = parameters[0]
    return f"`parameters[0]` was {p.tolist()}, its gradient {p.grad.tolist()}, and `lr` is {lr}."


def unmoved_in_words(parameters, lr):
    p = parameters[0]
    return f"`parameters[0]` was {p.tolist()}, its gradient {p.grad.tolist()}, and it still is {p.tolist()}."


@gradient_step.alternative("`sub_` says the same as `-=`, and `zero_` clears as well as None does.")
def with_methods(parameters, lr):
    for p in parameters:
        if p.grad is not None:
            with torch.no_grad():
                p.sub_(p.grad, alpha=lr)
            p.grad.zero_()


@gradient_step.alternative("As a decorator, `no_grad` covers the whole function.")
@torch.no_grad()
def decorated(parameters, lr):
    for p in parameters:
        if p.grad is None:
            continue
        p.copy_(p - lr * p.grad)
        p.grad = None


@gradient_step.alternative(
    "In this one place `.data` does no harm. The lesson shows why it is a bad habit all the same."
)
def through_data(parameters, lr):
    for p in parameters:
        if p.grad is not None:
            p.data -= lr * p.grad
        p.grad = None


@gradient_step.misconception(
    title="The step was recorded",
    why="Outside `no_grad` every operation on a parameter becomes part of the graph, and a leaf is where a graph begins: "
    "if it could be overwritten by a recorded operation, it would have to be its own ancestor. PyTorch refuses.",
    next="Take the step where nothing is recorded.",
    link="gradient-descent-by-hand",
)
def recorded_the_step(parameters, lr):
    for p in parameters:
        if p.grad is not None:
            p -= lr * p.grad
            p.grad = None


@gradient_step.misconception(
    title="Moved the name, not the parameter",
    why="`p - …` makes a new tensor, whatever you call it. The tensor in the list, which the model uses, is as it was. "
    "Nothing is trained, and no error tells you.",
    next="Write into the tensor: `-=` under `no_grad`.",
    link="gradient-descent-by-hand",
    shows="a step was computed and went nowhere",
    evidence=unmoved_in_words,
)
def moved_the_name(parameters, lr):
    with torch.no_grad():
        for p in parameters:
            if p.grad is not None:
                p = p - lr * p.grad
                p.grad = None


@gradient_step.misconception(
    title="Moved the name, and cleared the gradient",
    why="`p - …` and `p.sub(…)` make a new tensor, whatever you call it. The tensor in the list keeps its value and loses "
    "its gradient: the whole backward pass was for nothing, and no error tells you.",
    next="Write into the tensor: `-=` under `no_grad`.",
    link="gradient-descent-by-hand",
    shows="a step was computed and went nowhere",
    evidence=unmoved_in_words,
)
def moved_the_name_and_cleared(parameters, lr):
    with torch.no_grad():
        for p in parameters:
            if p.grad is not None:
                moved = p - lr * p.grad
                p.grad = None
                p = moved


@gradient_step.misconception(
    title="Replaced the tensors in the list",
    why="The list now holds new tensors. The model that computes the loss still holds the old ones, so the next loss is "
    "the same as the last.",
    next="Keep each tensor and change the numbers in it: `-=` under `no_grad`.",
    link="gradient-descent-by-hand",
    shows="the list holds the same tensors",
    evidence=first_parameter_in_words,
)
def replaced_in_the_list(parameters, lr):
    for i, p in enumerate(parameters):
        if p.grad is not None:
            parameters[i] = (p - lr * p.grad).detach().requires_grad_()


@gradient_step.misconception(
    title="The gradients were not cleared",
    why="The step is right. But the next `backward()` adds to what is still in `.grad`, and the step after that goes along "
    "the sum of both gradients.",
    next="Clear each `.grad` when you have used it.",
    link="gradients-add-up",
    evidence=first_parameter_in_words,
)
def never_cleared(parameters, lr):
    with torch.no_grad():
        for p in parameters:
            if p.grad is not None:
                p -= lr * p.grad


@gradient_step.misconception(
    title="Went uphill",
    why="The gradient points to where the loss grows fastest. Adding it climbs.",
    next="Subtract.",
    link="gradient-descent-by-hand",
    evidence=first_parameter_in_words,
)
def went_uphill(parameters, lr):
    with torch.no_grad():
        for p in parameters:
            if p.grad is not None:
                p += lr * p.grad
                p.grad = None


@gradient_step.misconception(
    title="A parameter without a gradient stopped the step",
    why="`.grad` is None for a parameter that took no part in the loss, and None cannot be multiplied. This happens as "
    "soon as a part of a model is not used or is frozen.",
    next="Skip a parameter whose `.grad` is None.",
    link="none-zero-nan",
)
def stumbled_over_none(parameters, lr):
    with torch.no_grad():
        for p in parameters:
            p -= lr * p.grad
            p.grad = None


@gradient_step.misconception(
    title="The parameters no longer require a gradient",
    why="`requires_grad_(False)` lasts: it is a property of the tensor, not of the next few lines. The step is right, but "
    "from here on nothing is recorded for these parameters.",
    next="Use something that ends by itself: a `with` block.",
    link="who-stops-the-gradient",
    shows="each one is a leaf that requires a gradient",
    evidence=first_parameter_in_words,
)
def frozen_for_good(parameters, lr):
    for p in parameters:
        p.requires_grad_(False)
        if p.grad is not None:
            p -= lr * p.grad
            p.grad = None


@gradient_step.misconception(
    title="Recording is switched off for the whole program",
    why="`torch.set_grad_enabled(False)` as a plain call lasts until somebody switches it on again. The step is right, and "
    "no loss that is computed from here on can go backward.",
    next="Use a `with` block, which switches back when it ends.",
    link="who-stops-the-gradient",
    shows=LEFT_OFF,
)
def switched_off_for_all(parameters, lr):
    torch.set_grad_enabled(False)
    for p in parameters:
        if p.grad is not None:
            p -= lr * p.grad
            p.grad = None


@gradient_step.misconception(
    title="There was nothing to fill with zeros",
    why="A parameter that took no part in the loss has None in `.grad`, and None has no `zero_`.",
    next="Clear by setting `.grad` to None, or clear only what is there.",
    link="none-zero-nan",
)
def zeroed_a_none(parameters, lr):
    with torch.no_grad():
        for p in parameters:
            if p.grad is not None:
                p -= lr * p.grad
            p.grad.zero_()


@gradient_step.misconception(
    title="A zero in the gradient kept the whole parameter where it was",
    why="`all()` of a gradient asks whether every number in it differs from zero. Behind a `relu` some are zero and the "
    "others are as good as ever, and the parameter was skipped for all of them.",
    next="Skip a parameter only where its `.grad` is None; a zero does no harm in a step.",
    link="none-zero-nan",
)
def skipped_for_a_zero(parameters, lr):
    with torch.no_grad():
        for p in parameters:
            if p.grad is not None and p.grad.all():
                p -= lr * p.grad
            p.grad = None


@gradient_step.misconception(
    title="The gradients were gone before they were used",
    why="The parameters are where they were, and the gradients are cleared: nothing was subtracted, or zero was. What you "
    "clear at the top of the loop is what the step needs further down.",
    next="First the step, then the clearing.",
    link="gradients-add-up",
    shows="every parameter is where it was",
    evidence=unmoved_in_words,
)
def cleared_before_the_step(parameters, lr):
    with torch.no_grad():
        for p in parameters:
            if p.grad is not None:
                p.grad.zero_()
                p -= lr * p.grad


@gradient_step.misconception(
    title="The loop ended at a parameter without a gradient",
    why="`return` and `break` end the whole loop, and so does an `except` around it. The parameters that come after the one "
    "without a gradient were not moved.",
    next="Skip that one parameter and go on with the next: `continue`, or an `if` around the step.",
    link="none-zero-nan",
    evidence=first_parameter_in_words,
)
def stopped_at_none(parameters, lr):
    with torch.no_grad():
        for p in parameters:
            if p.grad is None:
                return
            p -= lr * p.grad
            p.grad = None


@gradient_step.misconception(
    title="Asked `if` of a whole gradient",
    why="`if p.grad:` asks whether the *numbers* in the gradient are true. With one number that is a question whether it is "
    "zero, with several it has no answer. What you want to know is whether there is a gradient at all.",
    next="Compare with None: `is not None`.",
    link="none-zero-nan",
)
def truth_of_a_gradient(parameters, lr):
    with torch.no_grad():
        for p in parameters:
            if p.grad:
                p -= lr * p.grad
                p.grad = None


@gradient_step.misconception(
    title="A number in place of a gradient",
    why="`.grad` is a tensor of the parameter's shape, or None. PyTorch refuses to put a Python number there.",
    next="Clear it with None.",
    link="gradients-add-up",
)
def zero_in_place_of_a_gradient(parameters, lr):
    with torch.no_grad():
        for p in parameters:
            if p.grad is not None:
                p -= lr * p.grad
                p.grad = 0


@gradient_step.misconception(
    title="Exchanged the memory behind the parameter",
    why="`p.data = …` keeps the tensor and gives it other memory. The numbers are right, but the step is not in place: "
    "whatever shares the old memory, such as a view of the parameter, stays where it was.",
    next="Write into the memory that is there: `-=` under `no_grad`.",
    link="in-place-edits",
    shows="a parameter has been given other memory",
    evidence=first_parameter_in_words,
)
def exchanged_the_memory(parameters, lr):
    for p in parameters:
        if p.grad is not None:
            p.data = p.data - lr * p.grad
            p.grad = None


@gradient_step.misconception(
    title="The gradient was None before it was used",
    why="`p.grad = None` stands above the step, or every `.grad` was cleared before the loop. Already the first parameter, "
    "which had a gradient, has none when the step needs it.",
    next="First the step, then the clearing.",
    link="gradients-add-up",
)
def cleared_and_then_used(parameters, lr):
    with torch.no_grad():
        for p in parameters:
            p.grad = None
            p -= lr * p.grad


# Gradient descent by hand -------------------------------------------------------------------------


@exercise(
    level="supported",
    minutes=9,
    why="Each round records a graph of its own, goes backward, steps without recording, and clears what it has used.",
    hints=(
        "Before the loop: two leaves. In the loop: loss, backward, step, clear.",
        "The loss has to be computed anew in every round: its graph is used up when you have gone backward.",
        "A step that is recorded is refused, and one that makes a new tensor leaves you without a leaf. And what has to be "
        "in `w.grad` before the next `backward()`?",
    ),
)
def fit_line(
    x: torch.Tensor,
    y: torch.Tensor,
    lr: float,
    steps: int,
) -> tuple[float, float]:
    """Fit the line `w * x + b` to points, by gradient descent on the mean squared error.

    x: (N,) float32, and y likewise: the points.
    lr: the learning rate.
    steps: how many steps to take, at least one.
    Returns w and b after the last step, as two Python floats.

    Both start at 0. The gradients come from autograd; nothing from `torch.optim` is needed. x and y
    stay as they are.
    """
    # solution:
    w = torch.tensor(0.0, requires_grad=True)
    b = torch.tensor(0.0, requires_grad=True)
    for _ in range(steps):
        loss = ((w * x + b - y) ** 2).mean()
        loss.backward()
        with torch.no_grad():  # a step is no part of the loss
            w -= lr * w.grad
            b -= lr * b.grad
        w.grad = b.grad = None
    return w.item(), b.item()
    # end solution


def form_of(values):
    names = ("float" if isinstance(v, float | np.floating) else type(v).__name__ for v in values)
    return "two values: " + " and ".join(names)


def is_one_number(value):
    if isinstance(value, torch.Tensor | np.ndarray):
        return value.shape in ((), (1,), (1, 1))
    return isinstance(value, int | float | np.number)


def nodes_behind(loss):
    """Count the nodes of the graph that a backward pass from a loss would go through."""
    waiting, seen = [getattr(loss, "grad_fn", None)], set()
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            waiting += [parent for parent, _ in node.next_functions]
    return len(seen)


@fit_line.drive
def fit_and_compare(answer, x, y, lr, steps):
    recorded, sizes = [], []
    watched = EveryResult(
        lambda result, _: recorded.append(is_recorded(result)),
        lambda loss: sizes.append(nodes_behind(loss)),
    )
    with watched:
        result, left_off = ask(answer, x, y, lr, steps)
    if not isinstance(result, tuple | list) or len(result) != 2:
        return {"what comes back": type(result).__name__}
    if not all(map(is_one_number, result)):
        return {"what comes back": form_of(result)}
    w, b = (torch.tensor(float(value)) for value in result)  # float32: rounding is forgiven
    return {
        "what comes back": form_of(result),
        "`w`": w,
        "`b`": b,
        LEFT_OFF: left_off,
        NOTHING_TO_DO: not any(recorded),
        DATA_RECORDED: x.requires_grad or y.requires_grad,
        "the graph grows from round to round": Extra(bool(sizes) and sizes[-1] > sizes[0]),
    }


@fit_line.probe
def four_points(g):
    x = torch.tensor([0.0, 1.0, 2.0, 3.0])
    return x, torch.tensor([1.0, 3.0, 4.0, 8.0]), 0.05, 2


@fit_line.probe
def noisy_points(g):
    x = torch.randn(7, generator=g)
    return x, 3 * x - 1 + 0.1 * torch.randn(7, generator=g), 0.1, 3


@fit_line.probe
def many_steps(g):
    x = torch.linspace(-1, 2, 11)
    return x, -2 * x + 5 + 0.1 * torch.randn(11, generator=g), 0.1, 12


@fit_line.probe
def one_step(g):
    x = torch.randn(5, generator=g)
    return x, 2 * x + 1, 0.1, 1


@fit_line.probe
def slowly_to_the_minimum(g):
    x = torch.linspace(0, 1, 9)
    return x, 0.1 * x + 0.2 + 0.001 * torch.randn(9, generator=g), 0.4, 50


@fit_line.alternative("`torch.autograd.grad` returns gradients and leaves none behind to clear.")
def with_returned_gradients(x, y, lr, steps):
    w, b = (torch.zeros((), requires_grad=True) for _ in range(2))
    for _ in range(steps):
        dw, db = torch.autograd.grad(F.mse_loss(w * x + b, y), (w, b))
        with torch.no_grad():
            w -= lr * dw
            b -= lr * db
    return float(w), float(b)


@fit_line.alternative("One tensor of two parameters.")
def one_tensor(x, y, lr, steps):
    theta = torch.zeros(2, requires_grad=True)
    table = torch.stack([x, torch.ones_like(x)], 1)
    for _ in range(steps):
        if theta.grad is not None:
            theta.grad.zero_()
        (table @ theta - y).square().mean().backward()
        with torch.no_grad():
            theta.sub_(lr * theta.grad)
    return tuple(theta.tolist())


@fit_line.alternative(
    "New leaves in every round: a detached result, told to require a gradient again."
)
def new_leaves(x, y, lr, steps):
    w = b = torch.tensor(0.0)
    for _ in range(steps):
        w, b = w.detach().requires_grad_(), b.detach().clone().requires_grad_()
        ((w * x + b - y) ** 2).mean().backward()
        w, b = w - lr * w.grad, b - lr * b.grad
    return w.item(), b.item()


@fit_line.misconception(
    title="The gradients were never cleared",
    why="`backward` adds to `.grad`. From the second step on, every step goes along the sum of all gradients so far, "
    "also of those that belong to places you have left. It overshoots and swings like a ball without friction.",
    next="Clear both gradients in every round.",
    link="gradients-add-up",
    shows="`w`",
)
def gradients_never_cleared(x, y, lr, steps):
    w = torch.tensor(0.0, requires_grad=True)
    b = torch.tensor(0.0, requires_grad=True)
    for _ in range(steps):
        loss = ((w * x + b - y) ** 2).mean()
        loss.backward()
        with torch.no_grad():
            w -= lr * w.grad
            b -= lr * b.grad
    return w.item(), b.item()


@fit_line.misconception(
    title="The losses of all rounds went backward, again and again",
    why="The gradients are cleared, and still the step goes along the sum of all of them. What goes backward is a total that "
    "contains the loss of every round so far, and `retain_graph=True` lets their old graphs be used again.",
    next="Go backward from the loss of this round alone; if you want to keep a total, add up numbers.",
    link="the-graph-is-used-up",
    shows="`w`",
)
def total_went_backward(x, y, lr, steps):
    w = torch.tensor(0.0, requires_grad=True)
    b = torch.tensor(0.0, requires_grad=True)
    total = 0.0
    for _ in range(steps):
        total = total + ((w * x + b - y) ** 2).mean()
        total.backward(retain_graph=True)
        with torch.no_grad():
            w -= lr * w.grad
            b -= lr * b.grad
        w.grad = b.grad = None
    return w.item(), b.item()


@fit_line.misconception(
    title="The points require gradients now",
    why="The line is right. But `requires_grad_()` changes the caller's own tensor, and it lasts: everything that is computed "
    "from the points is recorded from here on, and drawing them raises an error. Only what the descent moves has to require "
    "a gradient.",
    next="Leave x and y as they came: w and b are the leaves.",
    link="what-backward-leaves-behind",
    shows=DATA_RECORDED,
)
def points_require_gradients(x, y, lr, steps):
    x.requires_grad_()
    w = torch.tensor(0.0, requires_grad=True)
    b = torch.tensor(0.0, requires_grad=True)
    for _ in range(steps):
        loss = ((w * x + b - y) ** 2).mean()
        loss.backward()
        with torch.no_grad():
            w -= lr * w.grad
            b -= lr * b.grad
        w.grad = b.grad = None
    return w.item(), b.item()


@fit_line.misconception(
    title="Only one of the gradients was cleared",
    why="Each leaf has a `.grad` of its own. The other one goes on adding up.",
    next="Clear the gradient of `b`, too.",
    link="gradients-add-up",
    shows="`b`",
)
def cleared_only_w(x, y, lr, steps):
    w = torch.tensor(0.0, requires_grad=True)
    b = torch.tensor(0.0, requires_grad=True)
    for _ in range(steps):
        loss = ((w * x + b - y) ** 2).mean()
        loss.backward()
        with torch.no_grad():
            w -= lr * w.grad
            b -= lr * b.grad
        w.grad = None
    return w.item(), b.item()


@fit_line.misconception(
    title="The loss was computed once, before the loop",
    why="A graph belongs to one forward pass. Its saved values are freed when you go backward, so the second round finds "
    "nothing, and a loss from before the step would give the gradient at the place you have left.",
    next="Compute the loss inside the loop.",
    link="the-graph-is-used-up",
)
def loss_before_the_loop(x, y, lr, steps):
    w = torch.tensor(0.0, requires_grad=True)
    b = torch.tensor(0.0, requires_grad=True)
    loss = ((w * x + b - y) ** 2).mean()
    for _ in range(steps):
        loss.backward()
        with torch.no_grad():
            w -= lr * w.grad
            b -= lr * b.grad
        w.grad = b.grad = None
    return w.item(), b.item()


@fit_line.misconception(
    title="Every gradient was taken at the start",
    why="What came out is as many times the first step as there are steps. If you keep one graph alive with "
    "`retain_graph=True`, it goes on holding the first forward pass. If you step once, after the loop, all rounds look at "
    "the same place. A descent looks again after every step.",
    next="In every round: compute the loss anew, go backward, step, clear.",
    link="the-graph-is-used-up",
    shows="`w`",
)
def retained_the_graph(x, y, lr, steps):
    w = torch.tensor(0.0, requires_grad=True)
    b = torch.tensor(0.0, requires_grad=True)
    loss = ((w * x + b - y) ** 2).mean()
    for _ in range(steps):
        loss.backward(retain_graph=True)
        with torch.no_grad():
            w -= lr * w.grad
            b -= lr * b.grad
        w.grad = b.grad = None
    return w.item(), b.item()


@fit_line.misconception(
    title="The second round finds no gradient",
    why="The first round went well, and left a `w` that is no leaf any more: `w = w - …` makes a new tensor, a result. "
    "`backward` keeps gradients in leaves that require one, so its `.grad` is None.",
    next="Step into the leaf itself, with `-=` under `no_grad`.",
    link="gradient-descent-by-hand",
)
def rebound_as_a_result(x, y, lr, steps):
    w = torch.tensor(0.0, requires_grad=True)
    b = torch.tensor(0.0, requires_grad=True)
    for _ in range(steps):
        loss = ((w * x + b - y) ** 2).mean()
        loss.backward()
        w = w - lr * w.grad
        b = b - lr * b.grad
    return w.item(), b.item()


@fit_line.misconception(
    title="The new `w` does not require a gradient",
    why="The first round went well, and left a `w` that nobody follows: `w = w - …` makes a new tensor, and under `no_grad` "
    "new tensors do not require a gradient. The second loss has no graph, and `backward` has nowhere to go.",
    next="Write into the leaf itself, with `-=`.",
    link="gradient-descent-by-hand",
)
def rebound_under_no_grad(x, y, lr, steps):
    w = torch.tensor(0.0, requires_grad=True)
    b = torch.tensor(0.0, requires_grad=True)
    for _ in range(steps):
        loss = ((w * x + b - y) ** 2).mean()
        loss.backward()
        with torch.no_grad():
            w = w - lr * w.grad
            b = b - lr * b.grad
    return w.item(), b.item()


@fit_line.misconception(
    title="The step was recorded",
    why="Writing into a leaf that requires a gradient is refused, because outside `no_grad` the writing would become part "
    "of the graph.",
    next="Take the steps under `torch.no_grad()`.",
    link="gradient-descent-by-hand",
)
def step_in_the_graph(x, y, lr, steps):
    w = torch.tensor(0.0, requires_grad=True)
    b = torch.tensor(0.0, requires_grad=True)
    for _ in range(steps):
        loss = ((w * x + b - y) ** 2).mean()
        loss.backward()
        w -= lr * w.grad
        b -= lr * b.grad
        w.grad = b.grad = None
    return w.item(), b.item()


@fit_line.misconception(
    title="Summed the squared errors",
    why="The gradient of a sum is N times that of the mean, and so is each step. With more points, the same learning rate "
    "is too large.",
    next="Take the mean.",
    link="gradient-descent-by-hand",
    shows="`w`",
)
def summed_the_errors(x, y, lr, steps):
    w = torch.tensor(0.0, requires_grad=True)
    b = torch.tensor(0.0, requires_grad=True)
    for _ in range(steps):
        loss = ((w * x + b - y) ** 2).sum()
        loss.backward()
        with torch.no_grad():
            w -= lr * w.grad
            b -= lr * b.grad
        w.grad = b.grad = None
    return w.item(), b.item()


@fit_line.misconception(
    title="Returned the tensors",
    why="The numbers are right, but they are still in tensors. If those are the leaves themselves, whoever computes with "
    "them goes on recording.",
    next="`.item()` takes the numbers out.",
    link="gradient-descent-by-hand",
    shows="what comes back",
)
def returned_the_leaves(x, y, lr, steps):
    w = torch.tensor(0.0, requires_grad=True)
    b = torch.tensor(0.0, requires_grad=True)
    for _ in range(steps):
        loss = ((w * x + b - y) ** 2).mean()
        loss.backward()
        with torch.no_grad():
            w -= lr * w.grad
            b -= lr * b.grad
        w.grad = b.grad = None
    return w, b


@fit_line.misconception(
    title="Returned after the first step",
    why="`return` stands inside the loop, so the loop ends in its first round.",
    next="Move `return` out of the loop.",
    link="gradient-descent-by-hand",
    shows="`w`",
)
def returned_in_the_loop(x, y, lr, steps):
    w = torch.tensor(0.0, requires_grad=True)
    b = torch.tensor(0.0, requires_grad=True)
    for _ in range(steps):
        loss = ((w * x + b - y) ** 2).mean()
        loss.backward()
        with torch.no_grad():
            w -= lr * w.grad
            b -= lr * b.grad
        w.grad = b.grad = None
        return w.item(), b.item()
    return None


@fit_line.misconception(
    title="Went uphill",
    why="The gradient points to where the loss grows fastest. Adding it climbs.",
    next="Subtract.",
    link="gradient-descent-by-hand",
    shows="`w`",
)
def climbed(x, y, lr, steps):
    w = torch.tensor(0.0, requires_grad=True)
    b = torch.tensor(0.0, requires_grad=True)
    for _ in range(steps):
        loss = ((w * x + b - y) ** 2).mean()
        loss.backward()
        with torch.no_grad():
            w += lr * w.grad
            b += lr * b.grad
        w.grad = b.grad = None
    return w.item(), b.item()


@fit_line.misconception(
    title="There was nothing to fill with zeros",
    why="Before the first `backward()` the gradients are None, and None has no `zero_`.",
    next="Clear after the step, or by setting `.grad` to None.",
    link="gradients-add-up",
)
def zeroed_too_early(x, y, lr, steps):
    w = torch.tensor(0.0, requires_grad=True)
    b = torch.tensor(0.0, requires_grad=True)
    for _ in range(steps):
        w.grad.zero_()
        b.grad.zero_()
        loss = ((w * x + b - y) ** 2).mean()
        loss.backward()
        with torch.no_grad():
            w -= lr * w.grad
            b -= lr * b.grad
    return w.item(), b.item()


@fit_line.misconception(
    title="The loss became a number before it went backward",
    why="`.item()` takes the number out of the tensor and leaves the graph behind. A number cannot go backward.",
    next="Keep the loss as a tensor until `backward()` has run.",
    link="the-graph-recorded",
)
def loss_became_a_number(x, y, lr, steps):
    w = torch.tensor(0.0, requires_grad=True)
    b = torch.tensor(0.0, requires_grad=True)
    for _ in range(steps):
        loss = ((w * x + b - y) ** 2).mean().item()
        loss.backward()
        with torch.no_grad():
            w -= lr * w.grad
            b -= lr * b.grad
        w.grad = b.grad = None
    return w.item(), b.item()


@fit_line.misconception(
    title="Started at random numbers",
    why="Networks start at random weights. A line has one minimum, which is reached from anywhere, so nothing random is "
    "needed, and after a few steps the result still depends on where you began.",
    next="Let w and b start at 0.",
    link="gradient-descent-by-hand",
    shows="`w`",
)
def started_at_random(x, y, lr, steps):
    w = torch.randn(1, requires_grad=True)
    b = torch.randn(1, requires_grad=True)
    for _ in range(steps):
        loss = ((w * x + b - y) ** 2).mean()
        loss.backward()
        with torch.no_grad():
            w -= lr * w.grad
            b -= lr * b.grad
        w.grad = b.grad = None
    return w.item(), b.item()


@fit_line.misconception(
    title="Nothing was recorded from the start",
    why="The very first `backward()` fails, because the loss comes from tensors that nobody follows: `requires_grad=True` is "
    "missing, or misspelled (Python accepts any attribute), or the loss stands under `no_grad`, or it was detached or computed "
    "from `w.item()`, a plain number.",
    next="Make both leaves with `requires_grad=True`, and compute the loss from them outside `no_grad`.",
    link="the-graph-recorded",
)
def forgot_requires_grad(x, y, lr, steps):
    w = torch.tensor(0.0)
    b = torch.tensor(0.0)
    for _ in range(steps):
        loss = ((w * x + b - y) ** 2).mean()
        loss.backward()
        with torch.no_grad():
            w -= lr * w.grad
            b -= lr * b.grad
        w.grad = b.grad = None
    return w.item(), b.item()


@fit_line.misconception(
    title="The very first step finds no gradient",
    why="`.grad` is None already in the first round. A gradient is there after `backward()`, until you clear it, and only "
    "in a leaf that requires one and takes part in the loss. One of these is missing.",
    next="Check in this order: was `backward()` called before the step? Was `.grad` cleared before it was used? Are "
    "both, `w` and `b`, leaves that require gradients?",
    link="what-backward-leaves-behind",
)
def forgot_to_go_backward(x, y, lr, steps):
    w = torch.tensor(0.0, requires_grad=True)
    b = torch.tensor(0.0, requires_grad=True)
    for _ in range(steps):
        _ = ((w * x + b - y) ** 2).mean()
        with torch.no_grad():
            w -= lr * w.grad
            b -= lr * b.grad
        w.grad = b.grad = None
    return w.item(), b.item()


@fit_line.misconception(
    title="Whole numbers cannot require a gradient",
    why="`torch.tensor(0)` makes an int64. Between two whole numbers there is nothing to step to, so only floats can "
    "require gradients.",
    next="Write `0.0`.",
    link="the-graph-recorded",
)
def started_at_an_int(x, y, lr, steps):
    w = torch.tensor(0, requires_grad=True)
    b = torch.tensor(0, requires_grad=True)
    for _ in range(steps):
        loss = ((w * x + b - y) ** 2).mean()
        loss.backward()
        with torch.no_grad():
            w -= lr * w.grad
            b -= lr * b.grad
        w.grad = b.grad = None
    return w.item(), b.item()


@fit_line.misconception(
    title="The loss is not one number",
    why="There is one squared error for each point, and `backward` starts from a single number. Many numbers have no single "
    "slope.",
    next="Take the mean of the squared errors.",
    link="what-backward-leaves-behind",
)
def loss_for_each_point(x, y, lr, steps):
    w = torch.tensor(0.0, requires_grad=True)
    b = torch.tensor(0.0, requires_grad=True)
    for _ in range(steps):
        loss = (w * x + b - y) ** 2
        loss.backward()
        with torch.no_grad():
            w -= lr * w.grad
            b -= lr * b.grad
        w.grad = b.grad = None
    return w.item(), b.item()


@fit_line.misconception(
    title="Returned the two in the other order",
    why="Both numbers are right. The intercept comes first, and the docstring asks for w first, then b.",
    next="Exchange them.",
    link="gradient-descent-by-hand",
    shows="`w`",
)
def other_order(x, y, lr, steps):
    w = torch.tensor(0.0, requires_grad=True)
    b = torch.tensor(0.0, requires_grad=True)
    for _ in range(steps):
        loss = ((w * x + b - y) ** 2).mean()
        loss.backward()
        with torch.no_grad():
            w -= lr * w.grad
            b -= lr * b.grad
        w.grad = b.grad = None
    return b.item(), w.item()


@fit_line.misconception(
    title="Every step is half as long as it should be",
    why="A factor ½ stands somewhere. Often it stands before the loss: many books put it there, because it cancels the 2 of "
    "the slope. It may as well stand in the step. Either way, after the same number of steps you are not as far.",
    next="Take the mean of the squared errors as it is, and `lr` times its gradient as the step.",
    link="gradient-descent-by-hand",
    shows="`w`",
)
def half_the_error(x, y, lr, steps):
    w = torch.tensor(0.0, requires_grad=True)
    b = torch.tensor(0.0, requires_grad=True)
    for _ in range(steps):
        loss = 0.5 * ((w * x + b - y) ** 2).mean()
        loss.backward()
        with torch.no_grad():
            w -= lr * w.grad
            b -= lr * b.grad
        w.grad = b.grad = None
    return w.item(), b.item()


@fit_line.misconception(
    title="The gradients are your own, not autograd's",
    why="The numbers are right: you have derived the slopes of this loss on paper and written them down. For a line that "
    "works. It is the work that autograd takes off you as soon as there is a network in place of the line.",
    next="Make w and b leaves that require gradients, and let `backward()` find the slopes.",
    link="gradient-descent-by-hand",
    shows=NOTHING_TO_DO,
)
def derived_by_hand(x, y, lr, steps):
    w = b = 0.0
    for _ in range(steps):
        error = w * x + b - y
        w, b = w - lr * 2 * (error * x).mean().item(), b - lr * 2 * error.mean().item()
    return w, b


@fit_line.misconception(
    title="Took one step too few",
    why="`range(1, steps)` runs `steps - 1` times: it leaves out its end, and began at 1.",
    next="Count the rounds for `steps=1`.",
    link="gradient-descent-by-hand",
    shows="`w`",
)
def one_step_too_few(x, y, lr, steps):
    w = torch.tensor(0.0, requires_grad=True)
    b = torch.tensor(0.0, requires_grad=True)
    for _ in range(1, steps):
        loss = ((w * x + b - y) ** 2).mean()
        loss.backward()
        with torch.no_grad():
            w -= lr * w.grad
            b -= lr * b.grad
        w.grad = b.grad = None
    return w.item(), b.item()


@fit_line.misconception(
    title="Began at a random place",
    why="With enough steps any beginning leads to the same line. After a few, the result depends on where you began, and here "
    "it would be another one at every call.",
    next="Let w begin at 0, like b.",
    link="gradient-descent-by-hand",
    shows="`w`",
)
def only_w_at_random(x, y, lr, steps):
    w = torch.randn(1, requires_grad=True)
    b = torch.zeros(1, requires_grad=True)
    for _ in range(steps):
        loss = ((w * x + b - y) ** 2).mean()
        loss.backward()
        with torch.no_grad():
            w -= lr * w.grad
            b -= lr * b.grad
        w.grad = b.grad = None
    return w.item(), b.item()


# A part that does not learn -----------------------------------------------------------------------


@exercise(
    level="supported",
    minutes=7,
    why="`detach` gives the same numbers without their history, so the way back from the loss ends at the features.",
    hints=(
        "The path from the loss to `W1` leads through the features, `relu(x @ W1)`. Cut it there.",
        "`detach()` cuts one tensor off from its history; `no_grad` leaves a few lines unrecorded. Either will do.",
        "What you cut must be on the way to `W1` and not on the way to `W2`.",
    ),
)
def last_layer_loss(
    x: torch.Tensor,
    y: torch.Tensor,
    W1: torch.Tensor,
    W2: torch.Tensor,
) -> torch.Tensor:
    """Compute the loss of a two-layer network so that only its second layer learns from it.

    The network is `relu(x @ W1) @ W2`, the loss its mean squared error against y.

    x: (N, D). y: (N,).
    W1: (D, H), and W2: (H,): leaves that require gradients.
    Returns the loss, a tensor without axes. `backward()` on it must give W2 its gradient and leave
    `W1.grad` as it is. Only this loss spares W1; other losses will train both layers. So when you
    return, W1 and W2 still require gradients, no hook is left on them, and `backward()` on another
    loss gives each of them its whole gradient.
    """
    # solution:
    features = F.relu(x @ W1).detach()  # (N, D) @ (D, H) -> (N, H)
    return ((features @ W2 - y) ** 2).mean()
    # end solution


def answers_the_next_batch(answer, *inputs):
    """Whether the loss is that of the inputs when others of the same shapes come next."""
    x, y, W1, W2 = (1.5 * given.detach() + 0.25 for given in inputs)
    due = ((F.relu(x @ W1) @ W2 - y) ** 2).mean()
    loss = answer(x, y, W1.requires_grad_(), W2.requires_grad_())
    return isinstance(loss, torch.Tensor) and torch.allclose(loss.detach(), due)


@last_layer_loss.drive
def learn_from_the_loss(answer, x, y, W1, W2):
    due = ((F.relu(x @ W1) @ W2 - y) ** 2).mean().detach()
    loss, left_off = ask(answer, x, y, W1, W2)
    required = W1.requires_grad and W2.requires_grad
    right = can_go_backward(loss) and loss.shape == () and torch.allclose(loss.detach(), due)
    if can_go_backward(loss):
        loss.backward()
    return {
        "result": loss,
        "`backward()` can start from the loss": can_go_backward(loss),
        "`W2.grad` afterwards": W2.grad,
        "`W1.grad` afterwards": W1.grad,
        "W1 and W2 still require gradients": required,
        LEFT_OFF: left_off,
        "a hook stays on `W1` or `W2`": has_hooks(W1, W2),
        "the next batch gets a wrong loss": right
        and not left_off
        and not answers_the_next_batch(answer, x, y, W1, W2),
        DATA_RECORDED: x.requires_grad or y.requires_grad,
    }


@last_layer_loss.probe
def a_tiny_network(g):
    x = torch.tensor([[1.0, 2.0], [3.0, -1.0], [0.0, 1.0]], dtype=torch.float64)
    y = torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64)
    return x, y, parameter([[1.0, -1.0], [0.5, 2.0]]), parameter([2.0, -1.0])


def random_network(g, n, d, h):
    x, y = torch.randn(n, d, generator=g).double(), torch.randn(n, generator=g).double()
    return x, y, torch.randn(d, h, generator=g), torch.randn(h, generator=g)


@last_layer_loss.probe
def an_old_gradient_in_the_first_layer(g):
    x, y, first, second = random_network(g, 4, 3, 5)
    return x, y, parameter(first, grad=torch.randn(3, 5, generator=g)), parameter(second)


@last_layer_loss.probe
def old_gradients_in_both_layers(g):
    x, y, first, second = random_network(g, 6, 2, 4)
    old = torch.randn(2, 4, generator=g), torch.randn(4, generator=g)
    return x, y, parameter(first, grad=old[0]), parameter(second, grad=old[1])


@last_layer_loss.alternative("Compute the features where nothing is recorded.")
def unrecorded_features(x, y, W1, W2):
    with torch.no_grad():
        features = torch.relu(x @ W1)
    return F.mse_loss(features @ W2, y)


@last_layer_loss.alternative(
    "Detach the weights instead: then the product has no history to begin with."
)
def detached_weights(x, y, W1, W2):
    return ((x @ W1.detach()).clamp(min=0) @ W2 - y).pow(2).mean()


@last_layer_loss.alternative(
    "Freeze the layer while the graph is recorded, and thaw it before you return."
)
def frozen_and_thawed(x, y, W1, W2):
    W1.requires_grad_(False)
    loss = ((F.relu(x @ W1) @ W2 - y) ** 2).mean()
    W1.requires_grad_(True)
    return loss


@last_layer_loss.misconception(
    title="The first layer learns, too",
    why="Nothing cuts the way back: `backward` goes on from the features to `W1` and adds a gradient there. If you did "
    "call `detach()`: it returns a tensor, and the one it is called on keeps its history.",
    next="Cut the features off from their history.",
    link="who-stops-the-gradient",
    shows="`W1.grad` afterwards",
)
def nothing_is_cut(x, y, W1, W2):
    return ((F.relu(x @ W1) @ W2 - y) ** 2).mean()


@last_layer_loss.misconception(
    title="The whole loss was cut off",
    why="The cut takes in too much. It comes behind `W2`, on the way to the loss, or both layers were frozen while the loss "
    "was computed. Nothing that was recorded is left, so `backward` cannot start, and the second layer does not learn "
    "either.",
    next="Cut before `W2` comes in, at the features, and leave `W2` alone.",
    link="who-stops-the-gradient",
    shows="`backward()` can start from the loss",
)
def cut_too_late(x, y, W1, W2):
    with torch.no_grad():
        return ((F.relu(x @ W1) @ W2 - y) ** 2).mean()


@last_layer_loss.misconception(
    title="Froze the other layer",
    why="`W2.detach()` takes the second layer out of the graph and leaves the first one in: exactly the layer that was to "
    "learn does not.",
    next="Cut the way to `W1`.",
    link="who-stops-the-gradient",
    shows="`W2.grad` afterwards",
)
def froze_the_other(x, y, W1, W2):
    return ((F.relu(x @ W1) @ W2.detach() - y) ** 2).mean()


@last_layer_loss.misconception(
    title="The first layer stays frozen for everybody",
    why="`requires_grad_(False)` and `detach_()` change the tensor itself, not this one loss. The gradient is as asked for, and whoever "
    "trains `W1` with another loss will find that it never moves.",
    next="Cut the path in this loss and leave the tensor as it is, or put back what you have switched off.",
    link="who-stops-the-gradient",
    shows="W1 and W2 still require gradients",
)
def frozen_for_everybody(x, y, W1, W2):
    W1.requires_grad_(False)
    return ((F.relu(x @ W1) @ W2 - y) ** 2).mean()


@last_layer_loss.misconception(
    title="The features were made in inference mode",
    why="`inference_mode` marks its tensors for good: autograd will not keep them for a backward pass. To give `W2` its "
    "gradient it has to keep the features.",
    next="Use `no_grad` or `detach`: their results are ordinary tensors.",
    link="who-stops-the-gradient",
)
def features_in_inference_mode(x, y, W1, W2):
    with torch.inference_mode():
        features = F.relu(x @ W1)
    return ((features @ W2 - y) ** 2).mean()


@last_layer_loss.misconception(
    title="Returned a Python number",
    why="`.item()` and `float()` take the number out of the tensor and leave its history behind. `backward` has nothing "
    "to start from.",
    next="Return the tensor itself.",
    link="who-stops-the-gradient",
    shows="`backward()` can start from the loss",
)
def number_without_history(x, y, W1, W2):
    features = F.relu(x @ W1).detach()
    return ((features @ W2 - y) ** 2).mean().item()


@last_layer_loss.misconception(
    title="Went backward inside the function",
    why="`backward()` has run before the loss is returned, and the graph was freed. Whoever asked for the loss cannot go "
    "backward from it any more, and an old gradient of `W2` has already been added to.",
    next="Return the loss and leave `backward()` to the caller.",
    link="the-graph-is-used-up",
)
def went_backward_inside(x, y, W1, W2):
    features = F.relu(x @ W1).detach()
    loss = ((features @ W2 - y) ** 2).mean()
    loss.backward()
    return loss


@last_layer_loss.misconception(
    title="Switched a result off as if it were a leaf",
    why="`requires_grad` can be changed on leaves. The features are a result: they require a gradient because `W1` does, and "
    "PyTorch refuses to pretend otherwise.",
    next="Make a tensor that has the same numbers and no history.",
    link="who-stops-the-gradient",
)
def switched_off_a_result(x, y, W1, W2):
    features = F.relu(x @ W1)
    features.requires_grad_(False)
    return ((features @ W2 - y) ** 2).mean()


@last_layer_loss.misconception(
    title="The loss is not one number",
    why="There is one squared error for each example, and `backward` starts from a single number.",
    next="Take the mean.",
    link="what-backward-leaves-behind",
)
def forgot_the_mean(x, y, W1, W2):
    features = F.relu(x @ W1).detach()
    return (features @ W2 - y) ** 2


@last_layer_loss.misconception(
    title="Left out the relu",
    why="The path to `W1` is cut as it should be, but this is another network: without `relu` between them, two layers are "
    "no more than one.",
    next="The features are `relu(x @ W1)`.",
    link="who-stops-the-gradient",
    shows="result",
)
def forgot_the_relu(x, y, W1, W2):
    features = (x @ W1).detach()
    return ((features @ W2 - y) ** 2).mean()


@last_layer_loss.misconception(
    title="Summed instead of averaged",
    why="The sum grows with the number of examples, and the gradient with it.",
    next="Take the mean.",
    link="who-stops-the-gradient",
    shows="result",
)
def summed_over_the_examples(x, y, W1, W2):
    features = F.relu(x @ W1).detach()
    return ((features @ W2 - y) ** 2).sum()


@last_layer_loss.misconception(
    title="Recording is switched off for the whole program",
    why="`torch.set_grad_enabled(False)` as a plain call lasts until somebody switches it on again. The loss was computed "
    "after it, so it has no history, and neither will any loss that others compute from here on.",
    next="Use a `with` block, and only around the features.",
    link="who-stops-the-gradient",
    shows=LEFT_OFF,
)
def never_switched_on_again(x, y, W1, W2):
    torch.set_grad_enabled(False)
    features = F.relu(x @ W1)
    return ((features @ W2 - y) ** 2).mean()


@last_layer_loss.misconception(
    title="A hook stays on the caller's weights",
    why="The loss and the gradients are right. But a hook that is registered on a leaf stays there, and from now on it meets "
    "every gradient that reaches the leaf, also those of other losses.",
    next="Leave the weights without a hook: a path that is cut in this loss needs none.",
    link="who-stops-the-gradient",
    shows="a hook stays on `W1` or `W2`",
)
def hook_on_the_weights(x, y, W1, W2):
    features = F.relu(x @ W1).detach()
    W1.register_hook(lambda gradient: 0 * gradient)
    return ((features @ W2 - y) ** 2).mean()


@last_layer_loss.misconception(
    title="Threw away a gradient that was not yours",
    why="`W1.grad` is to stay as it is, and an old gradient that somebody still needs may be in it. Clearing it also cuts "
    "nothing: what keeps the first layer from learning is that no way leads there.",
    next="Leave every `.grad` alone, and cut the path.",
    link="who-stops-the-gradient",
    shows="`W1.grad` afterwards",
)
def cleared_the_first_layer(x, y, W1, W2):
    W1.grad = None
    features = F.relu(x @ W1).detach()
    return ((features @ W2 - y) ** 2).mean()


# The gradient of an input -------------------------------------------------------------------------


@exercise(
    level="independent",
    minutes=8,
    why="`torch.autograd.grad` returns the gradients it is asked for and writes into no `.grad` at all.",
    hints=(
        "The image has to be a leaf that requires a gradient. The caller's image must not become one: take a copy.",
        "`backward()` writes into every leaf of the graph, also into the network's parameters, which you cannot see from here.",
        "`torch.autograd.grad(result, inputs)` returns gradients for `inputs` alone, as a tuple.",
    ),
)
def input_gradient(score, image: torch.Tensor) -> torch.Tensor:
    """Compute how a score would change with each pixel of an image.

    score: a function, or a network, from an image to a tensor without axes. It has parameters of its
    own, which require gradients.
    image: (H, W) floats; it requires no gradient.
    Returns (H, W): the gradient of score(image) with respect to the image. Whether it carries a
    history of its own is up to you.

    Nothing else changes: `image` is as it was, and so is the score: its mode, its parameters, and the
    `.grad` of each. If that was None, it is None afterwards; if it held a gradient, it holds the same
    one.
    """
    # solution:
    x = image.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(score(x), x)
    return gradient
    # end solution


def is_right(result, score, image):
    """Whether a result is the gradient of a score like this one, by its formula."""
    weight = score.weight.detach()
    slope = 1 - torch.tanh((image * weight).sum()) ** 2
    due = (slope * weight + 2 * image * weight / image.numel()).detach()
    if not isinstance(result, torch.Tensor) or result.shape != due.shape:
        return False
    return torch.allclose(result.detach(), due)


def answers_the_next_image(answer, score, image):
    """Whether a right answer stays right for another image, and a score of its own."""
    other, weight = 0.5 - 2 * image.detach(), parameter(score.weight.detach())
    again = a_score(weight)
    with contextlib.suppress(Exception), torch.enable_grad():
        return is_right(answer(again, other), again, other)
    return False


@input_gradient.drive
def look_at_everything(answer, score, image):
    result, _ = ask(answer, score, image)
    followed = [shape for shape, is_leafed in score.given if is_leafed]
    if len(score.given) > 1 and not followed:
        return {FOLLOWED: False, MEASURED: True}
    weight, right = score.weight, is_right(result, score, image)
    return {
        FOLLOWED: bool(followed),
        MEASURED: False,
        "`score` is given an image of another shape": bool(set(followed) - {image.shape}),
        "result": result.detach().clone() if isinstance(result, torch.Tensor) else result,
        "`image` requires no gradient, as before": not image.requires_grad,
        "`image.grad` afterwards": image.grad,
        "the score's parameters no longer require gradients": not weight.requires_grad,
        "the `.grad` of the score's parameters afterwards": weight.grad,
        "the score is no longer in training mode": not getattr(score, "training", True),
        "asked again, about another image of that shape, the answer is wrong": right
        and not answers_the_next_image(answer, score, image),
    }


class Notes(list[object]):
    """What a score was given; a copy of the score goes on writing here."""

    def __deepcopy__(self, _):
        return self


def a_score(weight):
    """Make a score with one weight per pixel; it carries the weight, and notes what it is given."""

    def score(image):
        score.given.append((np.shape(image), is_followed(image)))
        return torch.tanh((image * weight).sum()) + (image**2 * weight).mean()

    score.weight, score.given = weight, Notes()
    return score


class ScoreOfANetwork(torch.nn.Module):
    """The same score as a module, as which networks come."""

    def __init__(self, weight):
        super().__init__()
        self.weight = torch.nn.Parameter(weight.detach())
        self.weight.grad = weight.grad
        self.given = Notes()

    def forward(self, image):
        self.given.append((np.shape(image), is_followed(image)))
        return torch.tanh((image * self.weight).sum()) + (image**2 * self.weight).mean()


@input_gradient.probe
def a_tiny_image(g):
    weight = parameter([[0.5, -1.0, 0.25]])
    return a_score(weight), torch.tensor([[1.0, 0.5, -2.0]], dtype=torch.float64)


@input_gradient.probe
def a_network_in_training(g):
    values = torch.randn(3, 2, 4, generator=g).double()
    return ScoreOfANetwork(parameter(values[0] / 4, grad=values[1])), values[2]


@input_gradient.probe
def a_tall_image(g):
    values = torch.randn(2, 5, 3, generator=g).double()
    return a_score(parameter(values[0] / 4)), values[1]


@input_gradient.alternative("`backward` can be told into which leaves it may write.")
def only_into_the_input(score, image):
    x = image.detach().clone()
    x.requires_grad = True
    score(x).backward(inputs=[x])
    return x.grad


@input_gradient.alternative("`torch.func.grad` returns the function that computes the gradient.")
def with_the_function_of_gradients(score, image):
    return torch.func.grad(score)(image)


@input_gradient.alternative("Switch it on for the caller's image and off again.")
def borrowed_the_image(score, image):
    image.requires_grad_()
    try:
        return torch.autograd.grad(score(image), [image])[0]
    finally:
        image.requires_grad_(False)


def parameters_in_words(score, image):
    old = "None" if score.weight.grad is None else "another gradient"
    return f"What is shown is the `.grad` of the score's parameters, which was {old} before."


@input_gradient.misconception(
    title="The network's parameters got gradients, too",
    why="`backward` writes into every leaf that the graph reaches. The parameters of the score belong to somebody else: "
    "in the middle of a training, what you leave in their `.grad` is added to the next step.",
    next="Ask for the gradient of the input alone: `torch.autograd.grad`.",
    link="asking-for-one-gradient",
    shows="the `.grad` of the score's parameters afterwards",
    evidence=parameters_in_words,
)
def wrote_into_the_network(score, image):
    x = image.clone().requires_grad_()
    score(x).backward()
    return x.grad


@input_gradient.misconception(
    title="The caller's image now requires a gradient",
    why="`requires_grad_()` changes the tensor it is called on, and that is the caller's. Everything that is computed from "
    "it later is recorded, too.",
    next="Make a leaf of your own from a copy.",
    link="what-backward-leaves-behind",
    shows="`image` requires no gradient, as before",
)
def left_the_image_switched_on(score, image):
    image.requires_grad_()
    (gradient,) = torch.autograd.grad(score(image), image)
    return gradient


@input_gradient.misconception(
    title="Left traces in the image and in the network",
    why="`backward` writes into every leaf that the graph reaches: the network's parameters and the caller's own image, "
    "which now also requires a gradient.",
    next="Make a leaf of your own from a copy, and ask for its gradient alone: `torch.autograd.grad`.",
    link="asking-for-one-gradient",
    shows="the `.grad` of the score's parameters afterwards",
    evidence=parameters_in_words,
)
def left_traces_everywhere(score, image):
    image.requires_grad_()
    score(image).backward()
    return image.grad


@input_gradient.misconception(
    title="Returned the tuple",
    why="`torch.autograd.grad` takes several inputs and returns as many gradients, in a tuple, also when there is one.",
    next="Take the gradient out of the tuple.",
    link="asking-for-one-gradient",
)
def returned_the_tuple(score, image):
    x = image.clone().requires_grad_()
    return torch.autograd.grad(score(x), x)


@input_gradient.misconception(
    title="The copy is no leaf",
    why="The clone was made after `requires_grad_()`, so it is a result, computed from the leaf. `backward` leaves its "
    "gradient in the leaf, which is the caller's image, and the clone's `.grad` is None.",
    next="First the copy, then `requires_grad_()`.",
    link="what-backward-leaves-behind",
)
def copy_is_no_leaf(score, image):
    x = image.requires_grad_().clone()
    score(x).backward()
    return x.grad


@input_gradient.misconception(
    title="You asked about a tensor that requires no gradient",
    why="Autograd records what is done with tensors that require a gradient. The image that came in requires none, and "
    "neither does a copy of it until you say so. A misspelled `x.require_grad = True` changes nothing: Python lets you "
    "put any attribute on a tensor.",
    next="Tell the tensor before it goes into the score. `x.requires_grad_()` raises an error if you misspell it.",
    link="the-graph-recorded",
)
def misspelled(score, image):
    x = image.clone()
    x.require_grad = True
    (gradient,) = torch.autograd.grad(score(x), x)
    return gradient


@input_gradient.misconception(
    title="Looked for a gradient that nobody has computed",
    why="`.grad` is None until something goes backward. Calling `score` computes the score and records its graph, no more.",
    next="Ask for the gradient: `torch.autograd.grad`.",
    link="asking-for-one-gradient",
)
def never_went_backward(score, image):
    x = image.clone().requires_grad_()
    score(x)
    return x.grad


@input_gradient.misconception(
    title="The score was computed from another tensor than your leaf",
    why="Your leaf requires a gradient, but it took no part in the score: the score was computed before the leaf was made, "
    "or from another tensor, such as the caller's image. No way leads from one to the other.",
    next="First the leaf, then the score of that very leaf.",
    link="none-zero-nan",
)
def leaf_took_no_part(score, image):
    x = image.clone().requires_grad_()
    return torch.autograd.grad(score(image), x)[0]


@input_gradient.misconception(
    title="The score was not recorded",
    why="Under `no_grad` nothing is recorded, whoever asks for it. The score that comes out is a constant, and no way leads "
    "back from it.",
    next="Compute the score outside `no_grad`.",
    link="who-stops-the-gradient",
)
def score_under_no_grad(score, image):
    x = image.clone().requires_grad_()
    with torch.no_grad():
        value = score(x)
    return torch.autograd.grad(value, x)[0]


@input_gradient.misconception(
    title="A gradient stays behind in the image",
    why="`requires_grad` is off again, but `backward` has written into `image.grad`, and there it stays. The caller's image "
    "is not as it was.",
    next="Make a leaf of your own from a copy.",
    link="asking-for-one-gradient",
    shows="`image.grad` afterwards",
)
def left_a_gradient_in_the_image(score, image):
    image.requires_grad_()
    score(image).backward(inputs=[image])
    image.requires_grad_(False)
    return image.grad


@input_gradient.misconception(
    title="Gradients stay behind in the image and in the network",
    why="`requires_grad` is off again. But `backward` has written into every leaf that the graph reaches: into `image.grad` "
    "and into the `.grad` of the score's parameters, and there it stays.",
    next="Make a leaf of your own from a copy, and ask for its gradient alone: `torch.autograd.grad`.",
    link="asking-for-one-gradient",
    shows="the `.grad` of the score's parameters afterwards",
    evidence=parameters_in_words,
)
def switched_off_and_left_gradients(score, image):
    image.requires_grad_()
    score(image).backward()
    image.requires_grad_(False)
    return image.grad


@input_gradient.misconception(
    title="Measured the slopes instead of asking autograd",
    why="Moving one pixel at a time runs the score twice for each pixel and is only nearly right. Autograd runs it once, "
    "whatever the number of pixels.",
    next="Give `score` a leaf that requires a gradient, and ask for its gradient.",
    link="asking-for-one-gradient",
    shows=FOLLOWED,
)
def measured_every_pixel(score, image):
    slopes = torch.zeros_like(image)
    with torch.no_grad():
        for i in range(image.numel()):
            step = torch.zeros_like(image)
            step.view(-1)[i] = 1e-3
            slopes.view(-1)[i] = (score(image + step) - score(image - step)) / 2e-3
    return slopes


@input_gradient.misconception(
    title="Your leaf never went into the score",
    why="The leaf is there and requires a gradient, and the score was computed from another tensor, such as a detached copy. "
    "So nothing goes back to the leaf: its `.grad` is None. `backward()` ran all the same, because the score's parameters "
    "require gradients, and it has written into them.",
    next="Give the leaf itself to the score, and ask for its gradient alone: `torch.autograd.grad`.",
    link="none-zero-nan",
)
def scored_a_detached_copy(score, image):
    x = image.clone().requires_grad_()
    score(x.detach()).backward()
    return x.grad


@input_gradient.misconception(
    title="Cleared what the network still needs",
    why="`backward` has written into the network's parameters, and `zero_grad()` is no way back from there. It also throws away "
    "the gradient that was there before, and it reaches only a module: behind a plain function, the parameters keep what "
    "`backward` has left in them.",
    next="Let nothing be written: `torch.autograd.grad` returns the gradient of the input alone.",
    link="asking-for-one-gradient",
    shows="the `.grad` of the score's parameters afterwards",
    evidence=parameters_in_words,
)
def cleared_the_network(score, image):
    x = image.clone().requires_grad_()
    score(x).backward()
    if isinstance(score, torch.nn.Module):
        score.zero_grad()
    return x.grad


@input_gradient.misconception(
    title="The network stays in evaluation mode",
    why="The gradient is right. But `eval()` switches a network over until somebody calls `train()`, and this one is in the "
    "middle of its training: its dropout is off from here on, and nothing says so.",
    next="Leave the mode as it is: a gradient can be asked for in either.",
    link="who-stops-the-gradient",
    shows="the score is no longer in training mode",
)
def left_in_eval_mode(score, image):
    if isinstance(score, torch.nn.Module):
        score.eval()
    x = image.clone().requires_grad_()
    return torch.autograd.grad(score(x), x)[0]


@input_gradient.misconception(
    title="Gave the score a batch",
    why="`score` takes an image of shape (H, W), and was given one with a further axis in front. This score happens to bear "
    "it; one that multiplies the image by a matrix may not.",
    next="Give the score a tensor of the image's own shape.",
    link="asking-for-one-gradient",
    shows="`score` is given an image of another shape",
)
def gave_a_batch(score, image):
    x = image[None].clone().requires_grad_()
    return torch.autograd.grad(score(x), x)[0][0]


# Values that are thrown away ----------------------------------------------------------------------


@exercise(
    level="independent",
    minutes=8,
    why="Where x is not positive, the logarithm sees a harmless 1 instead, so its gradient there is finite and `where` can "
    "set it to 0.",
    hints=(
        "Your values may be right and the gradient at 0 still NaN. Try it: `backward()` from the sum, then look at `x.grad`.",
        "`where` multiplies the gradient of the branch that is not taken by 0. At 0, the slope of log is infinite, and "
        "0 times infinity is NaN.",
        "Make the *input* of the logarithm harmless before you take it. Which number has the logarithm 0?",
    ),
)
def log_or_zero(x: torch.Tensor) -> torch.Tensor:
    """Compute log(x) where x is positive and 0 elsewhere, with a gradient that is right everywhere.

    x: floats of any shape, () included, that require a gradient. Some are zero or negative, and a
    positive one may be very small.
    Returns a tensor of x's shape and dtype. Its slope is 1 / x where x is positive and 0 elsewhere,
    never NaN. `backward()` on a loss that was computed from the result gives each element of x this
    slope times the gradient at its place in the result, as the chain rule says. x itself stays as it
    is, still requires a gradient, and no hook is left on it.
    """
    # solution:
    return torch.where(x > 0, x, 1.0).log()
    # end solution


TINY = "the logarithm of a tiny number, 1e-300"


def is_nearly_the_logarithm(values, x):
    """Whether values are those of the reference, up to what a small number more or less may do."""
    if not isinstance(values, torch.Tensor) or (values.shape, values.dtype) != (x.shape, x.dtype):
        return False
    plain = (x <= 0) | (x > 1e-2)
    due = torch.where(x > 0, x, 1.0).log()
    return torch.allclose(values[plain], due[plain], atol=1e-3)


def follows_the_loss(answer, x, plain):
    """Whether a loss that weighs the elements gives x its plain gradient times those weights."""
    weights = torch.arange(x.numel(), dtype=x.dtype).reshape(x.shape) - 2.5
    again = x.detach().clone().requires_grad_()
    (weights * answer(again)).sum().backward()
    return again.grad is not None and torch.allclose(again.grad, weights * plain, rtol=1e-5)


@log_or_zero.drive
def go_backward_from_the_sum(answer, x):
    kept = x.detach().clone()
    result, _ = ask(answer, x)
    values = result.detach().clone() if isinstance(result, torch.Tensor) else result
    with torch.enable_grad():
        if can_go_backward(result):
            result.sum().backward()
    grad = x.grad
    weighed = False
    if is_nearly_the_logarithm(values, kept) and grad is not None and grad.isfinite().all():
        with torch.enable_grad():
            weighed = not follows_the_loss(answer, kept, grad)
            small = torch.tensor([1e-300, 1.0], dtype=torch.float64, requires_grad=True)
            if abs(answer(small)[0].item() - small[0].log().item()) > 1e-3:
                return {TINY: "that of a larger number"}
    return {
        "result": values,
        "`x.grad` after `result.sum().backward()`": grad,
        TINY: "its own",
        "`(weights * result).sum()` does not give `x` that gradient times the weights": weighed,
        "a hook stays on `x`": has_hooks(x),
        "`x` no longer requires a gradient": not x.requires_grad,
    }


@log_or_zero.probe
def one_of_each(g):
    return (parameter([4.0, 0.0, -2.0]),)


@log_or_zero.probe
def a_table_with_zeros(g):
    values = torch.randn(3, 4, generator=g)
    values[1, 2], values[0, 0], values[2, 1] = 0.0, 2.5, -1.5
    return (parameter(values),)


@log_or_zero.probe
def one_zero(g):
    return (parameter(0.0),)


@log_or_zero.probe
def three_axes(g):
    return (parameter(torch.randn(2, 1, 3, generator=g)),)


@log_or_zero.probe
def tiny_and_huge(g):
    return (torch.tensor([1e-20, 0.0, 1e20, -1e-20, 0.5], requires_grad=True),)


@log_or_zero.alternative("Only the positive ones are touched at all.")
def by_mask(x):
    result = torch.zeros_like(x)
    positive = x > 0
    result[positive] = x[positive].log()
    return result


@log_or_zero.alternative("Where twice: once before the logarithm, once after.")
def where_twice(x):
    positive = x > 0
    safe = torch.where(positive, x, torch.ones_like(x))
    return torch.where(positive, safe.log(), torch.zeros_like(x))


@log_or_zero.alternative("`masked_fill` makes the input harmless, too.")
def with_masked_fill(x):
    return torch.log(x.masked_fill(x <= 0, 1))


@log_or_zero.misconception(
    title="The branch that is thrown away spoils the gradient",
    why="The values are right: what the logarithm gives at 0 is thrown away, by `where`, by `nan_to_num` or inside a function "
    "such as `xlogy`. But the gradient goes back through the logarithm all the same. For what was thrown away it is multiplied "
    "by 0, and at x = 0 the slope of log is infinite: 0 times infinity is NaN. One such element makes every weight before it "
    "NaN.",
    next="Make the logarithm's *input* harmless, not its result.",
    link="none-zero-nan",
    shows="`x.grad` after `result.sum().backward()`",
)
def thrown_away_afterwards(x):
    return torch.where(x > 0, x.log(), 0.0)


@log_or_zero.misconception(
    title="Cut off at a small number",
    why="`clamp` keeps the logarithm finite, and gives the logarithm of that small number where 0 is due.",
    next="Put another number there: one whose logarithm is 0.",
    link="none-zero-nan",
)
def clamped(x):
    return x.clamp(min=1e-8).log()


@log_or_zero.misconception(
    title="The logarithm of zero",
    why="Setting the others to 0 *before* the logarithm gives minus infinity: log(0) is not 0.",
    next="Which number has the logarithm 0? Put that one there.",
    link="none-zero-nan",
)
def log_of_zero(x):
    return torch.where(x > 0, x, 0.0).log()


@log_or_zero.misconception(
    title="Nothing is done about the rest",
    why="The logarithm of 0 is minus infinity and that of a negative number is NaN.",
    next="Replace what is not positive before you take the logarithm.",
    link="none-zero-nan",
)
def plain_log(x):
    return x.log()


@log_or_zero.misconception(
    title="Overwrote the leaf",
    why="Writing with an index, as in `t[mask] = …`, changes `t` in place. Where `t` is a leaf that requires a gradient, `x` "
    "itself or one that you have made, PyTorch refuses: the gradient at the place that was overwritten would have no "
    "meaning.",
    next="Make a new tensor with `torch.where`.",
    link="in-place-edits",
)
def overwrote_the_leaf(x):
    x[x <= 0] = 1
    return x.log()


@log_or_zero.misconception(
    title="Overwrote the caller's numbers",
    why="Through `.data` or under `no_grad` nothing stops you from writing into `x`. The caller's zeros are now ones, and "
    "they get a gradient of 1 where 0 is due, because autograd takes the ones for real.",
    next="Leave `x` alone: make a new tensor with `torch.where`.",
    link="in-place-edits",
    shows="`x.grad` after `result.sum().backward()`",
)
def overwrote_the_data(x):
    x.data[x <= 0] = 1
    return x.log()


@log_or_zero.misconception(
    title="The result has no history",
    why="The values are right, but they were computed from a detached tensor or under `no_grad`. `backward` cannot reach "
    "`x` from there.",
    next="Compute the logarithm from `x` itself.",
    link="who-stops-the-gradient",
    shows="`x.grad` after `result.sum().backward()`",
)
def without_history(x):
    return torch.where(x > 0, x, 1.0).detach().log()


@log_or_zero.misconception(
    title="Multiplied by zero to get rid of it",
    why="0 times minus infinity is not 0 but NaN, and so is 0 times NaN. A mask can choose between values, but "
    "multiplying by it cannot remove what is not a number.",
    next="Replace what is not positive before you take the logarithm.",
    link="none-zero-nan",
)
def multiplied_by_a_mask(x):
    return x.log() * (x > 0)


@log_or_zero.misconception(
    title="Asked `if` of a whole tensor",
    why="`if` wants one yes or no, and the comparison gives one for each element.",
    next="`torch.where` chooses element by element.",
    link="none-zero-nan",
)
def asked_one_question(x):
    if x > 0:
        return x.log()
    return torch.zeros_like(x)


@log_or_zero.misconception(
    title="Everything below 1 became 0",
    why="`clamp(min=1)` does give 0 where x is not positive. It also lifts the numbers between 0 and 1, whose logarithm is "
    "negative and was asked for.",
    next="Replace only what is not positive.",
    link="none-zero-nan",
)
def clamped_at_one(x):
    return x.clamp(min=1).log()


@log_or_zero.misconception(
    title="A small number changes the small numbers",
    why="Adding a small number, or cutting off at one, keeps the logarithm finite at 0. It also moves every x that is not "
    "large beside it: the logarithm of a tiny number comes out as that of the larger one, and its slope with it. Where x "
    "is positive, log(x) itself was asked for.",
    next="Leave the positive numbers as they are, and replace the others only.",
    link="none-zero-nan",
    shows=TINY,
)
def small_number_added(x):
    return torch.where(x > 0, (x + 1e-8).log(), 0.0)


@log_or_zero.misconception(
    title="`relu` of the logarithm",
    why="The logarithm of a number between 0 and 1 is negative, and `relu` makes 0 of it. That of a negative number is NaN, "
    "and NaN it stays: `relu` does not remove it, and on the way back 0 times infinity makes another one.",
    next="Change what goes *into* the logarithm, and only where x is not positive.",
    link="none-zero-nan",
)
def relu_of_the_logarithm(x):
    return torch.relu(x.log())


@log_or_zero.misconception(
    title="Counted zero among the positive numbers",
    why="`x >= 0` holds at 0, so the logarithm sees a 0 there and gives minus infinity.",
    next="0 is not positive: which comparison leaves it out?",
    link="none-zero-nan",
)
def zero_counted_as_positive(x):
    return torch.where(x >= 0, x, 1.0).log()


@log_or_zero.misconception(
    title="A hook stays on the caller's tensor",
    why="The result and its gradient are right. But a hook that is registered on `x` stays there: from now on it changes "
    "every gradient that reaches `x`, also of other losses, and hides their NaNs.",
    next="Keep the NaN from arising instead of catching it: change what goes into the logarithm.",
    link="none-zero-nan",
    shows="a hook stays on `x`",
)
def left_a_hook(x):
    x.register_hook(lambda gradient: gradient.nan_to_num(0.0))
    return torch.where(x > 0, x.log(), 0.0)


# Checking a gradient ------------------------------------------------------------------------------


@exercise(
    level="independent",
    minutes=10,
    why="Each element is moved up and down on its own, in float64, where the difference of two nearly equal numbers still "
    "has digits left.",
    hints=(
        "For one element: move it up by h, move it down by h, divide the difference of the two values by 2h.",
        "A tensor `step` of zeros with one h in it moves one element. Make a fresh one for every element.",
        "`x.detach().double()` is x in float64, without a graph. Of a tensor that lies in memory row after row, as one from "
        "`torch.zeros(x.shape, …)` does, `step.view(-1)[i] = h` reaches element i.",
        "A transposed x does not lie row after row. `contiguous()` copies it if need be, and what you make with "
        "`zeros_like` from that one does. Put element i of the result into `gradient.view(-1)[i]`.",
    ),
    equivalent_mutants=(
        "x = x.double().contiguous()",
    ),  # the result then has a history, and the same values
)
def numerical_gradient(f, x: torch.Tensor, h: float) -> torch.Tensor:
    """Estimate the gradient of a function by central differences, in float64.

    f: a function that takes a float64 tensor of x's shape and returns a tensor without axes.
    x: floats of any shape, () included, float32 or float64, with or without requires_grad. It need
    not be contiguous: a transposed table is not.
    h: how far to move each element.
    Returns a float64 tensor of x's shape.

    Element i of the result is the difference of f with element i moved up by h and f with element i
    moved down by h, divided by 2h, all of it computed in float64. `x` stays as it is.
    """
    # solution:
    x = x.detach().double().contiguous()
    gradient = torch.zeros_like(x)
    for i in range(x.numel()):
        step = torch.zeros_like(x)
        step.view(-1)[i] = h
        gradient.view(-1)[i] = (f(x + step) - f(x - step)) / (2 * h)
    return gradient
    # end solution


def central_differences(f, x, h):
    steps = h * torch.eye(x.numel(), dtype=x.dtype).reshape(-1, *x.shape)
    return torch.stack([(f(x + s) - f(x - s)) / (2 * h) for s in steps]).reshape(x.shape)


def is_near(result, due, tolerance):
    """Whether a result is a float64 tensor and agrees with what is due, to a part of the largest."""
    if not isinstance(result, torch.Tensor) or (result.shape, result.dtype) != (
        due.shape,
        due.dtype,
    ):
        return False
    return bool((result - due).abs().max() <= tolerance * due.abs().max())


VIEW = "where `f` returns an element of its argument, as in `x[0]`, the slopes are wrong"


def measures_a_view(answer, x, h):
    """Whether the slopes of `f` are right where what it returns is a view of its argument."""

    def first(x):
        return x[(0,) * x.dim()]

    with contextlib.suppress(Exception):
        found = answer(first, x.clone(), h)
        return is_near(found.detach(), central_differences(first, x.double(), h), 1e-6)
    return False


@numerical_gradient.drive
def estimate(answer, f, x, h):
    required, kept, given = x.requires_grad, x.detach().clone(), []
    edits = x._version
    due = central_differences(f, kept.double(), h)

    def watched(x):
        given.append(is_followed(x))
        return f(x)

    result, left_off = ask(answer, watched, x, h)
    if isinstance(result, torch.Tensor):
        result = result.detach().clone(memory_format=torch.contiguous_format)
    right = x.dtype == torch.float64 and x._version == edits and is_near(result, due, 1e-6)
    return {
        "result": result,
        VIEW: right and not measures_a_view(answer, kept, h),
        "the result is right in its first digits, and not in the rest": is_near(result, due, 1e-5)
        and not is_near(result, due, 1e-9),
        "`x` is not to the last digit what it was": not torch.equal(x.detach(), kept),
        "`x.requires_grad` is as before": x.requires_grad == required,
        LEFT_OFF: left_off,
        "`f` is given a tensor that requires a gradient": Extra(any(given)),
    }


@numerical_gradient.probe
def two_cubes(g):
    def f(x):
        """the sum of x cubed"""
        return (x**3).sum()

    return f, torch.tensor([1.0, -2.0], dtype=torch.float64), 0.1


@numerical_gradient.probe
def a_table_of_float32(g):
    table = torch.randn(2, 3, generator=g).T  # (3, 2), and not contiguous
    weights = torch.tensor([[1.0, 2.0], [-3.0, 0.5], [4.0, -1.5]])

    def f(x):
        """the sum of weights times exp(x)"""
        return (weights * x.exp()).sum()

    return f, table, 1e-4


@numerical_gradient.probe
def one_number(g):
    def f(x):
        """x cubed, minus x"""
        return x**3 - x

    return f, torch.tensor(0.3), 0.05


@numerical_gradient.probe
def elements_that_interact(g):
    def f(x):
        """the product of all elements, plus a cubic"""
        return x.prod() + (x**3).mean() + 10

    return f, parameter(torch.rand(2, 1, 3, generator=g) + 0.5), 0.01


def f_in_words(f, x, h):
    return f"Here f(x) is {f.__doc__}, and h is {h}."


@numerical_gradient.alternative("Move the elements of one copy, and put each one back.")
def put_back(f, x, h):
    x = x.detach().clone().double().contiguous()
    flat, slopes = x.view(-1), []
    for i in range(flat.numel()):
        kept = flat[i].item()
        flat[i] = kept + h
        up = f(x).item()
        flat[i] = kept - h
        down = f(x).item()
        flat[i] = kept
        slopes.append((up - down) / (2 * h))
    return torch.tensor(slopes, dtype=torch.float64).reshape(x.shape)


@numerical_gradient.alternative("The rows of h times the identity are all the steps there are.")
def rows_of_the_identity(f, x, h):
    x = x.detach().to(torch.float64)
    steps = h * torch.eye(x.numel(), dtype=x.dtype)
    slopes = [(f(x + s.reshape(x.shape)) - f(x - s.reshape(x.shape))) / (2 * h) for s in steps]
    return torch.stack(slopes).reshape(x.shape)


@numerical_gradient.misconception(
    title="Moved to one side only",
    why="The difference to one side is off by a multiple of h. Up and down, these errors cancel, and what is left shrinks "
    "with h squared.",
    next="Move each element up and down, and divide by 2h.",
    link="checking-a-gradient",
    evidence=f_in_words,
)
def one_sided(f, x, h):
    x = x.detach().double().contiguous()
    gradient = torch.zeros_like(x)
    for i in range(x.numel()):
        step = torch.zeros_like(x)
        step.view(-1)[i] = h
        gradient.view(-1)[i] = (f(x + step) - f(x)) / h
    return gradient


@numerical_gradient.misconception(
    title="Divided by h instead of 2h",
    why="From h below to h above is a distance of 2h. Divided by h, every slope is twice too large.",
    next="Divide by the distance between the two points.",
    link="checking-a-gradient",
    evidence=f_in_words,
)
def divided_by_h(f, x, h):
    x = x.detach().double().contiguous()
    gradient = torch.zeros_like(x)
    for i in range(x.numel()):
        step = torch.zeros_like(x)
        step.view(-1)[i] = h
        gradient.view(-1)[i] = (f(x + step) - f(x - step)) / h
    return gradient


@numerical_gradient.misconception(
    title="The result is float32 when x is",
    why="Two nearly equal numbers are subtracted, and what they have in common is lost. In float32 that leaves very few "
    "digits: the check would be less exact than what it checks.",
    next="Turn x into float64 first.",
    link="checking-a-gradient",
    evidence=f_in_words,
)
def stayed_in_float32(f, x, h):
    x = x.detach().contiguous()
    gradient = torch.zeros_like(x)
    for i in range(x.numel()):
        step = torch.zeros_like(x)
        step.view(-1)[i] = h
        gradient.view(-1)[i] = (f(x + step) - f(x - step)) / (2 * h)
    return gradient


@numerical_gradient.misconception(
    title="Computed in float32, and turned into float64 at the end",
    why="The digits are lost when the two values are subtracted. A wider dtype afterwards has room for more digits but does "
    "not know them.",
    next="Turn x into float64 before `f` sees it.",
    link="checking-a-gradient",
    evidence=f_in_words,
)
def widened_too_late(f, x, h):
    x = x.detach().contiguous()
    gradient = torch.zeros_like(x)
    for i in range(x.numel()):
        step = torch.zeros_like(x)
        step.view(-1)[i] = h
        gradient.view(-1)[i] = (f(x + step) - f(x - step)) / (2 * h)
    return gradient.double()


@numerical_gradient.misconception(
    title="Moved all elements at once",
    why="`x + h` moves every element. The difference is then the sum of all slopes, one number, and nobody can tell which "
    "element contributed what.",
    next="Move one element at a time.",
    link="checking-a-gradient",
    evidence=f_in_words,
)
def all_at_the_same_time(f, x, h):
    x = x.detach().double().contiguous()
    return (f(x + h) - f(x - h)) / (2 * h)


@numerical_gradient.misconception(
    title="The steps pile up",
    why="The tensor of steps was made once, and each round puts another h into it. In round i, all elements up to i move.",
    next="Make a fresh `step` in every round, or set the last h back to 0.",
    link="checking-a-gradient",
    evidence=f_in_words,
)
def steps_pile_up(f, x, h):
    x = x.detach().double().contiguous()
    gradient = torch.zeros_like(x)
    step = torch.zeros_like(x)
    for i in range(x.numel()):
        step.view(-1)[i] = h
        gradient.view(-1)[i] = (f(x + step) - f(x - step)) / (2 * h)
    return gradient


@numerical_gradient.misconception(
    title="Asked autograd",
    why="That is the gradient to be checked. A check is worth something only if it goes another way and could come to "
    "another number.",
    next="Call `f` and subtract; leave `backward` out.",
    link="checking-a-gradient",
    evidence=f_in_words,
)
def asked_autograd(f, x, h):
    x = x.detach().double().contiguous().requires_grad_()
    return torch.autograd.grad(f(x), x)[0]


@numerical_gradient.misconception(
    title="Moved the caller's own numbers",
    why="`double()` of a float64 tensor is that very tensor, so the steps were taken in the caller's `x`, and they are "
    "still in it.",
    next="Work on a copy, or add and subtract a `step` of your own.",
    link="checking-a-gradient",
    evidence=f_in_words,
)
def moved_the_original(f, x, h):
    x = x.detach().double().contiguous()
    gradient = torch.zeros_like(x)
    for i in range(x.numel()):
        x.view(-1)[i] += h
        up = f(x)
        x.view(-1)[i] -= 2 * h
        gradient.view(-1)[i] = (up - f(x)) / (2 * h)
    return gradient


@numerical_gradient.misconception(
    title="Close to the slope, but not the central difference",
    why="What came out is nearly the true slope. The central difference with the given h, which was asked for, is a little "
    "off, and by how much depends on h. So you have moved by another h, or used a finer formula. The caller chooses h: how "
    "large it should be depends on the function and on the size of x.",
    next="One move up by the argument `h`, one move down, nothing else.",
    link="checking-a-gradient",
    evidence=f_in_words,
)
def another_h(f, x, h):
    x = x.detach().double().contiguous()
    gradient = torch.zeros_like(x)
    for i in range(x.numel()):
        step = torch.zeros_like(x)
        step.view(-1)[i] = 1e-6
        gradient.view(-1)[i] = (f(x + step) - f(x - step)) / 2e-6
    return gradient


@numerical_gradient.misconception(
    title="Divided by 2 and multiplied by h",
    why="Python reads `a / 2 * h` from left to right: a divided by 2, times h.",
    next="Put 2 * h into parentheses.",
    link="checking-a-gradient",
    evidence=f_in_words,
)
def missing_parentheses(f, x, h):
    x = x.detach().double().contiguous()
    gradient = torch.zeros_like(x)
    for i in range(x.numel()):
        step = torch.zeros_like(x)
        step.view(-1)[i] = h
        gradient.view(-1)[i] = (f(x + step) - f(x - step)) / 2 * h
    return gradient


@numerical_gradient.misconception(
    title="The elements were not put back",
    why="Each round begins where the last one has ended: the elements before it are still h too low, so the slopes are "
    "measured at another point.",
    next="Put the element back before you go on to the next one, or add and subtract a `step`.",
    link="checking-a-gradient",
    evidence=f_in_words,
)
def never_put_back(f, x, h):
    x = x.detach().double().contiguous().clone()
    gradient = torch.zeros_like(x)
    for i in range(x.numel()):
        x.view(-1)[i] += h
        up = f(x)
        x.view(-1)[i] -= 2 * h
        gradient.view(-1)[i] = (up - f(x)) / (2 * h)
    return gradient


@numerical_gradient.misconception(
    title="The slopes are in one row",
    why="A gradient has the shape of the tensor it belongs to: element for element, it says what that element does.",
    next="Give the result the shape of x.",
    link="what-backward-leaves-behind",
    evidence=f_in_words,
)
def left_in_a_row(f, x, h):
    x = x.detach().double().contiguous()
    slopes = []
    for i in range(x.numel()):
        step = torch.zeros_like(x)
        step.view(-1)[i] = h
        slopes.append((f(x + step) - f(x - step)) / (2 * h))
    return torch.stack(slopes)


@numerical_gradient.misconception(
    title="The slopes were put into float32",
    why="`torch.tensor` makes float32 of Python floats, and `torch.zeros` makes float32, unless you say otherwise. Half of the "
    "digits are gone at the very end.",
    next="Say which dtype the result is to have.",
    link="checking-a-gradient",
    evidence=f_in_words,
)
def narrowed_at_the_end(f, x, h):
    x = x.detach().double().contiguous()
    slopes = []
    for i in range(x.numel()):
        step = torch.zeros_like(x)
        step.view(-1)[i] = h
        slopes.append(((f(x + step) - f(x - step)) / (2 * h)).item())
    return torch.tensor(slopes).reshape(x.shape)


@numerical_gradient.misconception(
    title="Returned after the first element",
    why="`return` stands inside the loop, so only one element was measured. The others are still 0.",
    next="Move `return` out of the loop.",
    link="checking-a-gradient",
    evidence=f_in_words,
)
def returned_early(f, x, h):
    x = x.detach().double().contiguous()
    gradient = torch.zeros_like(x)
    for i in range(x.numel()):
        step = torch.zeros_like(x)
        step.view(-1)[i] = h
        gradient.view(-1)[i] = (f(x + step) - f(x - step)) / (2 * h)
        return gradient
    return None


@numerical_gradient.misconception(
    title="Half of the digits were lost on the way",
    why="The result has the dtype float64, but something before it was float32: the slopes, or the step with h in it. "
    "`torch.zeros` and `torch.tensor` of Python floats make float32 unless you say otherwise, and `.double()` afterwards "
    "makes room for digits that are gone.",
    next="Give `dtype=torch.float64` to every tensor that you make.",
    link="checking-a-gradient",
    shows="the result is right in its first digits, and not in the rest",
    evidence=f_in_words,
)
def digits_lost(f, x, h):
    x = x.detach().double().contiguous()
    slopes = []
    for i in range(x.numel()):
        step = torch.zeros_like(x)
        step.view(-1)[i] = h
        slopes.append(((f(x + step) - f(x - step)) / (2 * h)).item())
    return torch.tensor(slopes).double().reshape(x.shape)


@numerical_gradient.misconception(
    title="Moved the caller's own numbers, and not quite back",
    why="`double()` of a float64 tensor is that very tensor, so the steps were taken in the caller's `x`. Going up by h, down "
    "by 2h and up by h again ends beside the start: each step is rounded.",
    next="Work on a copy, or add and subtract a `step` of your own.",
    link="checking-a-gradient",
    shows="`x` is not to the last digit what it was",
    evidence=f_in_words,
)
def not_quite_back(f, x, h):
    x = x.detach().double().contiguous()
    gradient = torch.zeros_like(x)
    for i in range(x.numel()):
        x.view(-1)[i] += h
        up = f(x)
        x.view(-1)[i] -= 2 * h
        gradient.view(-1)[i] = (up - f(x)) / (2 * h)
        x.view(-1)[i] += h
    return gradient


@numerical_gradient.misconception(
    title="Moved a whole row at once",
    why="`len(x)` counts the rows of a table, and `x[i]` is a row. All of its elements moved together, so every one of them "
    "got the sum of the row's slopes.",
    next="Go through all elements, `x.numel()` of them, whatever the shape.",
    link="checking-a-gradient",
    evidence=f_in_words,
)
def one_row_at_a_time(f, x, h):
    x = x.detach().double()
    gradient = torch.zeros_like(x)
    for i in range(len(x)):
        step = torch.zeros_like(x)
        step[i] = h
        gradient[i] = (f(x + step) - f(x - step)) / (2 * h)
    return gradient


@numerical_gradient.misconception(
    title="The same number in every place",
    why="All elements moved at once, and the one difference that came out, the sum of all slopes, was written into every "
    "place. The shape is right; nobody can tell which element contributed what.",
    next="Move one element at a time.",
    link="checking-a-gradient",
    evidence=f_in_words,
)
def the_sum_everywhere(f, x, h):
    x = x.detach().double()
    return torch.full_like(x, (f(x + h) - f(x - h)) / (2 * h))


@numerical_gradient.misconception(
    title="Moved the elements of a copy",
    why="Of a tensor that lies in memory row after row, `flatten()` and `reshape(-1)` are views, and writing into them moves "
    "an element. Of a transposed one they are copies: you have moved elements of a copy that nobody looks at, and f saw "
    "no difference.",
    next="Make sure that the tensor lies row after row: `contiguous()`, or a fresh one from `torch.zeros(x.shape, …)`.",
    link="checking-a-gradient",
    evidence=f_in_words,
)
def flatten_made_a_copy(f, x, h):
    x = x.detach().double()
    slopes = torch.zeros(x.numel(), dtype=torch.float64)
    for i in range(x.numel()):
        up, down = x.clone(), x.clone()
        up.flatten()[i] += h
        down.flatten()[i] -= h
        slopes[i] = (f(up) - f(down)) / (2 * h)
    return slopes.reshape(x.shape)


@numerical_gradient.misconception(
    title="The second move changed the first value, too",
    why="The elements of one copy are moved up, then down, and both values are kept as tensors. If `f` returns an element of "
    "its argument, what it returns is a view of your copy: when you move the element down, the value from above moves along, "
    "and the difference is 0.",
    next="Give `f` a new tensor each time, or take the number out of its result before you move the element again.",
    link="in-place-edits",
    shows=VIEW,
)
def first_value_moved_along(f, x, h):
    x = torch.empty(x.shape, dtype=torch.float64).copy_(x.detach())
    gradient = torch.zeros_like(x)
    for i in range(x.numel()):
        kept = x.view(-1)[i].item()
        x.view(-1)[i] = kept + h
        up = f(x)
        x.view(-1)[i] = kept - h
        gradient.view(-1)[i] = (up - f(x)) / (2 * h)
        x.view(-1)[i] = kept
    return gradient


@numerical_gradient.misconception(
    title="A transposed tensor has no view as one row",
    why="A view needs elements that lie in memory one after the other. `zeros_like` and `clone` keep the order in memory of "
    "the tensor that they copy, so of a transposed x they have no such view either.",
    next="Use `contiguous()` before, or a fresh tensor from `torch.zeros(x.shape, …)`.",
    link="checking-a-gradient",
)
def viewed_a_transpose(f, x, h):
    x = x.detach().double()
    gradient = torch.zeros_like(x)
    for i in range(x.numel()):
        step = torch.zeros_like(x)
        step.view(-1)[i] = h
        gradient.view(-1)[i] = (f(x + step) - f(x - step)) / (2 * h)
    return gradient


@numerical_gradient.misconception(
    title="Switched off the caller's `requires_grad`",
    why="`requires_grad_(False)` changes the caller's tensor for good. From now on no loss reaches it.",
    next="`detach()` gives you the same numbers without a history, and leaves `x` as it is.",
    link="who-stops-the-gradient",
    shows="`x.requires_grad` is as before",
    evidence=f_in_words,
)
def froze_the_original(f, x, h):
    x.requires_grad_(False)
    x = x.double().contiguous()
    gradient = torch.zeros_like(x)
    for i in range(x.numel()):
        step = torch.zeros_like(x)
        step.view(-1)[i] = h
        gradient.view(-1)[i] = (f(x + step) - f(x - step)) / (2 * h)
    return gradient


@numerical_gradient.misconception(
    title="Moved the caller's own elements, or those of a copy",
    why="`double()` gives x itself if it is float64 already: then you write into the caller's tensor, and adding and subtracting h "
    "does not bring back its last digits. And `reshape(-1)` copies where x does not lie in memory row after row: then you move "
    "elements that `f` never sees.",
    next="Begin with a float64 copy of your own that lies row after row, or add and subtract a `step`.",
    link="checking-a-gradient",
    evidence=f_in_words,
)
def shared_or_copied(f, x, h):
    x = x.detach().double()
    row, slopes = x.reshape(-1), torch.zeros(x.numel(), dtype=torch.float64)
    for i in range(x.numel()):
        row[i] += h
        up = f(x)
        row[i] -= 2 * h
        down = f(x)
        row[i] += h
        slopes[i] = (up - down) / (2 * h)
    return slopes.reshape(x.shape)


# The bug clinic -----------------------------------------------------------------------------------


@exercise(
    level="clinic",
    minutes=7,
    why="`a` and `k` both reach the loss as tensors, so the way back leads to both.",
    hints=(
        "Go backward once and look at `a.grad` and `k.grad`. One of them is missing.",
        "Follow `k` from the argument to the loss. At which line does it stop being a tensor that requires a gradient?",
        "`.item()` takes out a plain number, and numbers have no history.",
    ),
)
def cooling_loss(
    t: torch.Tensor, temperature: torch.Tensor, a: torch.Tensor, k: torch.Tensor
) -> torch.Tensor:
    """Compute the mean squared error of the cooling curve `a * exp(-k * t)`.

    t: (N,), times.
    temperature: (N,), what was measured then: degrees above the room's, also 0 and below.
    a: a tensor without axes, and k likewise: leaves that require gradients, of any value.
    Returns a tensor without axes. `backward()` on it gives `a` and `k` their gradients.
    """
    decay = torch.exp(-k * t)
    error = a * decay - temperature
    return (error**2).mean()


def leaves_of(loss):
    """Count the leaves that `backward` would reach from a loss."""
    waiting = [loss.grad_fn] if can_go_backward(loss) else []
    seen, leaves = set(), 0
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            leaves += type(node).__name__ == "AccumulateGrad"
            waiting += [parent for parent, _ in node.next_functions]
    return leaves


@cooling_loss.drive
def learn_from_the_curve(answer, t, temperature, a, k):
    loss, _ = ask(answer, t, temperature, a, k)
    leaves = leaves_of(loss)
    if can_go_backward(loss):
        loss.backward()
    return {
        "result": loss,
        "`a.grad` after `backward()`": a.grad,
        "`k.grad` after `backward()`": k.grad,
        "the leaves that `backward` reaches": Extra(leaves),
        DATA_RECORDED: t.requires_grad or temperature.requires_grad,
    }


@cooling_loss.probe
def three_measurements(g):
    t = torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64)
    temperature = torch.tensor([8.0, 5.0, 2.0], dtype=torch.float64)
    return t, temperature, parameter(10.0), parameter(0.5)


def cooling(g, count):
    t = 3 * torch.rand(count, generator=g, dtype=torch.float64)
    a, k = (1 + torch.rand((), generator=g, dtype=torch.float64) for _ in range(2))
    noise = torch.randn(count, generator=g, dtype=torch.float64)
    return t, 4 * torch.exp(-t) + noise, parameter(3 * a), parameter(k)


@cooling_loss.probe
def no_cooling_yet(g):
    t, temperature, a, _ = cooling(g, 3)
    temperature[1:] = torch.tensor([-0.5, 0.0])  # noise may carry a measurement below zero
    return t, temperature, a, parameter(0.0)


@cooling_loss.probe
def five_measurements(g):
    return cooling(g, 5)


@cooling_loss.probe
def eight_measurements(g):
    t, temperature, a, k = cooling(g, 8)
    return t, temperature, a, parameter(-k.detach() / 4)  # also a k at which the curve rises


@cooling_loss.alternative("PyTorch's own loss.")
def with_ready_made_loss(t, temperature, a, k):
    return F.mse_loss(a * (-k * t).exp(), temperature)


@cooling_loss.alternative("A power of e, written as one.")
def as_a_power(t, temperature, a, k):
    return (temperature - a / torch.exp(k) ** t).square().mean()


@cooling_loss.misconception(
    title="One parameter was taken out of the graph",
    why="`.item()`, `float()`, `.detach()`, `.numpy()` and `.data` all hand on the value of `k` without its history. The loss "
    "is right to the last digit, and `a` still gets its gradient, so nothing complains. `k` gets none and never moves.",
    next="Use `k` itself, from the argument to the loss.",
    link="who-stops-the-gradient",
    shows="`k.grad` after `backward()`",
    starter=True,
)
def rate_as_a_number(t, temperature, a, k):
    rate = k.item()  # how fast it cools
    decay = torch.exp(-rate * t)
    error = a * decay - temperature
    return (error**2).mean()


@cooling_loss.misconception(
    title="Made a second leaf instead of using `k`",
    why="`torch.tensor(…, requires_grad=True)` is a new leaf with k's value. It does get a gradient, and is thrown away with "
    "it. The `k` that came in still gets none.",
    next="Use `k` itself: it already is a leaf that requires a gradient.",
    link="what-backward-leaves-behind",
    shows="`k.grad` after `backward()`",
)
def second_leaf(t, temperature, a, k):
    rate = torch.tensor(k.item(), requires_grad=True)
    decay = torch.exp(-rate * t)
    error = a * decay - temperature
    return (error**2).mean()


@cooling_loss.misconception(
    title="Now the other one is cut off",
    why="`k` is in the graph again, but `a` was turned into a number on the way. The cut has moved, not gone.",
    next="Use both arguments themselves.",
    link="who-stops-the-gradient",
    shows="`a.grad` after `backward()`",
)
def cut_the_other_one(t, temperature, a, k):
    decay = torch.exp(-k * t)
    error = a.item() * decay - temperature
    return (error**2).mean()


@cooling_loss.misconception(
    title="The loss has no history at all",
    why="The numbers are right, but nothing was recorded: both parameters were taken out of the graph, or the loss was "
    "computed under `no_grad` or detached. `backward` cannot even start.",
    next="Compute with `a` and `k` themselves, outside `no_grad`.",
    link="who-stops-the-gradient",
    shows="`a.grad` after `backward()`",
)
def both_cut_off(t, temperature, a, k):
    decay = torch.exp(-k.item() * t)
    error = a.item() * decay - temperature
    return (error**2).mean()


@cooling_loss.misconception(
    title="Returned a Python number",
    why="`backward` starts from a tensor. A number has no history, however right it is.",
    next="Return the tensor.",
    link="who-stops-the-gradient",
)
def loss_as_a_number(t, temperature, a, k):
    decay = torch.exp(-k * t)
    error = a * decay - temperature
    return (error**2).mean().item()


@cooling_loss.misconception(
    title="It heats up",
    why="Without the minus sign the curve grows instead of falling.",
    next="The exponent is minus k times t.",
    link="bug-clinic",
)
def heats_up(t, temperature, a, k):
    decay = torch.exp(k * t)
    error = a * decay - temperature
    return (error**2).mean()


@cooling_loss.misconception(
    title="Summed instead of averaged",
    why="The sum grows with the number of measurements, and the gradient with it.",
    next="Leave the mean as it was; the fault is elsewhere.",
    link="bug-clinic",
)
def summed_the_squares(t, temperature, a, k):
    decay = torch.exp(-k * t)
    error = a * decay - temperature
    return (error**2).sum()


@cooling_loss.misconception(
    title="Went backward inside the function",
    why="`backward()` has run before the loss is returned, and the graph was freed. Whoever asked for the loss cannot go "
    "backward from it any more.",
    next="Return the loss and leave `backward()` to the caller.",
    link="the-graph-is-used-up",
)
def backward_inside(t, temperature, a, k):
    decay = torch.exp(-k * t)
    error = a * decay - temperature
    loss = (error**2).mean()
    loss.backward()
    return loss
