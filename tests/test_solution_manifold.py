"""All that fits as well: steps on surfaces known in closed form, and the manifolds of leaks with one resting potential."""

import numpy as np
import pytest

import jaxmem as jm
from jaxmem.analysis.fitting.surface import At, Surface, moves, walk

E = np.array([-90.0, 60.0, -70.0])  # mV


def chord(v: float, reach: float = np.inf):
    """Logarithms of conductances whose chord potential is v; nothing is found where the first is above ``reach``."""

    def function(z: np.ndarray, guess: None, some: object) -> At:
        g = np.exp(z)
        e = E[: z.shape[-1]]
        total = g.sum(-1)
        here = g @ e / total
        slopes = g * (e - here[:, None]) / total[:, None]
        return At((here - v)[:, None], slopes[:, None], z[:, 0] <= reach, None)

    return function


def sphere(z: np.ndarray, guess: None, some: object) -> At:
    return At((z**2).sum(-1, keepdims=True) - 1.0, 2 * z[:, None], np.ones(len(z), bool), None)


def box(low: float, high: float, lanes: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    return np.full((lanes, n), low), np.full((lanes, n), high)


BOTH_WAYS = np.array([-1.0, 1.0])
TOLERANCE = np.full((2, 1), 1e-10)


def ends(points: np.ndarray) -> list[np.ndarray]:
    return [points[~np.isnan(points[:, i, 0]), i][-1] for i in range(points.shape[1])]


def test_a_line_is_walked_to_the_bounds() -> None:
    """Two leaks: g_k : g_na is fixed, so the line is straight and ends where the first of the two is at its bound."""
    ratio = (60.0 + 65.0) / (-65.0 + 90.0)
    start = np.log([[0.05, 0.05 / ratio]] * 2)
    surface = Surface(chord(-65.0), 1, *box(np.log(1e-3), 0.0, 2, 2), TOLERANCE)
    path = walk(surface, start, None, BOTH_WAYS, 0.1, 1000)
    assert path.ended.tolist() == ["bound", "bound"]
    low, high = np.exp(ends(path.points))
    np.testing.assert_allclose([low, high], [[1e-3 * ratio, 1e-3], [1.0, 1 / ratio]], rtol=1e-6)
    inside = path.points[~np.isnan(path.points[..., 0])]
    np.testing.assert_allclose(inside[:, 0] - inside[:, 1], np.log(ratio), rtol=1e-9)
    assert np.nanmax(np.linalg.norm(np.diff(path.points, axis=0), axis=-1)) <= 0.1 * (1 + 1e-9)


def test_a_line_that_bends_closes_or_is_lost() -> None:
    """A curved line stays on its surface; a circle closes after 2 pi; where nothing is found further on, the line ends."""
    fixed = np.log([[0.05, 0.012, 0.02]] * 2)
    both = _with_resistance
    goal = both(fixed).values[:1]
    part = lambda z, guess, some: (at := both(z))._replace(values=at.values - goal)
    surface = Surface(part, 2, *box(-9.0, 0.0, 2, 3), TOLERANCE)
    path = walk(surface, fixed, None, BOTH_WAYS, 0.05, 2000)
    assert path.ended.tolist() == ["bound", "bound"]
    inside = path.points[~np.isnan(path.points[..., 0])]
    assert np.abs(both(inside).values - goal).max() < 1e-9
    assert any(np.isclose(end, -9.0, atol=1e-5).any() for end in ends(path.points))

    circle = Surface(sphere, 1, *box(-2.0, 2.0, 2, 2), TOLERANCE)
    path = walk(circle, np.array([[0.6, 0.8]] * 2), None, BOTH_WAYS, 0.05, 2000)
    assert path.ended.tolist() == ["closed", "closed"]
    length = np.linalg.norm(np.diff(path.points[:, 0], axis=0), axis=-1)
    assert np.nansum(length) == pytest.approx(2 * np.pi, abs=0.06)

    lost = Surface(chord(-65.0, reach=np.log(0.2)), 1, *box(np.log(1e-3), 0.0, 2, 2), TOLERANCE)
    path = walk(lost, np.log([[0.05, 0.01]] * 2), None, BOTH_WAYS, 0.1, 1000)
    assert path.ended.tolist() == ["bound", "lost"]
    assert np.exp(ends(path.points)[1][0]) == pytest.approx(0.2, rel=1e-5)


def _with_resistance(z: np.ndarray) -> At:
    at, g = chord(0.0)(z, None, None), np.exp(z)
    total = g.sum(-1)
    values = np.concatenate([at.values, np.log(total)[:, None]], -1)
    return At(values, np.concatenate([at.slopes, (g / total[:, None])[:, None]], 1), at.found, None)


def test_a_surface_is_sampled_evenly_in_area() -> None:
    """The part of a sphere above a floor in every coordinate, against points drawn there directly."""
    walkers, floor = 300, -0.5
    surface = Surface(sphere, 1, *box(floor, 2.0, walkers, 3), np.full((walkers, 1), 1e-10))
    start = np.tile([1.0, 0.0, 0.0], (walkers, 1))
    here = surface.frame(start, sphere(start, None, None))
    done = moves(surface, here, np.random.default_rng(0), np.array([0.4]), 1, 60, 12, 4)
    x = done.kept.reshape(-1, 3)
    assert np.abs((x**2).sum(-1) - 1).max() < 1e-9 and x.min() >= floor
    assert 0.25 < done.accepted[0] < 0.6
    direct = np.random.default_rng(1).standard_normal((400_000, 3))
    direct /= np.linalg.norm(direct, axis=-1, keepdims=True)
    direct = direct[(direct > floor).all(-1)]
    for power in (1, 2, 3):  # of each coordinate; 3600 samples, correlated
        np.testing.assert_allclose((x**power).mean(0), (direct**power).mean(0), atol=0.04)
    np.testing.assert_allclose(np.cov(x.T), np.cov(direct.T), atol=0.04)


# ------------------------------------------------------------------ of fits
def membrane(*names: str) -> jm.Membrane:
    """Leaks between clamped ions, and nothing else that carries current."""
    ion = lambda inside, outside, valence=1: jm.Species(inside=inside, outside=outside, valence=valence)
    species = {"na": ion(10.0, 145.0), "k": ion(140.0, 5.0), "cl": ion(8.0, 110.0, -1)}
    g = {"k": 0.05, "na": 0.01, "cl": 0.02}
    return jm.Membrane({f"{k}_leak": jm.Leak(g=g[k], ion=k) for k in names}, species, celsius=37.0)


def largest_miss(membrane: jm.Membrane, found: jm.Manifold, v: np.ndarray) -> float:
    rest = jm.resting_state(membrane.with_parameters({path: x.reshape(-1) for path, x in found.parameters.items()}))
    return float(np.abs(rest.v.reshape(-1, *v.shape) - v).max())


def test_the_line_of_two_leaks_with_one_resting_potential() -> None:
    """Each cell: the exact ratio, even along the whole line; and every point rests where the cell does, to 1e-9 mV."""
    v = np.array([-80.0, -65.0, -40.0])
    cell, bounds = membrane("k", "na"), (1e-3, 1.0)
    fit = jm.fit(cell, free={"k_leak.g": bounds, "na_leak.g": bounds}, targets={"resting_potential": v})
    found = jm.solution_manifold(fit, samples=400, seed=1)
    assert found.dimension.tolist() == [1, 1, 1] and found.parameters["k_leak.g"].shape == (400, 3)
    assert found.residual.max() < 1e-9
    e = {
        k: float(jm.electrochemistry.nernst(cell.species[k].inside, cell.species[k].outside, 1, 37.0))
        for k in ("k", "na")
    }
    ratio = (e["na"] - v) / (v - e["k"])
    np.testing.assert_allclose(
        found.parameters["k_leak.g"] / found.parameters["na_leak.g"], np.tile(ratio, (400, 1)), rtol=1e-10
    )
    for c in range(3):  # ln g_k is uniform between where either leak meets a bound; Kolmogorov and Smirnov, 0.1 %
        low, high = np.log(max(1e-3, 1e-3 * ratio[c])), np.log(min(1.0, ratio[c]))
        x = np.sort((np.log(found.parameters["k_leak.g"][:, c]) - low) / (high - low))
        assert np.abs(x - (np.arange(400) + 0.5) / 400).max() < 1.95 / 400**0.5
    assert largest_miss(cell, found, v) < 1e-9
    assert found.words[0].startswith("The solutions form a line: k_leak.g from ")

    line = jm.solution_line(fit)
    assert (line.ended == "bound").all()
    for path, factor in (("k_leak.g", ratio), ("na_leak.g", np.ones(3))):
        np.testing.assert_allclose(
            np.nanmax(line.parameters[path], 0), np.minimum(ratio, 1.0) * factor / ratio, rtol=1e-6
        )
    again = jm.solution_manifold(fit, samples=400, seed=1)
    assert np.array_equal(again.parameters["na_leak.g"], found.parameters["na_leak.g"])
    with pytest.raises(ValueError, match="at least 1"):
        jm.solution_manifold(fit, samples=0)


@pytest.mark.slow
def test_the_surface_of_three_leaks_with_one_resting_potential() -> None:
    """Three leaks: a surface. Its points are those of the surface over the box, by area, to a few percent; with
    the resistance as well there is a line, on which the sum of the conductances stays."""
    v = np.array([-75.0, -60.0])
    cell, bounds = membrane("k", "na", "cl"), (1e-2, 1.0)
    free = dict.fromkeys(("k_leak.g", "na_leak.g", "cl_leak.g"), bounds)
    fit = jm.fit(cell, free=free, targets={"resting_potential": v})
    found = jm.solution_manifold(fit, samples=1500, seed=2)
    assert found.dimension.tolist() == [2, 2] and largest_miss(cell, found, v) < 1e-8
    assert ((found.accepted > 0.2) & (found.accepted < 0.7)).all()

    e = {k: float(jm.electrochemistry.nernst(s.inside, s.outside, s.valence, 37.0)) for k, s in cell.species.items()}
    x = np.linspace(np.log(1e-2), 0.0, 1501)
    k, cl = np.meshgrid((x[1:] + x[:-1]) / 2, (x[1:] + x[:-1]) / 2, indexing="ij")
    for c in range(2):
        pull = {p: e[p] - v[c] for p in e}
        g_na = -(np.exp(k) * pull["k"] + np.exp(cl) * pull["cl"]) / pull["na"]
        with np.errstate(invalid="ignore"):
            na = np.log(g_na)
            inside = (na > np.log(1e-2)) & (na < 0)
        steep = [-np.exp(y) * pull[p] / pull["na"] / g_na for y, p in ((k, "k"), (cl, "cl"))]
        area = np.where(inside, np.sqrt(1 + steep[0] ** 2 + steep[1] ** 2), 0.0)
        for y, path in ((k, "k_leak.g"), (cl, "cl_leak.g"), (np.where(inside, na, 0.0), "na_leak.g")):
            mean = (area * y).sum() / area.sum()
            spread = np.sqrt((area * (y - mean) ** 2).sum() / area.sum())
            drawn = np.log(found.parameters[path][:, c])
            assert drawn.mean() == pytest.approx(mean, abs=0.15 * spread)
            assert drawn.std() == pytest.approx(spread, rel=0.1)

    r = float(jm.input_resistance(cell, jm.resting_state(cell))) / 4
    aims = {"resting_potential": np.array([-75.0, -60.0]), "input_resistance": jm.Target(r, 1.0)}
    with_r = jm.fit(cell, free=free, targets=aims)
    line = jm.solution_manifold(with_r, samples=50)
    assert line.dimension.tolist() == [1, 1] and line.residual.max() < 1e-9
    total = sum(line.parameters.values())  # the conductance of the membrane
    np.testing.assert_allclose(total, np.tile(total[0], (50, 1)), rtol=1e-9)


@pytest.mark.slow
def test_the_manifold_of_a_cell_with_living_ions() -> None:
    """Pump, leaks and all ions dynamic: one target, two leaks; every point is a full steady state at this voltage."""
    cell = jm.presets.pump_leak()
    fit = jm.fit(cell, free={"na_leak.g": (1e-3, 0.1), "k_leak.g": (5e-3, 0.5)}, targets={"resting_potential": -72.0})
    found = jm.solution_manifold(fit, samples=20)
    assert found.dimension == 1 and found.parameters["k_leak.g"].shape == (20,)
    assert largest_miss(cell, found, np.array(-72.0)) < 1e-7
    assert np.ptp(np.log(found.parameters["na_leak.g"])) > 1.0
