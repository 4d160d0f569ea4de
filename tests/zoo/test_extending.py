"""docs/extending.md, done: an encoder from outside is trained, measured and shown, and a wrong one is refused."""

import re
import sys

import numpy as np
import pipeline
import pytest
import torch
import yaml

from diffenc import data
from diffenc.cli import check_model
from diffenc.cli.main import main
from diffenc.data.catalog import DATASETS
from diffenc.evaluation.encoder_analysis import inspect
from diffenc.evaluation.finite_depth import finite_depth
from diffenc.io.errors import UserError
from diffenc.models.encoders import NonTrainable
from diffenc.study.load import parse_study
from diffenc.study.settings import Depth, Inspection, Training
from diffenc.study.study import Run
from diffenc.training.artifacts import load_model
from diffenc.training.trainer import Trainer
from diffenc.zoo import build, plugins
from diffenc.zoo.configs import adapted
from diffenc.zoo.flops import flops, parameters

PAGE = (pipeline.ROOT / "docs/extending.md").read_text()
CODE, STUDY = (re.search(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)[1] for kind in ("python", "yaml"))
WRONG = """


class Hasty(Fade):
    def derivative(self, x, gamma):
        return 1.001 * super().derivative(x, gamma)


class Blur(Encoder):
    def __init__(self, channels=1):
        super().__init__()
        self.conv = torch.nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x, gamma):
        share = torch.sigmoid(gamma)[:, None, None, None]
        return x + share * (torch.tanh(self.conv(x) + share) - x)


class Nothing(Encoder):
    pass


class Idle(Fade):
    def __init__(self):
        super().__init__()
        self.unused = torch.nn.Linear(2, 2)


class Buffered(Fade):
    def __init__(self):
        super().__init__()
        self.register_buffer("scale", torch.tensor(0.5))

    def forward(self, x, gamma):
        return self.scale * super().forward(x, gamma)


class Coarse(Fade):
    def forward(self, x, gamma):
        return super().forward(x.float(), gamma.float())


class Broken(Fade):
    def forward(self, x, gamma):
        raise ValueError("no such thing")


class Mixing(Fade):
    def forward(self, x, gamma):
        return super().forward(x, gamma) - 0.1 * torch.sigmoid(gamma)[:, None, None, None] * x.mean(0)
"""
DIGITS = DATASETS["digits"]
CPU = torch.device("cpu")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where `fading.py` lies beside the study."""
    (tmp_path / "fading.py").write_text(CODE + WRONG)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path
    sys.modules.pop("fading", None)


def study(encoder="fading:Fade", **options):
    content = yaml.safe_load(STUDY)
    content["models"]["Faded"] |= {"encoder": encoder, "options": options}
    return parse_study(content, "study.yaml")


def model(encoder="fading:Fade", **options):
    one = study(encoder, **options)
    net = build.create(adapted(one.base_shape("Faded"), DIGITS), DIGITS, "fixed")
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return net


def test_one_that_is_the_non_trainable_encoder_is_measured_as_that_one(folder):
    """The terms, finite depth and the analysis: through another derivative, and other differences."""
    mine, known = model(strength=1.0), model(strength=1.0)
    known.encoder = NonTrainable()
    pixels = np.random.default_rng(0).integers(0, DIGITS.levels, (12, *DIGITS.shape), dtype=np.uint8)
    batch = torch.from_numpy(pixels), torch.linspace(0.02, 0.98, 12), *torch.randn(2, 12, *DIGITS.shape)
    for ours, theirs in zip(mine.loss_terms(*batch), known.loss_terms(*batch), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    depths = [finite_depth(net, pixels, Depth(depths=[10, 1000], passes=1), 12, CPU) for net in (mine, known)]
    for ours, theirs in zip(*(found["depths"] for found in depths), strict=True):
        for name in ours["bounds"]:
            for term, value in ours["bounds"][name].items():
                # in bits per dimension; where a term is small, float32's rounding of the network shows at 1e-6
                assert value["mean"] == pytest.approx(theirs["bounds"][name][term]["mean"], rel=1e-4, abs=5e-6)
    ours, theirs = (inspect(net, pixels, Inspection(images=12), 12, CPU) for net in (mine, known))
    assert ours.keys() == theirs.keys()
    for name, values in theirs.items():
        np.testing.assert_allclose(ours[name], values, rtol=1e-4, atol=1e-7, err_msg=name)


def test_its_parameters_and_products_are_counted(folder):
    shape = adapted(study("fading:Blur", channels=1).base_shape("Faded"), DIGITS)
    plain = adapted(study().base_shape("VDMv-2"), DIGITS)
    assert parameters(shape, DIGITS, "fixed") - parameters(plain, DIGITS, "fixed") == 9 + 1
    assert flops(shape, DIGITS).encoder == 2 * 9 * 8 * 8
    assert flops(shape, DIGITS).denoiser == flops(plain, DIGITS).denoiser


@pytest.mark.parametrize("encoder", ["fading:Fade", "fading:Blur"])
def test_a_right_one_holds(folder, monkeypatch, encoder):
    monkeypatch.setattr(check_model, "of_training", lambda *_: ())
    found = list(check_model.checks(study(encoder), "Faded"))
    assert len(found) == 7 + (encoder == "fading:Fade")
    assert all(one.holds for one in found), found


def test_it_goes_on_after_an_interruption_and_on_two_processes(folder):
    found = list(check_model.of_training(study(strength=0.7), "Faded"))
    assert [one.what.rpartition("training ")[2] for one in found] == ["stopped and gone on", "on two processes"]
    assert all(one.holds for one in found), found


def test_one_with_a_buffer_is_trained_and_loaded(folder):
    data.prepare("digits", folder / "digits", folder)
    given = (Run("digits", "Faded", "fixed", 1), Training(steps=1, batch=4, precision="float32"), "fading")
    shape = study("fading:Buffered").base_shape("Faded")
    trainer = Trainer(*given, folder / "digits", folder / "run", CPU, base=shape)
    trainer.model.encoder.scale.fill_(0.25)
    trainer.run(None, 600)
    assert load_model(folder / "run")[0].encoder.scale == 0.25


def test_a_weight_that_takes_no_part_is_named(folder):
    with pytest.raises(UserError, match=r"^encoder\.unused\.weight: takes no part in the loss"):
        list(check_model.of_training(study("fading:Idle"), "Faded"))


@pytest.mark.parametrize(
    ("encoder", "said"),
    [
        ("fading:Coarse", r"Coarse: x_t is .* torch.float32 for x .* torch.float64; forward keeps both"),
        ("fading:Broken", r"Faded: ValueError in .*fading.py, line \d+: no such thing; mend the model"),
    ],
)
def test_a_forward_that_fails_is_one_line(folder, capsys, encoder, said):
    (folder / "study.yaml").write_text(STUDY.replace("fading:Fade", encoder))
    with pytest.raises(SystemExit) as ended:
        main(["check-model", "study.yaml", "Faded"])
    (line,) = capsys.readouterr().err.splitlines()
    assert ended.value.code == 2
    assert re.fullmatch(rf"diffenc: error: {said}.*", line)


def test_one_that_mixes_images_is_refused(folder, monkeypatch):
    monkeypatch.setattr(check_model, "of_training", lambda *_: ())
    found = {one.what: one.holds for one in check_model.checks(study("fading:Mixing"), "Faded")}
    assert not found["x_t of an image alone"]


def test_a_wrong_derivative_is_refused_on_the_command_line(folder, monkeypatch, capsys):
    monkeypatch.setattr(check_model, "of_training", lambda *_: ())
    (folder / "study.yaml").write_text(STUDY.replace("fading:Fade", "fading:Hasty"))
    with pytest.raises(SystemExit) as ended:
        main(["check-model", "study.yaml", "Faded"])
    said = capsys.readouterr()
    assert ended.value.code == 1
    assert [line for line in said.out.splitlines() if line.startswith("FAILED dx_t/dgamma")]
    assert said.err == "diffenc: error: Faded: 2 checks failed; mend the model before you train it\n"


@pytest.mark.parametrize(
    ("encoder", "said"),
    [
        ("nowhere:Fade", "no module 'nowhere' here"),
        ("blurred", "unknown encoder 'blurred'; known: identity"),
        ("fading:Missing", "has no class 'Missing'"),
        ("fading:Tensor", "derive it from diffenc.models.encoders.Encoder"),
        ("fading:Nothing", "abstract method"),
    ],
)
def test_what_it_lacks_is_said_in_one_line(folder, encoder, said):
    with pytest.raises(UserError, match=said) as refused:
        model(encoder)
    assert "\n" not in str(refused.value)


def test_the_page_s_study_is_made(tmp_path):
    folder = pipeline.check_out(tmp_path / "clone")
    (folder / "fading.py").write_text(CODE)
    (folder / "fading.yaml").write_text(STUDY)
    ended = pipeline.snakemake(folder, "--cores", "2", "--configfile=fading.yaml", "all")
    assert ended.returncode == 0, ended.stdout
    results = folder / "results/fading"
    run = results / "runs/digits/Faded/fixed/seed1"
    assert all((run / name).exists() for name in ("evaluation.json", "depth.json", "inspection.npz", "encodings.npz"))
    assert (results / "figures/heatmaps/digits/Faded/fixed/seed1.svg").exists()
    assert "Faded" in (results / "tables/digits/encoder.md").read_text()
    assert "Faded" in (results / "index.html").read_text()
    assert "strength: 0.7" in (run / "config.yaml").read_text()


class FakePoint:
    name, value = "cosine", "waves:Cosine"


COSINE = """
import torch
from diffenc.models.schedules import Schedule


