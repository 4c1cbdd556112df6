"""The voltages at which something stands still: one ion, several ions, ions and a pump."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jaxtyping import ArrayLike

from jaxmem.electrochemistry.elementary import log
from jaxmem.electrochemistry.ion_sets import require_ions
from jaxmem.electrochemistry.thermal import electric_energy, thermal_energy, thermal_voltage
from jaxmem.units import BOLTZMANN, ELEMENTARY_CHARGE


def nernst(
    inside: ArrayLike,
    outside: ArrayLike,
    valence: ArrayLike,
    celsius: ArrayLike = 37.0,
    boltzmann: float = BOLTZMANN,
    charge: float = ELEMENTARY_CHARGE,
) -> jax.Array:
    """Nernst potential in mV: ``RT/(zF) ln(outside/inside)``.

    The voltage at which an ion with these concentrations (mM) has no net force on it, for any valence but 0. Constants
    as for `thermal_voltage`. Raises ValueError for valence 0. W. Nernst (1889), Z Phys Chem 4:129,
    doi:10.1515/zpch-1889-0112.

    >>> print(f"{nernst(140.0, 5.0, 1, 37.0):.2f}")
    -89.06

    With rounded constants, k = 1.4e-23 J/K and q = 1.6e-19 C, Na+ 10/145 and K+ 140/5 mM give 69.7 and -86.9 mV at
    298 K; the exact constants make them 68.7 and -85.6 mV, 1.5 % less: kT/q is 25.68 mV, not 26.08.

    >>> rounded = {"celsius": 298 - 273.15, "boltzmann": 1.4e-23, "charge": 1.6e-19}
    >>> print(f"{nernst(10.0, 145.0, 1, **rounded):.1f}, {nernst(140.0, 5.0, 1, **rounded):.1f}")
    69.7, -86.9
    >>> print(f"{nernst(10.0, 145.0, 1, 298 - 273.15):.1f}, {nernst(140.0, 5.0, 1, 298 - 273.15):.1f}")
    68.7, -85.6
    """
    if isinstance(valence, int) and valence == 0:
        raise ValueError("what has valence 0 has no Nernst potential; an ion has a valence such as 1, 2 or -1")
    return thermal_voltage(celsius, boltzmann, charge) / valence * log(jnp.asarray(outside / inside))


def driving_force(
    v: ArrayLike, inside: ArrayLike, outside: ArrayLike, valence: ArrayLike, celsius: ArrayLike = 37.0
) -> jax.Array:
    """``v - E`` in mV, E by `nernst`: the current it drives has its sign, outward where it is positive.

    >>> print(f"{driving_force(-70.0, 10.0, 145.0, 1):.1f}, {driving_force(-70.0, 140.0, 5.0, 1):.1f}")
    -141.5, 19.1
    """
    return v - nernst(inside, outside, valence, celsius)


def electrochemical_potential(
    concentration: ArrayLike, v: ArrayLike, valence: ArrayLike, celsius: ArrayLike = 37.0
) -> jax.Array:
    """``RT ln(c/1 M) + z F v`` in kJ/mol: an ion goes from where it is higher to where it is lower.

    ``concentration`` in mM, ``v`` in mV against the bath. Activity coefficients are taken as 1, and as only differences
    count, so is the standard state. Its difference across a membrane is z F (v - E). E. A. Guggenheim (1929), J Phys
    Chem 33:842, doi:10.1021/j150300a003.

    >>> inside, outside = electrochemical_potential(140.0, -70.0, 1), electrochemical_potential(5.0, 0.0, 1)
    >>> print(f"{inside - outside:.2f}")  # K+ is driven out
    1.84
    """
    return thermal_energy(celsius) * log(jnp.asarray(1e-3 * concentration)) + electric_energy(v, valence)


def ghk_potential(
    permeability: Mapping[str, ArrayLike],
    inside: Mapping[str, ArrayLike],
    outside: Mapping[str, ArrayLike],
    valence: Mapping[str, int],
    celsius: ArrayLike = 37.0,
) -> jax.Array:
    """Goldman-Hodgkin-Katz voltage in mV: where the currents of `ghk_current` of all ions sum to zero.

    Monovalent ions: ``RT/F ln( (sum_cations P c_out + sum_anions P c_in) / (sum_cations P c_in + sum_anions P c_out) )``.
    With divalent ones the sum of currents is quadratic in y = exp(-v F/RT): with A, B the sums above below and above the
    line, and C, D the same sums over the divalent ions, ``(B + 4D) y^2 + (B - A) y - (A + 4C) = 0``, whose one positive
    root is taken. Only ratios of permeabilities matter; a permeability may be 0, but not all. Concentrations in mM.

    D. E. Goldman (1943), J Gen Physiol 27:37, doi:10.1085/jgp.27.1.37; A. L. Hodgkin & B. Katz (1949), J Physiol 108:37,
    doi:10.1113/jphysiol.1949.sp004310; divalent ions: S. G. Spangler (1972), Ala J Med Sci 9:218 (no DOI); C. A. Lewis
    (1979), J Physiol 286:417, doi:10.1113/jphysiol.1979.sp012629. Raises ValueError for an ion whose valence is not 1,
    -1, 2 or -2, and where a dictionary lacks an ion.

    >>> p, i, o = {"k": 1.0, "na": 0.04}, {"k": 140.0, "na": 10.0}, {"k": 5.0, "na": 145.0}
    >>> print(f"{ghk_potential(p, i, o, {'k': 1, 'na': 1}, 37.0):.2f}")
    -68.55
    >>> p, i, o = p | {"ca": 0.01}, i | {"ca": 1e-4}, o | {"ca": 1.2}
    >>> print(f"{ghk_potential(p, i, o, {'k': 1, 'na': 1, 'ca': 2}, 37.0):.2f}")
    -68.44
    """
    require_ions(permeability, inside=inside, outside=outside, valence=valence)
    above: dict[int, ArrayLike] = {1: 0.0, 2: 0.0}  # sums of P c, by valence
    below: dict[int, ArrayLike] = {1: 0.0, 2: 0.0}
    for ion, p in permeability.items():
        z = abs(valence[ion])
        if z not in above:
            raise ValueError(
                f"the GHK potential in closed form holds for ions of valence 1, -1, 2 and -2; {ion!r} has valence "
                f"{valence[ion]}: find the zero of the sum of ghk_current instead"
            )
        near, far = (inside, outside) if valence[ion] > 0 else (outside, inside)
        above[z], below[z] = above[z] + p * far[ion], below[z] + p * near[ion]
    if all(abs(valence[ion]) == 1 for ion in permeability):
        return thermal_voltage(celsius) * log(jnp.asarray(above[1] / below[1]))
    square, constant = jnp.asarray(above[1] + 4 * above[2]), jnp.asarray(below[1] + 4 * below[2])
    b = jnp.asarray(below[1] - above[1])
    # Of the two forms of the root the one whose terms add up; |b| by where, whose gradient at 0 is that of its branch.
    q = jnp.where(b >= 0, b, -b) + jnp.sqrt(b * b + 4 * square * constant)
    return -thermal_voltage(celsius) * log(jnp.where(b >= 0, q / (2 * square), 2 * constant / q))


def reversal_potential(
    permeability: Mapping[str, ArrayLike],
    inside: Mapping[str, ArrayLike],
    outside: Mapping[str, ArrayLike],
    valence: Mapping[str, int],
    celsius: ArrayLike = 37.0,
) -> jax.Array:
    """Reversal potential in mV of one channel that several ions pass: `ghk_potential` of that channel's permeabilities.

    >>> end_plate = {"na": 1.0, "k": 1.11, "ca": 0.22}  # ratios
    >>> inside, outside = {"na": 10.0, "k": 125.0, "ca": 1e-4}, {"na": 115.0, "k": 2.5, "ca": 1.8}
    >>> print(f"{reversal_potential(end_plate, inside, outside, {'na': 1, 'k': 1, 'ca': 2}, 20.0):.1f}")
    -5.7
    """
    return ghk_potential(permeability, inside, outside, valence, celsius)


def permeability_ratio(
    e_reversal: ArrayLike,
    inside: ArrayLike,
    outside: ArrayLike,
    reference_inside: ArrayLike,
    reference_outside: ArrayLike,
    celsius: ArrayLike = 37.0,
) -> jax.Array:
    """P/P_reference of two monovalent cations from the measured reversal potential (mV): `reversal_potential` turned round.

    ``P/P_ref = -(ref_in - ref_out y)/(in - out y)`` with ``y = exp(-E F/RT)``; concentrations in mM. Negative where no
    such channel can reverse there; NaN or infinite where E is the ion's own Nernst potential. B. Hille (1971), J Gen
    Physiol 58:599, doi:10.1085/jgp.58.6.599.

    >>> e = reversal_potential({"k": 1.0, "na": 0.04}, {"k": 140.0, "na": 10.0}, {"k": 5.0, "na": 145.0}, {"k": 1, "na": 1})
    >>> print(f"{permeability_ratio(e, 10.0, 145.0, 140.0, 5.0):.3f}")
    0.040
    """
    y = jnp.exp(-e_reversal / thermal_voltage(celsius))
    return (reference_outside * y - reference_inside) / (inside - outside * y)


def chord_potential(
    conductance: Mapping[str, ArrayLike], reversal: Mapping[str, ArrayLike], current: ArrayLike = 0.0
) -> jax.Array:
    """Chord-conductance potential in mV: ``(sum g E - current)/sum g``, the weighted mean of the reversal potentials.

    Where ohmic conductances ``g`` (mS/cm^2) with reversal potentials ``reversal`` (mV) and a ``current`` that does not
    depend on voltage (uA/cm^2, outward positive: a pump) stand still. Raises ValueError where an ion has no reversal
    potential. A. L. Hodgkin & P. Horowicz (1959), J Physiol 148:127, doi:10.1113/jphysiol.1959.sp006278.

    >>> print(f"{chord_potential({'k': 0.05, 'na': 0.01}, {'k': -89.06, 'na': 71.47}):.1f}")
    -62.3
    >>> print(f"{chord_potential({'k': 0.05, 'na': 0.01}, {'k': -89.06, 'na': 71.47}, 0.12):.1f}")  # 2 mV by the pump
    -64.3
    """
    require_ions(conductance, reversal=reversal)
    total = sum(conductance.values())
    return jnp.asarray((sum(g * reversal[ion] for ion, g in conductance.items()) - current) / total)


def electrogenic_shift(current: ArrayLike, conductance: ArrayLike) -> jax.Array:
    """``-I/g`` in mV: what a pump's net ``current`` (uA/cm^2, outward positive) adds to the resting potential at once.

    ``conductance`` (mS/cm^2) is the slope conductance of all else at rest. R. C. Thomas (1972), Physiol Rev 52:563,
    doi:10.1152/physrev.1972.52.3.563.

    >>> print(f"{electrogenic_shift(0.12, 0.06):.1f}")
    -2.0
    """
    return jnp.asarray(-current / conductance)


def mullins_noda(
    permeability: Mapping[str, ArrayLike],
    inside: Mapping[str, ArrayLike],
    outside: Mapping[str, ArrayLike],
    ratio: ArrayLike = 1.5,
    celsius: ArrayLike = 37.0,
) -> jax.Array:
    """Mullins-Noda potential in mV: ``RT/F ln( (r P_K K_out + P_Na Na_out) / (r P_K K_in + P_Na Na_in) )``.

    The steady state of a cell whose pump brings back just what leaks, r Na+ out for one K+ in (``ratio``, 3/2): then
    I_Na = -r I_K. Ions that are not pumped stand at equilibrium and do not enter. For r = 1 it is the GHK potential, for
    r to infinity the Nernst potential of K+. Dictionaries have "k" and "na"; only the ratio of permeabilities matters.
    Raises ValueError where one is missing. L. J. Mullins & K. Noda (1963), J Gen Physiol 47:117,
    doi:10.1085/jgp.47.1.117.

    >>> p, i, o = {"k": 1.0, "na": 0.04}, {"k": 140.0, "na": 10.0}, {"k": 5.0, "na": 145.0}
    >>> print(f"{mullins_noda(p, i, o):.2f}, {mullins_noda(p, i, o, ratio=1.0):.2f}")
    -73.80, -68.55
    """
    require_ions(("k", "na"), permeability=permeability, inside=inside, outside=outside)
    weight, p_na = ratio * permeability["k"], permeability["na"]
    above, below = weight * outside["k"] + p_na * outside["na"], weight * inside["k"] + p_na * inside["na"]
    return thermal_voltage(celsius) * log(jnp.asarray(above / below))
