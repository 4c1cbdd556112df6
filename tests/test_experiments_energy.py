"""The experiments on what rest is made of and what it costs: each comes out in a small size, and tells a broken physics."""

from pathlib import Path
from typing import Any

import pytest
import xarray as xr
from test_experiments_ions import script

import jaxmem as jm

SMALL: list[tuple[str, dict[str, Any]]] = [
    ("energy_of_rest", {"cells": 5}),
    ("resting_potential", {}),
    ("electrogenic_pump", {"hours": 40.0, "spread": 5}),
]
BROKEN: list[tuple[str, dict[str, Any], str]] = [
    ("energy_of_rest", {"cells": 5, "n_k": 1.0}, "over the estimate"),
    ("resting_potential", {"hidden": 1e-3}, "solved less formula"),
    ("electrogenic_pump", {"hours": 40.0, "spread": 5, "electrogenic": False}, "voltage lost in 100 ms"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size"), SMALL, ids=[name for name, _ in SMALL])
def test_an_experiment_comes_out(name: str, size: dict[str, Any], tmp_path: Path) -> None:
    module = script(name)
    kept, findings = module.run(**size)
    findings.check()
    figure = module.draw(kept)
    assert all(ax.get_xlabel() or ax.get_ylabel() for ax in figure.axes)
    assert all(ax.get_title("left") for ax in figure.axes)
    jm.save_variables(tmp_path / "a.h5", kept, attributes=findings.attributes)
    with xr.open_dataset(tmp_path / "a.h5", engine="h5netcdf") as found:
        assert found.attrs["question"] == module.QUESTION


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size", "what"), BROKEN, ids=[name for name, _, _ in BROKEN])
def test_a_broken_physics_is_told(name: str, size: dict[str, Any], what: str) -> None:
    with pytest.raises(jm.FindingsError, match=what):
        script(name).run(**size)[1].check()
