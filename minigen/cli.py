"""The command `minigen`. Each command is thin: it reads its options, calls a function of the library, and prints.

What a command needs is imported when it runs, so that `minigen --help` and `minigen list` answer at once.
"""

from __future__ import annotations

import json
import math
import signal
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from . import __version__


class App(typer.Typer):
    """At this edge, and nowhere else, an expected error becomes a line on stderr and the exit code 1."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        from .data import DataError
        from .training.errors import RunError

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


def _version(wanted: bool) -> None:
    if wanted:
        print(f"minigen {__version__}")
        raise typer.Exit()


@app.callback()
def main(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """Generative models with every gradient written by hand, and proved."""


@app.command("list")
def list_models(as_json: AsJson = False) -> None:
    """List the models.

    The columns of --json are stable: name, family, objectives, data, lesson.
    """
    from .training.catalogue import model_rows
    from .training.report import columns

    rows = model_rows()
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    header = ("model", "family", "objectives", "made for", "lesson")
    table = [(r["name"], r["family"], ", ".join(r["objectives"]), ", ".join(r["data"]), r["lesson"]) for r in rows]
    print(columns([header, *table]))
    print("\nTrain one with: minigen train NAME")


@app.command()
def train(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model (minigen list names them).")],
    data: DataName = None,
    data_dir: DataDir = None,
    steps: Annotated[int | None, typer.Option(help="Updates to make.")] = None,
    epochs: Annotated[float | None, typer.Option(help="Or: passes over the data to make.")] = None,
    batch: Annotated[int | None, typer.Option(help="Rows of a batch.")] = None,
    rate: Annotated[float | None, typer.Option(help="Learning rate.")] = None,
    seed: Annotated[int | None, typer.Option(help="Decides every random number. [default: 0]")] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda. [default: cpu]")] = None,
    out: Annotated[Path | None, typer.Option(help="The folder of the run. [default: runs/MODEL-DATA]")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="An option of the model; data.KEY=VALUE of the data."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in that folder, bit for bit.")] = False,
    minutes: Annotated[float | None, typer.Option(help="Stop after so long, saved, ready for --resume.")] = None,
) -> None:
    """Train a model. What is not given comes from the model's recipe.

    The folder of the run holds pictures (samples/), curves.png, log.jsonl and a checkpoint. Ctrl-C saves and stops.

    \b
    minigen train vae
    minigen train vae --set latents=2 --steps 2000 --out runs/map
    minigen train vae --data folder:photos --set data.size=32
    minigen train vae --resume
    minigen train vae --resume --steps 8000        go further
    """
    from .training import Run
    from .training.report import closing, summary
    from .training.run import default_folder
    from .training.settings import parse_options
    from .training.setup import find_model

    recipe = find_model(model).recipe
    options, data_options = parse_options(settings or [], recipe, model)
    given: dict[str, Any] = {
        "data": data, "data_dir": data_dir, "steps": steps, "epochs": epochs, "batch": batch, "rate": rate, "seed": seed,
        "device": device, "options": options, "data_options": data_options,
    }  # fmt: skip
    if resume:
        run = Run.resume(out or default_folder(model, data or recipe.data[0]), model=model, **given)
    else:
        run = Run.create(model, out=out, **given)
    print(summary(run), flush=True)
    outcome = run.train(minutes=minutes)
    print(closing(run, outcome))
    if outcome.why.startswith("SIG"):
        raise typer.Exit(128 + signal.Signals[outcome.why])


@app.command()
def sample(
    path: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run, or a checkpoint.")],
    n: Annotated[int | None, typer.Option("--n", "-n", min=1, help="How many. [default: 64; fewer sounds or texts]")] = None,
    seed: Annotated[int, typer.Option(help="Decides which.")] = 0,
    length: Annotated[int | None, typer.Option(min=1, help="Of sequences. [default: that of the training rows]")] = None,
    out: Annotated[Path | None, typer.Option(help="The file, a PNG, WAV or TXT. [default: in the folder of the run]")] = None,
) -> None:
    """Draw samples from a trained model: a picture, a sound with its spectrogram, or a text.

    \b
    minigen sample runs/vae-glyphs --n 100 --seed 3
    minigen sample runs/wavenet-plucked --length 8000
    """
    from .training.catalogue import draw_samples

    print(draw_samples(path, n, seed, out, length))


@app.command("eval")
def evaluate(
    path: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run, or a checkpoint.")],
    data: DataName = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Evaluate a trained model on the whole test split.

    \b
    minigen eval runs/vae-glyphs
    minigen eval runs/vae-glyphs --data mnist --json
    """
    from .training.catalogue import evaluate_run
    from .training.report import figures_table

    found = evaluate_run(path, data, data_dir)
    if as_json:
        print(json.dumps(found.as_json(), indent=2))
    else:
        print(f"{found.model} after {found.step:,} steps")
        print(figures_table(found.figures, found.unit, f"the test split of {found.data}"))


