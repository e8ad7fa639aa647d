"""The model card says what config.json says, and nothing else."""

from __future__ import annotations

import copy
import json
import re
import shutil
from dataclasses import replace

import pytest
import yaml

from detector.model.hub import CARD_FILE, shipped_weights
from detector.model.weights import WeightsError, write_config
from detector.training.card import command as card
from detector.training.card.figures import CALIBRATION_FILE, ROC_FILE
from detector.training.card.limitations import limitations
from detector.training.card.tables import flat, number, percents, table
from detector.training.evaluation import evaluate
from detector.training.evaluation.evaluate import data_figures
from detector.training.evaluation.ood_rejection import FOLDER_KIND
from detector.training.evaluation.predictions import films_of
from tests.support.measured import RuleDetector, make_config, write_set
from tests.training.evaluation.test_evaluate import ROWS

SHA = "ab" * 32


@pytest.fixture(scope="module")
def metrics(tmp_path_factory):
    """Figures as an evaluation on test writes them."""
    folder = write_set(tmp_path_factory.mktemp("data") / "fracatlas", ROWS)
    wrist = write_set(folder.parent / "pictures", [
        {**row, "boxed": False, "role": "wrist", "hand": ""} for row in ROWS])
    records = films_of([folder, wrist], "val")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate, "CHANGED_FILMS", 4)
        figures = evaluate.evaluate(RuleDetector(), records, balanced=0.55)
    return {"test": figures, "data": data_figures([folder, wrist]),
            "limitations": limitations(figures)}


@pytest.fixture
def weights(metrics, tmp_path):
    write_config(tmp_path, make_config(metrics), SHA)
    card.write_card(tmp_path)
    return tmp_path


def page(weights) -> str:
    return (weights / CARD_FILE).read_text(encoding="utf-8")


def test_the_card_is_made_from_config_json_alone_byte_for_byte(weights):
    first = {p.name: p.read_bytes() for p in weights.iterdir()}
    made = {CARD_FILE, *(f"{name}.{kind}" for name in ("roc", "calibration")
                         for kind in ("svg", "png"))}  # fmt: skip
    assert set(first) == {"config.json", *made}
    for name in made:
        (weights / name).unlink()
    assert card.main(["--weights", str(weights)]) == 0
    assert {p.name: p.read_bytes() for p in weights.iterdir()} == first


def test_old_sentences_are_worded_anew_from_the_figures(metrics, tmp_path):
    write_config(tmp_path, make_config({**metrics, "limitations": ["An old sentence."]}), SHA)
    assert card.main(["--weights", str(tmp_path)]) == 0
    assert card.read_config(tmp_path)[0].metrics["limitations"] == metrics["limitations"] != []
    assert "An old sentence." not in page(tmp_path)


def test_the_shipped_card_is_that_of_the_shipped_config():
    folder = shipped_weights()
    assert page(folder) == card.render(*card.read_config(folder)[:2])


def test_the_shipped_results_table_is_that_of_the_shipped_config():
    readme = (shipped_weights().parent / "README.md").read_text(encoding="utf-8")
    short = "\n".join(card.results.short(card.read_config(shipped_weights())[0].metrics))
    assert f"{card.BEGIN}\n{short}\n{card.END}" in readme


@pytest.mark.parametrize("path", [
    ("fracatlas", "auc"),
    ("fracatlas", "operating_points", "rule_out", "sensitivity"),
    ("fracatlas", "operating_points", "rule_in", "specificity"),
    ("fracatlas", "decided", "error"),
    ("fracatlas", "subgroups", "without hardware", "auc"),
    ("fracatlas", "calibration", "ece_after"),
    ("fracatlas", "pointing_strict"),
    ("fracatlas", "marks_on_normal", "marked"),
    ("wrist", "auc"),
    ("all", "calibration", "brier_before"),
    ("robustness", "changes", "inverted", "decision_changed"),
    ("corners_only", "fracatlas", "auc"),
    ("ood", "refused", "documents", "refused"),
])
def test_each_figure_on_the_card_follows_the_config(metrics, path):
    changed = copy.deepcopy(metrics)
    here = changed["test"]
    for name in path:
        here = here[name]
    here.update(value=0.4321, low=0.1234, high=0.8765)
    before, after = card.render(make_config(metrics), SHA), card.render(make_config(changed), SHA)
    assert before != after
    shown = "\n".join(set(after.splitlines()) - set(before.splitlines()))
    assert "0.432 (0.12–0.88)" in shown or "43 % (12–88)" in shown


