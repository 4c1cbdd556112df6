"""Steady states and balance: against fifty digits, closed forms and long simulations; what cannot rest is named."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
import resting_oracle as oracle

import jaxmem as jm
from jaxmem.analysis.small_systems import solve

OK, NONE, NOT_FINITE = jm.Status.OK, jm.Status.NO_STEADY_STATE, jm.Status.NOT_FINITE
# the paths that have an axis of cells here: always these, so that one compiled program serves all tests
PATHS = ("na_leak.g", "k_leak.g", "cl_leak.g", "pump.i_max", "k.outside", "na.inside")
IONS = ("na", "k", "cl")


def scattered(n: int, sd: float = 0.15, name: str = "pump_leak", paths: tuple[str, ...] = PATHS) -> jm.Membrane:
    cell, random = jm.presets.get(name), np.random.default_rng(5)
    values = cell.parameters()
    return cell.with_parameters({p: values[p].value * np.exp(sd * random.standard_normal(n)) for p in paths})


def changed(cells: jm.Membrane, values: dict[str, dict[int, float]]) -> jm.Membrane:
    """Other numbers for some cells, NaN too, which with_parameters refuses."""
    for path, mine in values.items():
        name, field = path.split(".")
        x = np.array(cells.parameters()[path].value, float)
        x[list(mine)] = list(mine.values())
        where = lambda m, n=name, f=field: getattr((m.mechanisms | m.species)[n], f)
        cells = eqx.tree_at(where, cells, x)
    return cells


def numbers(cells: jm.Membrane, i: int) -> dict[str, float]:
    return {k: p.value[i] if np.ndim(p.value) else p.value for k, p in cells.parameters().items()}


def found(rest: jm.RestingState) -> np.ndarray:
    """(v, Na, K, Cl) by cells."""
    return np.stack([rest.v, *(rest.concentrations[f"{ion}.inside"] for ion in IONS)])


@functools.cache
def eight() -> tuple[jm.Membrane, jm.RestingState, np.ndarray]:
    cells = scattered(8)
    rest = jm.resting_state(cells)
    return cells, rest, found(rest)


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


# ---------------------------------------------------------------------- against fifty digits
def test_pumped_cells_agree_with_fifty_digits() -> None:
    """Voltage, concentrations, eigenvalues and time constants; the law of charge shows as an eigenvalue of 0."""
    cells, rest, x = eight()
    assert (rest.status == OK).all() and rest.residual.max() < 1e-12
    spectrum = rest.spectrum
    for i in range(8):
        exact, eigenvalues = oracle.pump_leak(numbers(cells, i))
        assert max(abs(mp.mpf(a) - b) for a, b in zip(x[:, i], exact, strict=True)) < 1e-11  # promised: 1e-9 mM
        assert abs(eigenvalues[0]) < 1e-40
        for mine, a in zip(rest.eigenvalues[i], eigenvalues[1:], strict=True):
            assert abs(complex(mine) / complex(a) - 1) < 1e-12  # promised: 1e-9
        np.testing.assert_allclose(
            spectrum.time_constants[i], [-1 / float(a.real) for a in eigenvalues[1:]], rtol=1e-12
        )
    assert spectrum.conserved.shape == (8, 1)
    assert (np.abs(spectrum.conserved[:, 0]) <= 1e-12 * spectrum.norm).all()
    assert (spectrum.stability == jm.Stability.NODE).all() and np.array_equal(rest.stability, spectrum.stability)


def test_what_is_at_rest_with_ohmic_leaks_is_mullins_noda_by_conductances() -> None:
    """Net fluxes of Na+ and K+ are 3:2: V = (r g_K E_K + g_Na E_Na)/(r g_K + g_Na); passive chloride does not enter."""
    cells, _, (v, na, k, cl) = eight()
    p = {x: cells.parameters()[x].value for x in (*PATHS, "na.outside", "cl.outside")}
    e_na = jm.electrochemistry.nernst(na, p["na.outside"], 1, 37.0)
    e_k = jm.electrochemistry.nernst(k, p["k.outside"], 1, 37.0)
    weight = 1.5 * p["k_leak.g"]
    expected = (weight * e_k + p["na_leak.g"] * e_na) / (weight + p["na_leak.g"])
    np.testing.assert_allclose(v, expected, rtol=0, atol=1e-10)
    np.testing.assert_allclose(v, jm.electrochemistry.nernst(cl, p["cl.outside"], -1, 37.0), rtol=0, atol=1e-10)


@pytest.mark.slow
def test_what_is_at_rest_with_constant_field_leaks_is_mullins_noda() -> None:
    paths = ("na_leak.p", "k_leak.p", "cl_leak.p", "pump.i_max", "k.outside")
    cells = scattered(8, name="pump_leak_ghk", paths=paths)
    rest = jm.resting_state(cells)
    assert (rest.status == OK).all()
    v, na, k, _ = found(rest)
    p = cells.parameters()
    permeability = {"na": p["na_leak.p"].value, "k": p["k_leak.p"].value}
    outside = {"na": p["na.outside"].value, "k": p["k.outside"].value}
    expected = jm.electrochemistry.mullins_noda(permeability, {"na": na, "k": k}, outside, 1.5, 37.0)
    np.testing.assert_allclose(v, expected, rtol=1e-10, atol=0)


# ---------------------------------------------------------------------- cells beside each other
def test_a_bad_cell_is_named_and_its_neighbours_keep_their_bits() -> None:
    cells, _, good = eight()
    blocked = {path: {5: 0.0} for path in ("na_leak.g", "k_leak.g", "cl_leak.g")}  # and no pump: nothing flows
    bad = changed(cells, blocked | {"pump.i_max": {1: 0.0, 3: np.nan, 5: 0.0}, "k.outside": {6: np.nan}})
    rest = jm.resting_state(bad)
    # cell 1: without a pump, sodium runs in until the impermeant charge leaves no room: Donnan, where it exists
    assert rest.status[[0, 2, 4, 7]].tolist() == [OK] * 4
    assert rest.status[[3, 5, 6]].tolist() == [NOT_FINITE, NONE, NOT_FINITE]
    assert np.array_equal(found(rest)[:, [0, 2, 4, 7]], good[:, [0, 2, 4, 7]])
    assert (rest.residual[rest.status == OK] < 1e-12).all()
    assert all(rest.status[i].dtype == np.int32 and jm.Status(int(rest.status[i])).reason for i in range(8))


def test_a_pumpless_cell_of_fixed_volume_rests_in_donnan_equilibrium() -> None:
    """Every ion at its Nernst potential: one ratio r for cations, 1/r for anions (F. G. Donnan 1911)."""
    cells, _, _ = eight()
    rest = jm.resting_state(changed(cells, {"pump.i_max": dict.fromkeys(range(8), 0.0)}))
    assert (rest.status == OK).all() and (rest.stability == jm.Stability.NODE).all()
    v, na, k, cl = found(rest)
    p = cells.parameters()
    ratio = np.exp(-v / float(jm.electrochemistry.thermal_voltage(37.0)))
    np.testing.assert_allclose(na, ratio * p["na.outside"].value, rtol=1e-10)
    np.testing.assert_allclose(k, ratio * p["k.outside"].value, rtol=1e-10)
    np.testing.assert_allclose(cl, p["cl.outside"].value / ratio, rtol=1e-10)


def test_a_cell_has_the_same_bits_alone_and_among_many() -> None:
    cells = scattered(1000)
    many = jm.resting_state(cells)
    assert (many.status == OK).all() and many.residual.max() < 1e-11
    for part in (slice(0, 1), slice(511, 512), slice(512, 513), slice(999, 1000), slice(300, 700)):
        alone = jm.resting_state(cells[part])
        assert np.array_equal(found(alone), found(many)[:, part])
        assert np.array_equal(alone.iterations, many.iterations[part])


def test_leaves_of_several_rows_give_rests_of_several_rows() -> None:
    cells, _, x = eight()
    values = {p: np.reshape(cells.parameters()[p].value, (2, 4)) for p in PATHS}
    rest = jm.resting_state(jm.presets.pump_leak().with_parameters(values))
    assert rest.v.shape == rest.status.shape == rest.concentrations["na.inside"].shape == (2, 4)
    assert np.array_equal(found(rest).reshape(4, 8), x)
    assert rest.state.cell.tolist() == [[0, 1, 2, 3]] * 2
    assert rest.eigenvalues.shape == (2, 4, 3)


@pytest.mark.slow
def test_a_single_cell_has_no_axis_and_is_exact_enough_in_float32() -> None:
    cells, _, x = eight()
    one = jax.tree.map(lambda leaf: leaf[2] if np.ndim(leaf) else leaf, cells)
    rest = jm.resting_state(one, precision="float32")
    assert rest.v.shape == rest.status.shape == rest.concentrations["na.inside"].shape == ()
    assert rest.v.dtype == rest.state.v.dtype == np.float32 and rest.status == OK
    assert abs(rest.v - x[0, 2]) < 1e-4
    np.testing.assert_allclose(found(rest), x[:, 2], rtol=1e-5)
    with pytest.raises(ValueError, match="float32"):
        jm.resting_state(one, precision="half")


def test_the_callers_precision_is_left_alone() -> None:
    cells, _, x = eight()
    with jax.enable_x64(False):
        rest = jm.resting_state(cells)
        assert not jax.config.jax_enable_x64 and jnp.zeros(1).dtype == jnp.float32
    assert jax.config.jax_enable_x64
    assert rest.v.dtype == np.float64 and np.array_equal(found(rest), x)


@pytest.mark.slow
def test_float32_rests_are_within_a_tenth_of_a_microvolt_of_float64() -> None:
    for name, paths in (("pump_leak", PATHS), ("pumped_neuron", PATHS)):
        cells = scattered(200, sd=0.1, name=name, paths=paths)
        narrow, wide = jm.resting_state(cells, precision="float32"), jm.resting_state(cells)
        assert (wide.status == OK).all() and np.array_equal(narrow.status, wide.status)
        assert np.abs(narrow.v - wide.v).max() < 1e-4
        for path, level in wide.concentrations.items():
            np.testing.assert_allclose(narrow.concentrations[path], level, rtol=1e-5)


# ---------------------------------------------------------------------- a neuron
NEURON = ("sodium.g", "potassium.g", "na_leak.g", "k_leak.g", "cl_leak.g", "pump.i_max")


def neurons() -> jm.Membrane:
    return scattered(40, sd=0.1, name="pumped_neuron", paths=NEURON)


MEASURES = ["final_v", "concentration_change", "spike_count"]  # of one program


@pytest.mark.slow
def test_resting_states_stand_still() -> None:
    cells = neurons()
    rest = jm.resting_state(cells)
    assert (rest.status == OK).all()
    assert rest.residual.max() < 1e-9
    run = jm.simulate(cells, 20e3, dt=2.0, initial=rest.state, precision="float64", measures=MEASURES)
    np.testing.assert_allclose(run.measures["final_v"], rest.v, rtol=0, atol=1e-9)
    for ion in IONS:
        assert np.abs(run.measures[f"concentration_change.{ion}.inside"]).max() < 1e-9
    assert run.audit.worst_charge < 1e-12 and run.audit.worst_mass < 1e-12


@pytest.mark.slow
def test_resting_state_keeps_the_impermeant_charge() -> None:
    """C (v - v0) is what the ions carried in: the steady state is the one this cell's own charge allows."""
    cells = neurons()
    rest = jm.resting_state(cells)
    carried = sum(rest.state.total[ion] for ion in IONS)
    np.testing.assert_allclose(-carried, 1.0 * (rest.v + 70.0), atol=1e-6)
    neutral = rest.concentrations["na.inside"] + rest.concentrations["k.inside"] - rest.concentrations["cl.inside"]
    per_mv = 10.0 / (jm.units.FARADAY * float(cells.geometry.depth))  # mM of charge per mV on the capacitor
    expected = 8.9 + 140.0 - float(cells.parameters()["cl.inside"].value) + per_mv * (rest.v + 70.0)
    np.testing.assert_allclose(neutral, expected, rtol=1e-12)


