# The kernel executes this before the first cell, where PYTHONSTARTUP names it: see authoring/machines.py. It leaves no
# names, and ends a kernel that would not round otherwise: its results would count as measured.
try:
    __import__("authoring.jitter", fromlist=["start"]).start()
except BaseException:
    __import__("traceback").print_exc()
    __import__("os")._exit(1)
