"""The API's documentation as one plain page, made from its own OpenAPI description."""

from html import escape

from litestar.openapi.spec import OpenAPI

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }}
code {{ font-size: .95em; }} td {{ padding: .2rem 1rem .2rem 0; vertical-align: top; }} b {{ color: #0a58a8; }}
@media (prefers-color-scheme: dark) {{ body {{ background: #14171a; color: #dde1e5; }} b {{ color: #7cb8f2; }} }}
</style></head>
<body><h1>{title}</h1>
<p>Send the admin key as <code>X-API-Key</code> or <code>Authorization: Bearer</code>.
The machine-readable description is at <a href="/management/openapi.json">/management/openapi.json</a>.</p>
<table>{rows}</table></body></html>
"""
METHODS = ("get", "post", "put", "delete", "patch")


def docs_page(schema: OpenAPI) -> str:
    """Return the page: one line for each operation."""
    rows = []
    for path, item in sorted((schema.paths or {}).items()):
        for method in METHODS:
            operation = getattr(item, method, None)
            if operation is not None:
                what = escape(operation.description or operation.summary or "")
                rows.append(
                    f"<tr><td><b>{method.upper()}</b></td><td><code>{escape(path)}</code></td><td>{what}</td></tr>"
                )
    return _PAGE.format(title=escape(schema.info.title), rows="\n".join(rows))
