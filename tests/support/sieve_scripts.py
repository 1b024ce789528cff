"""Random Sieve scripts, for Hypothesis: what people's filters are made of, written in every way that the syntax has."""

from hypothesis import strategies as st

REQUIRE = 'require ["copy", "variables", "encoded-character", "enotify", "fileinto", "imap4flags", "relational"];'
OURS = ("ann@corp.test", "team@corp.test", "Bob@CORP.test")
OUTSIDE = ("x@evil.test", "y@corp.test.evil.test", "z@sub.corp.test")
VARIABLES = ("to", "To", "b_2", "TO")
LINE_ENDS = ("\n", "\r\n")
GAPS = st.sampled_from([" ", "\n", "\t", "  ", "\r\n", " # a note; redirect\n", '/* redirect "x@evil.test"; */', " "])


@st.composite
def addresses(draw: st.DrawFn) -> str:
    """Draw an address, a variable, or a part of one."""
    address = draw(st.sampled_from([*OURS, *OUTSIDE, *(f"${{{name}}}" for name in VARIABLES)]))
    return draw(st.sampled_from([address, address.replace("@", "${hex:40}"), address.replace(".", "${unicode: 2E}")]))


@st.composite
def strings(draw: st.DrawFn, content: st.SearchStrategy[str]) -> str:
    """Draw a way to write a string."""
    text = draw(content)
    end = draw(st.sampled_from(LINE_ENDS))
    return draw(
        st.sampled_from(
            [f'"{text}"', f'"\\{text}"' if text[0].isalpha() else f'"{text}"', f"text:{end}{text}{end}.{end}"]
        )
    )


@st.composite
def commands(draw: st.DrawFn, *parts: st.SearchStrategy[str]) -> str:
    """Draw a command of parts, with gaps between them."""
    words = [draw(part) for part in parts]
    return "".join(word + draw(GAPS) for word in words) + ";"


def _plain(text: str) -> st.SearchStrategy[str]:
    return st.just(text)


_FOLDERS = strings(st.sampled_from(["Lists", "Work", "INBOX"]))
_URIS = st.builds('"{}:{}"'.format, st.sampled_from(["mailto", "MailTo"]), st.sampled_from([*OURS, *OUTSIDE]))
ACTIONS = st.one_of(
    commands(st.sampled_from(["redirect", "REDIRECT"]), strings(addresses())),
    commands(_plain("redirect"), st.sampled_from([":copy", ":COPY"]), strings(addresses())),
    commands(_plain("fileinto"), _FOLDERS),
    commands(_plain("fileinto"), _plain(":copy"), _FOLDERS),
    commands(_plain("notify"), _URIS),
    commands(st.sampled_from(["keep", "discard", "stop", 'addflag "seen"'])),
    commands(_plain("redirect"), strings(st.sampled_from(["${to}", "${b_2}"]))),
    commands(_plain("set"), st.sampled_from([f'"{name}"' for name in VARIABLES]), strings(addresses())),
)
TESTS = st.sampled_from(
    [
        *("true", "false", "not true", 'header :is "subject" "report"', 'header :contains ["from", "to"] "nobody"'),
        *('allof (true, exists "from")', 'anyof (false, not exists ["x-none"])', "size :over 1K"),
    ]
)


def _choices(blocks: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    others = st.lists(st.tuples(TESTS, blocks), max_size=2)

    def written(test: str, block: str, more: list[tuple[str, str]], last: str | None) -> str:
        chain = "".join(f" elsif {each}\n{{{inner}}}" for each, inner in more)
        return f"if {test} {{{block}}}{chain}" + (f" else{{{last}}}" if last is not None else "")

    return st.builds(written, TESTS, blocks, others, st.none() | blocks)


def _blocks(within: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(st.tuples(within, GAPS).map("".join), max_size=3).map("".join)


def scripts() -> st.SearchStrategy[bytes]:
    """Return scripts that a server accepts."""
    lines = st.tuples(st.recursive(ACTIONS, lambda inner: _choices(_blocks(inner)), max_leaves=6), GAPS).map("".join)
    return st.lists(lines, min_size=1, max_size=5).map(lambda them: f"{REQUIRE}\n{''.join(them)}".encode())
