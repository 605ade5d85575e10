"""Bounds: each is the generalized KL of its rates, and their integrals are what theory says."""

import pytest
import torch
from chains import SOURCES, exact_model, kappas, random_law
from torch.testing import assert_close

from feller.core.discrete import elbo as bounds
from feller.core.discrete.elbo import (
    Rows,
    cross_entropy,
    forward_bound,
    noise_overlap,
    reverse_bound,
)
from feller.core.discrete.kernel import Kernel, log_source, reverse_rates
from feller.core.discrete.parametrizations import convert_logits
from feller.core.sources import Masked, UniformTokens

every_source = pytest.mark.parametrize("noise", SOURCES)
every_form = pytest.mark.parametrize("form", ["posterior", "leave_one_out"])
V = 5


def rows(noise, seed=0, m=400):
    """Random logits, data and states of every kind, and the law of each row."""
    rng = torch.Generator().manual_seed(seed)
    size = V + noise.startswith("mask")
    logits = 2 * torch.randn(m, V, generator=rng, dtype=torch.float64)
    x = torch.randint(V, (m,), generator=rng)
    kappa = 0.02 + 0.96 * torch.rand(m, generator=rng, dtype=torch.float64)
    z = SOURCES[noise](V).sample((m,), rng)
    z = torch.where(torch.rand(m, generator=rng) < kappa, x, z)
    return logits, x, z, Kernel(kappa, log_source(SOURCES[noise](V), size))


def laws(logits, z, kernel, form):
    """The two laws in full: posterior and leave-one-out probabilities of every id."""
    posterior, alone = (
        convert_logits(logits, (form, asked), kernel.evidence(z), z).softmax(-1)
        for asked in ("posterior", "leave_one_out")
    )
    return posterior, torch.nn.functional.pad(alone, (0, len(kernel.log_source) - V))


def divergence(given, model, z):
    """sum over y != z of R' - R + R log(R / R')."""
    terms = model - given + torch.where(given > 0, given * (given / model).log(), 0.0)
    return terms.scatter(-1, z[:, None], 0.0).sum(-1)


@every_source
@every_form
def test_the_reverse_term_is_the_divergence_of_its_rates(noise, form):
    logits, x, z, kernel = rows(noise)
    _, alone = laws(logits, z, kernel, form)
    at_x = torch.eye(len(kernel.log_source)).double()[x]
    expected = divergence(reverse_rates(at_x, z, kernel), reverse_rates(alone, z, kernel), z)
    ours = reverse_bound(Rows(logits, x, z, kernel, form))
    free = ~kernel.decided(z)
    assert_close(ours[free], expected[free])
    assert not ours[~free].any()


@every_source
@every_form
def test_the_forward_term_is_the_divergence_of_its_rates(noise, form):
    logits, x, z, kernel = rows(noise)
    posterior, _ = laws(logits, z, kernel, form)
    hazard = 1 / (1 - kernel.kappa)[:, None]
    pad = (0, len(kernel.log_source) - V)
    at_x, p = (torch.nn.functional.pad(law, pad) for law in (torch.eye(V).double()[x], posterior))
    ours = forward_bound(Rows(logits, x, z, kernel, form))
    free = ~kernel.decided(z)
    assert_close(ours[free], divergence(hazard * at_x, hazard * p, z)[free])
    assert not ours[~free].any()


@every_source
@every_form
def test_cross_entropy_is_that_of_the_posterior(noise, form):
    logits, x, z, kernel = rows(noise)
    posterior, _ = laws(logits, z, kernel, form)
    expected = -posterior.gather(-1, x[:, None])[:, 0].log()
    free = ~kernel.decided(z)
    ours = cross_entropy(Rows(logits, x, z, kernel, form))
    assert_close(ours[free], expected[free])
    assert not ours[~free].any()


def test_for_the_mask_both_bounds_are_weighted_cross_entropy():
    """P4, P5: -log p(x) / (1 - kappa) where masked, 0 elsewhere."""
    logits, x, z, kernel = rows("mask")
    expected = -logits.log_softmax(-1).gather(-1, x[:, None])[:, 0] / (1 - kernel.kappa)
    expected = torch.where(z == V, expected, 0.0)
    for form in ("posterior", "leave_one_out"):
        assert_close(forward_bound(Rows(logits, x, z, kernel, form)), expected)
        assert_close(reverse_bound(Rows(logits, x, z, kernel, form)), expected)


def test_the_uniform_reverse_term_has_the_published_closed_form():
    """P6: equation 18 of arXiv 2412.10193 with alpha = kappa, alpha' = -1, in plain sums."""
    logits, x, z, kernel = rows("uniform")
    p, kappa = logits.softmax(-1), kernel.kappa
    bar = V * kappa[:, None] * torch.eye(V).double()[x] + 1 - kappa[:, None]
    bar_p = V * kappa[:, None] * p + 1 - kappa[:, None]
    at_z, at_z_p = (b.gather(-1, z[:, None]) for b in (bar, bar_p))
    inner = V / at_z - V / at_z_p
    inner = inner - (bar / at_z * ((bar * at_z_p).log() - (bar_p * at_z).log())).sum(-1, True)
    expected = -inner[:, 0] / (V * kappa)
    assert_close(reverse_bound(Rows(logits, x, z, kernel, "leave_one_out")), expected)


