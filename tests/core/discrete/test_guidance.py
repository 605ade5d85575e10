"""Guidance: the bent law itself, on tokens of which everything is known."""

import pytest
import torch
from chains import SOURCES, drawn, exact_model, likelihood, posterior, random_law
from torch.testing import assert_close

from feller.core.discrete.guidance import ClassifierFree, PredictorGuided
from feller.core.discrete.kernel import Kernel, log_source
from feller.core.discrete.models import TokenModel
from feller.core.discrete.parametrizations import convert_logits
from feller.core.discrete.solvers import FirstHitting, Leap

every_source = pytest.mark.parametrize("noise", SOURCES)
PLAIN, LABELLED = torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0.1, 0.2, 0.7])


class Conditional(TokenModel):
    """One law without a condition, another with it."""

    def __init__(self, noise, form="posterior", points=None, plain=PLAIN, labelled=LABELLED):
        points = torch.arange(3)[:, None] if points is None else points
        self.without, self.with_ = (
            exact_model(noise, points, law, parametrization=form) for law in (plain, labelled)
        )
        self.path, self.vocabulary = self.without.path, self.without.vocabulary
        self.parametrization = form

    def logits(self, x, kappa, condition=None, *, where=None):
        model = self.without if condition is None else self.with_
        return model.logits(x, kappa, where=where)


@pytest.mark.parametrize("scale", [0.0, 0.5, 1.0, 3.0])
@every_source
def test_the_law_of_a_lone_token_is_bent(noise, scale, rng):
    """One leap from pure noise draws from p_c^w p_0^(1-w), normalised."""
    guided = ClassifierFree(Conditional(noise), scale)
    labels = torch.ones(6000, dtype=torch.int64)
    x = torch.zeros(6000, 1, dtype=torch.int64)
    chains = drawn(guided, Leap(), x, rng, steps=1, condition=labels)
    bent = LABELLED.double() ** scale * PLAIN.double() ** (1 - scale)
    assert likelihood(chains.x, bent / bent.sum(), 3) > 0.001
    assert (chains.nfe == (1 if scale in (0, 1) else 2)).all()


class Dropped(Conditional):
    """Its condition is -1 where it says nothing, as for models of one's own."""

    def unconditional(self, condition):
        return torch.full_like(condition, -1)

    def logits(self, x, kappa, condition=None, *, where=None):
        known = None if condition.eq(-1).all() else condition
        return super().logits(x, kappa, known, where=where)


def test_the_model_says_what_stands_for_no_condition():
    x, kappa, label = torch.tensor([[3]]), torch.zeros(1).double(), torch.ones(1)
    found, due = (
        ClassifierFree(model("mask"), 2.0).logits(x, kappa, label)
        for model in (Dropped, Conditional)
    )
    assert_close(found, due)


def test_without_a_condition_there_is_no_guidance(rng):
    guided = ClassifierFree(Conditional("mask"), 3.0)
    chains = drawn(guided, Leap(), torch.zeros(6000, 1, dtype=torch.int64), rng, steps=1)
    assert likelihood(chains.x, PLAIN.double(), 3) > 0.001
    assert (chains.nfe == 1).all()


@every_source
def test_both_forms_are_bent_alike(noise):
    """The evidence of the state for itself passes through, as the weights sum to one."""
    points, law = random_law(3, 2)
    _, other = random_law(3, 2, seed=1)
    size = 3 + noise.startswith("mask")
    x = torch.cartesian_prod(*[torch.arange(size)] * 2)
    kappa = torch.full((len(x),), 0.4).double()
    bent = {}
    for form in ("posterior", "leave_one_out"):
        model = Conditional(noise, form, points, law, other)
        logits = ClassifierFree(model, 2.5).logits(x, kappa, torch.ones(len(x)))
        evidence = Kernel(kappa[:, None].expand(x.shape), log_source(model.path.source, size))
        pair = (form, "posterior")
        bent[form] = convert_logits(logits, pair, evidence.evidence(x), x).softmax(-1)
    assert_close(bent["posterior"], bent["leave_one_out"])


def test_what_the_condition_rules_out_stays_out():
    model = Conditional("mask", plain=PLAIN, labelled=torch.tensor([0.0, 0.5, 0.5]))
    mask, kappa = torch.tensor([[3]]), torch.zeros(1).double()
    label = torch.ones(1)
    law = ClassifierFree(model, 4.0).logits(mask, kappa, label).softmax(-1)[0, 0]
    assert law[0] == 0
    assert law.isfinite().all()
    model = Conditional("mask", plain=torch.tensor([0.0, 0.5, 0.5]), labelled=LABELLED)
    law = ClassifierFree(model, 4.0).logits(mask, kappa, label).softmax(-1)[0, 0]
    assert law.isfinite().all() and law[0] > 0  # only the condition allows it
    assert law.isfinite().all()


