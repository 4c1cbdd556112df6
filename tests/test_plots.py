"""Figures: every kind on full, minimal, single and failed runs; units on axes; captions that say what the data says."""

import dataclasses
import re
import subprocess
import sys
from itertools import combinations

import jax
import matplotlib
import numpy as np
import pytest
import scipy.stats

import jaxmem as jm
from jaxmem import plots
from jaxmem.plots import _data as data
from jaxmem.plots import _population, _style

CELLS, FAILED = 16, 3
MEASURED = [
    "minimum_v", "maximum_v", "mean_v", "final_v", "resting_potential", "drift", "spike_count", "firing_rate",
    "first_spike_time", "concentration_change",
]  # fmt: skip
WITHOUT_UNIT = {"", "cells", "spike count"}


def simulate(cells, **options):
    return jm.simulate(
        cells,
        60.0,
        dt=0.05,
        stimulus=jm.StepCurrent(amplitude=3.0, start=10.0, stop=50.0),
        record=jm.Record(["v", "concentrations", "reversals", "currents", "stimulus"], every=0.5),
        measures=MEASURED,
        precision="float32",  # in which one cell can overflow
        **options,
    )


@pytest.fixture(scope="module")
def full():
    """Silent and spiking cells, two varied parameters, and one cell that blows up."""
    sodium = np.random.default_rng(1).uniform(40.0, 60.0, CELLS)
    sodium[FAILED] = 1e32
    return simulate(
        jm.presets.pumped_neuron().with_parameters({"k_leak.g": np.linspace(0.03, 0.12, CELLS), "sodium.g": sodium})
    )


@pytest.fixture(scope="module")
def single(full):
    """The first cell as a run of its own gives it: without a cell axis."""
    first = lambda x: x[..., 0] if np.ndim(x) else x
    return dataclasses.replace(
        full,
        membrane=full.membrane[0],
        initial_state=jax.tree.map(first, full.initial_state),
        final_state=jax.tree.map(first, full.final_state),
        recorded={
            k: dataclasses.replace(t, values=t.values[:, 0], cells=t.cells[:1]) for k, t in full.recorded.items()
        },
        measured={k: dataclasses.replace(m, values=m.values[..., 0]) for k, m in full.measured.items()},
    )


def without(simulation, recorded=(), measured=()):
    """The same run with only these variables recorded and these measures."""
    return dataclasses.replace(
        simulation,
        recorded={k: t for k, t in simulation.recorded.items() if k in recorded},
        measured={k: m for k, m in simulation.measured.items() if k in measured},
    )


def with_measure(simulation, name, values):
    changed = dataclasses.replace(simulation.measured[name], values=np.asarray(values, float))
    return dataclasses.replace(simulation, measured=simulation.measured | {name: changed})


def texts(figure):
    """(text, box in pixels) of every text that is drawn."""
    figure.canvas.draw()
    hidden = set()
    for ax in figure.axes:
        for axis, limits in ((ax.xaxis, ax.get_xlim()), (ax.yaxis, ax.get_ylim())):
            low, high = sorted(limits)
            room = 1e-9 * (high - low)
            for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
                if not low - room <= tick.get_loc() <= high + room or not axis.get_visible():
                    hidden |= {tick.label1, tick.label2}
    found = [t for t in figure.findobj(matplotlib.text.Text) if t.get_visible() and t.get_text().strip()]
    found = [t for t in found if t not in hidden and (t.axes is None or t.axes.get_visible())]
    renderer = figure.canvas.get_renderer()
    return [(t, t.get_window_extent(renderer)) for t in found]


def assert_readable(figure):
    """Units on the axes, no text below 8 points, none outside the figure, none on top of another."""
    drawn = texts(figure)
    width, height = figure.get_size_inches() * figure.dpi
    for ax in figure.axes:
        for shown in (ax.get_xlabel(), ax.get_ylabel()):
            assert shown in WITHOUT_UNIT or re.search(r"\(.+\)$", shown) or "spike count" in shown, shown
    for text, box in drawn:
        assert text.get_fontsize() >= 8, text
        assert box.x0 >= -1 and box.y0 >= -1 and box.x1 <= width + 1 and box.y1 <= height + 1, (text, box)
    for (a, first), (b, second) in combinations(drawn, 2):
        if first.width * first.height and second.width * second.height:
            over_x = min(first.x1, second.x1) - max(first.x0, second.x0)
            over_y = min(first.y1, second.y1) - max(first.y0, second.y0)
            assert over_x < 1.5 or over_y < 2.5, (a, b)  # boxes have room for descenders that most lines lack


