"""Fits at the points of a scan: closed forms, what jm.fit says of the same cell, and the same bits in any company."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import jaxmem as jm
from jaxmem.study.problems import ExperimentError
from jaxmem.study.scanning.checking import verified
from jaxmem.study.scanning.file import load_scan
from jaxmem.study.tree import decode, encode

FREE = {"k_leak.g": (1e-3, 10.0), "na_leak.g": (1e-4, 1.0)}
ION = {
    "k": jm.Species(inside=140.0, outside=4.0, valence=1),
    "na": jm.Species(inside=12.0, outside=145.0, valence=1),
}
AIMS: dict[str, Any] = {"resting_potential": jm.Target(-70.0, sd=0.5), "input_resistance": jm.Target(300.0, sd=5.0)}
FILE = """
question = "Which leak and pump rest at -90 to -40 mV?"
[membrane]
preset = "pump_leak"
[fit]
free = { k_leak.g = { low = 0.001, high = 3 }, pump.i_max = { low = 0.05, high = 100 } }
targets = { resting_potential = { value = "-70 mV", sd = "0.5 mV" }, na.inside = { value = "12 mM", sd = "1 mM" } }
starts = 2
[scan]
ask = "fit"
[scan.axes]
targets.resting_potential = { low = "-90 mV", high = "-0.04 V", points = 3 }
k.outside = { low = "3 mM", high = "12 mM", points = 2 }
[scan.regions]
"found" = "status is converged and pump.i_max < 2 uA/cm^2"
"""


def two_leaks(**parameters: Any) -> jm.Membrane:
    """Ohmic leaks of K+ and Na+ with clamped ions: rest and resistance are the chord conductance equation's."""
    return jm.Membrane({"k_leak": jm.Leak(0.2, ion="k"), "na_leak": jm.Leak(0.01, ion="na")}, species=ION)


def constant_field() -> jm.Membrane:
    """Two permeabilities, so that a rest takes Newton's steps, one cell more of them than another."""
    leaks = {"k_leak": jm.GHKLeak(1e-6, ion="k"), "na_leak": jm.GHKLeak(1e-8, ion="na")}
    return jm.Membrane(leaks, species=ION)


def same_in_parts(question: jm.questions.Fits, values: dict[str, np.ndarray], *parts: np.ndarray) -> dict[str, Any]:
    whole = question.ask(values, np.arange(len(next(iter(values.values())))))
    for some in parts:
        part = question.ask({path: x[some] for path, x in values.items()}, some)
        odd = [name for name, x in whole.items() if x[..., some].tobytes() != part[name].tobytes()]
        assert not odd, odd
    return whole


def test_two_leaks_have_a_closed_form(tmp_path: Path) -> None:
    """E_K moves with K+ outside; g = sum is 1/(R*area) and shares it as the rest lies between the reversals."""
    question = jm.questions.Fits(two_leaks(), free=FREE, targets=AIMS)
    axes = {
        "targets.resting_potential": jm.Axis("-60 mV", "-0.04 V", points=8),
        "targets.input_resistance.sd": jm.Axis(values=[1.0, 5.0]),
        "k.outside": jm.Axis(3.0, 12.0, points=5),
    }
    scan = jm.scan(
        question, jm.designs.Grid(axes), output=tmp_path / "f.h5", chunk=16, note=None,
        regions={"leaky": "status is converged and na_leak.g > 1e-2 mS/cm^2"},
    )  # fmt: skip
    assert scan.counts == {0: 80} and scan.statuses[0] == ("CONVERGED", jm.FitStatus.CONVERGED.reason)
    membrane = two_leaks().with_parameters({"k.outside": scan["k.outside"]})
    e = membrane.environment({k: np.zeros(()) for k in [*membrane.species, "electrode"]}).e
    v, whole = scan["targets.resting_potential"], 1e5 / (300.0 * membrane.geometry.area)
    g_na = whole * (v - e["k"]) / (e["na"] - e["k"])
    np.testing.assert_allclose(scan["na_leak.g"], g_na, rtol=1e-6)
    np.testing.assert_allclose(scan["k_leak.g"], whole - g_na, rtol=1e-6)
    np.testing.assert_allclose(scan["rest_v"], v, atol=1e-7)
    np.testing.assert_allclose(
        scan["residual_resting_potential"], (scan["fitted_resting_potential"] - v) / 0.5, atol=1e-9
    )
    assert scan.outputs["na_leak.g"].unit == "mS/cm^2" and scan.outputs["fitted_input_resistance"].unit == "MOhm"
    assert scan.axes["targets.resting_potential"].unit == "mV"
    verdict = verified(tmp_path / "f.h5")
    assert verdict.holds and any("the same bits" in line for line in verdict.found), verdict


