"""Experiment files: what they say becomes what is simulated, and everything wrong is told at once, with its line."""

import pathlib
import tomllib
from typing import Any

import numpy as np
import pytest

import jaxmem as jm
from jaxmem.study import experiment, population
from jaxmem.study.problems import ExperimentError, Override
from jaxmem.study.toml_lines import key_lines, nearest_line

ROOT = pathlib.Path(__file__).parents[1]

PLAIN = """\
question = "Does it run?"

[membrane]
preset = "pump_leak"

[population]
cells = 5
seed = 7

[population.vary]
k_leak.g = { distribution = "lognormal", sd = 0.2 }

[run]
duration = 2.0
dt = 0.05
"""


@pytest.fixture
def write(tmp_path: pathlib.Path) -> Any:
    def written(text: str = PLAIN, name: str = "e.toml") -> pathlib.Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return written


@pytest.fixture
def load(write: Any) -> Any:
    return lambda text=PLAIN, *overrides: experiment.load(write(text), overrides)


@pytest.fixture
def problems(load: Any, tmp_path: pathlib.Path) -> Any:
    """The problems of a text, without the directory."""

    def found(text: str, *overrides: str) -> list[str]:
        with pytest.raises(ExperimentError) as caught:
            load(text, *overrides)
        return [p.replace(f"{tmp_path}/", "") for p in caught.value.problems]

    return found


# ---------------------------------------------------------------------- lines
TRICKY = '''\
# a comment with [brackets] and = signs
title = "a # no comment, \\"quoted\\" = [x]"
text = """
[not.a.table]
key = 3 \\
"""
literal = \'\'\'it's = "fine"\'\'\'
"quoted.key" = 1
'single' . spaced = 2
[ a . "b.c" ]   # spaces and a comment
d = [ 1, # first
  [2, 3], { x = 1, y.z = "}" },
]
when = 2024-01-01T00:00:00Z
[[rows]]
k = 1
[rows.sub]
m = { n = { o = 1 } }
[[rows]]
k = -1.5e3
[[rows.deep]]
p = true
[[rows.deep]]
p = """a""""
'''


def paths_of(value: Any, path: tuple = ()) -> set[tuple]:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return {path}.union(*(paths_of(x, (*path, key)) for key, x in inside))


@pytest.mark.parametrize("text", [TRICKY, PLAIN, (ROOT / "data/species.toml").read_text(), ""])
def test_every_key_has_a_line(text: str) -> None:
    assert set(key_lines(text)) == paths_of(tomllib.loads(text))


def test_lines_are_right() -> None:
    lines = key_lines(TRICKY)
    for path, expected in {
        ("title",): 2, ("text",): 3, ("literal",): 7, ("quoted.key",): 8, ("single", "spaced"): 9, ("a", "b.c"): 10,
        ("a", "b.c", "d", 1, 0): 12, ("a", "b.c", "d", 2, "y", "z"): 12, ("rows", 0): 15,
        ("rows", 0, "sub", "m", "n"): 18,
        ("rows", 1, "k"): 20, ("rows", 1, "deep", 1, "p"): 24,
    }.items():  # fmt: skip
        assert lines[path] == expected, path
    assert nearest_line(lines, ("rows", 1, "deep", 1, "missing", 3)) == 23
    assert nearest_line(lines, ("nowhere",)) == 1


# ---------------------------------------------------------------------- what a file says
def test_a_plain_file(load: Any) -> None:
    e = load()
    assert (e.cells, e.seed, e.duration, e.dt, e.steps, e.precision) == (5, 7, 2.0, 0.05, 40, "float32")
    assert e.preset == "pump_leak" and e.initial == "given" and e.stimulus is None and e.varied == ("k_leak.g",)
    assert e.membrane.cells == 5
    assert "spike_count" in e.measures and "atp" in e.measures


