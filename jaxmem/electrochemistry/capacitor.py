"""The membrane as a capacitor: its capacitance, its field, and how few ions charge it."""

import jax
import jax.numpy as jnp
from jaxtyping import ArrayLike

from jaxmem.units import AVOGADRO, ELEMENTARY_CHARGE, VACUUM_PERMITTIVITY

_PER_NM = 1e11 * VACUUM_PERMITTIVITY  # uF/cm^2 of a vacuum of 1 nm: 1 F/m^2 is 100 uF/cm^2


def membrane_capacitance(relative_permittivity: ArrayLike, thickness: ArrayLike) -> jax.Array:
    """Specific capacitance in uF/cm^2 of a plate of ``thickness`` (nm): ``eps_0 eps_r/d``.

    1 uF/cm^2 at eps_r 2, a hydrocarbon's, needs 1.8 nm; a plate of 4 nm has 0.44. H. Fricke (1925), Phys Rev 26:682,
    doi:10.1103/PhysRev.26.682: red cells have 0.81 uF/cm^2, so their membrane is 3.3 nm thick if eps_r is 3.

    >>> print(f"{membrane_capacitance(2.0, 4.0):.2f}, {membrane_capacitance(3.0, 3.3):.2f}")
    0.44, 0.80
    """
    return jnp.asarray(_PER_NM * relative_permittivity / thickness)


def dielectric_thickness(capacitance: ArrayLike, relative_permittivity: ArrayLike) -> jax.Array:
    """Thickness in nm of a plate with ``capacitance`` (uF/cm^2): :func:`membrane_capacitance` turned round.

    >>> print(f"{dielectric_thickness(1.0, 2.0):.2f}")
    1.77
    """
    return jnp.asarray(_PER_NM * relative_permittivity / capacitance)


def electric_field(v: ArrayLike, thickness: ArrayLike) -> jax.Array:
    """Field in V/m inside a membrane of ``thickness`` (nm) at ``v`` (mV): ``v/d``; negative points inward.

    >>> print(f"{electric_field(-70.0, 4.0):.2e}")
    -1.75e+07
    """
    return jnp.asarray(1e6 * v / thickness)


def excess_charges(v: ArrayLike, capacitance: ArrayLike, area: ArrayLike) -> jax.Array:
    """Elementary charges that make ``v`` (mV) on ``area`` (um^2) of ``capacitance`` (uF/cm^2): ``C A v/q``, with v's sign.

    So many more charges are inside than neutrality has; as many of the other sign stand outside.

    >>> print(f"{excess_charges(-70.0, 1.0, 1.0):.0f}")
    -4369
    """
    return jnp.asarray(1e-17 / ELEMENTARY_CHARGE * v * capacitance * area)


def ions_in(volume: ArrayLike, concentration: ArrayLike) -> jax.Array:
    """Number of ions in ``volume`` (um^3) at ``concentration`` (mM).

    >>> print(f"{ions_in(1.0, 150.0):.3g}")
    9.03e+07
    """
    return jnp.asarray(1e-18 * AVOGADRO * volume * concentration)


def excess_fraction(
    v: ArrayLike, capacitance: ArrayLike, area: ArrayLike, volume: ArrayLike, concentration: ArrayLike
) -> jax.Array:
    """:func:`excess_charges` over :func:`ions_in`: part of the cell's monovalent ions (mM) that charges its membrane.

    Negative where v is. It falls with size as area over volume: for a sphere as 3/r. ``area`` in um^2, ``volume`` um^3.

    >>> r = 10.0  # um; of 150 mM of cations
    >>> print(f"{excess_fraction(-70.0, 1.0, 4 * 3.14159 * r**2, 4 / 3 * 3.14159 * r**3, 150.0):.1e}")
    -1.5e-05
    """
    return jnp.asarray(10.0 / (AVOGADRO * ELEMENTARY_CHARGE) * v * capacitance * (area / volume) / concentration)


def membrane_area(time_constant: ArrayLike, input_resistance: ArrayLike, capacitance: ArrayLike) -> jax.Array:
    """Area in um^2 of a cell from its answer to a small step of current: ``tau/(R c_m)``, for ``tau = R C``.

    ``time_constant`` in ms, ``input_resistance`` in MOhm, ``capacitance`` in uF/cm^2. Exact for a cell that is one
    compartment; with dendrites it is the membrane that the electrode charges within tau, less than the whole.

    >>> print(f"{membrane_area(20.0, 200.0, 1.0):.0f}")  # 100 pF
    10000
    """
    return jnp.asarray(1e5 * time_constant / (input_resistance * capacitance))
