"""The certificate: what is proved about two models, layer by layer."""
