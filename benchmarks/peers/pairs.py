"""What training asks of a path: x_t with its target, and pairs by optimal transport."""

from collections.abc import Iterator

import torch
from peers.job import Job

from feller.core import CondOT, Euclidean, Flow, GaussianPath, solution
from feller.core.couplings import MinibatchOT

__all__ = ["flow_matching", "torchcfm"]

SHAPE = (128, 3, 32, 32)


def flow_matching() -> Iterator[Job]:
    from flow_matching.path import AffineProbPath
    from flow_matching.path.scheduler import CondOTScheduler

    z, x_0, t = torch.randn(SHAPE), torch.randn(SHAPE), torch.rand(SHAPE[0])
    path, other = GaussianPath(Euclidean(3), CondOT()), AffineProbPath(CondOTScheduler())
    flow = solution(path, Flow)
    for name, ours in (
        ("drawn at once", lambda: path.draw(z, t, x_0=x_0)),
        ("as training does it", lambda: flow(path, path.sample(z, t, x_0=x_0), t, z)),
    ):
        yield Job(
            part="Path sample and target",
            name=f"128 x 3 x 32 x 32, {name}",
            package="flow-matching",
            peer="AffineProbPath.sample",
            ours=ours,
            theirs=lambda: other.sample(x_0=x_0, x_1=z, t=t),
        )


def torchcfm() -> Iterator[Job]:
    from torchcfm.conditional_flow_matching import ConditionalFlowMatcher
    from torchcfm.optimal_transport import OTPlanSampler

    z, x_0, t = torch.randn(SHAPE), torch.randn(SHAPE), torch.rand(SHAPE[0])
    path, matcher = GaussianPath(Euclidean(3), CondOT()), ConditionalFlowMatcher(sigma=0.0)
    yield Job(
        part="Path sample and target",
        name="128 x 3 x 32 x 32, drawn at once",
        package="torchcfm",
        peer="ConditionalFlowMatcher, which also draws noise of scale 0",
        ours=lambda: path.draw(z, t, x_0=x_0),
        theirs=lambda: matcher.sample_location_and_conditional_flow(x_0, z, t=t),
    )
    plan = OTPlanSampler(method="exact")
    for n, d in ((256, 2), (256, 3072)):
        a, b = torch.randn(n, d), torch.randn(n, d)
        yield Job(
            part="Optimal transport",
            name=f"exact pairs of {n} x {d}",
            package="torchcfm",
            peer="OTPlanSampler, exact",
            ours=lambda a=a, b=b: MinibatchOT()(a, b),
            theirs=lambda a=a, b=b: plan.sample_plan(a, b),
        )
