"""How a process that is jaxmem's own is set up before JAX starts: that of a command, and every worker of a scan.

The library itself never does this: what is global belongs to the program, and ``import jaxmem`` is no program.
"""

import contextlib
import hashlib
import importlib.metadata
import os
import pathlib
import sys
from collections.abc import Mapping
from typing import Any

WHILE_LOOPS = "xla_cpu_small_while_loop_byte_threshold"
WHILE_LOOP_FLAG = f"--xla_backend_extra_options={WHILE_LOOPS}=10000000"
SETTINGS = (
    "jax_enable_x64", "jax_default_matmul_precision", "jax_default_prng_impl", "jax_threefry_partitionable",
    "jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs",
)  # fmt: skip


def prepare(device: str | None = None) -> None:
    """64-bit numbers, the compilation cache, and the one flag that jax 0.10 needs. Respects what is set already.

    Steady states are solved in float64; the run itself has the precision that the experiment says.
    """
    if "jax" in sys.modules:  # somebody else's process
        return
    os.environ["JAX_ENABLE_X64"] = "1"
    if device == "cpu":
        os.environ["JAX_PLATFORMS"] = "cpu"
    flags = os.environ.get("XLA_FLAGS", "")
    if needs_flag() and "xla_backend_extra_options" not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {WHILE_LOOP_FLAG}".strip()
    keep_programs()


def keep_programs() -> None:
    """Compiled programs are kept for later processes, unless it is said where."""
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ and (folder := _cache()) is not None:
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder)
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.3")


def settings() -> dict[str, Any]:
    """What a worker needs to find the same bits as this process would, and its programs: JAX's settings by name."""
    import jax

    return {name: value for name in SETTINGS if (value := getattr(jax.config, name, None)) is not None}


def variables(given: Mapping[str, Any]) -> dict[str, str]:
    """Settings as JAX reads them from the environment."""
    return {name.upper(): str(int(x) if isinstance(x, bool) else x) for name, x in given.items()}


def needs_flag() -> bool:
    """jax 0.10 calls every kernel of a loop one by one unless told otherwise, which takes twice as long."""
    return importlib.metadata.version("jax").startswith("0.10.")


def _cache() -> pathlib.Path | None:
    """A directory for compiled programs, of this jaxlib and this kind of processor; None where none can be made.

    Homes are shared between machines, and code for a newer processor would crash an older one.
    """
    base = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path("~").expanduser() / ".cache")
    folder = base / "jaxmem" / f"{importlib.metadata.version('jaxlib')}-{_processor()}"
    with contextlib.suppress(OSError, RuntimeError):
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK | os.X_OK):
            return folder
    return None


def _processor() -> str:
    told = f"{sys.platform} {os.uname().machine}"
    with contextlib.suppress(OSError):
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        told += "".join(
            next((x for x in lines if x.startswith(key)), "") for key in ("model name", "flags", "Features")
        )
    return hashlib.sha256(told.encode()).hexdigest()[:12]
