from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from gluon_enhance.data.distortions import add_gaussian_noise
from gluon_enhance.data.folders import find_images
from gluon_enhance.data.held_out_photos import held_out_crops, held_out_pairs, read_pairs
from gluon_enhance.data.pairing import find_truths
from gluon_enhance.data.patches import (
    PairedPatches,
    PhotoPatches,
    SuperResolutionPatches,
    Unpaired,
    flip_and_turn,
)
from gluon_enhance.errors import ImageError
from gluon_enhance.imaging.resize import resize


def draws(patches, count, seed=0):
    return [patches.draw(np.random.default_rng((seed, i))) for i in range(count)]


def to_pixels(image):
    return np.rint(image.transpose(1, 2, 0) * 255).astype(np.uint8)


def places(patch, photo):
    """How many windows of a photo equal a patch, flipped and turned in all ways."""
    corners = np.lib.stride_tricks.sliding_window_view(photo, (2, 2, 3))[:, :, 0]
    size, count = len(patch), 0
    for image in [np.rot90(p, k) for p in (patch, patch[:, ::-1]) for k in range(4)]:
        for top, left in np.argwhere((corners == image[:2, :2]).all(axis=(2, 3, 4))):
            count += np.array_equal(photo[top : top + size, left : left + size], image)
    return count


def paired(folder):
    """The data set of the pairs in two folders."""
    return PairedPatches(truths_in(folder), 20)


def truths_in(folder):
    return find_truths(find_images(folder / "phone"), [folder / "phone"], folder / "canon")


def noisy(image, rng):
    return add_gaussian_noise(image, 0.1, rng)


def test_patches_are_cut_at_the_same_place_of_both_sizes(paths):
    for lr, hr in draws(SuperResolutionPatches(paths, scale=4, patch_size=8), 6):
        assert lr.shape == (3, 8, 8) and hr.shape == (3, 32, 32)
        assert lr.dtype == hr.dtype == np.float32
        difference = resize(to_pixels(hr), 1 / 4).astype(int) - to_pixels(lr)
        # Away from the edges, where the whole photo's kernel saw its neighbors.
        assert np.abs(difference)[2:-2, 2:-2].max() <= 1


def test_low_resolution_is_the_reduction_of_the_whole_photo(paths, photos):
    whole = resize(photos[0][:64, :88], 1 / 4)
    for lr, _ in draws(SuperResolutionPatches(paths[:1], scale=4, patch_size=14), 4):
        assert places(to_pixels(lr), whole) == 1


def test_low_resolution_can_be_made_by_a_degradation(paths):
    def degrade(image, rng):
        return image[::2, ::2] * np.float32(0.5)

    for lr, hr in draws(SuperResolutionPatches(paths, 2, 8, degrade=degrade), 4):
        # Which pixel of four is taken depends on the flips and turns.
        assert any(np.allclose(lr, hr[:, i::2, j::2] / 2) for i in (0, 1) for j in (0, 1))


def test_detail_is_drawn_more_often_than_flat_parts(save, rng):
    photo = np.full((64, 512, 3), 128, np.uint8)
    photo[:, 256:] = rng.integers(0, 256, (64, 256, 3))
    patches = SuperResolutionPatches([save("half.png", photo)], 4, 8)
    assert np.mean([lr.std() > 0.02 for lr, _ in draws(patches, 200)]) > 0.9


