"""The path of whole proteins: the source stands about what is known."""

import torch
from torch.testing import assert_close

from feller.core.paths import GaussianPath
from feller.proteins.paths import FramePath


def test_the_source_stands_about_what_is_known(rng):
    path = FramePath({"translation": GaussianPath()})
    z = torch.randn(3, 6, 3, generator=rng, dtype=torch.float64)
    t = torch.full((3, 6), 0.3, dtype=torch.float64)
    t[0, 1:3], t[1, 4] = 1, 1
    middle = torch.stack([z[0, 1:3].mean(0), z[1, 4], torch.zeros(3, dtype=z.dtype)])[:, None]
    x_0 = {"translation": torch.randn(z.shape, generator=rng, dtype=z.dtype)}
    x = path.sample({"translation": z}, {"translation": t}, x_0=x_0)["translation"]
    assert x[t == 1].equal(z[t == 1])
    # Sampling stands at the middle of what is known: the same, with the data brought there.
    there = 0.3 * (z - middle) + 0.7 * x_0["translation"] + middle
    assert_close(x[t < 1], there[t < 1])
    drawn = path.sample({"translation": z}, {"translation": t}, [torch.Generator()] * 3)
    assert drawn["translation"][t == 1].equal(z[t == 1])


def test_frames_with_one_clock_a_sample_move_as_any_product(rng):
    path = FramePath({"translation": GaussianPath()})
    z, x_0 = ({"translation": torch.randn(2, 4, 3, generator=rng)} for _ in range(2))
    for t in (0.3, torch.tensor([0.2, 1.0])):
        x = path.sample(z, {"translation": t}, x_0=x_0)["translation"]
        assert_close(
            x, path.factors["translation"].sample(z["translation"], t, x_0=x_0["translation"])
        )
