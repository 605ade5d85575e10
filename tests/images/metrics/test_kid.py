"""Distances between sets of images, against plain loops and laws whose distance is known."""

import math

import pytest
import torch
from torch.testing import assert_close

from feller.images.classifier import load_classifier
from feller.images.data import ImageData
from feller.images.metrics.kid import (
    Estimate,
    kernel_distance,
    nearest_distances,
    nearest_neighbour_ratio,
)


def pixels(rng, *shape):
    return torch.randint(256, shape, generator=rng, dtype=torch.uint8)


def normals(rng, *shape):
    return torch.randn(shape, generator=rng, dtype=torch.float64)


def by_loops(a, b):
    def k(x, y):
        return (sum(p * q for p, q in zip(x, y, strict=True)) / len(x) + 1) ** 3

    def within(x):
        pairs = [k(p, q) for i, p in enumerate(x) for j, q in enumerate(x) if i != j]
        return sum(pairs) / len(pairs)

    a, b = a.tolist(), b.tolist()
    between = [k(p, q) for p in a for q in b]
    return within(a) + within(b) - 2 * sum(between) / len(between)


@pytest.mark.parametrize(("n", "m"), [(4, 4), (7, 5), (12, 31)])
def test_kernel_distance_is_the_double_sum(rng, n, m):
    a, b = normals(rng, n, 3), normals(rng, m, 3) + 0.5
    assert kernel_distance(a, b).value == pytest.approx(by_loops(a, b), abs=1e-12)
    assert kernel_distance(a.float(), b.float()).value == pytest.approx(by_loops(a, b), abs=1e-5)


def test_the_jackknife_leaves_out_one_block_each(rng):
    a, b = normals(rng, 6, 2), normals(rng, 8, 2)
    dealt_a, dealt_b = (
        torch.randperm(n, generator=torch.Generator().manual_seed(seed)) % 3
        for n, seed in ((6, 0), (8, 1))
    )
    without = [by_loops(a[dealt_a != i], b[dealt_b != i]) for i in range(3)]
    mean = sum(without) / 3
    error = math.sqrt(2 / 3 * sum((w - mean) ** 2 for w in without))
    found = kernel_distance(a, b, blocks=3)
    assert found.high - found.value == pytest.approx(1.959964 * error, rel=1e-6)
    assert found.value - found.low == pytest.approx(1.959964 * error, rel=1e-6)


def test_kernel_distance_has_no_bias(rng):
    """Small sets of one law: the mean of many estimates is 0, and most intervals hold it."""
    found = [kernel_distance(normals(rng, 20, 4), normals(rng, 30, 4)) for _ in range(150)]
    values = torch.tensor([estimate.value for estimate in found])
    assert abs(values.mean()) < 4 * values.std() / math.sqrt(150)
    assert sum(e.low <= 0 <= e.high for e in found) > 0.9 * 150


def test_kernel_distance_of_known_distributions(rng):
    """Points at +1 and at -1 in one dimension: k is 8 within and 0 between."""
    ones = torch.ones(50, 1, dtype=torch.float64)
    noisy = ones + 0.01 * normals(rng, 50, 1)
    found = kernel_distance(noisy, -noisy.flip(0))
    assert found.value == pytest.approx(16, rel=0.02)
    assert found.low < found.value < found.high


def test_kernel_distance_does_not_mind_order(rng):
    a, b = normals(rng, 40, 3), normals(rng, 30, 3)
    one, other = kernel_distance(a, b), kernel_distance(a.flip(0), b.flip(0))
    assert one.value == pytest.approx(other.value, abs=1e-12)
    assert kernel_distance(b, a).value == pytest.approx(one.value, abs=1e-12)


def test_a_kernel_distance_needs_images(rng):
    with pytest.raises(ValueError, match="4 images"):
        kernel_distance(normals(rng, 3, 2), normals(rng, 30, 2))


@pytest.fixture(scope="module")
def shapes():
    """Half of the drawn test split, its labels, features of the other half, the classifier."""
    data, classifier = ImageData(source="drawn").build("test"), load_classifier("drawn")
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(0))
    one, other = order.chunk(2)
    return data.images[one], data.labels[one], classifier.embed(data.images[other]), classifier


def test_real_images_are_at_distance_zero(shapes):
    images, _, real, classifier = shapes
    found = kernel_distance(classifier.embed(images), real)
    assert found.low < 0 < found.high


