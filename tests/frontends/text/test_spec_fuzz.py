"""The text specification under random and hostile text: a network, or one FovealError of one short printable line.

Random texts are traced and, where they are small, analysed. The hostile ones (huge numbers, deep nesting, YAML aliases
without end) run in a child process whose memory and processor time are limited.
"""

from __future__ import annotations

import json
import subprocess
import sys
from math import prod
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

import foveal
from foveal.core.errors import FovealError
from foveal.frontends.text.kinds import KINDS
from foveal.frontends.text.limits import shown
from foveal.frontends.text.trace import trace_spec

LONGEST = 1000
"""Characters that a message may have; most of them are the list of the layer kinds."""
IMAGE = (1, 4, 8, 8)
OPTIONS = ["s2", "d2", "p1", "p0:2", "g2", "same", "valid", "dw", "bn", "relu", "nobias", "ceil", "crop", "op1", "max"]
quick = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


def message(text: str, shape: tuple[int, ...] | None = IMAGE) -> str:
    """What is wrong with a text, "" where it is a network; anything but a FovealError passes through."""
    try:
        graph = trace_spec(text, shape)
        if len(graph.nodes) < 60 and all(prod(value.shape) < 1 << 22 for value in graph.values):
            report = foveal.analyze(graph)
            assert len(report.layers) == len(graph.layers)
    except FovealError as error:
        said = str(error)
        assert len(said.splitlines()) == 1, said
        assert len(said) < LONGEST, said
        assert said.isprintable(), said
        return said
    return ""


numbers = st.one_of(st.integers(0, 9), st.sampled_from([10**6, 4194304, 16777216, 10**9, 10**40])).map(str)
sizes = st.one_of(numbers, st.just(""), st.tuples(numbers, numbers).map(lambda pair: f"({pair[0]},{pair[1]})"))
words = st.builds(
    lambda kind, size, channels, options: ",".join([f"{kind}{size}{channels}", *options]),
    st.sampled_from(sorted(KINDS)),
    sizes,
    st.one_of(st.just(""), numbers.map(lambda n: f"x{n}")),
    st.lists(st.sampled_from(OPTIONS), max_size=3),
)
likely = st.sampled_from(
    [
        "conv3x4",
        "conv1x8,s2,bn,relu",
        "pool2",
        "up2",
        "id",
        "save=a",
        "add=a",
        "cat=a,crop",
        "tconv2x4,s2",
        "gap",
        "fc5",
    ]
)
groups = st.recursive(
    st.one_of(likely, words),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=4).map(" ".join),
        st.tuples(inner, inner, st.sampled_from(["[]", "{}", "<>"])).map(
            lambda t: f"{t[2][0]}{t[0]} | {t[1]}{t[2][1]}"
        ),
        st.tuples(numbers, inner).map(lambda t: f"{t[0]}*({t[1]})"),
        st.tuples(st.sampled_from(["a", "b.c", "conv1"]), inner).map(lambda t: f"{t[0]}:({t[1]})"),
    ),
    max_leaves=12,
)


@pytest.mark.slow
@quick
@given(groups)
def test_texts_of_the_grammar(text: str) -> None:
    message(text)


@pytest.mark.slow
@quick
@given(st.text(max_size=60))
def test_any_characters(text: str) -> None:
    message(text)


@quick
@given(st.text("conv3x8,sdpg[]{}<>|()*:=. \n\t-layers0129", max_size=80))
def test_the_characters_of_the_grammar(text: str) -> None:
    message(text)


@quick
@given(groups, st.data())
def test_mutated_texts(text: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(text)))
    inserted = data.draw(st.sampled_from(["", "(", "]", "|", ",", "9" * 30, "\x00", "\ud800", "*", "x", "=", "²", "٣"]))
    dropped = data.draw(st.integers(0, 3))
    message(text[:at] + inserted + text[at + dropped :])


plain = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), likely)
keys = st.one_of(st.sampled_from(["layers", "name", "repeat", "add", "cat", "input", "multiply"]), st.text(max_size=4))
trees = st.recursive(
    plain, lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(keys, inner, max_size=3)), max_leaves=15
)


@quick
@given(trees, st.one_of(st.none(), plain, trees), st.one_of(st.none(), plain))
def test_yaml_of_wrong_types(layers: object, lengths: object, name: object) -> None:
    import yaml

    message(yaml.safe_dump({"layers": layers, "input": lengths, "name": name}), None)


@quick
@given(st.text("layers: [&a*!{}?|>-\n#'\"%@,<0x1e", max_size=60))
def test_yaml_of_any_characters(text: str) -> None:
    message(f"layers: {text}")
    message(f"{text}\nlayers: conv3x4")


