"""Every screen's routes in one router, and the files that pages load."""

from fastapi import APIRouter

from mes.web import affected, commonality, containments, line, login, lot, record, search, spc, trace
from mes.web.rendering import FOLDER, Assets

STATIC = Assets(directory=FOLDER)
router = APIRouter(include_in_schema=False)
for screen in (login, line, search, trace, lot, spc, commonality, affected, containments, record):
    router.include_router(screen.router)
