import made_up
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from diffenc.evaluation.encoder_analysis import bands
from diffenc.io.arrays import at_times
from diffenc.io.errors import UserError
from diffenc.reporting.figures import counterterm, process, style
from diffenc.reporting.figures import sample_page as pages
from diffenc.reporting.figures.encoder_change import IMAGE, draw_change, encoder_change
from diffenc.reporting.figures.spectra import draw_spectra, spectra
from diffenc.study.stages import ENCODING_TIMES, HEATMAP_TIMES, SPECTRUM_TIMES, TIMES

ORDER = ["VDMv-2", "one", "two", "nt", "four", "five", "six"]


def inspection(seed, y=True, high=1.0):
    """An inspection.npz as arrays; `high` scales what the counterterm leaves."""
    rng = np.random.default_rng(seed)
    frequency, modes = bands(8, 8)
    curve = np.exp(6 * (np.array(TIMES) - 1))[:, None] * rng.uniform(0.5, 1.5, 4)
    power = rng.uniform(0.5, 1.5, (5, len(frequency))) / (1 + frequency) ** 2
    arrays = {
        **{"t": np.array(TIMES), "gamma": -13.3 + 18.3 * np.array(TIMES), "image": np.full(4, 0.7), "change": curve},
        **{"encoding": 1 - 0.5 * curve, "motion": 0.3 * curve, "residual": high * 0.2 * curve},
        **{"spectrum_t": np.array(SPECTRUM_TIMES), "frequency": frequency, "modes": modes, "power_x": power[0]},
        **{"power_x_t": power, "power_change": power * np.array(SPECTRUM_TIMES)[:, None] ** 8},
    }
    return arrays | ({"y": 0.4 + 0.1 * curve} if y else {})


def written(folder, models):
    """{model: paths} of {model: its seeds' arrays}."""
    files = {}
    for name, seeds in models.items():
        for i, arrays in enumerate(seeds):
            np.savez(folder / f"{name}-{i}.npz", **arrays)
            files.setdefault(name, []).append(folder / f"{name}-{i}.npz")
    return files


def three_models():
    return {"one": [inspection(1), inspection(2), inspection(3)], "nt": [inspection(4, y=False)]}


def encodings(path, images, levels):
    """An encodings.npz with its gammas."""
    made_up.write_encodings(path, images, levels)
    arrays = dict(np.load(path))
    np.savez(path, **(arrays | {"gamma": -13.3 + 18.3 * arrays["t"]}))
    return path


def makers(folder):
    """Every figure, as a function of its stem, with texts that its svg must have."""
    files = written(folder, three_models())
    models = ["one (3 seeds)", "nt (1 seed)"]
    made = {
        f.__name__: (lambda s, f=f: f(files, s, "Title", ORDER), [*models, "range over seeds", *texts, "Title"])
        for f, texts in (
            (counterterm.counterterm, [counterterm.LEFT, counterterm.NOTHING]),
            (encoder_change, []),
            (spectra, ["the images x", "cycles per image", *(f"t = {t}" for t in SPECTRUM_TIMES)]),
        )
    }
    for kind, images in (("grey", made_up.digits(3)), ("colour", made_up.colours(3))):
        found = encodings(folder / f"e-{kind}.npz", *images)
        samples = made_up.write_samples(folder / f"s-{kind}.npz", *images)
        made[f"process {kind}"] = (
            lambda s, f=found: process.process(f, s, "Title"),
            [process.STANDARD, process.WITH_ENCODER, process.ENCODER, process.DISCARDED, "Title"],
        )
        made[f"page {kind}"] = (lambda s, f=samples: pages.sample_page(f, s, "Title"), ["Title: 3 samples"])
    return made


OF_A_RUN = [f"{kind} {colour}" for kind in ("process", "page") for colour in ("grey", "colour")]


@pytest.mark.parametrize("kind", ["counterterm", "encoder_change", "spectra", *OF_A_RUN])
def test_a_figure_has_its_texts_and_the_same_bytes_twice(tmp_path, kind):
    make, texts = makers(tmp_path)[kind]
    (tmp_path / "out").mkdir()
    make(tmp_path / "out" / "a.b")
    make(tmp_path / "out" / "again")
    for ending in ("svg", "png"):
        assert (tmp_path / f"out/a.b.{ending}").read_bytes() == (tmp_path / f"out/again.{ending}").read_bytes()
    svg = (tmp_path / "out/a.b.svg").read_text()
    for text in texts:
        assert f">{text}</t" in svg, text


def lines(axes):
    return {line.get_label(): line for line in axes.lines}