def integral(bound, noise, points, weights, form="leave_one_out"):
    """The bound of an exact model, in nats: quadrature over kappa, enumeration over x and z."""
    model = exact_model(noise, points, weights, parametrization=form)
    v, n = model.vocabulary.size, model.points.shape[1]
    z = torch.cartesian_prod(*[torch.arange(v)] * n).view(-1, n)
    pi, total = log_source(model.path.source, v), 0.0
    for kappa, share in zip(*kappas(), strict=True):
        kernel = Kernel(kappa.expand(z.shape), pi)
        flat = Kernel(kernel.kappa.flatten(), pi)
        logits = model.logits(z, kernel.kappa)
        for x, weight in zip(model.points, model.weights, strict=True):
            x = x.expand_as(z)
            terms = bound(Rows(logits.flatten(0, 1), x.flatten(), z.flatten(), flat, form))
            chance = kernel.log_prob(z, x).sum(-1).exp()
            reached = chance > 0  # elsewhere the exact posterior is of nothing
            terms = terms.view(z.shape).sum(-1)
            total = total + share * weight * (chance[reached] @ terms[reached])
    return float(total)


def entropy(weights):
    w = torch.as_tensor(weights, dtype=torch.float64)
    w = w / w.sum()
    return float(-(w * w.log()).sum())


P7 = {  # entropy and forward bound, nats: one token, uniform source
    (0.975138, 0.024862): (0.1164, 0.15181),
    (0.9, 0.1): (0.32508, 0.40973),
    (0.5, 0.5): (0.69315, 0.84657),
    (0.7, 0.2, 0.1): (0.80182, 1.03532),
    (1,) * 4: (1.38629, 1.78972),
}


@pytest.mark.parametrize("weights", P7, ids=lambda w: f"{len(w)} tokens, {w[0]}")
def test_the_reverse_bound_reaches_the_entropy_and_the_forward_one_does_not(weights):
    points = torch.arange(len(weights))[:, None]
    tight, loose = P7[weights]
    assert entropy(weights) == pytest.approx(tight, abs=1e-5)
    for form in ("posterior", "leave_one_out"):
        reverse = integral(reverse_bound, "uniform", points, weights, form)
        forward = integral(forward_bound, "uniform", points, weights, form)
        assert reverse == pytest.approx(tight, abs=1e-5)
        assert forward == pytest.approx(loose, abs=2e-5)


@every_source
@pytest.mark.parametrize(("v", "n"), [(8, 1), (3, 2)])
def test_the_reverse_bound_reaches_the_entropy_for_every_source(noise, v, n):
    points, weights = random_law(v, n, seed=3)
    reached = integral(reverse_bound, noise, points, weights)
    assert reached == pytest.approx(entropy(weights), abs=1e-5)
    forward = integral(forward_bound, noise, points, weights)
    assert (
        forward == pytest.approx(reached, abs=1e-6) if noise == "mask" else forward > reached + 0.05
    )


@every_form
@pytest.mark.parametrize("term", [forward_bound, reverse_bound, cross_entropy])
@every_source
def test_gradients_are_those_of_the_formulas(term, noise, form):
    logits, x, z, kernel = rows(noise, m=12)

    def total(logits):
        return term(Rows(logits, x, z, kernel, form)).sum()

    assert torch.autograd.gradcheck(total, logits.requires_grad_())


def test_the_overlap_is_its_sum_whatever_the_chunk(monkeypatch):
    logits, _, _, kernel = rows("unigram", m=7)
    offset, normalizer = torch.linspace(-3, 3, 7).double(), logits.logsumexp(-1)
    pi = kernel.log_source.clone()
    pi[2] = -torch.inf
    p = logits.softmax(-1)
    ratio = offset.exp()[:, None] * p / pi.exp()
    expected = torch.where(pi.exp() > 0, pi.exp() * ratio.log1p(), 0.0).sum(-1)
    for chunk in (2, 5, 4096):
        monkeypatch.setattr(bounds, "CHUNK", chunk)
        assert_close(noise_overlap(logits, normalizer, offset, pi), expected)


@every_form
@pytest.mark.parametrize("kappa", [1e-6, 1 - 1e-6])
def test_single_precision_keeps_its_digits_at_both_ends(kappa, form):
    """float32 logits against float64, on 1000 tokens, relative to a nat."""
    rng = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(200, 1000, generator=rng)
    x, noise = (torch.randint(1000, (200,), generator=rng) for _ in range(2))
    z = torch.where(torch.arange(200) % 2 == 0, x, noise)
    kernel = Kernel(torch.full((200,), kappa).double(), log_source(UniformTokens(1000), 1000))
    ours, exact = (
        reverse_bound(Rows(each, x, z, kernel, form)).double() for each in (logits, logits.double())
    )
    assert ours.isfinite().all()
    assert_close(ours * min(1, 1 - kappa), exact * min(1, 1 - kappa), rtol=1e-3, atol=1e-4)


def test_confident_logits_give_finite_losses_and_gradients():
    kernel = Kernel(torch.full((4,), 0.5).double(), log_source(Masked(3), 4))
    for form in ("posterior", "leave_one_out"):
        for term in (forward_bound, reverse_bound, cross_entropy):
            logits = torch.tensor([[80.0, -80.0, 0.0]] * 4, requires_grad=True)
            z, x = torch.tensor([3, 0, 3, 1]), torch.tensor([0, 0, 1, 1])
            term(Rows(logits, x, z, kernel, form)).sum().backward()
            assert logits.grad.isfinite().all()
            assert not logits.grad[[1, 3]].any()  # decided tokens teach nothing
