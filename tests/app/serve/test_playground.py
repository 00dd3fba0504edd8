"""What the playground answers: sizes, places of errors, and PyTorch code that is the same network."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch

from foveal import receptive_field, trace
from foveal.app.serve.playground import code, field, growth, summary
from foveal.frontends.text import gallery
from foveal.frontends.text.trace import parse_spec, trace_spec
from foveal.views.playground.render import Page, messages, playground_page, waiting_page

INPUT = "3x32x32"


def row(said: dict[str, Any], name: str) -> dict[str, Any]:
    return next(layer for layer in said["layers"] if layer["name"] == name)


def test_vgg13_sees_348_at_its_classifier() -> None:
    said = summary("gallery:vgg13", INPUT)
    # By hand: 1 + 2 * (1 + 1) + 1 for the first pair and its pool, then twice as much per step each time: 156 after the
    # fifth pool, plus six strides of 32 for the 7 x 7 map that the classifier reads.
    assert row(said, "pool5")["size"] == [156, 156]
    assert row(said, "fc1")["size"] == [156 + 6 * 32] * 2
    assert said["input"] == "3x224x224"
    # Simonyan and Zisserman 2014, table 2: 133 million.
    assert said["parameters"] == 133_047_848


@pytest.mark.parametrize(("shape", "size"), [("1x64", [11]), ("1x32x32", [11, 11]), ("1x16x16x16", [11, 11, 11])])
def test_five_3_wide_layers_along_any_number_of_axes(shape: str, size: list[int]) -> None:
    said = summary("5*conv3x2", shape)
    assert said["layers"][-1]["size"] == size
    # 3 wide, 1 -> 2 channels, then 2 -> 2, each with two biases.
    taps = 3 ** len(size)
    assert said["parameters"] == (taps * 2 + 2) + 4 * (taps * 4 + 2)
    found = field("5*conv3x2", shape, "conv5", "support")["field"]
    assert found["weight"] == 1.0
    assert found["shape"] == size


def test_strides_and_cost_by_hand() -> None:
    said = summary("conv3x8,s2 pool2 conv3x4", "3x32x32")
    assert [layer["stride"] for layer in said["layers"]] == [[2, 2], [4, 4], [4, 4]]
    assert [layer["size"] for layer in said["layers"]] == [[3, 3], [5, 5], [13, 13]]
    assert said["adds"] == 16 * 16 * 8 * 3 * 9 + 8 * 8 * 4 * 8 * 9


def test_growth_is_never_more_than_the_receptive_field() -> None:
    said = growth("8*conv3x4", "1x64x64")["grown"]
    assert len(said) == 8
    assert all(0 < said[f"conv{n}"]["erf"] <= 2 * n + 1 for n in range(1, 9))


def test_a_text_of_the_page_never_names_a_file() -> None:
    said = summary("secret.yaml", INPUT)
    assert "unknown layer kind" in said["error"]["message"]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("conv3x64 pol2 conv3", "pol2"),
        ("conv3x64 [conv3 | conv3x9]", "["),
        ("conv3x64\n  conv3x64,q2", "conv3x64,q2"),
        ("conv99x4,valid conv3", "conv99x4,valid"),
        ("conv3 (conv3", "3"),
        ("conv3 from=a", "from=a"),
        ("conv3 | conv3", "|"),
        ("é conv3", "é"),
        ("layers:\n  - conv3x4\n  - conv3x4 pol2 relu\n", "pol2"),
        ("layers:\n  - conv3x4\n  - 'conv3x4 pol2 relu'\n", "pol2"),
        ("layers:\n  - {add: [conv3x4, 'id pol2']}\n", "pol2"),
        ("layers:\n  - {add: [conv3x4]}\n", "{add: [conv3x4]}"),
        ("layers:\n  - {ad: [conv3x4, id]}\n", "{ad: [conv3x4, id]}"),
        ("layers:\n  - conv3x4\n - conv3\n", " - conv3"),
    ],
)
def test_errors_stand_at_their_place(text: str, wrong: str) -> None:
    start, end = summary(text, INPUT)["error"]["place"]
    assert text[start:end] == wrong


@pytest.mark.parametrize(
    ("text", "shape", "words"),
    [
        ("", INPUT, "no layers"),
        ("conv3x4", "", "an input is channels x space"),
        ("conv3x4", "3x0x4", "at least 1"),
        ("2001*conv3x4", INPUT, "takes 2000 layers"),
        ("1000*(1000*(1000*conv3x4))", INPUT, "takes 2000 layers"),
        ("conv3x4 " * 4000, INPUT, "takes 20000 characters"),
        ("gallery:vgg", INPUT, "closest"),
        ("(" * 5000, INPUT, "groups inside each other"),
        ("layers: *a", INPUT, "not valid YAML"),
    ],
)
def test_what_is_too_much_or_nothing_gets_a_line(text: str, shape: str, words: str) -> None:
    message = summary(text, shape)["error"]["message"]
    assert words in message
    assert "\n" not in message


def test_a_field_that_is_not_available_says_why() -> None:
    assert "unknown layer" in field("conv3x4", INPUT, "conv2", "energy")["error"]["message"]
    assert "missing" in field("conv3x4", INPUT, "conv1", "colour")


def built(text: str, shape: str) -> torch.nn.Module:
    said = code(text, shape)
    assert "code" in said, said
    names: dict[str, Any] = {"__name__": "net"}
    exec(said["code"], names)
    with torch.device("meta"):
        net: torch.nn.Module = names["Net"]().eval()
    return net


def same_network(text: str, shape: str) -> None:
    """The code has the specification's parameter count, output shape and receptive field, traced through PyTorch."""
    net = built(text, shape)
    spec = parse_spec(gallery.text(text.removeprefix("gallery:")) if text.startswith("gallery:") else text)
    lengths = (1, *(spec.input or tuple(map(int, shape.split("x")))))
    graph = trace_spec(spec, lengths)
    last = list(graph.layer_table)[-1]
    assert sum(p.numel() for p in net.parameters()) == graph.parameters
    with torch.no_grad():
        assert net(torch.zeros(lengths, device="meta")).shape == graph.values[graph.layer(last).value].shape
    ours, theirs = receptive_field(graph, last), receptive_field(trace(net, lengths), "output")
    assert (ours.size, ours.stride, ours.start) == (theirs.size, theirs.stride, theirs.start)


