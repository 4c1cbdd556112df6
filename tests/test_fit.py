"""Fits at rest: closed forms, recovery of what was hidden, derivatives, and every way in which a fit can fail."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.optimize import least_squares

import jaxmem as jm
from jaxmem.analysis.fitting.quantities import quantity

FREE = {"k_leak.g": (1e-3, 10.0), "na_leak.g": (1e-4, 1.0)}
ION = {
    "k": jm.Species(inside=140.0, outside=4.0, valence=1),
    "na": jm.Species(inside=12.0, outside=145.0, valence=1),
}


def two_leaks(**parameters: Any) -> jm.Membrane:
    """Ohmic leaks of K+ and Na+ with clamped ions: rest and resistance are the chord conductance equation's."""
    membrane = jm.Membrane({"k_leak": jm.Leak(0.2, ion="k"), "na_leak": jm.Leak(0.01, ion="na")}, species=ION)
    return membrane.with_parameters({k.replace("__", "."): x for k, x in parameters.items()})


def reversals(membrane: jm.Membrane) -> tuple[float, float]:
    e = membrane.environment({k: np.zeros(()) for k in [*membrane.species, "electrode"]}).e
    return float(e["k"]), float(e["na"])


def chord(v: Any, r: Any) -> tuple[np.ndarray, np.ndarray]:
    """The conductances that give rest v (mV) and input resistance r (MOhm)."""
    e_k, e_na = reversals(two_leaks())
    whole = 1e5 / (np.asarray(r) * two_leaks().geometry.area)
    g_na = whole * (np.asarray(v) - e_k) / (e_na - e_k)
    return whole - g_na, g_na


def test_two_leaks_have_a_closed_form():
    draw = np.random.default_rng(1)
    v, r = draw.uniform(-85, -40, 700), draw.uniform(100, 900, 700)
    fit = jm.fit(two_leaks(), free=FREE, targets={"resting_potential": v, "input_resistance": r})
    assert fit.converged.all() and fit.membrane.cells == 700 and fit.starts is None
    g_k, g_na = chord(v, r)
    np.testing.assert_allclose(fit.parameters["k_leak.g"], g_k, rtol=1e-9)
    np.testing.assert_allclose(fit.parameters["na_leak.g"], g_na, rtol=1e-9)
    np.testing.assert_allclose(fit.rest.v, v, atol=1e-9)
    np.testing.assert_allclose(jm.resting_state(fit.membrane).v, v, atol=1e-9)
    few = np.array([3, 500, 699])  # a fit does not depend on its company, to the last bit
    alone = jm.fit(two_leaks(), free=FREE, targets={"resting_potential": v[few], "input_resistance": r[few]})
    for path in FREE:
        assert (alone.parameters[path] == fit.parameters[path][few]).all()


def test_starts_are_an_axis_and_lead_to_the_one_solution():
    v = np.array([-80.0, -65.0, -50.0])
    given = {"resting_potential": v, "input_resistance": jm.Target(300.0, sd=5.0)}
    fit = jm.fit(two_leaks(), free=FREE, targets=given, starts=9)
    assert fit.status.shape == (9, 3) and fit.converged.all()
    assert fit.values["resting_potential"].shape == (9, 3) and fit.jacobian.shape == (2, 2, 9, 3)
    assert np.shape(fit.membrane.parameters()["k_leak.g"].value) == (9, 3)
    best = fit.best()
    np.testing.assert_allclose(best.parameters["na_leak.g"], chord(v, 300.0)[1], rtol=1e-9)
    assert best.membrane.cells == 3 and best.rest.v.shape == (3,) and best.rest.state.v.shape == (3,)
    one = jm.fit(two_leaks(), free=FREE, targets={"resting_potential": -70.0, "input_resistance": 300.0}, starts=9)
    assert one.status.shape == (9,) and one.best().status.shape == () and one.best().membrane.cells is None
    assert np.ptp(one.parameters["k_leak.g"]) < 1e-8


