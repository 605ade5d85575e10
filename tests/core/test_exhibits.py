"""What the demo shows, as HTML."""

import json
import re
from html.parser import HTMLParser

import pytest

from feller.core.exhibits import Exhibit, Film, Page, Picture, Writing, revealed, thinned

EVIL = "<b>\"&'"
TOLD = (
    ((("_", 0.0), ("</script>", -1.0)), (("a", 0.25), ("</script>", -1.0))),
    "_",
)


def tags(markup):
    """Tags with their attributes; fails where one is not closed."""
    found, opened = [], []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attributes):
            found.append((tag, dict(attributes)))
            if tag not in ("img", "input"):
                opened.append(tag)

        def handle_endtag(self, tag):
            assert opened.pop() == tag

    Reader().feed(markup)
    assert opened == []
    return found


PARTS = [
    Picture(file="a b.png"),
    Film(file="a'b.png", width=3, height=2, count=2, columns=(EVIL,)),
    Writing(steps=TOLD[0], hidden=TOLD[1]),
    Page(file="a b.html", name=EVIL),
]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: type(part).__name__)
def test_every_part_is_whole_and_keeps_names_as_text(part):
    found = tags(part.markup(EVIL))
    assert found
    assert "b" not in {tag for tag, _ in found}
    figure = Exhibit(title=EVIL, parts=(part,), caption=EVIL).markup()
    assert [tag for tag, _ in tags(figure)][:2] == ["figure", "h2"]
    assert "b" not in {tag for tag, _ in tags(figure)}


def test_files_are_named_as_addresses():
    assert tags(PARTS[0].markup(""))[0][1]["src"] == "a%20b.png"
    assert "url('a%27b.png')" in dict(tags(PARTS[1].markup("")))["div"]["style"]
    assert [a.get("src", a.get("href")) for _, a in tags(PARTS[3].markup(""))][::2] == [
        "a%20b.html"
    ] * 2


def test_a_text_is_held_by_its_changes():
    markup = PARTS[2].markup("")
    assert "<pre>a&lt;/script&gt;</pre>" in markup  # the last step stands there without a script
    (data,) = re.findall('json">(.*?)</script>', markup)
    held = json.loads(data)
    shown = held["first"]
    for changes in held["changes"]:
        for i, *new in changes:
            shown[i] = new
    assert shown == [list(token) for token in TOLD[0][-1]]


def test_what_does_not_move_is_no_film():
    with pytest.raises(ValueError, match="at least 2 pictures, not 1"):
        Film(file="a.png", width=1, height=1, count=1)


@pytest.mark.parametrize("steps", [(), (((("a", 0.0)),), ())], ids=["none", "other lengths"])
def test_steps_of_other_lengths_are_refused(steps):
    with pytest.raises(ValueError, match="as many tokens at each step"):
        Writing(steps=steps, hidden="_")


@pytest.mark.parametrize("count", [1, 2, 39, 40, 41, 100])
def test_steps_are_thinned_evenly(count):
    kept = thinned(count)
    assert kept[0] == 0 and kept[-1] == count - 1
    assert len(kept) == len(set(kept)) == min(count, 40)


def test_a_text_on_its_way_says_of_each_token_when_it_came():
    found = tags(revealed(((EVIL, 0.25), ("b", -1.0), ("_", 0.0)), "_"))
    kinds = [(given.get("class"), given.get("style")) for _, given in found]
    when = [("came", "--when:0.25"), ("given", "--when:-1"), ("hidden", "--when:0")]
    assert kinds == [(None, None), *when]
