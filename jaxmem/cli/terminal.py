"""What people see: tables on stdout; on stderr a bar with the time left; lines where there is no terminal."""

import sys
import time
from types import TracebackType
from typing import Any

import click

WIDTH = 120  # of tables that go to a file or a pipe
LINE_EVERY = 10.0  # s between lines where there is no terminal


def console() -> Any:
    """A rich console on stdout."""
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)


class Progress:
    """``phase(text)`` says what begins; ``run(done, total)`` is called with cell-steps while it lasts.

    ``rate(done, total, "points")`` is the same of what goes on from where it was left, and tells how many per second.
    """

    def __init__(self) -> None:
        self.fraction = self._first = 0.0
        self._terminal = sys.stderr.isatty()
        self._began = self._said = time.monotonic()
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> "Progress":
        if self._terminal:
            from rich.console import Console
            from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
            from rich.progress import Progress as Bar

            columns = (
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.fields[left]}"),
                TimeElapsedColumn(),
            )
            self._bar = Bar(*columns, console=Console(stderr=True), transient=True)
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def phase(self, text: str) -> None:
        self._began = self._said = time.monotonic()
        self._first = 0.0
        if self._bar is None:
            click.echo(text, err=True)
            return
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._task = self._bar.add_task(text, total=None, left="")

    def rate(self, done: int, total: int, what: str) -> None:
        from jaxmem.report import many

        now = time.monotonic()
        if self._first == 0.0:
            self._began, self._first = now, max(done / total, 1e-12)
        per_second = (done / total - self._first) * total / max(now - self._began, 1e-9)
        self._told(done, total, f"{many(per_second)} {what}/s" if done / total > self._first else "compiling")

    def run(self, done: int, total: int) -> None:
        self._told(done, total, "" if done else "compiling")

    def _told(self, done: int, total: int, told: str) -> None:
        before, self.fraction = self.fraction, done / total
        left = ", ".join(filter(None, (told, self._left())))
        if self._bar is not None:
            self._bar.update(self._task, completed=done, total=total, left=f"{self.fraction:4.0%}  {left}")
        elif self.fraction != before and time.monotonic() - self._said > LINE_EVERY:
            self._said = time.monotonic()
            click.echo(f"  {self.fraction:.0%}{', ' + left if left else ''}", err=True)

    def _left(self) -> str:
        spent = time.monotonic() - self._began
        gone = self.fraction - self._first
        if gone < 0.01 or spent < 0.5 or self.fraction >= 1:
            return ""
        return f"{duration(spent * (1 - self.fraction) / gone)} left"


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def size(count: float) -> str:
    """Bytes as people say them."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"
