"""The one table of the data sets: their files, checksums, and where each can be had."""

from __future__ import annotations

from dataclasses import dataclass

from firstlight.course import load_course


@dataclass(frozen=True)
class IdxFile:
    """A gzipped IDX file, known by its content: mirrors compress the same content differently."""

    name: str
    size: int  # bytes, uncompressed
    sha256: str  # of the uncompressed bytes


@dataclass(frozen=True)
class Source:
    """A data set and the mirrors that serve it.

    To add a data set, add a `Source` to `SOURCES`, put its four files with licence and README into
    `data/NAME/`, and its lines into `data/SHA256SUMS`; the tests hold the three together.
    """

    name: str  # also the folder in `data/` and in the cache
    mirrors: tuple[str, ...]  # base addresses, in the order tried; {repository} is ours
    train: tuple[IdxFile, IdxFile]  # images, labels
    test: tuple[IdxFile, IdxFile]

    def addresses(self, file: IdxFile) -> tuple[str, ...]:
        """Every address of one of the files, in the order in which they are tried."""
        repository = load_course().repository
        return tuple(base.format(repository=repository) + file.name for base in self.mirrors)


# Where the content behind the checksums was taken from stands in `data/NAME/README.md`.
MNIST = Source(
    name="mnist",
    mirrors=(
        "https://raw.githubusercontent.com/{repository}/main/data/mnist/",
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    train=(
        IdxFile(
            name="train-images-idx3-ubyte.gz",
            size=47_040_016,
            sha256="ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        ),
        IdxFile(
            name="train-labels-idx1-ubyte.gz",
            size=60_008,
            sha256="65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        ),
    ),
    test=(
        IdxFile(
            name="t10k-images-idx3-ubyte.gz",
            size=7_840_016,
            sha256="0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        ),
        IdxFile(
            name="t10k-labels-idx1-ubyte.gz",
            size=10_008,
            sha256="ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    ),
)

FASHION_MNIST = Source(
    name="fashion-mnist",
    mirrors=(
        "https://raw.githubusercontent.com/{repository}/main/data/fashion-mnist/",
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    ),
    train=(
        IdxFile(
            name="train-images-idx3-ubyte.gz",
            size=47_040_016,
            sha256="c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        ),
        IdxFile(
            name="train-labels-idx1-ubyte.gz",
            size=60_008,
            sha256="bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        ),
    ),
    test=(
        IdxFile(
            name="t10k-images-idx3-ubyte.gz",
            size=7_840_016,
            sha256="5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        ),
        IdxFile(
            name="t10k-labels-idx1-ubyte.gz",
            size=10_008,
            sha256="0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
    ),
)

SOURCES = {source.name: source for source in (MNIST, FASHION_MNIST)}
