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
def test_the_stages_of_the_resting_potential_and_a_leak_that_nobody_told_of() -> None:
    module = script("resting_potential")
    findings = jm.Findings("?")
    module.held(findings, module.neuron(), 400.0)
    findings.check()
    missed = jm.Findings("?")
    module.held(missed, module.neuron(hidden=1e-3), 400.0)
    with pytest.raises(jm.FindingsError, match="solved less formula"):
        missed.check()


@pytest.mark.slow
def test_a_pump_that_moves_no_charge_leaves_nothing_at_once() -> None:
    module = script("electrogenic_pump")
    findings, missed = jm.Findings("?"), jm.Findings("?")
    module.at_once(findings, *module.resting())
    findings.check()
    module.at_once(missed, *module.resting(electrogenic=False))
    with pytest.raises(jm.FindingsError, match="voltage lost in 100 ms"):
        missed.check()


@pytest.mark.slow
def test_a_pump_of_another_ratio_costs_something_else() -> None:
    with pytest.raises(jm.FindingsError, match="over the estimate"):
        script("energy_of_rest").run(cells=5, n_k=1.0)[1].check()
