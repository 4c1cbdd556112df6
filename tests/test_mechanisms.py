"""Every mechanism and every preset: exact slopes, nothing infinite in value or gradient, and what the formulas say."""

import importlib
import inspect
import pkgutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import relative
from specimens import CELLS, MECHANISMS, V_T, env_of, membrane_with, states_for, sweep, thresholds, together, widened

import jaxmem as jm
import jaxmem.membrane as membrane_package
from jaxmem.electrochemistry import q10_factor
from jaxmem.membrane.mechanism import steady_states
from jaxmem.membrane.pumps import hill

PRECISIONS = ("float64", "float32")


def test_no_mechanism_is_left_out():
    for module in pkgutil.walk_packages(membrane_package.__path__, "jaxmem.membrane."):
        importlib.import_module(module.name)
    public = [getattr(jm, name) for name in jm.__all__]
    shipped = {x for x in public if inspect.isclass(x) and issubclass(x, jm.Mechanism) and x is not jm.Mechanism}
    shipped |= {x for x in jm.Mechanism.__subclasses__() if x.__module__.startswith("jaxmem.")}
    assert len(shipped) >= 7
    assert {type(m) for m in MECHANISMS.values()} == shipped


# ---------------------------------------------------------------------- slopes
@pytest.mark.parametrize("precision", ["float64", pytest.param("float32", marks=pytest.mark.slow)])
def test_slope_is_the_derivative_of_the_current(precision):
    assert_slopes(together(), precision)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", jm.presets.names())
def test_slopes_of_presets(name, precision):
    assert_slopes(jm.presets.get(name), precision)


def assert_slopes(membrane: jm.Membrane, precision: str) -> None:
    v = sweep(precision, v_t=thresholds(membrane))
    membrane = widened(membrane, precision)
    env = env_of(membrane, v)
    states = states_for(membrane, v, env)

    def compare(membrane, v, states, env):
        whole = lambda x: jnp.zeros_like(v) + x
        ask = lambda v: {f"{name}.{ion}": (whole(c.value), whole(c.slope)) for name in membrane.order
                         for ion, c in membrane.mechanisms[name].fluxes(v, states[name], env).items()}  # fmt: skip
        return ask(v), jax.jvp(lambda v: {k: value for k, (value, _) in ask(v).items()}, (v,), (jnp.ones_like(v),))[1]

    told, true = compare(membrane, v, states, env)
    assert len(told) >= 3
    wrong = {}
    for path, (value, slope) in told.items():
        assert value.dtype == slope.dtype == v.dtype and np.isfinite(value).all()
        # where a slope passes through 0, what is left is a few ulp of what cancels
        floor = 1e-3 if precision == "float64" else 1e-2
        error = relative(slope, true[path], floor=floor * float(abs(true[path]).max()))
        if not error < (1e-12 if precision == "float64" else 1e-4):
            wrong[path] = error
    assert wrong == {}


# ---------------------------------------------------------------------- nothing infinite
def rates_of(kinetics: jm.Rates | jm.Scheme) -> dict[str, jax.Array]:
    """All rates of a gate or of a scheme, by a name for each."""
    if isinstance(kinetics, jm.Rates):
        return {"opening": kinetics.opening, "closing": kinetics.closing}
    return {f"{a}>{b}": x for (a, b), (x, _) in kinetics.edges.items()} | {
        f"{b}>{a}": x for (a, b), (_, x) in kinetics.edges.items()
    }


def everything(membrane: jm.Membrane, v: jax.Array, states: dict, e_used: bool = True) -> dict[str, jax.Array]:
    """All that a membrane says at these voltages: rates, steady states, currents, slopes and the derivative."""
    env = env_of(membrane, v)
    found = {}
    for name in membrane.order:
        mechanism = membrane.mechanisms[name]
        for gate, r in mechanism.kinetics(v, states[name], env).items():
            found |= {f"{name}.{gate}.{way}": x for way, x in rates_of(r).items()}
        found |= {f"{name}.{gate}.rest": x for gate, x in mechanism.initial(v, env).items()}
        for ion, c in mechanism.fluxes(v, states[name], env).items():
            found |= {f"{name}.{ion}.value": c.value, f"{name}.{ion}.slope": c.slope}
    if e_used:
        book = {name: jnp.zeros_like(v) for name in membrane.initial_state(v).book}
        change = membrane.derivative(jm.Point(v, states, book), jm.Current(jnp.ones_like(v), 0.0))
        found |= {"dv/dt": change.v} | {f"d{k}/dt": x for k, x in change.book.items()}
    return {k: jnp.zeros_like(v) + x for k, x in found.items()}


