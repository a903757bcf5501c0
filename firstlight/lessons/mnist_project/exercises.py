"""What the student writes in lesson 6, Project: MNIST, and every known way to get it wrong."""

# mypy does not see what a decorator makes of a class, an exercise, nor what a dict of texts holds.
# mypy: disable-error-code="arg-type,attr-defined,type-arg,no-untyped-def"

import math
import random
import sys
import time
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import DataLoader, TensorDataset
from tqdm import tqdm
from tqdm.std import tqdm as Bar

from firstlight import datasets
from firstlight.checking import exercise
from firstlight.datasets import load_mnist

# Three sets ---------------------------------------------------------------------------------------


@exercise(
    level="supported",
    minutes=8,
    why="One permutation is cut in two, so no example is lost or doubled, and both tensors are read with the same "
    "indices.",
    hints=(
        "Draw one random order of all the indices, then cut it in two.",
        "`torch.randperm(n, generator=…)` draws the order. A generator of your own leaves the global one alone.",
        "Index images and labels with the same piece of the order.",
    ),
)
def split(images: torch.Tensor, labels: torch.Tensor, held_out: int, seed: int):
    """Set some examples apart for validation.

    images: (N, …). labels: (N,). Both stay as they are. held_out: how many examples to set apart,
    from 0 to N; a part may be empty. seed: an int, 0 or more.
    Returns two pairs of tensors: (training images, training labels), (validation images, validation
    labels), each image and label with the shape, dtype and values that it came with.
    Which examples are held out is drawn at random: each has the same chance. Every example lands in
    exactly one part, and image and label stay together. The same seed gives the same two pairs, in
    the same order; other seeds draw anew. The random numbers that a whole program shares
    (PyTorch's, NumPy's and Python's) are left alone.
    """
    # solution:
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(images), generator=generator)
    apart, kept = order[:held_out], order[held_out:]
    return (images[kept], labels[kept]), (images[apart], labels[apart])
    # end solution


def form(value):
    """Describe how tuples are nested: `((a tensor, a tensor), a tensor)`."""
    if isinstance(value, tuple | list):
        return "(" + ", ".join(form(part) for part in value) + ")"
    if value is None:
        return "None"
    return "a tensor" if isinstance(value, torch.Tensor) else type(value).__name__


def pairs_form(parts, images, labels):
    """Describe what a split gives back: `((images, labels), (images, labels))` is due."""
    if isinstance(parts, tuple | list):
        return "(" + ", ".join(pairs_form(part, images, labels) for part in parts) + ")"
    if not isinstance(parts, torch.Tensor):
        return form(parts)
    if parts.dim() == images.dim() and parts.shape[1:] == images.shape[1:]:
        return "images"
    return "labels" if parts.dim() == 1 else f"a tensor of shape {tuple(parts.shape)}"


PAIRS = "((images, labels), (images, labels))"


def seed_the_world(seed):
    """Set the random numbers that a whole program shares: PyTorch's, NumPy's and Python's."""
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)


def next_of_the_world():
    """Draw the next random number from each of the three."""
    return {
        "PyTorch": torch.rand(1).item(),
        "NumPy": np.random.random(),
        "Python": random.random(),
    }


@split.drive
def split_and_count(answer, images, labels, held_out, seed):
    given = images.clone(), labels.clone()
    seed_the_world(99 + seed)
    due_next = next_of_the_world()
    seed_the_world(99 + seed)
    parts = answer(images, labels, held_out, seed)
    seen = {"what comes back": pairs_form(parts, *given)}
    if seen["what comes back"] != PAIRS:
        return seen
    comes_next = next_of_the_world()
    changed = [name for name in due_next if comes_next[name] != due_next[name]]
    seen["the dtypes of the images and the labels"] = dtypes_of(parts)
    trained, held = (numbers_of(pair[0], given[0]) for pair in parts)
    seen["the number of images that are none of those given"] = (trained + held).count(-1)
    if -1 in trained + held:
        return seen
    again = answer(*(tensor.clone() for tensor in given), held_out, seed)
    most = len(images) - 1
    return {
        **seen,
        "the number of training images": len(trained),
        "the number of validation images": len(held),
        "the number of images in both parts": len(set(trained) & set(held)),
        "the number of images in neither part": len(images) - len(set(trained + held)),
        "each image still has its own label": labels_belong(parts, *given),
        "where the validation images lie in the file": places(sorted(held), len(images)),
        "the same seed holds out the same images": set(held) == held_numbers(again, given[0]),
        "the same seed gives the same order": all(
            torch.equal(one, other)
            for pair, same in zip(parts, again, strict=True)
            for one, other in zip(pair, same, strict=True)
        ),
        "the number of different splits from 5 seeds": len(
            {
                frozenset(held_numbers(answer(*given, held_out, seed + more), given[0]))
                for more in (0, 1, 10, 42, 100)
            }
        ),
        "any image may be held out": any(  # with all but one held out, which one is left?
            held_numbers(answer(*given, most, seed + more), given[0])
            != held_numbers(answer(*given, most, seed), given[0])
            for more in range(1, 6)
        ),
        "the case held_out = 0": extreme(answer, *given, 0, seed),
        "the case held_out = N": extreme(answer, *given, len(images), seed),
        "shared random numbers that the split changed": ", ".join(changed) or "none",
    }


def dtypes_of(parts):
    """Name the dtypes of both pairs, once if they are the same."""
    pairs = [" and ".join(str(t.dtype).removeprefix("torch.") for t in pair) for pair in parts]
    return pairs[0] if pairs[0] == pairs[1] else f"{pairs[0]}, for validation {pairs[1]}"


def numbers_of(some, images):
    """Find each image's place in the file by its pixels; -1 for one that is not there."""
    places = {image.tobytes(): place for place, image in enumerate(images.numpy())}
    some = some.detach().to("cpu", images.dtype)
    return [places.get(image.tobytes(), -1) for image in some.numpy()]


def held_numbers(parts, images):
    return set(numbers_of(parts[1][0], images))


def labels_belong(parts, images, labels):
    """Whether every image of both parts stands beside the label it came with."""
    return all(
        torch.equal(own.to(labels.dtype), labels[numbers_of(pictures, images)])
        for pictures, own in parts
    )


def extreme(answer, images, labels, held_out, seed):
    """Say in words what comes of holding out nothing, or everything."""
    try:
        parts = answer(images.clone(), labels.clone(), held_out, seed)
    except Exception as error:  # the student's code, whatever it raises
        return f"{type(error).__name__}: {error}"
    came = pairs_form(parts, images, labels)
    if came != PAIRS:
        return came
    sizes = f"{len(parts[0][0])} images for training, {len(parts[1][0])} for validation"
    if -1 in numbers_of(torch.cat([pair[0] for pair in parts]), images):
        return f"{sizes}, and not those that were given"
    if not labels_belong(parts, images, labels):
        return f"{sizes}, and not each with its own label"
    return sizes if dtypes_of(parts) == dtypes_of([(images, labels)] * 2) else dtypes_of(parts)


def places(held, count):
    """Say where the held-out numbers lie: at an end, in one block, at regular distances, or anywhere."""
    gaps = [(after - before) % count for before, after in pairwise([*held, held[0]])]
    if len(gaps) - gaps.count(1) <= 1:  # one block, perhaps over the end of the file
        block = held[-1] - held[0] == len(held) - 1
        ends = {0: "at the beginning", count - len(held): "at the end"}
        return ends.get(held[0], "in one block") if block else "in one block"
    return "anywhere" if len(set(gaps)) > 2 else "at regular distances"


def some_images(g, count, *shape, dtype=torch.uint8):
    """Make images that all differ, and labels from 0 to 9."""
    images = torch.randint(0, 256, (count, *shape), generator=g, dtype=torch.uint8)
    return images.to(dtype), torch.arange(count) % 10


@split.probe
def forty_images(g):
    return *some_images(g, 40, 3, 4), 12, 3


@split.probe
def ninety_images(g):
    return *some_images(g, 90, 1, 4, 3, dtype=torch.float32), 15, 0


@split.probe
def half_and_half(g):
    return *some_images(g, 60, 5, 5), 30, 7


@split.alternative("`random_split` draws the same kind of split; its subsets know their indices.")
def with_random_split(images, labels, held_out, seed):
    sizes = [len(images) - held_out, held_out]
    parts = torch.utils.data.random_split(
        range(len(images)), sizes, generator=torch.Generator().manual_seed(seed)
    )
    return [(images[part.indices], labels[part.indices]) for part in parts]


@split.alternative("A mask says of each example on which side it is.")
def with_a_mask(images, labels, held_out, seed):
    generator = torch.Generator().manual_seed(seed)
    apart = torch.zeros(len(images), dtype=torch.bool)
    apart[torch.randperm(len(images), generator=generator)[:held_out]] = True
    return (images[~apart], labels[~apart]), (images[apart], labels[apart])


@split.misconception(
    title="The end cut off",
    why="The same examples are held out whatever the seed says: the last ones. They are a fair sample only if the file is in "
    "random order. Files are often sorted, by class or by who wrote the digits, and then the validation set asks about "
    "other things than were learned.",
    next="Draw a random order first, then cut.",
    link="milestone-2-three-sets-that-never-mix",
)
def cut_the_end_off(images, labels, held_out, seed):
    kept, apart = slice(0, len(images) - held_out), slice(len(images) - held_out, None)
    return (images[kept], labels[kept]), (images[apart], labels[apart])


@split.misconception(
    title="The beginning cut off",
    why="The same examples are held out whatever the seed says: the first ones. They are a fair sample only if the file is in "
    "random order. Files are often sorted, by class or by who wrote the digits, and then the validation set asks about "
    "other things than were learned.",
    next="Draw a random order first, then cut.",
    link="milestone-2-three-sets-that-never-mix",
    shows="where the validation images lie in the file",
)
def cut_the_beginning_off(images, labels, held_out, seed):
    return (images[held_out:], labels[held_out:]), (images[:held_out], labels[:held_out])


@split.misconception(
    title="Images and labels stand in different orders",
    why="An image and its label belong together by their place alone. Where the two tensors are not put in the same order, an "
    "image gets some other image's label. A network can then learn little but the average digit, and no error tells you.",
    next="Index both tensors with one and the same permutation, in both parts.",
    link="milestone-2-three-sets-that-never-mix",
)
def shuffled_apart(images, labels, held_out, seed):
    generator = torch.Generator().manual_seed(seed)
    images = images[torch.randperm(len(images), generator=generator)]
    labels = labels[torch.randperm(len(labels), generator=generator)]
    return (images[held_out:], labels[held_out:]), (images[:held_out], labels[:held_out])


@split.misconception(
    title="The validation images stayed in the training set",
    why="A network has seen what it is then examined on. Its validation accuracy looks fine and says nothing "
    "about new images. This is called leakage.",
    next="Take what is held out away from the training part.",
    link="milestone-2-three-sets-that-never-mix",
    shows="the number of images in both parts",
)
def leaked_everything(images, labels, held_out, seed):
    generator = torch.Generator().manual_seed(seed)
    apart = torch.randperm(len(images), generator=generator)[:held_out]
    return (images, labels), (images[apart], labels[apart])


@split.misconception(
    title="The two parts were drawn one after the other",
    why="A second permutation knows nothing of the first. Some images land in both parts, which is leakage, and "
    "others in neither.",
    next="Draw once, and cut that one order in two.",
    link="milestone-2-three-sets-that-never-mix",
    shows="the number of images in both parts",
)
def drawn_twice(images, labels, held_out, seed):
    generator = torch.Generator().manual_seed(seed)
    apart = torch.randperm(len(images), generator=generator)[:held_out]
    kept = torch.randperm(len(images), generator=generator)[held_out:]
    return (images[kept], labels[kept]), (images[apart], labels[apart])


REPLACED = {
    "title": "Drew with replacement",
    "why": "`randint` may draw the same index twice. Then an image is doubled, and another one that should be there is "
    "not.",
    "next": "`randperm` draws every index exactly once.",
    "link": "milestone-2-three-sets-that-never-mix",
}


@split.misconception(**REPLACED)
def held_out_with_replacement(images, labels, held_out, seed):
    generator = torch.Generator().manual_seed(seed)
    apart = torch.randint(len(images), (held_out,), generator=generator)
    kept = torch.ones(len(images), dtype=torch.bool)
    kept[apart] = False
    return (images[kept], labels[kept]), (images[apart], labels[apart])


@split.misconception(**REPLACED, shows="the number of images in neither part")
def drawn_with_replacement(images, labels, held_out, seed):
    generator = torch.Generator().manual_seed(seed)
    order = torch.randint(len(images), (len(images),), generator=generator)
    apart, kept = order[:held_out], order[held_out:]
    return (images[kept], labels[kept]), (images[apart], labels[apart])


@split.misconception(
    title="The parts come back in the wrong order",
    why="The small part is returned first, so the network would train on what was held out and be examined on "
    "the rest.",
    next="The training pair comes first.",
    link="milestone-2-three-sets-that-never-mix",
    shows="the number of training images",
)
def parts_swapped(images, labels, held_out, seed):
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(images), generator=generator)
    apart, kept = order[:held_out], order[held_out:]
    return (images[apart], labels[apart]), (images[kept], labels[kept])


@split.misconception(
    title="Reset everybody's random numbers",
    why="`torch.manual_seed` sets the generator that initial weights, shuffling and dropout share. A split that "
    "calls it makes all of them repeat themselves.",
    next="Give `randperm` a generator of its own.",
    link="milestone-2-three-sets-that-never-mix",
)
def seeded_the_world(images, labels, held_out, seed):
    torch.manual_seed(seed)
    order = torch.randperm(len(images))
    apart, kept = order[:held_out], order[held_out:]
    return (images[kept], labels[kept]), (images[apart], labels[apart])


@split.misconception(
    title="Reset NumPy's random numbers for everybody",
    why="`np.random.seed` sets the one generator that all code using `np.random` shares. Whatever draws from it "
    "after your split repeats itself.",
    next="Let the split draw from a generator of its own.",
    link="milestone-2-three-sets-that-never-mix",
)
def seeded_numpys_world(images, labels, held_out, seed):
    np.random.seed(seed)
    order = torch.from_numpy(np.random.permutation(len(images)))
    apart, kept = order[:held_out], order[held_out:]
    return (images[kept], labels[kept]), (images[apart], labels[apart])


@split.misconception(
    title="Another split in every run",
    why="The draw does not follow the seed alone, so each run holds out other images. A network trained yesterday and examined today has "
    "seen most of today's validation images.",
    next="Make a generator from `seed` and let `randperm` use it.",
    link="milestone-2-three-sets-that-never-mix",
    shows="the same seed holds out the same images",
)
def ignored_the_seed(images, labels, held_out, seed):
    order = torch.randperm(len(images))
    apart, kept = order[:held_out], order[held_out:]
    return (images[kept], labels[kept]), (images[apart], labels[apart])


@split.misconception(
    title="Reset Python's random numbers for everybody",
    why="`random.seed` sets the one generator behind all functions of the module `random`. Whatever draws from it after "
    "your split repeats itself.",
    next="Let the split draw from a generator of its own.",
    link="milestone-2-three-sets-that-never-mix",
)
def seeded_pythons_world(images, labels, held_out, seed):
    random.seed(seed)
    order = torch.tensor(random.sample(range(len(images)), len(images)))
    apart, kept = order[:held_out], order[held_out:]
    return (images[kept], labels[kept]), (images[apart], labels[apart])


@split.misconception(
    title="The order comes from everybody's random numbers",
    why="The seed decides which images are held out. The order of the training images is drawn from the random numbers that "
    "the whole program shares: it is another one in every run, and whatever else draws from them is changed.",
    next="Draw everything that is random here from your own generator.",
    link="milestone-2-three-sets-that-never-mix",
    shows="the same seed gives the same order",
)
def shuffled_once_more(images, labels, held_out, seed):
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(images), generator=generator)
    apart, kept = order[:held_out], order[held_out:]
    kept = kept[torch.randperm(len(kept))]
    return (images[kept], labels[kept]), (images[apart], labels[apart])


@split.misconception(
    title="The same split whatever the seed",
    why="Every seed gives one and the same split: a seed is written into the function, or a generator is never given one. "
    "Nobody can ask for a second split to see how much depends on the choice.",
    next="Give the generator the `seed` that was passed in.",
    link="milestone-2-three-sets-that-never-mix",
    shows="the number of different splits from 5 seeds",
)
def always_the_same_split(images, labels, held_out, seed):
    generator = torch.Generator().manual_seed(42)
    order = torch.randperm(len(images), generator=generator)
    apart, kept = order[:held_out], order[held_out:]
    return (images[kept], labels[kept]), (images[apart], labels[apart])


