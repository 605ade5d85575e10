"""Image data: every form that can be read, and what is damaged or missing named in one line."""

import io
import pickle
import struct
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import datasets

from feller.core.config import decode, encode
from feller.core.training import Dataset
from feller.images import data
from feller.images.codec import ImageCodec
from feller.images.data import ArrayImages, DataError, FolderImages, ImageData, npz_arrays
from feller.images.pixels import Reading


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def refusal(build, *given):
    with pytest.raises(DataError) as caught:
        build(*given)
    message = str(caught.value)
    assert "\n" not in message
    return message


# .npz files


@pytest.mark.parametrize("shape", [(7, 4, 5), (7, 4, 5, 1), (7, 4, 5, 3)], ids=str)
def test_an_npz_file_of_both_splits(shape, tmp_path):
    train, test, labels = noise(*shape), noise(*shape, seed=1)[:3], np.arange(7, dtype=np.uint8)
    np.savez_compressed(
        tmp_path / "a.npz",
        train_images=train, train_labels=labels, test_images=test, test_labels=labels[:3],
    )  # fmt: skip
    found = npz_arrays(tmp_path / "a.npz", "train")
    channels = shape[-1] if len(shape) == 4 else 1
    assert found.images.shape == (7, 4, 5, channels)
    assert found.images.dtype == torch.uint8
    assert np.array_equal(found.images.numpy().reshape(shape), train)
    assert found.labels.dtype == torch.int64
    assert found.labels.tolist() == list(range(7))
    held_out = ImageData(source="npz", root=str(tmp_path / "a.npz")).build("test")
    assert np.array_equal(held_out.images.numpy().reshape(3, *shape[1:]), test)


@pytest.mark.parametrize("split", ["train", "test"])
def test_an_npz_file_of_one_set(split, tmp_path):
    np.savez(tmp_path / "a.npz", images=noise(3, 4, 5, 3), labels=np.array([2, 0, 1], np.int32))
    found = npz_arrays(tmp_path / "a.npz", split)
    assert np.array_equal(found.images.numpy(), noise(3, 4, 5, 3))
    assert found.labels.tolist() == [2, 0, 1]


def test_images_without_labels_have_label_0(tmp_path):
    np.savez(tmp_path / "a.npz", train_images=noise(3, 4, 5))
    assert npz_arrays(tmp_path / "a.npz", "train").labels.tolist() == [0, 0, 0]


def jpegs(images, labels):
    """The bytes of JPEG files that share a header, as `cifar10_jpegbytes.npz` has them."""
    files = []
    for image in images:
        stream = io.BytesIO()
        Image.fromarray(image).save(stream, "JPEG", quality=75)
        files.append(stream.getvalue())
    cut = files[0].index(b"\xff\xda")  # the start of the pixels
    header = files[0][:cut]
    assert all(file.startswith(header) and file.endswith(b"\xff\xd9") for file in files)
    pieces = [file[cut:-2] for file in files]
    arrays = {
        "jpeg_header": np.frombuffer(header, np.uint8),
        "train_payload": np.frombuffer(b"".join(pieces), np.uint8),
        "train_offsets": np.cumsum([0, *map(len, pieces)]).astype(np.uint32),
        "train_labels": np.asarray(labels, np.uint8),
    }
    return arrays, np.stack([np.asarray(Image.open(io.BytesIO(file))) for file in files])


@pytest.mark.parametrize("shape", [(3, 16, 16, 3), (3, 16, 16)], ids=["RGB", "gray"])
def test_an_npz_file_of_jpegs(shape, tmp_path):
    smooth = np.linspace(0, 250, np.prod(shape)).reshape(shape).astype(np.uint8)
    arrays, pixels = jpegs(smooth, [1, 0, 2])
    np.savez(tmp_path / "a.npz", **arrays)
    found = npz_arrays(tmp_path / "a.npz", "train")
    assert np.array_equal(found.images.numpy().reshape(shape), pixels)
    assert abs(pixels.astype(float) - smooth).mean() < 10
    assert found.labels.tolist() == [1, 0, 2]
    assert "none of the arrays test_images or images" in refusal(
        npz_arrays, tmp_path / "a.npz", "test"
    )
    arrays["train_payload"] = arrays["train_payload"][:10]
    np.savez(tmp_path / "a.npz", **arrays)
    assert "is not a readable .npz file of images" in refusal(
        npz_arrays, tmp_path / "a.npz", "train"
    )


