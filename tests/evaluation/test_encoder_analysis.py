import numpy as np
import pytest
import torch
from gaussian import diffusion_term
from torch import nn

from diffenc.data.catalog import DATASETS
from diffenc.evaluation.encoder_analysis import bands, inspect, spectrum
from diffenc.io.arrays import save_arrays
from diffenc.io.errors import UserError
from diffenc.models import noise
from diffenc.models.diffusion import Diffusion
from diffenc.models.encoders import NonTrainable
from diffenc.models.noise import Purpose
from diffenc.models.parameterizations import PARAMETERIZATIONS
from diffenc.models.schedules import FixedSchedule
from diffenc.results.encoder_analysis import over_images, read, share_left
from diffenc.study import stages
from diffenc.study.settings import Inspection
from diffenc.study.stages import SPECTRUM_TIMES
from diffenc.zoo.build import build

CPU = torch.device("cpu")
TIMES = (0.0, 0.02, 0.2, 0.4, 0.6, 0.8, 1.0)


@pytest.fixture(scope="module", autouse=True)
def few_times():
    """All of them would take long."""
    assert {*TIMES, *SPECTRUM_TIMES} <= {*stages.TIMES}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("diffenc.evaluation.encoder_analysis.TIMES", TIMES)
        yield


def digits(count):
    from sklearn.datasets import load_digits

    return load_digits().images[:count, None].astype(np.uint8)


def trained(name, schedule="fixed", prediction="v"):
    """A model in float64 whose networks, unlike new ones, say something."""
    model = build(name, DATASETS["digits"], schedule).double()
    model.parameterization = PARAMETERIZATIONS[prediction]
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:  # the schedule and the biases stay
                parameter += 0.1 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return model


def noise_of(seed, count, shape):
    """eps of z_t, put together from the noise's own parts."""
    keys = noise.keys(noise.stream(seed, Purpose.EVALUATION, 0), torch.arange(count))
    return noise.normal(noise.split(keys, Purpose.EPS_T), shape).double()


def rms(values):
    return values.detach().square().mean(dim=(1, 2, 3)).sqrt().numpy()


def roots(gamma):
    return [torch.sigmoid(sign * gamma).sqrt()[:, None, None, None] for sign in (-1, 1)]


@pytest.fixture(scope="module")
def three(few_times):
    """Each kind of encoder, inspected on the same four digits."""
    models = {name: trained(name) for name in ("VDMv-2", "DiffEnc-2-nt", "DiffEnc-2-1")}
    return {name: (model, inspect(model, digits(4), Inspection(), 4, CPU)) for name, model in models.items()}


@pytest.mark.parametrize("name", ["DiffEnc-2-nt", "DiffEnc-2-1"])
@pytest.mark.parametrize("at", [1, 3, 5, 6])
def test_the_motion_is_the_derivative_of_the_encoding(three, name, at):
    model, found = three[name]
    x = model.scale(torch.from_numpy(digits(4)))
    gamma = model.schedule(torch.full((4,), TIMES[at], dtype=torch.float64))
    h = 1e-5
    quotient = (model.encode(x, gamma + h) - model.encode(x, gamma - h)) / (2 * h)
    np.testing.assert_allclose(found["motion"][at], rms(quotient), rtol=1e-6)
    assert found["gamma"][at] == gamma[0]


