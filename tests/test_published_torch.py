"""Published networks against PyTorch: with random weights, the outputs are the same."""

import sys

import numpy as np
import pytest

from sr_keras import models, published

# Triton ends in a segmentation fault if TensorFlow was imported before it. PyTorch does
# without it.
sys.modules.setdefault("triton", None)
torch = pytest.importorskip("torch", exc_type=ImportError)
nn, F = torch.nn, torch.nn.functional

_MEAN = (0.4488, 0.4371, 0.4040)


def spandrel(name):
    """Returns the module of an architecture in the package spandrel."""
    pytest.importorskip("spandrel", exc_type=ImportError)
    return pytest.importorskip(f"spandrel.architectures.{name}", exc_type=ImportError)


# The networks that spandrel does not have, with the names of their authors' modules.


def conv(inner, outer, size=3):
    return nn.Conv2d(inner, outer, size, padding=size // 2)


class Sum(nn.Sequential):
    """Adds its input to what its modules make of it."""

    def __init__(self, *modules, scale=1.0):
        super().__init__(*modules)
        self.scale = scale

    def forward(self, x):
        return x + self.scale * super().forward(x)


class Block(nn.Module):
    """A residual block; `names` are those of its two convolutions."""

    def __init__(self, filters, scale=1.0):
        super().__init__()
        self.conv1, self.conv2 = conv(filters, filters), conv(filters, filters)
        self.scale = scale

    def forward(self, x):
        return x + self.scale * self.conv2(torch.relu(self.conv1(x)))


class BlockWithBody(nn.Module):
    def __init__(self, filters, scale):
        super().__init__()
        self.body = Sum(
            conv(filters, filters), nn.ReLU(), conv(filters, filters), scale=scale
        )

    def forward(self, x):
        return self.body(x)


def upsampler(filters, scale):
    steps = {2: [2], 3: [3], 4: [2, 2], 8: [2, 2, 2]}[scale]
    parts = [(conv(filters, filters * n * n), nn.PixelShuffle(n)) for n in steps]
    return [part for pair in parts for part in pair]


def mean_shift(sign):
    layer = nn.Conv2d(3, 3, 1)
    layer.weight.data = torch.eye(3)[..., None, None]
    layer.bias.data = sign * 255 * torch.tensor(_MEAN)
    return layer


class AuthorsEDSR(nn.Module):
    """Takes and returns values in [0, 255]."""

    def __init__(self, scale, filters, blocks, residual_scale=1.0):
        super().__init__()
        self.sub_mean, self.add_mean = mean_shift(-1), mean_shift(1)
        self.head = nn.Sequential(conv(3, filters))
        body = [BlockWithBody(filters, residual_scale) for _ in range(blocks)]
        self.body = nn.Sequential(*body, conv(filters, filters))
        up = nn.Sequential(*upsampler(filters, scale))
        self.tail = nn.Sequential(up, conv(filters, 3))

    def forward(self, x):
        head = self.head(self.sub_mean(255 * x))
        return self.add_mean(self.tail(head + self.body(head))) / 255


class BasicSREDSR(nn.Module):
    def __init__(self, scale, filters, blocks):
        super().__init__()
        self.conv_first = conv(3, filters)
        self.body = nn.Sequential(*[Block(filters) for _ in range(blocks)])
        self.conv_after_body = conv(filters, filters)
        self.upsample = nn.Sequential(*upsampler(filters, scale))
        self.conv_last = conv(filters, 3)

    def forward(self, x):
        mean = torch.tensor(_MEAN)[:, None, None]
        head = self.conv_first((x - mean) * 255)
        x = head + self.conv_after_body(self.body(head))
        return self.conv_last(self.upsample(x)) / 255 + mean


class Attention(nn.Module):
    def __init__(self, filters, reduction):
        super().__init__()
        self.attention = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            conv(filters, filters // reduction, 1),
            nn.ReLU(),
            conv(filters // reduction, filters, 1),
            nn.Sigmoid(),
        )

    def forward(self, x):
        return x * self.attention(x)


class AttentionBlock(nn.Module):
    def __init__(self, filters, reduction):
        super().__init__()
        parts = [conv(filters, filters), nn.ReLU(), conv(filters, filters)]
        self.rcab = Sum(*parts, Attention(filters, reduction))

    def forward(self, x):
        return self.rcab(x)


class Group(nn.Module):
    def __init__(self, filters, blocks, reduction):
        super().__init__()
        parts = [AttentionBlock(filters, reduction) for _ in range(blocks)]
        self.residual_group = nn.Sequential(*parts)
        self.conv = conv(filters, filters)

    def forward(self, x):
        return x + self.conv(self.residual_group(x))


class BasicSRRCAN(BasicSREDSR):
    def __init__(self, scale, filters, groups, blocks, reduction):
        super().__init__(scale, filters, 0)
        self.body = nn.Sequential(
            *[Group(filters, blocks, reduction) for _ in range(groups)]
        )


class MSRResNet(nn.Module):
    def __init__(self, scale, filters, blocks):
        super().__init__()
        self.scale = scale
        self.conv_first = conv(3, filters)
        self.body = nn.Sequential(*[Block(filters) for _ in range(blocks)])
        step = {2: 2, 3: 3, 4: 2}[scale]
        self.upconv1 = conv(filters, filters * step**2)
        if scale == 4:
            self.upconv2 = conv(filters, filters * 4)
        self.step = step
        self.conv_hr, self.conv_last = conv(filters, filters), conv(filters, 3)

    def forward(self, image):
        x = self.body(F.leaky_relu(self.conv_first(image), 0.1))
        x = F.leaky_relu(F.pixel_shuffle(self.upconv1(x), self.step), 0.1)
        if self.scale == 4:
            x = F.leaky_relu(F.pixel_shuffle(self.upconv2(x), 2), 0.1)
        x = self.conv_last(F.leaky_relu(self.conv_hr(x), 0.1))
        return x + F.interpolate(
            image, scale_factor=self.scale, mode="bilinear", align_corners=False
        )


class DenseLayer(nn.Module):
    def __init__(self, inner, growth, nested):
        super().__init__()
        layer = conv(inner, growth)
        self.conv = nn.Sequential(layer, nn.ReLU()) if nested else layer

    def forward(self, x):
        return torch.cat([x, torch.relu(self.conv(x))], 1)


class DenseBlock(nn.Module):
    def __init__(self, filters, growth, convs, names):
        super().__init__()
        self.names = names
        nested = names[0] == "convs"
        parts = [DenseLayer(filters + i * growth, growth, nested) for i in range(convs)]
        self.add_module(names[0], nn.Sequential(*parts))
        self.add_module(names[1], conv(filters + convs * growth, filters, 1))

    def forward(self, x):
        dense, fusion = (getattr(self, name) for name in self.names)
        return x + fusion(dense(x))


class RDN(nn.Module):
    NAMES = {
        True: "SFENet1 SFENet2 RDBs GFF UPNet".split(),
        False: "sfe1 sfe2 rdbs gff upscale".split(),
    }

    def __init__(self, scale, filters, growth, blocks, convs, authors):
        super().__init__()
        self.names, self.range = self.NAMES[authors], 255 if authors else 1
        inner = ("convs", "LFF") if authors else ("layers", "lff")
        parts = [DenseBlock(filters, growth, convs, inner) for _ in range(blocks)]
        fusion = nn.Sequential(
            conv(blocks * filters, filters, 1), conv(filters, filters)
        )
        up = upsampler(filters, scale)
        if authors:
            up.append(conv(filters, 3))
        else:
            self.output = conv(filters, 3)
        modules = [conv(3, filters), conv(filters, filters)]
        modules += [nn.ModuleList(parts), fusion, nn.Sequential(*up)]
        for name, module in zip(self.names, modules, strict=True):
            self.add_module(name, module)

    def forward(self, x):
        first, second, blocks, fusion, up = (getattr(self, n) for n in self.names)
        shallow = first(x * self.range)
        x, maps = second(shallow), []
        for block in blocks:
            x = block(x)
            maps.append(x)
        x = up(shallow + fusion(torch.cat(maps, 1)))
        return (self.output(x) if hasattr(self, "output") else x) / self.range


def rrdb(scale, unshuffle=None):
    return spandrel("ESRGAN").ESRGAN(
        in_nc=3 * (unshuffle or 1) ** 2,
        num_filters=8,
        num_blocks=2,
        scale=scale,
        shuffle_factor=unshuffle,
    )


def rcan(**options):
    small = {"n_resgroups": 2, "n_resblocks": 2, "n_feats": 8, "reduction": 4}
    return spandrel("RCAN").RCAN(**{**small, **options})


def span(scale, filters):
    return spandrel("SPAN").SPAN(
        num_in_ch=3, num_out_ch=3, feature_channels=filters, upscale=scale
    )


def swinir(**options):
    small = {"embed_dim": 12, "depths": [2, 3], "num_heads": [3, 3], "mlp_ratio": 2}
    options = {**small, "window_size": 8, **options}
    return spandrel("SwinIR").SwinIR(**options)


CASES = {
    "EDSR x2": lambda: AuthorsEDSR(2, 8, 2),
    "EDSR x3": lambda: AuthorsEDSR(3, 8, 1),
    "EDSR x4": lambda: AuthorsEDSR(4, 8, 1),
    "EDSR large": lambda: AuthorsEDSR(2, 256, 1, 0.1),
    "EDSR of BasicSR": lambda: BasicSREDSR(4, 8, 2),
    "RCAN x2": lambda: rcan(scale=2),
    "RCAN x4": lambda: rcan(scale=4),
    "RCAN without a mean": lambda: rcan(scale=3, norm=False),
    "RCAN of BasicSR": lambda: BasicSRRCAN(3, 8, 2, 3, 4),
    "RDN x3": lambda: RDN(3, 8, 8, 2, 3, authors=True),
    "RDN x4": lambda: RDN(4, 8, 6, 2, 3, authors=True),
    "RDN of later code": lambda: RDN(4, 8, 6, 3, 2, authors=False),
    "MSRResNet x2": lambda: MSRResNet(2, 8, 2),
    "MSRResNet x3": lambda: MSRResNet(3, 8, 1),
    "MSRResNet x4": lambda: MSRResNet(4, 8, 1),
    "ESRGAN x2": lambda: rrdb(2),
    "ESRGAN x4": lambda: rrdb(4),
    "Real-ESRGAN x2": lambda: rrdb(4, unshuffle=2),
    "Real-ESRGAN x1": lambda: rrdb(4, unshuffle=4),
    "SRVGG x4": lambda: spandrel("Compact").Compact(num_feat=8, num_conv=3),
    "SRVGG x1": lambda: spandrel("Compact").Compact(num_feat=8, num_conv=2, upscale=1),
    "SwinIR x2": lambda: swinir(upscale=2, upsampler="pixelshuffle"),
    "SwinIR x3": lambda: swinir(upscale=3, upsampler="pixelshuffle"),
    "SwinIR light": lambda: swinir(upscale=4, upsampler="pixelshuffledirect"),
    "SwinIR real": lambda: swinir(
        upscale=4, upsampler="nearest+conv", resi_connection="3conv"
    ),
    "SwinIR of odd windows": lambda: swinir(
        upscale=2,
        upsampler="pixelshuffledirect",
        img_size=60,
        window_size=5,
        mlp_ratio=3,
    ),
    "SPAN": lambda: span(4, 48),
    "SPAN x2": lambda: span(2, 6),
}


@pytest.mark.parametrize("name", CASES)
def test_equals_pytorch(name, tmp_path, monkeypatch):
    torch.manual_seed(0)
    theirs = CASES[name]().eval()
    for key, value in theirs.named_parameters():
        if "mean." not in key:  # biases and slopes, too
            value.data += 0.02 * torch.randn_like(value)
    path = tmp_path / "network.pth"
    torch.save({"params": theirs.state_dict()}, path)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "torch", None)  # the package's own reader
        ours = models.load(path)
    lr = np.random.default_rng(0).random((2, 3, 17, 22), "float32")
    with torch.no_grad():
        expected = theirs(torch.tensor(lr)).numpy()
    found = np.asarray(ours(lr.transpose(0, 2, 3, 1))).transpose(0, 3, 1, 2)
    size = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(found / size, expected / size, atol=1e-5)

    # and back, into every tensor of the PyTorch network
    published.save(ours, tmp_path / "back.safetensors")
    back = published.read_checkpoint(tmp_path / "back.safetensors")
    other_names = ("BasicSR", "later", "without")
    if not any(word in name for word in other_names) and "ESRGAN" not in name:
        assert set(back) == set(theirs.state_dict())
        for key, value in theirs.state_dict().items():
            np.testing.assert_allclose(back[key], value, rtol=1e-4, atol=1e-6)