def test_a_missing_file_is_named(tmp_path):
    for file in (tmp_path / "none.npz", tmp_path):
        assert refusal(npz_arrays, file, "train") == (
            f"{file} is missing; expected an .npz file of uint8 images"
        )


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_damage_is_named_wherever_it_is(save, tmp_path):
    good, bad = tmp_path / "good.npz", tmp_path / "bad.npz"
    save(good, images=noise(20, 4, 4), labels=np.arange(20))
    whole = npz_arrays(good, "train")
    content = good.read_bytes()
    cut = [content[:n] for n in range(0, len(content) - 1, 29)]
    flipped = [
        content[:i] + bytes([content[i] ^ 0x55]) + content[i + 1 :]
        for i in range(0, len(content), 7)
    ]
    named = 0
    for damaged in cut + flipped:
        bad.write_bytes(damaged)
        try:
            found = npz_arrays(bad, "train")
        except DataError as error:  # anything else is a mistake of ours
            assert str(error).startswith(f"{bad}")
            named += 1
        else:  # a byte that says nothing, such as the time of a file
            assert found.images.equal(whole.images)
            assert len(found.labels) == 20
    assert named > 0.8 * len(cut + flipped)


def test_a_file_that_unpacks_to_very_much_is_refused_unread(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "_SMALL", 10_000)
    file, blank = tmp_path / "a.npz", np.zeros((100, 16, 16), np.uint8)
    np.savez_compressed(file, images=blank)
    message = refusal(npz_arrays, file, "train")
    assert message.startswith(f"{file}: it unpacks to 25,728 bytes, ")
    assert message.endswith("if it is meant to, save it by np.savez, without compression")
    np.savez(file, images=blank)
    assert len(npz_arrays(file, "train")) == 100
    np.savez_compressed(file, images=noise(100, 16, 16))
    assert len(npz_arrays(file, "train")) == 100


def test_negative_labels_are_refused_at_the_start(tmp_path):
    for labels in (np.array([0, -1, 2], np.int8), np.array([0, 2**64 - 1, 2], np.uint64)):
        np.savez(tmp_path / "a.npz", images=noise(3, 4, 4), labels=labels)
        assert refusal(npz_arrays, tmp_path / "a.npz", "train") == (
            f"{tmp_path / 'a.npz'}: labels are 0 and above, not -1"
        )


def test_other_files_are_refused(tmp_path):
    file = tmp_path / "a.npz"
    np.save(tmp_path / "a.npy", noise(2, 4, 4))
    (tmp_path / "a.npy").rename(file)
    assert "is not a readable .npz file of images" in refusal(npz_arrays, file, "train")
    file.write_bytes(pickle.dumps([1, 2]))
    assert "is not a readable .npz file of images" in refusal(npz_arrays, file, "train")
    np.savez(file, images=np.array([{}, []], dtype=object))
    assert "allow_pickle=False" in refusal(npz_arrays, file, "train")


EXPECTED = "expected uint8 images (n, h, w) or (n, h, w, c) and n whole labels, found "


