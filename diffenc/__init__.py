"""Variational diffusion with a learned encoder: models, training, evaluation, tables and figures."""

__version__ = "0.1.0"