def test_a_cell_that_fires_by_itself_is_named_and_not_simulated() -> None:
    cells = changed(neurons()[:3], {"k_leak.g": {1: 0.004}})
    rest = jm.resting_state(cells)
    assert rest.status.tolist() == [OK, NONE, OK]
    run = jm.simulate(cells, 5.0, initial=rest.state, precision="float64", measures=MEASURES)
    assert run.status.tolist() == [OK, NONE, OK] and list(run.failures.values()) == [1]
    assert np.isnan(run.measures["final_v"]).tolist() == [False, True, False]
    fires = jm.simulate(cells, 2000.0, precision="float64", measures=MEASURES)  # and so it does
    assert fires.measures["spike_count"][1] > 3 and (fires.measures["spike_count"][[0, 2]] == 0).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pump_leak", "pumped_neuron"])
def test_a_resting_state_is_where_a_long_adaptive_run_goes(name: str) -> None:
    """A cell of 0.3 um from wrong concentrations, whose ions take minutes: an hour arrives at the solver's state."""
    cells = jm.presets.get(name).with_geometry(jm.Sphere(radius=0.3))
    values = cells.parameters()
    scale = {"pump.i_max": [0.8, 1.0, 1.3], "k_leak.g": [1.2, 1.0, 0.9], "na.inside": [0.9, 1.2, 1.0]}
    cells = cells.with_parameters({p: values[p].value * np.array(x) for p, x in scale.items()})
    rest = jm.resting_state(cells)
    assert (rest.status == OK).all() and np.ptp(rest.v) > 1.0
    record = jm.Record(("v", "concentrations"), every=3.6e6)
    run = jm.simulate(cells, 3.6e6, integrator=jm.Adaptive(), precision="float64", record=record)
    assert (run.status == OK).all()
    np.testing.assert_allclose(run.traces["v"][-1], rest.v, rtol=0, atol=1e-6)
    for ion in IONS:
        np.testing.assert_allclose(run.traces[f"{ion}.inside"][-1], rest.concentrations[f"{ion}.inside"], rtol=1e-7)


# ---------------------------------------------------------------------- balance
@pytest.mark.slow
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


@pytest.mark.slow
def test_an_ion_that_nothing_moves_stays_and_harms_no_rest() -> None:
    """One cell of three has no chloride conductance: its chloride is as it began, and its rest as stable as any."""
    cells = jm.presets.pump_leak().with_parameters({"cl_leak.g": np.array([0.0, 1e-9, 0.05]), "pump.i_max": 1.0})
    rest = jm.resting_state(cells)
    assert rest.status.tolist() == [jm.Status.OK] * 3 and rest.stability.tolist() == [jm.Stability.NODE] * 3
    assert rest.concentrations["cl.inside"][0] == pytest.approx(cells.species["cl"].inside, rel=1e-14)
    assert rest.v[1] == pytest.approx(rest.v[2], abs=1e-9) and abs(rest.v[0] - rest.v[2]) > 0.01