def test_detailed_photos_are_drawn_more_often_than_flat_ones_of_the_format(save, rng):
    noise = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    paths = [save("noise.png", noise), save("flat.png", noise // 128), save("noise.bmp", noise)]
    patches = SuperResolutionPatches(paths, 2, 8)
    brightness = np.array([lr.max() for lr, _ in draws(patches, 300)])
    flat = 64 * 64 * 2 * paths[1].stat().st_size
    flat /= sum(path.stat().st_size for path in paths[:2]) * 64 * 64 * 3
    assert np.mean(brightness < 0.1) == pytest.approx(flat, abs=0.06)


def test_photos_are_also_used_reduced(photos, save):
    photo = photos[0] // 2 + 64  # no overshoot is cut off between the passes
    half = np.array(Image.fromarray(photo).resize((45, 34), Image.Resampling.BICUBIC))
    inside = np.s_[4:-4, 4:-4]  # the edges are extended in other ways
    assert np.abs(half.astype(int) - resize(photo, (34, 45)))[inside].max() <= 1
    patches = PhotoPatches([save("calm.png", photo)], 34, reductions=(1.0, 0.5))
    found = [
        (places(to_pixels(patch), photo), places(to_pixels(patch), half))
        for (patch,) in draws(patches, 20)
    ]
    assert set(found) == {(1, 0), (0, 1)}


def test_photos_are_drawn_alike_whatever_their_size(save):
    paths = [save(f"{n}.png", np.full((n, n, 3), n, np.uint8)) for n in (16, 64)]
    patches = PhotoPatches(paths, 8, reductions=(1.0, 0.5))
    shares = np.mean([to_pixels(p)[0, 0, 0] == 16 for (p,) in draws(patches, 300)])
    assert shares == pytest.approx(0.5, abs=0.1)


def test_photo_patches_come_with_their_degraded_version(paths, photos):
    for worse, patch in draws(PhotoPatches(paths, 24, noisy), 4):
        assert sum(places(to_pixels(patch), photo) for photo in photos) == 1
        assert 0.03 < (worse - patch).std() < 0.11


def test_pairs_are_cut_at_the_same_place(save, photos, tmp_path):
    for index, photo in enumerate(photos):
        save(f"phone/{index}.png", photo // 2)
        save(f"canon/{index}.png", photo)
    patches = paired(tmp_path)
    assert len(patches) == 2
    for phone, camera in draws(patches, 6):
        assert phone.shape == (3, 20, 20)
        assert np.array_equal(to_pixels(phone), to_pixels(camera) // 2)


def test_pairs_of_different_sizes_are_an_error_that_names_both(save, photos, tmp_path):
    save("phone/0.png", photos[0]), save("canon/0.png", photos[0][:, :80])
    with pytest.raises(ValueError, match="phone/0.png is 90x67 and .*canon/0.png 80x67"):
        paired(tmp_path)


def test_a_pair_that_differs_once_upright_is_an_error_too(save, photos, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = save("phone/0.png", photos[0])
    save("canon/0.png", photos[0])
    Image.fromarray(photos[0]).save(path, exif=exif)
    with pytest.raises(ValueError, match="a pair must be of one size"):
        paired(tmp_path).draw(np.random.default_rng(0))


def test_unpaired_samples_are_of_both_data_sets_at_independent_places(paths):
    first, second = (PhotoPatches([path], 16) for path in paths)
    samples = draws(Unpaired(first, second), 4)
    assert len(samples[0]) == 2
    alone = draws(first, 4)
    assert all(np.array_equal(a, expected) for (a, _), (expected,) in zip(samples, alone))


def test_inputs_of_a_data_set_of_pairs_come_with_truths_of_other_places(paths):
    pairs = PhotoPatches(paths, 16, noisy)
    patches, rng = Unpaired(pairs, pairs), np.random.default_rng(0)
    image, truth = patches.draw(np.random.default_rng(0))
    assert np.array_equal(image, pairs.draw(rng)[0]) and np.array_equal(truth, pairs.draw(rng)[1])
    assert str(patches) == str(pairs) == "2 photos, 0 too small, 0 unreadable"


def test_pairs_are_read_whole_or_in_part(save, photos, tmp_path):
    for index, photo in enumerate([photos[0], photos[1][:30]]):
        save(f"phone/{index}.png", photo // 2), save(f"canon/{index}.png", photo)
    pairs = truths_in(tmp_path)
    whole = read_pairs(pairs)
    assert np.array_equal(whole[1][0], photos[1][:30] // 2)
    ((image, truth),) = read_pairs(pairs, 32)  # the other one is under 32 pixels
    assert np.array_equal(truth, photos[0][17:49, 29:61]) and np.array_equal(image, truth // 2)


def test_threads_draw_what_one_draws_also_with_a_damaged_photo(paths, damaged):
    def make():
        return SuperResolutionPatches([damaged, *paths], 2, 8, (1.0, 0.5), degrade=halved)

    def halved(image, rng):
        return noisy(image, rng)[::2, ::2]

    alone, seeds = make(), range(40)
    expected = [alone.draw(np.random.default_rng(seed)) for seed in seeds]
    shared = make()
    with ThreadPoolExecutor(4) as pool:
        samples = list(pool.map(lambda seed: shared.draw(np.random.default_rng(seed)), seeds))
    for sample, (lr, hr) in zip(samples, expected):
        assert np.array_equal(sample[0], lr) and np.array_equal(sample[1], hr)
    assert alone.unreadable == shared.unreadable == 1 and len(shared) == 2


def test_a_damaged_photo_found_late_does_not_change_later_samples(paths, damaged):
    used, fresh = (PhotoPatches([damaged, *paths], 16) for _ in range(2))
    draws(used, 20)
    for (one,), (other,) in zip(draws(used, 5, seed=1), draws(fresh, 5, seed=1)):
        assert np.array_equal(one, other)


def test_photos_smaller_than_a_patch_are_counted(paths, save):
    small = save("small.png", np.zeros((31, 90, 3), np.uint8))
    patches = SuperResolutionPatches([*paths, small], 4, 8)
    assert len(patches) == 2 and patches.too_small == 1 and patches.unreadable == 0
    assert str(patches) == "2 photos, 1 too small, 0 unreadable"


def test_photos_that_cannot_be_read_are_counted(paths, tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"no photo")
    patches = PhotoPatches([*paths, tmp_path / "bad.jpg"], 16)
    assert str(patches) == "2 photos, 0 too small, 1 unreadable"


def test_fingerprint_tells_whether_the_photos_are_the_same(paths, photos, save):
    before = PhotoPatches(paths, 16).fingerprint
    assert PhotoPatches(paths, 24).fingerprint == before
    assert PhotoPatches(paths[:1], 16).fingerprint != before
    save("1.png", photos[1] // 2)
    assert PhotoPatches(paths, 16).fingerprint != before


def test_only_small_photos_is_an_error_that_says_the_size(save):
    small = save("small.png", np.zeros((31, 90, 3), np.uint8))
    with pytest.raises(ValueError, match="32 pixels"):
        SuperResolutionPatches([small], 4, 8)


def test_only_damaged_photos_is_an_error(damaged):
    with pytest.raises(ImageError, match="of 1 photo none can"):
        PhotoPatches([damaged], 16).draw(np.random.default_rng(0))


def test_flips_and_turns_reach_all_eight_alike_for_all_images(rng):
    image = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    seen = set()
    for _ in range(100):
        first, second = flip_and_turn((image, image), rng)
        assert np.array_equal(first, second)
        seen.add(first.tobytes())
    assert len(seen) == 8


def test_held_out_crops_are_central(paths, photos, save):
    small = save("small.png", photos[0][:30])
    (crop, _) = held_out_crops([*paths, small], 32)
    assert held_out_crops([small], 40) == []  # under 32 pixels
    assert np.array_equal(crop, photos[0][17:49, 29:61])
    lr, hr = held_out_pairs(paths, 32, scale=4)[0]
    assert np.array_equal(hr, crop) and np.array_equal(lr, resize(crop, 1 / 4))


def test_held_out_inputs_are_degraded_the_same_way_each_time(paths):
    first, second = (held_out_pairs(paths, 32, degrade=noisy) for _ in range(2))
    assert np.array_equal(first, second)
    assert first[0][0].dtype == np.uint8 and not np.array_equal(*first[0])
