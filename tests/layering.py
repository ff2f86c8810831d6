"""What the tests of layers share."""

import networks

from fastxai.explain.inputs import Inputs, read_inputs
from fastxai.explain.layers.layers import resolve_layers

WRT = {"two_inputs": 0, "mapping_inputs": "pixels"}


def inputs_for(build, n=2):
    return read_inputs(networks.images(build, n), WRT.get(build.__name__))


def default(model, x, **options):
    inputs = x if isinstance(x, Inputs) else read_inputs(x)
    (layer,) = resolve_layers(model, None, inputs, **options)
    return layer
