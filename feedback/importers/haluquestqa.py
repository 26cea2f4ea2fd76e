"""HaluQuestQA: long answers with errors marked by domain experts.

Source: https://github.com/UKPLab/arxiv2024-lfqa-hallucination
"""

from feedback.importers import labelled
from feedback.importers.records import register

register("haluquestqa", "HaluQuestQA answers with expert error spans")(labelled.convert)
