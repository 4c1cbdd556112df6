"""Several stimuli at once."""

from collections.abc import Iterable
from typing import Any

import equinox as eqx
import jax
from jaxtyping import ArrayLike

from jaxmem.membrane.mechanism import Current
from jaxmem.rig.drive import Drive, Driver, Memory, Moment
from jaxmem.rig.stimuli import Stimulus


class Sum(Stimulus):
    """``a + b``: the currents of all ``parts``, each with a memory of its own.

    Raises ValueError where a part is an ideal voltage clamp, where two parts name different carriers, or where two
    noises share a seed (they would be one noise twice).
    """

    parts: tuple[Stimulus, ...]
    carrier: str | None = eqx.field(static=True, default=None)

    def __init__(self, parts: Iterable[Stimulus]):
        flat = tuple(part for s in parts for part in (s.parts if isinstance(s, Sum) else (s,)))
        if not flat:
            raise ValueError("a sum needs a stimulus at least")
        if len(flat) > 1 and any(s.imposes_voltage for s in flat):
            raise ValueError(
                "an ideal voltage clamp takes whatever current it needs, so nothing can be added to it; give it a series "
                "resistance"
            )
        carriers = {s.carrier for s in flat} - {None}
        if len(carriers) > 1:
            raise ValueError(f"one electrode has one carrier; found {' and '.join(sorted(map(repr, carriers)))}")
        seeds = [seed for s in flat if (seed := getattr(s, "seed", None)) is not None]
        if len(set(seeds)) < len(seeds):
            raise ValueError(f"two noises of one seed are one noise twice; give each its own (found seeds {seeds})")
        self.parts, self.carrier = flat, next(iter(carriers), None)

    def on_grid(self, dt: float) -> "SumOnGrid":
        return SumOnGrid(tuple(s.on_grid(dt) for s in self.parts))

    def at(self, t: jax.Array, v: jax.Array) -> Current:
        return _together([s.at(t, v) for s in self.parts])

    @property
    def edges(self) -> list[ArrayLike]:
        return [edge for s in self.parts for edge in s.edges]

    @property
    def onset(self) -> float | None:
        return min((x for s in self.parts if (x := s.onset) is not None), default=None)

    @property
    def offset(self) -> float | None:
        changing = [s.offset for s in self.parts if s.onset is not None]
        return None if None in changing else max((x for x in changing if x is not None), default=None)

    @property
    def charge_density(self) -> ArrayLike:
        return sum(s.charge_density for s in self.parts)

    @property
    def readings(self) -> dict[str, tuple[str, str]]:
        return {name: told for s in self.parts for name, told in s.readings.items()}


class SumOnGrid(Driver):
    """The drivers of the parts; what part i remembers is kept under ``i.name``."""

    parts: tuple[Driver, ...]

    def begin(self, v: jax.Array, cell: jax.Array) -> Memory:
        return {f"{i}.{name}": x for i, part in enumerate(self.parts) for name, x in part.begin(v, cell).items()}

    def drive(self, moment: Moment, v: jax.Array, memory: Memory) -> tuple[Current, Memory]:
        drives, after = [], dict[str, jax.Array]()
        for i, part in enumerate(self.parts):
            drive, kept = part.drive(moment, v, _of(memory, i))
            drives.append(drive)
            after |= {f"{i}.{name}": x for name, x in kept.items()}
        return _together(drives), after

    def readings(self, moment: Moment, v: jax.Array, memory: Memory, injected: ArrayLike) -> dict[str, ArrayLike]:
        shown: dict[str, ArrayLike] = {}
        for i, part in enumerate(self.parts):
            shown |= part.readings(moment, v, _of(memory, i), injected)
        return shown


def _of(memory: Memory, part: int) -> Memory:
    return {name.partition(".")[2]: x for name, x in memory.items() if name.partition(".")[0] == str(part)}


def _together(drives: list[Drive]) -> Current:
    currents: list[Any] = [d for d in drives if isinstance(d, Current)]
    assert len(currents) == len(drives), "a sum has no ideal clamp"
    slopes = [c.slope for c in currents if not (isinstance(c.slope, float) and c.slope == 0)]
    return Current(
        sum(c.value for c in currents[1:]) + currents[0].value, sum(slopes[1:]) + slopes[0] if slopes else 0.0
    )
