"""Encoders and schedules from outside: "module:Class" in a study, or a name that an installed package registers."""

import os
import sys
from collections.abc import Iterable
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import Any

from diffenc.io.errors import UserError

ENCODERS, SCHEDULES = "diffenc.encoders", "diffenc.schedules"  # entry points' groups


def installed(group: str) -> list[str]:
    """The names that installed packages register."""
    return [point.name for point in entry_points(group=group)]


def can_be_found(reference: str) -> bool:
    """Whether the module of "module:Class" is there; it is not imported."""
    _here()
    try:
        return find_spec(reference.partition(":")[0]) is not None
    except Exception:  # a package's own code runs, to find a module in it
        return False


def load(reference: str, group: str, known: Iterable[str]) -> Any:
    """The class that "module:Class" or an entry point of `group` names; modules are also sought where work is done.

    Raises:
        UserError: there is no such name, module or class, or the module cannot be imported.
    """
    kind = group.partition(".")[2].rstrip("s")
    if ":" not in reference:
        there = {point.name: point.value for point in entry_points(group=group)}
        if reference not in there:
            raise UserError(
                f"{reference}: is no {kind}; known: {', '.join([*known, *there])}; or give module:Class, as mine:Blur"
            )
        reference = there[reference]
    module, _, name = reference.partition(":")
    _here()
    try:
        found = getattr(import_module(module), name, None)
    except Exception as error:  # whatever the user's module does when it is imported
        raise UserError(
            f"{reference}: {module} cannot be imported ({type(error).__name__}: {error}); install or mend it"
        )
    if not isinstance(found, type):
        raise UserError(f"{reference}: {module} has no class {name!r}; name one of its own")
    return found


def _here() -> None:
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
