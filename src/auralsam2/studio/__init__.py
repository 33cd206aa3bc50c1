"""The Studio: a local web page to hear, click, correct and export.

`serve` starts it; `server` has the routes, `guard` stands before them; `registry` knows which sessions are open,
`session` works on one of them, `state` is what it knows, `store` where it lies. The page is in `web/`.
"""
