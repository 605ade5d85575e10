"""The ids of others in our order."""

from pathlib import Path

import pytest
import torch

from feller.core.checkpoint import CheckpointError
from feller.text.importing.vocabularies import NEVER, Words, letters_of
from feller.text.tokenizers import bundled_pieces

TOKENIZER = bundled_pieces("python-1023")


def test_the_mask_comes_last_and_is_never_predicted():
    words = Words(TOKENIZER, 5)
    table = torch.randn(1030, 2)
    found = words.embedded(table)
    assert torch.equal(found, torch.cat([table[:1023], table[5:6]]))
    weight, bias = words.predicted(table, None)
    assert torch.equal(weight, table[:1023])
    assert bias[5] == NEVER and bias.count_nonzero() == 1
    after = Words(TOKENIZER, 1025)
    assert torch.equal(after.embedded(table)[-1], table[1025])
    assert not after.predicted(table, torch.zeros(1030))[1].any()
    assert len(Words(TOKENIZER, None).embedded(table)) == 1023
    with pytest.raises(CheckpointError, match="embed 1000 ids, fewer than the tokenizer has"):
        words.embedded(table[:1000])


def test_letters(tmp_path):
    file = Path(tmp_path, "vocab.txt")
    file.write_text("<cls>\n<unk>\nA\nC\n<mask>\n")
    found = letters_of(file)
    assert found.encode("CAZ") == [3, 2, 1] and found.decode([2, 3, 4]) == "AC<mask>"
    assert found.special == {0, 1, 4}
