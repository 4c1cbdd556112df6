"""Files of scans: what they say becomes a plan, overrides too, and everything wrong is told at once, with its line."""

import pathlib
from typing import Any

import numpy as np
import pytest

import jaxmem as jm
from jaxmem.study import experiment, fit_table
from jaxmem.study.problems import ExperimentError, Override
from jaxmem.study.scanning.file import load_scan

REST = """\
question = "Where does it rest?"

[membrane]
preset = "pump_leak"

[scan]
ask = "rest"
design = "grid"
keep = ["v", "na.inside"]

[scan.axes]
na_leak.g = { low = 0.01, high = 0.5, scale = "log", times = "k_leak.g", points = 4, name = "leak_ratio" }
k.outside = { low = "2 mM", high = "0.02 M", points = 3 }
initial_v = { values = ["-90 mV", "-0.06 V"] }

[scan.regions]
"rests well" = "v between -72 mV and -68 mV"
"""
SIMULATION = """\
question = "Does it fire?"

[membrane]
preset = "pumped_neuron"

[membrane.geometry]
kind = "sphere"
radius = "10 um"

[stimulus]
kind = "step"
amplitude = "25 pA"
start = "1 ms"
stop = "4 ms"

[run]
duration = "5 ms"
precision = "float64"

[output]
measures = ["spike_count", "maximum_v"]

[scan]
ask = "simulation"
design = "sobol"
points = 8
seed = 3

[scan.axes]
stimulus.amplitude = { low = "0 pA", high = "50 pA" }
sodium.g = { low = 0.8, high = 1.2, times = "sodium.g", name = "channels" }
"""


@pytest.fixture
def write(tmp_path: pathlib.Path) -> Any:
    def written(text: str, name: str = "scan.toml") -> pathlib.Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return written


@pytest.fixture
def load(write: Any) -> Any:
    return lambda text, *overrides: load_scan(write(text), overrides)


@pytest.fixture
def problems(load: Any, tmp_path: pathlib.Path) -> Any:
    def found(text: str, *overrides: str) -> list[str]:
        with pytest.raises(ExperimentError) as caught:
            load(text, *overrides)
        return [p.replace(f"{tmp_path}/", "") for p in caught.value.problems]

    return found


# ---------------------------------------------------------------------- what a file says
def test_a_grid_of_rests(load: Any) -> None:
    plan = load(REST)
    assert plan.title == "Where does it rest?" and plan.question.kind == "rests" and plan.points == 24
    assert plan.text == REST and plan.regions == {"rests well": "v between -72 mV and -68 mV"} and plan.chunk == 0
    assert plan.question.membrane.cells is None and plan.question.keep == ("v", "na.inside")
    assert plan.design.told["shape"] == [4, 3, 2]
    x = plan.design.values(0, 24)
    assert list(x) == ["leak_ratio", "k.outside", "initial_v"]
    assert sorted(set(x["k.outside"])) == [2.0, 11.0, 20.0] and set(x["initial_v"]) == {-90.0, -60.0}
    assert (x["leak_ratio"][0], x["leak_ratio"][-1]) == (0.01, 0.5)
    told = plan.design.told["axes"]
    assert told["k.outside"]["unit"] == "mM" and told["leak_ratio"]["times"] == "k_leak.g"


def test_axes_become_parameters(load: Any) -> None:
    plan = load(REST, "k_leak.g=0.2")
    x = plan.design.values(0, plan.points)
    values = plan.parameters(x)
    np.testing.assert_allclose(values["na_leak.g"], x["leak_ratio"] * 0.2, rtol=1e-14)
    assert list(values) == ["na_leak.g", "k.outside", "initial_v"] and not plan.outside(values).any()


@pytest.mark.slow
def test_a_simulation(load: Any) -> None:
    plan = load(SIMULATION)
    assert plan.question.kind == "simulations" and plan.question.precision == "float64" and plan.points == 8
    assert plan.question.duration == 5.0 and plan.question.initial == "given"
    assert plan.design == jm.designs.Sobol(plan.design.axes, 8, seed=3)
    axis = plan.design.axes["stimulus.amplitude"]
    area = float(plan.question.membrane.geometry.area)
    assert axis.high == jm.units.parse_quantity("50 pA", "uA/cm^2", area=area) and axis.unit == "uA/cm^2"
    values = plan.parameters(plan.design.values(0, 8))
    found, _ = plan.question.answer(values, np.arange(8))
    assert {"spike_count", "maximum_v", "status"} <= set(found)
    order = np.argsort(values["stimulus.amplitude"])
    assert found["maximum_v"][order[-1]] > found["maximum_v"][order[0]]


def test_the_same_file_is_simulated_and_rests_as_one_cell(write: Any) -> None:
    assert experiment.load(write(SIMULATION)).cells == 1
    assert experiment.load(write(REST), rest=True).cells == 1


