"""Which ion a site prefers: the work of stripping its water against the attraction of the site.

The simplest model there is (Eisenman): a monovalent cation of radius r touches a fixed charge of radius R, so that the
site gives ``k z_site z/(r + R)``, k = N q^2/(4 pi eps_0) = 138.9 kJ nm/mol, and water gives its hydration free energy. A
small site (a strong field) prefers small ions, a large one those that give up their water for little. No water in the
site, no other ions, no flexibility: it explains the order, not the size, of selectivities.

G. Eisenman (1962), Biophys J 2:259, doi:10.1016/S0006-3495(62)86959-8.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike

from jaxmem.electrochemistry.thermal import boltzmann_factor
from jaxmem.units import AVOGADRO, ELEMENTARY_CHARGE, VACUUM_PERMITTIVITY

_COULOMB = 1e6 * AVOGADRO * ELEMENTARY_CHARGE**2 / (4 * math.pi * VACUUM_PERMITTIVITY)  # kJ nm/mol


class HydratedIon(NamedTuple):
    """``radius`` (nm) of the bare ion and its ``hydration`` free energy (kJ/mol)."""

    radius: float
    hydration: float


# Radii: L. Pauling, as tabulated in Phys Chem Chem Phys 2015, 17:8306, doi:10.1039/c4cp05992a (Na, K) and in PMC2576370
# (Li, Na, Cs). Hydration free energies at 298 K: Y. Marcus (1991), J Chem Soc Faraday Trans
# 87:2995, doi:10.1039/FT9918702995 (unverified: quoted from memory; the differences between neighbours lie within 10 kJ/mol
# of those in table 2 of H. Yu et al. (2010), J Chem Theory Comput 6:774, doi:10.1021/ct900576a).
ALKALI_IONS = {
    "li": HydratedIon(0.060, -475.0),
    "na": HydratedIon(0.095, -365.0),
    "k": HydratedIon(0.133, -295.0),
    "rb": HydratedIon(0.148, -275.0),  # radius unverified
    "cs": HydratedIon(0.169, -250.0),
}


def site_energy(
    radius: ArrayLike, site_radius: ArrayLike, site_charge: ArrayLike = -1.0, valence: ArrayLike = 1
) -> jax.Array:
    """Interaction energy in kJ/mol of an ion of ``radius`` with a charge of ``site_radius`` (nm) that it touches.

    >>> print(f"{site_energy(0.133, 0.14):.0f}")
    -509
    """
    return jnp.asarray(_COULOMB * site_charge * valence / (radius + site_radius))


def selectivity_energy(
    radius: ArrayLike,
    hydration: ArrayLike,
    site_radius: ArrayLike,
    site_charge: ArrayLike = -1.0,
    valence: ArrayLike = 1,
) -> jax.Array:
    """Free energy in kJ/mol from water into the site: `site_energy` less ``hydration``. The lowest is preferred.

    >>> na, k = (selectivity_energy(*ALKALI_IONS[ion], site_radius=0.18) for ion in ("na", "k"))
    >>> print(f"{na - k:.1f}")  # Na+ is kept out: its water costs 70 more, the site repays only 61
    8.7
    """
    return site_energy(radius, site_radius, site_charge, valence) - hydration


def selectivity_ratio(energy: ArrayLike, reference: ArrayLike, celsius: ArrayLike = 25.0) -> jax.Array:
    """How many ions of ``energy`` a site holds for each of ``reference`` (kJ/mol), at equal concentrations in the water.

    >>> print(f"{selectivity_ratio(8.7, 0.0):.3f}")
    0.030
    """
    return boltzmann_factor(energy - reference, celsius)


def selectivity_sequence(
    site_radius: float, ions: Mapping[str, HydratedIon] = ALKALI_IONS, site_charge: float = -1.0
) -> tuple[str, ...]:
    """Names of the ions, the preferred one first, at one site. With the alkali ions there are eleven, of 120 orders.

    >>> for radius in (0.10, 0.18, 0.25):
    ...     print(" > ".join(selectivity_sequence(radius)))
    li > na > k > rb > cs
    k > rb > cs > na > li
    cs > rb > k > na > li
    """
    radius, hydration = np.array(list(ions.values())).T
    energies = np.asarray(selectivity_energy(radius, hydration, site_radius, site_charge))
    return tuple(list(ions)[k] for k in np.argsort(energies, kind="stable"))
