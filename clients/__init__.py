"""Ways to talk to a Redraft server: a typed client, a terminal chat, the stock SDKs."""
