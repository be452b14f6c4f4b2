"""One file per question, peers and bare floors beside us in the same run; `make bench` asks them all."""
