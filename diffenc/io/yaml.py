"""Reading a study's YAML: strictly, in UTF-8 whatever the locale, and no more than a person writes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import CollectionEndEvent, CollectionStartEvent, Event
from ruamel.yaml.nodes import CollectionNode, Node

from diffenc.io.errors import UserError

# of a study: characters, levels, values
LONGEST, DEEPEST, VALUES = 1_000_000, 40, 20_000


def read_yaml(path: str | Path, remedy: str) -> Any:
    """The content of a YAML 1.2 file, in which 2e-4 is a number and no key is given twice; UTF-8 in any locale.

    Raises:
        UserError: it is no such file, is larger than any study, or, with the remedy, it cannot be read.
    """
    try:
        if Path(path).exists() and not Path(path).is_file():
            raise UserError(f"{path}: is no regular file; {remedy}")
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); {remedy}")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not valid YAML: {error}")
    if len(text) > LONGEST:
        raise UserError(f"{path}: has {len(text):,} characters, a study has {LONGEST:,} at most; {remedy}")
    root = None
    try:
        _check_size(YAML(typ="safe", pure=True).parse(text), path)
        root = YAML(typ="safe", pure=True).compose(text)
        if root is not None and (count := _counted(root, {})) > VALUES:
            raise UserError(f"{path}: has {count:,} values with all that it repeats, a study {VALUES:,} at most")
        return YAML(typ="safe", pure=True).load(text)
    except MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise UserError(f"{path}: is not valid YAML: {line}{' '.join(str(error.problem).split())}")
    except YAMLError as error:  # of characters
        raise UserError(f"{path}: is not valid YAML: {' '.join(str(error).split())}")
    except (ValueError, TypeError, OverflowError) as error:
        raise UserError(f"{path}: is not valid YAML: {_place_of_bad_value(root)}{' '.join(str(error).split())}")


def _check_size(events: Iterator[Event], path: str | Path) -> None:
    """Refuse a file that is too deep or too long to be composed."""
    depth = 0
    for count, event in enumerate(events):
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > DEEPEST or count > 2 * VALUES:
            what = f"{DEEPEST} levels" if depth > DEEPEST else f"{VALUES:,} values"
            raise UserError(f"{path}: line {event.start_mark.line + 1}: a study has {what} at most")


def _counted(node: Node, known: dict[int, int]) -> int:
    """How many values a node has, all that it repeats by aliases counted again."""
    if id(node) not in known:
        known[id(node)] = 1
        parts = node.value if isinstance(node, CollectionNode) else ()
        pairs = [one for part in parts for one in (part if isinstance(part, tuple) else (part,))]
        known[id(node)] = 1 + sum(_counted(one, known) for one in pairs)
    return known[id(node)]


def _place_of_bad_value(node: Node | None) -> str:
    """Line and column of the first scalar that is not what its tag or form says, such as a date 2024-13-45."""
    if node is None:
        return ""
    if isinstance(node, CollectionNode):
        parts = [one for part in node.value for one in (part if isinstance(part, tuple) else (part,))]
        return next(filter(None, map(_place_of_bad_value, parts)), "")
    try:
        YAML(typ="safe", pure=True).load(f"{'!!' + node.tag.rpartition(':')[2] if node.tag else ''} {node.value}")
    except (ValueError, TypeError, OverflowError):
        return f"line {node.start_mark.line + 1}, column {node.start_mark.column + 1}: {node.value!r}: "
    except YAMLError:
        pass
    return ""
