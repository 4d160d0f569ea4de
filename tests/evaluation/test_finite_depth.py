"""Finite depth against closed forms for Gaussian data, against Monte Carlo, and against continuous time."""

import json
import math

import numpy as np
import pytest
import torch
from gaussian import GAMMA_0, GAMMA_1, SLOPE, D, diffusion_term, draw, gaussian_model, randomised
from scipy import stats
from torch import nn

from diffenc.data.catalog import DATASETS
from diffenc.evaluation.elbo import evaluate, summarise
from diffenc.evaluation.finite_depth import finite_depth
from diffenc.io.errors import UserError
from diffenc.models.diffusion import Diffusion
from diffenc.models.encoders import Identity, NonTrainable, Trainable
from diffenc.models.finite_depth import around, best_ratios, kl, posterior_error, step_numbers
from diffenc.models.schedules import FixedSchedule, LearnedSchedule
from diffenc.results.finite_depth import read, read_alike
from diffenc.study.settings import Depth, Evaluation
from diffenc.zoo.build import build

CPU = torch.device("cpu")
DEPTHS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]
RATIOS = [0.5, 0.9, 1.1, 2.0]
BPD = 1 / math.log(2)  # nats a dimension -> bits a dimension
# pixels that take all 256 values equally often have this second moment, which is all that a linear denoiser sees
S = math.sqrt((1 - 256**-2) / 3)


def asked(**changes):
    settings = {"depths": DEPTHS, "ratios": RATIOS, "passes": 8, "images": 10_000, "seed": 0}
    return Depth(**settings | changes)


def variances(gamma):
    """alpha^2 and sigma^2."""
    return 1 / (1 + np.exp(gamma)), 1 / (1 + np.exp(-gamma))


def times(i, T):
    """gamma_s and gamma_t of step i."""
    return GAMMA_0 + SLOPE * (i - 1) / T, GAMMA_0 + SLOPE * i / T


def posterior(i, T, x_s, x_t, z_t):
    """q(z_s | z_t, x) by conditioning the joint Gaussian of (z_s, z_t) given x."""
    (a2s, s2s), (a2t, s2t) = map(variances, times(i, T))
    covariance = np.sqrt(a2t / a2s) * s2s
    mean = np.sqrt(a2s) * x_s + covariance / s2t * (z_t - np.sqrt(a2t) * x_t)
    return mean, s2s - covariance**2 / s2t


def exact_q(s, encoded, T):
    """E||mu_P - mu_Q||^2 / (d sigma_Q^2) of all steps, for data of variance s^2 and its linear optimal denoiser."""
    i = np.arange(1, T + 1)
    gamma_s, gamma_t = times(i, T)
    (a2s, _), (a2t, s2t) = variances(gamma_s), variances(gamma_t)
    f_s, f_t = (a2s, a2t) if encoded else (1, 1)
    x_hat = np.sqrt(a2t) * (f_t * s) ** 2 / (a2t * (f_t * s) ** 2 + s2t)  # times z_t
    from_z = np.sqrt(a2s / a2t) * np.exp(gamma_s - gamma_t) + np.sqrt(a2s) * (1 - np.exp(gamma_s - gamma_t)) * x_hat
    if encoded:
        from_z -= np.sqrt(a2s) * (gamma_s - gamma_t) * s2t * x_hat
    from_x, variance = posterior(i, T, f_s, f_t, np.sqrt(a2t) * f_t)  # x = 1, eps = 0
    from_eps, _ = posterior(i, T, 0, 0, np.sqrt(s2t))  # x = 0, eps = 1
    in_x, in_eps = from_x - from_z * np.sqrt(a2t) * f_t, from_eps - from_z * np.sqrt(s2t)
    return (in_x**2 * s**2 + in_eps**2) / variance


