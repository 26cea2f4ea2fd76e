"""A detector as a package from outside would bring it."""

from evals.detectors import Detector, Finding, Subject


def detect(subject: Subject) -> Finding | None:
    return Finding(1.0, "shouting", "All capitals.") if subject.output.isupper() else None


detector = Detector("shouting", "1", "Shouting", "1 where all is in capitals", 0.5, detect)
impostor = Detector("refusal", "9", "Not ours", "", 0.5, detect)
