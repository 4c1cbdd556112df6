"""``jaxmem report``: a page about a scan; and what ``jaxmem show`` says of one."""

import pathlib
from typing import Any

import click
from rich.markup import escape

from jaxmem.cli.errors import UserError
from jaxmem.cli.terminal import Progress, console, size
from jaxmem.units import pretty


def report(file: str, output: str | None, overwrite: bool) -> None:
    from jaxmem.cli.process import prepare

    prepare("cpu")
    from jaxmem.report.page import write_page
    from jaxmem.study.scanning.merge import KIND
    from jaxmem.study.scanning.result import read_scan
    from jaxmem.study.summary import kind_of

    source = pathlib.Path(file)
    target = pathlib.Path(output or source.with_suffix(".html"))
    if target.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"{target}: a page ends in .html")
    if target.exists() and not overwrite:
        raise UserError(f"{target} exists; choose another name (--overwrite replaces it)")
    if (holds := kind_of(source)) != KIND:
        raise UserError(
            f"{source} holds {holds}; a report is of a scan. 'jaxmem show' and 'jaxmem plot' tell of others"
        )
    with Progress() as progress:
        progress.phase(f"Reading {file}")
        scan = read_scan(source)
        progress.phase("Drawing")
        write_page(scan, target, overwrite=overwrite)
    click.echo(f"{target}  {size(target.stat().st_size)}, to open in a browser or to print")


def show_scan(file: str, experiment: bool) -> None:
    """A scan on a terminal: counts, ranges, regions, provenance; or the experiment file that it came from."""
    from jaxmem import report
    from jaxmem.report.page_words import design_words
    from jaxmem.study.scanning.result import read_scan

    scan = read_scan(file)
    if experiment:
        if scan.experiment is None:
            raise UserError(f"{file} does not come from an experiment file")
        click.echo(scan.experiment, nl=not scan.experiment.endswith("\n"))
        return
    out = console()
    if scan.question:
        out.print(f"[bold]{escape(scan.question)}[/bold]\n")
    told = {"file": escape(f"{file}, {size(pathlib.Path(file).stat().st_size)}"), "design": escape(design_words(scan))}
    out.print(report.pairs(told | {f"axis {name}": escape(axis_words(a)) for name, a in scan.axes.items()}))
    out.print()
    out.print(report.scan(scan))
    out.print("\n[bold]Provenance[/bold]")
    out.print(report.pairs({k: escape(str(v)) for k, v in scan.provenance.items() if k != "question"}))
    out.print(f"\n  jaxmem report {escape(file)}    [dim]a page to show[/dim]", soft_wrap=True)


def axis_words(axis: Any) -> str:
    """An axis on one line: which parameter, from where to where, on which scale."""
    factor = f" times {axis.times}" if axis.times else ""
    levels = f", {len(axis.levels):,} levels" if axis.levels else ""
    ends = f"{axis.low:g} to {axis.high:g} {pretty(axis.unit)}".rstrip()
    return f"{axis.path}: {ends}{factor}, {axis.scale}{levels}"