@pytest.mark.parametrize("prediction", ["v", "epsilon"])
@pytest.mark.parametrize("schedule", ["fixed", "learned"])
@pytest.mark.parametrize("name", ["DiffEnc-2-nt", "DiffEnc-2-1"])
def test_the_residual_is_the_table_of_the_maths(name, schedule, prediction):
    """sigma^2 c with c = x_hat - x_t + y + y' (trainable) or x_hat - alpha^2 x, y' by finite difference."""
    model = trained(name, schedule, prediction)
    found = inspect(model, digits(3), Inspection(seed=5), 3, CPU)
    x, eps = model.scale(torch.from_numpy(digits(3))), noise_of(5, 3, (1, 8, 8))
    for at in (1, 5):
        gamma = model.schedule(torch.full((3,), TIMES[at], dtype=torch.float64))
        a, s = roots(gamma)
        x_t = model.encode(x, gamma)
        z = a * x_t + s * eps
        output = model.denoise(z, gamma)
        x_hat = a * z - s * output if prediction == "v" else (z - s * output) / a
        if name == "DiffEnc-2-nt":
            c = x_hat - a**2 * x
        else:
            y, h = model.encoder.y(x, gamma), 1e-5
            y_dot = (model.encoder.y(x, gamma + h) - model.encoder.y(x, gamma - h)) / (2 * h)
            c = x_hat - x_t + y + y_dot
        np.testing.assert_allclose(found["residual"][at], rms(s**2 * c), rtol=1e-6)


class Perfect(nn.Module):
    """Knows the noise: its v_hat is v_t, so that the loss is the counterterm's alone."""

    def __init__(self, eps):
        super().__init__()
        self.eps = eps

    def forward(self, z, gamma, keys=None):
        a, s = roots(gamma)
        return a * self.eps - s * (z - s * self.eps) / a


def test_with_a_perfect_denoiser_the_residual_is_all_of_the_loss():
    """1/2 gamma' alpha^2 ||sigma c||^2 = 1/2 gamma' (alpha / sigma)^2 ||sigma^2 c||^2."""
    model = trained("DiffEnc-2-1")
    eps = noise_of(0, 4, (1, 8, 8))
    model.denoiser = Perfect(eps)
    found = inspect(model, digits(4), Inspection(), 4, CPU)
    x = model.scale(torch.from_numpy(digits(4)))
    for at in (2, 4, 6):
        t = torch.full((4,), TIMES[at], dtype=torch.float64)
        gamma_0, gamma_1 = (end.item() for end in model.schedule.ends())
        snr = np.exp(-(gamma_0 + (gamma_1 - gamma_0) * TIMES[at]))
        expected = 0.5 * (gamma_1 - gamma_0) * snr * 64 * found["residual"][at].astype(float) ** 2
        np.testing.assert_allclose(diffusion_term(model, x, t, eps).detach(), expected, rtol=1e-5)


class Linear(nn.Module):
    """The best linear x_hat of x_t = alpha^2 x from z_t, for x of the given variance, as v."""

    def __init__(self, variance):
        super().__init__()
        self.variance = variance

    def forward(self, z, gamma, keys=None):
        a, s = roots(gamma)
        prior = a**4 * self.variance
        return (a * z - a * prior * z / (a**2 * prior + s**2)) / s


def test_the_share_left_has_its_closed_form_for_white_images():
    """E||x_hat - x_t||^2 / E||x_t||^2 of the best linear estimate: sigma^2 / (alpha^6 Var x + sigma^2)."""
    variance = (1 - 256.0**-2) / 3
    model = Diffusion(FixedSchedule(-13.3, 5.0), NonTrainable(), Linear(variance), 256, "v")
    images = np.random.default_rng(0).integers(0, 256, (400, 1, 16, 16), dtype=np.uint8)
    found = inspect(model, images, Inspection(images=400), 100, CPU)
    alpha2 = 1 / (1 + np.exp(found["gamma"].astype(float)))
    exact = (1 - alpha2) / (alpha2**3 * variance + 1 - alpha2)
    np.testing.assert_allclose(share_left(found)[3:], exact[3:], rtol=0.02)  # t >= 0.4


