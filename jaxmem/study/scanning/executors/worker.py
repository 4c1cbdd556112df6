"""A worker of the pool: ``python -m jaxmem.study.scanning.executors.worker``, a process that computes chunks.

It speaks over the pipes it was started with, in pickles with their length before them: what it gets is a
:class:`Setup`, then plans and chunks; what it answers is READY, Refused, or the outcome of a chunk. What the question
prints goes to stderr. It ends when its coordinator does, however that ends.
"""

import faulthandler
import os
import pickle
import queue
import signal
import struct
import sys
import threading
import traceback
from typing import Any, NamedTuple

from jaxmem.study.scanning.executors.environment import keep_programs
from jaxmem.study.scanning.executors.slots import Slot

LENGTH = struct.Struct("<Q")
READY = "ready"
# Ctrl-C and a batch system reach all processes of a job; the coordinator decides, and workers follow it.
DEAF = {signal.SIGINT, signal.SIGTERM}


class Setup(NamedTuple):
    """``path``: where the coordinator imports from."""

    path: list[str]
    slot: Slot


class Load(NamedTuple):
    """A pickled (plan, output)."""

    content: bytes


class Refused(NamedTuple):
    """A plan that cannot be read here."""

    why: str


def send(descriptor: int, message: Any) -> None:
    content = pickle.dumps(message)
    left = memoryview(LENGTH.pack(len(content)) + content)
    while left:
        left = left[os.write(descriptor, left) :]


def receive(descriptor: int) -> Any:
    """The next message; raises EOFError where the other side is gone."""
    (length,) = LENGTH.unpack(_read(descriptor, LENGTH.size))
    return pickle.loads(_read(descriptor, length))


def _read(descriptor: int, size: int) -> bytearray:
    content = bytearray()
    while len(content) < size:
        piece = os.read(descriptor, min(size - len(content), 2**20))
        if not piece:
            raise EOFError
        content += piece
    return content


def main() -> None:
    for each in DEAF:  # blocked until here
        signal.signal(each, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, DEAF)
    faulthandler.enable()
    incoming, outgoing = os.dup(0), os.dup(1)  # not inherited by what the question may start
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    setup = receive(incoming)
    sys.path[:] = setup.path
    setup.slot.enter()
    keep_programs()
    messages: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(incoming, messages), daemon=True).start()
    plan = output = None
    while True:
        message = messages.get()
        if not isinstance(message, Load):
            send(outgoing, _answer(plan, message, output))
            continue
        try:
            plan, output = pickle.loads(message.content)
            from jaxmem.study.scanning.executors import base

            base.outcome  # noqa: B018 - all that a chunk needs is imported before the first
        except Exception as error:
            traceback.print_exc()
            send(outgoing, Refused(f"{type(error).__name__}: {error}"))
        else:
            send(outgoing, READY)


def _listen(incoming: int, messages: "queue.SimpleQueue[Any]") -> None:
    """Take what comes while a chunk is computed, above all the end of the coordinator."""
    try:
        while True:
            messages.put(receive(incoming))
    except EOFError:
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def _answer(plan: Any, chunk: Any, output: Any) -> Any:
    from jaxmem.study.scanning.executors import base

    try:
        return base.outcome(plan, chunk, output)
    except BaseException as error:  # sys.exit() of a question, above all
        return base.Failed(chunk, f"{type(error).__name__}: {error}", False)


if __name__ == "__main__":  # under its own name, which is that of the classes above in messages
    from jaxmem.study.scanning.executors import worker

    worker.main()