def assert_finite(membrane: jm.Membrane, v: jax.Array, e_used: bool = True) -> None:
    """Every output, and the derivative of their sum with respect to v, every state and every parameter, in every cell.

    Not compiled: it runs once, and a compiler could remove what is computed and not used.
    """
    states = states_for(membrane, v, env_of(membrane, v))

    def both(*at):
        def outputs(*at):
            found = everything(*at, e_used)
            return sum(jnp.sum(x) for x in found.values()), found

        gradients, values = jax.grad(outputs, argnums=(0, 1, 2), has_aux=True)(*at)
        return jax.tree.map(lambda x: jnp.sum(~jnp.isfinite(x)), (gradients, values))

    (by_membrane, by_v, by_states), values = both(membrane, v, states)
    assert len(values) > 3 and {k: int(x) for k, x in values.items() if x} == {}
    by_path = {path: int(p.value) for path, p in by_membrane.parameters().items()}
    assert set(by_path) == set(membrane.parameters())
    assert {path: count for path, count in by_path.items() if count} == {}
    assert not int(by_v) and not any(int(x) for x in jax.tree.leaves(by_states))


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float64", pytest.param("float32", marks=pytest.mark.slow)])
def test_mechanisms_and_their_gradients_are_finite(precision):
    assert_finite(widened(together(), precision), sweep(precision))


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", jm.presets.names())
def test_presets_and_their_gradients_are_finite(name, precision):
    membrane = jm.presets.get(name)
    assert_finite(widened(membrane, precision), sweep(precision, v_t=thresholds(membrane)))


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", ["pump", "pump_electroneutral", "pump_voltage_atp"])
def test_pump_stands_still_without_sodium_or_potassium(name, precision):
    membrane = widened(membrane_with(MECHANISMS[name]), precision)
    none = jnp.arange(CELLS)
    empty = lambda x, every: jnp.where(none % every == 0, 0.0, x).astype(precision)
    membrane = membrane.with_parameters({
        "na.inside": empty(membrane.species["na"].inside, 3),
        "k.outside": empty(membrane.species["k"].outside, 5),
        "atp.inside": empty(membrane.species["atp"].inside, 7),
    })  # fmt: skip
    v = sweep(precision)
    assert_finite(membrane, v, e_used=False)
    flows = membrane.fluxes(v, {"it": {}}, env_of(membrane, v))
    starved = (none % 3 == 0) | (none % 5 == 0) | ((none % 7 == 0) & (name == "pump_voltage_atp"))
    assert not np.any(np.asarray(flows["na"].value)[np.asarray(starved)])
    assert np.all(np.asarray(flows["na"].value)[~np.asarray(starved)] > 0)


