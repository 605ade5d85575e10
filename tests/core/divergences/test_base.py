"""Every Bregman divergence: against its potential, its gradient, and its own float64."""

import pytest
import torch
from torch.testing import assert_close

from feller.core.divergences import (
    BregmanDivergence,
    Cosh,
    GeneralizedKL,
    ItakuraSaito,
    Logistic,
    PNorm,
    Range,
    SquaredNorm,
    bregman,
)

DIVERGENCES = [
    SquaredNorm(),
    GeneralizedKL(),
    ItakuraSaito(),
    Logistic(),
    Cosh(),
    PNorm(3.0),
    PNorm(4.5),
]
every_divergence = pytest.mark.parametrize("divergence", DIVERGENCES, ids=str)

CURVATURE = {
    SquaredNorm: lambda d, b: 2.0 + 0 * b,
    GeneralizedKL: lambda d, b: 1 / b,
    ItakuraSaito: lambda d, b: 1 / b**2,
    Logistic: lambda d, b: 1 / b + 1 / (1 - b),
    Cosh: lambda d, b: b.cosh(),
    PNorm: lambda d, b: (d.p - 1) * b.abs() ** (d.p - 2),
}
DEGREE = {SquaredNorm: 2, GeneralizedKL: 1, ItakuraSaito: 0, PNorm: None}  # D(ca, cb) = c^n D(a, b)

POSITIVE = [1e-30, 1e-12, 1e-4, 0.03, 0.9, 1.0, 7.0, 1e4, 1e12]
EXTREMES = {  # numbers for float32, whose divergences it can hold
    SquaredNorm: [0.0, *POSITIVE, *(-a for a in POSITIVE)],
    GeneralizedKL: [0.0, *POSITIVE, 1e30],
    ItakuraSaito: POSITIVE[1:],
    Logistic: [0.0, 1e-30, 1e-7, 0.01, 0.4, 0.5, 0.6, 0.99, 1 - 2**-20, 1.0],
    Cosh: [0.0, 1e-20, 1e-3, 0.3, 1.0, 20.0, 80.0, -0.3, -1.0, -20.0, -80.0],
    PNorm: [0.0, 1e-6, 1e-4, 0.03, 0.9, 1.0, 7.0, 1e4, -1e-6, -0.03, -1.0, -1e4],
}


def inside(divergence, rng, *shape):
    """Numbers of order one, in the domain."""
    u = torch.rand(shape, generator=rng, dtype=torch.float64)
    if divergence.domain.high == 1:
        return 0.02 + 0.96 * u
    return 0.05 + 3 * u if divergence.domain.low == 0 else 4 * u - 2


def gradient(divergence, target, predicted):
    predicted = predicted.clone().requires_grad_()
    return torch.autograd.grad(divergence(target, predicted).sum(), predicted)[0]


def test_every_divergence_is_tested():
    known = BregmanDivergence.__subclasses__()
    ours = {c for c in known if c.__module__.startswith("feller.core.")}
    assert ours == {type(divergence) for divergence in DIVERGENCES} == set(CURVATURE)


@every_divergence
def test_a_divergence_is_that_of_its_potential(divergence, rng):
    target, predicted = inside(divergence, rng, 500), inside(divergence, rng, 500)
    expected = bregman(divergence.potential, target, predicted)
    assert_close(divergence(target, predicted), expected, atol=1e-13, rtol=1e-10)


@every_divergence
def test_the_two_forms_meet(divergence, rng):
    """Around the distance at which the form changes, and far inside it."""
    predicted = inside(divergence, rng, 400)
    for ratio in (0.09, 0.11, 0.124, 0.126, 0.15):
        target = predicted * (1 - ratio)
        expected = bregman(divergence.potential, target, predicted)
        assert_close(divergence(target, predicted), expected, atol=1e-13, rtol=1e-10)
    expected = CURVATURE[type(divergence)](divergence, predicted)
    found = divergence(predicted * (1 - 1e-9), predicted) / (predicted * 1e-9) ** 2 * 2
    assert_close(found, expected, rtol=1e-6, atol=0)


