"""The best SQL written by hand for a station's result, to measure against: one prepared call, arrays.

It checks and writes what the MES's report does for a result that is as it should be: the same locks, the same facts,
the same rows in cycle, measurement, installation, unit, order, journal and outbox. It can only do this one report
(numbers, serial-traced components, no lots, no curves, no removals); anything unexpected raises.
"""

FUNCTION = """
CREATE FUNCTION report_by_hand(
    p_station text, p_cycle text, p_serial text, p_numbers float8[], p_children text[], p_part text, p_message text
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_unit unit%ROWTYPE; v_station bigint; v_permit bigint; v_cycle bigint; v_step bigint; v_passed bigint[];
    v_state text; v_failed bigint[]; v_at timestamptz := clock_timestamp();
    v_ids bigint[]; v_lots bigint[]; v_parts bigint[]; v_count int; v_part bigint;
BEGIN
    PERFORM 1 FROM lot WHERE id IN (SELECT lot_id FROM unit WHERE serial = ANY(p_children)) ORDER BY id FOR SHARE;
    PERFORM 1 FROM unit WHERE serial = ANY(p_children || p_serial) ORDER BY id FOR NO KEY UPDATE;
    SELECT * INTO STRICT v_unit FROM unit WHERE serial = p_serial;
    SELECT array_agg(u.id ORDER BY c.n), array_agg(u.lot_id ORDER BY c.n), array_agg(u.part_id ORDER BY c.n)
        INTO v_ids, v_lots, v_parts
        FROM unnest(p_children) WITH ORDINALITY AS c (serial, n) JOIN unit u ON u.serial = c.serial;
    SELECT id INTO STRICT v_part FROM part WHERE number = p_part;
    SELECT s.id, p.id INTO STRICT v_station, v_permit
        FROM station s LEFT JOIN permit p ON p.station_id = s.id AND p.cycle = p_cycle AND p.granted
        WHERE s.code = p_station;
    IF EXISTS (SELECT FROM cycle WHERE station_id = v_station AND cycle = p_cycle) THEN RAISE 'repeat'; END IF;
    SELECT t.id INTO STRICT v_step FROM step t JOIN station s ON s.id = v_station AND t.operation = ANY(s.operations)
        WHERE t.revision_id = v_unit.revision_id;
    SELECT array_agg(step_id) INTO v_passed FROM (
        SELECT DISTINCT ON (step_id) step_id, verdict FROM cycle WHERE unit_id = v_unit.id ORDER BY step_id, id DESC
    ) AS latest WHERE verdict = 'passed';
    IF v_step = ANY(v_passed) THEN RAISE 'passed before'; END IF;
    SELECT state INTO STRICT v_state FROM work_order WHERE id = v_unit.order_id;
    IF v_state NOT IN ('released', 'started') THEN RAISE 'order'; END IF;
    IF EXISTS (SELECT FROM hold WHERE released_at IS NULL
               AND (unit_id = ANY(v_ids || v_unit.id) OR lot_id = ANY(v_lots))) THEN RAISE 'on hold'; END IF;
    IF EXISTS (SELECT FROM installation WHERE removed_at IS NULL AND child_id = ANY(v_ids)) THEN RAISE 'used'; END IF;
    IF EXISTS (SELECT FROM lot WHERE id = ANY(v_lots) AND state <> 'released') THEN RAISE 'lot'; END IF;
    SELECT count(*) INTO v_count FROM unnest(v_parts) AS q WHERE q = v_part;
    IF v_count <> (SELECT quantity FROM bom_item WHERE revision_id = v_unit.revision_id AND part_id = v_part)
        THEN RAISE 'components'; END IF;
    SELECT coalesce(array_agg(v.n - 1), '{}') INTO v_failed
        FROM unnest(p_numbers) WITH ORDINALITY AS v (value, n)
        JOIN characteristic c ON c.step_id = v_step AND v.n - 1 >= c.offset AND v.n - 1 < c.offset + c.count
        WHERE v.value IS NULL OR v.value < c.lower OR v.value > c.upper;
    INSERT INTO cycle (station_id, cycle, asker, unit_id, step_id, permit_id, verdict, station_verdict, answer,
                       started_at, ended_at, reported_at)
        VALUES (v_station, p_cycle, 'hand', v_unit.id, v_step, v_permit,
                CASE WHEN cardinality(v_failed) = 0 THEN 'passed' ELSE 'failed' END, 'passed',
                jsonb_build_object('station', p_station, 'cycle', p_cycle, 'serial', p_serial, 'failures', v_failed),
                v_at, v_at, v_at) RETURNING id INTO v_cycle;
    INSERT INTO measurement (cycle_id, at, step_id, numbers, texts, failed)
        VALUES (v_cycle, v_at, v_step, p_numbers, '{}', v_failed);
    INSERT INTO installation (parent_id, child_id, lot_id, part_id, position, quantity, cycle_id, installed_at)
        SELECT v_unit.id, c.id, c.lot, c.part, c.n, 1, v_cycle, v_at
        FROM unnest(v_ids, v_lots, v_parts) WITH ORDINALITY AS c (id, lot, part, n);
    UPDATE unit SET state = 'in_process' WHERE id = v_unit.id AND state = 'issued';
    WITH told AS (
        INSERT INTO outbox (at, topic, payload) VALUES (v_at, 'cycle', jsonb_build_object('serial', p_serial)))
    INSERT INTO act (at, actor, role, name, message, digest, request_id)
        VALUES (v_at, 'hand', 'station', 'execution.report_result', p_message::jsonb,
                sha256(convert_to(p_message, 'UTF8')), '');
    RETURN v_cycle;
END $$
"""
CALL = "SELECT report_by_hand($1, $2, $3, $4, $5, $6, $7)"

# As long as this is held no process seals anything.
KEEP_FROM_SEALING = "SELECT pg_advisory_lock(hashtext('seals'))"
LET_SEAL = "SELECT pg_advisory_unlock(hashtext('seals'))"
