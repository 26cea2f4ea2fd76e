"""Reading files of interactions: ``run(path, format="reviewhub", project=project)``.

A format is one module of this package, or of another distribution that names it in the entry-point group
``reviewhub.importers``. It registers a function from one record to what is to be stored::

    from feedback.importers.records import Record, register

    @register("ours", "JSON lines of our old logger")
    def convert(record: dict[str, Any]) -> Record: ...

Where records are parts of traces that lie scattered over files, ``register_traces`` takes two functions: one that
takes a record apart into pieces and names their traces, and one that puts the pieces of a trace together.
"""

import importlib
import pkgutil
from importlib.metadata import entry_points

from feedback.importers.records import (
    HumanLabel,
    Piece,
    Record,
    formats,
    label_sinks,
    register,
    register_traces,
)
from feedback.importers.reporting import ImportReport
from feedback.importers.running import run

__all__ = [
    "HumanLabel",
    "ImportReport",
    "Piece",
    "Record",
    "formats",
    "label_sinks",
    "register",
    "register_traces",
    "run",
]

for _module in pkgutil.iter_modules(__path__, f"{__name__}."):
    importlib.import_module(_module.name)
for _entry in entry_points(group="reviewhub.importers"):
    _entry.load()
