"""What asks the events over HTTP needs a key, as the pages do."""

from tests.web.conftest import new_key

__all__ = ["new_key"]
