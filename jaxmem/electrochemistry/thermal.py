"""Thermal energy against electrical and chemical energy: RT/F, Boltzmann's ratio, the factor of a Q10."""

import jax
import jax.numpy as jnp
from jaxtyping import ArrayLike

from jaxmem.units import BOLTZMANN, ELEMENTARY_CHARGE, FARADAY, GAS, ZERO_CELSIUS


def thermal_voltage(celsius: ArrayLike, boltzmann: float = BOLTZMANN, charge: float = ELEMENTARY_CHARGE) -> jax.Array:
    """RT/F = kT/q in mV; 25.69 mV at 25 degC.

    Parameters: ``celsius`` in degC, any shape; ``boltzmann`` (J/K) and ``charge`` (C) are CODATA's unless given, to
    follow a text that rounds them.

    >>> print(f"{thermal_voltage(25.0):.3f}, {thermal_voltage(37.0):.3f}")
    25.693, 26.727
    """
    return jnp.asarray(1e3 * boltzmann / charge * (celsius + ZERO_CELSIUS))


def thermal_energy(celsius: ArrayLike) -> jax.Array:
    """RT in kJ/mol.

    >>> print(f"{thermal_energy(37.0):.3f}")
    2.579
    """
    return jnp.asarray(1e-3 * GAS * (celsius + ZERO_CELSIUS))


def boltzmann_factor(energy: ArrayLike, celsius: ArrayLike = 37.0) -> jax.Array:
    """``exp(-energy/RT)``: how many are found where ``energy`` (kJ/mol) must be paid, for each one where none is.

    L. Boltzmann (1868), Sitzungsber Akad Wiss Wien 58:517 (no DOI).

    >>> print(f"{boltzmann_factor(5.938, 37.0):.3f}")
    0.100
    """
    return jnp.exp(-energy / thermal_energy(celsius))


def boltzmann_ratio(
    v: ArrayLike,
    valence: ArrayLike,
    celsius: ArrayLike = 37.0,
    boltzmann: float = BOLTZMANN,
    charge: float = ELEMENTARY_CHARGE,
) -> jax.Array:
    """``exp(-z v F/(RT))``: concentration inside over outside at equilibrium across ``v`` (mV); Nernst turned round.

    >>> print(f"{boltzmann_ratio(-70.0, 1, 37.0):.2f}, {boltzmann_ratio(-70.0, -1, 37.0):.4f}")
    13.72, 0.0729
    """
    return jnp.exp(-valence * v / thermal_voltage(celsius, boltzmann, charge))


def electric_energy(v: ArrayLike, valence: ArrayLike) -> jax.Array:
    """``z F v`` in kJ/mol: the electrical work of bringing ions of valence z to ``v`` (mV).

    >>> print(f"{electric_energy(-70.0, 1):.2f}")
    -6.75
    """
    return jnp.asarray(1e-6 * FARADAY * valence * v)


def q10_factor(q10: ArrayLike, celsius: ArrayLike, reference: ArrayLike) -> jax.Array:
    """``q10**((celsius - reference)/10)``: how much faster a process runs at ``celsius`` than at ``reference`` (degC).

    >>> print(f"{q10_factor(3.0, 37.0, 6.3):.1f}")
    29.2
    """
    return jnp.exp(jnp.log(q10) * ((celsius - reference) / 10))
