import re
from pathlib import Path

import pytest
import yaml

from diffenc.data.catalog import DATASETS
from diffenc.io.errors import UserError
from diffenc.study.published import SINCE, decimals, load

FILE = Path(__file__).parents[2] / "config" / "published.yaml"


def changed(tmp_path, change):
    """The file with a change to its content."""
    content = yaml.safe_load(FILE.read_text())
    change(content)
    path = tmp_path / "published.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_every_number_of_the_file_comes_out_and_no_other():
    text = FILE.read_text()
    published = load(FILE)
    rows = [*published.literature, *published.diffenc_paper, *published.tests]
    before, after = text.split("\nsince:\n")
    lines = [
        line for line in (before + after[after.index("\ndiffenc_paper:") :]).splitlines() if line.startswith("-")
    ]
    assert len(rows) == len(lines)
    for row, line in zip(rows, lines, strict=True):
        for key, value in row.model_dump(exclude={"fid"}).items():
            written = re.search(rf"\b{key}: +([^,}}]+)", line)
            if written and isinstance(value, int | float) and not isinstance(value, bool):
                assert float(written[1]) == value
            elif written and value is not None:
                assert written[1] == (str(value).lower() if isinstance(value, bool) else value)
            else:
                assert value in (None, False)
                assert not written or written[1] == "null"


def test_every_likelihood_since_comes_out_by_data_set_and_release():
    text = FILE.read_text().split("\nsince:\n")[1].split("\ndiffenc_paper:")[0]
    lines = [line for line in text.splitlines() if line.startswith("-")]
    suffix = {"new": "", "old": "_old", "unknown": "_unknown"}
    for one, line in zip(load(FILE).since, lines, strict=True):
        values = {name: float(value) for name, value in re.findall(r"(\bmnist|\bcifar10): ([\d.]+)", line)}
        for name, inner in re.findall(r"(imagenet\d\d): \{([^}]*)\}", line):
            values |= {name + suffix[release]: float(x) for release, x in re.findall(r"(\w+): ([\d.]+)", inner)}
        assert one.values == values, line
        assert set(values) <= set(SINCE)


def test_data_sets_and_releases_are_the_catalogues():
    for column, one in SINCE.items():
        if one.release == "unknown":
            assert column not in DATASETS
            continue
        assert DATASETS[column].title in (one.title, one.name, one.title.removesuffix(", new"))
        assert one.release is None or DATASETS[column].release.startswith(f"{one.release}: ")
    assert {column for column in SINCE if column in DATASETS} == {
        name for name in DATASETS if name != "digits" and "fashion" not in name
    }
    assert {one.dataset for one in load(FILE).diffenc_paper} <= set(DATASETS)


@pytest.mark.parametrize(
    ("parts", "fits"),
    [
        ({"latent": 0.0013, "reconstruction": 0.0105}, True),  # 2.6408
        ({"latent": 0.0013, "reconstruction": 0.0117}, True),  # 2.6420: each number is known to half a last digit
        ({"latent": 0.0013, "reconstruction": 0.0125}, False),  # 2.6428
        ({"latent": 0.0013, "reconstruction": 0.0085}, False),  # 2.6388
        ({"latent": 0.02, "diffusion": None}, True),
        ({"latent": 0.02}, False),  # two of three that are more than the total
        ({"reconstruction": 0.001}, True),
    ],
)
def test_parts_add_up_to_their_total(tmp_path, parts, fits):
    """The file's first row has total 2.641 and diffusion 2.629."""
    path = changed(tmp_path, lambda content: content["diffenc_paper"][0].update(parts))
    if fits:
        assert load(path).diffenc_paper[0].latent == parts.get("latent")
        return
    said = (
        rf"^{path}: diffenc_paper\[0\]: VDMv-32 on cifar10: diffusion 2\.629 \+ .* is 2\.6\d+, its total is 2\.641; "
    )
    with pytest.raises(UserError, match=said) as raised:
        load(path)
    assert "\n" not in str(raised.value)


def test_results_are_found_by_data_set_model_and_schedule():
    published = load(FILE)
    large = published.result("cifar10", "DiffEnc-32-4", "fixed")
    assert (large.total, large.total_se, large.seeds, large.sure) == (2.62, 0.006, 3, "high")
    assert published.result("imagenet32", "VDMv-32", "fixed").total == 3.46
    assert published.result("imagenet32", "VDMv-32", "fixed").total_se is None
    for missing in [
        ("cifar10", "DiffEnc-32-4", "learned"),
        ("mnist", "VDMv-8", "fixed"),
        ("cifar10", "VDM-8", "fixed"),
    ]:
        assert published.result(*missing) is None
    assert published.p_value("cifar10", "DiffEnc-32-4", "VDMv-32") == 0.03
    assert published.p_value("cifar10", "VDMv-32", "DiffEnc-32-4") is None
    assert published.p_value("cifar10", "DiffEnc-32-4", "VDMv-32", "learned") is None


