"""Electrochemistry of one membrane: elementwise functions of arrays, in any precision, with gradients that stay finite.

Voltages are in mV (inside minus outside), concentrations in mM, permeabilities in cm/s, current densities in uA/cm^2
(outward positive). With these units P*F*c needs no factor: (cm/s)(C/mol)(mM) = uA/cm^2.
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import ArrayLike

from jaxmem.units import FARADAY, GAS, ZERO_CELSIUS


def thermal_voltage(celsius: ArrayLike) -> jax.Array:
    """RT/F in mV; 25.69 mV at 25 degC.

    Parameters: ``celsius`` in degC, any shape.
    """
    return jnp.asarray(1e3 * GAS / FARADAY * (celsius + ZERO_CELSIUS))


def q10_factor(q10: ArrayLike, celsius: ArrayLike, reference: ArrayLike) -> jax.Array:
    """``q10**((celsius - reference)/10)``: how much faster a process runs at ``celsius`` than at ``reference`` (degC)."""
    return jnp.exp(jnp.log(q10) * ((celsius - reference) / 10))


@jax.custom_jvp
def log(x: jax.Array) -> jax.Array:
    """Natural logarithm, NaN for negative x.

    In float64 on a CPU XLA computes one lane at a time (2.5 ns each); this splits off the exponent and sums the atanh
    series of the mantissa, which vectorises (0.33 ns) and agrees to 1 ulp of the result.
    """
    if x.dtype != jnp.float64 or x.ndim == 0:
        return jnp.log(x)
    sqrt_half = 0x3FE6A09E667F3BCD  # bits of sqrt(1/2): the mantissa comes out in [sqrt(1/2), sqrt(2))
    bits = jax.lax.bitcast_convert_type(x, jnp.int64)
    exponent = (bits - sqrt_half) >> 52
    mantissa = jax.lax.bitcast_convert_type(bits - (exponent << 52), jnp.float64)
    s = (mantissa - 1) / (mantissa + 1)
    series = jnp.asarray(1 / 19, x.dtype)
    for k in (17, 15, 13, 11, 9, 7, 5, 3):
        series = series * s * s + 1 / k
    value = exponent.astype(x.dtype) * math.log(2) + 2 * (s + s * s * s * series)
    return jnp.where(x > 0, jnp.where(x < jnp.inf, value, jnp.inf), jnp.where(x == 0, -jnp.inf, jnp.nan))


log.defjvps(lambda tangent, answer, x: tangent / x)


def nernst(inside: ArrayLike, outside: ArrayLike, valence: ArrayLike, celsius: ArrayLike = 37.0) -> jax.Array:
    """Nernst potential in mV: ``RT/(zF) ln(outside/inside)``.

    The voltage at which an ion with these concentrations (mM) has no net force on it. W. Nernst (1889), Z Phys Chem
    4:129, doi:10.1515/zpch-1889-0112.

    >>> print(f"{nernst(140.0, 5.0, 1, 37.0):.2f}")
    -89.06
    """
    return thermal_voltage(celsius) / valence * log(jnp.asarray(outside / inside))


def exprel_inverse(x: jax.Array) -> jax.Array:
    """``x/(exp(x) - 1)``, 1 at x = 0, in value and gradient.

    Near 0 a series (error for \\|x\\| < 1/4 below 1e-16, 1e-8 in float32), elsewhere the quotient with its denominator
    kept away from 0, so that neither branch can poison the other's gradient. The exponential's argument is x itself, so
    that exponentials of the same voltage can be shared.
    """
    near, s = jnp.abs(x) < 0.25, x * x
    beyond = 0 if jnp.result_type(x) == jnp.float32 else s * (1 / 30240 - s * (1 / 1209600 - s / 47900160))
    series = 1 - 0.5 * x + s * (1 / 12 - s * (1 / 720 - beyond))
    return jnp.where(near, series, x / jnp.where(near, 1.0, jnp.exp(x) - 1))


def exprel_inverse_slope(x: jax.Array) -> jax.Array:
    """Derivative of :func:`exprel_inverse`: -1/2 at 0, B(1 - B - x)/x elsewhere (B = x/(exp(x) - 1))."""
    near, s = jnp.abs(x) < 0.25, x * x
    series = -0.5 + x * (1 / 6 - s * (1 / 180 - s * (1 / 5040 - s * (1 / 151200 - s / 4790016))))
    b = x / jnp.where(near, 1.0, jnp.exp(x) - 1)
    return jnp.where(near, series, b * (1 - b - x) / jnp.where(near, 1.0, x))


def ghk_current(
    v: ArrayLike,
    permeability: ArrayLike,
    inside: ArrayLike,
    outside: ArrayLike,
    valence: int,
    celsius: ArrayLike = 37.0,
) -> jax.Array:
    """Goldman-Hodgkin-Katz current density in uA/cm^2, outward positive, also at v = 0.

    ``I = P z F (c_in B(-x) - c_out B(x))`` with ``x = z v F/(RT)`` and ``B(x) = x/(exp(x) - 1)``, which is the usual
    ``P z^2 (v F^2/RT) (c_in - c_out exp(-x))/(1 - exp(-x))``. D. E. Goldman (1943), J Gen Physiol 27:37,
    doi:10.1085/jgp.27.1.37; A. L. Hodgkin & B. Katz (1949), J Physiol 108:37, doi:10.1113/jphysiol.1949.sp004310.
    """
    return ghk_current_and_slope(v, permeability, inside, outside, valence, thermal_voltage(celsius))[0]


def ghk_current_and_slope(
    v: ArrayLike, permeability: ArrayLike, inside: ArrayLike, outside: ArrayLike, valence: int, rt_f: ArrayLike
) -> tuple[jax.Array, jax.Array]:
    """The current of :func:`ghk_current` (uA/cm^2) and its derivative with respect to v (mS/cm^2); ``rt_f`` is RT/F in mV."""
    x = jnp.asarray(valence * v / rt_f)
    b, slope = exprel_inverse(x), exprel_inverse_slope(x)
    scale = permeability * (valence * FARADAY)
    value = scale * (inside * (b + x) - outside * b)
    return value, scale * valence / rt_f * (inside * (slope + 1) - outside * slope)


def ghk_potential(
    permeability: dict[str, ArrayLike],
    inside: dict[str, ArrayLike],
    outside: dict[str, ArrayLike],
    valence: dict[str, int],
    celsius: ArrayLike = 37.0,
) -> jax.Array:
    """Goldman-Hodgkin-Katz voltage in mV of a set of monovalent ions.

    ``RT/F ln( (sum_cations P c_out + sum_anions P c_in) / (sum_cations P c_in + sum_anions P c_out) )``; sources as for
    :func:`ghk_current`. Raises ValueError for an ion that is not monovalent.

    >>> p, i, o = {"k": 1.0, "na": 0.04}, {"k": 140.0, "na": 10.0}, {"k": 5.0, "na": 145.0}
    >>> print(f"{ghk_potential(p, i, o, {'k': 1, 'na': 1}, 37.0):.2f}")
    -68.28
    """
    top, bottom = 0.0, 0.0
    for ion, p in permeability.items():
        if abs(valence[ion]) != 1:
            raise ValueError(
                f"the GHK potential in closed form holds for monovalent ions; {ion!r} has valence {valence[ion]}"
            )
        near, far = (inside, outside) if valence[ion] > 0 else (outside, inside)
        top, bottom = top + p * far[ion], bottom + p * near[ion]
    return thermal_voltage(celsius) * log(jnp.asarray(top / bottom))
