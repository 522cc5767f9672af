"""A zoo name or a file becomes a SourceModel: the parent's side of loading."""

from __future__ import annotations

import hashlib
import re
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgeconv import knowledge
from edgeconv.errors import InternalError, RefusedInput, UsageError
from edgeconv.knowledge import Knowledge
from edgeconv.load import zoo
from edgeconv.load.guard import check_source
from edgeconv.load.imagenet import imagenet_labels
from edgeconv.load.labels import read_labels
from edgeconv.load.once import opened_once
from edgeconv.load.variant import Variant, published, variant
from edgeconv.load.weights import find_weights
from edgeconv.preprocess import Preprocess
from edgeconv.progress import Progress
from edgeconv.types import SourceModel, Task, TensorSpec
from edgeconv.workshop import Workshop

__all__ = ["LoadRequest", "check", "is_path", "load", "settle_task"]


@dataclass(frozen=True)
class LoadRequest:
    """What to load, as the command line has it.

    Attributes:
        model: Zoo name or path.
        weights: For zoo names: ``imagenet``, ``none`` (seeded random) or a file.
        preprocess: Zoo name, plain preset, or TOML file; None to take the zoo's own, or what
            the file knows of itself.
        labels: File of class names, or None likewise.
        input_size: Rows and columns (or the length of a series) for a free input, or
            those of a zoo model; None for its own.
        classes: Of a zoo model; None for ImageNet's.
        alpha: Width of a MobileNet of the zoo; None for 1.
        top: A zoo model or a fine-tuned one has its classifier; else it makes embeddings.
        task: What the outputs mean; None to tell from the model.
        keep_softmax: The head's activation stays in the model.
        trust: The user vouches for code in the file.
        custom: Module to import before loading; needs ``trust``.
        seed: Of random weights.
    """

    model: str
    weights: str | None = None
    preprocess: str | None = None
    labels: Path | None = None
    input_size: int | None = None
    classes: int | None = None
    alpha: float | None = None
    top: bool = True
    task: Task | None = None
    keep_softmax: bool = False
    trust: bool = False
    custom: str | None = None
    seed: int = 0

    @property
    def name(self) -> str:
        """What the bundle is called; safe as a folder name."""
        return _safe_name(Path(self.model)) if is_path(self.model) else _variant(self).name


def check(request: LoadRequest) -> None:
    """Find what is wrong with a request before TensorFlow is started.

    Raises:
        EdgeconvError: The same that ``load`` would raise for it.
    """
    if request.custom and not request.trust:
        raise UsageError(
            f"--custom {request.custom} runs that module's code.",
            "Add --trust if you wrote it.",
        )
    if is_path(request.model):
        check_source(Path(request.model), trust=request.trust)
        _refuse_zoo_options(request, knowledge.read(Path(request.model)))
    else:
        _variant(request)
    if request.labels is not None:
        read_labels(request.labels)
    named = request.preprocess not in (None, "array")
    if named and Path(str(request.preprocess)).suffix != ".toml":
        zoo.preset(str(request.preprocess), 1, 1)


def load(request: LoadRequest, workshop: Workshop, folder: Path, progress: Progress) -> SourceModel:
    """Open the model in the workshop and describe it.

    Args:
        request: What to load.
        workshop: The TensorFlow process; keeps the live model for ``predict``.
        folder: Scratch folder; receives the frozen graph.
        progress: Told about downloads and guesses.

    Returns:
        The float reference.

    Raises:
        UsageError: No such model, or its preprocessing is unknown.
        RefusedInput: The file is unsafe or corrupt.
        HostFailure: Weights are neither on disk nor to be had.
    """
    check(request)
    frozen = folder / "source.pb"
    opener = _Opener(request, workshop, frozen, progress)
    info, model, provenance = opener.open_file() if is_path(request.model) else opener.open_zoo()
    inputs, outputs = _specs(info["inputs"]), _specs(info["outputs"])
    known = knowledge.read(Path(request.model))
    preprocess = _preprocess(request, model, inputs[0], known)
    labels = _labels(request, preprocess, outputs[0], known, progress)
    return SourceModel(
        name=request.name,
        graph=frozen,
        inputs=inputs,
        outputs=outputs,
        activation=info["activation"],
        task=request.task or (_task(info["activation"], labels) if request.top else "embedding"),
        preprocess=preprocess,
        labels=labels,
        layers=tuple(info["layers"]),
        provenance={**provenance, "parameters": info["parameters"], **_training(known)},
        operators=tuple((layer, operator) for layer, operator in info["operators"]),
        weight_count=info["weight_count"],
        activation_count=info["activation_count"],
        graph_sha256=info["graph_sha256"],
    )


