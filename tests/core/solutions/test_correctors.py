"""Correctors: stationary under the path, from data and from a posterior."""

import pytest
import torch
from torch.testing import assert_close

from feller.core.generators import Atoms, Categorical, Jump, stationary
from feller.core.generators.parts import check_parts
from feller.core.models import Model
from feller.core.paths import MixturePath
from feller.core.posteriors import FiniteData
from feller.core.schedules import Cosine, Polynomial
from feller.core.solutions import mixture_corrector, mixture_corrector_from_posterior
from feller.core.solvers import Euler, simulate
from feller.core.sources import Gaussian, Masked, UniformBox, UniformTokens
from feller.core.spaces import Euclidean, Interval, Tokens

D = torch.float64
TOKEN_PATHS = [
    MixturePath(Tokens(5), Masked(4)),
    MixturePath(Tokens(5), UniformTokens(5), Cosine()),
    MixturePath(Tokens(5), UniformTokens(4), Polynomial()),
]
every_token_path = pytest.mark.parametrize("path", TOKEN_PATHS, ids=str)


def f(x):
    return (x.to(D) * 0.7 + 0.3).sum(-1).sin()


@every_token_path
@pytest.mark.parametrize("z", [0, 2])
@pytest.mark.parametrize("t", [0.1, 0.5, 0.9])
def test_it_leaves_the_conditional_law_of_tokens(path, z, t):
    x, z = torch.arange(5)[:, None], torch.tensor([[z]])
    t = torch.tensor(t, dtype=D)
    weights = path.log_density(x, t, z).exp()[:, 0]
    change = mixture_corrector(path, x, t, z).apply(f, x)
    assert abs(float((weights * change).sum())) < 1e-7
    assert float((weights * change).abs().sum()) > 1e-3
    half = mixture_corrector(path, x, t, z)
    forth = half.scaled((x != z).to(D))
    assert abs(float((weights * forth.apply(f, x)).sum())) > 1e-4  # one way alone is not


@pytest.mark.parametrize(
    "path",
    [MixturePath(Interval(), UniformBox(), Cosine()), MixturePath(Euclidean(), Gaussian())],
    ids=str,
)
def test_it_leaves_the_conditional_law_of_numbers(path):
    nodes, t = torch.linspace(0, 1, 20_001, dtype=D)[1:-1, None], torch.tensor(0.6, dtype=D)
    spread = 2 * nodes - 1 if isinstance(path.space, Interval) else torch.special.ndtri(nodes)
    z = torch.tensor([[0.3]], dtype=D)
    x, kappa = torch.cat([spread, z]), path.schedule.alpha(t)
    weights = torch.cat(
        [torch.full((len(spread),), (1 - kappa) / len(spread), dtype=D), kappa[None]]
    )
    change = mixture_corrector(path, x, t, z).apply(f, x)
    assert abs(float((weights * change).sum())) < 1e-5
    assert float((weights * change).abs().sum()) > 1e-2


@every_token_path
def test_from_a_posterior_it_is_the_mean_of_the_conditional_ones(path, rng):
    probabilities = torch.rand(6, 2, 4, generator=rng).double()
    probabilities = probabilities / probabilities.sum(-1, keepdim=True)
    logits = torch.cat([probabilities.log(), torch.full((6, 2, 1), -torch.inf, dtype=D)], -1)
    x = torch.randint(0, 5, (6, 2), generator=rng)
    if isinstance(path.source, Masked):  # an unmasked token is known
        known = torch.nn.functional.one_hot(x, 5).double().log()
        logits = torch.where((x == 4)[..., None], logits, known)
    ours = mixture_corrector_from_posterior(path, x, 0.4, Categorical(logits + 3))
    mean = torch.zeros(6, dtype=D)
    weights = logits.exp()
    for e in range(2):  # linear in the posterior, element by element
        for z in range(4):
            one = x.clone()
            one[:, e] = z
            only = torch.zeros(1, 2, dtype=D)
            only[:, e] = 1
            corrector = mixture_corrector(path, x, 0.4, one).scaled(only)
            mean += weights[:, e, z] * corrector.apply(f, x)
    assert_close(ours.apply(f, x), mean, atol=1e-6, rtol=1e-6)


def test_numbers_have_no_corrector_from_a_posterior():
    path = MixturePath(Interval(), UniformBox())
    law = Atoms(torch.zeros(1, 1, 2), torch.tensor([0.0, 1.0]))
    with pytest.raises(ValueError, match="moves tokens by a Categorical"):
        mixture_corrector_from_posterior(path, torch.zeros(1, 1), 0.5, law)


@every_token_path
def test_a_simulation_with_it_stays_on_the_path(path, rng):
    """From the wrong law, which the corrector alone must mend."""
    z = torch.full((20_000, 1), 1)
    t, along = 0.5, path

    class Corrected(Model):
        space, kinds = along.space, frozenset({Jump})
        path = None

        def __call__(self, x, time, condition=None):
            return mixture_corrector(along, x, t, z).scaled(6.0)

    x_0 = path.sample(z, 0.1, rng)
    x = simulate(Corrected(), x_0, torch.linspace(0, 1, 200), Euler(), rng).state
    truth = float(path.log_density(torch.tensor([[1]]), t, torch.tensor([[1]])).exp())
    spread = (truth * (1 - truth) / 20_000) ** 0.5
    assert float((x == 1).double().mean()) == pytest.approx(truth, abs=4 * spread + 0.02)


def test_it_joins_a_superposition(rng):
    path = TOKEN_PATHS[0]
    data = torch.tensor([[0], [1]])
    z = data.repeat(5, 1)
    x = path.sample(z, 0.5, rng)
    jump = FiniteData(path, Jump, data)(x, 0.5)
    check_parts((1.0 * jump + 0.5 * stationary(mixture_corrector(path, x, 0.5, z))).parts)


def test_a_posterior_may_leave_out_the_mask():
    path, x = MixturePath(Tokens(4), Masked(3)), torch.tensor([[3, 0, 2]])
    logits = torch.tensor([[[0.3, -1.0, 0.5]]]).expand(1, 3, 3)
    full = torch.cat([logits, torch.full((1, 3, 1), -torch.inf)], -1)
    short, long = (
        mixture_corrector_from_posterior(path, x, 0.4, Categorical(each)) for each in (logits, full)
    )
    torch.testing.assert_close(short.intensity, long.intensity)
