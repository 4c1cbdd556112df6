"""A point of a scan again: the same bits, its traces, and the reason where there is nothing to see."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import jaxmem as jm
from jaxmem.cli.commands import cli
from jaxmem.study.scanning.again import asked_at, simulated_at

ION = {
    "k": jm.Species(inside=140.0, outside=4.0, valence=1),
    "na": jm.Species(inside=12.0, outside=145.0, valence=1),
}
LEAKS = jm.Membrane({"k_leak": jm.Leak(0.2, ion="k"), "na_leak": jm.Leak(0.01, ion="na")}, species=ION)
LEVELS = {"k_leak.g": jm.Axis(values=[0.1, 0.3, -1.0])}


def scanned(question: Any, path: Path, axes: dict[str, jm.Axis] = LEVELS) -> jm.Scan:
    return jm.scan(question, jm.designs.Grid(axes), output=path, question="Where?", note=None)


def rerun(file: Path, point: int, *more: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli, ["rerun", str(file), "--cell", str(point), *more])
    return result.exit_code, " ".join(result.output.split())


def test_a_rest_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    scan = scanned(jm.questions.Rests(LEAKS), tmp_path / "r.h5")
    code, text = rerun(tmp_path / "r.h5", 1)
    assert code == 0 and "Same bits: all" in text and "k_leak.g" in text and "OK" in text, text
    sim = jm.load(tmp_path / "r-point-1.h5")
    np.testing.assert_allclose(sim.traces["v"][:, 0], scan["v"][1], atol=1e-9)
    assert float(sim.membrane.parameters()["k_leak.g"].value[0]) == 0.3
    code, text = rerun(tmp_path / "r.h5", 1)
    assert code != 0 and "--overwrite" in text
    code, text = rerun(tmp_path / "r.h5", 2, "-o", "n.h5")
    assert code == 0 and "INVALID_PARAMETER: k_leak.g must be at least 0 mS/cm^2" in text and "not asked" in text
    assert not Path("n.h5").exists()
    code, text = rerun(tmp_path / "r.h5", 3)
    assert code != 0 and "its points are 0 to 2" in text


def test_another_number_in_the_file_is_seen(tmp_path: Path) -> None:
    found = asked_at(scanned(jm.questions.Rests(LEAKS), tmp_path / "r.h5"), 0)
    assert not found.different
    found.before["v"] = np.nextafter(found.before["v"], 0.0)
    assert found.different == ["v"]


def test_a_simulation_again_has_the_measures_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Noise too is that of the point."""
    monkeypatch.chdir(tmp_path)
    question = jm.questions.Simulations(
        LEAKS, 5.0, ("maximum_v", "minimum_v"), stimulus=jm.WhiteNoise(sd=2.0, seed=3), precision="float64"
    )
    scan = scanned(question, tmp_path / "s.h5", {"k_leak.g": jm.Axis(values=[0.1, 0.2, 0.3])})
    code, text = rerun(tmp_path / "s.h5", 2)
    assert code == 0 and "Same bits: all" in text and "otherwise" not in text, text
    sim = jm.load(tmp_path / "s-point-2.h5")
    assert sim.measures["maximum_v"][0] == scan["maximum_v"][2] == sim.traces["v"].max()


@pytest.mark.slow
def test_a_fit_again(tmp_path: Path) -> None:
    question = jm.questions.Fits(LEAKS, free={"na_leak.g": (1e-4, 1.0)}, targets={"resting_potential": -70.0})
    found = asked_at(scanned(question, tmp_path / "f.h5"), 1)
    assert not found.different and found.reason.startswith("CONVERGED")
    sim = simulated_at(found)
    assert sim is not None and sim.membrane.parameters()["na_leak.g"].value == found.before["na_leak.g"]
    np.testing.assert_allclose(sim.traces["v"], -70.0, atol=1e-6)
