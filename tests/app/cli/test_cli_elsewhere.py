"""Another machine: an encoding that is not UTF-8, processes that start anew, a folder with spaces and CJK letters."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from support.paths import ROOT

PROGRAM = """
import multiprocessing, sys, warnings
warnings.filterwarnings("error", category=EncodingWarning, module="foveal")
from foveal.app.main import app

if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    for words in (["analyze", "网络 é 1.yaml", "--json"], ["analyze", "网络 é 1.yaml", "--growth", "图 1.svg"],
                  ["field", "网络 é 1.yaml", "--layer", "conv2", "--out", "场 2.png"],
                  ["analyze", "无 1.yaml"]):
        try:
            app(words)
        except SystemExit as end:
            print("code", end.code or 0, flush=True)
"""


def test_the_command_line_under_another_locale_and_start_method(tmp_path: Path) -> None:
    folder = tmp_path / "文件 夹 ü"
    folder.mkdir()
    (folder / "网络 é 1.yaml").write_text("input: 3x32x32\nlayers: [conv3x4, pool2, conv3x4]\n", encoding="utf-8")
    (folder / "program.py").write_text(PROGRAM, encoding="utf-8")
    places = os.pathsep.join([str(ROOT / "src"), *(p for p in sys.path if p)])
    # where a text is opened without an encoding, the locale's would be taken: an error here
    environment = {**os.environ, "PYTHONIOENCODING": "cp1252", "PYTHONPATH": places, "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-X", "warn_default_encoding", "program.py"]
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True)
    out, errors = done.stdout.decode("cp1252"), done.stderr.decode("cp1252")
    assert [line for line in out.splitlines() if line.startswith("code")] == ["code 0"] * 3 + ["code 2"], errors
    assert json.loads(out.partition("\ncode")[0])["layers"][-1]["size"]["value"] == [8, 8]
    assert (folder / "图 1.svg").is_file()
    assert (folder / "场 2.png").is_file()
    assert "Traceback" not in errors
