"""bionemo-moco's D3PM: with a uniform source and the exact posterior, one token comes out wrong.

Its step is the joint form q(x_t | x_s) q(x_s | x_0), which wants the prediction without what x_t
itself says: taking that out makes it right. uv run --with bionemo-moco --with torch FILE
"""

import torch
from bionemo.moco.distributions.prior import DiscreteUniformPrior
from bionemo.moco.distributions.time import UniformTimeDistribution
from bionemo.moco.interpolants import D3PM
from bionemo.moco.schedules.noise.discrete_noise_schedules import DiscreteCosineNoiseSchedule

data = torch.tensor([0.7, 0.1, 0.1, 0.1])
for name in ("posterior", "leave-one-out"):
    rule = D3PM(UniformTimeDistribution(), DiscreteUniformPrior(4), DiscreteCosineNoiseSchedule(64))
    x = torch.randint(4, (50_000, 1))
    for i in reversed(range(64)):
        seen = rule._Qt_bar[i].T[x]  # q(x_t | x_0) of each x_0
        prediction = data * seen if name == "posterior" or i == 0 else data.expand(*x.shape, 4)
        x = rule.step(prediction.log(), torch.full((len(x),), i), x)
    print(name, x.flatten().bincount(minlength=4) / len(x), "data", data)
