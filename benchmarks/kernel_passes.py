"""The passes over memory that `benchmarks.kernels` times: what is as fast as its numbers arrive."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.kernel_cases import Case, Peer, normal, tensor
from minigen.random import Key, _words


def adam() -> Iterator[Case]:
    """The update of all parameters of vae and realnvp, against PyTorch's fused one."""
    for kind, n in (("reference", 652_824), ("reference", 5_196_384), ("ragged", 12_347), ("GPU", 1 << 24)):

        def make(n: int = n) -> Any:
            theta, grad, m = (normal(name, n) for name in ("theta", "grad", "m"))
            options = {"rate": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0, "t": 10}
            return (theta, grad, 0.1 * m, 0.01 * m**2), options

        def peers(given: Any) -> dict[str, Peer]:
            theta, grad, m, v = ([tensor(x.copy())] for x in given)
            step = [torch.tensor(10.0)]
            fused = lambda: torch._fused_adam_(
                theta, grad, m, v, [], step, lr=1e-3, beta1=0.9, beta2=0.999, weight_decay=0.0, eps=1e-8,
                amsgrad=False, maximize=False,
            )  # fmt: skip
            return {"fused": Peer(fused, lambda _: [x[0].cpu().numpy() for x in (theta, m, v)])}

        yield Case("adam", "step", f"{n:,} parameters", kind, make, peers, changes=(0, 2, 3))


def imagined() -> Iterator[Case]:
    """Steps of Adam beside the vectors, of unrolled_gan's D and of a dense one; PyTorch's calls by hand."""
    rates = {"rate": 1e-3, "beta1": 0.5, "beta2": 0.999, "eps": 1e-8, "k": 2}
    for kind, n in (("reference", 17_152), ("large", 5_196_384), ("ragged", 12_347), ("GPU", 1 << 24)):

        def vectors(*names: str, n: int = n) -> Any:
            kept = np.array([0.25], np.float32), np.array([0.99], np.float32)
            return (*(normal(name, n) for name in names), 0.01 + normal("v", n) ** 2, *kept)

        def forward(vectors: Any = vectors) -> Any:
            return vectors("theta", "grad", "m"), rates

        def back(vectors: Any = vectors) -> Any:
            return vectors("a", "a_m", "a_v", "grad", "m"), rates

        def peers_forward(given: Any) -> dict[str, Peer]:
            theta, g, m, v, kept1, kept2 = map(tensor, given)

            def several() -> Any:
                mean, square = torch.lerp(g, m, 0.5), torch.addcmul(0.999 * v, g, g, value=1e-3)
                c1, c2 = 1 - 0.5**2 * kept1, 1 - 0.999**2 * kept2
                return theta - (mean / c1).mul_(1e-3).div_((square / c2).sqrt_().add_(1e-8)), mean, square

            return {"several calls": Peer(several, lambda made: [part.numpy() for part in made])}

        def peers_back(given: Any) -> dict[str, Peer]:
            a, a_m, a_v, g, m, v, kept1, kept2 = map(tensor, given)

            def several() -> Any:
                c1, c2 = 1 - 0.5**2 * kept1, 1 - 0.999**2 * kept2
                root = (v / c2).sqrt_()
                slope, step = (a / (root + 1e-8)).mul_(1e-3), m / c1 / (root + 1e-8)
                b_m, b_v = a_m - slope / c1, a_v + slope.mul(step).div_(2 * c2 * root)
                return torch.addcmul(0.5 * b_m, g, b_v, value=2e-3), 0.5 * b_m, 0.999 * b_v

            return {"several calls": Peer(several, lambda made: [part.numpy() for part in made])}

        yield Case("adam", "imagined", f"{n:,} parameters", kind, forward, peers_forward)
        yield Case("adam", "imagined_back", f"{n:,} parameters", kind, back, peers_back)


def average() -> Iterator[Case]:
    """The running average of all parameters of ddpm and realnvp."""
    for kind, n in (("reference", 652_824), ("reference", 5_196_384), ("ragged", 12_347), ("GPU", 1 << 24)):

        def make(n: int = n) -> Any:
            return (normal("average", n), normal("theta", n), 0.001), {}

        def peers(given: Any) -> dict[str, Peer]:
            held, theta = tensor(given[0].copy()), tensor(given[1])
            return {"lerp_": Peer(lambda: held.lerp_(theta, 0.001), lambda held: held.numpy().copy())}

        yield Case("average", "step", f"{n:,} parameters", kind, make, peers, changes=(0,))


