"""Every experiment in a small size: what it expects comes out, and does not where the membrane is broken."""

import importlib.util
import sys
from pathlib import Path

import pytest

import jaxmem as jm

HOME = Path(__file__).parents[1] / "experiments"
SLOW = pytest.mark.slow

# name, size of a quick run, what breaks the membrane
EXPERIMENTS = [
    pytest.param("action_potential", {"row": 16}, {"sodium": 0.0}, id="action_potential", marks=SLOW),
    pytest.param("all_or_none", {"celsius": (6.3, 20.0, 35.0), "row": 40}, {"sodium": 0.0}, id="all_or_none", marks=SLOW),
    pytest.param("refractory_period", {"intervals": 22, "strengths": 23}, {"sodium": 0.0}, id="refractory_period", marks=SLOW),
    pytest.param("strength_duration", {"durations": 24, "halvings": 14}, {"sodium": 0.0}, id="strength_duration", marks=SLOW),
    pytest.param("frequency_code", {"settle": 700.0, "look": 200.0}, {"sodium": 0.0}, id="frequency_code", marks=SLOW),
    pytest.param("temperature", {"temperatures": 41, "duration": 100.0}, {"sodium": 0.0}, id="temperature", marks=SLOW),
    pytest.param("fifty_hertz_for_ten_minutes", {"duration": 20e3, "cells": 4}, {"sodium": 0.0},
                 id="fifty_hertz_for_ten_minutes", marks=SLOW),
]  # fmt: skip


def experiment(name: str):
    """An experiment as a module: experiments/ is no package."""
    spec = importlib.util.spec_from_file_location(f"experiment_{name}", HOME / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_script_is_tested() -> None:
    """A script that no test names would rot."""
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    assert [path.stem for path in HOME.glob("*.py") if f'"{path.stem}"' not in tests] == []


@pytest.mark.parametrize(("name", "size", "broken"), EXPERIMENTS)
def test_what_is_expected_comes_out(name: str, size: dict, broken: dict) -> None:
    simulation, findings, *_ = experiment(name).run(**size)
    assert isinstance(simulation, jm.Simulation)
    findings.check()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size", "broken"), EXPERIMENTS)
def test_a_broken_membrane_is_noticed(name: str, size: dict, broken: dict) -> None:
    _, findings, *_ = experiment(name).run(**size | broken)
    with pytest.raises(jm.FindingsError):
        findings.check()


@pytest.mark.parametrize("name", [p.values[0] for p in EXPERIMENTS])
def test_help_says_the_question(name: str, monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--help"])
    with pytest.raises(SystemExit) as end:
        experiment(name).main()
    told = capsys.readouterr().out
    assert end.value.code == 0
    assert "?" in told and f"python experiments/{name}.py -o {name}.h5" in told


def test_a_script_writes_its_file_and_figure(tmp_path, monkeypatch, capsys) -> None:
    module = experiment("all_or_none")
    small = module.run
    monkeypatch.setattr(module, "run", lambda: small(celsius=(6.3, 20.0, 35.0), row=40))
    monkeypatch.setattr(sys, "argv", ["all_or_none.py", "-o", str(tmp_path / "a.h5")])
    module.main()
    assert jm.load(tmp_path / "a.h5").measures["maximum_v"].size == 120
    assert (tmp_path / "a.png").stat().st_size > 10_000
    assert "threshold charge" in capsys.readouterr().out