@pytest.mark.slow
def test_a_point_is_fitted_as_by_jm_fit() -> None:
    """With starts, a tie, a prior, conditions and a method of its own."""
    free = {"k_leak.g": jm.Free(1e-3, 10.0, prior=(0.5, 2.0)), "capacitance": (0.3, 3.0)}
    how: dict[str, Any] = {
        "tied": {"na_leak.g": ("k_leak.g", 0.04)}, "starts": 3, "seed": 4, "method": jm.LevenbergMarquardt(iterations=60)
    }  # fmt: skip
    aims = {"input_resistance": 200.0, "time_constant": jm.Target(np.array([10.0, 12.0]), at=[{}, {"na_leak.g": 0.02}])}
    question = jm.questions.Fits(two_leaks(), free=free, targets=aims, **how)
    assert not {"k_leak.g", "na_leak.g", "capacitance"} & set(question.known)
    values = {"targets.input_resistance": np.array([150.0, 300.0]), "targets.time_constant.1": np.array([11.0, 9.0])}
    found = question.ask(values, np.arange(2))
    asked = {name: (x.dtype, x.shape[:-1]) for name, x in found.items()}
    assert asked == {name: (x.dtype, () if x.entries is None else (x.entries,)) for name, x in question.outputs.items()}
    second = [[10.0, 10.0], values["targets.time_constant.1"]]
    aims = {
        "input_resistance": values["targets.input_resistance"],
        "time_constant": jm.Target(second, at=[{}, {"na_leak.g": 0.02}]),
    }
    fit = jm.fit(two_leaks(), free=free, targets=aims, **how).best()
    np.testing.assert_array_equal(found["status"], fit.status)
    for path, x in fit.parameters.items():
        np.testing.assert_allclose(found[path], x, rtol=1e-6)
    np.testing.assert_allclose(found["cost"], fit.cost, rtol=1e-6)
    np.testing.assert_allclose(found["fitted_time_constant_2"], fit.values["time_constant"][1], rtol=1e-6)


@pytest.mark.slow
def test_a_fit_does_not_depend_on_its_company() -> None:
    draw = np.random.default_rng(2)
    free = {"k_leak.p": (1e-9, 1e-3), "na_leak.p": (1e-11, 1e-4)}
    question = jm.questions.Fits(
        constant_field(), free=free, targets=AIMS, starts=3, method=jm.LevenbergMarquardt(redraws=1)
    )
    values = {"targets.resting_potential": draw.uniform(-100, 20, 30), "k.outside": draw.uniform(1, 30, 30)}
    whole = same_in_parts(question, values, np.array([3]), np.arange(7), np.arange(9, 30))
    assert set(whole["status"]) >= {0, 2}


@pytest.mark.slow
def test_nor_in_single_precision_by_another_method() -> None:
    draw = np.random.default_rng(2)
    values = {"targets.resting_potential": draw.uniform(-100, 20, 9), "k.outside": draw.uniform(1, 30, 9)}
    others = jm.questions.Fits(two_leaks(), free=FREE, targets=AIMS, precision="float32", method="adam")
    same_in_parts(others, values, np.array([3]), np.arange(7))


@pytest.mark.slow
def test_pumps_that_cannot_rest_begin_again_by_themselves() -> None:
    draw = np.random.default_rng(2)
    free = {"k_leak.g": (1e-3, 3.0), "pump.i_max": (0.05, 100.0)}
    aims = {"resting_potential": jm.Target(-70.0, sd=0.5), "na.inside": jm.Target(12.0, sd=1.0)}
    pump_leak = jm.presets.pump_leak().with_parameters({"na_leak.g": 0.2})  # at its own pump it has no rest
    method = jm.LevenbergMarquardt(redraws=1, iterations=20)
    question = jm.questions.Fits(pump_leak, free=free, targets=aims, starts=3, method=method)
    values = {"targets.resting_potential": draw.uniform(-90, -40, 40), "na_leak.g": draw.uniform(0.005, 2.0, 40)}
    whole = same_in_parts(question, values, np.array([3]), np.arange(17, 29))
    assert (whole["status"] == 0).any() and (whole["status"] != 0).any()


