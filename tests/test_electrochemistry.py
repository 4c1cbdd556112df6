"""The formulas under all mechanisms, against extended precision and series, with and across their singularities."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from helpers import relative

from jaxmem import electrochemistry as ec
from jaxmem.units import FARADAY, GAS, ZERO_CELSIUS

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
    with pytest.raises(ValueError, match="'ca' has valence 2"):
        ec.ghk_potential({"ca": 1.0}, {"ca": 1e-4}, {"ca": 2.0}, {"ca": 2})
