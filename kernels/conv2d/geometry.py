"""The geometry of a convolution: which input pixel meets which tap of the kernel in which output pixel.

    input row = output row * stride + tap * dilation - padding        (and the same for columns)

    output size = (input + 2 padding - dilation (kernel - 1) - 1) // stride + 1

Legend: N images, H, W input size, C input channels, kh, kw kernel, Ho, Wo output size, M output channels.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple, TypeAlias

from minigen.backend import Shape

Pair: TypeAlias = tuple[int, int]


class Geometry(NamedTuple):
    """Everything but the batch and the channels; each entry is (vertical, horizontal)."""

    image: Pair  # (H, W)
    kernel: Pair  # (kh, kw)
    stride: Pair
    padding: Pair
    dilation: Pair
    output: Pair  # (Ho, Wo)

    @property
    def padded(self) -> Pair:
        """The size of the padded input: rows and columns beyond the last one that a tap reads are kept."""
        return self.image[0] + 2 * self.padding[0], self.image[1] + 2 * self.padding[1]


def pair(name: str, value: int | Shape, least: int) -> Pair:
    """`value` as (vertical, horizontal); ValueError where it is not one or two integers >= `least`."""
    both = (value, value) if not isinstance(value, tuple | list) else tuple(value)
    if len(both) != 2 or any(int(v) != v or v < least for v in both):
        raise ValueError(f"conv2d: {name} must be one or two integers of at least {least}, got {value!r}")
    return int(both[0]), int(both[1])


def geometry(
    image: Shape, kernel: Shape, *, stride: int | Pair = 1, padding: int | Pair = 0, dilation: int | Pair = 1
) -> Geometry:
    """Raises ValueError where the dilated kernel does not fit into the padded input."""
    try:
        return _geometry(tuple(image), tuple(kernel), stride, padding, dilation)
    except TypeError:  # a list is as good as a tuple, and has no hash
        both = (tuple(p) if isinstance(p, list) else p for p in (stride, padding, dilation))
        return _geometry(tuple(image), tuple(kernel), *both)


@lru_cache(maxsize=256)  # every pass of a layer asks again
def _geometry(image: Shape, kernel: Shape, stride: int | Pair, padding: int | Pair, dilation: int | Pair) -> Geometry:
    stride, padding = pair("stride", stride, 1), pair("padding", padding, 0)
    dilation, kernel = pair("dilation", dilation, 1), pair("kernel", kernel, 1)
    reach = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    room = tuple(size + 2 * p for size, p in zip(image, padding, strict=True))
    if any(k > size for k, size in zip(reach, room, strict=True)):
        raise ValueError(
            f"conv2d: a kernel {kernel} with dilation {dilation} covers {reach} pixels, but the padded input has {room} "
            f"(image {tuple(image)}, padding {padding}): use a larger padding or a smaller kernel"
        )
    rows, columns = ((size - k) // s + 1 for size, k, s in zip(room, reach, stride, strict=True))
    return Geometry((int(image[0]), int(image[1])), kernel, stride, padding, dilation, (rows, columns))


def output_shape(
    image: Shape, kernel: Shape, *, stride: int | Pair = 1, padding: int | Pair = 0, dilation: int | Pair = 1
) -> Pair:
    """(Ho, Wo) of an image (H, W) and a kernel (kh, kw). Raises ValueError where the kernel is larger than the padded input."""
    return geometry(image, kernel, stride=stride, padding=padding, dilation=dilation).output
