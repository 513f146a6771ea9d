"""All cases, and what there must be cases for."""

from __future__ import annotations

import inspect
from importlib import import_module
from pkgutil import iter_modules

from .. import layers
from ..layers.bijection import Bijection
from ..layers.composite import Composite
from ..layers.conv2d import Convolution
from ..layers.coupling import Transform
from ..layers.elementwise import Elementwise
from ..layers.layer import Layer
from ..layers.linear_map import LinearMap
from ..layers.rearrange import Rearrangement
from ..losses import likelihood
from .autoregressive_cases import AUTOREGRESSIVE_CASES
from .case import SMALL, Case, LossCase, Sizes
from .coupling_cases import COUPLING_CASES
from .diffusion_cases import DIFFUSION_CASES
from .energy_cases import ENERGY_CASES
from .finish_cases import FINISH_CASES
from .flow_cases import FLOW_CASES
from .image_cases import IMAGE_CASES
from .layer_cases import LAYER_CASES
from .loss_cases import LOSSES
from .sequence_cases import SEQUENCE_CASES

# What only subclasses can do:
ABSTRACT = (Layer, Composite, Bijection, Elementwise, Convolution, LinearMap, Rearrangement, Transform)
CASES = (
    *LAYER_CASES,
    *FINISH_CASES,
    *IMAGE_CASES,
    *COUPLING_CASES,
    *DIFFUSION_CASES,
    *ENERGY_CASES,
    *FLOW_CASES,
    *SEQUENCE_CASES,
    *AUTOREGRESSIVE_CASES,
)


def layer_classes() -> list[type[Layer]]:
    """Every public Layer subclass that is defined in minigen.layers and can be used as it is."""
    found: dict[type[Layer], None] = {}
    for module in (import_module(f"{layers.__name__}.{info.name}") for info in iter_modules(layers.__path__)):
        for name, thing in vars(module).items():
            here = inspect.isclass(thing) and issubclass(thing, Layer) and thing.__module__ == module.__name__
            if here and not name.startswith("_") and thing not in ABSTRACT:
                found[thing] = None
    return list(found)


def loss_names() -> list[str]:
    """Every loss of minigen.losses.likelihood: the functions that have a companion `<name>_dot`."""
    return [name for name in vars(likelihood) if f"{name}_dot" in vars(likelihood)]


__all__ = ["ABSTRACT", "CASES", "LOSSES", "SMALL", "Case", "LossCase", "Sizes", "layer_classes", "loss_names"]
