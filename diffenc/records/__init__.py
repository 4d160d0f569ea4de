"""What single measurements wrote of a run, read and checked; nothing here needs torch."""