def test_the_card_holds_every_section(weights):
    text = page(weights)
    headings = re.findall(r"^##+ (.*)$", text, re.MULTILINE)
    for heading in (
        "Intended use", "What it says", "Results", "Operating points",
        "Subgroups of FracAtlas films", "Calibration", "Pointing", "Marks on normal films",
        "Limitations", "Robustness", "Scope", "Data", "Leakage", "Training", "Caveats",
        "Reporting checklists", "Licence", "Citation",
    ):
        assert heading in headings
    assert "f5.png" in text and "i8.png" in text  # failures, in words
    for sentence in json.loads((weights / "config.json").read_text())["metrics"]["limitations"]:
        assert f"- {sentence}" in text
    assert SHA in text and "not a medical device" in text


def test_the_hub_reads_the_front_matter(weights):
    front = yaml.safe_load(page(weights).split("---\n")[1])
    assert front["license"] == "apache-2.0"
    assert front["pipeline_tag"] == "image-classification"
    results = {r["dataset"]["type"]: r["metrics"][0]["value"]
               for r in front["model-index"][0]["results"]}
    figures = json.loads((weights / "config.json").read_text())["metrics"]["test"]
    assert results == {name: figures[name]["auc"]["value"] for name in ("fracatlas", "wrist")}


def test_tables_are_whole(weights):
    """Every row of a table has as many cells as its head: a stray bar would break the page."""
    block: list[int] = []
    for line in [*page(weights).splitlines(), ""]:
        if line.startswith("|"):
            block.append(line.count("|"))
        elif block:
            assert len(set(block)) == 1 and len(block) > 2
            block = []


def test_drawings_are_small_and_need_nothing_from_outside(weights):
    for name in (ROC_FILE, CALIBRATION_FILE):
        data = (weights / name).read_text(encoding="utf-8")
        assert len(data) < 100_000
        assert "<image" not in data and "<script" not in data
        assert f"({name})" in page(weights)


def test_an_unmeasured_model_gets_a_card_without_figures(tmp_path):
    write_config(tmp_path, make_config({"val": {"films": 3, "balanced_threshold": 0.4}}), SHA)
    card.write_card(tmp_path)
    assert "has not been measured yet" in page(tmp_path)
    assert "## Results" not in page(tmp_path) and "model-index" not in page(tmp_path)
    assert not (tmp_path / ROC_FILE).exists()


def test_val_figures_are_never_passed_off_as_test_figures(metrics):
    text = card.render(make_config({"val": metrics["test"]}), SHA)
    assert "On validation films, which also chose" in text
    assert "model-index" not in text


def test_other_studies_are_shown_when_they_are_there(metrics):
    plain = make_config(metrics)
    more = copy.deepcopy(metrics)
    more["leave_one_source_out"] = {"recipe": "8 epochs", "pictures": {
        "threshold": 0.3,
        "others": {"fracatlas": {"films": 413, "fractured": 74, "auc": _figure(0.9)}},
        "left_out": {"wrist": {"films": 48, "fractured": 14, "sensitivity": _figure(0.625)}},
    }}
    more["cross_validation"] = {"pictures": {
        "recipe": "9 epochs", "folds": 3, "threshold": 0.2, "sources": {
            "wrist": {"films": 48, "fractured": 14, "auc": _figure(0.75),
                      "sensitivity": _figure(0.5), "specificity": _figure(0.8)},
        },
    }}
    text = card.render(replace(plain, metrics=more), SHA)
    assert "3 times the recipe in short (9 epochs)" in text
    assert "| children's wrists and forearms | 48 | 14 | 0.750 (0.38–0.88) | 50 % (25–75) |" in text
    assert "| **left out** | children's wrists and forearms | 48 | 14 | – | 62 % (31–81) |" in text
    assert "| others | FracAtlas films | 413 | 74 | 0.900 (0.45–0.95) |" in text
    assert "Leave one source out" not in card.render(plain, SHA)


def _figure(value: float) -> dict[str, float]:
    return {"value": value, "low": value / 2, "high": (1 + value) / 2}


