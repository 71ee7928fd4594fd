"""The five methods and what they share. `models` never imports `studio`, and methods never import each other."""
