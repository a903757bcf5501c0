"""What the student writes in lesson 6, Project: MNIST, and every known way to get it wrong."""

# mypy does not see what a decorator makes of a class, an exercise, nor what a dict of texts holds.
# mypy: disable-error-code="arg-type,attr-defined,type-arg,no-untyped-def"

import gzip
import math
import random
import struct
import sys
import tempfile
import time
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim.lr_scheduler import LambdaLR, OneCycleLR
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import DataLoader, Dataset, TensorDataset, default_collate
from tqdm import tqdm
from tqdm.std import tqdm as Bar

from firstlight import datasets
from firstlight.checking import Extra, exercise
from firstlight.datasets import load_mnist, read_idx

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
    From byte 16 on, one byte per pixel: image after image, row after row.
    Returns uint8 of shape (images, rows, columns), whatever sizes the header names.
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
def the_size_of_mnist(g):
    return file_of(g, 2, 28, 28)


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
    link="milestone-1-the-bytes",
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
    link="milestone-1-the-bytes",
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
    "link": "milestone-1-the-bytes",
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
    link="milestone-1-the-bytes",
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
    "link": "milestone-1-the-bytes",
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
    "link": "milestone-1-the-bytes",
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
    link="milestone-1-the-bytes",
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
    link="milestone-1-the-bytes",
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
    "link": "milestone-1-the-bytes",
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
    link="milestone-1-the-bytes",
)
def two_byte_sizes(data):
    count, rows, columns = (256 * data[place] + data[place + 1] for place in (6, 10, 14))
    pixels = np.frombuffer(data, dtype=np.uint8, offset=16)
    return torch.tensor(pixels.reshape(count, rows, columns))


@read_images.misconception(
    title="Read the bytes as signed numbers",
    why="An int8 runs from -128 to 127. Every pixel brighter than 127 becomes negative, so white turns into -1.",
    next="The letter that is missing is a u.",
    link="milestone-1-the-bytes",
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
    link="milestone-1-the-bytes",
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
    why="The files are read once; each access makes one float image with a channel axis and one plain number.",
    hints=(
        "`self.images` is (N, 28, 28) and `self.labels` is (N,), both uint8. `__len__` counts one of them.",
        "Three things happen to an image: bytes become floats, 255 becomes 1, and a channel axis goes in front.",
        "`image[None]` puts an axis of length 1 in front, and `int(…)` turns a one-element tensor into a number.",
    ),
)
class MnistDataset(Dataset):
    """Give MNIST one pair (image, label) at a time.

    `MnistDataset(images_path, labels_path)` reads the two gzipped IDX files once.
    `len(dataset)` is the number of images.
    `dataset[i]` is image i as float32 of shape (1, 28, 28), where 0 is black and 1 is white, and
    its label as an int. Asked for the same i again, it gives the same pair.
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
        paths = Path(folder, "images.gz"), Path(folder, "labels.gz")
        for path, values in zip(paths, (images, labels), strict=True):
            path.write_bytes(gzip.compress(idx_bytes(values), compresslevel=1))
        dataset = answer(*paths)
    try:  # the files are gone now
        image, label = dataset[2]
        length = len(dataset)
    except FileNotFoundError:
        return {"the files are read once, when the data set is made": False}
    image = image.clone() if isinstance(image, torch.Tensor) else image
    return {
        "the files are read once, when the data set is made": True,
        "the length": length,
        "image 2": image,
        "the labels of a batch": default_collate([label, dataset[0][1]]),
        "image 2, read again": dataset[2][0],
        "the label's type": Extra(type(label).__name__),
    }


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
    link="milestone-1-the-bytes",
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
    why="`.float()` changes the dtype and keeps the values. Inputs a hundred times larger than the initial "
    "weights expect make the first losses huge and the first steps wild.",
    next="Divide, so that white is 1.",
    link="milestone-1-the-bytes",
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
    link="milestone-1-the-bytes",
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
    link="milestone-1-the-bytes",
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
    link="milestone-1-the-bytes",
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
    link="milestone-1-the-bytes",
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
    link="milestone-1-the-bytes",
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
    link="milestone-1-the-bytes",
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
    link="milestone-1-the-bytes",
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
    link="milestone-1-the-bytes",
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
    link="milestone-1-the-bytes",
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
    link="milestone-1-the-bytes",
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
    link="milestone-1-the-bytes",
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
    link="milestone-1-the-bytes",
    shows="the files are read once, when the data set is made",
)
class ReadEveryTime(Dataset):
    def __init__(self, images_path, labels_path):
        self.paths = images_path, labels_path

    def __len__(self):
        return len(read_idx(gzip.decompress(self.paths[1].read_bytes())))

    def __getitem__(self, index):
        images, labels = (read_idx(gzip.decompress(path.read_bytes())) for path in self.paths)
        return images[index][None] / 255, int(labels[index])


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

    images: (N, …). labels: (N,). held_out: how many examples to set apart, perhaps 0. seed: an int.
    Returns two pairs: (training images, training labels), (validation images, validation labels).
    Which examples are held out is drawn at random. Every example lands in exactly one part, and
    image and label stay together. The same seed gives the same split, another seed another one,
    and the global random numbers are left alone.
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


PAIRS = "((a tensor, a tensor), (a tensor, a tensor))"


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
    seed_the_world(99 + seed)
    due_next = next_of_the_world()
    seed_the_world(99 + seed)
    parts = answer(images, labels, held_out, seed)
    if form(parts) != PAIRS:
        return {"what comes back": form(parts)}
    if parts[0][1].dim() != 1:
        return {"what comes back": "((images, images), (labels, labels))"}
    comes_next = next_of_the_world()
    changed = [name for name in due_next if comes_next[name] != due_next[name]]
    (kept, kept_labels), (apart, apart_labels) = parts
    trained = {int(image.flatten()[0]) for image in kept}  # each image carries its own number
    held = {int(image.flatten()[0]) for image in apart}
    (again, _), _ = answer(images, labels, held_out, seed)
    all_kept = True
    others = [answer(images, labels, held_out, seed + more)[1][0] for more in (1, 10, 100)]
    where = places(sorted(held), len(images))
    with suppress(Exception):  # to refuse is no mistake, to give all away is one
        all_kept = len(answer(images, labels, 0, seed)[0][0]) == len(images)
    return {
        "what comes back": form(parts),
        "the number of training images": len(kept),
        "the number of validation images": len(apart),
        "the number of images in both parts": len(trained & held),
        "the number of images in neither part": len(images) - len(trained | held),
        "each image still has its own label": all(
            torch.equal(own, pictures.flatten(1)[:, 0] % 10)
            for pictures, own in ((kept, kept_labels), (apart, apart_labels))
        ),
        "where the validation images lie in the file": where,
        "the same seed gives the same split": torch.equal(kept, again),
        "another seed gives another split": not any(torch.equal(apart, one) for one in others),
        "with nothing held out, all images are for training": all_kept,
        "shared random numbers that the split changed": ", ".join(changed) or "none",
    }


def places(held, count):
    """Say where the held-out numbers lie: at an end, in one block, at regular distances, or anywhere."""
    gaps = [(after - before) % count for before, after in pairwise(held)]
    if set(gaps) != {1} and len({*gaps, (held[0] - held[-1]) % count}) > 2:
        return "anywhere"
    if set(gaps) != {1}:
        return "at regular distances"
    return "at an end" if held[0] == 0 or held[-1] == count - 1 else "in one block"


def numbered_images(count):
    """Make images that carry their own number in every pixel, and labels that follow from it."""
    numbers = torch.arange(count)
    return numbers.reshape(-1, 1, 1).expand(-1, 2, 2).clone(), numbers % 10


@split.probe
def forty_images(g):
    return *numbered_images(40), 12, 3


@split.probe
def ninety_images(g):
    return *numbered_images(90), 15, 0


@split.probe
def half_and_half(g):
    return *numbered_images(60), 30, 7


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
    title="Cut the end off without shuffling",
    why="The last examples are a fair sample only if the file is in random order. Files are often sorted, by class or "
    "by who wrote the digits, and then the validation set asks about other things than were learned.",
    next="Draw a random order first, then cut.",
    link="milestone-2-three-sets-that-never-mix",
)
def cut_the_end_off(images, labels, held_out, seed):
    kept, apart = slice(0, len(images) - held_out), slice(len(images) - held_out, None)
    return (images[kept], labels[kept]), (images[apart], labels[apart])


@split.misconception(
    title="Images and labels were shuffled apart",
    why="Two permutations are two different orders: each image gets some other image's label. The network can "
    "then learn nothing but the average digit, and no error tells you.",
    next="Index both tensors with one and the same permutation.",
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


@split.misconception(
    title="Drew with replacement",
    why="`randint` may draw the same index twice. Some images are doubled, some are lost, and some land on both "
    "sides of the cut.",
    next="`randperm` draws every index exactly once.",
    link="milestone-2-three-sets-that-never-mix",
    shows="the number of images in neither part",
)
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
    why="Without the seed each run holds out other images. A network trained yesterday and examined today has "
    "seen most of today's validation images.",
    next="Make a generator from `seed` and let `randperm` use it.",
    link="milestone-2-three-sets-that-never-mix",
    shows="the same seed gives the same split",
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
    title="The same split whatever the seed",
    why="A seed that is written into the function, or a generator that is never given one, repeats one and the same split "
    "for ever. Nobody can ask for a second one to see how much depends on the choice.",
    next="Give the generator the `seed` that was passed in.",
    link="milestone-2-three-sets-that-never-mix",
    shows="another seed gives another split",
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
    shows="with nothing held out, all images are for training",
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
    the pixels of `train_images` together mean 0 and standard deviation 1.
    """
    # solution:
    train_pixels = train_images / 255
    centred = images / 255 - train_pixels.mean()
    return (centred / train_pixels.std())[:, None]
    # end solution


