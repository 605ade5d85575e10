"""Traces against a known Jacobian, for vectors and images, eager and compiled."""

import pytest
import torch
from torch.testing import assert_close

from feller.core import random
from feller.core.likelihood import ExactTrace, HutchinsonTrace
from feller.core.nn.attention import SelfAttention

SHAPES = [(3,), (2, 2, 3)]


def linear(shape, rng):
    """A random linear field on states of a shape, and its matrix."""
    size = torch.Size(shape).numel()
    matrix = torch.randn(size, size, generator=rng).double()
    return lambda x: (x.flatten(1) @ matrix.T).view_as(x), matrix


@pytest.mark.parametrize("shape", SHAPES)
def test_the_exact_trace_of_a_field(shape, rng):
    f, matrix = linear(shape, rng)
    x = torch.randn(4, *shape, generator=rng).double()
    value, trace = ExactTrace().prepare(x)(lambda x: f(x) + x**3, x)
    assert_close(value, f(x) + x**3)
    assert_close(trace, matrix.trace() + (3 * x**2).flatten(1).sum(1, keepdim=True))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("law", ["signs", "normals"])
def test_hutchinsons_estimates_scatter_about_the_trace(shape, law, rng):
    f, matrix = linear(shape, rng)
    x = torch.randn(2, *shape, generator=rng).double()
    _, estimates = HutchinsonTrace(rng, 4000, law).prepare(x)(f, x)
    assert estimates.shape == (2, 4000)
    error = estimates.std(1) / 4000**0.5
    assert bool(((estimates.mean(1) - matrix.trace()).abs() < 4 * error).all())
    # Var e . A e is the sum of (A + A^T)^2 / 2, without its diagonal for signs.
    spread = (matrix + matrix.T) ** 2 / 2
    spread = spread if law == "normals" else spread - spread.diag().diag()
    assert_close(estimates.var(1), spread.sum().expand(2), rtol=0.1, atol=0)


def test_signs_know_a_diagonal_without_error(rng):
    x = torch.randn(3, 5, generator=rng)
    _, estimates = HutchinsonTrace(rng, 2).prepare(x)(lambda x: x**3, x)
    assert_close(estimates, (3 * x**2).sum(1, keepdim=True).expand(3, 2))


def test_the_directions_stay_and_a_row_has_its_own():
    x = torch.ones(3, 4)

    def mixed(x):
        return x.roll(1, -1) + x.roll(2, -1)

    estimate = HutchinsonTrace(random.rows(0, 0, 3), 5, "normals").prepare(x)
    first = estimate(mixed, x)[1]
    assert_close(estimate(mixed, x)[1], first, rtol=0, atol=0)
    alone = HutchinsonTrace(random.rows(0, 1, 2), 5, "normals").prepare(x[1:2])
    assert_close(alone(mixed, x[1:2])[1], first[1:2])


def test_fused_attention_has_a_trace(rng):
    torch.manual_seed(0)
    attention = SelfAttention(4, num_heads=2).double()
    x = torch.randn(2, 3, 4, generator=rng).double()
    jacobian = torch.autograd.functional.jacobian(lambda x: attention(x).sum(0), x)
    exact = torch.einsum("ijbij->b", jacobian)
    with torch.no_grad():
        assert_close(ExactTrace().prepare(x)(attention, x)[1][:, 0], exact)


@pytest.mark.parametrize(("probes", "law"), [(0, "signs"), (1, "cauchy")])
def test_what_makes_no_estimate_is_refused(probes, law):
    with pytest.raises((ValueError, TypeError)):
        HutchinsonTrace(None, probes, law)


@pytest.mark.compile
@pytest.mark.parametrize("trace", [ExactTrace(), HutchinsonTrace(None, 2)])
def test_traces_compile(trace):
    x = torch.randn(4, 3)
    estimate = trace.prepare(x)
    compiled = torch.compile(lambda x: estimate(lambda y: y.roll(1, -1) * y, x), fullgraph=True)
    assert_close(compiled(x), estimate(lambda y: y.roll(1, -1) * y, x))
