"""The log likelihood by the ODE: dequantisation, errors, what is said over t."""

import math

import gaussian
import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm

from diffenc.evaluation.likelihood import TIMES, error_over, likelihood
from diffenc.io.errors import UserError
from diffenc.models import noise
from diffenc.models.dequantisation import DEQUANTISATIONS
from diffenc.models.diffusion import Diffusion
from diffenc.models.encoders import Identity, NonTrainable
from diffenc.models.schedules import FixedSchedule
from diffenc.results.likelihood import Likelihoods
from diffenc.study.settings import EXACT_TRACE, Likelihood

CPU = torch.device("cpu")
S = 0.6
STEADY = {"precision": "float64", "steps": 40, "passes": 2}


def one_pixel(encoder):
    """K = 8 levels, and noise at t = 0 that is not small beside them."""
    denoiser = gaussian.Optimal(S, isinstance(encoder, NonTrainable), "v")
    return Diffusion(FixedSchedule(-3.5, 5.0), encoder, denoiser, 8, "v").double()


@pytest.mark.parametrize("encoder", [Identity(), NonTrainable()], ids=["VDM", "nt"])
@pytest.mark.parametrize("way", DEQUANTISATIONS)
def test_weights_have_the_probability_as_their_mean(way, encoder):
    """E_q[p(x | z_0) p(z_0) / q(z_0 | x)] is what p(x | z_0) p(z_0) has in all, for any density p(z_0)."""
    model, std, level, count = one_pixel(encoder), 0.7, 5, 20_000
    images = torch.full((count, 1, 1, 1), level, dtype=torch.uint8)
    drawn = DEQUANTISATIONS[way](model, images, noise.keys(1, torch.arange(count)))
    weights = np.exp(drawn.log_ratio.numpy()) * norm.pdf(drawn.z.flatten().numpy(), scale=std)
    a, x, gamma_0 = math.sqrt(gaussian.alpha2(-3.5)), 2 * (level + 0.5) / 8 - 1, -3.5
    if way == "variational":

        def decoded(z):
            scores = np.exp(-((z / a - (2 * (np.arange(8) + 0.5) / 8 - 1)) ** 2) * math.exp(-gamma_0) / 2)
            return norm.pdf(z, scale=std) * scores[level] / scores.sum()

        # q lacks tails where x is seldom
        expected = quad(decoded, -3, 3, points=[a * x], epsabs=1e-10)[0]
    else:
        low, high = a * (x - 1 / 8), a * (x + 1 / 8)
        assert ((drawn.z > low) & (drawn.z < high)).all()
        expected = norm.cdf(high, scale=std) - norm.cdf(low, scale=std)
    assert weights.mean() == pytest.approx(expected, abs=4 * weights.std() / math.sqrt(count) + 1e-12)
    assert weights.std() < 0.7 * expected


def images_of(count, side=4):
    return np.random.default_rng(0).integers(0, 256, (count, 1, side, side), dtype=np.uint8)


def measured(images, model=None, **settings):
    model = model or gaussian.gaussian_model(S, Identity())
    return likelihood(model, images, Likelihood(images=len(images), **STEADY | settings), 100, CPU)


def test_the_number_by_hand():
    """-log N(z_0; 0, std^2) - log p(x | z_0) + log q(z_0 | x), of the draws that are paired over models."""
    images = images_of(6)
    found = measured(images, draws=3)
    model = gaussian.gaussian_model(S, Identity())
    end, start = (gaussian.alpha2(g) * S**2 + gaussian.sigma2(g) for g in (gaussian.GAMMA_1, gaussian.GAMMA_0))
    each = []
    for k in range(3):
        keys = noise.keys(noise.stream(0, noise.Purpose.DEQUANTISATION, k), torch.arange(6))
        z, log_ratio = DEQUANTISATIONS["variational"](model, torch.from_numpy(images), keys)
        log_p = norm.logpdf(z.flatten(1).numpy(), scale=math.sqrt(start / end)).sum(1)
        each.append(log_p + log_ratio.numpy())
    (way,), each = found["ways"], np.array(each)
    assert way["ode"] == pytest.approx(-each.mean() / (16 * math.log(2)), abs=1e-6)
    assert way["weighted"] == pytest.approx(-np.log(np.exp(each).mean(0)).mean() / (16 * math.log(2)), abs=1e-6)
    assert way["weighted"] < way["ode"]
    assert way["gap"] == found["bound"]["mean"] - way["ode"]
    assert found["over_t"][0]["bound"] - found["over_t"][0]["ode"] == pytest.approx(way["gap"])
    # a diagonal Jacobian: probes have no error
    (probed,) = measured(images, draws=3, probes=2)["ways"]
    assert probed["ode"] == pytest.approx(way["ode"], abs=1e-9)
    assert probed["probes_se"] < 1e-9
    assert (way["probes_se"], probed["weighted"]) == (None, None)