# ---------------------------------------------------------------------- every kind, every situation
@pytest.mark.parametrize("kind", plots.KINDS)
def test_full(full, kind):
    figure = plots.KINDS[kind](full, title="Which of these cells answer the current step, and what does it cost them?")
    assert_readable(figure)
    caption = plots.caption_of(figure)
    spikes = full.measures["spike_count"]
    assert 0 < np.sum(spikes == 0) < CELLS - 1
    assert caption.startswith(
        f"{CELLS} cells: {np.sum(spikes == 0)} silent, {np.sum(spikes > 0)} spiked, 1 failed (volt"
    )


@pytest.mark.parametrize("kind", plots.KINDS)
def test_single_cell(single, kind):
    if kind in ("map", "distributions"):
        with pytest.raises(ValueError, match=r"differs between cells|needs several cells"):
            plots.KINDS[kind](single)
        return
    figure = plots.KINDS[kind](single)
    assert_readable(figure)
    assert plots.caption_of(figure).startswith("One cell, spiked.")


@pytest.mark.parametrize("kind", plots.KINDS)
def test_only_v(full, kind):
    minimal = without(full, recorded=["v"])
    if kind in ("overview", "voltage"):
        figure = plots.KINDS[kind](minimal)
        assert_readable(figure)
        # without measures the recorded voltages say who spiked
        assert f"{np.sum(full.measures['spike_count'] > 0)} spiked, 1 failed" in plots.caption_of(figure)
    else:
        with pytest.raises(ValueError, match=r"not recorded|nothing was measured"):
            plots.KINDS[kind](minimal)


@pytest.mark.parametrize("kind", plots.KINDS)
def test_only_measures(full, kind):
    minimal = without(full, measured=["resting_potential"])
    if kind in ("overview", "map", "distributions"):
        figure = plots.KINDS[kind](minimal)
        assert_readable(figure)
        assert plots.caption_of(figure).startswith(f"{CELLS} cells: 1 failed")  # nothing tells silent from spiking
    else:
        with pytest.raises(ValueError, match=r"not recorded"):
            plots.KINDS[kind](minimal)


def test_nothing(full):
    for kind in plots.KINDS.values():
        with pytest.raises(ValueError, match=r"record|measure"):
            kind(without(full))


@pytest.mark.parametrize("kind", ["overview", "map"])
def test_all_silent(full, kind):
    well = np.arange(CELLS) != FAILED
    silent = with_measure(full, "spike_count", np.where(well, 0, np.nan))
    silent = with_measure(silent, "firing_rate", np.where(well, 0, np.nan))
    figure = plots.KINDS[kind](silent)
    assert_readable(figure)
    assert f"{CELLS - 1} silent, 0 spiked" in plots.caption_of(figure)
    if kind == "map":  # a count that is zero everywhere has no map
        assert "Resting potential" in plots.caption_of(figure)


def test_all_failed(full):
    state = dataclasses.replace(full.final_state, status=np.full(CELLS, jm.Status.NO_STEADY_STATE, np.int32))
    empty = {k: dataclasses.replace(m, values=np.full(CELLS, np.nan)) for k, m in full.measured.items()}
    lost = dataclasses.replace(without(full), final_state=state, measured=empty)
    with pytest.raises(ValueError, match=r"no cell has a value .*16 failed"):
        plots.distributions(lost)
    figure = plots.map_of(lost)
    assert "16 failed (no steady state" in plots.caption_of(figure)
    crosses = next(c for c in figure.axes[0].collections if c.get_label() == "failed")
    assert len(crosses.get_offsets()) == CELLS


def test_fixed_reversals_are_drawn():
    squid = jm.simulate(jm.presets.hodgkin_huxley_1952(), 5.0, record=jm.Record("v", every=0.5))
    figure = plots.reversals(squid)
    assert_readable(figure)
    assert "E of potassium −77" in plots.caption_of(figure) and "E of sodium 50 mV" in plots.caption_of(figure)
    with pytest.raises(ValueError, match=r"clamped"):
        plots.concentrations(squid)


