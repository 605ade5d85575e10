"""Files of texts."""

import json

import pytest

from feller.text.files import check_target, write_texts

TEXTS = ["To be,\nor not", "naïve \x00"]


def test_plain_text_has_a_rule_between(tmp_path):
    write_texts(TEXTS, tmp_path / "deep" / "a.txt")
    written = (tmp_path / "deep" / "a.txt").read_text(encoding="utf-8")
    assert written.removesuffix("\n").split("\n" + "-" * 16 + "\n") == TEXTS


def test_an_object_a_line(tmp_path):
    write_texts(TEXTS, tmp_path / "a.jsonl", [{"nfe": 1}, {"nfe": 2}])
    lines = (tmp_path / "a.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [
        {"text": TEXTS[0], "nfe": 1},
        {"text": TEXTS[1], "nfe": 2},
    ]
    write_texts(TEXTS, tmp_path / "a.jsonl")
    assert len((tmp_path / "a.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("name", "reason"), [("a.pdf", "ends in one of .txt"), ("b.txt", "folder")]
)
def test_what_cannot_be_written_is_refused(tmp_path, name, reason):
    (tmp_path / "b.txt").mkdir()
    with pytest.raises(ValueError, match=reason):
        check_target(tmp_path / name)
