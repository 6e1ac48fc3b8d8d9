"""Views of Great Expectations' data docs that compile each template once in a process instead of once for each page.

Named in the configuration of the site (`lockstep.quality.data_docs`), as its own are.
"""

from types import CodeType
from typing import Any

from great_expectations.render.view.view import DefaultJinjaIndexPageView, DefaultJinjaPageView
from jinja2 import BytecodeCache
from jinja2.bccache import Bucket


class _Compiled(BytecodeCache):
    """Compiled templates by name, of this process."""

    def __init__(self) -> None:
        self._codes: dict[tuple[str, str], CodeType | None] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self._codes.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._codes[bucket.key, bucket.checksum] = bucket.code


_COMPILED = _Compiled()


class PageView(DefaultJinjaPageView):
    """A page of a suite or of its results."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Build as its base does."""
        super().__init__(*args, **kwargs)
        self.env.bytecode_cache = _COMPILED


class IndexView(DefaultJinjaIndexPageView):
    """The page that leads to the others."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Build as its base does."""
        super().__init__(*args, **kwargs)
        self.env.bytecode_cache = _COMPILED


def compile_templates() -> None:
    """Compile the templates ahead of the first page."""
    for view in (PageView(), IndexView()):
        for name in view.env.list_templates(extensions=["j2"]):
            view.env.get_template(name)
