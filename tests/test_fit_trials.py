"""Trials: what a fit sees of a simulation is what the simulation says, and its derivatives are those of differences."""

import functools
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmem as jm
from jaxmem.analysis.fitting.derivatives import derivative_mode, jacobian_columns
from jaxmem.analysis.fitting.trials import Trial, TrialOnGrid, observed, unit_of
from jaxmem.engine.measures import EFEL, MEASURES
from jaxmem.membrane.parameters import select

STEPS = (-2, -1, 1, 2)
H = 4e-6  # relative


def rows(membrane: jm.Membrane, trial: TrialOnGrid, wanted: Sequence[Any], mode: str = "forward") -> jax.Array:
    """(rows, cells): all that is wanted, one under the other."""
    seen = observed(membrane, trial, wanted, checkpoint=mode == "reverse")
    return jnp.concatenate([jnp.atleast_2d(x) for x in seen.values])


def scaled_errors(
    membrane: jm.Membrane, trial: jm.Trial, wanted: Sequence[Any], paths: Sequence[str], cells: int
) -> tuple[np.ndarray, np.ndarray]:
    """(values, error): (rows, cells) and (rows, paths, cells), the error of derivatives over logarithms of parameters
    against fourth-order differences, relative to the largest of its row.

    All perturbed cells run beside the others, each with its own stimulus.
    """
    p = len(paths)
    start = np.stack([np.broadcast_to(membrane.parameters()[path].value, cells) for path in paths]).astype(float)
    factors = np.ones((p, 1 + 4 * p))
    for i in range(p):
        factors[i, 1 + 4 * i : 5 + 4 * i] += np.array(STEPS) * H
    x = jnp.asarray((start[:, None] * factors[:, :, None]).reshape(p, -1))
    index = np.tile(np.arange(cells), 1 + 4 * p)
    grid = select(trial.on_grid(membrane), index)
    everyone = select(membrane, index)

    @jax.jit
    def both(x: jax.Array, grid: TrialOnGrid) -> tuple[jax.Array, jax.Array]:
        see = lambda x: rows(everyone.with_parameters(dict(zip(paths, x, strict=True))), grid, wanted)
        return jacobian_columns(see, x, "forward")

    value, jacobian = (np.asarray(a) for a in both(x, grid))
    assert value.dtype == np.float64
    value = value.reshape(len(value), 1 + 4 * p, cells)
    slopes = jacobian[..., :cells] * start
    around = value[:, 1:].reshape(len(value), p, 4, cells)
    differences = (8 * (around[:, :, 2] - around[:, :, 1]) - (around[:, :, 3] - around[:, :, 0])) / (12 * H)
    scale = np.maximum(np.abs(slopes).max(1, keepdims=True), np.abs(differences).max(1, keepdims=True))
    return value[:, 0], np.abs(slopes - differences) / np.where(scale > 1e-6, scale, 1.0)


# ---------------------------------------------------------------------- the measures, one after the other
STEP = (
    "minimum_v", "maximum_v", "mean_v", "final_v", "resting_potential", "drift", "voltage_base", "steady_voltage",
    "sag_amplitude", "sag_ratio", "input_resistance", "time_constant", "voltage_deflection",
)  # fmt: skip
SPIKES = (
    "first_spike_time", "latency", "spike_times", "isi_mean", "isi_first", "isi_cv", "adaptation", "spike_peak",
    "afterhyperpolarisation",
)  # fmt: skip
CLAMP = ("peak_inward_current", "peak_outward_current", "steady_current")
ENERGY = ("concentration_change", "atp", "pump_turnover", "energy_per_second")
REFUSED = ("spike_count", "firing_rate", "burst_count", "spike_amplitude", "spike_threshold", "spike_width")


def test_every_measure_is_derived_or_refused() -> None:
    assert set(STEP + SPIKES + CLAMP + ENERGY + REFUSED) == {*MEASURES, "voltage_deflection"}
    axon = jm.presets.hodgkin_huxley_1952()
    grid = Trial(jm.StepCurrent(amplitude=10.0, start=5.0, stop=35.0), 40.0).on_grid(axon)
    for name in REFUSED:
        with pytest.raises(ValueError, match=f"{name!r} cannot be fitted by gradients: it (counts|is told from)"):
            unit_of(axon, grid, name)
    for name in ("peak_time", "time_to_first_spike", "mean_frequency", "adaptation_index2"):
        assert name in EFEL
        with pytest.raises(ValueError, match="times spikes at their highest sample"):
            unit_of(axon, grid, name)
    with pytest.raises(ValueError, match="'Mine' cannot be fitted by gradients: its answer is made on the host"):
        unit_of(axon, grid, Mine())


