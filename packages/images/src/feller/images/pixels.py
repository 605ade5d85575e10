"""Files of images: whether one is whole, is held to what can be shown as bytes, and stands upright.

Every file is looked at before the first step, as cheaply as its format allows: at its header, and
at what marks its end. Where nothing does, its pixels are read.
"""

import io
import struct
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from feller.core.errors import DataError

__all__ = [
    "DataError", "Fit", "Header", "Reading", "opaque", "opened", "read_headers", "upright",
]  # fmt: skip

Fit = Literal["crop", "pad", "stretch"]


_TAIL = 65_536
_LAST = {"PNG": b"IEND", "JPEG": b"\xff\xd9", "JPEG2000": b"\xff\xd9"}  # at the end of a file
_PLACES = {273: 279, 324: 325}  # in a TIFF, where strips or tiles are and how long
_WIDTH = 256  # in a TIFF
_ORIENTATION, _LYING = 274, (5, 6, 7, 8)  # in EXIF: of a camera that was turned by 90 degrees

_WORDS = {
    "crop": "what sticks out of that shape cut off (or --data.fit pad, stretch)",
    "pad": "with margins to that shape",
    "stretch": "stretched to that shape",
}

# Pillow's readers of damaged files end in most of Python's errors.
_FAULTS = (
    *(ArithmeticError, AttributeError, AssertionError, EOFError, LookupError, OSError),
    *(RuntimeError, SyntaxError, TypeError, ValueError, struct.error),
)


@dataclass(frozen=True)
class Reading:
    """How a file is read.

    Attributes:
        sides: Height and width to which images are scaled.
        gray: Whether in gray.
        background: The colour behind transparent pixels and in margins, as Pillow names it.
        fit: What images of another shape are: cut, given margins or stretched.

    Raises:
        DataError: When the background is not a colour.
    """

    sides: tuple[int, int]
    gray: bool = False
    background: str = "white"
    fit: Fit = "crop"

    def __post_init__(self) -> None:
        from PIL import ImageColor

        try:
            ImageColor.getrgb(self.background)
        except ValueError:
            raise DataError(
                f"background is a colour such as white or #808080, not {self.background!r}"
            ) from None

    def read(self, file: Path | io.BytesIO) -> np.ndarray:
        """Read an image, uint8 `(h, w, c)`.

        Raises:
            DataError: When it is not one.
        """
        from PIL import ImageColor, ImageOps

        mode, sides = "L" if self.gray else "RGB", (self.sides[1], self.sides[0])
        with opened(file) as image:
            plain = opaque(upright(image), self.background).convert(mode)
            if self.fit == "crop":
                scaled = ImageOps.fit(plain, sides)
            elif self.fit == "pad":
                margin = ImageColor.getcolor(self.background, mode)
                scaled = ImageOps.pad(plain, sides, color=margin)
            else:
                scaled = plain.resize(sides)
        pixels = np.asarray(scaled)
        return pixels[..., None] if pixels.ndim == 2 else pixels

    def words(self) -> str:
        """Say what images of another shape are."""
        return _WORDS[self.fit]


@contextmanager
def opened(file: Path | io.BytesIO) -> Iterator[Any]:
    """Open an image, a file or the bytes of one with a name, for Pillow.

    Raises:
        DataError: When it is not an image, or holds values that cannot be shown as bytes; also for
            errors while it is open.
    """
    from PIL import Image

    try:
        if (
            isinstance(file, Path) and file.exists() and not file.is_file()
        ):  # opening a pipe would wait for ever
            raise ValueError("it is not a file")
        with warnings.catch_warnings():  # of sizes, which are checked, and of damaged notes
            warnings.simplefilter("ignore")
            with Image.open(file) as image:
                _check_pixels(image)
                yield image
    except DataError:
        raise
    except (MemoryError, Image.DecompressionBombError, *_FAULTS) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        where = file if isinstance(file, Path) else file.name
        raise DataError(f"{where} is not a readable image: {reason}") from None


class Header(NamedTuple):
    """What a file says of its image.

    Attributes:
        height: In pixels, as its camera was held.
        width: In pixels.
        gray: Whether it has no colours.
        frames: Whether it has several frames.
    """

    height: int
    width: int
    gray: bool
    frames: bool


