"""What the student writes in lesson 5, Datasets and DataLoaders, and every known way to get it wrong."""

# mypy does not see what a decorator makes of a class, an exercise, nor what a dict of texts holds.
# mypy: disable-error-code="arg-type,attr-defined,type-arg,no-untyped-def,no-any-return,union-attr"

import copy
import gzip
import math
import os
import random
import struct
import tempfile
from collections import deque
from contextlib import contextmanager
from functools import reduce
from itertools import count as count_from
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch.nn.utils.rnn import pad_sequence
from torch.overrides import TorchFunctionMode
from torch.utils.data import (
    DataLoader,
    Dataset,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    default_collate,
    get_worker_info,
    random_split,
)

from firstlight.checking import Extra, exercise
from firstlight.datasets import read_idx

# Batches by hand ----------------------------------------------------------------------------------


@exercise(
    level="guided",
    minutes=8,
    why="One random order, read in pieces, indexes both tensors: nothing is lost, nothing comes twice, and pairs stay together.",
    hints=(
        "Draw one random order of all the places, then walk through it in steps of `batch_size`.",
        "`torch.randperm(n, generator=…)` draws the order. A slice of it may reach beyond the end: it is shorter then, "
        "and no error.",
        "A piece of the order is an index: it picks the same examples from `inputs` and from `targets`. Inside a loop, "
        "`yield` gives out one pair and goes on with the next when it is asked.",
    ),
)
def mini_batches(inputs: torch.Tensor, targets: torch.Tensor, batch_size: int, generator):
    """Cut a data set into shuffled mini-batches, for one epoch.

    inputs: (N, …). targets: (N,). batch_size: B, 1 or more. generator: a `torch.Generator`.
    Gives pairs (inputs, targets) of B examples each, in a list or one by one with `yield`. The last
    pair holds what is left over and may be shorter. Every example comes exactly once, beside its own
    target, in the shape and dtype that it has there. The order is random: it is drawn from
    `generator` and from nothing else, and the next call with the same generator draws another one.
    The random numbers that the whole program shares are neither set nor used up.
    """
    # solution:
    order = torch.randperm(len(inputs), generator=generator)
    for start in range(0, len(inputs), batch_size):
        batch = order[start : start + batch_size]
        yield inputs[batch], targets[batch]
    # end solution


def start_the_world(seed):
    """Set the random numbers that a whole program shares, and draw the first of each kind."""
    torch.default_generator.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)
    return next_of_the_world()


def next_of_the_world():
    """Draw the next of the random numbers that a whole program shares."""
    return {
        "PyTorch's": torch.rand(1).item(),
        "NumPy's": np.random.random(),
        "Python's": random.random(),
    }


def fate_of_the_world(act):
    """Do something in two states of the shared random numbers; say whose it has set or used up.

    What is set comes out the same, wherever it stood before.
    """
    due, came = [], []
    for seed in (50, 51):
        start_the_world(seed)
        due.append(next_of_the_world())
        start_the_world(seed)
        act()
        came.append(next_of_the_world())
    moved = [name for name in due[0] if due[0][name] != came[0][name]]
    were_set = [name for name in moved if came[0][name] == came[1][name]]
    used_up = [name for name in moved if name not in were_set]
    words = [f"{' and '.join(were_set)} were set"] if were_set else []
    words += [f"{' and '.join(used_up)} were used up"] if used_up else []
    return ", ".join(words) or "undisturbed"


def form_of(value):
    """Say what kind of object something is; of a tensor, its axes after the first, and its dtype."""
    if isinstance(value, torch.Tensor) and value.dim():
        rest = "".join(f", {length}" for length in value.shape[1:])
        return f"(B{rest or ','}) {str(value.dtype).removeprefix('torch.')}"
    if isinstance(value, torch.Tensor):
        return "a tensor without axes"
    return "nothing" if value is None else f"a {type(value).__name__}"


def form_of_batch(batch):
    """Say what a batch consists of."""
    if isinstance(batch, tuple | list):
        return " beside ".join(map(form_of, batch)) or "empty"
    return form_of(batch)


def is_pair(batch):
    tensors = isinstance(batch, tuple | list) and len(batch) == 2
    return tensors and all(isinstance(t, torch.Tensor) and t.dim() for t in batch)


def collected(batches, most):
    """Take the batches out of whatever gives them, but not endlessly many."""
    return list(islice(iter(batches), most))


def numbered(g, count, *shape):
    """Make examples that can be told apart: the first number of i is 10 i, its target is 7 i + 3."""
    inputs = torch.rand(count, *shape, generator=g, dtype=torch.float64)
    inputs.view(count, -1)[:, 0] = 10 * torch.arange(count)
    return inputs, 7 * torch.arange(count) + 3


def places_of(inputs):
    """Read the place in the data set from the numbered examples."""
    first = inputs if inputs.dim() == 1 else inputs.flatten(1)[:, 0]
    return (first / 10).round().long().tolist()


def census(places, count):
    """Say of a list of places whether each of `count` examples is there once."""
    missing = count - len(set(places))
    twice = len(places) - len(set(places))
    words = [f"{missing} of {count} never come"] if missing else []
    words += [f"{twice} come more than once"] if twice else []
    return ", ".join(words) or "each comes once"


def mixture(pieces):
    """Say how well an order, given in its batches, is mixed."""
    order = [place for piece in pieces for place in piece]
    follow = sum(b == a + 1 for a, b in pairwise(order))
    if order == sorted(order):
        return "not mixed: as they stand in the data set"
    together = all(max(piece) - min(piece) == len(piece) - 1 for piece in pieces)
    if together and len(pieces) > 1 and max(map(len, pieces)) > 1:
        return "neighbours in the data set always share a batch"
    if order == sorted(order, reverse=True) or follow > len(order) / 2:
        return "neighbours in the data set come one after the other"
    return "mixed"


def flat(pieces):
    return [place for piece in pieces for place in piece]


def company_changes(one, other):
    """Whether other examples share a batch in another epoch; one batch, or batches of one, can't."""
    if len(one) == 1 or max(map(len, one)) == 1:
        return True
    return sorted(map(sorted, one)) != sorted(map(sorted, other))