def test_numbers_with_units_are_the_bare_ones(load: Any) -> None:
    bare = load(
        PLAIN.replace('"pump_leak"', '"pump_leak"\ncelsius = 35\n[membrane.parameters]\nk_leak.g = 0.06')
        + '[stimulus]\nkind = "step"\namplitude = 1.0\nstart = 0.5\nstop = 1.5\n'
    )
    dressed = load(
        PLAIN.replace(
            '"pump_leak"', '"pump_leak"\ncelsius = "308.15 K"\n[membrane.parameters]\n"k_leak.g" = "0.6 S/m^2"'
        )
        .replace("2.0", '"0.002 s"')
        .replace("0.05", '"50 us"')
        + '[stimulus]\nkind = "step"\namplitude = "0.01 A/m^2"\nstart = "500 us"\nstop = "1.5 ms"\n'
    )
    assert bare.dt == dressed.dt and bare.duration == dressed.duration
    assert bare.stimulus == dressed.stimulus
    one, other = bare.membrane.parameters(), dressed.membrane.parameters()
    for path in one:
        np.testing.assert_allclose(one[path].value, other[path].value, rtol=1e-14, err_msg=path)
    assert one["celsius"].value == 35.0


def test_whole_cell_units_use_the_geometry(load: Any) -> None:
    text = PLAIN.replace('"pump_leak"', '"pump_leak"\n[membrane.parameters]\nk_leak.g = "2 nS"')
    e = load(text + '[stimulus]\nkind = "constant"\namplitude = "50 pA"\n[membrane.geometry]\ncapacitance = "20 pF"\n')
    area = float(e.membrane.geometry.area)  # um^2
    np.testing.assert_allclose(area, 2000.0)
    np.testing.assert_allclose(e.stimulus.amplitude, 50e-6 / (area * 1e-8), rtol=1e-12)  # pA to uA, um^2 to cm^2
    np.testing.assert_allclose(np.median(e.membrane.parameters()["k_leak.g"].value), 2e-6 / (area * 1e-8), rtol=0.5)


def test_geometries(load: Any) -> None:
    def shape(*lines: str) -> Any:
        return load(PLAIN + "[membrane.geometry]\n" + "\n".join(lines)).membrane.geometry

    tube = shape('kind = "cylinder"', "diameter = 2", 'length = "0.1 mm"', "outside_volume_fraction = 0.2")
    assert isinstance(tube, jm.Cylinder) and (tube.diameter, tube.length) == (2.0, 100.0)
    assert tube.outside_volume_fraction == 0.2
    measured = shape("area = 500", "volume = 1000")
    assert isinstance(measured, jm.AreaVolume) and measured.depth == 2.0
    only_outside = shape('outside_volume_fraction = "20 %"')
    assert isinstance(only_outside, jm.Sphere) and only_outside.outside_volume_fraction == 0.2
    assert only_outside.radius == jm.presets.pump_leak().geometry.radius


SPECIES = f"""
[membrane.species]
file = "{ROOT / "data/species.toml"}"
set = "mammalian_neuron"
dynamic = ["na", "k.outside", "k"]
k = {{ outside = "5 mM" }}
"""


def test_species_from_a_set(load: Any) -> None:
    species = load(PLAIN + SPECIES).membrane.species
    published = tomllib.loads((ROOT / "data/species.toml").read_text())["mammalian_neuron"]["species"]
    assert species["na"].outside == published["na"]["outside"] and species["hco3"].valence == -1
    assert species["k"].outside == 5.0 and species["k"].inside == published["k"]["inside"]
    assert {name: set(s.dynamic) for name, s in species.items() if s.dynamic} == {
        "na": {"inside"}, "k": {"inside", "outside"},
    }  # fmt: skip
    assert species["atp"].inside == jm.presets.pump_leak().species["atp"].inside
    for side in ("inside", "outside"):
        charge = sum(s.valence * getattr(s, side) for s in species.values())
        assert abs(charge) < 1e-9


def test_a_parameter_is_set_before_charge_is_balanced(load: Any) -> None:
    species = load(PLAIN + SPECIES, "na.outside=150 mM").membrane.species
    assert species["na"].outside == 150.0
    assert abs(sum(s.valence * s.outside for s in species.values())) < 1e-9


def test_inline_species(load: Any) -> None:
    text = PLAIN + '[membrane.species]\nna = { inside = 12, dynamic = false }\nother = "balances charge"\n'
    text += 'ca = { inside = "100 nM", outside = 1.2, valence = 2, dynamic = ["inside", "outside"] }\n'
    species = load(text).membrane.species
    preset = jm.presets.pump_leak().species
    assert species["na"].inside == 12.0 and species["na"].outside == preset["na"].outside
    assert species["na"].dynamic == () and species["ca"].dynamic == ("inside", "outside")
    np.testing.assert_allclose(species["ca"].inside, 1e-4)
    assert abs(sum(s.valence * s.inside for s in species.values())) < 1e-9


