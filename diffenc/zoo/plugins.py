"""Encoders and schedules from outside: "module:Class" in a study, or a name that an installed package registers."""

import os
import sys
from collections.abc import Iterable
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from diffenc.io.errors import UserError

ENCODERS, SCHEDULES = "diffenc.encoders", "diffenc.schedules"  # entry points' groups


def load(reference: str, group: str, known: Iterable[str]) -> Any:
    """The class that "module:Class" or an entry point of `group` names; modules are also sought where work is done.

    Raises:
        UserError: there is no such name, module or class, or the module cannot be imported.
    """
    kind = group.partition(".")[2].rstrip("s")
    if ":" not in reference:
        installed = {point.name: point for point in entry_points(group=group)}
        if reference not in installed:
            names = ", ".join([*known, *installed])
            raise UserError(f"{reference}: is no {kind}; known: {names}; or give module:Class, such as mine:Blur")
        reference = installed[reference].value
    module, _, name = reference.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    try:
        found = getattr(import_module(module), name, None)
    except Exception as error:  # whatever the user's module does when it is imported
        raise UserError(
            f"{reference}: {module} cannot be imported ({type(error).__name__}: {error}); install or mend it"
        )
    if not isinstance(found, type):
        raise UserError(f"{reference}: {module} has no class {name!r}; name one of its own")
    return found
