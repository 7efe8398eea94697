"""How each of the five tutorials brings its pictures in, done here."""

import hashlib
import io
import zipfile

import numpy as np
import pytest

from regraft.errors import IntegrityError

pytest_plugins = ["tests.faults.web"]


@pytest.fixture
def archive(draw, encoded):
    """Make a zip of class folders: `archive("hotdog/{split}/{label}/{n}.png", splits, labels, each)`."""

    def make(pattern, splits, labels, each):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
            for seed, (split, label, n) in enumerate(
                (split, label, n) for split in splits for label in labels for n in range(each)
            ):
                file.writestr(pattern.format(split=split, label=label, n=n), encoded(draw(seed), "PNG"))
        return buffer.getvalue()

    return make


def test_row_by_row_with_a_commit(workspace, make_folder):
    folder = make_folder({"train/hotdog": 5, "train/not-hotdog": 5, "test/hotdog": 2, "test/not-hotdog": 2})

    for tag in ("train", "test"):
        with workspace.datasets.build(f"hotdog_{tag}") as rows:
            for label in ("hotdog", "not-hotdog"):
                for path in sorted((folder / tag / label).iterdir()):
                    rows.append(
                        path.read_bytes(), label=label, key=f"{label}/{path.name}", display_name=path.name
                    )

    train = workspace.datasets.get("hotdog_train/version/latest")
    test = workspace.datasets.get("hotdog_test/version/latest")
    assert [(row.key, row.label) for row in test] == [
        ("hotdog/0.png", "hotdog"),
        ("hotdog/1.png", "hotdog"),
        ("not-hotdog/0.png", "not-hotdog"),
        ("not-hotdog/1.png", "not-hotdog"),
    ]
    assert (len(train), train.read(train[0])) == (10, (folder / "train/hotdog/0.png").read_bytes())


def test_cifar_10_from_the_files_that_are_published(workspace, tmp_path):
    random = np.random.default_rng(0)
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    pixels = {}
    for name in [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]:
        pixels[name] = random.integers(0, 256, (10, 3072), dtype=np.uint8)
        labelled = np.concatenate([np.arange(10, dtype=np.uint8)[:, None], pixels[name]], axis=1)
        (folder / f"{name}.bin").write_bytes(labelled.tobytes())

    added = workspace.datasets.add("cifar10", folder)

    cifar = workspace.datasets.get("cifar10")
    first = next(row for row in cifar if row.split == "test" and row.label == "airplane")
    planes = pixels["test_batch"][0].reshape(3, 32, 32)
    assert added.record.splits["train"] == dict.fromkeys(cifar.labels, 5)
    assert added.record.splits["test"] == dict.fromkeys(cifar.labels, 1)
    assert cifar.labels[:3] == ("airplane", "automobile", "bird")
    assert np.array_equal(np.asarray(cifar.image(first)), planes.transpose(1, 2, 0))


def test_class_folders_of_a_train_and_a_test_folder(workspace, shared_data):
    added = workspace.datasets.add("garbage", shared_data / "garbage")

    assert added.record.labels == ("cardboard", "glass", "metal", "paper", "plastic", "trash")
    assert set(added.record.splits) == {"train", "test"}


def test_an_archive_by_url_with_a_root_a_split_and_a_class(workspace, web, archive):
    body = archive("data/Canidae/{split}/{label}/{n}.png", ("train", "val"), ("dogs", "wolves"), 3)
    url = web.serve("/notebook/Canidae_data.zip", body)

    added = workspace.datasets.add("canidae", url)

    assert added.record.splits == {"train": {"dogs": 3, "wolves": 3}, "val": {"dogs": 3, "wolves": 3}}


def test_an_archive_by_url_with_its_sha1(workspace, web, archive):
    body = archive("hotdog/{split}/{label}/{n}.png", ("train", "test"), ("hotdog", "not-hotdog"), 3)
    sha1 = hashlib.sha1(body).hexdigest()
    url = web.serve("/hotdog.zip", body)

    with pytest.raises(IntegrityError) as caught:
        workspace.datasets.add("hotdog", url, checksum=f"sha1:{'0' * 40}")
    added = workspace.datasets.add("hotdog", url, checksum=f"sha1:{sha1}")
    again = workspace.datasets.add("hotdog", url, checksum=f"sha1:{sha1}")

    assert sha1 in str(caught.value)
    assert added.record.splits == {
        "train": {"hotdog": 3, "not-hotdog": 3},
        "test": {"hotdog": 3, "not-hotdog": 3},
    }
    assert (again.new, len(web.requests)) == (False, 2)
