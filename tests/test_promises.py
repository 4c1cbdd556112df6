"""What a population must hold: the same bits in any company, in any pieces; and a bad cell that harms nobody else."""

import dataclasses
from typing import Any

import jax
import numpy as np
import pytest

import jaxmem as jm

STEP = jm.StepCurrent(amplitude=6.0, start=5.0, stop=40.0)


def population(n: int) -> jm.Membrane:
    """Pumped neurons that all differ in four numbers; everything else is shared."""
    random = np.random.default_rng(7)
    vary = lambda x: x * np.exp(0.2 * random.standard_normal(10_007))[:n]
    base = jm.presets.pumped_neuron()
    paths = ("sodium.g", "potassium.g", "k_leak.g", "pump.i_max")
    return base.with_parameters({p: vary(base.parameters()[p].value) for p in paths})


def leaves(state: Any) -> dict[str, np.ndarray]:
    return {jax.tree_util.keystr(k): np.asarray(x) for k, x in jax.tree_util.tree_leaves_with_path(state)}


def assert_same_bits(a: Any, b: Any, of_a: Any = slice(None), of_b: Any = slice(None)) -> None:
    first, second = leaves(a), leaves(b)
    assert first.keys() == second.keys()
    for name, x in first.items():
        y = second[name]
        x, y = (x[..., of_a] if x.ndim else x), (y[..., of_b] if y.ndim else y)
        assert x.dtype == y.dtype and x.tobytes() == y.tobytes(), name


# ---------------------------------------------------------------------- the same bits
@pytest.fixture(scope="module", params=["float32", "float64"])
def crowd(request: Any) -> jm.Simulation:
    return jm.simulate(
        population(10_007),
        20.0,
        stimulus=STEP,
        precision=request.param,
        record=jm.Record("v", 5.0),
        measures=["spike_count", "mean_v"],
    )


@pytest.mark.parametrize("cells", [[0], [5003], [1, 17, 255, 256, 257, 5003, 10_006]])
def test_a_cell_alone_among_seven_and_among_ten_thousand(crowd: jm.Simulation, cells: list[int]) -> None:
    few = jm.simulate(
        population(10_007)[np.array(cells)],
        20.0,
        initial=population(10_007).initial_state(dtype=crowd.precision)[np.array(cells)],
        stimulus=STEP,
        precision=crowd.precision,
        record=jm.Record("v", 5.0),
        measures=["spike_count", "mean_v"],
    )
    assert_same_bits(crowd.final_state, few.final_state, cells)
    assert few.traces["v"].tobytes() == np.ascontiguousarray(crowd.traces["v"][:, cells]).tobytes()
    for name in ("spike_count", "mean_v"):
        assert np.array_equal(few.measures[name], crowd.measures[name][cells])


def test_a_single_cell_without_an_axis_has_the_same_bits(crowd: jm.Simulation) -> None:
    initial = population(10_007).initial_state(dtype=crowd.precision)[5003]
    one = jm.simulate(population(10_007)[5003], 20.0, initial=initial, stimulus=STEP, precision=crowd.precision)
    assert one.final_state.v.shape == ()
    for name, x in leaves(one.final_state).items():
        y = leaves(crowd.final_state)[name]
        assert x.tobytes() == (y[..., 5003] if y.ndim else y).tobytes(), name


@pytest.mark.slow
def test_shared_and_repeated_numbers_give_the_same_bits() -> None:
    base = jm.presets.pumped_neuron()
    values = {path: np.full(3, p.value) for path, p in base.parameters().items()}
    shared = jm.simulate(base, 30.0, stimulus=STEP, precision="float32")
    repeated = jm.simulate(base.with_parameters(values), 30.0, stimulus=STEP, precision="float32")
    for name, x in leaves(shared.final_state).items():
        y = leaves(repeated.final_state)[name]
        if name != ".cell":
            assert x.tobytes() == (y[..., 1] if y.ndim else y).tobytes(), name


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_change_nothing(threads: int) -> None:
    runs = [
        jm.simulate(population(1000), 20.0, stimulus=STEP, precision="float32", execution=jm.Execution(threads=t))
        for t in (1, threads)
    ]
    assert_same_bits(runs[0].final_state, runs[1].final_state)


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize(
    "cuts",
    [
        (1,),
        pytest.param((13,), marks=pytest.mark.slow),
        (20,),
        pytest.param((333,), marks=pytest.mark.slow),
        (7, 500, 501),
        (1999,),
    ],
)
def test_a_run_cut_anywhere_equals_the_whole(cuts: tuple[int, ...], precision: str) -> None:
    """Step counts coprime to the refresh interval (20 steps) and to sampling (31 steps)."""
    cells, dt, total = population(5), 0.025, 2000
    whole = jm.simulate(cells, total * dt, dt=dt, stimulus=STEP, precision=precision, record=jm.Record("v", 31 * dt))
    state, pieces = None, []
    for a, b in zip((0, *cuts), (*cuts, total), strict=True):
        part = jm.simulate(
            cells,
            (b - a) * dt,
            dt=dt,
            stimulus=STEP,
            precision=precision,
            initial=state,
            record=jm.Record("v", 31 * dt),
        )
        state = part.final_state
        pieces.append((part.time, part.traces["v"]))
    assert_same_bits(whole.final_state, state)
    assert np.allclose(np.concatenate([t for t, _ in pieces]), whole.time)
    assert np.concatenate([v for _, v in pieces]).tobytes() == whole.traces["v"].tobytes()


