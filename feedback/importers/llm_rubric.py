"""LLM-Rubric: real information-seeking chats with sources, human answers to Q0-Q8 and a recorded judge.

Source: https://github.com/microsoft/LLM-Rubric
"""

from feedback.importers import labelled
from feedback.importers.records import register

register("llm_rubric", "LLM-Rubric conversations with judge scores")(labelled.convert)