@pytest.mark.parametrize(
    ("arrays", "found"),
    [
        ({"images": noise(3, 4, 4) / 255}, "float64 (3, 4, 4)"),
        ({"images": noise(3, 4, 4).astype(np.int64)}, "int64 (3, 4, 4)"),
        ({"images": noise(3, 16)}, "uint8 (3, 16)"),
        ({"images": noise(3, 4, 0)}, "uint8 (3, 4, 0)"),
        ({"images": noise(0, 4, 4)}, "uint8 (0, 4, 4)"),
        ({"images": np.uint8(3)}, "is not a readable .npz file of images: "),
        ({"images": np.uint8(3), "labels": np.uint8(3)}, "uint8 () and uint8 ()"),
        ({"images": np.zeros(3, dtype=[("r", "u1"), ("g", "u1")])}, "[('r', 'u1'), ('g', 'u1')]"),
        ({"images": noise(3, 4, 4), "labels": np.array([1, 2, 3], "M8[D]")}, "datetime64[D] (3,)"),
        ({"images": noise(3, 4, 4), "labels": np.arange(4)}, "int64 (4,)"),
        ({"images": noise(3, 4, 4), "labels": np.zeros((3, 1), int)}, "int64 (3, 1)"),
        ({"images": noise(3, 4, 4), "labels": np.array([0.5, 1, 2])}, "float64 (3,)"),
        ({"images": noise(3, 4, 4), "labels": np.array(["a", "b", "c"])}, "<U1 (3,)"),
    ],
)
def test_arrays_of_another_kind_are_refused(arrays, found, tmp_path):
    file = tmp_path / "a.npz"
    np.savez(file, **arrays)
    message = refusal(npz_arrays, file, "train")
    assert message.startswith((f"{file}: {EXPECTED}", f"{file} is not a readable"))
    assert found in message


def test_arrays_of_other_names_are_named(tmp_path):
    np.savez(tmp_path / "a.npz", x_train=noise(3, 4, 4), y_train=np.arange(3))
    assert refusal(npz_arrays, tmp_path / "a.npz", "train") == (
        f"{tmp_path / 'a.npz'}: none of the arrays train_images or images; it has x_train, y_train"
    )


# The standard sets, in torchvision's layout


def idx(array):
    """Bytes of the idx format of MNIST."""
    head = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return head + array.tobytes()


def write_mnist(root, name):
    raw = root / name / "raw"
    raw.mkdir(parents=True)
    for split, count, seed in (("train", 5, 0), ("t10k", 3, 1)):
        (raw / f"{split}-images-idx3-ubyte").write_bytes(idx(noise(count, 28, 28, seed=seed)))
        (raw / f"{split}-labels-idx1-ubyte").write_bytes(idx(np.arange(count, dtype=np.uint8)))


@pytest.mark.parametrize(
    ("source", "name"), [("mnist", "MNIST"), ("fashion-mnist", "FashionMNIST")]
)
def test_mnist_as_torchvision_has_it(source, name, tmp_path):
    write_mnist(tmp_path, name)
    config = ImageData(source=source, root=str(tmp_path))
    for split, count, seed in (("train", 5, 0), ("test", 3, 1)):
        found = config.build(split)
        assert np.array_equal(found.images.numpy(), noise(count, 28, 28, 1, seed=seed))
        assert found.labels.tolist() == list(range(count))


def test_mnist_cut_short_is_refused(tmp_path):
    write_mnist(tmp_path, "MNIST")
    file = tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte"
    content = file.read_bytes()
    for length in (0, 3, 100):
        file.write_bytes(content[:length])
        assert f"{tmp_path} holds neither mnist.npz nor torchvision's MNIST (" in refusal(
            ImageData(source="mnist", root=str(tmp_path)).build
        )


