"""HTTP: what gateways say of their connections."""

from fastapi import APIRouter, Request

from mes.http import run
from mes.plant import service
from mes.plant.messages import LinkReport

router = APIRouter(prefix="/api/links", tags=["gateways"])


@router.post("", status_code=204)
async def record_links(request: Request, message: LinkReport) -> None:
    """Say which stations a gateway is connected to, and how many reports it keeps as dead letters."""
    await run(request, service.record_links, message)
