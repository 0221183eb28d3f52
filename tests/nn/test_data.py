import numpy as np
import pytest
import torch

from offramp.errors import InputError
from offramp.nn import catalog, data, datasets


@pytest.fixture(scope="module")
def digits() -> data.Dataset:
    return datasets.dataset("digits", seed=0)


def test_the_splits_are_disjoint_and_complete(digits):
    members = np.concatenate([part.members for part in (digits.train, digits.validation, digits.test)])
    assert sorted(members) == list(range(1797))


def test_the_splits_have_their_shares_of_every_class(digits):
    for part, share in ((digits.train, 0.60), (digits.validation, 0.25), (digits.test, 0.15)):
        assert len(part) == pytest.approx(share * 1797, abs=2)
        counts = np.bincount(part.labels, minlength=10)
        assert counts == pytest.approx(share * 179.7, rel=0.1)


def test_the_splits_follow_from_the_seed(digits):
    again, other = datasets.dataset("digits", seed=0), datasets.dataset("digits", seed=1)
    assert np.array_equal(digits.validation.images, again.validation.images)
    assert np.array_equal(digits.train.members, again.train.members)
    assert not np.array_equal(digits.train.members, other.train.members)


def test_a_sample_is_as_large_as_a_cifar_image(digits):
    assert digits.image_shape == (3, 32, 32)
    assert digits.validation.images[0].nbytes * 8 == 24_576
    assert digits.classes == 10


def test_enlarging_keeps_the_picture(digits):
    from sklearn.datasets import load_digits

    small = load_digits().images[digits.test.members] * 255 / 16
    back = digits.test.images[:, 0].reshape(-1, 8, 4, 8, 4).mean(axis=(2, 4))
    assert np.corrcoef(small.ravel(), back.ravel())[0, 1] > 0.97


def test_images_cannot_be_changed(digits):
    with pytest.raises(ValueError, match="read-only"):
        digits.train.images[0] = 0


def test_a_pass_shows_every_sample_once(tiny):
    images, labels = torch.tensor(tiny.train.images), torch.tensor(tiny.train.labels)
    seen = list(
        data.batches(
            images, labels, batch_size=7, augmentation=data.Augmentation(0, flip=False), rng=np.random.default_rng(0)
        )
    )
    assert {len(y) for _, y in seen[:-1]} == {7}
    shown = {(x.numpy().tobytes(), int(y)) for batch in seen for x, y in zip(*batch, strict=True)}
    assert shown == {(x.numpy().tobytes(), int(y)) for x, y in zip(images, labels, strict=True)}


def test_a_shifted_image_is_a_window_of_the_image_on_black(tiny):
    images = torch.tensor(tiny.train.images)
    places = torch.arange(len(images))
    seen = data.batches(
        images, places, batch_size=16, augmentation=data.Augmentation(2, flip=False), rng=np.random.default_rng(0)
    )
    offsets = []
    for x, y in seen:
        for image, place in zip(x, y, strict=True):
            padded = np.pad(images[place].numpy(), ((0, 0), (2, 2), (2, 2)))
            offsets += [
                (down, right)
                for down in range(5)
                for right in range(5)
                if np.array_equal(padded[:, down : down + 8, right : right + 8], image)
            ]
    assert len(offsets) == len(images)
    assert len(set(offsets)) > 10


def test_an_unknown_data_set_is_refused_with_a_remedy():
    with pytest.raises(InputError, match="use digits"):
        catalog.dataset("cifar11", seed=0)
