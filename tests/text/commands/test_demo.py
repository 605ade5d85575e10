"""`feller demo` on text."""

from feller.text.commands import demo as commands


def test_the_demo_draws_and_infills(chain, tmp_path, monkeypatch):
    monkeypatch.setattr(commands, "list_models", lambda pattern: [str(chain)])
    monkeypatch.setattr(commands, "_ends", lambda model: ("ab", "d"))
    figures = commands.demo(tmp_path)
    assert [title.rsplit(": ")[-1] for title, _, _ in figures] == ["sample", "infilling"]
    for _, file, caption in figures:
        assert (tmp_path / file).stat().st_size > 1000
        assert "network calls" in caption
