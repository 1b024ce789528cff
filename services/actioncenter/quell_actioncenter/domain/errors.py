"""What the Action Center can be told off for: each reason that its contracts name, as a class of its family.

The family (`quell_runtime.errors`) says which code a caller gets. What every service's lists refuse is in
`quell_runtime.listing`. A test holds the names of all against the contracts.
"""

from collections.abc import Sequence

from quell_runtime.errors import (
    AwayError,
    ChangedError,
    ForbiddenError,
    IdentityError,
    InvalidError,
    RangeError,
    StateError,
    TakenError,
    UnknownError,
)


class RemediationTooLargeError(InvalidError):
    """A remediation over 128 KiB serialized."""

    reason = "REMEDIATION_TOO_LARGE"


class RevertUnsupportedError(InvalidError):
    """A revert time in the past, or for a kind that can't be undone."""

    reason = "REVERT_UNSUPPORTED"


class InvestigationRequiredError(InvalidError):
    """Findings are to be evidence, and no investigation is named."""

    reason = "INVESTIGATION_REQUIRED"


class KindUnknownError(InvalidError):
    """There is no such kind of remediation."""

    reason = "KIND_UNKNOWN"


class PolicyInvalidError(InvalidError):
    """A policy document with mistakes. `mistakes` are sentences that name line and key, all of them."""

    reason = "POLICY_INVALID"

    def __init__(self, mistakes: Sequence[str], field: str = "document") -> None:
        """Keep the mistakes."""
        super().__init__("the policy can't be used: " + "; ".join(mistakes), field)
        self.mistakes = tuple(mistakes)

    @property
    def descriptions(self) -> Sequence[str]:
        """Return one for each mistake."""
        return self.mistakes


class ActionIdTakenError(TakenError):
    """The id belongs to an action with other content."""

    reason = "ACTION_ID_TAKEN"


class VoteIdTakenError(TakenError):
    """The id belongs to a vote with other content."""

    reason = "VOTE_ID_TAKEN"


class InvestigationIdTakenError(TakenError):
    """The id belongs to an investigation with other content."""

    reason = "INVESTIGATION_ID_TAKEN"


class EvidenceIdTakenError(TakenError):
    """The id and revision belong to evidence with other content."""

    reason = "EVIDENCE_ID_TAKEN"


class FeedbackIdTakenError(TakenError):
    """The id belongs to feedback with other content."""

    reason = "FEEDBACK_ID_TAKEN"


class FreezeIdTakenError(TakenError):
    """The id belongs to a freeze with other content."""

    reason = "FREEZE_ID_TAKEN"


class ActionUnknownError(UnknownError):
    """There is no such action, or the caller may not see it."""

    reason = "ACTION_UNKNOWN"


class InvestigationUnknownError(UnknownError):
    """There is no such investigation, or the caller may not see it."""

    reason = "INVESTIGATION_UNKNOWN"


class DeviceUnknownError(UnknownError):
    """There is no such device, or it is banned or offboarded."""

    reason = "DEVICE_UNKNOWN"


class EvidenceUnknownError(UnknownError):
    """There is no such evidence."""

    reason = "EVIDENCE_UNKNOWN"


class EffectUnknownError(UnknownError):
    """There is no such effect, or it is no longer in force."""

    reason = "EFFECT_UNKNOWN"


class PolicyUnknownError(UnknownError):
    """There is no such version of the policy."""

    reason = "POLICY_UNKNOWN"


class ExecutorLacksKindError(StateError):
    """No executor of the target offers the kind."""

    reason = "EXECUTOR_LACKS_KIND"


class TargetUnresolvedError(StateError):
    """There is no such device or mailbox."""

    reason = "TARGET_UNRESOLVED"


class PolicyForbidsError(StateError):
    """The policy has none of this kind for this target; metadata `rule` names the rule."""

    reason = "POLICY_FORBIDS"


class ActionNotPendingError(StateError):
    """It is decided; metadata `state` says how."""

    reason = "ACTION_NOT_PENDING"


class ActionNotUndoableError(StateError):
    """There is nothing to take back, or no longer."""

    reason = "ACTION_NOT_UNDOABLE"


class NotTheNewestError(StateError):
    """A later action owns the effect; metadata `action` names it."""

    reason = "NOT_THE_NEWEST"


class UndoOpenError(StateError):
    """Another undo of it is under way; metadata `action` names it."""

    reason = "UNDO_OPEN"


class PlanRefusedError(StateError):
    """The executor says that it can't be done; metadata `failure` has its reason."""

    reason = "PLAN_REFUSED"


class PreviewRequiredError(StateError):
    """Its target is a cluster: what the caller saw must be a preview."""

    reason = "PREVIEW_REQUIRED"


class ApprovalSealInvalidError(StateError):
    """The approval's seal does not hold."""

    reason = "SEAL_INVALID"


class SealRequiredError(StateError):
    """The policy asks for an approval under the caller's own key."""

    reason = "SEAL_REQUIRED"


class ActionEndedError(StateError):
    """It has its end; metadata `state` says which."""

    reason = "ACTION_ENDED"


class ActionNotSentError(StateError):
    """It was not sent: there is nothing to give up."""

    reason = "ACTION_NOT_SENT"


class ActionNotRetryableError(StateError):
    """It is in a state that is not tried again; metadata `state` says which."""

    reason = "ACTION_NOT_RETRYABLE"


class InvestigationEndedError(StateError):
    """It was terminated, or completed otherwise."""

    reason = "INVESTIGATION_ENDED"


class NotFrozenError(StateError):
    """Nothing is frozen."""

    reason = "NOT_FROZEN"


class ActionChangedError(ChangedError):
    """It is no longer what the etag or the preview showed."""

    reason = "ACTION_CHANGED"


class FreezeChangedError(ChangedError):
    """Another epoch holds."""

    reason = "FREEZE_CHANGED"


class PolicyChangedError(ChangedError):
    """Another version is in force."""

    reason = "POLICY_CHANGED"


class ApprovalNotPermittedError(ForbiddenError):
    """The caller asked for it, lacks the kind's right, or has voted."""

    reason = "APPROVAL_NOT_PERMITTED"


class VotedAlreadyError(ForbiddenError):
    """The caller has voted, under this or another identity."""

    reason = "VOTED_ALREADY"


class ActorTokenInvalidError(IdentityError):
    """The token is not that person's word that this service asks for this action."""

    reason = "ACTOR_TOKEN_INVALID"


class ExecutorAwayError(AwayError):
    """The executor can't be asked now."""

    reason = "EXECUTOR_AWAY"


class ResumeTokenExpiredError(RangeError):
    """What happened since then is no longer told one by one: start anew."""

    reason = "RESUME_TOKEN_EXPIRED"


class EntryUnknownError(RangeError):
    """There is no audit entry of this number."""

    reason = "ENTRY_UNKNOWN"