@pytest.mark.parametrize(
    "name", ["vgg13", "resnet18", "mobilenet_v2", "inception_v3", "unet_valid", "wavenet", "mini_aspp"]
)
def test_code_of_gallery_networks_is_the_same_network(name: str) -> None:
    same_network(f"gallery:{name}", INPUT)


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("conv3x8,s2,d2 conv(1,5)x4,p(0,2:1) conv3,dw conv3x8,g4,nobias conv4x8,same,s2", INPUT),
        ("causal3x8,d4 causal2,dw relu", "2x64"),
        ("conv3x8 conv3x8,p1:0", "1x8x8x8"),
        ("tconv4x8,s2,p1 tconv3x4,s2,op1 tconv(3,2)x2,s(2,1) tconv3,dw,p0:1", INPUT),
        ("pool3,s2,p1 avgpool2 pool3,s2,ceil avgpool3,s1,same pool2,same,s1,d2", INPUT),
        ("conv3x4 up2 up2,bilinear up2,bicubic,align", "1x6x6"),
        ("conv3x4 up2,linear", "1x20"),
        ("pad1:2 pad2,reflect pad1,replicate crop(1,0:2) pad3,circular", INPUT),
        ("conv3x16 shuffle2 unshuffle4", INPUT),
        ("conv3x32,bn,relu conv3x32 gn4 ln in,affine gn1 gelu se8 silu", INPUT),
        ("conv3x8,s2 [ln attention2 | id] hswish", "1x16x16"),
        ("conv3x8 save=a pool2 conv3x8 up2 cat=a conv3x8 save=a.b conv3x4 mul=a.c", INPUT),
        ("conv3x8 save=a conv3x8,valid save=a_b add=a,crop save=a.b", INPUT),
        ("conv3x8 save=x from=x [conv3 | id | conv1] <conv1,sigmoid | conv3,tanh> {conv1x4 | conv3x4}", INPUT),
        (
            "train:(conv3x4 forward:(conv3x4)) conv3x4,name=self conv3,name=a.b conv3,name=a_b 2*conv3,name=class",
            INPUT,
        ),
        ("leaky elu swish sigmoid tanh hsigmoid softplus softmax dropout relu6 gap fc10 relu fc3,nobias", INPUT),
        ("conv3x4 adaptive4,max adaptive(2,3) fc10 bn", INPUT),
        ("id", INPUT),
    ],
)
def test_code_of_all_words_is_the_same_network(text: str, shape: str) -> None:
    if "mul=a.c" in text:
        error = code(text, shape)["error"]
        assert "nothing was saved as 'a.c'" in error["message"]
        assert text[slice(*error["place"])] == "mul=a.c"
        text = text.replace(" conv3x4 mul=a.c", " conv3x8 mul=a.b")
    if text == "id":
        assert built(text, shape)(torch.ones(1)).item() == 1
        return
    same_network(text, shape)


def test_what_pytorch_cannot_say_is_an_error_at_its_place() -> None:
    for text, shape in (("conv3x4 up2,cubic", "1x20"), ("conv3x4 shuffle2", "1x20")):
        error = code(text, shape)["error"]
        assert text[slice(*error["place"])] == text.split()[1]


def test_code_holds_no_name_as_program() -> None:
    name = '"""); import os; ("""\\\n'
    said = code(f"name: {name!r}\nlayers: [conv3x4]\n", INPUT)["code"]
    assert "import os" not in said or '"""' not in said.split("class Net")[1].split('"""')[1]
    compile(said, "net.py", "exec")
    assert len(re.findall(r"^import|^from", said, re.MULTILINE)) <= 3


def test_both_languages_say_everything() -> None:
    said = messages()
    assert set(said) == {"en", "zh-CN"}
    assert set(said["en"]) == set(said["zh-CN"])
    for key, text in said["en"].items():
        assert sorted(re.findall(r"\{\w+\}", text)) == sorted(re.findall(r"\{\w+\}", said["zh-CN"][key])), key
    page = playground_page().html + waiting_page({"id": "1", "state": "waiting", "doing": "", "error": ""}, "x").html
    used = set(re.findall(r'data-(?:t|label)="(\w+)"', page)) | set(re.findall(r'\bt\("(\w+)"', page))
    assert used <= set(said["en"])


def test_the_page_names_no_other_server() -> None:
    page = playground_page()
    links = set(re.findall(r"https?://[^\s\"'`)<]+", page.html)) - {"http://www.w3.org/2000/svg"}
    assert links == set()
    assert "unsafe" not in page.policy
    assert " style=" not in page.html.split("<script", 1)[0]


@pytest.mark.parametrize("page", [playground_page(), waiting_page({"id": "1", "state": "running"}, "net")])
def test_no_name_is_defined_twice_in_a_page(page: Page) -> None:
    """The parts of a page share one scope: a later function of the same name would quietly replace an earlier one."""
    names = re.findall(r"^(?:async )?(?:function|const|let|class) (\w+)", page.html, flags=re.MULTILINE)
    assert {"el", "t", "cividis"} <= set(names)
    assert [name for name in set(names) if names.count(name) > 1] == []