@every_divergence
def test_a_divergence_vanishes_at_the_target_only(divergence, rng):
    target = inside(divergence, rng, 50)
    assert not divergence(target, target).any()
    assert (divergence(target, inside(divergence, rng, 50)) > 0).all()
    single = target.float()
    assert not divergence(single, single).any()
    assert (divergence(single.nextafter(torch.tensor(5.0)), single) > 0).all()
    assert (divergence(single.nextafter(torch.tensor(-5.0)), single) > 0).all()


@every_divergence
def test_the_gradient_is_the_difference_times_the_curvature(divergence, rng):
    predicted = inside(divergence, rng, 500)
    far = inside(divergence, rng, 500)
    near = predicted * (1 - 0.1 * torch.rand(500, generator=rng, dtype=torch.float64))
    for target in (far, near, predicted * (1 - 1e-7), predicted):
        expected = -(target - predicted) * CURVATURE[type(divergence)](divergence, predicted)
        assert_close(gradient(divergence, target, predicted), expected, rtol=1e-8, atol=1e-12)


@every_divergence
@pytest.mark.parametrize("distance", [1e-6, 1e-4, 1e-2, 0.3])
def test_float32_keeps_its_digits_at_all_distances(divergence, distance, rng):
    predicted = inside(divergence, rng, 200).float()
    target = predicted * (1 - distance)
    exact = divergence(target.double(), predicted.double())
    assert_close(divergence(target, predicted).double(), exact, rtol=2e-4, atol=0)
    slope = gradient(divergence, target.double(), predicted.double())
    assert_close(gradient(divergence, target, predicted).double(), slope, rtol=2e-4, atol=0)


@every_divergence
def test_float32_at_the_extremes_is_float64(divergence):
    numbers = torch.tensor(EXTREMES[type(divergence)])
    target, predicted = torch.cartesian_prod(numbers, numbers).unbind(-1)
    exact = divergence(target.double(), predicted.double())
    found = divergence(target, predicted)
    representable = exact < torch.finfo(torch.float32).max
    assert not found.isnan().any()
    assert (found >= 0).all()
    tiny = 1e-38  # below, float32 has few digits or none
    assert_close(found[representable].double(), exact[representable], rtol=1e-4, atol=tiny)
    assert found[~representable].isinf().all()


@every_divergence
def test_the_gradient_is_finite_wherever_the_divergence_is(divergence):
    numbers = torch.tensor(EXTREMES[type(divergence)], dtype=torch.float64)
    target, predicted = torch.cartesian_prod(numbers, numbers).unbind(-1)
    finite = divergence(target, predicted).isfinite()
    assert finite[target == predicted].all()
    assert gradient(divergence, target, predicted)[finite].isfinite().all()
    edges = [end for end in (0.0, 1.0) if divergence.domain.high == 1 or end == 0]
    if divergence.domain.closed and divergence.domain.low == 0:
        for end in edges:  # the one-sided limit: a certain coin, a rate of zero
            slope = gradient(divergence, torch.tensor([end]), torch.tensor([end]))
            assert_close(slope.abs(), torch.ones(1))


@pytest.mark.parametrize("divergence", [d for d in DIVERGENCES if type(d) in DEGREE], ids=str)
def test_a_homogeneous_divergence_scales(divergence, rng):
    target, predicted = inside(divergence, rng, 50), inside(divergence, rng, 50)
    degree = DEGREE[type(divergence)]
    degree = divergence.p if degree is None else degree
    assert_close(divergence(3 * target, 3 * predicted), 3.0**degree * divergence(target, predicted))


@every_divergence
def test_shapes_broadcast(divergence, rng):
    target, predicted = inside(divergence, rng, 4, 1, 3), inside(divergence, rng, 5, 1)
    expected = divergence(target.expand(4, 5, 3), predicted.expand(4, 5, 3))
    assert_close(divergence(target, predicted), expected)