def test_it_is_read_as_it_was_written():
    ways = ["uniform", "truncated_normal", "variational"]
    found = measured(images_of(5), dequantisation=ways, draws=1, probes=1)
    record = Likelihoods.model_validate(found)
    assert [way.dequantisation for way in record.ways] == ways
    assert record.ways[0].dequantisation_se is None
    assert [at.images for at in record.over_t] == [5, 2, 1, 1, 1]
    # fewer images than times
    assert [at["t"] for at in measured(images_of(2), dequantisation=["uniform"], probes=1)["over_t"]] == [0.2, 0.4]


def test_the_solver_is_off_by_less_than_it_claims():
    images = images_of(4)
    for kind in ({"tolerance": 1e-3, "steps": None}, {"tolerance": 1e-7, "steps": None}, {"steps": 8}):
        halved = {"steps": 16} if "tolerance" not in kind else {"tolerance": kind["tolerance"] / 2, "steps": None}
        precisions = (kind, halved, {"steps": 100})
        (way,), (finer,), (fine,) = (measured(images, draws=1, probes=1, **one)["ways"] for one in precisions)
        assert abs(way["ode"] - finer["ode"]) < way["solver"]
        assert abs(way["ode"] - fine["ode"]) < 1.1 * way["solver"]
    assert way["evaluations"] == 6 * 8 + 1


def test_batches_and_float32_change_nothing_but_rounding():
    images = images_of(7)
    whole = measured(images, probes=1)
    parts = likelihood(
        gaussian.gaussian_model(S, Identity()), images, Likelihood(images=7, probes=1, **STEADY), 3, CPU
    )
    single = measured(images, probes=1, precision="float32")
    for found, near in ((parts, 1e-10), (single, 1e-4)):
        assert found["ways"][0]["ode"] == pytest.approx(whole["ways"][0]["ode"], abs=near)
        assert [at["ode"] for at in found["over_t"]] == pytest.approx([at["ode"] for at in whole["over_t"]], abs=near)


def test_the_error_over_draws_is_what_it_says():
    images = images_of(6)
    runs = [measured(images, draws=4, probes=1, steps=6, seed=seed)["ways"][0] for seed in range(30)]
    spread, claimed = (
        np.std([run["ode"] for run in runs], ddof=1),
        np.mean([run["dequantisation_se"] for run in runs]),
    )
    assert spread == pytest.approx(claimed, rel=0.4)
    assert error_over(np.array([[1.0, 5.0], [3.0, 5.0]])) == pytest.approx(0.5)


def test_over_t_in_closed_form():
    """Of the flow KL(N(alpha x, sigma^2) || N(0, v)), of the bound its latent term and an integral."""
    images = images_of(400)
    found = measured(images, draws=1, probes=1, steps=20, passes=40)
    x2 = ((2 * (images + 0.5) / 256 - 1) ** 2).mean((1, 2, 3))
    end = gaussian.alpha2(gaussian.GAMMA_1) * S**2 + gaussian.sigma2(gaussian.GAMMA_1)

    def at(gamma):
        a2, s2 = gaussian.alpha2(gamma), gaussian.sigma2(gamma)
        return a2, s2, a2 * S**2 + s2

    def loss(gamma, x2):
        a2, s2, v = at(gamma)
        k = math.sqrt(a2) * S**2 / v
        return 0.5 * a2 / s2 * ((1 - k * math.sqrt(a2)) ** 2 * x2 + k**2 * s2)

    for i, (t, row) in enumerate(zip(TIMES, found["over_t"][1:], strict=True)):
        mine, gamma = x2[i::4].mean(), gaussian.GAMMA_0 + t * gaussian.SLOPE
        a2, s2, v = at(gamma)
        v = v / end
        flow = 0.5 * ((a2 * mine + s2) / v - 1 - math.log(s2 / v)) / math.log(2)
        a2, s2, _ = at(gaussian.GAMMA_1)
        latent = 0.5 * (a2 * mine + s2 - 1 - math.log(s2))
        bound = (latent + quad(loss, gamma, gaussian.GAMMA_1, args=(mine,))[0]) / math.log(2)
        assert (row["t"], row["images"]) == (t, 100)
        # log N(eps) / N(z; v) of a dimension has a standard deviation of about 1 bit
        assert row["ode"] == pytest.approx(flow, abs=4 / x2[i::4].size ** 0.5 / 16**0.5)
        assert row["bound"] == pytest.approx(bound, rel=0.02)


def test_too_many_dimensions_for_a_trace():
    with pytest.raises(UserError, match=rf"--probes: .* 289 dimensions .* {EXACT_TRACE} .*; give --probes"):
        measured(images_of(2, side=17))


def test_a_solver_that_does_not_arrive():
    model = gaussian.gaussian_model(S, Identity())
    model.denoiser.forward = lambda z, gamma, keys=None: z.square() * 1e6
    with pytest.raises(UserError, match=r"^--tolerance: .*; take a larger one, or --steps$"):
        measured(images_of(2), model, tolerance=1e-4, steps=None)
