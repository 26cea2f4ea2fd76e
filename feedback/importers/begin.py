"""BEGIN: knowledge-grounded dialogue turns, labelled as attributable to their source or not.

Source: https://github.com/google/BEGIN-dataset
"""

from feedback.importers import labelled
from feedback.importers.records import register

register("begin", "BEGIN dialogue turns with attribution labels")(labelled.convert)
