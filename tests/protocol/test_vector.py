"""One flat vector: where parameters lie, who may move them, and what a twin shares with its model (nothing)."""

import numpy as np
import pytest

from minigen.layers.composite import Sequential
from minigen.layers.elementwise import Tanh
from minigen.layers.initialisers import normal, zeros
from minigen.layers.layer import Layer
from minigen.layers.linear import Linear
from minigen.layers.params import Params
from minigen.layers.vector import Spec, Vector, check_disjoint
from minigen.models import Model
from minigen.random import Key

DTYPES = [np.float32, np.float64, np.complex64, np.complex128]


class Two(Model):
    def __init__(self, dtype=np.float64, **nets: Params) -> None:
        nets = nets or {
            "one": Sequential(hidden=Linear(3, 5), act=Tanh(), out=Linear(5, 2)),
            "two": Sequential(Linear(2, 3), Linear(3, 1, bias=False)),
        }
        super().__init__(Key(1), dtype, **nets)


def tied() -> Two:
    """two.1 has the W of one.hidden."""
    model = {"one": Sequential(hidden=Linear(3, 5)), "two": Sequential(Linear(5, 3), Linear(3, 5, bias=False))}
    model["two"]["1"].specs["W"] = model["one"]["hidden"].specs["W"]
    return Two(**model)


# ---- layout


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_array_starts_on_a_cache_line_in_theta_grad_and_theta_dot(dtype):
    model = Two(dtype)
    assert model.vector.theta_dot.dtype == dtype
    for net in model.nets.values():
        for _, node in net.walk():
            for views, flat in ((node.params, model.theta), (node.grads, model.grad), (node.dots, model.vector.theta_dot)):
                for array in views.values():
                    assert array.ctypes.data % 64 == 0
                    assert np.shares_memory(array, flat)
                    assert array.dtype == dtype


def test_offsets_are_the_same_in_every_dtype():
    places = [Two(dtype).vector.places for dtype in DTYPES]
    assert all(other == places[0] for other in places)


def test_size_counts_numbers_and_not_padding():
    assert Two().vector.size == (15 + 5) + (10 + 2) + (6 + 3) + 3
    assert Two().theta.size > Two().vector.size


def test_a_network_without_parameters_has_an_empty_vector():
    net = Sequential(Tanh()).initialise(Key(0), np.float64)
    assert net.vector.theta.size == net.vector.size == 0
    assert net.vector.spans("") == []


def test_a_parameter_may_be_a_number():
    class Gain(Layer):
        def __init__(self):
            super().__init__(g=Spec((), normal(1.0)))

    gain = Gain().initialise(Key(0))
    gain.params["g"][...] = 3
    assert gain.vector.theta[0] == 3
    assert gain.vector.size == 1


# ---- slices


def test_neighbours_are_one_slice():
    model = Two()
    assert len(model.spans("")) == len(model.spans("one", "two")) == len(model.spans("one")) == 1
    (one,), (two,) = model.spans("one"), model.spans("two")
    assert (one.start, two.stop) == (0, model.vector.places["two.1.W"].stop)
    assert one.stop <= two.start
    assert len(model.spans("one.hidden", "two")) == 2
    assert model.spans("two", "one.hidden") == model.spans("one.hidden", "two")
    assert model.spans("one.out.b") == [slice(*model.vector.places["one.out.b"][:2])]


def test_a_prefix_ends_at_a_dot():
    model = Two(net=Linear(2, 2), net2=Linear(2, 2))
    assert model.spans("net") != model.spans("net", "net2")
    with pytest.raises(KeyError, match=r"no parameter under 'ne'; there is net\.W, net\.b, net2\.W"):
        model.spans("ne")


def test_overlapping_slices_are_refused():
    check_disjoint([slice(0, 4), slice(4, 8)])
    with pytest.raises(ValueError, match=r"mine overlap: \[0:5\] and \[4:8\]"):
        check_disjoint([slice(4, 8), slice(0, 5)], "mine")


# ---- ties