def _checked(metrics: dict, **checks) -> dict:
    game = {"films": 9, "evidence": _figure(0.75), "plain_gradcam": _figure(0.5),
            "centre_point": _figure(0.2), "random_point": _figure(0.03)}
    froc = {"fracatlas": {
        "films": 400, "fractures": 90,
        "as_shown": {"found": _figure(0.61), "false_boxes_per_film": _figure(0.3)},
        "average_precision": {"from IoU 0.1": _figure(0.49), "from IoU 0.3": _figure(0.28)},
    }}
    checked = {
        "fracatlas": {"films": 9, "pointing": {"boxes": game},
                      "by_size": {"below 0.25 %": {"films": 4, "pointing": _figure(0.56)},
                                  "from 1 %": {"films": 5, "pointing": _figure(0.91)}}},
        "checks": {"films": 9, **checks},
        "phantoms": {"all": {"pairs": 8, "probability_raised": _figure(0.92),
                             "raised_and_at_break": _figure(0.72)}},
    }
    more = copy.deepcopy(metrics)
    more["test"] |= {"froc": froc, "saliency": checked, "saliency_figure": "saliency.png"}
    return more


def test_the_saliency_checks_end_in_words_a_picture_and_a_json(metrics):
    text = card.render(make_config(_checked(metrics)), SHA)
    assert "(saliency.png)" in text
    assert "lies at a fracture on 75 % (38–88) of the films; plain Grad-CAM" in text
    assert "below 0.25 % 56 % (28–78); from 1 % 91 %" in text
    assert "mark 61 % (30–80) of the fractures" in text
    assert "raises the probability on 92 % (46–96) of 8 pairs" in text
    assert "(saliency.json)" in text and "| phantoms" not in text  # its tables are in the JSON


def test_every_figure_of_regions_and_saliency_is_in_the_json(metrics, tmp_path):
    more = _checked(metrics)
    write_config(tmp_path, make_config(more), SHA)
    card.write_card(tmp_path)
    tables = json.loads((tmp_path / "saliency.json").read_text())
    assert tables == {"split": "test", "regions": more["test"]["froc"],
                      "saliency": more["test"]["saliency"]}


def test_published_detectors_stand_beside_the_regions_with_what_differs(metrics):
    text = card.render(make_config(_checked(metrics)), SHA)
    row = next(line for line in text.splitlines() if "detectors published" in line)
    assert "0.40 to 0.48" in row and "IoU 0.5" in row and "another" in row


@pytest.mark.parametrize(
    ("init", "words"),
    [("random", "starts from random weights;"), ("backbone.safetensors", "from ImageNet weights;"),
     ("weights 0.1.0, sha256 abab", "starts from trained weights 0.1.0, sha256 abab;")],
)
def test_the_card_says_what_training_starts_from(metrics, init, words):
    config = replace(make_config(metrics), provenance={"init": init})
    assert words in card.render(config, SHA)


def test_a_second_training_is_reported_or_its_absence_is(metrics):
    assert "was not measured" in card.render(make_config(_checked(metrics)), SHA)
    second = {"same_place": _figure(0.66), "rank_correlation": _figure(0.8)}
    text = card.render(make_config(_checked(metrics, second_training=second)), SHA)
    assert "same location on 66 % (33–83) of 9 films" in text and "was not measured" not in text


def test_weights_drawn_anew_are_judged_by_their_correlation(metrics):
    for value, said in ((0.3, "comes from what was learned"), (0.8, "from the film itself")):
        drawn = {"down to fusion": {"value": -value, "low": -value, "high": 0.0}}
        checks = {"parameter_randomisation": drawn}
        assert said in card.render(make_config(_checked(metrics, **checks)), SHA)


def test_what_the_leakage_check_found_is_on_the_card(metrics):
    provenance = {"leakage": {"pictures shared": 2}, "left_out_of_training": ["a/b.jpg"] * 3,
                  "seen_in_training": [], "films": {"a": {"train": 12}}}
    text = card.render(replace(make_config(metrics), provenance=provenance), SHA)
    assert "| pictures shared | 2 |" in text and "| films, a, train | 12 |" in text
    assert "3 films were left out of training and validation because" in text
    assert "0 held-out films show a training picture" in text and "a/b.jpg" not in text


def test_the_commands_measure_every_figure_that_is_on_the_card(metrics):
    """What --outside and --second measured is lost by a command without them."""
    plain = card.render(make_config(_checked(metrics)), SHA)
    assert "--outside" not in plain and "--second" not in plain
    more = _checked(metrics, second_training={"same_place": _figure(0.66)})
    refused = more["test"]["ood"]["refused"]
    refused[f"{FOLDER_KIND}multiregion"] = {"pictures": 31, "refused": _figure(0.7)}
    text = card.render(make_config(more), SHA)
    command = "python -m detector.training.evaluation.{} --weights"
    evaluating, trusting = (
        text[text.index(command.format(module)):].split("\npython")[0]
        for module in ("evaluate", "saliency")
    )
    assert "--outside ../shared/data/multiregion" in evaluating and "--second" not in evaluating
    assert "--second" in trusting and "--outside" not in trusting


