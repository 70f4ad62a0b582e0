"""Speed of convolutions swapped for linear layers: ``python benchmarks/torch_linear.py``.

Each case runs its forms in turn (paired and interleaved), in inference mode, and prints the
minimum and median of each with their ratios to the original's: above 1 is faster. The forms: the
original; ``swap``, every layer of `to_linear`; ``faster``, `to_linear` with ``only_if_faster``;
``torchao``, its swap_conv2d_1x1_to_linear; ``by hand``, the same layer as a hand-written
nn.Linear. ``--scale`` measures the swap itself, on a model of seven billion
parameters (meta device) and on a real one of 1 GB.
"""

from __future__ import annotations

import argparse
import copy
import resource
import time
import warnings
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

import onebyone

Run = Callable[[Tensor], Any]
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
BUDGET = 1.2  # seconds a case, beside the warm-up
ROUNDS = (3, 30)


def device() -> torch.device:
    """The accelerator where there is one, else the CPU."""
    found = torch.accelerator.current_accelerator()
    return torch.device("cpu") if found is None or not torch.accelerator.is_available() else found


def seconds(run: Callable[[], Any]) -> float:
    """One call, finished."""
    start = CLOCK()
    run()
    if DEVICE.type != "cpu":
        torch.accelerator.synchronize()
    return CLOCK() - start


def compare(forms: dict[str, Run], x: Tensor) -> dict[str, tuple[float, float]]:
    """Minimum and median of each form."""
    with torch.inference_mode():
        once = 0.0
        for run in forms.values():
            seconds(lambda run=run: run(x))
            once += seconds(lambda run=run: run(x))
        rounds = min(ROUNDS[1], max(ROUNDS[0], int(BUDGET / once)))
        times: dict[str, list[float]] = {name: [] for name in forms}
        for _ in range(rounds):
            for name, run in forms.items():
                times[name].append(seconds(lambda run=run: run(x)))
    return {name: (min(t), median(t)) for name, t in times.items()}


def gemm_peak(dtype: torch.dtype) -> float:
    """The best of several square products, in GFLOP/s."""
    best = 0.0
    with torch.inference_mode():
        for size in (1024, 2048):
            a, b = (torch.randn(size, size, device=DEVICE).to(dtype) for _ in range(2))
            for _ in range(6):
                best = max(best, 2 * size**3 / seconds(lambda a=a, b=b: a @ b) / 1e9)
    return best


class ByHand(nn.Module):
    """What model code writes instead of a patch embedding: reshape, permute, nn.Linear."""

    def __init__(self, conv: nn.Module) -> None:
        super().__init__()
        self.kernel = tuple(conv.kernel_size)
        weight = conv.weight.flatten(1)
        self.linear = nn.Linear(weight.shape[1], weight.shape[0], bias=conv.bias is not None)
        self.linear.weight = nn.Parameter(weight)
        self.linear.bias = conv.bias

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, *S)`` to ``(B, N, *out)``."""
        if tuple(x.shape[2:]) == self.kernel:
            return self.linear(x.flatten(1)).view(x.shape[0], -1, *[1] * len(self.kernel))
        (height, width), (k, _) = x.shape[2:], self.kernel
        y = x.unflatten(3, (width // k, k)).unflatten(2, (height // k, k))
        y = self.linear(y.permute(0, 2, 4, 1, 3, 5).flatten(3))
        return y.permute(0, 3, 1, 2)


class Mobile(nn.Module):
    """The inverted residual block of MobileNetV2."""

    def __init__(self, width: int = 96, expand: int = 6) -> None:
        super().__init__()
        hidden = width * expand
        self.body = nn.Sequential(
            nn.Conv2d(width, hidden, 1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU6(),
            nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU6(),
            nn.Conv2d(hidden, width, 1, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        """``(B, width, H, W)``, as it comes."""
        return x + self.body(x)


class Output(nn.Module):
    """A transformers model that returns only its logits."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        """Pixels to logits."""
        return self.model(pixel_values=x).logits


def vgg_head() -> nn.Sequential:
    """The three FC layers of VGG-19 as convolutions."""
    return nn.Sequential(
        nn.Conv2d(512, 4096, 7), nn.ReLU(), nn.Conv2d(4096, 4096, 1), nn.ReLU(),
        nn.Conv2d(4096, 1000, 1),
    )  # fmt: skip


def hand_head(head: nn.Module) -> nn.Module:
    """The same with hand-written linear layers."""
    return nn.Sequential(*(ByHand(m) if isinstance(m, nn.Conv2d) else m for m in head))


def whole(kind: str) -> Callable[[], nn.Module]:
    """A transformers model from its config, with random weights."""

    def make() -> nn.Module:
        import transformers as t

        configs = {
            "ResNet": (t.ResNetForImageClassification, t.ResNetConfig(num_labels=1000)),
            "ConvNext": (t.ConvNextForImageClassification, t.ConvNextConfig(num_labels=1000)),
            "Segformer": (t.SegformerForSemanticSegmentation, t.SegformerConfig(num_labels=150)),
        }
        cls, config = configs[kind]
        return Output(cls(config))

    return make


# name, model, input shape of one batch member, hand-written peer
CASES: list[tuple[str, Callable[[], nn.Module], tuple[int, ...], Any]] = [
    (
        "Qwen2-VL patch embedding",
        lambda: nn.Conv3d(3, 1280, (2, 14, 14), stride=(2, 14, 14), bias=False),
        (1024, 3, 2, 14, 14),
        ByHand,
    ),
    ("ViT patch embedding", lambda: nn.Conv2d(3, 768, 16, stride=16), (3, 224, 224), ByHand),
    ("VGG-19 fc6", lambda: nn.Conv2d(512, 4096, 7), (512, 7, 7), ByHand),
    ("VGG-19 head", vgg_head, (512, 7, 7), hand_head),
    ("MobileNetV2 block", Mobile, (96, 28, 28), None),
    ("ResNet-50", whole("ResNet"), (3, 224, 224), None),
    ("ConvNeXt-T", whole("ConvNext"), (3, 224, 224), None),
    ("SegFormer-B0", whole("Segformer"), (3, 256, 256), None),
]


def torchao_swap(model: nn.Module) -> nn.Module | None:
    """The peer's swap of a copy; None where it is not installed or swaps nothing."""
    try:
        from torchao.quantization.quant_api import swap_conv2d_1x1_to_linear
    except ImportError:
        return None
    if not any(isinstance(m, nn.Conv2d) and m.kernel_size == (1, 1) for m in model.modules()):
        return None
    swapped = copy.deepcopy(model)
    swap_conv2d_1x1_to_linear(swapped)
    return swapped