def test_the_counterterm_figure_shows_mean_range_and_share():
    models = three_models()
    with style.styled():
        figure = counterterm.draw_counterterm(models, "Title", ORDER)
    motion, residual, left = figure.axes
    assert motion.get_ylim() == residual.get_ylim(), "the two norms are compared on one scale"
    drawn = lines(left)
    shares = []
    for arrays in models["one"]:
        shares.append([sum(r**2) / sum(m**2) for r, m in zip(arrays["residual"], arrays["motion"], strict=True)])
    np.testing.assert_allclose(drawn["one (3 seeds)"].get_ydata(), np.mean(shares, axis=0))
    corners = left.collections[0].get_paths()[0].vertices[:, 1]
    assert (corners.min(), corners.max()) == (pytest.approx(np.min(shares)), pytest.approx(np.max(shares)))
    norms = [np.sqrt((arrays["residual"] ** 2).mean(axis=1)) for arrays in models["one"]]
    np.testing.assert_allclose(lines(residual)["one (3 seeds)"].get_ydata(), np.mean(norms, axis=0))
    assert to_rgb(drawn["nt (1 seed)"].get_color()) == to_rgb(style.looks(ORDER)["nt"].color)
    assert (drawn[counterterm.NOTHING].get_ydata()[0], left.get_yscale(), left.get_ylim()[0]) == (1, "linear", 0)


def test_shares_over_decades_are_drawn_on_a_log_scale():
    with style.styled():
        figure = counterterm.draw_counterterm(
            {"one": [inspection(1)], "two": [inspection(2, high=50)]}, "Title", ORDER
        )
    assert figure.axes[2].get_yscale() == "log"
    assert figure.legends[0].get_texts()[-1].get_text() == counterterm.NOTHING  # one seed has no range


def test_the_change_stands_beside_y_on_one_scale():
    models = three_models()
    with style.styled():
        change, y = draw_change(models, "Title", ORDER).axes
    assert {*lines(y)} == {"one (3 seeds)", IMAGE}
    assert change.get_ylim() == y.get_ylim()
    mean = np.mean([np.sqrt((arrays["change"] ** 2).mean(axis=1)) for arrays in models["one"]], axis=0)
    np.testing.assert_allclose(lines(change)["one (3 seeds)"].get_ydata(), mean)
    assert change.get_ylim()[1] > max(line.get_ydata().max() for axes in (change, y) for line in axes.lines[:-1])
    assert lines(change)[IMAGE].get_ydata()[0] == pytest.approx(0.7)
    with style.styled():
        assert len(draw_change({"nt": models["nt"]}, "Title", ORDER).axes) == 1


@pytest.mark.parametrize("count", [1, 2, 4, 6])
def test_spectra_have_two_panels_a_model(count):
    models = {name: [inspection(i), inspection(i + 10)] for i, name in enumerate(ORDER[:count])}
    with style.styled():
        figure = draw_spectra(models, "Title")
    used = [axes for axes in figure.axes if axes.axison]
    assert len(used) == 2 * count
    titled = {axes.get_title(): axes for axes in used if axes.get_title()}
    assert list(titled) == [f"{name} (2 seeds)" for name in models]
    for axes, seeds in zip(titled.values(), models.values(), strict=True):
        image, *at_times = axes.lines
        np.testing.assert_array_equal(image.get_ydata(), seeds[0]["power_x"])
        for i, line in enumerate(at_times):
            expected = (seeds[0]["power_x_t"][i] + seeds[1]["power_x_t"][i]) / 2
            np.testing.assert_allclose(line.get_ydata(), expected)
    below = [axes for axes in used if axes.get_xlabel()]
    assert len(below) == count
    for axes, seeds in zip(below, models.values(), strict=True):
        expected = (seeds[0]["power_change"][3] + seeds[1]["power_change"][3]) / 2
        np.testing.assert_allclose(axes.lines[3].get_ydata(), expected)


def test_z_is_the_mean_and_one_noise_in_its_shares():
    rng = np.random.default_rng(1)
    x_t, gamma = rng.uniform(-1, 1, (6, 1, 40, 40)), np.linspace(-9, 5, 6)
    snr = np.exp(-gamma)[:, None, None, None]
    a, s = np.sqrt(snr / (1 + snr)), np.sqrt(1 / (1 + snr))
    eps = (process.noisy(x_t, gamma) - a * x_t) / s
    np.testing.assert_allclose(eps, np.broadcast_to(eps[0], eps.shape), atol=1e-9)
    np.testing.assert_array_equal(process.noisy(x_t, gamma), process.noisy(x_t, gamma))
    assert abs(eps[0].mean()) < 4 / 40
    assert eps[0].std() == pytest.approx(1, abs=0.1)


