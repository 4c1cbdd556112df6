"""[[schedule]] and [[drug]] in experiment files: units, cells, published drugs, and errors that name file, line and field."""

import pathlib
import tomllib
from typing import Any

import numpy as np
import pytest

import jaxmem as jm
from jaxmem import units
from jaxmem.rig.protocol import check_changes
from jaxmem.study.changes_table import KnownDrug
from jaxmem.study.experiment import load

ROOT = pathlib.Path(__file__).parents[1]
DRUGS = tomllib.loads((ROOT / "data/drugs.toml").read_text(encoding="utf-8"))
HEAD = """
question = "What does it do?"
[membrane]
preset = "pumped_neuron"
[population]
cells = 3
[run]
duration = "2 s"
"""


@pytest.fixture
def read(tmp_path: pathlib.Path) -> Any:
    def read(text: str, *overrides: str) -> jm.Experiment:
        (tmp_path / "drugs.toml").write_text((ROOT / "data/drugs.toml").read_text(encoding="utf-8"), encoding="utf-8")
        (tmp_path / "it.toml").write_text(HEAD + text)
        return load(tmp_path / "it.toml", overrides)

    return read


def test_a_schedule_in_units_and_per_cell(read: Any) -> None:
    found = read("""
[[schedule]]
path = "k.outside"
times = ["1 s", 1200]
values = ["8000 uM", [3.5, "4 mM", 5]]
tau = "500 ms"
[[schedule]]
path = "celsius"
times = [0, 1000]
values = ["310.15 K", 33]
interpolation = "linear"
""")
    bath, cooling = found.changes
    first, second = bath.course.knots
    assert (bath.path, first.time, second.time, bath.course.tau) == ("k.outside", 1000.0, 1200.0, 500.0)
    assert first.value == pytest.approx(8.0) and list(second.value) == [3.5, 4.0, 5.0]
    assert cooling.course.interpolation == "linear" and cooling.course.knots[0].value == pytest.approx(37.0)
    few = found.part(np.array([2, 0]))
    assert list(few.changes[0].course.knots[1].value) == [5.0, 3.5] and few.cells == 2
    assert found.build().how["changes"] == found.changes


def test_a_published_drug_and_what_the_file_says_instead(read: Any) -> None:
    found = read("""
[[drug]]
name = "TTX"
file = "drugs.toml"
concentration = "10 nM"
[[drug]]
name = "bumetanide"
file = "drugs.toml"
target = "k_leak.g"
half = "2 uM"
hill = 1.5
efficacy = [1, 0.5, 0]
concentration = { times = ["0.5 s", "1 s"], values = ["5 uM", 0], tau = "0.1 s" }
[[drug]]
name = "mine"
target = "sodium.v_shift"
mode = "shift"
shift = "-5 mV"
half = "1 mM"
concentration = ["0 mM", "1 mM", 10]
""")
    ttx, bumetanide, mine = found.changes
    assert ttx.path == "sodium.g" and ttx.half == units.parse_quantity(DRUGS["TTX"]["half"], "mM") and ttx.hill == 1
    assert ttx.concentration.knots[0].value == pytest.approx(1e-5) and ttx.mode == "block"
    assert bumetanide.half == pytest.approx(2e-3) and bumetanide.hill == 1.5 and bumetanide.concentration.tau == 100.0
    assert list(bumetanide.efficacy) == [1, 0.5, 0]
    assert mine.shift == -5.0 and list(mine.concentration.knots[0].value) == [0.0, 1.0, 10.0]
    assert any("TTX on sodium.g: 1e-05 mM from 0 ms" in note and "squid" in note for note in found.notes)
    check_changes(found.membrane, found.changes)


def test_it_runs_and_can_be_overridden(read: Any) -> None:
    text = """
[[drug]]
name = "TTX"
file = "drugs.toml"
concentration = "10 nM"
[stimulus]
kind = "constant"
amplitude = 3
"""
    how = ("run.duration=25", "run.precision='float64'")
    some, none = read(text, *how, "drug.0.concentration=1 uM"), read(text, *how, "drug.0.concentration=0")
    assert (some.run().measures["spike_count"] == 0).all() and (none.run().measures["spike_count"] > 0).all()


def test_optional_parameters_can_be_given(read: Any) -> None:
    found = load_with_shift(read)
    assert found.membrane.mechanisms["sodium"].v_shift == 5.0


def load_with_shift(read: Any) -> jm.Experiment:
    return read("", 'sodium.v_shift="5 mV"')


