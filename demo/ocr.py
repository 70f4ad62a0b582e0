"""Read a rendered line of text with PP-OCRv4, before and after `onebyone.convert`.

The recognition model comes out of the package ``rapidocr-onnxruntime`` (Apache-2.0), installed
without its dependencies. Run it with ``make demo``, or ``python demo/ocr.py [TEXT]``.
"""

from __future__ import annotations

import importlib.util
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from PIL import Image, ImageDraw, ImageFont

import onebyone

TEXT = "A 1x1 convolution is a fully connected layer"
HEIGHT = 48  # pixels: what the model was trained on
RUNS = 20

Array = np.ndarray[Any, Any]


def main(text: str = TEXT) -> int:
    """Convert, read with both files, and print what each read; 0 if they agree."""
    package = importlib.util.find_spec("rapidocr_onnxruntime")
    if package is None or not package.submodule_search_locations:
        print("demo: pip install --no-deps rapidocr-onnxruntime", file=sys.stderr)
        return 1
    folder = Path(package.submodule_search_locations[0])
    original = folder / "models" / "ch_PP-OCRv4_rec_infer.onnx"
    with tempfile.TemporaryDirectory() as scratch:
        converted = Path(scratch) / "rec-conv.onnx"
        conversion = onebyone.convert(original, "conv")
        conversion.save(converted)
        image = render(text)
        files = {"original": original, "converted": converted}
        sessions = {name: session(path) for name, path in files.items()}
        results = {name: read(one, image) for name, one in sessions.items()}
        times = measure(sessions, image)
    print(f"rendered:   {text!r}, {image.shape[3]} x {HEIGHT} pixels")
    for name, (words, _) in results.items():
        print(f"{name + ':':<11} {words!r}, {statistics.median(times[name]):.1f} ms (median)")
    difference = np.abs(results["original"][1] - results["converted"][1]).max()
    print(f"largest difference of a probability: {difference:.1e}")
    print(f"converted in {conversion.report.seconds:.2f} s\n")
    show_counts(conversion.report)
    return 0 if results["original"][0] == results["converted"][0] else 1


def session(path: Path) -> ort.InferenceSession:
    """A session on the CPU, with the settings that both files get."""
    return ort.InferenceSession(path, providers=["CPUExecutionProvider"])


def render(text: str) -> Array:
    """Black text on white as the model wants it: (1, 3, 48, W), float32 in -1 to 1."""
    font = ImageFont.load_default(30)
    width = int(font.getlength(text)) + 32
    page = Image.new("RGB", (width, HEIGHT), "white")
    ImageDraw.Draw(page).text((16, HEIGHT / 2), text, "black", font, anchor="lm")
    pixels = np.asarray(page, np.float32) / 127.5 - 1
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])


def read(model: ort.InferenceSession, image: Array) -> tuple[str, Array]:
    """The text, and the probabilities (1, steps, characters) that it was decoded from.

    Connectionist temporal classification (CTC): repeats are one character, index 0 is none. The
    characters stand in the model's metadata; a space comes last.
    """
    (probabilities,) = model.run(None, {model.get_inputs()[0].name: image})
    listed = model.get_modelmeta().custom_metadata_map["character"].splitlines()
    characters = ["", *listed, " "]
    best = probabilities[0].argmax(1)
    kept = [i for i, before in zip(best, [0, *best[:-1]], strict=True) if i != before]
    return "".join(characters[i] for i in kept), probabilities


def measure(sessions: dict[str, ort.InferenceSession], image: Array) -> dict[str, list[float]]:
    """Milliseconds of each run, the models taking turns."""
    times: dict[str, list[float]] = {name: [] for name in sessions}
    for _ in range(RUNS):
        for name, model in sessions.items():
            start = time.perf_counter()
            model.run(None, {model.get_inputs()[0].name: image})
            times[name].append(1e3 * (time.perf_counter() - start))
    return times


def show_counts(report: onebyone.Report) -> None:
    """Nodes before and after."""
    assert report.after is not None
    print(f"{'nodes':<22}{'before':>8}{'after':>8}")
    for field, label in (
        ("fc_layers", "FC as matrix product"),
        ("convolutions", "convolutions"),
        ("transposes", "Transpose"),
        ("reshapes", "Reshape-like"),
        ("nodes", "all"),
    ):
        print(f"{label:<22}{getattr(report.before, field):>8}{getattr(report.after, field):>8}")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
