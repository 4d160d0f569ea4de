"""What a table says below itself: sentences of notes.yaml, with the table's own numbers put in."""

from functools import cache
from importlib.resources import files

import yaml


@cache
def _sentences() -> dict[str, dict[str, str]]:
    return yaml.safe_load((files("diffenc.reporting.tables") / "notes.yaml").read_text(encoding="utf-8"))


def said(table: str, *names: object, **values: object) -> list[str]:
    """The sentences of a table in notes.yaml by their names, of which false ones are left out.

    Raises:
        KeyError: there is no such sentence, or a value that it has a place for is not given.
    """
    return [_sentences()[table][name].format(**values) for name in names if name]
