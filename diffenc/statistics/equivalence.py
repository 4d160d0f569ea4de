"""Two one-sided tests (TOST): whether a difference is within a margin, and how likely it is beyond it."""

import math
from dataclasses import dataclass

from scipy import special

from diffenc.statistics.welch import Data, Summary, summary_of


@dataclass(frozen=True)
class Tost:
    """Equivalence of a and b within a margin; the difference is a's mean less b's.

    Attributes:
        p: of the claim that the difference is within the margin, the larger of the next two.
        p_lower: of the claim that it is above -margin.
        p_upper: of the claim that it is below the margin.
        difference: a less b.
        ci90: two-sided 90 %; within the margin where p < 0.05.
        probability_better, probability_within, probability_worse: that the difference is below -margin, within it,
            above it, under a flat prior.
    """

    p: float
    p_lower: float
    p_upper: float
    difference: float
    ci90: tuple[float, float]
    probability_better: float
    probability_within: float
    probability_worse: float


def tost(a: Data, b: Data, margin: float) -> Tost:
    """Welch's two one-sided tests of a against b, samples or summaries (mean, se, n) as in `welch`; lower is better.

    Probabilities are those of the difference plus its standard error times Student's t with Welch's degrees of
    freedom. If neither sample varies, the difference is known: each is 0 or 1.

    Raises:
        ValueError: a margin that is not above 0, or as `welch`.
    """
    if not 0 < margin < math.inf:
        raise ValueError(f"margin: is above 0 and finite, not {margin}")
    a, b = summary_of(a, "a"), summary_of(b, "b")
    difference, se = a.mean - b.mean, math.hypot(a.se, b.se)
    if se == 0:
        better, worse = float(difference < -margin), float(difference > margin)
        p_lower, p_upper = float(difference <= -margin), float(difference >= margin)
        interval = (difference, difference)
    else:
        df = _degrees(a, b, se)
        better, above = (float(special.stdtr(df, (bound - difference) / se)) for bound in (-margin, margin))
        # P(T >= (difference + margin) / se), and P(T <= (difference - margin) / se)
        p_lower, p_upper = better, float(special.stdtr(df, (difference - margin) / se))
        worse = 1 - above if above < 0.5 else p_upper
        half = float(special.stdtrit(df, 0.95)) * se
        interval = (difference - half, difference + half)
    within = max(0.0, 1 - better - worse)
    return Tost(max(p_lower, p_upper), p_lower, p_upper, float(difference), interval, better, within, worse)


def _degrees(a: Summary, b: Summary, se: float) -> float:
    return 1 / ((a.se / se) ** 4 / (a.n - 1) + (b.se / se) ** 4 / (b.n - 1))
