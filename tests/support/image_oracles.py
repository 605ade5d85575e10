"""Exact networks: what each head is to read at x_t, of finitely many images that are known."""

from dataclasses import dataclass

import torch
from scipy import stats
from torch import nn

from feller.core.generators import Jump
from feller.core.heads import FlowHead, JointHead, JumpHead
from feller.core.posteriors import FiniteData, _log_likelihood, _posterior
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
        """Reject images that are not these, or not as often: return the root mean square error."""
        gap = (images[:, None].float() - self.raw.float()).flatten(2).square().mean(2)
        nearest = gap.min(1)
        counts = torch.bincount(nearest.indices, minlength=len(self.raw))
        p = stats.chisquare(counts.numpy(), (self.weights * len(images)).numpy()).pvalue
        assert p > 1e-4, (p, counts)
        return float(nearest.values.mean().sqrt())


class Exact(nn.Module):
    """The network whose output a head reads as the exact generator.

    The images have few grey levels: what it asks is asked of these, pixel by pixel.
    """

    def __init__(self, data, model):
        super().__init__()
        self.data, self.head = data, model.config.head
        plain = GREYS.view(-1, 1, 1, 1).expand(-1, *model.codec.shape[1:], 1)
        self.greys = model.codec.encode((plain, None))[0][:, 0, 0, 0]
        self.here = (data.points[:, None] == self.greys.view(-1, 1, 1, 1)).float()
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
        posterior = self.posterior(x, t)
        if isinstance(head, FlowHead):
            x_1 = torch.einsum("bk,k...->b...", posterior, self.data.points)
            return self.data.path.convert(x_1, "x_1", head.prediction, x, t)
        logits = x.new_full((*x.shape, head.levels), -torch.inf, dtype=torch.float32)
        levels = self.greys
        if levels.is_floating_point():
            levels = ((levels + 1) * (head.levels - 1) / 2).round().long()
        logits[..., levels] = self.of_greys(posterior).movedim(1, -1).log()
        return logits

    def posterior(self, x, t):
        """Return the probability of each image `(b, k)`, from those of the greys of each pixel."""
        few = self.greys.view(-1, 1, 1, 1)
        each = _log_likelihood(
            self.data.path,
            x.reshape(-1, 1, 1, 1),
            t.repeat_interleave(x[0].numel()),
            few,
            self.data.width,
        )
        each = each.clamp_min(-1e9).view(len(x), -1)  # of pixel and grey
        here = self.here.movedim(1, -1).reshape(len(self.data.points), -1)
        return _posterior(each @ here.T, self.data.weights)

    def of_greys(self, posterior):
        """Return the probability of each grey level at each pixel, `(b, greys, c, h, w)`."""
        return torch.einsum("bk,kl...->bl...", posterior, self.here)

    def jump(self, head, x, t):
        """Return logits of bins and the rate: means over the grey levels of each pixel."""
        greys = self.greys.view(-1, 1, 1, 1).expand(-1, *x.shape[1:])
        weights = self.of_greys(self.posterior(x, t))
        path, conditional = self.data.path, solution(self.data.path, Jump)
        exact = conditional(path, x[:, None], t[:, None], greys[None]).average(weights)
        cells = head(path, x.new_zeros(*x.shape, head.channels), x, t).destination.cells
        mass = exact.destination.masses(cells).clamp_min(1e-30)
        rate = exact.intensity / event_rate(path, expand_time(t, x))
        return torch.cat([mass.log(), torch.special.expm1(rate).log()[..., None]], -1)
