"""``jaxmem rerun`` of a scan: one of its points again, beside what the file says of it."""

import pathlib
from typing import Any

import numpy as np
from rich.markup import escape
from rich.table import Table

from jaxmem import report
from jaxmem.cli.errors import UserError
from jaxmem.cli.terminal import Progress, console
from jaxmem.study.scanning.again import STILL, Again, asked_at, simulated_at
from jaxmem.study.scanning.result import Scan, read_scan
from jaxmem.study.scanning.simulations import Simulations
from jaxmem.units import pretty


def rerun_point(source: pathlib.Path, point: int, target: pathlib.Path, execution: Any, overwrite: bool) -> None:
    with Progress() as progress:
        progress.phase(f"Reading {source}")
        scan = read_scan(source)
        progress.phase(f"Asking at point {point:,}")
        try:
            found = asked_at(scan, point)
        except IndexError as error:
            raise UserError(str(error)) from None
        simulation = None
        if found.after is not None:
            simulation = simulated_at(found, execution, progress.run)
        if simulation is not None:
            progress.phase("Writing")
            about = {"rerun_of": str(source), "rerun_point": point, "question": scan.question}
            simulation.save(target, overwrite=overwrite, experiment=scan.experiment, attributes=about)
    out = console()
    out.print(f"Point {point:,} of {escape(str(source))}: {escape(found.reason)}\n")
    out.print(_places(scan, found))
    if found.after is None:
        out.print(f"\n{_unasked(found)}")
        return
    out.print(_side_by_side(scan, found))
    out.print(f"\n{_verdict(scan, found)}")
    if simulation is None:
        return
    if isinstance(found.question, Simulations):
        told = "the same simulation"
        measured = {name: np.asarray(m.values)[..., 0] for name, m in simulation.measured.items()}
        odd = [n for n, x in measured.items()
               if not np.array_equal(x.astype(found.before[n].dtype), found.before[n], equal_nan=True)]  # fmt: skip
        if odd:
            out.print(escape(f"With everything recorded, {', '.join(odd)} came out otherwise than in the file."))
    else:
        v = np.asarray(simulation.traces["v"])[:, 0]
        told = f"{STILL:g} ms from its rest, from which v moved by {np.max(np.abs(v - v[0])):.1e} mV"
    name = escape(str(target))
    out.print(f"\n{name}: {told}, with every variable; see  jaxmem plot {name} --kind currents")
    out.print("[dim]jm.load of it has the cell as .membrane, and where it began as .initial_state[/dim]")


def _places(scan: Scan, found: Again) -> Any:
    return report.pairs(
        {escape(name): f"{x:.10g} {pretty(scan.axes[name].unit)}".strip() for name, x in found.coordinates.items()}
    )


def _side_by_side(scan: Scan, found: Again) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("", "in the file", "now", ""):
        table.add_column(heading, justify="left" if not heading else "right")
    assert found.after is not None
    for name, told in scan.outputs.items():
        if told.entries is None:
            words = told.codes or {}
            before, after = (
                escape(words[int(x)]) if x.dtype.kind == "i" and int(x) in words else f"{x:.12g}"
                for x in (found.before[name], found.after[name])
            )
        else:
            before = after = f"{told.entries} numbers"
        mark = "[red]not the same[/red]" if name in found.different else pretty(told.unit)
        table.add_row(escape(name), before, after, mark)
    return table


def _verdict(scan: Scan, found: Again) -> str:
    if not (odd := found.different):
        return f"Same bits: all {len(found.after or ())} numbers are those of the file."
    import jax

    then = {key: scan.provenance.get(key) for key in ("jax", "jaxmem")}
    return escape(
        f"Not the same bits: {', '.join(odd)} (the file was made by jaxmem {then['jaxmem']} with jax {then['jax']}; this is jax "
        f"{jax.__version__} on {jax.devices()[0].device_kind})."
    )


def _unasked(found: Again) -> str:
    if found.question is not None:
        return "Asked again it raised again, so that there are no numbers."
    status = found.reason.partition(":")[0]
    if status == "POISON":
        return "It was not asked again: that would kill this process too.."
    return "It was not asked, then or now: no cell has such a parameter."
