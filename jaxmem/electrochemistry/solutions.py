"""Solutions on both sides: Donnan equilibrium, osmolarity, ionic strength, the thickness of an ion cloud."""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import ArrayLike

from jaxmem.electrochemistry.ion_sets import require_ions
from jaxmem.electrochemistry.thermal import thermal_energy, thermal_voltage
from jaxmem.units import FARADAY, GAS, VACUUM_PERMITTIVITY, ZERO_CELSIUS


class Donnan(NamedTuple):
    """``ratio`` of the cation, inside over outside; ``v`` (mV); ``cation`` and ``anion`` inside (mM); arrays alike."""

    ratio: jax.Array
    v: jax.Array
    cation: jax.Array
    anion: jax.Array


def donnan(impermeant: ArrayLike, valence: ArrayLike, salt: ArrayLike, celsius: ArrayLike = 37.0) -> Donnan:
    """Donnan equilibrium of a monovalent ``salt`` (mM outside) with an ``impermeant`` (mM inside) of any mean ``valence``.

    Both ions at their Nernst potential and no net charge inside: ``v = RT/F asinh(z X/(2 salt))``, the cation
    ``salt exp(-v F/RT)``, the anion ``salt exp(v F/RT)``. Without impermeant charge v is 0. It is an equilibrium of ions,
    not of water: see `osmotic_pressure`. F. G. Donnan (1924), Chem Rev 1:73, doi:10.1021/cr60001a003.

    >>> d = donnan(100.0, -1.5, 150.0)
    >>> print(f"{d.v:.2f} mV, ratio {d.ratio:.3f}, cation {d.cation:.1f}, anion {d.anion:.1f} mM")
    -12.86 mV, ratio 1.618, cation 242.7, anion 92.7 mM
    """
    u = jnp.arcsinh(jnp.asarray(valence * impermeant / (2 * salt)))
    ratio = jnp.exp(-u)
    return Donnan(ratio, thermal_voltage(celsius) * u, salt * ratio, salt * jnp.exp(u))


def osmolarity(concentration: Mapping[str, ArrayLike], coefficient: ArrayLike = 1.0) -> jax.Array:
    """Osmotically active particles in mOsm/L: ``coefficient`` times the sum of all concentrations (mM), charged or not.

    The osmotic coefficient of a salt solution at 0.15 M is near 0.93, 1 is an ideal solution. R. A. Robinson & R. H.
    Stokes (1959), Electrolyte Solutions, appendix 8.10 (the coefficient is quoted from memory).

    >>> print(f"{osmolarity({'na': 145.0, 'k': 5.0, 'cl': 130.0, 'hco3': 20.0}):.0f}")
    300
    """
    return jnp.asarray(coefficient * sum(concentration.values()))


def osmotic_pressure(difference: ArrayLike, celsius: ArrayLike = 37.0) -> jax.Array:
    """``RT difference`` in kPa: what holds back the water that a ``difference`` in osmolarity (mOsm/L) draws.

    J. H. van 't Hoff (1887), Z Phys Chem 1:481, doi:10.1515/zpch-1887-0151.

    >>> print(f"{osmotic_pressure(1.0):.2f}")
    2.58
    """
    return difference * thermal_energy(celsius)


def ionic_strength(concentration: Mapping[str, ArrayLike], valence: Mapping[str, ArrayLike]) -> jax.Array:
    """``1/2 sum z^2 c`` in mM. Raises ValueError where an ion has no valence.

    >>> print(f"{ionic_strength({'na': 150.0, 'cl': 150.0}, {'na': 1, 'cl': -1}):.0f}")
    150
    """
    require_ions(concentration, valence=valence)
    return jnp.asarray(0.5 * sum(c * valence[ion] * valence[ion] for ion, c in concentration.items()))


def water_permittivity(celsius: ArrayLike) -> jax.Array:
    """Relative permittivity of water, 0 to 100 degC.

    C. G. Malmberg & A. A. Maryott (1956), J Res NBS 56:1, doi:10.6028/jres.056.001.

    >>> print(f"{water_permittivity(25.0):.1f}, {water_permittivity(37.0):.1f}")
    78.3, 74.2
    """
    t = jnp.asarray(celsius)
    return 87.740 - t * (0.40008 - t * (9.398e-4 - t * 1.410e-6))


def debye_length(
    strength: ArrayLike, celsius: ArrayLike = 37.0, relative_permittivity: ArrayLike | None = None
) -> jax.Array:
    """Debye length in nm of a solution of ionic ``strength`` (mM): ``sqrt(eps RT/(2 F^2 I))``.

    How far the cloud of charge beside a membrane reaches. ``relative_permittivity`` is water's unless given. P. Debye &
    E. Huckel (1923), Phys Z 24:185 (no DOI).

    >>> print(f"{debye_length(150.0, 25.0):.2f}")
    0.78
    """
    eps = water_permittivity(celsius) if relative_permittivity is None else relative_permittivity
    scale = 1e18 * VACUUM_PERMITTIVITY * GAS / (2 * FARADAY * FARADAY)  # nm^2 mol/(m^3 K)
    return jnp.sqrt(scale * eps * (celsius + ZERO_CELSIUS) / strength)
