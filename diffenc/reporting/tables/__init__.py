"""Tables of a study: a tidy frame each, and how it is read; written as stem.csv, stem.md, stem.html and stem.tex."""
