"""What there is, and whether it is right: list, check, data."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Annotated

import typer

from .app import AsJson, DataDir, Device, app


@app.command("list")
def list_models(as_json: AsJson = False) -> None:
    """List the models.

    The columns of --json are stable: name, family, objectives, data, lesson.
    """
    from ..training.catalogue import model_rows
    from ..training.report import columns

    rows = model_rows()
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    header = ("model", "family", "objectives", "made for", "lesson")
    table = [(r["name"], r["family"], ", ".join(r["objectives"]), ", ".join(r["data"]), r["lesson"]) for r in rows]
    print(columns([header, *table]))
    print("\nTrain one with: minigen train NAME")


@app.command()
def check(
    models: Annotated[list[str] | None, typer.Argument(metavar="MODEL...", help="Models to prove. [default: all]")] = None,
    device: Device = "cpu",
    as_json: AsJson = False,
) -> None:
    """Prove the gradients of models: by the complex step, and by central differences as a second opinion.

    One line for each parameter; the exit code is 1 if any is wrong. The columns of --json are stable: model, objective,
    parameter, method, rel_error.

    \b
    minigen check vae
    minigen check --device cuda                    every model, on arrays of CuPy
    """
    from ..check import ProofError, Row, check_model
    from ..models import names
    from ..training.report import proof_table
    from ..training.setup import check_device, find_model

    check_device(device)
    wanted = models or names()
    for name in wanted:
        find_model(name)
    everything: list[Row] = []
    failed = False
    for name in wanted:
        wrong = None
        try:
            rows = check_model(name, device=device)
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
    from ..data import describe
    from ..training.catalogue import preview
    from ..training.report import columns

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
