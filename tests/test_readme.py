"""What the README shows is run as it stands."""

import pathlib
import re
import sys
from typing import Any

import jax
import numpy as np
import pytest

import jaxmem as jm
from jaxmem.study import experiment

README = (pathlib.Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return README.split(f"\n## {title}\n")[1].split("\n## ")[0]


def blocks(text: str, language: str) -> list[tuple[str, str]]:
    """(name of the file, or "", and the code) of every block in this language."""
    found = re.findall(rf"^```{language}(?: file=(\S+))?\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert found
    return found


TUTORIAL = section("A channel of your own in 40 lines")


@pytest.fixture
def beside(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The tutorial's files in a folder on Python's path."""
    for name, code in blocks(TUTORIAL, "python"):
        if name:
            (tmp_path / name).write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "kv7", raising=False)
    yield tmp_path
    sys.modules.pop("kv7", None)


def test_the_channel_fits_in_forty_lines(beside: pathlib.Path) -> None:
    assert len((beside / "kv7.py").read_text().splitlines()) <= 40
    namespace: dict[str, Any] = {}
    exec((beside / "test_kv7.py").read_text(), namespace)
    namespace["test_kv7"]()


def test_the_channel_is_the_published_one(beside: pathlib.Path) -> None:
    """p_inf = 1/(1 + exp(-(v + 35)/10)), tau = tau_max/(3.3 exp((v + 35)/20) + exp(-(v + 35)/20)), at 36 degC."""
    from kv7 import Kv7

    cell = jm.presets.pumped_neuron().with_mechanisms({"kv7": Kv7()}).with_parameters({"celsius": 36.0})
    v = np.linspace(-100, 50, 31)
    env = cell.environment({k: np.zeros_like(v) for k in [*cell.species, "electrode"]})
    p = cell.mechanisms["kv7"].kinetics(v, {}, env)["p"]
    np.testing.assert_allclose(p.gain / p.rate, 1 / (1 + np.exp(-(v + 35) / 10)), rtol=1e-12)
    np.testing.assert_allclose(
        1 / np.asarray(p.rate), 608 / (3.3 * np.exp((v + 35) / 20) + np.exp(-(v + 35) / 20)), rtol=1e-12
    )


@pytest.mark.slow
def test_it_works_from_python(beside: pathlib.Path) -> None:
    (code,) = [code for name, code in blocks(TUTORIAL, "python") if not name]
    namespace: dict[str, Any] = {}
    exec(code, namespace)
    with_it = float(namespace["sim"].measures["spike_count"])
    plain = jm.simulate(
        jm.presets.pumped_neuron(), 600.0, stimulus=jm.ConstantCurrent(amplitude=4.0), measures=["spike_count"]
    )
    assert 0 < with_it < float(plain.measures["spike_count"])  # it adapts


@pytest.mark.slow
def test_it_works_from_an_experiment_file(beside: pathlib.Path) -> None:
    ((_, text),) = blocks(TUTORIAL, "toml")
    (beside / "adaptation.toml").write_text(text, encoding="utf-8")
    e = experiment.load(beside / "adaptation.toml", ["kv7.tau_max=1 s"])
    known = e.membrane.parameters()
    assert known["kv7.tau_max"].value == 1000.0 and e.labels["group"].counts == {"regular": 80, "fast": 20}
    assert known["kv7.g"].value.max() <= 1.0 and set(known["sodium.g"].value) == {25.0, 20.0}
    sim = e.run()
    spikes, fast = sim.measures["spike_count"], sim.labels["group"].values == 1
    assert sim.failures == {} and spikes[fast].mean() > 1.3 * spikes[~fast].mean() > 0
    assert np.corrcoef(np.log(known["kv7.g"].value[~fast]), spikes[~fast])[0, 1] < -0.7


@pytest.mark.slow
def test_the_rig_runs_as_it_stands() -> None:
    cells = jm.presets.pumped_neuron().with_parameters({"pump.i_max": np.full(4, 2.39)})
    namespace: dict[str, Any] = {"jm": jm, "np": np, "cells": cells}
    for _, code in blocks(section("The rig"), "python"):
        exec(code, namespace)
    assert namespace["run"].measures["spike_count"].max() > 20 and namespace["run"].failures == {}
    inward = namespace["family"].traces["sodium.i_na"].min(0)
    assert inward.min() < -500 and inward[0] > -20  # the family crosses the threshold of the sodium current
    v = namespace["hours"].traces["v"]
    assert v[-1] > v[0] + 20 and abs(v[-1] - v[-60]) < 0.5


@pytest.mark.slow
def test_rests_are_found_as_it_stands() -> None:
    cell = jm.presets.pumped_neuron()
    cells = cell.with_parameters({"pump.i_max": np.array([2.2, 2.39, 2.6])})
    namespace: dict[str, Any] = {"jm": jm, "np": np, "jax": jax, "cells": cells, "cell": cell}
    for _, code in blocks(section("Rests"), "python"):
        exec(code, namespace)
    assert (namespace["rest"].status == jm.Status.OK).all()
    assert {b.kind for b in namespace["diagram"].bifurcations} == {"fold", "hopf"}
    assert float(jm.resting_state(namespace["still"]).v) == pytest.approx(-65.0, abs=1e-9)


@pytest.mark.slow
def test_a_scan_from_python(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ((_, code),) = blocks(section("Scans"), "python")
    namespace: dict[str, Any] = {"jm": jm}
    exec(code, namespace)
    scan = namespace["scan"]
    assert scan.points == 256 * 5 and scan.counts == {0: 256 * 5}
    total = jm.sensitivity(scan)["atp_per_second"]
    assert total.axes[int(np.argmax(total.total))] == "na_leak"  # the pump turns over what leaks in


def test_the_tables_of_scans_can_be_read(tmp_path: pathlib.Path) -> None:
    from jaxmem.study.scanning.file import load_scan

    (tmp_path / "points.csv").write_text("# units: mM,S/m^2\nk.outside,g_na\n3,0.1\n5,0.2\n")
    plans = []
    for i, (_, text) in enumerate(blocks(section("Scans"), "toml")):
        head = 'question = "Where does it rest?"\n[membrane]\npreset = "pump_leak"\n'
        (tmp_path / f"{i}.toml").write_text(head + text, encoding="utf-8")
        plans.append(load_scan(tmp_path / f"{i}.toml"))
    assert [p.design.told["kind"] for p in plans] == ["grid", "sobol", "sensitivity", "nested", "list"]
    assert [p.points for p in plans] == [10_000, 65_536, 4096 * (2 + 2), 10 * 1024, 2]
    assert list(plans[0].regions) == ["rests well"]
    listed = plans[-1].design.values(0, 2)
    assert listed["k.outside"].tolist() == [3, 5]
    np.testing.assert_allclose(listed["na_leak.g"], [0.01, 0.02], rtol=1e-12)  # 1 S/m^2 is 0.1 mS/cm^2
