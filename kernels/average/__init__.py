"""A running average of parameters, for a GPU. `Average` in minigen/optim.py is the definition, and what runs on a CPU."""
