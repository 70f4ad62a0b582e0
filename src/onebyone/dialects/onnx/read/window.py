"""The geometry of convolutions, and windows that overlap: pinned to their layout."""

from __future__ import annotations

import onnx_ir as ir

from onebyone.axes import meanings
from onebyone.axes.positional import Unknown
from onebyone.axes.sizes import Size
from onebyone.dialects.onnx.bodies import Key
from onebyone.dialects.onnx.read import attributes as at
from onebyone.dialects.onnx.read.attributes import Attributes
from onebyone.dialects.onnx.read.reader import Handler, Reader, Reading
from onebyone.identity import Geometry, Refusal


def geometry(reader: Reader, node: ir.Node, given: Attributes) -> Geometry | Refusal:
    """The geometry of a Conv or ConvTranspose; Refusal where it is not known."""
    x, weight = reader.shape(node.inputs[0]), reader.shape(node.inputs[1])
    if x is None or weight is None or len(x) != len(weight) or len(x) < 3:
        return Refusal("a shape is not known")
    sizes = [size.known for size in weight]
    if any(size is None for size in sizes):
        return Refusal("the shape of the weight is not known")
    first, second, *kernel = (size for size in sizes if size is not None)
    spatial = len(kernel)
    groups = given.integer("group", 1)
    transposed = node.op_type == "ConvTranspose"
    stride = tuple(given.integers("strides", [1] * spatial) or ())
    dilation = tuple(given.integers("dilations", [1] * spatial) or ())
    pads = given.integers("pads", [0] * 2 * spatial) or []
    auto = given.text("auto_pad", "NOTSET")
    if transposed and given.integers("output_shape"):
        return Refusal("a transposed convolution with a prescribed output shape")
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        for axis in range(spatial):
            size = x[axis + 2].known
            need = None
            if size is not None and not transposed:
                span = (-(-size // stride[axis]) - 1) * stride[axis]
                need = max(span + (kernel[axis] - 1) * dilation[axis] + 1 - size, 0)
            if kernel[axis] == 1 and not transposed:
                need = 0
            if need is None or need:
                return Refusal(f"auto_pad {auto}: border windows read zeros the FC layer lacks")
        pads = [0] * 2 * spatial
    return Geometry(
        in_channels=first if transposed else second * groups,
        out_channels=second * groups if transposed else first,
        kernel=tuple(kernel),
        stride=stride,
        padding=tuple((pads[i], pads[i + spatial]) for i in range(spatial)),
        dilation=dilation,
        groups=groups,
        transposed=transposed,
        output_padding=tuple(given.integers("output_padding", [0] * spatial) or ()),
        input_size=tuple(size.known for size in x[2:]),
    )


def window(reader: Reader, node: ir.Node, reason: str, known: Geometry | None = None) -> Reading:
    """An overlapping convolution or a pooling: pinned to its layout."""
    if len(node.outputs) > 1:
        return Reading(Unknown(reason))
    out = window_shape(reader, node)
    if out is None:
        return Reading(Unknown(reason))
    fn, count = node.op_type.lower(), len(node.inputs)
    return Reading(meanings.window(fn, out, count, reason, known), out)


def window_shape(reader: Reader, node: ir.Node) -> tuple[Size, ...] | None:
    """The shape of a convolution's or pooling's result, symbols included."""
    found = node.outputs[0].shape
    if found is not None and all(isinstance(d, int) for d in found.dims):
        return tuple(Size(d) for d in found.dims if isinstance(d, int))
    shape = reader.shape(node.inputs[0])
    if shape is None or at.text(node, "auto_pad", "NOTSET") != "NOTSET" or len(shape) < 3:
        return None
    spatial = len(shape) - 2
    channels = shape[1]
    if node.op_type in ("Conv", "ConvTranspose"):
        weight = reader.shape(node.inputs[1])
        if weight is None:
            return None
        kernel = [size.known for size in weight[2:]]
        groups = Size(at.integer(node, "group", 1))
        channels = weight[0] if node.op_type == "Conv" else weight[1] * groups
    else:
        kernel = list(at.integers(node, "kernel_shape") or [])
    stride = at.integers(node, "strides", [1] * spatial) or []
    dilation = at.integers(node, "dilations", [1] * spatial) or []
    pads = at.integers(node, "pads", [0] * 2 * spatial) or []
    if (
        at.integer(node, "ceil_mode", 0)
        or len(kernel) != spatial
        or node.op_type == "ConvTranspose"
    ):
        return None
    out: list[Size] = []
    for axis in range(spatial):
        size, k = shape[axis + 2], kernel[axis]
        if k is None:
            return None
        change = pads[axis] + pads[axis + spatial] - (dilation[axis] * (k - 1) + 1)
        if size.known is not None:
            out.append(Size((size.known + change) // stride[axis] + 1))
        elif change == -1 and stride[axis] == 1:
            out.append(size)
        else:
            out.append(Size(1, (f"(({size}+{change})//{stride[axis]}+1)",)))
    return (shape[0], channels, *out)


def pool(reader: Reader, node: ir.Node, given: Attributes) -> Reading:
    """A pooling: a window, whatever its geometry."""
    if len(node.outputs) > 1 and any(v.uses() for v in node.outputs[1:]):
        return Reading(Unknown("MaxPool whose indices are used"))
    return window(reader, node, f"{node.op_type} is no sum of products")


TABLE: dict[Key, Handler] = {
    ("", "AveragePool"): pool,
    ("", "LpPool"): pool,
    ("", "MaxPool"): pool,
}