class Cosine(Schedule):
    def __init__(self, gamma_min, gamma_max):
        super().__init__()
        self.register_buffer("low", torch.tensor(gamma_min), persistent=False)
        self.register_buffer("high", torch.tensor(gamma_max), persistent=False)

    def forward(self, t):
        return self.low + (self.high - self.low) * (1 - torch.cos(torch.pi * t)) / 2

    def ends(self):
        return self.low, self.high
"""


def test_an_installed_schedule_has_the_bound_of_many_steps(folder, monkeypatch):
    """Its slope, by forward-mode differentiation, in the loss; its gamma alone in finite depth."""
    (folder / "waves.py").write_text(COSINE)
    monkeypatch.setattr(plugins, "entry_points", lambda group: [FakePoint] if group == plugins.SCHEDULES else [])
    content = yaml.safe_load(STUDY)
    content["runs"][0] |= {"models": ["VDMv-2"], "schedule": "cosine"}
    one = parse_study(content, "study.yaml")
    net = build.create(one.shape(one.all_runs[0]), DIGITS, "cosine").double()
    x = net.scale(torch.randint(0, DIGITS.levels, (4, *DIGITS.shape), dtype=torch.uint8))
    assert check_model.of_many_steps(net, x).holds
    t = torch.linspace(0.1, 0.9, 9, dtype=torch.float64)
    slope = (net.schedule(t + 1e-6) - net.schedule(t - 1e-6)) / 2e-6
    torch.testing.assert_close(net.schedule.dgamma_dt(t), slope, rtol=1e-6, atol=1e-6)
    assert parameters(one.shape(one.all_runs[0]), DIGITS, "cosine") == build.parameters(net)
