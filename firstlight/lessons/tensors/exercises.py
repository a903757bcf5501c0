"""What the student writes in lesson 1, Tensors, and every known way to get it wrong."""

import math
import random
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from firstlight.checking import Extra, exercise

# From array to tensor ---------------------------------------------------------------------------


@exercise(
    level="guided",
    minutes=5,
    why="`torch.tensor` always copies, and `dtype=` decides the precision in the same step.",
    hints=(
        "Two things are asked for: the dtype, and memory of its own. Which of the ways to make a "
        "tensor from an array copies?",
        "`torch.from_numpy` shares the array's memory. `torch.tensor` copies it.",
        "`torch.tensor` takes a `dtype` argument.",
    ),
)
def to_float_tensor(table: np.ndarray) -> torch.Tensor:
    """Turn a NumPy array of numbers into a tensor that a model can use.

    table: an array with one axis or more, of int64, float32 or float64.
    Returns a float32 tensor of the same shape with memory of its own: changing `table`
    afterwards must not change the tensor.
    """
    # solution:
    return torch.tensor(table, dtype=torch.float32)
    # end solution


@to_float_tensor.drive
def convert_then_edit(answer, table):
    tensor = answer(table)
    if not isinstance(tensor, torch.Tensor):
        return {"result": tensor}
    before = tensor.clone()
    table += 100
    unchanged = torch.equal(before, tensor)
    answer(table)
    kept = not unchanged or torch.equal(before, tensor)
    table -= 100
    return {
        "result": before,
        "the tensor stays the same when `table` is edited": unchanged,
        "the tensor stays the same when the function is called again": kept,
    }


@to_float_tensor.probe
def three_measurements(g):
    return (torch.randn(3, generator=g).numpy().astype(np.float64),)


@to_float_tensor.probe
def a_table_of_float32(g):  # where sharing is easy to miss
    return (torch.randn(2, 3, generator=g).numpy(),)


@to_float_tensor.probe
def whole_numbers(g):
    return (torch.randint(0, 50, (2, 5), generator=g).numpy(),)


@to_float_tensor.probe
def float32_images_turned_around(g):  # three axes, and memory that is not in reading order
    return (torch.randn(2, 3, 4, generator=g).numpy().transpose(2, 0, 1),)


@to_float_tensor.probe
def one_column(g):
    return (torch.randn(5, 1, generator=g, dtype=torch.float64).numpy(),)


@to_float_tensor.probe
def large_whole_numbers_turned_around(g):  # beyond int32, and column by column in memory
    return (torch.randint(-(2**40), 2**40, (3, 2), generator=g).numpy().T,)


@to_float_tensor.alternative("`from_numpy` shares, `.float()` may share; `.clone()` settles it.")
def shared_then_cloned(table):
    return torch.from_numpy(table).float().clone()


@to_float_tensor.alternative(
    "NumPy can make the float32 copy, too; sharing *that* copy is harmless."
)
def copied_by_numpy(table):
    return torch.from_numpy(table.astype(np.float32))


@to_float_tensor.misconception(
    title="The array's own dtype came along",
    why="`torch.from_numpy` keeps the array's dtype: NumPy's usual float64 stays float64, and whole "
    "numbers stay integers. Layers hold float32, and mixing the two raises an error later. The memory "
    "is still the array's, too.",
    next="Ask for float32, and for a copy.",
    link="arrays-and-tensors-can-share-memory",
)
def shared_as_is(table):
    return torch.from_numpy(table)


@to_float_tensor.misconception(
    title="The array's own dtype came along, in a copy",
    why="The numbers were copied, and their dtype with them. NumPy's is float64 unless somebody asked for less. "
    "Layers hold float32, and mixing the two raises an error later.",
    next="Ask for float32.",
    link="arrays-and-tensors-can-share-memory",
)
def copied_as_is(table):
    return torch.tensor(table)


@to_float_tensor.misconception(
    title="Everything became float64",
    why="`double` is another name for float64, and so is `float` as a dtype: that is Python's float. Layers hold "
    "float32, and mixing the two raises an error later.",
    next="PyTorch's name for the dtype says its number of bits.",
    link="dtypes-decide-what-arithmetic-means",
)
def pythons_float(table):
    return torch.tensor(table, dtype=float)


STILL_SHARED: dict[str, Any] = dict(
    title="The tensor still shares the array's memory",
    why="A change of dtype makes a new tensor only if there is something to change, and putting numbers in order copies only what is out of "
    "order. An array that is float32 already comes through untouched, and array and tensor stay two names for the same memory. "
    "That works until somebody edits the array.",
    next="Make a copy whatever comes in.",
    link="arrays-and-tensors-can-share-memory",
    shows="the tensor stays the same when `table` is edited",
)


@to_float_tensor.misconception(**STILL_SHARED)
def shared_if_already_float(table):
    return torch.from_numpy(table).float()


@to_float_tensor.misconception(**STILL_SHARED)
def shared_if_in_order(table):
    return torch.from_numpy(np.ascontiguousarray(table, dtype=np.float32))


@to_float_tensor.misconception(
    title="The numbers were cut to integers",
    why="An integer dtype drops everything after the point: 0.7 becomes 0, without a word. What is lost there does "
    "not come back when you turn the integers into floats.",
    next="Which dtype holds fractions?",
    link="what-a-tensor-is",
)
def cut_to_integers(table):
    return torch.tensor(table).long()


@to_float_tensor.misconception(
    title="It is still a NumPy array",
    why="`astype` changes the numbers' type and returns another array. A tensor is a different kind of "
    "object: only it can move to a GPU and carry gradients.",
    next="The dtype is right. Now make a tensor of it.",
    link="what-a-tensor-is",
)
def still_an_array(table):
    return table.astype(np.float32)


LOST_AXIS: dict[str, Any] = dict(
    title="An axis of length 1 got lost",
    why="`squeeze()` takes away *every* axis of length 1. A table with a single column becomes a row of numbers, and a batch with "
    "a single image loses its batch axis. Whoever counts on the shape that went in finds another.",
    next="The result has the shape that went in. Leave the axes alone.",
    link="reshape-view-permute",
)


@to_float_tensor.misconception(**LOST_AXIS)
def squeezed_the_column(table):
    return torch.tensor(table.squeeze(), dtype=torch.float32)


# Bytes that overflow ------------------------------------------------------------------------------


@exercise(
    level="guided",
    minutes=6,
    why="In int16 the sum has room to leave 0…255, `clamp` brings it back, and only then is it a byte again.",
    hints=(
        "A uint8 holds 0 to 255. What is 250 + 10 there? Try it in a cell.",
        "Add in a dtype that has room for negative numbers and for more than 255.",
        "Three steps: to a wider integer, add and clamp to 0…255, back to `torch.uint8`.",
    ),
)
def brighten(images: torch.Tensor, amount: int) -> torch.Tensor:
    """Make images brighter, or darker if `amount` is negative.

    images: uint8, with one axis or more; there may be no pixel at all. 0 is black, 255 is white.
    amount: an int from -255 to 255, added to every pixel; it may be 0.
    Returns uint8 of the same shape. A pixel that would leave 0…255 stops at the end of the
    range. `images` itself stays as it is. Where no pixel changes, you may return `images`.
    """
    # solution:
    wide = images.to(torch.int16) + amount
    return wide.clamp(0, 255).to(torch.uint8)
    # end solution


@brighten.drive
def brighten_twice(answer, images, amount):
    others = 255 - images
    result = answer(images, amount)
    if not isinstance(result, torch.Tensor):
        return {"result": result}
    before = result.clone()
    answer(others, amount)
    return {
        "result": before,
        "the result stays the same when the function is called again": torch.equal(before, result),
    }


@brighten.probe
def a_bright_row(g):
    return torch.tensor([0, 20, 128, 250], dtype=torch.uint8), 10


@brighten.probe
def a_dark_batch(g):
    return torch.randint(0, 256, (2, 3, 4), generator=g, dtype=torch.uint8), -60


@brighten.probe
def a_sideways_image(g):  # its memory is not in reading order
    image = torch.randint(0, 256, (4, 3), generator=g, dtype=torch.uint8)
    image[1, 1] = 255
    return image.T, -255


@brighten.probe
def a_black_out(g):
    images = torch.randint(0, 256, (2, 4), generator=g, dtype=torch.uint8)
    images[0, 2] = 0
    return images, 255


@brighten.probe
def a_glaring_batch(g):
    return torch.randint(100, 256, (3, 5), generator=g, dtype=torch.uint8), 200


@brighten.probe
def no_image_at_all(g):  # the last batch of a filtered data set may be empty
    return torch.zeros(0, 4, dtype=torch.uint8), 40


@brighten.probe
def nothing_to_add(g):  # and an axis of length 1
    return torch.randint(0, 256, (1, 2, 3), generator=g, dtype=torch.uint8), 0


@brighten.alternative("Floats have room as well; `round` is not needed, whole numbers stay whole.")
def through_floats(images, amount):
    return (images.float() + amount).clamp(min=0, max=255).byte()


@brighten.misconception(
    title="The bytes wrapped around",
    why="A uint8 has 256 values and counts in a circle: 250 + 10 is 4, and 0 - 1 is 255. The brightest pixels "
    "come out dark, and nothing warns you. A `clamp` helps only while the numbers are still wide, and only if its "
    "result is kept: every byte lies between 0 and 255 already.",
    next="Give the sum more room before you add, then clamp, then turn it into bytes.",
    link="dtypes-decide-what-arithmetic-means",
)
def wrapped_around(images, amount):
    return images + amount


@brighten.misconception(
    title="The result is no longer uint8",
    why="The arithmetic is right, but what comes back takes four bytes a pixel instead of one. Code that expects "
    "bytes reads floats differently: in a colour picture matplotlib takes every float above 1 for full "
    "brightness.",
    next="Turn the clamped result back into bytes.",
    link="dtypes-decide-what-arithmetic-means",
)
def left_as_float(images, amount):
    return (images.float() + amount).clamp(0, 255)


WIDER_INTEGER: dict[str, Any] = dict(
    title="The result is no longer uint8, but a wider integer",
    why="The arithmetic is right, but the result is still in the wider dtype that the sum needed. It takes more "
    "memory, and code that expects bytes will not take it.",
    next="Turn the clamped result back into bytes.",
    link="dtypes-decide-what-arithmetic-means",
)


@brighten.misconception(**WIDER_INTEGER)
def left_as_int16(images, amount):
    return (images.to(torch.int16) + amount).clamp(0, 255)


@brighten.misconception(**WIDER_INTEGER)
def left_as_int32(images, amount):
    return (images.int() + amount).clamp(0, 255)


@brighten.misconception(**WIDER_INTEGER)
def left_as_int64(images, amount):
    return (images.long() + amount).clamp(0, 255)


@brighten.misconception(
    title="Stopped at white, but not at black",
    why="Only the upper end of the range is guarded. A negative amount takes dark pixels below 0, and as "
    "bytes they wrap around to nearly white.",
    next="`clamp` takes a lower end, too.",
    link="dtypes-decide-what-arithmetic-means",
)
def guarded_only_above(images, amount):
    return (images.to(torch.int16) + amount).clamp(max=255).to(torch.uint8)