@standardise.drive
def standardise_twice(answer, images, train_images):
    other = train_images // 2  # another training set, and a darker one
    return {
        "result": answer(images, train_images),
        "the result for another training set": answer(images, other),
    }


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
    dark, bright = pictures(g, 1000, 40), pictures(g, 90, 256)
    return pictures(g, 2, 256), torch.cat([dark, bright])


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

    logits: (N, C), any numbers, also very large ones. labels: (N,) int64, from 0 to C - 1.
    Returns a tensor without axes: the mean over the rows of minus the log of the probability that
    softmax gives to the row's label. It can be trained on: `backward` leads from it to the logits.
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
    """Say of the loss of huge logits whether it is right, and if not, where it went."""
    if not isinstance(loss, torch.Tensor) or loss.numel() != 1:
        return form(loss)
    loss = loss.detach().double()
    if torch.allclose(loss, due, rtol=1e-7):
        return f"{due.item():g}"
    if not loss.isfinite():
        return {"nan": "NaN", "inf": "infinite"}.get(str(loss.item()), "minus infinity")
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
    logits = torch.tensor([[2.0, 0.0, -1.0], [0.5, 0.25, 0.0]], dtype=torch.float64)
    return logits, torch.tensor([0, 1])


@cross_entropy.probe
def as_many_rows_as_classes(g):
    logits = 2 * torch.rand(4, 4, generator=g, dtype=torch.float64)
    return logits, torch.tensor([2, 0, 3, 2])


@cross_entropy.probe
def sure_and_right(g):  # exp(1000) is infinite
    rows = [[1000.0, 999.0, 0.0], [-800.0, 0.0, 900.0], [-5.0, -6.0, 0.0]]
    return torch.tensor(rows, dtype=torch.float64), torch.tensor([1, 2, 2])


@cross_entropy.probe
def sure_and_wrong(g):  # exp(-1400) is 0
    logits = torch.tensor([[0.0, -1000.0, 400.0], [300.0, 1.0, 0.0]], dtype=torch.float64)
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
    why="`clamp`, a small number added before the log, or one put in the place of infinity keeps the loss finite. It also "
    "keeps it from growing: beyond the cap a worse mistake costs no more, and there is hardly a gradient to learn from.",
    next="Work with logs from the start, and nothing has to be saved.",
    link="milestone-4-loss-and-accuracy",
)
def floored(logits, labels):
    log_probabilities = logits.softmax(1).clamp(min=1e-12).log()
    picked = log_probabilities[torch.arange(len(labels)), labels]
    return -picked.mean()


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


def watch_modes(network, modes, gradients):
    """Note at every forward pass whether the network is in training mode and its result is recorded."""

    def note(module, inputs, output):
        modes.append(module.training)
        gradients.append(output.requires_grad)

    network.register_forward_hook(note)


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


