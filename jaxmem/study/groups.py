"""Cell types: which cell is of which group, and each group's own typical cell."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxmem.membrane.membrane import Membrane
from jaxmem.membrane.parameters import Parameter, path_error
from jaxmem.study import tables
from jaxmem.study.population_tables import DistributionTable, GroupTable
from jaxmem.study.problems import Problems

LABEL = "group"


@dataclasses.dataclass(frozen=True)
class Group:
    """A group as read: its typical cell's numbers where they are given, and spreads of its own within and between."""

    name: str
    place: tuple[str | int, ...]
    size: float
    given: dict[str, Any]
    vary: dict[str, DistributionTable]
    between: dict[str, DistributionTable]


def read(table: tables.PopulationTable, known: Mapping[str, Parameter], problems: Problems) -> list[Group]:
    """The groups of the file; one that holds every cell where it names none."""
    found: list[Group] = []
    sizes: set[str] = set()
    for i, raw in enumerate(table.group):
        place = ("population", "group", i)
        entry = problems.table(GroupTable, raw, *place)
        if entry is None:
            continue
        sizes.add("share" if entry.cells is None else "cells")
        if entry.name in [g.name for g in found]:
            problems.add((*place, "name"), f"there are two groups called {entry.name!r}")
        for path in [p for p in entry.parameters if p not in known]:
            problems.add((*place, "parameters", path), str(path_error(path, list(known))))
        given = {p: x for p, x in entry.parameters.items() if p in known}
        vary = spreads(entry.vary, known, problems, *place, "vary")
        between = spreads(entry.between, known, problems, *place, "between")
        for path, spread in between.items():
            if spread.distribution in ("values", "csv"):
                text = f"{spread.distribution} is for cells; a group draws one number: take a distribution"
                problems.add((*place, "between", path), text)
        size = (entry.share or 0.0) if entry.cells is None else float(entry.cells)
        found.append(Group(entry.name, place, size, given, vary, between))
    if not table.group:
        return [Group("", ("population",), 1.0, {}, {}, {})]
    _check_sizes(table, found, sizes, problems)
    return found


def spreads(
    raw: Mapping[str, Any], known: Mapping[str, Parameter], problems: Problems, *place: str | int
) -> dict[str, DistributionTable]:
    """The distributions in a table by path, those that are right."""
    found = {}
    for path, entry in raw.items():
        if path not in known:
            problems.add((*place, path), str(path_error(path, list(known))))
        elif spread := problems.table(DistributionTable, entry, *place, path):
            found[path] = spread
    return found


def _check_sizes(table: tables.PopulationTable, groups: list[Group], sizes: set[str], problems: Problems) -> None:
    place, total = ("population", "group"), sum(g.size for g in groups)
    if problems.touches(*place) or len(groups) < len(table.group):
        return
    if len(sizes) > 1:
        problems.add(place, "some groups give a share and some a number of cells; give one of the two for all")
    elif sizes == {"share"} and abs(total - 1) > 1e-6:
        problems.add(place, f"the shares must sum to 1; found {total:g}")
    elif sizes == {"cells"} and total != table.cells:
        text = f"the groups have {total:g} cells in all, but the population has {table.cells}; make them agree, or give shares"
        problems.add(place, text)


def members(sizes: Sequence[float], cells: int) -> np.ndarray:
    """(cells,) index of each cell's group, the groups interleaved in proportion to their sizes.

    The j-th cell of a group of share s stands at (j - 1/2)/s, and cells are counted in that order (the method of
    Webster and Sainte-Lague, as seats are given to parties). So the first n cells are the same for any number of cells,
    groups have exactly their share of n wherever that is a whole number, and at most one cell more or less elsewhere
    for two groups.
    """
    shares = np.asarray(sizes, float) / np.sum(sizes)
    counts = np.ceil(shares * cells).astype(int) + 1
    group = np.repeat(np.arange(len(shares)), counts)
    rank = np.concatenate([np.arange(n) for n in counts])
    return group[np.lexsort((group, (rank + 0.5) / shares[group]))][:cells]


def typical(group: Group, membrane: Membrane, problems: Problems) -> Membrane:
    """The membrane of the group's typical cell; whole-cell values refer to its own size."""
    given = {path: x for path, x in group.given.items() if not path.startswith("stimulus.")}
    for path, x in given.items():
        with problems.at(*group.place, "parameters", path):
            membrane.with_parameters({path: x})
    if problems.touches(*group.place, "parameters") or not given:
        return membrane
    try:
        return membrane.with_parameters(given)
    except ValueError:  # noted already
        return membrane
