"""Chunks in this process: one after the other, or one on each of several devices."""

from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import jax

from jaxmem.study.scanning.answers import Answers, answers
from jaxmem.study.scanning.executors.base import Done, Executor, Failed, Outcome, hopeless, told
from jaxmem.study.scanning.plan import Chunk, ScanPlan
from jaxmem.study.scanning.shards import Folder


class InProcess(Executor):
    """Computes here. ``devices``: JAX devices, each with a chunk of its own at a time. None: every GPU where there are
    several, else JAX's default device; that one alone where ``jax.default_device`` names one.

    While a chunk is computed the one before it is written. Stopped, by Ctrl-C for one, it finishes what it has begun.
    Cells of different points do not talk to each other, so devices share nothing, and the numbers do not depend on how
    many there are.
    """

    def __init__(self, devices: Sequence[Any] | None = None):
        self.devices: list[Any] = _all() if devices is None else list(devices)
        self.workers = len(self.devices)
        if not self.devices:
            raise ValueError("devices is None, or a list of at least one device")

    def map(self, plan: ScanPlan, chunks: Iterable[Chunk], output: Path) -> Generator[Outcome, None, None]:
        folder, left = Folder(output), iter(chunks)
        computing: dict[Future, tuple[Chunk, Any]] = {}
        writing: dict[Future, Chunk] = {}
        plan.outputs  # noqa: B018 - asked once, not in every thread
        idle = list(reversed(self.devices))
        with ThreadPoolExecutor(self.workers) as computers, ThreadPoolExecutor(1) as writer:
            try:
                while True:
                    # no more is computed ahead of the disk than one chunk per device
                    while idle and len(writing) <= self.workers and (chunk := next(left, None)) is not None:
                        device = idle.pop()
                        computing[computers.submit(_answers, plan, chunk, device)] = chunk, device
                    if not computing and not writing:
                        return
                    finished, _ = wait([*computing, *writing], return_when=FIRST_COMPLETED, timeout=0.2)
                    for future in finished:
                        if future in writing:
                            yield _outcome(writing.pop(future), future)
                            continue
                        chunk, device = computing.pop(future)
                        idle.append(device)
                        if future.exception() is not None:
                            yield _outcome(chunk, future)
                        else:
                            writing[writer.submit(folder.write_shard, plan, chunk, future.result())] = chunk
            finally:  # stopped: what has been begun is finished and kept
                for future, (chunk, _) in computing.items():
                    if not future.cancel() and future.exception() is None:
                        writing[writer.submit(folder.write_shard, plan, chunk, future.result())] = chunk
                wait(writing)

    def close(self) -> None:
        """There is nobody to end."""


def _all() -> list[Any]:
    there = jax.devices()
    chosen = jax.config.jax_default_device is not None  # type: ignore[attr-defined]
    return [None] if chosen or there[0].platform == "cpu" or len(there) == 1 else there


def _answers(plan: ScanPlan, chunk: Chunk, device: Any) -> Answers:
    if device is None:
        return answers(plan, chunk)
    with jax.default_device(device):
        return answers(plan, chunk)


def _outcome(chunk: Chunk, future: Future) -> Outcome:
    error = future.exception()
    if error is None:
        return Done(chunk, future.result())
    if not isinstance(error, Exception):
        raise error
    return Failed(chunk, told(error), hopeless(error))
