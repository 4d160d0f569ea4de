"""The command line: every Snakemake rule is one of these calls, so what the pipeline runs a person can run."""

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import diffenc
from diffenc.cli import bench, check_model, completion, compress, evaluate, report, schema, train
from diffenc.cli.options import spare_inputs
from diffenc.io.errors import UserError
from diffenc.runtime.launch import is_worker
from diffenc.runtime.signals import Ended


class Parser(argparse.ArgumentParser):
    """One whose complaint is one line, as any other mistake's."""

    def error(self, message: str) -> NoReturn:
        """Print it and exit with status 2."""
        said = " ".join(message.splitlines())
        self.exit(2, f"diffenc: error: {said}; see `{self.prog} --help`\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; a user's mistake is one line on stderr and exit status 2."""
    options = parser().parse_args(arguments)
    # what each of several processes runs again
    options.arguments = sys.argv[1:] if arguments is None else list(arguments)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # what a terminal cannot show is replaced
            stream.reconfigure(errors="replace")
    try:
        spare_inputs(options)
        options.command(options)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read it has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _exit(0, "")
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        _exit(2, f"error: {_what_is_full(error)}: cannot be written ({error.strerror}); free space")
    except UserError as error:
        _exit(2, f"error: {error}")
    except Ended as ended:
        _exit(ended.status, str(ended))
    except KeyboardInterrupt:
        _exit(130, "interrupted; run the same command again to go on")


def _what_is_full(error: OSError) -> object:
    """The file; of one that was open already the system does not say its name."""
    if error.filename is not None:
        return error.filename
    try:
        sys.stdout.flush()
    except OSError:  # it still holds what it could not write, and is not to try again at the end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return "standard output"
    return "a file"


def _exit(status: int, said: str) -> NoReturn:
    if said:
        print(f"diffenc: {said}", file=sys.stderr)
    if is_worker():  # taking its connections down would wait for processes that may be gone
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    top = Parser(prog="diffenc", description=__doc__.splitlines()[0])
    top.add_argument("--version", action="version", version=f"diffenc {diffenc.__version__}")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    for module in (train, evaluate, compress, bench, report, check_model, schema, completion):
        module.add_commands(commands)
    return top
