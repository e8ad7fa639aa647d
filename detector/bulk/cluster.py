"""Parts of an archive spread over Ray Data: one detector per actor, one part per batch.

A worker or a machine that is lost takes nothing with it but the parts that it had in work: Ray
gives them to the others, or to a new actor once a core is free. Results come back as bytes to the
process that was started, which alone writes, so the machines need no common disk for them.

Ray is started on this machine's loopback address only, without its dashboard, and reports its use
to nobody; a cluster that is joined by its address was set up by its owner.
"""

from __future__ import annotations

import logging
import os
import pickle
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import pyarrow as pa

from detector import FractureDetector
from detector.bulk.scoring import Order, Part, ScoredPart, score_part
from detector.model.hub import resolve_weights
from detector.model.weights import read_weights

if find_spec("ray") is None:
    raise ModuleNotFoundError("No module named 'ray'", name="ray")
# Before Ray is imported, which is why it is imported in the functions below.
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # its own report over the internet
os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # it names every restart an error

logger = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
# Ray's switch for machines that shall not be reached from outside; named after where it began.
_ONLY_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
_STORE = 256 * 2**20  # bytes; parts are small
_BLOCK = 8 * 2**20  # bytes; what Ray Data expects of a result, so that it starts every actor
_IN_FLIGHT = 2  # parts at an actor: one in work, one that waits
_TRIES = 16  # of a part whose workers are lost: a film that kills its reader shall end the run


class ClusterError(RuntimeError):
    """Ray could not do the work; the sentence says why. What was finished is written."""


def stay_on_this_machine() -> None:
    """Let a Ray that this process starts listen on 127.0.0.1 only; call it before importing Ray."""
    os.environ.update(_ONLY_LOOPBACK)


@contextmanager
def connected(address: str | None = None, *, workers: int | None = None) -> Iterator[None]:
    """Ray for the time of the block: a cluster's at ``host:port``, or one of its own.

    Args:
        address: of a running cluster. None: started here, on this machine alone, and ended.
        workers: cores of a cluster of its own; None is all.

    Raises:
        ClusterError: no cluster answers at the address, or Ray could not be started.
    """
    if address is None:
        stay_on_this_machine()
    import ray
    from ray.job_config import JobConfig

    here = str(Path(__file__).resolve().parents[2])  # of a checkout; workers import from it too
    common: dict[str, Any] = {
        "logging_level": logging.ERROR,
        "log_to_driver": False,
        "job_config": JobConfig(_py_driver_sys_path=[here]),
    }
    try:
        if address is None:
            ray.init(
                "local", num_cpus=workers, include_dashboard=False, object_store_memory=_STORE,
                _node_ip_address=LOOPBACK, **common,
            )
        else:
            ray.init(address, **common)
    except Exception as error:  # it has no class of its own for this
        ray.shutdown()
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        where = f"Ray at {address} cannot be used" if address else "Ray could not be started here"
        raise ClusterError(f"{where}: {reason}") from error
    try:
        yield
    finally:
        ray.shutdown()


class OnRay:
    """Scores on the Ray that is connected. ``resumable.Scorer``."""

    def __init__(
        self,
        model: str | None = None,
        *,
        workers: int | None = None,
        precision: str | None = None,
        digest: str | None = None,
    ):
        """
        Args:
            model: weights folder or Hugging Face Hub id, to be found by every machine; None: the
                shipped weights.
            workers: detectors, a core each; None: as many as the cluster has cores.
            precision: of the network's arithmetic, as ``FractureDetector`` takes it.
            digest: of the weights that are expected, as ``FractureDetector`` takes it.

        Raises:
            WeightsError: the weights cannot be read, or are others.
        """
        weights = read_weights(resolve_weights(model))
        weights.expect(digest)
        self.model_sha256 = weights.digest
        is_folder = model is not None and Path(model).is_dir()
        self._model = str(Path(model).resolve()) if model and is_folder else model
        self._workers = workers
        self._options = {"precision": precision} if precision else {}

    def score(self, parts: Iterable[Part], order: Order) -> Iterator[ScoredPart]:
        """Each part's result once, in the order in which they are done.

        Raises:
            ClusterError: no worker could load these weights, or a part lost every worker it had.
        """
        import ray
        import ray.data

        blocks = [pa.table({"part": [pickle.dumps(part)]}) for part in parts]
        if not blocks:
            return
        workers = self._workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.target_max_block_size = _BLOCK
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        results = ray.data.from_arrow(blocks).map_batches(
            _Worker,
            fn_constructor_args=(self._model, self.model_sha256, self._options, order),
            batch_size=None,
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(
                size=min(workers, len(blocks)), max_tasks_in_flight_per_actor=_IN_FLIGHT
            ),
            num_cpus=1,
            max_restarts=-1,
            max_task_retries=_TRIES,
        )
        logger.info("%d parts on %d workers", len(blocks), workers)
        done: set[int] = set()
        batches = iter(results.iter_batches(batch_size=None, batch_format="pyarrow"))
        while (batch := _next(batches)) is not None:
            for packed in batch["scored"].to_pylist():
                scored: ScoredPart = pickle.loads(packed)
                if scored.number not in done:
                    done.add(scored.number)
                    yield scored


def _next(batches: Iterator[pa.Table]) -> pa.Table | None:
    """The next batch; None after the last."""
    from ray.data.exceptions import SystemException
    from ray.exceptions import RayError

    try:
        return next(batches, None)
    except (RayError, SystemException) as error:
        reason = str(error).strip().splitlines()[-1]
        raise ClusterError(f"the workers could not go on: {reason}") from error


class _Worker:
    """An actor: a detector on one core."""

    def __init__(
        self, model: str | None, model_sha256: str, options: dict[str, str], order: Order
    ):
        cv2.setNumThreads(1)  # Ray sets OMP_NUM_THREADS for the others
        self._detector = FractureDetector.from_pretrained(model, **options)
        if self._detector.model.digest != model_sha256:
            raise ValueError("this machine has other weights than the one that gave the order")
        self._order = order

    def __call__(self, batch: pa.Table) -> pa.Table:
        scored = [
            pickle.dumps(score_part(self._detector, pickle.loads(packed), self._order))
            for packed in batch["part"].to_pylist()
        ]
        return pa.table({"scored": pa.array(scored, pa.binary())})
