"""How often intervals and tests are right, over simulated studies: the table of docs/verification.md, as Markdown.

`python benchmarks/coverage.py` takes a minute or two.
"""

from collections.abc import Callable, Iterator

import numpy as np

from diffenc.statistics import tost, welch
from diffenc.statistics.by_seed import compare_seeds
from diffenc.statistics.crossed import crossed

STUDIES = 10_000
Draw = Callable[[np.random.Generator], bool]


def seeds(rng: np.random.Generator, n: int, mean: float = 0.0, spread: float = 1.0) -> np.ndarray:
    """A model's values by seed."""
    return rng.normal(mean, spread, n)


def paired(rng: np.random.Generator, n: int, shared: float) -> tuple[np.ndarray, np.ndarray]:
    """Two models' values of the same seeds, that share so much of their variance."""
    common = rng.normal(0, shared**0.5, n)
    return tuple(common + rng.normal(0, (1 - shared) ** 0.5, n) for _ in range(2))


def on_images(rng: np.random.Generator, S: int, N: int, sd: tuple[float, float, float, float]) -> np.ndarray:
    """Differences (S, 2, N) with standard deviations of seeds, images, noise, and both."""
    of_seed, of_image, of_noise, of_both = sd
    shape = (S, 2, N)
    found = of_seed * rng.normal(size=(S, 1, 1)) + of_image * rng.normal(size=(1, 1, N))
    return found + of_noise * rng.normal(size=(1, 2, N)) + of_both * rng.normal(size=shape)


def _covers(interval: tuple[float, float]) -> bool:
    return interval[0] <= 0 <= interval[1]


def cases() -> Iterator[tuple[str, str, float, Draw]]:
    """(what, case, nominal share, one study's outcome)."""
    for n in (3, 5):
        yield (
            "Welch, 95 % interval",
            f"n = {n}, spreads 1 and 2",
            0.95,
            lambda rng, n=n: _covers(welch(seeds(rng, n), seeds(rng, n, spread=2.0)).ci95),
        )
        yield (
            "TOST claims equivalence at the margin",
            f"n = {n}, margin 5 spreads",
            0.05,
            lambda rng, n=n: tost(seeds(rng, n, 5.0), seeds(rng, n), 5.0).p < 0.05,
        )
    yield (
        "paired by seed, 95 % interval",
        "n = 3, correlation 0.8",
        0.95,
        lambda rng: _covers(compare_seeds(*paired(rng, 3, 0.8)).ci95),
    )
    yield (
        "sign flip, p at most 0.0625",
        "n = 4, correlation 0.8",
        0.0625,
        lambda rng: compare_seeds(*paired(rng, 4, 0.8)).p_flip <= 0.0625,
    )
    for S, N, sd in (
        (3, 100, (1.0, 0.0, 0.0, 1.0)),
        (3, 100, (0.0, 1.0, 1.0, 0.0)),
        (3, 100, (0.1, 1.0, 1.0, 1.0)),
        (6, 200, (0.1, 1.0, 1.0, 1.0)),
    ):
        words = ", ".join(f"{value:g}" for value in sd)
        yield (
            "crossed, 95 % interval",
            f"{S} seeds, {N} images; spreads of seeds, images, noise, both: {words}",
            0.95,
            lambda rng, S=S, N=N, sd=sd: _covers(crossed(on_images(rng, S, N, sd)).ci95),
        )


def share(outcome: Draw, studies: int = STUDIES) -> float:
    """Of so many studies, in how many it came about."""
    rng = np.random.default_rng(0)
    return sum(bool(outcome(rng)) for _ in range(studies)) / studies


if __name__ == "__main__":
    print("| what | studies | nominal | found |\n| --- | --- | --- | --- |")
    for what, case, nominal, outcome in cases():
        print(f"| {what} | {case} | {nominal:g} | {share(outcome):.4f} |", flush=True)
