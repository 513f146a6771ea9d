"""MNIST: 60,000 + 10,000 handwritten digits, 28 x 28 grey (LeCun, Cortes and Burges 1998)."""

from .idx_set import IdxFile, IdxSet
from .registry import Entry, register

MNIST = IdxSet(
    name="mnist",
    files={
        "train": (
            IdxFile(
                "train-images-idx3-ubyte",
                (60_000, 28, 28),
                "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            ),
            IdxFile(
                "train-labels-idx1-ubyte",
                (60_000,),
                "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            ),
        ),
        "test": (
            IdxFile(
                "t10k-images-idx3-ubyte",
                (10_000, 28, 28),
                "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            ),
            IdxFile(
                "t10k-labels-idx1-ubyte",
                (10_000,),
                "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            ),
        ),
    },
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "http://yann.lecun.com/exdb/mnist/",
    ),
    classes=tuple("0123456789"),
)

register(
    Entry(
        name=MNIST.name,
        about="handwritten digits, grey",
        shape=(28, 28, 1),
        rows={"train": 60_000, "test": 10_000},
        source=MNIST.mirrors[0],
        licence="CC BY-SA 3.0 (LeCun, Cortes)",
        built_in=False,
        loader=MNIST.load,
    )
)
