"""Maps of a scan: medians and shares as NumPy gives them bin by bin, levels and log axes, and what failed."""

import numpy as np
import pytest
from listed_scan import ListedAxis, ListedOutput, ListedScan, listed

from jaxmem.study.scanning import maps
from jaxmem.study.scanning.maps import marginal, pairwise


@pytest.fixture
def scan(monkeypatch: pytest.MonkeyPatch) -> ListedScan:
    """5000 points, a linear, a log and a grid axis; y = x with noise, 10 % failed where z is 2."""
    monkeypatch.setattr(maps, "PIECE", 777)
    random = np.random.default_rng(3)
    n = 5000
    x, k, z = random.uniform(-1, 1, n), 10 ** random.uniform(-2, 1, n), random.integers(0, 3, n).astype(float)
    status = np.where((z == 2) & (random.random(n) < 0.1), 1, 0).astype(np.int32)
    y = np.where(status == 0, x + random.normal(0, 0.1, n), np.nan)
    stability = random.integers(0, 2, n).astype(np.int32)
    axes = {
        "x": ListedAxis(low=-1, high=1, unit="mV"),
        "k": ListedAxis(low=0.01, high=10, scale="log"),
        "z": ListedAxis(low=0, high=2, levels=(0.0, 1.0, 2.0)),
    }
    values = {"x": x, "k": k, "z": z, "y": y, "status": status, "stability": stability}
    codes = ListedOutput(dtype=np.dtype(np.int32), codes={0: "NODE", 1: "UNSTABLE"})
    return listed(axes, values, outputs={"stability": codes, "y": ListedOutput(unit="mV")})


def test_a_marginal_is_numpys_quantiles_in_each_bin(scan: ListedScan) -> None:
    found = marginal(scan, "x", "y", bins=8)
    edges = np.linspace(-1, 1, 9)
    np.testing.assert_allclose(found.bins.edges, edges)
    np.testing.assert_allclose(found.bins.centres, (edges[1:] + edges[:-1]) / 2)
    for i in range(8):
        inside = (scan["x"] >= edges[i]) & (scan["x"] < edges[i + 1])
        y = scan["y"][inside]
        assert found.points[i] == inside.sum() and found.count[i] == np.isfinite(y).sum()
        expected = np.nanquantile(y, [0.05, 0.5, 0.95])
        np.testing.assert_allclose([found.low[i], found.median[i], found.high[i]], expected, rtol=1e-12)
        np.testing.assert_allclose(found.mean[i], np.nanmean(y), rtol=1e-12)
        assert found.failed[i] == pytest.approx(np.mean(scan["status"][inside] != 0))
    assert found.unit == "mV" and found.sampled is None


def test_levels_are_bins_and_log_axes_have_log_bins(scan: ListedScan) -> None:
    levels = marginal(scan, "z", "y")
    np.testing.assert_array_equal(levels.bins.centres, [0, 1, 2])
    assert levels.bins.levels
    np.testing.assert_array_equal(levels.points, [np.sum(scan["z"] == z) for z in range(3)])
    assert levels.failed[0] == levels.failed[1] == 0 and 0.05 < levels.failed[2] < 0.15
    log = marginal(scan, "k", "y", bins=3)
    np.testing.assert_allclose(log.bins.edges, [0.01, 0.1, 1, 10])
    np.testing.assert_allclose(log.bins.centres, np.array([0.01, 0.1, 1]) * 10**0.5)
    np.testing.assert_array_equal(log.points, np.histogram(scan["k"], [0.01, 0.1, 1, 10])[0])


@pytest.mark.parametrize("statistic", ["median", "mean"])
def test_a_map_is_rows_of_y_and_columns_of_x(scan: ListedScan, statistic: str) -> None:
    found = pairwise(scan, "x", "z", "y", bins=4, statistic=statistic)
    assert found.value.shape == (3, 4) == found.points.shape
    edges = np.linspace(-1, 1, 5)
    inside = (scan["z"] == 2) & (scan["x"] >= edges[1]) & (scan["x"] < edges[2])
    expected = {"median": np.nanmedian, "mean": np.nanmean}[statistic](scan["y"][inside])
    assert found.value[2, 1] == pytest.approx(expected, rel=1e-12)
    assert found.shares[1][2, 1] == pytest.approx(np.mean(scan["status"][inside] == 1))
    np.testing.assert_allclose(sum(found.shares.values()), 1)
    np.testing.assert_array_equal(found.failed, found.shares[1])
    assert found.points.sum() == 5000 and found.count.sum() == np.isfinite(scan["y"]).sum()
    assert found.words[1] == ("NO_REST", "no steady state was found")


def test_codes_are_mapped_by_the_most_frequent_one(scan: ListedScan) -> None:
    found = pairwise(scan, "x", "z", "stability", bins=2)
    inside = (scan["z"] == 1) & (scan["x"] >= 0)
    assert found.statistic == "mode" and found.codes == {0: "node", 1: "unstable"}
    assert found.value[1, 1] == np.bincount(scan["stability"][inside]).argmax()
    fate = pairwise(scan, "x", "z", "status", bins=2)
    assert (fate.value == 0).all() and fate.count.sum() == 5000


def test_an_empty_tile_is_no_number_and_nothing_warns() -> None:
    axes = {"x": ListedAxis(low=0, high=1), "y": ListedAxis(low=0, high=1)}
    scan = listed(axes, {"x": [0.1, 0.9, 1.0], "y": [0.1, 0.9, 0.0], "f": [1.0, np.nan, 3.0], "status": [0, 1, 0]})
    found = pairwise(scan, "x", "y", "f", bins=2)
    np.testing.assert_array_equal(found.value, [[1, 3], [np.nan, np.nan]])
    np.testing.assert_array_equal(found.points, [[1, 1], [0, 1]])
    np.testing.assert_array_equal(found.failed, [[0, 0], [np.nan, 1]])


def test_many_points_are_counted_whole_and_their_quantiles_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maps, "GATHERED", 20_000)
    x = np.linspace(0, 1, 100_000, endpoint=False)
    scan = listed({"x": ListedAxis(low=0, high=1)}, {"x": x, "f": x**2})
    found = marginal(scan, "x", "f", bins=5)
    assert found.points.tolist() == [20_000] * 5 and found.sampled == pytest.approx(20_000, rel=0.03)
    np.testing.assert_allclose(found.median, found.bins.centres**2, atol=0.01)
    np.testing.assert_allclose(found.mean, [np.mean(x[i : i + 20_000] ** 2) for i in range(0, 100_000, 20_000)])


def test_what_cannot_be_mapped_is_said(scan: ListedScan) -> None:
    with pytest.raises(ValueError, match="no axis 'xx' here; did you mean 'x'"):
        marginal(scan, "xx", "y")
    with pytest.raises(ValueError, match="there is no output 'stabilty' here; did you mean 'stability'"):
        pairwise(scan, "x", "z", "stabilty")
    with pytest.raises(ValueError, match="stability is a code"):
        marginal(scan, "x", "stability")
    with pytest.raises(ValueError, match="'x' twice"):
        pairwise(scan, "x", "x", "y")