def test_a_tie_is_laid_once_and_found_under_both_names():
    model = tied()
    assert model.vector.places["one.hidden.W"] == model.vector.places["two.1.W"]
    assert model.vector.size == (15 + 5) + (15 + 3)
    assert model.one["hidden"].params["W"] is not None
    assert np.shares_memory(model.one["hidden"].params["W"], model.two["1"].params["W"])
    assert model.spans("two.1") == model.spans("one.hidden.W")
    with pytest.raises(ValueError, match="updated twice"):
        check_disjoint(model.spans("one") + model.spans("two"))


def test_a_tie_takes_its_value_from_its_first_path():
    plain = Two(one=Sequential(hidden=Linear(3, 5)))
    assert np.array_equal(tied().two["1"].params["W"], plain.one["hidden"].params["W"])


def test_gradients_of_a_tie_add_up():
    model = tied()
    model.one["hidden"].grads["W"] += 1.0
    model.two["1"].grads["W"] += 2.0
    assert (model.one["hidden"].grads["W"] == 3).all()


@pytest.mark.parametrize("twin", [lambda m: m.astype(np.float32), lambda m: m.astype(np.complex128)])
def test_a_tie_survives_in_a_twin_and_ends_where_a_network_leaves(twin):
    model = tied()
    other = twin(model)
    assert other.vector.places == model.vector.places
    assert np.shares_memory(other.one["hidden"].params["W"], other.two["1"].params["W"])
    alone = model.two.clone()
    alone["1"].params["W"][...] = 0
    assert model.one["hidden"].params["W"].all()


# ---- who may write


def test_views_are_written_into_and_never_replaced():
    model = Two()
    layer = model.one["out"]
    layer.params["W"] += 1
    layer.grads["b"] += 2
    layer.grads["b"][...] = 3
    for views in (layer.params, layer.grads):
        with pytest.raises(TypeError, match=r"'W' is a view into the flat vector: write into it"):
            views["W"] = np.zeros((5, 2))
        with pytest.raises(TypeError, match="view into the flat vector"):
            views["new"] = np.zeros(2)
    with pytest.raises(TypeError, match=r"'W' is a view into the flat vector: it cannot be taken away"):
        del layer.grads["W"]
    assert (model.vector.places["one.out.b"].of(model.grad) == 3).all()


def test_zeros_are_written_when_somebody_asks():
    model = tied()
    hidden, other, between = model.one["hidden"], model.two["1"], model.two["0"]
    place = model.vector.places["one.hidden.W"]
    for ask in (lambda: hidden.grads["W"], lambda: {**hidden.grads}["W"], lambda: place.of(model.grad)):
        model.grad[...] = 7
        model.zero_grads()
        assert (place.of(model.vector._grad) == 7).all()
        assert not ask().any()
    model.grad[...] = 7
    model.one.zero_grads()
    assert not other.grads["W"].any()  # it is hidden's
    other.grads["W"] += 1
    assert (hidden.grads["W"] == 1).all()
    assert not hidden.grads["b"].any()
    assert (between.grads["W"] == 7).all()
    model.zero_grads()
    assert "W" in hidden.grads
    assert "V" not in hidden.grads
    assert repr(hidden.grads) == "Gradients(W, b)"
    assert (place.of(model.vector._grad) == 1).all()  # nobody has asked
    assert not model.grad.any()  # the gaps between arrays neither


def test_an_optimiser_asks_for_its_own_zeros():
    model = tied()
    (span,), place = model.spans("two.0"), model.vector.places["two.0.W"]
    model.grad[...] = 7
    model.zero_grads()
    assert not model.vector.filled(span).any()
    assert not place.of(model.vector._grad).any()
    assert (model.vector.places["one.hidden.W"].of(model.vector._grad) == 7).all()
    assert not model.grad.any()


def test_what_lies_between_the_arrays_is_emptied_where_somebody_may_have_written_there():
    model = tied()
    between = np.ones(len(model.theta), bool)
    for place in model.vector.places.values():
        between[place.start : place.stop] = False
    assert between.any()
    for empty in (model.zero_grads, model.vector.write_zeros):
        model.grad[...] = 7
        empty()
        assert not model.vector._grad[between].any()
    model.vector._grad[between] = 5  # which nobody can have done who was not shown it
    model.zero_grads()
    assert (model.vector._grad[between] == 5).all()


