"""Sampling: every solver by name, what is given comes back, and rows do not meet."""

import warnings

import numpy as np
import pytest
import texts
import torch
from texts import misspelt
from tokenizers import Tokenizer as Library
from tokenizers import models

from feller.core.config import decode, encode
from feller.core.discrete.guidance import ClassifierFree
from feller.core.discrete.solvers import TOKEN_SOLVERS
from feller.text.codec import TextCodec
from feller.text.sampling import (
    Context,
    Sampling,
    context,
    draw_batches,
    draw_texts,
)
from feller.text.tokenizers import Pieces, TokenizerError

FOR_ANY_SOURCE = ("leap", "ancestral", "corrected")
CASES = [
    (solver, noise)
    for solver in TOKEN_SOLVERS
    for noise in ("mask", "uniform")
    if noise == "mask" or solver in FOR_ANY_SOURCE
]


@pytest.mark.parametrize(("solver", "noise"), CASES)
def test_what_is_given_comes_back(solver, noise):
    model = texts.model(noise)
    given = context(model.codec, "ba", "dd")
    chains = draw_texts(model, given, 6, Sampling(solver=solver, steps=3))
    assert chains.x[:, ~given.free].equal(given.x[~given.free].expand(6, 4))
    assert (chains.x < model.vocabulary.sampleable).all()
    assert chains.nfe.min() >= 1
    assert chains.nfe.max() <= 3 * (2 if solver == "corrected" else 1)


@pytest.mark.parametrize(("solver", "noise"), CASES)
def test_a_text_depends_on_the_seed_and_its_position(solver, noise):
    model = texts.model(noise)
    given = context(model.codec)
    how = Sampling(solver=solver, steps=4)
    five = draw_texts(model, given, 5, how, seed=1)
    assert draw_texts(model, given, 2, how, seed=1).x.equal(five.x[:2])
    apart = Sampling(solver=solver, steps=4, batch_size=2)
    assert draw_texts(model, given, 5, apart, seed=1).x.equal(five.x)
    assert not draw_texts(model, given, 5, how, seed=2).x.equal(five.x)


def test_batches_come_one_at_a_time():
    model, how = texts.model(), Sampling(steps=4, batch_size=2)
    batches = draw_batches(model, context(model.codec), 5, how, seed=1)
    first = next(batches)
    whole = draw_texts(model, context(model.codec), 5, how, seed=1)
    assert torch.cat([first.x, *(chains.x for chains in batches)]).equal(whole.x)
    assert len(first.x) == 2


def test_solvers_for_masks_refuse_other_sources():
    model = texts.model("uniform")
    for solver in set(TOKEN_SOLVERS) - set(FOR_ANY_SOURCE):
        with pytest.raises(ValueError, match="reveals masks, but the source is UniformTokens"):
            draw_texts(model, context(model.codec), 1, Sampling(solver=solver))


def test_temperature_0_takes_the_likeliest():
    model = texts.model()
    chains = draw_texts(
        model, context(model.codec), 1, Sampling(solver="confidence", steps=8, temperature=0.0)
    )
    cold = draw_texts(
        model, context(model.codec), 1, Sampling(solver="confidence", steps=8, top_k=1), seed=5
    )
    assert cold.x.equal(chains.x)


def test_blocks_go_from_left_to_right():
    model = texts.model()
    chains = draw_texts(model, context(model.codec), 4, Sampling(steps=2, block=2))
    first, last = chains.call[:, :2].amax(1), chains.call[:, 6:].amin(1)
    assert (first < last).all()


def test_the_steps_are_shared_out():
    assert Sampling(solver="events", steps=3).solver_for(8).per_call == 3
    assert Sampling(solver="margin", steps=100).solver_for(8).per_call == 1
    assert Sampling(solver="events", steps=2, block=4).solver_for(8).per_call == 2


def test_a_context_has_its_parts_in_order():
    codec = texts.CODEC
    given = context(codec, "ab", "c", length=5)
    assert isinstance(given, Context)
    assert given.free.tolist() == [False, False, True, True, False]
    assert codec.decode(given.x[None])[0][:2] == "ab"
    assert context(codec).free.all()
    assert len(context(codec).x) == codec.length


@pytest.mark.parametrize(
    ("prompt", "options", "reason"),
    [
        ("abcdabcd", {}, "have 8 tokens, and the context 8: shorten them"),
        ("ab", {"suffix": "c", "length": 3}, "have 3 tokens, and the context 3"),
        ("", {"length": 0}, "length is at least 1, not 0"),
    ],
)
def test_a_context_has_room(prompt, options, reason):
    with pytest.raises(ValueError, match=reason):
        context(texts.CODEC, prompt, **options)


def test_what_is_given_is_known():
    with pytest.raises(TokenizerError, match="character 'é'"):
        context(texts.CODEC, "bé")


@pytest.mark.parametrize("end", ["prompt", "suffix"])
def test_what_is_given_comes_back_unchanged_or_is_refused(end):
    with pytest.raises(TokenizerError, match=r"lossy on this text: '.udcff' \(at 1\) comes back"):
        context(TextCodec(length=8), **{end: "a\udcff"})
    assert not context(TextCodec(length=8), **{end: "é"}).free.all()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"solver": "euler"}, "unknown solver 'euler'; there are leap, ancestral"),
        ({"steps": 0}, "at least 1"),
        ({"temperature": -1.0}, "temperature is at least 0"),
        ({"top_p": 0.0}, "top_p is in"),
    ],
)
def test_senseless_sampling_is_refused(options, reason):
    with pytest.raises(ValueError, match=reason):
        Sampling(**options)


