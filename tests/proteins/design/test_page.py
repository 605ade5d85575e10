"""The page: what stands in it, and, where there is a Chromium, what it really shows.

The browser loads the page as a file, without the page's policy, so that whatever it asked the
network for would stand in the browser's log; a script then works its controls and counts pixels.
"""

import json
import re
import shutil
import subprocess
from hashlib import sha256

import numpy as np
import pytest
from PIL import Image

from feller.proteins.design import page as module
from feller.proteins.design.page import Sample, page, write_page
from feller.proteins.structure.chain import Chain

# Radius, turn and rise of N, CA, C and O in an ideal helix.
HELIX = np.array([[1.55, -27.9, -0.9], [2.29, 0.0, 0.0], [1.66, 26.8, 1.1], [2.02, 20.0, 2.3]])
ODD = "</script><b>three"
UNCHANGED = "f7cc78921ae72e7623e89cdd111434f58c2efddd2ffda1cd212644b406fb8016"


def helix(n):
    radius, turn, rise = HELIX.T
    i = np.arange(n)[:, None]
    a = np.radians(100 * i + turn)
    return np.stack([radius * np.cos(a), radius * np.sin(a), 1.5 * i + rise], -1).astype(np.float32)


def strand(n):
    i = np.arange(n)
    side = np.where(i % 2, 1.0, -1.0)
    ca = np.stack([0.9 * side, 0 * side, 3.35 * i], -1)
    around = np.array([[0, 0.3, -1.2], [0, 0, 0], [0, 0.3, 1.3], [0, 1.5, 1.4]])
    flips = np.stack([side, side, np.ones(n)], -1)
    return (ca[:, None] + around * flips[:, None]).astype(np.float32)


def chain(name, atoms, **changes):
    n = len(atoms)
    fields = {
        "residues": (np.arange(n) % 20).astype(np.uint8),
        "index": np.arange(1, n + 1, dtype=np.int32),
    }
    return Chain(name=name, atoms=atoms, **fields | changes)


def held(html):
    """The samples as the script of the page reads them."""
    found = re.search(r'<script type="application/json" id="samples">(.*?)</script>', html)
    return json.loads(found[1])


def places(sample, frame=-1):
    return np.array(sample["positions"][frame], dtype=float).reshape(-1, 4, 3) / 100


def distances(atoms):
    x = atoms.reshape(-1, 3).astype(float)
    return np.linalg.norm(x[:, None] - x[None], axis=-1)


def test_the_page_holds_the_atoms():
    atoms = helix(12)
    atoms[3, 3] = np.nan
    (sample,) = held(page([Sample(chain("a", atoms))]))
    found = places(sample)
    assert (np.isnan(found) == np.isnan(atoms)).all()
    known = ~np.isnan(atoms)
    off = np.abs(distances(found[known].reshape(-1, 3)) - distances(atoms[known].reshape(-1, 3)))
    assert off.max() < 0.02
    assert sample["sequence"] == "ACDEFGHIKLMN"
    assert sample["numbers"] == list(range(1, 13))
    assert sample["structure"] == ["CHHHHHHHHHHC"]
    assert sample["levels"] is None


def test_atoms_are_turned_and_not_mirrored():
    rng = np.random.default_rng(0)
    for scale in (np.array([1, 5, 3]), np.array([5, 1, 3]), np.array([3, 1, 5])):
        atoms = (rng.normal(size=(20, 4, 3)) * scale + 50).astype(np.float32)
        found = places(held(page([Sample(chain("a", atoms))]))[0])
        a, b = (x[:, 1] - x[:, 1].mean(0) for x in (atoms.astype(float), found))
        turn = np.linalg.lstsq(a, b, rcond=None)[0]
        assert np.linalg.det(turn) == pytest.approx(1, abs=0.01)
        assert np.abs(found[:, 1].mean(0)).max() < 0.01
        assert list(np.argsort(-found[:, 1].std(0))) == [0, 1, 2]


def test_frames_move_together():
    frames = [helix(9) + np.float32(5), helix(9) + np.float32([5, 6, 5]), helix(9) * np.float32(2)]
    found = held(page([Sample(chain("a", frames[-1]), frames=frames)]))[0]
    assert len(found["structure"]) == 3
    shift = (places(found, 1) - places(found, 0)).reshape(-1, 3)
    assert np.linalg.norm(shift.mean(0)) == pytest.approx(1, abs=0.01)
    assert np.abs(places(found)[:, 1].mean(0)).max() < 0.01


