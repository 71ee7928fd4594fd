"""What the methods on Stable Diffusion 1.5 with motion modules share: prompts, latents, frames."""
