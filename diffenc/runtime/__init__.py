"""Processes, devices, signals, SLURM."""
