"""PyTorch code of a text specification: an ordinary ``nn.Module`` that people read, change and keep.

``walk`` goes through the text and turns each group of layers into a block, with ``layers`` for each layer; ``blocks``
writes blocks that are alike as one class, whose arguments are the numbers in which they differ.
"""

from foveal.frontends.text.emit.walk import pytorch_code as pytorch_code
