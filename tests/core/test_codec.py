"""The contract of codecs, over those of every domain: what is encoded is decoded."""

import pytest
import torch

from feller.core.codec import Codec
from feller.images.codec import ImageCodec

IMAGES = torch.arange(2 * 4 * 6 * 3, dtype=torch.uint8).reshape(2, 4, 6, 3)
CASES = {
    "images": (ImageCodec((3, 4, 6), ("a", "b", "c")), (IMAGES, torch.tensor([2, 0]))),
    "unlabelled images": (ImageCodec((3, 4, 6)), (IMAGES, None)),
}


@pytest.fixture(params=CASES.values(), ids=CASES)
def case(request):
    return request.param


def test_raw_data_survive(case):
    codec, raw = case
    assert isinstance(codec, Codec)
    z, _ = codec.encode(raw)
    assert codec.decode(z).equal(raw[0])
    assert z.dtype == torch.float32


def test_the_loader_may_make_a_list_of_a_batch(case):
    codec, raw = case
    assert codec.encode(list(raw))[0].equal(codec.encode(raw)[0])


def test_a_dropped_condition_says_nothing(case):
    codec, raw = case
    _, condition = codec.encode(raw)
    if condition is None:
        return
    dropped = codec.drop(condition, torch.tensor([True, False]))
    assert dropped[1] == condition[1]
    assert dropped[0] not in range(len(codec.classes))
    assert condition.equal(raw[1])  # the condition given is not changed
    assert codec.drop(condition, torch.tensor([False, False])).equal(condition)
