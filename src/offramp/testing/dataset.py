"""What Offramp relies on of a data set, as tests that a class of yours inherits."""

from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np
import pytest

from offramp.nn.data import Dataset, Split
from offramp.nn.datasets import read_data
from offramp.nn.datasets.archive import write_archive


class DatasetContract(ABC):
    """What a data set must be. Inherit it in a test module and say how it is read, and pytest does the rest.

    ::

        class TestMine(DatasetContract):
            @classmethod
            def read(cls, seed: int) -> Dataset:
                return offramp.read_data(my_torch_dataset, seed=seed)
    """

    @classmethod
    @abstractmethod
    def read(cls, seed: int) -> Dataset:
        """The data set, read anew; what isn't split already is split by `seed`."""

    @pytest.fixture(scope="class")
    @classmethod
    def dataset(cls) -> Dataset:
        """Read once for all tests."""
        return cls.read(0)

    def test_images_are_as_a_sensor_would_hand_them_over(self, dataset: Dataset) -> None:
        """uint8 [S, 3, H, W], one shape in all splits, and not to be changed."""
        for part in _splits(dataset):
            assert part.images.dtype == np.uint8
            assert part.images.shape == (len(part), 3, *dataset.image_shape[1:])
            assert not part.images.flags.writeable

    def test_labels_are_the_numbers_of_named_classes(self, dataset: Dataset) -> None:
        """int64 [S], 0 and up."""
        assert dataset.classes == len(dataset.class_names) >= 2
        assert len(set(dataset.class_names)) == dataset.classes
        for part in _splits(dataset):
            assert part.labels.dtype == np.int64
            assert part.labels.shape == (len(part),)

    def test_every_class_is_in_every_split(self, dataset: Dataset) -> None:
        """Else its accuracy would be of other samples than it is trained for."""
        for part in _splits(dataset):
            assert np.unique(part.labels).tolist() == [*range(dataset.classes)]

    def test_splits_have_no_sample_in_common(self, dataset: Dataset) -> None:
        """By their places in the whole data set."""
        members = np.concatenate([part.members for part in _splits(dataset)])
        assert len(np.unique(members)) == len(members)

    def test_the_same_seed_gives_the_same_splits(self, dataset: Dataset) -> None:
        """Image by image, in the same order."""
        assert _same(self.read(0), dataset)

    def test_another_seed_takes_the_same_samples(self, dataset: Dataset) -> None:
        """Shapes and classes don't depend on it."""
        other = self.read(1)
        assert [len(part) for part in _splits(other)] == [len(part) for part in _splits(dataset)]
        assert (other.name, other.class_names, other.image_shape) == (
            dataset.name,
            dataset.class_names,
            dataset.image_shape,
        )

    def test_images_can_be_normalized(self, dataset: Dataset) -> None:
        """By the mean and the deviation of the training split; augmentation leaves something of an image."""
        pixels = dataset.train.images.transpose(1, 0, 2, 3).reshape(3, -1)
        assert dataset.mean == pytest.approx(pixels.mean(axis=1))
        assert (dataset.deviation > 0).all()
        assert 0 <= dataset.augmentation.shift < min(dataset.image_shape[1:])

    def test_it_can_be_read_again(self, dataset: Dataset, tmp_path: Path) -> None:
        """From where it came, or from the archive in which a run keeps data that were only in memory."""
        if (source := dataset.source) is not None:
            assert _same(read_data(source.name, seed=source.seed, size=source.size), dataset)
        write_archive(dataset, tmp_path / "data.npz")
        kept = read_data(tmp_path / "data.npz", seed=7)
        assert _same(kept, dataset)
        assert (kept.name, kept.class_names) == (dataset.name, dataset.class_names)


def _splits(dataset: Dataset) -> tuple[Split, Split, Split]:
    return dataset.train, dataset.validation, dataset.test


def _same(one: Dataset, other: Dataset) -> bool:
    return all(
        np.array_equal(a.images, b.images) and np.array_equal(a.labels, b.labels)
        for a, b in zip(_splits(one), _splits(other), strict=True)
    )
