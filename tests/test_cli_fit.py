"""``jaxmem fit``: from a table of cells to a file, a table and a figure; who cannot be fitted is said first."""

import pathlib

import numpy as np
import pytest
import xarray as xr
from test_cli import call

import jaxmem as jm
from jaxmem.study.fits import read_fits

CELLS = "cell,v,R,tau\na,-70,200,20\nb,-95,100,10\nc,-55,100,8\nd,-60,,9\n"
FIT = """\
question = "Which leaks do three cells have?"

[membrane]
preset = "none"
celsius = 34
mechanisms.k_leak = { type = "Leak", g = 0.05, ion = "k" }
mechanisms.na_leak = { type = "Leak", g = 0.01, ion = "na" }
species.na = { inside = 20, outside = 150, valence = 1 }
species.k = { inside = 130, outside = 2.5, valence = 1 }

[data]
table = "cells.csv"
one_fit_per = "cell"

[data.columns]
resting_potential = { column = "v", unit = "mV", sd = "1 mV" }
input_resistance = { column = "R", unit = "MOhm", sd = "5 %" }
time_constant = { column = "tau", unit = "ms" }

[recording]
mode = "whole-cell"
junction_potential = "14 mV"

[fit.free]
k_leak.g = [1e-4, 10]
na_leak.g = [1e-6, 1]

[fit.fixed]
geometry.area = "derived"

[report]
title = "Leaks of three cells"
"""


@pytest.fixture
def folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cells.csv").write_text(CELLS)
    (tmp_path / "leaks.toml").write_text(FIT)
    return tmp_path


def test_a_table_is_fitted_row_by_row(folder: pathlib.Path) -> None:
    """Two leaks of a cell of known rest, resistance and time constant: g is c/tau, split by the distances to E_Na and E_K."""
    text = call("fit", "leaks.toml", "-o", "l.h5")
    e_na, e_k = (float(jm.electrochemistry.nernst(i, o, 1, 34.0)) for i, o in ((20.0, 150.0), (130.0, 2.5)))
    v, g = np.array([-84.0, -69.0]), 1 / np.array([20.0, 8.0])
    with xr.open_dataset(folder / "l.h5", engine="h5netcdf") as found:
        np.testing.assert_allclose(found["k_leak.g"][[0, 2]], g * (e_na - v) / (e_na - e_k), rtol=1e-6)
        np.testing.assert_allclose(found["na_leak.g"][[0, 2]], g * (v - e_k) / (e_na - e_k), rtol=1e-6)
        assert found.status.values.tolist() == [0, -1, 0, -1]
        assert found.name.values.tolist() == ["a", "b", "c", "d"]
        assert "below E_K = -104.6 mV" in found.left_out.values[1]
    said = text.index("2 of 4 cells cannot be fitted:"), text.index("Fitting 2 cells")
    assert said[0] < said[1]  # before anything is fitted
    reason = f"b: rests at -109 mV, below E_K = {e_k:.4g} mV: no mixture of these conductances can rest there"
    assert text.count(reason) == 2 and text.count("d: input_resistance was not measured") == 2
    for word in ("14 mV was subtracted", "2 cells fitted", "converged", "what targets say", "k_leak.g", "l.png"):
        assert word in text
    assert (folder / "l.png").stat().st_size > 10_000

    shown = call("show", "l.h5")
    for word in (
        "Which leaks do three cells have?",
        "holds",
        "fits",
        "2 not fitted",
        "could not be fitted",
        "residual_input",
    ):
        assert word in shown
    assert call("show", "l.h5", "--experiment").startswith('question = "Which leaks')
    assert "l-overview.png" in call("plot", "l.h5")
    assert "overview alone" in call("plot", "l.h5", "--kind", "currents", status=2)
    assert "--overwrite replaces it" in call("fit", "leaks.toml", "-o", "l.h5", status=2)


def test_options_stand_for_what_the_file_says(folder: pathlib.Path) -> None:
    (folder / "other.csv").write_text(CELLS.replace("a,-70", "z,-71"))
    options = ("--starts", "2", "--seed", "5", "--set", "data.table=other.csv", "--set", 'data.where.cell=["z","c"]')
    text = call("fit", "leaks.toml", *options, "--no-figure")
    found = read_fits("leaks.h5")
    assert found.names == ("z", "c") and found.starts == 2 and not (folder / "leaks.png").exists()
    assert "2 starts each" in text and "over starts" in text
    np.testing.assert_allclose(found["k_leak.g"][0], found["k_leak.g"][1], rtol=1e-6)
    assert "# overridden: --seed 5" in call("show", "leaks.h5", "--experiment")


def test_a_dry_run_says_what_would_be_fitted_and_writes_nothing(folder: pathlib.Path) -> None:
    text = call("fit", "leaks.toml", "--dry-run")
    for word in (
        "4 rows, 2 can be fitted, 2 cannot be",
        "geometry.area",
        "levenberg_marquardt, 1 start",
        "± 1 mV in 2 cells",
        "about",
        "MΩ",
    ):
        assert word in text, word
    assert sorted(p.name for p in folder.iterdir()) == ["cells.csv", "leaks.toml"]


def test_what_is_wrong_is_said_with_its_line(folder: pathlib.Path) -> None:
    (folder / "leaks.toml").write_text(FIT.replace('"1 mV"', '"1 ms"').replace("k_leak.g =", "k_leek.g ="))
    text = call("fit", "leaks.toml", status=2)
    assert "2 problems" in text and "leaks.toml:16: data.columns.resting_potential" in text
    assert "did you mean 'k_leak.g'" in text
    assert "there is no 'fits.starts'; did you mean 'fit.starts'?" in call(
        "fit", "leaks.toml", "--set", "fits.starts=3", status=2
    )


def test_the_published_cells_of_the_example_can_be_read() -> None:
    """The example in experiments/: everything but the fit itself, which takes longer."""
    from jaxmem.study.fit_table import load

    root = pathlib.Path(__file__).parents[1]
    plan = load(root / "experiments" / "fit_resting_potentials.toml")
    assert len(plan.kept) >= 10 and len(plan.kept) + len(plan.excluded) == len(plan.names)
    assert list(plan.free) == ["k_leak.g", "na_leak.g", "pump.i_max"] and plan.aims["sodium"].of == "na.inside"
    squid = plan.names.index("squid giant axon")
    here = list(plan.kept).index(squid)
    assert np.asarray(plan.membrane.parameters()["k.inside"].value)[here] == 400.0
    assert plan.aims["resting_potential"].value[0, here] == -65.0
