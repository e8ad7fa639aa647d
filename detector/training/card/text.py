"""The words of the model card that no figure changes."""

from __future__ import annotations

USE = """\
**Intended use.** A second look at single X-ray films of limbs (hand, wrist, forearm, elbow,
shoulder, hip, knee, lower leg, ankle, foot) for people who are trained to read them, for teaching,
and for research. It gives a verdict, a calibrated probability and a heatmap that points at the
suspected fracture.

**Not for.** It is not a medical device and has no regulatory clearance. It must not decide alone,
be used without a person who reads the film, or replace clinical examination. It was not made for
skull, spine, ribs or chest, for CT, MRI or ultrasound, for follow-up after surgery, or for any
finding but a fracture: dislocations, tumours, infections and foreign bodies are not looked for.
'No fracture seen' is no proof that there is none."""

DATA = """\
- **FracAtlas**: Abedeen et al., *Scientific Data* 10:521 (2023), doi 10.1038/s41597-023-02432-4;
  data doi 10.6084/m9.figshare.22363012; CC BY 4.0. Films of three hospitals in Bangladesh, with
  fractures outlined by radiologists and checked by an orthopaedic specialist. Changed here: grey,
  longest side at most 768 px, films whose copies carry both labels left out.
- **sr2022**: fractured limb films from the web with fracture boxes (Roboflow Universe, 'Science
  Research 2022: bone fracture detection', tagged CC BY 4.0; the pictures' own licence is not
  verified, so they are never redistributed). No normal films.
- **wrist** and **other**: the pictures of the Kaggle set 'Fracture Multi-Region X-Ray Data'
  (bmadushanirodrigo; ODC-By 1.0 claimed), each picture once, without those that FracAtlas or
  sr2022 hold. `wrist`: children's wrists and forearms of one source, normal and fractured, many of
  the fractures subtle buckle and greenstick ones. `other`: web pictures, nearly all fractured;
  class goes with source and region there, so sensitivity and specificity stand apart and there is
  no AUC. Labels as published, without outlines; for training, boxes of the fractured wrists were
  drawn by eye by this project's authors, who are no radiologists
  (`detector/training/data/outlines/`).
- **normal_feet**: standing lateral feet (Roboflow Universe, 'Pesplanus', tagged CC BY 4.0), and
  **normal_knees**: knees of Kellgren-Lawrence grade 0 and 1 (Chen, *Knee Osteoarthritis Severity
  Grading Dataset*, doi 10.17632/56rmx5bjcr, CC BY 4.0). No fractures are known in either, and
  nobody looked for them. *Training* says whether they were trained on.
- **The OOD reference** (what films are told from): stamps, wallpapers, screenshots and test
  pictures of free software packages; MRI slices of the IXI data (CC BY-SA 3.0), chest films of NIH
  ChestX-ray14, spine, CT and MRI pictures of the Kaggle set, slices and projections of packages'
  head volumes (*provenance* names them). They fit the out-of-distribution check alone; none is
  passed on.

The data sets name no patients, ages or sexes, so figures by age, sex or ethnicity cannot be given,
and two films of one patient can be known only where they are near-duplicates."""

LEAKAGE = """\
Films that show the same picture (copies, rotated and resized ones included) form one group, and a
group lies in one split: by the data sets' own groups, and by a check of the pictures before
training, which leaves films out where those groups missed a copy. Validation films chose the epoch,
the calibration and the thresholds; test films chose nothing. The published train/test split of the
Kaggle set is not used: nearly all of its test files are copies of training files, so figures near
98 % on it are memorisation."""

CAVEATS = """\
- **A shortcut in the data.** Nearly all FracAtlas films with metal hardware are fractured; figures
  without hardware stand beside the others.
- **Sources that nobody trained on.** Other hospitals, devices and ways of exporting move the score;
  normal films of an unseen source are called fractured more often. Check it on films of your own
  before you rely on it, and choose thresholds of your own.
- **Prevalence.** The probability holds for a proportion of fractured films like that of the
  validation films; where fractures are rarer or commoner, the page's pre-test slider applies
  Bayes' rule.
- **The heatmap** shows where the evidence lies, on one fixed scale. It is not an outline of the
  fracture, and a dark map is no proof of intact bone.
- **Automation bias.** Read the film first. The page can hide its verdict until you have said yours.
- **Monitoring.** Watch the proportion of films refused and called fractured; a drift of either
  means that the films have changed."""