def test_a_prompt_can_be_the_condition(rng):
    """The unconditional model sees the first token masked."""
    points, law = random_law(3, 2, seed=4)
    model = exact_model("mask", points, law)
    hidden = torch.tensor([True, False])
    guided = ClassifierFree(model, 2.0, hidden)
    x, free = torch.full((6000, 2), 1), ~hidden.expand(6000, 2)
    chains = drawn(guided, FirstHitting(), x, rng, free=free)
    table = law.view(3, 3)
    bent = (table[1] / table[1].sum()) ** 2 / table.sum(0)
    assert likelihood(chains.x[:, 1:], bent / bent.sum(), 3) > 0.001
    assert (chains.x[:, 0] == 1).all()
    assert (chains.nfe == 2).all()
    with pytest.raises(ValueError, match="the vocabulary has no mask"):
        ClassifierFree(exact_model("uniform", points, law), 2.0, hidden)


@every_source
def test_a_predictor_that_is_linear_bends_exactly(noise, rng):
    """log p(c | x) = sum of w[x^i]: independent tokens get weights e^w each, to the letter."""
    points, _ = random_law(3, 2)
    law = (PLAIN[points[:, 0]] * LABELLED[points[:, 1]]).double()
    model = exact_model(noise, points, law)
    w = torch.tensor([0.7, -0.4, 0.2])[: model.vocabulary.sampleable].double()
    embedding = torch.nn.functional.pad(w, (0, model.vocabulary.size - 3))[:, None]
    guided = PredictorGuided(model, lambda e, kappa: e.sum((1, 2)), embedding, 2.0)
    x = torch.zeros(6000, 2, dtype=torch.int64)
    chains = drawn(guided, Leap(), x, rng, steps=2)
    bent = law * (2 * w[points].sum(1)).exp()
    assert likelihood(chains.x, bent / bent.sum(), 3) > 0.001


def test_a_predictor_bends_to_first_order():
    """A small scale: the log law changes by the exact log ratio of the predictor, to O(scale)."""
    points, law = random_law(3, 2)
    model = exact_model("uniform", points, law)
    embedding = 0.01 * torch.randn(3, 4, generator=torch.Generator().manual_seed(0)).double()
    mix = torch.randn(4, 4, generator=torch.Generator().manual_seed(1)).double()

    def predictor(e, kappa):
        return ((e @ mix).tanh() * e.roll(1, 1)).sum((1, 2))

    x, kappa = torch.tensor([[1, 2]]), torch.tensor([0.5]).double()
    guided = PredictorGuided(model, predictor, embedding, 1.0)
    change = guided.logits(x, kappa)[0] - model.logits(x, kappa)[0]
    for i in range(2):
        moved = x.expand(3, 2).clone()
        moved[:, i] = torch.arange(3)
        exact = predictor(embedding[moved], kappa)
        exact = exact - exact[x[0, i]]
        ours = change[i] - change[i, x[0, i]]
        assert_close(ours, exact, atol=0.1 * float(exact.abs().max()), rtol=0)
    where = torch.tensor([[False, True]])
    assert_close(guided.logits(x, kappa, where=where), guided.logits(x, kappa)[where])
    assert posterior(model, x, 0.5).shape == (1, 2, 3)


class Recording(TokenModel):
    """A model that remembers what it was asked."""

    def __init__(self, model):
        self.model, self.asked = model, []
        self.path, self.vocabulary = model.path, model.vocabulary
        self.parametrization = model.parametrization

    def logits(self, x, kappa, condition=None, *, where=None):
        self.asked.append((x.clone(), torch.as_tensor(kappa).clone()))
        return self.model.logits(x, kappa, condition, where=where)


def test_of_a_hidden_prompt_nothing_has_arrived(rng):
    """With tokens among the noise, a mask that has arrived is a state that cannot be."""
    points, law = random_law(3, 2)
    model = Recording(exact_model("mask+uniform", points, law))
    hidden = torch.tensor([True, False])
    x, free = torch.tensor([[1, 0]]).expand(4000, 2), (~hidden).expand(4000, 2)
    guided = ClassifierFree(model, 2.0, hidden)
    chains = drawn(guided, Leap(), x, rng, steps=1, free=free)
    x_asked, kappa = model.asked[0]
    assert (x_asked[:, 0] == 3).all() and (kappa[:, 0] == 0).all()
    joint = torch.zeros(3, 3).double().index_put(tuple(points.T), law.double(), accumulate=True)
    bent = (joint[1] / joint[1].sum()) ** 2 / joint.sum(0)
    assert likelihood(chains.x[:, 1:], bent / bent.sum(), 3) > 0.001


def test_guides_of_guides_count_all_calls_and_know_inference_mode(rng):
    inner = ClassifierFree(Conditional("mask"), 3.0)
    embedding = torch.randn(4, 2, generator=rng)
    outer = PredictorGuided(
        inner, lambda e, kappa: (e * kappa[:, None, None]).sum((1, 2)), embedding
    )
    assert outer.network_calls(0.5, 1) == 2
    assert ClassifierFree(inner, 2.0).network_calls(0.5, 1) == 4
    x, kappa = torch.full((5, 1), 3), torch.full((5,), 0.5).double()
    expected = outer.logits(x, kappa, 1)
    with torch.inference_mode():
        x, kappa = torch.full((5, 1), 3), torch.full((5,), 0.5).double()
        assert_close(outer.logits(x, kappa, 1), expected)
