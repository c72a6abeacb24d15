"""DynamoDB, S3 and SQS in memory, as far as the product calls them: one table, one bucket, one queue.

moto answers the same through boto3, a hundred times slower; tests/stateful/test_memory.py holds the two together.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import io
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from typing import Any

Item = dict[str, Any]
Key = tuple[str, str]


class Refused(Exception):
    """An error code that a service answers."""

    def __init__(self, code: str, status: int = 400, reasons: list[str] | None = None) -> None:
        super().__init__(code)
        self.response = {
            "Error": {"Code": code, "Message": "in memory"},
            "ResponseMetadata": {"HTTPStatusCode": status},
            "CancellationReasons": [{"Code": reason} for reason in reasons or []],
        }


@dataclass(frozen=True)
class Stored:
    """An object of the bucket."""

    body: bytes
    etag: str
    modified: datetime.datetime
    crc32: str | None


@dataclass
class Memory:
    """What the services hold. ``on_change(old, new)`` hears of each change of the table."""

    now: Callable[[], datetime.datetime]
    on_change: Callable[[Item | None, Item | None], None] = lambda old, new: None
    table: dict[Key, Item] = field(default_factory=dict)
    before: list[tuple[datetime.datetime, Key, Item | None]] = field(default_factory=list)
    """What each change replaced, and when."""
    objects: dict[str, Stored] = field(default_factory=dict)
    written: dict[str, bytes] = field(default_factory=dict)  # whether it is there still or not
    uploads: dict[str, tuple[str, dict[int, bytes]]] = field(default_factory=dict)
    completed: set[str] = field(default_factory=set)
    letters: list[str] = field(default_factory=list)
    _numbers: int = 0

    # DynamoDB

    def get_item(self, Key: Item, **_: Any) -> Item:  # noqa: N803
        item = self.table.get(_plain(Key))
        return {"Item": dict(item)} if item else {}

    def update_item(self, **request: Any) -> Item:
        key = _plain(request["Key"])
        old = self.table.get(key)
        self._require([self._holds(request, old)])
        new = update(request["UpdateExpression"])(old or request["Key"], _given(request))
        self._write(key, new)
        return {"Attributes": dict(new)} if request.get("ReturnValues") == "ALL_NEW" else {}

    def delete_item(self, **request: Any) -> Item:
        key = _plain(request["Key"])
        self._require([self._holds(request, self.table.get(key))])
        self._write(key, None)
        return {}

    def transact_write_items(self, TransactItems: list[Item], **_: Any) -> Item:  # noqa: N803
        writes: list[tuple[Key, Item | None]] = []
        held = []
        for each in TransactItems:
            ((kind, request),) = each.items()
            key = _plain(request["Item"] if kind == "Put" else request["Key"])
            assert kind in ("Put", "Delete")
            held.append(self._holds(request, self.table.get(key)))
            writes.append((key, dict(request["Item"]) if kind == "Put" else None))
        self._require(held, transaction=True)
        for key, item in writes:
            self._write(key, item)
        return {}

    def query(self, age: float = 0, **request: Any) -> Item:
        holds, given = condition(request["KeyConditionExpression"]), _given(request)
        found = [item for item in self._items(request.get("IndexName"), age) if holds(item, given)]
        if request.get("Select") == "COUNT":
            return {"Count": len(found)}
        found.sort(key=lambda item: item["export_id"]["S"], reverse=not request.get("ScanIndexForward", True))
        return {"Items": found, "Count": len(found)}

    def scan(self, age: float = 0, **request: Any) -> Item:
        found = self._items(request.get("IndexName"), age)
        if "FilterExpression" in request:
            assert request["FilterExpression"] == "begins_with(active_owner, :tenant)"
            start = request["ExpressionAttributeValues"][":tenant"]["S"]
            found = [item for item in found if item["active_owner"]["S"].startswith(start)]
        if request.get("Select") == "COUNT":
            return {"Count": len(found)}
        return {"Items": found, "Count": len(found)}

    def _items(self, index: str | None, age: float) -> list[Item]:
        """The items of an index as they were so many seconds ago, or those of the table."""
        if index is None:
            return list(self.table.values())
        assert index == "ActiveExports"
        then, since = dict(self.table), self.now() - datetime.timedelta(seconds=age)
        for moment, key, old in reversed(self.before):
            if moment <= since:
                break
            then.pop(key, None)
            if old:
                then[key] = old
        projected = ("active_owner", "owner", "export_id")
        return [{name: item[name] for name in projected} for item in then.values() if "active_owner" in item]

    def _holds(self, request: Item, item: Item | None) -> bool:
        if "ConditionExpression" not in request:
            return True
        return bool(condition(request["ConditionExpression"])(item or {}, _given(request)))

    def _require(self, held: list[bool], transaction: bool = False) -> None:
        if all(held):
            return
        if transaction:
            reasons = ["None" if each else "ConditionalCheckFailed" for each in held]
            raise Refused("TransactionCanceledException", reasons=reasons)
        raise Refused("ConditionalCheckFailedException")

    def _write(self, key: Key, new: Item | None) -> None:
        old = self.table.get(key)
        if old == new:
            return
        self.before.append((self.now(), key, old))
        self.table.pop(key, None)
        if new:
            self.table[key] = new
        self.on_change(old, new)

    # S3

    def put_object(self, Key: str, Body: Any, ChecksumCRC32: str | None = None, **_: Any) -> Item:  # noqa: N803
        body = Body if isinstance(Body, bytes) else Body.read()
        if not isinstance(Body, bytes):
            Body.seek(0)  # the SDK may send it again
        assert ChecksumCRC32 in (None, _checksum(body))
        return {"ETag": self._store(Key, body, f'"{hashlib.md5(body).hexdigest()}"').etag}

    def get_object(self, Key: str, Range: str = "", IfMatch: str | None = None, **_: Any) -> Item:  # noqa: N803
        stored = self._stored(Key, IfMatch)
        size, found = len(stored.body), re.fullmatch(r"bytes=(\d*)-(\d+)", Range)
        start, end = 0, size
        if found:
            start, end = (int(found[1]), int(found[2]) + 1) if found[1] else (max(0, size - int(found[2])), size)
        body = stored.body[start:end]
        answer = {"Body": io.BytesIO(body), "ETag": stored.etag, "ContentLength": len(body)}
        if not found:
            return answer
        told = f"bytes {start}-{start + len(body) - 1}/{size}"
        return answer | {"ContentRange": told, "ResponseMetadata": {"HTTPHeaders": {"content-range": told}}}

    def head_object(self, Key: str, ChecksumMode: str = "", **_: Any) -> Item:  # noqa: N803
        if Key not in self.objects:
            raise Refused("404", 404)
        stored = self.objects[Key]
        found = {"ETag": stored.etag, "ContentLength": len(stored.body), "LastModified": stored.modified}
        return found | ({"ChecksumCRC32": stored.crc32} if ChecksumMode and stored.crc32 else {})

    def delete_object(self, Key: str, **_: Any) -> Item:  # noqa: N803
        self.objects.pop(Key, None)
        return {}

    def delete_objects(self, Delete: Item, **_: Any) -> Item:  # noqa: N803
        for each in Delete["Objects"]:
            self.objects.pop(each["Key"], None)
        return {}

    def list_objects_v2(self, Prefix: str, Delimiter: str = "", **_: Any) -> Item:  # noqa: N803
        keys = sorted(key for key in self.objects if key.startswith(Prefix))
        found: Item = {}
        if Delimiter:
            inside = {key: key[len(Prefix) :].split(Delimiter)[0] for key in keys if Delimiter in key[len(Prefix) :]}
            found["CommonPrefixes"] = [{"Prefix": f"{Prefix}{each}{Delimiter}"} for each in sorted({*inside.values()})]
            keys = [key for key in keys if key not in inside]
        found["Contents"] = [
            {"Key": key, "LastModified": each.modified, "ETag": each.etag, "Size": len(each.body)}
            for key, each in ((key, self.objects[key]) for key in keys)
        ]
        return found | {"KeyCount": sum(map(len, found.values()))}

    def create_multipart_upload(self, Key: str, **_: Any) -> Item:  # noqa: N803
        self._numbers += 1
        self.uploads[str(self._numbers)] = (Key, {})
        return {"UploadId": str(self._numbers)}

    def upload_part(self, UploadId: str, PartNumber: int, Body: bytes, **_: Any) -> Item:  # noqa: N803
        self._upload(UploadId)[1][PartNumber] = Body
        return {"ETag": hashlib.md5(Body).hexdigest()}

    def complete_multipart_upload(
        self,
        UploadId: str,  # noqa: N803
        MultipartUpload: Item,  # noqa: N803
        ChecksumCRC32: str,  # noqa: N803
        **_: Any,
    ) -> Item:
        if UploadId in self.completed:  # S3 answers as it did the first time
            return {}
        key, parts = self._upload(UploadId)
        body = b"".join(parts[each["PartNumber"]] for each in MultipartUpload["Parts"])
        if _checksum(body) != ChecksumCRC32:
            raise Refused("BadDigest")
        del self.uploads[UploadId]
        self.completed.add(UploadId)
        self._store(key, body, f'"{hashlib.md5(body).hexdigest()}-{len(parts)}"', ChecksumCRC32)
        return {}

    def abort_multipart_upload(self, UploadId: str, **_: Any) -> Item:  # noqa: N803
        self._upload(UploadId)
        del self.uploads[UploadId]
        return {}

    def _upload(self, upload: str) -> tuple[str, dict[int, bytes]]:
        if upload not in self.uploads:
            raise Refused("NoSuchUpload", 404)
        return self.uploads[upload]

    def _store(self, key: str, body: bytes, etag: str, crc32: str | None = None) -> Stored:
        # S3 tells the time of an object in whole seconds.
        self.written[key] = body
        self.objects[key] = Stored(body, etag, self.now().replace(microsecond=0), crc32)
        return self.objects[key]

    def _stored(self, key: str, etag: str | None) -> Stored:
        if key not in self.objects:
            raise Refused("NoSuchKey", 404)
        if etag not in (None, self.objects[key].etag):
            raise Refused("PreconditionFailed", 412)
        return self.objects[key]

    # SQS

    def send_message(self, MessageBody: str, **_: Any) -> Item:  # noqa: N803
        self.letters.append(MessageBody)
        return {"MessageId": str(len(self.letters))}


def _checksum(body: bytes) -> str:
    return base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()


def _plain(key: Item) -> Key:
    return key["owner"]["S"], key["export_id"]["S"]


def _given(request: Item) -> Item:
    """The request's names and values by their placeholders; each must be used, as DynamoDB demands."""
    names = request.get("ExpressionAttributeNames", {})
    values = request.get("ExpressionAttributeValues", {})
    expressions = " ".join(value for key, value in request.items() if key.endswith("Expression"))
    used = set(re.findall(r"[:#]\w+", expressions))
    if used != set(names) | set(values):
        raise Refused("ValidationException")
    return {**names, **values}


