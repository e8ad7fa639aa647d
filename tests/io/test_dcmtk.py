"""Grey levels of odd DICOM files, against dcmtk as the judge.

The window is the file's own, or the one that ``facts`` says was used, so that what is compared is
what comes before and after it: cells and bits, modality tables, VOI tables, polarity.
"""

from __future__ import annotations

import io
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest
from pydicom import uid

from detector.io.radiograph import load_radiograph
from tests.support import odd_films as odd

GREY, DEEP = odd.grey(), odd.DEEP
SIGNED = DEEP.astype(np.int16) - 2048
RAMP = np.arange(4096)
WINDOW = {"BitsStored": 12, "WindowCenter": 2048, "WindowWidth": 4096}
AROUND_0 = {"WindowCenter": 0, "WindowWidth": 4096}


@pytest.fixture(scope="module")
def dcm2pnm() -> str:
    """dcmtk's program; its twins for compressed films bear similar names."""
    path = shutil.which("dcmj2pnm")
    if path is None:
        pytest.skip("no dcmj2pnm (Debian: apt-get install dcmtk)")
    return path


def table(entries: np.ndarray, first: int = 0, bits: int = 16, *, count: int = 0, bytes_each=2):
    """A LUT that declares ``count`` entries of ``bits``; its ``entries`` have one or two bytes."""
    item = odd.voi_table(entries, first, bits)
    item[0]["LUTDescriptor"].value = [(count or len(entries)) % 65536, first, bits]
    item[0]["LUTData"].value = entries.astype(f"<u{bytes_each}").tobytes()
    return item


def voi(*arguments, **options) -> bytes:
    return odd.dicom(DEEP, BitsStored=12, VOILUTSequence=table(*arguments, **options))


def modality(*arguments, window: dict = WINDOW, **options) -> bytes:
    return odd.dicom(
        4095 - DEEP, **{"BitsStored": 12, **window},
        ModalityLUTSequence=table(*arguments, **options),
    )  # fmt: skip


def changed(data: bytes, *, remove: tuple[str, ...] = (), rle: bool = False, **elements) -> bytes:
    film = pydicom.dcmread(io.BytesIO(data))
    for keyword, value in elements.items():
        setattr(film, keyword, value)
    for keyword in remove:
        delattr(film, keyword)
    if rle:
        film.compress(uid.RLELossless, generate_instance_uid=False)
    file = io.BytesIO()
    film.save_as(file)
    return file.getvalue()


EIGHT = {"WindowCenter": 128, "WindowWidth": 256}
HIGH_15 = changed(odd.dicom(DEEP << 4, **WINDOW), HighBit=15)
SHAPES = ("IDENTITY", "INVERSE")
ODD = {
    "VOI table, 16 bits declared, 12 used": voi(RAMP),
    "VOI table, 12 bits declared, 16 used": voi(RAMP * 16, bits=12),
    "VOI table of 10 bits": voi(RAMP // 4, bits=10),
    "VOI table of bytes": voi(RAMP // 16, bits=8, bytes_each=1),
    "VOI table of bytes, 16 bits declared": voi(RAMP // 16, bytes_each=1),
    "VOI table of 8 bits in words": voi(RAMP // 16, bits=8),
    "VOI table of 8 bits in words, 16 declared": voi(RAMP // 16),
    "VOI table shorter than declared": voi(RAMP[:3000] * 16, count=4096),
    "VOI table of a part of the values": voi(RAMP[:3000] * 20, first=500),
    "VOI table of signed values": odd.dicom(SIGNED, VOILUTSequence=table(RAMP * 16, -2048)),
    "modality table, 12 bits declared": modality(RAMP[::-1], bits=12),
    "modality table, 16 bits declared": modality(RAMP[::-1]),
    "modality table of bytes": modality(RAMP[::-1] // 16, bits=8, bytes_each=1, window=EIGHT),
    "modality table of 8 bits in words": modality(RAMP[::-1] // 16, bits=8, window=EIGHT),
    "modality table shorter than declared": modality(RAMP[3000::-1], bits=12, count=4096),
    "modality and VOI table": odd.dicom(
        DEEP, BitsStored=12, ModalityLUTSequence=table(RAMP * 16),
        VOILUTSequence=table(np.arange(65536)[::-1] // 16, bits=12),
    ),
    "rescale slope": odd.dicom(
        DEEP, BitsStored=12, RescaleSlope=2, RescaleIntercept=-1000, WindowCenter=3000,
        WindowWidth=6000,
    ),
    "high bit 15 of 12": HIGH_15,
    "high bit 15 of 12, RLE": changed(HIGH_15, rle=True),
    "high bit 13 of 12": changed(odd.dicom(DEEP << 2, **WINDOW), HighBit=13),
    "high bit 15 of 12, signed": changed(
        odd.dicom((SIGNED.astype(np.int32) << 4).astype(np.int16), **AROUND_0),
        HighBit=15, BitsStored=12,
    ),
    "no high bit": changed(odd.dicom(DEEP, **WINDOW), remove=("HighBit",)),
    "unused bits set": odd.dicom(DEEP | 0xA000, **WINDOW),
    "unused bits set, signed": odd.dicom(
        ((SIGNED & 0xFFF) | 0x3000).astype(np.uint16).view(np.int16), BitsStored=12, **AROUND_0
    ),
    "sigmoid": odd.dicom(DEEP, VOILUTFunction="SIGMOID", **WINDOW),
    **{f"{bits} bits of 16": odd.dicom(
        odd.grey(top=65535) >> (16 - bits), BitsStored=bits, WindowCenter=2 ** (bits - 1),
        WindowWidth=2**bits,
    ) for bits in range(1, 17)},
    **{f"{bits} bits of 8": odd.dicom(
        GREY >> (8 - bits), BitsStored=bits, WindowCenter=2 ** (bits - 1), WindowWidth=2**bits,
    ) for bits in range(1, 8)},
    **{f"{kind}, {shape}": odd.dicom(
        DEEP, PhotometricInterpretation=kind, PresentationLUTShape=shape, **WINDOW
    ) for kind in ("MONOCHROME1", "MONOCHROME2") for shape in SHAPES},
    **{name: odd.FILMS[name]() for name in (
        "dicom", "dicom implicit", "dicom big endian", "dicom deflated", "dicom 8",
        "dicom monochrome1", "dicom rle", "dicom voi", "dicom modality", "dicom jpeg",
    )},
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_grey_levels_are_dcmtks(name: str, dcm2pnm: str, tmp_path: Path) -> None:
    film = load_radiograph(ODD[name])
    window = film.facts["window"]
    chosen = {"table": ["+Wl", "1"], "film": ["+Wi", "1"]}.get(window["source"])
    chosen = chosen or ["+Ww", str(window["center"]), str(window["width"])]
    (tmp_path / "film.dcm").write_bytes(ODD[name])
    subprocess.run(
        [dcm2pnm, "-O", "+Mm", "+Mv", "+on2", *chosen, "film.dcm", "film.png"],
        cwd=tmp_path, check=True, capture_output=True,
    )  # fmt: skip
    judged = cv2.imread(str(tmp_path / "film.png"), cv2.IMREAD_UNCHANGED) / 65535
    assert np.ptp(judged) > 0.5
    # dcmtk takes 256, not 255, for the width of an 8-bit range.
    np.testing.assert_allclose(film.pixels, judged, atol=0.004)
