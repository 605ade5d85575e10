"""Averages made after training: least squares against sums over steps and averages of the run."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import nn

from feller.core.nn.ema import EMA, PowerFunction
from feller.core.training.config import Training
from feller.core.training.posthoc import (
    WIDTHS,
    Profile,
    average_of_width,
    further_averages,
    save_snapshot,
    snapshot_of,
    weights_of,
)


def gamma(width):
    return PowerFunction(width).exponent


def test_the_weights_minimise_the_distance_of_profiles():
    some = [Profile(t, gamma(w)) for t in (300, 600, 1000) for w in WIDTHS]
    target = Profile(1000, gamma(0.15))
    s = np.linspace(0, 1000, 20_001)

    def profile(p):
        return np.where(s <= p.steps, (p.exponent + 1) * (s / p.steps) ** p.exponent / p.steps, 0)

    parts, aim = np.stack([profile(p) for p in some]), profile(target)

    def distance(x):
        return np.trapezoid((x @ parts - aim) ** 2, s)

    found = weights_of(some, target)
    assert found.sum() == pytest.approx(1)
    one = {"type": "eq", "fun": lambda x: x.sum() - 1}
    fitted = minimize(lambda x: 1e6 * distance(x), np.full(6, 1 / 6), constraints=one, tol=1e-14)
    assert distance(found) <= distance(fitted.x) * 1.01
    assert distance(found) < 0.2 * distance(np.eye(6)[5])


@pytest.mark.parametrize("i", [0, 3, 5])
def test_a_snapshot_is_itself(i):
    some = [Profile(t, gamma(w)) for t in (300, 600, 1000) for w in WIDTHS]
    assert np.allclose(weights_of(some, some[i]), np.eye(6)[i], atol=1e-6)


class Walk(nn.Module):
    """Weights on a random walk, as those of a run are."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(200, dtype=torch.float64))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))


@pytest.mark.gate
def test_any_width_is_near_the_average_that_was_followed(tmp_path):
    steps, every, rng = 2_000, 50, torch.Generator().manual_seed(0)
    asked = (0.05, 0.07, 0.1, 0.13, 0.2)
    model = Walk()
    followed = EMA(model, 0.9, others={f"{w}": PowerFunction(w) for w in asked})
    kept = EMA(model, 0.9, others=further_averages(Training(ema_snapshot_every=every)))
    for step in range(1, steps + 1):
        model.weight.data += torch.randn(200, generator=rng, dtype=torch.float64)
        model.count += 1
        followed.update(model, step)
        kept.update(model, step)
        if step % every == 0:
            save_snapshot(snapshot_of(kept), step, tmp_path)
    for width in asked:
        exact = followed.others[f"{width}"].model.weight
        made = average_of_width(tmp_path, width, steps)
        assert made["count"] == steps
        off = (made["weight"] - exact).norm() / (exact - model.weight).norm()
        assert off < (1e-6 if width in WIDTHS else 0.02), width
    narrow, wide = (average_of_width(tmp_path, w, steps)["weight"] for w in (0.05, 0.2))
    assert (narrow - model.weight).norm() < (wide - model.weight).norm()
    before = average_of_width(tmp_path, 0.1, 1_000)["weight"]  # of a step before the last
    assert not torch.equal(before, average_of_width(tmp_path, 0.1, steps)["weight"])


def test_what_no_snapshot_tells_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"no snapshots up to step 9 .*ema-snapshot-every"):
        average_of_width(tmp_path, 0.1, 9)
    ema = EMA(Walk(), 0.9, others=further_averages(Training(ema_snapshot_every=1)))
    save_snapshot(snapshot_of(ema), 1, tmp_path)
    average_of_width(tmp_path, 0.1, 1)
    with pytest.raises(ValueError, match="no snapshots up to step 2"):
        average_of_width(tmp_path, 0.1, 2)
    file = tmp_path / "snapshots" / "step_00000001" / "0.1.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(ValueError, match="is damaged: the SHA-256 of"):
        average_of_width(tmp_path, 0.1, 1)