@brighten.misconception(
    title="Stopped at black, but not at white",
    why="Only the lower end of the range is guarded. A positive amount takes bright pixels above 255, and as "
    "bytes they wrap around to nearly black.",
    next="`clamp` takes an upper end, too.",
    link="dtypes-decide-what-arithmetic-means",
)
def guarded_only_below(images, amount):
    return (images.to(torch.int16) + amount).clamp(min=0).to(torch.uint8)


@brighten.misconception(
    title="The bytes wrapped around, in the caller's own images",
    why="A uint8 has 256 values and counts in a circle: 250 + 10 is 4. And `+=` writes into the tensor that was passed in: "
    "whoever owns `images` finds other pixels in it afterwards.",
    next="Make a new tensor in a wider dtype, then add, clamp and turn it back.",
    link="dtypes-decide-what-arithmetic-means",
)
def wrapped_in_place(images, amount):
    images += amount
    return images


@brighten.misconception(
    title="Changed the caller's own images",
    why="Methods that end in an underscore, and `+=`, write into the tensor they are called on. Whoever passed "
    "`images` finds other pixels in it afterwards.",
    next="Make a new tensor and leave the argument alone.",
    link="views-copies-and-in-place-edits",
)
def edited_in_place(images, amount):
    return images.copy_((images.to(torch.int16) + amount).clamp(0, 255))


@brighten.misconception(
    title="Nothing comes back for an amount of 0",
    why="One branch is for positive amounts and one for negative ones. 0 is neither: the function runs past both, reaches its end "
    "without a `return`, and gives None.",
    next="Do the cases have to be told apart at all?",
    link="dtypes-decide-what-arithmetic-means",
)
def nothing_for_zero(images, amount):
    if amount > 0:
        return (images.int() + amount).clamp(max=255).byte()
    if amount < 0:
        return (images.int() + amount).clamp(min=0).byte()
    return None


@brighten.misconception(**LOST_AXIS)
def squeezed_images(images, amount):
    return (images.squeeze().int() + amount).clamp(0, 255).byte()


# Shapes -------------------------------------------------------------------------------------------


@exercise(
    level="guided",
    minutes=4,
    why="`flatten(1)` merges every axis from 1 on, so axis 0, the batch, stays. It copies only if it must.",
    hints=(
        "Which axis has to survive? Everything after it is merged.",
        "`flatten` takes the first axis to merge: `start_dim`.",
        "With `reshape` instead, give the batch size and let `-1` work out the rest.",
    ),
)
def flatten_images(images: torch.Tensor) -> torch.Tensor:
    """Turn every image into one row of numbers, and keep the batch.

    images: (N, C, H, W), of any dtype, contiguous or not.
    Returns (N, C * H * W), of the same dtype: row i holds image i, in the order channel, row,
    column.
    """
    # solution:
    return images.flatten(1)
    # end solution


@flatten_images.probe
def two_tiny_images(g):
    return (torch.randn(2, 1, 2, 3, generator=g),)


@flatten_images.probe
def colour_images(g):
    return (torch.randn(4, 3, 2, 5, generator=g),)


@flatten_images.probe
def permuted_images(g):  # not contiguous, as after `permute`
    return (torch.randn(3, 4, 5, 2, generator=g).permute(0, 3, 1, 2),)


@flatten_images.probe
def one_image(g):
    return (torch.randn(1, 2, 3, 3, generator=g),)


@flatten_images.probe
def images_of_bytes(g):
    return (torch.randint(0, 256, (3, 2, 4, 2), generator=g, dtype=torch.uint8),)


@flatten_images.alternative("`-1` stands for whatever length is left.")
def with_reshape(images):
    return images.reshape(images.shape[0], -1)


@flatten_images.alternative("A loop says the same, one image at a time. It is slower.")
def stacked_rows(images):
    return torch.stack([image.flatten() for image in images])


@flatten_images.misconception(
    title="Flattened the batch away",
    why="Without an argument, `flatten` merges every axis, also axis 0. The images of the whole batch end up in "
    "one long row, and the next layer cannot tell where one stops.",
    next="Say at which axis the merging starts.",
    link="reshape-view-permute",
)
def flattened_the_batch(images):
    return images.flatten()


@flatten_images.misconception(
    title="`view` on memory that is not in order",
    why="`view` never copies: it can only regroup elements that already lie in the right order. After a `permute` "
    "they do not, and `view` refuses.",
    next="Use the method that copies when it has to.",
    link="reshape-view-permute",
)
def viewed(images):
    return images.view(images.shape[0], -1)


@flatten_images.misconception(
    title="Kept a channel axis",
    why="The merging started one axis too late, and each channel has a row of its own. The result has three axes "
    "where a layer expects two.",
    next="Axis 0 is the batch. Which is the first axis to merge?",
    link="reshape-view-permute",
)
def kept_channels(images):
    return images.flatten(2)


@flatten_images.misconception(
    title="Batch and pixels change places",
    why="`reshape(-1, N)` asks for N columns, not N rows. The shape looks plausible, but each row mixes pixels "
    "of different positions, and for some sizes of different images.",
    next="The batch size belongs first.",
    link="reshape-view-permute",
)
def batch_last(images):
    return images.reshape(-1, images.shape[0])


@flatten_images.misconception(
    title="A fixed size for every image",
    why="784 is 28 times 28: it fits MNIST and nothing else. With images of another size the numbers do not go into rows "
    "of 784, or go into them and mix two images in one row.",
    next="Give the number that you know, the batch size, and let `-1` find the other.",
    link="reshape-view-permute",
)
def always_784(images):
    return images.reshape(-1, 784)


@flatten_images.misconception(
    title="One row for each channel instead of each image",
    why="Rows of H times W numbers hold one channel each. A grey image comes out right, but a colour image is cut into three "
    "rows, and the batch seems three times as large.",
    next="A row has to hold all the channels of its image. Give the batch size first.",
    link="reshape-view-permute",
)
def a_row_for_each_channel(images):
    return images.reshape(-1, images.shape[2] * images.shape[3])


@flatten_images.misconception(
    title="A batch of one lost its axis",
    why="With one image in the batch the result has no batch axis any more. `squeeze()` takes away *every* axis of length 1, "
    "and the last batch of a data set may hold a single image.",
    next="The result has two axes, also when N is 1.",
    link="reshape-view-permute",
)
def squeezed_batch_of_one(images):
    return images.flatten(1).squeeze()


@exercise(
    level="supported",
    minutes=5,
    why="`permute` reorders the axes and leaves every number with its pixel; nothing is copied.",
    hints=(
        "Every pixel must stay where it is in the picture; only the order of the axes changes.",
        "Write the old position of each new axis: the new axis 1 was axis 3.",
        "`permute` takes one number per axis, here four.",
    ),
)
def channels_first(images: torch.Tensor) -> torch.Tensor:
    """Bring images from the layout of image files into the one PyTorch's layers expect.

    images: (N, H, W, C), as most image libraries give them, of any dtype, contiguous or not.
    Returns (N, C, H, W), of the same dtype, with every pixel in its place.
    """
    # solution:
    return images.permute(0, 3, 1, 2)
    # end solution


@channels_first.probe
def one_small_picture(g):
    return (torch.arange(12.0).reshape(1, 2, 3, 2),)


@channels_first.probe
def wide_pictures(g):
    return (torch.randn(2, 3, 5, 4, generator=g),)


@channels_first.probe
def grey_pictures(g):
    return (torch.randn(2, 3, 4, 1, generator=g),)


@channels_first.probe
def square_pictures(g):  # H = W: where swapped axes keep the shape
    return (torch.randn(3, 4, 4, 3, generator=g),)


@channels_first.probe
def pictures_turned_around(g):  # not contiguous: rows and columns have changed places
    return (torch.randn(2, 5, 4, 3, generator=g).transpose(1, 2),)


@channels_first.probe
def pictures_of_bytes(g):
    return (torch.randint(0, 256, (2, 3, 4, 3), generator=g, dtype=torch.uint8),)


@channels_first.alternative("`movedim` names the one axis that moves.")
def with_movedim(images):
    return images.movedim(-1, 1)


@channels_first.alternative("Two swaps do it as well.")
def with_two_transposes(images):
    return images.transpose(1, 3).transpose(2, 3)


REGROUPED: dict[str, Any] = dict(
    title="Regrouped the numbers instead of moving the axes",
    why="`reshape` and `view` read the numbers in order and cut them into new groups. The shape comes out "
    "right, and the picture is scrambled: pixels of different places and channels are mixed.",
    next="Use the method that reorders axes.",
    link="reshape-view-permute",
)


@channels_first.misconception(**REGROUPED)
def reshaped(images):
    n, height, width, channels = images.shape
    return images.reshape(n, channels, height, width)


@channels_first.misconception(**REGROUPED)
def regrouped_by_view(images):
    n, height, width, channels = images.shape
    return images.view(n, channels, height, width)


@channels_first.misconception(
    title="The axes are still in their old order",
    why="The result has the shape of `images`. `permute` and its relatives leave their tensor alone and return the "
    "result: on a line of its own, it is thrown away. A memory format changes only where the numbers lie, not the axes.",
    next="Return what the method gives you.",
    link="reshape-view-permute",
)
def thrown_away(images):
    images.permute(0, 3, 1, 2)
    return images


@channels_first.misconception(
    title="The order for the way back",
    why="`permute(0, 2, 3, 1)` turns (N, C, H, W) into (N, H, W, C). You start from (N, H, W, C), and there it gives "
    "(N, W, C, H): each number says which *old* axis comes to this place.",
    next="Write the new axes side by side, N, C, H, W, and under each the place where it stands now.",
    link="reshape-view-permute",
)
def the_way_back(images):
    return images.permute(0, 2, 3, 1)


@channels_first.misconception(
    title="Height and width swapped",
    why="One swap brings the channels forward, but it sends the height to the end: the picture lies on its side. "
    "On square images the shape does not show it.",
    next="Three axes move, not two. Write down where each comes from.",
    link="reshape-view-permute",
)
def lying_on_its_side(images):
    return images.transpose(1, 3)


@channels_first.misconception(
    title="The axes in full reverse",
    why="`permute(3, 2, 1, 0)` turns all axes around, so the batch comes last. `.T` does the same here, and PyTorch is giving that up.",
    next="The batch axis keeps its place: the first number is 0.",
    link="reshape-view-permute",
)
def reversed_axes(images):
    return images.permute(3, 2, 1, 0)


@channels_first.misconception(
    title="Forgot that there is a batch axis",
    why="Three numbers reorder one image, (H, W, C). Here a batch of them comes in, with four axes.",
    next="Begin with 0 for the batch, and count the others from 1.",
    link="reshape-view-permute",
)
def forgot_the_batch(images):
    return images.permute(2, 0, 1)


@channels_first.misconception(
    title="The pixels were scaled as well",
    why="The axes are right, and every number is another one: divided by 255, and a float. Some libraries do both in one go. "
    "Here only the layout is asked for: whoever scales afterwards, as training code does, would divide twice.",
    next="Move the axes, and leave the numbers and their dtype alone.",
    link="reshape-view-permute",
)
def scaled_as_well(images):
    return images.permute(0, 3, 1, 2).float() / 255


@channels_first.misconception(
    title="Bytes became floats",
    why="The axes are right. But a batch of bytes comes back as floats, four times as large, and its dtype no longer tells "
    "whether 255 or 1 is white. Moving axes asks nothing of the dtype.",
    next="Move the axes, and leave the dtype alone.",
    link="dtypes-decide-what-arithmetic-means",
)
def became_floats(images):
    return images.permute(0, 3, 1, 2).float()


