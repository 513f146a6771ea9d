"""Softmax over rows and its gradient, for a GPU. `layers/softmax.py` is the definition, and what runs on a CPU."""
