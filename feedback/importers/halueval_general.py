"""HaluEval, general queries: answers with and without hallucinations, some with the wrong span quoted.

Source: https://github.com/RUCAIBox/HaluEval
"""

from feedback.importers import labelled
from feedback.importers.records import register

register("halueval_general", "HaluEval answers with hallucination labels")(labelled.convert)