# Expressions ("Condition expressions", "Update expressions" of the Amazon DynamoDB developer guide)

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda left, right: left == right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}
Operand = Callable[[Item, Item], Any]


@cache
def condition(text: str) -> Callable[[Item, Item], bool]:
    """A condition as a function of an item and of the request's names and values."""
    tokens = re.findall(r"[#:]?\w+|<=|>=|[()=,<>]", text)

    def take(expected: str | None = None) -> str:
        token = tokens.pop(0)
        assert expected in (None, token), f"{expected} expected, {token} found in {text}"
        return token

    def either() -> Callable[[Item, Item], bool]:
        terms = [both()]
        while tokens[:1] == ["OR"]:
            take()
            terms.append(both())
        return lambda item, given: any(term(item, given) for term in terms)

    def both() -> Callable[[Item, Item], bool]:
        terms = [one()]
        while tokens[:1] == ["AND"]:
            take()
            terms.append(one())
        return lambda item, given: all(term(item, given) for term in terms)

    def one() -> Callable[[Item, Item], bool]:
        if tokens[0] == "(":
            take("(")
            inner = either()
            take(")")
            return inner
        if tokens[0] in ("attribute_exists", "attribute_not_exists"):
            wanted = take() == "attribute_exists"
            take("(")
            name = _operand(take())
            take(")")
            return lambda item, given: (name(item, given) is not None) == wanted
        left, comparison = _operand(take()), take()
        if comparison == "IN":
            take("(")
            among = [_operand(take())]
            while take() == ",":
                among.append(_operand(take()))
            return lambda item, given: any(_compare("=", left, each, item, given) for each in among)
        if comparison == "BETWEEN":
            low = _operand(take())
            take("AND")
            high = _operand(take())
            return lambda item, given: (
                _compare(">=", left, low, item, given) and _compare("<=", left, high, item, given)
            )
        right = _operand(take())
        return lambda item, given: _compare(comparison, left, right, item, given)

    whole = either()
    assert not tokens, f"{tokens} is left of {text}"
    return whole