def test_balanced_classes_make_the_distance_a_little_too_low():
    """Ten far classes, ten of each: fewer pairs of one class within a set than between two."""
    classes = 3 * torch.eye(10, dtype=torch.float64).repeat(10, 1)
    within_class, other = (9 / 10 + 1) ** 3, 1
    bias = 2 * (9 / 99 - 1 / 10) * (within_class - other)
    assert kernel_distance(classes, classes).value == pytest.approx(bias)


def spoil(images, labels, how, amount, rng):
    """Add noise of a standard deviation in gray levels, blur by a width in pixels, drop classes."""
    if how == "classes":
        return images[labels >= amount]
    x = images.float()
    if how == "noise":
        x = x + amount * torch.randn(x.shape, generator=rng)
    else:
        offsets = torch.arange(-6, 7)
        weights = torch.softmax(-(offsets**2) / (2 * amount**2), 0)
        for axis in (1, 2):
            x = sum(w * x.roll(int(o), axis) for w, o in zip(weights, offsets, strict=True))
    return x.round().clamp(0, 255).to(torch.uint8)


@pytest.mark.parametrize(
    ("how", "amounts"), [("noise", (10, 30, 60)), ("blur", (0.5, 1.0, 2.0)), ("classes", (1, 3, 5))]
)
def test_kernel_distance_grows_with_damage(shapes, rng, how, amounts):
    images, labels, real, classifier = shapes
    found = [
        kernel_distance(classifier.embed(spoil(images, labels, how, amount, rng)), real)
        for amount in amounts
    ]
    assert 0 < found[0].value < found[1].value < found[2].value
    assert found[2].low > 0


def test_nearest_distances_are_those_of_all_pairs(rng):
    images, pool = pixels(rng, 9, 4, 3, 2), pixels(rng, 23, 4, 3, 2)
    pairs = torch.cdist(images.flatten(1).double() / 255, pool.flatten(1).double() / 255)
    for chunk in (4, 23, 100):
        assert_close(nearest_distances(images, pool, chunk=chunk), pairs.min(1).values)


def test_copies_are_found_exactly(rng):
    pool = pixels(rng, 50, 28, 28, 1)
    assert nearest_distances(pool[[49, 3, 0]], pool, chunk=7).tolist() == [0, 0, 0]


def test_copies_have_ratio_zero_and_new_images_one(rng):
    train, test, new = (pixels(rng, n, 3, 3, 1) for n in (100, 80, 90))
    assert nearest_neighbour_ratio(train[:40], train, test) == Estimate(0, 0, 0)
    ratio = nearest_neighbour_ratio(new, train, test)
    assert ratio.low < 1 < ratio.high
    half = torch.cat([train[:45], new[:45]])
    assert nearest_neighbour_ratio(half, train, test).high < 0.7


def test_an_interval_needs_two_images(rng):
    images = pixels(rng, 5, 2, 2, 1)
    for few, test in ((images[:1], images), (images, images[:1])):
        with pytest.raises(ValueError, match="an interval needs two images, and two test images"):
            nearest_neighbour_ratio(few, images, test)


def test_the_interval_of_a_ratio(rng):
    """The spread of the ratio over fresh sets is what the interval says."""
    train = pixels(rng, 60, 2, 2, 1)
    found = [
        nearest_neighbour_ratio(pixels(rng, 40, 2, 2, 1), train, pixels(rng, 50, 2, 2, 1))
        for _ in range(150)
    ]
    spread = torch.tensor([estimate.value for estimate in found]).std()
    stated = torch.tensor([(e.high - e.low) / 2 / 1.96 for e in found]).mean()
    assert stated == pytest.approx(float(spread), rel=0.2)


@pytest.mark.slow  # for its import
def test_it_is_what_torchmetrics_says(rng):
    kid = pytest.importorskip("torchmetrics.image.kid")
    a = torch.randn(90, 12, generator=rng, dtype=torch.float64)
    b = 1.3 * torch.randn(90, 12, generator=rng, dtype=torch.float64) + 0.2
    expected = kid.poly_mmd(b, a)  # of all at once, as no subset is drawn
    assert kernel_distance(a, b).value == pytest.approx(float(expected), rel=1e-9)


def test_an_estimate_prints_its_interval():
    assert str(Estimate(0.12345, 0.1, 0.2)) == "0.1235 (0.1 to 0.2)"
