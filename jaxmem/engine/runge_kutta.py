"""The classical method of Runge and Kutta: fourth order, explicit, for non-stiff membranes and small dt.

Voltage, states and the book are one system, ``Membrane.derivative``; amounts, reversal potentials and transfers are
those of each stage. The book and the voltage get the same weights, so charge is conserved to round-off. A stimulus that
changes within a step is taken as its mean over it, and a changing parameter as its mean over the refresh interval: for
these the method is of second order. W. Kutta (1901), Z Math Phys 46:435.
"""

from typing import ClassVar

import jax
import jax.numpy as jnp

from jaxmem.engine.fluctuations import refuse_fluctuations
from jaxmem.engine.integrators import Happened, Held, Integrator, Moving
from jaxmem.membrane.mechanism import Current
from jaxmem.membrane.state import Point
from jaxmem.rig.drive import Drive, Moment, Voltage

STAGES = ((0.0, 1.0), (0.5, 2.0), (0.5, 2.0), (1.0, 1.0))  # (place in the step, weight in sixths)


class RungeKutta4(Integrator):
    """Fourth order between events and edges; unstable where dt is above 2.8 times the fastest time constant."""

    lagging: ClassVar[bool] = False
    exchanges: ClassVar[bool] = True

    def step(self, held: Held, moving: Moving, index: jax.Array) -> tuple[Moving, Happened]:
        m, dt = held.membrane, held.dt
        refuse_fluctuations(m, moving.v, moving.states, held.environment)
        drive, rig = held.driver.drive(Moment(index, dt, held.cell), moving.v, moving.rig)
        start = Point(moving.v, moving.states, moving.pending)
        zero = jax.tree.map(jnp.zeros_like, start)
        slope, total = zero, zero
        for place, weight in STAGES:
            point = jax.tree.map(lambda x, k, p=place: x + p * dt * k, start, slope)
            slope = _slope(held, point, moving.v, drive, place)
            total = jax.tree.map(lambda a, k, w=weight: a + w / 6 * k, total, slope)
        flow = {k: dt * x for k, x in total.book.items()}
        if isinstance(drive, Voltage):
            v, low = held.whole(drive.end), jnp.zeros_like(moving.v)
            flow["electrode"] = flow["electrode"] + m.capacitance * (v - moving.v - moving.v_low)
        else:
            change = dt * total.v + moving.v_low
            v = moving.v + change
            low = change - (v - moving.v)
        pending = {k: x + flow[k] for k, x in moving.pending.items()}
        states = jax.tree.map(lambda x, k: x + dt * k, moving.states, total.states)
        spiked = (moving.v < 0) & (v >= 0)
        states = {name: m.mechanisms[name].events(spiked, states[name]) for name in m.order}
        last = {k: flow[k] for k in moving.last}
        crossed = {k: x for k, x in flow.items() if k in m.species or k == "electrode"}
        return Moving(v, low, states, pending, last, moving.lag, rig), Happened(spiked, crossed)


def _slope(held: Held, point: Point, v: jax.Array, drive: Drive, place: float) -> Point:
    """d/dt at a stage of the step that began at v; of an imposed voltage, the electrode gives what the membrane takes."""
    m = held.membrane
    book = {k: held.base[k] + x for k, x in point.book.items()}
    if isinstance(drive, Current):
        given = Current(drive.value + drive.slope * (point.v - v), 0.0)
        return m.derivative(Point(point.v, point.states, book), given)
    way = {0.0: drive.start, 0.5: drive.mean, 1.0: drive.end}[place]
    rates = m.derivative(Point(held.whole(way), point.states, book))
    return Point(jnp.zeros_like(v), rates.states, rates.book | {"electrode": -m.capacitance * rates.v})
