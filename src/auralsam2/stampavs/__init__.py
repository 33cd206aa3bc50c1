"""StampAVS: real pictures and real sounds put together into moving scenes whose masks are exact."""
