"""The app: `make app`, or `streamlit run frontend/app.py`. Its pages are in `frontend/views/`."""

from pathlib import Path

import streamlit as st

ROOT = Path(__file__).resolve().parent.parent
from fivefold.core import settings

settings.prepare(ROOT)  # before anything imports Metaflow

from frontend.widgets import error_guard, model_choice

FRONTEND = Path(__file__).resolve().parent
PAGES = (  # file, title, icon; the first one opens
    ("predict", "Predict", ":material/person_search:"),
    ("batch", "Batch", ":material/table_rows:"),
    ("models", "Models", ":material/leaderboard:"),
    ("data", "Data", ":material/bar_chart:"),
    ("decision", "Decision", ":material/tune:"),
    ("monitoring", "Monitoring", ":material/monitoring:"),
    ("feedback", "Feedback", ":material/fact_check:"),
)

st.set_page_config(
    page_title="Fivefold",
    page_icon=str(FRONTEND / "icon.svg"),
    layout="wide",
    initial_sidebar_state="auto",
)
pages = []
for name, title, icon in PAGES:
    file, is_default = FRONTEND / "views" / f"{name}.py", name == PAGES[0][0]
    pages.append(st.Page(file, title=title, icon=icon, url_path=name, default=is_default))
page = st.navigation(pages)
with st.sidebar:
    error_guard.guard(model_choice.select_model)
error_guard.guard(page.run)
