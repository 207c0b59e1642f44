"""Runs the server's workers."""

import os
import shutil
import tempfile

import uvicorn

from mes.settings import Settings


def serve(settings: Settings, workers: int) -> None:
    """Serve until SIGTERM or SIGINT; requests under way are finished first."""
    # Several workers count together through files; the folder must be there before the counters are made.
    folder = tempfile.mkdtemp(prefix="mes-metrics-") if workers > 1 else None
    if folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
    try:
        uvicorn.run(
            "mes.app:make_worker",
            factory=True,
            host=settings.host,
            port=settings.port,
            workers=workers,
            loop="uvloop",
            http="httptools",
            ws="websockets-sansio",
            ws_per_message_deflate=False,  # measured: a fragment changes twice a second, packing it costs more
            access_log=False,
            server_header=False,
            log_level="warning",
            timeout_graceful_shutdown=10,
            timeout_keep_alive=75,
            backlog=1024,
        )
    finally:
        if folder:
            shutil.rmtree(folder, ignore_errors=True)
