import logging

import numpy as np
import pytest
from PIL import Image

from gluon_enhance.data.folders import (
    dped_folders,
    find_images,
    read_photo,
    read_rgb,
    read_sizes,
)
from gluon_enhance.errors import ImageError


def test_images_of_subfolders_are_found_in_order(save, photos, tmp_path):
    for name in ("b.png", "a/c.JPG", "a/b.webp", "notes.ppm"):
        save(name, photos[0])
    assert [p.name for p in find_images(tmp_path)] == ["b.webp", "c.JPG", "b.png"]


@pytest.mark.parametrize("name, message", [("missing", "is not a folder"), (".", "no image")])
def test_a_folder_without_images_is_an_error(tmp_path, name, message):
    with pytest.raises(ValueError, match=message):
        find_images(tmp_path / name)


def test_sixteen_bits_and_gray_are_read_as_8_bit_rgb(save, rng):
    deep = rng.integers(0, 65536, (5, 7), dtype=np.uint16)
    photo = read_photo(save("deep.png", deep))
    assert photo.dtype == np.uint8 and photo.shape == (5, 7, 3)
    assert np.array_equal(photo[..., 1], np.rint(deep / 257))


def test_what_is_hidden_by_transparency_is_not_trained_on(save):
    cut_out = np.zeros((6, 8, 4), np.uint8)
    cut_out[:, :3] = [200, 100, 50, 255]
    assert (read_photo(save("cut_out.png", cut_out)) == [200, 100, 50]).all()


def test_photo_that_is_cut_short_is_not_trained_on(tmp_path, rng):
    path = tmp_path / "a.jpg"
    Image.fromarray(rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:-99])
    with pytest.raises(ImageError, match="is cut short"):
        read_photo(path)


def test_unreadable_photos_are_skipped_with_a_warning(paths, damaged, photos, caplog):
    with caplog.at_level(logging.WARNING):
        read = list(read_rgb([paths[0], damaged, paths[1]]))
    assert np.array_equal(read, photos) and "damaged.png" in caplog.text


def test_sizes_are_read_without_decoding(paths, damaged, tmp_path, caplog):
    nothing = tmp_path / "nothing.jpg"
    nothing.write_bytes(b"no photo")
    sizes, unreadable = read_sizes([*paths, damaged, nothing])
    assert sizes == dict.fromkeys([*paths, damaged], (67, 90)) and unreadable == 1
    assert "nothing.jpg" in caplog.text


def test_the_size_of_a_16_bit_tiff_is_read_too(tmp_path, rng):
    import tifffile

    path = tmp_path / "deep.tif"
    tifffile.imwrite(path, rng.integers(0, 65536, (6, 9, 3), dtype=np.uint16), photometric="rgb")
    assert read_sizes([path]) == ({path: (6, 9)}, 0)


def test_a_photo_on_its_side_is_read_upright(tmp_path, photos):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(photos[0]).save(tmp_path / "side.png", exif=exif)
    assert read_photo(tmp_path / "side.png").shape == (90, 67, 3)


def test_dped_folders_are_found(tmp_path):
    for name in ("sony", "canon"):
        (tmp_path / "sony/training_data" / name).mkdir(parents=True)
    phone, camera = dped_folders(tmp_path, "sony")
    assert (phone.name, camera.name) == ("sony", "canon")
    with pytest.raises(ValueError, match="iphone/training_data/{iphone,canon}"):
        dped_folders(tmp_path, "iphone")
