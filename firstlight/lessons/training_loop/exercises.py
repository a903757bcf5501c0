"""What the student writes in lesson 4, Training Loop in PyTorch, and every known way to get it wrong."""

# mypy does not see what a decorator makes of a function: an exercise.
# mypy: disable-error-code="attr-defined,type-arg,no-untyped-def,operator,no-any-return"

from contextlib import contextmanager
from types import FunctionType
from unittest import mock

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.optimizer import register_optimizer_step_post_hook

from firstlight.checking import Exercise, Extra, exercise, source

# Networks and batches to look at ------------------------------------------------------------------


def fill(model, g):
    """Draw every parameter from `g`, in float64, so that a model is the same on every run."""
    model.double()
    with torch.no_grad():
        for parameter in model.parameters():
            values = torch.randn(parameter.shape, generator=g, dtype=parameter.dtype)
            parameter.copy_(0.7 * values)
    return model


def line(g):
    return fill(nn.Linear(1, 1), g)


def classifier(g, classes=3):
    """Make a network with BatchNorm and dropout, which both act otherwise in eval mode."""
    layers = nn.Linear(2, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Dropout(0.3), nn.Linear(5, classes)
    return fill(nn.Sequential(*layers), g)


def numbers(g, count, columns):
    return torch.randn(count, columns, generator=g, dtype=torch.float64)


def classes_of(g, count, classes=3):
    """Draw class numbers; each class appears."""
    return torch.arange(count)[torch.randperm(count, generator=g)] % classes


def cut(inputs, targets, size):
    """Cut two tensors into batches of `size`; the last one may be short."""
    return list(zip(inputs.split(size), targets.split(size)))


def parameters_of(model):
    return {name: p.detach().clone() for name, p in model.named_parameters()}


STATISTICS = "BatchNorm's running statistics"


def statistics_of(model):
    """Observe what BatchNorm has gathered; nothing for a model without it."""
    kept = [b for n, b in model.named_buffers() if n.endswith(("running_mean", "running_var"))]
    return {STATISTICS: torch.cat([b.flatten() for b in kept])} if kept else {}


def same_parameters(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def gradients_of(model):
    """Return all gradients in one row, or None where there are none at all."""
    kept = [p.grad.detach().flatten() for p in model.parameters() if p.grad is not None]
    return torch.cat(kept) if kept else None


def modes_of(model):
    return [module.training for module in model.modules()]


def row_by_row_error(outputs, targets):
    """Compute a loss that wants (B, C): the squared errors of a row, added up, and their mean."""
    return ((outputs - targets) ** 2).sum(1).mean()


class Steps:
    """What a training does while an answer runs: who steps, and whether gradients arrive before."""

    def __init__(self, model, optimizer):
        self.model, self.began = model, parameters_of(model)
        self.after = []  # the parameters after each step of the given optimizer
        self.others = []  # which other optimizers stepped, once for each of their steps
        self.events = []
        self.optimizer = optimizer
        optimizer.register_step_post_hook(self.stepped)
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.register_post_accumulate_grad_hook(lambda _: self.events.append(ARRIVED))

    def __enter__(self):
        self.hook = register_optimizer_step_post_hook(self.counted)
        self.patches = [
            mock.patch.object(
                torch.autograd, "backward", self.noted(torch.autograd.backward, ASKED)
            ),
            mock.patch.object(torch.autograd, "grad", self.noted(torch.autograd.grad, ARRIVED)),
        ]
        for patch in self.patches:
            patch.start()
        return self

    def __exit__(self, *_):
        self.hook.remove()
        for patch in self.patches:
            patch.stop()

    def noted(self, function, event):
        def call(*arguments, **settings):
            self.events.append(event)
            return function(*arguments, **settings)

        return call

    def stepped(self, *_):
        self.events.append(STEPPED)
        self.after.append(parameters_of(self.model))

    def counted(self, optimizer, *_):
        if optimizer is not self.optimizer:
            self.others.append(optimizer)

    def passed_over(self):
        return not self.after and not same_parameters(parameters_of(self.model), self.began)

    def whose(self):
        """Say who moves the parameters, if the given optimizer does not."""
        if not self.others:
            return "nobody's: by hand"
        each = len({id(optimizer) for optimizer in self.others}) == len(self.others) > 1
        return "a new one for every step" if each else "another one"

    def standstill(self):
        """Say why the parameters never move, if they never do: no right answer gets here."""
        if any(
            not same_parameters(p, self.began) for p in [*self.after, parameters_of(self.model)]
        ):
            return {}
        if STEPPED not in self.events:
            reason = "the optimizer never steps"
        elif ARRIVED not in self.events:
            reason = "the way back is cut" if ASKED in self.events else "nobody goes backward"
        elif self.events.index(ARRIVED) < self.events.index(STEPPED):
            reason = "the gradients are gone before the step"
        else:
            reason = "the step comes before the gradients"
        return {"why nothing moves": reason}

    def observed(self, **seen):
        """Give all that was seen; if the given optimizer was passed over, nothing but that."""
        passed_over = self.passed_over()
        claim = {BY_OPTIMIZER: not passed_over}
        if passed_over:
            return claim | {"whose steps they are": self.whose()}
        others = {"another optimizer takes the steps": Extra(bool(self.others))}
        return claim | others | seen | self.standstill()


BY_OPTIMIZER = "nobody but `optimizer` moves the parameters"
ASKED, ARRIVED, STEPPED = "backward was called", "a gradient came in", "the optimizer stepped"


KIND = "the kind of number that comes back"


def kind_of(*numbers):
    """Say what kind of number came back; nothing where something else did."""
    odd = next((number for number in numbers if not isinstance(number, float)), 0.0)
    if isinstance(odd, np.number) and not isinstance(odd, float):
        return {KIND: f"NumPy's {type(odd).__name__}"}
    if isinstance(odd, int | float):
        return {KIND: f"a Python {type(odd).__name__}"}
    return {}


class Readings:
    """Batches in another order at every reading, as from a loader that shuffles, without a length."""

    def __init__(self, batches):
        self.batches = batches
        self.readings = 0

    def __iter__(self):
        first = self.readings % len(self.batches)
        self.readings += 1
        yield from self.batches[first:] + self.batches[:first]


# One step -----------------------------------------------------------------------------------------


@exercise(
    level="guided",
    minutes=8,
    why="Predict, loss, clear, backward, step; and `item()` takes the number out of a loss that was computed before "
    "the step.",
    hints=(
        "The five lines of the loop above, on whatever model, loss function, optimizer and batch come in.",
        "`loss_fn` takes the model's outputs first and the targets second.",
        "A loss is a tensor that remembers its graph. `loss.item()` is the bare number.",
    ),
)
def train_step(model: nn.Module, loss_fn, optimizer, inputs, targets) -> float:
    """Do one update on one batch.

    model: any module. It runs on the batch once, in whatever mode it is, and stays in it. No
    parameter has a gradient before the first call.
    loss_fn: (outputs, targets) -> a loss without axes, whatever loss was chosen.
    optimizer: has the model's parameters; maybe not all of them, and what becomes of the gradients
    of the others is up to you. Some parameters may be frozen: they get no gradient.
    inputs: the batch, one example per row.
    targets: what the outputs should be.
    Returns the batch's loss as it was before the update: a Python float.
    """
    # solution:
    outputs = model(inputs)
    loss = loss_fn(outputs, targets)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()
    # end solution


@train_step.drive
def three_steps(answer, model, loss_fn, optimizer, inputs, targets):
    losses, seen, ran = {}, {}, []
    trained = [p.requires_grad for p in model.parameters()]
    modes = modes_of(model)
    model.register_forward_hook(lambda *_: ran.append(modes_of(model)))
    with Steps(model, optimizer) as steps:
        for number, batch in enumerate(cut(inputs, targets, 3), start=1):
            losses[f"the loss of step {number}"] = answer(model, loss_fn, optimizer, *batch)
            seen[f"the parameters after step {number}"] = parameters_of(model)
    frozen = [p for p in model.parameters() if not p.requires_grad]
    return steps.observed(
        **seen,
        **statistics_of(model),
        **{
            "the model runs in the mode in which it came": all(mode == modes for mode in ran),
            "the model is in its old mode afterwards": modes_of(model) == modes,
            "what was frozen stays frozen": [p.requires_grad for p in model.parameters()]
            == trained,
        },
        **losses,
        **kind_of(*losses.values()),
        **{
            "how often the optimizer stepped": Extra(len(steps.after)),
            "how often gradients came in": Extra(steps.events.count(ARRIVED)),
            "the gradients afterwards": Extra(gradients_of(model)),
            "frozen parameters have no gradient": Extra(all(p.grad is None for p in frozen)),
        },
    )


@train_step.probe
def a_line(g):
    model = line(g)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return model, nn.MSELoss(), optimizer, numbers(g, 7, 1), numbers(g, 7, 1)


@train_step.probe
def a_classifier_with_momentum(g):  # BatchNorm and dropout: where a second run of the model shows
    model = classifier(g)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.9)
    return model, nn.CrossEntropyLoss(), optimizer, numbers(g, 8, 2), classes_of(g, 8)


@train_step.probe
def a_frozen_layer(g):  # three groups; one layer must stay, although a group would let it decay
    model = fill(nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1)), g)
    model[0].requires_grad_(False)
    groups = [
        {"params": [model[2].weight]},
        {"params": [model[2].bias], "lr": 0.3},
        {"params": [model[0].weight], "weight_decay": 0.5},
    ]
    optimizer = torch.optim.AdamW(groups, lr=0.1)
    return model, row_by_row_error, optimizer, numbers(g, 9, 2), 3 * numbers(g, 9, 1)


@train_step.probe
def a_frozen_mode(g):  # in eval mode, but for its dropout: nobody may change that
    model = classifier(g, classes=2).eval()
    model[3].train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3, momentum=0.5)
    return model, nn.CrossEntropyLoss(), optimizer, numbers(g, 8, 2), classes_of(g, 8, 2)


@train_step.probe
def a_line_in_float32(g):  # where NumPy's numbers are not Python's
    model = line(g).float()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    return model, nn.MSELoss(), optimizer, numbers(g, 5, 1).float(), numbers(g, 5, 1).float()


@train_step.alternative("Clearing first is as good: backward needs the place, not the order.")
def cleared_first(model, loss_fn, optimizer, inputs, targets):
    optimizer.zero_grad(set_to_none=False)
    outputs = model(inputs)
    loss = loss_fn(outputs, targets)
    loss.backward()
    optimizer.step()
    return float(loss)


@train_step.alternative("So is clearing last, ready for the next batch.")
def cleared_last(model, loss_fn, optimizer, inputs, targets):
    loss = loss_fn(model(inputs), targets)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    return loss.detach().tolist()


@train_step.alternative("The model can clear its gradients, too.")
def cleared_by_the_model(model, loss_fn, optimizer, inputs, targets):
    loss = loss_fn(model(inputs), targets)
    model.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


@train_step.alternative("`step` also takes a closure, which some optimizers call several times.")
def with_a_closure(model, loss_fn, optimizer, inputs, targets):
    def closure():
        optimizer.zero_grad()
        loss = loss_fn(model(inputs), targets)
        loss.backward()
        return loss

    return optimizer.step(closure).item()


@train_step.alternative("`autograd.grad` returns the gradients, so there is nothing to clear.")
def with_autograd_grad(model, loss_fn, optimizer, inputs, targets):
    trained = [p for p in model.parameters() if p.requires_grad]
    loss = loss_fn(model(inputs), targets)
    for parameter, gradient in zip(trained, torch.autograd.grad(loss, trained)):
        parameter.grad = gradient
    optimizer.step()
    return loss.item()


@train_step.misconception(
    title="The gradients were never cleared",
    why="`backward` adds to what is in `.grad`. Without clearing, every step follows the sum of all gradients so far, "
    "like a momentum that never fades. The first step is right, and the loss may go down for a while.",
    next="Clear the gradients once per batch, anywhere but between backward and step.",
    link="the-order-of-the-lines",
    shows="the parameters after step 2",
)
def never_cleared(model, loss_fn, optimizer, inputs, targets):
    outputs = model(inputs)
    loss = loss_fn(outputs, targets)
    loss.backward()
    optimizer.step()
    return loss.item()


@train_step.misconception(
    title="Cleared the gradients between backward and step",
    why="`backward` has filled them in, `zero_grad` throws them away, and `step` finds nothing to follow. The model "
    "never learns, and no error tells you.",
    next="Between backward and step the gradients must stay.",
    link="the-order-of-the-lines",
)
def cleared_too_late(model, loss_fn, optimizer, inputs, targets):
    outputs = model(inputs)
    loss = loss_fn(outputs, targets)
    loss.backward()
    optimizer.zero_grad()
    optimizer.step()
    return loss.item()


@train_step.misconception(
    title="Stepped before backward",
    why="The step uses whatever gradients are there: none at first, then those of the batch before. Every batch moves "
    "the parameters one batch too late.",
    next="First the gradients, then the step.",
    link="the-order-of-the-lines",
)
def stepped_too_early(model, loss_fn, optimizer, inputs, targets):
    outputs = model(inputs)
    loss = loss_fn(outputs, targets)
    optimizer.step()
    optimizer.zero_grad()
    loss.backward()
    return loss.item()


@train_step.misconception(
    title="Cleared, stepped, and only then went backward",
    why="The step comes right after the clearing and finds no gradient. What backward computes afterwards is cleared "
    "before the next step sees it: the parameters never move.",
    next="Backward belongs between clearing and stepping.",
    link="the-order-of-the-lines",
)
def backward_last(model, loss_fn, optimizer, inputs, targets):
    outputs = model(inputs)
    loss = loss_fn(outputs, targets)
    optimizer.zero_grad()
    optimizer.step()
    loss.backward()
    return loss.item()


@train_step.misconception(
    title="The optimizer never stepped",
    why="`backward` only computes gradients. The parameters move when the optimizer's `step` is called, and it is not: "
    "without its brackets, `optimizer.step` is not a call.",
    next="After backward, let the optimizer take its step.",
    link="the-five-lines",
)
def never_stepped(model, loss_fn, optimizer, inputs, targets):
    outputs = model(inputs)
    loss = loss_fn(outputs, targets)
    optimizer.zero_grad()
    loss.backward()
    return loss.item()


@train_step.misconception(
    title="Returned the tensor with its graph",
    why="The loss is a tensor that remembers how it was computed. Whoever keeps it, in a list or a sum, keeps the graph "
    "of that batch alive, too.",
    next="`.item()` takes the number out.",
    link="numbers-without-graphs",
    shows="the loss of step 1",
)
def returned_the_graph(model, loss_fn, optimizer, inputs, targets):
    outputs = model(inputs)
    loss = loss_fn(outputs, targets)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss


@train_step.misconception(
    title="The loss was a number before backward",
    why="`.item()` gives a Python float. It has forgotten how it was computed, so it has no `backward`.",
    next="Keep the tensor for backward, and take the number out in the end.",
    link="numbers-without-graphs",
)
def item_too_early(model, loss_fn, optimizer, inputs, targets):
    outputs = model(inputs)
    loss = loss_fn(outputs, targets).item()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss


@train_step.misconception(
    title="Measured the loss again after the update",
    why="The model has moved by then, so this is another loss: it flatters, since the step was made for this very "
    "batch. It also costs a second pass through the model.",
    next="Return the number of the loss that you went backward from.",
    link="the-five-lines",
    shows="the loss of step 1",
)
def loss_after_the_update(model, loss_fn, optimizer, inputs, targets):
    outputs = model(inputs)
    loss = loss_fn(outputs, targets)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss_fn(model(inputs), targets).item()


@train_step.misconception(
    title="The model ran twice on the batch",
    why="One pass for the number and one for the gradients costs double. Where layers change while they run, the two "
    "differ: dropout draws again, and BatchNorm gathers the same batch twice.",
    next="Keep the loss in a variable and use it for both.",
    link="the-five-lines",
)
def ran_twice(model, loss_fn, optimizer, inputs, targets):
    value = loss_fn(model(inputs), targets).item()
    outputs = model(inputs)
    loss = loss_fn(outputs, targets)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return value


@train_step.misconception(
    title="Outputs and targets are swapped",
    why="The squared error does not notice, because it is the same both ways. Most losses do: cross-entropy reads class "
    "numbers from its second argument.",
    next="The outputs come first.",
    link="loss-functions-and-their-targets",
)
def swapped(model, loss_fn, optimizer, inputs, targets):
    optimizer.zero_grad()
    value = loss_fn(targets, model(inputs))
    value.backward()
    optimizer.step()
    return value.item()


@train_step.misconception(
    title="Used a loss of its own",
    why="`loss_fn` is an argument, so that one function serves every task. Here it is ignored, and the squared error "
    "is taken whatever the task is.",
    next="Call `loss_fn`.",
    link="the-five-lines",
    shows="the loss of step 1",
)
def always_squared_error(model, loss_fn, optimizer, inputs, targets):
    optimizer.zero_grad()
    value = F.mse_loss(model(inputs), targets)
    value.backward()
    optimizer.step()
    return value.item()


@train_step.misconception(
    title="The function returns nothing",
    why="The update is done, and its loss is forgotten: without `return` a function gives None.",
    next="Return the loss as a number.",
    link="the-five-lines",
)
def returned_nothing(model, loss_fn, optimizer, inputs, targets):
    outputs = model(inputs)
    loss = loss_fn(outputs, targets)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


@train_step.misconception(
    title="Returned a tensor",
    why="`detach()` and `.data` leave the graph behind, but what they give is a tensor still. A list of such losses prints "
    "badly, and on a GPU each of them stays there.",
    next="`.item()` gives a Python float.",
    link="numbers-without-graphs",
    shows="the loss of step 1",
)
def returned_a_tensor(model, loss_fn, optimizer, inputs, targets):
    outputs = model(inputs)
    loss = loss_fn(outputs, targets)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.detach()


@train_step.misconception(
    title="The graph was cut before backward",
    why="Under `no_grad`, or after `detach()`, nothing is recorded, and `backward` finds no way from the loss to the "
    "parameters.",
    next="Let autograd record the model and the loss.",
    link="the-five-lines",
)
def cut_the_graph(model, loss_fn, optimizer, inputs, targets):
    with torch.no_grad():
        outputs = model(inputs)
        loss = loss_fn(outputs, targets)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


@train_step.misconception(
    title="Stepped by hand instead of with the optimizer",
    why="Subtracting a learning rate times the gradient is plain SGD, whatever the optimizer is. Which rule is used, and at "
    "which rate for which parameter, is the optimizer's business: it may be momentum or Adam.",
    next="Let `optimizer` take the step.",
    link="the-five-lines",
)
def stepped_by_hand(model, loss_fn, optimizer, inputs, targets):
    optimizer.zero_grad()
    value = loss_fn(model(inputs), targets)
    value.backward()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter -= 0.01 * parameter.grad
    return value.item()


@train_step.misconception(
    title="Made a new optimizer for every step",
    why="A new optimizer has an empty memory: no velocity, no averages, and the settings that are written here instead of "
    "those that were chosen. The argument `optimizer` is never used.",
    next="Use the optimizer that comes in.",
    link="what-the-optimizer-does",
)
def made_an_optimizer(model, loss_fn, optimizer, inputs, targets):
    optimizer = torch.optim.Adam(model.parameters())
    optimizer.zero_grad()
    value = loss_fn(model(inputs), targets)
    value.backward()
    optimizer.step()
    return value.item()


@train_step.misconception(
    title="Trained in eval mode",
    why="`eval()` switches dropout off and lets BatchNorm use old statistics. That is for measuring; here the model learns.",
    next="Leave the mode to the caller.",
    link="two-switches",
)
def in_eval_mode(model, loss_fn, optimizer, inputs, targets):
    model.eval()
    optimizer.zero_grad()
    value = loss_fn(model(inputs), targets)
    value.backward()
    optimizer.step()
    return value.item()


@train_step.misconception(
    title="Switched to training mode",
    why="`train()` switches on every dropout and lets every BatchNorm learn, also those that somebody has frozen in eval mode "
    "on purpose. The order says: in whatever mode it is.",
    next="Leave the mode to the caller.",
    link="two-switches",
)
def in_training_mode(model, loss_fn, optimizer, inputs, targets):
    model.train()
    outputs = model(inputs)
    loss = loss_fn(outputs, targets)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


@train_step.misconception(
    title="Switched to training mode, and back afterwards",
    why="The mode is put back, but the batch ran in another one: every dropout dropped, and every BatchNorm learned, also where "
    "somebody had frozen it in eval mode on purpose.",
    next="Leave the mode to the caller, during the run as well.",
    link="two-switches",
)
def in_training_mode_and_back(model, loss_fn, optimizer, inputs, targets):
    modes = [(module, module.training) for module in model.modules()]
    model.train()
    optimizer.zero_grad()
    value = loss_fn(model(inputs), targets)
    value.backward()
    optimizer.step()
    for module, mode in modes:
        module.training = mode
    return value.item()


@train_step.misconception(
    title="Stepped twice on one gradient",
    why="The second step follows the same gradient again, which was computed where the parameters are no longer. The update is "
    "about twice as long as the learning rate says.",
    next="One backward, one step.",
    link="the-five-lines",
)
def stepped_twice(model, loss_fn, optimizer, inputs, targets):
    outputs = model(inputs)
    loss = loss_fn(outputs, targets)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    optimizer.step()
    return loss.item()


@train_step.misconception(
    title="Squeezed the outputs and not the targets",
    why="(B, 1) without its axis is (B,), and (B,) against (B, 1) broadcasts to (B, B): every output is compared with every "
    "target.",
    next="Give `loss_fn` both as they come.",
    link="loss-functions-and-their-targets",
    evidence=lambda model, loss_fn, optimizer, inputs, targets: (
        f"`outputs.squeeze() - targets` has the shape "
        f"{tuple((targets[:3].squeeze() - targets[:3]).shape)} on the first batch."
    ),
)
def squeezed_the_outputs(model, loss_fn, optimizer, inputs, targets):
    optimizer.zero_grad()
    value = loss_fn(model(inputs).squeeze(), targets)
    value.backward()
    optimizer.step()
    return value.item()


@train_step.misconception(
    title="Took an axis away before the loss",
    why="Which shapes a loss wants is between the model and the loss. The squared error does not mind losing an axis of length "
    "1. A loss that works along that axis does.",
    next="Give `loss_fn` outputs and targets as they come.",
    link="loss-functions-and-their-targets",
)
def squeezed_both(model, loss_fn, optimizer, inputs, targets):
    optimizer.zero_grad()
    value = loss_fn(model(inputs).squeeze(), targets.squeeze())
    value.backward()
    optimizer.step()
    return value.item()


@train_step.misconception(
    title="Frozen parameters got a gradient of zeros",
    why="An optimizer leaves a parameter alone when its `.grad` is None. Zeros are a gradient: weight decay and momentum then "
    "move the parameter, though it was frozen.",
    next="`zero_grad` empties what is there, and invents nothing.",
    link="what-the-optimizer-does",
)
def zeros_for_the_frozen(model, loss_fn, optimizer, inputs, targets):
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    value = loss_fn(model(inputs), targets)
    value.backward()
    optimizer.step()
    return value.item()


