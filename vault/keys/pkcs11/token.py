"""A token of PKCS #11 as one thread sees it: opened when it is used, opened again when it was taken away.

A PIN that was refused is not tried again until it is another one: tokens lock after a few tries.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from typing import TypeVar

import pkcs11
from pkcs11 import exceptions

from vault.errors import KeyProviderUnavailable, KeyUnavailable
from vault.key_settings import Pkcs11Settings
from vault.keys.pkcs11.library import Library

Result = TypeVar("Result")

_PIN_REFUSED = (
    exceptions.PinExpired,
    exceptions.PinIncorrect,
    exceptions.PinInvalid,
    exceptions.PinLenRange,
    exceptions.PinLocked,
    exceptions.UserPinNotInitialized,
)
# What asking again does not change.
_REFUSED = (
    exceptions.FunctionNotSupported,
    exceptions.KeyTypeInconsistent,
    exceptions.MechanismInvalid,
    exceptions.MechanismParamInvalid,
    exceptions.MultipleTokensReturned,
    exceptions.SessionReadOnly,
    exceptions.TemplateInconsistent,
    exceptions.TokenWriteProtected,
)


class NotThere(Exception):
    """No such object was found; perhaps only because the session has become stale."""


class Token:
    """Sessions and the login. Every method belongs to the library's thread, and raises KeyUnavailable."""

    def __init__(self, settings: Pkcs11Settings) -> None:
        self._settings = settings
        self._token: pkcs11.Token | None = None
        self._session: pkcs11.Session | None = None
        self._library: Library | None = None
        self._epoch = 0
        self._salt = os.urandom(16)
        self._refused_pin = b""

    def use(self, kek: str, action: Callable[[pkcs11.Session], Result]) -> Result:
        """Return what the action makes of a session; a stale one is replaced, and the action repeated, once."""
        if self._library is not None and self._library.epoch != self._epoch:
            self._session = None  # its number may be another token's
        if self._session is not None:
            try:
                self._session.generate_random(64)  # of a session that has ended, searching would leave a search open
                return action(self._session)
            except (exceptions.PKCS11Error, NotThere):
                self.close()
        try:
            return action(self._opened())
        except NotThere:
            raise KeyUnavailable(key=kek, reason=f"it is not in token {self._settings.token}") from None
        except _REFUSED as error:
            raise KeyUnavailable(key=kek, reason=f"the token refuses ({type(error).__name__})") from None
        except exceptions.PKCS11Error as error:
            self.close()
            raise self._unavailable(f"its library fails ({type(error).__name__})") from None

    def change(self, kek: str, action: Callable[[pkcs11.Session], Result]) -> Result:
        """Return what the action makes of a session that may write."""

        def writing(_: pkcs11.Session) -> Result:
            if self._token is None:
                raise exceptions.TokenNotPresent
            session = self._token.open(rw=True)  # logged in as the other session is
            try:
                return action(session)
            finally:
                session.close()

        return self.use(kek, writing)

    def close(self) -> None:
        """Forget the session. The next use opens one."""
        session, self._session, self._token = self._session, None, None
        if session is not None and self._library is not None and self._library.epoch == self._epoch:
            try:
                session.close()
            except exceptions.PKCS11Error:
                return  # it was gone before

    def _opened(self) -> pkcs11.Session:
        self._library = library = Library.of(self._settings.module)
        pin, seen = self._pin()
        try:
            if self._refused_pin:  # some libraries remember what a token said of its PIN
                library.begin_anew()
            self._session = self._login(library, pin, seen)
        except exceptions.PKCS11Error:
            # Libraries do not notice tokens that come back. Sessions of other providers end here, and begin anew.
            library.begin_anew()
            self._session = self._login(library, pin, seen)
        self._refused_pin = b""
        return self._session

    def _login(self, library: Library, pin: str, seen: bytes) -> pkcs11.Session:
        self._token = token = library.token(self._settings.token)
        self._epoch = library.epoch
        try:
            return token.open(user_pin=pin)
        except exceptions.UserAlreadyLoggedIn:  # by another provider of this process
            return token.open()
        except _PIN_REFUSED as error:
            self._refused_pin = seen
            reason = f"the token refuses the PIN ({type(error).__name__}); it is not tried again until it changes"
            raise KeyUnavailable(key="pkcs11", reason=reason) from None

    def _pin(self) -> tuple[str, bytes]:
        """Return the PIN, and what it is recognised by."""
        try:
            pin = self._settings.pin()
        except ValueError:
            pin = ""
        if not pin:
            raise KeyUnavailable(key="pkcs11", reason="the PIN cannot be read from where the configuration says")
        seen = hashlib.scrypt(pin.encode(), salt=self._salt, n=2**12, r=8, p=1)
        if seen == self._refused_pin:
            reason = "the token has refused this PIN; it is not tried again until it changes"
            raise KeyUnavailable(key="pkcs11", reason=reason)
        return pin, seen

    def _unavailable(self, reason: str) -> KeyProviderUnavailable:
        return KeyProviderUnavailable(provider=f"pkcs11, token {self._settings.token}", reason=reason)
