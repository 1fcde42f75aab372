import numpy as np
import pytest

from gluon_enhance.framework import mx
from gluon_enhance.imaging.metrics import psnr, ssim
from gluon_enhance.training.validation import Validation, with_losses


class Brighten(mx.gluon.HybridBlock):
    """A net that adds a number of 8-bit steps."""

    steps = 0

    def hybrid_forward(self, F, x):
        return x + self.steps / 255


@pytest.fixture
def pairs(rng):
    images = rng.integers(0, 200, (2, 16, 16, 3), dtype=np.uint8)
    return [(image, image + np.uint8(10)) for image in images]


def test_scores_are_means_over_rgb_images_that_are_not_enlarged(pairs):
    scores, pictures = Validation(Brighten(), {"": pairs}, mx.cpu())()
    assert scores["psnr"] == pytest.approx(20 * np.log10(255 / 10))
    assert scores["ssim"] == pytest.approx(np.mean([ssim(*pair) for pair in pairs]))
    assert [list(row) for row in pictures] == [["input", "output", "truth"]] * 2
    assert all(picture.shape == (16, 16, 3) for row in pictures for picture in row.values())


def test_outputs_with_the_colors_of_the_inputs_are_scored_too(pairs):
    net = Brighten()
    net.steps = 30
    scores, rows = Validation(net, {"": pairs}, mx.cpu(), match_colors=True)()
    assert scores["psnr"] == pytest.approx(20 * np.log10(255 / 20))
    # Matching undoes what the net did: the input is left, 10 from the truth.
    assert scores["psnr_matched"] == pytest.approx(20 * np.log10(255 / 10))
    assert np.array_equal(rows[0]["output, colors matched"], pairs[0][0])


def test_more_scores_get_output_truth_and_input(pairs):
    def extra(output, truth, image):
        assert np.array_equal(output, image)
        return {"distance": float(np.abs(truth.astype(int) - output).max())}

    scores, _ = Validation(Brighten(), {"": pairs}, mx.cpu(), extra=extra)()
    assert scores["distance"] == 10


def test_scores_of_inputs_are_computed_once(pairs):
    images = []

    def of_input(image, truth):
        images.append(image)
        return {"distance": float(np.abs(truth.astype(int) - image).max())}

    validation = Validation(Brighten(), {"": pairs, "more": pairs}, mx.cpu(), of_input=of_input)
    first, second = validation()[0], validation()[0]
    assert first == second and first["distance"] == first["distance_more"] == 10
    assert len(images) == 2 * len(pairs)


def test_several_sets_of_images_of_any_size_are_scored_by_name(pairs, rng):
    other = rng.integers(0, 200, (24, 16, 3), dtype=np.uint8)
    sets = {"": pairs, "Set5": [(other, other + np.uint8(1)), (other[:20], other[:20])]}
    scores, rows = Validation(Brighten(), sets, mx.cpu())()
    assert scores["psnr"] == pytest.approx(20 * np.log10(25.5))
    assert scores["ssim_Set5"] == pytest.approx((ssim(other, other + np.uint8(1)) + 1) / 2)
    assert {picture.shape for row in rows for picture in row.values()} == {(24, 16, 3)}
    assert (rows[0]["input"][16:] == 255).all()


def test_scores_of_the_start_are_repeated_when_the_net_has_changed(pairs):
    net = Brighten()
    validation = Validation(net, {"": pairs}, mx.cpu(), with_start=True)
    net.steps = 9
    scores, _ = validation()
    assert scores["psnr"] == pytest.approx(20 * np.log10(255))
    assert scores["psnr_of_start"] == pytest.approx(np.mean([psnr(*pair) for pair in pairs]))


def test_outputs_without_truths_are_compared_with_the_inputs(pairs):
    net = Brighten()
    net.steps = 10
    scores, (row, _) = Validation(net, {"": [(image, None) for image, _ in pairs]}, mx.cpu())()
    assert scores["psnr_to_input"] == pytest.approx(20 * np.log10(255 / 10))
    assert set(scores) == {"psnr_to_input", "ssim_to_input"} and list(row) == ["input", "output"]


def test_what_the_backward_net_restores_is_shown(pairs):
    there, back = Brighten(), Brighten()
    there.steps, back.steps = 10, -4
    _, (row, _) = Validation(there, {"": pairs}, mx.cpu(), backward=back)()
    assert list(row) == ["input", "output", "restored", "truth"]
    assert np.array_equal(row["restored"], row["input"] + 6)


def test_no_pair_is_an_error_that_says_why():
    with pytest.raises(ValueError, match="no held-out photo"):
        Validation(Brighten(), {"": []}, mx.cpu())


def test_losses_of_held_out_samples_are_means_over_all_of_them():
    class Step:
        def measure(self, batch):
            return {"pixel": float(batch[0].mean())}

    sets = {"": (np.arange(5.0), np.zeros(5)), "Set5": (np.full(2, 7.0), np.zeros(2))}
    validate = with_losses(lambda: ({"psnr": 20.0}, ["row"]), Step(), sets, 2)
    expected = {"psnr": 20.0, "held_out_pixel": 2.0, "held_out_pixel_Set5": 7.0}
    assert validate() == (pytest.approx(expected), ["row"])
