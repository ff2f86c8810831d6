"""Images as users give them: read, or refused with the remedy."""

import numpy as np
import pytest
from reading import AGE, X, images, ones

from fastxai import InvalidInputError

torch = pytest.importorskip("torch")
nn = torch.nn
from fastxai.explain.inputs import read_inputs, spatial_axes  # noqa: E402

PIL = pytest.importorskip("PIL.Image")


@pytest.mark.parametrize(
    "shape", [(4, 3, 9), (4, 3, 6, 5), (2, 1, 3, 4, 5), (1, 7, 6, 5)], ids=lambda shape: str(shape)
)
def test_one_to_three_spatial_axes_and_any_number_of_channels(shape):
    inputs = read_inputs(images(*shape))
    assert len(inputs) == shape[0]
    assert inputs.spatial == shape[2:]


class Photo(torch.Tensor):
    pass


FORMS = {
    "float32 tensor": lambda x: x,
    "parameter": nn.Parameter,
    "subclass": lambda x: x.as_subclass(Photo),
    "imaginary part": lambda x: torch.complex(x, -x).conj().imag,
    "part of a graph": lambda x: x.clone().requires_grad_() * 1,
    "channels_last": lambda x: x.to(memory_format=torch.channels_last),
    "strided": lambda x: x.repeat_interleave(2, dim=3)[..., ::2],
    "transposed": lambda x: x.transpose(2, 3).contiguous().transpose(2, 3),
    "float32 array": lambda x: x.numpy(),
    "float64 array": lambda x: x.double().numpy(),
    "big-endian array": lambda x: x.numpy().astype(">f4"),
    "reversed array": lambda x: np.ascontiguousarray(x.numpy()[::-1])[::-1],
    "strided array": lambda x: np.repeat(x.numpy(), 2, axis=3)[..., ::2],
    "Fortran order": lambda x: np.asfortranarray(x.numpy()),
    "long double": lambda x: x.numpy().astype(np.longdouble),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_the_form_of_the_images_does_not_matter(form):
    found = read_inputs(form(X)).images
    assert type(found) is torch.Tensor
    assert found.dtype == torch.float32
    assert torch.equal(found, X)
    assert not found.requires_grad
    assert not found.is_neg()


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_arrays_take_the_type_of_the_model_and_tensors_keep_theirs(kind):
    assert read_inputs(X.double().numpy(), dtype=kind).images.dtype == kind
    assert read_inputs(X.to(kind), dtype=torch.float32).images.dtype == kind


def test_a_model_of_whole_numbers_gives_arrays_no_type():
    assert read_inputs(X.double().numpy(), dtype=torch.int8).images.dtype == torch.float32


def test_the_memory_format_stays():
    last = X.to(memory_format=torch.channels_last)
    inputs = read_inputs(last)
    seen = []
    inputs.part(1, 3).call(seen.append)
    for found in (inputs.images, inputs.part(1, 3).images, seen[0]):
        assert found.is_contiguous(memory_format=torch.channels_last)


def test_tensors_and_fitting_arrays_are_not_copied():
    assert read_inputs(X).images.data_ptr() == X.data_ptr()
    array = X.clone().numpy()
    assert np.shares_memory(read_inputs(array).images.numpy(), array)


@pytest.mark.filterwarnings("error")
def test_read_only_arrays_are_copied():
    array = X.clone().numpy()
    array.flags.writeable = False
    found = read_inputs(array).images
    found += 1
    assert torch.equal(torch.tensor(array), X)


def test_a_memory_map(tmp_path):
    np.save(tmp_path / "x.npy", X.numpy())
    assert torch.equal(read_inputs(np.load(tmp_path / "x.npy", mmap_mode="r")).images, X)


def test_images_made_under_inference_mode_can_be_differentiated():
    with torch.inference_mode():
        x = X.clone()
        inputs = read_inputs((x, x.mean((2, 3))), wrt=0)
    for found in (inputs.images, inputs.arguments[1]):
        assert not found.is_inference()
    leaf = inputs.images.detach().requires_grad_()
    (leaf**2).sum().backward()
    assert torch.equal(leaf.grad, 2 * X)


def test_images_of_the_user_that_want_a_gradient_get_none():
    x = X.clone().requires_grad_()
    inputs = read_inputs(x)
    leaf = inputs.images.detach().requires_grad_()
    inputs.with_images(leaf).call(lambda x: x.sum()).backward()
    assert x.grad is None
    assert x.requires_grad
    assert leaf.grad is not None


def test_a_model_that_works_in_place_changes_nothing():
    def model(x, scale):
        return x.mul_(2).add_(scale.mul_(3)[:, None, None, None]).sum((1, 2, 3))

    x, scale = X.clone(), ones(4)
    inputs = read_inputs((x, scale))
    assert torch.equal(inputs.call(model), inputs.call(model))
    assert torch.equal(x, X)
    assert torch.equal(scale, ones(4))


def test_a_model_may_work_in_place_on_a_leaf():
    inputs = read_inputs(X.clone())
    leaf = inputs.images.detach().requires_grad_()
    inputs.with_images(leaf).call(lambda x: x.mul_(2)).sum().backward()
    assert torch.equal(leaf.grad, torch.full_like(X, 2))


def sparse():
    return X.to_sparse()


def quantised():
    return torch.quantize_per_tensor(X, 0.1, 0, torch.qint8)


def nested():
    return torch.nested.nested_tensor([ones(3, 4, 4), ones(3, 5, 5)])


def with_nan():
    x = images(30, 1, 2, 2)
    x[3, 0, 1, 1] = torch.nan
    x[17, 0, 0, 0] = -torch.inf
    return x


NARROW = (torch.uint8, torch.int64, torch.bool)
REFUSED = {
    **{
        f"{kind} tensor": (lambda kind=kind: X.to(kind), "convert it to float and normalise it")
        for kind in NARROW
    },
    "uint8 array": (lambda: X.numpy().astype(np.uint8), r"of uint8: .* / 255 for a model trained"),
    "boolean array": (lambda: X.numpy() > 0, "of bool: convert it to float"),
    "complex tensor": (lambda: X + 1j, "is complex"),
    "complex array": (lambda: X.numpy() + 1j, "is complex"),
    "object array": (lambda: np.array([X.numpy(), None], object), r"np\.stack"),
    "array of words": (lambda: np.array(["a.jpg"]), "not of numbers"),
    "masked array": (lambda: np.ma.masked_less(X.numpy(), 0), "filled"),
    "float8": (lambda: X.to(torch.float8_e4m3fn), r"images\.float\(\)"),
    "NaN": (with_nan, r"2 of 30 images hold NaN or infinity .*\(number 3, 17\)"),
    "all NaN": (lambda: X * torch.nan, r"4 of 4 .*\(number 0, 1, 2, 3\)"),
    "many NaN": (lambda: images(20, 1, 2, 2) * torch.inf, r"20 of 20 .* 6, 7, \.\.\.\)"),
    "NaN in an array": (lambda: with_nan().numpy(), "2 of 30"),
    "NaN in half precision": (lambda: with_nan().half(), "2 of 30"),
    "beyond single precision": (lambda: X.double().numpy() * 1e300, "infinity as torch.float32"),
    "no image": (lambda: ones(0, 3, 4, 4), r"batch of no image: its shape is \(0, 3, 4, 4\)"),
    "no channels": (lambda: ones(2, 0, 4, 4), "without a single value"),
    "no pixels": (lambda: ones(2, 3, 0, 4), "without a single value"),
    "one matrix": (lambda: ones(4, 4), r"without batch and channel axis.*images\[None, None\]"),
    "a vector": (lambda: ones(4), r"\(4,\), without axes"),
    "a number": (lambda: torch.tensor(1.0), r"\(\), without axes"),
    "six axes": (lambda: ones(1, 1, 1, 1, 1, 1), r"1 to 3 spatial axes.*flatten"),
    "sparse": (sparse, r"to_dense\(\)"),
    "quantised": (quantised, r"dequantize\(\)"),
    "nested": (nested, r"to_padded_tensor"),
    "meta": (lambda: X.to("meta"), "'meta' and has no values"),
    "list of tensors": (lambda: list(X), r"a list of 4: .* torch\.stack\(images\)"),
    "list of photos": (lambda: [PIL.new("RGB", (4, 4))], "a list of 1"),
    "nested list": (lambda: X.tolist(), "a list of 4"),
    "photo": (lambda: PIL.new("RGB", (4, 4)), r"a PIL\.Image\.Image: .*np\.asarray\(image"),
    "path": (lambda: "photo.jpg", "a str: read the file"),
    "nothing": (lambda: None, "a NoneType: give a torch tensor or a NumPy array"),
    "number": (lambda: 3.0, "a float: give a torch tensor"),
    "empty tuple": (lambda: (), "none of the inputs is an image batch .* nothing"),
    "empty mapping": (dict, "none of the inputs is an image batch"),
    "tuple of photos": (lambda: (PIL.new("RGB", (4, 4)),), "a PIL.Image.Image"),
}


@pytest.mark.filterwarnings("ignore:.*deprecated:UserWarning", "ignore:.*prototype:UserWarning")
@pytest.mark.parametrize("make, message", REFUSED.values(), ids=REFUSED.keys())
def test_refused(make, message):
    with pytest.raises(InvalidInputError, match=message):
        read_inputs(make())


@pytest.mark.parametrize("spatial, shape", [(1, (3, 9)), (2, (3, 6, 5)), (3, (1, 4, 6, 5))])
def test_an_image_without_batch_axis_is_recognised_by_the_models_convolutions(spatial, shape):
    with pytest.raises(InvalidInputError, match=r"without the batch axis: .* images\[None\]"):
        read_inputs(ones(*shape), spatial=spatial)
    assert len(read_inputs(ones(*shape)[None], spatial=spatial)) == 1


def test_rows_beside_tell_the_batch_axis():
    signal = ones(4, 7, 9)
    assert read_inputs((signal, AGE), spatial=2).spatial == (9,)
    for alone in [(signal,), (signal, torch.tensor(4.0)), {"x": signal, "mode": "mode"}]:
        with pytest.raises(InvalidInputError, match="without the batch axis"):
            read_inputs(alone, spatial=2)


@pytest.mark.parametrize(
    "model, axes",
    [
        (nn.Sequential(nn.Conv2d(1, 1, 1), nn.Linear(1, 1)), 2),
        (nn.Sequential(nn.ConvTranspose1d(1, 1, 1)), 1),
        (nn.Conv3d(1, 1, 1), 3),
        (nn.Sequential(nn.Conv2d(1, 1, 1), nn.Conv1d(1, 1, 1)), None),
        (nn.Linear(1, 1), None),
    ],
    ids=["2", "1", "3", "several", "none"],
)
def test_axes_of_a_models_convolutions(model, axes):
    assert spatial_axes(model) == axes


@pytest.mark.parametrize(
    "shape, hint",
    [
        ((2, 30, 30, 3), r"permute(0, 3, 1, 2)"),
        ((2, 8, 30, 30, 1), r"permute(0, 4, 1, 2, 3)"),
        ((30, 30, 3), r"permute(0, 2, 1)"),
        ((2, 3, 30, 30), ""),
        ((2, 1, 30, 3), ""),
    ],
    ids=str,
)
def test_a_hint_for_channels_last(shape, hint):
    found = read_inputs(ones(*shape)).hint()
    assert (hint in found) if hint else found == ""


@pytest.mark.parametrize("device, fits", [("cpu", True), ("cpu:0", True), ("cuda", False)])
def test_a_model_on_another_device(device, fits):
    if fits:
        assert len(read_inputs(X, device=torch.device(device))) == 4
        return
    message = r"images is on cpu, but the model is on cuda: give images\.to\('cuda'\)"
    with pytest.raises(InvalidInputError, match=message):
        read_inputs(X, device=device)
