"""What may stand under [scan] of an experiment file: its keys and limits. Needs no JAX.

    [scan]
    ask = "rest"                 # "rest" | "simulation" | "fit"
    design = "grid"              # "grid" | "sobol" | "latin_hypercube" | "random" | "list" | "nested" | "sensitivity"
    points = 65536               # not of a grid or a list; of "sensitivity": base samples
    [scan.axes]
    na_leak.g = { low = 0.01, high = 0.5, scale = "log", times = "k_leak.g", points = 100, name = "leak_ratio" }
    initial_v = { values = ["-90 mV", "-60 mV"] }
    [scan.regions]
    "rests well" = "v between -72 mV and -68 mV and atp_per_second < 2e8"

The other designs, of which the axes tell no points but where it is said:

    design = "sobol"             # also "latin_hypercube", "random"
    points = 65536
    seed = 1
    axes.k.outside = { low = "2 mM", high = "20 mM" }

    design = "sensitivity"       # for Sobol indices: points are base samples; asked is at points * (axes + 2)
    points = 4096

    design = "nested"            # the axes with points or values are a grid; at each of its places the others are drawn
    inner = "sobol"              # or "latin_hypercube", "random"
    points = 1024                # at each place
    axes.k.outside = { low = "2 mM", high = "20 mM", points = 10 }
    axes.na_leak.g = { low = 0.01, high = 0.5, scale = "log" }

    design = "list"              # a row of a CSV file per point; lines that begin with "#" are comments
    table = "points.csv"         # beside the experiment file
    axes.na_leak.g = { column = "g_na", unit = "mS/cm^2" }
    axes.k.outside = {}          # the column "k.outside", in mM: as "jaxmem export" writes it

``times`` makes an axis a factor: the parameter becomes the number times the value that ``times`` has at this point, which may
be an axis too; times itself it is a factor of its own value. It is called ``name``, or else ``PATH`` or ``PATH_per_TIMES``.

The numbers of an axis stay as written here and are read where the parameter's unit is known.
"""

from typing import Any, Literal

from pydantic import Field, model_validator

from jaxmem.study.tables import Table, Written

DRAWN = ("sobol", "latin_hypercube", "random")
# the keys of [scan] that belong to some designs alone
BELONG = {
    "points": (*DRAWN, "nested", "sensitivity"),
    "seed": (*DRAWN, "nested", "sensitivity"),
    "table": ("list",),
    "inner": ("nested",),
}
NEEDED = {"list": "table", "grid": None} | dict.fromkeys((*DRAWN, "nested", "sensitivity"), "points")


class AxisTable(Table):
    """One axis; of a list ``column`` (default: what the axis is called) and the ``unit`` it is in."""

    low: Written | None = None
    high: Written | None = None
    scale: Literal["linear", "log"] | None = None
    points: int | None = None
    values: list[Written] | None = None
    times: str | None = None
    name: str | None = None
    unit: str | None = None
    column: str | None = None


class ScanTable(Table):
    ask: Literal["rest", "simulation", "fit"] = Field(description="'rest', 'simulation' or 'fit'")
    design: Literal["grid", "sobol", "latin_hypercube", "random", "list", "nested", "sensitivity"] = "grid"
    points: int | None = Field(default=None, ge=1)
    seed: int = Field(default=0, ge=0, lt=2**64)
    precision: Literal["float32", "float64"] | None = None
    chunk: int | None = Field(default=None, ge=1)
    keep: list[str] | None = Field(default=None, min_length=1)
    table: str | None = None
    inner: Literal["sobol", "latin_hypercube", "random"] = "sobol"
    axes: dict[str, Any] = Field(min_length=1, description="the table of what differs between points, by path")
    regions: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _belongs(self) -> "ScanTable":
        for key, designs in BELONG.items():
            if key in self.model_fields_set and self.design not in designs and key != "seed":
                more = "; each axis of a grid says its own points" if (key, self.design) == ("points", "grid") else ""
                raise ValueError(f"a {self.design} design has no {key!r}: leave it out{more}")
        needed = NEEDED[self.design]
        if needed is not None and getattr(self, needed) is None:
            told = {"table": 'table = "points.csv"', "points": "points = 65536"}[needed]
            base = " (the number of base samples, a power of two)" if self.design == "sensitivity" else ""
            raise ValueError(f"a {self.design} design needs {needed!r}, for example {told}{base}")
        if self.ask != "rest":
            odd = {"precision": "a simulation's is run.precision, a fit's fit.precision", "keep": "it chooses among the "
                   "numbers of a rest; a simulation keeps output.measures"}  # fmt: skip
            for key, why in odd.items():
                if key in self.model_fields_set:
                    raise ValueError(f'{key!r} belongs to ask = "rest": {why}')
        return self
