"""The main job on a real network: ResNet-50, from the file that the onnx package carries.

    python examples/demo.py [OUT.png]

Prints the table of all layers and draws what a unit of the last map uses of its receptive field. Needs the extra
``onnx`` alone; ``foveal analyze`` and ``foveal field`` do the same for any other file.
"""

from __future__ import annotations

import sys
from importlib.resources import files

from foveal.app.main import main

MODEL = files("onnx") / "backend" / "test" / "data" / "light" / "light_resnet50.onnx"
LAYER = "n171"  # the last map, in front of the pooling


def run(arguments: list[str]) -> None:
    """One command, as on the command line."""
    print("$ foveal", *arguments, flush=True)
    sys.argv = ["foveal", *arguments]
    try:
        main()
    except SystemExit as end:
        if end.code:
            raise


if __name__ == "__main__":
    picture = sys.argv[1] if len(sys.argv) > 1 else "resnet50.png"
    run(["analyze", str(MODEL)])
    run(["field", str(MODEL), "--layer", LAYER, "--kind", "energy", "--out", picture])
    print(f"picture: {picture}")
