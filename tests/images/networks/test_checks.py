"""Arguments that no network takes, and what the errors say."""

import pytest
import torch

from feller.images.networks.checks import check_arguments, check_attention


def test_the_error_says_which_size_would_be_right():
    with pytest.raises(ValueError, match="multiples of 4: pad 27x29 to 28x32"):
        check_arguments(torch.zeros(1, 1, 27, 29), None, multiple=4, num_classes=0)


def test_labels_need_a_conditional_network():
    x, labels = torch.zeros(1, 1, 4, 4), torch.zeros(1, dtype=torch.long)
    with pytest.raises(ValueError, match="unconditional"):
        check_arguments(x, labels, multiple=4, num_classes=0)
    check_arguments(x, labels, multiple=4, num_classes=10)
    check_arguments(x, None, multiple=4, num_classes=10)


def test_heads_divide_the_widths_that_attend():
    check_attention((48, 96), (1,), 24)
    check_attention((40, 96), (), 48, [96])  # the middle attends, level 0 does not
    check_attention((40, 96), (), 128)
    with pytest.raises(ValueError, match="head_channels 128 does not divide the width 96"):
        check_attention((48, 96), (), 128, [96])
    with pytest.raises(ValueError, match="head_channels 40 does not divide the width 48"):
        check_attention((48, 80), (0, 1), 40)
    with pytest.raises(ValueError, match=r"are not 0 \.\.\. 1"):
        check_attention((48, 96), (2,), None)
