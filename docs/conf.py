"""Settings of the site that `make docs` builds: pages, and the reference.

The reference is read off the docstrings without importing anything, so that
the site is built in seconds and on a machine without TensorFlow.
"""

import re

project = "tf_tokenrl"
extensions = ["myst_parser", "sphinx.ext.napoleon", "autoapi.extension"]
root_doc = "index"
exclude_patterns = ["README.md"]  # `index.md` includes it
napoleon_use_ivar = True
html_theme = "furo"
html_title = "tf_tokenrl"
default_role = "code"  # one backtick means code in our docstrings
myst_heading_anchors = 4
autoapi_dirs = ["../tf_tokenrl"]
autoapi_root = "reference"
autoapi_options = ["members", "show-module-summary", "undoc-members"]
autoapi_own_page_level = "module"
autoapi_add_toctree_entry = False
autoapi_keep_files = False
# Docstrings are written for readers of the source first.
suppress_warnings = ["docutils", "autoapi", "ref.python"]


def outside_links_as_text(app, docname, source):
    """Keep links to files beside `docs/` as text: the site lacks the files."""
    source[0] = re.sub(r"\[([^]]+)\]\(\.\./[^)]*\)", r"\1", source[0])


def setup(app):
    """Called by Sphinx."""
    app.connect("source-read", outside_links_as_text)
    app.connect(
        "include-read",
        lambda app, path, name, text: outside_links_as_text(app, name, text),
    )
