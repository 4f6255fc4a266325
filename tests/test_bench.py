"""The benchmark: what it compares, in which order, and that a task's answer is read back."""

import pytest
from bench import __main__ as runner
from bench import lines, page


def row(line, side, pair, seconds, **more):
    return {"name": line.name, "side": side, "pair": pair, "seconds": seconds, **more}


def line_of(compare):
    return next(line for line in lines.LINES if line.compare is compare)


def test_a_ratio_is_of_a_pair_and_its_median_is_held_against_the_target():
    line = line_of(lines.seconds)
    pairs = [(3.0, 2.0), (1.0, 2.0), (1.8, 2.0)]
    rows = [
        row(line, side, i, seconds)
        for i, pair in enumerate(pairs)
        for side, seconds in zip(("ours", "theirs"), pair, strict=True)
    ]
    rows.append(row(line, "ours", 3, 9.0))  # a pair that is not whole
    assert page.ratios(line, rows) == [1.5, 0.5, 0.9]
    (told,) = page.line_rows(rows)
    assert told[2:] == ["2.4 s", "2.0 s", "0.90 [0.50, 1.50]", "≤ 1.00: met", "3"]
    assert page.slower(rows, {line.name: [0.7, 0.8]})
    assert not page.slower(rows, {line.name: [0.7, 0.95]})


def test_memory_pace_and_time_until_as_good():
    ours, theirs = {"seconds": 4.0, "images": 20}, {"seconds": 3.0, "images": 10}
    assert lines.pace(ours, theirs) == pytest.approx((4 / 20) / (3 / 10))
    assert lines.memory({"peak_mb": 300}, {"peak_mb": 200}) == 1.5
    curve = {"curve": [(1.0, -130.0), (2.0, -110.0), (3.0, -105.0)]}
    bare = {"curve": [(2.0, -120.0), (4.0, -110.0)]}
    assert lines.until_as_good(curve, bare) == 2 / 4
    assert lines.until_as_good(bare, curve) == float("inf")


def test_growth_is_told_as_a_power():
    growth = lines.GROWTHS[0]
    assert page.power(growth, [1.0, 2.0, 8.0]) == pytest.approx(2)
    rows = [
        {"name": growth.title, "side": "ours", "pair": n, "seconds": n / 100, "peak_mb": 500.0}
        for n in growth.sizes
    ]
    assert page.growth_rows(rows)[0][4] == "1.00"
    assert not page.growth_rows(rows[:-1])


def test_sides_take_turns_and_every_line_has_a_pair_before_the_next():
    wanted = list(runner.todo(2, full=True, only="bare loop"))
    names = [name for name, _, pair, _ in wanted if not pair]
    assert len(wanted) == 2 * len(names)
    assert [side for _, side, pair, _ in wanted if not pair] == ["ours", "theirs"] * (
        len(names) // 2
    )
    assert [side for _, side, pair, _ in wanted if pair] == ["theirs", "ours"] * (len(names) // 2)
    quick = list(runner.todo(1, full=False, only="bare loop"))
    assert {call[1].get("epochs") for *_, call in quick} == {6, 3}
    assert len({(name, side, pair) for name, side, pair, _ in wanted}) == len(wanted)
    until = [call for name, _, pair, call in wanted if pair and "until" in name]
    assert [arguments["seed"] for _, arguments in until] == [1, 1]


def test_what_was_measured_is_not_measured_again(tmp_path, monkeypatch):
    calls = []

    def measured(call):
        calls.append(call)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return {"seconds": float(len(calls))}

    monkeypatch.setattr(runner, "measure", measured)
    wanted = [("a", "ours", 0, ("t", {})), ("a", "theirs", 0, ("t", {}))]
    with pytest.raises(KeyboardInterrupt):
        runner.results(tmp_path / "r.jsonl", wanted)
    rows = runner.results(tmp_path / "r.jsonl", wanted)
    assert [(r["side"], r["seconds"]) for r in rows] == [("ours", 1.0), ("theirs", 3.0)]


def test_a_task_answers_from_a_process_of_its_own():
    answer = runner.measure(("program", {"arguments": ["-c", "pass"]}))
    assert 0 < answer["seconds"] < 60
    assert answer["peak_mb"] > 10


def test_the_page_has_a_table_a_part_and_the_machine():
    line = line_of(lines.memory)
    rows = [row(line, side, 0, 1.0, peak_mb=mb) for side, mb in (("ours", 230), ("theirs", 200))]
    text = page.page(rows, {"commit": "abc", "cores": "2"})
    assert "commit abc, cores 2." in text
    assert "| 230 MB | 200 MB | 1.15 [1.15, 1.15] | ≤ 1.15: met | 1 |" in text