def test_a_number_that_was_not_measured_does_not_count():
    r = np.array([np.nan, 300.0])
    fit = jm.fit(two_leaks(), free=FREE, targets={"resting_potential": -70.0, "input_resistance": r})
    assert fit.converged.all() and np.isnan(fit.residuals["input_resistance"][0])
    assert np.isfinite(fit.values["input_resistance"]).all() and fit.cost[0] < 1e-12
    np.testing.assert_allclose(fit.values["resting_potential"], -70.0, atol=1e-8)


def test_a_drug_and_baths_are_conditions():
    """A half-blocked K+ leak; three bath concentrations: the truth comes back."""
    truth = two_leaks(k_leak__g=0.31, na_leak__g=0.023)
    baths = [{"k.outside": c} for c in (2.5, 10.0, 40.0)]
    blocked = jm.Drug("k_leak.g", 2.0, half=2.0)
    rest = lambda **change: float(jm.resting_state(truth.with_parameters(change)).v)
    series = [float(jm.resting_state(truth.with_parameters(b)).v) for b in baths]
    targets = {
        "series": jm.Target(series, of="resting_potential", at=baths),
        "blocked": jm.Target(rest(**{"k_leak.g": 0.155}), of="resting_potential", at=blocked),
        "input_resistance": float(jm.input_resistance(truth, jm.resting_state(truth))),
    }
    fit = jm.fit(two_leaks(), free=FREE, targets=targets)
    assert fit.converged and fit.values["series"].shape == (3,)
    assert fit.parameters["k_leak.g"] == pytest.approx(0.31, rel=1e-8)
    assert fit.parameters["na_leak.g"] == pytest.approx(0.023, rel=1e-8)


def test_a_tie_keeps_the_ratio():
    fit = jm.fit(
        two_leaks(),
        free={"k_leak.g": (1e-3, 10.0)},
        tied={"na_leak.g": "k_leak.g"},
        targets={"input_resistance": 300.0},
    )
    assert fit.converged and fit.parameters["na_leak.g"] / fit.parameters["k_leak.g"] == pytest.approx(0.05, rel=1e-12)
    assert sum(fit.parameters.values()) == pytest.approx(sum(chord(-70.0, 300.0)), rel=1e-9)
    other = jm.fit(
        two_leaks(),
        free={"k_leak.g": (1e-3, 10.0)},
        tied={"na_leak.g": ("k_leak.g", 0.1)},
        targets={"input_resistance": 300.0},
    )
    assert other.parameters["na_leak.g"] == pytest.approx(0.1 * other.parameters["k_leak.g"], rel=1e-12)


def test_a_prior_is_a_measurement_of_the_logarithm():
    """Linear and Gaussian in ln g: the estimate is the mean weighted by 1/sd^2."""
    log_g = lambda membrane, rest: jnp.log(membrane.mechanisms["k_leak"].g)
    free = {"k_leak.g": jm.Free(1e-3, 10.0, prior=(0.5, 0.2))}
    fit = jm.fit(two_leaks(), free=free, targets={"ln g": jm.Target(np.log(0.1), sd=0.3, of=log_g)})
    w = np.array([0.3, 0.2]) ** -2.0
    assert np.log(fit.parameters["k_leak.g"]) == pytest.approx(w @ np.log([0.1, 0.5]) / w.sum(), rel=1e-9)
    assert fit.jacobian[:, 0] == pytest.approx([1 / 0.3, 1 / 0.2])


def joint(v: np.ndarray, r: np.ndarray, spread: float | None) -> np.ndarray:
    """SciPy on all cells at once: ln g_k of each cell, then ln g_na (one, or each and their centre)."""
    e_k, e_na = reversals(two_leaks())
    n = v.size

    def residuals(x: np.ndarray) -> np.ndarray:
        g_k = np.exp(x[:n])
        g_na = np.exp(x[n : 2 * n]) if spread else np.exp(x[n])
        rest = (g_k * e_k + g_na * e_na) / (g_k + g_na)
        rows = [rest - v, (1e5 / two_leaks().geometry.area / (g_k + g_na) - r) / 10.0]
        return np.nan_to_num(np.concatenate([*rows, (x[n : 2 * n] - x[-1]) / spread] if spread else rows))

    start = np.log([0.2] * n + [0.01] * (n + 1 if spread else 1))
    return least_squares(residuals, start, xtol=1e-15, ftol=1e-15, gtol=1e-15).x


