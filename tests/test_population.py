"""Populations: distributions in closed form, covariances, groups, measured cells, and what does not depend on company."""

import io
import pathlib
import re
from typing import Any

import numpy as np
import pytest
import rich.console
import xarray
from scipy.stats import kstest, lognorm, norm, truncnorm

import jaxmem as jm
from jaxmem import report
from jaxmem.study import draws, experiment, groups
from jaxmem.study.problems import ExperimentError
from jaxmem.study.summary import summary

MANY = 40_000
HEAD = 'question = "Who differs?"\n[membrane]\npreset = "pump_leak"\n[run]\nduration = 1\ndt = 0.05\n'


@pytest.fixture
def load(tmp_path: pathlib.Path) -> Any:
    """What [population] says, as an experiment; files lie beside it."""

    def loaded(text: str, cells: int = MANY, *overrides: str, head: str = HEAD) -> experiment.Experiment:
        path = tmp_path / "e.toml"
        path.write_text(f"{head}[population]\ncells = {cells}\nseed = 3\n{text}\n", encoding="utf-8")
        return experiment.load(path, overrides)

    return loaded


@pytest.fixture
def problems(load: Any, tmp_path: pathlib.Path) -> Any:
    def found(text: str, cells: int = 10) -> list[str]:
        with pytest.raises(ExperimentError) as caught:
            load(text, cells)
        return [p.replace(f"{tmp_path}/", "") for p in caught.value.problems]

    return found


def of(e: experiment.Experiment, path: str) -> np.ndarray:
    return np.asarray(e.membrane.parameters()[path].value)


def vary(**spreads: str) -> str:
    lines = [f"{path.replace('__', '.')} = {{ {spread} }}" for path, spread in spreads.items()]
    return "\n".join(["[population.vary]", *lines]) + "\n"


# ---------------------------------------------------------------------- cut off
@pytest.mark.parametrize(
    ("spread", "law"),
    [
        ('distribution = "normal", mean = 1, sd = 0.5, low = 0.2', truncnorm(-1.6, np.inf, 1, 0.5)),
        ('distribution = "normal", mean = 1, sd = 0.5, low = 2.5, high = 3', truncnorm(3, 4, 1, 0.5)),
        ('distribution = "normal", mean = 1, sd = 0.1, high = "0.5 mS/cm^2", low = 0', truncnorm(-10, -5, 1, 0.1)),
        (
            'distribution = "lognormal", median = 0.1, sd = 0.5, low = 0.05, high = "3 S/m^2"',
            (np.log, truncnorm(np.log(0.5) / 0.5, np.log(3) / 0.5, np.log(0.1), 0.5)),
        ),
        ('distribution = "lognormal", median = 0.1, sd = 0.5, low = 0', (np.log, norm(np.log(0.1), 0.5))),
    ],
)
def test_a_distribution_that_is_cut_off_is_the_conditional_one(load: Any, spread: str, law: Any) -> None:
    x = of(load(vary(k_leak__g=spread)), "k_leak.g")
    transform, law = law if isinstance(law, tuple) else (lambda x: x, law)
    assert kstest(transform(x), law.cdf).pvalue > 0.01
    low, high = law.support()
    assert transform(x).min() >= low - 1e-15 and transform(x).max() <= high + 1e-15


def test_far_tails_keep_their_digits() -> None:
    z = draws.standard_normal(1, "x", 10_000)
    for x in (draws.cut(z, 20.0, np.inf), -draws.cut(z, -np.inf, -20.0)):
        assert np.all(np.isfinite(x)) and np.all(x >= 20) and np.unique(x).size > 9990
        np.testing.assert_allclose(np.mean(x - 20), 0.0498, rtol=0.03)  # 1/20 - 2/20^3 + ... (Mills)
    np.testing.assert_array_equal(np.argsort(draws.cut(z, -1.0, 0.5)), np.argsort(z))  # each cell keeps its rank
    np.testing.assert_array_equal(draws.cut(z, -np.inf, np.inf), np.clip(draws.cut(z, -np.inf, np.inf), -9, 9))
    with pytest.raises(ValueError, match="nothing of the distribution lies between"):
        draws.cut(z, 40.0, 41.0)


