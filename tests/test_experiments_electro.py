"""The experiments on equilibria: each comes out in a small size, and says so where its physics is broken."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import h5py
import pytest

import jaxmem as jm

FOLDER = Path(__file__).parents[1] / "experiments"
# name: size of a quick run; what breaks the physics, and the finding that then does not come out
EXPERIMENTS: dict[str, tuple[dict[str, Any], list[tuple[dict[str, Any], str]]]] = {
    "nernst_table": (
        {"celsius": (6.3, 20.0), "ions": ("na", "k", "ca")},
        [({"through": 0.01}, "largest distance of a resting membrane")],
    ),
    "boltzmann": (
        {"ions": 5000, "steps": 500},
        [({"heat": 1.2}, "worst, in standard errors"), ({"heat": 0.9}, "a factor of e")],
    ),
    "capacitor": ({"points": 150, "cells": 8}, [({"squeezed": 0.8}, "charges counted")]),
    "selectivity": ({"sites": 241}, [({"dry": 0.8}, "Eisenman's, in his order")]),
}
NAMES = tuple(EXPERIMENTS)


def script(name: str) -> ModuleType:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def ran(module: ModuleType, size: dict[str, Any]) -> tuple[jm.Findings, dict]:
    """The findings, and what is drawn, which comes last."""
    *_, findings, results = module.run(**size)
    return findings, results


@pytest.mark.parametrize(
    ("name", "broken", "what"), [(name, *broken) for name, (_, how) in EXPERIMENTS.items() for broken in how]
)
@pytest.mark.slow
def test_broken_physics_is_told(name: str, broken: dict[str, Any], what: str) -> None:
    findings, _ = ran(script(name), EXPERIMENTS[name][0] | broken)
    with pytest.raises(jm.FindingsError, match=what):
        findings.check()


@pytest.mark.parametrize("name", NAMES)
def test_help_says_the_question(name: str, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--help"])
    with pytest.raises(SystemExit) as end:
        script(name).main()
    told = capsys.readouterr().out
    assert end.value.code == 0
    assert "?" in told and f"python experiments/{name}.py -o {name}.h5" in told


@pytest.mark.parametrize("name", NAMES)
def test_an_experiment_comes_out_in_both_files(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    module, figures = script(name), []
    whole, drawn = module.run, module.draw
    monkeypatch.setattr(module, "run", lambda **_: whole(**EXPERIMENTS[name][0]))
    monkeypatch.setattr(module, "draw", lambda results: figures.append(drawn(results)) or figures[0])
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "-o", str(tmp_path / "a.h5")])
    module.main()  # which checks the findings
    assert module.QUESTION in capsys.readouterr().out
    axes = figures[0].axes
    assert axes[-1].get_xlabel() and all(ax.get_title("left") for ax in axes)
    assert all(ax.get_ylabel() or len(ax.get_yticklabels()) for ax in axes)
    assert (tmp_path / "a.png").stat().st_size > 10_000
    with h5py.File(tmp_path / "a.h5") as file:
        assert file.attrs["question"] == module.QUESTION
        assert len(file) > 3
