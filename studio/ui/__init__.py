"""The page: Gradio 6 over presets, jobs and history. Knows no torch."""
