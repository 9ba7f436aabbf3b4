"""A BMC that serves Redfish documents from a JSON file over HTTPS.

Usage: python3 - PORT TREE CERTIFICATE KEY USER PASSWORD. TREE is a JSON object from paths to documents; each request
reads it, so a test may change it. In place of a document, the text "hang" never answers, "big" answers with more than
a client may accept, and "text" with something other than JSON. With $expand, a collection contains its members.
The document /count counts requests and logins.
"""

import base64
import http.server
import json
import ssl
import sys
import threading

port, tree, certificate, key, user, password = sys.argv[1:7]
basic = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
tokens, count, lock = set(), {"requests": 0, "logins": 0}, threading.Lock()


class Bmc(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, body, headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        sent = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        with lock:
            count["logins"] += 1
        if self.path != "/redfish/v1/SessionService/Sessions" or sent != {"UserName": user, "Password": password}:
            self.answer(401, b"{}")
            return
        token = f"token-{len(tokens)}"
        tokens.add(token)
        self.answer(201, b"{}", [("X-Auth-Token", token)])

    def do_GET(self):
        if self.path == "/count":
            self.answer(200, json.dumps(count).encode())
            return
        with lock:
            count["requests"] += 1
        if self.headers.get("Authorization") != basic and self.headers.get("X-Auth-Token") not in tokens:
            self.answer(401, b"{}")
            return
        with open(tree) as file:
            documents = json.load(file)
        path, _, query = self.path.partition("?")
        document = documents.get(path, documents.get(path.rstrip("/")))
        if document is None:
            self.answer(404, b"{}")
            return
        if document == "hang":
            threading.Event().wait()
        if document == "big":
            self.answer(200, b'{"a":"' + b"x" * (9 << 20) + b'"}')
            return
        if document == "text":
            self.answer(200, b"<html>busy</html>")
            return
        if "$expand" in query:
            members = [documents[member["@odata.id"]] for member in document["Members"]]
            document = {**document, "Members": members}
        self.answer(200, json.dumps(document).encode())

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass


server = Server(("127.0.0.1", int(port)), Bmc)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
