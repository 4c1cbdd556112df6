"""Markov schemes over one step: a rational function of the whole matrix of rates, by elimination of its states."""

import jax
import jax.numpy as jnp
from jaxtyping import ArrayLike

from jaxmem.membrane.membrane import Edge

POLE = 1 / 5
WEIGHTS = (1.0, 1.0, -2 / 3, 41 / 6, -19 / 6)  # of POLE dt Q u^k, k = 1 ... 5: the step less 1


def redistribute(
    x: dict[str, jax.Array], edges: list[Edge], dt: ArrayLike, within: bool = True
) -> dict[str, jax.Array]:
    """What the states of a scheme hold dt later: third order at fixed rates, exact at rest, sums kept.

    ``edges``: ((a, b), (forward, backward)) in 1/ms; together dx/dt = Q x. With u = (1 - dt Q/5)^-1 the step is

    ``(5/3) u^2 - (15/2) u^3 + 10 u^4 - (19/6) u^5``

    the one of these powers that is exp(dt Q) to third order. For real rates it is between 0 and 1 and nowhere more than
    0.024 off the exponential. A function of Q stands still where Q does and keeps slow changes apart from fast ones, which
    a sweep over the pairs does not where rates exceed 1/dt. There a state may get as much as some hundredths less than nothing:
    ``within`` gives it nothing, and the others less in proportion.

    u is found by eliminating one state after the other without a subtraction: W. K. Grassmann, M. I. Taksar & D. P. Heyman
    (1985), Oper Res 33:1107, doi:10.1287/opre.33.5.1107, with a way out of each state at rate 1.
    """
    rate: dict[tuple[str, str], ArrayLike] = {}
    change = {name: jnp.zeros_like(amount) for name, amount in x.items()}
    for (a, b), (forward, backward) in edges:
        ahead, back = POLE * dt * forward, POLE * dt * backward
        rate[a, b], rate[b, a] = rate.get((a, b), 0.0) + ahead, rate.get((b, a), 0.0) + back
        moved = ahead * x[a] - back * x[b]
        change[a], change[b] = change[a] - moved, change[b] + moved
    eliminated = _eliminate(list(x), rate)

    def u(w: dict[str, jax.Array]) -> dict[str, jax.Array]:
        w = dict(w)
        for gone, pivot, out, _ in eliminated:
            # not times 1/pivot: XLA on a CPU makes sums and products again for each of their uses, quotients it keeps
            w[gone] = w[gone] / pivot
            for b, leaving in out.items():
                w[b] = w[b] + leaving * w[gone]
        for gone, _, _, back in reversed(eliminated):
            for a, coming in back.items():
                w[gone] = w[gone] + coming * w[a]
        return w

    gained = u({name: WEIGHTS[-1] * moved for name, moved in change.items()})
    for weight in WEIGHTS[-2::-1]:
        gained = u({name: weight * change[name] + so_far for name, so_far in gained.items()})
    after = {name: amount + gained[name] for name, amount in x.items()}
    some = {name: jnp.where(y < 0, 0.0, y) for name, y in after.items()} if within else after
    # the rounding of fast flows, and what is kept from falling below zero, is taken from all alike
    excess = sum(gained.values()) + sum(some[name] - y for name, y in after.items())
    total = sum(some.values())
    scale = 1 - excess / jnp.where(total > 0, total, 1.0)
    return {name: scale * y for name, y in some.items()}


def _eliminate(left: list[str], rate: dict[tuple[str, str], ArrayLike]) -> list:
    """(state, pivot, rates to those that are left, what comes back from them over the pivot), few neighbours first."""
    lost: dict[str, ArrayLike] = dict.fromkeys(left, 1.0)
    eliminated = []
    while left:
        gone = min(left, key=lambda a: sum((a, b) in rate for b in left))
        left.remove(gone)
        near = [b for b in left if (gone, b) in rate]
        pivot = lost[gone] + sum(rate[gone, b] for b in near)
        inverse = 1 / pivot
        back = {a: rate[a, gone] * inverse for a in near}
        for a in near:
            lost[a] = lost[a] + back[a] * lost[gone]
            for b in near:
                if a != b:
                    rate[a, b] = rate.get((a, b), 0.0) + back[a] * rate[gone, b]
        eliminated.append((gone, pivot, {b: rate[gone, b] for b in near}, back))
    return eliminated
