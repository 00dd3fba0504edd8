"""What to write instead, where the option parser only says what it does not know."""

from __future__ import annotations

import re

SHAPES = ("--size", "--shape", "--input-size", "--input_size", "--img-size", "--image-size", "--imgsz", "--inputs")
SOURCE = "the network, such as gallery:resnet50, net.onnx or package.module:factory"


def hinted(text: str) -> str:
    """The parser's line with what was probably meant."""
    text = text.replace("Value error, ", "")
    if text == "Missing argument 'SOURCE'.":
        return f"{text} It is {SOURCE}"
    extra = re.fullmatch(r"Got unexpected extra arguments? \((.*)\)", text.replace("(s)", ""))
    if extra and re.fullmatch(r"[\d\s,x()]+", extra[1]):
        return f"{text}; an input's shape is given as --input {_shape(extra[1])}"
    option = re.match(r"No such option:? '?(--?[\w-]+)", text)
    if option and option[1] in SHAPES:
        return f"No such option: {option[1]}; an input's shape is given as --input 1,3,224,224"
    if option and option[1] == "--lang":
        return "No such option: --lang; it goes before the command: foveal --lang zh-CN ..."
    if "--kind" in text and "'erf'" in text:
        return f"{text} A measured field is foveal erf"
    return text


def _shape(text: str) -> str:
    numbers = re.findall(r"\d+", text)
    return ",".join(numbers) if len(numbers) > 2 else "1,3,224,224"
