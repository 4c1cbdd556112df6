"""Units: constants, values written with a unit, and what an unsuitable one is told."""

import math

import numpy as np
import pytest

from jaxmem import units
from jaxmem.units import UNITS, UnitError, cf, convert, parse_quantity, pretty

SPHERE = 4 * math.pi * 10.0**2  # um^2, radius 10 um


def test_constants_are_consistent():
    assert units.FARADAY == pytest.approx(units.ELEMENTARY_CHARGE * units.AVOGADRO, rel=1e-15)
    assert units.GAS == pytest.approx(units.BOLTZMANN * units.AVOGADRO, rel=1e-15)
    rt_over_f = units.GAS * (37 + units.ZERO_CELSIUS) / units.FARADAY
    assert rt_over_f * 1e3 == pytest.approx(26.7267, abs=1e-4)  # mV


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        # bare numbers are in the wanted unit already
        (36, "mS/cm^2", 36.0),
        (-65.5, "mV", -65.5),
        (np.float32(0.5), "ms", 0.5),
        (np.int64(3), "mM", 3.0),
        ("36", "mS/cm^2", 36.0),
        (" -1e-3 ", "mV", -1e-3),
        ("37", "degC", 37.0),
        # the same unit, however it is spelt
        ("36 mS/cm^2", "mS/cm^2", 36.0),
        ("36mS/cm2", "mS/cm^2", 36.0),
        ("36 mS/cm**2", "mS/cm^2", 36.0),
        ("36 mS cm^-2", "mS/cm^2", 36.0),
        ("36 mS cm-2", "mS/cm^2", 36.0),
        ("36 mS·cm⁻²", "mS/cm^2", 36.0),
        ("36 mS*cm**-2", "mS/cm^2", 36.0),
        ("36 mS / cm²", "mS/cm^2", 36.0),
        ("36 mS per cm^2", "mS/cm^2", 36.0),
        ("36 mmho/cm2", "mS/cm^2", 36.0),
        ("10 \u00b5A/cm\u00b2", "uA/cm^2", 10.0),  # micro sign
        ("10 \u03bcA/cm\u00b2", "uA/cm^2", 10.0),  # Greek mu
        ("10\u00a0uA/cm^2", "uA/cm^2", 10.0),  # no-break space
        ("\u221265 mV", "mV", -65.0),  # minus sign
        # prefixes and powers
        ("0.36 S/m^2", "mS/cm^2", 0.036),
        ("1200 S/m²", "mS/cm^2", 120.0),
        ("120 pS/um^2", "mS/cm^2", 12.0),
        ("10 kOhm cm^2", "mS/cm^2", 0.1),
        ("0.01 F/m^2", "uF/cm^2", 1.0),
        ("1 A/m^2", "uA/cm^2", 100.0),
        ("0.1 s", "ms", 100.0),
        ("250 us", "ms", 0.25),
        ("2 min", "ms", 120000.0),
        ("1 h", "ms", 3.6e6),
        ("0.3 V", "mV", 300.0),
        ("1e-6 cm/s", "cm/s", 1e-6),
        ("1e-8 m/s", "cm/s", 1e-6),
        ("10 nm s^-1", "cm/s", 1e-6),
        ("150 mmol/l", "mM", 150.0),
        ("150 mmol/L", "mM", 150.0),
        ("0.15 mol/dm^3", "mM", 150.0),
        ("3.5 mol/m^3", "mM", 3.5),
        ("100 nM", "mM", 1e-4),
        ("0.05 M", "mM", 50.0),
        ("50 mM", "mM", 50.0),
        ("10 um", "um", 10.0),
        ("1 cm", "um", 1e4),
        ("1 mm^2", "um^2", 1e6),
        ("1 pl", "um^3", 1000.0),
        ("0.3 1/um", "1/um", 0.3),
        ("0.3 /um", "1/um", 0.3),
        ("0.3 um-1", "1/um", 0.3),
        ("1 Ohm m", "Ohm*cm", 100.0),
        ("35.4 Ω·cm", "Ohm*cm", 35.4),
        ("35.4 \u2126.cm", "Ohm*cm", 35.4),
        ("0.1 kHz", "1/ms", 0.1),
        ("5 1/s", "Hz", 5.0),
        ("1 V/h", "mV/min", 1000 / 60),
        ("1 uC/cm^2", "nC/cm^2", 1000.0),
        ("1 mol/(m^2 s)", "pmol/(cm^2*s)", 1e8),
        ("1 mol/m^2/s", "pmol/(cm^2*s)", 1e8),
        ("20 nS", "pS", 20000.0),
        ("120 MOhm", "MOhm", 120.0),
        ("0.3 %", "1", 0.003),
        ("30 percent", "1", 0.3),
        ("0.3", "1", 0.3),
        ("2 mV/mV", "1", 2.0),
        # temperatures have offsets
        ("37 degC", "degC", 37.0),
        ("25 °C", "degC", 25.0),
        ("25 ° C", "degC", 25.0),
        ("25 deg C", "degC", 25.0),
        ("25 \u2103", "degC", 25.0),
        ("310.15 K", "degC", 37.0),
        ("98.6 degF", "degC", 37.0),
        ("0 K", "degC", -273.15),
        ("6.3 degC", "K", 279.45),
        # numbers as people write them
        (".5 mV", "mV", 0.5),
        ("5. mV", "mV", 5.0),
        ("+5E+1 mV", "mV", 50.0),
        ("0 mV", "mV", 0.0),
        ("0e99999999999 V", "mV", 0.0),
        ("1e-99999999999 V", "mV", 0.0),
    ],
)
def test_values(value, unit, expected):
    found = parse_quantity(value, unit)
    assert type(found) is float
    assert found == expected  # exact: the only rounding is the last


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        ("50 pA", "uA/cm^2", 50e-6 / (SPHERE * 1e-8)),
        ("0.05 nA", "uA/cm^2", 50e-6 / (SPHERE * 1e-8)),
        ("20 nS", "mS/cm^2", 20e-6 / (SPHERE * 1e-8)),
        ("50 MOhm", "mS/cm^2", 20e-6 / (SPHERE * 1e-8)),
        ("12 pF", "uF/cm^2", 12e-6 / (SPHERE * 1e-8)),
        ("1 pC", "nC/cm^2", 1e-3 / (SPHERE * 1e-8)),
        ("36 mS/cm^2", "nS", 36e6 * SPHERE * 1e-8),
        ("10 uA/cm^2", "pA", 10e6 * SPHERE * 1e-8),
        ("10 kOhm cm^2", "MOhm", 0.01 / (SPHERE * 1e-8)),
    ],
)
def test_whole_cell_and_density(value, unit, expected):
    assert parse_quantity(value, unit, area=SPHERE) == pytest.approx(expected, rel=1e-14)


