"""The command line; `diffenc.cli.main` is its entry."""
