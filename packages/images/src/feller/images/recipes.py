"""Recipes for images. A function is the truth; flags change its leaves.

The tiny ones train on two CPU cores in an hour or two; the CIFAR-10 ones are the published sizes,
for a GPU.
"""

from dataclasses import replace
from typing import Any

from feller.core.couplings import GivenPairs
from feller.core.losses import MeanFlow
from feller.core.pair_data import PairFolder
from feller.core.times import Beta, LogitNormal, Skewed, Uniform, UShaped
from feller.core.training import Optimizer, Recipe, Training
from feller.images.codec import ImageCodec
from feller.images.data import ImageData
from feller.images.models import ImageModelConfig
from feller.images.networks import DIT_SIZES, DiTConfig, UNetConfig
from feller.images.shapes import SHAPES

__all__ = [
    "cifar10_dit_flow",
    "cifar10_flow",
    "drawn_flow",
    "fashion_flow",
    "fashion_meanflow",
    "fashion_reflow",
    "mnist_flow",
]

DIGITS = tuple("0123456789")
GARMENTS = (
    "t-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
CIFAR10 = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)


def fashion_flow() -> Recipe:
    """Fashion-MNIST 28 x 28, class-conditional: a U-Net on 2 x 2 patches."""
    return _tiny(ImageCodec((1, 28, 28), GARMENTS), ImageData(source="fashion-mnist"))


def fashion_meanflow() -> Recipe:
    """Fashion-MNIST in one call: the average velocity, from the weights of `images/fashion-flow`.

    Geng et al., arXiv 2505.13447; from a flow that is trained, more samples have two times.
    """
    recipe = fashion_flow()
    model: Any = recipe.model
    model = replace(model, network=replace(model.network, two_times=True))
    return replace(
        recipe,
        model=model,
        objective=MeanFlow(flow_fraction=0.5, later=Beta(2.0, 1.0), distil=True),
        times=Uniform(),
        optimizer=replace(recipe.optimizer, lr=4e-4),
        training=replace(recipe.training, steps=2_500, start="images/fashion-flow"),
    )


def fashion_reflow() -> Recipe:
    """Fashion-MNIST in straighter ways: a flow trained again on its own pairs.

    They come from `feller sample images/fashion-flow --label all -n 50000 --pairs --out pairs`.
    Liu, Gong and Liu, arXiv 2209.03003; times as Lee, Lin and Fanti, arXiv 2405.20320.
    """
    recipe = fashion_flow()
    return replace(
        recipe,
        data=PairFolder("pairs"),
        coupling=GivenPairs("images/fashion-flow"),
        times=UShaped(),
        optimizer=replace(recipe.optimizer, lr=2e-4),
        training=replace(recipe.training, steps=5_000, start="images/fashion-flow"),
    )


def mnist_flow() -> Recipe:
    """MNIST 28 x 28, class-conditional."""
    return _tiny(ImageCodec((1, 28, 28), DIGITS), ImageData(source="mnist"))


def drawn_flow() -> Recipe:
    """Shapes drawn by formula: needs no data, learns in minutes."""
    recipe = _tiny(ImageCodec((1, 28, 28), SHAPES), ImageData(source="drawn"))
    return replace(recipe, training=replace(recipe.training, steps=2_000))


def cifar10_flow() -> Recipe:
    """CIFAR-10 with the 35.7M U-Net of DDPM, unconditional, on one GPU.

    Tong et al., arXiv 2302.00482, report an FID of about 3.5 with this recipe.
    """
    network = UNetConfig(
        channels=(128, 256, 256, 256),
        blocks_per_level=2,
        attention_levels=(1,),
        head_channels=64,
        dropout=0.1,
    )
    return Recipe(
        model=ImageModelConfig(network=network, codec=ImageCodec((3, 32, 32), flip=True)),
        data=ImageData(source="cifar10"),
        optimizer=Optimizer(lr=2e-4, warmup=5_000, decay="constant"),
        training=Training(
            steps=400_000,
            batch_size=128,
            ema_decay=0.9999,
            sample_every=20_000,
            checkpoint_every=10_000,
        ),
    )


def cifar10_dit_flow() -> Recipe:
    """CIFAR-10 with a DiT-S/2, class-conditional, on one GPU."""
    network = DiTConfig(patch_size=2, transformer=DIT_SIZES["S"], num_classes=10)
    codec = ImageCodec((3, 32, 32), CIFAR10, flip=True)
    base = cifar10_flow()
    return replace(
        base,
        model=ImageModelConfig(network=network, codec=codec),
        times=Skewed(),
        optimizer=Optimizer(lr=2e-4, warmup=2_500, decay="constant", weight_decay=0.03),
        training=replace(base.training, steps=1_000_000, condition_drop=0.1),
    )


def _tiny(codec: ImageCodec, data: ImageData) -> Recipe:
    """28 x 28 gray images in ten classes, on two CPU cores in about two hours."""
    network = UNetConfig(
        in_channels=1,
        out_channels=1,
        channels=(48, 96),
        blocks_per_level=1,
        attention_levels=(1,),
        head_channels=24,
        num_classes=len(codec.classes),
        patch_size=2,
        norm_groups=8,
    )
    return Recipe(
        model=ImageModelConfig(network=network, codec=codec),
        data=data,
        times=LogitNormal(),
        optimizer=Optimizer(lr=8e-4, betas=(0.9, 0.99), warmup=200),
        training=Training(steps=12_800, batch_size=64, condition_drop=0.1),
    )