def runs(model: nn.Module, x: Tensor) -> bool:
    """Whether the peer's result runs at all: its swap drops the stride of ResNet's shortcuts."""
    try:
        with torch.inference_mode():
            model(x)
    except RuntimeError:
        return False
    return True


def case(name: str, make: Callable[[], nn.Module], shape: tuple[int, ...], hand: Any) -> None:
    """Measure one case in every dtype and batch."""
    for dtype_name, dtype in DTYPES.items():
        torch.manual_seed(0)
        model = make().to(DEVICE, dtype).eval()
        for batch in (1, 8):
            many = (batch * shape[0], *shape[1:]) if len(shape) == 5 else (batch, *shape)
            if len(shape) == 5 and batch == 8:
                many = (4096, *shape[1:])  # 8 images of 512 patches: the original is that slow
            x = torch.randn(many, device=DEVICE).to(dtype)
            forms: dict[str, Any] = {
                "original": model,
                "swap": onebyone.to_linear(model, example_input=x),
                "faster": onebyone.to_linear(model, only_if_faster=x),
            }
            peer = torchao_swap(model)
            if peer is not None and runs(peer, x):
                forms["torchao"] = peer
            if hand is not None:
                forms["by hand"] = hand(model)
            rows = onebyone.layers(forms["faster"])
            kept = sum(row.swapped for row in rows)
            with torch.inference_mode():
                y, z = model(x).float(), forms["swap"](x).float()
                error = ((y - z).abs().max() / y.abs().max()).item()
            found = compare(forms, x)
            base, middle = found["original"]
            cells = [
                f"{form} {low * 1e3:.2f}/{mid * 1e3:.2f} ms ({base / low:.2f}/{middle / mid:.2f}x)"
                for form, (low, mid) in found.items()
            ]
            print(
                f"| {name} | {dtype_name} | {batch} | "
                + " | ".join(cells)
                + f" | kept {kept} | {flops(model, x) / found['swap'][0] / 1e9:.0f} GFLOP/s"
                + f" | diff {error:.1e} |",
                flush=True,
            )


def flops(model: nn.Module, x: Tensor) -> float:
    """Twice the multiply-adds of one forward pass."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        model(x)
    return counter.get_total_flops()


def scale() -> None:
    """Time and memory of the swap itself."""
    from transformers import LlamaConfig, LlamaForCausalLM

    with torch.device("meta"):
        big = LlamaForCausalLM(LlamaConfig())
    count = sum(p.numel() for p in big.parameters()) / 1e9
    for swap in (onebyone.to_conv, lambda m: onebyone.to_linear(onebyone.to_conv(m))):
        start = time.perf_counter()
        swap(big)
        print(f"swap of {count:.2f} billion parameters (meta): {time.perf_counter() - start:.2f} s")
    real = nn.Sequential(*(nn.Conv2d(2048, 2048, 1) for _ in range(64)))
    size = sum(p.numel() * p.element_size() for p in real.parameters()) / 2**30
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    swapped = onebyone.to_linear(real)
    took = time.perf_counter() - start
    extra = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert swapped[0].weight.data_ptr() == real[0].weight.data_ptr()
    print(f"swap of {size:.2f} GiB: {took:.2f} s, {extra:.1f} MiB more at the peak")


def main() -> None:
    """Print one line a case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="part of the name of the cases to run")
    parser.add_argument("--scale", action="store_true", help="measure the swap, not the result")
    parser.add_argument(
        "--cpu-time", action="store_true", help="one thread, its own seconds: for a busy machine"
    )
    options = parser.parse_args()
    if options.cpu_time:
        global CLOCK
        CLOCK = time.process_time
        torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    if options.scale:
        scale()
        return
    peaks = ", ".join(f"{name} {gemm_peak(dtype):.0f}" for name, dtype in DTYPES.items())
    clock = "CPU time" if options.cpu_time else "wall time"
    print(f"torch {torch.__version__}, {DEVICE}, {torch.get_num_threads()} threads, {clock}")
    print(f"GEMM peak, GFLOP/s: {peaks}; times are minimum/median")
    for name, make, shape, hand in CASES:
        if options.only.lower() in name.lower():
            case(name, make, shape, hand)


DEVICE = device()
CLOCK = time.perf_counter

if __name__ == "__main__":
    main()
