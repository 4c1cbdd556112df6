"""What a fit aims at: measured numbers with their uncertainty, under the conditions they were measured in."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import ArrayLike

from jaxmem.rig.schedules import Drug

Condition = Mapping[str, ArrayLike] | Drug


@dataclasses.dataclass(frozen=True)
class Target:
    """A measured ``value`` and its standard deviation ``sd``, in the unit of what is measured.

    ``value`` and ``sd`` are numbers or arrays over cells; NaN where it was not measured in a cell. ``of`` says what is
    measured: a name (see :data:`jaxmem.analysis.fitting.quantities.TOLD`) or a function ``(membrane, rest) -> array``,
    elementwise in the cells, of the membrane and its :class:`jaxmem.RestingState`; by default the key under which the
    target is given. ``at`` is the condition: ``{"k.outside": 10.0}``, a :class:`jaxmem.Drug` (at equilibrium with its last
    concentration), or a list of these; a list gives ``value`` an axis of conditions before that of the cells.
    ``during`` is a :class:`jaxmem.Trial`: then ``of`` is a measure or a recorded variable of that simulation.

    Raises ValueError where sd is not above 0.
    """

    value: ArrayLike
    sd: ArrayLike = 1.0
    _: dataclasses.KW_ONLY
    at: Condition | Sequence[Condition] | None = None
    of: str | Callable[..., Any] | None = None
    during: Any = None

    def __post_init__(self) -> None:
        sd = np.asarray(self.sd, float)
        if not (
            (sd > 0)
            | np.isnan(
                np.broadcast_to(np.asarray(self.value, float), np.broadcast_shapes(np.shape(self.value), sd.shape))
            )
        ).all():
            raise ValueError(f"the sd of a target must be above 0; found {sd.min():g}")

    @classmethod
    def of_number(cls, given: "Target | ArrayLike") -> "Target":
        if isinstance(given, Target):
            return given
        if np.asarray(given).dtype.kind not in "iuf":
            raise ValueError(
                f"a target is a number in its unit, an array over cells or jm.Target(...); found {given!r}"
            )
        return cls(given)

    @property
    def conditions(self) -> list[Condition]:
        if self.at is None:
            return [{}]
        return [self.at] if isinstance(self.at, Mapping | Drug) else list(self.at)

    @property
    def listed(self) -> bool:
        """Whether the value has an axis of conditions."""
        return not (self.at is None or isinstance(self.at, Mapping | Drug))