@exercise(
    level="independent",
    minutes=12,
    why="eval() for the layers, no_grad() for the memory, and sums over images instead of means over batches, so that "
    "a short last batch weighs what it should.",
    hints=(
        "Two switches before the loop: one for the layers, one for the gradients. They are different things.",
        "Keep three running sums: of the losses of all images, of the right answers, and of the images seen.",
        "A batch's loss is a mean. Times the batch's size it is the sum over its images.",
    ),
)
def score(model: nn.Module, loader: DataLoader) -> tuple[float, float]:
    """Measure a network on a whole data set.

    model: (B, …) -> logits (B, C). loader: gives (images, labels) batches; the last may be short.
    Returns the mean cross-entropy over all images and the fraction of right answers, two floats.
    The network runs in eval mode, and no gradients are recorded. In which mode it is handed back is
    up to you; otherwise it stays as it is.
    """
    # solution:
    model.eval()
    total, right, seen = 0.0, 0, 0
    with torch.no_grad():
        for images, labels in loader:
            logits = model(images)
            total += F.cross_entropy(logits, labels).item() * len(labels)
            right += (logits.argmax(1) == labels).sum().item()
            seen += len(labels)
    return total / seen, right / seen
    # end solution


@score.drive
def score_and_watch(answer, model, loader):
    modes, gradients = [], []
    watch_modes(model, modes, gradients)
    before, seed = running_statistics(model), 77_003
    torch.manual_seed(seed)
    plain = nn.Linear(4, 3)
    result = answer(model, loader)
    images, labels = loader.dataset.tensors
    answer(plain, loader_of(images.float(), labels, 4))
    shape = [type(part).__name__ for part in result] if isinstance(result, tuple | list) else None
    loss, accuracy = result if shape and len(shape) == 2 else (result, None)
    return {
        "the mean loss": loss,
        "the accuracy": accuracy,
        "the network runs in eval mode": bool(modes) and not any(modes),
        "no gradients are recorded": bool(modes) and not any(gradients),
        "BatchNorm's running statistics stay": torch.equal(before, running_statistics(model)),
        "the two numbers are Python floats": all(isinstance(n, float) for n in (loss, accuracy)),
        "the weights keep their dtype": plain.weight.dtype == torch.float32,
        "the weights can still be trained": all(p.requires_grad for p in model.parameters()),
        "the shared random numbers are left alone": torch.initial_seed() == seed,
    }


def network_with_dropout(g):
    network = nn.Sequential(
        nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.4), nn.Linear(6, 3)
    )
    return fill(network.double(), g).train()


@score.probe
def a_short_last_batch(g):
    return network_with_dropout(g), random_loader(g, 10, 4)


@score.probe
def a_very_short_last_batch(g):
    return network_with_dropout(g), random_loader(g, 21, 5)


@score.probe
def batches_as_long_as_the_classes(g):  # where argmax(0) has the right shape
    return network_with_dropout(g), random_loader(g, 12, 3)


@score.alternative("`inference_mode` is a stricter `no_grad`; a sum needs no weighting.")
def with_inference_mode(model, loader):
    model.eval()
    total, right, seen = 0.0, 0, 0
    with torch.inference_mode():
        for images, labels in loader:
            logits = model(images)
            total += F.cross_entropy(logits, labels, reduction="sum").item()
            right += int((logits.argmax(dim=1) == labels).sum())
            seen += images.shape[0]
    return total / seen, right / seen


@score.alternative("Collect everything first; fine for a set that fits into memory.")
@torch.no_grad()
def all_at_once(model, loader):
    was_training = model.training
    model.eval()
    batches = [(model(images), labels) for images, labels in loader]
    model.train(was_training)
    logits = torch.cat([batch for batch, _ in batches])
    labels = torch.cat([batch for _, batch in batches])
    accuracy = (logits.argmax(1) == labels).double().mean().item()
    return F.cross_entropy(logits, labels).item(), accuracy


@score.misconception(
    title="Evaluated in training mode",
    why="Dropout goes on dropping, so the numbers change from run to run, and BatchNorm normalises by the batch and "
    "moves its running statistics: the network learns from the images it is examined on. `no_grad()` does not "
    "turn any of this off.",
    next="One call before the loop puts all layers into the other mode.",
    link="milestone-6-batchnorm-and-dropout",
    shows="the network runs in eval mode",
)
def left_in_training_mode(model, loader):
    total, right, seen = 0.0, 0, 0
    with torch.no_grad():
        for images, labels in loader:
            logits = model(images)
            total += F.cross_entropy(logits, labels).item() * len(labels)
            right += (logits.argmax(1) == labels).sum().item()
            seen += len(labels)
    return total / seen, right / seen


@score.misconception(
    title="Recorded gradients nobody needs",
    why="`eval()` changes how layers behave and leaves autograd on. Every batch builds a graph and keeps its "
    "activations: on a large network that is the memory that is missing.",
    next="Put the loop under `torch.no_grad()`.",
    link="milestone-4-loss-and-accuracy",
    shows="no gradients are recorded",
)
def with_gradients(model, loader):
    model.eval()
    total, right, seen = 0.0, 0, 0
    for images, labels in loader:
        logits = model(images)
        total += F.cross_entropy(logits, labels).item() * len(labels)
        right += (logits.argmax(1) == labels).sum().item()
        seen += len(labels)
    return total / seen, right / seen


@score.misconception(
    title="The network was frozen",
    why="`requires_grad_(False)` turns the weights themselves into constants, and they stay so. Nothing is recorded now, "
    "but the next training step on this network fails or does nothing.",
    next="Switch the recording off for these lines only: `torch.no_grad()`.",
    link="milestone-4-loss-and-accuracy",
    shows="the weights can still be trained",
)
def froze_the_network(model, loader):
    model.eval()
    model.requires_grad_(False)
    total, right, seen = 0.0, 0, 0
    for images, labels in loader:
        logits = model(images)
        total += F.cross_entropy(logits, labels).item() * len(labels)
        right += (logits.argmax(1) == labels).sum().item()
        seen += len(labels)
    return total / seen, right / seen


@score.misconception(
    title="The network was left in another dtype",
    why="`model.double()` changes the network in place, and it stays changed. The next float32 batch meets float64 weights, "
    "and the error names two dtypes.",
    next="Leave the network as it is, or convert the logits.",
    link="milestone-4-loss-and-accuracy",
    shows="the weights keep their dtype",
)
def left_in_double(model, loader):
    model.eval().double()
    total, right, seen = 0.0, 0, 0
    with torch.no_grad():
        for images, labels in loader:
            logits = model(images.double())
            total += F.cross_entropy(logits, labels).item() * len(labels)
            right += (logits.argmax(1) == labels).sum().item()
            seen += len(labels)
    return total / seen, right / seen