def test_what_counts_as_zero_is_overwritten_by_the_first_gradient_and_added_to_by_the_next():
    model = tied()
    hidden, other = model.one["hidden"], model.two["1"]
    asked = []

    def ones(out, accumulate):
        asked.append(accumulate)
        out[...] = out + 1 if accumulate else 1
        return out

    for first, then in ((hidden, other), (other, hidden)):  # their W is one array
        model.grad[...] = np.nan
        model.zero_grads()
        first.grads.add("W", ones)
        then.grads.add("W", ones)
        hidden.grads.add("b", np.ones(5))
        hidden.grads.add("b", np.ones(5))
        assert (first.grads["W"] == 2).all()
        assert (hidden.grads["b"] == 2).all()
        assert np.isfinite(model.grad).all()
    model.zero_grads()
    for wrong in (np.ones((1, 5)), 1j * np.ones(5)):
        with pytest.raises((ValueError, TypeError)):
            hidden.grads.add("b", wrong)
    assert asked == [False, True, False, True]


def test_flat_vectors_are_written_into_and_never_replaced():
    model = Two()
    model.theta += 1
    model.grad *= 2
    model.vector.theta_dot += 1
    for replace in (
        lambda: setattr(model, "theta", model.theta + 1),
        lambda: setattr(model.vector, "theta", model.theta.copy()),
        lambda: setattr(model, "grad", model.grad * 0),
        lambda: setattr(model.vector, "theta_dot", model.grad),
    ):
        with pytest.raises(TypeError, match="every layer looks into"):
            replace()


def test_an_array_that_is_not_there_is_named():
    with pytest.raises(KeyError, match=r"no array 'V' here; there is 'W', 'b'"):
        Two().one["out"].params["V"]
    with pytest.raises(KeyError, match="lay the layer out first"):
        Linear(2, 2).params["W"]


# ---- versions


def test_version_rises_where_a_slice_touches_and_nowhere_else():
    model = Two()
    nodes = {path: node for name, net in model.nets.items() for path, node in net.walk(name)}
    model.vector.raised(model.spans("one.out.b", "two.0"))
    assert {path for path, node in nodes.items() if node.version} == {"one.out", "two.0"}
    model.theta -= 0.1
    assert {path for path, node in nodes.items() if node.version} == {"one.hidden", "one.out", "two.0", "two.1"}


def test_both_owners_of_a_tie_go_stale():
    model = tied()
    model.vector.raised(model.spans("one"))
    assert (model.one["hidden"].version, model.two["0"].version, model.two["1"].version) == (1, 0, 1)


# ---- twins


def test_a_clone_with_a_vector_of_values_takes_it():
    net = Sequential(Linear(3, 5), Linear(5, 2)).initialise(Key(1), np.float64)
    theta = net.clone().vector.theta + 1
    twin = net.clone(theta=theta)
    assert twin.vector.theta is theta
    for (path, value), (other, before) in zip(twin.named(), net.named(), strict=True):
        assert path == other
        assert np.array_equal(value, before + 1)
        assert np.may_share_memory(value, theta)
    for wrong in (theta[:-1], theta.astype(np.float32)):
        with pytest.raises(ValueError, match=r"this network's vector is \(64,\) float64, got .*: take one that lies as clone"):
            net.clone(theta=wrong)


def test_the_first_direction_is_taken_as_it_is():
    net = Sequential(Linear(3, 5), Linear(5, 2)).initialise(Key(1), np.float64)
    direction = np.ones_like(net.vector.theta)
    net.vector.theta_dot = direction
    assert net.vector.theta_dot is direction
    assert all(np.may_share_memory(dot, direction) for _, node in net.walk() for dot in node.dots.values())
    with pytest.raises(TypeError, match="every layer looks into theta_dot"):
        net.vector.theta_dot = direction.copy()
    with pytest.raises(ValueError, match="this network's vector is"):
        net.clone().vector.theta_dot = direction[:-1]