def langevin() -> Iterator[Case]:
    """A move of the chains of ebm; PyTorch's calls by hand."""
    for kind, *shape in (
        ("reference", 64, 28, 28, 1),
        ("large", 256, 32, 32, 3),
        ("ragged", 127, 131),
        ("GPU", 1 << 14, 1 << 10),
    ):

        def make(shape: Any = shape) -> Any:
            numbers = {"step": 0.5, "noise": 0.1, "clip": 0.5, "bound": 1.0}
            return tuple(normal(name, *shape) for name in ("x", "slope", "eps")), numbers

        def peers(given: Any) -> dict[str, Peer]:
            x, slope, eps = map(tensor, given)
            several = lambda: x.add(slope.clamp(-0.5, 0.5), alpha=-0.5).add_(eps, alpha=0.1).clamp_(-1, 1)
            return {"several calls": Peer(several, lambda y: y.numpy())}

        yield Case("langevin", "move", "x".join(map(str, shape)), kind, make, peers)


def sgd() -> Iterator[Case]:
    """The update of all parameters of rbm, and one with momentum, against PyTorch's fused one."""
    for kind, n, momentum in (
        ("reference", 393_284, 0.0),
        ("large", 5_196_384, 0.9),
        ("ragged", 12_347, 0.9),
        ("GPU", 1 << 24, 0.9),
    ):

        def make(n: int = n, momentum: float = momentum) -> Any:
            v = normal("v", n) if momentum else None
            return (normal("theta", n), normal("grad", n), v), {"rate": 1e-3, "momentum": momentum}

        def peers(given: Any, momentum: float = momentum) -> dict[str, Peer]:
            theta, grad, v = ([] if x is None else [tensor(x.copy())] for x in given)
            fused = lambda: torch._fused_sgd_(
                theta, grad, v, lr=1e-3, momentum=momentum, weight_decay=0.0, dampening=0.0,
                nesterov=False, maximize=False, is_first_step=False,
            )  # fmt: skip
            return {"fused": Peer(fused, lambda _: [x[0].cpu().numpy() for x in (theta, v) if x])}

        what = f"{n:,} parameters{', momentum' if momentum else ''}"
        yield Case("sgd", "step", what, kind, make, peers, changes=(0, 2) if momentum else (0,))


def clip() -> Iterator[Case]:
    """The gradient of realnvp to a norm, the parameters of wgan to a range."""
    for kind, n in (("reference", 393_284), ("large", 5_196_384), ("ragged", 12_347), ("GPU", 1 << 24)):

        def norm(n: int = n) -> Any:
            return (normal("grad", n),), {"limit": 1.0}

        def between(n: int = n) -> Any:
            return (normal("theta", n), 0.5), {}

        def peers_norm(given: Any) -> dict[str, Peer]:
            g = tensor(given[0].copy())

            # vector_norm is 1e-4 off at five million numbers, which is not let pass
            several = lambda: g.mul_(torch.clamp(torch.dot(g, g).rsqrt(), max=1.0))
            return {"several calls": Peer(several, lambda made: made.numpy())}

        def peers_between(given: Any) -> dict[str, Peer]:
            theta = tensor(given[0].copy())
            return {"clamp_": Peer(lambda: theta.clamp_(-0.5, 0.5), lambda made: made.numpy())}

        what = f"{n:,} parameters"
        yield Case("clip", "to_norm", what, kind, norm, peers_norm, changes=(0,))
        yield Case("clip", "to_range", what, kind, between, peers_between, changes=(0,))


def softmax() -> Iterator[Case]:
    """Rows of attention in ddpm and of wavenet's 256 levels, and their way back."""
    for kind, rows, classes in (
        ("reference", 1568, 49),
        ("reference", 8192, 256),
        ("ragged", 127, 131),
        ("GPU", 1 << 16, 256),
        ("GPU", 1 << 12, 1 << 12),
    ):

        def make(rows: int = rows, classes: int = classes) -> Any:
            return (normal("x", rows, classes),), {}

        def make_back(rows: int = rows, classes: int = classes) -> Any:
            return (normal("dy", rows, classes), normal("y", rows, classes) ** 2), {}

        def peers(given: Any) -> dict[str, Peer]:
            x = tensor(given[0])
            return {"one call": Peer(lambda: torch.softmax(x, -1), lambda y: y.numpy())}

        def peers_back(given: Any) -> dict[str, Peer]:
            dy, y = map(tensor, given)
            back = lambda: torch.ops.aten._softmax_backward_data(dy, y, -1, torch.float32)
            return {"one call": Peer(back, lambda dx: dx.numpy())}

        yield Case("softmax", "forward", f"{rows}x{classes}", kind, make, peers)
        yield Case("softmax", "gradient", f"{rows}x{classes}", kind, make_back, peers_back)


