"""What a study's YAML may be: each thing that is none is refused in one line, at once."""

import pytest

from diffenc.io.errors import UserError
from diffenc.io.yaml import read_yaml


def test_what_a_person_writes(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text("a: &a {rate: 2e-4, title: Zoë}\nb: {<<: *a, seeds: [1, 2]}\n", encoding="utf-8")
    assert read_yaml(path, "")["b"] == {"rate": 2e-4, "title": "Zoë", "seeds": [1, 2]}


NESTED = "a0: &a0 {k: 1}\n" + "".join(f"a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}]}}\n" for i in range(1, 31))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (NESTED, r"has [\d,]+ values with all that it repeats, a study 20,000 at most"),
        (
            f"seeds: [{', '.join(map(str, range(30_000)))}]",
            r"has 30,00\d values with all that it repeats, a study 20,000 at most",
        ),
        ("seeds: [" + "1, " * 600_000 + "]", r"has 1,800,\d+ characters, a study has 1,000,000 at most; name one"),
        ("title: " + "[" * 2000, "line 1: a study has 40 levels at most"),
        ("name: x\ntitle: 2024-13-45", "line 2, column 8: '2024-13-45': month must be in"),
        ("title: !!int abc", "line 1, column 8: 'abc': invalid literal for int"),
        ("name: x\n\ttitle: y", "line 2: found character"),
        ("a: 1\na: 2", "line 2: found duplicate key"),
        ("a: *b", "line 1: found undefined alias"),
        ("a: \x07", "is not valid YAML: unacceptable character #x0007: special characters are not allowed"),
        ("a: !!python/object:os.system x", "line 1: could not determine a constructor"),
    ],
)
def test_what_is_refused(tmp_path, text, said):
    path = tmp_path / "study.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=said) as error:
        read_yaml(path, "name one")
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400


def test_what_is_no_file(tmp_path):
    import os

    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="pipe: is no regular file; name one"):
        read_yaml(tmp_path / "pipe", "name one")
