"""Judges a mail by implementations that are not ours: Python's email package and dkimpy.

Reads {"mail": text, "records": {name: text}} from standard input; writes what it found as JSON.
"""

import email
import email.policy
import json
import sys

import dkim

asked = json.load(sys.stdin)
raw = asked["mail"].encode("ascii")


def record(name, timeout=5):
    text = asked["records"].get(name.decode().rstrip("."))
    return text.encode() if text else None


signatures = []
verifier = dkim.DKIM(raw)
for index in range(sum(1 for name, _ in verifier.headers if name.lower() == b"dkim-signature")):
    try:
        signatures.append(bool(dkim.DKIM(raw, minkey=1024).verify(idx=index, dnsfunc=record)))
    except Exception as error:
        signatures.append(str(error))

mail = email.message_from_bytes(raw, policy=email.policy.SMTP)
defects = []
for part in mail.walk():
    defects += [repr(defect) for defect in part.defects]
    for name, value in part.items():
        defects += [f"{name}: {defect!r}" for defect in value.defects]

headers = {name: str(value) for name, value in mail.items() if name != "DKIM-Signature"}
parts = [[part.get_content_type(), part.get_content()] for part in mail.walk() if not part.is_multipart()]
json.dump({"signatures": signatures, "defects": defects, "headers": headers, "parts": parts}, sys.stdout)
