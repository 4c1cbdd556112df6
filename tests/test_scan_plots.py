"""Figures of a scan: units on every axis, values where there are values, failed points as what they are."""

import matplotlib.collections
import numpy as np
import pytest
import scan_double as double
from matplotlib.colors import to_rgba

from jaxmem import plots
from jaxmem.plots import _scan_panels as panels
from jaxmem.plots._style import caption_of, new_figure
from jaxmem.study.scanning.digest import Digest
from jaxmem.study.scanning.maps import pairwise

WITHOUT_UNIT = ("", "points", "leak_ratio", "iterations", "failed\n(%)")


def all_axes(figure):
    return [*figure.axes, *(ax for part in figure.subfigs for ax in part.axes)]


def hatched(ax):
    """Tiles of every hatch: hatch -> polygons."""
    found = [c for c in ax.collections if isinstance(c, matplotlib.collections.PolyCollection) and c.get_hatch()]
    return {c.get_hatch(): c for c in found}


def covered(collection, x, y):
    """Which of the tiles around these centres lie inside the polygons."""
    inside = np.zeros((len(y), len(x)), bool)
    for path in collection.get_paths():
        (x0, y0), (x1, y1) = path.vertices.min(0), path.vertices.max(0)
        inside |= np.outer((y > y0) & (y < y1), (x > x0) & (x < x1))
    return inside


@pytest.fixture(scope="module")
def scan():
    return double.landscape(14)


@pytest.mark.parametrize("kind", ["landscape", "single", "scattered"])
def test_overview(kind):
    scan = {"landscape": double.landscape, "single": double.single, "scattered": double.scattered}[kind](
        12 if kind != "scattered" else 900
    )
    figure = plots.scan(scan, title="A question?")
    for ax in all_axes(figure):
        for text in (ax.get_xlabel(), ax.get_ylabel()):
            assert text in WITHOUT_UNIT or text.endswith(")") or text.startswith("share of the variance"), text
    good = int(np.sum(scan["status"] == 0))
    assert f"{good:,} of {scan.points:,} points have an answer" in caption_of(figure)
    legend = [t.get_text() for t in all_axes(figure)[0].get_legend().get_texts()]
    assert legend[0].startswith(f"ok: {good:,} (") and len(legend) == len(scan.counts)
    assert len(all_axes(figure)) >= (7 if kind == "single" else 13)  # fates, rows of three, colour bars


def test_overview_of_failures_alone():
    scan = double.landscape(5)
    scan.columns["status"][:] = 1
    figure = plots.scan(scan)
    assert "0 of 125 points have an answer" in caption_of(figure)


def bars(figure):
    return [ax for ax in figure.axes if ax.get_xlabel().startswith("share of the variance")]


@pytest.mark.slow
def test_indices_of_axes_that_depend_on_each_other_are_not_drawn():
    scan = double.scattered(900)
    assert len(bars(plots.scan(scan))) == 3
    scan.design["kind"] = "list"
    scan.columns["idle_0.g"] = 0.5 * (scan["idle_0.g"] + scan["idle_1.g"])
    figure = plots.scan(scan)
    assert bars(figure) == [] and not [p for p in plots.scan_panels(Digest(scan)) if p.section == "sensitivity"]
    assert "No Sobol indices of v, atp_per_second and na.inside: the axes depend on each other." in caption_of(figure)


def test_indices_of_too_few_points_are_not_drawn():
    scan = double.scattered(900)
    scan.columns["v"][np.flatnonzero(scan["status"] == 0)[9:]] = np.nan
    figure = plots.scan(scan)
    assert len(bars(figure)) == 2 and "No Sobol indices of v: too few points have it." in caption_of(figure)


def test_intervals_are_named_where_they_are_drawn():
    scan = double.landscape(6)
    assert "with 95 % intervals" in caption_of(plots.scan(scan))
    scan.columns |= double.answers(*(0 * scan[n] + x for n, x in zip(scan.axes, (0.02, 2, 4), strict=True)))
    scan.columns["v"], scan.columns["status"][:] = scan["k.outside"] + scan["leak_ratio"], 0
    words = caption_of(plots.scan(scan))
    assert "Bars: Sobol indices, of" in words and "intervals" not in words  # a whole grid is exact