@train_step.misconception(
    title="Returned the batch's sum",
    why="Times the batch's size, the mean becomes the sum over its examples. Whoever calls `train_step` expects the loss, "
    "which is a mean, and would weight it a second time.",
    next="Return the loss as it is.",
    link="every-example-counts-the-same",
    shows="the loss of step 1",
)
def returned_the_sum(model, loss_fn, optimizer, inputs, targets):
    outputs = model(inputs)
    loss = loss_fn(outputs, targets)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item() * len(inputs)


@train_step.misconception(
    title="Never went backward",
    why="The loss was computed and returned, and nobody asked for its gradients. `step` finds none, leaves the parameters "
    "where they are, and does not complain. Without its brackets, `loss.backward` is not a call.",
    next="Between clearing and stepping, call `loss.backward()`.",
    link="the-five-lines",
)
def never_backward(model, loss_fn, optimizer, inputs, targets):
    outputs = model(inputs)
    loss = loss_fn(outputs, targets)
    optimizer.zero_grad()
    optimizer.step()
    return loss.item()


@train_step.misconception(
    title="Went backward from a copy that has forgotten the model",
    why="`torch.tensor(…)` or `detach()` make a new tensor without a graph, and `requires_grad` on it silences the error: "
    "backward runs, and ends at the copy. No gradient reaches the parameters.",
    next="Go backward from the loss as `loss_fn` gives it, on the outputs as the model gives them.",
    link="numbers-without-graphs",
)
def backward_from_a_copy(model, loss_fn, optimizer, inputs, targets):
    outputs = model(inputs)
    loss = torch.tensor(loss_fn(outputs, targets).item(), requires_grad=True)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


@train_step.misconception(
    title="Gave all modules the mode of the model",
    why="`train(mode)` on the model gives everything inside it one mode. A layer that somebody had put into the other one on "
    "purpose, a frozen BatchNorm for example, is changed.",
    next="Leave the modes alone: there is nothing to switch here.",
    link="two-switches",
)
def one_mode_for_the_step(model, loss_fn, optimizer, inputs, targets):
    outputs = model(inputs)
    loss = loss_fn(outputs, targets)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    model.train(model.training)
    return loss.item()


@train_step.misconception(
    title="Divided the loss by the batch size once more",
    why="A loss function gives the mean already. Divided again, loss and gradient shrink with the batch size, and the "
    "learning rate is no longer the one that was set.",
    next="Use the loss as it comes.",
    link="every-example-counts-the-same",
)
def divided_again(model, loss_fn, optimizer, inputs, targets):
    optimizer.zero_grad()
    value = loss_fn(model(inputs), targets) / len(inputs)
    value.backward()
    optimizer.step()
    return value.item()


# What the optimizer does --------------------------------------------------------------------------


@exercise(
    level="guided",
    minutes=5,
    why="The velocity is a fading sum of gradients, the learning rate comes in afterwards, and nothing is overwritten.",
    hints=(
        "Two lines: first the new velocity, then the new parameter, which uses it.",
        "The old velocity is multiplied by `momentum`, the gradient comes on top in full.",
        "Only the step multiplies by `lr`.",
    ),
)
def momentum_step(w, grad, velocity, lr: float, momentum: float):
    """Do one step of SGD with momentum, as `torch.optim.SGD` does it.

    First `velocity <- momentum * velocity + grad`, then `w <- w - lr * velocity`.

    w: a parameter, of any shape, also without axes.
    grad: its gradient, of the same shape.
    velocity: its velocity so far, of the same shape.
    momentum: the part of the velocity that stays, above 0: with 0, `optim.SGD` keeps no velocity.
    None of the three requires a gradient. Returns the new w and the new velocity; the three tensors
    that came in stay as they are. Whether the new ones share memory with them is up to you.
    """
    # solution:
    velocity = momentum * velocity + grad
    return w - lr * velocity, velocity
    # end solution


def a_parameter(g, *shape):
    """Draw a parameter, its gradient and its velocity."""
    return tuple(torch.randn(shape, generator=g, dtype=torch.float64) for _ in range(3))


STAY = "the tensors that came in stay as they are"


def on_copies(answer, *inputs):
    """Run an answer on tensors that it may spoil; if it does, say that and nothing else."""
    given = [i.clone() if isinstance(i, torch.Tensor) else i for i in inputs]
    result = answer(*given)
    pairs = [(now, i) for now, i in zip(given, inputs) if isinstance(i, torch.Tensor)]
    stay = all(now.shape == i.shape and torch.equal(now, i) for now, i in pairs)
    return {STAY: True, "result": result} if stay else {STAY: False}


momentum_step.drive(on_copies)


@momentum_step.probe
def in_motion(g):  # where the last gradient is 0, the velocity goes on
    w, grad, velocity = a_parameter(g, 3)
    grad[2] = 0
    return w, grad, velocity, 0.5, 0.8


@momentum_step.probe
def at_rest(g):  # the first step
    w, grad, velocity = a_parameter(g, 2, 3)
    return w, grad, torch.zeros_like(velocity), 0.1, 0.9


@momentum_step.probe
def in_a_larger_matrix(g):  # a velocity whose sum is 0, and which is not at rest
    w, grad, velocity = a_parameter(g, 4, 5)
    half = (4 * velocity[:2]).round() / 4
    return w, grad, torch.cat([half, -half]), 0.02, 0.6


@momentum_step.probe
def a_number(g):  # no axes; w nearly cancels the step, so that each digit counts
    _, grad, velocity = a_parameter(g)
    return 0.3 * 1.001 * (0.4 * velocity + grad), grad, velocity, 0.3, 0.4


@momentum_step.alternative("`mul` and `add` without underscores make new tensors as well.")
def with_methods(w, grad, velocity, lr, momentum):
    faster = velocity.mul(momentum).add(grad)
    return w.sub(faster, alpha=lr), faster


@momentum_step.alternative("PyTorch's own optimizer, with the velocity put where it keeps it.")
def with_the_optimizer(w, grad, velocity, lr, momentum):
    w = w.clone().requires_grad_()
    w.grad = grad.clone()
    optimizer = torch.optim.SGD([w], lr=lr, momentum=momentum)
    optimizer.state[w]["momentum_buffer"] = velocity.clone()
    optimizer.step()
    return w.detach(), optimizer.state[w]["momentum_buffer"]


@momentum_step.alternative("Copies may be written into.")
def in_place_on_copies(w, grad, velocity, lr, momentum):
    w, velocity = w.clone(), velocity.clone()
    velocity *= momentum
    velocity += grad
    w -= lr * velocity
    return [w, velocity]


@momentum_step.misconception(
    title="The learning rate is inside the velocity",
    why="As long as the learning rate never changes, both forms lead to the same place. PyTorch keeps it outside, so that "
    "a schedule acts at once on the whole velocity and not only on what comes in later.",
    next="Add the gradient itself to the velocity.",
    link="momentum",
    shows="result",
)
def rate_inside(w, grad, velocity, lr, momentum):
    velocity = momentum * velocity + lr * grad
    return w - velocity, velocity


@momentum_step.misconception(
    title="The gradient was scaled by 1 - momentum",
    why="That is an average of the gradients, as Adam keeps it. `optim.SGD` keeps their fading sum: at momentum 0.9, and a "
    "gradient that stays, it grows to ten times the gradient.",
    next="The gradient comes in full.",
    link="momentum",
)
def averaged(w, grad, velocity, lr, momentum):
    velocity = momentum * velocity + (1 - momentum) * grad
    return w - lr * velocity, velocity


@momentum_step.misconception(
    title="Stepped with the old velocity",
    why="The step was taken before the new gradient was in it, so each gradient moves the parameter one step too late. "
    "The very first step does not move it at all.",
    next="Renew the velocity first.",
    link="momentum",
)
def old_velocity(w, grad, velocity, lr, momentum):
    return w - lr * velocity, momentum * velocity + grad


@momentum_step.misconception(
    title="Went up the hill",
    why="The velocity points where the loss grows, since it is made of gradients. Adding it climbs.",
    next="Subtract.",
    link="momentum",
)
def uphill(w, grad, velocity, lr, momentum):
    velocity = momentum * velocity + grad
    return w + lr * velocity, velocity


@momentum_step.misconception(
    title="The step is the gradient's alone",
    why="The velocity was computed and then not used: the parameter moves as without momentum.",
    next="Step along the velocity.",
    link="momentum",
)
def velocity_unused(w, grad, velocity, lr, momentum):
    velocity = momentum * velocity + grad
    return w - lr * grad, velocity


@momentum_step.misconception(
    title="Overwrote the tensors that came in",
    why="`*=`, `+=`, `-=` and methods that end in an underscore write into the caller's tensors. An optimizer does that on "
    "purpose. Here, new tensors were asked for, so that old and new can be compared.",
    next="Write `velocity = momentum * velocity + …`, which makes a new tensor.",
    link="momentum",
)
def overwrote(w, grad, velocity, lr, momentum):
    velocity *= momentum
    velocity += grad
    w -= lr * velocity
    return w, velocity


@momentum_step.misconception(
    title="The velocity points downhill, with the learning rate in it",
    why="`v = momentum * v - lr * grad` and `w + v` is a common way to write it, and leads to the same place while the "
    "learning rate stays. PyTorch's velocity is made of gradients alone: it points uphill and holds no learning rate.",
    next="Add the gradient to the velocity, and let the step subtract lr times it.",
    link="momentum",
)
def downhill_velocity(w, grad, velocity, lr, momentum):
    velocity = momentum * velocity - lr * grad
    return w + velocity, velocity


@momentum_step.misconception(
    title="The velocity points downhill",
    why="`v = momentum * v - grad` and `w + lr * v` lead to the same w, with a velocity of the other sign. PyTorch's velocity is a "
    "sum of gradients, which point uphill, and that is what the order asks you to return.",
    next="Add the gradient to the velocity, and let the step subtract.",
    link="momentum",
)
def velocity_of_the_other_sign(w, grad, velocity, lr, momentum):
    velocity = momentum * velocity - grad
    return w + lr * velocity, velocity


@momentum_step.misconception(
    title="Overwrote the gradient that came in",
    why="`grad.add_(…)` and `grad += …` write the velocity into the caller's gradient. While the velocity is 0 nobody notices. Here, "
    "all three tensors should stay as they are.",
    next="Write `velocity = momentum * velocity + …`, which makes a new tensor.",
    link="momentum",
)
def overwrote_the_gradient(w, grad, velocity, lr, momentum):
    velocity = grad.add_(momentum * velocity)
    return w - lr * velocity, velocity


@momentum_step.misconception(
    title="The momentum is written into the function",
    why="`momentum` is an argument, and is not used: 0.9 is taken, whatever was asked for.",
    next="Use `momentum`.",
    link="momentum",
)
def momentum_of_nine_tenths(w, grad, velocity, lr, momentum):
    velocity = 0.9 * velocity + grad
    return w - lr * velocity, velocity


@momentum_step.misconception(
    title="Looked ahead, as Nesterov does",
    why="The step used the gradient once more on top of the velocity. That is Nesterov's momentum, which `optim.SGD` does "
    "only when asked to.",
    next="The step is lr times the velocity.",
    link="momentum",
)
def looked_ahead(w, grad, velocity, lr, momentum):
    velocity = momentum * velocity + grad
    return w - lr * (grad + momentum * velocity), velocity


@momentum_step.misconception(
    title="The velocity is not returned",
    why="The next step begins with this step's velocity. If nobody keeps it, it is lost.",
    next="Return two tensors: the new w and the new velocity.",
    link="momentum",
)
def velocity_lost(w, grad, velocity, lr, momentum):
    velocity = momentum * velocity + grad
    return w - lr * velocity


@momentum_step.misconception(
    title="Velocity before parameter",
    why="Both tensors are right and stand in the wrong order. Whoever unpacks them trains the velocity.",
    next="The new w comes first.",
    link="momentum",
)
def velocity_first(w, grad, velocity, lr, momentum):
    velocity = momentum * velocity + grad
    return velocity, w - lr * velocity


@momentum_step.misconception(
    title="The learning rate is not used",
    why="Without it, the step is as long as the velocity, and nothing tames it.",
    next="Multiply the velocity by `lr` in the step.",
    link="momentum",
)
def rate_unused(w, grad, velocity, lr, momentum):
    velocity = momentum * velocity + grad
    return w - velocity, velocity


@exercise(
    level="supported",
    minutes=10,
    why="Two fading averages, each divided by the share that gradients have in it so far, and a step of about `lr` whatever "
    "the gradient's size.",
    hints=(
        "Five lines: m, v, the two corrected ones, and the step.",
        "The corrected averages serve the step alone. What you return are m and v as they are.",
        "`v_hat.sqrt() + eps`: the root first, then eps.",
    ),
)
def adam_step(w, grad, m, v, t: int, lr: float):
    """Do one step of Adam, as `torch.optim.Adam` does it with its usual settings.

    With `beta1 = 0.9`, `beta2 = 0.999` and `eps = 1e-8`, m and v move towards the gradient and its
    square. For the step, both are divided by their `1 - beta ** t`, which gives m_hat and v_hat,
    and the parameter moves by `lr * m_hat / (sqrt(v_hat) + eps)`.

    w: a parameter, of any shape, also without axes.
    grad: its gradient, of the same shape.
    m: the running average of the gradient.
    v: the running average of its square.
    t: the number of this step; the first is 1.
    None of the four tensors requires a gradient. Returns the new w, m and v; the four that came in
    stay as they are. Whether the new ones share memory with them is up to you.
    """
    # solution:
    m = 0.9 * m + 0.1 * grad
    v = 0.999 * v + 0.001 * grad**2
    m_hat = m / (1 - 0.9**t)
    v_hat = v / (1 - 0.999**t)
    return w - lr * m_hat / (v_hat.sqrt() + 1e-8), m, v
    # end solution


adam_step.drive(on_copies)


@adam_step.probe
def the_first_step(g):
    w, grad, _ = a_parameter(g, 3)
    return w, grad, torch.zeros_like(w), torch.zeros_like(w), 1, 0.1


@adam_step.probe
def the_fifth_step(g):  # where the last gradient is 0, m goes on
    w, grad, m = a_parameter(g, 2, 3)
    grad[1, 2] = 0
    v = torch.rand(2, 3, generator=g, dtype=torch.float64) * 0.01
    return w, grad, 0.3 * m, v, 5, 0.02


@adam_step.probe
def tiny_gradients(g):  # where eps counts, and where dividing by 0 gives NaN
    w, grad, _ = a_parameter(g, 4)
    grad = grad * torch.tensor([1e-8, 3e-8, 1e-6, 0.0], dtype=torch.float64)
    return w, grad, torch.zeros_like(w), torch.zeros_like(w), 1, 0.5


@adam_step.probe
def a_late_step(g):
    w, grad, m = a_parameter(g, 5, 2)
    v = torch.rand(5, 2, generator=g, dtype=torch.float64)
    return w, grad, m, v, 300, 0.3


@adam_step.probe
def a_first_step_of_a_number(g):  # no axes; w nearly cancels the step, so that each digit counts
    w, grad, _ = a_parameter(g)
    return 0.1 * 1.001 * grad.sign(), grad, torch.zeros_like(w), torch.zeros_like(w), 1, 0.1


@adam_step.alternative("PyTorch's own optimizer, with its state filled in.")
def with_optim_adam(w, grad, m, v, t, lr):
    w = w.clone().requires_grad_()
    w.grad = grad.clone()
    optimizer = torch.optim.Adam([w], lr=lr)
    optimizer.state[w] = {
        "step": torch.tensor(t - 1.0),
        "exp_avg": m.clone(),
        "exp_avg_sq": v.clone(),
    }
    optimizer.step()
    state = optimizer.state[w]
    return w.detach(), state["exp_avg"], state["exp_avg_sq"]


@adam_step.alternative("`lerp` moves a tenth, or a thousandth, of the way.")
def with_lerp(w, grad, m, v, t, lr):
    m, v = m.lerp(grad, 0.1), v.lerp(grad.square(), 0.001)
    rate = lr * (1 - 0.999**t) ** 0.5 / (1 - 0.9**t)
    return w - rate * m / (v.sqrt() + 1e-8 * (1 - 0.999**t) ** 0.5), m, v


@adam_step.alternative("`addcdiv` does the step in one call.")
def with_addcdiv(w, grad, m, v, t, lr):
    beta1, beta2 = 0.9, 0.999
    m = beta1 * m + (1 - beta1) * grad
    v = beta2 * v + (1 - beta2) * grad * grad
    denominator = (v / (1 - beta2**t)) ** 0.5 + 1e-8
    return torch.addcdiv(w, m, denominator, value=-lr / (1 - beta1**t)), m, v


@adam_step.misconception(
    title="Without the correction of the first steps",
    why="m and v begin at 0 and need time to fill. Of the first gradient, m holds a tenth and the root of v about a "
    "thirtieth, so the first step comes out about three times too long.",
    next="Divide each by the share that gradients have in it: 1 - beta ** t.",
    link="adam",
)
def uncorrected(w, grad, m, v, t, lr):
    m = 0.9 * m + 0.1 * grad
    v = 0.999 * v + 0.001 * grad**2
    return w - lr * m / (v.sqrt() + 1e-8), m, v


@adam_step.misconception(
    title="Kept the corrected averages",
    why="The correction is for this step only. Returned as the new m and v, they are corrected again in the next step, and "
    "again in the one after.",
    next="Return m and v as they were before the division.",
    link="adam",
)
def kept_the_correction(w, grad, m, v, t, lr):
    m = (0.9 * m + 0.1 * grad) / (1 - 0.9**t)
    v = (0.999 * v + 0.001 * grad**2) / (1 - 0.999**t)
    return w - lr * m / (v.sqrt() + 1e-8), m, v


@adam_step.misconception(
    title="Took the steps to be numbered from 0",
    why="With t + 1 for t, the correction is that of the next step. In the first step m is divided by 0.19 where 0.1 is due, "
    "and the step comes out too short.",
    next="The first step is t = 1: use t as it comes.",
    link="adam",
)
def one_step_ahead(w, grad, m, v, t, lr):
    m = 0.9 * m + 0.1 * grad
    v = 0.999 * v + 0.001 * grad**2
    m_hat = m / (1 - 0.9 ** (t + 1))
    v_hat = v / (1 - 0.999 ** (t + 1))
    return w - lr * m_hat / (v_hat.sqrt() + 1e-8), m, v


@adam_step.misconception(
    title="The root is missing",
    why="v is a square of gradients. Divided by it, the step grows as the gradient shrinks: a gradient ten times smaller "
    "gives a step ten times longer.",
    next="Take the root of the corrected v.",
    link="adam",
)
def without_root(w, grad, m, v, t, lr):
    m = 0.9 * m + 0.1 * grad
    v = 0.999 * v + 0.001 * grad**2
    m_hat = m / (1 - 0.9**t)
    v_hat = v / (1 - 0.999**t)
    return w - lr * m_hat / (v_hat + 1e-8), m, v


@adam_step.misconception(
    title="eps is under the root",
    why="Under the root, 1e-8 counts as 1e-4: parameters with gradients smaller than that hardly move.",
    next="Root first, then eps.",
    link="adam",
)
def eps_under_the_root(w, grad, m, v, t, lr):
    m = 0.9 * m + 0.1 * grad
    v = 0.999 * v + 0.001 * grad**2
    m_hat = m / (1 - 0.9**t)
    v_hat = v / (1 - 0.999**t)
    return w - lr * m_hat / (v_hat + 1e-8).sqrt(), m, v


@adam_step.misconception(
    title="eps is missing",
    why="A parameter whose gradient is exactly 0 has m and v 0, and 0 / 0 is NaN. eps makes it 0 / 1e-8, which is 0.",
    next="Add eps to the root.",
    link="adam",
)
def without_eps(w, grad, m, v, t, lr):
    m = 0.9 * m + 0.1 * grad
    v = 0.999 * v + 0.001 * grad**2
    m_hat = m / (1 - 0.9**t)
    v_hat = v / (1 - 0.999**t)
    return w - lr * m_hat / v_hat.sqrt(), m, v


@adam_step.misconception(
    title="eps is outside the fraction",
    why="`/` comes before `+`: without brackets, the fraction is divided by the root alone, and eps is added to what comes out. "
    "Where the gradient is exactly 0, that is 0 / 0, which is NaN.",
    next="Put brackets round the root and eps.",
    link="adam",
)
def eps_outside(w, grad, m, v, t, lr):
    m = 0.9 * m + 0.1 * grad
    v = 0.999 * v + 0.001 * grad**2
    m_hat = m / (1 - 0.9**t)
    v_hat = v / (1 - 0.999**t)
    return w - lr * m_hat / v_hat.sqrt() + 1e-8, m, v


@adam_step.misconception(
    title="The betas are exchanged",
    why="beta1 = 0.9 belongs to the gradient, which should follow quickly, and beta2 = 0.999 to its square, which should "
    "stay steady.",
    next="0.9 for m, 0.999 for v.",
    link="adam",
)
def betas_exchanged(w, grad, m, v, t, lr):
    m = 0.999 * m + 0.001 * grad
    v = 0.9 * v + 0.1 * grad**2
    m_hat = m / (1 - 0.999**t)
    v_hat = v / (1 - 0.9**t)
    return w - lr * m_hat / (v_hat.sqrt() + 1e-8), m, v


@adam_step.misconception(
    title="The gradient came in full",
    why="That is momentum's sum. Adam keeps averages: what comes in has the share 1 - beta.",
    next="Mix old and new so that the two shares add up to 1.",
    link="adam",
)
def summed_up(w, grad, m, v, t, lr):
    m = 0.9 * m + grad
    v = 0.999 * v + grad**2
    m_hat = m / (1 - 0.9**t)
    v_hat = v / (1 - 0.999**t)
    return w - lr * m_hat / (v_hat.sqrt() + 1e-8), m, v


@adam_step.misconception(
    title="v was made from m",
    why="v averages the square of each gradient. The square of the averaged gradient is another number, and much smaller "
    "where gradients change sign.",
    next="Square `grad`, not m.",
    link="adam",
)
def squared_the_average(w, grad, m, v, t, lr):
    m = 0.9 * m + 0.1 * grad
    v = 0.999 * v + 0.001 * m**2
    m_hat = m / (1 - 0.9**t)
    v_hat = v / (1 - 0.999**t)
    return w - lr * m_hat / (v_hat.sqrt() + 1e-8), m, v


@adam_step.misconception(
    title="Overwrote the tensors that came in",
    why="`*=`, `+=`, `-=` and methods that end in an underscore write into the caller's tensors. An optimizer does that on "
    "purpose. Here, new tensors were asked for.",
    next="Write `m = 0.9 * m + …`, which makes a new tensor.",
    link="adam",
)
def overwrote_the_averages(w, grad, m, v, t, lr):
    m *= 0.9
    m += 0.1 * grad
    v *= 0.999
    v += 0.001 * grad**2
    w -= lr * (m / (1 - 0.9**t)) / ((v / (1 - 0.999**t)).sqrt() + 1e-8)
    return w, m, v