def test_the_file_of_a_fit_may_have_a_scan() -> None:
    root = pathlib.Path(__file__).parents[1]
    path = root / "experiments/fit_resting_potentials.toml"
    assert "scan" in fit_table.FitFileTable.model_fields and path.exists()


def test_overrides(load: Any) -> None:
    plan = load(
        REST,
        "scan.axes.k.outside.points=5",
        "scan.axes.k.outside.high=12 mM",
        "scan.chunk=7",
        "k_leak.g=0.2",
        "scan.axes.na_leak.g={ low = 0.1, high = 0.2, points = 2 }",
        "scan.regions.odd=v > 0 and k.outside < 3 uM and status is ok",
        'scan.keep=["v"]',
    )
    assert plan.design.told["shape"] == [2, 5, 2] and plan.chunk == 7 and plan.question.keep == ("v",)
    assert plan.design.axes["k.outside"].high == 12.0
    assert load(REST, "scan.axes.initial_v.values=[-70]").design.told["shape"] == [4, 3, 1]
    assert list(plan.regions) == ["rests well", "odd"]
    assert float(plan.question.membrane.parameters()["k_leak.g"].value) == 0.2
    assert "# overridden: --set scan.chunk=7" in plan.text and "# overridden: --set k_leak.g=0.2" in plan.text
    # what was said in its place can be said again, as merging does
    path, changes = plan.source
    again = load_scan(path, changes)
    assert again.identity == plan.identity and again.design == plan.design
    sobol = load(SIMULATION, "scan.points=1000", Override("scan.seed", 9, "--seed 9"))
    assert (sobol.points, sobol.design.told["seed"]) == (1000, 9)
    assert load_scan(*sobol.source).identity == sobol.identity != load(SIMULATION).identity


def test_every_design(load: Any, tmp_path: pathlib.Path) -> None:
    ranges = REST.replace(", points = 4", "").replace(", points = 3", "").replace("initial_v = { values", "#")
    for kind in ("sobol", "latin_hypercube", "random"):
        plan = load(ranges.replace('design = "grid"', f'design = "{kind}"\npoints = 100\nseed = 4'))
        assert plan.design.told["kind"] == kind and plan.points == 100 and plan.design.told["seed"] == 4
    plan = load(ranges.replace('design = "grid"', 'design = "sensitivity"\npoints = 64'))
    assert plan.design.told["kind"] == "sensitivity" and plan.points == 64 * 4
    nested = REST.replace(", points = 4", "").replace('"grid"', '"nested"\npoints = 50\ninner = "latin_hypercube"')
    plan = load(nested)
    assert plan.points == 6 * 50 and plan.design.inner.told["kind"] == "latin_hypercube"
    assert list(plan.design.outer.axes) == ["k.outside", "initial_v"]
    (tmp_path / "points.csv").write_text("ratio,K\n0.1,2000\n0.2,3000\n0.3,5000\n")
    listed = REST[: REST.index("[scan.axes]")].replace('"grid"', '"list"\ntable = "points.csv"') + (
        '[scan.axes]\nk.outside = { column = "K", unit = "uM" }\n'
        'na_leak.g = { column = "ratio", times = "k_leak.g", name = "leak_ratio" }\n'
    )
    plan = load(listed)
    x = plan.design.values(0, 3)
    assert x["k.outside"].tolist() == [2.0, 3.0, 5.0] and x["leak_ratio"].tolist() == [0.1, 0.2, 0.3]
    (tmp_path / "points.csv").write_text("ratio,K\n0.1,2000\n,3000\n")
    with pytest.raises(ExperimentError, match=r"scan.toml:14: .*points.csv:3: .* has no number .* leave the row out"):
        load(listed)
    (tmp_path / "points.csv").write_text("leak_ratio,K\n0.1,2000\n")  # a column has the axis' name
    named = listed.replace('column = "ratio", ', "")
    assert load(named).design.values(0, 1)["leak_ratio"].tolist() == [0.1]
    (tmp_path / "points.csv").write_text("ratio,K\n0.1,2000\n")
    with pytest.raises(ExperimentError, match=r"na_leak.g: points.csv has no column 'leak_ratio'; .* are ratio, K"):
        load(named)
    with pytest.raises(ExperimentError, match=r"there is no file"):
        load(listed, f"scan.table={tmp_path / 'none.csv'}")


# ---------------------------------------------------------------------- everything wrong at once
def test_all_problems_are_told_with_their_lines(problems: Any) -> None:
    text = (
        REST.replace('"pump_leak"', '"pump_leak"\nceslius = 37')
        .replace('"v", "na.inside"', '"v", "atp_per_secnd"')
        .replace("low = 0.01, high = 0.5", "low = 0.5, high = 0.01")
        .replace('"log"', '"logarithmic"')
        .replace("k.outside = ", "k.outsid = ")
        .replace('"-0.06 V"', '"-60 mM"')
    )
    found = problems(text)
    assert [p.split(": ")[0] for p in found] == [
        "scan.toml:5",
        "scan.toml:13",
        "scan.toml:13",
    ]  # the rest needs the membrane
    assert "did you mean 'celsius'" in found[0] and "found 'logarithmic'; allowed are" in found[1]
    found = problems(text.replace("ceslius", "celsius").replace("logarithmic", "log"))
    assert [p.split(": ")[0] for p in found] == ["scan.toml:10", "scan.toml:13", "scan.toml:14", "scan.toml:15"]
    assert "did you mean 'atp_per_second'" in found[0]
    assert "scan.axes.na_leak.g: low must be below high; found 0.5 and 0.01" in found[1]
    assert "there is no parameter 'k.outsid'; did you mean 'k.outside'" in found[2]
    assert "scan.axes.initial_v: values: '-60 mM'" in found[3]