def philox() -> Iterator[Case]:
    """Random words and numbers; PyTorch's are of another generator, so they pass no gate. Its words have 31 bits."""
    number = (np.dtype(np.float32),)
    calls = {  # what each is asked besides a key: before the count of numbers, and after it
        "words": ((), (), torch.int32, lambda out: out.random_()),
        "uniform": ((), number, torch.float32, lambda out: torch.rand(out.shape, out=out)),
        "normal": ((), number, torch.float32, lambda out: torch.randn(out.shape, out=out)),
        "bernoulli": ((0.5,), number, torch.float32, lambda out: out.bernoulli_(0.5)),
        "integers": ((1000,), (), torch.int64, lambda out: out.random_(1000)),
    }
    for function, (before, after, dtype, theirs) in calls.items():
        for kind, n in (
            ("reference", 128 * 784),
            ("reference", 64 * 100),
            ("ragged", 12_347),
            ("large", 1 << 22),
            ("GPU", 1 << 24),
        ):

            def make(n: int = n, before: Any = before, after: Any = after) -> Any:
                return (_words(Key(5).at("noise")), *before, n, *after), {"like": np.zeros(1, np.float32)}

            def peers(given: Any, n: int = n, theirs: Any = theirs, dtype: Any = dtype) -> dict[str, Peer]:
                out = torch.empty(n, dtype=dtype)
                return {"its generator": Peer(lambda: theirs(out))}

            yield Case("philox", function, f"{n:,} numbers", kind, make, peers, same_bits=function != "normal")


def activations() -> Iterator[Case]:
    """Each function and its gradient. PyTorch's gradients of tanh and sigmoid are spared the function: they take y."""
    aten = torch.ops.aten
    for name, kind, leak, shape in (
        ("leaky", "reference", 0.2, (64, 14, 14, 64)),
        ("tanh", "reference", 0.0, (64, 28, 28, 1)),
        ("sigmoid", "reference", 0.0, (128, 784)),
        ("silu", "reference", 0.0, (32, 28, 28, 32)),
        ("silu", "ragged", 0.0, (127, 131)),
        ("leaky", "GPU", 0.2, (1 << 12, 1 << 12)),
        ("silu", "GPU", 0.0, (1 << 12, 1 << 12)),
        ("softplus", "reference", 0.0, (128, 500)),
    ):
        ahead = {
            "leaky": lambda x: F.leaky_relu(x, 0.2),
            "tanh": torch.tanh,
            "sigmoid": torch.sigmoid,
            "silu": F.silu,
            "softplus": F.softplus,
        }[name]
        back = {
            "leaky": lambda dy, x, y: aten.leaky_relu_backward(dy, x, 0.2, False),
            "tanh": lambda dy, x, y: aten.tanh_backward(dy, y),
            "sigmoid": lambda dy, x, y: aten.sigmoid_backward(dy, y),
            "silu": lambda dy, x, y: aten.silu_backward(dy, x),
            "softplus": lambda dy, x, y: aten.softplus_backward(dy, x, 1.0, 20.0),
        }[name]

        def make(name: str = name, leak: float = leak, shape: Any = shape) -> Any:
            return (name, normal("x", *shape)), {"leak": leak}

        def make_back(name: str = name, leak: float = leak, shape: Any = shape) -> Any:
            return (name, normal("dy", *shape), normal("x", *shape)), {"leak": leak}

        def peers(given: Any, ahead: Any = ahead) -> dict[str, Peer]:
            x = tensor(given[1])
            return {"one call": Peer(lambda: ahead(x), lambda y: y.numpy())}

        def peers_back(given: Any, ahead: Any = ahead, back: Any = back) -> dict[str, Peer]:
            dy, x = map(tensor, given[1:])
            y = ahead(x)
            return {"one call": Peer(lambda: back(dy, x, y), lambda dx: dx.numpy())}

        what = f"{name}, {'x'.join(map(str, shape))}"
        yield Case("activation", "forward", what, kind, make, peers)
        yield Case("activation", "gradient", what, kind, make_back, peers_back)


def epilogues() -> Iterator[Case]:
    """Bias and ReLU after a product, in place, and their way back."""
    for kind, rows, columns in (
        ("reference", 128, 400),
        ("reference", 64, 1024),
        ("reference", 12544, 64),
        ("ragged", 127, 131),
        ("GPU", 1 << 15, 512),
    ):

        def make(rows: int = rows, columns: int = columns) -> Any:
            return (normal("y", rows, columns), normal("b", columns)), {"leak": 0.2}

        def make_back(rows: int = rows, columns: int = columns) -> Any:
            return (normal("dy", rows, columns), normal("y", rows, columns)), {"leak": 0.2}

        def peers(given: Any) -> dict[str, Peer]:
            y, b = tensor(given[0].copy()), tensor(given[1])
            return {"two calls": Peer(lambda: F.leaky_relu_(y.add_(b), 0.2), lambda y: y.numpy().copy())}

        def peers_back(given: Any) -> dict[str, Peer]:
            dy, y = map(tensor, given)

            def both() -> Any:
                du = torch.ops.aten.leaky_relu_backward(dy, y, 0.2, False)
                return du, du.sum(0)

            return {"two calls": Peer(both, lambda made: [x.numpy() for x in made])}

        yield Case("epilogue", "finish", f"{rows}x{columns}", kind, make, peers, changes=(0,))
        yield Case("epilogue", "back", f"{rows}x{columns}", kind, make_back, peers_back)


