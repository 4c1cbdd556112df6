"""The experiments that are scans: they can be read, and in a small size their physics comes out, against closed forms."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_cli import call

import jaxmem as jm
from jaxmem.electrochemistry import nernst
from jaxmem.study.scanning.conditions import Known, read
from jaxmem.study.scanning.file import load_scan
from jaxmem.units import AVOGADRO, FARADAY

HOME = Path(__file__).parents[1] / "experiments"


def asked(name: str, *overrides: str, regions: bool = True) -> tuple[Any, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The plan, the numbers of the parameters and of the axes, and the answers."""
    plan = load_scan(HOME / f"{name}.toml", overrides)
    x = plan.design.values(0, plan.points)
    values = plan.parameters(x)
    found, told = plan.question.answer(values, np.arange(plan.points))
    known = {k: Known(told[k][0], told[k][2] or {}) for k in found} | {k: Known("1", {}) for k in x}
    for condition in plan.regions.values() if regions else ():  # can be read, and is neither empty nor everything
        inside = read(condition, known).holds({k: np.asarray(a, float) for k, a in (found | x).items()})
        assert 0 < inside.sum() < plan.points, condition
    return plan, values | x, found


def test_all_can_be_read_as_they_are() -> None:
    sizes = {path.stem: load_scan(path).points for path in HOME.glob("*.toml") if "[scan]" in path.read_text()}
    assert sizes == {"resting_landscape": 10**6, "pump_failure": 61 * 101, "hyperkalaemia": 65 * 41}


SCANS = sorted(path.stem for path in HOME.glob("*.toml") if "[scan]" in path.read_text())


@pytest.mark.parametrize("name", SCANS)
def test_what_there_will_be_to_know_is_known_before(name: str) -> None:
    """Outputs are laid out without a run at full size, and each region is of them."""
    plan = load_scan(HOME / f"{name}.toml")
    assert "status" in plan.outputs and len(plan.outputs) > 1
    known = {k: Known(x.unit, x.codes or {}) for k, x in plan.outputs.items() if x.entries is None}
    known |= {axis.called(path): Known(axis.unit or "1", {}) for path, axis in plan.design.axes.items()}
    for condition in plan.regions.values():
        read(condition, known)


