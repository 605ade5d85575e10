"""Backbones as lines."""

import re

import numpy as np

from feller.proteins.design.traces import SIZE, trace


def test_a_line_stands_in_the_middle_and_what_is_near_lies_above():
    ca = np.array([[10.0, 0, -5], [14.0, 0, -5], [14.0, 0, 5], [10.0, 0, 5]])
    picture = trace([ca], 8.0)
    ends = [
        [float(x) for x in re.findall(r'[xy][12]="([^"]*)"', line)]
        for line in picture.split("<line")[1:]
    ]
    half = SIZE / 2
    assert ends[0] == [0.75 * half, half, 1.25 * half, half]  # the farthest is drawn first
    assert ends[-1] == [1.25 * half, half, 0.75 * half, half]
    widths = [float(w) for w in re.findall('stroke-width="([^"]*)"', picture)]
    assert widths == sorted(widths)
    assert "hsl(240" in picture.split("<line")[1]  # blue at the N terminus


def test_chains_stand_side_by_side():
    ca = np.random.default_rng(0).normal(size=(5, 3))
    assert trace([ca, ca], 3.0).count("<svg") == 2
