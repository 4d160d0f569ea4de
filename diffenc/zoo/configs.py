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
# multivariate processes (`diffenc.models.mdm`) and their variables
PROCESSES = {"vp": 1, "cld": 2, "malda": 3, "alda": 3}
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
    are such a class's. `process` is one of PROCESSES for a multivariate model.
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

    @property
    def variables(self) -> int:
        """Of each dimension."""
        return PROCESSES[self.process] if self.process else 1

    @property
    def has_formula(self) -> bool:
        """Whether its FLOPs are known from its shape."""
        return self.encoder in ENCODERS

    def record(self) -> dict[str, Any]:
        """As a run's configuration keeps it: options only where there are some."""
        found = asdict(self)
        return {name: value for name, value in found.items() if value or name not in ("options", "process")}


_SMALL = ModelConfig("v", layers=8, width=128)
_LARGE = ModelConfig("v", layers=32, width=128)
_TINY = ModelConfig("v", layers=2, width=32, encoder_width=32)
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
    **{f"MDM-2-{name}": replace(_TINY, prediction="epsilon", process=name) for name in PROCESSES},
    **{f"MDM-8-{name}": replace(_SMALL, prediction="epsilon", process=name) for name in PROCESSES},
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
    gamma_min = round(config.gamma_min + 2 * math.log(256 / spec.levels), 1)
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
