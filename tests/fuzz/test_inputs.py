"""Whatever a study, a run's folder, an array, a checkpoint or a command line is, the outcome is success or one line.

Twenty-five examples each, the same every time; `make test-long` tries thousands of new ones.
"""

import contextlib
import copy
import gzip
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from short_training import train

from diffenc import data
from diffenc.cli.main import main
from diffenc.compression import file as compressed
from diffenc.io.arrays import read_arrays, save_arrays
from diffenc.io.errors import UserError
from diffenc.results import custody
from diffenc.results.records import read_cost, read_history
from diffenc.study.load import load_study
from diffenc.training.artifacts import load_model
from diffenc.zoo.flax_checkpoint import load_checkpoint

ROOT = Path(__file__).parents[2]
PARITY = ROOT / "tests/parity"
ODD = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]
few = settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=ODD, database=None)
many = settings(max_examples=4000, deadline=None, suppress_health_check=ODD, database=None)

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-3, 300),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["digits", "VDMv-2", "fixed", "1e9", "~", "$HOME", "{seed}", "../x", "a" * 300, "[", "\x00"]),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)),
    max_leaves=8,
)


@pytest.fixture(params=["few", pytest.param("many", marks=pytest.mark.long)])
def many_or_few(request):
    """A few examples, the same every time; or thousands of new ones."""
    return {"few": few, "many": many}[request.param]


@contextlib.contextmanager
def one_line():
    """What is within succeeds, or says one line."""
    try:
        yield
    except UserError as error:
        said = str(error)
        if "\n" in said or not said:
            pytest.fail(repr(said))


def places(content, path=()):
    """Every place in nested lists and mappings."""
    yield path
    within = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, one in within:
        yield from places(one, (*path, key))


def changed(content, path, how, value):
    """With the value at a place replaced, taken out, or a key added."""
    content = copy.deepcopy(content)
    if not path:
        return value
    parent = content
    for key in path[:-1]:
        parent = parent[key]
    if how == "replace":
        parent[path[-1]] = value
    elif how == "remove":
        del parent[path[-1]]
    elif isinstance(parent, dict):
        parent[str(value)] = value
    else:
        parent.append(value)
    return content


STUDIES = {name: yaml.safe_load((ROOT / f"config/{name}.yaml").read_text()) for name in ("demo", "tiny", "family")}


@st.composite
def studies(draw):
    content = STUDIES[draw(st.sampled_from(sorted(STUDIES)))]
    for _ in range(draw(st.integers(1, 3))):
        found = [*places(content)]
        where = found[draw(st.integers(0, len(found) - 1))]
        content = changed(content, where, draw(st.sampled_from(["replace", "remove", "add"])), draw(values))
    return content


def test_studies(tmp_path, monkeypatch, many_or_few):
    monkeypatch.chdir(ROOT)

    @many_or_few
    @given(studies())
    def run(content):
        path = tmp_path / "study.yaml"
        with contextlib.suppress(yaml.YAMLError, UnicodeEncodeError):
            path.write_text(yaml.safe_dump(content), encoding="utf-8")
            with one_line():
                load_study(path)

    run()


def test_texts(tmp_path, many_or_few):
    demo = (ROOT / "config/demo.yaml").read_text()

    @many_or_few
    @given(
        st.integers(0, len(demo)),
        st.integers(0, 30),
        st.text(alphabet="[]{}:,&*!#|>-'\"\t\n ?%@`a1é\x07", max_size=12),
    )
    def run(where, cut, text):
        path = tmp_path / "study.yaml"
        path.write_text(demo[:where] + text + demo[where + cut :], encoding="utf-8")
        with one_line():
            load_study(path)

    run()


@st.composite
def damages(draw):
    """(where, as a share; what: bytes put there; how many of the old are dropped)."""
    return draw(st.floats(0, 1)), draw(st.binary(max_size=8)), draw(st.integers(0, 64))


