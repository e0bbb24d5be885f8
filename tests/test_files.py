import errno
import hashlib
import http.server
import json
import os
import threading

import pytest

from sr_keras import files

CONTENT = bytes(range(256)) * 20
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT; `server.breaks` has the bytes after which answers break off."""

    def do_GET(self):
        first = int(self.headers.get("Range", "bytes=0-")[6:-1])
        self.server.requests.append(first)
        if first >= len(CONTENT):
            self.send_error(416)
            return
        self.send_response(206 if "Range" in self.headers else 200)
        self.send_header("Content-Length", str(len(CONTENT) - first))
        self.end_headers()
        end = self.server.breaks.pop(0) if self.server.breaks else None
        self.wfile.write(CONTENT[first:end])

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.requests, server.breaks = [], []
        server.url = f"http://127.0.0.1:{server.server_port}/file"
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        yield server
        server.shutdown()


@pytest.mark.parametrize("error", [OSError("disk is full"), KeyboardInterrupt()])
def test_an_interrupted_write_leaves_the_old_file(error, tmp_path):
    path = tmp_path / "new" / "a.txt"
    files.write_text(path, "old")
    with pytest.raises(type(error)), files.replacing(path) as temporary:
        assert temporary.suffix == ".txt"
        temporary.write_text("half")
        raise error
    assert path.read_text() == "old"
    assert os.listdir(path.parent) == ["a.txt"]


def test_a_full_disk_names_the_file_that_was_written(tmp_path):
    with pytest.raises(OSError) as error, files.replacing(tmp_path / "a.txt"):
        raise OSError(errno.ENOSPC, "write failed")
    assert error.value.errno == errno.ENOSPC
    assert error.value.filename == str(tmp_path / "a.txt")
    unreadable = OSError(errno.EIO, "read failed")
    with pytest.raises(OSError) as error, files.replacing(tmp_path / "a.txt"):
        raise unreadable
    assert error.value is unreadable


def test_json_has_null_for_what_is_not_finite(tmp_path):
    path = tmp_path / "a.json"
    assert files.read_json(path) is None
    files.write_json(path, {"a": (1, float("nan")), "b": [float("inf"), "\u00e9"]})
    assert files.read_json(path) == {"a": [1, None], "b": [None, "\u00e9"]}
    json.loads(path.read_text(), parse_constant=pytest.fail)
    path.write_text("{")
    with pytest.raises(ValueError, match=r"a\.json is not a readable JSON file"):
        files.read_json(path)


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path):
    files.check_writable(tmp_path / "new" / "folder")
    assert os.listdir(tmp_path / "new" / "folder") == []
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="Cannot write to the folder .*file"):
        files.check_writable(tmp_path / "file")


def test_remove(tmp_path):
    (tmp_path / "folder" / "deeper").mkdir(parents=True)
    (tmp_path / "file").touch()
    for name in ("folder", "file", "nothing"):
        files.remove(tmp_path / name)
    assert os.listdir(tmp_path) == []


def test_a_download_is_checked_and_not_repeated(server, tmp_path):
    path = tmp_path / "new" / "file"
    for _ in range(2):
        files.download(server.url, path, SHA256)
        assert path.read_bytes() == CONTENT
    assert server.requests == [0]
    assert os.listdir(path.parent) == ["file"]
    path.write_bytes(b"other")
    with pytest.raises(ValueError, match="file is damaged, .* must be .* Received: "):
        files.download(server.url, path, SHA256)
    assert path.read_bytes() == b"other"


def test_a_download_goes_on_where_the_connection_broke(server, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_CHUNK", 1000)
    server.breaks = [2000, 3000]
    seen = []

    def progress(steps):
        for step in steps:
            seen.append(step)
            yield step

    files.download(server.url, tmp_path / "file", SHA256, progress=progress)
    assert server.requests == [0, 2000, 3000]
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert seen[-1] == 5000 and len(seen) >= 6


def test_the_next_call_resumes(server, tmp_path):
    server.breaks = [2000, 2000]
    with pytest.raises(OSError, match="the connection broke"):
        files.download(server.url, tmp_path / "file", SHA256)
    assert (tmp_path / "file.part").read_bytes() == CONTENT[:2000]
    files.download(server.url, tmp_path / "file", SHA256)
    assert server.requests == [0, 2000, 2000]

    (tmp_path / "file").rename(tmp_path / "file.part")  # complete, but for its name
    files.download(server.url, tmp_path / "file", SHA256)
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_download_with_another_digest_is_not_kept(server, tmp_path):
    md5 = hashlib.md5(b"").hexdigest()
    with pytest.raises(ValueError, match=f"not the expected file: .*MD5 must be {md5}"):
        files.download(server.url, tmp_path / "file", md5, "md5")
    assert os.listdir(tmp_path) == []


def test_a_download_that_failed_at_once_leaves_no_file(tmp_path):
    with pytest.raises(OSError):
        files.download("http://127.0.0.1:9/file", tmp_path / "file", SHA256)
    assert os.listdir(tmp_path) == []
