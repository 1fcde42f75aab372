import numpy as np
import pytest

from gluon_enhance.errors import EngineError, ImageError
from gluon_enhance.imaging.tiling import plan_tiles, run_tiled

SIZES = [(1, 1), (1, 97), (2, 3), (13, 64), (61, 47), (97, 101), (128, 31), (500, 7)]
TILES = [(1, 0), (1, 3), (5, 2), (7, 0), (16, 8), (16, 50), (64, 1), (300, 10)]


def conv_net(scale, radius, rng):
    """Two zero-padded convolutions with a ReLU between, of joint radius `radius`, enlarged.

    The bias and the ReLU make the padding of the second layer visible at the image's edge.
    """
    radii = radius // 2, radius - radius // 2
    weights = [rng.normal(size=(2 * r + 1, 2 * r + 1)) for r in radii]

    def conv(x, weight):
        r = weight.shape[0] // 2
        padded = np.pad(x, ((0, 0), (0, 0), (r, r), (r, r)))
        h, w = x.shape[2:]
        return sum(
            weight[i, j] * padded[:, :, i : i + h, j : j + w] for i, j in np.ndindex(weight.shape)
        )

    def run(batch):
        features = np.maximum(conv(batch.astype(np.float64), weights[0]) + 0.7, 0)
        sr = conv(features, weights[1]).repeat(scale, 2).repeat(scale, 3)
        return sr + np.arange(sr.shape[2])[:, None] % scale  # the sub-pixels differ

    return run


def fill(image, tiles, run, scale):
    """The output of a tiled run, and how often each of its pixels was written."""
    output = np.zeros((image.shape[0], image.shape[1] * scale, image.shape[2] * scale))
    written = np.zeros(output.shape[1:], int)
    for tile, sr in run_tiled(tiles, lambda rows, cols: image[:, rows, cols], run, scale):
        rows, columns = tile.target(scale)
        output[:, rows, columns] = sr
        written[rows, columns] += 1
    return output, written


@pytest.mark.parametrize("multiple", [1, 2, 4])
@pytest.mark.parametrize("tile, halo", TILES)
@pytest.mark.parametrize("height, width", SIZES)
def test_plans_cover_every_pixel_once_with_equal_tiles(height, width, tile, halo, multiple):
    tiles = plan_tiles(height, width, tile, halo, multiple)
    kept = np.zeros((height, width), int)
    for t in tiles:
        kept[t.keep] += 1
    assert (kept == 1).all()
    assert len({t.shape for t in tiles}) == 1
    for t in tiles:
        for read, keep, size, length in zip(t.read, t.keep, t.shape, (height, width)):
            assert 0 <= read.start <= keep.start < keep.stop <= read.stop <= length
            assert read.start % multiple == 0 and size % multiple == 0
            # Reflection only fills the last cell of an image that ends within it.
            assert read.stop - read.start == size or (
                read.stop == length and size - (read.stop - read.start) < multiple
            )