def test_cut_off_numbers_stay_correlated(load: Any) -> None:
    text = vary(
        k_leak__g='distribution = "lognormal", sd = 0.3, high = 0.06',
        na_leak__g='distribution = "normal", cv = 0.2, low = 0.008',
    )
    text += '[[population.correlation]]\nbetween = ["k_leak.g", "na_leak.g"]\nr = 0.8\n'
    e = load(text)
    back = []
    for path, sd, log, low, high in (("k_leak.g", 0.3, True, 0, 0.06), ("na_leak.g", 0.2, False, 0.008, np.inf)):
        x, typical = of(e, path), float(jm.presets.pump_leak().parameters()[path].value)
        law = lognorm(sd, scale=typical) if log else norm(typical, sd * typical)
        back.append(norm.ppf((law.cdf(x) - law.cdf(low)) / (law.cdf(high) - law.cdf(low))))
    np.testing.assert_allclose(np.corrcoef(*back)[0, 1], 0.8, atol=0.01)


# ---------------------------------------------------------------------- covariance of logarithms
COVARIANCE = """[population.covariance]
of = ["k_leak.g", "na_leak.g", "pump.i_max"]
matrix = [[0.04, 0.015, -0.006], [0.015, 0.09, 0.02], [-0.006, 0.02, 0.0225]]
"""


def test_a_covariance_is_found_again(load: Any) -> None:
    e = load(COVARIANCE)
    x = np.log([of(e, path) for path in ("k_leak.g", "na_leak.g", "pump.i_max")])
    given = np.array([[0.04, 0.015, -0.006], [0.015, 0.09, 0.02], [-0.006, 0.02, 0.0225]])
    sampling = np.sqrt((given**2 + np.outer(np.diag(given), np.diag(given))) / MANY)
    assert np.all(abs(np.cov(x) - given) < 4 * sampling)
    typical = [float(jm.presets.pump_leak().parameters()[p].value) for p in ("k_leak.g", "na_leak.g", "pump.i_max")]
    assert np.all(abs(x.mean(1) - np.log(typical)) < 4 * np.sqrt(np.diag(given) / MANY))
    assert e.varied == ("k_leak.g", "na_leak.g", "pump.i_max")


def test_a_covariance_leaves_medians_limits_and_other_pairs_alone(load: Any) -> None:
    text = vary(
        k_leak__g='distribution = "lognormal", median = 0.1, low = 0.09', cl_leak__g='distribution = "normal", cv = 0.1'
    )
    pair = '[[population.correlation]]\nbetween = ["cl_leak.g", "na_leak.g"]\nr = 0.7\n'
    e = load(text + COVARIANCE + pair)
    x = of(e, "k_leak.g")
    law = truncnorm(np.log(0.9) / 0.2, np.inf, np.log(0.1), 0.2)
    assert kstest(np.log(x), law.cdf).pvalue > 0.01
    r = np.corrcoef(of(e, "cl_leak.g"), np.log(of(e, "na_leak.g")))[0, 1]
    np.testing.assert_allclose(r, 0.7, atol=0.02)


def test_a_singular_covariance_ties_numbers_together(load: Any) -> None:
    text = '[population.covariance]\nof = ["k_leak.g", "na_leak.g", "cl_leak.g"]\n'
    e = load(text + "matrix = [[0.04, 0.02, 0], [0.02, 0.01, 0], [0, 0, 0]]", 500)
    x, y, fixed = (np.log(of(e, p)) for p in ("k_leak.g", "na_leak.g", "cl_leak.g"))
    np.testing.assert_allclose(
        (y - np.log(jm.presets.pump_leak().mechanisms["na_leak"].g)) * 2,
        x - np.log(0.05),
        atol=1e-7,  # the root of rounding
    )
    assert np.ptp(fixed) < 1e-15 and np.ptp(x) > 0.5


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        ("[[0.04, 0.01], [0.01, 0.09], [0, 0]]", "3 rows of 3 numbers are wanted, one for each of k_leak.g, na_leak.g"),
        (
            "[[0.04, 0.01, 0], [0.02, 0.09, 0], [0, 0, 1]]",
            "a covariance is symmetric; found 0.01 and 0.02 for k_leak.g and",
        ),
        ("[[0.04, 0.5, 0], [0.5, 0.09, 0], [0, 0, 1]]", "found 0.5 for k_leak.g and na_leak.g, whose product is 0.06"),
        ("[[-0.04, 0, 0], [0, 0.09, 0], [0, 0, 1]]", "a variance is at least 0; found -0.04 for k_leak.g"),
        (
            "[[1, 0.9, -0.9], [0.9, 1, 0.9], [-0.9, 0.9, 1]]",
            "positive semidefinite, and this one has the eigenvalue -0.8",
        ),
        ('[["a", 1, 1]]', "population.covariance.matrix[0][0]: 'a'"),
    ],
)
def test_what_is_no_covariance_says_why(problems: Any, matrix: str, expected: str) -> None:
    text = f'[population.covariance]\nof = ["k_leak.g", "na_leak.g", "pump.i_max"]\nmatrix = {matrix}'
    found = problems(text)
    assert any(expected in p and p.startswith("e.toml:12: population.covariance.matrix") for p in found), found


