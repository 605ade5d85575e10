"""diffusers' AmusedScheduler: two independent tokens, 0 with probability .9 and .8.

Both are drawn, and the one whose draw was less likely is masked again, more so the lower the
choice temperature: 0 comes out more often. uv run --with diffusers --with torch FILE
"""

import torch
from diffusers import AmusedScheduler

for temperature in (0, 2, 20):
    rule = AmusedScheduler(mask_token_id=2)
    rule.set_timesteps(2, temperature=(temperature, 0))
    x = torch.full((100_000, 2), 2)
    for t in rule.timesteps:
        logits = torch.tensor([[0.9, 0.1], [0.8, 0.2]]).log().expand(*x.shape, 2)
        x = rule.step(logits, t, x).prev_sample
    print(f"choice temperature {temperature}: P(0) = {(x == 0).float().mean(0)}, right: .9, .8")
