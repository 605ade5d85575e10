"""What a notebook shows of a model, and of what it draws."""

import io

import numpy as np
import pictures
import torch
from folds import regular
from PIL import Image

from feller.core.showing import model_html, table_html
from feller.core.training import trainer
from feller.images.plots import Images
from feller.proteins.design.page import Chains
from feller.text.codec import TextCodec
from feller.text.plots import Texts


def test_a_model_says_what_it_is(tmp_path):
    from feller.core import load

    fresh = pictures.model()
    assert fresh._repr_html_() == model_html(fresh)
    assert "<strong>ImageModel</strong>" in model_html(fresh) and "Flow" in model_html(fresh)
    shown = load(pictures.save(tmp_path / "tiny"))._repr_html_()
    assert "toys/tiny" in shown and "0.5 (0.25 to 0.75)" in shown
    mixed = 0.5 * fresh + 0.5 * fresh
    assert "SuperposedModel" in mixed._repr_html_()


def test_nothing_that_is_shown_is_run():
    assert table_html([("<script>", "a" * 300)]).count("<script>") == 0
    assert len(table_html([("a", "b" * 300)])) < 300


def test_images_are_a_grid_and_a_plain_tensor():
    images = pictures.model().sample(3, label="cat", steps=2)
    assert type(images) is Images and type(images + 1) is type(images.clone()) is torch.Tensor
    assert images.equal(pictures.model().sample(3, label="cat", steps=2))
    shown = Image.open(io.BytesIO(images._repr_png_()))
    assert shown.size == (3 * 10 * 8 + 16, 10 * 8 + 16)  # 8 pixels of 8 each, and gaps
    assert torch.zeros(2, 4, 4, 5, dtype=torch.uint8).as_subclass(Images)._repr_png_() is None
    assert np.asarray(images.numpy()).shape == (3, 8, 8, 1)


def test_texts_show_when_each_token_came():
    codec = TextCodec()
    x = codec.tokens("a<b")[None]
    texts = Texts(codec, x, torch.tensor([[-1.0, 0.0, 1.0]]))
    shown = texts._repr_html_()
    assert texts == ["a<b"] and shown.startswith("<pre>a<span")
    assert "#440154;color:white'>&lt;<" in shown and "#fde725;color:black'>b<" in shown
    assert Texts(codec, x.expand(6, -1), torch.zeros(6, 3))._repr_html_().endswith("<p>2 more</p>")


def test_chains_are_shown_in_a_frame_of_their_own():
    shown = Chains([regular(12)])._repr_html_()
    assert shown.startswith("<iframe srcdoc='") and "<script" not in shown
    assert Chains()._repr_html_() == "no chains"


def test_bars_suit_notebooks():
    assert trainer.tqdm.__module__ == "tqdm.asyncio"  # of tqdm.auto: that of a notebook in one
