import torch
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor

from feller.core.nn.shards import full, is_sharded, local, split_like


def test_a_tensor_of_all_rows_is_itself():
    x = torch.ones(3)
    assert not is_sharded(x)
    assert local(x) is full(x) is split_like(x, x) is x


def test_rows_are_those_of_this_process(tmp_path):
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path}/group", rank=0, world_size=1
    )
    try:
        x = torch.arange(6.0).view(3, 2)
        rows = distribute_tensor(x, init_device_mesh("cpu", (1,)), [Shard(0)])
        assert is_sharded(rows)
        assert torch.equal(local(rows), x)
        assert torch.equal(full(split_like(x + 1, rows)), x + 1)
    finally:
        torch.distributed.destroy_process_group()
