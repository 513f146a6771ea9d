"""Models of sequences: `char_wavenet` against a grammar's entropy, `wavenet` against the notes that were asked for.

    python -m benchmarks.sequences char_wavenet          # trains by the recipe, seed 0, into runs/benchmark-char_wavenet
    python -m benchmarks.sequences wavenet               # goes on where it was stopped

char_wavenet, on the test split of `grammar`: nats per character, minus -log p of the grammar itself on the same rows (the
excess: an estimate of the Kullback-Leibler divergence, and paired, so its error is small); and the part of complete lines of
1,000 sampled texts that the grammar can write.

wavenet, on the test split of `plucked`: nats per sample; how often the strongest of the notes in a sampled sound is the
one that was asked for, with the same question about real strings beside it; CPU seconds for a second of sound.

A note f is as strong as the spectrum at f, 2 f, 3 f, 4 f, minus that halfway below each.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np

from minigen.backend import Array
from minigen.data.grammar import EXPRESSIONS
from minigen.data.mu_law import decode
from minigen.data.plucked import HERTZ, NOTES
from minigen.data.sequences import as_rows, as_text
from minigen.models.wavenet import Rows
from minigen.random import Key
from minigen.training import Run

RESULTS = Path(__file__).parent / "results"
KEY = Key(0).at("benchmark")


def trained(name: str) -> tuple[Run, dict[str, Any]]:
    """The run of the recipe, finished, and what is to be known of it."""
    folder = Path("runs") / f"benchmark-{name}"
    run = Run.resume(folder) if (folder / "config.json").exists() else Run.create(name, out=folder)
    before = time.process_time()
    run.train(progress=False)
    settings = run.settings.as_json()
    return run, {
        "settings": settings,
        "parameters": run.model.vector.size,
        "cpu_seconds": round(time.process_time() - before, 1),
    }


def characters() -> dict[str, Any]:
    """The excess over the grammar, and how many lines are right."""
    run, known = trained("char_wavenet")
    model: Any = run.model
    rows = run.splits.test.images.astype(np.int64)  # (N, T)
    T = rows.shape[1]
    ours = -np.concatenate([model.log_probability(Rows(part, None)) for part in np.split(rows, 10)]) / T  # (N,)
    excess = ours + EXPRESSIONS.log_probability(rows) / T
    texts = model.sample_of(None, 1000, KEY.at("texts"))
    lines = [line for row in texts for line in as_text(row, EXPRESSIONS.characters).split("\n")[:-1]]
    possible = [
        math.isfinite(EXPRESSIONS.log_probability(as_rows(f"{line}\n", EXPRESSIONS.characters, len(line) + 1))[0])
        for line in lines
    ]
    return known | {
        "rows": len(rows),
        "nll": float(ours.mean()),
        "nll_standard_error": standard_error(ours),
        "entropy": EXPRESSIONS.entropy,
        "grammar_nll": float((ours - excess).mean()),
        "excess": float(excess.mean()),
        "excess_standard_error": standard_error(excess),
        "lines": len(lines),
        "lines_right": float(np.mean(possible)),
    }


def sounds() -> dict[str, Any]:
    """Nats per sample, notes and the time of sampling."""
    run, known = trained("wavenet")
    model: Any = run.model
    test = run.splits.test
    assert test.labels is not None
    labels = test.labels.astype(np.int64)
    rows = test.images.astype(np.int64)
    parts = [slice(i, i + 20) for i in range(0, len(rows), 20)]
    nats = -np.concatenate([model.log_probability(Rows(rows[p], labels[p])) for p in parts]) / rows.shape[1]
    asked = np.arange(len(NOTES)).repeat(40)
    drawn = decode(model.sample_of(asked, len(asked), KEY.at("sounds")))
    seconds = {}
    for n in (1, 8):
        before = time.process_time()
        model.sample(n, KEY.at("time"), length=HERTZ // 4)
        seconds[str(n)] = round(4 * (time.process_time() - before), 2)
    return known | {
        "rows": len(rows),
        "nll": float(nats.mean()),
        "nll_standard_error": standard_error(nats),
        "sounds": len(asked),
        "notes_right": float((notes(drawn) == asked).mean()),
        "notes_right_by_label": {n: float((notes(drawn[asked == i]) == i).mean()) for i, n in enumerate(NOTES)},
        "real_notes_right": float((notes(decode(rows)) == labels).mean()),
        "cpu_seconds_for_a_second_of_sound": seconds,
    }


def notes(sound: Array) -> Array:
    """(N, T) -> (N,): the strongest of the notes, by the rule above."""
    size = 1 << 15
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(sound.shape[1]), size))
    strengths = []
    for period in NOTES.values():
        f = HERTZ / (period + 0.5)
        at = [spectrum[:, [round(k * f * size / HERTZ) for k in ks]].sum(1) for ks in ((1, 2, 3, 4), (0.5, 1.5, 2.5, 3.5))]
        strengths.append(at[0] - at[1])
    return np.argmax(strengths, 0)


def standard_error(x: Array) -> float:
    """Of a mean."""
    return float(x.std(ddof=1) / math.sqrt(len(x)))


MODELS = {"char_wavenet": characters, "wavenet": sounds}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=MODELS)
    name = parser.parse_args().model
    result = {"command": f"python -m benchmarks.sequences {name}", "seed": 0, **MODELS[name]()}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"sequences_{name}.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
