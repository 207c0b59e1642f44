"""Errors as HTTP tells them: one form, RFC 9457 problem+json."""

import json

from starlette.responses import Response

from mes import metrics
from mes.errors import MesError


def problem(error: MesError) -> Response:
    """Word an error: `code` is its stable name, `errors` names everything that was wrong."""
    metrics.ERRORS.labels(error.code).inc()
    body = {
        "type": "about:blank",
        "title": error.title,
        "status": error.status,
        "code": error.code,
        "detail": str(error),
    }
    if errors := getattr(error, "errors", None):
        body["errors"] = errors
    headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else {}
    return Response(json.dumps(body, default=str), error.status, headers=headers, media_type="application/problem+json")
