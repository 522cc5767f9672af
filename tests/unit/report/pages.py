"""A verdict with everything in it, and a reader of the page that is made of it."""

import io
import json
import re
from html.parser import HTMLParser

from edgeconv.report import render
from edgeconv.types import ArtifactVerdict, Check, Interval, Verdict

VOID = {"meta", "br", "img", "rect", "line", "circle", "path", "link"}
#: Everything the page is made of; an element that isn't here came from outside.
ELEMENTS = """
    html head meta title style script link body header nav a section article footer p h1 h2 h3 h4 h5
    strong code ul ol li span small table thead tbody tr th td data figure figcaption img svg g line
    rect circle path text tspan div dl dt dd details summary pre
"""
KNOWN = set(ELEMENTS.split())

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "]]></style><script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "\x1b[31mred\x1b[0m\x07",
    "\u202egpj.exe",
    "&lt;b&gt; &amp;",
    "</pre></details><iframe src=//evil>",
    "javascript:alert(1)",
    "a\nb\r\nc\x00, \u2028d",
    "~1/../~0",
]


class Page(HTMLParser):
    """What a browser would see: elements, attributes, cells, figures, text.

    Attributes:
        cells: Column -> texts, of the table of artifacts.
        datas: Column -> exact numbers, of the same.
        figures: (pointer, exact value as written, text shown) of every number.
    """

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.attributes, self.texts = [], set(), [], []
        self.cells, self.datas, self.figures = {}, {}, []
        self.table, self.cell = None, None
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.tags.add(tag)
        self.attributes.append((tag, found))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.table = found.get("class")
        if tag == "td" and self.table == "cards":
            self.cell = found["data-label"]
        if tag == "data":
            self.figures.append([found.get("data-from", ""), found["value"], ""])
            if self.cell:
                self.datas.setdefault(self.cell, []).append(float(found["value"]))

    def handle_startendtag(self, tag, attributes):
        self.tags.add(tag)
        self.attributes.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-1:]}"
        self.open.pop()
        if tag == "td":
            self.cell = None

    def handle_data(self, data):
        if self.open[-1:] in (["style"], ["script"]):
            return
        self.texts.append(data)
        if self.open[-1:] == ["data"]:
            self.figures[-1][2] += data
        if self.cell:
            self.cells.setdefault(self.cell, []).append(data)

    @property
    def text(self):
        return " ".join(self.texts)


def page(*args, **rest):
    return Page(render(*args, **rest))


def artifact(file="model.tflite", **rest):
    values = {
        "file": file,
        "format": "tflite",
        "precision": "int8",
        "status": "inconclusive",
        "equivalent": False,
        "reason": "top-1 drop 0.8 points, undecided",
        "metrics": {
            "top1": 82.4,
            "top1_reference": 83.2,
            "top1_drop": Interval(0.8, (-2.39, 4.13), -1.83, 3.54),
            "top5": 97.2,
            "top5_reference": 97.6,
            "agreement": 92.4,
            "mean_kl": 0.0612,
            "sqnr_db": 13.44,
        },
        "gated": "top1_drop",
        "limit": 1.0,
    }
    return ArtifactVerdict(**{**values, **rest})


def verdict(*artifacts, status="inconclusive", gate="top-1 drop at most 1.0 points"):
    return Verdict(status, 250, gate, artifacts or (artifact(), artifact("model.onnx")))


def layer(name="block_1_expand", **rest):
    values = {
        "name": name,
        "op": "CONV_2D",
        "sqnr_db": 31.25,
        "local_sqnr_db": 40.5,
        "share": 12.5,
        "order": 0,
        "jump": False,
        "reason": "",
        "weights": {"low": -1.25, "high": 2.5, "outlier_channel": 7, "ratio": 41.0},
        "activation": {"low": 0.0, "high": 6.0, "representable": [0.0, 5.5], "clipped": 0.25},
    }
    return {**values, **rest}


HISTOGRAM = {"low": -1.0, "high": 3.0, "counts": [1, 40, 9, 2], "candidate_counts": [1, 41, 10, 0]}


def layers(count=6):
    """Worst first, which is not the order of the graph; the worst with histograms."""
    found = [
        layer(
            f"block_{i}_expand",
            order=(5 * i) % count,
            share=40.0 / (i + 1),
            sqnr_db=None if i == 4 else 12.0 + ((7 * i) % count),
            jump=i == 1,
            reason="channel 7 is 41 times as wide as the others" if i == 1 else "",
        )
        for i in range(count)
    ]
    found[0] |= {"histograms": {"weights": HISTOGRAM, "activation": HISTOGRAM}}
    return tuple(found)


def checks(status="inconclusive"):
    return (
        Check("top1_drop", 1.0, True, status, "top-1 drop 0.8 points, undecided", 510),
        Check("mean_kl", 0.05, True, "fail", "mean KL 0.0612 nats against at most 0.05: lost"),
        Check("agreement", 90.0, False, "pass", "agreement 92.4%: kept"),
    )


def full_verdict():
    """Blame, suspicions and checks for two artifacts."""
    rest = {"layers": layers(), "checks": checks(), "suspicions": (SUSPICION,), "status": "fail"}
    return verdict(artifact(**rest), artifact("model.onnx", **rest), status="fail")


SUSPICION = "Looks like BGR input: agreement 31% → 94% when swapped."

