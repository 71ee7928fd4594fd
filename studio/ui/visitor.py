"""Who is asking: an unguessable name kept in this browser, so that a reload finds its jobs and nobody else does."""

from __future__ import annotations

import secrets

import gradio as gr

# Gradio encrypts the value with a secret that it also sends to the page: tidy, not secret. Both are fixed so that
# the name outlives a restart of the server; what protects a visitor is the 192 random bits of the name.
STORAGE_KEY = "quintet-visitor"
STORAGE_SECRET = "quintet-browser-storage"
LONGEST_NAME = 64


def visitor_state() -> gr.BrowserState:
    return gr.BrowserState(None, storage_key=STORAGE_KEY, secret=STORAGE_SECRET)


def visitor_name(stored: object) -> str:
    """The stored name when it looks like ours, else a new one."""
    if isinstance(stored, str) and 32 <= len(stored) <= LONGEST_NAME:
        return stored
    return secrets.token_urlsafe(24)
