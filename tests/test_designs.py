"""Designs: any slice is the slice of the whole, each design fills space as it promises, and errors say what to do."""

import hashlib
import json
import pickle
import subprocess
import sys
import tracemalloc
import zlib

import numpy as np
import pytest
from scipy import stats
from scipy.stats import qmc

import jaxmem as jm
from jaxmem.membrane.parameters import Parameter, PathError
from jaxmem.study.draws import raw, uniform
from jaxmem.study.scanning.designs import sobol_sequence
from jaxmem.study.scanning.designs.permutation import permuted

AXES = {
    "na_leak.g": jm.Axis(0.01, 0.5, scale="log", times="k_leak.g", name="leak_ratio"),
    "k.outside": jm.Axis(2.0, 20.0),
    "pump.i_max": jm.Axis(0.1, 10.0, scale="log"),
}
LEVELS = {
    "na_leak.g": jm.Axis(0.01, 0.5, scale="log", times="k_leak.g", name="leak_ratio", points=7),
    "k.outside": jm.Axis(2.0, 20.0, points=11),
    "initial_v": jm.Axis(values=[-90.0, -60.0, -75.0]),
}
RNG = np.random.default_rng(0)
DESIGNS = {
    "grid": jm.designs.Grid(LEVELS),
    "sobol": jm.designs.Sobol(AXES, 3001, seed=5),
    "latin_hypercube": jm.designs.LatinHypercube(AXES, 3001, seed=5),
    "random": jm.designs.Random(AXES, 3001, seed=5),
    "list": jm.designs.Listed({"k.outside": RNG.uniform(size=100), "capacitance": (RNG.uniform(size=100), "F/m^2")}),
    "nested": jm.designs.Nested(
        jm.designs.Grid({"initial_v": LEVELS["initial_v"], "celsius": jm.Axis(10, 37, points=4)}),
        jm.designs.Sobol(AXES, 150),
    ),
    "sensitivity": jm.designs.Saltelli(AXES, 512, seed=5),
}
HUGE = {
    "grid": jm.designs.Grid({p: jm.Axis(1.0, 2.0, points=1000, scale="log") for p in ("a.g", "b.g", "c.g")}),
    "sobol": jm.designs.Sobol({f"{x}.g": jm.Axis(0, 1) for x in "abcdef"}, 10**9),
    "latin_hypercube": jm.designs.LatinHypercube(AXES, 10**9),
    "random": jm.designs.Random(AXES, 10**9),
    "nested": jm.designs.Nested(
        jm.designs.Grid({"celsius": jm.Axis(0, 40, points=100)}), jm.designs.Sobol(AXES, 10**7)
    ),
    "sensitivity": jm.designs.Saltelli(AXES, 2**28),
}


def equal(a: dict, b: dict) -> bool:
    return list(a) == list(b) and all(a[name].tobytes() == b[name].tobytes() for name in a)


def cut(whole: dict, start: int, stop: int) -> dict:
    return {name: x[start:stop] for name, x in whole.items()}


