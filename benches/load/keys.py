"""Keys of one run and the token that its callers send; nothing of them outlives the run's folder."""

import base64
import hashlib
import hmac
import json
import re
import secrets
import subprocess
from pathlib import Path


class Keys:
    """Key material for one algorithm, in the forms that the gateways want."""

    def __init__(self, algorithm, folder):
        self.algorithm = algorithm.upper()
        self.private = Path(folder) / f"{algorithm}.pem"
        self.public = Path(folder) / f"{algorithm}.public.pem"
        self.secret = secrets.token_hex(24)
        if self.algorithm == "RS256":
            openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", self.private)
        elif self.algorithm == "ES256":
            openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", self.private)
        if not self.is_shared():
            openssl("pkey", "-in", self.private, "-pubout", "-out", self.public)

    def is_shared(self):
        """Whether both sides know one secret."""
        return self.algorithm.startswith("HS")

    def for_edgeway(self):
        """`auth.jwt:` of Edgeway."""
        known = {"secret": self.secret} if self.is_shared() else {"public_key_file": str(self.public)}
        return {"algorithm": self.algorithm, **known, "lifetime": "1d"}

    def for_haproxy(self):
        """The second argument of `jwt_verify`."""
        return self.secret if self.is_shared() else str(self.public)

    def for_envoy(self):
        """A JSON Web Key Set (RFC 7517)."""
        if self.is_shared():
            key = {"kty": "oct", "k": base64url(self.secret.encode())}
        elif self.algorithm == "RS256":
            modulus = openssl("rsa", "-pubin", "-in", self.public, "-noout", "-modulus").split("=")[1].strip()
            key = {"kty": "RSA", "n": base64url(bytes.fromhex(modulus)), "e": base64url((65537).to_bytes(3, "big"))}
        else:
            text = openssl("pkey", "-pubin", "-in", self.public, "-noout", "-text")
            # 04, then both coordinates of 32 bytes each.
            point = bytes.fromhex(re.sub(r"[\s:]", "", re.search(r"pub:(.*?)ASN1", text, re.S).group(1)))[1:]
            key = {"kty": "EC", "crv": "P-256", "x": base64url(point[:32]), "y": base64url(point[32:])}
        return json.dumps({"keys": [{**key, "alg": self.algorithm, "use": "sig"}]})

    def token(self, edgeway, config):
        """What `edgeway token` makes of the run's configuration."""
        command = [edgeway, "token", "--config", config, "--sub", "1004", "--username", "kim", "--role", "admin"]
        command += ["--permissions", "members:read,members:write"]
        command += [] if self.is_shared() else ["--key-file", self.private]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    def more(self, token, number):
        """So many tokens, each of somebody else; the first is the one that is given. For shared secrets only."""
        head, claims, _ = token.split(".")
        known = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
        yield token
        for place in range(1, number):
            claims = {**known, "sub": str(int(known["sub"]) + place)}
            text = f"{head}.{base64url(json.dumps(claims, separators=(',', ':')).encode())}"
            signature = hmac.digest(self.secret.encode(), text.encode(), hashlib.sha256)
            yield f"{text}.{base64url(signature)}"


def certificate(folder):
    """Of P-256, for loopback, with its key in the same file."""
    file, key = Path(folder) / "certificate.pem", Path(folder) / "certificate.key"
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    openssl(*words.split(), "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", file)
    file.write_text(file.read_text() + key.read_text())
    return file


def openssl(*arguments):
    """Ask openssl."""
    return subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=True).stdout


def base64url(data):
    """RFC 7515 section 2."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
