"""``jaxmem show``, ``jaxmem plot`` and ``jaxmem rerun``: what one does with a result file."""

import dataclasses
import inspect
import pathlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from rich.markup import escape
from rich.table import Table

from jaxmem.cli.errors import UserError
from jaxmem.cli.terminal import Progress, console, size
from jaxmem.study.hdf5 import opened
from jaxmem.study.summary import FileSummary, MeasureSummary, VariablesSummary, kind_of, summary
from jaxmem.units import pretty

if TYPE_CHECKING:
    from rich.console import Console

    from jaxmem.engine.simulation import Simulation

SAMPLES = 50_000  # of each variable that a rerun records: every step of a second, rarer beyond


# ---------------------------------------------------------------------- show
def show(file: str, experiment: bool) -> None:
    if kind_of(file) == "scan":
        from jaxmem.cli.report import show_scan

        show_scan(file, experiment)
        return
    found = summary(file)
    if experiment:
        if found.experiment is None:
            raise UserError(f"{file} does not come from an experiment file")
        click.echo(found.experiment, nl=not found.experiment.endswith("\n"))
        return
    from jaxmem.report import pairs

    out = console()
    if found.question:
        out.print(f"[bold]{escape(found.question)}[/bold]\n")
    if isinstance(found, VariablesSummary):
        if found.kind == "fits":
            from jaxmem import report
            from jaxmem.study.fits import read_fits

            out.print(report.fits(read_fits(file)))
            out.print()
        show_variables(out, found)
        return
    out.print(pairs(_head(found)))
    if found.measures:
        out.print("\n[bold]Measures[/bold]")
        out.print(spreads(found.measures, "cells"))
    shapes: dict[str, list[tuple[str, str, str]]] = {}
    for name, v in found.variables.items():
        if v.dims and v.dims[0].startswith("time"):
            told = " x ".join(f"{n:,} {d}" for n, d in zip(v.shape, v.dims, strict=True))
            shapes.setdefault(told, []).append((name, pretty(v.unit), escape(v.description)))
    for shape, lines in shapes.items():
        out.print(f"\n[bold]Traces[/bold] [dim]{shape}[/dim]")
        table = Table(box=None, show_header=False, padding=(0, 1), pad_edge=False)
        table.add_column(no_wrap=True)
        for line in lines:
            table.add_row(*line)
        out.print(table)
    out.print("\n[bold]Provenance[/bold]")
    out.print(pairs({k: escape(str(v)) for k, v in found.provenance.items() if k != "question"}))


def spreads(measures: Mapping[str, MeasureSummary], counted: str) -> Table:
    """A row each: median, 5 to 95 %, unit, how many, meaning."""
    from jaxmem.report import number

    table = Table(box=None, header_style="dim", padding=(0, 1), pad_edge=False)
    table.add_column("", no_wrap=True)
    table.add_column("median", justify="right", no_wrap=True)
    table.add_column("5 to 95 %", justify="center", no_wrap=True)
    table.add_column("unit")
    table.add_column(counted, justify="right")
    table.add_column("")
    for name, m in measures.items():
        spread = f"{number(m.low)} … {number(m.high)}" if m.count > 1 else ""
        table.add_row(name, number(m.median), spread, pretty(m.unit), f"{m.count:,}", escape(m.description))
    return table


def show_variables(out: "Console", found: VariablesSummary) -> None:
    """A file of variables: what was expected and found, each variable's spread, where it comes from."""
    from jaxmem.report import pairs
    from jaxmem.study.findings import Finding

    told = {"file": escape(f"{found.path}, {size(found.size)}"), "holds": found.kind}
    if found.status:
        told["what became of the cells"] = "; ".join(f"{n:,} {reason}" for reason, n in found.status.items())
    if found.varied:
        told["varied"] = ", ".join(found.varied)
    if found.experiment:
        told["experiment"] = f"jaxmem show {escape(found.path)} --experiment  prints the file it came from"
    out.print(pairs(told))
    if findings := found.provenance.get("findings"):
        out.print("\n[bold]Findings[/bold]")
        for f in findings:
            out.print(escape(str(Finding(**{k: x for k, x in f.items() if k != "holds"}))), soft_wrap=True)
    shapes: dict[str, dict[str, MeasureSummary]] = {}
    for name, v in found.variables.items():
        over = " x ".join(f"{n:,} {d}" for n, d in zip(v.shape, v.dims, strict=True)) or "single numbers"
        nothing = MeasureSummary(v.unit, v.description, np.nan, np.nan, np.nan, int(np.prod(v.shape)))
        shapes.setdefault(over, {})[name] = found.measures.get(name, nothing)
    for over, those in shapes.items():
        out.print(f"\n[bold]Variables[/bold] [dim]{over}[/dim]")
        out.print(spreads(those, "values"))
    out.print("\n[bold]Provenance[/bold]")
    out.print(pairs({k: escape(str(v)) for k, v in found.provenance.items() if k not in ("question", "findings")}))