@adam_step.misconception(
    title="Stepped along the gradient instead of its average",
    why="m was computed and not used. The step follows the gradient of this one batch, noise and all.",
    next="The corrected m belongs on top of the fraction.",
    link="adam",
)
def along_the_gradient(w, grad, m, v, t, lr):
    m = 0.9 * m + 0.1 * grad
    v = 0.999 * v + 0.001 * grad**2
    v_hat = v / (1 - 0.999**t)
    return w - lr * grad / (v_hat.sqrt() + 1e-8), m, v


@adam_step.misconception(
    title="beta times t instead of beta to the power of t",
    why="The share of the 0 that the average began with shrinks by the factor beta in every step: after t steps it is beta ** t.",
    next="`**` is the power, `*` is the product.",
    link="adam",
)
def times_instead_of_power(w, grad, m, v, t, lr):
    m = 0.9 * m + 0.1 * grad
    v = 0.999 * v + 0.001 * grad**2
    m_hat = m / (1 - 0.9 * t)
    v_hat = v / (1 - 0.999 * t)
    return w - lr * m_hat / (v_hat.sqrt() + 1e-8), m, v


@adam_step.misconception(
    title="Only one of the averages is corrected",
    why="Both begin at 0 and both are too small at first. With m corrected and v not, the first step comes out about thirty "
    "times too long.",
    next="Correct v, too.",
    link="adam",
)
def only_m_corrected(w, grad, m, v, t, lr):
    m = 0.9 * m + 0.1 * grad
    v = 0.999 * v + 0.001 * grad**2
    m_hat = m / (1 - 0.9**t)
    return w - lr * m_hat / (v.sqrt() + 1e-8), m, v


@adam_step.misconception(
    title="Went up the hill",
    why="m is made of gradients, so it points where the loss grows. Adding the step climbs.",
    next="Subtract.",
    link="adam",
)
def climbed(w, grad, m, v, t, lr):
    m = 0.9 * m + 0.1 * grad
    v = 0.999 * v + 0.001 * grad**2
    m_hat = m / (1 - 0.9**t)
    v_hat = v / (1 - 0.999**t)
    return w + lr * m_hat / (v_hat.sqrt() + 1e-8), m, v


@adam_step.misconception(
    title="The correction is that of the first step, in every step",
    why="After t steps gradients have the share 1 - beta ** t. Divided by 1 - beta, which is right for t = 1 alone, "
    "the averages become far too large later on.",
    next="The number of the step belongs in the correction.",
    link="adam",
)
def corrected_like_the_first(w, grad, m, v, t, lr):
    m = 0.9 * m + 0.1 * grad
    v = 0.999 * v + 0.001 * grad**2
    m_hat = m / (1 - 0.9)
    v_hat = v / (1 - 0.999)
    return w - lr * m_hat / (v_hat.sqrt() + 1e-8), m, v


@adam_step.misconception(
    title="v averages the gradient, not its square",
    why="The step is divided by the gradient's usual size, and the root of a running mean of squares measures that. Without the "
    "square, v may be negative, and its root NaN.",
    next="Square the gradient where it enters v.",
    link="adam",
)
def not_squared(w, grad, m, v, t, lr):
    m = 0.9 * m + 0.1 * grad
    v = 0.999 * v + 0.001 * grad
    m_hat = m / (1 - 0.9**t)
    v_hat = v / (1 - 0.999**t)
    return w - lr * m_hat / (v_hat.sqrt() + 1e-8), m, v


@adam_step.misconception(
    title="eps comes in before the correction",
    why="With the correction folded into the learning rate, eps is added to the root of v itself, and in the first steps counts "
    "about thirty times as much. Where gradients are tiny, the step comes out too short.",
    next="Correct v first; then the root, then eps.",
    link="adam",
)
def eps_before_the_correction(w, grad, m, v, t, lr):
    m = 0.9 * m + 0.1 * grad
    v = 0.999 * v + 0.001 * grad**2
    rate = lr * (1 - 0.999**t) ** 0.5 / (1 - 0.9**t)
    return w - rate * m / (v.sqrt() + 1e-8), m, v


@adam_step.misconception(
    title="The averages are not returned",
    why="The next step begins with this step's m and v. If nobody keeps them, they are lost.",
    next="Return three tensors: the new w, m and v.",
    link="adam",
)
def averages_lost(w, grad, m, v, t, lr):
    m = 0.9 * m + 0.1 * grad
    v = 0.999 * v + 0.001 * grad**2
    m_hat = m / (1 - 0.9**t)
    v_hat = v / (1 - 0.999**t)
    return w - lr * m_hat / (v_hat.sqrt() + 1e-8)


# Losses and accuracy ------------------------------------------------------------------------------


