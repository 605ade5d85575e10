"""What was drawn is drawn again: bundled models and saved folders give the recorded samples.

`samples.npz` holds samples of every bundled model, and of a tiny model of every type, noise,
tokenizer, path and prediction, each at one seed and a few steps. `saved/` holds the folders of the
tiny ones as feller 0.1 wrote them, and `values.json` an encoding of every recipe and tagged value.

Texts, tokens and residues are compared exactly everywhere: their draws are made in double
precision, and one in a million turns on the last bit of a float32 logit. Images and atoms are
compared bit by bit where the arithmetic is that of the recording (the same version of torch, and
the same bits of a convolution, products, exponentials and sums), and else to within 2 of 255
levels and 0.02 Angstrom.

A change that is meant to draw other samples records them anew, in a commit of its own:
`uv run pytest tests/workspace/test_bit_equal.py --record-samples -k NAME`.
"""

import hashlib
import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from terminal import feller

from feller.core import domains, registry
from feller.core.config import decode, encode
from feller.images.classifier import load_classifier

HERE = Path(__file__).parent
SAVED = HERE / "saved"
RECORD = HERE / "samples.npz"
VALUES = json.loads((SAVED / "values.json").read_text())

# By what samples may differ where the arithmetic is another: grey levels, and Angstrom.
TOLERANCES = {"u": 2, "f": 0.02}

load = cache(registry.load)


# Models of proteins have had noise of their own since their samples were recorded.
NO_NOISE = {"noise": 0.0, "rotation_noise": 0.0, "noise_scale": 1.0, "repulsion": 0.0}
CALM = ("--noise", 0, "--rotation-noise", 0, "--noise-scale", 1, "--repulsion", 0)


def images(**given):
    return lambda name, _: {"images": load(name).sample(2, **{"steps": 3} | given).numpy()}


def texts(**given):
    return lambda name, _: {"texts": np.array(load(name).sample(1, **{"steps": 6} | given))}


def proteins(**given):
    def draw(name, _):
        chains = load(name).sample(2, **{"length": 16, "steps": 5} | given)
        return {
            "atoms": np.stack([chain.atoms for chain in chains]),
            "residues": np.array([chain.sequence for chain in chains]),
        }

    return draw


def structures(*flags):
    """The command line, which may be given the file of a chain that it drew before."""

    def draw(name, folder):
        given = folder / "given"
        if "GIVEN" in flags:
            written(given, "proteins/short-codesign", "-n", 1, "--length", 12, *CALM)
        file = given / "sample_0000.pdb"
        return written(folder / "out", name, *(file if f == "GIVEN" else f for f in flags))

    return draw


def written(out, name, *flags):
    """Atoms and residues of the files that `feller sample` writes."""
    code, _, err = feller("sample", name, "--steps", 4, "--out", out, "--device", "cpu", *flags)
    assert code == 0, err
    lines = [line for file in sorted(out.glob("*.pdb")) for line in file.read_text().splitlines()]
    atoms = [line for line in lines if line.startswith("ATOM")]
    return {
        "atoms": np.array([[float(a[i : i + 8]) for i in (30, 38, 46)] for a in atoms]),
        "residues": np.array([a[12:26] for a in atoms]),
    }


def flags_of_images(name, folder):
    out = folder / "out.npz"
    flags = ("-n", 3, "--steps", 2, "--label", "bag,coat", "--guidance", 1.5, "--device", "cpu")
    assert feller("sample", name, *flags, "--out", out).code == 0
    return dict(np.load(out))


def flags_of_texts(name, folder):
    out = folder / "out.txt"
    flags = ("--length", 40, "--prompt", "The ", "--steps", 8, "--seed", 3, "--device", "cpu")
    assert feller("sample", name, *flags, "--out", out).code == 0
    return {"texts": np.array([out.read_text(encoding="utf-8")])}


def guided_texts(name, _):
    """Guidance by the prompt, for which there is no flag."""
    from feller.core import random
    from feller.core.discrete.guidance import ClassifierFree
    from feller.core.discrete.solvers import Leap, token_state
    from feller.core.solvers import simulate
    from feller.text.sampling import context

    model = load(name)
    given = context(model.codec, "To be, or not to be, that is", length=64)
    guided, rng = ClassifierFree(model, 2.0, hidden=~given.free), random.rows(0, 0, 2)
    begun = token_state(model, given.x.repeat(2, 1), rng, free=given.free.repeat(2, 1))
    times = [i / 6 for i in range(7)]
    return {"tokens": simulate(guided, begun, times, Leap(), rng).state.x.numpy()}


