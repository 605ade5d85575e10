import pytest
import torch
from torch import nn

from feller.core.training.lora import adapted, merged

pytest.importorskip("peft")


def net():
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 4), nn.LayerNorm(4))


def test_a_fresh_adapter_changes_nothing_and_trains_alone():
    x, model = torch.randn(2, 1, 4, 4), net()
    before = model(x)
    adapted(model, 2)
    assert model(x).equal(before)
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    assert len(trained) == 4 and all(".lora_" in name for name in trained)


def test_what_is_new_is_trained_itself():
    model = adapted(net(), 2, ["2.weight", "3.bias"])
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert {"2.weight", "3.bias"} < trained
    assert {name.split(".")[0] for name in trained if "lora" in name} == {"0"}


def test_merged_is_the_same_function_of_plain_layers():
    x, model = torch.randn(2, 1, 4, 4), adapted(net(), 2)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if ".lora_" in name:
                weight.normal_()
    whole = merged(model)
    assert [*whole.state_dict()] == [*net().state_dict()]
    torch.testing.assert_close(whole(x), model(x), rtol=1e-4, atol=1e-4)
    assert merged(whole) is whole


def test_a_model_without_layers_is_refused():
    with pytest.raises(ValueError, match="no linear and no convolution layer"):
        adapted(nn.Embedding(2, 2), 2)
