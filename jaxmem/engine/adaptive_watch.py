"""What is seen of the steps of the adaptive integrator: spikes at their times, extremes, and what windows of time hold."""

import equinox as eqx
import jax
import jax.numpy as jnp

Time = tuple[jax.Array, jax.Array]  # ms, and what rounding left out


def between(a: Time, b: Time) -> jax.Array:
    """From a to b, ms."""
    return (b[0] - a[0]) + (b[1] - a[1])


def later(a: Time, h: jax.Array) -> Time:
    return add(a[0], a[1], h)


def add(x: jax.Array, low: jax.Array, change: jax.Array) -> tuple[jax.Array, jax.Array]:
    """A sum and what rounding leaves out of it."""
    change = change + low
    total = x + change
    return total, change - (total - x)


class Curve(eqx.Module):
    """A step from ``time`` on, ``h`` ms long: the cubic through its ends with the slopes there; arrays (cells, unknowns).

    The first unknown is the voltage. ``k0`` and ``k1`` are slopes times h.
    """

    time: Time
    h: jax.Array
    start: jax.Array
    change: jax.Array
    k0: jax.Array
    k1: jax.Array

    def place(self, time: Time) -> jax.Array:
        """Where in the step a time is, 0 to 1."""
        return jnp.clip(between(self.time, time) / self.h, 0, 1)

    def at(self, place: jax.Array) -> jax.Array:
        a, b, c = cubic(self.change, self.k0, self.k1)
        x = place[:, None]
        return self.start + x * (c + x * (b + x * a))

    @property
    def voltage(self) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
        """v as a polynomial of the place: coefficients from the third power down."""
        return (*cubic(self.change[:, 0], self.k0[:, 0], self.k1[:, 0]), self.start[:, 0])


def cubic(change: jax.Array, k0: jax.Array, k1: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    return k0 + k1 - 2 * change, 3 * change - 2 * k0 - k1, k0


def upward(curve: Curve, spiked: jax.Array) -> jax.Array:
    """Where v crosses 0 mV in the step, by bisection; 1 where there is no spike."""
    a, b, c, d = curve.voltage

    def halve(_: int, ends: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        low, high = ends
        x = 0.5 * (low + high)
        below = d + x * (c + x * (b + x * a)) < 0
        return jnp.where(below, x, low), jnp.where(below, high, x)

    zero = jnp.zeros_like(d)
    _, high = jax.lax.fori_loop(0, 52, halve, (zero, zero + 1))
    return jnp.where(spiked, high, 1.0).astype(d.dtype)


class Windows(eqx.Module):
    """Stretches of time to look at, each from ``first`` to ``last``: arrays (windows,)."""

    first: Time
    last: Time


class Watch(eqx.Module):
    """``spikes`` so far and their ``times`` (cells, room), ``lowest`` and ``highest`` v; per window (cells, windows):
    ``integral`` of v - ``reference`` (mV ms), v at its ``beginning`` and ``end``, spikes ``within``.
    """

    spikes: jax.Array
    times: Time
    lowest: jax.Array
    highest: jax.Array
    reference: jax.Array
    integral: tuple[jax.Array, jax.Array]
    beginning: jax.Array
    end: jax.Array
    within: jax.Array

    @classmethod
    def of(cls, v: jax.Array, windows: int, room: int) -> "Watch":
        times, each = jnp.full((*v.shape, room), jnp.nan, v.dtype), jnp.zeros((*v.shape, windows), v.dtype)
        count = jnp.zeros(v.shape, jnp.int32)
        nothing = jnp.full_like(each, jnp.nan)
        none = jnp.zeros(each.shape, jnp.int32)
        return cls(count, (times, times), v, v, v, (each, each), nothing, nothing, none)


def follow(watch: Watch, windows: Windows, curve: Curve, place: jax.Array, spiked: jax.Array) -> Watch:
    """One step more. ``place`` is where in it the spike is."""
    a, b, c, d = curve.voltage
    value = lambda x: d + x * (c + x * (b + x * a))
    # places where the slope may vanish; any place in the step is on the curve, so a wrong one does no harm
    root = jnp.sqrt(jnp.maximum(b * b - 3 * a * c, 0))
    q = -(b + jnp.where(b < 0, -root, root))
    ratio = lambda x, y: jnp.clip(jnp.where(y == 0, 1.0, x / jnp.where(y == 0, 1.0, y)), 0, 1)
    seen = [value(ratio(q, 3 * a)), value(ratio(c, q)), d + curve.change[:, 0]]
    lowest, highest = watch.lowest, watch.highest
    for x in seen:
        lowest, highest = jnp.minimum(lowest, x), jnp.maximum(highest, x)

    when = later(curve.time, place * curve.h)
    here = spiked[:, None] & (jnp.arange(watch.times[0].shape[1]) == watch.spikes[:, None])
    times = tuple(jnp.where(here, x[:, None], old) for x, old in zip(when, watch.times, strict=True))

    column = lambda x: x[:, None]
    begun = (column(curve.time[0]), column(curve.time[1]))
    length = column(curve.h)
    first, last = between(begun, windows.first) / length, between(begun, windows.last) / length
    low, high = jnp.clip(first, 0, 1), jnp.clip(last, 0, 1)
    inside = lambda x: (x > 0) & (x <= 1)
    a, b, c, d = (column(x) for x in (a, b, c, d))
    from_reference = d - column(watch.reference)
    area = lambda x: x * (from_reference + x * (c / 2 + x * (b / 3 + x * a / 4)))
    integral = add(*watch.integral, length * jnp.where(high > low, area(high) - area(low), 0.0))
    v_of = lambda x: d + x * (c + x * (b + x * a))
    at_spike = column(place)
    return Watch(
        spikes=watch.spikes + spiked.astype(jnp.int32),
        times=(times[0], times[1]), lowest=lowest, highest=highest, reference=watch.reference, integral=integral,
        beginning=jnp.where(inside(first) | ((first == 0) & jnp.isnan(watch.beginning)), v_of(low), watch.beginning),
        end=jnp.where(inside(last), v_of(high), watch.end),
        within=watch.within + (column(spiked) & (at_spike >= first) & (at_spike < last)).astype(jnp.int32),
    )  # fmt: skip
