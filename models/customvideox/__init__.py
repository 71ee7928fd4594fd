"""CustomVideoX: text to video around any subject, from one picture of it."""
