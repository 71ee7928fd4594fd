"""CogVideoX parts shared by RepVideo, EchoVideo and CustomVideoX: backbone, prompts, latents, guidance, previews."""