def test_failed_tiles_are_hatched_by_status_and_have_no_colour(scan):
    found = pairwise(scan, "leak_ratio", "pump.i_max", "v")
    ax = new_figure(4, 4).subplots()
    words = panels.draw_map(ax, found, panels.look_of(list(scan.statuses)))
    status = scan.grid("status")  # ratio, pump, bath
    failed = (status != 0).mean(2).T >= 0.5
    assert failed.any() and not failed.all()
    mesh = next(c for c in ax.collections if isinstance(c, matplotlib.collections.QuadMesh))
    drawn = np.ma.filled(np.ma.masked_invalid(mesh.get_array()).astype(float), np.nan).reshape(failed.shape)
    np.testing.assert_array_equal(np.isnan(drawn), failed)  # a colour where there is an answer, and nowhere else
    there = np.nanmedian(np.moveaxis(scan.grid("v"), 2, 0).swapaxes(1, 2)[:, ~failed], axis=0)
    np.testing.assert_allclose(drawn[~failed], there, rtol=1e-12)
    tiles = hatched(ax)
    over = {"no rest": 1, "depleted": 3}
    assert words[:2] == ["no rest", "depleted"]
    looks = panels.look_of(list(scan.statuses))
    masks = [covered(tiles[looks[code]["hatch"]], found.x.centres, found.y.centres) for code in over.values()]
    np.testing.assert_array_equal(masks[0] | masks[1], failed)  # no white holes
    assert not np.any(masks[0] & masks[1])
    for code, mask in zip(over.values(), masks, strict=True):
        mine = (status == code).sum(2).T
        others = np.max([(status == c).sum(2).T for c in (1, 2, 3) if c != code], axis=0)
        assert np.all((mine >= others)[mask])
        np.testing.assert_allclose(tiles[looks[code]["hatch"]].get_facecolor()[0], to_rgba(panels.ASH))


def test_tiles_with_some_failures_are_marked(scan):
    found = pairwise(scan, "k.outside", "leak_ratio", "v")
    ax = new_figure(4, 4).subplots()
    assert "5 % or more failed" in panels.draw_map(ax, found, panels.look_of(list(scan.statuses)))
    share = (scan.grid("status") != 0).mean(1)  # ratio, bath
    marked = covered(hatched(ax)["//"], found.x.centres, found.y.centres)
    np.testing.assert_array_equal(marked, (share >= 0.05) & (share < 0.5))


def test_places_without_points_and_points_without_the_number_are_told_apart():
    scan = double.landscape(6)
    scan.columns["status"][:] = 0
    scan.columns["v"] = np.where(scan["leak_ratio"] < 0.05, np.nan, 1.0)
    scan.axes["pump.i_max"] = scan.axes["pump.i_max"]._replace(levels=None, high=200.0)
    found = pairwise(scan, "leak_ratio", "pump.i_max", "v", bins=(6, 6))
    ax = new_figure(4, 4).subplots()
    assert panels.draw_map(ax, found, {}) == ["ok, but no such number", "no point"]


def test_codes_have_a_colour_each_and_a_word(scan):
    found = pairwise(scan, "k.outside", "leak_ratio", "stability")
    ax = new_figure(4, 4).subplots()
    words = panels.draw_map(ax, found, panels.look_of(list(scan.statuses)))
    assert {"stable", "oscillatory", "unstable"} <= set(words)
    assert len(ax.figure.axes) == 1  # no colour bar: codes are no scale


def test_marginals_show_what_failed(scan):
    m = Digest(scan).along("v")["pump.i_max"]
    top, strip = new_figure(4, 4).subplots(2, 1)
    panels.draw_marginal(top, strip, m)
    grid = np.where(scan.grid("status") == 0, scan.grid("v"), np.nan)
    np.testing.assert_allclose(top.lines[0].get_ydata(), np.nanmedian(grid, axis=(0, 2)), rtol=1e-12)
    bars = strip.patches[0].get_data().values
    np.testing.assert_allclose(bars, 100 * (scan.grid("status") != 0).mean((0, 2)), rtol=1e-12)
    assert top.get_ylabel() == "v (mV)" and strip.get_xlabel() == "pump.i_max (µA/cm²)"


def test_histograms_hold_every_good_point(scan):
    for spread in Digest(scan).spreads.values():
        ax = new_figure(3, 3).subplots()
        panels.draw_spread(ax, spread)
        if spread.words:
            assert sum(p.get_width() for p in ax.patches) == spread.count
        else:
            stairs = next(p for p in ax.patches if hasattr(p, "get_data"))
            assert stairs.get_data().values.sum() == spread.count == int(np.sum(scan["status"] == 0))
            assert ax.lines[0].get_xdata()[0] == spread.median


def test_panels_have_words(scan):
    found = list(plots.scan_panels(Digest(scan)))
    assert [p.section for p in found] == sorted(
        [p.section for p in found], key=["maps", "marginals", "distributions", "sensitivity"].index
    )
    v = next(p for p in found if p.section == "maps" and " v " in p.alt)
    good = np.where(scan.grid("status") == 0, scan.grid("v"), np.nan)
    assert "pooled over pump.i_max" in v.caption and "mV" in v.alt
    low = np.nanmin(np.nanmedian(good, axis=1))
    assert f"from {low:.4g}".replace("-", "−") in v.alt
    assert {p.kind for p in found if p.section == "maps"} == {"png"}