# ---------------------------------------------------------------------- what the figures say
def test_overview_tells_the_numbers(full):
    caption = plots.caption_of(plots.overview(full))
    rest, spikes = (full.measures[n][np.arange(CELLS) != FAILED] for n in ("resting_potential", "spike_count"))
    low, middle, high = np.percentile(rest, [5, 50, 95])
    wanted = f"Median resting potential {middle:.4g} mV (5–95 %: {low:.4g} to {high:.4g})".replace("-", "−")
    assert wanted in caption
    assert f"Median spike count {np.median(spikes):.4g} (5–95 %:" in caption
    change = np.nanmedian(full.measures["concentration_change.na.inside"])
    assert f"Na⁺ inside {_style.number(change, 3)}" in caption
    assert re.findall(r"\((\w)\) ", caption) == list("abcdef")


def test_reversals_tell_the_numbers(full):
    caption = plots.caption_of(plots.reversals(full, cells=2))
    first = {path: full.recorded[path].values[0, 2] for path in ("v", "k.e", "na.e", "cl.e")}
    for path, shown in (("v", "v"), ("k.e", "E_K"), ("na.e", "E_Na"), ("cl.e", "E_Cl")):
        assert f"{shown} {_style.number(first[path])}" in caption
    assert "other" not in caption  # an impermeant ion has no say in v


def test_voltage_shows_the_data(full):
    silent = int(np.flatnonzero(full.measures["spike_count"] == 0)[0])
    figure = plots.voltage(full, cells=[0, silent, FAILED])
    rows = figure.axes
    lines = [max(ax.lines, key=lambda x: len(x.get_xdata())) for ax in rows[:2]]
    for line, cell in zip(lines, (0, silent), strict=True):
        np.testing.assert_array_equal(line.get_ydata(), full.traces["v"][:, cell])
    assert lines[0].get_color() != lines[1].get_color()
    assert any(line.get_marker() == "x" for line in rows[2].lines)  # the failed cell, where it was last well
    np.testing.assert_array_equal(rows[3].lines[0].get_ydata(), full.traces["stimulus"][:, 0])
    names = [ax.texts[0].get_text() for ax in rows[:3]]
    count = int(full.measures["spike_count"][0])
    assert names == [f"cell 0\n{count} spike{'s' * (count != 1)}", f"cell {silent}\nsilent", f"cell {FAILED}\nfailed"]


def test_examples_are_silent_and_spiking(full):
    chosen = data.examples(full, np.arange(CELLS), silent=2, spiked=3)
    spikes = full.measures["spike_count"][chosen]
    assert list(spikes[:2]) == [0, 0] and np.all(spikes[2:] > 0) and np.all(np.diff(spikes[2:]) >= 0)
    only = np.flatnonzero(full.measures["spike_count"] > 0)
    assert len(data.examples(full, only, silent=2, spiked=3)) == min(5, only.size)


def test_concentration_changes_start_at_zero(full):
    figure = plots.concentrations(full, cells=[0])
    absolute, change = (max(ax.lines, key=lambda x: len(x.get_xdata())).get_ydata() for ax in figure.axes[:2])
    recorded = full.traces["na.inside"][:, 0].astype(float)
    np.testing.assert_array_equal(absolute, recorded)
    np.testing.assert_array_equal(change, recorded - recorded[0])


def test_currents_are_outward_positive_and_complete(full):
    figure = plots.currents(full, cells=[0])
    sodium, potassium, chloride = figure.axes
    drawn = {line.get_label(): line.get_ydata() for line in potassium.lines if len(line.get_xdata()) > 2}
    assert set(drawn) == {"sum", "potassium", "k_leak", "pump"}
    np.testing.assert_allclose(drawn["sum"], sum(drawn[k] for k in drawn if k != "sum"), atol=1e-3)
    assert np.all(drawn["k_leak"] > 0) and np.all(drawn["pump"] < 0)
    assert sodium.get_yscale() == "symlog" and chloride.get_yscale() == "linear"


def test_map_takes_the_strongest_parameters(full):
    assert _population.axes_of_map(full, "spike_count") == list(data.by_correlation(full, full.measures["spike_count"]))
    caption = plots.caption_of(plots.map_of(full, measure="resting_potential", x="sodium.g"))
    good = np.arange(CELLS) != FAILED
    leak = full.membrane.parameters()["k_leak.g"].value
    rho = scipy.stats.spearmanr(leak[good], full.measures["resting_potential"][good]).statistic
    assert f"{_style.number(rho, 2)} with k_leak.g" in caption
    figure = plots.map_of(full, x="sodium.g")
    assert figure.axes[0].get_xlabel() == "sodium.g (mS/cm²)" and figure.axes[0].get_ylabel() == "k_leak.g (mS/cm²)"


