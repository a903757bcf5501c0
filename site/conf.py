"""How Sphinx builds the site. The texts come from the lessons; nothing here names one."""

from firstlight import __version__
from firstlight.course import load_course

course = load_course()

project = course.title
author = f"The {course.title} authors"
copyright = author
release = version = __version__
language = "en"

extensions = ["myst_nb", "authoring.sphinx_ext"]
root_doc = "index"
nitpicky = True
exclude_patterns = ["figures"]
source_suffix = {".md": "myst-nb", ".ipynb": "myst-nb"}

# What a page may hold. Nothing is executed here: outputs come from the solution notebooks.
nb_execution_mode = "off"
nb_merge_streams = True
myst_enable_extensions = ["amsmath", "attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
myst_update_mathjax = False
html_math_renderer = "katex"

# How it looks. Furo is the base; the templates, styles and scripts of its own come after it.
html_theme = "furo"
html_title = course.title
html_favicon = "_static/favicon.svg"
templates_path = ["_templates"]
html_static_path = ["_static"]
html_copy_source = False
html_show_sourcelink = False
html_use_index = False
html_domain_indices = False
html_permalinks_icon = "#"
html_additional_pages = {"search": "search.html"}

# The check shown on the home page: an exercise, and the known mistake that somebody made in it.
home_example = ("mean_squared_error", "grown_table")