@exercise(
    level="supported",
    minutes=8,
    why="The loss with logits in its name takes the logits as they are; the labels become floats of the same shape.",
    hints=(
        "`F.binary_cross_entropy_with_logits` does the arithmetic. What has to be done is on both its arguments.",
        "It wants two floats of one shape. Which of the two has an axis too many, or too few?",
        "`logits.squeeze(1)` is (B,), also when B is 1. `labels.float()` makes floats of the whole numbers.",
    ),
    ignore=("dtype",),
)
def binary_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Compute the mean cross-entropy of a yes-or-no question.

    logits: float32 (B, 1), as a linear layer returns them, of any size. sigmoid(logit) is the
    probability of "yes".
    labels: int64 (B,), each 1 for "yes" or 0 for "no".
    Returns a tensor without axes, to go backward from: the mean over the batch of minus the log of
    the probability that was given to the right answer.
    """
    # solution:
    outputs = logits.squeeze(1)  # (B,)
    targets = labels.float()
    return F.binary_cross_entropy_with_logits(outputs, targets)
    # end solution


WHAT = "what comes back"


def form_of(loss):
    """Say what kind of object a loss is, in words."""
    if isinstance(loss, torch.Tensor):
        return f"a tensor of shape {tuple(loss.shape)}" if loss.dim() else "a tensor without axes"
    if isinstance(loss, int | float):
        return "a Python number, which has no graph"
    return "None" if loss is None else f"an object of type {type(loss).__name__}"


@binary_loss.drive
def loss_and_gradient(answer, logits, labels):
    leaf = logits.clone().requires_grad_()
    loss = answer(leaf, labels)
    what = {WHAT: form_of(loss)}
    if not isinstance(loss, torch.Tensor) or loss.dim():
        return what | {"what came instead": loss}
    if not loss.requires_grad:
        return what | {"result": loss, "it can be gone backward from": False}
    loss.backward()
    finite = bool(loss.isfinite()) and (leaf.grad is None or bool(leaf.grad.isfinite().all()))
    if not finite:
        return what | {"the loss and its gradient are finite": False}
    lost = leaf.grad is not None and sure_and_wrong_without_slope(leaf, labels)
    return what | {
        "the loss and its gradient are finite": True,
        "answers that are sure and wrong have a gradient": not lost,
        **({} if lost else {"result": loss}),
        "it can be gone backward from": True,
        **({} if lost else {"the gradient at the logits": leaf.grad}),
    }


def sure_and_wrong_without_slope(leaf, labels):
    """Whether the gradient is 0 at a logit beyond 100 on the wrong side."""
    wrong = ((leaf.squeeze(1) > 100) & (labels == 0)) | ((leaf.squeeze(1) < -100) & (labels == 1))
    return bool((wrong & (leaf.grad.squeeze(1) == 0)).any())


@binary_loss.probe
def three_answers(g):
    return torch.tensor([[0.5], [-1.0], [2.0]]), torch.tensor([1, 1, 0])


@binary_loss.probe
def sure_answers(g):  # two of them wrong
    logits = torch.tensor([[200.0], [-300.0], [150.0], [-120.0], [1.0]])
    return logits + torch.rand(5, 1, generator=g), torch.tensor([1, 0, 0, 1, 1])


@binary_loss.probe
def surer_still(g):  # beyond what float64 can take the exp of; two of them wrong
    logits = torch.tensor([[-1000.0], [40000.0], [2.0], [3000.0]])
    return logits + torch.rand(4, 1, generator=g), torch.tensor([1, 0, 1, 1])


@binary_loss.probe
def one_answer(g):
    return torch.randn(1, 1, generator=g), torch.tensor([1])


@binary_loss.probe
def eight_answers(g):
    return 3 * torch.randn(8, 1, generator=g), torch.tensor([0, 1, 0, 0, 1, 1, 0, 0])


@binary_loss.alternative("Give the labels the missing axis instead.")
def labels_as_a_column(logits, labels):
    return nn.BCEWithLogitsLoss()(logits, labels[:, None].to(logits.dtype))


@binary_loss.alternative("-log sigmoid(z) is softplus(-z); the sign turns for a 0.")
def with_softplus(logits, labels):
    sign = 2 * labels - 1
    return F.softplus(-sign * logits[:, 0]).mean()


@binary_loss.alternative("`logsigmoid` is safe for logits of any size.")
def with_logsigmoid(logits, labels):
    z, y = logits.flatten(), labels.double()
    return -(y * F.logsigmoid(z) + (1 - y) * F.logsigmoid(-z)).mean()


@binary_loss.alternative("Two classes with the logits 0 and z: the same probabilities.")
def as_two_classes(logits, labels):
    return F.cross_entropy(torch.cat([torch.zeros_like(logits), logits], dim=1), labels)


@binary_loss.misconception(
    title="The sigmoid came twice",
    why="The loss applies a sigmoid itself. Fed with probabilities, which lie between 0 and 1, it takes them for logits: it "
    "can never be sure of a no, and the loss of a perfect model stays far above 0.",
    next="Give it the logits.",
    link="logits",
)
def sigmoid_twice(logits, labels):
    outputs = logits.squeeze(1)
    targets = labels.float()
    return F.binary_cross_entropy_with_logits(outputs.sigmoid(), targets)


@binary_loss.misconception(
    title="The logits were taken for probabilities",
    why="`F.binary_cross_entropy` takes the log of what it gets. A logit of 2 or -1 is no probability.",
    next="There is a loss with logits in its name.",
    link="logits",
)
def taken_for_probabilities(logits, labels):
    outputs = logits.squeeze(1)
    targets = labels.float()
    return F.binary_cross_entropy(outputs, targets)


@binary_loss.misconception(
    title="Nothing is learned where the model is sure and wrong",
    why="On paper it is the same. In floating point the sigmoid of a large logit is rounded to 1 or 0. Whatever then keeps the "
    "log finite, a cut-off as in `BCELoss`, a clamp or a small number added, leaves no gradient there.",
    next="Use the loss that works on the logits themselves, whatever their size.",
    link="logits",
    shows="answers that are sure and wrong have a gradient",
)
def sigmoid_first(logits, labels):
    outputs = logits.squeeze(1)
    targets = labels.float()
    return F.binary_cross_entropy(outputs.sigmoid(), targets)


@binary_loss.misconception(
    title="A large logit made the loss or its gradient infinite or NaN",
    why="In float32 the exp of a logit above 88 overflows, in float64 above 709, and the sigmoid of a large one is rounded to 1: "
    "one minus it is 0, and the log of 0 is minus infinity. One such example spoils the loss of the whole batch, or its gradient.",
    next="Use the loss that works on the logits themselves.",
    link="logits",
    shows="the loss and its gradient are finite",
)
def log_by_hand(logits, labels):
    p, y = logits.sigmoid().squeeze(1), labels.float()
    return -(y * p.log() + (1 - y) * (1 - p).log()).mean()


@binary_loss.misconception(
    title="The labels are still whole numbers",
    why="A probability is compared with 0. or 1., so this loss wants its targets as floats. Class numbers for "
    "cross-entropy over several classes are int64; here it is the other way round.",
    next="Turn the labels into floats.",
    link="loss-functions-and-their-targets",
)
def whole_labels(logits, labels):
    outputs = logits.squeeze(1)
    targets = labels
    return F.binary_cross_entropy_with_logits(outputs, targets)


@binary_loss.misconception(
    title="A column against a row",
    why="The logits are (B, 1), the labels (B,). This loss refuses to broadcast them.",
    next="Take an axis from one, or give one to the other.",
    link="loss-functions-and-their-targets",
)
def column_against_row(logits, labels):
    outputs = logits
    targets = labels.float()
    return F.binary_cross_entropy_with_logits(outputs, targets)


@binary_loss.misconception(
    title="(B, 1) against (B,) grew to (B, B)",
    why="By hand, nobody refuses: every logit is compared with every label. The model that makes this loss small gives "
    "everyone the same answer.",
    next="Print the two shapes, and make them equal first.",
    link="loss-functions-and-their-targets",
    evidence=lambda logits, labels: (
        f"`logits * labels` has the shape {tuple((logits * labels).shape)}."
    ),
)
def grown_to_a_table(logits, labels):
    return (F.softplus(logits) - logits * labels).mean()


@binary_loss.misconception(
    title="`squeeze()` took the batch axis, too",
    why="Without an argument `squeeze` takes away every axis of length 1. In a batch of one example, that is the batch.",
    next="Say which axis goes: `squeeze(1)`.",
    link="loss-functions-and-their-targets",
)
def squeezed_everything(logits, labels):
    outputs = logits.squeeze()
    targets = labels.float()
    return F.binary_cross_entropy_with_logits(outputs, targets)


@binary_loss.misconception(
    title="Cross-entropy over a single class",
    why="`F.cross_entropy` reads one column per class, and there is one column: a label of 1 asks for a second. If all the "
    "labels were 0, the loss would be 0 whatever the logits are.",
    next="One logit for yes or no has a loss of its own.",
    link="loss-functions-and-their-targets",
)
def over_one_class(logits, labels):
    return F.cross_entropy(logits, labels)


@binary_loss.misconception(
    title="Summed over the batch",
    why="A sum grows with the batch: twice the examples, twice the gradient. The learning rate would have to follow the "
    "batch size.",
    next="The mean is the default; leave it so.",
    link="loss-functions-and-their-targets",
)
def summed_over_the_batch(logits, labels):
    outputs = logits.squeeze(1)
    targets = labels.float()
    return F.binary_cross_entropy_with_logits(outputs, targets, reduction="sum")


@binary_loss.misconception(
    title="Labels first, logits second",
    why="The loss reads its first argument as logits and its second as targets. It gets both wrong, and does not notice: "
    "they are floats of one shape.",
    next="The outputs come first.",
    link="loss-functions-and-their-targets",
)
def labels_first(logits, labels):
    outputs = logits.squeeze(1)
    targets = labels.float()
    return F.binary_cross_entropy_with_logits(targets, outputs)


@binary_loss.misconception(
    title="The squared error of the probabilities",
    why="It is small when the model is right, too, but where the model is sure and wrong its gradient is nearly 0: the "
    "sigmoid is flat there, and no log makes up for it.",
    next="Take the cross-entropy.",
    link="logits",
)
def squared_error(logits, labels):
    outputs = logits.squeeze(1)
    targets = labels.float()
    return F.mse_loss(outputs.sigmoid(), targets)


@binary_loss.misconception(
    title="Softmax over a single column",
    why="Softmax makes the numbers of a row add up to 1. A row of one number becomes 1, whatever it was.",
    next="One logit needs a sigmoid, and the loss has it inside.",
    link="logits",
)
def softmax_of_one(logits, labels):
    outputs = logits.softmax(1).squeeze(1)
    targets = labels.float()
    return F.binary_cross_entropy_with_logits(outputs, targets)


@binary_loss.misconception(
    title="Returned a Python number",
    why="`.item()` takes the number out and leaves the graph behind. A loss must stay a tensor until `backward` has run.",
    next="Return the tensor itself.",
    link="numbers-without-graphs",
)
def loss_as_a_number(logits, labels):
    outputs = logits.squeeze(1)
    targets = labels.float()
    return F.binary_cross_entropy_with_logits(outputs, targets).item()


@binary_loss.misconception(
    title="The logits were detached",
    why="The value is right, and cannot be gone backward from: `detach()` cuts the graph between the loss and the model.",
    next="Use the logits as they come.",
    link="logits",
)
def detached(logits, labels):
    outputs = logits.detach().squeeze(1)
    targets = labels.float()
    return F.binary_cross_entropy_with_logits(outputs, targets)


@binary_loss.misconception(
    title="The loss was wrapped in a new tensor",
    why="`torch.tensor(…)` copies the number and knows nothing of where it came from. Backward runs, and ends at the copy: the "
    "logits get no gradient.",
    next="Return the tensor that was computed, not a copy of its number.",
    link="numbers-without-graphs",
)
def rewrapped(logits, labels):
    outputs = logits.squeeze(1)
    targets = labels.float()
    loss = F.binary_cross_entropy_with_logits(outputs, targets)
    return torch.tensor(loss.item(), requires_grad=True)


@binary_loss.misconception(
    title="Yes and no are exchanged",
    why="sigmoid(logit) is the probability of a yes, and a 1 stands for yes. Here a model that is right gets the loss of one that is "
    "wrong.",
    next="The log of sigmoid(logit) belongs to the labels that are 1.",
    link="logits",
)
def labels_flipped(logits, labels):
    outputs = logits.squeeze(1)
    targets = 1 - labels.float()
    return F.binary_cross_entropy_with_logits(outputs, targets)


@binary_loss.misconception(
    title="The examples with a no are missing",
    why="Only the log of the probability of yes was taken, weighted by the label: an example labelled 0 adds nothing. A model "
    "that always says yes would be perfect.",
    next="For a no, the probability of the right answer is 1 - sigmoid(logit).",
    link="logits",
)
def yes_only(logits, labels):
    outputs = logits.squeeze(1)
    targets = labels.float()
    return -(targets * F.logsigmoid(outputs)).mean()


@binary_loss.misconception(
    title="One loss per example",
    why="The values are right, but backward needs one number.",
    next="Take the mean over the batch.",
    link="loss-functions-and-their-targets",
)
def one_per_example(logits, labels):
    outputs = logits.squeeze(1)
    targets = labels.float()
    return F.binary_cross_entropy_with_logits(outputs, targets, reduction="none")


@binary_loss.misconception(
    title="The loss still has an axis",
    why="The value is right, in a tensor of shape (1,): the mean ran along axis 0 alone, and axis 1 of the column is still there. "
    "Whoever compares or collects losses expects a tensor without axes.",
    next="A `mean()` without an axis takes all of them.",
    link="loss-functions-and-their-targets",
)
def kept_an_axis(logits, labels):
    targets = labels[:, None].float()
    return F.binary_cross_entropy_with_logits(logits, targets, reduction="none").mean(dim=0)


@binary_loss.misconception(
    title="The batch was taken for the classes",
    why="`F.cross_entropy` on a single axis takes it for the logits of one example, and floats for probabilities of its "
    "classes. Softmax then runs over the batch: the examples compete with each other.",
    next="One logit for yes or no has a loss of its own.",
    link="loss-functions-and-their-targets",
)
def batch_as_classes(logits, labels):
    outputs = logits.squeeze(1)
    targets = labels.float()
    return F.cross_entropy(outputs, targets)


@exercise(
    level="guided",
    minutes=4,
    why="The largest logit of a row is the model's answer; the mean of right and wrong, as a number, is the accuracy.",
    hints=(
        "Which class does the model prefer in each row? The classes lie along axis 1.",
        "Compare the answers with the targets, element by element: both are (B,).",
        "True and False have no mean until they are floats.",
    ),
)
def accuracy(logits: torch.Tensor, targets: torch.Tensor) -> float:
    """Compute the fraction of right answers.

    logits: (B, C), one per class, at least two classes.
    targets: (B,) int64, from 0 to C - 1.
    Returns a Python float from 0 to 1.
    """
    # solution:
    right = logits.argmax(1) == targets
    return right.float().mean().item()
    # end solution


@accuracy.drive
def and_its_kind(answer, logits, targets):
    fraction = answer(logits, targets)
    return {"result": fraction, **kind_of(fraction)}


@accuracy.probe
def three_rows(g):
    logits = torch.tensor([[0.2, -1.0], [3.0, 1.5], [-0.4, 1.0]])
    return logits, torch.tensor([0, 1, 1])


@accuracy.probe
def as_many_rows_as_classes(g):  # where argmax(0) has the right shape
    rows = [9.0, 1.0, 0.0, 0.5], [0.3, 6.0, 0.0, 0.2], [0.1, 0.2, -2.0, 0.1], [7.0, 0.0, 4.0, 3.0]
    return torch.tensor(rows), torch.tensor([0, 1, 1, 2])


@accuracy.probe
def all_below_zero(g):
    logits = -5 - torch.rand(7, 3, generator=g)
    targets = logits.argmax(1)
    targets[:2] = (targets[:2] + 1) % 3
    return logits, targets


@accuracy.probe
def sure_of_two_classes(g):  # in float32 the sigmoid of 18 is 1, and so is that of 30
    rows = (
        [18.0, 30.0, -1.0],
        [40.0, 25.0, 2.0],
        [-3.0, 19.0, 35.0],
        [0.5, 21.0, 1.0],
        [2.0, 1.0, 0.0],
    )
    return torch.tensor(rows), torch.tensor([1, 0, 2, 0, 0])


@accuracy.probe
def all_right(g):  # very large logits, and some that hardly differ
    rows = [100.0, 120.0, 3.0], [400.0, 500.0, 500.1], [1.01, 1.02, 1.015], [-3.0, -2.0, -1.995]
    return torch.tensor(rows), torch.tensor([1, 2, 1, 2])


@accuracy.alternative("Count, then divide.")
def counted_and_divided(logits, targets):
    _, answers = logits.max(dim=1)
    return (answers == targets).sum().item() / targets.shape[0]


@accuracy.alternative("Softmax keeps the order, so it changes nothing here.")
def through_softmax(logits, targets):
    return float((logits.softmax(-1).argmax(-1) == targets).double().mean())


@accuracy.alternative("Plain Python is right, too, one row at a time.")
def row_by_row(logits, targets):
    pairs = zip(logits.tolist(), targets.tolist())
    return sum(row.index(max(row)) == target for row, target in pairs) / len(targets)


@accuracy.misconception(
    title="Looked for the largest logit down the columns",
    why="Along axis 0 the search goes over the examples: which example has the largest logit of this class? It gives one "
    "number per class, and only if there are as many examples as classes can it be compared at all.",
    next="The classes lie along axis 1.",
    link="accuracy-is-not-a-loss",
)
def down_the_columns(logits, targets):
    right = logits.argmax(0) == targets
    return right.float().mean().item()


@accuracy.misconception(
    title="The answers stayed truth values",
    why="A comparison gives True and False, and `mean` has no rule for them: as with whole numbers, it wants to be told in "
    "which float type to count.",
    next="Turn them into floats first.",
    link="accuracy-is-not-a-loss",
)
def mean_of_truth_values(logits, targets):
    right = logits.argmax(1) == targets
    return right.mean().item()


@accuracy.misconception(
    title="Returned a tensor",
    why="A number to print or to keep is due. A tensor prints as `tensor(0.7500)`, and in a sum it makes everything else a "
    "tensor, too.",
    next="`.item()` takes the number out.",
    link="numbers-without-graphs",
)
def left_as_a_tensor(logits, targets):
    right = logits.argmax(1) == targets
    return right.float().mean()


@accuracy.misconception(
    title="Counted and did not divide",
    why="The number of right answers depends on the size of the batch. A fraction does not.",
    next="Divide by the number of examples.",
    link="accuracy-is-not-a-loss",
)
def counted_only(logits, targets):
    right = logits.argmax(1) == targets
    return right.float().sum().item()


@accuracy.misconception(
    title="In per cent",
    why="100 times too large: a fraction from 0 to 1 is due.",
    next="Multiply when you print.",
    link="accuracy-is-not-a-loss",
)
def in_per_cent(logits, targets):
    right = logits.argmax(1) == targets
    return 100 * right.float().mean().item()


@accuracy.misconception(
    title="Compared a logit, not its place",
    why="A target is the number of a class. A logit, such as `amax(1)` or the first half of what `max(1)` returns, is a score of "
    "a class: it hardly ever is equal to that number, and rounding it does not help.",
    next="`argmax(1)` says where the largest logit stands.",
    link="accuracy-is-not-a-loss",
)
def compared_the_logit(logits, targets):
    right = logits.amax(1) == targets
    return right.float().mean().item()


@accuracy.misconception(
    title="One answer for the whole batch",
    why="Without an axis, `argmax` looks through the whole table and gives the place of its one largest number, counted row "
    "by row. Every target is then compared with that.",
    next="Say along which axis: the classes lie along axis 1.",
    link="accuracy-is-not-a-loss",
)
def one_answer_for_all(logits, targets):
    right = logits.argmax() == targets
    return right.float().mean().item()


@accuracy.misconception(
    title="A column against a row",
    why="With `keepdim=True` the answers are (B, 1), and (B, 1) against (B,) broadcasts to (B, B): every answer is compared "
    "with every target.",
    next="Print the shapes on both sides of `==`.",
    link="accuracy-is-not-a-loss",
)
def answers_as_a_column(logits, targets):
    right = logits.argmax(1, keepdim=True) == targets
    return right.float().mean().item()


@accuracy.misconception(
    title="All or nothing",
    why="`all()` asks whether every answer is right, and a division without a rest, `//`, comes to the same. One mistake in a "
    "thousand makes it 0.",
    next="Take the mean of right and wrong.",
    link="accuracy-is-not-a-loss",
)
def all_or_nothing(logits, targets):
    right = logits.argmax(1) == targets
    return float(right.all())


@accuracy.misconception(
    title="A sigmoid came before the search",
    why="In float32 the sigmoid of every logit above 17 is rounded to 1. Two classes of which the model is sure then stand level, "
    "and the first one wins.",
    next="Search among the logits themselves.",
    link="logits",
)
def through_a_sigmoid(logits, targets):
    right = logits.sigmoid().argmax(1) == targets
    return right.float().mean().item()


@accuracy.misconception(
    title="The fraction of wrong answers",
    why="That is the error rate, one minus the accuracy. A perfect model gets 0.",
    next="Count the answers that are equal to their targets.",
    link="accuracy-is-not-a-loss",
)
def error_rate(logits, targets):
    right = logits.argmax(1) != targets
    return right.float().mean().item()


@accuracy.misconception(
    title="Divided by the number of classes",
    why="`logits.shape[1]` is C, the number of classes. The right answers are counted over the B examples.",
    next="Divide by the number of examples.",
    link="accuracy-is-not-a-loss",
)
def divided_by_classes(logits, targets):
    right = logits.argmax(1) == targets
    return right.float().sum().item() / logits.shape[1]


@accuracy.misconception(
    title="Looked for the smallest logit",
    why="`argmin` gives the class that the model believes in least.",
    next="The largest logit is the model's answer.",
    link="accuracy-is-not-a-loss",
)
def smallest_logit(logits, targets):
    right = logits.argmin(1) == targets
    return right.float().mean().item()


@accuracy.misconception(
    title="Compared the pair that `max` returns",
    why="With an axis, `max` returns two tensors: the largest logits and their places. The pair as a whole is no answer, "
    "and comparing it gives a plain False.",
    next="`argmax(1)` gives the places alone.",
    link="accuracy-is-not-a-loss",
)
def compared_a_pair(logits, targets):
    right = logits.max(1) == targets
    return right.float().mean().item()


@accuracy.misconception(
    title="The softmax runs down the columns",
    why="Along axis 0 softmax compares the examples with each other, class by class, so that each column adds up to 1. The numbers "
    "of a row then come from different comparisons, and another class may be in front.",
    next="Along the classes, axis 1, softmax keeps the order, and so it can be left out.",
    link="accuracy-is-not-a-loss",
)
def softmax_down_the_columns(logits, targets):
    right = logits.softmax(0).argmax(1) == targets
    return right.float().mean().item()


# Measuring ----------------------------------------------------------------------------------------


@exercise(
    level="independent",
    minutes=12,
    why="Each batch's mean is weighted by its size; the modes are noted before they are changed, and put back one by one.",
    hints=(
        "Keep two sums: of metric times batch size, and of batch sizes. Divide once, after the loop.",
        "Two switches: `model.eval()` for the layers, `torch.no_grad()` for autograd.",
        "The model may hold modules inside modules, and each has a `training` of its own. `model.modules()` goes through them all: "
        "note each with its mode before you switch.",
        "`[(m, m.training) for m in model.modules()]` is such a list of notes. Afterwards set each `m.training` back.",
        "A metric may return a tensor or a float. `float(…)` takes both.",
    ),
)
def evaluate(model: nn.Module, metric, batches) -> float:
    """Average a metric over all the examples of all batches.

    The model runs in eval mode, and nothing is recorded. Afterwards every module inside it, however
    deep, is in the mode in which it was before, each in its own. The model's parameters, with their
    `.grad` and `requires_grad`, and autograd's own switch are as they were, too.

    metric: (outputs, targets) -> the mean over a batch, as a tensor or as a float: a loss function,
    or `accuracy`.
    batches: gives pairs (inputs, targets) of any sizes. It may be readable only once, so read it
    once. It need not have a length.
    Returns the mean over the examples, as a Python float: each counts the same, whatever batch it
    came in.
    """
    # solution:
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    total, count = 0.0, 0
    with torch.no_grad():
        for inputs, targets in batches:
            total += float(metric(model(inputs), targets)) * len(inputs)
            count += len(inputs)
    mean = total / count
    for module, training in modes:
        module.training = training
    return mean
    # end solution


def state_of(model):
    """Copy what an evaluation must leave alone: parameters, buffers, gradients, what is frozen."""
    tensors = [*model.parameters(), *model.buffers()]
    gradients = [p.grad for p in model.parameters()]
    return [
        *(tensor.detach().clone() for tensor in tensors),
        *(gradient.clone() for gradient in gradients if gradient is not None),
        torch.tensor([p.requires_grad for p in model.parameters()]),
    ]


def same_state(one, other):
    return len(one) == len(other) and all(map(torch.equal, one, other))


class Once:
    """Batches that can be read once, as from a stream; who comes again finds nothing."""

    def __init__(self, batches):
        self.batches = batches
        self.readings = 0

    def __iter__(self):
        self.readings += 1
        batches, self.batches = self.batches, []
        return iter(batches)


READ_ONCE = "no batch is read a second time"


@evaluate.drive
def evaluate_and_watch(answer, model, metric, batches, readable_once):
    modes, recorded = [], []

    def note(module, inputs, outputs):
        modes.append(any(modes_of(module)))
        recorded.append(outputs.requires_grad)

    model.register_forward_hook(note)
    modes_before, state_before = modes_of(model), state_of(model)
    given, recording = Once(batches) if readable_once else batches, not readable_once
    try:
        with torch.set_grad_enabled(recording):  # puts back what an answer may have switched
            result = answer(model, metric, given)
            switch_stays = torch.is_grad_enabled() == recording
    except Exception:  # the student's code, whatever it raises
        if readable_once and given.readings > 1:
            return {READ_ONCE: False}
        raise
    if readable_once and given.readings > 1:
        return {READ_ONCE: False}
    return {
        READ_ONCE: True,
        "result": result,
        **kind_of(result),
        "every batch runs in eval mode": bool(modes) and not any(modes),
        "nothing is recorded": bool(recorded) and not any(recorded),
        "every module is in its old mode afterwards": modes_of(model) == modes_before,
        **({"the modes afterwards": now} if (now := modes_of(model)) != modes_before else {}),
        "the model is as it was otherwise": same_state(state_of(model), state_before),
        "autograd is switched as it was before": switch_stays,
        "the gradients are still there": Extra(gradients_of(model) is not None),
    }


def sizes_of(batches):
    """Say how long the batches are."""
    return f"The batches hold {', '.join(str(len(inputs)) for inputs, _ in batches)} examples."


def batch_by_batch(model, metric, batches, readable_once):
    """Give the metric of every batch of a probe, as it is in eval mode."""
    model.eval()
    with torch.no_grad():
        told = [f"{float(metric(model(x), y)):.4g} over {len(x)}" for x, y in batches]
    return f"The batches' means, with the examples in each: {', '.join(told)}."


def with_gradients(model):
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    return model


@evaluate.probe
def a_short_last_batch(g):
    model = fill(nn.Sequential(nn.Linear(2, 3), nn.Dropout(0.5), nn.Linear(3, 1)), g)
    return (
        with_gradients(model),
        nn.MSELoss(),
        cut(numbers(g, 7, 2), 3 * numbers(g, 7, 1), 3),
        False,
    )


@evaluate.probe
def accuracies_that_come_once(g):  # a metric that returns a float; no length; called under no_grad
    model, inputs = classifier(g).eval(), numbers(g, 18, 2)
    with torch.no_grad():
        targets = model(inputs).argmax(1)
    missed = torch.tensor([1, 9, 16, 17])  # one in each long batch, both of the short one
    targets[missed] = (targets[missed] + 1) % 3
    model[3].train()  # dropout that goes on, as for an estimate of doubt
    return model, accuracy.reference, cut(inputs, targets, 8), True


@evaluate.probe
def a_frozen_norm(g):  # one module in eval mode, all the others in training mode
    model = classifier(g, classes=4)
    model[1].eval()
    model[0].requires_grad_(False)
    batches = cut(numbers(g, 13, 2), classes_of(g, 13, 4), 5)
    return model, nn.CrossEntropyLoss(), batches, False


class Nested(nn.Module):
    """A network with a block inside, whose modules have modes of their own."""

    def __init__(self):
        super().__init__()
        inner = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.3), nn.Dropout(0.1))
        for _ in range(4):
            inner = nn.Sequential(inner)
        self.block = nn.Sequential(nn.Linear(2, 4), nn.Dropout(0.4), inner)
        self.last = nn.Linear(4, 2)

    def forward(self, x):
        return self.last(self.block(x))


@evaluate.probe
def a_block_inside(g):  # of three dropouts, the last one, deep inside a block, is frozen
    model = fill(Nested(), g)
    model.block[2][0][0][0][0][2].eval()
    batches = cut(numbers(g, 8, 2), numbers(g, 8, 2), 5)
    return with_gradients(model), nn.MSELoss(), batches, False


@evaluate.alternative(
    "`inference_mode` is a stricter `no_grad`; `train(mode)` on a module sets it and its children."
)
def with_inference_mode(model, metric, batches):
    modes = {module: module.training for module in model.modules()}
    weighted, sizes = [], []
    with torch.inference_mode():
        model.train(False)
        for inputs, targets in batches:
            value = metric(model(inputs), targets)
            weighted.append(torch.as_tensor(value).item() * targets.shape[0])
            sizes.append(targets.shape[0])
    for module, mode in modes.items():  # parents first, so children have the last word
        module.train(mode)
    return sum(weighted) / sum(sizes)


@evaluate.alternative(
    "A copy can be evaluated, too; the model itself is never touched. It costs memory."
)
@torch.no_grad()
def on_a_copy(model, metric, batches):
    import copy

    twin = copy.deepcopy(model).eval()
    total = count = 0
    for inputs, targets in batches:
        total = total + metric(twin(inputs), targets) * inputs.shape[0]
        count += inputs.shape[0]
    return float(total / count)


@evaluate.alternative(
    "All outputs at once: the metric is a mean, so one call over everything is enough."
)
def all_together(model, metric, batches):
    batches = list(batches)
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        with torch.no_grad():
            outputs = torch.cat([model(inputs) for inputs, _ in batches])
            return float(metric(outputs, torch.cat([targets for _, targets in batches])))
    finally:
        for module in training:
            module.training = True


@evaluate.misconception(
    title="The mean of the batches' means",
    why="Every batch counts the same here, also the short last one. Its few examples then weigh more than all the others.",
    next="Multiply each batch's metric by the batch's size, and divide by the number of examples in the end.",
    link="every-example-counts-the-same",
    shows="result",
    evidence=batch_by_batch,
)
def mean_of_means(model, metric, batches):
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    total, count = 0.0, 0
    with torch.no_grad():
        for inputs, targets in batches:
            total += float(metric(model(inputs), targets))
            count += 1
    mean = total / count
    for module, training in modes:
        module.training = training
    return mean


@evaluate.misconception(
    title="Asked the batches for their length",
    why="Batches that are read from a file or made on the way have no `len`. And divided by the number of batches, the "
    "result is the mean of the batches' means.",
    next="Count the examples while they come.",
    link="every-example-counts-the-same",
    shows="result",
)
def divided_by_len(model, metric, batches):
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    total = 0.0
    with torch.no_grad():
        for inputs, targets in batches:
            total += float(metric(model(inputs), targets))
    mean = total / len(batches)
    for module, training in modes:
        module.training = training
    return mean


@evaluate.misconception(
    title="Evaluated in the mode it was found in",
    why="In training mode dropout goes on dropping, so the number changes from call to call, and BatchNorm uses the batch's "
    "own statistics and learns from the examples it is examined on. `no_grad` turns none of this off.",
    next="One call before the loop puts all layers into the other mode.",
    link="two-switches",
    shows="every batch runs in eval mode",
)
def without_eval(model, metric, batches):
    modes = [(module, module.training) for module in model.modules()]
    total, count = 0.0, 0
    with torch.no_grad():
        for inputs, targets in batches:
            total += float(metric(model(inputs), targets)) * len(inputs)
            count += len(inputs)
    mean = total / count
    for module, training in modes:
        module.training = training
    return mean


@evaluate.misconception(
    title="Recorded a graph that nobody needs",
    why="`eval()` changes how layers behave and leaves autograd on. Every batch records a graph and keeps what it needs to "
    "go backward.",
    next="Put the loop under `torch.no_grad()`.",
    link="two-switches",
    shows="nothing is recorded",
)
def with_recording(model, metric, batches):
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    total, count = 0.0, 0
    for inputs, targets in batches:
        total += float(metric(model(inputs), targets)) * len(inputs)
        count += len(inputs)
    mean = total / count
    for module, training in modes:
        module.training = training
    return mean


@evaluate.misconception(
    title="Left the model in eval mode",
    why="`model.eval()` holds until somebody says otherwise. The next training batch runs without dropout, and BatchNorm "
    "no longer looks at its batches.",
    next="Note the modes before you change them, and put them back at the end.",
    link="two-switches",
    shows="every module is in its old mode afterwards",
)
def left_in_eval(model, metric, batches):
    model.eval()
    total, count = 0.0, 0
    with torch.no_grad():
        for inputs, targets in batches:
            total += float(metric(model(inputs), targets)) * len(inputs)
            count += len(inputs)
    mean = total / count
    return mean  # noqa: RET504 - named as in the reference, so that the two can be merged


@evaluate.misconception(
    title="Always left in training mode",
    why="Whoever evaluates a finished model finds it in training mode afterwards, with dropout dropping. A measurement "
    "should leave no trace.",
    next="Note the modes before you change them, and put those back.",
    link="two-switches",
    shows="every module is in its old mode afterwards",
)
def always_back_to_training(model, metric, batches):
    model.eval()
    total, count = 0.0, 0
    with torch.no_grad():
        for inputs, targets in batches:
            total += float(metric(model(inputs), targets)) * len(inputs)
            count += len(inputs)
    mean = total / count
    model.train()
    return mean


@evaluate.misconception(
    title="Put one mode back for all modules",
    why="`train(mode)` of a module gives it and everything inside it one mode; called on the model last, it has the last word. A "
    "layer that somebody had frozen in eval mode, a BatchNorm for example, is in training mode afterwards and begins to move.",
    next="Every module has an attribute `training` of its own, and `model.modules()` lists them all. Set the attribute.",
    link="two-switches",
    shows="every module is in its old mode afterwards",
)
def one_mode_for_all(model, metric, batches):
    training = model.training
    model.eval()
    total, count = 0.0, 0
    with torch.no_grad():
        for inputs, targets in batches:
            total += float(metric(model(inputs), targets)) * len(inputs)
            count += len(inputs)
    mean = total / count
    model.train(training)
    return mean


@evaluate.misconception(
    title="Modules inside modules did not get their own mode back",
    why="`children()` gives the outermost modules alone. A block has modules inside, and each of them has a mode of its own, which "
    "`eval()` has changed as well.",
    next="`model.modules()` goes through all of them, however deep.",
    link="two-switches",
    shows="every module is in its old mode afterwards",
)
def modes_of_the_outermost(model, metric, batches):
    modes = [(module, module.training) for module in [model, *model.children()]]
    model.eval()
    total, count = 0.0, 0
    with torch.no_grad():
        for inputs, targets in batches:
            total += float(metric(model(inputs), targets)) * len(inputs)
            count += len(inputs)
    mean = total / count
    for module, training in modes:
        module.training = training
    return mean


@evaluate.misconception(
    title="Modules inside a block got the block's mode",
    why="`train(mode)` of a block gives everything inside it the same mode. Inside, a layer may have been frozen in eval mode while "
    "the others train.",
    next="Every module has an attribute `training` of its own, and `model.modules()` lists them all. Set the attribute.",
    link="two-switches",
    shows="every module is in its old mode afterwards",
)
def modes_of_the_blocks(model, metric, batches):
    modes = [(module, module.training) for module in [model, *model.children()]]
    model.eval()
    total, count = 0.0, 0
    with torch.no_grad():
        for inputs, targets in batches:
            total += float(metric(model(inputs), targets)) * len(inputs)
            count += len(inputs)
    mean = total / count
    for module, training in modes:
        module.train(training)
    return mean


@evaluate.misconception(
    title="Switched the modules that trained, and everything inside them",
    why="`train()` of a module also switches everything inside it. Modules that trained may have others inside that did not: those "
    "were in eval mode on purpose, and are in training mode afterwards.",
    next="Set the attribute `training` of each module that you have noted: it switches that module alone.",
    link="two-switches",
    shows="every module is in its old mode afterwards",
)
def switched_with_all_inside(model, metric, batches):
    trained = [module for module in model.modules() if module.training]
    model.eval()
    total, count = 0.0, 0
    with torch.no_grad():
        for inputs, targets in batches:
            total += float(metric(model(inputs), targets)) * len(inputs)
            count += len(inputs)
    mean = total / count
    for module in trained:
        module.train()
    return mean


@evaluate.misconception(
    title="One mode for all modules of a kind",
    why="Two modules of one class, such as two dropouts, may be in different modes. Noted by class, the second one overwrites "
    "what was noted of the first.",
    next="Note each module's own mode, module by module.",
    link="two-switches",
    shows="every module is in its old mode afterwards",
)
def modes_by_class(model, metric, batches):
    modes = {type(module): module.training for module in model.modules()}
    model.eval()
    total, count = 0.0, 0
    with torch.no_grad():
        for inputs, targets in batches:
            total += float(metric(model(inputs), targets)) * len(inputs)
            count += len(inputs)
    mean = total / count
    for module in model.modules():
        module.training = modes[type(module)]
    return mean


@evaluate.misconception(
    title="Read the batches more than once",
    why="Batches that come from a stream are gone when they have been read. Whoever counts them first, or looks at the first one, "
    "finds fewer or none in the loop.",
    next="Do everything that needs a batch while you have it in hand.",
    link="every-example-counts-the-same",
    shows=READ_ONCE,
)
def read_twice(model, metric, batches):
    modes = [(module, module.training) for module in model.modules()]
    count = sum(len(inputs) for inputs, _ in batches)
    model.eval()
    total = 0.0
    with torch.no_grad():
        for inputs, targets in batches:
            total += float(metric(model(inputs), targets)) * len(inputs)
    mean = total / count
    for module, training in modes:
        module.training = training
    return mean


@evaluate.misconception(
    title="Weighted by batch size, and divided by the number of batches",
    why="Times the batch's size, each metric is a sum over examples. The sum of all these, divided by the number of batches, grows "
    "with their size.",
    next="Divide by what you have weighted with: the number of examples.",
    link="every-example-counts-the-same",
    shows="result",
    evidence=lambda model, metric, batches, readable_once: sizes_of(batches),
)
def weighted_but_divided_by_batches(model, metric, batches):
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    total, count = 0.0, 0
    with torch.no_grad():
        for inputs, targets in batches:
            total += float(metric(model(inputs), targets)) * len(inputs)
            count += 1
    mean = total / count
    for module, training in modes:
        module.training = training
    return mean


@evaluate.misconception(
    title="Switched autograd on, whatever it was before",
    why="Somebody may call `evaluate` where autograd is off already, inside another measurement for example. After "
    "`torch.set_grad_enabled(True)` it is on there.",
    next="A `with` block puts back what it found.",
    link="two-switches",
    shows="autograd is switched as it was before",
)
def on_for_good(model, metric, batches):
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    total, count = 0.0, 0
    torch.set_grad_enabled(False)
    for inputs, targets in batches:
        total += float(metric(model(inputs), targets)) * len(inputs)
        count += len(inputs)
    torch.set_grad_enabled(True)
    mean = total / count
    for module, training in modes:
        module.training = training
    return mean


@evaluate.misconception(
    title="Cleared the gradients",
    why="An evaluation computes no gradients, so there is nothing of its own to clear. What stands in `.grad` belongs to the "
    "training, which may not have stepped yet.",
    next="Leave `.grad` alone here.",
    link="two-switches",
    shows="the model is as it was otherwise",
)
def cleared_the_gradients(model, metric, batches):
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    model.zero_grad()
    total, count = 0.0, 0
    with torch.no_grad():
        for inputs, targets in batches:
            total += float(metric(model(inputs), targets)) * len(inputs)
            count += len(inputs)
    mean = total / count
    for module, training in modes:
        module.training = training
    return mean


@evaluate.misconception(
    title="Unfroze what was frozen",
    why="With `requires_grad_(False)` nothing is recorded either. But `requires_grad_(True)` afterwards is for all parameters, also "
    "for those that were frozen before: the next step moves them.",
    next="`torch.no_grad()` switches the recording off and leaves the parameters as they are.",
    link="two-switches",
    shows="the model is as it was otherwise",
)
def unfroze_the_frozen(model, metric, batches):
    modes = [(module, module.training) for module in model.modules()]
    model.eval().requires_grad_(False)
    total, count = 0.0, 0
    for inputs, targets in batches:
        total += float(metric(model(inputs), targets)) * len(inputs)
        count += len(inputs)
    mean = total / count
    model.requires_grad_(True)
    for module, training in modes:
        module.training = training
    return mean


@evaluate.misconception(
    title="`.item()` of a float",
    why="A loss function returns a tensor, `accuracy` returns a float, and a float has no `item`.",
    next="`float(…)` takes both.",
    link="numbers-without-graphs",
)
def item_of_a_float(model, metric, batches):
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    total, count = 0.0, 0
    with torch.no_grad():
        for inputs, targets in batches:
            total += metric(model(inputs), targets).item() * len(inputs)
            count += len(inputs)
    mean = total / count
    for module, training in modes:
        module.training = training
    return mean


@evaluate.misconception(
    title="Returned a tensor",
    why="The metric's tensors were added up, and their sum is a tensor. A number to print or to keep is due.",
    next="Take the number out of each metric before you add it.",
    link="numbers-without-graphs",
)
def tensors_added_up(model, metric, batches):
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    total, count = 0.0, 0
    with torch.no_grad():
        for inputs, targets in batches:
            total += metric(model(inputs), targets) * len(inputs)
            count += len(inputs)
    mean = total / count
    for module, training in modes:
        module.training = training
    return mean


@evaluate.misconception(
    title="Added up in a tensor, and returned it",
    why="A tensor plus a number is a tensor again, whatever the metric gives. A number to print or to keep is due.",
    next="Begin the sum with a Python 0, or take the number out at the end.",
    link="numbers-without-graphs",
    shows="result",
)
def summed_in_a_tensor(model, metric, batches):
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    total, count = torch.zeros(()), 0
    with torch.no_grad():
        for inputs, targets in batches:
            total += metric(model(inputs), targets) * len(inputs)
            count += len(inputs)
    mean = total / count
    for module, training in modes:
        module.training = training
    return mean


@evaluate.misconception(
    title="Only the last batch",
    why="The metric is computed anew for every batch, and only the last one survives the loop.",
    next="Add up inside the loop, divide after it.",
    link="every-example-counts-the-same",
    shows="result",
    evidence=batch_by_batch,
)
def last_batch_only(model, metric, batches):
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    with torch.no_grad():
        for inputs, targets in batches:
            total = float(metric(model(inputs), targets))
    for module, training in modes:
        module.training = training
    return total


@evaluate.misconception(
    title="The sum was not divided",
    why="A sum over the examples grows with their number. A mean does not.",
    next="Divide by the number of examples.",
    link="every-example-counts-the-same",
    shows="result",
)
def not_divided(model, metric, batches):
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    total = 0.0
    with torch.no_grad():
        for inputs, targets in batches:
            total += float(metric(model(inputs), targets)) * len(inputs)
    for module, training in modes:
        module.training = training
    return total


@evaluate.misconception(
    title="Divided by the number of examples without weighting",
    why="Each metric is a mean already. Their sum grows with the number of batches, and is now divided by the much larger "
    "number of examples.",
    next="Multiply each batch's metric by the batch's size before you add it.",
    link="every-example-counts-the-same",
    shows="result",
    evidence=lambda model, metric, batches, readable_once: sizes_of(batches),
)
def divided_but_not_weighted(model, metric, batches):
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    total, count = 0.0, 0
    with torch.no_grad():
        for inputs, targets in batches:
            total += float(metric(model(inputs), targets))
            count += len(inputs)
    mean = total / count
    for module, training in modes:
        module.training = training
    return mean


@evaluate.misconception(
    title="Turned autograd off for good",
    why="`torch.set_grad_enabled(False)` holds for the whole session, as a plain call. The next training step finds nothing "
    "to go backward from.",
    next="A `with` block ends where its lines end.",
    link="two-switches",
    shows="autograd is switched as it was before",
)
def off_for_good(model, metric, batches):
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    total, count = 0.0, 0
    torch.set_grad_enabled(False)
    for inputs, targets in batches:
        total += float(metric(model(inputs), targets)) * len(inputs)
        count += len(inputs)
    mean = total / count
    for module, training in modes:
        module.training = training
    return mean


@evaluate.misconception(
    title="Outputs and targets are swapped",
    why="The squared error does not notice, because it is the same both ways. Accuracy and cross-entropy read class numbers "
    "from their second argument.",
    next="`metric(outputs, targets)`: the outputs come first.",
    link="loss-functions-and-their-targets",
)
def targets_first(model, metric, batches):
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    total, count = 0.0, 0
    with torch.no_grad():
        for inputs, targets in batches:
            total += float(metric(targets, model(inputs))) * len(inputs)
            count += len(inputs)
    mean = total / count
    for module, training in modes:
        module.training = training
    return mean


@evaluate.misconception(
    title="The function returns nothing",
    why="The mean was computed and forgotten: without `return` a function gives None.",
    next="Return the mean.",
    link="every-example-counts-the-same",
    shows="result",
)
def forgot_to_return(model, metric, batches):
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    total, count = 0.0, 0
    with torch.no_grad():
        for inputs, targets in batches:
            total += float(metric(model(inputs), targets)) * len(inputs)
            count += len(inputs)
    mean = total / count
    for module, training in modes:
        module.training = training
    print(mean)


@evaluate.misconception(
    title="Returned from inside the loop",
    why="The `return` ends the function with the first batch. The rest is never measured, and the modes are never put back.",
    next="Move the `return` out of the loop.",
    link="every-example-counts-the-same",
    shows="result",
    evidence=batch_by_batch,
)
def first_batch_only(model, metric, batches):
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    total, count = 0.0, 0
    with torch.no_grad():
        for inputs, targets in batches:
            total += float(metric(model(inputs), targets)) * len(inputs)
            count += len(inputs)
            return total / count
    for module, training in modes:
        module.training = training
    return None


# The whole training -------------------------------------------------------------------------------

OWN = ("train_step", "evaluate")  # what a student's `fit` may call


@contextmanager
def callable_here(answer):
    """Let answers of this file call `train_step` and `evaluate`, which are exercises here."""
    scope = answer.__globals__ if isinstance(answer, FunctionType) else {}
    kept = {name: scope[name] for name in OWN if isinstance(scope.get(name), Exercise)}
    scope.update({name: it.reference for name, it in kept.items()})
    try:
        yield scope
    finally:
        scope.update(kept)


def unwritten(answer, scope):
    """Whether an answer calls one of the student's own functions that is still the starter."""
    names = (name for name in source.outside_names(answer) if name in OWN)
    return any(source.does_nothing(scope.get(name)) for name in names)


