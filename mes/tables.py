"""Every table imported once, for migrations and checks."""

from mes import journal, outbox
from mes.cells import models as cells
from mes.cycles import models as cycles
from mes.drill import models as drill
from mes.events import models as events
from mes.execution import models as execution
from mes.genealogy import models as genealogy
from mes.kits import models as kits
from mes.labels import models as labels
from mes.materials import models as materials
from mes.measurements import models as measurements
from mes.orders import models as orders
from mes.people import models as people
from mes.plant import models as plant
from mes.products import models as products
from mes.quality import models as quality
from mes.seal import models as seal
from mes.shipping import models as shipping
from mes.spc import models as spc
from mes.table import Table
from mes.units import models as units

ALL = (
    journal,
    outbox,
    cells,
    cycles,
    drill,
    events,
    execution,
    genealogy,
    kits,
    labels,
    materials,
    measurements,
    orders,
    people,
    plant,
    products,
    quality,
    seal,
    shipping,
    spc,
    units,
)
metadata = Table.metadata

# Ledgers: rows are added and closed, never altered or deleted. The columns named are those that close a row.
LEDGERS: dict[str, tuple[str, ...]] = {
    "act": (),
    "permit": (),
    "cycle": (),
    "finding": (),
    "measurement": (),
    "curve": (),
    "installation": ("removed_at", "removed_cycle_id"),
    "containment": (),
    "hold": ("released_at", "released_by", "release_reason"),
    "hold_signature": (),
    "disposition": (),
    "waiver": ("revoked_at", "revoked_by", "revoke_reason"),
    "station_check": (),
    "first_article": ("signed_at", "signed_by", "sign_verdict"),
    "certificate": ("withdrawn_at", "withdrawn_by", "withdraw_reason"),
    "lot_document": (),
    "product_revision": (),
    "bom_item": (),
    "recipe": (),
    "step": (),
    "characteristic": (),
    "order_revision": (),
    "cell": (),
    "lot_lineage": (),
    "cell_test": (),
    "cell_grade": ("ended_at",),
    "lot_grading": (),
    "kit_cell": ("ended_at", "ended_by"),
    "crate_unit": ("taken_out_at", "taken_out_by"),
    "drill": (),
    "containment_question": ("closed_at", "closed_by", "close_reason"),
    "signal": ("closed_at", "closed_by", "close_reason"),
    "seal_stream": (),
    "seal": (),
    "seal_part": (),
}
