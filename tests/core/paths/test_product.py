"""Products of paths: the factors move independently, each by its own path and clock."""

import torch
from torch.testing import assert_close

from feller.core import random
from feller.core.paths import GaussianPath, MixturePath, ProductPath
from feller.core.sources import Masked
from feller.core.spaces import Euclidean, ProductSpace, Tokens

PATH = ProductPath(
    {"position": GaussianPath(), "residue": MixturePath(Tokens(5, event_dim=0), Masked(4))}
)
Z = {"position": torch.ones(400, 3), "residue": torch.arange(400) % 4}


def test_the_space_is_the_product():
    assert PATH.space == ProductSpace({"position": Euclidean(), "residue": Tokens(5, event_dim=0)})


def test_source_samples_are_those_of_the_factors(rng):
    x_0 = PATH.sample_source({name: z.shape for name, z in Z.items()}, rng, like=Z)
    PATH.space.check(x_0)
    assert x_0["position"].std() > 0.9
    assert x_0["residue"].unique().tolist() == [4]


def test_one_clock_serves_all_factors(rng):
    end = PATH.sample(Z, 1.0, rng)
    assert all(torch.equal(end[name], Z[name]) for name in Z)
    rows = torch.linspace(0, 1, 400)
    x = PATH.sample(Z, rows, rng.manual_seed(1))
    position = GaussianPath().sample(Z["position"], rows, rng.manual_seed(1))
    assert_close(x["position"], position)
    assert 100 < (x["residue"] == 4).sum() < 300


def test_every_factor_has_its_own_clock(rng):
    x = PATH.sample(Z, {"position": 1.0, "residue": 0.0}, rng)
    assert torch.equal(x["position"], Z["position"])
    assert x["residue"].unique().tolist() == [4]
    x = PATH.sample(Z, {"position": torch.zeros(400), "residue": 1.0}, rng)
    assert abs(x["position"].mean()) < 4 / 1200**0.5
    assert torch.equal(x["residue"], Z["residue"])


def test_a_row_does_not_depend_on_its_batch():
    x = PATH.sample(Z, 0.5, random.rows(0, 0, 400))
    tail = PATH.sample({name: z[390:] for name, z in Z.items()}, 0.5, random.rows(0, 390, 400))
    assert all(torch.equal(tail[name], x[name][390:]) for name in Z)