@score.misconception(
    title="Tensors instead of numbers",
    why="The sums are still tensors, and so are the two results: whoever collects one for every epoch collects tensors, "
    "on a GPU in the GPU's memory.",
    next="`.item()` takes the number out of a tensor.",
    link="milestone-4-loss-and-accuracy",
    shows="the two numbers are Python floats",
)
def left_as_tensors(model, loader):
    model.eval()
    total, right, seen = 0.0, 0, 0
    with torch.no_grad():
        for images, labels in loader:
            logits = model(images)
            total += F.cross_entropy(logits, labels) * len(labels)
            right += (logits.argmax(1) == labels).sum()
            seen += len(labels)
    return total / seen, right / seen


@score.misconception(
    title="NumPy's single precision instead of floats",
    why="`np.float32` prints like a float and is none: it keeps seven digits, and `json`, for one, refuses it.",
    next="`float(…)` or `.item()` gives a Python float.",
    link="milestone-4-loss-and-accuracy",
    shows="the two numbers are Python floats",
)
def numpys_float32(model, loader):
    model.eval()
    total, right, seen = 0.0, 0, 0
    with torch.no_grad():
        for images, labels in loader:
            logits = model(images)
            total += F.cross_entropy(logits, labels).item() * len(labels)
            right += (logits.argmax(1) == labels).sum().item()
            seen += len(labels)
    return np.float32(total / seen), np.float32(right / seen)


@score.misconception(
    title="Means of batches, divided by the number of images",
    why="A batch's loss is already divided by the batch's size. Summed up and divided by the number of images, it is "
    "divided twice, and comes out too small by about the batch's size.",
    next="Make a sum over images of each batch's loss, before you add it.",
    link="milestone-4-loss-and-accuracy",
)
def divided_twice(model, loader):
    model.eval()
    total, right, seen = 0.0, 0, 0
    with torch.no_grad():
        for images, labels in loader:
            logits = model(images)
            total += F.cross_entropy(logits, labels).item()
            right += (logits.argmax(1) == labels).sum().item()
            seen += len(labels)
    return total / seen, right / seen


@score.misconception(
    title="Nothing is returned",
    why="Both numbers are computed and then forgotten: without `return` a function gives None.",
    next="Return the two numbers, the loss first.",
    link="milestone-4-loss-and-accuracy",
)
def returned_no_score(model, loader):
    model.eval()
    total, right, seen = 0.0, 0, 0
    with torch.no_grad():
        for images, labels in loader:
            logits = model(images)
            total += F.cross_entropy(logits, labels).item() * len(labels)
            right += (logits.argmax(1) == labels).sum().item()
            seen += len(labels)


@score.misconception(
    title="Seeded the random numbers that all code shares",
    why="An evaluation in eval mode draws nothing, so it needs no seed. Set after every epoch, `manual_seed` makes "
    "each epoch shuffle and drop out in the same way as the one before.",
    next="Leave the seed to whoever starts the training.",
    link="milestone-4-loss-and-accuracy",
    shows="the shared random numbers are left alone",
)
def seeded_for_everybody(model, loader):
    torch.manual_seed(0)
    model.eval()
    total, right, seen = 0.0, 0, 0
    with torch.no_grad():
        for images, labels in loader:
            logits = model(images)
            total += F.cross_entropy(logits, labels).item() * len(labels)
            right += (logits.argmax(1) == labels).sum().item()
            seen += len(labels)
    return total / seen, right / seen


@score.misconception(
    title="Neither eval mode nor no_grad",
    why="Dropout and BatchNorm behave as in training, and a graph is recorded for every batch. These are two "
    "switches, and neither does the other's work.",
    next="Set both before the loop: the layers' mode, and gradients off.",
    link="milestone-4-loss-and-accuracy",
    shows="the network runs in eval mode",
)
def as_in_training(model, loader):
    total, right, seen = 0.0, 0, 0
    for images, labels in loader:
        logits = model(images)
        total += F.cross_entropy(logits, labels).item() * len(labels)
        right += (logits.argmax(1) == labels).sum().item()
        seen += len(labels)
    return total / seen, right / seen


@score.misconception(
    title="The mean of the batches' losses",
    why="Each batch's loss counts the same, also the short last one. Its few images then weigh more than the others.",
    next="Multiply each batch's loss by its size, and divide by the number of images in the end.",
    link="milestone-4-loss-and-accuracy",
)
def mean_of_batch_losses(model, loader):
    model.eval()
    total, right, seen = 0.0, 0, 0
    with torch.no_grad():
        for images, labels in loader:
            logits = model(images)
            total += F.cross_entropy(logits, labels).item()
            right += (logits.argmax(1) == labels).sum().item()
            seen += len(labels)
    return total / len(loader), right / seen


@score.misconception(
    title="The mean of the batches' accuracies",
    why="Each batch's accuracy counts the same, also the short last one. Its few images then weigh more than the others.",
    next="Count the right answers, and divide once, by the number of images.",
    link="milestone-4-loss-and-accuracy",
)
def mean_of_batch_accuracies(model, loader):
    model.eval()
    total, right, seen = 0.0, 0.0, 0
    with torch.no_grad():
        for images, labels in loader:
            logits = model(images)
            total += F.cross_entropy(logits, labels).item() * len(labels)
            right += (logits.argmax(1) == labels).double().mean().item()
            seen += len(labels)
    return total / seen, right / len(loader)


@score.misconception(
    title="The means of the batches' means",
    why="Each batch counts the same in both numbers, also the short last one. Its few images then weigh more than "
    "the others.",
    next="Sum over images, and divide once, by the number of images.",
    link="milestone-4-loss-and-accuracy",
)
def means_of_batch_means(model, loader):
    model.eval()
    total, right = 0.0, 0.0
    with torch.no_grad():
        for images, labels in loader:
            logits = model(images)
            total += F.cross_entropy(logits, labels).item()
            right += (logits.argmax(1) == labels).double().mean().item()
    return total / len(loader), right / len(loader)


@score.misconception(
    title="Accuracy in per cent",
    why="100 times too large: a fraction from 0 to 1 is due.",
    next="Leave out the 100, and multiply when you print.",
    link="milestone-4-loss-and-accuracy",
)
def in_per_cent(model, loader):
    model.eval()
    total, right, seen = 0.0, 0, 0
    with torch.no_grad():
        for images, labels in loader:
            logits = model(images)
            total += F.cross_entropy(logits, labels).item() * len(labels)
            right += (logits.argmax(1) == labels).sum().item()
            seen += len(labels)
    return total / seen, 100 * right / seen


