"""The TF-slim networks of the published receptive field table, as text specifications.

"SAME" padding is written ``same`` and depends on the input size; a strided slim ResNet convolution pads k - 1
explicitly, which is the symmetric default here; its strides stand on the last unit of the block before
(docs/methods.md 1.4 to 1.6). Channel counts do not change a receptive field, so a few channels stand for many.
"""

from __future__ import annotations

CHANNELS = 4
RESNET_UNITS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3), 200: (3, 24, 36, 3)}


def conv(kernel: str | int, *options: str) -> str:
    """A convolution of ``CHANNELS`` channels."""
    return ",".join([f"conv{kernel}x{CHANNELS}", *options])


def branches(*paths: str) -> str:
    """Paths concatenated, then squeezed to ``CHANNELS`` channels so that widths do not grow from block to block."""
    return "{" + " | ".join(paths) + "}"


def alexnet() -> str:
    return " ".join(
        [
            conv(11, "s4", "valid", "name=conv1") + " pool3,s2,name=pool1",
            conv(5, "same", "name=conv2") + " pool3,s2,name=pool2",
            *(conv(3, "same", f"name=conv{i}") for i in (3, 4, 5)),
            "pool3,s2,name=pool5",
        ]
    )


def vgg(counts: tuple[int, ...]) -> str:
    words = []
    for block, count in enumerate(counts, 1):
        words += [conv(3, "same", f"name=conv{block}_{i}") for i in range(1, count + 1)]
        words.append(f"pool2,name=pool{block}")
    return " ".join(words)


def resnet(depth: int) -> str:
    words = [conv(7, "s2"), "pool3,s2,same"]
    for block, count in enumerate(RESNET_UNITS[depth], 1):
        plain = f"[{conv(1)} {conv(3)} {conv(1)} | id]"
        last = plain if block == 4 else f"[{conv(1)} {conv(3, 's2')} {conv(1)} | pool1,s2]"
        words.append(f"block{block}:({count - 1}*{plain} {last})")
    return " ".join(words)


def mobilenet() -> str:
    words = [conv(3, "s2", "same", "name=Conv2d_0")]
    strides = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
    for i, stride in enumerate(strides, 1):
        words += [f"conv3,dw,s{stride},same", conv(1, f"name=Conv2d_{i}_pointwise")]
    return " ".join(words)


def _mixed_a(large: str) -> str:
    """Inception's first block: 1x1, 1x1 and ``large``, 1x1 and two 3x3, pooling and 1x1."""
    return branches(
        conv(1), f"{conv(1)} {large}", f"{conv(1)} {conv(3, 'same')} {conv(3, 'same')}", f"avgpool3,s1,same {conv(1)}"
    )


def _mixed_b() -> str:
    """The block of factorised 7-tap layers."""
    one, row, column = conv(1), conv("(1,7)", "same"), conv("(7,1)", "same")
    return branches(one, f"{one} {row} {column}", f"{one} {column} {row} {column} {row}", f"avgpool3,s1,same {one}")


def _mixed_c(inner: str) -> str:
    """The block of 3-tap pairs side by side; ``inner`` stands before the second pair."""
    pair = "{" + conv("(1,3)", "same") + " | " + conv("(3,1)", "same") + "}"
    return branches(conv(1), f"{conv(1)} {pair}", f"{conv(1)} {inner} {pair}", f"avgpool3,s1,same {conv(1)}")


def _reduction_a(padding: str) -> str:
    return branches(
        conv(3, "s2", padding), f"{conv(1)} {conv(3, 'same')} {conv(3, 's2', padding)}", f"pool3,s2,{padding}"
    )


def _reduction_b() -> str:
    seven = f"{conv('(1,7)', 'same')} {conv('(7,1)', 'same')}"
    last = conv(3, "s2", "valid")
    return branches(f"{conv(1)} {last}", f"{conv(1)} {seven} {last}", "pool3,s2,valid")


def _stem(padding: str) -> list[str]:
    """The stem of Inception-v3 and Inception-ResNet-v2."""
    return [
        conv(3, "s2", padding, "name=Conv2d_1a_3x3"),
        conv(3, padding, "name=Conv2d_2a_3x3"),
        conv(3, "same", "name=Conv2d_2b_3x3"),
        f"pool3,s2,{padding},name=MaxPool_3a_3x3",
        conv(1, "name=Conv2d_3b_1x1"),
        conv(3, padding, "name=Conv2d_4a_3x3"),
        f"pool3,s2,{padding},name=MaxPool_5a_3x3",
    ]


def _named(prefix: str, letters: str, block: str) -> list[str]:
    return [f"{prefix}{letter}:({block})" for letter in letters]


