"""What is told of a scan: spreads, examples, what took long, which axes come first; all against the columns themselves."""

import numpy as np
import pytest
import scan_double as double

from jaxmem.study.scanning import digest as module
from jaxmem.study.scanning.digest import Digest


@pytest.fixture
def small(monkeypatch):
    """Pieces much smaller than the scan, so that their joints are tested."""
    monkeypatch.setattr(module, "PIECE", 97)


def test_spreads_leave_failed_points_out(small):
    scan = double.scattered(1000)
    scan.columns["v"][scan["status"] != 0] = 1e9  # what a failed point says is not believed
    good = scan["status"] == 0
    assert 0 < good.sum() < 1000
    for name in ("v", "iterations"):
        found, x = module.spread_of(scan, name), scan[name][good]
        expected = [x.min(), *np.quantile(x, (0.05, 0.5, 0.95)), x.max()]
        assert [found.lowest, found.low, found.median, found.high, found.highest] == pytest.approx(expected, rel=1e-14)
        assert found.count == good.sum() and found.sampled is None
        np.testing.assert_array_equal(found.values, np.sort(x))


def test_when_points_failed_is_told_where_some_did(small):
    scan = double.scattered(1000)
    bad = scan["status"] != 0
    scan.columns["failed_at"] = np.where(bad, 100 * scan["leak_ratio"], np.nan)
    scan.outputs["failed_at"] = double.Output("ms", "when the cell was found to have failed")
    found = Digest(scan)
    assert found.spreads["failed_at"].count == bad.sum() and "failed_at" not in found.main
    assert found.spreads["failed_at"].highest == scan["failed_at"][bad].max()
    scan.columns["status"][:], scan.columns["failed_at"][:] = 0, np.nan
    assert {s.name for s in Digest(scan).listed} == set(scan.outputs) - {"status", "failed_at"}


def test_codes_are_counted_by_word(small):
    scan = double.scattered(1000)
    kinds = scan["stability"][scan["status"] == 0]
    expected = {word: int(np.sum(kinds == code)) for code, word in double.KINDS.items()}
    assert module.spread_of(scan, "stability").words == expected and min(expected.values()) > 0


def test_more_numbers_than_are_held_are_drawn_at_random(small, monkeypatch):
    monkeypatch.setattr(module, "GATHERED", 2000)
    scan = double.scattered(20_000)
    x = scan["v"][scan["status"] == 0]
    found = module.spread_of(scan, "v")
    assert found.sampled == found.values.size and 1500 < found.sampled < 2100
    assert (found.count, found.lowest, found.highest) == (x.size, x.min(), x.max())  # these are of all
    assert found.median == pytest.approx(np.median(x), abs=5 * 1.25 * x.std() / np.sqrt(found.sampled))


def test_axes_come_in_the_order_of_what_they_decide():
    scan = double.scattered(4000)
    scan.columns["v"] = 3.0 * scan["idle_1.g"] + np.log(scan["leak_ratio"] / 0.01) / np.log(50)
    scan.columns["status"][:] = 0
    found = Digest(scan)
    assert list(found.along("v"))[:2] == ["idle_1.g", "leak_ratio"]
    first = dict(zip(found.sensitivity["v"].axes, found.sensitivity["v"].first, strict=True))
    # Var of 3u is 9/12, of u 1/12, both uniform and independent
    assert first["idle_1.g"] == pytest.approx(0.9, abs=0.03) and first["leak_ratio"] == pytest.approx(0.1, abs=0.03)


def test_maps_of_two_axes_lie_one_way_round():
    """Whatever decides more of an output: the axis that is first in the design is x."""
    scan = double.landscape(8)
    ratio, bath = scan["leak_ratio"] / 0.5, scan["k.outside"] / 20
    for name, x in (("v", 3 * ratio + bath), ("na.inside", ratio + 3 * bath), ("atp_per_second", 9 * bath + ratio)):
        scan.columns[name] = x
    scan.columns["status"][:] = np.where((bath > 0.5) & (ratio > 0.2), 1, 0)
    found = Digest(scan)
    assert {next(iter(found.along(name))) for name in found.main} == {"leak_ratio", "k.outside"}
    assert found.fates is not None
    assert {(m.x.axis, m.y.axis) for m in [*found.maps, found.fates]} == {("leak_ratio", "k.outside")}


def test_outputs_that_a_region_names_come_first():
    names = list(Digest(double.landscape(4, regions={"salty": "na.inside > 20 mM"})).spreads)
    assert names[0] == "na.inside" and names[-1] == "iterations" and "status" not in names
    assert list(Digest(double.landscape(4, regions={})).spreads)[:2] == ["v", "atp_per_second"]


def test_examples_are_the_first_of_each_status(small):
    scan = double.landscape(12)
    found = Digest(scan).examples(4)
    assert set(found) == set(scan.counts) - {0} and len(found) == 3
    for code, points in found.items():
        assert points == np.flatnonzero(scan["status"] == code)[:4].tolist()
    places = Digest(scan).places(found[1])
    assert places[found[1][0]]["leak_ratio"] == scan["leak_ratio"][found[1][0]]


def test_slowest_points_and_chunks(small):
    scan = double.scattered(1000, chunks={"start": np.array([0, 400, 800]), "seconds": np.array([2.0, np.nan, 5.0])})
    scan.columns["iterations"] = np.random.default_rng(0).permutation(1000).astype(np.int32)
    found = Digest(scan)
    assert [(scan["iterations"][i], x) for i, x in found.slowest_points(3)] == [(999, 999), (998, 998), (997, 997)]
    assert found.slowest_chunks(5) == [(800, 1000, 5.0), (0, 400, 2.0)]


def test_fates_are_mapped_over_the_axes_that_decide_them():
    scan = double.landscape(8)
    scan.columns["status"][:] = np.where((scan["k.outside"] > 10) & (scan["leak_ratio"] > 0.1), 1, 0)
    found = Digest(scan).fates
    assert {found.x.axis, found.y.axis} == {"k.outside", "leak_ratio"} and found.name == "status"
    assert set(np.unique(found.shares[1])) == {0.0, 1.0}
    scan.columns["status"][:] = 0
    assert Digest(scan).fates is None


def test_nothing_but_failures():
    scan = double.landscape(4)
    scan.columns["status"][:] = 1
    found = Digest(scan)
    assert found.main == () and found.failed == 64 and found.sensitivity == {}
    assert all(s.count == 0 and np.isnan(s.median) and not s.varies for s in found.spreads.values())
    assert [m.name for m in found.maps] == ["status"]
