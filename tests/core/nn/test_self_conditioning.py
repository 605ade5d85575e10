import torch

from feller.core.nn.self_conditioning import SelfConditioned, SelfConditionedRows


def test_a_network_is_shown_what_is_chosen_of_its_last_output():
    seen = []

    def network(x, t, condition, last):
        seen.append((x, t, condition, last))
        return {"a": x + 1, "b": x}

    shown = SelfConditioned(network, lambda output: output["a"])
    assert [shown(x, 0.5, "c") for x in (1, 5)] == [{"a": 2, "b": 1}, {"a": 6, "b": 5}]
    assert seen == [(1, 0.5, "c", None), (5, 0.5, "c", 2)]


def test_rows_are_shown_what_was_said_of_them():
    seen = []

    def network(x, t, condition, last):
        seen.append((condition, last))
        return {"a": x + 1}

    shown = SelfConditionedRows(network, 3, lambda output: output["a"])
    for rows in ([0, 2], [1, 2], [2, 0]):
        index = torch.tensor(rows)
        shown(10.0 * len(seen) + index[:, None], 0.5, index)
    assert seen[0] == (None, None)
    assert seen[1][1].isnan().tolist() == [[True], [False]] and seen[1][1][1] == 3
    assert seen[2][1].tolist() == [[13.0], [1.0]]