@score.misconception(
    title="Counted the right answers and did not divide",
    why="The count depends on the size of the set. A fraction does not.",
    next="Divide by the number of images.",
    link="milestone-4-loss-and-accuracy",
)
def counted_only(model, loader):
    model.eval()
    total, right, seen = 0.0, 0, 0
    with torch.no_grad():
        for images, labels in loader:
            logits = model(images)
            total += F.cross_entropy(logits, labels).item() * len(labels)
            right += (logits.argmax(1) == labels).sum().item()
            seen += len(labels)
    return total / seen, right


@score.misconception(
    title="Accuracy before loss",
    why="Both numbers are right and stand in the wrong order. Whoever unpacks them reads a loss of 0.98 as success.",
    next="The order asks for the loss first.",
    link="milestone-4-loss-and-accuracy",
)
def accuracy_first(model, loader):
    model.eval()
    total, right, seen = 0.0, 0, 0
    with torch.no_grad():
        for images, labels in loader:
            logits = model(images)
            total += F.cross_entropy(logits, labels).item() * len(labels)
            right += (logits.argmax(1) == labels).sum().item()
            seen += len(labels)
    return right / seen, total / seen


@score.misconception(
    title="Softmax before cross-entropy",
    why="`F.cross_entropy` applies log-softmax itself. The accuracy does not change, because softmax keeps the order, "
    "but the loss is another one.",
    next="Give the loss the logits.",
    link="milestone-4-loss-and-accuracy",
)
def loss_of_probabilities(model, loader):
    model.eval()
    total, right, seen = 0.0, 0, 0
    with torch.no_grad():
        for images, labels in loader:
            logits = model(images).softmax(1)
            total += F.cross_entropy(logits, labels).item() * len(labels)
            right += (logits.argmax(1) == labels).sum().item()
            seen += len(labels)
    return total / seen, right / seen


@score.misconception(
    title="A column against a row",
    why="With `keepdim=True` the answers are (B, 1), and (B, 1) against (B,) broadcasts to (B, B): every answer is "
    "compared with every label. The accuracy can exceed 1.",
    next="Print the shapes on both sides of `==`.",
    link="milestone-4-loss-and-accuracy",
)
def column_against_row(model, loader):
    model.eval()
    total, right, seen = 0.0, 0, 0
    with torch.no_grad():
        for images, labels in loader:
            logits = model(images)
            total += F.cross_entropy(logits, labels).item() * len(labels)
            right += (logits.argmax(1, keepdim=True) == labels).sum().item()
            seen += len(labels)
    return total / seen, right / seen


@score.misconception(
    title="Only the last batch",
    why="The numbers are computed after the loop, where `logits` and `labels` are those of the last batch. The rest of "
    "the set was run for nothing.",
    next="Add up inside the loop.",
    link="milestone-4-loss-and-accuracy",
)
def last_batch_only(model, loader):
    model.eval()
    with torch.no_grad():
        for images, labels in loader:
            logits = model(images)
            right = (logits.argmax(1) == labels).double().mean().item()
        loss = F.cross_entropy(logits, labels).item()
    return loss, right


# The training loop --------------------------------------------------------------------------------


@exercise(
    level="supported",
    minutes=10,
    why="Training mode first; then, for every batch, forward, loss, clear, backward, step, and the schedule's step.",
    hints=(
        "The five lines of a training step stand in the cell that overfits one batch. What comes around them?",
        "Before the loop: the network's mode, and two sums. After each optimizer step: the schedule's step.",
        "The mean loss over all images: each batch's loss times its size, divided in the end by the number of images.",
    ),
)
def train_one_epoch(model: nn.Module, train_loader: DataLoader, optimizer, schedule) -> float:
    """Train a network on every batch once.

    model: (B, …) -> logits (B, C), in whatever mode. train_loader: gives (images, labels) batches.
    optimizer: has the model's parameters. schedule: a learning rate schedule whose `step()` is
    called after every batch. Every step follows the mean cross-entropy of its batch.
    Returns the mean cross-entropy over all the images of the epoch, as a float, each image's loss
    as it was when its batch came.
    """
    # solution:
    model.train()
    total, seen = 0.0, 0
    # end solution
    for images, labels in train_loader:
        # solution:
        loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        total += loss.item() * len(images)
        seen += len(images)
        # end solution
    # solution:
    return total / seen
    # end solution


@train_one_epoch.drive
def train_and_watch(answer, model, train_loader, optimizer, schedule):
    modes, gradients, steps = [], [], []
    watch_modes(model, modes, gradients)
    optimizer.register_step_post_hook(lambda *_: steps.append(1))
    model.eval()
    result = answer(model, train_loader, optimizer, schedule)
    return {
        "the network is in training mode for every batch": bool(modes) and all(modes),
        "how often the optimizer stepped": len(steps),
        "the weights afterwards": weights_of(model),
        "BatchNorm's running statistics afterwards": running_statistics(model),
        "the learning rate afterwards": optimizer.param_groups[0]["lr"],
        "the mean loss": result,
    }


def network_with_norm(g):
    network = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3))
    return fill(network.double(), g)


def falling(optimizer):
    return LambdaLR(optimizer, lambda step: 0.8**step)


@train_one_epoch.probe
def three_batches(g):
    model, loader = network_with_norm(g), random_loader(g, 10, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    return model, loader, optimizer, falling(optimizer)


@train_one_epoch.probe
def with_momentum(g):
    model, loader = network_with_norm(g), random_loader(g, 17, 5)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.9)
    return model, loader, optimizer, falling(optimizer)


