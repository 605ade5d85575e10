from feller.core.nn.self_conditioning import SelfConditioned


def test_a_network_is_shown_what_is_chosen_of_its_last_output():
    seen = []

    def network(x, t, condition, last):
        seen.append((x, t, condition, last))
        return {"a": x + 1, "b": x}

    shown = SelfConditioned(network, lambda output: output["a"])
    assert [shown(x, 0.5, "c") for x in (1, 5)] == [{"a": 2, "b": 1}, {"a": 6, "b": 5}]
    assert seen == [(1, 0.5, "c", None), (5, 0.5, "c", 2)]
