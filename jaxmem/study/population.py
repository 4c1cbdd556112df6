"""How the cells of a population differ: groups, draws from distributions, measured cells, correlated where told so.

Each number of a cell is the typical cell's, or its group's, or drawn around that: one independent normal number per path
and cell (:mod:`jaxmem.study.draws`), correlated by one matrix for all cells, then given its distribution's shape, cut
off where told so. Under a change of ``cells`` the first n cells keep all their numbers (with ``rows = "each"`` and
``values`` the list has to change with them), and their groups where these are given by shares.
"""

import pathlib
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr

from jaxmem import units
from jaxmem.engine.simulation import Labels
from jaxmem.membrane.membrane import Membrane
from jaxmem.membrane.parameters import Parameter, declared, map_declared
from jaxmem.rig.stimuli import Stimulus
from jaxmem.study import groups, tables
from jaxmem.study.columns import Files
from jaxmem.study.correlations import correlation, with_covariance
from jaxmem.study.draws import correlated, cut, log_sd, standard_normal
from jaxmem.study.population_tables import DistributionTable
from jaxmem.study.problems import Problems


class Population(NamedTuple):
    """What is simulated: every varied number an array over the cells; the ``varied`` paths; what each cell is called."""

    membrane: Membrane
    stimulus: Stimulus | None
    varied: tuple[str, ...]
    labels: dict[str, Labels]


def varied(
    table: tables.PopulationTable,
    membrane: Membrane,
    stimulus: Stimulus | None,
    problems: Problems,
    folder: pathlib.Path = pathlib.Path(),
) -> Population:
    """The population: ``membrane`` and ``stimulus`` with an array over the cells for every varied path."""
    known = _known(membrane, stimulus)
    table = with_covariance(table, known, problems)
    kinds = groups.read(table, known, problems)
    common = groups.spreads(table.vary, known, problems, "population", "vary")
    paths = list(dict.fromkeys([*common, *(p for g in kinds for part in (g.given, g.between, g.vary) for p in part)]))
    drawn = list(dict.fromkeys([*common, *(p for g in kinds for p in g.vary)]))
    with problems.at("population", "correlation"):
        independent = [standard_normal(table.seed, path, table.cells) for path in drawn]
        independent = correlated(independent, correlation(table, drawn, problems))
    normal = dict(zip(drawn, independent, strict=True))
    usable = [g.size for g in kinds] if kinds and all(g.size > 0 for g in kinds) else [1.0] * max(len(kinds), 1)
    group = groups.members(usable, table.cells)
    files = Files(folder, table.seed, [*common.values(), *(s for g in kinds for s in g.vary.values())])
    arrays = {path: np.empty(table.cells) for path in paths}
    for i, kind in enumerate(kinds):
        mine = np.flatnonzero(group == i)
        own = groups.typical(kind, membrane, problems)
        for path in paths:
            centre = _centre(path, kind, own, stimulus, table.seed, problems)
            spread, place = kind.vary.get(path), (*kind.place, "vary", path)
            if spread is None:
                spread, place = common.get(path), ("population", "vary", path)
            if spread is None:
                arrays[path][mine] = float(np.asarray(centre.value))
                continue
            for key, held in (("parameters", kind.given), ("between", kind.between)):
                if path in held and spread.centre_given:
                    text = "the spread of this parameter says itself around what; leave one of the two out"
                    problems.add((*kind.place, key, path), text)
            with problems.at(*place):
                arrays[path][mine] = values = _values(spread, normal[path][mine], centre, own, mine, files)
                if not path.startswith("stimulus."):
                    whole = np.full(table.cells, float(np.asarray(centre.value)))
                    whole[mine] = values  # so that a problem names the cell by its own index
                    membrane.with_parameters({path: whole})
    if problems.found:
        return Population(membrane, stimulus, (), {})
    driven = {path.removeprefix("stimulus."): x for path, x in arrays.items() if path.startswith("stimulus.")}
    cells = {path: x for path, x in arrays.items() if not path.startswith("stimulus.")}
    # a population of one, or of equal cells, has a cell axis too
    start = np.broadcast_to(np.asarray(membrane.initial_v, float), (table.cells,)).copy()
    cells_membrane = membrane.with_parameters({"initial_v": start} | cells)
    if stimulus is not None and driven:
        stimulus = map_declared(lambda path, old: driven.get(path, old), stimulus)
    labels = {}
    if table.group:
        labels[groups.LABEL] = Labels(group.astype(np.int32), tuple(g.name for g in kinds), "group of the cell")
    return Population(cells_membrane, stimulus, tuple(paths), labels)


