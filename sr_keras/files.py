"""Atomic writes and verified downloads."""

import contextlib
import errno
import hashlib
import http.client
import itertools
import json
import math
import os
import pathlib
import shutil
import sys
import urllib.error
import urllib.request
import uuid

# Errors of a full disk, which do not name the file that was written
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_TIMEOUT = 10  # seconds without an answer
_CHUNK = 2**20


@contextlib.contextmanager
def replacing(path):
    """Yields a temporary path that becomes `path` at the end of the block.

    The temporary path is in the same folder, which is created if necessary, and has the
    same suffix. If the block raises an error, it is removed and `path` is untouched.

    Args:
        path: File (or new folder) to write.

    Raises:
        OSError: If the disk is full. The message names `path`.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{uuid.uuid4().hex[:8]}-{path.name}")
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException as error:
        remove(temporary)
        if isinstance(error, OSError) and error.errno in _FULL and not error.filename:
            reason = os.strerror(error.errno)
            raise OSError(error.errno, reason, str(path)) from error
        raise


def remove(path):
    """Removes a file, or a folder with its contents, if it exists."""
    path = pathlib.Path(path)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_text(path, text):
    """Writes a UTF-8 text file atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path, content):
    """Writes a JSON file atomically; NaN and infinity become null.

    Args:
        path: File to write.
        content: Dicts, lists, tuples, strings, numbers, booleans and None.
    """
    write_text(path, json.dumps(_finite(content), indent=1, allow_nan=False))


def read_json(path):
    """Returns the content of a JSON file, or None if there is no such file.

    Raises:
        ValueError: If the file is not JSON.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not a readable JSON file: {error}") from error


def _finite(content):
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_finite(value) for value in content]
    if isinstance(content, float) and not math.isfinite(content):
        return None
    return content


def check_writable(folder):
    """Creates a folder and checks that files can be written into it.

    Call it before a long computation whose results go there.

    Raises:
        OSError: If the folder cannot be created or written to. The message names it.
    """
    folder = pathlib.Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".{uuid.uuid4().hex[:8]}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OSError(f"Cannot write to the folder {folder}: {error}") from error


def keras_home():
    """Returns the folder of Keras: `KERAS_HOME` if it is set, or `~/.keras`."""
    return pathlib.Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()


def digest(parts):
    """Returns the SHA-256 of the bytes of some arrays or bytes, in hexadecimal."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def check_digest(path, digest, algorithm="sha256"):
    """Raises a ValueError if a file does not have the digest that is expected.

    Args:
        path: The file.
        digest: Expected digest in hexadecimal digits, or its first 8 or more.
        algorithm: A name that `hashlib` knows.
    """
    if len(digest) < 8:
        raise ValueError(
            f"`digest` must have at least 8 digits. Received: digest={digest!r}"
        )
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, algorithm).hexdigest()
    if not found.startswith(digest.lower()):
        must = "be" if len(digest) == len(found) else "begin with"
        raise ValueError(
            f"{path} is damaged, incomplete or a different file: its"
            f" {algorithm.upper()} must {must} {digest}. Received: {found}"
        )


def download(url, path, digest, algorithm="sha256", progress=None):
    """Downloads a file and checks its digest before it gets its name.

    A file that is already at `path` is checked instead and never replaced. What has
    been downloaded before an interruption is kept beside it, with `.part` at the end of
    its name, and the next call resumes there.

    Args:
        url: Address of the file.
        path: Where the file goes.
        digest: Its digest in hexadecimal digits, or the first 8 or more. None if it is
            not known; then the caller must check what the file contains.
        algorithm: A name that `hashlib` knows.
        progress: None, or a function that wraps an iterable to show progress; it gets
            one item for each mebibyte.

    Raises:
        OSError: If the file cannot be downloaded.
        ValueError: If the digest differs.
    """
    path = pathlib.Path(path)
    if path.is_file():
        if digest is not None:
            check_digest(path, digest, algorithm)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    print(f"Downloading {url} to {path}", file=sys.stderr)
    try:
        is_complete = False
        while not is_complete:
            before = part.stat().st_size if part.exists() else 0
            try:
                is_complete = _download_rest(url, part, progress)
            except http.client.HTTPException as error:
                raise ConnectionError(f"the connection broke: {error!r}") from error
            if not is_complete and part.stat().st_size <= before:
                raise ConnectionError("the connection broke")
    finally:
        if part.exists() and part.stat().st_size == 0:
            part.unlink()
    try:
        if digest is not None:
            check_digest(part, digest, algorithm)
    except ValueError as error:
        part.unlink()
        raise ValueError(f"{url} is not the expected file: {error}") from error
    os.replace(part, path)


def _download_rest(url, part, progress):
    """Downloads what `part` lacks; returns False if the connection breaks."""
    part.touch()
    done = part.stat().st_size
    headers = {"Range": f"bytes={done}-"} if done else {}
    request = urllib.request.Request(url, headers=headers)
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416 and done:  # nothing is left to be sent
            return True
        raise
    with response, open(part, "r+b") as file:
        if response.status != 206:  # the server cannot start in the middle
            done = 0
            file.truncate()
        file.seek(done)
        length = response.headers.get("Content-Length")
        total = None if length is None else done + int(length)
        steps = itertools.count() if total is None else range(done, total, _CHUNK)
        for _ in steps if progress is None or total is None else progress(steps):
            chunk = response.read(_CHUNK)
            file.write(chunk)
            if not chunk:
                break
        return total is None or file.tell() >= total
