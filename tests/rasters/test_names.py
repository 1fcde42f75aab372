"""Names of what GDAL opens and no plain file is."""

import pytest

from gluon_enhance.rasters.names import absolute_name, is_dataset_name, stem_of


@pytest.mark.parametrize(
    "name, stem",
    [
        ("https://host:8080/tiles/scene.tif?key=a/b.c#top", "scene"),
        ("s3://bucket/2024/scene.v2.tif", "scene.v2"),
        ("/vsis3/bucket/scene.tif", "scene"),
        ("/vsicurl/http://host//x//scene.jp2", "scene"),
        ("/vsizip/pack.zip", "pack"),
        ("zip://data/pack.zip!in/scene.tif", "scene"),
        ("zip+https://host/pack.zip!scene.tif", "scene"),
        ('NETCDF:"http://host/sst.nc":analysed sst', "sst_analysed_sst"),
        ("netcdf:dir/sst.nc:analysed", "sst_analysed"),
        ('HDF5:"dir/a.h5"://group/data', "a_data"),
        (
            "SENTINEL2_L1C:/vsizip/S2A.zip/MTD_MSIL1C.xml:10m:EPSG_32632",
            "MTD_MSIL1C_10m_EPSG_32632",
        ),
        ("GTIFF_DIR:2:dir/scan.tif", "2_scan"),
    ],
)
def test_a_file_that_is_made_of_a_dataset_is_called_after_it(name, stem):
    assert is_dataset_name(name)
    assert stem_of(name) == stem


@pytest.mark.parametrize(
    "path", ["scene.tif", "dir/scene.tif", "/data//scene.tif", "C:\\data\\a.tif", "a b:c/d.tif", ""]
)
def test_paths_of_files_are_no_names_of_datasets(path):
    assert not is_dataset_name(path)


def test_a_path_within_a_name_is_made_absolute_where_it_is_of_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dir").mkdir()
    for name in ("a.zip", "dir/x.nc", "there"):
        (tmp_path / name).touch()
    made = {
        "a.zip": f"{tmp_path}/a.zip",
        "/vsizip/a.zip/b.tif": f"/vsizip/{tmp_path}/a.zip/b.tif",
        "zip://a.zip!b.tif": f"zip://{tmp_path}/a.zip!b.tif",
        "NETCDF:dir/x.nc:t2m": f"NETCDF:{tmp_path}/dir/x.nc:t2m",
        'netcdf:"dir/x.nc":t2m': f'netcdf:"{tmp_path}/dir/x.nc":t2m',
        "/vsizip//data/a.zip/b.tif": "/vsizip//data/a.zip/b.tif",
        "/vsicurl/http://there/a.zip": "/vsicurl/http://there/a.zip",
        "https://there/a.tif": "https://there/a.tif",
        "/vsimem/a.zip": "/vsimem/a.zip",
        "absent.tif": "absent.tif",
    }
    assert {name: absolute_name(name) for name in made} == made
