"""DICOM's compressed pictures, decoded in a process that may die.

The decoders of JPEG-LS and lossless JPEG abort the whole process or loop for minutes on a damaged
stream (found by ``benchmarks/fuzz_radiograph.py``). So the decoders run in a child process with a
limit on time and memory: whatever a stream does to it, this process only sees an exception. What
the decoders complain of is handed back too: some only grumble where data are missing. A child
is started for the first such film (a third of a second) and kept for the next ones; it ends with
this process, because its input does.

Run as a script, this file is the child. The two talk in lengths, JSON and raw bytes, never pickle.
"""

from __future__ import annotations

import atexit
import json
import os
import struct
import subprocess
import sys
import tempfile
import threading
from typing import IO, Any

import numpy as np

READY = b"ready\n"


class DecoderFailed(Exception):
    """The stream could not be decoded; the text says how the decoder ended, nothing of the film."""


def decode_frame(header: dict[str, Any], stream: bytes) -> np.ndarray:
    """Decode one compressed frame in this process.

    Args:
        header: ``syntax`` (transfer syntax UID), ``plugin`` (pydicom's name of the decoder), and
            the DICOM elements that describe the pixels, by keyword.
        stream: the frame's compressed bytes.

    Returns:
        Stored values (H, W), or RGB (H, W, 3).
    """
    from pydicom import Dataset
    from pydicom.dataset import FileMetaDataset
    from pydicom.encaps import encapsulate
    from pydicom.pixels import pixel_array
    from pydicom.uid import RLELossless

    frame = Dataset()
    frame.file_meta = FileMetaDataset()
    frame.file_meta.TransferSyntaxUID = header["syntax"]
    for keyword, value in header["elements"].items():
        setattr(frame, keyword, value)
    frame.PixelData = encapsulate([stream])
    frame["PixelData"].is_undefined_length = True
    # RLE keeps the stored cells as they are, so that the caller cuts off their unused bits.
    unused = header["syntax"] != RLELossless
    return pixel_array(
        frame, index=0, decoding_plugin=header["plugin"], correct_unused_bits=unused
    )


def decode_apart(
    header: dict[str, Any], stream: bytes, *, seconds: float, memory: int
) -> tuple[np.ndarray, str]:
    """Decode one compressed frame in a child process; arguments as for ``decode_frame``.

    ``seconds`` and ``memory`` (bytes beyond the idle child's own) are the most that it may take.

    Returns:
        The stored values; and what the decoder wrote to its standard error, in lines.

    Raises:
        DecoderFailed: the decoder refused the stream, crashed, or took too long.
    """
    child = _ready()
    late = threading.Event()

    def stop() -> None:
        late.set()
        child.kill()  # ends the read below, which has no time limit of its own

    timer = threading.Timer(seconds, stop)
    timer.start()
    try:
        _send(child.stdin, {**header, "memory": memory}, stream)
        answer, data = _receive(child.stdout)
    except (OSError, EOFError):
        _end(child)
        raise DecoderFailed("the decoder crashed or took too long") from None
    except BaseException:
        _end(child)
        raise
    finally:
        timer.cancel()
    timer.join()
    if late.is_set():
        _end(child)
    else:
        _idle.append(child)
    if "error" in answer:
        raise DecoderFailed(answer["error"])
    return np.frombuffer(data, answer["dtype"]).reshape(answer["shape"]), answer["complaints"]


# Children waiting for work: as many as films were once decoded at the same moment.
_idle: list[subprocess.Popen[bytes]] = []
if hasattr(os, "register_at_fork"):
    # A forked process must not share its parent's pipes.
    os.register_at_fork(after_in_child=_idle.clear)


def _ready() -> subprocess.Popen[bytes]:
    """An idle child that is alive, or a new one."""
    while True:
        try:
            child = _idle.pop()
        except IndexError:
            return _start()
        if child.poll() is None:
            return child
        _end(child)


def _start() -> subprocess.Popen[bytes]:
    try:
        child = subprocess.Popen(
            # -P: this file's folder is a package's inside, not a place to import from.
            [sys.executable, "-P", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except OSError:
        raise DecoderFailed("the decoder could not be started") from None
    # The child's imports are not the film's time.
    if child.stdout.read(len(READY)) != READY:
        _end(child)
        raise DecoderFailed("the decoder could not be started")
    return child


def _end(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.wait()
    for pipe in (child.stdin, child.stdout):
        try:
            pipe.close()
        except OSError:
            pass  # bytes that a dead child never took


@atexit.register
def _end_all() -> None:
    while _idle:
        _end(_idle.pop())


def _send(pipe: IO[bytes], message: dict[str, Any], data: bytes | memoryview) -> None:
    text = json.dumps(message).encode()
    pipe.write(struct.pack("<QQ", len(text), len(data)))
    pipe.write(text)
    pipe.write(data)
    pipe.flush()


def _receive(pipe: IO[bytes]) -> tuple[dict[str, Any], bytes]:
    text, data = struct.unpack("<QQ", _exactly(pipe, 16))
    return json.loads(_exactly(pipe, text)), _exactly(pipe, data)


def _exactly(pipe: IO[bytes], count: int) -> bytes:
    data = pipe.read(count)
    if len(data) < count:
        raise EOFError
    return data


def _limit_memory(extra: int) -> None:
    """Let this process grow by ``extra`` bytes at most, where the system can limit that."""
    try:
        import resource

        with open("/proc/self/statm") as file:
            now = int(file.read().split()[0]) * resource.getpagesize()
    except (ImportError, OSError):
        return
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    limit = now + extra if hard == resource.RLIM_INFINITY else min(now + extra, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


def _serve() -> None:
    """The child: answer frames until the input ends."""
    # Decoders print to the standard output, which is the line to the parent: move that away.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    complaints = tempfile.TemporaryFile()
    os.dup2(complaints.fileno(), 2)
    import warnings

    import pydicom.pixels  # noqa: F401 - loaded before memory is limited

    warnings.simplefilter("ignore")
    answers.write(READY)
    answers.flush()
    while True:
        try:
            header, stream = _receive(sys.stdin.buffer)
        except EOFError:
            return
        _limit_memory(header["memory"])
        os.ftruncate(2, 0)
        os.lseek(2, 0, os.SEEK_SET)
        try:
            pixels = np.ascontiguousarray(decode_frame(header, stream))
        except BaseException as error:  # the Rust decoder's panics are no ``Exception``
            _send(answers, {"error": type(error).__name__}, b"")
        else:
            said = os.pread(2, 10_000, 0).decode("ascii", "replace")
            answer = {"dtype": pixels.dtype.str, "shape": pixels.shape, "complaints": said}
            _send(answers, answer, memoryview(pixels).cast("B"))


if __name__ == "__main__":
    _serve()
