"""CSV files: what pandas, a spreadsheet and a design of listed points read back is what was in the result."""

import pathlib

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from listed_scan import ListedAxis, ListedOutput, ListedScan, listed
from test_cli import call

import jaxmem as jm
from jaxmem.cli.commands import cli
from jaxmem.study import columns, csv_file
from jaxmem.study.cells import read_cells
from jaxmem.study.csv_file import write_csv
from jaxmem.study.rests import find_rests, save_rests
from jaxmem.study.scanning.regions import region

WELL = "v between -72 mV and -68 mV"


def table(path: str | pathlib.Path) -> pd.DataFrame:
    """As pandas reads it, numbers to the last bit, which it does not promise by itself."""
    texts = pd.read_csv(path, comment="#", dtype=str, keep_default_na=False)

    def column(cells: pd.Series) -> list[float] | list[str]:
        try:
            return [float(x or "nan") for x in cells]
        except ValueError:
            return list(cells)

    return pd.DataFrame({name: column(texts[name]) for name in texts})


@pytest.fixture
def scan(monkeypatch: pytest.MonkeyPatch) -> ListedScan:
    monkeypatch.setattr(csv_file, "PIECE", 7)
    random = np.random.default_rng(1)
    v = random.uniform(-80, -60, 50).astype(np.float32)
    v[3] = np.nan
    values = {
        "g": 10 ** random.uniform(-9, 9, 50), "v": v, "peaks": random.normal(size=(2, 50)),
        "status": np.where(np.arange(50) == 3, 1, 0).astype(np.int32), "iterations": np.arange(50, dtype=np.int32),
    }  # fmt: skip
    outputs = {"v": ListedOutput(unit="mV"), "peaks": ListedOutput(unit="mV", entries=2)}
    return listed({"g": ListedAxis(unit="mS/cm^2", low=1e-9, high=1e9)}, values, outputs=outputs)


def test_pandas_reads_the_same_bits(scan: ListedScan, tmp_path: pathlib.Path) -> None:
    assert write_csv(tmp_path / "all.csv", scan, title="What,\nif?") == 50
    lines = (tmp_path / "all.csv").read_text().splitlines()
    assert lines[:3] == [
        "# What, if?",
        "# units: 1,mS/cm^2,mV,mV,mV,1,1",
        "point,g,v,peaks.0,peaks.1,status,iterations",
    ]
    found = table(tmp_path / "all.csv")
    np.testing.assert_array_equal(found["point"], np.arange(50))
    np.testing.assert_array_equal(found["g"], scan["g"])
    np.testing.assert_array_equal(found["v"].to_numpy(np.float32), scan["v"])
    np.testing.assert_array_equal(found[["peaks.0", "peaks.1"]].T, scan["peaks"])
    assert found["status"].tolist() == ["no_rest" if i == 3 else "ok" for i in range(50)]
    assert max(len(cell) for cell in lines[5].split(",")) < 25  # float32 in its own shortest decimals


def test_a_region_is_a_list_again(scan: ListedScan, tmp_path: pathlib.Path) -> None:
    inside = region(scan, WELL)
    inside.export(tmp_path / "well.csv", columns=["g", "v"])
    read = columns.read(tmp_path / "well.csv", "well.csv")
    assert read.names == ("g", "v")
    np.testing.assert_array_equal([float(x) for x in read.column("g")], scan["g"][inside.indices()])
    assert f"# {inside.count} of 50 points" in (tmp_path / "well.csv").read_text()
    inside.export(tmp_path / "one.csv", columns=["v"])
    assert len(columns.read(tmp_path / "one.csv", "one.csv").rows) == inside.count


def test_what_is_not_known_is_a_gap_and_a_column_alone_has_no_empty_line(
    scan: ListedScan, tmp_path: pathlib.Path
) -> None:
    write_csv(tmp_path / "two.csv", scan, columns=["v", "status"])
    assert (tmp_path / "two.csv").read_text().splitlines()[2 + 3] == ",no_rest"
    write_csv(tmp_path / "one.csv", scan, columns=["v"])
    assert len(pd.read_csv(tmp_path / "one.csv", comment="#")) == 50


