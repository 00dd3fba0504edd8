"""Networks for sound, sensors and text, small and with random weights: what benchmarks/streams.py runs.

A row of ``NETWORKS`` is what makes the network, its inputs, and what ``foveal.stream`` is told.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests"))


class First(nn.Module):
    """The first tensor of what a model returns; ``axis``: brought behind the batch."""

    def __init__(self, model: nn.Module, pick: Any = None) -> None:
        super().__init__()
        self.model, self.pick = model, pick or (lambda made: made[0])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.pick(self.model(x))


def _hf(name: str, **options: Any) -> nn.Module:
    import transformers

    configuration = getattr(transformers, f"{name}Config")(**options)
    suffix = "ForCausalLM" if "vocab_size" in options and name != "Whisper" else "Model"
    suffix = "LMHeadModel" if name == "GPT2" else suffix
    return getattr(transformers, name + suffix)(configuration)


SPEECH = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "conv_dim": [8] * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
}
TEXT = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 512,
}
CODEC = {"num_filters": 4, "hidden_size": 16, "codebook_dim": 16, "codebook_size": 16}
IDS = torch.arange(48)[None] % 97


def _mimi() -> nn.Module:
    return _hf(
        "Mimi",
        num_filters=4,
        hidden_size=16,
        codebook_size=16,
        codebook_dim=8,
        vector_quantization_hidden_dimension=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=8,
        intermediate_size=16,
        sliding_window=8,
        upsample_groups=16,
    )


def _dac() -> nn.Module:
    return _hf(
        "Dac",
        encoder_hidden_size=4,
        decoder_hidden_size=32,
        hidden_size=64,
        n_codebooks=2,
        codebook_size=16,
        codebook_dim=4,
    )


def _audio(name: str, *args: Any, **options: Any) -> nn.Module:
    import torchaudio

    return getattr(torchaudio.models, name)(*args, **options)


def _own(name: str, *args: Any, **options: Any) -> nn.Module:
    from support.networks import stream_networks

    return getattr(stream_networks, name)(*args, **options)


def _causal(channels: int, dilations: list[int], kernel: int) -> nn.Module:
    layers: list[nn.Module] = []
    for d in dilations:
        layers += [
            nn.ConstantPad1d(((kernel - 1) * d, 0), 0.0),
            nn.Conv1d(channels, channels, kernel, dilation=d),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers)


def _encodec_small() -> nn.Module:
    def pad(n: int) -> nn.Module:
        return nn.ConstantPad1d((n, 0), 0.0)

    return nn.Sequential(
        pad(6),
        nn.Conv1d(1, 256, 7),
        pad(2),
        nn.ELU(),
        nn.Conv1d(256, 256, 4, 2),
        pad(4),
        nn.ELU(),
        nn.Conv1d(256, 256, 8, 4),
    )


class WithLengths(nn.Module):
    """A model that is told how long its input is; the first of what it returns."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.model(x, torch.tensor([x.shape[1]]))[0]


def _emformer() -> nn.Module:
    return WithLengths(_audio("Emformer", 16, 2, 16, 1, 4))


def _conformer() -> nn.Module:
    return WithLengths(_audio("Conformer", 16, 2, 16, 1, 7))


