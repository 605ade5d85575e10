"""Draws: the distribution function to float64, rare tokens included, whatever the batch."""

import math

import pytest
import torch
from scipy import stats
from torch.testing import assert_close

from feller.core.discrete import categorical as draws
from feller.core.discrete.categorical import Bonus, Shaping, certainty, draw_tokens, draw_weighted

V = 50_257
PLAIN = Shaping()


def zipf(power, v=V):
    p = torch.arange(1, v + 1, dtype=torch.float64) ** -power
    return p / p.sum()


def entropy(p):
    return float(torch.special.entr(p / p.sum()).sum())


def one_shot_law(p, steps):
    """The law of the token that the largest of log p + float32 Gumbel noise draws in one step.

    Uniforms are multiples of 2^-24; half of a text is masked, and so 2 / steps of it jump. Of the
    others only the mask is ever in a token's way; its noise at 200 quantiles.
    """
    grid, jump = 2.0**24, 2 / steps
    u = (torch.arange(200, dtype=torch.float64) + 0.5) / 200
    law = torch.zeros_like(p)
    for score in (1 - jump) / -u.log():  # a token beats it with jump p / -log(u') above
        law += 1 - ((-jump * p / score).exp() * grid).floor().add(1).clamp_max(grid) / grid
    return law / law.sum()


def chances(weights, ids):
    """The length of the uniforms that draw each id, by bisection: float64, no Monte Carlo noise."""
    law = weights.expand(2 * len(ids), -1)
    bound = torch.cat([ids, ids + 1])  # the first u to draw an id, and the first to draw a later
    low, high = torch.zeros(len(bound)).double(), torch.ones(len(bound)).double()
    for _ in range(60):
        middle = (low + high) / 2
        over = draw_weighted(law, middle) >= bound
        low, high = torch.where(over, low, middle), torch.where(over, middle, high)
    return high[len(ids) :] - high[: len(ids)]


ONE_SHOT = {  # nats, from an exact calculation of its own
    1.0: {64: 7.354, 256: 6.852, 1024: 6.055},
    1.5: {64: 3.040, 256: 2.951, 1024: 2.836},
}


@pytest.mark.parametrize("power", ONE_SHOT)
def test_rare_tokens_are_drawn_and_single_precision_gumbel_loses_them(power, rng):
    """P10: every chance to 1e-5 of itself; the shortcut errs by a tenth of a nat and more."""
    p = zipf(power)
    place = torch.randperm(V, generator=rng)
    ranks = torch.cat([torch.arange(0, V, 2500), torch.arange(V - 20, V)])  # the rarest too
    ours = chances(p.float()[place.argsort()], place[ranks])
    assert_close(ours, p[ranks], rtol=1e-5, atol=0)
    for steps, expected in ONE_SHOT[power].items():
        lost = one_shot_law(p, steps)
        assert entropy(lost) == pytest.approx(expected, abs=0.02)
        assert entropy(p) - entropy(lost) > 0.1
    assert not lost[ranks[-20:]].any()


def test_what_is_rare_beside_what_is_certain_is_drawn():
    """1e-9 beside 1, in its block and in others: sums in single precision would lose it."""
    weights = torch.full((400,), 1e-9)
    weights[0] = 1.0
    ids = torch.tensor([1, 5, 19, 20, 200, 399])
    ours = chances(weights, ids)
    assert_close(ours, torch.full((6,), 1e-9 / (1 + 399e-9)).double(), rtol=1e-4, atol=0)


def test_the_law_of_draws(rng):
    p = zipf(1.2, 300)
    ids, log_probs = draw_tokens(
        p.log().expand(60_000, -1), torch.rand(60_000, generator=rng, dtype=torch.float64), PLAIN
    )
    assert stats.chisquare(ids.bincount(minlength=300), 60_000 * p).pvalue > 0.001
    assert_close(log_probs, p.log()[ids])


@pytest.mark.parametrize("v", [1, 2, 3, 7, 16, 17, 1000])
def test_every_size_inverts_its_distribution_function(v, rng):
    weights = torch.rand(200, v, generator=rng) ** 4
    weights[:, 0] *= torch.arange(200) % 2  # zeros in front
    weights[:, -1] += 0.1 * (v == 1)
    u = torch.rand(200, generator=rng, dtype=torch.float64)
    running = weights.double().cumsum(-1)
    expected = torch.searchsorted(running, u[:, None] * running[:, -1:], right=True)[:, 0]
    assert torch.equal(draw_weighted(weights, u), expected)


def test_what_has_no_weight_is_never_drawn():
    """P15, at the ends of the uniform too, where rounding tries."""
    weights = torch.tensor([[0.0, 0.0, 1e-30, 0.0, 1.0, 0.0, 0.0]])
    ends = torch.tensor([0.0, 5e-324, 1 - 2**-53, 1.0], dtype=torch.float64)
    assert draw_weighted(weights.expand(4, -1), ends).tolist() == [2, 2, 4, 4]
    logits = torch.zeros(100_000, 6)
    logits[:, [0, 3, 5]] = -torch.inf
    u = torch.rand(100_000, dtype=torch.float64)
    ids, _ = draw_tokens(logits, u, Shaping(temperature=2.0))
    assert set(ids.tolist()) == {1, 2, 4}


