"""The one exception that a user's mistake becomes: the command line prints it as a single line."""

from pathlib import Path


class UserError(Exception):
    """A mistake of the user's; the message names the file, the key and the remedy, in one line whatever it quotes."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.splitlines()))


def make(path: Path | str) -> str:
    """The remedy for a result that is missing or damaged."""
    return f"make it with `snakemake --force {path} --cores 1`, and the study's --configfile"
