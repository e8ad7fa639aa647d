"""A film in, a prediction out: one at a time, many, and from many threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from detector import FractureDetector, Prediction, Radiograph, RadiographError, WeightsError
from detector.engines.base import EngineOutput
from detector.model.weights import Model
from detector.phantom import draw_phantom, random_phantom
from tests.support import odd_films as odd
from tests.support.tiny import tiny_model


def _films(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [rng.random((100 + 7 * i, 80), np.float32) for i in range(count)]


@pytest.fixture(scope="module")
def tiny() -> FractureDetector:
    return FractureDetector(tiny_model())


class _Engine:
    """Says what it is told; one evidence spot."""

    name, precision = "told", "float32"

    def __init__(self, model: Model, logit: float, embedding: float = 0.0):
        self.logit = logit
        self.embedding = np.full(model.network.embedding_size, embedding, np.float32)

    def run(self, canvas: np.ndarray) -> EngineOutput:
        evidence = np.full((canvas.shape[0] // 8, canvas.shape[1] // 8), -6.0, np.float32)
        evidence[3, 3] = 5
        return EngineOutput(self.logit, evidence, self.embedding)


def test_the_model_is_dated_where_its_weights_say_when_it_was_trained(tiny):
    film = _films(1)[0]
    assert set(tiny.predict(film).model) == {"version", "sha256"}
    model = tiny_model()
    config = replace(model.config, provenance={"trained": "2026-01-02"})
    dated = FractureDetector(replace(model, config=config)).predict(film)
    assert dated.model["trained"] == dated.to_dict()["model"]["trained"] == "2026-01-02"


def _told(logit: float, embedding: float = 0.0) -> FractureDetector:
    model = tiny_model()
    return FractureDetector(model, _Engine(model, logit, embedding))


@pytest.mark.parametrize(
    ("logit", "decision", "boxes"),
    [(3.0, "fracture likely", True), (0.0, "uncertain", True), (-4.0, "no fracture seen", False)],
)
def test_decision_and_regions(logit: float, decision: str, boxes: bool) -> None:
    prediction = _told(logit).predict(_films(1)[0])
    assert prediction.decision == decision
    assert prediction.probability == pytest.approx(1 / (1 + np.exp(-logit)))
    assert bool(prediction.regions) == boxes


def test_out_of_scope_gives_no_region() -> None:
    prediction = _told(3.0, embedding=1e9).predict(_films(1)[0])
    assert prediction.decision == "out of scope" and prediction.regions == ()
    assert prediction.scope.reason


def test_a_blank_film_is_out_of_scope(tiny: FractureDetector) -> None:
    film = Radiograph(np.zeros((96, 80), np.float32), {})
    assert tiny.predict(film).decision == "out of scope"
    assert tiny.predict(_films(1)[0]).decision != "out of scope"


def test_every_kind_of_source_reads_the_same(tiny: FractureDetector, tmp_path: Path) -> None:
    from PIL import Image

    pixels = (draw_phantom("forearm", size=(128, 96)).pixels * 255).astype(np.uint8)
    path = tmp_path / "film.png"
    Image.fromarray(pixels).save(path)
    with path.open("rb") as file:
        sources = [path, str(path), path.read_bytes(), file, Image.open(path), pixels]
        read = [tiny.predict(source).probability for source in sources]
    assert read == pytest.approx([read[0]] * len(read), abs=1e-6)


def test_the_answer_does_not_depend_on_what_was_read_before(tiny: FractureDetector) -> None:
    films = _films(3)
    first = [tiny.predict(film).to_dict() for film in films]
    again = [tiny.predict(film).to_dict() for film in reversed(films)][::-1]
    assert first == again


def test_many_threads_get_their_own_answers(tiny: FractureDetector) -> None:
    films = _films(6) * 4
    alone = [tiny.predict(film).probability for film in films]
    with ThreadPoolExecutor(8) as pool:
        together = [p.probability for p in pool.map(tiny.predict, films)]
    assert together == pytest.approx(alone, abs=1e-6)


def test_a_batch_keeps_order_and_gives_errors_in_place(tiny: FractureDetector) -> None:
    films = _films(4)
    results = list(tiny.predict_batch([films[0], b"no film", films[1], "/no/such/film.png"]))
    assert isinstance(results[0], Prediction) and isinstance(results[2], Prediction)
    assert isinstance(results[1], RadiographError) and isinstance(results[3], RadiographError)
    assert results[0].probability == tiny.predict(films[0]).probability
    assert results[2].probability == tiny.predict(films[1]).probability


def test_a_batch_takes_films_as_it_goes(tiny: FractureDetector) -> None:
    taken = 0

    def endless() -> Iterator[np.ndarray]:
        nonlocal taken
        while True:
            taken += 1
            yield _films(1)[0]

    before = threading.active_count()
    results = tiny.predict_batch(endless(), ahead=3)
    for _ in range(5):
        next(results)
    assert taken <= 5 + 3
    results.close()
    assert threading.active_count() == before


def test_an_empty_batch(tiny: FractureDetector) -> None:
    assert list(tiny.predict_batch([])) == []


def test_an_unknown_method_is_said_before_the_film_is_read(tiny: FractureDetector) -> None:
    with pytest.raises(ValueError, match="unknown method 'guided'; there are gradcam, "):
        tiny.predict("/no/such/film.png", method="guided")


def test_another_method_is_relative_to_the_probability(tiny: FractureDetector) -> None:
    film = _films(1)[0]
    plain, other = tiny.predict(film), tiny.predict(film, method="HiResCAM")
    assert other.method == "hirescam" and other.probability == plain.probability
    assert other.heat.values.max() == pytest.approx(plain.probability, rel=1e-5)
    assert other.heatmap.shape == plain.heatmap.shape
    np.testing.assert_array_equal(other.evidence, plain.evidence)


def test_no_weights_there(tmp_path: Path) -> None:
    with pytest.raises(WeightsError):
        FractureDetector.from_pretrained(tmp_path)


def test_the_shipped_model_reads_a_phantom(detector: FractureDetector) -> None:
    prediction = detector.predict(draw_phantom("forearm", seed=3).pixels)
    assert 0 <= prediction.probability <= 1
    assert prediction.heatmap.shape == (512, 416)
    assert prediction.model["sha256"] == detector.model.digest[:12]


def _spread_out(logit: float) -> FractureDetector:
    """Says that there is a fracture, and of no place that it is there."""

    class Nowhere(_Engine):
        def run(self, canvas: np.ndarray) -> EngineOutput:
            output = super().run(canvas)
            return replace(output, evidence=np.full_like(output.evidence, -6.0))

    model = tiny_model()
    return FractureDetector(model, Nowhere(model, logit))


def test_nothing_is_likely_without_a_place_to_look_at():
    film = _films(1)[0]
    somewhere, nowhere = _told(8.0).predict(film), _spread_out(8.0).predict(film)
    assert somewhere.decision == "fracture likely" and somewhere.regions
    assert somewhere.warnings == ()
    assert nowhere.probability == somewhere.probability
    assert nowhere.decision == "uncertain" and not nowhere.regions
    assert "no place on the film stands out" in nowhere.warnings[0]
    assert nowhere.to_dict()["warnings"] == list(nowhere.warnings)


def _log_odds(prediction: Prediction) -> float:
    return float(np.log(prediction.probability) - np.log1p(-prediction.probability))


def test_a_film_of_oblong_pixels_is_read_as_the_square_one(detector):
    """Every second row of a film, said to be twice as high: the same answer, in its own pixels."""
    film = random_phantom(6, fractured=True).pixels
    rows = (film[::2] + film[1::2]) / 2

    def read(**spacing: list[float]) -> Prediction:
        stored = np.rint(rows * 4095).astype(np.uint16)
        window = {"BitsStored": 12, "WindowCenter": 2048, "WindowWidth": 4096}
        return detector.predict(odd.dicom(stored, **window, **spacing))

    whole, oblong, squashed = detector.predict(film), read(PixelSpacing=[0.2, 0.1]), read()
    assert oblong.film.aspect == oblong.to_dict()["film"]["pixel_aspect"] == 2
    assert oblong.probability == pytest.approx(whole.probability, abs=0.02)
    assert _log_odds(squashed) < _log_odds(whole) - 1
    assert oblong.heatmap.shape == rows.shape and oblong.overlay().shape == (*rows.shape, 3)
    box, square = oblong.regions[0], whole.regions[0]
    wanted = square.x, square.y / 2, square.width, square.height / 2
    assert (box.x, box.y, box.width, box.height) == pytest.approx(wanted, abs=8)


@pytest.mark.parametrize("modality", ["CT", "MR", "US", "NM", "PT", "MG", "IO", "PX", "FOO"])
def test_another_modality_is_out_of_scope_by_its_header(modality: str):
    told = _told(8.0)
    assert told.predict(odd.dicom(odd.grey(), Modality="DX")).decision == "fracture likely"
    prediction = told.predict(odd.dicom(odd.grey(), Modality=modality))
    assert prediction.decision == "out of scope" and prediction.regions == ()
    assert "not a plain radiograph" in prediction.scope.reason and prediction.scope.score > 1
    assert "FOO" not in prediction.scope.reason


@pytest.mark.filterwarnings("ignore:Invalid value for VR CS")
@pytest.mark.parametrize(
    "part", ["CHEST", "SKULL", "CSPINE", "L-SPINE", "Lumbar spine", "ABDOMEN", "BREAST", "RIBS",
             "CHEST PA"]
)  # fmt: skip
def test_a_body_part_that_is_no_limb_is_out_of_scope_by_its_header(part: str):
    prediction = _told(8.0).predict(odd.dicom(odd.grey(), BodyPartExamined=part))
    assert prediction.decision == "out of scope"
    assert "shows no limb" in prediction.scope.reason


@pytest.mark.filterwarnings("ignore:Invalid value for VR CS")
@pytest.mark.parametrize(
    ("part", "modality"),
    [("", ""), ("WRIST", "CR"), ("Femur head", "DR"), ("DOE^JANE", "RG"), ("SHOULDER CHEST", "RF"),
     ("PELVIS", "XA"), ("", "SC"), ("", "OT")],
)  # fmt: skip
def test_limbs_and_unknown_words_stay_in_scope(part: str, modality: str):
    film = odd.dicom(odd.grey(), BodyPartExamined=part, Modality=modality)
    assert _told(8.0).predict(film).decision == "fracture likely"
