"""What every benchmark here needs: timing in turns, the C limit, and a record of what was run on what."""

import dataclasses
import datetime
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"


# ---------------------------------------------------------------------- timing
@dataclasses.dataclass(frozen=True)
class Sample:
    """One timed run: cell-steps done, CPU-seconds of the process that did them, and wall time (s)."""

    cell_steps: float
    cpu: float
    wall: float


def timed(work: Callable[[], Any], cell_steps: float) -> Callable[[], Sample]:
    """A function that does ``work`` in this process and tells what it cost."""

    def run() -> Sample:
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        return Sample(cell_steps, time.process_time() - cpu, time.perf_counter() - wall)

    return run


def in_turns(cases: Mapping[str, Callable[[], Sample]], rounds: int) -> dict[str, list[Sample]]:
    """Run the cases A B C A B C ..., once for nothing and then ``rounds`` times, so that all see the same machine."""
    for run in cases.values():
        run()
    found: dict[str, list[Sample]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, run in cases.items():
            found[name].append(run())
    return found


def spread(values: Any) -> dict[str, float]:
    """Median and range, to four digits."""
    values = np.asarray(list(values), float)
    return {k: float(f"{f(values):.4g}") for k, f in (("median", np.median), ("min", np.min), ("max", np.max))}


def rates(samples: list[Sample]) -> dict[str, Any]:
    """Cell-steps per CPU-second and per second of wall time."""
    return {
        "per_cpu_second": spread(s.cell_steps / s.cpu for s in samples),
        "per_second": spread(s.cell_steps / s.wall for s in samples),
    }


def ratio(of: list[Sample], to: list[Sample], clock: str = "cpu") -> dict[str, float]:
    """How many times the rate of ``to`` the rate of ``of`` is, turn by turn; ``clock`` is "cpu" or "wall"."""
    rate = lambda s: s.cell_steps / getattr(s, clock)
    return spread(rate(a) / rate(b) for a, b in zip(of, to, strict=True))


# ---------------------------------------------------------------------- the C limit
FLAGS = ["-O3", "-march=native", "-fopenmp-simd", "-mprefer-vector-width=512"]


@dataclasses.dataclass(frozen=True)
class Limit:
    """The fastest build of limit.c that the compilers here make."""

    program: Path
    build: str

    def run(self, workload: str, cells: int, steps: int) -> tuple[Sample, float]:
        """The sample, and spikes per cell."""
        words = [str(self.program), workload, str(cells), str(steps)]
        told = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
        return Sample(told["cell_steps"], told["cpu_seconds"], told["wall_seconds"]), told["spikes_per_cell"]


def build_limit(precision: str, workload: str, folder: Path, widths: tuple[int, ...] = (64, 256)) -> Limit | None:
    """Build limit.c with every compiler and block width and keep what runs ``workload`` fastest; None: no compiler."""
    real = {"float32": "float", "float64": "double"}[precision]
    # -ffast-math breaks the rounding by magic numbers in double precision
    extra = [[], ["-ffast-math"]] if real == "float" else [[]]
    built: list[tuple[float, Limit]] = []
    for compiler in filter(shutil.which, ("gcc", "clang")):
        for lanes in widths:
            for more in extra:
                program = folder / f"limit-{compiler}-{real}-{lanes}-{len(more)}"
                options = [*FLAGS, *more, f"-DREAL={real}", f"-DLANES={lanes}"]
                words = [compiler, *options, str(HERE / "limit.c"), "-o", str(program), "-lm"]
                if subprocess.run(words, capture_output=True).returncode:
                    continue
                limit = Limit(program, f"{version_of(compiler)}, {' '.join(options)}")
                tries = [limit.run(workload, 4096, 2000)[0] for _ in range(3)]
                built.append((max(s.cell_steps / s.cpu for s in tries), limit))
    return max(built, key=lambda b: b[0])[1] if built else None


def version_of(compiler: str) -> str:
    told = subprocess.run([compiler, "--version"], capture_output=True, text=True).stdout
    return f"{compiler} {found.group() if (found := re.search(r'[0-9]+[.][0-9.]+', told)) else ''}".strip()


# ---------------------------------------------------------------------- on what
def machine() -> dict[str, Any]:
    """Processor, cores, the vector instructions it has, and the operating system; nothing that names the machine."""
    try:
        told = Path("/proc/cpuinfo").read_text()
    except OSError:
        told = ""
    field = lambda name: m.group(1).strip() if (m := re.search(rf"^{name}\s*:(.*)$", told, re.M)) else None
    flags = (field("flags") or "").split()
    return {
        "processor": field("model name") or platform.processor() or platform.machine(),
        "family_and_model": [field("cpu family"), field("model")],
        "cores": os.cpu_count(),
        "vector_instructions": [f for f in ("avx2", "avx512f") if f in flags],
        "system": f"{platform.system()} {platform.machine()}",
        "load_at_start": round(os.getloadavg()[0], 1),
    }


def versions() -> dict[str, str | None]:
    """Of everything that can change the numbers."""
    import jax
    import jaxlib

    import jaxmem

    words = ["git", "-C", str(HERE), "describe", "--always", "--dirty"]
    try:
        revision = subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        revision = None
    return {
        "python": platform.python_version(),
        "jax": jax.__version__,
        "jaxlib": jaxlib.__version__,
        "numpy": np.__version__,
        "jaxmem": jaxmem.__version__,
        "revision": revision,
    }


def record(what: str, results: Any, device: str | None = None, folder: Path | None = None) -> Path:
    """Write results as JSON, named by what, machine, date and version of JAX; the file appears whole or not at all."""
    on, of = machine(), versions()
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    slug = re.sub(r"[^a-z0-9]+", "-", (device or f"{on['processor']} {on['cores']} cores").lower()).strip("-")
    folder = folder or RESULTS
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{what}-{slug}-{date}-jax{of['jax']}.json"
    text = json.dumps({"what": what, "date": date, "machine": on, "versions": of, "results": results}, indent=1)
    with tempfile.NamedTemporaryFile("w", dir=folder, suffix=".tmp", delete=False) as file:
        file.write(text + "\n")
    Path(file.name).replace(path)
    return path


def in_fresh_process(script: str, *words: str, environment: Mapping[str, str] | None = None) -> Any:
    """Run a script beside this file and return the JSON on the last line it prints."""
    run = subprocess.run(
        [sys.executable, str(HERE / script), *words],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **(environment or {})},
    )
    if run.returncode:
        raise RuntimeError(f"{script} {' '.join(words)} ended with status {run.returncode}")
    return json.loads(run.stdout.splitlines()[-1])
