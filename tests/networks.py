"""Tiny networks, one of each kind of architecture: seeded, in eval mode, made in milliseconds.

`import networks` in a test: `NETWORKS` lists the builders by name, `images(build)` makes inputs
that fit. Batch normalisation holds random statistics, so that leaving it out shows.
Transformers stand in `networks_attention.py`.
"""

from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import nn

CLASSES = 5
NETWORKS = {}


def network(*shape, **others):
    """Register a builder: `shape` is one image's, `others` those of further inputs by name."""

    def register(build):
        def seeded(*args, seed=0, **options):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                return settle(build(*args, **options))

        seeded.__name__, seeded.__doc__, seeded.__module__ = build.__name__, build.__doc__, __name__
        seeded.shape, seeded.others = shape, others
        NETWORKS[build.__name__] = seeded
        return seeded

    return register


def settle(model):
    """Weights that let signals through, random statistics and scales in the norms, eval mode."""
    for module in model.modules():
        if isinstance(module, (nn.Linear, nn.modules.conv._ConvNd)):
            nn.init.kaiming_normal_(module.weight)
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.3)
    return model.eval()


def images(build, n=2, seed=1):
    """Inputs for a builder: a tensor, or what it takes (a tuple, a mapping). Blobs and noise."""
    generator = torch.Generator().manual_seed(seed)
    channels, *size = build.shape
    coarse = torch.randn(n, channels, *(3 for _ in size), generator=generator)
    x = F.interpolate(coarse, size, mode=("linear", "bilinear", "trilinear")[len(size) - 1])
    x = x + 0.5 * torch.randn(x.shape, generator=generator)
    more = {name: torch.randn(n, *s, generator=generator) for name, s in build.others.items()}
    if not more:
        return x
    return {"pixels": x, **more} if "mapping" in build.__name__ else (x, *more.values())


def conv(inputs, outputs, kernel=3, **options):
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, **options)


def conv_norm(inputs, outputs, kernel=3, **options):
    return [conv(inputs, outputs, kernel, bias=False, **options), nn.BatchNorm2d(outputs)]


def head(channels, classes=CLASSES):
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes)]


class PlainCNN(nn.Module):
    """Convolution, norm, in-place ReLU, thrice; pooled and linear: `features`, `pool`, `fc`."""

    def __init__(self, classes=CLASSES, channels=3):
        super().__init__()
        layers = []
        for inputs, outputs, stride in [(channels, 8, 1), (8, 12, 2), (12, 16, 2)]:
            layers += [*conv_norm(inputs, outputs, stride=stride), nn.ReLU(inplace=True)]
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(16, classes)

    def forward(self, x):
        return self.fc(torch.flatten(self.pool(self.features(x)), 1))


@network(3, 24, 24)
def plain_cnn(classes=CLASSES):
    """conv-bn-relu three times, global average pooling, linear. Default layer: features."""
    return PlainCNN(classes)


@network(3, 24, 24)
def binary():
    """One column: a logit for class 1."""
    return PlainCNN(1)


@network(3, 24, 24)
def regression():
    """One column without a class: a value."""
    return nn.Sequential(PlainCNN(1), nn.Softplus())


@network(1, 24, 24)
def grey():
    """One channel."""
    return PlainCNN(channels=1)


@network(3, 24, 24)
def cam_net():
    """CAM's home: convolutions, then pooling and a linear layer with a bias, in one Sequential."""
    trunk = [conv(3, 8), nn.ReLU(), nn.MaxPool2d(2), conv(8, 12), nn.ReLU()]
    return nn.Sequential(*trunk, *head(12))


