"""More models of ``make libraries``: kornia, PyTorch Geometric, keras-hub on JAX, effdet, open_clip.

Graphs are constants of a call (``axes={"edge_index": ()}``): a circle of nodes with some short cuts.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import torch

# kornia: name -> (where it stands, arguments, shape or inputs by name)

IMAGE = (1, 1, 32, 32)
KORNIA: dict[str, tuple[str, dict[str, Any], Any]] = {
    "HardNet": ("feature", {"pretrained": False}, IMAGE),
    "HardNet8": ("feature", {"pretrained": False}, IMAGE),
    "HyNet": ("feature", {"pretrained": False}, IMAGE),
    "SOSNet": ("feature", {"pretrained": False}, IMAGE),
    "TFeat": ("feature", {"pretrained": False}, IMAGE),
    "OriNet": ("feature", {"pretrained": False}, IMAGE),
    "KeyNet": ("feature", {"pretrained": False}, IMAGE),
    "DeFMO": ("feature", {"pretrained": False}, (1, 6, 64, 64)),
    "XFeatModel": ("feature", {}, (1, 3, 64, 64)),
    "SIFTDescriptor": ("feature", {"patch_size": 32}, IMAGE),
    "DenseSIFTDescriptor": ("feature", {}, IMAGE),
    "BlobHessian": ("feature", {}, IMAGE),
    "CornerGFTT": ("feature", {}, IMAGE),
    "CornerHarris": ("feature", {"k": 0.04}, IMAGE),
    "RRDBNet": ("models", {"num_in_ch": 3, "num_out_ch": 3, "num_feat": 8, "num_block": 1, "num_grow_ch": 4},
                (1, 3, 16, 16)),
    "TinyViT": ("contrib", {"img_size": 64, "embed_dims": (16, 32, 48, 64), "depths": (1, 1, 1, 1),
                            "num_heads": (1, 2, 3, 4), "window_sizes": (4, 4, 4, 2), "num_classes": 8},
                (1, 3, 64, 64)),
    "BilateralBlur": ("filters", {"kernel_size": 3, "sigma_color": 0.1, "sigma_space": (1.0, 1.0)}, IMAGE),
    "BlurPool2D": ("filters", {"kernel_size": 3}, IMAGE),
    "MaxBlurPool2D": ("filters", {"kernel_size": 3}, IMAGE),
    "Canny": ("filters", {"hysteresis": False}, IMAGE),
    "GaussianBlur2d": ("filters", {"kernel_size": 5, "sigma": (1.0, 1.0)}, IMAGE),
    "GuidedBlur": ("filters", {"kernel_size": 3, "eps": 0.01}, None),
    "Laplacian": ("filters", {"kernel_size": 5}, IMAGE),
    "MedianBlur": ("filters", {"kernel_size": 3}, IMAGE),
    "MotionBlur": ("filters", {"kernel_size": 5, "angle": 30.0, "direction": 0.5}, IMAGE),
    "Sobel": ("filters", {}, IMAGE),
    "SpatialGradient3d": ("filters", {}, (1, 1, 8, 12, 12)),
    "UnsharpMask": ("filters", {"kernel_size": 5, "sigma": (1.0, 1.0)}, IMAGE),
}  # fmt: skip


def kornia(name: str) -> tuple[Any, Any]:
    """The module and what it is called with."""
    from importlib import import_module

    place, options, shape = KORNIA[name]
    inputs = {"guidance": torch.rand(*IMAGE), "input": torch.rand(*IMAGE)} if shape is None else torch.rand(*shape)
    return getattr(import_module(f"kornia.{place}"), name)(**options), inputs


# PyTorch Geometric

NODES, WIDTH = 14, 4
_PAIRS = [(a, a + 1) for a in range(9)] + [(3, 11), (11, 12), (0, 6), (12, 1), (8, 2), (13, 13), (9, 10), (10, 0)]
EDGES = torch.tensor(_PAIRS).T.contiguous()
PYG: dict[str, dict[str, Any]] = {
    "GCN": {}, "GraphSAGE": {}, "GIN": {}, "GAT": {"heads": 2}, "EdgeCNN": {},
    "PNA": {"aggregators": ["mean", "max", "std"], "scalers": ["identity"], "deg": torch.tensor([1, 8, 5])},
    "GCNConv": {}, "SAGEConv": {}, "GATConv": {}, "GATv2Conv": {}, "TransformerConv": {}, "ChebConv": {"K": 3},
    "ARMAConv": {}, "TAGConv": {"K": 2}, "SGConv": {"K": 2}, "GraphConv": {}, "ResGatedGraphConv": {}, "LEConv": {},
    "GENConv": {}, "ClusterGCNConv": {}, "SuperGATConv": {}, "MFConv": {}, "GeneralConv": {}, "EGConv": {},
    "MixHopConv": {}, "FeaStConv": {},
}  # fmt: skip
_ONE_WIDTH: dict[str, dict[str, Any]] = {"AGNNConv": {}, "LGConv": {}, "GatedGraphConv": {"num_layers": 2}}


def pyg(name: str) -> tuple[Any, Any, Any]:
    """The network on the graph that stands above."""
    from torch_geometric import nn as layers

    if name in _ONE_WIDTH:
        widths: tuple[int, ...] = (8,) if name == "GatedGraphConv" else ()
    else:
        widths = (WIDTH, 8) if name.endswith("Conv") else (WIDTH, 8, 2)
    model = getattr(layers, name)(*widths, **PYG.get(name, _ONE_WIDTH.get(name, {})))
    return model, {"x": torch.rand(NODES, WIDTH), "edge_index": EDGES}, {"x": (0,), "edge_index": ()}


def pyg_names() -> list[str]:
    """Networks and single layers."""
    return [*PYG, *_ONE_WIDTH]


# keras-hub, on JAX

_TEXT: dict[str, Any] = {"vocabulary_size": 50, "num_layers": 1, "hidden_dim": 16, "intermediate_dim": 16}
_QUERY: dict[str, Any] = {**_TEXT, "num_query_heads": 2, "num_key_value_heads": 1}
_HEADS: dict[str, Any] = {**_TEXT, "num_heads": 2}
_SQUARE = (32, 32, 3)
_VIT: dict[str, Any] = {"num_layers": 1, "num_heads": 2, "hidden_dim": 16}
KERAS: dict[str, tuple[dict[str, Any], str]] = {
    "AlbertBackbone": ({**_HEADS, "embedding_dim": 8}, "segments"),
    "BertBackbone": (_HEADS, "segments"),
    "DistilBertBackbone": (_HEADS, "tokens"),
    "RobertaBackbone": (_HEADS, "tokens"),
    "DebertaV3Backbone": (_HEADS, "tokens"),
    "FNetBackbone": (_TEXT, "fnet"),
    "BloomBackbone": (_HEADS, "tokens"),
    "FalconBackbone": ({**_TEXT, "num_attention_heads": 2}, "tokens"),
    "GPT2Backbone": (_HEADS, "tokens"),
    "GPTNeoXBackbone": (_HEADS, "tokens"),
    "OPTBackbone": (_HEADS, "tokens"),
    "GemmaBackbone": ({**_QUERY, "head_dim": 8}, "tokens"),
    "LlamaBackbone": (_QUERY, "tokens"),
    "MistralBackbone": ({**_QUERY, "sliding_window": 4}, "tokens"),
    "Phi3Backbone": (_QUERY, "tokens"),
    "QwenBackbone": (_QUERY, "tokens"),
    "Qwen3Backbone": ({**_QUERY, "head_dim": 8}, "tokens"),
    "BartBackbone": (_HEADS, "pair"),
    "T5Backbone": (_HEADS, "pair"),
    "VGGBackbone": ({"stackwise_num_repeats": [1, 1], "stackwise_num_filters": [4, 8],
                     "image_shape": _SQUARE}, "image"),
    "ResNetBackbone": ({"input_conv_filters": [64], "input_conv_kernel_sizes": [7], "stackwise_num_filters": [64],
                        "stackwise_num_blocks": [1], "stackwise_num_strides": [1], "block_type": "basic_block",
                        "image_shape": _SQUARE}, "image"),
    "DenseNetBackbone": ({"stackwise_num_repeats": [1, 1], "growth_rate": 8, "image_shape": _SQUARE}, "image"),
    "XceptionBackbone": ({"stackwise_conv_filters": [[4, 8], [8, 8]], "stackwise_pooling": [True, False],
                          "image_shape": _SQUARE}, "image"),
    "CSPNetBackbone": ({"stem_filters": 8, "stem_kernel_size": 3, "stem_strides": 2, "stackwise_depth": [1, 1],
                        "stackwise_strides": [1, 2], "stackwise_num_filters": [8, 16], "block_type": "dark_block",
                        "image_shape": _SQUARE}, "image"),
    "MiTBackbone": ({"layerwise_depths": [1, 1], "num_layers": 2, "layerwise_num_heads": [1, 2],
                     "layerwise_sr_ratios": [2, 1], "max_drop_path_rate": 0.0, "layerwise_patch_sizes": [7, 3],
                     "layerwise_strides": [4, 2], "hidden_dims": [8, 16], "image_shape": _SQUARE}, "image"),
    "ViTBackbone": ({**_VIT, "mlp_dim": 16, "patch_size": (8, 8), "image_shape": _SQUARE}, "image"),
    "DeiTBackbone": ({**_VIT, "intermediate_dim": 16, "patch_size": (8, 8), "image_shape": _SQUARE}, "image"),
    "SwinTransformerBackbone": ({"image_shape": _SQUARE, "embed_dim": 8, "depths": (2, 1), "num_heads": (2, 2),
                                 "window_size": 4}, "image"),
    "DINOV2Backbone": ({**_VIT, "intermediate_dim": 16, "patch_size": 8, "image_shape": _SQUARE,
                        "position_embedding_shape": _SQUARE, "use_mask_token": False}, "images"),
    "DINOV3Backbone": ({**_VIT, "intermediate_dim": 16, "patch_size": 8, "image_shape": _SQUARE,
                        "use_mask_token": False}, "pixel_values"),
}  # fmt: skip


def keras_hub(name: str) -> tuple[Any, Any, Any]:
    """A backbone, its input, and the masks that are constants."""
    os.environ.setdefault("KERAS_BACKEND", "jax")
    import keras_hub

    options, kind = KERAS[name]
    model = getattr(keras_hub.models, name)(**options)
    if kind == "image":
        return model, np.random.default_rng(0).random((1, *_SQUARE), np.float32), None
    if kind in ("images", "pixel_values"):
        return model, {kind: np.random.default_rng(0).random((1, *_SQUARE), np.float32)}, None
    ids = np.random.default_rng(0).integers(5, 40, (1, 12), dtype=np.int32)
    ones, zeros = np.ones((1, 12), np.int32), np.zeros((1, 12), np.int32)
    if kind == "pair":
        parts = {f"{side}_{word}": item for side in ("encoder", "decoder")
                 for word, item in (("token_ids", ids), ("padding_mask", ones))}  # fmt: skip
        return model, parts, {key: () for key in parts if key.endswith("mask")}
    parts = {"token_ids": ids, "padding_mask": ones}
    if kind in ("segments", "fnet"):
        parts["segment_ids"] = zeros
    if kind == "fnet":
        del parts["padding_mask"]
    return model, parts, {key: () for key in parts if key.endswith("mask")}


# torchaudio

_WAV2VEC = {"extractor_mode": "group_norm", "extractor_conv_layer_config": [(8, 10, 5), (8, 3, 2), (8, 3, 2)],
            "extractor_conv_bias": False, "encoder_embed_dim": 16, "encoder_projection_dropout": 0.0,
            "encoder_pos_conv_kernel": 8, "encoder_pos_conv_groups": 2, "encoder_num_layers": 2,
            "encoder_num_heads": 2, "encoder_attention_dropout": 0.0, "encoder_ff_interm_features": 16,
            "encoder_ff_interm_dropout": 0.0, "encoder_dropout": 0.0, "encoder_layer_norm_first": False,
            "encoder_layer_drop": 0.0, "aux_num_out": None}  # fmt: skip
AUDIO: dict[str, tuple[dict[str, Any], Any]] = {
    "ConvTasNet": ({"enc_num_feats": 16, "msk_num_feats": 8, "msk_num_hidden_feats": 16, "msk_num_layers": 2,
                    "msk_num_stacks": 1}, (1, 1, 320)),
    "DeepSpeech": ({"n_feature": 16, "n_hidden": 16}, (1, 1, 24, 16)),
    "Wav2Letter": ({}, (1, 1, 320)),
    "wav2vec2_model": (_WAV2VEC, (1, 800)),
    "HDemucs": ({"sources": ["a", "b"], "channels": 4, "nfft": 256, "depth": 3}, (1, 2, 2048)),
    "WaveRNN": ({"upsample_scales": [2, 2], "n_classes": 8, "hop_length": 4, "n_res_block": 1, "n_rnn": 8, "n_fc": 8,
                 "n_freq": 8, "n_hidden": 8, "n_output": 8}, {"waveform": (1, 1, 32), "specgram": (1, 1, 8, 12)}),
    "Conformer": ({"input_dim": 16, "num_heads": 2, "ffn_dim": 16, "num_layers": 2, "depthwise_conv_kernel_size": 5},
                  {"input": (1, 20, 16), "lengths": torch.tensor([20])}),
    "Emformer": ({"input_dim": 16, "num_heads": 2, "ffn_dim": 16, "num_layers": 2, "segment_length": 4,
                  "left_context_length": 4, "right_context_length": 2},
                 {"input": (1, 22, 16), "lengths": torch.tensor([20])}),
    "squim_objective_model": ({"feat_dim": 8, "win_len": 16, "d_model": 16, "nhead": 2, "hidden_dim": 8,
                               "num_blocks": 1, "rnn_type": "LSTM", "chunk_size": 8}, (1, 400)),
}  # fmt: skip


def torchaudio(name: str) -> tuple[Any, Any, Any]:
    """A network of sound; lengths are constants."""
    import torchaudio.models

    options, shape = AUDIO[name]
    model = getattr(torchaudio.models, name)(**options)
    if isinstance(shape, tuple):
        return model, torch.rand(*shape), None
    inputs = {key: torch.rand(*item) if isinstance(item, tuple) else item for key, item in shape.items()}
    return model, inputs, {"lengths": ()} if "lengths" in inputs else None


# effdet and open_clip


def effdet(name: str) -> tuple[Any, Any]:
    """An EfficientDet at the smallest size that its pyramid takes."""
    from effdet import EfficientDet, get_efficientdet_config

    config = get_efficientdet_config(name)
    config.image_size = (128, 128)
    return EfficientDet(config, pretrained_backbone=False), torch.rand(1, 3, 128, 128)


def open_clip(name: str) -> tuple[Any, Any]:
    """Both towers, small."""
    from open_clip.model import CLIP

    text = {"context_length": 12, "vocab_size": 50, "width": 16, "heads": 2, "layers": 1}
    vision: dict[str, Any] = {"image_size": 32, "layers": 1, "width": 16, "head_width": 8, "patch_size": 8}
    if name == "resnet":
        vision = {"image_size": 32, "layers": (1, 1, 1, 1), "width": 8, "patch_size": None}
    model = CLIP(16, vision, text)
    return model, {"image": torch.rand(1, 3, 32, 32), "text": torch.randint(1, 49, (1, 12))}
