"""What may stand in an experiment file: its tables, their keys, units and limits. Knows no physics and needs no JAX.

Every number is either bare, in the documented unit, or a text with a unit ("0.5 s"). Values whose unit depends on what
they are for (parameters, amplitudes, spreads) stay as written here and are read where that is known.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from jaxmem import units


def _written(x: Any) -> Any:
    if isinstance(x, bool) or not isinstance(x, int | float | str):
        raise ValueError(f"found {x!r}; a number or a text with a unit is wanted")
    return x


def _in(unit: str) -> BeforeValidator:
    return BeforeValidator(lambda x: units.parse_quantity(x, unit))


Written = Annotated[Any, BeforeValidator(_written)]
Time = Annotated[float, _in("ms")]
Voltage = Annotated[float, _in("mV")]
Temperature = Annotated[float, _in("degC")]
Length = Annotated[float, _in("um"), Field(gt=0)]
Area = Annotated[float, _in("um^2"), Field(gt=0)]
Volume = Annotated[float, _in("um^3"), Field(gt=0)]
Concentration = Annotated[float, _in("mM"), Field(ge=0)]
Capacitance = Annotated[float, _in("uF/cm^2"), Field(gt=0)]
CellCapacitance = Annotated[float, _in("pF"), Field(gt=0)]
Fraction = Annotated[float, _in("1"), Field(gt=0, le=1)]
Plain = Annotated[float, _in("1")]


class Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)


# ---------------------------------------------------------------------- [membrane]
class BalanceTable(Table):
    v: Voltage = Field(description="the voltage (mV) at which each cell shall stand still")
    solve_for: list[str] | None = None


class GeometryTable(Table):
    """Only what belongs to one kind of shape."""

    kind: Literal["sphere", "cylinder", "area_volume"] | None = None
    radius: Length | None = None
    capacitance: CellCapacitance | None = None
    diameter: Length | None = None
    length: Length | None = None
    area: Area | None = None
    volume: Volume | None = None
    outside_volume_fraction: Fraction | None = None

    @property
    def shape(self) -> str | None:
        """The kind, said or implied; None where only the space outside is given."""
        return self.kind or next((k for k, fields in SHAPES.items() if self.model_fields_set & fields), None)

    @model_validator(mode="after")
    def _belongs(self) -> "GeometryTable":
        given = self.model_fields_set - {"kind", "outside_volume_fraction"}
        if self.shape is None:
            return self
        mine = SHAPES[self.shape]
        if odd := sorted(given - mine):
            raise ValueError(f"a {self.shape} has no {' and no '.join(odd)}; it has {' and '.join(sorted(mine))}")
        if self.shape == "sphere" and len(given) == 2:
            raise ValueError("a sphere has a radius or a capacitance, not both")
        if self.shape != "sphere" and (lacking := sorted(mine - given)):
            raise ValueError(f"a {self.shape} also needs {' and '.join(lacking)}")
        return self


SHAPES = {
    "sphere": {"radius", "capacitance"},
    "cylinder": {"diameter", "length"},
    "area_volume": {"area", "volume"},
}


class SpeciesSetTable(Table):
    """The keys of [membrane.species] that are no species."""

    file: str | None = None
    set: str | None = None
    other: Literal["balances charge"] | None = None
    dynamic: list[str] | None = None


def _sides(x: Any) -> tuple[str, ...]:
    """The dynamic sides; ``true`` means inside."""
    sides = {True: ["inside"], False: []}[x] if isinstance(x, bool) else [x] if isinstance(x, str) else x
    if not isinstance(sides, list) or not set(sides) <= {"inside", "outside"}:
        raise ValueError(f"found {x!r}; allowed are true, false, 'inside', 'outside' or a list of the two")
    return tuple(sides)


class SpeciesTable(Table):
    """One species; what is left out is as in the set, or as in the preset."""

    inside: Concentration | None = None
    outside: Concentration | None = None
    valence: int | None = None
    dynamic: Annotated[Any, BeforeValidator(_sides)] = None
    every_step: bool | None = None
    depth: Length | None = None
    outside_depth: Length | None = None


class MembraneTable(Table):
    preset: str = Field(description="the name of a published membrane (jaxmem presets lists them), or 'none'")
    celsius: Temperature | None = None
    capacitance: Capacitance | None = None
    balance: dict[str, Any] | None = None
    geometry: dict[str, Any] = {}
    species: dict[str, Any] = {}
    mechanisms: dict[str, Any] = {}
    parameters: dict[str, Written] = {}


# ---------------------------------------------------------------------- [population]
class PopulationTable(Table):
    cells: int = Field(default=1, ge=1, le=2**31 - 1)
    seed: int = Field(default=0, ge=0, lt=2**64)
    vary: dict[str, Any] = {}
    correlation: list[Any] = []
    covariance: dict[str, Any] | None = None
    group: list[Any] = []


# ---------------------------------------------------------------------- the rest
class InitialTable(Table):
    state: Literal["given", "steady"] = "given"
    v: Voltage | None = None


class RunTable(Table):
    duration: Time = Field(gt=0, description="how long to simulate (ms)")
    dt: Time = Field(default=0.025, gt=0)
    precision: Literal["float32", "float64"] = "float32"
    integrator: Literal["staggered", "rk4", "rush_larsen", "adaptive"] = "staggered"
    rtol: Plain | None = Field(default=None, gt=0, le=1e-2)
    atol: Plain | None = Field(default=None, gt=0, le=1e-2)

    @model_validator(mode="after")
    def _belongs(self) -> "RunTable":
        if self.integrator != "adaptive" and (odd := sorted(self.model_fields_set & {"rtol", "atol"})):
            raise ValueError(
                f'{" and ".join(odd)} belong to integrator = "adaptive"; found {self.integrator!r}, whose steps are all dt'
            )
        return self


class SpreadTable(Table):
    spread: int = Field(ge=1, description="how many cells, evenly spread over the population")


class TraceTable(Table):
    variables: list[str] = Field(min_length=1, description='what to record, for example ["v", "concentrations"]')
    every: Time = Field(default=1.0, gt=0)
    cells: Any = "all"
    name: str | None = None


class OutputTable(Table):
    measures: list[Any] | None = None
    traces: list[Any] = []


class ExperimentTable(Table):
    """The whole file; its tables are looked at one by one."""

    question: str = Field(min_length=1, description="the question that this experiment asks, in a sentence")
    membrane: Any = Field(description="the table that says what is simulated")
    population: Any = {}
    initial: Any = {}
    stimulus: Any = {"kind": "none"}
    run: Any = Field(description="the table with duration and dt")
    output: Any = {}
    schedule: Any = []  # read by changes_table
    drug: Any = []
    amplifier: Any = None  # read by amplifier_table
    scan: Any = None  # read by scanning.file


SECTIONS: dict[str, type[Table]] = {
    "membrane": MembraneTable, "population": PopulationTable, "initial": InitialTable,
    "run": RunTable, "output": OutputTable,
}  # fmt: skip
