"""A fine-tuning from the order to the file: pictures, base, training, what is known, report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from edgeconv import __version__, knowledge
from edgeconv.errors import HostFailure, RefusedInput
from edgeconv.finetune import TEST, TRAIN, VALIDATION, Settings, best, class_weights, train
from edgeconv.finetune.checkpoint import Checkpoint, Store
from edgeconv.finetune.lock import locked
from edgeconv.finetune.settings import VIEWS
from edgeconv.history import Epoch, TestResult
from edgeconv.knowledge import Knowledge
from edgeconv.pictures import printable
from edgeconv.preprocess import Preprocess
from edgeconv.progress import Progress, Silent
from edgeconv.report.training import require_drawing, write_training
from edgeconv.tuning.base import Base, check_base, find_base, preprocess_of
from edgeconv.tuning.identity import PRECISION, refuse_other
from edgeconv.tuning.order import Finetuned, FinetuneRequest, training_folder
from edgeconv.tuning.pictures import Gathered, gather
from edgeconv.tuning.pixels import store_pixels
from edgeconv.tuning.place import check_begun, check_place
from edgeconv.types import Interval
from edgeconv.verify.paired import wilson
from edgeconv.workshop import Workshop

__all__ = ["finetune"]

_CHILD = "edgeconv.finetune.child:"
#: For a guess at the room on the disk: the last epoch, the best, the one that is written;
#: in each the weights and Adam's two moments; features of a picture, mostly 1280 or 2048.
_STATES, _PER_STATE, _FEATURES = 3, 3, 2048


def finetune(
    request: FinetuneRequest,
    progress: Progress | None = None,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
) -> Finetuned:
    """Train a classifier of a folder's classes on a base of the zoo.

    Args:
        request: What, with what, and how.
        progress: Told what is being done.
        on_epoch: Told when an epoch is done.

    Returns:
        Where the model lies and how well it does. Training that was interrupted goes on
        with ``resume``.

    Raises:
        EdgeconvError: What is wrong with the order or the pictures; the output is then as
            it was.
    """
    watch = progress or Silent()
    request = replace(
        request, settings=replace(request.settings, scratch=request.weights == "none")
    )
    store = Store(training_folder(request.output))
    preprocess = preprocess_of(check_base(request))
    check_place(request, store)
    require_drawing()
    with locked(store.folder):
        check_begun(request, store)
        gathered = gather(request.data, request.test, preprocess, request.settings.seed, watch)
        _refuse_names(request, gathered, preprocess)
        base = find_base(request, watch)
        _tell_scratch(request.settings, watch)
        return _Job(request, base, gathered, store, watch).run(on_epoch)


def _tell_scratch(settings: Settings, watch: Progress) -> None:
    if settings.scratch:
        watch.note("weights are random (--weights none): the network starts from nothing")
        if settings.unfreeze is not None:
            watch.note("all of it is trained from the first epoch on, whatever --unfreeze says")


def _refuse_names(request: FinetuneRequest, gathered: Gathered, preprocess: Preprocess) -> None:
    """Refuse names that no model file can hold, before anything slow."""
    try:
        _known(request, gathered, preprocess, {})
    except RefusedInput as error:
        folders = " and ".join(printable(at) for at in (request.data, request.test) if at)
        raise RefusedInput(
            f"{folders}: {error.message}",
            "Rename that folder or picture, in plain letters and not too long.",
        ) from None


def _known(
    request: FinetuneRequest,
    gathered: Gathered,
    preprocess: Preprocess,
    provenance: Mapping[str, Any],
) -> Knowledge:
    """What a model is to know of its pictures."""
    roots = dict.fromkeys((TRAIN, VALIDATION, TEST), request.data)
    if request.test is not None:
        roots[TEST] = request.test
    splits = {
        name: gathered.recorded(name, knowledge.root_of(request.output, root))
        for name, root in roots.items()
        if gathered.splits[name]
    }
    return Knowledge(preprocess, gathered.labels, splits, provenance)


@dataclass(frozen=True)
class _Job:
    """A training that can begin."""

    request: FinetuneRequest
    base: Base
    gathered: Gathered
    store: Store
    watch: Progress

    def run(self, on_epoch: Callable[[Epoch], None]) -> Finetuned:
        checkpoint = self._checkpoint()
        self._begin(checkpoint)
        try:
            self.store.features.unlink(missing_ok=True)
            store_pixels(self.gathered, self.store.pixels, self.watch, self._beside())
            return self._train(checkpoint, on_epoch)
        except BaseException:
            # Before the first epoch there is nothing to resume, only something in the way.
            if self.store.exists() and not self.store.read().epochs:
                self.store.clear()
            raise

    def _beside(self) -> int:
        """About how many bytes are still to be written beside the pixels."""
        weights, network = self.base.weights, self.base.variant.model
        state = weights.stat().st_size if weights else 4 * network.parameters
        epochs = _STATES * _PER_STATE * state - self.store.epochs_bytes()
        if self.request.settings.scratch:
            return max(0, epochs)
        features = 4 * VIEWS * len(self.gathered.places(TRAIN)) * _FEATURES
        return max(0, epochs) + features

    def _begin(self, checkpoint: Checkpoint) -> None:
        """Make the folder; a training that was begun in it ends here unless it is resumed."""
        store = self.store
        try:
            if not self.request.resume:
                store.clear()
                store.folder.mkdir(exist_ok=True)
                store.write(checkpoint)
        except OSError as error:
            raise HostFailure(
                f"{store.folder} can't be written: {error.strerror}.", "Write elsewhere."
            ) from error

    def _train(self, checkpoint: Checkpoint, on_epoch: Callable[[Epoch], None]) -> Finetuned:
        store, settings = self.store, self.request.settings
        with Workshop(store.folder, gpu=True) as workshop:
            try:
                checkpoint = self._open(workshop, checkpoint)
                epochs = train(workshop, store, checkpoint, settings, self.watch, on_epoch)
                return self._finish(workshop, epochs)
            except HostFailure as error:
                if workshop.alive:
                    raise
                raise HostFailure(
                    error.message, "Train with a smaller --batch or --size, and --force."
                ) from error

    def _checkpoint(self) -> Checkpoint:
        """Where to go on: at the beginning, or where a training of the same order stopped."""
        identity = {
            **self.base.to_json(),
            **self.request.settings.to_json(),
            "pictures": self.gathered.fingerprint,
        }
        if not self.request.resume:
            return Checkpoint(identity)
        checkpoint = self.store.read()
        refuse_other(checkpoint.identity, identity, self.store.folder)
        return checkpoint

    def _open(self, workshop: Workshop, checkpoint: Checkpoint) -> Checkpoint:
        """Build the network on this machine's device; the checkpoint then knows of it."""
        base, wanted = self.base, self.base.variant
        train_places = self.gathered.places(TRAIN)
        classes = self.gathered.classes
        self.watch.stage(f"open {wanted.model.name}")
        gpu = workshop.call(_CHILD + "accelerator", self.watch)
        precision = {PRECISION: "mixed_float16" if gpu else "float32"}
        refuse_other(checkpoint.identity, {**checkpoint.identity, **precision}, self.store.folder)
        if gpu:
            self.watch.note(f"trains on {gpu}, in float16 where that is safe")
        workshop.call(
            "edgeconv.tuning.base:open_base",
            self.watch,
            constructor=wanted.model.constructor,
            size=wanted.size,
            classes=wanted.classes,
            alpha=wanted.alpha,
            weights=str(base.weights) if base.weights else None,
            seed=self.request.settings.seed,
        )
        weights = class_weights([classes[place] for place in train_places], len(self.labels))
        workshop.call(
            _CHILD + "open_network",
            self.watch,
            pixels=str(self.store.pixels),
            classes=list(classes),
            train=train_places,
            validation=self.gathered.places(VALIDATION),
            weights=list(weights),
            preprocess=base.preprocess.to_json(),
            settings=self.request.settings.to_json(),
            mixed=bool(gpu),
        )
        return replace(checkpoint, identity={**checkpoint.identity, **precision})

    @property
    def labels(self) -> tuple[str, ...]:
        return self.gathered.labels

    def _finish(self, workshop: Workshop, epochs: tuple[Epoch, ...]) -> Finetuned:
        """Save the best weights, test them, and put all in its place."""
        output, folder = self.request.output, self.store.folder
        aside = self.store.model
        self.watch.stage("save the model")
        workshop.call(_CHILD + "save", self.watch, output=str(aside))
        test = self._test(workshop)
        known: dict[str, Any] = {"epochs": len(epochs), "best_epoch": best(epochs).epoch}
        accuracy = None if test is None else _accuracy(test)
        if accuracy is not None:
            known["test_accuracy"] = accuracy.estimate
        self.watch.stage("write the report")
        knowledge.write(aside, self.knowledge(known))
        write_training(folder, epochs, test, self.labels)
        aside.replace(output)
        self.store.clear()
        counts = self.gathered.counts()
        return Finetuned(
            output,
            folder,
            self.base.variant.size,
            self.labels,
            counts,
            epochs,
            best(epochs),
            test,
            accuracy,
        )

    def _test(self, workshop: Workshop) -> TestResult | None:
        members = self.gathered.splits[TEST]
        if not members:
            self.watch.note("no picture is left to test with; give some with --test DIR")
            return None
        self.watch.stage("test", len(members))
        found = workshop.call(
            _CHILD + "answer", self.watch, places=[member.place for member in members]
        )
        return TestResult(
            self.labels,
            tuple(member.class_index for member in members),
            tuple(found),
            tuple(member.file for member in members),
        )

    def knowledge(self, results: Mapping[str, Any]) -> Knowledge:
        """What the model is to know of itself."""
        settings = self.request.settings.to_json()
        # People read this: that it began from nothing stands in "weights" already.
        if settings.pop("scratch") or settings["unfreeze"] is None:
            settings["unfreeze"] = "all"
        provenance = {"edgeconv": __version__, **self.base.to_json(), **settings, **results}
        return _known(self.request, self.gathered, self.base.preprocess, provenance)


def _accuracy(test: TestResult) -> Interval:
    right = sum(a == b for a, b in zip(test.true, test.predicted, strict=True))
    return wilson(right, len(test.true))
