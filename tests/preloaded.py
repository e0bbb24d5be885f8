"""Programs in processes of their own that need not import TensorFlow again.

Importing TensorFlow and Keras takes six seconds of a processor. A server imports them
once, and forks for each program, which is safe as long as nothing was computed: until
then neither TensorFlow nor JAX has a thread. To the caller, a program is an ordinary
child process:

    subprocess.run([*preloaded.python(), "script.py", "argument"], capture_output=True)

What is started in place of Python is this file as well. It sends its arguments, folder,
environment and standard streams to the server, waits for the forked process, and ends
as it ends. If it is killed, so is the forked process.

Variables that modules read when they are imported have the values that they had at the
first call. Tests of the interpreter's start use `sys.executable`. Other systems than
Linux do not fork safely, so programs are started in the ordinary way there.
"""

import atexit
import contextlib
import functools
import importlib
import json
import os
import select
import signal
import socket
import struct
import sys
import types

MODULES = (
    "tensorflow",
    "sr_keras.__main__",
    "sr_keras.course",
    "sr_keras.models",
    "sr_keras.pipeline",
    "sr_keras.training",
    "ipykernel.kernelapp",
    "skimage.data",
)


def python(backend="tensorflow"):
    """Returns what to put in place of Python, to start a program.

    Args:
        backend: The backend of Keras, which the program's environment must name, too.
    """
    # PyTorch ends in a segmentation fault if TensorFlow was imported before it.
    if sys.platform != "linux" or backend == "torch":
        return (sys.executable,)
    return sys.executable, "-S", __file__, "run", _server(backend)


@functools.cache
def _server(backend):
    """Starts a server, which ends with this process, and returns its address."""
    import subprocess
    import tempfile

    folder = tempfile.TemporaryDirectory(prefix="preloaded-")
    path = os.path.join(folder.name, "socket")
    server = subprocess.Popen(
        [sys.executable, __file__, "serve", path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu"},
    )
    if server.stdout.readline() != b"ready\n":
        raise RuntimeError("The server of the tests did not start.")

    @atexit.register
    def stop():
        server.stdin.close()  # which the server waits for
        server.wait()
        folder.cleanup()

    return path


def run(path, arguments):
    """Has a program started, and ends as it ends."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    job = {"arguments": arguments, "folder": os.getcwd(), "env": dict(os.environ)}
    content = json.dumps(job).encode()
    socket.send_fds(connection, [struct.pack("<Q", len(content))], [0, 1, 2])
    connection.sendall(content)
    answer = connection.recv(8)
    code = struct.unpack("<q", answer)[0] if answer else 1
    if code < 0:
        if -code != signal.SIGKILL:  # which has no handler
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


def serve(path):
    """Starts programs until standard input is closed."""
    for name in MODULES:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    print("ready", flush=True)
    running = {}  # the connection of each process
    while True:
        waiting = [sys.stdin, listener, *running.values()]
        ready, _, _ = select.select(waiting, [], [], 0.02 if running else None)
        if sys.stdin in ready:
            for process in running:
                os.kill(process, signal.SIGKILL)
            return
        for process, connection in running.items():
            if connection in ready:  # it was closed, for nothing is sent
                os.kill(process, signal.SIGKILL)
        if listener in ready:
            connection, _ = listener.accept()
            job, streams = _receive(connection)
            process = os.fork() if job is not None else None
            if process == 0:
                for other in (listener, connection, *running.values()):
                    other.close()
                _become(job, streams)
                return
            for stream in streams:
                os.close(stream)
            if process is not None:
                running[process] = connection
        while running:
            process, status = os.waitpid(-1, os.WNOHANG)
            if process == 0:
                break
            code = os.waitstatus_to_exitcode(status)
            with running.pop(process) as connection, contextlib.suppress(OSError):
                connection.sendall(struct.pack("<q", code))


def _receive(connection):
    """Returns a job and its streams, or None if the sender was killed meanwhile."""
    size, streams, _, _ = socket.recv_fds(connection, 8, 3)
    with connection.makefile("rb") as file:
        content = file.read(struct.unpack("<Q", size)[0] if size else 0)
    try:
        return json.loads(content), streams
    except ValueError:
        connection.close()
        return None, streams


def _become(job, streams):
    """Runs a program in this process, as Python runs its arguments."""
    import runpy

    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(job["folder"])
    os.environ.clear()
    os.environ.update(job["env"])
    first, *arguments = job["arguments"]
    place = {"-c": "", "-m": os.getcwd()}
    sys.path[0] = place.get(first, os.path.dirname(os.path.abspath(first)))
    paths = job["env"].get("PYTHONPATH", "").split(os.pathsep)
    sys.path[1:1] = [path for path in paths if path and path not in sys.path]
    if "JPY_PARENT_PID" in os.environ:  # a kernel ends together with the server
        os.environ["JPY_PARENT_PID"] = str(os.getppid())
        _build_optimizers_before_tracing()
    if "MPLBACKEND" in os.environ:  # which Matplotlib has read already
        sys.modules["matplotlib"].rcParams["backend"] = os.environ["MPLBACKEND"]
    if first == "-c":
        code = compile(arguments[0], "<string>", "exec")
        sys.argv = ["-c", *arguments[1:]]
        sys.modules["__main__"] = module = types.ModuleType("__main__")
        exec(code, module.__dict__)
    elif first == "-m":
        sys.argv = arguments
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv = [first, *arguments]
        runpy.run_path(first, run_name="__main__")


def _build_optimizers_before_tracing():
    """Makes TensorFlow trace a training step once instead of twice.

    Keras creates the variables of an optimizer in the first step, and TensorFlow traces
    a step that creates variables a second time. Tracing takes most of the time of a
    lesson with few steps.
    """
    import keras

    make_train_function = keras.Model.make_train_function

    def build_and_make(model, *args, **kwargs):
        is_built = all(layer.built for layer in model.layers)
        if is_built and model.optimizer is not None and not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        return make_train_function(model, *args, **kwargs)

    keras.Model.make_train_function = build_and_make


if __name__ == "__main__":
    _, action, socket_path, *rest = sys.argv
    run(socket_path, rest) if action == "run" else serve(socket_path)