def read_headers(files: Sequence[Path | io.BytesIO]) -> list[Header]:
    """Return what files say of their images.

    Raises:
        DataError: When files are not images, are cut short, or hold what cannot be shown as bytes.
    """
    faults, headers = [], []
    for file in files:
        try:
            with opened(file) as image:
                header = _header(image)  # before its pixels are read, which changes the mode
                if not _is_whole(image, file):
                    image.load()  # it may be whole, with much behind it
                headers.append(header)
        except DataError as error:
            faults.append(str(error))
    if faults:
        more = f" (and {len(faults) - 1} more of {len(files)})" if len(faults) > 1 else ""
        raise DataError(f"{faults[0]}{more}; fix or remove such files")
    return headers


def _header(image: Any) -> Header:
    width, height = image.size
    gray = image.mode[0] in "1I" or image.mode in ("L", "LA", "La")
    frames = bool(getattr(image, "is_animated", False))
    if _lies(image):
        height, width = width, height
    return Header(height, width, gray, frames)


def _lies(image: Any) -> bool:
    """Return whether sides change places when an image is turned as its camera was held."""
    if image.format == "PNG" and "exif" not in image.info:
        return False  # it would be behind the pixels, if anywhere
    with suppress(*_FAULTS):
        if image.format == "TIFF" and image.width != image.tag_v2.get(_WIDTH, image.width):
            return False  # Pillow has changed them
        return image.getexif().get(_ORIENTATION) in _LYING
    return False


def upright(image: Any) -> Any:
    """Return an image as its camera was held; as it is where what it says of that is damaged."""
    from PIL import ImageOps

    try:
        return ImageOps.exif_transpose(image)
    except _FAULTS:
        image.load()  # where its pixels are damaged, that is the fault
        return image


def opaque(image: Any, background: str) -> Any:
    """Return an image of 8 bits without transparency: 16 bits scaled, the background shown."""
    from PIL import Image

    if image.mode[0] == "I":
        numbers = np.asarray(image).astype(np.uint32)
        scaled = Image.fromarray(((numbers * 255 + 32_767) // 65_535).astype(np.uint8))
        clear = image.info.get("transparency")
        if clear is None:
            return scaled
        image = scaled.convert("RGB")
        image.putalpha(Image.fromarray(np.where(numbers == clear, 0, 255).astype(np.uint8)))
    elif image.mode not in ("RGBA", "LA", "PA", "RGBa", "La") and "transparency" not in image.info:
        return image
    over = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", over.size, background), over)


def _is_whole(image: Any, file: Path | io.BytesIO) -> bool:
    """Return whether a format shows, without its pixels, that nothing is missing at the end."""
    if not isinstance(file, Path):
        return False
    size = file.stat().st_size
    if last := _LAST.get(image.format):
        return last in _read(file, max(0, size - _TAIL), _TAIL)
    if image.format == "WEBP":  # a RIFF file: how long the rest is stands fourth
        return struct.unpack("<I", _read(file, 4, 4))[0] + 8 <= size
    tags = getattr(image, "tag_v2", {})
    for starts, lengths in _PLACES.items():
        if starts in tags and lengths in tags:
            pieces = zip(tags[starts], tags[lengths], strict=False)
            return max(start + length for start, length in pieces) <= size
    return False


def _read(file: Path, start: int, length: int) -> bytes:
    with file.open("rb") as stream:
        stream.seek(start)
        return stream.read(length)


def _check_pixels(image: Any) -> None:
    """Reject more pixels than Pillow thinks sane, and numbers of which white is not known.

    A file of a few hundred bytes can claim so many that reading takes seconds and gigabytes. These
    numbers are floats, and those of 32 or 12 bits.
    """
    from PIL import Image

    most, (width, height) = Image.MAX_IMAGE_PIXELS, image.size
    if most is not None and width * height > most:
        raise ValueError(
            f"it has {height:,} x {width:,} pixels, and at most {most:,} are read "
            "(PIL.Image.MAX_IMAGE_PIXELS): scale it down first"
        )
    if image.mode == "LAB":
        raise ValueError("it is in Lab colours: convert it to RGB first")
    if image.mode[0] not in "IF":
        return
    tags = getattr(image, "tag_v2", None)
    if tags is None:  # PNG, PPM and JPEG 2000 say that they have 16 bits
        if image.mode[0] == "F" or image.format not in ("PNG", "PPM", "JPEG2000"):
            raise ValueError(f"it has pixels of mode {image.mode}: convert it to 8 bits first")
    elif tags.get(258, (1,))[0] != 16 or tags.get(339, (1,))[0] != 1 or tags.get(262, 1) != 1:
        raise ValueError("it is a TIFF of floats, or not of 16 bits: convert it to 8 bits first")