@pytest.mark.slow
def test_what_is_seen_of_a_simulation_does_not_depend_on_the_company() -> None:
    passive = jm.Membrane({"leak": jm.Leak(0.1, ion="k")}, species={"k": ION["k"]})
    trial = jm.Trial(jm.StepCurrent(-0.3, 5.0, 15.0), 20.0, 0.1, initial="given")
    aims = {"minimum_v": jm.Target(-72.0, sd=0.1, during=trial), "final_v": jm.Target(-70.5, sd=0.1, during=trial)}
    question = jm.questions.Fits(passive, free={"leak.g": (0.01, 1.0), "capacitance": (0.3, 3.0)}, targets=aims)
    values = {"targets.minimum_v": np.linspace(-72.5, -71.0, 20)}
    whole = same_in_parts(question, values, np.array([3]), np.arange(9))
    assert len(question.trials) == 1 and question.outputs["fitted_minimum_v"].unit == "mV"
    met = whole["status"] == 0
    np.testing.assert_allclose(whole["fitted_minimum_v"][met], values["targets.minimum_v"][met], atol=0.3)


def test_the_question_is_stored_whole() -> None:
    def asks(**other: Any) -> jm.questions.Fits:
        return jm.questions.Fits(two_leaks(), **({"free": FREE, "targets": AIMS, "starts": 2} | other))

    question = asks()
    structure, leaves, lost = encode(question, "question")
    again = decode(json.loads(json.dumps(structure)), lambda name: leaves[name].values, jm.questions.Fits)
    assert not lost and again.identity == question.identity == pickle.loads(pickle.dumps(question)).identity
    others = [
        asks(free=FREE | {"na_leak.g": (1e-4, 2.0)}), asks(targets=AIMS | {"input_resistance": jm.Target(300.0, sd=4.0)}),
        asks(method=jm.LevenbergMarquardt(iterations=99)), asks(seed=1), asks(tied={"capacitance": ("k_leak.g", 3.0)}),
        asks(free=FREE | {"k_leak.g": jm.Free(1e-3, 10.0, scale="linear")}),
    ]  # fmt: skip
    assert len({question.identity, *(x.identity for x in others)}) == 7


@pytest.mark.parametrize(
    "given, said",
    [
        ({"free": FREE | {"k_leak.g": jm.Free(0.1, 1.0, shared=True)}}, "k_leak.g cannot be shared or pooled"),
        ({"targets": {"y": jm.Target(1.0, of=lambda membrane, rest: rest.v)}}, "target y: a function cannot be stored"),
        ({"targets": {"resting_potential": np.zeros(3)}}, "bounds, priors, ties and targets of a scan are numbers"),
        ({"starts": 0}, "at least 1"),
        ({"precision": "double"}, "'float32' or 'float64'"),
    ],
)
def test_what_no_scan_can_fit(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        jm.questions.Fits(two_leaks(), **({"free": FREE, "targets": AIMS} | given))


def test_what_is_free_is_no_axis(tmp_path: Path) -> None:
    question = jm.questions.Fits(two_leaks(), free=FREE, targets=AIMS)
    with pytest.raises(jm.PathError, match=r"k_leak\.g"):
        jm.scan(question, jm.designs.Grid({"k_leak.g": jm.Axis(values=[1.0])}), output=tmp_path / "x.h5")


def test_a_file_asks_for_fits(tmp_path: Path) -> None:
    (tmp_path / "f.toml").write_text(FILE)
    plan = load_scan(tmp_path / "f.toml", ["fit.starts=3"])
    assert isinstance(plan.question, jm.questions.Fits) and plan.question.starts == 3 and plan.points == 6
    np.testing.assert_allclose(plan.design.values(0, 6)["targets.resting_potential"], [-90, -90, -65, -65, -40, -40])
    assert plan.question.targets["na.inside"]["value"] == 12.0 and plan.title.startswith("Which leak")
    for was, becomes, said in (
        ("pump.i_max < 2 uA/cm^2", "pump.i_mux < 2", "pump.i_mux"),
        ("targets.resting_potential", "targets.resting_potental", "targets.resting_potental"),
        ("k.outside =", "k_leak.g =", "k_leak.g"),
    ):
        (tmp_path / "g.toml").write_text(FILE.replace(was, becomes) if was in FILE else "")
        with pytest.raises(ExperimentError, match=said):
            load_scan(tmp_path / "g.toml")