def test_values_per_farad():
    assert parse_quantity("1 nS/pF", "mS/cm^2", capacitance=1.0) == 1.0
    assert parse_quantity("0.3 nS/pF", "mS/cm^2", capacitance=2.0) == 0.6
    assert parse_quantity("5 pA/pF", "uA/cm^2", capacitance=1.0) == 5.0
    assert parse_quantity("5 A F^-1", "uA/cm^2", capacitance=1.0) == 5.0
    assert convert(5.0, "uA/cm^2", "pA/pF", capacitance=2.0) == 2.5


def test_resistance_and_conductance_are_inverse():
    assert parse_quantity("100 MOhm", "nS") == 10.0
    assert convert(10.0, "nS", "MOhm") == 100.0


def test_infinity_passes_as_a_bare_number():
    assert parse_quantity(math.inf, "mM") == math.inf
    assert parse_quantity("-inf", "mM") == -math.inf


def test_arrays():
    volts = convert(np.array([-0.065, 0.02]), "V", "mV")
    np.testing.assert_allclose(volts, [-65.0, 20.0], rtol=1e-15)
    np.testing.assert_allclose(convert(np.array([273.15, 310.15]), "K", "degC"), [0.0, 37.0], atol=1e-12)
    areas = np.array([1000.0, 2000.0])
    np.testing.assert_allclose(parse_quantity("10 pA", "uA/cm^2", area=areas), [1.0, 0.5])
    np.testing.assert_allclose(convert(np.array([1.0, 2.0]), "uA/cm^2", "pA", area=1000.0), [10.0, 20.0])
    np.testing.assert_allclose(convert(np.array([10.0, 20.0]), "nS", "MOhm"), [100.0, 50.0])
    single = convert(np.float32([1.0, 2.0]), "V", "mV")
    assert single.dtype == np.float32
    assert convert(math.inf, "V", "mV") == math.inf


