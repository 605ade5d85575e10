import json

import pytest
import torch
from torch.testing import assert_close

from feller.core.config import decode, encode
from feller.core.generators import FromPosterior, Product
from feller.core.heads import FlowHead, PosteriorHead, ProductHead
from feller.core.paths import GaussianPath, MixturePath, ProductPath
from feller.core.sources import Masked
from feller.core.spaces import Tokens

PATH = ProductPath({"place": GaussianPath(), "token": MixturePath(Tokens(4), Masked(3))})
HEAD = ProductHead({"place": FlowHead(), "token": PosteriorHead(3)})
X = {"place": torch.zeros(2, 2), "token": torch.full((2, 5), 3)}
OUTPUT = {"place": torch.ones(2, 2), "token": torch.zeros(2, 5, 3)}
T = {"place": torch.tensor([0.1, 0.2]), "token": torch.tensor([0.3, 0.4])}


def test_a_product_head_has_a_head_for_each_factor():
    product = HEAD(PATH, OUTPUT, X, T)
    assert isinstance(product, Product)
    assert isinstance(product.factors["token"], FromPosterior)
    assert_close(product.factors["place"].velocity, torch.ones(2, 2))


def test_each_factor_says_where_its_data_are():
    found = HEAD.estimate(PATH, OUTPUT, X, T)
    assert_close(found["place"].sample(None), torch.tensor([[0.9, 0.9], [0.8, 0.8]]))
    assert_close(found["token"].log_masses().exp(), torch.full((2, 5, 3), 1 / 3))


def test_an_output_of_other_factors_is_refused():
    for read in (HEAD, HEAD.estimate):
        with pytest.raises(ValueError, match=r"heads read \['place', 'token'\], the network gave"):
            read(PATH, {"place": OUTPUT["place"]}, X, T)


def test_it_survives_json():
    again = decode(json.loads(json.dumps(encode(HEAD))))
    assert (again, again.kinds) == (HEAD, HEAD.kinds)
