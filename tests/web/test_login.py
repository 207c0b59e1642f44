"""Logging in and out: what a key opens, for how long, and who is kept out."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from mes import clock
from mes.actor import Role
from mes.db import Database
from mes.people.messages import KeyRequest
from mes.people.queries import list_keys
from mes.people.service import create_key
from mes.web.tries import CAPACITY, MOST, WrongTries
from tests.conftest import ADMIN
from tests.web.conftest import PAGE, NewKey

AT = datetime(2026, 11, 23, 8, tzinfo=UTC)


async def test_a_page_without_a_key_leads_to_the_login(visitor: httpx.AsyncClient) -> None:
    answer = await visitor.get("/")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    page = await visitor.get("/login")
    assert page.status_code == 200
    assert 'type="password"' in page.text
    assert "autofocus" in page.text


async def test_a_key_opens_a_login_of_its_own(plant: Database, visitor: httpx.AsyncClient, new_key: NewKey) -> None:
    key = await new_key(Role.OPERATOR)
    answer = await visitor.post("/login", data={"key": f" {key}\n"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert key not in cookie
    for part in ("HttpOnly", "SameSite=strict", "Path=/", "Max-Age=43200"):
        assert part in cookie
    assert "Secure" not in cookie  # loopback
    assert (await visitor.get("/")).status_code == 200
    async with plant.reading() as session:
        newest = (await list_keys(session))[0]
    assert (newest.name, newest.role) == ("test-operator", Role.OPERATOR)
    assert newest.expires_at is not None


async def test_the_cookie_travels_over_https_alone_unless_the_host_is_this_machine(
    visitor: httpx.AsyncClient, new_key: NewKey
) -> None:
    key = await new_key(Role.OPERATOR)
    answer = await visitor.post("/login", data={"key": key}, headers={"Host": "mes.plant.example"})
    assert "Secure" in answer.headers["set-cookie"]


@pytest.mark.parametrize("body", ["key=mes_wrong", "", "key=", "other=1", "key=%00%ff", "key=" + "x" * 10_000])
async def test_a_wrong_key_gets_the_page_again_and_a_sentence(visitor: httpx.AsyncClient, body: str) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await visitor.post("/login", content=body, headers=form)
    assert answer.status_code == 401
    assert "not known, or has ended" in answer.text
    assert "set-cookie" not in answer.headers


async def test_a_machine_does_not_log_in(visitor: httpx.AsyncClient, new_key: NewKey) -> None:
    answer = await visitor.post("/login", data={"key": await new_key(Role.STATION)})
    assert answer.status_code == 403
    assert "belongs to a station: a machine" in answer.text


async def test_another_sites_form_is_turned_away(visitor: httpx.AsyncClient, new_key: NewKey) -> None:
    key = await new_key(Role.OPERATOR)
    own = {"Origin": "http://127.0.0.1:8000"}
    for origin in ("https://evil.example", "null", "http://127.0.0.1:8001"):
        answer = await visitor.post("/login", data={"key": key}, headers={"Origin": origin})
        assert answer.status_code == 403
        assert "another site" in answer.text
    assert (await visitor.post("/login", data={"key": key}, headers=own)).status_code == 303


async def test_guessing_is_slow_and_a_minute_clears_it(visitor: httpx.AsyncClient, new_key: NewKey) -> None:
    with clock.held(AT):
        key = await new_key(Role.OPERATOR)
        for _ in range(MOST):
            assert (await visitor.post("/login", data={"key": "mes_guess"})).status_code == 401
        clock.advance(timedelta(seconds=20))
        refused = await visitor.post("/login", data={"key": key})
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "40")
        assert "Try again in 40 seconds" in refused.text
        clock.advance(timedelta(seconds=40))
        assert (await visitor.post("/login", data={"key": key})).status_code == 303


async def test_a_login_ends_no_later_than_the_key_it_was_made_from(plant: Database, visitor: httpx.AsyncClient) -> None:
    request = KeyRequest(name="guest", role=Role.OPERATOR, expires_in_h=0.5)
    key = (await plant.transact(create_key, request, ADMIN)).key
    answer = await visitor.post("/login", data={"key": key})
    seconds = int(answer.headers["set-cookie"].partition("Max-Age=")[2].partition(";")[0])
    assert 1700 < seconds <= 1800


async def test_logging_out_ends_this_login_and_no_other(app: Any, plant: Database, new_key: NewKey) -> None:
    key = await new_key(Role.QUALITY)

    def client() -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8000", headers=PAGE)

    async with client() as here, client() as there:
        for each in (here, there):
            await each.post("/login", data={"key": key})
        cookie = here.cookies["mes_login"]
        assert (await here.post("/logout")).status_code == 303  # no Origin: another site could have sent it
        assert (await here.get("/")).status_code == 200
        answer = await here.post("/logout", headers={"Origin": "http://127.0.0.1:8000"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/login")
        assert "mes_login" not in here.cookies
        with clock.held(clock.now() + timedelta(seconds=6)):
            kept = await here.get("/", headers={"Cookie": f"mes_login={cookie}"})
            assert (kept.status_code, kept.headers["location"]) == (303, "/login")
            assert (await there.get("/")).status_code == 200
    async with plant.reading() as session:
        revoked = [entry for entry in await list_keys(session) if entry.revoked_at]
    assert len(revoked) == 1


def test_wrong_tries_take_bounded_memory_and_count_a_network_once() -> None:
    tries = WrongTries()
    for n in range(CAPACITY + 10):
        tries.note(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}")
    assert len(tries._tries) == CAPACITY
    for n in range(MOST):
        tries.note(f"2001:db8::{n + 1:x}")
    assert tries.wait_s("2001:db8::ffff") > 0
    assert tries.wait_s("2001:db8:0:1::1") == 0
    for _ in range(MOST):
        tries.note("not an address")
    assert tries.wait_s("not an address") > 0
