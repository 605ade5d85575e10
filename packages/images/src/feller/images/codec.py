"""The codec of images: bytes 0 ... 255 against numbers in [-1, 1], or against tokens.

Raw images are `uint8 (b, h, w, c)`, as files and plots have them; states are `float32 (b, c, h,
w)`, as networks want them, or grey levels `int64 (b, c, h, w)`, which are the tokens of chains.
"""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int, Shaped, UInt8
from torch import Tensor

from feller.core import random
from feller.core.checks import check_sizes
from feller.core.codec import Codec
from feller.core.config import tagged
from feller.core.typing import Rng

__all__ = ["ImageCodec"]


@tagged("image_codec")
@dataclass(frozen=True)
class ImageCodec(Codec):
    """Images of one size, with labels.

    Attributes:
        shape: Channels, height, width.
        classes: The names of the labels; empty for images without.
        flip: Whether training mirrors half of the images left to right.
        levels: Grey levels, up to 256, if pixels are tokens; 0 for continuous pixels.
        numbers: The names of numeric conditions, instead of classes.
        means: Their means in the data; the network is shown (number - mean) / std.
        stds: Their standard deviations.

    Example:
        >>> codec = ImageCodec((1, 2, 2))
        >>> z, _ = codec.encode((torch.full((1, 2, 2, 1), 200, dtype=torch.uint8), None))
        >>> codec.decode(z).unique()
        tensor([200], dtype=torch.uint8)
    """

    shape: tuple[int, int, int]
    classes: tuple[str, ...] = ()
    flip: bool = False
    levels: int = 0
    numbers: tuple[str, ...] = ()
    means: tuple[float, ...] = ()
    stds: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Reject images of no size or one level, and classes whose names are the same."""
        check_sizes(self, "shape")
        if self.levels and not 2 <= self.levels <= 256:
            raise ValueError(f"levels are 2 ... 256, or 0 for numbers, not {self.levels}")
        _check_apart(self.classes)
        if self.classes and self.numbers:
            raise ValueError("a condition is a class or numbers: give classes or numbers")
        if (
            not len(self.numbers) == len(self.means) == len(self.stds)
            or min(self.stds, default=1) <= 0
        ):
            raise ValueError("each number of a condition has a mean, and a std above 0")

    def encode(
        self, raw: Sequence[Any], rng: Rng = None
    ) -> tuple[Shaped[Tensor, "b c h w"], Int[Tensor, " b"] | Float[Tensor, "b n"] | None]:
        """Map bytes to [-1, 1], or to levels; flip at random where asked and an rng is given.

        Args:
            raw: The images uint8 `(b, h, w, c)` and their labels `(b,)`, numbers `(b, n)` or None,
                and the names that these number, a line each, where they are not the codec's own; a
                tuple, or the list that torch's `DataLoader` makes of it.
            rng: Chooses what is flipped.

        Raises:
            ValueError: When the images are not of the codec's size, or a label has no class.
        """
        images, labels, *names = raw
        x = self._scale(images)
        if self.flip and rng is not None:
            mirrored = random.uniform((len(x),), rng, like=x.new_empty(0).float()) < 0.5
            x = torch.where(mirrored[:, None, None, None], x.flip(-1), x)
        if labels is not None and self.numbers:
            return x, self.scaled(labels)
        if not self.classes or labels is None:
            return x, None
        return x, self.numbered(labels, *names)

    def decode(self, z: Shaped[Tensor, "b c h w"]) -> UInt8[Tensor, "b h w c"]:
        """Return round(127.5 x + 127.5), clipped to bytes, or the bytes of levels."""
        if self.levels:
            z = z * (2 / (self.levels - 1)) - 1
        pixels = (127.5 * z + 127.5).round().clamp(0, 255).to(torch.uint8)
        return rearrange(pixels, "b c h w -> b h w c").contiguous()

    def scaled(self, numbers: Tensor) -> Float[Tensor, "b n"]:
        """Return the numbers of conditions as the network is shown them.

        Raises:
            ValueError: When they are not numbers, or not as many.
        """
        if not numbers.is_floating_point() or numbers.shape[1:] != (len(self.numbers),):
            raise ValueError(
                f"the model takes the numbers {', '.join(self.numbers)}: name the columns of the "
                f"data by --data.conditions"
            )
        means, stds = (numbers.new_tensor(values) for values in (self.means, self.stds))
        return (numbers - means) / stds

    def example(self, n: int) -> tuple[Shaped[Tensor, "b c h w"], Tensor | None]:
        """Return `n` images, all gray or all of the lowest level, of the first class."""
        dtype = torch.int64 if self.levels else torch.float32
        labels = torch.zeros(n, dtype=torch.int64) if self.classes else None
        labels = torch.zeros(n, len(self.numbers)) if self.numbers else labels
        return torch.zeros(n, *self.shape, dtype=dtype), labels

    def drop(self, condition: Tensor, where: Bool[Tensor, " b"]) -> Tensor:
        """Replace labels by the null label, the number of classes, and rows of numbers by NaN."""
        if condition.is_floating_point():
            return condition.masked_fill(where[:, None], torch.nan)
        return condition.masked_fill(where, len(self.classes))

    def label(self, name: object) -> int:
        """Return the label of a class, by name or number; a whole number is never a name.

        Raises:
            ValueError: When there is no such class.
        """
        names, word = [_folded(c) for c in self.classes], str(name)
        whole = isinstance(name, Integral)
        # Where classes are called 1, 2, 3, the word 0 is none of them.
        number = whole or not "".join(self.classes).isdecimal()
        if not whole and _folded(word) in names:
            return names.index(_folded(word))
        if number and word.isdecimal() and int(word) < len(self.classes):
            return int(word)
        known = [f"{i} {c}" if number else c for i, c in enumerate(self.classes)]
        raise ValueError(f"unknown label {word!r}; there are {', '.join(known) or 'none'}")

    def numbered(self, labels: Int[Tensor, " b"], names: str | None = None) -> Int[Tensor, " b"]:
        """Return the codec's numbers of labels that may number other names, as those of folders do.

        Args:
            labels: Numbers of names; those on an accelerator are not looked at.
            names: All of them, a line each; nothing where the images have no labels; None where
                they are the codec's own.

        Raises:
            ValueError: When a label has no class, a name is none of the codec's classes, or images
                without labels are not all of one class.
        """
        if names is None:
            return self._checked(labels)
        if not names:
            if len(self.classes) > 1:
                raise ValueError(
                    f"the images have no labels, the model has classes {', '.join(self.classes)}: "
                    "give each class a folder, or name no classes (--model.codec.classes "
                    "--model.network.num-classes 0)"
                )
            return self._checked(labels)
        known, given = [_folded(c) for c in self.classes], names.split("\n")
        _check_apart(given)
        strange = [name for name in given if _folded(name) not in known]
        if strange:
            raise ValueError(
                f"folders are named {', '.join(strange[:5])}, the classes of the model "
                f"{', '.join(self.classes)}: give --model.codec.classes {' '.join(given[:5])}"
                f"{' ...' if len(given) > 5 else ''} --model.network.num-classes {len(given)}"
            )
        numbers = torch.tensor([known.index(_folded(name)) for name in given])
        return self._checked(numbers.to(labels.device)[labels])

    def check_data(self, data: Any) -> str:
        """Reject labels without a class; return which classes have no image.

        Raises:
            ValueError: When a label, or a folder, has no class.
        """
        labels = getattr(data, "labels", None)
        if not self.classes or labels is None or not getattr(data, "labelled", True):
            return ""
        names = getattr(data, "classes", None)
        if names is not None and not names:
            return ""
        numbered = self.numbered(labels, *(["\n".join(names)] if names else []))
        found = numbered.unique().tolist()
        missing = [name for i, name in enumerate(self.classes) if i not in found]
        if not missing:
            return ""
        some = ", ".join(missing[:5]) + ", ..." * (len(missing) > 5)
        return f"no image has the class {some}: nothing trains what is drawn with that label"

    def _scale(self, images: UInt8[Tensor, "b h w c"]) -> Shaped[Tensor, "b c h w"]:
        if images.dtype != torch.uint8:
            raise ValueError(f"images are bytes 0 ... 255 (torch.uint8), these {images.dtype}")
        x = rearrange(images, "b h w c -> b c h w").float()
        x = (x * ((self.levels - 1) / 255)).round().long() if self.levels else x / 127.5 - 1
        if x.shape[1:] != self.shape:
            raise ValueError(f"images are (c, h, w) = {self.shape}, these {tuple(x.shape[1:])}")
        return x

    def _checked(self, labels: Int[Tensor, " b"]) -> Int[Tensor, " b"]:
        """Return labels, which have a class each."""
        # A label one too high would train as the null label without a word. Looking at labels on an
        # accelerator would wait for it in every step.
        if labels.device.type == "cpu" and labels.numel():
            for label in (int(labels.min()), int(labels.max())):
                if not 0 <= label < len(self.classes):
                    raise ValueError(
                        f"label {label} has no class: the codec names {len(self.classes)}"
                    )
        return labels


def _folded(name: str) -> str:
    """Return a name without case, its accents in one form: systems write either."""
    return unicodedata.normalize("NFC", name).lower()


def _check_apart(names: Sequence[str]) -> None:
    """Reject names that are one without case: their images would be one class."""
    name, count = Counter(map(_folded, names)).most_common(1)[0] if names else ("", 1)
    if count > 1:
        alike = ", ".join(repr(other) for other in names if _folded(other) == name)
        raise ValueError(f"classes differ by more than case, and {alike} do not: rename them")
