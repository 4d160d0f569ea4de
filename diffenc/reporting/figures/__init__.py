"""Figures of a study, each written as stem.svg and stem.png from the files of its runs."""