@pytest.mark.parametrize("multiple, stride", [(1, 2), (1, 8), (2, 3)])
@pytest.mark.parametrize("tile, halo", TILES)
@pytest.mark.parametrize("height, width", SIZES)
def test_tiles_begin_at_multiples_of_the_stride_and_end_where_the_image_does(
    height, width, tile, halo, multiple, stride
):
    tiles = plan_tiles(height, width, tile, halo, multiple, stride)
    kept = np.zeros((height, width), int)
    for t in tiles:
        kept[t.keep] += 1
        for read, size, length in zip(t.read, t.shape, (height, width)):
            assert read.start % stride == read.start % multiple == size % multiple == 0
            whole = -(-length // multiple) * multiple
            assert read.start + size <= whole and read.stop == min(read.start + size, length)
    assert (kept == 1).all() and len({t.shape for t in tiles}) == 1


@pytest.mark.parametrize("multiple, stride", [(1, 1), (3, 1), (1, 4)])
@pytest.mark.parametrize("tile, halo", TILES)
@pytest.mark.parametrize("height, width", SIZES)
def test_the_halo_reaches_as_far_as_asked_or_to_the_edge(
    height, width, tile, halo, multiple, stride
):
    for t in plan_tiles(height, width, tile, halo, multiple, stride):
        for read, keep, length in zip(t.read, t.keep, (height, width)):
            assert read.start == 0 or keep.start - read.start >= halo
            assert read.stop == length or read.stop - keep.stop >= halo


@pytest.mark.parametrize("tile, halo", TILES)
@pytest.mark.parametrize("length", [1, 7, 64, 97, 500])
def test_no_plan_of_fewer_or_smaller_tiles_would_do(length, tile, halo):
    tiles = plan_tiles(length, 1, tile, halo)
    count, size = len(tiles), tiles[0].shape[0]

    def reaches(count, size):
        """Tiles of a size yield size - halo at the ends of the image and lose two halos within."""
        return count * size - 2 * halo * (count - 1) >= length

    assert size <= tile + 2 * halo
    assert reaches(count, size) and not reaches(count, size - 1)
    assert count == 1 or not reaches(count - 1, tile + 2 * halo)


@pytest.mark.parametrize(
    "height, width, tile, multiple, shape, count",
    [
        (500, 500, 256, 1, (250, 250), 4),  # not 256: nothing is read twice
        (100, 500, 256, 1, (100, 250), 2),
        (37, 41, 256, 1, (37, 41), 1),
        (37, 41, 256, 4, (40, 44), 1),
        (1, 1, 256, 2, (2, 2), 1),
        (257, 1, 256, 1, (129, 1), 2),
    ],
)
def test_tiles_are_as_small_as_their_number_allows(height, width, tile, multiple, shape, count):
    tiles = plan_tiles(height, width, tile, 0, multiple)
    assert len(tiles) == count and {t.shape for t in tiles} == {shape}


def test_tiles_at_the_edge_end_there_instead_of_being_reflected():
    first, last = plan_tiles(50, 500, tile=256, halo=10)
    assert (first.read[1], first.keep[1]) == (slice(0, 260), slice(0, 250))
    assert (last.read[1], last.keep[1]) == (slice(240, 500), slice(250, 500))
    assert last.target(4) == (slice(0, 200), slice(1000, 2000))
    assert last.crop(4) == (slice(0, 200), slice(40, 1040))


@pytest.mark.parametrize("scale", [1, 3])
@pytest.mark.parametrize("height, width", SIZES)
@pytest.mark.parametrize("tile, halo", [(5, 3), (16, 4), (64, 3)])
def test_tiled_equals_whole_where_the_halo_is_the_radius(height, width, tile, halo, scale, rng):
    image = rng.random((3, height, width), dtype=np.float32)
    run = conv_net(scale, radius=3, rng=rng)
    output, written = fill(image, plan_tiles(height, width, tile, halo), run, scale)
    assert (written == 1).all()
    assert (output == run(image[None])[0]).all()


def test_a_halo_below_the_radius_shows_at_the_seams_only(rng):
    image = rng.random((3, 61, 47), dtype=np.float32)
    run = conv_net(1, radius=3, rng=rng)
    output, _ = fill(image, plan_tiles(61, 47, 40, 2), run, 1)
    differs = (output != run(image[None])[0]).any(axis=0)
    assert differs.any() and not differs[[0, -1], 0].any() and differs.mean() < 0.2


@pytest.mark.parametrize("height, width", [(1, 1), (2, 7), (45, 60), (47, 61)])
def test_tiles_start_where_a_net_that_folds_pixels_needs_it(height, width, rng):
    """The answer of this net depends on where in its 4x4 cell a pixel lies."""
    image = rng.random((3, height, width), dtype=np.float32)

    def run(batch):
        h, w = batch.shape[2:]
        assert h % 4 == w % 4 == 0
        cells = batch.reshape(1, 3, h // 4, 4, w // 4, 4)
        return (batch.reshape(cells.shape) - cells[:, :, :, :1, :, 3:]).reshape(batch.shape)

    output, written = fill(image, plan_tiles(height, width, 10, 3, multiple=4), run, 1)
    padding = ((0, 0), (0, -height % 4), (0, -width % 4))
    whole = run(np.pad(image, padding, mode="reflect")[None])[0][:, :height, :width]
    assert (written == 1).all() and (output == whole).all()


def test_small_images_are_reflected_at_the_bottom_and_right():
    seen = []
    image = np.arange(6, dtype=np.float32).reshape(1, 2, 3)
    fill(image, plan_tiles(2, 3, 8, 2, multiple=4), lambda x: seen.append(x) or x, 1)
    assert seen[0][0, 0].tolist() == [[0, 1, 2, 1], [3, 4, 5, 4], [0, 1, 2, 1], [3, 4, 5, 4]]


def test_runs_get_one_contiguous_tile_at_a_time(rng):
    image = rng.random((40, 50, 3), dtype=np.float32).transpose(2, 0, 1)
    batches = []
    fill(image, plan_tiles(40, 50, 16, 2), lambda x: batches.append(x) or x, 1)
    assert len(batches) > 4 and len({batch.shape for batch in batches}) == 1
    assert all(batch.flags.c_contiguous and batch.dtype == np.float32 for batch in batches)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_tile_that_is_not_finite_stops_the_work_and_is_named(value):
    image = np.zeros((3, 20, 30), np.float32)
    image[0, 17, 2] = 1

    def run(batch):
        return np.where(batch == 1, np.float32(value), batch)

    with pytest.raises(ImageError, match="rows 10-19, columns 0-9 .* NaN or infinity in 1 of 300"):
        fill(image, plan_tiles(20, 30, 10, 0), run, 1)


def test_a_result_of_another_size_stops_the_work():
    image = np.zeros((3, 20, 30), np.float32)
    with pytest.raises(EngineError, match=r"\(1, 3, 20, 30\), not \(1, 3, 40, 60\).*scale 2"):
        fill(image, plan_tiles(20, 30, 64, 0), lambda x: x, 2)


def test_errors_of_the_net_come_through():
    def run(batch):
        raise MemoryError("no room")

    with pytest.raises(MemoryError, match="no room"):
        fill(np.zeros((3, 4, 4), np.float32), plan_tiles(4, 4, 8, 0), run, 1)


@pytest.mark.parametrize(
    "name, value",
    [
        ("height", 0),
        ("width", -1),
        ("tile", 0),
        ("halo", -1),
        ("multiple", 0),
        ("stride", 0),
    ],
)
def test_lengths_that_make_no_plan_are_named(name, value):
    arguments = {"height": 8, "width": 8, "tile": 4, "halo": 1, "multiple": 1, name: value}
    with pytest.raises(ValueError, match=f"{name} is {value}; it must be at least"):
        plan_tiles(**arguments)
