"""What may stand in the file of a fit: its tables, their keys and limits. Needs no JAX.

    question = "..."
    [data]                       # left out where one cell is fitted, whose targets are in [fit.targets]
    table = "cells.csv"          # relative to this file; given with --set, relative to where one types
    one_fit_per = "cell"         # the column that names the rows
    where = { species = "rat" }  # only rows with this text (or one of a list) in that column
    [data.columns]               # with sd: what is fitted; without: a parameter that was measured, or junction_potential
    resting_potential = { column = "v_mV", unit = "mV", sd = "1 mV" }
    input_resistance = { column = "R_MOhm", sd = "5 %" }
    k.inside = { column = "K_in", missing = "140 mM" }
    [recording]
    mode = "whole-cell"
    junction_potential = "14 mV" # of the bath against the pipette, subtracted from every resting potential
    [fit.free]
    k_leak.g = ["1 uS/cm^2", "10 mS/cm^2"]

Values whose unit depends on what they are for stay as written here and are read where that is known.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from jaxmem import units
from jaxmem.study.tables import Concentration, MembraneTable, Plain, Table, Temperature, Voltage, Written

MODES = ("whole-cell", "perforated", "sharp")
DERIVED = "derived"


def _share(x: Any) -> Any:
    """A standard deviation: a number or text, or the column that holds it."""
    if isinstance(x, dict):
        return SpreadColumn.model_validate(x)
    if isinstance(x, bool) or not isinstance(x, int | float | str):
        raise ValueError(
            f'found {x!r}; a number, a text such as "1 mV" or "5 %" is wanted, or {{ column = "..." }} of the table'
        )
    return x


class SpreadColumn(Table):
    column: str
    unit: str | None = None


Spread = Annotated[Any, BeforeValidator(_share)]


class ColumnTable(Table):
    """A column of the table: with ``sd`` what is fitted (a target), without a number that the cell has."""

    column: str = Field(description="the name of a column of the table")
    unit: str | None = None
    sd: Spread | None = None
    missing: Written | None = None
    of: str | None = None
    at: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _belongs(self) -> "ColumnTable":
        if self.sd is None and (odd := sorted(self.model_fields_set & {"of", "at"})):
            raise ValueError(
                f'{" and ".join(odd)} belong to what is fitted, which has a standard deviation: add sd = "5 %"'
            )
        if self.sd is not None and self.missing is not None:
            raise ValueError("what is fitted has no 'missing': where nothing was measured nothing is fitted")
        return self


class TargetTable(Table):
    """A number to be met, given in the file itself."""

    value: Written = Field(description="the number to be met, such as '-70 mV'")
    sd: Spread = Field(description="its standard deviation, such as '1 mV' or '5 %'")
    of: str | None = None
    at: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _no_column(self) -> "TargetTable":
        if isinstance(self.sd, SpreadColumn):
            raise ValueError("a target in the file has its sd in the file; columns belong to [data.columns]")
        return self


class DataTable(Table):
    table: str = Field(description="a CSV file with one row per cell")
    one_fit_per: str = Field(description="the column that names the rows")
    where: dict[str, Any] = Field(default_factory=dict)
    columns: dict[str, Any] = Field(description="what the columns of the table are")


class RecordingTable(Table):
    """How it was measured.

    A whole-cell pipette empties the cell into itself: ``ions = "pipette"`` clamps the inside to [recording.pipette] and the
    outside to [recording.bath]. Without, inside stays as [membrane] says, and [recording.bath] replaces the outside.

    ``junction_potential`` is V_L, the potential of the bath against that of the pipette solution before the seal, when the
    amplifier was zeroed: ``V_m = V_measured - V_L``, for whole-cell and sharp electrodes alike (E. Neher (1992), Methods
    Enzymol 207:123, doi:10.1016/0076-6879(92)07008-C; P. H. Barry (1994), J Neurosci Methods 51:107,
    doi:10.1016/0165-0270(94)90031-0). It is positive for potassium gluconate against saline, whose anion is the slower
    one. Who writes "-14 mV" for it gives what is to be added.
    """

    mode: Literal["whole-cell", "perforated", "sharp"] | None = None
    junction_potential: Voltage = 0.0
    celsius: Temperature | None = None
    ions: Literal["cell", "pipette"] = "cell"
    pipette: dict[str, Concentration] = Field(default_factory=dict)
    bath: dict[str, Concentration] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _together(self) -> "RecordingTable":
        if self.ions == "pipette" and self.mode not in (None, "whole-cell"):
            raise ValueError(
                f'ions = "pipette" belongs to mode = "whole-cell": a {self.mode} electrode does not replace the cell\'s ions'
            )
        if self.ions == "pipette" and not (self.pipette and self.bath):
            raise ValueError('ions = "pipette" needs [recording.pipette] and [recording.bath], with the mM of each ion')
        if self.ions == "cell" and self.pipette:
            raise ValueError('[recording.pipette] is not used: add ions = "pipette", or leave it out')
        return self


class FreeTable(Table):
    """A free parameter; a list of two is ``low`` and ``high`` alone."""

    low: Written = Field(description="the lower bound")
    high: Written = Field(description="the upper bound")
    scale: Literal["log", "linear"] | None = None
    prior: Annotated[list[Written], Field(min_length=2, max_length=2)] | None = None
    shared: bool = False
    pooled: Plain | None = Field(default=None, gt=0)


class TiedTable(Table):
    """A parameter that follows a free one: ``ratio`` times it, by default as the membrane has them."""

    to: str = Field(description="the free parameter that it follows")
    ratio: Plain | None = None


class FitTable(Table):
    method: str | list[str] = "levenberg_marquardt"
    starts: int | None = Field(default=None, ge=1, le=10_000)
    seed: int = Field(default=0, ge=0, lt=2**64)
    precision: Literal["float32", "float64"] = "float64"
    free: dict[str, Any] = Field(min_length=1, description="the table of what may be changed, each with its bounds")
    tied: dict[str, Any] = Field(default_factory=dict)
    fixed: dict[str, Written] = Field(default_factory=dict)
    targets: dict[str, Any] = Field(default_factory=dict)


class ReportTable(Table):
    title: str | None = None
    pairs: list[Annotated[list[str], Field(min_length=2, max_length=2)]] | None = None


class FitFileTable(Table):
    """The whole file; its tables are looked at one by one."""

    question: str = Field(min_length=1, description="the question that this fit answers, in a sentence")
    membrane: Any = Field(description="the table that says what is fitted")
    fit: Any = Field(description="the table that says what is free")
    data: Any = None
    recording: Any = Field(default_factory=dict)
    report: Any = Field(default_factory=dict)
    scan: Any = None  # read by scanning.file


SECTIONS: dict[str, type[Table]] = {
    "membrane": MembraneTable, "fit": FitTable, "data": DataTable, "recording": RecordingTable, "report": ReportTable,
}  # fmt: skip


def percent(text: Any) -> float | None:
    """The fraction that "5 %" is; None for what is no percentage."""
    if isinstance(text, str) and text.strip().endswith("%"):
        return units.parse_quantity(text, "1")
    return None
