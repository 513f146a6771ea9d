"""What a trained autoencoder or VAE is used for: `minigen use anomaly|compress|denoise|interpolate|arithmetic RUN`.

A flow of images interpolates too. Each use is a function from a `Subject` to a `Use`, and writes nothing. Beside every figure
stands what needs no network: principal components, nearest neighbours, the image as it was.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..backend import Array
from ..data import Dataset, load
from ..metrics.auroc import auroc
from ..metrics.blocks import in_blocks
from ..metrics.compression import Quantiser, rate_distortion
from ..metrics.nearest import nearest
from ..metrics.pca import PCA
from ..metrics.squared_error import psnr, squared_errors
from ..models.denoising_autoencoder import CORRUPTIONS
from ..models.latent import code_of, direction, moved
from ..random import Key
from . import setup
from .errors import RunError
from .pictures import save_grid
from .report import columns
from .run import load_model, read_config

NEEDS = ("encode", "decode", "reconstruct", "interpolate")
LEARNED_ROWS = 10_000  # of the training split, for the baselines: enough, and soon done
COMPONENTS, NEIGHBOURS = 32, 5
BITS = (1, 2, 3, 4, 5, 6, 8)
SHOWN = 8  # images a picture shows in a row


class Use(NamedTuple):
    """What came out."""

    rows: list[dict[str, Any]]  # of a table; the columns are the keys
    picture: Array  # a grid (rows, columns, H, W, C)
    shows: str  # what the picture shows
    file: Path | None = None  # where it is


class Subject:
    """A trained model and the data it was trained on, loaded when they are first asked for."""

    def __init__(self, path: Path, what: str, data_dir: Path | None = None) -> None:
        trained = load_model(path)
        self.model: Any = trained.model
        self.settings, self.step, self.shape = trained.settings, trained.step, trained.shape
        between = what == "interpolate"
        missing = [name for name in (("interpolate",) if between else NEEDS) if not hasattr(self.model, name)]
        if missing or len(self.shape) != 3:
            raise RunError(
                f"{self.settings.model} in {path} has no {', '.join(missing) or 'images'}: use an autoencoder"
                f"{', a VAE or a flow of images' if between else ' or a VAE'}"
            )
        saved = read_config(path).get("data_dir") if path.is_dir() else None
        self.data_dir = data_dir if data_dir is not None else saved

    def load(self, split: str, name: str | None = None, *, all_classes: bool = False) -> Dataset:
        """A split of its own data, or of another data set of the same shape."""
        options = dict(self.settings.data_options) if name is None else {}
        if all_classes:
            options.pop("only", None)
        found = load(name or self.settings.data, split, folder=self.data_dir, **options)
        setup.check_rows(found)
        if found.shape != self.shape:
            raise RunError(f"the model was trained on rows of shape {self.shape}, and those of {found.name} have {found.shape}")
        return found

    @cached_property
    def train(self) -> Array:
        """Up to LEARNED_ROWS of the images it learned from."""
        data = self.load("train")
        return data.batch(np.arange(min(len(data), LEARNED_ROWS)))

    @cached_property
    def test_data(self) -> Dataset:
        return self.load("test")

    @cached_property
    def test(self) -> Array:
        """The held-out images."""
        return images_of(self.test_data)

    def pca(self, components: int) -> PCA:
        """Principal components of the training images, as many as there can be at most."""
        return PCA.fit(self.train, min(components, len(self.train) - 1, self.train[0].size))


def images_of(data: Dataset) -> Array:
    """All of them, (N, H, W, C)."""
    return data.batch(np.arange(len(data)))


def anomaly(subject: Subject, other: str | None = None) -> Use:
    """AUROC of the squared error of the reconstruction: the classes trained on against the rest, or against other data."""
    only, model = subject.settings.data_options.get("only"), subject.model
    if other is not None:
        x = np.concatenate((subject.test, images_of(subject.load("test", other))))
        anomalous = np.arange(len(x)) >= len(subject.test)
    elif only is not None:
        data = subject.load("test", all_classes=True)
        x, anomalous = images_of(data), ~data.of_class(*str(only).split(","))
    else:
        raise RunError(
            "what is normal? Train on some classes (minigen train autoencoder --set data.only=3), or name other data by --data"
        )
    pca = subject.pca(COMPONENTS)
    error: Callable[[Callable[[Array], Array]], Array] = lambda f: squared_errors(in_blocks(f, x), x)
    scores = {
        f"{model.name}: squared error": error(model.reconstruct),
        f"{len(pca.components)} principal components: squared error": error(pca.reconstruct),
        f"mean distance to the {NEIGHBOURS} nearest training images": nearest(x, subject.train, NEIGHBOURS).distances.mean(1),
    }
    rows = [{"score": name, "auroc_percent": 100 * auroc(score, anomalous)} for name, score in scores.items()]
    order = np.argsort(next(iter(scores.values())), kind="stable")
    normal, strange = order[~anomalous[order]], order[anomalous[order]]
    shown = [pick[:SHOWN] for pick in (normal, normal[::-1], strange, strange[::-1])]
    shown = [x[pick] for pick in shown if len(pick) == SHOWN]
    grid = np.stack([part for images in shown for part in (images, model.reconstruct(images))])
    return Use(rows, grid, "normal images of least and most error, strange ones of least and most, a reconstruction under each")


def compress(subject: Subject) -> Use:
    """The rate-distortion curve of the model's codes, and of as many principal components."""
    model, x = subject.model, subject.test
    encode: Callable[[Array], Array] = lambda images: code_of(model, images)
    pca = subject.pca(code_of(model, x[:1]).shape[1])
    ours = rate_distortion(encode, model.decode, subject.train, x, BITS)
    linear = rate_distortion(pca.encode, pca.decode, subject.train, x, BITS, common_step=True)
    rows = [
        {
            "bits_a_code": a.bits,
            f"{model.name}_bits_an_image": a.rate,
            f"{model.name}_mse": a.mse,
            "pca_bits_an_image": b.rate,
            "pca_mse": b.mse,
        }
        for a, b in zip(ours, linear, strict=True)
    ]
    shown, seen, strips = x[:SHOWN], in_blocks(encode, subject.train), [x[:SHOWN]]
    for bits in (1, 2, 4, 8):
        quantiser = Quantiser.fit(seen, bits)
        codes = encode(shown)
        strips.append(model.decode(quantiser.values(quantiser.indices(codes)).astype(codes.dtype)))
    return Use(rows, np.stack(strips), "images, and under them what their codes of 1, 2, 4 and 8 bits a unit give back")


