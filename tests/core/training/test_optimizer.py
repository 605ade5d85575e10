import pytest

from feller.core.training import Optimizer


def test_rate_warms_up_then_follows_a_cosine():
    optimizer = Optimizer(lr=2.0, warmup=10, final=0.1)
    rates = [optimizer.rate(step, 110) for step in range(111)]
    assert rates[0] == pytest.approx(0.2)
    assert rates[9] == pytest.approx(2.0)
    assert rates[60] == pytest.approx(2.0 * (0.1 + 0.9 / 2))
    assert rates[110] == pytest.approx(0.2)
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_constant_rate_stays():
    optimizer = Optimizer(lr=2.0, warmup=2, decay="constant")
    assert [optimizer.rate(step, 5) for step in range(5)] == [1.0, 2.0, 2.0, 2.0, 2.0]


def test_no_warmup_starts_at_the_peak():
    assert Optimizer(lr=2.0, warmup=0).rate(0, 10) == 2.0


@pytest.mark.parametrize(
    "values",
    [
        {"clip": -1.0},  # a norm clipped to less than 0 turns the gradient round
        {"clip": float("nan")},
        {"final": -1.0},
        {"warmup": -5},
        {"lr": float("inf")},
        {"weight_decay": -1.0},
    ],
)
def test_an_optimizer_refuses_what_is_negative_or_not_finite(values):
    (name,) = values
    with pytest.raises(ValueError, match=f"{name} is finite and at least 0, not"):
        Optimizer(**values)


def test_an_optimizer_refuses_betas_of_one():
    with pytest.raises(ValueError, match=r"betas are two numbers in \[0, 1\)"):
        Optimizer(betas=(0.9, 1.0))