# Indexing -----------------------------------------------------------------------------------------


@exercise(
    level="supported",
    minutes=6,
    why="Two index tensors are read side by side: (row 0, its label), (row 1, its label), and so on.",
    hints=(
        "For one row it is `scores[0, labels[0]]`. You want that for all rows at once.",
        "An index may itself be a tensor. Two of them are paired up, element by element.",
        "The rows are 0, 1, …, N-1: `torch.arange(N)`.",
    ),
    equivalent_mutants=("rows = torch.arange(len(labels))",),  # CPU is the default here
)
def pick_scores(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Pick from each row the score of that row's label.

    scores: (N, C), floats: one row of class scores per example.
    labels: (N,) int64, each from 0 to C-1.
    Returns (N,), of the dtype of `scores`: element i is the score that row i gives to class
    labels[i].
    """
    # solution:
    rows = torch.arange(len(labels), device=labels.device)
    return scores[rows, labels]
    # end solution


@pick_scores.probe
def three_rows(g):
    return torch.randn(3, 4, generator=g).round(decimals=1), torch.tensor([2, 0, 3])


@pick_scores.probe
def more_rows(g):
    return (
        torch.randn(6, 5, generator=g),
        torch.randint(0, 5, (6,), generator=g),
    )


@pick_scores.probe
def one_row(g):
    return torch.randn(1, 3, generator=g), torch.tensor([2])


@pick_scores.probe
def as_many_rows_as_classes(g):
    return torch.randn(4, 4, generator=g), torch.tensor([1, 3, 0, 0])


@pick_scores.probe
def equal_scores_in_columns_first(g):  # not contiguous, and equal scores stand in one row
    return torch.randint(0, 3, (4, 5), generator=g).float().T, torch.tensor([3, 0, 2, 2, 1])


@pick_scores.probe
def scores_of_float64(g):
    return torch.randn(3, 5, generator=g, dtype=torch.float64), torch.tensor([4, 1, 0])


@pick_scores.alternative(
    "`gather` wants an index of the same number of axes, so an axis comes and goes."
)
def with_gather(scores, labels):
    return scores.gather(1, labels[:, None]).squeeze(1)


@pick_scores.alternative("A mask from one-hot labels; it touches every score.")
def with_one_hot(scores, labels):
    return (scores * F.one_hot(labels, scores.shape[1])).sum(1)


@pick_scores.misconception(
    title="Took every label from every row",
    why="`scores[:, labels]` means: all rows, and from each of them the columns in `labels`, all of them. N rows "
    "times N labels gives an (N, N) table; the answer is only on its diagonal.",
    next="Pair each row with its own label: the row index has to be a tensor, too.",
    link="indexing-with-tensors",
)
def whole_table(scores, labels):
    return scores[:, labels]


@pick_scores.misconception(
    title="Used the labels to pick rows",
    why="One index tensor picks along axis 0, the rows. The labels count columns, and where there are more columns "
    "than rows the index runs out of range.",
    next="Give an index for each axis: rows first, then columns.",
    link="indexing-with-tensors",
)
def picked_rows(scores, labels):
    return scores[labels]


@pick_scores.misconception(
    title="An axis of length 1 is left",
    why="`gather` returns the shape of its index, here (N, 1). Beside an (N,) tensor such a column broadcasts to "
    "(N, N), and the mistake shows up far from here.",
    next="Take the axis of length 1 away again.",
    link="indexing-with-tensors",
)
def left_a_column(scores, labels):
    return scores.gather(1, labels[:, None])


@pick_scores.misconception(
    title="Took the highest score instead of the label's",
    why="The highest score belongs to the class the model prefers. The label says which class is true; only when the "
    "model is right are they the same.",
    next="Use `labels` to choose the column.",
    link="indexing-with-tensors",
)
def highest_score(scores, labels):
    return scores.max(1).values


@pick_scores.misconception(
    title="`max(1)` returned a pair",
    why="With an axis, `max` returns two tensors, values and indices. And the highest score is not the label's score.",
    next="Use `labels` to choose the column.",
    link="indexing-with-tensors",
)
def highest_pair(scores, labels):
    return tuple(scores.max(1))


@pick_scores.misconception(
    title="Took the place of the highest score",
    why="`argmax` gives positions, whole numbers from 0 to C-1: the class that the model prefers. Asked for is a score, and "
    "the true class's, not the preferred one's.",
    next="Use `labels` to choose the column, and return what stands there.",
    link="indexing-with-tensors",
)
def place_of_the_highest(scores, labels):
    return scores.argmax(1)


@pick_scores.misconception(
    title="Rows and columns changed places",
    why="The first index counts rows, the second columns. `scores[labels, …]` looks up rows by their labels: it raises an error "
    "where a label is larger than the last row, and elsewhere it reads other rows.",
    next="Rows first, then the labels.",
    link="indexing-with-tensors",
)
def columns_first(scores, labels):
    return scores[labels, torch.arange(len(labels))]


@pick_scores.misconception(
    title="A batch of one lost its axis",
    why="`squeeze()` takes away *every* axis of length 1. With a single row, the batch goes too, and a tensor without "
    "axes comes back where (1,) is due.",
    next="Say which axis is to go.",
    link="indexing-with-tensors",
)
def squeezed_everything(scores, labels):
    return scores.gather(1, labels[:, None]).squeeze()


@pick_scores.misconception(
    title="`gather` got an index with too few axes",
    why="`gather` reads, for each place of the index, one number from the same row. So the index has rows, too: it needs as many "
    "axes as the tensor it reads from. `labels` has one, `scores` has two.",
    next="Make a column of `labels` first, or index with two tensors instead.",
    link="indexing-with-tensors",
)
def gathered_without_an_axis(scores, labels):
    return scores.gather(1, labels)


FLOAT32: dict[str, Any] = dict(
    title="float32 comes back, whatever came in",
    why="`.float()` makes float32 of anything. `torch.zeros`, and `torch.tensor` with a list of Python's floats, make float32 unless they "
    "are told otherwise, and what is written into a tensor takes on that tensor's dtype. So float64 numbers lose half of their digits "
    "without a word.",
    next="Compute in the dtype that comes in, and give a tensor that you make the same one.",
    link="dtypes-decide-what-arithmetic-means",
)


@pick_scores.misconception(**FLOAT32)
def filled_float32(scores, labels):
    picked = torch.zeros(len(labels))
    for i, label in enumerate(labels):
        picked[i] = scores[i, label]
    return picked


# Broadcasting -------------------------------------------------------------------------------------


@exercise(
    level="supported",
    minutes=6,
    why="Both shapes are made equal before the subtraction, so nothing is left to broadcast.",
    hints=(
        "What is the shape of (5, 1) minus (5,)? Ask `explore.broadcast(torch.ones(5, 1), torch.ones(5))`.",
        "Give both the same shape first: take an axis from `pred`, or give one to `target`.",
        "`target[:, None]` has the shape (N, 1). `pred[:, 0]` has the shape (N,).",
    ),
)
def mean_squared_error(pred: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Average the squared error over N examples.

    pred: (N, 1), as a linear layer returns it. target: (N,), as a data set holds it. Both are
    float32, or both float64.
    Returns a tensor without axes, of the same dtype: the mean of (pred_i - target_i) squared.
    """
    # solution:
    error = pred.squeeze(1) - target
    return (error**2).mean()
    # end solution


@mean_squared_error.drive
def average_and_say_whose(answer, pred, target):
    error = answer(pred, target)
    return {"result": error, "whose number it is": Extra(isinstance(error, np.generic))}


@mean_squared_error.probe
def three_predictions(g):
    pred = torch.tensor([[1.0], [2.0], [4.0]])
    return pred, torch.tensor([1.0, 3.0, 7.0])


@mean_squared_error.probe
def many_predictions(g):
    pred = torch.randn(7, 1, generator=g)
    return pred, 3 * torch.randn(7, generator=g) + 1


@mean_squared_error.probe
def one_prediction(g):
    pred = torch.randn(1, 1, generator=g)
    return pred, 2 + torch.randn(1, generator=g)


@mean_squared_error.probe
def small_errors_of_large_numbers(g):  # where p² - 2pt + t² cancels
    return torch.tensor([[100.3], [100.1], [99.6]]), torch.tensor([100.0, 100.2, 99.9])


@mean_squared_error.probe
def predictions_of_float64(g):
    pred = torch.randn(4, 1, generator=g, dtype=torch.float64)
    return pred, torch.randn(4, generator=g, dtype=torch.float64) - 1


@mean_squared_error.alternative("PyTorch's own loss, on equal shapes.")
def with_mse_loss(pred, target):
    return F.mse_loss(pred, target[:, None])


@mean_squared_error.alternative("Give `target` the missing axis instead.")
def target_as_column(pred, target):
    return (pred - target.unsqueeze(1)).square().mean()


@mean_squared_error.misconception(
    title="(N, 1) against (N,) grew to (N, N)",
    why="Broadcasting compares shapes from the right: (N, 1) and (N,) become (N, N), and every prediction is compared "
    "with every target. Perfect predictions do not give 0. A model trained this way learns to predict the mean.",
    next="Give both the same shape before you subtract.",
    link="the-trap-n-1-against-n",
    evidence=lambda pred, target: f"`pred - target` has the shape {tuple((pred - target).shape)}.",
)
def grown_table(pred, target):
    return ((pred - target) ** 2).mean()


@mean_squared_error.misconception(
    title="The sum instead of the mean",
    why="The sum grows with the batch: twice the examples, twice the loss, twice the gradient. The mean does not "
    "depend on how many examples there are. Dividing by `pred.shape[1]` leaves the sum as it is: that is 1.",
    next="Divide by the number of examples, N.",
    link="reductions-and-keepdim",
)
def summed(pred, target):
    return ((pred[:, 0] - target) ** 2).sum()


@mean_squared_error.misconception(
    title="The errors were not squared",
    why="Errors of opposite sign cancel. A model that is far off in both directions looks perfect.",
    next="Square each error before you average.",
    link="reductions-and-keepdim",
)
def not_squared(pred, target):
    return (pred[:, 0] - target).mean()


@mean_squared_error.misconception(
    title="Took the size of the errors, not their square",
    why="The mean of the absolute errors is another loss. It forgives large errors more than the squared one does: "
    "an error of 10 counts as much as ten errors of 1, not as much as a hundred.",
    next="Square each error before you average.",
    link="reductions-and-keepdim",
)
def absolute_error(pred, target):
    return (pred[:, 0] - target).abs().mean()


@mean_squared_error.misconception(
    title="Averaged first, squared afterwards",
    why="The square of the mean error is not the mean of the squared errors. Errors of opposite sign have "
    "cancelled before they are squared: -1 and 1 give 0.",
    next="The square comes first, the mean last.",
    link="reductions-and-keepdim",
)
def squared_the_mean(pred, target):
    return (pred[:, 0] - target).mean() ** 2


@mean_squared_error.misconception(
    title="Took a root at the end",
    why="The root of the mean squared error is a useful number to report. It is not the loss that was asked for, "
    "and its gradient is another one.",
    next="Leave the mean as it is.",
    link="reductions-and-keepdim",
)
def with_a_root(pred, target):
    return ((pred[:, 0] - target) ** 2).mean().sqrt()


@mean_squared_error.misconception(
    title="Returned a Python number",
    why="`.item()` and `float()` take the number out of the tensor. A loss has to stay a tensor: in the next lesson, "
    "`backward()` starts from it.",
    next="Return the tensor itself.",
    link="reductions-and-keepdim",
)
def python_number(pred, target):
    return ((pred[:, 0] - target) ** 2).mean().item()


@mean_squared_error.misconception(
    title="Returned a NumPy number",
    why="`numpy()` leaves PyTorch, and what is computed from there on is NumPy's. A loss has to stay a tensor: in the next "
    "lesson, `backward()` starts from it.",
    next="PyTorch's tensors can subtract, square and average themselves.",
    link="arrays-and-tensors-can-share-memory",
)
def numpy_number(pred, target):
    return np.mean((pred.numpy()[:, 0] - target.numpy()) ** 2)


@mean_squared_error.misconception(
    title="The errors were not averaged",
    why="One squared error per example is a tensor of N numbers. Training needs a single one, so that smaller has a meaning "
    "for the whole batch.",
    next="Reduce the N squared errors to one number.",
    link="reductions-and-keepdim",
)
def not_reduced(pred, target):
    return (pred[:, 0] - target) ** 2


@mean_squared_error.misconception(
    title="Divided by N - 1",
    why="Dividing by N - 1 belongs to the variance of a sample, whose mean was estimated from the same numbers. Here nothing "
    "was estimated: the mean of N squares is their sum divided by N. For one example you divide by 0.",
    next="Divide by the number of examples.",
    link="reductions-and-keepdim",
)
def divided_by_one_less(pred, target):
    return ((pred[:, 0] - target) ** 2).sum() / (len(target) - 1)


@mean_squared_error.misconception(
    title="Changed the caller's predictions",
    why="`pred[:, 0] -= target` writes into the tensor that was passed in. Whoever looks at the predictions afterwards finds "
    "the errors in their place, and a second call gives another loss.",
    next="Give the difference a name of its own.",
    link="views-copies-and-in-place-edits",
)
def edited_predictions(pred, target):
    pred[:, 0] -= target
    return (pred**2).mean()


@mean_squared_error.misconception(**FLOAT32)
def errors_cast_to_float32(pred, target):
    return ((pred.float()[:, 0] - target.float()) ** 2).mean()


@exercise(
    level="independent",
    minutes=8,
    why="The axes of length 1 make every row of `a` meet every row of `b`: (N, 1, D) and (1, M, D) give (N, M, D).",
    hints=(
        "Without a loop, every row of `a` has to meet every row of `b`. Which shapes would stretch against each other?",
        "Bring them to (N, 1, D) and (1, M, D) and subtract.",
        "`a[:, None, :]` inserts the axis.",
        "After subtracting, the coordinates lie on the last axis. Square, sum over it, take the root.",
    ),
)
def pairwise_distances(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Measure the distance from every point of `a` to every point of `b`.

    a: (N, D), b: (M, D), one point per row, both float32 or both float64.
    Returns (N, M), of the same dtype: element (i, j) is the Euclidean distance between a[i] and
    b[j], and exactly 0 where the two are equal. A loop would do it; broadcasting does it at once.
    The points may be many, and far from the origin. So subtract before you square: a small
    distance has to come out right between points with large coordinates, too.
    """
    # solution:
    gaps = a[:, None, :] - b[None, :, :]  # (N, 1, D) - (1, M, D) -> (N, M, D)
    return (gaps**2).sum(-1).sqrt()
    # end solution


STAYS = "the distances stay the same when 1000 is added to every coordinate"
SWARMS = "the distances stay the same within two swarms, one moved by 1000 and one by -1000"


@pairwise_distances.drive
def measure_here_and_far_away(answer, a, b):
    far_a, far_b = a + 1000, b + 1000
    two_a, two_b = torch.cat([far_a, a - 1000]), torch.cat([far_b, b - 1000])
    here = answer(a, b)
    if not isinstance(here, torch.Tensor) or here.shape != (len(a), len(b)):
        return {"result": here}
    there, within = answer(far_a, far_b), answer(two_a, two_b)
    near_equal = {"rtol": 0, "atol": 0.01}
    first, second = within[: len(a), : len(b)], within[len(a) :, len(b) :]
    equal = (a[:, None] == b).all(-1)
    return {
        "result": here,
        "equal points have the distance 0": bool((here[equal] == 0).all()),
        STAYS: torch.allclose(here, there, **near_equal),
        SWARMS: all(torch.allclose(here, part, **near_equal) for part in (first, second)),
    }


@pairwise_distances.probe
def points_on_a_grid(g):
    a = torch.tensor([[0.0, 0.0], [3.0, 0.0]])
    return a, torch.tensor([[0.0, 4.0], [1.0, 1.0], [3.0, 5.0]])


@pairwise_distances.probe
def points_in_space(g):
    a = torch.randn(5, 3, generator=g)
    return a, torch.randn(4, 3, generator=g) + 1


@pairwise_distances.probe
def a_point_meets_itself(g):  # where a root of rounding errors would be NaN
    a = 10 + torch.randint(-16, 16, (6, 3), generator=g) / 32
    return a, a.clone()


@pairwise_distances.probe
def one_point_against_four(g):
    return torch.randn(1, 3, generator=g), torch.randn(4, 3, generator=g)


@pairwise_distances.probe
def three_points_against_one(g):
    return torch.randn(3, 2, generator=g), torch.randn(1, 2, generator=g)


@pairwise_distances.probe
def as_many_as_coordinates(g):
    a = torch.randn(3, 3, generator=g)
    return a, torch.randn(3, 3, generator=g)


@pairwise_distances.probe
def points_of_float64(g):
    a = torch.randn(4, 3, generator=g, dtype=torch.float64)
    b = torch.randn(2, 3, generator=g, dtype=torch.float64)
    return a, torch.cat([b, a[1:2]])


@pairwise_distances.probe
def many_points(g):  # where `cdist` goes over to the matrix product
    a = torch.randint(-64, 64, (27, 3), generator=g) / 32
    return a, torch.cat([a[::6], a[:3] + 0.25])


@pairwise_distances.alternative(
    "PyTorch has it ready. This setting makes it subtract first, however many points there are."
)
def with_cdist(a, b):
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")


@pairwise_distances.alternative("The norm along the last axis squares, sums and takes the root.")
def with_norm(a, b):
    return (a.unsqueeze(1) - b).norm(dim=-1)


@pairwise_distances.misconception(
    title="Rows were only compared with the row beside them",
    why="`a - b` pairs row i with row i. It needs as many points in `a` as in `b`, and gives N distances instead of "
    "N times M.",
    next="Insert axes of length 1, so that every row of `a` meets every row of `b`.",
    link="broadcasting",
)
def row_beside_row(a, b):
    return ((a - b) ** 2).sum(-1).sqrt()


@pairwise_distances.misconception(
    title="The distances are still squared",
    why="By Pythagoras the sum of the squares is the *squared* distance. Sides of 3 and 4 give 25, and the "
    "distance is 5.",
    next="One step is missing at the end.",
    link="broadcasting",
)
def still_squared(a, b):
    return ((a[:, None] - b) ** 2).sum(-1)


@pairwise_distances.misconception(
    title="The table is transposed",
    why="The new axes went the wrong way round: element (i, j) is the distance from b[i] to a[j]. With as many "
    "points in `a` as in `b`, the shape does not show it.",
    next="`a` belongs on axis 0 of the result, `b` on axis 1.",
    link="broadcasting",
)
def transposed_table(a, b):
    return ((b[:, None] - a) ** 2).sum(-1).sqrt()


@pairwise_distances.misconception(
    title="Summed the absolute differences",
    why="That is the city-block distance: along the streets, not as the crow flies. With sides of 3 and 4 it gives "
    "7, and the straight line is 5.",
    next="Square, sum, root.",
    link="broadcasting",
)
def city_blocks(a, b):
    return (a[:, None] - b).abs().sum(-1)


@pairwise_distances.misconception(
    title="Summed over the points instead of the coordinates",
    why="After subtracting, the axes are (N, M, D): points, points, coordinates. A distance sums over the coordinates, "
    "the last axis.",
    next="Choose the axis of the coordinates.",
    link="reductions-and-keepdim",
)
def summed_over_points(a, b):
    return ((a[:, None] - b) ** 2).sum(1).sqrt()


@pairwise_distances.misconception(
    title="Averaged the squares instead of adding them",
    why="Pythagoras adds the squares of the sides. Their mean makes every distance smaller, by the root of the number of "
    "coordinates: 5 becomes about 3.5 in a plane.",
    next="Which reduction adds?",
    link="reductions-and-keepdim",
)
def averaged_the_squares(a, b):
    return ((a[:, None] - b) ** 2).mean(-1).sqrt()


@pairwise_distances.misconception(
    title="A single point lost its axis",
    why="`squeeze()` takes away *every* axis of length 1. With one point in `a` or in `b`, the table loses that axis, and "
    "whoever asks for its rows and columns finds only one of them.",
    next="The result has two axes, (N, M), also when N or M is 1.",
    link="reductions-and-keepdim",
)
def squeezed_the_table(a, b):
    return ((a[:, None] - b) ** 2).sum(-1).sqrt().squeeze()


def near_and_far(a, b):
    """Put into words where the expanded square loses most when everything moves by 1000."""
    here, there = expanded_square(a, b), expanded_square(a + 1000, b + 1000)
    i, j = divmod(int((here - there).abs().argmax()), len(b))
    return (
        f"From `a[{i}]` to `b[{j}]` it is {here[i, j]:.4g}; with 1000 added to every coordinate, "
        f"|a|² - 2ab + |b|² gives {there[i, j]:.4g}."
    )


@pairwise_distances.misconception(
    title="Large numbers cancelled",
    why="a² - 2ab + b² is the same on paper. In float32 it subtracts large numbers to get a small one: far from the origin, "
    "only a few of their seven digits survive, or none. The result is off, 0, or NaN where rounding made it negative.",
    next="Subtract the points first, while their coordinates are still exact, and square the difference.",
    link="broadcasting",
    evidence=near_and_far,
    shows=STAYS,
)
def expanded_square(a, b):
    squares = (a**2).sum(1)[:, None] - 2 * a @ b.T + (b**2).sum(1)
    return squares.clamp(min=0).sqrt()


def what_cdist_loses(a, b):
    """Put into words where `cdist` is furthest off when everything moves by 1000."""
    here, there = ready_made(a, b), ready_made(a + 1000, b + 1000)
    i, j = divmod(int((here - there).abs().argmax()), len(b))
    return (
        f"With {len(a)} and {len(b)} points, `cdist` puts `a[{i}]` and `b[{j}]` {here[i, j]:.4g} apart, and with 1000 "
        f"added to every coordinate {there[i, j]:.4g}."
    )


@pairwise_distances.misconception(
    title="`cdist` expands the square, too, as soon as there are many points",
    why="Up to 25 points `torch.cdist` subtracts first. Beyond that it computes |a|² - 2ab + |b|² with a matrix product, which is fast, "
    "and far from the origin large numbers cancel: equal points come out apart.",
    next="Subtract the points yourself, or find the argument with which `cdist` does so for any number of points.",
    link="broadcasting",
    evidence=what_cdist_loses,
    shows=STAYS,
)
def ready_made(a, b):
    return torch.cdist(a, b)


@pairwise_distances.misconception(
    title="`F.pairwise_distance` adds a little to every difference",
    why="Its argument `eps`, 0.000001 unless you set it, is added to each difference of coordinates before the squares. So equal points "
    "are not at distance 0, and in float64 the other distances are off from the sixth digit or so.",
    next="Subtract, square, sum and take the root yourself: it is one line.",
    link="broadcasting",
    shows="equal points have the distance 0",
)
def with_an_epsilon(a, b):
    return F.pairwise_distance(a[:, None], b)


@pairwise_distances.misconception(**FLOAT32)
def filled_table(a, b):
    table = torch.zeros(len(a), len(b))
    for i, one in enumerate(a):
        for j, other in enumerate(b):
            table[i, j] = ((one - other) ** 2).sum().sqrt()
    return table


# Reductions ---------------------------------------------------------------------------------------


@exercise(
    level="independent",
    minutes=8,
    why="`keepdim=True` keeps (N, 1), which stretches along the row; without each row's maximum, `exp` would overflow.",
    hints=(
        "First make it right for small numbers: exponentials, divided by their sum along the row.",
        "`sum(1)` gives (N,). Beside (N, C) that lines up with the columns, not with the rows. What keeps the axis?",
        "`exp(1000)` is infinite. Softmax does not change if you subtract the same number from a whole row: "
        "subtract the row's maximum.",
    ),
)
def softmax_rows(logits: torch.Tensor) -> torch.Tensor:
    """Turn each row of scores into probabilities: exp(row) / sum(exp(row)).

    logits: (N, C), float32 or float64, from -1000 to 1000.
    Returns (N, C), of the same dtype: every element is finite and at least 0, and every row sums
    to 1, up to rounding. PyTorch has this ready as `softmax`. That passes, too; writing it
    yourself shows what it takes.
    """
    # solution:
    shifted = logits - logits.amax(1, keepdim=True)
    weights = shifted.exp()
    return weights / weights.sum(1, keepdim=True)
    # end solution


@softmax_rows.drive
def add_up_the_rows(answer, logits):
    upside_down = logits.flip(0)
    weights = answer(logits)
    if not isinstance(weights, torch.Tensor) or weights.shape != logits.shape:
        return {"result": weights}
    before = weights.clone()
    answer(upside_down)
    stays = torch.equal(before.nan_to_num(), weights.nan_to_num())
    return {
        "result": before,
        "the sum of each row": before.double().sum(1).float(),
        "every element is finite and at least 0": bool((before.isfinite() & (before >= 0)).all()),
        "the result stays the same when the function is called again": stays,
    }


@softmax_rows.probe
def two_rows(g):
    return (torch.tensor([[0.0, 1.0, 3.0], [2.0, 2.0, 2.0]]),)


@softmax_rows.probe
def square_table(g):  # N = C: where a missing keepdim stays silent
    return (2 * torch.randn(4, 4, generator=g),)


@softmax_rows.probe
def huge_and_tiny(g):
    rows = torch.randn(3, 5, generator=g)
    return (rows + torch.tensor([[1000.0], [0.0], [-1000.0]]),)


@softmax_rows.probe
def far_apart(g):  # where only the row's own maximum is safe
    rows = torch.tensor([[0.0, 1000.0, 5.0], [1000.0, -1000.0, 0.0], [-1000.0, 0.0, 1000.0]])
    return (rows + torch.randn(3, 3, generator=g),)


@softmax_rows.probe
def one_example(g):
    return (torch.randn(1, 4, generator=g),)


@softmax_rows.probe
def one_class(g):
    return (torch.randn(3, 1, generator=g),)


@softmax_rows.probe
def a_thousand_classes(g):  # where small numbers added to each element add up
    rows = torch.randn(2, 1000, generator=g)
    rows[1, 700] += 20
    return (rows,)


@softmax_rows.probe
def logits_of_float64(g):
    return (2 * torch.randn(4, 3, generator=g, dtype=torch.float64),)


@softmax_rows.probe
def a_hopeless_last_class(g):  # where 1 minus the others' sum falls below 0 by rounding
    rows = torch.randn(50, 4, generator=g)
    rows[:, -1] = -900
    return (rows,)


@softmax_rows.alternative("Subtract the logarithm of the sum and take the exponential last.")
def through_the_logarithm(logits):
    return (logits - logits.logsumexp(1, keepdim=True)).exp()


@softmax_rows.alternative("PyTorch's own: the numbers are the same.")
def built_in(logits):
    return logits.softmax(dim=1)


@softmax_rows.misconception(
    title="Overflowed",
    why="`exp(1000)` is infinite, and infinity divided by infinity is NaN. `exp(-1000)` is rounded to 0: in a row of such scores "
    "0 is divided by 0, NaN again. Small scores work, so a test on them passes; the first confident model breaks it.",
    next="Subtract something from each row first that leaves the result as it is.",
    link="reductions-and-keepdim",
)
def overflowed(logits):
    shifted = logits
    weights = shifted.exp()
    return weights / weights.sum(1, keepdim=True)


@softmax_rows.misconception(
    title="The row sums lost their axis, and lined up with the columns",
    why="`sum(1)` gives (N,). Beside (N, C) it is aligned from the right, with the columns: a square table is divided "
    "column by column without a word, any other shape raises an error.",
    next="Keep the axis you reduce.",
    link="reductions-and-keepdim",
)
def lost_the_axis(logits):
    shifted = logits - logits.amax(1, keepdim=True)
    weights = shifted.exp()
    return weights / weights.sum(1)


@softmax_rows.misconception(
    title="Normalised the columns",
    why="Axis 0 runs down the rows, so summing over it adds up different examples. Each column sums to 1 instead "
    "of each row.",
    next="Reduce along the classes, axis 1.",
    link="reductions-and-keepdim",
)
def normalised_columns(logits):
    weights = (logits - logits.amax(0, keepdim=True)).exp()
    return weights / weights.sum(0, keepdim=True)


@softmax_rows.misconception(
    title="Divided by the sum of the whole table",
    why="Without an axis, `sum` adds up everything. The table as a whole sums to 1, a row only to its share of it.",
    next="Each row has a sum of its own.",
    link="reductions-and-keepdim",
)
def divided_by_everything(logits):
    shifted = logits - logits.amax(1, keepdim=True)
    weights = shifted.exp()
    return weights / weights.sum()


@softmax_rows.misconception(
    title="Subtracted the maximum of the whole table",
    why="It prevents the overflow, but a row far below the largest one underflows. All its exponentials become 0, "
    "and 0 divided by 0 is NaN.",
    next="Subtract each row's own maximum.",
    link="reductions-and-keepdim",
)
def one_maximum_for_all(logits):
    shifted = logits - logits.max()
    weights = shifted.exp()
    return weights / weights.sum(1, keepdim=True)


@softmax_rows.misconception(
    title="Divided the scores themselves",
    why='Without the exponential, negative scores give negative "probabilities". A row that sums to 0 divides by '
    "0.",
    next="Take the exponential first.",
    link="reductions-and-keepdim",
)
def no_exponential(logits):
    return logits / logits.sum(1, keepdim=True)


@softmax_rows.misconception(
    title="The row maxima lost their axis, and lined up with the columns",
    why="`max(1).values` and `amax(1)` give (N,). Beside (N, C) that is aligned from the right, with the columns: in a square table "
    "each row loses other rows' maxima without a word, any other shape raises an error.",
    next="Keep the axis you reduce.",
    link="reductions-and-keepdim",
)
def maxima_lost_their_axis(logits):
    shifted = logits - logits.amax(1)
    weights = shifted.exp()
    return weights / weights.sum(1, keepdim=True)


@softmax_rows.misconception(
    title="`max` along an axis returned a pair",
    why="With an axis, `max` returns two tensors, the values and where they stand. A pair cannot be subtracted from a tensor.",
    next="Take the values out of the pair.",
    link="reductions-and-keepdim",
)
def subtracted_a_pair(logits):
    shifted = logits - logits.max(1, keepdim=True)
    weights = shifted.exp()
    return weights / weights.sum(1, keepdim=True)


@softmax_rows.misconception(
    title="Subtracted the mean of each row",
    why="Any number may be subtracted from a row without changing the result on paper, but not any number prevents "
    "the overflow. A row whose largest score is far above its mean still sends `exp` to infinity.",
    next="After subtracting, no score of the row should be above 0. Which number does that?",
    link="reductions-and-keepdim",
)
def subtracted_the_mean(logits):
    shifted = logits - logits.mean(1, keepdim=True)
    weights = shifted.exp()
    return weights / weights.sum(1, keepdim=True)


@softmax_rows.misconception(
    title="A small number keeps the division alive, but not the result",
    why="Adding something like 1e-8 to the sum prevents 0 divided by 0. A row of very small scores then comes out as all 0, which is no "
    "probability, and against infinity divided by infinity it does nothing.",
    next="Change the scores before `exp`, so that neither happens.",
    link="reductions-and-keepdim",
)
def added_an_epsilon(logits):
    shifted = logits
    weights = shifted.exp()
    return weights / (weights.sum(1, keepdim=True) + 1e-8)


@softmax_rows.misconception(
    title="Changed the caller's scores",
    why="`logits -= …` writes into the tensor that was passed in, and `z = logits` gives it a second name, not a copy. Whoever "
    "passed the scores finds shifted ones in it afterwards.",
    next="Write the subtraction so that it makes a new tensor.",
    link="views-copies-and-in-place-edits",
)
def edited_scores(logits):
    logits -= logits.amax(1, keepdim=True)
    weights = logits.exp()
    return weights / weights.sum(1, keepdim=True)


@softmax_rows.misconception(
    title="Logarithms of probabilities",
    why="The logarithm of each probability came back, as `log_softmax` gives it: numbers of at most 0 that do not sum to 1. Losses "
    "want them; the order asks for the probabilities themselves.",
    next="Leave the logarithm out, or take the exponential last.",
    link="reductions-and-keepdim",
)
def logarithms(logits):
    return torch.log_softmax(logits, 1)


@softmax_rows.misconception(
    title="A batch of one lost its axis",
    why="`squeeze()` takes away *every* axis of length 1. With one example, or one class, the table loses an axis that the next "
    "step counts on.",
    next="The result has the shape of `logits`, whatever N and C are.",
    link="reductions-and-keepdim",
)
def squeezed_probabilities(logits):
    return torch.softmax(logits, 1).squeeze()


@softmax_rows.misconception(**FLOAT32)
def scores_cast_to_float32(logits):
    return torch.softmax(logits.float(), 1)


# Matrix products ----------------------------------------------------------------------------------


@exercise(
    level="guided",
    minutes=5,
    why="Row i of `x` meets row j of `W` in element (i, j); `b` has the shape of a result row, so it is added to each.",
    hints=(
        "Write the shapes side by side: (N, in) and (out, in). Which axes have to meet?",
        "`@` wants the inner lengths to agree: transpose one of the two.",
        "(N, in) @ (in, out) -> (N, out); then add `b`.",
    ),
)
def affine(x: torch.Tensor, W: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Apply a linear layer to a batch: each output is a weighted sum of the inputs, plus a bias.

    x: (N, in). W: (out, in), one row of weights per output. b: (out,). All three are float32, or
    all three float64.
    Returns (N, out), of the same dtype: element (n, o) is the sum over i of x[n, i] * W[o, i],
    plus b[o].
    """
    # solution:
    return x @ W.T + b
    # end solution


@affine.probe
def two_examples(g):
    x = torch.tensor([[1.0, 2.0, 0.0], [0.0, 1.0, -1.0]])
    W = torch.tensor([[1.0, 0.0, 2.0], [0.5, -1.0, 1.0], [2.0, 1.0, 0.0], [0.0, -0.5, 3.0]])
    return x, W, torch.tensor([10.0, 20.0, 30.0, 40.0])


@affine.probe
def wider_layer(g):
    x, W = (torch.randn(*s, generator=g) for s in ((4, 3), (5, 3)))
    return x, W, torch.randn(5, generator=g)


@affine.probe
def one_example_one_output(g):
    x, W = torch.randn(1, 3, generator=g), torch.randn(1, 3, generator=g)
    return x, W, torch.randn(1, generator=g)


@affine.probe
def one_example_four_outputs(g):
    x, W = torch.randn(1, 3, generator=g), torch.randn(4, 3, generator=g)
    return x, W, torch.randn(4, generator=g)


@affine.probe
def all_lengths_equal(g):  # N = in = out: where wrong products keep the shape
    x, W = (torch.randn(3, 3, generator=g) for _ in range(2))
    return x, W, torch.randn(3, generator=g)


@affine.probe
def a_layer_of_float64(g):
    return tuple(torch.randn(*s, generator=g, dtype=torch.float64) for s in ((2, 4), (3, 4), (3,)))


@affine.alternative("`F.linear` is what `nn.Linear` calls.")
def with_linear(x, W, b):
    return F.linear(x, W, b)


@affine.alternative("`einsum` names the axes: over i, for each n and o.")
def with_einsum(x, W, b):
    return torch.einsum("ni,oi->no", x, W) + b


@affine.misconception(
    title="The weights were not transposed",
    why="`@` multiplies rows of the left by columns of the right. PyTorch keeps one *row* of weights per output, (out, in), "
    "so its rows have to become columns first. When all lengths are equal, the wrong product raises no error.",
    next="Which of the two has to be transposed?",
    link="matrix-products",
)
def not_transposed(x, W, b):
    return x @ W + b


@affine.misconception(
    title="Multiplied element by element",
    why="`*` multiplies what lies in the same place and adds nothing up. A layer needs the matrix product.",
    next="The operator for matrix products is `@`.",
    link="matrix-products",
)
def element_by_element(x, W, b):
    return x * W + b


@affine.misconception(
    title="The bias is missing",
    why="Without `b` every output is 0 when all inputs are 0. A layer could then represent no line that misses the "
    "origin.",
    next="Add `b` to every row.",
    link="matrix-products",
)
def without_bias(x, W, b):
    return x @ W.T


@affine.misconception(
    title="The bias went down the rows",
    why="`b[:, None]` is a column: it adds one number per example instead of one per output. It fits only if there "
    "are as many examples as outputs, or one of the two is 1.",
    next="`b` already has the shape of one result row.",
    link="matrix-products",
)
def bias_as_column(x, W, b):
    return x @ W.T + b[:, None]


@affine.misconception(
    title="The result is transposed",
    why="`W @ x.T` puts one example in each *column*. PyTorch keeps the batch on axis 0.",
    next="Let `x` stand on the left.",
    link="matrix-products",
)
def examples_in_columns(x, W, b):
    return W @ x.T + b[:, None]


@affine.misconception(
    title="The result is transposed, and the bias lies across",
    why="`W @ x.T` puts one example in each *column*, (out, N). `b` has one number per output, but beside (out, N) it is aligned with "
    "the columns, the examples: an error, or, if there are as many examples as outputs, a wrong sum without a word.",
    next="Let `x` stand on the left. Then `b` fits as it is.",
    link="matrix-products",
)
def in_columns_with_a_row_of_biases(x, W, b):
    return W @ x.T + b


@affine.misconception(
    title="The weights stand on the wrong side",
    why="On paper a layer is W x + b, for one example written as a column. A batch in PyTorch has one example per *row*: `W @ x` wants "
    "as many rows in `x` as `W` has columns. When all lengths are equal, the wrong product raises no error.",
    next="Put `x` on the left, and see which of the two has to be transposed.",
    link="matrix-products",
)
def weights_on_the_left(x, W, b):
    return W @ x + b


@affine.misconception(
    title="The weights were regrouped, not transposed",
    why="`reshape` makes (in, out) of (out, in) by reading the numbers row by row: the shapes fit, and the weights of different outputs are "
    "mixed. A transpose turns rows into columns.",
    next="Swap the two axes instead of regrouping the numbers.",
    link="reshape-view-permute",
)
def regrouped_weights(x, W, b):
    return x @ W.reshape(W.shape[1], W.shape[0]) + b


LOST_BATCH_OF_ONE: dict[str, Any] = dict(
    title="A batch of one lost its axis",
    why="With one example the result has no batch axis any more: `squeeze` took it, or the example was treated as a vector. The next layer "
    "counts on (N, out), also when N is 1.",
    next="Keep the result two-dimensional, whatever N is.",
    link="matrix-products",
)


@affine.misconception(**LOST_BATCH_OF_ONE)
def squeezed_outputs(x, W, b):
    return (x @ W.T + b).squeeze()


@affine.misconception(**LOST_BATCH_OF_ONE)
def squeezed_the_batch_axis(x, W, b):
    return (x @ W.T + b).squeeze(0)


@affine.misconception(**FLOAT32)
def all_cast_to_float32(x, W, b):
    return x.float() @ W.float().T + b.float()


# Random numbers -----------------------------------------------------------------------------------


@exercise(
    level="independent",
    minutes=8,
    why="A generator of its own gives the same numbers for the same seed, and nobody else's random numbers move.",
    hints=(
        "`torch.manual_seed` sets the generator that everybody shares. Is there another one?",
        "`torch.Generator().manual_seed(seed)` is a generator of your own, and `torch.randn` takes a `generator`.",
        "Noise with standard deviation `std`: `std` times standard normal numbers.",
    ),
    equivalent_mutants=(
        "return x - std * noise",
        "noise = torch.randn(x.shape, generator=generator)",
    ),
)
def add_noise(x: torch.Tensor, std: float, seed: int) -> torch.Tensor:
    """Add normal noise that can be reproduced.

    x: a CPU tensor of float32 or float64, with one axis or more; it may hold a single number.
    std: the noise's standard deviation, 0 or more. seed: an int from 0 to 2**32 - 1.
    Returns a new tensor with the shape and dtype of `x`, each element moved by normal noise of
    its own, with mean 0 and independent of the others'. `x` itself stays as it is, and the result
    never shares its memory, even if `std` is 0.
    The same seed gives the same noise, whatever numbers `x` holds. If `std` is not 0, any other
    seed gives other noise.
    The random numbers that everybody shares, PyTorch's, NumPy's and Python's, go on as if you
    had never been called.
    """
    # solution:
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(x.shape, generator=generator, dtype=x.dtype)
    return x + std * noise
    # end solution


def start_the_world(seed):
    """Set the generators that a whole program shares, and draw the first number from each."""
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)
    return next_of_the_world()


def next_of_the_world():
    """Draw the next number from each generator that a whole program shares."""
    return {
        "PyTorch's": torch.rand(1).item(),
        "NumPy's": np.random.random(),
        "Python's": random.random(),
    }


def fate_of_the_world(first, due, came, came_elsewhere):
    """Say which shared generators are not where they would have been, and how one can tell."""
    words = []
    for name in due:
        if came[name] == first[name]:
            words.append(f"{name} sent back to their start")
        elif came[name] == came_elsewhere[name]:
            words.append(f"{name} set to another place")
        elif came[name] != due[name]:
            words.append(f"{name} used up in part")
    return " and ".join(words) or "undisturbed"


def rounded(value, asked, margin):
    """Give what was asked if a measured value is as near as chance allows, else one digit of it."""
    return asked if abs(value - asked) <= margin else float(f"{value:.1g}")


FORM = "shape and dtype"
KEPT = "`x` is left alone"
NEW = "the result is a new tensor"
NUMBERS = "random numbers drawn"
MEAN = "the rough mean of the noise"
SIZE = "the rough standard deviation of the noise"
NORMAL = "the noise is normally distributed"
UNRELATED = "the noise of one element says nothing about its neighbour's"
MOVED = "a single number is moved by a finite amount"
HUNDRED_SEEDS = "the hundred next seeds give a single number other noise"
SAME = "the same seed gives the same noise"
NEXT_SEED = "the next seed gives other noise"
FAR_SEED = "seeds further away give other noise"
OTHER_SEEDS = {NEXT_SEED: (1,), FAR_SEED: (10, 100, 1000, 2**16)}
SHARED = "the shared random numbers"


def form_of(result):
    """Say what comes back: a tensor's shape and dtype, or the kind of object."""
    if isinstance(result, torch.Tensor):
        return f"{tuple(result.shape)}, {str(result.dtype).removeprefix('torch.')}"
    return "nothing" if result is None else type(result).__name__


def looks_normal(centred):
    """Whether numbers lie as normal ones do: along the curve, far out too, and not cut off at an end."""
    ordered = (centred / centred.std()).flatten().sort().values
    curve = 0.5 * (1 + torch.erf(ordered / math.sqrt(2)))
    reached = (torch.arange(len(ordered)) + 0.5) / len(ordered)
    far = ordered.abs()
    last, _, third_from_last = far.topk(3).values.tolist()
    third = 1 - math.erf(math.sqrt(0.5))
    return (
        bool((curve - reached).abs().max() < 0.04)
        and abs((far > 1).double().mean().item() - third) < 0.04
        and last > 2.6
        and last - third_from_last > 1e-6
    )


def looks_unrelated(centred):
    """Whether neighbours, along each axis and in reading order, are not correlated."""
    size = centred.square().mean()
    for line in (centred, centred.flatten()):
        for axis, length in enumerate(line.shape):
            one, other = line.narrow(axis, 0, length - 1), line.narrow(axis, 1, length - 1)
            if abs((one * other).mean() / size) > 0.15:
                return False
    return True


def of_a_single_number(answer, x, std, seed):
    """Say whether a single number is moved, and otherwise than by any of the hundred next seeds."""
    moved = answer(x.clone(), std, seed)
    others = [answer(x.clone(), std, seed + step) for step in range(1, 101)]
    return {
        MOVED: bool(moved.isfinite()) and not torch.equal(moved, x),
        HUNDRED_SEEDS: not any(torch.equal(moved, other) for other in others),
    }


def measured(noise, std):
    """Measure noise: how many numbers it has, their mean, their size, and how they lie.

    How it is distributed is told only of noise around 0: what shifts it may hide the noise itself.
    """
    if std and not noise.any():
        return {NUMBERS: "none that moves an element"}
    numbers = (noise / (std or 1)).round(decimals=5).abs().unique()
    centred = noise - noise.mean()
    if len(numbers) < 0.9 * noise.numel() and std:
        alone = bool(centred.abs().max() < 1e-4 * std)
        return {NUMBERS: "one for all elements" if alone else "fewer than there are elements"}
    mean, size = noise.mean().item(), noise.std().item()
    seen = {
        NUMBERS: "one for each element",
        MEAN: rounded(mean, 0.0, 0.1 * (std or 1)),
        SIZE: rounded(size, std, 0.1 * std),
    }
    if seen[MEAN] == 0:
        seen[NORMAL] = size == 0 or looks_normal(centred)
        seen[UNRELATED] = size == 0 or looks_unrelated(centred)
    return seen


@add_noise.drive
def look_at_the_noise(answer, x, std, seed):
    first = start_the_world(99)
    due = next_of_the_world()
    start_the_world(99)
    given = x.clone()
    noisy = answer(given, std, seed)
    came = next_of_the_world()
    seen = {FORM: form_of(noisy), KEPT: torch.equal(given, x)}
    if not isinstance(noisy, torch.Tensor) or noisy.shape != x.shape:
        return seen
    seen[NEW] = noisy.untyped_storage().data_ptr() != given.untyped_storage().data_ptr()
    noise = noisy.double() - x.double()

    start_the_world(77)
    again = answer(torch.zeros_like(x), std, seed).double()
    came_elsewhere = next_of_the_world()

    def alike(other):
        return torch.allclose(noise, other, rtol=0, atol=1e-3 * std + 1e-5)

    seen[SAME] = alike(again)
    seen[SHARED] = fate_of_the_world(first, due, came, came_elsewhere)
    if x.numel() == 1:
        return seen | of_a_single_number(answer, x, std, seed)
    seen |= measured(noise, std)
    for claim, steps in OTHER_SEEDS.items():
        others = (answer(x.clone(), std, seed + step).double() - x.double() for step in steps)
        seen[claim] = std == 0 or not any(alike(other) for other in others)
    return seen


@add_noise.probe
def a_long_row(g):
    return 10 + 5 * torch.randn(3000, generator=g, dtype=torch.float64), 0.6, 1


@add_noise.probe
def a_table(g):
    return torch.zeros(60, 50), 2.0, 0


@add_noise.probe
def a_batch_turned_around(g):  # its memory is not in reading order
    return torch.randn(5, 20, 30, generator=g).transpose(0, 2), 0.004, 122


@add_noise.probe
def no_noise_at_all(g):
    return torch.randn(40, 50, generator=g), 0.0, 5


@add_noise.probe
def a_single_number(g):
    return torch.zeros(1, 1, dtype=torch.float64), 1.5, 0


@add_noise.alternative("`torch.normal` takes mean and standard deviation.")
def with_normal(x, std, seed):
    return torch.normal(x, std, generator=torch.Generator().manual_seed(seed))


@add_noise.alternative("The global state is borrowed and given back.")
def with_fork_rng(x, std, seed):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return x + std * torch.randn_like(x)


@add_noise.misconception(
    title="Reset everybody's random numbers",
    why="Shuffling, dropout and initial weights share one generator. Set to a seed of your own in the middle of a program, as "
    "`torch.manual_seed` does, it makes all of them repeat themselves.",
    next="Make a generator of your own and hand it to `torch.randn`. With it, `torch.manual_seed` has no place in the function.",
    link="random-numbers-you-can-repeat",
)
def reset_the_world(x, std, seed):
    torch.manual_seed(seed)
    return x + std * torch.randn_like(x)


@add_noise.misconception(
    title="Sent everybody's random numbers back to their start",
    why="`torch.initial_seed()` tells with which number the shared generator was started, not how far it has come since. Seeded with "
    "it again, the program draws all its earlier numbers a second time.",
    next="Leave the shared generator alone: make one of your own.",
    link="random-numbers-you-can-repeat",
)
def wound_the_world_back(x, std, seed):
    before = torch.initial_seed()
    torch.manual_seed(seed)
    noisy = x + std * torch.randn_like(x)
    torch.manual_seed(before)
    return noisy


@add_noise.misconception(
    title="Reset NumPy's random numbers for everybody",
    why="`np.random.seed` sets the one generator that all code using `np.random` shares. That PyTorch's numbers go on undisturbed "
    "is no comfort to whoever shuffles with NumPy.",
    next="Make a generator of your own, in NumPy or in PyTorch.",
    link="random-numbers-you-can-repeat",
)
def reset_numpys_world(x, std, seed):
    np.random.seed(seed)
    return x + torch.from_numpy(np.random.normal(0, std, tuple(x.shape))).to(x.dtype)


@add_noise.misconception(
    title="The seed is not used",
    why="The noise comes from the global generator, wherever it happens to stand, so every call gives other noise. "
    "The numbers that others would have drawn are used up, too.",
    next="Make a generator with this seed, and pass it to the function that draws.",
    link="random-numbers-you-can-repeat",
)
def ignored_the_seed(x, std, seed):
    return x + std * torch.randn_like(x)


LEFT_OVER = torch.Generator()


@add_noise.misconception(
    title="The generator does not start at the seed in every call",
    why="The shared generators are left in peace, but the noise comes from one that goes on from the last call, or starts at a "
    "random place. So the same seed gives other noise the second time.",
    next="Start the generator at `seed` each time the function is called.",
    link="random-numbers-you-can-repeat",
)
def went_on_from_the_last_call(x, std, seed):
    return x + std * torch.randn(x.shape, generator=LEFT_OVER, dtype=x.dtype)


@add_noise.misconception(
    title="The shared generator was given back, but never set to the seed",
    why="Whoever borrows PyTorch's shared generator and puts its state back disturbs nobody. But the noise starts where that generator happens "
    "to stand, whatever `seed` is. So the same seed gives other noise the second time.",
    next="Where does `seed` come in? Either seed what you have borrowed, or make a generator of your own.",
    link="random-numbers-you-can-repeat",
)
def borrowed_without_the_seed(x, std, seed):
    with torch.random.fork_rng(devices=[]):
        return x + std * torch.randn_like(x)


@add_noise.misconception(
    title="Uniform instead of normal noise",
    why="`rand` is uniform between 0 and 1: never negative, so it shifts the data, and never far out. `randn` is the "
    "normal distribution; one letter apart.",
    next="Look at the letter n.",
    link="random-numbers-you-can-repeat",
)
def uniform_noise(x, std, seed):
    generator = torch.Generator().manual_seed(seed)
    return x + std * torch.rand(x.shape, generator=generator, dtype=x.dtype)


@add_noise.misconception(
    title="One random number for all elements",
    why="A single draw is stretched over the whole tensor and shifts every element by the same amount. That is an "
    "offset, not noise.",
    next="Draw as many numbers as `x` has elements: pass its shape.",
    link="random-numbers-you-can-repeat",
)
def one_draw(x, std, seed):
    generator = torch.Generator().manual_seed(seed)
    return x + std * torch.randn(1, generator=generator, dtype=x.dtype)


@add_noise.misconception(
    title="Elements share their random numbers",
    why="Fewer numbers were drawn than there are elements, and they were stretched or used again along an axis: every row, or every column, "
    "is moved in the same way. That is not independent noise.",
    next="Draw as many numbers as `x` has elements: pass its whole shape.",
    link="broadcasting",
)
def the_same_in_every_row(x, std, seed):
    generator = torch.Generator().manual_seed(seed)
    return x + std * torch.randn(x.shape[-1], generator=generator, dtype=x.dtype)


@add_noise.misconception(
    title="The noise has the square of the size asked for",
    why="`randn` has standard deviation 1, and multiplying it by `std` gives the standard deviation `std`. `std` squared is the variance.",
    next="Multiply by `std`, once.",
    link="random-numbers-you-can-repeat",
)
def squared_size(x, std, seed):
    generator = torch.Generator().manual_seed(seed)
    return x + std**2 * torch.randn(x.shape, generator=generator, dtype=x.dtype)


@add_noise.misconception(
    title="The noise has the root of the size asked for",
    why="The root would be right if `std` were a variance. It is the standard deviation already: `randn` has 1, and it grows in "
    "proportion to what you multiply by.",
    next="Multiply by `std` itself.",
    link="random-numbers-you-can-repeat",
)
def root_of_the_size(x, std, seed):
    generator = torch.Generator().manual_seed(seed)
    return x + std**0.5 * torch.randn(x.shape, generator=generator, dtype=x.dtype)


@add_noise.misconception(
    title="`std` is not used",
    why="`randn` has standard deviation 1, and that is what came out, whatever was asked for. Noise for data of "
    "another scale would drown it, or vanish in it.",
    next="Make the noise as large as `std` says.",
    link="random-numbers-you-can-repeat",
)
def always_size_one(x, std, seed):
    generator = torch.Generator().manual_seed(seed)
    return x + torch.randn(x.shape, generator=generator, dtype=x.dtype)


@add_noise.misconception(
    title="The same noise for every seed",
    why="The noise can be repeated, but it does not depend on `seed`. It comes from a generator that was given a "
    "fixed seed, or none: a new `torch.Generator()` starts at the same place every time.",
    next="Give the generator the `seed` that comes in.",
    link="random-numbers-you-can-repeat",
)
def fixed_seed(x, std, seed):
    generator = torch.Generator().manual_seed(0)
    return x + std * torch.randn(x.shape, generator=generator, dtype=x.dtype)


@add_noise.misconception(
    title="Changed the caller's tensor",
    why="`x += …` and methods that end in an underscore write into the tensor that was passed in. Whoever owns it has lost "
    "the clean numbers.",
    next="Write the sum so that it makes a new tensor.",
    link="views-copies-and-in-place-edits",
)
def noise_in_place(x, std, seed):
    generator = torch.Generator().manual_seed(seed)
    x += std * torch.randn(x.shape, generator=generator, dtype=x.dtype)
    return x


@add_noise.misconception(
    title="Without noise, the result has the memory of `x`",
    why="A new tensor was asked for. If now and then it is the old one, or a view of it, an edit of the result changes `x`, but only "
    "when `std` is 0: such errors are hard to find.",
    next="Copy `x` in that case, or leave the case out: adding 0 makes a new tensor.",
    link="views-copies-and-in-place-edits",
)
def itself_without_noise(x, std, seed):
    if std == 0:
        return x
    generator = torch.Generator().manual_seed(seed)
    return x + std * torch.randn(x.shape, generator=generator, dtype=x.dtype)


ZERO_IS_NO_SEED: dict[str, Any] = dict(
    title="Seed 0 counted as no seed",
    why="0 is false in Python: for 0, `seed or 1` gives 1 and `seed or 42` gives 42. So seed 0 gives the same noise as that other seed.",
    next="Every int from 0 on is a seed like any other: use it as it is.",
    link="random-numbers-you-can-repeat",
)


@add_noise.misconception(**ZERO_IS_NO_SEED)
def zero_is_no_seed(x, std, seed):
    generator = torch.Generator().manual_seed(seed or 1)
    return x + std * torch.randn(x.shape, generator=generator, dtype=x.dtype)


@add_noise.misconception(**ZERO_IS_NO_SEED)
def zero_is_forty_two(x, std, seed):
    generator = torch.Generator().manual_seed(seed or 42)
    return x + std * torch.randn(x.shape, generator=generator, dtype=x.dtype)


PULLED_STRAIGHT: dict[str, Any] = dict(
    title="The noise was centred on itself",
    why="Mean 0 belongs to the distribution the numbers are drawn from, not to each sample. Less its own mean, every number depends on "
    "all the others: a single one becomes 0 and moves nothing, and divided by its own deviation it is NaN.",
    next="`torch.randn` has mean 0 and standard deviation 1 already. Multiply, and leave the rest to chance.",
    link="random-numbers-you-can-repeat",
)


@add_noise.misconception(**PULLED_STRAIGHT)
def less_its_mean(x, std, seed):
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(x.shape, generator=generator, dtype=x.dtype)
    return x + std * (noise - noise.mean())


@add_noise.misconception(**PULLED_STRAIGHT)
def standardised(x, std, seed):
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(x.shape, generator=generator, dtype=x.dtype)
    return x + std * (noise - noise.mean()) / noise.std()


@add_noise.misconception(
    title="The noise brought its own dtype along",
    why="NumPy draws float64 numbers, and so does `torch.randn` when it is told to. Where a float64 tensor meets a float32 one, the "
    "sum is float64: twice the memory, and layers that hold float32 will not take it.",
    next="Give the noise the dtype of `x` before you add it.",
    link="dtypes-decide-what-arithmetic-means",
    shows=FORM,
)
def noise_in_float64(x, std, seed):
    return x + torch.from_numpy(np.random.default_rng(seed).normal(0, std, x.shape))


# The bug clinic -----------------------------------------------------------------------------------


@exercise(
    level="clinic",
    minutes=6,
    why="Predictions and labels have the same shape before they are compared, and the mean of N matches is a fraction.",
    hints=(
        "Print the shapes of both sides of `==`, and of its result.",
        "(N,) == (N, 1) broadcasts to (N, N). Every prediction is compared with every label.",
        "Take the column out of `labels`: `labels[:, 0]` or `labels.squeeze(1)`.",
    ),
)
def fraction_correct(scores: torch.Tensor, labels: torch.Tensor) -> float:
    """Compute the fraction of rows whose highest score is the label's.

    scores: (N, C), float32; in every row the highest leads by 0.01 or more. labels: (N, 1) int64,
    as a table's last column gives them.
    Returns a Python float from 0 to 1.
    """
    matches = scores.argmax(1) == labels.squeeze(1)
    return matches.sum().item() / len(labels)


@fraction_correct.drive
def compute_and_look_at_the_type(answer, scores, labels):
    fraction = answer(scores, labels)
    if not isinstance(fraction, int | float | np.number):
        return {"result": fraction}
    kind = "float" if isinstance(fraction, float) else type(fraction).__name__
    return {"result": float(fraction), "the type of the result": kind}


@fraction_correct.probe
def three_of_four(g):
    scores = torch.eye(4)[[0, 1, 1, 0]]
    return scores, torch.tensor([[0], [1], [1], [2]])


@fraction_correct.probe
def half_right(
    g,
):  # the labels' scores are high in the wrong rows as well, and the last row is right
    labels = torch.randint(0, 3, (8, 1), generator=g)
    scores = torch.randn(8, 3, generator=g) + 9 * F.one_hot(labels[:, 0], 3)
    scores[torch.arange(4), (labels[:4, 0] + 1) % 3] += 20
    return scores, labels


@fraction_correct.probe
def as_many_as_classes(g):
    labels = torch.tensor([[2], [0], [2]])
    scores = torch.randn(3, 3, generator=g)
    scores[:2] += 9 * F.one_hot(labels[:2, 0], 3)
    scores[2, 1] += 9
    return scores, labels


@fraction_correct.probe
def all_right_with_low_scores(g):
    labels = torch.tensor([[1], [0], [3], [3], [1], [2]])
    return torch.randn(6, 4, generator=g) - 40 + 9 * F.one_hot(labels[:, 0], 4), labels


@fraction_correct.probe
def one_of_five(g):  # few predictions match any label at all
    scores = torch.rand(5, 6, generator=g)
    scores[torch.arange(5), torch.tensor([0, 1, 1, 2, 3])] += 2
    return scores, torch.tensor([[1], [5], [4], [5], [3]])


@fraction_correct.probe
def one_row_right(g):
    return torch.tensor([[0.2, 1.5, -1.0]]), torch.tensor([[1]])


@fraction_correct.probe
def large_and_close_scores(g):  # where sigmoid, exp, rounding and float16 make ties
    pairs = torch.tensor(
        [[20.0, 30.0], [90.0, 100.0], [0.6, 0.9], [500.0, 500.1], [-120.0, -110.0]]
    )
    scores = torch.cat([pairs, pairs.flip(1)])
    scores = torch.cat([scores, scores.min(1, keepdim=True).values - 7], 1)
    labels = torch.tensor([1] * 5 + [0] * 5)[:, None]
    labels[4] = 2
    return scores, labels


@fraction_correct.alternative("The mean of the matches, as floats.")
def mean_of_matches(scores, labels):
    return (scores.argmax(1) == labels.flatten()).float().mean().item()


@fraction_correct.alternative("Or keep the column on both sides.")
def column_against_column(scores, labels):
    return (scores.argmax(1, keepdim=True) == labels).double().mean().item()


def whole_table_words(scores, labels):
    n = len(labels)
    return f"({n},) against ({n}, 1) is a table of the shape ({n}, {n})."


@fraction_correct.misconception(
    title="Every prediction was compared with every label",
    why="(N,) against (N, 1) broadcasts to (N, N). All the matches in that table are counted and divided by N: the "
    '"fraction" can reach N.',
    next="Print the shape of each side of `==`, and make them equal.",
    link="the-trap-n-1-against-n",
    starter=True,
    evidence=whole_table_words,
)
def compared_everything(scores, labels):
    matches = scores.argmax(1) == labels
    return matches.sum().item() / len(labels)


@fraction_correct.misconception(
    title="Still compared with every label, only averaged",
    why="Dividing by the N times N entries brings the number back between 0 and 1, and hides the mistake better. "
    "The table still compares every prediction with every label.",
    next="Mend the comparison, not the division: print its shape.",
    link="the-trap-n-1-against-n",
    evidence=whole_table_words,
)
def averaged_everything(scores, labels):
    matches = scores.argmax(1) == labels
    return matches.float().mean().item()


BEST_ROW: dict[str, Any] = dict(
    title="Took the best row of each class",
    why="`argmax(0)` runs down the rows: it finds, for each class, the example that scores highest. One prediction per "
    "example is due, along axis 1.",
    next="Choose the axis of the classes.",
    link="reductions-and-keepdim",
)


@fraction_correct.misconception(**BEST_ROW)
def best_row(scores, labels):
    matches = scores.argmax(0) == labels
    return matches.sum().item() / len(labels)


@fraction_correct.misconception(**BEST_ROW)
def best_row_beside_the_label(scores, labels):
    matches = scores.argmax(0) == labels[:, 0]
    return matches.sum().item() / len(labels)


@fraction_correct.misconception(
    title="Changed the caller's labels",
    why="`squeeze_` and `resize_`, like every method that ends in an underscore, work on the very tensor that was passed in. "
    "Whoever passed a column finds a tensor of another shape afterwards, and a second call may fail.",
    next="Leave out the underscore, and use what comes back.",
    link="views-copies-and-in-place-edits",
)
def squeezed_the_callers_labels(scores, labels):
    labels.squeeze_(1)
    return (scores.argmax(1) == labels).sum().item() / len(labels)


COUNTED: dict[str, Any] = dict(
    title="The number of hits instead of their fraction",
    why="The number of hits depends on how many rows there are. A fraction does not. Where you do divide, you divide by 1: the column's "
    "second axis has that length, and after `.T` it comes first.",
    next="Divide by the number of rows, and print it to be sure.",
    link="reductions-and-keepdim",
)


@fraction_correct.misconception(**COUNTED)
def counted(scores, labels):
    return (scores.argmax(1) == labels[:, 0]).sum().item()


@fraction_correct.misconception(**COUNTED)
def counted_in_floats(scores, labels):
    return float((scores.argmax(1) == labels[:, 0]).sum())


@fraction_correct.misconception(
    title="Per cent instead of a fraction",
    why="The number is 100 times too large: the order asks for a number from 0 to 1. Mixed with fractions from "
    "elsewhere, it spoils every comparison.",
    next="Leave out the 100.",
    link="reductions-and-keepdim",
)
def per_cent(scores, labels):
    return 100 * (scores.argmax(1) == labels[:, 0]).float().mean().item()


@fraction_correct.misconception(
    title="Returned a tensor",
    why="The number is right, but it is still a tensor without axes. A metric is for printing and comparing: a Python "
    "number does that, and keeps nothing else alive.",
    next="`.item()` takes the number out.",
    link="reductions-and-keepdim",
)
def still_a_tensor(scores, labels):
    return (scores.argmax(1) == labels[:, 0]).float().mean()


ALL_OR_NOTHING: dict[str, Any] = dict(
    title="All or nothing",
    why="The result is 1 if every row is right, and 0 as soon as one is wrong. A whole-number division does that, as `//` and `int()` cut "
    "the fraction off; so does `all()`, and comparing everything at once.",
    next="Count the rows that are right, and divide with `/`.",
    link="dtypes-decide-what-arithmetic-means",
)


@fraction_correct.misconception(**ALL_OR_NOTHING)
def whole_division(scores, labels):
    matches = scores.argmax(1) == labels.squeeze(1)
    return matches.sum().item() // len(labels)


@fraction_correct.misconception(**ALL_OR_NOTHING)
def all_or_nothing(scores, labels):
    return float((scores.argmax(1) == labels.squeeze(1)).all())


@fraction_correct.misconception(
    title="The number was cut off at 1",
    why="`min` hides that the number cannot be right: where every prediction is compared with every label, there may be more matches than "
    "rows. Below 1 the result is as wrong as before.",
    next="Take the limit away again and print the shape of the comparison.",
    link="the-trap-n-1-against-n",
    evidence=whole_table_words,
)
def capped_at_one(scores, labels):
    matches = scores.argmax(1) == labels
    return min(1.0, matches.sum().item() / len(labels))


@fraction_correct.misconception(
    title="A match with any row's prediction counts",
    why="The comparison still gives a table, every prediction against every label. Asking whether *any* entry of a row holds counts a "
    "label as right if the model predicted that class for some example, not for this one.",
    next="Mend the comparison, so that there is one entry per example.",
    link="the-trap-n-1-against-n",
    evidence=whole_table_words,
)
def any_match(scores, labels):
    matches = (scores.argmax(1) == labels).any(1)
    return matches.sum().item() / len(labels)


@fraction_correct.misconception(
    title="The fraction of wrong answers",
    why="`!=` marks the rows where prediction and label differ. So the result is the error rate: 0 for a perfect "
    "model.",
    next="Which rows should count?",
    link="indexing-with-tensors",
)
def error_rate(scores, labels):
    return (scores.argmax(1) != labels[:, 0]).float().mean().item()


TIES: dict[str, Any] = dict(
    title="Different scores became equal on the way",
    why="In float32 `sigmoid` gives 1 for 20 as for 30, and `exp` gives infinity for 90 as for 100. Then two scores of a row tie, and "
    "`argmax` may return the wrong one. The highest score is the highest without any of that.",
    next="Take `argmax` of the scores themselves.",
    link="reductions-and-keepdim",
)


@fraction_correct.misconception(**TIES)
def argmax_of_sigmoids(scores, labels):
    return (scores.sigmoid().argmax(1, keepdim=True) == labels).float().mean().item()


@fraction_correct.misconception(**TIES)
def argmax_of_exponentials(scores, labels):
    return (scores.exp().argmax(1, keepdim=True) == labels).float().mean().item()


@fraction_correct.misconception(
    title="Compared the highest score with the label",
    why="`max` gives two things for each row: its highest score, and the place where that stands. A label is a place, the number of "
    "a class. A score equals it only by chance.",
    next="Ask where the highest score stands, not how high it is.",
    link="reductions-and-keepdim",
)
def compared_the_score(scores, labels):
    best, _ = scores.max(dim=1)
    return (best == labels[:, 0]).sum().item() / len(labels)
