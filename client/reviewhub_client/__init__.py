"""The light client of Review Hub: send interactions and feedback, hold releases against golden datasets.

    from reviewhub_client import Hub

    hub = Hub("https://reviews.example.com", "rh_sk_…")
    hub.record_interaction({"id": "req-1", "input": "Fee for a paper statement?", "output": "It is free."})
    hub.feedback("req-1", "thumbs", "down", comment="wrong fee")

``AsyncHub`` is its twin for asyncio. ``hub.interaction``, ``hub.record`` and ``hub.wrap`` record an application and
send in the background. Depends on httpx only; importing it starts nothing.
"""

from reviewhub_client.asynchronous import AsyncHub
from reviewhub_client.background import Background, Refused, Statistics
from reviewhub_client.hub import Golden, Hub
from reviewhub_client.recording import Call, Step
from reviewhub_client.tokens import interaction_token
from reviewhub_client.wire import HubError

__all__ = [
    "AsyncHub",
    "Background",
    "Call",
    "Golden",
    "Hub",
    "HubError",
    "Refused",
    "Statistics",
    "Step",
    "interaction_token",
]
__version__ = "0.1.0"
