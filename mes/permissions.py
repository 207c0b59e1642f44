"""Who may do what: the published table. An act that is not in it can't be asked for over HTTP."""

from mes.actor import Actor, Role
from mes.errors import Forbidden

_OFFICE = frozenset({Role.QUALITY, Role.SUPERVISOR, Role.ADMIN})
_EVERYONE = frozenset(Role)
_DOOR = frozenset({Role.STATION, Role.OPERATOR, Role.SUPERVISOR, Role.ADMIN})

ALLOWED: dict[str, frozenset[Role]] = {
    "request_permit": _DOOR,
    "report_result": _DOOR,
    "record_offline_permit": frozenset({Role.STATION, Role.ADMIN}),
    "read_standing": frozenset({Role.STATION, Role.ADMIN}),
    "record_links": frozenset({Role.STATION, Role.ADMIN}),
    "read": _EVERYONE - {Role.STATION},
    "read_metrics": _EVERYONE,
    "read_events": _EVERYONE,
    "subscribe_webhook": frozenset({Role.ADMIN}),
    "subscribe_broker": frozenset({Role.ADMIN}),
    "unsubscribe": frozenset({Role.ADMIN}),
    "receive_lot": _OFFICE | {Role.OPERATOR},
    "receive_units": _OFFICE | {Role.OPERATOR},
    "announce_delivery": _OFFICE | {Role.OPERATOR},
    "scan_carton": _OFFICE | {Role.OPERATOR},
    "close_delivery": _OFFICE,
    "add_documents": _OFFICE | {Role.OPERATOR},
    "split_lot": _OFFICE,
    "merge_lots": _OFFICE,
    "record_tests": _DOOR | _OFFICE,
    "grade_lot": _OFFICE | {Role.OPERATOR},
    "match_cells": _OFFICE | {Role.OPERATOR},
    "release_kit": _OFFICE | {Role.OPERATOR},
    "assign_cell": _OFFICE,
    "create_order": frozenset({Role.SUPERVISOR, Role.ADMIN}),
    "move_order": frozenset({Role.SUPERVISOR, Role.ADMIN}),
    "contain": frozenset({Role.QUALITY, Role.ADMIN}),
    "record_drill": frozenset({Role.QUALITY, Role.ADMIN}),
    "close_containment": frozenset({Role.QUALITY, Role.ADMIN}),
    "release_containment": _OFFICE,
    "release_hold": _OFFICE,
    "dispose": frozenset({Role.QUALITY, Role.ADMIN}),
    "dispose_lot": frozenset({Role.QUALITY, Role.ADMIN}),
    "record_retest": frozenset({Role.QUALITY, Role.ADMIN}),
    "grant_waiver": _OFFICE,
    "revoke_waiver": _OFFICE,
    "record_check": _DOOR | _OFFICE,
    "hold_since_check": frozenset({Role.QUALITY, Role.ADMIN}),
    "sign_first_article": _OFFICE,
    "close_signal": _OFFICE,
    "restart_chart": frozenset({Role.QUALITY, Role.ADMIN}),
    "move_stock": _OFFICE | {Role.OPERATOR},
    "open_lot": _DOOR | _OFFICE,
    "open_crate": _DOOR | _OFFICE,
    "pack_unit": _DOOR | _OFFICE,
    "unpack_unit": _DOOR | _OFFICE,
    "close_crate": _DOOR | _OFFICE,
    "ship_crate": _OFFICE | {Role.OPERATOR},
    "set_printer": frozenset({Role.SUPERVISOR, Role.ADMIN}),
    "print_label": _DOOR | _OFFICE,
    "certify": frozenset({Role.SUPERVISOR, Role.ADMIN}),
    "withdraw_certificate": frozenset({Role.SUPERVISOR, Role.ADMIN}),
    "create_key": frozenset({Role.ADMIN}),
    "revoke_key": frozenset({Role.ADMIN}),
    "end_login": _EVERYONE,
}


def require(actor: Actor, act: str) -> None:
    """Raise Forbidden, naming who may, unless this actor may do this."""
    allowed = ALLOWED.get(act, frozenset())
    if actor.role not in allowed:
        raise Forbidden(role=actor.role, act=act, allowed=", ".join(sorted(allowed)) or "nobody over HTTP")
