import importlib
import os

import made_up
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from diffenc.io.arrays import at_times
from diffenc.io.errors import UserError
from diffenc.reporting import figures
from diffenc.reporting.figures import curves, heatmaps, image_grid, loss_per_t, style
from diffenc.reporting.figures import encodings as encoded
from diffenc.reporting.figures import samples as sampled
from diffenc.results.records import read_history
from diffenc.study.stages import ENCODING_TIMES, EVALUATION, HISTORY
from diffenc.study.study import run_folder


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Encodings and samples of grey and of colour images, and two models' histories and evaluations."""
    folder = tmp_path_factory.mktemp("made-up")
    found = {}
    for kind, images in (("grey", made_up.digits(3)), ("colour", made_up.colours(3))):
        found[f"encodings {kind}"] = made_up.write_encodings(folder / f"e-{kind}.npz", *images)
        found[f"samples {kind}"] = made_up.write_samples(folder / f"s-{kind}.npz", *images)
    study = made_up.study()
    made_up.write_results(study, folder / "small")
    for name in (HISTORY, EVALUATION):
        found[name] = {}
        for run in study.training:
            found[name].setdefault(run.model, []).append(run_folder(folder / "small", run) / name)
    return found


def makers(files):
    """Every figure, as a function of its stem, with texts that its svg must have."""
    columns = ["original", "t = 0.4", "t = 0.6", "t = 0.8", "t = 1.0", heatmaps.LABEL]
    names = [f"t = {t:g}" for t in (0, 0.7, 0.8, 0.9, 0.92, 0.94, 0.96, 0.98, 1)]
    models = [f"{name} (3 seeds)" for name in made_up.BASE]
    loss = ["diffusion loss", "(bits per dimension per unit t)", "difference to VDMv-2"]
    made = {}
    for kind in ("grey", "colour"):
        encodings, samples = (
            files[f"encodings {kind}"],
            {name: [files[f"samples {kind}"]] for name in ("VDMv-2", "other")},
        )
        made |= {
            f"heatmap {kind}": (lambda s, e=encodings: heatmaps.heatmap(e, s, "Title"), columns),
            f"encodings {kind}": (lambda s, e=encodings: encoded.encodings(e, s, "Title"), names),
            f"samples {kind}": (lambda s, f=samples: sampled.samples(f, s, "Title"), ["VDMv-2", "other"]),
        }
    made["curves"] = (
        lambda s: curves.curves(files[HISTORY], s, "Title"),
        [*models, "total", "diffusion", "latent", "reconstruction", "bits per dimension", "training step"],
    )
    made["loss_per_t"] = (lambda s: loss_per_t.loss_per_t(files[EVALUATION], s, "Title"), [*models, *loss])
    return made


KINDS = [f"{kind} {colour}" for kind in ("heatmap", "encodings", "samples") for colour in ("grey", "colour")]


@pytest.mark.parametrize("kind", [*KINDS, "curves", "loss_per_t"])
def test_a_figure_has_its_texts_and_the_same_bytes_twice(files, tmp_path, kind):
    make, texts = makers(files)[kind]
    make(tmp_path / "a.b")  # a stem may have a dot: a time, say
    make(tmp_path / "again")
    for ending in ("svg", "png"):
        assert (tmp_path / f"a.b.{ending}").read_bytes() == (tmp_path / f"again.{ending}").read_bytes()
    svg = (tmp_path / "a.b.svg").read_text()
    for text in [*texts, "Title"]:
        assert f">{text}</t" in svg, text
    assert "dc:date" not in svg
    assert len(list(tmp_path.iterdir())) == 4


def test_rates_are_the_difference_quotients():
    rng = np.random.default_rng(0)
    t = np.array([0, 0.1, 0.3, 0.4, 0.9, 0.95, 1.0])
    x_t = rng.standard_normal((7, 2, 3, 4, 5)).astype(np.float32)
    maps = heatmaps.rates(t, x_t, [0.4, 0.1, 1.0])
    assert maps.shape == (3, 2, 4, 5)
    for i, (end, start) in enumerate([(3, 2), (1, 0), (6, 4)]):
        for n, row, column in np.ndindex(2, 4, 5):
            change = sum(float(x_t[end, n, c, row, column]) - float(x_t[start, n, c, row, column]) for c in range(3))
            assert maps[i, n, row, column] == pytest.approx(change / 0.1, rel=1e-9)
    with pytest.raises(ValueError, match=r"t = 0\.8 is not"):
        heatmaps.rates(t, x_t, [0.9])