@split.misconception(
    title="One block, cut out at a random place",
    why="Only the place is drawn. Neighbours in a file are often alike, of one class or from one writer, and a block takes "
    "them all to one side.",
    next="Draw every example on its own: a random order of all the indices.",
    link="milestone-2-three-sets-that-never-mix",
    shows="where the validation images lie in the file",
)
def one_random_block(images, labels, held_out, seed):
    generator = torch.Generator().manual_seed(seed)
    start = torch.randint(1, len(images) - held_out, (1,), generator=generator).item()
    apart = torch.zeros(len(images), dtype=torch.bool)
    apart[start : start + held_out] = True
    return (images[~apart], labels[~apart]), (images[apart], labels[apart])


@split.misconception(
    title="Took every k-th example",
    why="Steps of one length are no random choice. A file with a rhythm, such as the ten digits in turn, then gives a "
    "validation set that holds some of them and never the others.",
    next="Draw a random order of all the indices, then cut.",
    link="milestone-2-three-sets-that-never-mix",
    shows="where the validation images lie in the file",
)
def every_kth(images, labels, held_out, seed):
    step = len(images) // max(held_out, 1)
    apart = torch.zeros(len(images), dtype=torch.bool)
    apart[torch.arange(seed % step, len(images), step)[:held_out]] = True
    return (images[~apart], labels[~apart]), (images[apart], labels[apart])


@split.misconception(
    title="Counted from the end, and -0 is the beginning",
    why="`order[-held_out:]` holds the last `held_out` indices, except for 0: minus 0 is 0, and `order[0:]` is everything. "
    "Then nothing is left to train on.",
    next="Cut at a place that is counted from the front.",
    link="milestone-2-three-sets-that-never-mix",
    shows="the case held_out = 0",
)
def counted_from_the_end(images, labels, held_out, seed):
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(images), generator=generator)
    apart, kept = order[-held_out:], order[:-held_out]
    return (images[kept], labels[kept]), (images[apart], labels[apart])


@split.misconception(
    title="Images with images, labels with labels",
    why="The two pairs are the two sets: each holds the images of a set and their labels. Paired the other way, whoever "
    "unpacks the training set gets two batches of pictures and no answers.",
    next="Put into one tuple what is used together.",
    link="milestone-2-three-sets-that-never-mix",
)
def paired_by_kind(images, labels, held_out, seed):
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(images), generator=generator)
    apart, kept = order[:held_out], order[held_out:]
    return (images[kept], images[apart]), (labels[kept], labels[apart])


@split.misconception(
    title="Four tensors instead of two pairs",
    why="The order asks for (images, labels) twice, so that a pair can be handed on as one thing. Four loose "
    "tensors invite mixing them up.",
    next="Put each part's images and labels into a tuple of their own.",
    link="milestone-2-three-sets-that-never-mix",
)
def four_tensors(images, labels, held_out, seed):
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(images), generator=generator)
    apart, kept = order[:held_out], order[held_out:]
    return images[kept], labels[kept], images[apart], labels[apart]


@split.misconception(
    title="Four tensors, in scikit-learn's order",
    why="`train_test_split` of scikit-learn returns the images of both parts, then the labels of both. Here two pairs are due. Whoever "
    "unpacks four tensors in another order than you gave them trains on images with images for labels.",
    next="Put each part's images and labels into a tuple of their own, the training part first.",
    link="milestone-2-three-sets-that-never-mix",
)
def in_scikit_learns_order(images, labels, held_out, seed):
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(images), generator=generator)
    apart, kept = order[:held_out], order[held_out:]
    return images[kept], images[apart], labels[kept], labels[apart]


@exercise(
    level="supported",
    minutes=6,
    why="Mean and standard deviation come from the training images alone, and every set is treated with the same two.",
    hints=(
        "Two numbers describe the training pixels. Compute them once, over all pixels of all training images.",
        "Bytes have no mean in PyTorch: divide by 255 first, and you have floats.",
        "Subtract the mean, divide by the standard deviation, then put in the channel axis: `[:, None]`.",
    ),
)
def standardise(images: torch.Tensor, train_images: torch.Tensor) -> torch.Tensor:
    """Bring images to the scale a network likes, by the training set's statistics.

    images: uint8 (N, 28, 28), any set. train_images: uint8 (M, 28, 28), the training set.
    Returns float32 (N, 1, 28, 28): the images shifted and scaled in the way that would give all
    the pixels of `train_images` together mean 0 and standard deviation 1. (They are not all equal.
    Dividing the squares by their number or by one less makes no difference here.)
    """
    # solution:
    train_pixels = train_images / 255
    centred = images / 255 - train_pixels.mean()
    return (centred / train_pixels.std())[:, None]
    # end solution


