"""What the server of warm programs has imported before it forks one: all that takes a plant's programs seconds."""

import gc
from importlib import import_module

PROGRAMS = ("mes.app", "mes.cli", "mes.serve", "plc_adapters.__main__", "plc_adapters.simulated.__main__")
UVICORN = (
    "lifespan.on",
    "loops.uvloop",
    "protocols.http.httptools_impl",
    "protocols.websockets.websockets_sansio_impl",
)

for name in (*PROGRAMS, *(f"uvicorn.{part}" for part in UVICORN)):
    import_module(name)
gc.freeze()  # a forked program that collects leaves these alone, so their memory need not be copied
