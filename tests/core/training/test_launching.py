import points
import pytest
import torch
from accelerate import Accelerator

from feller.core.training.launching import launched, on_main


@pytest.mark.parametrize("precision", ["bf16", "fp16", "fp8"])
def test_precision_of_the_launcher_is_refused_where_the_recipe_has_another(
    precision, tmp_path, monkeypatch
):
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", precision)
    with pytest.raises(ValueError, match=rf"asks for mixed precision {precision} .*recipe for no"):
        launched(points.recipe(), tmp_path, cpu=True)


def test_the_launchers_no_is_what_it_says_where_nothing_was_asked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "no")
    assert launched(points.recipe(), tmp_path, cpu=True).mixed_precision == "no"


@pytest.mark.parametrize("name", ["DEEPSPEED", "MEGATRON_LM", "PARALLELISM_CONFIG"])
def test_what_is_not_data_parallel_is_refused(name, tmp_path, monkeypatch):
    monkeypatch.setenv(f"ACCELERATE_USE_{name}", "true")
    with pytest.raises(ValueError, match=f"accelerate asks for {name} .*: feller trains data para"):
        launched(points.recipe(), tmp_path, cpu=True)


@pytest.mark.parametrize("sharding", ["none", "fsdp"])
def test_sharding_is_asked_of_the_recipe_alone(sharding, tmp_path, monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(ValueError, match=r"asks for FSDP .*give --training\.sharding fsdp"):
        launched(points.recipe(sharding=sharding), tmp_path, cpu=True)


def test_compiling_is_asked_of_the_recipe_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("ACCELERATE_DYNAMO_BACKEND", "INDUCTOR")
    with pytest.raises(ValueError, match=r"torch\.compile by inductor .*it is --training\.compile"):
        launched(points.recipe(), tmp_path, cpu=True)


def test_half_precision_that_is_scaled_is_not_sharded(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    with pytest.raises(ValueError, match=r"fp16 is not sharded: give .* bf16"):
        launched(points.recipe(mixed_precision="fp16", sharding="fsdp"), tmp_path)


def test_all_get_what_the_first_process_returns():
    assert on_main(Accelerator(cpu=True), lambda: 3) == 3


def test_a_launcher_that_asks_for_the_cpu_gets_one_or_no_mixed_precision(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    with pytest.raises(ValueError, match="mixed precision is many times slower on a CPU"):
        launched(points.recipe(mixed_precision="bf16"), tmp_path)


def test_accumulation_of_the_launcher_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "4")
    with pytest.raises(ValueError, match=r"accumulation is --training\.accumulate"):
        launched(points.recipe(), tmp_path, cpu=True)


def test_what_the_first_process_refuses_is_refused_as_it_was():
    def refuse():
        raise FileNotFoundError(2, "No such file", "a.png")

    with pytest.raises(FileNotFoundError, match=r"a\.png"):
        on_main(Accelerator(cpu=True), refuse)
