"""What the server of warm programs has imported before it forks one: all that takes a plant's programs seconds."""

import gc

import uvicorn.lifespan.on
import uvicorn.loops.uvloop
import uvicorn.protocols.http.httptools_impl
import uvicorn.protocols.websockets.websockets_sansio_impl  # noqa: F401

gc.freeze()  # a forked program that collects leaves these alone, so their memory need not be copied
