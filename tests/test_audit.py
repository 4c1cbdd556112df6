"""The books close: for every preset after ten seconds of firing, in both precisions, by a count of our own."""

import numpy as np
import pytest

import jaxmem as jm

FIRING = {"hodgkin_huxley_1952": 10.0, "pumped_neuron": 2.85, "textbook_neuron": 3.0, "pump_leak": 0.4, "pump_leak_ghk": 0.1,
          "wang_buzsaki_1996": 1.0, "hubel_dahlem_2014": 1.0}  # fmt: skip


@pytest.mark.parametrize("precision", ["float64", pytest.param("float32", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", jm.presets.names())
def test_books_close_after_ten_seconds_of_firing(name: str, precision: str) -> None:
    cell = jm.presets.get(name).with_parameters({"capacitance": np.array([0.9, 1.0, 1.1])})
    run = jm.simulate(
        cell,
        10e3,
        dt=0.05,
        stimulus=jm.ConstantCurrent(amplitude=FIRING[name]),
        precision=precision,
        measures=["spike_count", "minimum_v", "maximum_v"],
    )
    assert (run.status == jm.Status.OK).all()
    if "sodium" in cell.mechanisms:
        assert (run.measures["spike_count"] > 200).all()
    allowed = 1e-12 if precision == "float64" else 1e-4
    assert run.audit.worst_charge < allowed and run.audit.worst_mass < allowed

    # the same by hand, normalised by the charge that moved and nothing else
    wide = lambda x: np.asarray(x, np.float64)
    after, before = run.final_state, run.initial_state
    book = {k: wide(after.total[k]) + wide(after.total_low[k]) + wide(after.pending[k]) for k in after.total}
    ions = [book[k] for k, s in cell.species.items() if s.valence]
    rise = wide(after.v) + wide(after.v_low) - wide(before.v)
    error = book["electrode"] - sum(ions) - np.array([0.9, 1.0, 1.1]) * rise
    moved = np.abs(book["electrode"]) + sum(np.abs(x) for x in ions)
    assert (np.abs(error) / moved).max() < allowed
    # and what was injected is amplitude times time
    np.testing.assert_allclose(book["electrode"], FIRING[name] * 10e3, rtol=1e-12 if precision == "float64" else 1e-6)


def test_amounts_follow_from_charge_by_faradays_law() -> None:
    """20 nC/cm^2 through a potassium electrode: c changes by 10 q/(F r/3), in mM."""
    cell = jm.presets.pump_leak()
    blocked = cell.with_parameters(
        {f"{name}.g": 0.0 for name in ("na_leak", "k_leak", "cl_leak")} | {"pump.i_max": 0.0}
    )
    for carrier, other in (("k", "na"), ("na", "k")):
        pulse = jm.StepCurrent(amplitude=2.0, start=1.0, stop=11.0, carrier=carrier)
        run = jm.simulate(
            blocked, 20.0, stimulus=pulse, precision="float64", measures=["concentration_change", "final_v"]
        )
        expected = 10 * 20.0 / (jm.units.FARADAY * 10.0 / 3)
        np.testing.assert_allclose(run.measures[f"concentration_change.{carrier}.inside"], expected, rtol=1e-9)
        assert run.measures[f"concentration_change.{other}.inside"] == 0.0
        np.testing.assert_allclose(run.measures["final_v"], -70.0 + 20.0, rtol=1e-12)