@pytest.mark.parametrize("scale", [0.0, 3.0])
def test_heat_maps_share_one_scale_around_zero_and_one_bar(scale):
    rng = np.random.default_rng(0)
    maps = scale * rng.standard_normal((4, 3, 8, 8))
    with style.styled():
        figure = heatmaps.draw(np.zeros((3, 1, 8, 8)), maps, heatmaps.COLUMNS, "Title")
    drawn = [image for image in figure.axes[0].images if image.get_cmap().name == "RdBu_r"]
    assert len(drawn) == 12
    low, high = -np.abs(maps).max(), np.abs(maps).max()
    assert {image.get_clim() for image in drawn} == {(low, high) if scale else (-1, 1)}
    assert len(figure.axes) == 2
    assert sum(np.array_equal(image.get_array(), maps[1, 2]) for image in drawn) == (1 if scale else 12)


def test_encodings_stand_in_rows_of_examples_and_columns_of_t(files):
    _, t, x_t = image_grid.read_encodings(files["encodings grey"])
    shown = x_t[at_times(t, ENCODING_TIMES)]
    with style.styled():
        figure = encoded.draw(shown, "Title")
    assert {image.get_clim() for image in figure.axes[0].images} == {(-1, 1)}
    for image in figure.axes[0].images:
        left, right, bottom, top = image.get_extent()
        example, column = int((top + bottom) / 2), int((left + right) / 2)
        expected = x_t[np.argmin(np.abs(t - ENCODING_TIMES[column])), example, 0]
        np.testing.assert_array_equal(image.get_array(), expected)


@pytest.mark.parametrize("levels", [17, 256])
def test_samples_run_from_black_to_white(tmp_path, monkeypatch, levels):
    images = np.stack([np.full((3, 4, 4), value, np.uint8) for value in (0, levels - 1)])
    drawn, draw = [], sampled.draw
    monkeypatch.setattr(sampled, "draw", lambda *given: drawn.append(draw(*given)) or drawn[0])
    sampled.samples({"one": [made_up.write_samples(tmp_path / "s.npz", images, levels)]}, tmp_path / "s", "Title")
    black, white = (image.get_array() for image in drawn[0].axes[0].images)
    np.testing.assert_allclose([black, white], [np.zeros((4, 4, 3)), np.ones((4, 4, 3))], atol=1e-6)


def test_rgb_is_clipped():
    picture = image_grid.picture(np.array([1.5, 0, -2]).reshape(3, 1, 1))
    np.testing.assert_array_equal(picture, [[[1, 0.5, 0]]])


def test_a_model_keeps_its_colour_whatever_else_is_drawn(files):
    models = {name: curves.read_model(files[HISTORY][name]) for name in ("DiffEnc-2-1", "DiffEnc-2-nt")}
    order = list(made_up.BASE)
    with style.styled():
        both = curves.draw(models, "Title", order).axes[0].lines
        one = curves.draw({"DiffEnc-2-nt": models["DiffEnc-2-nt"]}, "Title", order).axes[0].lines
    assert to_rgb(both[-1].get_color()) == to_rgb(one[-1].get_color())
    assert to_rgb(both[0].get_color()) != to_rgb(one[0].get_color())
    assert len(set(style.looks(map(str, range(10))).values())) == 10


def test_curves_draw_mean_range_and_every_seed(files):
    frames = [read_history(path).set_index("step") for path in files[HISTORY]["DiffEnc-2-1"]]
    models = {"DiffEnc-2-1": curves.read_model(files[HISTORY]["DiffEnc-2-1"])}
    order = list(made_up.BASE)
    with style.styled():
        figure = curves.draw(models, "Title", order)
    totals = np.array([frame["total"] for frame in frames])
    *seeds, mean = figure.axes[0].lines
    np.testing.assert_allclose([line.get_ydata() for line in seeds], totals)
    np.testing.assert_allclose(mean.get_ydata(), totals.mean(axis=0))
    assert to_rgb(mean.get_color()) == to_rgb(style.looks(order)["DiffEnc-2-1"].color)
    corners = figure.axes[0].collections[0].get_paths()[0].vertices[:, 1]
    assert (corners.min(), corners.max()) == (totals.min(), totals.max())


