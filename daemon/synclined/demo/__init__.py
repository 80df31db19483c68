"""`syncline demo`: a daemon and two replicas, each in a process of its own, under real load."""
