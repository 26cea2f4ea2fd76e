"""XSTest: prompts that look unsafe or are, with refusal labels by two people and an adjudicator.

Source: https://github.com/paul-rottger/exaggerated-safety
"""

from feedback.importers import labelled
from feedback.importers.records import register

register("xstest", "XSTest completions with refusal labels")(labelled.convert)
