"""LLMFAO: answers of about sixty models with real latencies; some are empty.

Source: https://github.com/dustalov/llmfao
"""

from feedback.importers import labelled
from feedback.importers.records import register

register("llmfao_outputs", "LLMFAO answers of sixty models")(labelled.convert)
