"""Where a cell can rest at all: certain about what it refuses, silent where it cannot know."""

import jax.numpy as jnp
import numpy as np
import pytest

import jaxmem as jm
from jaxmem.analysis.reach import out_of_reach

LEAKS = jm.Membrane(
    {"na_leak": jm.Leak(g=0.01, ion="na"), "k_leak": jm.Leak(g=0.05, ion="k")},
    {
        "na": jm.Species(inside=10.0, outside=145.0),
        "k": jm.Species(inside=140.0, outside=5.0),
        "atp": jm.Species(inside=2.0, outside=0.0, valence=0),
    },
)
BOUNDS = {"na_leak.g": (0.001, 0.02), "k_leak.g": (0.02, 0.2)}


def reversals(membrane: jm.Membrane) -> tuple[float, float]:
    env = membrane.environment(membrane.initial_state().book)
    return float(env.e["na"]), float(env.e["k"])


def test_two_leaks_reach_their_chord_potentials_and_no_others() -> None:
    """The potential of two leaks is the mean of E_Na and E_K weighted by g: a range with ends in corners of the bounds."""
    e_na, e_k = reversals(LEAKS)
    chord = lambda na, k: (na * e_na + k * e_k) / (na + k)
    low, high = chord(0.001, 0.2), chord(0.02, 0.02)
    v = np.linspace(-120, 80, 4001)
    told = out_of_reach(LEAKS, v, BOUNDS)
    refused = np.isin(np.arange(v.size), list(told))
    np.testing.assert_array_equal(refused, (v < low) | (v > high))
    assert 0 < refused.sum() < v.size


def test_the_reason_names_the_reversal_potential_beyond_which_it_lies() -> None:
    e_na, e_k = reversals(LEAKS)
    below, above, inside, nothing = -104.0, e_na + 1, 30.0, np.nan
    told = out_of_reach(LEAKS, np.array([below, above, inside, nothing]), BOUNDS)
    assert told[0] == f"rests at -104 mV, below E_K = {e_k:.4g} mV: no mixture of these conductances can rest there"
    assert f"above E_Na = {e_na:.4g} mV" in told[1]
    assert "the current there is outward" in told[2] and "wider bounds" in told[2]
    assert 3 not in told


def test_a_pump_reaches_below_the_lowest_reversal_potential() -> None:
    """A 3:2 pump hyperpolarises: what two leaks cannot do with ions clamped, a pump can."""
    pumped = LEAKS.with_mechanisms({"pump": jm.NaKATPase(i_max=1.0)})
    _, e_k = reversals(LEAKS)
    v = np.array([e_k - 2.0])
    assert 0 in out_of_reach(LEAKS, v, BOUNDS)
    assert out_of_reach(pumped, v, BOUNDS | {"pump.i_max": (0.01, 50.0)}) == {}
    weak = out_of_reach(pumped, v - 30, BOUNDS | {"pump.i_max": (0.01, 0.02)})
    assert "below E_K" in weak[0]


def test_each_cell_has_its_own_ions_and_ties_are_kept() -> None:
    k_out = np.array([5.0, 2.0])
    cells = LEAKS.with_parameters({"k.outside": k_out})
    assert list(out_of_reach(cells, np.array([-95.0, -95.0]), BOUNDS)) == [0]  # E_K is -89 and -114 mV
    one = {"k_leak.g": (0.001, 1.0)}
    tied = {"na_leak.g": ("k_leak.g", 0.2)}
    e_na, e_k = reversals(LEAKS)
    only = (0.2 * e_na + e_k) / 1.2  # a tied ratio leaves one potential
    told = out_of_reach(LEAKS, np.array([only - 1, only, only + 1]), one, tied)
    assert sorted(told) == [0, 2]
    near = out_of_reach(LEAKS, np.array([only - 1, only + 2, e_k - 1]), one, tied, within=1.5)
    assert sorted(near) == [1, 2]  # a bound may be missed by a measurement's error, a reversal potential not


@pytest.mark.parametrize("path", ["k_leak.q10_g", "k.outside"])
def test_nothing_is_said_of_what_does_not_act_along_a_line(path: str) -> None:
    assert out_of_reach(LEAKS.with_parameters({"celsius": 20.0}), np.array([-150.0]), {path: (1.0, 3.0)}) == {}


def test_nothing_is_said_of_living_ions() -> None:
    assert out_of_reach(jm.presets.pump_leak(), np.array([-150.0]), {"k_leak.g": (0.01, 0.1)}) == {}


def test_the_precision_of_the_caller_is_left_alone() -> None:
    told = out_of_reach(LEAKS.with_parameters({"k_leak.g": jnp.float32(0.05)}), np.array([-100.0]), BOUNDS)
    assert list(told) == [0]
