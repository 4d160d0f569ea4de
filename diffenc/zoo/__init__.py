"""The models by the papers' names."""
