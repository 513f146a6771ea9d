"""The command `minigen`. Each command is thin: it reads its options, calls a function of the library, and prints.

What a command needs is imported when it runs, so that `minigen --help` and `minigen list` answer at once.
"""

from . import shows, runs, results  # isort: skip  (each adds its commands, in this order)
from .app import app

__all__ = ["app", "results", "runs", "shows"]
