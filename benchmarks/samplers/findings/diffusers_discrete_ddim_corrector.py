"""diffusers' DiscreteDDIM corrector: states that are right before a sweep are not after it.

The default selection reads the token that may be redrawn: unlikely tokens go more often than they
come. A position chosen at random keeps the distribution. uv run --with diffusers --with torch FILE
"""

import torch
from diffusers import DiscreteDDIMScheduler

pairs = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]])
data, alpha = torch.tensor([0.5, 0.1, 0.3, 0.1]), 0.5  # step 0 of 2 ends at alpha = 1/2
z = pairs[torch.multinomial(data, 400_000, replacement=True)]
x = torch.where(torch.rand(z.shape) < alpha, z, torch.randint(2, z.shape))
fits = (alpha * (x[:, None] == pairs) + (1 - alpha) / 2).prod(-1) * data
posterior = fits @ torch.nn.functional.one_hot(pairs).float().flatten(1) / fits.sum(1, True)
print("before", (x @ torch.tensor([2, 1])).bincount() / len(x))
for selection in ("random", "lowest_log_margin"):
    rule = DiscreteDDIMScheduler(2, corrector_steps=1, corrector_selection=selection)
    after = rule.step_correct(posterior.view(-1, 2, 2).log(), 0, x).prev_sample
    print(selection, (after @ torch.tensor([2, 1])).bincount() / len(x))
