"""The commands `mes bench NAME`."""

import typer

bench = typer.Typer(help="Measure, on a database of the bench's own.", no_args_is_help=True)
