"""A request to the emulator counts as TLS.

AWS ("AWS global condition context keys"): SDKs call over HTTPS, so `aws:SecureTransport` is true, and a bucket policy
that denies plain HTTP does not affect them.
Stock: serves plain HTTP and sets the key to false, so such a policy denies every function.
Here: requests over the loopback interface, which other machines cannot listen to, count as TLS.
"""

import ministack.app as gateway


def apply() -> None:
    """Marks the transport of every request as secure."""
    pin = gateway.pin_request_origin
    gateway.pin_request_origin = lambda address, _secure: pin(address, True)
