# SPDX-License-Identifier: Apache-2.0
"""Forms that a browser sends, read with a bound: URL-encoded fields, each once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Mapping

FORM_MAX_BYTES: Final = 64 * 2**10
FORM_FIELDS_MAX: Final = 40
FORM_TYPE: Final = "application/x-www-form-urlencoded"


class FormError(Exception):
    """What was sent is no form of ours; `status` is that of the answer, the text says why."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(status, text)
        self.status = status
        self.text = text


async def read_form(content_type: str, body: AsyncIterable[bytes]) -> Mapping[str, str]:
    """The fields of a form that are not blank, trimmed. Raises `FormError`."""
    if content_type.partition(";")[0].strip().lower() != FORM_TYPE:
        raise FormError(415, "This page takes forms only; programs report over /v1/runs.")
    content = bytearray()
    async for part in body:
        content += part
        if len(content) > FORM_MAX_BYTES:
            raise FormError(413, f"A form takes at most {FORM_MAX_BYTES // 2**10} KiB.")
    return parse_fields(bytes(content))


def parse_fields(content: bytes) -> Mapping[str, str]:
    """The fields of an encoded form. Raises `FormError`."""
    try:
        pairs = parse_qsl(
            content.decode("ascii"), keep_blank_values=True, max_num_fields=FORM_FIELDS_MAX, errors="strict"
        )
    except ValueError:
        raise FormError(400, "This form cannot be read; load the page again and send it once more.") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise FormError(400, "A field was sent twice; load the page again and send it once more.")
    return {name: value.strip() for name, value in fields.items() if value.strip()}
