"""An object storage for tests: moto's, one request after the other, with faults that names ask for.

    python bucket_server.py

It prints its port. moto looks and writes in two steps; as the requests come one by one, a conditional write
is nevertheless what it should be. Some buckets and names are not answered as they should be:

- bucket `careless`: conditions are passed over
- bucket `forgetful`: metadata are passed over
- bucket `private`: not allowed; bucket `elsewhere`: in another region
- names with `.unsaid`: the first write is done, and answered with an error
- names with `.cut`: the first write is done, and the connection cut without an answer
- names with `.dark`: writes are done, and every request is answered with an error
"""

import logging
import socket
import threading
from io import BytesIO

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

REFUSED = "<Error><Code>{}</Code><Message>as the test wants it</Message></Error>"
ANSWERS = {"private": (403, "AccessDenied"), "elsewhere": (301, "PermanentRedirect")}


class Faulty:
    """The application behind moto's, with its faults."""

    def __init__(self):
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._one = threading.Lock()
        self._seen = set()

    def __call__(self, environ, start_response):
        request = Request(environ)
        bucket, _, name = request.path.strip("/").partition("/")
        # the body is read in any case, as its rest would be taken for the next request
        environ["wsgi.input"] = BytesIO(request.get_data(cache=False))
        if name and bucket in ANSWERS:
            status, code = ANSWERS[bucket]
            return self._say(status, code, environ, start_response)
        if bucket == "careless":
            environ.pop("HTTP_IF_NONE_MATCH", None)
        if bucket == "forgetful":
            environ.pop("HTTP_X_AMZ_META_REGRAFT_WRITER", None)
        with self._one:
            answer = Response.from_app(self._moto, environ, buffered=True)
            first = request.method == "PUT" and request.path not in self._seen
            self._seen.add(request.path)
        if ".dark" in name or (".unsaid" in name and first):
            return self._say(503, "SlowDown", environ, start_response)
        if ".cut" in name and first:
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            raise ConnectionError
        return answer(environ, start_response)

    def _say(self, status, code, environ, start_response):
        return Response(REFUSED.format(code), status, mimetype="application/xml")(environ, start_response)


if __name__ == "__main__":
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", 0, Faulty(), threaded=True)
    print(server.server_port, flush=True)
    server.serve_forever()
