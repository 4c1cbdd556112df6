"""The formulas under all mechanisms, against extended precision and series, with and across their singularities."""

import decimal
import doctest
import importlib
import inspect
import pkgutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
import scipy.special
from helpers import relative, steps_down

from jaxmem import electrochemistry as ec
from jaxmem.units import AVOGADRO, ELEMENTARY_CHARGE, FARADAY, GAS, VACUUM_PERMITTIVITY, ZERO_CELSIUS

PRECISIONS = ("float64", "float32")
BERNOULLI = scipy.special.bernoulli(60)  # B_1 = -1/2: x/(e^x - 1) = sum of B_n x^n/n!


def exact_exprel_inverse(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x/(e^x - 1) and its derivative: Taylor series within |x| < 1, the quotient in extended precision outside."""
    near, far = np.where(abs(x) < 1, x, 0.0), np.where(abs(x) < 1, 1.0, x).astype(np.longdouble)
    terms = [(n, b / scipy.special.factorial(n)) for n, b in enumerate(BERNOULLI) if b]
    series = sum(c * near**n for n, c in terms)
    slope_series = sum(n * c * near ** (n - 1) for n, c in terms if n)
    quotient = far / np.expm1(far)
    slope = quotient * (1 / far - 1 - 1 / np.expm1(far))
    return np.where(abs(x) < 1, series, quotient), np.where(abs(x) < 1, slope_series, slope)


def around_zero(precision: str) -> np.ndarray:
    """Points near, at and far from 0, and on both sides of |x| = 1/4 where the series ends."""
    one = np.dtype(precision).type
    tiny = np.finfo(precision).smallest_subnormal
    edge = [
        f(one(s * 0.25))
        for s in (-1, 1)
        for f in (lambda x: np.nextafter(x, one(-9)), one, lambda x: np.nextafter(x, one(9)))
    ]
    x = np.concatenate([np.logspace(-300 if precision == "float64" else -37, 0, 400), np.linspace(0, 40, 4001)])
    return np.unique(np.concatenate([-x, x, edge, [tiny, -tiny]]).astype(precision))


@pytest.mark.parametrize("precision", PRECISIONS)
def test_exprel_inverse_and_its_slope(precision):
    x = around_zero(precision)
    value, slope = exact_exprel_inverse(x.astype(np.float64))
    eps = np.finfo(precision).eps
    found = jnp.asarray(x)
    assert relative(ec.exprel_inverse(found), value) < 20 * eps  # exp(x) - 1 loses 2 bits at 1/4
    assert relative(ec.exprel_inverse_slope(found), slope) < 200 * eps  # 1 - B - x loses 3 bits at 1/4
    _, tangent = jax.jvp(ec.exprel_inverse, (found,), (jnp.ones_like(found),))
    assert relative(tangent, slope) < 200 * eps
    gradient = jax.vmap(jax.grad(ec.exprel_inverse))(found)
    assert np.isfinite(gradient).all() and relative(gradient, slope) < 200 * eps
    second = jax.vmap(jax.grad(ec.exprel_inverse_slope))(found)
    assert np.isfinite(second).all()
    assert relative(second[abs(x) < 1e-3], 1 / 6) < 1e-6


def test_exprel_inverse_at_zero():
    assert float(ec.exprel_inverse(jnp.asarray(0.0))) == 1.0
    assert float(ec.exprel_inverse_slope(jnp.asarray(0.0))) == -0.5
    assert float(jax.grad(ec.exprel_inverse)(0.0)) == -0.5


@pytest.mark.parametrize("precision", PRECISIONS)
def test_log(precision):
    high = 300 if precision == "float64" else 37
    x = np.concatenate([np.logspace(-high, high, 5001), np.linspace(0.5, 2.0, 3001), [1.0, np.sqrt(0.5), 2.0]]).astype(
        precision
    )
    assert relative(ec.log(jnp.asarray(x)), np.log(x)) < 2 * np.finfo(precision).eps
    found = ec.log(jnp.asarray([1.0, 0.0, -1.0, np.inf, np.nan], precision))
    np.testing.assert_array_equal(found, np.array([0.0, -np.inf, np.nan, np.inf, np.nan], precision))
    assert ec.log(jnp.asarray(x)).dtype == precision
    assert relative(jax.vmap(jax.grad(ec.log))(jnp.asarray(x)), 1 / x) < 2 * np.finfo(precision).eps
    square = jnp.asarray(x[:100].reshape(10, 10))
    np.testing.assert_array_equal(ec.log(square).ravel(), ec.log(square.ravel()))
    assert float(ec.log(jnp.asarray(np.e, precision))) == pytest.approx(1.0, rel=1e-6)  # a scalar goes another way


def test_nernst_and_thermal_voltage():
    rt_f = 1e3 * GAS * (37 + ZERO_CELSIUS) / FARADAY
    assert float(ec.thermal_voltage(37.0)) == pytest.approx(rt_f, rel=1e-15)
    assert float(ec.nernst(140.0, 5.0, 1, 37.0)) == pytest.approx(rt_f * np.log(5 / 140), rel=1e-14)
    assert float(ec.nernst(8.0, 120.0, -1)) == pytest.approx(-rt_f * np.log(15), rel=1e-14)
    assert float(ec.nernst(1e-4, 1.2, 2)) == pytest.approx(rt_f / 2 * np.log(12000), rel=1e-14)
    assert ec.nernst(np.array([10.0, 20.0]), 145.0, 1).shape == (2,)


# ---------------------------------------------------------------------- constant-field currents
GHK = [(1, 140.0, 5.0), (1, 10.0, 145.0), (-1, 8.0, 120.0), (2, 1e-4, 2.0), (-2, 3.0, 40.0)]  # valence, inside, outside


def exact_ghk(v: np.ndarray, p: float, inside: float, outside: float, valence: int, rt_f: float) -> np.ndarray:
    """As printed: P z^2 (v F^2/RT) (c_in - c_out e^-x)/(1 - e^-x), in extended precision; its limit at 0."""
    x = valence * v.astype(np.longdouble) / rt_f
    some = np.where(x == 0, 1, x)
    ratio = np.where(x == 0, inside - outside, some * (inside - outside * np.exp(-some)) / -np.expm1(-some))
    return p * valence * FARADAY * ratio


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(("valence", "inside", "outside"), GHK)
def test_ghk_current_and_slope_across_zero(valence, inside, outside, precision):
    rt_f = float(ec.thermal_voltage(37.0))
    near = [s * x for x in (1e-12, 1e-9, 1e-6, 1e-3, 0.1, 3.3, 3.35, 6.68, 6.69) for s in (-1, 1)]
    v = np.unique(np.concatenate([np.linspace(-150, 100, 2001), [0.0], near]).astype(precision))
    x = v.astype(np.float64)
    true = exact_ghk(x, 1e-6, inside, outside, valence, rt_f)
    h = 1e-3
    slope = (
        exact_ghk(x + h, 1e-6, inside, outside, valence, rt_f) - exact_ghk(x - h, 1e-6, inside, outside, valence, rt_f)
    ) / (2 * h)
    found, told = ec.ghk_current_and_slope(jnp.asarray(v), 1e-6, inside, outside, valence, rt_f)
    assert found.dtype == told.dtype == precision
    small = 1e-6 * FARADAY * max(inside, outside)  # uA/cm^2: what permeation from one side alone carries
    eps = np.finfo(precision).eps
    assert relative(found, true, floor=small) < 20 * eps
    assert relative(told, slope, floor=small / rt_f) < max(40 * eps, 1e-9)  # the difference quotient's own error
    assert np.all(told >= 0)


@pytest.mark.parametrize(("valence", "inside", "outside"), GHK)
def test_ghk_current_vanishes_at_the_nernst_potential(valence, inside, outside):
    e = ec.nernst(inside, outside, valence, 20.0)
    current = ec.ghk_current(e, 1e-6, inside, outside, valence, 20.0)
    assert abs(float(current)) < 1e-14 * 1e-6 * FARADAY * max(inside, outside)
    below, above = (float(ec.ghk_current(e + d, 1e-6, inside, outside, valence, 20.0)) for d in (-1.0, 1.0))
    assert below < 0 < above  # outward above, whatever the sign of the ion


def test_ghk_potential():
    p, inside, outside = (
        {"k": 1.0, "na": 0.04, "cl": 0.45},
        {"k": 400.0, "na": 50.0, "cl": 52.0},
        {"k": 20.0, "na": 440.0, "cl": 560.0},
    )
    valence = {"k": 1, "na": 1, "cl": -1}
    v = ec.ghk_potential(p, inside, outside, valence, 20.0)  # Hodgkin and Katz 1949
    assert float(v) == pytest.approx(-59.5, abs=0.5)
    net = sum(float(ec.ghk_current(v, 1e-6 * p[i], inside[i], outside[i], valence[i], 20.0)) for i in p)
    assert abs(net) < 1e-12
    with pytest.raises(ValueError, match="'la' has valence 3"):
        ec.ghk_potential({"la": 1.0}, {"la": 1e-4}, {"la": 2.0}, {"la": 3})
    with pytest.raises(ValueError, match="outside says nothing of 'k'"):
        ec.ghk_potential({"na": 1.0, "k": 1.0}, {"na": 1.0, "k": 1.0}, {"na": 1.0}, {"na": 1, "k": 1})


@pytest.mark.parametrize("precision", PRECISIONS)
def test_ghk_potential_with_divalent_ions_is_where_the_currents_cancel(precision):
    rng, valence = np.random.default_rng(1), {"na": 1, "k": 1, "cl": -1, "ca": 2, "so4": -2}
    draw = lambda low, high: {ion: (10 ** rng.uniform(low, high, 300)).astype(precision) for ion in valence}
    p, inside, outside = draw(-8, -4), draw(-4, 2.5), draw(-4, 2.5)
    v = ec.ghk_potential(p, inside, outside, valence, 20.0)
    assert v.dtype == precision
    wide = np.asarray(v, np.float64)
    currents = [exact_ghk(wide, p[i].astype(float), inside[i].astype(float), outside[i].astype(float), z,
                          1e3 * GAS * 293.15 / FARADAY) for i, z in valence.items()]  # fmt: skip
    slopes = [ec.ghk_current_and_slope(wide, p[i].astype(float), inside[i], outside[i], z, 1e3 * GAS * 293.15 / FARADAY)[1]
              for i, z in valence.items()]  # fmt: skip
    assert np.max(abs(sum(currents)) / np.asarray(sum(slopes))) < 1e3 * np.finfo(precision).eps  # mV
    assert wide.min() < -60 and wide.max() > 60


def test_ghk_potential_knows_a_lone_ion_and_one_that_cannot_pass():
    one = lambda ion, z, p=1.0: ({ion: p}, {ion: 0.01}, {ion: 2.0}, {ion: z})
    for z in (-2, -1, 1, 2):
        assert float(ec.ghk_potential(*one("x", z))) == pytest.approx(float(ec.nernst(0.01, 2.0, z)), rel=1e-13)
    p, i, o = {"k": 1.0, "na": 0.04}, {"k": 140.0, "na": 10.0}, {"k": 5.0, "na": 145.0}
    z = {"k": 1, "na": 1, "ca": 2}
    with_ca = lambda p_ca: ec.ghk_potential(p | {"ca": p_ca}, i | {"ca": 1e-4}, o | {"ca": 1.2}, z)
    assert float(with_ca(0.0)) == pytest.approx(float(ec.ghk_potential(p, i, o, z)), rel=1e-13)
    # From zero on, calcium depolarises by 4 P_Ca c/(sum) kT/q: the derivative of the sum of currents, by hand.
    y = np.exp(-float(with_ca(0.0)) / float(ec.thermal_voltage(37.0)))
    slope = 4 * (1.2 * y * y - 1e-4) / ((1 + y) * (5.0 + 0.04 * 145.0) * y) * float(ec.thermal_voltage(37.0))
    assert float(jax.grad(with_ca)(0.0)) == pytest.approx(slope, rel=1e-12)
    # Equal sums on both sides: the root changes its form there, the potential and its gradient do not notice.
    level = lambda c: ec.ghk_potential({"k": 1.0, "ca": 0.1}, {"k": 10.0, "ca": 1.0}, {"k": c, "ca": 1.0}, z)
    assert float(level(10.0)) == pytest.approx(0.0, abs=1e-13)
    assert float(jax.grad(level)(10.0)) == pytest.approx(float(steps_down(level, 10.0, 1e-3)), rel=1e-9)


# ------------------------------------------------------- every function against decimals, and its gradients
D = decimal.Decimal
CONTEXT = decimal.Context(prec=60)
Q, N, F, R, EPS_0 = (D(repr(x)) for x in (ELEMENTARY_CHARGE, AVOGADRO, FARADAY, GAS, VACUUM_PERMITTIVITY))


def rt_f(t):
    return 1000 * R * (t + D("273.15")) / F


def rt(t):
    return R * (t + D("273.15")) / 1000


def ghk(v, p, i, o, z, t):
    u = z * v / rt_f(t)
    return p * z * F * u * (i - o * (-u).exp()) / (1 - (-u).exp())


def slope(function, x, k, h="1e-20"):
    """Derivative by the kth argument."""
    h = D(h)
    at = lambda s: function(*x[:k], x[k] + s * h, *x[k + 1 :])
    return (at(1) - at(-1)) / (2 * h)


def chord(v, p, i, o, z, t):
    return ghk(v, p, i, o, z, t) / (v - rt_f(t) / z * (o / i).ln())


def at_rest(p, i, o, z, t):
    """Conductance at the Nernst potential."""
    return p * z * z * F / rt_f(t) * i * o * (o / i).ln() / (o - i)


def donnan_voltage(x, z, salt, t):
    a = z * x / (2 * salt)
    return rt_f(t) * (a + (a * a + 1).sqrt()).ln()


def cycle(v, na_i, k_i, na_o, k_o, t):
    return 3 * (rt(t) * (na_o / na_i).ln() - F * v / 1000000) - 2 * (rt(t) * (k_o / k_i).ln() - F * v / 1000000)


def debye(strength, t, eps):
    return (EPS_0 * eps * R * (t + D("273.15")) / (2 * F * F * strength)).sqrt() * 1000000000


PI = D("3.14159265358979323846264338327950288419716939937510582")
# name: function, the same in decimals, points. Of a removable singularity the decimals take the limit, 1e-25 beside it.
TABLE = {
    "thermal_voltage": (ec.thermal_voltage, rt_f, [(6.3,), (37.0,)]),
    "thermal_energy": (ec.thermal_energy, rt, [(6.3,), (37.0,)]),
    "electric_energy": (ec.electric_energy, lambda v, z: F * v * z / 1000000, [(-70.0, 2.0), (0.0, 1.0)]),
    "boltzmann_factor": (ec.boltzmann_factor, lambda e, t: (-e / rt(t)).exp(), [(5.0, 25.0), (0.0, 37.0), (-8.0, 37.0)]),
    "boltzmann_ratio": (ec.boltzmann_ratio, lambda v, z, t: (-z * v / rt_f(t)).exp(),
                        [(-70.0, 1.0, 37.0), (0.0, 1.0, 20.0), (58.0, -2.0, 37.0)]),
    "q10_factor": (ec.q10_factor, lambda q, t, r: (q.ln() * (t - r) / 10).exp(), [(3.0, 37.0, 6.3), (3.0, 20.0, 20.0)]),
    "nernst": (ec.nernst, lambda i, o, z, t: rt_f(t) / z * (o / i).ln(),
               [(140.0, 5.0, 1.0, 37.0), (1e-4, 1.2, 2.0, 37.0), (6.0, 118.0, -1.0, 20.0), (20.0, 20.0, 1.0, 37.0)]),
    "driving_force": (ec.driving_force, lambda v, i, o, z, t: v - rt_f(t) / z * (o / i).ln(),
                      [(-70.0, 140.0, 5.0, 1.0, 37.0), (-70.0, 5.0, 5.0, -1.0, 37.0)]),
    "electrochemical_potential": (
        ec.electrochemical_potential, lambda c, v, z, t: rt(t) * (c / 1000).ln() + z * F * v / 1000000,
        [(140.0, -70.0, 1.0, 37.0), (1000.0, 0.0, 2.0, 25.0)]),
    "ghk_current": (ec.ghk_current, ghk,
                    [(-70.0, 1e-6, 140.0, 5.0, 1.0, 37.0), (0.0, 1e-6, 140.0, 5.0, 1.0, 37.0), (0.0, 2e-6, 1.0, 1.0, -1.0, 20.0),
                     (30.0, 1e-7, 1e-4, 2.0, 2.0, 37.0), (-70.0, 0.0, 140.0, 5.0, 1.0, 37.0)]),
    "ghk_slope_conductance": (ec.ghk_slope_conductance, lambda *x: slope(ghk, x, 0),
                              [(-70.0, 1e-6, 140.0, 5.0, 1.0, 37.0), (0.0, 1e-6, 140.0, 5.0, 2.0, 37.0)]),
    "ghk_chord_conductance": (
        ec.ghk_chord_conductance, chord,
        [(-70.0, 1e-6, 140.0, 5.0, 1.0, 37.0), (0.0, 1e-6, 20.0, 20.0, 1.0, 37.0), (0.0, 1e-6, 140.0, 5.0, -1.0, 20.0),
         (40.0, 0.0, 1e-4, 1.0, 2.0, 37.0)]),
    "conductance_from_permeability": (ec.conductance_from_permeability, at_rest,
                                      [(1e-6, 140.0, 5.0, 1.0, 37.0), (1e-6, 20.0, 20.0, 2.0, 37.0)]),
    "permeability_from_conductance": (
        ec.permeability_from_conductance, lambda g, *x: g / at_rest(D(1), *x),
        [(0.05, 140.0, 5.0, 1.0, 37.0), (0.0, 20.0, 20.0, 1.0, 20.0)]),
    "permeability_ratio": (
        ec.permeability_ratio,
        lambda e, i, o, ri, ro, t: -(ri - ro * (-e / rt_f(t)).exp()) / (i - o * (-e / rt_f(t)).exp()),
        [(-60.0, 10.0, 145.0, 140.0, 5.0, 37.0), (0.0, 10.0, 145.0, 140.0, 5.0, 20.0)]),
    "chord_potential": (
        lambda g, h, e, f, i: ec.chord_potential({"k": g, "na": h}, {"k": e, "na": f}, i),
        lambda g, h, e, f, i: (g * e + h * f - i) / (g + h),
        [(0.05, 0.01, -89.0, 71.0, 0.12), (0.05, 0.0, -89.0, 71.0, 0.0)]),
    "electrogenic_shift": (ec.electrogenic_shift, lambda i, g: -i / g, [(0.12, 0.06), (0.0, 0.06)]),
    "mullins_noda": (
        lambda p, ki, ko, ni, no, r, t: ec.mullins_noda({"k": 1.0, "na": p}, {"k": ki, "na": ni}, {"k": ko, "na": no}, r, t),
        lambda p, ki, ko, ni, no, r, t: rt_f(t) * ((r * ko + p * no) / (r * ki + p * ni)).ln(),
        [(0.04, 140.0, 5.0, 10.0, 145.0, 1.5, 37.0), (0.0, 140.0, 5.0, 10.0, 145.0, 1.5, 6.3),
         (1.0, 9.0, 9.0, 8.0, 8.0, 1.0, 37.0)]),
    "ghk_potential": (
        lambda p, ki, ko, ci, co, t: ec.ghk_potential({"k": 1.0, "cl": p}, {"k": ki, "cl": ci}, {"k": ko, "cl": co},
                                                      {"k": 1, "cl": -1}, t),
        lambda p, ki, ko, ci, co, t: rt_f(t) * ((ko + p * ci) / (ki + p * co)).ln(),
        [(0.5, 140.0, 5.0, 6.0, 118.0, 37.0), (0.0, 140.0, 5.0, 6.0, 118.0, 37.0)]),
    "atp_free_energy": (ec.atp_free_energy, lambda a, d, p, t, s: s + rt(t) * (d * p / a / 1000).ln(),
                        [(5.0, 0.5, 1.0, 37.0, -30.5)]),
    "pump_cycle_work": (
        lambda v, a, b, c, d, t: ec.pump_cycle_work(v, {"na": a, "k": b}, {"na": c, "k": d}, celsius=t), cycle,
        [(-70.0, 10.0, 140.0, 145.0, 5.0, 37.0), (0.0, 10.0, 10.0, 10.0, 10.0, 20.0)]),
    "pump_reversal_potential": (
        lambda g, a, b, c, d, t: ec.pump_reversal_potential(g, {"na": a, "k": b}, {"na": c, "k": d}, celsius=t),
        lambda g, a, b, c, d, t: (cycle(D(0), a, b, c, d, t) + g) * 1000000 / F, [(-54.0, 10.0, 140.0, 145.0, 5.0, 37.0)]),
    "single_pump_current": (ec.single_pump_current, lambda t, q: D("1e18") * Q * t * q, [(50.0, 1.0), (0.0, 1.0)]),
    "pump_density": (ec.pump_density, lambda i, t: i / 1000000 / D("1e8") / Q / t, [(0.5, 50.0)]),
    "atp_per_second": (
        ec.atp_per_second,  # pump's cycles from g_Na (E_Na - v) = 3 q J, g_K (v - E_K) = 2 q J, g_Na + g_K = 1/R
        lambda r, v, a, b, n, k: 1 / (r * 1000000) / (n * Q / ((a - v) / 1000) + k * Q / ((v - b) / 1000)),
        [(200.0, -70.0, 50.0, -100.0, 3.0, 2.0)]),
    "donnan voltage": (lambda *x: ec.donnan(*x).v, donnan_voltage,
                       [(100.0, -1.5, 150.0, 37.0), (0.0, -1.5, 150.0, 37.0), (100.0, 0.0, 150.0, 37.0), (900.0, 3.0, 1.0, 20.0)]),
    "donnan cation": (lambda *x: ec.donnan(*x).cation, lambda x, z, s, t: ((z * x) ** 2 / 4 + s * s).sqrt() - z * x / 2,
                      [(100.0, -1.5, 150.0, 37.0), (0.0, -1.5, 150.0, 37.0), (900.0, 3.0, 1.0, 20.0)]),
    "donnan anion": (lambda *x: ec.donnan(*x).anion, lambda x, z, s, t: ((z * x) ** 2 / 4 + s * s).sqrt() + z * x / 2,
                     [(100.0, -1.5, 150.0, 37.0), (0.0, -1.5, 150.0, 37.0), (900.0, -3.0, 1.0, 20.0)]),
    "osmolarity": (lambda a, b, c: ec.osmolarity({"na": a, "cl": b}, c), lambda a, b, c: (a + b) * c, [(145.0, 130.0, 0.93)]),
    "osmotic_pressure": (ec.osmotic_pressure, lambda d, t: d * rt(t), [(1.0, 37.0), (0.0, 20.0)]),
    "ionic_strength": (lambda a, b: ec.ionic_strength({"k": a, "ca": b}, {"k": 1, "ca": 2}), lambda a, b: a / 2 + 2 * b,
                       [(150.0, 1.2)]),
    "debye_length": (ec.debye_length, debye, [(150.0, 25.0, 78.3), (1.0, 37.0, 74.2)]),
    "membrane_capacitance": (ec.membrane_capacitance, lambda e, d: EPS_0 * e / (d / 10**9) * 100, [(2.0, 1.77), (3.0, 3.3)]),
    "dielectric_thickness": (ec.dielectric_thickness, lambda c, e: EPS_0 * e / (c / 100) * 10**9, [(1.0, 2.0)]),
    "electric_field": (ec.electric_field, lambda v, d: v / 1000 / (d / 10**9), [(-70.0, 4.0), (0.0, 4.0)]),
    "excess_charges": (ec.excess_charges, lambda v, c, a: v / 1000 * c / 10**6 * a / 10**8 / Q, [(-70.0, 1.0, 1256.6)]),
    "membrane_area": (ec.membrane_area, lambda t, r, c: (t / 1000) / (r * 10**6) / (c / 100) * 10**12, [(21.2, 159.5, 0.9)]),
    "ions_in": (ec.ions_in, lambda volume, c: volume / 10**15 * c / 1000 * N, [(4188.8, 150.0)]),
    "excess_fraction": (
        ec.excess_fraction, lambda v, c, a, w, m: (v / 1000 * c / 10**6 * a / 10**8 / Q) / (w / 10**15 * m / 1000 * N),
        [(-70.0, 1.0, 1256.6, 4188.8, 150.0), (0.0, 1.0, 1.0, 1.0, 1.0)]),
    "site_energy": (ec.site_energy, lambda r, s, q, z: N * Q * Q * q * z / (4 * PI * EPS_0 * (r + s) / 10**9) / 1000,
                    [(0.133, 0.14, -1.0, 1.0)]),
}  # fmt: skip
ROWS = [pytest.param(*row, id=name) for name, row in TABLE.items()]


def in_decimals(function, point):
    """Value and gradient; a singular point is approached along every argument at once."""
    with decimal.localcontext(CONTEXT):
        exact = [D(repr(float(x))) for x in point]
        try:
            return function(*exact), [slope(function, exact, k) for k in range(len(exact))]
        except (ZeroDivisionError, decimal.InvalidOperation):
            beside = [x + D("1e-25") * (k + 1) for k, x in enumerate(exact)]
            with decimal.localcontext(decimal.Context(prec=150)):
                return function(*beside), [slope(function, beside, k, "1e-28") for k in range(len(beside))]


@pytest.mark.parametrize(("function", "oracle", "points"), ROWS)
def test_a_function_and_its_gradient_against_decimals(function, oracle, points):
    for point in points:
        value, gradient = in_decimals(oracle, point)
        args = [jnp.asarray(x) for x in point]
        found, slopes = jax.value_and_grad(function, argnums=tuple(range(len(args))))(*args)
        # What is a small difference of large terms is exact to those terms: 1e-13 of |x dy/dx|.
        scale = max([abs(float(value)), *(abs(float(s) * x) for s, x in zip(gradient, point, strict=True))])
        assert found.dtype == jnp.float64
        assert float(found) == pytest.approx(float(value), rel=1e-13, abs=1e-13 * scale + 1e-24), point
        for s, told, x in zip(gradient, slopes, point, strict=True):
            assert float(told) == pytest.approx(float(s), rel=1e-11, abs=1e-12 * scale / max(abs(x), 1e-3) + 1e-24), (
                point
            )


@pytest.mark.parametrize(("function", "oracle", "points"), ROWS)
def test_a_function_keeps_float32_and_its_accuracy_and_broadcasts(function, oracle, points):
    points = (points * 5)[:5]  # of one shape for all, so that operations are compiled once
    values = [in_decimals(oracle, point) for point in points]
    columns = [jnp.asarray(x, jnp.float32) for x in zip(*points, strict=True)]
    found = function(*columns)
    assert found.dtype == jnp.float32 and found.shape == (5,)
    for x, (value, gradient), point in zip(found, values, points, strict=True):
        scale = max([abs(float(value)), *(abs(float(s) * p) for s, p in zip(gradient, point, strict=True))])
        assert float(x) == pytest.approx(float(value), abs=1e-6 * scale + 1e-24)
    slopes = jax.grad(lambda x: function(*x).sum())(columns)
    assert all(s.dtype == jnp.float32 and np.isfinite(s).all() for s in slopes)
    if len(columns) > 1:
        grid = jnp.broadcast_to(function(columns[0][:, None], *columns[1:]), (5, 5))
        np.testing.assert_allclose(jnp.diagonal(grid), found, rtol=1e-6)


# ----------------------------------------------------------------------------- what texts and papers say
def test_nernst_with_the_constants_of_a_text():
    """k = 1.4e-23 J/K, q = 1.6e-19 C, 298 K: 69.7 and -86.9 mV; with CODATA's 68.7 and -85.6."""
    rounded = {"celsius": 298 - 273.15, "boltzmann": 1.4e-23, "charge": 1.6e-19}
    with decimal.localcontext(CONTEXT):
        kt = 1000 * D("1.4e-23") * 298 / D("1.6e-19")
        exact = [float(kt * (D(145) / 10).ln()), float(kt * (D(5) / 140).ln())]
    assert exact == pytest.approx([69.7284, -86.8872], abs=1e-4)
    found = [float(ec.nernst(10.0, 145.0, 1, **rounded)), float(ec.nernst(140.0, 5.0, 1, **rounded))]
    assert found == pytest.approx(exact, rel=1e-14)
    assert float(ec.nernst(10.0, 145.0, 1, 298 - 273.15)) / exact[0] == pytest.approx(0.98484, abs=1e-5)
    with pytest.raises(ValueError, match="valence 0"):
        ec.nernst(1.0, 2.0, 0)


def test_electrochemical_potentials_differ_by_the_driving_force():
    difference = ec.electrochemical_potential(1e-4, -70.0, 2) - ec.electrochemical_potential(1.2, 0.0, 2)
    assert float(difference) == pytest.approx(float(ec.electric_energy(ec.driving_force(-70.0, 1e-4, 1.2, 2), 2)))
    assert float(ec.boltzmann_ratio(ec.nernst(3.0, 7.0, -2), -2)) == pytest.approx(3 / 7)


@pytest.mark.parametrize("ratio", [1.0, 1.5, 2.0, 10.0])
def test_mullins_noda_is_where_a_pump_of_that_ratio_balances_the_leaks(ratio):
    p, inside, outside = {"k": 1e-6, "na": 4e-8}, {"k": 140.0, "na": 10.0}, {"k": 5.0, "na": 145.0}
    v = ec.mullins_noda(p, inside, outside, ratio)
    i_na, i_k = (float(ec.ghk_current(v, p[ion], inside[ion], outside[ion], 1)) for ion in ("na", "k"))
    assert i_na == pytest.approx(-ratio * i_k, rel=1e-12) and i_na < 0
    if ratio == 1:
        assert float(v) == pytest.approx(float(ec.ghk_potential(p, inside, outside, {"na": 1, "k": 1})), rel=1e-14)
    assert float(ec.mullins_noda(p, inside, outside, 1e12)) == pytest.approx(float(ec.nernst(140.0, 5.0, 1)), rel=1e-9)
    with pytest.raises(ValueError, match="permeability says nothing of 'na'"):
        ec.mullins_noda({"k": 1.0}, inside, outside)


def test_a_neuron_at_rest_of_attwell_and_laughlin():
    """3.42e8 ATP/s by ohmic leaks; by GHK leaks P_Na/P_K 0.0746, 130 pA of Na+ and 2.7e8, a fifth less.

    Attwell & Laughlin 2001; the GHK numbers are the first author's, in a comment of 2017 on the paper (PMID 11598490).
    """
    assert float(ec.atp_per_second(200.0, -70.0, 50.0, -100.0)) == pytest.approx(3.42e8, rel=0.01)
    rt_f = float(ec.thermal_voltage(37.0))
    inside = {"na": 140 * np.exp(-50 / rt_f), "k": 140.0}
    outside = {"na": 140.0, "k": 140 * np.exp(-100 / rt_f)}
    rest = lambda p: float(ec.mullins_noda({"k": 1.0, "na": p}, inside, outside))
    p_na = scipy.optimize.brentq(lambda p: rest(p) + 70.0, 1e-3, 1.0)
    assert p_na == pytest.approx(0.0746, abs=1e-4)
    current = lambda v, ion, p: float(ec.ghk_current(v, p, inside[ion], outside[ion], 1))
    step = sum(current(-70.0, ion, p) - current(-80.0, ion, p) for ion, p in (("k", 1.0), ("na", p_na)))
    p_k = 10.0 / 200.0 * 1e3 / step  # 10 mV over 200 MOhm is 50 pA
    influx = -p_k * current(-70.0, "na", p_na)
    assert influx == pytest.approx(130, abs=1)  # pA
    assert influx * 1e-12 / 3 / ELEMENTARY_CHARGE == pytest.approx(2.7e8, rel=0.01)


def test_the_pump_stands_still_where_its_work_takes_all_the_energy():
    inside, outside = {"na": 10.0, "k": 140.0}, {"na": 145.0, "k": 5.0}
    g = ec.atp_free_energy(5.0, 0.5, 1.0)
    v = ec.pump_reversal_potential(g, inside, outside)
    assert float(ec.pump_cycle_work(v, inside, outside) + g) == pytest.approx(0.0, abs=1e-12)
    assert -250 < float(v) < -140  # far below any resting potential: De Weer, Gadsby and Rakowski 1988
    with pytest.raises(ValueError, match="no net charge"):
        ec.pump_reversal_potential(g, inside, outside, {"na": 2, "k": -2})
    calcium = {"ca": 1e-4}, {"ca": 1.2}, {"ca": 1}, {"ca": 2}
    assert float(ec.pump_cycle_work(-70.0, *calcium)) == pytest.approx(
        -float(ec.electric_energy(ec.driving_force(-70.0, 1e-4, 1.2, 2), 2))
    )
    with pytest.raises(ValueError, match="valence says nothing of 'ca'"):
        ec.pump_cycle_work(-70.0, *calcium[:3])


def test_pumps_of_a_density_carry_the_current_of_their_membrane():
    """i_max counts cycles, one net charge each: so many attoamperes per um^2 are so many uA/cm^2."""
    per_um2 = float(ec.pump_density(0.5, 50.0) * ec.single_pump_current(50.0))  # aA/um^2
    assert per_um2 * 1e-18 * 1e8 * 1e6 == pytest.approx(0.5)
    assert 8 <= float(ec.single_pump_current(50.0)) < float(ec.single_pump_current(200.0)) < 33


def test_donnan_equilibrium_is_neutral_and_of_one_potential():
    x, z = np.meshgrid(np.logspace(-6, 3, 10), [-20.0, -1.5, 0.0, 2.0])
    d = ec.donnan(x, z, 150.0)
    np.testing.assert_allclose(d.cation - d.anion + z * x, 0.0, atol=1e-10)
    np.testing.assert_allclose(d.cation * d.anion, 150.0**2, rtol=1e-13)
    np.testing.assert_allclose(ec.nernst(d.cation, 150.0, 1), d.v, atol=1e-12)
    np.testing.assert_allclose(ec.nernst(d.anion, 150.0, -1), d.v, atol=1e-12)
    assert np.all(ec.osmolarity({"cation": d.cation, "anion": d.anion, "x": x}) > 300.0 - 1e-9)  # water always enters


def test_capacitor_debye_length_and_pressure():
    assert float(ec.membrane_capacitance(3.0, 3.3)) == pytest.approx(0.81, abs=0.01)  # Fricke 1925
    assert float(ec.dielectric_thickness(1.0, 2.0)) == pytest.approx(1.77, abs=0.005)  # not the 4 to 5 nm of a bilayer
    strength = np.array([1.0, 10.0, 150.0, 1000.0])
    # 0.304 nm/sqrt(I in M) at 25 degC: Israelachvili, Intermolecular and Surface Forces, chapter 14 (from memory)
    np.testing.assert_allclose(ec.debye_length(strength, 25.0), 0.304 / np.sqrt(strength / 1e3), rtol=2e-3)
    assert float(ec.water_permittivity(20.0)) == pytest.approx(80.10, abs=0.02)  # Malmberg and Maryott: 80.103
    assert float(ec.osmotic_pressure(300.0)) == pytest.approx(774, abs=1)  # kPa, 7.6 atmospheres
    r = np.array([1.0, 10.0, 250.0])
    part = ec.excess_fraction(-70.0, 1.0, 4 * np.pi * r**2, 4 / 3 * np.pi * r**3, 150.0)
    np.testing.assert_allclose(part * r, part[0], rtol=1e-12)


def test_selectivity_runs_through_the_eleven_sequences_of_eisenman():
    """From the strong field of a small site (XI) to the weak field of a large one (I): no other of the 120 orders."""
    found = []
    for radius in np.linspace(0.12, 0.2, 801):
        order = ec.selectivity_sequence(radius)
        if not found or order != found[-1]:
            found.append(order)
    expected = """li na k rb cs, na li k rb cs, na k li rb cs, na k rb li cs, na k rb cs li, k na rb cs li,
                  k rb na cs li, k rb cs na li, rb k cs na li, rb cs k na li, cs rb k na li"""
    assert found == [tuple(order.split()) for order in expected.split(",")]
    best = [ec.selectivity_energy(*ec.ALKALI_IONS[ion], 0.18) for ion in ("na", "k")]
    assert float(ec.selectivity_ratio(*best, 25.0)) == pytest.approx(
        np.exp(-(best[0] - best[1]) / (1e-3 * GAS * 298.15))
    )


# ------------------------------------------------------------------------------------------- documentation
MODULES = [module.name for module in pkgutil.iter_modules(ec.__path__, "jaxmem.electrochemistry.")]


@pytest.mark.parametrize("name", MODULES)
def test_doctests(name):
    results = doctest.testmod(importlib.import_module(name))
    assert results.failed == 0
    if name.split(".")[-1] not in ("elementary", "ion_sets"):
        assert results.attempted > 0


def test_every_public_function_shows_a_number_and_stands_in_the_table():
    functions = {name: x for name, x in vars(ec).items() if not name.startswith("_") and inspect.isfunction(x)}
    small = {"log", "exprel_inverse", "exprel_inverse_slope"}  # tested above
    shown = {name for name, f in functions.items() if ">>>" in (f.__doc__ or "")}
    assert set(functions) - shown - small == {"ghk_current_and_slope"}
    tested = {name.split()[0] for name in TABLE}
    assert set(functions) - tested - small == {
        "ghk_current_and_slope", "reversal_potential", "water_permittivity", "selectivity_energy", "selectivity_ratio",
        "selectivity_sequence",
    }  # fmt: skip
