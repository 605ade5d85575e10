"""Codecs pass their check; what is none is caught."""

import pytest
import torch

from feller.core.codec import Codec
from feller.core.testing import check_codec
from feller.images.codec import ImageCodec

IMAGES = torch.arange(2 * 4 * 6 * 3, dtype=torch.uint8).reshape(2, 4, 6, 3)
LABELS = torch.tensor([2, 0])


def test_images_pass():
    check_codec(ImageCodec((3, 4, 6), ("a", "b", "c")), (IMAGES, LABELS))
    check_codec(ImageCodec((3, 4, 6)), (IMAGES, None))


class Wrong(Codec):
    """A codec of numbers with one thing that is wrong."""

    def __init__(self, wrong):
        self.wrong, self.calls = wrong, 0

    def encode(self, raw, rng=None):
        self.calls += 1
        z = raw[0] / 2
        if self.wrong == "list" and isinstance(raw, list):
            z = z + 1
        if self.wrong == "random" and self.calls == 3:
            z = z + 1
        return z, raw[1]

    def decode(self, z):
        return z if self.wrong == "decode" else 2 * z

    def drop(self, condition, where):
        if self.wrong == "keeps":
            return condition
        if self.wrong == "in place":
            return condition.masked_fill_(where, 9)
        if self.wrong == "others":
            return torch.full_like(condition, 9)
        return condition.masked_fill(where, 9)


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ("decode", "Wrong does not decode what it encodes"),
        ("list", "Wrong encodes a list otherwise than a tuple"),
        ("random", "Wrong encodes at random without an rng"),
        ("in place", "drop of Wrong changes the condition it is given"),
        ("others", "drop of Wrong changes other rows"),
        ("keeps", "drop of Wrong leaves what it is to drop"),
    ],
)
def test_what_is_wrong_is_told(wrong, complaint):
    raw = (torch.tensor([1.0, 2.0]), LABELS.clone())
    check_codec(Wrong("nothing"), raw)
    with pytest.raises(AssertionError, match=complaint):
        check_codec(Wrong(wrong), raw)


def test_ones_own_equality_is_asked():
    raw = (torch.tensor([1.0, 2.0]), LABELS)
    check_codec(Wrong("decode"), raw, same=lambda decoded, raw: decoded.shape == raw[0].shape)