def test_balance_and_what_is_set_by_hand(load: Any) -> None:
    text = PLAIN.replace('"pump_leak"', '"pump_leak"\nbalance = { v = "-65 mV" }')
    e = load(text)
    expected = jm.balance(jm.presets.pump_leak(), v=-65.0).parameters()
    assert e.notes == ()
    found = e.membrane.parameters()
    for path in ("pump.i_max", "na_leak.g", "cl.inside"):
        np.testing.assert_allclose(found[path].value, expected[path].value, rtol=1e-12)
    assert np.all(np.asarray(found["initial_v"].value) == -65.0)
    by_hand = load(text, "pump.i_max=1.2 uA/cm^2")
    assert by_hand.membrane.parameters()["pump.i_max"].value == 1.2
    assert "pump.i_max is 1.2 uA/cm^2 as given" in by_hand.notes[0]
    assert by_hand.membrane.parameters()["na_leak.g"].value == found["na_leak.g"].value


def test_a_current_without_a_carrier_is_pointed_out(load: Any) -> None:
    step = '[stimulus]\nkind = "step"\namplitude = 10\nstart = 0\nstop = "1 min"\ncarrier = "none"\n'
    (note,) = load(PLAIN + step, "run.duration=1 min").notes
    assert "will miss up to 18.7 mM" in note  # 10 uA/cm^2 for a minute at a radius of 10 um
    assert load(PLAIN + step.replace('"none"', '"k"')).notes == ()


def test_traces(load: Any) -> None:
    def chosen(cells: str) -> Any:
        e = load(PLAIN + f'[[output.traces]]\nvariables = ["v", "currents"]\nevery = "100 us"\ncells = {cells}\n')
        return None if e.records[0].cells is None else list(e.records[0].cells)

    assert chosen('"all"') is None
    assert chosen("2") == [0, 1]
    assert chosen("[4, 0]") == [4, 0]
    assert chosen("{ spread = 3 }") == [0, 2, 4]
    assert chosen("{ spread = 100 }") == [0, 1, 2, 3, 4]


# ---------------------------------------------------------------------- the population
def test_a_cell_does_not_depend_on_its_company() -> None:
    few, many = (population.standard_normal(3, "sodium.g", n) for n in (7, 1000))
    np.testing.assert_array_equal(few, many[:7])
    assert not np.array_equal(few, population.standard_normal(4, "sodium.g", 7))
    assert not np.array_equal(few, population.standard_normal(3, "potassium.g", 7))
    matrix = np.array([[1, 0.6, 0.3], [0.6, 1, 0.5], [0.3, 0.5, 1]])
    draw = lambda n: population.correlated([population.standard_normal(3, p, n) for p in "abc"], matrix)
    for short, long in zip(draw(7), draw(1000), strict=True):
        np.testing.assert_array_equal(short, long[:7])


def test_draws_are_normal() -> None:
    z = population.standard_normal(1, "k_leak.g", 200_000)
    moments = z.mean(), z.var(), (z**3).mean(), (z**4).mean()
    np.testing.assert_allclose(moments, (0, 1, 0, 3), atol=0.05)


def test_more_cells_or_another_parameter_change_nothing(load: Any) -> None:
    few = load().membrane.parameters()["k_leak.g"].value
    many = load(PLAIN, "population.cells=50").membrane.parameters()["k_leak.g"].value
    more = load(PLAIN.replace("k_leak.g =", 'na_leak.g = { distribution = "normal", cv = 0.1 }\nk_leak.g ='))
    np.testing.assert_array_equal(few, many[:5])
    np.testing.assert_array_equal(few, more.membrane.parameters()["k_leak.g"].value)
    other = load(PLAIN, "population.seed=8").membrane.parameters()["k_leak.g"].value
    assert not np.any(few == other)


