"""bionemo-moco's MDLM.step_confidence: two independent tokens, each 0 with probability .9.

Both are drawn, and the one whose draw was likelier is kept: a 1 is drawn again. So 0 comes out more
often, at one token a call and with an exact network. uv run --with bionemo-moco --with torch FILE
"""

import torch
from bionemo.moco.distributions.prior import DiscreteMaskedPrior
from bionemo.moco.distributions.time import UniformTimeDistribution
from bionemo.moco.interpolants import MDLM
from bionemo.moco.schedules.noise.continuous_noise_transforms import LogLinearExpNoiseTransform

prior = DiscreteMaskedPrior(num_classes=3, inclusive=True)
rule = MDLM(UniformTimeDistribution(), prior, LogLinearExpNoiseTransform())
for randomness in (0.0, 1.0):
    x = rule.sample_prior((100_000, 2))
    for i in range(2):
        logits = torch.tensor([0.9, 0.1, 1e-9]).log().expand(*x.shape, 3).clone()
        x = rule.step_confidence(logits, x, i, 2, randomness=randomness)
    print(f"randomness {randomness}: P(0) = {float((x == 0).float().mean()):.4f}, right: 0.9")
