#!/usr/bin/env python3
"""Counts by another way what the tests expect of the summaries: python3 expected.py *.json.gz > expected.json

It loads whole documents and works on decimal numbers, so it shares no code and no shortcut with the reader that it checks."""
import collections
import decimal
import gzip
import json
import sys


def ns(value):
    return int(decimal.Decimal(value) * 1000)


def union(spans):
    busy, end = 0, None
    for start, stop in sorted(spans):
        if end is None or start >= end:
            busy, end = busy + stop - start, stop
        elif stop > end:
            busy, end = busy + stop - end, stop
    return busy


def own(spans):
    """Self time by name: each point of time belongs to the innermost span, the one that began last and is shortest."""
    edges = sorted({t for start, stop, _, _ in spans for t in (start, stop)})
    spans = sorted(spans, key=lambda s: (s[0], -s[1]))
    result, open_, k = collections.Counter(), [], 0
    for a, b in zip(edges, edges[1:]):
        while k < len(spans) and spans[k][0] <= a:
            open_.append(spans[k])
            k += 1
        open_ = [s for s in open_ if s[1] > a]
        if open_:
            result[open_[-1][2:]] += b - a
    return result


def count(name):
    with gzip.open(name) as f:
        document = json.load(f, parse_float=str, parse_int=str)
    events = [e for e in document["traceEvents"] if e["ph"] == "X"]
    gpu = [e for e in events if e.get("cat") in ("kernel", "gpu_memcpy", "gpu_memset")]
    by_name, busy, threads = collections.Counter(), collections.defaultdict(list), collections.defaultdict(list)
    for e in gpu:
        by_name[e["name"]] += ns(e["dur"])
        busy[e["pid"]].append((ns(e["ts"]), ns(e["ts"]) + ns(e["dur"])))
    for e in events:
        if e.get("cat") in ("cpu_op", "user_annotation", "python_function"):
            kind = {"cpu_op": "op", "user_annotation": "", "python_function": "py"}[e["cat"]]
            threads[e["pid"], e["tid"]].append((ns(e["ts"]), ns(e["ts"]) + ns(e["dur"]), kind, e["name"] if kind else ""))
    self_time = collections.Counter()
    for spans in threads.values():
        self_time.update(own(spans))
    calls = {e["args"]["correlation"]: e for e in events if e.get("cat") in ("cuda_runtime", "cuda_driver") and "correlation" in e.get("args", {})}
    graphed = [e for e in gpu if calls.get(e["args"].get("correlation"), {}).get("name") == "cudaGraphLaunch"]
    marks = [e for e in events if e.get("cat") == "user_annotation"]
    vllm = [e for e in marks if e["name"].startswith("execute_")] or [e for e in marks if e["name"].startswith("ProfilerStep#")]
    return {
        "events": len(document["traceEvents"]),
        "gpu_ns": sum(by_name.values()),
        "gpu_n": len(gpu),
        "gpu_by_name_ns": dict(by_name),
        "busy_ns": {d: union(s) for d, s in busy.items()},
        "unlinked_n": sum(e["args"].get("correlation") not in calls for e in gpu),
        "graph_n": len(graphed),
        "graph_ns": sum(ns(e["dur"]) for e in graphed),
        "graph_replays": len({e["args"]["correlation"] for e in graphed}),
        "steps_n": len(vllm),
        "steps_ns": sum(ns(e["dur"]) for e in vllm),
        "operator_self_ns": {n: t for (kind, n), t in self_time.items() if kind == "op"},
        "python_self_ns": sum(t for (kind, _), t in self_time.items() if kind == "py"),
        "unnamed_self_ns": sum(t for (kind, _), t in self_time.items() if not kind),
    }


print(json.dumps({name: count(name) for name in sys.argv[1:]}, indent=1, sort_keys=True))
