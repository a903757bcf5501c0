"""The local derivative of each common operation, in words, as a formula, and its forward again.

Autograd names a node after its operation: `MulBackward0` was a multiplication. A `Rule` says what
such a node does with the gradient that arrives. The numbers never come from here: they are what
PyTorch's own node returned. To add an operation, add one entry to `RULES`.

In a formula `{g}` is the arriving gradient, an input stands by the name PyTorch gives it (`{self}`,
`{other}`, ...), `{result}` is what the operation returned, `{N}` how many elements of the input share
one of the result, and the rest are facts of the node (`{n}`, an exponent).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Facts = Mapping[str, str]
Forward = Callable[..., Tensor]  # forward(node, shape of the result, *inputs)


@dataclass(frozen=True)
class Rule:
    """What a node does: its sign, its inputs by name, and the gradient it passes to each of them.

    `kept` are constants it saves beside its inputs; `hidden` is an input that is no edge of the node
    and that nothing saves (the 1 of `1 - x`); `forward` computes the operation once more; `invert`
    gives the second input from the result and the first. `facts` raises `LookupError` for a node
    whose settings the rule does not cover.
    """

    sign: str
    inputs: tuple[str, ...]
    passes: tuple[str, ...]
    because: str
    forward: Forward | None = None
    facts: Callable[[Any], Facts] = lambda node: {}
    kept: tuple[str, ...] = ()
    hidden: str | None = None
    invert: Callable[[Any, Tensor, Tensor], Tensor] | None = None


def rule_of(op: str) -> Rule | None:
    """Return the rule for `MulBackward0`: its own, or that of `MulBackward`; None without one."""
    return RULES.get(op) or RULES.get(re.sub(r"\d+$", "", op))


def plain_name(op: str) -> str:
    """Return `log softmax` for `LogSoftmaxBackward0`."""
    words = re.sub(r"Backward\d*$", "", op)
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", words).lower() or op


# Facts of a node ------------------------------------------------------------------------------


def signed(number: int) -> int:
    """Undo what the saved attributes do to a negative axis: -1 is read as 2**64 - 1."""
    return number - 2**64 if number >= 2**63 else number


def _axes(node: Any) -> tuple[int, ...]:
    saved = node._saved_dim
    axes = saved if isinstance(saved, (tuple, list)) else (saved,)
    return tuple(signed(axis) for axis in axes)


def _axis_facts(node: Any) -> Facts:
    axes = _axes(node) if getattr(node, "_saved_dim", None) is not None else ()
    word = "axis" if len(axes) == 1 else "axes"
    return {"axis": f" {word} {', '.join(map(str, axes))}" if axes else ""}


def _alpha(node: Any) -> Facts:
    return {"alpha": "" if node._saved_alpha == 1 else f" · {node._saved_alpha:g}"}


def _exponent(node: Any) -> Facts:
    n = node._saved_exponent
    less = n - 1
    power = {0: "", 1: " · {self}"}.get(less, f" · {{self}}^{less:g}")
    return {"n": f"{n:g}", "power": power}


def _base(node: Any) -> Facts:
    return {"base": f"{node._saved_self:g}" if not isinstance(node._saved_self, Tensor) else "base"}


def _reduction(node: Any) -> Facts:
    if (getattr(node, "_saved_weight", None), getattr(node, "_saved_pos_weight", None)) != (
        None,
    ) * 2:
        raise LookupError("weighted")
    return {"share": " / {N}" if node._saved_reduction == 1 else ""}


def _targets(node: Any) -> Facts:
    if node._saved_weight is not None:
        raise LookupError("weighted")
    count = float(node._saved_total_weight)
    return {"share": f" / {count:g}" if node._saved_reduction == 1 else ""}


def _norm(node: Any) -> Facts:
    if (node._saved_ord, node._saved_dim) != (2, None):
        raise LookupError("another norm")
    return {}


def _softplus(node: Any) -> Facts:
    if node._saved_beta != 1:
        raise LookupError("another beta")
    return {}


def _clamp(node: Any) -> Facts:
    low, high = (getattr(node, f"_saved_{side}", None) for side in ("min", "max"))
    inside = "{self}" if low is None else f"{low:g} ≤ {{self}}"
    return {"inside": inside if high is None else f"{inside} ≤ {high:g}"}


def _slope(node: Any) -> Facts:
    return {"slope": f"{node._saved_negative_slope:g}"}


# Forward once more ----------------------------------------------------------------------------


def _unary(function: Callable[[Tensor], Tensor]) -> Forward:
    return lambda node, shape, self: function(self)


def _binary(function: Callable[[Tensor, Tensor], Tensor]) -> Forward:
    return lambda node, shape, self, other: function(self, other)


def _reshape(node: Any, shape: tuple[int, ...], self: Tensor) -> Tensor:
    return self.reshape(shape)


def _reduced(function: Callable[..., Tensor]) -> Forward:
    return lambda node, shape, self: function(self, dim=_axes(node), keepdim=node._saved_keepdim)


def _mse(node: Any, shape: tuple[int, ...], self: Tensor, target: Tensor) -> Tensor:
    return F.mse_loss(self, target, reduction=("none", "mean", "sum")[node._saved_reduction])


def _nll(node: Any, shape: tuple[int, ...], self: Tensor) -> Tensor:
    return F.nll_loss(
        self,
        node._saved_target,
        node._saved_weight,
        ignore_index=signed(node._saved_ignore_index),
        reduction=("none", "mean", "sum")[node._saved_reduction],
    )


def _addmm(node: Any, shape: tuple[int, ...], self: Tensor, mat1: Tensor, mat2: Tensor) -> Tensor:
    return torch.addmm(self, mat1, mat2, beta=node._saved_beta, alpha=node._saved_alpha)


def _slice(node: Any, shape: tuple[int, ...], self: Tensor) -> Tensor:
    axis = signed(node._saved_dim)
    cut = slice(signed(node._saved_start), signed(node._saved_end), node._saved_step)
    return self[(slice(None),) * (axis % self.dim()) + (cut,)]


def _select(node: Any, shape: tuple[int, ...], self: Tensor) -> Tensor:
    return self.select(signed(node._saved_dim), signed(node._saved_index))


def _transpose(node: Any, shape: tuple[int, ...], self: Tensor) -> Tensor:
    return self.transpose(signed(node._saved_dim0), signed(node._saved_dim1))


def _permute(node: Any, shape: tuple[int, ...], self: Tensor) -> Tensor:
    return self.permute([signed(axis) for axis in node._saved_dims])


# The rules ------------------------------------------------------------------------------------

ONE = ("self",)
TWO = ("self", "other")

_TURNED = "It only rearranges, so the gradient is rearranged back. No number changes."
_CHOSEN = "What was chosen gets the gradient; what was left out had no say, and gets 0."
_LARGEST = "Only the winner decided the result, so only it gets the gradient; the others get 0."


def _turned(sign: str, forward: Forward | None) -> Rule:
    return Rule(sign, ONE, ("{g}, in the shape of {self}",), _TURNED, forward)


def _chosen(sign: str, forward: Forward | None = None, kept: tuple[str, ...] = ()) -> Rule:
    return Rule(sign, ONE, ("{g} where chosen, 0 elsewhere",), _CHOSEN, forward, kept=kept)


def _largest(sign: str) -> Rule:
    return Rule(sign, ONE, ("{g} at the winner, 0 elsewhere",), _LARGEST)


RULES: dict[str, Rule] = {
    # Arithmetic
    "AddBackward": Rule(
        "+",
        TWO,
        ("{g}", "{g}{alpha}"),
        "Plus passes the gradient on unchanged, to both sides.",
        lambda node, shape, self, other: torch.add(self, other, alpha=node._saved_alpha),
        _alpha,
        invert=lambda node, result, self: (result - self) / node._saved_alpha,
    ),
    "SubBackward": Rule(
        "−",
        TWO,
        ("{g}", "−{g}{alpha}"),
        "Minus passes the gradient on to the left, and its negative to the right.",
        lambda node, shape, self, other: torch.sub(self, other, alpha=node._saved_alpha),
        _alpha,
        invert=lambda node, result, self: (self - result) / node._saved_alpha,
    ),
    "RsubBackward": Rule(
        "−",
        ONE,
        ("−{g}{alpha}",),
        "What is subtracted gets the gradient with its sign turned.",
        None,
        _alpha,
        hidden="other",
        invert=lambda node, result, self: result + self * node._saved_alpha,
    ),
    "MulBackward": Rule(
        "×",
        TWO,
        ("{g} · {other}", "{g} · {self}"),
        "Times gives each factor the gradient times the other factor.",
        _binary(torch.mul),
    ),
    "DivBackward": Rule(
        "÷",
        TWO,
        ("{g} / {other}", "−{g} · {self} / {other}²"),
        "Above the line: the gradient divided as the value was. Below: how 1/x falls, times the top.",
        _binary(torch.div),
    ),
    "NegBackward": Rule("neg", ONE, ("−{g}",), "The sign turns.", _unary(torch.neg)),
    "PowBackward0": Rule(
        "** {n}",
        ONE,
        ("{g} · {n}{power}",),
        "The power rule: the exponent comes down, and one less stays above.",
        lambda node, shape, self: self.pow(node._saved_exponent),
        _exponent,
    ),
    "PowBackward1": Rule(
        "**",
        ("self", "exponent"),
        (
            "{g} · {exponent} · {self}^({exponent} − 1)",
            "{g} · {result} · log({self})",
        ),
        "The power rule for the base; for the exponent, the result times the logarithm of the base.",
        _binary(torch.pow),
    ),
    "PowBackward2": Rule(
        "{base} **",
        ("exponent",),
        ("{g} · {result} · log({base})",),
        "An exponential grows by itself, times the logarithm of its base.",
        lambda node, shape, exponent: torch.pow(node._saved_self, exponent),
        _base,
    ),
    "AbsBackward": Rule(
        "abs",
        ONE,
        ("{g} · sign({self})",),
        "The gradient passes, with its sign turned where the value was negative.",
        _unary(torch.abs),
    ),
    # Functions of one number
    "ExpBackward": Rule(
        "exp",
        ONE,
        ("{g} · {result}",),
        "exp is its own derivative: the gradient times the result.",
        _unary(torch.exp),
    ),
    "LogBackward": Rule(
        "log", ONE, ("{g} / {self}",), "The derivative of log x is 1 / x.", _unary(torch.log)
    ),
    "SqrtBackward": Rule(
        "sqrt",
        ONE,
        ("{g} / (2 · {result})",),
        "The derivative of √x is 1 / (2 √x): without bound at 0.",
        _unary(torch.sqrt),
    ),
    "RsqrtBackward": Rule(
        "1/√x",
        ONE,
        ("−{g} · {result} · {result}² / 2",),
        "The derivative of 1 / √x is minus half its third power.",
        _unary(torch.rsqrt),
    ),
    "Log1PBackward": Rule(
        "log1p",
        ONE,
        ("{g} / ({self} + 1)",),
        "The derivative of log(1 + x) is 1 / (1 + x).",
        _unary(torch.log1p),
    ),
    "ReciprocalBackward": Rule(
        "1/x",
        ONE,
        ("−{g} · {result}²",),
        "The derivative of 1 / x is −1 / x².",
        _unary(torch.reciprocal),
    ),
    "SinBackward": Rule(
        "sin", ONE, ("{g} · cos({self})",), "The derivative of sin is cos.", _unary(torch.sin)
    ),
    "CosBackward": Rule(
        "cos", ONE, ("−{g} · sin({self})",), "The derivative of cos is −sin.", _unary(torch.cos)
    ),
    "TanhBackward": Rule(
        "tanh",
        ONE,
        ("{g} · (1 − {result}²)",),
        "Where tanh is flat, near −1 and 1, hardly any gradient passes.",
        _unary(torch.tanh),
    ),
    "SigmoidBackward": Rule(
        "sigmoid",
        ONE,
        ("{g} · {result} · (1 − {result})",),
        "At most a quarter of the gradient passes; near 0 and 1 hardly any.",
        _unary(torch.sigmoid),
    ),
    "ReluBackward": Rule(
        "relu",
        ONE,
        ("{g} where {result} > 0, else 0",),
        "Open where the result is positive: there the gradient passes unchanged. Elsewhere it is 0.",
        _unary(torch.relu),
    ),
    "LeakyReluBackward": Rule(
        "leaky relu",
        ONE,
        ("{g} where {self} > 0, else {g} · {slope}",),
        "It passes unchanged where the value was positive; elsewhere a small part of it does.",
        lambda node, shape, self: F.leaky_relu(self, node._saved_negative_slope),
        _slope,
    ),
    "ClampBackward": Rule(
        "clamp",
        ONE,
        ("{g} where {inside}, else 0",),
        "What was cut off no longer depends on the input, so no gradient passes there.",
        None,
        _clamp,
    ),
    "SoftplusBackward": Rule(
        "softplus",
        ONE,
        ("{g} · sigmoid({self})",),
        "The derivative of softplus is the sigmoid.",
        facts=_softplus,
    ),
    # Sums and means
    "SumBackward0": Rule(
        "sum",
        ONE,
        ("{g}, to every element",),
        "Each element counted once, so each gets the whole gradient.",
        lambda node, shape, self: self.sum(),
    ),
    "SumBackward1": Rule(
        "sum{axis}",
        ONE,
        ("{g}, to every element along{axis}",),
        "Each element counted once, so each gets the whole gradient of its sum.",
        _reduced(torch.sum),
        _axis_facts,
    ),
    "MeanBackward0": Rule(
        "mean",
        ONE,
        ("{g} / {N}, to every element",),
        "A mean of {N} gives each of them one part in {N} of the gradient.",
        lambda node, shape, self: self.mean(),
    ),
    "MeanBackward1": Rule(
        "mean{axis}",
        ONE,
        ("{g} / {N}, to every element along{axis}",),
        "A mean of {N} gives each of them one part in {N} of the gradient.",
        _reduced(torch.mean),
        _axis_facts,
    ),
    "ProdBackward0": Rule(
        "prod",
        ONE,
        ("{g} · {result} / {self}",),
        "Each factor gets the gradient times all the others.",
        lambda node, shape, self: self.prod(),
    ),
    "LinalgVectorNormBackward": Rule(
        "norm",
        ONE,
        ("{g} · {self} / {result}",),
        "A length grows in its own direction: along the vector, scaled to length 1.",
        lambda node, shape, self: torch.linalg.vector_norm(self),
        _norm,
    ),
    "CumsumBackward": Rule(
        "cumsum",
        ONE,
        ("{g}, summed from each place to the end",),
        "An element is part of every later sum, so it gets all of their gradients.",
        lambda node, shape, self: self.cumsum(signed(node._saved_dim)),
    ),
    # Matrices
    "MmBackward": Rule(
        "@",
        ("self", "mat2"),
        ("{g} @ {mat2}ᵀ", "{self}ᵀ @ {g}"),
        "Each side gets the gradient times the other side, transposed: the only product whose "
        "shape fits.",
        lambda node, shape, self, mat2: self @ mat2,
    ),
    "BmmBackward": Rule(
        "@",
        ("self", "mat2"),
        ("{g} @ {mat2}ᵀ", "{self}ᵀ @ {g}"),
        "For each matrix of the batch: the gradient times the other side, transposed.",
        lambda node, shape, self, mat2: self @ mat2,
    ),
    "MvBackward": Rule(
        "@",
        ("self", "vec"),
        ("outer({g}, {vec})", "{self}ᵀ @ {g}"),
        "The matrix gets every product of gradient and vector; the vector, the transposed matrix "
        "times the gradient.",
        lambda node, shape, self, vec: self @ vec,
    ),
    "DotBackward": Rule(
        "@",
        ("self", "tensor"),
        ("{g} · {tensor}", "{g} · {self}"),
        "Times, and then a sum: each side gets the gradient times the other side.",
        lambda node, shape, self, tensor: self @ tensor,
    ),
    "AddmmBackward": Rule(
        "@ +",
        ("self", "mat1", "mat2"),
        ("{g}", "{g} @ {mat2}ᵀ", "{mat1}ᵀ @ {g}"),
        "A product and a sum in one: the bias gets the gradient, each matrix the gradient times "
        "the other, transposed.",
        _addmm,
    ),
    # The same numbers in another shape
    "TBackward": _turned("ᵀ", _unary(torch.t)),
    "TransposeBackward": _turned("ᵀ", _transpose),
    "PermuteBackward": _turned("ᵀ", _permute),
    "ViewBackward": _turned("reshape", _reshape),
    "UnsafeViewBackward": _turned("reshape", _reshape),
    "ReshapeAliasBackward": _turned("reshape", _reshape),
    "SqueezeBackward": _turned("squeeze", _reshape),
    "UnsqueezeBackward": _turned("unsqueeze", _reshape),
    "ExpandBackward": Rule(
        "expand",
        ONE,
        ("{g}, summed over the copies",),
        "One element was read many times, so the gradients of all its copies add up.",
        lambda node, shape, self: self.expand(shape),
    ),
    "CloneBackward": Rule("clone", ONE, ("{g}",), "A copy passes it on.", _unary(torch.clone)),
    "ToCopyBackward": Rule(
        "to",
        ONE,
        ("{g}, in the dtype of {self}",),
        "A copy passes it on, in the dtype and on the device of its input.",
        lambda node, shape, self: self.to(node._input_metadata[0].dtype),
    ),
    "RepeatBackward": Rule(
        "repeat",
        ONE,
        ("{g}, summed over the copies",),
        "One element was read many times, so the gradients of all its copies add up.",
        lambda node, shape, self: self.repeat(node._saved_repeats),
    ),
    "FlipBackward": _turned(
        "flip", lambda node, shape, self: self.flip(*map(signed, node._saved_dims))
    ),
    # Choosing and joining
    "SelectBackward": _chosen("[ ]", _select),
    "SliceBackward": _chosen("[ : ]", _slice),
    "IndexBackward": _chosen("[ ]", kept=("indices",)),
    "GatherBackward": _chosen("gather", kept=("index",)),
    "IndexSelectBackward": _chosen("[ ]", kept=("index",)),
    "EmbeddingBackward": _chosen("embedding", kept=("indices",)),
    "UnbindBackward": _chosen("unbind"),
    "SplitBackward": _chosen("split"),
    "MaxBackward": _largest("max"),
    "MinBackward": _largest("min"),
    "AmaxBackward": _largest("amax"),
    "AminBackward": _largest("amin"),
    "MaximumBackward": Rule(
        "maximum", TWO, ("{g} where it is larger",) * 2, _LARGEST, _binary(torch.maximum)
    ),
    "MinimumBackward": Rule(
        "minimum", TWO, ("{g} where it is smaller",) * 2, _LARGEST, _binary(torch.minimum)
    ),
    "WhereBackward": Rule(
        "where",
        TWO,
        ("{g} where the condition holds, else 0", "{g} where it does not, else 0"),
        "Each side gets the gradient where it was taken. The other place gets 0, and 0 times "
        "infinity further up is nan.",
        lambda node, shape, self, other: torch.where(node._saved_condition, self, other),
        kept=("condition",),
    ),
    # Losses
    "MseLossBackward": Rule(
        "mse loss",
        ("self", "target"),
        ("{g} · 2 · ({self} − {target}){share}", "{g} · 2 · ({target} − {self}){share}"),
        "Of a square, twice what was squared: the further off, the stronger the pull.",
        _mse,
        _reduction,
    ),
    "SoftmaxBackward": Rule(
        "softmax",
        ONE,
        ("{result} · ({g} − sum({g} · {result}))",),
        "Probabilities share a sum of 1: what one gains, the others lose.",
        lambda node, shape, self: self.softmax(_axes(node)[0]),
    ),
    "LogSoftmaxBackward": Rule(
        "log softmax",
        ONE,
        ("{g} − softmax({self}) · sum({g})",),
        "Together with nll loss it comes to the probabilities minus the targets.",
        lambda node, shape, self: self.log_softmax(_axes(node)[0]),
    ),
    "NllLossBackward": Rule(
        "nll loss",
        ONE,
        ("−{g}{share} at each target, 0 elsewhere",),
        "Only the log-probability of the true class counts, so only it gets a gradient.",
        _nll,
        _targets,
        kept=("target",),
    ),
    "BinaryCrossEntropyWithLogitsBackward": Rule(
        "bce loss",
        ("self", "target"),
        ("{g} · (sigmoid({self}) − {target}){share}", "−{g} · {self}{share}"),
        "Probability minus target: the error itself.",
        None,
        _reduction,
    ),
    "LogsumexpBackward": Rule(
        "logsumexp",
        ONE,
        ("{g} · exp({self} − {result})",),
        "The gradient is shared out in the proportions of a softmax.",
    ),
}


def _joined(function: Callable[..., Tensor]) -> Forward:
    return lambda node, shape, *parts: function(parts, dim=signed(node._saved_dim))


for _op, _sign, _function in (
    ("CatBackward", "cat", torch.cat),
    ("StackBackward", "stack", torch.stack),
):
    RULES[_op] = Rule(
        _sign, ("...",), ("its part of {g}",), "Each gets back its own part.", _joined(_function)
    )
