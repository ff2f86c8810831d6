"""Several methods at once, on one forward pass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from ..errors import InvalidInputError
from .engine import run
from .explainer import Explainer, LayerExplainer, tell_problems
from .explanation import Explanations, canonical

# Where each method lives; two are kinds of another.
_HOME = {
    "saliency": ("saliency", "Saliency"),
    "smoothgrad": ("saliency", "Saliency"),
    "integrated_gradients": ("saliency", "Saliency"),
    "deconvnet": ("gradients", "DeconvNet"),
    "guided_backprop": ("gradients", "GuidedBackprop"),
    "cam": ("cam", "CAM"),
    "gradcam": ("cam", "GradCAM"),
    "gradcam++": ("cam", "GradCAMPlusPlus"),
    "hirescam": ("cam", "HiResCAM"),
    "layercam": ("cam", "LayerCAM"),
    "guided_gradcam": ("guided_gradcam", "GuidedGradCAM"),
    "occlusion": ("black_box.occlusion", "Occlusion"),
    "rise": ("black_box.rise", "RISE"),
    "lime": ("superpixels.lime", "LIME"),
    "kernel_shap": ("superpixels.kernel_shap", "KernelSHAP"),
    "attention_rollout": ("rollout", "AttentionRollout"),
}
_KINDS = ("smoothgrad", "integrated_gradients")
_DRAW = ("smoothgrad", "rise", "lime", "kernel_shap")  # random numbers
METHODS = tuple(_HOME)


def method_class(name: str) -> type[Explainer]:
    """The class of a method by its name."""
    key = canonical(name)
    if key not in _HOME:
        near = get_close_matches(key, METHODS, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise InvalidInputError(f"method {name!r} is unknown{hint}; there is {', '.join(METHODS)}")
    return _load(*_HOME[key])


def class_of(name: str) -> type[Explainer] | None:
    """The class of this name, if a method has it."""
    homes = {attribute: module for module, attribute in _HOME.values()}
    return _load(homes[name], name) if name in homes else None


def _load(module: str, attribute: str) -> type[Explainer]:
    found: type[Explainer] = getattr(import_module(f".{module}", __package__), attribute)
    return found


def explain(
    model: Any,
    images: Any,
    methods: str | Sequence[str] | Mapping[str, Mapping[str, Any]] = "gradcam",
    *,
    target: Any = None,
    layer: Any = None,
    output: Any = None,
    task: str = "softmax",
    wrt: Any = None,
    batch_size: int | None = None,
    verbose: bool = False,
) -> Explanations:
    """Explain images by several methods, which share one forward pass of the model.

    Parameters
    ----------
    model : Module
        Any network; it is left as it came.  With only ``"occlusion"``, ``"rise"``, ``"lime"``
        and ``"kernel_shap"`` any callable.
    images : Tensor, ndarray, or tuple or mapping of them
        (N, C, *spatial), floating, prepared as for the model.
    methods : str, sequence of str, or mapping of str to dict, default "gradcam"
        Names: ``saliency``, ``smoothgrad``, ``integrated_gradients``, ``deconvnet``,
        ``guided_backprop``, ``cam``, ``gradcam``, ``gradcam++``, ``hirescam``, ``layercam``,
        ``guided_gradcam``, ``occlusion``, ``rise``, ``lime``, ``kernel_shap``,
        ``attention_rollout``.  A mapping gives options, too:
        ``{"gradcam": {}, "occlusion": {"window": 16, "stride": 8}}``.
    target : optional
        What is explained; None is the predicted class.  A class index, one an image (N,),
        several an image (N, K), ``"top5"``, a function of one image's output, or (class, mask)
        for outputs with a value at each pixel.
    layer : str, Module or sequence of them, optional
        For the methods that look at a layer; by default the last convolution's feature map.
    output, task, wrt, batch_size, verbose
        See `Explainer`.

    Returns
    -------
    Explanations
        ``out["gradcam"].maps`` and so on, ``out.classes``, ``out.scores``,
        ``out.contact_sheet("sheet.png")``.

    Raises
    ------
    InvalidInputError
        If something that was given can not be worked with; no map was computed then.
    ModelError
        If the model's own forward raises.
    NoGradientError
        If the model cuts the graph that a method needs.

    Examples
    --------
    >>> import torch, fastxai
    >>> net = torch.nn.Sequential(
    ...     torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(),
    ...     torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(8, 5),
    ... )
    >>> out = fastxai.explain(net, torch.rand(2, 3, 16, 16), ["gradcam", "saliency"], target="top3")
    >>> out["gradcam"].maps.shape, out.classes.shape
    (torch.Size([2, 3, 16, 16]), (2, 3))
    """
    shared = {"output": output, "task": task, "wrt": wrt}
    shared |= {"batch_size": batch_size, "verbose": verbose}
    out = run(make_explainers(model, methods, shared, layer), images, target).explanations
    tell_problems(out.problems())
    return out


def read_methods(methods: Any) -> dict[str, dict[str, Any]]:
    """The options of each method by its canonical name.

    Raises
    ------
    InvalidInputError
        If there is no such method, one is named twice, or none is.
    """
    if isinstance(methods, type):
        methods = [methods.__name__]
    if isinstance(methods, str):
        methods = [name.strip() for name in methods.split(",")]
    if not isinstance(methods, Iterable):
        raise InvalidInputError(f"methods={methods!r}: give names of methods")
    options = methods if isinstance(methods, Mapping) else {name: {} for name in methods}
    if not options:
        raise InvalidInputError(f"no method is named; there is {', '.join(METHODS)}")
    found: dict[str, dict[str, Any]] = {}
    for name, own in options.items():
        method_class(name)
        if not isinstance(own, Mapping):
            raise InvalidInputError(
                f"the options of {name!r} are {own!r}; give a mapping, maybe {{}}"
            )
        if canonical(name) in found:
            raise InvalidInputError(f"methods= names {canonical(name)!r} twice; name each once")
        found[canonical(name)] = dict(own)
    return found


def seeded(methods: Mapping[str, Mapping[str, Any]], seed: int) -> dict[str, dict[str, Any]]:
    """The methods with a seed for those that draw random numbers and were given none."""

    def draws(name: str, own: Mapping[str, Any]) -> bool:
        return name in _DRAW or own.get("kind") in _DRAW

    return {
        name: {"random_state": seed, **own} if draws(name, own) else dict(own)
        for name, own in methods.items()
    }


def make_explainers(
    model: Any, methods: Any, shared: Mapping[str, Any], layer: Any = None
) -> list[Explainer]:
    """The explainers of several methods of one model, which share their common options."""
    explainers: list[Explainer] = []
    for name, own in read_methods(methods).items():
        made = method_class(name)
        fixed: dict[str, Any] = {"kind": name} if name in _KINDS else {}
        _check_own(name, made, own, {**shared, **fixed})
        if layer is not None and issubclass(made, LayerExplainer):
            own = {"layer": layer, **own}
        explainer = made(model, **{**shared, **fixed, **own})
        explainer.name = name  # results are found under the name that was asked for
        explainers.append(explainer)
    if layer is not None and not any(isinstance(e, LayerExplainer) for e in explainers):
        names = ", ".join(e.name for e in explainers)
        raise InvalidInputError(
            f"layer= is given, and no method that looks at one ({names}); leave it out"
        )
    return explainers


def _check_own(
    name: str, made: type[Explainer], own: Mapping[str, Any], shared: Mapping[str, Any]
) -> None:
    """Options of one method: none that the call, or the method's name, has already decided."""
    if common := [option for option in own if option in shared]:
        raise InvalidInputError(
            f"the options of {name!r} hold {', '.join(common)}, which explain() decides for all "
            "methods of one forward pass, or the name of the method"
        )
    known = [option for option in made.__signature__.parameters if option not in shared][1:]
    if strange := [option for option in own if option not in known]:
        listed = f"it has {', '.join(known)}" if known else "it has none of its own"
        raise InvalidInputError(f"{name} has no option {strange[0]!r}; {listed}")