# ---------------------------------------------------------------------- slices
@pytest.mark.parametrize("kind", DESIGNS)
def test_any_slice_is_the_slice_of_the_whole(kind):
    design = DESIGNS[kind]
    n = design.points
    whole = design.values(0, n)
    assert [x.shape for x in whole.values()] == [(n,)] * len(design.axes)
    assert all(x.dtype == np.float64 for x in whole.values())
    cuts = [(n - 1, n), (0, 1), (3, 3), (n, n), (0, n // 2), (n // 2, n)]
    cuts += [tuple(sorted(RNG.integers(0, n + 1, 2).tolist())) for _ in range(60)]
    for start, stop in cuts:
        assert equal(design.values(start, stop), cut(whole, start, stop)), (start, stop)
    for size in (1, 7, 8, 64):  # pieces as workers would ask for them, in an odd order
        for start in RNG.permutation(range(0, min(n, 500), size)).tolist():
            assert equal(design.values(start, min(start + size, n)), cut(whole, start, min(start + size, n)))


@pytest.mark.parametrize("kind", DESIGNS)
def test_a_design_travels(kind):
    design = DESIGNS[kind]
    whole = design.values(0, design.points)
    sent = pickle.dumps(design)
    assert len(sent) < 4000  # nothing that was computed travels
    there = pickle.loads(sent)
    assert there == design and hash(there) == hash(design)
    assert equal(there.values(5, 50), cut(whole, 5, 50))
    told = json.loads(json.dumps(design.told, allow_nan=False))
    assert told == design.told and told["kind"] == kind and told["points"] == design.points
    assert list(told["axes"]) == list(whole)


def test_another_process_makes_the_same_points_and_needs_no_jax():
    program = """
import sys, pickle, hashlib
design = pickle.loads(bytes.fromhex(sys.argv[1]))
digest = hashlib.sha256(b"".join(x.tobytes() for x in design.values(100, 200).values())).hexdigest()
print(digest, "jax" in sys.modules)
"""
    design = DESIGNS["latin_hypercube"]
    done = subprocess.run(
        [sys.executable, "-c", program, pickle.dumps(design).hex()], capture_output=True, text=True, check=True
    )
    digest = hashlib.sha256(b"".join(x.tobytes() for x in design.values(100, 200).values())).hexdigest()
    assert done.stdout.split() == [digest, "False"]


@pytest.mark.parametrize("kind", HUGE)
def test_a_thousand_million_points_cost_no_memory(kind):
    design = HUGE[kind]
    assert design.points >= 10**9
    tracemalloc.start()
    last = design.values(design.points - 1000, design.points)
    first = design.values(0, 1000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3e6
    middle = design.values(123_456_789, 123_457_789)
    for part in (last, first, middle):
        for path, axis in design.axes.items():
            x = part[axis.name]
            assert x.shape == (1000,) and np.all((x >= axis.low) & (x <= axis.high)), path
    assert equal(design.values(design.points - 10, design.points), cut(last, 990, 1000))


@pytest.mark.parametrize("kind", ["sobol", "random"])
def test_more_points_begin_with_the_same(kind):
    few, many = (type(DESIGNS[kind])(AXES, n, seed=3) for n in (100, 10**9))
    assert equal(few.values(0, 100), many.values(0, 100))


@pytest.mark.parametrize("kind", ["sobol", "latin_hypercube", "random", "sensitivity"])
def test_the_seed_decides(kind):
    make = type(DESIGNS[kind])
    one, same, other = (make(AXES, 64, seed=s).values(0, 64) for s in (1, 1, 2))
    assert equal(one, same)
    assert all(np.mean(one[name] == other[name]) < 0.1 for name in one)


@pytest.mark.parametrize("kind", ["latin_hypercube", "random"])
def test_an_axis_has_its_numbers_whatever_its_company(kind):
    make = type(DESIGNS[kind])
    alone = make({"k.outside": AXES["k.outside"]}, 500, seed=4).values(0, 500)
    assert alone["k.outside"].tobytes() == make(AXES, 500, seed=4).values(0, 500)["k.outside"].tobytes()


# ---------------------------------------------------------------------- how space is filled
UNIT = {f"{x}.g": jm.Axis(0, 1) for x in "abcdef"}


def cloud(design, n):
    return np.stack(list(design.values(0, n).values()), 1)


@pytest.mark.parametrize("n", [1, 2, 3, 10, 64, 1000, 4096, 100_003])
def test_a_latin_hypercube_has_one_point_in_each_stratum_of_each_axis(n):
    x = cloud(jm.designs.LatinHypercube(UNIT, n, seed=9), n)
    assert x.min() > 0 and x.max() < 1
    for column in x.T:
        assert np.array_equal(np.sort(np.floor(column * n).astype(int)), np.arange(n))


def test_strata_hold_at_a_thousand_million_points():
    n = 10**9
    design = jm.designs.LatinHypercube(UNIT, n)
    for start in (0, 5 * 10**8, n - 20_000):
        index = np.arange(start, start + 20_000)
        strata = permuted(index, n, 0, "strata of a.g")
        assert np.array_equal(np.floor(design.values(start, start + 20_000)["a.g"] * n).astype(int), strata)
        assert len(set(strata.tolist())) == 20_000 and strata.min() >= 0 and strata.max() < n


def test_a_permutation_is_one_and_looks_random():
    for n in (1, 2, 3, 5, 16, 17, 1000, 65_537):
        assert np.array_equal(np.sort(permuted(np.arange(n), n, 1, "x")), np.arange(n))
    # 4! orders of four things, each as often as the others; a thing stays where it was once on average
    orders = [tuple(permuted(np.arange(4), 4, seed, "x").tolist()) for seed in range(2400)]
    counts = [orders.count(o) for o in set(orders)]
    assert len(counts) == 24 and stats.chisquare(counts).pvalue > 1e-4
    n = 1000
    table = np.array([permuted(np.arange(n), n, seed, "x") for seed in range(200)])
    assert np.mean(np.sum(table == np.arange(n), 1)) == pytest.approx(1, abs=0.3)
    neighbours = np.corrcoef(table[:, :-1].ravel(), table[:, 1:].ravel())[0, 1]
    assert abs(neighbours) < 0.01
    assert abs(np.corrcoef(np.arange(n), table[0])[0, 1]) < 0.1


def test_axes_of_a_hypercube_are_independent():
    x = cloud(jm.designs.LatinHypercube(UNIT, 20_000), 20_000)
    off = np.corrcoef(x.T) - np.eye(6)
    assert np.abs(off).max() < 5 / np.sqrt(20_000)


def test_random_points_are_uniform_and_independent():
    x = cloud(jm.designs.Random(UNIT, 20_000), 20_000)
    for column in x.T:
        assert stats.kstest(column, "uniform").pvalue > 1e-3
        assert abs(np.corrcoef(column[:-1], column[1:])[0, 1]) < 5 / np.sqrt(20_000)
    assert np.abs(np.corrcoef(x.T) - np.eye(6)).max() < 5 / np.sqrt(20_000)


def test_sobol_points_are_balanced_and_even():
    n = 1024
    x = cloud(jm.designs.Sobol(UNIT, n, seed=2), n)
    for column in x.T:
        assert np.array_equal(np.sort(np.floor(column * n).astype(int)), np.arange(n))
    # the first two dimensions are a (0, 10, 2)-net: every box of the area 1/1024 has one point
    for k in range(11):
        boxes = np.floor(x[:, 0] * 2**k).astype(int) * 2 ** (10 - k) + np.floor(x[:, 1] * 2 ** (10 - k)).astype(int)
        assert len(set(boxes.tolist())) == n
    scipys = qmc.discrepancy(qmc.Sobol(6, rng=np.random.default_rng(2)).random(n))
    independent = qmc.discrepancy(cloud(jm.designs.Random(UNIT, n), n))
    assert qmc.discrepancy(x) < 1.3 * scipys < 0.1 * independent


def test_a_scramble_is_unbiased():
    """Each point alone is uniform over the scrambles; the mean of 2^8 points is far better than of random ones."""
    means, firsts = [], []
    for seed in range(200):
        x = cloud(jm.designs.Sobol({"a.g": jm.Axis(0, 1), "b.g": jm.Axis(0, 1)}, 256, seed=seed), 256)
        means.append(np.mean(np.exp(x[:, 0] + x[:, 1])))
        firsts.append(x[0, 0])
    assert stats.kstest(firsts, "uniform").pvalue > 1e-3
    exact, sd = (np.e - 1) ** 2, np.sqrt(((np.e**2 - 1) / 2) ** 2 - (np.e - 1) ** 4)
    assert np.mean(means) == pytest.approx(exact, abs=4 * np.std(means) / np.sqrt(200))
    assert np.std(means) < 0.05 * sd / 16


def test_the_sequence_is_scipys_at_any_index():
    """Unscrambled, against SciPy, also after its (slow) jump; the scramble against its definition."""
    v = sobol_sequence.directions(30)
    zero = np.uint64(0)
    half = 2.0 ** -(sobol_sequence.BITS + 1)
    for start in (0, 1000, 2**20 - 3, 3_000_017):
        engine = qmc.Sobol(30, scramble=False)
        if start:
            engine.fast_forward(start)
        theirs = engine.random(2048)
        ours = np.stack([sobol_sequence.points(v[j], zero, start, start + 2048) for j in range(30)], 1)
        assert np.array_equal(ours - half, theirs)


def test_the_scramble_is_a_lower_triangular_map():
    v = sobol_sequence.directions(3)[2]
    w, shift = sobol_sequence.scrambled(v, 1, "x")
    bits = lambda x: np.array([(int(x) >> (51 - i)) & 1 for i in range(52)])
    # the unit vectors' images give L; it must be lower triangular with ones on the diagonal, and map v to w
    units = np.array([1 << (51 - i) for i in range(52)], np.uint64)
    matrix = np.stack([bits(x) for x in sobol_sequence.scrambled(units, 1, "x")[0]], 1)
    assert np.array_equal(np.triu(matrix), np.eye(52, dtype=int))
    assert 0.45 < matrix[np.tril_indices(52, -1)].mean() < 0.55
    for a, b in zip(v, w, strict=True):
        assert np.array_equal(matrix @ bits(a) % 2, bits(b))
    assert 0 < int(shift) < 2**52


def test_draws_continue():
    whole = raw(3, "x", 0, 1000)
    for start, stop in ((0, 0), (1, 1000), (2, 5), (3, 4), (998, 1000), (400, 401)):
        assert np.array_equal(raw(3, "x", start, stop), whole[start:stop])
    assert np.array_equal(uniform(3, "x", 1000, 17), uniform(3, "x", 1000)[17:])
    philox = np.random.Philox(key=np.array([3, zlib.crc32(b"x")], np.uint64))
    assert np.array_equal(whole, philox.random_raw(1000))  # what populations of files in the world were drawn from


# ---------------------------------------------------------------------- grids, axes, nested and sensitivity
def test_the_last_axis_runs_fastest():
    design = DESIGNS["grid"]
    assert design.points == 231 and design.told["shape"] == [7, 11, 3]
    x = {name: a.reshape(7, 11, 3) for name, a in design.values(0, 231).items()}
    assert np.array_equal(x["initial_v"][4, 3], [-90, -60, -75])
    assert np.array_equal(x["k.outside"][0, :, 0], np.linspace(2, 20, 11))
    np.testing.assert_allclose(x["leak_ratio"][:, 2, 1], np.geomspace(0.01, 0.5, 7), rtol=1e-15)
    assert x["leak_ratio"][0, 0, 0] == 0.01 and x["leak_ratio"][-1, 0, 0] == 0.5


@pytest.mark.parametrize(("low", "high"), [(0.1, 0.7), (1e-7, 3.3), (-90.0, -0.3), (1e-300, 1e-290)])
def test_both_ends_are_exact(low, high):
    for scale in ("linear", "log")[: 1 + (low > 0)]:
        for points in (2, 3, 7, 100, 997):
            x = jm.designs.Grid({"a.g": jm.Axis(low, high, scale=scale, points=points)}).values(0, points)["a.g"]
            assert x[0] == low and x[-1] == high and np.all(np.diff(x) > 0)
            steps = np.diff(np.log(x) if scale == "log" else x)
            np.testing.assert_allclose(steps, steps.mean(), rtol=1e-9)


def test_scales_of_drawn_axes():
    n = 4096
    x = jm.designs.Sobol(AXES, n).values(0, n)
    assert np.median(x["pump.i_max"]) == pytest.approx(1.0, rel=0.01)  # the geometric mean
    assert np.median(x["k.outside"]) == pytest.approx(11.0, rel=0.01)


def test_nested_order():
    design = DESIGNS["nested"]
    outer, inner = design.outer.values(0, 12), design.inner.values(0, 150)
    x = design.values(0, design.points)
    assert design.points == 12 * 150 and list(x) == ["initial_v", "celsius", "leak_ratio", "k.outside", "pump.i_max"]
    for i in (0, 5, 11):
        part = slice(i * 150, (i + 1) * 150)
        assert set(x["celsius"][part]) == {outer["celsius"][i]} and set(x["initial_v"][part]) == {outer["initial_v"][i]}
        assert np.array_equal(x["pump.i_max"][part], inner["pump.i_max"])
    twice = jm.designs.Nested(design.outer, jm.designs.Nested(jm.designs.Grid({"a.g": jm.Axis(0, 1, points=2)}),
                                                              jm.designs.Random({"b.g": jm.Axis(0, 1)}, 5)))  # fmt: skip
    assert equal(twice.values(33, 61), cut(twice.values(0, 120), 33, 61))


def test_the_layout_of_a_sensitivity_design():
    design = DESIGNS["sensitivity"]
    assert design.points == 512 * 5 and design.told["base"] == 512
    x = {name: a.reshape(512, 5) for name, a in design.values(0, design.points).items()}
    for j, name in enumerate(x):
        a, b = x[name][:, 0], x[name][:, 1]
        assert np.mean(a == b) < 0.01
        for k in range(3):
            assert np.array_equal(x[name][:, 2 + k], b if k == j else a)
    # A and B together fill six dimensions evenly
    together = np.stack([np.log(x["pump.i_max"][:, s] / 0.1) / np.log(100) for s in (0, 1)]
                        + [(x["k.outside"][:, s] - 2) / 18 for s in (0, 1)], 1)  # fmt: skip
    assert qmc.discrepancy(together) < 0.2 * qmc.discrepancy(np.random.default_rng(1).uniform(size=(512, 4)))


def test_sensitivity_of_a_known_function():
    """A linear function's first-order indices are the squares of its slopes; A, B and AB in SciPy's order."""
    slopes = np.array([1.0, 2.0, 3.0])
    axes = {f"{x}.g": jm.Axis(0, 1) for x in "abc"}
    x = np.stack(list(jm.designs.Saltelli(axes, 1024).values(0, 1024 * 5).values()))
    y = (slopes @ x).reshape(1024, 5)
    given = {"f_A": y[None, :, 0], "f_B": y[None, :, 1], "f_AB": y.T[2:, None, :]}
    first = np.ravel(stats.sobol_indices(func=given, n=1024).first_order)
    np.testing.assert_allclose(first, slopes**2 / np.sum(slopes**2), atol=0.01)


def test_units_are_read_where_they_are_known():
    known = {
        "k.outside": Parameter(3.0, "mM", ""), "initial_v": Parameter(-65.0, "mV", ""),
        "stimulus.amplitude": Parameter(0.0, "uA/cm^2", ""), "k_leak.g": Parameter(0.1, "mS/cm^2", ""),
        "na_leak.g": Parameter(0.1, "mS/cm^2", ""),
    }  # fmt: skip
    design = jm.designs.Grid({
        "k.outside": jm.Axis("2 mM", "0.02 M", points=3), "initial_v": jm.Axis(values=["-0.09 V", -60]),
        "stimulus.amplitude": jm.Axis(values=["25 pA", "2 uA/cm^2"]),
        "k_leak.g": jm.Axis(1, 2, unit="S/m^2", points=2),
        "na_leak.g": jm.Axis("2 %", "0.5", times="k_leak.g", points=2),
    })  # fmt: skip
    with pytest.raises(ValueError, match="resolved"):
        design.values(0, 1)
    area = 4 * np.pi * 10**2
    x = design.resolved(known, area=area).values(0, design.points)
    assert sorted(set(x["k.outside"])) == [2.0, 11.0, 20.0] and set(x["initial_v"]) == {-90.0, -60.0}
    assert set(x["stimulus.amplitude"]) == {2.0, jm.units.parse_quantity("25 pA", "uA/cm^2", area=area)}
    assert set(x["k_leak.g"]) == {0.1, 0.2} and set(x["na_leak.g_per_k_leak.g"]) == {0.02, 0.5}
    with pytest.raises(ValueError, match=r"^stimulus.amplitude: values: .*area"):
        design.resolved(known)
    nested = jm.designs.Nested(jm.designs.Grid({"k.outside": jm.Axis("2 mM", "4 mM", points=2)}),
                               jm.designs.Sobol({"initial_v": jm.Axis("-90 mV", "-60 mV")}, 4))  # fmt: skip
    assert nested.resolved(known).values(4, 8)["k.outside"].tolist() == [4.0] * 4
    listed = jm.designs.Listed({"k.outside": ([2.0, 3.0], "uM")}).resolved(known)
    assert listed.values(0, 2)["k.outside"].tolist() == [0.002, 0.003]
    assert design.resolved(known, area=area).resolved(known) == design.resolved(known, area=area)


def test_a_factor_of_itself_and_names():
    axis = jm.Axis(0.0, 1.0, times="pump.i_max")
    assert list(jm.designs.Sobol({"pump.i_max": axis}, 4).values(0, 4)) == ["pump.i_max_per_pump.i_max"]
    listed = jm.designs.Listed({"na_leak.g": [0.1, 0.2]}, {"na_leak.g": jm.Axis(times="k_leak.g", name="ratio")})
    assert list(listed.values(0, 2)) == ["ratio"] and listed.axes["na_leak.g"].times == "k_leak.g"


# ---------------------------------------------------------------------- errors
WRONG_AXES = {
    "low must be below high; found 3 and 2 mM": lambda: jm.Axis(3, 2, unit="mM"),
    "a log scale needs low above 0; found 0": lambda: jm.Axis(0, 2, scale="log"),
    "found the scale 'logarithmic'; allowed are 'linear' and 'log'": lambda: jm.Axis(1, 2, scale="logarithmic"),
    "high is missing": lambda: jm.Axis(1),
    "low and high are missing": lambda: jm.Axis(points=3),
    "at least 2": lambda: jm.Axis(1, 2, points=1),
    "leave out low and high": lambda: jm.Axis(1, 2, values=[1, 2]),
    "values is empty": lambda: jm.Axis(values=[]),
    "stands twice": lambda: jm.Axis(values=[1, 2, 1]),
    "has finite numbers": lambda: jm.Axis(1, float("inf")),
    "found True": lambda: jm.Axis(True, 2),
    "has no unit; found 'mS/cm\\^2'": lambda: jm.Axis(1, 2, times="k_leak.g", unit="mS/cm^2"),
    "no '/'": lambda: jm.Axis(1, 2, name="a/b"),
}
X = jm.Axis(0, 1)
WRONG_DESIGNS = {
    "at least one axis": lambda: jm.designs.Grid({}),
    "k.outside: an axis of a grid needs points": lambda: jm.designs.Grid({"k.outside": X}),
    "k.outside: an axis of a sobol design goes from low to high; found points": lambda: jm.designs.Sobol(
        {"k.outside": jm.Axis(0, 1, points=3)}, 4
    ),
    "found values": lambda: jm.designs.Random({"k.outside": jm.Axis(values=[1, 2])}, 4),
    "b.g: the axis of a.g is called 'x' too": lambda: jm.designs.Random(
        {"a.g": jm.Axis(0, 1, name="x"), "b.g": jm.Axis(0, 1, name="x")}, 4
    ),
    "go round in a circle: a.g times b.g times a.g": lambda: jm.designs.Random(
        {"a.g": jm.Axis(0, 1, times="b.g"), "b.g": jm.Axis(0, 1, times="a.g")}, 4
    ),
    "a.g: is an axis of the outer and of the inner": lambda: jm.designs.Nested(
        jm.designs.Grid({"a.g": jm.Axis(0, 1, points=2)}), jm.designs.Sobol({"a.g": X}, 4)
    ),
    "power of two .*; found 1000, take 512 or 1024": lambda: jm.designs.Saltelli({"a.g": X}, 1000),
    "points is a whole number from 1": lambda: jm.designs.Sobol({"a.g": X}, 0),
    "seed is a whole number": lambda: jm.designs.Sobol({"a.g": X}, 4, seed=-1),
    "a.g has 2, b.g has 3": lambda: jm.designs.Listed({"a.g": [1, 2], "b.g": [1, 2, 3]}),
    "a.g: point 1 is nan": lambda: jm.designs.Listed({"a.g": [1, np.nan]}),
    "more than 2\\^52": lambda: jm.designs.Grid({f"{x}.g": jm.Axis(0, 1, points=10**6) for x in "abc"}),
}


@pytest.mark.parametrize(("said", "make"), [*WRONG_AXES.items(), *WRONG_DESIGNS.items()])
def test_errors_speak(said, make):
    with pytest.raises(ValueError, match=said):
        make()


def test_a_chain_of_factors_is_no_circle():
    axes = {"a.g": jm.Axis(0, 1, times="b.g"), "b.g": jm.Axis(0, 1, times="c.g"), "c.g": jm.Axis(0, 1, times="c.g")}
    assert jm.designs.Random(axes, 4).points == 4


def test_unknown_paths_have_hints():
    known = {"k.outside": Parameter(3.0, "mM", ""), "k_leak.g": Parameter(0.1, "mS/cm^2", "")}
    with pytest.raises(PathError, match=r"^k.outsid: there is no parameter 'k.outsid'; did you mean 'k.outside'"):
        jm.designs.Random({"k.outsid": X}, 4).resolved(known)
    with pytest.raises(PathError, match=r"^k.outside: times: there is no parameter 'k_leek.g'"):
        jm.designs.Random({"k.outside": jm.Axis(0, 1, times="k_leek.g")}, 4).resolved(known)
    with pytest.raises(ValueError, match=r"^k.outside: low: .*mM"):
        jm.designs.Random({"k.outside": jm.Axis("1 mV", "2 mV")}, 4).resolved(known)
    with pytest.raises(ValueError, match=r"k.outside: low must be below high; found 2 and 1 mM"):
        jm.designs.Random({"k.outside": jm.Axis("2 mM", "1 mM")}, 4).resolved(known)


def test_beyond_the_points_there_is_nothing():
    for start, stop in ((0, 232), (-1, 3), (5, 4)):
        with pytest.raises(IndexError, match="from 0 to 231"):
            DESIGNS["grid"].values(start, stop)