def sums() -> Iterator[Case]:
    """The gradients of a dense layer's bias, a convolution's, a shift of every image's channels; inner products of rows."""
    for kind, *shape in (
        ("reference", 1, 128, 784),
        ("reference", 1, 12544, 64),
        ("reference", 32, 196, 64),
        ("ragged", 3, 37, 45),
        ("GPU", 1, 1 << 17, 128),
        ("GPU", 1 << 7, 1 << 17, 1),
    ):

        def make(shape: Any = shape) -> Any:
            return (normal("x", *shape),), {}

        def peers(given: Any) -> dict[str, Peer]:
            x = tensor(given[0])
            return {"sum": Peer(lambda: x.sum(1), lambda y: y.numpy())}

        yield Case("sums", "over_rows", "x".join(map(str, shape)), kind, make, peers)

    for kind, *shape in (("reference", 64, 6272), ("large", 512, 3072), ("ragged", 127, 131), ("GPU", 1 << 14, 1 << 10)):

        def two(shape: Any = shape) -> Any:
            return (normal("a", *shape), 1 + normal("b", *shape)), {}

        def peers_products(given: Any) -> dict[str, Peer]:
            a, b = map(tensor, given)
            several = {"two calls": lambda: (a * b).sum(1), "vecdot": lambda: torch.linalg.vecdot(a, b)}
            return {name: Peer(call, lambda y: y.numpy()) for name, call in several.items()}

        yield Case("sums", "products", "x".join(map(str, shape)), kind, two, peers_products)


def normalisations() -> Iterator[Case]:
    """The passes of batch normalisation and the ReLU after it; PyTorch's way back is one call of several passes, not timed."""
    for kind, rows, c in (("reference", 12544, 64), ("reference", 3136, 128), ("ragged", 1237, 19), ("GPU", 1 << 17, 128)):

        def statistics(rows: int = rows, c: int = c) -> Any:
            return (normal("x", 1, rows, c),), {"eps": 1e-5}

        def scale(rows: int = rows, c: int = c) -> Any:
            x = normal("x", 1, rows, c)
            return (x, x.mean(1), 1 / x.std(1), normal("gain", c), normal("b", c)), {"leak": 0.0}

        def sums(rows: int = rows, c: int = c) -> Any:
            return (normal("dy", 1, rows, c), normal("x", 1, rows, c), normal("gain", c), normal("b", c)), {"leak": 0.0}

        def gradient(rows: int = rows, c: int = c, sums: Any = sums) -> Any:
            return (*sums()[0], *(normal(name, 1, c) for name in ("r", "level", "tilt"))), {"leak": 0.0}

        def peers_statistics(given: Any) -> dict[str, Peer]:
            x = tensor(given[0])
            image = x[0, :, :, None, None]  # (R, C, 1, 1)

            def two() -> Any:
                mean = x.mean(1)
                return (x - mean[:, None]).square_().mean(1), mean

            back = lambda made: [made[1].numpy(), made[0].numpy(), None]  # r is left to who asks
            whole = lambda: torch.native_batch_norm(image, None, None, None, None, True, 0.1, 1e-5)
            return {
                "var_mean": Peer(lambda: torch.var_mean(x, 1, correction=0), back),
                "two means": Peer(two, back),
                "batch norm": Peer(whole),  # which scales too, and is the fastest way to moments there is
            }

        def peers_scale(given: Any) -> dict[str, Peer]:
            x, mean, r, gain, b = map(tensor, given)
            image, variance = x[0, :, :, None, None], r[0] ** -2  # (R, C, 1, 1)

            def both() -> Any:
                return F.relu_(F.batch_norm(image, mean[0], variance, gain, b, training=False, eps=0.0))

            return {"two calls": Peer(both, lambda y: [None, y.numpy()[None, :, :, 0, 0]])}  # it does not keep xhat

        shape = f"1x{rows}x{c}"
        yield Case("normalise", "statistics", shape, kind, statistics, peers_statistics)
        yield Case("normalise", "scale", shape, kind, scale, peers_scale)
        yield Case("normalise", "sums", shape, kind, sums, lambda given: {})
        yield Case("normalise", "gradient", shape, kind, gradient, lambda given: {})
