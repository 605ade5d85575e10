"""Functions by kind: the nearest base counts."""

from feller.core.generators import Flow, Generator, Jump
from feller.core.generators.by_kind import ByKind


def test_the_nearest_base_counts():
    class Own(Flow):
        pass

    names = ByKind()
    names.register(Generator)(lambda: "any")
    names.register(Flow)(lambda: "flow")
    assert [names.find(kind)() for kind in (Own, Flow, Jump)] == ["flow", "flow", "any"]
    assert names.find(int) is None
