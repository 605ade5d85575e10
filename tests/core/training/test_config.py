import pytest

from feller.core.training import Training


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"batch_size": 10, "accumulate": 3}, "does not divide into 3 micro-batches"),
        ({"condition_drop": 1.5}, "fraction in"),
        ({"keep": 0}, "keep is at least 1, not 0"),
        ({"max_minutes": -1.0}, "max_minutes is finite and at least 0, not -1.0"),
        ({"log_every": 0}, "log_every is at least 1"),
        ({"accumulate": 0}, "accumulate is at least 1"),
        ({"steps": -1}, "steps is at least 0"),
        ({"seed": 10**23}, "seed is a whole number of 64 bits"),
        ({"ema_decay": 1.0}, r"ema_decay is in \[0, 1\), not 1.0"),
        ({"ema_decays": (0.9, 1.0)}, r"ema_decays are in \[0, 1\) and others than ema_decay"),
        ({"ema_decays": (0.999,)}, "others than ema_decay"),  # the default
        ({"ema_snapshot_every": -1}, "ema_snapshot_every is at least 0"),
        ({"ema_snapshot_every": 5, "lora": 2, "start": "a"}, "for training without lora"),
        ({"validate_n": 0}, "validate_n is at least 1"),
    ],
)
def test_training_refuses(values, message):
    with pytest.raises(ValueError, match=message):
        Training(**values)