def test_a_clone_has_the_same_values_and_shares_nothing():
    model = Two()
    net = model.one
    twin = net.clone()
    assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(net.named(), twin.named(), strict=True))
    before = model.theta.copy()
    twin.vector.theta += 1
    twin["out"].grads["W"] += 1
    assert np.array_equal(model.theta, before)
    assert not model.grad.any()
    assert twin["out"].version == 1
    assert net["out"].version == 0
    assert net.vector is None


@pytest.mark.parametrize("dtype", DTYPES)
def test_astype_gives_a_twin_with_its_own_views_and_the_models_own_objectives(dtype):
    model = Two()
    model.objectives = ("an objective",)
    model.state["chain"], model.state["order"] = np.ones(3), np.arange(3)
    twin = model.astype(dtype)
    assert type(twin) is Two
    assert (twin.theta == model.theta.astype(dtype)).all()
    assert twin.one is twin.nets["one"] is not model.one
    assert twin.objectives is model.objectives
    assert twin.state["chain"].dtype == np.zeros(0, dtype).real.dtype
    assert twin.state["order"].dtype.kind == "i"
    twin.theta += 1
    twin.state["chain"] += 1
    assert not (twin.theta == model.theta.astype(dtype)).any()
    assert (model.state["chain"] == 1).all()
    assert model.one["out"].version == 0


def test_a_copy_brings_no_gradients_and_no_direction():
    net = Linear(2, 3).initialise(Key(0), np.float64)
    net.vector.grad += 1
    net.vector.theta_dot[...] = 1
    twin = net.clone()
    assert not twin.vector.grad.any()
    _, cache = twin.forward(np.ones((1, 2)))
    with pytest.raises(RuntimeError, match=r"Linear: move_params=True, but no direction is set: fill vector\.theta_dot"):
        twin.jvp(np.zeros((1, 2)), cache, move_params=True)
    twin.vector.theta_dot[...] = 2
    assert (twin.dots["W"] == 2).all()
    assert (net.dots["W"] == 1).all()


def test_state_is_real_in_a_complex_twin_and_has_the_twins_precision():
    class Stateful(Linear):
        def begin_state(self, key):
            super().begin_state(key)
            self.state |= {"mean": self.params["W"].mean(0), "count": np.zeros((), np.int64)}

    net = Stateful(2, 3).initialise(Key(0), np.float32)
    for dtype in DTYPES:
        twin = net.clone(dtype)
        assert twin.state["mean"].dtype == np.zeros(0, dtype).real.dtype
        assert twin.state["count"].dtype == np.int64
        twin.state["mean"] += 1
    assert np.array_equal(net.state["mean"], net.params["W"].mean(0))


# ---- first values


def test_a_first_value_depends_on_its_path_and_on_nothing_else():
    short = Sequential(hidden=Linear(3, 5), out=Linear(5, 2)).initialise(Key(7), np.float64)
    longer = Sequential(new=Linear(3, 3), hidden=Linear(3, 5), act=Tanh(), out=Linear(5, 2)).initialise(Key(7), np.float64)
    for path in ("hidden", "out"):
        assert np.array_equal(short[path].params["W"], longer[path].params["W"])
    twice = Sequential(Linear(4, 4), Linear(4, 4)).initialise(Key(7))
    assert not np.array_equal(twice[0].params["W"], twice[1].params["W"])


def test_both_precisions_start_at_the_same_values():
    one, two = (Sequential(Linear(3, 5)).initialise(Key(7), dtype)[0].params["W"] for dtype in (np.float32, np.float64))
    assert np.array_equal(one, two.astype(np.float32))


def test_a_vector_without_a_key_needs_values():
    with pytest.raises(ValueError, match="has no value yet: a key is needed"):
        Vector({"net": Linear(2, 2)}, None)


def test_existing_values_move_in_unchanged():
    net = Linear(3, 2, initialiser=zeros).initialise(Key(0), np.float64)
    net.params["W"][...] = 5
    model = Two(np.float64, net=net, other=Linear(3, 2))
    assert (model.net.params["W"] == 5).all()
    assert model.other.params["W"].any()
    assert np.shares_memory(model.net.params["W"], model.theta)
