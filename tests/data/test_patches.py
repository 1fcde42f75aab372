import numpy as np
import pytest

from gluon_enhance.data.patches import SuperResolutionPatches, held_out_crops
from gluon_enhance.imaging.resize import resize


@pytest.fixture
def photos(rng):
    return [rng.integers(0, 256, (67, 90, 3), dtype=np.uint8) for _ in range(2)]


def windows(image, height, width):
    return np.lib.stride_tricks.sliding_window_view(image, (height, width, 3))[:, :, 0]


def test_patches_are_cut_at_the_same_place_of_both_sizes(photos, rng):
    patches = SuperResolutionPatches(photos, scale=4, patch_size=8)
    lr, hr = patches.sample(6, rng)
    assert lr.shape == (6, 3, 8, 8) and hr.shape == (6, 3, 32, 32)
    assert lr.dtype == hr.dtype == np.float32
    for low, high in zip(lr, hr):
        low, high = (
            np.rint(image.transpose(1, 2, 0) * 255).astype(np.uint8) for image in (low, high)
        )
        # Away from the edges, where the whole photo's kernel saw its neighbours.
        assert np.abs(resize(high, 1 / 4).astype(int) - low)[2:-2, 2:-2].max() <= 1


def test_low_resolution_is_the_reduction_of_the_whole_photo(photos, rng):
    patches = SuperResolutionPatches(photos[:1], scale=4, patch_size=16)
    expected = resize(photos[0][:64, :88], 1 / 4)
    places = windows(expected, 16, 16).reshape(-1, 16, 16, 3)
    lr, _ = patches.sample(4, rng)
    for low in np.rint(lr.transpose(0, 2, 3, 1) * 255).astype(np.uint8):
        turned = [np.rot90(image, k) for image in (low, low[:, ::-1]) for k in range(4)]
        assert any((places == image).all(axis=(1, 2, 3)).any() for image in turned)


def test_the_same_seed_gives_the_same_patches(photos):
    patches = SuperResolutionPatches(photos, 4, 8)
    first, second = (patches.sample(5, np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(first[0], second[0]) and np.array_equal(first[1], second[1])


def test_detail_is_drawn_more_often_than_flat_parts(rng):
    photo = np.full((64, 512, 3), 128, np.uint8)
    photo[:, 256:] = rng.integers(0, 256, (64, 256, 3))
    lr, _ = SuperResolutionPatches([photo], 4, 8).sample(200, rng)
    textured = (lr.std(axis=(1, 2, 3)) > 0.02).mean()
    assert textured > 0.9


def test_photos_smaller_than_a_patch_are_counted(photos):
    patches = SuperResolutionPatches([*photos, np.zeros((31, 90, 3), np.uint8)], 4, 8)
    assert len(patches) == 2 and patches.too_small == 1


def test_only_small_photos_is_an_error_that_says_the_size():
    with pytest.raises(ValueError, match="32 pixels"):
        SuperResolutionPatches([np.zeros((31, 90, 3), np.uint8)], 4, 8)


def test_photos_are_also_used_reduced(photos):
    assert len(SuperResolutionPatches(photos, 4, 8, reductions=(1.0, 0.5))) == 4


def test_held_out_crops_are_central_pairs(photos):
    (lr, hr), _ = held_out_crops(photos, 4, 32)
    assert np.array_equal(hr, photos[0][17:49, 29:61])
    assert np.array_equal(lr, resize(hr, 1 / 4))
