"""The group that all commands belong to, and what their options have in common."""

import sys
from typing import Any

import click

from jaxmem import __version__
from jaxmem.cli import errors

EXISTING = click.Path(exists=True, dir_okay=False, readable=True)
NEW = click.Path(dir_okay=False)
PRECISION = click.Choice(["float32", "float64"])
KIND = click.Choice(["overview", "voltage", "concentrations", "reversals", "currents", "map", "distributions"])


class _Commands(click.Group):
    """Turns what a user can mend into one message and an exit status, and leaves bugs their tracebacks."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            click.echo(str(stop) or "interrupted; nothing written", err=True)
            sys.exit(errors.INTERRUPTED)
        except Exception as error:
            status = errors.status(error)
            if status is None:
                raise
            click.echo(f"error: {errors.text(error)}", err=True)
            sys.exit(status)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="jaxmem %(version)s")
def cli() -> None:
    """Populations of excitable membranes with electrogenic pumps and living ion concentrations.

    \b
    jaxmem simulate EXPERIMENT.toml -o OUT.h5   run an experiment
    jaxmem rest EXPERIMENT.toml -o REST.h5      where its cells rest, without running
    jaxmem fit EXPERIMENT.toml -o FIT.h5        the parameters that give what was measured
    jaxmem scan EXPERIMENT.toml -o SCAN.h5      a question at every point of a design
    jaxmem show OUT.h5                          what is in a result
    jaxmem plot OUT.h5 --kind reversals         a figure of it
    jaxmem export OUT.h5                        its points or cells as a CSV file
    """
