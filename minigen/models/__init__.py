"""Every model by name, imported when it is first asked for."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module

from .model import Model, Recipe
from .objective import Forwards, Objective, Terms, total

_MODELS = {
    "autoencoder": "autoencoder:Autoencoder",
    "conv_autoencoder": "conv_autoencoder:ConvAutoencoder",
    "denoising_autoencoder": "denoising_autoencoder:DenoisingAutoencoder",
    "vae": "vae:VAE",
    "conv_vae": "conv_vae:ConvVAE",
    "beta_vae": "beta_vae:BetaVAE",
    "factor_vae": "factor_vae:FactorVAE",
    "conditional_vae": "conditional_vae:ConditionalVAE",
    "hierarchical_vae": "hierarchical_vae:HierarchicalVAE",
    "vae_gan": "vae_gan:VAEGAN",
    "iwae": "iwae:IWAE",
    "gan": "gan:GAN",
    "dcgan": "dcgan:DCGAN",
    "conditional_gan": "conditional_gan:ConditionalGAN",
    "unrolled_gan": "unrolled_gan:UnrolledGAN",
    "wgan": "wgan:WGAN",
    "wgan_gp": "wgan_gp:WGANGP",
    "ddpm": "ddpm:DDPM",
    "flow_matching": "flow_matching:FlowMatching",
    "realnvp": "realnvp:RealNVP",
    "neural_spline_flow": "neural_spline_flow:NeuralSplineFlow",
    "conv_realnvp": "conv_realnvp:ConvRealNVP",
    "glow": "glow:Glow",
    "rbm": "rbm:RBM",
    "ebm": "ebm:EBM",
    "pixelcnn": "pixelcnn:PixelCNN",
    "gated_pixelcnn": "gated_pixelcnn:GatedPixelCNN",
    "wavenet": "wavenet:WaveNet",
    "char_wavenet": "char_wavenet:CharWaveNet",
    "classifier": "classifier:Classifier",
}


def names() -> list[str]:
    """The names of all models."""
    return list(_MODELS)


def find(name: str) -> type[Model]:
    """The class of a model. Raises ValueError with the names there are, and the nearest one."""
    if name not in _MODELS:
        near = get_close_matches(name, _MODELS, n=1)
        hint = f": did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"unknown model {name!r}{hint} There is {', '.join(_MODELS)}")
    module, _, cls = _MODELS[name].partition(":")
    found: type[Model] = getattr(import_module(f".{module}", __name__), cls)
    return found


__all__ = ["Forwards", "Model", "Objective", "Recipe", "Terms", "find", "names", "total"]
