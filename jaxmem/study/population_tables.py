"""What may stand under [population]: how a number differs between cells, which differ together, and groups of cells."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from jaxmem.study.tables import Fraction, Plain, Table, Written

# of each distribution: one of each of these, at most one of those, and any of the last
DISTRIBUTIONS: dict[str, tuple[tuple[tuple[str, ...], ...], tuple[str, ...], tuple[str, ...]]] = {
    "lognormal": ((("sd", "cv"),), ("mean", "median"), ("low", "high")),
    "normal": ((("sd", "cv"),), ("mean",), ("low", "high")),
    "uniform": ((("low",), ("high",)), (), ()),
    "values": ((("values",),), (), ()),
    "csv": ((("file",), ("column",)), (), ("unit", "rows", "missing")),
}
CENTRED = ("lognormal", "normal")  # they spread around the typical cell unless they say around what


class DistributionTable(Table):
    """How one number differs. ``low`` and ``high`` cut lognormal and normal off; mean and sd are those of the uncut one."""

    distribution: Literal["lognormal", "normal", "uniform", "values", "csv"] = Field(
        description="'lognormal', 'normal', 'uniform', 'values' or 'csv'"
    )
    sd: Written | None = None
    cv: Written | None = None
    mean: Written | None = None
    median: Written | None = None
    low: Written | None = None
    high: Written | None = None
    values: list[Written] | None = None
    file: str | None = None
    column: str | None = None
    unit: str | None = None
    rows: Literal["each", "first", "resample"] = "each"
    missing: Literal["error", "drop"] = "error"

    @model_validator(mode="after")
    def _belongs(self) -> "DistributionTable":
        given = self.model_fields_set - {"distribution"}
        either, optional, free = DISTRIBUTIONS[self.distribution]
        told = " and ".join(" or ".join(group) for group in either)
        more = [" or ".join(optional)] * bool(optional) + list(free)
        if odd := sorted(given - {*optional, *free, *(key for group in either for key in group)}):
            raise ValueError(
                f"{self.distribution} has no {' and no '.join(odd)}; it takes {told}"
                + (f", and if wanted {', '.join(more)}" if more else "")
            )
        if any(len(given & set(group)) != 1 for group in either):
            raise ValueError(
                f"{self.distribution} needs {told}{', one of the two' if any(len(g) > 1 for g in either) else ''}"
            )
        if len(given & set(optional)) > 1:
            raise ValueError(f"give {' or '.join(optional)}, not both")
        return self

    @property
    def centre_given(self) -> bool:
        """Whether it says itself around what it spreads."""
        return self.distribution not in CENTRED or self.mean is not None or self.median is not None


class CorrelationTable(Table):
    between: Annotated[list[str], Field(min_length=2, max_length=2)] = Field(description="a list of two varied paths")
    r: Plain = Field(gt=-1, lt=1, description="the correlation, between -1 and 1")


class CovarianceTable(Table):
    of: list[str] = Field(min_length=1, description="the list of paths that the rows and columns stand for")
    matrix: list[list[Plain]] = Field(description="the covariances of the natural logarithms, row by row")


class GroupTable(Table):
    """A type of cell: what it has in common, how its cells differ, and how its own typical cell was drawn."""

    name: str = Field(description="the name of the group")
    share: Fraction | None = None
    cells: int | None = Field(default=None, ge=1)
    parameters: dict[str, Written] = Field(default_factory=dict)
    vary: dict[str, Any] = Field(default_factory=dict)
    between: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_size(self) -> "GroupTable":
        if not self.name.isidentifier():
            raise ValueError(f"found the name {self.name!r}; a name is one word of letters, digits and underscores")
        if (self.share is None) == (self.cells is None):
            raise ValueError('give how many cells are of this group, as share = "80 %" or as cells = 800')
        return self
