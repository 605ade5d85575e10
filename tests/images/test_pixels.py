"""Files of images: each is whole, of bytes and upright, or named at the start."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from feller.images.pixels import DataError, Header, Reading, opaque, opened, read_headers, upright


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def gray_png(pixels, clear):
    """A PNG of 16 bits in which one gray is transparent, which Pillow does not write."""
    height, width = pixels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    parts = {
        b"IHDR": struct.pack(">IIBBBBB", width, height, 16, 0, 0, 0, 0),
        b"tRNS": struct.pack(">H", clear),
        b"IDAT": zlib.compress(rows),
        b"IEND": b"",
    }
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in parts.items()
    )


@pytest.mark.parametrize(("background", "seen"), [("white", 255), ("#808080", 128)])
def test_a_gray_of_sixteen_bits_may_be_transparent(background, seen, tmp_path):
    pixels = np.full((8, 8), 1_000, np.uint16)
    pixels[:, 4:] = 40_000
    (tmp_path / "a.png").write_bytes(gray_png(pixels, 1_000))
    with opened(tmp_path / "a.png") as image:
        shown = np.asarray(opaque(image, background).convert("L"))
    assert (shown[:, :4] == seen).all()
    assert (shown[:, 4:] == 156).all()


@pytest.mark.parametrize(
    "ending", ["bmp", "webp", "tif", "gif", "ppm", "pgm", "tga", "jp2", "png", "jpg"]
)
@pytest.mark.parametrize("lost", [0.3, 0.02])
def test_a_file_cut_short_is_named_at_the_start(ending, lost, tmp_path):
    file = tmp_path / f"a.{ending}"
    Image.fromarray(noise(64, 64, 3) if ending != "pgm" else noise(64, 64)).save(file)
    assert not read_headers([file])[0].frames
    content = file.read_bytes()
    file.write_bytes(content[: int((1 - lost) * len(content))])
    with pytest.raises(DataError, match=f"a.{ending} is not a readable image: "):
        read_headers([file])


@pytest.mark.parametrize("most", [255, 120, None])  # Pillow warns at the first, refuses at the next
def test_more_pixels_than_pillow_thinks_sane_are_refused(most, monkeypatch, tmp_path):
    file = tmp_path / "a.png"
    Image.new("L", (16, 16)).save(file)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", most)
    if most is None:
        assert read_headers([file])[0].width == 16
        return
    with pytest.raises(DataError, match=r"a\.png is not a readable image: .*256|16 x 16 pixels"):
        read_headers([file])


@pytest.mark.parametrize("exif", [b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff"])
@pytest.mark.parametrize("ending", ["png", "jpg", "webp"])
def test_what_a_damaged_note_says_does_not_matter(ending, exif, tmp_path):
    file = tmp_path / f"a.{ending}"
    Image.fromarray(np.full((8, 8, 3), 100, np.uint8)).save(file, exif=exif)
    assert not read_headers([file])[0].frames
    with opened(file) as image:
        assert abs(np.asarray(upright(image)).astype(int) - 100).max() <= 2


@pytest.mark.parametrize("ending", ["png", "jpg", "bmp", "webp", "tif", "gif", "ppm", "tga", "jp2"])
def test_damage_is_a_data_error_wherever_it_is(ending, tmp_path):
    file, rng = tmp_path / f"a.{ending}", np.random.default_rng(1)
    Image.fromarray(noise(12, 12, 3)).save(file)
    content = bytearray(file.read_bytes())
    for _ in range(40):
        damaged = content.copy()
        for place in rng.integers(0, min(len(content), 200), 3):
            damaged[place] = rng.integers(256)
        file.write_bytes(damaged)
        try:
            read_headers([file])
            with opened(file) as image:
                opaque(upright(image), "white").convert("RGB")
        except DataError as error:  # anything else is a mistake of ours
            assert "\n" not in str(error)


def test_a_header_says_the_size_and_whether_there_are_colours(tmp_path):
    files = {
        "a.png": Image.new("L", (6, 4)), "b.png": Image.new("RGB", (6, 4)),
        "c.png": Image.new("I;16", (6, 4)), "d.jpg": Image.new("CMYK", (6, 4)),
        "e.png": Image.new("LA", (6, 4)), "f.png": Image.new("1", (6, 4)),
        "g.png": Image.new("P", (6, 4)), "h.png": Image.new("RGBA", (6, 4)),
    }  # fmt: skip
    for name, image in files.items():
        image.save(tmp_path / name)
    found = read_headers([tmp_path / name for name in files])
    assert [header.gray for header in found] == [
        True, False, True, False, True, True, False, False,
    ]  # fmt: skip
    assert {header[:2] for header in found} == {(4, 6)}


def test_a_photograph_of_a_camera_that_was_turned_is_high(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (6, 4)).save(tmp_path / "a.jpg", exif=exif)
    assert read_headers([tmp_path / "a.jpg"]) == [Header(6, 4, gray=False, frames=False)]


@pytest.mark.parametrize(
    ("fit", "columns"),
    [("crop", [200] * 6), ("pad", [200] * 6), ("stretch", [0, 0, 200, 200, 0, 0])],
)
def test_images_of_another_shape_are_cut_or_padded_or_stretched(fit, columns, tmp_path):
    wide = np.zeros((6, 18), np.uint8)
    wide[:, 6:12] = 200
    Image.fromarray(wide).save(tmp_path / "a.png")
    found = Reading((6, 6), gray=True, background="#646464", fit=fit).read(tmp_path / "a.png")
    assert found.shape == (6, 6, 1)
    rows = found[..., 0].astype(int)
    if fit == "pad":  # two rows of image, four of margin
        assert (rows[[0, 1, 4, 5]] == 100).all() and (rows[2:4, 2:4] > 150).all()
    else:
        assert abs(rows - columns).max() <= (60 if fit == "stretch" else 0)


def test_sides_need_not_be_equal(tmp_path):
    Image.new("RGB", (30, 20), "red").save(tmp_path / "a.png")
    assert Reading((4, 6)).read(tmp_path / "a.png").shape == (4, 6, 3)


@pytest.mark.parametrize("ending", ["jpg", "png", "tif", "webp"])
def test_a_photograph_that_was_turned_has_the_sides_it_is_read_with(ending, tmp_path):
    exif, file = Image.Exif(), tmp_path / f"a.{ending}"
    exif[0x0112] = 6
    Image.fromarray(np.zeros((32, 64, 3), np.uint8)).save(file, exif=exif)
    (header,) = read_headers([file])
    with Image.open(file) as image:
        assert (header.height, header.width) == upright(image).size[::-1] == (64, 32)
