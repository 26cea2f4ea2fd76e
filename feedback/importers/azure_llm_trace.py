"""Azure LLM inference trace 2023: times and token counts of production requests, without texts.

Source: https://github.com/Azure/AzurePublicDataset
"""

from feedback.importers import labelled
from feedback.importers.records import register

register("azure_llm_trace", "Azure production requests with token counts")(labelled.convert)
