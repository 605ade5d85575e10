"""diffusers' BlockRefinementScheduler: two independent tokens, each 0 with probability .9.

Both are drawn at temperature 1 and the likelier draw is kept, so a 1 is drawn again: 0 comes out
more often. uv run --with diffusers --with torch FILE
"""

import torch
from diffusers import BlockRefinementScheduler

rule = BlockRefinementScheduler(block_length=2, num_inference_steps=2)
rule.set_timesteps(2, block_length=2)
x = torch.full((10_000, 2), 2)
for i in range(2):
    logits = torch.tensor([0.9, 0.1]).log().expand(*x.shape, 2)
    x = rule.step(logits, i, x, mask_token_id=2, temperature=1.0).prev_sample
print(f"P(0) = {float((x == 0).float().mean()):.4f}, right: 0.9")
