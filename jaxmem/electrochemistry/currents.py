"""Constant-field permeation: currents and conductances of one ion, and permeability against conductance."""

import jax
import jax.numpy as jnp
from jaxtyping import ArrayLike

from jaxmem.electrochemistry.elementary import exprel_inverse, exprel_inverse_slope, log
from jaxmem.electrochemistry.thermal import thermal_voltage
from jaxmem.units import FARADAY


def ghk_current(
    v: ArrayLike,
    permeability: ArrayLike,
    inside: ArrayLike,
    outside: ArrayLike,
    valence: ArrayLike,
    celsius: ArrayLike = 37.0,
) -> jax.Array:
    """Goldman-Hodgkin-Katz current density in uA/cm^2, outward positive, also at v = 0.

    ``I = P z F (c_in B(-x) - c_out B(x))`` with ``x = z v F/(RT)`` and ``B(x) = x/(exp(x) - 1)``, which is the usual
    ``P z^2 (v F^2/RT) (c_in - c_out exp(-x))/(1 - exp(-x))``; v in mV, P in cm/s, concentrations in mM. D. E. Goldman
    (1943), J Gen Physiol 27:37, doi:10.1085/jgp.27.1.37; A. L. Hodgkin & B. Katz (1949), J Physiol 108:37,
    doi:10.1113/jphysiol.1949.sp004310.

    >>> print(f"{ghk_current(-70.0, 1e-6, 140.0, 5.0, 1):.3f}, {ghk_current(0.0, 1e-6, 140.0, 5.0, 1):.3f}")
    1.418, 13.026
    """
    return ghk_current_and_slope(v, permeability, inside, outside, valence, thermal_voltage(celsius))[0]


def ghk_current_and_slope(
    v: ArrayLike, permeability: ArrayLike, inside: ArrayLike, outside: ArrayLike, valence: ArrayLike, rt_f: ArrayLike
) -> tuple[jax.Array, jax.Array]:
    """The current of :func:`ghk_current` (uA/cm^2) and its derivative with respect to v (mS/cm^2); ``rt_f`` is RT/F in mV."""
    x = jnp.asarray(valence * v / rt_f)
    b, slope = exprel_inverse(x), exprel_inverse_slope(x)
    scale = permeability * (valence * FARADAY)
    value = scale * (inside * (b + x) - outside * b)
    return value, scale * valence / rt_f * (inside * (slope + 1) - outside * slope)


def ghk_slope_conductance(
    v: ArrayLike,
    permeability: ArrayLike,
    inside: ArrayLike,
    outside: ArrayLike,
    valence: ArrayLike,
    celsius: ArrayLike = 37.0,
) -> jax.Array:
    """Slope conductance dI/dv of :func:`ghk_current` in mS/cm^2: what a small step of voltage meets.

    >>> print(f"{ghk_slope_conductance(-70.0, 1e-6, 140.0, 5.0, 1):.4f}")
    0.0880
    """
    return ghk_current_and_slope(v, permeability, inside, outside, valence, thermal_voltage(celsius))[1]


def ghk_chord_conductance(
    v: ArrayLike,
    permeability: ArrayLike,
    inside: ArrayLike,
    outside: ArrayLike,
    valence: ArrayLike,
    celsius: ArrayLike = 37.0,
) -> jax.Array:
    """Chord conductance I/(v - E) of :func:`ghk_current` in mS/cm^2, also at v = E, where it is the slope conductance.

    ``P z^2 (F^2/RT) c_out B(x)/B(x - x_E)`` with x and B as there and ``x_E = ln(c_out/c_in)``; both concentrations
    above 0. B. Hille (2001), Ion Channels of Excitable Membranes, 3rd ed., chapter 14.

    >>> print(f"{ghk_chord_conductance(-70.0, 1e-6, 140.0, 5.0, 1):.4f}")
    0.0744
    """
    rt_f = thermal_voltage(celsius)
    x, x_e = jnp.asarray(valence * v / rt_f), log(jnp.asarray(outside / inside))
    scale = permeability * (valence * valence * FARADAY) / rt_f
    return scale * outside * exprel_inverse(x) / exprel_inverse(x - x_e)


def conductance_from_permeability(
    permeability: ArrayLike, inside: ArrayLike, outside: ArrayLike, valence: ArrayLike, celsius: ArrayLike = 37.0
) -> jax.Array:
    """Conductance in mS/cm^2 of a permeability (cm/s) at the ion's Nernst potential, where slope and chord are one.

    ``g = P z^2 (F^2/RT) c_in c_out ln(c_out/c_in)/(c_out - c_in)``; ``P z^2 (F^2/RT) c`` for equal concentrations (mM).
    At another voltage: :func:`ghk_chord_conductance`, which is as proportional to P. A. L. Hodgkin (1951), Biol Rev
    26:339, doi:10.1111/j.1469-185X.1951.tb01204.x.

    >>> print(f"{conductance_from_permeability(1e-6, 140.0, 5.0, 1):.4f}")
    0.0624
    """
    scale = (valence * valence * FARADAY) / thermal_voltage(celsius)
    return permeability * scale * outside * exprel_inverse(log(jnp.asarray(outside / inside)))


def permeability_from_conductance(
    conductance: ArrayLike, inside: ArrayLike, outside: ArrayLike, valence: ArrayLike, celsius: ArrayLike = 37.0
) -> jax.Array:
    """Permeability in cm/s of a conductance (mS/cm^2): :func:`conductance_from_permeability` turned round.

    >>> print(f"{permeability_from_conductance(0.05, 140.0, 5.0, 1):.2e}")
    8.02e-07
    """
    return conductance / conductance_from_permeability(1.0, inside, outside, valence, celsius)
