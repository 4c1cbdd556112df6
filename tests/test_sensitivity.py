"""Sobol indices against closed forms, what failed left out, and intervals that cover what they say."""

import functools
import pathlib
from typing import Any

import numpy as np
import pytest
from listed_scan import ListedAxis, ListedOutput, ListedScan, listed
from scipy import stats

import jaxmem as jm
from jaxmem.study.scanning.sensitivity import sensitivity

A, B = 7.0, 0.1  # of the Ishigami function (Ishigami and Homma 1990, doi:10.1109/ISUMA.1990.151285)


def ishigami(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    return np.sin(x) + A * np.sin(y) ** 2 + B * z**4 * np.sin(x)


def ishigami_indices() -> tuple[np.ndarray, np.ndarray]:
    """First-order and total, from the integrals of the function over -pi ... pi."""
    both = B**2 * np.pi**8 * (1 / 18 - 1 / 50)
    alone = np.array([(1 + B * np.pi**4 / 5) ** 2 / 2, A**2 / 8, 0.0])
    variance = alone.sum() + both
    return alone / variance, (alone + both * np.array([1, 0, 1])) / variance


def saltelli(function: Any, axes: int, base: int, seed: int, low: float = 0.0, high: float = 1.0) -> ListedScan:
    """The points of a Saltelli design in their order: A, B, then A with one column of B."""
    unit = stats.qmc.Sobol(2 * axes, rng=seed).random(base) if base & (base - 1) == 0 else (
        np.random.default_rng(seed).random((base, 2 * axes)))  # fmt: skip
    return paired(function, low + (high - low) * unit, axes, {"low": low, "high": high})


def paired(function: Any, unit: np.ndarray, axes: int, bounds: dict[str, float]) -> ListedScan:
    base = len(unit)
    points = np.repeat(unit[:, None, :axes], axes + 2, axis=1)
    points[:, 1] = unit[:, axes:]
    for j in range(axes):
        points[:, 2 + j, j] = unit[:, axes + j]
    x = points.reshape(-1, axes).T
    names = "xyzuvw"[:axes]
    values = {n: x[j] for j, n in enumerate(names)} | {"f": function(*x)}
    design = {"kind": "sensitivity", "base": base}
    return listed({n: ListedAxis(**bounds) for n in names}, values, design=design)


def spread(function: Any, axes: int, points: int, seed: int, low: float = 0.0, high: float = 1.0) -> ListedScan:
    x = np.random.default_rng(seed).uniform(low, high, (axes, points))
    names = "xyzuvw"[:axes]
    return listed(
        {n: ListedAxis(low=low, high=high) for n in names},
        {n: x[j] for j, n in enumerate(names)} | {"f": function(*x)},
    )


def test_ishigami_within_a_hundredth() -> None:
    found = sensitivity(saltelli(ishigami, 3, 2**14, seed=1, low=-np.pi, high=np.pi))["f"]
    first, total = ishigami_indices()
    np.testing.assert_allclose(first, [0.3139, 0.4424, 0], atol=5e-5)  # as they are often printed
    np.testing.assert_allclose(found.first, first, atol=0.01)
    np.testing.assert_allclose(found.total, total, atol=0.01)
    assert found.axes == ("x", "y", "z") and (found.used, found.left_out) == (2**14, 0)
    assert ((found.first_low < first) & (first < found.first_high)).all()
    assert ((found.total_low < total) & (total < found.total_high)).all()
    assert (found.first_high - found.first_low < 0.1).all()


def test_the_estimates_are_scipys(monkeypatch: pytest.MonkeyPatch) -> None:
    """scipy.stats.sobol_indices on the same values; read in pieces that do not fit, on a value far from 0."""
    from jaxmem.study.scanning import paired as module

    monkeypatch.setattr(module, "PIECE", 137)
    scan = saltelli(lambda x, y, z: 1e3 + ishigami(x, y, z), 3, 256, seed=5, low=-np.pi, high=np.pi)
    f = scan["f"].reshape(256, 5).T
    known = stats.sobol_indices(func={"f_A": f[:1], "f_B": f[1:2], "f_AB": f[2:, None]}, n=256)
    found = sensitivity(scan)["f"]
    np.testing.assert_allclose(found.first, known.first_order, rtol=1e-9)
    np.testing.assert_allclose(found.total, known.total_order, rtol=1e-9)
    interval = known.bootstrap(n_resamples=999).first_order.confidence_interval
    np.testing.assert_allclose(found.first_low, interval.low, atol=0.05)
    np.testing.assert_allclose(found.first_high, interval.high, atol=0.05)


LINEAR = np.array([16, 4, 1, 0]) / 21  # of 4 x + 2 y + z


@pytest.mark.parametrize(("make", "points"), [(saltelli, 300), (spread, 1000)])
def test_intervals_cover_the_truth_as_often_as_they_say(make: Any, points: int) -> None:
    """95 % intervals of an additive function in 50 samples of its axes, 4 axes each: 200 of which 190 are expected."""
    inside = []
    for seed in range(50):
        scan = make(lambda x, y, z, u: 4 * x + 2 * y + z, 4, points, seed)
        found = sensitivity(scan, resamples=200, seed=seed)["f"]
        inside.append((found.first_low <= LINEAR) & (found.first_high >= LINEAR))
        np.testing.assert_allclose(found.first, LINEAR, atol=8 / np.sqrt(points))
    assert 0.89 <= np.mean(inside) <= 0.99


def test_an_additive_function_has_no_interactions() -> None:
    found = sensitivity(saltelli(lambda x, y, z: 4 * x + 2 * y + z, 3, 4096, seed=2))["f"]
    np.testing.assert_allclose(found.first, LINEAR[:3], atol=3e-3)
    np.testing.assert_allclose(found.total, LINEAR[:3], atol=3e-3)
    one = sensitivity(saltelli(lambda x: x**2, 1, 512, seed=2))["f"]
    np.testing.assert_allclose([one.first[0], one.total[0]], 1, atol=0.02)


def test_points_as_they_are_give_first_order_indices() -> None:
    found = sensitivity(spread(ishigami, 3, 100_000, 4, -np.pi, np.pi), confidence=0.99)["f"]
    first, _ = ishigami_indices()
    np.testing.assert_allclose(found.first, first, atol=0.01)
    assert found.total is None and found.total_low is None and "first-order indices alone" in found.words
    assert ((found.first_low < first) & (first < found.first_high)).all()


def test_scatter_within_bins_is_taken_off() -> None:
    """An axis without effect has an index around 0, not bins / points."""
    found = [sensitivity(spread(lambda x, y: x, 2, 1000, seed), resamples=100)["f"].first[1] for seed in range(40)]
    assert abs(np.mean(found)) < 0.005 < 31 / 1000


@pytest.mark.parametrize("make", [saltelli, spread])
def test_failed_points_are_left_out_and_the_indices_stay(make: Any) -> None:
    whole = make(ishigami, 3, 2**14 if make is saltelli else 80_000, 3, -np.pi, np.pi)
    n = whole.points
    bad = np.random.default_rng(0).random(n) < 0.04
    status = np.where(bad, 1, 0).astype(np.int32)
    y = np.where(bad, 1e9, whole["f"])  # a value that is no answer
    y[np.flatnonzero(~bad)[7]] = np.nan
    scan = listed(whole.axes, {n: whole[n] for n in "xyz"} | {"f": y, "status": status}, design=whole.design)
    found = sensitivity(scan)["f"]
    first, total = ishigami_indices()
    np.testing.assert_allclose(found.first, first, atol=0.015)
    if make is saltelli:
        lost = int((bad | np.isnan(y)).reshape(-1, 5).any(1).sum())
        assert (found.used, found.left_out) == (2**14 - lost, lost)
        np.testing.assert_allclose(found.total, total, atol=0.015)
        assert "warning: these indices describe only the part of the space that answers" in found.words  # 18 % of rows
    else:
        assert found.left_out == bad.sum() + 1 and "warning" not in found.words
    assert f"{found.left_out:,} of " in found.words


def test_a_whole_grid_is_exact() -> None:
    """x y of two levels and three: by hand, with interaction."""
    x, y, z = (a.ravel() for a in np.meshgrid([0.0, 2.0], [1.0, 2.0, 6.0], np.arange(4.0), indexing="ij"))
    axes = {"x": ListedAxis(levels=(0, 2)), "y": ListedAxis(levels=(1, 2, 6)), "z": ListedAxis(levels=(0, 1, 2, 3))}
    scan = listed(axes, {"x": x, "y": y, "z": z, "f": x * y}, design={"kind": "grid"})
    found = sensitivity(scan)["f"]
    variance = (4 / 2) * (41 / 3) - 9.0  # E x^2 E y^2 - (E x E y)^2
    np.testing.assert_allclose(found.first, np.array([9, 41 / 3 - 9, 0]) / variance, atol=1e-14)
    np.testing.assert_allclose(found.total, np.array([41 / 3, 2 * (41 / 3 - 9), 0]) / variance, atol=1e-14)
    assert np.isnan(found.first_low).all() and "exact" in found.words
    scan["status"][5] = 1
    holed = sensitivity(scan)["f"]
    assert holed.total is None and holed.left_out == 1
    np.testing.assert_allclose(holed.first, found.first, atol=0.1)


@pytest.mark.parametrize("inside", [64, 600])
def test_few_inner_points_that_all_outer_ones_meet(inside: int) -> None:
    """A grid of 12 x 10 around few points: their axes are known as well as few points say, and no better."""
    found = []
    for seed in range(20):
        u, v = np.random.default_rng(seed).random((2, inside))
        x, y = (a.ravel() for a in np.meshgrid((np.arange(12) + 0.5) / 12, (np.arange(10) + 0.5) / 10))
        columns = {"x": np.repeat(x, inside), "y": np.repeat(y, inside), "u": np.tile(u, 120), "v": np.tile(v, 120)}
        levels = lambda n: ListedAxis(levels=tuple((np.arange(n) + 0.5) / n))
        axes = {"x": levels(12), "y": levels(10), "u": ListedAxis(low=0, high=1), "v": ListedAxis(low=0, high=1)}
        design = {"kind": "nested", "inner": {"points": inside, "axes": {"u": {}, "v": {}}}}
        columns["f"] = columns["x"] + columns["u"] + 2 * columns["v"]
        found.append(sensitivity(listed(axes, columns, design=design), resamples=200)["f"])
    true = np.array([1, 0, 1, 4]) / 6
    np.testing.assert_allclose(np.mean([f.first for f in found], 0), true, atol=1.0 / np.sqrt(20 * inside) + 0.02)
    inside_ends = [(f.first_low[2:] <= true[2:]) & (f.first_high[2:] >= true[2:]) for f in found]
    assert np.mean(inside_ends) > 0.8


@pytest.mark.parametrize("kind", ["sensitivity", "random", "grid"])
def test_what_does_not_vary_has_no_index_and_nothing_warns(kind: str) -> None:
    x = np.repeat(np.arange(40.0), 3)
    fine = {"x": x, "f": np.full(120, -70.0, np.float32), "g": np.full(120, np.nan)}
    scan = listed({"x": ListedAxis(levels=tuple(range(40)))}, fine, design={"kind": kind})
    assert list(sensitivity(scan)) == ["f"]  # no point has g
    found = sensitivity(scan, ["f", "g"])
    for name, word in (("f", "the output does not vary"), ("g", "fewer than 16")):
        assert np.isnan(found[name].first).all() and np.isnan(found[name].first_low).all()
        assert word in found[name].words


def test_whole_numbers_and_codes_are_taken_by_name_alone() -> None:
    n = 2000
    x = np.random.default_rng(0).random(n)
    values = {"x": x, "f": x, "iterations": (10 * x).astype(np.int32), "trace": np.stack([x, x]), "residual": x}
    outputs = {"trace": ListedOutput(entries=2), "f": ListedOutput(dtype=np.dtype(np.float32))}
    scan = listed(["x"], values, outputs=outputs)
    assert list(sensitivity(scan)) == ["f"]
    assert sensitivity(scan, ["iterations"])["iterations"].first == pytest.approx(1, abs=0.02)
    assert sensitivity(scan, ["residual"])["residual"].first == pytest.approx(1, abs=0.02)
    with pytest.raises(ValueError, match="2 numbers per point"):
        sensitivity(scan, ["trace"])
    with pytest.raises(ValueError, match="did you mean 'iterations'"):
        sensitivity(scan, ["iteration"])
    with pytest.raises(ValueError, match="between 0 and 1"):
        sensitivity(scan, confidence=95)


def correlated(r: float, points: int = 4000, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return tuple(
        np.random.default_rng(seed).multivariate_normal([0, 0, 0], [[1, r, 0], [r, 1, 0], [0, 0, 1]], points).T
    )


def test_axes_of_a_list_that_depend_on_each_other_are_said_to() -> None:
    """Of x + y with correlation r each alone explains (1 + r) / 2, in sum 1 + r; ranks correlate 6 / pi asin(r / 2)."""
    x, y, z = correlated(0.4)
    columns = {"x": x, "y": y, "z": z, "f": x + y}
    found = sensitivity(listed(["x", "y", "z"], columns, design={"kind": "list"}))["f"]
    assert found.first[:2] == pytest.approx([0.7, 0.7], abs=0.04) and found.dependent == "design"
    r = float(found.words.split("(x and y: rank correlation ")[1].split(")")[0])
    assert "warning: the axes of this design" in found.words and r == pytest.approx(
        6 / np.pi * np.arcsin(0.2), abs=0.04
    )
    for r, points in ((0.0, 4000), (0.3, 100)):  # few points are correlated by chance
        x, y, z = correlated(r, points)
        columns = {"x": x, "y": y, "z": z, "f": x + y}
        found = sensitivity(listed(["x", "y", "z"], columns, design={"kind": "list"}))["f"]
        assert found.dependent == "" and "warning" not in found.words


@pytest.mark.parametrize("kind", ["random", "grid", "nested", "sensitivity"])
def test_axes_that_failed_points_make_depend_on_each_other_are_said_to(kind: str) -> None:
    """Half of the square is left, that below a diagonal: each axis alone tells more than its share there."""
    add = lambda x, y: x - y
    if kind == "sensitivity":
        scan = saltelli(add, 2, 2048, 1)
    elif kind == "random":
        scan = spread(add, 2, 5000, 1)
    else:
        levels = (np.arange(60) + 0.5) / 60
        x, y = (a.ravel() for a in np.meshgrid(levels, levels, indexing="ij"))
        parts = {
            "outer": {"kind": "grid", "axes": {"x": {}}},
            "inner": {"kind": "grid", "points": 60, "axes": {"y": {}}},
        }
        axes = {name: ListedAxis(levels=tuple(levels)) for name in "xy"}
        scan = listed(
            axes, {"x": x, "y": y, "f": add(x, y)}, design={"kind": kind} | (parts if kind == "nested" else {})
        )
    assert sensitivity(scan)["f"].dependent == ""
    scan["status"][:] = scan["x"] + scan["y"] > 1
    found = sensitivity(scan)["f"]
    assert found.dependent == "failures" and "warning: among the points that are left" in found.words
    scan["status"][:] = np.random.default_rng(0).random(scan.points) < 0.3  # who fails by chance changes nothing
    assert sensitivity(scan)["f"].dependent == ""


def test_printed_it_is_a_table_of_its_numbers() -> None:
    found = sensitivity(saltelli(ishigami, 3, 512, seed=1, low=-np.pi, high=np.pi))["f"]
    head, *rows = str(found).splitlines()[:4]
    assert head.split() == ["f", "first", "order", "total"] and str(found).splitlines()[4:] == found.words.split("; ")
    for i, (axis, row) in enumerate(zip("xyz", rows, strict=True)):
        assert found.total is not None and found.total_low is not None and found.total_high is not None
        numbers = [x[i] for x in (found.first, found.first_low, found.first_high)]
        numbers += [x[i] for x in (found.total, found.total_low, found.total_high)]
        name, *cells = row.replace("[", "").replace("]", "").replace(",", "").split()
        assert name == axis and [*map(float, cells)] == pytest.approx(numbers, abs=5.01e-4)
    flat = sensitivity(spread(lambda x, y: 0 * x, 2, 100, 0))["f"]
    assert [row.split() for row in str(flat).splitlines()[1:3]] == [["x", "-"], ["y", "-"]]


# ---------------------------------------------------------------------- whole scans
def test_ishigami_scanned(tmp_path: pathlib.Path) -> None:
    """The design, the run, the file and the estimate together: 2^14 base samples within a hundredth."""
    function = lambda x: {"f": ishigami(x["x"], x["y"], x["z"])}
    question = jm.questions.Function(function, {"f": ("1", "Ishigami")}, {n: (0.0, "1", "angle") for n in "xyz"})
    design = jm.designs.Saltelli({n: jm.Axis(-np.pi, np.pi) for n in "xyz"}, base=2**14, seed=1)
    found = jm.sensitivity(jm.scan(question, design, output=tmp_path / "ishigami.h5", note=None))["f"]
    first, total = ishigami_indices()
    np.testing.assert_allclose(found.first, first, atol=0.01)
    np.testing.assert_allclose(found.total, total, atol=0.01)


G = {"na_leak.g": (0.005, 0.1), "k_leak.g": (0.05, 0.5), "cl_leak.g": (0.02, 0.4)}  # mS/cm^2


def test_the_chord_conductance_rest(tmp_path: pathlib.Path) -> None:
    """Resting states of clamped ions and ohmic leaks against v = sum(g E) / sum(g), whose indices are quadratures."""
    membrane = jm.Membrane(
        {"na_leak": jm.Leak(g=0.01, ion="na"), "k_leak": jm.Leak(g=0.1, ion="k"), "cl_leak": jm.Leak(g=0.1, ion="cl")},
        {
            "na": jm.Species(inside=10.0, outside=145.0),
            "k": jm.Species(inside=140.0, outside=5.0),
            "cl": jm.Species(inside=35.0, outside=110.0, valence=-1),
        },
    )
    e = membrane.environment(membrane.initial_state().book).e
    nodes, weights = np.polynomial.legendre.leggauss(24)
    g = np.meshgrid(*((high + low) / 2 + (high - low) / 2 * nodes for low, high in G.values()), indexing="ij")
    v = sum(x * float(e[ion]) for x, ion in zip(g, ("na", "k", "cl"), strict=True)) / sum(g)
    mean = lambda x, axes: np.tensordot(
        x, functools.reduce(np.multiply.outer, [weights / 2] * len(axes)), (axes, range(len(axes)))
    )
    var = lambda x: mean(x**2, tuple(range(x.ndim))) - mean(x, tuple(range(x.ndim))) ** 2
    others = [tuple(j for j in range(3) if j != i) for i in range(3)]
    first = np.array([var(mean(v, others[i])) for i in range(3)]) / var(v)
    total = np.array([1 - var(mean(v, (i,))) / var(v) for i in range(3)])
    assert first.min() > 0.02 and (total - first).min() > 0.005  # all matter, and not one by one alone

    design = jm.designs.Saltelli({path: jm.Axis(*ends) for path, ends in G.items()}, base=2**10, seed=4)
    scan = jm.scan(jm.questions.Rests(membrane), design, output=tmp_path / "chord.h5", chunk=5120, note=None)
    names = tuple(G)
    conductances = [scan[name] for name in names]
    chord = sum(x * float(e[i]) for x, i in zip(conductances, ("na", "k", "cl"), strict=True)) / sum(conductances)
    np.testing.assert_allclose(scan["v"], chord, atol=1e-6)
    found = jm.sensitivity(scan)["v"]
    assert found.axes == names and found.left_out == 0
    np.testing.assert_allclose(found.first, first, atol=0.01)
    np.testing.assert_allclose(found.total, total, atol=0.01)
    assert ((found.first_low < first) & (first < found.first_high)).all()
    assert ((found.total_low < total) & (total < found.total_high)).all()
