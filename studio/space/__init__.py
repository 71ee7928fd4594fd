"""This checkout as a Space: what would be uploaded in which mode, whether it would run there, and the upload."""
