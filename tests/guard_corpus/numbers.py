"""Ordinary numbers and names, by class, as systems of shops, carriers and banks write them."""

from __future__ import annotations

import base64
import string
import uuid
from collections.abc import Callable, Mapping
from random import Random

Maker = Callable[[Random], str]


def digits(random: Random, count: int, first: str = "") -> str:
    return first + "".join(random.choices("0123456789", k=count - len(first)))


def luhn(payload: str) -> str:
    """Return the payload with its Luhn check digit, computed the way ISO/IEC 7812-1 describes it."""
    total = sum(sum(divmod(int(d) * (2 - i % 2), 10)) for i, d in enumerate(reversed(payload)))
    return payload + str(-total % 10)


def gs1(payload: str) -> str:
    total = sum(int(d) * (3 - 2 * (i % 2)) for i, d in enumerate(reversed(payload)))
    return payload + str(-total % 10)


def grouped(text: str, sizes: tuple[int, ...], separator: str) -> str:
    parts, at = [], 0
    for size in sizes:
        parts.append(text[at : at + size])
        at += size
    return separator.join(part for part in [*parts, text[at:]] if part)


def _order(random: Random) -> str:
    return digits(random, random.randint(8, 20), random.choice("123456789"))


def _prefixed(random: Random) -> str:
    prefix = random.choice(["ORD-", "INV", "#", "SO-2026-", "R", "cus_", "order:", "PO "])
    return prefix + digits(random, random.randint(8, 14))


def _seconds(random: Random) -> int:
    return random.randint(1_262_304_000, 1_893_456_000)  # 2010 to 2029


def _milliseconds(random: Random) -> str:
    return f"{_seconds(random)}{random.randint(0, 999):03}"


def _microseconds(random: Random) -> str:
    return f"{_seconds(random)}{random.randint(0, 999_999):06}"


def _nanoseconds(random: Random) -> str:
    return f"{_seconds(random)}{random.randint(0, 999_999_999):09}"


def _float_time(random: Random) -> str:
    return f"{_seconds(random)}.{random.randint(0, 999_999):06}"


def _iso_date(random: Random) -> str:
    date = f"20{random.randint(10, 29)}-{random.randint(1, 12):02}-{random.randint(1, 28):02}"
    time = f"{random.randint(0, 23):02}:{random.randint(0, 59):02}:{random.randint(0, 59):02}"
    return random.choice(
        [f"{date}T{time}Z", f"{date} {time}.{digits(random, 6)}", date, (date + time).replace("-", "")]
    )


def _compact_time(random: Random) -> str:
    day = f"20{random.randint(10, 29)}{random.randint(1, 12):02}{random.randint(1, 28):02}"
    return f"{day}{random.randint(0, 23):02}{random.randint(0, 59):02}{random.randint(0, 59):02}"


def _imei(random: Random) -> str:
    tac = random.choice(["35", "35", "86", "01", "99"]) + digits(random, 6)
    return luhn(tac + digits(random, 6))


def _uuid(random: Random) -> str:
    text = str(uuid.UUID(int=random.getrandbits(128), version=4))
    return random.choice([text, text.upper(), text.replace("-", "")])


def _uuid_of_digits(random: Random) -> str:
    return grouped(digits(random, 32), (8, 4, 4, 4), "-")


def _ups(random: Random) -> str:
    return "1Z" + "".join(random.choices(string.ascii_uppercase + string.digits, k=6)) + digits(random, 10)


def _fedex(random: Random) -> str:
    count = random.choice([12, 12, 12, 15, 20, 22])
    return digits(random, count, {12: "", 15: "9", 20: "6129", 22: "9632"}[count])


def _usps(random: Random) -> str:
    number = gs1(digits(random, random.choice([19, 21]), random.choice(["94", "92", "93"])))
    return random.choice([number, grouped(number, (4, 4, 4, 4, 4), " ")])


def _dhl(random: Random) -> str:
    return digits(random, 10)


def _e164(random: Random) -> str:
    return "+" + random.choice(["1", "44", "49", "33", "81", "91", "55", "61", "86"]) + digits(random, 10)