@pytest.mark.parametrize("spread", [None, 0.1])
def test_cells_with_a_common_value_are_fitted_together(spread: float | None):
    v, r = np.array([-70.0, -75.0, -60.0, -72.0]), np.array([300.0, 200.0, np.nan, 320.0])
    common = jm.Free(1e-4, 1.0, shared=spread is None, pooled=spread)
    targets = {"resting_potential": v, "input_resistance": jm.Target(r, sd=10.0)}
    fit = jm.fit(two_leaks(), free=FREE | {"na_leak.g": common}, targets=targets, starts=2)
    x = joint(v, r, spread)
    for start in range(2):
        np.testing.assert_allclose(np.log(fit.parameters["k_leak.g"][start]), x[:4], atol=1e-6)
        np.testing.assert_allclose(np.log(fit.parameters["na_leak.g"][start]), x[4:8] if spread else x[4], atol=1e-6)
    if spread:
        np.testing.assert_allclose(np.log(fit.common["na_leak.g"]), x[-1], atol=1e-6)
    with pytest.raises(ValueError, match="Levenberg-Marquardt alone"):
        jm.fit(two_leaks(), free=FREE | {"na_leak.g": common}, targets=targets, method="adam")


@pytest.mark.parametrize(
    "method",
    [
        "adam",
        optax.adam(optax.exponential_decay(0.1, 100, 0.5)),
        [jm.GradientDescent("adam", steps=20), "levenberg_marquardt"],
        pytest.param("lbfgs", marks=pytest.mark.slow),
    ],
)
def test_optimisers_of_optax_come_to_the_same_minimum(method: Any):
    v = np.array([-80.0, -60.0])
    targets = {"resting_potential": v, "input_resistance": jm.Target(300.0, sd=20.0)}
    fit = jm.fit(two_leaks(), free=FREE, targets=targets, method=method)
    assert fit.converged.all()
    np.testing.assert_allclose(fit.parameters["na_leak.g"], chord(v, 300.0)[1], rtol=1e-4)


def test_failures_have_a_status_and_crash_nothing():
    v = np.array([-120.0, -70.0, np.nan, 75.0])
    fit = jm.fit(two_leaks(), free=FREE, targets={"resting_potential": v, "input_resistance": 300.0})
    assert [jm.FitStatus(s).name for s in fit.status] == ["AT_BOUND", "CONVERGED", "CONVERGED", "AT_BOUND"]
    assert (
        fit.at_bound["na_leak.g"][0] and not fit.at_bound["na_leak.g"][1] and fit.values["resting_potential"][0] < -90
    )
    against = {x: jm.Target(y, of="resting_potential") for x, y in {"a": -70.0, "b": -60.0}.items()}
    torn = jm.fit(two_leaks(), free=FREE, targets=against)
    assert torn.status == jm.FitStatus.STATIONARY and torn.values["a"] == pytest.approx(-65.0, abs=1e-6)
    assert torn.residuals["a"] == pytest.approx(5.0, abs=1e-6)
    idle = jm.fit(two_leaks(), free=FREE | {"capacitance": (0.5, 2.0)}, targets={"resting_potential": -70.0})
    assert idle.converged and idle.parameters["capacitance"] == 1.0 and (np.abs(idle.jacobian[:, 2]) < 1e-12).all()
    short = jm.fit(
        two_leaks(), free=FREE, targets={"resting_potential": -60.0}, method=jm.LevenbergMarquardt(iterations=1)
    )
    assert short.status == jm.FitStatus.ITERATIONS
    for status in jm.FitStatus:
        assert len(status.reason) > 10


def test_a_parameter_that_hardly_matters_at_its_bound_holds_up_no_other():
    """Rests near E_K, where the Na+ leak is next to nothing: the K+ leak still comes to where it is best, from any start."""
    v, r = (x.ravel() for x in np.meshgrid(np.linspace(-94.9, -90.0, 12), np.geomspace(20.0, 2000.0, 12)))
    free = {"k_leak.g": (1e-4, 100.0), "na_leak.g": (1e-5, 10.0)}
    targets = {"resting_potential": v, "input_resistance": jm.Target(r, sd=0.1 * r)}
    fit = jm.fit(two_leaks(), free=free, targets=targets, starts=4)
    assert not (fit.status == jm.FitStatus.ITERATIONS).any()
    np.testing.assert_allclose(fit.cost, np.broadcast_to(fit.cost.min(0), fit.cost.shape), rtol=1e-6, atol=1e-9)