@pytest.mark.parametrize(
    ("spread", "median", "mean", "sd"),
    [
        ('distribution = "lognormal", sd = 0.3', 0.05, 0.05 * np.exp(0.045), None),
        ('distribution = "lognormal", cv = "30 %", mean = "0.1 mS/cm^2"', None, 0.1, 0.03),
        ('distribution = "lognormal", cv = 0.3, median = 0.2', 0.2, None, None),
        ('distribution = "normal", sd = 0.004', 0.05, 0.05, 0.004),
        ('distribution = "normal", cv = 0.1, mean = 0.2', 0.2, 0.2, 0.02),
        ('distribution = "uniform", low = 0.1, high = "0.4 mS/cm^2"', 0.25, 0.25, 0.3 / np.sqrt(12)),
    ],
)
def test_distributions(load: Any, spread: str, median: float, mean: float, sd: float) -> None:
    vary = PLAIN.index("k_leak.g")
    text = PLAIN[:vary] + f"k_leak.g = {{ {spread} }}\n" + PLAIN[PLAIN.index("[run]") :]
    x = load(text, "population.cells=40000").membrane.parameters()["k_leak.g"].value
    for found, expected in ((np.median(x), median), (x.mean(), mean), (x.std(), sd)):
        if expected is not None:
            np.testing.assert_allclose(found, expected, rtol=0.02)


def test_values_and_a_varied_stimulus(load: Any) -> None:
    text = PLAIN.replace(
        'k_leak.g = { distribution = "lognormal", sd = 0.2 }',
        'stimulus.amplitude = { distribution = "values", values = [0, 1, "2 uA/cm^2", 3, 4] }',
    )
    e = load(text + '[stimulus]\nkind = "constant"\namplitude = 1\n')
    np.testing.assert_array_equal(e.stimulus.amplitude, [0, 1, 2, 3, 4])
    assert e.membrane.cells == 5


def test_correlation(load: Any) -> None:
    text = PLAIN.replace("k_leak.g =", 'na_leak.g = { distribution = "uniform", low = 0, high = 1 }\nk_leak.g =')
    text += '[[population.correlation]]\nbetween = ["na_leak.g", "k_leak.g"]\nr = -0.7\n'
    p = load(text, "population.cells=20000").membrane.parameters()
    from scipy.stats import norm

    found = np.corrcoef(norm.ppf(p["na_leak.g"].value), np.log(p["k_leak.g"].value))[0, 1]
    np.testing.assert_allclose(found, -0.7, atol=0.02)


