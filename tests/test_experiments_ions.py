"""The experiments on ions, pumps and clamps: each comes out in a small size, and says so where its membrane is broken."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import jaxmem as jm

FOLDER = Path(__file__).parents[1] / "experiments"
SMALL: list[tuple[str, dict[str, Any]]] = [
    ("voltage_clamp_1952", {"dt": 0.025, "duration": 12.0}),
]
LONG: list[tuple[str, dict[str, Any]]] = [
    ("iv_curve", {"ramp": 500.0}),
    ("sodium_load", {"cells": 6}),
    ("hyperkalaemia", {"levels": 16, "strengths": 12}),
    ("ouabain", {"doses": 13, "hours": 20.0}),
]
BROKEN: list[tuple[str, dict[str, Any], str]] = [
    ("iv_curve", {"ramp": 500.0, "conductance": 0.06}, "its conductance"),
    ("sodium_load", {"cells": 6, "neutral_k": 2.0}, "electroneutral"),
]


def script(name: str) -> ModuleType:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def ran(name: str, size: dict[str, Any]) -> tuple[ModuleType, tuple, jm.Findings]:
    module = script(name)
    results = module.run(**size)
    return module, results, next(x for x in results if isinstance(x, jm.Findings))


def works(name: str, size: dict[str, Any]) -> None:
    module, results, findings = ran(name, size)
    findings.check()
    figure = module.draw(*(x for x in results if x is not findings)) if name != "iv_curve" else module.draw(results[-1])
    assert all(ax.get_xlabel() and ax.get_title("left") for ax in figure.axes)


@pytest.mark.parametrize(("name", "size"), SMALL, ids=[name for name, _ in SMALL])
def test_an_experiment_comes_out(name: str, size: dict[str, Any]) -> None:
    works(name, size)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size"), LONG, ids=[name for name, _ in LONG])
def test_a_long_experiment_comes_out(name: str, size: dict[str, Any]) -> None:
    works(name, size)


def test_half_the_sodium_channels_are_missed() -> None:
    with pytest.raises(jm.FindingsError, match="gNa: worst distance"):
        ran("voltage_clamp_1952", {"dt": 0.025, "duration": 12.0, "g_sodium": 60.0})[2].check()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size", "what"), BROKEN, ids=[name for name, _, _ in BROKEN])
def test_a_broken_membrane_is_told(name: str, size: dict[str, Any], what: str) -> None:
    with pytest.raises(jm.FindingsError, match=what):
        ran(name, size)[2].check()


@pytest.mark.slow
def test_a_pump_that_moves_no_charge_leaves_no_voltage_to_ouabain() -> None:
    """The dose-response of the real pump is found; that of an electroneutral one is missed."""
    module = script("ouabain")
    findings = jm.Findings("?")
    module.dose_response(findings, 13)
    findings.check()
    neutral = jm.balance(
        jm.presets.pumped_neuron().with_parameters({"pump.n_k": 3.0}), -70.0, ["na_leak.g", "k_leak.g", "cl.inside"]
    )
    lost = jm.Findings("?")
    module.dose_response(lost, 13, neutral)
    with pytest.raises(jm.FindingsError, match="lost at once"):
        lost.check()


def test_measured_points_are_compared(tmp_path: Path) -> None:
    """Points made from the closed form at 0.7 of its size: that factor is found, and no residual."""
    module = script("voltage_clamp_1952")
    rows = ["conductance,depolarisation_mV,t_ms,g_mS_cm2"]
    for step in (26.0, 63.0, 109.0):
        for t in (1.0, 2.0, 3.0, 4.0):
            n = module.relaxed(module.RATES["n"], np.array(module.HOLDING + step), np.array(t))
            rows.append(f"gK,{step},{t},{0.7 * 36 * n**4}")
    (tmp_path / "points.csv").write_text("\n".join(rows))
    findings = module.run(dt=0.025, duration=12.0, data=tmp_path / "points.csv")[1]
    findings.check()
    found = {f.what: f.value for f in findings.found}
    assert found["gK: maximal conductance of the measured axon, relative"] == pytest.approx(0.7, rel=1e-3)
    assert found["gK: rms residual, % of full scale"] < 0.1


def test_the_command_line_writes_both_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    module = script("voltage_clamp_1952")
    monkeypatch.setattr("sys.argv", ["voltage_clamp_1952.py", "-o", str(tmp_path / "clamp.h5")])
    module.main()
    assert "closed form" in capsys.readouterr().out
    assert (tmp_path / "clamp.png").stat().st_size > 10_000
    assert jm.load(tmp_path / "clamp.h5").traces["v"].shape[1] == 24
