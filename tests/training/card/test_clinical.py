"""Predictive values, net benefit and sample size, from the figures of a split."""

from __future__ import annotations

from detector.training.card.clinical import sections


def interval(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.05, "high": value + 0.05}


SOURCE = {
    "films": 200, "fractured": 50, "auc": interval(0.9),
    "operating_points": {"rule_in": {
        "threshold": 0.5, "sensitivity": interval(0.8), "specificity": interval(0.9),
        "confusion": {"true_positive": 40, "false_negative": 10, "true_negative": 135,
                      "false_positive": 15},
    }},
    "calibration": {
        "slope": interval(0.8), "intercept": interval(0.2), "observed_to_expected": interval(1.2),
    },
    "sizes": {"above 1 %": {"films": 9, "rule_out": interval(0.9), "rule_in": interval(0.7),
                            "pointing": interval(0.6)}},
}


def test_the_figures_are_worked_out_from_the_operating_points() -> None:
    text = "\n".join(sections({"fracatlas": SOURCE}, 1))
    assert "| 30 % / 99 % | 47 % / 98 % | 67 % / 95 % | 77 % / 91 % |" in text
    assert "| 0.500 | 12.5 | -50.0 |" in text  # (40 - 15) / 200, (50 - 150) / 200
    assert "0.80 (0.75–0.85)" in text and "1.20 (1.15–1.25)" in text
    assert "| above 1 % | 9 |" in text
    assert "AUC to within 0.05" in text and "was read once" in text


def test_a_source_of_one_class_gives_no_predictive_values() -> None:
    rest = {k: v for k, v in SOURCE.items() if k not in ("auc", "calibration")}
    titles = [b for b in sections({"sr2022": rest}) if b.startswith("###")]
    assert titles == ["### By the size of the fracture"]
