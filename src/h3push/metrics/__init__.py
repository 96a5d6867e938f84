"""Figures for Prometheus: counted by each process, kept in shared memory, summed when somebody asks."""
