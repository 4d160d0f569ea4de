"""Figures of a study, each written as stem.svg and stem.png from the files of its runs."""

import os

# they need none; and a notebook's, which those that it starts inherit, may not be there
os.environ.pop("MPLBACKEND", None)
