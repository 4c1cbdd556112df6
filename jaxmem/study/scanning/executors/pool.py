"""Chunks in processes of this machine: one per GPU, or one per group of cores."""

import contextlib
import os
import pickle
import selectors
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path
from typing import Any

from jaxmem.study.scanning.executors.base import Died, Executor, Outcome
from jaxmem.study.scanning.executors.environment import settings, variables
from jaxmem.study.scanning.executors.slots import Slot, slots
from jaxmem.study.scanning.executors.worker import DEAF, READY, Load, Refused, Setup, receive, send
from jaxmem.study.scanning.plan import Chunk, ScanPlan

HOME = Path(__file__).resolve().parents[4]  # the directory that jaxmem is imported from
KEPT = 4000  # bytes of what a worker wrote last
TRIES = 3  # workers in a row that may end before they are ready
LOOK = 1.0  # s between looks at processes whose pipes somebody else keeps open


class Pool(Executor):
    """Computes in ``workers`` processes of this machine, each with its own GPU or its own cores.

    ``devices``: GPUs by number or UUID, "cpu" for none; None: every GPU there is. ``workers``: None is one per GPU, or
    one per ``threads`` cores where there are none. ``threads``: cores of each; None shares them out (one each where
    ``workers`` is None too). More workers than GPUs share them. Raises ValueError. Workers have this process' settings
    of JAX, so that they find the same bits.

    A process has one chunk at a time, so its death costs that chunk and no other; another takes its place. All end with
    this process, whatever ends it. Functions in the plan must be those of a module that a worker can import.
    """

    def __init__(
        self, workers: int | None = None, threads: int | None = None, devices: Sequence[int | str] | str | None = None
    ):
        self.slots = slots(workers, threads, devices)
        self.workers = len(self.slots)
        self._all: set[_Process] = set()
        self._idle: list[_Process] = []

    def map(self, plan: ScanPlan, chunks: Iterable[Chunk], output: Path) -> Generator[Outcome, None, None]:
        """Raises RuntimeError where workers cannot start, or cannot read the plan, with what they said."""
        load, left = Load(pickled(plan, output)), iter(chunks)
        ahead: deque[Chunk] = deque()  # one for each worker that is being started
        mine: set[_Process] = set()
        unready = 0  # workers in a row that ended before they were ready
        with selectors.DefaultSelector() as pipes:
            try:
                while True:
                    while len(mine) < self.workers:
                        if len(ahead) <= sum(not p.ready for p in mine):
                            if (chunk := next(left, None)) is None:
                                break
                            ahead.append(chunk)
                        process = self._process()
                        mine.add(process)
                        pipes.register(process.answers, selectors.EVENT_READ, process)
                        process.tell(load)
                    if not mine:
                        return
                    for process in self._heard(pipes, mine):
                        answer, chunk = process.hear(), process.chunk
                        if isinstance(answer, Refused):
                            raise RuntimeError(f"a worker cannot read the scan: {answer.why}\n{ADVICE}")
                        process.chunk = None
                        if answer is None:
                            mine.discard(process)
                            pipes.unregister(process.answers)
                            self._bury(process)
                            if not process.ready:
                                unready += 1
                            if unready >= TRIES:
                                raise RuntimeError(f"{unready} workers ended before they could start: {process.why()}")
                            if chunk is not None:
                                yield Died(chunk, process.why())
                            continue
                        if answer == READY:
                            process.ready, unready = True, 0
                        process.chunk = ahead.popleft() if ahead else next(left, None)
                        if process.chunk is not None:
                            process.tell(process.chunk)
                        else:
                            mine.discard(process)
                            pipes.unregister(process.answers)
                            self._idle.append(process)
                        if answer != READY:
                            yield answer
            finally:
                for process in mine:
                    self._bury(process)

    def close(self) -> None:
        for process in list(self._all):
            self._bury(process)
        self._idle.clear()

    def _process(self) -> "_Process":
        """One that is idle, or a new one where the fewest are."""
        while self._idle:
            process = self._idle.pop()
            if process.running():
                process.ready = False
                return process
            self._bury(process)
        taken = [p.place for p in self._all]
        place = min(range(self.workers), key=taken.count)
        process = _Process(place, self.slots[place])
        self._all.add(process)
        return process

    def _bury(self, process: "_Process") -> None:
        process.end()
        self._all.discard(process)

    @staticmethod
    def _heard(pipes: selectors.BaseSelector, mine: "set[_Process]") -> "list[_Process]":
        """Those that have answered or ended."""
        found = [key.data for key, _ in pipes.select(LOOK)]
        return found or [p for p in mine if not p.running()]


ADVICE = (
    "What a question calls must be importable in another process: define it in a module beside the script, "
    "not in the script itself or in a notebook."
)


def pickled(plan: ScanPlan, output: Path) -> bytes:
    """Both, for another process; raises RuntimeError where that cannot be."""
    try:
        return pickle.dumps((plan, Path(os.path.abspath(output))))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise RuntimeError(f"the scan cannot be given to another process: {error}\n{ADVICE}") from error


class _Process:
    """A worker as its coordinator sees it."""

    def __init__(self, place: int, slot: Slot):
        self.place, self.ready, self.chunk = place, False, None
        path = [str(HOME), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = os.environ | variables(settings()) | slot.environment | {"PYTHONPATH": os.pathsep.join(path)}
        command = [sys.executable, "-P", "-m", "jaxmem.study.scanning.executors.worker"]
        before = signal.pthread_sigmask(signal.SIG_BLOCK, DEAF)  # from its first moment on; see there
        try:
            pipe = subprocess.PIPE
            self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment, bufsize=0)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        assert self.process.stdin and self.process.stdout and self.process.stderr
        self.orders, self.answers = self.process.stdin.fileno(), self.process.stdout.fileno()
        self.said = b""
        self.listener = threading.Thread(target=self._listen, args=(self.process.stderr,), daemon=True)
        self.listener.start()
        self.tell(Setup(sys.path, slot))

    chunk: Chunk | None

    def _listen(self, stderr: Any) -> None:
        with contextlib.suppress(OSError, ValueError):
            while piece := stderr.read(2**16):
                self.said = (self.said + piece)[-KEPT:]

    def tell(self, message: Any) -> None:
        """One that is gone is found out when it is listened to."""
        with contextlib.suppress(BrokenPipeError):
            send(self.orders, message)

    def hear(self) -> Any:
        """Its next answer; None: it is gone."""
        if not self.running() and not _readable(self.answers):
            return None
        try:
            return receive(self.answers)
        except EOFError:
            return None

    def running(self) -> bool:
        return self.process.poll() is None

    def end(self) -> None:
        self.process.kill()  # nothing where it has ended: poll() knows
        self.process.wait()
        self.listener.join(0.5)
        for pipe in (
            self.process.stdin,
            self.process.stdout,
            *(() if self.listener.is_alive() else (self.process.stderr,)),
        ):
            if pipe is not None:
                pipe.close()

    def why(self) -> str:
        """How it ended, and what it said last."""
        code = self.process.returncode
        how = f"ended with status {code}"
        if code is not None and code < 0:
            how = f"was killed by signal {-code} ({signal.strsignal(-code)})"
            if -code == signal.SIGKILL:
                how += ", as the system does with what takes too much memory"
        said = self.said.decode(errors="replace").strip()
        return f"the worker's process {how}" + (f"; it said last:\n{said}" if said else "")


def _readable(descriptor: int) -> bool:
    with selectors.DefaultSelector() as pipe:
        pipe.register(descriptor, selectors.EVENT_READ)
        return bool(pipe.select(0))