def test_fid_is_found_once_it_is_recorded(tmp_path):
    assert load(FILE).fid("cifar10", "VDMv-32", 10_000, "train") is None

    def record(content):
        content["diffenc_paper"][0]["fid"] = [
            {"samples": 10_000, "reference": "train", "value": 9.5, "se": 0.1},
            {"samples": 50_000, "reference": "test", "value": 8.0},
        ]

    published = load(changed(tmp_path, record))
    assert published.fid("cifar10", "VDMv-32", 10_000, "train").se == 0.1
    assert published.fid("cifar10", "VDMv-32", 50_000, "test").value == 8.0
    assert published.fid("cifar10", "VDMv-32", 50_000, "train") is None
    assert published.fid("cifar10", "DiffEnc-32-4", 10_000, "train") is None


def test_literature_is_in_table_1s_order():
    literature = load(FILE).literature
    assert sorted(literature, key=lambda one: -one.cifar10) == literature
    assert [one.model for one in literature if not one.old and one.imagenet32 is not None] == [
        "Flow Matching OT",
        "Flow Matching TN",
    ]


def test_the_papers_p_follows_from_its_summaries():
    from diffenc.statistics.welch import welch

    published = load(FILE)
    a, b = (published.result("cifar10", model, "fixed") for model in ("DiffEnc-32-4", "VDMv-32"))
    test = welch((a.total, a.total_se, a.seeds), (b.total, b.total_se, b.seeds))
    assert round(test.p_less, 2) == published.p_value("cifar10", "DiffEnc-32-4", "VDMv-32")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["literature"][0].update(cifar=2.9), r"literature\[0\]\.cifar: unknown key"),
        (lambda c: c["literature"][2].update(cifar10="2.91"), r"literature\[2\]\.cifar10: '2\.91' is text"),
        (lambda c: c["literature"][2].pop("imagenet32"), r"literature\[2\]\.imagenet32: is missing"),
        (lambda c: c["literature"][1].update(type="GAN"), r"literature\[1\]\.type: .*'AR', 'Diff', 'Flow' or 'VAE'"),
        (lambda c: c["diffenc_paper"][1].update(sure="very"), r"diffenc_paper\[1\]\.sure: .*'very'"),
        (lambda c: c["diffenc_paper"][1].update(total=-1.0), r"diffenc_paper\[1\]\.total: .*greater than 0"),
        (lambda c: c["diffenc_paper"][1].update(total=float("nan")), r"diffenc_paper\[1\]\.total: .*nan"),
        (lambda c: c["diffenc_paper"].append(c["diffenc_paper"][0]), "cifar10/VDMv-32/fixed is given twice"),
        (
            lambda c: c["diffenc_paper"][0].update(fid=2 * [{"samples": 5, "reference": "test", "value": 1.0}]),
            "5 samples against test is given twice",
        ),
        (lambda c: c.pop("tests"), "tests: is missing"),
        (lambda c: c["diffenc_paper"][0].update(dataset="cifar"), r"diffenc_paper\[0\]\.dataset: .*'cifar'"),
        (lambda c: c["since"][0].update(kind="exact"), r"since\[0\]\.kind: .*'exact'"),
        (
            lambda c: c["since"][0].update(kind="ode"),
            r"since\[0\]: VDM augmented: ode has densities; .*dequantisation",
        ),
        (lambda c: c["since"][0].update(depth=10), r"since\[0\]: VDM augmented: `depth` is the k"),
        (
            lambda c: c["since"][0].update(sure="low", note=None),
            r"since\[0\]: VDM augmented: is not sure; say why: note",
        ),
        (lambda c: c["since"][0].pop("cifar10"), r"since\[0\]: VDM augmented: has no value"),
        (lambda c: c["since"][1].update(imagenet32=3.72), r"since\[1\]\.imagenet32: "),
        (lambda c: c["since"].append(c["since"][1]), "VDM, bound is given twice"),
    ],
)
def test_mistakes_are_one_line(tmp_path, change, message):
    path = changed(tmp_path, change)
    with pytest.raises(UserError, match=message) as raised:
        load(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("text", "message"), [("- 1", "is a mapping"), ("a: [", "is not valid YAML")])
def test_what_is_no_such_file(tmp_path, text, message):
    (tmp_path / "p.yaml").write_text(text)
    with pytest.raises(UserError, match=message):
        load(tmp_path / "p.yaml")
    with pytest.raises(UserError, match=r"config/published\.yaml"):
        load(tmp_path / "none.yaml")


def test_decimals_are_those_of_the_most_precise_number():
    assert decimals(2.62, 0.006) == 3
    assert decimals(3.46) == 2
    assert decimals(2.6) == decimals(3.0) == 2
    assert decimals(2.62, None, float("nan"), 2.609) == 3
    assert decimals(2.62, 1e-5) == 5
