"""What `diffenc bench` measures: the time of a training step against the machine's peak."""