class Mine(jm.Measure):
    def result(self, fold: Any, run: Any) -> np.ndarray:
        return np.zeros(())


def axons() -> tuple[jm.Membrane, jm.Trial]:
    """A hyperpolarised, a depolarised and a firing axon."""
    stimulus = jm.StepCurrent(amplitude=np.array([-2.0, 1.0, 12.0]), start=12.03, stop=77.0)
    return jm.presets.hodgkin_huxley_1952(), Trial(stimulus, 90.0, 0.05, every=4.5, initial="given")


@functools.cache
def seen_in_axons() -> tuple[list[str], np.ndarray, np.ndarray]:
    axon, trial = axons()
    wanted = ("v", "sodium.m", "i_k", "stimulus", *STEP, *SPIKES, jm.measures.MeanFrequency())
    values, errors = scaled_errors(axon, trial, wanted, ("potassium.g", "leak.e", "capacitance"), 3)
    counts = [21] * 4 + [1] * len(STEP) + [20 if name == "spike_times" else 1 for name in SPIKES] + [1]
    return [str(name) for name, n in zip(wanted, counts, strict=True) for _ in range(n)], values, errors


@pytest.mark.slow
def test_derivatives_of_traces_and_measures_are_those_of_differences() -> None:
    """Through the step and, in one cell, through its spikes."""
    names, values, errors = seen_in_axons()
    there = np.isfinite(values)
    worst = {name: np.nanmax(errors[[n == name for n in names]]) for name in dict.fromkeys(names)}
    assert max(worst.values()) < 1e-6, worst
    below = np.array([name in ("v", "i_k", "stimulus", *STEP) for name in names])
    assert there[below, 0].all(), "an answer to a step below threshold has everything"
    assert not there[[n in ("latency", "isi_mean") for n in names], :2].any()
    assert there[[n in SPIKES and n != "spike_times" for n in names], 2].all()
    assert np.isfinite(errors.max(1)[there]).all()


def test_what_is_seen_is_what_the_simulation_says() -> None:
    axon, trial = axons()
    names, values, _ = seen_in_axons()
    asked = [name for name in dict.fromkeys(names) if "(" not in name]
    sim = jm.simulate(
        axon, trial.duration, dt=trial.dt, stimulus=trial.stimulus, measures=[*STEP, *SPIKES],
        record=jm.Record(("v", "sodium.m", "i_k", "stimulus"), every=4.5),
    )  # fmt: skip
    np.testing.assert_array_equal(trial.times, sim.time)
    for name in asked:
        mine = values[[n == name for n in names]]
        other = sim.traces[name] if name in sim.traces else np.atleast_2d(sim.measures[name])
        np.testing.assert_allclose(mine, other, rtol=1e-9, atol=1e-9, err_msg=name)
    n = np.isfinite(sim.measures["spike_times"][:, 2]).sum()
    assert n >= 4
    last = sim.measures["spike_times"][n - 1, 2]
    np.testing.assert_allclose(values[-1, 2], 1e3 * n / (last - 12.03), rtol=1e-9)


@pytest.mark.slow
def test_the_derivative_of_a_spike_explains_its_change_and_what_is_refused_jumps() -> None:
    """Over a stretch of parameters: the change of a number is the integral of its derivative, or it is no number to fit."""
    axon, count = jm.presets.hodgkin_huxley_1952(), 801
    g = np.linspace(119.0, 121.0, count)
    stimulus = jm.StepCurrent(amplitude=12.0, start=5.0)
    mine = ("latency", "isi_mean", "isi_first", "spike_peak", "afterhyperpolarisation", "maximum_v", "minimum_v")
    grid = Trial(stimulus, 45.0, 0.05).on_grid(axon)
    see = lambda g: rows(axon.with_parameters({"sodium.g": g[0]}), grid, mine)
    value, slope = jax.jit(lambda x: jacobian_columns(see, x, "forward"))(jnp.asarray(g)[None])
    value, slope = np.asarray(value), np.asarray(slope)[:, 0]
    change = value[:, -1] - value[:, 0]
    assert (np.abs(change) > 1e-3).all()
    np.testing.assert_allclose(np.trapezoid(slope, g, axis=-1), change, rtol=1e-2)
    sim = jm.simulate(
        axon.with_parameters({"sodium.g": g}), 45.0, dt=0.05, stimulus=stimulus, measures=[*mine, *REFUSED],
        initial=jm.resting_state(axon.with_parameters({"sodium.g": g})).state,
    )  # fmt: skip
    for name, told in sim.measures.items():
        moves = np.abs(np.diff(told))
        smooth = 0 < moves.max() < 10 * np.median(moves)
        assert smooth == (name in mine), (name, moves.max(), np.median(moves))