def test_the_compromise_that_costs_nothing_leaves_a_motion():
    """x_hat = (x_t + sigma^2 r) / (1 + sigma^2): the denoiser's error and what is left of the motion cancel."""
    model = trained("DiffEnc-2-1")
    x, eps = model.scale(torch.from_numpy(digits(2))), noise_of(0, 2, (1, 8, 8))

    class Compromise(nn.Module):
        def forward(self, z, gamma, keys=None):
            a, s = roots(gamma)
            x_t, r = model.encoder.with_mean_shift(x, gamma)
            return (a * z - (x_t + s**2 * r) / (1 + s**2)) / s

    model.denoiser = Compromise()
    for t in TIMES[1:]:
        loss = diffusion_term(model, x, torch.full((2,), t, dtype=torch.float64), eps)
        np.testing.assert_allclose(loss.detach(), 0, atol=1e-12)
    assert (share_left(inspect(model, digits(2), Inspection(), 2, CPU)) > 0.1).all()


def test_without_a_counterterm_all_of_the_motion_is_left():
    class Zero(nn.Module):
        def forward(self, z, gamma, keys=None):
            a, s = roots(gamma)
            return a * z / s  # x_hat = 0

    model = trained("DiffEnc-2-1")
    model.denoiser = Zero()
    found = inspect(model, digits(2), Inspection(), 2, CPU)
    np.testing.assert_allclose(share_left(found), 1, rtol=1e-5)


def test_what_the_non_trainable_encoder_does_in_closed_form(three):
    _, found = three["DiffEnc-2-nt"]
    x = 2 * (digits(4) + 0.5) / 17 - 1
    norm = np.sqrt((x**2).mean(axis=(1, 2, 3)))
    sigma2 = 1 / (1 + np.exp(-found["gamma"]))[:, None]
    np.testing.assert_allclose(found["image"], norm, rtol=1e-6)
    np.testing.assert_allclose(found["change"], sigma2 * norm, rtol=1e-5)
    np.testing.assert_allclose(found["encoding"], (1 - sigma2) * norm, rtol=1e-5)
    np.testing.assert_allclose(found["motion"], sigma2 * (1 - sigma2) * norm, rtol=1e-5)
    at = [TIMES.index(t) for t in SPECTRUM_TIMES]
    np.testing.assert_allclose(found["power_x_t"], (1 - sigma2[at]) ** 2 * found["power_x"], rtol=1e-10)
    np.testing.assert_allclose(found["power_change"], sigma2[at] ** 2 * found["power_x"], rtol=1e-10)
    assert "y" not in found


def test_what_the_trainable_encoder_does_is_measured_on_its_encodings(three):
    model, found = three["DiffEnc-2-1"]
    x = model.scale(torch.from_numpy(digits(4)))
    for at in range(len(TIMES)):
        gamma = model.schedule(torch.full((4,), TIMES[at], dtype=torch.float64))
        x_t = model.encode(x, gamma)
        np.testing.assert_allclose(found["change"][at], rms(x_t - x), rtol=1e-5)
        np.testing.assert_allclose(found["encoding"][at], rms(x_t), rtol=1e-5)
        y = (x_t - torch.sigmoid(-gamma[0]) * x) / torch.sigmoid(gamma[0])
        np.testing.assert_allclose(found["y"][at], rms(y), rtol=1e-5)
        if TIMES[at] in SPECTRUM_TIMES:
            i = SPECTRUM_TIMES.index(TIMES[at])
            for name, values in (("power_x_t", x_t), ("power_change", x_t - x)):
                expected = spectrum(values.detach().numpy()).mean(axis=0)
                np.testing.assert_allclose(found[name][i], expected, rtol=1e-7, atol=1e-15)


def test_near_t_0_the_change_keeps_its_digits_in_float32(three):
    exact = three["DiffEnc-2-1"][1]["change"]
    single = inspect(trained("DiffEnc-2-1").float(), digits(4), Inspection(), 4, CPU)["change"]
    np.testing.assert_allclose(single[:3], exact[:3], rtol=1e-4)


