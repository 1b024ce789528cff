"""What an error means to whoever typed: what to do next, and the exit code."""

import json

import click

from quell_runtime.client import Problem

UNABLE = 5
EXIT = {
    "INVALID_ARGUMENT": 2,
    "OUT_OF_RANGE": 2,
    "NOT_FOUND": 3,
    "FAILED_PRECONDITION": 4,
    "PERMISSION_DENIED": 4,
    "UNAUTHENTICATED": 4,
    "ALREADY_EXISTS": 4,
    "ABORTED": 4,
}
"""By code; what is not listed is that a service can't."""

OF_REASON = {
    # Of actions and what they are for.
    "ACTION_CHANGED": "it is no longer what you saw: quell actions preview ACTION, then decide again",
    "ACTION_ENDED": "what it did is taken back by quell actions undo ACTION",
    "ACTION_ID_TAKEN": "ask again: each call makes a new id",
    "ACTION_NOT_PENDING": "somebody decided already: quell why ACTION tells who",
    "ACTION_NOT_RETRYABLE": "only what failed, timed out or expired is tried again; else ask anew: quell actions ask",
    "ACTION_NOT_SENT": "nothing was sent, so there is nothing to give up: quell actions cancel ACTION",
    "ACTION_NOT_UNDOABLE": "quell actions show ACTION tells what it did; ask for the opposite by quell actions ask",
    "ACTION_UNKNOWN": "quell actions list --all shows them",
    "ACTOR_TOKEN_INVALID": "a token is for one action, one service and five minutes: quell token makes another",
    "APPROVAL_NOT_PERMITTED": "another person must decide: quell --as NAME actions approve ACTION",
    "BACKEND_AWAY": "the email service can't get at the mail server: its log tells why (away, certificate, password)",
    "EXECUTOR_AWAY": "wait until the device or service is back, then look again",
    "EXECUTOR_LACKS_KIND": "quell devices show DEVICE tells what it offers, and why not; what the email service offers"
    " hangs on its configuration: docs/operating.md",
    "KIND_UNKNOWN": "the README's status table names the kinds",
    "NOT_THE_NEWEST": "undo the action named above: it owns the effect now",
    "PLAN_REFUSED": "the executor can't do it, for the reason above: reject it, or ask for something else",
    "POLICY_FORBIDS": "the policy forbids it by the rule above: quell policy show",
    "PREVIEW_REQUIRED": "look first: quell actions preview ACTION, then approve with --digest",
    "REMEDIATION_TOO_LARGE": "split it: one remediation may have 128 KiB",
    "REVERT_UNSUPPORTED": "leave --revert-after out: the kind can't be taken back, or the time is over",
    "SEAL_INVALID": "seal it again with the key that people.toml has for you: quell keys show prints yours",
    "SEAL_REQUIRED": "with a key of your own (quell keys make; people.toml must have its public half) approve it by"
    " itself: quell actions approve ACTION. Many at once can't be sealed",
    "TARGET_UNRESOLVED": "name the target by its id: quell devices list",
    "UNDO_OPEN": "one undo is under way: quell actions show the action named above",
    "URL_INVALID": "give a whole URL: https://host/path",
    "VOTE_ID_TAKEN": "vote again: each call makes a new id",
    # Of investigations.
    "EVIDENCE_ID_TAKEN": "raise its `revision` if it is news, else give it another id",
    "EVIDENCE_UNKNOWN": "quell investigations show INVESTIGATION lists its evidence",
    "FEEDBACK_ID_TAKEN": "use a new feedback id",
    "INVESTIGATION_ENDED": "submit a new investigation for what is new",
    "INVESTIGATION_ID_TAKEN": "the id has other content already: use another one, or add evidence to it",
    "INVESTIGATION_REQUIRED": "findings are evidence of an investigation: name one, or leave findings_as_evidence out",
    "INVESTIGATION_UNKNOWN": "quell investigations list shows them",
    # Of effects, policy, brakes, audit.
    "EFFECT_UNKNOWN": "quell effects shows those in force",
    "ENTRY_UNKNOWN": "quell audit list shows the newest number",
    "FREEZE_CHANGED": "somebody froze or lifted meanwhile: try again",
    "FREEZE_ID_TAKEN": "try again: each call makes a new id",
    "NOT_FROZEN": "nothing to do: nothing is frozen",
    "POLICY_CHANGED": "somebody changed the policy: quell policy show, then decide again",
    "POLICY_INVALID": "put right the lines above: quell policy check FILE",
    "POLICY_UNKNOWN": "quell policy show prints the one in force, with its number",
    "VOTED_ALREADY": "one more person is needed: quell --as NAME unfreeze",
    # Of devices, mailboxes, artifacts.
    "ARTIFACT_DAMAGED": "what is left of it can't be given out: ask the device for it anew",
    "ARTIFACT_UNKNOWN": "quell artifacts list shows them; each is thrown away in time",
    "AUDIT_AWAY": "nothing is given out unless it can be written down: is the Action Center up?",
    "DIGEST_MISMATCH": "try again; if it stays, what is stored is not what was brought in",
    "FILE_TAKEN": "name a file that is not there yet",
    "CSR_INVALID": "start the agent again: it makes a new request",
    "DEVICE_OFFBOARDED": "it left our care; the machine can be enrolled anew: quell devices enrol-token",
    "DEVICE_BANNED": "it is shut out for good; the machine can be enrolled anew: quell devices enrol-token",
    "DEVICE_UNKNOWN": "quell devices list shows them",
    "DEVICE_GONE": "it is banned or offboarded: the machine can be enrolled anew, as another device",
    "CONTENT_DAMAGED": "it can't be shown, nor released: restore the email service's data folder from a backup",
    "MESSAGE_UNPARSABLE": "nothing of it can be shown safely; release or leave it by what the list tells",
    "NOT_IN_QUARANTINE": "it was released or purged: quell quarantine list tells which",
    "QUARANTINED_MESSAGE_UNKNOWN": "quell quarantine list shows them",
    "FORWARDINGS_UNKNOWN": "tell the email service how scripts are reached (homes or [managesieve]), and its domains",
    "MAILBOX_UNKNOWN": "is the address right, and the mailbox where the email service looks (maildirs or [imap])?",
    "OFFSET_INVALID": "start from the beginning",
    "TOKEN_INVALID": "a token counts once and ten minutes: quell devices enrol-token makes another",
    # Of questions.
    "DEADLINE_REQUIRED": "give a deadline of at most 60 s",
    "FIELD_INVALID": "put right the fields above; protos/ tells what each may be",
    "FILTER_INVALID": "a filter is comparisons joined by AND: 'state = PENDING_APPROVAL AND kind = block_url'",
    "ID_AMBIGUOUS": "give more of it",
    "INVALID": "put right what is named above; protos/ tells what it may be",
    "ORDER_INVALID": "leave the order out, or take one that is named above",
    "PAGE_TOKEN_INVALID": "start from the first page",
    "RESUME_TOKEN_EXPIRED": "watch anew",
    # Of the way there.
    "CALLER_BUSY": "you have too many calls under way: wait for some",
    "COMMIT_UNKNOWN": "it may have been done: look before you ask again",
    "CONFIG_INVALID": "put that file right, or make a new deployment: quell up --data OTHER",
    "IDENTITY_INVALID": "use a certificate that this deployment made and that has not run out",
    "INTERNAL": "give the reference above to whoever runs it; the service's log has it",
    "NOT_PERMITTED": "ask as somebody who may: quell --as NAME; people.toml says who has which role",
    "NOT_SERVED_YET": "this version does not serve it: the README's status table tells what it does",
    "NOT_SET_UP": "quell up --data DIR makes and starts a deployment; --as takes one of its people",
    "PEER_AWAY": "the services are not all up: quell up's window or DIR/logs tells which",
    "STOPPING": "it is being stopped: try again when it is back",
    "STORE_FULL": "free space on the service's disk; reading, undo, cancel and freeze still work",
}
OF_CODE = {
    "DEADLINE_EXCEEDED": "the service is slow or away: try again; an id is made once, so nothing is done twice",
    "UNAUTHENTICATED": "the certificate does not count there: was it made by this deployment?",
    "UNAVAILABLE": "is it running? quell up --data DIR starts it; DIR/logs tells why it stopped",
}
"""For answers that name no reason, since no service of ours gave them."""
ANYTHING = "try again; if it stays, DIR/logs tells more"


def advice(found: Problem) -> str:
    """Return what to do next; of a plan that was refused, about the reason for it."""
    return (
        OF_REASON.get(found.metadata.get("failure", ""))
        or OF_REASON.get(found.reason)
        or OF_CODE.get(found.code.name)
        or ANYTHING
    )


def exit_code(found: Problem) -> int:
    """Return with which code the command ends."""
    return EXIT.get(found.code.name, UNABLE)


def tell(found: Problem, *, as_json: bool) -> None:
    """Say on stderr what is wrong and what to do next: to people, or as one line of JSON."""
    if as_json:
        error = {
            "code": found.code.name,
            "reason": found.reason,
            "message": found.message,
            "metadata": dict(found.metadata),
            "violations": [{"field": field, "description": text} for field, text in found.violations],
            "next": advice(found),
        }
        click.echo(json.dumps({"error": error}), err=True)
        return
    click.echo(f"quell: {found.message}" + (f" ({found.reason})" if found.reason else ""), err=True)
    for key, value in (*found.violations, *sorted(found.metadata.items())):
        if value not in found.message:
            click.echo(f"  {key}: {value}", err=True)
    click.echo(f"  next: {advice(found)}", err=True)
