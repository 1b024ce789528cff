"""How an action is born, and what bears on that whoever asks: protections, exclusions, how many people."""

from dataclasses import dataclass, replace

from quell_actioncenter.domain.lifecycle import Event
from quell_actioncenter.domain.policy_document import Policy, Things
from quell_runtime.kinds import Kind, kinds


@dataclass(frozen=True, slots=True)
class Decision:
    """How an action is born: LET, ASKED or HELD_BACK, by which rule, and what its approval needs if people decide.

    `permission` is what its voters must hold, `votes` how many must approve; `held_votes` are needed if a budget holds
    what would be let happen.
    """

    event: Event
    rule: str
    permission: str
    votes: int = 0
    reasons: tuple[str, ...] = ()
    held_votes: int = 1

    def held(self, reason: str) -> "Decision":
        """Return the decision, held for one more reason."""
        return replace(self, event=Event.HELD_BACK, votes=self.held_votes, reasons=(*self.reasons, reason))


def acting_kind(kind: Kind, *, undo: bool) -> Kind:
    """Return the kind that counts for rights, freeze and queues: of an undo, if there can be one, the inverse."""
    return kinds()[kind.inverse] if undo and kind.undoable else kind


def create_permission(kind: str) -> str:
    """Return what who asks for the kind must hold."""
    return f"{kind}.create"


def approve_permission(kind: str) -> str:
    """Return what who decides on the kind must hold."""
    return f"{kind}.approve"


def people(policy: Policy, kind: str, *, held: bool) -> int:
    """Return how many people must stand behind an action of the kind."""
    if policy.single_operator:
        return 1
    usual = policy.approvals.kinds.get(kind, policy.approvals.default)
    return max(usual, policy.approvals.held) if held else usual


def sealed(policy: Policy, kind: str) -> tuple[str, ...]:
    """Return why people must seal their approvals of the kind: one reason, or none."""
    return (f"{kind} needs approvals under people's own keys",) if kind in policy.approvals.sealed else ()


def exclusion(policy: Policy, kind: str, touched: Things) -> str:
    """Return the name of the exclusion that forbids the kind on what it touches, or an empty string."""
    for one in policy.exclusions:
        if (not one.kinds or kind in one.kinds) and one.things.among(touched):
            return one.name
    return ""


def protection(policy: Policy, touched: Things) -> tuple[str, ...]:
    """Return why what is touched is protected: one reason, or none."""
    thing = policy.protected.among(touched)
    return (f"{thing} is protected",) if thing else ()
