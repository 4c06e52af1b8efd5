"""The page as a browser and a reader meet it."""

import base64
import hashlib
import io
import json
import re

import numpy as np
import pytest
from huggingface_hub import ModelCard
from PIL import Image

from components.evaluator import measured, predictions
from components.evaluator.config import EvaluatorConfig, ExternalData
from core.measures.auc import auc
from pipeline.outcome import Outcome
from pipeline.report import page
from tests.support import fake_run
from tests.support.html_document import Document


def files(written):
    return sorted(written.report.parent.glob("*.html"))


def test_every_page_is_self_contained(any_ending):
    for path in files(any_ending):
        html = path.read_text(encoding="utf-8")
        document = Document(html)
        assert not document.open
        assert not document.tags & {"script", "link", "iframe", "object", "form", "base"}
        assert not [name for name in document.attributes if name.startswith("on") or name == "style"]
        assert all(source.startswith("data:image/") for source in document.sources)
        assert "http://" not in html
        assert "https://" not in html
        assert "@import" not in html


def test_every_link_leads_somewhere(any_ending):
    for path in files(any_ending):
        document = Document(path.read_text(encoding="utf-8"))
        assert len(set(document.ids)) == len(document.ids)
        for link in document.links:
            if link.startswith("#"):
                assert link[1:] in document.ids
            else:
                assert (path.parent / link).is_file()


