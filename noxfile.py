"""The versions that pyproject.toml promises: `nox` runs all that are installed here, `nox -s lowest` one session.

Sessions test the core and ONNX; other extras are named after two dashes: `nox -s python-3.12 -- torch` (several GB).
"""

import re
import tomllib
from pathlib import Path

import nox

nox.options.error_on_missing_interpreters = False

PROJECT = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
PYTHONS = [line.rpartition(" ")[2] for line in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", line)]


def run_tests(session: nox.Session, extras: list[str], chosen: str, *options: str) -> None:
    """Install the package alone, and run the tests that need no other modules than those of its extras."""
    session.install("--no-deps", "-e", ".")
    modules = [re.split("[<>=]", wish)[0] for extra in extras for wish in EXTRAS[extra]]
    session.run("pytest", "-n", "2", "-q", "-m", chosen, "--only-with", ",".join(["core", *modules]), *options)


@nox.session(python=PYTHONS[0])
def lowest(session: nox.Session) -> None:
    """The oldest Python with the oldest libraries; what those warn of newer ones below them is not ours."""
    extras = ["onnx", *session.posargs]
    wishes = [*PROJECT["dependencies"], *EXTRAS["quick"], *(wish for extra in extras for wish in EXTRAS[extra])]
    session.install(*(wish.replace(">=", "==") for wish in wishes))
    run_tests(session, extras, "not slow and not newest", "-W", "default::DeprecationWarning")


@nox.session(python=PYTHONS)
def python(session: nox.Session) -> None:
    """Each Python with the newest libraries."""
    extras = ["onnx", *session.posargs]
    session.install(*PROJECT["dependencies"], *EXTRAS["quick"], *(wish for extra in extras for wish in EXTRAS[extra]))
    run_tests(session, extras, "not slow")
