"""The grammar of unit texts, their dimensions, and the advice given when one does not fit. Used by `units` alone."""

import re
import unicodedata
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

# The unit of every quantity in jaxmem. The names also serve in error messages ("a current density in uA/cm^2 is
# wanted"); where two share a dimension, the first one names it.
UNITS = {
    "voltage": "mV",
    "time": "ms",
    "conductance density": "mS/cm^2",
    "current density": "uA/cm^2",
    "capacitance per area": "uF/cm^2",
    "charge density": "nC/cm^2",
    "permeability": "cm/s",
    "concentration": "mM",
    "temperature": "degC",
    "length": "um",
    "membrane area": "um^2",
    "volume": "um^3",
    "inverse length": "1/um",
    "resistivity": "Ohm*cm",
    "specific resistance": "kOhm*cm^2",
    "rate": "1/ms",
    "frequency": "Hz",
    "voltage drift": "mV/min",
    "concentration drift": "mM/min",
    "conductance": "nS",
    "current": "pA",
    "capacitance": "pF",
    "charge": "pC",
    "resistance": "MOhm",
    "amount of substance": "fmol",
    "flux density": "pmol/(cm^2*s)",
    "molar energy": "kJ/mol",
    "dimensionless number": "1",
}

_EXAMPLES = {
    "mV": "'-65 mV'",
    "ms": "'0.1 s'",
    "mS/cm^2": "'36 mS/cm^2' or, with a geometry, '20 nS' or '120 MOhm'",
    "uA/cm^2": "'10 uA/cm^2' or, with a geometry, '50 pA'",
    "uF/cm^2": "'1 uF/cm^2' or, with a geometry, '100 pF'",
    "degC": "'37 degC' or '310.15 K'",
    "mM": "'140 mM' or '150 mmol/l'",
    "1": "'0.3' or '30 %'",
}

_BASE = ("m", "kg", "s", "A", "K", "mol")
# symbol: factor, in terms of, takes SI prefixes
_DEFINITIONS: dict[str, tuple[Fraction | int, str, bool]] = {
    "g": (Fraction(1, 1000), "kg", True),
    "N": (1, "kg*m/s^2", True),
    "Pa": (1, "N/m^2", True),
    "J": (1, "N*m", True),
    "W": (1, "J/s", True),
    "C": (1, "A*s", True),
    "V": (1, "J/C", True),
    "Ohm": (1, "V/A", True),
    "ohm": (1, "V/A", True),
    "S": (1, "A/V", True),
    "mho": (1, "A/V", True),
    "F": (1, "C/V", True),
    "Hz": (1, "1/s", True),
    "l": (Fraction(1, 1000), "m^3", True),
    "L": (Fraction(1, 1000), "m^3", True),
    "M": (1000, "mol/m^3", True),
    "min": (60, "s", False),
    "h": (3600, "s", False),
    "degC": (1, "K", False),
    "degF": (Fraction(5, 9), "K", False),
    "%": (Fraction(1, 100), "1", False),
    "percent": (Fraction(1, 100), "1", False),
}
_ZEROS = {"degC": Fraction("273.15"), "degF": Fraction("459.67") * Fraction(5, 9)}  # in K
_PREFIXES = {"a": -18, "f": -15, "p": -12, "n": -9, "u": -6, "m": -3, "c": -2, "d": -1, "k": 3, "M": 6, "G": 9, "T": 12}
# What people write instead, for suggestions; these words are not accepted, so that files keep one spelling.
_LONG = {
    "volt": "V", "ampere": "A", "amp": "A", "siemen": "S", "farad": "F", "coulomb": "C", "molar": "M", "mole": "mol",
    "second": "s", "sec": "s", "minute": "min", "hour": "h", "hr": "h", "micrometer": "um", "micron": "um",
    "metre": "m", "meter": "m", "celsiu": "degC", "kelvin": "K", "litre": "l", "liter": "l", "hertz": "Hz",
    "joule": "J", "degree": "degC",
}  # fmt: skip
_LONG_PREFIXES = {"pico": "p", "nano": "n", "micro": "u", "milli": "m", "centi": "c", "kilo": "k", "mega": "M"}
_COMMON = (
    "mV V uV ms s us min h mS S uS nS pS uA A mA nA pA cm m mm um nm uF F nF pF mM M uM nM mol mmol umol degC K Hz kHz "
    "Ohm kOhm MOhm GOhm l ml C nC pC J kJ"
).split()

