"""``FractureDetector``: a film in, a ``Prediction`` out."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from detector.engines.base import DEFAULT_PRECISION, Engine
from detector.engines.choice import make_engine
from detector.errors import RadiographError
from detector.explain.grad_cam import grad_cam_heat
from detector.explain.heatmap import Heat
from detector.explain.methods import DEFAULT, method_name
from detector.explain.regions import find_regions
from detector.io.limits import Limits
from detector.io.radiograph import Radiograph, Source, load_radiograph
from detector.model import self_check
from detector.model.calibration import Decision
from detector.model.file_scope import file_objection
from detector.model.hub import resolve_weights
from detector.model.letterbox import Letterbox
from detector.model.ood import ScopeCheck
from detector.model.weights import Model, WeightsError, read_weights
from detector.prediction import Prediction

if TYPE_CHECKING:
    from detector.explain.other_methods import Explainers

logger = logging.getLogger(__name__)


class FractureDetector:
    """Reads films. One instance may be shared by any number of threads.

    Every film is run on its own, so its answer does not depend on what it arrived with.
    """

    def __init__(
        self,
        model: Model,
        engine: Engine | str = "auto",
        *,
        precision: str = DEFAULT_PRECISION,
        limits: Limits | None = None,
    ):
        """``engine``: a runtime, or the name of one for ``detector.engines.choice.make_engine``."""
        self.model = model
        self.config = model.config
        self.engine = make_engine(model, engine, precision) if isinstance(engine, str) else engine
        self.limits = limits or Limits()
        self._explainers: Explainers | None = None
        self._making = threading.Lock()
        self._model_facts = {"version": self.config.version, "sha256": model.digest[:12]}
        if self.config.provenance.get("trained"):
            self._model_facts["trained"] = str(self.config.provenance["trained"])

    @classmethod
    def from_pretrained(
        cls,
        weights: str | Path | None = None,
        *,
        engine: str = "auto",
        precision: str = DEFAULT_PRECISION,
        limits: Limits | None = None,
        digest: str | None = None,
    ) -> FractureDetector:
        """The shipped weights; or those in a folder; or a Hugging Face Hub id ("user/model").

        Args:
            weights: None, a folder, or a Hub id.
            engine: "auto" (OpenVINO where it is installed, else PyTorch), "openvino" or "torch".
                ``detector.engine.name`` and ``detector.engine.precision`` say what is in use.
            precision: "float32", "bfloat16" or "float16", where the processor has it.
            limits: how large a film may be.
            digest: of the weights that are expected, whole or its first twelve or more digits, as
                page, report and model card show it; others are refused.

        Raises:
            WeightsError: the folder is incomplete, altered, of another version or not the expected
                one, the network does not give its pinned answer here, or the Hub cannot be
                reached.
            ValueError: unknown engine or precision, or a precision that is not to be had here.
            ImportError: the engine that was asked for is not installed.
        """
        # The engine has the network built, or finds its graph, which needed it built once.
        model = read_weights(resolve_weights(weights), build=False)
        logger.info("weights %s, digest %s", model.config.version, model.digest[:12])
        model.expect(digest)
        detector = cls(model, engine, precision=precision, limits=limits)
        detector._check_itself()
        logger.info("runs in %s, %s", detector.engine.name, detector.engine.precision)
        return detector

    def _check_itself(self) -> None:
        """Raise WeightsError unless the network gives its pinned answer on this machine."""
        pinned = self.config.self_check
        if not pinned:
            logger.warning("these weights hold no pinned answer: the network was not tried")
            return
        output = self.engine.run(self_check.canvas())
        missed = self_check.wrong(pinned, output, self.engine.precision)
        if missed:
            raise WeightsError(
                f"The network does not give its pinned answer in {self.engine.name} "
                f"({', '.join(missed)}). Download the weights again, or choose another engine."
            )

    def warm_up(self) -> None:
        """Read blank films in the usual shapes, so that the first real one does not wait."""
        for shape in ((454, 373), (373, 454), (448, 448)):
            self.predict(np.linspace(0, 1, shape[0] * shape[1], dtype=np.float32).reshape(shape))

    def predict(
        self, film: Source | Radiograph, *, method: str = DEFAULT, frame: int | None = None
    ) -> Prediction:
        """Read one film.

        Args:
            film: whatever ``load_radiograph`` takes.
            method: the explanation; ``detector.explain.methods.METHODS`` lists them.
            frame: of a multi-frame file.

        Raises:
            RadiographError: the film cannot be read; says why and what to do.
            ValueError: unknown method.
        """
        method = method_name(method)
        return self._read(load_radiograph(film, frame=frame, limits=self.limits), method)

    def predict_batch(
        self, films: Iterable[Source | Radiograph], *, ahead: int = 4, frame: int | None = None
    ) -> Iterator[Prediction | RadiographError]:
        """Read many films: for each, in order, its ``Prediction`` or its error.

        Memory stays constant: at most ``ahead`` films are decoded while the network runs.
        ``frame``: of multi-frame files.
        """
        sources = iter(films)
        read = partial(load_radiograph, frame=frame, limits=self.limits)
        with ThreadPoolExecutor(1, thread_name_prefix="decode") as decoder:
            waiting: list[Future[Radiograph]] = [
                decoder.submit(read, source) for source in islice(sources, ahead)
            ]
            while waiting:
                head = waiting.pop(0)
                try:
                    result = self._read(head.result())
                except RadiographError as error:
                    result = error
                waiting += [decoder.submit(read, source) for source in islice(sources, 1)]
                yield result

    def _read(self, film: Radiograph, method: str = DEFAULT) -> Prediction:
        letterbox = Letterbox.fit(film.height, film.width, self.config.input_size, film.aspect)
        canvas = letterbox.apply(film.pixels)
        output = self.engine.run(canvas)
        calibration = self.config.calibration
        probability = float(calibration.image.probability(output.logit))
        familiarity = anatomy = None
        if self.model.familiarity is not None:
            familiarity = self.model.familiarity.check(output.embedding)
            calibration = self.model.familiarity.calibration(calibration, familiarity)
        if self.model.anatomy is not None:
            familiar = familiarity is None or familiarity.familiar
            anatomy = self.model.anatomy.read(output.embedding, familiar)
        rows, cols = letterbox.inner
        scope = self.model.ood.check(
            output.embedding, canvas[:rows, :cols], float(film.facts.get("colourfulness", 0.0))
        )
        if objection := file_objection(film.facts):
            scope = ScopeCheck(False, max(scope.score, 2.0), objection)
        decision = calibration.decide(probability, scope.in_scope)
        clear = decision not in (Decision.FRACTURE_LIKELY, Decision.UNCERTAIN)
        regions = () if clear else find_regions(output.evidence, letterbox, calibration)
        if not regions and decision == Decision.FRACTURE_LIKELY:
            decision = Decision.UNCERTAIN  # nobody could look whether it is one
        heat = grad_cam_heat(output.evidence, letterbox, calibration)
        if method != DEFAULT:
            relative = self._other_methods().explain(canvas, letterbox, method)
            heat = Heat(relative * np.float32(probability), letterbox, None)
        return Prediction(
            film=film,
            probability=probability,
            decision=decision,
            regions=regions,
            scope=scope,
            evidence=output.evidence,
            heat=heat,
            calibration=calibration,
            model=self._model_facts,
            method=method,
            familiarity=familiarity,
            anatomy=anatomy,
        )

    def _other_methods(self) -> Explainers:
        """Made when first asked for: they need the network in PyTorch."""
        with self._making:
            if self._explainers is None:
                from detector.explain.other_methods import Explainers

                self._explainers = Explainers(self.model.network)
            return self._explainers
