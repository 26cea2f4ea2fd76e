"""The rules of the house that a machine can check."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import call_command

ROOT = Path(__file__).resolve().parent.parent
# Each app may import itself and what stands before it.
ORDER = ["projects", "feedback", "annotations", "evals", "monitoring", "reviewhub"]
LINES = 600


def modules(*folders: str) -> Iterator[Path]:
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if "migrations" not in path.parts:
                yield path


def first_party(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom) and node.level == 0:
        names = [node.module or ""]
    else:
        return []
    return [name.split(".")[0] for name in names if name.split(".")[0] in ORDER]


def test_imports_point_one_way() -> None:
    wrong = []
    for path in modules(*ORDER):
        allowed = ORDER[: ORDER.index(path.relative_to(ROOT).parts[0]) + 1]
        for node in ast.walk(ast.parse(path.read_text())):
            wrong += [f"{path.relative_to(ROOT)} imports {name}" for name in first_party(node) if name not in allowed]
    assert wrong == []


def test_no_first_party_import_stands_inside_a_function() -> None:
    # The command line loads Django only for the commands that need it, so its imports wait in functions;
    # AppConfig.ready runs before models may be imported at the top.
    wrong = []
    for path in modules(*ORDER):
        if path.is_relative_to(ROOT / "reviewhub" / "commands") or path.name in {"cli.py", "apps.py"}:
            continue
        for function in ast.walk(ast.parse(path.read_text())):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                inner = [name for node in ast.walk(function) for name in first_party(node)]
                wrong += [f"{path.relative_to(ROOT)}:{function.name} imports {name}" for name in inner]
    assert wrong == []


def test_the_light_client_knows_nothing_of_the_server() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in modules("client")
        for node in ast.walk(ast.parse(path.read_text()))
        for name in [*first_party(node), *(["django"] if "django" in ast.dump(node) and first_party(node) else [])]
    ]
    assert wrong == []


def test_no_app_names_one_that_stands_after_it() -> None:
    """Not in Python strings such as URL names, and not in its templates either (the frame may link to all)."""
    wrong = []
    for place, app in enumerate(ORDER[:-1]):
        later = ORDER[place + 1 : -1]
        name = re.compile(rf"['\"]({'|'.join(later)})[:/][\w./-]+['\"]") if later else None
        files = [*modules(app), *sorted((ROOT / "templates" / app).rglob("*.html"))]
        for path in files:
            found = name.findall(path.read_text()) if name else []
            wrong += [f"{path.relative_to(ROOT)} names {one}" for one in found]
    assert wrong == []


def test_a_file_holds_one_noun() -> None:
    long = [
        f"{path.relative_to(ROOT)}: {count} lines"
        for path in [*modules(*ORDER, "client"), *sorted((ROOT / "reviewhub" / "static").rglob("*.js"))]
        if (count := len(path.read_text().splitlines())) > LINES
    ]
    assert long == []


def test_views_are_short() -> None:
    long = []
    for app in ORDER:
        views = [*(ROOT / app).glob("views*.py"), *(ROOT / app).glob("views/*.py")]
        for path in views:
            for node in ast.parse(path.read_text()).body:
                if not isinstance(node, ast.FunctionDef):
                    continue
                first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
                lines = (node.end_lineno or 0) - first.lineno + 1
                if lines > 30:
                    long.append(f"{path.relative_to(ROOT)}:{node.name} has {lines} lines")
    assert long == []


def test_modules_and_public_functions_of_apps_say_what_they_are_for() -> None:
    silent = []
    for path in modules(*ORDER, "client"):
        tree = ast.parse(path.read_text())
        if not tree.body or path.name in {"apps.py", "__init__.py"}:
            continue
        if not ast.get_docstring(tree):
            silent.append(str(path.relative_to(ROOT)))
        if path.name in {"services.py"}:
            silent += [
                f"{path.relative_to(ROOT)}:{node.name}"
                for node in tree.body
                if isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and not ast.get_docstring(node)
            ]
    assert silent == []


def templates() -> list[Path]:
    return sorted((ROOT / "templates").rglob("*.html"))


def test_every_partial_is_included_by_a_page_or_sent_by_a_view() -> None:
    sources = {path: path.read_text() for path in [*templates(), *modules(*ORDER)]}
    lonely = []
    for partial in (path for path in templates() if path.name.startswith("_")):
        name = str(partial.relative_to(ROOT / "templates"))
        if not any(f'{{% include "{name}"' in text for path, text in sources.items() if path != partial):
            lonely.append(name)
    assert lonely == []


def test_every_template_is_used() -> None:
    everything = "\n".join(path.read_text() for path in [*templates(), *modules(*ORDER)])
    unused = [
        name
        for path in templates()
        if (name := str(path.relative_to(ROOT / "templates"))) not in everything
        and name not in {"400.html", "403.html", "404.html", "500.html"}
    ]
    assert unused == []


@pytest.mark.parametrize(
    ("what", "pattern"),
    [
        ("a style attribute", r"\sstyle="),
        ("an inline script", r"<script(?![^>]*\ssrc=)"),
        ("an inline handler", r"\son\w+="),
        ("an unescaped value", r"\|\s*safe\b|autoescape off"),
        ("an htmx script attribute", r"hx-on|hx-vals=['\"]js:"),
        ("something from elsewhere", r"(?:src|href)=['\"]https?://"),
    ],
)
def test_no_template_has(what: str, pattern: str) -> None:
    found = [str(path.relative_to(ROOT)) for path in templates() if re.search(pattern, path.read_text())]
    assert found == [], what


def test_every_class_of_a_page_is_styled_or_known_to_a_script() -> None:
    static = ROOT / "reviewhub" / "static"
    known = set(re.findall(r"\.([a-zA-Z][\w-]*)", "".join(path.read_text() for path in static.rglob("*.[cj]s*"))))
    strange = []
    for path in (ROOT / "templates").rglob("*.html"):
        plain = re.sub(r"{%.*?%}|{{.*?}}", " ", path.read_text(), flags=re.DOTALL)
        named = {name for value in re.findall(r'class="([^"]*)"', plain) for name in value.split()}
        strange += [f"{path.name}: {name}" for name in named - known]
    assert strange == []


def test_safe_strings_are_made_in_one_place() -> None:
    found = [str(path.relative_to(ROOT)) for path in modules(*ORDER) if re.search(r"\bmark_safe\b", path.read_text())]
    assert found == ["projects/rendering.py"]


def test_only_the_guarded_client_reaches_out() -> None:
    """Outbound HTTP goes through projects.outbound; the provider clients get its transport."""
    allowed = {"projects/outbound.py", "evals/llm.py"}
    found = set()
    for path in modules(*ORDER):
        if path.is_relative_to(ROOT / "reviewhub" / "runner"):
            continue  # asks its own children on loopback whether they are ready
        if re.search(
            r"^\s*(?:import|from) (?:requests|httpx2?|urllib\.request|http\.client)\b", path.read_text(), re.M
        ):
            found.add(str(path.relative_to(ROOT)))
    assert found - allowed == set()


def test_every_setting_is_in_the_readme() -> None:
    """And the README names none that the code does not read."""
    names: set[str] = set()
    for path in [*modules("reviewhub"), ROOT / "run.py"]:
        names |= set(re.findall(r'env\.(?:text|flag|integer|words|networks)\("([A-Z_]+)"', path.read_text()))
        names |= set(re.findall(r'os\.environ(?:\.get\(|\[)"((?!DJANGO|_)[A-Z_]+)"', path.read_text()))
    names -= {"PATH", "PYTHONPATH", "HOME", "CI", "VIRTUAL_ENV"}
    table = set(re.findall(r"^\| `([A-Z_]+)`", (ROOT / "README.md").read_text(), re.M))
    assert table == names


@pytest.mark.django_db
def test_migrations_are_complete() -> None:
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


def test_every_index_says_which_query_it_serves() -> None:
    silent = []
    for path in modules(*ORDER):
        if path.name != "models.py" and path.parent.name != "models":
            continue
        lines = path.read_text().splitlines()
        for number, line in enumerate(lines):
            if "models.Index(" in line and "#" not in lines[number - 1]:
                silent.append(f"{path.relative_to(ROOT)}:{number + 1}")
    assert silent == []