MANIFEST = {
    "name": "mobilenetv2",
    "precision": "int8",
    "task": "classification",
    "artifacts": [
        {
            "file": "model.tflite",
            "precision": "int8",
            "bytes": 4_012_345,
            "sha256": "ab" * 32,
            "operators": {"CONV_2D": 35, "SOFTMAX": 1},
            "float_operators": {"SOFTMAX": 1},
        },
        {"file": "model.onnx", "precision": "int8", "bytes": 812_345, "operators": {"Conv": 2}},
    ],
    "preprocess": {"kind": "image", "scale": [0.5], "resize": "crop"},
    "provenance": {"source": "mobilenetv2.keras", "calibration": {"count": 250}},
    "versions": {"edgeconv": "0.1.0"},
}
BENCH = {
    "date": "2026-11-27",
    "threads": 1,
    "artifacts": [
        # Not in the order of the verdict: rows are found by their file.
        {"file": "model.onnx", "latency_ms_median": 6.49, "latency_ms_p95": 7.1},
        {"file": "model.tflite", "latency_ms_median": 7.512, "float_latency_ms_median": 16.1},
    ],
}


def rung(name, what="", kept=False):
    scores = {"holds": False, "bytes": 7_740_000, "reason": "lost", "exceeds": []}
    metrics = {"agreement": 75.0, "mean_kl": 0.0616, "sqnr_db": 16.2}
    metrics["top1_drop"] = {"estimate": 2.0, "ci95": [-1.0, 5.5]}
    artifacts = [{"format": f, "metrics": metrics, **scores} for f in ("tflite", "onnx")]
    return {"name": name, "what": what, "kept": kept, "failed": "", "artifacts": artifacts}


def lifted(name, together=1):
    formats = ["tflite", "onnx"]
    return {"name": name, "formats": formats, "alone_db": 15.25, "together": together}


#: A search that ended with many layers in float.
RECOVERY = {
    "effort": "balanced",
    "ended": "tried",
    "calibrated_on": 118,
    "held_back": 32,
    "rungs": [
        rung("plain int8", "nothing changed", kept=True),
        rung("layers kept in float", ", ".join(["separable_conv_1_reduction"] * 9), kept=True),
    ],
    "layers": [
        {**lifted("predictions"), "formats": []},
        lifted("stem_conv1"),
        lifted("stem_conv2"),
        *(lifted(f"separable_conv_1_normal_left1_{i}", 9) for i in range(9)),
    ],
}
BENCH["search"] = [
    {"name": rung["name"], "seconds": 4.2, "latency_ms": {"tflite": 3.25, "onnx": 4.5}}
    for rung in RECOVERY["rungs"]
]
RECIPE = '# a comment\nprecision = "int8"\n'


def resolved(pointer, documents):
    """What stands at ``FILE#/a/b``. Source: RFC 6901."""
    file, _, path = pointer.partition("#/")
    found = documents[file]
    for step in path.split("/"):
        key = step.replace("~1", "/").replace("~0", "~")
        found = found[int(key)] if isinstance(found, list) else found[key]
    return found


def assert_equals_its_source(figures, documents):
    """Every figure has a source, equals it, and shows it but for rounding."""
    for pointer, value, shown in figures:
        assert pointer, f"{shown} has no source"
        source = resolved(pointer, documents)
        assert json.loads(value) == source, (pointer, value, source)
        assert_shows(shown, source)


def assert_shows(shown, source):
    digits = re.match(r"[+−]?([\d,]*)(?:\.(\d+))?", shown)
    read = float(digits.group(0).replace("−", "-").replace(",", "").replace("+", ""))
    factor = {"kB": 1e3, "MB": 1e6}.get(shown.split(" ")[-1], 1.0)
    half = 0.5 * 10.0 ** -len(digits.group(2) or "")
    assert abs(read * factor - source) <= half * factor * 1.0001, (shown, source)


def hostile(text):
    """Arguments of ``render`` with ``text`` wherever a name may stand."""
    manifest = {
        "name": text,
        "precision": text,
        "task": text,
        "artifacts": [
            {"file": text, "precision": "int8", "sha256": text, "bytes": 3}
            | {"operators": {text: 1}, "float_operators": {text: 1}}
        ],
        "preprocess": {text: text},
        "provenance": {text: {text: [text]}},
        "versions": {text: text},
    }
    times = {"latency_ms_median": 1.0, "latency_ms_p95": 2.0, "threads": 1}
    bench = {"date": text, text: text, "artifacts": [{"file": text, "engine": text} | times]}
    row = {"file": text, "item": text, "reference": text, "candidate": text, "expected": text}
    worst = layer(text, op=text, reason=text, histograms={"weights": HISTOGRAM, text: HISTOGRAM})
    judged = artifact(
        text,
        reason=text,
        precision=text,
        metrics={text: 1.0, "top1_drop": Interval(0.8, (-2.39, 4.13), -1.83, 3.54)},
        layers=(worst, layer(text, order=1, jump=True)),
        suspicions=(text,),
        checks=(Check(text, 1.0, True, "fail", text),),
    )
    twice = [row, row | {"reference": text + "!"}, row]
    return verdict(judged, gate=text), manifest, bench, text, twice, {text: JPEG}


def _jpeg():
    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", (8, 8), (200, 30, 30)).save(file, "JPEG")
    return file.getvalue()


JPEG = _jpeg()
