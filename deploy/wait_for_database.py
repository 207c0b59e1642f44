"""Wait until the owner's database takes connections; end with status 1 if it refuses for what waiting won't mend."""

import asyncio
import sys

import asyncpg

from mes.settings import get_settings

AGAIN_S = 2.0
PASSING = (asyncpg.CannotConnectNowError, asyncpg.TooManyConnectionsError)


async def wait() -> None:
    """Try until it answers; say once that it doesn't."""
    settings = get_settings()
    url = settings.owner_database_url or settings.database_url
    if url is None:
        sys.exit("set MES_OWNER_DATABASE_URL, or the file mes_owner_database_url in MES_SECRETS_DIR")
    said = ""
    while True:
        try:
            connection = await asyncpg.connect(url.get_secret_value().replace("+asyncpg", "", 1), timeout=5)
        except (OSError, TimeoutError, asyncpg.InterfaceError, *PASSING) as error:
            if said != (said := type(error).__name__):
                print(f"the database does not answer yet ({said}: {error})", file=sys.stderr)
            await asyncio.sleep(AGAIN_S)
        except asyncpg.PostgresError as error:
            sys.exit(f"the database refuses: {error}")
        else:
            await connection.close()
            return


if __name__ == "__main__":
    asyncio.run(wait())
