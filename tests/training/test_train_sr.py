"""What the scripts of super-resolution nets have in common, but train_esrgan, which has its own."""

import pytest

from gluon_enhance import zoo
from gluon_enhance.framework import mx


@pytest.fixture
def scripts(vgg_file, tmp_path):
    """Name of a script -> options that it needs, and the model that it trains."""
    start = zoo.get_model("srgan_x4")
    start.initialize(mx.init.Xavier())
    start.save_parameters(str(tmp_path / "start.params"))
    srgan = ("--init", tmp_path / "start.params", "--vgg", vgg_file(19), "--critic-channels", 2)
    return {
        "srcnn": (("--patch-size", 18), "srcnn_x4"),
        "srresnet": ((), "srresnet_x4"),
        "srgan": (srgan, "srgan_x4"),
        "edsr": (("--model", "edsr_lite_x2"), "edsr_lite_x2"),
    }


@pytest.mark.parametrize("name", ["srcnn", "srresnet", "srgan", "edsr"])
def test_run_leaves_a_model_of_the_zoo_and_says_where_last(name, scripts, train, tmp_path, capsys):
    options, model = scripts[name]
    train(name, tmp_path / "run", *options, "--iterations", 1)
    result = tmp_path / "run" / f"{model}.params"
    assert capsys.readouterr().out.splitlines()[-1] == str(result)
    zoo.get_model(model, pretrained=result)


@pytest.mark.parametrize("name", ["srcnn", "srresnet", "srgan", "edsr"])
def test_resumed_training_equals_uninterrupted_bit_for_bit(name, scripts, check_resume):
    check_resume(name, *scripts[name][0])
