"""Any masked language model of `transformers`, such as BERT; ESM-2 and DPLM, on residues.

The model of `transformers` is kept (`HuggingFaceNetwork`); its weights become the model's own.
"""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from feller.core.checkpoint import CheckpointError
from feller.core.importing import Foreign, Imported, Importer
from feller.core.sizes import build_within
from feller.text.codec import TextCodec
from feller.text.importing.decoders import LONGEST
from feller.text.importing.vocabularies import words_of
from feller.text.models import TextModelConfig
from feller.text.networks import HuggingFaceConfig

__all__ = ["MASKED"]


def _is_masked(foreign: Foreign) -> bool:
    made = foreign.config.get("architectures") or []
    ends = ("ForMaskedLM", "ForDPLM")
    return "model_type" in foreign.config and any(str(name).endswith(ends) for name in made)


def _convert(foreign: Foreign) -> Imported:
    words, fields = words_of(foreign, mask=True), foreign.json("config.json")
    fields = {name: value for name, value in fields.items() if name != "auto_map"}
    with _safe_folder(foreign, fields) as folder:
        network = HuggingFaceConfig(
            definition=json.dumps(fields), pretrained=str(folder), mask=words.mask
        )
        config = TextModelConfig(network=network, codec=TextCodec(tokenizer=words.tokenizer))
        _refuse_senseless_sizes(foreign, fields)
        try:
            model = config.build()
        except ValueError as error:
            raise ValueError(str(error).replace(str(folder), str(foreign.folder))) from None
    longest = min(model.network.longest or LONGEST, LONGEST)
    length = int(foreign.options.get("length", longest))
    codec = TextCodec(tokenizer=words.tokenizer, length=length)
    return Imported(
        config=replace(model.config, codec=codec),
        state=model.state_dict(),
        reading={
            "path": f"MixturePath, source mask, schedule {config.schedule}",
            "head": "logits of the posterior distribution",
            "network": f"the {fields['model_type']} of transformers",
            "tokens": f"{words.tokenizer.size} ids, contexts of {length}; the mask is their id "
            f"{words.mask}; no [CLS] and [SEP] are added to a text",
        },
    )


def _refuse_senseless_sizes(foreign: Foreign, fields: dict[str, Any]) -> None:
    """Reject a configuration of much more than there are weights, before it is made.

    Raises:
        SizeError: When it asks for that.
    """
    from transformers import AutoConfig, AutoModelForMaskedLM

    held = sum(tensor.numel() for tensor in foreign.stored.tensors.values())
    made = AutoConfig.for_model(**fields)
    with torch.device("meta"):
        build_within(lambda: AutoModelForMaskedLM.from_config(made), 2 * held + 1_000_000)


@contextmanager
def _safe_folder(foreign: Foreign, fields: dict[str, Any]) -> Iterator[Path]:
    """Yield a folder with their weights as safetensors, which `transformers` then reads.

    Raises:
        CheckpointError: When its weights are damaged or not all there.
    """
    with tempfile.TemporaryDirectory() as home:
        if not (tensors := foreign.stored.tensors):
            raise CheckpointError(f"{foreign.weights} is empty")
        tied = {name: value.clone() for name, value in tensors.items()}
        save_file(tied, Path(home, "model.safetensors"), {"format": "pt"})
        Path(home, "config.json").write_text(json.dumps(fields), encoding="utf-8")
        yield Path(home)


MASKED = Importer("masked language model of transformers", _is_masked, _convert)