# ---------------------------------------------------------------------- what is wrong
@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('"pump_leak"', '"pump_leek"', ":4: membrane.preset: there is no preset 'pump_leek'; did you mean 'pump_leak'"),
        ("preset =", "presett =", ":4: membrane.presett: there is no key 'presett' here; did you mean 'preset'?"),
        ('preset = "pump_leak"', "", ":3: membrane.preset: is missing; it is the name of a published membrane"),
        ('question = "Does it run?"', "", ":1: question: is missing; it is the question"),
        ("[membrane]", "[membran]", ":3: membran: there is no key 'membran' here; did you mean 'membrane'?"),
        ("cells = 5", "cells = 5.5", ":7: population.cells: a whole number is wanted; found 5.5"),
        ("cells = 5", "cells = 0", ":7: population.cells: must be at least 1; found 0"),
        (
            "k_leak.g",
            "k_leek.g",
            ":11: population.vary.k_leek.g: there is no parameter 'k_leek.g'; did you mean 'k_lea",
        ),
        ("sd = 0.2", "sd = -0.2", ":11: population.vary.k_leak.g: sd must be at least 0; found -0.2"),
        ("sd = 0.2", 'sd = "0.2 mV"', ":11: population.vary.k_leak.g: sd: '0.2 mV' is a voltage"),
        ("sd = 0.2", "sd = true", ":11: population.vary.k_leak.g.sd: found True; a number or a text with a unit"),
        (", sd = 0.2", "", ":11: population.vary.k_leak.g: lognormal needs sd or cv"),
        ("sd = 0.2", "sd = 1, values = [2]", ":11: population.vary.k_leak.g: lognormal has no values"),
        (
            '"lognormal", sd = 0.2',
            '"normal", sd = 0.5',
            ":11: population.vary.k_leak.g: must be at least 0 mS/cm^2; fo",
        ),
        ('"lognormal", sd = 0.2', '"values", values = [1]', ":11: population.vary.k_leak.g: 1 values for 5 cells"),
        ("duration = 2.0", "duration = -2", ":14: run.duration: must be above 0; found -2"),
        ("duration = 2.0", 'duration = "2 mV"', ":14: run.duration: '2 mV' is a voltage; a time in ms is wanted"),
        ("duration = 2.0", "duration = inf", ":14: run.duration: must be finite; found inf"),
        (
            "duration = 2.0",
            "duration = 2.01",
            ":14: run.duration: dt 0.05 ms does not divide 2.01 ms; the nearest inte",
        ),
        ("dt = 0.05", "dt = 0", ":15: run.dt: must be above 0; found 0"),
        (
            "dt = 0.05",
            "dt = 0.05\nprecision = 'half'",
            ":16: run.precision: found 'half'; allowed are 'float32', 'float",
        ),
        ("dt = 0.05", "dt = = 1", ":15: this is not valid TOML"),
    ],
)
def test_an_error_names_line_and_field(problems: Any, old: str, new: str, expected: str) -> None:
    assert PLAIN.count(old) == 1
    found = problems(PLAIN.replace(old, new))
    assert any(p.startswith(f"e.toml{expected}") for p in found), found


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ('[initial]\nstate = "rest"', ":17: initial.state: found 'rest'; allowed are 'given', 'steady'"),
        ('[stimulus]\nkind = "stair"', ":17: stimulus.kind: found 'stair'; allowed are 'none', 'constant', 'step'"),
        ('[stimulus]\nkind = "constant"', ":16: stimulus: the amplitude is missing"),
        ('[stimulus]\nkind = "constant"\namplitude = "1 mV"', ":18: stimulus.amplitude: '1 mV' is a voltage; a curre"),
        ('[stimulus]\nkind = "constant"\namplitude = 1\nstop = 3', ":16: stimulus: a stimulus of kind 'constant' has"),
        ('[stimulus]\nkind = "step"\namplitude = 1\nstart = 3\nstop = 2', ":16: stimulus: a step stops after it star"),
        ('[stimulus]\nkind = "step"\namplitude = 1\nstart = 3\nstop = 4', ":19: stimulus.start: found 3 ms, but the "),
        ('[stimulus]\nkind = "constant"\namplitude = 1\ncarrier = "zn"', ":19: stimulus.carrier: the carrier 'zn' is "),
        ("[membrane.geometry]\nradius = 0", ":17: membrane.geometry.radius: must be above 0; found 0"),
        ('[membrane.geometry]\nkind = "cylinder"\nradius = 3', ":16: membrane.geometry: a cylinder has no radius; it "),
        (
            '[membrane.geometry]\nradius = 3\ncapacitance = "3 pF"',
            ":16: membrane.geometry: a sphere has a radius or a ",
        ),
        ("[membrane.geometry]\ndiameter = 3", ":16: membrane.geometry: a cylinder also needs length"),
        ("[membrane.parameters]\nk_leak.g = -1", ":17: membrane.parameters.k_leak.g: must be at least 0 mS/cm^2; foun"),
        ("[membrane.parameters]\nk_leak.g = nan", ":17: membrane.parameters.k_leak.g: found nan; a number is wanted"),
        (
            "[membrane.parameters]\nnai = 12",
            ":17: membrane.parameters.nai: there is no parameter 'nai'; did you mean '",
        ),
        ('[membrane.parameters]\ncelsius = "-1 K"', ":17: membrane.parameters.celsius: '-1 K' lies below absolute zer"),
        ("[membrane.species]\nna = { inside = -1 }", ":17: membrane.species.na.inside: must be at least 0; found -1"),
        ("[membrane.species]\nna = { insde = 1 }", ":17: membrane.species.na.insde: there is no key 'insde' here; did"),
        ("[membrane.species]\nzn = { inside = 1, outside = 1 }", ":17: membrane.species.zn: a new species needs a val"),
        (
            "[membrane.species]\nna = { dynamic = 'both' }",
            ":17: membrane.species.na.dynamic: found 'both'; allowed are",
        ),
        ("[membrane.species]\nfil = 'x'", ":17: membrane.species.fil: found 'x'; a species is a table such as"),
        ("[membrane.species]\nfile = 'none.toml'\nset = 'x'", ":17: membrane.species.file: there is no file"),
        ("[membrane.species]\ndynamic = ['zn']", ":17: membrane.species.dynamic[0]: found 'zn'; a species such as"),
        (
            SPECIES.replace("mammalian_neuron", "mammal_neuron"),
            ":19: membrane.species.set: there is no set 'mammal_neu",
        ),
        ("[membrane.balance]\nv = 500", ":16: membrane.balance: no cell can stand still at 500 mV"),
        (
            "[membrane.balance]\nv = -70\nsolve = 1",
            ":18: membrane.balance.solve: there is no key 'solve' here; did you",
        ),
        ('[output]\nmeasures = ["spikes"]', ":17: output.measures[0]: there is no measure 'spikes'; "),
        (
            '[[output.traces]]\nvariables = ["v", "V"]',
            ":17: output.traces[0].variables[1]: there is no variable to rec",
        ),
        (
            '[[output.traces]]\nvariables = ["v"]\nevery = 0.12',
            ":18: output.traces[0].every: dt 0.05 ms does not divid",
        ),
        (
            '[[output.traces]]\nvariables = ["v"]\ncells = [5]',
            ":18: output.traces[0].cells: there is no cell 5; cells ",
        ),
        ('[[output.traces]]\nvariables = ["v"]\ncells = 0', ":18: output.traces[0].cells: found 0; allowed are 'all',"),
        ('[[output.traces]]\nvariables = ["v"]\n' * 2, ":18: output.traces[1]: 'v' is recorded by output.traces[0] to"),
        (
            '[[population.correlation]]\nbetween = ["k_leak.g", "na_leak.g"]\nr = 0.5',
            ":17: population.correlation[0].b",
        ),
        (
            '[[population.correlation]]\nbetween = ["k_leak.g", "k_leak.g"]\nr = 2',
            ":18: population.correlation[0].r: mu",
        ),
    ],
)
def test_an_error_in_another_table(problems: Any, lines: str, expected: str) -> None:
    found = problems(PLAIN + lines + "\n")
    assert any(p.startswith(f"e.toml{expected}") for p in found), found


