"""Golden examples with all that makes exports hard: tools, documents, parts, templates, formulas, odd characters."""

from __future__ import annotations

from evals.models import DatasetVersion
from evals.snapshot import Content
from projects.models import Project
from tests.evals import golden

HOSTILE = (
    "{{ env.HOME }} {% for x in [1] %}X{% endfor %} {# gone #} {{{ 'quoted' \"twice\"\n"
    "\u2028 \x85 \x7f \ufeff ﷽ 🦜 =1+1 <script>alert(1)</script> ---\n- yaml: [ # no"
)
FILE = "file:///etc/hostname"


def contents() -> list[Content]:
    """Seven examples: the last has neither messages nor a desired answer."""
    fee = {"id": "kb-12", "title": "Fees", "content": "Instant transfers cost 50 cents.", "score": 0.83}
    return [
        golden.content(
            "a-fee", split="test", tags=["vip", "fees"],
            input={"messages": [{"role": "system", "content": "Be brief."},
                                {"role": "user", "content": "What does it cost?"}],
                   "documents": [fee], "tools": [], "parameters": {"temperature": 0.2}},
            expected={"output": "An instant transfer costs 50 cents. A cheque is drawn at Tuesday's exchange rate.",
                      "assertions": [{"type": "must", "text": "50 cents"}, {"type": "must_not", "text": "free"}],
                      "label": {"verdict": "fail", "category": "retrieval-miss", "severity": 2}},
            provenance={"interaction_id": "req-1", "reviewers": 2, "settled_by": "unanimous", "blind": True},
            metadata={"answer": "It is free.", "model": "m-1",
                      "document_marks": [{"ref": "kb-12", "category": "outdated", "text": "50 cents"}]},
        ),
        golden.content(
            "b-hostile", split="train",
            input={"messages": [{"role": "user", "content": HOSTILE}], "documents": [], "tools": [], "parameters": {}},
            expected={"output": HOSTILE, "assertions": [],
                      "label": {"verdict": "fail", "category": None, "severity": None}},
            metadata={"answer": f"{HOSTILE}!"},
        ),
        golden.content(
            "c-tools", split="train",
            input={"messages": [
                {"role": "developer", "content": [{"type": "text", "text": "Use tools."}]},
                {"role": "user", "content": [{"type": "text", "text": "Balance?"}, {"type": "text", "text": "Now."}]},
                {"role": "assistant", "content": None,
                 "tool_calls": [{"id": "call_1", "type": "function",
                                 "function": {"name": "balance", "arguments": {"account": "{{x}}"}}}]},
                {"role": "tool", "content": "12.30", "tool_call_id": "call_1"},
            ], "documents": [], "tools": [{"name": "balance", "parameters": {"type": "object", "properties": {}}}],
                "parameters": {}},
            expected={"output": "12.30", "assertions": [], "label": {"verdict": "pass", "category": None,
                                                                     "severity": None}},
            metadata={"answer": "12.30"},
        ),
        golden.content(
            "d-schema", split="dev",
            expected={"output": '{"fee": 0.5}', "assertions": [], "label": {},
                      "schema": {"type": "object", "required": ["fee"], "properties": {"fee": {"type": "number"}}}},
        ),
        golden.content(
            "e-file", split="dev",
            input={"messages": [{"role": "user", "content": FILE}], "documents": [], "tools": [], "parameters": {}},
            expected={"output": FILE, "assertions": [], "label": {"verdict": "pass"}},
        ),
        golden.content("f-plain", split="test"),
        golden.content(
            "g-bare", split="test",
            input={"messages": [], "documents": [], "tools": [], "parameters": {}},
            expected={"output": "", "assertions": [{"type": "must", "text": "sorry"}], "label": {}},
        ),
    ]  # fmt: skip


def frozen(project: Project) -> DatasetVersion:
    """A frozen version of them."""
    return golden.frozen(project, *contents(), note="All that is hard")
