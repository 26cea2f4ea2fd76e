"""The command ``reviewhub``: its grammar, and what each command needs before it is loaded.

Only the chosen command is imported, and Django only for those that need it: ``--help`` answers at once.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import sys
from collections.abc import Sequence
from enum import Enum

import django
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.management import call_command

from reviewhub.runner import database
from reviewhub.runner.embedded import running_database
from reviewhub.runner.home import CannotStart

WRONG_USAGE = 2


class Needs(Enum):
    """What is made ready before a command is loaded."""

    NOTHING = "nothing"
    SERVER = "a database that answers"
    DJANGO = "a database that answers, and the models"
    ALONE = "the same, while Review Hub is not running"


COMMANDS = {
    "run": Needs.NOTHING,
    "web": Needs.NOTHING,
    "worker": Needs.NOTHING,
    "migrate": Needs.DJANGO,
    "check": Needs.DJANGO,
    "bootstrap": Needs.DJANGO,
    "import": Needs.DJANGO,
    "export": Needs.DJANGO,
    "eval": Needs.NOTHING,
    "backup": Needs.SERVER,
    "restore": Needs.ALONE,
    "rotate-secrets": Needs.DJANGO,
    "doctor": Needs.NOTHING,
    "sample": Needs.DJANGO,
}


def parser() -> argparse.ArgumentParser:
    """The whole grammar."""
    root = argparse.ArgumentParser(
        prog="reviewhub", description="Review Hub: human review for LLM applications.",
        epilog="Settings are environment variables; the README lists them.",
    )  # fmt: skip
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="start everything: database, broker, web server, worker")
    run.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: %(default)s, this machine only)"
    )
    run.add_argument("--verbose", "-v", action="store_true", help="show the logs of all parts here")

    web = commands.add_parser("web", help="only the web server (database and broker must be there)")
    web.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    web.add_argument("--workers", type=_count, default=2, help="processes (default: %(default)s)")
    web.add_argument("--threads", type=_count, default=2, help="threads of each process (default: %(default)s)")
    worker = commands.add_parser("worker", help="only a Celery worker (database and broker must be there)")
    worker.add_argument("--threads", type=_count, default=4, help="tasks at a time (default: %(default)s)")
    worker.add_argument("--no-beat", action="store_true", help="leave the clock to another worker; one must keep it")
    for program in (web, worker):
        program.add_argument("--supervised", action="store_true", help=argparse.SUPPRESS)

    migrate = commands.add_parser("migrate", help="bring the database to this version")
    migrate.add_argument("--quiet", action="store_true", help="say nothing if all goes well")
    check = commands.add_parser("check", help="look for unsafe or contradictory settings")
    check.add_argument("--deploy", action="store_true", help="with the checks for a public address")

    bootstrap = commands.add_parser("bootstrap", help="make a project, its people and keys, as far as missing")
    bootstrap.add_argument("--project", required=True, metavar="SLUG")
    bootstrap.add_argument("--name", default="", help="the project's name (default: made from the slug)")
    bootstrap.add_argument("--admin", required=True, metavar="EMAIL")
    bootstrap.add_argument("--reviewer", action="append", default=[], metavar="EMAIL", help="may be given repeatedly")
    bootstrap.add_argument("--password-env", metavar="VAR", help="take new users' password from this variable")
    bootstrap.add_argument("--json", action="store_true", help="print one JSON object")

    load = commands.add_parser("import", help="read files of interactions, or another product's export")
    load.add_argument(
        "files", nargs="+", metavar="FILE", help="a file, or a folder of them; an export's files together"
    )
    load.add_argument(
        "--format", default="reviewhub",
        help="reviewhub (default), langfuse, langsmith, phoenix, opik, openinference; an unknown name lists all",
    )  # fmt: skip
    load.add_argument("--project", required=True, metavar="SLUG")
    load.add_argument("--dry-run", action="store_true", help="check and count, store nothing")
    load.add_argument(
        "--dataset", metavar="SLUG", help="read examples into this dataset's draft instead of interactions"
    )
    load.add_argument(
        "--map", action="append", default=[], metavar="TARGET=COLUMN",
        help="with --dataset: what a column means, where its name does not tell; may be given repeatedly",
    )  # fmt: skip
    load.add_argument("--approve", action="store_true", help="with --dataset: spare the approval")
    load.add_argument("--json", action="store_true", help="print the counts as one JSON object")

    export = commands.add_parser("export", help="write a frozen version of a golden dataset")
    export.add_argument("dataset", metavar="DATASET@VERSION", help="a number or `latest`: billing@3, billing@latest")
    export.add_argument("--format", default="jsonl", help="default: %(default)s; an unknown name lists what there is")
    export.add_argument("--output", "-o", metavar="PATH", help="default: named after the dataset; - is standard output")
    for name in ("split", "tag", "category"):
        export.add_argument(f"--{name}", default="", help=f"only examples of this {name}")
    export.add_argument("--zip", action="store_true", help="pack the file together with its manifest")
    export.add_argument("--manifest", action="store_true", help="print only the manifest: counts, filters, checksums")
    export.add_argument("--project", metavar="SLUG", help="needed only if several projects have such a dataset")

    commands.add_parser("eval", help="answer a golden dataset and compare with a baseline; `reviewhub eval --help`")

    backup = commands.add_parser("backup", help="write the database to one file")
    backup.add_argument("--output", "-o", metavar="PATH", help="default: reviewhub-<date>.dump in this folder")
    restore = commands.add_parser("restore", help="replace the database by a backup")
    restore.add_argument("file", metavar="FILE")
    restore.add_argument("--yes", action="store_true", help="do not ask")

    commands.add_parser("rotate-secrets", help="seal all stored secrets with the first key of the keyring")
    doctor = commands.add_parser("doctor", help="say what is wrong with this installation")
    doctor.add_argument("--json", action="store_true", help="print one JSON object")
    sample = commands.add_parser("sample", help="load or remove the sample project")
    sample.add_argument("verb", choices=["load", "remove"])
    return root


def _count(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 64:
        raise argparse.ArgumentTypeError("must be between 1 and 64")
    return number


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; the result is the exit code: 0 done, 1 failed, 2 wrong usage."""
    words = list(sys.argv[1:] if argv is None else argv)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "reviewhub.settings")
    if words[:1] == ["eval"]:  # the light client reads the rest, as it does where no server is installed
        arguments = argparse.Namespace(command="eval", words=words)
    else:
        arguments = parser().parse_args(words)
    try:
        return _dispatch(arguments)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `reviewhub export … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except CannotStart as error:
        print(f"reviewhub: {error}", file=sys.stderr)
        return 1
    except ImproperlyConfigured as error:
        print(f"reviewhub: a setting is wrong: {error}. Nothing was changed.", file=sys.stderr)
        return WRONG_USAGE
    except ValidationError as error:
        print(f"reviewhub: {' '.join(error.messages)} Nothing was changed.", file=sys.stderr)
        return WRONG_USAGE


def _dispatch(arguments: argparse.Namespace) -> int:
    needs = COMMANDS[arguments.command]
    with contextlib.ExitStack() as stack:
        if needs is not Needs.NOTHING:
            stack.enter_context(running_database(arguments.command, alone=needs is Needs.ALONE))
        if needs in {Needs.DJANGO, Needs.ALONE}:
            django.setup()
            if arguments.command not in {"migrate", "check", "restore"}:
                _migrate_embedded()
        name = "import_" if arguments.command == "import" else arguments.command.replace("-", "_")
        code: int = importlib.import_module(f"reviewhub.commands.{name}").handle(arguments)
        return code


def _migrate_embedded() -> None:
    """A database that a command has just made is empty. One that others run is brought forward by them."""
    with contextlib.closing(database.connect(settings.DATABASE_URL)) as connection:
        waiting = database.waiting_migrations(connection, settings.INSTALLED_APPS)
    if waiting and settings.EMBEDDED_DATABASE:
        call_command("migrate", interactive=False, verbosity=0)
    elif waiting:
        raise CannotStart(
            f"{len(waiting)} migrations are not applied ({waiting[0]}, …). Run `reviewhub migrate` first."
        )


if __name__ == "__main__":
    sys.exit(main())
