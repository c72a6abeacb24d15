"""A request to the emulator counts as TLS.

AWS ("AWS global condition context keys"): every SDK calls over HTTPS, so `aws:SecureTransport` is true and a bucket
policy that denies the rest refuses nobody.
Stock: serves plain HTTP and sets the key to false, so such a policy refuses every function.
Here: the loopback interface, which nobody else can listen to, is taken for TLS.
"""

import ministack.app as gateway


def apply() -> None:
    """Pin every request's transport as secure."""
    pin = gateway.pin_request_origin
    gateway.pin_request_origin = lambda address, _secure: pin(address, True)
