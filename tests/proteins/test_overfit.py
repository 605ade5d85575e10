"""One protein, learnt by heart: what any sound model of backbones must be able to do."""

import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from feller.core.domains import recipe
from feller.core.times import Uniform
from feller.core.training.loop import build_run, training_steps
from feller.proteins.data.filters import Filters
from feller.proteins.losses import FrameLoss
from feller.proteins.metrics.kabsch import rmsd
from feller.proteins.structure.reading import read_chains
from feller.proteins.structure.writing import write_chains
from feller.proteins.times import FrameTimes

STEPS = 1_700
THREADS = 2


def one_chain(archive, length):
    return next(
        chain
        for chain in read_chains(archive)
        if len(chain) == length and Filters().refusal(chain) is None
    )


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_one_chain_of_sixty_residues_is_overfitted(tmp_path, data_root):
    chain = one_chain(data_root / "proteins" / "pdb_backbone_40_256.bcif.zip", 60)
    write_chains([chain], tmp_path / "pdb")
    full = recipe("proteins/short-codesign")
    data = replace(
        full.data, path=str(tmp_path / "pdb"), cache=str(tmp_path), test_fraction=0.0, rounds=64
    )
    training = replace(full.training, steps=STEPS, batch_size=8, ema_decay=0.98)
    optimizer = replace(full.optimizer, warmup=50, lr=4e-3)
    times = FrameTimes(
        base=Uniform(), together=1.0, apart=0.0, structure=0.0, fold=0.0, inverse=0.0
    )
    small = replace(
        full,
        data=data,
        training=training,
        optimizer=optimizer,
        times=times,
        objective=FrameLoss(),
    )
    torch.set_num_threads(THREADS)
    began = time.perf_counter()
    run = build_run(small, Accelerator(cpu=True))
    for _ in training_steps(run):
        pass
    seconds = time.perf_counter() - began
    for jump in (0.0, 0.5, 1.0):
        drawn = run.ema.model.sample(4, length=60, steps=100, jump=jump)
        places = np.stack([one.atoms[:, 1] for one in drawn])
        away = rmsd(np.broadcast_to(chain.atoms[:, 1], places.shape), places)
        print(f"jump {jump}: {away.round(2)} Angstrom, {seconds:.0f} s of training")
        assert np.median(away) < 1.0
        same = sum(a == b for a, b in zip(drawn[0].sequence, chain.sequence, strict=True))
        assert same >= 54  # of 60: the bar is about places