def damaged(content, damage):
    where, what, dropped = damage
    at = round(where * len(content))
    return content[:at] + what + content[at + dropped :]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A trained run's folder, with what was measured of it."""
    folder = tmp_path_factory.mktemp("fuzz")
    data.prepare("digits", folder / "digits", folder)
    place = train(folder / "digits", folder / "run", steps=2)
    arguments = ["--model", str(place), "--data", str(folder / "digits")]
    main(["evaluate", *arguments, "--passes", "1", "--images", "5", "--out", str(place / "evaluation.json")])
    np.save(folder / "images.npy", data.load(folder / "digits", "test")[:2])
    main(["compress", str(folder / "images.npy"), "--model", str(place), "--steps", "2", "--out", f"{place}/x.dfe"])
    return place


READERS = {
    "model.safetensors": lambda path: load_model(path.parent),
    "config.yaml": lambda path: load_model(path.parent),
    "cost.json": read_cost,
    "history.jsonl": read_history,
    "evaluation.json": custody.made_from,
    "evaluation.npz": custody.made_from,
    "x.dfe": lambda path: compressed.read(path.read_bytes(), "x.dfe"),
}


@pytest.mark.parametrize("file", READERS)
def test_damaged_files_of_a_run(run, tmp_path, many_or_few, file):
    folder = shutil.copytree(run, tmp_path / "run")
    whole = (folder / file).read_bytes()

    @many_or_few
    @given(damages())
    def check(damage):
        (folder / file).write_bytes(damaged(whole, damage))
        with one_line():
            READERS[file](folder / file)

    check()


def test_damaged_arrays(tmp_path, many_or_few):
    save_arrays(tmp_path / "whole.npz", {"x": np.ones((3, 2), np.float32), "t": np.arange(3.0)})
    whole = (tmp_path / "whole.npz").read_bytes()

    @many_or_few
    @given(damages())
    def check(damage):
        (tmp_path / "x.npz").write_bytes(damaged(whole, damage))
        with one_line():
            read_arrays(tmp_path / "x.npz", {"x": "TC", "t": "T"})

    check()


@pytest.mark.parametrize("zipped", [False, True])
def test_damaged_checkpoints(tmp_path, many_or_few, zipped):
    whole = (PARITY / "vdmv_12000.gz").read_bytes()
    whole = whole if zipped else gzip.decompress(whole)

    @many_or_few
    @given(damages())
    def check(damage):
        (tmp_path / "x.gz").write_bytes(damaged(whole, damage))
        with one_line():
            load_checkpoint(tmp_path / "x.gz", PARITY / "vdmv.json")

    check()


def test_configurations_of_checkpoints(tmp_path, many_or_few):
    content = json.loads((PARITY / "vdmv.json").read_text())
    found = [*places(content)]

    @many_or_few
    @given(st.integers(0, len(found) - 1), st.sampled_from(["replace", "remove", "add"]), values)
    def check(where, how, value):
        (tmp_path / "x.json").write_text(json.dumps(changed(content, found[where], how, value)))
        with one_line():
            load_checkpoint(PARITY / "vdmv_12000.gz", tmp_path / "x.json")

    check()


COMMANDS = [
    "plan",
    "status",
    "evaluate",
    "sample",
    "depth",
    "bits",
    "table",
    "verify",
    "compress",
    "decompress",
    "fid",
]
WORDS = [
    *("--study", "--model", "--data", "--out", "--steps", "--count", "--passes", "--images", "--seed", "--fit"),
    *("--depths", "--protocol", "--batch", "--order", "--ratio", "--grid", "--bits", "--tflops", "--run"),
]


def test_command_lines(tmp_path, monkeypatch, capsys, many_or_few):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("x")
    monkeypatch.chdir(tmp_path)
    other = st.one_of(st.sampled_from(["folder", "file", "none", "-1", "0", "1e9", ""]), st.text(max_size=6))

    @many_or_few
    @given(st.sampled_from(COMMANDS), st.lists(st.one_of(st.sampled_from(WORDS), other), max_size=8))
    def check(command, words):
        with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
            main([command, *words])
        said = capsys.readouterr().err
        assert said.count("\n") <= 1, said
        assert "Traceback" not in said

    check()