@exercise(
    level="independent",
    minutes=15,
    why="Training mode at the start of every epoch, one step per batch, the schedule's step after it, sums over examples, "
    "and an evaluation at the end.",
    hints=(
        "Two loops: over the epochs, and in it over the training batches. `train_step` and `evaluate` do the work.",
        "Begin each epoch with `model.train()` and two sums at 0. End it by appending one pair to the history.",
        "`train_step` returns a mean over the batch. Times the batch's size, it is the sum over its examples.",
        "After every batch, if there is a schedule, its step.",
    ),
)
def fit(
    model: nn.Module, loss_fn, optimizer, train_batches, validation_batches, epochs, schedule=None
) -> list[tuple[float, float]]:
    """Train a model for some epochs, and measure it after each.

    In every epoch the model is in training mode for the training batches. After them the
    validation batches are measured as `evaluate` does it. When you get the model, all its layers are
    in the same mode, and in which mode you leave it does not matter.

    train_batches: gives pairs (inputs, targets). It is read once per epoch, each reading may give
    another order, and it need not have a length.
    validation_batches: likewise.
    schedule: a learning rate schedule whose `step()` comes after every batch, or None.
    Returns a list with one pair of floats per epoch: first the mean training loss over all examples
    of the epoch, each batch's as it was before its update, then the mean validation loss after it.
    """
    # solution:
    history = []
    for _ in range(epochs):
        model.train()
        total, count = 0.0, 0
        for inputs, targets in train_batches:
            total += train_step(model, loss_fn, optimizer, inputs, targets) * len(inputs)
            count += len(inputs)
            if schedule is not None:
                schedule.step()
        history.append((total / count, evaluate(model, loss_fn, validation_batches)))
    return history
    # end solution


READINGS = "how often the training batches are read"
ENTRIES = "the number of entries that come back"
FLOATS = "what comes back holds no tensors"


def times(readings, epochs):
    """Say how often batches were read, in words."""
    return f"{readings} time{'s' * (readings != 1)} in {epochs} epoch{'s' * (epochs != 1)}"


def as_a_list(name, entries, epochs):
    """Observe what should be a list with an entry per epoch.

    A list of another length goes by another name, which the reference never uses: it still tells
    one wrong answer from another, and is not compared with what is due entry by entry.
    """
    if not isinstance(entries, list | tuple):
        return {ENTRIES: "none, for it is no list", name: entries}
    floats = not holds_tensors(entries)
    seen = {ENTRIES: f"{len(entries)} after {epochs} epoch{'s' * (epochs != 1)}"}
    seen[FLOATS] = floats
    if len(entries) != epochs:
        return seen | {f"{name} as it is": entries}
    return seen | ({name: entries} | kind_of(*numbers_in(entries)) if floats else {})


def numbers_in(entries):
    """Give the entries of a list, or of the pairs in it."""
    for entry in entries:
        yield from entry if isinstance(entry, list | tuple) else [entry]


def holds_tensors(entries):
    """Whether any entry, or any entry of a pair, is a tensor."""
    return any(isinstance(number, torch.Tensor) for number in numbers_in(entries))


@fit.drive
def fit_and_watch(
    answer, model, loss_fn, optimizer, train_batches, validation_batches, epochs, schedule
):
    known = {tuple(row.tolist()) for inputs, _ in train_batches.batches for row in inputs}
    training, validating, recorded = [], [], []

    def note(module, inputs, outputs):
        if tuple(inputs[0][0].tolist()) in known:
            training.append(all(modes_of(module)))
        else:
            validating.append(any(modes_of(module)))
            recorded.append(outputs.requires_grad)

    model.register_forward_hook(note)
    plan = {} if schedule is None else {"schedule": schedule}
    with callable_here(answer) as scope, Steps(model, optimizer) as steps:
        if unwritten(answer, scope):
            return {"the functions that it calls are written": False}
        history = answer(
            model, loss_fn, optimizer, train_batches, validation_batches, epochs, **plan
        )
    readings = train_batches.readings
    listed = as_a_list("the history", history, epochs)
    if readings != epochs:  # and now nothing else is as it should be: only what tells them apart
        again = len(training) != len(steps.after)
        return {
            BY_OPTIMIZER: not steps.passed_over(),
            "the functions that it calls are written": True,
            READINGS: times(readings, epochs),
            **({} if again else {"training batches run in training mode": all(training)}),
            "the number of steps": len(steps.after),
            "how often the model runs on training batches": len(training),
            "the validation batches are read": validation_batches.readings > 0,
            "how many entries": listed[ENTRIES],
        }
    return steps.observed(
        **{
            "the functions that it calls are written": True,
            READINGS: times(readings, epochs),
            "the parameters afterwards": parameters_of(model),
            "training batches run in training mode": bool(training) and all(training),
            "validation batches run in eval mode": bool(validating) and not any(validating),
            "nothing is recorded on validation batches": not any(recorded),
        },
        **statistics_of(model),
        **{
            "the learning rate afterwards": optimizer.param_groups[0]["lr"],
            **listed,
            "the number of times that the validation batches are read": validation_batches.readings,
        },
    )


def falling(optimizer):
    return LambdaLR(optimizer, lambda step: 0.9**step)


@fit.probe
def a_line_in_three_batches(g):
    model = line(g).eval()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    train = Readings(cut(numbers(g, 7, 1), numbers(g, 7, 1), 3))
    validation = Readings(cut(numbers(g, 5, 1), numbers(g, 5, 1), 4))
    return model, nn.MSELoss(), optimizer, train, validation, 2, None


@fit.probe
def a_classifier_with_a_schedule(g):
    model = classifier(g).eval()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3, momentum=0.8)
    train = Readings(cut(numbers(g, 10, 2), classes_of(g, 10), 4))
    validation = Readings(cut(numbers(g, 5, 2), classes_of(g, 5), 3))
    return model, nn.CrossEntropyLoss(), optimizer, train, validation, 3, falling(optimizer)


@fit.probe
def with_adam(g):
    model = classifier(g, classes=2)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    train = Readings(cut(numbers(g, 8, 2), classes_of(g, 8, 2), 5))
    validation = Readings(cut(numbers(g, 7, 2), classes_of(g, 7, 2), 5))
    return model, nn.CrossEntropyLoss(), optimizer, train, validation, 1, falling(optimizer)


@fit.alternative("Everything written out, without the two functions.")
def written_out(
    model, loss_fn, optimizer, train_batches, validation_batches, epochs, schedule=None
):
    history = []
    for _ in range(epochs):
        model.train()
        losses = []
        for inputs, targets in train_batches:
            optimizer.zero_grad()
            loss = loss_fn(model(inputs), targets)
            loss.backward()
            optimizer.step()
            if schedule:
                schedule.step()
            losses += [loss.item()] * len(targets)
        model.eval()
        with torch.no_grad():
            pairs = [(loss_fn(model(i), t).item(), len(i)) for i, t in validation_batches]
        validation_loss = sum(loss * size for loss, size in pairs) / sum(s for _, s in pairs)
        history.append((sum(losses) / len(losses), validation_loss))
    return history


@fit.alternative("`evaluate` puts the mode back, so one `train()` before the loop is enough.")
def switched_once(
    model, loss_fn, optimizer, train_batches, validation_batches, epochs, schedule=None
):
    history = []
    model.train()
    for _ in range(epochs):
        weighted, sizes = [], []
        for inputs, targets in train_batches:
            loss = train_step(model, loss_fn, optimizer, inputs, targets)
            if schedule is not None:
                schedule.step()
            weighted.append(loss * len(targets))
            sizes.append(len(targets))
        train_loss = sum(weighted) / sum(sizes)
        history += [(train_loss, evaluate(model, loss_fn, validation_batches))]
    return history


@fit.alternative("Pairs as lists, and one function inside for an epoch.")
def an_epoch_inside(
    model, loss_fn, optimizer, train_batches, validation_batches, epochs, schedule=None
):
    def one_epoch():
        model.train()
        results = []
        for inputs, targets in train_batches:
            results.append((train_step(model, loss_fn, optimizer, inputs, targets), len(inputs)))
            schedule is None or schedule.step()
        losses, sizes = torch.tensor(results, dtype=torch.float64).T
        return [
            (losses @ sizes / sizes.sum()).item(),
            evaluate(model, loss_fn, validation_batches),
        ]

    return [one_epoch() for _ in range(epochs)]


def among(**names):
    """Give a function other module-level names than this file's, as a notebook would."""

    def rename(function):
        scope = {**function.__globals__, **names}
        return FunctionType(function.__code__, scope, function.__name__, function.__defaults__)

    return rename


def still_the_starter(model, loss_fn, optimizer, inputs, targets): ...


@fit.misconception(
    title="`fit` calls `train_step` or `evaluate`, and one of them is not written yet",
    why="As long as one of the two is the starter it returns None, so there is nothing to add up and nothing to report. "
    "`fit` itself may well be right.",
    next="Write the other function, run its cell until its check passes, then run this check again.",
)
@among(train_step=still_the_starter)
def called_before_it_was_written(
    model, loss_fn, optimizer, train_batches, validation_batches, epochs, schedule=None
):
    history = []
    for _ in range(epochs):
        model.train()
        total, count = 0.0, 0
        for inputs, targets in train_batches:
            total += train_step(model, loss_fn, optimizer, inputs, targets) * len(inputs)
            count += len(inputs)
            if schedule is not None:
                schedule.step()
        history.append((total / count, evaluate(model, loss_fn, validation_batches)))
    return history


@fit.misconception(
    title="Trained in the mode it was found in",
    why="A model that was loaded or evaluated before may come in eval mode. Then dropout does nothing, and BatchNorm does "
    "not look at its batches: the training runs without either.",
    next="Say which mode it is, before the training batches.",
    link="two-switches",
    shows="training batches run in training mode",
)
def never_said_train(
    model, loss_fn, optimizer, train_batches, validation_batches, epochs, schedule=None
):
    history = []
    for _ in range(epochs):
        total, count = 0.0, 0
        for inputs, targets in train_batches:
            total += train_step(model, loss_fn, optimizer, inputs, targets) * len(inputs)
            count += len(inputs)
            if schedule is not None:
                schedule.step()
        history.append((total / count, evaluate(model, loss_fn, validation_batches)))
    return history


@fit.misconception(
    title="The training loss is the mean of the batches' means",
    why="Every batch counts the same, also the short last one. Its few examples then weigh more than the others.",
    next="Weight each batch's loss by the number of its examples.",
    link="every-example-counts-the-same",
    shows="the history",
)
def unweighted(model, loss_fn, optimizer, train_batches, validation_batches, epochs, schedule=None):
    history = []
    for _ in range(epochs):
        model.train()
        total, count = 0.0, 0
        for inputs, targets in train_batches:
            total += train_step(model, loss_fn, optimizer, inputs, targets)
            count += 1
            if schedule is not None:
                schedule.step()
        history.append((total / count, evaluate(model, loss_fn, validation_batches)))
    return history


@fit.misconception(
    title="The training loss is the last batch's",
    why="One batch is a noisy sample of the epoch, and the last one may be short.",
    next="Add up inside the loop, divide after it.",
    link="every-example-counts-the-same",
    shows="the history",
)
def last_loss(model, loss_fn, optimizer, train_batches, validation_batches, epochs, schedule=None):
    history = []
    for _ in range(epochs):
        model.train()
        for inputs, targets in train_batches:
            total = train_step(model, loss_fn, optimizer, inputs, targets)
            if schedule is not None:
                schedule.step()
        history.append((total, evaluate(model, loss_fn, validation_batches)))
    return history


@fit.misconception(
    title="The sums run on from epoch to epoch",
    why="Set to 0 once, before all epochs, they make each entry a mean over everything so far. The curve falls too slowly "
    "and hides what the last epoch did.",
    next="Begin every epoch at 0.",
    link="training-and-validation",
    shows="the history",
)
def never_reset(
    model, loss_fn, optimizer, train_batches, validation_batches, epochs, schedule=None
):
    history = []
    total, count = 0.0, 0
    for _ in range(epochs):
        model.train()
        for inputs, targets in train_batches:
            total += train_step(model, loss_fn, optimizer, inputs, targets) * len(inputs)
            count += len(inputs)
            if schedule is not None:
                schedule.step()
        history.append((total / count, evaluate(model, loss_fn, validation_batches)))
    return history


@fit.misconception(
    title="The training loss was measured after the epoch",
    why="That is a useful number, but another one: it is that of a model that has seen the whole epoch. It also costs a second "
    "pass over all the training batches.",
    next="Use what `train_step` returns.",
    link="training-and-validation",
    shows=READINGS,
)
def measured_again(
    model, loss_fn, optimizer, train_batches, validation_batches, epochs, schedule=None
):
    history = []
    for _ in range(epochs):
        model.train()
        for inputs, targets in train_batches:
            train_step(model, loss_fn, optimizer, inputs, targets)
            if schedule is not None:
                schedule.step()
        train_loss = evaluate(model, loss_fn, train_batches)
        history.append((train_loss, evaluate(model, loss_fn, validation_batches)))
    return history


@fit.misconception(
    title="Validated before the epoch",
    why="The validation loss in each pair is that of the model before the epoch's updates. The curve lags one epoch behind, "
    "and the trained model itself is never measured.",
    next="Evaluate after the training batches.",
    link="training-and-validation",
    shows="the history",
)
def validated_first(
    model, loss_fn, optimizer, train_batches, validation_batches, epochs, schedule=None
):
    history = []
    for _ in range(epochs):
        validation_loss = evaluate(model, loss_fn, validation_batches)
        model.train()
        total, count = 0.0, 0
        for inputs, targets in train_batches:
            total += train_step(model, loss_fn, optimizer, inputs, targets) * len(inputs)
            count += len(inputs)
            if schedule is not None:
                schedule.step()
        history.append((total / count, validation_loss))
    return history


@fit.misconception(
    title="Validated on the training batches",
    why="The model is examined on what it has learned from. Such a number cannot tell learning from learning by heart.",
    next="Give `evaluate` the validation batches.",
    link="training-and-validation",
    shows=READINGS,
)
def validated_on_training(
    model, loss_fn, optimizer, train_batches, validation_batches, epochs, schedule=None
):
    history = []
    for _ in range(epochs):
        model.train()
        total, count = 0.0, 0
        for inputs, targets in train_batches:
            total += train_step(model, loss_fn, optimizer, inputs, targets) * len(inputs)
            count += len(inputs)
            if schedule is not None:
                schedule.step()
        history.append((total / count, evaluate(model, loss_fn, train_batches)))
    return history


@fit.misconception(
    title="Trained on the validation batches, too",
    why="`train_step` moves the parameters, whatever batch it gets. Examples that the model has learned from can no longer "
    "tell how it does on new ones.",
    next="Measure with `evaluate`, which changes nothing.",
    link="training-and-validation",
    shows="the parameters afterwards",
)
def trained_on_validation(
    model, loss_fn, optimizer, train_batches, validation_batches, epochs, schedule=None
):
    history = []
    for _ in range(epochs):
        model.train()
        total, count = 0.0, 0
        for inputs, targets in train_batches:
            total += train_step(model, loss_fn, optimizer, inputs, targets) * len(inputs)
            count += len(inputs)
            if schedule is not None:
                schedule.step()
        measured, size = 0.0, 0
        for inputs, targets in validation_batches:
            measured += train_step(model, loss_fn, optimizer, inputs, targets) * len(inputs)
            size += len(inputs)
        history.append((total / count, measured / size))
    return history


@fit.misconception(
    title="Trained on the validation batches, in eval mode",
    why="`eval()` stops no step: `train_step` moves the parameters, whatever batch it gets. Examples that the model has learned from can no longer "
    "tell how it does on new ones.",
    next="Measure with `evaluate`, which changes nothing.",
    link="training-and-validation",
    shows="the parameters afterwards",
)
def trained_on_validation_in_eval_mode(
    model, loss_fn, optimizer, train_batches, validation_batches, epochs, schedule=None
):
    history = []
    for _ in range(epochs):
        model.train()
        total, count = 0.0, 0
        for inputs, targets in train_batches:
            total += train_step(model, loss_fn, optimizer, inputs, targets) * len(inputs)
            count += len(inputs)
            if schedule is not None:
                schedule.step()
        model.eval()
        measured, size = 0.0, 0
        for inputs, targets in validation_batches:
            measured += train_step(model, loss_fn, optimizer, inputs, targets) * len(inputs)
            size += len(inputs)
        history.append((total / count, measured / size))
    return history


@fit.misconception(
    title="Read the training batches once and kept them",
    why="A loader that shuffles gives a new order at every reading. Kept in a list, the first order is used in all epochs.",
    next="Loop over `train_batches` itself, in every epoch.",
    link="training-and-validation",
    shows=READINGS,
)
def kept_the_first_reading(
    model, loss_fn, optimizer, train_batches, validation_batches, epochs, schedule=None
):
    history = []
    train_batches = list(train_batches)
    for _ in range(epochs):
        model.train()
        total, count = 0.0, 0
        for inputs, targets in train_batches:
            total += train_step(model, loss_fn, optimizer, inputs, targets) * len(inputs)
            count += len(inputs)
            if schedule is not None:
                schedule.step()
        history.append((total / count, evaluate(model, loss_fn, validation_batches)))
    return history


