"""``jaxmem presets`` and ``jaxmem devices``."""

import importlib.metadata
import inspect
import os

import jax
import numpy as np
from rich.markup import escape
from rich.table import Table

from jaxmem.cli.process import WHILE_LOOPS, needs_flag
from jaxmem.cli.terminal import console, size
from jaxmem.engine.cores import cores
from jaxmem.membrane import presets as published
from jaxmem.report import pairs
from jaxmem.units import pretty


def presets(name: str | None) -> None:
    out = console()
    if name is None:
        table = Table(box=None, show_header=False, padding=(0, 1), pad_edge=False)
        for preset in published.names():
            table.add_row(f"[bold]{preset}[/bold]", escape(published.description(preset)))
        out.print(table)
        out.print("\n[dim]jaxmem presets NAME tells the parameters and sources of one[/dim]")
        return
    membrane = published.get(name)
    out.print(f"[bold]{name}[/bold]\n")
    out.print(escape(inspect.getdoc(getattr(published, name)) or ""))
    table = Table(box=None, header_style="bold", padding=(0, 1), pad_edge=False)
    table.add_column("parameter", no_wrap=True)
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("unit", no_wrap=True)
    table.add_column("meaning")
    for path, p in membrane.parameters().items():
        table.add_row(path, f"{float(np.asarray(p.value)):.6g}", pretty(p.unit), escape(p.description))
    out.print()
    out.print(table)
    dynamic = ", ".join(f"{species}.{side}" for species, side in membrane.pools()) or "none"
    carrier = membrane.carrier if membrane.carrier != "none" else "no ion"
    out.print(f"\ndynamic concentrations: {dynamic}; the electrode injects {carrier} unless told otherwise")


def devices() -> None:
    out = console()
    table = Table(box=None, header_style="bold", padding=(0, 1), pad_edge=False)
    for column in ("device", "kind", "memory", "runs"):
        table.add_column(column)
    for device in _all_devices():
        cpu = device.platform == "cpu"
        memory = _main_memory() if cpu else (device.memory_stats() or {}).get("bytes_limit")
        how = f"one thread per core: {cores()}" if cpu else "the whole population at once"
        table.add_row(f"{device.platform}:{device.id}", device.device_kind, size(memory) if memory else "?", how)
    out.print(table)
    if all(device.platform == "cpu" for device in _all_devices()):
        out.print("[dim]no GPU that JAX can use; for an NVIDIA GPU install the extra cuda12 or cuda13[/dim]")
    out.print()
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("jax", "jaxlib", "numpy"))
    folder = os.environ.get("JAX_COMPILATION_CACHE_DIR")
    told = {
        "precision": "float32 or float64, as run.precision says; float64 takes about twice the time on a CPU and far "
        "more on most GPUs. Steady states are always solved in float64",
        "XLA_FLAGS": _flags(),
        "compiled programs": f"kept in {folder}" if folder else "not kept: no directory for them can be written",
        "versions": versions,
    }
    out.print(pairs({name: escape(text) for name, text in told.items()}))


def _all_devices() -> list[jax.Device]:
    found = list(jax.devices())
    if all(device.platform != "cpu" for device in found):
        found += jax.devices("cpu")
    return found


def _flags() -> str:
    flags = os.environ.get("XLA_FLAGS", "")
    if not needs_flag():
        return f"{flags} (as you set them)" if flags else "none set, none needed by this jax"
    if WHILE_LOOPS in flags:
        return f"{flags} (jax 0.10 runs loops on a CPU faster with it)"
    advice = f"jax 0.10 would be faster on a CPU with {WHILE_LOOPS}=10000000 among its xla_backend_extra_options"
    return f"{flags} (as you set them; {advice})"


def _main_memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None
