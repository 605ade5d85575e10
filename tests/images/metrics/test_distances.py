"""All distances by one network; `test_report` has them of models, and of models that fail."""

import torch

from feller.images.metrics.distances import NEAREST, Distances
from feller.images.metrics.features import FeatureNetwork


def pixels(n, seed):
    rng = torch.Generator().manual_seed(seed)
    return torch.randint(256, (n, 2, 2, 1), generator=rng, dtype=torch.uint8)


def test_figures_and_what_they_are_for_real_images():
    network = FeatureNetwork("pixels", lambda x: x.flatten(1) / 255)
    real, same = (network.embed(pixels(n, seed)) for n, seed in ((300, 0), (60, 1)))
    distances = Distances(network, "by pixels", real, same)
    found = distances.of(pixels(60, 2), "60 samples", " by class")
    names = ["KID", "FID", "FID infinity", "precision", "recall", "density", "coverage"]
    assert [figure.name for figure in found] == [f"{name} by class" for name in names]
    assert all(figure.low <= figure.value <= figure.high for figure in found)
    kernel, frechet, unbiased, precision, *_ = (figure.protocol for figure in found)
    assert kernel.startswith("60 samples; by pixels; to these, where 60 training images have ")
    assert frechet.endswith(", the bias at this n")
    assert "extrapolated to infinitely many images, where 60 training images" in unbiased
    assert f"{NEAREST} neighbours among 60 training images, where test images" in precision
    assert len(distances.of(pixels(NEAREST, 2), "5 samples")) == 2


def test_real_images_in_order_of_their_classes_are_as_good_as_drawn_ones():
    """Balls are of a random part of the test images, not of the first class alone."""
    network = FeatureNetwork("pixels", lambda x: x.flatten(1) / 255)

    def two(n, seed):
        return torch.cat([pixels(n, seed) // 4, 192 + pixels(n, seed + 1) // 4])

    distances = Distances(
        network, "by pixels", network.embed(two(200, 0)), network.embed(two(30, 2))
    )
    coverage = distances.of(two(30, 4), "60 samples")[-1]
    usual = float(coverage.protocol.rsplit("where test images have ", 1)[1])
    assert abs(coverage.value - usual) < 0.2
    assert usual > 0.7


def test_balls_are_of_no_more_images_than_the_smallest_set_has():
    network = FeatureNetwork("pixels", lambda x: x.flatten(1) / 255)
    few, many = network.embed(pixels(4, 0)), network.embed(pixels(20, 1))
    found = Distances(network, "by pixels", few, many).of(pixels(20, 2), "20 samples")
    assert [figure.name for figure in found] == ["KID", "FID"]
