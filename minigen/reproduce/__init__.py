"""Every model held against what is published: one run, one protocol, one result file, one row of RESULTS.md."""

from .recipes import RECIPES
from .reproduction import BUDGETS, Published, Reproduction
from .results import report
from .running import reproduce

__all__ = ["BUDGETS", "RECIPES", "Published", "Reproduction", "report", "reproduce"]
