"""Takes the pictures in docs/screens anew: a Review Hub with the sample project, and Chromium.

``.venv/bin/python bench/screens.py [name …]``

It starts ``reviewhub run`` in a temporary folder, signs in with what that prints, follows links as a person would, and
writes one PNG for each name (all without names): 1440 by 900 in the light, the dark, or 390 by 844 as on a phone.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
import urllib.parse
from pathlib import Path
from typing import Any

from intake import ROOT, Hub
from playwright.sync_api import Browser, Page, sync_playwright

FOLDER = ROOT / "docs" / "screens"
LIGHT: dict[str, Any] = {"viewport": {"width": 1440, "height": 900}}
DARK = {**LIGHT, "color_scheme": "dark"}
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
PROJECT = "/p/sample/"
# Of the page at the first address: the address of the first link that matches the second.
Way = tuple[str, str] | tuple[str]
SCREENS: dict[str, tuple[str, Way, dict[str, Any]]] = {
    "health": ("engineer", ("health/",), LIGHT),
    "queues": ("lead", ("queues/",), LIGHT),
    "interactions": ("lead", ("interactions/?verdict=fail",), LIGHT),
    "interaction": ("lead", ("interactions/?spans_min=4&feature=appointments", "interactions/\\d+/"), LIGHT),
    "rules": ("lead", ("rules/",), LIGHT),
    "rule": ("lead", ("rules/", "rules/[^/]*sample/"), LIGHT),
    "clusters": ("lead", ("clusters/",), LIGHT),
    "agreement": ("lead", ("agreement/",), LIGHT),
    "difference": ("lead", ("disputes/", "disputes/\\d+/"), LIGHT),
    "audit": ("lead", ("audits/", "audits/\\d+/"), LIGHT),
    "taxonomy": ("lead", ("taxonomy/",), LIGHT),
    "dataset": ("engineer", ("datasets/golden/",), LIGHT),
    "run": ("engineer", ("runs/", "runs/[0-9a-f-]{36}/"), LIGHT),
    "judge": ("engineer", ("judges/", "judges/faithfulness/"), LIGHT),
    "review": ("reviewer", ("queues/negative-feedback/review/",), LIGHT),
    "review-dark": ("reviewer", ("queues/negative-feedback/review/",), DARK),
    "review-phone": ("reviewer", ("queues/negative-feedback/review/",), PHONE),
    "agreement-dark": ("lead", ("agreement/",), DARK),
    "queues-phone": ("lead", ("queues/",), PHONE),
}


def people(said: str) -> dict[str, tuple[str, str]]:
    """By role, who may sign in and with which password."""
    return {role: (email, password) for role, email, password in re.findall(r"^  (\w+) +(\S+@\S+) +(\S+)$", said, re.M)}


def signed_in(browser: Browser, base: str, who: tuple[str, str], options: dict[str, Any]) -> Page:
    page = browser.new_context(**options, reduced_motion="reduce").new_page()
    page.goto(f"{base}/login/")
    page.fill("#email", who[0])
    page.fill("#pw", who[1])
    page.press("#pw", "Enter")
    page.wait_for_url(lambda address: "/login" not in address)
    return page


def walk(page: Page, base: str, way: Way) -> None:
    page.goto(base + PROJECT + way[0])
    if len(way) == 1:
        return
    links: list[str] = page.evaluate("[...document.querySelectorAll('main a[href]')].map((one) => one.href)")
    wanted = re.compile(re.escape(PROJECT) + way[1])
    for link in links:
        if wanted.match(urllib.parse.urlsplit(link).path):
            page.goto(link)
            return
    raise SystemExit(f"{page.url} has no link to {way[1]}.")


def main(names: list[str]) -> None:
    """Takes the pictures of these names."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        raise SystemExit("There is no Chromium on this machine.")
    with tempfile.TemporaryDirectory() as folder:
        hub = Hub(Path(folder))
        hub.env["SAMPLE"] = "1"
        with hub.running() as said, sync_playwright() as playwright:
            base, who = f"http://127.0.0.1:{hub.port}", people(said)
            browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
            for name in names or SCREENS:
                role, way, options = SCREENS[name]
                page = signed_in(browser, base, who[role], options)
                walk(page, base, way)
                page.screenshot(path=FOLDER / f"{name}.png")
                page.context.close()
                print(name)
            browser.close()


if __name__ == "__main__":
    main(sys.argv[1:])
