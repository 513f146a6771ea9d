"""The application, and the options that several commands share."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from .. import __version__


class App(typer.Typer):
    """At this edge, and nowhere else, an expected error becomes a line on stderr and the exit code 1."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        from ..data import DataError
        from ..training.errors import RunError

        try:
            return super().__call__(*args, **kwargs)
        except (RunError, DataError) as error:
            print(f"minigen: {error}", file=sys.stderr)
            sys.exit(1)
        except KeyboardInterrupt:
            print("minigen: stopped at once; the last checkpoint, if there is one, is untouched", file=sys.stderr)
            sys.exit(128 + signal.SIGINT)


app = App(
    help="Generative models with every gradient written by hand, and proved.",
    epilog="Begin with: minigen train vae",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
DataName = Annotated[str | None, typer.Option("--data", help="A data set (minigen data lists them), folder:PATH or text:PATH.")]
DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Where the data's files lie. [default: $MINIGEN_DATA]")]

Device = Annotated[str, typer.Option("--device", help="cpu or cuda.")]
Precision = Annotated[str, typer.Option("--precision", help="Of products on a GPU: float32, tf32 or bf16.")]


def _version(wanted: bool) -> None:
    if wanted:
        print(f"minigen {__version__}")
        raise typer.Exit()


@app.callback()
def main(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """Generative models with every gradient written by hand, and proved."""