CLAIM_ITEMS = (
    ("Title, study type, goal (1–6)", "this page's head; *Intended use*"),
    ("Data sources, eligibility, selection, preparation (7–11, 13)", "*Data*; a retrospective "
     "study of published films"),
    ("De-identification (12)", "left to those who published the films; not described here"),
    ("Reference standard, annotators (14–18)", "*Data*: as the data sets published them; the "
     "annotation tools and the agreement between readers are not known"),
    ("Sample size (19)", "all films there were; none was calculated"),
    ("Partitions, level of disjointness (20–21)", "*Data*, *Leakage*: by picture, as patients are "
     "not known"),
    ("Model, libraries, initialisation (22–24)", "*Training*; the libraries' versions in "
     "`pyproject.toml` and `constraints.txt` of the commit"),
    ("Training, selection, ensembling (25–27)", "*Training*; one network, no ensemble"),
    ("Metrics, uncertainty, robustness, explainability (28–31)",
     "*Results*, *Robustness*, *Pointing*, *Saliency checks*"),
    ("External data (32)", "none: every source that was read here gave training films too, other "
     "ones; a source left out of training, where that was measured, stands in *Familiar and "
     "unfamiliar films*"),
    ("Flow of films, demographics (33–34)", "*Data*; demographics are not published with the data"),
    ("Performance on each partition (35)", "*Results* on one split; figures on train are not kept"),
    ("Precision, failure analysis (36–37)", "*Results*, *Limitations*"),
    ("Limitations, implications (38–39)", "*Caveats*"),
    ("Registration, protocol, funding (40–42)", "not registered; the protocol is the code; "
     "funding is not stated"),
)
CLAIM_2024_ITEMS = (
    ("Terms: reference standard, internal and external testing", "all films tested are internal: "
     "other films of the sources trained on; the sources left out in *Familiar and unfamiliar "
     "films* are the nearest to external testing"),
    ("Data: sources, dates, eligibility, de-identification, missing data", "*Data*; the dates are "
     "not known"),
    ("Reference standard: definition, rationale, annotators, variability", "*Data*; variability "
     "is not known"),
    ("Partitions and how they are disjoint", "*Leakage*: by picture, not by patient"),
    ("Model, software, initialisation, training, selection", "*Training*"),
    ("Metrics, uncertainty, robustness, explainability", "*Results*, *Net benefit*, *Robustness*, "
     "*Saliency checks*"),
    ("Failure analysis, subgroups, demographics", "*Limitations*, *Subgroups*, *By the size of the "
     "fracture*; demographics are not known"),
    ("Protocol, registration, code and data, funding", "not registered; code, weights and the "
     "commands are open; funding is not stated"),
)
STARD_AI_ITEMS = (
    ("Index test: version, input, thresholds and when they were chosen", "this page's head, *What "
     "it says*; chosen on validation films before test was read"),
    ("Data sets: where from, how collected, preprocessing, partitions, overlap", "*Data*, "
     "*Leakage*"),
    ("Reference standard; blinding; time between both", "*Data*: labels made from the same film; "
     "the model had no part in them"),
    ("Accuracy with intervals, cross table", "*Operating points*"),
    ("Indeterminate and missing results", "*Decided and undecided films*; unreadable files in "
     "*Results*"),
    ("Severity of the condition, other diagnoses", "*By the size of the fracture*; other diagnoses "
     "are not labelled"),
    ("Subgroups, bias, fairness", "*Subgroups* by region, view, hardware; age and sex are not "
     "known"),
    ("Intended use, setting, who uses it, human factors", "*Intended use*; no readers' study"),
    ("Sample size, limitations, generalisability", "*How many films these figures rest on*, "
     "*Limitations*, *Familiar and unfamiliar films*"),
    ("Registration, protocol, code, data, funding", "as for CLAIM"),
)
TRIPOD_ITEMS = (
    ("Title, abstract, background, objectives (1–4)", "this page's head; *Intended use*"),
    ("Data, participants, preparation, outcome, predictors (5–9)", "*Data*; the only predictor is "
     "the film; the dates of the films are not known"),
    ("Sample size, missing data (10–11)", "*Data*: all films that could be read; none was "
     "calculated"),
    ("Analytical methods, class imbalance (12–13)", "*Training*, *Calibration*"),
    ("Fairness (14)", "by region, view and source only: age and sex are not known"),
    ("Model output, training against evaluation (15–16)", "*What it says*, *Leakage*"),
    ("Ethics, open science, patient involvement (17–19)", "published data, no approval of our own; "
     "funding and conflicts of interest are not stated; code and weights are open; patients were "
     "not involved"),
    ("Participants, development, specification (20–22)", "*Data*, *Training*"),
    ("Performance, updating (23–24)", "*Results*; new weights get a new version and card"),
    ("Interpretation, limitations, usability (25–27)", "*Limitations*, *Caveats*"),
)

CITATION = """\
```bibtex
@software{fracture_detector,
  title  = {fracture-detector: an open fracture reader for X-ray films},
  author = {{The fracture-detector authors}},
  license = {Apache-2.0}
}
@article{abedeen2023fracatlas,
  title   = {FracAtlas: A Dataset for Fracture Classification, Localization and Segmentation of
             Musculoskeletal Radiographs},
  author  = {Abedeen, Iftekharul and Rahman, Md. Ashiqur and Prottyasha, Fatema Zohra and
             Ahmed, Tasnim and Chowdhury, Tareque Mohmud and Shatabda, Swakkhar},
  journal = {Scientific Data}, volume = {10}, pages = {521}, year = {2023},
  doi     = {10.1038/s41597-023-02432-4}
}
```"""
