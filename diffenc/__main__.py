"""`python -m diffenc`, the same as the command `diffenc`."""

from diffenc.cli import main

main()