@pytest.mark.slow
def test_currents_of_a_clamp() -> None:
    axon = jm.presets.hodgkin_huxley_1952()
    clamp = jm.VoltageClamp.steps(-65.0, np.array([-20.0, 10.0]), 2.0, 9.0)
    trial = Trial(clamp, 12.0, 0.05, initial="given")
    window = (2.5, 9.0)  # past the charging of the capacitor
    peaks = (jm.measures.PeakInwardCurrent(window=window), jm.measures.PeakOutwardCurrent(window=window))
    wanted = (*peaks, "steady_current")
    values, errors = scaled_errors(axon, trial, wanted, ("sodium.g", "sodium.e", "potassium.g", "celsius"), 2)
    assert errors.max() < 1e-6 and (values[0] < -100).all() and (values[1:] > 100).all()


# ---------------------------------------------------------------------- ions, pump and drug
@pytest.mark.slow
@pytest.mark.parametrize("initial", ["given", "steady"])
def test_pump_and_ions_through_a_drug(initial: str) -> None:
    """Under ouabain and a current; from a steady state with all ions, whose own derivative counts, or not."""
    cell = jm.presets.pump_leak().with_parameters({"geometry.radius": 2.0, "pump.i_max": np.array([1.1, 1.24])})
    drug = jm.Drug("pump.i_max", jm.TimeCourse([50.0], [1e-3]), half=1e-3)
    trial = Trial(jm.StepCurrent(0.2, start=100.0), 200.0, 0.1, changes=drug, every=40.0, initial=initial)
    ions = tuple(f"concentration_change.{ion}.inside" for ion in ("na", "k", "cl"))
    wanted = ("v", "na.inside", "pump.i_na", *ions, *ENERGY[1:], "resting_potential")
    paths = ("pump.i_max", "na_leak.g", "k.outside", "na.inside", "geometry.radius")
    values, errors = scaled_errors(cell, trial, wanted, paths, 2)
    assert errors.max() < 1e-6, errors.max(axis=(1, 2))
    sim = jm.simulate(
        cell, 200.0, dt=0.1, stimulus=trial.stimulus, changes=drug, measures=[*ENERGY, "resting_potential"],
        initial=jm.resting_state(cell).state if initial == "steady" else None,
        record=jm.Record(("v", "na.inside", "pump.i_na"), every=40.0),
    )  # fmt: skip
    told = [sim.traces[name] for name in wanted[:3]] + [np.atleast_2d(sim.measures[name]) for name in wanted[3:]]
    np.testing.assert_allclose(values, np.concatenate(told), rtol=1e-9, atol=1e-10)
    assert (np.abs(values[18]) > 1e-4).all() and values[-1, 0] != values[-1, 1]


# ---------------------------------------------------------------------- a closed form
TIMES, PULSE = np.arange(0, 61, 4.0), (8.0, 40.0)


def passive(cells: int) -> jm.Membrane:
    """Two leaks, so that the rest is between their reversal potentials and depends on both."""
    g = np.linspace(0.05, 0.2, cells)
    return jm.Membrane(
        mechanisms={"leak": jm.Leak(g=g, e=-85.0, ion="nonspecific"), "shunt": jm.Leak(g=0.02, e=-20.0, ion="nonspecific")},
        species={"nonspecific": jm.Species()}, capacitance=np.linspace(0.8, 1.3, cells), celsius=25.0, initial_v=-80.0,
    )  # fmt: skip


def charging(g: Any, c: Any, current: Any) -> jax.Array:
    """(samples, cells): v of a passive membrane from its rest, through a step of current and after it."""
    since, length = jnp.asarray(TIMES)[:, None] - PULSE[0], PULSE[1] - PULSE[0]
    total = g + 0.02
    rise = current / total * (1 - jnp.exp(-jnp.clip(since, 0, length) * total / c))
    rest = (g * -85.0 + 0.02 * -20.0) / total
    return rest + rise * jnp.exp(-jnp.maximum(since - length, 0) * total / c)


