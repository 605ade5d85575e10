"""Fine-tuning against training from scratch: garments of three classes that the model never named.

    uv run python benchmarks/fine_tuning.py folder garments --data DIR
    uv run python benchmarks/fine_tuning.py fine garments fine --steps 300
    uv run python benchmarks/fine_tuning.py scratch garments scratch --steps 3000
    uv run python benchmarks/fine_tuning.py measure garments fine scratch images/fashion-flow

`folder` writes PNGs out of DIR/fashion_mnist.npz; both trainings are one command of `feller train`.
The measures are the mean loss of held-out images at fixed times and noises, and the
KID of samples by the features of the bundled classifier. Measured once (batches of 16, seed 0, one
core): 300 steps from fashion-flow end at a loss of .186 and a KID of .72, 3,000 steps from random
weights at .206 and 1.87; fashion-flow itself, which saw all of Fashion-MNIST, has .184 and .03.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image

CLASSES = {"gown": 3, "shoe": 7, "case": 8}
"""Names that the bundled model does not know, of the dresses, sneakers and bags that it does."""
TRAIN, TEST = 2000, 500


def folder(root: Path, data: Path) -> None:
    """Write training images into `root/train/CLASS`, held-out ones into `root/test/CLASS`."""
    with np.load(data / "fashion_mnist.npz") as found:
        arrays = {name: found[name] for name in found.files}
    for split, count in (("train", TRAIN), ("test", TEST)):
        images, labels = arrays[f"{split}_images"], arrays[f"{split}_labels"]
        for name, label in CLASSES.items():
            place = root / split / name
            place.mkdir(parents=True, exist_ok=True)
            for i, image in enumerate(images[labels == label][:count]):
                Image.fromarray(image.reshape(28, 28)).save(place / f"{i:04d}.png")


def train(root: Path, out: Path, steps: int, batch: int, *, fine: bool) -> None:
    """Run the one command."""
    from feller.core.commands.train import run

    names = sorted(CLASSES)
    flags = ["images/fashion-flow", "--out", str(out), "--data.source", "folder", "--data.gray"]
    flags += ["--data.root", str(root / "train"), "--model.codec.classes", *names]
    flags += ["--model.network.num-classes", "3", "--training.steps", str(steps)]
    flags += ["--training.sample-every", "0", "--training.batch-size", str(batch)]
    if fine:
        flags += ["--training.start", "images/fashion-flow", "--optimizer.warmup", "20"]
        flags += ["--optimizer.lr", "2e-4", "--optimizer.groups", "new=10"]
    run(flags)


def measure(root: Path, name: str, samples: int) -> dict[str, float]:
    """Return the loss of held-out images, and KID of samples without guidance."""
    from feller.core import load, random
    from feller.core.losses import Objective
    from feller.core.times import LogitNormal, stratify
    from feller.images.data import ImageData
    from feller.images.metrics.features import feature_network
    from feller.images.metrics.kid import kernel_distance
    from feller.images.models import ImageModel

    model = load(name, ImageModel)
    data = ImageData(source="folder", root=str(root / "test"), gray=True).build()
    batch = data[list(range(len(data)))]
    known = tuple(sorted(CLASSES)) == model.codec.classes
    z, labels = model.codec.encode(batch if known else (batch[0], None))
    if not known:  # the bundled model calls them by its own names
        of = torch.tensor([CLASSES[each] for each in sorted(CLASSES)])
        labels = of[batch[1]]
        numbers = of
    else:
        numbers = torch.arange(3)
    rng = random.rows(0, 0, len(z), stream="measure")
    u = stratify(torch.zeros(()), torch.arange(len(z)), len(z))
    t = LogitNormal().draw(u, rng, z)
    x_t = model.path.sample(z, t, rng)
    with torch.no_grad():
        parts = [
            Objective()(model, model.path, z[s], t[s], x_t[s], condition=labels[s])
            for s in (slice(i, i + 250) for i in range(0, len(z), 250))
        ]
    network = feature_network("auto", model.codec, torch.device("cpu"))
    drawn = model.sample(samples, label=numbers.repeat(samples // 3 + 1)[:samples], steps=10)
    kid = kernel_distance(network.embed(drawn), network.embed(batch[0]))
    return {"loss": float(torch.cat(parts).mean()), "KID": float(kid.value)}


def main() -> None:
    """Run a part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=["folder", "fine", "scratch", "measure"])
    parser.add_argument("root", type=Path)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch", type=int, default=16, help="images a step")
    parser.add_argument("--samples", type=int, default=600)
    options = parser.parse_args()
    if options.part == "folder":
        folder(options.root, options.data)
    elif options.part == "measure":
        for name in options.names:
            print(name, measure(options.root, name, options.samples), flush=True)
    else:
        train(
            options.root,
            Path(options.names[0]),
            options.steps,
            options.batch,
            fine=options.part == "fine",
        )


if __name__ == "__main__":
    main()