def test_what_would_hide_all_else_is_beyond_the_axis_and_said():
    """One seed's training that leapt up for a while; a model twenty times as far off as the others."""
    steps, terms = [100, 200, 300], ("total", "diffusion", "latent", "reconstruction")
    columns = pd.MultiIndex.from_product([range(2), terms], names=["seed", "term"])
    calm = pd.DataFrame([[9.0, 8, 0.5, 0.5] * 2, [6, 5, 0.5, 0.5] * 2, [5, 4, 0.5, 0.5] * 2], steps, columns)
    leapt = calm.copy()
    leapt.loc[200, (0, "total")] = 40.0
    t = pd.Index([0.25, 0.75])
    densities = {
        name: pd.DataFrame({0: [4.0, 2.0 + off]}, t) for name, off in zip("abcd", (0, 0.1, -0.1, 2), strict=True)
    }
    with style.styled():
        panels = curves.draw({"calm": calm, "leapt": leapt}, "Title", ["calm", "leapt"]).axes
        _, below = loss_per_t.draw(densities, "Title", list(densities)).axes
    assert panels[0].get_title() == "total, beyond the axis: leapt, 40"
    assert panels[0].get_ylim()[0] < 5 < 9 < panels[0].get_ylim()[1] < 10
    assert panels[1].get_title() == "diffusion"
    assert below.get_title() == "beyond the axis: d, up to 2"
    assert -0.2 < below.get_ylim()[0] < -0.1 < 0.1 < below.get_ylim()[1] < 0.2


def npz(path, **arrays):
    np.savez(path, **arrays)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), "is missing; make it with `snakemake --force"),
        (lambda path: path.write_bytes(path.read_bytes()[:500]), "is damaged"),
        (lambda path: path.write_text("no archive"), "is damaged"),
        (lambda path: npz(path, t=np.arange(2)), "has no array x"),
        (
            lambda path: npz(path, t=np.arange(3), x=np.ones((1, 1, 2, 2)), x_t=np.ones((2, 1, 1, 2, 2))),
            "x_t has shape",
        ),
        (lambda path: npz(path, t=np.arange(2), x=np.ones((1, 1, 2, 2)), x_t=np.ones((2, 1, 1, 2, 2))), "t = 0"),
    ],
)
@pytest.mark.parametrize("draw", [heatmaps.heatmap, encoded.encodings])
def test_bad_encodings_are_named_and_leave_nothing(tmp_path, draw, damage, message):
    path = made_up.write_encodings(tmp_path / "encodings.npz", *made_up.digits(2))
    damage(path)
    with pytest.raises(UserError, match=message) as error:
        draw(path, tmp_path / "figure", "Title")
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.glob("figure*"))


def test_other_missing_files_are_named(files, tmp_path):
    missing = tmp_path / "gone"
    for draw in (
        lambda: sampled.samples({"one": [missing]}, tmp_path / "f", "Title"),
        lambda: curves.curves({"one": [files[HISTORY]["VDMv-2"][0], missing]}, tmp_path / "f", "Title"),
        lambda: loss_per_t.loss_per_t({"one": [missing]}, tmp_path / "f", "Title"),
    ):
        with pytest.raises(UserError, match=r"gone: .*make it with `snakemake --force"):
            draw()
    assert not list(tmp_path.iterdir())


def test_seeds_without_a_common_step_or_time_are_refused(files, tmp_path):
    first = files[HISTORY]["VDMv-2"][0]
    other = tmp_path / "other"
    other.write_text(first.read_text().splitlines()[0].replace('"step": 50', '"step": 51'))
    with pytest.raises(UserError, match="shares no step"):
        curves.curves({"one": [first, other]}, tmp_path / "f", "Title")
    first = files[EVALUATION]["VDMv-2"][0]
    other.write_text(first.read_text().replace('"t": 0.025', '"t": 0.03'))
    with pytest.raises(UserError, match="its times t differ"):
        loss_per_t.loss_per_t({"one": [first], "two": [other]}, tmp_path / "f", "Title")


def test_started_from_a_notebook(monkeypatch):
    """A kernel hands its backend on to what it starts; importing matplotlib fails where that is not there."""
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    importlib.reload(figures)
    assert "MPLBACKEND" not in os.environ
