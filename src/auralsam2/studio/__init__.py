"""Studio: browser application for segmentation with audio, text and clicks.

`launch` starts the server, `routes` defines its endpoints behind the middleware of `auth`. `session_manager` opens
sessions, each with a `session_worker`, a `session_state` and a folder of `storage`. The page is in `web/`.
"""
