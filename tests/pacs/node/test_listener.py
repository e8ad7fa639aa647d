"""The listener: what is taken, and from whom; a film is acknowledged when it is on disk."""

from __future__ import annotations

import io
import random
import threading
import zlib

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
    SecondaryCaptureImageStorage,
)
from pynetdicom import AE, evt
from pynetdicom.dimse_primitives import C_STORE

from detector.io import codecs as compressed
from detector.io import dicom
from detector.io.radiograph import load_radiograph
from detector.pacs.node.listener import SYNTAXES, identify
from detector.pacs.node.run_log import read_log
from tests.support import odd_films as odd
from tests.support.pacs_stand_ins import film, instance, store

pytest_plugins = "tests.support.pacs_fixtures"

MISMATCH, NOT_UNDERSTOOD, NO_ROOM, NO_CONTEXT = 0xA900, 0xC000, 0xA700, -1


def test_a_film_is_acknowledged_when_it_is_in_the_spool_byte_for_byte(start) -> None:
    node = start()
    assert store(node.port, film(1)) == [0]
    _, file = node.spool.take()
    kept, sent = dcmread(file), dcmread(io.BytesIO(film(1)))
    assert kept == sent
    assert kept.file_meta.TransferSyntaxUID == sent.file_meta.TransferSyntaxUID
    (line,) = read_log(node.settings.run_log)
    assert (line["event"], line["film"]) == ("received", node.spool.key(instance(1)))


def test_the_same_film_twice_is_acknowledged_and_kept_once(start) -> None:
    node = start()
    assert store(node.port, film(1), film(1)) == [0, 0]
    assert store(node.port, film(1)) == [0]
    assert node.films == 1


@pytest.mark.parametrize("other", ["patient", "pixels"])
def test_another_film_with_the_same_uid_is_kept_too_and_said(
    start, other: str, caplog: pytest.LogCaptureFixture
) -> None:
    node = start()
    first = film(1)
    second = film(1, PatientID="SOMEBODY ELSE") if other == "patient" else odd.dicom(
        odd.grey()[::-1].copy(), SOPInstanceUID=instance(1), Modality="CR",
        SOPClassUID=dcmread(io.BytesIO(first)).SOPClassUID,
    )  # fmt: skip
    assert store(node.port, first, second, first, second) == [0] * 4
    kept = [dcmread(node.spool.take()[1]) for _ in range(2)]
    assert node.spool.take() is None
    assert kept == [dcmread(io.BytesIO(first)), dcmread(io.BytesIO(second))]
    events = [line["event"] for line in read_log(node.settings.run_log)]
    assert events == ["received", "received", "conflict"]
    assert "both are kept" in caplog.text and "SOMEBODY" not in caplog.text


def test_what_a_router_adds_to_the_header_makes_no_other_film(start) -> None:
    node = start()
    assert store(node.port, film(1), film(1, InstitutionName="St Elsewhere")) == [0, 0]
    assert node.films == 1


def test_a_uid_with_leading_zeros_is_answered_as_it_came(start) -> None:
    node, uid = start(), "1.2.826.0.010.007"
    data = film(1, SOPInstanceUID=uid)
    one, answered = dcmread(io.BytesIO(data)), []
    ae = AE("DEVICE")
    ae.add_requested_context(one.SOPClassUID, one.file_meta.TransferSyntaxUID)
    association = ae.associate(
        "127.0.0.1", node.port, ae_title="FRACTURE",
        evt_handlers=[(evt.EVT_DIMSE_RECV, lambda event: answered.append(
            str(event.message.command_set.AffectedSOPInstanceUID)))],
    )  # fmt: skip
    assert association.send_c_store(one).Status == 0
    association.release()
    assert answered == [uid] and dcmread(node.spool.take()[1]).SOPInstanceUID == uid


def test_every_syntax_that_the_detector_reads_is_taken() -> None:
    read = {*compressed._PLUGINS, *dicom.UNCOMPRESSED, DeflatedExplicitVRLittleEndian}
    assert set(SYNTAXES) == read


