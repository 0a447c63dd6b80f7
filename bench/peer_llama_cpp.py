#!/usr/bin/env python3
"""puna and llama-cpp-python side by side on the same files: prefill and decode, interleaved.

usage: peer_llama_cpp.py ROUNDS THREADS PUNA MODEL.gguf...      needs: pip install llama-cpp-python

Every round runs both once on each file: prefill of 512 random tokens and decode of 64 after it.
Prints medians [least..most] in tokens per second, and the ratio of the medians."""
import json, random, statistics, subprocess, sys, time

N_PREFILL, N_DECODE = 512, 64


def puna(program, model, threads):
    out = subprocess.run([program, "bench", "-m", model, "-p", str(N_PREFILL), "-n", str(N_DECODE), "-t", threads,
                          "-r", "3", "--json", "-q"], stdout=subprocess.PIPE, check=True).stdout
    return {r["test"]: r["median_tok_per_s"] for r in json.loads(out)["results"]}


PEER = """
import random, sys, time, json, statistics
from llama_cpp import Llama
model, threads = sys.argv[1], int(sys.argv[2])
m = Llama(model, n_ctx=1024, n_batch=512, n_ubatch=512, n_threads=threads, n_threads_batch=threads, verbose=False)
random.seed(1)
ids = [random.randrange(1000, 20000) for _ in range(%d)]
prefill, decode = [], []
for _ in range(4):
    m.reset()
    t = time.perf_counter(); m.eval(ids); prefill.append(len(ids) / (time.perf_counter() - t))
    m.reset(); m.eval(ids[:1])
    t = time.perf_counter()
    for i in range(%d): m.eval([ids[i]])
    decode.append(%d / (time.perf_counter() - t))
print(json.dumps({"prefill": statistics.median(prefill[1:]), "decode": statistics.median(decode[1:])}))
""" % (N_PREFILL, N_DECODE, N_DECODE)


def peer(model, threads):
    out = subprocess.run([sys.executable, "-c", PEER, model, threads], stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL, check=True).stdout
    return json.loads(out.splitlines()[-1])


rounds, threads, program, models = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4:]
for model in models:
    got = {}
    for _ in range(rounds):
        for name, result in (("puna", puna(program, model, threads)), ("llama.cpp", peer(model, threads))):
            for test, speed in result.items():
                got.setdefault((test, name), []).append(speed)
    print(model.split("/")[-1])
    for test in ("prefill", "decode"):
        ours, theirs = got[test, "puna"], got[test, "llama.cpp"]
        show = lambda v: f"{statistics.median(v):8.1f} [{min(v):.1f}..{max(v):.1f}]"
        print(f"  {test:8} puna {show(ours)}   llama.cpp {show(theirs)}   ratio {statistics.median(ours) / statistics.median(theirs):.2f}",
              flush=True)
