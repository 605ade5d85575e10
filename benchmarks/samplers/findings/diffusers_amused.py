"""diffusers' AmusedScheduler: two independent tokens, each 0 with probability .9.

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
        x = rule.step(torch.tensor([0.9, 0.1]).log().expand(*x.shape, 2), t, x).prev_sample
    print(f"choice temperature {temperature}: P(0) = {float((x == 0).float().mean()):.4f}, not 0.9")