def test_gaps_in_the_numbers_stay_gaps():
    number = np.array([-5, -4, 30, 30, 31, 7], np.int32)
    (sample,) = held(page([Sample(chain("a", helix(6), index=number))]))
    assert sample["numbers"] == [1, 2, 4, 5, 6, 8]


def test_names_and_facts_are_only_text():
    facts = {"a<b": float("nan"), "c": 0.5, "e": 7, "d": "</script>"}
    html = page([Sample(chain(ODD, helix(3)), facts)], title="A & <B>")
    (sample,) = held(html)
    assert sample["name"] == ODD
    assert sample["facts"] == {"a<b": "nan", "c": 0.5, "e": 7, "d": "</script>"}
    assert "<title>A &amp; &lt;B&gt;</title>" in html
    assert html.count("</script>") == 3


def test_the_page_may_ask_for_nothing():
    html = page([Sample(chain("a", helix(3)))])
    assert "content=\"default-src 'none'; script-src 'unsafe-inline'; " in html
    assert not re.search(r"<(script|img|link|iframe)[^>]*(src|href)=", html)


def test_the_viewer_has_its_licence_and_can_stand_in_a_page():
    name = module.VIEWER
    viewer = module._asset(name)
    assert not re.search("<!--|<script|</script", viewer)
    licence = module._asset(name.replace(".min.js", ".LICENSE.txt"))
    version = re.search(r"3Dmol-([\d.]+)\.min", name)[1]
    assert f"3Dmol.js {version}," in licence
    assert sha256(viewer.encode()).hexdigest() == UNCHANGED
    assert "University of Pittsburgh" in licence


@pytest.mark.parametrize(
    ("samples", "complaint"),
    [
        ([], "a page shows at least one sample"),
        ([Sample(chain("a", helix(3)), frames=[helix(4)])], r"a: a frame of 3 residues"),
        ([Sample(chain("a", helix(3)), b_factors=np.zeros(4))], "a: 4 B factors for 3 residues"),
        ([Sample(chain("a", helix(1)), b_factors=np.array([np.nan]))], "a: a B factor is infinite"),
    ],
)
def test_what_cannot_be_shown_is_refused(samples, complaint):
    with pytest.raises(ValueError, match=complaint):
        page(samples)


PROBE = """
<script>
const report = {};
const pick = (id) => document.getElementById(id);
function look() {
  const seen = document.querySelector("#view canvas"), copy = document.createElement("canvas");
  [copy.width, copy.height] = [seen.width, seen.height];
  const sheet = copy.getContext("2d");
  sheet.fillStyle = "white";
  sheet.fillRect(0, 0, copy.width, copy.height);
  sheet.drawImage(seen, 0, 0);
  const p = sheet.getImageData(0, 0, copy.width, copy.height).data;
  const n = { ink: 0, warm: 0, cold: 0, hash: 0 };
  for (let i = 0; i < p.length; i += 4) {
    const [r, g, b] = [p[i], p[i + 1], p[i + 2]];
    if (r + g + b > 740) continue;
    n.ink += 1;
    n.warm += r > b + 60;
    n.cold += b > r + 40;
    n.hash = (n.hash * 31 + i + r + 2 * g + 3 * b) | 0;
  }
  return { ...n, shown: document.body.dataset.shown, legend: pick("legend").textContent };
}
const set = (id, value, event) => {
  pick(id).value = value;
  pick(id).dispatchEvent(new Event(event));
};
const choose = (i) => document.querySelectorAll("tbody button")[i].click();
function work() {
  report.rows = [...document.querySelectorAll("tr")].map((row) => row.innerText);
  report.first = look();
  set("colour", "rainbow", "change"); report.rainbow = look();
  set("form", "atoms", "change"); report.atoms = look();
  set("form", "trace", "change"); report.trace = look();
  set("form", "cartoon", "change"); set("colour", "structure", "change");
  set("frame", "0", "input"); report.start = look();
  choose(1); report.second = look(); report.alone = pick("film").offsetHeight === 0;
  set("colour", "level", "change"); report.level = look();
  choose(2); report.third = look();
  choose(0); pick("play").click(); report.playing = look();
}
addEventListener("load", () => {
  try { work(); } catch (error) { report.error = String(error); }
  setTimeout(() => {
    report.played = look();
    const pre = Object.assign(document.createElement("pre"), { id: "report", hidden: true });
    pre.textContent = JSON.stringify(report);
    document.body.append(pre);
  }, 4000);
});
</script>
"""

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--window-size=1000,700"),
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--virtual-time-budget=10000",
)