def test_starts_that_come_to_different_solutions_are_told():
    """(ln g_k - ln 0.1)^2 is met by two conductances, and the words say so."""
    both = lambda membrane, rest: (jnp.log(membrane.mechanisms["k_leak"].g) - np.log(0.1)) ** 2
    fit = jm.fit(two_leaks(), free={"k_leak.g": (1e-3, 10.0)}, targets={"y": jm.Target(1.0, sd=0.1, of=both)}, starts=8)
    assert fit.converged.all() and "different solutions: k_leak.g from 0.03679 to 0.2718" in str(fit)
    assert "8 CONVERGED" in repr(fit)


def test_a_cell_without_a_rest_is_named_and_others_are_not_harmed():
    """Where nothing conducts, nothing holds a voltage."""
    cells = two_leaks(k_leak__g=np.array([0.0, 0.2]), na_leak__g=np.array([0.0, 0.01]))
    asked: dict[str, Any] = {"free": {"capacitance": (0.5, 2.0)}, "targets": {"time_constant": 6.0}}
    fit = jm.fit(cells, **asked)
    assert fit.status[0] == jm.FitStatus.NO_STEADY_STATE and fit.converged[1]
    assert np.isnan(fit.values["time_constant"][0]) and np.isnan(fit.jacobian[..., 0]).all()
    alone = jm.fit(cells[1:], **asked)  # an axis too: shared numbers round otherwise
    assert fit.parameters["capacitance"][1] == alone.parameters["capacitance"][0]
    assert fit.parameters["capacitance"][1] == pytest.approx(6.0 * 0.21, rel=1e-9)


QUANTITIES = (
    "resting_potential", "input_resistance", "time_constant", "na.inside", "k.inside", "cl.inside", "pump_current", "pump_shift",
    "atp_per_second", "k.reversal_potential", "k_leak.reversal_potential",
)  # fmt: skip


KNOWN = {
    "resting_potential": 1.0,
    "input_resistance": 10.0,
    "na.inside": 0.5,
    "pump_shift": 0.1,
}  # sd of what was measured


def aims(membrane: jm.Membrane, known: dict[str, float]) -> dict[str, jm.Target]:
    """Targets of every quantity as it is in these cells; those that are not known were not measured."""
    rest, out = jm.resting_state(membrane), {}
    for name in QUANTITIES:
        x = np.asarray(quantity(membrane, name)(membrane, rest))
        out[name] = jm.Target(x if name in known else np.full_like(x, np.nan), sd=known.get(name, 1.0))
    return out


@pytest.mark.parametrize(
    ("precision", "least", "close"),
    [("float64", 0.99, 1e-6), pytest.param("float32", 0.97, 1e-3, marks=pytest.mark.slow)],
)
def test_hidden_conductances_are_recovered(precision: str, least: float, close: float):
    """Pumped cells with random conductances, and a fit that knows of them only what can be measured."""
    membrane, draw = jm.presets.get("pump_leak"), np.random.default_rng(5)
    own = {path: float(membrane.parameters()[path].value) for path in PUMPED}
    truth = {path: g * np.exp(draw.uniform(-0.7, 0.7, 1000)) for path, g in own.items()}
    targets = aims(membrane.with_parameters(truth), KNOWN)
    free = {path: (g / 8, g * 8) for path, g in own.items()}
    fit = jm.fit(membrane, free=free, targets=targets, precision=precision)
    v = np.asarray(targets["resting_potential"].value)
    assert np.mean(np.abs(fit.values["resting_potential"] - v) < close) >= least
    assert fit.rest.v.dtype == precision and fit.converged.mean() >= least
    for path, g in truth.items():
        assert np.mean(np.abs(fit.parameters[path] / g - 1) < 1e3 * close) >= least


PUMPED = ("na_leak.g", "k_leak.g", "cl_leak.g", "pump.i_max")