class Small(nn.Module):
    """A network with everything that matters: it mixes pixels and depends on gamma, and costs nothing."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 3, padding=1)

    def forward(self, x, gamma, keys=None, tangents=0):
        x = torch.cat([x] * (len(gamma) // len(x)))

        def net(gamma):
            return torch.tanh(self.conv(x)) * (1 + 0.3 * torch.sin(0.7 * gamma))[:, None, None, None]

        if not tangents:
            return net(gamma)
        values, all_tangents = torch.func.jvp(net, (gamma,), (torch.ones_like(gamma),))
        return torch.cat([values, all_tangents[-tangents:]])


def small_model(encoder, prediction="v", schedule=FixedSchedule):
    torch.manual_seed(1)
    encoders = {"none": Identity, "non-trainable": NonTrainable, "trainable": lambda: Trainable(Small())}
    return Diffusion(schedule(GAMMA_0, GAMMA_1), encoders[encoder](), Small(), 256, prediction).double()


def inputs(count, same=False, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x, eps = (torch.randn(count, 2, 4, 4, generator=generator, dtype=torch.float64) for _ in range(2))
    return (0.5 * x[:1].expand_as(x) if same else 0.5 * x), eps


def of_steps(model, x, steps, T, eps):
    return posterior_error(model, x, *around(model.schedule, steps, T), eps)


def encoded(model, x, i, T):
    """x_s and x_t."""
    return [model.encode(x, torch.full((len(x),), gamma, dtype=x.dtype)) for gamma in times(i, T)]


ENCODERS = pytest.mark.parametrize("encoder", ["none", "non-trainable", "trainable"])


@ENCODERS
@pytest.mark.parametrize("prediction", ["v", "epsilon"])
@torch.no_grad()
def test_the_difference_is_from_step_mean_to_the_conditioned_joint_gaussian(encoder, prediction):
    model, T, (x, eps) = small_model(encoder, prediction, LearnedSchedule), 4, inputs(3)
    for i in range(1, T + 1):
        x_s, x_t = encoded(model, x, i, T)
        a2, s2 = variances(times(i, T)[1])
        z_t = math.sqrt(a2) * x_t + math.sqrt(s2) * eps
        mean, variance = posterior(i, T, x_s, x_t, z_t)
        ours, ours_variance = of_steps(model, x, torch.full((3,), i), T, eps)
        expected = mean - model.step_mean(z_t, (i - 1) / T, i / T)
        # the schedule's ends are float32's
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-6 * expected.abs().max().item())
        torch.testing.assert_close(ours_variance, torch.full((3,), variance).double(), rtol=1e-5, atol=0)


@ENCODERS
@pytest.mark.parametrize("i", [1, 4, 6])
@torch.no_grad()
def test_the_kl_is_the_mean_of_the_log_ratio(encoder, i):
    """z_s and z_t forwards in time; q(z_s | z_t, x) by Bayes' rule from the marginals, p from the sampler's mean."""
    model, T, count = small_model(encoder), 6, 4000
    x, noise_t = inputs(count, same=True)
    _, noise_s = inputs(count, seed=1)
    x_s, x_t = encoded(model, x, i, T)
    (a2s, s2s), (a2t, s2t) = map(variances, times(i, T))
    kept, fresh = math.sqrt(a2t / a2s), math.sqrt(s2t - a2t / a2s * s2s)
    z_s = math.sqrt(a2s) * x_s + math.sqrt(s2s) * noise_s
    moved = kept * z_s + math.sqrt(a2t) * (x_t - x_s)
    z_t = moved + fresh * noise_t

    def log_density(z, mean, spread):
        return stats.norm.logpdf(z.numpy(), mean.numpy(), spread).sum((1, 2, 3))

    log_q = log_density(z_s, math.sqrt(a2s) * x_s, math.sqrt(s2s)) + log_density(z_t, moved, fresh)
    log_q -= log_density(z_t, math.sqrt(a2t) * x_t, math.sqrt(s2t))
    eps = (z_t - math.sqrt(a2t) * x_t) / math.sqrt(s2t)
    difference, variance = of_steps(model, x, torch.full((count,), i), T, eps)
    q = (difference.square().mean((1, 2, 3)) / variance).numpy()
    sigma_q = math.sqrt(s2s) * fresh / math.sqrt(s2t)
    for w in (1.0, 0.6, 1.5):
        log_p = log_density(z_s, model.step_mean(z_t, (i - 1) / T, i / T), sigma_q / math.sqrt(w))
        surplus = log_q - log_p - kl(w, q) / BPD * x[0].numel()
        error = surplus.std() / math.sqrt(count)
        assert abs(surplus.mean()) < 4 * error
        assert error < 0.03 * (log_q - log_p).mean()


@ENCODERS
@pytest.mark.parametrize("prediction", ["v", "epsilon"])
@torch.no_grad()
def test_many_steps_are_continuous_time(encoder, prediction):
    model, (x, eps) = small_model(encoder, prediction), inputs(4)

    def error(T):
        steps = torch.tensor([T // 20, T // 4, T // 2, T])
        difference, variance = of_steps(model, x, steps, T, eps)
        finite = T / 2 * difference.square().sum((1, 2, 3)) / variance
        return finite / diffusion_term(model, x, steps / T, eps) - 1

    assert error(10**7).abs().max() < 1e-5
    torch.testing.assert_close(error(2000) / error(1000), torch.full((4,), 0.5).double(), rtol=0.02, atol=0)


@pytest.mark.parametrize("name", ["VDMv-2", "DiffEnc-2-nt", "DiffEnc-2-1"])
@torch.no_grad()
def test_float32_loses_nothing_in_short_steps(name):
    model = randomised(build(name, DATASETS["digits"], "fixed"))
    generator = torch.Generator().manual_seed(0)
    x, eps = (torch.randn(6, 1, 8, 8, generator=generator) for _ in range(2))
    steps = torch.tensor([1, 2, 100, 500, 900, 1000])
    single = of_steps(model, x / 2, steps, 1000, eps)[0]
    double = of_steps(model.double(), x.double() / 2, steps, 1000, eps.double())[0]
    lost = (single - double).flatten(1).norm(dim=1) / double.flatten(1).norm(dim=1)
    assert single.dtype == torch.float64
    # y_s - y_t is a difference of float32 numbers, but a small part of the whole
    assert lost.max() < (1e-4 if name == "DiffEnc-2-1" else 1e-5)


@pytest.mark.parametrize("s", [0.3, 2.5])
@pytest.mark.parametrize("encoder", [Identity(), NonTrainable()])
@torch.no_grad()
def test_every_step_of_gaussian_data(encoder, s):
    T, count = 8, 3000
    x, _, eps = draw(s, count)
    for i, expected in enumerate(exact_q(s, isinstance(encoder, NonTrainable), T), start=1):
        difference, variance = of_steps(gaussian_model(s, encoder), x, torch.full((count,), i), T, eps)
        q = difference.square().mean((1, 2, 3)) / variance
        assert q.mean().item() == pytest.approx(expected, rel=4 * math.sqrt(2 / D / count))


@pytest.fixture(scope="module")
def pixels():
    """Every value of a pixel equally often."""
    values = np.repeat(np.arange(256), 2000 * D // 256)
    return np.random.default_rng(0).permutation(values).reshape(2000, 1, 4, 4).astype(np.uint8)


KINDS = [
    (Identity(), "v", FixedSchedule),
    (NonTrainable(), "v", FixedSchedule),
    (NonTrainable(), "epsilon", LearnedSchedule),
]


@pytest.fixture(scope="module", params=KINDS, ids=["VDM", "non-trainable", "epsilon, learned"])
def found(request, pixels):
    encoder, prediction, schedule = request.param
    model = gaussian_model(S, encoder, prediction, schedule)
    return isinstance(encoder, NonTrainable), finite_depth(model, pixels, asked(), 500, CPU)


def bounds(result, name, term="diffusion", part="mean"):
    return np.array([depth["bounds"][name][term][part] for depth in result["depths"]])


def test_bounds_are_the_exact_sums_of_kls(found):
    encoded, result = found
    exact = [exact_q(S, encoded, T) for T in DEPTHS]
    for name, expected in (
        ("sigma_Q", [q.sum() for q in exact]),
        ("best", [np.log1p(q).sum() for q in exact]),
        ("w=0.5", [(0.5 - 1 - math.log(0.5) + 0.5 * q).sum() for q in exact]),
    ):
        expected = BPD / 2 * np.array(expected)
        ours, error = bounds(result, name), bounds(result, name, part="mc_se")
        # fitted ratios are not quite the best ones
        assert (np.abs(ours - expected) < 5 * error + (name == "best") * 0.004 * expected).all(), name
        assert (error < 0.01 * expected).all()


def test_the_best_ratio_is_never_worse_and_both_become_continuous(found):
    _, result = found
    ours, best = bounds(result, "sigma_Q"), bounds(result, "best")
    assert (best < ours).all()
    excess, best_excess = bounds(result, "sigma_Q", "excess"), bounds(result, "best", "excess")
    assert (excess > 0).all()
    assert (np.diff(excess) < 0).all()
    T = np.array(DEPTHS)
    np.testing.assert_allclose((T * excess)[-3:] / (T * excess)[-1], 1, atol=0.05)
    assert np.abs(best_excess[-1]) < 0.15 * excess[-1]
    continuous = result["continuous"]
    assert excess[-1] == pytest.approx(ours[-1] - continuous["diffusion"]["mean"], abs=1e-9)
    total = continuous["diffusion"]["mean"] + continuous["latent"]["mean"] + continuous["reconstruction"]["mean"]
    assert bounds(result, "best", "total")[-1] == pytest.approx(total + best_excess[-1], abs=1e-9)


def test_exactly_the_best_ratio_leaves_a_vdm_of_gaussian_data_no_excess():
    """Its p(z_s | z_t) is the data's own, at any T; so the sum is the likelihood's part between the two ends."""
    expected = math.log1p(S**2 * math.exp(-GAMMA_0)) - math.log1p(S**2 * math.exp(-GAMMA_1))
    for T in DEPTHS:
        q = exact_q(S, False, T)
        assert np.log1p(q).sum() == pytest.approx(expected, rel=1e-9)
        assert kl(1 / (1 + q), q).sum() == pytest.approx(BPD / 2 * expected, rel=1e-9)


def test_other_ratios_diverge_linearly(found):
    _, result = found
    T, equal = np.array(DEPTHS), bounds(result, "sigma_Q")
    for w in RATIOS:
        ours, rate = bounds(result, f"w={w:g}"), BPD / 2 * (w - 1 - math.log(w))
        np.testing.assert_allclose(ours - equal, rate * T + (w - 1) * equal, rtol=1e-9)
        slope = (ours[-1] - ours[-2]) / (T[-1] - T[-2])
        assert slope == pytest.approx(rate, rel=0.06)


def test_the_best_ratio_goes_to_one(found):
    encoded, result = found
    for depth in result["depths"]:
        q = exact_q(S, encoded, depth["T"])
        t = np.arange(1, depth["T"] + 1) / depth["T"]
        for row in depth["ratio"]:
            assert row["w"] == pytest.approx(1 / (1 + np.interp(row["t"], t, q)), rel=0.15)
    assert min(row["w"] for row in result["depths"][-1]["ratio"]) > 0.97
    assert [row["t"] for row in result["depths"][3]["ratio"]] == pytest.approx(np.arange(1, 11) / 10)
    assert all(sum(row["n"] for row in depth["ratio"]) == 16_000 for depth in result["depths"])


@pytest.mark.parametrize("T", [1, 7, 40])
def test_fitting_on_the_other_half_is_not_optimistic_and_still_gains(T):
    """Over many repetitions with heavy tails: between the bound of the true best ratios and that of w = 1."""
    rng, q_true, lost, gained, in_sample = np.random.default_rng(T), 0.4 + 0.3 * np.sin(np.arange(T)), [], [], []
    for _ in range(1500):
        steps = step_numbers((rng.uniform() + np.arange(200) * 0.618) % 1, T)[None]
        q = q_true[steps - 1] * rng.lognormal(-0.5, 1, steps.shape)
        ratios, rows = best_ratios(q, steps, T)
        at_best = kl(1 / (1 + q_true[steps - 1]), q).mean()
        lost.append(kl(ratios, q).mean() - at_best)
        gained.append((kl(1.0, q) - kl(ratios, q)).mean())
        in_sample.append(kl(1 / (1 + q.mean()), q).mean() - at_best)
    errors = [4 * np.std(values) / math.sqrt(len(values)) for values in (lost, gained, in_sample)]
    assert len(rows) == min(T, 5)
    assert np.mean(lost) > errors[0]
    assert np.mean(gained) > errors[1] + np.mean(lost)
    if T == 1:  # what fitting on the measured images themselves would have claimed
        assert np.mean(in_sample) < -errors[2]


@pytest.mark.parametrize(("V", "helps"), [(5, True), (80, False)])
def test_the_best_ratio_helps_only_where_q_varies_less_than_a_bin_has_draws(V, helps):
    """One bin, 20 draws in either half; q is 0 but in one of 1 + V draws, so that its relative variance is V."""
    rng, gained = np.random.default_rng(V), []
    for _ in range(4000):
        q = 0.05 * (1 + V) * (rng.uniform(size=(1, 40)) < 1 / (1 + V))
        ratios, _ = best_ratios(q, np.ones((1, 40), dtype=int), 1)
        gained.append((kl(1.0, q) - kl(ratios, q)).mean())
    error = np.std(gained) / math.sqrt(len(gained))
    assert (np.mean(gained) if helps else -np.mean(gained)) > 4 * error


def test_step_numbers_are_the_ceiling():
    u = np.array([0, 1e-9, 0.0999, 0.5, 0.55, np.float32(1)])
    assert step_numbers(u, 10).tolist() == [1, 1, 1, 6, 6, 10]
    assert set(step_numbers(u, 1)) == {1}


@pytest.fixture(scope="module")
def small_images():
    return np.random.default_rng(0).integers(0, 17, (10, 1, 8, 8)).astype(np.uint8)


@pytest.fixture(scope="module")
def network():
    return randomised(build("DiffEnc-2-1", DATASETS["digits"], "fixed"))


def test_the_continuous_bound_is_the_evaluations_and_no_batch_matters(network, small_images):
    settings = asked(depths=[3, 50], passes=2, images=6, seed=4)
    whole, parts = (finite_depth(network, small_images, settings, batch, CPU) for batch in (6, 4))
    terms = evaluate(network, small_images, Evaluation(passes=2, images=6, seed=4), 6, CPU)
    assert whole["continuous"] == summarise(terms)["bpd"]
    assert (whole["images"], whole["passes"], whole["seed"]) == (6, 2, 4)
    for name in ("sigma_Q", "best", "w=2"):
        np.testing.assert_allclose(bounds(whole, name, "total"), bounds(parts, name, "total"), rtol=1e-4)


def test_one_image_and_one_pass_are_enough_to_run(network, small_images):
    result = finite_depth(network, small_images, asked(depths=[2], passes=1, images=1), 4, CPU)
    bound = result["depths"][0]["bounds"]
    assert bound["best"] == bound["sigma_Q"]  # there is no other image to fit on
    assert bound["best"]["total"]["mc_se"] is None


@pytest.fixture
def written(tmp_path, network, small_images):
    files = []
    for number, seed in enumerate((0, 0, 1)):
        files.append(tmp_path / f"{number}.json")
        settings = asked(depths=[2, 5], passes=1, images=2, seed=seed)
        files[-1].write_text(json.dumps(finite_depth(network, small_images, settings, 4, CPU)))
    return files


def test_what_is_written_is_read(written):
    record = read(written[0])
    content = json.loads(written[0].read_text())
    assert record.model_dump(exclude_unset=True) == content
    assert [record.model_dump()] * 2 == [one.model_dump() for one in read_alike(written[:2])]


def test_bad_files_are_named(written, tmp_path):
    for damage, message in (
        (lambda text: text[:100], r"0.json: is damaged, not JSON"),
        (lambda text: text.replace('"T"', '"depth"'), r"0.json: is damaged, depths\[0\].T: is missing"),
        (None, r"0.json: cannot be read"),
    ):
        text = written[1].read_text()
        written[0].write_text(damage(text)) if damage else written[0].unlink()
        with pytest.raises(UserError, match=message):
            read(written[0])
    with pytest.raises(UserError, match=r"2.json: seed is 1, in .*1.json it is 0; make it") as error:
        read_alike(written[1:])
    assert "\n" not in str(error.value)