@pytest.mark.slow
def test_sampling_and_measures_change_nothing() -> None:
    cells = population(300)
    bare = jm.simulate(cells, 40.0, stimulus=STEP, precision="float32")
    rich = jm.simulate(
        cells,
        40.0,
        stimulus=STEP,
        precision="float32",
        record=[
            jm.Record("v", 0.325),
            jm.Record(["states", "currents", "concentrations"], 0.7, cells=[3, 200], name="detail"),
        ],
        measures=["mean_v", "drift", "isi_cv", "spike_amplitude", "sag_ratio", "steady_current", "atp"],
    )
    assert_same_bits(bare.final_state, rich.final_state)
    assert rich.traces["v"].shape == (124, 300) and rich.traces["detail.sodium.m"].shape == (58, 2)


def test_pure_integrate_agrees_with_simulate() -> None:
    cells = population(5)
    host = jm.simulate(cells, 20.0, stimulus=STEP, precision="float64", record=jm.Record("v", 0.5))
    pure = jm.integrate(cells, cells.initial_state(), STEP, steps=800, dt=0.025, every=20, record=("v",))
    np.testing.assert_allclose(np.asarray(pure.traces["v"]), host.traces["v"][1:], rtol=0, atol=1e-8)
    np.testing.assert_allclose(np.asarray(pure.final_state.v), np.asarray(host.final_state.v), rtol=0, atol=1e-8)


def test_delivered_charge_is_exact_at_any_dt() -> None:
    """A step's edges need not fall on the grid: the electrode's book is amplitude times duration."""
    passive = jm.presets.pump_leak()
    for dt in (0.025, 0.1, 0.35):
        amplitude = np.array([1.0, -3.0, 0.7])
        step = jm.StepCurrent(amplitude=amplitude, start=np.array([1.013, 0.0, 3.3]), stop=np.array([17.7, 5.001, 3.4]))
        run = jm.simulate(passive, 56.0, dt=dt, stimulus=step, precision="float64")
        book = run.final_state.book["electrode"]
        np.testing.assert_allclose(book, amplitude * np.array([16.687, 5.001, 0.1]), rtol=1e-12)
        assert run.audit.worst_charge < 1e-12


# ---------------------------------------------------------------------- a bad cell
def with_bad_cells(kind: str) -> tuple[jm.Membrane, int]:
    cells, bad = population(600), 300
    values = {path: np.array(np.broadcast_to(p.value, (600,))) for path, p in cells.parameters().items()}
    if kind == "explodes":  # a valid number that leaves float range when multiplied
        values["sodium.g"][bad] = 1e38
        return cells.with_parameters({"sodium.g": values["sodium.g"]}), bad
    # a pump that takes more sodium than the cell has, one for one, so that the voltage does not follow it to infinity
    values["pump.i_max"][bad], values["pump.n_k"][bad] = 1e8, 3.0
    return cells.with_parameters({p: values[p] for p in ("pump.i_max", "pump.n_k")}), bad