def _phone(random: Random) -> str:
    d = digits(random, 12)
    return random.choice(
        [
            f"({d[:3]}) {d[3:6]}-{d[6:10]}",
            f"{d[:3]}-{d[3:6]}-{d[6:10]}",
            f"+1 {d[:3]} {d[3:6]} {d[6:10]}",
            f"+49 {d[:3]} {d[3:11]}",
            f"0{d[:3]} / {d[3:10]}",
            f"+33 {d[0]} {d[1:3]} {d[3:5]} {d[5:7]} {d[7:9]}",
            f"+44 20 {d[:4]} {d[4:8]}",
            f"+55 11 {d[:5]}-{d[5:9]}",
            f"+91-{d[:5]}-{d[5:10]}",
        ]
    )


_IBANS = [("DE", 18), ("FR", 23), ("GB", 18), ("NL", 14), ("BE", 12), ("DK", 14), ("NO", 11), ("ES", 20), ("PL", 24)]


def _iban(random: Random) -> str:
    country, count = random.choice(_IBANS)
    bank = {"GB": 4, "NL": 4}.get(country, 0)
    body = "".join(random.choices(string.ascii_uppercase, k=bank)) + digits(random, count - bank)
    plain = "".join(str(int(char, 36)) for char in f"{body}{country}00")
    text = f"{country}{98 - int(plain) % 97:02}{body}"
    return random.choice([text, " ".join(text[at : at + 4] for at in range(0, len(text), 4))])


def _amount(random: Random) -> str:
    return random.choice(["", "EUR ", "$", "-"]) + f"{random.randint(0, 10**7) / 100:{random.choice([',.2f', '.2f'])}}"


def _ip(random: Random) -> str:
    four = ".".join(str(random.randint(0, 255)) for _ in range(4))
    six = ":".join(f"{random.getrandbits(16):x}" for _ in range(8))
    return random.choice([four, f"{four}:{random.randint(1024, 65535)}", six])


def _hash(random: Random) -> str:
    return random.randbytes(random.choice([16, 20, 32, 64])).hex()


def _base64(random: Random) -> str:
    encode = random.choice([base64.b64encode, base64.urlsafe_b64encode])
    return encode(random.randbytes(random.randint(12, 96))).decode()


def _coordinates(random: Random) -> str:
    exact = random.choice([4, 6, 8, 13, 15])
    return f"{random.uniform(-90, 90):.{exact}f}, {random.uniform(-180, 180):.{exact}f}"


def _fraction(random: Random) -> str:
    return repr(random.random() * random.choice([1, 10, 100, 1e-7]))


def _id(random: Random) -> str:
    alphabet = random.choice([string.ascii_letters + string.digits, "0123456789ABCDEFGHJKMNPQRSTVWXYZ"])
    return "".join(random.choices(alphabet, k=random.randint(8, 32)))


def _version(random: Random) -> str:
    return ".".join(str(random.randint(0, 2026)) for _ in range(random.randint(2, 5)))


NUMBERS: Mapping[str, Maker] = {
    "order id, 8-20 digits": _order,
    "order id with a prefix": _prefixed,
    "timestamp in ms": _milliseconds,
    "timestamp in us": _microseconds,
    "timestamp in ns": _nanoseconds,
    "timestamp with decimals": _float_time,
    "date and time, ISO 8601": _iso_date,
    "date and time, digits only": _compact_time,
    "IMEI": _imei,
    "UUID": _uuid,
    "UUID of digits only": _uuid_of_digits,
    "UPS": _ups,
    "FedEx, 12/15/20/22 digits": _fedex,
    "USPS, 20/22 digits": _usps,
    "DHL, 10 digits": _dhl,
    "phone, E.164": _e164,
    "phone, national": _phone,
    "IBAN": _iban,
    "amount": _amount,
    "IP address": _ip,
    "hash": _hash,
    "base64": _base64,
    "coordinates": _coordinates,
    "decimal fraction": _fraction,
    "random id": _id,
    "version": _version,
}
