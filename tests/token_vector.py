"""One interaction token that both sides know, so that the client and the server cannot drift apart."""

SECRET_KEY = "rh_sk_AbCdEf0123" + "s" * 43
INTERACTION, USER = "req-8f2-ü", "u-7"
ISSUED_AT, LIFETIME = 1_795_262_400, 3600
TOKEN = (
    "eyJrIjoiQWJDZEVmMDEyMyIsImkiOiJyZXEtOGYyLcO8IiwiaWF0I"
    "joxNzk1MjYyNDAwLCJleHAiOjE3OTUyNjYwMDAsInUiOiJ1LTcifQ"
    ".kxSPSZTZbO6_BbdX4ppeZwO6X1-3GDTm92mk0BgdpJ8"
)
