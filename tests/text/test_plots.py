"""Pictures of text."""

import numpy as np
import torch
from PIL import Image

from feller.text.codec import HIDDEN, TextCodec
from feller.text.plots import cells, pieces, save_reveal
from feller.text.tokenizers import Bytes, Characters, bundled_pieces


def test_characters_are_laid_in_rows():
    codec = TextCodec(tokenizer=Characters("ab\n"))
    x, level = torch.tensor([0, 1, 0, 2, 2, 1, 3]), torch.arange(7).double() / 10
    rows = cells(codec, x, level, columns=2)
    assert ["".join(c for c, _ in row) for row in rows] == ["ab", "a", "", f"b{HIDDEN}"]
    assert [n for row in rows for _, n in row] == [0.0, 0.1, 0.2, 0.5, 0.6]


def test_a_piece_has_one_level():
    codec = TextCodec(tokenizer=bundled_pieces("python-1023"))
    x = codec.tokens("return self")
    level = torch.rand(len(x)).double()
    (row,) = cells(codec, x, level)
    assert "".join(c for c, _ in row) == "return self"
    assert len({n for _, n in row}) == len(x) < len(row)


def test_a_character_of_several_tokens_is_shown_once_it_is_whole():
    codec = TextCodec(tokenizer=Bytes(), has_end=True)
    x = codec.tokens("a€b")
    assert pieces(codec, x) == ["a", "€", "", "", "b"]
    assert pieces(codec, torch.cat([x[:3], x[4:]])) == ["a", "·", "", "b"]
    x[2] = codec.tokenizer.size + 1
    assert pieces(codec, x) == ["a", "·", HIDDEN, "·", "b"]
    assert "".join(c for c, _ in cells(codec, codec.tokens("€é"), torch.zeros(5))[0]) == "€é"


def test_a_picture_is_written(tmp_path):
    codec = TextCodec(tokenizer=Characters("ab$_{}\n"))
    x = codec.tokens("a$b_{$}\nbb")
    level = torch.linspace(-0.2, 1, len(x)).double()
    save_reveal(codec, x, level, tmp_path / "a.png", title="A title")
    with Image.open(tmp_path / "a.png") as picture:
        pixels = np.asarray(picture.convert("RGB"))
    assert pixels.shape[0] > 50
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 20


def test_what_the_font_lacks_is_no_warning(tmp_path):
    codec = TextCodec(tokenizer=Characters("日本"))
    save_reveal(codec, torch.tensor([0, 1]), torch.zeros(2), tmp_path / "a.png", title="語")
