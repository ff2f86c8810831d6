"""Forwards that compute only what a window reaches."""

import networks
import pytest
from local_nets import X, seeded

torch = pytest.importorskip("torch")
nn = torch.nn
F = torch.nn.functional
from fastxai.explain.black_box import local_forward as local_module  # noqa: E402
from fastxai.explain.black_box import local_operations, local_tensor  # noqa: E402
from fastxai.explain.black_box.local_forward import LocalForward, local_forward  # noqa: E402
from fastxai.explain.black_box.occlusion import Occluder  # noqa: E402
from fastxai.explain.black_box.windows import window_table  # noqa: E402
from fastxai.explain.forward import plain_forward  # noqa: E402
from fastxai.explain.inputs import Inputs  # noqa: E402
from fastxai.progress import Progress  # noqa: E402


def outputs(model, images, windows, last=True):
    """The outputs for windows of the first image: of the whole images, and of regions."""
    form = torch.channels_last if last and images.ndim == 4 else torch.contiguous_format
    occluder = Occluder(images, 0.0, windows, form)
    buffer = torch.empty(len(windows), *images.shape[1:]).contiguous(memory_format=form)

    def forward(inputs):
        return plain_forward(model, inputs)

    occluder(0, len(windows), buffer)
    whole = forward(Inputs(buffer))
    with torch.no_grad():
        return whole, LocalForward(model, forward, images, occluder)(Inputs(buffer))


class Counted:
    """Notes which operations had the whole put together."""

    def __init__(self, monkeypatch):
        self.whole = []
        on_the_whole = local_tensor._on_the_whole

        def noted(func, args, kwargs):
            self.whole.append(func._schema.name.partition("::")[2])
            return on_the_whole(func, args, kwargs)

        monkeypatch.setattr(local_tensor, "_on_the_whole", noted)


@pytest.fixture
def counted(monkeypatch):
    return Counted(monkeypatch)


LAYERS = {
    "convolution": lambda: nn.Conv2d(3, 4, 3, padding=1),
    "without padding": lambda: nn.Conv2d(3, 4, 5),
    "stride": lambda: nn.Conv2d(3, 4, 3, stride=2, padding=1),
    "stride larger than the kernel": lambda: nn.Conv2d(3, 4, 1, stride=2),
    "dilation": lambda: nn.Conv2d(3, 4, 3, dilation=3, padding=2),
    "groups": lambda: nn.Conv2d(3, 6, 3, groups=3, padding=1),
    "one by one": lambda: nn.Conv2d(3, 4, 1),
    "one by one with padding": lambda: nn.Conv2d(3, 4, 1, padding=2),
    "oblong": lambda: nn.Conv2d(3, 4, (1, 7), padding=(0, 3), stride=(1, 2)),
    "as large as it came": lambda: nn.Conv2d(3, 4, 3, padding="same"),
    "reflected border": lambda: nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"),
    "max-pool": lambda: nn.MaxPool2d(3, 2, padding=1),
    "max-pool that rounds up": lambda: nn.MaxPool2d(3, 2, ceil_mode=True),
    "max-pool by default": lambda: nn.MaxPool2d(2),
    "border of zeros": lambda: nn.Sequential(nn.ZeroPad2d((0, 3, 1, 2)), nn.Conv2d(3, 4, 3)),
    "border cut away": lambda: nn.ZeroPad2d((-1, 0, 2, -2)),
    "border repeated": lambda: nn.ReplicationPad2d(2),
    "average pool": lambda: nn.AvgPool2d(3, 2),
    "average pool with padding": lambda: nn.AvgPool2d(3, 2, padding=1),
    "average of what is inside": lambda: nn.AvgPool2d(3, 2, padding=1, count_include_pad=False),
    "average pool that rounds up": lambda: nn.AvgPool2d(3, 2, ceil_mode=True),
    "norm": lambda: nn.BatchNorm2d(3),
    "norm by the batch": lambda: nn.BatchNorm2d(3, track_running_stats=False),
    "norm by the image": lambda: nn.InstanceNorm2d(3),
    "norm by groups": lambda: nn.GroupNorm(1, 3),
    "activations": lambda: nn.Sequential(nn.SiLU(), nn.GELU(), nn.ReLU6(), nn.LeakyReLU(0.1)),
    "in place": lambda: nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(inplace=True), nn.SiLU(True)),
    "dropout": lambda: nn.Dropout(0.5),
    "upsampling": lambda: nn.Upsample(scale_factor=2),
    "transposed": lambda: nn.ConvTranspose2d(3, 4, 2, stride=2),
    "softmax over positions": lambda: nn.Sequential(nn.Flatten(2), nn.Softmax(2)),
}


