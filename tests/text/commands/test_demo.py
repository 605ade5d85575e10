"""`feller demo` on text."""

from feller.core.domains import list_models
from feller.text.commands import demo as commands


def test_the_demo_draws_and_infills(chain, tmp_path, monkeypatch):
    monkeypatch.setattr(commands, "list_models", lambda pattern: [str(chain)])
    monkeypatch.setattr(commands, "_ends", lambda name: ("ab", "d"))
    figures = commands.demo(tmp_path)
    assert [title.rsplit(": ")[-1] for title, _, _ in figures] == ["sample", "infilling"]
    for _, file, caption in figures:
        assert (tmp_path / file).stat().st_size > 1000
        assert "network calls" in caption


def test_every_bundled_chain_is_infilled_with_its_own_kind_of_text():
    ends = {name: commands._ends(name) for name in list_models("text/*")}
    assert all(begin and end for begin, end in ends.values())
    assert "def" in ends["text/stdlib-mask"][0] and "def" not in ends["text/books-mask"][0]
