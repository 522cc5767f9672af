"""The command line of infer.py, the script that travels inside a bundle.

Exit codes: 0 done; 1 the self-test failed; 2 usage; 3 input refused; 4 not
supported; 5 no engine; 6 disk; 70 a bug; 130 interrupted.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn, Optional

from edgeconv.errors import EdgeconvError, HostFailure, InternalError, UsageError
from edgeconv.pictures import printable
from edgeconv.runtime.checksums import SealedFolder
from edgeconv.runtime.measure import measure
from edgeconv.runtime.options import (
    add_bench_arguments,
    add_run_arguments,
    open_session,
    wants_work,
    work_of,
)
from edgeconv.runtime.replay import replay_golden
from edgeconv.runtime.session import read_manifest
from edgeconv.runtime.show import (
    answer_as_text,
    answers_as_json,
    costs_as_text,
    replays_as_json,
    replays_as_text,
)
from edgeconv.runtime.text import json_text

__all__ = ["main"]


class _OneLineParser(argparse.ArgumentParser):
    """argparse, with its errors as ours."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}.", f"See {self.prog} --help.")


def main(folder: Path, argv: Optional[Sequence[str]] = None) -> int:
    """Run the bundle in ``folder``.

    Args:
        folder: The bundle.
        argv: Arguments after the program's name; those of the process by default.

    Returns:
        The exit code.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    as_json = "--json" in arguments
    if isinstance(sys.stdout, io.TextIOWrapper):  # None where it is closed
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = _run_script(folder, arguments)
        if sys.stdout is not None:
            sys.stdout.flush()  # a reader that is gone shows here, not at exit
        return code
    except EdgeconvError as error:
        return _report(error, as_json)
    except BrokenPipeError:  # the reader has seen enough, as with | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except (OSError, MemoryError) as error:
        return _report(HostFailure(f"The system refused: {error or 'out of memory'}."), as_json)
    except Exception as error:
        if "--debug" in arguments:
            raise
        cause = f"{type(error).__name__}: {error}"
        return _report(InternalError(f"A bug: {cause}", "Run again with --debug."), as_json)


def _run_script(folder: Path, arguments: list[str]) -> int:
    args = _parser().parse_intermixed_args(arguments)  # inputs before and after options
    if args.self_test:
        return _self_test(folder, args)
    if wants_work(args):
        return _run_arrays(folder, args)
    session, _ = open_session(folder, args)
    _tell_fallback(session.model.note)
    answers = session.answers(args.inputs, args.batch)
    if args.json:
        print(_json(answers_as_json(session, answers, args.top)))
    else:
        for answer in answers:
            print(answer_as_text(session, answer, args.top))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = _OneLineParser(prog="infer.py", description="Run this bundle's model.")
    parser.add_argument("inputs", nargs="*", metavar="INPUT", help="a picture, .npy or .npz file")
    add_run_arguments(parser)
    add_bench_arguments(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument(
        "--self-test", action="store_true", help="replay the golden inputs, then exit"
    )
    parser.add_argument("--debug", action="store_true", help="tracebacks of bugs")
    return parser


def _self_test(folder: Path, args: argparse.Namespace) -> int:
    sealed = SealedFolder(folder)
    replays = replay_golden(
        sealed, read_manifest(sealed), args.engine, args.threads, args.device, args.allow_fallback
    )
    print(_json(replays_as_json(replays)) if args.json else replays_as_text(replays))
    return 0 if all(replay.passed for replay in replays) else 1


def _run_arrays(folder: Path, args: argparse.Namespace) -> int:
    work = work_of(args)
    session, load_ms = open_session(folder, args)
    _tell_fallback(session.model.note)
    costs = measure(session, work, load_ms, args.threads)
    print(_json(costs) if args.json else costs_as_text(costs))
    return 0


def _tell_fallback(note: str) -> None:
    if note:
        print(f"infer.py: {printable(note)}", file=sys.stderr)


def _report(error: EdgeconvError, as_json: bool) -> int:
    message, hint = printable(error.message), printable(error.hint)
    print(f"infer.py: {message}", file=sys.stderr)
    if hint:
        print(f"  {hint}", file=sys.stderr)
    if as_json:
        failure = {"code": error.code, "message": message, "hint": hint}
        try:
            print(_json({"schema_version": 1, "error": failure}), flush=True)
        except OSError:  # nobody reads; the exit code is still to be told
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return error.exit_code


def _json(value: dict[str, Any]) -> str:
    return json_text(value, getattr(sys.stdout, "encoding", None))