def _known(membrane: Membrane, stimulus: Stimulus | None) -> dict[str, Parameter]:
    return membrane.parameters() | {
        f"stimulus.{p}": Parameter(x, d.unit, d.description) for p, x, d in declared(stimulus)
    }


def _centre(
    path: str, group: groups.Group, own: Membrane, stimulus: Stimulus | None, seed: int, problems: Problems
) -> Parameter:
    """A parameter of the group's typical cell: as given, or drawn around that where groups differ at random."""
    centre = _known(own, stimulus)[path]
    with problems.at(*group.place, "parameters", path):
        if path.startswith("stimulus.") and path in group.given:
            value = units.parse_quantity(
                group.given[path], centre.unit, area=own.geometry.area, capacitance=own.capacitance
            )
            centre = centre._replace(value=value)
    if path in group.between:
        z = standard_normal(seed, f"{path} of {group.name}", 1)
        with problems.at(*group.place, "between", path):
            drawn = _values(group.between[path], z, centre, own)[0]
            centre = centre._replace(value=drawn)
            if not path.startswith("stimulus."):
                own.with_parameters({path: drawn})
    return centre


def _values(
    spread: DistributionTable,
    z: np.ndarray,
    parameter: Parameter,
    membrane: Membrane,
    cells: np.ndarray | None = None,
    files: Files | None = None,
) -> np.ndarray:
    """Values of one parameter for these cells from their normal numbers of mean 0 and variance 1."""
    whole = {"area": membrane.geometry.area, "capacitance": membrane.capacitance}

    def read(key: str, unit: str = parameter.unit, minimum: float | None = None) -> float:
        value = units.parse_quantity(getattr(spread, key), unit, **whole, where=key)
        if minimum is not None and not value >= minimum:
            raise ValueError(f"{key} must be at least {minimum:g}; found {value:g}")
        return value

    if spread.distribution == "csv":
        assert files is not None and cells is not None
        return files.values(spread, parameter.unit, cells, **whole)
    if spread.distribution == "values":
        given = [units.parse_quantity(x, parameter.unit, **whole) for x in spread.values or []]
        if len(given) != z.size:
            raise ValueError(f"{len(given)} values for {z.size} cells; give one for each")
        return np.asarray(given, float)
    low, high = (-np.inf if spread.low is None else read("low"), np.inf if spread.high is None else read("high"))
    if not low < high:
        raise ValueError(f"low must be below high; found {low:g} and {high:g} {parameter.unit}")
    if spread.distribution == "uniform":
        return low + (high - low) * ndtr(z)
    centre = float(np.asarray(parameter.value))
    if spread.distribution == "normal":
        mean = centre if spread.mean is None else read("mean")
        sd = read("sd", minimum=0.0) if spread.cv is None else read("cv", "1", 0.0) * abs(mean)
        to_z, from_z = lambda x: (x - mean) / sd, lambda z: mean + sd * z
    else:
        sd = read("sd", "1", 0.0) if spread.cv is None else log_sd(read("cv", "1", 0.0))
        median = centre if spread.median is None else read("median")
        if spread.mean is not None:
            median = read("mean") * float(np.exp(-(sd**2) / 2))
        if not median > 0:
            raise ValueError(
                f"a lognormal value is above 0, but its median would be {median:g} {parameter.unit}; take 'normal' instead"
            )
        to_z = lambda x: np.log(x / median) / sd if x > 0 else -np.inf
        from_z = lambda z: median * np.exp(sd * z)
    if spread.low is None and spread.high is None:
        return from_z(z)
    if sd > 0:
        return np.clip(from_z(cut(z, to_z(low), to_z(high))), low, high)
    if not low <= from_z(0.0) <= high:
        raise ValueError(
            f"without a spread all are {from_z(0.0):g} {parameter.unit}, which is not between low and high"
        )
    return from_z(np.zeros_like(z))
