"""RAGTruth: answers of six models to RAG tasks, with marked hallucinations. Prompts and sources are absent.

Source: https://github.com/ParticleMedia/RAGTruth
"""

from feedback.importers import labelled
from feedback.importers.records import register

register("ragtruth", "RAGTruth answers with hallucination spans")(labelled.convert)
