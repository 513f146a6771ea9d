"""Every model's reproduction. The steps are by budget: quick (minutes), cpu (at most an hour on two cores), gpu (as published).

Sources. BGS: Burda, Grosse and Salakhutdinov 2016, table 1. OKK: van den Oord, Kalchbrenner and Kavukcuoglu 2016. PacGAN: Lin
et al. 2018, table 1. KM: Kim and Mnih 2018, on dSprites. PyDeep: the small RBM example of that library. Where "in PyTorch"
stands, the same network was trained once, in the same budget, with one seed.
"""

from __future__ import annotations

from .measures import (
    above_the_grammar,
    accuracy,
    agreement,
    coverage,
    disentangled,
    energy,
    exact_likelihood,
    exact_partition,
    excess,
    held_out,
    images_of,
    importance,
    stacked,
)
from .reproduction import Published, Reproduction

SAMPLED = {"binarise": "sampled"}  # DYN-FIX: training images drawn anew each epoch, test images once
SQUARES = "mean squared error of a pixel"
BITS, BITS_UNIT = "-log2 p(x) per dimension", "bits per dimension"

RECIPES: dict[str, Reproduction] = {
    # ---- autoencoders
    "autoencoder": Reproduction(
        "autoencoder", "mnist", (2000, 9380, 46900), held_out("per_pixel", SQUARES, "intensity^2", "exact"),
        Published(0.0056, "the same in PyTorch, 20 epochs"),
    ),
    "conv_autoencoder": Reproduction(
        "conv_autoencoder", "mnist", (400, 6000, 20000), held_out("per_pixel", SQUARES, "intensity^2", "exact")
    ),
    "denoising_autoencoder": Reproduction(
        "denoising_autoencoder", "mnist", (1500, 15000, 46900),
        held_out("denoised_psnr", "half of the pixels masked, denoised", "dB", "exact")
    ),
    # ---- variational
    "vae": Reproduction(
        "vae", "mnist", (4000, 80000, 900000), importance, Published(86.76, "BGS, VAE with k = 1"), data_options=SAMPLED,
        note="one hidden layer of 400 and 20 latents; published are two of 200 and 50", curve="negative_elbo",
    ),
    "conv_vae": Reproduction(
        "conv_vae", "mnist", (600, 12000, 100000), importance, Published(86.76, "BGS, VAE with k = 1"), data_options=SAMPLED,
        note="convolutions; published is a dense network", curve="negative_elbo",
    ),
    "iwae": Reproduction(
        "iwae", "mnist", (1000, 60000, 1968000), importance, Published(84.78, "BGS, IWAE with k = 50"),
        options={"samples": 50}, data_options=SAMPLED, curve="negative_bound",
    ),
    "iwae_k1": Reproduction(
        "iwae", "mnist", (6000, 200000, 1968000), importance, Published(86.76, "BGS, VAE with k = 1"),
        options={"samples": 1}, data_options=SAMPLED, curve="negative_bound",
    ),
    "beta_vae": Reproduction(
        "beta_vae", "glyph_factors", (3000, 20000, 100000), disentangled, Published(0.63, "KM, beta-VAE", "higher"),
        note="glyphs of known factors are like dSprites, and not dSprites",
    ),
    "factor_vae": Reproduction(
        "factor_vae", "glyph_factors", (3000, 20000, 100000), disentangled, Published(0.82, "KM, FactorVAE", "higher"),
        note="glyphs of known factors are like dSprites, and not dSprites",
    ),
    "hierarchical_vae": Reproduction(
        "hierarchical_vae", "mnist", (1000, 60000, 1968000), importance, Published(82.90, "BGS, two layers, IWAE with k = 50"),
        data_options=SAMPLED, curve="negative_elbo",
    ),
    "vae_gan": Reproduction("vae_gan", "mnist", (400, 8000, 50000), images_of),
    "conditional_vae": Reproduction(
        "conditional_vae", "mnist", (4000, 80000, 900000), importance, data_options=SAMPLED,
        note="the likelihood is that of an image given its class, log p(x|y): no unconditional figure can be set beside it",
        curve="negative_elbo",
    ),
    # ---- adversarial
    "gan": Reproduction("gan", "ring8", (2000, 6000, 400000), coverage, Published(6.3, "PacGAN, GAN on the ring", "higher")),
    "unrolled_gan": Reproduction(
        "unrolled_gan", "ring8", (400, 6000, 25000), coverage, Published(7.6, "VEEGAN, table 1: unrolled GAN", "higher")
    ),
    "wgan": Reproduction("wgan", "grid25", (3000, 16000, 400000), coverage),
    "wgan_gp": Reproduction(
        "wgan_gp", "grid25", (3000, 18000, 400000), coverage, Published(24.8, "PacGAN, PacGAN4 on the grid", "higher")
    ),
    "dcgan": Reproduction("dcgan", "mnist", (400, 8000, 50000), images_of),
    "dcgan_stacked": Reproduction(
        "dcgan", "stacked_mnist", (400, 6000, 50000), stacked, Published(99, "PacGAN, DCGAN on stacked MNIST", "higher")
    ),
    "conditional_gan": Reproduction("conditional_gan", "mnist", (400, 6000, 50000), agreement),
    # ---- diffusion
    "ddpm": Reproduction(
        "ddpm", "mnist", (300, 8000, 400000), held_out("bits", BITS, BITS_UNIT, "bound"),
        Published(1.09, "variational bound of a VP diffusion"), batch=32, options={"objective": "bound"}, curve="bits",
    ),
    "flow_matching": Reproduction(
        "flow_matching", "gaussians8", (2000, 10000, 10000), energy, Published(7.5e-4, "the same in PyTorch"),
    ),
    # ---- flows
    "realnvp": Reproduction(
        "realnvp", "grid25", (3000, 24000, 24000), excess, Published(0.70, "the same in PyTorch, 240 s")
    ),
    "neural_spline_flow": Reproduction(
        "neural_spline_flow", "grid25", (400, 2000, 4000), excess, Published(0.00, "the same in PyTorch, 180 s"),
    ),
    "conv_realnvp": Reproduction(
        "conv_realnvp", "mnist", (200, 12000, 100000), held_out("bits_per_dimension", BITS, BITS_UNIT, "bound"),
        Published(1.06, "RealNVP on MNIST"), curve="bits_per_dimension",
    ),
    "glow": Reproduction(
        "glow", "mnist", (200, 10000, 100000), held_out("bits_per_dimension", BITS, BITS_UNIT, "bound"),
        Published(1.05, "Glow on MNIST"), curve="bits_per_dimension",
    ),
    # ---- energy
    "rbm": Reproduction(
        "rbm", "mnist", (6000, 30000, 30000), exact_partition, Published(142.56, "PyDeep, centred"),
        rate=0.01, options={"hidden": 16, "final_rate": 1.0}, data_options={"binarise": "threshold"},
    ),
    "rbm_plain": Reproduction(
        "rbm", "mnist", (6000, 30000, 30000), exact_partition, Published(149.05, "PyDeep, plain"),
        rate=0.01, options={"hidden": 16, "final_rate": 1.0, "centered": False, "chains": 500},
        data_options={"binarise": "threshold"},
    ),
    "ebm": Reproduction("ebm", "pinwheel", (800, 3000, 20000), excess),
    # ---- autoregressive
    "pixelcnn": Reproduction(
        "pixelcnn", "binarized_mnist", (300, 8000, 100000), exact_likelihood, Published(81.30, "OKK, PixelCNN"), curve="nll",
    ),
    "gated_pixelcnn": Reproduction(
        "gated_pixelcnn", "binarized_mnist", (500, 20000, 400000), exact_likelihood, Published(81.30, "OKK, PixelCNN"),
        options={"width": 32, "layers": 10}, curve="nll",
    ),
    "wavenet": Reproduction(
        "wavenet", "plucked", (300, 2500, 20000), held_out("nll", "-log p", "nats per sample", "exact"), curve="nll",
    ),
    "char_wavenet": Reproduction("char_wavenet", "grammar", (500, 3000, 20000), above_the_grammar,
                                 Published(0.0, "the grammar itself"), curve="nll"),
    # ---- the ruler
    "classifier": Reproduction(
        "classifier", "mnist", (600, 6000, 10000), accuracy, Published(99.2, "asked of a classifier that counts", "higher")
    ),
}  # fmt: skip