FLOWS = ("euler", "midpoint", "heun", "rk4", "ddim", "ddpm", "dpm++", "stochastic_heun", "mixed")
TOKENS = ("leap", "ancestral", "events", "confidence", "margin", "entropy", "corrected", "remask")
BUNDLED = {
    "images/fashion-flow": {
        **{solver: images(solver=solver) for solver in FLOWS},
        "dopri5": images(solver="dopri5", steps=1, label="bag"),
        "predictor_corrector": images(solver="predictor_corrector"),
        "one label": images(label="bag", guidance=2.0, interval=(0.2, 0.8), seed=1),
        "two labels": images(label=torch.tensor([3, 8]), guidance=3.0, solver="euler"),
        "in batches": images(batch_size=1, solver="euler"),
        "flags": flags_of_images,
    },
    "images/fashion-joint": {
        "as it is": images(),
        "flow alone": images(mix=(1.0, 0.0)),
        "jumps alone": images(mix=(0.0, 1.0), seed=1),
        "guided": images(label="bag", guidance=2.0),
    },
    "images/fashion-meanflow": {
        "one call": images(steps=1),
        "two calls": images(steps=2, label="bag"),
    },
    "images/mnist-discrete": {
        "as it is": images(),
        "guided": images(label="7", guidance=2.0),
        "leaps": images(solver="euler"),
    },
    "text/shakespeare-mask": {
        **{solver: texts(solver=solver) for solver in TOKENS},
        "prompt and suffix": texts(prompt="To be", suffix="question."),
        "blocks": texts(block=100, steps=3),
        "guided": guided_texts,
    },
    "text/stdlib-mask": {
        "leap": texts(seed=5),
        "shaped": texts(temperature=0.7, top_k=20, top_p=0.9),
        "most likely": texts(solver="confidence", temperature=0.0),
    },
    "text/stdlib-uniform": {
        "leap": texts(),
        "ancestral": texts(solver="ancestral", prompt="def f("),
        "corrected": texts(solver="corrected", top_p=0.9),
    },
    "text/books-mask": {
        "leap": texts(),
        "first hitting": texts(solver="events", prompt="It was "),
        "flags": flags_of_texts,
    },
    "proteins/short-flow": {
        "plain": proteins(**NO_NOISE),
        "noise": proteins(power=1.0, **(NO_NOISE | {"noise": 1.0, "noise_scale": 0.5})),
        "scaffold": structures("-n", 2, "--contigs", "3-5,A4-8,4", "--motif", "GIVEN", *CALM),
    },
    "proteins/short-jump": {
        "plain": proteins(**NO_NOISE),
        "noise": proteins(batch_size=1, seed=2, **(NO_NOISE | {"noise": 0.3})),
        "lengths": structures("-n", 3, "--length", "8-12", *CALM),
    },
    "proteins/short-codesign": {
        "plain": proteins(**NO_NOISE),
        "flow": proteins(flow=1.0, temperature=0.1, **NO_NOISE),
        "jump": proteins(jump=1.0, sequence=False, **NO_NOISE),
        "repulsion": proteins(**(NO_NOISE | {"repulsion": 1.0})),
        "mostly jump": proteins(flow=0.25, temperature=0.0, **NO_NOISE),
        "fold": structures("-n", 2, "--fold", "MKVLAAGGST", *CALM),
        "inverse fold": structures("-n", 2, "--inverse-fold", "GIVEN", *CALM),
        "scaffold": structures("-n", 2, "--contigs", "4,A3-7,2,A10-12", "--motif", "GIVEN", *CALM),
    },
}
CASES = [(name, variant) for name, variants in BUNDLED.items() for variant in variants]
FOLDERS = sorted(file.parent.name for file in SAVED.glob("*/config.json"))


def of_folder(name):
    """Samples of a saved model, or what it computes where it draws none."""
    folder = str(SAVED / name)
    if name == "images-classifier":
        pixels = torch.linspace(-1, 1, 2 * 64).reshape(2, 1, 8, 8)
        return {"logits": load_classifier(folder)(pixels).detach().numpy()}
    if name == "text-causal":
        model = load(folder)
        return {"texts": np.array(model.codec.decode(model.draw(3, 12)))}
    if name.startswith("proteins"):
        return proteins(length=8)(folder, None)
    if name.startswith("text"):
        return texts()(folder, None)
    # The default of today suits the schedule; these were drawn by the default of before.
    return images(solver="heun", grid="uniform")(folder, None)