PAIRS = [
    ("mS/cm^2", "S/m^2"), ("mS/cm^2", "nS"), ("mS/cm^2", "MOhm"), ("mS/cm^2", "nS/pF"), ("uA/cm^2", "pA"),
    ("uA/cm^2", "pA/pF"), ("uF/cm^2", "pF"), ("degC", "K"), ("degC", "degF"), ("mM", "mol/l"), ("mV/min", "uV/s"),
    ("Ohm*cm", "S/m"), ("1/ms", "Hz"), ("cm/s", "um/ms"), ("nC/cm^2", "pC"),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other"), PAIRS)
@pytest.mark.parametrize("value", [1.0, -0.3, 37.0, 1.2345678e-5, 98765.4321])
def test_round_trips(one, other, value):
    there = convert(value, one, other, area=SPHERE, capacitance=0.9)
    assert convert(there, other, one, area=SPHERE, capacitance=0.9) == pytest.approx(value, rel=1e-12, abs=1e-12)
    many = convert(np.array([value]), one, other, area=SPHERE, capacitance=0.9)
    assert many[0] == pytest.approx(there, rel=1e-12)


@pytest.mark.parametrize("unit", UNITS.values())
def test_every_unit_reads_back_what_is_written(unit):
    for written in (unit, pretty(unit), cf(unit)):
        if written:
            assert parse_quantity(f"2.5 {written}", unit) == 2.5
    assert parse_quantity(2.5, unit) == 2.5


def test_the_documented_set_is_consistent():
    assert convert(1.0, "mS/cm^2*mV", "uA/cm^2") == 1.0
    assert convert(1.0, "uF/cm^2*mV/ms", "uA/cm^2") == 1.0
    assert convert(1.0, "cm/s*C/mol*mM", "uA/cm^2") == 1.0  # P F c of the constant-field equation
    assert convert(10.0, "mM/ms", "uA/cm^2*1/um*mol/C") == 1.0  # current into concentration


@pytest.mark.parametrize(
    ("unit", "label", "attribute"),
    [
        ("mV", "mV", "mV"),
        ("uA/cm^2", "µA/cm²", "uA cm-2"),
        ("mS/cm^2", "mS/cm²", "mS cm-2"),
        ("degC", "°C", "degC"),
        ("Ohm*cm", "Ω·cm", "ohm cm"),
        ("kOhm*cm^2", "kΩ·cm²", "kohm cm2"),
        ("um", "µm", "um"),
        ("1/um", "1/µm", "um-1"),
        ("1/ms", "1/ms", "ms-1"),
        ("mV/min", "mV/min", "mV min-1"),
        ("mM", "mM", "mmol L-1"),
        ("1/mM", "1/mM", "mmol-1 L"),
        ("pmol/(cm^2*s)", "pmol/(cm²·s)", "pmol cm-2 s-1"),
        ("Hz", "Hz", "Hz"),
        ("1", "", "1"),
    ],
)
def test_labels_and_attributes(unit, label, attribute):
    assert pretty(unit) == label
    assert cf(unit) == attribute


@pytest.mark.parametrize(
    ("value", "unit", "essence"),
    [
        # unknown units, with the nearest one
        ("5 mSiemens", "mS/cm^2", "unknown unit 'mSiemens'; did you mean 'mS'?"),
        ("5 millivolts", "mV", "unknown unit 'millivolts'; did you mean 'mV'?"),
        ("5 mv", "mV", "unknown unit 'mv'; did you mean 'mV'?"),
        ("5 msec", "ms", "did you mean 'ms'?"),
        ("5 sec", "ms", "did you mean 's'?"),
        ("5 KHz", "Hz", "did you mean 'kHz'?"),
        ("5 ua/cm2", "uA/cm^2", "unknown unit 'ua'; did you mean 'uA'?"),
        ("5 microns", "um", "did you mean 'um'?"),
        ("37 celsius", "degC", "did you mean 'degC'?"),
        ("37 Kelvin", "degC", "did you mean 'K'?"),
        ("5 micrometers", "um", "did you mean 'um'?"),
        ("5 mumol", "mM", "did you mean 'umol'?"),
        ("5 xyzzy", "mV", "unknown unit 'xyzzy'"),
        ("5 kmin", "ms", "unknown unit 'kmin'"),
        # the wrong dimension: what was found, what is wanted, what would do
        ("5 mM", "uA/cm^2", "'5 mM' is a concentration; a current density in uA/cm^2 is wanted, write '10 uA/cm^2' or"),
        ("10 Hz", "ms", "'10 Hz' is a frequency; a time in ms is wanted"),
        ("10 Hz", "mS/cm^2", "'10 Hz' is a frequency; a conductance density"),
        ("5 mV", "degC", "'5 mV' is a voltage; a temperature in degC is wanted, write '37 degC' or '310.15 K'"),
        ("5 mV", "1", "'5 mV' is a voltage; a dimensionless number is wanted"),
        ("50 pA", "mS/cm^2", "'50 pA' is a current; a conductance density in mS/cm^2 is wanted"),
        ("5 kg/s", "mV", "'5 kg/s' is a quantity of dimension kg s^-1; a voltage"),
        ("37 C", "degC", "'37 C' is a charge; a temperature in degC is wanted; did you mean 'degC'?"),
        ("5 ms/cm^2", "mS/cm^2", "did you mean 'mS/cm^2'?"),
        ("5 mm", "mM", "'5 mm' is a length; a concentration in mM is wanted; did you mean 'mM'?"),
        # what needs a geometry
        ("50 pA", "uA/cm^2", "'50 pA' can become a current density in uA/cm^2 only with a membrane area; give"),
        ("100 MOhm", "mS/cm^2", "only with a membrane area"),
        ("0.3 nS/pF", "mS/cm^2", "only with a capacitance; give the membrane one"),
        ("0 MOhm", "nS", "'0 MOhm' is zero and has no inverse"),
        # what is not a number
        ("", "mV", "has no number; write a text such as '-65 mV'"),
        ("mV", "mV", "'mV' has no number"),
        ("fast", "ms", "'fast' has no number"),
        ("0,3 mV", "mV", "'0,3 mV' has a comma; the decimal sign is '.'"),
        ("nan", "mV", "'nan' is not a finite number"),
        ("NaN mV", "mV", "not a finite number"),
        ("inf mV", "mV", "'inf mV' is not a finite number"),
        (math.nan, "mV", "found nan"),
        ("1e999 mV", "mV", "'1e999 mV' is too large"),
        ("1e308 GV", "mV", "'1e308 GV' is too large"),
        (True, "mV", "found True (bool); a number in"),
        (None, "mV", "found None (NoneType)"),
        ([1.0], "mV", "a voltage in mV or a text such as '-65 mV' is wanted"),
        # temperatures
        (-300, "degC", "'-300' lies below absolute zero (-273.15 degC)"),
        ("-1 K", "degC", "'-1 K' lies below absolute zero"),
        # grammar
        ("10² mV", "mV", "unexpected '^2 mV'"),
        ("1 000 mM", "mM", "unexpected '000 mM'"),
        ("5 mV/", "mV", "the unit 'mV/' is incomplete"),
        ("5 mV//s", "mV/min", "unexpected '/'"),
        ("5 *mV", "mV", "unexpected '*'"),
        ("5 mol/(m^2 s", "mV", "is incomplete"),
        ("5 mV)", "mV", "unexpected ')'"),
        ("5 cm^0.5", "um", "unexpected"),
        ("5 mV^x", "mV", "unexpected '^x'"),
        ("5 10 mV", "mV", "unexpected '10 mV'"),
    ],
)
def test_errors(value, unit, essence):
    with pytest.raises(UnitError) as caught:
        parse_quantity(value, unit, where="pumped.toml, line 12, stimulus.amplitude")
    message = str(caught.value)
    assert message.startswith("pumped.toml, line 12, stimulus.amplitude: ")
    assert essence in message
    with pytest.raises(ValueError) as bare:
        parse_quantity(value, unit)
    assert str(bare.value) == message.removeprefix("pumped.toml, line 12, stimulus.amplitude: ")


@pytest.mark.parametrize("area", [0.0, -1.0, math.nan, math.inf])
def test_an_impossible_area_is_refused(area):
    with pytest.raises(UnitError, match="positive membrane area"):
        parse_quantity("50 pA", "uA/cm^2", area=area)


def test_errors_of_convert():
    with pytest.raises(UnitError, match="'5 mV' is a voltage; a time in ms is wanted"):
        convert(5.0, "mV", "ms")
    with pytest.raises(UnitError, match="'an array in mV' is a voltage"):
        convert(np.zeros(2), "mV", "ms")
    with pytest.raises(UnitError, match="unknown unit 'mX'"):
        pretty("mX")