@train_one_epoch.probe
def with_adamw(g):
    model, loader = network_with_norm(g), random_loader(g, 14, 4, classes=2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    return model, loader, optimizer, falling(optimizer)


@train_one_epoch.alternative(
    "Clearing first is as good: the gradients are only needed from backward to step."
)
def cleared_first(model, train_loader, optimizer, schedule):
    loss_fn = nn.CrossEntropyLoss()
    losses = []
    model.train()
    for images, labels in train_loader:
        optimizer.zero_grad()
        loss = loss_fn(model(images), labels)
        loss.backward()
        optimizer.step()
        schedule.step()
        losses += [loss.item()] * len(labels)
    return sum(losses) / len(losses)


@train_one_epoch.alternative(
    "So is clearing last. And cross-entropy of log-probabilities is the same loss."
)
def cleared_last(model, train_loader, optimizer, schedule):
    model.train()
    total = 0.0
    for images, labels in train_loader:
        loss = F.cross_entropy(model(images).log_softmax(1), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        total += loss.item() * images.shape[0]
    return total / len(train_loader.dataset)


@train_one_epoch.misconception(
    title="The gradients were never cleared",
    why="`backward` adds to what is in `.grad`. Without clearing, each step follows the sum of all gradients so far, "
    "like a momentum that never fades. The loss may still go down for a while.",
    next="Clear the gradients once per batch.",
    link="milestone-5-the-training-loop",
    shows="the weights afterwards",
)
def never_cleared(model, train_loader, optimizer, schedule):
    model.train()
    total, seen = 0.0, 0
    for images, labels in train_loader:
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        schedule.step()
        total += loss.item() * len(images)
        seen += len(images)
    return total / seen


@train_one_epoch.misconception(
    title="Cleared the gradients between backward and step",
    why="`backward` has computed them, `zero_grad` throws them away, and `step` finds nothing to do. The network never "
    "learns, and no error tells you.",
    next="Between backward and step the gradients must stay.",
    link="milestone-5-the-training-loop",
    shows="the weights afterwards",
)
def cleared_too_late(model, train_loader, optimizer, schedule):
    model.train()
    total, seen = 0.0, 0
    for images, labels in train_loader:
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.zero_grad()
        optimizer.step()
        schedule.step()
        total += loss.item() * len(images)
        seen += len(images)
    return total / seen


@train_one_epoch.misconception(
    title="Stepped before backward",
    why="The step uses whatever gradients are there: none at first, then those of the batch before. Each batch moves "
    "the weights one batch too late.",
    next="First the gradients, then the step.",
    link="milestone-5-the-training-loop",
    shows="the weights afterwards",
)
def stepped_too_early(model, train_loader, optimizer, schedule):
    model.train()
    total, seen = 0.0, 0
    for images, labels in train_loader:
        loss = F.cross_entropy(model(images), labels)
        optimizer.step()
        optimizer.zero_grad()
        loss.backward()
        schedule.step()
        total += loss.item() * len(images)
        seen += len(images)
    return total / seen


@train_one_epoch.misconception(
    title="The optimizer never stepped",
    why="`backward` only computes gradients. The weights move when the optimizer's `step` is called, and it is not.",
    next="After backward, let the optimizer take its step.",
    link="milestone-5-the-training-loop",
)
def never_stepped(model, train_loader, optimizer, schedule):
    model.train()
    total, seen = 0.0, 0
    for images, labels in train_loader:
        loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        schedule.step()
        total += loss.item() * len(images)
        seen += len(images)
    return total / seen


@train_one_epoch.misconception(
    title="Trained in the mode it was found in",
    why="After an evaluation the network is in eval mode: dropout is off, and BatchNorm uses its running statistics "
    "instead of the batch's and stops gathering them. Training goes on without either.",
    next="Before the loop, say which mode it is.",
    link="milestone-6-batchnorm-and-dropout",
)
def never_said_train(model, train_loader, optimizer, schedule):
    total, seen = 0.0, 0
    for images, labels in train_loader:
        loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        total += loss.item() * len(images)
        seen += len(images)
    return total / seen


@train_one_epoch.misconception(
    title="Softmax before cross-entropy",
    why="`F.cross_entropy` applies log-softmax itself. A second softmax squeezes the logits into 0…1: with ten classes "
    "the loss cannot fall below 1.46, and the gradients are small.",
    next="Give the loss the logits.",
    link="milestone-4-loss-and-accuracy",
    shows="the mean loss",
)
def softmax_first(model, train_loader, optimizer, schedule):
    model.train()
    total, seen = 0.0, 0
    for images, labels in train_loader:
        loss = F.cross_entropy(model(images).softmax(1), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        total += loss.item() * len(images)
        seen += len(images)
    return total / seen


@train_one_epoch.misconception(
    title="The mean of the batches' losses",
    why="Each batch's loss counts the same, also that of the short last batch. Its few images then weigh more than "
    "the others.",
    next="Weight each batch's loss by the number of its images.",
    link="milestone-4-loss-and-accuracy",
)
def unweighted_mean(model, train_loader, optimizer, schedule):
    model.train()
    total, seen = 0.0, 0
    for images, labels in train_loader:
        loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        total += loss.item()
        seen += 1
    return total / seen


@train_one_epoch.misconception(
    title="The loss of the last batch",
    why="One batch is a noisy sample, and the last one may be short. The mean over the epoch is due.",
    next="Add up inside the loop, divide after it.",
    link="milestone-5-the-training-loop",
)
def last_loss(model, train_loader, optimizer, schedule):
    model.train()
    for images, labels in train_loader:
        loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return loss.item()


@train_one_epoch.misconception(
    title="Summed tensors that remember their graph",
    why="`total += loss` adds a tensor that autograd recorded, and the sum holds on to the graph of every batch. Memory "
    "grows with each step.",
    next="`.item()` takes the number out of the loss.",
    link="milestone-5-the-training-loop",
)
def kept_the_graphs(model, train_loader, optimizer, schedule):
    model.train()
    total, seen = 0.0, 0
    for images, labels in train_loader:
        loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        total += loss * len(images)
        seen += len(images)
    return total / seen


@train_one_epoch.misconception(
    title="A tensor instead of a number",
    why="The mean is right, and detached from its graph, but it is still a tensor. Whoever collects one for every epoch "
    "collects tensors, on a GPU in the GPU's memory.",
    next="`.item()` takes the number out of the loss.",
    link="milestone-5-the-training-loop",
)
def left_as_a_tensor(model, train_loader, optimizer, schedule):
    model.train()
    total, seen = 0.0, 0
    for images, labels in train_loader:
        loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        total += loss.detach() * len(images)
        seen += len(images)
    return total / seen


@train_one_epoch.misconception(
    title="Means of batches, divided by the number of images",
    why="A batch's loss is already divided by the batch's size. Summed up and divided by the number of images, it is "
    "divided twice, and comes out too small by about the batch's size.",
    next="Make a sum over images of each batch's loss, before you add it.",
    link="milestone-4-loss-and-accuracy",
    shows="the mean loss",
)
def mean_divided_twice(model, train_loader, optimizer, schedule):
    model.train()
    total, seen = 0.0, 0
    for images, labels in train_loader:
        loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        total += loss.item()
        seen += len(images)
    return total / seen


@train_one_epoch.misconception(
    title="Stepped along the sum of the batch's losses",
    why="The gradient of a sum is as many times longer as there are images in the batch. The learning rate was chosen for "
    "the mean, and a short last batch now counts less than a full one.",
    next="Go backward from the mean, and weight it by the batch's size only for the report.",
    link="milestone-5-the-training-loop",
    shows="the weights afterwards",
)
def stepped_on_the_sum(model, train_loader, optimizer, schedule):
    model.train()
    total, seen = 0.0, 0
    for images, labels in train_loader:
        loss = F.cross_entropy(model(images), labels, reduction="sum")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        total += loss.item()
        seen += len(images)
    return total / seen


@train_one_epoch.misconception(
    title="The schedule stepped before the optimizer",
    why="The schedule's step sets the rate for the *next* batch. Called first, it takes away the first rate of the plan "
    "before anything was trained with it, and every batch runs one rate ahead. PyTorch warns of it.",
    next="First the optimizer's step, then the schedule's.",
    link="milestone-5-the-training-loop",
    shows="the weights afterwards",
)
def schedule_first(model, train_loader, optimizer, schedule):
    model.train()
    total, seen = 0.0, 0
    for images, labels in train_loader:
        loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        schedule.step()
        optimizer.step()
        total += loss.item() * len(images)
        seen += len(images)
    return total / seen


@train_one_epoch.misconception(
    title="Nothing is returned",
    why="The network is trained, and the mean loss is forgotten: without `return` a function gives None.",
    next="Return the mean loss, after the loop.",
    link="milestone-5-the-training-loop",
    shows="the mean loss",
)
def returned_no_mean(model, train_loader, optimizer, schedule):
    model.train()
    total, seen = 0.0, 0
    for images, labels in train_loader:
        loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        total += loss.item() * len(images)
        seen += len(images)


@train_one_epoch.misconception(
    title="Returned after the first batch",
    why="The `return` stands inside the loop, so the function ends with the first batch and the rest of the epoch never "
    "happens.",
    next="Move the `return` out of the loop.",
    link="milestone-5-the-training-loop",
    shows="how often the optimizer stepped",
)
def one_batch_only(model, train_loader, optimizer, schedule):
    model.train()
    total, seen = 0.0, 0
    for images, labels in train_loader:
        loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        total += loss.item() * len(images)
        seen += len(images)
        return total / seen
    return None


@train_one_epoch.misconception(
    title="The schedule stepped once per epoch",
    why="This schedule was planned in batches. Stepped once per epoch it hardly moves: the learning rate never comes "
    "down.",
    next="The order says: after every batch.",
    link="milestone-5-the-training-loop",
    shows="the learning rate afterwards",
)
def schedule_per_epoch(model, train_loader, optimizer, schedule):
    model.train()
    total, seen = 0.0, 0
    for images, labels in train_loader:
        loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(images)
        seen += len(images)
    schedule.step()
    return total / seen


@train_one_epoch.misconception(
    title="The schedule never stepped",
    why="A schedule changes the learning rate only when its `step` is called. Until then every batch is trained with "
    "the rate of the very first.",
    next="After the optimizer's step comes the schedule's.",
    link="milestone-5-the-training-loop",
    shows="the learning rate afterwards",
)
def schedule_forgotten(model, train_loader, optimizer, schedule):
    model.train()
    total, seen = 0.0, 0
    for images, labels in train_loader:
        loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(images)
        seen += len(images)
    return total / seen


# The network --------------------------------------------------------------------------------------


class Recorder(TorchFunctionMode):
    """Write down, in order, the layers' work that happens inside, whoever calls it and how.

    What is no function of PyTorch's, such as a ReLU or a dropout by hand, is read off the numbers before
    and after it.
    """

    NAMES = {  # noqa: RUF012
        "linear": "linear", "matmul": "linear", "__matmul__": "linear", "mm": "linear",
        "batch_norm": "batch norm", "layer_norm": "layer norm",
        "sigmoid": "sigmoid", "tanh": "tanh", "gelu": "GELU", "leaky_relu": "leaky ReLU",
        "softmax": "softmax", "log_softmax": "log-softmax",
    }  # fmt: skip
    ADDING = ("add", "add_", "__add__", "__radd__", "__iadd__")

    def __init__(self, images):
        super().__init__()
        self.steps, self.norms, self.last = [], [], images

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = getattr(function, "__name__", "")
        step = _dropout(*args, **kwargs) if name == "dropout" else self.NAMES.get(name)
        given = args[0] if args else kwargs.get("input")
        given = given.detach().clone() if step else given  # it may be changed in place
        result = function(*args, **kwargs)
        if step:
            self.steps += [*between(self.last, given), step]
            self.last = result.detach().clone()
        elif name in self.ADDING and any(isinstance(part, nn.Parameter) for part in args):
            self.last = result.detach().clone()  # a bias belongs to the linear step before it
        if name == "batch_norm":
            self.norms.append(args[3] if len(args) > 3 else kwargs.get("weight"))
        return result


def _dropout(input, p=0.5, training=True, inplace=False, train=True):
    """Name a call of dropout; None if it drops nothing."""
    return f"dropout {p:g}" if training and train else None


def between(before, after):
    """Tell from the numbers what happened between two recorded steps."""
    if not isinstance(after, torch.Tensor) or before.numel() != after.numel():
        return ["another shape"]
    before, after = before.flatten().double(), after.detach().flatten().double()
    if torch.equal(before, after):
        return []
    steps = [] if (after < 0).any() else ["ReLU"]
    whole = before.clamp(min=0) if steps else before
    if torch.allclose(whole, after):
        return steps
    ratio = (after / whole)[after != 0]
    if len(ratio) and ratio[0] > 1 and torch.allclose(ratio, ratio[0]):
        return [*steps, f"dropout {1 - 1 / ratio[0].item():.4g}"]
    return ["something else"]


def record(network, images):
    """Run a network; returns what comes back, and a recorder of the steps to it."""
    with Recorder(images) as recorder:
        result = network(images)
    recorder.steps += between(recorder.last, result)
    return result, recorder


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
    There are two hidden blocks of `hidden` units each. A block is nn.Linear, then nn.BatchNorm1d if
    `batch_norm` is true, then ReLU, then dropout with probability `dropout`. After the blocks comes
    one more nn.Linear and nothing else: the network returns logits.
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
    logits, steps = record(network, given)
    plain = answer(hidden, batch_norm=False, dropout=dropout)
    _, plain_steps = record(plain, given)
    if not isinstance(logits, torch.Tensor):
        return {"what comes back": form(logits)}
    with suppress(ValueError):  # a BatchNorm that should not be there
        plain(given[:1])
    another = answer(hidden, True, dropout)
    another(given)
    pairs = zip(network.parameters(), another.parameters(), strict=True)
    same_start = all(torch.equal(one, other) for one, other in pairs)
    network.eval()
    evaluated, eval_steps = record(network, given)
    alone = logits_of_one(network, given)
    known = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    return {
        "what comes back": form(logits),
        "the shape of the logits": logits.shape,
        "the steps from image to logits": ", ".join(steps.steps),
        "the steps without BatchNorm": ", ".join(plain_steps.steps),
        "the steps in eval mode": ", ".join(eval_steps.steps),
        "the number of BatchNorm layers that are used": len({id(norm) for norm in steps.norms}),
        "the number of BatchNorm layers that the network knows of": len(known),
        "the number of parameters": count_parameters(network, hidden, len(known)),
        "the number of parameters without BatchNorm": count_parameters(plain, hidden, 0),
        "in eval mode the same images give the same logits": torch.equal(evaluated, network(given)),
        "the logits of one image in eval mode": alone if isinstance(alone, str) else alone.shape,
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
            layers += [nn.ReLU(inplace=True), nn.Dropout(dropout, inplace=True)]
        self.layers = nn.Sequential(*layers, nn.Linear(hidden, 10))

    def forward(self, images):
        return self.layers(images)


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
    shows="the logits of one image in eval mode",
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
    shows="the number of BatchNorm layers that the network knows of",
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


@DigitNet.misconception(
    title="A BatchNorm that the network does not know of",
    why="A module finds its layers among its attributes, and does not look into a plain dict or list. The BatchNorm in there "
    "works, but the optimizer does not train it, and `eval()` does not reach it.",
    next="Make it an attribute, or use nn.ModuleDict or nn.ModuleList.",
    link="milestone-6-batchnorm-and-dropout",
    shows="the number of BatchNorm layers that the network knows of",
)
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
    title="A block at the end, too",
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
    shows="the number of parameters",
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
    shows="the number of BatchNorm layers that are used",
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
    title="Dropout at its default rate",
    why="`nn.Dropout()` drops one half, whatever `dropout` says. The argument changes nothing.",
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
    training mode. Validation batches go through it in eval mode, and without gradients.
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

    def note(module, inputs):
        batch = training if tuple(inputs[0][0].tolist()) in known else validating
        batch.append(([layer.training for layer in module.modules()], torch.is_grad_enabled()))

    model.register_forward_pre_hook(note)
    accuracies = answer(model, train_loader, validation_loader, optimizer, epochs)
    if not validating:
        return {"the validation images are looked at": False}
    per_epoch = len(train_loader)
    return {
        "the validation images are looked at": True,
        "training batches in training mode, in epoch 1": which_layers(training[:per_epoch]),
        "training batches in training mode, after epoch 1": which_layers(training[per_epoch:]),
        "validation batches in training mode": which_layers(validating),
        "validation without gradients": not any(g for _, g in validating),
        "the accuracies": accuracies,
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
    drop = nn.Dropout(0.0)  # it has a mode, and its draws change nothing
    model = nn.Sequential(*network_with_norm(g), drop).eval()
    loaders = random_loader(g, train, 4), random_loader(g, validation, 5)
    return model, *loaders, torch.optim.SGD(model.parameters(), lr=0.3), epochs


@fit_and_score.probe
def two_epochs(g):
    return clinic_inputs(g, 10, 7, 2)


@fit_and_score.probe
def three_epochs(g):
    return clinic_inputs(g, 12, 13, 3)


@fit_and_score.probe
def four_epochs(g):
    return clinic_inputs(g, 8, 11, 4)


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


@fit_and_score.misconception(
    title="From the second epoch on it trains in eval mode",
    why="`model.train()` is called once, before the loop. The first evaluation switches to eval mode, and nobody switches "
    "back: from then on dropout does nothing, and BatchNorm no longer looks at its batches.",
    next="Print `model.training` at the start of every epoch.",
    link="bug-clinic",
    shows="training batches in training mode, after epoch 1",
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
    shows="training batches in training mode, in epoch 1",
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
    title="Switched back too late",
    why="`model.train()` now stands behind the loop over the epochs: it runs once, when everything is over.",
    next="It has to run in every epoch, before the training batches.",
    link="bug-clinic",
    shows="training batches in training mode, after epoch 1",
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
    shows="training batches in training mode, after epoch 1",
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
    Returns the trained network in eval mode: (B, 1, 28, 28) -> logits (B, 10). While it trains, a
    progress bar moves. The network, the epochs and everything else are your choice. It may call
    functions and classes of yours, and it reads no data but its arguments.
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
        return {"the test set is left alone": True, "the batches mix the digits": False}
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
        "the shape of the logits of 100 images": logits.shape,
        "the result is no probabilities": not add_up_to_one(logits),
        "the network comes back in eval mode": not was_training,
        "gradients are cleared between steps": watch.cleared,
        "it tells 7 of 10 new pictures apart": right >= 0.7 or not enough,
        "a progress bar moves": shown(),
        "the images and labels are left as they were": kept,
        "the test set is left alone": True,
        "the batches mix the digits": True,
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
    shows="it tells 7 of 10 new pictures apart",
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
    "why": "The images may come sorted by digit, as they do here: then a batch holds one or two digits, and each pulls the "
    "network towards its own. After all 60,000 of them in order it has forgotten all but the last. MNIST's own file is "
    "in random order, which hides it.",
    "next": "Draw a new random order of all the images for every epoch.",
    "link": "milestone-5-the-training-loop",
    "shows": "the batches mix the digits",
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
    why="The order asks for a progress bar. Training takes long enough to make one wonder, and without a sign of life nobody "
    "can tell a slow training from one that hangs.",
    next="Wrap the loop over the epochs in `tqdm`.",
    link="milestone-5-the-training-loop",
    shows="a progress bar moves",
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
    _, accuracy = score.reference(network, loader_of(images, test_labels, 1000))
    told = (
        f"Trained on 60,000 images in {seconds:.0f} seconds, your network reads "
        f"{100 * accuracy:.2f} % of the 10,000 test images. 98 % are due."
    )
    if accuracy < 0.5:
        told += " The training images came sorted by digit: does every epoch shuffle them?"
    return accuracy >= 0.98, told
