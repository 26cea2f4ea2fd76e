"""The light client of Review Hub: send interactions and feedback, hold releases against golden datasets.

    from reviewhub_client import Hub

    hub = Hub("https://reviews.example.com", "rh_sk_…")
    hub.record_interaction({"id": "req-1", "input": "Fee for a paper statement?", "output": "It is free."})
    hub.feedback("req-1", "thumbs", "down", comment="wrong fee")

Depends on httpx only.
"""

from reviewhub_client.hub import Golden, Hub, HubError
from reviewhub_client.tokens import interaction_token

__all__ = ["Golden", "Hub", "HubError", "interaction_token"]
__version__ = "0.1.0"
