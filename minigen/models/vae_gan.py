"""VAE/GAN (Larsen et al. 2016): an autoencoder that is right where a discriminator's features agree, not where pixels do.

A pixel's likelihood asks for the mean of all images that could be meant, and the mean is blurred. Here the decoder G of a VAE
is the generator of a GAN too. The error is measured by h(x), the features of its discriminator D, as if they were drawn from
N(h(G(z)), 1). With x~ = G(z), z from q(z|x), and x_p = G(z_p), z_p from the prior:

    kl       KL(q(z|x) || N(0, 1))
    like     |h(x~) - h(x)|^2 / 2                     -log N(h(x); h(x~), 1), without its constant; summed over features
    game     real(l(x)) + fake(l(x~)) + fake(l(x_p))  l the logits of D, with the sides of a `Game` (losses.adversarial)
    fool     generator(l(x~)) + generator(l(x_p))

    network          minimises               the gradient's way                               held still
    encoder          kl + like               h -> x~ -> z -> mu, logvar; and of kl            G, D
    generator        gamma like + fool       h, l -> x~ -> G;  l -> x_p -> G                  D, z
    discriminator    game                    l(x), l(x~), l(x_p) -> D                         x~, x_p

So the encoder never learns to fool D, and D never learns to make `like` small: it would, by features that see nothing. Each
line is an objective below, with dh = (h(x~) - h(x)) / N. All three are evaluated at one draw and one forward of every network;
then all three networks move (algorithm 1 of the paper).

The networks are in vae_gan_networks.py and dcgan.py. N batch, L latents, F features, (H, W, C) an image in [-1, 1].
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from .. import optim
from ..backend import Array, Shape
from ..layers.composite import Sequential
from ..losses import gaussian_kl, mse
from ..losses.adversarial import Game
from ..losses.adversarial import game as find_game
from ..random import Key
from .dcgan import convolutional_features, convolutional_generator, quarterable
from .latent import line
from .model import Model, Recipe
from .objective import Forwarder, Forwards, Objective, Terms
from .vae import Encoder, reparameterize, reparameterize_backward
from .vae_gan_networks import FeatureDiscriminator, convolutional_encoder


def half_squares(h: Array, target: Array, *, scale: float = 1.0) -> tuple[Any, Array]:
    """|h - target|^2 / 2, summed over features, averaged over rows, and dh = scale (h - target) / N."""
    half = h.size / (2 * len(h))  # of the features, over which `mse` is a mean
    value, dh = mse(h, target, scale=scale * half)
    return half * value, dh


class VAEGANNoise(NamedTuple):
    eps: Array  # (N, L) of z
    z_p: Array  # (N, L) from the prior
    key: Key  # for layers that draw noise


class EncoderLoss(Objective):
    """kl + like, nats per image. The gradient passes through D's features and through G, which do not learn from it."""

    name, updates = "encoder", ("encoder",)

    def draw(self, model: VAEGAN, batch: Array, key: Key, forwards: Forwards | None = None) -> VAEGANNoise:
        return VAEGANNoise(model.latent(len(batch), key.at("eps")), model.latent(len(batch), key.at("z_p")), key)

    def __call__(
        self,
        model: VAEGAN,
        batch: Array,
        noise: VAEGANNoise,
        *,
        train: bool = True,
        backward: bool = True,
        scale: float = 1.0,
        forwards: Forwards | None = None,
    ) -> tuple[Terms, Forwards]:
        forward = Forwarder(model, forwards, train=train, key=noise.key)
        (mu, logvar), encoder_cache = forward("encoder", batch)  # (N, L), (N, L)
        z = reparameterize(mu, logvar, noise.eps)  # (N, L)
        rebuilt, made_cache = forward("generator:rebuilt", z)  # (N, H, W, C)
        (h_real, _), _ = forward("discriminator:real", batch)  # (N, F)
        (h, _), seen_cache = forward("discriminator:rebuilt", rebuilt)  # (N, F)

        kl, dmu, dlogvar = gaussian_kl(mu, logvar, scale=scale)
        like, dh = half_squares(h, h_real, scale=scale)
        if backward:
            drebuilt = model.discriminator.backward((dh, None), seen_cache, param_grads=False)
            dz = model.generator.backward(drebuilt, made_cache, param_grads=False)
            dmu_z, dlogvar_z = reparameterize_backward(dz, logvar, noise.eps)
            model.encoder.backward((dmu + dmu_z, dlogvar + dlogvar_z), encoder_cache, need_dx=False)
        return {"kl": kl, "like": like}, forward.made(self.updates)


