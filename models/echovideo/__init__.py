"""EchoVideo: text to video that keeps a person's identity, from one picture of the face."""
