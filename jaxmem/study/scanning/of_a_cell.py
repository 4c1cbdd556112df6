"""What questions about a cell have in common: one typical cell, and populations of it with the numbers of some points."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import equinox as eqx
import numpy as np

from jaxmem.membrane import presets
from jaxmem.membrane.membrane import Membrane
from jaxmem.membrane.state import Status
from jaxmem.study.scanning.question import Question


class OfACell(Question):
    """A question about ``membrane``, a typical cell without a cell axis. ``became``: the statuses that points may have."""

    membrane: eqx.AbstractVar[Membrane]
    became: ClassVar[Iterable[Any]] = Status

    def __check_init__(self) -> None:
        check_typical(self.membrane)

    @property
    def fates(self) -> dict[int, tuple[str, str]]:
        return {int(s): (s.name, s.reason) for s in self.became}

    @property
    def whole_cell(self) -> dict[str, Any]:
        return {"area": self.membrane.geometry.area, "capacitance": self.membrane.capacitance}


def check_typical(membrane: Any) -> None:
    """Raise ValueError for what is no membrane, or a population."""
    if isinstance(membrane, str):
        name = membrane if membrane in presets.names() else presets.names()[0]
        raise ValueError(f"found the text {membrane!r}; a membrane is wanted, such as jm.presets.{name}()")
    if not isinstance(membrane, Membrane):
        raise ValueError(
            f"found {membrane!r}; a membrane is wanted: a jm.Membrane, or a published one such as jm.presets.pump_leak()"
        )
    if membrane.cells is not None:
        raise ValueError("a scan wants the typical cell, without a cell axis; what differs is an axis of the design")


def check_precision(precision: str) -> None:
    """Raise ValueError for what is none."""
    if precision not in ("float32", "float64"):
        raise ValueError(f"precision is 'float32' or 'float64', not {precision!r}")


def at_points(membrane: Membrane, values: Mapping[str, np.ndarray], points: int) -> Membrane:
    """A population: the typical cell with these numbers. It has a cell axis whatever differs."""
    start = {"initial_v": np.broadcast_to(np.asarray(membrane.initial_v, float), (points,)).copy()}
    return membrane.with_parameters(start | dict(values))
