"""Chunks on a Dask cluster: of this machine, or of as many as its scheduler knows."""

import contextlib
import hashlib
import itertools
import logging
import os
import queue
import signal
import time
import warnings
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import Any

from jaxmem import __version__
from jaxmem.study.scanning.executors.base import Died, Executor, Failed, Outcome
from jaxmem.study.scanning.executors.dask_task import VersionError, Work, answer
from jaxmem.study.scanning.executors.environment import settings
from jaxmem.study.scanning.executors.pool import pickled
from jaxmem.study.scanning.executors.slots import slots
from jaxmem.study.scanning.plan import Chunk, ScanPlan
from jaxmem.study.scanning.shards import Folder

LOCAL = "local"
AHEAD = 2  # chunks per worker: one that is computed, one that waits
LOOK = 1.0  # s between looks at how many workers there are
TOGETHER = 0.3  # s in which the chunks of one dead worker are heard of
SHORT = 30.0  # s after which a cluster of our own that lacks workers is made anew: nannies give up at times
SOON = 2.0  # s after the report of a death in which more of it may be heard; an address may be used again later
FETCH = 5.0  # s that an answer may take to come over
TRIES = 3  # times that a chunk is sent again after the cluster lost it
QUIET = {
    "distributed.scheduler.allowed-failures": 0,  # a chunk whose worker died is not tried again unasked
    "distributed.admin.large-graph-warning-threshold": "1 TiB",  # the plan may hold a table of points
}


class Dask(Executor):
    """Computes on the workers of ``dask.distributed``, which may come and go. Needs ``pip install 'jaxmem[dask]'``.

    ``address``: of a scheduler, "tcp://host:8786"; None or "local": a cluster of this machine that ends with the
    executor, of ``workers`` processes with a core group or a GPU each (None: as many as :class:`Pool` has). Workers
    need the same version of jaxmem and the directory of the output under the same name.

    The death of a worker costs the chunk that it computed; where the scheduler itself tries such a chunk again (its
    ``allowed-failures``), it is reported when it has killed that many. Raises ModuleNotFoundError, ValueError, and OSError
    where no scheduler answers.
    """

    def __init__(self, address: str | None = None, workers: int | None = None):
        _needed()
        self.address = None if address in (None, LOCAL) else address
        if self.address is not None and workers is not None:
            raise ValueError("a cluster has its own workers: give workers without an address, or an address alone")
        self.slots = slots(workers) if self.address is None else []
        self.workers = len(self.slots)
        self._cluster: Any = None
        self._client: Any = None
        if self.address is not None:
            self._connect()
            self.workers = max(1, self._count())

    def map(self, plan: ScanPlan, chunks: Iterable[Chunk], output: Path) -> Generator[Outcome, None, None]:
        """Raises RuntimeError where the scheduler is lost, or workers cannot take the plan."""
        self._connect()
        return _Map(self, plan, iter(chunks), output).outcomes()

    def close(self) -> None:
        for thing in (self._client, self._cluster):
            if thing is not None:
                with _quiet(), contextlib.suppress(TimeoutError, OSError):
                    thing.close()
        self._client = self._cluster = None

    def _connect(self) -> None:
        from dask import config
        from distributed import Client

        if self._client is not None and self._client.status == "running":
            return
        self.close()
        # Ctrl-C reaches the whole group of processes; those that are started from here are deaf to it.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            with config.set(QUIET), _quiet():
                if self.address is None:
                    self._cluster = self._local()
                self._client = Client(self.address or self._cluster, set_as_default=False)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _local(self) -> Any:
        """A cluster here; a worker that is killed at its start takes all of it along, so it is tried again."""
        from distributed import LocalCluster

        options = {
            "threads_per_worker": 1,
            "memory_limit": 0,
            "dashboard_address": None,
            "silence_logs": logging.CRITICAL,
        }
        for left in reversed(range(TRIES)):
            try:
                return LocalCluster(n_workers=self.workers, **options)
            except RuntimeError:
                if not left:
                    raise
        raise AssertionError

    def _count(self) -> int:
        return len(self._client.nthreads())