def test_map_draws_every_cell_once(full):
    by_label = {c.get_label(): len(c.get_offsets()) for c in plots.map_of(full).axes[0].collections}
    spikes = full.measures["spike_count"]
    assert by_label.pop("silent") == np.sum(spikes == 0) and by_label.pop("failed") == 1
    assert list(by_label.values()) == [np.sum(spikes > 0)]


def test_map_of_many_cells_is_made_of_hexagons(full, monkeypatch):
    monkeypatch.setattr(_population, "DOTS", 5)
    figure = plots.map_of(full, measure="spike_count")
    hexagons = figure.axes[0].collections[0]
    assert isinstance(hexagons, matplotlib.collections.PolyCollection)
    assert np.sum(hexagons.get_array() == 0) == np.sum(full.measures["spike_count"] == 0)  # apart at this few cells
    assert_readable(figure)


def test_map_over_one_parameter_has_the_measure_as_height(full):
    one = dataclasses.replace(full, membrane=full.membrane.with_parameters({"sodium.g": 50.0}))
    figure = plots.map_of(one)
    assert figure.axes[0].get_xlabel() == "k_leak.g (mS/cm²)" and figure.axes[0].get_ylabel() == "spike count"
    assert_readable(figure)


def test_histogram_counts_every_cell(full):
    figure = plots.distributions(full, measures=["spike_count", "first_spike_time"])
    spikes = full.measures["spike_count"]
    band = matplotlib.colors.to_rgba(_style.PALE)
    bars = [p.get_height() for p in figure.axes[0].patches if p.get_facecolor() != band]
    assert sum(bars) == CELLS - 1
    silent = np.sum(spikes == 0)
    assert f"grey: {silent} silent ({100 * silent / (CELLS - 1):.3g} %)" in figure.axes[0].get_title(loc="left")
    assert f"{silent} cells have none" in figure.axes[1].get_title(loc="left")


def test_constant_measure(full):
    figure = plots.distributions(with_measure(full, "drift", np.full(CELLS, 0.25)), measures=["drift"])
    assert_readable(figure)
    assert figure.axes[0].get_xticklabels()[0].get_text() == "0.25"


# ---------------------------------------------------------------------- where the data comes from
def test_named_records_are_found(full):
    named = dataclasses.replace(full, recorded={f"detail.{k}": t for k, t in full.recorded.items()})
    assert plots.caption_of(plots.reversals(named)) == plots.caption_of(plots.reversals(full))


def test_stimulus_that_was_not_recorded_is_computed(full):
    silent = without(full, recorded=["v"])
    time, current, unit = data.stimulus_line(silent, 0)
    assert unit == "uA/cm^2"
    np.testing.assert_allclose(np.interp(full.time[:-1], time, current), full.traces["stimulus"][:-1, 0], atol=1e-5)
    varied = dataclasses.replace(silent, stimulus=jm.StepCurrent(amplitude=np.arange(float(CELLS)), start=10.0))
    assert data.stimulus_line(varied, 7)[1].max() == 7.0
    assert "stimulus.amplitude" in data.varied(varied)


@pytest.mark.parametrize("resistance", [None, 0.1])
def test_the_command_of_a_clamp_that_was_not_recorded_is_shown(full, resistance):
    levels = np.linspace(-40.0, 40.0, CELLS)
    clamp = jm.VoltageClamp.steps(-70.0, levels, 10.0, 50.0, series_resistance=resistance)
    silent = dataclasses.replace(without(full, recorded=["v"]), stimulus=clamp)
    time, command, unit = data.stimulus_line(silent, 5)
    assert unit == "mV"
    np.testing.assert_allclose(
        command, np.where((time >= 10.0 - 1e-6) & (time < 50.0 - 1e-6), levels[5], -70.0), rtol=1e-6
    )
    strip = plots.voltage(silent, cells=[5]).axes[-1]
    assert strip.get_ylabel() == "command\n(mV)" and strip.lines[0].get_ydata().max() == pytest.approx(
        levels[5], rel=1e-6
    )


def test_window(full):
    figure = plots.voltage(full, cells=[0], window=(20.0, 40.0))
    assert figure.axes[0].get_xlim() == (20.0, 40.0)
    for kind in (plots.concentrations, plots.reversals, plots.currents):
        assert_readable(kind(full, cells=[0], window=(20.0, 40.0)))
    with pytest.raises(ValueError, match=r"no samples between 100 and 200 ms; recorded is 0 to 60 ms"):
        plots.voltage(full, window=(100.0, 200.0))


