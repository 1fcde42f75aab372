"""A server in a thread, and a plain client of it, for the tests of pages."""

import http.client
import json
import threading
import uuid
from contextlib import contextmanager

from gluon_enhance.web.shell import Server, listen


@contextmanager
def running(app):
    """Serve an application at a port of its own, which is given."""
    with listen("127.0.0.1", 0) as taken:
        server = Server(app)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [taken]})
        thread.start()
        try:
            yield taken.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


class Answer:
    def __init__(self, response):
        self.status, self.headers, self.body = response.status, response.headers, response.read()

    @property
    def json(self):
        return json.loads(self.body)


class Client:
    """Asks a server at a port of this machine, and keeps its cookies."""

    def __init__(self, port):
        self.port, self.cookies = port, {}

    def __call__(self, method, path, body=None, timeout=60, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookies:
            sent.setdefault("Cookie", "; ".join(f"{k}={v}" for k, v in self.cookies.items()))
        connection.request(method, path, body, sent)
        answer = Answer(connection.getresponse())
        connection.close()
        for cookie in answer.headers.get_all("Set-Cookie") or ():
            name, _, value = cookie.split(";")[0].partition("=")
            self.cookies[name] = value
        return answer

    def get(self, path, **headers):
        return self("GET", path, **headers)

    def post(self, path, fields=(), files=(), **headers):
        """Send a form; files are (field, name, bytes)."""
        boundary = uuid.uuid4().hex
        parts = [
            (f'Content-Disposition: form-data; name="{name}"\r\n\r\n', str(value).encode())
            for name, value in fields
        ]
        for field, name, data in files:
            head = f'Content-Disposition: form-data; name="{field}"; filename="{name}"\r\n'
            parts.append((head + "Content-Type: application/octet-stream\r\n\r\n", data))
        body = b"".join(f"--{boundary}\r\n{head}".encode() + data + b"\r\n" for head, data in parts)
        body += f"--{boundary}--\r\n".encode()
        kind = f"multipart/form-data; boundary={boundary}"
        return self("POST", path, body, Content_Type=kind, **headers)
