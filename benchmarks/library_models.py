"""The models of ``make libraries``: one line per library says what it has, one function builds each, small.

A transformers model is its own configuration with every width, depth and length made small by the name of the setting
(``smaller``); what does not run that way is wider, keeps its widths, or all but its depth. No weights are read.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

import library_more as more

LENGTH = 16
"""Tokens of a text."""
WORDS = 160
"""Words of a vocabulary."""


class Built(NamedTuple):
    """A model in evaluation mode and what it is called with."""

    model: nn.Module
    inputs: Any
    axes: Any = None


class Unbuilt(Exception):
    """No small configuration of the model runs in its own library."""


def names(library: str) -> list[str]:
    """The sources of a library, such as ``smp:Unet/resnet18``."""
    return [f"{library}:{name}" for name in LIBRARIES[library][0]()]


def build(name: str) -> Built:
    """The model that a source names; raises Unbuilt."""
    library, _, rest = name.partition(":")
    torch.manual_seed(0)
    built: Built = LIBRARIES[library][1](rest)
    if not isinstance(built.model, nn.Module):
        return built
    built.model.eval()
    if library != "transformers" and (why := _runs(built.model, built.inputs)):
        raise Unbuilt(why)
    return built


def _runs(model: nn.Module, inputs: Any) -> str:
    """Why a model does not run, "" if it does."""
    try:
        with torch.no_grad():
            model.eval()(**inputs) if isinstance(inputs, dict) else model.eval()(inputs)
    except Exception as error:
        return f"{type(error).__name__}: {error}".replace("\n", " ")[:200]
    return ""


# transformers

SIZES = (
    (r"(num|n)_.*layers?$|^n_layers?$|^(encoder|decoder)_layers$|^depth$|num_blocks$|num_hidden_groups$", 2),
    (r"kv_heads$|key_value_heads$|num_groups$|n_groups$", 2),
    (r"^(num|n)_(.*_)?heads?$|attention_heads$", 4),
    (r"head_dim$|head_size$|qk_.*_dim$|v_head_dim$", 8),
    (r"lora_rank$", 16),
    (r"vocab_size", WORDS),
    (r"max_position|n_positions|max_(source|target)|^max_seq", 64),
    (r"intermediate_size|ffn_dim|mlp_dim|d_ff$|n_inner|feedforward|moe_.*size$|_intermediate_dim$|d_inner$", 48),
    (r"^num_(local_|routed_)?experts$|n_routed_experts$", 4),
    (r"per_tok$", 2),
    (r"^(hidden_size|d_model|n_embd|dim|width|embed_dim|hidden_dim|embedding_size|projection_dim|d_embed"
     r"|.*_hidden_size|.*_hidden_dim|.*_embed_dim|out_hidden_size|fusion_hidden_size|decoder_dim|lru_width)$", 32),
    (r"^(image_size|input_size|img_size)$", 64),
)  # fmt: skip
LAYERS = SIZES[:1]
WIDER = tuple((name, 512 if size == 32 else size) for name, size in (*SIZES[:3], *SIZES[4:]))


def smaller(config: Any, sizes: Any) -> Any:
    """The configuration with its numbers, and those of the configurations in it, no larger than ``sizes`` by name."""
    own = vars(config)
    alike = own.get("num_key_value_heads") == own.get("num_attention_heads")
    for name, value in list(own.items()):
        if hasattr(value, "to_dict") and hasattr(value, "model_type"):
            smaller(value, sizes)
            continue
        found = next((size for pattern, size in sizes if re.search(pattern, name)), None)
        found = 4 if found == 2 and alike and name == "num_key_value_heads" else found
        with suppress(Exception):
            if isinstance(value, int) and not isinstance(value, bool) and name.endswith("token_id"):
                setattr(config, name, min(value, WORDS - 1))
            elif isinstance(value, (list, tuple)) and name in ("depths", "num_hidden_layers_per_stage"):
                setattr(config, name, type(value)(min(item, 1 + (k == 0)) for k, item in enumerate(value)))
            elif isinstance(value, (list, tuple)) and name == "image_size":
                setattr(config, name, type(value)(64 for _ in value))
            elif isinstance(value, list) and name.endswith("layer_types") and value:
                kinds = list(dict.fromkeys(value))
                setattr(config, name, (kinds * 2)[:2])
            elif found is not None and isinstance(value, int) and not isinstance(value, bool):
                setattr(config, name, min(value, found))
    return config


def _transformers_names() -> list[str]:
    from transformers import CONFIG_MAPPING, MODEL_MAPPING

    return sorted(kind for kind in CONFIG_MAPPING if CONFIG_MAPPING[kind] in MODEL_MAPPING)


def _transformers(kind: str) -> Built:
    from transformers import CONFIG_MAPPING, MODEL_MAPPING
    from transformers.utils import logging

    logging.set_verbosity_error()
    made = CONFIG_MAPPING[kind]
    cls = MODEL_MAPPING[made]
    cls = cls[0] if isinstance(cls, (tuple, list)) else cls
    why = ""
    for sizes in (SIZES, WIDER, (*LAYERS, *SIZES[5:7]), LAYERS):
        try:
            config = smaller(made(), sizes)
            with torch.device("meta"):
                count = sum(item.numel() for item in cls(config).parameters())
            if count > 4e7:
                why = why or f"{count / 1e6:.0f} million parameters"
                continue
            model = cls(config)
        except Exception as error:
            why = why or f"{type(error).__name__}: {error}".replace("\n", " ")[:200]
            continue
        for inputs in _calls(model):
            # Without a mask many models look for padding among the ids, to warn: data is then read.
            masked = {**inputs, "attention_mask": torch.ones(1, LENGTH, dtype=torch.long)}
            if set(inputs) == {"input_ids"} and not _runs(model, masked):
                return Built(model, masked, {"attention_mask": ()})
            failed = _runs(model, inputs)
            if not failed:
                rows = {name: () if name == "grid_thw" else (0,) for name in inputs}
                return Built(model, inputs, rows if "grid_thw" in inputs else None)
            why = why or failed
    raise Unbuilt(why)


def _first(config: Any, *wanted: str) -> Any:
    """The first of some settings that the configuration, or one in it, has."""
    parts = [config, *(value for value in vars(config).values() if hasattr(value, "model_type"))]
    return next((v for part in parts for name in wanted if (v := getattr(part, name, None)) is not None), None)


def _calls(model: nn.Module) -> Iterator[dict[str, torch.Tensor]]:
    """Keyword arguments to try, by what the forward takes."""
    config: Any = model.config
    takes = inspect.signature(model.forward).parameters
    ids = torch.randint(5, WORDS // 2, (1, LENGTH))
    main = str(getattr(model, "main_input_name", "input_ids"))
    channels = _first(config, "num_channels", "in_channels", "in_chans") or 3
    size = _first(config, "image_size", "input_size", "img_size") or 64
    height, width = (size, size) if isinstance(size, int) else tuple(size)[-2:]
    frames = _first(config, "num_frames", "frames_per_clip")
    if "grid_thw" in takes:  # patches in rows, and how many rows and columns an image has
        length = channels * (_first(config, "temporal_patch_size") or 1) * int(_first(config, "patch_size") or 14) ** 2
        name = "hidden_states" if "hidden_states" in takes else "pixel_values"
        yield {name: torch.rand(16, length), "grid_thw": torch.tensor([[1, 4, 4]])}
    if "pixel_values" in takes and (main == "pixel_values" or "input_ids" not in takes):
        for h, w in dict.fromkeys(((min(height, 64), min(width, 64)), (height, width), (224, 224))):
            image = torch.rand(1, channels, h, w)
            yield {"pixel_values": image}
            if frames:
                yield {"pixel_values": torch.rand(1, frames, channels, h, w)}
            if "decoder_input_ids" in takes:
                yield {"pixel_values": image, "decoder_input_ids": ids[:, :8]}
    if "pixel_values_videos" in takes and "input_ids" not in takes:
        yield {"pixel_values_videos": torch.rand(1, frames or 8, channels, height, width)}
    if "input_features" in takes:
        bins = _first(config, "num_mel_bins", "input_feat_per_channel", "n_mels", "feature_size") or 80
        long = 2 * (_first(config, "max_source_positions") or 32)
        for shape in ((1, bins, long), (1, 64, bins)):
            features = {"input_features": torch.rand(*shape)}
            yield features
            yield {**features, "decoder_input_ids": ids[:, :8]}
    if "input_values" in takes:
        for shape in ((1, 1600), (1, 1, 1600), (1, 128, 64), (1, 16000)):
            yield {"input_values": torch.rand(*shape)}
    if "past_values" in takes:
        past = _first(config, "context_length") or 32
        yield {"past_values": torch.rand(1, past, _first(config, "num_input_channels") or 1)}
    if "input_ids" in takes:
        yield {"input_ids": ids}
        yield {"input_ids": ids, "decoder_input_ids": ids[:, :8]}
        if "bbox" in takes:
            yield {"input_ids": ids, "bbox": torch.zeros(1, LENGTH, 4, dtype=torch.long)}
        if "pixel_values" in takes:
            yield {"input_ids": ids, "pixel_values": torch.rand(1, channels, height, width)}
    if "inputs" in takes:
        yield {"inputs": torch.rand(1, 32, _first(config, "d_model") or 32)}
    if "hidden_states" in takes:
        yield {"hidden_states": torch.rand(1, LENGTH, _first(config, "hidden_size") or 32)}


# ultralytics


def _ultralytics_names() -> list[str]:
    import ultralytics

    folder = Path(ultralytics.__file__).parent / "cfg" / "models"
    return sorted(path.stem for path in folder.rglob("*.yaml") if "sam" not in path.stem)


def _ultralytics(name: str) -> Built:
    from ultralytics import RTDETR, YOLO, YOLOWorld
    from ultralytics.utils import LOGGER

    LOGGER.setLevel("ERROR")
    kind = RTDETR if "rtdetr" in name else YOLOWorld if "world" in name else YOLO
    side = 640  # their own: at less, padding behind attention over the whole map leaves no unit untouched
    return Built(kind(f"{name}.yaml").model.float(), torch.rand(1, 3, side, side))


# monai

_MONAI: dict[str, Any] = {
    "UNet": ((2, 1, 2), {"channels": (4, 8, 16), "strides": (2, 2)}, (32, 32)),
    "UNet3D": ((3, 1, 2), {"channels": (4, 8, 16), "strides": (2, 2)}, (16, 16, 16)),
    "BasicUNet": ((2, 1, 2), {"features": (4, 4, 8, 8, 16, 4)}, (32, 32)),
    "BasicUNetPlusPlus": ((2, 1, 2), {"features": (4, 4, 8, 8, 16, 4)}, (32, 32)),
    "AttentionUnet": ((2, 1, 2), {"channels": (4, 8, 16), "strides": (2, 2)}, (32, 32)),
    "DynUNet": ((2, 1, 2), {"kernel_size": [3, 3, 3], "strides": [1, 2, 2], "upsample_kernel_size": [2, 2],
                            "filters": [4, 8, 8]}, (32, 32)),
    "SegResNet": ((2, 8, 1, 2), {}, (32, 32)),
    "SegResNetVAE": (((32, 32),), {"spatial_dims": 2, "init_filters": 8, "in_channels": 1}, (32, 32)),
    "SegResNetDS": ((2, 8, 1, 2), {"blocks_down": (1, 1, 1)}, (32, 32)),
    "SwinUNETR": ((1, 2), {"feature_size": 12, "spatial_dims": 3, "depths": (1, 1, 1, 1)}, (64, 64, 64)),
    "SwinUNETR2D": ((1, 2), {"feature_size": 12, "spatial_dims": 2, "depths": (1, 1, 1, 1)}, (96, 96)),
    "UNETR": ((1, 2, (32, 32)), {"feature_size": 8, "hidden_size": 48, "mlp_dim": 64, "num_heads": 4,
                                 "spatial_dims": 2}, (32, 32)),
    "ViT": ((1, (32, 32), (8, 8)), {"hidden_size": 32, "mlp_dim": 64, "num_layers": 2, "num_heads": 4,
                                    "spatial_dims": 2}, (32, 32)),
    "ViTAutoEnc": ((1, (32, 32), (4, 4)), {"hidden_size": 32, "mlp_dim": 64, "num_layers": 2, "num_heads": 4,
                                           "spatial_dims": 2}, (32, 32)),
    "VNet": ((3, 1, 2), {}, (16, 16, 16)),
    "HighResNet": ((2, 1, 2), {}, (32, 32)),
    "DenseNet121": ((2, 1, 2), {}, (32, 32)),
    "EfficientNetBN": (("efficientnet-b0",), {"pretrained": False, "spatial_dims": 2, "in_channels": 1}, (64, 64)),
    "SEResNet50": ((), {"spatial_dims": 2, "in_channels": 1}, (32, 32)),
    "resnet10": ((), {"spatial_dims": 2, "n_input_channels": 1}, (32, 32)),
    "AHNet": ((), {"spatial_dims": 2, "in_channels": 1, "out_channels": 2, "psp_block_num": 0}, (64, 64)),
    "FlexibleUNet": ((1, 2, "efficientnet-b0"), {"spatial_dims": 2}, (64, 64)),
    "AutoEncoder": ((2, 1, 1), {"channels": (4, 8), "strides": (2, 2)}, (32, 32)),
    "VarAutoEncoder": ((2, (1, 32, 32), 1, 8), {"channels": (4, 8), "strides": (2, 2)}, (32, 32)),
    "Regressor": (((1, 32, 32), (2,)), {"channels": (4, 8), "strides": (2, 2)}, (32, 32)),
    "RegUNet": ((2, 1, 4, 2), {}, (32, 32)),
    "MILModel": None,
    "TorchVisionFCModel": None,
    "DiffusionModelUNet": None,
    "AutoencoderKL": ((2, 1, 1, (1, 1), (8, 16), (False, True)), {"latent_channels": 2, "norm_num_groups": 4},
                      (32, 32)),
    "VQVAE": ((2, 1, 1), {"channels": (8, 8), "num_res_layers": 1, "num_res_channels": (8, 8),
                          "downsample_parameters": ((2, 4, 1, 1), (2, 4, 1, 1)),
                          "upsample_parameters": ((2, 4, 1, 1, 0), (2, 4, 1, 1, 0)), "num_embeddings": 16,
                          "embedding_dim": 4}, (32, 32)),
    "PatchDiscriminator": ((2, 8, 1), {"num_layers_d": 2}, (64, 64)),
    "MedNeXtSmall": ((), {"spatial_dims": 2, "in_channels": 1, "out_channels": 2}, (64, 64)),
}  # fmt: skip
_MONAI_NAMES = {"UNet3D": "UNet", "SwinUNETR2D": "SwinUNETR"}


def _monai(name: str) -> Built:
    import monai.networks.nets as nets

    args, kwargs, space = _MONAI[name]
    return Built(getattr(nets, _MONAI_NAMES.get(name, name))(*args, **kwargs), torch.rand(1, 1, *space))


# segmentation-models-pytorch

_ENCODERS = ("resnet18", "mobilenet_v2", "timm-efficientnet-b0", "mit_b0", "densenet121", "vgg11", "xception")


def _smp_names() -> list[str]:
    heads = ("Unet", "UnetPlusPlus", "MAnet", "Linknet", "FPN", "PSPNet", "PAN", "DeepLabV3", "DeepLabV3Plus",
             "UPerNet", "Segformer")  # fmt: skip
    return [f"{head}/resnet18" for head in heads] + [f"Unet/{encoder}" for encoder in _ENCODERS[1:]] + ["DPT/vit"]


def _smp(name: str) -> Built:
    import segmentation_models_pytorch as smp

    head, _, encoder = name.partition("/")
    encoder = "tu-vit_tiny_patch16_224.augreg_in21k" if encoder == "vit" else encoder
    size = {"DPT": 224, "PAN": 128, "UPerNet": 224}.get(head, 64)
    return Built(getattr(smp, head)(encoder, encoder_weights=None), torch.rand(1, 3, size, size))


# diffusers

_TIME, _TEXT = torch.tensor([3]), (1, 6, 16)
_DOWN, _UP = ("DownBlock2D", "CrossAttnDownBlock2D"), ("CrossAttnUpBlock2D", "UpBlock2D")
_SMALL: dict[str, Any] = {"block_out_channels": (8, 16), "norm_num_groups": 4, "layers_per_block": 1}
_KL = {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2, **_SMALL}
_PATCH: dict[str, Any] = {"num_attention_heads": 2, "attention_head_dim": 8, "num_layers": 2}
_DIFFUSERS: dict[str, Any] = {
    "AutoencoderKL": (_KL, {"sample": (1, 3, 32, 32)}),
    "AutoencoderTiny": ({"encoder_block_out_channels": (8, 8), "decoder_block_out_channels": (8, 8),
                         "num_encoder_blocks": (1, 1), "num_decoder_blocks": (1, 1)}, {"sample": (1, 3, 32, 32)}),
    "VQModel": (_KL | {"num_vq_embeddings": 16}, {"sample": (1, 3, 32, 32)}),
    "AsymmetricAutoencoderKL": ({"down_block_types": ("DownEncoderBlock2D",) * 2, "norm_num_groups": 4,
                                 "down_block_out_channels": (8, 16), "up_block_out_channels": (8, 16),
                                 "up_block_types": ("UpDecoderBlock2D",) * 2}, {"sample": (1, 3, 32, 32)}),
    "AutoencoderKLTemporalDecoder": ({"down_block_types": ("DownEncoderBlock2D",) * 2, "block_out_channels": (32, 64)},
                                     None),
    "AutoencoderDC": ({"encoder_block_out_channels": (16, 32), "decoder_block_out_channels": (16, 32),
                       "encoder_layers_per_block": (1, 1), "decoder_layers_per_block": (1, 1),
                       "encoder_block_types": "ResBlock", "decoder_block_types": "ResBlock",
                       "encoder_qkv_multiscales": ((), ()), "decoder_qkv_multiscales": ((), ())},
                      {"sample": (1, 3, 32, 32)}),
    "UNet2DModel": ({"down_block_types": ("DownBlock2D", "AttnDownBlock2D"), "attention_head_dim": 8,
                     "up_block_types": ("AttnUpBlock2D", "UpBlock2D"), "norm_eps": 1e-5, **_SMALL},
                    {"sample": (1, 3, 32, 32), "timestep": _TIME}),
    "UNet1DModel": ({"block_out_channels": (8, 16, 16), "extra_in_channels": 16},
                    {"sample": (1, 2, 64), "timestep": _TIME}),
    "UNet2DConditionModel": ({"down_block_types": _DOWN, "up_block_types": _UP, "cross_attention_dim": 16,
                              "attention_head_dim": 4, **_SMALL},
                             {"sample": (1, 4, 16, 16), "timestep": _TIME, "encoder_hidden_states": _TEXT}),
    "UNet3DConditionModel": ({"down_block_types": ("CrossAttnDownBlock3D", "DownBlock3D"), "cross_attention_dim": 16,
                              "up_block_types": ("UpBlock3D", "CrossAttnUpBlock3D"), "attention_head_dim": 4, **_SMALL},
                             {"sample": (1, 4, 4, 16, 16), "timestep": _TIME, "encoder_hidden_states": _TEXT}),
    "ControlNetModel": ({"down_block_types": _DOWN, "cross_attention_dim": 16, "attention_head_dim": 4,
                         "conditioning_embedding_out_channels": (8, 8), **_SMALL},
                        {"sample": (1, 4, 16, 16), "timestep": _TIME, "encoder_hidden_states": _TEXT,
                         "controlnet_cond": (1, 3, 32, 32)}),
    "DiTTransformer2DModel": (_PATCH | {"sample_size": 16, "norm_num_groups": 4},
                              {"hidden_states": (1, 4, 16, 16), "timestep": _TIME, "class_labels": _TIME}),
    "Transformer2DModel": (_PATCH | {"in_channels": 16, "norm_num_groups": 4, "cross_attention_dim": 16},
                           {"hidden_states": (1, 16, 16, 16), "encoder_hidden_states": _TEXT}),
    "PixArtTransformer2DModel": (_PATCH | {"sample_size": 16, "cross_attention_dim": 16, "caption_channels": 16},
                                 {"hidden_states": (1, 4, 16, 16), "encoder_hidden_states": _TEXT, "timestep": _TIME,
                                  "added_cond_kwargs": {"resolution": None, "aspect_ratio": None}}),
    "SD3Transformer2DModel": (_PATCH | {"sample_size": 16, "in_channels": 4, "joint_attention_dim": 16,
                                        "caption_projection_dim": 16, "pooled_projection_dim": 16, "out_channels": 4},
                              {"hidden_states": (1, 4, 16, 16), "encoder_hidden_states": _TEXT,
                               "pooled_projections": (1, 16), "timestep": _TIME}),
}  # fmt: skip


def _diffusers(name: str) -> Built:
    import diffusers

    kwargs, shapes = _DIFFUSERS[name]
    inputs = {key: torch.rand(*item) if isinstance(item, tuple) else item for key, item in shapes.items()}
    return Built(getattr(diffusers, name)(**kwargs), inputs)


# torchvision and timm, of which the zoo has all at their own sizes

_IMAGE = {
    "torchvision": ("resnet18", "mobilenet_v3_small", "shufflenet_v2_x0_5", "squeezenet1_1", "mnasnet0_5"),
    "timm": ("resnet10t", "mobilenetv4_conv_small_035", "ghostnetv3_050", "efficientvit_b0", "repvgg_a0"),
}


def _torchvision(name: str) -> Built:
    import torchvision

    return Built(torchvision.models.get_model(name, weights=None), torch.rand(1, 3, 64, 64))


def _timm(name: str) -> Built:
    import timm

    return Built(timm.create_model(name), torch.rand(1, 3, 64, 64))


def _some(table: dict[str, Any]) -> Callable[[], list[str]]:
    return lambda: [name for name, row in table.items() if row is not None and None not in row]


def _more(made: Callable[[str], tuple[Any, ...]]) -> Callable[[str], Built]:
    return lambda name: Built(*made(name))


LIBRARIES: dict[str, tuple[Callable[[], list[str]], Callable[[str], Built]]] = {
    "diffusers": (_some(_DIFFUSERS), _diffusers),
    "monai": (_some(_MONAI), _monai),
    "smp": (_smp_names, _smp),
    "torchaudio": (lambda: list(more.AUDIO), _more(more.torchaudio)),
    "kornia": (lambda: list(more.KORNIA), _more(more.kornia)),
    "torch_geometric": (more.pyg_names, _more(more.pyg)),
    "keras_hub": (lambda: list(more.KERAS), _more(more.keras_hub)),
    "effdet": (lambda: ["tf_efficientdet_lite0", "efficientdet_d0"], _more(more.effdet)),
    "open_clip": (lambda: ["vit", "resnet"], _more(more.open_clip)),
    "ultralytics": (_ultralytics_names, _ultralytics),
    "torchvision": (lambda: list(_IMAGE["torchvision"]), _torchvision),
    "timm": (lambda: list(_IMAGE["timm"]), _timm),
    "transformers": (_transformers_names, _transformers),
}
