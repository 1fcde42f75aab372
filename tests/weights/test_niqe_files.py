import numpy as np
import pytest

from gluon_enhance.errors import WeightsError
from gluon_enhance.imaging.niqe import NIQEModel
from gluon_enhance.weights.niqe import read_niqe, write_niqe


def test_a_model_is_read_as_it_was_written(tmp_path, rng):
    model = NIQEModel(rng.normal(size=36), rng.normal(size=(36, 36)))
    write_niqe(tmp_path / "own", model)
    read = read_niqe(tmp_path / "own")
    np.testing.assert_array_equal(read.mean, model.mean)
    np.testing.assert_array_equal(read.covariance, model.covariance)
    assert [path.name for path in tmp_path.iterdir()] == ["own"]


def test_a_mean_with_an_axis_more_is_read_as_basicsr_keeps_it(tmp_path):
    arrays = {"mu_pris_param": np.arange(36.0)[None], "cov_pris_param": np.eye(36)}
    np.savez(tmp_path / "m.npz", **arrays, gaussian_window=np.zeros((7, 7)))
    np.testing.assert_array_equal(read_niqe(tmp_path / "m.npz").mean, np.arange(36.0))


@pytest.mark.parametrize(
    "arrays",
    [
        {"mu_pris_param": np.zeros(36)},
        {"mu_pris_param": np.zeros(35), "cov_pris_param": np.eye(36)},
        {"mu_pris_param": np.array([None] * 36), "cov_pris_param": np.eye(36)},
    ],
)
def test_other_arrays_are_no_model(tmp_path, arrays):
    np.savez(tmp_path / "m.npz", **arrays)
    with pytest.raises(WeightsError, match=r"m\.npz is no model of NIQE.*niqe fit"):
        read_niqe(tmp_path / "m.npz")


def test_damaged_missing_and_falsely_named_files_are_refused(tmp_path):
    (tmp_path / "m.npz").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(WeightsError, match="is no model of NIQE"):
        read_niqe(tmp_path / "m.npz")
    with pytest.raises(WeightsError, match="is no file"):
        read_niqe(tmp_path / "none.npz")
    write_niqe(tmp_path / "m.npz", NIQEModel(np.full(36, np.nan), np.eye(36)))
    with pytest.raises(WeightsError, match="holds NaN or infinity"):
        read_niqe(tmp_path / "m.npz")
    write_niqe(tmp_path / "niqe_pris_params.npz", NIQEModel(np.zeros(36), np.eye(36)))
    with pytest.raises(WeightsError, match="of 11,850 bytes"):
        read_niqe(tmp_path / "niqe_pris_params.npz")
