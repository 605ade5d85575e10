import copy

import pytest
import torch
from torch import nn

from feller.core.training import Optimizer
from feller.core.training.muon import Muon, matrices, orthogonal


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Embedding(50, 16), nn.Linear(16, 32), nn.Tanh(), nn.Linear(32, 800))


@pytest.mark.parametrize("shape", [(8, 8), (24, 8), (8, 40)])
def test_orthogonal_keeps_the_singular_vectors(shape):
    m = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    u, s, v = torch.linalg.svd(m, full_matrices=False)
    found = u.T @ orthogonal(m) @ v.T
    values = found.diagonal()
    assert ((values > 0.6) & (values < 1.25)).all()
    assert (found - values.diag()).abs().max() < 1e-9
    assert s.max() / s.min() > 2


def test_orthogonal_holds_in_float32_where_directions_differ_much():
    """Against five iterations on the matrix itself, in float64."""
    m = torch.randn(40, 24, generator=torch.Generator().manual_seed(0)) * torch.logspace(0, -5, 24)
    x = m.double() / m.double().norm()
    for _ in range(5):
        x = 3.4445 * x - 4.7750 * x @ x.T @ x + 2.0315 * x @ x.T @ x @ x.T @ x
    assert (orthogonal(m) - x).abs().max() < 1e-3
    assert (orthogonal(m.T) - x.T).abs().max() < 1e-3


def test_matrices_are_hidden_ones():
    chosen = matrices(net())
    assert [tuple(p.shape) for p in chosen] == [(32, 16)]  # no embedding, no head of 800, no bias


def test_a_tied_head_is_no_hidden_matrix():
    model = nn.Sequential(nn.Embedding(40, 16), nn.Linear(16, 40, bias=False))
    model[1].weight = model[0].weight
    assert not matrices(model)


def test_a_convolution_is_one():
    model = nn.Conv1d(8, 8, 3)
    model(torch.randn(4, 8, 9)).square().sum().backward()
    optimizer, before = Muon(model, lr=0.1), model.weight.detach().clone()
    optimizer.step()
    change = (model.weight.detach() - before).flatten(1)
    values = torch.linalg.svdvals(change) / (0.1 * 0.2 * 24**0.5)
    assert ((values > 0.6) & (values < 1.25)).all()


def test_it_looks_ahead_of_its_momentum():
    """Nesterov: the second step is along 0.05 g + 0.95 m, m the mean of gradients of decay 0.95."""
    model, rng = nn.Linear(6, 4, bias=False), torch.Generator().manual_seed(0)
    optimizer, gradients = Muon(model, lr=0.1), torch.randn(2, 4, 6, generator=rng)
    before = []
    for gradient in gradients:
        before.append(model.weight.detach().clone())
        model.weight.grad = gradient.clone()
        optimizer.step()
    momentum = 0.95 * 0.05 * gradients[0] + 0.05 * gradients[1]
    ahead = orthogonal(0.05 * gradients[1] + 0.95 * momentum)
    torch.testing.assert_close(before[1] - model.weight, 0.1 * 0.2 * 6**0.5 * ahead)


def test_the_rest_steps_as_adamw():
    one, other = nn.LayerNorm(6), nn.LayerNorm(6)
    settings = {"lr": 0.05, "betas": (0.8, 0.95), "weight_decay": 0.1}
    pairs = [
        (one, Muon(one, **settings)),
        (other, torch.optim.AdamW(other.parameters(), **settings)),
    ]
    for i in range(5):
        x = torch.randn(3, 6, generator=torch.Generator().manual_seed(i))
        for model, optimizer in pairs:
            optimizer.zero_grad()
            (model(x) - x**2).square().sum().backward()
            optimizer.step()
    torch.testing.assert_close(one.weight, other.weight)
    torch.testing.assert_close(one.bias, other.bias)


def test_it_learns_faster_where_directions_differ_in_scale():
    """Directions that are no coordinates, which is where AdamW does not see their scales."""
    rng = torch.Generator().manual_seed(0)
    axes, target = (torch.linalg.qr(torch.randn(16, 16, generator=rng))[0] for _ in range(2))
    scale = torch.logspace(0, -2, 16)

    def loss_after(name):
        torch.manual_seed(1)
        model = nn.Linear(16, 16, bias=False)
        optimizer = Optimizer(name=name, lr=0.02).build(model)
        for i in range(150):
            x = torch.randn(64, 16, generator=torch.Generator().manual_seed(i)) * scale @ axes.T
            loss = (model(x) - x @ target.T).square().sum()
            optimizer.param_groups[0]["lr"] = 0.02 * (1 - i / 150)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return float((model.weight.detach() - target).square().sum())

    assert loss_after("muon") < 0.7 * loss_after("adamw")


def test_the_state_comes_back():
    def model():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8))

    def step(m, optimizer):
        optimizer.zero_grad()
        m(torch.ones(2, 4)).square().sum().backward()
        optimizer.step()

    one, other = model(), model()
    first, second = Muon(one), Muon(other)
    step(one, first)
    other.load_state_dict(one.state_dict())
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    step(one, first)
    step(other, second)
    assert one[0].weight.equal(other[0].weight) and one[1].weight.equal(other[1].weight)
