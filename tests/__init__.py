"""The tests mirror the packages; `docs/` runs the documentation, `offline/` keeps child processes on this machine."""
