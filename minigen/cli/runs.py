"""The commands of runs: train, sample, eval, use."""

from __future__ import annotations

import json
import signal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from .app import AsJson, DataDir, DataName, Device, Precision, app


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
    precision: Annotated[
        str | None, typer.Option(help="Of products on a GPU: float32, tf32 or bf16, faster and coarser. [default: float32]")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The folder of the run. [default: runs/MODEL-DATA]")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="An option of the model; data.KEY=VALUE of the data."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in that folder, bit for bit.")] = False,
    minutes: Annotated[float | None, typer.Option(help="Stop after so long, saved, ready for --resume.")] = None,
    eager: Annotated[bool, typer.Option("--eager", help="On a GPU: no captured graph; slower, the same bits.")] = False,
) -> None:
    """Train a model. What is not given comes from the model's recipe.

    The folder of the run holds pictures (samples/), curves.png, log.jsonl and a checkpoint. Ctrl-C saves and stops.

    \b
    minigen train vae
    minigen train vae --set latents=2 --steps 2000 --out runs/map
    minigen train vae --data folder:photos --set data.size=32
    minigen train vae --resume
    minigen train vae --resume --steps 8000        go further
    minigen train vae --resume --device cuda       go on on the other device
    minigen train vae --device cuda --precision tf32
    """
    from ..training import Run
    from ..training.report import closing, summary
    from ..training.run import default_folder
    from ..training.settings import parse_options
    from ..training.setup import find_model

    recipe = find_model(model).recipe
    options, data_options = parse_options(settings or [], recipe, model)
    given: dict[str, Any] = {
        "data": data, "data_dir": data_dir, "steps": steps, "epochs": epochs, "batch": batch, "rate": rate, "seed": seed,
        "device": device, "precision": precision, "options": options, "data_options": data_options,
    }  # fmt: skip
    if resume:
        run = Run.resume(out or default_folder(model, data or recipe.data[0]), model=model, **given)
    else:
        run = Run.create(model, out=out, **given)
    print(summary(run), flush=True)
    outcome = run.train(minutes=minutes, eager=eager)
    print(closing(run, outcome))
    if outcome.why.startswith("SIG"):
        raise typer.Exit(128 + signal.Signals[outcome.why])


@app.command()
def sample(
    path: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run, or a checkpoint.")],
    n: Annotated[int | None, typer.Option("--n", "-n", min=1, help="How many. [default: 64; fewer sounds or texts]")] = None,
    seed: Annotated[int, typer.Option(help="Decides which.")] = 0,
    length: Annotated[int | None, typer.Option(min=1, help="Of sequences. [default: that of the training rows]")] = None,
    classes: Annotated[str | None, typer.Option("--class", help="Of which class: 3, or as many of each: 3,5.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="temperature of flows and sequences; sampler, jumps, eta, guidance."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The file, a PNG, WAV or TXT. [default: in the folder of the run]")] = None,
    device: Device = "cpu",
    precision: Precision = "float32",
) -> None:
    """Draw samples from a trained model: a picture, a sound with its spectrogram, or a text.

    \b
    minigen sample runs/vae-glyphs --n 100 --seed 3
    minigen sample runs/wavenet-plucked --length 8000
    minigen sample runs/conditional_gan-mnist --class 3
    minigen sample runs/glow-mnist --set temperature=0.7
    minigen sample runs/ddpm-glyphs --set sampler=heun --set jumps=20
    """
    from ..training.catalogue import draw_samples

    print(draw_samples(path, n, seed, out, length, classes=classes, told=settings or [], device=device, precision=precision))


@app.command("eval")
def evaluate(
    path: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run, or a checkpoint.")],
    data: DataName = None,
    data_dir: DataDir = None,
    device: Device = "cpu",
    precision: Precision = "float32",
    as_json: AsJson = False,
) -> None:
    """Evaluate a trained model on the whole test split.

    \b
    minigen eval runs/vae-glyphs
    minigen eval runs/vae-glyphs --data mnist --json
    """
    from ..training.catalogue import evaluate_run
    from ..training.report import figures_table
    from ..training.settings import in_precision

    found = evaluate_run(path, data, data_dir, device, precision)
    if as_json:
        print(json.dumps(found.as_json(), indent=2))
    else:
        print(f"{found.model} after {found.step:,} steps{in_precision(found.trained_in)}")
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

    A flow of images can interpolate, too.

    \b
    minigen train autoencoder --data mnist --set data.only=3 --set codes=16 --set hidden=256 --out runs/three
    minigen use anomaly runs/three                            which test digits are no 3?
    minigen use anomaly runs/autoencoder-mnist --data fashion_mnist
    minigen use denoise runs/denoising_autoencoder-glyphs --noise gaussian --amount 0.3
    minigen use arithmetic runs/vae-mnist --between 3:8
    """
    from ..training.uses import use_run, use_table

    found = use_run(what, path, data=data, data_dir=data_dir, noise=noise, amount=amount, between=between, out=out)
    print(json.dumps(found.rows, indent=2) if as_json else use_table(found))
