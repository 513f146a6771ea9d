"""The convolutions that `benchmarks.kernels` times: on images, along one axis, and masked; three passes of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.kernel_cases import Case, Peer, normal, tensor
from benchmarks.networks import NETWORKS
from minigen.backend import Array
from minigen.layers.masked_conv2d import raster

CONVOLUTIONS = (
    # kind, N, H, W, C, M, kernel, stride, padding, groups
    *(("reference", *x, m, kernel, stride, padding, 1) for x, kernel, m, stride, padding in NETWORKS),
    ("ragged", 5, 13, 11, 17, 23, 3, 1, 1, 1),
    ("ragged", 3, 15, 14, 7, 33, 5, 2, 2, 1),
    ("batch 1", 1, 28, 28, 1, 64, 4, 2, 1, 1),
    ("batch 1", 1, 14, 14, 64, 128, 4, 2, 1, 1),
    ("large", 8, 64, 64, 64, 64, 3, 1, 1, 1),
    ("grouped", 32, 14, 14, 64, 64, 3, 1, 1, 8),
    ("depthwise", 32, 28, 28, 32, 32, 3, 1, 1, 32),
    ("GPU", 64, 28, 28, 64, 64, 3, 1, 1, 1),
    ("GPU", 64, 14, 14, 128, 256, 4, 2, 1, 1),
    ("GPU", 128, 16, 16, 128, 128, 3, 1, 1, 1),
)


def image_formats(x: Array) -> dict[str, Any]:
    """(N, H, W, C) as PyTorch's (N, C, H, W) in either format."""
    last = tensor(x).permute(0, 3, 1, 2)
    return {"contiguous": last.contiguous(), "channels last": last}


def kernel_in(w: Array, name: str) -> Any:
    """(kh, kw, C / groups, M) as PyTorch's (M, C / groups, kh, kw), in the format of the images."""
    formats = {"contiguous": torch.contiguous_format, "channels last": torch.channels_last}
    return tensor(np.ascontiguousarray(w.transpose(3, 2, 0, 1))).contiguous(memory_format=formats[name])


def image_back(y: Any) -> Array:
    """(N, C, H, W) -> (N, H, W, C)."""
    array: Array = y.permute(0, 2, 3, 1).numpy()
    return array


