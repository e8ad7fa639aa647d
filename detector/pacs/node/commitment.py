"""Storage commitment (PS3.4, annex J): whether the node acknowledged the films that a device names.

The answer, an N-EVENT-REPORT, goes over an association of its own to a peer whose address is known,
and over the device's own association to any other.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from pydicom import Dataset
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance

from detector.pacs.node.settings import Destination

logger = logging.getLogger(__name__)

COMMIT = 1  # the only action (PS3.4, J.3.2)
ALL_SAFE, SOME_UNKNOWN = 1, 2  # the events (PS3.4, J.3.3)
SUCCESS, NO_SUCH_ACTION, INVALID_ARGUMENT = 0x0000, 0x0123, 0x0115
NO_SUCH_INSTANCE = 0x0112  # failure reason (PS3.3, C.14.1.1)
MOST_FILMS = 10_000  # in one request


def result_of(request: Dataset, is_known: Callable[[str], bool]) -> tuple[int, Dataset]:
    """The event and its information for a request's films.

    Raises:
        ValueError: the request is not whole.
    """
    transaction = request.get("TransactionUID")
    named = list(request.get("ReferencedSOPSequence") or ())
    if not transaction or not 0 < len(named) <= MOST_FILMS:
        raise ValueError("a request for commitment is not whole")
    safe, unknown = [], []
    for one in named:
        item = Dataset()
        item.ReferencedSOPClassUID = one.get("ReferencedSOPClassUID")
        item.ReferencedSOPInstanceUID = one.get("ReferencedSOPInstanceUID")
        if item.ReferencedSOPInstanceUID and is_known(str(item.ReferencedSOPInstanceUID)):
            safe.append(item)
        else:
            item.FailureReason = NO_SUCH_INSTANCE
            unknown.append(item)
    result = Dataset()
    result.TransactionUID = transaction
    if safe:
        result.ReferencedSOPSequence = safe
    if unknown:
        result.FailedSOPSequence = unknown
    return (SOME_UNKNOWN if unknown else ALL_SAFE), result


def report(
    event: evt.Event, kind: int, result: Dataset, peer: Destination | None, ae: AE
) -> None:
    """Send the result; a device that did not get it asks again."""
    try:
        association = event.assoc
        if peer is not None:
            ae.add_requested_context(StorageCommitmentPushModel)
            role = build_role(StorageCommitmentPushModel, scp_role=True)
            association = ae.associate(
                peer.host, peer.port, ae_title=peer.title, ext_neg=[role]
            )
        status, _ = association.send_n_event_report(
            result, kind, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
        )
        if peer is not None:
            association.release()
        if status.get("Status") != SUCCESS:
            raise ValueError
    except Exception as error:  # no association, or whatever the peer made of it
        logger.warning("a commitment could not be reported: %s", type(error).__name__)
