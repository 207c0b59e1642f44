"""Feed the demo line of compose.yaml: lots and an order over HTTP, then the jobs for the simulated stations.

MES_URL and MES_KEY_FILE name the MES and a supervisor's key; the arguments are the jobs' file and how many packs.
"""

import asyncio
import json
import os
import random
import secrets
import sys
from pathlib import Path

import httpx

from mes.stock import Stock

EVERY_S = 0.5


async def feed(url: str, key: str, jobs: Path, packs: int) -> None:
    """Receive what the packs need, wait until receiving has released it, order them and send them to the line."""
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=30) as client:
        stock = Stock(client, f"C{secrets.token_hex(4).upper()}", random.Random(1))  # noqa: S311 - a demo's cells
        made = await stock.receive(packs)
        _append(jobs, [{"kind": "lot", "lot": lot} for lot in stock.cell_lots])
        for lot in stock.cell_lots:
            while await _state(client, lot) != "released":  # noqa: ASYNC110 - the state is another process's
                await asyncio.sleep(EVERY_S)
        serials = await stock.order(packs)
    numbered = zip(made, serials["GC48-105"], serials["M16S7P"], strict=True)
    _append(jobs, [job | {"pack": pack, "module": module} for job, pack, module in numbered])
    print(f"{packs} packs are on their way down the line: {', '.join(serials['GC48-105'])}")


async def _state(client: httpx.AsyncClient, lot: str) -> str:
    state: str = (await client.get(f"/api/lots/{lot}")).raise_for_status().json()["state"]
    return state


def _append(jobs: Path, lines: list[dict[str, object]]) -> None:
    with jobs.open("a", encoding="utf-8") as out:
        out.writelines(json.dumps(line) + "\n" for line in lines)


if __name__ == "__main__":
    read = Path(os.environ["MES_KEY_FILE"]).read_text("utf-8").strip()
    asyncio.run(feed(os.environ["MES_URL"], read, Path(sys.argv[1]), int(sys.argv[2])))
