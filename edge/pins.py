"""The shutter button and the status light on the GPIO header."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from edge.config import PinsSection

BOUNCE_S = 0.05


class PinsError(Exception):
    """The header cannot be used; the text says why."""


class Pins:
    """A push button to ground and a light; does nothing where no pin is configured."""

    def __init__(self, section: PinsSection, pressed: Callable[[], None]) -> None:
        """Call `pressed` from gpiozero's thread at every press."""
        self._button: Any = None
        self._led: Any = None
        self._state = ""
        if not (section.shutter or section.led):
            return
        try:
            gpiozero = import_module("gpiozero")
            factory = None
            if section.factory == "mock":
                factory = gpiozero.Device.pin_factory or import_module("gpiozero.pins.mock").MockFactory()
            if section.shutter:
                self._button = gpiozero.Button(section.shutter, bounce_time=BOUNCE_S, pin_factory=factory)
                self._button.when_pressed = pressed
            if section.led:
                self._led = gpiozero.LED(section.led, pin_factory=factory)
        except Exception as error:  # gpiozero raises its own errors, and those of the pin library underneath
            self.close()
            raise PinsError(
                f"the GPIO header cannot be used ({error}): check pins.shutter and pins.led, and that "
                "/dev/gpiochip0 is passed to the container"
            ) from None

    def show(self, state: str) -> None:
        """`ready`: on; `waiting`: blinking; `trouble`: off."""
        if self._led is None or state == self._state:
            return
        self._state = state
        if state == "ready":
            self._led.on()
        elif state == "waiting":
            self._led.blink(on_time=0.5, off_time=0.5)
        else:
            self._led.off()

    def close(self) -> None:
        """Give the pins back."""
        for part in (self._button, self._led):
            if part is not None:
                part.close()
        self._button = self._led = None
