"""Local surrogates over superpixels: LIME and KernelSHAP, a weight for each segment of an image."""
