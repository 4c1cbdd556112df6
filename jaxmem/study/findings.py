"""What an experiment expects and what it found: numbers beside the range that physics, or a paper, allows.

An experiment that is a script states its question, runs, says what it expects of the result, and ends with ``check``:
it fails loudly where the physics did not come out. The findings are kept in the HDF5 file with the provenance.
"""

import dataclasses
import math
from typing import Any

from jaxmem.units import pretty


class FindingsError(AssertionError):
    """Something expected did not come out; the text lists everything that did not, and what was expected."""


@dataclasses.dataclass(frozen=True)
class Finding:
    """``value`` of ``what`` in ``unit``, expected between ``low`` and ``high``; ``source`` says by whom."""

    what: str
    value: float
    low: float
    high: float
    unit: str
    source: str

    @property
    def holds(self) -> bool:
        """False for NaN too."""
        return self.low <= self.value <= self.high

    def __str__(self) -> str:
        if self.low == self.high:
            allowed = f"{self.low:.6g}"
        elif math.isinf(self.high):
            allowed = f"at least {self.low:.6g}"
        elif math.isinf(self.low):
            allowed = f"at most {self.high:.6g}"
        else:
            allowed = f"{self.low:.6g} to {self.high:.6g}"
        mark = "  " if self.holds else "! "
        source = f" [{self.source}]" if self.source else ""
        value = f"{self.value:.6g} {pretty(self.unit)}" if self.unit != "1" else f"{self.value:.6g}"
        return f"{mark}{self.what}: {value} (expected {allowed}){source}"


class Findings:
    """The findings of one experiment, in the order in which they were expected."""

    def __init__(self, question: str):
        self.question = " ".join(question.split())
        self.found: list[Finding] = []

    def expect(
        self, what: str, value: Any, low: float = -math.inf, high: float = math.inf, unit: str = "1", source: str = ""
    ) -> float:
        """Keep a number and the range (both ends included) that it is expected in; returns the number."""
        self.found.append(Finding(what, float(value), float(low), float(high), unit, source))
        return float(value)

    @property
    def attributes(self) -> dict[str, Any]:
        """For ``Simulation.save(path, attributes=...)``: the question and every finding."""
        told = [dataclasses.asdict(f) | {"holds": f.holds} for f in self.found]
        return {"question": self.question, "findings": told}

    def __str__(self) -> str:
        return "\n".join([self.question, *map(str, self.found)])

    def check(self) -> None:
        """Raises FindingsError where something did not come out, or where nothing was expected at all."""
        if not self.found:
            raise FindingsError(f"{self.question} Nothing was expected, so nothing was found")
        if wrong := [f for f in self.found if not f.holds]:
            raise FindingsError(f"{len(wrong)} of {len(self.found)} did not come out:\n" + "\n".join(map(str, wrong)))
