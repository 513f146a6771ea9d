"""Gaussian likelihood and divergence with their gradients, for a GPU. `losses/likelihood.py` is the definition."""