class VGGLike(nn.Module):
    """Max-pools, dropout, a fully connected head: `features`, `avgpool`, `classifier`."""

    def __init__(self):
        super().__init__()
        layers = []
        for inputs, outputs in [(3, 8), (8, 12)]:
            layers += [conv(inputs, outputs), nn.ReLU(inplace=True)]
            layers += [conv(outputs, outputs), nn.ReLU(inplace=True), nn.MaxPool2d(2)]
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(4)
        self.classifier = nn.Sequential(
            nn.Linear(12 * 16, 20), nn.ReLU(inplace=True), nn.Dropout(), nn.Linear(20, CLASSES)
        )

    def forward(self, x):
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


@network(3, 24, 24)
def vgg_like():
    """VGG: the default layer is the last ReLU, features.8, before its max-pool."""
    return VGGLike()


class FunctionalCNN(nn.Module):
    """Everything but the convolutions and the linear layer is a function."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = conv(3, 8), conv(8, 12)
        self.fc = nn.Linear(12 * 36, CLASSES)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.fc(torch.flatten(x, 1))


@network(3, 24, 24)
def functional_cnn():
    """F.relu, F.max_pool2d, torch.flatten: the default layer is the second F.relu."""
    return FunctionalCNN()


class BasicBlock(nn.Module):
    """The residual block of ResNet-18: one in-place ReLU module, used twice."""

    def __init__(self, inputs, outputs, stride=1):
        super().__init__()
        self.conv1, self.bn1 = conv_norm(inputs, outputs, stride=stride)
        self.conv2, self.bn2 = conv_norm(outputs, outputs)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(*conv_norm(inputs, outputs, 1, stride=stride))

    def forward(self, x):
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += x if self.downsample is None else self.downsample(x)
        return self.relu(out)


class Residual(nn.Module):
    """A ResNet: `conv1`, `bn1`, `relu`, `layer1`, `layer2`, `avgpool`, `fc`."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = conv_norm(3, 8)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = nn.Sequential(BasicBlock(8, 8), BasicBlock(8, 8))
        self.layer2 = nn.Sequential(BasicBlock(8, 16, stride=2), BasicBlock(16, 16))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(16, CLASSES)

    def forward(self, x):
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.avgpool(self.layer2(self.layer1(x)))
        return self.fc(torch.flatten(x, 1))


@network(3, 24, 24)
def residual():
    """ResNet with basic blocks. Default layer: layer2."""
    return Residual()


class PreActivationBlock(nn.Module):
    """Norm and ReLU come first, and the ReLU's input is what the skip carries."""

    def __init__(self, channels):
        super().__init__()
        self.bn1, self.bn2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)
        self.conv1, self.conv2 = conv(channels, channels), conv(channels, channels)
        self.relu = nn.ReLU()

    def forward(self, x):
        out = self.conv1(self.relu(x))
        return x + self.conv2(self.relu(self.bn2(self.bn1(out))))


@network(3, 24, 24)
def preactivation():
    """Pre-activation ResNet: a ReLU's input feeds the skip, too. Default layer: 3 (the ReLU)."""
    blocks = [PreActivationBlock(8), PreActivationBlock(8)]
    return nn.Sequential(conv(3, 8, stride=2), *blocks, nn.ReLU(), *head(8))


class InceptionBlock(nn.Module):
    """One ReLU's output feeds three branches, which are concatenated; one of them pools."""

    def __init__(self, inputs):
        super().__init__()
        self.relu = nn.ReLU()
        self.branch1 = nn.Sequential(*conv_norm(inputs, 4, 1), nn.ReLU(inplace=True))
        self.branch2 = nn.Sequential(*conv_norm(inputs, 6, 3), nn.ReLU(inplace=True))
        self.branch3 = nn.MaxPool2d(3, stride=1, padding=1)

    def forward(self, x):
        x = self.relu(x)
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x)], 1)


@network(3, 24, 24)
def branching():
    """Inception: branches and concatenation. Default layer: 2 (the concatenated maps)."""
    blocks = [InceptionBlock(8), InceptionBlock(18)]
    return nn.Sequential(conv(3, 8, stride=2), *blocks, *head(28))


