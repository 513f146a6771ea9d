"""The second wave of layers: the property suite at awkward shapes, and what each promises beside it."""

import math

import numpy as np
import pytest
from scipy import special

from minigen import layers as L
from minigen.check import suite
from minigen.check.device_array import DeviceArray, standing_for_cupy, to_host, to_test_device
from minigen.layers import initialisers
from minigen.layers.activations import normal_cdf
from minigen.random import Key

KEY = Key(21)


def normal(name: str, *shape: int) -> np.ndarray:
    return KEY.at(name).normal(shape, np.float64)


# ---- the four passes, and the manners of a layer

CASES = {
    "group_norm": (lambda: L.GroupNorm(3, 6), (2, 3, 2, 6)),
    "group_norm of rows": (lambda: L.GroupNorm(2, 6), (3, 6)),
    "group_norm, one group": (lambda: L.GroupNorm(1, 5), (1, 7, 5)),
    "instance_norm": (lambda: L.InstanceNorm(3), (2, 5, 3)),
    "nearest": (lambda: L.NearestUpsample(3), (2, 1, 5, 3)),
    "bilinear": (lambda: L.BilinearUpsample(2), (2, 3, 5, 2)),
    "bilinear, odd factor": (lambda: L.BilinearUpsample(5), (2, 2, 1, 3)),
    "bilinear, factor 1": (lambda: L.BilinearUpsample(1), (2, 2, 3, 1)),
    "average_pool": (lambda: L.AveragePool2d((2, 3)), (2, 5, 7, 3)),
    "average_pool, overlapping": (lambda: L.AveragePool2d(3, (1, 2), (2, 1)), (2, 4, 5, 2)),
    "max_pool": (lambda: L.MaxPool2d(2), (2, 5, 4, 3)),
    "max_pool, overlapping": (lambda: L.MaxPool2d((3, 2), 1, (2, 1)), (2, 4, 5, 2)),
    "global_average_pool": (L.GlobalAveragePool, (3, 2, 5, 3)),
    "global_average_pool of a sequence": (L.GlobalAveragePool, (2, 7, 3)),
    "space_to_depth": (lambda: L.SpaceToDepth(3), (2, 3, 6, 2)),
    "depth_to_space": (lambda: L.DepthToSpace(2), (2, 3, 1, 12)),
    "squeeze": (lambda: L.Squeeze(2), (2, 4, 2, 3)),
    "conv1d": (lambda: L.Conv1d(2, 3), (3, 5, 2)),
    "conv1d, odd": (lambda: L.Conv1d(2, 3, 2, stride=3, padding=2, dilation=2, bias=False), (2, 7, 2)),
    "conv1d, causal": (lambda: L.Conv1d(3, 2, 3, dilation=2, causal=True), (2, 7, 3)),
    "conv1d, causal, shorter than its reach": (lambda: L.Conv1d(1, 2, 3, dilation=4, causal=True, bias=False), (2, 3, 1)),
    "conv1d, causal, strided": (lambda: L.Conv1d(2, 2, 2, stride=2, causal=True), (2, 5, 2)),
    "conv1d, causal, computed": (lambda: L.Conv1d(2, 3, 2, causal=True).compute("W", L.WeightNorm(3)), (2, 5, 2)),
    "cross attention": (lambda: L.ScaledDotProduct(2), ((2, 3, 2, 6), (2, 5, 6), (2, 5, 6))),
    "causal attention": (lambda: L.ScaledDotProduct(1, causal=True), ((2, 5, 3),) * 3),
    "multi_head_attention": (lambda: L.MultiHeadAttention(6, 3), (2, 3, 2, 6)),
    "multi_head_attention, causal": (lambda: L.MultiHeadAttention(4, 2, causal=True), (3, 5, 4)),
    "multi_head_attention, one position": (lambda: L.MultiHeadAttention(4, 2, causal=True), (2, 1, 4)),
    "minibatch_std": (lambda: L.MinibatchStd(3), (6, 2, 3, 2)),
    "minibatch_std of the batch": (lambda: L.MinibatchStd(None), (5, 3)),
    "minibatch_discrimination": (lambda: L.MinibatchDiscrimination(4, 3, 2), (5, 4)),
    "minibatch_discrimination, computed": (
        lambda: L.MinibatchDiscrimination(3, 2, 2).compute("W", L.WeightNorm(4)),
        (3, 3),
    ),
    "gelu": (L.GELU, (4, 5)),
    "elu": (lambda: L.ELU(0.7), (4, 5)),
    "selu": (L.SELU, (4, 5)),
    "softsign": (L.Softsign, (4, 5)),
    "mish": (L.Mish, (4, 5)),
    "weight_norm": (lambda: L.WeightNorm(3), (2, 2, 5, 3)),
    "weight_norm of linear": (lambda: L.Linear(4, 3).compute("W", L.WeightNorm(3)), (5, 4)),
    "weight_norm of conv2d": (lambda: L.Conv2d(2, 3, 2).compute("W", L.WeightNorm(3)), (2, 3, 4, 2)),
    "equalised": (lambda: L.Linear(4, 3, initialiser=initialisers.normal(1.0)).compute("W", L.EqualisedRate()), (5, 4)),
}
SKIP = {"weight_norm": {"batch": "its rows are the inputs of a weight"}}


