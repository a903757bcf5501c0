"""Write a trained network down as a list of plain operations, which `network.js` runs in a browser.

The network runs once on one picture while `recording` keeps what PyTorch does; each call is
translated into the small vocabulary of `network.js`. The recording is then replayed on other pictures
and must give the network's own answers, so a network that decides by looking at the picture's
values is found here.

To teach the browser another operation, add a line to `_TRANSLATIONS` and a function of the same
name to `network.js`.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from firstlight.explore.evaluation import are_probabilities, evaluating, home, require_model
from firstlight.explore.recording import Call, RandomInEvalError, Recording, Value, leaves, record

MOST_WEIGHTS = 8_000_000  # bytes: what a notebook output and a phone can still carry
SUPPORTED = (
    "Linear, Conv2d, MaxPool2d, AvgPool2d and their adaptive kinds, BatchNorm1d, BatchNorm2d, "
    "LayerNorm, GroupNorm, Dropout, Flatten; ReLU, LeakyReLU, PReLU, ELU, SELU, GELU, SiLU, Mish, "
    "Tanh, Sigmoid, Softplus, Hardswish, Softmax, LogSoftmax; + - * / @ **, cat, stack, "
    "reshape, permute, indexing, mean, sum, max, std"
)


@dataclass(frozen=True)
class Network:
    """A network as plain operations.

    Values are numbered: 0 is the picture of shape `input_shape`, then come the `constants` (their
    shapes; their float32 numbers lie one after the other in `weights`), then one value per step.
    A step holds `op`, `in` (numbers of values), `shape` (of its result), `layer` (who asked for it)
    and the operation's own settings. The last value is the answer, (1, 10).

    `answers` (N, 10) is what PyTorch answered to the pictures on which the recording was proved.
    """

    input_shape: tuple[int, ...]
    constants: tuple[tuple[int, ...], ...]
    steps: tuple[dict[str, Any], ...]
    weights: bytes
    answers: Tensor
    ends_in_softmax: bool

    @property
    def data(self) -> dict[str, Any]:
        """The network as JSON."""
        return {
            "inputShape": self.input_shape,
            "constants": self.constants,
            "steps": self.steps,
            "weights": base64.b64encode(self.weights).decode(),
            "endsInSoftmax": self.ends_in_softmax,
        }


def write_down(model: object, pictures: Tensor, explorer: str = "explore.draw") -> Network:
    """Return `model`, as it answers in eval mode, as plain operations.

    `pictures` (N, 28, 28) are what it will be given; the recording is made on the first and
    proved on all of them. The model comes back unchanged.

    Raises:
        TypeError: if it is no network, takes no 28 × 28 picture, does not answer with ten numbers,
            uses an operation the browser does not know, or is too big.
    """
    network = require_model(model, explorer)
    network = getattr(network, "_orig_mod", network)  # what torch.compile wraps
    device, dtype = home(network)
    pictures = pictures.to(device, dtype)
    with evaluating(network):
        try:
            recording = record(network, pictures[0], explorer)
        except RandomInEvalError as error:
            raise TypeError(
                f"{explorer} found random numbers in eval mode, in {error.layer}. If it calls "
                "F.dropout, pass `training=self.training`, or use nn.Dropout, which does that."
            ) from None
        program = _Program(recording, explorer)
        inputs = [picture.reshape(recording.layout) for picture in pictures]
        answers = torch.cat([network(picture) for picture in inputs])
        replayed = torch.cat([recording.replay(picture) for picture in inputs])
    if not torch.allclose(answers, replayed, rtol=1e-3, atol=1e-4, equal_nan=True):
        raise TypeError(
            f"{explorer} can't run this network in the browser: its operations change with the "
            "values in the picture, or it overwrites a tensor that it still needs."
        )
    return program.network(answers.cpu())


class _BeyondError(Exception):
    """The browser does not know this operation; the message says why, or is empty."""


@dataclass(frozen=True)
class _Plain:
    """An operation of `network.js`: its name, its inputs (values, tensors, numbers), its settings."""

    op: str
    inputs: Sequence[Any]
    settings: Mapping[str, Any] = field(default_factory=dict)


_Arguments = Mapping[str, Any]
_Translation = Callable[[_Arguments, Value], _Plain]


def _unary(op: str, *settings: str) -> _Translation:
    return lambda a, out: _Plain(op, [a["self"]], {name: a[name] for name in settings})


def _binary(op: str) -> _Translation:
    def translate(a: _Arguments, out: Value) -> _Plain:
        if a.get("alpha", 1) != 1 or a.get("rounding_mode") is not None:
            raise _BeyondError("with alpha or a rounding mode")
        return _Plain(op, [a["self"], a["other"]])

    return translate


def _rsub(a: _Arguments, out: Value) -> _Plain:
    return _Plain("sub", [a["other"], _binary("sub")(a, out).inputs[0]])


def _clamp(low: str | None, high: str | None) -> _Translation:
    return lambda a, out: _Plain(
        "clamp", [a["self"]], {"min": low and a[low], "max": high and a[high]}
    )


def _addmm(a: _Arguments, out: Value) -> _Plain:
    if a["beta"] != 1 or a["alpha"] != 1:
        raise _BeyondError("with beta or alpha")
    return _Plain("linear", [a["mat1"], a["mat2"], a["self"]])


def _linear(a: _Arguments, out: Value) -> _Plain:
    if not isinstance(a["weight"], Tensor):
        raise _BeyondError("with a weight computed from the picture")
    return _Plain("linear", [a["input"], a["weight"].t(), a["bias"]])


def _convolution(a: _Arguments, out: Value) -> _Plain:
    if len(out.shape) != 4 or a["transposed"]:
        raise _BeyondError("in other than two dimensions, or transposed")
    settings = {name: a[name] for name in ("stride", "padding", "dilation", "groups")}
    return _Plain("conv2d", [a["input"], a["weight"], a["bias"]], settings)


def _pool(op: str) -> _Translation:
    def translate(a: _Arguments, out: Value) -> _Plain:
        if out.slot:
            raise _BeyondError("with its indices")
        kernel = _pair(a["kernel_size"])
        return _Plain(
            op,
            [a["self"]],
            {
                "kernel": kernel,
                "stride": _pair(a["stride"] or kernel),
                "padding": _pair(a["padding"]),
                "dilation": _pair(a.get("dilation", 1)),
                "countPadding": a.get("count_include_pad"),
                "divisor": a.get("divisor_override"),
            },
        )

    return translate


def _batch_norm(a: _Arguments, out: Value) -> _Plain:
    if a.get("training") or a["running_mean"] is None:
        raise _BeyondError("without running statistics")
    names = ("input", "weight", "bias", "running_mean", "running_var")
    return _Plain(
        "batch_norm", [a[name] for name in names], {"eps": a.get("eps", a.get("epsilon"))}
    )


def _layer_norm(a: _Arguments, out: Value) -> _Plain:
    inputs = [a[name] for name in ("input", "weight", "bias")]
    return _Plain("layer_norm", inputs, {"over": len(a["normalized_shape"]), "eps": a["eps"]})


def _group_norm(a: _Arguments, out: Value) -> _Plain:
    inputs = [a[name] for name in ("input", "weight", "bias")]
    return _Plain("group_norm", inputs, {"groups": a["group"], "eps": a["eps"]})


def _along_dim(op: str) -> _Translation:
    return lambda a, out: _Plain(op, [a["self"]], {"dim": a["dim"] % len(out.shape)})


def _reduce(kind: str) -> _Translation:
    def translate(a: _Arguments, out: Value) -> _Plain:
        if out.slot:
            raise _BeyondError("with its indices")
        shape = _shape(a["self"])
        dims = a.get("dim")
        dims = range(len(shape)) if dims in (None, []) else dims
        dims = [dims] if isinstance(dims, int) else dims
        settings: dict[str, Any] = {"kind": kind, "dims": sorted(dim % len(shape) for dim in dims)}
        if kind in ("var", "std"):
            settings["correction"] = 1 if a["correction"] is None else a["correction"]
        return _Plain("reduce", [a["self"]], settings)

    return translate


def _same_numbers(a: _Arguments, out: Value) -> _Plain:
    dtype = a.get("dtype")
    if dtype is not None and not dtype.is_floating_point:
        raise _BeyondError("to a dtype without fractions")
    return _Plain("view", [a["self"]])


def _permute(a: _Arguments, out: Value) -> _Plain:
    dims = list(range(len(out.shape)))
    if "dims" in a:
        dims = [dim % len(dims) for dim in a["dims"]]
    else:
        one, two = a.get("dim0", 0) % len(dims), a.get("dim1", 1) % len(dims)
        dims[one], dims[two] = dims[two], dims[one]
    return _Plain("permute", [a["self"]], {"dims": dims})


def _slice(a: _Arguments, out: Value) -> _Plain:
    shape = _shape(a["self"])
    dim = a["dim"] % len(shape)
    start, _, step = slice(a["start"], a["end"], a["step"]).indices(shape[dim])
    settings = {"dim": dim, "start": start, "step": step, "count": out.shape[dim]}
    return _Plain("slice", [a["self"]], settings)


def _select(a: _Arguments, out: Value) -> _Plain:
    shape = _shape(a["self"])
    dim = a["dim"] % len(shape)
    settings = {"dim": dim, "start": a["index"] % shape[dim], "step": 1, "count": 1}
    return _Plain("slice", [a["self"]], settings)


def _split(a: _Arguments, out: Value) -> _Plain:
    dim = a["dim"] % len(out.shape)
    settings = {"dim": dim, "start": out.slot * a["split_size"], "step": 1, "count": out.shape[dim]}
    return _Plain("slice", [a["self"]], settings)


def _unbind(a: _Arguments, out: Value) -> _Plain:
    dim = a["dim"] % (len(out.shape) + 1)
    return _Plain("slice", [a["self"]], {"dim": dim, "start": out.slot, "step": 1, "count": 1})


def _cat(a: _Arguments, out: Value) -> _Plain:
    # Row by row, `stack` copies the same numbers as `cat`; only the shape of the result differs.
    return _Plain("cat", a["tensors"], {"dim": a["dim"] % len(out.shape)})


def _adaptive_pool(kind: str) -> _Translation:
    def translate(a: _Arguments, out: Value) -> _Plain:
        if out.slot:
            raise _BeyondError("with its indices")
        return _Plain("adaptive_pool", [a["self"]], {"kind": kind})

    return translate


_TRANSLATIONS: dict[str, _Translation] = {
    **{
        op: _unary(op)
        for op in (
            *("relu", "sigmoid", "tanh", "silu", "mish", "hardswish", "hardsigmoid"),
            *("exp", "log", "sqrt", "rsqrt", "neg", "abs", "reciprocal"),
        )
    },
    "gelu": _unary("gelu", "approximate"),
    "elu": _unary("elu", "alpha", "scale", "input_scale"),
    "celu": lambda a, out: _Plain(
        "elu", [a["self"]], {"alpha": a["alpha"], "scale": 1, "input_scale": 1 / a["alpha"]}
    ),
    "leaky_relu": _unary("leaky_relu", "negative_slope"),
    "softplus": _unary("softplus", "beta", "threshold"),
    "hardtanh": _clamp("min_val", "max_val"),
    "clamp": _clamp("min", "max"),
    "clamp_min": _clamp("min", None),
    "clamp_max": _clamp(None, "max"),
    **{op: _binary(op) for op in ("add", "sub", "mul", "div", "maximum", "minimum")},
    **{op: _binary(op) for op in ("gt", "ge", "lt", "le")},
    "rsub": _rsub,
    "pow": lambda a, out: _Plain("pow", [a["self"], a["exponent"]]),
    "_prelu_kernel": lambda a, out: _Plain("prelu", [a["self"], a["weight"]]),
    "addmm": _addmm,
    "linear": _linear,
    "mm": lambda a, out: _Plain("linear", [a["self"], a["mat2"], None]),
    "bmm": lambda a, out: _Plain("bmm", [a["self"], a["mat2"]]),
    "convolution": _convolution,
    "max_pool2d_with_indices": _pool("max_pool2d"),
    "max_pool2d": _pool("max_pool2d"),
    "avg_pool2d": _pool("avg_pool2d"),
    "_adaptive_avg_pool2d": _adaptive_pool("mean"),
    "adaptive_max_pool2d": _adaptive_pool("max"),
    "native_batch_norm": _batch_norm,
    "cudnn_batch_norm": _batch_norm,
    "miopen_batch_norm": _batch_norm,
    "_native_batch_norm_legit_no_training": _batch_norm,
    "native_layer_norm": _layer_norm,
    "native_group_norm": _group_norm,
    "_softmax": _along_dim("softmax"),
    "_log_softmax": _along_dim("log_softmax"),
    "mean": _reduce("mean"),
    "sum": _reduce("sum"),
    "amax": _reduce("max"),
    "max": _reduce("max"),
    "var": _reduce("var"),
    "std": _reduce("std"),
    **{
        op: _same_numbers
        for op in (
            *("view", "_unsafe_view", "reshape", "unsqueeze", "squeeze", "_reshape_copy"),
            *("alias", "detach", "clone", "_to_copy", "lift_fresh"),
        )
    },
    "expand": lambda a, out: _Plain("expand", [a["self"]]),
    "permute": _permute,
    "transpose": _permute,
    "t": _permute,
    "slice": _slice,
    "select": _select,
    "split": _split,
    "unsafe_split": _split,
    "unbind": _unbind,
    "cat": _cat,
    "stack": _cat,
    "constant_pad_nd": _unary("pad", "pad", "value"),
}


class _Program:
    """Number the constants and the steps of a recording."""

    def __init__(self, recording: Recording, explorer: str) -> None:
        self._recording = recording
        self._explorer = explorer
        self._values = [value for value in recording.needed if value.call >= 0]
        self._plains = [self._translate(value) for value in self._values]
        self._constants: dict[Any, Tensor] = {}
        for leaf in leaves([plain.inputs for plain in self._plains]):
            if not isinstance(leaf, Value) and leaf is not None:
                self._constants.setdefault(_key(leaf), torch.as_tensor(leaf))
        self._check_size()

    def network(self, answers: Tensor) -> Network:
        """Write it all down, with PyTorch's own answers beside it."""
        tensors = self._constants.values()
        return Network(
            input_shape=self._recording.layout,
            constants=tuple(tuple(tensor.shape) for tensor in tensors),
            steps=tuple(self._steps()),
            weights=b"".join(_float32(tensor) for tensor in tensors),
            answers=answers,
            ends_in_softmax=are_probabilities(answers),
        )

    def _steps(self) -> Iterator[dict[str, Any]]:
        keys = [Value(-1, 0, self._recording.layout), *self._constants, *self._values]
        numbers = {key: number for number, key in enumerate(keys)}
        for value, plain in zip(self._values, self._plains, strict=True):
            yield {
                "op": plain.op,
                "in": [None if leaf is None else numbers[_key(leaf)] for leaf in plain.inputs],
                "shape": value.shape,
                "layer": self._call(value).layer,
                **plain.settings,
            }

    def _translate(self, value: Value) -> _Plain:
        call = self._call(value)
        translation = _TRANSLATIONS.get(call.name)
        try:
            if translation is None:
                raise _BeyondError
            plain = translation(call.bound, value)
            if not all(_is_setting(setting) for setting in plain.settings.values()):
                raise _BeyondError("with a setting that is infinite or a tensor")
        except _BeyondError as why:
            how = f" {why}" if str(why) else ""
            raise TypeError(
                f"{self._explorer} can't run `{call.name.strip('_')}`{how} in the browser; "
                f"it is used in {call.layer}. The browser knows {SUPPORTED}. "
                "explore.predictions(model, dataset) works with every network."
            ) from None
        return plain

    def _call(self, value: Value) -> Call:
        return self._recording.calls[value.call]

    def _check_size(self) -> None:
        numbers = sum(tensor.numel() for tensor in self._constants.values())
        if 4 * numbers > MOST_WEIGHTS:
            raise TypeError(
                f"{self._explorer} would have to carry {numbers:,} numbers into the page, "
                f"{4 * numbers / 1e6:.1f} MB; {MOST_WEIGHTS // 4:,} numbers is the most. Smaller "
                "hidden layers do for digits, and explore.predictions takes a network of any size."
            )


def _key(leaf: Any) -> Any:
    """Return what tells one constant from another: a tensor read twice is kept once."""
    if isinstance(leaf, Tensor):
        return (leaf.data_ptr(), tuple(leaf.shape), leaf.stride(), leaf.dtype)
    if isinstance(leaf, Value) or leaf is None:
        return leaf
    return ("number", float(leaf))


def _float32(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().float().contiguous().numpy().astype("<f4").tobytes()


def _is_setting(setting: Any) -> bool:
    """Tell whether JSON can hold it."""
    return all(
        leaf is None or isinstance(leaf, (bool, int, str)) or math.isfinite(leaf)
        if not isinstance(leaf, (Tensor, Value))
        else False
        for leaf in leaves([setting])
    )


def _shape(leaf: Any) -> tuple[int, ...]:
    return tuple(leaf.shape)


def _pair(sizes: int | Sequence[int]) -> list[int]:
    """Return height and width of `3`, `[3]` or `[3, 2]`."""
    sizes = [sizes] if isinstance(sizes, int) else list(sizes)
    return sizes * 2 if len(sizes) == 1 else sizes
