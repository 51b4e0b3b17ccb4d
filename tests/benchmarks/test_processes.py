"""Seeds run in processes of their own, with one thread each."""

import os

from benchmarks.processes import in_processes


def test_calls_in_their_order_in_new_processes_with_one_thread():
    asked = ["1", "__import__('os').getpid()", "__import__('torch').get_num_threads()"]
    one, process, threads = in_processes(eval, asked)
    assert (one, threads) == (1, 1) and process != os.getpid()