@standardise.drive
def standardise_twice(answer, images, train_images):
    seen = {"result": answer(images, train_images)}
    if len(train_images) < 1000:  # another training set, and a darker one
        seen["the result for another training set"] = answer(images, train_images // 2)
    return seen


def pictures(g, count, brightest):
    """Make pictures with a black border, as MNIST has, some pixels of which are never lit."""
    images = torch.zeros(count, 28, 28, dtype=torch.uint8)
    images[:, 4:24, 4:24] = torch.randint(
        0, brightest, (count, 20, 20), generator=g, dtype=torch.uint8
    )
    return images


@standardise.probe
def darker_than_the_training_set(g):
    return pictures(g, 3, 60), pictures(g, 40, 256)


@standardise.probe
def brighter_than_the_training_set(g):
    return pictures(g, 5, 250), pictures(g, 60, 120)


@standardise.probe
def the_training_set_itself(g):
    images = pictures(g, 50, 256)
    return images, images.clone()


@standardise.probe
def a_training_set_that_grows_brighter(g):
    dark, bright = pictures(g, 200, 40).repeat(25, 1, 1), pictures(g, 90, 256)
    return pictures(g, 2, 256), torch.cat([dark, bright])


@standardise.probe
def one_image(g):
    return pictures(g, 1, 200), pictures(g, 30, 256)


@standardise.alternative(
    "The 255 cancels: both the pixels and their statistics are 255 times larger."
)
def without_255(images, train_images):
    train_pixels = train_images.float()
    return (images.unsqueeze(1) - train_pixels.mean()) / train_pixels.std()


@standardise.alternative("Dividing by M or by M - 1 makes no difference with so many pixels.")
def with_var_mean(images, train_images):
    variance, mean = torch.var_mean(train_images / 255, correction=0)
    return ((images / 255 - mean) / variance.sqrt()).reshape(-1, 1, 28, 28)


@standardise.misconception(
    title="Each set by its own statistics",
    why="A validation set that is darker than the training set is darker for a reason, and here the difference is "
    "removed. One and the same image would reach the network with different values, depending on the company it keeps.",
    next="Both numbers come from `train_images`.",
    link="milestone-2-three-sets-that-never-mix",
)
def by_its_own_statistics(images, train_images):
    pixels = images / 255
    centred = pixels - pixels.mean()
    return (centred / pixels.std())[:, None]


@standardise.misconception(
    title="The statistics of both sets together",
    why="The validation images help to choose the two numbers, so they are no longer unseen. The leak is small "
    "here. Make it a habit, and one day it is not.",
    next="Leave `images` out of the mean and the standard deviation.",
    link="milestone-2-three-sets-that-never-mix",
)
def pooled_statistics(images, train_images):
    pixels = torch.cat([images, train_images]) / 255
    centred = images / 255 - pixels.mean()
    return (centred / pixels.std())[:, None]


@standardise.misconception(
    title="A mean and a deviation for every pixel, with something added to save it",
    why="A small number in the denominator prevents 0 / 0 at the border. It is still another method: each pixel is now "
    "measured against itself, and one that is seldom lit counts as much as the middle of the digit.",
    next="Reduce over all axes: two numbers are due, not two pictures.",
    link="milestone-2-three-sets-that-never-mix",
)
def per_pixel_guarded(images, train_images):
    train_pixels = train_images / 255
    centred = images / 255 - train_pixels.mean(0)
    return (centred / (train_pixels.std(0) + 1e-8))[:, None]


@standardise.misconception(
    title="MNIST's own numbers, written in",
    why="0.1307 and 0.3081 are the mean and the deviation of MNIST's 60,000 training images, as many tutorials give them. "
    "They do not fit your 50,000 exactly, and another data set not at all.",
    next="Compute both numbers from `train_images`.",
    link="milestone-2-three-sets-that-never-mix",
)
def mnists_numbers(images, train_images):
    centred = images / 255 - 0.1307
    return (centred / 0.3081)[:, None]


REMEMBERED: dict = {}


@standardise.misconception(
    title="Remembers the training set of its first call",
    why="The statistics are computed once and kept outside the function. A second call with another training set gets "
    "the numbers of the first.",
    next="Let the function compute everything from its arguments.",
    link="milestone-2-three-sets-that-never-mix",
    shows="the result for another training set",
)
def remembers_the_first(images, train_images):
    train_pixels = REMEMBERED.setdefault("pixels", train_images) / 255
    centred = images / 255 - train_pixels.mean()
    return (centred / train_pixels.std())[:, None]


@standardise.misconception(
    title="Statistics of the first thousand only",
    why="The first images of a file are a sample like any other only if the file is in random order. Here the later ones "
    "are brighter.",
    next="Use all of `train_images`.",
    link="milestone-2-three-sets-that-never-mix",
)
def of_the_first_thousand(images, train_images):
    train_pixels = train_images[:1000] / 255
    centred = images / 255 - train_pixels.mean()
    return (centred / train_pixels.std())[:, None]


@standardise.misconception(
    title="A mean and a deviation for every pixel",
    why="A pixel of the border is 0 in every training image. Its standard deviation is 0 as well, and 0 / 0 is NaN. "
    "One NaN is enough to spoil every weight.",
    next="Reduce over all axes: two numbers are due, not two pictures.",
    link="milestone-2-three-sets-that-never-mix",
)
def per_pixel(images, train_images):
    train_pixels = train_images / 255
    centred = images / 255 - train_pixels.mean(0)
    return (centred / train_pixels.std(0))[:, None]


@standardise.misconception(
    title="Every image by its own mean",
    why="This is another method: it makes all images equally bright. The order asks for one mean and one deviation, "
    "those of the training set, for all.",
    next="Use `train_images` for the two numbers.",
    link="milestone-2-three-sets-that-never-mix",
)
def per_image(images, train_images):
    pixels = images[:, None] / 255
    axes = (1, 2, 3)
    centred = pixels - pixels.mean(axes, keepdim=True)
    return centred / pixels.std(axes, keepdim=True)


THE_VARIANCE = {
    "title": "Divided by the variance",
    "why": "The variance is the square of the standard deviation. After dividing by it, the pixels' standard "
    "deviation is 1 only if it was 1 before.",
    "next": "Divide by the standard deviation.",
    "link": "milestone-2-three-sets-that-never-mix",
}


@standardise.misconception(**THE_VARIANCE)
def by_the_variance(images, train_images):
    train_pixels = train_images / 255
    centred = images / 255 - train_pixels.mean()
    return (centred / train_pixels.var())[:, None]


@standardise.misconception(**THE_VARIANCE)
def by_the_variance_of_bytes(images, train_images):
    train_pixels = train_images.float()
    centred = images - train_pixels.mean()
    return (centred / train_pixels.var())[:, None]


@standardise.misconception(
    title="Scaled to 0…1 and stopped there",
    why="Values from 0 to 1 are all positive, and in MNIST most are 0. Standardising also moves the mean to 0.",
    next="Subtract the training mean, divide by the training deviation.",
    link="milestone-2-three-sets-that-never-mix",
)
def only_scaled(images, train_images):
    return (images / 255)[:, None]


@standardise.misconception(
    title="Bytes wrapped round below 0",
    why="A byte minus a whole number is a byte, and bytes know no negative numbers: 0 minus 33 comes out as 223. Dark pixels "
    "turn bright. And a mean without its fraction is not the mean.",
    next="Make floats of the pixels before anything is subtracted.",
    link="milestone-2-three-sets-that-never-mix",
)
def bytes_wrapped(images, train_images):
    train_pixels = train_images.float()
    centred = images - int(train_pixels.mean())
    return (centred / train_pixels.std())[:, None]


@standardise.misconception(
    title="One image loses its axis",
    why="`squeeze` removes every axis of length 1. With a single image that is the first axis, the one that counts images: "
    "(28, 1, 28) comes back instead of (1, 1, 28, 28).",
    next="Put the channel axis in, and take none away.",
    link="milestone-2-three-sets-that-never-mix",
)
def one_image_squeezed(images, train_images):
    train_pixels = train_images / 255
    centred = (images / 255 - train_pixels.mean()).squeeze()
    return (centred / train_pixels.std())[:, None]


@standardise.misconception(
    title="Centred, but not scaled",
    why="The mean is 0 now, the standard deviation is not yet 1.",
    next="One division is missing.",
    link="milestone-2-three-sets-that-never-mix",
)
def only_centred(images, train_images):
    train_pixels = train_images / 255
    return (images / 255 - train_pixels.mean())[:, None]


@standardise.misconception(
    title="Statistics on one scale, pixels on another",
    why="The two numbers were computed from pixels in 0…1 and applied to pixels in 0…255. The result reaches "
    "into the hundreds.",
    next="Divide by 255 on both sides, or on neither.",
    link="milestone-2-three-sets-that-never-mix",
)
def two_scales(images, train_images):
    train_pixels = train_images / 255
    centred = images - train_pixels.mean()
    return (centred / train_pixels.std())[:, None]


@standardise.misconception(
    title="Statistics of bytes, pixels in 0…1",
    why="The mean and the deviation were computed from pixels in 0…255 and applied to pixels in 0…1. Against such a "
    "deviation all pixels are nearly equal: the picture is gone.",
    next="Divide by 255 on both sides, or on neither.",
    link="milestone-2-three-sets-that-never-mix",
)
def two_scales_turned_round(images, train_images):
    train_pixels = train_images.float()
    centred = images / 255 - train_pixels.mean()
    return (centred / train_pixels.std())[:, None]


@standardise.misconception(
    title="Asked bytes for their mean",
    why="A mean needs fractions, and uint8 has none. PyTorch refuses instead of choosing a float dtype for you.",
    next="Make floats of the training images first.",
    link="milestone-2-three-sets-that-never-mix",
)
def mean_of_bytes(images, train_images):
    centred = images / 255 - train_images.mean()
    return (centred / train_images.std())[:, None]


@standardise.misconception(
    title="The channel axis is missing",
    why="The values are right. The shape (N, 28, 28) has no channel axis, and layers for pictures expect "
    "(N, 1, 28, 28).",
    next="Put an axis of length 1 behind axis 0.",
    link="milestone-2-three-sets-that-never-mix",
)
def without_channel(images, train_images):
    train_pixels = train_images / 255
    centred = images / 255 - train_pixels.mean()
    return centred / train_pixels.std()


# Loss and accuracy --------------------------------------------------------------------------------


@exercise(
    level="supported",
    minutes=8,
    why="`logsumexp` takes the largest logit out before `exp`, so nothing overflows; the rest picks one number per row.",
    hints=(
        "Per row: the log of the softmax, at the label's place, with a minus. Then the mean over the rows.",
        "log softmax is the logits minus `logits.logsumexp(1, keepdim=True)`.",
        "Two index tensors pick one element per row: `torch.arange(N)` and the labels.",
    ),
)
def cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Compute the mean cross-entropy of logits, without a loss function of PyTorch's.

    logits: float32 (N, C), any numbers, also very large ones. labels: int64 (N,), from 0 to C - 1.
    Both stay as they are. `softmax`, `log_softmax` and `logsumexp` are no loss functions: use what
    you like of them.
    Returns a float32 tensor without axes: the mean over the rows of minus the log of the
    probability that softmax gives to the row's label. It is right for very large logits, too. It
    can be trained on: `backward` leads from it to the logits.
    """
    # solution:
    log_probabilities = logits - logits.logsumexp(1, keepdim=True)
    picked = log_probabilities[torch.arange(len(labels)), labels]
    return -picked.mean()
    # end solution


class LossCalls(TorchFunctionMode):
    """Note which loss functions of PyTorch's are called inside, and with which labels."""

    NAMES = ("cross_entropy", "nll_loss", "kl_div", "cross_entropy_loss", "nll_loss_nd")

    def __init__(self):
        super().__init__()
        self.labels = []

    def __torch_function__(self, function, types, args=(), kwargs=None):
        name = getattr(function, "__name__", "").removesuffix(".default")
        if name in self.NAMES:
            given = args[1] if len(args) > 1 else (kwargs or {}).get("target")
            self.labels += [given] if torch.is_grad_enabled() else []
        return function(*args, **(kwargs or {}))


class LossOperations(TorchDispatchMode):
    """Note whether PyTorch's kernel for a loss runs inside, whoever calls it and how."""

    def __init__(self):
        super().__init__()
        self.seen = False

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.seen = self.seen or "nll_loss" in function.name()
        return function(*args, **(kwargs or {}))


def size_of(loss, due):
    """Say of the loss of huge logits whether it is right, and if not, where it went.

    A difference of float32 logits near 1000 is exact to 6e-5.
    """
    if not isinstance(loss, torch.Tensor) or loss.numel() != 1:
        return form(loss)
    loss, due = loss.detach().double(), due.double()
    if torch.allclose(loss, due, rtol=1e-5, atol=2e-4):
        return f"{due.item():g}"
    if not loss.isfinite():
        return {"nan": "NaN", "inf": "infinite"}.get(str(loss.item()), "minus infinity")
    if loss.abs() < 1e-3:
        return "next to 0"
    return "too small" if loss < due else "too large"


@cross_entropy.drive
def ask_for_a_loss(answer, logits, labels):
    given = logits.clone().requires_grad_() + 0  # no leaf, so that writing into it is no error
    before = given._version
    with LossCalls() as calls, LossOperations() as operations:
        loss = answer(given, labels)
    recorded = isinstance(loss, torch.Tensor) and loss.requires_grad
    watched = {
        "`backward` leads from the loss to the logits": recorded,
        "a loss function of PyTorch's is called": bool(calls.labels) or operations.seen,
        "the logits are written into": given._version != before,
    }
    if logits.abs().max() > 100:
        due = F.cross_entropy(logits, labels)
        return {"the loss of huge logits": size_of(loss, due), **watched}
    slopes = None
    if recorded and loss.numel() == 1:
        (slopes,) = torch.autograd.grad(loss, given, allow_unused=True)
    return {"result": loss, **watched, "the gradient at the logits": slopes}


@cross_entropy.probe
def two_rows(g):
    logits = torch.tensor([[2.0, 0.0, -1.0], [0.5, 0.25, 0.0]])
    return logits, torch.tensor([0, 1])


@cross_entropy.probe
def as_many_rows_as_classes(g):
    logits = 2 * torch.rand(4, 4, generator=g)
    return logits, torch.tensor([2, 0, 3, 2])


@cross_entropy.probe
def sure_and_right(g):  # exp(1000) is infinite
    rows = [[1000.0, 999.0, 0.0], [-800.0, 0.0, 900.0], [-5.0, -6.0, 0.0]]
    return torch.tensor(rows), torch.tensor([1, 2, 2])


@cross_entropy.probe
def sure_and_wrong(g):  # exp(-60000) is 0
    logits = torch.tensor([[0.0, -20_000.0, 40_000.0], [300.0, 1.0, 0.0]])
    return logits, torch.tensor([1, 0])


@cross_entropy.alternative("The largest logit may be taken out by hand.")
def by_hand(logits, labels):
    shifted = logits - logits.max(1, keepdim=True).values
    log_sums = shifted.exp().sum(1).log()
    return (log_sums - shifted.gather(1, labels[:, None])[:, 0]).mean()


@cross_entropy.alternative("With one-hot labels the sum picks the right element.")
def with_one_hot(logits, labels):
    chosen = F.one_hot(labels, logits.shape[1])
    return -(logits.log_softmax(1) * chosen).sum() / len(labels)


@cross_entropy.misconception(
    title="The log of a probability that had become 0",
    why="On paper log(softmax(x)) is right. In floating point a small probability is rounded to 0, its log is minus "
    "infinity, and so is the loss. It happens when the network is sure and wrong, where the loss matters most.",
    next="Work with logs from the start: `logsumexp`.",
    link="milestone-4-loss-and-accuracy",
)
def log_of_softmax(logits, labels):
    log_probabilities = logits.softmax(1).log()
    picked = log_probabilities[torch.arange(len(labels)), labels]
    return -picked.mean()


@cross_entropy.misconception(
    title="PyTorch's own loss function",
    why="The number is right, and from now on you will get it this way. Here the point is to see once what is in it, "
    "because its traps, overflow and a second softmax, come from what is in it.",
    next="Write the formula with `logsumexp`.",
    link="milestone-4-loss-and-accuracy",
    shows="a loss function of PyTorch's is called",
)
def asked_pytorch(logits, labels):
    return F.cross_entropy(logits, labels)


@cross_entropy.misconception(
    title="The loss of a sure mistake is capped",
    why="Something keeps the loss finite: a `clamp`, a small number added before the log, or a number in the place of infinity. "
    "It also keeps the loss from growing: beyond the cap a worse mistake costs no more, and there is hardly a gradient to "
    "learn from.",
    next="Work with logs from the start, and nothing has to be saved.",
    link="milestone-4-loss-and-accuracy",
)
def floored(logits, labels):
    log_probabilities = logits.softmax(1).clamp(min=1e-12).log()
    picked = log_probabilities[torch.arange(len(labels)), labels]
    return -picked.mean()


@cross_entropy.misconception(
    title="The worst mistakes are left out",
    why="Rows whose loss became infinite are thrown away. These are the rows in which the network is sure and wrong, so it is "
    "never told about its worst mistakes.",
    next="Work with logs from the start, and no loss becomes infinite.",
    link="milestone-4-loss-and-accuracy",
)
def left_out_the_worst(logits, labels):
    log_probabilities = logits.softmax(1).log()
    picked = log_probabilities[torch.arange(len(labels)), labels]
    return -picked[picked.isfinite()].mean()


@cross_entropy.misconception(
    title="The log of a sum that had become infinite",
    why="On paper the log undoes the exp. In between, exp(1000) is infinite even in float64, and the log of infinity is "
    "infinity.",
    next="`logsumexp` takes the largest logit out first.",
    link="milestone-4-loss-and-accuracy",
)
def log_of_an_infinite_sum(logits, labels):
    log_probabilities = logits - logits.exp().sum(1, keepdim=True).log()
    picked = log_probabilities[torch.arange(len(labels)), labels]
    return -picked.mean()


GUESSED = {
    "title": "`one_hot` had to guess the number of classes",
    "why": "Without a second argument `F.one_hot` makes as many columns as the largest label needs. A batch in which the "
    "last class does not occur gives too few of them.",
    "next": "Tell `one_hot` how many classes the logits have.",
    "link": "milestone-4-loss-and-accuracy",
}


@cross_entropy.misconception(**GUESSED)
def guessed_classes(logits, labels):
    log_probabilities = logits - logits.logsumexp(1, keepdim=True)
    return -(F.one_hot(labels) * log_probabilities).sum(1).mean()


@cross_entropy.misconception(**GUESSED)
def guessed_classes_on_the_right(logits, labels):
    log_probabilities = logits - logits.logsumexp(1, keepdim=True)
    return -(log_probabilities * F.one_hot(labels)).sum(1).mean()


@cross_entropy.misconception(
    title="A loss that cannot be trained on",
    why="The value is right, but no operation was recorded on the way: `no_grad`, `detach` or a new tensor cut it off. "
    "`backward` then finds no way to the logits, and the network behind them cannot learn.",
    next="Compute with the logits as they come, from the first line to the last.",
    link="milestone-4-loss-and-accuracy",
    shows="`backward` leads from the loss to the logits",
)
def without_a_record(logits, labels):
    log_probabilities = logits - logits.logsumexp(1, keepdim=True)
    picked = log_probabilities[torch.arange(len(labels)), labels]
    return -picked.mean().detach()


@cross_entropy.misconception(
    title="A Python number instead of a tensor",
    why="`.item()` takes the number out of the tensor, and with it goes all that autograd knew. A float has no "
    "`backward()`.",
    next="Return the tensor. Take the number out where you print it.",
    link="milestone-4-loss-and-accuracy",
)
def a_plain_number(logits, labels):
    log_probabilities = logits - logits.logsumexp(1, keepdim=True)
    picked = log_probabilities[torch.arange(len(labels)), labels]
    return -picked.mean().item()


@cross_entropy.misconception(
    title="Nothing is returned",
    why="The loss is computed and then forgotten: without `return` a function gives None.",
    next="Return the loss.",
    link="milestone-4-loss-and-accuracy",
)
def returned_no_loss(logits, labels):
    log_probabilities = logits - logits.logsumexp(1, keepdim=True)
    picked = log_probabilities[torch.arange(len(labels)), labels]
    -picked.mean()


@cross_entropy.misconception(
    title="`exp` of a large logit",
    why="exp(1000) is infinite even in float64, and infinity over infinity is NaN.",
    next="`logsumexp` takes the largest logit out first.",
    link="milestone-4-loss-and-accuracy",
)
def exp_overflows(logits, labels):
    probabilities = logits.exp() / logits.exp().sum(1, keepdim=True)
    picked = probabilities[torch.arange(len(labels)), labels]
    return -picked.log().mean()


@cross_entropy.misconception(
    title="Softmax over the batch",
    why="Along axis 0 the probabilities of one *class* add up to 1 over the images. Each image needs its own "
    "probabilities, one per class.",
    next="The classes lie along axis 1.",
    link="milestone-4-loss-and-accuracy",
)
def softmax_over_batch(logits, labels):
    log_probabilities = logits - logits.logsumexp(0, keepdim=True)
    picked = log_probabilities[torch.arange(len(labels)), labels]
    return -picked.mean()


@cross_entropy.misconception(
    title="The minus sign is missing",
    why="The log of a probability is never positive. Without the minus, training makes the loss small by making the "
    "right answer unlikely.",
    next="Turn the sign.",
    link="milestone-4-loss-and-accuracy",
)
def without_minus(logits, labels):
    log_probabilities = logits - logits.logsumexp(1, keepdim=True)
    picked = log_probabilities[torch.arange(len(labels)), labels]
    return picked.mean()


@cross_entropy.misconception(
    title="Summed over the batch",
    why="A sum grows with the batch: twice the images, twice the loss and twice the gradient. A learning rate that "
    "fits one batch size then fits no other.",
    next="Take the mean over the rows.",
    link="milestone-4-loss-and-accuracy",
)
def summed(logits, labels):
    log_probabilities = logits - logits.logsumexp(1, keepdim=True)
    picked = log_probabilities[torch.arange(len(labels)), labels]
    return -picked.sum()


@cross_entropy.misconception(
    title="Every row met every label",
    why="`[:, labels]` takes whole columns, one for each label, and gives (N, N): every image is held against the "
    "labels of all the others.",
    next="Give both coordinates: the row's number and the row's label.",
    link="milestone-4-loss-and-accuracy",
    evidence=lambda logits, labels: (
        f"`log_probabilities[:, labels]` has the shape {tuple(logits[:, labels].shape)}."
    ),
)
def whole_columns(logits, labels):
    log_probabilities = logits - logits.logsumexp(1, keepdim=True)
    picked = log_probabilities[:, labels]
    return -picked.mean()


@cross_entropy.misconception(
    title="Softmax came twice",
    why="`F.cross_entropy` applies log-softmax itself. Fed with probabilities it squeezes them once more: with ten "
    "classes the loss cannot fall below 1.46, however sure the network is.",
    next="Give it the logits.",
    link="milestone-4-loss-and-accuracy",
)
def softmax_twice(logits, labels):
    return F.cross_entropy(logits.softmax(1), labels)


@cross_entropy.misconception(
    title="The log is missing",
    why="Minus the probability is a loss one can minimise, but not this one: a sure mistake costs hardly more than an "
    "unsure one, and its gradient vanishes.",
    next="Take the log of the probability.",
    link="milestone-4-loss-and-accuracy",
)
def without_log(logits, labels):
    probabilities = logits.softmax(1)
    picked = probabilities[torch.arange(len(labels)), labels]
    return -picked.mean()


@cross_entropy.misconception(
    title="Looked at the network's own choice",
    why="The largest probability says how sure the network is, not whether it is right. This loss can be made small "
    "by being sure of anything.",
    next="Pick the label's probability, not the largest.",
    link="milestone-4-loss-and-accuracy",
)
def of_its_own_choice(logits, labels):
    log_probabilities = logits - logits.logsumexp(1, keepdim=True)
    picked = log_probabilities.max(1).values
    return -picked.mean()


@cross_entropy.misconception(
    title="One loss per row",
    why="The values are right, but (N,) has no `backward()`: training needs one number.",
    next="Take the mean.",
    link="milestone-4-loss-and-accuracy",
)
def one_per_row(logits, labels):
    log_probabilities = logits - logits.logsumexp(1, keepdim=True)
    picked = log_probabilities[torch.arange(len(labels)), labels]
    return -picked


# Networks to look at ------------------------------------------------------------------------------


def fill(network, g):
    """Draw every parameter from `g`, so that a network is the same on every run."""
    with torch.no_grad():
        for parameter in network.parameters():
            values = torch.randn(parameter.shape, generator=g, dtype=parameter.dtype)
            parameter.copy_(0.7 * values)
    return network


def add_up_to_one(logits):
    """Whether every row adds up to 1, as probabilities do."""
    return torch.allclose(logits.sum(-1), torch.ones(()), atol=1e-4)


def loader_of(images, labels, batch_size):
    return DataLoader(TensorDataset(images, labels), batch_size=batch_size)


def random_loader(g, count, batch_size, classes=3, features=4):
    images = torch.randn(count, features, generator=g, dtype=torch.float64)
    labels = torch.randint(0, classes, (count,), generator=g)
    return loader_of(images, labels, batch_size)


def weights_of(network):
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])


def running_statistics(network):
    """Return what BatchNorm has gathered: a copy of all means and variances."""
    kept = [b for n, b in network.named_buffers() if n.endswith(("running_mean", "running_var"))]
    return torch.cat([buffer.flatten() for buffer in kept])


def network_with_norm(g):
    network = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3))
    return fill(network.double(), g)


# The network --------------------------------------------------------------------------------------


class Recorder(TorchFunctionMode):
    """Write down, in order, the layers' work that happens inside, whoever calls it and how.

    What is no function of PyTorch's, such as a ReLU or a dropout by hand, is read off the numbers before
    and after it. `dropped` holds the activations before and after each dropout.
    """

    NAMES = {  # noqa: RUF012
        "linear": "linear", "matmul": "linear", "__matmul__": "linear", "mm": "linear",
        "addmm": "linear", "inner": "linear", "einsum": "linear",
        "batch_norm": "batch norm", "layer_norm": "layer norm",
        "sigmoid": "sigmoid", "tanh": "tanh", "gelu": "GELU", "leaky_relu": "leaky ReLU",
        "softmax": "softmax", "log_softmax": "log-softmax",
    }  # fmt: skip
    ADDING = ("add", "add_", "__add__", "__radd__", "__iadd__")

    def __init__(self, images):
        super().__init__()
        self.steps, self.norms, self.momenta, self.dropped = [], [], set(), []
        self.last = images

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = getattr(function, "__name__", "")
        step = _dropout(*args, **kwargs) if name == "dropout" else self.NAMES.get(name)
        given, weighed = _fed(args, kwargs) if step else (None, False)
        if (name == "einsum" and not weighed) or (
            step and name == "dropout" and _is_all_ones(given)
        ):
            step = None  # another use of einsum, or the making of a mask
        given = given.detach().clone() if step else None  # it may be changed in place
        result = function(*args, **kwargs)
        if step:
            self.explain(given)
            self.steps.append(step)
            self.last = result.detach().clone()
            self.dropped += [(given, self.last)] if name == "dropout" else []
        elif name in self.ADDING and any(isinstance(part, nn.Parameter) for part in args):
            self.last = result.detach().clone()  # a bias belongs to the linear step before it
        if name == "batch_norm":
            self.norms.append(args[3] if len(args) > 3 else kwargs.get("weight"))
            if args[5] if len(args) > 5 else kwargs.get("training", False):
                self.momenta.add(args[6] if len(args) > 6 else kwargs.get("momentum", 0.1))
        return result

    def explain(self, after):
        """Add the steps that lead by hand from the last recorded result to `after`."""
        found = between(self.last, after)
        self.steps += found
        if found and found[-1].startswith("dropout"):
            self.dropped.append((self.last, after.detach().clone()))


def _is_weight(tensor):
    """Whether it is a parameter, or a view of one such as its transpose."""
    return isinstance(tensor, nn.Parameter) or isinstance(tensor._base, nn.Parameter)


def _fed(args, kwargs):
    """Find the tensor that a function works on, and whether a parameter takes part."""
    flat = [part for arg in args for part in (arg if isinstance(arg, list | tuple) else [arg])]
    tensors = [part for part in [*flat, *kwargs.values()] if isinstance(part, torch.Tensor)]
    fed = [tensor for tensor in tensors if not _is_weight(tensor)]
    first = kwargs.get("input", fed[0] if fed else torch.zeros(0))
    return first, len(fed) < len(tensors)


