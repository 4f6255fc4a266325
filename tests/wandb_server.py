"""A stand-in for the W&B server on 127.0.0.1, with the standard library alone.

It answers what the real `wandb` command and client need to log in, make a sweep, run agents and
upload runs, keeps what they send, and can fail in the ways that servers fail. It draws parameters
by W&B's documented formulas, and decides nothing else.
"""

import json
import random
import re
import threading
import time
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import yaml
from wandb_draws import draw

KEY = "0123456789abcdef" * 3  # the client wants at least 40 characters
ENTITY = "tester"
CHECKPOINT = "wandb-history.jsonl"


class Run:
    """What arrived of one run."""

    def __init__(self):
        self.config, self.history, self.summary, self.files = {}, [], {}, {}
        self.exit_code, self.group, self.sweep, self.display_name = None, None, None, None
        self.notes, self.tags, self.job_type = None, None, None


class Server:
    """The stand-in; use it as a context manager and give `environment` to the client.

    `fault(path, n)` is asked at every request, n being how many came before of the same path, and
    answers None, "500", "401", "garbage", "hang" or "drop".
    """

    def __init__(self, fault=lambda path, n: None):
        self.fault = fault
        self.runs: dict[str, Run] = defaultdict(Run)
        self.sweeps: dict[str, dict] = {}
        self.operations: list[str] = []  # GraphQL operations in the order they came
        self.unknown: list[str] = []
        self.alerts: list[dict] = []
        self.artifacts: list[dict] = []
        self.views: list[dict] = []  # workspaces and reports, as they were sent
        self.launched: list[dict] = []  # parameters handed out to agents
        self.stored: list[str] = []  # names of files in the order they came
        self.stops: set[str] = set()  # runs that the next heartbeat tells to stop
        self.counts: dict[str, int] = defaultdict(int)
        self.over = threading.Event()
        self.rng = random.Random(0)
        self.lock = threading.Lock()

    def __enter__(self):
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                server.answer(self)

            do_GET = do_PUT = do_POST

            def log_message(self, *args):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.http.handle_error = lambda *args: None  # a client that hangs up is not our error
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.05,))
        self.thread.start()
        return self

    def __exit__(self, *args):
        self.over.set()
        self.die()

    def die(self):
        """Close the socket: from now on nobody answers."""
        if self.thread:
            self.http.shutdown()
            self.http.server_close()
            self.thread.join()
            self.thread = None

    def repair(self):
        """Answer everything from now on, also what hangs."""
        self.fault = lambda path, n: None
        self.over.set()

    def environment(self, **more):
        """The variables that point the real client here."""
        return {"WANDB_BASE_URL": self.url, "WANDB_API_KEY": KEY, **more}

    def answer(self, request):
        """Answer one request, or fail as `fault` says."""
        length = int(request.headers.get("Content-Length") or 0)
        body = request.rfile.read(length)
        path = request.path.split("?")[0]
        kind = path.rsplit("/", 1)[-1] if "/files/" in path else path.split("/")[1]
        with self.lock:
            fault = self.fault(kind, self.counts[kind])
            self.counts[kind] += 1
        if fault == "hang":
            self.over.wait(60)
        if fault in ("drop", "hang"):
            request.close_connection = True
            return
        if fault in ("500", "401"):
            status, reply = int(fault), {"error": "planned"}
        else:
            status, reply = (200, None) if fault else self.reply(path, body)
        data = b"<html>\x00 it works" if fault == "garbage" else json.dumps(reply).encode()
        request.send_response(status)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        request.wfile.write(data)

    def reply(self, path, body):
        """The status and the answer."""
        if path == "/graphql":
            asked = json.loads(body)
            name = re.search(r"\b(?:query|mutation)\s+(\w+)", asked["query"]).group(1)
            with self.lock:
                self.operations.append(name)
                return self.graphql(name, asked.get("variables") or {})
        with self.lock:
            if path.startswith("/storage/"):
                run, _, file = path.removeprefix("/storage/").partition("/")
                self.runs[run].files[file] = body
                self.stored.append(file)
            elif path.endswith("/file_stream"):
                self.stream(self.runs[path.split("/")[-2]], json.loads(body))
            elif not path.startswith("/sdk/otel/"):  # telemetry
                self.unknown.append(path)
                return 404, {}
        return 200, {}

    def stream(self, run, sent):
        """Lines of files as they grow: the history, the summary; and the end of the run."""
        for name, chunk in (sent.get("files") or {}).items():
            lines = [json.loads(line) for line in chunk["content"]] if "jsonl" in name else []
            if name == CHECKPOINT:
                del run.history[chunk["offset"] :]
                run.history += lines
            elif name == "wandb-summary.json":
                run.summary = json.loads(chunk["content"][-1])
        if sent.get("complete"):
            run.exit_code = sent["exitcode"]

    def graphql(self, name, given):
        """The answer to an operation, with as little in it as the client needs."""
        method = getattr(self, f"on_{name}", None)
        if method:
            return 200, {"data": method(given)}
        self.unknown.append(name)
        return 400, {"errors": [{"message": f"{name} is not part of the stand-in"}]}

    def on_Viewer(self, given):
        """Who is logged in."""
        teams = {"edges": [{"node": {"name": ENTITY}}]}
        viewer = {"id": "VTE=", "entity": ENTITY, "username": ENTITY, "email": "", "flags": "{}"}
        return {"viewer": viewer | {"teams": teams, "admin": False, "name": ENTITY}}

    def on_ServerFeaturesQuery(self, given):
        """None of the optional ones."""
        return {"serverInfo": {"features": []}}

    def on_RunResumeStatus(self, given):
        """What is here of a run, if anything is."""
        run = self.runs.get(given["name"])
        if not run:
            return {"model": None}
        bucket = {"id": given["name"], "name": given["name"], "displayName": run.display_name}
        bucket |= {"historyLineCount": len(run.history), "logLineCount": 0, "eventsLineCount": 0}
        bucket |= {"historyTail": json.dumps([json.dumps(row) for row in run.history[-1:]])}
        bucket |= {"summaryMetrics": json.dumps(run.summary), "config": json.dumps(run.config)}
        bucket |= {"eventsTail": "[]", "tags": [], "notes": "", "wandbConfig": '{"t": 1}'}
        project = {"id": "UDE=", "name": given["project"], "entity": {"id": "R", "name": ENTITY}}
        return {"model": project | {"bucket": bucket}}

    def on_GetDefaultEntity(self, given):
        """Whose runs are meant."""
        return {"viewer": {"id": "VTE=", "entity": ENTITY}}

    def on_Run(self, given):
        """A run, as the public API reads it."""
        run = self.runs[given["name"]]
        found = {"id": given["name"], "name": given["name"], "displayName": run.display_name}
        found |= {"projectId": "1", "state": "running", "tags": [], "sweepName": run.sweep}
        found |= {"config": json.dumps(run.config), "summaryMetrics": json.dumps(run.summary)}
        found |= {"systemMetrics": "{}", "historyLineCount": len(run.history), "historyKeys": {}}
        found |= {"group": run.group, "readOnly": False, "user": {"name": ENTITY}}
        return {"project": {"run": found}}

    def on_RunFiles(self, given):
        """The files that are here of a run."""
        files = [{"node": {"name": name}} for name in self.runs[given["name"]].files]
        page = {"edges": files, "pageInfo": {"endCursor": None, "hasNextPage": False}}
        run = {"fileCount": len(files), "files": page}
        return {"project": {"internalId": "UDE=", "run": run}}

    def on_UpsertBucket(self, given):
        """A run begins, or changes."""
        name = given.get("name") or given["id"]
        is_new = name not in self.runs
        run = self.runs[name]
        if given.get("config"):
            run.config |= json.loads(given["config"])
        run.group = given.get("groupName") or run.group
        run.sweep = given.get("sweep") or run.sweep
        run.display_name = given.get("displayName") or run.display_name
        run.notes = given.get("notes") or run.notes
        run.tags = given.get("tags") or run.tags
        run.job_type = given.get("jobType") or run.job_type
        project = {"id": "UDE=", "name": given.get("project") or "genbench"}
        bucket = {"id": name, "name": name, "displayName": run.display_name or name}
        bucket |= {"description": "", "config": json.dumps(run.config), "sweepName": run.sweep}
        bucket |= {"project": project | {"entity": {"id": "RTE=", "name": ENTITY}}}
        bucket |= {"historyLineCount": len(run.history)}
        return {"upsertBucket": {"bucket": bucket, "inserted": is_new}}

    def on_CreateRunFiles(self, given):
        """Where to put files."""
        files = [
            {"name": file, "uploadUrl": f"{self.url}/storage/{given['run']}/{file}"}
            for file in given["files"]
        ]
        return {"createRunFiles": {"runID": given["run"], "uploadHeaders": [], "files": files}}

    def on_FetchArtifactDigestAlgorithm(self, given):
        """No such collection yet."""
        return {"project": None}

    def on_XXHashDigestsEnabled(self, given):
        """MD5 will do."""
        return {"entity": {"xxhashDigestsEnabled": False}}

    def on_CreateArtifact(self, given):
        """An artifact that is here already: nothing to upload."""
        self.artifacts.append(given["input"])
        artifact = {"id": "QTE=", "state": "COMMITTED", "digest": given["input"].get("digest")}
        sequence = {"id": "UzE=", "latestArtifact": None}
        return {"createArtifact": {"artifact": artifact | {"artifactSequence": sequence}}}

    def on_NotifyScriptableRunAlert(self, given):
        """An alert of a run."""
        self.alerts.append(given)
        return {"notifyScriptableRunAlert": {"success": True}}

    def on_UpsertView2(self, given):
        """A saved view of a workspace, or a report: its specification."""
        self.views.append(given | {"spec": json.loads(given["spec"])})
        name = given.get("name") or f"view{len(self.views)}"
        return {"upsertView": {"view": {"id": "VmlldzE=", "name": name}, "inserted": True}}

    def on_ProjectInternalId(self, given):
        """A project's number."""
        return {"project": {"id": "UDE=", "internalId": "UDE="}}

    def on_GetProjects(self, given):
        """The projects that are here."""
        project = {"__typename": "Project", "id": "UDE=", "name": "genbench"}
        project |= {"entityName": ENTITY, "isBenchmark": False, "user": None}
        edges = [{"node": project | {"createdAt": "2026-01-01T00:00:00"}}]
        page = {"endCursor": None, "hasNextPage": False}
        return {"models": {"edges": edges, "pageInfo": page}}

    def on_upsertView(self, given):
        """A report."""
        self.on_UpsertView2(given)
        project = {"id": "UDE=", "name": given["projectName"], "entityName": given["entityName"]}
        view = {"id": "VmlldzI=", "type": given["type"], "name": given["name"], "spec": "{}"}
        view |= {"displayName": given["displayName"], "description": given["description"]}
        view |= {"project": project, "updatedAt": "2026-01-01T00:00:00", "spec": given["spec"]}
        return {"upsertView": {"view": view, "inserted": True}}

    def on_UpsertSweep(self, given):
        """A sweep by its file, made or changed."""
        name = given.get("id") or f"sweep{len(self.sweeps)}"
        if given.get("config"):
            self.sweeps[name] = yaml.safe_load(given["config"])
        project = {"id": "UDE=", "name": given.get("projectName") or "genbench"}
        project |= {"entity": {"id": "RTE=", "name": ENTITY}}
        sweep = {"name": name, "project": project}
        return {"upsertSweep": {"sweep": sweep, "configValidationWarnings": []}}

    def on_SweepWithRuns(self, given):
        """The sweep's file."""
        name = given["sweep"]
        sweep = {"id": name, "name": name, "state": "RUNNING", "runs": {"edges": []}}
        sweep |= {"config": yaml.safe_dump(self.sweeps[name]), "method": "bayes"}
        sweep |= {"controller": None, "scheduler": None, "description": ""}
        return {"project": {"sweep": sweep}}

    def on_CreateAgent(self, given):
        """An agent of a sweep."""
        return {"createAgent": {"agent": {"id": given["sweep"]}}}

    def on_Heartbeat(self, given):
        """A run to launch where the agent has none; a stop for those that are to be stopped."""
        running = json.loads(given.get("runState") or "{}")
        commands = [{"type": "stop", "run_id": run} for run in running if run in self.stops]
        if not running:
            config = self.sweeps[given["id"]]
            values = {k: {"value": draw(e, self.rng)} for k, e in config["parameters"].items()}
            self.launched.append({name: entry["value"] for name, entry in values.items()})
            run_id = f"run{len(self.launched):05d}"
            run = {"type": "run", "run_id": run_id, "args": values, "program": config["program"]}
            commands.append(run)
        agent = {"id": given["id"]}
        return {"agentHeartbeat": {"agent": agent, "commands": json.dumps(commands)}}


def wait_for(condition, seconds=20.0):
    """Whether the condition comes true in time."""
    deadline = time.monotonic() + seconds
    while not (true := condition()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return true
