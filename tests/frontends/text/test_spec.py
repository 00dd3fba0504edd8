"""The text specification: what it accepts, the graphs it gives, and one-line errors for the rest."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from foveal.core.errors import SourceError
from foveal.frontends.text.kinds import KINDS
from foveal.frontends.text.layers import BUILDERS
from foveal.frontends.text.model import BranchSpec, LayerSpec, RepeatSpec, ScopeSpec
from foveal.frontends.text.trace import parse_spec, trace_spec
from foveal.ir.graph import Graph
from foveal.ir.ops import Contract, Convolution, Mix, Pad, Pool, Resample, TransposedConvolution
from support.paths import DOCS

IMAGE = (1, 3, 32, 32)
README_LINE = "conv3x64 conv3x64 pool2 conv3x128,s2,d2 [conv3x128 | id] gap fc1000"


def shape(graph: Graph, layer: str | None = None) -> tuple[int, ...]:
    """Shape of a layer, or of the last one."""
    return graph.values[graph.layer(layer or graph.layers[-1]).value].shape


def first(graph: Graph, kind: type) -> object:
    """The first operation of that kind."""
    return next(node.op for node in graph.nodes if isinstance(node.op, kind))


def error(text: str, input_shape: tuple[int, ...] | None = IMAGE) -> str:
    """The message that a faulty specification gets; it must be one line."""
    with pytest.raises(SourceError) as caught:
        trace_spec(text, input_shape)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_the_line_of_the_readme() -> None:
    graph = trace_spec(README_LINE, (1, 3, 224, 224))
    assert graph.layers == ["conv1", "conv2", "pool1", "conv3", "conv4", "add1", "gap1", "fc1"]
    assert [shape(graph, name)[1:] for name in ("conv2", "pool1", "conv3", "add1", "gap1", "fc1")] == [
        (64, 224, 224), (64, 112, 112), (128, 56, 56), (128, 56, 56), (128, 1, 1), (1000,),
    ]  # fmt: skip
    assert graph.parameters == (3 * 9 + 1) * 64 + (64 * 9 + 1) * (64 + 128) + (128 * 9 + 1) * 128 + 129 * 1000


def test_every_kind_has_a_builder() -> None:
    assert set(KINDS) - {"save", "from", "add", "cat", "mul"} == set(BUILDERS)


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"save", "from", "add", "cat", "mul", "causal"}))
def test_every_example_of_the_table_builds(kind: str) -> None:
    trace_spec(f"conv1x64 {KINDS[kind].example}", (1, 3, 32, 32))


def test_the_tree() -> None:
    layer, repeat, scope = parse_spec("conv3x8,s2 2*[conv1 | id] stage:{conv1 | conv3}").items
    assert isinstance(layer, LayerSpec)
    assert (layer.kind, layer.size, layer.channels, layer.number("s")) == ("conv", ((3, 3),), 8, ((2, 2),))
    assert isinstance(repeat, RepeatSpec)
    assert isinstance(scope, ScopeSpec)
    assert repeat.times == 2
    assert [item.join for item in (*repeat.items, *scope.items) if isinstance(item, BranchSpec)] == ["add", "cat"]


def test_padding_keeps_the_size_of_odd_kernels() -> None:
    assert shape(trace_spec("conv5x8,d2", IMAGE)) == (1, 8, 32, 32)
    assert first(trace_spec("conv4x8,s2", IMAGE), Convolution).padding == ((1, 1), (1, 1))  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "padding"),
    [
        ("conv3x8,p0", ((0, 0), (0, 0))),
        ("conv3x8,valid", ((0, 0), (0, 0))),
        ("conv3x8,p1:2", ((1, 2), (1, 2))),
        ("conv3x8,p(0,1:2)", ((0, 0), (1, 2))),
        ("conv3x8,s2,same", ((0, 1), (0, 1))),
        ("crop1:0 conv3x8,s2,same", ((1, 1), (1, 1))),
        ("conv(1,7)x8", ((0, 0), (3, 3))),
    ],
)
def test_padding(text: str, padding: tuple[tuple[int, int], ...]) -> None:
    assert first(trace_spec(text, IMAGE), Convolution).padding == padding  # type: ignore[attr-defined]


def test_one_and_three_dimensions() -> None:
    assert shape(trace_spec("conv3x8,s2 pool2", (1, 2, 64))) == (1, 8, 16)
    assert shape(trace_spec("conv(1,3,3)x8,s(1,2,2) pool2", (1, 2, 8, 32, 32))) == (1, 8, 4, 8, 8)


def test_causal_pads_before_only() -> None:
    graph = trace_spec("causal3x8,d4", (1, 2, 64))
    assert shape(graph) == (1, 8, 64)
    assert first(graph, Convolution) == Convolution((3,), (1,), ((8, 0),), (4,), 1)
    assert "one time axis" in error("causal3x8")


def test_transposed_convolution() -> None:
    assert shape(trace_spec("tconv2x8,s2", IMAGE)) == (1, 8, 64, 64)
    assert shape(trace_spec("tconv3x8,s2", IMAGE)) == (1, 8, 63, 63)
    graph = trace_spec("tconv3x8,s2,op1", IMAGE)
    assert shape(graph) == (1, 8, 64, 64)
    assert first(graph, TransposedConvolution) == TransposedConvolution((3, 3), (2, 2), (1, 1), (1, 1), 1)


def test_pools() -> None:
    assert first(trace_spec("pool3", IMAGE), Pool) == Pool((3, 3), (3, 3), ((0, 0), (0, 0)), (1, 1), "max")
    assert shape(trace_spec("pool3,s2", IMAGE)) == (1, 3, 15, 15)
    assert shape(trace_spec("avgpool3,s2,ceil", IMAGE)) == (1, 3, 16, 16)
    assert shape(trace_spec("avgpool2,s2,p1,ceil", (1, 3, 31, 31))) == (1, 3, 16, 16)
    assert shape(trace_spec("adaptive(4,7)", IMAGE)) == (1, 3, 4, 7)
    assert shape(trace_spec("gap", IMAGE)) == (1, 3, 1, 1)


def test_moves() -> None:
    assert shape(trace_spec("unshuffle2", IMAGE)) == (1, 12, 16, 16)
    assert shape(trace_spec("unshuffle2 shuffle2", IMAGE)) == IMAGE
    assert shape(trace_spec("pad1:2 crop(0,3)", IMAGE)) == (1, 3, 35, 29)
    assert first(trace_spec("pad2,reflect", IMAGE), Pad).mode == "reflect"  # type: ignore[attr-defined]
    assert first(trace_spec("up2,bilinear,align", IMAGE), Resample) == Resample(
        (2, 3), "linear", align_corners=True, scales=(2.0, 2.0)
    )


def test_norms_say_what_they_read() -> None:
    mixes = {text: first(trace_spec(f"conv1x32 {text}", IMAGE), Mix) for text in ("bn,train", "gn8", "in", "ln")}
    assert mixes == {
        "bn,train": Mix((0, 2, 3), "normalize"),
        "gn8": Mix((1, 2, 3), "normalize", (1, 8)),
        "in": Mix((2, 3), "normalize"),
        "ln": Mix((1,), "normalize"),
    }
    assert not any(isinstance(node.op, Mix) for node in trace_spec("bn", IMAGE).nodes)


def test_attention_and_squeeze_excite() -> None:
    graph = trace_spec("conv4x32,s4 [attention4 | id] se4", IMAGE)
    assert shape(graph) == (1, 32, 8, 8)
    assert sum(isinstance(node.op, Contract) for node in graph.nodes) == 6
    assert graph.layer("attention1").parameters == 4 * (32 * 32 + 32)
    assert graph.layer("se1").parameters == 32 * 8 + 8 + 8 * 32 + 32


@pytest.mark.parametrize(
    ("text", "parameters"),
    [
        ("conv3x8", 3 * 8 * 9 + 8),
        ("conv3x8,nobias", 3 * 8 * 9),
        ("conv3x8 bn", 3 * 8 * 9 + 16),
        ("conv3x8,bn,relu", 3 * 8 * 9 + 16),
        ("(conv3x8) bn", 3 * 8 * 9 + 16),
        ("conv3x8,bias bn", 3 * 8 * 9 + 8 + 16),
        ("conv3,dw", 3 * 9 + 3),
        ("conv1x6 conv3x12,g3", 3 * 6 + 6 + 12 * 2 * 9 + 12),
        ("fc10", 3 * 32 * 32 * 10 + 10),
    ],
)
def test_parameters(text: str, parameters: int) -> None:
    assert trace_spec(text, IMAGE).parameters == parameters


def test_names() -> None:
    graph = trace_spec("conv3x8,name=stem stage:(conv3 2*[conv3 | id]) 2*unit:(conv1) unit:conv1", IMAGE)
    assert graph.layers == [
        "stem", "stage.conv1", "stage.conv2", "stage.add1", "stage.conv3", "stage.add2", "stage",
        "unit.conv1", "unit", "unit#2.conv1", "unit#2", "unit#3.conv1", "unit#3",
    ]  # fmt: skip
    assert not graph.layer("stage").leaf
    assert graph.layer("stage").value == graph.layer("stage.add2").value
    assert graph.nodes[1].scope == "stage.conv1"


def test_joins_and_saved_values() -> None:
    assert shape(trace_spec("{conv1x4 | conv3x5 | id}", IMAGE))[1] == 12
    assert shape(trace_spec("conv3x8 save=a pool2 conv3x8 up2 cat=a", IMAGE)) == (1, 16, 32, 32)
    assert shape(trace_spec("conv3x8,valid save=a conv3x8,valid cat=a,crop", IMAGE)) == (1, 16, 28, 28)
    gated = trace_spec("<conv3x8,tanh | conv3x8,sigmoid>", IMAGE)
    assert gated.layers[-1] == "mul1"
    pyramid = trace_spec("conv3x8,s2 save=c conv3x8,s2 save=p from=c conv1x8 save=l from=p up2 add=l", IMAGE)
    assert shape(pyramid) == (1, 8, 16, 16)


def test_the_input_in_the_text() -> None:
    assert trace_spec("input=3x32x48 conv3x8").values[0].shape == (1, 3, 32, 48)
    assert trace_spec("input=3x32x48 conv3x8", IMAGE).values[0].shape == IMAGE
    assert "input=3x224x224" in error("conv3x8", None)
    for shape in [(3, 32), (1, 3, 0, 32), (1, 3, 1 << 30), (1, 3, 32.0), ((1, 3, 32, 32),)]:
        assert "batch, channels" in error("conv3x8", shape)  # type: ignore[arg-type]


YAML = """
name: tiny
input: 3x32x32
layers:
  - conv3x8
  - bn relu
  - name: stage
    repeat: 2
    layers: ["[conv3x8,bn,relu conv3x8,bn | id] relu"]
  - concatenate:
      - conv1x4
      - [conv1x4, {multiply: [conv3x4, id]}]
  - gap fc10
