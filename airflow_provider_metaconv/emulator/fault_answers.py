"""The answer of a fault that answers instead of Graph."""

from __future__ import annotations

from .calls import Call
from .errors import ERRORS, TEMPLATES, Body, GraphError
from .faults import Fault
from .reading import Reading

FIRST_FIELD = "x"
USUAL_MAXIMUM = 100


def fault_error(fault: Fault, call: Call, reading: Reading) -> GraphError:
    """Return the error of a fault: the row it names, with the texts of the fault and the names of the call."""
    row = ERRORS[fault.outcome]
    error: Body = dict(row.body["error"])
    if fault.outcome in TEMPLATES:
        field = fault.field or FIRST_FIELD
        error["message"] = TEMPLATES[fault.outcome].format(
            field=field,
            node=reading.node_with(field) or "UnifiedThread",
            limit=fault.limit_over or fault.nested_limit_over or USUAL_MAXIMUM,
            id=call.object_id,
        )
    given = {"message": fault.text, "error_user_title": fault.user_title, "error_user_msg": fault.user_message}
    error.update({name: text for name, text in given.items() if text is not None})
    return GraphError(fault.status or row.status, {"error": error})
