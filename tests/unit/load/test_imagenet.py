import csv
import re

from edgeconv.load.imagenet import imagenet_labels, imagenet_wnids


def test_there_are_a_thousand_labels_in_keras_order():
    labels = imagenet_labels()
    assert len(labels) == 1000
    assert (labels[0], labels[2], labels[999]) == ("tench", "great white shark", "toilet tissue")


def test_labels_are_readable():
    for label in imagenet_labels():
        assert label == label.strip() and label.isprintable() and "_" not in label, label


def test_wordnet_ids_are_sorted_and_tell_apart_what_labels_do_not():
    wnids, labels = imagenet_wnids(), imagenet_labels()
    assert list(wnids) == sorted(set(wnids)) and len(wnids) == 1000
    assert all(re.fullmatch(r"n\d{8}", wnid) for wnid in wnids)
    assert labels[134] == labels[517] == "crane"
    assert {label for label in labels if labels.count(label) > 1} == {"crane", "maillot"}


def test_labels_are_those_of_the_sample_pictures(shared_data):
    wnids, labels = imagenet_wnids(), imagenet_labels()
    with (shared_data / "imagenet-sample" / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 500
    for row in rows:
        index = int(row["class_index"])
        assert (wnids[index], labels[index]) == (row["wnid"], row["label"])
