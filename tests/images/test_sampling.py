"""What suits a schedule leaves no noise: exact models of finitely many images draw these."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from feller.core.generators import Diffusion, Flow, Jump
from feller.core.models import Model
from feller.core.paths import GaussianPath
from feller.core.posteriors import FiniteData
from feller.core.schedules import CondOT, Cosine, Geometric, Polynomial, VariancePreserving
from feller.core.spaces import Euclidean
from feller.images.codec import ImageCodec
from feller.images.models import ImageModelConfig
from feller.images.networks import UNetConfig
from feller.images.sampling import Sampling, plan_of, suited
from feller.images.schedules import Tabulated
from feller.images.shapes import draw_shapes

CHOSEN = {
    CondOT(): ("heun", "uniform"),
    VariancePreserving(): ("dpm++", "uniform"),
    Tabulated.linear(): ("dpm++", "uniform"),
    Cosine(): ("dpm++", "uniform"),
    Polynomial(0.5): ("dpm++", "uniform"),
    Polynomial(2.0): ("heun", "power"),
    Polynomial(3.0): ("heun", "power"),
    Geometric(): ("dpm++", "shifted"),
}
every_schedule = pytest.mark.parametrize("schedule", CHOSEN, ids=str)


class Oracle(nn.Module, Model):
    """The exact generator of finitely many images, instead of a network."""

    def __init__(self, data):
        super().__init__()
        self.data, self.kinds, self.path = data, data.kinds, data.path
        self.unused = nn.Parameter(torch.zeros(()))

    def forward(self, x, t, condition=None):
        return self.data(x, t)


def images_of(schedule, kind=Flow):
    """A model that knows ten images of 16 x 16, and these."""
    config = ImageModelConfig(
        network=UNetConfig(
            in_channels=1, out_channels=1, channels=(8,), attention_levels=(), blocks_per_level=1
        ),
        codec=ImageCodec((1, 16, 16)),
        path=GaussianPath(Euclidean(3), schedule),
    )
    raw = 64 + torch.from_numpy(draw_shapes(10, 16, seed=0)[0]) // 2  # noise is not cut off
    model = config.build()
    model.model = Oracle(FiniteData(model.path, kind, model.codec.encode((raw, None))[0]))
    return model, raw


def error(drawn, raw):
    """Root mean square to the nearest image, in grey levels: over pixels, then over images."""
    gap = (drawn[:, None].float() - raw.float()).flatten(2).square().mean(2).min(1).values
    return float(gap.mean().sqrt())


@every_schedule
def test_the_default_of_each_schedule(schedule):
    model, raw = images_of(schedule)
    how = suited(Sampling(), model)
    assert (how.solver, how.grid) == CHOSEN[schedule]
    images, nfe = model.draw(32, None, Sampling())
    if isinstance(schedule, Geometric):  # the noise that it ends with by its definition
        assert abs(error(images, raw) - 127.5 * schedule.width) < 0.5
    else:
        assert error(images, raw) < 0.5
    assert nfe == (20 if how.solver == "dpm++" else 39)


@pytest.mark.parametrize("solver", ["heun", "midpoint", "rk4", "ddim"])
@pytest.mark.parametrize("schedule", [VariancePreserving(), Cosine()], ids=str)
def test_solvers_by_name_have_a_grid_that_suits_them(solver, schedule):
    model, raw = images_of(schedule)
    assert error(model.draw(16, None, Sampling(solver=solver))[0], raw) < 0.5


def test_even_steps_can_be_had_and_leave_noise():
    model, raw = images_of(VariancePreserving())
    images, _ = model.draw(16, None, Sampling(solver="heun", grid="uniform"))
    assert error(images, raw) > 1


@pytest.mark.parametrize(
    ("kind", "grid", "end"), [(Diffusion, "logarithmic", None), (Jump, "power", 0.999)]
)
def test_processes_other_than_flows_have_a_default(kind, grid, end):
    model, raw = images_of(CondOT(), kind)
    how = suited(Sampling(), model)
    assert (how.solver, how.grid, how.end) == ("mixed", grid, end)
    assert suited(Sampling(end=0.9), model).end == 0.9
    assert suited(Sampling(grid="power"), model).end is None
    images, nfe = model.draw(4, None, Sampling(steps=40))
    assert nfe == 80
    assert error(images, raw) < 0.5


def test_averaged_velocities_take_few_steps():
    model, _ = images_of(CondOT())
    assert suited(Sampling(), model).steps == 20
    model.takes_next = True
    assert suited(Sampling(), model).steps == 2
    assert suited(Sampling(steps=7), model).steps == 7


def test_words_say_what_is_not_usual():
    assert Sampling(solver="heun", steps=20).words() == "heun, 20 steps"
    how = Sampling(
        solver="mixed", steps=4, grid="power", end=0.999, mix=(0.5, 0.5), mix_end=(1.0, 0.0),
        guidance=2.0, interval=(0.1, 0.9), rescale=0.5, autoguidance="worse",
    )  # fmt: skip
    assert how.words() == (
        "mixed, 4 steps, power grid to 0.999, mix 0.5 0.5 to 1 0, guidance 2.0, in [0.1, 0.9], "
        "rescaled 0.5, away from worse"
    )


def test_scales_are_a_tuple_however_they_are_given():
    model, _ = images_of(CondOT())
    for scales in ([1.0, 9.0], np.array([1.0, 9.0])):
        how = Sampling()
        object.__setattr__(how, "guidance", scales)  # types are checked in tests: users' are not
        how.__post_init__()
        assert how.guidance == (1.0, 9.0)
    with pytest.raises(ValueError, match="guidance is one for each of 4 images"):
        model.draw(4, None, Sampling(guidance=(1.0, 1.0)))


def test_a_solver_with_its_own_times_takes_no_grid():
    model, _ = images_of(CondOT())
    for asked in ({"grid": "power"}, {"end": 0.2}):
        with pytest.raises(ValueError, match="first_hitting has times of its own"):
            plan_of(Sampling(solver="first_hitting", steps=8, **asked), model)
    assert Sampling(solver="first_hitting", steps=8, grid="uniform").words() == (
        "first_hitting, 8 steps"
    )


def test_times_end_where_they_are_asked_to():
    for grid in ("uniform", "power", "shifted", "logarithmic"):
        times = Sampling(grid=grid, steps=5, end=0.9).times(CondOT())
        assert len(times) == 6
        assert float(times[0]) == 0
        assert float(times[-1]) == pytest.approx(0.9)
        assert (times.diff() > 0).all()
    steps = Sampling(grid="power", steps=5).times(CondOT()).diff()
    assert (steps.diff() < 0).all()
    assert float(Sampling(grid="logarithmic").times(CondOT())[-1]) == pytest.approx(0.999)
    model, raw = images_of(CondOT())
    noisy, _ = model.draw(16, None, Sampling(end=0.9))
    assert 11 < error(noisy, raw) < 15  # sigma = .1 of 127.5, about .9 of the images


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"steps": 0}, "steps is at least 1, not 0"),
        ({"end": 0.0}, r"end is in \(0, 1\], not 0\.0"),
        ({"end": 1.5}, r"end is in \(0, 1\], not 1\.5"),
        ({"batch_size": 0}, "batch_size is at least 1, not 0"),
        ({"guidance": float("nan")}, "guidance is a finite number, not nan"),
    ],
)
def test_senseless_sampling_is_refused(fields, reason):
    with pytest.raises(ValueError, match=reason):
        replace(Sampling(), **fields)