@pytest.mark.parametrize(("kind", "status"), [("explodes", jm.Status.NOT_FINITE), ("empties", jm.Status.EMPTY_POOL)])
@pytest.mark.parametrize("duration", [30.0, 0.1])  # also in an unfinished first interval
def test_a_bad_cell_harms_nobody(kind: str, status: jm.Status, duration: float) -> None:
    cells, bad = with_bad_cells(kind)
    settings: dict[str, Any] = dict(
        stimulus=STEP, precision="float32", record=jm.Record("v", 0.1), measures=["spike_count", "mean_v"]
    )
    run = jm.simulate(cells, duration, **settings)
    others = np.delete(np.arange(600), bad)
    initial = population(600).initial_state(dtype="float32")[others]
    without = jm.simulate(population(600)[others], duration, initial=initial, **settings)
    assert_same_bits(run.final_state, without.final_state, others)
    assert np.array_equal(run.traces["v"][:, others], without.traces["v"])
    assert run.status[bad] == status and (np.delete(run.status, bad) == jm.Status.OK).all()
    assert run.failures == {status.reason: 1}
    assert 0 < run.failed_at[bad] <= min(duration, 0.5 + 1e-9)
    assert np.isnan(run.traces["v"][1:, bad]).all() and np.isnan(run.measures["mean_v"][bad])
    assert np.isfinite(leaves(run.final_state)[".v"]).all()  # it stands where its last interval began
    assert run.audit.worst_charge < 1e-4


def test_a_cell_that_fails_late_keeps_its_past() -> None:
    """An electrode draws sodium until there is none: samples up to the start of the last interval are kept, no later ones."""
    small = jm.presets.pumped_neuron().with_geometry(jm.Sphere(radius=0.1))
    draw = jm.StepCurrent(amplitude=np.array([0.0, -400.0, 0.0]), start=5.0, carrier="na")
    run = jm.simulate(small, 40.0, stimulus=draw, precision="float64", record=jm.Record(["v", "na.inside"], 0.1))
    failed = run.failed_at[1]
    assert run.status[1] == jm.Status.EMPTY_POOL and 5.0 < failed < 40.0
    kept = np.isfinite(run.traces["v"][:, 1])
    last_good = (round(failed / 0.025) - 1) // 20 * 20 * 0.025
    assert np.array_equal(kept, run.time <= last_good + 1e-9)
    assert (run.traces["na.inside"][kept, 1] >= 0).all()


def test_gradient_of_a_shared_parameter_is_the_good_cells_own() -> None:
    """It is finite, and the same as where the bad cell is good but does not count."""
    good = jm.presets.hodgkin_huxley_1952().with_parameters({"sodium.g": np.linspace(100.0, 140.0, 6)})
    some = good.with_parameters({"sodium.g": np.where(np.arange(6) == 3, 1e300, np.linspace(100.0, 140.0, 6))})
    counted = np.array([1.0, 1, 1, 0, 1, 1])

    def mean_voltage(g: Any, membrane: jm.Membrane) -> Any:
        changed = membrane.with_parameters({"leak.g": g})
        run = jm.integrate(changed, membrane.initial_state(), STEP, steps=80, dt=0.1, every=20, record=("v",))
        return (counted * jax.numpy.nan_to_num(run.traces["v"])).sum(), run.final_state.status

    for derivative in (jax.jacrev, jax.jacfwd):
        slope = jax.jit(derivative(mean_voltage, has_aux=True))
        (with_bad, status), (without, fine) = slope(0.3, some), slope(0.3, good)
        assert (np.asarray(status) != 0).tolist() == [False, False, False, True, False, False] and not fine.any()
        assert np.isfinite(with_bad) and with_bad != 0
        np.testing.assert_allclose(with_bad, without, rtol=1e-10)


# ---------------------------------------------------------------------- derivatives
PATHS = (
    "sodium.g",
    "k_leak.g",
    "pump.i_max",
    "pump.km_na",
    "k.outside",
    "na.inside",
    "capacitance",
    "celsius",
    "initial_v",
)


@pytest.mark.slow
def test_gradients_agree_with_differences() -> None:
    """Of the voltage after a spike has begun, in nine parameters and the stimulus' amplitude and edge, both modes."""
    membrane = jm.presets.pumped_neuron()
    values = {p: float(membrane.parameters()[p].value) for p in PATHS} | {"amplitude": 6.0, "start": 1.013}

    @jax.jit
    def final(x: dict[str, Any]) -> Any:
        step = jm.StepCurrent(amplitude=x["amplitude"], start=x["start"], stop=9.0)
        changed = membrane.with_parameters({p: x[p] for p in PATHS})
        run = jm.integrate(changed, changed.initial_state(), step, steps=240, dt=0.025, every=20)
        return run.final_state.v

    reverse = jax.jit(jax.grad(final))(values)
    for path, x in values.items():
        h = 1e-5 * abs(x)
        difference = (final(values | {path: x + h}) - final(values | {path: x - h})) / (2 * h)
        np.testing.assert_allclose(reverse[path], difference, rtol=2e-6, err_msg=path)
    direction = {path: x * (1 + 0.1 * i) for i, (path, x) in enumerate(values.items())}
    forward = jax.jit(lambda x: jax.jvp(final, (x,), (direction,))[1])(values)
    np.testing.assert_allclose(forward, sum(reverse[p] * direction[p] for p in values), rtol=1e-9)