def test_wrong_requests_say_what_is_there(full):
    with pytest.raises(ValueError, match=r"cell 99 has no such record; recorded are 0, 1, 2"):
        plots.voltage(full, cells=[0, 99])
    with pytest.raises(ValueError, match=r"1 to 3 cells; found 4"):
        plots.reversals(full, cells=[0, 1, 2, 4])
    with pytest.raises(jm.PathError, match=r"varied parameter 'sodium.gg'; did you mean 'sodium.g'"):
        plots.map_of(full, x="sodium.gg")
    with pytest.raises(jm.PathError, match=r"did you mean 'spike_count'"):
        plots.distributions(full, measures=["spike_counts"])
    alike = full.membrane.with_parameters({"sodium.g": 50.0, "k_leak.g": np.ones(CELLS)})
    with pytest.raises(ValueError, match=r"differs between cells"):
        plots.map_of(dataclasses.replace(full, membrane=alike))


def test_rank_correlation_is_spearmans():
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 9, 200).astype(float), rng.normal(size=200)
    y[5], x[7] = np.nan, np.nan
    good = np.isfinite(x) & np.isfinite(y)
    assert data.rank_correlation(x, y) == pytest.approx(scipy.stats.spearmanr(x[good], y[good]).statistic, abs=1e-12)
    assert data.rank_correlation(np.ones(5), np.arange(5.0)) == 0


# ---------------------------------------------------------------------- style
def test_importing_plots_does_not_import_matplotlib():
    code = "import sys, jaxmem.plots; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_global_state_is_left_alone(full, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # an import of it would fail
    monkeypatch.setitem(matplotlib.rcParams, "font.size", 3.0)
    settings = lambda: {k: matplotlib.rcParams[k] for k in matplotlib.rcParams if k != "backend"}
    before = settings()
    assert_readable(plots.voltage(full))
    assert settings() == before


def test_descriptions():
    assert set(plots.DESCRIPTIONS) == set(plots.KINDS)
    assert all(20 < len(text) < 120 and text.endswith(".") for text in plots.DESCRIPTIONS.values())


@pytest.mark.parametrize(
    ("x", "text"), [(0.0, "0"), (-70.0, "−70"), (-80.4849, "−80.48"), (1.2e-7, "1.2×10⁻⁷"), (3.14e12, "3.14×10¹²")]
)
def test_numbers(x, text):
    assert _style.number(x) == text


def test_names():
    assert _style.symbol("na", 1) == "Na⁺" and _style.symbol("ca", 2) == "Ca²⁺" and _style.symbol("cl", -1) == "Cl⁻"
    assert _style.symbol("atp", 0) == "ATP" and _style.symbol("my_ion", 1) == "my_ion"
    assert _style.label("v", "uA/cm^2") == "v (µA/cm²)" and _style.label("spike count", "1") == "spike count"
    colours = [_style.ion_colour(n, ["na", "k", "x", "y"]) for n in ("na", "k", "x", "y")]
    assert len(set(colours)) == 4


@pytest.mark.parametrize(("ms", "label"), [(500.0, "time (ms)"), (60e3, "time (s)"), (3600e3, "time (min)")])
def test_time_axis(ms, label):
    factor, shown = _style.time_axis(ms)
    assert shown == label and 50 <= ms * factor <= 10e3


def test_long_lines_keep_their_extremes():
    time, values = np.arange(100_001.0), np.random.default_rng(0).normal(size=100_001)
    values[[31_234, 77_777]] = 50.0, -50.0
    values[10:4000] = np.nan
    at, y = _style.thinned(time, values)
    assert at.size <= 12_100 and np.all(np.diff(at) >= 0)
    assert np.nanmax(y) == 50.0 and np.nanmin(y) == -50.0 and np.isnan(y[5])
    np.testing.assert_array_equal(values[at.astype(int)], y)


def test_a_figure_is_written_whole_or_not_at_all(full, tmp_path):
    figure, target = plots.map_of(full), tmp_path / "map.nonsense"
    with pytest.raises(ValueError, match=r"nonsense"):
        plots.save(figure, target)
    assert list(tmp_path.iterdir()) == []
    plots.save(figure, tmp_path / "map.png", dpi=60)
    plots.save(figure, tmp_path / "map.svg")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["map.png", "map.svg"]
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / "map.svg").read_text()[:600]
