"""Fashion-MNIST: 60,000 + 10,000 garments in ten kinds, 28 x 28 grey (Xiao, Rasul and Vollgraf 2017), in MNIST's format."""

from .idx_set import IdxFile, IdxSet
from .registry import Entry, register

FASHION_MNIST = IdxSet(
    name="fashion_mnist",
    files={
        "train": (
            IdxFile(
                "train-images-idx3-ubyte",
                (60_000, 28, 28),
                "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            ),
            IdxFile(
                "train-labels-idx1-ubyte",
                (60_000,),
                "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            ),
        ),
        "test": (
            IdxFile(
                "t10k-images-idx3-ubyte",
                (10_000, 28, 28),
                "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            ),
            IdxFile(
                "t10k-labels-idx1-ubyte",
                (10_000,),
                "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
            ),
        ),
    },
    mirrors=(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
    ),
    classes=(
        *("T-shirt or top", "trouser", "pullover", "dress", "coat"),
        *("sandal", "shirt", "sneaker", "bag", "ankle boot"),
    ),
)

register(
    Entry(
        name=FASHION_MNIST.name,
        about="garments in ten kinds, grey",
        shape=(28, 28, 1),
        rows={"train": 60_000, "test": 10_000},
        source=FASHION_MNIST.mirrors[0],
        licence="MIT (Zalando)",
        built_in=False,
        loader=FASHION_MNIST.load,
    )
)