def test_a_covariance_is_not_said_twice(problems: Any) -> None:
    twice = vary(k_leak__g='distribution = "lognormal", sd = 0.1', na_leak__g='distribution = "normal", cv = 0.1')
    pair = '[[population.correlation]]\nbetween = ["pump.i_max", "na_leak.g"]\nr = 0.7\n'
    found = problems(twice + COVARIANCE + pair)
    assert found == [
        "e.toml:11: population.vary.k_leak.g.sd: the spread of this parameter stands in the covariance; leave sd out",
        "e.toml:12: population.vary.na_leak.g: a covariance of logarithms makes this 'lognormal'",
        "e.toml:17: population.correlation[0].between: the covariance says already how these two vary together; leave one "
        "of the two out",
    ]
    wrong = problems('[population.covariance]\nof = ["k_leek.g", "na_leak.g", "na_leak.g"]\nmatrix = [[1]]')
    assert "there is no parameter 'k_leek.g'; did you mean 'k_leak.g'" in wrong[0] and "stands here twice" in wrong[1]


# ---------------------------------------------------------------------- groups
GROUPS = """[population.vary]
k_leak.g = { distribution = "lognormal", sd = 0.1 }
na_leak.g = { distribution = "lognormal", sd = 0.2 }
[[population.group]]
name = "pyramidal"
share = "80 %"
[[population.group]]
name = "basket"
share = 0.2
parameters = { k_leak.g = "1 S/m^2", pump.i_max = 2 }
vary = { k_leak.g = { distribution = "normal", cv = 0.05 }, cl_leak.g = { distribution = "lognormal", sd = 0.3 } }
"""


def test_groups_have_their_own_medians_and_spreads(load: Any) -> None:
    e = load(GROUPS)
    basket = e.labels["group"].values == 1
    assert e.labels["group"].counts == {"pyramidal": 32_000, "basket": 8_000}
    g, cl, i_max, na = (of(e, p) for p in ("k_leak.g", "cl_leak.g", "pump.i_max", "na_leak.g"))
    assert kstest(np.log(g[~basket]), norm(np.log(0.05), 0.1).cdf).pvalue > 0.01
    assert kstest(g[basket], norm(0.1, 0.005).cdf).pvalue > 0.01
    assert np.all(cl[~basket] == 0.05) and kstest(np.log(cl[basket]), norm(np.log(0.05), 0.3).cdf).pvalue > 0.01
    assert np.all(i_max[basket] == 2) and np.all(i_max[~basket] == jm.presets.pump_leak().mechanisms["pump"].i_max)
    assert (
        kstest(np.log(na[basket]), norm(np.log(jm.presets.pump_leak().mechanisms["na_leak"].g), 0.2).cdf).pvalue > 0.01
    )
    assert set(e.varied) == {"k_leak.g", "na_leak.g", "cl_leak.g", "pump.i_max"}


def test_the_first_cells_are_the_same_in_a_larger_population(load: Any) -> None:
    few, many = load(GROUPS, 37), load(GROUPS, 5000)
    np.testing.assert_array_equal(few.labels["group"].values, many.labels["group"].values[:37])
    for path in few.varied:
        np.testing.assert_array_equal(of(few, path), of(many, path)[:37])


def test_groups_take_exactly_their_share() -> None:
    for shares in ([0.8, 0.2], [0.5, 0.3, 0.15, 0.05], [1 / 3, 2 / 3], [1.0]):
        group = groups.members(shares, 1200)
        for n in (1, 7, 60, 100, 1200):
            counts = np.bincount(group[:n], minlength=len(shares))
            exact = np.array(shares) * n
            assert np.all(abs(counts - exact) < 1.0 + 1e-9 if len(shares) <= 2 else abs(counts - exact) <= 1.5)
            if np.allclose(exact, np.round(exact)):
                np.testing.assert_array_equal(counts, np.round(exact))
    np.testing.assert_array_equal(np.bincount(groups.members([3, 4, 5], 12)), [3, 4, 5])