def pulse(cells: int, current: Any = 0.5) -> jm.Trial:
    return Trial(jm.StepCurrent(current * np.ones(cells), *PULSE), 60.0, 0.05, every=4.0)


def test_charging_of_a_passive_membrane_and_its_derivatives_are_those_of_the_formula() -> None:
    """Its rest, the step and the time constant C/G, with respect to one of the leaks and the capacitance."""
    membrane, trial = passive(3), pulse(3)
    grid, x = trial.on_grid(membrane), jnp.stack([membrane.parameters()[p].value for p in ("leak.g", "capacitance")])

    def formula(x: jax.Array) -> jax.Array:
        total, rest = x[0] + 0.02, (-85.0 * x[0] - 0.4) / (x[0] + 0.02)
        return jnp.concatenate([charging(x[0], x[1], 0.5), jnp.stack([rest, x[1] / total])])

    @functools.partial(jax.jit, static_argnums=2)
    def found(x: jax.Array, grid: TrialOnGrid, mode: Any) -> tuple[jax.Array, jax.Array]:
        wanted = ("v", "resting_potential", "time_constant")
        cells = lambda x: membrane.with_parameters({"leak.g": x[0], "capacitance": x[1]})
        return jacobian_columns(lambda x: rows(cells(x), grid, wanted, mode), x, mode)

    true, exact = formula(x), np.einsum("tcpc->tpc", jax.jacfwd(formula)(x))  # (rows, cells, parameters, cells)
    answers = [found(x, grid, mode) for mode in ("forward", "reverse")]
    for value, slope in answers:
        np.testing.assert_allclose(value, true, rtol=1e-12)
        np.testing.assert_allclose(slope, exact, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(answers[0][1], answers[1][1], rtol=1e-10, atol=1e-10)


# ---------------------------------------------------------------------- forward and reverse
def pumped(x: jax.Array, grid: TrialOnGrid, mode: str) -> jax.Array:
    cells = jm.presets.pump_leak().with_parameters(dict(zip(("pump.i_max", "k_leak.g", "capacitance"), x, strict=True)))
    return rows(cells, grid, ("minimum_v", "steady_voltage", "na.inside"), mode)


@pytest.mark.slow
def test_both_modes_agree_with_pump_and_ions() -> None:
    grid = Trial(jm.StepCurrent(np.array([-0.3, 0.1]), 10.0, 40.0), 50.0, 0.1, every=25.0).on_grid(
        jm.presets.pump_leak()
    )
    x = jnp.array([[1.2, 1.0], [0.05, 0.06], [1.0, 1.1]])
    both = jax.jit(lambda x, mode: jacobian_columns(lambda x: pumped(x, grid, mode), x, mode), static_argnums=1)
    forward, reverse = both(x, "forward"), both(x, "reverse")
    np.testing.assert_allclose(forward[0], reverse[0], rtol=1e-12)
    np.testing.assert_allclose(forward[1], reverse[1], rtol=1e-10, atol=1e-12)
    assert forward[1].shape == (5, 3, 2) and (np.abs(forward[1][0]) > 1e-6).all()


def test_few_parameters_go_forward_and_few_outputs_back() -> None:
    assert derivative_mode(1, 1) == derivative_mode(4, 1) == derivative_mode(4, 1000) == "forward"
    assert derivative_mode(1000, 1) == derivative_mode(1000, 10) == "reverse"
    modes = [derivative_mode(p, 3) for p in range(1, 200)]
    assert modes == sorted(modes), "once reverse is cheaper it stays so"
    with pytest.raises(ValueError, match="'forward' or 'reverse'"):
        jacobian_columns(lambda x: x, jnp.ones((1, 1)), "sideways")  # type: ignore[arg-type]


MEMORY = """
import jax
jax.config.update("jax_enable_x64", True)
import jax.numpy as jnp
import numpy as np
import jaxmem as jm
from jaxmem.analysis.fitting.trials import Trial, observed

n, axon = 1000, jm.presets.hodgkin_huxley_1952()
grid = Trial(jm.StepCurrent(np.linspace(-2, 12, n), 20.0, 480.0), 500.0, initial="given").on_grid(axon)
assert grid.steps == 20_000

def loss(x, grid):
    return jnp.sum(observed(axon.with_parameters({"sodium.g": x[0], "leak.g": x[1]}), grid, ("mean_v",)).values[0])

def megabytes(what):  # not ru_maxrss, which a process inherits from the one that started it
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(what)) / 1024

x = jnp.stack([jnp.full(n, 120.0), jnp.full(n, 0.3)])
gradient = jax.jit(jax.grad(loss)).lower(x, grid).compile()
before = megabytes("VmRSS")
slope = np.asarray(gradient(x, grid))
assert np.isfinite(slope).all() and np.abs(slope).min() > 0
print(megabytes("VmHWM") - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak of memory where Linux tells it")
def test_memory_of_a_gradient_through_20_000_steps() -> None:
    """A thousand cells in float64, in MB above what the compiled program has."""
    done = subprocess.run(
        [sys.executable, "-c", MEMORY], cwd=Path(jm.__file__).parents[1], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert 5 < float(done.stdout) < 500


# ---------------------------------------------------------------------- cells that fail, other precisions
@pytest.mark.parametrize("mode", ["forward", pytest.param("reverse", marks=pytest.mark.slow)])
def test_a_cell_that_fails_has_no_value_and_no_derivative(mode: Any) -> None:
    """One cell has no rest (nothing holds its voltage), one becomes infinite on the way; the third is as it is alone."""
    membrane = passive(3).with_parameters({"leak.g": np.array([0.0, 0.1, 0.1]), "shunt.g": np.array([0.0, 0.02, 0.02])})
    grid = Trial(jm.StepCurrent(np.array([0.0, 1e308, 2.0]), 5.0), 10.0, 0.05, every=5.0).on_grid(membrane)

    @functools.partial(jax.jit, static_argnums=1)
    def both(x: jax.Array, mode: Any) -> Any:
        cells = lambda x: membrane.with_parameters({"leak.e": x[0]})
        status = observed(cells(x), grid, ("maximum_v",)).status
        return status, *jacobian_columns(lambda x: rows(cells(x), grid, ("v", "maximum_v"), mode), x, mode)

    status, value, slope = both(jnp.full((1, 3), -85.0), mode)
    assert status.tolist() == [jm.Status.NO_STEADY_STATE, jm.Status.NOT_FINITE, jm.Status.OK]
    assert np.isnan(value[:, :2]).all() and np.isfinite(value[:, 2]).all()
    assert (slope[..., :2] == 0).all()
    np.testing.assert_allclose(slope[..., 2], 0.1 / 0.12, rtol=1e-12)


def test_float32_is_float32_throughout() -> None:
    membrane, trial = passive(3), pulse(3)
    narrow = jax.tree.map(lambda x: np.float32(x), membrane)
    grid = jax.tree.map(lambda x: np.float32(x) if np.asarray(x).dtype == float else x, trial.on_grid(membrane))
    value, slope = jax.jit(
        lambda g: jacobian_columns(
            lambda g: rows(narrow.with_parameters({"leak.g": g[0]}), grid, ("v", "steady_voltage", "time_constant")),
            g, "forward",
        )
    )(jnp.asarray(narrow.parameters()["leak.g"].value)[None])  # fmt: skip
    assert value.dtype == slope.dtype == jnp.float32
    true = charging(membrane.parameters()["leak.g"].value, membrane.capacitance, 0.5)
    np.testing.assert_allclose(value[:-2], true, rtol=2e-6)


# ---------------------------------------------------------------------- what a fit does with it
@pytest.mark.slow
def test_conductance_and_capacitance_are_recovered_from_subthreshold_traces() -> None:
    """Levenberg and Marquardt by hand: eight cells at once, each with its own trace and current, from one start."""
    truth, cells = passive(8), 8
    current = np.linspace(0.3, -0.5, cells)
    trial = pulse(cells, current)
    sim = jm.simulate(
        truth, trial.duration, dt=trial.dt, stimulus=trial.stimulus, record=jm.Record("v", every=4.0),
        initial=jm.resting_state(truth).state,
    )  # fmt: skip
    target, grid, paths = sim.traces["v"], trial.on_grid(truth), ("leak.g", "capacitance")
    mode = derivative_mode(len(paths), len(target))
    assert mode == "forward"

    @jax.jit
    def residuals(u: jax.Array, grid: TrialOnGrid) -> tuple[jax.Array, jax.Array]:
        see = lambda u: rows(truth.with_parameters(dict(zip(paths, jnp.exp(u), strict=True))), grid, ("v",)) - target
        return jacobian_columns(see, u, mode)

    u, damping = jnp.log(jnp.broadcast_to(jnp.array([[0.1], [1.0]]), (2, cells))), jnp.full(cells, 1e-2)
    r, j = residuals(u, grid)
    for _ in range(20):
        a = jnp.einsum("opc,oqc->cpq", j, j)
        a = a + damping[:, None, None] * a * jnp.eye(2)
        step = jnp.linalg.solve(a, jnp.einsum("opc,oc->cp", j, r)[..., None])[..., 0].T
        new_r, new_j = residuals(u - step, grid)
        better = jnp.sum(new_r**2, 0) < jnp.sum(r**2, 0)
        u, r, j = (jnp.where(better, a, b) for a, b in ((u - step, u), (new_r, r), (new_j, j)))
        damping = jnp.where(better, damping / 10, damping * 10)
    np.testing.assert_allclose(jnp.exp(u[0]), truth.parameters()["leak.g"].value, rtol=1e-9)
    np.testing.assert_allclose(jnp.exp(u[1]), truth.capacitance, rtol=1e-9)


def test_cells_of_a_trial_can_be_chosen_and_keep_its_stretches() -> None:
    """The stretches of measures are those of the whole population, whichever cells are left of it; noise goes with all."""
    membrane = passive(3)
    stimulus = jm.StepCurrent(np.array([0.5, -0.5, 1.0]), np.array([10.0, 20.0, 30.0]), 50.0)
    grid = Trial(stimulus + jm.WhiteNoise(sd=0.1, over=1.0), 60.0, 0.05).on_grid(membrane)
    index = np.array([2, 0, 2])
    see = jax.jit(lambda m, g: rows(m, g, ("voltage_base", "final_v")))
    np.testing.assert_array_equal(see(membrane[index], select(grid, index)), see(membrane, grid)[:, index])
    alone = jm.simulate(
        membrane[1], 60.0, dt=0.05, stimulus=select(stimulus, 1) + jm.WhiteNoise(sd=0.1, over=1.0), measures="final_v",
        initial=jm.resting_state(membrane[1]).state,
    )  # fmt: skip
    np.testing.assert_allclose(see(membrane, grid)[1, 1], alone.measures["final_v"], rtol=1e-12)


def test_one_membrane_under_many_stimuli_and_a_given_rest() -> None:
    membrane = passive(1)[0]
    grid = pulse(3, np.array([0.1, 0.2, 0.4])).on_grid(membrane)
    rest = jm.resting_state(membrane)
    known = observed(membrane, grid, ("v",), rest.state).values[0]
    np.testing.assert_allclose(known, charging(0.05, 0.8, np.array([0.1, 0.2, 0.4])), rtol=1e-12)
    np.testing.assert_allclose(observed(membrane, grid, ("v",)).values[0], known, rtol=1e-14)


# ---------------------------------------------------------------------- what is refused
def wrong(**fields: Any) -> Callable[[], Any]:
    return lambda: Trial(**fields)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (wrong(duration=10.01), "not a whole number of steps"),
        (wrong(duration=0.0), "duration must be a time above 0"),
        (wrong(initial="rest"), "'steady' .* or 'given' .*found 'rest'"),
        (wrong(duration=100.0, every=30.0), "every .30 ms. must divide the duration .100 ms.; a duration of 90 ms fits"),
        (wrong(every=0.03), "a trial's every: dt 0.025 ms does not divide 0.03 ms"),
        (wrong(integrator=jm.Adaptive()), "has no derivative"),
        (lambda: Trial().times, "how often it is sampled"),
        (lambda: observed(passive(1), Trial().on_grid(passive(1)), ("v",)), "how often it is sampled"),
        (lambda: observed(passive(1), Trial().on_grid(passive(1)), ("maximun_v",)), "did you mean 'maximum_v'"),
        (lambda: observed(passive(1), Trial().on_grid(passive(1)), ("concentration_change.na.inside",)), "thing to see"),
        (lambda: observed(passive(1), Trial().on_grid(passive(1)), ("atp",)), "needs a species 'atp'"),
        (lambda: Trial(changes=jm.Schedule("leak.q", [0.0], [1.0])).on_grid(passive(1)), "there is no parameter 'leak.q'"),
    ],
)  # fmt: skip
def test_errors_say_what_is_wrong(make: Callable[[], Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()


def test_a_trial_is_itself_alone() -> None:
    a, b = Trial(duration=5.0), Trial(duration=5.0)
    assert a != b and len({a: 1, b: 2}) == 2 and jm.Trial is Trial
    assert unit_of(passive(1), a.on_grid(passive(1)), "v") == ("mV", "membrane potential")
    assert unit_of(passive(1), a.on_grid(passive(1)), "time_constant")[0] == "ms"
