"""Everything that a page or an audit says has a Chinese form; the terms are those that Chinese readers use."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.testing import CliRunner

import foveal
from foveal.app.main import app
from foveal.core.language import language, set_language
from foveal.tasks.audit import find_task
from foveal.tasks.record import AuditFinding
from foveal.views.language.translate import TABLES, audit_in, finding_in, has_pattern, translated

PACKAGE = Path(foveal.__file__).parent
FINDINGS = sorted(PACKAGE.glob("tasks/**/findings.yaml"))
PAGES = sorted(PACKAGE.glob("views/*/messages.json"))
TERMS = {
    "receptive field": "感受野",
    "effective field": "有效感受野",
    "feature map": "特征图",
    "dilation rate": "空洞率",
    "dilated kernels": "空洞卷积",
    "stride": "步幅",
}
NAMES = re.compile(r"\{(\w+)")


def sentences(path: Path) -> list[str]:
    """What findings say, as templates; what is a name alone is filled in from elsewhere."""
    rows = yaml.safe_load(path.read_text(encoding="utf-8")).values()
    found = [row[key] for row in rows for key in ("text", "change", "effect") if row.get(key)]
    return [text for text in found if not re.fullmatch(r"\{\w+\}", text.strip())]


@pytest.mark.parametrize("path", FINDINGS, ids=lambda path: path.parent.name)
def test_every_finding_has_a_chinese_form(path: Path) -> None:
    assert [text for text in sentences(path) if not has_pattern(text)] == []


def test_translations_fill_in_the_same_names_and_use_the_terms() -> None:
    table: dict[str, str] = {}
    for name in TABLES:
        table |= yaml.safe_load((PACKAGE / "views" / "language" / name).read_text(encoding="utf-8"))
    for english, chinese in table.items():
        assert set(NAMES.findall(chinese)) <= set(NAMES.findall(english)), english
        assert re.search("[\u4e00-\u9fff]", chinese) or not re.search("[a-z]", re.sub(r"\{.*?\}", "", english)), english
    for term, word in TERMS.items():
        said = {re.sub(r"\{.*?\}", "", english).lower(): chinese for english, chinese in table.items()}
        wrong = [english for english, chinese in said.items() if term in english and word not in chinese]
        # "receptive field distance" is a measure of its own, with the same word in it.
        assert wrong == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.parent.name)
def test_every_text_of_a_page_has_a_chinese_form(path: Path) -> None:
    said: dict[str, dict[str, str]] = json.loads(path.read_text(encoding="utf-8"))
    assert set(said["en"]) == set(said["zh-CN"])
    same = {key for key, text in said["en"].items() if text == said["zh-CN"][key]}
    assert {key for key in same if re.search("[a-z]{3}", said["en"][key])} == set()


def test_every_code_of_a_finding_has_its_plain_sentence() -> None:
    said = json.loads((PACKAGE / "views" / "page" / "messages.json").read_text(encoding="utf-8"))["en"]
    codes = {code.split()[0] for path in FINDINGS for code in yaml.safe_load(path.read_text(encoding="utf-8"))}
    assert {code for code in codes if not code.startswith("TRC") and f"plain_{code}" not in said} == set()


def test_numbers_and_names_stay() -> None:
    text = "anchors up to 512 px are larger than the field of 427 px: no unit sees its whole box"
    assert translated(text, "zh-CN") == "最大 512 像素的锚框大于 427 像素的感受野：没有单元能看到整个框"
    assert translated(text, "en") == text
    assert translated("no pattern for this", "zh-CN") == "no pattern for this"
    found = finding_in(AuditFinding("DET04", "warning", "once", text, "limit the window", ""), "zh-CN")
    assert (found.layer, found.change, found.effect) == ("once", "限定窗口", "")


@pytest.mark.parametrize(
    ("task", "network", "shape"),
    [
        ("classification", "conv3x8,s2 conv3x8 pool2 conv3x8 gap fc10", (1, 3, 64, 64)),
        ("detection", "conv3x8,s2 conv3x8,s2 conv3x8", (1, 3, 64, 64)),
        ("segmentation", "conv3x8,d2 conv3x8,d4 conv1x2", (1, 3, 64, 64)),
        ("streaming", "conv3x4 conv3x4", (1, 2, 64)),
        ("streaming", "causal3x4 causal3x4", (1, 2, 64)),
        ("tokens", "causal3x4 causal3x4", (1, 2, 24)),
        ("registration", "conv3x8,s2 pool2 conv3x8", (1, 3, 64, 64)),
    ],
)
def test_no_sentence_or_heading_of_an_audit_is_left(task: str, network: str, shape: tuple[int, ...]) -> None:
    found: Any = find_task(task).audit(foveal.trace(network, shape), {}, False)
    said = [found.task, found.method, *found.summary]
    said += [text for table in found.tables for text in (table.title, table.note, *table.columns)]
    said += [text for finding in found.findings for text in (finding.text, finding.change, finding.effect)]
    cells = {cell for table in found.tables for row in table.rows for cell in row if isinstance(cell, str)}
    said += [cell for cell in cells if re.search("[a-z]{2}.* [a-z]{2}", cell)]
    assert [text for text in said if text and not has_pattern(text)] == []


def test_the_language_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    for said, meant in (("zh-CN", "zh-CN"), ("zh_CN.UTF-8", "zh-CN"), ("zh", "zh-CN"), ("de", "en"), ("", "en")):
        monkeypatch.setenv("FOVEAL_LANG", said)
        assert language() == meant
    with pytest.raises(foveal.FovealError, match="unknown language 'fr'; known: en, zh-CN"):
        set_language("fr")
    monkeypatch.setenv("FOVEAL_LANG", "zh-CN")
    found: Any = find_task("classification").audit(foveal.trace("conv3x4 conv3x4", (1, 3, 32, 32)), {}, False)
    told = audit_in(found)
    assert all(re.search("[\u4e00-\u9fff]", finding.text) for finding in told.findings)
    assert told.findings
    assert found.to_json() != told.to_json()


def test_a_list_of_words_within_a_sentence_is_joined_in_chinese() -> None:
    text = "'resnet18' is a network, not a layer; write gallery:resnet18 or timm:resnet18"
    assert translated(text, "zh-CN") == "'resnet18' 是网络而不是层；请写 gallery:resnet18 或 timm:resnet18"


def test_every_help_has_a_chinese_form() -> None:
    top: Any = typer.main.get_command(app)
    context = top.context_class(top)
    inner = [top.get_command(context, name) for name in top.list_commands(context)]
    audit = next(command for command in inner if command.name == "audit")
    inner += [audit.get_command(context, name) for name in audit.list_commands(context)]
    said = [
        text for command in (top, *inner) for text in (command.help, *(getattr(p, "help", "") for p in command.params))
    ]
    assert sorted({text for text in said if text and not has_pattern(" ".join(text.split()))}) == []


ENGLISH = re.compile(r"(?!foveal)\b[a-z]{3,} [a-z]{2,}")
"""Two words of a sentence; names of layers and types stand apart from one another."""
SCREENS = [
    ("analyze gallery:alexnet", "pool3 的一个单元看到图像 224 像素中的 195"),
    ("analyze gallery:tcn --rate 16000", "信号 256 采样点中的 29"),
    ("field gallery:alexnet --layer pool3", "感受野大小（未裁剪）"),
    ("tile gallery:unet --size 512x512 --tile 320 --no-check", "重叠边（前 + 后）"),
    ("compare gallery:vgg16 gallery:vgg13", "二者在 conv7 处分开"),
    ("audit streaming gallery:tcn", "沿 T 是因果的，看到过去 28 个采样点"),
    ("stream gallery:tcn --rate 16000 --lookahead 0", "之前 28 + 之后 0；下一块重复读取 28"),
    ("stream gallery:tcn --chunk 80ms", "错误：chunk '80ms' 是时间：请同时给出采样率"),
    ("stream gallery:alexnet", "错误：输入 1x3x224x224 是图像"),
    ("stream gallery:alexnet --axis W", "无法流式处理；请改问它之前的层"),
    ("stream conv3x2,s4 --input 1,1,64 --chunk 3", "错误：chunk 3：网络每步前进 4 个采样点"),
    ("audit tokens gallery:tcn --static", "一个词元看到其之前的 28 个词元（连同自身 29 个）"),
    ("tile -h", "如何在大图像上分块计算一层"),
    ("analyze", "错误：缺少参数 SOURCE"),
    ("analyze gallery:alexnet --size 3", "错误：没有选项 --size"),
    ("analyze gallery:resnet19", "最接近的是：resnet1"),
    ("field gallery:alexnet --layer poll3", "错误：没有层 'poll3'"),
    ("audit segment gallery:alexnet", "最接近的是：segmentation"),
    ("analyze nothing.onnx", "没有此文件"),
]


@pytest.mark.parametrize(("typed", "said"), SCREENS, ids=lambda text: text.replace(" ", "_"))
def test_a_screen_is_chinese(typed: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOVEAL_LANG", "zh-CN")
    result = CliRunner().invoke(app, typed.split(), env={"COLUMNS": None})
    assert said in result.output
    lines = result.output.partition("Examples:")[0].splitlines()
    assert [line for line in lines if ENGLISH.search(line) and "Usage" not in line] == []