@pytest.mark.parametrize(
    ("divergence", "target", "predicted", "message"),
    [
        (GeneralizedKL(), -0.5, 1.0, r"target of GeneralizedKL is -0\.5: it is in \[0, inf\)$"),
        (GeneralizedKL(), 0.5, -1.0, r"predicted of GeneralizedKL is -1: it is in \[0, inf\)$"),
        (ItakuraSaito(), 0.0, 1.0, r"target of ItakuraSaito is 0: it is in \(0, inf\)$"),
        (Logistic(), 0.0, 1.5, r"predicted of Logistic is 1\.5: it is in \[0, 1\]$"),
    ],
)
def test_numbers_outside_the_domain_are_refused(divergence, target, predicted, message):
    with pytest.raises(ValueError, match=message):
        divergence(torch.tensor([1.0, target]).clamp_max(1), torch.tensor([0.5, predicted]))


@every_divergence
def test_nothing_waits_for_a_device(divergence):
    """Tensors of which only the shape is known pass, as those on an accelerator do."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    there = torch.empty(3, device="meta")
    assert divergence(there, there).device.type == "meta"
    with FakeTensorMode():
        fake = torch.empty(3)
        assert divergence(fake, fake).shape == (3,)


@every_divergence
def test_a_divergence_can_be_mapped(divergence, rng):
    target, predicted = inside(divergence, rng, 5, 3), inside(divergence, rng, 5, 3)
    slope = torch.func.grad(lambda b, a: divergence(a, b).sum())
    each = torch.func.vmap(slope)(predicted, target)
    assert_close(each, gradient(divergence, target, predicted))


@pytest.mark.compile
@every_divergence
def test_a_compiled_divergence_is_the_eager_one(divergence, rng):
    target, predicted = inside(divergence, rng, 50), inside(divergence, rng, 50)
    torch._dynamo.reset()
    compiled = torch.compile(divergence, fullgraph=True)
    assert_close(compiled(target, predicted), divergence(target, predicted))
    assert_close(gradient(compiled, target, predicted), gradient(divergence, target, predicted))


@every_divergence
def test_bfloat16_is_as_good_as_its_digits(divergence, rng):
    target, predicted = (inside(divergence, rng, 200).bfloat16() for _ in range(2))
    exact = divergence(target.double(), predicted.double())
    scale = exact + (target.double() - predicted.double()).abs()
    assert ((divergence(target, predicted).double() - exact).abs() / scale).max() < 0.1


def both_gradients(loss, divergence, rng, states=5, data=4):
    """The gradient of the conditional and of the marginal loss, by enumerating a finite problem.

    The joint law of data and states, the conditional targets and the predictions are arbitrary.
    """
    joint = torch.rand((data, states), generator=rng, dtype=torch.float64)
    joint = joint / joint.sum()
    targets = inside(divergence, rng, data, states)
    predicted = inside(divergence, rng, states).requires_grad_()
    conditional = (joint * loss(targets, predicted.expand(data, states))).sum()
    means = (joint * targets).sum(0) / joint.sum(0)
    marginal = (joint.sum(0) * loss(means, predicted)).sum()
    return [torch.autograd.grad(loss, predicted)[0] for loss in (conditional, marginal)]


@every_divergence
def test_the_conditional_loss_has_the_marginal_gradient(divergence, rng):
    conditional, marginal = both_gradients(divergence, divergence, rng)
    assert_close(conditional, marginal, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "loss",
    [
        lambda a, b: (a - b).abs() ** 1.5,
        lambda a, b: torch.nn.functional.huber_loss(b, a, reduction="none", delta=0.2),
        lambda a, b: GeneralizedKL()(b, a),
    ],
    ids=["power 1.5", "huber", "reversed"],
)
def test_a_loss_that_bends_in_the_target_has_not(loss, rng):
    conditional, marginal = both_gradients(loss, GeneralizedKL(), rng)
    assert (conditional - marginal).abs().max() > 3e-3


def test_the_definition_knows_the_relative_entropy(rng):
    target, predicted = inside(GeneralizedKL(), rng, 50), inside(GeneralizedKL(), rng, 50)
    expected = target * (target / predicted).log() - target + predicted
    assert_close(bregman(lambda a: a * a.log(), target, predicted), expected)


def test_an_interval_knows_its_ends():
    assert 0.0 in Range(0.0)
    assert 0.0 not in Range(0.0, closed=False)
    assert [str(i) for i in (Range(), Range(0.0, 1.0))] == ["(-inf, inf)", "[0, 1]"]