@fit.misconception(
    title="The schedule stepped once per epoch",
    why="The order says: after every batch. A schedule planned in batches hardly moves when it is stepped once per epoch.",
    next="Move its step into the loop over the batches.",
    link="a-learning-rate-that-changes",
    shows="the learning rate afterwards",
)
def schedule_per_epoch(
    model, loss_fn, optimizer, train_batches, validation_batches, epochs, schedule=None
):
    history = []
    for _ in range(epochs):
        model.train()
        total, count = 0.0, 0
        for inputs, targets in train_batches:
            total += train_step(model, loss_fn, optimizer, inputs, targets) * len(inputs)
            count += len(inputs)
        if schedule is not None:
            schedule.step()
        history.append((total / count, evaluate(model, loss_fn, validation_batches)))
    return history


@fit.misconception(
    title="The schedule never stepped",
    why="A schedule changes the learning rate only when its `step` is called. Until then every batch is trained with the "
    "rate of the first.",
    next="After each batch, let the schedule take its step, if there is one.",
    link="a-learning-rate-that-changes",
    shows="the learning rate afterwards",
)
def schedule_forgotten(
    model, loss_fn, optimizer, train_batches, validation_batches, epochs, schedule=None
):
    history = []
    for _ in range(epochs):
        model.train()
        total, count = 0.0, 0
        for inputs, targets in train_batches:
            total += train_step(model, loss_fn, optimizer, inputs, targets) * len(inputs)
            count += len(inputs)
        history.append((total / count, evaluate(model, loss_fn, validation_batches)))
    return history


@fit.misconception(
    title="Took it for granted that there is a schedule",
    why="Without one, `schedule` is None, and None has no `step`.",
    next="Ask first: `if schedule is not None`.",
    link="a-learning-rate-that-changes",
)
def schedule_taken_for_granted(
    model, loss_fn, optimizer, train_batches, validation_batches, epochs, schedule=None
):
    history = []
    for _ in range(epochs):
        model.train()
        total, count = 0.0, 0
        for inputs, targets in train_batches:
            total += train_step(model, loss_fn, optimizer, inputs, targets) * len(inputs)
            count += len(inputs)
            schedule.step()
        history.append((total / count, evaluate(model, loss_fn, validation_batches)))
    return history


@fit.misconception(
    title="Returned after the first epoch",
    why="The `return` stands inside the loop over the epochs, so the function ends with the first one.",
    next="Move the `return` out of the loop.",
    link="training-and-validation",
    shows=READINGS,
)
def one_epoch_only(
    model, loss_fn, optimizer, train_batches, validation_batches, epochs, schedule=None
):
    history = []
    for _ in range(epochs):
        model.train()
        total, count = 0.0, 0
        for inputs, targets in train_batches:
            total += train_step(model, loss_fn, optimizer, inputs, targets) * len(inputs)
            count += len(inputs)
            if schedule is not None:
                schedule.step()
        history.append((total / count, evaluate(model, loss_fn, validation_batches)))
        return history
    return None


@fit.misconception(
    title="From the second epoch on it trains in eval mode",
    why="`train()` is called once, before the first epoch. The evaluation switches to eval mode, and nobody switches back.",
    next="Say `model.train()` at the start of every epoch.",
    link="two-switches",
    shows="training batches run in training mode",
)
@among(evaluate=left_in_eval)
def switched_on_once(
    model, loss_fn, optimizer, train_batches, validation_batches, epochs, schedule=None
):
    history = []
    model.train()
    for _ in range(epochs):
        total, count = 0.0, 0
        for inputs, targets in train_batches:
            total += train_step(model, loss_fn, optimizer, inputs, targets) * len(inputs)
            count += len(inputs)
            if schedule is not None:
                schedule.step()
        history.append((total / count, evaluate(model, loss_fn, validation_batches)))
    return history


@fit.misconception(
    title="The gradients are never cleared",
    why="Each step follows the sum of all gradients so far. If `fit` calls your `train_step`, the mistake is there.",
    next="Run the check of `train_step`; or clear once per batch, if the lines stand here.",
    link="the-order-of-the-lines",
    shows="the parameters afterwards",
)
@among(train_step=never_cleared)
def with_a_step_that_never_clears(
    model, loss_fn, optimizer, train_batches, validation_batches, epochs, schedule=None
):
    history = []
    for _ in range(epochs):
        model.train()
        total, count = 0.0, 0
        for inputs, targets in train_batches:
            total += train_step(model, loss_fn, optimizer, inputs, targets) * len(inputs)
            count += len(inputs)
            if schedule is not None:
                schedule.step()
        history.append((total / count, evaluate(model, loss_fn, validation_batches)))
    return history


@fit.misconception(
    title="The validation loss is the mean of the batches' means",
    why="Every batch counts the same, also the short last one. If `fit` calls your `evaluate`, the mistake is there.",
    next="Run the check of `evaluate`; or weight by batch size, if the lines stand here.",
    link="every-example-counts-the-same",
    shows="the history",
)
@among(evaluate=mean_of_means)
def with_unweighted_validation(
    model, loss_fn, optimizer, train_batches, validation_batches, epochs, schedule=None
):
    history = []
    for _ in range(epochs):
        model.train()
        total, count = 0.0, 0
        for inputs, targets in train_batches:
            total += train_step(model, loss_fn, optimizer, inputs, targets) * len(inputs)
            count += len(inputs)
            if schedule is not None:
                schedule.step()
        history.append((total / count, evaluate(model, loss_fn, validation_batches)))
    return history


@fit.misconception(
    title="The validation batches run in training mode",
    why="Dropout goes on dropping and BatchNorm learns from the examples it is examined on. If `fit` calls your `evaluate`, the mistake is there.",
    next="Run the check of `evaluate`; or switch to eval mode, if the lines stand here.",
    link="two-switches",
    shows="validation batches run in eval mode",
)
@among(evaluate=without_eval)
def with_validation_in_training_mode(
    model, loss_fn, optimizer, train_batches, validation_batches, epochs, schedule=None
):
    history = []
    for _ in range(epochs):
        model.train()
        total, count = 0.0, 0
        for inputs, targets in train_batches:
            total += train_step(model, loss_fn, optimizer, inputs, targets) * len(inputs)
            count += len(inputs)
            if schedule is not None:
                schedule.step()
        history.append((total / count, evaluate(model, loss_fn, validation_batches)))
    return history


@fit.misconception(
    title="The schedule stepped before the optimizer",
    why="The first batch is then trained with the second learning rate, and every batch after it with the next one. PyTorch warns.",
    next="First the step of the optimizer, then that of the schedule.",
    link="a-learning-rate-that-changes",
    shows="the parameters afterwards",
)
def schedule_first(
    model, loss_fn, optimizer, train_batches, validation_batches, epochs, schedule=None
):
    history = []
    for _ in range(epochs):
        model.train()
        total, count = 0.0, 0
        for inputs, targets in train_batches:
            if schedule is not None:
                schedule.step()
            total += train_step(model, loss_fn, optimizer, inputs, targets) * len(inputs)
            count += len(inputs)
        history.append((total / count, evaluate(model, loss_fn, validation_batches)))
    return history


@fit.misconception(
    title="Validation before training",
    why="Both losses are right and stand in the wrong order. Whoever plots them takes one curve for the other.",
    next="The training loss comes first in each pair.",
    link="training-and-validation",
    shows="the history",
)
def pairs_turned_round(
    model, loss_fn, optimizer, train_batches, validation_batches, epochs, schedule=None
):
    history = []
    for _ in range(epochs):
        model.train()
        total, count = 0.0, 0
        for inputs, targets in train_batches:
            total += train_step(model, loss_fn, optimizer, inputs, targets) * len(inputs)
            count += len(inputs)
            if schedule is not None:
                schedule.step()
        history.append((evaluate(model, loss_fn, validation_batches), total / count))
    return history


@fit.misconception(
    title="Two lists instead of pairs",
    why="One pair per epoch was asked for: then each entry of the history is an epoch.",
    next="Append one pair of two floats in each epoch.",
    link="training-and-validation",
    shows="the history",
)
def two_lists(model, loss_fn, optimizer, train_batches, validation_batches, epochs, schedule=None):
    history = []
    for _ in range(epochs):
        model.train()
        total, count = 0.0, 0
        for inputs, targets in train_batches:
            total += train_step(model, loss_fn, optimizer, inputs, targets) * len(inputs)
            count += len(inputs)
            if schedule is not None:
                schedule.step()
        history.append((total / count, evaluate(model, loss_fn, validation_batches)))
    return [pair[0] for pair in history], [pair[1] for pair in history]


@fit.misconception(
    title="One long list of losses",
    why="Training and validation losses follow each other in one list, and only their places tell them apart.",
    next="Append the two as one pair: `append((…, …))`.",
    link="training-and-validation",
    shows=ENTRIES,
)
def one_long_list(
    model, loss_fn, optimizer, train_batches, validation_batches, epochs, schedule=None
):
    history = []
    for _ in range(epochs):
        model.train()
        total, count = 0.0, 0
        for inputs, targets in train_batches:
            total += train_step(model, loss_fn, optimizer, inputs, targets) * len(inputs)
            count += len(inputs)
            if schedule is not None:
                schedule.step()
        history += (total / count, evaluate(model, loss_fn, validation_batches))
    return history


@fit.misconception(
    title="Asked the batches for their length",
    why="Batches that are made on the way have no `len`. And divided by the number of batches, the loss is the mean of the batches' means.",
    next="Count the examples while they come.",
    link="every-example-counts-the-same",
)
def asked_for_the_length(
    model, loss_fn, optimizer, train_batches, validation_batches, epochs, schedule=None
):
    history = []
    for _ in range(epochs):
        model.train()
        total = 0.0
        for inputs, targets in train_batches:
            total += train_step(model, loss_fn, optimizer, inputs, targets)
            if schedule is not None:
                schedule.step()
        history.append((total / len(train_batches), evaluate(model, loss_fn, validation_batches)))
    return history


@fit.misconception(
    title="The gradients are cleared once per epoch",
    why="`backward` adds to what is in `.grad`. From the second batch of an epoch on, each step follows the sum of this "
    "epoch's gradients so far.",
    next="Clear as often as you go backward.",
    link="the-order-of-the-lines",
    shows="the parameters afterwards",
)
def cleared_per_epoch(
    model, loss_fn, optimizer, train_batches, validation_batches, epochs, schedule=None
):
    history = []
    for _ in range(epochs):
        model.train()
        optimizer.zero_grad()
        total, count = 0.0, 0
        for inputs, targets in train_batches:
            loss = loss_fn(model(inputs), targets)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(inputs)
            count += len(inputs)
            if schedule is not None:
                schedule.step()
        history.append((total / count, evaluate(model, loss_fn, validation_batches)))
    return history


@fit.misconception(
    title="The validation batches are recorded",
    why="`eval()` changes how layers behave and leaves autograd on. Every validation batch then records a graph that "
    "nobody goes backward through. If `fit` calls your `evaluate`, the mistake is there.",
    next="Run the check of `evaluate`; or put the lines under `torch.no_grad()`, if they stand here.",
    link="two-switches",
    shows="nothing is recorded on validation batches",
)
@among(evaluate=with_recording)
def with_recorded_validation(
    model, loss_fn, optimizer, train_batches, validation_batches, epochs, schedule=None
):
    history = []
    for _ in range(epochs):
        model.train()
        total, count = 0.0, 0
        for inputs, targets in train_batches:
            total += train_step(model, loss_fn, optimizer, inputs, targets) * len(inputs)
            count += len(inputs)
            if schedule is not None:
                schedule.step()
        history.append((total / count, evaluate(model, loss_fn, validation_batches)))
    return history


@fit.misconception(
    title="The history holds tensors",
    why="A loss that is kept as a tensor may keep the graph of its batch, and a sum of losses the graphs of all. A pair "
    "of floats per epoch was asked for. If `fit` calls your `train_step` or `evaluate`, the tensor may come from "
    "there.",
    next="Take the number out of each loss before you add it.",
    link="numbers-without-graphs",
    shows=FLOATS,
)
@among(train_step=returned_the_graph)
def kept_tensors(
    model, loss_fn, optimizer, train_batches, validation_batches, epochs, schedule=None
):
    history = []
    for _ in range(epochs):
        model.train()
        total, count = 0.0, 0
        for inputs, targets in train_batches:
            total += train_step(model, loss_fn, optimizer, inputs, targets) * len(inputs)
            count += len(inputs)
            if schedule is not None:
                schedule.step()
        history.append((total / count, evaluate(model, loss_fn, validation_batches)))
    return history


@fit.misconception(
    title="The training losses were measured after the updates",
    why="Each batch's loss was computed again when the parameters had moved. It flatters, since the step was made for "
    "this very batch, and costs a second pass. If `fit` calls your `train_step`, the mistake is there.",
    next="Run the check of `train_step`; or keep the loss that you go backward from, if the lines stand here.",
    link="the-five-lines",
    shows="the history",
)
@among(train_step=loss_after_the_update)
def with_losses_after_the_update(
    model, loss_fn, optimizer, train_batches, validation_batches, epochs, schedule=None
):
    history = []
    for _ in range(epochs):
        model.train()
        total, count = 0.0, 0
        for inputs, targets in train_batches:
            total += train_step(model, loss_fn, optimizer, inputs, targets) * len(inputs)
            count += len(inputs)
            if schedule is not None:
                schedule.step()
        history.append((total / count, evaluate(model, loss_fn, validation_batches)))
    return history


@fit.misconception(
    title="The losses were weighted twice",
    why="Each batch's loss is multiplied by the batch's size where it is returned and once more where it is added up. If "
    "`fit` calls your `train_step`, the mistake is there.",
    next="Run the check of `train_step`; or look where you multiply, if the lines stand here.",
    link="every-example-counts-the-same",
    shows="the history",
)
@among(train_step=returned_the_sum)
def with_sums_for_losses(
    model, loss_fn, optimizer, train_batches, validation_batches, epochs, schedule=None
):
    history = []
    for _ in range(epochs):
        model.train()
        total, count = 0.0, 0
        for inputs, targets in train_batches:
            total += train_step(model, loss_fn, optimizer, inputs, targets) * len(inputs)
            count += len(inputs)
            if schedule is not None:
                schedule.step()
        history.append((total / count, evaluate(model, loss_fn, validation_batches)))
    return history


@fit.misconception(
    title="The gradients are cleared between backward and step",
    why="Every step finds nothing to follow, and the parameters never move. If `fit` calls your `train_step`, the mistake is there.",
    next="Run the check of `train_step`; or look at the order of the lines, if they stand here.",
    link="the-order-of-the-lines",
    shows="the parameters afterwards",
)
@among(train_step=cleared_too_late)
def with_a_step_that_clears_too_late(
    model, loss_fn, optimizer, train_batches, validation_batches, epochs, schedule=None
):
    history = []
    for _ in range(epochs):
        model.train()
        total, count = 0.0, 0
        for inputs, targets in train_batches:
            total += train_step(model, loss_fn, optimizer, inputs, targets) * len(inputs)
            count += len(inputs)
            if schedule is not None:
                schedule.step()
        history.append((total / count, evaluate(model, loss_fn, validation_batches)))
    return history


@fit.misconception(
    title="Every step comes before backward, on cleared gradients",
    why="What backward computes after the step is cleared before the next step sees it: the parameters never move. If `fit` calls "
    "your `train_step`, the mistake is there.",
    next="Run the check of `train_step`; or look at the order of the lines, if they stand here.",
    link="the-order-of-the-lines",
    shows="the parameters afterwards",
)
@among(train_step=backward_last)
def with_a_step_before_backward(
    model, loss_fn, optimizer, train_batches, validation_batches, epochs, schedule=None
):
    history = []
    for _ in range(epochs):
        model.train()
        total, count = 0.0, 0
        for inputs, targets in train_batches:
            total += train_step(model, loss_fn, optimizer, inputs, targets) * len(inputs)
            count += len(inputs)
            if schedule is not None:
                schedule.step()
        history.append((total / count, evaluate(model, loss_fn, validation_batches)))
    return history


@fit.misconception(
    title="The optimizer never stepped",
    why="The parameters move when the optimizer's `step` is called, with its brackets. Here it is not, and they stay where they were. "
    "If `fit` calls your `train_step`, the mistake is there.",
    next="Run the check of `train_step`; or let the optimizer take its step, if the lines stand here.",
    link="the-five-lines",
    shows="the parameters afterwards",
)
@among(train_step=never_stepped)
def with_a_step_that_never_steps(
    model, loss_fn, optimizer, train_batches, validation_batches, epochs, schedule=None
):
    history = []
    for _ in range(epochs):
        model.train()
        total, count = 0.0, 0
        for inputs, targets in train_batches:
            total += train_step(model, loss_fn, optimizer, inputs, targets) * len(inputs)
            count += len(inputs)
            if schedule is not None:
                schedule.step()
        history.append((total / count, evaluate(model, loss_fn, validation_batches)))
    return history


@fit.misconception(
    title="Never went backward",
    why="Nobody asks for gradients, so every step finds none, and the parameters never move. If `fit` calls your `train_step`, the "
    "mistake is there.",
    next="Run the check of `train_step`; or go backward before each step, if the lines stand here.",
    link="the-five-lines",
    shows="the parameters afterwards",
)
@among(train_step=never_backward)
def with_a_step_that_never_goes_backward(
    model, loss_fn, optimizer, train_batches, validation_batches, epochs, schedule=None
):
    history = []
    for _ in range(epochs):
        model.train()
        total, count = 0.0, 0
        for inputs, targets in train_batches:
            total += train_step(model, loss_fn, optimizer, inputs, targets) * len(inputs)
            count += len(inputs)
            if schedule is not None:
                schedule.step()
        history.append((total / count, evaluate(model, loss_fn, validation_batches)))
    return history


@fit.misconception(
    title="Went backward from a copy that has forgotten the model",
    why="`torch.tensor(…)` or `detach()` make a new tensor without a graph. Backward ends there, no gradient reaches the parameters, "
    "and they never move. If `fit` calls your `train_step`, the mistake is there.",
    next="Run the check of `train_step`; or go backward from the loss itself, if the lines stand here.",
    link="numbers-without-graphs",
    shows="the parameters afterwards",
)
@among(train_step=backward_from_a_copy)
def with_a_step_from_a_copy(
    model, loss_fn, optimizer, train_batches, validation_batches, epochs, schedule=None
):
    history = []
    for _ in range(epochs):
        model.train()
        total, count = 0.0, 0
        for inputs, targets in train_batches:
            total += train_step(model, loss_fn, optimizer, inputs, targets) * len(inputs)
            count += len(inputs)
            if schedule is not None:
                schedule.step()
        history.append((total / count, evaluate(model, loss_fn, validation_batches)))
    return history


@fit.misconception(
    title="Read the training batches more than once per epoch",
    why="Every reading costs as much as loading all the data again, and where a loader shuffles, it is another order. "
    "Counting, too, is a reading.",
    next="Count the examples while you train on them.",
    link="training-and-validation",
    shows=READINGS,
)
def counted_in_an_extra_reading(
    model, loss_fn, optimizer, train_batches, validation_batches, epochs, schedule=None
):
    history = []
    for _ in range(epochs):
        model.train()
        total, count = 0.0, sum(len(inputs) for inputs, _ in train_batches)
        for inputs, targets in train_batches:
            total += train_step(model, loss_fn, optimizer, inputs, targets) * len(inputs)
            if schedule is not None:
                schedule.step()
        history.append((total / count, evaluate(model, loss_fn, validation_batches)))
    return history


@fit.misconception(
    title="The first epoch trains in the mode it was found in",
    why="`train()` is called after each epoch, so the first one runs in the mode in which the model came. A model that "
    "was loaded or evaluated before comes in eval mode.",
    next="Say which mode it is before the training batches.",
    link="two-switches",
    shows="training batches run in training mode",
)
def switched_on_afterwards(
    model, loss_fn, optimizer, train_batches, validation_batches, epochs, schedule=None
):
    history = []
    for _ in range(epochs):
        total, count = 0.0, 0
        for inputs, targets in train_batches:
            total += train_step(model, loss_fn, optimizer, inputs, targets) * len(inputs)
            count += len(inputs)
            if schedule is not None:
                schedule.step()
        history.append((total / count, evaluate(model, loss_fn, validation_batches)))
        model.train()
    return history


@fit.misconception(
    title="Read the validation batches once and kept them",
    why="Kept in a list, all of them stay in memory, and a loader that is meant to give them anew in every epoch is asked"
    " once.",
    next="Give `evaluate` the batches as they came, in every epoch.",
    link="training-and-validation",
    shows="the number of times that the validation batches are read",
)
def kept_the_validation_batches(
    model, loss_fn, optimizer, train_batches, validation_batches, epochs, schedule=None
):
    history = []
    validation_batches = list(validation_batches)
    for _ in range(epochs):
        model.train()
        total, count = 0.0, 0
        for inputs, targets in train_batches:
            total += train_step(model, loss_fn, optimizer, inputs, targets) * len(inputs)
            count += len(inputs)
            if schedule is not None:
                schedule.step()
        history.append((total / count, evaluate(model, loss_fn, validation_batches)))
    return history


@fit.misconception(
    title="Validated after every batch",
    why="Once per epoch was asked for, after its training batches. A measurement after each of them costs many times "
    "more, and all but the last one are thrown away.",
    next="Move the evaluation out of the loop over the batches.",
    link="training-and-validation",
    shows="the number of times that the validation batches are read",
)
def validated_after_every_batch(
    model, loss_fn, optimizer, train_batches, validation_batches, epochs, schedule=None
):
    history = []
    for _ in range(epochs):
        model.train()
        total, count = 0.0, 0
        for inputs, targets in train_batches:
            total += train_step(model, loss_fn, optimizer, inputs, targets) * len(inputs)
            count += len(inputs)
            if schedule is not None:
                schedule.step()
            validation_loss = evaluate(model, loss_fn, validation_batches)
        history.append((total / count, validation_loss))
    return history


@fit.misconception(
    title="Trained with an optimizer of its own",
    why="A new optimizer has settings and a memory of its own. The one that came in, with the learning rate that was "
    "chosen and the schedule that belongs to it, never takes a step.",
    next="Use the optimizer that comes in.",
    link="what-the-optimizer-does",
)
def made_an_optimizer_for_fit(
    model, loss_fn, optimizer, train_batches, validation_batches, epochs, schedule=None
):
    history = []
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(epochs):
        model.train()
        total, count = 0.0, 0
        for inputs, targets in train_batches:
            total += train_step(model, loss_fn, optimizer, inputs, targets) * len(inputs)
            count += len(inputs)
            if schedule is not None:
                schedule.step()
        history.append((total / count, evaluate(model, loss_fn, validation_batches)))
    return history


@fit.misconception(
    title="The function returns nothing",
    why="The model is trained, and its history is forgotten: without `return` a function gives None.",
    next="Return the history.",
    link="training-and-validation",
    shows="the history",
)
def history_lost(
    model, loss_fn, optimizer, train_batches, validation_batches, epochs, schedule=None
):
    history = []
    for _ in range(epochs):
        model.train()
        total, count = 0.0, 0
        for inputs, targets in train_batches:
            total += train_step(model, loss_fn, optimizer, inputs, targets) * len(inputs)
            count += len(inputs)
            if schedule is not None:
                schedule.step()
        history.append((total / count, evaluate(model, loss_fn, validation_batches)))


