"""Fits in a file: every number in its place, cells that were left out too; the same in a table and in a picture."""

import io
import pathlib

import numpy as np
import pytest
import rich.console
import xarray as xr

import jaxmem as jm
from jaxmem import plots, report
from jaxmem.study.cells import read_cells
from jaxmem.study.csv_file import write_csv
from jaxmem.study.files import StoreError
from jaxmem.study.fits import LEFT_OUT, Fits, fits_of, read_fits, save_fit
from jaxmem.study.scanning.regions import region

LEAKS = jm.Membrane(
    {"na_leak": jm.Leak(g=0.01, ion="na"), "k_leak": jm.Leak(g=0.05, ion="k")},
    {"na": jm.Species(inside=10.0, outside=145.0), "k": jm.Species(inside=140.0, outside=5.0)},
)
FREE = {"na_leak.g": (1e-5, 1.0), "k_leak.g": (1e-5, 10.0)}
V, TAU = np.array([-70.0, -60.0, -75.0]), np.array([20.0, np.nan, 10.0])
NAMES, KEPT, WHY = ("a", "b", "c", "d"), np.array([0, 2, 3]), {1: "rests below E_K"}


@pytest.fixture(scope="module")
def fit() -> jm.Fit:
    """Two leaks to rest and time constant from two starts; of the second cell the time constant is not known."""
    targets = {"resting_potential": jm.Target(V, 1.0), "time_constant": jm.Target(TAU, 1.0)}
    return jm.fit(LEAKS, free=FREE, targets=targets, starts=2, seed=3)


@pytest.fixture(scope="module")
def found(fit: jm.Fit) -> Fits:
    return fits_of(fit, names=NAMES, kept=KEPT, excluded=WHY)


