"""Recipes for images. Each function defines a recipe; flags change its fields.

The tiny ones train on two CPU cores in an hour or two; the CIFAR-10 ones are the published sizes,
for a GPU.
"""

from dataclasses import replace
from typing import Any

from feller.core.couplings import GivenPairs
from feller.core.heads import FlowHead, JointHead, JumpHead, PosteriorHead
from feller.core.losses import MeanFlow
from feller.core.pair_data import PairFolder
from feller.core.paths import MixturePath
from feller.core.sources import Masked
from feller.core.spaces import Tokens
from feller.core.times import Beta, LogitNormal, Skewed, Uniform, UShaped
from feller.core.training import Optimizer, Recipe, Training
from feller.images.codec import ImageCodec
from feller.images.data import ImageData
from feller.images.fitting import FittedModelConfig
from feller.images.models import ImageModelConfig
from feller.images.networks import DIT_SIZES, DiTConfig, UNetConfig
from feller.images.shapes import SHAPES
from feller.images.times import KnownPixels

__all__ = [
    "cifar10_dit_flow",
    "cifar10_flow",
    "cifar10_joint",
    "cifar10_large_joint",
    "drawn_flow",
    "fashion_flow",
    "fashion_inpaint",
    "fashion_joint",
    "fashion_jump",
    "fashion_meanflow",
    "fashion_reflow",
    "folder",
    "imagenet32_joint",
    "mnist_discrete",
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


def fashion_jump() -> Recipe:
    """Fashion-MNIST drawn by pixels that jump: the network of `fashion_flow` with a wider end."""
    return replace(_with(fashion_flow(), head=_JUMP), times=_LATE)


def fashion_joint() -> Recipe:
    """Fashion-MNIST by a flow and jumps of one network, half of each when it is simulated."""
    return _joint(fashion_flow())


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


def fashion_inpaint() -> Recipe:
    """Fashion-MNIST given some of its pixels: each has a time of its own, known ones t = 1.

    From the weights of `images/fashion-flow`. What such a model draws around a mask is drawn of the
    distribution given the known pixels, with no steps taken back.
    """
    recipe = _with(fashion_flow(), pixel_times=True)
    return replace(
        recipe,
        times=KnownPixels(),
        optimizer=replace(recipe.optimizer, lr=4e-4),
        training=replace(recipe.training, steps=3_000, start="images/fashion-flow"),
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


def mnist_discrete() -> Recipe:
    """MNIST in 16 grey levels that appear from masks: a chain of tokens, one a pixel."""
    levels = 16
    codec = ImageCodec((1, 28, 28), DIGITS, levels=levels)
    path = MixturePath(Tokens(levels + 1, event_dim=3), Masked(levels))
    model = _with(mnist_flow(), codec=codec, path=path, head=PosteriorHead(levels))
    return replace(model, times=Uniform())


def drawn_flow() -> Recipe:
    """Shapes drawn by formula: needs no data, learns in minutes."""
    recipe = _tiny(ImageCodec((1, 28, 28), SHAPES), ImageData(source="drawn"))
    return replace(recipe, training=replace(recipe.training, steps=2_000))


def folder() -> Recipe:
    """Your own images, of any size, gray or in colour, with a folder for each class or none."""
    recipe = _tiny(ImageCodec((1, 28, 28)), ImageData(source="folder", size=None))
    return replace(recipe, model=FittedModelConfig())


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


def cifar10_joint() -> Recipe:
    """CIFAR-10, class-conditional, by a flow and jumps of one small network, on two CPU cores."""
    codec = ImageCodec((3, 32, 32), CIFAR10, flip=True)
    return _joint(_tiny(codec, ImageData(source="cifar10"), channels=(64, 128)))


def cifar10_large_joint() -> Recipe:
    """CIFAR-10 by a flow and jumps of the network of `cifar10_flow`, unconditional, on one GPU.

    Generator Matching, arXiv 2410.20587, table 2, reports an FID of 2.36 for the two together by
    the mixed method, 2.94 for its flow and 4.23 for its jumps; it does not state the network.
    """
    return _joint(cifar10_flow())


def imagenet32_joint() -> Recipe:
    """ImageNet at 32 x 32 by a flow and jumps of one network, unconditional, on one GPU.

    `--data.root FILE.npz` has `train_images`. Generator Matching, arXiv 2410.20587, table 2,
    reports an FID of 3.33 for the two together; it does not state the network.
    """
    base = cifar10_large_joint()
    network = UNetConfig(
        channels=(256, 512, 512, 512),
        blocks_per_level=3,
        attention_levels=(1, 2),
        head_channels=64,
    )
    return replace(
        _with(base, network=network),
        data=ImageData(source="npz", root="imagenet32.npz"),
        optimizer=Optimizer(lr=1e-4, warmup=20_000),
        training=replace(base.training, batch_size=512, accumulate=4, mixed_precision="bf16"),
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


_JUMP = JumpHead(32, follow=True)
_LATE = Beta(1.0, 0.7)  # a rate like 1 / (1 - t) puts half of all jumps after t = .95


def _joint(base: Recipe) -> Recipe:
    """A flow and jumps of the network of a recipe."""
    return replace(_with(base, head=JointHead((FlowHead(), _JUMP), (0.5, 0.5))), times=_LATE)


def _with(recipe: Recipe, **fields: Any) -> Recipe:
    """A recipe with other fields of its model."""
    model: Any = recipe.model
    return replace(recipe, model=replace(model, **fields))


def _tiny(codec: ImageCodec, data: ImageData, channels: tuple[int, int] = (48, 96)) -> Recipe:
    """Small images in ten classes, on two CPU cores in about two hours."""
    network = UNetConfig(
        in_channels=codec.shape[0],
        out_channels=codec.shape[0],
        channels=channels,
        blocks_per_level=1,
        attention_levels=(1,),
        head_channels=channels[0] // 2,
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
