"""The models by the paper's names: MATH.md's table, and small ones of the same kind for the embedded data."""

import math
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from diffenc.data.catalog import DatasetSpec

UNETS = ("unet", "unet_mult_res")
ENCODERS = ("identity", "non_trainable", *UNETS)
# each a class of gamma_min and gamma_max; their classes need torch, and most readers of the names do not
SCHEDULES = {
    "fixed": "diffenc.models.schedules:FixedSchedule",
    "learned": "diffenc.models.schedules:LearnedSchedule",
    "monotone": "diffenc.models.schedules:MonotoneSchedule",
    "monotone_learned": "diffenc.models.schedules:MonotoneLearnedSchedule",
    "monotone_vdm": "diffenc.models.schedules:NetworkSchedule",
}
FIXED_ENDS = ("fixed", "monotone")
LINES = ("fixed", "learned")
WITHOUT_SHAPE = (*LINES, "monotone_vdm")  # that has a learning rate of its own
# multivariate processes (`diffenc.models.mdm`), and how many variables they can have
PROCESSES = {
    **{"vp": (1, 1), "cld": (2, 2), "malda": (2, 8), "alda": (3, 3)},
    **{"learned": (1, 8), "learned_full": (2, 8)},
}
TIMES = ("matched", "vp")
PIXELS, LOGITS = BOUNDS = ("pixels", "logits")
UNIVARIATE, MULTIVARIATE, DEQUANTISED = KINDS = ("univariate", "multivariate", "dequantised")
# what a univariate model does not have
OF_PROCESS = ("process", "variables", "stationary", "init", "time", "bound")
PREDICTIONS = ("v", "epsilon", "x")
# the parameters of each weighting of `diffenc.models.weightings`, which needs torch
WEIGHTINGS = {
    **dict.fromkeys(("elbo", "eps_cosine", "v_cosine", "flow_ot", "indi", "edm", "edm_monotonic"), ()),
    **{"p2": ("y",), "min_snr": ("y", "cosine"), "soft_min_snr": ("y", "cosine"), "sigmoid": ("k",)},
}
FALLING = ("eps_cosine", "edm", "p2")  # not monotone; nor are these, unless their `cosine` is false
FALLING_WITH_COSINE = ("min_snr", "soft_min_snr")


@dataclass(frozen=True)
class ModelConfig:
    """A model's shape; `layers` is the L and `width` the n of MATH.md, `blocks` the encoder's m.

    `encoder` is one of ENCODERS, the name of an installed one (`diffenc.zoo.plugins`), or "module:Class"; `options`
    are such a class's.

    A multivariate model has a `process` of so many `variables` a dimension, the auxiliary ones with variance `init`
    at tau = 0 and `stationary` in the end; a `time`, matched or vp; and a `bound`, on pixels, or the MDM paper's, on
    dequantised logits. Its network predicts all epsilons of the state, or v or x from what the state knows of x.
    """

    prediction: str
    layers: int
    width: int
    encoder: str = "identity"
    blocks: int = 0
    encoder_width: int = 64
    encoder_groups: int = 16
    gamma_min: float = -13.3
    gamma_max: float = 5.0
    options: dict[str, Any] = field(default_factory=dict)
    process: str | None = None
    variables: int = 1
    stationary: float = 1.0
    init: float = 0.01
    time: str = "matched"
    bound: str = PIXELS

    @property
    def more_channels(self) -> int:
        """Of the denoiser's input, for an image's."""
        return self.variables - 1

    @property
    def outputs(self) -> int:
        """Of the denoiser, for a channel of an image."""
        return self.variables if self.prediction == "epsilon" else 1

    @property
    def kind(self) -> str:
        """One of KINDS, on which it depends what can be measured."""
        if not self.process:
            return UNIVARIATE
        return DEQUANTISED if self.bound == LOGITS else MULTIVARIATE

    @property
    def has_formula(self) -> bool:
        """Whether its FLOPs are known from its shape."""
        return self.encoder in ENCODERS

    def record(self) -> dict[str, Any]:
        """As a run's configuration keeps it: options only where there are some, a process's likewise."""
        absent = {"options": not self.options, **dict.fromkeys(OF_PROCESS, not self.process)}
        return {name: value for name, value in asdict(self).items() if not absent.get(name)}


