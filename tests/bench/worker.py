"""The client process: runs one coroutine function of a module here, and prints what it returns."""

import asyncio
import faulthandler
import gc
import importlib
import json
import os
import sys


TIMEOUT_S = 240.0


def main() -> None:
    # One that hangs says where, and ends.
    faulthandler.dump_traceback_later(TIMEOUT_S, exit=True)
    module, function, options = sys.argv[1:]
    work = getattr(importlib.import_module(module), function)
    gc.collect()
    profile = os.environ.get("BENCH_PROFILE")
    if profile:
        import cProfile

        profiler = cProfile.Profile()
        result = profiler.runcall(asyncio.run, work(**json.loads(options)))
        profiler.dump_stats(f"{profile}-{module}-{function}-{os.getpid()}.prof")
    else:
        result = asyncio.run(work(**json.loads(options)))
    faulthandler.cancel_dump_traceback_later()
    print(json.dumps(result))


if __name__ == "__main__":
    main()
