"""Small networks of the usual kinds, with random statistics and a third of their units dead."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as f


def conv_bn(
    n_in: int, n_out: int, size: int = 3, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, size, stride, size // 2, groups=groups, bias=False),
        nn.BatchNorm2d(n_out),
    )


class Plain(nn.Module):
    """Convolutions without padding, pooling, a fixed-size view."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 9, 3), nn.Conv2d(9, 12, 3)
        self.fc1, self.fc2 = nn.Linear(12 * 4 * 4, 24), nn.Linear(24, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = f.relu(self.conv1(x))
        x = f.max_pool2d(torch.sigmoid(self.conv2(x)), 2, ceil_mode=True)
        x = x.view(x.size(0), -1)
        return self.fc2(f.gelu(self.fc1(x)))


class Vgg(nn.Module):
    """Padded convolutions with batch norm, one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *conv_bn(3, 12), nn.ReLU(inplace=True), *conv_bn(12, 12), nn.ReLU(inplace=True),
            nn.MaxPool2d(2), *conv_bn(12, 18), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(2),
        )  # fmt: skip
        self.classifier = nn.Sequential(
            nn.Linear(72, 30), nn.ReLU(), nn.Dropout(), nn.Linear(30, 5)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(torch.flatten(self.features(x), 1))


class Basic(nn.Module):
    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.one, self.two = conv_bn(n_in, n_out, 3, stride), conv_bn(n_out, n_out)
        self.short = conv_bn(n_in, n_out, 1, stride) if stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        out = self.two(f.relu(self.one(x), inplace=True))
        out += self.short(x)
        return f.relu(out)


class Bottleneck(nn.Module):
    def __init__(self, n: int, width: int, groups: int = 1) -> None:
        super().__init__()
        self.one, self.two = conv_bn(n, width, 1), conv_bn(width, width, 3, groups=groups)
        self.three = conv_bn(width, n, 1)

    def forward(self, x: Tensor) -> Tensor:
        return f.relu(x + self.three(f.relu(self.two(f.relu(self.one(x))))))


class PreActivation(nn.Module):
    def __init__(self, n: int) -> None:
        super().__init__()
        self.bn1, self.bn2 = nn.BatchNorm2d(n), nn.BatchNorm2d(n)
        self.conv1 = nn.Conv2d(n, n, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(n, n, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(f.relu(self.bn2(self.conv1(f.relu(self.bn1(x))))))


class Dense(nn.Module):
    """DenseNet: every layer reads all before it, by concatenation."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(8 + 6 * k) for k in range(3))
        self.convs = nn.ModuleList(
            nn.Conv2d(8 + 6 * k, 6, 3, padding=1, bias=False) for k in range(3)
        )
        self.norm, self.squeeze = nn.BatchNorm2d(26), nn.Conv2d(26, 12, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for norm, conv in zip(self.norms, self.convs, strict=True):
            x = torch.cat([x, conv(f.relu(norm(x)))], dim=1)
        return f.avg_pool2d(self.squeeze(f.relu(self.norm(x))), 2)


class Separable(nn.Module):
    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.depth, self.point = conv_bn(n_in, n_in, groups=n_in), conv_bn(n_in, n_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        return f.relu6(self.point(f.relu6(self.depth(x))))


class SqueezeExcite(nn.Module):
    def __init__(self, n: int) -> None:
        super().__init__()
        self.conv, self.down, self.up = conv_bn(n, n), nn.Linear(n, 6), nn.Linear(6, n)

    def forward(self, x: Tensor) -> Tensor:
        x = f.relu(self.conv(x))
        gate = torch.sigmoid(self.up(f.relu(self.down(x.mean((2, 3))))))
        return x * gate[:, :, None, None]


class Shuffle(nn.Module):
    """ShuffleNet: half of the channels pass by, then both halves are interleaved."""

    def __init__(self, n: int) -> None:
        super().__init__()
        half = n // 2
        self.one, self.depth, self.two = (
            conv_bn(half, half, 1), conv_bn(half, half, groups=half), conv_bn(half, half, 1),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        left, right = x.chunk(2, dim=1)
        right = f.relu(self.two(self.depth(f.relu(self.one(right)))))
        x = torch.cat([left, right], dim=1)
        b, c, h, w = x.shape
        return x.view(b, 2, c // 2, h, w).transpose(1, 2).reshape(b, c, h, w)


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down1, self.down2 = conv_bn(3, 9), conv_bn(9, 12)
        self.up, self.last = nn.ConvTranspose2d(12, 9, 2, stride=2), conv_bn(18, 9)
        self.out = nn.Conv2d(9, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        skip = f.relu(self.down1(x))
        deep = f.relu(self.down2(f.max_pool2d(skip, 2)))
        up = f.relu(self.up(deep))
        return self.out(f.relu(self.last(torch.cat([up, skip], dim=1))))


class Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, 16, 4, stride=4)
        self.place = nn.Parameter(torch.randn(1, 9, 16))
        layer = nn.TransformerEncoderLayer(16, 4, 24, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.embed(x).flatten(2).transpose(1, 2) + self.place
        return self.head(self.encoder(tokens).mean(dim=1))


class Mixer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, 12, 4, stride=4)
        self.norm1, self.norm2 = nn.LayerNorm(12), nn.LayerNorm(12)
        self.tokens = nn.Sequential(nn.Linear(9, 15), nn.GELU(), nn.Linear(15, 9))
        self.channels = nn.Sequential(nn.Linear(12, 21), nn.GELU(), nn.Linear(21, 12))
        self.head = nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x).flatten(2).transpose(1, 2)
        x = x + self.tokens(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        x = x + self.channels(self.norm2(x))
        return self.head(x.mean(dim=1))


def _with_stem(*blocks: nn.Module, width: int, out: int) -> nn.Sequential:
    return nn.Sequential(
        *conv_bn(3, width), nn.ReLU(), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(out, 5),
    )  # fmt: skip


ARCHITECTURES: dict[str, Callable[[], nn.Module]] = {
    "plain CNN": Plain,
    "VGG with batch norm": Vgg,
    "ResNet, basic blocks": lambda: _with_stem(
        Basic(9, 9, 1), Basic(9, 12, 2), Basic(12, 12, 1), width=9, out=12
    ),
    "ResNet, bottlenecks": lambda: _with_stem(
        Bottleneck(12, 6), Bottleneck(12, 6), width=12, out=12
    ),
    "ResNet, pre-activation": lambda: _with_stem(
        PreActivation(9), PreActivation(9), nn.BatchNorm2d(9), nn.ReLU(), width=9, out=9
    ),
    "DenseNet": Dense,
    "depthwise separable": lambda: _with_stem(Separable(9, 12), Separable(12, 15), width=9, out=15),
    "squeeze and excite": lambda: _with_stem(SqueezeExcite(9), SqueezeExcite(9), width=9, out=9),
    "grouped bottleneck": lambda: _with_stem(
        Bottleneck(12, 12, 3), Bottleneck(12, 12, 3), width=12, out=12
    ),
    "channel shuffle": lambda: _with_stem(Shuffle(12), Shuffle(12), width=12, out=12),
    "U-Net": UNet,
    "transformer encoder": Transformer,
    "MLP-Mixer": Mixer,
}


def example(batch: int = 3) -> Tensor:
    return torch.randn(batch, 3, 12, 12, generator=torch.Generator().manual_seed(7))


@torch.no_grad()
def with_dead_units(model: nn.Module, seed: int, *, zero_shift: bool = False) -> nn.Module:
    """Random statistics; then a third of every layer's outputs dead, but for the last layer's.

    Each dead unit has zero weights; its bias, and the shift of its norm, stay as they are, so
    that it is a constant, or are 0 too (``zero_shift``).
    """
    generator = torch.Generator().manual_seed(seed)
    layers = [
        m for m in model.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d | nn.Linear)
    ]
    last = layers[-1]
    dead: dict[int, list[int]] = {}
    for layer in layers:
        layer.weight.normal_(0, 0.5, generator=generator)
        if layer.bias is not None:
            layer.bias.normal_(0, 0.5, generator=generator)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
            module.weight.normal_(1, 0.3, generator=generator)
            module.bias.normal_(0, 0.5, generator=generator)
    before: nn.Module | None = None
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d) and before is not None:
            count = dead.get(id(before), [])
            if zero_shift and module.num_features == before.weight.shape[0]:
                module.weight[count], module.bias[count] = 0.0, 0.0
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear) and module is not last:
            axis = 1 if isinstance(module, nn.ConvTranspose2d) else 0
            n = module.weight.shape[axis]
            gone = torch.randperm(n, generator=generator)[: n // 3].tolist()
            dead[id(module)] = gone
            module.weight.index_fill_(axis, torch.tensor(gone), 0.0)
            if zero_shift and module.bias is not None:
                module.bias[gone] = 0.0
        before = module if hasattr(module, "weight") else before
    return model.eval()