def denoise(subject: Subject, noise: str | None = None, amount: float | None = None) -> Use:
    """Decibels before and after, of the noise the model was trained for, or of another."""
    model, x = subject.model, subject.test
    noise = noise if noise is not None else getattr(model, "noise", "masking")
    amount = amount if amount is not None else getattr(model, "amount", 0.5)
    if noise not in CORRUPTIONS:
        raise RunError(f"unknown noise {noise!r}: choose {', '.join(CORRUPTIONS)}")
    noisy = CORRUPTIONS[noise](x, amount, Key(subject.settings.seed).at("noise"))
    pca = subject.pca(COMPONENTS)
    images = {
        f"with {noise} noise, {amount:g}": noisy.clip(0, 1),
        f"projected on {len(pca.components)} principal components": pca.reconstruct(noisy, clip=(0, 1)),
        f"through {model.name}": in_blocks(model.reconstruct, noisy).clip(0, 1),
    }
    rows = [
        {"image": name, "psnr_db": float(psnr(y, x).mean()), "mse": float(squared_errors(y, x).mean())}
        for name, y in images.items()
    ]
    grid = np.stack([x[:SHOWN], *(y[:SHOWN] for y in images.values())])
    return Use(rows, grid, "images, with noise, through principal components, through the model")


def interpolate(subject: Subject) -> Use:
    """Ways from one held-out image to another, straight through the codes and straight through the pixels."""
    model, x = subject.model, subject.test
    t = np.linspace(0, 1, SHOWN, dtype=x.dtype)[:, None, None, None]
    codes, pixels = [], []
    for a, b in x[: 2 * SHOWN].reshape(-1, 2, *subject.shape)[:SHOWN]:
        codes.append(model.interpolate(a, b, SHOWN))
        pixels.append((1 - t) * a + t * b)
    # What lies between should look like data: its distance from the nearest training image, in the middle of the way.
    rows = []
    for name, ways in (("codes", codes), ("pixels", pixels)):
        middle = np.stack(ways)[:, SHOWN // 2]
        rows.append({"straight_through": name, "distance_to_data": float(nearest(middle, subject.train, 1).distances.mean())})
    return Use(rows, np.stack([way for pair in zip(codes, pixels, strict=True) for way in pair]), "through codes, then pixels")


def arithmetic(subject: Subject, between: str) -> Use:
    """Images moved along what separates two classes ("3:8"), or the upper from the lower half of a factor ("slant")."""
    model, data = subject.model, subject.test_data
    if ":" in between:
        first, _, second = between.partition(":")
        lacking, having = data.of_class(first), data.of_class(second)
    elif between in (data.factors or {}):
        column = (data.factors or {})[between]
        having = column > np.median(column) if column.max() > 1 or column.dtype.kind == "f" else column > 0
        lacking = ~having
    else:
        factors = ", ".join(data.factors or {}) or "none"
        raise RunError(
            f"between what? Two classes, as in --between 3:8, or a factor of {data.name} ({factors}): got {between!r}"
        )
    if not having.any() or not lacking.any():
        raise RunError(f"{between}: one side has no images in the test split of {data.name}")
    along = direction(model, subject.test[having], subject.test[lacking])
    amounts = np.linspace(-0.5, 1.5, SHOWN)
    start = subject.test[np.flatnonzero(lacking)[:SHOWN]]
    codes = code_of(model, subject.test) @ along
    area = auroc(codes, having)
    rows = [{"between": between, "length": float(np.linalg.norm(along)), "auroc_percent_along_it": 100 * area}]
    return Use(rows, moved(model, start, along, amounts), "codes moved by -0.5 to 1.5 of the difference")


def use_run(
    what: str,
    path: Path,
    *,
    data: str | None = None,
    data_dir: Path | None = None,
    noise: str | None = None,
    amount: float | None = None,
    between: str = "slant",
    out: Path | None = None,
) -> Use:
    """The use by name of the trained model at `path`; its picture goes to `out`, by default WHAT.png beside the checkpoint."""
    subject = Subject(path, what, data_dir)
    if len(subject.test) < 2 * SHOWN:
        raise RunError(f"{what} needs {2 * SHOWN} held-out images or more, and {subject.settings.data} has {len(subject.test)}")
    uses: dict[str, Callable[[], Use]] = {
        "anomaly": lambda: anomaly(subject, data),
        "compress": lambda: compress(subject),
        "denoise": lambda: denoise(subject, noise, amount),
        "interpolate": lambda: interpolate(subject),
        "arithmetic": lambda: arithmetic(subject, between),
    }
    found = uses[what]()
    file = out if out is not None else (path if path.is_dir() else path.parent) / f"{what}.png"
    save_grid(file, found.picture.clip(0, 1))
    return found._replace(file=file)


def use_table(use: Use) -> str:
    """The rows as text, and where the picture is."""
    header = [name.replace("_", " ") for name in use.rows[0]]
    cells = [[f"{value:.4g}" if isinstance(value, float) else value for value in row.values()] for row in use.rows]
    return f"{columns([header, *cells])}\n{use.shows}: {use.file}"
