"""The keys of a study as JSON Schema, by which editors complete and check them, and as Markdown.

Both are made from the settings: `diffenc schema` prints them, `make schema` writes them into config/.
"""

import json
from collections.abc import Iterator
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from diffenc.study.study import Study

Schema = dict[str, Any]
# a name that only completes another is not listed with more than so many
FEW = 10


class _WithoutTitles(GenerateJsonSchema):
    """A key's name is its title."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def json_schema() -> Schema:
    """What a study may have, as JSON Schema of draft 2020-12."""
    schema = Study.model_json_schema(schema_generator=_WithoutTitles)
    # it belongs to `training`, and stands beside it (`diffenc.study.study.RunGroup`)
    parts = schema["$defs"]
    parts["RunGroup"]["properties"]["objective"] = parts["Training"]["properties"].pop("objective")
    return {"$schema": GenerateJsonSchema.schema_dialect, **_tidied(schema)}


def _tidied(value: Any) -> Any:
    """Descriptions in one line each, no default for what is just left out, no name beside those of a pattern."""
    if isinstance(value, list):
        return [_tidied(one) for one in value]
    if not isinstance(value, dict):
        return value
    kept = {key: _tidied(one) for key, one in value.items() if (key, one) != ("default", None)}
    if isinstance(kept.get("description"), str):
        kept["description"] = " ".join(kept["description"].split())
    return kept | ({"additionalProperties": False} if "patternProperties" in kept else {})


def markdown() -> str:
    """Every key, in a table for each mapping."""
    schema = json_schema()
    return "\n\n".join(_section(path, part) for path, part in _mappings("", schema, schema))


def _mappings(path: str, part: Schema, root: Schema) -> Iterator[tuple[str, Schema]]:
    """Every mapping with named keys and its place, such as runs[].training: itself, then what is in it."""
    yield path, part
    for key, value in part["properties"].items():
        below, inner = f"{path}.{key}".lstrip("."), _given(value)
        while "$ref" not in inner and (inner.get("items") or inner.get("patternProperties")):
            below += "[]" if "items" in inner else ".NAME"
            inner = inner["items"] if "items" in inner else next(iter(inner["patternProperties"].values()))
        if "$ref" in inner:
            yield from _mappings(below, root["$defs"][inner["$ref"].rpartition("/")[2]], root)


def _section(path: str, part: Schema) -> str:
    required = part.get("required", ())
    rows = [
        f"| `{key}` | {one.get('description', '')} | {_values(one)} | {_default(one, key in required)} |"
        for key, one in part["properties"].items()
    ]
    head = "| key | what | values | default |\n| --- | --- | --- | --- |"
    return "\n".join([f"### `{path or 'STUDY.yaml'}`", "", part["description"], "", head, *rows])


def _given(value: Schema) -> Schema:
    """A key's schema where it is given: without the null of what may be left out."""
    return next((one for one in value.get("anyOf", ()) if one != {"type": "null"}), value)


def _values(value: Schema) -> str:
    """What a key may be, in words."""
    one = _given(value)
    if "enum" in one or "const" in one:
        return ", ".join(f"`{name}`" for name in one.get("enum", [one.get("const")]))
    if 0 < len(one.get("examples", ())) <= FEW:
        return ", ".join(f"`{name}`" for name in one["examples"]) + ", ..."
    if one.get("type") == "array":
        return f"list: {_values(one['items'])}"
    kinds = {"integer": "whole number", "number": "number", "boolean": "`true`, `false`", "string": "text"}
    return kinds.get(one.get("type"), "mapping") + _limits(one)


def _limits(one: Schema) -> str:
    words = {"exclusiveMinimum": "above", "minimum": "from", "exclusiveMaximum": "below", "maximum": "to"}
    # of what is counted, and of seeds, the upper limits are nobody's concern
    found = [f" {word} {one[key]:g}" for key, word in words.items() if key in one and one[key] < 10**9]
    return "".join(found) + (f", multiple of {one['multipleOf']}" if "multipleOf" in one else "")


def _default(value: Schema, required: bool) -> str:
    if required:
        return "must be given"
    default, names = value.get("default"), value.get("items", {}).get("enum", [])
    if isinstance(default, list) and len(default) > FEW and (rest := [name for name in names if name not in default]):
        return f"all but {', '.join(f'`{name}`' for name in rest)}"
    if default in (None, {}, []) or isinstance(default, dict):
        return ""
    return f"`{json.dumps(default)}`".replace('"', "")