class Silero(nn.Module):
    """Silero's detector of speech over a whole sound, with the weights of the package's 16 kHz model: windows of 512
    samples with 64 before, mirrored by 64 behind; a spectrum by convolution; four convolutions; a cell over windows.
    """

    def __init__(self) -> None:
        super().__init__()
        shapes = ((1, 258, 256, 128, 0), (129, 128, 3, 1, 1), (128, 64, 3, 2, 1), (64, 64, 3, 2, 1), (64, 128, 3, 1, 1))
        self.convs = nn.ModuleList(nn.Conv1d(*shape, bias=place > 0) for place, shape in enumerate(shapes))
        self.cell, self.last = nn.LSTM(128, 128, batch_first=True), nn.Conv1d(128, 1, 1)
        names = {"stft.forward_basis_buffer": "convs.0.weight"}
        names |= {f"encoder.{k}.reparam_conv.{w}": f"convs.{k + 1}.{w}" for k in range(4) for w in ("weight", "bias")}
        names |= {f"decoder.rnn.{w}": f"cell.{w}_l0" for w in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
        names |= {f"decoder.decoder.2.{w}": f"last.{w}" for w in ("weight", "bias")}
        found = own_silero().state_dict()
        self.load_state_dict({ours: found[f"_model.{theirs}"] for theirs, ours in names.items()})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pad = nn.functional.pad
        x = pad(x, (64, 0)).unfold(-1, 576, 512)
        batch, count = x.shape[:2]
        x = self.convs[0](pad(x.reshape(batch * count, 1, 576), (0, 64), mode="reflect"))
        x = (x[:, :129] ** 2 + x[:, 129:] ** 2).sqrt()
        for conv in self.convs[1:]:
            x = torch.relu(conv(x))
        x = torch.relu(self.cell(x.reshape(batch, count, 128))[0]).transpose(1, 2)
        return torch.sigmoid(self.last(x))[:, 0]


def own_silero() -> Any:
    """The package's model, with its own state."""
    import silero_vad

    return torch.jit.load(str(Path(silero_vad.__file__).parent / "data" / "silero_vad.jit"), map_location="cpu").eval()


def against_silero(running: Any, model: nn.Module) -> list[float]:
    """Largest differences on 20 seconds of made-up voiced sound (the package holds none) from what the package's model
    gives window by window: of the whole run, and of the form with state in chunks of random sizes.
    """
    time_axis = torch.arange(320000 // 512 * 512) / 16000
    pitch = torch.cumsum(120 + 30 * torch.sin(2 * torch.pi * 2.5 * time_axis), 0) * 2 * torch.pi / 16000
    loud = [float(torch.exp(torch.tensor(-(((k * 120 - 700) / 900) ** 2)))) / k for k in range(1, 25)]
    voice = sum(share * torch.sin((k + 1) * pitch) for k, share in enumerate(loud))
    on = (torch.sin(2 * torch.pi * 3 * time_axis) > -0.2) & (torch.sin(torch.pi * time_axis) > -0.3)
    sound = (0.25 * voice * on + 0.01 * torch.randn(len(time_axis)))[None]
    theirs = own_silero()
    with torch.no_grad():
        told = torch.tensor([[float(theirs(part, 16000)) for part in sound.split(512, 1)]])
        sizes = torch.randint(1, 3000, (1000,)).tolist()
        return [float((made - told).abs().max()) for made in (model(sound), running.run(sound, sizes))]


class Cell(nn.Module):
    """A GRU along time behind a strided convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.cell = nn.Conv1d(1, 8, 4, 4), nn.GRU(8, 8, 2, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.cell(self.conv(x).transpose(1, 2))[0].transpose(1, 2)


NETWORKS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "wav2vec2 front end": (
        lambda: _hf("Wav2Vec2", **SPEECH | {"conv_dim": [512] * 7}, feat_extract_norm="layer").feature_extractor,
        (1, 4800),
        {"rate": 16000.0},
    ),
    "wav2vec2 front end, group norm": (
        lambda: _hf("Wav2Vec2", **SPEECH).feature_extractor,
        (1, 4800),
        {"rate": 16000.0},
    ),
    "wav2vec2": (lambda: _hf("Wav2Vec2", **SPEECH, feat_extract_norm="layer"), (1, 4800), {"rate": 16000.0}),
    "hubert front end": (
        lambda: _hf("Hubert", **SPEECH, feat_extract_norm="layer").feature_extractor,
        (1, 4800),
        {"rate": 16000.0},
    ),
    "whisper encoder": (
        lambda: (
            _hf(
                "Whisper",
                d_model=16,
                encoder_layers=1,
                decoder_layers=1,
                encoder_attention_heads=2,
                decoder_attention_heads=2,
                encoder_ffn_dim=16,
                decoder_ffn_dim=16,
                num_mel_bins=8,
                max_source_positions=50,
                vocab_size=64,
                pad_token_id=1,
                bos_token_id=1,
                eos_token_id=1,
                decoder_start_token_id=1,
            ).encoder
        ),
        (1, 8, 100),
        {},
    ),
    "encodec encoder": (lambda: _hf("Encodec", **CODEC).encoder, (1, 1, 6400), {"rate": 24000.0}),
    "encodec decoder": (lambda: _hf("Encodec", **CODEC).decoder, (1, 16, 24), {"rate": 75.0}),
    "encodec strides 2, 4": (_encodec_small, (1, 1, 1600), {"rate": 16000.0}),
    "dac encoder": (lambda: _dac().encoder, (1, 1, 8192), {"rate": 44100.0}),
    "dac decoder": (lambda: _dac().decoder, (1, 64, 24), {}),
    "mimi encoder": (lambda: _mimi().encoder, (1, 1, 7680), {"rate": 24000.0}),
    "mimi decoder": (lambda: _mimi().decoder, (1, 16, 12), {}),
    "mistral": (lambda: _hf("Mistral", **TEXT, head_dim=16, sliding_window=8), (IDS,), {}),
    "gemma 2": (lambda: _hf("Gemma2", **TEXT, head_dim=16, sliding_window=8), (IDS,), {}),
    "gpt 2": (lambda: _hf("GPT2", vocab_size=97, n_embd=32, n_layer=2, n_head=2, n_positions=512), (IDS,), {}),
    "conv-tasnet": (lambda: _audio("ConvTasNet", 2, 16, 16, 3, 8, 16, 3, 1), (1, 1, 1600), {"rate": 8000.0}),
    "conformer": (_conformer, (1, 40, 16), {}),
    "emformer": (_emformer, (1, 40, 16), {}),
    "wav2letter": (lambda: _audio("Wav2Letter", 8, "mfcc", 16), (1, 16, 400), {}),
    "tcn": (lambda: _causal(512, [1, 2, 4, 8], 3), (1, 512, 256), {}),
    "wavenet": (lambda: _causal(256, [2**k for k in range(8)], 2), (1, 256, 1024), {"rate": 16000.0}),
    "tcn, 8 channels": (lambda: _causal(8, [1, 2, 4, 8], 3), (1, 8, 256), {}),
    "wavenet, 8 channels": (lambda: _causal(8, [2**k for k in range(8)], 2), (1, 8, 1024), {}),
    "hifi-gan v1": (lambda: _own("HiFiGan"), (1, 1, 40), {}),
    "kaldi tdnn": (lambda: _own("tdnn"), (1, 1, 80), {}),
    "zipformer front end": (lambda: _own("Zipformer"), (1, 1, 40, 20), {"axis": "H"}),
    "wenet subsampling 4": (lambda: _own("Subsampling", (3, 2), (3, 2)), (1, 1, 64, 20), {"axis": "H"}),
    "silero": (Silero, (1, 16384), {"rate": 16000.0}),
    "deepfilternet": (lambda: _own("DeepFilter"), (1, 1, 40, 3), {"axis": "H"}),
    "vocos, istft": (lambda: _own("Vocos", False), (1, 2, 24), {}),
    "vocos, irfft and fold": (lambda: _own("Vocos", True), (1, 2, 24), {}),
    "phasenet": (lambda: _own("PhaseNet"), (1, 3, 3001), {"rate": 100.0}),
    "gru behind a convolution": (Cell, (1, 1, 400), {"rate": 16000.0}),
    "attention in windows": (lambda: nn.Sequential(*(_own("window", 5) for _ in range(10))), (1, 2, 96), {}),
}
