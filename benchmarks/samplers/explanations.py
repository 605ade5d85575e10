"""What explains a distance from the data that does not vanish with the steps, or vanishes late."""

from dataclasses import dataclass

__all__ = ["Explanation", "explanation"]


@dataclass(frozen=True)
class Explanation:
    """What explains a row.

    Attributes:
        why: In a sentence or two, without the last stop.
        script: The file in `findings/` that shows it, without its ending.
    """

    why: str
    script: str = ""


DRAWN = (
    "every masked token is drawn, and the likeliest draws are kept: likely tokens come out more"
    " often, also at one token a step. Confidence read off the distribution, before the draw, would"
    " leave it alone. For quality with an imperfect network that may be what one wants"
)
EXPLANATIONS = {
    ("diffusers", "DiscreteDDIM, corrector lowest_log_margin"): Explanation(
        "the default selection reads the token that may be redrawn, so unlikely tokens leave more"
        " often than they come, and a sweep does not keep p_s as its documentation says; the"
        " selection `random` does",
        "diffusers_discrete_ddim_corrector",
    ),
    ("diffusers", "Amused, choice temperature 0"): Explanation(DRAWN, "diffusers_amused"),
    ("diffusers", "Amused, choice temperature 2"): Explanation(
        "the same, softened by the Gumbel noise that is the default", "diffusers_amused"
    ),
    ("diffusers", "BlockRefinement"): Explanation(DRAWN, "diffusers_block_refinement"),
    ("diffusers", "EntropyBound"): Explanation(
        "by default logits are divided by a temperature that falls from 0.8 to 0.4: samples are"
        " sharper than the data, by design; the rest is as at temperature 1, below",
    ),
    ("diffusers", "EntropyBound, temperature 1, bound 0"): Explanation(
        "what is not accepted is drawn uniformly again, and what is accepted may be given up at the"
        " next step, so a state is not that of any noise level; the posterior is asked for at the"
        " fraction of steps done",
    ),
    ("bionemo-moco", "MDLM, confidence, randomness 0"): Explanation(DRAWN, "moco_confidence"),
    ("bionemo-moco", "MDLM, confidence, randomness 1"): Explanation(
        "the same, softened by the Gumbel noise that is the default", "moco_confidence"
    ),
    ("bionemo-moco", "D3PM, uniform"): Explanation(
        "the step is q(x_t | x_s) times the mean of q(x_s | x_0), the joint form of the D3PM paper,"
        " which wants a prediction that leaves out what x_t says of its own token. The posterior,"
        " which cross-entropy teaches, has that in it, and it counts twice. Taken out, the row"
        " below is exact",
        "moco_d3pm_posterior",
    ),
    ("xlm-models", "MDLMPredictor"): Explanation(
        "exact; draws from all tokens are behind `top_k` and `top_p` together, which then do not"
        " count, and with neither the constructor refuses: its conditions are the wrong way round",
        "xlm_mdlm_plain_draws",
    ),
    ("rectified-flow", "StochasticCurvedEulerSampler"): Explanation(
        "by default half of the noise is replaced at every step, however short, so the chain"
        " settles at each time in a distribution of its own; with `ddpm` the part shrinks with the"
        " step, and so does the distance",
        "rectified_flow_fixed_refresh",
    ),
}


def explanation(package: str, name: str) -> Explanation | None:
    """Return what explains the row of a sampler; None where nothing needs to be."""
    return EXPLANATIONS.get((package, name))