@pytest.mark.parametrize(
    "syntax",
    [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian, RLELossless,
     JPEGLSLossless, JPEG2000Lossless],
)  # fmt: skip
def test_a_film_in_another_syntax_arrives_as_it_was(start, syntax) -> None:
    node = start()
    data = odd.dicom(
        odd.DEEP, syntax, SOPInstanceUID=instance(1),
        SOPClassUID=DigitalXRayImageStorageForPresentation,
    )  # fmt: skip
    assert store(node.port, data) == [0]
    _, file = node.spool.take()
    np.testing.assert_array_equal(load_radiograph(file).pixels, load_radiograph(data).pixels)


def test_cr_and_both_kinds_of_dx_are_taken_and_captures_are_not(start) -> None:
    node = start()
    kinds = (DigitalXRayImageStorageForPresentation, DigitalXRayImageStorageForProcessing)
    for number, kind in enumerate(kinds):
        assert store(node.port, film(number, SOPClassUID=kind)) == [0]
    assert store(node.port, film(9, SOPClassUID=SecondaryCaptureImageStorage)) == [NO_CONTEXT]


def test_the_node_answers_an_echo(start) -> None:
    node = start()
    ae = AE("DEVICE")
    ae.add_requested_context("1.2.840.10008.1.1")
    association = ae.associate("127.0.0.1", node.port, ae_title="FRACTURE")
    assert association.send_c_echo().Status == 0
    association.release()


def test_a_full_disk_is_said_and_nothing_is_acknowledged(start) -> None:
    node = start(free_megabytes=10**9)
    assert store(node.port, film(1)) == [NO_ROOM] and node.films == 0


def test_what_is_not_the_announced_film_is_refused(start) -> None:
    node = start()
    ae = AE("DEVICE")
    one = dcmread(io.BytesIO(film(1)))
    ae.add_requested_context(one.SOPClassUID, one.file_meta.TransferSyntaxUID)
    association = ae.associate("127.0.0.1", node.port, ae_title="FRACTURE")
    context = association.accepted_contexts[0].context_id
    association._reactor_checkpoint.clear()  # else it takes the response away from this test

    def send(data: bytes) -> int:
        request = C_STORE()
        request.MessageID, request.Priority = 1, 2
        request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = one.SOPClassUID, instance(1)
        request.DataSet = io.BytesIO(data)
        association.dimse.send_msg(request, context)
        return association.dimse.get_msg(block=True)[1].Status

    whole = film(2)
    assert send(whole[whole.index(b"\x08\x00\x16\x00") :]) == MISMATCH  # another film's number
    assert send(random.Random(1).randbytes(5000)) == NOT_UNDERSTOOD
    association.release()
    assert node.films == 0


def test_identifiers_behind_a_bomb_are_not_looked_for() -> None:
    deflate = zlib.compressobj(wbits=-15)
    bomb = deflate.compress(bytes(5_000_000)) + deflate.flush()
    assert identify(bomb, DeflatedExplicitVRLittleEndian) is None
    assert identify(b"\x08\x00\x05\x00UN\0\0\xff\xff\xff\xff" * 1000, SYNTAXES[0]) is None
    assert identify(b"", SYNTAXES[0]) is None


def test_only_listed_titles_calling_the_right_one_are_served(start) -> None:
    node = start(peers=("DX1", "DX2"))
    assert store(node.port, film(1), calling="DX2") == [0]
    assert store(node.port, film(2), calling="OTHER") == [-1]
    assert store(node.port, film(3), calling="DX1", called="ARCHIVE") == [-1]
    assert node.films == 1


def test_stopping_waits_for_an_association_to_end(start) -> None:
    node = start()
    ae = AE("DEVICE")
    one = dcmread(io.BytesIO(film(1)))
    ae.add_requested_context(one.SOPClassUID, one.file_meta.TransferSyntaxUID)
    association = ae.associate("127.0.0.1", node.port, ae_title="FRACTURE")
    stopping = threading.Thread(target=node.listener.stop, args=(30.0,))
    stopping.start()
    assert association.send_c_store(one).Status == 0
    association.release()
    stopping.join(30)
    assert not stopping.is_alive() and node.films == 1
    with pytest.raises(OSError):
        node.connect()
