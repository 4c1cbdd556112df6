"""How the cells of a population differ: draws from distributions, correlated where the experiment says so.

A cell's numbers depend on the seed, the parameter's path and the cell's index alone: not on how many cells there are,
nor on which other parameters vary. They come from the raw output of a counter-based generator, one number per cell,
because raw bits are what NumPy promises never to change.
"""

import zlib
from collections.abc import Sequence

import numpy as np
from scipy.special import ndtr, ndtri

from jaxmem import units
from jaxmem.membrane.membrane import Membrane
from jaxmem.membrane.parameters import Parameter, declared, map_declared, path_error
from jaxmem.rig.stimuli import Stimulus
from jaxmem.study import tables
from jaxmem.study.problems import Problems


def standard_normal(seed: int, path: str, cells: int) -> np.ndarray:
    """(cells,) independent normal numbers, mean 0 and variance 1; the first n are the same for any number of cells."""
    generator = np.random.Philox(key=np.array([seed, zlib.crc32(path.encode())], np.uint64))
    uniform = ((generator.random_raw(cells) >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    return ndtri(uniform)


def correlated(normal: Sequence[np.ndarray], correlation: np.ndarray) -> list[np.ndarray]:
    """Normal numbers with this correlation from independent ones (a Gaussian copula), by its Cholesky factor.

    Summed term by term: a matrix product may round a cell differently in another population. Raises ValueError where
    the matrix is not positive definite, i.e. where no numbers can be correlated so.
    """
    try:
        factor = np.linalg.cholesky(correlation)
    except np.linalg.LinAlgError:
        lowest = np.linalg.eigvalsh(correlation)[0]
        raise ValueError(
            "these correlations contradict each other: no numbers can have them all. Two parameters that are both "
            "strongly correlated with a third must be so with each other, and a pair left out has correlation 0 "
            f"(the matrix is not positive definite: it has the eigenvalue {lowest:.3g})"
        ) from None
    return [
        sum((factor[i, k] * normal[k] for k in range(i + 1) if factor[i, k]), np.zeros_like(normal[i]))
        for i in range(len(normal))
    ]


def log_sd(cv: float) -> float:
    """The standard deviation of ln x of a lognormal x with this coefficient of variation."""
    return float(np.sqrt(np.log1p(cv**2)))


def varied(
    table: tables.PopulationTable, membrane: Membrane, stimulus: Stimulus | None, problems: Problems
) -> tuple[Membrane, Stimulus | None]:
    """The population: ``membrane`` and ``stimulus`` with an array over the cells for every varied path."""
    where = ("population", "vary")
    known = membrane.parameters() | {
        f"stimulus.{p}": Parameter(x, d.unit, d.description) for p, x, d in declared(stimulus)
    }
    spreads: dict[str, tables.DistributionTable] = {}
    for path, raw in table.vary.items():
        if path not in known:
            problems.add((*where, path), str(path_error(path, list(known))))
        elif spread := problems.table(tables.DistributionTable, raw, *where, path):
            spreads[path] = spread
    normal = _correlated(table, list(spreads), problems)
    arrays = {}
    for path, spread in spreads.items():
        with problems.at(*where, path):
            arrays[path] = values = _values(spread, normal[path], known[path], membrane)
            if not path.startswith("stimulus."):
                membrane.with_parameters({path: values})
    if problems.found:
        return membrane, stimulus
    driven = {path.removeprefix("stimulus."): x for path, x in arrays.items() if path.startswith("stimulus.")}
    cells = {path: x for path, x in arrays.items() if not path.startswith("stimulus.")}
    # a population of one, or of equal cells, has a cell axis too
    start = np.broadcast_to(np.asarray(membrane.initial_v, float), (table.cells,)).copy()
    cells_membrane = membrane.with_parameters({"initial_v": start} | cells)
    if stimulus is not None and driven:
        stimulus = map_declared(lambda path, old: driven.get(path, old), stimulus)
    return cells_membrane, stimulus


def _correlated(table: tables.PopulationTable, paths: list[str], problems: Problems) -> dict[str, np.ndarray]:
    normal = [standard_normal(table.seed, path, table.cells) for path in paths]
    matrix = np.eye(len(paths))
    for i, raw in enumerate(table.correlation):
        pair = problems.table(tables.CorrelationTable, raw, "population", "correlation", i)
        if pair is None:
            continue
        if odd := [path for path in pair.between if path not in table.vary]:
            problems.add(
                ("population", "correlation", i, "between"),
                f"{odd[0]!r} does not vary; varied are {', '.join(table.vary) or 'none'}",
            )
        elif pair.between[0] == pair.between[1]:
            problems.add(
                ("population", "correlation", i, "between"),
                f"two different paths are wanted; found {pair.between[0]!r} twice",
            )
        elif set(pair.between) <= set(paths):
            a, b = (paths.index(path) for path in pair.between)
            if matrix[a, b]:
                problems.add(
                    ("population", "correlation", i), f"the correlation of {' and '.join(pair.between)} is given twice"
                )
            matrix[a, b] = matrix[b, a] = pair.r
    with problems.at("population", "correlation"):
        normal = correlated(normal, matrix)
    return dict(zip(paths, normal, strict=True))


def _values(spread: tables.DistributionTable, z: np.ndarray, parameter: Parameter, membrane: Membrane) -> np.ndarray:
    """(cells,) values of one parameter from normal numbers of mean 0 and variance 1."""

    def read(key: str, unit: str = parameter.unit, minimum: float | None = None) -> float:
        value = units.parse_quantity(
            getattr(spread, key), unit, area=membrane.geometry.area, capacitance=membrane.capacitance, where=key
        )
        if minimum is not None and not value >= minimum:
            raise ValueError(f"{key} must be at least {minimum:g}; found {value:g}")
        return value

    if spread.distribution == "values":
        given = [
            units.parse_quantity(x, parameter.unit, area=membrane.geometry.area, capacitance=membrane.capacitance)
            for x in spread.values or []
        ]
        if len(given) != z.size:
            raise ValueError(f"{len(given)} values for {z.size} cells; give one for each")
        return np.asarray(given, float)
    if spread.distribution == "uniform":
        low, high = read("low"), read("high")
        if not low < high:
            raise ValueError(f"low must be below high; found {low:g} and {high:g} {parameter.unit}")
        return low + (high - low) * ndtr(z)
    centre = float(np.asarray(parameter.value))
    if spread.distribution == "normal":
        mean = centre if spread.mean is None else read("mean")
        sd = read("sd", minimum=0.0) if spread.cv is None else read("cv", "1", 0.0) * abs(mean)
        return mean + sd * z
    sd = read("sd", "1", 0.0) if spread.cv is None else log_sd(read("cv", "1", 0.0))
    median = centre if spread.median is None else read("median")
    if spread.mean is not None:
        median = read("mean") * float(np.exp(-(sd**2) / 2))
    if not median > 0:
        raise ValueError(
            f"a lognormal value is above 0, but its median would be {median:g} {parameter.unit}; take 'normal' instead"
        )
    return median * np.exp(sd * z)
