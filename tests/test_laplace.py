"""The Laplace posterior: a linear-normal problem in closed form, integrals over a grid, a long Metropolis chain."""

import numpy as np
import pytest

import jaxmem as jm

DRAWS = 10_000


def posterior(
    jacobian: np.ndarray, free: dict[str, jm.Free], center: np.ndarray, slope: np.ndarray | None = None
) -> jm.Laplace:
    rows = tuple(f"row {i}" for i in range(len(jacobian)))
    return jm.Laplace(
        jm.Identifiability(jacobian, free, rows), center, np.zeros_like(center) if slope is None else slope
    )


def grid(free: dict[str, jm.Free], density, points: int = 401) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of a density over a box of two coordinates, by the midpoint rule."""
    middle = lambda f: (
        (np.arange(points) + 0.5) / points * (f.coordinate(f.high) - f.coordinate(f.low)) + f.coordinate(f.low)
    )
    x = np.stack(np.meshgrid(*map(middle, free.values()), indexing="ij"))
    p = density(x)
    p = p / p.sum()
    mean = (p * x).sum((1, 2))
    away = x - mean[:, None, None]
    return mean, np.einsum("aij,bij,ij->ab", away, away, p)


def moments(draws: dict[str, np.ndarray], free: dict[str, jm.Free]) -> tuple[np.ndarray, np.ndarray]:
    x = np.stack([free[path].coordinate(d) for path, d in draws.items()])
    return x.mean(-1), np.cov(x)


def test_a_linear_normal_problem_in_closed_form() -> None:
    """Wide bounds: N(x, (J'J)^-1), of each cell its own; logarithmic parameters are drawn in the logarithm."""
    rng = np.random.default_rng(0)
    jacobian = rng.normal(size=(4, 3, 2)) * 5
    free = {"a": jm.Free(1e-9, 1e9), "b": jm.Free(1e-9, 1e9), "leak.e": jm.Free(-1e3, 1e3)}
    center = np.array([[0.3, -1.0], [2.0, 0.0], [-60.0, -70.0]])
    found = posterior(jacobian, free, center)
    draws = found.sample(DRAWS, seed=1)
    assert draws["a"].shape == (DRAWS, 2) and found.words == []
    for c in range(2):
        mean, covariance = moments({p: x[:, c] for p, x in draws.items()}, free)
        expected = np.linalg.inv(jacobian[..., c].T @ jacobian[..., c])
        np.testing.assert_allclose(found.covariance[..., c], expected, rtol=1e-9)
        error = np.sqrt(np.diag(expected) / DRAWS)
        np.testing.assert_allclose((mean - center[:, c]) / error, 0, atol=4)
        scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
        np.testing.assert_allclose(covariance / scale, expected / scale, atol=0.05)
    assert [found.mean[p].tolist() for p in free] == center.tolist()
    again = found.sample(DRAWS, seed=1)
    assert all(np.array_equal(draws[p], again[p]) for p in free)
    assert not np.array_equal(found.sample(5, seed=2)["a"], found.sample(5, seed=3)["a"])


BOX = {"a": jm.Free(-0.5, 0.7), "b": jm.Free(np.exp(-1.0), np.exp(1.0))}


@pytest.mark.parametrize("pull", [0.0, 6.0, 400.0])
def test_bounds_cut_the_density(pull: float) -> None:
    """Half of the mass beyond the bounds; or a fit that stands at one and presses against it (then nearly all is)."""
    jacobian = np.array([[1.2, 0.4], [-0.3, 0.9]])
    center = np.array([-0.5 if pull else 0.0, 0.0])
    slope = np.array([pull, 0.0])
    found = posterior(jacobian, BOX, center, slope)

    def density(x: np.ndarray) -> np.ndarray:
        away = x - center[:, None, None]
        linear = np.einsum("i,ijk->jk", slope, away)
        return np.exp(-0.5 * (np.einsum("ri,ijk->rjk", jacobian, away) ** 2).sum(0) - linear)

    draws = found.sample(DRAWS, seed=4)
    for path, f in BOX.items():
        assert draws[path].min() >= f.low * (1 - 1e-12 * np.sign(f.low)) and draws[path].max() <= f.high * (1 + 1e-12)
    mean, covariance = moments(draws, BOX)
    box = BOX | {"a": jm.Free(-0.5, -0.45)} if pull > 100 else BOX  # where all of it is
    expected, spread = grid(box, density)
    scale = np.sqrt(np.diag(spread))
    np.testing.assert_allclose((mean - expected) / scale, 0, atol=0.04)
    np.testing.assert_allclose(covariance / np.outer(scale, scale), spread / np.outer(scale, scale), atol=0.05)


def test_what_nothing_fixes_is_uniform_between_the_bounds() -> None:
    """v alone: the ratio is normal, the product free; what is drawn is the density over the box, by integrals."""
    jacobian = np.array([[6.0, -6.0]])
    free = {"k_leak.g": jm.Free(1e-3, 1.0), "na_leak.g": jm.Free(1e-3, 0.1)}
    center = np.log([0.05, 0.01])
    found = posterior(jacobian, free, center)
    assert np.isinf(np.diag(found.covariance)).all()
    assert "k_leak.g and na_leak.g are not fixed by targets or priors: only bounds limit them" in found.words[0]
    density = lambda x: np.exp(-18.0 * (x[0] - x[1] - (center[0] - center[1])) ** 2)
    mean, covariance = moments(found.sample(DRAWS, seed=2), free)
    expected, spread = grid(free, density)
    scale = np.sqrt(np.diag(spread))
    np.testing.assert_allclose((mean - expected) / scale, 0, atol=0.04)
    np.testing.assert_allclose(covariance / np.outer(scale, scale), spread / np.outer(scale, scale), atol=0.05)
    idle = posterior(
        np.array([[5.0, 0.0]]), {"a": jm.Free(0.1, 10.0), "b": jm.Free(-40.0, 60.0)}, np.array([0.0, -39.0])
    )
    b = np.sort(idle.sample(DRAWS, seed=3)["b"])
    np.testing.assert_allclose(
        b, np.linspace(-40.0, 60.0, DRAWS), atol=100 * 1.95 / DRAWS**0.5
    )  # Kolmogorov-Smirnov, 0.1 %


def test_a_cell_without_derivatives_has_no_draws() -> None:
    jacobian = np.stack([np.eye(2), np.full((2, 2), np.nan)], -1)
    draws = posterior(jacobian, BOX, np.zeros((2, 2))).sample(50)
    assert np.isfinite(draws["a"][:, 0]).all() and np.isnan(draws["b"][:, 1]).all()


def test_the_posterior_of_two_conductances_is_that_of_a_long_chain() -> None:
    """Chord potential and resistance of two leaks, a prior on one: Metropolis over the targets themselves, not linearised."""
    e = np.array([-90.0, 60.0])
    sd, spread, middle = np.array([1.5, 20.0]), 0.5, np.log(0.05)
    truth = np.log([0.05, 0.01])

    def measured(x: np.ndarray) -> np.ndarray:
        g = np.exp(x)
        return np.stack([g @ e / g.sum(-1), 15.0 / g.sum(-1)], -1)

    goal = measured(truth)
    cost = lambda x: (((measured(x) - goal) / sd) ** 2).sum(-1) + ((x[..., 0] - middle) / spread) ** 2
    rng = np.random.default_rng(1)
    x, kept = np.tile(truth, (400, 1)), []
    for i in range(1500):
        trial = x + rng.standard_normal(x.shape) * 0.12
        moved = np.log(rng.random(400)) < 0.5 * (cost(x) - cost(trial))
        x = np.where(moved[:, None], trial, x)
        if i >= 200 and i % 10 == 0:
            kept.append(x)
    chain = np.concatenate(kept)
    g = np.exp(truth)
    v = float(goal[0])
    jacobian = np.concatenate(
        [np.stack([g * (e - v) / g.sum(), -15.0 * g / g.sum() ** 2]) / sd[:, None], [[1 / spread, 0.0]]]
    )
    found = jm.Laplace(
        jm.Identifiability(jacobian, {"k": jm.Free(1e-4, 1.0), "na": jm.Free(1e-4, 1.0)}, ("v", "r")),
        truth,
        np.zeros(2),
    )
    mean, covariance = moments(found.sample(DRAWS), found.found.free)
    np.testing.assert_allclose(mean, chain.mean(0), atol=0.15 * chain.std(0).max())
    np.testing.assert_allclose(covariance, np.cov(chain.T), rtol=0.15)


@pytest.mark.slow
def test_of_a_fit() -> None:
    """The posterior of fitted leaks: its center and covariance are the fit's, the prior is counted, and v of the draws is as
    uncertain as its target."""
    ion = lambda inside, outside: jm.Species(inside=inside, outside=outside)
    species = {"na": ion(10.0, 145.0), "k": ion(140.0, 5.0)}
    cell = jm.Membrane(
        {f"{k}_leak": jm.Leak(g=0.05 if k == "k" else 0.01, ion=k) for k in species}, species, celsius=37.0
    )
    free = {"k_leak.g": jm.Free(1e-4, 1.0, prior=(0.05, 0.3)), "na_leak.g": (1e-4, 1.0)}
    found = jm.fit(cell, free=free, targets={"resting_potential": jm.Target(np.array([-75.0, -65.0]), 1.0)})
    after = jm.laplace(found)
    np.testing.assert_allclose(np.exp(after.mean["na_leak.g"]), found.parameters["na_leak.g"], rtol=1e-12)
    np.testing.assert_allclose(np.sqrt(after.covariance[0, 0]), 0.3, rtol=1e-6)
    draws = after.sample(4000)
    e = {k: float(jm.electrochemistry.nernst(species[k].inside, species[k].outside, 1, 37.0)) for k in species}
    g = {k: draws[f"{k}_leak.g"] for k in species}
    v = sum(g[k] * e[k] for k in species) / sum(g.values())
    np.testing.assert_allclose(v.std(0), 1.0, rtol=0.05)
    np.testing.assert_allclose(v.mean(0), [-75.0, -65.0], atol=0.1)