def inception_v2() -> str:
    block = _mixed_a(conv(3, "same"))
    reduction = branches(
        f"{conv(1)} {conv(3, 's2', 'same')}",
        f"{conv(1)} {conv(3, 'same')} {conv(3, 's2', 'same')}",
        "pool3,s2,same",
    )
    return " ".join(
        [
            conv(7, "s2", "same", "name=Conv2d_1a_7x7"),
            "pool3,s2,same,name=MaxPool_2a_3x3",
            conv(1, "name=Conv2d_2b_1x1"),
            conv(3, "same", "name=Conv2d_2c_3x3"),
            "pool3,s2,same,name=MaxPool_3a_3x3",
            *_named("Mixed_3", "bc", block),
            f"Mixed_4a:({reduction})",
            *_named("Mixed_4", "bcde", block),
            f"Mixed_5a:({reduction})",
            *_named("Mixed_5", "bc", block),
        ]
    )


def inception_v3() -> str:
    return " ".join(
        [
            *_stem("valid"),
            *_named("Mixed_5", "bcd", _mixed_a(conv(5, "same"))),
            f"Mixed_6a:({_reduction_a('valid')})",
            *_named("Mixed_6", "bcde", _mixed_b()),
            f"Mixed_7a:({_reduction_b()})",
            *_named("Mixed_7", "bc", _mixed_c(conv(3, "same"))),
        ]
    )


def inception_v4() -> str:
    seven = f"{conv('(1,7)', 'same')} {conv('(7,1)', 'same')}"
    pair = f"{conv('(3,1)', 'same')} {conv('(1,3)', 'same')}"
    return " ".join(
        [
            *_stem("valid")[:3],
            f"Mixed_3a:{branches('pool3,s2', conv(3, 's2', 'valid'))}",
            f"Mixed_4a:{branches(conv(1) + ' ' + conv(3, 'valid'), f'{conv(1)} {seven} ' + conv(3, 'valid'))}",
            f"Mixed_5a:{branches(conv(3, 's2', 'valid'), 'pool3,s2')}",
            *_named("Mixed_5", "bcde", _mixed_a(conv(3, "same"))),
            f"Mixed_6a:({_reduction_a('valid')})",
            *_named("Mixed_6", "bcdefgh", _mixed_b()),
            f"Mixed_7a:({_reduction_b()})",
            *_named("Mixed_7", "bcd", _mixed_c(pair)),
        ]
    )


def inception_resnet_v2(padding: str) -> str:
    """``padding`` is "valid" as published, or "same" for the aligned variant."""
    one, three, back = conv(1), conv(3, "same"), "conv1x16"
    last = conv(3, "s2", padding)
    block35 = f"[{branches(one, f'{one} {three}', f'{one} {three} {three}')} {back} | id]"
    block17 = f"[{branches(one, one + ' ' + conv('(1,7)', 'same') + ' ' + conv('(7,1)', 'same'))} {back} | id]"
    block8 = f"[{branches(one, one + ' ' + conv('(1,3)', 'same') + ' ' + conv('(3,1)', 'same'))} {back} | id]"
    reduction = branches(f"{one} {last}", f"{one} {last}", f"{one} {three} {last}", f"pool3,s2,{padding}")
    return " ".join(
        [
            *_stem(padding),
            f"Mixed_5b:({_mixed_a(conv(5, 'same'))})",
            f"{back} 10*{block35} Mixed_6a:({_reduction_a(padding)})",
            f"{back} PreAuxLogits:(20*{block17})",
            f"Mixed_7a:({reduction}) {back} 10*{block8}",
            conv(1, "name=Conv2d_7b_1x1"),
        ]
    )


def specification(net: str) -> str:
    """The text of one network of the table."""
    makers = {
        "alexnet_v2": alexnet(),
        "vgg_a": vgg((1, 1, 2, 2, 2)),
        "vgg_16": vgg((2, 2, 3, 3, 3)),
        "mobilenet_v1": mobilenet(),
        "mobilenet_v1_075": mobilenet(),
        "inception_v2": inception_v2(),
        "inception_v2-no-separable-conv": inception_v2(),
        "inception_v3": inception_v3(),
        "inception_v4": inception_v4(),
        "inception_resnet_v2": inception_resnet_v2("valid"),
        "inception_resnet_v2-same": inception_resnet_v2("same"),
    }
    return resnet(int(net.split("_")[2])) if net.startswith("resnet") else makers[net]


def layer(endpoint: str) -> str:
    """The layer of the specification that an end point of the table names."""
    return endpoint.rsplit("/", 1)[-1]
