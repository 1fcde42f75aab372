"""ncnn files of any size and of other converters, which write activations and sums as layers."""

import numpy as np
import pytest
from foreign_nets import middle_names, rrdb, srvgg

pytest.importorskip("mxnet", reason="MXNet is not installed")

import gluon_enhance as ge  # noqa: E402
from gluon_enhance.errors import WeightsError  # noqa: E402
from gluon_enhance.framework import mx  # noqa: E402


class Writer:
    """Write layers one by one, each split by hand, in float32."""

    def __init__(self, weights):
        self.weights, self.lines, self.data, self.made = weights, ["Input in 0 1 data"], [], 0

    def layer(self, kind, sources, numbers=""):
        self.made += 1
        name = f"v{self.made}"
        self.lines.append(
            f"{kind} l{self.made} {len(sources)} 1 {' '.join(sources)} {name} {numbers}"
        )
        return name

    def conv(self, key, x):
        weight, bias = self.weights[f"{key}.weight"], self.weights[f"{key}.bias"]
        self.data += [bytes(4), weight.tobytes(), bias.tobytes()]
        return self.layer("Convolution", [x], f"0={len(weight)} 1=3 4=1 5=1 6={weight.size}")

    def leaky(self, x):
        return self.layer("ReLU", [x], "0=0.2")

    def prelu(self, key, x):
        slopes = self.weights[f"{key}.weight"]
        self.data.append(slopes.tobytes())
        return self.layer("PReLU", [x], f"0={len(slopes)}")

    def scaled(self, x):
        return self.layer("BinaryOp", [x], "0=2 1=1 2=0.2")

    def add(self, *values):
        return self.layer("BinaryOp", values, "0=0")

    def nearest(self, x, factor):
        return self.layer("Interp", [x], f"0=1 1={factor} 2={factor}")

    def save(self, folder):
        head = f"7767517\n{len(self.lines)} {len(self.lines)}\n"
        (folder / "net.param").write_text(head + "\n".join(self.lines) + "\n")
        (folder / "net.bin").write_bytes(b"".join(self.data))
        return folder / "net.bin"


def write_srvgg(weights, convs, scale, slip=False):
    out = Writer(weights)
    x = "data"
    for k in range(0, 2 * convs + 2, 2):
        x = out.prelu(f"body.{k + 1}", out.conv(f"body.{k}", x))
    x = out.layer("PixelShuffle", [out.conv(f"body.{2 * convs + 2}", x)], f"0={scale}")
    out.add(x, out.nearest("data", scale + slip))
    return out


def write_rrdb(weights, blocks, doublings):
    out, names = Writer(weights), middle_names(blocks, doublings)
    x = head = out.conv(names["head"], "data")
    for i in range(blocks):
        block = x
        for j in range(3):
            dense, seen = x, [x]
            for k in range(4):
                joint = out.layer("Concat", seen) if k else x
                seen.append(out.leaky(out.conv(names["dense"].format(i, j + 1, k + 1), joint)))
            last = out.conv(names["dense"].format(i, j + 1, 5), out.layer("Concat", seen))
            x = out.add(dense, out.scaled(last))
        x = out.add(out.scaled(x), block)
    x = out.add(out.conv(names["trunk"], x), head)
    for up in names["up"]:
        x = out.leaky(out.conv(up, out.nearest(x, 2.0)))
    out.conv(names["last"], out.leaky(out.conv(names["hr"], x)))
    return out


@pytest.mark.parametrize("doublings", [1, 2, 3])
def test_an_rrdb_of_another_converter_computes_what_it_does(doublings, tmp_path, rng):
    weights, run, _ = rrdb(middle_names, doublings)
    net = ge.get_model(pretrained=write_rrdb(weights, 2, doublings).save(tmp_path))
    x = rng.random((1, 3, 6, 8))
    np.testing.assert_allclose(net(mx.nd.array(x)).asnumpy(), run(x), atol=1e-4)


@pytest.mark.parametrize("scale, convs", [(2, 3), (4, 1)])
def test_an_srvgg_of_another_converter_computes_what_it_does(scale, convs, tmp_path, rng):
    weights, run, _ = srvgg(scale, convs)
    net = ge.get_model(pretrained=write_srvgg(weights, convs, scale).save(tmp_path))
    x = rng.random((1, 3, 6, 8))
    np.testing.assert_allclose(net(mx.nd.array(x)).asnumpy(), run(x), atol=1e-4)


def test_the_weights_of_another_graph_are_refused(tmp_path):
    path = write_srvgg(srvgg(2, 3)[0], 3, 2, slip=True).save(tmp_path)
    with pytest.raises(WeightsError, match="SRVGGNetCompact is the nearest and lacks graph"):
        ge.get_model(pretrained=path)
