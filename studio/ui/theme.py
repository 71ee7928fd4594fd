"""Colours, type and spacing of Gradio's own components; the rest is style.css."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

STYLE = Path(__file__).with_name("style.css")
SYSTEM_FONT = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]
SYSTEM_MONO = ["ui-monospace", "SFMono-Regular", "Menlo", "monospace"]


def quintet_theme() -> gr.themes.Base:
    """Quiet paper and ink with one colour, a teal whose white label has contrast 5.5 in both modes."""
    return gr.themes.Base(
        primary_hue="teal",
        neutral_hue="slate",
        radius_size="md",
        spacing_size="md",
        text_size="md",
        font=SYSTEM_FONT,
        font_mono=SYSTEM_MONO,
    ).set(
        body_background_fill="#fbfcfc",
        body_background_fill_dark="#0e1314",
        body_text_color="#16211f",
        body_text_color_dark="#e6ecea",
        body_text_color_subdued="#55625f",
        body_text_color_subdued_dark="#9aa8a5",
        background_fill_primary="#ffffff",
        background_fill_primary_dark="#161d1e",
        background_fill_secondary="#f0f3f2",
        background_fill_secondary_dark="#1c2526",
        border_color_primary="#d9dfdd",
        border_color_primary_dark="#2c3837",
        border_color_accent="#0f766e",
        border_color_accent_dark="#2dd4bf",
        color_accent="#0f766e",
        color_accent_soft="#d7efec",
        color_accent_soft_dark="#12312f",
        link_text_color="#0f766e",
        link_text_color_dark="#5eead4",
        block_background_fill="transparent",
        block_background_fill_dark="transparent",
        block_border_width="0px",
        block_shadow="none",
        block_shadow_dark="none",
        block_padding="0px",
        block_label_text_weight="500",
        block_title_text_weight="600",
        block_title_text_size="14px",
        block_title_text_color="#16211f",
        block_title_text_color_dark="#e6ecea",
        block_info_text_size="13px",
        block_info_text_color="#55625f",
        block_info_text_color_dark="#9aa8a5",
        input_border_width="1px",
        input_background_fill="#ffffff",
        input_background_fill_dark="#10181a",
        input_border_color="#b9c4c1",
        input_border_color_dark="#3b4a48",
        input_border_color_focus="#0f766e",
        input_border_color_focus_dark="#2dd4bf",
        input_shadow="none",
        input_shadow_focus="0 0 0 3px #0f766e33",
        input_shadow_focus_dark="0 0 0 3px #2dd4bf33",
        input_placeholder_color="#667471",
        input_placeholder_color_dark="#84928f",
        button_border_width="1px",
        button_primary_background_fill="#0f766e",
        button_primary_background_fill_dark="#0f766e",
        button_primary_background_fill_hover="#0b5f59",
        button_primary_background_fill_hover_dark="#128277",
        button_primary_text_color="#ffffff",
        button_primary_text_color_dark="#ffffff",
        button_primary_border_color="#0f766e",
        button_primary_border_color_dark="#0f766e",
        button_secondary_background_fill="#ffffff",
        button_secondary_background_fill_dark="#1c2526",
        button_secondary_background_fill_hover="#eef2f1",
        button_secondary_background_fill_hover_dark="#263132",
        button_secondary_border_color="#b9c4c1",
        button_secondary_border_color_dark="#3b4a48",
        button_large_text_weight="600",
        slider_color="#0f766e",
        slider_color_dark="#2dd4bf",
        checkbox_background_color_selected="#0f766e",
        checkbox_background_color_selected_dark="#0f766e",
        checkbox_border_color="#8a9794",
        checkbox_border_color_dark="#5a6967",
        checkbox_label_background_fill="transparent",
        checkbox_label_background_fill_dark="transparent",
    )
