"""Train a classifier of `feller.images.classifier`, the eye of the image metrics.

Usage:
    python tools/train_classifier.py --source fashion-mnist --root DIR --out FOLDER

Cross-entropy on images shifted by up to two pixels, a cosine rate, one core. The same seed on the
same machine gives the same weights. The card states the accuracy on the test split.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from feller.core.cards import Metric, ModelCard
from feller.core.checkpoint import save_model
from feller.core.training import Optimizer
from feller.images.classifier import Classifier, ClassifierConfig
from feller.images.codec import ImageCodec
from feller.images.data import ArrayImages, ImageData
from feller.images.metrics.report import conditional_accuracy
from feller.images.recipes import DIGITS, GARMENTS
from feller.images.shapes import SHAPES

CODECS = {
    "fashion-mnist": ImageCodec((1, 28, 28), GARMENTS),
    "mnist": ImageCodec((1, 28, 28), DIGITS),
    "drawn": ImageCodec((1, 28, 28), SHAPES),
}
DATA = {
    "fashion-mnist": "Fashion-MNIST (Xiao et al., arXiv 1708.07747; MIT licence)",
    "mnist": "MNIST (LeCun, Cortes and Burges)",
    "drawn": "ten shapes drawn by formula (feller.images.shapes)",
}
SHIFT = 2


@dataclass(frozen=True)
class Schooling:
    """How a classifier is trained: passes over the data, images a step, seed."""

    epochs: int = 12
    batch_size: int = 128
    seed: int = 0


def shifted(images: Tensor, rng: torch.Generator) -> Tensor:
    """Move each image by up to two pixels each way, over a border of its darkest value, 0."""
    n, h, w, _ = images.shape
    padded = torch.nn.functional.pad(images, (0, 0, SHIFT, SHIFT, SHIFT, SHIFT))
    offset = torch.randint(2 * SHIFT + 1, (2, n, 1), generator=rng)
    rows, columns = offset[0] + torch.arange(h), offset[1] + torch.arange(w)
    return padded[torch.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]]


def batches(
    data: ArrayImages, schooling: Schooling, rng: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield shuffled, shifted batches, epoch after epoch; an incomplete last one is left out."""
    size = schooling.batch_size
    for _ in range(schooling.epochs):
        order = torch.randperm(len(data), generator=rng)
        for start in range(0, len(data) - size + 1, size):
            rows = order[start : start + size]
            yield shifted(data.images[rows], rng), data.labels[rows]


def train(config: ClassifierConfig, data: ArrayImages, schooling: Schooling) -> Classifier:
    """Return a classifier trained on `data`, in evaluation mode."""
    rng = torch.Generator().manual_seed(schooling.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(schooling.seed)
        classifier = config.build().to(memory_format=torch.channels_last).train()
    recipe = Optimizer(lr=4e-3, weight_decay=0.05, final=0.0)
    optimizer = recipe.build(classifier)
    steps = schooling.epochs * (len(data) // schooling.batch_size)
    for step, (images, labels) in enumerate(batches(data, schooling, rng)):
        optimizer.param_groups[0]["lr"] = recipe.rate(step, steps)
        x, _ = classifier.codec.encode((images, None))
        loss = cross_entropy(classifier(x.to(memory_format=torch.channels_last)), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if (step + 1) % 100 == 0:
            print(f"step {step + 1} of {steps}: loss {loss.item():.4f}", flush=True)
    return classifier.eval()


def card(source: str, classifier: Classifier, training: dict, metric: Metric) -> ModelCard:
    """Return the classifier's card."""
    return ModelCard(
        name=f"images/classifiers/{source}",
        task="classification, for the metrics of generated images",
        summary="A small convolutional network. Its labels give conditional accuracy and class "
        "fractions, its standardised features the kernel distance (KID).",
        parameters=sum(p.numel() for p in classifier.parameters()),
        data=f"{DATA[source]}, training split",
        dataset=source,
        training=training,
        metrics=(metric,),
        limitations="It sees what distinguishes the classes: figures made with it compare models "
        "of these images with each other, and are no FID. Made by tools/train_classifier.py.",
    )


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Train a classifier for the image metrics.")
    parser.add_argument("--source", choices=CODECS, required=True)
    parser.add_argument("--root", default="data", help="the folder that holds the data set")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write")
    parser.add_argument("--epochs", type=int, default=Schooling.epochs)
    parser.add_argument("--seed", type=int, default=Schooling.seed)
    options = parser.parse_args(arguments)

    torch.set_num_threads(1)
    start = time.perf_counter()
    config = ClassifierConfig(codec=CODECS[options.source])
    data = ImageData(source=options.source, root=options.root)
    schooling = Schooling(epochs=options.epochs, seed=options.seed)
    classifier = train(config, data.build("train"), schooling)
    seconds = round(time.perf_counter() - start)

    test = data.build("test")
    accuracy = conditional_accuracy(test.images, test.labels, classifier)
    metric = Metric(
        name="accuracy",
        **accuracy._asdict(),
        protocol=f"{len(test)} images of the test split, Wilson interval",
    )
    training = {**asdict(schooling), "seconds": seconds, "cores": 1}
    save_model(classifier, options.out, card=card(options.source, classifier, training, metric))
    print(f"accuracy {metric} in {seconds} s")


if __name__ == "__main__":
    main()
