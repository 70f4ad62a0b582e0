"""The dialect of PyTorch programs: `torch.export.ExportedProgram` in, the same out."""
