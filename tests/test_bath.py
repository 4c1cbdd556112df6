"""Exchange with a bath: the exponential it must be, conserved to round-off, and a reservoir that changes in time."""

import numpy as np
import pytest
from helpers import mass_error

import jaxmem as jm

FINITE = ("inside", "outside")


def closed_cell(fraction: float = 0.5, dynamic: tuple = FINITE) -> jm.Membrane:
    """Nothing crosses the membrane: what the bath does is all that happens."""
    species = {"k": jm.Species(140.0, 12.0, dynamic=dynamic), "na": jm.Species(10.0, 145.0)}
    return jm.Membrane(
        {"leak": jm.Leak(g=0.0, ion="k"), "bath": jm.BathExchange("k", tau=80.0, level=3.5)},
        species,
        geometry=jm.Sphere(10.0, fraction),
        carrier="none",
    )


@pytest.mark.parametrize("precision, allowed", [("float64", 1e-7), ("float32", 1e-5)])
def test_it_relaxes_to_its_level(precision: str, allowed: float) -> None:
    cell = closed_cell().with_parameters({"bath.tau": np.array([20.0, 80.0, 2000.0])})
    run = jm.simulate(cell, 400.0, record=jm.Record("concentrations", 5.0), precision=precision)
    expected = 3.5 + (12.0 - 3.5) * np.exp(-run.time[:, None] / np.array([20.0, 80.0, 2000.0]))
    # each refresh interval is exact to the rational form of the exponential
    np.testing.assert_allclose(run.traces["k.outside"], expected, rtol=allowed)
    assert run.audit.worst_mass < (1e-12 if precision == "float64" else 1e-4)
    ends = {pool: run.traces[pool][-1] for pool in ("k.inside", "k.outside")}
    assert max(float(np.max(e)) for e in mass_error(run, ends).values()) < 1e-6
    given = np.asarray(run.final_state.book["k.outside|bath"])  # what the reservoir received
    np.testing.assert_allclose(given, 12.0 - run.traces["k.outside"][-1], rtol=1e-5)


def test_every_step_pools_are_exchanged_at_every_step() -> None:
    slow = closed_cell()
    fast = slow.with_species({"k": jm.Species(140.0, 12.0, dynamic=FINITE, every_step=True)})
    fast = fast.with_parameters({"bath.tau": 1.0})
    run = jm.simulate(fast, 5.0, dt=0.01, record=jm.Record("k.outside", 0.1), precision="float64")
    np.testing.assert_allclose(run.traces["k.outside"], 3.5 + 8.5 * np.exp(-run.time), rtol=1e-6)
    assert run.audit.worst_mass < 1e-12


def test_the_solution_is_changed() -> None:
    """A step of the reservoir at 100 ms: an exponential with the pool's time constant from there."""
    change = jm.Schedule("bath.level", [100.0], [8.0])
    cell = closed_cell().with_parameters({"k.outside": 3.5})
    run = jm.simulate(cell, 300.0, changes=change, record=jm.Record("k.outside", 5.0), precision="float64")
    expected = 8.0 - 4.5 * np.exp(-np.maximum(run.time - 100.0, 0) / 80.0)
    np.testing.assert_allclose(run.traces["k.outside"], expected, rtol=1e-7)
    assert run.audit.worst_mass < 1e-12


def test_a_pipette_dialyses_the_inside() -> None:
    bath = {"bath": jm.BathExchange("k", tau=50.0, level=130.0, side="inside")}
    run = jm.simulate(
        closed_cell().with_mechanisms(bath), 200.0, record=jm.Record("k.inside", 5.0), precision="float64"
    )
    np.testing.assert_allclose(run.traces["k.inside"], 130 + 10 * np.exp(-run.time / 50), rtol=1e-7)


def test_perfused_neuron_keeps_its_potassium() -> None:
    """A firing cell in a small space: without perfusion potassium piles up outside, with it the bath takes it."""
    cell = jm.presets.pumped_neuron()
    k = cell.species["k"]
    close = cell.with_species({"k": jm.Species(k.inside, k.outside, dynamic=FINITE)})
    close = close.with_geometry(jm.Sphere(10.0, 0.2))
    both = close.with_mechanisms({"bath": jm.BathExchange("k", tau=np.array([1e9, 50.0]), level=k.outside)})
    run = jm.simulate(
        both,
        100.0,
        stimulus=jm.ConstantCurrent(amplitude=4.0),
        record=jm.Record("k.outside", 100.0),
        precision="float64",
    )
    assert run.audit.worst_mass < 1e-12 and run.audit.worst_charge < 1e-12
    alone, perfused = run.traces["k.outside"][-1] - k.outside
    assert alone > 0.1 and abs(perfused) < 0.7 * alone


def test_a_clamped_side_cannot_be_exchanged() -> None:
    with pytest.raises(jm.MembraneError, match=r"transfers from 'k.outside', which is no dynamic pool"):
        jm.simulate(closed_cell(dynamic=("inside",)), 1.0)
