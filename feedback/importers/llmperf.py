"""LLMPerf: single requests to eight providers with latencies, token counts and error codes, without texts.

Source: https://github.com/ray-project/llmperf-leaderboard
"""

from feedback.importers import labelled
from feedback.importers.records import register

register("llmperf", "LLMPerf requests with latency and errors")(labelled.convert)