def _head(found: FileSummary) -> dict[str, str]:
    ends = found.start + found.duration
    fates = [f"{n:,} {reason if reason == 'ok' else f'failed: {reason}'}" for reason, n in found.status.items()]
    if "spike_count" in found.measures:
        with opened(found.path) as file:
            spikes = file.array("spike_count")
        fates[:1] = [f"{int(np.sum(spikes == 0)):,} stayed silent", f"{int(np.sum(spikes > 0)):,} spiked"]
    told = {
        "file": escape(f"{found.path}, {size(found.size)}"),
        "cells": "one, without a cell axis" if found.cells is None else f"{found.cells:,}",
        "what became of them": "; ".join(fates),
        "run": f"{found.start:g} to {ends:g} ms in steps of {found.dt:g} ms, {found.precision}",
        "varied": ", ".join(path for path in found.varied if path != "initial_v") or "nothing",
        "books": f"charge closes to {found.audit_charge:.1e} of what moved, amounts to {found.audit_mass:.1e}",
    }
    told |= {name: ", ".join(f"{n:,} {word}" for word, n in counts.items()) for name, counts in found.labels.items()}
    if found.changes:
        told["changed in time"] = escape("; ".join(found.changes))
    if found.preset:
        told["membrane"] = found.preset
    if found.experiment:
        told["experiment"] = f"jaxmem show {escape(found.path)} --experiment  prints the file it came from"
    return told


# ---------------------------------------------------------------------- plot
def plot(
    file: str, kind: str, output: str | None, cells: tuple[int, ...], measures: tuple[str, ...], overwrite: bool
) -> None:
    from jaxmem import plots
    from jaxmem.study.store import load

    source = pathlib.Path(file)
    holds = kind_of(source)
    if holds == "scan":
        kind = _kind_of_scan(source, kind, cells, measures)
    target = pathlib.Path(output or source.with_name(f"{source.stem}-{kind}.png"))
    if target.exists() and not overwrite:
        raise UserError(f"{target} exists; choose another name (--overwrite replaces it)")
    if target.suffix.lower() not in (".png", ".pdf", ".svg"):
        raise UserError(f"{target}: a picture ends in .png, .pdf or .svg")
    if holds != "a simulation":
        _plot_other(source, holds, target, kind, cells, measures)
        return
    draw = plots.KINDS[kind]
    takes = set(inspect.signature(draw).parameters)
    given: dict[str, Any] = {}
    if cells:
        if "cells" not in takes:
            raise UserError(f"--cell is for voltage, concentrations, reversals and currents; {kind} shows all cells")
        given["cells"] = list(cells)
    if measures and "measures" in takes:
        given["measures"] = list(measures)
    elif measures and "measure" in takes and len(measures) == 1:
        given["measure"] = measures[0]
    elif measures:
        raise UserError("--measure is for distributions, and once for a map")
    with Progress() as progress:
        progress.phase(f"Reading {file}")
        simulation = load(file)
        progress.phase("Drawing")
        plots.save(draw(simulation, **given), target)
    click.echo(f"{target}")


def _kind_of_scan(source: pathlib.Path, kind: str, cells: tuple[int, ...], measures: tuple[str, ...]) -> str:
    """A measure means its map. Raises UserError for what is not drawn of a scan."""
    kind = "map" if measures and kind == "overview" else kind
    if cells or kind not in ("overview", "map") or len(measures) > (kind == "map"):
        text = (
            f"a single point is 'jaxmem rerun {source} --cell N'"
            if cells
            else f"all figures are in 'jaxmem report {source}'"
        )
        raise UserError(
            f"{source} holds a scan: there are its overview, and with --measure the map of one output over the axes that "
            f"matter most to it; {text}"
        )
    return kind


def _plot_other(
    source: pathlib.Path, holds: str, target: pathlib.Path, kind: str, cells: tuple[int, ...], measures: tuple[str, ...]
) -> None:
    from jaxmem import plots
    from jaxmem.study import fits, rests
    from jaxmem.study.scanning import merge

    drawn: dict[str, Callable[[], Any]] = {
        rests.KIND: lambda: plots.rests(rests.read_rests(source), title=summary(source).question),
        fits.KIND: lambda: plots.fits(fits.read_fits(source), title=summary(source).question),
        merge.KIND: lambda: _scan(source, kind, *measures),
    }
    if holds not in drawn:
        raise UserError(f"{source} holds {holds}, no simulation; 'jaxmem show' tells them, and xarray opens the file")
    if holds != merge.KIND and (kind != "overview" or cells or measures):
        raise UserError(f"{source} holds {holds}: it has the kind overview alone, of all cells")
    with Progress() as progress:
        progress.phase("Drawing")
        plots.save(drawn[holds](), target)
    click.echo(f"{target}")


