"""The app: `make app`, or `streamlit run frontend/app.py`. Its pages are the files of `frontend/views/`."""

from pathlib import Path

import streamlit as st

ROOT = Path(__file__).resolve().parent.parent
from fivefold.core import settings

settings.prepare(ROOT)  # before anything imports Metaflow

from frontend.widgets import error_guard, model_choice

VIEWS = Path(__file__).resolve().parent / "views"
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
    page_icon=str(VIEWS.parent / "icon.svg"),
    layout="wide",
    initial_sidebar_state="auto",
)
page = st.navigation(
    [
        st.Page(
            VIEWS / f"{name}.py", title=title, icon=icon, url_path=name, default=name == "predict"
        )
        for name, title, icon in PAGES
    ]
)
with st.sidebar:
    error_guard.guard(model_choice.ask)
error_guard.guard(page.run)