_SMALL = ModelConfig("v", layers=8, width=128)
_LARGE = ModelConfig("v", layers=32, width=128)
_TINY = ModelConfig("v", layers=2, width=32, encoder_width=32)
_MULTIVARIATE = (
    *(("VP", "vp", 1), ("CLD", "cld", 2), ("MALDA", "malda", 3), ("ALDA", "alda", 3)),
    *((f"learned{variables}", "learned", variables) for variables in (1, 2, 3)),
)
MODELS = {
    "VDM-8": replace(_SMALL, prediction="epsilon"),
    "VDMv-8": _SMALL,
    "DiffEnc-8-nt": replace(_SMALL, encoder="non_trainable"),
    "DiffEnc-8-2": replace(_SMALL, encoder="unet", blocks=2),
    "DiffEnc-8-4": replace(_SMALL, encoder="unet_mult_res", blocks=4),
    "VDMv-32": _LARGE,
    # VDM's own: 32 layers on CIFAR-10 and ImageNet32, 64 on ImageNet64
    "VDM-32": replace(_LARGE, prediction="epsilon"),
    "VDM-64": replace(_LARGE, prediction="epsilon", layers=64),
    "DiffEnc-32-nt": replace(_LARGE, encoder="non_trainable"),
    "DiffEnc-32-2": replace(_LARGE, encoder="unet", blocks=2),
    "DiffEnc-32-4": replace(_LARGE, encoder="unet_mult_res", blocks=4),
    "DiffEnc-32-8": replace(_LARGE, encoder="unet_mult_res", blocks=8),
    # about as many parameters as DiffEnc-8-2 and DiffEnc-32-4 (1 % fewer), DiffEnc-2-1 (5 %), in the denoiser alone
    "VDMv-10": replace(_SMALL, layers=10),
    "VDMv-35": replace(_LARGE, layers=35),
    "VDMv-4": replace(_TINY, layers=4),
    "VDM-2": replace(_TINY, prediction="epsilon"),
    "VDMv-2": _TINY,
    **{
        f"MDM-{name}-{shape.layers}": replace(shape, prediction="epsilon", process=process, variables=variables)
        for shape in (_TINY, _SMALL)
        for name, process, variables in _MULTIVARIATE
    },
    "DiffEnc-2-nt": replace(_TINY, encoder="non_trainable"),
    "DiffEnc-2-1": replace(_TINY, encoder="unet", blocks=1),
    "DiffEnc-2-2": replace(_TINY, encoder="unet_mult_res", blocks=2),
}


def model_config(name: str, spec: DatasetSpec) -> ModelConfig:
    """The shape of the zoo's model `name` on a data set."""
    return adapted(MODELS[name], spec)


def adapted(config: ModelConfig, spec: DatasetSpec) -> ModelConfig:
    """A model's shape on a data set.

    The paper's large models are twice as wide on ImageNet32. With fewer levels than 256, gamma_min rises, so that
    the noise at t = 0 is the same fraction of the distance between two levels.
    """
    coarser = 2 * math.log(256 / spec.levels) if config.bound == PIXELS else 0.0
    gamma_min = round(config.gamma_min + coarser, 1 if coarser else 3)
    wide = spec.wide and config.layers >= _LARGE.layers
    return replace(config, gamma_min=gamma_min, width=256 if wide else config.width)


def stages(kind: str, blocks: int, side: int) -> tuple[int, int]:
    """How the encoder spreads its m blocks: (resolutions, blocks a resolution).

    `unet` has one block a resolution. `unet_mult_res` stops halving at 8 x 8 or at an odd side and shares its
    blocks over the resolutions that are left.
    """
    if kind == "unet_mult_res":
        for depth in range(1, blocks):
            below = side / 2**depth
            if below <= 8 or below % 2 == 1:
                return depth, blocks // depth
    return blocks, 1
