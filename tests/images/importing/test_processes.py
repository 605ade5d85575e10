"""Tables of noise are those of diffusers; what no path of ours is, is refused."""

import warnings

import pytest
import torch

from feller.images.importing.processes import discrete, forward_flow, from_diffusers

KINDS = ["linear", "scaled_linear", "squaredcos_cap_v2", "sigmoid"]


@pytest.mark.parametrize("kind", KINDS)
def test_tables_are_those_of_diffusers(kind):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        diffusers = pytest.importorskip("diffusers", reason="parity needs diffusers")
        theirs = diffusers.DDPMScheduler(beta_schedule=kind, beta_end=0.03, num_train_timesteps=200)
    found = from_diffusers(dict(theirs.config))
    table = torch.tensor(found.schedule.alphas_cumprod)
    assert torch.allclose(table, theirs.alphas_cumprod, rtol=1e-4, atol=1e-8)
    assert (found.time_scale, found.time_offset) == (-200.0, 199.0)


def test_a_given_table():
    found = from_diffusers({"trained_betas": [0.1, 0.2], "prediction_type": "v_prediction"})
    assert found.schedule.alphas_cumprod == pytest.approx((0.9, 0.72))
    assert found.head.prediction == "v"


def test_flows_run_backwards_with_diffusers_and_forwards_elsewhere():
    theirs = {"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 3.0}
    found = from_diffusers(theirs)
    assert (found.time_scale, found.time_offset, found.backwards) == (-1000.0, 1000.0, True)
    assert torch.equal(found.turned(torch.ones(2)), -torch.ones(2))
    assert "shifted by 3" in found.described()["not held"]
    assert from_diffusers({"_class_name": "DPMSolverMultistepScheduler",
                           "prediction_type": "flow_prediction"}).backwards  # fmt: skip
    forward = forward_flow()
    assert (forward.time_scale, forward.time_offset, forward.backwards) == (1.0, 0.0, False)
    assert torch.equal(forward.turned(torch.ones(2)), torch.ones(2))


def test_an_unknown_prediction_is_refused():
    with pytest.raises(ValueError, match="'kind' is not supported: epsilon, sample"):
        discrete(torch.tensor([0.5]), "kind", {})
    with pytest.raises(ValueError, match="invert_sigmas is not supported"):
        from_diffusers({"_class_name": "FlowMatchHeunDiscreteScheduler", "invert_sigmas": True})