def test_the_policy_allows_the_page_s_own_style_and_nothing_else(any_ending):
    html = any_ending.html
    style = html.split("<style>")[1].split("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"default-src &#39;none&#39;; style-src &#39;sha256-{digest}&#39;; img-src data:" in html


def test_names_from_the_data_are_text(pushed):
    assert "<script>" not in pushed.html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in pushed.html
    assert "INVALID_ARGUMENT: &lt;b&gt;no image&lt;/b&gt;" in pushed.html


def test_a_good_run_shows_every_section(pushed):
    document = Document(pushed.html)
    expected = {
        "gates", "performance", "calibration", "thresholds", "slices", "errors", "robustness", "device", "training",
        "data", "lineage", "limits", "configuration",
    }  # fmt: skip
    assert expected <= set(document.ids)
    assert "Passed every gate and released" in document.text
    # True after a rollback too: the page says what the run did, not what is served when it is read.
    assert f"Version {fake_run.VERSION} was released when this run ended" in document.text
    assert "server answers with now" not in document.text
    assert "not a medical device" in document.text
    assert fake_run.DATA_VERSION in document.text


def test_robustness_and_the_device_are_tables(pushed):
    text = Document(pushed.html).text.replace("\u00a0", " ")
    assert "200 images of the eval split, 74 melanomas, asked again after each change" in text
    assert "hair 12 dark hairs 0.870 0.040 60.0 % 70.0 % 8.0 %" in text
    said = (
        "With hair (12 dark hairs) it finds 60.0 % of the melanomas of eval at the same operating point, "
        "instead of 90.0 %."
    )
    assert said in text
    card = Document((pushed.report.parent / "model_card.html").read_text()).text.replace("\u00a0", " ")
    assert said in card
    assert "int8 3.5 MB 21.4 ms 0.0012 99.1 % kept" in text


def test_of_the_kinds_for_the_device_the_first_with_parity_is_the_one_in_the_model(tmp_path):
    result, workspace = fake_run.write(tmp_path, images=60)
    file = result.uri("Trainer", "model_run") / "history.json"
    history = json.loads(file.read_text())
    (device,) = history["metrics"]["litert"]
    complaint = "AUC lost 0.0200, at most 0.0050 allowed"
    history["metrics"]["litert"] = [
        {**device, "complaints": [complaint]},
        {**device, "kind": "float16"},
        {**device, "kind": "float32"},
    ]
    file.write_text(json.dumps(history))
    document = Document(page.write(result, workspace).read_text(encoding="utf-8"))
    text = document.text.replace("\u00a0", " ")
    figures = "3.5 MB 21.4 ms 0.0012 99.1 %"
    assert f"int8 {figures} {complaint} float16 {figures} kept, in the model" in text
    assert f"float32 {figures} equal, not needed" in text


def test_lineage_names_the_parent_the_hashes_and_the_device_s_file(pushed):
    text = Document(pushed.html).text.replace("\u00a0", " ")
    assert "Compared with version 1795200000" in text
    assert "assets.extra/model_int8.tflite 3.5 MB " + "d1" * 32 in text
    assert "c0" * 32 in text


def test_the_headline_numbers_are_those_of_the_answers(pushed):
    answers = predictions.load(pushed.result.uri("Evaluator", "evaluation"))
    labels, scores = predictions.arrays(answers)
    text = Document(pushed.html).text.replace("\u00a0", " ")
    decisions = scores >= fake_run.THRESHOLD
    found, missed = int((decisions & (labels == 1)).sum()), int((~decisions & (labels == 1)).sum())
    needless = int((decisions & (labels == 0)).sum())
    assert f"the model refers {found} and misses {missed}" in text
    assert f"other lesions it refers {needless}:" in text
    carcinomas = sum(a.diagnosis == "bcc" and a.probability >= a.threshold for a in answers)
    assert f"{carcinomas} of these {needless} are carcinomas or their precursors" in text
    assert f"{decisions[labels == 1].mean() * 100:.1f} %" in text
    assert f"test, AUC: {auc(labels, scores):.3f}" in text


def test_a_thousand_lesions_add_up(pushed):
    legend = re.findall(
        r"<b>(\d+)</b> (melanomas found|melanomas missed|false alarms|others, cleared)", pushed.html
    )
    assert len(legend) == 4
    assert sum(int(number) for number, _ in legend) == 1000


def test_worst_errors_come_with_their_pictures_the_worst_first(pushed):
    names = re.findall(r'<img src="data:image/jpeg;base64,[^"]+" alt="(LESION_\d+)">', pushed.html)
    answers = predictions.load(pushed.result.uri("Evaluator", "evaluation"))
    missed = sorted(
        (a.probability, a.image_name) for a in answers if a.target and a.probability < a.threshold
    )
    alarms = sorted(
        (-a.probability, a.image_name) for a in answers if not a.target and a.probability >= a.threshold
    )
    assert names == [name for _, name in missed[:12]] + [name for _, name in alarms[:12]]


def test_a_refused_model_says_which_number_and_is_not_to_be_used(refused_model):
    text = Document(refused_model.html).text
    assert "Refused by the model gate" in text
    assert "AUC is 0.8931, must be ≥ 0.95" in text
    assert "it is not to be used" in text
    assert "is what the server answers with now" not in text


def test_refused_data_shows_the_data_and_no_model(refused_data):
    document = Document(refused_data.html)
    assert "Refused by the data gate" in document.text
    assert "melanomas on test split is 2, must be ≥ 20" in document.text
    assert "No model was trained" in document.text
    assert not {"slices", "errors", "training", "limits"} & set(document.ids)
    assert not (refused_data.report.parent / "model_card.json").exists()


def test_a_failed_run_says_where_and_why(failed):
    text = Document(failed.html).text
    assert "The run failed at: training" in text
    assert "ValueError: <the loss is nan>" in text
    assert "run.log" in text


def test_the_cards_hold_measured_figures(pushed):
    card = json.loads((pushed.report.parent / "model_card.json").read_text())
    answers = predictions.load(pushed.result.uri("Evaluator", "evaluation"))
    labels, scores = predictions.arrays(answers)
    assert card["metrics"]["auc"]["value"] == pytest.approx(auc(labels, scores))
    assert card["test_melanomas"] == labels.sum()
    assert card["gates"] == {"data": True, "model": True, "serving": True}
    assert sum(row["images"] for row in card["slices"] if row["feature"] == "sex") == len(answers)
    for interval in card["metrics"].values():
        assert interval["low"] <= interval["value"] <= interval["high"]
    data = json.loads((pushed.report.parent / "data_card.json").read_text())
    for values in data["groups"].values():
        assert sum(labels["others"] + labels["melanomas"] for labels in values.values()) == 3 * 240
    assert data["quarantined"] == {"duplicate": 2, "truncated": 1}
    assert any("Every test image comes from made-up" in sentence for sentence in card["not_known"])


def test_a_model_hub_reads_the_card(pushed):
    folder = pushed.report.parent
    card = json.loads((folder / "model_card.json").read_text())
    hub = ModelCard((folder / "model_card.md").read_text())
    # The hub's own reader: it refuses a head that is not valid.
    assert hub.data.model_name == f"{card['model_name']} {card['model_version']}"
    figures = {one.metric_type: one for one in hub.data.eval_results if one.dataset_name == "own test split"}
    assert figures["roc_auc"].metric_value == pytest.approx(card["metrics"]["auc"]["value"], abs=1e-4)
    assert figures["roc_auc"].dataset_revision == card["data_version"]
    assert len(figures) == len(card["metrics"])
    assert hub.data.license == "other"
    assert set(hub.data.tags) >= {"melanoma", "dermoscopy"}
    assert card["warning"] in hub.text
    assert all(sentence in hub.text for sentence in card["not_known"])


def test_what_the_data_call_their_labels_and_in_which_parts_they_came_is_shown(pushed):
    folder = pushed.report.parent
    data = json.loads((folder / "data_card.json").read_text())
    assert data["labels"][1] == {"name": "MELANOMA", "became": "1", "rows": 65}
    assert data["labels"][-1] == {"name": "<b>not sure</b>", "became": "unknown_label", "rows": 1}
    assert [span["positives"] for span in data["spans"]] == [{"train": 9, "test": 2}, {"train": 4}]
    card = Document((folder / "data_card.html").read_text()).text
    report = Document(pushed.html).text
    for text in (card, report):
        assert "MELANOMA melanoma 65 rare 0 other lesion 1" in text
        assert "1 2026-10-01 08:00 UTC 11 109 2 2026-11-21 11:00 UTC 4 26" in text
    assert "<b>not sure</b> left out: unknown label 1" in card
    assert "rare 13" in card
    assert "rare 13" not in report
    assert "5 other names data card 5" in report


def test_a_thousand_test_images_stay_under_the_size(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (8, 224, 224, 3), dtype=np.uint8)
    # Noise is the worst picture for JPEG: no lesion is as large.
    pictures = []
    for pixels in noise:
        out = io.BytesIO()
        Image.fromarray(pixels).save(out, "JPEG")
        pictures.append(out.getvalue())
    result, workspace = fake_run.write(
        tmp_path, images=1000, others=60, picture=lambda index: pictures[index % 8]
    )
    assert page.write(result, workspace).stat().st_size <= 1_500_000


def test_a_run_whose_artifacts_are_gone_or_broken_still_has_a_report(tmp_path):
    result, workspace = fake_run.write(tmp_path, images=60)
    (result.uri("Trainer", "model_run") / "history.json").write_text("{")
    (result.uri("Evaluator", "evaluation") / "predictions.csv").unlink()
    (result.uri("ClassBalance", "balance") / "balance.json").write_bytes(b"\xff no text")
    text = Document(page.write(result, workspace).read_text(encoding="utf-8")).text
    assert "history.json: JSONDecodeError" in text
    assert "balance.json: UnicodeDecodeError" in text
    assert "The run evaluated no model" in text


def test_pictures_from_elsewhere_stand_beside_our_own(tmp_path):
    result, workspace = fake_run.write(tmp_path, images=240)
    folder = result.uri("Evaluator", "evaluation")
    here = predictions.load(folder)
    there = [item._replace(probability=item.probability / 2) for item in here[:160]]
    data = ExternalData(name="isic2017", path="x", data_version="cd" * 32, copies=("a", "b"))
    config = EvaluatorConfig(slices=("sex",), bootstrap_samples=100)
    measured.save_external([measured.external(data, there, here, config)], folder)
    path = page.write(result, workspace)
    document = Document(path.read_text(encoding="utf-8"))
    assert "elsewhere" in document.ids
    assert "images left out as copies of ours" in document.text.replace("\xa0", " ")
    card = json.loads((path.parent / "model_card.json").read_text())
    assert card["external"][0]["name"] == "isic2017"
    assert f"{card['external'][0]['auc']['value']:.3f}" in document.text
    assert any("external data, with the drop" in item for item in card["reporting"]["filled"])


def test_no_path_of_this_machine_is_in_a_file_that_is_mailed(tmp_path):
    result, workspace = fake_run.write(tmp_path, images=60)
    config = workspace.run(result.run_id) / "config.json"
    settings = json.loads(config.read_text())
    settings["trainer"]["weights"] = str(tmp_path / "first" / "weights.npz")
    config.write_text(json.dumps(settings))
    (result.uri("Trainer", "model_run") / "history.json").write_text("{")
    broken = result.model_copy(update={"reason": f"OSError: {tmp_path}/data/x.gz: no space left"})
    path = page.write(broken, workspace)
    for file in path.parent.glob("*"):
        if file.name == "report.html" or "_card." in file.name:
            assert str(tmp_path) not in file.read_text(encoding="utf-8"), file.name
    assert "…/weights.npz" in path.read_text(encoding="utf-8")


def test_the_model_card_has_readable_names_and_rounded_numbers(tmp_path):
    result, workspace = fake_run.write(tmp_path, images=240)
    text = Document(
        (page.write(result, workspace).parent / "model_card.html").read_text(encoding="utf-8")
    ).text
    assert "zone refer: from 0.149" in text
    assert "calibration: temperature 1.41" in text
    assert "operating_point" not in text
    assert "low_below" not in text
    assert not re.search(r"\d\.\d{6,}", text)
    assert "A person must write" in text


def test_another_data_version_in_the_folder_is_not_shown_as_the_run_s(tmp_path):
    result, workspace = fake_run.write(tmp_path, images=60)
    manifest = tmp_path / "data" / "manifest.json"
    manifest.write_text(manifest.read_text().replace(fake_run.DATA_VERSION, "ab" * 32))
    document = Document(page.write(result, workspace).read_text(encoding="utf-8"))
    assert "holds data version abababababab now, the run read 5f5f5f5f5f5f" in document.text
    assert "what was left out is not known" in document.text
    assert json.loads((workspace.run(result.run_id) / "data_card.json").read_text())["ingest"] is None


def test_a_test_split_of_one_class_has_no_figures_and_says_so(tmp_path):
    result, workspace = fake_run.write(tmp_path, images=60)
    folder = result.uri("Evaluator", "evaluation")
    predictions.save([a._replace(target=0) for a in predictions.load(folder)], folder)
    text = Document(page.write(result, workspace).read_text(encoding="utf-8")).text
    assert "its test split holds one class only" in text


def test_the_outcome_is_read_back(pushed):
    assert Outcome.load(pushed.workspace.run(pushed.result.run_id)) == pushed.result