@pytest.mark.parametrize("name", CASES)
def test_suite(name):
    make, x = CASES[name]
    report = suite(make, x, skip=SKIP.get(name))
    exact = [check for check in report.checks if check.error is not None and check.property not in ("float32", "back ends")]
    assert len(exact) >= 10
    assert max(check.error for check in exact) <= 1e-12


# ---- normalisation


def test_group_norm_standardises_each_group():
    x = 5 + 3 * normal("x", 3, 4, 2, 6)
    y, _ = L.GroupNorm(3, 6, eps=0.0).initialise(KEY, np.float64).forward(x)
    groups = y.reshape(3, 8, 3, 2)
    assert np.abs(groups.mean((1, 3))).max() <= 1e-14
    assert np.abs((groups**2).mean((1, 3)) - 1).max() <= 1e-14


def test_weight_norm_begins_where_the_layer_was():
    plain = L.Linear(4, 3).initialise(KEY, np.float64)
    normed = L.Linear(4, 3).compute("W", L.WeightNorm(3)).initialise(KEY, np.float64)
    x = normal("x", 5, 4)
    assert np.abs(plain.forward(x)[0] - normed.forward(x)[0]).max() <= 1e-15
    y, cache = normed.forward(x)
    normed.backward(y, cache)
    assert np.abs((normed.grads["W"] * normed.params["W"]).sum(0)).max() <= 1e-14  # dv is at right angles to v


def test_equalised_rate_gives_he_weights():
    layer = L.Linear(64, 500, initialiser=initialisers.normal(1.0)).compute("W", L.EqualisedRate()).initialise(KEY)
    assert np.std(layer.params["W"]) == pytest.approx(1, abs=0.02)
    assert np.std(layer.weights().W) == pytest.approx(math.sqrt(2 / 64), rel=0.02)


# ---- resampling


def test_bilinear_is_exact_for_planes_away_from_the_edge():
    rows, columns = np.mgrid[:5, :6]
    y, _ = L.BilinearUpsample(3).forward((2.0 * rows - columns + 1)[None, :, :, None])
    at = (np.arange(3 * 6) + 0.5) / 3 - 0.5  # pixel centres of y in those of x
    plane = 2 * at[:15, None] - at[None] + 1
    assert np.abs(y[0, 1:-1, 1:-1, 0] - plane[1:-1, 1:-1]).max() <= 1e-14
    assert y[0, 0, 0, 0] == 1  # the corner pixel's own centre is the outermost one: constant beyond it


def test_max_pool_takes_the_first_of_equals_and_shows_a_nan():
    layer = L.MaxPool2d(2)
    _, cache = layer.forward(np.zeros((1, 2, 2, 1)))
    assert layer.backward(np.ones((1, 1, 1, 1)), cache).ravel().tolist() == [1, 0, 0, 0]
    for place in range(4):
        x = np.arange(4.0)
        x[place] = np.nan
        assert np.isnan(layer.forward(x.reshape(1, 2, 2, 1))[0]).all()