@cache
def update(text: str) -> Callable[[Item, Item], Item]:
    """An update as a function of an item and of the request's names and values, which gives the new item."""
    found = re.fullmatch(r"(?:SET (?P<set>.+?))?\s*(?:REMOVE (?P<remove>.+))?", text)
    assert found, text
    sets = [each.split(" = ") for each in re.split(r", (?![^(]*\))", found["set"] or "") if each]
    removed = [each.strip() for each in (found["remove"] or "").split(",") if each.strip()]

    def change(item: Item, given: Item) -> Item:
        new = dict(item)
        for name, value in sets:
            fallback = re.fullmatch(r"if_not_exists\((\S+), (\S+)\)", value.strip())
            if fallback:
                there = _operand(fallback[1])(item, given)
                result = _operand(fallback[2])(item, given) if there is None else there
            else:
                result = _operand(value.strip())(item, given)
            assert result is not None, f"{value} of {text} is not there"
            new[given.get(name.strip(), name.strip())] = result
        for name in removed:
            new.pop(given.get(name, name), None)
        return new

    return change


def _operand(token: str) -> Operand:
    if token.startswith(":"):
        return lambda item, given: given[token]
    return lambda item, given: item.get(given[token] if token.startswith("#") else token)


def _compare(comparison: str, left: Operand, right: Operand, item: Item, given: Item) -> bool:
    one, other = left(item, given), right(item, given)
    if one is None or other is None or set(one) != set(other):
        return False  # what is not there, or of another type, is not comparable
    ((kind, value),), ((_, bound),) = one.items(), other.items()
    return _COMPARE[comparison](*((Decimal(value), Decimal(bound)) if kind == "N" else (value, bound)))
