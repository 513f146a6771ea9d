"""Attention without its matrix of weights, for a GPU. `ScaledDotProduct` in layers/attention.py is the definition."""
