"""Images of another size, as `benchmarks.kernels` times them: upsampling and pooling, each way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F

from benchmarks.kernel_cases import Case, Peer, normal, tensor
from benchmarks.kernel_images import image_back, image_formats
from minigen.backend import Array
from minigen.kernels import resample
from minigen.kernels.conv2d.geometry import geometry
from minigen.random import Key

aten = torch.ops.aten


def in_both(call: Callable[..., Any], *images: Array, result: Callable[[Any], Any] = image_back) -> dict[str, Peer]:
    """`call` of these images in either memory format."""
    formats = [image_formats(x) for x in images]
    return {name: Peer(partial(call, *(of[name] for of in formats)), result) for name in formats[0]}


def upsampling() -> Iterator[Case]:
    """The U-Net's, and what a decoder may take in its place."""
    for kind, n, h, w, c in (
        ("reference", 32, 14, 14, 64),
        ("reference", 32, 7, 7, 64),
        ("ragged", 5, 13, 11, 17),
        ("GPU", 64, 32, 32, 64),
    ):
        for way in resample.KINDS:
            shape = f"{way}, {n}x{h}x{w}x{c} twice as large"
            ahead = partial(image_of, way, "x", n, h, w, c)
            back = partial(image_of, way, "dy", n, 2 * h, 2 * w, c)
            yield Case("resample", "upsample", shape, kind, ahead, peers_upsample)
            yield Case("resample", "upsample_transposed", shape, kind, back, peers_upsample_transposed)


def image_of(way: str, name: str, *shape: int) -> Any:
    """Arguments: the way, an image, and the factor 2."""
    return (way, normal(name, *shape), 2), {}


def peers_upsample(given: Any) -> dict[str, Peer]:
    """In either format."""
    way, x, _ = given
    options: Any = {"mode": way} if way == "nearest" else {"mode": way, "align_corners": False}
    return in_both(partial(F.interpolate, scale_factor=2, **options), x)


def peers_upsample_transposed(given: Any) -> dict[str, Peer]:
    """In either format."""
    way, dy, _ = given
    n, h, w, c = dy.shape
    sizes = [h, w], [n, c, h // 2, w // 2]
    if way == "nearest":
        return in_both(lambda dy: aten.upsample_nearest2d_backward(dy, *sizes, 2.0, 2.0), dy)
    return in_both(lambda dy: aten.upsample_bilinear2d_backward(dy, *sizes, False, 2.0, 2.0), dy)


def pooling() -> Iterator[Case]:
    """The mean and the maximum of windows of 2 x 2 side by side."""
    for kind, n, h, w, c in (("reference", 64, 28, 28, 32), ("ragged", 5, 14, 10, 17), ("GPU", 64, 64, 64, 64)):
        windows = Windows(n, h, w, c)
        for function, make, peers in (
            ("average", windows.ahead, windows.peers_average),
            ("average_transposed", windows.average_back, windows.peers_average_back),
            ("largest", windows.ahead, windows.peers_largest),
            ("picked", windows.picked, lambda given: {}),
            ("largest_transposed", windows.largest_back, windows.peers_largest_back),
        ):
            yield Case("resample", function, f"{n}x{h}x{w}x{c}, windows of 2 x 2", kind, make, peers)


def shifts() -> Iterator[Case]:
    """The classifier's: every image by up to two pixels each way. PyTorch gathers from framed images, by hand."""
    for kind, n, h, w, c in (
        ("reference", 128, 28, 28, 1),
        ("ragged", 37, 13, 11, 3),
        ("large", 512, 32, 32, 3),
        ("GPU", 4096, 32, 32, 16),
    ):

        def make(n: int = n, h: int = h, w: int = w, c: int = c) -> Any:
            top, left = (Key(5).at(name).integers(5, n, start=-2) for name in ("top", "left"))
            return (normal("x", n, h, w, c), top, left, h, w), {}

        def peers(given: Any, n: int = n) -> dict[str, Peer]:
            (x, top, left), (h, w) = map(tensor, given[:3]), given[3:]
            image, i, j = torch.arange(n)[:, None, None], torch.arange(h)[:, None], torch.arange(w)
            row, column = i + top[:, None, None] + 2, j + left[:, None, None] + 2
            return {"two calls": Peer(lambda: F.pad(x, (0, 0, 2, 2, 2, 2))[image, row, column], lambda y: y.numpy())}

        yield Case("window", "cut", f"{n}x{h}x{w}x{c}", kind, make, peers, same_bits=True)


class Windows:
    """Arguments and peers of one shape."""

    def __init__(self, n: int, h: int, w: int, c: int) -> None:
        self.shape, self.small = (n, h, w, c), (n, h // 2, w // 2, c)
        self.geometry = geometry((h, w), (2, 2), stride=2)

    def ahead(self) -> Any:
        """x and the windows."""
        return (normal("x", *self.shape), self.geometry), {}

    def average_back(self) -> Any:
        """dy, the shape of x, and the windows."""
        return (normal("dy", *self.small), self.shape, self.geometry), {}

    def picked(self) -> Any:
        """A tangent, the winners of x, and the windows."""
        (x, g), _ = self.ahead()
        return (normal("x_dot", *self.shape), resample.largest(x, g)[1], g), {}

    def largest_back(self) -> Any:
        """dy, the winners of x, the shape of x, and the windows."""
        (x, g), _ = self.ahead()
        return (normal("dy", *self.small), resample.largest(x, g)[1], self.shape, g), {}

    def peers_average(self, given: Any) -> dict[str, Peer]:
        """In either format."""
        return in_both(lambda x: F.avg_pool2d(x, 2), given[0])

    def peers_average_back(self, given: Any) -> dict[str, Peer]:
        """In either format."""
        back = lambda dy, x: aten.avg_pool2d_backward(dy, x, [2, 2], [2, 2], [0, 0], False, True, None)
        return in_both(back, given[0], normal("x", *self.shape))

    def peers_largest(self, given: Any) -> dict[str, Peer]:
        """In either format; its winners are counted in the image and pass no gate."""
        result = lambda made: [image_back(made[0]), None]
        return in_both(lambda x: F.max_pool2d(x, 2, return_indices=True), given[0], result=result)

    def peers_largest_back(self, given: Any) -> dict[str, Peer]:
        """In either format."""
        made = {}
        dys = image_formats(given[0])
        for name, x in image_formats(normal("x", *self.shape)).items():
            _, winner = F.max_pool2d(x, 2, return_indices=True)
            back = partial(aten.max_pool2d_with_indices_backward, dys[name], x, [2, 2], [2, 2], [0, 0], [1, 1], False, winner)
            made[name] = Peer(back, image_back)
        return made
