"""FeedbackQA: answers of a deployed retrieval system, with ratings and explanations by its users.

Source: https://github.com/McGill-NLP/feedbackqa
"""

from feedback.importers import labelled
from feedback.importers.records import register

register("feedbackqa", "FeedbackQA answers with ratings and comments")(labelled.convert)
