"""From a plan to native tensors: what both writers keep and compute, without a native name."""
