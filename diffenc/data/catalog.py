"""The data sets' facts: shape, levels and counts. `diffenc.data` fetches them; everything else reads this."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DatasetSpec:
    """What a data set must look like once prepared.

    `batch` is the paper's, and its evaluation's; `wide` says whether its large models are twice as wide there.
    `smaller` names the data set whose images these are, averaged to `side`.
    """

    title: str
    channels: int
    side: int
    levels: int
    train: int
    test: int
    batch: int
    release: str
    wide: bool = False
    smaller: str | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one image."""
        return self.channels, self.side, self.side

    @property
    def dimensions(self) -> int:
        """Number of dimensions d of one image: bits per dimension divide by it."""
        return self.channels * self.side * self.side


_NEW = "new: down-sampled ILSVRC 2012, 50,000 validation images"
_OLD = "old: one PNG an image, 49,999 validation images"
DATASETS = {
    "digits": DatasetSpec("Digits", 1, 8, 17, 1497, 300, 128, "scikit-learn's copy of the UCI test set"),
    "mnist": DatasetSpec("MNIST", 1, 28, 256, 60_000, 10_000, 128, "original IDX files"),
    "fashion_mnist": DatasetSpec("Fashion-MNIST", 1, 28, 256, 60_000, 10_000, 128, "original IDX files"),
    "fashion_mnist8": DatasetSpec(
        *("Fashion-MNIST, 8x8", 1, 8, 256, 60_000, 10_000, 128, "original IDX files, averaged to 8x8"),
        smaller="fashion_mnist",
    ),
    "cifar10": DatasetSpec("CIFAR-10", 3, 32, 256, 50_000, 10_000, 128, "python version, 2009"),
    "imagenet32": DatasetSpec("ImageNet32", 3, 32, 256, 1_281_167, 50_000, 256, _NEW, wide=True),
    "imagenet32_old": DatasetSpec("ImageNet32, old", 3, 32, 256, 1_281_149, 49_999, 256, _OLD, wide=True),
    "imagenet64": DatasetSpec("ImageNet64", 3, 64, 256, 1_281_167, 50_000, 256, _NEW, wide=True),
    "imagenet64_old": DatasetSpec("ImageNet64, old", 3, 64, 256, 1_281_149, 49_999, 256, _OLD, wide=True),
}


def releases(name: str) -> dict[str, str]:
    """{release: data set} of a name that two releases share: `imagenet32` has a `new` and an `old` one; else {}."""
    both = [one for one in (name, f"{name}_old") if one in DATASETS]
    return {DATASETS[one].release.partition(":")[0]: one for one in both} if len(both) == 2 else {}