class DecoderLoss(Objective):
    """gamma like + generator(l(x~)) + generator(l(x_p)): through D, which does not learn from it. z is a constant."""

    name, updates = "generator", ("generator",)

    def __init__(self, game: Game, gamma: float) -> None:
        self.game, self.gamma = game, gamma

    draw = EncoderLoss.draw

    def __call__(
        self,
        model: VAEGAN,
        batch: Array,
        noise: VAEGANNoise,
        *,
        train: bool = True,
        backward: bool = True,
        scale: float = 1.0,
        forwards: Forwards | None = None,
    ) -> tuple[Terms, Forwards]:
        forward, G, D = Forwarder(model, forwards, train=train, key=noise.key), model.generator, model.discriminator
        (mu, logvar), _ = forward("encoder", batch)  # (N, L), (N, L)
        rebuilt, rebuilt_cache = forward("generator:rebuilt", reparameterize(mu, logvar, noise.eps))  # (N, H, W, C)
        drawn, drawn_cache = forward("generator:drawn", noise.z_p)  # (N, H, W, C)
        (h_real, _), _ = forward("discriminator:real", batch)  # (N, F)
        (h, l), seen_cache = forward("discriminator:rebuilt", rebuilt)  # (N, F), (N, 1)
        (_, l_p), seen_p_cache = forward("discriminator:drawn", drawn)  # (N, 1)

        like, dh = half_squares(h, h_real, scale=scale * self.gamma)
        fool, dl = self.game.generator(l, scale=scale)
        fool_p, dl_p = self.game.generator(l_p, scale=scale)
        if backward:
            drebuilt = D.backward((dh, dl), seen_cache, param_grads=False)
            G.backward(drebuilt, rebuilt_cache, need_dx=False)
            ddrawn = D.backward((None, dl_p), seen_p_cache, param_grads=False)
            G.backward(ddrawn, drawn_cache, need_dx=False)
        terms = {"weighted_like": self.gamma * like, "fool_rebuilt": fool, "fool_drawn": fool_p}
        return terms, forward.made(self.updates)


class JudgeLoss(Objective):
    """real(l(x)) + fake(l(x~)) + fake(l(x_p)): what D pays. Both fakes are constants."""

    name, updates = "discriminator", ("discriminator",)

    def __init__(self, game: Game) -> None:
        self.game = game

    draw = EncoderLoss.draw

    def __call__(
        self,
        model: VAEGAN,
        batch: Array,
        noise: VAEGANNoise,
        *,
        train: bool = True,
        backward: bool = True,
        scale: float = 1.0,
        forwards: Forwards | None = None,
    ) -> tuple[Terms, Forwards]:
        forward = Forwarder(model, forwards, train=train, key=noise.key)
        (mu, logvar), _ = forward("encoder", batch)  # (N, L), (N, L)
        rebuilt, _ = forward("generator:rebuilt", reparameterize(mu, logvar, noise.eps))  # (N, H, W, C)
        drawn, _ = forward("generator:drawn", noise.z_p)  # (N, H, W, C)

        terms: Terms = {}
        for name, x, side in (
            ("real", batch, self.game.real),
            ("rebuilt", rebuilt, self.game.fake),
            ("drawn", drawn, self.game.fake),
        ):
            (_, l), cache = forward(f"discriminator:{name}", x)  # (N, 1)
            terms[name], dl = side(l, scale=scale)
            if backward:
                model.discriminator.backward((None, dl), cache, need_dx=False)
        return terms, forward.made(self.updates)