def write_cifar10(root, monkeypatch):
    """Five batches of two images and a test batch of three, whose checksums are made right."""
    base = root / "cifar-10-batches-py"
    base.mkdir()
    names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    sums = {}
    for seed, name in enumerate(names):
        count = 3 if name == "test_batch" else 2
        planes = noise(count, 32, 32, 3, seed=seed).transpose(0, 3, 1, 2).reshape(count, -1)
        batch = {"data": planes, "labels": [seed + i for i in range(count)]}
        (base / name).write_bytes(pickle.dumps(batch))
        sums[name] = datasets.utils.calculate_md5(base / name)
    (base / "batches.meta").write_bytes(pickle.dumps({"label_names": list("abcdefghij")}))
    meta = {**datasets.CIFAR10.meta, "md5": datasets.utils.calculate_md5(base / "batches.meta")}
    monkeypatch.setattr(datasets.CIFAR10, "meta", meta)
    train = [[name, sums[name]] for name in names[:-1]]
    monkeypatch.setattr(datasets.CIFAR10, "train_list", train)
    monkeypatch.setattr(datasets.CIFAR10, "test_list", [["test_batch", sums["test_batch"]]])


def test_cifar10_as_torchvision_has_it(tmp_path, monkeypatch):
    write_cifar10(tmp_path, monkeypatch)
    config = ImageData(source="cifar10", root=str(tmp_path))
    train, test = config.build("train"), config.build("test")
    assert train.images.shape == (10, 32, 32, 3)
    assert np.array_equal(train.images[2:4].numpy(), noise(2, 32, 32, 3, seed=1))
    assert train.labels.tolist() == [0, 1, 1, 2, 2, 3, 3, 4, 4, 5]
    assert np.array_equal(test.images.numpy(), noise(3, 32, 32, 3, seed=5))
    batch = tmp_path / "cifar-10-batches-py" / "data_batch_3"
    batch.write_bytes(batch.read_bytes()[:-1])
    assert "holds neither cifar10.npz nor torchvision's CIFAR10 (" in refusal(config.build)


@pytest.mark.parametrize(
    ("source", "stem"),
    [("mnist", "mnist"), ("fashion-mnist", "fashion_mnist"), ("cifar10", "cifar10")],
)
def test_a_standard_set_that_is_not_there(source, stem, tmp_path):
    message = refusal(ImageData(source=source, root=str(tmp_path)).build)
    assert message.startswith(f"{tmp_path} holds neither {stem}.npz nor torchvision's ")
    assert message.endswith(": give --data.root, or --data.download to fetch it")


def test_a_download_that_fails_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.MNIST, "mirrors", ["http://127.0.0.1:9/"])  # nobody listens
    config = ImageData(source="mnist", root=str(tmp_path), download=True)
    assert "torchvision's MNIST (" in refusal(config.build)


def test_a_standard_set_in_an_npz_file(tmp_path):
    np.savez(tmp_path / "fashion_mnist.npz", train_images=noise(3, 28, 28))
    found = ImageData(source="fashion-mnist", root=str(tmp_path)).build()
    assert np.array_equal(found.images.numpy(), noise(3, 28, 28, 1))
    arrays, pixels = jpegs(noise(2, 32, 32, 3), [1, 0])
    np.savez(tmp_path / "cifar10_jpegbytes.npz", **arrays)
    found = ImageData(source="cifar10", root=str(tmp_path)).build()
    assert np.array_equal(found.images.numpy(), pixels)


# All sources


def test_drawn_images_need_no_file(monkeypatch):
    config = ImageData(size=12)
    train, test = config.build(), config.build("test")
    assert train.images.shape == (20_000, 12, 12, 1)
    assert test.images.shape == (2_000, 12, 12, 1)
    assert not train.images[:2_000].equal(test.images)
    assert train.labels.bincount().tolist() == [2_000] * 10


def test_images_in_memory_are_read_in_batches():
    images = torch.from_numpy(noise(5, 2, 2, 1))
    held = ArrayImages(images, torch.arange(5))
    assert isinstance(held, Dataset)
    assert len(held) == 5
    batch, labels = held[[4, 0, 4]]
    assert batch.equal(images[[4, 0, 4]])
    assert labels.tolist() == [4, 0, 4]


def test_every_source_is_known_and_survives_json():
    for source in data._SOURCES:
        config = ImageData(source=source, root="x", size=4, gray=True, download=True)
        assert decode(encode(config)) == config
    assert isinstance(FolderImages((), (), Reading((1, 1))), Dataset)