@cache
def arithmetic():
    """What bits depend on besides the code: the version of torch, and a probe of its kernels."""
    x = torch.linspace(-3, 3, 2 * 48 * 14 * 14).sin().reshape(2, 48, 14, 14)
    weight = torch.linspace(-1, 1, 96 * 48 * 9).cos().reshape(96, 48, 3, 3)
    rows = x.reshape(-1, 96)
    square = rows.t() @ rows
    found = (
        torch.nn.functional.conv2d(x, weight, padding=1),
        square.softmax(-1) @ square,
        torch.nn.functional.silu(rows).exp().sum(-1),
        rows.double().cumsum(0).tanh(),
        torch.nn.functional.layer_norm(rows, (96,)),
    )
    digest = hashlib.sha256(torch.__version__.split("+")[0].encode())
    for tensor in found:
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


@pytest.fixture(scope="module")
def record(request):
    """The recorded samples by name; with `--record-samples` what is drawn goes there."""
    known = dict(np.load(RECORD)) if RECORD.exists() else {}
    yield known
    if request.config.getoption("--record-samples"):
        np.savez_compressed(RECORD, **dict(sorted(known.items())))


@pytest.fixture(autouse=True)
def one_thread():
    """Sums are split by thread: more of them, other bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def compare(record, request):
    """Hold what was drawn against the record of the test's name."""

    def check(name, drawn):
        if request.config.getoption("--record-samples"):
            record.update({f"{name}: {key}": value for key, value in drawn.items()})
            record["arithmetic"] = np.array(arithmetic())
        keys = {f"{name}: {key}": value for key, value in drawn.items()}
        assert keys.keys() == {key for key in record if key.startswith(f"{name}: ")}
        for key, value in keys.items():
            assert_alike(value, record[key], bits=record["arithmetic"] == arithmetic())

    return check


def assert_alike(drawn, recorded, *, bits):
    """Bit by bit, or to within what another arithmetic does."""
    assert (drawn.shape, drawn.dtype.kind) == (recorded.shape, recorded.dtype.kind)
    if bits or drawn.dtype.kind not in TOLERANCES:
        np.testing.assert_array_equal(drawn, recorded)
    else:
        difference = np.abs(drawn.astype(float) - recorded.astype(float))
        assert difference.max() <= TOLERANCES[drawn.dtype.kind]


@pytest.mark.parametrize(("name", "variant"), CASES)
def test_a_bundled_model_draws_what_it_drew(name, variant, compare, tmp_path):
    compare(f"{name} {variant}", BUNDLED[name][variant](name, tmp_path))


@pytest.mark.parametrize("name", FOLDERS)
def test_a_saved_folder_draws_what_it_drew(name, compare):
    compare(name, of_folder(name))


def test_every_bundled_model_is_among_them():
    assert set(BUNDLED) == set(domains.list_models())


def test_bits_are_compared_here(record):
    if record["arithmetic"] != arithmetic():
        pytest.skip("NOT BIT BY BIT: this processor or torch computes otherwise than the record's")
    # One level, or the last bit of a float, is seen.
    for value in (np.zeros(3, np.uint8), np.ones(3, np.float32)):
        other = value.copy()
        other[0] = value[0] + 1 if value.dtype.kind == "u" else np.nextafter(value[0], 2)
        with pytest.raises(AssertionError):
            assert_alike(other, value, bits=True)
        assert_alike(other, value, bits=False)


@pytest.mark.parametrize("name", VALUES["recipes"])
def test_a_saved_recipe_is_read(name):
    recipe = domains.recipe(name)
    value = decode(VALUES["recipes"][name])
    assert type(value) is type(recipe)
    assert decode(json.loads(json.dumps(encode(value)))) == value


@pytest.mark.parametrize("saved", VALUES["values"], ids=lambda value: value["type"])
def test_a_saved_value_is_read(saved):
    for name in VALUES["recipes"]:  # whose modules define the types
        domains.recipe(name)
    value = decode(saved)
    assert decode(json.loads(json.dumps(encode(value)))) == value