def test_whole_or_not_at_all(scan: ListedScan, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "x.csv"
    target.write_text("mine")
    with pytest.raises(FileExistsError):
        write_csv(target, scan)
    part = ListedScan.part

    def breaks(self: ListedScan, name: str, start: int, stop: int) -> np.ndarray:
        if start >= 42:
            raise OSError(28, "no space left on device")
        return part(self, name, start, stop)

    monkeypatch.setattr(ListedScan, "part", breaks)
    with pytest.raises(OSError, match="nothing was written"):
        write_csv(target, scan, overwrite=True)
    assert target.read_text() == "mine" and [p.name for p in tmp_path.iterdir()] == ["x.csv"]
    with pytest.raises(ValueError, match="no column 'vv'"):
        write_csv(target, scan, columns=["vv"], overwrite=True)
    with pytest.raises(ValueError, match="'v' is given twice"):
        write_csv(target, scan, columns=["v", "v"], overwrite=True)


# ---------------------------------------------------------------------- files
LEAKS = jm.Membrane(
    {"na_leak": jm.Leak(g=0.01, ion="na"), "k_leak": jm.Leak(g=0.05, ion="k")},
    {"na": jm.Species(inside=10.0, outside=145.0), "k": jm.Species(inside=140.0, outside=5.0)},
)


@pytest.fixture
def folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def circle(x: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    r = x["x"] ** 2 + x["y"] ** 2
    return {"r": np.where(r < 1.5, r, np.nan)}


def test_a_scan_and_a_region_of_it_scanned_again(folder: pathlib.Path) -> None:
    takes = {"x": (0.0, "mV", "a place"), "y": (0.0, "mV", "a place")}
    question = jm.questions.Function(circle, {"r": ("1", "square of the radius")}, takes)
    design = jm.designs.Grid({"x": jm.Axis(-1, 1, points=11), "y": jm.Axis(-1, 1, points=9)})
    regions = {"disc": "r <= 0.5"}
    scan = jm.scan(question, design, output="c.h5", question="Where is the disc?", regions=regions, chunk=40, note=None)
    assert "c.csv: 99 points" in call("export", "c.h5")
    whole = table("c.csv")
    assert list(whole) == ["point", "x", "y", "r", "status"] and len(whole) == 99
    np.testing.assert_array_equal(whole["r"], scan["r"])
    assert set(whole["status"]) == {"ok", "not_finite"}
    inside = np.flatnonzero(scan["r"] <= 0.5)
    assert f"d.csv: {len(inside)} of 99 points" in call("export", "c.h5", "-o", "d.csv", "--region", "disc")
    np.testing.assert_array_equal(table("d.csv")["point"], inside)
    call(
        "export", "c.h5", "-o", "e.csv", "--region", "disc", "--where", "x > 0.5 mV or y > 5e-4 V", "--columns", "x, y"
    )
    expected = inside[(scan["x"][inside] > 0.5) | (scan["y"][inside] > 0.5)]
    np.testing.assert_array_equal(table("e.csv")["x"], scan["x"][expected])
    read = columns.read(folder / "d.csv", "d.csv")
    again = jm.designs.Listed({p: (np.array([float(t) for t in read.column(p)]), "mV") for p in "xy"})
    second = jm.scan(question, again, output="again.h5", note=None)
    np.testing.assert_array_equal(second["r"], scan["r"][inside])


def test_what_the_command_refuses(folder: pathlib.Path) -> None:
    takes = {"x": (0.0, "mV", "a place"), "y": (0.0, "mV", "a place")}
    question = jm.questions.Function(circle, {"r": ("1", "square of the radius")}, takes)
    jm.scan(question, jm.designs.Random({"x": jm.Axis(0, 1)}, 5), output="c.h5", regions={"disc": "r < 9"}, note=None)
    call("export", "c.h5", "-o", "c0.csv")
    assert CliRunner().invoke(cli, ["export", "c.h5", "-o", "-"]).stdout == (folder / "c0.csv").read_text()
    (folder / "c0.csv").unlink()
    assert not (folder / "-").exists()
    assert "did you mean 'disc'" in call("export", "c.h5", "--region", "disk", status=2)
    assert "at column 1: there is no axis or output 'rr'" in call("export", "c.h5", "--where", "rr < 2", status=2)
    assert "no column 'rr'" in call("export", "c.h5", "--columns", "rr", status=2)
    assert not (folder / "c.csv").exists()
    assert "no point is where r > 9" in call("export", "c.h5", "--where", "r > 9")
    assert "--overwrite replaces it" in call("export", "c.h5", status=2)
    assert "c.csv: 5 points" in call("export", "c.h5", "--overwrite")


def test_simulations_and_rests_have_a_row_per_cell(folder: pathlib.Path) -> None:
    cells = LEAKS.with_parameters({"k_leak.g": np.array([0.02, 0.05, 0.1])})
    run = jm.simulate(cells, 5.0, measures=["mean_v"], record=jm.Record("v", 1.0))
    run.save("run.h5")
    call("export", "run.h5")
    found = table("run.csv")
    assert list(found)[:2] == ["cell", "k_leak.g"] and "v" not in found and len(found) == 3
    np.testing.assert_array_equal(found["k_leak.g"], [0.02, 0.05, 0.1])
    np.testing.assert_array_equal(found["mean_v"].to_numpy(run.measures["mean_v"].dtype), run.measures["mean_v"])
    assert set(found["status"]) == {"ok"} and "mS/cm^2" in (folder / "run.csv").read_text()
    jm.simulate(LEAKS, 5.0, measures=["mean_v"]).save("one.h5")
    assert read_cells("one.h5").points == 1 and read_cells("one.h5").values["mean_v"].shape == (1,)

    rests = find_rests(cells, 3)
    save_rests(rests, cells, "rest.h5")
    call("export", "rest.h5", "--where", "v < -50 mV and stability is stable", "--columns", "cell,v,stability")
    inside = rests["v"] < -50
    np.testing.assert_array_equal(table("rest.csv")["v"], rests["v"][inside])
    assert 0 < inside.sum() < 3 and table("rest.csv")["cell"].tolist() == np.flatnonzero(inside).tolist()


def test_variables_of_any_kind_have_rows_too(folder: pathlib.Path) -> None:
    jm.save_variables(
        "iv.h5", {"i": ("v", [1.0, 2.0], "uA/cm^2", "a current")}, coordinates={"v": ([3.0, 4.0], "mV", "v")}
    )
    assert "iv.csv: 2 vs" in call("export", "iv.h5")
    assert table("iv.csv")["i"].tolist() == [1, 2]
    jm.save_variables("no.h5", {"i": ((), 1.0, "uA/cm^2", "a current")})
    assert "without a dimension to give rows" in call("export", "no.h5", status=2)
