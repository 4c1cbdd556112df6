"""Parameters that make a cell stand still: the textbook's numbers, any ions, any paths, clamped or living."""

import equinox as eqx
import jax
import numpy as np
import pytest

import jaxmem as jm

STILL = 1e-9  # uA/cm^2


class CalciumPump(jm.Mechanism):
    """Ca2+ out, one per ATP, half-saturated at 0.2 uM."""

    i_max: jm.Number = jm.parameter("uA/cm^2", "maximal rate", default=0.1, minimum=0.0)
    ion: str = eqx.field(static=True, default="ca")

    def fluxes(self, v: jax.Array, states: dict, env: jm.Environment) -> dict[str, jm.Current]:
        c = env.inside[self.ion]
        return {self.ion: jm.Current(2 * self.i_max * c / (c + 2e-4), 0.0 * v)}


def left(membrane: jm.Membrane) -> dict[str, np.ndarray]:
    return {k: np.asarray(x) for k, x in jm.budget(membrane, membrane.initial_state()).totals.items()}


def test_the_unmeasured_leak_and_pump_of_the_textbook() -> None:
    """37 degC, -70 mV, K+ 140/5, Na+ 10/145, g_K 0.05: I_pump 0.476 uA/cm^2, g_Na 0.0101 mS/cm^2."""
    given = {"na_leak.g": 1.0, "pump.i_max": 1.0, "cl.inside": 20.0}
    cell = jm.balance(jm.presets.pump_leak().with_parameters(given), -70.0)
    e_na, e_k = (float(jm.electrochemistry.nernst(*c, 1, 37.0)) for c in ((10.0, 145.0), (140.0, 5.0)))
    current = 0.05 * (-70.0 - e_k) / 2
    assert round(current, 3) == 0.476 and round(3 * current / (e_na + 70.0), 4) == 0.0101
    assert jm.budget(cell, cell.initial_state()).pumps["pump"] == pytest.approx(current, rel=1e-12)
    assert cell.parameters()["na_leak.g"].value == pytest.approx(3 * current / (e_na + 70.0), rel=1e-12)
    assert all(abs(i) < STILL for i in left(cell).values())


@pytest.mark.slow
def test_the_squid_is_balanced_by_its_leak_as_in_1952() -> None:
    """All clamped: one parameter, E_L, makes the total current zero; published as 10.613 mV from a rest of -65 mV."""
    axon = jm.presets.hodgkin_huxley_1952()
    moved = jm.balance(axon.with_parameters({"leak.e": 0.0}), v=-65.0)
    assert moved.parameters()["leak.e"].value == pytest.approx(-65.0 + 10.613, abs=0.02)
    assert jm.resting_state(moved).v == pytest.approx(-65.0, abs=1e-9)
    stiff = jm.balance(axon, v=np.array([-65.0, -64.0]), solve_for=["potassium.g"])
    assert stiff.cells == 2
    np.testing.assert_allclose(jm.resting_state(stiff).v, [-65.0, -64.0], rtol=0, atol=1e-8)
    with pytest.raises(ValueError, match=r"leak\.g would have to be -"):
        jm.balance(axon, v=-52.0, solve_for=["leak.g"])


def test_a_clamped_ion_takes_one_parameter_for_the_total_current() -> None:
    """Na+ and K+ live, Cl- is clamped away from equilibrium: three currents, three parameters."""
    cell = jm.presets.pump_leak()
    clamped = cell.with_species({"cl": jm.Species(inside=20.0, outside=110.0, valence=-1)})
    with pytest.raises(ValueError, match="3 currents"):
        jm.balance(clamped, -70.0, ["na_leak.g", "pump.i_max"])
    still = jm.balance(clamped, -70.0, ["cl_leak.g", "pump.i_max", "na_leak.g"])
    assert abs(still.parameters()["cl_leak.g"].value) < 1e-12  # nothing else carries chloride
    assert still.parameters()["na_leak.g"].value == pytest.approx(0.0101038478, rel=1e-8)
    assert all(abs(i) < STILL for i in left(still).values())
    fixed = {k: jm.Species(s.inside, s.outside, valence=s.valence) for k, s in clamped.species.items()}
    alone = jm.balance(clamped.with_species(fixed), -70.0, ["na_leak.g"])  # ions may flow, voltage stands still
    found = left(alone)
    assert abs(sum(found.values())) < STILL and found["cl"] < -0.5
    assert jm.resting_state(alone).v == pytest.approx(-70.0, abs=1e-9)


@pytest.mark.slow
def test_constant_field_leaks_are_balanced_by_their_permeabilities() -> None:
    cell = jm.presets.pump_leak_ghk().with_parameters({"na.inside": np.array([6.0, 10.0, 14.0])})
    free = ["k_leak.p", "na_leak.p", "cl.inside"]
    still = jm.balance(cell, np.array([-60.0, -70.0, -75.0]), free)
    rest = jm.resting_state(still)
    np.testing.assert_allclose(rest.v, [-60.0, -70.0, -75.0], rtol=0, atol=1e-8)
    np.testing.assert_allclose(rest.concentrations["na.inside"], [6.0, 10.0, 14.0], rtol=1e-8)
    p = still.parameters()
    charge = sum(z * p[f"{k}.inside"].value for k, z in (("na", 1), ("k", 1), ("cl", -1), ("other", -1)))
    np.testing.assert_allclose(charge, [-4.0, 0.0, 4.0], atol=1e-9)  # as given: na.inside moved, other did not
    carried = jm.electrochemistry.ghk_current(-70.0, p["k_leak.p"].value[1], 140.0, 5.0, 1, 37.0)
    pump = jm.budget(still, still.initial_state()).pumps["pump"][1]
    assert float(carried) == pytest.approx(2 * float(pump), rel=1e-9)


def test_calcium_is_an_ion_like_any_other() -> None:
    """Four living ions, four parameters: Ca2+ by its leak (found by name) or by its pump."""
    cell = jm.presets.pump_leak()
    cell = cell.with_species({"ca": jm.Species(inside=1e-4, outside=1.5, valence=2, dynamic=("inside",))})
    cell = cell.with_mechanisms({"ca_leak": jm.GHKLeak(p=1e-9, ion="ca", valence=2), "ca_pump": CalciumPump()})
    by_leak = jm.balance(cell, -70.0)
    by_pump = jm.balance(cell, -70.0, ["na_leak.g", "pump.i_max", "ca_pump.i_max", "cl.inside"])
    for still, path in ((by_leak, "ca_leak.p"), (by_pump, "ca_pump.i_max")):
        assert still.parameters()[path].value != cell.parameters()[path].value
        assert all(abs(i) < STILL for i in left(still).values())
        assert still.initial_v == -70.0


def test_what_no_parameter_can_do_is_told() -> None:
    cell = jm.presets.pump_leak()
    with pytest.raises(ValueError, match="no cell can stand still at -70 mV"):  # neither moves chloride
        jm.balance(cell, -70.0, ["na_leak.g", "pump.i_max", "k_leak.g"])
    with pytest.raises(ValueError, match="one for the total current where an ion is clamped: 1 currents"):
        jm.balance(jm.presets.hodgkin_huxley_1952(), -65.0, ["leak.e", "leak.g"])
    with pytest.raises(ValueError, match="3 currents"):
        jm.balance(cell, -70.0, ["na_leak.g", "na_leak.g", "cl.inside"])