def _refuse_zoo_options(request: LoadRequest, known: Knowledge | None) -> None:
    given = {
        "--weights": request.weights is not None,
        "--classes": request.classes is not None,
        "--alpha": request.alpha is not None,
        # Of a fine-tuned one it is known that its last layer is the classifier.
        "--no-top": not request.top and known is None,
    }
    for option in (option for option, is_given in given.items() if is_given):
        raise UsageError(
            f"{option} goes with a zoo name; a model file is as it is.",
            f"Leave {option} out, or give the zoo name as MODEL.",
        )


def _variant(request: LoadRequest) -> Variant:
    if not request.top and request.task not in (None, "embedding", "raw"):
        raise UsageError(
            f"--no-top leaves an embedding, --task says {request.task}.",
            "Leave one of them out.",
        )
    return variant(
        request.model,
        weights=request.weights,
        size=request.input_size,
        classes=request.classes,
        alpha=request.alpha,
        top=request.top,
        labels=request.labels is not None,
    )


def settle_task(source: SourceModel, *, labelled: bool) -> SourceModel:
    """Scores without softmax are a classifier's where the data have class labels.

    An autoencoder's output looks like its input, and is none.
    """
    shape = source.outputs[0].shape
    scores = len(shape) == 2 and shape[1:] != source.inputs[0].shape[1:]
    if source.task == "raw" and labelled and scores:
        return replace(source, task="classification")
    return source


class _Opener:
    """The two ways to open a model; each returns (info, zoo entry or None, provenance)."""

    def __init__(
        self, request: LoadRequest, workshop: Workshop, frozen: Path, progress: Progress
    ) -> None:
        self._request, self._workshop = request, workshop
        self._frozen, self._progress = frozen, progress

    def open_file(self) -> tuple[dict[str, Any], zoo.ZooModel | None, dict[str, Any]]:
        request, path = self._request, Path(self._request.model).resolve()
        arguments: dict[str, Any] = {"path": str(path), "out": str(self._frozen)}
        arguments |= {"keep_head": request.keep_softmax, "input_size": request.input_size}
        kind = check_source(path, trust=request.trust)
        if kind == "saved_model":
            function = "edgeconv.load.child:open_saved_model"
        else:
            function = "edgeconv.load.child:open_file"
            arguments |= {"trust": request.trust, "custom": request.custom, "top": request.top}
        origin = {"file": path.name, "sha256": _sha256(path)}
        info = self._call(function, path.name, origin, **arguments)
        return info, None, origin

    def open_zoo(self) -> tuple[dict[str, Any], zoo.ZooModel | None, dict[str, Any]]:
        request, wanted = self._request, _variant(self._request)
        weights = self._weights(wanted)
        origin = wanted.provenance
        if weights is None:
            origin |= {"weights": "random", "seed": request.seed}
        else:
            origin |= {"weights": weights.name, "sha256": _sha256(weights)}
        info = self._call(
            "edgeconv.load.child:open_zoo",
            weights.name if weights else wanted.name,
            origin,
            constructor=wanted.model.constructor,
            size=wanted.size,
            classes=wanted.classes,
            alpha=wanted.alpha,
            top=wanted.top,
            weights=str(weights) if weights else None,
            seed=request.seed,
            out=str(self._frozen),
            keep_head=request.keep_softmax,
        )
        if weights is None:
            self._progress.note("weights are random (--weights none): answers mean nothing")
        return info, wanted.model, origin

    def _weights(self, wanted: Variant) -> Path | None:
        given = self._request.weights or "imagenet"
        if given == "none":
            return None
        if given == "imagenet":
            return find_weights(published(wanted), progress=self._progress)
        path = Path(given)
        if not path.is_file():
            raise UsageError(
                f"There is no weights file {given!r}.", "Give a file, 'imagenet' or 'none'."
            )
        return path.resolve()

    def _call(
        self, function: str, name: str, origin: dict[str, Any], **arguments: Any
    ) -> dict[str, Any]:
        try:
            return opened_once(self._workshop, function, origin, self._progress, **arguments)
        except InternalError as error:
            if not self._workshop.alive:
                raise RefusedInput(
                    f"{name} crashed the loader; it is most likely corrupt.",
                    "Copy it again or save the model again.",
                ) from error
            raise


