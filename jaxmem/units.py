"""Physical constants, the unit of every quantity, and numbers written with a unit.

Inside jaxmem nothing carries a unit: every quantity has the one unit that `UNITS` documents, and the set is consistent
(mS/cm^2 * mV = uA/cm^2 and uF/cm^2 * mV/ms = uA/cm^2). Units exist where people write or read numbers: experiment
files, the command line, axis labels and file attributes. Those places call `parse_quantity`, `convert`, `pretty`, `cf`.

Arithmetic on single numbers is exact until the last rounding ("310.15 K" is 37.0 degC, not 36.99999999999994), so a
value means the same in whichever unit it was written.

Constants: CODATA 2018 (Tiesinga, Mohr, Newell and Taylor, Rev. Mod. Phys. 93, 025010, 2021); all but the permittivity of
the vacuum are exact in the SI of 2019.
"""

import math
import numbers
import re
from fractions import Fraction
from typing import Any

from jaxmem import _unit_text as text
from jaxmem._unit_text import UNITS as UNITS
from jaxmem._unit_text import UnitError as UnitError

ELEMENTARY_CHARGE = 1.602176634e-19  # C
AVOGADRO = 6.02214076e23  # 1/mol
BOLTZMANN = 1.380649e-23  # J/K
FARADAY = 96485.33212331001  # C/mol = ELEMENTARY_CHARGE * AVOGADRO
GAS = 8.31446261815324  # J/(mol K) = BOLTZMANN * AVOGADRO
ZERO_CELSIUS = 273.15  # K
VACUUM_PERMITTIVITY = 8.8541878128e-12  # F/m

_NUMBER = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(.*)", re.DOTALL)
_WORD = re.compile(r"\s*([+-]?(?:nan|inf(?:inity)?))\b(.*)", re.DOTALL | re.IGNORECASE)


def parse_quantity(value: Any, unit: str, *, area: Any = None, capacitance: Any = None, where: str = "") -> float:
    """The number that `value` stands for, in `unit`.

    `value` is a bare number (or the text of one), already in `unit`, or a text with a unit: "36 mS/cm^2", "0.36 S/m^2",
    "37 degC", "50 pA", "10 µA/cm²". SI prefixes, products ("*", ".", "·" or a space), quotients, brackets and whole
    powers ("^2", "**2", "²" or a plain 2) are understood; "/" divides by the next factor alone.

    Where a density is wanted, a value of the whole cell is divided by `area` (um^2), and one per farad ("0.3 nS/pF",
    "5 pA/pF") is multiplied by `capacitance` (uF/cm^2). Where a conductance is wanted a resistance is inverted, and the
    other way round. If `area` or `capacitance` is an array over cells, a value that needs it becomes one too.

    An infinity passes as a bare number alone, for the caller to judge. Errors: `UnitError`, prefixed by `where` ("file,
    line, field"), for what is not a number, has an unknown unit or the wrong dimension, needs an area or capacitance
    that is not given, is NaN, or lies below absolute zero.
    """
    try:
        number, written = _split(value, unit)
        result = _convert(number, written, unit, area, capacitance, f"'{str(value).strip()}'")
        if text.is_temperature(unit) and result < _absolute_zero(unit):
            raise UnitError(f"'{value}' lies below absolute zero ({_absolute_zero(unit):g} {unit})")
        return result
    except UnitError as error:
        raise UnitError(f"{where}: {error}" if where else str(error)) from None


def convert(value: Any, unit: str, to: str, *, area: Any = None, capacitance: Any = None) -> Any:
    """`value`, a number or an array in `unit`, expressed in the unit `to`; arrays stay arrays.

    With `area` (um^2) it goes between the whole cell and densities in both directions (mS/cm^2 to nS, pA to uA/cm^2),
    with `capacitance` (uF/cm^2) between densities and values per farad. Errors: `UnitError`, as for `parse_quantity`.
    """
    shown = f"{value:g} {unit}" if isinstance(value, numbers.Real) else f"an array in {unit}"
    return _convert(value, unit, to, area, capacitance, f"'{shown}'")


def pretty(unit: str) -> str:
    """The symbol of `unit` for an axis label: "µA/cm²", "Ω·cm", "°C"; "" for the dimensionless "1"."""
    above: list[str] = []
    below: list[str] = []
    for symbol, power in text.terms(unit):
        symbol = re.sub(r"^u(?=\w)", "µ", symbol)
        symbol = re.sub("[Oo]hm$", "Ω", symbol).replace("degC", "°C").replace("degF", "°F")
        exponent = "" if abs(power) == 1 else str(abs(power)).translate(text.SUPERSCRIPTS)
        (above if power > 0 else below).append(symbol + exponent)
    if not below:
        return "·".join(above)
    under = below[0] if len(below) == 1 else f"({'·'.join(below)})"
    return f"{'·'.join(above) or '1'}/{under}"


