"""`python -m syncline`: the command, which comes with the daemon in the same distribution."""

import runpy


runpy.run_module("synclined", run_name="__main__", alter_sys=True)
