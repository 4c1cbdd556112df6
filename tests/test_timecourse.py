"""Time courses against definitions of our own, integrated numerically; exact after hours; differentiable."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad

import jaxmem as jm
from jaxmem.rig.timecourse import MOST_KNOTS, edge

DT = 0.025
TIMES = [3.0, 3.7125, 4.01, 9.3]
VALUES = [8.0, 0.1, 5.0, 2.5]
COURSES = {
    "step": {},
    "linear": {"interpolation": "linear"},
    "exchanged": {"tau": 0.9},
    "exchanged slowly": {"tau": 400.0},
}


def course(kind: str, times: Any = TIMES, values: Any = VALUES) -> jm.TimeCourse:
    return jm.TimeCourse(times, values, **COURSES[kind])


def defined(kind: str, t: float, before: float, times: Any = TIMES, values: Any = VALUES) -> float:
    """The value at t by the definition alone; of an exchange by its solution from edge to edge."""
    if t < times[0]:
        return before
    if kind == "step":
        return values[np.searchsorted(times, t, "right") - 1]
    if kind == "linear":
        return float(np.interp(t, times, values))
    y, tau = before, COURSES[kind]["tau"]
    for start, end, target in zip(times, [*times[1:], np.inf], values, strict=True):
        if t >= start:
            y = target + (y - target) * np.exp(-(min(t, end) - start) / tau)
    return float(y)


@pytest.mark.parametrize("kind", COURSES)
def test_means_and_levels_are_those_of_the_definition(kind: str) -> None:
    grid, before = course(kind).on_grid(DT), 3.5
    windows = np.array(
        [(0, 20), (100, 20), (110, 20), (119, 1), (120, 20), (140, 40), (0, 400), (360, 20), (372, 1), (380, 20)]
    )
    expected = []
    for a, b in DT * np.cumsum(windows, axis=1):
        inside = [t for t in TIMES if a < t < b]
        whole = quad(lambda t: defined(kind, t, before), a, b, points=inside or None, limit=200, epsabs=1e-12)
        expected.append(whole[0] / (b - a))
    for precision, allowed in (("float64", 1e-10), ("float32", 3e-6)):
        found = grid.mean(before, jnp.asarray(windows[:, 0]), jnp.asarray(windows[:, 1]), precision)
        np.testing.assert_allclose(found, expected, rtol=allowed)
    steps = np.array([0, 100, 119, 120, 121, 148, 149, 161, 371, 373, 1000])
    levels = [defined(kind, t + 1e-12, before) for t in steps * DT]
    np.testing.assert_allclose(grid.level(before, jnp.asarray(steps), jnp.float64), levels, rtol=1e-9)
    np.testing.assert_allclose(course(kind).at(before, jnp.asarray(steps * DT)), levels, rtol=1e-9)


def test_just_before_an_edge_and_at_it() -> None:
    grid = jm.TimeCourse([1.0], [8.0]).on_grid(DT)
    at = lambda after: float(grid.level(3.5, jnp.int32(40), jnp.float64, after=after))
    assert at(True) == 8.0 and at(False) == 3.5


def test_each_cell_may_have_times_and_values_of_its_own() -> None:
    times = [np.array([1.0, 2.0, 3.0]), np.array([4.0, 4.5, 8.0])]
    values = [np.array([8.0, 7.0, 6.0]), 2.5]
    for kind in COURSES:
        grid = course(kind, times, values).on_grid(DT)
        first = jnp.array([[30], [70], [160], [330]])
        found = grid.mean(np.array([3.5, 4.5, 5.5]), first, 20, jnp.float64)
        for i, before in enumerate((3.5, 4.5, 5.5)):
            mine = course(kind, [t[i] for t in times], [values[0][i], values[1]]).on_grid(DT)
            np.testing.assert_allclose(found[:, i], mine.mean(before, first[:, 0], 20, jnp.float64), rtol=1e-14)


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("kind", COURSES)
def test_a_value_that_holds_is_that_value(kind: str, precision: str) -> None:
    """To the last bit: before the first time, and where the last has been reached for long."""
    values = [0.1, 1 / 3, 3.7]
    grid = course(kind, [1.0, 2.0, 3.0], values).on_grid(DT)
    asked = lambda first: grid.mean(np.dtype(precision).type(0.7), jnp.int32(first), 20, precision)
    assert asked(0) == np.dtype(precision).type(0.7)
    if kind != "exchanged slowly":
        assert asked(10_000).dtype == precision and asked(10_000) == np.dtype(precision).type(3.7)
    if kind == "step":
        assert asked(40) == np.dtype(precision).type(0.1) and asked(80) == np.dtype(precision).type(1 / 3)


@pytest.mark.parametrize("kind", COURSES)
def test_single_precision_after_ten_hours(kind: str) -> None:
    hours, dt = 10 * 3.6e6, 0.05
    times = [hours + t for t in TIMES]
    late, early = course(kind, times).on_grid(dt), course(kind).on_grid(dt)
    start = round(hours / dt)
    first, steps = np.array([(50, 10), (60, 10), (74, 1), (80, 10), (180, 10), (0, 300)], np.int32).T
    asked = lambda grid, first, precision: (
        grid.mean(np.dtype(precision).type(3.5), jnp.asarray(first), jnp.asarray(steps), precision),
        grid.level(np.dtype(precision).type(3.5), jnp.asarray(first), precision),
    )
    for here, there in zip(
        asked(late, np.int32(start) + first, "float32"), asked(early, first, "float64"), strict=True
    ):
        assert here.dtype == np.float32
        np.testing.assert_allclose(here, there, rtol=1e-6)


def test_a_line_that_ends_beyond_the_last_step_has_its_slope() -> None:
    far = 1e9  # ms; steps are counted to 2^30, which is 7.5 hours at 0.025 ms
    grid = jm.TimeCourse([0.0, far], [0.0, 1e9], "linear").on_grid(DT)
    np.testing.assert_allclose(grid.level(0.0, jnp.int32(4_000_000), jnp.float64), 100_000.0, rtol=1e-12)
    assert edge(np.inf, DT)[0] == 2**30


@pytest.mark.parametrize("kind", COURSES)
def test_gradients_by_time_value_and_tau(kind: str) -> None:
    """Also of an edge that stands on the grid, where its fraction of a step is 0."""
    how = COURSES[kind]

    def total(x: Any) -> Any:
        tau = {"tau": x[4]} if "tau" in how else how
        grid = jm.TimeCourse([x[0], x[1]], [x[2], x[3]], **tau).on_grid(DT)
        means = grid.mean(3.5, jnp.arange(0, 400, 20), 20, jnp.float64)
        return jnp.sum(jnp.arange(1.0, 21.0) * means**2)

    total = jax.jit(total)
    for at in ([3.0125, 4.6], [3.1, 4.6]):
        x = jnp.array([*at, 8.0, 2.0, how.get("tau", 1.0)])
        found = jax.grad(total)(x)
        for i in range(5 if "tau" in how else 4):
            h = 1e-5
            by_difference = (total(x.at[i].add(h)) - total(x.at[i].add(-h))) / (2 * h)
            np.testing.assert_allclose(found[i], by_difference, rtol=2e-6, atol=1e-6)


def test_what_is_no_course_is_refused() -> None:
    for arguments, told in [
        (([1.0], [1.0, 2.0]), "1 times, 2 values"),
        (([], []), "one at least"),
        (([2.0, 1.0], [1.0, 2.0]), "must increase; found 2 ms and after it 1 ms"),
        (([np.array([1.0, 5.0]), 3.0], [1.0, 2.0]), "must increase"),
        (([1.0], [np.inf]), "finite"),
        ((range(MOST_KNOTS + 1), range(MOST_KNOTS + 1)), "Waveform"),
        (([1.0], [1.0], "cubic"), "'cubic'"),
        (([1.0], [1.0], "linear", 3.0), "does not go with linear"),
    ]:
        with pytest.raises(ValueError, match=told):
            jm.TimeCourse(*arguments)
