"""Storage commitment: what the node acknowledged is committed, and the rest is not."""

from __future__ import annotations

import queue
from collections.abc import Iterator

import pytest
from pydicom import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    ComputedRadiographyImageStorage,
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)

from tests.support.pacs_stand_ins import film, instance, store

pytest_plugins = "tests.support.pacs_fixtures"

TRANSACTION = "1.2.826.0.1.3680043.8.498.99"


class Device:
    """Asks for commitment; ``reports`` are what it is told, on either kind of association."""

    def __init__(self) -> None:
        self.reports: queue.SimpleQueue[tuple[int, Dataset]] = queue.SimpleQueue()
        self._handlers = [(evt.EVT_N_EVENT_REPORT, self._told)]
        ae = AE("DEVICE")
        ae.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)
        self._server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=self._handlers)
        self.address = f"DEVICE@127.0.0.1:{self._server.server_address[1]}"

    def _told(self, event: evt.Event) -> tuple[int, None]:
        self.reports.put((event.event_type, event.event_information))
        return 0x0000, None

    def ask(self, port: int, *numbers: int, action: int = 1, wait: bool = True) -> int:
        """Send the request; its status. ``wait``: keep the association until the report is here."""
        ae = AE("DEVICE")
        ae.add_requested_context(StorageCommitmentPushModel)
        association = ae.associate(
            "127.0.0.1", port, ae_title="FRACTURE", evt_handlers=self._handlers
        )
        if not association.is_established:
            return -1
        request = Dataset()
        request.TransactionUID, request.ReferencedSOPSequence = TRANSACTION, []
        for number in numbers:
            one = Dataset()
            one.ReferencedSOPClassUID = ComputedRadiographyImageStorage
            one.ReferencedSOPInstanceUID = instance(number)
            request.ReferencedSOPSequence.append(one)
        status, _ = association.send_n_action(
            request, action, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
        )
        if wait and status.Status == 0:
            self.reports.put(self.reports.get(timeout=30))
        association.release()
        return status.Status

    def close(self) -> None:
        if self._server in self._server.ae._servers:
            self._server.shutdown()


@pytest.fixture
def device() -> Iterator[Device]:
    one = Device()
    yield one
    one.close()


def committed(result: Dataset, keyword: str) -> list[str]:
    return [item.ReferencedSOPInstanceUID for item in result.get(keyword, ())]


@pytest.mark.parametrize("known", [True, False])
def test_what_was_acknowledged_is_committed_where_the_device_listens_or_asks(
    start, device: Device, known: bool
) -> None:
    node = start(commitment=True, peers=(device.address if known else "DEVICE",))
    assert store(node.port, film(1), film(2)) == [0, 0]
    key, _ = node.spool.take()
    node.spool.answer(key, [])
    node.spool.finish(key)  # answered, and its file deleted: it was acknowledged all the same
    assert device.ask(node.port, 1, 2, wait=not known) == 0
    kind, result = device.reports.get(timeout=30)
    assert (kind, result.TransactionUID) == (1, TRANSACTION)
    assert committed(result, "ReferencedSOPSequence") == [instance(1), instance(2)]

    assert device.ask(node.port, 1, 3, wait=not known) == 0
    kind, result = device.reports.get(timeout=30)
    assert kind == 2 and committed(result, "ReferencedSOPSequence") == [instance(1)]
    assert committed(result, "FailedSOPSequence") == [instance(3)]
    assert result.FailedSOPSequence[0].FailureReason == 0x0112


def test_a_request_that_is_not_whole_or_means_something_else_is_refused(
    start, device: Device
) -> None:
    node = start(commitment=True)
    assert device.ask(node.port) == 0x0115
    assert device.ask(node.port, 1, action=2) == 0x0123
    assert node.serves()


def test_without_the_setting_nothing_is_committed(start, device: Device) -> None:
    assert device.ask(start().port, 1) == -1


def test_a_device_that_has_gone_is_no_trouble(start, device: Device) -> None:
    node = start(commitment=True, peers=(device.address,))
    device.close()
    assert device.ask(node.port, 1, wait=False) == 0
    assert device.reports.empty() and store(node.port, film(1)) == [0]
