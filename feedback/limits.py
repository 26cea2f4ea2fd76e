"""Every limit of the intake, in one place. ``docs/api.md`` lists them; each is tested at n and n + 1.

Sizes are bytes of the body as it would be without compression; lengths are Unicode code points.
"""

from __future__ import annotations

KIB = 1024
MIB = 1024 * KIB

# Bodies. Checked while the body is read and inflated, before anything is parsed: 413.
FEEDBACK_BODY = 256 * KIB
INTERACTION_BODY = 4 * MIB
BATCH_BODY = 16 * MIB
BATCH_ITEMS = 1_000

# Texts: 422 with the path.
TEXT = 100_000  # a message, an answer, a document
COMMENT = 10_000  # what an end user writes
IDENTIFIER = 200
KEY = 180  # idempotency keys; 20 characters are left for the namespace of publishable keys
NAME = 200
SHORT_NAME = 100
TAG = 200
ROLE = 50  # of a message
LANGUAGE = 20
TITLE = 1_000  # of a document
SPAN_NAME = 300
VERSION = 60  # of a score

# Counts: 422 with the path.
MESSAGES = 1_000
DOCUMENTS = 200
SPANS = 1_000
TAGS = 50
TOOLS = 200
METADATA_KEYS = 1_000

# Numbers: 422 with the path.
TOKENS = 2**53
MILLISECONDS = 1e12
COST_USD = 1_000_000  # below this
SCALE = 1_000  # of a rating
SCORE = 1e15  # and not under its negative

# A clock outside these years is broken, and its times cannot be read back on every platform.
FIRST_YEAR, LAST_YEAR = 1970, 2199

# Requests of browsers: 429 with Retry-After. A publishable key can be read by anybody who opens the page, so what
# nobody vouches for is counted by key, by the visitor's address and by interaction; what a token vouches for only by
# interaction, in a counter of its own: a flood with a stolen key cannot keep out the votes of real users, nor can a
# neighbour behind the same address. Secret keys are not limited.
BROWSER_WINDOW_SECONDS = 60
BROWSER_KEY_REQUESTS = 600
BROWSER_ADDRESS_REQUESTS = 120
BROWSER_INTERACTION_REQUESTS = 60

# Pages of a list.
PAGE_SIZE = 50
PAGE_SIZE_MAX = 200
SEARCH = 200
