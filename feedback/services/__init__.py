"""Every change of what came in. The one way to store an interaction, a feedback or a score."""

from feedback.services.batches import FactOutcome
from feedback.services.interactions import Outcome, amend_interaction, record_interaction, record_interactions
from feedback.services.rewriting import add_spans, rewrite_interaction
from feedback.services.scores import ScoreOutcome, record_score, record_scores
from feedback.services.tagging import tag_interactions
from feedback.services.votes import FeedbackOutcome, record_feedback, record_feedback_batch

__all__ = [
    "FactOutcome",
    "FeedbackOutcome",
    "Outcome",
    "ScoreOutcome",
    "add_spans",
    "amend_interaction",
    "record_feedback",
    "record_feedback_batch",
    "record_interaction",
    "record_interactions",
    "record_score",
    "record_scores",
    "rewrite_interaction",
    "tag_interactions",
]
