"""Shells that complete commands, options, names and files."""

from argparse import ArgumentParser, Namespace, _SubParsersAction
from collections.abc import Iterator
from pathlib import Path

from diffenc.cli.options import Parsers, add_command, study_file


def completion(options: Namespace) -> None:
    """All commands and their options -> a script of the shell's."""
    import shtab

    from diffenc.cli.main import parser

    top = parser()
    for one in _with_subcommands(top):
        for action in one._actions:
            if action.type in (Path, study_file):
                action.complete = shtab.FILE
    print(shtab.complete(top, options.shell))


def _with_subcommands(one: ArgumentParser) -> Iterator[ArgumentParser]:
    yield one
    for action in one._actions:
        if isinstance(action, _SubParsersAction):
            yield from action.choices.values()


def add_commands(parsers: Parsers) -> None:
    """Add this module's command to the command line."""
    one = add_command(parsers, "completion", completion, "Print what a shell completes diffenc's commands by.")
    one.add_argument("shell", choices=["bash", "zsh"])