def test_sampling_survives_json():
    how = Sampling(solver="events", top_k=3, block=4)
    assert decode(encode(how)) == how


def test_labels_go_to_their_rows():
    model = texts.model(num_classes=3)
    given, how = context(model.codec), Sampling(steps=4, batch_size=2)
    labels = torch.tensor([0, 1, 2])
    drawn = draw_texts(model, given, 3, how, condition=labels)
    alone = draw_texts(model, given, 1, how, condition=labels[:1])
    assert drawn.x[:1].equal(alone.x)


def test_rows_have_their_conditions_whatever_the_batches():
    model, seen = texts.model("mask"), []
    logits = model.logits
    model.logits = lambda x, kappa, condition=None, **rest: (
        seen.append(condition), logits(x, kappa, None, **rest),
    )[1]  # fmt: skip
    how = Sampling(solver="leap", steps=1, batch_size=2)
    for condition in (list("abcde"), torch.arange(5), torch.tensor(7), "all"):
        seen.clear()
        draw_texts(model, context(model.codec), 5, how, condition=condition)
        if isinstance(condition, list) or getattr(condition, "ndim", 0):
            assert [label for part in seen for label in part] == list(condition)
        else:
            assert seen == [condition] * 3


def model_of_words(noise):
    made = Library(models.WordLevel({"[PAD]": 0, "a": 1, "b": 2, "[UNK]": 3}, unk_token="[UNK]"))
    made.add_special_tokens(["[PAD]"])
    return texts.model(noise, codec=TextCodec(tokenizer=Pieces(made.to_str()), length=8))


@pytest.mark.parametrize(("solver", "noise"), CASES)
def test_special_ids_are_drawn_where_they_are_wanted(solver, noise):
    model = model_of_words(noise)
    given = context(model.codec)
    for model_or_guide in (model, Guide(model)):
        drawn = draw_texts(model_or_guide, given, 40, Sampling(solver=solver, steps=4)).x
        assert set(drawn.flatten().tolist()) == {1, 2}
    wanted = draw_texts(model, given, 40, Sampling(solver=solver, steps=4, special=True)).x
    assert set(wanted.flatten().tolist()) == {0, 1, 2, 3}


def test_the_end_of_a_text_is_drawn():
    made = Library(models.WordLevel({"[PAD]": 0, "a": 1, "<|endoftext|>": 2}))
    made.add_special_tokens(["[PAD]", "<|endoftext|>"])
    pieces = Pieces(made.to_str())
    assert (pieces.special, pieces.ends, pieces.undrawn) == ({0, 2}, {2}, {0})
    model = texts.model(codec=TextCodec(tokenizer=pieces, length=8))
    drawn = draw_texts(model, context(model.codec), 40, Sampling(steps=4)).x
    assert set(drawn.flatten().tolist()) == {1, 2}


def test_labels_of_any_integer_kind():
    model = texts.model(num_classes=3)

    def drawn(label):
        return draw_texts(model, context(model.codec), 2, Sampling(steps=2), condition=label).x

    for label in (np.int64(1), np.array([1, 1]), [np.int64(1)] * 2):
        assert drawn(label).equal(drawn(1))
    with pytest.raises(ValueError, match=r"a label is a whole number, not 1\.5"):
        drawn(1.5)


def test_special_is_yes_or_no():
    with pytest.raises(ValueError, match="special is True or False, not 'no'"):
        texts.model().sample(1, special="no")


def test_a_tokenizer_of_special_tokens_alone_is_reported():
    made = Library(models.WordLevel({"[PAD]": 0}))
    made.add_special_tokens(["[PAD]"])
    model = texts.model(codec=TextCodec(tokenizer=Pieces(made.to_str()), length=8))
    with pytest.raises(ValueError, match="all tokens of the tokenizer are special"):
        model.sample(1)
    assert model.sample(1, special=True, steps=2)[0].startswith("[PAD]")


class Guide(ClassifierFree):
    """One that has weights, as `draw_texts` asks."""

    def parameters(self):
        return self.model.parameters()


@pytest.mark.parametrize("field", ["steps", "batch_size", "top_k", "block"])
def test_numbers_are_whole(field):
    with pytest.raises(ValueError, match=f"{field} is a whole number, not 1.5"):
        misspelt(Sampling(), **{field: 1.5})


def test_a_seed_is_a_number():
    model = texts.model()
    with warnings.catch_warnings(), pytest.raises((ValueError, TypeError), match="seed"):
        draw_texts(model, context(model.codec), 1, Sampling(steps=1), seed=None)


def test_batches_of_many_texts_hold_no_list_of_them():
    """As many texts as one likes, of which a batch is there at a time."""
    model = texts.model().eval()
    given, how = context(model.codec, length=4), Sampling(steps=1, batch_size=2)
    assert len(next(draw_batches(model, given, 10**15, how)).x) == 2