HUGE = "f" * 9000
MERGES = "".join(f"x{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 60)}]}}\n" for i in range(1, 9))
ALIASES = "".join(f"  - &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 30))
HOSTILE = {
    "a whole number of 9000 digits as layers": f"layers: 0x{HUGE}",
    "a whole number of 9000 digits as input": f"layers: id\ninput: 0x{HUGE}",
    "a whole number of 9000 digits as repeat": f"layers: [{{repeat: 0x{HUGE}, layers: id}}]",
    "a whole number of 9000 digits as key": f"layers: id\n? 0x{HUGE}\n: 3",
    "a date that is none": "layers: !!timestamp foo",
    "a number that is none": "layers: !!int ''",
    "a truth value that is none": "layers: !!bool foo",
    "a tag that would call a function": "layers: !!python/object/apply:os.getcwd []",
    "lists in lists": "layers: " + "[" * 100_000,
    "mappings in mappings": "layers: " + "{a: " * 50_000,
    "dashes": "layers:\n" + "- " * 50_000,
    "aliases that double": f"layers:\n  - &a0 [id, id]\n{ALIASES}",
    "an alias of itself": "layers: &a [*a, id]",
    "an alias of a long text": f"layers: [&a '{'conv3 ' * 3000}'{', *a' * 3000}]",
    "merges that multiply": f"x0: &a0 {{k: v}}\n{MERGES}layers: id",
    "keys without end": "layers: {" + ", ".join(f"k{i}: 1" for i in range(20_000)) + "}",
    "the same key twice": "layers: id\nlayers: gap",
    "lines without end": "\n" * 200_000 + "x",
    "spaces without end": "layers" + " " * 200_000 + "x",
    "groups in groups": "(" * 100_000,
    "repeats of repeats": "9*" * 1000 + "id",
    "a repeat of nothing": "16777216*16777216*()",
    "too many layers": "relu " * 49_000,
    "one long token": "x" * 200_000,
    "commas": "conv3x8" + "," * 200_000,
    "a long text": "id " * 200_000,
    "a huge kernel": "conv4194303x8",
    "a huge dilation": "conv3x8,d4194304",
    "huge strides": "conv3x8,s4000000 " * 8,
    "strides beyond all measure": "conv3x8,s8 " * 40,
    "a huge pool": "pool4194304,p2097152",
    "a huge upsampling": "up4000000",
    "a huge transposed convolution": "tconv4000000x4",
    "a huge padding": "pad4194304 " * 20,
    "a huge adaptive pool": "adaptive4194304",
    "a huge number of channels": "conv1x16777216 conv1x16777216 fc10",
    "an input of many axes": "input=" + "x".join("1" * 70) + " conv1",
    "a huge input": "input=16777216x16777216x16777216 conv3x4",
    "branches that differ": "[" + " | ".join(f"conv1x{i + 1}" for i in range(5000)) + "]",
    "many saved names": " ".join(f"save=a{i}" for i in range(9000)) + " add=b",
    "a name with a null byte": "a\x00.yaml",
    "a long file name": "a" * 10_000 + ".yaml",
    "a long name of the gallery": "gallery:" + "a" * 10_000,
}
CHILD = """
import json, os, resource, sys
import foveal
from foveal.frontends.text.trace import trace_spec

str(foveal.analyze(trace_spec("conv3x4", (1, 3, 8, 8))))  # loads what is loaded late
for text in json.load(sys.stdin):
    sys.stdout.flush()
    if (child := os.fork()) == 0:
        resource.setrlimit(resource.RLIMIT_DATA, (2 << 30, 2 << 30))
        resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
        try:
            str(foveal.analyze(trace_spec(text, (1, 3, 16, 16) if "input" not in text else None)))
        except foveal.FovealError as error:
            print(json.dumps("refused: " + str(error)), flush=True)
        else:
            print(json.dumps("answered"), flush=True)
        os._exit(0)
    if ended := os.waitpid(child, 0)[1]:
        print(json.dumps(f"ended with {ended}"))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="processes fork and have limits as POSIX does")
def test_hostile_texts_take_neither_time_nor_memory() -> None:
    """At most 2 GiB, then one short line; 60 s of processor time only end what hangs (5 s are the most seen)."""
    data = json.dumps(list(HOSTILE.values()))
    done = subprocess.run([sys.executable, "-c", CHILD], input=data, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-500:]
    said = dict(zip(HOSTILE, map(json.loads, done.stdout.splitlines()), strict=True))
    wrong = {
        name: text for name, text in said.items()
        if not (text == "answered" or (text.startswith("refused: ") and len(text) < LONGEST and "\n" not in text))
    }  # fmt: skip
    assert wrong == {}


def test_the_same_key_twice_is_named() -> None:
    assert "the key 'layers' twice" in message("layers: id\nlayers: gap")


def test_shared_blocks_may_be_merged() -> None:
    text = "layers:\n  - &block {name: a, layers: conv3x4}\n  - {<<: *block, name: b}\n"
    assert trace_spec(text, IMAGE).layers == ["a.conv1", "a", "b.conv1", "b"]


def test_an_index_beyond_measure_is_refused_and_just_below_it_answered() -> None:
    """Eleven strides of 8 make 2**33; twelve make 2**36."""
    graph = trace_spec("conv3x4,s8 " * 11, (1, 4, 8))
    assert foveal.receptive_field(graph, "conv11").size == (1 + 2 * sum(8**i for i in range(11)),)
    assert "beyond all measure" in message("conv3x4,s8 " * 12)


def test_files_that_are_no_text(tmp_path: Path) -> None:
    large, folder = tmp_path / "large.yaml", tmp_path / "folder.yaml"
    large.write_bytes(b"a" * 2_000_000)
    folder.mkdir()
    assert "it has 2000000 bytes" in message(str(large))
    assert "it is not a file" in message(str(folder))


def test_values_in_messages_are_short_and_printable() -> None:
    assert shown("a" * 100) == "a" * 60 + "..."
    assert shown("a\x1b[31m") == "a\\x1b[31m"
    assert shown(1 << 40_000) == "a number of thousands of digits"
