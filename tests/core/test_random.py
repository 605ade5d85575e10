"""Random draws: one generator for a batch, or one for each row."""

import inspect

import pytest
import torch
from scipy import stats

from feller.core import random

DRAWS = {
    "normal": random.normal,
    "uniform": random.uniform,
    "integers": lambda shape, rng, like=None: random.integers(7, shape, rng, like=like),
}
every_draw = pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)


@every_draw
def test_a_row_does_not_depend_on_its_batch(draw):
    batch = draw((6, 3), random.rows(1, 10, 16))
    assert torch.equal(draw((2, 3), random.rows(1, 13, 15)), batch[3:5])
    assert torch.equal(draw((1, 3), random.rows(1, 15, 16)), batch[5:])


@every_draw
def test_seed_stream_and_row_choose_the_draw(draw):
    keys = [(0, 0, ""), (1, 0, ""), (0, 1, ""), (0, 0, "step 1"), (10, 0, ""), (1, 0, "0")]
    drawn = {
        tuple(draw((1, 12), random.rows(seed, row, row + 1, stream=stream))[0].tolist())
        for seed, row, stream in keys
    }
    assert len(drawn) == len(keys)


@every_draw
def test_a_generator_moves_on(draw, rng):
    first = draw((20,), rng)
    assert not torch.equal(draw((20,), rng), first)
    assert torch.equal(draw((20,), rng.manual_seed(0)), first)


@every_draw
@pytest.mark.parametrize("shape", [(), (3,), (2, 0, 4), (0, 5)])
def test_shapes(draw, shape, rng):
    assert draw(shape, rng).shape == shape
    assert draw(shape, None).shape == shape
    if shape:
        assert draw(shape, random.rows(0, 0, shape[0])).shape == shape


@pytest.mark.parametrize("per_row", [False, True])
def test_dtypes(per_row, rng):
    rng = random.rows(0, 0, 2) if per_row else rng
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        like = torch.empty(0, dtype=dtype)
        assert random.normal((2, 3), rng, like=like).dtype == dtype
        assert random.uniform((2, 3), rng, like=like).dtype == dtype
        assert random.integers(4, (2, 3), rng, like=like).dtype == torch.int64


def test_draws_travel_to_the_device_of_like(rng):
    meta = torch.empty(0, device="meta")
    for draw in DRAWS.values():
        assert draw((2, 3), rng, like=meta).device.type == "meta"
        assert draw((2, 3), random.rows(0, 0, 2), like=meta).device.type == "meta"


@every_draw
def test_rows_want_a_generator_each(draw):
    with pytest.raises(ValueError, match="3 generators for 2 rows"):
        draw((2, 4), random.rows(0, 0, 3))


def test_neighbouring_rows_and_seeds_are_independent():
    first = torch.stack([random.normal((64, 50), random.rows(seed, 0, 64)) for seed in range(4)])
    columns = first.permute(2, 0, 1).flatten(1).double()  # each of 50 draws, over 256 rngs
    assert stats.kstest(first.flatten().numpy(), "norm").pvalue > 0.001
    assert stats.kstest(columns[0].numpy(), "norm").pvalue > 0.001
    lagged = torch.corrcoef(torch.stack([columns[:, :-1].flatten(), columns[:, 1:].flatten()]))
    assert abs(lagged[0, 1]) < 4 / columns[:, 1:].numel() ** 0.5


def test_the_laws(rng):
    assert stats.kstest(random.normal((20_000,), rng).numpy(), "norm").pvalue > 0.001
    assert stats.kstest(random.uniform((20_000,), rng).numpy(), "uniform").pvalue > 0.001
    counts = random.integers(7, (20_000,), rng).bincount(minlength=7)
    assert stats.chisquare(counts.numpy()).pvalue > 0.001


@pytest.mark.parametrize("shape", [(3,), (3, 1), (3, 2, 2)])
def test_chosen_elements_are_counted_by_row(shape):
    chosen = torch.zeros(shape, dtype=torch.bool)
    chosen[1] = True
    count = chosen[1].numel()
    assert random.ragged(random.rows(0, 0, 3), chosen).counts == [0, count, 0]


@pytest.mark.parametrize("seed", [None, 1.5, "a", True])
def test_a_seed_is_a_whole_number(seed):
    with pytest.raises(ValueError, match=f"seed is a whole number, not {seed!r}"):
        inspect.unwrap(random.rows)(seed, 0, 2)
    assert len(random.rows(-3, 0, 2)) == 2


def test_there_are_no_less_than_no_rows():
    with pytest.raises(ValueError, match=r"the number of rows is a whole number .* not -1"):
        random.rows(0, 0, -1)


def test_no_rows_draw_nothing():
    like, none = torch.zeros(1, dtype=torch.float64), torch.zeros(0, 3, dtype=torch.bool)
    drawn = random.normal((0, 2), random.ragged([], none), like=like)
    assert drawn.shape == (0, 2)
    assert drawn.dtype == torch.float64


def test_a_seed_is_no_generator():
    with pytest.raises(ValueError, match=r"rng is a torch\.Generator or one per row, not 0"):
        inspect.unwrap(random._draw)(torch.randn, (2, 2), 0, None)


@pytest.mark.parametrize("rng", [torch.Generator(), random.rows(0, 0, 4), None], ids=type)
def test_what_repeats_draws_the_same_and_leaves_the_rng_alone(rng):
    again = random.repeating(rng)
    first = random.normal((4, 3), again())
    assert first.equal(random.normal((4, 3), again()))
    if rng is not None:
        assert not first.equal(random.normal((4, 3), rng))
        other = random.repeating(rng)  # it has drawn since
        assert not first.equal(random.normal((4, 3), other()))


def test_noise_is_not_made_for_integers():
    with pytest.raises(ValueError, match=r"noise is not of torch.int64: give data as numbers"):
        random.normal((2, 3), None, like=torch.zeros(1, dtype=torch.int64))