def wanders(orders):
    """Whether every example comes in both halves of an epoch, sooner or later."""
    count = len(orders[0])
    places = torch.tensor([[order.index(i) for i in range(count)] for order in orders])
    early, late = places.min(0).values, places.max(0).values
    return bool((early < count / 2).all() and (late >= count // 2).all())


SIZES = "the sizes of the batches"
FORM = "the form of a batch"
CENSUS = "the examples of an epoch"
TOGETHER = "inputs and targets belong together"
MIXED = "the order"
SECOND_EPOCH = "the second epoch has another order"
COMPANY = "other examples share a batch in the second epoch"
WANDERS = "in many epochs, every example comes early and late"
SAME_SEED = "the same seed gives the same order"
OTHER_SEED = "another seed gives another order"
SHARED = "the shared random numbers"


@mini_batches.drive
def go_through_epochs(answer, inputs, targets, batch_size, seeded):
    most, seed = len(inputs) + 3, seeded.initial_seed()

    def epoch(generator):
        return collected(answer(inputs, targets, batch_size, generator), most)

    def order_of(batches):
        return [places_of(batch[0]) for batch in batches]

    start_the_world(50)
    generator = torch.Generator().manual_seed(seed)
    first, second = epoch(generator), epoch(generator)
    forms = sorted({form_of_batch(batch) for batch in first})
    seen = {FORM: ", or ".join(forms) or "there is none"}
    if not first or not all(map(is_pair, first + second)):
        return seen
    if any(batch[0].shape[1:] != inputs.shape[1:] for batch in first + second):
        return seen
    pieces = order_of(first)
    places = [place for piece in pieces for place in piece]
    due_targets = 7 * torch.tensor(places) + 3
    start_the_world(51)
    again = order_of(epoch(torch.Generator().manual_seed(seed)))
    other = order_of(epoch(torch.Generator().manual_seed(seed + 1)))
    moved_on = torch.Generator().manual_seed(seed)
    torch.rand(1, generator=moved_on)
    return seen | {
        SIZES: ", ".join(str(len(piece)) for piece in pieces),
        CENSUS: census(places, len(inputs)),
        TOGETHER: torch.equal(torch.cat([batch[1] for batch in first]), due_targets),
        MIXED: mixture(pieces),
        SECOND_EPOCH: order_of(second) != pieces,
        COMPANY: company_changes(pieces, order_of(second)),
        WANDERS: census(places, len(inputs)) != "each comes once"
        or wanders([flat(order_of(epoch(generator))) for _ in range(30)]),
        SAME_SEED: again == pieces,
        OTHER_SEED: other != pieces,
        SHARED: fate_of_the_world(lambda: epoch(torch.Generator().manual_seed(seed))),
        "a generator that has moved on gives another order": Extra(
            order_of(epoch(moved_on)) != pieces
        ),
        "the order of the targets": Extra(torch.equal(torch.cat([b[1] for b in first]), targets)),
    }


@mini_batches.probe
def eleven_in_fours(g):
    return *numbered(g, 11, 1), 4, torch.Generator().manual_seed(1)


@mini_batches.probe
def nine_pictures_in_fours(g):  # as many batches of equal size would hold three
    return *numbered(g, 9, 2, 1, 3), 4, torch.Generator().manual_seed(6)


@mini_batches.probe
def twelve_in_fours(g):  # nothing is left over
    return *numbered(g, 12, 3), 4, torch.Generator().manual_seed(5)


@mini_batches.probe
def fewer_than_a_batch(g):
    return *numbered(g, 9, 2), 20, torch.Generator().manual_seed(3)


@mini_batches.probe
def many_small_batches(g):
    return *numbered(g, 40, 2), 3, torch.Generator().manual_seed(8)


@mini_batches.probe
def one_by_one(g):
    return *numbered(g, 10), 1, torch.Generator().manual_seed(4)


@mini_batches.alternative("`split` cuts the order, or the shuffled tensors, into pieces of a size.")
def with_split(inputs, targets, batch_size, generator):
    order = torch.randperm(inputs.shape[0], generator=generator)
    return [(inputs[part], targets[part]) for part in order.split(batch_size)]


@mini_batches.alternative("The order of random numbers is a random order, too.")
def with_argsort(inputs, targets, batch_size, generator):
    order = torch.rand(len(targets), generator=generator).argsort()
    return list(zip(inputs[order].split(batch_size), targets[order].split(batch_size), strict=True))


@mini_batches.alternative("What this lesson is about does all of it.")
def with_a_data_loader(inputs, targets, batch_size, generator):
    dataset = TensorDataset(inputs, targets)
    return DataLoader(dataset, batch_size=batch_size, shuffle=True, generator=generator)


@mini_batches.alternative("Python's way: a list of places, read from the front until it is empty.")
def with_a_shrinking_list(inputs, targets, batch_size, generator):
    order = torch.randperm(len(inputs), generator=generator).tolist()
    while order:
        batch, order = order[:batch_size], order[batch_size:]
        yield (inputs[batch], targets[batch])


WHOLE_ONLY = dict(
    title="The last, short batch is missing",
    why="Counting whole batches leaves out what does not fill one. Those examples are others in every epoch, so nobody "
    "misses them, but an epoch is no longer all of the data.",
    next="Let the last slice reach beyond the end: it is shorter, and that is all.",
    link="batches-by-hand",
    shows=SIZES,
)


@mini_batches.misconception(**(WHOLE_ONLY | {"shows": ""}))
def whole_batches_or_none(inputs, targets, batch_size, generator):
    order = torch.randperm(len(inputs), generator=generator)
    for number in range(len(inputs) // batch_size):
        batch = order[number * batch_size : (number + 1) * batch_size]
        yield inputs[batch], targets[batch]


@mini_batches.misconception(
    title="An empty batch at the end",
    why="One batch more than the full ones is right when something is left over. When the batch size divides the number of "
    "examples, nothing is left: the mean loss of an empty batch is nan, and with it the mean of the whole epoch.",
    next="Stop when the examples are used up, or round the number of batches up.",
    link="batches-by-hand",
    shows=SIZES,
)
def empty_at_the_end(inputs, targets, batch_size, generator):
    order = torch.randperm(len(inputs), generator=generator)
    for number in range(len(inputs) // batch_size + 1):
        batch = order[number * batch_size : (number + 1) * batch_size]
        yield inputs[batch], targets[batch]


@mini_batches.misconception(**WHOLE_ONLY)
def whole_batches_only(inputs, targets, batch_size, generator):
    order = torch.randperm(len(inputs), generator=generator)
    for number in range(max(1, len(inputs) // batch_size)):
        batch = order[number * batch_size : (number + 1) * batch_size]
        yield inputs[batch], targets[batch]


@mini_batches.misconception(
    title="Never shuffled",
    why="The batches are the same in every epoch, and in the order in which the data was stored. If that is sorted by "
    "class, each batch pulls the network towards one class.",
    next="Draw an order first, and cut that.",
    link="batches-by-hand",
    shows=MIXED,
)
def never_shuffled(inputs, targets, batch_size, generator):
    for start in range(0, len(inputs), batch_size):
        batch = slice(start, start + batch_size)
        yield inputs[batch], targets[batch]


@mini_batches.misconception(
    title="Inputs and targets are shuffled apart",
    why="Two random orders are two different orders. Every input stands beside the target of another one, and a network "
    "can learn nothing but how often each target occurs.",
    next="Draw one order, and index both with it.",
    link="batches-by-hand",
    shows=TOGETHER,
)
def shuffled_apart(inputs, targets, batch_size, generator):
    inputs = inputs[torch.randperm(len(inputs), generator=generator)]
    targets = targets[torch.randperm(len(targets), generator=generator)]
    yield from zip(inputs.split(batch_size), targets.split(batch_size), strict=True)


@mini_batches.misconception(
    title="Only the inputs are shuffled",
    why="The targets stayed in their old order, so every input stands beside the target of another one.",
    next="Use the same order for both tensors.",
    link="batches-by-hand",
    shows=TOGETHER,
)
def shuffled_the_inputs_only(inputs, targets, batch_size, generator):
    order = torch.randperm(len(inputs), generator=generator)
    for start in range(0, len(inputs), batch_size):
        batch = order[start : start + batch_size]
        yield inputs[batch], targets[start : start + batch_size]


@mini_batches.misconception(
    title="The batches are shuffled, not the examples",
    why="What stands together in the data set stays together in a batch for ever. Only the order in which the batches come "
    "changes. On sorted data each batch still holds one class.",
    next="Draw an order of the examples, and cut batches from that.",
    link="batches-by-hand",
    shows=MIXED,
)
def shuffled_the_batches(inputs, targets, batch_size, generator):
    starts = range(0, len(inputs), batch_size)
    for number in torch.randperm(len(starts), generator=generator).tolist():
        batch = slice(starts[number], starts[number] + batch_size)
        yield inputs[batch], targets[batch]


@mini_batches.misconception(
    title="Shuffled inside the batches only",
    why="The gradient of a batch is a mean, and a mean does not ask for the order. The same examples share a batch in every "
    "epoch, as if nothing had been shuffled.",
    next="Draw an order of all the examples before you cut.",
    link="batches-by-hand",
    shows=MIXED,
)
def shuffled_inside(inputs, targets, batch_size, generator):
    for start in range(0, len(inputs), batch_size):
        size = len(inputs[start : start + batch_size])
        batch = start + torch.randperm(size, generator=generator)
        yield inputs[batch], targets[batch]


@mini_batches.misconception(
    title="The order comes from the shared random numbers",
    why="Without `generator=`, `randperm` draws from the source that the whole program shares. The generator that you were "
    "given decides nothing, and whoever draws a number somewhere else changes your order.",
    next="Hand the generator on to the function that draws.",
    link="batches-by-hand",
    shows=SAME_SEED,
)
def from_the_shared_numbers(inputs, targets, batch_size, generator):
    order = torch.randperm(len(inputs))
    for start in range(0, len(inputs), batch_size):
        batch = order[start : start + batch_size]
        yield inputs[batch], targets[batch]


@mini_batches.misconception(
    title="Drawn with replacement",
    why="Each batch draws from all examples anew, so some come several times in an epoch and a third or so not at all.",
    next="Draw an order once: every place is in it once.",
    link="batches-by-hand",
    shows=CENSUS,
)
def with_replacement(inputs, targets, batch_size, generator):
    for start in range(0, len(inputs), batch_size):
        size = min(batch_size, len(inputs) - start)
        batch = torch.randint(0, len(inputs), (size,), generator=generator)
        yield inputs[batch], targets[batch]


@mini_batches.misconception(
    title="The same order in every epoch",
    why="Seeding the generator at the start of each call sends it back to the same place. Every epoch then has the same "
    "batches, and every caller, too.",
    next="Use the generator as it comes: it stands where the last epoch has left it.",
    link="batches-by-hand",
    shows=SECOND_EPOCH,
)
def seeded_in_every_epoch(inputs, targets, batch_size, generator):
    order = torch.randperm(len(inputs), generator=generator.manual_seed(0))
    for start in range(0, len(inputs), batch_size):
        batch = order[start : start + batch_size]
        yield inputs[batch], targets[batch]


@mini_batches.misconception(
    title="Back to the generator's seed in every epoch",
    why="`initial_seed` is where the generator began. A new one from there draws the same order every time, so all epochs "
    "have the same batches.",
    next="Use the generator as it comes: it stands where the last epoch has left it.",
    link="batches-by-hand",
    shows=SECOND_EPOCH,
)
def back_to_the_seed(inputs, targets, batch_size, generator):
    generator = torch.Generator().manual_seed(generator.initial_seed())
    order = torch.randperm(len(inputs), generator=generator)
    for start in range(0, len(inputs), batch_size):
        batch = order[start : start + batch_size]
        yield inputs[batch], targets[batch]


@mini_batches.misconception(
    title="The size of a batch was taken for the number of batches",
    why="`chunk(n)` cuts into n pieces, `split(n)` into pieces of n. With 11 examples and a batch size of 4, one gives "
    "pieces of 3 and the other pieces of 4.",
    next="Ask for pieces of `batch_size` examples.",
    link="batches-by-hand",
    shows=SIZES,
)
def cut_with_chunk(inputs, targets, batch_size, generator):
    order = torch.randperm(len(inputs), generator=generator)
    for batch in order.chunk(batch_size):
        yield inputs[batch], targets[batch]


@mini_batches.misconception(
    title="As many batches as are due, but of equal size",
    why="Cutting into a number of pieces spreads the examples evenly: 9 examples in three pieces are 3, 3 and 3. Batches of 4 "
    "are 4, 4 and 1.",
    next="Ask for pieces of `batch_size` examples, and let their number come out.",
    link="batches-by-hand",
    shows=SIZES,
)
def cut_evenly(inputs, targets, batch_size, generator):
    order = torch.randperm(len(inputs), generator=generator)
    for batch in order.chunk(-(-len(inputs) // batch_size)):
        yield inputs[batch], targets[batch]


@mini_batches.misconception(
    title="The examples were flattened",
    why="An example may be a picture, with axes of its own. A network for pictures wants them as they are, and whoever wants "
    "rows can flatten a batch later.",
    next="Pick the examples, and leave their shape alone.",
    link="batches-by-hand",
    shows=FORM,
)
def flattened_the_examples(inputs, targets, batch_size, generator):
    order = torch.randperm(len(inputs), generator=generator)
    for batch in order.split(batch_size):
        yield inputs[batch].reshape(len(batch), -1), targets[batch]


@mini_batches.misconception(
    title="Drew from a copy of the generator",
    why="The copy moves on, and the generator that you were given stays where it stands. The next epoch copies the same state, "
    "and draws the same order.",
    next="Draw from the generator itself.",
    link="batches-by-hand",
    shows=SECOND_EPOCH,
)
def drew_from_a_copy(inputs, targets, batch_size, generator):
    own = torch.Generator()
    own.set_state(generator.get_state())
    order = torch.randperm(len(inputs), generator=own)
    for batch in order.split(batch_size):
        yield inputs[batch], targets[batch]


@mini_batches.misconception(
    title="Gave the places, not the examples",
    why="A piece of the order says where the examples stand. The training loop needs the examples themselves.",
    next="Index `inputs` and `targets` with it.",
    link="batches-by-hand",
    shows=FORM,
)
def gave_the_places(inputs, targets, batch_size, generator):
    order = torch.randperm(len(inputs), generator=generator)
    for start in range(0, len(inputs), batch_size):
        batch = order[start : start + batch_size]
        yield batch, batch


@mini_batches.misconception(
    title="Only the first batch",
    why="`return` ends the function, also in the middle of a loop. `yield` gives something out and goes on later.",
    next="Collect the pairs in a list and return that, or use `yield`.",
    link="batches-by-hand",
    shows=SIZES,
)
def only_the_first(inputs, targets, batch_size, generator):
    order = torch.randperm(len(inputs), generator=generator)
    batch = order[:batch_size]
    return [(inputs[batch], targets[batch])]


# The bytes ----------------------------------------------------------------------------------------


def idx_bytes(values):
    """Write a uint8 tensor as the bytes of an IDX file."""
    header = struct.pack(f">HBB{values.dim()}I", 0, 8, values.dim(), *values.shape)
    return header + values.numpy().tobytes()


@exercise(
    level="guided",
    minutes=6,
    why="`>3I` reads three big-endian sizes, the pixels begin at byte 16, and the header alone decides the shape.",
    hints=(
        "Sixteen bytes of header: the magic number, then three sizes of four bytes each. Read the sizes first.",
        "`struct.unpack` with `>` reads big-endian numbers; `I` is a whole number of four bytes.",
        "`np.frombuffer` reads bytes as numbers of a dtype and takes an `offset`, the place where to begin.",
    ),
)
def read_images(data: bytes) -> torch.Tensor:
    """Turn the bytes of an IDX image file into a tensor.

    data: the whole uncompressed file. Bytes 0 to 3 are the magic number. Then come three whole
    numbers of four bytes each, biggest byte first: how many images, rows and columns there are.
    From byte 16 on, one byte per pixel: image after image, row after row. The file is whole, and
    an image file: there is nothing to check.
    Returns a uint8 tensor of shape (images, rows, columns), whatever sizes the header names.
    """
    # solution:
    count, rows, columns = struct.unpack(">3I", data[4:16])
    pixels = np.frombuffer(data, dtype=np.uint8, offset=16)
    return torch.tensor(pixels).reshape(count, rows, columns)
    # end solution


def file_of(g, *shape):
    return (idx_bytes(torch.randint(0, 256, shape, generator=g, dtype=torch.uint8)),)


@read_images.probe
def two_tiny_images(g):
    return file_of(g, 2, 2, 3)


@read_images.probe
def three_tall_images(g):
    return file_of(g, 3, 5, 4)


@read_images.probe
def more_images_than_a_byte_counts(g):
    return file_of(g, 300, 2, 3)


@read_images.probe
def the_size_of_mnist(g):  # and black at the beginning, as in MNIST
    images = torch.randint(0, 256, (2, 28, 28), generator=g, dtype=torch.uint8)
    images[:, :2] = 0
    return (idx_bytes(images),)


@read_images.probe
def one_wide_image(g):
    return file_of(g, 1, 2, 300)


@read_images.probe
def more_images_than_two_bytes_count(g):
    return file_of(g, 70_000, 1, 1)


@read_images.alternative("Python's own `int.from_bytes` reads one size at a time.")
def with_from_bytes(data):
    sizes = [int.from_bytes(data[start : start + 4], "big") for start in (4, 8, 12)]
    return torch.tensor(list(data[16:]), dtype=torch.uint8).reshape(sizes)


@read_images.alternative("NumPy can read the sizes, too: `>i4` is a big-endian int32.")
def with_numpy_header(data):
    sizes = np.frombuffer(data, dtype=">i4", count=3, offset=4)
    return torch.from_numpy(np.frombuffer(data[16:], np.uint8).reshape(sizes).copy())


@read_images.misconception(
    title="The header was read as pixels",
    why="The first 16 bytes are no pixels: they say what the file holds. Taken as pixels they move every "
    "picture 16 places on, and the last image loses its end.",
    next="Begin to read after the header.",
    link="the-bytes-of-mnist",
)
def header_as_pixels(data):
    count, rows, columns = struct.unpack(">3I", data[4:16])
    pixels = np.frombuffer(data, dtype=np.uint8)[: count * rows * columns]
    return torch.tensor(pixels).reshape(count, rows, columns)


@read_images.misconception(
    title="Skipped the header of a label file",
    why="A label file has one size, so its header ends at byte 8. An image file has three sizes, and the "
    "bytes from 8 to 15 are still rows and columns.",
    next="Add up the header's parts: four bytes, and then three times four.",
    link="the-bytes-of-mnist",
)
def skipped_eight_bytes(data):
    count, rows, columns = struct.unpack(">3I", data[4:16])
    pixels = np.frombuffer(data, dtype=np.uint8, offset=8)[: count * rows * columns]
    return torch.tensor(pixels).reshape(count, rows, columns)


WRONG_END = {
    "title": "Read the sizes from the wrong end",
    "why": "Most processors put the smallest byte of a number first; IDX files put the biggest first. Read the "
    "other way round, a 2 becomes 33,554,432.",
    "next": "Tell `struct` or NumPy that the biggest byte comes first.",
    "link": "the-bytes-of-mnist",
}


@read_images.misconception(**WRONG_END)
def little_endian(data):
    count, rows, columns = struct.unpack("<3I", data[4:16])
    pixels = np.frombuffer(data, dtype=np.uint8, offset=16)
    return torch.tensor(pixels).reshape(count, rows, columns)


@read_images.misconception(**WRONG_END)
def little_endian_with_numpy(data):
    count, rows, columns = struct.unpack("<3I", data[4:16])
    pixels = np.frombuffer(data, dtype=np.uint8, offset=16)
    return torch.tensor(pixels.reshape(count, rows, columns))


@read_images.misconception(**WRONG_END)
def little_endian_counted(data):
    count, rows, columns = struct.unpack("<3I", data[4:16])
    pixels = np.frombuffer(data, dtype=np.uint8, offset=16, count=count * rows * columns)
    return torch.tensor(pixels).reshape(count, rows, columns)


@read_images.misconception(
    title="Rows and columns swapped",
    why="The header names rows before columns, and the pixels come row by row. With the two exchanged the "
    "lines break in the wrong places. On square images the shape does not show it.",
    next="Compare the order of the three sizes with the order in the header.",
    link="the-bytes-of-mnist",
)
def rows_and_columns_swapped(data):
    count, rows, columns = struct.unpack(">3I", data[4:16])
    pixels = np.frombuffer(data, dtype=np.uint8, offset=16)
    return torch.tensor(pixels).reshape(count, columns, rows)


ALWAYS_28 = {
    "title": "Took every image to be 28 × 28",
    "why": "MNIST's images are 28 × 28 because its header says so. A reader that ignores the header fails on "
    "every other file, or worse, cuts it into wrong pictures.",
    "next": "Read rows and columns from the header.",
    "link": "the-bytes-of-mnist",
}


@read_images.misconception(**ALWAYS_28)
def always_28(data):
    pixels = np.frombuffer(data, dtype=np.uint8, offset=16)
    return torch.tensor(pixels).reshape(-1, 28, 28)


@read_images.misconception(**ALWAYS_28)
def always_28_with_numpy(data):
    pixels = np.frombuffer(data, dtype=np.uint8, offset=16)
    return torch.tensor(pixels.reshape(-1, 28, 28))


MAGIC_AS_COUNT = {
    "title": "Took the magic number for the number of images",
    "why": "The first four bytes say what kind of file it is: 08 and 03, which read as one number are 2,051. The three "
    "sizes come after them, so everything was read four bytes too early.",
    "next": "Begin to read the sizes at byte 4.",
    "link": "the-bytes-of-mnist",
}


@read_images.misconception(**MAGIC_AS_COUNT)
def magic_as_count(data):
    count, rows, columns = struct.unpack(">3I", data[:12])
    pixels = np.frombuffer(data, dtype=np.uint8, offset=16)
    return torch.tensor(pixels).reshape(count, rows, columns)


@read_images.misconception(**MAGIC_AS_COUNT)
def magic_as_count_with_numpy(data):
    count, rows, columns = struct.unpack(">3I", data[:12])
    pixels = np.frombuffer(data, dtype=np.uint8, offset=16)
    return torch.tensor(pixels.reshape(count, rows, columns))


@read_images.misconception(
    title="Axes of length 1 were dropped",
    why="`squeeze` removes every axis of length 1. With many images nothing happens. With one image in the file, the "
    "axis that counts images is gone.",
    next="Return exactly the three axes that the header names.",
    link="the-bytes-of-mnist",
)
def squeezed(data):
    count, rows, columns = struct.unpack(">3I", data[4:16])
    pixels = np.frombuffer(data, dtype=np.uint8, offset=16)
    return torch.tensor(pixels).reshape(count, rows, columns).squeeze()


@read_images.misconception(
    title="The pixels became whole numbers of eight bytes",
    why="A Python list of ints says nothing about its dtype, and `torch.tensor` makes int64 of it. The pixels then take "
    "eight times the memory, and what expects bytes meets another dtype.",
    next="Say which dtype you want.",
    link="the-bytes-of-mnist",
)
def pixels_from_a_list(data):
    count, rows, columns = struct.unpack(">3I", data[4:16])
    pixels = list(data[16:])
    return torch.tensor(pixels).reshape(count, rows, columns)


ONE_BYTE = {
    "title": "Read one byte of each size",
    "why": "Each size takes four bytes. Its last byte alone is right up to 255 and then begins again at 0: of 300 "
    "images or columns, 44 are left.",
    "next": "Put all four bytes of a size together.",
    "link": "the-bytes-of-mnist",
}


@read_images.misconception(**ONE_BYTE)
def one_byte_sizes(data):
    count, rows, columns = data[7], data[11], data[15]
    pixels = np.frombuffer(data, dtype=np.uint8, offset=16)
    return torch.tensor(pixels).reshape(count, rows, columns)


@read_images.misconception(**ONE_BYTE)
def one_byte_rows_and_columns(data):
    count, rows, columns = int.from_bytes(data[4:8], "big"), data[11], data[15]
    pixels = np.frombuffer(data, dtype=np.uint8, offset=16)
    return torch.tensor(pixels.reshape(count, rows, columns))


@read_images.misconception(
    title="Read two bytes of each size",
    why="Two bytes count up to 65,535 and then begin again at 0: of 70,000 images, 4,464 are left. MNIST's 60,000 fit, so "
    "nothing shows it there.",
    next="Put all four bytes of a size together.",
    link="the-bytes-of-mnist",
)
def two_byte_sizes(data):
    count, rows, columns = (256 * data[place] + data[place + 1] for place in (6, 10, 14))
    pixels = np.frombuffer(data, dtype=np.uint8, offset=16)
    return torch.tensor(pixels.reshape(count, rows, columns))


@read_images.misconception(
    title="Read the bytes as signed numbers",
    why="An int8 runs from -128 to 127. Every pixel brighter than 127 becomes negative, so white turns into -1.",
    next="The letter that is missing is a u.",
    link="the-bytes-of-mnist",
)
def signed_bytes(data):
    count, rows, columns = struct.unpack(">3I", data[4:16])
    pixels = np.frombuffer(data, dtype=np.int8, offset=16)
    return torch.tensor(pixels).reshape(count, rows, columns)


@read_images.misconception(
    title="Scaled the pixels while reading",
    why="The reader's work is to hand over what the file holds. As float32 the 60,000 images take four times "
    "the memory, and whoever scales them later scales them twice.",
    next="Return the bytes as they are.",
    link="the-bytes-of-mnist",
)
def scaled_while_reading(data):
    count, rows, columns = struct.unpack(">3I", data[4:16])
    pixels = np.frombuffer(data, dtype=np.uint8, offset=16)
    return torch.tensor(pixels).reshape(count, rows, columns) / 255


# The data set -------------------------------------------------------------------------------------


@exercise(
    level="supported",
    minutes=8,
    equivalent_mutants=("image = self.images[index] / 255",),
    why="The files are read once; each access makes one float image with a channel axis and one whole number.",
    hints=(
        "`self.images` is (N, 28, 28) and `self.labels` is (N,), both uint8. `__len__` counts one of them.",
        "Three things happen to an image: bytes become floats, 255 becomes 1, and a channel axis goes in front.",
        "`image[None]` puts an axis of length 1 in front, and `int(…)` turns a one-element tensor into a number.",
    ),
)
class MnistDataset(Dataset):
    """Give MNIST one pair (image, label) at a time.

    `MnistDataset(images_path, labels_path)` reads the two gzipped IDX files, once, when the data
    set is made, and keeps what they hold.
    `len(dataset)` is the number of images.
    `dataset[i]` is a pair. Image i is a float32 tensor of shape (1, 28, 28), where 0 is black and 1
    is white. Its label is an int (or a whole number of any kind that a loader stacks to int64).
    Asked for the same i again, it gives the same pair, also after another MnistDataset was made from
    other files.

    `read_idx` gives a uint8 tensor: (N, 28, 28) for images, (N,) for labels.
    """

    def __init__(self, images_path, labels_path):
        self.images = read_idx(gzip.decompress(images_path.read_bytes()))
        self.labels = read_idx(gzip.decompress(labels_path.read_bytes()))

    def __len__(self):
        # solution:
        return len(self.labels)
        # end solution

    def __getitem__(self, index):
        # solution:
        image = self.images[index].float() / 255
        label = int(self.labels[index])
        return image[None], label
        # end solution


@MnistDataset.drive
def read_two_files(answer, images, labels):
    with tempfile.TemporaryDirectory() as folder:
        dataset = answer(*two_files(folder, images, labels))
    try:  # the files are gone now
        image, label = dataset[2]
        length = len(dataset)
    except FileNotFoundError:
        return {WHEN_READ: when_else(answer, images, labels)}
    image = image.clone() if isinstance(image, torch.Tensor) else image
    seen = {
        WHEN_READ: "when the data set is made",
        "the length": length,
        "image 2": image,
        "the labels of a batch": default_collate([label, dataset[0][1]]),
        "image 2, read again": dataset[2][0],
        "the label's type": Extra(type(label).__name__),
    }
    with tempfile.TemporaryDirectory() as folder:
        other = answer(*two_files(folder, 255 - images[:2], labels[:2]))
    return seen | {SECOND_SET: other[1][0], FIRST_SET: dataset[1][0]}


WHEN_READ = "when the files are read"
SECOND_SET = "image 1 of a second data set, made from other files"
FIRST_SET = "image 1 of the first data set, when there is a second one"


def two_files(folder, images, labels):
    """Write images and labels as gzipped IDX files."""
    paths = Path(folder, "images.gz"), Path(folder, "labels.gz")
    for path, values in zip(paths, (images, labels), strict=True):
        path.write_bytes(gzip.compress(idx_bytes(values), compresslevel=1))
    return paths


def when_else(answer, images, labels):
    """Say when files are read that are not read when the data set is made."""
    with tempfile.TemporaryDirectory() as folder:
        dataset = answer(*two_files(folder, images, labels))
        dataset[0]
    try:
        dataset[1]
    except FileNotFoundError:
        return "for every item again"
    return "when the first item is asked for"


def small_data_set(g, count, darkest=0, brightest=255):
    images = torch.randint(darkest, brightest + 1, (count, 28, 28), generator=g, dtype=torch.uint8)
    labels = 1 + torch.randperm(9, generator=g)[:count].to(torch.uint8)
    return images, labels


@MnistDataset.probe
def three_digits(g):
    return small_data_set(g, 3)


@MnistDataset.probe
def seven_digits(g):
    return small_data_set(g, 7)


@MnistDataset.probe
def four_grey_digits(g):  # nothing in this file is black or white
    images, labels = small_data_set(g, 4, darkest=20, brightest=100)
    images[0] += 50  # the brightest of the file is not in image 2
    return images, labels


@MnistDataset.alternative("All floats at once: quicker to read, four times the memory.")
class ScaledWhenRead(Dataset):
    def __init__(self, images_path, labels_path):
        images = read_idx(gzip.decompress(images_path.read_bytes()))
        self.images = images.unsqueeze(1).float() / 255
        self.labels = read_idx(gzip.decompress(labels_path.read_bytes())).tolist()

    def __len__(self):
        return self.images.shape[0]

    def __getitem__(self, index):
        return self.images[index], self.labels[index]


@MnistDataset.alternative("A label as an int64 tensor batches like an int.")
class LabelAsTensor(Dataset):
    def __init__(self, images_path, labels_path):
        self.images = read_idx(gzip.decompress(images_path.read_bytes()))
        self.labels = read_idx(gzip.decompress(labels_path.read_bytes()))

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        image = self.images[index].to(torch.float32).div(255).view(1, 28, 28)
        return image, self.labels[index].long()


@MnistDataset.misconception(
    title="The pixels are still bytes",
    why="A layer holds float32 and will not be multiplied with uint8. The error comes later, in the network, "
    "and names two dtypes instead of this line.",
    next="Turn the bytes into floats, and 255 into 1.",
    link="what-a-dataset-promises",
)
class PixelsAsBytes(Dataset):
    def __init__(self, images_path, labels_path):
        self.images = read_idx(gzip.decompress(images_path.read_bytes()))
        self.labels = read_idx(gzip.decompress(labels_path.read_bytes()))

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        image = self.images[index]
        label = int(self.labels[index])
        return image[None], label


@MnistDataset.misconception(
    title="The pixels run to 255",
    why="`.float()` changes the dtype and keeps the values. Inputs 255 times larger than the initial "
    "weights expect make the first losses huge and the first steps wild.",
    next="Divide, so that white is 1.",
    link="what-a-dataset-promises",
)
class PixelsTo255(Dataset):
    def __init__(self, images_path, labels_path):
        self.images = read_idx(gzip.decompress(images_path.read_bytes()))
        self.labels = read_idx(gzip.decompress(labels_path.read_bytes()))

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        image = self.images[index].float()
        label = int(self.labels[index])
        return image[None], label


@MnistDataset.misconception(
    title="The channel axis is missing",
    why="Layers for pictures expect (channels, rows, columns), and a grey picture has one channel. Without it a "
    "batch is (B, 28, 28), and a convolution takes B for the number of channels.",
    next="Put an axis of length 1 in front of the image.",
    link="what-a-dataset-promises",
)
class NoChannel(Dataset):
    def __init__(self, images_path, labels_path):
        self.images = read_idx(gzip.decompress(images_path.read_bytes()))
        self.labels = read_idx(gzip.decompress(labels_path.read_bytes()))

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        image = self.images[index].float() / 255
        label = int(self.labels[index])
        return image, label


@MnistDataset.misconception(
    title="The channel axis came last",
    why="Image files keep the channels last, PyTorch's layers want them first: (1, 28, 28), not (28, 28, 1).",
    next="The new axis belongs in front.",
    link="what-a-dataset-promises",
)
class ChannelLast(Dataset):
    def __init__(self, images_path, labels_path):
        self.images = read_idx(gzip.decompress(images_path.read_bytes()))
        self.labels = read_idx(gzip.decompress(labels_path.read_bytes()))

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        image = self.images[index].float() / 255
        label = int(self.labels[index])
        return image[..., None], label


@MnistDataset.misconception(
    title="The label is still a byte",
    why="The labels lie in the file as uint8, and a tensor taken out of them stays uint8. A loader that stacks "
    "them gives a uint8 batch. A loss that indexes with its labels wants int64.",
    next="Turn the label into a plain Python number.",
    link="what-a-dataset-promises",
)
class LabelAsByte(Dataset):
    def __init__(self, images_path, labels_path):
        self.images = read_idx(gzip.decompress(images_path.read_bytes()))
        self.labels = read_idx(gzip.decompress(labels_path.read_bytes()))

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        image = self.images[index].float() / 255
        label = self.labels[index]
        return image[None], label


@MnistDataset.misconception(
    title="The label is a float",
    why="A label is the number of a class, not a quantity. Python floats are stacked to float64, and "
    "cross-entropy refuses such labels.",
    next="A class number is an int.",
    link="what-a-dataset-promises",
)
class LabelAsFloat(Dataset):
    def __init__(self, images_path, labels_path):
        self.images = read_idx(gzip.decompress(images_path.read_bytes()))
        self.labels = read_idx(gzip.decompress(labels_path.read_bytes()))

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        image = self.images[index].float() / 255
        label = float(self.labels[index])
        return image[None], label


@MnistDataset.misconception(
    title="Label and image in the wrong order",
    why="Every loop in this course reads `for images, labels in …`. With the two exchanged, the network gets "
    "the answers as its input.",
    next="The image comes first.",
    link="what-a-dataset-promises",
)
class LabelFirst(Dataset):
    def __init__(self, images_path, labels_path):
        self.images = read_idx(gzip.decompress(images_path.read_bytes()))
        self.labels = read_idx(gzip.decompress(labels_path.read_bytes()))

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        image = self.images[index].float() / 255
        label = int(self.labels[index])
        return label, image[None]


@MnistDataset.misconception(
    title="Counted pixels instead of images",
    why="`numel()` counts every number in the tensor. A loader asks `len(dataset)` for the indices it may draw "
    "and would ask for images that do not exist.",
    next="How long is axis 0?",
    link="what-a-dataset-promises",
)
class CountedPixels(Dataset):
    def __init__(self, images_path, labels_path):
        self.images = read_idx(gzip.decompress(images_path.read_bytes()))
        self.labels = read_idx(gzip.decompress(labels_path.read_bytes()))

    def __len__(self):
        return self.images.numel()

    def __getitem__(self, index):
        image = self.images[index].float() / 255
        label = int(self.labels[index])
        return image[None], label


@MnistDataset.misconception(
    title="The same image whatever the index",
    why="The index is not used, so every draw gives image 0. A network trains on it without complaint and learns "
    "one picture.",
    next="Use `index` for the image and for the label.",
    link="what-a-dataset-promises",
)
class AlwaysTheFirst(Dataset):
    def __init__(self, images_path, labels_path):
        self.images = read_idx(gzip.decompress(images_path.read_bytes()))
        self.labels = read_idx(gzip.decompress(labels_path.read_bytes()))

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        image = self.images[0].float() / 255
        label = int(self.labels[0])
        return image[None], label


@MnistDataset.misconception(
    title="Each reading darkens the stored image",
    why="`self.images[index]` is a view, and `/=` writes through it into the data set. The first epoch sees the "
    "right picture, the second one divided by 255 twice, and soon everything is black.",
    next="Divide with `/`, which makes a new tensor.",
    link="what-a-dataset-promises",
    shows="image 2, read again",
)
class DividedInPlace(Dataset):
    def __init__(self, images_path, labels_path):
        self.images = read_idx(gzip.decompress(images_path.read_bytes())).float()
        self.labels = read_idx(gzip.decompress(labels_path.read_bytes()))

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        image = self.images[index]
        image /= 255
        label = int(self.labels[index])
        return image[None], label


class FromFiles(Dataset):
    """Hold the two files, as the order asks, and count the labels; what an item is, is still open."""

    def __init__(self, images_path, labels_path):
        self.images = read_idx(gzip.decompress(images_path.read_bytes()))
        self.labels = read_idx(gzip.decompress(labels_path.read_bytes()))

    def __len__(self):
        return len(self.labels)


@MnistDataset.misconception(
    title="Each picture divided by its own brightest pixel",
    why="The scale of a byte is fixed: 255 is white. A grey picture, divided by its own maximum, becomes as bright as all "
    "the others, and a 1 in the result no longer means white.",
    next="Divide by the largest value that a byte can have.",
    link="what-a-dataset-promises",
)
class ByTheImagesMaximum(FromFiles):
    def __getitem__(self, index):
        image = self.images[index].float()
        label = int(self.labels[index])
        return image[None] / image.max(), label


@MnistDataset.misconception(
    title="The pixels divided by the brightest of the file",
    why="MNIST's training file happens to hold a 255, so there it looks right. In a file of grey pictures another pixel is "
    "the brightest, and the same byte becomes another number.",
    next="Divide by the largest value that a byte can have.",
    link="what-a-dataset-promises",
)
class ByTheFilesMaximum(FromFiles):
    def __getitem__(self, index):
        image = self.images[index].float() / self.images.max()
        label = int(self.labels[index])
        return image[None], label


@MnistDataset.misconception(
    title="Each picture stretched from its darkest to its brightest pixel",
    why="0 is due where the byte is 0, and 1 where it is 255. Stretching moves both ends of every picture, so that grey "
    "becomes black or white.",
    next="Divide by the largest value that a byte can have, and subtract nothing.",
    link="what-a-dataset-promises",
)
class StretchedImage(FromFiles):
    def __getitem__(self, index):
        image = self.images[index].float()
        image = (image - image.min()) / (image.max() - image.min())
        label = int(self.labels[index])
        return image[None], label


@MnistDataset.misconception(
    title="The files are read again for every item",
    why="For each single picture the whole file is read and unpacked again, 60,000 times in one epoch. And the data set "
    "breaks as soon as the files are moved.",
    next="Read both files in `__init__`, and keep what they hold.",
    link="what-a-dataset-promises",
    shows=WHEN_READ,
)
class ReadEveryTime(Dataset):
    def __init__(self, images_path, labels_path):
        self.paths = images_path, labels_path

    def __len__(self):
        return len(read_idx(gzip.decompress(self.paths[1].read_bytes())))

    def __getitem__(self, index):
        images, labels = (read_idx(gzip.decompress(path.read_bytes())) for path in self.paths)
        return images[index][None] / 255, int(labels[index])


@MnistDataset.misconception(
    title="The files are read when the first item is asked for",
    why="They are read once, but later than due. A wrong path then raises its error far from the line that names it, and files "
    "that are moved in between are not found.",
    next="Read both files in `__init__`.",
    link="what-a-dataset-promises",
    shows=WHEN_READ,
)
class ReadAtFirstUse(Dataset):
    def __init__(self, images_path, labels_path):
        self.paths = images_path, labels_path
        self.images = None

    def load(self):
        if self.images is None:
            contents = [read_idx(gzip.decompress(path.read_bytes())) for path in self.paths]
            self.images, self.labels = contents

    def __len__(self):
        self.load()
        return len(self.labels)

    def __getitem__(self, index):
        self.load()
        return self.images[index][None] / 255, int(self.labels[index])


@MnistDataset.misconception(
    title="The data is kept on the class",
    why="What is stored under the name of the class belongs to all data sets together. The one for testing, made second, "
    "puts its images in the place of those for training.",
    next="Store it under `self`: that is this one data set.",
    link="what-a-dataset-promises",
    shows=FIRST_SET,
)
class KeptOnTheClass(Dataset):
    def __init__(self, images_path, labels_path):
        KeptOnTheClass.images = read_idx(gzip.decompress(images_path.read_bytes()))
        KeptOnTheClass.labels = read_idx(gzip.decompress(labels_path.read_bytes()))

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return self.images[index][None] / 255, int(self.labels[index])


# Transforms ---------------------------------------------------------------------------------------


@exercise(
    level="supported",
    minutes=8,
    why="The wrapper asks the other data set for one pair, passes its image through the functions in turn, and leaves the label.",
    hints=(
        "Three steps: take the pair out of the other data set, change its image, give a pair back.",
        "A loop over `self.transforms`: what one function returns is what the next one gets.",
        "Unpack the pair once, at the top. In the loop, give what comes back the name `image` again.",
    ),
)
class Transformed(Dataset):
    """Give another data set's pairs, with each image passed through some functions.

    `Transformed(dataset, *transforms)`: `dataset` gives pairs (image, label), and each transform
    is a function from an image to an image.
    `len(…)` is the length of `dataset`. Item `index` is made of the pair `dataset[index]`, which is
    read once for it: the image, passed through all the transforms, the first one first (one that is
    given twice runs twice), and the label as it is, of whatever type.
    Nothing is read or computed before an item is asked for. Asked again for an item, it reads the
    pair and runs the transforms again. `dataset` itself stays as it is: set no attributes on it. Two
    data sets may be wrapped at the same time, each with its own transforms.
    """

    def __init__(self, dataset, *transforms):
        self.dataset = dataset
        self.transforms = transforms

    def __len__(self):
        # solution:
        return len(self.dataset)
        # end solution

    def __getitem__(self, index):
        # solution:
        image, label = self.dataset[index]
        for transform in self.transforms:
            image = transform(image)
        return image, label
        # end solution


class Watched(Dataset):
    """A data set that notes which of its items are read."""

    def __init__(self, images, labels):
        self.images, self.labels, self.read = images, labels, []

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        self.read.append(index)
        return self.images[index], self.labels[index].item()


class Calls:
    """A transform that multiplies and adds, and notes how often it is called."""

    def __init__(self, factor, summand):
        self.factor, self.summand, self.count = factor, summand, 0

    def __call__(self, image):
        self.count += 1
        return image * self.factor + self.summand


ANEW = "how often each transform runs, for two readings of an item"
AT_FIRST = "what is read before an item is asked for"
READ = "what is read of the other data set for item 2, and for item 1"
BESIDE = "the image of item 1, when there is a second wrapper"


@Transformed.drive
def wrap_and_read(answer, images, labels, *numbers):
    known = {pair: Calls(*pair) for pair in zip(*numbers, strict=True)}
    transforms = [known[pair] for pair in zip(*numbers, strict=True)]
    dataset = Watched(images.clone(), labels.clone())
    wrapped = answer(dataset, *transforms)
    seen = {AT_FIRST: str(dataset.read), "the length": len(wrapped)}
    dataset.read.clear()
    for transform in transforms:
        transform.count = 0
    item = wrapped[2]
    if not isinstance(item, tuple | list) or len(item) != 2:
        return seen | {"item 2": form_of_batch(item)}
    image, label = item
    again = wrapped[2]
    counts = [transform.count for transform in transforms]
    read = dataset.read[: len(dataset.read) // 2] if len(dataset.read) % 2 == 0 else dataset.read
    other = wrapped[1]
    read_then = dataset.read[2 * len(read) :]
    untouched = set(vars(dataset)) == {"images", "labels", "read"}
    answer(Watched(images[:1] - 9, labels[:1]), Calls(0.125, 99.0), Calls(3.0, 1.0))
    return seen | {
        "the image of item 2": image,
        "the label of item 2": label,
        "the image of item 1": other[0],
        "the label of item 1": other[1],
        READ: f"{', '.join(map(str, read))} and {', '.join(map(str, read_then))}",
        ANEW: ", ".join(map(str, counts)) or "there is none",
        "the image of item 2, read again": again[0],
        BESIDE: wrapped[1][0],
        "the other data set stays as it is": untouched
        and torch.equal(dataset.images, images)
        and torch.equal(dataset.labels, labels),
    }


def little_pictures(g, count, *factors_and_summands):
    images = 1 + torch.rand(count, 1, 2, 3, generator=g, dtype=torch.float64)
    labels = 2 + torch.randperm(count, generator=g)
    return images, labels, *factors_and_summands


@Transformed.probe
def two_transforms(g):
    return little_pictures(g, 4, (2.0, 3.0), (1.0, -5.0))


@Transformed.probe
def three_transforms(g):
    return little_pictures(g, 6, (-1.0, 3.0, 0.5), (4.0, 0.25, 7.0))


@Transformed.probe
def no_transform(g):
    return little_pictures(g, 5, (), ())


@Transformed.probe
def one_of_them_twice(g):
    return little_pictures(g, 4, (2.0, -3.0, 2.0), (1.0, 6.0, 1.0))


@Transformed.probe
def prices_for_labels(g):
    images, labels, *numbers = little_pictures(g, 5, (3.0,), (-1.0,))
    return images, labels + 0.75, *numbers


@Transformed.probe
def one_transform(g):
    return little_pictures(g, 3, (10.0,), (2.0,))


@Transformed.alternative("`functools.reduce` is the same loop.")
class WithReduce(Dataset):
    def __init__(self, dataset, *transforms):
        self.dataset = dataset
        self.transforms = transforms

    def __len__(self):
        return self.dataset.__len__()

    def __getitem__(self, index):
        pair = self.dataset[index]
        return reduce(lambda image, step: step(image), self.transforms, pair[0]), pair[1]


@Transformed.alternative(
    "`nn.Sequential` calls functions in turn only if they are modules; a function of functions does, too."
)
class ComposedAtFirst:
    def __init__(self, dataset, *transforms):
        def composed(image):
            for transform in transforms:
                image = transform(image)
            return image

        self.under, self.composed = dataset, composed

    def __len__(self):
        return len(self.under)

    def __getitem__(self, index):
        image, label = self.under[index]
        return [self.composed(image), label]


@Transformed.alternative("A `Subset` of everything knows its length and reads one item.")
class AsASubset(Subset):
    def __init__(self, dataset, *transforms):
        super().__init__(dataset, range(len(dataset)))
        self.transforms = transforms

    def __getitem__(self, index):
        image, label = super().__getitem__(index)
        for transform in self.transforms:
            image = transform(image)
        return image, label

    def __getitems__(self, indices):
        return [self[index] for index in indices]


class Wrapper(Dataset):
    """Hold the data set and the transforms, as the order asks; what an item is, is still open."""

    def __init__(self, dataset, *transforms):
        self.dataset = dataset
        self.transforms = transforms

    def __len__(self):
        return len(self.dataset)


@Transformed.misconception(
    title="The last transform runs first",
    why="Functions do not commute: doubling and then adding 1 gives something else than the other way round. A picture that "
    "is standardised before it is scaled to 0…1 is wrong in every pixel.",
    next="Go through the transforms in the order in which they were given.",
    link="transforms",
    shows="the image of item 2",
)
class LastFirst(Wrapper):
    def __getitem__(self, index):
        image, label = self.dataset[index]
        for transform in reversed(self.transforms):
            image = transform(image)
        return image, label


@Transformed.misconception(
    title="Each transform begins with the original image",
    why="Every function gets the image as it came, and only what the last one returns is kept. The work of all others is lost.",
    next="Hand each function what the one before has returned.",
    link="transforms",
    shows="the image of item 2",
)
class FromTheOriginal(Wrapper):
    def __getitem__(self, index):
        image, label = self.dataset[index]
        result = image
        for transform in self.transforms:
            result = transform(image)
        return result, label


ONLY_THE_FIRST = dict(
    title="Only the first transform runs",
    why="A `return` inside the loop ends everything after the first round.",
    next="Return when the loop is over.",
    link="transforms",
)


@Transformed.misconception(**ONLY_THE_FIRST)
class OnlyTheFirstOrNone(Wrapper):
    def __getitem__(self, index):
        image, label = self.dataset[index]
        for transform in self.transforms:
            image = transform(image)
            return image, label
        return None


@Transformed.misconception(
    title="A transform that is given twice runs once",
    why="A set or a dict holds each function once. Two rounds of blurring are another picture than one.",
    next="Keep the functions as they come, in a list or a tuple.",
    link="transforms",
    shows=ANEW,
)
class EachOnce(Wrapper):
    def __getitem__(self, index):
        image, label = self.dataset[index]
        for transform in dict.fromkeys(self.transforms):
            image = transform(image)
        return image, label


@Transformed.misconception(
    title="The transforms are kept on the class",
    why="What is stored under the name of the class belongs to all wrappers together. The one for validation, made second, "
    "takes the augmentation away from the one for training.",
    next="Store it under `self`: that is this one wrapper.",
    link="transforms",
    shows=BESIDE,
)
class TransformsOnTheClass(Wrapper):
    def __init__(self, dataset, *transforms):
        self.dataset = dataset
        TransformsOnTheClass.transforms = transforms

    def __getitem__(self, index):
        image, label = self.dataset[index]
        for transform in self.transforms:
            image = transform(image)
        return image, label


@Transformed.misconception(
    title="The label was made an int",
    why="A label is not always the number of a class. A price of 2.75 becomes 2, and a wrapper has no business with it.",
    next="Hand on what the other data set gave.",
    link="transforms",
    shows="the label of item 2",
)
class LabelAsInt(Wrapper):
    def __getitem__(self, index):
        image, label = self.dataset[index]
        for transform in self.transforms:
            image = transform(image)
        return image, int(label)


@Transformed.misconception(**ONLY_THE_FIRST)
class OnlyTheFirst(Wrapper):
    def __getitem__(self, index):
        image, label = self.dataset[index]
        for transform in self.transforms:
            return transform(image), label
        return image, label


@Transformed.misconception(
    title="What the transforms return is thrown away",
    why="A transform leaves its argument alone and returns the result. Called on a line of its own, it does nothing.",
    next="Assign what comes back.",
    link="transforms",
    shows="the image of item 2",
)
class ThrownAway(Wrapper):
    def __getitem__(self, index):
        image, label = self.dataset[index]
        for transform in self.transforms:
            transform(image)
        return image, label


@Transformed.misconception(
    title="The label went through the transforms, too",
    why="A label is the number of a class. Shifted or scaled it names another class, or none.",
    next="Pass the image through, and leave the label alone.",
    link="transforms",
    shows="the label of item 2",
)
class LabelToo(Wrapper):
    def __getitem__(self, index):
        image, label = self.dataset[index]
        for transform in self.transforms:
            image, label = transform(image), transform(label)
        return image, label


@Transformed.misconception(
    title="The label is lost",
    why="Whoever wraps a data set hands on all of it. A training loop unpacks each batch into images and labels, and finds "
    "images only.",
    next="Return a pair.",
    link="transforms",
    shows="item 2",
)
class ImageAlone(Wrapper):
    def __getitem__(self, index):
        image, _label = self.dataset[index]
        for transform in self.transforms:
            image = transform(image)
        return image


@Transformed.misconception(
    title="Remembered the first result",
    why="A transform may be random: that is the point of augmentation. Remembered, each image is drawn once and comes the same "
    "in every epoch. And the memory fills with images.",
    next="Compute the item whenever it is asked for.",
    link="transforms",
    shows=ANEW,
)
class Remembered(Wrapper):
    def __init__(self, dataset, *transforms):
        super().__init__(dataset, *transforms)
        self.known = {}

    def __getitem__(self, index):
        if index not in self.known:
            image, label = self.dataset[index]
            for transform in self.transforms:
                image = transform(image)
            self.known[index] = image, label
        return self.known[index]


@Transformed.misconception(
    title="Everything was computed at the start",
    why="All images are read and transformed before the first one is asked for. That takes the time and the memory of the "
    "whole set, and a random transform is drawn once for ever.",
    next="Keep the data set and the functions, and compute in `__getitem__`.",
    link="transforms",
    shows=AT_FIRST,
)
class ComputedAtFirst(Dataset):
    def __init__(self, dataset, *transforms):
        self.items = []
        for place in range(len(dataset)):
            image, label = dataset[place]
            for transform in transforms:
                image = transform(image)
            self.items.append((image, label))

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return self.items[index]


@Transformed.misconception(
    title="Counted the transforms",
    why="The length says how many examples there are. The loader draws its places from it and would never reach the rest.",
    next="Ask the other data set for its length.",
    link="transforms",
    shows="the length",
)
class CountedTransforms(Wrapper):
    def __len__(self):
        return len(self.transforms)

    def __getitem__(self, index):
        image, label = self.dataset[index]
        for transform in self.transforms:
            image = transform(image)
        return image, label


@Transformed.misconception(
    title="The other data set is read twice for one item",
    why="`self.dataset[index]` computes the whole pair each time. Read once for the image and once for the label it costs "
    "double, and if it draws random numbers, the two need not belong together.",
    next="Unpack one reading into both names.",
    link="transforms",
    shows=READ,
)
class ReadTwice(Wrapper):
    def __getitem__(self, index):
        image = self.dataset[index][0]
        for transform in self.transforms:
            image = transform(image)
        label = self.dataset[index][1]
        return image, label


@Transformed.misconception(
    title="The same item whatever the index",
    why="The index is not used, so every draw gives the first image.",
    next="Ask the other data set for item `index`.",
    link="transforms",
    shows="the image of item 2",
)
class AlwaysItemZero(Wrapper):
    def __getitem__(self, index):
        image, label = self.dataset[0]
        for transform in self.transforms:
            image = transform(image)
        return image, label


@Transformed.misconception(
    title="The pair as a whole went into the transforms",
    why="An item is a pair, and a transform is a function of an image. Given a pair, most raise an error.",
    next="Unpack the pair, and pass on the image.",
    link="transforms",
)
class WholePair(Wrapper):
    def __getitem__(self, index):
        item = self.dataset[index]
        for transform in self.transforms:
            item = transform(item)
        return item


@Transformed.misconception(
    title="Called the collection of transforms",
    why="`self.transforms` holds functions, and is none itself. Each of them has to be called, one after the other.",
    next="Loop over them.",
    link="transforms",
)
class CalledTheTuple(Wrapper):
    def __getitem__(self, index):
        image, label = self.dataset[index]
        return self.transforms(image), label


# Statistics ---------------------------------------------------------------------------------------


@exercise(
    level="supported",
    minutes=10,
    why="Sums over pixels can be added up over batches of any size; means and standard deviations can not.",
    hints=(
        "Means of batches cannot be averaged, because the last batch is short. What can be added up over batches?",
        "Three running totals are enough: how many pixels, their sum, and the sum of their squares.",
        "The variance is the mean of the squares minus the square of the mean.",
    ),
)
def pixel_statistics(loader) -> tuple[float, float]:
    """Measure the mean and the standard deviation of all the pixels that a loader gives.

    loader: a DataLoader, or anything else that gives batches in a `for` loop, such as a list. Each is
    a pair (images, labels), and a second loop gives the same again. images: (B, …) floats; leave them
    as they are. Batches may differ in size, and every pixel that comes counts the same.
    Returns two Python floats. Whether you divide the squares by the number of pixels or by one less
    makes no difference here.
    """
    # solution:
    count, total, squares = 0, 0.0, 0.0
    for images, _ in loader:
        count += images.numel()
        total += images.sum().item()
        squares += images.square().sum().item()
    mean = total / count
    return mean, (squares / count - mean**2) ** 0.5
    # end solution


class Pictures(Dataset):
    """Pairs of a picture and a label, from tensors; a `transform` may change the picture."""

    def __init__(self, images, labels, transform=None):
        self.images, self.labels, self.transform = images, labels, transform

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        image, label = self.images[index], int(self.labels[index])
        return (self.transform(image) if self.transform else image), label


def settled(value, due, margin):
    """Give what was due if a float is as near as rounding allows, else the float."""
    return due if abs(value - due) <= margin * abs(due) else value


def each_number(result):
    """Say what kinds of objects came back."""
    if not isinstance(result, tuple | list):
        return form_of(result)
    return ", ".join("float" if isinstance(v, float) else type(v).__name__ for v in result)


RETURNED = "what comes back"
ROUNDING = 2e-5


@pixel_statistics.drive
def measure_pixels(answer, loader):
    exact = torch.cat([images.double().flatten() for images, _ in loader])
    result = answer(loader)
    seen = {RETURNED: each_number(result)}
    if seen[RETURNED].replace("Tensor", "float") != "float, float":
        return seen
    deviations = exact.std(correction=0).item(), exact.std().item()
    mean, deviation = (float(value) for value in result)
    nearest = min(deviations, key=lambda due: abs(deviation - due))
    return seen | {
        "the mean": settled(mean, exact.mean().item(), ROUNDING),
        "the standard deviation": deviations[0]
        if abs(deviation - nearest) <= ROUNDING * nearest
        else deviation,
    }


def brighter_and_brighter(g, *shape):
    """Make pictures whose brightness grows from the first to the last, so that batches differ."""
    images = torch.rand(*shape, generator=g)
    level = torch.linspace(0.1, 1.5, shape[0]).reshape(-1, *(1 for _ in shape[1:]))
    return images * level + level**2


def loader_of(images, batch_size):
    dataset = Pictures(images, torch.arange(len(images)) % 7)
    return (DataLoader(dataset, batch_size=batch_size),)


def sizes_of(loader):
    """Say how large the batches are."""
    sizes = [len(images) for images, _ in loader]
    return f"The batches hold {', '.join(map(str, sizes[:-1]))} and {sizes[-1]} pictures."


@pixel_statistics.probe
def five_pictures(g):
    return loader_of(brighter_and_brighter(g, 5, 1, 2, 3), 4)


@pixel_statistics.probe
def a_batch_of_one_at_the_end(g):
    return loader_of(brighter_and_brighter(g, 13, 1, 4, 4), 6)


@pixel_statistics.probe
def flat_pictures(g):
    return loader_of(brighter_and_brighter(g, 11, 20), 3)


@pixel_statistics.probe
def three_channels(g):
    return loader_of(brighter_and_brighter(g, 7, 3, 2, 2) - 2, 5)


@pixel_statistics.probe
def a_list_of_batches(g):
    images = brighter_and_brighter(g, 9, 1, 3, 2)
    return (list(zip(images.split(4), torch.arange(9).split(4), strict=True)),)


@pixel_statistics.probe
def dropped_from_the_data_set(g):  # what the loader does not give, does not count
    images = brighter_and_brighter(g, 11, 1, 2, 2)
    dataset = Pictures(images, torch.arange(11))
    return (DataLoader(dataset, batch_size=4, drop_last=True, sampler=range(10, -1, -1)),)


@pixel_statistics.alternative("All the pixels at once, where they fit into memory.")
def all_at_once(loader):
    pixels = torch.cat([images.flatten() for images, _ in loader])
    return pixels.mean().item(), pixels.std().item()


@pixel_statistics.alternative(
    "Twice through the loader: the mean first, then the squared deviations from it."
)
def twice_through(loader):
    count = sum(images.numel() for images, _ in loader)
    mean = sum(float(images.sum()) for images, _ in loader) / count
    squares = sum(((images - mean) ** 2).sum().item() for images, _ in loader)
    return mean, math.sqrt(squares / (count - 1))


@pixel_statistics.alternative(
    "The batches' means, weighted by their sizes; for the squares as well."
)
def weighted_means(loader):
    weights, means, squares = [], [], []
    for batch in loader:
        pixels = batch[0].double()
        weights.append(len(pixels))
        means.append(pixels.mean().item())
        squares.append(pixels.pow(2).mean().item())
    mean, square = np.average(means, weights=weights), np.average(squares, weights=weights)
    return float(mean), float(np.sqrt(square - mean**2))


@pixel_statistics.misconception(
    title="The batches' means were averaged",
    why="The short last batch then counts as much as a full one, and its few pictures weigh more than all the others.",
    next="Add up sums and counts over the batches, and divide once.",
    link="whose-statistics",
    shows="the mean",
    evidence=sizes_of,
)
def averaged_both(loader):
    means, deviations = [], []
    for images, _ in loader:
        means.append(images.mean().item())
        deviations.append(images.std().item())
    return sum(means) / len(means), sum(deviations) / len(deviations)


@pixel_statistics.misconception(
    title="The batches' means of pixels and of squares were averaged",
    why="Working with squares is right. But a mean of batch means gives the short last batch as much weight as a full one.",
    next="Add up sums and counts over the batches, and divide once.",
    link="whose-statistics",
    shows="the mean",
    evidence=sizes_of,
)
def averaged_the_moments(loader):
    means, squares = [], []
    for images, _ in loader:
        means.append(images.mean().item())
        squares.append(images.square().mean().item())
    mean, square = sum(means) / len(means), sum(squares) / len(squares)
    return mean, (square - mean**2) ** 0.5


DEVIATIONS_AVERAGED = dict(
    title="The batches' standard deviations were averaged",
    why="The mean is right. But the deviation of a batch is measured from the batch's own mean: how far the batches lie "
    "apart is in none of them. Deviations cannot be averaged, not even with weights.",
    next="Add up the squares of the pixels, as you add up the pixels.",
    link="whose-statistics",
    shows="the standard deviation",
)


@pixel_statistics.misconception(**DEVIATIONS_AVERAGED)
def weighted_deviations_by_one_less(loader):
    count, total, deviations = 0, 0.0, 0.0
    for images, _ in loader:
        count += images.numel()
        total += images.sum().item()
        deviations += images.std().item() * images.numel()
    return total / count, deviations / count


@pixel_statistics.misconception(**DEVIATIONS_AVERAGED)
def plain_mean_of_deviations(loader):
    count, total, deviations = 0, 0.0, []
    for images, _ in loader:
        count += images.numel()
        total += images.sum().item()
        deviations.append(images.std().item())
    return total / count, sum(deviations) / len(deviations)


@pixel_statistics.misconception(**DEVIATIONS_AVERAGED)
def weighted_deviations(loader):
    count, total, deviations = 0, 0.0, 0.0
    for images, _ in loader:
        count += images.numel()
        total += images.sum().item()
        deviations += images.std(correction=0).item() * images.numel()
    return total / count, deviations / count


VARIANCES_AVERAGED = dict(
    title="The batches' variances were averaged",
    why="The mean is right. But the variance of a batch is measured from the batch's own mean: how far the batches lie "
    "apart is in none of them.",
    next="Add up the squares of the pixels, as you add up the pixels.",
    link="whose-statistics",
    shows="the standard deviation",
)


@pixel_statistics.misconception(**VARIANCES_AVERAGED)
def weighted_variances_by_one_less(loader):
    count, total, variances = 0, 0.0, 0.0
    for images, _ in loader:
        count += images.numel()
        total += images.sum().item()
        variances += images.var().item() * images.numel()
    return total / count, (variances / count) ** 0.5


@pixel_statistics.misconception(**VARIANCES_AVERAGED)
def weighted_variances(loader):
    count, total, variances = 0, 0.0, 0.0
    for images, _ in loader:
        count += images.numel()
        total += images.sum().item()
        variances += images.var(correction=0).item() * images.numel()
    return total / count, (variances / count) ** 0.5


GAVE_THE_VARIANCE = dict(
    title="Gave the variance",
    why="The variance is the square of the standard deviation, and has the square of its unit. Dividing by it leaves pixels "
    "of another size.",
    next="Take the root.",
    link="whose-statistics",
    shows="the standard deviation",
)


@pixel_statistics.misconception(**GAVE_THE_VARIANCE)
def gave_torchs_variance(loader):
    pixels = torch.cat([images.flatten() for images, _ in loader])
    return pixels.mean().item(), pixels.var().item()


@pixel_statistics.misconception(
    title="The two numbers are the wrong way round",
    why="The mean is due first, the standard deviation second. Whoever unpacks the pair subtracts a deviation and divides by a "
    "mean, and nothing complains.",
    next="Look at the order of the two in the text.",
    link="whose-statistics",
    shows="the mean",
)
def wrong_way_round(loader):
    pixels = torch.cat([images.flatten() for images, _ in loader])
    return pixels.std().item(), pixels.mean().item()


@pixel_statistics.misconception(
    title="Went around the loader",
    why="The data set under a loader is not what the loader gives: a sampler may choose, `drop_last` may leave out, and batches "
    "may come from something that has no data set at all.",
    next="Loop over the loader itself, and count what comes.",
    link="whose-statistics",
)
def went_around_the_loader(loader):
    dataset = loader.dataset
    pixels = torch.stack([dataset[place][0] for place in range(len(dataset))])
    return pixels.mean().item(), pixels.std().item()


IN_PLACE = dict(
    title="The batches were changed in place",
    why="`-=`, or an underscore at the end of a method's name, writes into the tensor itself. Where a loader gives stored "
    "tensors, as a list of batches does, the pixels are others from then on, and the next loop reads those.",
    next="Compute new tensors, and leave the batch alone.",
    link="whose-statistics",
)


@pixel_statistics.misconception(**IN_PLACE)
def centred_in_place(loader):
    count = sum(images.numel() for images, _ in loader)
    mean = sum(images.sum().item() for images, _ in loader) / count
    squares = 0.0
    for images, _ in loader:
        images -= mean
        squares += images.square().sum().item()
    return mean, (squares / count) ** 0.5


@pixel_statistics.misconception(**IN_PLACE)
def squared_in_place(loader):
    count, total, squares = 0, 0.0, 0.0
    for images, _ in loader:
        count += images.numel()
        total += images.sum().item()
        squares += images.square_().sum().item()
    mean = total / count
    return mean, (squares / count - mean**2) ** 0.5


@pixel_statistics.misconception(**GAVE_THE_VARIANCE)
def gave_the_variance(loader):
    count, total, squares = 0, 0.0, 0.0
    for images, _ in loader:
        count += images.numel()
        total += images.sum().item()
        squares += images.square().sum().item()
    mean = total / count
    return mean, squares / count - mean**2


@pixel_statistics.misconception(
    title="The root of the mean square is not the standard deviation",
    why="The squares were measured from 0 and not from the mean. Only for pixels with mean 0 that is the same.",
    next="Subtract the square of the mean before you take the root.",
    link="whose-statistics",
    shows="the standard deviation",
)
def forgot_the_mean(loader):
    count, total, squares = 0, 0.0, 0.0
    for images, _ in loader:
        count += images.numel()
        total += images.sum().item()
        squares += images.square().sum().item()
    mean = total / count
    return mean, (squares / count) ** 0.5


@pixel_statistics.misconception(
    title="Divided by the number of pictures",
    why="The sums run over pixels, and a picture has many. Divided by the number of pictures, the mean is the brightness of "
    "a whole picture.",
    next="Count what you add up: `numel` counts elements, `len` only the first axis.",
    link="whose-statistics",
    shows="the mean",
)
def divided_by_pictures(loader):
    count, total, squares = 0, 0.0, 0.0
    for images, _ in loader:
        count += len(images)
        total += images.sum().item()
        squares += images.square().sum().item()
    mean = total / count
    return mean, abs(squares / count - mean**2) ** 0.5


@pixel_statistics.misconception(
    title="Measured one batch",
    why="One batch is a sample of the data. Its numbers are near, and change with every shuffle.",
    next="Go through all the batches.",
    link="whose-statistics",
    shows="the mean",
)
def one_batch(loader):
    images, _ = next(iter(loader))
    return images.mean().item(), images.std().item()


THE_LAST_BATCH = dict(
    title="Only the last batch is left",
    why="Each round of the loop overwrites what the one before has measured.",
    next="Add up over the batches.",
    link="whose-statistics",
    shows="the mean",
)


@pixel_statistics.misconception(**THE_LAST_BATCH)
def the_last_batch_by_one_less(loader):
    for images, _ in loader:
        mean, deviation = images.mean().item(), images.std().item()
    return mean, deviation


@pixel_statistics.misconception(**THE_LAST_BATCH)
def the_last_batch(loader):
    for images, _ in loader:
        mean, deviation = images.mean().item(), images.std(correction=0).item()
    return mean, deviation


@pixel_statistics.misconception(
    title="Returned tensors",
    why="The numbers are right, as tensors. Whoever prints or stores them expects plain numbers.",
    next="`.item()` takes the number out.",
    link="whose-statistics",
    shows=RETURNED,
)
def left_as_tensors(loader):
    pixels = torch.cat([images.flatten() for images, _ in loader])
    return pixels.mean(), pixels.std(correction=0)


@pixel_statistics.misconception(
    title="One number for each pixel of the picture",
    why="A mean along the batch axis alone is a mean picture. One mean and one deviation for all pixels are due.",
    next="Reduce over all axes.",
    link="whose-statistics",
    shows=RETURNED,
)
def a_mean_picture(loader):
    pictures = torch.cat([images for images, _ in loader])
    return pictures.mean(0), pictures.std(0)


@pixel_statistics.misconception(
    title="How far the pictures' means lie apart",
    why="The deviation of the means says how much brightness differs from picture to picture. The differences inside a "
    "picture are lost, and they are most of it.",
    next="Measure pixels: their sum, their squares, their number.",
    link="whose-statistics",
    shows="the standard deviation",
)
def deviation_of_means(loader):
    pictures = torch.cat([images.flatten(1) for images, _ in loader])
    means = pictures.mean(1)
    return means.mean().item(), means.std(correction=0).item()


IMAGES_DEVIATIONS = dict(
    title="The images' own standard deviations were averaged",
    why="The mean is right. But the deviation of one image is measured from that image's own mean: that some images are brighter than "
    "others is in none of them, and so the average comes out too small. Deviations cannot be averaged.",
    next="Add up the squares of the pixels, as you add up the pixels.",
    link="whose-statistics",
    shows="the standard deviation",
)


@pixel_statistics.misconception(**IMAGES_DEVIATIONS)
def mean_of_the_images_deviations(loader):
    pixels = torch.cat([images.flatten(1) for images, _ in loader])
    return pixels.mean().item(), pixels.std(1).mean().item()


@pixel_statistics.misconception(**IMAGES_DEVIATIONS)
def mean_of_the_images_whole_deviations(loader):
    pixels = torch.cat([images.flatten(1) for images, _ in loader])
    return pixels.mean().item(), pixels.std(1, correction=0).mean().item()


# Loaders ------------------------------------------------------------------------------------------


@exercise(
    level="independent",
    minutes=10,
    why="One generator, seeded by the argument, decides the split and the order of every epoch, and the validation loader does not draw from it.",
    hints=(
        "Two steps: split the data set in two, then put a loader around each part. Random numbers are drawn in both steps.",
        "`random_split` and `DataLoader` each take a `generator`. Without one, they use the source that everybody shares.",
        "The sizes for `random_split` stand in a list, the first part first. A loader for validation needs no shuffling.",
    ),
    equivalent_mutants=(
        "return (train_loader, DataLoader(validation))",
        "return (train_loader, DataLoader(validation, batch_size=255))",
        "return (train_loader, DataLoader(validation, batch_size=257))",
    ),
)
def make_loaders(dataset, held_out: int, batch_size: int, seed: int):
    """Split a data set and make a loader for each part.

    dataset: any data set with a length. held_out: how many examples to set apart for validation, 1
    or more. batch_size: of the training batches. seed: an int, 0 or more.
    Returns two DataLoaders without worker processes: (train_loader, validation_loader).
    Which examples are held out is drawn at random, and each example is in exactly one of the parts.
    The training loader gives all of its part, the short last batch too, in a new random order every
    epoch. The validation loader gives all of its part, in the same order every time, in batches of
    any size.
    The seed alone decides the split and the order of every epoch. Another seed gives another split,
    and another way of shuffling. So these three change nothing: the state of the program's shared
    random numbers; going through the validation loader between two epochs; and calling
    `make_loaders` again while the first loaders are in use.
    Making the loaders uses up no shared random number. (Going through them may.)
    """
    # solution:
    generator = torch.Generator().manual_seed(seed)
    sizes = [len(dataset) - held_out, held_out]
    train, validation = random_split(dataset, sizes, generator=generator)
    train_loader = DataLoader(train, batch_size=batch_size, shuffle=True, generator=generator)
    return train_loader, DataLoader(validation, batch_size=256)
    # end solution


class Places(Dataset):
    """A data set whose example i is (10 i, 7 i + 3), and that notes its reading."""

    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        if not 0 <= index < self.count:
            raise IndexError(index)
        return torch.tensor([10.0 * index, 1.0]), 7 * int(index) + 3


def epoch_of(loader, most):
    """Go through a loader once; give the places in each of its batches."""
    return [places_of(inputs) for inputs, _ in collected(loader, most)]


def rehearse(answer, dataset, held_out, batch_size, seed, world, times=3):
    """Make the loaders and go through some epochs, with the shared random numbers somewhere."""
    start_the_world(world)
    train, validation = answer(dataset, held_out, batch_size, seed)
    most, epochs, measured = len(dataset) + 3, [], []
    for _ in range(times):
        epochs.append(epoch_of(train, most))
        measured.append(epoch_of(validation, most))
        torch.rand(3)
    return epochs, measured


def train_only(answer, dataset, held_out, batch_size, seed, others):
    """Go through two epochs of training without validating; others may make loaders meanwhile."""
    start_the_world(20)
    train, _validation = answer(dataset, held_out, batch_size, seed)
    epochs = []
    for _ in range(2):
        epochs.append(epoch_of(train, len(dataset) + 3))
        if others:
            answer(dataset, held_out, batch_size, seed + 5)
    return epochs


def reshuffling(epochs):
    """Say where in its first epoch each example of the second stood; the examples do not matter."""
    first, second = flat(epochs[0]), flat(epochs[1])
    return [first.index(place) if place in first else None for place in second]


def shared_out(kept, apart, count):
    """Say whether two parts hold each example once."""
    missing = count > len({*kept, *apart})
    words = ["some are in both parts"] if {*kept} & {*apart} else []
    words += ["some are in neither"] if missing else []
    words += ["some come twice in one part"] if len({*kept}) < len(kept) else []
    return ", ".join(words) or "each is in exactly one part"


ALONE = "the training order is the same without going through the validation loader"
UNDISTURBED = "the training order is the same when other loaders are made"
HELD_OUT = "how many examples come for validation"
WHICH = "which are held out"
PARTS = "the examples of both parts together"
TRAIN_SIZES = "the sizes of the training batches"
TRAIN_ORDER = "the order of the training batches"
EVERY_EPOCH = "every epoch has another order"
SAME_VALIDATION = "the validation order stays the same"
SAME_SPLIT = "the same seed gives the same split"
SAME_EPOCHS = "the same seed gives the same order in every epoch"
OTHER_SPLIT = "another seed gives another split"
OTHER_ORDER = "another seed gives another order"
OTHER_SHUFFLE = "another seed shuffles in another way"
BOTH = "the two that come back"
WORKERS = "worker processes"


@make_loaders.drive
def make_and_go_through(answer, dataset, held_out, batch_size, seed):
    count = len(dataset)
    made = answer(dataset, held_out, batch_size, seed)
    kinds = form_of_batch(made)
    seen = {BOTH: kinds}
    if kinds != "a DataLoader beside a DataLoader":
        return seen
    seen[WORKERS] = sum(loader.num_workers for loader in made)
    if seen[WORKERS]:
        return seen
    epochs, measured = rehearse(answer, dataset, held_out, batch_size, seed, 20)
    again, measured_again = rehearse(answer, dataset, held_out, batch_size, seed, 21)
    others = [rehearse(answer, dataset, held_out, batch_size, seed + k, 20, 2) for k in (1, 42)]
    alone, beside = (
        train_only(answer, dataset, held_out, batch_size, seed, others=o) for o in (False, True)
    )
    kept, apart = flat(epochs[0]), flat(measured[0])
    order = mixture(epochs[0]) if batch_size < len(kept) else mixture([kept])
    run = sorted(apart)
    in_a_row = len(run) > 1 and run == list(range(run[0], run[0] + len(run)))
    sizes_alike = all([*map(len, e)] == [*map(len, epochs[0])] for e in epochs)
    return seen | {
        HELD_OUT: len(apart),
        PARTS: shared_out(kept, apart, count),
        WHICH: "a block of neighbours" if in_a_row else "drawn from everywhere",
        TRAIN_SIZES: ", ".join(str(len(piece)) for piece in epochs[0]),
        "every epoch has the same sizes": sizes_alike,
        TRAIN_ORDER: order,
        EVERY_EPOCH: len({str(epoch) for epoch in epochs}) == 3,
        COMPANY: company_changes(epochs[0], epochs[1]),
        SAME_VALIDATION: all(epoch == measured[0] for epoch in measured),
        SAME_SPLIT: sorted(flat(measured_again[0])) == sorted(apart),
        SAME_EPOCHS: again == epochs,
        OTHER_SPLIT: all(sorted(flat(other[1][0])) != sorted(apart) for other in others),
        OTHER_ORDER: all(other[0] != epochs[:2] for other in others),
        OTHER_SHUFFLE: epochs[1] == epochs[0]
        or all(reshuffling(other[0]) != reshuffling(epochs) for other in others),
        ALONE: again != epochs or alone == epochs[:2],
        UNDISTURBED: again != epochs or beside == alone,
        SHARED: fate_of_the_world(lambda: answer(dataset, held_out, batch_size, seed)),
    }


@make_loaders.probe
def twenty_six(g):
    return Places(26), 7, 4, 3


@make_loaders.probe
def forty_one(g):
    return Places(41), 13, 8, 0


@make_loaders.probe
def nothing_left_over(g):
    return Places(30), 6, 8, 11


@make_loaders.probe
def one_large_batch(g):
    return Places(24), 11, 100, 5


@make_loaders.alternative(
    "A permutation and two `Subset`s; each loader with a generator of its own."
)
def with_subsets(dataset, held_out, batch_size, seed):
    order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(seed)).tolist()
    apart, kept = Subset(dataset, sorted(order[:held_out])), Subset(dataset, order[held_out:])
    own = torch.Generator().manual_seed(seed + 1_000_000)
    return (
        DataLoader(kept, batch_size, shuffle=True, generator=own),
        DataLoader(apart, batch_size, shuffle=False, generator=torch.Generator()),
    )


@make_loaders.alternative("A sampler may do the shuffling, with places in the whole data set.")
def with_samplers(dataset, held_out, batch_size, seed):
    rng = np.random.default_rng(seed)
    places = rng.permutation(len(dataset)).tolist()
    generator = torch.Generator().manual_seed(seed)
    sampler = SubsetRandomSampler(places[held_out:], generator=generator)
    train_loader = DataLoader(dataset, batch_size=batch_size, sampler=sampler)
    return train_loader, DataLoader(dataset, batch_size=32, sampler=places[:held_out])


@make_loaders.alternative("The shared random numbers are borrowed for the split and given back.")
def borrowed(dataset, held_out, batch_size, seed):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        parts = random_split(dataset, [held_out, len(dataset) - held_out])
        later = torch.Generator().manual_seed(int(torch.randint(0, 2**31, ())))
    validation, train = parts
    return DataLoader(train, batch_size, True, generator=later), DataLoader(validation, 7)


@make_loaders.misconception(
    title="The split draws from the shared random numbers",
    why="Without a generator, `random_split` draws a new split in every run. Stop a training and go on tomorrow, and examples "
    "that were held out yesterday are trained on: the validation set has leaked.",
    next="Give `random_split` a generator that the seed has set.",
    link="splitting-so-that-it-can-be-repeated",
    shows=SAME_SPLIT,
)
def split_without_generator(dataset, held_out, batch_size, seed):
    generator = torch.Generator().manual_seed(seed)
    sizes = [len(dataset) - held_out, held_out]
    train, validation = random_split(dataset, sizes)
    train_loader = DataLoader(train, batch_size=batch_size, shuffle=True, generator=generator)
    return train_loader, DataLoader(validation, batch_size=256)


@make_loaders.misconception(
    title="The order of the epochs draws from the shared random numbers",
    why="The split is repeatable, the order is not: without a generator of its own, the loader draws a new seed from the "
    "shared source for every epoch. A layer more in the network, and all orders change.",
    next="Give the training loader a generator, too.",
    link="splitting-so-that-it-can-be-repeated",
    shows=SAME_EPOCHS,
)
def order_without_generator(dataset, held_out, batch_size, seed):
    generator = torch.Generator().manual_seed(seed)
    sizes = [len(dataset) - held_out, held_out]
    train, validation = random_split(dataset, sizes, generator=generator)
    train_loader = DataLoader(train, batch_size=batch_size, shuffle=True)
    return train_loader, DataLoader(validation, batch_size=256)


@make_loaders.misconception(
    title="Nothing is decided by the seed",
    why="Neither the split nor the order got a generator. Both draw from the shared source, and the argument `seed` is not "
    "used.",
    next="Make a generator from the seed, and hand it to whatever draws.",
    link="splitting-so-that-it-can-be-repeated",
    shows=SAME_SPLIT,
)
def seed_unused(dataset, held_out, batch_size, seed):
    sizes = [len(dataset) - held_out, held_out]
    train, validation = random_split(dataset, sizes)
    train_loader = DataLoader(train, batch_size=batch_size, shuffle=True)
    return train_loader, DataLoader(validation, batch_size=256)


@make_loaders.misconception(
    title="Seeded everybody's random numbers",
    why="`torch.manual_seed` sets the source that the whole program shares: the caller's dropout and initial weights now "
    "depend on this call. And the orders of the epochs are drawn later, when others have used that source as well.",
    next="`torch.Generator().manual_seed(seed)` is a source of your own.",
    link="splitting-so-that-it-can-be-repeated",
    shows=SHARED,
)
def seeded_everybody(dataset, held_out, batch_size, seed):
    torch.manual_seed(seed)
    sizes = [len(dataset) - held_out, held_out]
    train, validation = random_split(dataset, sizes)
    train_loader = DataLoader(train, batch_size=batch_size, shuffle=True)
    return train_loader, DataLoader(validation, batch_size=256)


@make_loaders.misconception(
    title="The same seed whatever the argument",
    why="A number written into the function always gives the same split. Whoever wants to know how much a result depends on "
    "the split gets the same answer for every seed.",
    next="Seed the generator with the argument.",
    link="splitting-so-that-it-can-be-repeated",
    shows=OTHER_SPLIT,
)
def always_42(dataset, held_out, batch_size, seed):
    generator = torch.Generator().manual_seed(42)
    sizes = [len(dataset) - held_out, held_out]
    train, validation = random_split(dataset, sizes, generator=generator)
    train_loader = DataLoader(train, batch_size=batch_size, shuffle=True, generator=generator)
    return train_loader, DataLoader(validation, batch_size=256)


@make_loaders.misconception(
    title="The same order in every epoch",
    why="An order was drawn once, at the split, and every epoch repeats it, batch by batch. A loader that is not told to "
    "shuffle reads its part as it stands, and a list of places as a sampler stays that list.",
    next="Tell the training loader to shuffle.",
    link="splitting-so-that-it-can-be-repeated",
    shows=EVERY_EPOCH,
)
def without_shuffle(dataset, held_out, batch_size, seed):
    generator = torch.Generator().manual_seed(seed)
    sizes = [len(dataset) - held_out, held_out]
    train, validation = random_split(dataset, sizes, generator=generator)
    train_loader = DataLoader(train, batch_size=batch_size, generator=generator)
    return train_loader, DataLoader(validation, batch_size=256)


@make_loaders.misconception(
    title="The validation loader shuffles, too",
    why="The validation loss is a mean and does not ask for the order. But predictions that come in another order every time "
    "cannot be compared, or put beside their images. And with the shared generator, measuring changes the next epoch.",
    next="Shuffle what is trained on, and nothing else.",
    link="splitting-so-that-it-can-be-repeated",
    shows=SAME_VALIDATION,
)
def shuffled_validation(dataset, held_out, batch_size, seed):
    generator = torch.Generator().manual_seed(seed)
    sizes = [len(dataset) - held_out, held_out]
    train, validation = random_split(dataset, sizes, generator=generator)
    train_loader = DataLoader(train, batch_size=batch_size, shuffle=True, generator=generator)
    return train_loader, DataLoader(validation, batch_size=256, shuffle=True, generator=generator)


@make_loaders.misconception(
    title="The validation loader draws from the same generator",
    why="Each pass over a loader draws a number from its generator, even if nothing is shuffled. So the order of the next epoch "
    "depends on whether you have validated in between, and how often.",
    next="Let nobody but the split and the training loader draw from that generator.",
    link="splitting-so-that-it-can-be-repeated",
    shows=ALONE,
)
def one_generator_for_both(dataset, held_out, batch_size, seed):
    generator = torch.Generator().manual_seed(seed)
    sizes = [len(dataset) - held_out, held_out]
    train, validation = random_split(dataset, sizes, generator=generator)
    train_loader = DataLoader(train, batch_size=batch_size, shuffle=True, generator=generator)
    return train_loader, DataLoader(validation, batch_size=256, generator=generator)


THE_GENERATOR = torch.Generator()


@make_loaders.misconception(
    title="One generator for all loaders that are ever made",
    why="The generator lives outside the function, and each call seeds it again. Making a second pair of loaders throws the "
    "first one back to the start of another sequence.",
    next="Make a new generator in each call.",
    link="splitting-so-that-it-can-be-repeated",
    shows=UNDISTURBED,
)
def a_generator_outside(dataset, held_out, batch_size, seed):
    generator = THE_GENERATOR.manual_seed(seed)
    sizes = [len(dataset) - held_out, held_out]
    train, validation = random_split(dataset, sizes, generator=generator)
    train_loader = DataLoader(train, batch_size=batch_size, shuffle=True, generator=generator)
    return train_loader, DataLoader(validation, batch_size=256)


@make_loaders.misconception(
    title="The parts were drawn one by one, and overlap",
    why="Two random orders are two different orders. An example may be among the last of one and among the first of the other: "
    "it is trained on and measured with, and the validation loss looks better than it is.",
    next="Draw one order, and cut it in two.",
    link="splitting-so-that-it-can-be-repeated",
    shows=PARTS,
)
def drawn_one_by_one(dataset, held_out, batch_size, seed):
    generator = torch.Generator().manual_seed(seed)
    kept = torch.randperm(len(dataset), generator=generator)[held_out:].tolist()
    apart = torch.randperm(len(dataset), generator=generator)[:held_out].tolist()
    train, validation = Subset(dataset, kept), Subset(dataset, apart)
    train_loader = DataLoader(train, batch_size=batch_size, shuffle=True, generator=generator)
    return train_loader, DataLoader(validation, batch_size=256)


@make_loaders.misconception(
    title="The two loaders are returned the wrong way round",
    why="Each loader is made well, for its part. But whoever unpacks them trains on what is held out, in the same order every "
    "time, and measures on the rest.",
    next="The training loader comes first.",
    link="splitting-so-that-it-can-be-repeated",
    shows=HELD_OUT,
)
def loaders_swapped(dataset, held_out, batch_size, seed):
    generator = torch.Generator().manual_seed(seed)
    sizes = [len(dataset) - held_out, held_out]
    train, validation = random_split(dataset, sizes, generator=generator)
    train_loader = DataLoader(train, batch_size=batch_size, shuffle=True, generator=generator)
    return DataLoader(validation, batch_size=batch_size), train_loader


@make_loaders.misconception(
    title="The last validation batch is dropped",
    why="`drop_last=True` leaves out what does not fill a batch. What is left out of a measurement is never measured, and it is "
    "the same examples every time.",
    next="Leave `drop_last` alone.",
    link="splitting-so-that-it-can-be-repeated",
    shows=HELD_OUT,
)
def dropped_the_last_of_validation(dataset, held_out, batch_size, seed):
    generator = torch.Generator().manual_seed(seed)
    sizes = [len(dataset) - held_out, held_out]
    train, validation = random_split(dataset, sizes, generator=generator)
    train_loader = DataLoader(train, batch_size=batch_size, shuffle=True, generator=generator)
    return train_loader, DataLoader(validation, batch_size=batch_size, drop_last=True)


@make_loaders.misconception(
    title="The sizes come from a rounded fraction",
    why="10,000 of 60,000 are a sixth. Rounded to 0.2 that is 12,000 examples.",
    next="`random_split` takes numbers of examples as well.",
    link="splitting-so-that-it-can-be-repeated",
    shows=HELD_OUT,
)
def a_rounded_fraction(dataset, held_out, batch_size, seed):
    generator = torch.Generator().manual_seed(seed)
    fraction = round(held_out / len(dataset), 1)
    parts = random_split(dataset, [1 - fraction, fraction], generator=generator)
    train, validation = parts
    train_loader = DataLoader(train, batch_size=batch_size, shuffle=True, generator=generator)
    return train_loader, DataLoader(validation, batch_size=256)


@make_loaders.misconception(
    title="The split is the same whatever the seed",
    why="The orders of the epochs follow the argument, the split does not. Whoever wants to know how much a result depends on "
    "the split gets the same split for every seed.",
    next="Seed the generator of the split with the argument, too.",
    link="splitting-so-that-it-can-be-repeated",
    shows=OTHER_SPLIT,
)
def split_with_42(dataset, held_out, batch_size, seed):
    sizes = [len(dataset) - held_out, held_out]
    parts = random_split(dataset, sizes, generator=torch.Generator().manual_seed(42))
    train, validation = parts
    generator = torch.Generator().manual_seed(seed)
    train_loader = DataLoader(train, batch_size=batch_size, shuffle=True, generator=generator)
    return train_loader, DataLoader(validation, batch_size=256)


@make_loaders.misconception(
    title="The shuffling is the same whatever the seed",
    why="The split follows the argument. The training loader's generator does not: for every seed it moves the examples of the "
    "part to the same places.",
    next="Seed the loader's generator with the argument, too.",
    link="splitting-so-that-it-can-be-repeated",
    shows=OTHER_SHUFFLE,
)
def shuffled_with_0(dataset, held_out, batch_size, seed):
    rng = torch.Generator().manual_seed(seed)
    train, validation = random_split(dataset, [len(dataset) - held_out, held_out], generator=rng)
    always = torch.Generator().manual_seed(0)
    train_loader = DataLoader(train, batch_size=batch_size, shuffle=True, generator=always)
    return train_loader, DataLoader(validation, batch_size=256)


@make_loaders.misconception(
    title="The parts are swapped",
    why="`random_split` gives the parts in the order of their sizes in the list. You train on what was to be held out, which "
    "is the small part.",
    next="Compare the order of the sizes with the order of the two names.",
    link="splitting-so-that-it-can-be-repeated",
    shows=HELD_OUT,
)
def swapped_parts(dataset, held_out, batch_size, seed):
    generator = torch.Generator().manual_seed(seed)
    sizes = [held_out, len(dataset) - held_out]
    train, validation = random_split(dataset, sizes, generator=generator)
    train_loader = DataLoader(train, batch_size=batch_size, shuffle=True, generator=generator)
    return train_loader, DataLoader(validation, batch_size=256)


@make_loaders.misconception(
    title="Trains on what is held out",
    why="The training loader goes through the whole data set, so the network has seen every validation example. Its validation "
    "loss says nothing about new ones.",
    next="Put the loader around the training part.",
    link="splitting-so-that-it-can-be-repeated",
    shows=PARTS,
)
def trained_on_everything(dataset, held_out, batch_size, seed):
    generator = torch.Generator().manual_seed(seed)
    sizes = [len(dataset) - held_out, held_out]
    _train, validation = random_split(dataset, sizes, generator=generator)
    train_loader = DataLoader(dataset, batch_size=batch_size, shuffle=True, generator=generator)
    return train_loader, DataLoader(validation, batch_size=256)


@make_loaders.misconception(
    title="The end of the data set was cut off",
    why="Data often lies in an order, by class or by date. The end is then not a sample of the whole.",
    next="Draw the examples at random.",
    link="splitting-so-that-it-can-be-repeated",
    shows=WHICH,
)
def cut_the_end(dataset, held_out, batch_size, seed):
    generator = torch.Generator().manual_seed(seed)
    kept = len(dataset) - held_out
    train, validation = Subset(dataset, range(kept)), Subset(dataset, range(kept, len(dataset)))
    train_loader = DataLoader(train, batch_size=batch_size, shuffle=True, generator=generator)
    return train_loader, DataLoader(validation, batch_size=256)


@make_loaders.misconception(
    title="The short last batch is dropped",
    why="`drop_last=True` leaves out what does not fill a batch, in every epoch. Sometimes that is wanted; here all of the "
    "part is due.",
    next="Leave `drop_last` alone.",
    link="splitting-so-that-it-can-be-repeated",
    shows=TRAIN_SIZES,
)
def dropped_the_last(dataset, held_out, batch_size, seed):
    generator = torch.Generator().manual_seed(seed)
    sizes = [len(dataset) - held_out, held_out]
    train, validation = random_split(dataset, sizes, generator=generator)
    train_loader = DataLoader(
        train, batch_size=batch_size, shuffle=True, generator=generator, drop_last=True
    )
    return train_loader, DataLoader(validation, batch_size=256)


@make_loaders.misconception(
    title="Batches of one",
    why="Without a batch size, a loader gives one example at a time: as many steps as examples, each along the gradient of "
    "a single one.",
    next="Hand the batch size on to the training loader.",
    link="splitting-so-that-it-can-be-repeated",
    shows=TRAIN_SIZES,
)
def batches_of_one(dataset, held_out, batch_size, seed):
    generator = torch.Generator().manual_seed(seed)
    sizes = [len(dataset) - held_out, held_out]
    train, validation = random_split(dataset, sizes, generator=generator)
    train_loader = DataLoader(train, shuffle=True, generator=generator)
    return train_loader, DataLoader(validation, batch_size=256)


@make_loaders.misconception(
    title="Returned the parts without loaders",
    why="`random_split` gives data sets: they know single examples. Batches, and their order, are made by a loader.",
    next="Put a `DataLoader` around each part.",
    link="splitting-so-that-it-can-be-repeated",
    shows=BOTH,
)
def without_loaders(dataset, held_out, batch_size, seed):
    generator = torch.Generator().manual_seed(seed)
    sizes = [len(dataset) - held_out, held_out]
    train, validation = random_split(dataset, sizes, generator=generator)
    return train, validation


# Ragged samples -----------------------------------------------------------------------------------


@exercise(
    level="supported",
    minutes=8,
    why="A block of zeros as long as the longest sample takes them all, and the lengths say where each of them ends.",
    hints=(
        "First find the longest sample of this batch. That many rows is how long the padded tensor has to be.",
        "Make a tensor of zeros, (B, longest, F), and write each sample into the beginning of its own piece. `new_zeros` "
        "of a tensor makes zeros of the same dtype.",
        "`torch.nn.utils.rnn.pad_sequence` does the padding as well; ask it for the batch axis in front.",
    ),
    equivalent_mutants=(
        "first, _ = samples[-1]",
        "for piece, (rows, _) in zip(padded, samples):",
        "for piece, (rows, _) in zip(padded, samples, strict=False):",
    ),
)
def collate_ragged(samples):
    """Make one batch of samples that differ in length.

    samples: a list of B pairs (rows, label). rows: (L, F) floats of any sign, with L different from
    sample to sample and 1 or more, and the same F for all. label: an int.
    Returns three tensors: the rows (B, longest L of this batch, F) in the samples' dtype, each sample
    unchanged at the beginning of its piece and zeros after it; the lengths L, int64 (B,); the labels,
    int64 (B,). The samples keep their order, in what you return and in the list, and stay as they are.
    """
    # solution:
    lengths = torch.tensor([len(rows) for rows, _ in samples])
    labels = torch.tensor([label for _, label in samples])
    first, _ = samples[0]
    padded = first.new_zeros(len(samples), int(lengths.max()), first.shape[1])
    for piece, (rows, _) in zip(padded, samples, strict=True):
        piece[: len(rows)] = rows
    return padded, lengths, labels
    # end solution


@collate_ragged.drive
def collate(answer, samples):
    given = list(samples)  # a list that may be sorted without a trace in the probe's own
    kept = pad_sequence([rows for rows, _ in samples], batch_first=True)
    result = answer(given)
    order = "as it was" if [*map(id, given)] == [*map(id, samples)] else "changed"
    if not isinstance(result, tuple | list) or len(result) != 3:
        return {RETURNED: form_of_batch(result)}
    return {
        RETURNED: "three parts",
        "the rows": result[0],
        "the lengths": result[1],
        "the labels": result[2],
        KEPT_EXACTLY: not nearly(result[0], kept),
        LIST_AFTER: order,
    }


KEPT_EXACTLY = "the samples keep their last digits"
LIST_AFTER = "the list of samples"


def nearly(value, due):
    """Whether a tensor is what is due but for rounding, and not exactly that."""
    if not isinstance(value, torch.Tensor) or value.dtype != due.dtype or value.shape != due.shape:
        return False
    return torch.allclose(value, due, rtol=1e-6) and not torch.equal(value, due)


def samples_of(g, lengths, features, dtype=torch.float32):
    """Make samples of given lengths; one row inside and the end of each sample hold zeros, too."""
    samples = []
    for number, length in enumerate(lengths):
        rows = 1 + torch.rand(length, features, generator=g, dtype=dtype)
        rows[torch.rand(length, features, generator=g) < 0.4] *= -1
        if length > 2:
            rows[1] = 0
            rows[-1] = 0
        samples.append((rows, (5 * number + 2) % 9))
    return (samples,)


@collate_ragged.probe
def three_samples(g):
    return samples_of(g, (2, 4, 1), 2)


@collate_ragged.probe
def longest_first(g):
    return samples_of(g, (5, 3, 3, 2), 3)


@collate_ragged.probe
def a_single_sample(g):
    return samples_of(g, (3,), 4)


@collate_ragged.probe
def more_precise_samples(g):
    return samples_of(g, (1, 6, 2, 3, 5), 1, torch.float64)


@collate_ragged.probe
def long_samples(g):
    return samples_of(g, (40, 31), 2)


@collate_ragged.alternative("PyTorch's own padding, with the batch axis in front.")
def with_pad_sequence(samples):
    rows, labels = zip(*samples, strict=True)
    padded = pad_sequence(rows, batch_first=True)
    return padded, torch.tensor([r.shape[0] for r in rows]), torch.tensor(labels)


@collate_ragged.alternative("`F.pad` adds rows below each sample; then they can be stacked.")
def with_functional_pad(samples):
    longest = max(rows.size(0) for rows, _ in samples)
    padded = [F.pad(rows, (0, 0, 0, longest - rows.size(0))) for rows, _ in samples]
    lengths = [rows.size(0) for rows, _ in samples]
    labels = torch.LongTensor([label for _, label in samples])
    return torch.stack(padded), torch.LongTensor(lengths), labels


@collate_ragged.alternative("Zeros can be put on with `cat`.")
def with_cat(samples):
    longest = max(len(rows) for rows, _ in samples)
    pieces, lengths, labels = [], [], []
    for rows, label in samples:
        missing = torch.zeros(longest - len(rows), rows.shape[1], dtype=rows.dtype)
        pieces.append(torch.cat([rows, missing]))
        lengths.append(len(rows))
        labels.append(label)
    return [torch.stack(pieces), torch.tensor(lengths), default_collate(labels)]


@collate_ragged.misconception(
    title="The batch axis is the second",
    why="`pad_sequence` puts the length first, (L, B, F), unless it is told otherwise. Everything else in this course has the "
    "batch in front.",
    next="Ask for the batch axis first.",
    link="samples-of-different-lengths",
    shows="the rows",
)
def length_first(samples):
    rows, labels = zip(*samples, strict=True)
    padded = pad_sequence(rows)
    return padded, torch.tensor([len(r) for r in rows]), torch.tensor(labels)


@collate_ragged.misconception(
    title="Cut to the shortest",
    why="Everything beyond the shortest sample is thrown away. One short sample in the batch, and all the others lose their "
    "ends.",
    next="Make room for the longest.",
    link="samples-of-different-lengths",
    shows="the rows",
)
def cut_to_the_shortest(samples):
    rows, labels = zip(*samples, strict=True)
    shortest = min(len(r) for r in rows)
    padded = torch.stack([r[:shortest] for r in rows])
    return padded, torch.tensor([len(r) for r in rows]), torch.tensor(labels)


@collate_ragged.misconception(
    title="The zeros stand in front",
    why="A sample begins at the beginning of its piece: the lengths say where it *ends*. With the zeros in front, whoever "
    "reads the first L rows reads padding.",
    next="Put the zeros behind each sample.",
    link="samples-of-different-lengths",
    shows="the rows",
)
def padded_in_front(samples):
    rows, labels = zip(*samples, strict=True)
    longest = max(len(r) for r in rows)
    padded = torch.stack([F.pad(r, (0, 0, longest - len(r), 0)) for r in rows])
    return padded, torch.tensor([len(r) for r in rows]), torch.tensor(labels)


@collate_ragged.misconception(
    title="The last row is repeated",
    why="Zeros are due after the end. Repeated rows look like data, and a mean over the piece counts them.",
    next="Leave zeros where a sample has nothing.",
    link="samples-of-different-lengths",
    shows="the rows",
)
def repeated_the_last(samples):
    rows, labels = zip(*samples, strict=True)
    longest = max(len(r) for r in rows)
    padded = torch.stack([torch.cat([r, r[-1:].expand(longest - len(r), -1)]) for r in rows])
    return padded, torch.tensor([len(r) for r in rows]), torch.tensor(labels)


@collate_ragged.misconception(
    title="All lengths are the padded one",
    why="After the padding every piece is equally long. The lengths that are due are those before, for without them nobody can "
    "tell padding from data.",
    next="Note the lengths before you pad.",
    link="samples-of-different-lengths",
    shows="the lengths",
)
def padded_lengths(samples):
    rows, labels = zip(*samples, strict=True)
    padded = pad_sequence(rows, batch_first=True)
    return padded, torch.tensor([len(piece) for piece in padded]), torch.tensor(labels)


@collate_ragged.misconception(
    title="Counted what is not zero",
    why="Zeros can be data: an empty line of a picture, a silent moment. Only the sample itself knows its length.",
    next="Ask each sample for its length, before you pad.",
    link="samples-of-different-lengths",
    shows="the lengths",
)
def counted_rows_with_ink(samples):
    rows, labels = zip(*samples, strict=True)
    padded = pad_sequence(rows, batch_first=True)
    return padded, (padded != 0).any(2).sum(1), torch.tensor(labels)


@collate_ragged.misconception(
    title="The lengths are missing",
    why="Without them, zeros that were put on cannot be told from zeros that were measured.",
    next="Return three tensors.",
    link="samples-of-different-lengths",
    shows=RETURNED,
)
def without_lengths(samples):
    rows, labels = zip(*samples, strict=True)
    padded = pad_sequence(rows, batch_first=True)
    return padded, torch.tensor(labels)


@collate_ragged.misconception(
    title="Lengths and labels stayed lists",
    why="A collate function hands over tensors: a loss takes a tensor of labels, and a list cannot be moved to a device.",
    next="Make tensors of both lists.",
    link="samples-of-different-lengths",
    shows="the lengths",
)
def left_as_lists(samples):
    rows, labels = zip(*samples, strict=True)
    padded = pad_sequence(rows, batch_first=True)
    return padded, [len(r) for r in rows], list(labels)


@collate_ragged.misconception(
    title="The labels became floats",
    why="`torch.Tensor(…)` with a capital T makes float32 of anything. A label counts classes, and the loss wants int64.",
    next="`torch.tensor` keeps whole numbers whole.",
    link="samples-of-different-lengths",
    shows="the labels",
)
def labels_as_floats(samples):
    rows, labels = zip(*samples, strict=True)
    padded = pad_sequence(rows, batch_first=True)
    return padded, torch.tensor([len(r) for r in rows]), torch.Tensor(labels)


@collate_ragged.misconception(
    title="The zeros decided the dtype",
    why="`torch.zeros` makes float32 unless it is told otherwise, and writing into it converts. Samples of another dtype lose "
    "their digits.",
    next="Make zeros of the samples' dtype.",
    link="samples-of-different-lengths",
    shows="the rows",
)
def always_float32(samples):
    rows, labels = zip(*samples, strict=True)
    padded = torch.zeros(len(rows), max(len(r) for r in rows), rows[0].shape[1])
    for place, r in enumerate(rows):
        padded[place, : len(r)] = r
    return padded, torch.tensor([len(r) for r in rows]), torch.tensor(labels)


@collate_ragged.misconception(
    title="Lengths and labels are the wrong way round",
    why="Both are whole numbers, one for each sample, so nothing complains: the loss gets lengths for classes.",
    next="Three tensors are due in the order rows, lengths, labels.",
    link="samples-of-different-lengths",
    shows="the lengths",
)
def lengths_after_labels(samples):
    rows, labels = zip(*samples, strict=True)
    padded = pad_sequence(rows, batch_first=True)
    return padded, torch.tensor(labels), torch.tensor([len(r) for r in rows])


@collate_ragged.misconception(
    title="Negative numbers were cut off",
    why="Samples may hold numbers of any sign. Whatever is below zero looks like padding afterwards.",
    next="Copy the samples as they are.",
    link="samples-of-different-lengths",
    shows="the rows",
)
def cut_below_zero(samples):
    rows, labels = zip(*samples, strict=True)
    padded = pad_sequence(rows, batch_first=True).clamp(min=0)
    return padded, torch.tensor([len(r) for r in rows]), torch.tensor(labels)


@collate_ragged.misconception(
    title="The given list was sorted",
    why="`sort` re-orders the list itself, and the caller's samples stand in another order than before. `sorted` makes a new "
    "list.",
    next="Leave the list alone: no order is needed to find the longest.",
    link="samples-of-different-lengths",
    shows=LIST_AFTER,
)
def sorted_the_given_list(samples):
    first_order = list(samples)
    samples.sort(key=lambda sample: len(sample[0]))
    rows, labels = zip(*first_order, strict=True)
    padded = pad_sequence(rows, batch_first=True)
    return padded, torch.tensor([len(r) for r in rows]), torch.tensor(labels)


@collate_ragged.misconception(
    title="Always padded to 28 rows",
    why="An image of MNIST has 28 rows, other samples have more. And a batch of short ones would be mostly padding.",
    next="Ask the samples of this batch for their lengths.",
    link="samples-of-different-lengths",
    shows="the rows",
)
def always_28_rows(samples):
    rows, labels = zip(*samples, strict=True)
    padded = rows[0].new_zeros(len(rows), 28, rows[0].shape[1])
    for place, r in enumerate(rows):
        padded[place, : len(r)] = r[:28]
    return padded, torch.tensor([len(r) for r in rows]), torch.tensor(labels)


@collate_ragged.misconception(
    title="The rows were sorted by length, the labels were not",
    why="Sorting by length is usual for some networks. But rows, lengths and labels have to be sorted together, or each "
    "sample gets another one's label.",
    next="Keep the samples in their order.",
    link="samples-of-different-lengths",
    shows="the rows",
)
def sorted_by_length(samples):
    labels = [label for _, label in samples]
    rows = sorted((rows for rows, _ in samples), key=len, reverse=True)
    padded = pad_sequence(rows, batch_first=True)
    return padded, torch.tensor([len(r) for r in rows]), torch.tensor(labels)


@collate_ragged.misconception(
    title="Everything in one long column",
    why="`cat` puts the rows of all samples below each other. There is no batch axis any more, and nothing says where a sample "
    "begins.",
    next="Give each sample a piece of its own along a first axis.",
    link="samples-of-different-lengths",
    shows="the rows",
)
def put_end_to_end(samples):
    rows, labels = zip(*samples, strict=True)
    return torch.cat(rows), torch.tensor([len(r) for r in rows]), torch.tensor(labels)


@collate_ragged.misconception(
    title="Stacked what does not stack",
    why="`torch.stack` wants tensors of one shape. That is why the loader's own collate function fails here as well.",
    next="Make the samples equally long first.",
    link="samples-of-different-lengths",
)
def stacked_anyway(samples):
    rows, labels = zip(*samples, strict=True)
    return torch.stack(rows), torch.tensor([len(r) for r in rows]), torch.tensor(labels)


# A whole batch at once ----------------------------------------------------------------------------


@exercise(
    level="supported",
    minutes=6,
    why="A list of places is an index: one read picks the whole batch, and one conversion turns all of it into floats.",
    hints=(
        "`__getitem__` does its work for one place. The same operations work on many images at once.",
        "A tensor can be indexed with a list of places, in any order.",
        "The channel axis now belongs behind the batch axis: `[:, None]`.",
    ),
    equivalent_mutants=("images = self.images[indices] / 255",),
)
class InMemoryDigits(Dataset):
    """Digits in two tensors, which can hand over a whole batch at once.

    `InMemoryDigits(images, labels)`: images: uint8 (N, H, W). labels: (N,), of any whole dtype.
    Item i is image i as float32 (1, H, W) from 0 to 1, and its label as an int: that part is done.
    `dataset.__getitems__(indices)` gets a list of B places and returns a pair of tensors, as a
    loader's batch: the images float32 (B, 1, H, W), the labels int64 (B,), in the order of the list.
    It works on all B at once, without a loop over them, neither for the images nor for the labels.
    It converts no image that was not asked for. (To convert all of them once, when the data set is
    made, is allowed; it takes four times the memory.)
    """

    def __init__(self, images, labels):
        self.images = images
        self.labels = labels

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.images[index, None] / 255, int(self.labels[index])

    def __getitems__(self, indices):
        # solution:
        images = self.images[indices].float() / 255
        return images[:, None], self.labels[indices].long()
        # end solution


class Operations(TorchFunctionMode):
    """Count the operations on tensors, and note the largest float tensor that one of them makes."""

    def __init__(self):
        super().__init__()
        self.count, self.largest = 0, 0

    def __torch_function__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        self.count += 1
        if isinstance(result, torch.Tensor) and result.is_floating_point():
            self.largest = max(self.largest, result.numel())
        return result


def as_it_comes(batch):
    return batch


def through_a_loader(dataset, places):
    """Fetch places through a loader with a sampler, a subset in between, and no collating."""
    subset = Subset(dataset, [*range(len(dataset))])
    loader = DataLoader(subset, batch_size=4, sampler=places, collate_fn=as_it_comes)
    return [*loader]


AT_ONCE = "the number of operations"
ONLY_THESE = "images converted for a batch of 3"
ITEM = "item 1 on its own"
SECOND_BATCH = "another batch that begins with the same place"


@InMemoryDigits.drive
def fetch_batches(answer, images, labels, indices):
    dataset = answer(images, labels)
    batch = dataset.__getitems__(list(indices))
    seen = {"the kind of batch": form_of_batch(batch), "the length": len(dataset)}
    if not is_pair(batch):
        return seen
    operations = []
    for size in (3, 9):
        some = [(5 * k + 1) % len(images) for k in range(size)]
        with Operations() as counted:
            dataset.__getitems__(some)
        operations.append(counted)
    few, many = operations
    converted = few.largest // images[0].numel()
    image, label = dataset[1]
    (first, *_) = through_a_loader(dataset, indices)
    places = [indices[0], *((7 * k + 2) % len(images) for k in range(1, len(indices)))]
    return seen | {
        "the images": batch[0],
        "the labels": batch[1],
        AT_ONCE: "the same for 3 and for 9" if few.count == many.count else "grows with the batch",
        ONLY_THESE: 3 if converted <= 3 else converted,
        ITEM: (image, label),
        "the first batch through a loader": first,
        SECOND_BATCH: dataset.__getitems__(places),
    }


def byte_pictures(g, count, rows, columns, dtype, indices):
    images = torch.randint(0, 256, (count, rows, columns), generator=g, dtype=torch.uint8)
    labels = 1 + torch.randperm(count, generator=g).to(dtype)
    return images, labels, indices


@InMemoryDigits.probe
def bytes_as_labels(g):
    return byte_pictures(g, 11, 2, 3, torch.uint8, [4, 0, 7])


@InMemoryDigits.probe
def some_come_twice(g):
    return byte_pictures(g, 14, 3, 2, torch.int64, [13, 2, 2, 9, 0])


@InMemoryDigits.probe
def a_batch_of_one(g):
    return byte_pictures(g, 12, 4, 5, torch.int32, [6])


@InMemoryDigits.probe
def from_the_back(g):
    return byte_pictures(g, 17, 2, 2, torch.uint8, [16, 15, 3, 1])


@InMemoryDigits.alternative("`index_select` and a tensor of places.")
class WithIndexSelect(Dataset):
    def __init__(self, images, labels):
        self.images = images
        self.labels = labels

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.images[index, None] / 255, int(self.labels[index])

    def __getitems__(self, indices):
        places = torch.tensor(indices)
        pixels = self.images.index_select(0, places).unsqueeze(1)
        return pixels.to(torch.float32).div(255), self.labels[places].to(torch.int64)


@InMemoryDigits.alternative("Converted once, at the start: faster, for four times the memory.")
class ConvertedAtFirst(Dataset):
    def __init__(self, images, labels):
        self.images = images.unsqueeze(1).float() / 255
        self.labels = labels.long()

    def __len__(self):
        return self.images.shape[0]

    def __getitem__(self, index):
        return self.images[index], self.labels[index].item()

    def __getitems__(self, indices):
        return self.images[indices], self.labels[indices]


@InMemoryDigits.alternative("NumPy's indexing does the same.")
class WithNumpy(Dataset):
    def __init__(self, images, labels):
        self.images, self.labels = images, labels
        self.pixels, self.classes = images.numpy(), labels.numpy()

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.images[index, None] / 255, int(self.labels[index])

    def __getitems__(self, indices):
        pixels = self.pixels[indices][:, None].astype(np.float32) / 255
        return [torch.from_numpy(pixels), torch.from_numpy(self.classes[indices].astype(np.int64))]


class Digits(Dataset):
    """The parts of the order that are done; what a batch is, is still open."""

    def __init__(self, images, labels):
        self.images = images
        self.labels = labels

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.images[index, None] / 255, int(self.labels[index])


@InMemoryDigits.misconception(
    title="One at a time after all",
    why="The batch is right, but a loop goes through the places, for the images, for the labels or for both. Some operations "
    "run once for each place, and what costs the time is the number of small operations.",
    next="Index both tensors with the whole list at once.",
    link="how-fast-is-it",
    shows=AT_ONCE,
)
class OneByOne(Digits):
    def __getitems__(self, indices):
        pairs = [self[index] for index in indices]
        images = torch.stack([image for image, _ in pairs])
        return images, torch.tensor([label for _, label in pairs])


@InMemoryDigits.misconception(
    title="A list of pairs",
    why="That is what the loader makes of `__getitem__` by itself, and what its own collate function wants to stack. Here the "
    "batch is due as two tensors, so that nothing is left to stack.",
    next="Index the two tensors with the list, and return the two results.",
    link="how-fast-is-it",
    shows="the kind of batch",
)
class ListOfPairs(Digits):
    def __getitems__(self, indices):
        return [self[index] for index in indices]


@InMemoryDigits.misconception(
    title="All images are converted for every batch",
    why="The division stands before the choice: 60,000 images become floats, and all but a few of them are thrown away. In "
    "every batch.",
    next="Pick the images first, and convert what you have picked.",
    link="how-fast-is-it",
    shows=ONLY_THESE,
)
class ConvertedAll(Digits):
    def __getitems__(self, indices):
        images = (self.images.float() / 255)[indices]
        return images[:, None], self.labels[indices].long()


@InMemoryDigits.misconception(
    title="The pixels are still bytes",
    why="A layer holds float32 and will not be multiplied with uint8.",
    next="Convert, and divide by 255, as `__getitem__` does.",
    link="how-fast-is-it",
    shows="the images",
)
class BatchOfBytes(Digits):
    def __getitems__(self, indices):
        return self.images[indices][:, None], self.labels[indices].long()


@InMemoryDigits.misconception(
    title="The pixels run from 0 to 255",
    why="One by one the images come from 0 to 1, in batches from 0 to 255. The same data set then has two scales.",
    next="Divide by 255, as `__getitem__` does.",
    link="how-fast-is-it",
    shows="the images",
)
class BatchNotScaled(Digits):
    def __getitems__(self, indices):
        images = self.images[indices].float()
        return images[:, None], self.labels[indices].long()


@InMemoryDigits.misconception(
    title="The channel axis is missing",
    why="An item has the shape (1, H, W), so a batch of them has (B, 1, H, W).",
    next="Put an axis of length 1 behind the batch axis.",
    link="how-fast-is-it",
    shows="the images",
)
class BatchWithoutChannel(Digits):
    def __getitems__(self, indices):
        images = self.images[indices].float() / 255
        return images, self.labels[indices].long()


@InMemoryDigits.misconception(
    title="The channel axis stands in front of the batch",
    why="`[None]` puts the new axis first: (1, B, H, W) is one image with B channels.",
    next="The batch comes first, the channel after it.",
    link="how-fast-is-it",
    shows="the images",
)
class ChannelBeforeBatch(Digits):
    def __getitems__(self, indices):
        images = self.images[indices].float() / 255
        return images[None], self.labels[indices].long()


@InMemoryDigits.misconception(
    title="The labels kept their dtype",
    why="Labels lie in the file as bytes, and a loss for classes wants int64. One by one, the loader makes int64 of Python "
    "ints. A batch of your own has to say so itself.",
    next="Convert the labels.",
    link="how-fast-is-it",
    shows="the labels",
)
class LabelsAsTheyAre(Digits):
    def __getitems__(self, indices):
        images = self.images[indices].float() / 255
        return images[:, None], self.labels[indices]


@InMemoryDigits.misconception(
    title="The first images instead of those asked for",
    why="The list says which images, not only how many. Every batch holds the beginning of the data set.",
    next="Index with the list itself.",
    link="how-fast-is-it",
    shows="the images",
)
class FirstFew(Digits):
    def __getitems__(self, indices):
        images = self.images[: len(indices)].float() / 255
        return images[:, None], self.labels[: len(indices)].long()


@InMemoryDigits.misconception(
    title="The places were sorted",
    why="The loader has drawn an order, and labels, files and predictions are counted in it. Sorted, the batch holds the same "
    "images in another order.",
    next="Use the list as it comes.",
    link="how-fast-is-it",
    shows="the images",
)
class SortedPlaces(Digits):
    def __getitems__(self, indices):
        indices = sorted(indices)
        images = self.images[indices].float() / 255
        return images[:, None], self.labels[indices].long()


@InMemoryDigits.misconception(
    title="A mask loses order and repetition",
    why="A mask says of each image whether it is in. It keeps the order of the data set, and an image that was asked for "
    "twice comes once.",
    next="Index with the list itself.",
    link="how-fast-is-it",
    shows="the images",
)
class WithAMask(Digits):
    def __getitems__(self, indices):
        mask = torch.zeros(len(self.images), dtype=torch.bool)
        mask[indices] = True
        return self.images[mask][:, None].float() / 255, self.labels[mask].long()


# Workers ------------------------------------------------------------------------------------------


@exercise(
    level="independent",
    minutes=8,
    why="A worker's seed is other in every worker and every epoch, and comes from the main process's random numbers: as it is "
    "it can seed the copy's generator.",
    hints=(
        "The number of a worker is the same in every epoch. What else do workers know that differs from epoch to epoch?",
        "`get_worker_info()` knows the worker's `seed` and its own copy of the `dataset`.",
        "Seed the generator of that copy, not the worker's shared random numbers: those are seeded already.",
    ),
)
def give_own_numbers(worker_id: int) -> None:
    """Give a worker's copy of the data set random numbers of its own.

    A loader calls this in every worker that it starts, as its `worker_init_fn`. There
    `get_worker_info()` gives you the worker's copy of the data set. The data set holds a
    `torch.Generator` under the name `generator`, which is in the same state in every copy.
    Afterwards the copy in this worker draws other numbers from its `generator` than the other workers
    of this epoch, and other ones than any worker has drawn in another epoch. If the main process
    begins with the same seed again, the same numbers come again.
    """
    # solution:
    worker = get_worker_info()
    worker.dataset.generator.manual_seed(worker.seed)
    # end solution


class Drawing(Dataset):
    """A data set whose items are drawn from a generator that it holds."""

    def __init__(self):
        self.generator = torch.Generator().manual_seed(1234)

    def __len__(self):
        return 8

    def __getitem__(self, index):
        return torch.rand((), generator=self.generator).item()


@contextmanager
def as_worker(number, base_seed, dataset):
    """Run the code inside as a loader's worker would, without starting a process."""
    module = torch.utils.data._utils.worker
    before, process_id = module._worker_info, os.getpid
    seed = base_seed + number
    random.seed(seed)
    torch.default_generator.manual_seed(seed)
    np.random.seed((base_seed * 31 + number) % 2**32)
    module._worker_info = module.WorkerInfo(id=number, num_workers=4, seed=seed, dataset=dataset)
    STARTED.append(module._worker_info)
    this_process = next(PROCESS_IDS)
    os.getpid = lambda: this_process
    try:
        yield
    finally:
        module._worker_info, os.getpid = before, process_id


PROCESS_IDS = count_from(100_000)  # every worker that is started is another process
STARTED: deque = deque(maxlen=100)  # kept, so that none has the place in memory of an earlier one


@contextmanager
def forgetting_counts(answer):
    """Put plain numbers outside a function back at the end: what a worker counts ends with it."""
    scope = getattr(answer, "__globals__", {})
    before = {name: value for name, value in scope.items() if type(value) in (int, float)}
    try:
        yield
    finally:
        scope.update(before)


def draws(answer, base_seed, count):
    """Let workers be started; give what the copy of each draws first, and traces of how it was seeded."""
    drawn, numpy_kept, seed_kept = [], True, True
    for number in range(count):
        copied = Drawing()
        with forgetting_counts(answer), as_worker(number, base_seed, copied):
            numpys = np.random.get_state()[1].tolist()
            answer(number)
            numpy_kept = numpy_kept and np.random.get_state()[1].tolist() == numpys
            drawn.append(tuple(round(copied[i], 6) for i in range(3)))
            seed_kept = seed_kept and copied.generator.initial_seed() == 1234
    return drawn, (numpy_kept, seed_kept)


NEIGHBOURS = "workers of one epoch that draw the same"
EPOCHS = "workers that draw what one has drawn in another epoch"
AGAIN = "from the same seed the same numbers come again"


def in_words(count):
    return str(count) if count else "none"


@give_own_numbers.drive
def start_workers(answer, base_seeds, count):
    epochs = [draws(answer, base_seed, count)[0] for base_seed in base_seeds]
    again, traces = draws(answer, base_seeds[0], count)
    same = [count - len(set(drawn)) for drawn in epochs]
    every = [d for drawn in epochs for d in set(drawn)]
    return {
        NEIGHBOURS: in_words(max(same)),
        EPOCHS: in_words(len(every) - len(set(every))),
        AGAIN: again == epochs[0],
        "NumPy's random numbers and the generator's seed are kept": Extra(traces),
    }


def some_seeds(g, count):
    return torch.randint(2**40, 2**62, (count,), generator=g).tolist()


@give_own_numbers.probe
def two_workers(g):
    return some_seeds(g, 2), 2


@give_own_numbers.probe
def four_workers(g):
    return some_seeds(g, 3), 4


@give_own_numbers.probe
def three_workers(g):
    return some_seeds(g, 4), 3


@give_own_numbers.alternative("In a worker, `torch.initial_seed()` is the worker's seed.")
def with_initial_seed(worker_id):
    dataset = get_worker_info().dataset
    dataset.generator = torch.Generator().manual_seed(torch.initial_seed())


@give_own_numbers.alternative(
    "The worker's own random numbers are seeded already; one of them makes a good seed."
)
def with_a_drawn_seed(worker_id):
    seed = torch.randint(0, 2**63 - 1, ()).item()
    torch.utils.data.get_worker_info().dataset.generator.manual_seed(seed)


@give_own_numbers.alternative("The state of the worker's own source can be copied as a whole.")
def with_the_state(worker_id):
    info = get_worker_info()
    info.dataset.generator.set_state(torch.get_rng_state())


@give_own_numbers.alternative("Python's random numbers are seeded in every worker, too.")
def with_python(worker_id):
    info = get_worker_info()
    info.dataset.generator.manual_seed(random.getrandbits(62))


SEEDED_BY_NUMBER = dict(
    title="The same numbers in every epoch",
    why="Workers are started anew for every epoch, and their numbers are the same again: 0, 1, 2. Seeded with them, the "
    "workers differ from each other, and each repeats itself in every epoch.",
    next="Look for something that a worker knows and that is another one in each epoch.",
    link="random-numbers-in-workers",
    shows=EPOCHS,
)


@give_own_numbers.misconception(**SEEDED_BY_NUMBER)
def seeded_by_number(worker_id):
    worker = get_worker_info()
    worker.dataset.generator.manual_seed(worker_id)


@give_own_numbers.misconception(
    title="Moved on from where the copy stood",
    why="Each copy begins in the same state, and draws a few numbers more than the worker before it. In the next epoch the "
    "copies begin in that state again.",
    next="Look for something that a worker knows and that is another one in each epoch.",
    link="random-numbers-in-workers",
    shows=EPOCHS,
)
def drew_ahead(worker_id):
    generator = get_worker_info().dataset.generator
    torch.rand(7 * worker_id, generator=generator)


@give_own_numbers.misconception(
    title="All workers of an epoch draw the same",
    why="The seed without the worker's number is the one that all workers of an epoch have in common.",
    next="Use the seed as it is: the number is in it already.",
    link="random-numbers-in-workers",
    shows=NEIGHBOURS,
)
def seeded_by_the_epoch(worker_id):
    worker = get_worker_info()
    worker.dataset.generator.manual_seed(worker.seed - worker.id)


@give_own_numbers.misconception(
    title="One number for all",
    why="Every copy had the same state before, and has the same state now.",
    next="A seed is needed that differs from worker to worker.",
    link="random-numbers-in-workers",
    shows=NEIGHBOURS,
)
def seeded_with_0(worker_id):
    worker = get_worker_info()
    worker.dataset.generator.manual_seed(0)


@give_own_numbers.misconception(
    title="Seeded what was seeded already",
    why="In every worker the shared random numbers, PyTorch's, NumPy's and Python's, are other ones already: the loader sees to "
    "it. The generator that the data set holds is a fourth source, and nobody has touched it.",
    next="Reach for the generator of the worker's copy.",
    link="random-numbers-in-workers",
    shows=NEIGHBOURS,
)
def seeded_numpy(worker_id):
    np.random.seed(torch.initial_seed() % 2**32)


@give_own_numbers.misconception(
    title="Nobody can repeat it",
    why="The seed comes from something that is another one in every run: the clock, the number of a process, a place in memory, "
    "or the operating system, which a generator's `seed()` asks. No two workers draw the same, and no two runs: a result that was found once "
    "can't be found again.",
    next="Use a seed that comes from the main process's random numbers.",
    link="random-numbers-in-workers",
    shows=AGAIN,
)
def seeded_by_chance(worker_id):
    get_worker_info().dataset.generator.seed()


@give_own_numbers.misconception(
    title="The copy's generator was not touched",
    why="It stands where it stood in the main process, in this worker as in all the others. Seeding another source does not move "
    "it, and a new generator that is not put in its place is forgotten when the function ends.",
    next="Seed the generator of the worker's copy, or put a new one in its place.",
    link="random-numbers-in-workers",
    shows=NEIGHBOURS,
)
def forgot_the_new_one(worker_id):
    generator = torch.Generator()
    generator.manual_seed(get_worker_info().seed)


@give_own_numbers.misconception(
    title="A number in the generator's place",
    why="The data set draws from a `torch.Generator`. With a plain number there, the first draw raises an error in the worker.",
    next="Seed the generator that is there.",
    link="random-numbers-in-workers",
)
def a_number_in_its_place(worker_id):
    worker = get_worker_info()
    worker.dataset.generator = worker.seed


# The bug clinic -----------------------------------------------------------------------------------


@exercise(
    level="clinic",
    minutes=10,
    why="Each part has a data set object of its own around the same tensors, so a transform can be set for one of them alone.",
    hints=(
        "Read one image several times through `validation`, and look at it. Then ask `train.dataset is validation.dataset`.",
        "Both subsets point to one object, and a transform set on it is set for both. What if each had an object of its own?",
        "`copy.copy` makes a second object around the same images. Or wrap the training part: `Transformed` does it.",
    ),
)
def augmented_split(dataset, held_out: int, augment, seed: int):
    """Split a data set, and augment the training part only.

    dataset: gives pairs (image, label); has an attribute `transform`, which is None when the function
    is called. If that is set to a function, each image goes through it whenever it is read. held_out:
    how many examples to hold out. augment: a function from an image to an image. seed: decides the
    split, and nothing else does.
    Returns two data sets (train, validation). Every example is in exactly one of them, drawn at
    random. Training images go through `augment` each time they are read, validation images never do,
    and labels stay. `dataset` itself is left as it was, and so are the random numbers that the whole
    program shares.
    """
    rng = torch.Generator().manual_seed(seed)
    lengths = [len(dataset) - held_out, held_out]
    train, validation = random_split(dataset, lengths, generator=rng)
    train.dataset = copy.copy(dataset)
    train.dataset.transform = augment
    return train, validation


class Augmentation:
    """A random change of an image that can be recognised: it adds 1000 and counts up."""

    def __init__(self):
        self.count = 0

    def __call__(self, image):
        self.count += 1
        return image + 1000 * self.count


def numbered_pictures(count):
    """Make pictures that know their place: image i holds i + 0.25, its label is 3 i + 1."""
    images = torch.arange(count)[:, None, None, None] + torch.full((count, 1, 2, 2), 0.25)
    return Pictures(images, 3 * torch.arange(count) + 1)


def read_part(part):
    """Read each example of a part; give the places, which are augmented, and whether labels fit."""
    places, augmented, fitting = [], 0, True
    for number in range(len(part)):
        image, label = part[number]
        value = float(image.flatten()[0])
        place = int(value % 1000)
        places.append(place)
        augmented += value >= 1000
        fitting = fitting and int(label) == 3 * place + 1
    return places, augmented, fitting


def in_all(count, of):
    return "all" if count == of else "none" if not count else f"{count} of {of}"


TRAIN_AUGMENTED = "training images that are augmented"
VALIDATION_AUGMENTED = "validation images that are augmented"
LABELS_FIT = "images and labels belong together"
AUGMENTED_ANEW = "a training image is augmented anew each time it is read"
RUNS = "how often `augment` runs for one reading of a training image"
BEFORE_READING = "images augmented before any is read"
GIVEN_LEFT = "the given data set has no transform afterwards"


@augmented_split.drive
def split_and_read(answer, dataset, held_out, augment, seed):
    count = len(dataset)
    start_the_world(70)
    result = answer(dataset, held_out, augment, seed)
    if not isinstance(result, tuple | list) or len(result) != 2:
        return {"two parts": form_of_batch(result)}
    early = augment.count
    train, validation = result
    kept, train_count, train_fits = read_part(train)
    runs = (augment.count - early) / max(1, len(kept))
    apart, validation_count, validation_fits = read_part(validation)
    anew = float(train[0][0].flatten()[0]) != float(train[0][0].flatten()[0])
    again = answer(numbered_pictures(count), held_out, Augmentation(), seed)[1]
    other = answer(numbered_pictures(count), held_out, Augmentation(), seed + 1)[1]
    run = sorted(apart)
    in_a_row = len(run) > 1 and run == list(range(run[0], run[0] + len(run)))
    return {
        TRAIN_AUGMENTED: in_all(train_count, len(kept)),
        VALIDATION_AUGMENTED: in_all(validation_count, len(apart)),
        HELD_OUT: len(apart),
        PARTS: census(kept + apart, count),
        WHICH: "a block of neighbours" if in_a_row else "drawn from everywhere",
        LABELS_FIT: train_fits and validation_fits,
        BEFORE_READING: in_words(early),
        AUGMENTED_ANEW: anew or not train_count,
        RUNS: 1 if not train_count else runs,
        GIVEN_LEFT: dataset.transform is None,
        SAME_SPLIT: sorted(read_part(again)[0]) == sorted(apart),
        OTHER_SPLIT: sorted(read_part(other)[0]) != sorted(apart),
        SHARED: fate_of_the_world(
            lambda: answer(numbered_pictures(count), held_out, Augmentation(), seed)
        ),
        "the subset's own attributes": Extra(sorted(getattr(train, "__dict__", {}))),
    }


@augmented_split.probe
def fourteen_pictures(g):
    return numbered_pictures(14), 5, Augmentation(), 0


@augmented_split.probe
def thirty_pictures(g):
    return numbered_pictures(30), 9, Augmentation(), 6


@augmented_split.probe
def forty_pictures(g):
    return numbered_pictures(40), 22, Augmentation(), 13


@augmented_split.alternative(
    "A wrapper around the training part; the data set below knows nothing of it."
)
def with_a_wrapper(dataset, held_out, augment, seed):
    class Augmented(Dataset):
        def __init__(self, part):
            self.part = part

        def __len__(self):
            return len(self.part)

        def __getitem__(self, index):
            image, label = self.part[index]
            return augment(image), label

    rng = torch.Generator().manual_seed(seed)
    lengths = [len(dataset) - held_out, held_out]
    train, validation = random_split(dataset, lengths, generator=rng)
    return Augmented(train), validation


@augmented_split.alternative("Two copies and one order of places.")
def with_two_copies(dataset, held_out, augment, seed):
    rng = torch.Generator().manual_seed(seed)
    places = torch.randperm(len(dataset), generator=rng).tolist()
    changing, plain = copy.copy(dataset), copy.copy(dataset)
    changing.transform, plain.transform = augment, None
    return Subset(changing, places[held_out:]), Subset(plain, places[:held_out])


@augmented_split.alternative("A deep copy works as well, and doubles the memory.")
def with_a_deep_copy(dataset, held_out, augment, seed):
    rng = torch.Generator().manual_seed(seed)
    lengths = [len(dataset) - held_out, held_out]
    train, validation = random_split(dataset, lengths, generator=rng)
    train.dataset = copy.deepcopy(dataset)
    train.dataset.transform = augment
    return train, validation


@augmented_split.misconception(
    title="The transform is set for both parts",
    why="Both parts read the same data set, and it has one `transform`. What is set on it for one of them is seen by the other. "
    "Validation images are augmented, and so is the data set that was handed in.",
    next="Give the training part an object of its own.",
    link="bug-clinic",
    shows=VALIDATION_AUGMENTED,
    starter=True,
)
def set_for_both(dataset, held_out, augment, seed):
    rng = torch.Generator().manual_seed(seed)
    lengths = [len(dataset) - held_out, held_out]
    train, validation = random_split(dataset, lengths, generator=rng)
    train.dataset.transform = augment
    return train, validation


@augmented_split.misconception(
    title="No image is augmented",
    why="Validation images are as they should be, and training images are the same. If you took the transform back through "
    "the validation part: there is only one object, so it was taken back for training, too.",
    next="Give the training part an object of its own, and let that one augment.",
    link="bug-clinic",
    shows=TRAIN_AUGMENTED,
)
def taken_back(dataset, held_out, augment, seed):
    rng = torch.Generator().manual_seed(seed)
    lengths = [len(dataset) - held_out, held_out]
    train, validation = random_split(dataset, lengths, generator=rng)
    train.dataset.transform = augment
    validation.dataset.transform = None
    return train, validation


@augmented_split.misconception(
    title="The transform was set on the subset",
    why="A `Subset` hands out what its data set gives. It has no transform, and Python lets you give it an attribute that "
    "nobody reads.",
    next="What reads `transform` is the data set underneath. Give the training part one of its own.",
    link="bug-clinic",
    shows=TRAIN_AUGMENTED,
)
def set_on_the_subset(dataset, held_out, augment, seed):
    rng = torch.Generator().manual_seed(seed)
    lengths = [len(dataset) - held_out, held_out]
    train, validation = random_split(dataset, lengths, generator=rng)
    train.transform = augment
    return train, validation


@augmented_split.misconception(
    title="The copy has the transform, and both parts point to the copy",
    why="The data set that was handed in is left alone now. But both parts were split from the copy, so both see its "
    "transform.",
    next="Only one of the two parts may point to the data set with the transform.",
    link="bug-clinic",
    shows=VALIDATION_AUGMENTED,
)
def copied_for_both(dataset, held_out, augment, seed):
    rng = torch.Generator().manual_seed(seed)
    dataset = copy.copy(dataset)
    lengths = [len(dataset) - held_out, held_out]
    train, validation = random_split(dataset, lengths, generator=rng)
    train.dataset.transform = augment
    return train, validation


@augmented_split.misconception(
    title="The validation part got the copy, and the transform stays on the original",
    why="The two parts are right. But the training part still points to the data set that was handed in, and whoever uses that "
    "one later gets augmented images.",
    next="Let the part that is augmented point to the copy.",
    link="bug-clinic",
    shows=GIVEN_LEFT,
)
def copied_the_other_part(dataset, held_out, augment, seed):
    rng = torch.Generator().manual_seed(seed)
    lengths = [len(dataset) - held_out, held_out]
    train, validation = random_split(dataset, lengths, generator=rng)
    validation.dataset = copy.copy(dataset)
    train.dataset.transform = augment
    return train, validation


@augmented_split.misconception(
    title="The split does not depend on the seed",
    why="Without a generator, `random_split` draws from the random numbers that everybody shares: another split in every run. "
    "Examples that were held out yesterday are trained on today.",
    next="Hand the seeded generator to `random_split`.",
    link="splitting-so-that-it-can-be-repeated",
    shows=SAME_SPLIT,
)
def split_without_seed(dataset, held_out, augment, seed):
    lengths = [len(dataset) - held_out, held_out]
    train, validation = random_split(dataset, lengths)
    train.dataset = copy.copy(dataset)
    train.dataset.transform = augment
    return train, validation


@augmented_split.misconception(
    title="The shared random numbers were seeded",
    why="The split is right and can be repeated. But `torch.manual_seed` sets the source that the whole program shares: "
    "whatever the caller draws next, initial weights or dropout, now depends on this call.",
    next="Give `random_split` a generator of its own, as the function did at first.",
    link="splitting-so-that-it-can-be-repeated",
    shows=SHARED,
)
def seeded_the_shared_numbers(dataset, held_out, augment, seed):
    torch.manual_seed(seed)
    lengths = [len(dataset) - held_out, held_out]
    train, validation = random_split(dataset, lengths)
    train.dataset = copy.copy(dataset)
    train.dataset.transform = augment
    return train, validation


@augmented_split.misconception(
    title="The sizes of the parts are swapped",
    why="`random_split` gives the parts in the order of their sizes in the list. The small part is trained on, and the large "
    "one is held out.",
    next="Compare the order of the sizes with the order of the two names.",
    link="splitting-so-that-it-can-be-repeated",
    shows=HELD_OUT,
)
def swapped_sizes(dataset, held_out, augment, seed):
    rng = torch.Generator().manual_seed(seed)
    lengths = [held_out, len(dataset) - held_out]
    train, validation = random_split(dataset, lengths, generator=rng)
    train.dataset = copy.copy(dataset)
    train.dataset.transform = augment
    return train, validation


@augmented_split.misconception(
    title="The two parts are returned the wrong way round",
    why="Each part is made well. But whoever unpacks them trains on the few images that are held out, as they are, and measures "
    "on augmented ones.",
    next="The training part comes first.",
    link="bug-clinic",
    shows=HELD_OUT,
)
def returned_the_wrong_way_round(dataset, held_out, augment, seed):
    rng = torch.Generator().manual_seed(seed)
    lengths = [len(dataset) - held_out, held_out]
    train, validation = random_split(dataset, lengths, generator=rng)
    train.dataset = copy.copy(dataset)
    train.dataset.transform = augment
    return validation, train


@augmented_split.misconception(
    title="The wrong part is augmented",
    why="Augmentation makes training harder, so that the network learns what matters. A measurement has to be made on the "
    "images as they are.",
    next="Give the copy with the transform to the training part.",
    link="bug-clinic",
    shows=VALIDATION_AUGMENTED,
)
def augmented_validation(dataset, held_out, augment, seed):
    rng = torch.Generator().manual_seed(seed)
    lengths = [len(dataset) - held_out, held_out]
    train, validation = random_split(dataset, lengths, generator=rng)
    validation.dataset = copy.copy(dataset)
    validation.dataset.transform = augment
    return train, validation


@augmented_split.misconception(
    title="Augmented once, for ever",
    why="The training images went through `augment` when the list was made. Each has one change, and the same one in every "
    "epoch. That is a different data set, and no augmentation.",
    next="Let the image go through `augment` whenever it is read.",
    link="bug-clinic",
    shows=BEFORE_READING,
)
def augmented_once(dataset, held_out, augment, seed):
    rng = torch.Generator().manual_seed(seed)
    lengths = [len(dataset) - held_out, held_out]
    train, validation = random_split(dataset, lengths, generator=rng)
    train = [(augment(image), label) for image, label in train]
    return train, validation


@augmented_split.misconception(
    title="Two splits that overlap",
    why="Two data sets were split, and each split drew its own order. An example can be in the training part of one and in the "
    "validation part of the other.",
    next="Draw one split, and give its training part the other data set.",
    link="bug-clinic",
    shows=PARTS,
)
def split_twice(dataset, held_out, augment, seed):
    rng = torch.Generator().manual_seed(seed)
    lengths = [len(dataset) - held_out, held_out]
    changing = copy.copy(dataset)
    changing.transform = augment
    train, _ = random_split(changing, lengths, generator=rng)
    _, validation = random_split(dataset, lengths, generator=rng)
    return train, validation


@augmented_split.misconception(
    title="The whole copy is trained on",
    why="The training part was replaced by the data set itself, with all its examples, also those that are held out.",
    next="Keep the subset, and change what it points to.",
    link="bug-clinic",
    shows=PARTS,
)
def the_whole_copy(dataset, held_out, augment, seed):
    rng = torch.Generator().manual_seed(seed)
    lengths = [len(dataset) - held_out, held_out]
    train, validation = random_split(dataset, lengths, generator=rng)
    train = copy.copy(dataset)
    train.transform = augment
    return train, validation
