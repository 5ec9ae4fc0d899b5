"""Texts that a student may write where a page will show them, and what must not come of them."""

from __future__ import annotations

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
RUN = "document.title='ran'"
HOSTILE = {
    "script": f"<script>{RUN}</script>",
    "image": f'<img src=x onerror="{RUN}">',
    "mermaid": f'```mermaid\ngraph TD\nA[<img src=x onerror="{RUN}">]\n```',
    "mermaid that ends its place": f"```mermaid\n</pre></div><script>{RUN}</script>\n```",
    "link": f"[a](javascript:{RUN})",
    "link with a line end": f"[a](java\nscript:{RUN})",
    "link with an entity": f"[a](&#106;avascript:{RUN})",
    "link in data": f"[a](data:text/html,<script>{RUN}</script>)",
    "automatic link": f"<javascript:{RUN}>",
    "reference": f"[a][b]\n\n[b]: javascript:{RUN}",
    "picture": f'![a" onerror="{RUN}](x)',
    "picture from elsewhere": "![a](https://example.invalid/seen.png)",
    "picture in data": f"![a](data:image/svg+xml,<svg onload={RUN}>)",
    "missing attachment": "![p](attachment:p.svg)",
    "code": f"```<img src=x onerror={RUN}>\nx\n```",
    "table": f"| a |\n|---|\n| <svg onload={RUN}> |",
    "heading": f'# <a name="answer"></a> answer <img src=x onerror="{RUN}">',
    "math": f"$$ </p><script>{RUN}</script> $$",
    "environment": rf"\begin{{x}}</p><img src=x onerror={RUN}>\end{{x}}",
    "frame": f'<iframe srcdoc="<script>parent.{RUN}</script>"></iframe>',
    "style": "<style>body { display: none }</style>",
    "form": '<form action="https://example.invalid"><input name="x"></form>',
    "refresh": '<meta http-equiv="refresh" content="0;url=https://example.invalid">',
    "end of the page": f"</section></main></body></html><script>{RUN}</script>",
    "deep": "> " * 500 + "x",
    "bidirectional": "a \u202e b",
}
ALL = "\n\n".join(text for name, text in HOSTILE.items() if name != "deep")