@pytest.mark.parametrize(
    "text, place, told",
    [
        (
            '[[schedule]]\npath = "k.outsid"\ntimes = [1]\nvalues = [8]',
            "10: schedule[0].path",
            "did you mean 'k.outside'",
        ),
        ('[[schedule]]\npath = "k.inside"\ntimes = [1]\nvalues = [8]', "10: schedule[0].path", "cannot change in time"),
        (
            '[[schedule]]\npath = "capacitance"\ntimes = [1]\nvalues = [8]',
            "10: schedule[0].path",
            "cannot change in time",
        ),
        ('[[schedule]]\npath = "k.outside"\ntimes = [2, 1]\nvalues = [8, 3]', "9: schedule[0]", "times must increase"),
        ('[[schedule]]\npath = "k.outside"\ntimes = [2, 3]\nvalues = [8]', "9: schedule[0]", "2 times, 1 values"),
        (
            '[[schedule]]\npath = "k.outside"\ntimes = [2]\nvalues = ["8 mV"]',
            "12: schedule[0].values[0]",
            "is a voltage",
        ),
        ('[[schedule]]\npath = "k.outside"\ntimes = [2]\nvalues = [-8]', "12: schedule[0].values[0]", "at least 0 mM"),
        (
            '[[schedule]]\npath = "k.outside"\ntimes = [2]\nvalues = [[1, 2]]',
            "12: schedule[0].values[0]",
            "2 values for 3",
        ),
        (
            '[[schedule]]\npath = "k.outside"\ntimes = [2e3]\nvalues = [8]',
            "11: schedule[0].times",
            "the run ends at 2000",
        ),
        ('[[schedule]]\npath = "k.outside"\ntimes = [2]\nvalues = [8]\ntau = 0', "13: schedule[0].tau", "above 0"),
        ('[[schedule]]\npath = "k.outside"\ntimes = [2]\nvalues = [8]\ntua = 1', "13: schedule[0].tua", "'tau'"),
        (
            "[[schedule]]\ntimes = [2]\nvalues = [8]",
            "9: schedule[0].path",
            "is missing; it is the parameter that changes",
        ),
        ('[schedule]\npath = "k.outside"', "9: schedule", "[[schedule]]"),
        ('[[drug]]\nname = "TXT"\nfile = "drugs.toml"\nconcentration = 1', "10: drug[0].name", "did you mean 'TTX'"),
        ('[[drug]]\nname = "TTX"\nfile = "drug.toml"\nconcentration = 1', "11: drug[0].file", "there is no file"),
        (
            '[[drug]]\nname = "Ba"\nfile = "drugs.toml"\nconcentration = 1',
            "9: drug[0].target",
            "acts on inward rectifiers",
        ),
        ('[[drug]]\nname = "TTX"\nconcentration = 1\ntarget = "sodium.g"', "9: drug[0].half", "is missing"),
        ('[[drug]]\nname = "TTX"\nfile = "drugs.toml"', "9: drug[0].concentration", "is missing"),
        (
            '[[drug]]\nname = "TTX"\nfile = "drugs.toml"\nconcentration = "1 mV"',
            "12: drug[0].concentration",
            "is a voltage",
        ),
        (
            '[[drug]]\nname = "TTX"\nfile = "drugs.toml"\nconcentration = -1',
            "12: drug[0].concentration",
            "at least 0 mM",
        ),
        (
            '[[drug]]\nname = "TTX"\nfile = "drugs.toml"\nconcentration = 1\ntarget = "sodium.q10"',
            "13: drug[0].target",
            "cannot be blocked",
        ),
        (
            '[[drug]]\nname = "x"\nhalf = 1\nmode = "shift"\nconcentration = 1\ntarget = "sodium.v_shift"',
            "9: drug[0].shift",
            "is missing",
        ),
        (
            '[[drug]]\nname = "x"\ntarget = "sodium.g"\nhalf = 1\nmode = "open"\nconcentration = 1',
            "13: drug[0].mode",
            "'block', 'shift'",
        ),
        (
            '[[drug]]\nname = "x"\ntarget = "sodium.g"\nhalf = 1\nconcentration = {times = [1, 2], values = [1, "x"]}',
            "13: drug[0].concentration.values[1]",
            "'x'",
        ),
    ],
)
def test_what_is_wrong_is_named(read: Any, text: str, place: str, told: str) -> None:
    with pytest.raises(jm.ExperimentError) as error:
        read(text)
    assert len(error.value.problems) == 1, error.value
    assert f"it.toml:{place}: " in str(error.value) and told in str(error.value), error.value


# ---------------------------------------------------------------------- the table
def test_the_table_holds_what_is_asked_of_it() -> None:
    wanted = {"TTX", "TEA", "4-AP", "bumetanide", "VU0463271", "picrotoxin", "Ba", "ZD7288"}
    wanted |= {"ouabain_alpha1", "ouabain_alpha1_rodent", "ouabain_alpha2", "ouabain_alpha3"}
    assert wanted == set(DRUGS)


@pytest.mark.parametrize("name", DRUGS)
def test_every_drug_can_be_given(name: str) -> None:
    told = KnownDrug.model_validate(DRUGS[name])
    assert len(told.source) > 20 and len(told.preparation) > 10
    half = units.parse_quantity(told.half, "mM")
    assert 1e-7 < half < 10 and 0.5 < units.parse_quantity(told.hill, "1") < 4
    if told.target is not None:
        check_changes(jm.presets.pumped_neuron(), [jm.Drug(told.target, half, half)])


def test_rodents_resist_ouabain() -> None:
    half = {
        name: units.parse_quantity(DRUGS[f"ouabain_{name}"]["half"], "mM")
        for name in ("alpha1", "alpha1_rodent", "alpha2", "alpha3")
    }
    assert half["alpha1_rodent"] > 400 * half["alpha2"] > 400 * half["alpha3"]
    assert half["alpha1_rodent"] > 1000 * half["alpha1"]