def convolutions() -> Iterator[Case]:
    """Three passes a shape; the input gradient is the transposed convolution, too."""
    for kind, n, h, w_, c, m, k, s, p, g in CONVOLUTIONS:
        options = {"stride": (s, s), "padding": (p, p), "dilation": (1, 1), "groups": g}
        ho, wo = ((size + 2 * p - k) // s + 1 for size in (h, w_))
        shape = f"{n}x{h}x{w_}x{c} to {m}, kernel {k}" + (f", stride {s}" if s > 1 else "") + (f", groups {g}" if g > 1 else "")
        sizes = {"x": (n, h, w_, c), "w": (k, k, c // g, m), "dy": (n, ho, wo, m)}

        def draw(*names: str, sizes: Any = sizes) -> tuple[Array, ...]:
            return tuple(normal(name, *sizes[name]) for name in names)

        def forward(draw: Any = draw, options: Any = options) -> Any:
            return draw("x", "w"), options

        def input_gradient(draw: Any = draw, options: Any = options, sizes: Any = sizes) -> Any:
            return (*draw("dy", "w"), sizes["x"]), options

        def weight_gradient(draw: Any = draw, options: Any = options, k: int = k) -> Any:
            return (*draw("x", "dy"), (k, k)), options

        def peers_forward(given: Any, s: int = s, p: int = p, g: int = g) -> dict[str, Peer]:
            x, w = given

            def peer(name: str, image: Any) -> Peer:
                kernel = kernel_in(w, name)
                return Peer(lambda: F.conv2d(image, kernel, None, s, p, 1, g), image_back)

            return {name: peer(name, image) for name, image in image_formats(x).items()}

        def backward_peer(name: str, x: Any, dy: Any, w: Any, mask: tuple[bool, ...], rest: tuple[int, int, int]) -> Peer:
            s, p, g = rest
            call = lambda: torch.ops.aten.convolution_backward(dy, x, w, None, (s, s), (p, p), (1, 1), False, (0, 0), g, mask)
            if mask[0]:
                return Peer(call, lambda both: image_back(both[0]))
            return Peer(call, lambda both: both[1].permute(2, 3, 1, 0).numpy())

        def peers_input(given: Any, rest: Any = (s, p, g), backward_peer: Any = backward_peer) -> dict[str, Peer]:
            dy, w, x_shape = given
            images, gradients = image_formats(np.zeros(x_shape, np.float32)), image_formats(dy)
            return {
                name: backward_peer(name, images[name], gradients[name], kernel_in(w, name), (True, False, False), rest)
                for name in images
            }

        def peers_weight(
            given: Any, rest: Any = (s, p, g), sizes: Any = sizes, backward_peer: Any = backward_peer
        ) -> dict[str, Peer]:
            x, dy, _ = given
            images, gradients, w = image_formats(x), image_formats(dy), np.zeros(sizes["w"], np.float32)
            return {
                name: backward_peer(name, images[name], gradients[name], kernel_in(w, name), (False, True, False), rest)
                for name in images
            }

        yield Case("conv2d", "forward", shape, kind, forward, peers_forward)
        yield Case("conv2d", "input_gradient", shape, kind, input_gradient, peers_input)
        yield Case("conv2d", "weight_gradient", shape, kind, weight_gradient, peers_weight)


def causal() -> Iterator[Case]:
    """One axis, as the layer calls it: the frame is on the left, two taps that lie `dilation` apart (wavenet)."""
    for kind, n, t, c, m, d in (("reference", 8, 1024, 32, 64, 16), ("ragged", 3, 333, 19, 37, 4)):

        def make(n: int = n, t: int = t, c: int = c, m: int = m, d: int = d) -> Any:
            options = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, d), "groups": 1}
            return (normal("x", n, 1, t + d, c), normal("w", 1, 2, c, m)), options

        def peers(given: Any, d: int = d) -> dict[str, Peer]:
            x, w = given
            row, kernel = tensor(x)[:, 0].permute(0, 2, 1), tensor(np.ascontiguousarray(w[0].transpose(2, 1, 0)))
            packed = row.contiguous()
            back = lambda y: y.permute(0, 2, 1).numpy()[:, None]
            return {
                "contiguous": Peer(lambda: F.conv1d(packed, kernel, dilation=d), back),
                "channels last": Peer(lambda: F.conv1d(row, kernel, dilation=d), back),
            }

        yield Case("conv2d", "forward", f"{n}x{t}x{c} to {m}, causal, taps {d} apart", f"1-D, {kind}", make, peers)


def masked() -> Iterator[Case]:
    """PixelCNN's convolutions; the peer multiplies the masked taps too, and is spared the multiplication by the mask."""
    for kind, n, c, m, k, mask in (
        ("reference", 32, 1, 64, 7, "A"),
        ("reference", 32, 64, 64, 3, "B"),
        ("reference", 32, 64, 64, 1, "B"),
        ("reference", 32, 64, 1, 1, "B"),
        ("ragged", 5, 17, 23, 3, "B"),
        ("GPU", 128, 64, 64, 3, "B"),
    ):
        taps = raster(mask, k)

        shape = f"{n}x28x28x{c} to {m}, kernel {k}, {len(taps)} taps of {k * k}"
        for function in ("forward", "input_gradient", "weight_gradient"):
            case = MaskedCase(n, c, m, k, taps, function)
            yield Case("masked_conv2d", function, shape, kind, case.make, case.peers)


@dataclass
class MaskedCase:
    """One pass of a masked convolution on 28 x 28 pixels, and PyTorch's on the whole kernel."""

    n: int
    c: int
    m: int
    k: int
    taps: Any
    function: str

    def make(self) -> Any:
        """(x, w), (dy, w) or (x, dy), and the taps."""
        x, w = normal("x", self.n, 28, 28, self.c), normal("w", len(self.taps), self.c, self.m)
        dy = normal("dy", self.n, 28, 28, self.m)
        first, second = {"forward": (x, w), "input_gradient": (dy, w), "weight_gradient": (x, dy)}[self.function]
        return (first, second, self.taps), {}

    def peers(self, given: Any) -> dict[str, Peer]:
        """In either format."""
        first, second, _ = given
        whole = np.zeros((self.k, self.k, self.c, self.m), np.float32)
        at = tuple(np.array(self.taps).T + self.k // 2)
        if self.function != "weight_gradient":
            whole[at] = second
        made = {}
        for name, image in image_formats(first).items():
            kernel = kernel_in(whole, name)
            if self.function == "forward":
                made[name] = self.ahead(image, kernel)
                continue
            other = image_formats(
                second if self.function == "weight_gradient" else np.zeros_like(normal("x", self.n, 28, 28, self.c))
            )
            x, dy = (image, other[name]) if self.function == "weight_gradient" else (other[name], image)
            made[name] = self.backward(x, dy, kernel, at)
        return made

    def ahead(self, image: Any, kernel: Any) -> Peer:
        """The forward pass."""
        return Peer(lambda: F.conv2d(image, kernel, padding=self.k // 2), image_back)

    def backward(self, x: Any, dy: Any, kernel: Any, at: Any) -> Peer:
        """One of the two gradients."""
        pad, to_weights = self.k // 2, self.function == "weight_gradient"
        mask = (not to_weights, to_weights, False)
        call = lambda: torch.ops.aten.convolution_backward(
            dy, x, kernel, None, (1, 1), (pad, pad), (1, 1), False, (0, 0), 1, mask
        )
        if to_weights:
            return Peer(call, lambda both: both[1].permute(2, 3, 1, 0).numpy()[at])
        return Peer(call, lambda both: image_back(both[0]))
