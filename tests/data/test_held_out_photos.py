import numpy as np
import pytest
from PIL import Image

from gluon_enhance.data.held_out_photos import parse_held_out, read_named, split_photos
from gluon_enhance.data.super_resolution import enlarging_photos
from gluon_enhance.imaging.resize import resize


@pytest.fixture
def many(tmp_path):
    """A function: number of photos -> a folder of so many."""

    def make(count):
        for index in range(count):
            Image.new("RGB", (2, 2)).save(tmp_path / f"{index:03d}.png")
        return tmp_path

    return make


def names(paths):
    return {path.stem for path in paths}


def test_about_every_18th_photo_validates_and_as_many_test(many):
    split = split_photos([many(360)])
    assert len(split.training) + len(split.validation) + len(split.test) == 360
    assert not names(split.validation) & names(split.test)
    # Three deviations of a binomial number around 20.
    assert all(7 <= len(part) <= 33 for part in (split.validation, split.test))


def test_one_more_photo_leaves_every_other_where_it_was(many, tmp_path):
    before = split_photos([many(100)])
    Image.new("RGB", (2, 2)).save(tmp_path / "0.png")  # the first by name
    after = split_photos([tmp_path])
    for part in ("training", "validation", "test"):
        assert names(getattr(after, part)) - {"0"} == names(getattr(before, part))


def test_the_suffix_and_the_place_of_the_folder_do_not_count(many, tmp_path):
    before = split_photos([many(60)])
    moved = tmp_path.rename(tmp_path.with_name("moved"))
    for path in moved.iterdir():
        path.rename(path.with_suffix(".PNG"))
    after = split_photos([moved])
    assert names(after.test) == names(before.test)
    assert names(after.validation) == names(before.validation)


@pytest.mark.parametrize("count, sizes", [(2, (1, 1, 0)), (3, (1, 1, 1)), (4, (2, 1, 1))])
def test_of_few_photos_one_validates_and_one_of_three_tests(count, sizes, many):
    split = split_photos([many(count)])
    assert (len(split.training), len(split.validation), len(split.test)) == sizes


def test_no_photo_left_to_train_on_is_an_error(many):
    with pytest.raises(ValueError, match="of 1 photo none is left to train on"):
        split_photos([many(1)])


def test_a_folder_for_validation_is_not_trained_on_whatever_way_leads_there(many, tmp_path):
    many(4)
    inner = tmp_path / "val"
    inner.mkdir()
    Image.new("RGB", (2, 2)).save(inner / "x.png")
    link = tmp_path.with_name("link")
    link.symlink_to(inner)
    split = split_photos([tmp_path], [link])
    assert names(split.validation) == {"x"}
    assert names(split.training) | names(split.test) == {"000", "001", "002", "003"}


def test_named_sets_are_told_from_folders(tmp_path):
    folder = tmp_path / "a=b"
    folder.mkdir()
    parsed = parse_held_out([folder, "Set5=hr,lr", "Set14=hr"])
    assert parsed.folders == [str(folder)]
    assert parsed.named == {"Set5": ("hr", "lr"), "Set14": ("hr", None)}
    assert parse_held_out([]).folders is None and parse_held_out(["Set5=hr"]).folders == []


def test_named_sets_are_whole_images_in_multiples_of_what_the_net_takes(save, photos, tmp_path):
    hr, lr = photos[0], resize(photos[0][:64, :88], 1 / 4)
    save("hr/a.png", hr), save("lr/ax4.png", lr)
    sets = read_named({"one": (tmp_path / "hr", tmp_path / "lr")}, 4, 5)
    ((image, truth),) = sets["one"]
    assert np.array_equal(image, lr[:15, :20]) and np.array_equal(truth, hr[:60, :80])
    with pytest.raises(ValueError, match="--val one=.* has no inputs"):
        read_named({"one": (tmp_path / "hr", None)}, 1)
    with pytest.raises(ValueError, match="--test one=.* has no inputs"):
        read_named({"one": (tmp_path / "hr", None)}, 1, option="--test")


@pytest.fixture
def own(save, rng, tmp_path):
    """Folders of four photos of 67x90 pixels, and of reductions that are brighter."""
    for index in range(4):
        photo = rng.integers(0, 156, (67, 90, 3), dtype=np.uint8)
        save(f"hr/{index}.png", photo)
        save(f"lr/{index}x2.png", resize(photo[:66], 1 / 2) + np.uint8(60))
    return tmp_path / "hr", tmp_path / "lr"


def test_own_reductions_are_the_inputs_of_patches_and_of_held_out_crops(own, rng):
    data = enlarging_photos([own[0]], 2, 8, (1.0, 0.5), "mixed", 1, own[1])
    lr, hr = data.patches.draw(rng)
    assert lr.shape == (3, 8, 8) and hr.shape == (3, 16, 16)
    mean = hr.reshape(3, 8, 2, 8, 2).mean(axis=(2, 4))
    np.testing.assert_allclose(np.mean(lr - mean), 60 / 255, atol=0.02)
    assert len(data.validation[""]) == len(data.test[""]) == 1
    ((lr, hr),) = data.validation[""]  # smaller than the usual crop of 192
    assert lr.shape == (33, 33, 3) and hr.shape == (66, 66, 3)
    assert np.mean(lr.astype(int)) - np.mean(hr.astype(int)) == pytest.approx(60, abs=2)


def test_reductions_of_another_scale_or_none_are_refused(own, save, tmp_path):
    with pytest.raises(ValueError, match="not 4 times as large"):
        enlarging_photos([own[0]], 4, 8, lr=own[1])
    save("hr/other.png", np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(ValueError, match="--lr .*lr has no image for 1 of 5 photos, .*other.png"):
        enlarging_photos([own[0]], 2, 8, lr=own[1])


def test_photos_smaller_than_the_usual_crop_are_scored_on_smaller_ones(save, rng, tmp_path):
    for index in range(4):
        save(f"{index}.png", rng.integers(0, 256, (50 + index, 70, 3), dtype=np.uint8))
    data = enlarging_photos([tmp_path], 4, 8, multiple=2)
    for lr, hr in (*data.validation[""], *data.test[""]):
        assert hr.shape == (48, 48, 3) and lr.shape == (12, 12, 3)