"""


def test_yaml_says_the_same_as_the_line() -> None:
    line = (
        "conv3x8 bn relu stage:(2*([conv3x8,bn,relu conv3x8,bn | id] relu)) {conv1x4 | conv1x4 <conv3x4 | id>} gap fc10"
    )
    graph, same = trace_spec(YAML), trace_spec(line, IMAGE)
    assert graph.name == "tiny"
    assert graph.layers == same.layers
    assert list(graph.lines()) == list(same.lines())
    assert graph.parameters == same.parameters


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "small.yaml"
    path.write_text("input: [3, 32, 32]\nlayers: conv3x8 gap fc10\n")
    assert trace_spec(str(path)).name == "small"
    path.write_bytes(b"\xff\xfe\x00")
    assert "cannot read the specification" in error(str(path))
    assert "cannot read the specification" in error(str(tmp_path / "none.yaml"))


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (
            "conv3x8 cnov3x64",
            [
                "token 2 'cnov3x64' at character 9",
                "unknown layer kind 'cnov'",
                "closest: conv",
                "allowed: conv, causal",
            ],
        ),
        ("conv3x16s2", ["a comma stands before each option", "write conv3x16,s2"]),
        ("conv3x16s2p1 gap", ["token 1 'conv3x16s2p1'", "write conv3x16,s2,p1"]),
        ("pool2s2", ["write pool2,s2"]),
        ("conv3x16p(1,2)", ["write conv3x16,p(1,2)"]),
        ("conv3x16relu", ["write conv3x16,relu"]),
        ("conv3x16q7", ["'q7' after 'conv3x16' is not understood", "options after commas"]),
        ("conv", ["'conv' needs a size", "conv3x64"]),
        ("conv3x8,stride2", ["no option 'stride2'", "allowed: bias, d, dw"]),
        ("conv3x8,rleu", ["no option 'rleu'", "closest: relu"]),
        ("pool2x8", ["takes no channel count"]),
        ("gap2", ["takes no size"]),
        ("conv3x0", ["at least 1"]),
        ("conv3x8,s0", ["must be at least 1"]),
        ("conv3x8,s1:2", ["only p may differ"]),
        ("conv1:2x8", ["one number per axis"]),
        ("conv3x99999999999", ["larger than"]),
        ("conv3x8,p(1,2,3)", ["numbers for 3 axes", "2 spatial axes"]),
        ("conv3x8,same,p1", ["padding twice"]),
        ("conv3x8,g3", ["3 input and 8 output channels", "3 groups"]),
        ("pool2,p2", ["more padding than half"]),
        ("tconv3x8,s2,op2", ["output padding"]),
        ("up2,bilinear,bicubic", ["two ways to interpolate"]),
        ("up2,align", ["needs bilinear"]),
        ("pad40,reflect", ["more than the input has"]),
        ("shuffle2", ["cannot divide 3 channels by 4"]),
        ("crop1:0 unshuffle2", ["cannot divide the space"]),
        ("gn2", ["cannot divide 3 channels into 2 groups"]),
        ("conv1x6 attention4", ["into 4 heads"]),
        ("conv40x8,valid", ["empty output 1x8x-7x-7", "1x3x32x32"]),
        ("fc10 conv3x8", ["needs spatial axes", "shape 1x10"]),
        ("[conv3x8 | id]", ["shapes 1x8x32x32 and 1x3x32x32 cannot be added"]),
        ("{conv3x8,s2 | id}", ["1x8x16x16 and 1x3x32x32 cannot be concatenated"]),
        ("[gap fc3 | id]", ["cannot be added"]),
        ("conv3x8 add=a", ["nothing was saved as 'a'", "saved: none"]),
        ("save=a conv3x3,s2 add=a", ["shapes 1x3x16x16 and 1x3x32x32"]),
        ("save=a up2 cat=a,crop", ["cannot crop 1x3x32x32 to the larger 1x3x64x64"]),
        ("save=", ["not a name"]),
        ("save", ["needs a name: save=a"]),
        ("sav=a", ["closest: save"]),
        ("[conv3x3 | ]", ["empty branch", "write 'id'"]),
        ("[conv3x3]", ["single branch"]),
        ("[conv3x3 | id", ["ends before ']'"]),
        ("conv3x3 | id", ["unexpected '|'"]),
        ("(conv3x3]", ["unexpected ']'; expected one of )"]),
        ("3*", ["ends where an item is expected"]),
        ("0*conv3x3", ["at least 1"]),
        ("999999*999999*id", ["more than 10000"]),
        ("(" * 60 + "id" + ")" * 60, ["inside each other"]),
        ("conv3x8,name=7", ["not a name"]),
        ("input=3 conv3x8", ["channels x space"]),
        ("", ["no layers"]),
        ("(1,7)", ["unknown layer kind '1'"]),
        ("relu7", ["'relu' takes no size"]),
        ("resnet50", ["is a network, not a layer; write gallery:resnet50"]),
        ("layers: [", ["line 1", "not valid YAML"]),
        ("layers: 3", ["expected layers as text"]),
        ("- a\n- layers: x", ["is a mapping with 'layers'"]),
        ("layrs: 3\nlayers: id", ["unknown key 'layrs'", "closest: layers"]),
        ("layers: id\ninput: 3", ["channels x space"]),
        ("layers: [{add: [id]}]", ["layers[0]", "at least two paths"]),
        ("layers: [{repeat: 0, layers: id}]", ["'repeat' must be a number"]),
        ("layers: [{nme: a, layers: id}]", ["unknown key 'nme'", "closest: name"]),
        ("layers: [conv3x8, cnov3x8]", ["layers[1], token 1 'cnov3x8'"]),
        ("layers: &a [*a, id]", ["parts, aliases counted"]),
    ],
)
def test_errors(text: str, parts: list[str]) -> None:
    message = error(text)
    for part in parts:
        assert part in message


def test_no_text_escapes_the_error_family() -> None:
    """Every text is a network or a SourceError, whatever its characters: each cut and each swap of one valid text."""
    text = "input=3x8x8 a:(conv3x4,s2,p1:2,bn) 2*[conv(1,3) | id] {conv1x2|pool1} <id|id> save=z up2 crop1 fc2"
    variants = [text[:end] for end in range(len(text))]
    variants += [text[:at] + mark + text[at + 1 :] for at in range(len(text)) for mark in "x,:(]|0é*="]
    messages = []
    for variant in variants:
        try:
            trace_spec(variant, (1, 3, 8, 8))
        except SourceError as caught:
            messages.append(str(caught))
    assert len(messages) > len(variants) / 2
    assert not any("\n" in message for message in messages)


DOCUMENT = DOCS / "specification.md"


def test_the_examples_of_the_documentation() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    examples = re.findall(r"^\| [^|]+ \| `(.*?)`", text.split("## Examples")[1].split("##")[0], re.MULTILINE)
    assert len(examples) == 6
    for example in examples:
        line = example.replace("\\|", "|")
        trace_spec(line, (1, 16, 64) if "causal" in line else (1, 16, 64, 64))
    (block,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert shape(trace_spec(block)) == (1, 10)


def test_every_kind_is_documented() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    missing = [kind for kind in KINDS if not re.search(rf"`(\[.*)?{kind}\b|`{kind}\d", text)]
    assert missing == []
