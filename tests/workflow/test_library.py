"""diffenc as a library: the README's lines, and that they give what the pipeline gives."""

import importlib
import json
import re
import subprocess
import sys

import numpy as np
import pipeline
import pytest

import diffenc
from diffenc.io.errors import UserError
from diffenc.models.schedules import alpha_squared

README = (pipeline.ROOT / "README.md").read_text()
PAGES = [pipeline.ROOT / "README.md", *sorted((pipeline.ROOT / "docs").glob("*.md"))]
RUN = pipeline.place(("digits", "DiffEnc-2-1", "fixed", 1))


def test_the_readme_s_lines(made):
    code = re.search(r"```python\n(.*?)```", README, re.DOTALL)[1]
    assert len(code.splitlines()) <= 10
    code = code.replace("results/demo/runs/digits/DiffEnc-2-1/fixed/seed1", RUN).replace("steps=100", "steps=3")
    lazy = "import sys, diffenc; assert 'torch' not in sys.modules\n"
    checks = "assert x_t.shape == (3, 8, 1, 8, 8) and four.shape == (4, 1, 8, 8) and four.dtype == np.uint8\n"
    ended = subprocess.run([sys.executable, "-c", lazy + code + checks], cwd=made, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


def test_it_gives_what_evaluate_gives(made):
    model = diffenc.load(made / RUN)
    terms = model.terms(np.load(made / "results/data/digits/test.npy")[:20], passes=2)
    found = json.loads((made / RUN / "evaluation.json").read_text())["bpd"]
    for name, values in terms.items():
        assert values.mean() == pytest.approx(found[name]["mean"], abs=1e-6), name


def test_the_authors_checkpoints():
    parity = pipeline.ROOT / "tests/parity"
    model = diffenc.load(parity / "nt_12000.gz", config=parity / "nt.json")
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 8, 8), dtype=np.uint8)
    start, half = model.encode(images, [0, 0.5])
    ends = model.model.schedule.ends()
    shares = [alpha_squared(gamma).item() for gamma in (ends[0], sum(ends) / 2)]
    np.testing.assert_allclose(half, start * shares[1] / shares[0], rtol=1e-5)
    assert model.sample(2, steps=2, side=8).shape == (2, 3, 8, 8)
    with pytest.raises(UserError, match="give side="):
        model.sample(2)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_points_to_is_there(page):
    text = page.read_text()
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (page.parent / target).exists(), target
    for target in re.findall(r"`(tests/[\w/.]+\.py)", text):
        assert (pipeline.ROOT / target).exists(), target
    assert page.name != "README.md" or len(text.splitlines()) <= 120


def test_what_the_package_names_of_itself_is_there():
    """In docstrings, comments and pages: files, modules, and what is in them."""
    sources = [
        path for folder in ("diffenc", "docs", "config", "workflow") for path in (pipeline.ROOT / folder).rglob("*")
    ]
    texts = [path.read_text() for path in [*sources, *PAGES] if path.suffix in (".py", ".md", ".smk")]
    for name in {name for text in texts for name in re.findall(r"`(diffenc(?:\.\w+)+)`", text)}:
        parent, _, last = name.rpartition(".")
        try:
            importlib.import_module(name)
        except ImportError:
            owner, _, inner = parent.rpartition(".")
            try:
                found = importlib.import_module(parent)
            except ImportError:
                found = getattr(importlib.import_module(owner), inner)
            assert hasattr(found, last), name
    for file in {name for text in texts for name in re.findall(r"`(diffenc/[\w/]+\.py)`", text)}:
        assert (pipeline.ROOT / file).exists(), file
