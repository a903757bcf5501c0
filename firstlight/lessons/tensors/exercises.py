"""What the student writes in lesson 1, Tensors, and every known way to get it wrong."""

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

    table: an array of any shape, of int64, float32 or float64.
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
    table -= 100
    return {"result": before, "the tensor stays the same when `table` is edited": unchanged}


@to_float_tensor.probe
def three_measurements(g):
    return (torch.randn(3, generator=g).numpy().astype(np.float64),)


@to_float_tensor.probe
def a_table_of_float32(g):  # where sharing is easy to miss
    return (torch.randn(2, 3, generator=g).numpy(),)


@to_float_tensor.probe
def whole_numbers(g):
    return (torch.randint(0, 50, (2, 5), generator=g).numpy(),)


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
    link="what-a-tensor-is",
)
def copied_as_is(table):
    return torch.tensor(table)


@to_float_tensor.misconception(
    title="The tensor still shares the array's memory",
    why="A change of dtype makes a new tensor only if there is something to change. An array that is float32 already "
    "comes through untouched, and array and tensor stay two names for the same memory. That works until "
    "somebody edits the array.",
    next="Make a copy whatever dtype comes in.",
    link="arrays-and-tensors-can-share-memory",
    shows="the tensor stays the same when `table` is edited",
)
def shared_if_already_float(table):
    return torch.from_numpy(table).float()


@to_float_tensor.misconception(
    title="The numbers were cut to integers",
    why="An integer dtype drops everything after the point: 0.7 becomes 0, without a word.",
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

    images: uint8, any shape, 0 is black and 255 is white.
    amount: an int from -255 to 255, added to every pixel.
    Returns uint8 of the same shape. A pixel that would leave 0…255 stops at the end of the
    range. `images` itself stays as it is.
    """
    # solution:
    wide = images.to(torch.int16) + amount
    return wide.clamp(0, 255).to(torch.uint8)
    # end solution


@brighten.probe
def a_bright_row(g):
    return torch.tensor([0, 20, 128, 250], dtype=torch.uint8), 10


@brighten.probe
def a_dark_batch(g):
    return torch.randint(0, 256, (2, 3, 4), generator=g, dtype=torch.uint8), -60


@brighten.probe
def a_sideways_image(g):  # its memory is not in reading order
    return torch.randint(0, 256, (4, 3), generator=g, dtype=torch.uint8).T, -255


@brighten.probe
def a_black_out(g):
    return torch.randint(0, 256, (2, 4), generator=g, dtype=torch.uint8), 255


@brighten.probe
def a_glaring_batch(g):
    return torch.randint(100, 256, (3, 5), generator=g, dtype=torch.uint8), 200


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
    why="The arithmetic is right, but what comes back is wider than a byte. Whoever stores or shows it "
    "expects uint8, and floats from 0 to 255 are shown as all white.",
    next="Turn the clamped result back into bytes.",
    link="dtypes-decide-what-arithmetic-means",
)
def left_as_float(images, amount):
    return (images.float() + amount).clamp(0, 255)


@brighten.misconception(
    title="The result is no longer uint8, but a wider integer",
    why="The arithmetic is right, but the result is still in the wider dtype that the sum needed: it takes "
    "more memory, and code that expects bytes will not take it.",
    next="Turn the clamped result back into bytes.",
    link="dtypes-decide-what-arithmetic-means",
)
def left_as_wide_integer(images, amount):
    return (images.to(torch.int16) + amount).clamp(0, 255)


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

    images: (N, C, H, W), in any memory layout.
    Returns (N, C * H * W): row i holds image i, in the order channel, row, column.
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
    why="The merging started one axis too late: each channel has a row of its own, and the result has three axes "
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

    images: (N, H, W, C), as most image libraries give them.
    Returns (N, C, H, W) with every pixel in its place.
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


@channels_first.alternative("`movedim` names the one axis that moves.")
def with_movedim(images):
    return images.movedim(-1, 1)


@channels_first.alternative("Two swaps do it as well.")
def with_two_transposes(images):
    return images.transpose(1, 3).transpose(2, 3)


@channels_first.misconception(
    title="Regrouped the numbers instead of moving the axes",
    why="`reshape` and `view` read the numbers in memory order and cut them into new groups. The shape comes out "
    "right, and the picture is scrambled: pixels of different places and channels are mixed.",
    next="Use the method that reorders axes.",
    link="reshape-view-permute",
)
def reshaped(images):
    n, height, width, channels = images.shape
    return images.reshape(n, channels, height, width)


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

    scores: (N, C), one row of class scores per example.
    labels: (N,) int64, each from 0 to C-1.
    Returns (N,): element i is the score that row i gives to class labels[i].
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

    pred: (N, 1), as a linear layer returns it. target: (N,), as a data set holds it.
    Returns a tensor without axes: the mean of (pred_i - target_i) squared.
    """
    # solution:
    error = pred.squeeze(1) - target
    return (error**2).mean()
    # end solution


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
    title="Summed instead of averaged",
    why="The sum grows with the batch: twice the examples, twice the loss, twice the gradient. The mean does not "
    "depend on how many examples there are.",
    next="Divide by the number of examples.",
    link="reductions-and-keepdim",
)
def summed(pred, target):
    return ((pred[:, 0] - target) ** 2).sum()