def _is_all_ones(tensor):
    return torch.equal(tensor, torch.ones_like(tensor))


def _dropout(input, p=0.5, training=True, inplace=False, train=True):
    """Name a call of dropout; None if it drops nothing."""
    return f"dropout {p:g}" if training and train and p else None


def between(before, after):
    """Tell from the numbers what happened between two recorded steps."""
    if not isinstance(after, torch.Tensor) or before.numel() != after.numel():
        return ["another shape"]
    before, after = before.flatten().double(), after.detach().flatten().double()
    if torch.equal(before, after):
        return []
    steps = [] if (after < 0).any() else ["ReLU"]
    whole = before.clamp(min=0) if steps else before
    if torch.equal(whole, after) or torch.allclose(whole, after):
        return steps
    ratio = (after / whole)[after != 0]
    if len(ratio) and ratio[0] > 1 and torch.allclose(ratio, ratio[0]):
        return [*steps, f"dropout {1 - 1 / ratio[0].item():.4g}"]
    return ["something else"]


def record(network, images):
    """Run a network; returns what comes back, and a recorder of the steps to it."""
    with torch.enable_grad(), Recorder(images) as recorder:
        result = network(images)
    recorder.explain(result)
    return result, recorder


def what_is_dropped(one, other):
    """Say what dropout drops, from the records of two passes with the same images."""
    if not one.dropped or len(one.dropped) != len(other.dropped):
        return "nothing"
    for (before, after), (before_again, after_again) in zip(
        one.dropped, other.dropped, strict=True
    ):
        lit, lost = _lit_and_lost(before, after)
        lit_again, lost_again = _lit_and_lost(before_again, after_again)
        kept, both = lit & ~lost, lit & lit_again
        if not (lost.any(1) & kept.any(1)).any():
            return "whole images"
        if not (lost.any(0) & kept.any(0)).any():
            return "the same units in every image of a batch"
        if torch.equal(lost & both, lost_again & both):
            return "the same activations every time"
    return "single activations, drawn anew every time"


def _lit_and_lost(before, after):
    lit = before.flatten(1) > 0
    return lit, lit & (after.flatten(1) == 0)


def gradients_reach(network, logits):
    """Say how many of the parameters a gradient of the logits reaches."""
    weights = list(network.parameters())
    if not weights:
        return "the network has none"
    if not logits.requires_grad:
        return "none"
    asked = [weight for weight in weights if weight.requires_grad]
    score = (logits * torch.linspace(-1, 2, logits.numel()).reshape(logits.shape)).sum()
    try:
        found = torch.autograd.grad(score, asked, allow_unused=True)
    except RuntimeError as error:
        return "none: " + str(error).partition(":")[0]
    # A bias may have a gradient of 0, before BatchNorm for one.
    reached = [g for g in found if g is not None and (g.dim() < 2 or g.any())]
    return "all" if len(reached) == len(weights) else f"{len(reached)} of {len(weights)}"


@exercise(
    level="independent",
    minutes=12,
    why="The two hidden blocks differ only in what comes in, so a loop builds them; Sequential registers every layer.",
    hints=(
        "Collect the layers in a list, block by block, and give the list to `nn.Sequential(*layers)`.",
        "A block is Linear, perhaps BatchNorm1d, ReLU, Dropout. The first block takes 784 inputs, the second `hidden`.",
        "Flatten stands in front of everything, and one bare `nn.Linear(hidden, 10)` at the end.",
    ),
    equivalent_mutants=(
        "def __init__(self, hidden=257, batch_norm=True, dropout=0.1):",
        "def __init__(self, hidden=255, batch_norm=True, dropout=0.1):",
        "def __init__(self, hidden=256, batch_norm=False, dropout=0.1):",
        "def __init__(self, hidden=256, batch_norm=True, dropout=0.2):",
    ),
)
class DigitNet(nn.Module):
    """Tell digits apart with two hidden layers.

    `DigitNet(hidden, batch_norm, dropout)`: images (B, 1, 28, 28) -> logits (B, 10).
    There are two hidden blocks of `hidden` units each. A block is nn.Linear, then nn.BatchNorm1d
    with its default settings if `batch_norm` is true, then ReLU, then dropout: every activation is
    dropped on its own, with probability `dropout`, which may be 0. After the blocks comes one more
    nn.Linear and nothing else: the network returns logits. The pixels go in row by row.
    A new network is in training mode, begins with weights of its own, and `backward` reaches all
    of them.
    """

    def __init__(self, hidden=256, batch_norm=True, dropout=0.1):
        super().__init__()
        # solution:
        layers = [nn.Flatten()]
        for inputs in (28 * 28, hidden):
            layers.append(nn.Linear(inputs, hidden))
            if batch_norm:
                layers.append(nn.BatchNorm1d(hidden))
            layers += [nn.ReLU(), nn.Dropout(dropout)]
        self.layers = nn.Sequential(*layers, nn.Linear(hidden, 10))
        # end solution

    def forward(self, images):
        # solution:
        return self.layers(images)
        # end solution


