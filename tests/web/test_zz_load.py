import asyncio, time, os, sys, pytest, socket
from tests.journeys.test_browser import site, Plant
from tests.web.test_live import watch
from tests.build import line as build
from mes.actor import Role
async def test_load(site):
    import psutil
    N=300
    p=psutil.Process(site.process.pid)
    addr=f"ws://127.0.0.1:{site.port}/live/line"
    m=(await build.order(site.database))["M16S7P"][0]
    socks=[await watch(addr, site.keys[Role.QUALITY], compression=None if os.environ.get("NOC") else "deflate").__aenter__() for _ in range(N)]
    got=[0,0]
    async def read(s):
        async for t in s:
            got[0]+=1; got[1]+= '"html"' in t
    ts=[asyncio.create_task(read(s)) for s in socks]
    await asyncio.sleep(2)
    for phase in ("idle","busy"):
        got[:]=[0,0]; c=sum(p.cpu_times()[:2]); t0=time.monotonic()
        while time.monotonic()-t0<6:
            if phase=="busy": await build.permit(site.database,"GC1-070",m)
            await asyncio.sleep(0.1)
        d=time.monotonic()-t0
        print(phase, "cpu %.0f%%"%(100*(sum(p.cpu_times()[:2])-c)/d), "msgs/s",got[0]/d,"html/s",got[1]/d)
    for t in ts: t.cancel()
