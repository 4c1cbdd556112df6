"""Several stable rests of one cell, with all its ions."""

import jax
import numpy as np
import pytest
from test_homeostasis import PHYSIOLOGICAL, STARVED
from two_rests import PUMP

import jaxmem as jm

PATHS = ("k.outside", "na.inside", "k.inside", "cl.inside")


@pytest.fixture(scope="module")
def cells() -> jm.Membrane:
    """The bistable neuron as published, with a pump that has only the starved rest, and with one that has only the other."""
    return jm.presets.hubel_dahlem_2014().with_parameters({"pump.i_max": np.array([PUMP, 0.9, 45.0])})


@pytest.fixture(scope="module")
def found(cells: jm.Membrane) -> jm.Attractors:
    return jm.attractors(cells, run_down=(0.0, 0.1, 0.5, 0.8))


@pytest.mark.slow
def test_both_stable_rests_are_found_once_each(found: jm.Attractors) -> None:
    assert found.count.tolist() == [2, 1, 1]
    for slot, (place, _) in enumerate((PHYSIOLOGICAL, STARVED)):
        level = (found.v[slot, 0], *(found.concentrations[path][slot, 0] for path in PATHS))
        np.testing.assert_allclose(level, place, rtol=0, atol=1e-8)
    assert found.v[0, 1] > -30 and found.v[0, 2] < -60
    assert found.v.shape == (4, 3) and np.isnan(found.v[2:, 0]).all() and np.isnan(found.v[1:, 1:]).all()
    assert (found.stability[np.isnan(found.v)] == jm.Stability.UNKNOWN).all()
    assert (found.stability[~np.isnan(found.v)] <= jm.Stability.OSCILLATORY).all()
    assert np.nanmax(found.residual) < 1e-8


@pytest.mark.slow
def test_every_start_leads_to_one_of_them_or_says_that_it_does_not(found: jm.Attractors) -> None:
    assert len(found.rests) == 4
    for rest in found.rests:
        for cell in np.flatnonzero(rest.status == jm.Status.OK):
            assert np.nanmin(np.abs(found.v[:, cell] - rest.v[cell])) < 1e-5
    went = np.stack([np.where(rest.status == jm.Status.OK, rest.v, np.nan) for rest in found.rests])
    assert np.isfinite(went).any(0).all() and (np.nan_to_num(went[:, 0], nan=0.0) < -60).any()


@pytest.mark.slow
def test_rests_of_one_cell_hold_the_same_ions(cells: jm.Membrane, found: jm.Attractors) -> None:
    """Inside and outside together, weighted by volume: a start that is run down has only exchanged them."""
    p = cells.parameters()
    for ion in ("na", "k", "cl"):
        held = 3 * found.concentrations[f"{ion}.inside"] + found.concentrations[f"{ion}.outside"]
        expected = 3 * p[f"{ion}.inside"].value + p[f"{ion}.outside"].value
        np.testing.assert_allclose(held[~np.isnan(held)], expected, rtol=1e-12)


@pytest.mark.slow
def test_a_cell_alone_and_further_starts(cells: jm.Membrane, found: jm.Attractors) -> None:
    """One cell has no axis. A state of one's own is a start too: here the starved rest itself."""
    starved = found.rests[-1].state
    alone = jax.tree.map(lambda x: x[..., 0] if np.ndim(x) else x, starved)
    one = jm.attractors(jm.presets.hubel_dahlem_2014(), run_down=(0.0,), starts=[alone])
    assert one.v.shape == (2,) and one.count == 2 and one.count.shape == ()
    np.testing.assert_allclose(one.v, found.v[:2, 0], rtol=0, atol=1e-8)


@pytest.mark.slow
def test_starts_that_lead_to_one_rest_are_merged() -> None:
    """A single cell has no axis; its rest is that of resting_state."""
    cell = jm.presets.pump_leak()
    found = jm.attractors(cell, run_down=(0.0, 0.05, 0.1))
    assert found.v.shape == (3,) and found.count == 1 and np.isnan(found.v[1:]).all()
    assert all(rest.status == jm.Status.OK for rest in found.rests)
    rest = jm.resting_state(cell)
    assert found.v[0] == pytest.approx(float(rest.v), abs=1e-9) and found.stability[0] == rest.stability
    for path, level in rest.concentrations.items():
        assert found.concentrations[path][0] == pytest.approx(float(level), rel=1e-10)
        assert np.isnan(found.concentrations[path][1:]).all()


def test_no_start_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match=r"at least one start: fractions in run_down, or states in starts"):
        jm.attractors(jm.presets.hubel_dahlem_2014(), run_down=())
