"""A rule that finds what can't all be malicious stops counting; the others count on."""

import hashlib
from pathlib import Path

from quell_agent.scan import Hit, Seen
from quell_agent.scan_breaker import PACKAGED_FILES, SHARE_FROM_FILES, Breaker, Intact


def seen(path: str, *rules: str) -> Seen:
    """Return a file that some rules match."""
    return Seen(path, read=True, hits=[Hit(rule, "", "yara") for rule in rules])


def test_a_rule_that_finds_packaged_files_stops_counting() -> None:
    """A few may be chance; one more is not. Another rule on the same files is judged for itself."""
    breaker = Breaker(10_000, lambda path: path.startswith("/usr/bin/"))
    for number in range(PACKAGED_FILES):
        assert breaker.counting(seen(f"/usr/bin/{number}", "broad"))
    assert breaker.counting(seen("/tmp/x", "broad", "good"))  # noqa: S108 - a name
    assert not breaker.counting(seen("/usr/bin/last", "broad"))
    assert breaker.tripped.keys() == {"broad"}
    assert [hit.rule for hit in breaker.counting(seen("/tmp/y", "broad", "good"))] == ["good"]  # noqa: S108


def test_a_rule_that_finds_a_tenth_of_all_stops_counting() -> None:
    """Only where that is many: a folder full of samples is what a scan is for."""
    few, many = Breaker(SHARE_FROM_FILES - 1, lambda _: False), Breaker(SHARE_FROM_FILES, lambda _: False)
    for number in range(SHARE_FROM_FILES - 1):
        assert few.counting(seen(str(number), "x"))
        assert many.counting(seen(str(number), "x"))
    assert not many.counting(seen("last", "x"))
    assert few.tripped == {}
    assert many.tripped.keys() == {"x"}


def test_a_member_counts_its_file_once() -> None:
    """An archive in which a rule matches often is one file."""
    breaker = Breaker(10_000, lambda _: True)
    archive = Seen("/usr/share/a.zip", read=True, hits=[Hit("x", str(number), "yara") for number in range(50)])
    assert len(breaker.counting(archive)) == 50
    assert breaker.tripped == {}


def test_only_what_is_as_it_came_is_packaged(tmp_path: Path) -> None:
    """A packaged file that was changed since is none; nor is a stranger's, nor anything without dpkg."""
    file, stranger = tmp_path / "file", tmp_path / "stranger"
    for path in (file, stranger):
        path.write_bytes(b"as it came")
    database = tmp_path / "dpkg"
    (database / "info").mkdir(parents=True)
    digest = hashlib.md5(b"as it came", usedforsecurity=False).hexdigest()
    (database / "info/x.md5sums").write_text(f"{digest}  {str(file)[1:]}\n")
    assert not Intact(tmp_path / "nothing")(str(file))
    (database / "status").write_text("")
    assert Intact(database)(str(file))
    assert not Intact(database)(str(stranger))
    file.write_bytes(b"changed since")
    assert not Intact(database)(str(file))
