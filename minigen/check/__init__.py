"""Proofs, public: of a model's gradients (`prove`), of a layer's properties (`suite`), of a loss (`loss_suite`).

rows = check_model("vae")                          # what `minigen check vae` prints
prove(model, batch, Key(0))                        # a model of your own
print(suite(lambda: GLU(6), (5, 6)))               # a layer of your own, and the shape of its input
"""

from .errors import CheckError, ProofError
from .proof import Row, check_model, prove
from .suite_of_layers import Report, suite
from .suite_of_losses import loss_suite

__all__ = ["CheckError", "ProofError", "Report", "Row", "check_model", "loss_suite", "prove", "suite"]
