"""Lossless compression with a trained model, by bits-back coding (docs/compression.md)."""
