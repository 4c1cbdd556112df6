"""The textbook as experiments: each comes out in a small size, and says so where its physics is broken."""

import sys
from typing import Any

import pytest
from test_experiments_ions import script

import jaxmem as jm

# name, size of a quick run, what breaks the physics, what is then missed
TEXTBOOK: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("potassium_only_cell", {"outside": (2.5, 5.0, 140.0)}, {"sodium": 1e-4}, "distance from E_K"),
    ("two_ions", {"dt": 400.0}, {"pump": 0.99}, "largest change of voltage"),
    ("ghk_against_chord", {"levels": 25}, {"sodium": 1.1}, "the other's less that"),
    ("reversal_by_substitution", {"sodium": (145.0, 58.0, 0.0), "dt": 0.5}, {"anomaly": 0.9}, "leaves of its reversal"),
    ("outside_is_finite", {"rates": (0.0, 20.0, 40.0)}, {"fraction": 0.5}, "K. outside after 10 s"),
    ("pump_cycle", {"steps": 5, "pumps": 40, "seconds": 2.0}, {"standard": -33.0}, "current reverses"),
    ("bare_bilayer", {"channels": (0, 1, 63), "steps": 100}, {"lipid": 1e-4}, "time constants, lipid over"),
]
NAMES = [name for name, *_ in TEXTBOOK]
LONG = tuple(name for name in NAMES if name != "bare_bilayer")


@pytest.mark.parametrize(
    ("name", "size", "broken", "missed"),
    [pytest.param(*case, id=case[0], marks=[pytest.mark.slow] * (case[0] in LONG)) for case in TEXTBOOK],
)
def test_it_comes_out(name: str, size: dict[str, Any], broken: dict[str, Any], missed: str) -> None:
    module = script(name)
    found, findings, *more = module.run(**size)
    findings.check()
    figure = module.draw(found, *more)
    assert all(ax.get_xlabel() and ax.get_ylabel() and ax.get_title("left") for ax in figure.axes)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size", "broken", "missed"), TEXTBOOK, ids=NAMES)
def test_broken_physics_is_told(name: str, size: dict[str, Any], broken: dict[str, Any], missed: str) -> None:
    with pytest.raises(jm.FindingsError, match=missed):
        script(name).run(**size | broken)[1].check()


@pytest.mark.parametrize("name", NAMES)
def test_help_says_the_question(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--help"])
    with pytest.raises(SystemExit) as end:
        script(name).main()
    assert end.value.code == 0 and "?" in capsys.readouterr().out
