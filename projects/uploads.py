"""How large an upload may be, known before any of it is kept."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.core.files.uploadhandler import FileUploadHandler

LIMIT = 17 * 1024 * 1024  # bytes of a whole form; a file may have 16 MiB


class Bounded(FileUploadHandler):
    """Refuses a form by the length it announces. One that announces none is read as empty by Django."""

    def handle_raw_input(
        self, input_data: Any, META: Any, content_length: int, boundary: str, encoding: str | None = None
    ) -> None:
        """Raises RequestDataTooBig beyond LIMIT."""
        if content_length > LIMIT:
            raise RequestDataTooBig("A file may have at most 16 MiB.")

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:
        """Hands the data on."""
        return raw_data

    def file_complete(self, file_size: int) -> None:
        """Keeps nothing."""
