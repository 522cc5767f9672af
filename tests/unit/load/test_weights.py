"""Finding and fetching weights, against a real server on this machine."""

import contextlib
import hashlib
import http.server
import io
import resource
import signal
import socket
import threading
import time
from dataclasses import replace

import h5py
import numpy as np
import pytest

from edgeconv.errors import HostFailure
from edgeconv.load import weights
from edgeconv.load.weights import find_weights, is_cached, keras_cache
from edgeconv.load.zoo import find


def hdf5(**options) -> bytes:
    """A real HDF5 file of a little over 3 MiB."""
    memory = io.BytesIO()
    with h5py.File(memory, "w", **options) as file:
        file["kernel"] = np.random.default_rng(0).normal(size=3 * 2**17)
    return memory.getvalue()


BODY = hdf5()
MODEL = replace(find("mobilenetv3small"), weights_hash=hashlib.md5(BODY).hexdigest())
PATH = "/" + MODEL.weights_file


class Watcher:
    def __init__(self):
        self.titles, self.total, self.steps, self.notes = [], None, 0, []

    def stage(self, title, total=None):
        self.titles.append(title)
        self.total = total

    def advance(self, steps=1):
        self.steps += steps

    def note(self, text):
        self.notes.append(text)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        self.server.answer(self)

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.asked = []
        running.url = f"http://127.0.0.1:{running.server_port}"
        thread = threading.Thread(target=running.serve_forever, args=(0.02,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def sends(body, length=None, status=200):
    def answer(handler):
        handler.send_response(status)
        if length != "":
            handler.send_header("Content-Length", str(len(body) if length is None else length))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def refused(server, cache, model=MODEL):
    """The failure of a download, after which the cache holds nothing new."""
    before = sorted(cache.rglob("*"))
    with pytest.raises(HostFailure) as failure:
        find_weights(model, cache, base_url=server.url)
    assert sorted(p for p in cache.rglob("*") if p.is_file()) == [p for p in before if p.is_file()]
    assert model.weights_file in failure.value.message and "\n" not in failure.value.message
    assert str(cache) in failure.value.message
    assert "--weights FILE" in failure.value.hint and model.weights_url in failure.value.hint
    return failure.value.message


def test_weights_are_downloaded_once_with_progress(server, tmp_path):
    server.answer = sends(BODY)
    watcher = Watcher()
    cache = tmp_path / "new" / "models"
    path = find_weights(MODEL, cache, watcher, base_url=server.url)
    assert path == cache / MODEL.weights_file
    assert path.read_bytes() == BODY
    assert [p.name for p in cache.iterdir()] == [MODEL.weights_file]
    assert watcher.total == watcher.steps == 4
    assert MODEL.name in watcher.titles[0]
    assert find_weights(MODEL, cache, base_url=server.url) == path
    assert server.asked == [PATH]


def test_a_download_without_a_length_works(server, tmp_path):
    server.answer = sends(BODY, length="")
    watcher = Watcher()
    assert find_weights(MODEL, tmp_path, watcher, base_url=server.url).read_bytes() == BODY
    assert watcher.total is None and watcher.steps == 4


def test_a_file_with_sha256_pinned_is_checked(server, tmp_path):
    server.answer = sends(BODY)
    good = replace(MODEL, weights_hash=hashlib.sha256(BODY).hexdigest())
    assert find_weights(good, tmp_path / "good", base_url=server.url).is_file()
    bad = replace(MODEL, weights_hash="0" * 64)
    assert "checksum" in refused(server, tmp_path / "bad", bad)


def test_the_remote_name_may_differ_from_the_cached_one(server, tmp_path):
    server.answer = sends(BODY)
    model = replace(find("nasnetmobile"), weights_hash=MODEL.weights_hash)
    path = find_weights(model, tmp_path, base_url=server.url)
    assert path.name == "nasnet_mobile.h5" and server.asked == ["/NASNet-mobile.h5"]


def test_a_truncated_body_is_refused(server, tmp_path):
    server.answer = sends(BODY[: 2**20], length=len(BODY))
    no_checksum = replace(MODEL, weights_hash="")
    assert f"1,048,576 of {len(BODY):,} bytes" in refused(server, tmp_path, no_checksum)


def test_a_connection_that_is_reset_is_refused(server, tmp_path):
    def answer(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(BODY)))
        handler.end_headers()
        handler.wfile.write(BODY[:1000])
        # A zero linger time sends RST in place of FIN.
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        handler.connection.close()

    server.answer = answer
    refused(server, tmp_path)


def test_a_body_with_a_wrong_checksum_is_refused(server, tmp_path):
    server.answer = sends(BODY[:-1] + bytes([BODY[-1] ^ 1]))
    assert "checksum" in refused(server, tmp_path)


def test_a_login_page_in_place_of_the_file_is_refused(server, tmp_path):
    server.answer = sends(b"<html>please log in</html>")
    no_checksum = replace(MODEL, weights_hash="")
    assert "no HDF5 file" in refused(server, tmp_path, no_checksum)


@pytest.mark.parametrize("libver", ["earliest", "v108", "latest"])
def test_a_file_that_is_cut_short_is_refused_though_no_checksum_is_pinned(server, tmp_path, libver):
    model = replace(MODEL, weights_hash="")
    body = hdf5(libver=libver)
    server.answer = sends(body[:-1])
    assert "cut short" in refused(server, tmp_path, model)
    server.answer = sends(body)
    assert find_weights(model, tmp_path, base_url=server.url).read_bytes() == body


def test_a_body_larger_than_the_model_can_be_is_cut_off(server, tmp_path):
    tiny = replace(MODEL, parameters=0)
    huge = sends(BODY * 7, length="")

    def answer(handler):
        # The reader hangs up early, which is the point.
        with contextlib.suppress(ConnectionError):
            huge(handler)

    server.answer = answer
    assert "more than 16 MiB" in refused(server, tmp_path, tiny)


def test_a_missing_file_on_the_server_is_said(server, tmp_path):
    server.answer = sends(b"gone", status=404)
    assert "404" in refused(server, tmp_path)


def test_no_server_is_said(server, tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        server.url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        assert "can't be reached" in refused(server, tmp_path)


def test_a_server_that_hangs_up_or_falls_silent_is_said(server, tmp_path, monkeypatch):
    server.answer = lambda handler: handler.connection.close()
    assert "can't be reached" in refused(server, tmp_path)
    monkeypatch.setattr(weights, "_SILENCE_S", 0.2)
    server.answer = lambda handler: time.sleep(1)
    assert "timed out" in refused(server, tmp_path)


def test_keras_own_address_is_never_left_for_one_without_https(server, tmp_path):
    def answer(handler):
        handler.send_response(302)
        handler.send_header("Location", f"{server.url}/elsewhere.h5")
        handler.end_headers()

    server.answer = answer
    model = replace(MODEL, weights_url=server.url + PATH)
    with pytest.raises(HostFailure, match="without https"):
        find_weights(model, tmp_path)
    assert server.asked == [PATH]


def test_a_damaged_file_in_the_cache_is_replaced(server, tmp_path):
    (tmp_path / MODEL.weights_file).write_bytes(BODY[:-1])
    server.answer = sends(BODY)
    watcher = Watcher()
    assert find_weights(MODEL, tmp_path, watcher, base_url=server.url).read_bytes() == BODY
    assert len(watcher.notes) == 1 and "cut short" in watcher.notes[0]


def test_a_damaged_file_in_the_cache_is_not_used_without_network(server, tmp_path):
    damaged = tmp_path / MODEL.weights_file
    damaged.write_bytes(BODY[:-1])
    server.answer = sends(b"", status=503)
    refused(server, tmp_path)
    assert damaged.read_bytes() == BODY[:-1]


def test_an_interrupted_download_leaves_nothing(server, tmp_path):
    server.answer = sends(BODY)

    class Impatient(Watcher):
        def advance(self, steps=1):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        find_weights(MODEL, tmp_path, Impatient(), base_url=server.url)
    assert list(tmp_path.iterdir()) == []


def test_a_cache_that_cannot_be_written_is_said(server, tmp_path):
    server.answer = sends(BODY)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(HostFailure) as failure:
        find_weights(MODEL, tmp_path / "file" / "models", base_url=server.url)
    assert "can't be kept" in failure.value.message
    assert "KERAS_HOME" in failure.value.hint


def test_a_full_disk_is_said(server, tmp_path):
    server.answer = sends(BODY)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    # A limit on the size of files stops a write as a full disk does.
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, limit[1]))
    try:
        with pytest.raises(HostFailure, match="can't be kept"):
            find_weights(MODEL, tmp_path, base_url=server.url)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, before)
    assert list(tmp_path.iterdir()) == []


def test_the_cache_follows_keras_home(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert keras_cache() == tmp_path / "models"
    assert not is_cached(MODEL)
    keras_cache().mkdir()
    (keras_cache() / MODEL.weights_file).write_bytes(BODY)
    assert is_cached(MODEL)
    assert find_weights(MODEL) == keras_cache() / MODEL.weights_file
    monkeypatch.delenv("KERAS_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert keras_cache() == tmp_path / ".keras" / "models"