class DenseLayer(nn.Module):
    """Norm, ReLU, convolution; the result is put beside the input."""

    def __init__(self, inputs, growth):
        super().__init__()
        self.norm, self.relu = nn.BatchNorm2d(inputs), nn.ReLU(inplace=True)
        self.conv = conv(inputs, growth)

    def forward(self, x):
        return torch.cat([x, self.conv(self.relu(self.norm(x)))], 1)


class DenseNetLike(nn.Module):
    """`features` end in a norm; the ReLU after it is a function, in place."""

    def __init__(self):
        super().__init__()
        layers = [conv(3, 8, stride=2), DenseLayer(8, 4), DenseLayer(12, 4), nn.BatchNorm2d(16)]
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(16, CLASSES)

    def forward(self, x):
        features = self.features(x)
        out = F.relu(features, inplace=True)
        return self.classifier(torch.flatten(F.adaptive_avg_pool2d(out, 1), 1))


@network(3, 24, 24)
def densenet_like():
    """DenseNet: F.relu(features, inplace=True) at the end is the default layer."""
    return DenseNetLike()


class ReusedBlock(nn.Module):
    """One block with shared weights runs twice: `block`, calls 0 and 1."""

    def __init__(self):
        super().__init__()
        self.stem = conv(3, 8, stride=2)
        self.block = nn.Sequential(*conv_norm(8, 8), nn.ReLU(inplace=True))
        self.fc = nn.Linear(8, CLASSES)

    def forward(self, x):
        x = self.block(self.block(self.stem(x)))
        return self.fc(x.mean((2, 3)))


@network(3, 24, 24)
def reused_block():
    """A recurrent block. Default layer: block, its second call."""
    return ReusedBlock()


class SqueezeExcite(nn.Module):
    """A gate a channel, by 1x1 convolutions on pooled maps."""

    def __init__(self, channels):
        super().__init__()
        self.reduce, self.expand = nn.Conv2d(channels, 4, 1), nn.Conv2d(4, channels, 1)

    def forward(self, x):
        gate = F.adaptive_avg_pool2d(x, 1)
        return x * torch.sigmoid(self.expand(F.relu(self.reduce(gate))))


class InvertedResidual(nn.Module):
    """Expand, depthwise, gate, project: one ReLU6 module serves both activations."""

    def __init__(self, channels, wide):
        super().__init__()
        self.expand, self.bn1 = conv_norm(channels, wide, 1)
        self.depthwise, self.bn2 = conv_norm(wide, wide, groups=wide)
        self.project, self.bn3 = conv_norm(wide, channels, 1)
        self.act, self.gate = nn.ReLU6(inplace=True), SqueezeExcite(wide)

    def forward(self, x):
        out = self.act(self.bn1(self.expand(x)))
        out = self.gate(self.act(self.bn2(self.depthwise(out))))
        return x + self.bn3(self.project(out))


@network(3, 24, 24)
def relu6_mobile():
    """Inverted residuals, then an activated convolution with a gate. Default layer: 6 (gated)."""
    blocks = [conv(3, 8, stride=2), InvertedResidual(8, 16), InvertedResidual(8, 16)]
    last = [*conv_norm(8, 20, 1), nn.ReLU6(inplace=True), SqueezeExcite(20)]
    return nn.Sequential(*blocks, *last, *head(20))


class UNet(nn.Module):
    """Segmentation: (N, 3, H, W) to (N, classes, H, W); the default layer is `up`, activated."""

    def __init__(self, classes=3):
        super().__init__()
        self.down = nn.Sequential(*conv_norm(3, 8), nn.ReLU(inplace=True))
        self.middle = nn.Sequential(*conv_norm(8, 12), nn.ReLU(inplace=True))
        self.expand = nn.ConvTranspose2d(12, 8, 2, stride=2)
        self.up = nn.Sequential(*conv_norm(16, 8), nn.ReLU(inplace=True))
        self.logits = nn.Conv2d(8, classes, 1)

    def forward(self, x):
        skip = self.down(x)
        deep = self.expand(self.middle(F.max_pool2d(skip, 2)))
        return self.logits(self.up(torch.cat([skip, deep], 1)))


