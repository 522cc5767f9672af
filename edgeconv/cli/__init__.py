"""The command line: one module a command; this one finds it and reports errors.

A command's module has ``HELP`` (one line), ``configure(parser)`` and
``run(args, console) -> exit code``. Results go to stdout, everything else to
stderr; with ``--json`` stdout holds exactly one object, also on failure.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from typing import NoReturn

from edgeconv import __version__
from edgeconv.cli.console import Console
from edgeconv.cli.process import drop_dead_streams, in_order
from edgeconv.errors import EdgeconvError, InternalError, UsageError

__all__ = ["COMMANDS", "main"]

#: Command -> what it does. Its module is ``edgeconv.cli.NAME``, imported when it is asked for.
COMMANDS = {
    "export": "convert, quantize, verify and pack a Keras model",
    "verify": "hold a bundle or a model file against its original, as a gate",
    "run": "classify pictures with a bundle, without TensorFlow",
    "classify": "ask a Keras model what it sees in a picture",
    "finetune": "train a classifier of your own classes from a folder of pictures",
    "embed": "turn pictures into vectors, with a headless model or a bundle",
    "bench": "measure latency, throughput, load time and memory of a bundle",
    "explain": "say which layers of a bundle stayed in float and why, and what else was tried",
    "inspect": "show what is in a bundle or a model file",
    "devices": "list the device profiles, or show one with its sources",
    "models": "list the zoo: every model of keras.applications",
    "demo": "train a small model, export it and run it; needs no download",
    "package": "write a bundle as a Triton model repository or as C source",
    "doctor": "check this machine's packages and engines",
}

_INTERRUPTED = 130


class _Parser(argparse.ArgumentParser):
    """argparse, with its errors as ours."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message[:1].upper()}{message[1:]}.", f"Run '{self.prog} --help'.")


def main(argv: list[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: Arguments after the program's name; those of the process by default.

    Returns:
        The exit code: 0 done, 1 parity lost, 2 usage, 3 refused input,
        4 unsupported, 5 something optional is missing, 6 disk or network,
        70 our bug, 130 interrupted.
    """
    # NumPy's threads wait by spinning: beside TensorFlow they take four times as long as
    # one does, and how sums are parted among them could decide how a weight is rounded.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    arguments = sys.argv[1:] if argv is None else argv
    as_json = "--json" in arguments
    debug = "--debug" in arguments
    with in_order():
        return _reported(arguments, Console(as_json=as_json, debug=debug))


def _reported(arguments: list[str], console: Console) -> int:
    """Run the command; whatever it raises becomes two lines and an exit code."""
    try:
        code = _dispatch(arguments, console)
        sys.stdout.flush()  # a full disk or a reader that left shows here, not at exit
        return code
    except SystemExit as stop:  # argparse leaves this way after --help
        return int(stop.code or 0)
    except KeyboardInterrupt:
        console.fail("interrupted", "Interrupted; nothing is left half-written.", "")
        return _INTERRUPTED
    except BrokenPipeError:  # the reader has seen enough, as with | head
        drop_dead_streams()
        return 0
    except EdgeconvError as error:
        console.fail(error.code, error.message, error.hint, error)
        return error.exit_code
    except OSError as error:
        text = f"{error.strerror or error}: {error.filename}" if error.filename else str(error)
        console.fail("host", f"The disk or the system refused: {text}.", "", error)
        return 6
    except MemoryError as error:
        console.fail("host", "Memory ran out.", "Use a larger machine.", error)
        return 6
    except Exception as error:
        bug = InternalError(
            f"edgeconv failed: {type(error).__name__}: {str(error).splitlines()[0][:200]}"
            if str(error)
            else f"edgeconv failed: {type(error).__name__}"
        )
        hint = "This is a bug; run again with --debug and report the traceback."
        console.fail(bug.code, bug.message, hint, error)
        return bug.exit_code
    finally:
        console.close()


def _dispatch(arguments: list[str], console: Console) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_overview())
        return 0 if arguments else 2
    if arguments[0] == "--version":
        print(f"edgeconv {__version__}")
        return 0
    name = arguments[0]
    if name not in COMMANDS:
        raise _unknown(name)
    module = importlib.import_module(f"edgeconv.cli.{name}")
    parser = _Parser(
        prog=f"edgeconv {name}",
        description=module.HELP,
        epilog=getattr(module, "EPILOG", None),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    module.configure(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--debug", action="store_true", help="tracebacks and third-party logs")
    # The other way, inputs that follow an option would be none: run BUNDLE --top 3 cat.jpg
    args = parser.parse_intermixed_args(arguments[1:])
    code: int = module.run(args, console)
    return code


def _unknown(name: str) -> UsageError:
    import difflib

    close = difflib.get_close_matches(name, COMMANDS, 1)
    hint = f"Did you mean '{close[0]}'?" if close else "Run 'edgeconv --help'."
    return UsageError(f"There is no command {name!r}.", hint)


def _overview() -> str:
    width = max(map(len, COMMANDS)) + 2
    lines = [f"  {name:<{width}}{text}" for name, text in COMMANDS.items()]
    return "\n".join(
        [
            "edgeconv: Keras models onto edge devices, with proof that they still work there.",
            "",
            "usage: edgeconv COMMAND [options]",
            "",
            *lines,
            "",
            "The main job:",
            "  edgeconv export mobilenetv2 --int8",
            "  edgeconv run mobilenetv2-int8 cat.jpg",
            "",
            "edgeconv COMMAND --help explains each; edgeconv --version tells the version.",
        ]
    )
