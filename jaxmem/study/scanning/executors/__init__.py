"""Who computes the chunks: this process, processes of this machine, or a cluster."""
