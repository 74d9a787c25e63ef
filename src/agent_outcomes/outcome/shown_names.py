# SPDX-License-Identifier: Apache-2.0
"""What of a text that stands in an error's name may be shown: the name of a class or a code, and never a message.

Some instrumentations write the whole text of an error where its class belongs (`error.type` of AWS' distribution for
CrewAI). A message may hold anything that its user has said, and is another one for every error.
"""

from __future__ import annotations

from typing import Final

from agent_outcomes.outcome.error_names import is_known_word, rule_by_name, rule_by_word
from agent_outcomes.outcome.patterns import Pattern

# A class of any language, a code, an address behind one as AWS writes it: without blanks, but for the arguments of a
# generic type and the code that Node.js puts behind a class. Python shows a class as `<class 'X'>`.
_ARGUMENTS: Final = r"[\w.$:,&?*\[\]<> +'=`-]*"
_PART: Final = r"[\w.$:#/\\+*&?`~-]"
_NAME: Final = Pattern(rf"<class '[\w.<>]+'>|{_PART}+(?:(?:<{_ARGUMENTS}>|\[{_ARGUMENTS}\]){_PART}*)?(?: \[\w+\])?")
# A class with its message behind it, as most languages print an exception, and what they print before it. Koog joins
# what its user calls a client, and a status, to the class.
_RAISED: Final = Pattern(
    r"(?:Traceback \(most recent call last\):\n(?:[ ].*\n)*|Exception in thread \"[^\"]*\" |Uncaught"
    r" |Unhandled exception\. )?([\w.$:\\]+?)(?::\s|\(|-[^\n]{0,200}-httpCode=)"
)
_ERROR: Final = Pattern(r"(?:Error|Exception)$")
_SPELLED: Final = Pattern(r"[\w -]+")


def is_name(text: str) -> bool:
    """Whether a text is the name of a class or a code by its form."""
    # What is written without blanks between words has letters of no case.
    if not text.isascii() and any(char.isalpha() and char.lower() == char.upper() for char in text):
        return False
    return _NAME.fullmatch(text) is not None


def shown_name(text: str) -> str | None:
    """The name that a text is or begins with; `None` for a message. A code may be spelled with blanks."""
    if is_name(text) or (_SPELLED.fullmatch(text) is not None and is_known_word(text)):
        return text
    found = _RAISED.match(text)
    if found is None:
        return None
    name = str(found[1])
    is_class = _ERROR.search(name) is not None or rule_by_name(name) is not None or rule_by_word(name) is not None
    return name if is_class else None
