"""diffenc as a library: the README's lines, and that they give what the pipeline gives."""

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
