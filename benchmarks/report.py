"""The README's tables, from the committed results: `python -m benchmarks.report` rewrites them between their markers.

A row of the figures is what was measured, our figure, what it is held against, and the command; the tables of speed are in
`report_speed.py`. No number of ours is typed by hand; those of papers and of PyTorch are in this file.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import report_speed

RESULTS = Path(__file__).parent / "results"
README = Path(__file__).parents[1] / "README.md"


class Row(NamedTuple):
    what: str
    ours: str
    against: str


def vae_mnist(r: dict[str, Any]) -> Iterator[Row]:
    yield Row(
        "dense VAE 784-400-20, MNIST, 20 epochs: negative ELBO, nats per image",
        f"{r['negative_elbo']:.2f} ± {r['standard_error']:.2f}",
        "103.7, the same in PyTorch, one seed",
    )


def autoencoders_dense(r: dict[str, Any]) -> Iterator[Row]:
    ours, pca = r["test_mse"], r["pca_test_mse"]
    yield Row("autoencoder 784-64-784, MNIST, 20 epochs: test MSE", f"{ours:.5f}", f"PCA(64) {pca:.5f}")


def autoencoders_anomaly(r: dict[str, Any]) -> Iterator[Row]:
    found = r["mean_auroc"]
    against = ", ".join(f"{name} {found[name]['mean']:.1f}" for name in found if name not in ("vae", "autoencoder"))
    for name in ("vae", "autoencoder"):
        what = f"anomalies, MNIST, one digit against the rest, {name}, {len(found[name]['by_seed'])} seeds: mean AUROC"
        yield Row(what, f"{found[name]['mean']:.2f}", against)


def autoencoders_denoising(r: dict[str, Any]) -> Iterator[Row]:
    for noise, found in r["noises"].items():
        what = f"denoising autoencoder, MNIST, {noise} {found['amount']:g}: PSNR in decibels, {found['psnr_noisy']:.1f} before"
        yield Row(what, f"{found['psnr_denoised']:.1f}", f"PCA {found['psnr_projected_by_pca']:.1f}")


def gan_mnist_classifier(r: dict[str, Any]) -> Iterator[Row]:
    yield Row("classifier, MNIST: test accuracy", f"{100 * r['test_accuracy']:.2f} %", "")


def gan_mnist_dcgan(r: dict[str, Any]) -> Iterator[Row]:
    what = f"DCGAN, MNIST, {r['minutes']:.0f} minutes: rarest class among {r['samples']:,} samples, by that classifier"
    yield Row(what, f"{r['rarest_percent']:.1f} %", "10 % if all were alike")


def gan_mnist_conditional_gan(r: dict[str, Any]) -> Iterator[Row]:
    what = f"conditional GAN, MNIST, {r['minutes']:.0f} minutes: samples of the class that was asked for"
    yield Row(what, f"{100 * r['agreement']:.1f} %", "")


def rbm_mnist(r: dict[str, Any]) -> Iterator[Row]:
    pydeep = {"plain": "149.05, PyDeep; 145.5, the same in PyTorch, one seed", "centered": "142.56, PyDeep; 141.8, PyTorch"}
    for name, found in r["summary"].items():
        chains = r["settings"]["variants"][name]["chains"]
        recipe = f"PCD-1 with {chains} chains, {name}, thresholded MNIST, 50 epochs"
        what = f"RBM 16 hidden units, {recipe}, {found['seeds']} seeds: exact -log p, nats"
        yield Row(what, f"{found['negative_log_likelihood']:.2f}", pydeep[name])
        yield Row("the same, of the parameters' mean over the last 10 epochs", f"{found['of_averaged_parameters']:.2f}", "")
        sigma, off = found["largest_sigma"], found["largest_off_in_sigmas"]
        what = f"its log Z by annealed importance sampling, {name}: largest sigma in nats; largest error in sigmas"
        reverse = f"reverse: {found['reverse_largest_sigma']:.3f}; {found['reverse_largest_off_in_sigmas']:.1f}"
        yield Row(what, f"{sigma:.3f}; {off:.1f}", reverse)


def ring8(r: dict[str, Any]) -> Iterator[Row]:
    for name, found in r["summary"].items():
        treatment = name.replace("_r1", " with R1").replace("_", " ")
        what = f"ring of 8, GAN, {treatment}, {found['seeds']} seeds: modes; quality; sigma ratio"
        ours = f"{found['modes']:.1f}; {100 * found['quality']:.1f} %; {found['sigma_ratio']:.2f}"
        yield Row(what, ours, "8; 98.9 %; 1, a perfect sampler")


def sequences_char_wavenet(r: dict[str, Any]) -> Iterator[Row]:
    what = f"char_wavenet, built-in grammar, {r['settings']['steps']:,} updates: nats per character above the grammar's own"
    yield Row(what, f"{r['excess']:.4f} ± {r['excess_standard_error']:.4f}", f"0 of {r['grammar_nll']:.4f}, the grammar itself")
    yield Row(
        f"the same: complete lines of {r['lines']:,} sampled that the grammar can write", f"{100 * r['lines_right']:.1f} %", ""
    )


def sequences_wavenet(r: dict[str, Any]) -> Iterator[Row]:
    what = f"wavenet, plucked strings, {r['settings']['steps']:,} updates: "
    yield Row(f"{what}nats per sample", f"{r['nll']:.3f} ± {r['nll_standard_error']:.3f}", "5.545, all levels alike")
    notes = f"{what}{r['sounds']} sampled sounds, the strongest note is the one asked for"
    yield Row(notes, f"{100 * r['notes_right']:.1f} %", f"real strings {100 * r['real_notes_right']:.1f} %")
    seconds = r["cpu_seconds_for_a_second_of_sound"]
    yield Row(
        "the same: CPU seconds to sample a second of sound at 8 kHz", f"{seconds['1']:.1f}; 8 at once {seconds['8']:.1f}", ""
    )


def flow_matching_points(r: dict[str, Any]) -> Iterator[Row]:
    found, floor = r["records"], r["floor"]
    by_seed = ", ".join(f"{1000 * record['energy_distance']:.2f}" for record in found)
    yield Row(
        f"flow matching, 8 Gaussians, {len(found)} seeds: energy distance, unbiased and not rooted, 10,000 samples, in 1/1000",
        f"{1000 * r['energy_distance']:.2f} ({by_seed})",
        f"truth against truth {1000 * floor['mean']:.2f} ± {1000 * floor['spread']:.2f}",
    )
    rules = {name: 1000 * sum(record["by_rule"][name] for record in found) / len(found) for name in found[0]["by_rule"]}
    few = "; ".join(f"{rule} {rules[f'{rule.lower()}_5']:.1f}, {rules[f'{rule.lower()}_20']:.1f}" for rule in ("Euler", "Heun"))
    exact = "; ".join(f"{1000 * r['exact_velocity'][name]:.1f}" for name in ("euler_5", "euler_20", "heun_5", "heun_20"))
    yield Row("the same in 5 and in 20 steps, in 1/1000", few, f"the exact velocity {exact}")
    yield Row("the same: KL(data || model), nats, by the exact likelihood", f"{r['kl']:.4f}", "0")
    for record in r.get("gallery", ()):
        what = f"flow matching, {record['data']}: KL(data || model), nats"
        yield Row(what, f"{record['kl']:.4f} ± {record['kl_standard_error']:.4f}", "0")


def pixelcnn_mnist(r: dict[str, Any]) -> Iterator[Row]:
    what = f"gated PixelCNN, {r['parameters']:,} parameters, binarised MNIST (STATIC), {r['epochs']:.2g} epochs: exact nats"
    yield Row(what, f"{r['nll']:.2f} ± {r['standard_error']:.2f}", "PixelCNN 81.30 (van den Oord et al. 2016)")


def grid25(r: dict[str, Any]) -> Iterator[Row]:
    for name, found in r["summary"].items():
        what = f"grid of 25, {'GAN' if name == 'plain' else 'WGAN-GP'}, {found['seeds']} seeds: modes; quality; sigma ratio"
        ratio = "-" if found["sigma_ratio"] is None else f"{found['sigma_ratio']:.2f}"
        ours = f"{found['modes']:.1f}; {100 * found['quality']:.1f} %; {ratio}"
        yield Row(what, ours, "25; 98.9 %; 1, a perfect sampler")


def flow_memory(r: dict[str, Any]) -> Iterator[Row]:
    deep = r["rows"][-1]
    stored, recomputed = deep["stored"], deep["recomputed"]
    slower = recomputed["cpu_seconds"] / stored["cpu_seconds"]
    yield Row(
        f"Glow, {r['levels']} levels of {deep['steps_a_level']} steps, a gradient without stored activations: peak memory, MiB",
        f"{recomputed['peak_mib']:.1f} at {slower:.1f} times the time",
        f"{stored['peak_mib']:.1f} with them; the gradients differ by {deep['relative_error_float32']:.0e} in float32",
    )


def flows_2d(r: dict[str, Any]) -> Iterator[Row]:
    model = {"affine": "affine couplings", "spline": "spline couplings"}
    goals = {("affine", "grid25"): 0.8, ("affine", "checkerboard"): 0.08}
    for found in r["summary"]:
        depth = r["settings"][found["coupling"]][found["density"]]["depth"]
        flow = f"{depth} {model[found['coupling']]}, seeds: {found['seeds']}, {found['cpu_seconds']:.0f} s each on one core"
        goal = goals.get((found["coupling"], found["density"]), 0.02)
        by_seed = ", ".join(f"{excess:.3f}" for excess in found["by_seed"])
        what = f"{found['density']}, {flow}: nats above the entropy"
        yield Row(what, f"{found['excess_nats']:.3f} ({by_seed})", f"0, the truth itself; the goal was {goal}")


def disentangle(r: dict[str, Any]) -> Iterator[Row]:
    for name, found in r["summary"].items():
        low, high = found["factor_score"][1:]
        what = (
            f"glyph factors, {name.replace('_', ' ')}, {found['seeds']} seeds: FactorVAE score [95 %]; MIG; DCI disentanglement"
        )
        ours = (
            f"{found['factor_score'][0]:.2f} [{low:.2f}, {high:.2f}]; {found['mig'][0]:.2f}; {found['disentanglement'][0]:.2f}"
        )
        plain = "; ".join(f"{found[f'{measure}_untrained'][0]:.2f}" for measure in ("factor_score", "mig", "disentanglement"))
        yield Row(what, ours, f"untrained {plain}")


def ruler_mnist(r: dict[str, Any]) -> Iterator[Row]:
    what = f"the ruler {r['name']}: test accuracy; modes and reverse KL of {r['stacked']['samples']:,} stacked test digits"
    ours = f"{100 * r['accuracy']:.2f} %; {r['stacked']['modes']}, {r['stacked']['reverse_kl']:.3f}"
    yield Row(what, ours, f"99.2 %; 1000, {r['stacked']['kl_floor']:.3f}")


TABLES: dict[str, Callable[[dict[str, Any]], Iterator[Row]]] = {
    f.__name__: f
    for f in (
        vae_mnist,
        autoencoders_dense,
        autoencoders_anomaly,
        autoencoders_denoising,
        gan_mnist_classifier,
        gan_mnist_dcgan,
        gan_mnist_conditional_gan,
        rbm_mnist,
        ring8,
        grid25,
        flows_2d,
        sequences_char_wavenet,
        sequences_wavenet,
        flow_matching_points,
        flow_memory,
        pixelcnn_mnist,
        disentangle,
        ruler_mnist,
    )
}


def table() -> str:
    """The Markdown table of every result there is."""
    lines = ["| what | ours | beside it | command |", "|---|---|---|---|"]
    for name, rows in TABLES.items():
        path = RESULTS / f"{name}.json"
        if path.exists():
            result = json.loads(path.read_text())
            lines += [f"| {row.what} | {row.ours} | {row.against} | `{result['command']}` |" for row in rows(result)]
    return "\n".join(lines)


def between(text: str, name: str, content: str) -> str:
    """`text` with `content` between the markers of that name. Raises ValueError where they are missing."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{README.name} needs the markers {begin} and {end}: put them where the table shall stand")
    return f"{before}{begin}\n{content}\n{end}{after}"


def with_tables(readme: str) -> str:
    """The README with today's tables between their markers; what has no result yet has an empty one."""
    readme = between(readme, "figures", table())
    for name, lines in report_speed.TABLES.items():
        path = RESULTS / f"{name}.json"
        content = "\n".join(lines(json.loads(path.read_text()))) if path.exists() else ""
        readme = between(readme, name, content)
    return readme


if __name__ == "__main__":
    README.write_text(with_tables(README.read_text()))
    print(table())
