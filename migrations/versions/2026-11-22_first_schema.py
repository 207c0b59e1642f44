"""The first schema: every table, its guards, and the application's rights."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations import guards

revision = "2026_11_22_first_schema"
down_revision = None

# The ledgers as they are at this revision, with the columns that close a row.
LEDGERS = {
    "act": (),
    "permit": (),
    "cycle": (),
    "finding": (),
    "measurement": (),
    "curve": (),
    "installation": ("removed_at", "removed_cycle_id"),
    "containment": (),
    "hold": ("released_at", "released_by", "release_reason"),
    "lot_document": (),
    "product_revision": (),
    "bom_item": (),
    "recipe": (),
    "step": (),
    "characteristic": (),
    "order_revision": (),
    "cell": (),
}


def upgrade() -> None:
    create_tables()
    tables = [t for t in sa.inspect(op.get_bind()).get_table_names() if t != "alembic_version"]
    op.execute(guards.refuse_changes())
    for table, closing in LEDGERS.items():
        for statement in guards.guard_ledger(table, closing):
            op.execute(statement)
    for statement in guards.least_rights(sorted(tables), LEDGERS):
        op.execute(statement)
    for statement in guards.month_partitions():
        op.execute(statement)


def create_tables() -> None:
    op.create_table(
        "access_key",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "role IN ('station', 'operator', 'quality', 'supervisor', 'admin')", name=op.f("ck_access_key_role")
        ),
        sa.CheckConstraint("octet_length(secret_hash) = 32", name=op.f("ck_access_key_hashed")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_key")),
        sa.UniqueConstraint("secret_hash", name=op.f("uq_access_key_secret_hash")),
    )
    op.create_table(
        "act",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("message", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", "at", name=op.f("pk_act")),
        postgresql_partition_by="RANGE (at)",
    )
    op.create_table(
        "finding",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("cycle_id", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("rules_version", sa.BigInteger(), nullable=False),
        sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_finding")),
    )
    op.create_index(op.f("ix_finding_cycle_id"), "finding", ["cycle_id"], unique=False)
    op.create_table(
        "installation",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("parent_id", sa.BigInteger(), nullable=False),
        sa.Column("child_id", sa.BigInteger(), nullable=True),
        sa.Column("lot_id", sa.BigInteger(), nullable=True),
        sa.Column("part_id", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=True),
        sa.Column("quantity", sa.Numeric(precision=18, scale=6), nullable=False),
        sa.Column("cycle_id", sa.BigInteger(), nullable=False),
        sa.Column("installed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("removed_cycle_id", sa.BigInteger(), nullable=True),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(child_id IS NULL) = (position IS NULL)", name=op.f("ck_installation_position")),
        sa.CheckConstraint("(removed_at IS NULL) = (removed_cycle_id IS NULL)", name=op.f("ck_installation_closed")),
        sa.CheckConstraint("child_id <> parent_id", name=op.f("ck_installation_itself")),
        sa.CheckConstraint("child_id IS NOT NULL OR lot_id IS NOT NULL", name=op.f("ck_installation_something")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_installation")),
    )
    op.create_index(
        "ix_installation_lot_id", "installation", ["lot_id"], unique=False, postgresql_where="lot_id IS NOT NULL"
    )
    op.create_index(
        "ix_installation_removed_child",
        "installation",
        ["child_id"],
        unique=False,
        postgresql_where="removed_at IS NOT NULL",
    )
    op.create_index(
        "ix_installation_removed_parent",
        "installation",
        ["parent_id"],
        unique=False,
        postgresql_where="removed_at IS NOT NULL",
    )
    op.create_index(
        "uq_installation_law1_child", "installation", ["child_id"], unique=True, postgresql_where="removed_at IS NULL"
    )
    op.create_index(
        "uq_installation_law2_position",
        "installation",
        ["parent_id", "part_id", "position"],
        unique=True,
        postgresql_where="removed_at IS NULL",
    )
    op.create_table(
        "measurement",
        sa.Column("cycle_id", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("step_id", sa.BigInteger(), nullable=False),
        sa.Column("numbers", postgresql.ARRAY(sa.Double()), nullable=False),
        sa.Column("texts", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("failed", postgresql.ARRAY(sa.BigInteger()), nullable=False),
        sa.PrimaryKeyConstraint("cycle_id", "at", name=op.f("pk_measurement")),
        postgresql_partition_by="RANGE (at)",
    )
    op.create_index("ix_measurement_cycle_id", "measurement", ["cycle_id"], unique=False)
    op.create_index("ix_measurement_step_id_at", "measurement", ["step_id", "at"], unique=False)
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("payload", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
    )
    op.create_table(
        "part",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("trace", sa.Text(), nullable=False),
        sa.Column("unit_of_measure", sa.Text(), nullable=False),
        sa.Column("serial_pattern", sa.Text(), nullable=True),
        sa.CheckConstraint("trace = 'serial' OR serial_pattern IS NULL", name=op.f("ck_part_serial_pattern")),
        sa.CheckConstraint("trace IN ('serial', 'lot', 'none')", name=op.f("ck_part_trace")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_part")),
        sa.UniqueConstraint("number", name=op.f("uq_part_number")),
    )
    op.create_table(
        "recipe",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("parameters", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recipe")),
        sa.UniqueConstraint("digest", name=op.f("uq_recipe_digest")),
    )
    op.create_table(
        "serial_counter",
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("prefix", name=op.f("pk_serial_counter")),
    )
    op.create_table(
        "site",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_site")),
        sa.UniqueConstraint("code", name=op.f("uq_site_code")),
    )
    op.create_table(
        "line",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("site_id", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name=op.f("fk_line_site_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_line")),
        sa.UniqueConstraint("code", name=op.f("uq_line_code")),
    )
    op.create_table(
        "product_revision",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("part_id", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("released_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["part_id"], ["part.id"], name=op.f("fk_product_revision_part_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_product_revision")),
        sa.UniqueConstraint("part_id", "revision", name=op.f("uq_product_revision_part_id_revision")),
    )
    op.create_table(
        "receiving_column",
        sa.Column("part_id", sa.BigInteger(), nullable=False),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("heading", sa.Text(), nullable=False),
        sa.Column("lower", sa.Double(), nullable=True),
        sa.Column("upper", sa.Double(), nullable=True),
        sa.CheckConstraint(
            "field IN ('serial', 'carton', 'ocv_v', 'acir_mohm', 'capacity_ah', 'measured_at')",
            name=op.f("ck_receiving_column_field"),
        ),
        sa.ForeignKeyConstraint(["part_id"], ["part.id"], name=op.f("fk_receiving_column_part_id")),
        sa.PrimaryKeyConstraint("part_id", "field", name=op.f("pk_receiving_column")),
    )
    op.create_table(
        "work_order",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("part_id", sa.BigInteger(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("finished", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("priority", sa.BigInteger(), nullable=False),
        sa.Column("due", sa.Date(), nullable=True),
        sa.Column("erp_reference", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "state IN ('created', 'released', 'started', 'on_hold', 'completed', 'closed', 'cancelled')",
            name=op.f("ck_work_order_state"),
        ),
        sa.CheckConstraint("finished BETWEEN 0 AND quantity", name=op.f("ck_work_order_law8_finished")),
        sa.CheckConstraint("quantity >= 1", name=op.f("ck_work_order_quantity")),
        sa.ForeignKeyConstraint(["part_id"], ["part.id"], name=op.f("fk_work_order_part_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_work_order")),
        sa.UniqueConstraint("number", name=op.f("uq_work_order_number")),
    )
    op.create_table(
        "bom_item",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("revision_id", sa.BigInteger(), nullable=False),
        sa.Column("part_id", sa.BigInteger(), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("quantity", sa.Numeric(precision=18, scale=6), nullable=False),
        sa.Column("groups", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("groups >= 1", name=op.f("ck_bom_item_groups")),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_bom_item_quantity")),
        sa.ForeignKeyConstraint(["part_id"], ["part.id"], name=op.f("fk_bom_item_part_id")),
        sa.ForeignKeyConstraint(["revision_id"], ["product_revision.id"], name=op.f("fk_bom_item_revision_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bom_item")),
        sa.UniqueConstraint(
            "revision_id", "part_id", "operation", name=op.f("uq_bom_item_revision_id_part_id_operation")
        ),
    )
    op.create_index(op.f("ix_bom_item_part_id"), "bom_item", ["part_id"], unique=False)
    op.create_table(
        "lot",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("part_id", sa.BigInteger(), nullable=False),
        sa.Column("revision_id", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("supplier", sa.Text(), nullable=False),
        sa.Column("supplier_lot", sa.Text(), nullable=False),
        sa.Column("quantity", sa.Numeric(precision=18, scale=6), nullable=False),
        sa.Column("quantity_left", sa.Numeric(precision=18, scale=6), nullable=False),
        sa.Column("country", sa.Text(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_on", sa.Date(), nullable=True),
        sa.CheckConstraint("country ~ '^[A-Z]{2}$'", name=op.f("ck_lot_country")),
        sa.CheckConstraint("state IN ('quarantined', 'released', 'rejected')", name=op.f("ck_lot_state")),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_lot_quantity")),
        sa.ForeignKeyConstraint(["part_id"], ["part.id"], name=op.f("fk_lot_part_id")),
        sa.ForeignKeyConstraint(["revision_id"], ["product_revision.id"], name=op.f("fk_lot_revision_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lot")),
        sa.UniqueConstraint("number", name=op.f("uq_lot_number")),
    )
    op.create_index("ix_lot_part_id", "lot", ["part_id"], unique=False)
    op.create_index("ix_lot_supplier_lot", "lot", ["supplier_lot"], unique=False)
    op.create_table(
        "order_revision",
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.Column("part_id", sa.BigInteger(), nullable=False),
        sa.Column("revision_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["order_id"], ["work_order.id"], name=op.f("fk_order_revision_order_id")),
        sa.ForeignKeyConstraint(["part_id"], ["part.id"], name=op.f("fk_order_revision_part_id")),
        sa.ForeignKeyConstraint(["revision_id"], ["product_revision.id"], name=op.f("fk_order_revision_revision_id")),
        sa.PrimaryKeyConstraint("order_id", "part_id", name=op.f("pk_order_revision")),
    )
    op.create_table(
        "station",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("line_id", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("ordinal", sa.BigInteger(), nullable=False),
        sa.Column("operations", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(["line_id"], ["line.id"], name=op.f("fk_station_line_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_station")),
        sa.UniqueConstraint("code", name=op.f("uq_station_code")),
    )
    op.create_table(
        "step",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("revision_id", sa.BigInteger(), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("ordinal", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("predecessors", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("recipe_id", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["recipe_id"], ["recipe.id"], name=op.f("fk_step_recipe_id")),
        sa.ForeignKeyConstraint(["revision_id"], ["product_revision.id"], name=op.f("fk_step_revision_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_step")),
        sa.UniqueConstraint("revision_id", "operation", name=op.f("uq_step_revision_id_operation")),
    )
    op.create_table(
        "characteristic",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("step_id", sa.BigInteger(), nullable=False),
        sa.Column("ordinal", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("lower", sa.Double(), nullable=True),
        sa.Column("upper", sa.Double(), nullable=True),
        sa.Column("expected", sa.Text(), nullable=True),
        sa.CheckConstraint("kind IN ('number', 'boolean', 'text', 'curve')", name=op.f("ck_characteristic_kind")),
        sa.CheckConstraint("count >= 1", name=op.f("ck_characteristic_count")),
        sa.CheckConstraint("lower <= upper", name=op.f("ck_characteristic_limits")),
        sa.ForeignKeyConstraint(["step_id"], ["step.id"], name=op.f("fk_characteristic_step_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_characteristic")),
        sa.UniqueConstraint("step_id", "name", name=op.f("uq_characteristic_step_id_name")),
    )
    op.create_index("ix_characteristic_step_id", "characteristic", ["step_id"], unique=False)
    op.create_table(
        "cycle",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("station_id", sa.BigInteger(), nullable=False),
        sa.Column("cycle", sa.Text(), nullable=False),
        sa.Column("asker", sa.Text(), nullable=False),
        sa.Column("unit_id", sa.BigInteger(), nullable=True),
        sa.Column("lot_id", sa.BigInteger(), nullable=True),
        sa.Column("step_id", sa.BigInteger(), nullable=False),
        sa.Column("permit_id", sa.BigInteger(), nullable=True),
        sa.Column("tool_id", sa.BigInteger(), nullable=True),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("station_verdict", sa.Text(), nullable=False),
        sa.Column("answer", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("program_revision", sa.Text(), nullable=True),
        sa.Column("operator", sa.Text(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reported_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("station_verdict IN ('passed', 'failed')", name=op.f("ck_cycle_station_verdict")),
        sa.CheckConstraint("verdict IN ('passed', 'failed')", name=op.f("ck_cycle_verdict")),
        sa.CheckConstraint("num_nonnulls(unit_id, lot_id) = 1", name=op.f("ck_cycle_subject")),
        sa.ForeignKeyConstraint(["station_id"], ["station.id"], name=op.f("fk_cycle_station_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cycle")),
        sa.UniqueConstraint("station_id", "cycle", name="uq_cycle_law4_station_cycle"),
    )
    op.create_index("ix_cycle_lot_id", "cycle", ["lot_id"], unique=False, postgresql_where="lot_id IS NOT NULL")
    op.create_index("ix_cycle_reported_at", "cycle", ["reported_at"], unique=False)
    op.create_index("ix_cycle_unit_id", "cycle", ["unit_id"], unique=False, postgresql_where="unit_id IS NOT NULL")
    op.create_table(
        "lot_document",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("lot_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("file_name", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["lot_id"], ["lot.id"], name=op.f("fk_lot_document_lot_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lot_document")),
    )
    op.create_index(op.f("ix_lot_document_lot_id"), "lot_document", ["lot_id"], unique=False)
    op.create_table(
        "permit",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("station_id", sa.BigInteger(), nullable=False),
        sa.Column("cycle", sa.Text(), nullable=False),
        sa.Column("asker", sa.Text(), nullable=False),
        sa.Column("serial", sa.Text(), nullable=False),
        sa.Column("unit_id", sa.BigInteger(), nullable=True),
        sa.Column("lot_id", sa.BigInteger(), nullable=True),
        sa.Column("step_id", sa.BigInteger(), nullable=True),
        sa.Column("granted", sa.Boolean(), nullable=False),
        sa.Column("refusals", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("rules_version", sa.BigInteger(), nullable=False),
        sa.Column("operator", sa.Text(), nullable=True),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("granted = (cardinality(refusals) = 0)", name=op.f("ck_permit_granted")),
        sa.ForeignKeyConstraint(["station_id"], ["station.id"], name=op.f("fk_permit_station_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_permit")),
        sa.UniqueConstraint("station_id", "cycle", name="uq_permit_law4_station_cycle"),
    )
    op.create_index("ix_permit_unit_id", "permit", ["unit_id"], unique=False, postgresql_where="unit_id IS NOT NULL")
    op.create_table(
        "station_link",
        sa.Column("station_id", sa.BigInteger(), nullable=False),
        sa.Column("gateway", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("heard_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("dead_letters", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("state IN ('connected', 'lost')", name=op.f("ck_station_link_state")),
        sa.ForeignKeyConstraint(["station_id"], ["station.id"], name=op.f("fk_station_link_station_id")),
        sa.PrimaryKeyConstraint("station_id", name=op.f("pk_station_link")),
    )
    op.create_table(
        "tool",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("station_id", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("calibration_due", sa.Date(), nullable=True),
        sa.ForeignKeyConstraint(["station_id"], ["station.id"], name=op.f("fk_tool_station_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tool")),
        sa.UniqueConstraint("code", name=op.f("uq_tool_code")),
    )
    op.create_index(op.f("ix_tool_station_id"), "tool", ["station_id"], unique=False)
    op.create_table(
        "unit",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("serial", sa.Text(), nullable=False),
        sa.Column("part_id", sa.BigInteger(), nullable=False),
        sa.Column("lot_id", sa.BigInteger(), nullable=True),
        sa.Column("order_id", sa.BigInteger(), nullable=True),
        sa.Column("revision_id", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(state = 'received') = (order_id IS NULL)", name=op.f("ck_unit_received")),
        sa.CheckConstraint("state IN ('issued', 'in_process', 'finished', 'received')", name=op.f("ck_unit_state")),
        sa.CheckConstraint("(order_id IS NULL) = (revision_id IS NULL)", name=op.f("ck_unit_made")),
        sa.CheckConstraint("order_id IS NULL OR lot_id IS NULL", name=op.f("ck_unit_origin")),
        sa.ForeignKeyConstraint(["lot_id"], ["lot.id"], name=op.f("fk_unit_lot_id")),
        sa.ForeignKeyConstraint(["order_id"], ["work_order.id"], name=op.f("fk_unit_order_id")),
        sa.ForeignKeyConstraint(["part_id"], ["part.id"], name=op.f("fk_unit_part_id")),
        sa.ForeignKeyConstraint(["revision_id"], ["product_revision.id"], name=op.f("fk_unit_revision_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_unit")),
        sa.UniqueConstraint("serial", name=op.f("uq_unit_serial")),
    )
    op.create_index("ix_unit_lot_id", "unit", ["lot_id"], unique=False, postgresql_where="lot_id IS NOT NULL")
    op.create_index(
        "ix_unit_order_id", "unit", ["order_id", "part_id"], unique=False, postgresql_where="order_id IS NOT NULL"
    )
    op.create_table(
        "cell",
        sa.Column("unit_id", sa.BigInteger(), nullable=False),
        sa.Column("carton", sa.Text(), nullable=True),
        sa.Column("ocv_v", sa.Double(), nullable=True),
        sa.Column("acir_mohm", sa.Double(), nullable=True),
        sa.Column("capacity_ah", sa.Double(), nullable=True),
        sa.Column("measured_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["unit_id"], ["unit.id"], name=op.f("fk_cell_unit_id")),
        sa.PrimaryKeyConstraint("unit_id", name=op.f("pk_cell")),
    )
    op.create_table(
        "containment",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("lot_id", sa.BigInteger(), nullable=True),
        sa.Column("unit_id", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("opened_by", sa.Text(), nullable=False),
        sa.CheckConstraint("num_nonnulls(lot_id, unit_id) = 1", name=op.f("ck_containment_subject")),
        sa.ForeignKeyConstraint(["lot_id"], ["lot.id"], name=op.f("fk_containment_lot_id")),
        sa.ForeignKeyConstraint(["unit_id"], ["unit.id"], name=op.f("fk_containment_unit_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_containment")),
    )
    op.create_table(
        "curve",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("cycle_id", sa.BigInteger(), nullable=False),
        sa.Column("characteristic_id", sa.BigInteger(), nullable=False),
        sa.Column("ordinal", sa.BigInteger(), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["characteristic_id"], ["characteristic.id"], name=op.f("fk_curve_characteristic_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_curve")),
    )
    op.create_index("ix_curve_cycle_id", "curve", ["cycle_id"], unique=False)
    op.create_table(
        "hold",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("unit_id", sa.BigInteger(), nullable=True),
        sa.Column("lot_id", sa.BigInteger(), nullable=True),
        sa.Column("containment_id", sa.BigInteger(), nullable=True),
        sa.Column("inherited_from", sa.BigInteger(), nullable=True),
        sa.Column("cycle_id", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("opened_by", sa.Text(), nullable=False),
        sa.Column("released_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("released_by", sa.Text(), nullable=True),
        sa.Column("release_reason", sa.Text(), nullable=True),
        sa.CheckConstraint("num_nonnulls(lot_id, unit_id) = 1", name=op.f("ck_hold_subject")),
        sa.CheckConstraint(
            "num_nonnulls(released_at, released_by, release_reason) IN (0, 3)", name=op.f("ck_hold_released")
        ),
        sa.ForeignKeyConstraint(["containment_id"], ["containment.id"], name=op.f("fk_hold_containment_id")),
        sa.ForeignKeyConstraint(["inherited_from"], ["hold.id"], name=op.f("fk_hold_inherited_from")),
        sa.ForeignKeyConstraint(["lot_id"], ["lot.id"], name=op.f("fk_hold_lot_id")),
        sa.ForeignKeyConstraint(["unit_id"], ["unit.id"], name=op.f("fk_hold_unit_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hold")),
    )
    op.create_index("ix_hold_containment_id", "hold", ["containment_id"], unique=False)
    op.create_index("ix_hold_lot_id", "hold", ["lot_id"], unique=False, postgresql_where="released_at IS NULL")
    op.create_index("ix_hold_unit_id", "hold", ["unit_id"], unique=False, postgresql_where="released_at IS NULL")
