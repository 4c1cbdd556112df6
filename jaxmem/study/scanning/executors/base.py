"""The interface of executors, and the work itself: what any worker does with a chunk."""

import abc
import errno
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import NamedTuple

from jaxmem.study.files import NO_ROOM
from jaxmem.study.scanning.answers import answers
from jaxmem.study.scanning.plan import Chunk, ScanPlan
from jaxmem.study.scanning.shards import Folder, Summary

HOPELESS = (
    *NO_ROOM,
    errno.EROFS,
    errno.EACCES,
    errno.ENOENT,
    errno.EIO,
    errno.ESTALE,
)  # the next chunk fares no better


class Done(NamedTuple):
    chunk: Chunk
    summary: Summary


class Died(NamedTuple):
    """The worker's process ended while it had this chunk."""

    chunk: Chunk
    why: str


class Failed(NamedTuple):
    """The chunk raised what is no point's fault; ``hopeless``: so would every other."""

    chunk: Chunk
    why: str
    hopeless: bool


Outcome = Done | Died | Failed


class Executor(abc.ABC):
    """Computes chunks of a plan, each into a shard of its own, in any order and any company.

    ``map`` takes chunks as it needs them and yields an outcome of each as it comes; leaving it early, or ``close``,
    ends all work that was begun. An executor may be used again, and closed more than once.
    """

    workers: int = 1

    @abc.abstractmethod
    def map(self, plan: ScanPlan, chunks: Iterable[Chunk], output: Path) -> Generator[Outcome, None, None]:
        """Outcomes of ``chunks``, whose shards go beside ``output``."""

    @abc.abstractmethod
    def close(self) -> None:
        """End all workers."""

    def __enter__(self) -> "Executor":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def compute(plan: ScanPlan, chunk: Chunk, output: Path) -> Summary:
    """Answer a chunk and write its shard. Raises what is no point's fault."""
    return Folder(output).write_shard(plan, chunk, answers(plan, chunk))


def outcome(plan: ScanPlan, chunk: Chunk, output: Path) -> Outcome:
    """The same, and what was raised told."""
    try:
        return Done(chunk, compute(plan, chunk, output))
    except Exception as error:
        return Failed(chunk, told(error), hopeless(error))


def hopeless(error: BaseException) -> bool:
    """Whether every other chunk would end like this one: no room, no folder, no permission."""
    lost = FileNotFoundError | NotADirectoryError | PermissionError
    return isinstance(error, lost) or (isinstance(error, OSError) and error.errno in HOPELESS)


def told(error: Exception) -> str:
    """An error in a line."""
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
        return "not enough memory for a chunk of this size (a smaller --chunk with --fresh needs less)"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return f"{type(error).__name__}: {error}"
