"""Exact networks: what each head is to read at x_t, of finitely many images that are known."""

from dataclasses import dataclass

import torch
from scipy import stats
from torch import nn

from feller.core.generators import Jump
from feller.core.heads import FlowHead, JointHead, JumpHead
from feller.core.posteriors import FiniteData
from feller.core.solutions import event_rate, solution
from feller.core.times import expand_time
from feller.images.codec import ImageCodec
from feller.images.models import ImageModelConfig
from feller.images.networks import UNetConfig

SMALL = UNetConfig(
    in_channels=1, out_channels=1, channels=(4,), attention_levels=(), blocks_per_level=1
)


GREYS = torch.linspace(64, 191, 12).round().byte()  # noise is not cut off


@dataclass
class Known:
    """Images and how often each is drawn.

    Attributes:
        raw: uint8 `(k, h, w, 1)`.
        weights: Their probabilities `(k,)`.
    """

    raw: torch.Tensor
    weights: torch.Tensor

    @classmethod
    def some(cls, count, side):
        """Images of a few grey levels between 64 and 191, the last as likely as three firsts."""
        rng = torch.Generator().manual_seed(count)
        grey = GREYS[torch.randint(len(GREYS), (count, side, side, 1), generator=rng)]
        weights = torch.linspace(1, 3, count, dtype=torch.float64)
        return cls(grey, weights / weights.sum())

    def model(self, **fields):
        """Return an `ImageModel` of which the network is exact."""
        codec = ImageCodec((1, *self.raw.shape[1:3]), levels=fields.pop("levels", 0))
        model = ImageModelConfig(network=SMALL, codec=codec, **fields).build()
        points, _ = codec.encode((self.raw, None))
        model.model.network = Exact(
            FiniteData(model.path, Jump, points, self.weights.float()), model
        )
        return model.eval()

    def check(self, images):
        """Refuse images that are not these, or not as often: return the root mean square error."""
        gap = (images[:, None].float() - self.raw.float()).flatten(2).square().mean(2)
        nearest = gap.min(1)
        counts = torch.bincount(nearest.indices, minlength=len(self.raw))
        p = stats.chisquare(counts.numpy(), (self.weights * len(images)).numpy()).pvalue
        assert p > 1e-4, (p, counts)
        return float(nearest.values.mean().sqrt())


class Exact(nn.Module):
    """The network whose output a head reads as the exact generator."""

    def __init__(self, data, model):
        super().__init__()
        self.data, self.head, self.codec = data, model.config.head, model.codec
        self.unused = nn.Parameter(torch.zeros(()))

    def forward(self, x, t, condition=None):
        """Return the outputs at the states `x` and times `t`."""
        return self.read(self.head, x, t)

    def read(self, head, x, t):
        """Return what a head reads."""
        if isinstance(head, JointHead):
            parts = [self.read(one, x, t) for one in head.heads]
            return torch.cat([p if p.ndim > x.ndim else p[..., None] for p in parts], -1)
        if isinstance(head, JumpHead):
            return torch.cat(
                [self.jump(head, *few) for few in zip(x.split(64), t.split(64), strict=True)]
            )
        posterior = self.data.posterior(x, t)
        if isinstance(head, FlowHead):
            x_1 = torch.einsum("bk,k...->b...", posterior, self.data.points)
            return self.data.path.convert(x_1, "x_1", head.prediction, x, t)
        points, levels = self.data.points, head.levels
        if points.is_floating_point():
            points = ((points + 1) * (levels - 1) / 2).round().long()
        here = nn.functional.one_hot(points, levels).float()
        return torch.einsum("bk,k...->b...", posterior, here).log()

    def jump(self, head, x, t):
        """Return logits of bins and the rate: means over the grey levels of each pixel."""
        greys, _ = self.codec.encode((GREYS.view(-1, 1, 1, 1).expand(-1, *x.shape[2:], 1), None))
        here = (self.data.points[:, None] == greys).float()
        weights = torch.einsum("bk,kl...->bl...", self.data.posterior(x, t), here)
        path, conditional = self.data.path, solution(self.data.path, Jump)
        exact = conditional(path, x[:, None], t[:, None], greys[None]).average(weights)
        cells = head(path, x.new_zeros(*x.shape, head.channels), x, t).destination.cells
        mass = exact.destination.masses(cells).clamp_min(1e-30)
        rate = exact.intensity / event_rate(path, expand_time(t, x))
        return torch.cat([mass.log(), torch.special.expm1(rate).log()[..., None]], -1)
