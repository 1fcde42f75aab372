import threading

import numpy as np
import pytest

from gluon_enhance.data import patches as module
from gluon_enhance.data.patches import PhotoCache
from gluon_enhance.errors import ImageError


def keep(photo, index):
    return (photo,)


@pytest.fixture
def decoded(monkeypatch):
    """The names of the files that are decoded, in order."""
    names, read_photo = [], module.read_photo

    def counted(path):
        names.append(path.name)
        return read_photo(path)

    monkeypatch.setattr(module, "read_photo", counted)
    return names


def test_a_photo_is_decoded_once_and_only_when_it_is_needed(paths, photos, decoded):
    cache = PhotoCache(paths, keep)
    assert decoded == []
    for _ in range(2):
        assert np.array_equal(cache[1][0], photos[1])
    assert decoded == ["1.png"]


def test_the_least_recently_used_photo_is_dropped_over_the_budget(save, rng, decoded):
    paths = [save(f"{i}.png", np.full((10, 10, 3), i, np.uint8)) for i in range(3)]
    cache = PhotoCache(paths, keep, budget_bytes=600)
    for index in (0, 1, 0, 2, 0, 1):
        assert cache[index][0][0, 0, 0] == index
    assert decoded == ["0.png", "1.png", "2.png", "1.png"]


def test_a_photo_over_the_budget_is_returned_but_not_kept(paths, decoded):
    cache = PhotoCache(paths, keep, budget_bytes=10)
    assert cache[0][0].shape == cache[0][0].shape == (67, 90, 3)
    assert decoded == ["0.png", "0.png"]


def test_threads_that_want_the_same_photo_decode_it_once(paths, decoded):
    cache = PhotoCache(paths, keep)
    barrier = threading.Barrier(4)

    def get():
        barrier.wait()
        cache[0]

    threads = [threading.Thread(target=get) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert decoded == ["0.png"]


def test_a_photo_can_be_had_while_another_is_decoded(paths):
    entered, free = threading.Event(), threading.Event()

    def slow(photo, index):
        if index == 0:
            entered.set()
            assert free.wait(10)
        return (photo,)

    cache = PhotoCache(paths, slow)
    thread = threading.Thread(target=cache.__getitem__, args=(0,))
    thread.start()
    assert entered.wait(10)
    assert cache[1][0].shape == (67, 90, 3)
    free.set()
    thread.join()


def test_an_unreadable_photo_warns_once_and_is_not_tried_again(paths, damaged, decoded, caplog):
    cache = PhotoCache([*paths, damaged, damaged], keep)
    for index in (2, 3, 2):
        with pytest.raises(ImageError, match="damaged.png"):
            cache[index]
    assert list(cache.unreadable) == [damaged]
    assert len(caplog.records) == 1 and decoded == ["damaged.png"]
