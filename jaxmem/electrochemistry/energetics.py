"""What pumping costs and yields: free energy of ATP, work of a cycle, currents of single pumps, ATP per second."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jaxtyping import ArrayLike

from jaxmem.electrochemistry.elementary import log
from jaxmem.electrochemistry.ion_sets import MONOVALENT, SODIUM_PUMP, require_ions
from jaxmem.electrochemistry.thermal import electric_energy, thermal_energy
from jaxmem.units import ELEMENTARY_CHARGE


def atp_free_energy(
    atp: ArrayLike, adp: ArrayLike, phosphate: ArrayLike, celsius: ArrayLike = 37.0, standard: ArrayLike = -30.5
) -> jax.Array:
    """Free energy of the hydrolysis of ATP in kJ/mol, negative: ``standard + RT ln([ADP][P]/[ATP])``.

    Concentrations in mM (in the logarithm: in M). ``standard`` is the transformed free energy at pH 7 and 25 degC, -30.5
    as most texts have it; it depends on pH, magnesium and ionic strength by some kJ/mol: R. A. Alberty (2003), J Phys
    Chem B 107:12324, doi:10.1021/jp030576l.

    >>> print(f"{atp_free_energy(5.0, 0.5, 1.0, 37.0):.1f}")
    -54.3
    """
    return standard + thermal_energy(celsius) * log(jnp.asarray(1e-3 * adp * phosphate / atp))


def pump_cycle_work(
    v: ArrayLike,
    inside: Mapping[str, ArrayLike],
    outside: Mapping[str, ArrayLike],
    moved: Mapping[str, ArrayLike] = SODIUM_PUMP,
    valence: Mapping[str, int] = MONOVALENT,
    celsius: ArrayLike = 37.0,
) -> jax.Array:
    """Work in kJ/mol that a cycle does on the ions: ``sum n (RT ln(c_out/c_in) - z F v)``, n of each ion ``moved`` outward.

    By default 3 Na+ out (3) and 2 K+ in (-2). v in mV, concentrations in mM. Raises ValueError where an ion lacks a
    number. R. C. Thomas (1972), Physiol Rev 52:563, doi:10.1152/physrev.1972.52.3.563.

    >>> print(f"{pump_cycle_work(-70.0, {'na': 10.0, 'k': 140.0}, {'na': 145.0, 'k': 5.0}):.1f}")  # of the 54 of an ATP
    44.6
    """
    require_ions(moved, inside=inside, outside=outside, valence=valence)
    chemical = sum(n * log(jnp.asarray(outside[ion] / inside[ion])) for ion, n in moved.items())
    charges = sum(n * valence[ion] for ion, n in moved.items())
    return thermal_energy(celsius) * chemical - electric_energy(v, charges)


def pump_reversal_potential(
    free_energy: ArrayLike,
    inside: Mapping[str, ArrayLike],
    outside: Mapping[str, ArrayLike],
    moved: Mapping[str, ArrayLike] = SODIUM_PUMP,
    valence: Mapping[str, int] = MONOVALENT,
    celsius: ArrayLike = 37.0,
) -> jax.Array:
    """Voltage in mV where a pump stands still: `pump_cycle_work` takes all the ``free_energy`` (kJ/mol, negative) of its ATP.

    Below it (for a net outward charge) the pump runs backwards and makes ATP. Raises ValueError for a pump that moves no
    net charge, which reverses at no voltage. P. De Weer, D. C. Gadsby & R. F. Rakowski (1988), Annu Rev Physiol 50:225,
    doi:10.1146/annurev.ph.50.030188.001301.

    >>> print(f"{pump_reversal_potential(-54.3, {'na': 10.0, 'k': 140.0}, {'na': 145.0, 'k': 5.0}):.0f}")
    -170
    """
    charges = sum(n * valence[ion] for ion, n in moved.items() if ion in valence)
    if isinstance(charges, int | float) and charges == 0:
        raise ValueError(f"a pump that moves {dict(moved)} moves no net charge: no voltage reverses it")
    at_zero = pump_cycle_work(0.0, inside, outside, moved, valence, celsius)
    return (at_zero + free_energy) / electric_energy(1.0, charges)


def single_pump_current(turnover: ArrayLike, charges: ArrayLike = 1.0) -> jax.Array:
    """Current of one pump in attoamperes (1e-18 A): net ``charges`` per cycle times ``turnover`` (cycles per second).

    Some tens of attoamperes at the 50 to 200 cycles per second of a pump at body temperature, a hundred thousandth of a
    channel's picoampere. 50/s at rest, 720 pumps per um^2: rat heart cells, D. McCall (1979), Am J Physiol 236:C87,
    doi:10.1152/ajpcell.1979.236.1.C87.

    >>> print(f"{single_pump_current(50.0):.1f}, {single_pump_current(200.0):.1f}")
    8.0, 32.0
    """
    return jnp.asarray(1e18 * ELEMENTARY_CHARGE * turnover * charges)


def pump_density(i_max: ArrayLike, turnover: ArrayLike) -> jax.Array:
    """Pumps per um^2 behind ``i_max`` (uA/cm^2: F times cycles per area and time) at ``turnover`` cycles per second.

    >>> print(f"{pump_density(0.5, 50.0):.0f}")
    624
    """
    return jnp.asarray(1e-14 / ELEMENTARY_CHARGE * i_max / turnover)


def atp_per_second(
    input_resistance: ArrayLike,
    v: ArrayLike,
    e_na: ArrayLike,
    e_k: ArrayLike,
    n_na: ArrayLike = 3.0,
    n_k: ArrayLike = 2.0,
) -> jax.Array:
    """Molecules of ATP per second that keep a cell at rest, from its ``input_resistance`` (MOhm).

    With only Na+ and K+ leaks and a pump that brings back both, 3 for 2:
    ``(E_Na - v)(v - E_K)/(q R (n_na (v - E_K) + n_k (E_Na - v)))``, voltages in mV. D. Attwell & S. B. Laughlin (2001),
    J Cereb Blood Flow Metab 21:1133, doi:10.1097/00004647-200110000-00001, whose neuron of 200 MOhm at -70 mV, with
    +50 and -100 mV, needs 3.42e8 per second. With GHK leaks in place of ohmic ones it would be a fifth less.

    >>> print(f"{atp_per_second(200.0, -70.0, 50.0, -100.0):.2e}")
    3.40e+08
    """
    na, k = e_na - v, v - e_k
    return jnp.asarray(1e-9 / ELEMENTARY_CHARGE * na * k / (input_resistance * (n_na * k + n_k * na)))
