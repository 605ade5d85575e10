"""A local server of files, which breaks off or refuses as asked; and shards for it."""

import http.server
import io
import tarfile
import threading
from contextlib import contextmanager
from functools import partial
from typing import ClassVar


class Handler(http.server.SimpleHTTPRequestHandler):
    faults: ClassVar[list[str]] = []
    asked: ClassVar[list[str]] = []

    def do_GET(self):
        self.asked.append(self.path)
        fault = self.faults.pop(0) if self.faults else ""
        if fault.isdigit():
            self.send_error(int(fault))
        elif fault == "cut":  # half of what was promised
            self.send_response(200)
            self.send_header("Content-Length", "1000000")
            self.end_headers()
            self.wfile.write(b"half")
        elif fault == "drop":
            self.connection.close()
        else:
            super().do_GET()

    def log_message(self, *_):
        pass


@contextmanager
def serving(folder):
    """Serve a folder; yield its address and the class that counts and breaks."""
    handler = type("Told", (Handler,), {"faults": [], "asked": []})
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(handler, directory=str(folder))
    ) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", handler
        finally:
            server.shutdown()
            thread.join()


def write_shard(file, samples):
    """Write samples, dicts from endings to bytes, as a shard."""
    with tarfile.open(file, "w") as tar:
        for key, sample in samples.items():
            for ending, data in sample.items():
                info = tarfile.TarInfo(f"{key}.{ending}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
