"""xlm-core's masked models: the predictors of `mdlm` and `mlm`, with a tokenizer of five ids."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from mdlm.noise_mdlm import ContinuousTimeLogLinearSchedule
from mdlm.predictor_mdlm import MDLMPredictor
from mlm.predictor_mlm import MLMPredictor
from problems import Sequences
from sampler import Sampler
from torch import Tensor
from torch.nn.functional import pad

__all__ = ["samplers"]


class Ids:
    """What a predictor asks of its tokenizer."""

    mask_token_id, mask_token = Sequences.mask, "?"

    def batch_decode(self, x: Tensor, skip_special_tokens: bool = True) -> list[str]:
        """Return nothing for each row."""
        return [""] * len(x)


def samplers() -> Iterator[Sampler]:
    """Yield the predictors; MDLM's draws from all tokens only where top_k and top_p are set."""
    problem = Sequences()
    draw = partial(mdlm, problem)
    yield Sampler("xlm-models", "MDLMPredictor", problem, draw, "ancestral, mask")
    problem = Sequences()
    draw = partial(mlm, problem, {})
    yield Sampler("xlm-models", "MLMPredictor, any order", problem, draw, "events, mask")


def logits(problem: Sequences, x: Tensor, *given: Any) -> Tensor:
    """Return logits of the tokens, and of the mask, which is no data."""
    return pad(problem.logits(x), (0, 1), value=-1e4)


def batch(problem: Sequences, samples: int) -> dict[str, Tensor]:
    """Return sequences of masks."""
    x = torch.full((samples, problem.length), problem.mask)
    return {"input_ids": x, "attention_mask": torch.ones_like(x)}


def mdlm(problem: Sequences, samples: int, steps: int) -> Tensor:
    """Follow the chain; the schedule reaches 1 - exp(-20) masked."""
    rule = MDLMPredictor(
        steps,
        tokenizer=Ids(),
        model=partial(logits, problem),
        noise_schedule=ContinuousTimeLogLinearSchedule(0.0, 20.0),
        top_k=problem.tokens,
        top_p=1.0,
    )
    return rule.predict(batch(problem, samples))["ids"]


def mlm(problem: Sequences, settings: dict[str, Any], samples: int, steps: int) -> Tensor:
    """Reveal a token a step."""
    model = partial(logits, problem)
    rule = MLMPredictor(problem.length, tokenizer=Ids(), model=model, **settings)
    return rule.predict(batch(problem, samples))["ids"]
