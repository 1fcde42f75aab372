"""Which images of two folders are taken to belong together."""

import numpy as np
import pytest

from gluon_enhance.data.benchmarks import find_pairs
from gluon_enhance.data.folders import find_images
from gluon_enhance.data.pairing import find_truths
from gluon_enhance.data.phone_photos import phone_photos

PIXELS = np.zeros((8, 8, 3), np.uint8)


@pytest.fixture
def put(save):
    """Function that makes small images at these paths within a folder, and returns the folder."""

    def put(folder, *places):
        paths = [save(f"{folder}/{place}", PIXELS) for place in places]
        return paths[0].parents[places[0].count("/")]

    return put


def found(images, truths):
    """Paths of images within their folder -> those of their truths."""
    pairs = find_truths(find_images(images), [images], truths)
    return {
        path.relative_to(images).as_posix(): truth.relative_to(truths).as_posix()
        for path, truth in pairs.items()
    }


def test_images_of_one_name_in_two_subfolders_belong_to_those_of_the_same_subfolder(put):
    places = ("day1/a.png", "day2/a.png")
    assert found(put("lr", *places), put("hr", *places)) == dict(zip(places, places))


def test_a_name_in_another_subfolder_is_no_pair(put):
    assert found(put("lr", "day1/a.png"), put("hr", "day2/a.png", "a.png")) == {}


@pytest.mark.parametrize(
    "name", ["ax4", "a_x4", "a_x16", "a_LR", "a_bicLRx4", "a_bicubic_x2", "a_LR_x3", "a_lr"]
)
def test_a_reduction_may_be_named_so_that_it_says_what_it_is(name, put):
    assert found(put("lr", f"d/{name}.jpg"), put("hr", "d/a.png")) == {f"d/{name}.jpg": "d/a.png"}


@pytest.mark.parametrize("name", ["ab", "a_4", "ax", "a x4", "a_small", "a-LR", "ax0"])
def test_another_end_of_a_name_is_another_name(name, put):
    assert found(put("lr", f"{name}.png"), put("hr", "a.png")) == {}


@pytest.mark.parametrize("name", ["a_SRF_4_LR.png", "a_SRF_4_bicx4.png", "a_SRF_4.png"])
def test_a_true_image_may_be_named_hr(name, put):
    assert found(put("lr", name), put("hr", "a_SRF_4_HR.png")) == {name: "a_SRF_4_HR.png"}


def test_names_that_happen_to_end_so_are_names(put):
    places = ("bo.png", "box1.png", "box2.png", "b.png", "b_LR.png")
    assert found(put("lr", *places), put("hr", *places)) == dict(zip(places, places))
    reduced = [f"{place[:-4]}x4.png" for place in places[:3]]
    assert found(put("small", *reduced), put("hr", *places)) == dict(zip(reduced, places))


def test_files_of_one_name_and_several_formats_are_told_by_the_format(put):
    places = ("a.jpg", "a.png")
    assert found(put("lr", *places), put("hr", *places)) == dict(zip(places, places))


@pytest.mark.parametrize(
    "images, truths, named",
    [
        (["a.webp"], ["a.jpg", "a.png"], "lr/a.webp belongs to .*hr/a.jpg or to .*hr/a.png"),
        (["ax4.png"], ["a.jpg", "a.png"], "lr/ax4.png belongs to .*hr/a.jpg or to .*hr/a.png"),
        (
            ["ax2.png", "ax4.png"],
            ["a.png"],
            "lr/ax2.png and .*lr/ax4.png both belong to .*hr/a.png",
        ),
        (["a.png", "a_x4.png"], ["a.png"], "lr/a.png and .*lr/a_x4.png both belong to .*hr/a.png"),
    ],
)
def test_what_may_belong_to_two_is_refused_by_naming_both(images, truths, named, put):
    lr, hr = put("lr", *images), put("hr", *truths)
    with pytest.raises(ValueError, match=named) as caught:
        found(lr, hr)
    assert "\n" not in str(caught.value)


def test_photos_of_one_name_in_two_folders_given_are_refused(put):
    days = put("day1", "a.png"), put("day2", "a.png")
    with pytest.raises(ValueError, match="day1/a.png and .*day2/a.png both belong to .*camera/a"):
        find_truths(map(lambda day: day / "a.png", days), days, put("camera", "a.png"))


def test_pairs_of_a_test_set_are_named_by_their_paths(put):
    hr, lr = put("hr", "day1/a.png", "day2/a.png"), put("lr", "day1/ax4.png", "day2/ax4.png")
    pairs = find_pairs(hr, lr)
    assert [pair.name for pair in pairs] == ["day1/a.png", "day2/a.png"]
    assert [pair.lr for pair in pairs] == [lr / "day1/ax4.png", lr / "day2/ax4.png"]
    (lr / "day1/ax4.png").unlink()
    with pytest.raises(ValueError, match="no image for day1/a.png of "):
        find_pairs(hr, lr)


@pytest.fixture
def gray(save):
    """Function that makes a gray photo of a value, 200 pixels a side."""
    return lambda place, value: save(place, np.full((200, 200, 3), value, np.uint8))


def test_validation_photos_are_compared_with_their_own_cameras(gray, tmp_path):
    """Of names that training photos have too."""
    for folder, value in (("phone", 10), ("camera", 20), ("val", 110), ("val_camera", 120)):
        gray(f"{folder}/1.png", value)
    phone, camera, val, val_camera = (
        tmp_path / name for name in ("phone", "camera", "val", "val_camera")
    )
    options = {"target": camera, "validation": [val]}
    with pytest.raises(ValueError, match="--val .*val is not within --data.*--val-target"):
        phone_photos([phone], 16, **options)
    data = phone_photos([phone], 16, **options, validation_target=val_camera)
    ((image, truth),) = data.validation[""]
    assert (image == 110).all() and (truth == 120).all()


def test_photos_of_the_test_without_a_camera_are_named_by_its_option(gray, tmp_path):
    for place in ("phone/1", "phone/2", "phone/3", "camera/1", "camera/2", "camera/3", "test/4"):
        gray(f"{place}.png", 10)
    with pytest.raises(ValueError, match="--test .*test is not within --data.*photos of --test"):
        phone_photos([tmp_path / "phone"], 16, target=tmp_path / "camera", test=[tmp_path / "test"])


def test_validation_photos_within_the_training_folder_have_the_same_camera(gray, tmp_path):
    for place, value in (("1.png", 10), ("val/1.png", 110)):
        gray(f"phone/{place}", value), gray(f"camera/{place}", value + 5)
    phone, camera = tmp_path / "phone", tmp_path / "camera"
    data = phone_photos([phone], 16, target=camera, validation=[phone / "val"])
    ((image, truth),) = data.validation[""]
    assert (image == 110).all() and (truth == 115).all()


def test_a_camera_of_validation_photos_alone_is_refused(gray, tmp_path):
    photo = gray("phone/1.png", 10)
    with pytest.raises(ValueError, match="--val-target is of the photos of --val, for --target"):
        phone_photos([photo.parent], 16, validation_target=photo.parent)