def test_all_errors_come_at_once_in_the_order_of_the_file(problems: Any) -> None:
    wrong = {
        '"pump_leak"': '"pump_leak"\ncelcius = 3\ncapacitance = -1', "cells = 5": 'cells = "many"',
        "sd = 0.2": "sd = -1", "dt = 0.05": "dt = 0\nprecision = 1",
    }  # fmt: skip
    text = PLAIN
    for old, new in wrong.items():
        text = text.replace(old, new)
    found = problems(text + '[output]\nmeasures = ["x"]\n')
    fields = [p.split(": ")[1] for p in found]
    assert fields == [
        "membrane.celcius", "membrane.capacitance", "population.cells", "population.vary.k_leak.g", "run.dt",
        "run.precision", "output.measures[0]",
    ]  # fmt: skip
    lines = [int(p.split(":")[1]) for p in found]
    assert lines == sorted(lines)


def test_contradicting_correlations(problems: Any) -> None:
    more = [f'{path} = {{ distribution = "lognormal", sd = 0.1 }}\n' for path in ("na_leak.g", "pump.i_max")]
    text = PLAIN.replace("k_leak.g =", "".join([*more, "k_leak.g ="]))
    for a, b, r in (("na_leak.g", "pump.i_max", 0.9), ("na_leak.g", "k_leak.g", 0.9), ("pump.i_max", "k_leak.g", -0.9)):
        text += f'[[population.correlation]]\nbetween = ["{a}", "{b}"]\nr = {r}\n'
    (found,) = problems(text)
    assert "population.correlation: these correlations contradict each other" in found
    assert "not positive definite" in found


