"""What a subscriber can do with an event but take it."""


class Undelivered(Exception):
    """It wasn't taken; it is offered again later."""


class Gone(Exception):
    """The receiver wants no more [Standard Webhooks: 410]."""