@fit.misconception(
    title="One epoch too many",
    why="`range(epochs)` counts from 0 to epochs - 1, which are `epochs` rounds. Counted to `epochs` itself, it is one round more: the "
    "training is longer than asked for, and so is the history.",
    next="Go through `epochs` rounds.",
    link="training-and-validation",
    shows=READINGS,
)
def one_epoch_too_many(
    model, loss_fn, optimizer, train_batches, validation_batches, epochs, schedule=None
):
    history = []
    for _ in range(epochs + 1):
        model.train()
        total, count = 0.0, 0
        for inputs, targets in train_batches:
            total += train_step(model, loss_fn, optimizer, inputs, targets) * len(inputs)
            count += len(inputs)
            if schedule is not None:
                schedule.step()
        history.append((total / count, evaluate(model, loss_fn, validation_batches)))
    return history


@fit.misconception(
    title="One epoch too few",
    why="`range(1, epochs)` and `range(epochs - 1)` have a round less than `epochs`: the training is shorter than asked for, and so is "
    "the history.",
    next="`range(epochs)` gives `epochs` rounds.",
    link="training-and-validation",
    shows=READINGS,
)
def one_epoch_too_few(
    model, loss_fn, optimizer, train_batches, validation_batches, epochs, schedule=None
):
    history = []
    for _ in range(1, epochs):
        model.train()
        total, count = 0.0, 0
        for inputs, targets in train_batches:
            total += train_step(model, loss_fn, optimizer, inputs, targets) * len(inputs)
            count += len(inputs)
            if schedule is not None:
                schedule.step()
        history.append((total / count, evaluate(model, loss_fn, validation_batches)))
    return history


@fit.misconception(
    title="Only the last epoch is left in the history",
    why="An empty list that is made inside the loop is made anew in every epoch, and the pairs of all epochs before are lost.",
    next="Begin the history once, before the epochs, and return all of it.",
    link="training-and-validation",
    shows=ENTRIES,
)
def begun_anew(model, loss_fn, optimizer, train_batches, validation_batches, epochs, schedule=None):
    for _ in range(epochs):
        history = []
        model.train()
        total, count = 0.0, 0
        for inputs, targets in train_batches:
            total += train_step(model, loss_fn, optimizer, inputs, targets) * len(inputs)
            count += len(inputs)
            if schedule is not None:
                schedule.step()
        history.append((total / count, evaluate(model, loss_fn, validation_batches)))
    return history


@fit.misconception(
    title="A pair for every batch",
    why="The line that appends stands in the loop over the batches, so the history grows with each of them. One pair per epoch was "
    "asked for, when all its batches have been seen.",
    next="Move the line out of the loop over the batches.",
    link="training-and-validation",
    shows=ENTRIES,
)
def a_pair_per_batch(
    model, loss_fn, optimizer, train_batches, validation_batches, epochs, schedule=None
):
    history = []
    for _ in range(epochs):
        model.train()
        total, count = 0.0, 0
        for inputs, targets in train_batches:
            total += train_step(model, loss_fn, optimizer, inputs, targets) * len(inputs)
            count += len(inputs)
            if schedule is not None:
                schedule.step()
            history.append((total / count, evaluate(model, loss_fn, validation_batches)))
    return history


@fit.misconception(
    title="Read the training batches once more than there are epochs",
    why="Looking at the batches before the first epoch, to count them for example, or reading ahead is a reading, too: it costs as much "
    "as loading all the data again.",
    next="Count the examples while you train on them.",
    link="training-and-validation",
    shows=READINGS,
)
def counted_before_the_first_epoch(
    model, loss_fn, optimizer, train_batches, validation_batches, epochs, schedule=None
):
    history, size = [], sum(len(inputs) for inputs, _ in train_batches)
    for _ in range(epochs):
        model.train()
        total = 0.0
        for inputs, targets in train_batches:
            total += train_step(model, loss_fn, optimizer, inputs, targets) * len(inputs)
            if schedule is not None:
                schedule.step()
        history.append((total / size, evaluate(model, loss_fn, validation_batches)))
    return history


@fit.misconception(
    title="A new optimizer for every step",
    why="A new optimizer has an empty memory and settings of its own. The one that came in never takes a step. If `fit` calls your "
    "`train_step`, the mistake is there.",
    next="Run the check of `train_step`; or use the optimizer that comes in, if the lines stand here.",
    link="what-the-optimizer-does",
    shows=BY_OPTIMIZER,
)
@among(train_step=made_an_optimizer)
def with_a_new_optimizer_for_every_step(
    model, loss_fn, optimizer, train_batches, validation_batches, epochs, schedule=None
):
    history = []
    for _ in range(epochs):
        model.train()
        total, count = 0.0, 0
        for inputs, targets in train_batches:
            total += train_step(model, loss_fn, optimizer, inputs, targets) * len(inputs)
            count += len(inputs)
            if schedule is not None:
                schedule.step()
        history.append((total / count, evaluate(model, loss_fn, validation_batches)))
    return history


@fit.misconception(
    title="Stepped by hand instead of with the optimizer",
    why="Which rule is used, and at which rate, is the optimizer's business: it may be momentum or Adam, and a schedule may change its "
    "rate. If `fit` calls your `train_step`, the mistake is there.",
    next="Run the check of `train_step`; or let `optimizer` take the step, if the lines stand here.",
    link="what-the-optimizer-does",
    shows=BY_OPTIMIZER,
)
@among(train_step=stepped_by_hand)
def with_a_step_by_hand(
    model, loss_fn, optimizer, train_batches, validation_batches, epochs, schedule=None
):
    history = []
    for _ in range(epochs):
        model.train()
        total, count = 0.0, 0
        for inputs, targets in train_batches:
            total += train_step(model, loss_fn, optimizer, inputs, targets) * len(inputs)
            count += len(inputs)
            if schedule is not None:
                schedule.step()
        history.append((total / count, evaluate(model, loss_fn, validation_batches)))
    return history


# Two more tools -----------------------------------------------------------------------------------


@exercise(
    level="supported",
    minutes=6,
    why="The gradients exist from backward on and are used by step, so they are clipped in between; `clip_grad_norm_` "
    "returns the norm that it found.",
    hints=(
        "It is your `train_step` with one more line. Between which two lines are the gradients ready and not yet used?",
        "`nn.utils.clip_grad_norm_(parameters, max_norm)` shortens all gradients together.",
        "It returns the norm as it was before, as a tensor.",
    ),
)
def clipped_step(model: nn.Module, loss_fn, optimizer, inputs, targets, max_norm: float) -> float:
    """Do one update on one batch, with a gradient that is never longer than `max_norm`.

    All gradients of the model together are one long vector. If its length exceeds `max_norm`, it is
    scaled down to that length; its direction stays. A shorter one is left alone; none is of length
    0 here. The first five arguments are those of `train_step`; the optimizer has all of the model's
    parameters here, maybe in several groups, each with settings of its own. Frozen parameters have
    no gradient, get none, and are no part of the vector.

    Returns the length before any scaling, as a Python float.
    """
    # solution:
    optimizer.zero_grad()
    loss_fn(model(inputs), targets).backward()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return norm.item()
    # end solution


@clipped_step.drive
def three_clipped_steps(answer, model, loss_fn, optimizer, inputs, targets, max_norm):
    lengths, seen, ran = {}, {}, []
    modes = modes_of(model)
    model.register_forward_hook(lambda *_: ran.append(modes_of(model)))
    with Steps(model, optimizer) as steps:
        for number, batch in enumerate(cut(inputs, targets, 3), start=1):
            length = answer(model, loss_fn, optimizer, *batch, max_norm)
            lengths[f"the length of gradient {number}"] = length
            # in float32, because PyTorch adds 1e-6 to the length before it divides by it
            moved = {name: p.float() for name, p in parameters_of(model).items()}
            seen[f"the parameters after step {number}, to float32's digits"] = moved
    left = gradients_of(model)
    return steps.observed(
        **seen,
        **statistics_of(model),
        **{
            "the model runs in the mode in which it came": all(mode == modes for mode in ran),
            "the model is in its old mode afterwards": modes_of(model) == modes,
        },
        **lengths,
        **kind_of(*lengths.values()),
        **{
            "how often the optimizer stepped": Extra(len(steps.after)),
            "the gradient that is left is within the limit": Extra(
                None if left is None else bool(left.norm() <= 1.001 * max_norm)
            ),
        },
    )


@clipped_step.probe
def a_steep_line(g):
    model = line(g)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    targets = 20 + 10 * numbers(g, 7, 1)
    return model, nn.MSELoss(), optimizer, numbers(g, 7, 1), targets, 0.5


@clipped_step.probe
def two_layers(g):  # where each parameter clipped by itself differs from all together
    model = fill(nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)), g)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    targets = 30 + numbers(g, 8, 1)
    return model, nn.MSELoss(), optimizer, numbers(g, 8, 2), targets, 2.0


@clipped_step.probe
def short_enough(g):  # nothing to clip: a gradient must not be made longer
    model = fill(nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 2)), g)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    return model, nn.CrossEntropyLoss(), optimizer, numbers(g, 9, 2), classes_of(g, 9, 2), 1000.0


def weighted_mean(outputs, targets):
    """Compute a loss whose gradient is known: the targets are the slopes at the outputs."""
    return (outputs * targets).mean()


@clipped_step.probe
def near_the_limit(g):  # gradients of length 1.5, 2.1 and 1.9, in float32
    model = line(g).float()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
    inputs = torch.full((9, 1), -0.75)  # so that a slope of 1 is a gradient of length 1.25
    targets = torch.tensor([1.2, 1.68, 1.52]).repeat_interleave(3)[:, None]
    return model, weighted_mean, optimizer, inputs, targets, 2.0


@clipped_step.probe
def two_groups(
    g,
):  # a frozen layer, which must not decay, a dropout in eval mode, two learning rates
    model = classifier(g)
    model[0].requires_grad_(False)
    model[3].eval()
    early, late = [*model[0].parameters(), *model[1].parameters()], model[4].parameters()
    groups = [{"params": early, "weight_decay": 0.3}, {"params": late, "lr": 0.4}]
    optimizer = torch.optim.SGD(groups, lr=0.2)
    return model, nn.CrossEntropyLoss(), optimizer, numbers(g, 8, 2), classes_of(g, 8), 0.05


@clipped_step.alternative("By hand: measure all of it, then scale all of it.")
def clipped_by_hand(model, loss_fn, optimizer, inputs, targets, max_norm):
    optimizer.zero_grad()
    loss_fn(model(inputs), targets).backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    norm = torch.cat([gradient.flatten() for gradient in gradients]).norm().item()
    if norm > max_norm:
        for gradient in gradients:
            gradient *= max_norm / norm
    optimizer.step()
    return norm


@clipped_step.alternative("Measuring and scaling in two calls, and clearing last.")
def measured_then_clipped(model, loss_fn, optimizer, inputs, targets, max_norm):
    loss_fn(model(inputs), targets).backward()
    norm = sum((p.grad**2).sum() for p in model.parameters() if p.grad is not None).sqrt()
    torch.nn.utils.clip_grad_norm_(list(model.parameters()), max_norm=max_norm)
    optimizer.step()
    optimizer.zero_grad()
    return float(norm)


@clipped_step.alternative(
    "The optimizer's parameters, all groups of them: here they are all the model's."
)
def through_the_optimizer(model, loss_fn, optimizer, inputs, targets, max_norm):
    optimizer.zero_grad()
    loss_fn(model(inputs), targets).backward()
    trained = [p for group in optimizer.param_groups for p in group["params"]]
    norm = nn.utils.clip_grad_norm_(trained, max_norm)
    optimizer.step()
    return norm.tolist()


@clipped_step.misconception(
    title="Clipped after the step",
    why="The step has been taken, with the gradient in its full length. Shortening it afterwards changes nothing but a "
    "number that nobody reads.",
    next="Clip before the optimizer steps.",
    link="gradient-clipping",
)
def clipped_after_the_step(model, loss_fn, optimizer, inputs, targets, max_norm):
    optimizer.zero_grad()
    loss_fn(model(inputs), targets).backward()
    optimizer.step()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    return norm.item()


@clipped_step.misconception(
    title="There was nothing to clip",
    why="The length that was found is 0: what was given to the clipping had no gradients. Between the clearing and backward no "
    "parameter has one, and a copy of a parameter never has. The step then uses the gradients in their full length.",
    next="Clip the parameters themselves, after backward.",
    link="gradient-clipping",
    shows="the length of gradient 1",
)
def clipped_before_backward(model, loss_fn, optimizer, inputs, targets, max_norm):
    optimizer.zero_grad()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    loss_fn(model(inputs), targets).backward()
    optimizer.step()
    return norm.item()


@clipped_step.misconception(
    title="Clipped every number by itself",
    why="`clip_grad_value_` cuts each element at a limit. Large elements shrink and small ones stay, so the gradient points "
    "elsewhere afterwards.",
    next="Shorten the whole vector: there is a function with norm in its name.",
    link="gradient-clipping",
)
def clipped_by_value(model, loss_fn, optimizer, inputs, targets, max_norm):
    optimizer.zero_grad()
    loss_fn(model(inputs), targets).backward()
    norm = gradients_of(model).norm()
    nn.utils.clip_grad_value_(model.parameters(), max_norm)
    optimizer.step()
    return norm.item()


@clipped_step.misconception(
    title="Clipped each parameter by itself",
    why="Each tensor is shortened by a factor of its own, so the layers' shares in the step change. And together they can "
    "still be longer than the limit.",
    next="One call for all the parameters.",
    link="gradient-clipping",
)
def clipped_one_by_one(model, loss_fn, optimizer, inputs, targets, max_norm):
    optimizer.zero_grad()
    loss_fn(model(inputs), targets).backward()
    norms = [nn.utils.clip_grad_norm_(p, max_norm) for p in model.parameters()]
    optimizer.step()
    return torch.stack(norms).norm().item()


@clipped_step.misconception(
    title="Always scaled to the limit",
    why="A gradient that is shorter than the limit was made longer. Near a minimum gradients shrink, and that is how "
    "training comes to rest.",
    next="Scale only if the length exceeds `max_norm`.",
    link="gradient-clipping",
)
def always_scaled(model, loss_fn, optimizer, inputs, targets, max_norm):
    optimizer.zero_grad()
    loss_fn(model(inputs), targets).backward()
    norm = gradients_of(model).norm()
    for parameter in model.parameters():
        if parameter.grad is not None:
            parameter.grad *= max_norm / norm
    optimizer.step()
    return norm.item()


@clipped_step.misconception(
    title="Returned the loss",
    why="That is what `train_step` returns. Here the length of the gradient was asked for, since it tells you whether the "
    "limit is ever reached.",
    next="`clip_grad_norm_` returns the length that it found.",
    link="gradient-clipping",
)
def returned_the_loss(model, loss_fn, optimizer, inputs, targets, max_norm):
    optimizer.zero_grad()
    loss = loss_fn(model(inputs), targets)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return loss.item()


@clipped_step.misconception(
    title="Clipped the parameters instead of their gradients",
    why="Cutting or scaling the parameters throws away what they have learned. The step is what should not be too long.",
    next="`clip_grad_norm_` works on the `.grad` of what you give it.",
    link="gradient-clipping",
)
def clipped_the_parameters(model, loss_fn, optimizer, inputs, targets, max_norm):
    optimizer.zero_grad()
    loss_fn(model(inputs), targets).backward()
    norm = gradients_of(model).norm()
    optimizer.step()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.clamp_(-max_norm, max_norm)
    return norm.item()


@clipped_step.misconception(
    title="Returned the length after clipping",
    why="After clipping, the length is at most `max_norm`, whatever it was. Only the length before tells you how often the "
    "limit is reached.",
    next="Keep what `clip_grad_norm_` returns.",
    link="gradient-clipping",
    shows="the length of gradient 1",
)
def length_after_clipping(model, loss_fn, optimizer, inputs, targets, max_norm):
    optimizer.zero_grad()
    loss_fn(model(inputs), targets).backward()
    nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return norm.item()


@clipped_step.misconception(
    title="Returned a tensor",
    why="`clip_grad_norm_` returns the length as a tensor. A Python float was asked for.",
    next="`.item()` takes the number out.",
    link="numbers-without-graphs",
    shows="the length of gradient 1",
)
def length_as_a_tensor(model, loss_fn, optimizer, inputs, targets, max_norm):
    optimizer.zero_grad()
    loss_fn(model(inputs), targets).backward()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return norm


@clipped_step.misconception(
    title="The gradients were never cleared",
    why="`backward` adds to what is in `.grad`, here to the clipped gradient of the step before.",
    next="Clear the gradients once per batch, anywhere but between backward and step.",
    link="the-order-of-the-lines",
)
def clipped_but_not_cleared(model, loss_fn, optimizer, inputs, targets, max_norm):
    loss_fn(model(inputs), targets).backward()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return norm.item()


@clipped_step.misconception(
    title="The limit is written into the function",
    why="`max_norm` is an argument, and is not used: the gradient is cut to 1, whatever was asked for.",
    next="Pass `max_norm` on.",
    link="gradient-clipping",
)
def limit_of_one(model, loss_fn, optimizer, inputs, targets, max_norm):
    optimizer.zero_grad()
    loss_fn(model(inputs), targets).backward()
    norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return norm.item()


@clipped_step.misconception(
    title="Measured the gradient and did not shorten it",
    why="The length is right, and the step was taken with the gradient as it was. A list that is read only once has the "
    "same effect: `model.parameters()`, kept in a variable and used up by the measuring, gives `clip_grad_norm_` "
    "nothing.",
    next="The gradients themselves must become shorter before the step.",
    link="gradient-clipping",
)
def never_clipped(model, loss_fn, optimizer, inputs, targets, max_norm):
    optimizer.zero_grad()
    loss_fn(model(inputs), targets).backward()
    norm = gradients_of(model).norm()
    optimizer.step()
    return norm.item()


@clipped_step.misconception(
    title="The optimizer never stepped",
    why="The gradients are clipped and ready, and nobody uses them. The parameters move when the optimizer's `step` is "
    "called.",
    next="After clipping, let the optimizer take its step.",
    link="the-five-lines",
)
def clipped_and_never_stepped(model, loss_fn, optimizer, inputs, targets, max_norm):
    optimizer.zero_grad()
    loss_fn(model(inputs), targets).backward()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    return norm.item()


@clipped_step.misconception(
    title="Cleared the gradients before the step",
    why="`backward` has filled them in, clipping has shortened them, `zero_grad` throws them away, and `step` finds "
    "nothing to follow.",
    next="Between backward and step the gradients must stay.",
    link="the-order-of-the-lines",
)
def clipped_and_cleared(model, loss_fn, optimizer, inputs, targets, max_norm):
    loss_fn(model(inputs), targets).backward()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.zero_grad()
    optimizer.step()
    return norm.item()


@clipped_step.misconception(
    title="Only the optimizer's first group of parameters",
    why="An optimizer may hold its parameters in several groups, each with a learning rate of its own. What stands in "
    "`param_groups[0]` is then a part of the gradient, and the rest keeps its length.",
    next="Clip the gradients of the whole model.",
    link="gradient-clipping",
)
def first_group_only(model, loss_fn, optimizer, inputs, targets, max_norm):
    optimizer.zero_grad()
    loss_fn(model(inputs), targets).backward()
    norm = nn.utils.clip_grad_norm_(optimizer.param_groups[0]["params"], max_norm)
    optimizer.step()
    return norm.item()


@clipped_step.misconception(
    title="Switched to training mode",
    why="`train()` switches on every dropout and lets every BatchNorm learn, also those that somebody has frozen in eval "
    "mode on purpose.",
    next="Leave the mode to the caller.",
    link="two-switches",
)
def clipped_in_training_mode(model, loss_fn, optimizer, inputs, targets, max_norm):
    model.train()
    optimizer.zero_grad()
    loss_fn(model(inputs), targets).backward()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return norm.item()


@clipped_step.misconception(
    title="The function returns nothing",
    why="The update is done, and the length that was found is forgotten: without `return` a function gives None.",
    next="Return the length as a number.",
    link="gradient-clipping",
    shows="the length of gradient 1",
)
def length_lost(model, loss_fn, optimizer, inputs, targets, max_norm):
    optimizer.zero_grad()
    loss_fn(model(inputs), targets).backward()
    nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()


@clipped_step.misconception(
    title="Frozen parameters got a gradient of zeros",
    why="An optimizer leaves a parameter alone when its `.grad` is None. Zeros are a gradient: weight decay and momentum then "
    "move the parameter, though it was frozen.",
    next="Leave parameters without a gradient out.",
    link="what-the-optimizer-does",
)
def zeros_for_the_frozen_ones(model, loss_fn, optimizer, inputs, targets, max_norm):
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    loss_fn(model(inputs), targets).backward()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return norm.item()


@clipped_step.misconception(
    title="Never went backward",
    why="Nobody asked for gradients. The length that is found is 0, `step` finds nothing to follow, and the parameters never move.",
    next="Go backward before you clip.",
    link="the-five-lines",
    shows="the length of gradient 1",
)
def clipped_without_backward(model, loss_fn, optimizer, inputs, targets, max_norm):
    optimizer.zero_grad()
    loss_fn(model(inputs), targets)
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return norm.item()


@clipped_step.misconception(
    title="The length is still squared",
    why="The squares of all elements were added up, and the root was not taken. The gradient is then shortened by the "
    "wrong factor, or what is returned is another number than the length.",
    next="A length is the root of a sum of squares.",
    link="gradient-clipping",
    shows="the length of gradient 1",
)
def squared_length(model, loss_fn, optimizer, inputs, targets, max_norm):
    optimizer.zero_grad()
    loss_fn(model(inputs), targets).backward()
    norm = gradients_of(model).norm()
    nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return norm.item() ** 2


# The bug clinic -----------------------------------------------------------------------------------


@exercise(
    level="clinic",
    minutes=8,
    why="Every batch's gradient must stand alone in `.grad` when the step is taken, so every batch clears.",
    hints=(
        "Print the length of the gradient after each `backward()`, over one epoch. What does it do within the epoch?",
        "How often is the clearing line run, and how often is `backward()`?",
        "The line is right; it stands one level too far to the left.",
    ),
)
def train_in_batches(model, loss_fn, optimizer, batches, epochs):
    """Train for some epochs, and return each epoch's mean loss over all its examples.

    Every batch runs in training mode and moves the parameters along its own gradient, and along
    nothing else. When the training begins, no parameter has a gradient yet.

    batches: gives pairs (inputs, targets), of any sizes, and is read once per epoch.
    Returns a list of `epochs` floats; each batch's loss is the one before its update.
    """
    losses = []
    for _ in range(epochs):  # one pass over the data each
        model.train()
        loss_sum, examples = 0.0, 0
        for inputs, targets in batches:  # a short last one, too
            optimizer.zero_grad()  # or these gradients add to the last ones
            loss = loss_fn(model(inputs), targets)
            loss.backward()
            optimizer.step()
            loss_sum += loss.item() * len(inputs)
            examples += len(inputs)
        losses.append(loss_sum / examples)
    return losses


READ = "how often the batches are read"