class VAEGAN(Model):
    """Generator and discriminator of `dcgan`, the encoder the discriminator's mirror; `gamma` weighs `like` for the generator.

    Raises ValueError where images cannot be halved twice, where gamma is not positive, and on an unknown game.
    """

    name = "vae_gan"
    recipe = Recipe(
        family="vae",
        data=("glyphs", "mnist", "fashion_mnist", "glyphs_colour"),
        batch=64,
        steps=6000,
        rate=3e-4,
        lesson="03",
        options={"latents": 20, "width": 32, "gamma": 1e-3, "game": "non_saturating"},
        objectives=("encoder", "generator", "discriminator"),
    )
    encoder: Encoder
    generator: Sequential
    discriminator: FeatureDiscriminator

    def __init__(
        self,
        shape: Shape,
        key: Key,
        dtype: DTypeLike = np.float32,
        *,
        latents: int = 20,
        width: int = 32,
        gamma: float = 1e-3,
        game: str = "non_saturating",
    ) -> None:
        if not 0 < gamma < math.inf:
            raise ValueError(f"gamma={gamma:g} is no weight of the likeness: give a positive number, such as 0.001")
        self.shape, self.latents = quarterable(self.name, shape), latents
        super().__init__(
            key,
            dtype,
            encoder=convolutional_encoder(self.shape, latents, width),
            generator=convolutional_generator(self.shape, latents, width),
            discriminator=FeatureDiscriminator(*convolutional_features(self.shape, width)),
        )
        rules = find_game(game)
        self.objectives = (EncoderLoss(), DecoderLoss(rules, gamma), JudgeLoss(rules))

    def start(self, rate: float, steps: int) -> None:
        nets = ("encoder", "generator", "discriminator")
        self.optimize(**{net: optim.Adam(self, self.spans(net), rate, betas=(0.5, 0.999)) for net in nets})

    def latent(self, n: int, key: Key) -> Array:
        """n latents from N(0, 1): (n, L)."""
        return key.normal((n, self.latents), like=self.theta)

    def batch_of(self, batch: Any) -> Array:
        """Images from [0, 1] to [-1, 1]."""
        images: Array = batch.images
        return 2 * images - 1

    def look(self, batch: Array, noise: VAEGANNoise, *, train: bool) -> Forwards:
        """One forward of every network at everything that it is shown: all that the three objectives need."""
        forward = Forwarder(self, train=train, key=noise.key)
        (mu, logvar), _ = forward("encoder", batch)
        rebuilt, _ = forward("generator:rebuilt", reparameterize(mu, logvar, noise.eps))
        drawn, _ = forward("generator:drawn", noise.z_p)
        for name, x in (("real", batch), ("rebuilt", rebuilt), ("drawn", drawn)):
            forward(f"discriminator:{name}", x)
        return forward.made(tuple(self.nets))

    def step(self, batch: Array, key: Key) -> Terms:
        encoder_loss, decoder_loss, judge_loss = self.objectives
        noise = encoder_loss.draw(self, batch, key)
        forwards = self.look(batch, noise, train=True)

        self.zero_grads()  # each objective fills the gradients of one network
        terms, encoded = encoder_loss(self, batch, noise, forwards=forwards)
        decoder_terms, made = decoder_loss(self, batch, noise, forwards=forwards)
        judge_terms, judged = judge_loss(self, batch, noise, forwards=forwards)
        for optimizer in self.optimizers.values():  # all three at once: each gradient is at the old place of the other two
            optimizer.step()
        self.commit(noise, encoded | made | judged)
        return terms | decoder_terms | judge_terms

    def evaluate(self, batch: Array, key: Key) -> Terms:
        """Every term, without training, and the squared error of a pixel in [0, 1], rebuilt from the posterior's mean."""
        noise = self.objectives[0].draw(self, batch, key)
        forwards, terms = self.look(batch, noise, train=False), Terms()
        for objective in self.objectives:
            terms |= objective(self, batch, noise, train=False, backward=False, forwards=forwards)[0]
        x = 0.5 * (batch + 1)
        return terms | {"squared_error": ((self.reconstruct(x) - x) ** 2).mean()}

    def health(self, batch: Array, key: Key) -> dict[str, Any]:
        fake = self.generator.forward(self.latent(len(batch), key))[0]
        (_, real_logits), (_, fake_logits) = (self.discriminator.forward(x)[0] for x in (batch, fake))
        return {"real": batch, "fake": fake, "real_logits": real_logits, "fake_logits": fake_logits}

    # ---- what it is used for; images lie in [0, 1] here

    def encode(self, x: Array) -> tuple[Array, Array]:
        """mu and logvar (N, L) of q(z|x)."""
        return self.encoder.forward(2 * x - 1)[0]

    def decode(self, z: Array) -> Array:
        """Images (N, H, W, C) at latents z (N, L)."""
        return 0.5 * (self.generator.forward(z)[0] + 1)

    def sample(self, n: int, key: Key) -> Array:
        return self.decode(self.latent(n, key))

    def reconstruct(self, x: Array) -> Array:
        """decode at the posterior's mean."""
        return self.decode(self.encode(x)[0])

    def interpolate(self, a: Array, b: Array, steps: int) -> Array:
        """decode on the straight line from the mean of image a to that of image b: (steps, H, W, C)."""
        mu, _ = self.encode(np.stack((a, b)))  # (2, L)
        return self.decode(line(mu, steps))

    def pictures(self, batch: Any, key: Key) -> dict[str, Array]:
        pictures, x = super().pictures(batch, key), batch.images
        if len(x) >= 16:
            pairs = [part.reshape(2, 8, *self.shape) for part in (x[:16], self.reconstruct(x[:16]))]
            pictures["reconstructions"] = np.stack(pairs, 1).reshape(4, 8, *self.shape)
            pictures["interpolation"] = np.stack([self.interpolate(x[2 * i], x[2 * i + 1], 8) for i in range(8)])
        return pictures
