"""Which copies are lacking, and which came twice."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from quell_email.domain.mailboxes import Place, lacking
from quell_email.imap.ledger import Moving

FOLDERS, FLAGS = st.sampled_from(["INBOX", "Later"]), st.sampled_from([(), ("\\Seen",)])
PLACES = st.lists(st.builds(Place, FOLDERS, FLAGS, st.just(()), st.sampled_from([1, 2])), max_size=6)
DIGESTS = st.sampled_from(["a", "b"])


@given(PLACES, PLACES)
def test_each_copy_that_is_there_counts_for_one_place_of_its_folder(wanted: list[Place], there: list[Place]) -> None:
    """In the end each folder has as many as are wanted, or more; those that are alike are not added again."""
    found = lacking(wanted, there)
    folders = Counter(place.folder for place in there)
    needed = Counter(place.folder for place in wanted) - folders
    assert Counter(place.folder for place in found) == needed
    assert lacking(wanted, [*there, *found]) == []
    assert lacking(wanted, wanted) == []


def test_a_copy_that_was_flagged_since_counts() -> None:
    """Its user has read it."""
    assert lacking([Place("INBOX")], [Place("INBOX", ("\\Seen",))]) == []
    assert lacking([Place("INBOX")], [Place("Later")]) == [Place("INBOX")]


@given(st.lists(DIGESTS, max_size=6), st.data())
def test_after_what_came_twice_is_removed_each_is_there_once(digests: list[str], data: st.DataObject) -> None:
    """Wherever a move breaks off: all are here and some arrived as well, or all arrived and some are here as well."""
    copies = dict(enumerate(digests, start=1))
    some = data.draw(st.sets(st.sampled_from(sorted(copies)))) if copies else set()
    for arrived, here in ((some, copies.keys()), (copies.keys(), some)):
        there = {100 + uid: copies[uid] for uid in arrived}
        doubled = Moving("INBOX", 1, "hold", 2, 100, copies).doubled(list(here), there)
        left = [digest for uid, digest in there.items() if uid not in doubled]
        assert Counter(left) + Counter(copies[uid] for uid in here) == Counter(digests)