def browse(html, folder):
    """Load a page in Chromium: its DOM, what it asked the network for, and a picture."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium: install it to see what the page shows")
    file, log, picture = folder / "page.html", folder / "log.json", folder / "page.png"
    file.write_text(html, encoding="utf-8")
    outputs = [f"--log-net-log={log}", f"--screenshot={picture}", "--dump-dom"]
    command = [browser, *FLAGS, f"--user-data-dir={folder / 'user'}", *outputs, file.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    # What the browser asks for itself has no origin.
    asked = re.findall(r'"initiator":"((?!not an origin).*?)".*?"url":"(.*?)"', log.read_text())
    return done.stdout, [url for _, url in asked], picture


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    rng = np.random.default_rng(0)
    both = np.concatenate([helix(30), strand(20) + np.float32([14, 0, 0])])
    noise = rng.normal(0, 10, (50, 1, 3)) + rng.normal(0, 1, (50, 4, 3))
    frames = [((1 - t) * noise + t * both).astype(np.float32) for t in np.linspace(0, 1, 6)]
    samples = [
        Sample(chain("one", both), {"radius": 13.51239}, frames),
        Sample(chain("two", helix(40)), {"helix": 1.0}, b_factors=np.linspace(0.25, 1, 40)),
        Sample(chain(ODD, strand(30))),
    ]
    html = page(samples, title="Three backbones")
    html = re.sub("<meta http-equiv.*?>", "", html)
    dom, asked, picture = browse(html + PROBE, tmp_path_factory.mktemp("page"))
    report = re.search('<pre id="report" hidden="">(.*?)</pre>', dom)
    assert report, "the page gave no report"
    return json.loads(report[1].replace("&lt;", "<").replace("&gt;", ">")), asked, picture


@pytest.mark.gate
def test_the_browser_shows_a_backbone(seen):
    report, _, picture = seen
    assert "error" not in report
    first = report["first"]
    assert first["shown"] == "one 5 cartoon structure"
    assert first["warm"] > 3_000  # the helix
    assert first["cold"] > 1_000  # the strand
    pixels = np.asarray(Image.open(picture).convert("RGB")).astype(int)
    assert (pixels[..., 0] > pixels[..., 2] + 60).sum() > 3_000
    assert report["third"]["warm"] == 0 < report["third"]["cold"]


@pytest.mark.gate
def test_the_browser_asks_for_nothing(seen):
    assert seen[1] == []


def test_a_request_would_be_seen(tmp_path):
    _, asked, _ = browse('<p>a</p><img src="http://nowhere.invalid/a.png">', tmp_path)
    assert set(asked) == {"http://nowhere.invalid/a.png"}


@pytest.mark.gate
def test_the_controls_change_what_is_shown(seen):
    report, _, _ = seen
    names = ("first", "rainbow", "atoms", "trace", "start", "second", "level", "third")
    looks = [report[name] for name in names]
    assert all(look["ink"] > 2_000 for look in looks)
    assert len({look["hash"] for look in looks}) == len(looks)
    assert report["rainbow"]["legend"] == "NC"
    assert report["first"]["legend"] == "helixstrandcoil"
    assert report["level"]["legend"] == "0.251"
    assert report["level"]["shown"] == "two 0 cartoon level"
    assert report["third"]["shown"] == f"{ODD} 0 cartoon structure"  # it has no levels
    assert report["alone"]  # no film of one frame
    assert report["start"]["ink"] > 1.5 * report["first"]["ink"]  # noise is drawn in one piece


@pytest.mark.gate
def test_samples_are_listed_with_their_facts(seen):
    rows = [row.split("\t") for row in seen[0]["rows"]]
    assert rows[0] == ["sample", "radius", "helix"]
    assert [row[0] for row in rows[1:]] == ["one", "two", ODD]
    assert rows[1][1] == "13.51"
    assert rows[2][2] == "1"


@pytest.mark.gate
def test_a_trajectory_is_played_to_its_end(seen):
    report, _, _ = seen
    assert report["playing"]["shown"] == "one 0 cartoon structure"
    assert report["playing"]["hash"] == report["start"]["hash"] != report["first"]["hash"]
    assert report["played"] == report["first"]


def test_a_page_is_written(tmp_path):
    file = tmp_path / "new" / "a.html"
    write_page([Sample(chain("a", helix(100)))], file)
    assert list(file.parent.iterdir()) == [file]
    assert file.stat().st_size < 600_000