def law_after(logits, shaping, draw_count=40_000, **more):
    u = (torch.arange(draw_count, dtype=torch.float64) + 0.5) / draw_count  # no noise
    ids, _ = draw_tokens(logits.expand(draw_count, -1), u, shaping, **more)
    return ids.bincount(minlength=logits.shape[-1]).double() / draw_count


@pytest.mark.parametrize("wrong", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_logits_that_are_no_distribution_are_refused(wrong, temperature):
    row = [wrong] * 2 if wrong == -torch.inf else [0.0, wrong]
    logits, u = torch.tensor([[0.0, 1.0], row]), torch.zeros(2, dtype=torch.float64)
    with pytest.raises(ValueError, match="probabilities of a draw sum to nan, not"):
        draw_tokens(logits, u, Shaping(temperature=temperature))
    with pytest.raises(ValueError, match="probabilities of a draw sum to 0, not"):
        draw_weighted(torch.zeros(1, 5), u[:1])


def test_shaping():
    p = torch.tensor([0.1, 0.5, 0.25, 0.15])
    close = {"rtol": 0, "atol": 1e-3, "check_dtype": False}
    assert_close(law_after(p.log(), PLAIN), p, **close)
    cold = p**2 / (p**2).sum()
    assert_close(law_after(p.log(), Shaping(temperature=0.5)), cold, **close)
    assert_close(law_after(p.log(), Shaping(temperature=0.0)), torch.eye(4)[1], **close)
    two = torch.tensor([0, 2 / 3, 1 / 3, 0])
    assert_close(law_after(p.log(), Shaping(top_k=2)), two, **close)
    assert_close(law_after(p.log(), Shaping(top_k=9)), p, **close)
    assert_close(law_after(p.log(), Shaping(top_p=0.74)), two, **close)
    assert_close(law_after(p.log(), Shaping(top_p=0.5)), torch.eye(4)[1], **close)
    assert_close(law_after(p.log(), Shaping(top_p=1.0)), p, **close)
    three = torch.tensor([0, 0.5, 0.25, 0.15]) / 0.9
    assert_close(law_after(p.log(), Shaping(top_k=3, top_p=0.99)), three, **close)


def test_a_bonus_counts_before_the_shaping():
    p = torch.tensor([0.2, 0.8])
    bonus = Bonus(torch.zeros(40_000, dtype=torch.int64), torch.full((40_000,), 6.0).log())
    shaped = law_after(p.log(), Shaping(temperature=0.5), bonus=bonus)
    expected = torch.tensor([1.2**2, 0.8**2])
    assert_close(shaped, (expected / expected.sum()).double(), rtol=0, atol=1e-3)


@pytest.mark.parametrize("shaping", [PLAIN, Shaping(0.7, 50, 0.9)], ids=["plain", "shaped"])
def test_a_row_does_not_depend_on_its_batch(shaping, monkeypatch, rng):
    logits = 3 * torch.randn(37, 5_003, generator=rng)
    u = torch.rand(37, generator=rng, dtype=torch.float64)
    together = draw_tokens(logits, u, shaping)
    for chunk in (1, 5_003 * 5, 2**20):
        monkeypatch.setattr(draws, "CHUNK", chunk)
        for start, stop in ((0, 1), (3, 4), (30, 37), (0, 37)):
            ours = draw_tokens(logits[start:stop], u[start:stop], shaping)
            assert all(map(torch.equal, ours, (each[start:stop] for each in together)))


def test_certainty():
    p = torch.tensor([[0.7, 0.2, 0.1], [0.4, 0.3, 0.3], [1.0, 0.0, 0.0]])
    assert_close(certainty(p.log(), "confidence"), p[:, 0])
    assert_close(certainty(p.log(), "margin"), p[:, 0] - p[:, 1])
    assert_close(certainty(p.log(), "entropy"), torch.special.xlogy(p, p).sum(-1))
    assert certainty(p[:0].log(), "margin").shape == (0,)
    assert certainty(torch.zeros(2, 1), "margin").tolist() == [1, 1]


@pytest.mark.parametrize(
    "wrong",
    [
        *({"temperature": value} for value in (-1.0, math.nan, math.inf, -math.inf)),
        *({"top_k": 0}, {"top_p": 0.0}, {"top_p": 1.5}, {"top_p": math.nan}),
    ],
)
def test_a_shaping_that_is_none_is_refused(wrong):
    with pytest.raises(
        ValueError, match=f"{next(iter(wrong))} is .*, not {next(iter(wrong.values()))}"
    ):
        Shaping(**wrong)


@pytest.mark.parametrize("temperature", [1e-5, 1e-30, 1e-40, 5e-324])
def test_the_coldest_take_the_likeliest(temperature):
    logits = torch.tensor([[900.0, 1000.0, -torch.inf, 999.0]])
    for shaping in (Shaping(temperature), Shaping(temperature, 3, 0.9)):
        assert law_after(logits[0], shaping, 10).tolist() == [0, 1, 0, 0]


def test_the_hottest_takes_any():
    law = law_after(torch.tensor([0.0, -9.0, -torch.inf]), Shaping(1e30), 10)
    assert law.tolist() == [0.5, 0.5, 0]
