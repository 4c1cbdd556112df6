"""``jaxmem rest``: every cell's rest from an experiment file, a file that xarray opens, the same in any blocks."""

import pathlib

import numpy as np
import pytest
import xarray as xr
from test_cli import call

import jaxmem as jm
from jaxmem.study.experiment import load
from jaxmem.study.rests import find_rests, read_rests

EXPERIMENT = """\
question = "Where do cells of many leaks rest?"

[membrane]
preset = "pumped_neuron"

[population]
cells = 10
seed = 4

[[population.group]]
name = "tight"
share = 0.6

[[population.group]]
name = "leaky"
share = 0.4
parameters = { na_leak.g = 0.02 }

[population.vary]
k_leak.g = { distribution = "lognormal", sd = 0.2 }
pump.i_max = { distribution = "lognormal", sd = 0.1 }

[stimulus]
kind = "constant"
amplitude = 1000
"""
RUN = "\n[run]\nduration = 10\n"


@pytest.fixture
def folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ten.toml").write_text(EXPERIMENT)
    return tmp_path


@pytest.mark.slow
def test_each_cell_rests_where_the_solver_says(folder: pathlib.Path) -> None:
    """No [run] is needed; one cell is too leaky to rest, and has no number but its status."""
    text = call("rest", "ten.toml", "--set", "initial.v=-71", "--set", "population.vary.k_leak.g.sd=0.6", "--seed", "0")
    plan = load("ten.toml", ["initial.v=-71", "population.vary.k_leak.g.sd=0.6", "population.seed=0"], rest=True)
    rest = jm.resting_state(plan.membrane)
    bad = rest.status != 0
    assert 0 < bad.sum() < 10
    budget = jm.budget(plan.membrane, rest)
    with xr.open_dataset(folder / "ten-rest.h5", engine="h5netcdf") as found:
        np.testing.assert_array_equal(found.v, np.where(bad, np.nan, rest.v))
        np.testing.assert_array_equal(found["na.inside"], np.where(bad, np.nan, rest.concentrations["na.inside"]))
        np.testing.assert_array_equal(found.status, rest.status)
        np.testing.assert_array_equal(found["k_leak.g"], plan.membrane.parameters()["k_leak.g"].value)
        for name, expected in (
            ("atp_per_second", budget.atp_per_second),
            ("pump_current", budget.pump_current),
            ("input_resistance", jm.input_resistance(plan.membrane, rest)),
            ("time_constant", jm.membrane_time_constant(plan.membrane, rest)),
        ):
            np.testing.assert_allclose(found[name], np.where(bad, np.nan, expected), rtol=1e-12)
        np.testing.assert_array_equal(found.stability, rest.stability)
        assert found.stability.attrs["flag_meanings"] == "node oscillatory unstable unknown"
        assert (found.iterations > 0).all() and float(found.residual[~bad].max()) < 1e-9
        assert sorted(found.group.values) == [0] * 6 + [1] * 4
        assert found.group.attrs["flag_meanings"] == "tight leaky"
        assert found.v.dims == ("cell",) and found["na.inside"].attrs["units"] == "mmol L-1"
    with xr.open_dataset(folder / "ten-rest.h5", engine="h5netcdf", group="parameters") as given:
        assert given["pump.i_max"].shape == (10,) and float(given.celsius) == 37.0
    assert f"{10 - bad.sum()}  {1 - bad.mean():.1%}  came to rest" in text
    assert "have none: no steady state" in text and "[stimulus]: not used" in text
    for word in ("resting potential", "Stability: ", "Na⁺ inside", "ATP per second and cell", "MΩ"):
        assert word in text
    assert (folder / "ten-rest.png").stat().st_size > 10_000


def test_blocks_of_any_size_give_the_same(folder: pathlib.Path) -> None:
    plan = load("ten.toml", rest=True)
    seen: list[tuple[int, int]] = []
    whole = find_rests(plan.membrane, 10)
    parts = find_rests(plan.membrane, 10, block=4, precision="float32", progress=lambda *x: seen.append(x))
    assert seen == [(0, 10), (4, 10), (8, 10), (10, 10)]
    assert list(whole.variables) == list(parts.variables)
    for name in whole.variables:
        np.testing.assert_allclose(parts[name], whole[name], rtol=1e-6, atol=1e-12)
    assert parts["v"].dtype == np.float32 and whole["v"].dtype == np.float64


def test_show_and_plot_know_such_files(folder: pathlib.Path) -> None:
    call("rest", "ten.toml", "-o", "r.h5", "--no-figure", "--set", "pump.i_max=2.4", "--precision", "float32")
    assert not (folder / "r.png").exists()
    found = read_rests("r.h5")
    assert found["v"].dtype == np.float32 and len(found["v"]) == 10 and found.resting.all()
    assert found.ions == {"na.inside": 1, "k.inside": 1, "cl.inside": -1}
    text = call("show", "r.h5")
    for word in (
        "Where do cells of many leaks rest?",
        "resting states",
        "10 ok",
        "k_leak.g",
        "atp_per_second",
        "10 cell",
    ):
        assert word in text
    assert "pump.i_max=2.4" in call("show", "r.h5", "--experiment")
    assert "r-overview.png" in call("plot", "r.h5")
    assert "overview alone" in call("plot", "r.h5", "--kind", "currents", status=2)
    assert "no simulation" in call("rerun", "r.h5", "--cell", "0", status=2)


def test_a_dry_run_writes_nothing_and_files_are_not_replaced(folder: pathlib.Path) -> None:
    text = call("rest", "ten.toml", "--dry-run")
    assert "10 (seed 4)" in text and "about" in text and "nothing is written" in text
    assert [p.name for p in folder.iterdir()] == ["ten.toml"]
    (folder / "ten-rest.h5").write_text("mine")
    assert "--overwrite replaces it" in call("rest", "ten.toml", status=2)
    assert (folder / "ten-rest.h5").read_text() == "mine"
    call("rest", "ten.toml", "--overwrite", "--no-figure")
    assert len(read_rests("ten-rest.h5")["v"]) == 10


def test_one_cell_with_clamped_ions_and_no_pump(folder: pathlib.Path) -> None:
    """Nothing varies: the squid, three times the same, without ions to show and without cost."""
    (folder / "squid.toml").write_text(
        'question = "Where does the squid rest?"\n[membrane]\npreset = "hodgkin_huxley_1952"\n' + RUN
    )
    text = call("rest", "squid.toml", "--cells", "3", "-o", "s.h5")
    found = read_rests("s.h5")
    np.testing.assert_allclose(found["v"], [-64.996379331192] * 3, rtol=0, atol=1e-9)
    assert not found.ions and "atp_per_second" not in found and "ATP" not in text
    text = call("rest", "squid.toml", "-o", "one.h5")
    assert "-65" in text and "value" in text and (folder / "one.png").exists()


def test_cells_without_a_rest_leave_no_figure(folder: pathlib.Path) -> None:
    text = call("rest", "ten.toml", "-o", "n.h5", "--set", "pump.i_max=1e-6", "--set", "k_leak.g=0.001")
    if np.isnan(read_rests("n.h5")["v"]).all():
        assert "no figure" in text and not (folder / "n.png").exists()
    else:
        pytest.fail("these cells were meant to find no rest")
