"""The schema of studies: the committed one is the settings', and refuses what diffenc refuses."""

import copy
import json

import jsonschema
import pipeline
import pytest

from diffenc.io.errors import UserError
from diffenc.io.yaml import read_yaml
from diffenc.study.load import parse_study

CONFIG = pipeline.ROOT / "config"
STUDIES = sorted(path for path in CONFIG.glob("*.yaml") if path.name != "published.yaml")
SCHEMA = json.loads((CONFIG / "study.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def complaint(content):
    """The schema's first, as a path of keys; None: it has none."""
    return next((error.json_path for error in VALIDATOR.iter_errors(content)), None)


def test_it_is_a_schema_and_what_the_settings_make():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert pipeline.diffenc(pipeline.ROOT, "schema") == (CONFIG / "study.schema.json").read_text(), "make schema"


def test_the_tables_of_keys_are_what_the_settings_make():
    _, tables = (CONFIG / "README.md").read_text().split("a test holds it to that -->\n")
    assert tables == pipeline.diffenc(pipeline.ROOT, "schema", "--markdown"), "make schema"


def test_every_key_says_what_it_is():
    parts = [SCHEMA, *SCHEMA["$defs"].values()]
    assert [name for part in parts for name, one in part["properties"].items() if not one.get("description")] == []


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_the_studies_here_are_accepted_and_name_it(path):
    assert path.read_text().startswith("# yaml-language-server: $schema=study.schema.json\n")
    assert complaint(read_yaml(path, "")) is None


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("titel", "misspelled", "$"),
        ("name", "with a blank", "$.name"),
        ("margin", "0.01", "$.margin"),
        ("margin", 0, "$.margin"),
        ("samples", {"count": 1.5}, "$.samples.count"),
        ("models", {"Mine": {"like": "VDMv-3"}}, "$.models.Mine.like"),
        ("models", {"My model": {"like": "VDMv-2"}}, "$.models"),
        ("evaluation", {"image": 5}, "$.evaluation"),
        ("tables", ["component"], "$.tables[0]"),
        ("runs", [], "$.runs"),
    ],
)
def test_what_is_wrong_is_refused_where_it_is(key, value, said):
    assert complaint(read_yaml(CONFIG / "demo.yaml", "") | {key: value}) == said


def places(content, path=()):
    """The path of every value in a study."""
    parts = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in parts:
        yield (*path, key)
        yield from places(value, (*path, key))


def test_a_wrong_type_anywhere_is_refused_by_both(monkeypatch):
    """In each value's place one that none may be; but for encoders' options, which are theirs."""
    monkeypatch.chdir(pipeline.ROOT)
    study = read_yaml(CONFIG / "tiny.yaml", "")
    # one of each kind: seed 1 and seed 2 are one
    paths = {tuple(0 if isinstance(key, int) else key for key in path): path for path in places(study)}
    tried = [path for path in paths.values() if "options" not in path]
    assert len(tried) > 100
    for path in tried:
        wrong = copy.deepcopy(study)
        inner = wrong
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = [{"no such key": None}] if isinstance(inner[path[-1]], dict) else {"no such key": None}
        with pytest.raises(UserError):
            parse_study(wrong, "tiny.yaml")
        assert complaint(wrong) is not None, path
