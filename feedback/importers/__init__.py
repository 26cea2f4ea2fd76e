"""Reading files of interactions: ``run(path, format="reviewhub", project=project)``.

A format is one module of this package, or of another distribution that names it in the entry-point group
``reviewhub.importers``. It registers a function from one record to what is to be stored::

    from feedback.importers.records import Record, register

    @register("ours", "JSON lines of our old logger")
    def convert(record: dict[str, Any]) -> Record: ...
"""

import importlib
import pkgutil
from importlib.metadata import entry_points

from feedback.importers.records import HumanLabel, Record, formats, label_sinks, register
from feedback.importers.running import ImportReport, run

__all__ = ["HumanLabel", "ImportReport", "Record", "formats", "label_sinks", "register", "run"]

for _module in pkgutil.iter_modules(__path__, f"{__name__}."):
    importlib.import_module(_module.name)
for _entry in entry_points(group="reviewhub.importers"):
    _entry.load()
