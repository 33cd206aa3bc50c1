"""Video inference: tracking, memory, clip windows, and interactive sessions."""
