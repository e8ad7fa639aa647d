"""The figures of an evaluation, on films whose answers can be counted by hand."""

from __future__ import annotations

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

from detector.io.radiograph import load_radiograph
from detector.model.hub import shipped_weights
from detector.model.weights import read_weights, write_config
from detector.training.card.limitations import limitations
from detector.training.evaluation import evaluate, robustness, saliency
from detector.training.evaluation.metrics import chance_calibration_error
from detector.training.evaluation.predictions import (
    films_of,
    predict_record,
    predict_records,
    some_films,
    source_of,
)
from detector.training.evaluation.summary import failures, summarise, summarise_source, thresholds
from tests.support.measured import (
    BOX,
    CALIBRATION,
    SHAPE,
    RuleDetector,
    make_config,
    write_film,
    write_set,
)

FAR = (80, 10)  # away from the box

ROWS = [
    # Six fractured: four called, one uncertain, one missed; four of them pointed at.
    *({"file": f"f{i}.png", "peak": p, "fractured": 1, "at": at, "hand": 1, "hardware": h}
      for i, (p, at, h) in enumerate(
          [(0.9, (35, 45), 1), (0.8, (35, 45), 0), (0.75, (35, 45), 0), (0.95, FAR, 0),
           (0.5, (35, 45), 0), (0.2, FAR, 0)])),
    # Nine normal: six clear, two uncertain, one false alarm.
    *({"file": f"i{i}.png", "peak": p, "fractured": 0, "at": FAR, "hand": 0, "hardware": 0}
      for i, p in enumerate([0.05, 0.1, 0.1, 0.15, 0.2, 0.25, 0.4, 0.6, 0.85])),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_set(tmp_path_factory.mktemp("data") / "fracatlas", ROWS)


@pytest.fixture(scope="module")
def predictions(folder):
    done, broken = predict_records(RuleDetector(), films_of([folder], "val"), workers=2)
    assert broken == []
    return done


def test_figures_of_a_source_by_hand(predictions):
    figures = summarise_source(predictions, thresholds(CALIBRATION, 0.55))
    assert (figures["films"], figures["fractured"]) == (15, 6)
    points = figures["operating_points"]
    assert points["rule_out"]["confusion"] == {
        "true_positive": 5, "false_negative": 1, "true_negative": 6, "false_positive": 3}
    assert points["rule_in"]["confusion"] == {
        "true_positive": 4, "false_negative": 2, "true_negative": 8, "false_positive": 1}
    assert points["rule_out"]["sensitivity"]["value"] == pytest.approx(5 / 6, abs=1e-4)
    assert points["rule_in"]["specificity"]["value"] == pytest.approx(8 / 9, abs=1e-4)
    assert points["balanced"]["threshold"] == 0.55
    assert points["balanced"]["specificity"]["value"] == pytest.approx(7 / 9, abs=1e-4)

    decided = figures["decided"]
    assert decided["decisions"]["uncertain"] == {"films": 3, "fractured": 1}
    assert decided["decisions"]["no fracture seen"] == {"films": 7, "fractured": 1}
    assert (decided["films"], decided["errors"]) == (12, 2)
    assert decided["proportion"]["value"] == pytest.approx(12 / 15)
    assert decided["error"]["value"] == pytest.approx(2 / 12, abs=1e-4)

    marks = figures["marks_on_normal"]
    assert (marks["films"], marks["per_film"]["value"]) == (9, pytest.approx(3 / 9, abs=1e-4))
    assert marks["marked"]["value"] == pytest.approx(3 / 9, abs=1e-4)

    assert figures["pointing"]["value"] == figures["pointing_strict"]["value"]
    assert figures["pointing"]["value"] == pytest.approx(4 / 6, abs=1e-4)
    assert figures["pointing"]["films"] == 6
    # Pairs: 54, of which the missed film loses to five and ties with one normal film and the
    # false alarm beats three fractured ones; the uncertain fractured one loses to 0.6 and 0.85.
    wins = sum((f > i) + 0.5 * (f == i) for f in (0.9, 0.8, 0.75, 0.95, 0.5, 0.2)
               for i in (0.05, 0.1, 0.1, 0.15, 0.2, 0.25, 0.4, 0.6, 0.85))
    assert figures["auc"]["value"] == pytest.approx(wins / 54, abs=0.01)
    assert figures["auc"]["low"] < figures["auc"]["value"] < figures["auc"]["high"]


def test_subgroups_follow_the_table_of_the_set(predictions):
    groups = summarise_source(predictions, thresholds(CALIBRATION, None))["subgroups"]
    assert groups["without hardware"]["films"] == 14
    assert groups["hand"]["films"] == groups["hand"]["fractured"] == 6
    assert "auc" not in groups["hand"]  # one class only
    assert "with hardware" not in groups  # a single film
    assert "leg" not in groups


def test_before_calibration_is_the_plain_sigmoid_of_the_logit(predictions):
    one = next(r for r in predictions if r.record.path.name == "f1.png")
    assert CALIBRATION.image.probability(one.logit) == pytest.approx(one.probability)
    figures = summarise_source(predictions, thresholds(CALIBRATION, None))["calibration"]
    labels = np.array([r.record.fractured for r in predictions])
    after = np.array([r.probability for r in predictions])
    before = 1 / (1 + np.exp(-np.array([r.logit for r in predictions])))
    for when, said in (("before", before), ("after", after)):
        by_hand = np.mean((said - labels) ** 2)
        assert figures[f"brier_{when}"]["value"] == pytest.approx(by_hand, abs=1e-4)
    assert figures["ece_before"]["value"] != figures["ece_after"]["value"]


def test_unranked_films_get_no_auc(predictions):
    figures = summarise(predictions, thresholds(CALIBRATION, None), ranked=False)
    assert "auc" not in figures and "calibration" not in figures
    assert {"sensitivity", "specificity"} <= set(figures["operating_points"]["rule_out"])


def test_failures_in_words(predictions):
    missed, alarms = failures(predictions)["missed"], failures(predictions)["false_alarms"]
    assert [f["film"] for f in missed] == ["f5.png"]
    assert [f["film"] for f in alarms] == ["i8.png"]
    share = 100 * BOX[2] * BOX[3] / (SHAPE[0] * SHAPE[1])
    assert missed[0]["what"] == f"hand, largest fracture box {share:.1f} % of the film"


def test_a_role_is_a_source_of_its_own(tmp_path):
    rows = [{"file": f"{role}.png", "peak": 0.5, "fractured": 1, "boxed": False, "role": role}
            for role in ("wrist", "other")]
    write_set(tmp_path / "multiregion_pictures", rows)
    records = films_of([tmp_path / "multiregion_pictures"], "val")
    assert sorted(source_of(r) for r in records) == ["other", "wrist"]
    one = predict_record(RuleDetector(), records[0])
    assert one.hit is None and one.strict is None


def test_only_the_asked_split_is_read_and_a_folder_without_splits_whole(tmp_path):
    rows = [{"file": "a.png", "peak": 0.5, "fractured": 0, "split": "train"},
            {"file": "b.png", "peak": 0.5, "fractured": 0, "split": "val"},
            {"file": "c.png", "peak": 0.5, "fractured": 1, "split": "test"}]
    own = write_set(tmp_path / "own", rows)
    outside = tmp_path / "outside"
    for name in ("fractured", "normal"):
        (outside / name).mkdir(parents=True)
        write_film(outside / name / "x.png", 0.5)
    names = [r.path.name for r in films_of([own, outside], "test")]
    assert names == ["c.png", "x.png", "x.png"]
    with pytest.raises(ValueError, match="no film of the split"):
        films_of([write_set(tmp_path / "train_only", rows[:1])], "test")


def test_a_broken_film_is_counted_and_stops_nothing(tmp_path):
    folder = write_set(tmp_path / "set", ROWS)
    whole = (folder / "images" / "i0.png").read_bytes()
    (folder / "images" / "i0.png").write_bytes(whole[:20])
    done, broken = predict_records(RuleDetector(), films_of([folder], "val"))
    assert [r.path.name for r in broken] == ["i0.png"]
    assert len(done) == len(ROWS) - 1


def test_everything_lands_in_config_json_and_on_the_card(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(evaluate, "CHANGED_FILMS", 4)
    rule = RuleDetector(make_config({"val": {"balanced_threshold": 0.55, "films": 15}}))
    monkeypatch.setattr(evaluate.FractureDetector, "from_pretrained", lambda weights: rule)
    weights = tmp_path / "weights"
    weights.mkdir()
    write_config(weights, rule.config, rule.model.sha256)
    command = ["--weights", str(weights), "--data", str(folder), "--split", "val"]
    assert evaluate.main([*command, "--write", "--json", str(tmp_path / "figures.json")]) == 0
    assert "fracatlas" in capsys.readouterr().out
    config = json.loads((weights / "config.json").read_text())
    assert config["sha256"] == "0" * 64
    of_val = config["metrics"]["val"]
    assert of_val["balanced_threshold"] == 0.55  # what export wrote stays
    assert of_val["fracatlas"]["operating_points"]["balanced"]["threshold"] == 0.55
    assert of_val["all"]["films"] == 15 and of_val["all"]["unreadable"] == 0
    assert set(of_val["robustness"]["changes"]) == set(robustness.CHANGES)
    assert of_val["ood"]["refused"]["coloured charts"]["refused"]["value"] == 1.0
    assert of_val["ood"]["refused"]["documents"]["refused"]["value"] == 0.0
    assert of_val["corners_only"]["fracatlas"]["films"] == 15
    assert config["metrics"]["data"]["sources"]["fracatlas"]["val"] == {"films": 15, "fractured": 6}
    assert "limitations" not in config["metrics"]  # only the test split states limitations
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures == {name: of_val[name] for name in figures}
    assert "FracAtlas films" in (weights / "README.md").read_text()


def test_a_sample_of_the_films_cannot_be_kept(folder, tmp_path):
    command = ["--weights", str(tmp_path), "--data", str(folder), "--films", "3", "--write"]
    with pytest.raises(SystemExit):
        evaluate.main(command)


def test_films_that_the_weights_have_seen_count_in_no_figure(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluate, "CHANGED_FILMS", 2)
    config = replace(make_config(), provenance={"seen_in_training": ["fracatlas/f0.png"]})
    monkeypatch.setattr(evaluate.FractureDetector, "from_pretrained",
                        lambda weights: RuleDetector(config))
    out = tmp_path / "figures.json"
    assert evaluate.main(["--data", str(folder), "--split", "val", "--json", str(out)]) == 0
    assert json.loads(out.read_text())["fracatlas"]["films"] == len(ROWS) - 1


def test_what_train_shares_with_held_out_films_is_counted(tmp_path):
    rows = [{"file": "a.png", "peak": 0.5, "fractured": 0, "split": "train", "group": "7"},
            {"file": "b.png", "peak": 0.5, "fractured": 0, "split": "test"},  # a's bytes
            {"file": "c.png", "peak": 0.8, "fractured": 1, "split": "test", "group": "7"}]
    figures = evaluate.data_figures([write_set(tmp_path / "leaky", rows)])
    assert (figures["identical_files"], figures["shared_groups"]) == (1, 1)
    assert figures["sources"]["leaky"]["test"] == {"films": 2, "fractured": 1}


def film_with_marker() -> np.ndarray:
    film = np.full((400, 300), 20, np.uint8)
    cv2.rectangle(film, (110, 60), (190, 380), 150, -1)
    cv2.putText(film, "R", (20, 60), cv2.FONT_HERSHEY_SIMPLEX, 1.2, 255, 3)
    return film


def test_markers_are_painted_over_and_the_bone_stays():
    film = film_with_marker()
    clean = robustness.without_markers(film, np.zeros((0, 4)))
    assert film[20:70, 10:60].max() == 255 and clean[20:70, 10:60].max() < 60
    assert np.array_equal(clean[:, 110:191], film[:, 110:191])
    kept = robustness.without_markers(film, np.array([[15.0, 30.0, 30.0, 35.0]]))
    assert np.array_equal(kept, film)  # what looks like a marker may be the fracture's edge


@pytest.mark.parametrize("name", robustness.CHANGES)
def test_each_change_gives_another_film_that_can_be_read(name):
    film = film_with_marker()
    changed = robustness.CHANGES[name](film, np.zeros((0, 4)))
    pixels = load_radiograph(changed).pixels
    assert pixels.shape != film.shape or np.abs(pixels * 255 - film).max() > 2


def test_a_rotated_film_is_all_there():
    film = np.full((200, 100), 100, np.uint8)
    turned = robustness.rotated(film, 15)
    assert turned.astype(float).sum() == pytest.approx(film.astype(float).sum(), rel=0.02)


def test_corners_only_keeps_corners_only():
    film = np.full((100, 200), 90, np.uint8)
    left = robustness.corners_only(film)
    assert left[0, 0] == left[-1, -1] == left[0, -1] == left[-1, 0] == 90
    assert left[30:70].max() == left[:, 60:140].max() == 0
    assert (left > 0).mean() == pytest.approx(4 * robustness.CORNER**2)


def test_a_detector_that_reads_corners_is_found_out(folder, tmp_path):
    rows = [{"file": f"{i}.png", "peak": 0.9 if i % 2 else 0.1, "fractured": i % 2, "at": (3, 3)}
            for i in range(12)]
    records = films_of([write_set(tmp_path / "corners", rows)], "val")
    assert robustness.corner_figures(RuleDetector(), records)["auc"]["value"] == 1.0
    # Where the spot lies in the middle, the corners say nothing.
    rows = [{**row, "at": (45, 60)} for row in rows]
    records = films_of([write_set(tmp_path / "middle", rows)], "val")
    assert robustness.corner_figures(RuleDetector(), records)["auc"]["value"] == 0.5


def test_normal_crops_keep_clear_of_every_box():
    film = np.random.default_rng(0).integers(0, 255, (300, 240), dtype=np.uint8)
    film[100:140, 60:100] = 255
    film[film == 255] = 254
    film[110:130, 70:90] = 255  # only the fracture is that white
    boxes = np.array([[70.0, 110.0, 20.0, 20.0]])
    crops = [robustness.normal_crop(film, boxes, np.random.default_rng(s)) for s in range(20)]
    found = [crop for crop in crops if crop is not None]
    assert len(found) == 20
    assert all(crop.max() < 255 and min(crop.shape) >= 32 for crop in found)
    everywhere = np.array([[0.0, 0.0, 240.0, 300.0]])
    assert robustness.normal_crop(film, everywhere, np.random.default_rng(0)) is None


def test_a_source_that_can_be_read_from_its_crops_is_found_out(tmp_path):
    records = []
    for name, peak in (("dark", 0.3), ("bright", 0.9)):
        rows = [{"file": f"{i}.png", "peak": peak, "fractured": 0} for i in range(8)]
        folder = write_set(tmp_path / name, rows)
        for path in (folder / "images").iterdir():  # grain all over, so that every crop shows it
            grain = np.random.default_rng(1).random(SHAPE) * peak * 255
            cv2.imwrite(str(path), grain.astype(np.uint8))
        records += films_of([folder], "val")
    figures = robustness.crop_figures(RuleDetector(), records)
    assert figures["sources"]["dark"]["crops"] == 8
    assert figures["told_apart"]["bright against dark"]["value"] == 1.0


def test_the_changes_can_be_measured_alone(folder, monkeypatch, capsys):
    monkeypatch.setattr(
        "detector.predictor.FractureDetector.from_pretrained", lambda weights: RuleDetector()
    )
    assert robustness.main(["--data", str(folder), "--films", "2"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["films"] == 2 and set(figures["changes"]) == set(robustness.CHANGES)


@pytest.mark.parametrize("command", [evaluate, robustness, saliency])
def test_a_wrong_folder_is_said_in_a_sentence_by_every_command(command, tmp_path, capsys):
    assert command.main(["--data", str(tmp_path / "nowhere")]) == 2
    assert "nowhere is not a folder" in capsys.readouterr().err


def test_some_films_are_half_fractured_and_always_the_same(folder):
    records = films_of([folder], "val")
    chosen = some_films(records, 8)
    assert sum(r.fractured for r in chosen) == 4 and len(chosen) == 8
    assert [r.key for r in chosen] == [r.key for r in some_films(records, 8)]
    assert len(some_films(records, 100)) == len(records)


def test_weak_figures_become_sentences_with_their_figure():
    def figure(value):
        return {"value": value, "low": value - 0.1, "high": value + 0.05}

    strong = {"fracatlas": {"auc": figure(0.96), "pointing": figure(0.9), "films": 400,
                            "calibration": {"ece_after": figure(0.03)}},
              "robustness": {"changes": {"inverted": {"decision_reversed": figure(0.01)}}}}
    assert limitations(strong) == []
    missed = {
        "fracatlas": {"auc": figure(0.96), "pointing": figure(0.71),
                      "subgroups": {"hip": {"films": 40, "fractured": 9, "auc": figure(0.8)},
                                    "leg": {"films": 40, "fractured": 3, "auc": figure(0.5)}}},
        "wrist": {"auc": figure(0.74)},
        "robustness": {"changes": {"inverted": {"decision_reversed": figure(0.2)}}},
    }
    text = "\n".join(limitations(missed))
    assert "71 % of fractured films (95 % interval 61 to 76 %); the target was 85 %" in text
    assert "On children's wrists and forearms, the AUC is 0.74 (95 % interval 0.64 to 0.79)" in text
    assert "hip: AUC 0.80" in text and "leg" not in text
    assert "inverted gets the opposite verdict in 20 % of films" in text
    close = {"fracatlas": {"pointing": figure(0.848)},
             "ood": {"accepted": {"other": figure(0.8)}},
             "normal_crops": {"sources": {"wrist": {"crops": 30, "fracture_likely": figure(0.34)},
                                          "other": {"crops": 7, "fracture_likely": figure(0.4)}}}}
    text = "\n".join(limitations(close))
    assert "in 84.8 % of fractured films" in text and "the target was 85 %" in text
    assert "Of other fractured films from the web, 20 % are refused as out of scope" in text
    assert "(95 % interval 15 to 30 %)" in text
    assert text.count("called 'fracture likely' in") == 1 and "in 34 %" in text


def test_an_operating_point_that_keeps_less_than_it_promised_is_weak():
    def point(share, films, high):
        right = round(share * films)
        return {"rule_out": {
            "sensitivity": {"value": share, "low": share - 0.1, "high": high},
            "confusion": {"true_positive": right, "false_negative": films - right,
                          "true_negative": 0, "false_positive": 0},
        }}

    def of(source, *groups):
        figures = {"operating_points": source}
        figures["subgroups"] = {str(i): {"operating_points": g} for i, g in enumerate(groups)}
        return "\n".join(limitations({"fracatlas": figures}))

    kept, missed = point(0.96, 70, 1.0), point(0.8, 25, 0.92)
    assert of(kept) == ""
    assert "On FracAtlas films, 0, 20 of 25 fractures are found at the lower threshold" in of(
        kept, missed)
    assert of(kept, point(0.9, 25, 0.97)) == ""  # a part of the films may well scatter
    assert "63 of 70 fractures" in of(point(0.9, 70, 0.97))
    assert of(point(0.8, 10, 0.97)) == ""  # too few to say


def test_few_films_that_exact_probabilities_would_scatter_as_much_on_are_not_called_weak():
    def figures(films):
        rows = [{"predicted": 0.3, "observed": 0.5, "films": films}] * 15
        error = {"value": 0.14, "low": 0.1, "high": 0.26}
        chance = chance_calibration_error(rows)
        return {"wrist": {"calibration": {"ece_after": error, "ece_by_chance": chance}}}

    assert limitations(figures(3)) == []
    (sentence,) = limitations(figures(300))
    assert "off by 14 percentage points on average" in sentence
    assert "exact probabilities would show 2 on" in sentence


def test_a_small_subgroup_is_weak_when_its_whole_interval_lies_below_the_rest():
    def group(value, high):
        return {"films": 47, "fractured": 5, "auc": {"value": value, "low": 0.2, "high": high}}

    figures = {"fracatlas": {"auc": {"value": 0.96, "low": 0.9, "high": 1.0},
                             "subgroups": {"oblique": group(0.52, 0.8), "hip": group(0.8, 1.0)}}}
    (sentence,) = limitations(figures)
    assert "oblique: AUC 0.52" in sentence and "5 fractured" in sentence



def test_the_shipped_figures_are_of_the_shipped_weights():
    """Thresholds in the figures are those that the weights decide by."""
    config = read_weights(shipped_weights()).config
    for split in ("val", "test"):
        for figures in config.metrics.get(split, {}).values():
            if isinstance(figures, dict) and "operating_points" in figures:
                points = figures["operating_points"]
                assert points["rule_out"]["threshold"] == config.calibration.rule_out
                assert points["rule_in"]["threshold"] == config.calibration.rule_in