@DigitNet.drive
def build_and_watch(answer, images, hidden, dropout):
    network, given = answer(hidden, True, dropout), images.clone()
    begun = all(part.training for part in network.modules())
    logits, steps = record(network, given)
    if not isinstance(logits, torch.Tensor):
        return {"what comes back": form(logits)}
    seen = {
        "what comes back": form(logits),
        "the shape of the logits": str(tuple(logits.shape)),
        "a new network is in training mode": begun,
        "how many of the registered parameters a gradient reaches": gradients_reach(
            network, logits
        ),
    }
    if not begun or seen["how many of the registered parameters a gradient reaches"] != "all":
        return seen
    seen["the steps from image to logits"] = ", ".join(steps.steps)
    if steps.steps != [*2 * ["linear", "batch norm", "ReLU", f"dropout {dropout:g}"], "linear"]:
        return seen  # what stands in the wrong place comes first
    known = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    plain = answer(hidden, batch_norm=False, dropout=dropout)
    more = given.repeat(1 + 60 // len(given), 1, 1, 1)  # enough to see what dropout drops
    (_, plain_steps), (_, plain_again) = record(plain, more), record(plain, more)
    with suppress(ValueError):  # a BatchNorm that should not be there
        plain(given[:1])
    another = answer(hidden, True, 0.0)
    _, undropped_steps = record(another, given)
    pairs = zip(network.parameters(), another.parameters(), strict=True)
    same_start = all(torch.equal(one, other) for one, other in pairs)
    network.eval()
    evaluated, eval_steps = record(network, given)
    alone = logits_of_one(network, given)
    return {
        **seen,
        "the steps without BatchNorm": ", ".join(plain_steps.steps),
        "the steps with dropout 0": ", ".join(undropped_steps.steps),
        "the steps in eval mode": ", ".join(eval_steps.steps),
        "what dropout drops": what_is_dropped(plain_steps, plain_again),
        "the momentum of BatchNorm": ", ".join(f"{m:g}" for m in sorted(steps.momenta)),
        "the number of BatchNorm layers used in two batches": len(
            {id(norm) for norm in steps.norms + eval_steps.norms}
        ),
        "the number of BatchNorm layers that the network knows of": len(known),
        "the number of parameters": count_parameters(network, hidden, len(known)),
        "the number of parameters without BatchNorm": count_parameters(plain, hidden, 0),
        "in eval mode the same images give the same logits": torch.equal(evaluated, network(given)),
        "the shape of one image's logits in eval mode": (
            alone if isinstance(alone, str) else str(tuple(alone.shape))
        ),
        "in eval mode an image's logits depend on the images beside it": not torch.allclose(
            network(given[:2]), evaluated[:2], atol=1e-4
        ),
        "the network stays in training mode until told otherwise": plain.training,
        "two new networks begin with the same weights": same_start,
        "the images are left as they were": torch.equal(given, images),
    }


def logits_of_one(network, images):
    """Give the logits of the first image on its own, or the error in words."""
    try:
        return network(images[:1])
    except (ValueError, RuntimeError, IndexError) as error:
        return f"{type(error).__name__}: {error}"


def count_parameters(network, hidden, norms):
    """Count the parameters; a bias before BatchNorm, which subtracts it again, may be left out."""
    count = sum(parameter.numel() for parameter in network.parameters())
    with_biases = (
        (784 + 1) * hidden + (hidden + 1) * hidden + (hidden + 1) * 10 + 2 * norms * hidden
    )
    return with_biases if norms == 2 and count == with_biases - 2 * hidden else count


@DigitNet.probe
def five_images(g):
    return torch.randn(5, 1, 28, 28, generator=g), 16, 0.25


@DigitNet.probe
def a_wider_network(g):
    return torch.randn(7, 1, 28, 28, generator=g), 24, 0.4


@DigitNet.probe
def a_narrow_network(g):
    return torch.randn(3, 1, 28, 28, generator=g), 8, 0.1


@DigitNet.alternative("Every layer by name, and functions for what has no weights.")
class LayerByLayer(nn.Module):
    def __init__(self, hidden=256, batch_norm=True, dropout=0.1):
        super().__init__()
        self.first, self.second = nn.Linear(784, hidden), nn.Linear(hidden, hidden)
        self.norm1 = nn.BatchNorm1d(hidden) if batch_norm else nn.Identity()
        self.norm2 = nn.BatchNorm1d(hidden) if batch_norm else nn.Identity()
        self.last = nn.Linear(hidden, 10)
        self.dropout = dropout

    def forward(self, images):
        x = F.relu(self.norm1(self.first(images.flatten(1))))
        x = F.dropout(x, self.dropout, self.training)
        x = F.relu(self.norm2(self.second(x)))
        x = F.dropout(x, self.dropout, self.training)
        return self.last(x)


@DigitNet.alternative(
    "ReLU and Dropout hold nothing that is learned, so one of each may serve twice."
)
class SharedReluAndDropout(nn.Module):
    def __init__(self, hidden=256, batch_norm=True, dropout=0.1):
        super().__init__()
        relu, drop = nn.ReLU(), nn.Dropout(dropout)
        norms = [nn.BatchNorm1d(hidden) if batch_norm else nn.Identity() for _ in range(2)]
        self.layers = nn.Sequential(
            nn.Flatten(),
            *(nn.Linear(784, hidden), norms[0], relu, drop),
            *(nn.Linear(hidden, hidden), norms[1], relu, drop),
            nn.Linear(hidden, 10),
        )

    def forward(self, images):
        return self.layers(images)


@DigitNet.alternative(
    "BatchNorm subtracts any constant, so a bias before it has no effect and may be left out."
)
class NoBiasBeforeNorm(nn.Module):
    def __init__(self, hidden=256, batch_norm=True, dropout=0.1):
        super().__init__()
        layers = [nn.Flatten()]
        for inputs in (28 * 28, hidden):
            layers.append(nn.Linear(inputs, hidden, bias=not batch_norm))
            if batch_norm:
                layers.append(nn.BatchNorm1d(hidden))
            layers += [nn.ReLU(inplace=True), nn.Dropout(dropout)]
        self.layers = nn.Sequential(*layers, nn.Linear(hidden, 10))

    def forward(self, images):
        return self.layers(images)


@DigitNet.alternative(
    "The mask may be a dropout of ones, and a Linear's weights may be used by hand."
)
class MaskOfOnes(nn.Module):
    def __init__(self, hidden=256, batch_norm=True, dropout=0.1):
        super().__init__()
        norms = [nn.BatchNorm1d(hidden) if batch_norm else nn.Identity() for _ in range(2)]
        self.linears = nn.ModuleList([nn.Linear(784, hidden), nn.Linear(hidden, hidden)])
        self.norms, self.last = nn.ModuleList(norms), nn.Linear(hidden, 10)
        self.mask = nn.Dropout(dropout)

    def forward(self, images):
        x = images.flatten(1)
        for linear, norm in zip(self.linears, self.norms, strict=True):
            x = norm(torch.einsum("bi,oi->bo", x, linear.weight) + linear.bias).relu()
            x = x * self.mask(torch.ones_like(x))
        return self.last(x)


@DigitNet.alternative("ReLU and dropout by hand: a mask, and a factor for what is left.")
class ByHand(nn.Module):
    def __init__(self, hidden=256, batch_norm=True, dropout=0.1):
        super().__init__()
        norms = [nn.BatchNorm1d(hidden) if batch_norm else nn.Identity() for _ in range(2)]
        self.linears = nn.ModuleList([nn.Linear(784, hidden), nn.Linear(hidden, hidden)])
        self.norms, self.last = nn.ModuleList(norms), nn.Linear(hidden, 10)
        self.dropout = dropout

    def forward(self, images):
        x = images.flatten(1)
        for linear, norm in zip(self.linears, self.norms, strict=True):
            x = norm(linear(x))
            x = x * (x > 0)
            if self.training:
                x = x * (torch.rand_like(x) >= self.dropout) / (1 - self.dropout)
        return self.last(x)


def hidden_blocks(hidden, batch_norm, dropout):
    """Make the layers up to the last, as they should be, for answers that go wrong elsewhere."""
    layers = [nn.Flatten()]
    for inputs in (28 * 28, hidden):
        layers.append(nn.Linear(inputs, hidden))
        if batch_norm:
            layers.append(nn.BatchNorm1d(hidden))
        layers += [nn.ReLU(), nn.Dropout(dropout)]
    return layers


@DigitNet.misconception(
    title="A log-softmax at the end",
    why="It does no harm to the loss: the softmax of a log-softmax is the same softmax. But `F.cross_entropy` does that work "
    "anyway, so it is done twice. And what comes out are log-probabilities, where logits are due.",
    next="Let the last Linear be the last layer.",
    link="milestone-4-loss-and-accuracy",
    shows="the steps from image to logits",
)
class LogSoftmaxAtTheEnd(nn.Module):
    def __init__(self, hidden=256, batch_norm=True, dropout=0.1):
        super().__init__()
        blocks = hidden_blocks(hidden, batch_norm, dropout)
        self.layers = nn.Sequential(*blocks, nn.Linear(hidden, 10), nn.LogSoftmax(1))

    def forward(self, images):
        return self.layers(images)


@DigitNet.misconception(
    title="A softmax when it is used, logits while it is trained",
    why="The network then gives two different things, by its mode. An evaluation runs in eval mode and computes the loss: "
    "there the softmax comes twice, and the validation loss cannot be compared with the training loss.",
    next="Return logits in both modes. Whoever wants probabilities applies `softmax` to them.",
    link="milestone-4-loss-and-accuracy",
    shows="the steps in eval mode",
)
class SoftmaxInEvalMode(nn.Module):
    def __init__(self, hidden=256, batch_norm=True, dropout=0.1):
        super().__init__()
        blocks = hidden_blocks(hidden, batch_norm, dropout)
        self.layers = nn.Sequential(*blocks, nn.Linear(hidden, 10))

    def forward(self, images):
        logits = self.layers(images)
        return logits if self.training else logits.softmax(1)


@DigitNet.misconception(
    title="One image loses its axis",
    why="`squeeze` removes every axis of length 1. With a batch of one image that is the batch axis: (10,) comes back "
    "instead of (1, 10), and `argmax(1)` fails.",
    next="Leave the axes of the logits as the last layer gives them.",
    link="milestone-3-a-first-network",
    shows="the shape of one image's logits in eval mode",
)
class Squeezed(nn.Module):
    def __init__(self, hidden=256, batch_norm=True, dropout=0.1):
        super().__init__()
        blocks = hidden_blocks(hidden, batch_norm, dropout)
        self.layers = nn.Sequential(*blocks, nn.Linear(hidden, 10))

    def forward(self, images):
        return self.layers(images).squeeze()


@DigitNet.misconception(
    title="Every network begins with the same weights",
    why="`manual_seed` inside the network sets the random numbers of the whole program. A comparison over three seeds would "
    "train the same network three times, and their spread would say nothing.",
    next="Leave the seed to whoever builds the network.",
    link="milestone-6-batchnorm-and-dropout",
    shows="two new networks begin with the same weights",
)
class SameStart(nn.Module):
    def __init__(self, hidden=256, batch_norm=True, dropout=0.1):
        super().__init__()
        torch.manual_seed(0)
        blocks = hidden_blocks(hidden, batch_norm, dropout)
        self.layers = nn.Sequential(*blocks, nn.Linear(hidden, 10))

    def forward(self, images):
        return self.layers(images)


@DigitNet.misconception(
    title="`hidden` changes nothing",
    why="The width is written into the layers, so every network has 256 units a block, whatever was asked for.",
    next="Use `hidden` wherever a layer of a block says how wide it is.",
    link="milestone-6-batchnorm-and-dropout",
    shows="the number of parameters",
)
class HiddenIgnored(nn.Module):
    def __init__(self, hidden=256, batch_norm=True, dropout=0.1):
        super().__init__()
        blocks = hidden_blocks(256, batch_norm, dropout)
        self.layers = nn.Sequential(*blocks, nn.Linear(256, 10))

    def forward(self, images):
        return self.layers(images)


@DigitNet.misconception(
    title="`dropout` changes nothing",
    why="The rate 0.1 is only the argument's default. Written into the layers it holds for every network, and a comparison "
    "of rates compares a network with itself.",
    next="Pass the probability on.",
    link="milestone-6-batchnorm-and-dropout",
    shows="the steps from image to logits",
)
class DropoutIgnored(nn.Module):
    def __init__(self, hidden=256, batch_norm=True, dropout=0.1):
        super().__init__()
        blocks = hidden_blocks(hidden, batch_norm, 0.1)
        self.layers = nn.Sequential(*blocks, nn.Linear(hidden, 10))

    def forward(self, images):
        return self.layers(images)


@DigitNet.misconception(
    title="Nothing is dropped",
    why="No dropout runs while the network trains, so `dropout` changes nothing. A layer that is made in `__init__` and not "
    "called in `forward` does nothing.",
    next="Each block ends in its dropout.",
    link="milestone-6-batchnorm-and-dropout",
    shows="the steps from image to logits",
)
class NoDropout(nn.Module):
    def __init__(self, hidden=256, batch_norm=True, dropout=0.1):
        super().__init__()
        layers = [nn.Flatten()]
        for inputs in (28 * 28, hidden):
            layers.append(nn.Linear(inputs, hidden))
            if batch_norm:
                layers.append(nn.BatchNorm1d(hidden))
            layers += [nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(hidden, 10))

    def forward(self, images):
        return self.layers(images)


def named_layers(network, hidden, batch_norm, dropout):
    """Give a network its layers by name, as they should be, for answers that go wrong elsewhere."""
    network.first, network.second = nn.Linear(784, hidden), nn.Linear(hidden, hidden)
    network.norm1 = nn.BatchNorm1d(hidden) if batch_norm else nn.Identity()
    network.norm2 = nn.BatchNorm1d(hidden) if batch_norm else nn.Identity()
    network.last, network.drop = nn.Linear(hidden, 10), nn.Dropout(dropout)


@DigitNet.misconception(
    title="The probability to keep, not to drop",
    why="PyTorch's `p` is the probability that an activation is dropped. With 1 - dropout, a network that was to lose one in ten "
    "loses nine in ten.",
    next="Pass the probability on as it comes.",
    link="milestone-6-batchnorm-and-dropout",
    shows="the steps from image to logits",
)
class KeepProbability(nn.Module):
    def __init__(self, hidden=256, batch_norm=True, dropout=0.1):
        super().__init__()
        named_layers(self, hidden, batch_norm, 1 - dropout)

    def forward(self, images):
        x = self.drop(F.relu(self.norm1(self.first(images.flatten(1)))))
        return self.last(self.drop(F.relu(self.norm2(self.second(x)))))


@DigitNet.misconception(
    title="A rate of 0 is replaced",
    why="0 counts as false, so `dropout or 0.1` gives 0.1 for it. Whoever asks for no dropout, as a comparison does, gets some.",
    next="Pass the probability on, also when it is 0.",
    link="milestone-6-batchnorm-and-dropout",
    shows="the steps with dropout 0",
)
class ZeroReplaced(nn.Module):
    def __init__(self, hidden=256, batch_norm=True, dropout=0.1):
        super().__init__()
        named_layers(self, hidden, batch_norm, dropout or 0.1)

    def forward(self, images):
        x = self.drop(F.relu(self.norm1(self.first(images.flatten(1)))))
        return self.last(self.drop(F.relu(self.norm2(self.second(x)))))


@DigitNet.misconception(
    title="Whole images are dropped",
    why="All that a block knows of an image is kept, or set to 0 at once. A mask with one number per image does that, and so does "
    "`nn.Dropout1d`: it drops whole channels, and takes each row of (B, H) for one.",
    next="`nn.Dropout` drops every activation on its own.",
    link="milestone-6-batchnorm-and-dropout",
    shows="what dropout drops",
)
class WholeImagesDropped(nn.Module):
    def __init__(self, hidden=256, batch_norm=True, dropout=0.1):
        super().__init__()
        named_layers(self, hidden, batch_norm, dropout)
        self.drop = nn.Dropout1d(dropout)

    def forward(self, images):
        x = self.drop(F.relu(self.norm1(self.first(images.flatten(1)))))
        return self.last(self.drop(F.relu(self.norm2(self.second(x)))))


@DigitNet.misconception(
    title="Dropout on the pixels, too",
    why="The blocks are as they should be, but pixels are dropped before the first of them. The order asks for dropout at the end "
    "of a block, and nowhere else.",
    next="Nothing is dropped before the first Linear.",
    link="milestone-6-batchnorm-and-dropout",
    shows="the steps from image to logits",
)
class PixelsDropped(nn.Module):
    def __init__(self, hidden=256, batch_norm=True, dropout=0.1):
        super().__init__()
        named_layers(self, hidden, batch_norm, dropout)

    def forward(self, images):
        x = self.drop(images.flatten(1))
        x = self.drop(F.relu(self.norm1(self.first(x))))
        return self.last(self.drop(F.relu(self.norm2(self.second(x)))))


@DigitNet.misconception(
    title="The second block has no ReLU",
    why="Without it, the second Linear and the last one are a product of two matrices: one Linear. The second block adds nothing "
    "that the last layer could not do alone.",
    next="Both blocks have the same four steps.",
    link="milestone-3-a-first-network",
    shows="the steps from image to logits",
)
class SecondReluMissing(nn.Module):
    def __init__(self, hidden=256, batch_norm=True, dropout=0.1):
        super().__init__()
        named_layers(self, hidden, batch_norm, dropout)

    def forward(self, images):
        x = self.drop(F.relu(self.norm1(self.first(images.flatten(1)))))
        return self.last(self.drop(self.norm2(self.second(x))))


@DigitNet.misconception(
    title="The first block is cut off from the gradient",
    why="`detach` gives the same numbers without their history. `backward` comes no further, so the layers before it stay as they "
    "were drawn at the start. The loss still falls, because the layers behind it learn.",
    next="Hand the activations on as they are.",
    link="milestone-6-batchnorm-and-dropout",
    shows="how many of the registered parameters a gradient reaches",
)
class FirstBlockCutOff(nn.Module):
    def __init__(self, hidden=256, batch_norm=True, dropout=0.1):
        super().__init__()
        named_layers(self, hidden, batch_norm, dropout)

    def forward(self, images):
        x = self.drop(F.relu(self.norm1(self.first(images.flatten(1))))).detach()
        return self.last(self.drop(F.relu(self.norm2(self.second(x)))))


@DigitNet.misconception(
    title="Dropout wrote over what `backward` needs",
    why="ReLU's gradient is computed from its output, so autograd keeps that. A dropout with `inplace=True` writes into it, and "
    "`backward` stops with an error. Without a call of `backward` nobody notices.",
    next="Let dropout make a new tensor, as it does unless it is told otherwise.",
    link="milestone-6-batchnorm-and-dropout",
    shows="how many of the registered parameters a gradient reaches",
)
class WroteOverRelu(nn.Module):
    def __init__(self, hidden=256, batch_norm=True, dropout=0.1):
        super().__init__()
        named_layers(self, hidden, batch_norm, dropout)
        self.drop.inplace = True

    def forward(self, images):
        x = self.drop(F.relu(self.norm1(self.first(images.flatten(1)))))
        return self.last(self.drop(F.relu(self.norm2(self.second(x)))))


@DigitNet.misconception(
    title="`forward` records nothing",
    why="Under `no_grad` autograd writes nothing down, so the logits have no history and `backward` finds no way to any weight. "
    "`no_grad` belongs where a network is used, not into the network.",
    next="Leave it to the caller whether gradients are recorded.",
    link="milestone-4-loss-and-accuracy",
    shows="how many of the registered parameters a gradient reaches",
)
class NothingRecorded(nn.Module):
    def __init__(self, hidden=256, batch_norm=True, dropout=0.1):
        super().__init__()
        named_layers(self, hidden, batch_norm, dropout)

    def forward(self, images):
        with torch.no_grad():
            x = self.drop(F.relu(self.norm1(self.first(images.flatten(1)))))
            return self.last(self.drop(F.relu(self.norm2(self.second(x)))))


@DigitNet.misconception(
    title="BatchNorm's momentum turned round",
    why="An optimizer's momentum of 0.9 keeps nine tenths of the *old* value. BatchNorm's momentum is the weight of the *new* one: "
    "with 0.9 the running averages are hardly more than those of the last batch.",
    next="Leave the setting as it comes.",
    link="milestone-6-batchnorm-and-dropout",
    shows="the momentum of BatchNorm",
)
class MomentumTurnedRound(nn.Module):
    def __init__(self, hidden=256, batch_norm=True, dropout=0.1):
        super().__init__()
        named_layers(self, hidden, batch_norm, dropout)
        if batch_norm:
            self.norm1.momentum = self.norm2.momentum = 0.9

    def forward(self, images):
        x = self.drop(F.relu(self.norm1(self.first(images.flatten(1)))))
        return self.last(self.drop(F.relu(self.norm2(self.second(x)))))


@DigitNet.misconception(
    title="Dropout on the logits",
    why="A dropped logit is 0, whatever the network has computed, and the others are scaled up. The loss then asks about "
    "scores that chance has changed, the right digit's among them.",
    next="The last Linear stands alone, with nothing behind it.",
    link="milestone-6-batchnorm-and-dropout",
    shows="the steps from image to logits",
)
class DropoutOnLogits(nn.Module):
    def __init__(self, hidden=256, batch_norm=True, dropout=0.1):
        super().__init__()
        blocks = hidden_blocks(hidden, batch_norm, dropout)
        self.layers = nn.Sequential(*blocks, nn.Linear(hidden, 10), nn.Dropout(dropout))

    def forward(self, images):
        return self.layers(images)


@DigitNet.misconception(
    title="One block instead of two",
    why="Two hidden blocks were asked for. With one, the network has a single layer of units to build its features from.",
    next="The second block takes `hidden` inputs and has `hidden` units.",
    link="milestone-3-a-first-network",
    shows="the steps from image to logits",
)
class OneBlock(nn.Module):
    def __init__(self, hidden=256, batch_norm=True, dropout=0.1):
        super().__init__()
        layers = [nn.Flatten()]
        for inputs in (28 * 28,):
            layers.append(nn.Linear(inputs, hidden))
            if batch_norm:
                layers.append(nn.BatchNorm1d(hidden))
            layers += [nn.ReLU(), nn.Dropout(dropout)]
        self.layers = nn.Sequential(*layers, nn.Linear(hidden, 10))

    def forward(self, images):
        return self.layers(images)


@DigitNet.misconception(
    title="A BatchNorm without running averages",
    why="With `track_running_stats=False` the layer uses the batch's own statistics in eval mode too. An image is then read "
    "differently in other company, and on its own it cannot be read at all.",
    next="Use `nn.BatchNorm1d` as it comes.",
    link="milestone-6-batchnorm-and-dropout",
    shows="in eval mode an image's logits depend on the images beside it",
)
class NoRunningAverages(nn.Module):
    def __init__(self, hidden=256, batch_norm=True, dropout=0.1):
        super().__init__()
        layers = [nn.Flatten()]
        for inputs in (28 * 28, hidden):
            layers.append(nn.Linear(inputs, hidden))
            if batch_norm:
                layers.append(nn.BatchNorm1d(hidden, track_running_stats=False))
            layers += [nn.ReLU(), nn.Dropout(dropout)]
        self.layers = nn.Sequential(*layers, nn.Linear(hidden, 10))

    def forward(self, images):
        return self.layers(images)


@DigitNet.misconception(
    title="A new BatchNorm for every batch",
    why="A layer that is made in `forward` is forgotten when `forward` ends. Its averages never gather, its scale and shift "
    "are never trained, and `eval()` cannot reach it.",
    next="Make every layer in `__init__`, and use it in `forward`.",
    link="milestone-6-batchnorm-and-dropout",
    shows="the number of BatchNorm layers used in two batches",
)
class NormMadeInForward(nn.Module):
    def __init__(self, hidden=256, batch_norm=True, dropout=0.1):
        super().__init__()
        self.first, self.second = nn.Linear(784, hidden), nn.Linear(hidden, hidden)
        self.last, self.drop = nn.Linear(hidden, 10), nn.Dropout(dropout)
        self.hidden, self.batch_norm = hidden, batch_norm

    def forward(self, images):
        x = images.flatten(1)
        for layer in (self.first, self.second):
            x = layer(x)
            if self.batch_norm:
                x = nn.BatchNorm1d(self.hidden)(x)
            x = self.drop(F.relu(x))
        return self.last(x)


UNKNOWN_NORM = {
    "title": "A BatchNorm that the network does not know of",
    "why": "A module finds its layers among its attributes, and does not look into a plain dict or list. The BatchNorm in there "
    "works, but the optimizer does not train it, and `eval()` does not reach it.",
    "next": "Make it an attribute, or use nn.ModuleDict or nn.ModuleList.",
    "link": "milestone-6-batchnorm-and-dropout",
    "shows": "the number of BatchNorm layers that the network knows of",
}


@DigitNet.misconception(**UNKNOWN_NORM)
class NormsInAList(nn.Module):
    def __init__(self, hidden=256, batch_norm=True, dropout=0.1):
        super().__init__()
        self.first, self.second = nn.Linear(784, hidden), nn.Linear(hidden, hidden)
        self.norms = [nn.BatchNorm1d(hidden) if batch_norm else nn.Identity() for _ in range(2)]
        self.last, self.drop = nn.Linear(hidden, 10), nn.Dropout(dropout)

    def forward(self, images):
        x = self.drop(F.relu(self.norms[0](self.first(images.flatten(1)))))
        return self.last(self.drop(F.relu(self.norms[1](self.second(x)))))


@DigitNet.misconception(**UNKNOWN_NORM)
class NormInADict(nn.Module):
    def __init__(self, hidden=256, batch_norm=True, dropout=0.1):
        super().__init__()
        self.first, self.second = nn.Linear(784, hidden), nn.Linear(hidden, hidden)
        norms = [nn.BatchNorm1d(hidden) if batch_norm else nn.Identity() for _ in range(2)]
        self.norms, self.norm = {"first": norms[0]}, norms[1]
        self.last, self.drop = nn.Linear(hidden, 10), nn.Dropout(dropout)

    def forward(self, images):
        x = self.drop(F.relu(self.norms["first"](self.first(images.flatten(1)))))
        return self.last(self.drop(F.relu(self.norm(self.second(x)))))


@DigitNet.misconception(
    title="The blocks stand in a plain list",
    why="A module finds its layers among its attributes. It does not look into Python lists, so only the last layer is known: "
    "an optimizer trains nothing else, and `eval()` reaches nothing else.",
    next="`nn.Sequential(*layers)` registers them.",
    link="milestone-6-batchnorm-and-dropout",
    shows="the number of parameters",
)
class BlocksInAList(nn.Module):
    def __init__(self, hidden=256, batch_norm=True, dropout=0.1):
        super().__init__()
        self.blocks = hidden_blocks(hidden, batch_norm, dropout)
        self.last = nn.Linear(hidden, 10)

    def forward(self, images):
        for layer in self.blocks:
            images = layer(images)
        return self.last(images)


@DigitNet.misconception(
    title="A softmax at the end",
    why="`F.cross_entropy` expects logits and applies log-softmax itself. With a softmax in the network there are two, "
    "the loss cannot fall below 1.46, and learning is slow. The first loss looks right, about 2.3, and gives no hint.",
    next="Let the last Linear be the last layer.",
    link="milestone-4-loss-and-accuracy",
    shows="the steps from image to logits",
)
class SoftmaxAtTheEnd(nn.Module):
    def __init__(self, hidden=256, batch_norm=True, dropout=0.1):
        super().__init__()
        layers = [nn.Flatten()]
        for inputs in (28 * 28, hidden):
            layers.append(nn.Linear(inputs, hidden))
            if batch_norm:
                layers.append(nn.BatchNorm1d(hidden))
            layers += [nn.ReLU(), nn.Dropout(dropout)]
        self.layers = nn.Sequential(*layers, nn.Linear(hidden, 10), nn.Softmax(1))

    def forward(self, images):
        return self.layers(images)


@DigitNet.misconception(
    title="A ReLU at the end, too",
    why="ReLU cuts every negative logit to 0, so the network cannot say that a digit is unlikely, and where all ten are "
    "cut no gradient passes.",
    next="The last layer is a bare Linear.",
    link="milestone-3-a-first-network",
    shows="the steps from image to logits",
)
class ReluAtTheEnd(nn.Module):
    def __init__(self, hidden=256, batch_norm=True, dropout=0.1):
        super().__init__()
        layers = [nn.Flatten()]
        for inputs in (28 * 28, hidden):
            layers.append(nn.Linear(inputs, hidden))
            if batch_norm:
                layers.append(nn.BatchNorm1d(hidden))
            layers += [nn.ReLU(), nn.Dropout(dropout)]
        self.layers = nn.Sequential(*layers, nn.Linear(hidden, 10), nn.ReLU())

    def forward(self, images):
        return self.layers(images)


@DigitNet.misconception(
    title="No activation between the layers",
    why="Linear after Linear is one Linear: a product of matrices is a matrix. However deep, such a network draws "
    "straight borders only.",
    next="Each block needs its ReLU.",
    link="milestone-3-a-first-network",
    shows="the steps from image to logits",
)
class NoActivation(nn.Module):
    def __init__(self, hidden=256, batch_norm=True, dropout=0.1):
        super().__init__()
        layers = [nn.Flatten()]
        for inputs in (28 * 28, hidden):
            layers.append(nn.Linear(inputs, hidden))
            if batch_norm:
                layers.append(nn.BatchNorm1d(hidden))
            layers += [nn.Dropout(dropout)]
        self.layers = nn.Sequential(*layers, nn.Linear(hidden, 10))

    def forward(self, images):
        return self.layers(images)


@DigitNet.misconception(
    title="Dropout came before BatchNorm",
    why="Dropout widens the spread of what it leaves over. BatchNorm gathers that wider spread while training, and in "
    "eval mode, without dropout, its statistics no longer fit.",
    next="Drop at the end of the block, after ReLU.",
    link="milestone-6-batchnorm-and-dropout",
    shows="the steps from image to logits",
)
class DropoutBeforeNorm(nn.Module):
    def __init__(self, hidden=256, batch_norm=True, dropout=0.1):
        super().__init__()
        layers = [nn.Flatten()]
        for inputs in (28 * 28, hidden):
            layers += [nn.Linear(inputs, hidden), nn.Dropout(dropout)]
            if batch_norm:
                layers.append(nn.BatchNorm1d(hidden))
            layers += [nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(hidden, 10))

    def forward(self, images):
        return self.layers(images)


@DigitNet.misconception(
    title="BatchNorm came after ReLU",
    why="Both orders are in use. The order here asks for BatchNorm first: it puts about half of each unit's inputs above "
    "0 and half below, right where ReLU decides.",
    next="Linear, BatchNorm, ReLU, dropout.",
    link="milestone-6-batchnorm-and-dropout",
    shows="the steps from image to logits",
)
class NormAfterRelu(nn.Module):
    def __init__(self, hidden=256, batch_norm=True, dropout=0.1):
        super().__init__()
        layers = [nn.Flatten()]
        for inputs in (28 * 28, hidden):
            layers += [nn.Linear(inputs, hidden), nn.ReLU()]
            if batch_norm:
                layers.append(nn.BatchNorm1d(hidden))
            layers += [nn.Dropout(dropout)]
        self.layers = nn.Sequential(*layers, nn.Linear(hidden, 10))

    def forward(self, images):
        return self.layers(images)


@DigitNet.misconception(
    title="The layers stand in a plain list",
    why="A module finds its layers among its attributes. It does not look into Python lists, so `parameters()` is empty: "
    "an optimizer has nothing to train, and `eval()` reaches no layer.",
    next="`nn.Sequential(*layers)` registers them.",
    link="milestone-6-batchnorm-and-dropout",
    shows="how many of the registered parameters a gradient reaches",
)
class LayersInAList(nn.Module):
    def __init__(self, hidden=256, batch_norm=True, dropout=0.1):
        super().__init__()
        layers = [nn.Flatten()]
        for inputs in (28 * 28, hidden):
            layers.append(nn.Linear(inputs, hidden))
            if batch_norm:
                layers.append(nn.BatchNorm1d(hidden))
            layers += [nn.ReLU(), nn.Dropout(dropout)]
        self.layers = [*layers, nn.Linear(hidden, 10)]

    def forward(self, images):
        for layer in self.layers:
            images = layer(images)
        return images


@DigitNet.misconception(
    title="Dropout that never stops",
    why="`F.dropout` drops unless it is told otherwise: its argument `training` is True by default. `eval()` cannot reach "
    "it, so a trained network answers differently every time.",
    next="Use the layer nn.Dropout, or pass `self.training`.",
    link="milestone-6-batchnorm-and-dropout",
    shows="in eval mode the same images give the same logits",
)
class AlwaysDropping(nn.Module):
    def __init__(self, hidden=256, batch_norm=True, dropout=0.1):
        super().__init__()
        self.first, self.second = nn.Linear(784, hidden), nn.Linear(hidden, hidden)
        self.norm1 = nn.BatchNorm1d(hidden) if batch_norm else nn.Identity()
        self.norm2 = nn.BatchNorm1d(hidden) if batch_norm else nn.Identity()
        self.last = nn.Linear(hidden, 10)
        self.dropout = dropout

    def forward(self, images):
        x = F.dropout(F.relu(self.norm1(self.first(images.flatten(1)))), self.dropout)
        x = F.dropout(F.relu(self.norm2(self.second(x))), self.dropout)
        return self.last(x)


@DigitNet.misconception(
    title="The images were not flattened",
    why="nn.Linear works on the last axis, which is 28 long here: one row of pixels. It was built for 784.",
    next="Merge all axes but the first before the first Linear.",
    link="milestone-3-a-first-network",
)
class NotFlattened(nn.Module):
    def __init__(self, hidden=256, batch_norm=True, dropout=0.1):
        super().__init__()
        layers = []
        for inputs in (28 * 28, hidden):
            layers.append(nn.Linear(inputs, hidden))
            if batch_norm:
                layers.append(nn.BatchNorm1d(hidden))
            layers += [nn.ReLU(), nn.Dropout(dropout)]
        self.layers = nn.Sequential(*layers, nn.Linear(hidden, 10))

    def forward(self, images):
        return self.layers(images)


@DigitNet.misconception(
    title="Flattened the batch away",
    why="Merged from axis 0 on, the whole batch becomes one long row of B times 784 numbers.",
    next="`nn.Flatten()` and `flatten(1)` leave axis 0 alone.",
    link="milestone-3-a-first-network",
)
class FlattenedTheBatch(nn.Module):
    def __init__(self, hidden=256, batch_norm=True, dropout=0.1):
        super().__init__()
        layers = [nn.Flatten(0)]
        for inputs in (28 * 28, hidden):
            layers.append(nn.Linear(inputs, hidden))
            if batch_norm:
                layers.append(nn.BatchNorm1d(hidden))
            layers += [nn.ReLU(), nn.Dropout(dropout)]
        self.layers = nn.Sequential(*layers, nn.Linear(hidden, 10))

    def forward(self, images):
        return self.layers(images)


@DigitNet.misconception(
    title="One BatchNorm for both blocks",
    why="BatchNorm gathers the mean and spread of *its* inputs. One layer used in two places mixes two kinds of inputs, and "
    "in eval mode its statistics fit neither.",
    next="Make a new BatchNorm1d for each block.",
    link="milestone-6-batchnorm-and-dropout",
    shows="the number of BatchNorm layers used in two batches",
)
class SharedNorm(nn.Module):
    def __init__(self, hidden=256, batch_norm=True, dropout=0.1):
        super().__init__()
        layers, norm = [nn.Flatten()], nn.BatchNorm1d(hidden)
        for inputs in (28 * 28, hidden):
            layers.append(nn.Linear(inputs, hidden))
            if batch_norm:
                layers.append(norm)
            layers += [nn.ReLU(), nn.Dropout(dropout)]
        self.layers = nn.Sequential(*layers, nn.Linear(hidden, 10))

    def forward(self, images):
        return self.layers(images)


@DigitNet.misconception(
    title="BatchNorm whether it is asked for or not",
    why="`batch_norm` changes nothing here, so the comparison with and without it would compare a network with itself.",
    next="Add the layer only if `batch_norm` is true.",
    link="milestone-6-batchnorm-and-dropout",
    shows="the steps without BatchNorm",
)
class AlwaysBatchNorm(nn.Module):
    def __init__(self, hidden=256, batch_norm=True, dropout=0.1):
        super().__init__()
        layers = [nn.Flatten()]
        for inputs in (28 * 28, hidden):
            layers.append(nn.Linear(inputs, hidden))
            layers.append(nn.BatchNorm1d(hidden))
            layers += [nn.ReLU(), nn.Dropout(dropout)]
        self.layers = nn.Sequential(*layers, nn.Linear(hidden, 10))

    def forward(self, images):
        return self.layers(images)


@DigitNet.misconception(
    title="One half is dropped, whatever `dropout` says",
    why="`nn.Dropout()` drops one half unless it is told otherwise, and a 0.5 that is written in does the same. The argument "
    "changes nothing.",
    next="Pass the probability on.",
    link="milestone-6-batchnorm-and-dropout",
    shows="the steps from image to logits",
)
class DefaultDropout(nn.Module):
    def __init__(self, hidden=256, batch_norm=True, dropout=0.1):
        super().__init__()
        layers = [nn.Flatten()]
        for inputs in (28 * 28, hidden):
            layers.append(nn.Linear(inputs, hidden))
            if batch_norm:
                layers.append(nn.BatchNorm1d(hidden))
            layers += [nn.ReLU(), nn.Dropout()]
        self.layers = nn.Sequential(*layers, nn.Linear(hidden, 10))

    def forward(self, images):
        return self.layers(images)


@DigitNet.misconception(
    title="`forward` returns nothing",
    why="The layers run, and their result is thrown away. A function without `return` gives None, and the loss complains "
    "about it later.",
    next="Return what the last layer gives.",
    link="milestone-3-a-first-network",
)
class ForwardReturnsNothing(nn.Module):
    def __init__(self, hidden=256, batch_norm=True, dropout=0.1):
        super().__init__()
        layers = [nn.Flatten()]
        for inputs in (28 * 28, hidden):
            layers.append(nn.Linear(inputs, hidden))
            if batch_norm:
                layers.append(nn.BatchNorm1d(hidden))
            layers += [nn.ReLU(), nn.Dropout(dropout)]
        self.layers = nn.Sequential(*layers, nn.Linear(hidden, 10))

    def forward(self, images):
        self.layers(images)


# The mistakes, counted -----------------------------------------------------------------------------


@exercise(
    level="supported",
    minutes=8,
    why="Each pair of right class and answer becomes one number, and `bincount` counts numbers, also those that come often.",
    hints=(
        "Begin with a loop: for every example, add 1 to the entry of its row and column.",
        "Without a loop: give each pair of classes a number of its own, and count the numbers.",
        "`bincount` has a `minlength`, so that what never occurs is counted as 0, too.",
    ),
)
def confusion_table(labels: torch.Tensor, answers: torch.Tensor, classes: int) -> torch.Tensor:
    """Count how often each class is taken for which.

    labels: int64 (N,), the right classes. answers: int64 (N,), the network's. Both hold numbers
    from 0 to classes - 1, stay as they are, and may be empty.
    Returns an int64 tensor (classes, classes): row i, column j holds the number of examples of
    class i that were answered with j, right answers included.
    """
    # solution:
    pairs = classes * labels + answers
    return pairs.bincount(minlength=classes * classes).reshape(classes, classes)
    # end solution


def some_answers(g, count, classes, right):
    """Draw labels, and answers of which about the part `right` is right."""
    labels = torch.randint(0, classes, (count,), generator=g)
    guesses = torch.randint(0, classes, (count,), generator=g)
    return labels, torch.where(torch.rand(count, generator=g) < right, labels, guesses), classes


@confusion_table.drive
def count_twice(answer, labels, answers, classes):
    turned_round = answers.clone(), labels.clone(), classes
    return {
        "result": answer(labels, answers, classes),
        "the table with labels and answers exchanged": answer(*turned_round),
    }


@confusion_table.probe
def two_classes(g):
    g_labels = torch.tensor([0, 1, 1, 0, 1, 1, 1])
    return g_labels, torch.tensor([0, 1, 0, 1, 1, 1, 0]), 2


@confusion_table.probe
def five_classes_one_missing(g):  # the last class neither occurs nor is answered
    labels, answers, _ = some_answers(g, 23, 4, 0.5)
    return labels, answers, 5


@confusion_table.probe
def three_classes(g):
    labels, answers, classes = some_answers(g, 40, 3, 0.7)
    return (
        torch.cat([labels, torch.tensor([2, 2, 0])]),
        torch.cat([answers, torch.tensor([1, 1, 1])]),
        classes,
    )


@confusion_table.probe
def many_of_a_kind(g):  # more than a byte or a bfloat16 counts to
    labels = torch.tensor([0, 1, 2, 3]).repeat_interleave(torch.tensor([290, 2, 0, 5]))
    return labels, torch.where(torch.arange(297) % 99 == 98, 3, labels), 4


@confusion_table.probe
def a_dozen_classes(g):
    return some_answers(g, 60, 12, 0.4)


@confusion_table.probe
def one_class(g):
    return torch.zeros(6, dtype=torch.int64), torch.zeros(6, dtype=torch.int64), 1


@confusion_table.probe
def no_examples(g):
    nothing = torch.zeros(0, dtype=torch.int64)
    return nothing, nothing.clone(), 3


@confusion_table.alternative(
    "A loop says it plainly; ten thousand examples take it a tenth of a second."
)
def with_a_loop(labels, answers, classes):
    table = torch.zeros(classes, classes, dtype=torch.int64)
    for label, answer in zip(labels, answers):
        table[label, answer] += 1
    return table


@confusion_table.alternative(
    "`index_put_` with `accumulate=True` adds for every index, also for one that repeats."
)
def with_index_put(labels, answers, classes):
    table = torch.zeros(classes, classes, dtype=torch.int64, device=labels.device)
    return table.index_put_((labels, answers), torch.ones_like(labels), accumulate=True)


@confusion_table.alternative("Rows of 0s and one 1: their product counts the pairs.")
def with_two_one_hots(labels, answers, classes):
    return F.one_hot(labels, classes).T @ F.one_hot(answers, classes)


@confusion_table.alternative("NumPy's `add.at` adds for every index, too.")
def with_numpy(labels, answers, classes):
    table = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(table, (labels.numpy(), answers.numpy()), 1)
    return torch.from_numpy(table)


@confusion_table.alternative("Row by row: of the examples of one class, count the answers.")
def row_by_row(labels, answers, classes):
    return torch.stack([answers[labels == i].bincount(minlength=classes) for i in range(classes)])


@confusion_table.misconception(
    title="Counted every pair once",
    why="`table[labels, answers] += 1` reads all the old values at once, adds 1 to each and writes them back. A pair that "
    "comes five times writes the same 1 five times.",
    next="Count in a way that adds for every example: a loop, `bincount`, or `index_put_` with `accumulate=True`.",
    link="milestone-7-the-mistakes",
)
def counted_every_pair_once(labels, answers, classes):
    table = torch.zeros(classes, classes, dtype=torch.int64)
    table[labels, answers] += 1
    return table


@confusion_table.misconception(
    title="Rows and columns exchanged",
    why="The rows belong to the answers here. The diagonal is the same, so the accuracy is, too. But who takes whom for whom is "
    "told the wrong way round.",
    next="The right class chooses the row, the answer chooses the column.",
    link="milestone-7-the-mistakes",
)
def rows_and_columns_exchanged(labels, answers, classes):
    pairs = classes * answers + labels
    return pairs.bincount(minlength=classes * classes).reshape(classes, classes)


@confusion_table.misconception(
    title="Only the mistakes",
    why="The diagonal is empty. Without the right answers nobody can tell whether five mistakes are few or many.",
    next="Count every example, also those that were answered well.",
    link="milestone-7-the-mistakes",
)
def only_the_mistakes(labels, answers, classes):
    pairs = (classes * labels + answers)[labels != answers]
    return pairs.bincount(minlength=classes * classes).reshape(classes, classes)


@confusion_table.misconception(
    title="As many classes as came along",
    why="The table is as large as the largest class that occurs. A class that is missing from a batch then has no row, and tables of "
    "two batches cannot be added.",
    next="`classes` says how large the table is.",
    link="milestone-7-the-mistakes",
)
def as_many_as_came_along(labels, answers, classes):
    present = int(torch.cat([labels, answers]).max()) + 1 if len(labels) else 0
    pairs = present * labels + answers
    return pairs.bincount(minlength=present * present).reshape(present, present)


@confusion_table.misconception(
    title="Counted by the number of classes that came along",
    why="`bincount` returns as many numbers as the largest pair needs. Where the last pairs do not occur, they are missing, and "
    "the rest cannot take the shape of a table.",
    next="`bincount` can be told how many numbers to return at least.",
    link="milestone-7-the-mistakes",
)
def without_minlength(labels, answers, classes):
    return (classes * labels + answers).bincount().reshape(classes, classes)


@confusion_table.misconception(
    title="Fractions instead of numbers",
    why="Each row is divided by its sum. That is a useful second table, but it no longer says how many examples stand behind "
    "a fraction, and a class without examples gives NaN.",
    next="Return the counts. Whoever wants fractions divides afterwards.",
    link="milestone-7-the-mistakes",
)
def fractions_of_a_row(labels, answers, classes):
    pairs = classes * labels + answers
    table = pairs.bincount(minlength=classes * classes).reshape(classes, classes)
    return table / table.sum(1, keepdim=True)


@confusion_table.misconception(
    title="Left as floats",
    why="`torch.zeros` makes float32. The counts are right until they pass 16,777,216, where float32 no longer holds every "
    "whole number. Counts are whole numbers: int64.",
    next="Give `torch.zeros` a dtype.",
    link="milestone-7-the-mistakes",
)
def left_as_floats(labels, answers, classes):
    table = torch.zeros(classes, classes)
    for label, answer in zip(labels, answers):
        table[label, answer] += 1
    return table


@confusion_table.misconception(
    title="Wrote into the labels",
    why="`*=` and `+=` change the very tensor that was handed in. The table is right, and the caller's labels are spoiled.",
    next="Compute the numbers of the pairs in a new tensor.",
    link="milestone-7-the-mistakes",
)
def wrote_into_the_labels(labels, answers, classes):
    labels *= classes
    labels += answers
    return labels.bincount(minlength=classes * classes).reshape(classes, classes)


@confusion_table.misconception(
    title="A list of lists",
    why="The numbers are right, but a list has no `diagonal()` and no `sum(1)`.",
    next="Return a tensor.",
    link="milestone-7-the-mistakes",
)
def a_list_of_lists(labels, answers, classes):
    pairs = classes * labels + answers
    return pairs.bincount(minlength=classes * classes).reshape(classes, classes).tolist()


# The bug clinic -----------------------------------------------------------------------------------


@exercise(
    level="clinic",
    minutes=8,
    why="Every epoch ends in eval mode, so every epoch has to begin by switching back.",
    hints=(
        "Add `print(model.training)` inside the loop over the training batches, and run two epochs.",
        "`model.eval()` holds until somebody says otherwise. Who does, in the second epoch?",
        "One line stands in the right function, one level too far to the left.",
    ),
)
def fit_and_score(model, train_loader, validation_loader, optimizer, epochs):
    """Train for some epochs, and measure the accuracy on the validation set after each.

    model: (B, …) -> logits (B, C). The loaders give (images, labels) batches.
    Returns a list of `epochs` accuracies from 0 to 1. Training batches go through the network in
    training mode. Validation batches go through it in eval mode, and nothing is recorded for
    gradients there.
    """
    accuracies = []
    for _ in range(epochs):
        model.train()
        for images, labels in train_loader:
            logits = model(images)  # (B, C)
            loss = F.cross_entropy(logits, labels)
            optimizer.zero_grad()  # or these gradients add to the last ones
            loss.backward()
            optimizer.step()
        right, seen = 0, 0
        model.eval()
        with torch.inference_mode():
            for images, labels in validation_loader:
                right += (model(images).argmax(1) == labels).sum().item()
                seen += len(labels)
        accuracies.append(right / seen)
    return accuracies


@fit_and_score.drive
def fit_and_watch(answer, model, train_loader, validation_loader, optimizer, epochs):
    known = {tuple(image.tolist()) for image in train_loader.dataset.tensors[0]}
    training, validating = [], []

    def note(module, inputs, output):
        batch = training if tuple(inputs[0][0].tolist()) in known else validating
        batch.append(([layer.training for layer in module.modules()], output.requires_grad))

    model.register_forward_hook(note)
    accuracies = answer(model, train_loader, validation_loader, optimizer, epochs)
    if not validating:
        return {"the validation images are looked at": False}
    per_epoch = len(train_loader)
    if not isinstance(accuracies, list | tuple):
        return {"the validation images are looked at": True, "what comes back": form(accuracies)}
    return {
        "the validation images are looked at": True,
        "what comes back": "a list",
        "the number of accuracies": len(accuracies),
        "training batches of epoch 1 in training mode": which_layers(training[:per_epoch]),
        "training batches of later epochs in training mode": which_layers(training[per_epoch:]),
        "validation batches in training mode": which_layers(validating),
        "validation without gradients": not any(recorded for _, recorded in validating),
        "the accuracies": accuracies if len(accuracies) == epochs else None,
        "the weights afterwards": weights_of(model),
        "BatchNorm's running statistics afterwards": running_statistics(model),
    }


def which_layers(batches):
    """Say how much of a network was in training mode, over several batches."""
    modes = [mode for layers, _ in batches for mode in layers]
    if all(modes):
        return "all layers, for every batch"
    if not any(modes):
        return "no layer"
    mixed = any(len(set(layers)) > 1 for layers, _ in batches)
    return "only some of the layers" if mixed else "all layers, but not for every batch"


def clinic_inputs(g, train, validation, epochs):
    rule = torch.randn(4, 3, generator=g, dtype=torch.float64)  # can be learned: accuracies change

    def loader(count, batch_size):
        images = torch.randn(count, 4, generator=g, dtype=torch.float64)
        return loader_of(images, (images @ rule).argmax(1), batch_size)

    drop = nn.Dropout(0.0)  # it has a mode, and its draws change nothing
    model = nn.Sequential(*network_with_norm(g), drop).eval()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
    return model, loader(train, 4), loader(validation, 5), optimizer, epochs


@fit_and_score.probe
def two_epochs(g):
    return clinic_inputs(g, 10, 17, 2)


@fit_and_score.probe
def three_epochs(g):
    return clinic_inputs(g, 12, 33, 3)


@fit_and_score.probe
def six_epochs(g):
    return clinic_inputs(g, 8, 71, 6)


@fit_and_score.alternative(
    "Switching back right after the evaluation works as well, if somebody switches on at the start."
)
def switched_back_after_evaluating(model, train_loader, validation_loader, optimizer, epochs):
    accuracies = []
    model.train()
    for _ in range(epochs):
        for images, labels in train_loader:
            logits = model(images)  # (B, C)
            loss = F.cross_entropy(logits, labels)
            optimizer.zero_grad()  # or these gradients add to the last ones
            loss.backward()
            optimizer.step()
        right, seen = 0, 0
        model.eval()
        with torch.inference_mode():
            for images, labels in validation_loader:
                right += (model(images).argmax(1) == labels).sum().item()
                seen += len(labels)
        model.train()
        accuracies.append(right / seen)
    return accuracies


@fit_and_score.alternative(
    "Where no weight asks for a gradient, nothing is recorded either. `no_grad` is shorter."
)
def with_weights_that_ask_for_nothing(model, train_loader, validation_loader, optimizer, epochs):
    accuracies = []
    for _ in range(epochs):
        model.train().requires_grad_(True)
        for images, labels in train_loader:
            logits = model(images)  # (B, C)
            loss = F.cross_entropy(logits, labels)
            optimizer.zero_grad()  # or these gradients add to the last ones
            loss.backward()
            optimizer.step()
        right, seen = 0, 0
        model.eval().requires_grad_(False)
        for images, labels in validation_loader:
            right += (model(images).argmax(1) == labels).sum().item()
            seen += len(labels)
        model.requires_grad_(True)
        accuracies.append(right / seen)
    return accuracies


@fit_and_score.misconception(
    title="From the second epoch on it trains in eval mode",
    why="`model.train()` is called once, before the loop. The first evaluation switches to eval mode, and nobody switches "
    "back: from then on dropout does nothing, and BatchNorm no longer looks at its batches.",
    next="Print `model.training` at the start of every epoch.",
    link="bug-clinic",
    shows="training batches of later epochs in training mode",
    starter=True,
)
def switched_on_once(model, train_loader, validation_loader, optimizer, epochs):
    accuracies = []
    model.train()
    for _ in range(epochs):
        for images, labels in train_loader:
            logits = model(images)  # (B, C)
            loss = F.cross_entropy(logits, labels)
            optimizer.zero_grad()  # or these gradients add to the last ones
            loss.backward()
            optimizer.step()
        right, seen = 0, 0
        model.eval()
        with torch.inference_mode():
            for images, labels in validation_loader:
                right += (model(images).argmax(1) == labels).sum().item()
                seen += len(labels)
        accuracies.append(right / seen)
    return accuracies


@fit_and_score.misconception(
    title="Now it evaluates in training mode",
    why="Without `eval()` the training mode lasts, but for the evaluation too: dropout drops, and BatchNorm learns from "
    "the validation images.",
    next="Keep `eval()` where it was, and mend the other line.",
    link="bug-clinic",
    shows="validation batches in training mode",
)
def never_switched_off(model, train_loader, validation_loader, optimizer, epochs):
    accuracies = []
    for _ in range(epochs):
        model.train()
        for images, labels in train_loader:
            logits = model(images)  # (B, C)
            loss = F.cross_entropy(logits, labels)
            optimizer.zero_grad()  # or these gradients add to the last ones
            loss.backward()
            optimizer.step()
        right, seen = 0, 0
        with torch.inference_mode():
            for images, labels in validation_loader:
                right += (model(images).argmax(1) == labels).sum().item()
                seen += len(labels)
        accuracies.append(right / seen)
    return accuracies


@fit_and_score.misconception(
    title="Switched back, but the first epoch is in eval mode",
    why="After each evaluation the mode is right. Before the first epoch nobody has said anything, and the network may "
    "come in eval mode, as it does after loading or an earlier evaluation.",
    next="The switch belongs before the training batches of *every* epoch, also the first.",
    link="bug-clinic",
    shows="training batches of epoch 1 in training mode",
)
def forgot_the_first_epoch(model, train_loader, validation_loader, optimizer, epochs):
    accuracies = []
    for _ in range(epochs):
        for images, labels in train_loader:
            logits = model(images)  # (B, C)
            loss = F.cross_entropy(logits, labels)
            optimizer.zero_grad()  # or these gradients add to the last ones
            loss.backward()
            optimizer.step()
        right, seen = 0, 0
        model.eval()
        with torch.inference_mode():
            for images, labels in validation_loader:
                right += (model(images).argmax(1) == labels).sum().item()
                seen += len(labels)
        model.train()
        accuracies.append(right / seen)
    return accuracies


@fit_and_score.misconception(
    title="No training batch meets training mode",
    why="Whenever a training batch comes, the network is in eval mode. Either `model.train()` is never called, or it stands where "
    "it comes too late: behind the training batches, with an `eval()` before the next ones.",
    next="It has to run in every epoch, before the training batches.",
    link="bug-clinic",
    shows="training batches of epoch 1 in training mode",
)
def switched_back_at_the_end(model, train_loader, validation_loader, optimizer, epochs):
    accuracies = []
    for _ in range(epochs):
        for images, labels in train_loader:
            logits = model(images)  # (B, C)
            loss = F.cross_entropy(logits, labels)
            optimizer.zero_grad()  # or these gradients add to the last ones
            loss.backward()
            optimizer.step()
        right, seen = 0, 0
        model.eval()
        with torch.inference_mode():
            for images, labels in validation_loader:
                right += (model(images).argmax(1) == labels).sum().item()
                seen += len(labels)
        accuracies.append(right / seen)
    model.train()
    return accuracies


@fit_and_score.misconception(
    title="Only some of the layers were switched back",
    why="`model.eval()` reached every layer: the network itself, BatchNorm, dropout. Setting one attribute, or switching the "
    "dropout layers alone, leaves BatchNorm in eval mode, where it no longer looks at its batches.",
    next="One call switches all layers, as `eval()` did.",
    link="bug-clinic",
    shows="training batches of later epochs in training mode",
)
def switched_some_layers(model, train_loader, validation_loader, optimizer, epochs):
    accuracies = []
    model.train()
    for _ in range(epochs):
        model.training = True
        for images, labels in train_loader:
            logits = model(images)  # (B, C)
            loss = F.cross_entropy(logits, labels)
            optimizer.zero_grad()  # or these gradients add to the last ones
            loss.backward()
            optimizer.step()
        right, seen = 0, 0
        model.eval()
        with torch.inference_mode():
            for images, labels in validation_loader:
                right += (model(images).argmax(1) == labels).sum().item()
                seen += len(labels)
        accuracies.append(right / seen)
    return accuracies


@fit_and_score.misconception(
    title="The mean of the batches' accuracies",
    why="A short last batch then weighs as much as a full one, so its images count for more than the others.",
    next="Count right answers and images over all batches, and divide once, as the given code did.",
    link="bug-clinic",
    shows="the accuracies",
)
def mean_of_the_batches(model, train_loader, validation_loader, optimizer, epochs):
    accuracies = []
    for _ in range(epochs):
        model.train()
        for images, labels in train_loader:
            logits = model(images)  # (B, C)
            loss = F.cross_entropy(logits, labels)
            optimizer.zero_grad()  # or these gradients add to the last ones
            loss.backward()
            optimizer.step()
        right, seen = 0, 0
        model.eval()
        with torch.inference_mode():
            for images, labels in validation_loader:
                right += (model(images).argmax(1) == labels).float().mean().item()
                seen += 1
        accuracies.append(right / seen)
    return accuracies


@fit_and_score.misconception(
    title="Examined on the training set",
    why="The second loop reads the training batches too, so the accuracies tell how well the network knows what it was "
    "trained on. What it does with new images, nobody asks.",
    next="Which of the two loaders belongs in the second loop?",
    link="milestone-2-three-sets-that-never-mix",
    shows="the validation images are looked at",
)
def examined_on_the_training_set(model, train_loader, validation_loader, optimizer, epochs):
    accuracies = []
    for _ in range(epochs):
        model.train()
        for images, labels in train_loader:
            logits = model(images)  # (B, C)
            loss = F.cross_entropy(logits, labels)
            optimizer.zero_grad()  # or these gradients add to the last ones
            loss.backward()
            optimizer.step()
        right, seen = 0, 0
        model.eval()
        with torch.inference_mode():
            for images, labels in train_loader:
                right += (model(images).argmax(1) == labels).sum().item()
                seen += len(labels)
        accuracies.append(right / seen)
    return accuracies


@fit_and_score.misconception(
    title="Swapped `inference_mode` for `train`",
    why="The modes are right now, but the evaluation records gradients again. The mode of the layers and the recording "
    "of gradients are two switches.",
    next="Put `torch.inference_mode()` back: a `no_grad` that is stricter still.",
    link="bug-clinic",
    shows="validation without gradients",
)
def lost_inference_mode(model, train_loader, validation_loader, optimizer, epochs):
    accuracies = []
    for _ in range(epochs):
        model.train()
        for images, labels in train_loader:
            logits = model(images)  # (B, C)
            loss = F.cross_entropy(logits, labels)
            optimizer.zero_grad()  # or these gradients add to the last ones
            loss.backward()
            optimizer.step()
        right, seen = 0, 0
        model.eval()
        for images, labels in validation_loader:
            right += (model(images).argmax(1) == labels).sum().item()
            seen += len(labels)
        accuracies.append(right / seen)
    return accuracies


@fit_and_score.misconception(
    title="The count goes on from epoch to epoch",
    why="The counters are set to 0 once, before the loop. From the second epoch on they hold the right answers of all epochs so far: "
    "you get an average over the past, and it moves more slowly than the network.",
    next="Each epoch's accuracy needs a count of its own.",
    link="milestone-4-loss-and-accuracy",
    shows="the accuracies",
)
def counted_over_all_epochs(model, train_loader, validation_loader, optimizer, epochs):
    accuracies = []
    right, seen = 0, 0
    for _ in range(epochs):
        model.train()
        for images, labels in train_loader:
            logits = model(images)  # (B, C)
            loss = F.cross_entropy(logits, labels)
            optimizer.zero_grad()  # or these gradients add to the last ones
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.inference_mode():
            for images, labels in validation_loader:
                right += (model(images).argmax(1) == labels).sum().item()
                seen += len(labels)
        accuracies.append(right / seen)
    return accuracies


@fit_and_score.misconception(
    title="Divided by the number of batches",
    why="The right answers were counted image by image, and `len` of a loader counts batches. The quotient is the number of right "
    "answers per batch, which goes far above 1.",
    next="Divide by the number of images that were asked.",
    link="milestone-4-loss-and-accuracy",
    shows="the accuracies",
)
def divided_by_batches(model, train_loader, validation_loader, optimizer, epochs):
    accuracies = []
    for _ in range(epochs):
        model.train()
        for images, labels in train_loader:
            logits = model(images)  # (B, C)
            loss = F.cross_entropy(logits, labels)
            optimizer.zero_grad()  # or these gradients add to the last ones
            loss.backward()
            optimizer.step()
        right = 0
        model.eval()
        with torch.inference_mode():
            for images, labels in validation_loader:
                right += (model(images).argmax(1) == labels).sum().item()
        accuracies.append(right / len(validation_loader))
    return accuracies


# The last milestone -------------------------------------------------------------------------------

# What a student may choose differently, as the mutants write it.
CHOICES = (
    "epochs, batch_size, lr = (11, 512, 0.005)",
    "epochs, batch_size, lr = (9, 512, 0.005)",
    "epochs, batch_size, lr = (10, 513, 0.005)",
    "epochs, batch_size, lr = (10, 511, 0.005)",
    "epochs, batch_size, lr = (10, 512, 0.01)",
    "optimizer = torch.optim.AdamW(network.parameters())",  # the schedule sets the rate
    "steps = epochs * math.ceil(len(images) * batch_size)",
    "without schedule.step()",
    "for _ in tqdm(range(epochs)):",
    "down, right = torch.randint(+1, 2, (2,)).tolist()",
    "down, right = torch.randint(-0, 2, (2,)).tolist()",
    "down, right = torch.randint(-2, 2, (2,)).tolist()",
    "down, right = torch.randint(-1, 1, (2,)).tolist()",
    "down, right = torch.randint(-1, 3, (2,)).tolist()",
    "down, right = torch.randint(-1, 2, (2,))",
    "logits = network(images[picked].roll((down, right), dims=(1, 3)))",
    "logits = network(images[picked].roll((down, right), dims=(2, 2)))",
    "logits = network(images[picked].roll((down, right), dims=(3, 3)))",
)


@exercise(
    level="milestone",
    minutes=20,
    why="BatchNorm, a learning rate that rises and falls, and digits moved by a pixel: each of them earned its place on the "
    "validation set, before anybody looked at the test set.",
    hints=(
        "Everything is there already: your network, the loop of milestone 5, the schedule, the moved digits. Call them, or "
        "write them anew; the only data are the two arguments.",
        "Batches without a loader: `torch.randperm(len(images)).split(512)` gives the indices of one batch after the other.",
        "`tqdm(range(epochs))` is a loop with a progress bar. `network.eval()` returns the network itself.",
        "Plain 98 %: ten epochs, 256 units a layer, AdamW with a OneCycleLR up to 0.005. Moved digits give the rest.",
    ),
    limit=60.0,
    equivalent_mutants=CHOICES,
)
def train_digit_classifier(images: torch.Tensor, labels: torch.Tensor) -> nn.Module:
    """Train a network that reads digits, and return it ready for use.

    images: float32 (N, 1, 28, 28), standardised, in any order, also sorted by digit.
    labels: int64 (N,). Both lie on one device, and stay as they are.
    Returns the trained network in eval mode: (B, 1, 28, 28) -> logits (B, 10). While it trains, it
    shows how far it is: a progress bar moves, or lines are printed. The network, the epochs and
    everything else are your choice. It may call functions and classes of yours, and it reads no data
    but its arguments.
    With all 60,000 training images it reads 98 % of the test images.
    """
    # solution:
    network = nn.Sequential(
        nn.Flatten(),
        *(nn.Linear(784, 256), nn.BatchNorm1d(256), nn.ReLU()),
        *(nn.Linear(256, 256), nn.BatchNorm1d(256), nn.ReLU()),
        nn.Linear(256, 10),
    ).to(images.device)
    epochs, batch_size, lr = 10, 512, 0.005
    optimizer = torch.optim.AdamW(network.parameters(), lr=lr)
    steps = epochs * math.ceil(len(images) / batch_size)
    schedule = OneCycleLR(optimizer, max_lr=lr, total_steps=steps)
    for _ in tqdm(range(epochs), desc="training"):
        for picked in torch.randperm(len(images)).split(batch_size):
            down, right = torch.randint(-1, 2, (2,)).tolist()  # moved by a pixel at most
            logits = network(images[picked].roll((down, right), dims=(2, 3)))
            loss = F.cross_entropy(logits, labels[picked])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return network.eval()
    # end solution


class Watch:
    """See whether gradients are cleared between an optimizer's steps.

    `backward` adds to a gradient in place and so counts its version up by one. A gradient that was
    cleared in between is a new tensor, or counted up twice.
    """

    def __init__(self):
        self.last = {}
        self.cleared = True

    def before(self, optimizer, args, kwargs):
        for parameter in self._trained(optimizer):
            tensor, version = self.last.get(parameter, (None, 0))
            if tensor is parameter.grad and parameter.grad._version == version + 1:
                self.cleared = False

    def after(self, optimizer, args, kwargs):
        for parameter in self._trained(optimizer):
            self.last[parameter] = parameter.grad, parameter.grad._version

    @staticmethod
    def _trained(optimizer):
        groups = optimizer.param_groups
        return [p for group in groups for p in group["params"] if p.grad is not None]


@contextmanager
def watched_steps():
    """Watch the steps of every optimizer that runs inside."""
    watch = Watch()
    hooks = [
        register_optimizer_step_pre_hook(watch.before),
        register_optimizer_step_post_hook(watch.after),
    ]
    try:
        yield watch
    finally:
        for hook in hooks:
            hook.remove()


def drawings(g, count):
    """Draw ten kinds of blots, one for each digit, with noise; as far apart as digits are alike."""
    shapes = torch.randn(10, 1, 5, 5, generator=torch.Generator().manual_seed(5))
    shapes = F.pad(F.interpolate(shapes, size=20, mode="bilinear"), (4, 4, 4, 4))
    labels = torch.randint(0, 10, (count,), generator=g)
    noise = torch.randn(count, 1, 28, 28, generator=g)
    return 1.5 * shapes[labels] + 0.5 * noise, labels


class Told:
    """A file that passes everything on and remembers whether anything was written."""

    def __init__(self, file):
        self.file, self.anything = file, False

    def write(self, text):
        self.anything = self.anything or bool(text.strip())
        return self.file.write(text)

    def __getattr__(self, name):
        return getattr(self.file, name)


@contextmanager
def watched_output():
    """See whether a progress bar is made inside, or anything else shown."""
    bars, make = [], Bar.__init__

    def noted(bar, *args, **kwargs):
        make(bar, *args, **kwargs)
        bars.append(not bar.disable)

    out, errors = Told(sys.stdout), Told(sys.stderr)
    Bar.__init__ = noted
    try:
        with redirect_stdout(out), redirect_stderr(errors):
            yield lambda: any(bars) or out.anything or errors.anything
    finally:
        Bar.__init__ = make


class TestSetClosed(Exception):
    """The test set was asked for where it must not be."""


@contextmanager
def test_set_closed():
    """Refuse the test set inside; yields a list of the data sets it was asked of."""
    asked, read = [], datasets._copies

    def refuse(name, train):
        if not train:
            asked.append(name)
            raise TestSetClosed("no training reads the test set")
        return read(name, train)

    datasets._copies = refuse
    try:
        yield asked
    finally:
        datasets._copies = read


def never_mixed(batches, count):
    """Whether the first epoch's labels came in rising order; one batch of everything has no order."""
    row = []
    for labels in batches:
        if not isinstance(labels, torch.Tensor) or labels.dim() != 1 or len(labels) == count:
            return False
        row += labels.tolist()
        if len(row) >= count:
            break
    falls = sum(after < before for before, after in pairwise(row[:count]))
    return len(row) > 1 and falls < 0.05 * count


@train_digit_classifier.drive
def train_on_drawings(answer, images, labels):
    new_images, new_labels = drawings(torch.Generator().manual_seed(len(images)), 100)
    given, network = (images.clone(), labels.clone()), None
    with (
        suppress(TestSetClosed),
        test_set_closed() as asked,
        watched_steps() as watch,
        watched_output() as shown,
        LossCalls() as calls,
    ):
        network = answer(*given)
    if asked:
        return {"the test set is left alone": False}
    if never_mixed(calls.labels, len(labels)):
        return {"the test set is left alone": True, "the images come in a new order": False}
    if not isinstance(network, nn.Module):
        return {"what comes back": form(network)}
    was_training = network.training
    with torch.no_grad():
        logits = network.eval()(new_images)
    right = (logits.argmax(-1) == new_labels).double().mean().item()
    enough = len(images) > 500  # to learn from; with fewer, a small network may need more epochs
    kept = torch.equal(given[0], images) and torch.equal(given[1], labels)
    return {
        "what comes back": "a network",
        "the shape of the logits of 100 images": str(tuple(logits.shape)),
        "the result is no probabilities": not add_up_to_one(logits),
        "the network comes back in eval mode": not was_training,
        "gradients are cleared between steps": watch.cleared,
        "it reads at least 70 % of new pictures": right >= 0.7 or not enough,
        "it shows how far it is": shown(),
        "the images and labels are left as they were": kept,
        "the test set is left alone": True,
        "the images come in a new order": True,
    }


def sorted_drawings(g, count):
    images, labels = drawings(g, count)
    order = labels.argsort(stable=True)
    return images[order], labels[order]


@train_digit_classifier.probe
def few_sorted_pictures(g):
    return sorted_drawings(g, 100)


@train_digit_classifier.probe
def some_sorted_pictures(g):
    return sorted_drawings(g, 120)


@train_digit_classifier.probe
def more_than_a_batch_of_512(g):
    return sorted_drawings(g, 516)


@train_digit_classifier.alternative(
    "Without moved digits, and with a loader: above 98 %, with less room."
)
def with_a_loader(images, labels):
    network = nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, 300),
        nn.ReLU(),
        nn.Linear(300, 100),
        nn.ReLU(),
        nn.Linear(100, 10),
    ).to(images.device)
    loader = DataLoader(TensorDataset(images, labels), batch_size=128, shuffle=True)
    optimizer = torch.optim.Adam(network.parameters())
    for _ in tqdm(range(10)):
        network.train()
        for some_images, some_labels in loader:
            optimizer.zero_grad(set_to_none=False)
            F.cross_entropy(network(some_images), some_labels).backward()
            optimizer.step()
    network.eval()
    return network


