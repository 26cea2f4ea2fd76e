#!/usr/bin/env python3
"""Review Hub on a bare machine: ``python3 run.py`` starts everything, ``python3 run.py test`` runs the tests.

Standard library only. It makes the environment in ``.venv`` (with uv where it is installed, else with pip),
installs exactly what the lock file names, and hands over to ``reviewhub run`` or to pytest.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.abspath(__file__))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
STAMP = os.path.join(VENV, "reviewhub-installed")
# Each holds all of those before it, so that an environment for the later serves the earlier too.
LOCKS = {"up": "requirements.lock", "test": "requirements-test.lock", "dev": "requirements-dev.lock"}
USAGE = """usage: python3 run.py [up] [options of `reviewhub run`]   install and start Review Hub
       python3 run.py test [options of pytest]           install the test tools and run the tests
       python3 run.py install [up|test|dev]              only make the environment
"""


def main(arguments):
    if sys.version_info < (3, 11):
        sys.exit(f"Review Hub needs Python 3.11 or newer; this is {sys.version.split()[0]}. Try: python3.11 run.py")
    if os.name != "posix":
        sys.exit("Review Hub runs on Linux and macOS. On Windows, use WSL: https://learn.microsoft.com/windows/wsl")
    if arguments and arguments[0] in ("-h", "--help"):
        print(USAGE + "\nSettings are environment variables (PORT, REVIEWHUB_HOME, SAMPLE, …): see README.md.")
        return
    command = arguments.pop(0) if arguments and not arguments[0].startswith("-") else "up"
    if command not in ("up", "test", "install"):
        sys.stderr.write(f"run.py: unknown command {command!r}\n{USAGE}")
        sys.exit(2)
    kind = (arguments[:1] or ["up"])[0] if command == "install" else command
    if kind not in LOCKS:
        sys.exit(f"run.py install: {kind!r} is none of {', '.join(LOCKS)}")
    prepare(kind)
    if command == "up":
        # Compiled modules are kept in the tree: without them every process compiles Django at every start.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        hand_over("-P", "-m", "reviewhub.cli", "run", *arguments)  # -P: not what lies in the caller's folder
    elif command == "test":
        os.chdir(ROOT)
        chosen = any(argument.startswith(("-n", "--numprocesses", "-p")) for argument in arguments)
        # By files, which keep what their tests share: with pytest 9.2, pytest-xdist 3.8 loses groups (its issue 1386).
        hand_over("-m", "pytest", *([] if chosen else ["-n", "2", "--dist", "loadfile"]), *arguments)


def hand_over(*arguments):
    sys.stdout.flush()
    os.execv(PYTHON, [PYTHON, *arguments])


def prepare(kind):
    """Makes or completes the environment, unless the stamp says that it is as the lock file wants it."""
    import fcntl

    guard = os.open(ROOT, os.O_RDONLY)  # the folder itself is the lock: nothing is left behind, exec lets go
    fcntl.flock(guard, fcntl.LOCK_EX)
    try:
        wanted = fingerprint(kind)
        if wanted not in installed():
            began = time.monotonic()
            print(f"Installing Review Hub into {VENV} …", flush=True)
            make_environment()
            install(os.path.join(ROOT, LOCKS[kind]))
            with open(STAMP, "w") as stamp:
                stamp.write("\n".join(fingerprint(each) for each in list(LOCKS)[: list(LOCKS).index(kind) + 1]))
            print(f"Installed in {time.monotonic() - began:.1f} s.", flush=True)
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(
            f"The environment could not be made: {error}\nNothing outside {VENV} was changed. "
            "Check the connection to the package index and the free disk space, then run the same command again."
        )
    finally:
        os.close(guard)


def fingerprint(kind):
    """What the environment must hold: the lock file, this Python, and this place (the environment names it)."""
    digest = hashlib.sha256(f"{kind} {sys.version_info[:2]} {sys.platform} {ROOT}".encode())
    for name in (LOCKS[kind], "pyproject.toml"):
        with open(os.path.join(ROOT, name), "rb") as handle:
            digest.update(handle.read())
    return f"{kind} {digest.hexdigest()}"


def installed():
    try:
        with open(STAMP) as stamp:
            return stamp.read().splitlines() if os.path.exists(PYTHON) else []
    except FileNotFoundError:
        return []


def make_environment():
    """An environment of this Python; an older one of the same version is kept and completed."""
    same = "import sys; raise SystemExit(sys.version_info[:2] != ({}, {}))".format(*sys.version_info)
    if not (os.path.exists(PYTHON) and subprocess.run([PYTHON, "-c", same], check=False).returncode == 0):
        # Without pip: ensurepip is missing on some systems (Debian without python3-venv) and slow on all.
        subprocess.run([sys.executable, "-m", "venv", "--clear", "--without-pip", VENV], check=True)
    packages = os.path.join(VENV, "lib", "python{}.{}".format(*sys.version_info), "site-packages")
    # Instead of an editable install, which would have to download a build tool.
    with open(os.path.join(packages, "reviewhub.pth"), "w") as path:
        path.write(f"{ROOT}\n{os.path.join(ROOT, 'client')}\n")
    script = os.path.join(VENV, "bin", "reviewhub")
    with open(script, "w") as handle:
        handle.write('#!/bin/sh\nexec "$(dirname "$0")/python" -P -m reviewhub.cli "$@"\n')
    os.chmod(script, 0o755)  # noqa: S103  # a program


def install(lock):
    arguments = ["install", "--quiet", "--require-hashes", "-r", lock]
    uv = shutil.which("uv")
    if uv:
        # uv does not read pip's settings; where the index is known to pip alone, it fails and pip has its turn.
        if subprocess.run([uv, "pip", *arguments, "--python", PYTHON], check=False).returncode == 0:
            return
        print("uv could not install; trying pip …", flush=True)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "check": False}
    own = [PYTHON, "-m", "pip", "--disable-pip-version-check"]
    if (
        subprocess.run([PYTHON, "-c", "import pip"], **quiet).returncode == 0
        or subprocess.run([PYTHON, "-m", "ensurepip"], **quiet).returncode == 0
    ):
        subprocess.run([*own, *arguments], check=True)
    elif subprocess.run([sys.executable, "-c", "import pip"], **quiet).returncode == 0:
        outer = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", PYTHON]
        subprocess.run([*outer, *arguments], check=True)
    else:
        sys.exit(
            "This Python has neither pip nor ensurepip. Install one of them (Debian, Ubuntu: apt install python3-venv; "
            "or uv: https://docs.astral.sh/uv), then run the same command again."
        )


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit(130)