@pytest.mark.parametrize("last", [True, False], ids=["channels last", "channels first"])
@pytest.mark.parametrize("build", LAYERS.values(), ids=LAYERS)
def test_regions_give_what_the_whole_gives(build, last):
    layer = seeded(build)
    model = nn.Sequential(layer, nn.Flatten())
    size = (17, 14)
    windows, _ = window_table(size, (5, 4), (3, 4))
    whole, local = outputs(model, torch.randn(1, 3, *size), windows, last)
    torch.testing.assert_close(local, whole, rtol=1e-5, atol=1e-5)


LOCAL = ["plain_cnn", "vgg_like", "residual", "preactivation", "branching",
         "densenet_like", "reused_block"]  # fmt: skip


@pytest.mark.parametrize("name", LOCAL)
def test_convolutions_see_regions_only(name, counted):
    build = networks.NETWORKS[name]
    torch.manual_seed(1)
    images = torch.randn(1, 3, 96, 96)
    windows = window_table((96, 96), 3, 3)[0][[0, 200, 500, 1023]]
    whole, local = outputs(build(), images, windows)
    torch.testing.assert_close(local, whole, rtol=1e-5, atol=1e-5)
    assert not {"conv2d", "batch_norm", "relu", "relu_", "add", "cat"} & set(counted.whole)


def test_a_region_that_has_grown_is_put_together(counted):
    model = nn.Sequential(*[nn.Conv2d(3, 3, 5, padding=2) for _ in range(6)], nn.Flatten())
    windows, _ = window_table((20, 20), 4, 4)
    whole, local = outputs(model, torch.randn(1, 3, 20, 20), windows)
    torch.testing.assert_close(local, whole)
    assert counted.whole.count("conv2d") == 1  # the others never meet a patch


def test_what_is_known_of_the_image_is_computed_once(monkeypatch):
    model, calls = networks.residual(), []
    run = local_tensor.Known.get

    def noted(self, func, bases, rest, compute):
        return run(self, func, bases, rest, lambda: (calls.append(1), compute())[1])

    monkeypatch.setattr(local_tensor.Known, "get", noted)
    occluder = Occluder(X, 0.0, window_table((24, 24), 4, 4)[0], torch.channels_last)
    local = LocalForward(model, lambda inputs: plain_forward(model, inputs), X, occluder)
    buffer = torch.empty(4, 3, 24, 24).contiguous(memory_format=torch.channels_last)
    counts = []
    with torch.no_grad():
        for first in (0, 4, 36, 0):  # the third batch is of the second image
            occluder(first, first + 4, buffer)
            local(Inputs(buffer))
            counts.append(len(calls))
    assert counts[0] == counts[1] > 0
    assert counts[2] == 2 * counts[0]
    assert counts[3] == 3 * counts[0]


def test_an_operation_in_place_that_is_not_local():
    class Model(nn.Module):
        def forward(self, x):
            y = x * 1.0
            y += y.flip(3)  # in place, on the whole
            kept = y.relu_()
            return torch.cat([y, kept], 1).flatten(1)

    windows, _ = window_table((12, 12), 3, 3)
    whole, local = outputs(Model(), X[:1, :, :12, :12], windows)
    torch.testing.assert_close(local, whole)


def test_arithmetic_between_patches_and_numbers_is_local(counted):
    class Model(nn.Module):
        def forward(self, x):
            y = torch.maximum((1 - x) ** 2, x / 3) - torch.rsqrt(x * x + 1)
            return torch.cat([y, x], 1).flatten(1)

    windows, _ = window_table((12, 12), 3, 3)
    whole, local = outputs(Model(), X[:1, :, :12, :12], windows)
    torch.testing.assert_close(local, whole)
    assert set(counted.whole) == {"flatten"}


