"""Times of pixels: the network is shown each, and embeds the least."""

import torch

from feller.images.networks.clocks import OfClocks


def test_what_the_network_is_shown():
    seen = []

    def network(x, t, condition):
        seen.append((x, t, condition))
        return x[:, :-1]

    x, times = torch.ones(2, 3, 2, 2), torch.full((2, 1, 2, 2), 0.25)
    times[1, 0, 0] = 1.0
    assert OfClocks(network)(x, times, "c").equal(x)
    OfClocks(network)(x, torch.tensor([0.5, 0.75]))
    (shown, t, condition), (plain, shared, _) = seen
    assert shown[:, 3:].equal(times) and t.tolist() == [0.25, 0.25] and condition == "c"
    assert plain[:, 3].flatten(1).amax(1).tolist() == [0.5, 0.75] == shared.tolist()