@network(3, 24, 24)
def unet():
    """A U-Net of one level with 3 classes a pixel."""
    return UNet()


class Returning(nn.Module):
    """`trunk` is a plain CNN; `wrap` makes of its logits what the model returns."""

    def __init__(self, wrap):
        super().__init__()
        self.trunk, self.wrap = PlainCNN(), wrap

    def forward(self, x):
        return self.wrap(self.trunk(x))


@network(3, 24, 24)
def dict_output():
    """Returns {"logits": (N, 5), "features": (N, 5)}."""
    return Returning(lambda logits: {"logits": logits, "features": logits.tanh()})


@network(3, 24, 24)
def tuple_output():
    """Returns (logits, None)."""
    return Returning(lambda logits: (logits, None))


@network(3, 24, 24)
def logits_object():
    """Returns an object with .logits, as the transformers library's models do."""
    return Returning(lambda logits: SimpleNamespace(logits=logits, hidden_states=None))


class ImageAndVector(nn.Module):
    """`trunk` sees the image; the vector shifts its logits and scales them."""

    def __init__(self):
        super().__init__()
        self.trunk, self.side = PlainCNN(), nn.Linear(4, CLASSES)

    def forward(self, pixels, vector):
        side = self.side(vector)
        return self.trunk(pixels) * torch.sigmoid(side) + side


@network(3, 24, 24, vector=(4,))
def two_inputs():
    """Called as model(image, vector)."""
    return ImageAndVector()


@network(3, 24, 24, vector=(4,))
def mapping_inputs():
    """Called as model(pixels=..., vector=...)."""
    return ImageAndVector()


@network(2, 40)
def cnn_1d():
    """Signals: (N, 2, L). Default layer: 4 (the second ReLU)."""
    trunk = [nn.Conv1d(2, 8, 5, padding=2), nn.ReLU(), nn.MaxPool1d(2), nn.Conv1d(8, 12, 3)]
    return nn.Sequential(*trunk, nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(12, 5))


@network(1, 8, 10, 12)
def cnn_3d():
    """Volumes: (N, 1, D, H, W). Default layer: 4 (the second ReLU)."""
    trunk = [nn.Conv3d(1, 6, 3, padding=1), nn.ReLU(), nn.MaxPool3d(2), nn.Conv3d(6, 8, 3)]
    return nn.Sequential(*trunk, nn.ReLU(), nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(8, 5))


@network(3, 24, 24)
def fully_convolutional():
    """SqueezeNet's head: a 1x1 convolution gives a map a class, activated, then pooled."""
    trunk = [conv(3, 8, stride=2), nn.ReLU(inplace=True), conv(8, 12), nn.ReLU(inplace=True)]
    last = [nn.Dropout(), nn.Conv2d(12, CLASSES, 1), nn.ReLU(inplace=True)]
    return nn.Sequential(*trunk, *last, nn.AdaptiveAvgPool2d(1), nn.Flatten())


class NoGradInside(nn.Module):
    """The model's own torch.no_grad, around the head (nothing can be explained) or the trunk."""

    def __init__(self, where):
        super().__init__()
        self.where, self.trunk = where, nn.Sequential(*conv_norm(3, 8), nn.ReLU())
        self.last = nn.Sequential(conv(8, 8), nn.ReLU())
        self.head = nn.Sequential(*head(8))

    def forward(self, x):
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.where != "trunk"):
            x = self.trunk(x)
        x = self.last(x)
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.where != "head"):
            return self.head(x)


@network(3, 24, 24)
def no_grad_inside(where="head"):
    """torch.no_grad within the model: around its "head" or its "trunk" (`last` has gradients)."""
    return NoGradInside(where)