def test_the_identity_changes_nothing_and_has_no_motion(three):
    _, found = three["VDMv-2"]
    assert not found["change"].any()
    assert not found["power_change"].any()
    np.testing.assert_array_equal(found["encoding"], np.broadcast_to(found["image"], (len(TIMES), 4)))
    assert not {"motion", "residual", "y"} & found.keys()


def test_batches_change_nothing_and_images_are_the_first_ones(three):
    model, whole = three["DiffEnc-2-1"]
    parted = inspect(model, digits(9), Inspection(images=4), 3, CPU)
    assert parted.keys() == whole.keys()
    for name in whole:
        np.testing.assert_allclose(parted[name], whole[name], rtol=1e-6, atol=1e-12, err_msg=name)
    other = inspect(model, digits(4), Inspection(seed=1), 4, CPU)
    assert not np.allclose(other["residual"], whole["residual"], rtol=1e-3)
    np.testing.assert_array_equal(other["motion"], whole["motion"])


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (1, 7, 10)])
def test_spectra_keep_the_power(shape):
    images = np.random.default_rng(0).standard_normal((2, *shape))
    frequency, modes = bands(*shape[1:])
    power = spectrum(images)
    assert power.shape == (2, len(frequency))
    assert modes.sum() == shape[1] * shape[2]
    np.testing.assert_allclose((modes * power).sum(axis=1), (images**2).sum(axis=(1, 2, 3)) / shape[0])


@pytest.mark.parametrize(("down", "right", "band"), [(0, 3, 3), (5, 0, 5), (3, 4, 5), (2, 2, 3), (16, 16, 23)])
def test_a_cosine_is_in_its_band_alone(down, right, band):
    row, column = np.mgrid[:32, :32] / 32
    image = 0.7 * np.cos(2 * np.pi * (down * row + right * column))
    frequency, modes = bands(32, 32)
    total = modes * spectrum(image[None, None])[0]
    assert frequency[total.argmax()] == band
    assert total[band] == pytest.approx((image**2).sum())
    assert total.sum() - total[band] < 1e-20 * 1024


def test_white_noise_has_a_flat_spectrum():
    images = 1.5 * np.random.default_rng(0).standard_normal((800, 1, 16, 16))
    np.testing.assert_allclose(spectrum(images).mean(axis=0), 1.5**2, rtol=0.15)


def test_over_images_is_the_norm_of_them_all():
    values = np.random.default_rng(0).standard_normal((7, 3, 4, 4))
    norms = np.sqrt((values**2).mean(axis=(1, 2, 3)))
    assert over_images(norms) == pytest.approx(np.sqrt((values**2).mean()))


def test_what_is_written_is_read(three, tmp_path):
    for name, (_, arrays) in three.items():
        save_arrays(tmp_path / "inspection.npz", arrays)
        again = read(tmp_path / "inspection.npz")
        assert again.keys() == arrays.keys(), name
        for key in arrays:
            np.testing.assert_array_equal(again[key], arrays[key])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path, arrays: path.unlink(), "is missing"),
        (lambda path, arrays: path.write_bytes(path.read_bytes()[:900]), "is damaged"),
        (lambda path, arrays: save_arrays(path, without(arrays, "change")), "has no array change"),
        (lambda path, arrays: save_arrays(path, without(arrays, "residual")), "has no array residual"),
        (lambda path, arrays: save_arrays(path, arrays | {"y": arrays["y"][:3]}), "y has shape"),
        (lambda path, arrays: np.savez(path, **arrays | {"motion": np.nan * arrays["motion"]}), "not finite"),
    ],
)
def test_a_bad_file_is_named(three, tmp_path, damage, message):
    path, arrays = tmp_path / "inspection.npz", three["DiffEnc-2-1"][1]
    save_arrays(path, arrays)
    damage(path, arrays)
    with pytest.raises(UserError, match=message) as error:
        read(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def without(arrays, name):
    return {key: values for key, values in arrays.items() if key != name}
