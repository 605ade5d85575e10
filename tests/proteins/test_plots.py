"""Pictures of backbones say what was counted."""

import sys

import numpy as np
import pytest
import structures
from matplotlib.colors import to_rgba
from PIL import Image

from feller.proteins.metrics.geometry import bond_validity, ca_validity
from feller.proteins.metrics.ramachandran import counts
from feller.proteins.metrics.secondary import structure_fractions
from feller.proteins.plots import (
    COLOURS,
    bond_lengths,
    composition,
    jump_profile,
    radius_by_length,
    ramachandran,
    trajectory_strip,
)
from feller.proteins.structure.chain import Chain


@pytest.fixture(autouse=True)
def no_pyplot(monkeypatch):
    """Fail where a plot asks for pyplot."""
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)


@pytest.fixture
def helices():
    return [structures.chain(n, name=str(n), seed=n) for n in (20, 40, 60)]


@pytest.fixture
def tangles():
    rng = np.random.default_rng(1)

    def tangle(n):
        steps = rng.normal(size=(n, 3))
        ca = np.cumsum(3.8 * steps / np.linalg.norm(steps, axis=-1, keepdims=True), 0)
        atoms = (ca[:, None] + rng.normal(0, 0.8, (n, 4, 3))).astype(np.float32)
        return Chain("t", atoms, np.zeros(n, np.uint8), np.arange(n, dtype=np.int32))

    return [tangle(30) for _ in range(5)]


def legend(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_ramachandran_shows_the_density_of_both_sides(helices, tangles):
    figure = ramachandran(helices, tangles)
    for axes, chains in zip(figure.axes, (helices, tangles), strict=False):
        (image,) = axes.images
        shown = 10 ** np.asarray(image.get_array()) - 1
        assert shown.mean() == pytest.approx(1)
        grid = counts(chains).sum(0)
        assert np.argmax(shown.T) == np.argmax(grid)  # phi along x
        assert image.get_extent() == [-180, 180, -180, 180]
        assert image.origin == "lower"
    titles = [axes.get_title() for axes in figure.axes[:2]]
    assert titles == ["generated: 114 residues", "reference: 140 residues"]


def test_a_ramachandran_plot_of_nothing_is_empty(helices):
    figure = ramachandran([structures.chain(1)])
    assert figure.axes[0].get_title() == "generated: 0 residues"


def test_composition_shows_each_chain_and_the_means(helices, tangles):
    each, mean = composition(helices, tangles).axes
    shown = [collection.get_offsets() for collection in each.collections]
    assert [len(points) for points in shown] == [3, 5]
    expected = structure_fractions(helices)
    alone = [structure_fractions([chain])["helix"].value for chain in helices]
    assert np.allclose(shown[0][:, 0], alone)
    assert min(alone) > 0.8
    assert np.allclose(shown[0][:, 1], expected["strand"].value)
    heights = [bar.get_height() for bar in mean.patches]
    assert heights[0] == pytest.approx(np.mean(alone))
    assert sum(heights[:3]) == pytest.approx(1) == sum(heights[3:])
    assert mean.patches[0].get_facecolor() == to_rgba(COLOURS[0])
    assert legend(each) == ["generated", "reference"]


def test_radii_stand_over_lengths(helices, tangles):
    (axes,) = radius_by_length(helices, tangles).axes
    reference, generated = (collection.get_offsets() for collection in axes.collections)
    assert list(generated[:, 0]) == [20, 40, 60]
    ca = helices[2].atoms[:, 1]
    assert generated[2, 1] == pytest.approx(np.sqrt(((ca - ca.mean(0)) ** 2).sum(-1).mean()))
    assert len(reference) == 5
    x, y = axes.lines[0].get_data()
    assert np.allclose(y, 2.60 * x**0.352)
    assert (x[0], x[-1]) == (20, 60)


def test_no_link_is_hidden(helices, tangles):
    figure = bond_lengths(helices, tangles)
    for axes, valid in zip(figure.axes, (ca_validity, bond_validity), strict=True):
        sides = [100 * valid(chains).value for chains in (helices, tangles)]
        assert set(legend(axes)) == {
            f"generated: {sides[0]:.1f}% valid",
            f"reference: {sides[1]:.1f}% valid",
        }
        outlines = [patch.get_xy() for patch in axes.patches if len(patch.get_xy()) > 10]
        assert len(outlines) == 2
        for outline in outlines:  # each bin is one flat piece
            flat = outline[1::2][:60, 1]
            assert flat.sum() == pytest.approx(1)
    assert sides[1] < 50


def test_jumps_are_counted_by_step():
    times = np.array([0.0, 0.25, 0.5, 0.75])
    angles = np.full((4, 10), np.nan)
    angles[0, :5] = [10, 20, 30, 40, 50]
    angles[2, 0] = 7
    often, far = jump_profile(times, angles).axes
    assert often.lines[0].get_ydata().tolist() == [0.5, 0, 0.1, 0]
    assert often.get_title() == "0.60 jumps a residue"
    middle = far.lines[0].get_ydata()
    assert middle[[0, 2]].tolist() == [30, 7]
    assert np.isnan(middle[[1, 3]]).all()


def test_a_strip_runs_from_the_first_frame_to_the_last():
    end = structures.chain(30).atoms
    frames = [end * np.float32(s) for s in np.linspace(0.1, 1, 11)]
    figure = trajectory_strip(frames, panels=3)
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["t = 0.00", "t = 0.50", "t = 1.00"]
    spans = []
    for axes in figure.axes:
        (lines,) = axes.collections
        points = np.array(lines.get_segments())
        assert len(points) == 29
        assert np.abs(points).max() < axes.get_xlim()[1]
        spans.append(np.ptp(points[..., 0]))
    assert np.allclose(np.array(spans) / spans[-1], [0.1, 0.55, 1], atol=1e-3)
    assert spans[-1] > 1.4 * 29  # the axis of the helix lies along x
    flat = np.linalg.norm(points[:, 1] - points[:, 0], axis=-1)
    assert (flat <= np.linalg.norm(np.diff(end[:, 1], axis=0), axis=-1) + 0.01).all()  # CA to CA
    assert flat.max() == pytest.approx(3.8, abs=0.2)


def test_a_short_strip_shows_every_frame_once():
    frames = np.zeros((2, 5, 4, 3), np.float32)
    figure = trajectory_strip(frames, np.array([0.3, 0.9]))
    assert [axes.get_title() for axes in figure.axes] == ["t = 0.30", "t = 0.90"]
    with pytest.raises(ValueError, match="a strip has frames and panels, not 0 and 6"):
        trajectory_strip(frames[:0])


def test_a_picture_is_written(helices, tmp_path):
    helices[0].atoms[3] = np.nan
    frames = [chain.atoms for chain in helices[:1]]
    angles = np.full((3, 4), np.nan)
    figures = [
        plot(helices) for plot in (ramachandran, composition, radius_by_length, bond_lengths)
    ]
    figures += [trajectory_strip(frames), jump_profile(np.array([0.0, 0.3, 0.6]), angles)]
    for figure in figures:
        figure.savefig(tmp_path / "a.png", dpi=40)
        with Image.open(tmp_path / "a.png") as picture:
            assert len(np.unique(np.asarray(picture.convert("L")))) > 10
