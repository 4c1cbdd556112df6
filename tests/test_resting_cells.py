"""data/resting_cells.csv: every number within what cells have, every rest where its ions allow it, every row with a source."""

import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

from jaxmem.electrochemistry import nernst
from jaxmem.study.columns import read

DATA = Path(__file__).parents[1] / "data"
TABLE = read(DATA / "resting_cells.csv", "resting_cells.csv")
RANGES = {
    "resting_potential_mV": (-100.0, -5.0),
    "input_resistance_MOhm": (0.1, 5e3),
    "time_constant_ms": (1.0, 500.0),
    "celsius": (0.0, 40.0),
    "na_inside_mM": (2.0, 60.0),
    "na_outside_mM": (100.0, 500.0),
    "k_inside_mM": (80.0, 450.0),
    "k_outside_mM": (2.0, 25.0),
    "cl_inside_mM": (1.0, 80.0),
    "cl_outside_mM": (70.0, 600.0),
    "junction_potential_mV": (-20.0, 20.0),
}


def numbers(name: str) -> np.ndarray:
    return np.array([float(x) if x else np.nan for x in TABLE.column(name)])


@pytest.mark.parametrize("name", RANGES)
def test_numbers_are_within_what_cells_have(name: str) -> None:
    low, high = RANGES[name]
    given = numbers(name)
    given = given[~np.isnan(given)]
    assert given.size
    assert np.all((given >= low) & (given <= high))


def test_every_cell_has_a_rest_and_a_name_of_its_own() -> None:
    assert len(TABLE.rows) >= 15
    assert not np.isnan(numbers("resting_potential_mV")).any()
    pairs = list(zip(TABLE.column("cell"), TABLE.column("species"), strict=True))
    assert len(set(pairs)) == len(pairs)


def test_every_cell_has_a_source_and_says_how_far_it_was_traced() -> None:
    for cell, source, mark in zip(*(TABLE.column(x) for x in ("cell", "source", "checked")), strict=True):
        assert re.search(r"\b(19|20)\d\d\b|not seen|year not", source), cell
        assert mark in ("seen", "computed", "unverified"), cell
    ions = [name for name in RANGES if name.endswith("_mM")]
    for i, (cell, source, mark) in enumerate(
        zip(*(TABLE.column(x) for x in ("cell", "ions_source", "ions_checked")), strict=True)
    ):
        given = any(TABLE.column(name)[i] for name in ions)
        assert bool(source) == bool(mark) == given, cell
        assert mark in ("", "seen", "computed", "unverified", "set"), cell


def test_a_rest_lies_between_the_potentials_of_its_ions() -> None:
    """Potassium below, sodium above; the red cell, which chloride rules, is near its potential."""
    celsius = np.nan_to_num(numbers("celsius"), nan=25.0)
    of = lambda ion, z: np.asarray(nernst(numbers(f"{ion}_inside_mM"), numbers(f"{ion}_outside_mM"), z, celsius))
    v, e_na, e_k, e_cl = numbers("resting_potential_mV"), of("na", 1), of("k", 1), of("cl", -1)
    known = ~np.isnan(e_na + e_k)
    assert known.sum() >= 12
    assert np.all((e_k < v)[known])
    assert np.all((v < e_na)[known])
    red = TABLE.column("cell").index("red blood cell")
    assert abs(v[red] - e_cl[red]) < 4


def test_sets_are_those_of_the_file_of_species() -> None:
    with open(DATA / "species.toml", "rb") as file:
        sets = tomllib.load(file)
    named = 0
    for i, source in enumerate(TABLE.column("ions_source")):
        if found := re.match(r"set (\w+) of species.toml", source):
            species, named = sets[found[1]]["species"], named + 1
            for ion in ("na", "k", "cl"):
                for side in ("inside", "outside"):
                    assert float(TABLE.column(f"{ion}_{side}_mM")[i]) == species[ion][side]
    assert named >= 8