SUPERSCRIPTS = str.maketrans("0123456789-+", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺")
_FROM_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
_TOKEN = re.compile(
    r"\s*(?:(?P<symbol>[A-Za-z%]+)(?:(?:\s*(?:\^|\*\*)\s*)?(?P<power>[+-]?\d+))?|(?P<mark>[*./()])|(?P<one>1)(?![\d.]))"
)

Dimensions = tuple[int, ...]


class UnitError(ValueError):
    """A value that cannot be read in the unit wanted; the text says what was found and what would do."""


class Unit(NamedTuple):
    """x units are `x * scale + zero` in SI units; `dimensions` are the powers of m, kg, s, A, K, mol."""

    scale: Fraction
    dimensions: Dimensions
    zero: Fraction
    per_farad: bool


class Route(NamedTuple):
    """How one unit turns into another: inverted or not, then times area**area and capacitance**capacitance."""

    inverse: bool = False
    area: int = 0
    capacitance: int = 0


def normalise(written: str) -> str:
    """`written` in ASCII: superscripts become ^n, µ u, Ω Ohm, ° deg, and signs of multiplication *."""
    # Superscripts first: the compatibility form would make 10² a plain 102.
    result = re.sub("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺]+", lambda m: "^" + m.group().translate(_FROM_SUPERSCRIPTS), written)
    result = unicodedata.normalize("NFKC", result)
    for old, new in (("μ", "u"), ("Ω", "Ohm"), ("·", "*"), ("⋅", "*"), ("×", "*"), ("−", "-")):
        result = result.replace(old, new)
    result = re.sub(r"(?:°|\bdeg)\s*(?=[CF]\b)", "deg", result)
    return re.sub(r"\bper\b", "/", result).strip()


@lru_cache(maxsize=512)
def terms(unit: str) -> tuple[tuple[str, int], ...]:
    """The factors of a unit text as (symbol, power): "mS/cm^2" is (("mS", 1), ("cm", -2)); every symbol is known."""
    found, position, written = [], 0, normalise(unit)
    while position < len(written):
        match = _TOKEN.match(written, position)
        if match is None:
            raise UnitError(f"unexpected '{written[position:].strip()}' in the unit '{unit.strip()}'")
        found.append(match)
        position = match.end()
    result = tuple(_product(iter(found), unit, closing=False))
    for symbol, _ in result:
        _known(symbol)
    return result


def _product(tokens: Iterator[re.Match[str]], unit: str, *, closing: bool) -> list[tuple[str, int]]:
    """The factors up to the end of the text, or up to the closing bracket if one is due."""
    result: list[tuple[str, int]] = []
    mark, empty = "", True
    for token in tokens:
        now = token["mark"] or ""
        if now == ")":
            if not closing or mark or empty:
                raise UnitError(f"unexpected ')' in the unit '{unit.strip()}'")
            return result
        if now and now != "(":
            if mark or (empty and now != "/"):
                raise UnitError(f"unexpected '{now}' in the unit '{unit.strip()}'")
            mark = now
            continue
        if now == "(":
            factors = _product(tokens, unit, closing=True)
        else:
            factors = [(token["symbol"], int(token["power"] or 1))] if token["symbol"] else []
        result += [(symbol, -power if mark == "/" else power) for symbol, power in factors]
        mark, empty = "", False
    if mark or empty or closing:
        raise UnitError(f"the unit '{unit.strip()}' is incomplete")
    return result


@lru_cache(maxsize=512)
def parse(unit: str) -> Unit:
    """The scale and dimensions of a unit text."""
    scale, dimensions = Fraction(1), [0] * len(_BASE)
    factors = terms(unit)
    for symbol, power in factors:
        one = _known(symbol)
        scale *= one.scale**power
        dimensions = [a + power * b for a, b in zip(dimensions, one.dimensions, strict=True)]
    zero = _ZEROS.get(factors[0][0], Fraction(0)) if len(factors) == 1 and factors[0][1] == 1 else Fraction(0)
    per_farad = any(symbol.endswith("F") and symbol != "degF" and power == -1 for symbol, power in factors)
    return Unit(scale, tuple(dimensions), zero, per_farad)


@lru_cache(maxsize=512)
def _known(symbol: str) -> Unit:
    if symbol in _BASE:
        return Unit(Fraction(1), tuple(int(symbol == base) for base in _BASE), Fraction(0), False)
    if symbol in _DEFINITIONS:
        factor, definition, _ = _DEFINITIONS[symbol]
        unit = parse(definition)
        return Unit(factor * unit.scale, unit.dimensions, Fraction(0), False)
    prefix, stem = symbol[0], symbol[1:]
    prefixed = (stem in _BASE and stem != "kg") or _DEFINITIONS.get(stem, (0, "", False))[2]
    if prefix in _PREFIXES and prefixed:
        unit = _known(stem)
        return Unit(unit.scale * Fraction(10) ** _PREFIXES[prefix], unit.dimensions, Fraction(0), False)
    near = suggestion(symbol)
    raise UnitError(f"unknown unit '{symbol}'" + (f"; did you mean '{near}'?" if near else ""))


def suggestion(symbol: str) -> str:
    """The known symbol that `symbol` was most likely meant to be, or ""."""
    from difflib import get_close_matches  # 5 ms, and on the way to an error only

    word = symbol.rstrip("s").lower()
    for long, short in _LONG.items():
        if word.endswith(long):
            head = symbol[: len(word) - len(long)]
            head = _LONG_PREFIXES.get(head.lower(), head)
            if not head or head in _PREFIXES:
                return head + short
    same = [known for known in _COMMON if known.lower() == symbol.lower()]
    return (same or get_close_matches(symbol, _COMMON, n=1, cutoff=0.5) or [""])[0]


def route(have: Unit, want: Unit) -> Route | None:
    """The way from one unit to another, or None if their dimensions have nothing to do with each other."""
    area = parse("m^2").dimensions
    specific = parse("F/m^2").dimensions
    conductances = [parse(unit).dimensions for unit in ("S", "S/m", "S/m^2")]
    extensive = [parse(unit).dimensions for unit in ("S", "A", "F", "C")]
    resistance = parse("Ohm").dimensions
    negative = _times(have.dimensions, -1)
    for inverse in (False, True):
        if inverse and not (have.dimensions in conductances or negative in conductances):
            continue  # a time is not a rate, only a resistance is a conductance
        source = negative if inverse else have.dimensions
        lacking = tuple(a - b for a, b in zip(want.dimensions, source, strict=True))
        if not any(lacking):
            return Route(inverse)
        if lacking == _times(area, -1) and (source in extensive or want.dimensions == resistance):
            return Route(inverse, area=-1)
        if lacking == area and (want.dimensions in extensive or source == resistance):
            return Route(inverse, area=1)
        # nS/pF has the dimension of a rate, but nobody means a rate's 10 Hz as a conductance: it must say farad.
        if lacking == specific and have.per_farad and not inverse:
            return Route(capacitance=1)
        if lacking == _times(specific, -1) and want.per_farad and not inverse:
            return Route(capacitance=-1)
    return None


def _times(dimensions: Dimensions, factor: int) -> Dimensions:
    return tuple(factor * x for x in dimensions)


def is_temperature(unit: str) -> bool:
    return parse(unit).dimensions == parse("K").dimensions


def name(unit: str) -> str:
    """What a number in `unit` is: "a current density in uA/cm^2"."""
    return kind(unit) + ("" if unit == "1" else f" in {unit}")


def kind(unit: str) -> str:
    """The kind of quantity that has this unit's dimension, with its article."""
    ours = [quantity for quantity, known in UNITS.items() if known == unit]
    dimensions = parse(unit).dimensions
    ours += [quantity for quantity, known in UNITS.items() if parse(known).dimensions == dimensions]
    if not ours:
        powers = [f"{base}^{power}" for base, power in zip(_BASE, dimensions, strict=True) if power]
        return f"a quantity of dimension {' '.join(powers)}".replace("^1 ", " ")
    return ("an " if ours[0][0] in "aeiou" else "a ") + ours[0]


def example(unit: str) -> str:
    """One or two ways to write a value in `unit`, quoted."""
    return _EXAMPLES.get(unit) or f"'1 {unit}'"


def mismatch(shown: str, unit: str, to: str) -> str:
    """The message for a value of the wrong dimension."""
    advice = f"write {example(to)}"
    if normalise(unit).lower() == to.lower() or (to == "degC" and unit in ("C", "F")):
        advice = f"did you mean '{'deg' + unit if to == 'degC' else to}'?"
    return f"{shown} is {kind(unit)}; {name(to)} is wanted, {advice}".replace("wanted, did", "wanted; did")