@pytest.mark.slow
@pytest.mark.parametrize("name", SCANS)
def test_a_dry_run_of_it_as_it_is(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said = call("scan", str(HOME / f"{name}.toml"), "--dry-run")
    assert f"{load_scan(HOME / f'{name}.toml').points:,} points" in said
    assert not list(tmp_path.iterdir())


def worst(values: np.ndarray, expected: np.ndarray) -> float:
    return float(np.max(np.abs(values - expected)))


@pytest.mark.slow
def test_the_resting_landscape() -> None:
    """At every point the voltage is the chord potential in which sodium counts 2/3, and ATP is what its leak costs."""
    small = [f"scan.axes.{path}.points=12" for path in ("na_leak.g", "pump.i_max", "k.outside")]
    plan, x, found = asked("resting_landscape", *small, "scan.precision=float64")
    membrane = plan.question.membrane
    assert np.all(found["status"] == 0)
    t, g_k = float(membrane.celsius), float(membrane.parameters()["k_leak.g"].value)
    e = {
        "na": np.asarray(nernst(found["na.inside"], membrane.species["na"].outside, 1, t)),
        "k": np.asarray(nernst(found["k.inside"], x["k.outside"], 1, t)),
    }
    findings = jm.Findings(plan.title)
    g_na = x["na_leak.g"]
    # no net Na+ (3 pump = leak) and no net K+ (2 pump = leak): 2 g_Na (v - E_Na) + 3 g_K (v - E_K) = 0
    pumped = (2 * g_na * e["na"] + 3 * g_k * e["k"]) / (2 * g_na + 3 * g_k)
    neutral = (g_na * e["na"] + g_k * e["k"]) / (g_na + g_k)
    findings.expect("rest less chord potential of a 3:2 pump", worst(found["v"], pumped), 0, 1e-5, "mV")
    area = float(membrane.geometry.area) * 1e-8  # cm^2
    atp = g_na * (e["na"] - found["v"]) / 3 * 1e-6 * area / FARADAY * AVOGADRO
    findings.expect("ATP less a third of the sodium leak, relative", worst(found["atp_per_second"] / atp, 1), 0, 1e-6)
    grid = {name: a.reshape(12, 12, 12) for name, a in found.items()}
    findings.expect("more pumps, less sodium", np.diff(grid["na.inside"], axis=1).max(), -1e3, 0, "mM")
    findings.expect("more leak, more sodium", np.diff(grid["na.inside"], axis=0).min(), 0, 1e3, "mM")
    findings.check()
    broken = jm.Findings(plan.title)
    broken.expect("rest less chord potential without a pump current", worst(found["v"], neutral), 0, 1e-5, "mV")
    with pytest.raises(jm.FindingsError, match="without a pump current"):
        broken.check()


@pytest.mark.slow
def test_pump_failure() -> None:
    """The reserve: a neuron lives on a fifth of its pumps, and a sodium leak twice the usual leaves none."""
    size = ["scan.axes.na_leak.g.points=13", "scan.axes.pump.i_max.points=21"]
    plan, x, found = asked("pump_failure", *size)
    shape = (13, 21)
    ok, left, leak = ((a.reshape(shape)) for a in (found["status"] == 0, x["pump_left"], x["sodium_leak"]))
    needed = np.where(ok, left, np.inf).min(1)
    findings = jm.Findings(plan.title)
    typical = int(np.argmin(np.abs(leak[:, 0] - 1)))
    findings.expect("part of the pumps that is enough", needed[typical], 0.15, 0.3)
    findings.expect("rest with all pumps", found["v"].reshape(shape)[typical, -1], -70.05, -69.95, "mV")
    findings.expect("growth of what is needed with the leak", np.diff(needed[np.isfinite(needed)]).min(), 0, 1)
    findings.expect("needed at a quarter of the leak", needed[0], 0.01, 0.1)
    findings.expect("cells that rest with no pump", ok[:, 0].sum(), 0, 0)
    quiet = ok & (found["v"].reshape(shape) < -75)  # gated channels are closed: the leak is all that is pumped
    membrane = plan.question.membrane
    e_na = np.asarray(nernst(found["na.inside"], membrane.species["na"].outside, 1, float(membrane.celsius)))
    area = float(membrane.geometry.area) * 1e-8
    atp = x["na_leak.g"] * (e_na - found["v"]) / 3 * 1e-6 * area / FARADAY * AVOGADRO
    ratio = (found["atp_per_second"] / atp).reshape(shape)[quiet]
    findings.expect("quiet cells", quiet.sum(), 50)
    findings.expect("their ATP over a third of the sodium leak", ratio.mean(), 0.99, 1.03)
    findings.check()


def potassium(*overrides: str) -> jm.Findings:
    size = ["scan.axes.k.outside.points=13", "scan.axes.stimulus.amplitude.points=9"]
    plan, x, found = asked("hyperkalaemia", *size, *overrides, regions=not overrides)
    assert np.all(found["status"] == 0)
    k, i = x["k.outside"].reshape(13, 9)[:, 0], x["stimulus.amplitude"].reshape(13, 9)[0]
    spikes, rest, alone = (found[name].reshape(13, 9) for name in ("spikes", "rest", "spikes_alone"))
    findings = jm.Findings(plan.title)
    threshold = np.where((spikes > 0).any(1), i[(spikes > 0).argmax(1)], np.inf)
    findings.expect("threshold at 2.5 mM", threshold[0], 1.5, 2.5, "uA/cm^2")
    findings.expect("threshold at 8 mM", threshold[np.argmin(np.abs(k - 8))], 0.5, 1.5, "uA/cm^2")
    findings.expect("change of the spikes with potassium below 16 mM", np.diff(spikes[k < 16], axis=0).min(), 0)
    findings.expect("cells between 19 and 27 mM that fire by themselves", (alone[(k > 19) & (k < 27), 0] > 5).sum(), 1)
    findings.expect("spikes above 30 mM", spikes[k > 30].max(), 0, 0)
    findings.expect("rest above 30 mM", rest[k > 30].max(), -30, -15, "mV")
    # v follows E_K by less than E_K moves: other ions leak too
    e_k = np.asarray(nernst(140.0, k, 1, 37.0))
    findings.expect("rest over E_K", np.polyfit(e_k[:6], rest[:6, 0], 1)[0], 0.2, 0.6, "mV/mV")
    findings.expect("rest less E_K", (rest[:6, 0] - e_k[:6]).min(), 0, 60, "mV")
    return findings


@pytest.mark.slow
def test_hyperkalaemia() -> None:
    """First it excites, then it silences; a cell without sodium channels shows neither."""
    potassium().check()
    with pytest.raises(jm.FindingsError, match="threshold at 8 mM"):
        potassium("sodium.g=0").check()