def is_path(model: str) -> bool:
    """A zoo name has neither a separator nor a suffix; an existing path wins."""
    path = Path(model)
    return path.exists() or path.suffix in (".keras", ".h5", ".hdf5", ".pb") or "/" in model


def _specs(items: list[dict[str, Any]]) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(i["name"], tuple(i["shape"]), i["dtype"]) for i in items)


def _safe_name(path: Path) -> str:
    stem = path.name if path.is_dir() else path.stem
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip(".-") or "model"


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    for file in files:
        if path.is_dir():
            digest.update(file.relative_to(path).as_posix().encode())
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _training(known: Knowledge | None) -> dict[str, Any]:
    """What a bundle is to say of the training; where its pictures lay is nobody's business."""
    if known is None:
        return {}
    counts = {name: len(split.entries) for name, split in known.splits.items()}
    return {"training": {**known.provenance, "pictures": counts}}


def _preprocess(
    request: LoadRequest, model: zoo.ZooModel | None, spec: TensorSpec, known: Knowledge | None
) -> Preprocess:
    shape = spec.shape[1:]
    channels_first = len(shape) == 3 and shape[0] in (1, 3) and shape[2] not in (1, 3)
    if channels_first:
        shape = (shape[1], shape[2], shape[0])
    picture = len(shape) == 3 and shape[2] in (1, 3)
    height, width = (shape[0] or 0, shape[1] or 0) if picture else (0, 0)
    wanted = request.preprocess
    if wanted is None and known is not None:
        return _fitting(known.preprocess, spec, f"What {Path(request.model).name} knows of itself")
    if wanted == "array" or (wanted is None and model is None and not picture):
        return Preprocess(kind="array")
    if wanted is None and model is None:
        raise UsageError(
            f"{Path(request.model).name} doesn't say how its pictures are preprocessed.",
            "Say it with --preprocess: the zoo model it was fine-tuned from (mobilenetv2), "
            "tf (-1..1), unit (0..1), none (0..255), torch, caffe, a FILE.toml, or array "
            "for inputs that are no pictures.",
        )
    if wanted is not None and Path(wanted).suffix == ".toml":
        return _read_preprocess(Path(wanted), spec)
    if not picture:
        found = zoo.preset(str(wanted), 1, 1)
        return Preprocess(kind="array", scale=found.scale[:1], offset=found.offset[:1])
    if wanted is None and model is not None:
        found = zoo.preprocess_for(model, height, width)
    else:
        found = zoo.preset(str(wanted), height, width)
    if shape[2] == 1:
        found = replace(found, color="gray", scale=found.scale[:1], offset=found.offset[:1])
    return replace(found, layout="nchw" if channels_first else "nhwc")


def _read_preprocess(path: Path, spec: TensorSpec) -> Preprocess:
    try:
        found = Preprocess.from_json(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise UsageError(
            f"There is no preprocessing file {str(path)!r}.", "Give a TOML file or a preset."
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path.name} is no TOML: {error}.", "See docs/preprocess.md.") from None
    return _fitting(found, spec, path.name)


def _fitting(found: Preprocess, spec: TensorSpec, what: str) -> Preprocess:
    if found.kind == "image" and found.shape[1:] != spec.shape[1:]:
        raise UsageError(
            f"{what} makes inputs of the shape {list(found.shape[1:])},"
            f" the model takes {list(spec.shape[1:])}.",
            "Set its height, width, color and layout to the model's.",
        )
    return found


def _labels(
    request: LoadRequest,
    preprocess: Preprocess,
    spec: TensorSpec,
    known: Knowledge | None,
    progress: Progress,
) -> tuple[str, ...]:
    classes = spec.shape[-1] if len(spec.shape) == 2 else None
    labels = known.labels if known is not None and request.top else ()
    if request.labels is not None:
        labels = read_labels(request.labels)
    if labels:
        name = Path(request.labels or request.model).name
        if classes == 1 and len(labels) == 2:
            return labels
        if classes is not None and len(labels) != classes:
            raise UsageError(
                f"{name} has {len(labels)} labels, the model {classes} classes.",
                "Give one label a line, in the order of the model's outputs.",
            )
        return labels
    if classes == zoo.CLASSES and preprocess.kind == "image" and request.top:
        if is_path(request.model):
            progress.note("1,000 classes: taken to be ImageNet's; --labels FILE says otherwise")
        return imagenet_labels()
    return ()


def _task(activation: str, labels: tuple[str, ...]) -> Task:
    return "classification" if activation != "linear" or labels else "raw"
