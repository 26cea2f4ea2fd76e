"""run.py: makes the environment once, completely, wherever it is called from; and hands over.

It is tried on a copy whose lock files name no package, so that no index is asked; what it installs for
real is what this very test run stands on.
"""

from __future__ import annotations

import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
CLI = "import sys; print('started', sys.argv[1:])\n"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A fresh clone in a path with a space."""
    clone = tmp_path / "a clone"
    (clone / "reviewhub").mkdir(parents=True)
    shutil.copy(ROOT / "run.py", clone)
    for name in ("requirements.lock", "requirements-test.lock", "requirements-dev.lock", "pyproject.toml"):
        (clone / name).write_text("# nothing\n")
    (clone / "reviewhub" / "__init__.py").touch()
    (clone / "reviewhub" / "cli.py").write_text(CLI)
    (clone / "pytest.py").write_text(CLI)
    return clone


def start(clone: Path, *words: str, **env: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(clone / "run.py"), *words], cwd="/", text=True, env=os.environ | env,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def run(clone: Path, *words: str, **env: str) -> str:
    child = start(clone, *words, **env)
    said = child.communicate(timeout=60)[0]
    assert child.returncode == 0, said
    return said


def test_it_installs_once_and_starts_each_time(clone: Path) -> None:
    first, second = run(clone), run(clone, "up", "--verbose")
    assert "Installed in" in first
    assert "started ['run']" in first
    assert second == "started ['run', '--verbose']\n"


def test_the_tests_environment_serves_a_run_too(clone: Path) -> None:
    assert "started ['-n', '2', '--dist', 'loadfile', '-x']" in run(clone, "test", "-x")
    assert run(clone, "up") == "started ['run']\n"


def test_a_changed_lock_file_is_installed(clone: Path) -> None:
    run(clone)
    (clone / "requirements.lock").write_text("# something else\n")
    assert "Installed in" in run(clone)


def test_a_moved_folder_is_made_good(clone: Path) -> None:
    run(clone)
    moved = clone.with_name("moved")
    clone.rename(moved)
    assert "started ['run']" in run(moved)
    script = subprocess.run(
        [moved / ".venv" / "bin" / "reviewhub", "check"], capture_output=True, text=True, check=True
    )
    assert script.stdout == "started ['check']\n"


def test_two_starts_at_once_make_one_environment(clone: Path) -> None:
    both = [start(clone), start(clone)]
    said = sorted((child.communicate(timeout=60)[0] for child in both), key=len)
    assert [child.returncode for child in both] == [0, 0]
    assert said[0] == "started ['run']\n", "the second found all in place"
    assert "Installed in" in said[1]


def test_pip_takes_over_where_uv_fails(clone: Path, tmp_path: Path) -> None:
    broken = tmp_path / "bin"
    broken.mkdir()
    (broken / "uv").write_text("#!/bin/sh\nexit 2\n")
    (broken / "uv").chmod(0o755)
    said = run(clone, PATH=f"{broken}:{os.environ['PATH']}")
    assert "trying pip" in said
    assert "started ['run']" in said


def test_an_index_that_is_away_is_told_in_a_sentence(clone: Path) -> None:
    (clone / "requirements.lock").write_text(f"no-such-package==1 --hash=sha256:{'0' * 64}\n")
    child = start(clone, PIP_NO_INDEX="1", UV_OFFLINE="1")
    said = child.communicate(timeout=90)[0]
    assert child.returncode == 1
    assert "Check the connection to the package index" in said
    assert "Traceback" not in said


def test_a_python_that_is_too_old_is_told_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    monkeypatch.setattr(sys, "argv", ["run.py"])
    with pytest.raises(SystemExit, match=r"needs Python 3\.11 or newer"):
        runpy.run_path(str(ROOT / "run.py"), run_name="__main__")


def test_an_unknown_command_is_wrong_usage(clone: Path) -> None:
    child = start(clone, "upp")
    assert "unknown command 'upp'" in child.communicate(timeout=10)[0]
    assert child.returncode == 2
