import torch

from feller.proteins.networks import FrameOutput
from feller.proteins.networks.heads import FrameHeads
from feller.proteins.so3.rotations import angle, exp, relative
from feller.proteins.so3.sources import UniformRotations

RNG = torch.Generator().manual_seed(3)


def predict(rotation, hidden, modes=4):
    torch.manual_seed(0)
    heads = FrameHeads(16, modes)
    torch.nn.init.normal_(heads.linear.weight, std=0.1)
    return heads.requires_grad_(False)(
        FrameOutput(hidden, torch.zeros(*rotation.shape[:2], 3), rotation)
    )


def state(b=1, n=3):
    rng = torch.Generator().manual_seed(2)
    rotation = exp(torch.randn(b, n, 3, generator=rng))
    return rotation, torch.randn(b, n, 16, generator=rng)


def test_the_distribution_has_mass_one():
    rotation, hidden = state()
    found = predict(rotation, hidden)
    z = UniformRotations().sample((40_000, 3, 3, 3), torch.Generator().manual_seed(0))
    mass = found.log_density(z).exp()
    error = mass.std(0) / 200
    assert ((mass.mean(0) - 1).abs() < 4 * error).all()


def test_draws_follow_the_density():
    rotation, hidden = state(1, 1)
    found = predict(rotation, hidden)
    drawn = found.posterior.expand(torch.Size((1, 20_000))).sample(torch.Generator().manual_seed(1))
    uniform = UniformRotations().sample((1, 80_000, 3, 3), torch.Generator().manual_seed(2))
    weights = found.log_density(uniform[0][:, None]).exp().T
    for centre in (found.rotation[0, 0], found.centres[0, 0, 2]):
        cosine = angle(relative(centre, drawn)).cos()
        expected = (weights * angle(relative(centre, uniform)).cos()).sum() / weights.sum()
        assert abs(float(cosine.mean() - expected)) < 0.02


def test_both_densities_are_one():
    found = predict(*state())
    z = exp(torch.randn(1, 3, 3, generator=torch.Generator().manual_seed(5)))
    torch.testing.assert_close(found.posterior.log_prob(z), found.log_density(z))


def test_a_global_rotation_rotates_the_distribution():
    rotation, hidden = state()
    turn = exp(torch.tensor([0.4, 2.0, -1.0]))
    before, after = predict(rotation, hidden), predict(turn @ rotation, hidden)
    z = exp(torch.randn(1, 3, 3, generator=torch.Generator().manual_seed(5)))
    torch.testing.assert_close(
        after.log_density(turn @ z), before.log_density(z), rtol=1e-4, atol=1e-4
    )
    torch.testing.assert_close(after.turn, before.turn)


def test_a_fresh_head_knows_nothing_and_its_modes_differ():
    rotation, hidden = state()
    heads = FrameHeads(16, 4)
    found = heads(FrameOutput(hidden, torch.zeros(1, 3, 3), rotation))
    assert not found.residue.any() and not found.turn.any()
    apart = angle(relative(found.centres[..., 0, :, :], found.centres[..., 1, :, :]))
    assert (apart > 0.3).all()
    torch.testing.assert_close(found.centres[..., 0, :, :], found.rotation)