@train_in_batches.drive
def train_and_compare(answer, model, loss_fn, optimizer, batches, epochs):
    ran = []
    model.register_forward_hook(lambda *_: ran.append(all(modes_of(model))))
    with Steps(model, optimizer) as steps:
        losses = answer(model, loss_fn, optimizer, batches, epochs)
    after, listed = steps.after, as_a_list("the list of losses", losses, epochs)
    if batches.readings != epochs:  # and now nothing else is as it should be
        return {
            BY_OPTIMIZER: not steps.passed_over(),
            READ: times(batches.readings, epochs),
            "every batch runs in training mode": all(ran),
            "the number of steps": len(after),
            "how often the model runs": len(ran),
            "how many entries": listed[ENTRIES],
        }
    return steps.observed(
        **{
            READ: times(batches.readings, epochs),
            "the parameters after the first batch": after[0] if after else None,
            "the parameters after the second batch": after[1] if len(after) > 1 else None,
            "the parameters in the end": parameters_of(model),
            "every batch runs in training mode": all(ran),
        },
        **statistics_of(model),
        **listed,
        **{
            "how often the optimizer stepped": Extra(len(after)),
            "the gradients afterwards": Extra(gradients_of(model)),
        },
    )


@train_in_batches.probe
def a_line_in_batches(g):
    model = line(g)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    batches = Readings(cut(numbers(g, 7, 1), numbers(g, 7, 1), 3))
    return model, nn.MSELoss(), optimizer, batches, 2


@train_in_batches.probe
def a_network_with_momentum(g):
    model = classifier(g).eval()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.9)
    batches = Readings(cut(numbers(g, 10, 2), classes_of(g, 10), 4))
    return model, nn.CrossEntropyLoss(), optimizer, batches, 3


@train_in_batches.probe
def a_network_with_adam(g):
    model = classifier(g, classes=2)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    batches = Readings(cut(numbers(g, 8, 2), classes_of(g, 8, 2), 3))
    return model, nn.CrossEntropyLoss(), optimizer, batches, 2


@train_in_batches.alternative("Right before backward is as good a place.")
def cleared_before_backward(model, loss_fn, optimizer, batches, epochs):
    losses = []
    for _ in range(epochs):  # one pass over the data each
        model.train()
        loss_sum, examples = 0.0, 0
        for inputs, targets in batches:  # a short last one, too
            loss = loss_fn(model(inputs), targets)
            model.zero_grad()
            loss.backward()
            optimizer.step()
            loss_sum += loss.item() * len(inputs)
            examples += len(inputs)
        losses.append(loss_sum / examples)
    return losses


@train_in_batches.alternative("Once before everything, and then after every step.")
def cleared_after_every_step(model, loss_fn, optimizer, batches, epochs):
    losses = []
    optimizer.zero_grad()
    for _ in range(epochs):  # one pass over the data each
        model.train()
        loss_sum, examples = 0.0, 0
        for inputs, targets in batches:  # a short last one, too
            loss = loss_fn(model(inputs), targets)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            loss_sum += loss.item() * len(inputs)
            examples += len(inputs)
        losses.append(loss_sum / examples)
    return losses


@train_in_batches.alternative("Your own `train_step` does the clearing.")
def with_train_step(model, loss_fn, optimizer, batches, epochs):
    losses = []
    for _ in range(epochs):  # one pass over the data each
        model.train()
        sums = [
            (
                train_step.reference(model, loss_fn, optimizer, inputs, targets) * len(inputs),
                len(inputs),
            )
            for inputs, targets in batches
        ]
        losses.append(sum(loss for loss, _ in sums) / sum(size for _, size in sums))
    return losses


@train_in_batches.misconception(
    title="The gradients are cleared once per epoch",
    why="With one batch per epoch, as long as the data fitted into one, that was right. With several, each batch's gradient "
    "is added to those of the batches before it, so the step of the last batch follows their sum. The loss still goes "
    "down, only not by the method that you think.",
    next="Clear as often as you go backward.",
    link="bug-clinic",
    shows="the parameters after the second batch",
    starter=True,
)
def cleared_once_per_epoch(model, loss_fn, optimizer, batches, epochs):
    losses = []
    for _ in range(epochs):  # one pass over the data each
        model.train()
        optimizer.zero_grad()  # or these gradients add to the last ones
        loss_sum, examples = 0.0, 0
        for inputs, targets in batches:  # a short last one, too
            loss = loss_fn(model(inputs), targets)
            loss.backward()
            optimizer.step()
            loss_sum += loss.item() * len(inputs)
            examples += len(inputs)
        losses.append(loss_sum / examples)
    return losses


@train_in_batches.misconception(
    title="Now the gradients are cleared before they are used",
    why="The line is in the right loop and on the wrong side of `step()`: what backward has computed is thrown away, and the "
    "parameters never move.",
    next="Anywhere in the inner loop, but not between backward and step.",
    link="the-order-of-the-lines",
)
def moved_too_far(model, loss_fn, optimizer, batches, epochs):
    losses = []
    for _ in range(epochs):  # one pass over the data each
        model.train()
        loss_sum, examples = 0.0, 0
        for inputs, targets in batches:  # a short last one, too
            loss = loss_fn(model(inputs), targets)
            loss.backward()
            optimizer.zero_grad()
            optimizer.step()
            loss_sum += loss.item() * len(inputs)
            examples += len(inputs)
        losses.append(loss_sum / examples)
    return losses


@train_in_batches.misconception(
    title="Now the gradients pile up from epoch to epoch",
    why="Nothing clears any more while the training runs, so the gradients of all batches of all epochs add up in `.grad`.",
    next="Clear for every batch: in the inner loop, with the brackets of a call.",
    link="the-order-of-the-lines",
)
def took_the_line_out(model, loss_fn, optimizer, batches, epochs):
    losses = []
    for _ in range(epochs):  # one pass over the data each
        model.train()
        loss_sum, examples = 0.0, 0
        for inputs, targets in batches:  # a short last one, too
            loss = loss_fn(model(inputs), targets)
            loss.backward()
            optimizer.step()
            loss_sum += loss.item() * len(inputs)
            examples += len(inputs)
        losses.append(loss_sum / examples)
    return losses


@train_in_batches.misconception(
    title="Now there is one step per epoch",
    why="With the step in the outer loop, the sum of all gradients is used once. The pile-up is gone, and so are the batches: "
    "this is one long step per epoch.",
    next="Leave `step()` where it was, and move the other line.",
    link="bug-clinic",
    shows="the parameters in the end",
)
def stepped_once_per_epoch(model, loss_fn, optimizer, batches, epochs):
    losses = []
    for _ in range(epochs):  # one pass over the data each
        model.train()
        optimizer.zero_grad()
        loss_sum, examples = 0.0, 0
        for inputs, targets in batches:  # a short last one, too
            loss = loss_fn(model(inputs), targets)
            loss.backward()
            loss_sum += loss.item() * len(inputs)
            examples += len(inputs)
        optimizer.step()
        losses.append(loss_sum / examples)
    return losses


@train_in_batches.misconception(
    title="Now the step comes before backward, on cleared gradients",
    why="What backward computes after the step is cleared before the next step sees it: each step finds empty gradients, and the "
    "parameters never move.",
    next="Backward belongs between clearing and stepping.",
    link="the-order-of-the-lines",
)
def backward_moved_too(model, loss_fn, optimizer, batches, epochs):
    losses = []
    for _ in range(epochs):  # one pass over the data each
        model.train()
        loss_sum, examples = 0.0, 0
        for inputs, targets in batches:  # a short last one, too
            optimizer.zero_grad()
            loss = loss_fn(model(inputs), targets)
            optimizer.step()
            loss.backward()
            loss_sum += loss.item() * len(inputs)
            examples += len(inputs)
        losses.append(loss_sum / examples)
    return losses


@train_in_batches.misconception(
    title="A new optimizer for every batch",
    why="The gradients are cleared now, and the optimizer's memory with them: no velocity and no averages outlive a batch, "
    "and the settings that were chosen are lost.",
    next="Keep the optimizer, and let it clear.",
    link="what-the-optimizer-does",
)
def a_new_optimizer(model, loss_fn, optimizer, batches, epochs):
    losses = []
    for _ in range(epochs):  # one pass over the data each
        model.train()
        loss_sum, examples = 0.0, 0
        for inputs, targets in batches:  # a short last one, too
            optimizer = type(optimizer)(model.parameters(), lr=optimizer.param_groups[0]["lr"])
            optimizer.zero_grad()  # or these gradients add to the last ones
            loss = loss_fn(model(inputs), targets)
            loss.backward()
            optimizer.step()
            loss_sum += loss.item() * len(inputs)
            examples += len(inputs)
        losses.append(loss_sum / examples)
    return losses


@train_in_batches.misconception(
    title="The loss is now a mean of means",
    why="Every batch counts the same, also the short last one. The loop weighted them by their size, and that was right.",
    next="Leave the weighting as it was.",
    link="every-example-counts-the-same",
    shows="the list of losses",
)
def unweighted_losses(model, loss_fn, optimizer, batches, epochs):
    losses = []
    for _ in range(epochs):  # one pass over the data each
        model.train()
        loss_sum, examples = 0.0, 0
        for inputs, targets in batches:  # a short last one, too
            optimizer.zero_grad()  # or these gradients add to the last ones
            loss = loss_fn(model(inputs), targets)
            loss.backward()
            optimizer.step()
            loss_sum += loss.item()
            examples += 1
        losses.append(loss_sum / examples)
    return losses


@train_in_batches.misconception(
    title="`model.train()` is gone",
    why="A model that comes in eval mode is then trained without dropout, and its BatchNorm does not look at the batches.",
    next="Leave the mode as it was set, at the start of every epoch.",
    link="two-switches",
    shows="every batch runs in training mode",
)
def lost_the_mode(model, loss_fn, optimizer, batches, epochs):
    losses = []
    for _ in range(epochs):  # one pass over the data each
        loss_sum, examples = 0.0, 0
        for inputs, targets in batches:  # a short last one, too
            optimizer.zero_grad()  # or these gradients add to the last ones
            loss = loss_fn(model(inputs), targets)
            loss.backward()
            optimizer.step()
            loss_sum += loss.item() * len(inputs)
            examples += len(inputs)
        losses.append(loss_sum / examples)
    return losses


@train_in_batches.misconception(
    title="The sums now run on from epoch to epoch",
    why="Set to 0 once, before all epochs, they make each entry a mean over everything so far. They began at 0 in every "
    "epoch, and that was right.",
    next="Leave the two sums where they were.",
    link="training-and-validation",
    shows="the list of losses",
)
def sums_run_on(model, loss_fn, optimizer, batches, epochs):
    losses = []
    loss_sum, examples = 0.0, 0
    for _ in range(epochs):  # one pass over the data each
        model.train()
        for inputs, targets in batches:  # a short last one, too
            optimizer.zero_grad()  # or these gradients add to the last ones
            loss = loss_fn(model(inputs), targets)
            loss.backward()
            optimizer.step()
            loss_sum += loss.item() * len(inputs)
            examples += len(inputs)
        losses.append(loss_sum / examples)
    return losses


@train_in_batches.misconception(
    title="The losses are now tensors",
    why="Without `.item()` the sum remembers how every loss was computed, and holds the graphs of the whole epoch. The "
    "loop took the numbers out, and that was right.",
    next="Leave `.item()` where it was.",
    link="numbers-without-graphs",
    shows=FLOATS,
)
def losses_as_tensors(model, loss_fn, optimizer, batches, epochs):
    losses = []
    for _ in range(epochs):  # one pass over the data each
        model.train()
        loss_sum, examples = 0.0, 0
        for inputs, targets in batches:  # a short last one, too
            optimizer.zero_grad()  # or these gradients add to the last ones
            loss = loss_fn(model(inputs), targets)
            loss.backward()
            optimizer.step()
            loss_sum += loss * len(inputs)
            examples += len(inputs)
        losses.append(loss_sum / examples)
    return losses


@train_in_batches.misconception(
    title="The losses are no longer weighted",
    why="Each loss is a mean already. Their sum, divided by the number of examples without having been weighted, comes "
    "out far too small.",
    next="Leave the weighting as it was.",
    link="every-example-counts-the-same",
    shows="the list of losses",
)
def divided_without_weights(model, loss_fn, optimizer, batches, epochs):
    losses = []
    for _ in range(epochs):  # one pass over the data each
        model.train()
        loss_sum, examples = 0.0, 0
        for inputs, targets in batches:  # a short last one, too
            optimizer.zero_grad()  # or these gradients add to the last ones
            loss = loss_fn(model(inputs), targets)
            loss.backward()
            optimizer.step()
            loss_sum += loss.item()
            examples += len(inputs)
        losses.append(loss_sum / examples)
    return losses


@train_in_batches.misconception(
    title="Read the batches once and kept them",
    why="A loader that shuffles gives a new order at every reading. Kept in a list, the first order is used in all epochs. The loop "
    "read them anew, and that was right.",
    next="Loop over `batches` itself, in every epoch.",
    link="training-and-validation",
    shows=READ,
)
def kept_in_a_list(model, loss_fn, optimizer, batches, epochs):
    losses = []
    batches = list(batches)
    for _ in range(epochs):  # one pass over the data each
        model.train()
        loss_sum, examples = 0.0, 0
        for inputs, targets in batches:  # a short last one, too
            optimizer.zero_grad()  # or these gradients add to the last ones
            loss = loss_fn(model(inputs), targets)
            loss.backward()
            optimizer.step()
            loss_sum += loss.item() * len(inputs)
            examples += len(inputs)
        losses.append(loss_sum / examples)
    return losses


@train_in_batches.misconception(
    title="Now the optimizer never steps",
    why="The parameters move when the optimizer's `step` is called, with its brackets. Here it is not, and they stay where they were.",
    next="Let the optimizer step after every backward, as it did.",
    link="the-five-lines",
)
def clinic_never_stepped(model, loss_fn, optimizer, batches, epochs):
    losses = []
    for _ in range(epochs):  # one pass over the data each
        model.train()
        loss_sum, examples = 0.0, 0
        for inputs, targets in batches:  # a short last one, too
            optimizer.zero_grad()  # or these gradients add to the last ones
            loss = loss_fn(model(inputs), targets)
            loss.backward()
            loss_sum += loss.item() * len(inputs)
            examples += len(inputs)
        losses.append(loss_sum / examples)
    return losses


@train_in_batches.misconception(
    title="Now nobody goes backward",
    why="The loss is computed, and nobody asks for its gradients. Every step finds none, and the parameters never move.",
    next="Go backward from the loss of every batch, as the loop did.",
    link="the-five-lines",
)
def clinic_never_backward(model, loss_fn, optimizer, batches, epochs):
    losses = []
    for _ in range(epochs):  # one pass over the data each
        model.train()
        loss_sum, examples = 0.0, 0
        for inputs, targets in batches:  # a short last one, too
            optimizer.zero_grad()  # or these gradients add to the last ones
            loss = loss_fn(model(inputs), targets)
            optimizer.step()
            loss_sum += loss.item() * len(inputs)
            examples += len(inputs)
        losses.append(loss_sum / examples)
    return losses


@train_in_batches.misconception(
    title="Now backward starts from a copy that has forgotten the model",
    why="`torch.tensor(…)` or `detach()` make a new tensor without a graph. Backward ends there, and no gradient reaches the "
    "parameters.",
    next="Go backward from the loss itself.",
    link="numbers-without-graphs",
)
def clinic_backward_from_a_copy(model, loss_fn, optimizer, batches, epochs):
    losses = []
    for _ in range(epochs):  # one pass over the data each
        model.train()
        loss_sum, examples = 0.0, 0
        for inputs, targets in batches:  # a short last one, too
            optimizer.zero_grad()  # or these gradients add to the last ones
            loss = torch.tensor(loss_fn(model(inputs), targets).item(), requires_grad=True)
            loss.backward()
            optimizer.step()
            loss_sum += loss.item() * len(inputs)
            examples += len(inputs)
        losses.append(loss_sum / examples)
    return losses


@train_in_batches.misconception(
    title="Now the step comes before backward",
    why="The step uses whatever gradients are there: none at first, then those of the batch before. Every batch moves the "
    "parameters one batch too late.",
    next="First the gradients, then the step.",
    link="the-order-of-the-lines",
)
def clinic_stepped_too_early(model, loss_fn, optimizer, batches, epochs):
    losses = []
    for _ in range(epochs):  # one pass over the data each
        model.train()
        loss_sum, examples = 0.0, 0
        for inputs, targets in batches:  # a short last one, too
            loss = loss_fn(model(inputs), targets)
            optimizer.step()
            optimizer.zero_grad()
            loss.backward()
            loss_sum += loss.item() * len(inputs)
            examples += len(inputs)
        losses.append(loss_sum / examples)
    return losses


@train_in_batches.misconception(
    title="Trained with an optimizer of its own",
    why="A new optimizer has settings and a memory of its own. The one that came in, with what was chosen for it, never takes a step.",
    next="Keep the optimizer that comes in, and let it clear.",
    link="what-the-optimizer-does",
)
def another_optimizer(model, loss_fn, optimizer, batches, epochs):
    losses = []
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(epochs):  # one pass over the data each
        model.train()
        loss_sum, examples = 0.0, 0
        for inputs, targets in batches:  # a short last one, too
            optimizer.zero_grad()  # or these gradients add to the last ones
            loss = loss_fn(model(inputs), targets)
            loss.backward()
            optimizer.step()
            loss_sum += loss.item() * len(inputs)
            examples += len(inputs)
        losses.append(loss_sum / examples)
    return losses


@train_in_batches.misconception(
    title="Now the steps are taken by hand",
    why="Subtracting a learning rate times the gradient is plain SGD, whatever the optimizer is. The one that came in, with its "
    "memory, never takes a step.",
    next="Keep the optimizer that comes in, and let it clear and step.",
    link="what-the-optimizer-does",
)
def clinic_stepped_by_hand(model, loss_fn, optimizer, batches, epochs):
    losses = []
    for _ in range(epochs):  # one pass over the data each
        model.train()
        loss_sum, examples = 0.0, 0
        for inputs, targets in batches:  # a short last one, too
            model.zero_grad()
            loss = loss_fn(model(inputs), targets)
            loss.backward()
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter -= 0.01 * parameter.grad
            loss_sum += loss.item() * len(inputs)
            examples += len(inputs)
        losses.append(loss_sum / examples)
    return losses


@train_in_batches.misconception(
    title="The losses are now measured after the updates",
    why="The model has moved by then, so these are other losses: they flatter, since each step was made for this very batch. And the "
    "model runs twice on every batch.",
    next="Take the number out of the loss that you go backward from, as the loop did.",
    link="the-five-lines",
    shows="the list of losses",
)
def clinic_loss_after_the_update(model, loss_fn, optimizer, batches, epochs):
    losses = []
    for _ in range(epochs):  # one pass over the data each
        model.train()
        loss_sum, examples = 0.0, 0
        for inputs, targets in batches:  # a short last one, too
            optimizer.zero_grad()  # or these gradients add to the last ones
            loss = loss_fn(model(inputs), targets)
            loss.backward()
            optimizer.step()
            loss_sum += loss_fn(model(inputs), targets).item() * len(inputs)
            examples += len(inputs)
        losses.append(loss_sum / examples)
    return losses


@train_in_batches.misconception(
    title="Now there is one epoch too many",
    why="`range(epochs)` counts from 0 to epochs - 1, which are `epochs` rounds. That was right.",
    next="Leave the outer loop as it was.",
    link="training-and-validation",
    shows=READ,
)
def clinic_one_epoch_more(model, loss_fn, optimizer, batches, epochs):
    losses = []
    for _ in range(epochs + 1):  # one pass over the data each
        model.train()
        loss_sum, examples = 0.0, 0
        for inputs, targets in batches:  # a short last one, too
            optimizer.zero_grad()  # or these gradients add to the last ones
            loss = loss_fn(model(inputs), targets)
            loss.backward()
            optimizer.step()
            loss_sum += loss.item() * len(inputs)
            examples += len(inputs)
        losses.append(loss_sum / examples)
    return losses


@train_in_batches.misconception(
    title="Now there is one epoch too few",
    why="`range(1, epochs)` and `range(epochs - 1)` have a round less than `epochs`, which was right.",
    next="Leave the outer loop as it was.",
    link="training-and-validation",
    shows=READ,
)
def clinic_one_epoch_less(model, loss_fn, optimizer, batches, epochs):
    losses = []
    for _ in range(1, epochs):  # one pass over the data each
        model.train()
        loss_sum, examples = 0.0, 0
        for inputs, targets in batches:  # a short last one, too
            optimizer.zero_grad()  # or these gradients add to the last ones
            loss = loss_fn(model(inputs), targets)
            loss.backward()
            optimizer.step()
            loss_sum += loss.item() * len(inputs)
            examples += len(inputs)
        losses.append(loss_sum / examples)
    return losses


@train_in_batches.misconception(
    title="Now it returns after the first epoch",
    why="The `return` stands inside the loop over the epochs, so the function ends with the first one.",
    next="Move the `return` out of the loop, where it was.",
    link="training-and-validation",
    shows=READ,
)
def clinic_returned_in_the_loop(model, loss_fn, optimizer, batches, epochs):
    losses = []
    for _ in range(epochs):  # one pass over the data each
        model.train()
        loss_sum, examples = 0.0, 0
        for inputs, targets in batches:  # a short last one, too
            optimizer.zero_grad()  # or these gradients add to the last ones
            loss = loss_fn(model(inputs), targets)
            loss.backward()
            optimizer.step()
            loss_sum += loss.item() * len(inputs)
            examples += len(inputs)
        losses.append(loss_sum / examples)
        return losses
    return None


@train_in_batches.misconception(
    title="Now there is an entry for every batch",
    why="The line that appends stands in the loop over the batches, so the list grows with each of them. One loss per epoch is due, "
    "over all its examples.",
    next="Move the line back, out of the loop over the batches.",
    link="training-and-validation",
    shows=ENTRIES,
)
def clinic_one_loss_per_batch(model, loss_fn, optimizer, batches, epochs):
    losses = []
    for _ in range(epochs):  # one pass over the data each
        model.train()
        loss_sum, examples = 0.0, 0
        for inputs, targets in batches:  # a short last one, too
            optimizer.zero_grad()  # or these gradients add to the last ones
            loss = loss_fn(model(inputs), targets)
            loss.backward()
            optimizer.step()
            loss_sum += loss.item() * len(inputs)
            examples += len(inputs)
            losses.append(loss_sum / examples)
    return losses


@train_in_batches.misconception(
    title="Now the function returns nothing",
    why="The model is trained, and its losses are forgotten: without `return` a function gives None.",
    next="Return the losses, as it did.",
    link="training-and-validation",
    shows=ENTRIES,
)
def clinic_returned_nothing(model, loss_fn, optimizer, batches, epochs):
    losses = []
    for _ in range(epochs):  # one pass over the data each
        model.train()
        loss_sum, examples = 0.0, 0
        for inputs, targets in batches:  # a short last one, too
            optimizer.zero_grad()  # or these gradients add to the last ones
            loss = loss_fn(model(inputs), targets)
            loss.backward()
            optimizer.step()
            loss_sum += loss.item() * len(inputs)
            examples += len(inputs)
        losses.append(loss_sum / examples)