def _scan(source: pathlib.Path, kind: str, measure: str | None = None) -> Any:
    from jaxmem import plots
    from jaxmem.study.scanning.result import read_scan

    found = read_scan(source)
    title = " ".join(found.question.split()) or None
    return plots.scan(found, title=title) if kind == "overview" else plots.scan_map(found, measure, title=title)


# ---------------------------------------------------------------------- rerun
def rerun(file: str, cell: int, output: str | None, device: str | None, overwrite: bool) -> None:
    """One cell again, with everything recorded. It runs in whole blocks like all cells, so its bits are the same."""
    from jaxmem import report
    from jaxmem.cli.simulate import find_device
    from jaxmem.engine.measures import EFEL, MEASURES
    from jaxmem.engine.records import GROUPS, Record
    from jaxmem.engine.request import Execution
    from jaxmem.engine.simulate import simulate
    from jaxmem.membrane.parameters import select
    from jaxmem.study.files import check_target
    from jaxmem.study.store import load

    source = pathlib.Path(file)
    scanned = kind_of(source) == "scan"
    target = pathlib.Path(output or f"{source.stem}-{'point' if scanned else 'cell'}-{cell}.h5")
    try:
        check_target(target, overwrite)
    except FileExistsError as error:
        raise UserError(f"{error} (--overwrite replaces it)") from None
    execution = Execution(device=find_device(device))
    if scanned:
        from jaxmem.cli.rerun_point import rerun_point

        rerun_point(source, cell, target, execution, overwrite)
        return
    with Progress() as progress:
        progress.phase(f"Reading {file}")
        whole = load(file)
        n = np.size(whole.status)
        if cell >= n:
            raise UserError(f"{file} has no cell {cell}; its cells are 0 to {n - 1}")
        here = slice(cell, cell + 1)
        steps = round(whole.duration / whole.dt)
        every = whole.dt * -(-steps // SAMPLES)
        known = {**EFEL, **MEASURES}  # with their own arguments: those of a table in the experiment are not in the file
        names = [name for name in known if any(m == name or m.startswith(f"{name}.") for m in whole.measured)]
        progress.phase(f"Simulating cell {cell}")
        again = simulate(
            select(whole.membrane, here), whole.duration, dt=whole.dt,
            stimulus=None if whole.stimulus is None else select(whole.stimulus, here),
            changes=select(whole.changes, here), integrator=whole.integrator,
            initial=whole.initial_state[here],
            record=Record(("v", "stimulus", *GROUPS), every=every), measures=names, precision=whole.precision,
            execution=execution, progress=progress.run,
        )  # fmt: skip
        labels = {name: dataclasses.replace(known, values=known.values[here]) for name, known in whole.labels.items()}
        again = dataclasses.replace(again, labels=labels)
        progress.phase("Writing")
        text = summary(file).experiment
        again.save(
            target, overwrite=overwrite, experiment=text, attributes={"rerun_of": str(source), "rerun_cell": cell}
        )
    out = console()
    out.print(report.of(again))
    out.print()
    out.print(_verdict(whole, again, here))
    name = escape(str(target))
    out.print(f"\n{name}: {len(again.recorded)} variables every {every:g} ms; see  jaxmem plot {name} --kind currents")


def _verdict(whole: "Simulation", again: "Simulation", here: slice) -> str:
    """Whether the cell ended in the same bits."""
    import jax

    old = jax.tree_util.tree_leaves_with_path(jax.tree.map(np.asarray, whole.final_state)[here])
    new = jax.tree.leaves(jax.tree.map(np.asarray, again.final_state))
    other = [jax.tree_util.keystr(key) for (key, a), b in zip(old, new, strict=True) if _bits(a) != _bits(b)]
    if not other:
        return f"Same bits: all {len(new)} parts of the final state are those of the file."
    v = [float(np.ravel(np.asarray(s.v))[0]) for s in (whole.final_state[here], again.final_state)]
    then = {key: whole.info.get(key) for key in ("device", "jax")}
    now = {key: again.info.get(key) for key in ("device", "jax")}
    why = (
        f"the file was made with {then}, this is {now}"
        if then != now
        else "the same device and version of jax; another processor may be the reason"
    )
    return escape(
        f"Not the same bits: {len(other)} of {len(new)} parts of the final state differ; v ended at {v[1]:.6f} instead "
        f"of {v[0]:.6f} mV ({why})."
    )


def _bits(x: Any) -> bytes:
    return np.ravel(np.asarray(x)).tobytes()
