"""A scan that is killed again and again: ``python scan_kills.py FOLDER KILLS SEED [workers]``, a JSON report on stdout.

Each trial runs the same scan in a process of its own, kills it -9 at a random moment, checks that every chunk that was
told as done is there, and goes on until the scan is through; the result is compared with an undisturbed one, dataset by
dataset. Processes are forked before JAX has started, so that a trial costs its scan and no imports. With ``workers`` it
computes in so many processes, and it is one of them that is killed, or all of them, or the one that hands out the work.
"""

import contextlib
import json
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import psutil
import scan_kills  # this file by its name: workers import what they are asked

import jaxmem as jm
from jaxmem.study.scanning.scan import scan
from jaxmem.study.scanning.shards import Folder

POINTS, CHUNK, OUTPUTS = 60_000, 2_000, 6


def several(at):
    """Some numbers, a few of which are not there."""
    x, y = at["x"], at["y"]
    found = {f"z{i}": np.sin((i + 1) * x) * np.exp(-y) + i for i in range(OUTPUTS)}
    found["z0"] = np.where(x > 0.99, np.nan, found["z0"])
    return found


def question():
    gives = {f"z{i}": ("1", f"number {i}") for i in range(OUTPUTS)}
    return jm.questions.Function(scan_kills.several, gives, {"x": (0.0, "1", "x"), "y": (0.0, "1", "y")})


def design():
    return jm.designs.Sobol({"x": jm.Axis(0.0, 1.0), "y": jm.Axis(0.1, 3.0, scale="log")}, POINTS, seed=1)


def run(output, told=None, workers=0):
    def progress(done, total):
        if told is not None:
            os.write(told, f"{done}\n".encode())

    executor = jm.executors.Pool(workers) if workers else None
    scan(
        question(),
        design(),
        output=output,
        chunk=CHUNK,
        question="What?",
        executor=executor,
        progress=progress,
        note=None,
    )
    if executor is not None:
        executor.close()


def datasets(path):
    """Every dataset outside /provenance, and how it is compressed, by name."""
    found = {}

    def keep(name, x):
        if isinstance(x, h5py.Dataset) and not name.startswith("provenance"):
            value = x[()]
            found[name] = (x.dtype.str, value.tobytes() if isinstance(value, np.ndarray) else value)

    with h5py.File(path, "r") as file:
        file.visititems(keep)
    return found


def child(output, log, workers=0):
    """The scan in a process of its own; its id."""
    process = os.fork()
    if process:
        return process
    try:
        run(output, os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), workers)
    except BaseException as error:
        os.write(2, f"{type(error).__name__}: {error}\n".encode())
        os._exit(1)
    os._exit(0)


def seconds_of(output, log, workers):
    began = time.perf_counter()
    assert os.waitpid(child(output, log, workers), 0)[1] == 0, "an undisturbed scan"
    return time.perf_counter() - began


def victims(process, rng, workers):
    """Whom to kill: the scan itself, or, a little more often, its workers."""
    if not workers or rng.random() < 0.4:
        return [process]
    try:
        there = [p.pid for p in psutil.Process(process).children()]
    except psutil.Error:
        return [process]
    return rng.sample(there, rng.choice([1, len(there)])) if there else [process]


def phase(folder):
    """Where the kill found it."""
    if folder.output.exists():
        return "named" if folder.place.exists() else "through"
    if not folder.exists():
        return "beginning"
    if any(folder.place.glob(".jaxmem-*.part")) or (folder.place / "merged.h5").exists():
        return "merging"
    return "computing"


def campaign(place, kills, seed, workers=0):
    rng = random.Random(seed)
    whole = place / "whole.h5"
    usual = min(seconds_of(whole, place / "log", workers), _again(place, 0, workers))
    wanted = datasets(whole)
    phases, killed, resumed, round_ = {}, 0, 0, 0
    while killed < kills:
        round_ += 1
        output, log = place / f"{round_}.h5", place / f"{round_}.log"
        folder = Folder(output)
        while True:
            if killed < kills:
                process = child(output, log, workers)
                time.sleep(rng.uniform(0, usual * 1.05))
                chosen = victims(process, rng, workers)
                hit = "worker" if process not in chosen else None
                for one in chosen:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(one, signal.SIGKILL)
                ended = os.waitpid(process, 0)[1]
                if os.WIFSIGNALED(ended) or hit:
                    killed += 1
                    hit = hit or phase(folder)
                    phases[hit] = phases.get(hit, 0) + 1
                if not os.WIFSIGNALED(ended):
                    assert os.waitstatus_to_exitcode(ended) == 0, f"round {round_}: a resumed scan failed"
            else:
                assert os.waitstatus_to_exitcode(os.waitpid(child(output, log, workers), 0)[1]) == 0
            told = max((int(x) for x in log.read_text().split()), default=0) if log.exists() else 0
            there = POINTS if output.exists() else sum(c.stop - c.start for c in folder.done())
            assert there >= told, f"round {round_}: {told} points were told as done, {there} are there"
            if output.exists() and not folder.place.exists():
                break
            resumed += 1
        assert datasets(output) == wanted, f"round {round_}: not the bits of an undisturbed scan"
        for file in (output, log):
            file.unlink()
    left = [p.name for p in place.iterdir() if p.name.startswith(".jaxmem")]
    return {"kills": killed, "rounds": round_, "resumed": resumed, "phases": phases, "left": left, "usual": usual}


def _again(place, i, workers):
    output = place / f"usual{i}.h5"
    spent = seconds_of(output, place / "log", workers)
    output.unlink()
    return spent


if __name__ == "__main__":
    where = Path(sys.argv[1])
    where.mkdir(exist_ok=True)
    print(json.dumps(campaign(where, *map(int, sys.argv[2:]))))
    shutil.rmtree(where)