def test_a_file_that_is_no_text(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "e.toml"
    path.write_bytes(b"question = '\xff\xfe'")
    with pytest.raises(ExperimentError, match="no text file in UTF-8"):
        experiment.load(path)
    with pytest.raises(FileNotFoundError):
        experiment.load(tmp_path / "missing.toml")


# ---------------------------------------------------------------------- overrides
def test_overrides(load: Any) -> None:
    e = load(
        PLAIN, "run.dt=0.1", "population.cells=3", "population.vary.k_leak.g.sd=0", "k_leak.g=0.07", "question=Why?",
        'output.traces=[{variables=["v"], every=1}]',
    )  # fmt: skip
    assert (e.dt, e.cells, e.question) == (0.1, 3, "Why?")
    np.testing.assert_allclose(e.membrane.parameters()["k_leak.g"].value, [0.07] * 3, rtol=1e-15)
    assert e.records[0].every == 1.0
    assert e.text.startswith(PLAIN) and "# overridden: --set run.dt=0.1\n" in e.text
    again = load(PLAIN, "output.traces=[{variables=['v']}]", "output.traces.0.every=0.5")
    assert again.records[0].every == 0.5


def test_override_errors_name_the_option(problems: Any, load: Any) -> None:
    assert problems(PLAIN, "run.dt=0") == ["--set run.dt=0: run.dt: must be above 0; found 0"]
    assert problems(PLAIN, "pmp.i_max=3")[0].startswith("--set pmp.i_max=3: membrane.parameters.pmp.i_max: there is no")
    assert "did you mean 'run.dt'?" in problems(PLAIN, "runn.dt=3")[0]
    assert "write path=value" in problems(PLAIN, "run.dt")[0]
    assert "there is no 'output.traces.3.every' to set" in problems(PLAIN, "output.traces.3.every=1")[0]
    with pytest.raises(ExperimentError, match=r"^--seed -1: population\.seed: must be at least 0"):
        load(PLAIN, Override("population.seed", -1, "--seed -1"))


# ---------------------------------------------------------------------- running
def test_a_run_is_reproducible_and_a_cell_needs_no_company(load: Any) -> None:
    text = PLAIN + '[[output.traces]]\nvariables = ["v", "na.inside"]\nevery = 0.5\n'
    one, again, many = load(text).run(), load(text).run(), load(text, "population.cells=9").run()
    for name in one.traces:
        np.testing.assert_array_equal(one.traces[name], again.traces[name])
        np.testing.assert_array_equal(one.traces[name], many.traces[name][:, :5])


@pytest.mark.slow
def test_cells_without_a_steady_state_are_counted_as_failed(load: Any) -> None:
    # a pump without a K+ leak fills the cell for ever
    text = PLAIN.replace('"lognormal", sd = 0.2', '"values", values = [0.05, 0.05, 0.05, 0, 0.06]')
    sim = load(text + '[initial]\nstate = "steady"\n').run()
    np.testing.assert_array_equal(sim.status == jm.Status.NO_STEADY_STATE, [False, False, False, True, False])
    assert sim.failures == {jm.Status.NO_STEADY_STATE.reason: 1}
    rest = sim.measures["resting_potential"]
    np.testing.assert_array_equal(np.isnan(rest), sim.status != jm.Status.OK)
    assert np.all(np.abs(sim.measures["drift"][[0, 4]]) < 0.1)


def test_the_main_experiment() -> None:
    """Physiology of the shipped experiment, with fewer cells and without traces."""
    e = experiment.load(ROOT / "experiments/pumped_population.toml", ["population.cells=256", "output.traces=[]"])
    sim = e.run()
    spikes, rest = sim.measures["spike_count"], sim.measures["resting_potential"]
    assert sim.failures == {}
    assert 0.1 < np.mean(spikes == 0) < 0.4
    assert np.all(np.abs(sim.measures["drift"]) < 0.1)
    low, middle, high = np.quantile(rest, (0.05, 0.5, 0.95))
    assert -80 < low < middle < high < -60 and abs(middle + 70) < 1
    assert not np.any(sim.measures["first_spike_time"] < 200)
    assert sim.audit.worst_charge < 1e-4 and sim.audit.worst_mass < 1e-4


def test_the_integrator_is_named_in_the_file(load: Any) -> None:
    methods = {"rk4": jm.RungeKutta4(), "rush_larsen": jm.RushLarsen(), "adaptive": jm.Adaptive()}
    for name, method in methods.items():
        assert type(load(PLAIN, f'run.integrator="{name}"').integrator) is type(method)
    chosen = load(PLAIN, 'run.integrator="adaptive"', "run.rtol=1e-5")
    assert chosen.integrator == jm.Adaptive(rtol=1e-5) and chosen.build().how["integrator"] == jm.Adaptive(rtol=1e-5)
    with pytest.raises(jm.ExperimentError, match="belong to integrator"):
        load(PLAIN, "run.rtol=1e-5")