def trained(
    images, labels, network, *, clear=True, step=True, shuffle=True, bar=True, batch_size=512
):
    """Train in the way of the reference, with one thing left out."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.01)
    for _ in tqdm(range(6), disable=not bar):
        order = torch.randperm(len(images)) if shuffle else torch.arange(len(images))
        for picked in order.split(batch_size):
            loss = F.cross_entropy(network(images[picked]), labels[picked])
            if clear:
                optimizer.zero_grad()
            loss.backward()
            if step:
                optimizer.step()
    return network


def small_network(*last):
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 10), *last
    )


@train_digit_classifier.misconception(
    title="The function returns nothing",
    why="The network was trained and then forgotten: without `return` a function gives None.",
    next="Return the network.",
    link="milestone-8-the-report",
)
def returned_nothing(images, labels):
    trained(images, labels, small_network()).eval()


@train_digit_classifier.misconception(
    title="Returned in training mode",
    why="Whoever uses the network next gets dropout and the batch's own statistics: the same image is read one way "
    "today and another way tomorrow.",
    next="Switch the network before you return it.",
    link="milestone-6-batchnorm-and-dropout",
)
def left_in_training(images, labels):
    return trained(images, labels, small_network())


@train_digit_classifier.misconception(
    title="The network ends in a softmax",
    why="Logits are due. With a softmax inside, `F.cross_entropy` applies a second one: the loss cannot fall below 1.46, "
    "and learning is slow.",
    next="Let the last Linear be the last layer.",
    link="milestone-4-loss-and-accuracy",
    shows="the result is no probabilities",
)
def ends_in_softmax(images, labels):
    return trained(images, labels, small_network(nn.Softmax(1))).eval()


@train_digit_classifier.misconception(
    title="The gradients are never cleared",
    why="`backward` adds to the gradients that are there. The loss still goes down, so nothing looks wrong, but each "
    "step follows the sum of all gradients so far.",
    next="Clear the gradients once per batch.",
    link="milestone-5-the-training-loop",
    shows="gradients are cleared between steps",
)
def gradients_pile_up(images, labels):
    return trained(images, labels, small_network(), clear=False).eval()


@train_digit_classifier.misconception(
    title="The network never learned",
    why="What comes back hardly tells the pictures apart. Either no step moves the weights, or the optimizer holds the "
    "parameters of another network, or the steps are far too small or too large.",
    next="Print the loss every few batches. It starts near 2.3, and it must fall and stay down.",
    link="milestone-5-the-training-loop",
    shows="it reads at least 70 % of new pictures",
)
def never_learned(images, labels):
    return trained(images, labels, small_network(), step=False).eval()


@train_digit_classifier.misconception(
    title="The caller's images were changed",
    why="An operation that ends in an underscore, or `+=`, writes into the tensor that was passed in. Every epoch then starts from "
    "pictures that the epoch before has spoiled.",
    next="Make a new tensor from each batch, and leave `images` alone.",
    link="milestone-6-batchnorm-and-dropout",
    shows="the images and labels are left as they were",
)
def changed_the_images(images, labels):
    images += 0.1 * torch.randn_like(images)
    return trained(images, labels, small_network()).eval()


UNSHUFFLED = {
    "title": "The batches are never shuffled",
    "why": "The images may come sorted by digit, as they do here. Of 60,000 in that order a batch holds one or two digits, and "
    "each pulls the network towards its own. After all 60,000 of them in order it has forgotten all but the last. MNIST's own file is "
    "in random order, which hides it.",
    "next": "Draw a new random order of all the images for every epoch.",
    "link": "milestone-5-the-training-loop",
    "shows": "the images come in a new order",
}


@train_digit_classifier.misconception(**UNSHUFFLED)
def never_shuffled(images, labels):
    return trained(images, labels, small_network(), shuffle=False, batch_size=64).eval()


@train_digit_classifier.misconception(**UNSHUFFLED)
def never_shuffled_large_batches(images, labels):
    return trained(images, labels, small_network(), shuffle=False).eval()


@train_digit_classifier.misconception(
    title="Trained on the test set",
    why="The function reads the test images. A network that has learned them knows the answers it is examined on, and its "
    "test accuracy says nothing about any other image.",
    next="Train on `images` and `labels`, and on nothing else.",
    link="milestone-2-three-sets-that-never-mix",
    shows="the test set is left alone",
)
def trained_on_the_test_set(images, labels):
    more, more_labels = load_mnist(train=False)
    images = torch.cat([images, standardise.reference(more, more)])
    return trained(images, torch.cat([labels, more_labels]), small_network()).eval()


@train_digit_classifier.misconception(
    title="Nothing moves while it trains",
    why="Training takes long enough to make one wonder, and without a sign of life nobody can tell a slow training from one "
    "that hangs.",
    next="Wrap the loop over the epochs in `tqdm`, or print a line per epoch.",
    link="milestone-5-the-training-loop",
    shows="it shows how far it is",
)
def nothing_moves(images, labels):
    return trained(images, labels, small_network(), bar=False).eval()


@train_digit_classifier.finale("98 % of the test images")
def read_the_test_set(answer):
    """Train on all 60,000 images with the bar in sight, then ask the 10,000 test images once."""
    torch.manual_seed(0)
    train_images, train_labels = load_mnist(train=True)
    test_images, test_labels = load_mnist(train=False)
    order = train_labels.argsort(stable=True)  # sorted by digit, as the order says
    images = standardise.reference(train_images, train_images)[order]
    began = time.monotonic()
    with suppress(TestSetClosed), test_set_closed() as asked:
        network = answer(images, train_labels[order])
    if asked:
        return False, "Your function asked for the test set while it trained. It was refused."
    seconds = time.monotonic() - began
    images = standardise.reference(test_images, train_images)
    network.eval()
    with torch.no_grad():
        batches = loader_of(images, test_labels, 1000)
        right = sum((network(x).argmax(1) == y).sum().item() for x, y in batches)
    accuracy = right / len(test_labels)
    told = (
        f"Trained on 60,000 images in {seconds:.0f} seconds, your network reads "
        f"{100 * accuracy:.2f} % of the 10,000 test images. 98 % are due."
    )
    if accuracy < 0.5:
        told += " The training images came sorted by digit: does every epoch shuffle them?"
    return accuracy >= 0.98, told
