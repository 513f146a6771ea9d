"""`python -m minigen` is `minigen`."""

from .cli import app

app()
