"""`feller demo` on text."""

from feller.core.domains import list_models
from feller.text.commands import demo as commands


def test_the_demo_draws_and_infills(chain, tmp_path, monkeypatch):
    monkeypatch.setattr(commands, "list_models", lambda pattern: [str(chain)])
    monkeypatch.setattr(commands, "ends_of", lambda name: ("ab", "d"))
    shown = commands.demo(tmp_path)
    assert [one.title.rsplit(": ")[-1] for one in shown] == ["sample", "infilling"]
    for one in shown:
        (text,) = one.parts
        assert "network calls" in one.caption
        hidden = [sum(token == text.hidden for token, _ in step) for step in text.steps]
        assert hidden[0] > hidden[-1] == 0
        assert sorted(hidden, reverse=True) == hidden
    assert not list(tmp_path.iterdir())
    given = [[token for token, when in step if when < 0] for step in shown[1].parts[0].steps]
    assert given == [["a", "b", "d"]] * len(given)


def test_every_bundled_chain_is_infilled_with_its_own_kind_of_text():
    ends = {name: commands.ends_of(name) for name in list_models("text/*")}
    assert all(begin and end for begin, end in ends.values())
    assert "def" in ends["text/stdlib-mask"][0] and "def" not in ends["text/books-mask"][0]
