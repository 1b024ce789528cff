"""What is known of the Sieve language: the closed world outside which nothing can be told.

A command that is not here may send mail wherever it likes, and a tag may change what an argument means.
"""

from collections.abc import Iterator, Mapping, Sequence

from quell_email.sieve.tree import Argument, Node, Strings, Tag, walk


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


EXTENSIONS = _words("""
    body copy date duplicate editheader enclose encoded-character enotify envelope environment ereject extlists
    extracttext fcc fileinto foreverypart ihave imap4flags imapflags imapsieve include index mailbox mailboxid
    mboxmetadata mime notify redirect-deliverby redirect-dsn regex reject relational replace servermetadata spamtest
    spamtestplus special-use subaddress vacation vacation-seconds variables virustest vnd.dovecot.debug
    vnd.dovecot.environment vnd.dovecot.imapsieve vnd.dovecot.report
""")
"""Extensions of which every command is here. Not here, since they run programs: vnd.dovecot.{pipe,filter,execute}."""
COMPARATOR = "comparator-"

CONTROLS = _words("require if elsif else stop foreverypart break include global import export return error")
ACTIONS = _words("""
    keep discard fileinto redirect reject ereject vacation notify denotify set setflag addflag removeflag mark unmark
    addheader deleteheader replace enclose extracttext report debug_log
""")
TESTS = _words("""
    address allof anyof body currentdate date duplicate envelope environment exists false hasflag header ihave
    mailboxexists mailboxidexists metadata metadataexists not notify_method_capability servermetadata
    servermetadataexists size spamtest specialuse_exists string true valid_ext_list valid_notify_method virustest
""")
KNOWN = CONTROLS | ACTIONS | TESTS
FORWARDS = frozenset({"redirect", "notify", "report"})
LOSES = frozenset({"discard", "reject", "ereject"})
"""Actions after which a message is nowhere, unless another one keeps it."""

MODIFIERS = dict.fromkeys(_words("lower upper lowerfirst upperfirst quotewildcard quoteregex encodeurl length"), 0)
TAGS: Mapping[str, Mapping[str, int]] = {
    "redirect": {
        **dict.fromkeys(_words("copy bytrace"), 0),
        **dict.fromkeys(_words("notify ret bymode bytimerelative bytimeabsolute"), 1),
    },
    "notify": {
        **dict.fromkeys(_words("create low normal high"), 0),
        **dict.fromkeys(_words("from importance options message fcc flags specialuse mailboxid method id"), 1),
    },
    "report": {"headers_only": 0},
    "set": MODIFIERS,
    "extracttext": {"first": 1, **MODIFIERS},
}
"""How many arguments each tag of a command has."""


class UnclearError(ValueError):
    """It can't be told what the script does. The argument says why, for people."""


def split(node: Node) -> tuple[Mapping[str, Sequence[Argument]], Sequence[Argument]]:
    """Return a command's tags with their arguments, and its other arguments.

    Raises:
        UnclearError: A tag is unknown.

    """
    known = TAGS.get(node.name, {})
    tags: dict[str, Sequence[Argument]] = {}
    others: list[Argument] = []
    arguments = iter(node.arguments)
    for argument in arguments:
        if not isinstance(argument, Tag):
            others.append(argument)
        elif argument.name in known:
            tags[argument.name] = [value for _, value in zip(range(known[argument.name]), arguments, strict=False)]
        else:
            raise UnclearError(f"{node.name} with :{argument.name} is not known")
    return tags, others


def extensions(commands: Sequence[Node]) -> frozenset[str]:
    """Return the extensions that a script uses, or may."""
    return frozenset(_named(commands))


def _named(commands: Sequence[Node]) -> Iterator[str]:
    for node in walk(commands):
        if node.name in ("require", "ihave"):
            for argument in node.arguments:
                if isinstance(argument, Strings):
                    yield from (value.decode("ascii", "replace") for value in argument.values)


def check_known(commands: Sequence[Node]) -> None:
    """Hold a script against the closed world.

    Raises:
        UnclearError: Something in it is unknown.

    """
    used = extensions(commands)
    strange = {name for name in used - EXTENSIONS if not name.startswith(COMPARATOR)}
    if strange:
        raise UnclearError(f"the extension {min(strange)[:50]} is not known")
    for node in walk(commands):
        if node.name not in KNOWN:
            raise UnclearError(f"the command {node.name[:50]} is not known")
        if node.name == "include" and Tag("global") in node.arguments and _shares(commands):
            raise UnclearError("a script of the server's gets variables from it")


def _shares(commands: Sequence[Node]) -> bool:
    """Tell whether scripts that it includes see variables of its own."""
    return any(node.name in ("global", "export") or _says(node, b"global.") for node in walk(commands))


def _says(node: Node, start: bytes) -> bool:
    strings = (value for part in node.arguments if isinstance(part, Strings) for value in part.values)
    return any(value.lower().startswith(start) for value in strings)