def test_the_frame_never_wins():
    y, _ = L.MaxPool2d(3, 1, 1).forward(np.full((1, 3, 3, 1), -7.0))
    assert (y == -7).all()


def test_squeeze_moves_numbers_only():
    x = normal("x", 2, 4, 6, 3)
    (z, logdet), _ = L.Squeeze(2).forward(x)
    assert logdet == 0
    assert np.array_equal(z, L.SpaceToDepth(2).forward(x)[0])
    assert np.array_equal(z[:, 1, 2, 3:6], x[:, 2, 5])  # block (1, 2), place (0, 1)
    assert np.array_equal(L.DepthToSpace(2).forward(z)[0], x)
    assert np.array_equal(L.Squeeze(2).inverse(z)[0], x)


# ---- what looks back streams


def streamed(layer, x):
    memory = layer.stream(len(x))
    return np.stack([layer.advance(x[:, t], memory) for t in range(x.shape[1])], 1)


@pytest.mark.parametrize(("kernel", "dilation"), [(1, 1), (2, 1), (2, 5), (3, 2), (5, 3)])
def test_causal_conv1d_streams(kernel, dilation):
    layer = L.Conv1d(3, 2, kernel, dilation=dilation, causal=True).initialise(KEY, np.float64)
    x = normal("x", 2, 17, 3)
    y, cache = layer.forward(x)
    assert np.abs(streamed(layer, x) - y).max() <= 1e-13
    dy = np.zeros_like(y)
    dy[:, 9] = normal("dy", 2, 2)
    seen = np.abs(layer.backward(dy, cache)).sum((0, 2)) > 0
    assert np.flatnonzero(seen).tolist() == [9 - i * dilation for i in reversed(range(kernel)) if i * dilation <= 9]


def test_causal_attention_streams_and_sees_nothing_ahead():
    layer = L.MultiHeadAttention(6, 2, causal=True).initialise(KEY, np.float64)
    x = normal("x", 2, 9, 6)
    y, cache = layer.forward(x)
    assert np.abs(streamed(layer, x) - y).max() <= 1e-13
    dy = np.zeros_like(y)
    dy[:, 4] = normal("dy", 2, 6)
    seen = np.abs(layer.backward(dy, cache)).sum((0, 2)) > 0
    assert seen.tolist() == [t <= 4 for t in range(9)]


@pytest.mark.parametrize(
    "make", [lambda: L.Conv1d(2, 2), lambda: L.Conv1d(2, 2, stride=2, causal=True), lambda: L.ScaledDotProduct()]
)
def test_what_looks_ahead_does_not_stream(make):
    with pytest.raises(NotImplementedError, match="does not stream"):
        make().initialise(KEY).stream(2)


def test_attention_with_large_scores_does_not_overflow():
    x = 1e3 * normal("x", 2, 4, 3).astype(np.float32)
    y, _ = L.ScaledDotProduct(causal=True).forward((x, x, x))
    assert y.dtype == np.float32
    assert np.isfinite(y).all()


# ---- rows that see each other


def test_minibatch_std_keeps_groups_apart():
    layer, x = L.MinibatchStd(2), normal("x", 6, 2, 2, 3)
    y, _ = layer.forward(x)
    f = np.sqrt(x.reshape(3, 2, -1).var(1) + 1e-8).mean(1)
    assert np.abs(y[..., 3] - np.repeat(f, 2)[:, None, None]).max() <= 1e-14
    assert np.array_equal(y[..., :3], x)
    same, _ = layer.forward(np.repeat(x[:1], 4, 0))
    assert np.allclose(same[..., 3], 1e-4)  # sqrt(eps): the rows are equal


def test_minibatch_discrimination_counts_copies():
    layer = L.MinibatchDiscrimination(4, 3, 2).initialise(KEY, np.float64)
    x = 100 * normal("x", 5, 4)
    x[3] = x[1]
    o = layer.forward(x)[0][:, 4:]
    assert np.abs(o - np.array([1, 2, 1, 2, 1])[:, None]).max() <= 1e-3


# ---- errors say what was got, and what is wanted