WRONG = {
    "no table [scan]": (REST[: REST.index("[scan]")], "there is no table [scan]"),
    "no axes": (REST[: REST.index("[scan.axes]")], "scan.axes: is missing; it is the table of what differs"),
    "a typo": (REST.replace("ask =", "aks ="), "scan.toml:7: scan.aks: there is no key 'aks' here; did you mean 'ask'"),
    "points of a grid": (REST.replace('"grid"', '"grid"\npoints = 4'), "each axis of a grid says its own points"),
    "no points": (REST.replace('"grid"', '"sobol"'), "a sobol design needs 'points', for example points = 65536"),
    "an axis without levels": (
        REST.replace(", points = 3", ""), "scan.toml:13: scan.axes.k.outside: an axis of a grid needs points"),
    "levels of a drawn axis": (
        REST.replace('"grid"', '"sobol"\npoints = 8'), "scan.axes.na_leak.g: an axis of a sobol design goes from low"),
    "base samples": (
        SIMULATION.replace('"sobol"', '"sensitivity"').replace("= 8", "= 9"), "found 9, take 8 or 16"),
    "nothing outside": (SIMULATION.replace('"sobol"', '"nested"'), "a grid outside: give some axes points or values"),
    "a column": (REST.replace("points = 3", 'column = "x"'), 'a column belongs to design = "list"'),
    "no table of points": (REST.replace('"grid"', '"list"'), "needs 'table'"),
    "log of zero": (REST.replace("low = 0.01", "low = 0"), "scan.axes.na_leak.g: a log scale needs low above 0"),
    "a region": (
        REST.replace("-68 mV", "-68 mM"), "scan.toml:17: scan.regions.rests well: "),
    "what is not kept": (
        REST.replace('"v between', '"atp_per_second < 3 and v between'), "'atp_per_second'"),
    "not a table": (REST.replace('{ values = ["-90 mV", "-0.06 V"] }', "-70"), "found -70; a table is wanted"),
    "names": (REST.replace('k.outside = {', 'k.outside = { name = "leak_ratio",'), "is called 'leak_ratio' too"),
    "no area": (REST.replace("initial_v = { values = [\"-90 mV\", \"-0.06 V\"]",
                             "pump.i_max = { low = \"1 mV\", high = \"2 mV\", points = 3"), "scan.axes.pump.i_max: low: "),
    "many cells": (REST + "[population]\ncells = 5\n", "population.cells: found 5 cells; a scan asks the typical cell"),
    "vary": (REST + "[population.vary]\nk_leak.g = { distribution = \"lognormal\", sd = 0.2 }\n",
             "population.vary: is not part of a scan"),
    "groups": (REST + "[[population.group]]\nname = \"a\"\nshare = 1.0\n", "population.group: is not part of a scan"),
    "traces": (SIMULATION + "[[output.traces]]\nvariables = [\"v\"]\n", "output.traces: a scan keeps measures"),
    "precision": (SIMULATION.replace("seed = 3", 'precision = "float32"'), "a simulation's is run.precision"),
    "no run": (SIMULATION.replace('[run]\nduration = "5 ms"\nprecision = "float64"\n', ""), "run: is missing"),
    "a fit": (REST.replace('"rest"', '"fit"').replace('keep = ["v", "na.inside"]\n', ""), "fit: is missing"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong(what: str, problems: Any) -> None:
    text, said = WRONG[what]
    found = problems(text)
    assert len(found) == 1 and said in found[0], found


def test_a_wrong_override_is_named(problems: Any) -> None:
    assert problems(REST, "scan.axes.k.outside.points=1")[0].startswith(
        "--set scan.axes.k.outside.points=1: scan.axes.k.outside: points is a whole number of at least 2"
    )
    assert problems(REST, "population.cells=10")[0].startswith("--set population.cells=10: population.cells: found 10")
    for typed in ("points=3", 'values=["2 mM"]', "scale=log"):  # the path comes before what its axis lacks
        (said,) = problems(REST, f"scan.axes.k.outsid.{typed}")
        assert (
            said.startswith("--set scan.axes.k.outsid") and "no parameter 'k.outsid'; did you mean 'k.outside'" in said
        )
    assert "did you mean 'scan.points'" in problems(REST, "scna.points=10")[0]
