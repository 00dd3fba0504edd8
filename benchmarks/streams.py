"""Networks for sound, sensors and text as streams: the plan, both ways of running it against the whole, and their time.

    python benchmarks/streams.py                         all networks whose library is installed
    python benchmarks/streams.py --only 'encodec*'       those that match a shell pattern
    python benchmarks/streams.py --summary docs/streams.md

Each network is a line of streams-output/streams.jsonl, written as soon as it is known; what has a line is skipped, so
an interrupted run goes on where it stopped. Structure is that of the library with few channels and random weights.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch
from torch import nn

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "tests"))
OUTPUT = Path("streams-output") / "streams.jsonl"
START, END = "<!-- networks -->", "<!-- end of networks -->"
ROUNDS, CHUNKS = 5, 12
TIMED = ("tcn", "wavenet", "wav2vec2 front end", "encodec strides 2, 4", "tcn, 8 channels", "wavenet, 8 channels")
"""Those whose time is measured."""


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


def examine(name: str) -> dict[str, Any]:
    """One line; never raises."""
    import foveal

    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    torch.set_num_threads(1)
    make, inputs, options = NETWORKS[name]
    line: dict[str, Any] = {"name": name, "status": "ok", "error": ""}
    started = time.perf_counter()
    try:
        graph = foveal.trace(make().eval(), inputs)
        plan = foveal.stream(graph, **options)
        line |= {
            "stride": str(plan.stride),
            "step": plan.step,
            "back": _text(plan.lookback),
            "ahead": _text(plan.lookahead),
            "left": plan.left,
            "right": plan.right,
            "chunk": plan.chunk,
            "overlap": plan.overlap.status,
            "overlap_why": plan.overlap.why[:200],
            "state": plan.state.status,
            "state_why": plan.state.why[:200],
            "twice": plan.twice,
            "kept": plan.elements,
            "first": None if plan.begin is None else str(plan.begin.reach),
        }
        if name in TIMED and plan.state.status == "exact":
            line["times"] = _times(graph, plan)
        if name == "silero":
            running = graph.backend.streaming(plan.source.name, 1, plan.step, plan.layer)
            line["own streaming"] = against_silero(running, graph.backend.model)
    except Exception as error:
        line |= {"status": "failed", "error": f"{type(error).__name__}: {error}".replace("\n", " ")[:300]}
    line["seconds"] = round(time.perf_counter() - started, 1)
    return line


def _times(graph: Any, plan: Any) -> list[float | None]:
    """Processor time of a chunk with context over that of a chunk with state, and over that of the model on the chunk
    alone, which is the most that can be gained (None where it does not run): the least of rounds in turns, float32.
    """
    time_axis = plan.source.axes[plan.axis]
    running = graph.backend.streaming(plan.source.name, time_axis, plan.step, plan.layer)
    example = torch.as_tensor(graph.backend.example(0)[plan.source.name])
    example = example.float() if example.is_floating_point() else example
    shape = list(example.shape)
    shape[time_axis] = plan.left + plan.chunk + plan.right
    long = torch.zeros(shape, dtype=example.dtype)
    short = long.narrow(time_axis, 0, plan.chunk)
    model = graph.backend.model.float()
    state = running.begin()
    best = [float("inf")] * 3
    with torch.no_grad():
        for _ in range(CHUNKS):
            _, state = running(short, state)
        for _ in range(ROUNDS):
            for way in range(3 if _runs(model, short) else 2):
                begun = time.process_time()
                for _ in range(CHUNKS):
                    if way == 1:
                        _, state = running(short, state)
                    else:
                        model(long if way == 0 else short)
                best[way] = min(best[way], time.process_time() - begun)
    return [None if spent == float("inf") else round(best[0] / spent, 2) for spent in best[1:]]


def _runs(model: nn.Module, x: torch.Tensor) -> bool:
    try:
        model(x)
    except RuntimeError:
        return False
    return True


def _text(number: Any) -> str:
    return "all" if number is None else str(number)


def summary(lines: list[dict[str, Any]]) -> str:
    """The table."""
    head = ["| network | before, behind | step | stride | overlap | state | kept |", "|---|---|---|---|---|---|---|"]
    rows = []
    for line in lines:
        if line["status"] != "ok":
            rows.append(f"| {line['name']} | {line['error'][:120]} | | | | | |")
            continue
        ways = [
            {"exact": "equal", "refused": "refused", "approximate": "differs", "unproven": "not run"}[line[way]]
            + (f": {line[way + '_why'].split(';')[0]}" if line[way] != "exact" else "")
            for way in ("overlap", "state")
        ]
        bounded = line["overlap"] == "exact"
        context = (
            f"{line['left']}, {line['right']}" if bounded else f"look-back {line['back']}, look-ahead {line['ahead']}"
        )
        if not bounded and line["back"] != "all" and line["ahead"] != "all":
            context = f"{line['left']}, {line['right']}"
        kept = "" if line["kept"] is None else line["kept"]
        rows.append(
            f"| {line['name']} | {context} | {line['step']} | {line['stride']} | {ways[0]} | {ways[1]} | {kept} |"
        )
    timed = [(line["name"], line["twice"], line["times"]) for line in lines if "times" in line]
    times = ["| chunk with context | positions | time over state's | over the chunk alone |", "|---|---|---|---|"]
    times += [f"| {name} | {1 + twice:.2f} | {a} | {b or 'does not run'} |" for name, twice, (a, b) in timed]
    own = [line["own streaming"] for line in lines if "own streaming" in line]
    told = [
        f"Silero's own results, window by window, differ by {a:.1g} from the whole run and by {b:.1g} from the form "
        "with state in chunks of random sizes (20 s of made-up voiced sound, float32)."
        for a, b in own
    ]
    return "\n".join([*head, *rows, "", *times, "", *told])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="*")
    parser.add_argument("--summary", metavar="FILE")
    given = parser.parse_args()
    OUTPUT.parent.mkdir(exist_ok=True)
    known = {}
    if OUTPUT.exists():
        known = {line["name"]: line for line in map(json.loads, OUTPUT.read_text(encoding="utf-8").splitlines())}
    for name in NETWORKS if given.summary is None else ():
        if name not in known and fnmatchcase(name, given.only):
            known[name] = examine(name)
            with OUTPUT.open("a", encoding="utf-8") as file:
                file.write(json.dumps(known[name]) + "\n")
            print(json.dumps(known[name]), flush=True)
    if given.summary is not None:
        page = Path(given.summary)
        text = page.read_text(encoding="utf-8")
        before, _, rest = text.partition(START)
        table = summary([known[name] for name in NETWORKS if name in known])
        page.write_text(f"{before}{START}\n\n{table}\n\n{END}{rest.partition(END)[2]}", encoding="utf-8")


if __name__ == "__main__":
    main()
