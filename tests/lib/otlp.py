"""A collector of traces for tests: OTLP/HTTP with JSON on a port of its own.

validate() hands what came to tools/peers/otlp, which reads it with the code generated from the
published opentelemetry/proto/trace/v1/trace.proto: unknown fields and wrong types are refused there.
"""
import http.server
import json
import re
import subprocess
import threading

from harness import TOP, Failure, Skip, check, equal, wait_for

HEX = {"traceId": 32, "spanId": 16, "parentSpanId": 16}


class Collector:
    def __init__(self):
        self.bodies, self.headers, self.problems = [], [], []
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.take(self.path, {k.lower(): v for k, v in self.headers.items()}, body)
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *error):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def env(self):
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.server.server_port}"}

    def take(self, path, headers, body):
        try:
            equal((path, headers["content-type"]), ("/v1/traces", "application/json"), "request")
            json.loads(body)
        except (Failure, ValueError) as e:
            self.problems.append(str(e))
            return
        self.headers.append(headers)
        self.bodies.append(body)

    def spans(self):
        return [span for body in list(self.bodies) for resource in json.loads(body)["resourceSpans"]
                for scope in resource["scopeSpans"] for span in scope["spans"]]

    def named(self, name):
        return [s for s in self.spans() if s["name"] == name]

    def wait(self, name):
        return wait_for(lambda: next(iter(self.named(name)), None), f"span {name}")

    def children(self, span):
        found = [s for s in self.spans() if s.get("parentSpanId") == span["spanId"]]
        return sorted(found, key=lambda s: int(s["startTimeUnixNano"]))

    def validate(self):
        """Every request, by the published proto, and what it says in words. Call it last: without the
        checker (no network to build it) the test is skipped from here on."""
        equal(self.problems, [], "requests")
        check(self.bodies, "something came")
        for span in self.spans():
            for key, digits in HEX.items():
                if key in span or key != "parentSpanId":
                    check(re.fullmatch(f"[0-9a-f]{{{digits}}}", span[key]) and set(span[key]) != {"0"}, span)
            check(span["name"] and 0 < int(span["startTimeUnixNano"]) <= int(span["endTimeUnixNano"]), span)
        equal(len({s["spanId"] for s in self.spans()}), len(self.spans()), "different ids")
        built = subprocess.run([TOP / "tools/peers/otlp/build"], capture_output=True, text=True)
        if built.returncode != 0:
            raise Skip(f"tools/peers/otlp/build: {built.stderr.splitlines()[-1:]}")
        lines = b"".join(body.strip() + b"\n" for body in self.bodies)
        p = subprocess.run([built.stdout.splitlines()[-1]], input=lines, capture_output=True)
        check(p.returncode == 0, p.stderr.decode())


def attributes(span):
    """{"key": value} of a span, values as they are in JSON."""
    return {a["key"]: next(iter(a["value"].values())) for a in span["attributes"]}