def test_the_process_shows_x_above_and_its_encodings_below(tmp_path):
    path = encodings(tmp_path / "e.npz", *made_up.digits(2))
    arrays = np.load(path)
    at = at_times(arrays["t"], process.TIMES)
    x, x_t, gamma = arrays["x"][0], arrays["x_t"][at, 0], arrays["gamma"][at]
    with style.styled():
        figure = process.draw(x, x_t, gamma, "Title")
    images = sorted(figure.axes[0].images, key=lambda image: (image.get_extent()[2], image.get_extent()[0]))
    shown = [image.get_array() for image in images]
    assert len(shown) == 2 * (1 + 2 * 6)
    np.testing.assert_array_equal(shown[:7], np.broadcast_to(x[0], (7, 8, 8)))
    np.testing.assert_array_equal(shown[7:13], process.noisy(np.broadcast_to(x, x_t.shape), gamma)[:, 0])
    np.testing.assert_array_equal(shown[13], x[0])
    np.testing.assert_array_equal(shown[14:20], x_t[:, 0])
    np.testing.assert_array_equal(shown[20:], process.noisy(x_t, gamma)[:, 0])


def test_the_process_has_its_times_in_every_encodings_file():
    assert {*process.TIMES} <= {*HEATMAP_TIMES, *ENCODING_TIMES}


@pytest.mark.parametrize(("count", "columns", "rows", "says"), [(1, 1, 1, "1 sample"), (7, 3, 3, "7 samples")])
def test_a_page_of_samples_is_a_square_read_along_rows(tmp_path, monkeypatch, count, columns, rows, says):
    images = np.stack([np.full((1, 2, 2), i, np.uint8) for i in range(count)])
    figure, title = drawn_page(tmp_path, monkeypatch, images, 8)
    assert title == f"Title: {says}"
    for i, image in enumerate(figure.axes[0].images):
        left, right, bottom, top = image.get_extent()
        assert (int((top + bottom) / 2), int((left + right) / 2)) == (i // columns, i % columns)
        np.testing.assert_allclose(image.get_array(), 2 * i / 7 - 1, atol=1e-12)  # black at 0, white at 7
    assert figure.axes[0].get_xlim() == (0, columns)
    assert figure.axes[0].get_ylim() == (rows, 0)


def test_a_page_has_no_more_than_it_can_show(tmp_path, monkeypatch):
    figure, title = drawn_page(tmp_path, monkeypatch, np.zeros((1500, 3, 2, 2), np.uint8), 256)
    assert title == "Title: first 400 of 1,500 samples"
    assert len(figure.axes[0].images) == 400


def drawn_page(folder, monkeypatch, images, levels):
    """The page's figure and its title, without the time that writing takes."""
    drawn, draw = [], pages.draw
    monkeypatch.setattr(pages, "draw", lambda images, title: drawn.append((draw(images, title), title)))
    monkeypatch.setattr(style, "save", lambda figure, stem: None)
    pages.sample_page(made_up.write_samples(folder / "s.npz", images, levels), folder / "page", "Title")
    return drawn[0]


@pytest.mark.parametrize("draw", [counterterm.counterterm, encoder_change, spectra])
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path, arrays: path.unlink(), "is missing; make it with"),
        (lambda path, arrays: path.write_bytes(path.read_bytes()[:700]), "is damaged"),
        (lambda path, arrays: np.savez(path, **without(arrays, "motion", "residual")), "has no array motion"),
        (lambda path, arrays: np.savez(path, **(arrays | {"t": arrays["t"] / 2})), "its t differs from that of"),
        (
            lambda path, arrays: np.savez(path, **(arrays | {"frequency": arrays["frequency"] + 1})),
            "its frequency differs",
        ),
    ],
)
def test_a_bad_inspection_is_named_and_leaves_nothing(tmp_path, draw, damage, message):
    files = written(tmp_path, three_models())
    damage(files["nt"][0], inspection(4, y=False))
    with pytest.raises(UserError, match=message) as error:
        draw(files, tmp_path / "figure", "Title", ORDER)
    assert str(error.value).startswith(f"{files['nt'][0]}: ")
    assert "\n" not in str(error.value)
    assert not list(tmp_path.glob("figure*"))


def without(arrays, *names):
    return {name: values for name, values in arrays.items() if name not in names}


@pytest.mark.parametrize(
    ("draw", "damage", "message"),
    [
        (process.process, lambda path, arrays: path.unlink(), "is missing"),
        (process.process, lambda path, arrays: np.savez(path, **without(arrays, "gamma")), "has no array gamma"),
        (process.process, lambda path, arrays: np.savez(path, **(arrays | {"t": arrays["t"] / 2})), "t = 0.6 is not"),
        (pages.sample_page, lambda path, arrays: None, "has no array samples"),
        (pages.sample_page, lambda path, arrays: path.unlink(), "is missing"),
    ],
)
def test_a_bad_file_of_a_run_is_named_and_leaves_nothing(tmp_path, draw, damage, message):
    path = encodings(tmp_path / "some.npz", *made_up.digits(2))
    damage(path, dict(np.load(path)))
    with pytest.raises(UserError, match=message) as error:
        draw(path, tmp_path / "figure", "Title")
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)
    assert not list(tmp_path.glob("figure*"))