class _Map:
    """One ``map`` on its way."""

    def __init__(self, executor: Dask, plan: ScanPlan, left: Iterator[Chunk], output: Path):
        content = pickled(plan, output)
        self.work = Work(
            hashlib.sha256(content).hexdigest(), content, __version__, settings(), os.environ.get("XLA_FLAGS")
        )
        self.executor, self.left, self.folder = executor, left, Folder(output)
        self.serial = itertools.count()
        self.flying: dict[Any, tuple[int, Chunk]] = {}  # future -> its place in the order of submission
        self.tries: dict[Chunk, int] = {}
        self.again: list[Chunk] = []
        self.landed: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.sent: Any = None  # the work, as a future: lost with the only worker that has it, it is made again
        self.room, self.looked, self.complete = 0, -LOOK, time.monotonic()
        self.buried: dict[str, float] = {}  # when the death of a worker was reported

    def outcomes(self) -> Generator[Outcome, None, None]:
        from distributed import KilledWorker

        try:
            while True:
                self.fill()
                if not self.flying:
                    return
                future = self.next()
                if future is None or future not in self.flying:
                    continue
                outcome, error = self.landing(future)
                if isinstance(error, TimeoutError) and future.status != "error":
                    self.landed.put(future)  # its answer went with the worker that had it: it is computed again
                    continue
                if isinstance(error, KilledWorker) and error.task == future.key:
                    if (died := self.dead(future, error)) is not None:
                        yield died
                    continue
                _, chunk = self.flying.pop(future)
                outcome = self.lost(chunk, error) if error is not None else outcome
                if outcome is not None:
                    yield outcome
        finally:
            if self.flying:
                with contextlib.suppress(Exception):
                    self.executor._client.cancel(list(self.flying), force=True)

    def fill(self) -> None:
        """Send what there is room for."""
        client = self.executor._client
        if client.status in ("closing", "closed"):
            raise RuntimeError(_LOST.format(self.executor.address))
        if time.monotonic() - self.looked > LOOK:
            with contextlib.suppress(OSError, TimeoutError):
                self.look(self.executor._count())
            self.looked = time.monotonic()
            client = self.executor._client
        while len(self.flying) < self.room:
            chunk = self.again.pop() if self.again else next(self.left, None)
            if chunk is None:
                return
            self.send(client, chunk)

    def look(self, workers: int) -> None:
        self.room = AHEAD * max(1, workers)
        if self.executor.address is not None or workers >= self.executor.workers:
            self.complete = time.monotonic()
        elif time.monotonic() - self.complete > SHORT:
            self.again += [chunk for _, chunk in self.flying.values()]
            self.flying, self.landed, self.sent = {}, queue.SimpleQueue(), None
            self.executor.close()
            self.executor._connect()
            self.complete = time.monotonic()

    def send(self, client: Any, chunk: Chunk) -> None:
        from dask import config

        serial = next(self.serial)
        name = f"jaxmem-{self.work.key[:16]}-{chunk.name}-{os.getpid()}-{id(self):x}-{serial}"
        with config.set(QUIET), _quiet():
            if self.sent is None or self.sent.status in ("cancelled", "lost", "error"):
                key = f"jaxmem-plan-{self.work.key}-{serial}"
                self.sent = client.submit(Work, *self.work, key=key, pure=False, retries=TRIES)
            slot = self.executor.slots or None
            future = client.submit(
                answer, self.sent, tuple(chunk), slot, key=name, pure=False, retries=0, priority=-serial
            )  # fmt: skip
        self.flying[future] = serial, chunk
        future.add_done_callback(self.landed.put)

    def next(self) -> Any:
        """A future that is done, None after a while."""
        with contextlib.suppress(queue.Empty):
            return self.landed.get(timeout=LOOK)
        return next((f for f in self.flying if f.status in ("cancelled", "lost")), None)

    @staticmethod
    def landing(future: Any) -> tuple[Outcome | None, BaseException | None]:
        """The outcome, or what kept it from coming."""
        from distributed import CancelledError

        if future.status == "lost":
            return None, CancelledError("lost")
        try:
            return future.result(timeout=FETCH), None
        except (Exception, CancelledError) as error:
            return None, error

    def dead(self, future: Any, error: Any) -> Died | None:
        """A worker is dead. What waited behind the chunk that it computed, and is reported with it, is sent again."""
        from distributed import KilledWorker

        place = error.last_worker.address
        if time.monotonic() - self.buried.get(place, -SOON) < SOON:
            self.again.append(self.flying.pop(future)[1])
            return None
        self.buried[place] = time.monotonic()
        time.sleep(TOGETHER)
        together = {future}
        for other in self.flying:
            if other.status == "error" and isinstance(e := self.landing(other)[1], KilledWorker):
                together |= {other} if e.last_worker.address == place else set()
        # workers take chunks in order; a shard tells of one whose end could not be reported any more
        unwritten = {f for f in together if not self.folder.shard(self.flying[f][1]).exists()}
        first = min(unwritten or together, key=self.flying.__getitem__)
        _, chunk = self.flying.pop(first)
        self.again += [self.flying.pop(f)[1] for f in together - {first}]
        return Died(chunk, f"the Dask worker {place} died")

    def lost(self, chunk: Chunk, error: BaseException) -> Failed | None:
        """The cluster failed, not the question: send the chunk again, a few times."""
        if isinstance(error, ImportError | SyntaxError | AttributeError | VersionError):
            raise RuntimeError(f"the Dask workers cannot do this: {type(error).__name__}: {error}; {_SAME}") from error
        self.tries[chunk] = self.tries.get(chunk, 0) + 1
        if self.tries[chunk] <= TRIES:
            self.again.append(chunk)
            return None
        return Failed(chunk, f"Dask lost it {self.tries[chunk]} times: {type(error).__name__}: {error}", False)


_LOST = "the Dask scheduler at {} does not answer any more; what is done is kept: the same line typed again goes on"
_SAME = "they need the same Python, the same jaxmem, and every module that the question calls"


def _needed() -> None:
    try:
        import distributed  # noqa: F401 - and with it dask
    except ImportError as error:
        raise ImportError("computing on Dask needs it: pip install 'jaxmem[dask]'") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Dask's warnings are about what is its own: clients, graphs, ports, directories."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"(dask|distributed|tornado)\b")
        yield
