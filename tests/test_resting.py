"""Steady states and balance, against closed forms and long simulations."""

import jax.numpy as jnp
import numpy as np
import pytest

import jaxmem as jm
from jaxmem.analysis.small_systems import solve


def test_small_systems_agree_with_lapack() -> None:
    random = np.random.default_rng(0)
    for n in (1, 2, 3, 5):
        a, b = random.standard_normal((200, n, n)), random.standard_normal((200, n))
        a[:50, 0, 0] = 0.0  # a pivot that has to be fetched from below
        if n == 1:
            a[:50, 0, 0] = -2.0
        x, positive = solve(
            [[jnp.asarray(a[:, i, j]) for j in range(n)] for i in range(n)], [jnp.asarray(b[:, i]) for i in range(n)]
        )
        expected = np.linalg.solve(a, b[..., None])[..., 0]
        np.testing.assert_allclose(np.stack(x, -1), expected, rtol=1e-7, atol=1e-7)
        assert np.array_equal(positive, np.linalg.det(a) > 0)


def varied(n: int = 40, sd: float = 0.1) -> jm.Membrane:
    random = np.random.default_rng(2)
    cell = jm.presets.pumped_neuron()
    paths = ("sodium.g", "potassium.g", "na_leak.g", "k_leak.g", "cl_leak.g", "pump.i_max")
    values = cell.parameters()
    return cell.with_parameters({p: values[p].value * np.exp(sd * random.standard_normal(n)) for p in paths})


def test_resting_states_stand_still() -> None:
    cells = varied()
    rest = jm.resting_state(cells)
    assert (rest.status == jm.Status.OK).all()
    assert rest.residual.max() < 1e-9
    run = jm.simulate(
        cells,
        60e3,
        dt=2.0,
        initial=rest.state,
        precision="float64",
        measures=["final_v", "concentration_change", "spike_count"],
    )
    np.testing.assert_allclose(run.measures["final_v"], rest.v, rtol=0, atol=1e-9)
    for path in ("na.inside", "k.inside", "cl.inside"):
        assert np.abs(run.measures[f"concentration_change.{path}"]).max() < 1e-9
    assert run.audit.worst_charge < 1e-12 and run.audit.worst_mass < 1e-12


def test_resting_state_keeps_the_impermeant_charge() -> None:
    """C (v - v0) is what the ions carried in: the steady state is the one this cell's own charge allows."""
    cells = varied()
    rest = jm.resting_state(cells)
    carried = sum(rest.state.total[ion] for ion in ("na", "k", "cl"))
    np.testing.assert_allclose(-carried, 1.0 * (rest.v + 70.0), atol=1e-6)
    neutral = rest.concentrations["na.inside"] + rest.concentrations["k.inside"] - rest.concentrations["cl.inside"]
    per_mv = 10.0 / (jm.units.FARADAY * float(cells.geometry.depth))  # mM of charge per mV on the capacitor
    expected = 8.9 + 140.0 - float(cells.parameters()["cl.inside"].value) + per_mv * (rest.v + 70.0)
    np.testing.assert_allclose(neutral, expected, rtol=1e-12)


def test_resting_state_is_where_a_long_run_goes() -> None:
    """A small cell from wrong concentrations: an hour of simulation arrives at the solver's state."""
    cell = jm.presets.pump_leak().with_geometry(jm.Sphere(radius=0.3))
    cell = cell.with_parameters({"pump.i_max": np.array([0.9, 1.2, 1.6]), "k_leak.g": 0.06})
    rest = jm.resting_state(cell)
    run = jm.simulate(cell, 3.6e6, dt=20.0, precision="float64", measures=["final_v", "concentration_change"])
    np.testing.assert_allclose(run.measures["final_v"], rest.v, rtol=0, atol=1e-6)
    for path, start in (("na.inside", 10.0), ("k.inside", 140.0)):
        np.testing.assert_allclose(
            start + run.measures[f"concentration_change.{path}"], rest.concentrations[path], rtol=1e-8
        )


def test_passive_chloride_rests_at_its_nernst_potential_and_the_pump_pays_for_potassium() -> None:
    cells = varied()
    rest = jm.resting_state(cells)
    p = cells.parameters()
    e_cl = jm.electrochemistry.nernst(rest.concentrations["cl.inside"], p["cl.outside"].value, -1, 37.0)
    np.testing.assert_allclose(rest.v, e_cl, rtol=0, atol=1e-9)


def test_cells_that_cannot_rest_are_named() -> None:
    """A depolarised start beyond threshold, and a cell without a pump that has nothing to stand still with."""
    cell = jm.presets.pumped_neuron()
    rest = jm.resting_state(cell.with_parameters({"k_leak.g": np.array([0.04, 0.004, 0.04])}))
    assert rest.status.tolist() == [jm.Status.OK, jm.Status.NO_STEADY_STATE, jm.Status.OK]
    run = jm.simulate(
        cell.with_parameters({"k_leak.g": np.array([0.04, 0.004, 0.04])}),
        5.0,
        initial=rest.state,
        record=jm.Record("v", 1.0),
        measures=["mean_v"],
    )
    assert run.status.tolist() == [0, jm.Status.NO_STEADY_STATE, 0]
    assert np.isnan(run.traces["v"][:, 1]).all() and np.isfinite(run.traces["v"][:, [0, 2]]).all()
    assert np.isnan(run.measures["mean_v"]).tolist() == [False, True, False]
    assert list(run.failures.values()) == [1]


def test_resting_state_refuses_what_it_cannot_solve() -> None:
    cell = jm.presets.pump_leak()
    atp = jm.Species(inside=2.0, outside=0.0, valence=0, dynamic=("inside",))
    with pytest.raises(ValueError, match="atp"):
        jm.resting_state(cell.with_species({"atp": atp}))


def test_resting_state_of_a_single_cell_has_no_axis() -> None:
    rest = jm.resting_state(jm.presets.pump_leak())
    assert rest.v.shape == () and rest.concentrations["na.inside"].shape == ()


@pytest.mark.parametrize("v", [-80.0, -70.0, -60.0])
def test_balance_makes_each_cell_stand_still(v: float) -> None:
    cells = jm.presets.pumped_neuron().with_parameters({"k_leak.g": np.array([0.03, 0.05, 0.08])})
    balanced = jm.balance(cells, v=v)
    rest = jm.resting_state(balanced)
    np.testing.assert_allclose(rest.v, v, rtol=0, atol=1e-9)
    assert np.abs(rest.concentrations["na.inside"] - 8.9).max() < 1e-6
    values = balanced.parameters()
    charge = {"na": 1, "k": 1, "cl": -1, "other": -1}
    inside = sum(z * np.asarray(values[f"{ion}.inside"].value) for ion, z in charge.items())
    np.testing.assert_allclose(inside, 0.0, atol=1e-9)


def test_balance_says_what_is_wrong() -> None:
    cell = jm.presets.pump_leak()
    with pytest.raises(ValueError, match=r"na_leak\.g|pump\.i_max"):
        jm.balance(cell, v=-95.0)  # beyond E_K: the pump would have to run backwards
    with pytest.raises(ValueError, match="one parameter per dynamic ion"):
        jm.balance(cell, v=-70.0, solve_for=["pump.i_max"])
    with pytest.raises(jm.PathError, match=r"pump\.i_max"):
        jm.balance(cell, v=-70.0, solve_for=["pump.imax", "na_leak.g", "cl.inside"])
