"""Sets of failure modes to begin with, by kind of application. Each names what it is based on.

A preset is a start, not a standard: what goes wrong in one application is learnt from its own notes.
"""

from __future__ import annotations

from dataclasses import dataclass

from annotations.taxonomy import HARM, MAJOR, MINOR, NIT, PALETTE, Mode


@dataclass(frozen=True, slots=True)
class Preset:
    """A named set of modes: what it is for, and the source of its modes."""

    name: str
    about: str
    source: str
    modes: tuple[Mode, ...]


def _of_palette(*labels: str) -> tuple[Mode, ...]:
    return tuple(mode for mode in PALETTE if mode.label in labels)


_SPEC, _MIS, _CHECK = "Specification", "Agents at cross purposes", "Verification"
PRESETS = {
    "palette": Preset(
        "Starting palette", "Twelve modes that fit most assistants", "Sources of each in docs/concepts.md", PALETTE
    ),
    "rag": Preset(
        "RAG", "Answers from retrieved documents",
        "Barnett et al. 2024 (seven failure points); RAGTruth, arXiv 2401.00396",
        (
            Mode("1", "Unsupported claim", "States something that neither the context nor a trusted source supports",
                 MAJOR, "Faithfulness"),
            Mode("2", "Contradicts source", "Conflicts with the context, a tool result, or its own earlier text",
                 MAJOR, "Faithfulness"),
            Mode("3", "Not in the knowledge base", "No document holds the answer, and it does not say so", MAJOR,
                 "Retrieval"),
            Mode("4", "Not ranked high enough", "A document holds the answer but was not among those retrieved", MAJOR,
                 "Retrieval"),
            Mode("5", "Lost on the way to the prompt", "Retrieved, but cut or filtered before the model saw it", MAJOR,
                 "Retrieval"),
            Mode("6", "Not extracted", "The model saw the answer in the context and did not use it", MAJOR, "Reading"),
            Mode("7", "Wrong format", "Not in the form that was asked for, such as a table or a list", MINOR, "Form"),
            Mode("8", "Wrong specificity", "Too general or too detailed for the question", MINOR, "Form"),
            Mode("9", "Incomplete", "Correct as far as it goes, but misses required parts or was cut off", MINOR,
                 "Form"),
            Mode("0", "Wrong refusal", "Refuses, hedges or deflects although it should help", MINOR, "Form"),
            Mode("-", "Wrong citation", "Names a source that does not say this", MAJOR, "Faithfulness"),
            Mode("=", "Outdated source", "Relies on a document that newer ones replace", MAJOR, "Retrieval"),
        ),
    ),
    "agent": Preset(
        "Agent (MAST)", "Agents that plan and act, alone or together",
        "MAST, 14 modes in three groups: Cemri et al. 2025, arXiv 2503.13657",
        (
            Mode("1", "Disobeys the task", "Breaks a constraint or requirement of the task", MAJOR, _SPEC),
            Mode("2", "Disobeys its role", "Does what belongs to another role", MAJOR, _SPEC),
            Mode("3", "Step repetition", "Does again what was done already, for no reason", MINOR, _SPEC),
            Mode("4", "Loss of history", "Forgets recent turns and goes back to an earlier state", MAJOR, _SPEC),
            Mode("5", "Does not know when to stop", "Goes on although the task is done", MINOR, _SPEC),
            Mode("6", "Conversation reset", "Starts over without cause and loses what was reached", MAJOR, _MIS),
            Mode("7", "Does not ask", "Goes ahead where it should have asked for what is unclear", MAJOR, _MIS),
            Mode("8", "Task derailment", "Drifts away from the goal", MAJOR, _MIS),
            Mode("9", "Withholds information", "Knows what others need and does not pass it on", MAJOR, _MIS),
            Mode("0", "Ignores other input", "Does not take in what another agent or a tool has said", MAJOR, _MIS),
            Mode("-", "Says one thing, does another", "What it does does not follow from its reasoning", MAJOR, _MIS),
            Mode("=", "Premature termination", "Ends before the goal is reached", MAJOR, _CHECK),
            Mode("", "No or incomplete verification", "Does not check the result, or only a part of it", MAJOR, _CHECK),
            Mode("", "Wrong verification", "Checks the result and misses what is wrong with it", MAJOR, _CHECK),
        ),
    ),
    "support": Preset(
        "Support", "Assistants that answer customers", "The palette; over-refusal: XSTest, arXiv 2308.01263",
        (
            *_of_palette("Unsupported claim", "Contradicts source", "Misread intent", "Incomplete", "Wrong refusal",
                         "Safety or privacy"),
            Mode("1", "Breaks a policy", "Promises or allows what the rules of the house do not", HARM),
            Mode("2", "Should have handed over", "A person should have taken this, or much earlier", MAJOR),
            Mode("3", "Handed over needlessly", "Sent to a person what it could have answered", MINOR),
            Mode("4", "Wrong about this customer", "Account, order or contract details that are not theirs", HARM),
            Mode("5", "No next step", "Leaves the customer without knowing what to do", MINOR),
            Mode("6", "Tone", "Cold, pushy, or wrong for the situation", NIT),
        ),
    ),
    "structured": Preset(
        "Structured output", "Answers that a program reads",
        "TRAIL, arXiv 2505.08638 (formatting, tool errors); JSON Schema 2020-12 for the kinds of fault",
        (
            Mode("1", "Not parseable", "Is not the format at all: prose around it, cut off, broken quotes", HARM),
            Mode("2", "Missing field", "A required field is absent or empty", MAJOR),
            Mode("3", "Unknown field", "A field that the schema does not have", MINOR),
            Mode("4", "Wrong type", "A text where a number belongs, a list where one value does", MAJOR),
            Mode("5", "Outside the allowed values", "Not one of the choices, or out of range", MAJOR),
            Mode("6", "Invented value", "A value that the input does not hold", MAJOR),
            Mode("7", "Wrong value", "The input says something else", MAJOR),
            Mode("8", "Missed an entry", "The input holds more entries than the answer", MAJOR),
            Mode("9", "Duplicate entry", "The same entry twice", MINOR),
            Mode("0", "Wrong unit or format of a value", "Dates, money, units or precision not as agreed", MINOR),
            Mode("-", "Inconsistent fields", "Two fields contradict each other", MAJOR),
            Mode("=", "Wrong refusal", "Refuses, hedges or deflects although it should help", MINOR),
        ),
    ),
}  # fmt: skip