def cf(unit: str) -> str:
    """`unit` as UDUNITS and the CF conventions write it, for the `units` attribute of stored variables.

    "uA cm-2", "ohm cm", "degC", "1". UDUNITS has no molar, so "mM" becomes "mmol L-1".
    """
    factors: list[tuple[str, int]] = []
    for symbol, power in text.terms(unit):
        if symbol.endswith("M"):
            factors += [(symbol[:-1] + "mol", power), ("L", -power)]
        else:
            factors.append((re.sub("Ohm$", "ohm", symbol), power))
    return " ".join(symbol + ("" if power == 1 else str(power)) for symbol, power in factors) or "1"


def _split(value: Any, unit: str) -> tuple[Any, str]:
    """The number in `value`, exact where it can be, and the unit it is written in."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real | str):
        raise UnitError(
            f"found {value!r} ({type(value).__name__}); a number in {text.name(unit)} or a text such as "
            f"{text.example(unit)} is wanted"
        )
    if not isinstance(value, str):
        if math.isnan(value):
            raise UnitError("found nan; a number is wanted")
        return float(value), unit
    written = text.normalise(value)
    if match := _WORD.match(written):
        word, rest = match.groups()
        if "nan" in word.lower() or rest.strip():
            raise UnitError(f"'{value.strip()}' is not a finite number")
        return float(word), unit
    match = _NUMBER.match(written)
    if match is None:
        raise UnitError(f"'{value.strip()}' has no number; write a text such as {text.example(unit)}")
    digits, rest = match.groups()
    if rest.lstrip().startswith(","):
        raise UnitError(f"'{value.strip()}' has a comma; the decimal sign is '.', and thousands are not separated")
    if math.isinf(float(digits)):
        raise UnitError(f"'{value.strip()}' is too large")
    # A zero may be an underflow with an exponent of any size, which an exact fraction would write out in full.
    return Fraction(digits) if float(digits) else 0.0, rest.strip() or unit


def _convert(value: Any, unit: str, to: str, area: Any, capacitance: Any, shown: str) -> Any:
    """`value * unit / to`, by way of SI units; see `parse_quantity` for the detours over area and capacitance."""
    if text.normalise(unit) == text.normalise(to):
        return float(value) if isinstance(value, Fraction) else value
    have, want = text.parse(unit), text.parse(to)
    route = text.route(have, want)
    if route is None:
        raise UnitError(text.mismatch(shown, unit, to))
    detour, detour_unit = None, "1"
    if route.area:
        detour, detour_unit = _given(area, shown, to, "membrane area", "give the cell a geometry"), "um^2"
    elif route.capacitance:
        detour, detour_unit = _given(capacitance, shown, to, "capacitance", "give the membrane one"), "uF/cm^2"
    # Exact fractions where there are single numbers alone, floating point as soon as one is an array or infinite.
    x: Any = _exact(value)
    y: Any = _exact(1 if detour is None else detour)
    if x is None or y is None:
        x, y = float(value) if isinstance(value, numbers.Real) else value, detour
    x = _plus(_times(x, have.scale), have.zero - want.zero)
    if route.inverse:
        if isinstance(x, numbers.Real) and not x:
            raise UnitError(f"{shown} is zero and has no inverse; {text.name(to)} is wanted")
        x = 1 / x
    if detour is not None:
        y = _times(y, text.parse(detour_unit).scale)
        x = x * y if route.area + route.capacitance > 0 else x / y
    result = _times(x, 1 / want.scale)
    try:
        return float(result) if isinstance(result, Fraction) else result
    except OverflowError:
        raise UnitError(f"{shown} is too large") from None


def _given(value: Any, shown: str, to: str, what: str, advice: str) -> Any:
    """The area or capacitance that a conversion turns out to need, checked if it is a single number."""
    if value is None:
        raise UnitError(f"{shown} can become {text.name(to)} only with a {what}; {advice}, or write {text.example(to)}")
    if isinstance(value, numbers.Real) and not 0 < float(value) < math.inf:
        raise UnitError(f"{shown} can become {text.name(to)} only with a positive {what}, not {value}")
    return value


def _exact(x: Any) -> Fraction | None:
    """A single finite number as the fraction that its shortest decimal form stands for; None for all else."""
    if isinstance(x, Fraction):
        return x
    if isinstance(x, numbers.Real) and math.isfinite(x):
        return Fraction(repr(float(x)))
    return None


def _times(x: Any, scale: Fraction) -> Any:
    # One rounding, not two, for the powers of ten that most factors are.
    return x * scale if isinstance(x, Fraction) else x * float(scale.numerator) / float(scale.denominator)


def _plus(x: Any, shift: Fraction) -> Any:
    return x + (shift if isinstance(x, Fraction) else float(shift))


def _absolute_zero(unit: str) -> float:
    scale, _, zero, _ = text.parse(unit)
    return float(-zero / scale)