WRONG = [
    (lambda: L.GroupNorm(4, 6), None, "4 groups do not divide 6 channels"),
    (lambda: L.GroupNorm(2, 6), (2, 3, 4), r"GroupNorm\(2, 6\) got x of shape \(2, 3, 4\): it takes \(N, ..., 6\)"),
    (lambda: L.InstanceNorm(3), (2, 3), r"InstanceNorm\(3\) got x of shape \(2, 3\): a group of one number"),
    (lambda: L.NearestUpsample(0), None, "factor must be a whole number of at least 1, got 0"),
    (lambda: L.BilinearUpsample(), (2, 3, 4), r"BilinearUpsample\(2\) got x of shape \(2, 3, 4\): it takes images"),
    (lambda: L.MaxPool2d(2, padding=2), None, "padding must be smaller than the window"),
    (lambda: L.AveragePool2d(4), (1, 3, 5, 1), r"AveragePool2d.*\(1, 3, 5, 1\), which is smaller than a window"),
    (L.GlobalAveragePool, (2, 3), r"GlobalAveragePool got x of shape \(2, 3\)"),
    (lambda: L.SpaceToDepth(2), (1, 3, 4, 1), "height and width must be multiples of 2"),
    (lambda: L.Squeeze(2), (1, 3, 4, 1), r"Squeeze\(2\) got x of shape \(1, 3, 4, 1\)"),
    (lambda: L.DepthToSpace(2), (1, 3, 4, 6), "channels must be a multiple of 4"),
    (lambda: L.Conv1d(2, 3, causal=True, padding=1), None, "causal=True pads in front by itself"),
    (lambda: L.Conv1d(2, 3), (2, 5, 3), r"Conv1d\(2, 3, 3\) got x of shape \(2, 5, 3\): it takes sequences of \(N, T, 2\)"),
    (lambda: L.Conv1d(2, 3, dilation=3), (2, 5, 2), "T at least 7"),
    (lambda: L.MultiHeadAttention(6, 4), None, "4 heads do not divide 6 channels"),
    (lambda: L.ScaledDotProduct(4), ((1, 2, 6),) * 3, "4 heads do not divide 6 channels"),
    (lambda: L.ScaledDotProduct(), ((1, 2, 6), (1, 3, 4), (1, 3, 4)), r"q \(1, 2, 6\), k \(1, 3, 4\)"),
    (lambda: L.ScaledDotProduct(causal=True), ((1, 2, 6), (1, 3, 6), (1, 3, 6)), "as many keys as queries"),
    (lambda: L.MinibatchStd(4), (6, 3), r"MinibatchStd\(4\) got x of shape \(6, 3\)"),
    (lambda: L.MinibatchStd(4), (0, 3), "multiple of the group"),
    (lambda: L.MinibatchDiscrimination(3, 2, 2), (4, 2), r"got x of shape \(4, 2\): it takes \(N, 3\)"),
    (lambda: L.Linear(4, 3).compute("W", L.WeightNorm(4)), (2, 4), r"WeightNorm\(4\) got a weight of shape \(4, 3\)"),
    (lambda: L.Linear(4, 3, initialiser=initialisers.zeros).compute("W", L.WeightNorm(3)), (2, 4), "a column of zeros"),
]


@pytest.mark.parametrize(("make", "x", "words"), WRONG)
def test_errors(make, x, words):
    def use():
        layer = make().initialise(KEY, np.float64)
        assert x is not None, "the constructor should have raised"
        layer.forward(np.zeros(x) if isinstance(x[0], int) else tuple(np.zeros(shape) for shape in x))

    with pytest.raises(ValueError, match=words):
        use()


def test_complex_numbers_of_gelu_travel_from_a_gpu(monkeypatch):
    """CuPy's erf takes none."""
    x, erf = np.linspace(-3, 3, 7) + 1j, special.erf

    def on_the_host(x):
        assert type(x) is np.ndarray
        return erf(x)

    monkeypatch.setattr(special, "erf", on_the_host)
    with standing_for_cupy():
        y = normal_cdf(to_test_device(x))
        assert type(y) is DeviceArray
    assert np.array_equal(to_host(y), normal_cdf(x))
