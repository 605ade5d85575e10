"""Samples a second: a bundled model, drawn by feller and by a peer's loop over the same network."""

from collections.abc import Iterator
from typing import Any

import torch
from peers.job import Job
from torch import Tensor, nn

from feller.core import load
from feller.core.solvers import Evaluation
from feller.images.sampling import Sampling as Images
from feller.proteins.design.conditioning import nothing
from feller.proteins.drawing import draw
from feller.proteins.sampling import Sampling as Proteins
from feller.text.sampling import Sampling as Texts
from feller.text.sampling import context, draw_texts

__all__ = ["feller_alone", "flow_matching"]

PART, ROUNDS = "Samples", 5
IMAGES, IMAGE_STEPS, TEXT_STEPS, CHAINS, LENGTH, PROTEIN_STEPS = 8, 5, 16, 2, 80, 5


def flow_matching() -> Iterator[Job]:
    from flow_matching.path import MixtureDiscreteProbPath
    from flow_matching.path.scheduler import CondOTScheduler
    from flow_matching.solver import MixtureDiscreteEulerSolver, ODESolver
    from flow_matching.utils import ModelWrapper

    class Answer(ModelWrapper):
        def __init__(self, answer: Any) -> None:
            super().__init__(nn.Identity())
            self.answer = answer

        def forward(self, x: Tensor, t: Tensor, **extras: Any) -> Tensor:
            return self.answer(x, t)

    images = load("images/fashion-flow")
    labels = torch.arange(IMAGES) % 10
    velocity = Evaluation(images, labels)
    ode = ODESolver(velocity_model=Answer(lambda x, t: velocity(x, float(t)).velocity))

    def theirs() -> Tensor:
        x = torch.randn(IMAGES, *images.codec.shape)
        return ode.sample(x, step_size=1 / IMAGE_STEPS, method="euler")

    how = Images(steps=IMAGE_STEPS, solver="euler")
    yield Job(
        part=PART,
        name=f"images/fashion-flow, {IMAGE_STEPS} Euler steps",
        package="flow-matching",
        peer="ODESolver over the same network",
        ours=lambda: images.draw(IMAGES, labels, how),
        theirs=theirs,
        items=IMAGES,
        rounds=ROUNDS,
    )
    text = load("text/shakespeare-mask")
    size, known = text.vocabulary.size, text.vocabulary.sampleable

    def posterior(x: Tensor, t: Tensor) -> Tensor:
        found = text.logits(x, kappa=float(t[0])).softmax(-1)
        return nn.functional.pad(found, (0, size - known))

    chain = MixtureDiscreteEulerSolver(
        Answer(posterior), MixtureDiscreteProbPath(CondOTScheduler()), vocabulary_size=size
    )
    given = context(text.codec)
    start = torch.full((1, len(given.x)), text.vocabulary.mask)
    yield Job(
        part=PART,
        name=f"text/shakespeare-mask, {TEXT_STEPS} steps",
        package="flow-matching",
        peer="MixtureDiscreteEulerSolver over the same network",
        ours=lambda: draw_texts(text, given, 1, Texts(steps=TEXT_STEPS)),
        theirs=lambda: chain.sample(start, step_size=1 / TEXT_STEPS),
        items=1,
        rounds=ROUNDS,
    )


def feller_alone() -> Iterator[Job]:
    model, how = load("proteins/short-flow"), Proteins(steps=PROTEIN_STEPS)
    yield Job(
        part=PART,
        name=f"proteins/short-flow, {LENGTH} residues, {PROTEIN_STEPS} steps",
        ours=lambda: draw(model, CHAINS, nothing(LENGTH), how),
        items=CHAINS,
        rounds=ROUNDS,
    )
