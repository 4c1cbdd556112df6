"""The ``jaxmem`` command."""

from jaxmem.cli.commands import cli


def main() -> None:
    cli(prog_name="jaxmem")


if __name__ == "__main__":
    main()