def closed_form(v: np.ndarray, tau: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """g_Na and g_K (mS/cm^2) of 1 uF/cm^2: their sum is c/tau, and the currents cancel at v."""
    env = LEAKS.environment(LEAKS.initial_state().book)
    e_na, e_k = float(env.e["na"]), float(env.e["k"])
    g = 1 / tau
    return g * (v - e_k) / (e_na - e_k), g * (e_na - v) / (e_na - e_k)


def test_each_number_stands_with_its_cell(found: Fits) -> None:
    na, k = closed_form(V, TAU)
    for path, g in (("na_leak.g", na), ("k_leak.g", k)):
        assert found[path].shape == (2, 4)
        np.testing.assert_allclose(found[path][:, [0, 3]], np.tile(g[[0, 2]], (2, 1)), rtol=1e-6)
        assert np.isnan(found[path][:, 1]).all() and np.isfinite(found[path][:, 2]).all()
        assert np.isfinite(found[f"{path}_standard_error"][:, [0, 3]]).all()
        assert np.isinf(found[f"{path}_standard_error"][:, 2]).all()
    ratio = np.divide(*closed_form(V, np.ones(3)))[1]
    np.testing.assert_allclose((found["na_leak.g"] / found["k_leak.g"])[:, 2], ratio, rtol=1e-6)
    np.testing.assert_array_equal(found["status"], [[0, LEFT_OUT, 0, 0]] * 2)
    np.testing.assert_array_equal(found["measured_time_constant"], [[20.0, np.nan, np.nan, 10.0]])
    assert (
        np.isnan(found["residual_time_constant"][:, 2]).all() and np.isfinite(found["fitted_time_constant"][:, 2]).all()
    )
    np.testing.assert_allclose(found["rest_v"], [[-70.0, np.nan, -60.0, -75.0]] * 2, atol=1e-6)
    assert found.fitted.tolist() == [True, False, True, True] and found.words


def test_the_best_start_is_one_that_met_its_targets(found: Fits) -> None:
    worse = dict(found.variables)
    put = lambda name, x: worse.update({name: worse[name].__class__(np.asarray(x), ("start", "cell"), "1", "")})
    put("status", [[1, LEFT_OUT, 0, 0], [0, LEFT_OUT, 0, 1]])
    put("cost", [[0.0, np.nan, 2.0, 5.0], [3.0, np.nan, 1.0, 1.0]])
    other = Fits(**{**vars_of(found), "variables": worse})
    assert other.first[[0, 2, 3]].tolist() == [1, 1, 0]
    np.testing.assert_array_equal(other.best("cost")[[0, 2, 3]], [3.0, 1.0, 5.0])


def vars_of(found: Fits) -> dict:
    return {name: getattr(found, name) for name in Fits.__dataclass_fields__}


def test_a_file_gives_back_what_was_saved(fit: jm.Fit, found: Fits, tmp_path: pathlib.Path) -> None:
    save_fit(fit, tmp_path / "f.h5", found=found, experiment="question = 1", attributes={"seed": 3})
    again = read_fits(tmp_path / "f.h5")
    for name in found.variables:
        if name not in ("name", "left_out"):
            np.testing.assert_array_equal(again[name], found[name])
    np.testing.assert_array_equal(again.jacobian, found.jacobian)
    for part in ("names", "excluded", "free", "rows", "words", "statuses"):
        assert getattr(again, part) == getattr(found, part)
    with xr.open_dataset(tmp_path / "f.h5", engine="h5netcdf") as data:
        assert data["k_leak.g"].dims == ("start", "cell") and data["k_leak.g"].attrs["units"] == "mS cm-2"
        assert data["left_out"].values.tolist() == ["", "rests below E_K", "", ""]
        assert data.status.attrs["flag_meanings"].split()[:2] == ["left_out", "converged"]
        assert data["measured_resting_potential"].attrs["units"] == "mV"
    with xr.open_dataset(tmp_path / "f.h5", engine="h5netcdf", group="parameters") as data:
        np.testing.assert_array_equal(data["k_leak.g"], found.best("k_leak.g"))
    with pytest.raises(FileExistsError):
        save_fit(fit, tmp_path / "f.h5")
    jm.save_variables(tmp_path / "other.h5", {"x": ("cell", [1.0], "mV", "")})
    with pytest.raises(StoreError, match="holds variables, no fits"):
        read_fits(tmp_path / "other.h5")


def test_each_cells_best_fit_is_a_row_of_a_table(fit: jm.Fit, found: Fits, tmp_path: pathlib.Path) -> None:
    save_fit(fit, tmp_path / "f.h5", found=found)
    cells = read_cells(tmp_path / "f.h5")
    assert cells.points == 4 and list(cells.values["name"]) == list(NAMES)
    np.testing.assert_array_equal(cells.values["k_leak.g"], found.best("k_leak.g"))
    assert region(cells, "status is converged").indices().tolist() == KEPT.tolist()
    write_csv(tmp_path / "f.csv", cells, columns=["name", "rest_v", "status"], index=cells.row)
    assert (tmp_path / "f.csv").read_text().splitlines()[:4:3] == ["# units: 1,mV,1", "b,,left_out"]


@pytest.mark.slow
def test_one_cell_and_several_conditions(tmp_path: pathlib.Path) -> None:
    """Without a cell axis a file has one cell; each condition of a target is a number of its own."""
    e_na = float(jm.electrochemistry.nernst(10.0, 145.0, 1, 37.0))
    rest = lambda k: (0.01 * e_na + 0.05 * float(jm.electrochemistry.nernst(140.0, k, 1, 37.0))) / 0.06
    target = jm.Target([rest(5.0), rest(20.0)], 1.0, at=[{}, {"k.outside": 20.0}])
    fit = jm.fit(LEAKS, free={"na_leak.g": (1e-5, 1.0)}, targets={"resting_potential": target})
    fit.save(tmp_path / "one.h5")
    found = read_fits(tmp_path / "one.h5")
    assert [row.name for row in found.rows] == ["resting_potential_1", "resting_potential_2"]
    assert found.rows[1].told == "resting potential at k.outside 20 mM"
    np.testing.assert_allclose(found.best("na_leak.g"), [0.01], rtol=1e-6)
    assert found["fitted_resting_potential_2"].shape == (1, 1) and found.names == ("0",)
    figure = plots.fits(found)
    assert "residual (standard deviations)" in [ax.get_xlabel() for ax in figure.axes]


def test_the_table_tells_what_became_of_them(found: Fits) -> None:
    out = rich.console.Console(width=160, record=True, file=io.StringIO())
    out.print(report.fits(found))
    text = out.export_text()
    for word in (
        "3 cells fitted, 2 starts each",
        "100.0%  converged",
        "b: rests below E_K",
        "factor 1",
        "×/÷",
        "mS/cm²",
    ):
        assert word in text, word
    line = next(x for x in text.splitlines() if x.startswith("k_leak.g"))
    assert " 2 " in line  # identified in two of three


def test_the_picture_draws_what_nothing_fixes(found: Fits) -> None:
    """Of the cell without a time constant both conductances may grow together: a line of slope 1 in logarithms."""
    figure = plots.fits(found, title="Two leaks")
    pair = next(ax for ax in figure.axes if ax.get_xlabel().startswith("na_leak.g"))
    lines = [np.log(np.stack(line.get_data())) for line in pair.lines if len(line.get_xdata()) > 100]
    assert len(lines) == 1
    slope = np.diff(lines[0][1]) / np.diff(lines[0][0])
    np.testing.assert_allclose(slope, 1.0, rtol=1e-6)
    caption = plots.caption_of(figure)
    assert "6 of 6 fits meet their targets" in caption and "1 of 4 cells could not be fitted" in caption
    with pytest.raises(ValueError, match="none of the 4 cells was fitted"):
        plots.fits(Fits(**{**vars_of(found), "excluded": dict.fromkeys(range(4), "x")}))
