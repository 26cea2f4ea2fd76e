"""Answers kept on disk by what was asked, so that the same question to the same target is paid for once."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from reviewhub_client.answers import Answer, CannotRun, Target, storable


class Cached:
    """A target that first looks into a folder. The key is a hash of what the target is (``identity``, else its
    description), the example's input and the number of the repeat, so that a changed prompt, model, parameter, address
    or function is asked anew. Errors are not kept."""

    def __init__(self, target: Target, folder: str | Path) -> None:
        self.target, self.folder = target, Path(folder)
        self.name, self.concurrent, self.hits = target.name, target.concurrent, 0
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CannotRun(f"The cache {folder} cannot be made: {error}") from None

    def describe(self) -> dict[str, Any]:
        return self.target.describe()

    def answer(self, example: Mapping[str, Any], repeat: int = 0) -> Answer:
        path = self.folder / f"{self._key(example, repeat)}.json"
        try:
            kept = Answer(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):  # not there, or cut off by a kill: asked again
            answer = storable(self.target.answer(example))
            if not answer.error:
                self._keep(path, answer)
            return answer
        self.hits += 1
        return kept

    def _identity(self) -> dict[str, Any]:
        told = getattr(self.target, "identity", self.target.describe)()
        return dict(told)

    def _key(self, example: Mapping[str, Any], repeat: int) -> str:
        asked = [self._identity(), example.get("input"), repeat]
        return hashlib.sha256(json.dumps(asked, sort_keys=True, ensure_ascii=False).encode()).hexdigest()

    def _keep(self, path: Path, answer: Answer) -> None:
        draft = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
        draft.write_text(json.dumps(asdict(answer), ensure_ascii=False), encoding="utf-8")
        draft.replace(path)  # whole or not at all
