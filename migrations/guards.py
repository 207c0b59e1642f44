"""What the database itself refuses: ledger triggers, the application's rights, and the months' partitions."""

from collections.abc import Iterable, Mapping

APPLICATION_ROLE = "mes_app"
PARTITIONED = ("act", "measurement")


def refuse_changes() -> str:
    """Make the trigger function: rows are added, and closed once in the columns its trigger names."""
    return """
    CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        closing text[] := TG_ARGV;
    BEGIN
        IF TG_OP = 'UPDATE' AND cardinality(closing) > 0
           AND to_jsonb(OLD) - closing = to_jsonb(NEW) - closing
           AND NOT EXISTS (SELECT FROM unnest(closing) AS c
                           WHERE to_jsonb(OLD) -> c <> 'null'::jsonb OR to_jsonb(NEW) -> c = 'null'::jsonb)
        THEN
            RETURN NEW;
        END IF;
        RAISE EXCEPTION 'law 3: % is a ledger; % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
    END $$
    """


def refuse_changes_and_count_closings() -> str:
    """Make the trigger function anew: a closing also draws its number, by which it is sealed."""
    return (
        refuse_changes()
        .replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")
        .replace("RETURN NEW", "NEW.closing_id := nextval('closing_id_seq'); RETURN NEW")
    )


def seal_stream(table: str, closing: Iterable[str] = (), columns: Iterable[str] = (), key: str = "id") -> list[str]:
    """Have a table's rows sealed from here on: these columns, else all but those that close a row, which are sealed
    on their own once they do. Called again when a table gets a column: what was sealed before stays as it was.
    """
    drawn_by = {"cycle_id": "cycle_id_seq"}.get(key, f"{table}_{key}_seq")
    closes, chosen = ", ".join(f"'{name}'" for name in closing), ", ".join(f"'{name}'" for name in columns)
    listed = f"""ARRAY(SELECT attname::text FROM pg_attribute
                       WHERE attrelid = '{table}'::regclass AND attnum > 0 AND NOT attisdropped
                         AND attname <> ALL (ARRAY[{closes}]::text[] || 'closing_id'::text) ORDER BY attnum)"""
    statements = [
        f"""INSERT INTO seal_stream (name, of_table, key, drawn_by, columns, closing)
            VALUES ('{table}', '{table}', '{key}', '{drawn_by}',
                    {f"ARRAY[{chosen}]" if chosen else listed}, ARRAY[{closes}]::text[])""",
        f"GRANT SELECT ON SEQUENCE {drawn_by} TO {APPLICATION_ROLE}",
    ]
    if closes:
        statements.append(
            f"""INSERT INTO seal_stream (name, of_table, key, drawn_by, columns, closing)
                VALUES ('{table} closing', '{table}', 'closing_id', 'closing_id_seq',
                        ARRAY['closing_id', '{key}', {closes}], '{{}}')"""
        )
    return statements


def guard_ledger(table: str, closing: Iterable[str]) -> list[str]:
    """Put the trigger on a table, against changing rows and against emptying it."""
    names = ", ".join(f"'{column}'" for column in closing)
    return [
        f"""CREATE TRIGGER law3_rows BEFORE UPDATE OR DELETE ON {table}
            FOR EACH ROW EXECUTE FUNCTION refuse_change({names})""",
        f"CREATE TRIGGER law3_empty BEFORE TRUNCATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()",
    ]


def least_rights(tables: Iterable[str], ledgers: Mapping[str, Iterable[str]]) -> list[str]:
    """Give the application's role what it needs and no more: no DDL, no delete, no update of a ledger's columns."""
    statements = [
        f"""DO $$ BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{APPLICATION_ROLE}') THEN
                CREATE ROLE {APPLICATION_ROLE} NOLOGIN;
            END IF;
        END $$""",
        f"GRANT {APPLICATION_ROLE} TO CURRENT_USER",
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
        f"GRANT USAGE ON SCHEMA public TO {APPLICATION_ROLE}",
    ]
    statements += rights_on(tables, ledgers)
    statements.append(f"GRANT DELETE ON outbox TO {APPLICATION_ROLE}")
    statements.append(f"GRANT USAGE ON SEQUENCE cycle_id_seq TO {APPLICATION_ROLE}")
    statements.append(f"GRANT SELECT ON alembic_version TO {APPLICATION_ROLE}")
    return statements


def rights_on(tables: Iterable[str], ledgers: Mapping[str, Iterable[str]]) -> list[str]:
    """Let the application read and add rows; alter them only where the table is no ledger, or to close a row."""
    statements = []
    for table in tables:
        statements.append(f"GRANT SELECT, INSERT ON {table} TO {APPLICATION_ROLE}")
        closing = ", ".join(ledgers[table]) if table in ledgers else None
        if closing is None:
            statements.append(f"GRANT UPDATE ON {table} TO {APPLICATION_ROLE}")
        elif closing:
            statements.append(f"GRANT UPDATE ({closing}) ON {table} TO {APPLICATION_ROLE}")
    return statements


def month_partitions() -> list[str]:
    """Make the function that adds months ahead. A default partition takes what no month takes: no fact is refused."""
    tables = ", ".join(f"'{table}'" for table in PARTITIONED)
    return [
        *(f"CREATE TABLE {table}_other PARTITION OF {table} DEFAULT" for table in PARTITIONED),
        f"""
        CREATE FUNCTION add_months(first date, months int) RETURNS int LANGUAGE plpgsql SECURITY DEFINER
        SET search_path = public, pg_temp AS $$
        DECLARE
            parent text; start date; child text; added int := 0;
        BEGIN
            PERFORM pg_advisory_xact_lock(hashtext('add_months'));
            FOREACH parent IN ARRAY ARRAY[{tables}] LOOP
                FOR n IN 0 .. least(months, 120) - 1 LOOP
                    start := date_trunc('month', first) + make_interval(months => n);
                    child := parent || to_char(start, '"_"YYYY"_"MM');
                    CONTINUE WHEN to_regclass(child) IS NOT NULL;
                    EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)', child, parent,
                                   start || ' 00:00+00', (start + interval '1 month')::date || ' 00:00+00');
                    added := added + 1;
                END LOOP;
            END LOOP;
            RETURN added;
        END $$
        """,
        "REVOKE ALL ON FUNCTION add_months FROM PUBLIC",
        f"GRANT EXECUTE ON FUNCTION add_months TO {APPLICATION_ROLE}",
        "SELECT add_months((now() - interval '1 month')::date, 6)",
    ]