def test_types_differ_at_random_around_their_medians(load: Any) -> None:
    """With many groups of one cell each, what is between them is seen on its own."""
    kinds = [
        f'[[population.group]]\nname = "type_{i}"\ncells = 2\nparameters = {{ k_leak.g = 0.2 }}\n'
        'between = { k_leak.g = { distribution = "lognormal", sd = 0.4 } }\n'
        for i in range(300)
    ]
    within = vary(k_leak__g='distribution = "lognormal", sd = 0.1')
    e = load(within + "".join(kinds), 600)
    x = np.log(of(e, "k_leak.g"))
    pairs = np.array([x[e.labels["group"].values == i] for i in range(300)])
    np.testing.assert_allclose(np.std(pairs[:, 0] - pairs[:, 1]) / np.sqrt(2), 0.1, rtol=0.15)
    np.testing.assert_allclose(np.std(pairs.mean(1)), np.sqrt(0.4**2 + 0.1**2 / 2), rtol=0.15)
    np.testing.assert_allclose(x.mean(), np.log(0.2), atol=0.1)
    same = load("".join(kinds), 600)  # without a spread within, the cells of a type are equal
    assert all(np.ptp(of(same, "k_leak.g")[same.labels["group"].values == i]) == 0 for i in range(300))


def test_whole_cell_values_of_a_group_use_its_own_size(load: Any) -> None:
    text = (
        '[[population.group]]\nname = "small"\nshare = 1.0\nparameters = { geometry.radius = 5, k_leak.g = "2 nS" }\n'
    )
    g = of(load(text, 4), "k_leak.g")
    np.testing.assert_allclose(g, 2e-6 / (4 * np.pi * 25 * 1e-8), rtol=1e-12)  # nS to mS, um^2 to cm^2


def test_the_file_says_which_cell_is_of_which_group(load: Any, tmp_path: pathlib.Path) -> None:
    e = load(GROUPS, 20)
    sim = e.run()
    path = tmp_path / "out.h5"
    sim.save(path)
    with xarray.open_dataset(path, engine="h5netcdf") as data:
        assert data["group"].dims == ("cell",) and data["group"].attrs["flag_meanings"] == "pyramidal basket"
        np.testing.assert_array_equal(data["group"].attrs["flag_values"], [0, 1])
        np.testing.assert_array_equal(data["group"].values, e.labels["group"].values)
    again = jm.load(path)
    assert again.labels["group"].counts == {"pyramidal": 16, "basket": 4} == summary(path).labels["group"]
    assert again.to_xarray()["group"].attrs["flag_meanings"] == "pyramidal basket"
    console = rich.console.Console(width=100, file=io.StringIO())
    console.print(report.of(sim))
    assert re.search(r"pyramidal +16 +0 +0\n *basket +4 +0 +0", console.file.getvalue())
    part = e.part(np.array([0, 3, 5])).labels["group"].values
    np.testing.assert_array_equal(part, e.labels["group"].values[[0, 3, 5]])


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("share = 0.2", "share = 0.3", "e.toml:13: population.group: the shares must sum to 1; found 1.1"),
        ("share = 0.2", "cells = 2", "e.toml:13: population.group: some groups give a share and some a number"),
        ("share = 0.2", "", "e.toml:16: population.group[1]: give how many cells are of this group, as share"),
        ('"basket"', '"a basket"', "e.toml:16: population.group[1]: found the name 'a basket'; a name is one word"),
        ('"basket"', '"pyramidal"', "e.toml:17: population.group[1].name: there are two groups called 'pyramidal'"),
        ("pump.i_max", "pump.imax", "e.toml:19: population.group[1].parameters.pump.imax: there is no parameter"),
        ('"1 S/m^2"', '"1 mV"', "e.toml:19: population.group[1].parameters.k_leak.g: '1 mV' is a voltage"),
        ("sd = 0.3", "sd = -1", "e.toml:20: population.group[1].vary.cl_leak.g: sd must be at least 0; found -1"),
        (
            "cv = 0.05",
            "mean = 1, cv = 1",
            "e.toml:19: population.group[1].parameters.k_leak.g: the spread of this param",
        ),
    ],
)
def test_what_is_wrong_with_a_group(problems: Any, old: str, new: str, expected: str) -> None:
    assert GROUPS.count(old) == 1
    found = problems(GROUPS.replace(old, new))
    assert any(p.startswith(expected) for p in found), found