def test_what_shares_memory_goes_on_sharing_it():
    class Model(nn.Module):
        def forward(self, x):
            y = F.dropout(x * 1.0, training=False).detach()
            padded = F.pad(y, (1, 1))
            padded.relu_()
            y.contiguous().mul_(2)
            return torch.cat([y.flatten(1), padded.flatten(1)], 1)

    windows, _ = window_table((12, 12), 3, 3)
    for last in (True, False):
        whole, local = outputs(Model(), X[:1, :, :12, :12], windows, last)
        torch.testing.assert_close(local, whole)


def test_gates_depend_on_the_whole_image():
    class Gate(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.fc = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 1)

        def forward(self, x):
            x = self.conv(x)
            return (x * torch.sigmoid(self.fc(x.mean((2, 3), keepdim=True)))).flatten(1)

    windows, _ = window_table((24, 24), 3, 3)
    for part in (windows, windows[:1]):
        whole, local = outputs(seeded(Gate), X[:1], part)
        torch.testing.assert_close(local, whole, rtol=1e-5, atol=1e-5)


def test_constants_of_the_model_are_local():
    class Normalised(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("mean", torch.randn(3, 1, 1))
            self.std = nn.Parameter(torch.rand(1, 3, 1, 1) + 1)

        def forward(self, x):
            return (((x - self.mean) / self.std) * 2 + 1).flatten(1)

    windows, _ = window_table((24, 24), 3, 3)
    whole, local = outputs(seeded(Normalised), X[:1], windows)
    torch.testing.assert_close(local, whole)


def proven(model, images=X, window=4):
    """What `local_forward` makes of a model, and what it says."""
    said = []

    class Heard(Progress):
        def say(self, text):
            said.append(text)

    windows, _ = window_table(images.shape[2:], window)
    occluder = Occluder(images, 0.0, windows, torch.contiguous_format)
    with torch.no_grad():
        made = local_forward(
            model, lambda inputs: plain_forward(model, inputs), Inputs(images), occluder, Heard()
        )
    return made, said


def test_a_model_that_works_locally_says_nothing():
    made, said = proven(networks.residual())
    assert isinstance(made, LocalForward)
    assert said == []


class Leaves(nn.Module):
    """Computes outside of torch."""

    def forward(self, x):
        return torch.from_numpy(x.numpy().sum((2, 3)))


class Hides(nn.Module):
    """Keeps what it once saw, which regions can not give."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return x.flatten(1)[:, :5] * self.calls


@pytest.mark.parametrize("model", [Leaves(), Hides()], ids=["leaves torch", "keeps a state"])
def test_models_that_do_not_work_locally_run_as_they_are(model):
    made, said = proven(model)
    assert made is None
    assert "the whole image is computed for every window" in said[0]


def test_windows_too_large_and_functions_run_as_they_are():
    assert proven(networks.residual(), window=20) == (None, [])
    assert proven(lambda x: x.flatten(1)) == (None, [])
    assert proven(torch.jit.script(nn.Flatten())) == (None, [])


class Full(nn.Module):
    """Fits with one image only."""

    def forward(self, x):
        if len(x) > 1:
            raise MemoryError
        return x.flatten(1)[:, :5]


def test_where_memory_does_not_suffice_models_run_as_they_are(monkeypatch):
    made, said = proven(Full())
    assert made is None
    assert "too little memory" in said[0]
    monkeypatch.setattr("fastxai.system.available_memory", lambda: 10_000)
    made, said = proven(networks.residual())
    assert made is None
    assert "too little memory to keep" in said[0]


@pytest.mark.parametrize(
    "found, same",
    [([1.0, 100.0], True), ([1.005, 100.0], True), ([1.02, 100.0], False), ([1.0], False)],
    ids=str,
)
def test_close_is_measured_by_the_largest_output(found, same):
    assert local_module.close(torch.tensor(found), torch.tensor([1.0, 100.0])) == same


def test_close_minds_nan():
    nan = torch.tensor([1.0, float("nan")])
    assert local_module.close(nan, nan)
    assert not local_module.close(torch.ones(2), nan)


def test_operations_have_names_that_torch_knows():
    for name in local_operations.OPERATIONS:
        assert hasattr(torch.ops.aten, name), name
