"""The dialect of KernelBox."""
