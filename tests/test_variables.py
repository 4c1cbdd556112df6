"""Results that are no simulation: what goes into a file of variables comes out of it, with units and meanings."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner

import jaxmem as jm
from jaxmem.cli.commands import cli
from jaxmem.study.store import StoreError, summary

V = np.linspace(-120.0, 60.0, 400)
WORDS = np.array(["squid", "frog", "µ-cell"])


def written(path: Path, **more: object) -> Path:
    findings = jm.Findings("Where does it\n cross zero?")
    findings.expect("zero of [the] current", -70.5, -71.0, -70.0, "mV", "Nernst")
    jm.save_variables(
        path,
        {
            "v": ("v", V, "mV", "command"),
            "current": (("animal", "v"), np.outer([1.0, 2.0, np.nan], V).astype(np.float32), "uA/cm^2", "current"),
            "animal": ("animal", WORDS, "1", "which animal"),
            "stable": ("animal", np.array([True, False, True]), "1", "whether it stands still"),
            "count": ((), 7, "1", "how many"),
            "table/e_k": ("animal", [-90.0, -100.0, -80.0], "mV", "of potassium"),
        },
        coordinates={"time": (np.arange(3.0), "ms", "time")},
        attributes=findings.attributes | {"seed": 3},
        **more,
    )
    return path


def test_xarray_opens_it_as_it_is(tmp_path: Path) -> None:
    path = written(tmp_path / "a.h5")
    with xr.open_dataset(path, engine="h5netcdf") as found:
        assert found.current.dims == ("animal", "v") and found.current.dtype == np.float32
        np.testing.assert_array_equal(found.current.sel(animal="frog"), (2 * V).astype(np.float32))
        assert np.isnan(found.current.sel(animal="µ-cell")).all()
        assert (found.current.attrs["units"], found.current.attrs["long_name"]) == ("uA cm-2", "current")
        assert set(found.coords) == {"v", "animal", "time"} and found.v.attrs["units"] == "mV"
        assert found.stable.dtype == bool and found.stable.values.tolist() == [True, False, True]
        assert int(found["count"]) == 7 and found.attrs["question"] == "Where does it cross zero?"
        assert found.current.encoding["fletcher32"] and np.isnan(found.current.encoding["_FillValue"])
    with xr.open_dataset(path, engine="h5netcdf", group="table") as group:
        np.testing.assert_array_equal(group.e_k, [-90.0, -100.0, -80.0])


def test_a_dimension_without_a_coordinate_counts(tmp_path: Path) -> None:
    jm.save_variables(tmp_path / "a.h5", {"x": (("row", "column"), np.eye(3)[:2], "1", "ones")})
    with xr.open_dataset(tmp_path / "a.h5", engine="h5netcdf") as found:
        assert found.row.values.tolist() == [0, 1] and found.column.values.tolist() == [0, 1, 2]


def test_show_tells_question_findings_and_variables(tmp_path: Path) -> None:
    path = written(tmp_path / "a.h5")
    told = CliRunner().invoke(cli, ["show", str(path)])
    assert told.exit_code == 0, told.output
    for text in (
        "Where does it cross zero?",
        "zero of [the] current: -70.5 mV",
        "[Nernst]",
        "3 animal x 400 v",
        "µA/cm²",
    ):
        assert text in told.output
    assert "seed" in told.output and "command" in told.output
    found = summary(path)
    assert found.kind == "variables" and found.measures["v"].median == pytest.approx(-30.0)
    assert found.variables["current"].shape == (3, 400) and found.provenance["seed"] == 3
    told = CliRunner().invoke(cli, ["show", str(path), "--experiment"])
    assert told.exit_code == 2 and "does not come from an experiment file" in told.output
    with pytest.raises(StoreError, match="holds variables, no simulation"):
        jm.load(path)
    told = CliRunner().invoke(cli, ["plot", str(path)])
    assert told.exit_code == 2 and "no simulation" in told.output


def test_a_file_stands_whole_or_not_at_all(tmp_path: Path) -> None:
    path = written(tmp_path / "a.h5")
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match="exists"):
        written(path)
    with pytest.raises(ValueError, match="has 2 entries"):
        jm.save_variables(path, {"x": ("a", [1, 2], "1", ""), "y": ("a", [1, 2, 3], "1", "")}, overwrite=True)
    assert path.read_bytes() == before
    damaged = bytearray(before)
    damaged[len(before) // 2] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(StoreError, match="damaged"):
        summary(path)
    assert written(path, overwrite=True) and sorted(p.name for p in tmp_path.iterdir()) == ["a.h5"]


@pytest.mark.parametrize(
    ("variables", "text"),
    [
        ({"x": ("a", 1.0, "1", "")}, r"shape \(\), but 1 dimensions"),
        ({"x": (("a", "a"), np.eye(2), "1", "")}, "name of its own"),
        ({"x": ("a", [1j], "1", "")}, "real and imaginary part"),
        ({"x": ("a", [object()], "1", "")}, "numbers or texts"),
        ({"a": (("a", "b"), np.eye(2), "1", "")}, "called like one of its dimensions"),
        ({"a": ((), 1.0, "1", ""), "x": ("a", [1.0], "1", "")}, "names a dimension and a variable"),
        ({"provenance": ((), 1.0, "1", "")}, "are taken"),
        ({"/x": ((), 1.0, "1", "")}, "cannot name"),
    ],
)
def test_what_cannot_be_stored_is_told(tmp_path: Path, variables: dict, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        jm.save_variables(tmp_path / "a.h5", variables)
    with pytest.raises(jm.UnitError):
        jm.save_variables(tmp_path / "a.h5", {"x": ((), 1.0, "parsecs", "")})
    with pytest.raises(ValueError, match="both as a coordinate"):
        jm.save_variables(tmp_path / "a.h5", {"x": ("x", [1.0], "1", "")}, coordinates={"x": ([1.0], "1", "")})
    assert not list(tmp_path.iterdir())