def test_what_was_read_is_reported(tmp_path, capsys, monkeypatch):
    np.savez(tmp_path / "a.npz", images=noise(7, 4, 5, 3), labels=np.arange(7) % 3)
    np.savez(tmp_path / "b.npz", images=noise(7, 4, 5))
    for name in "ab":
        ImageData(source="npz", root=str(tmp_path / f"{name}.npz")).build("test")
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.splitlines() == [
        f"{tmp_path / 'a.npz'}, test: 7 images of 4 x 5 x 3, 3 labels",
        f"{tmp_path / 'b.npz'}, test: 7 images of 4 x 5 x 1, no labels",
    ]
    ImageData(size=8).build()
    assert capsys.readouterr().err == "drawn, train: 20000 images of 8 x 8 x 1, 10 labels\n"
    monkeypatch.setenv("RANK", "1")
    ImageData(size=8).build()
    assert capsys.readouterr().err == ""


def test_a_size_below_1_is_refused():
    with pytest.raises(ValueError, match="size is at least 1, not 0"):
        ImageData(size=0)


def test_images_without_labels_train_no_classes(tmp_path):
    np.savez(tmp_path / "a.npz", images=noise(3, 8, 8))
    batch = npz_arrays(tmp_path / "a.npz", "train")[[0, 2]]
    with pytest.raises(ValueError, match="the images have no labels, the model has classes cat, "):
        ImageCodec((1, 8, 8), ("cat", "dog")).encode(batch)
    x, labels = ImageCodec((1, 8, 8)).encode(batch)
    assert (len(x), labels) == (2, None)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "shape", "mean"),
    [
        ("fashion-mnist", (28, 28, 1), 0.28604),
        ("mnist", (28, 28, 1), 0.13066),
        ("cifar10", (32, 32, 3), (0.4913 + 0.4821 + 0.4465) / 3),
    ],
)
def test_the_real_sets(source, shape, mean, data_root):
    root = data_root / "images" if (data_root / "images").is_dir() else data_root
    config = ImageData(source=source, root=str(root))
    train, test = config.build("train"), config.build("test")
    many = 50_000 if source == "cifar10" else 60_000
    assert train.images.shape == (many, *shape)
    assert test.images.shape == (10_000, *shape)
    tolerance = 1e-4 if source == "cifar10" else 6e-6
    assert train.images.double().mean() / 255 == pytest.approx(mean, abs=tolerance)
    if source != "mnist":
        assert train.labels.bincount().tolist() == [many // 10] * 10
        assert test.labels.bincount().tolist() == [1_000] * 10
    assert train.labels.min() == 0
    assert train.labels.max() == 9


def test_a_part_of_an_npz_file_that_is_no_array(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("images.npy", b"no array")
    with pytest.raises(DataError, match="images in it is not an array of numpy's"):
        npz_arrays(tmp_path / "a.npz", "train")
    np.savez(tmp_path / "a.npz", **{"odd\nname": np.zeros(1)})
    with pytest.raises(
        DataError, match=r"none of the arrays train_images or images; it has odd name$"
    ):
        npz_arrays(tmp_path / "a.npz", "train")


@pytest.mark.parametrize("options", [{"gray": True}, {"width": 4}, {"fit": "pad"}])
def test_what_is_not_read_is_refused(options):
    (name,) = options
    with pytest.raises(
        DataError, match=rf"--data\.{name} .* is for --data\.source folder or shards"
    ):
        ImageData(source="drawn", **options).build()


def test_a_size_that_the_images_have_not_is_refused(tmp_path):
    np.savez(file := tmp_path / "own.npz", images=noise(4, 16, 16, 3))
    said = refusal(ImageData(source="npz", root=str(file), size=32).build)
    assert said.startswith("--data.size 32") and "16 x 16" in said
    assert len(ImageData(source="npz", root=str(file), size=16).build()) == 4
