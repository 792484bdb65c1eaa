"""What operators see: the state of all workers, gateway and limits, the checks behind `doctor`, the status page."""
