"""Upsampling, pooling and their transposes, for a GPU. `layers/upsample.py` and `layers/pooling.py` are the definition."""
