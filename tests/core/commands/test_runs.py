import json
from xml.etree import ElementTree

import pytest
from terminal import feller


@pytest.fixture
def runs(tmp_path):
    for name, losses in (("a<b", (3.0, 1.0, 2.0)), ("c", (1.0,))):
        out = tmp_path / "runs" / name
        out.mkdir(parents=True)
        (out / "recipe.json").write_text('{"training": {"steps": 9}}')
        lines = [{"step": 10 * i, "loss": loss} for i, loss in enumerate(losses)]
        (out / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path / "runs"


def test_the_table_has_a_line_for_each_run(runs):
    code, out, _ = feller("runs", str(runs))
    assert code == 0
    head, first, second, *_ = out.splitlines()
    assert head.split() == ["run", "status", "steps", "loss", "samples/s", "best"]
    assert first.split() == ["a<b", "failed", "20/9", "2"]
    assert second.split() == ["c", "stopped", "0/9", "1"]


def test_json_says_the_same(runs):
    code, out, _ = feller("runs", str(runs), "--json")
    assert code == 0
    assert [(each["step"], each["loss"]) for each in json.loads(out)] == [(20, 2.0), (0, 1.0)]


def test_the_page_draws_losses_where_they_are(runs, tmp_path):
    page = tmp_path / "runs.html"
    assert feller("runs", str(runs), "--out", str(page))[0] == 0
    text = page.read_text()
    assert "http" not in text
    svg = text[text.index("<svg") : text.index("</svg>") + 6]
    line = ElementTree.fromstring(svg).find("polyline")
    heights = [float(point.split(",")[1]) for point in line.get("points").split()]
    assert heights[0] < heights[2] < heights[1]  # down is below: 3, then 2, then 1
    assert heights[2] == pytest.approx((heights[0] + heights[1]) / 2, abs=0.1)
    assert text.count("<svg") == 1
    assert "a&lt;b" in text
    assert feller("runs", str(runs), "--out", str(page))[0] == 0
    page.write_text("mine")
    assert feller("runs", str(runs), "--out", str(page))[0] == 2
    assert page.read_text() == "mine"