class What(StrEnum):
    """What `minigen use` can do."""

    anomaly, compress, denoise, interpolate, arithmetic = "anomaly", "compress", "denoise", "interpolate", "arithmetic"


@app.command()
def use(
    what: Annotated[What, typer.Argument(metavar="WHAT", help="anomaly, compress, denoise, interpolate or arithmetic.")],
    path: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run of an autoencoder or a VAE.")],
    data: Annotated[str | None, typer.Option("--data", help="anomaly: the data set that is not normal.")] = None,
    data_dir: DataDir = None,
    noise: Annotated[str | None, typer.Option(help="denoise: masking, gaussian or salt_and_pepper.")] = None,
    amount: Annotated[float | None, typer.Option(help="denoise: its probability or standard deviation.")] = None,
    between: Annotated[str, typer.Option(help="arithmetic: two classes, or a factor of the data.")] = "slant",
    out: Annotated[Path | None, typer.Option(help="A PNG file. [default: WHAT.png in the folder of the run]")] = None,
    as_json: AsJson = False,
) -> None:
    """Use a trained autoencoder or VAE: figures on the test split beside simple baselines, and a picture.

    \b
    minigen train autoencoder --data mnist --set data.only=3 --set codes=16 --set hidden=256 --out runs/three
    minigen use anomaly runs/three                            which test digits are no 3?
    minigen use anomaly runs/autoencoder-mnist --data fashion_mnist
    minigen use denoise runs/denoising_autoencoder-glyphs --noise gaussian --amount 0.3
    minigen use arithmetic runs/vae-mnist --between 3:8
    """
    from .training.uses import use_run, use_table

    found = use_run(what, path, data=data, data_dir=data_dir, noise=noise, amount=amount, between=between, out=out)
    print(json.dumps(found.rows, indent=2) if as_json else use_table(found))


@app.command()
def check(
    models: Annotated[list[str] | None, typer.Argument(metavar="MODEL...", help="Models to prove. [default: all]")] = None,
    as_json: AsJson = False,
) -> None:
    """Prove the gradients of models: by the complex step, and by central differences as a second opinion.

    One line for each parameter; the exit code is 1 if any is wrong. The columns of --json are stable: model, objective,
    parameter, method, rel_error.

    \b
    minigen check vae
    """
    from .check import ProofError, Row, check_model
    from .models import names
    from .training.report import proof_table
    from .training.setup import find_model

    wanted = models or names()
    for name in wanted:
        find_model(name)
    everything: list[Row] = []
    failed = False
    for name in wanted:
        wrong = None
        try:
            rows = check_model(name)
        except ProofError as error:
            rows, wrong, failed = error.rows, error, True
        everything += rows
        if not as_json:
            print(proof_table(name, rows, proved=wrong is None))
        if wrong is not None:
            print(f"minigen: {name} is not proved: {wrong}", file=sys.stderr)
    if as_json:
        finite = [{**row._asdict(), "rel_error": row.rel_error if math.isfinite(row.rel_error) else None} for row in everything]
        print(json.dumps(finite, indent=2))
    if failed:
        raise typer.Exit(1)


@app.command("data")
def show_data(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="A data set to look at. [default: list all]")] = None,
    data_dir: DataDir = None,
    split: Annotated[str, typer.Option(help="train or test.")] = "train",
    settings: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="An option of the data.")] = None,
    out: Annotated[Path | None, typer.Option(help="The file, a PNG, WAV or TXT. [default: named as the data]")] = None,
    as_json: AsJson = False,
) -> None:
    """List the data sets, or draw the first rows of one into a picture; sound becomes a WAV too, text is printed.

    \b
    minigen data
    minigen data glyphs_colour --set size=32
    minigen data folder:photos --set size=64
    """
    from .data import describe
    from .training.catalogue import preview
    from .training.report import columns

    if name is not None:
        print(preview(name, split, data_dir, settings or [], out))
    elif as_json:
        print(json.dumps(describe(), indent=2))
    else:
        header = ("data", "what it is", "shape", "rows", "files")
        table = [
            (
                row["name"],
                row["about"],
                " x ".join(map(str, row["shape"])),
                " + ".join(f"{n:,}" if isinstance(n, int) else n for n in row["rows"].values()),
                "none: drawn here" if row["built_in"] else row["source"],
            )
            for row in describe()
        ]
        print(columns([header, *table]))


if __name__ == "__main__":
    app()
