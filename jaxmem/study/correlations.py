"""Which numbers of a cell vary together: pairs by their correlation, or many by a covariance of their logarithms."""

from collections.abc import Mapping, Sequence

import numpy as np

from jaxmem.membrane.parameters import Parameter, path_error
from jaxmem.study import tables
from jaxmem.study.draws import ROUNDING
from jaxmem.study.population_tables import CorrelationTable, CovarianceTable
from jaxmem.study.problems import Problems

COVARIANCE = ("population", "covariance")


def with_covariance(
    table: tables.PopulationTable, known: Mapping[str, Parameter], problems: Problems
) -> tables.PopulationTable:
    """The same with every parameter of [population.covariance] lognormal, its sd that of the matrix.

    What a spread of such a parameter says besides (median, mean, low, high) stays; an sd of its own is a problem. The
    covariance left in the table is checked, or none.
    """
    if table.covariance is None:
        return table
    found = problems.table(CovarianceTable, table.covariance, *COVARIANCE)
    if found is None or not _fits(found, known, problems):
        return table.model_copy(update={"covariance": None})
    vary = dict(table.vary)
    for i, path in enumerate(found.of):
        spread = vary.get(path, {"distribution": "lognormal"})
        if isinstance(spread, dict):
            if spread.get("distribution") != "lognormal":
                problems.add(("population", "vary", path), "a covariance of logarithms makes this 'lognormal'")
            elif own := [key for key in ("sd", "cv") if key in spread]:
                text = f"the spread of this parameter stands in the covariance; leave {own[0]} out"
                problems.add(("population", "vary", path, own[0]), text)
            spread = {k: x for k, x in spread.items() if k not in ("sd", "cv")}
            vary[path] = spread | {"distribution": "lognormal", "sd": float(np.sqrt(found.matrix[i][i]))}
    return table.model_copy(update={"vary": vary})


def _fits(table: CovarianceTable, known: Mapping[str, Parameter], problems: Problems) -> bool:
    """Whether this is a covariance matrix of parameters that exist; what is wrong is noted."""
    before, n = len(problems.found), len(table.of)
    for i, path in enumerate(table.of):
        if path not in known:
            problems.add((*COVARIANCE, "of", i), str(path_error(path, list(known))))
        elif path in table.of[:i]:
            problems.add((*COVARIANCE, "of", i), f"{path!r} stands here twice")
    place = (*COVARIANCE, "matrix")
    if len(table.matrix) != n or any(len(row) != n for row in table.matrix):
        shape = f"{len(table.matrix)} rows of {', '.join(sorted({str(len(row)) for row in table.matrix}))} numbers"
        problems.add(place, f"{n} rows of {n} numbers are wanted, one for each of {', '.join(table.of)}; found {shape}")
        return False
    c = np.array(table.matrix)
    for i in range(n):
        if c[i, i] < 0:
            problems.add(place, f"a variance is at least 0; found {c[i, i]:g} for {table.of[i]}")
        for j in range(i):
            pair, most = f"{table.of[j]} and {table.of[i]}", np.sqrt(max(c[i, i], 0) * max(c[j, j], 0))
            if abs(c[i, j] - c[j, i]) > 1e-9 * max(abs(c[i, j]), abs(c[j, i])):
                problems.add(place, f"a covariance is symmetric; found {c[j, i]:g} and {c[i, j]:g} for {pair}")
            elif abs(c[i, j]) > most * (1 + 1e-9):
                problems.add(
                    place,
                    f"a covariance is at most the product of both standard deviations; found {c[i, j]:g} for {pair}, "
                    f"whose product is {most:g}",
                )
    if len(problems.found) == before and (values := np.linalg.eigvalsh(c))[0] < -ROUNDING * values[-1]:
        problems.add(
            place,
            "these covariances contradict each other: no numbers can have them all. A covariance matrix is positive "
            f"semidefinite, and this one has the eigenvalue {values[0]:.3g}; was it rounded, or made of different cells?",
        )
    return len(problems.found) == before


def correlation(table: tables.PopulationTable, paths: Sequence[str], problems: Problems) -> np.ndarray:
    """(paths, paths) correlation of the underlying normal numbers: the covariance's, and the pairs'."""
    matrix = np.eye(len(paths))
    whole = () if table.covariance is None else tuple(table.covariance.get("of", ()))
    if whole and set(whole) <= set(paths):
        c = np.array(CovarianceTable.model_validate(table.covariance).matrix)
        sd = np.sqrt(np.diag(c))
        at = [paths.index(path) for path in whole]
        r = np.divide(c, np.outer(sd, sd), out=np.zeros_like(c), where=np.outer(sd, sd) > 0)
        np.fill_diagonal(r, 1.0)
        matrix[np.ix_(at, at)] = (r + r.T) / 2
    for i, raw in enumerate(table.correlation):
        pair = problems.table(CorrelationTable, raw, "population", "correlation", i)
        if pair is None:
            continue
        place = ("population", "correlation", i, "between")
        if odd := [path for path in pair.between if path not in paths and path not in table.vary]:
            problems.add(place, f"{odd[0]!r} does not vary; varied are {', '.join(paths) or 'none'}")
        elif pair.between[0] == pair.between[1]:
            problems.add(place, f"two different paths are wanted; found {pair.between[0]!r} twice")
        elif set(pair.between) <= set(whole):
            problems.add(place, "the covariance says already how these two vary together; leave one of the two out")
        elif set(pair.between) <= set(paths):
            a, b = (paths.index(path) for path in pair.between)
            if matrix[a, b]:
                text = f"the correlation of {' and '.join(pair.between)} is given twice"
                problems.add(place[:3], text)
            matrix[a, b] = matrix[b, a] = pair.r
    return matrix