@mean_squared_error.misconception(
    title="The errors were not squared",
    why="Errors of opposite sign cancel, and a model that is far off in both directions looks perfect.",
    next="Square each error before you average.",
    link="reductions-and-keepdim",
)
def not_squared(pred, target):
    return (pred[:, 0] - target).mean()


@mean_squared_error.misconception(
    title="Took the size of the errors, not their square",
    why="The mean of the absolute errors is another loss: it forgives large errors more than the squared one does.",
    next="Square each error before you average.",
    link="reductions-and-keepdim",
)
def absolute_error(pred, target):
    return (pred[:, 0] - target).abs().mean()


@mean_squared_error.misconception(
    title="Averaged first, squared afterwards",
    why="The square of the mean error is not the mean of the squared errors: errors of opposite sign have cancelled "
    "before they are squared.",
    next="The square comes first, the mean last.",
    link="reductions-and-keepdim",
)
def squared_the_mean(pred, target):
    return (pred[:, 0] - target).mean() ** 2


@mean_squared_error.misconception(
    title="Took a root at the end",
    why="The root of the mean squared error is a useful number to report, but it is not the loss that was asked for, "
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


@exercise(
    level="independent",
    minutes=8,
    why="The axes of length 1 make every row of `a` meet every row of `b`: (N, 1, D) and (1, M, D) give (N, M, D).",
    hints=(
        "Without a loop, every row of `a` has to meet every row of `b`. Which shapes would stretch against each other?",
        "Bring them to (N, 1, D) and (1, M, D) and subtract.",
        "After subtracting, the coordinates lie on the last axis. Square, sum over it, take the root.",
        "`a[:, None, :]` inserts the axis.",
    ),
)
def pairwise_distances(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Measure the distance from every point of `a` to every point of `b`.

    a: (N, D), b: (M, D), one point per row.
    Returns (N, M): element (i, j) is the Euclidean distance between a[i] and b[j]. A loop would
    do it; broadcasting does it at once.
    """
    # solution:
    gaps = a[:, None, :] - b[None, :, :]  # (N, 1, D) - (1, M, D) -> (N, M, D)
    return (gaps**2).sum(-1).sqrt()
    # end solution


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
    a = 10 + torch.randn(6, 3, generator=g)
    return a, a.clone()


@pairwise_distances.probe
def as_many_as_coordinates(g):
    a = torch.randn(3, 3, generator=g)
    return a, torch.randn(3, 3, generator=g)


@pairwise_distances.alternative("PyTorch has it ready.")
def with_cdist(a, b):
    return torch.cdist(a, b)


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
    why="The sum of squares is the squared distance: 25 where 5 is due.",
    next="One step is missing at the end.",
    link="broadcasting",
)
def still_squared(a, b):
    return ((a[:, None] - b) ** 2).sum(-1)


@pairwise_distances.misconception(
    title="The table is transposed",
    why="The new axes went the wrong way round: element (i, j) is the distance from b[i] to a[j].",
    next="`a` belongs on axis 0 of the result, `b` on axis 1.",
    link="broadcasting",
)
def transposed_table(a, b):
    return ((b[:, None] - a) ** 2).sum(-1).sqrt()


@pairwise_distances.misconception(
    title="Summed the absolute differences",
    why="That is the city-block distance: along the streets, not as the crow flies.",
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

    logits: (N, C), of any magnitude: 1000 and -1000, too.
    Returns (N, C): every element is finite and at least 0, and every row sums to 1. PyTorch has
    this ready as `softmax`; the point is to see what it takes.
    """
    # solution:
    shifted = logits - logits.amax(1, keepdim=True)
    weights = shifted.exp()
    return weights / weights.sum(1, keepdim=True)
    # end solution


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


@softmax_rows.alternative("Subtract the logarithm of the sum and take the exponential last.")
def through_the_logarithm(logits):
    return (logits - logits.logsumexp(1, keepdim=True)).exp()


@softmax_rows.alternative("PyTorch's own: the numbers are the same.")
def built_in(logits):
    return logits.softmax(dim=1)


@softmax_rows.misconception(
    title="Overflowed",
    why="`exp(1000)` is infinite, and infinity divided by infinity is NaN. Small scores work, so a test on them passes; "
    "the first confident model breaks it.",
    next="Subtract something from each row first that leaves the result as it is.",
    link="reductions-and-keepdim",
)
def overflowed(logits):
    weights = logits.exp()
    return weights / weights.sum(1, keepdim=True)


@softmax_rows.misconception(
    title="The row sums lost their axis, and lined up with the columns",
    why="`sum(1)` gives (N,). Beside (N, C) it is aligned from the right, with the columns: a square table is divided "
    "column by column without a word, any other shape raises an error.",
    next="Keep the axis you reduce.",
    link="reductions-and-keepdim",
)
def lost_the_axis(logits):
    weights = (logits - logits.amax(1, keepdim=True)).exp()
    return weights / weights.sum(1)


@softmax_rows.misconception(
    title="Normalised the columns",
    why="Axis 0 runs down the rows: summing over it adds different examples, and each column sums to 1 instead of "
    "each row.",
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
    weights = (logits - logits.amax(1, keepdim=True)).exp()
    return weights / weights.sum()


@softmax_rows.misconception(
    title="Subtracted the maximum of the whole table",
    why="It prevents the overflow, but a row far below the largest one underflows: all its exponentials become 0, "
    "and 0 divided by 0 is NaN.",
    next="Subtract each row's own maximum.",
    link="reductions-and-keepdim",
)
def one_maximum_for_all(logits):
    weights = (logits - logits.max()).exp()
    return weights / weights.sum(1, keepdim=True)


@softmax_rows.misconception(
    title="Divided the scores themselves",
    why='Without the exponential, negative scores give negative "probabilities", and a row that sums to 0 divides by 0.',
    next="Take the exponential first.",
    link="reductions-and-keepdim",
)
def no_exponential(logits):
    return logits / logits.sum(1, keepdim=True)


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
    """Apply a linear layer to a batch, as `nn.Linear` does in lesson 3.

    x: (N, in). W: (out, in), one row of weights per output. b: (out,).
    Returns (N, out).
    """
    # solution:
    return x @ W.T + b
    # end solution


@affine.probe
def two_examples(g):
    x = torch.tensor([[1.0, 2.0, 0.0], [0.0, 1.0, -1.0]])
    W = torch.tensor([[1.0, 0.0, 2.0], [0.5, -1.0, 1.0]])
    return x, W, torch.tensor([10.0, 20.0])


@affine.probe
def wider_layer(g):
    x, W = (torch.randn(*s, generator=g) for s in ((4, 3), (5, 3)))
    return x, W, torch.randn(5, generator=g)


@affine.probe
def one_example_one_output(g):
    x, W = torch.randn(1, 3, generator=g), torch.randn(1, 3, generator=g)
    return x, W, torch.randn(1, generator=g)


@affine.probe
def all_lengths_equal(g):  # N = in = out: where wrong products keep the shape
    x, W = (torch.randn(3, 3, generator=g) for _ in range(2))
    return x, W, torch.randn(3, generator=g)


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
    why="Without `b` every output is forced through 0 when the input is 0.",
    next="Add `b` to every row.",
    link="matrix-products",
)
def without_bias(x, W, b):
    return x @ W.T


@affine.misconception(
    title="The bias went down the rows",
    why="`b[:, None]` is a column: it adds one number per example instead of one per output, and fits only if there are as "
    "many examples as outputs.",
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

    x: a CPU tensor of floats. std: the noise's standard deviation. seed: an int.
    Returns a new tensor like `x`, each element moved by independent normal noise with mean 0.
    The same seed gives the same noise, another seed other noise. The global random numbers,
    which `torch.randn(3)` would give next, are the same as if you had never been called.
    """
    # solution:
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(x.shape, generator=generator, dtype=x.dtype)
    return x + std * noise
    # end solution


@add_noise.drive
def look_at_the_noise(answer, x, std, seed):
    torch.manual_seed(4321 + seed)
    due_next = torch.randn(3)
    torch.manual_seed(4321 + seed)
    noisy = answer(x, std, seed)
    came_next = torch.randn(3)
    noise = (noisy - x) / std
    again = answer(x, std, seed)
    other = answer(x, std, seed + 1)
    return {
        "the result's shape": noisy.shape,
        "the result's dtype": noisy.dtype,
        "every element has noise of its own": len(noise.unique()) > 0.9 * noise.numel(),
        "the same seed gives the same noise": torch.equal(noisy, again),
        "another seed gives other noise": not torch.equal(noisy, other),
        "the global random numbers are left alone": torch.equal(due_next, came_next),
        "the noise has mean 0": bool(noise.mean().abs() < 0.1),
        "the noise has the standard deviation asked for": bool((noise.std() - 1).abs() < 0.1),
        "some noise lies beyond two standard deviations": bool((noise.abs() > 2.2).any()),
        "a new tensor comes back": Extra(noisy is not x),
    }


@add_noise.probe
def a_long_row(g):
    return 10 + 5 * torch.randn(3000, generator=g, dtype=torch.float64), 0.5, 1


@add_noise.probe
def a_table(g):
    return torch.zeros(60, 50), 2.0, 7


@add_noise.probe
def a_batch(g):
    return torch.randn(5, 20, 30, generator=g), 0.1, 123


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
    why="`torch.manual_seed` sets the one generator that shuffling, dropout and initial weights share. Called in "
    "the middle of a program, it makes all of them repeat themselves.",
    next="Make a generator of your own and hand it to `torch.randn`.",
    link="random-numbers-you-can-repeat",
)
def reset_the_world(x, std, seed):
    torch.manual_seed(seed)
    return x + std * torch.randn_like(x)


@add_noise.misconception(
    title="The seed is not used",
    why="The noise comes from the global generator, wherever it happens to stand: every call gives other noise, and the "
    "numbers that others would have drawn are used up.",
    next="Make a generator with this seed.",
    link="random-numbers-you-can-repeat",
)
def ignored_the_seed(x, std, seed):
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
    why="A single draw shifts the whole tensor by the same amount: that is an offset, not noise.",
    next="Draw as many numbers as `x` has elements: pass its shape.",
    link="random-numbers-you-can-repeat",
)
def one_draw(x, std, seed):
    generator = torch.Generator().manual_seed(seed)
    return x + std * torch.randn(1, generator=generator, dtype=x.dtype)


@add_noise.misconception(
    title="The noise has the wrong size",
    why="`randn` has standard deviation 1. Multiplied by the square of `std`, or not at all, it has another one.",
    next="Multiply by `std`, once.",
    link="random-numbers-you-can-repeat",
)
def wrong_size(x, std, seed):
    generator = torch.Generator().manual_seed(seed)
    return x + std**2 * torch.randn(x.shape, generator=generator, dtype=x.dtype)


@add_noise.misconception(
    title="The same noise for every seed",
    why="A generator was made, but with a fixed seed: the argument changes nothing.",
    next="Give the generator the `seed` that comes in.",
    link="random-numbers-you-can-repeat",
)
def fixed_seed(x, std, seed):
    generator = torch.Generator().manual_seed(0)
    return x + std * torch.randn(x.shape, generator=generator, dtype=x.dtype)


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

    scores: (N, C). labels: (N, 1) int64, as a table's last column gives them.
    Returns a float from 0 to 1.
    """
    matches = scores.argmax(1) == labels.squeeze(1)
    return matches.sum().item() / len(labels)


@fraction_correct.probe
def three_of_four(g):
    scores = torch.eye(4)[[0, 1, 1, 0]]
    return scores, torch.tensor([[0], [1], [1], [2]])


@fraction_correct.probe
def half_right(g):
    labels = torch.randint(0, 3, (8, 1), generator=g)
    scores = torch.randn(8, 3, generator=g)
    scores[:4] += 9 * F.one_hot(labels[:4, 0], 3)
    return scores, labels


@fraction_correct.probe
def as_many_as_classes(g):
    labels = torch.tensor([[2], [0], [2]])
    scores = torch.randn(3, 3, generator=g)
    scores[:2] += 9 * F.one_hot(labels[:2, 0], 3)
    return scores, labels


@fraction_correct.alternative("The mean of the matches, as floats.")
def mean_of_matches(scores, labels):
    return (scores.argmax(1) == labels.flatten()).float().mean().item()


@fraction_correct.alternative("Or keep the column on both sides.")
def column_against_column(scores, labels):
    return (scores.argmax(1, keepdim=True) == labels).double().mean().item()


@fraction_correct.misconception(
    title="Every prediction was compared with every label",
    why="(N,) against (N, 1) broadcasts to (N, N). All the matches in that table are counted and divided by N: the "
    '"fraction" can reach N.',
    next="Print the shape of each side of `==`, and make them equal.",
    link="the-trap-n-1-against-n",
    starter=True,
    evidence=lambda scores, labels: (
        f"`scores.argmax(1) == labels` has the shape {tuple((scores.argmax(1) == labels).shape)}."
    ),
)
def compared_everything(scores, labels):
    matches = scores.argmax(1) == labels
    return matches.sum().item() / len(labels)


@fraction_correct.misconception(
    title="Still compared with every label, only averaged",
    why="Dividing by the N times N entries brings the number back between 0 and 1, and hides the mistake better: the table "
    "still compares every prediction with every label.",
    next="Mend the comparison, not the division: print its shape.",
    link="the-trap-n-1-against-n",
    evidence=lambda scores, labels: (
        f"`scores.argmax(1) == labels` has the shape {tuple((scores.argmax(1) == labels).shape)}."
    ),
)
def averaged_everything(scores, labels):
    matches = scores.argmax(1) == labels
    return matches.float().mean().item()


@fraction_correct.misconception(
    title="Took the best row of each class",
    why="`argmax(0)` runs down the rows: it finds, for each class, the example that scores highest. One prediction per "
    "example is due, along axis 1.",
    next="Choose the axis of the classes.",
    link="reductions-and-keepdim",
)
def best_row(scores, labels):
    matches = scores.argmax(0) == labels
    return matches.sum().item() / len(labels)


@fraction_correct.misconception(
    title="Counted instead of dividing",
    why="The number of hits depends on how many rows there are. A fraction does not.",
    next="Divide by the number of rows.",
    link="reductions-and-keepdim",
)
def counted(scores, labels):
    return float((scores.argmax(1) == labels[:, 0]).sum())


@fraction_correct.misconception(
    title="Per cent instead of a fraction",
    why="100 times too large: the order asks for a number from 0 to 1.",
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


@fraction_correct.misconception(
    title="A whole-number division",
    why="`//` cuts the fraction off: anything below all-correct becomes 0.",
    next="Divide with `/`.",
    link="dtypes-decide-what-arithmetic-means",
)
def whole_division(scores, labels):
    matches = scores.argmax(1) == labels.squeeze(1)
    return float(matches.sum().item() // len(labels))
