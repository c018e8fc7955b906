"""Time that goes on, from time stamps that may not."""

JUMP_BACK_S = 0.25
"""Stamps that go back so far are those of another recording that was appended, or of a clock that was set; less is a
fault of the order of the stamps."""

JUMP_S = 10.0
"""A leap ahead that is taken as the same, in kinds of files and streams whose clocks may be set anew."""


class Clock:
    """Turns the time stamps of a stream, in seconds, into seconds since ``start_s`` that never go back.

    Where stamps leap, as at the seams of recordings that were put one behind the other, time goes on from the last
    picture or sound.
    """

    def __init__(self, start_s: float, *, may_leap: bool) -> None:
        """``may_leap``: a leap ahead may be a clock set anew (MPEG transport streams, say), rather than a pause."""
        self._offset_s = -start_s
        self._may_leap = may_leap
        self._last_s: float | None = None

    def time_s(self, stamp_s: float | None, step_s: float) -> float:
        """The time of the next picture or sound. ``step_s``: how long the one before lasts, where no stamp tells it."""
        last_s = self._last_s
        if last_s is None:
            time_s = 0.0 if stamp_s is None else stamp_s + self._offset_s
        elif stamp_s is None:
            time_s = last_s + step_s
        else:
            time_s = stamp_s + self._offset_s
            if time_s < last_s - JUMP_BACK_S or (self._may_leap and time_s > last_s + JUMP_S):
                self._offset_s += last_s + step_s - time_s
                time_s = last_s + step_s
            time_s = max(time_s, last_s)
        self._last_s = time_s
        return time_s


def may_leap(container: object) -> bool:
    """Whether clocks of such a container may be set anew on the way (an opened PyAV container)."""
    from av.format import Flags

    return bool(container.format.flags & Flags.ts_discont.value)  # type: ignore[attr-defined]
