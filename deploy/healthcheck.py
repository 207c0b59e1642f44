"""Ask a service of the image whether it is well: exit status 0, or 1 and the reason.

MES_HEALTH_URL is what to ask (the MES's own /health at MES_PORT), MES_KEY_FILE the key to ask with, if one is needed.
"""

import os
import sys
import urllib.error
import urllib.request
from pathlib import Path

WITHIN_S = 4


def trouble() -> str | None:
    """Return what is wrong, or None."""
    url = os.environ.get("MES_HEALTH_URL") or f"http://127.0.0.1:{os.environ.get('MES_PORT') or 8000}/health"
    key_file = os.environ.get("MES_KEY_FILE")
    try:
        headers = {"Authorization": f"Bearer {Path(key_file).read_text('utf-8').strip()}"} if key_file else {}
        request = urllib.request.Request(url, headers=headers)  # noqa: S310 - the address is the operator's own
        # No proxy: the environment's is for the world outside.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=WITHIN_S):
            return None
    except urllib.error.HTTPError as error:
        return f"{url} answers {error.code} {error.reason}"
    except OSError as error:  # no key file, nobody listens, no answer in time
        return f"{url}: {error}"


if __name__ == "__main__":
    if reason := trouble():
        sys.exit(reason)