def test_vmap_and_jit_go_through_integrate() -> None:
    membrane = jm.presets.pumped_neuron()
    final = lambda g: (
        jm.integrate(
            membrane.with_parameters({"sodium.g": g}), membrane.initial_state(), STEP, steps=100, dt=0.025
        ).final_state.v
    )
    g = np.array([15.0, 20.0, 25.0])
    one = jax.jit(final)
    np.testing.assert_allclose(jax.jit(jax.vmap(final))(g), [one(x) for x in g], rtol=1e-10)


# ---------------------------------------------------------------------- precision
def at_50_hz(duration: float, precision: str) -> jm.Simulation:
    cells = jm.presets.pumped_neuron().with_parameters({"sodium.g": np.array([18.0, 20.0, 22.0])})
    return jm.simulate(
        cells,
        duration,
        dt=0.05,
        stimulus=jm.ConstantCurrent(amplitude=2.85),
        precision=precision,
        measures=["concentration_change", "firing_rate"],
    )


@pytest.mark.slow
def test_float32_keeps_concentrations_at_rest() -> None:
    """A minute of a cell whose ions run down, its pump blocked by half: float32 sees what float64 sees, to 1e-3 mM."""
    cell = jm.presets.pumped_neuron()
    cell = cell.with_parameters({"pump.i_max": 0.5 * cell.parameters()["pump.i_max"].value})
    runs = [
        jm.simulate(cell, 60e3, dt=0.25, precision=p, measures=["concentration_change"]) for p in ("float32", "float64")
    ]
    for path in ("na.inside", "k.inside", "cl.inside"):
        a, b = (r.measures[f"concentration_change.{path}"] for r in runs)
        assert abs(a - b) < 1e-3, path
    assert runs[1].measures["concentration_change.na.inside"] > 0.5


@pytest.mark.slow
def test_float32_keeps_concentrations_when_firing() -> None:
    single, double = (at_50_hz(10e3, p) for p in ("float32", "float64"))
    assert (np.abs(double.measures["firing_rate"] - 50.0) < 10.0).all()
    for path in ("na.inside", "k.inside", "cl.inside"):
        a, b = (r.measures[f"concentration_change.{path}"] for r in (single, double))
        assert np.abs(a - b).max() < 0.02, path


def test_results_know_their_precision() -> None:
    for precision in ("float32", "float64"):
        run = jm.simulate(population(2), 1.0, precision=precision, record=jm.Record("v", 0.5))
        assert run.precision == precision and run.traces["v"].dtype == precision
        assert run.final_state.v.dtype == precision
    assert dataclasses.is_dataclass(run)


@pytest.mark.parametrize("integrator", [jm.Staggered(), jm.RungeKutta4()], ids=["staggered", "rk4"])
@pytest.mark.parametrize("cells", [1, 3, 5, 6, 7, 13])
def test_a_few_cells_begin_as_they_do_in_a_crowd(cells: int, integrator: jm.Integrator) -> None:
    """Each population makes its own initial state: what is left of a vector may not be computed otherwise."""
    current = np.linspace(0.5, 3.0, 64)

    def run(index: np.ndarray) -> jm.Simulation:
        membrane = jm.presets.wang_buzsaki_1996().with_parameters({"initial_v": np.linspace(-72.0, -58.0, 64)[index]})
        step = jm.StepCurrent(current[index], 1.0, 9.0)
        return jm.simulate(membrane, 4.0, dt=0.02, stimulus=step, precision="float32", integrator=integrator)

    crowd, few = run(np.arange(64)), run(np.arange(20, 20 + cells))
    np.testing.assert_array_equal(few.initial_state.v, crowd.initial_state.v[20 : 20 + cells])
    for a, b in zip(jax.tree.leaves(few.final_state.states), jax.tree.leaves(crowd.final_state.states), strict=True):
        np.testing.assert_array_equal(a, b[20 : 20 + cells])
    np.testing.assert_array_equal(few.final_state.v, crowd.final_state.v[20 : 20 + cells])