# ---------------------------------------------------------------------- measured cells
CELLS = """# measured by hand
R_in,e_leak,depth
100,-70,3
200,-65,NA
400,,5
250,-72,4
"""


def columns(more: str = "", second: str = "") -> str:
    return vary(
        k_leak__g=f'distribution = "csv", file = "cells.csv", column = "R_in", unit = "MOhm"{more}',
        initial_v=f'distribution = "csv", file = "cells.csv", column = "e_leak"{second or more}',
    )


def test_a_column_is_read_row_by_row(load: Any, tmp_path: pathlib.Path) -> None:
    (tmp_path / "cells.csv").write_text(CELLS)
    one = vary(k_leak__g='distribution = "csv", file = "cells.csv", column = "R_in", unit = "MOhm"')
    e = load(one, 4)
    area = 4 * np.pi * 10.0**2 * 1e-8  # cm^2
    np.testing.assert_allclose(of(e, "k_leak.g"), 1e3 / (np.array([100, 200, 400, 250]) * 1e6) / area, rtol=1e-12)
    np.testing.assert_array_equal(
        of(load(one.replace('"MOhm"', '"MOhm", rows = "first"'), 2), "k_leak.g"), of(e, "k_leak.g")[:2]
    )
    (tmp_path / "cells.csv").write_text("\ufeffR_in;x\n100;1\n200;2\n")  # as spreadsheets write it
    np.testing.assert_array_equal(of(load(one, 2), "k_leak.g"), of(e, "k_leak.g")[:2])


def test_rows_are_drawn_whole(load: Any, tmp_path: pathlib.Path) -> None:
    (tmp_path / "cells.csv").write_text(CELLS)
    e = load(columns(', rows = "resample", missing = "drop"'), 3000)
    ohm = 1e-3 / of(e, "k_leak.g") / (4 * np.pi * 100 * 1e-8)
    pairs, counts = np.unique(np.round([ohm, of(e, "initial_v")], 6), axis=1, return_counts=True)
    np.testing.assert_allclose(pairs, [[100, 200, 250], [-70, -65, -72]], rtol=1e-9)  # 400 MOhm had no voltage
    assert np.all(abs(counts - 1000) < 4 * np.sqrt(3000 * 2 / 9))
    few = load(columns(', rows = "resample", missing = "drop"'), 11)
    np.testing.assert_array_equal(of(few, "k_leak.g"), of(e, "k_leak.g")[:11])


@pytest.mark.parametrize(
    ("csv", "more", "expected"),
    [
        (CELLS, "", "e.toml:12: population.vary.initial_v: cells.csv:5: column 'e_leak': nothing was measured ('')"),
        (
            CELLS.replace("100,", "0,"),
            ', missing = "drop"',
            "population.vary.k_leak.g: cells.csv:3: column 'R_in': 0 MOhm is",
        ),
        (
            CELLS.replace("100,", "a,"),
            "",
            "population.vary.k_leak.g: cells.csv:3: column 'R_in': found 'a'; a bare number",
        ),
        (CELLS.replace("100,", "inf,"), "", "cells.csv:3: column 'R_in': found 'inf'; a finite number is wanted"),
        (
            CELLS.replace("R_in", "Rin"),
            "",
            "population.vary.k_leak.g: cells.csv: there is no column 'R_in' here; did you",
        ),
        (CELLS.replace("100,-70,3", "100,-70"), "", "cells.csv:3: found 2 cells; the first line names 3 columns"),
        (CELLS, ', missing = "drop"', "cells.csv has 3 rows for 2 cells; give as many, or"),
        (CELLS.replace(",,", ",1,"), "", 'cells.csv has 4 rows for 2 cells; give as many, rows = "first" to take'),
        (CELLS, ', unit = "mV"', "a voltage"),
        (
            CELLS,
            ', rows = "all"',
            "population.vary.k_leak.g.rows: found 'all'; allowed are 'each', 'first', 'resample'",
        ),
        ("R_in\n", "", "cells.csv has no rows; its first line names the columns"),
        (None, "", "population.vary.k_leak.g: there is no file "),
    ],
)
def test_what_is_wrong_with_a_file(
    problems: Any, tmp_path: pathlib.Path, csv: str | None, more: str, expected: str
) -> None:
    if csv is not None:
        (tmp_path / "cells.csv").write_text(csv)
    text = columns(more).replace('unit = "MOhm", unit = "mV"', 'unit = "mV"')
    found = problems(text, 2)
    assert any(expected.replace("give as many, or", "give as many") in p for p in found), found
