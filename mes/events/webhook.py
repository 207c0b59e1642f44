"""Posts events to a webhook, one at a time, signed by Standard Webhooks."""

import asyncio
from urllib.parse import urlsplit

import httpx
from standardwebhooks import Webhook

from mes import clock
from mes.events.cloud import ONE, to_json
from mes.events.queries import Subscriber
from mes.events.rules import EventRow, digest_of, is_loopback, webhook_secret
from mes.events.undelivered import Gone, Undelivered

CONNECT_S, ANSWER_S, TAKE_S = 5, 15, 20
READ_BYTES = 16 * 1024  # of an answer: so much is read that its connection may serve again, the rest is left


class WebhookCarrier:
    """Brings events to one webhook."""

    def __init__(self, subscriber: Subscriber, enterprise: str, key: str | None) -> None:
        self.address, self.enterprise = subscriber.address, enterprise
        self._secret = webhook_secret(key or "", subscriber.salt or b"")
        self._is_known = digest_of(self._secret) == subscriber.secret_digest
        # no redirect is followed: a signed event goes where it was asked for, or nowhere
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(ANSWER_S, connect=CONNECT_S),
            follow_redirects=False,
            trust_env=not is_loopback(urlsplit(self.address).hostname or ""),
            limits=httpx.Limits(max_connections=1),
        )

    async def take(self, event: EventRow) -> None:
        """Post one event; it is taken when the answer is 2xx. Raises Undelivered, or Gone at 410."""
        if not self._is_known:
            raise Undelivered("MES_EVENT_KEY isn't the one this webhook was made with: remove it and subscribe anew")
        body = to_json(event, self.enterprise)
        now = clock.now()
        headers = {
            "content-type": f"{ONE}; charset=utf-8",
            "webhook-id": str(event.id),
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": Webhook(self._secret).sign(str(event.id), now, body.decode()),
            "user-agent": "packmes",
        }
        try:
            async with (
                asyncio.timeout(TAKE_S),
                self._client.stream("POST", self.address, content=body, headers=headers) as answer,
            ):
                read = 0
                async for chunk in answer.aiter_raw():
                    read += len(chunk)
                    if read > READ_BYTES:
                        break
        except TimeoutError as error:
            raise Undelivered(f"no answer within {TAKE_S} s") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Undelivered(f"{type(error).__name__}: {error}"[:300]) from error
        if answer.status_code == httpx.codes.GONE:
            raise Gone("its receiver answered 410 Gone")
        if not answer.is_success:
            raise Undelivered(f"its receiver answered {answer.status_code}")

    async def close(self) -> None:
        """Close its connection."""
        await self._client.aclose()