def test_deletion_and_insertion_are_told_whichever_map_they_favour(metrics):
    checks = {kind: {who: {"mean_probability": _figure(value)} for who, value in of.items()}
              for kind, of in (("deletion", {"evidence": 0.51, "plain_gradcam": 0.53,
                                             "random": 0.64}),
                               ("insertion", {"evidence": 0.33, "plain_gradcam": 0.37,
                                              "random": 0.17}))}
    text = card.render(make_config(_checked(metrics, **checks)), SHA)
    (line,) = [line for line in text.splitlines() if line.startswith("- Mean P(fracture)")]
    for value in ("0.510", "0.530", "0.640", "0.330", "0.370", "0.170"):
        assert value in line


def test_free_response_without_normal_films_is_said_to_flatter(metrics):
    more = _checked(metrics)
    assert "flatter" not in card.render(make_config(more), SHA)
    more["test"]["froc"]["fracatlas"]["films"] = more["test"]["fracatlas"]["fractured"]
    assert "No normal film is among them" in card.render(make_config(more), SHA)


def test_the_calibration_error_stands_beside_that_of_chance(metrics):
    text = card.render(make_config(metrics), SHA)
    head = next(i for i, line in enumerate(text.splitlines()) if "ECE by chance" in line)
    cells = [cell.strip() for cell in text.splitlines()[head + 2].split("|")]
    by_chance = metrics["test"]["fracatlas"]["calibration"]["ece_by_chance"]["mean"]
    assert cells[4] == f"{by_chance:.3f}"


def test_the_results_table_goes_between_the_marks(weights, tmp_path):
    readme = tmp_path / "front.md"
    readme.write_text(f"# Title\n\n{card.BEGIN}\nold\n{card.END}\n\nThe rest.\n")
    assert card.main(["--weights", str(weights), "--readme", str(readme)]) == 0
    text = readme.read_text()
    assert text.startswith(f"# Title\n\n{card.BEGIN}\nOn test films") and "old" not in text
    assert text.endswith(f"|\n{card.END}\n\nThe rest.\n")
    assert card.main(["--weights", str(weights), "--readme", str(readme)]) == 0
    assert readme.read_text() == text
    readme.write_text("no marks")
    assert card.main(["--weights", str(weights), "--readme", str(readme)]) == 2
    assert readme.read_text() == "no marks"


def test_a_broken_config_is_said_in_a_sentence(tmp_path, capsys):
    assert card.main(["--weights", str(tmp_path)]) == 2
    assert "config.json" in capsys.readouterr().err
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(WeightsError, match="not a JSON object"):
        card.read_config(tmp_path)


def test_numbers_as_text():
    figure = {"value": 0.9144, "low": 0.87, "high": 0.95}
    assert number(figure) == "0.914 (0.87–0.95)" and number(None) == "–"
    assert percents(figure) == "91 % (87–95)"
    assert table(["a", "b"], [["x", 1], ["y", 2.5]]) == [
        "| a | b |", "| --- | ---: |", "| x | 1 |", "| y | 2.5 |"]
    curve = list(range(50))
    assert list(flat({"a_b": {"c": figure, "curve": curve, "n": 3}})) == [
        ("a b, c", "0.914 (0.87–0.95)"), ("a b, n", "3")]


def test_an_altered_configuration_is_not_sealed_anew(tmp_path, capsys):
    write_config(tmp_path, make_config({}), SHA)
    file = tmp_path / "config.json"
    file.write_text(file.read_text().replace('"version": "', '"version": "x'))
    before = file.read_bytes()
    assert card.main(["--weights", str(tmp_path)]) == 2
    assert "altered" in capsys.readouterr().err and file.read_bytes() == before


def test_weights_get_their_pinned_answer_and_every_other_number_stays(tiny_weights, tmp_path):
    folder = shutil.copytree(tiny_weights, tmp_path / "weights")
    sealed = (folder / "config.json").read_bytes()
    config, sha256, _ = card.read_config(folder)
    write_config(folder, replace(config, self_check={}), sha256)
    card.renew_config(folder)
    assert (folder / "config.json").read_bytes() == sealed
