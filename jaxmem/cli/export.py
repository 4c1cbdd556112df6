"""``jaxmem export``: the points of a scan, or the cells of any other result, as a CSV file."""

import pathlib
import sys
from typing import Any

import click

from jaxmem.cli.errors import UserError
from jaxmem.cli.terminal import Progress, size
from jaxmem.study.cells import read_cells
from jaxmem.study.csv_file import write_csv
from jaxmem.study.files import check_target
from jaxmem.study.problems import unknown
from jaxmem.study.scanning.points import Points
from jaxmem.study.scanning.regions import region
from jaxmem.study.scanning.result import KIND, read_scan
from jaxmem.study.summary import kind_of


def export(
    file: str, output: str | None, where: str | None, name: str | None, columns: str | None, overwrite: bool
) -> None:
    source = pathlib.Path(file)
    target = None if output == "-" else pathlib.Path(output or source.with_suffix(".csv"))
    try:
        if target is not None:
            check_target(target, overwrite)
    except FileExistsError as error:
        raise UserError(f"{error} (--overwrite replaces it)") from None
    with Progress() as progress:
        progress.phase(f"Reading {file}")
        scan: Points
        row, conditions = "point", {}
        if kind_of(source) == KIND:
            whole = read_scan(source)
            scan, conditions, question = whole, whole.regions, whole.question
        else:
            cells = read_cells(source)
            scan, row, question = cells, cells.row, cells.question
        asked = [] if where is None else [where]
        if name is not None:
            if not conditions:
                raise UserError(f"{file} has no regions; say which points with --where")
            if name not in conditions:
                raise UserError(f"--region {name}: {unknown(name, conditions, 'region')}")
            asked.append(conditions[name])
        # each stands for itself, so that an "or" in one does not reach into the other
        inside = region(scan, asked[0] if len(asked) == 1 else f"({asked[0]}) and ({asked[1]})") if asked else None
        progress.phase(f"Writing {target or 'to stdout'}")
        chosen = None if columns is None else [x.strip() for x in columns.split(",") if x.strip()]
        told: dict[str, Any] = {"columns": chosen, "region": inside, "title": question, "index": row}
        if target is None:
            rows = write_csv(sys.stdout, scan, **told)
            sys.stdout.flush()
        else:
            rows = write_csv(target, scan, **told, overwrite=overwrite)
    if target is not None:
        of = "" if inside is None else f" of {scan.points:,}"
        click.echo(f"{target}: {rows:,}{of} {row}s, {size(target.stat().st_size)}")
    if not rows:
        click.echo(f"no {row} is where {' and '.join(asked)}", err=True)