@pytest.mark.parametrize(
    ("preset", "paths"),
    [
        ("pump_leak", PUMPED),
        pytest.param("pumped_neuron", ("sodium.g", "k_leak.g", "pump.i_max", "k.outside"), marks=pytest.mark.slow),
        pytest.param("pump_leak_ghk", ("k_leak.p", "cl_leak.p", "celsius"), marks=pytest.mark.slow),
    ],
)
def test_derivatives_of_every_target_are_those_of_differences(preset: str, paths: tuple[str, ...]):
    """Fourth-order central differences of resting states found from scratch, 1e-6 relative."""
    membrane = jm.presets.get(preset)
    own = {path: float(membrane.parameters()[path].value) for path in paths}
    steps = np.array([-2, -1, 1, 2]) * 2e-3
    moved = np.ones((len(paths), len(paths), 4))
    for i in range(len(paths)):
        moved[i, i] = np.exp(steps)
    around = membrane.with_parameters({p: own[p] * moved[i].reshape(-1) for i, p in enumerate(paths)})
    targets = aims(membrane, dict.fromkeys(QUANTITIES, 1.0))
    free = {path: (g / 8, g * 8) for path, g in own.items()}
    fit = jm.fit(membrane, free=free, targets=targets, method=jm.LevenbergMarquardt(iterations=1))
    rest = jm.resting_state(around)
    for row, name in enumerate(QUANTITIES):
        x = np.broadcast_to(quantity(around, name)(around, rest), (len(paths) * 4,)).reshape(-1, 4)
        slope = (8 * (x[:, 2] - x[:, 1]) - (x[:, 3] - x[:, 0])) / (12 * 2e-3)
        np.testing.assert_allclose(fit.jacobian[row], slope, rtol=1e-6, atol=1e-7 * max(1e-3, np.abs(slope).max()))


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"free": {"k_leak.q": (1, 2)}}, jm.PathError, "did you mean 'k_leak.g'"),
        ({"free": {"k_leak.g": (2.0, 1.0)}}, ValueError, "k_leak.g: .*low < high"),
        ({"free": {"k_leak.g": (-1.0, 1.0)}}, ValueError, "at least 0"),
        ({"free": {"k_leak.g": 3.0}}, ValueError, r"\(low, high\)"),
        ({"free": {}}, ValueError, "nothing to fit"),
        ({"targets": {}}, ValueError, "nothing to aim at"),
        ({"targets": {"resting_potentail": -70.0}}, jm.PathError, "resting_potential"),
        (
            {"targets": {"resting_potential": jm.Target([-70.0, -60.0], at=[{"k.outside": 3.0}])}},
            ValueError,
            "conditions",
        ),
        ({"targets": {"resting_potential": jm.Target(-70.0, at={"k.outsid": 3.0})}}, jm.PathError, "k.outside"),
        ({"tied": {"na_leak.g": "k_leak.g"}}, ValueError, "both free and tied"),
        ({"tied": {"capacitance": "celsius"}}, ValueError, "which is not free"),
        ({"method": "nonsense"}, ValueError, "no optimiser 'nonsense'"),
        ({"method": 3}, ValueError, "a method is a name"),
        ({"method": "levenberg"}, ValueError, "did you mean 'levenberg_marquardt'"),
        ({"targets": {"resting_potential": "-70 mV"}}, ValueError, "target resting_potential: .*number in its unit"),
        ({"targets": {"x": jm.Target(1.0, of=lambda membrane: 1.0)}}, TypeError, r"function\(membrane, rest\)"),
        ({"starts": 0}, ValueError, "at least 1"),
        ({"precision": "float16"}, ValueError, "float32"),
    ],
)
def test_what_does_not_fit_is_said(change: dict[str, Any], error: type[Exception], words: str):
    asked: dict[str, Any] = {"free": FREE, "targets": {"resting_potential": -70.0}} | change
    with pytest.raises(error, match=words):
        jm.fit(two_leaks(), **asked)


def test_a_target_needs_an_uncertainty_above_zero():
    with pytest.raises(ValueError, match="above 0"):
        jm.Target(-70.0, sd=0.0)
    with pytest.raises(ValueError, match="cannot be pooled"):
        jm.Free(1.0, 2.0, shared=True, pooled=0.1)
