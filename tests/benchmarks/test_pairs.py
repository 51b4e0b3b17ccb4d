"""Times are taken in pairs that take turns."""

from benchmarks import pairs


def test_pairs_take_turns_and_leave_the_first_out(monkeypatch):
    clock, calls = [0.0], []

    def work(name, seconds):
        calls.append(name)
        clock[0] += seconds[min(len(calls) // 3, 1)]  # slow in the first pair

    monkeypatch.setattr(pairs.time, "perf_counter", lambda: clock[0])
    measured = pairs.pairs(lambda: work("a", (9, 2)), lambda: work("b", (9, 4)), count=4)
    assert measured == {"first": 2, "second": 4, "ratio": 0.5, "pairs": 4}
    assert "".join(calls) == "baabbaabba"