# ---------------------------------------------------------------------- what the papers say
def naive_rates(v: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Opening and closing rates (1/ms) as printed, in extended precision; 0/0 at the singular voltages."""
    v = v.astype(np.longdouble)
    w, u = v + 65, v - V_T
    exp = np.exp
    return {
        "hh_sodium.m": (0.1 * (25 - w) / (exp((25 - w) / 10) - 1), 4 * exp(-w / 18)),
        "hh_sodium.h": (0.07 * exp(-w / 20), 1 / (exp((30 - w) / 10) + 1)),
        "hh_potassium.n": (0.01 * (10 - w) / (exp((10 - w) / 10) - 1), 0.125 * exp(-w / 80)),
        "tm_sodium.m": (0.32 * (13 - u) / (exp((13 - u) / 4) - 1), 0.28 * (u - 40) / (exp((u - 40) / 5) - 1)),
        "tm_sodium.h": (0.128 * exp((17 - u) / 18), 4 / (1 + exp((40 - u) / 5))),
        "tm_potassium.n": (0.032 * (15 - u) / (exp((15 - u) / 5) - 1), 0.5 * exp((10 - u) / 40)),
    }


@pytest.mark.parametrize("precision", PRECISIONS)
def test_rates_are_as_published(precision):
    v = np.linspace(-150, 100, 501)[:-1] + 0.123
    for path, printed in naive_rates(v).items():
        name, gate = path.split(".")
        mechanism = MECHANISMS[name]
        membrane = membrane_with(mechanism).with_parameters({"celsius": mechanism.q10_celsius})
        x = jnp.asarray(v, precision)
        rates = mechanism.kinetics(x, {}, env_of(membrane, x))[gate]
        tolerance = 1e-13 if precision == "float64" else 3e-5  # of which the voltage's own rounding is a part
        assert relative(rates.opening, printed[0]) < tolerance, path
        assert relative(rates.closing, printed[1]) < tolerance, path


@pytest.mark.parametrize(
    ("name", "gate", "side", "v", "rate"),
    [
        ("hh_sodium", "m", "opening", -40.0, 1.0),
        ("hh_potassium", "n", "opening", -55.0, 0.1),
        ("tm_sodium", "m", "opening", V_T + 13, 1.28),
        ("tm_sodium", "m", "closing", V_T + 40, 1.4),
        ("tm_potassium", "n", "opening", V_T + 15, 0.16),
    ],
)
def test_rates_at_their_removable_singularities(name, gate, side, v, rate):
    mechanism = MECHANISMS[name]
    membrane = membrane_with(mechanism).with_parameters({"celsius": mechanism.q10_celsius})

    def f(x):
        return getattr(mechanism.kinetics(x, {}, env_of(membrane, x))[gate], side)

    assert float(f(jnp.asarray([v]))[0]) == pytest.approx(rate, rel=1e-15)
    near = jnp.asarray([v - 1e-7, v, v + 1e-7])
    value, slope = jax.jvp(f, (near,), (jnp.ones(3),))
    assert relative(value, rate) < 1e-6
    assert relative(slope, slope[1]) < 1e-6 and abs(float(slope[1])) > 1e-3


def test_steady_gates_are_where_their_rates_balance():
    v = sweep("float64", 1000)
    for name in ("hh_sodium", "hh_potassium", "tm_sodium", "tm_potassium"):
        env = env_of(membrane_with(MECHANISMS[name]), v)
        rates = MECHANISMS[name].kinetics(v, {}, env)
        for gate, x in MECHANISMS[name].initial(v, env).items():
            assert np.all((x >= 0) & (x <= 1))
            assert relative(rates[gate].opening, (rates[gate].opening + rates[gate].closing) * x) < 1e-14


def test_stationary_distribution_of_a_scheme():
    rng = np.random.default_rng(0)
    names = "abcdef"
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    edges = {
        pairs[i]: (jnp.asarray(rng.uniform(0, 1, 5)), jnp.asarray(rng.uniform(0, 1, 5)))
        for i in (0, 1, 4, 5, 8, 9, 11, 14)
    }
    edges["f", "a"] = (0.3, 0.001)  # the same pair may be named from the other side
    rest = steady_states({"s": jm.Scheme(edges)})
    assert set(rest) == set(names) and relative(sum(rest.values()), 1.0) < 1e-15
    for name in names:
        net = sum(
            (b == name) * (f * rest[a] - r * rest[b]) - (a == name) * (f * rest[a] - r * rest[b])
            for (a, b), (f, r) in edges.items()
        )
        assert abs(net).max() < 1e-15


def test_linear_states_rest_at_gain_over_rate():
    assert float(steady_states({"x": jm.Linear(gain=0.3, rate=0.1)})["x"]) == pytest.approx(3.0)


# ---------------------------------------------------------------------- temperature
def test_q10_factor():
    assert float(q10_factor(3.0, 16.3, 6.3)) == pytest.approx(3.0, rel=1e-14)
    assert float(q10_factor(3.0, 6.3, 6.3)) == 1.0
    assert float(q10_factor(2.0, 6.3, 26.3)) == pytest.approx(0.25, rel=1e-14)


@pytest.mark.parametrize("name", [k for k, m in MECHANISMS.items() if any(hasattr(m, f) for f in ("q10", "q10_g"))])
def test_ten_degrees_make_rates_and_currents_faster_by_their_own_q10(name):
    reference = {"it.q10_celsius": 20.0, "it.q10_g_celsius": 20.0, "it.q10": 2.5, "it.q10_g": 1.5}
    membrane = membrane_with(MECHANISMS[name])
    membrane = membrane.with_parameters({k: x for k, x in reference.items() if k in membrane.parameters()})
    v = jnp.linspace(-90.0, 40.0, 7)
    env = env_of(membrane, v)  # the same reversal potentials at both temperatures: q10 alone is asked for
    states = states_for(membrane, v, env)["it"]
    at = lambda celsius: jm.Environment(
        env.inside, env.outside, env.e, env.volume, celsius, env.rt_f, env.charge_per_mM
    )
    ask = lambda celsius: (
        membrane.mechanisms["it"].kinetics(v, states, at(celsius)),
        membrane.mechanisms["it"].fluxes(v, states, at(celsius)),
    )
    (cold_rates, cold), (warm_rates, warm), (_, there) = ask(20.0), ask(30.0), ask(20.0)
    own = 1.5 if hasattr(MECHANISMS[name], "q10_g") else 1.0
    factor = 2.5 if isinstance(MECHANISMS[name], jm.NaKATPase | jm.PumpCycle) else own
    for ion in cold:
        assert relative(warm[ion].value, factor * cold[ion].value) < 1e-13
        assert relative(cold[ion].value, there[ion].value) == 0.0
    for gate in cold_rates:
        cold_ways, warm_ways = rates_of(cold_rates[gate]), rates_of(warm_rates[gate])
        assert all(relative(warm_ways[way], 2.5 * x) < 1e-13 for way, x in cold_ways.items())


# ---------------------------------------------------------------------- the pump
def pump_currents(pump: jm.NaKATPase, v: float = -70.0, **changes: float) -> dict[str, float]:
    membrane = membrane_with(pump).with_parameters(
        {"celsius": 37.0} | {k.replace("_", "."): x for k, x in changes.items()}
    )
    flows = membrane.fluxes(jnp.asarray([v]), {"it": {}}, env_of(membrane, jnp.asarray([v])))
    return {ion: float((jnp.zeros(1) + c.value)[0]) for ion, c in flows.items()}


def test_pump_stoichiometry():
    flows = pump_currents(jm.NaKATPase(i_max=4.0, adp="adp"), na_inside=10.0, k_outside=1.5)
    cycles = 4.0 * 0.5 * 0.5  # both ions at their half activations
    assert flows == pytest.approx({"na": 3 * cycles, "k": -2 * cycles, "atp": cycles, "adp": -cycles}, rel=1e-14)
    neutral = pump_currents(jm.NaKATPase(i_max=4.0, electrogenic=False), na_inside=10.0, k_outside=1.5)
    assert neutral["na"] == pytest.approx(3 * cycles) and neutral["na"] + neutral["k"] == 0.0
    other = pump_currents(jm.NaKATPase(i_max=4.0, n_na=2.0, n_k=1.0), na_inside=10.0, k_outside=1.5)
    assert other["na"] == pytest.approx(2 * cycles) and other["k"] == pytest.approx(-cycles)
    assert set(pump_currents(jm.NaKATPase(atp=None))) == {"na", "k"}


def test_pump_depends_on_voltage_and_atp_where_told_so():
    plain = pump_currents(jm.NaKATPase())["na"]
    assert pump_currents(jm.NaKATPase(), v=20.0)["na"] == plain
    assert pump_currents(jm.NaKATPase(), atp_inside=0.01)["na"] == plain
    assert pump_currents(jm.NaKATPase(v_half=-70.0, v_slope=25.0))["na"] == pytest.approx(plain / 2, rel=1e-14)
    assert pump_currents(jm.NaKATPase(v_half=-70.0, v_slope=25.0), v=400.0)["na"] == pytest.approx(plain, rel=1e-7)
    assert pump_currents(jm.NaKATPase(km_atp=2.0), atp_inside=2.0)["na"] == pytest.approx(plain / 2, rel=1e-14)


def test_pump_refuses_half_a_declaration():
    with pytest.raises(ValueError, match="both v_half and v_slope"):
        jm.NaKATPase(v_half=-90.0)
    with pytest.raises(ValueError, match="needs the species that holds it"):
        jm.NaKATPase(km_atp=0.1, atp=None)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_hill(precision):
    c = np.concatenate([[-1.0, 0.0], np.logspace(-6, 3, 200)])
    for half, n in ((10.0, 1.5), (1.5, 1.0), (0.2, 4.0)):
        true = np.where(c > 0, np.maximum(c, 1e-30) ** n / (np.maximum(c, 1e-30) ** n + half**n), 0.0)
        found = hill(jnp.asarray(c, precision), half, n)
        assert found.dtype == precision
        assert relative(found, true) < (1e-13 if precision == "float64" else 2e-5)
        assert list(found[:2]) == [0.0, 0.0]
        gradients = jax.vmap(jax.grad(hill, argnums=(0, 1, 2)), in_axes=(0, None, None))(
            jnp.asarray(c, precision), half, n
        )
        assert all(np.isfinite(g).all() for g in gradients)
        assert np.all(np.asarray(gradients[0])[2:] >= 0)
